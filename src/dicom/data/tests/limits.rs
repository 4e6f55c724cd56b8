//! Bytes that mean harm or damage: refused, never a panic, never memory for what is not there.

use std::io::Write;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{Codec, TransferSyntaxIndex};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use proptest::prelude::*;

use super::files::fixture;
use super::support::{defects, edited, encoded, meta, oblique_grid, oblique_series, rois, with, without, written};
use crate::dicom::data::layout::{Encoding, walk};
use crate::dicom::data::{
    RefusalCode, parse_instance, parse_instances, part10_file, read_header, read_received_header, read_rtstruct,
};

const SYNTAXES: [&str; 8] = [
    "explicit",
    "implicit",
    "deflated",
    "rle",
    "jpeg_lossless",
    "jpeg_lossless_sv1",
    "jpegls_lossless",
    "j2k_lossless",
];

#[test]
fn an_image_cut_at_any_length_is_refused() {
    for syntax in SYNTAXES {
        let file = fixture(&format!("signed.{syntax}"));
        for length in 0..file.len() {
            let refusal = parse_instance(&file[..length]).expect_err(&format!("{syntax} cut at {length} was taken"));
            // Cut between two elements the rest is a whole data set, and what it lacks is named.
            let named = matches!(
                refusal.code,
                RefusalCode::Truncated | RefusalCode::NotDicom | RefusalCode::MissingAttribute | RefusalCode::Colour
            );
            assert!(named, "{syntax} cut at {length}: {refusal}");
        }
    }
    let file = fixture("signed.explicit");
    let refusal = parse_instance(&file[..file.len() - 100]).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Truncated);
    assert!(refusal.message.contains("442 bytes but only 342"), "{refusal}");
    assert_eq!(refusal.tag.as_deref(), Some("(7FE0,0010) PixelData"));
}

#[test]
fn a_structure_set_cut_at_any_length_is_refused_or_shows_defects() {
    let series = oblique_series();
    let file = written(&series, &rois(), &meta()).unwrap().bytes;
    for length in 0..file.len() {
        let cut = &file[..length];
        assert!(read_rtstruct(cut).is_err() || !defects(cut, &series).is_empty(), "cut at {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn changed_bytes_never_panic(
        syntax in 0..SYNTAXES.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = fixture(&format!("unsigned.{}", SYNTAXES[syntax]));
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        if let Ok(instance) = parse_instance(&file) {
            prop_assert_eq!(instance.image.values.len(), instance.image.columns * instance.image.rows);
            prop_assert!(instance.image.values.iter().all(|v| v.is_finite()));
        }
    }

    #[test]
    fn any_bytes_behind_the_mark_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut file = vec![0u8; 128];
        file.extend_from_slice(b"DICM");
        file.extend_from_slice(&bytes);
        prop_assert!(parse_instance(&file).is_err());
        prop_assert!(read_header(&bytes).is_err());
        prop_assert!(read_rtstruct(&file).is_err());
    }
}

#[test]
fn absurd_lengths_are_refused_before_memory_is_asked_for() {
    // A 4 GB value, a 4 GB item inside a sequence, a 4 GB fragment.
    let value = [0x10, 0, 0x20, 0, b'O', b'B', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF, 1, 2];
    let item =
        [0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 12, 0, 0, 0, 0xFE, 0xFF, 0, 0xE0, 0xF0, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    let fragment = [
        0xE0, 0x7F, 0x10, 0, b'O', b'B', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xF0, 0xFF, 0xFF, 0xFF, 0,
        0,
    ];
    for bytes in [&value[..], &item[..], &fragment[..]] {
        assert_eq!(walk(bytes, Encoding::Explicit).1.unwrap().code, RefusalCode::Truncated);
    }
}

#[test]
fn an_object_cut_short_still_names_its_series_once_the_cut_comes_after_it() {
    let file = fixture("unsigned.explicit");
    let whole = read_header(&file).unwrap();
    let cut = &file[..file.len() - 10];
    assert_eq!(read_header(cut).unwrap_err().code, RefusalCode::Truncated);
    let (header, damage) = read_received_header(cut, 1 << 20).unwrap();
    assert_eq!((header, damage.unwrap().code), (whole.clone(), RefusalCode::Truncated));
    assert_eq!(read_received_header(&file, 1 << 20).unwrap(), (whole, None));
    let series = file.windows(4).position(|w| w == [0x20, 0, 0x0E, 0]).unwrap();
    assert_eq!(read_received_header(&file[..series + 6], 1 << 20).unwrap_err().code, RefusalCode::Truncated);
    assert_eq!(read_received_header(b"no DICOM", 1 << 20).unwrap_err().code, RefusalCode::NotDicom);
}

#[test]
fn a_deflated_data_set_is_inflated_up_to_the_limit_only() {
    let deflated = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    let Some(Codec::Dataset(Some(adapter))) = TransferSyntaxRegistry.get(deflated).map(|ts| ts.codec()) else {
        panic!("no codec for {deflated}");
    };
    // The header of an image and eight megabytes of nothing behind it.
    let plain = fixture("unsigned.bare");
    let mut bomb = Vec::new();
    let mut writer = adapter.adapt_writer(Box::new(&mut bomb));
    writer.write_all(&plain).unwrap();
    let private = [0xE1, 0x7F, 0x10, 0x10, b'O', b'B', 0, 0, 0, 0, 0x80, 0];
    writer.write_all(&private).unwrap();
    writer.write_all(&vec![0u8; 8 << 20]).unwrap();
    drop(writer);
    let uid = read_header(&plain).unwrap().instance;
    let file = part10_file(uids::MR_IMAGE_STORAGE, &uid, deflated, &bomb).unwrap();
    assert!(file.len() < 100_000, "{}", file.len());
    let refusal = read_received_header(&file, 8 << 20).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    assert!(refusal.message.contains("8 MiB"), "{refusal}");
    assert_eq!(read_received_header(&file, 9 << 20).unwrap().0.instance, uid);
}

#[test]
fn deep_nesting_is_refused() {
    let mut bytes = Vec::new();
    for _ in 0..100_000 {
        bytes.extend_from_slice(&[0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    let refusal = walk(&bytes, Encoding::Explicit).1.unwrap();
    assert_eq!(refusal.code, RefusalCode::NotDicom);
    assert!(refusal.message.contains("nested"));
}

#[test]
fn a_compressed_image_of_another_size_is_refused_before_it_is_decoded() {
    for syntax in ["jpeg_lossless", "jpegls_lossless", "j2k_lossless", "rle"] {
        let file = fixture(&format!("unsigned.{syntax}"));
        let opened = crate::dicom::data::part10::open(&file).unwrap();
        let rows = opened.layout.find(tags::ROWS).unwrap().value.start + file.len() - opened.dataset.len();
        for other in [12, 14] {
            let mut wrong = file.clone();
            wrong[rows] = other;
            let refusal = parse_instance(&wrong).expect_err(syntax);
            assert_eq!(refusal.code, RefusalCode::PixelData, "{syntax}");
        }
    }
}

#[test]
fn a_codestream_of_several_components_is_refused_before_it_is_decoded() {
    for (syntax, mark, components) in [
        ("j2k_lossless", &[0xFF, 0x4F, 0xFF, 0x51][..], 41),
        ("jpeg_lossless", &[0xFF, 0xC3], 9),
        ("jpegls_lossless", &[0xFF, 0xF7], 9),
    ] {
        let mut file = fixture(&format!("unsigned.{syntax}"));
        let at = file.windows(mark.len()).position(|w| w == mark).unwrap() + components;
        assert_eq!(file[at], 1, "{syntax}");
        file[at] = 200;
        let refusal = parse_instance(&file).expect_err(syntax);
        assert_eq!(refusal.code, RefusalCode::PixelData, "{syntax}");
        assert!(refusal.message.contains("not a grey one of 17 columns x 13 rows"), "{syntax}: {refusal}");
    }
}

/// The header alone tells: these files hold no pixels that could be decoded.
#[test]
fn a_series_too_large_to_hold_is_refused_from_its_headers() {
    let slice = |n: usize, side: u16| {
        let file = edited(&encoded(oblique_grid())[3].bytes, |o| {
            o.put(DataElement::new(tags::ROWS, VR::US, PrimitiveValue::from(side)));
            o.put(DataElement::new(tags::COLUMNS, VR::US, PrimitiveValue::from(side)));
        });
        with(&file, tags::SOP_INSTANCE_UID, VR::UI, &format!("1.2.3.{n}"))
    };
    let files = |count: usize| (0..count).map(|n| slice(n, 8192)).collect::<Vec<_>>();
    let refusals = parse_instances(&files(5)).unwrap_err();
    assert_eq!(refusals.0.len(), 1, "{refusals}");
    assert_eq!(refusals.0[0].code, RefusalCode::TooLarge);
    assert!(refusals.to_string().contains("335544320 voxels"), "{refusals}");
    // Four such slices are as many voxels as are allowed: they are looked at one by one.
    assert!(parse_instances(&files(4)).unwrap_err().has(RefusalCode::PixelData));
}

fn code(file: &[u8], tag: Tag, vr: VR, value: &str) -> RefusalCode {
    parse_instance(&with(file, tag, vr, value)).expect_err(&format!("{tag} = {value:?} was taken")).code
}

#[test]
fn unusable_numbers_are_refused_by_name() {
    let file = &encoded(oblique_grid())[3].bytes;
    for (tag, values) in [
        (
            tags::IMAGE_POSITION_PATIENT,
            &["nan\\0\\0", "1e308\\0\\0", "1e9\\0\\0", "x\\0\\0", "1\\2", "1\\2\\3\\4", "inf\\0\\0"][..],
        ),
        (
            tags::IMAGE_ORIENTATION_PATIENT,
            &["1\\0\\0\\1\\0\\0", "1\\0\\0\\0\\1", "2\\0\\0\\0\\1\\0", "0\\0\\0\\0\\0\\0", "1\\0\\0\\0\\NaN\\0"],
        ),
        (tags::PIXEL_SPACING, &["0\\1", "-1\\1", "1", "1e308\\1", "nan\\nan", "0.5\\1e-9"]),
        (tags::RESCALE_SLOPE, &["0", "1e308", "nan", "-1e10"]),
        (tags::RESCALE_INTERCEPT, &["1e308", "inf"]),
    ] {
        for value in values {
            assert_eq!(code(file, tag, VR::DS, value), RefusalCode::InvalidValue, "{tag} {value}");
        }
    }
    for value in ["", " "] {
        assert_eq!(code(file, tags::IMAGE_POSITION_PATIENT, VR::DS, value), RefusalCode::MissingAttribute);
    }
}

#[test]
fn missing_attributes_are_refused_by_name() {
    let file = &encoded(oblique_grid())[3].bytes;
    for tag in [
        tags::FRAME_OF_REFERENCE_UID,
        tags::IMAGE_POSITION_PATIENT,
        tags::IMAGE_ORIENTATION_PATIENT,
        tags::PIXEL_SPACING,
        tags::ROWS,
        tags::COLUMNS,
        tags::BITS_ALLOCATED,
        tags::PIXEL_DATA,
    ] {
        let refusal = parse_instance(&without(file, tag)).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::MissingAttribute);
        assert!(refusal.tag.unwrap().starts_with(&tag.to_string()));
        assert_eq!(refusal.instance.unwrap(), read_header(file).unwrap().instance);
    }
}

#[test]
fn other_kinds_of_objects_are_refused_by_name() {
    let file = &encoded(oblique_grid())[3].bytes;
    let class = |uid: &str| code(file, tags::SOP_CLASS_UID, VR::UI, uid);
    assert_eq!(class("1.2.840.10008.5.1.4.1.1.2"), RefusalCode::NotMr);
    for enhanced in ["1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3", "1.2.840.10008.5.1.4.1.1.4.4"] {
        assert_eq!(class(enhanced), RefusalCode::EnhancedMr);
    }
    assert_eq!(parse_instance(b"hello, this is a text file").unwrap_err().code, RefusalCode::NotDicom);
    assert_eq!(parse_instance(b"").unwrap_err().code, RefusalCode::NotDicom);
}
