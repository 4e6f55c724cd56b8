//! A folder to the instances of its MR series.

use std::fs;
use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use tempfile::TempDir;

use super::support::{encoded, meta, oblique_grid, oblique_series, rois, with};
use crate::dicom::data::{MANUFACTURER, MODEL_NAME, RefusalCode, Refusals, assemble, read_folder, write_rtstruct};

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
    let result = write_rtstruct(&series, &rois(), &meta()).unwrap();
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
