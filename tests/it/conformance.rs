//! Structure sets on every kind of acquisition, judged by other people's programs: dciodvfy and dcentvfy find nothing
//! to complain of, and plastimatch reads every structure as our mask has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clap::ValueEnum;
use contourd::anatomy::rules::{self, Finding};
use contourd::anatomy::{Side, Structure};
use contourd::contour::outline;
use contourd::dicom::data::{Series, assemble, read_folder};
use contourd::evaluation::dice;
use contourd::geometry::{Grid, Mask, resample_mask, working_grid_for, working_volume};
use contourd::phantom::{Acquisition, Head, HeadOptions, Spread, truth};
use contourd::service::{Order, Recipe, Segmentation, deliver_findings, segment_series};

use crate::support::{contourd, phantom_series, recipe, run};

/// The real head of Debian's mricron-data. Used as input; nothing is fitted to it.
const HEAD: &str = "/usr/share/mricron/templates/ch2.nii.gz";

const SEED: u64 = 4711;

fn order() -> Order {
    Order { revision: 1, predecessor: None, created: time::macros::datetime!(2026-03-04 05:06:07) }
}

/// Everything dciodvfy says of a file as Error or Warning; it must also end with status 0.
fn dciodvfy(file: &Path) -> Vec<String> {
    let out = Command::new("dciodvfy").arg("-new").arg(file).output().expect("dciodvfy (dicom3tools) is needed");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let mut complaints: Vec<String> =
        text.lines().filter(|l| l.starts_with("Error") || l.starts_with("Warning")).map(str::to_owned).collect();
    if !out.status.success() {
        complaints.push(format!("exit status {:?}", out.status.code()));
    }
    complaints
}

fn dcentvfy(files: &[PathBuf]) {
    let out = Command::new("dcentvfy").args(files).output().expect("dcentvfy (dicom3tools) is needed");
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.trim().is_empty(), "dcentvfy complains:\n{said}");
}

/// What plastimatch makes of a structure set: one mask a structure, on the images' grid.
fn plastimatch(structure_set: &Path, images: &Path, planes: &Series, scratch: &Path) -> BTreeMap<String, Mask> {
    let prefix = scratch.join("plastimatch");
    // plastimatch ends with status 0 even when it read nothing: what counts is the files.
    run(Command::new("plastimatch")
        .arg("convert")
        .arg("--input")
        .arg(structure_set)
        .arg("--referenced-ct")
        .arg(images)
        .arg("--output-prefix")
        .arg(&prefix)
        .args(["--prefix-format", "mha"]));
    let mut masks = BTreeMap::new();
    for entry in std::fs::read_dir(&prefix).expect("plastimatch wrote nothing").flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        masks.insert(name, read_mha(&path, planes.volume.grid()));
    }
    masks
}

/// A MetaImage of unsigned bytes, not compressed, whose grid must be `grid` (columns, rows and slices the same way).
fn read_mha(path: &Path, grid: &Arc<Grid>) -> Mask {
    let bytes = std::fs::read(path).unwrap();
    let marker = b"ElementDataFile = LOCAL\n";
    let at = bytes.windows(marker.len()).position(|w| w == marker).expect("a MetaImage header") + marker.len();
    let header = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let field = |key: &str| -> Vec<f64> {
        let line = header.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("{key} in {header}"));
        line.split('=').nth(1).unwrap().split_whitespace().filter_map(|v| v.parse().ok()).collect()
    };
    assert!(header.contains("ElementType = MET_UCHAR") && !header.contains("CompressedData = True"), "{header}");
    let shape = grid.shape();
    assert_eq!(field("DimSize"), [shape.cols as f64, shape.rows as f64, shape.slices as f64], "{header}");
    let offset = field("Offset");
    let origin = grid.origin().to_array();
    // Slices may be stored from the other end.
    let far = grid.centre(0, 0, shape.slices - 1).to_array();
    let near = |a: [f64; 3]| (0..3).all(|n| (a[n] - offset[n]).abs() < 0.01);
    assert!(near(origin) || near(far), "plastimatch places the volume at {offset:?}, we at {origin:?}");
    let slab = shape.cols * shape.rows;
    let mut data: Vec<bool> = bytes[at..].iter().map(|v| *v != 0).collect();
    if !near(origin) {
        data = data.chunks_exact(slab).rev().flatten().copied().collect();
    }
    Mask::new(Arc::clone(grid), data).unwrap()
}

/// A finished case on disk, as another system would get it.
struct Delivered {
    folder: tempfile::TempDir,
    structure_set: PathBuf,
    images: PathBuf,
}

fn write_out(result: &Segmentation, source: &Path) -> Delivered {
    let folder = tempfile::tempdir().unwrap();
    let structure_set = folder.path().join("rtss.dcm");
    std::fs::write(&structure_set, &result.structure_set.bytes).unwrap();
    let images = if result.derived.is_empty() {
        source.to_owned()
    } else {
        let images = folder.path().join("derived");
        std::fs::create_dir(&images).unwrap();
        for (n, object) in result.derived.iter().enumerate() {
            std::fs::write(images.join(format!("{n:04}.dcm")), &object.bytes).unwrap();
        }
        images
    };
    Delivered { folder, structure_set, images }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// The checks that hold for every result. Returns what plastimatch read.
fn judge(
    result: &Segmentation,
    found: &BTreeMap<Structure, Finding>,
    series: &Series,
    source: &Path,
) -> BTreeMap<Structure, Mask> {
    let planes = result.derived_series.as_ref().unwrap_or(series);
    let delivered = write_out(result, source);
    assert_eq!(dciodvfy(&delivered.structure_set), Vec::<String>::new(), "dciodvfy on the structure set");
    let images = files_in(&delivered.images);
    if !result.derived.is_empty() {
        // Every slice is written by the same code: the first, the last and one between.
        for file in [&images[0], &images[images.len() / 3], images.last().unwrap()] {
            assert_eq!(dciodvfy(file), Vec::<String>::new(), "dciodvfy on a derived slice");
        }
    }
    dcentvfy(&[images, vec![delivered.structure_set.clone()]].concat());

    let mut read = plastimatch(&delivered.structure_set, &delivered.images, planes, delivered.folder.path());
    let mut by_structure = BTreeMap::new();
    for report in &result.report.structures {
        let name = report.structure.name();
        let theirs = read.remove(name);
        assert_eq!(theirs.is_some(), report.found, "{name}: plastimatch has it: {}", theirs.is_some());
        let Some(theirs) = theirs else { continue };
        // The mask on the delivered planes, less the specks and with the holes filled that are reported as such.
        let ours = outline(&resample_mask(&found[&report.structure].mask, planes.volume.grid()), &recipe().contours);
        let ours = ours.unwrap().mask;
        let likeness = dice(&ours, &theirs).unwrap().unwrap();
        assert!(likeness >= 0.99, "{name}: Dice {likeness:.4} between our mask and plastimatch's reading");
        by_structure.insert(report.structure, theirs);
    }
    assert!(read.is_empty(), "plastimatch read structures that are not ours: {:?}", read.keys());
    by_structure
}

/// The networks' own result on the real head, acquired in one of the ways.
fn real_head(acquisition: &str, derived: bool) {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("series");
    run(contourd().args(["demo-series", HEAD]).arg(&source).args(["--acquisition", acquisition]));
    for file in files_in(&source).iter().take(2) {
        assert_eq!(dciodvfy(file), Vec::<String>::new(), "dciodvfy on the demonstration series");
    }
    let series = assemble(read_folder(&source).unwrap()).unwrap();
    let recipe = recipe();
    let result = segment_series(&series, recipe, &order(), &|_, _| ()).unwrap();
    assert_eq!(!result.derived.is_empty(), derived, "{acquisition}");
    // The same stages once more, for the masks behind the contours.
    let working = working_volume(&series.volume, &recipe.model.card().working).unwrap();
    let vote = recipe.model.run(&working.image, &|_| ()).unwrap();
    let found = rules::apply(&vote.labels(), &recipe.rules).unwrap().structures;
    let read = judge(&result, &found, &series, &source);
    assert!(read.contains_key(&Structure::Brain), "no brain was found on {acquisition}");
    println!("{acquisition}: {} of 12 structures, all as plastimatch reads them", read.len());
}

#[test]
fn the_real_head_axial() {
    real_head("axial", false);
}

#[test]
fn the_real_head_oblique() {
    real_head("oblique", false);
}

#[test]
fn the_real_head_anisotropic() {
    real_head("anisotropic", false);
}

#[test]
fn the_real_head_sagittal() {
    real_head("sagittal", true);
}

#[test]
fn the_real_head_coronal() {
    real_head("coronal", true);
}

#[test]
fn the_real_head_feet_first() {
    real_head("feet-first", false);
}

/// The true masks of a lopsided phantom in the networks' place: what the delivery alone makes of them.
fn phantom_truth(acquisition: Acquisition, missing_eye: Option<Side>, recipe: &Recipe) {
    let options = HeadOptions {
        yaw: Spread::fixed(11.0),
        pitch: Spread::fixed(-7.0),
        roll: Spread::fixed(6.0),
        missing_eye,
        ..HeadOptions::default()
    };
    let head = Head::new(SEED, &options);
    let scratch = tempfile::tempdir().unwrap();
    let name = acquisition.to_possible_value().unwrap().get_name().to_owned();
    let mut more = vec!["--acquisition", &name, "--yaw", "11", "--pitch", "-7", "--roll", "6"];
    if let Some(side) = missing_eye {
        more.extend(["--missing-eye", if side == Side::Left { "left" } else { "right" }]);
    }
    phantom_series(SEED, &more, scratch.path());
    let series = assemble(read_folder(scratch.path()).unwrap()).unwrap();
    let grid = working_grid_for(&series.volume, &recipe.model.card().working).unwrap();
    let found = truth(&head, &grid)
        .into_iter()
        .map(|(s, mask)| (s, Finding { predicted: mask.count(), mask, effects: Vec::new(), flags: Vec::new() }))
        .collect();
    let result = deliver_findings(&series, &found, recipe, &order()).unwrap();
    let read = judge(&result, &found, &series, scratch.path());

    let [left, ..] = head.axes();
    let brain = read[&Structure::Brain].barycentre().unwrap();
    for structure in Structure::ALL {
        assert_eq!(read.contains_key(&structure), head.has(structure), "{}", structure.name());
        let Some(mask) = read.get(&structure) else { continue };
        let ratio = mask.cc() / head.volume_cc(structure);
        println!("{acquisition:?} {:<14} {:.3} cm3, {ratio:.4} of the analytic volume", structure.name(), mask.cc());
        // A lens of 150 pixels, or a nerve 4 mm thick on 2 mm slices, is counted no better than to some percent.
        let bound = if head.volume_cc(structure) >= 2.0 { 0.02 } else { 0.1 };
        assert!((ratio - 1.0).abs() <= bound, "{}: {ratio:.4} of its analytic volume", structure.name());
        if let Some(side) = structure.side() {
            let along = left.dot(mask.barycentre().unwrap() - brain);
            assert_eq!(along > 0.0, side == Side::Left, "{} lies {along:.1} mm to the left", structure.name());
        }
    }
    assert_eq!(read.len(), if missing_eye.is_some() { 9 } else { 12 });
}

#[test]
fn the_true_masks_of_a_phantom_axial() {
    phantom_truth(Acquisition::Axial, None, recipe());
}

#[test]
fn the_true_masks_of_a_phantom_oblique() {
    phantom_truth(Acquisition::Oblique, None, recipe());
}

#[test]
fn the_true_masks_of_a_phantom_anisotropic() {
    phantom_truth(Acquisition::Anisotropic, None, recipe());
}

#[test]
fn the_true_masks_of_a_phantom_sagittal() {
    phantom_truth(Acquisition::Sagittal, None, recipe());
}

#[test]
fn the_true_masks_of_a_phantom_coronal() {
    phantom_truth(Acquisition::Coronal, None, recipe());
}

#[test]
fn the_true_masks_of_a_phantom_feet_first() {
    phantom_truth(Acquisition::FeetFirst, None, recipe());
}

#[test]
fn a_phantom_with_one_eye_keeps_one_eye() {
    phantom_truth(Acquisition::Axial, Some(Side::Right), recipe());
}
