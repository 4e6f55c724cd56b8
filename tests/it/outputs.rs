//! Where the command line writes, and who reads it: no input is overwritten, no two results share a place, a reader that
//! goes away is no fault.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

use contourd::dicom::data::{is_own_object, read_header, read_rtstruct};

use crate::support::{Heard, contourd, files_in, phantom_series, run};
use crate::system::coarse_config;

/// `contourd segment` with these arguments.
fn segment<'a>(folder: &Path, args: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Output {
    let args = args.into_iter().flat_map(|(option, value)| [OsStr::new(option), value.as_os_str()]);
    contourd().arg("segment").arg(folder).args(args).heard()
}

/// Bad usage, said with these words on one line.
fn refused(out: &Output, words: &str) {
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(64), "{said}");
    assert!(said.contains(words) && said.trim_end().lines().count() == 1, "{words:?} is missing from: {said}");
}

#[test]
fn a_reader_that_went_away_is_no_panic() {
    for args in [&["check-config"][..], &["doctor", "--config", "no-such-file.toml"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = contourd().args(args).stdout(writer).heard();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let status = if args.len() == 1 { Some(1) } else { Some(64) };
        assert_eq!(out.status.code(), status, "{args:?}: {said}");
        assert!(!said.contains("panic") && (args.len() > 1 || said.is_empty()), "{args:?}: {said}");
    }
}

#[test]
fn results_overwrite_neither_images_nor_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("mr");
    let files = phantom_series(8, &["--spacing", "2,2,4"], &images);
    let before = std::fs::read(&files[3]).unwrap();
    let at = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink(folder.path(), at("again")).unwrap();
    let (set, other) = (at("rtss.dcm"), at("other.dcm"));
    refused(&segment(&images, [("--output", files[3].as_path())]), "did not make; name another file for --output");
    for option in ["--segmentation", "--report", "--picture"] {
        let words = format!("did not make; name another file for {option}");
        refused(&segment(&images, [("--output", set.as_path()), (option, files[3].as_path())]), &words);
        let same = [("--output", set.as_path()), (option, &at("again/rtss.dcm"))];
        refused(&segment(&images, same), "rtss.dcm is the place of --output; name another file");
    }
    let pair = [("--output", set.as_path()), ("--report", &other), ("--picture", &other)];
    refused(&segment(&images, pair), "is the place of --report");
    refused(
        &segment(&images, [("--output", set.as_path()), ("--report", &at("rtss.dcm.series"))]),
        "is the place of the derived series",
    );
    // An image that was cut short is an image.
    std::fs::write(&other, &before[..200]).unwrap();
    refused(&segment(&images, [("--output", other.as_path())]), "did not make");
    assert_eq!(std::fs::read(&files[3]).unwrap(), before);
    assert!(!set.exists());
}

#[test]
fn a_derived_series_has_a_folder_of_its_own_and_warnings_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let config = coarse_config(folder.path(), "");
    let images = folder.path().join("mr");
    for file in phantom_series(8, &["--spacing", "2,2,4", "--acquisition", "sagittal"], &images) {
        run(Command::new("dcmodify").args(["-nb", "-i", "0028,2110=01"]).arg(file));
    }
    // The name ends as the folder's would.
    let output = folder.path().join("result.series");
    let derived = folder.path().join("result.series.series");
    std::fs::create_dir(&derived).unwrap();
    std::fs::write(derived.join("0001.dcm"), "of an earlier run").unwrap();
    let args = [("--output", output.as_path()), ("--config", &config)];
    refused(&segment(&images, args), "result.series.series is not an empty folder");
    assert!(!output.exists());
    std::fs::remove_dir_all(&derived).unwrap();
    let out = segment(&images, args);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("warning: the images were compressed with loss; small structures may suffer"), "{said}");
    assert_eq!(read_rtstruct(&std::fs::read(&output).unwrap()).unwrap().label, "AI RESEARCH");
    let slices = files_in(&derived);
    assert!(slices.len() > 40 && is_own_object(&read_header(&std::fs::read(&slices[0]).unwrap()).unwrap()));
    // What contourd made may be made again; then the derived series of before is in the way.
    refused(&segment(&images, args), "result.series.series is not an empty folder");
    // And a folder of results alone is no series.
    let out = segment(&derived, [("--output", folder.path().join("x.dcm").as_path())]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("objects that contourd itself made and no others"));
}

#[test]
fn a_series_is_not_written_into_a_folder_that_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    let phantom =
        |seed: &str| contourd().arg("phantom").arg(folder.path()).args(["--seed", seed, "--spacing", "3,3,5"]).heard();
    assert!(phantom("1").status.success());
    let before = std::fs::read(folder.path().join("truth.dcm")).unwrap();
    refused(&phantom("2"), "is not an empty folder");
    assert_eq!(std::fs::read(folder.path().join("truth.dcm")).unwrap(), before);
    let out = contourd().args(["demo-series", "no-such-image.nii"]).arg(folder.path().join("mr")).heard();
    refused(&out, "is not an empty folder");
}
