//! Kinds of MR image, and what is said of a series that is taken all the same.

use std::sync::Arc;

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

use super::support::{encoded, frame, oblique_grid, with};
use crate::dicom::data::{
    MANUFACTURER, MODEL_NAME, Refusal, RefusalCode, Series, assemble, parse_instance, parse_instances,
};
use crate::geometry::{Grid, Lps, Shape};

/// 35 slices of 3 mm: enough for a head.
fn head() -> Vec<Vec<u8>> {
    stack(35, 3.0)
}

fn stack(slices: usize, apart: f64) -> Vec<Vec<u8>> {
    let (shape, origin) = (Shape::new(4, 5, slices), Lps::new(3.0, -7.0, -40.0));
    let grid = Grid::axis_aligned(frame(), shape, origin, [1.0, 1.5, apart]).unwrap();
    encoded(Arc::new(grid)).into_iter().map(|o| o.bytes).collect()
}

fn series(files: &[Vec<u8>]) -> Series {
    assemble(parse_instances(files).unwrap()).unwrap()
}

/// The warnings of a series whose images all have these values.
fn warnings(values: &[(Tag, VR, &str)]) -> Vec<String> {
    let change = |file: Vec<u8>| values.iter().fold(file, |file, (tag, vr, value)| with(&file, *tag, *vr, value));
    series(&head().into_iter().map(change).collect::<Vec<_>>()).warnings
}

fn image_type(value: &str) -> Result<(), Refusal> {
    parse_instance(&with(&head()[3], tags::IMAGE_TYPE, VR::CS, value)).map(|_| ())
}

#[test]
fn localisers_maps_phase_images_and_projections_are_refused_by_image_type() {
    for (value, what) in [
        ("ORIGINAL\\PRIMARY\\LOCALIZER", "a localiser"),
        ("ORIGINAL\\PRIMARY\\LOCALIZER\\M\\NORM", "a localiser"),
        ("DERIVED\\PRIMARY\\DIFFUSION\\ADC\\NORM", "a map of diffusion"),
        ("ORIGINAL\\PRIMARY\\P\\ND", "a phase image"),
        ("ORIGINAL\\PRIMARY\\PHASE MAP\\P\\FFE", "a phase image"),
        ("DERIVED\\PRIMARY\\VELOCITY MAP\\P\\PCA", "a phase image"),
        ("DERIVED\\SECONDARY\\PROJECTION IMAGE\\M\\FFE", "a projection"),
        ("derived\\secondary\\mip ", "a projection"),
    ] {
        let refusal = image_type(value).expect_err(value);
        assert_eq!(refusal.code, RefusalCode::NotT1, "{value}");
        assert!(refusal.message.contains(&format!("this is {what}")), "{value}: {refusal}");
        assert_eq!(refusal.tag.as_deref(), Some("(0008,0008) ImageType"));
    }
}

#[test]
fn ordinary_t1_series_pass_without_a_word() {
    assert_eq!(series(&head()).warnings, Vec::<String>::new());
    let times = |scanning, repetition, echo, inversion| {
        vec![
            (tags::SCANNING_SEQUENCE, VR::CS, scanning),
            (tags::REPETITION_TIME, VR::DS, repetition),
            (tags::ECHO_TIME, VR::DS, echo),
            (tags::INVERSION_TIME, VR::DS, inversion),
        ]
    };
    for (image_type, description, times) in [
        ("ORIGINAL\\PRIMARY\\M\\NORM\\DIS2D", "t1_mprage_sag_p2_iso", times("GR\\IR", "2300", "2.98", "900")),
        ("ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE", "sT1W_3D_TFE", times("GR", "8.1", "3.7", "")),
        ("ORIGINAL\\PRIMARY\\OTHER", "Ax 3D BRAVO +C", times("RM", "8.5", "3.2", "450")),
        ("ORIGINAL\\PRIMARY\\M_SE\\M\\SE", "T1W_SE_gd", times("SE", "550", "15", "")),
        ("ORIGINAL\\PRIMARY\\M\\NORM\\DIS3D", "t1_space_sag", times("SE", "700", "28", "")),
        ("ORIGINAL\\PRIMARY\\OTHER", "Sag T1 FLAIR", times("SE\\IR", "2500", "24", "920")),
        ("DERIVED\\PRIMARY\\OTHER", "DEMO T1 axial", times("RM", "", "", "")),
        ("DERIVED\\PRIMARY\\M\\NORM", "Head", times("RM", "0", "0", "")),
    ] {
        let mut values = times;
        values.push((tags::IMAGE_TYPE, VR::CS, image_type));
        values.push((tags::SERIES_DESCRIPTION, VR::LO, description));
        assert_eq!(warnings(&values), Vec::<String>::new(), "{image_type} {description}");
    }
}

#[test]
fn what_is_hardly_t1_is_said_with_tag_and_value() {
    for (values, tag, value) in [
        (vec![(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\M\\SWI")], "(0008,0008) ImageType", "SWI"),
        (
            vec![(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\OTHER")],
            "(0008,0008) ImageType",
            "computed from others",
        ),
        (
            vec![(tags::IMAGE_TYPE, VR::CS, "DERIVED\\PRIMARY\\MPR\\NORM")],
            "(0008,0008) ImageType",
            "computed from others",
        ),
        (
            vec![(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\M\\ND\\NORM")],
            "(0008,0008) ImageType",
            "distortion was not corrected (ND)",
        ),
        (vec![(tags::ECHO_TIME, VR::DS, "96")], "(0018,0081) EchoTime", "\"96\""),
        (
            vec![(tags::SCANNING_SEQUENCE, VR::CS, "GR"), (tags::ECHO_TIME, VR::DS, "20")],
            "(0018,0081) EchoTime",
            "\"20\"",
        ),
        (vec![(tags::REPETITION_TIME, VR::DS, "9000")], "(0018,0080) RepetitionTime", "\"9000\""),
        (
            vec![(tags::SCANNING_SEQUENCE, VR::CS, "SE"), (tags::REPETITION_TIME, VR::DS, "2200")],
            "(0018,0080) RepetitionTime",
            "at most 1500 ms",
        ),
        (vec![(tags::INVERSION_TIME, VR::DS, "1800")], "(0018,0082) InversionTime", "\"1800\""),
        (vec![(tags::SCANNING_SEQUENCE, VR::CS, "EP\\GR")], "(0018,0020) ScanningSequence", "echo-planar"),
        (vec![(tags::SERIES_DESCRIPTION, VR::LO, "t2_tse_tra Muster")], "(0008,103E) SeriesDescription", "names T2 "),
        (
            vec![(tags::SERIES_DESCRIPTION, VR::LO, "Head"), (tags::PROTOCOL_NAME, VR::LO, "SAG FLAIR")],
            "(0018,1030) ProtocolName",
            "FLAIR",
        ),
    ] {
        let said = warnings(&values);
        let [warning] = &said[..] else { panic!("{values:?}: {said:?}") };
        assert!(warning.starts_with(tag) && warning.contains(value), "{values:?}: {warning}");
        assert!(!warning.contains("Muster"), "a description may hold anything: {warning}");
    }
    let mut files = head();
    files[7] = with(&files[7], tags::ECHO_TIME, VR::DS, "96");
    assert!(series(&files).warnings[0].ends_with("(1 of 35 images)"), "{:?}", series(&files).warnings);
}

#[test]
fn what_contourd_derived_is_not_remarked() {
    let own = |file: Vec<u8>| {
        let file = with(&file, tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\MPR");
        let file = with(&file, tags::MANUFACTURER, VR::LO, MANUFACTURER);
        with(&file, tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME)
    };
    assert_eq!(series(&head().into_iter().map(own).collect::<Vec<_>>()).warnings, Vec::<String>::new());
}

#[test]
fn a_part_of_a_head_is_taken_and_said_to_be_one() {
    let small: Vec<Vec<u8>> = encoded(oblique_grid()).into_iter().map(|o| o.bytes).collect();
    let said = series(&small).warnings;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("11 slices are few for a head"), "{said:?}");
    assert!(said[1].starts_with("the slices cover 28 mm only, where a head has at least 100 mm"), "{said:?}");
    // 33 slices of 3 mm are not few, but cover less than a head; 34 cover as much.
    let less = series(&head()[1..34]).warnings;
    assert!(less.len() == 1 && less[0].starts_with("the slices cover 99 mm only"), "{less:?}");
    assert_eq!(series(&head()[1..35]).warnings, Vec::<String>::new());
}

#[test]
fn slices_further_apart_than_3_mm_are_said() {
    let said = series(&stack(30, 3.5)).warnings;
    assert!(said.len() == 1 && said[0].starts_with("the slices are 3.5 mm apart; above 3 mm"), "{said:?}");
    // What a scanner wrote as 3 mm is no more than that.
    assert_eq!(series(&stack(34, 3.000001)).warnings, Vec::<String>::new());
}

#[test]
fn images_that_the_acquisition_has_and_the_series_has_not_are_counted() {
    assert_eq!(warnings(&[(tags::IMAGES_IN_ACQUISITION, VR::IS, "35")]), Vec::<String>::new());
    let said = warnings(&[(tags::IMAGES_IN_ACQUISITION, VR::IS, "40")]);
    assert_eq!(said, ["35 of the 40 images of the acquisition are here [attribute (0020,1002) ImagesInAcquisition]"]);
}
