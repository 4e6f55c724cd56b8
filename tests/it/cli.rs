//! Promises of the command line: refusals in words, exit statuses, nothing that pretends.

use std::path::{Path, PathBuf};
use std::process::Output;

use contourd::anatomy::Structure;
use contourd::anatomy::quality::Light;
use contourd::anatomy::rules::{self, Flag, RuleEffect};
use contourd::contour::rasterise;
use contourd::dicom::data::{assemble, read_folder, read_header, read_rtstruct};
use contourd::geometry::working_volume;
use contourd::inference::evidence;
use contourd::service::Report;

use crate::support::{Heard, contourd, phantom_series, recipe_of, run};
use crate::system::{coarse_config, damage};

fn segment(folder: &Path, output: &Path, more: &[&str]) -> Output {
    contourd().arg("segment").arg(folder).arg("--output").arg(output).args(more).heard()
}

/// Exit 2, nothing written, and one reason with each of these phrases in it.
fn refused(folder: &Path, phrases: &[&str]) {
    let output = folder.join("must-not-exist.dcm");
    let out = segment(folder, &output, &[]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.starts_with("contourd: ") && said.trim_end().lines().count() == 1, "{said}");
    for phrase in phrases {
        assert!(said.contains(phrase), "{phrase:?} is missing from: {said}");
    }
    assert!(!output.exists());
    assert!(out.stdout.is_empty(), "a refusal is no result: {}", String::from_utf8_lossy(&out.stdout));
}

fn thick(seed: u64, folder: &Path) -> Vec<PathBuf> {
    phantom_series(seed, &["--spacing", "2,2,4"], folder)
}

#[test]
fn a_folder_without_images_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no image").unwrap();
    refused(folder.path(), &["the folder holds no DICOM images; name the folder of the T1 MR series"]);
}

#[test]
fn a_ct_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let files = thick(5, &folder.path().join("ct"));
    for file in &files {
        run(std::process::Command::new("dcmodify")
            .args(["-nb", "-m", "0008,0060=CT", "-m", "0008,0016=1.2.840.10008.5.1.4.1.1.2"])
            .arg(file));
    }
    let found = format!("there are no MR images but {} of modality CT", files.len());
    refused(folder.path(), &[&found, "contours are made on a T1 MR series only"]);
}

#[test]
fn a_truncated_file_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let files = thick(6, &folder.path().join("mr"));
    let bytes = std::fs::read(&files[7]).unwrap();
    std::fs::write(&files[7], &bytes[..bytes.len() - 1000]).unwrap();
    let path = files[7].display().to_string();
    refused(folder.path(), &[&path, "cut short", "fetch it again", "(7FE0,0010) PixelData"]);
}

#[test]
fn a_series_with_a_missing_slice_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let files = thick(7, &folder.path().join("mr"));
    let place = |file: &PathBuf| {
        let header = read_header(&std::fs::read(file).unwrap()).unwrap();
        let series = assemble(read_folder(&folder.path().join("mr")).unwrap()).unwrap();
        let slice = series.slices.into_iter().find(|slice| slice.instance == header.instance).unwrap();
        (slice.instance, slice.position.z)
    };
    let ((below, lower), (above, upper)) = (place(&files[10]), place(&files[12]));
    std::fs::remove_file(&files[11]).unwrap();
    let gap = format!("a slice is missing between the slices at {lower:.2} mm and {upper:.2} mm");
    let names = format!("(instances {below} and {above})");
    refused(folder.path(), &[&gap, &names, "4.000 mm apart", "send the whole series again"]);
}

#[test]
fn bad_usage_and_bad_configuration_end_with_64() {
    let code = |args: &[&str]| contourd().args(args).heard().status.code();
    assert_eq!(code(&["segment"]), Some(64));
    assert_eq!(code(&["no-such-verb"]), Some(64));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["check-config"]), Some(0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[scp]\nmax_associations = 0\nname = \"x\"\n[toy]\n").unwrap();
    let out = contourd().args(["check-config", "--config"]).arg(&file).heard();
    assert_eq!(out.status.code(), Some(64));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    for key in ["scp.name", "toy"] {
        assert!(said.contains(key), "{key} is missing from: {said}");
    }
}

#[test]
fn a_research_result_says_so_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let config = coarse_config(folder.path(), "");
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
    assert_eq!(report["structures"].as_array().unwrap().len(), Structure::ALL.len());
    assert_eq!(report["notice"], "Research use only, not reviewed");
}

#[test]
fn a_held_image_gives_a_report_and_no_structure_set_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let config = coarse_config(folder.path(), "");
    // More brain than anybody has is asked for, so that this head is held, whatever else is said of it.
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("enabled = false", "enabled = true\nbrain_cc = [4000.0, 5000.0]")).unwrap();
    thick(9, &folder.path().join("mr"));
    let (output, report) = (folder.path().join("rtss.dcm"), folder.path().join("report.json"));
    let mut more = vec!["--config", config.to_str().unwrap(), "--report", report.to_str().unwrap()];
    let out = segment(&folder.path().join("mr"), &output, &more);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("cm3 of brain: a brain has 4000 to 5000") && said.contains("--release-held"), "{said}");
    assert!(!output.exists());
    let held: Report = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert!(said.contains(&held.held().unwrap()) && held.structures.len() == Structure::ALL.len());
    more.push("--release-held");
    let out = segment(&folder.path().join("mr"), &output, &more);
    assert_eq!(out.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&out.stderr).contains("released although it would be held"));
    assert!(read_rtstruct(&std::fs::read(&output).unwrap()).is_ok());
}

/// Volume, agreement, what the rules did and flags of each structure: the same in the report, the table and the file,
/// and the same as the stages give one by one.
#[test]
fn the_report_says_what_was_found_and_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let config = coarse_config(folder.path(), "");
    let images = folder.path().join("mr");
    phantom_series(8, &["--spacing", "2,2,4", "--missing-eye", "right"], &images);
    let (output, report) = (folder.path().join("rtss.dcm"), folder.path().join("report.json"));
    let more = ["--config", config.to_str().unwrap(), "--report", report.to_str().unwrap()];
    let out = segment(&images, &output, &more);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table = String::from_utf8_lossy(&out.stdout).into_owned();
    let report: Report = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    let set = read_rtstruct(&std::fs::read(&output).unwrap()).unwrap();
    let series = assemble(read_folder(&images).unwrap()).unwrap();

    let recipe = recipe_of(&config);
    let working = working_volume(&series.volume, &recipe.model.card().working).unwrap();
    let vote = recipe.model.run(&working, &|_| ()).unwrap();
    let case = rules::Case {
        parts: &vote.parts().unwrap(),
        image: &working,
        fat_suppressed: false,
        acquired: Some(series.volume.grid().as_ref()),
    };
    let found = rules::apply_to(&case, &recipe.rules).unwrap();
    let (known, found) = (evidence(&vote, &found), found.structures);

    let names: Vec<Structure> = report.structures.iter().map(|s| s.structure).collect();
    assert_eq!(names, Structure::ALL, "every structure is named once, found or not");
    for entry in &report.structures {
        let (name, finding) = (entry.structure.name(), &found[&entry.structure]);
        let line = table.lines().find(|l| l.split_whitespace().next() == Some(name)).expect(name);
        let roi = set.roi(name);
        assert_eq!(roi.is_some(), entry.found, "{name}");
        let not_found = entry.flags.iter().any(|flag| matches!(flag, Flag::NotFound { .. }));
        assert_eq!(not_found, finding.mask.is_empty(), "{name}: {:?}", entry.flags);
        // The light and each of its reasons: in the table, and first in the description of the region.
        let light = entry.light.expect(name).name();
        assert!(line.contains(&format!(" {light} ")), "{light} is missing from: {line}");
        assert_eq!(entry.light == Some(Light::Green), entry.reasons.is_empty(), "{name}: {:?}", entry.reasons);
        assert!(entry.reasons.iter().all(|reason| line.contains(reason)), "{:?}: {line}", entry.reasons);
        assert!(entry.found || entry.light != Some(Light::Green), "{name}: not found, and green");
        if let Some(roi) = roi {
            let begins = entry.reasons.first().map_or(light.to_owned(), |reason| format!("{light}: {reason}"));
            // Behind the mark of research.
            let (_, words) = roi.description.split_once(". ").unwrap();
            assert!(words.starts_with(&begins), "{begins} is not first in {}", roi.description);
        }
        for flag in &entry.flags {
            assert!(line.contains(&flag.to_string()), "{flag} is missing from: {line}");
        }
        // A number that was read from JSON may differ in its last digit.
        let words = |flags: &[Flag]| flags.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!((words(&entry.flags), &entry.effects), (words(&finding.flags), &finding.effects), "{name}");
        let inside = finding.mask.inside().map(|[i, j, k]| finding.mask.offset(i, j, k));
        let unanimous = inside.filter(|n| vote.count(entry.structure.class(), *n) == 3).count();
        let agreement = (finding.mask.count() > 0).then(|| unanimous as f64 / finding.mask.count() as f64);
        assert_eq!(entry.agreement.is_some(), agreement.is_some(), "{name}");
        assert!(entry.agreement.zip(agreement).is_none_or(|(a, b)| (a - b).abs() < 1e-9), "{name}");
        // The numbers that were judged are those of this vote and these structures.
        let measured = known.get(&entry.structure).cloned().unwrap_or_default();
        assert!(entry.evidence.keys().eq(measured.keys()), "{name}: {:?}", entry.evidence);
        assert!(entry.evidence.values().zip(measured.values()).all(|(a, b)| (a - b).abs() < 1e-9), "{name}");
        let count = |pick: fn(&RuleEffect) -> usize| entry.effects.iter().map(pick).sum::<usize>();
        let left = (finding.predicted + count(|e| e.added)).checked_sub(count(|e| e.removed));
        assert_eq!(left, Some(finding.mask.count()), "{name}: predicted, added and removed make what is left");
        let Some(roi) = roi else {
            assert_eq!((entry.volume_cc, entry.contours), (0.0, 0), "{name}");
            assert!(line.contains("NOT FOUND"), "{line}");
            continue;
        };
        let drawn = rasterise(&roi.plane_contours(&series).unwrap(), series.volume.grid());
        assert!((drawn.cc() - entry.volume_cc).abs() < 1e-6, "{name}: {} cm3 drawn", drawn.cc());
        assert_eq!(roi.contours.len(), entry.contours, "{name}");
        assert!(line.contains(&format!(" {:.2} ", entry.volume_cc)) && !line.contains("NOT"), "{line}");
    }
    let changed = report.structures.iter().flat_map(|s| &s.effects).filter(|e| e.added + e.removed > 0).count();
    assert!(changed > 0, "no rule did anything: this head is too easy for the test");
    assert!(report.structures.iter().any(|s| !s.found), "all was found: this head is too easy for the test");
}

#[test]
fn a_damaged_network_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = coarse_config(folder.path(), "");
    damage(folder.path());
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
    let out = contourd().args(["serve", "--config"]).arg(&config).heard();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("cuda") && said.contains("cannot be used"), "{said}");
}

#[test]
fn the_conformance_statement_in_ops_is_what_the_program_says() {
    let out = contourd().arg("conformance").heard();
    let said = String::from_utf8(out.stdout).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/conformance.md");
    assert!(
        std::fs::read_to_string(file).unwrap() == said,
        "it differs; look at it, then: target/release/contourd conformance > ops/conformance.md"
    );
    // No place of a table was left open, and every table has rows.
    assert!(!said.contains(['{', '}']), "{said}");
    for row in
        ["MR Image Storage | 1.2.840.10008.5.1.4.1.1.4 | yes | yes", "| ContourData |", "| A700 | out of resources"]
    {
        assert!(said.contains(row) || said.contains(&row.replace("| C", "| > > C")), "{row}");
    }
}
