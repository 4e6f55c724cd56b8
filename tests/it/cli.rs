//! Promises of the command line: refusals in words, exit statuses, nothing that pretends.

use std::path::{Path, PathBuf};
use std::process::Output;

use contourd::dicom::data::read_rtstruct;

use crate::support::{contourd, phantom_series, run};
use crate::system::coarse_model;

fn segment(folder: &Path, output: &Path, more: &[&str]) -> Output {
    contourd().arg("segment").arg(folder).arg("--output").arg(output).args(more).output().unwrap()
}

/// Exit 2, nothing written, and each of these words in the reason.
fn refused(folder: &Path, words: &[&str]) {
    let output = folder.join("must-not-exist.dcm");
    let out = segment(folder, &output, &[]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing from: {said}");
    }
    assert!(!output.exists());
}

fn thick(seed: u64, folder: &Path) -> Vec<PathBuf> {
    phantom_series(seed, &["--spacing", "2,2,4"], folder)
}

#[test]
fn a_folder_without_images_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    refused(folder.path(), &["the folder holds no DICOM images"]);
}

#[test]
fn a_ct_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    for file in thick(5, &folder.path().join("ct")) {
        run(std::process::Command::new("dcmodify")
            .args(["-nb", "-m", "0008,0060=CT", "-m", "0008,0016=1.2.840.10008.5.1.4.1.1.2"])
            .arg(file));
    }
    refused(folder.path(), &["CT"]);
}

#[test]
fn a_truncated_file_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let files = thick(6, &folder.path().join("mr"));
    let bytes = std::fs::read(&files[7]).unwrap();
    std::fs::write(&files[7], &bytes[..bytes.len() - 1000]).unwrap();
    refused(folder.path(), &["cut short", "fetch it again"]);
}

#[test]
fn a_series_with_a_missing_slice_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let files = thick(7, &folder.path().join("mr"));
    std::fs::remove_file(&files[11]).unwrap();
    refused(folder.path(), &["missing", "mm apart"]);
}

#[test]
fn bad_usage_and_bad_configuration_end_with_64() {
    let code = |args: &[&str]| contourd().args(args).output().unwrap().status.code();
    assert_eq!(code(&["segment"]), Some(64));
    assert_eq!(code(&["no-such-verb"]), Some(64));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["check-config"]), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[scp]\nmax_associations = 0\nname = \"x\"\n[toy]\n").unwrap();
    let out = contourd().args(["check-config", "--config"]).arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(64));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    for key in ["scp.name", "toy"] {
        assert!(said.contains(key), "{key} is missing from: {said}");
    }
}

#[test]
fn a_research_result_says_so_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    coarse_model(folder.path());
    let config = folder.path().join("contourd.toml");
    std::fs::write(&config, format!("[models]\ndir = {:?}\ndefault = \"coarse\"\n", folder.path())).unwrap();
    thick(8, &folder.path().join("mr"));
    let (output, report) = (folder.path().join("rtss.dcm"), folder.path().join("report.json"));
    let picture = folder.path().join("sheet.png");
    let out = segment(
        &folder.path().join("mr"),
        &output,
        &[
            "--config",
            config.to_str().unwrap(),
            "--report",
            report.to_str().unwrap(),
            "--picture",
            picture.to_str().unwrap(),
        ],
    );
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(String::from_utf8_lossy(&out.stdout).contains("Research use only, not reviewed"));
    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    let set = read_rtstruct(&std::fs::read(&output).unwrap()).unwrap();
    assert_eq!((set.label.as_str(), set.approval.as_str()), ("AI RESEARCH", "UNAPPROVED"));
    assert!(set.name.contains("Research use only, not reviewed"), "{}", set.name);
    assert!(set.header.series_description.contains("Research use only, not reviewed"));
    assert!(set.software_versions.iter().any(|v| v.contains("coarse")), "{:?}", set.software_versions);
    for roi in &set.rois {
        assert!(roi.description.contains("Research use only, not reviewed"), "{}: {}", roi.name, roi.description);
        assert_eq!((roi.algorithm.as_str(), roi.interpreted_type.as_deref()), ("AUTOMATIC", Some("ORGAN")));
    }
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["structures"].as_array().unwrap().len(), 12, "every structure is named, found or not");
    assert_eq!(report["notice"], "Research use only, not reviewed");
}

#[test]
fn a_damaged_network_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    coarse_model(folder.path());
    let network = folder.path().join("coarse/coronal.onnx");
    let mut bytes = std::fs::read(&network).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&network, bytes).unwrap();
    let config = folder.path().join("contourd.toml");
    std::fs::write(&config, format!("[models]\ndir = {:?}\ndefault = \"coarse\"\n", folder.path())).unwrap();
    thick(9, &folder.path().join("mr"));
    let out = segment(&folder.path().join("mr"), &folder.path().join("x.dcm"), &["--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("coronal.onnx") && said.contains("SHA-256"), "{said}");
}

#[test]
fn cuda_without_a_gpu_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("contourd.toml");
    let text = "[inference]\nexecution = \"cuda\"\n\
                [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = 104\nae_title = \"PACS\"\n\
                [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n";
    std::fs::write(&config, text).unwrap();
    let out = contourd().args(["serve", "--config"]).arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("cuda") && said.contains("cannot be used"), "{said}");
}
