//! Segmentations written and read back.

use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::support::{edited, encoded, meta, oblique_grid, oblique_series, read_back, sagittal_grid, with};
use crate::anatomy::Structure;
use crate::dicom::data::{
    DataError, Profile, RefusalCode, Segment, Series, is_own_object, parse_instance, read_segmentation,
    write_segmentation,
};
use crate::geometry::Mask;

/// Some voxels of the series, different for each `n`, none on the first slice.
fn mask(series: &Series, n: usize) -> Mask {
    let first = series.volume.slice(0).len();
    let pick = |o: usize| o >= first && o.wrapping_mul(2_654_435_761) >> 7 & 7 == n;
    let grid = std::sync::Arc::clone(series.volume.grid());
    Mask::new(grid, (0..series.volume.data().len()).map(pick).collect()).unwrap()
}

fn segments(masks: &[(Structure, Mask)]) -> Vec<Segment<'_>> {
    masks
        .iter()
        .map(|(s, mask)| Segment { structure: *s, roi: (*s).into(), mask, description: "flag".into() })
        .collect()
}

#[test]
fn masks_come_back_pixel_for_pixel() {
    for grid in [oblique_grid(), sagittal_grid()] {
        let series = read_back(&encoded(grid));
        let mut lens = Mask::empty(std::sync::Arc::clone(series.volume.grid()));
        lens.set(3, 2, 4, true);
        let masks = [
            (Structure::Brain, mask(&series, 1)),
            (Structure::Eye_R, Mask::empty(std::sync::Arc::clone(series.volume.grid()))),
            (Structure::Lens_L, lens),
        ];
        for profile in [Profile::generic(), Profile { explicit_vr: true, ..Profile::generic() }] {
            let file = write_segmentation(&series, &segments(&masks), &meta(), &profile).unwrap();
            let read = read_segmentation(&file.bytes).unwrap();
            assert!(is_own_object(&read.header));
            assert_eq!((read.header.modality.as_str(), &read.header.instance), ("SEG", &file.instance));
            let labels: Vec<&str> = read.segments.iter().map(|s| s.label.as_str()).collect();
            assert_eq!(labels, ["Brain", "Lens_L"], "what is empty is left out");
            for (segment, (_, mask)) in read.segments.iter().zip([&masks[0], &masks[2]]) {
                assert_eq!(segment.mask(&series).unwrap().data(), mask.data());
            }
            assert_eq!(read.segments[1].frames.len(), 1);
            assert_eq!(read.segments[1].frames[0].0, series.slices[4].instance);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_a_structure_set_has_another_uid() {
    let series = oblique_series();
    let masks = [(Structure::Eye_L, mask(&series, 2))];
    let write = || write_segmentation(&series, &segments(&masks), &meta(), &Profile::generic()).unwrap();
    assert_eq!(write(), write());
    let set = super::support::written(&series, &super::support::rois(), &meta()).unwrap();
    assert!(set.instance != write().instance && set.series != write().series);
}

#[test]
fn what_cannot_be_written_or_read_is_refused() {
    let series = oblique_series();
    let other = read_back(&encoded(sagittal_grid()));
    let foreign = [(Structure::Eye_L, mask(&other, 2))];
    let write =
        |masks: &[(Structure, Mask)]| write_segmentation(&series, &segments(masks), &meta(), &Profile::generic());
    assert!(matches!(write(&foreign), Err(DataError::Geometry(_))));
    assert!(matches!(write(&[]), Err(DataError::NothingToWrite)));

    let file = write(&[(Structure::Eye_L, mask(&series, 2))]).unwrap().bytes;
    assert_eq!(parse_instance(&file).unwrap_err().code, RefusalCode::NotMr);
    let refused = |bytes: &[u8]| read_segmentation(bytes).unwrap_err();
    assert!(refused(&with(&file, tags::SEGMENTATION_TYPE, VR::CS, "FRACTIONAL")).message.contains("binary"));
    assert!(refused(&edited(&file, |o| _ = o.remove_element(tags::ROWS))).message.contains("Rows"));
    let short = edited(&file, |o| {
        o.put(dicom_core::DataElement::new(tags::PIXEL_DATA, VR::OW, dicom_core::PrimitiveValue::U16(vec![1].into())));
    });
    assert!(refused(&short).message.contains("end before"));
    let moved = read_segmentation(&file).unwrap().segments[0].mask(&other).unwrap_err();
    assert!(moved.message.contains("no image of the series"), "{moved}");
    for length in (0..file.len()).step_by(97) {
        assert!(read_segmentation(&file[..length]).is_err(), "cut at {length}");
    }
}
