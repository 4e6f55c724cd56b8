//! CTs to plan on.

use std::sync::Arc;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::support::{attributes, frame, volume, with};
use crate::dicom::data::{Companion, RefusalCode, Refusals, companion, drawn_planes, planning_ct, write_mr_series};
use crate::geometry::{Grid, Lps, Shape, Vec3};

/// A CT on a grid, turned by some degrees about the left-right axis.
fn ct(degrees: f64) -> Vec<Vec<u8>> {
    let (s, c) = degrees.to_radians().sin_cos();
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, c, s), Vec3::new(0.0, -s, c)];
    let grid = Grid::new(frame(), Shape::new(17, 13, 11), Lps::new(-31.0, 12.0, 88.0), axes, [0.8, 1.1, 2.5]).unwrap();
    let images = write_mr_series(&volume(Arc::new(grid)), &attributes()).unwrap();
    images.iter().map(|o| with(&o.bytes, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE)).collect()
}

fn refused(files: &[Vec<u8>]) -> Refusals {
    planning_ct(files).unwrap_err()
}

#[test]
fn an_axial_ct_is_taken_in_hounsfield_units() {
    let files: Vec<Vec<u8>> = ct(0.5)
        .iter()
        .map(|file| {
            let file = with(file, tags::RESCALE_INTERCEPT, VR::DS, "-1024");
            with(&file, tags::RESCALE_SLOPE, VR::DS, "2")
        })
        .collect();
    let series = planning_ct(&files).unwrap();
    assert_eq!(series.volume.data()[..3], [-1024.0, -1010.0, -996.0]);
    assert_eq!(series.slices[0].sop_class, uids::CT_IMAGE_STORAGE);
    assert_eq!(drawn_planes(&files).unwrap().grid.id(), series.volume.grid().id());
}

#[test]
fn a_ct_that_is_tilted_irregular_or_not_axial_is_refused_in_words() {
    let leaning = refused(&ct(20.0));
    assert!(leaning.has(RefusalCode::NotAxial));
    assert!(leaning.to_string().contains("lean by 20.0 degrees from axial ones"), "{leaning}");

    // The gantry leans, the table moves along z.
    let tilted: Vec<Vec<u8>> = (0..11)
        .zip(ct(15.0))
        .map(|(k, file)| {
            let position = format!("-31\\12\\{}", 88.0 + 2.5 * f64::from(k));
            with(&file, tags::IMAGE_POSITION_PATIENT, VR::DS, &position)
        })
        .collect();
    let tilted = refused(&tilted);
    assert!(tilted.has(RefusalCode::Shear) && tilted.to_string().contains("was the gantry tilted?"), "{tilted}");

    let mut gap = ct(0.0);
    gap.remove(5);
    assert!(refused(&gap).has(RefusalCode::MissingSlice));
    let mut irregular = ct(0.0);
    irregular[10] = with(&irregular[10], tags::IMAGE_POSITION_PATIENT, VR::DS, "-31\\12\\114");
    assert!(refused(&irregular).has(RefusalCode::IrregularSpacing));
    assert!(refused(&[]).has(RefusalCode::NoImages));
}

#[test]
fn what_is_no_classic_ct_is_refused_in_words() {
    let files: Vec<Vec<u8>> =
        ct(0.0).iter().map(|f| with(f, tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE)).collect();
    let refusals = refused(&files);
    assert!(refusals.to_string().starts_with("there are no classic CT images but 11 of modality MR; "), "{refusals}");
    assert_eq!(companion(uids::ENHANCED_CT_IMAGE_STORAGE), Some(Companion::Ct));
    assert_eq!(companion(uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE), Some(Companion::Registration));
    assert_eq!(companion(uids::MR_IMAGE_STORAGE), None);
}
