//! The axial series made from other planes.

use std::sync::Arc;

use time::macros::datetime;

use super::support::{attributes, frame, read_back, sagittal_grid};
use crate::dicom::data::{
    DataError, DerivedSeriesMeta, Series, derived_axial_series, is_own_object, read_header, write_mr_series,
};
use crate::geometry::{GeometryError, Grid, Index, Lps, Shape, Vec3, Volume};

fn meta(revision: u32) -> DerivedSeriesMeta {
    DerivedSeriesMeta {
        research: true,
        model_digest: "d".repeat(64),
        config_digest: "c".into(),
        revision,
        finest_pixel: 0.5,
        created: datetime!(2025-03-04 05:06:07),
    }
}

/// A value that tells the place: different weights on the three patient axes.
fn ramp(p: Lps) -> f32 {
    (3000.0 + 20.0 * p.x + 7.0 * p.y + 3.0 * p.z) as f32
}

fn series(grid: Arc<Grid>) -> Series {
    let n = grid.shape().voxels();
    let mut volume = Volume::new(Arc::clone(&grid), vec![0.0; n]).unwrap();
    for offset in 0..n {
        let [i, j, k] = volume.voxel(offset);
        volume.data_mut()[offset] = ramp(grid.centre(i, j, k));
    }
    read_back(&write_mr_series(&volume, &attributes()).unwrap())
}

#[test]
fn every_voxel_keeps_its_place_and_side() {
    let coronal = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(0.0, 1.0, 0.0)];
    let coronal = Grid::new(frame(), Shape::new(19, 23, 15), Lps::new(-9.0, 4.0, 31.0), coronal, [0.7, 0.8, 1.9]);
    for grid in [sagittal_grid(), Arc::new(coronal.unwrap())] {
        let source = series(grid);
        let (axial, objects) = derived_axial_series(&source, &meta(1)).unwrap();
        let target = axial.volume.grid();
        assert!(axial.near_axial(0.9999) && axial.frame() == source.frame());
        assert_eq!(objects.len(), target.shape().slices);
        let mut inside = 0;
        for offset in 0..axial.volume.data().len() {
            let [i, j, k] = axial.volume.voxel(offset);
            let place = target.centre(i, j, k);
            let Index { i, j, k } = source.volume.grid().to_index(place);
            let s = source.volume.grid().shape();
            let within = |v: f64, n: usize| v >= 0.0 && v <= (n - 1) as f64;
            if within(i, s.cols) && within(j, s.rows) && within(k, s.slices) {
                inside += 1;
                let off = (axial.volume.data()[offset] - ramp(place)).abs();
                assert!(off <= 1.1, "{place:?} is off by {off}"); // two roundings to integers
            }
        }
        assert!(inside > 1000);
        // Both have the same field of view, to the last voxel.
        let (from, to) = (source.volume.grid().corners(), target.corners());
        let span = |c: &[Lps; 8], a: usize| {
            let v = c.map(|p| p.to_array()[a]);
            (v.iter().copied().fold(f64::MAX, f64::min), v.iter().copied().fold(f64::MIN, f64::max))
        };
        for a in 0..3 {
            let ((l0, h0), (l1, h1)) = (span(&from, a), span(&to, a));
            assert!((l0 - l1).abs() < 0.01 && h1 > h0 - 0.01 && h1 < h0 + target.spacing()[a] + 0.01);
        }
    }
}

#[test]
fn it_says_what_it_is_and_keeps_its_identity() {
    let source = series(sagittal_grid());
    let (axial, objects) = derived_axial_series(&source, &meta(1)).unwrap();
    let header = read_header(&objects[0].bytes).unwrap();
    assert!(is_own_object(&header));
    assert!(header.series_description.contains("Research use only, not reviewed"));
    assert_eq!(header.study, source.attributes.patient.study);
    assert_ne!(header.series, source.attributes.series);
    assert_eq!(axial.attributes.patient, source.attributes.patient);
    assert_eq!(derived_axial_series(&source, &meta(1)).unwrap().1, objects);
    let again = derived_axial_series(&source, &meta(2)).unwrap().1;
    assert!(again[0].series != objects[0].series && again[0].instance != objects[0].instance);
}

#[test]
fn small_intensities_keep_their_steps() {
    let mut source = series(sagittal_grid());
    let largest = source.volume.data().iter().copied().fold(0f32, f32::max);
    for v in source.volume.data_mut() {
        *v /= largest; // as a Rescale Slope of 0.0003 would give
    }
    let (axial, _) = derived_axial_series(&source, &meta(1)).unwrap();
    let mut steps: Vec<i32> = axial.volume.data().iter().map(|v| *v as i32).collect();
    steps.sort_unstable();
    steps.dedup();
    assert!(steps.len() > 200, "{} different values are left", steps.len());
}

#[test]
fn every_receiver_can_take_a_derived_slice_and_a_loss_is_never_forgotten() {
    let mut source = series(sagittal_grid());
    source.lossy = true;
    let (axial, objects) = derived_axial_series(&source, &meta(1)).unwrap();
    assert!(objects.iter().all(|o| o.transfer_syntax == "1.2.840.10008.1.2"), "implicit VR little endian");
    assert!(axial.lossy && axial.warnings.iter().any(|w| w.contains("with loss")), "{:?}", axial.warnings);
}

#[test]
fn pixels_have_a_least_size_and_what_cannot_be_held_is_not_made() {
    let axes = [Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-1.0, 0.0, 0.0)];
    let sagittal = |cols, slices, spacing| {
        let shape = Shape::new(cols, 40, slices);
        series(Arc::new(Grid::new(frame(), shape, Lps::new(31.0, -12.5, 88.0), axes, spacing).unwrap()))
    };
    // The left-right direction has slices 1.2 mm apart; as fine as the pixels it would have 96 columns.
    let source = sagittal(40, 16, [0.2, 0.3, 1.2]);
    let spacing = |finest_pixel| {
        let (axial, _) = derived_axial_series(&source, &DerivedSeriesMeta { finest_pixel, ..meta(1) }).unwrap();
        (axial.volume.grid().spacing(), axial.volume.grid().shape().cols)
    };
    assert_eq!(spacing(0.5), ([0.5, 0.5, 1.0], 39));
    assert_eq!(spacing(0.1), ([0.2, 0.2, 1.0], 96));
    // Four metres by five metres in pixels of half a millimetre.
    let fine = sagittal(50, 40, [100.0, 0.5, 100.0]);
    let refused = derived_axial_series(&fine, &meta(1)).map(|_| ());
    assert!(matches!(refused, Err(DataError::Geometry(GeometryError::Shape(8000, 10000, 20)))), "{refused:?}");
}
