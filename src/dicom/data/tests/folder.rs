//! A folder to the instances of its MR series.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use tempfile::TempDir;

use super::support::{encoded, meta, oblique_grid, oblique_series, rois, with, written};
use crate::dicom::data::{MANUFACTURER, MODEL_NAME, RefusalCode, Refusals, assemble, part10_file, read_folder};
use crate::ids::InstanceUid;

fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    for (n, object) in encoded(oblique_grid()).iter().enumerate() {
        let name = if n % 2 == 0 { format!("a/{n}.dcm") } else { format!("a/b/IM{n}") };
        fs::write(dir.path().join(name), &object.bytes).unwrap();
    }
    dir
}

fn code(dir: &Path) -> RefusalCode {
    let Refusals(mut refusals) = read_folder(dir).unwrap_err();
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    refusals.remove(0).code
}

fn sample() -> Vec<u8> {
    encoded(oblique_grid()).remove(0).bytes
}

#[test]
fn nested_folders_foreign_files_and_own_results_are_allowed() {
    let dir = filled();
    fs::write(dir.path().join("notes.txt"), "not an image").unwrap();
    fs::write(dir.path().join("a/empty"), "").unwrap();
    let series = oblique_series();
    let result = written(&series, &rois(), &meta()).unwrap();
    fs::write(dir.path().join("a/result.dcm"), &result.bytes).unwrap();
    let own = with(&sample(), tags::MANUFACTURER, VR::LO, MANUFACTURER);
    let own = with(&own, tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME);
    fs::write(dir.path().join("derived.dcm"), with(&own, tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3")).unwrap();
    let read = assemble(read_folder(dir.path()).unwrap()).unwrap();
    assert_eq!(read.slices, series.slices);
}

#[test]
fn folders_without_a_series_say_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(code(dir.path()), RefusalCode::NoImages);
    assert_eq!(code(&dir.path().join("nowhere")), RefusalCode::Unreadable);
    fs::write(dir.path().join("x.txt"), "text").unwrap();
    assert_eq!(code(dir.path()), RefusalCode::NoImages);
    let ct = with(&sample(), tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.2");
    fs::write(dir.path().join("ct.dcm"), with(&ct, tags::MODALITY, VR::CS, "CT")).unwrap();
    let refusals = read_folder(dir.path()).unwrap_err();
    assert_eq!(refusals.0[0].code, RefusalCode::NotMr);
    assert!(refusals.to_string().contains("1 of modality CT"));
    let enhanced = with(&sample(), tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.4.1");
    fs::write(dir.path().join("enhanced.dcm"), enhanced).unwrap();
    assert_eq!(code(dir.path()), RefusalCode::EnhancedMr);
}

#[test]
fn a_folder_of_results_alone_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let result = written(&oblique_series(), &rois(), &meta()).unwrap();
    fs::write(dir.path().join("result.dcm"), &result.bytes).unwrap();
    let own = with(&sample(), tags::MANUFACTURER, VR::LO, MANUFACTURER);
    let own = with(&own, tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME);
    fs::write(dir.path().join("derived.dcm"), own).unwrap();
    let refusals = read_folder(dir.path()).unwrap_err();
    assert_eq!((refusals.0.len(), refusals.0[0].code), (1, RefusalCode::NoImages));
    assert!(refusals.to_string().contains("2 objects that contourd itself made and no others"), "{refusals}");
}

#[test]
fn several_series_are_named() {
    let dir = filled();
    fs::write(dir.path().join("other"), with(&sample(), tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3")).unwrap();
    let refusals = read_folder(dir.path()).unwrap_err();
    assert_eq!(refusals.0[0].code, RefusalCode::SeveralSeries);
    let text = refusals.to_string();
    assert!(text.contains("1.2.3 (\"T1 post\", 1 images)") && text.contains("1.2.840.99.2 (\"T1 post\", 11 images)"));
}

#[test]
fn a_truncated_file_is_not_passed_over() {
    let dir = filled();
    let file = fs::read(dir.path().join("a/4.dcm")).unwrap();
    fs::write(dir.path().join("a/4.dcm"), &file[..file.len() - 50]).unwrap();
    let refusals = read_folder(dir.path()).unwrap_err();
    assert_eq!(refusals.0[0].code, RefusalCode::Truncated);
    assert!(refusals.to_string().contains("4.dcm"));
}

/// The file of an object of a SOP class in a transfer syntax; the data set is never looked at.
fn opaque(sop_class: &str, transfer_syntax: &str) -> Vec<u8> {
    part10_file(sop_class, &InstanceUid::parse("1.2.3.4").unwrap(), transfer_syntax, &[0u8; 64]).unwrap()
}

const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
const MPEG4: &str = "1.2.840.10008.1.2.4.102";
const VIDEO: &str = "1.2.840.10008.5.1.4.1.1.77.1.4.1";

#[test]
fn a_foreign_object_that_is_not_read_here_leaves_the_series_alone() {
    let dir = filled();
    fs::write(dir.path().join("a/video.dcm"), opaque(VIDEO, MPEG4)).unwrap();
    fs::write(dir.path().join("DICOMDIR"), opaque("1.2.840.10008.1.3.10", "1.2.840.10008.1.2.1")).unwrap();
    assert_eq!(assemble(read_folder(dir.path()).unwrap()).unwrap().slices, oblique_series().slices);
    // An MR image in such a transfer syntax may be a slice of the series.
    fs::write(dir.path().join("a/mr.dcm"), opaque("1.2.840.10008.5.1.4.1.1.4", BIG_ENDIAN)).unwrap();
    assert_eq!(code(dir.path()), RefusalCode::TransferSyntax);
    let alone = tempfile::tempdir().unwrap();
    fs::write(alone.path().join("video.dcm"), opaque(VIDEO, MPEG4)).unwrap();
    let refusals = read_folder(alone.path()).unwrap_err();
    assert_eq!(refusals.0[0].code, RefusalCode::NotMr);
    assert!(refusals.to_string().contains(&format!("1 of SOP class {VIDEO}")), "{refusals}");
}

#[test]
fn foreign_files_are_not_read_whole() {
    let dir = filled();
    // Sparse, and more than any memory holds.
    for (name, head) in [("disk.img", vec![0u8; 300]), ("a/film.dcm", opaque(VIDEO, MPEG4))] {
        let path = dir.path().join(name);
        fs::write(&path, head).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 42).unwrap();
    }
    assert_eq!(read_folder(dir.path()).unwrap().len(), 11);
}

#[test]
fn links_are_followed_once_and_a_broken_one_is_told() {
    let elsewhere = filled();
    let dir = tempfile::tempdir().unwrap();
    symlink(elsewhere.path().join("a"), dir.path().join("linked")).unwrap();
    symlink(elsewhere.path().join("a/b"), dir.path().join("again")).unwrap();
    symlink(dir.path(), elsewhere.path().join("a/b/round")).unwrap();
    assert_eq!(read_folder(dir.path()).unwrap().len(), 11);
    symlink(dir.path().join("gone"), dir.path().join("slice.dcm")).unwrap();
    let refusals = read_folder(dir.path()).unwrap_err();
    assert_eq!(refusals.0[0].code, RefusalCode::Unreadable);
    assert!(refusals.to_string().contains("slice.dcm"), "{refusals}");
}
