//! Slices to a volume, and everything that speaks against it.

use std::sync::Arc;

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::support::{encoded, frame, oblique_grid, read_back, sagittal_grid, with};
use crate::dicom::data::{Refusal, RefusalCode, Refusals, Series, assemble, parse_instances};
use crate::geometry::{Grid, Lps, Shape, Vec3};

fn files() -> Vec<Vec<u8>> {
    encoded(oblique_grid()).into_iter().map(|o| o.bytes).collect()
}

fn put(files: Vec<Vec<u8>>) -> Result<Series, Refusals> {
    assemble(parse_instances(&files).unwrap())
}

/// The only reason.
fn only(files: Vec<Vec<u8>>) -> Refusal {
    let mut refusals = put(files).unwrap_err().0;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals.remove(0)
}

fn position(v: Vec3) -> String {
    v.to_array().map(|c| format!("{c:.9}")).join("\\")
}

/// Moves slice n by some millimetres.
fn moved(files: &[Vec<u8>], n: usize, by: Vec3) -> Vec<u8> {
    let p = oblique_grid().centre(0, 0, n) + by;
    with(&files[n], tags::IMAGE_POSITION_PATIENT, VR::DS, &position(p - Lps::new(0.0, 0.0, 0.0)))
}

#[test]
fn the_order_of_arrival_and_numbers_do_not_matter() {
    let straight = put(files()).unwrap();
    let mut mixed = files();
    mixed.reverse();
    mixed.swap(1, 8);
    for (n, file) in mixed.iter_mut().enumerate() {
        *file = with(file, tags::INSTANCE_NUMBER, VR::IS, &(n * 5 % 11).to_string());
        *file = with(file, tags::SLICE_LOCATION, VR::DS, "0");
        *file = with(file, tags::SLICE_THICKNESS, VR::DS, "99");
        *file = with(file, tags::SPACING_BETWEEN_SLICES, VR::DS, "99");
    }
    let series = put(mixed).unwrap();
    assert_eq!(series.slices, straight.slices);
    assert_eq!(series.volume.grid().id(), straight.volume.grid().id());
    assert_eq!(series.volume.data(), straight.volume.data());
    for (k, slice) in series.slices.iter().enumerate() {
        assert!(slice.position.distance(oblique_grid().centre(0, 0, k)) < 1e-9);
    }
}

#[test]
fn a_stack_listed_against_its_normal_is_turned() {
    // k runs against row x column: the volume comes out along the normal.
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0)];
    let grid = Grid::new(frame(), Shape::new(5, 6, 12), Lps::new(1.0, 2.0, 90.0), axes, [0.5, 0.7, 3.0]).unwrap();
    let series = read_back(&encoded(Arc::new(grid.clone())));
    let first = series.volume.grid().centre(0, 0, 0);
    assert!(first.distance(grid.centre(0, 0, 11)) < 1e-9);
    assert!(series.volume.grid().axes()[2].z > 0.999);
    let place = (11 * 6 + 4) * 5 + 3; // of voxel (3, 4, 11) as written
    assert_eq!(series.volume.at(3, 4, 0), (place * 7 % 4001) as f32);
}

#[test]
fn near_axial_is_judged_by_the_normal() {
    let oblique = put(files()).unwrap();
    assert!(oblique.near_axial(0.90) && !oblique.near_axial(0.95)); // cos 20 degrees = 0.9397
    assert!(!read_back(&encoded(sagittal_grid())).near_axial(0.5));
}

#[test]
fn a_missing_slice_is_named_by_its_neighbours() {
    let mut files = encoded(oblique_grid());
    let (before, after) = (files[4].instance.clone(), files[6].instance.clone());
    files.remove(5);
    let refusal = only(files.into_iter().map(|o| o.bytes).collect());
    assert_eq!(refusal.code, RefusalCode::MissingSlice);
    assert!(refusal.message.contains(before.as_str()) && refusal.message.contains(after.as_str()));
    assert!(refusal.message.starts_with("a slice is missing between"));
    assert_eq!(refusal.tag.as_deref(), Some("(0020,0032) ImagePositionPatient"));
}

#[test]
fn several_holes_are_all_named() {
    let big = Grid::axis_aligned(frame(), Shape::new(4, 5, 20), Lps::new(0.0, 0.0, 0.0), [1.0, 1.5, 2.0]).unwrap();
    let mut files: Vec<Vec<u8>> = encoded(Arc::new(big)).into_iter().map(|o| o.bytes).collect();
    for k in [14, 7, 6] {
        files.remove(k);
    }
    let refusals = put(files).unwrap_err();
    assert_eq!(refusals.0.len(), 2);
    assert!(refusals.0.iter().all(|r| r.code == RefusalCode::MissingSlice));
    assert!(refusals.0[0].message.starts_with("2 slices are missing"));
}

#[test]
fn irregular_distances_are_refused() {
    let all = files();
    let normal = oblique_grid().axes()[2];
    let mut files = all.clone();
    files[5] = moved(&all, 5, normal * 0.6);
    let refusals = put(files).unwrap_err();
    assert!(refusals.0.iter().all(|r| r.code == RefusalCode::IrregularSpacing) && refusals.0.len() == 2);
    let mut files = all.clone();
    files[5] = moved(&all, 5, normal * 0.012); // within 1 % of 2.5 mm
    assert!(put(files).is_ok());
}

/// 121 slices along z, slice k at `at(k)` mm as a header would say it, to `digits` after the point.
fn stacked(at: impl Fn(usize) -> f64, digits: usize) -> Vec<Vec<u8>> {
    let grid = Grid::axis_aligned(frame(), Shape::new(4, 5, 121), Lps::new(3.0, -7.0, 0.0), [1.0, 1.5, 1.2]).unwrap();
    let objects = encoded(Arc::new(grid)).into_iter().enumerate();
    let moved =
        |bytes: &[u8], z: f64| with(bytes, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("3\\-7\\{z:.digits$}"));
    objects.map(|(k, object)| moved(&object.bytes, at(k))).collect()
}

#[test]
fn distances_that_drift_slowly_are_refused_with_the_worst_slice() {
    // Each distance is within 1 % of the median of 1.2 mm, from 0.7 % too short to 0.7 % too long.
    let at = |k: usize| (0..k).map(|n| 1.2 * (1.0 + 0.007 * (n as f64 / 60.0 - 1.0))).sum::<f64>();
    let refusal = only(stacked(at, 6));
    assert_eq!(refusal.code, RefusalCode::IrregularSpacing);
    assert!(refusal.message.starts_with("slice 61 of 121 "), "{}", refusal.message);
    assert!(refusal.message.contains("lies 0.25 mm from where equal distances of 1.2"), "{}", refusal.message);
    assert!(refusal.instance.is_some());
    // A third of that stays below a tenth of the spacing.
    assert!(put(stacked(|k| 1.2 * k as f64 + (at(k) - 1.2 * k as f64) / 3.0, 6)).is_ok());
}

#[test]
fn rounded_positions_are_no_drift() {
    // A spacing that two digits cannot express: positions are off by up to 0.005 mm, distances by 0.01 mm.
    for spacing in [0.9375, 1.203_33, 0.546_9] {
        assert!(put(stacked(|k| -71.337 + spacing * k as f64, 2)).is_ok(), "{spacing}");
    }
}

#[test]
fn a_sheared_stack_is_refused() {
    let all = files();
    let across = oblique_grid().axes()[0];
    let sheared = |step: f64| -> Vec<Vec<u8>> { (0..11).map(|n| moved(&all, n, across * (step * n as f64))).collect() };
    assert_eq!(only(sheared(0.3)).code, RefusalCode::Shear);
    assert!(put(sheared(0.004)).is_ok());
}

#[test]
fn identical_duplicates_are_kept_once() {
    let mut files = files();
    files.push(files[3].clone());
    let series = put(files.clone()).unwrap();
    assert_eq!(series.slices.len(), 11);
    assert!(!series.warnings.iter().any(|w| w.contains("sent twice")));
    // The same image under a second UID.
    let copy = with(&files[3], tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4.5");
    files.push(copy);
    let series = put(files).unwrap();
    assert_eq!(series.slices.len(), 11);
    assert!(series.warnings[0].contains("sent twice"));
}

#[test]
fn duplicates_that_differ_are_refused() {
    let all = files();
    let mut echoes = all.clone();
    let other = with(&all[3], tags::SOP_INSTANCE_UID, VR::UI, "1.2.3.4.5");
    echoes.push(with(&other, tags::RESCALE_SLOPE, VR::DS, "2"));
    assert_eq!(only(echoes).code, RefusalCode::ConflictingDuplicate);
    let mut same_uid = all.clone();
    same_uid.push(with(&all[3], tags::RESCALE_SLOPE, VR::DS, "2"));
    assert_eq!(only(same_uid).code, RefusalCode::ConflictingDuplicate);
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    for (tag, vr, value, code) in [
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3", RefusalCode::SeveralSeries),
        (tags::PATIENT_ID, VR::LO, "0043", RefusalCode::SeveralPatients),
        (tags::PATIENT_NAME, VR::PN, "Someone^Else", RefusalCode::SeveralPatients),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3", RefusalCode::SeveralPatients),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3", RefusalCode::SeveralFrames),
        (tags::PIXEL_SPACING, VR::DS, "1.1\\0.9", RefusalCode::MixedSpacings),
    ] {
        let mut files = files();
        files[6] = with(&files[6], tag, vr, value);
        let refusal = only(files);
        assert_eq!(refusal.code, code);
        assert!(!refusal.to_string().contains("0043") && !refusal.to_string().contains("Someone"));
    }
}

#[test]
fn other_sizes_and_orientations_are_named() {
    let turned = |grid: Grid| encoded(Arc::new(grid)).remove(0).bytes;
    let mut files = files();
    let small = Grid::new(
        frame(),
        Shape::new(13, 17, 1),
        oblique_grid().centre(0, 0, 11),
        oblique_grid().axes(),
        oblique_grid().spacing(),
    );
    files.push(turned(small.unwrap()));
    assert_eq!(only(files.clone()).code, RefusalCode::MixedSizes);
    let [a, b, c] = oblique_grid().axes();
    let sagittal =
        Grid::new(frame(), Shape::new(17, 13, 1), Lps::new(0.0, 0.0, 0.0), [b, c, a], oblique_grid().spacing());
    files.push(turned(sagittal.unwrap()));
    let refusals = put(files).unwrap_err();
    assert!(refusals.has(RefusalCode::MixedSizes) && refusals.has(RefusalCode::MixedOrientations));
    assert_eq!(refusals.0.len(), 2, "{refusals}");
}

#[test]
fn too_few_slices_are_refused() {
    let mut files = files();
    files.truncate(9);
    assert_eq!(only(files).code, RefusalCode::TooFewSlices);
    assert_eq!(assemble(Vec::new()).unwrap_err().0[0].code, RefusalCode::NoImages);
}

#[test]
fn all_reasons_are_collected() {
    let mut files = files();
    files.remove(5);
    files[2] = with(&files[2], tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3");
    files[8] = with(&files[8], tags::PIXEL_SPACING, VR::DS, "3\\3");
    let refusals = put(files).unwrap_err();
    for code in [RefusalCode::MissingSlice, RefusalCode::SeveralFrames, RefusalCode::MixedSpacings] {
        assert!(refusals.has(code), "{refusals}");
    }
    assert_eq!(refusals.to_string().lines().count(), 3);
}

#[test]
fn every_damaged_file_is_reported() {
    let mut files = files();
    files[1].truncate(900);
    files[4] = with(&files[4], tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    let refusals = parse_instances(&files).unwrap_err();
    assert_eq!(refusals.0.len(), 2);
    assert!(refusals.has(RefusalCode::Truncated) && refusals.has(RefusalCode::Colour));
}
