//! What is delivered when not everything can be, and to destinations that want it differently.

use std::collections::BTreeMap;
use std::path::Path;

use contourd::anatomy::rules::{Finding, Flag, Severity};
use contourd::anatomy::{DerivedConfig, Structure};
use contourd::contour::rasterise;
use contourd::dicom::data::{
    BUILT_IN, Profile, ProfileConfig, Series, StructureSet, assemble, read_folder, read_rtstruct, read_segmentation,
};
use contourd::geometry::working_grid_for;
use contourd::phantom::{Head, HeadOptions, truth};
use contourd::service::{Order, Recipe, Wanted, deliver_findings};

use crate::conformance::judges::dciodvfy;
use crate::support::{phantom_series, python, recipe};

#[test]
fn an_outline_that_cannot_be_written_keeps_no_other_back() {
    let folder = tempfile::tempdir().unwrap();
    phantom_series(55, &["--spacing", "1.5,1.5,3", "--yaw", "4", "--pitch", "0", "--roll", "0"], folder.path());
    let series = assemble(read_folder(folder.path()).unwrap()).unwrap();
    let mut recipe = recipe().clone();
    // A brain has more corners than that, a lens has not.
    recipe.contours.max_points = 24;
    let options = HeadOptions {
        yaw: contourd::phantom::Spread::fixed(4.0),
        pitch: contourd::phantom::Spread::fixed(0.0),
        roll: contourd::phantom::Spread::fixed(0.0),
        ..HeadOptions::default()
    };
    let head = Head::new(55, &options);
    let grid = working_grid_for(&series.volume, &recipe.model.card().working).unwrap();
    let mut found: BTreeMap<Structure, Finding> = truth(&head, &grid)
        .into_iter()
        .map(|(s, mask)| (s, Finding { predicted: mask.count(), mask, effects: Vec::new(), flags: Vec::new() }))
        .collect();
    // One voxel of the working grid, which holds no pixel centre of the acquired planes.
    let speck = found.get_mut(&Structure::Pituitary).unwrap().mask.data_mut();
    let first = speck.iter().position(|v| *v).unwrap();
    speck.iter_mut().skip(first + 1).for_each(|v| *v = false);
    let order = Order::first(Profile::generic(), time::macros::datetime!(2026-03-04 05:06:07));
    let result = deliver_findings(&series, &found, &recipe, &order).unwrap();

    let read = read_rtstruct(&result.packages[0].structure_set.bytes).unwrap();
    for report in &result.report.structures {
        assert_eq!(read.roi(report.structure.name()).is_some(), report.found, "{}", report.structure.name());
        let why = report.flags.iter().find(|f| matches!(f, Flag::NotDrawn { .. }));
        assert_eq!(why.is_some(), !report.found, "{}: {:?}", report.structure.name(), report.flags);
        if let Some(why) = why {
            assert!(why.severity() == Severity::Red && why.to_string().contains("not in the structure set"), "{why}");
        }
    }
    let found = |s| result.report.structures.iter().any(|r| r.structure == s && r.found);
    assert!(!found(Structure::Pituitary) && !found(Structure::Brain));
    assert!(found(Structure::Lens_L) && found(Structure::Lens_R));
}

/// The true masks of a sagittal phantom, for a planning system that wants names and an encoding of its own and an archive
/// that wants the acquired planes and a Segmentation, with a margin and a difference.
#[test]
fn each_destination_gets_what_its_profile_wants_and_others_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    let shape = ["--acquisition", "sagittal", "--spacing", "1.4,1.6,2", "--yaw", "6", "--pitch", "3", "--roll", "-4"];
    phantom_series(56, &shape, &images);
    let series = assemble(read_folder(&images).unwrap()).unwrap();
    let derived: Vec<DerivedConfig> = [
        "name = 'OpticNrv_PRV03_L'\nof = ['OpticNrv_L']\nmargin_mm = 3",
        "name = 'Brain-Brainstem'\nof = ['Brain']\nminus = ['Brainstem']",
        "name = 'Lenses'\nof = ['Lens_L', 'Lens_R']\nwithin = ['Pituitary']",
    ]
    .into_iter()
    .map(|text| toml::from_str(text).unwrap())
    .collect();
    let recipe = Recipe { derived: derived.clone(), ..recipe().clone() };
    let planning: ProfileConfig = toml::from_str(
        "name = 'tps'\nlike = 'eclipse'\nexplicit_vr = true\nmax_points = 400\n\
         aliases = { Eye_L = 'Left Eye', OpticNrv_PRV03_L = 'PRV ON L' }",
    )
    .unwrap();
    let archive: ProfileConfig =
        toml::from_str("name = 'archive'\nplanes = 'acquired'\nsegmentation = true\nempty_rois = 'declare'").unwrap();
    let profiles = [planning.resolve(&derived).unwrap(), archive.resolve(&derived).unwrap()];

    let options = HeadOptions {
        yaw: contourd::phantom::Spread::fixed(6.0),
        pitch: contourd::phantom::Spread::fixed(3.0),
        roll: contourd::phantom::Spread::fixed(-4.0),
        ..HeadOptions::default()
    };
    let head = Head::new(56, &options);
    let grid = working_grid_for(&series.volume, &recipe.model.card().working).unwrap();
    let found: BTreeMap<Structure, Finding> = truth(&head, &grid)
        .into_iter()
        .map(|(s, mask)| (s, Finding { predicted: mask.count(), mask, effects: Vec::new(), flags: Vec::new() }))
        .collect();
    let mut order = Order::first(profiles[0].clone(), time::macros::datetime!(2026-03-04 05:06:07));
    order.wanted.push(Wanted { profile: profiles[1].clone(), predecessor: None });
    // Every built-in profile besides, each with a Segmentation on the derived axial planes.
    for name in BUILT_IN {
        let profile = Profile { segmentation: true, ..Profile::built_in(name).unwrap() };
        order.wanted.push(Wanted { profile, predecessor: None });
    }
    let result = deliver_findings(&series, &found, &recipe, &order).unwrap();

    let [planning, archive, built_in @ ..] = result.packages.as_slice() else { panic!("two packages and more") };
    assert_ne!(planning.structure_set.instance, archive.structure_set.instance);
    assert!(!planning.derived.is_empty() && planning.segmentation.is_none() && archive.derived.is_empty());
    assert!(result.report.derived_axial, "the first destination's planes are shown");

    let set = read_rtstruct(&planning.structure_set.bytes).unwrap();
    assert_eq!(set.header.transfer_syntax, "1.2.840.10008.1.2.1");
    assert!(set.roi("Left Eye").is_some() && set.roi("Eye_L").is_none());
    let volume = |name: &str| set.roi(name).unwrap().volume_cc.unwrap();
    assert!(volume("PRV ON L") > 3.0 * volume("OpticNrv_L"));
    let rest = volume("Brain") - volume("Brainstem");
    assert!((volume("Brain-Brainstem") / rest - 1.0).abs() < 0.02, "{} {rest}", volume("Brain-Brainstem"));
    assert!(set.rois.iter().flat_map(|roi| &roi.contours).all(|contour| contour.points.len() <= 400));
    let lenses = result.report.derived.iter().find(|d| d.name == "Lenses").unwrap();
    assert!(!lenses.made && lenses.remarks == ["nothing is left of it"], "{lenses:?}");
    let declared = read_rtstruct(&archive.structure_set.bytes).unwrap();
    assert_eq!(declared.roi("Lenses").unwrap().contours, []);

    // The Segmentation holds, pixel for pixel, what the contours of the same package enclose.
    let segmentation = archive.segmentation.as_ref().unwrap();
    let file = folder.path().join("seg.dcm");
    std::fs::write(&file, &segmentation.bytes).unwrap();
    assert_eq!(dciodvfy(&file), Vec::<String>::new());
    let sets = [&planning.structure_set, &archive.structure_set];
    for (n, set) in sets.into_iter().enumerate() {
        let path = folder.path().join(format!("set{n}.dcm"));
        std::fs::write(&path, &set.bytes).unwrap();
        assert_eq!(dciodvfy(&path), Vec::<String>::new());
    }
    highdicom_reads(&file, &series, &declared);

    let axial = result.derived_series.as_ref().unwrap();
    assert_eq!(built_in.len(), BUILT_IN.len());
    for package in built_in {
        let path = |what: &str| folder.path().join(format!("{}.{what}.dcm", package.profile));
        let [set, segmentation] = [&package.structure_set, package.segmentation.as_ref().unwrap()];
        for (object, path) in [(set, path("set")), (segmentation, path("seg"))] {
            std::fs::write(&path, &object.bytes).unwrap();
            assert_eq!(dciodvfy(&path), Vec::<String>::new(), "{}", path.display());
        }
        highdicom_reads(&path("seg"), axial, &read_rtstruct(&set.bytes).unwrap());
    }
}

/// Holds what highdicom and we read of a Segmentation on the planes of a series against the contours of a structure set.
fn highdicom_reads(file: &Path, planes: &Series, set: &StructureSet) {
    let own = read_segmentation(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(own.segments.len(), 12);
    let said = python("read_segmentation.py", &[file.as_os_str()]);
    for segment in &own.segments {
        let mask = segment.mask(planes).unwrap();
        let pixels = rasterise(&set.roi(&segment.label).unwrap().plane_contours(planes).unwrap(), mask.grid());
        assert_eq!(mask.data(), pixels.data(), "{}", segment.label);
        let k = (0..mask.grid().shape().slices).find(|k| mask.slice(*k).contains(&true)).unwrap();
        let first = &planes.slices[k].instance;
        let line = format!("{} {} {first}", segment.label, mask.count());
        assert!(said.lines().any(|l| l == line), "highdicom does not read {line:?} but:\n{said}");
    }
}
