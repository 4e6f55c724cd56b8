//! A model with a class that only its card knows, from images to what other people's programs read, without a line of code
//! for it; and models that know fewer classes than eight.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use contourd::anatomy::quality::Light;
use contourd::anatomy::rules::{Flag, NotTraced, Rule};
use contourd::anatomy::{Class, Structure};
use contourd::contour::contours_of;
use contourd::dicom::data::{
    EncodedInstance, Profile, RoiContours, Series, assemble, read_folder, read_rtstruct, read_segmentation,
    write_rtstruct,
};
use contourd::geometry::{Grid, Lps, Mask, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Acquisition, Head, HeadOptions, ImageOptions, Spread, image, truth};
use contourd::service::{Recipe, Report, Segmentation};
use serde_json::{Value, json};

use crate::conformance::judges::{dciodvfy, judge};
use crate::conformance::networks_of;
use crate::support::{contourd, meta, mr_series, recipe_of, run};

pub const MODEL: &str = "nine-classes";
/// SNOMED CT's cochlea, as the fixture's card has it.
const COCHLEA: (&str, &str) = ("80169004", "SCT");

/// The fixture and what stands beside it, in a configuration of its own: the image check does not know painted heads.
pub fn config(folder: &Path, more: &str) -> PathBuf {
    config_of(MODEL, folder, more)
}

fn config_of(model: &str, folder: &Path, more: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let file = folder.join(format!("{model}.toml"));
    let text = format!("[domain]\nenabled = false\n[models]\ndir = {models:?}\ndefault = \"{model}\"\n{more}");
    std::fs::write(&file, text).unwrap();
    file
}

/// A turned head whose organs are painted in the grey values that the fixture takes them for, its cochleae as balls.
pub struct Painted {
    pub images: Vec<EncodedInstance>,
    pub truth: BTreeMap<String, Mask>,
}

fn ball(grid: &Arc<Grid>, centre: Lps, radius: f64) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    for offset in 0..mask.data().len() {
        let [i, j, k] = mask.voxel(offset);
        mask.data_mut()[offset] = grid.centre(i, j, k).distance(centre) <= radius;
    }
    mask
}

pub fn painted(series: &str) -> Painted {
    let [yaw, pitch, roll] = [17.0, -6.0, 9.0].map(Spread::fixed);
    let head = Head::new(4728, &HeadOptions { yaw, pitch, roll, ..HeadOptions::default() });
    let frame = FrameOfReferenceUid::derive(&["painted", series]);
    let grid = Acquisition::Axial.grid(frame, &head.field_of_view(100.0), Some([1.3, 1.2, 1.5])).unwrap();
    let grid = Arc::new(grid);
    let organs = truth(&head, &grid);
    let tissue = image(&head, &grid, &ImageOptions::draw(1)).map(|v| *v > 60.0);
    let grey = |structure: Structure| -> f32 {
        match structure.class() {
            Class::Brain => 300.0,
            Class::Hippocampus => 380.0,
            Class::Brainstem => 460.0,
            Class::Pituitary => 540.0,
            Class::Chiasm => 620.0,
            Class::OpticNerve => 700.0,
            Class::Eye => 780.0,
            _ => 865.0,
        }
    };
    let mut picture: Volume<f32> = tissue.map(|inside| if *inside { 120.0 } else { 0.0 });
    let mut paint = |mask: &Mask, value: f32| {
        picture.data_mut().iter_mut().zip(mask.data()).filter(|(_, inside)| **inside).for_each(|(v, _)| *v = value);
    };
    let mut inwards: Vec<Structure> = Structure::ALL.to_vec();
    inwards.sort_by(|a, b| grey(*a).total_cmp(&grey(*b)));
    inwards.iter().for_each(|s| paint(&organs[s], grey(*s)));
    // Beside and below the middle of the brain, in the head's own axes.
    let [left, back, up] = head.axes();
    let middle = organs[&Structure::Brain].barycentre().unwrap();
    let place = |along: f64| middle + left * along + back * 2.0 + up * -52.0;
    let cochleae = [("Cochlea_L", ball(&grid, place(25.0), 4.2)), ("Cochlea_R", ball(&grid, place(-25.0), 3.4))];
    cochleae.iter().for_each(|(_, mask)| paint(mask, 1000.0));
    // And something as bright, but smaller, elsewhere on the left.
    paint(&ball(&grid, middle + left * 35.0 + up * 30.0, 2.5), 1000.0);
    let own = organs.into_iter().map(|(s, mask)| (s.name().to_owned(), mask));
    let truth = own.chain(cochleae.map(|(name, mask)| (name.to_owned(), mask))).collect();
    Painted { images: mr_series(&picture, series, "Muster^Erika"), truth }
}

impl Painted {
    pub fn series(&self, folder: &Path) -> Series {
        std::fs::create_dir_all(folder).unwrap();
        for (n, object) in self.images.iter().enumerate() {
            std::fs::write(folder.join(format!("{n:04}.dcm")), &object.bytes).unwrap();
        }
        assemble(read_folder(folder).unwrap()).unwrap()
    }

    /// The truth as a structure set, under these names.
    pub fn structure_set(&self, series: &Series) -> Vec<u8> {
        let roi = |(name, mask): (&String, &Mask)| RoiContours {
            roi: Structure::from_name(name).unwrap().into(),
            contours: contours_of(mask, &Default::default()).unwrap(),
            volume_cc: mask.cc(),
            description: String::new(),
        };
        let rois: Vec<RoiContours> = self.truth.iter().map(roi).collect();
        write_rtstruct(series, &rois, &meta("TRUTH"), &Profile::generic()).unwrap().bytes
    }
}

/// What DCMTK reads, as JSON (PS3.18).
fn dcm2json(file: &Path) -> Value {
    serde_json::from_str(&run(Command::new("dcm2json").arg(file))).unwrap()
}

fn code(item: &Value) -> (&str, &str) {
    let of = |tag: &str| item[tag]["Value"][0].as_str().unwrap();
    (of("00080100"), of("00080102"))
}

#[test]
fn a_class_that_only_the_card_knows_is_segmented_delivered_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Its structures are names in the site's own sections, too.
    let sections = "[[profile]]\nname = \"tps\"\naliases = { Cochlea_L = \"Cochlea left\" }\n\
                    [[derived]]\nname = \"Cochlea_PRV02_L\"\nof = [\"Cochlea_L\"]\nmargin_mm = 2\n";
    let config = config(folder.path(), sections);
    let painted = painted("1.2.840.77.40");
    let images = path("mr");
    let series = painted.series(&images);
    let mut segment = contourd();
    segment.arg("segment").arg(&images).arg("--config").arg(&config);
    segment.arg("--output").arg(path("rtss.dcm")).arg("--segmentation").arg(path("seg.dcm"));
    let table = run(segment.arg("--report").arg(path("report.json")).arg("--picture").arg(path("sheet.png")));
    assert!(table.contains("Cochlea_L") && table.contains("Cochlea_R"), "{table}");

    // Names of the report are known once a card has them.
    recipe_of(&config);
    // Of each structure of the model a row: the twelve, then its own.
    let report: Report = serde_json::from_slice(&std::fs::read(path("report.json")).unwrap()).unwrap();
    let cochlea = Class::from_name("cochlea").unwrap();
    let of_card: Vec<Structure> = cochlea.structures().collect();
    let named: Vec<Structure> = report.structures.iter().map(|s| s.structure).collect();
    assert_eq!(named, [&Structure::ALL[..], &of_card].concat());
    for structure in &report.structures {
        assert!(structure.found, "{} was painted and is not found", structure.structure.name());
        assert_ne!(structure.light, Some(Light::Green), "no calibration, no green");
    }
    let left = report.structures.iter().find(|s| s.structure == of_card[0]).unwrap();
    assert!(
        left.reasons.iter().any(|r| r.contains("the model's card does not say what is usual")),
        "{:?}",
        left.reasons
    );
    let effect = |rule| left.effects.iter().find(|e| e.rule == rule).map(|e| (e.added, e.removed));
    let removed = effect(Rule::LargestComponent).unwrap().1;
    assert!((3..40).contains(&removed), "the bright speck elsewhere had {removed} voxels");
    assert_eq!(effect(Rule::Enclosed), None, "nothing was said to enclose it");

    // Read by ours, and by DCMTK: name, colour, code, side.
    assert_eq!(dciodvfy(&path("rtss.dcm")), Vec::<String>::new());
    assert_eq!(dciodvfy(&path("seg.dcm")), Vec::<String>::new());
    let set = read_rtstruct(&std::fs::read(path("rtss.dcm")).unwrap()).unwrap();
    let (rtss, seg) = (dcm2json(&path("rtss.dcm")), dcm2json(&path("seg.dcm")));
    for (name, colour, side) in
        [("Cochlea_L", [170, 110, 255], ("7771000", "SCT")), ("Cochlea_R", [104, 60, 184], ("24028007", "SCT"))]
    {
        let roi = set.roi(name).unwrap();
        assert_eq!(roi.colour, Some(colour));
        let own = |pair: (&str, &str)| Some((pair.0.to_owned(), pair.1.to_owned()));
        assert_eq!((&roi.code, &roi.laterality), (&own(COCHLEA), &own(side)));
        let item = |sequence: &str, tag: &str, wanted: &Value| {
            let items = rtss[sequence]["Value"].as_array().unwrap();
            items.iter().find(|item| item[tag]["Value"][0] == *wanted).unwrap().clone()
        };
        let number = item("30060020", "30060026", &json!(name))["30060022"]["Value"][0].clone();
        assert_eq!(item("30060039", "30060084", &number)["3006002A"]["Value"], json!(colour));
        let identity = &item("30060080", "30060084", &number)["30060086"]["Value"][0];
        assert_eq!((code(identity), code(&identity["00620011"]["Value"][0])), (COCHLEA, side));
        let segments = seg["00620002"]["Value"].as_array().unwrap();
        let segment = segments.iter().find(|s| s["00620005"]["Value"][0] == name).unwrap();
        let kind = &segment["0062000F"]["Value"][0];
        assert_eq!((code(kind), code(&kind["00620011"]["Value"][0])), (COCHLEA, side));
    }
    assert!(set.roi("Cochlea_PRV02_L").unwrap().volume_cc > set.roi("Cochlea_L").unwrap().volume_cc);
    let segments = read_segmentation(&std::fs::read(path("seg.dcm")).unwrap()).unwrap().segments;
    assert!(segments.iter().any(|s| s.label == "Cochlea_R" && s.mask(&series).unwrap().count() > 20));

    // Plastimatch reads every structure as our mask has it, on the side where it was painted.
    let recipe = Recipe { derived: Vec::new(), ..recipe_of(&config) };
    let (result, found) = networks_of(&recipe, &series);
    let read = judge(&result, &found, &series, &images);
    for structure in of_card {
        let (theirs, truth) = (&read[&structure], &painted.truth[structure.name()]);
        let off = theirs.barycentre().unwrap().distance(truth.barycentre().unwrap());
        assert!(off < 1.0, "{}: {off:.2} mm from where it was painted", structure.name());
    }

    // Measured against the truth; missed, it counts as a miss where the model is named.
    std::fs::write(path("truth.dcm"), painted.structure_set(&series)).unwrap();
    let evaluate = |test: &Path, more: &[&str]| {
        let mut verb = contourd();
        verb.arg("evaluate").arg("--reference").arg(path("truth.dcm")).arg("--test").arg(test);
        let out = tempfile::tempdir().unwrap();
        run(verb.arg("--series").arg(&images).arg("--output").arg(out.path().join("out")).args(more));
        let table = std::fs::read(out.path().join("out/measures.json")).unwrap();
        serde_json::from_slice::<Value>(&table).unwrap()
    };
    let dice = |table: &Value, name: &str| {
        let rows = table["cases"][0]["rows"].as_array().unwrap();
        rows.iter().find(|r| r["structure"] == name).map(|r| r["overlap"]["dice"].clone())
    };
    let measured = evaluate(&path("rtss.dcm"), &[]);
    // Its networks ask for nearly the full grey value, which partial volume leaves to the inside.
    for (name, least) in [("Cochlea_L", 0.6), ("Cochlea_R", 0.55), ("Brain", 0.9), ("Eye_L", 0.75), ("Eye_R", 0.75)] {
        let dice = dice(&measured, name).and_then(|v| v.as_f64()).unwrap_or_else(|| panic!("{name}: {measured}"));
        assert!(dice > least, "{name}: Dice {dice:.3} with what was painted");
        println!("{name}: Dice {dice:.3}");
    }

    // A model that does not know it delivers nothing of it.
    std::fs::write(path("lesser.dcm"), &few(folder.path(), &series).packages[0].structure_set.bytes).unwrap();
    assert_eq!(dice(&evaluate(&path("lesser.dcm"), &[]), "Cochlea_L"), None);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(MODEL);
    let missed = evaluate(&path("lesser.dcm"), &["--model", model.to_str().unwrap()]);
    assert_eq!(dice(&missed, "Cochlea_L").and_then(|v| v.as_f64()), Some(0.0), "{missed}");
}

/// What a model of brain, eyes and nerves makes of a series.
fn few(folder: &Path, series: &Series) -> Segmentation {
    let config = config_of("three-classes", folder, "");
    networks_of(&recipe_of(&config), series).0
}

/// What a model does not know is not looked for; rules that need it say so.
#[test]
fn a_model_of_fewer_classes_delivers_those() {
    let folder = tempfile::tempdir().unwrap();
    let painted = painted("1.2.840.77.41");
    let series = painted.series(&folder.path().join("mr"));
    let result = few(folder.path(), &series);
    let names: Vec<&str> = result.report.structures.iter().map(|s| s.structure.name()).collect();
    assert_eq!(names, ["Eye_L", "Eye_R", "OpticNrv_L", "OpticNrv_R", "Brain"]);
    let gone = "the model three-classes does not look for Hippocampus_L, Hippocampus_R, Brainstem, Lens_L, Lens_R, \
                OpticChiasm, Pituitary";
    assert!(result.report.warnings.iter().any(|w| w == gone), "{:?}", result.report.warnings);
    for structure in &result.report.structures {
        assert!(structure.found, "{}", structure.structure.name());
        let untraced =
            structure.flags.iter().any(|flag| matches!(flag, Flag::NerveNotTraced { why: NotTraced::NoChiasm { .. } }));
        assert_eq!(untraced, structure.structure.class() == Class::OpticNerve, "{:?}", structure.flags);
    }
    let set = read_rtstruct(&result.packages[0].structure_set.bytes).unwrap();
    assert_eq!(set.rois.iter().map(|roi| roi.name.as_str()).collect::<Vec<_>>(), names);
}
