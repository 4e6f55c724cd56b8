//! Transfer syntaxes, frames around the data set, headers.

use std::fs;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::support::{encoded, oblique_grid, with, without};
use crate::dicom::data::{
    Instance, MANUFACTURER, MODEL_NAME, RefusalCode, is_own_object, parse_instance, part10_file, read_header,
};
use crate::ids::InstanceUid;

/// The fixtures, by transfer syntax.
pub fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/fixtures/dicom/{name}.dcm", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

const COMPRESSED: [&str; 5] = ["rle", "jpeg_lossless", "jpeg_lossless_sv1", "jpegls_lossless", "j2k_lossless"];

fn values(instance: &Instance) -> &[f32] {
    &instance.image.values
}

#[test]
fn every_transfer_syntax_gives_the_same_pixels() {
    for kind in ["unsigned", "signed"] {
        let explicit = parse_instance(&fixture(&format!("{kind}.explicit"))).unwrap();
        let n0 = 4 * 17 * 13; // the fixture is slice 4 of the oblique grid
        let offset = if kind == "signed" { 1500.0 } else { 0.0 };
        for (n, value) in values(&explicit).iter().enumerate() {
            assert_eq!(*value, ((n + n0) * 37 % 4096) as f32 - offset);
        }
        for syntax in COMPRESSED.into_iter().chain(["implicit", "deflated", "bare"]) {
            let other = parse_instance(&fixture(&format!("{kind}.{syntax}"))).unwrap();
            assert_eq!(values(&other), values(&explicit), "{kind}.{syntax}");
            assert_eq!((other.image.columns, other.image.rows), (17, 13));
            assert_eq!(other.position, explicit.position);
            assert!(!other.image.lossy);
        }
    }
}

#[test]
fn the_preamble_and_the_mark_may_be_missing() {
    let file = &encoded(oblique_grid())[2].bytes;
    let whole = parse_instance(file).unwrap();
    assert_eq!(parse_instance(&file[128..]).unwrap(), whole);
    assert_eq!(parse_instance(&file[132..]).unwrap(), whole);
}

#[test]
fn syntaxes_that_are_not_read_are_named() {
    let file = fixture("unsigned.j2k_lossless");
    let header = read_header(&file).unwrap();
    let dataset = &fixture("unsigned.bare")[..];
    let mpeg = part10_file(&header.sop_class, &header.instance, "1.2.840.10008.1.2.4.102", dataset).unwrap();
    let refusal = parse_instance(&mpeg).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TransferSyntax);
    assert!(refusal.message.contains("1.2.840.10008.1.2.4.102"));
}

#[test]
fn lossy_images_are_marked() {
    let file = &encoded(oblique_grid())[2].bytes;
    let lossy = with(file, tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    assert!(parse_instance(&lossy).unwrap().image.lossy && !parse_instance(file).unwrap().image.lossy);
}

#[test]
fn a_data_set_from_the_network_becomes_a_file() {
    let bare = fixture("signed.bare");
    let uid = InstanceUid::parse("1.2.3.4").unwrap();
    let file = part10_file(uids::MR_IMAGE_STORAGE, &uid, uids::EXPLICIT_VR_LITTLE_ENDIAN, &bare).unwrap();
    assert!(file.ends_with(&bare));
    assert_eq!(values(&parse_instance(&file).unwrap()), values(&parse_instance(&bare).unwrap()));
}

#[test]
fn headers_are_read_without_pixels() {
    let file = &encoded(oblique_grid())[2].bytes;
    let header = read_header(&without(file, tags::PIXEL_DATA)).unwrap();
    assert_eq!(header, read_header(file).unwrap());
    assert_eq!(header.series.as_str(), "1.2.840.99.2");
    assert_eq!(header.frame.as_ref().unwrap().as_str(), "1.2.840.99.3");
    assert_eq!(header.patient_name.reveal(), "Müller^Jörg");
    assert_eq!(header.patient_id.reveal(), "0042");
    assert_eq!(header.modality, "MR");
    for tag in [tags::SOP_INSTANCE_UID, tags::SERIES_INSTANCE_UID, tags::STUDY_INSTANCE_UID, tags::SOP_CLASS_UID] {
        let refusal = read_header(&edited_without(file, tag)).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::MissingAttribute);
    }
    let bad = with(file, tags::SERIES_INSTANCE_UID, VR::UI, "../../etc");
    assert_eq!(read_header(&bad).unwrap_err().code, RefusalCode::InvalidValue);
}

/// An instance is known again by the digest of its file, over versions: where this fails, every instance that was received
/// before is taken for another one.
#[test]
fn the_head_of_a_received_file_is_the_same_in_every_version() {
    let uid = InstanceUid::parse("1.2.826.0.1").unwrap();
    let file = part10_file(uids::MR_IMAGE_STORAGE, &uid, uids::EXPLICIT_VR_LITTLE_ENDIAN, b"data set").unwrap();
    let (head, dataset) = file.split_at(file.len() - 8);
    assert_eq!(dataset, b"data set");
    let expected = [
        b"DICM\x02\0\0\0UL\x04\0\xa4\0\0\0".as_slice(),
        b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01",
        b"\x02\0\x02\0UI\x1a\x001.2.840.10008.5.1.4.1.1.4\0",
        b"\x02\0\x03\0UI\x0c\x001.2.826.0.1\0",
        b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0",
        b"\x02\0\x12\0UI\x2c\x002.25.65188746847701866022765077727502310634\0",
        b"\x02\0\x13\0SH\x08\0CONTOURD",
    ]
    .concat();
    assert_eq!(head[..128], [0; 128]);
    assert_eq!(head[128..], expected, "{}", String::from_utf8_lossy(&head[128..]));
}

#[test]
fn a_header_says_where_its_plane_lies_along_its_normal() {
    let file = &encoded(oblique_grid())[2].bytes;
    let placed = |position: &str, directions: &str| {
        let file = with(file, tags::IMAGE_POSITION_PATIENT, VR::DS, position);
        read_header(&with(&file, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, directions)).unwrap().plane
    };
    // Rows to the left and back, columns to the feet: the normal is their product in this order, to the right and back.
    let plane = placed("10\\-20\\33", "0.8\\0.6\\0\\0\\0\\-1").unwrap();
    assert_eq!(plane.normal, [-0.6, 0.8, 0.0]);
    assert!((plane.place - -22.0).abs() < 1e-9, "{}", plane.place);
    for (position, directions) in [
        ("10\\-20", "0.8\\0.6\\0\\0\\0\\-1"),
        ("10\\-20\\33", "0.8\\0.6\\0"),
        ("10\\-20\\here", "0.8\\0.6\\0\\0\\0\\-1"),
    ] {
        assert_eq!(placed(position, directions), None, "{position} {directions}");
    }
    assert_eq!(read_header(&without(file, tags::IMAGE_POSITION_PATIENT)).unwrap().plane, None);
    let announced = |n: &str| read_header(&with(file, tags::IMAGES_IN_ACQUISITION, VR::IS, n)).unwrap().announced;
    assert_eq!(["176", "0", "-3", "many"].map(announced), [Some(176), None, None, None]);
}

/// As [`without`], for attributes that the helper itself needs.
fn edited_without(file: &[u8], tag: dicom_core::Tag) -> Vec<u8> {
    let opened = crate::dicom::data::part10::open(file).unwrap();
    let element = opened.layout.find(tag).unwrap();
    let at = file.len() - opened.dataset.len();
    [&file[..at + element.start], &file[at + element.value.end..]].concat()
}

#[test]
fn own_objects_are_known_by_both_names() {
    let file = &encoded(oblique_grid())[2].bytes;
    let named = |maker: &str, model: &str| {
        let file = with(file, tags::MANUFACTURER, VR::LO, maker);
        is_own_object(&read_header(&with(&file, tags::MANUFACTURER_MODEL_NAME, VR::LO, model)).unwrap())
    };
    assert!(named(MANUFACTURER, MODEL_NAME));
    assert!(!named(MANUFACTURER, "Scanner"));
    assert!(!named("Test", MODEL_NAME));
}

#[test]
fn names_in_other_character_sets_arrive_whole() {
    let file = fixture("unsigned.explicit");
    let latin = edited_raw(&file, "ISO_IR 100", b"M\xFCller^J\xF6rg ");
    assert_eq!(read_header(&latin).unwrap().patient_name.reveal(), "Müller^Jörg");
    let kanji = edited_raw(&file, "\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B");
    assert_eq!(read_header(&kanji).unwrap().patient_name.reveal(), "Yamada^Tarou=山田^太郎");
    let unknown = edited_raw(&file, "KLINGON", b"Worf");
    let refusal = read_header(&unknown).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::InvalidValue);
    assert!(!refusal.to_string().contains("Worf"));
}

/// Replaces character set and patient's name by raw bytes.
fn edited_raw(file: &[u8], set: &str, name: &[u8]) -> Vec<u8> {
    let opened = crate::dicom::data::part10::open(file).unwrap();
    let at = file.len() - opened.dataset.len();
    let mut out = file.to_vec();
    let mut put = |tag, vr: &[u8; 2], value: &[u8]| {
        let element = opened.layout.find(tag).unwrap();
        let mut bytes = [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        bytes.extend_from_slice(vr);
        let padded = [value, if value.len() % 2 == 1 { b" " } else { b"" }].concat();
        bytes.extend_from_slice(&(padded.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&padded);
        out.splice(at + element.start..at + element.value.end, bytes);
    };
    put(tags::PATIENT_NAME, b"PN", name); // the later element first, so that offsets hold
    put(tags::SPECIFIC_CHARACTER_SET, b"CS", set.as_bytes());
    out
}
