//! Lopsided phantoms, whose truth is known: their true masks in the networks' place on every kind of acquisition, what
//! the networks make of one with a single eye, and planes that are stored mirrored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use contourd::anatomy::quality::Light;
use contourd::anatomy::rules::{Finding, Flag, Severity};
use contourd::anatomy::{Class, Side, Structure};
use contourd::dicom::data::{Series, assemble, read_folder};
use contourd::geometry::{Grid, Index, Mask, Shape, Vec3, Volume, working_grid_for, working_volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Acquisition, Head, HeadOptions, ImageOptions, Spread, image, truth};
use contourd::service::deliver_findings;

use super::judges::judge;
use super::{networks, order};
use crate::support::{mr_series, phantom_series, recipe};

/// Turned, nodded and tilted, so that nothing lies along the patient's axes, left is not right, and the flat chiasm does
/// not lie within one slice.
const POSE: [f64; 3] = [11.0, -7.0, 6.0];

/// A lens has about 170 voxels of 1 mm3. Whether a voxel's centre lies inside is chance, and for most heads the count
/// alone, without a line of the chain, misses the analytic volume of one of the twelve structures by 2 to 4 %. To see
/// an error of the chain below that, the heads are chosen by this count, before anything of the chain has run: within
/// 1.2 % for all twelve on the grid that is delivered.
const SEED: u64 = 4728;
const SEED_FOR_THICK_SLICES: u64 = 4711;

fn options(missing_eye: Option<Side>) -> HeadOptions {
    let [yaw, pitch, roll] = POSE.map(Spread::fixed);
    HeadOptions { yaw, pitch, roll, missing_eye, ..HeadOptions::default() }
}

/// The series of a phantom, through the command line and its files.
fn acquired(seed: u64, acquisition: Acquisition, missing_eye: Option<Side>, folder: &Path) -> Series {
    let name = acquisition.to_possible_value().unwrap().get_name().to_owned();
    let [yaw, pitch, roll] = POSE.map(|degrees| degrees.to_string());
    let mut more = vec!["--acquisition", &name, "--yaw", &yaw, "--pitch", &pitch, "--roll", &roll];
    if let Some(side) = missing_eye {
        more.extend(["--missing-eye", if side == Side::Left { "left" } else { "right" }]);
    }
    phantom_series(seed, &more, folder);
    assemble(read_folder(folder).unwrap()).unwrap()
}

/// The true masks as the rules would hand them on. Organs of less than 2 cm3 are taken on a fine grid of their own:
/// counted on the working grid (0.7 x 0.7 x 0.9 mm) and then once more on the delivered planes, a lens would be off by
/// both errors, and what is judged here is the delivery alone.
fn true_findings(head: &Head, working: &Arc<Grid>) -> BTreeMap<Structure, Finding> {
    let finding = |(structure, coarse): (Structure, Mask)| {
        let mask = if coarse.cc() < 2.0 { finely(head, structure, coarse) } else { coarse };
        (structure, Finding { predicted: mask.count(), mask, effects: Vec::new(), flags: Vec::new() })
    };
    truth(head, working).into_iter().map(finding).collect()
}

/// The same structure on a grid of 0.25 mm about it; an empty mask stays as it is.
fn finely(head: &Head, structure: Structure, coarse: Mask) -> Mask {
    const FINE: f64 = 0.25;
    const MARGIN: f64 = 2.0;
    let Some(extent) = coarse.extent() else { return coarse };
    let grid = coarse.grid();
    let first = grid.centre(extent.lo[0], extent.lo[1], extent.lo[2]) - Vec3::new(MARGIN, MARGIN, MARGIN);
    let size = extent.size();
    let [cols, rows, slices] =
        std::array::from_fn(|a| ((size[a] as f64 * grid.spacing()[a] + 2.0 * MARGIN) / FINE) as usize);
    let fine = Grid::axis_aligned(grid.frame().clone(), Shape::new(cols, rows, slices), first, [FINE; 3]).unwrap();
    truth(head, &Arc::new(fine)).remove(&structure).unwrap()
}

/// How far each sided structure lies on its own side of the head, mm; negative on the other one.
fn onto_its_side(head: &Head, read: &BTreeMap<Structure, Mask>) -> BTreeMap<Structure, f64> {
    let [left, ..] = head.axes();
    let brain = read[&Structure::Brain].barycentre().unwrap();
    let sided = read.iter().filter_map(|(structure, mask)| {
        let along = left.dot(mask.barycentre().unwrap() - brain);
        Some((*structure, if structure.side()? == Side::Left { along } else { -along }))
    });
    sided.collect()
}

fn assert_sides(head: &Head, read: &BTreeMap<Structure, Mask>) {
    for (structure, along) in onto_its_side(head, read) {
        assert!(along > 0.0, "{} lies {:.1} mm on the other side", structure.name(), -along);
    }
}

/// The true masks of a phantom in the networks' place: what the delivery alone makes of them.
fn phantom_truth(seed: u64, acquisition: Acquisition, missing_eye: Option<Side>) {
    let head = Head::new(seed, &options(missing_eye));
    let scratch = tempfile::tempdir().unwrap();
    let series = acquired(seed, acquisition, missing_eye, scratch.path());
    let recipe = recipe();
    let grid = working_grid_for(&series.volume, &recipe.model.card().working).unwrap();
    let found = true_findings(&head, &grid);
    let result = deliver_findings(&series, &found, recipe, &order()).unwrap();
    let read = judge(&result, &found, &series, scratch.path());
    assert_sides(&head, &read);
    let mut off = Vec::new();
    for structure in Structure::ALL {
        assert_eq!(read.contains_key(&structure), head.has(structure), "{}", structure.name());
        let Some(mask) = read.get(&structure) else { continue };
        let ratio = mask.cc() / head.volume_cc(structure);
        println!("{acquisition:?} {:<14} {:.3} cm3, {ratio:.4} of the analytic volume", structure.name(), mask.cc());
        // A lens and a nerve are 4 mm thick, a gland 5 mm high: what planes 1 or 2 mm apart happen to meet of them is
        // off by more.
        let allowed = match structure.class() {
            Class::Lens => 0.05,
            Class::OpticNerve => 0.03,
            Class::Chiasm | Class::Pituitary if acquisition == Acquisition::Anisotropic => 0.08,
            _ => 0.02,
        };
        if (ratio - 1.0).abs() > allowed {
            off.push(format!("{}: {ratio:.4} of its analytic volume", structure.name()));
        }
    }
    assert_eq!(off, Vec::<String>::new(), "{acquisition:?}");
    assert_eq!(read.len(), if missing_eye.is_some() { 9 } else { 12 });
}

#[test]
fn the_true_masks_of_a_phantom_axial() {
    phantom_truth(SEED, Acquisition::Axial, None);
}

#[test]
fn the_true_masks_of_a_phantom_oblique() {
    phantom_truth(SEED, Acquisition::Oblique, None);
}

#[test]
fn the_true_masks_of_a_phantom_anisotropic() {
    phantom_truth(SEED_FOR_THICK_SLICES, Acquisition::Anisotropic, None);
}

#[test]
fn the_true_masks_of_a_phantom_sagittal() {
    phantom_truth(SEED, Acquisition::Sagittal, None);
}

#[test]
fn the_true_masks_of_a_phantom_coronal() {
    phantom_truth(SEED, Acquisition::Coronal, None);
}

#[test]
fn the_true_masks_of_a_phantom_feet_first() {
    phantom_truth(SEED, Acquisition::FeetFirst, None);
}

#[test]
fn a_phantom_with_one_eye_keeps_one_eye() {
    phantom_truth(SEED, Acquisition::Axial, Some(Side::Right));
}

/// The networks are weak, so nothing is asked of the shapes: the eye that is there is found where it is, the empty orbit
/// stays empty, what was not found is reported so, and nothing of one side is handed out as the other's without a red flag.
#[test]
fn the_networks_result_on_a_one_eyed_head_lies_on_its_side() {
    let missing = Side::Right;
    let head = Head::new(SEED, &options(Some(missing)));
    let scratch = tempfile::tempdir().unwrap();
    let series = acquired(SEED, Acquisition::Axial, Some(missing), scratch.path());
    let (result, found) = networks(&series);
    let read = judge(&result, &found, &series, scratch.path());
    let sides = onto_its_side(&head, &read);
    for report in &result.report.structures {
        let (structure, name) = (report.structure, report.structure.name());
        let flags: Vec<String> = report.flags.iter().map(ToString::to_string).collect();
        println!("{name:<14} {:>9.3} cm3, side {:?}, {flags:?}", report.volume_cc, sides.get(&structure));
        let not_found = report.flags.iter().any(|flag| matches!(flag, Flag::NotFound { .. }));
        assert_eq!(not_found, found[&structure].mask.is_empty(), "{name}");
        // What is left of a nerve without an eye lies at the chiasm, too near to the middle for a sure side: then a red
        // flag says so.
        let red = report.flags.iter().any(|flag| flag.severity() == Severity::Red);
        if let Some(along) = sides.get(&structure) {
            assert!(*along > 0.0 || red, "{name} lies {:.1} mm on the other side, and no flag says so", -along);
        }
    }
    let light = |structure| result.report.structures.iter().find(|s| s.structure == structure).and_then(|s| s.light);
    for gone in [Structure::Eye_R, Structure::Lens_R] {
        assert!(!read.contains_key(&gone), "{} was removed by surgery", gone.name());
        assert_eq!(light(gone), Some(Light::Amber), "{}: missing with its eye", gone.name());
    }
    assert_ne!(light(Structure::OpticNrv_R), Some(Light::Green), "a nerve without an eye");
    assert_eq!(light(Structure::Brain), Some(Light::Green), "nothing is green: is anything judged?");
    let (eye, truth) = (Structure::Eye_L, truth(&head, series.volume.grid()));
    assert!(sides.get(&eye).is_some_and(|along| *along > 10.0), "the eye that is there was not found");
    let inside = read[&eye].data().iter().zip(truth[&eye].data()).filter(|(a, b)| **a && **b).count();
    assert!(2 * inside > read[&eye].count(), "{inside} of {} voxels lie in the true eye", read[&eye].count());
}

/// The same voxels, stored from another corner: columns and rows may run the other way, and slices run along the normal
/// that follows.
fn stored_from(corner: [bool; 2], volume: &Volume<f32>) -> Volume<f32> {
    let (grid, [cols_back, rows_back]) = (volume.grid(), corner);
    let s = grid.shape();
    let slices_back = cols_back != rows_back;
    let from = |[i, j, k]: [usize; 3]| {
        let pick = |back: bool, n: usize, at: usize| if back { n - 1 - at } else { at };
        [pick(cols_back, s.cols, i), pick(rows_back, s.rows, j), pick(slices_back, s.slices, k)]
    };
    let [i, j, k] = from([0, 0, 0]).map(|v| v as f64);
    let [x, y, z] = grid.axes();
    let sign = |back: bool| if back { -1.0 } else { 1.0 };
    let axes = [x * sign(cols_back), y * sign(rows_back), z * sign(slices_back)];
    let target = Grid::new(grid.frame().clone(), s, grid.to_lps(Index::new(i, j, k)), axes, grid.spacing()).unwrap();
    let mut out = Volume::filled(Arc::new(target), 0.0f32);
    for offset in 0..out.data().len() {
        let [i, j, k] = from(out.voxel(offset));
        out.data_mut()[offset] = volume.at(i, j, k);
    }
    out
}

/// Rows from left to right, columns from the neck to the nose, both: the pictures look mirrored or upside down, the
/// patient is the same.
#[test]
fn a_mirrored_acquisition_keeps_its_sides() {
    let head = Head::new(SEED, &options(None));
    let frame = FrameOfReferenceUid::derive(&["mirrored"]);
    let grid = Acquisition::Axial.grid(frame, &head.field_of_view(110.0), Some([2.0, 1.8, 3.0])).unwrap();
    let volume = image(&head, &Arc::new(grid), &ImageOptions::draw(SEED));
    let recipe = recipe();
    let working = &recipe.model.card().working;
    let mut seen: Option<(Vec<f32>, BTreeMap<Structure, Finding>)> = None;
    for corner in [[false, false], [true, false], [false, true], [true, true]] {
        let scratch = tempfile::tempdir().unwrap();
        for (n, object) in mr_series(&stored_from(corner, &volume), "1.2.840.77.3", "Muster^Erika").iter().enumerate() {
            std::fs::write(scratch.path().join(format!("{n:04}.dcm")), &object.bytes).unwrap();
        }
        let series = assemble(read_folder(scratch.path()).unwrap()).unwrap();
        let [columns, rows, _] = series.volume.grid().axes();
        assert_eq!([columns.x < 0.0, rows.y < 0.0], corner, "the series is stored as this test wants it");
        // What the networks get to see is the same, so that they cannot confuse sides either.
        let image = working_volume(&series.volume, working).unwrap();
        let (first, found) = seen.get_or_insert_with(|| (image.data().to_vec(), true_findings(&head, image.grid())));
        let furthest = first.iter().zip(image.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 0.5, "{corner:?}: the networks' input differs by {furthest} of 1000");
        let result = deliver_findings(&series, found, recipe, &order()).unwrap();
        let read = judge(&result, found, &series, scratch.path());
        assert_eq!(read.len(), 12, "{corner:?}");
        assert_sides(&head, &read);
    }
}
