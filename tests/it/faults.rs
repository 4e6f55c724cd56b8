//! What must hold when things go wrong: loops and refusals here, kills in `faults/kills.rs`, outages of PACS and database in
//! `faults/outages.rs`, a kill while a PACS owes an answer in `faults/commitment.rs`, hostile peers in `faults/hostile.rs`,
//! disks, clocks and databases of a site in `faults/site.rs`, hours of work in `faults/soak.rs`.

mod commitment;
mod hostile;
mod kills;
mod outages;
mod site;
mod soak;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use contourd::dicom::data::read_header;
use contourd::ids::sha256_hex;
use contourd::phantom::Acquisition;

use crate::support::{Heard, contourd, phantom_series, run};
use crate::system::{Daemon, Pacs, Setup, acknowledged, coarse_model, free_port, storescu, wait_for};

/// Longer than a sender on a busy machine ever pauses between two slices: a series must not count as complete before
/// its last one.
const QUIET: u64 = 8;

/// A thin-sliced head would only cost time here: 4 mm slices in a 2 x 2 mm matrix.
fn series(seed: u64, folder: &Path) -> (String, Vec<PathBuf>) {
    acquired(seed, Acquisition::Axial, folder)
}

fn acquired(seed: u64, acquisition: Acquisition, folder: &Path) -> (String, Vec<PathBuf>) {
    let more = ["--spacing", "2,2,4", "--acquisition", acquisition.name()];
    let files = phantom_series(seed, &more, &folder.join(seed.to_string()));
    let header = read_header(&std::fs::read(&files[0]).unwrap()).unwrap();
    // So that a log without such names (looked through at the end of every daemon) means something.
    assert!(header.patient_name.reveal().starts_with("PHANTOM^"));
    (header.series.as_str().to_owned(), files)
}

/// A daemon with the private database that sends to this port.
fn daemon(pacs: u16, models: (&Path, &str)) -> Daemon {
    Daemon::start(&Setup { pacs, quiet_seconds: QUIET, models, database: None, confirm: "query" })
}

fn wait_for_state(daemon: &Daemon, series: &str, wanted: &[&str]) -> String {
    wait_for(&format!("one of {wanted:?}"), || daemon.state_of(series).filter(|state| wanted.contains(&state.as_str())))
}

/// Every instance that was acknowledged is in the database, and its file holds the bytes that the database names.
fn everything_acknowledged_is_there(daemon: &Daemon, files: &[PathBuf]) {
    let rows = daemon.sql("select sop_instance_uid || ' ' || sha256 || ' ' || blob_key from instances");
    for file in files {
        let uid = read_header(&std::fs::read(file).unwrap()).unwrap().instance.as_str().to_owned();
        let row = rows.iter().find(|r| r.split(' ').next() == Some(&uid)).unwrap_or_else(|| panic!("{uid} is lost"));
        let mut fields = row.split(' ').skip(1);
        let (digest, key) = (fields.next().unwrap(), fields.next().unwrap());
        let bytes = std::fs::read(daemon.state_dir().join("blobs").join(key)).expect("the file of an instance");
        assert_eq!(sha256_hex(&bytes), digest, "{uid}");
    }
}

/// Less than a minute here; longer by hand: CONTOURD_LOOP_SECONDS=600 (tests/bench/RESULTS.md has the figures).
#[test]
fn a_pacs_that_routes_everything_back_gets_one_result() {
    let seconds = std::env::var("CONTOURD_LOOP_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    // The daemon needs the PACS's port and the PACS the daemon's.
    let pacs_port = free_port();
    let daemon = daemon(pacs_port, (folder.path(), model));
    let pacs = Pacs::start(pacs_port, Some(daemon.dicom));
    // Sagittal, so that images of contourd's own making come back beside the structure set.
    let (uid, files) = acquired(41, Acquisition::Sagittal, folder.path());
    assert!(acknowledged(storescu(pacs.dicom, &files)).0, "the series goes to the PACS");
    wait_for_state(&daemon, &uid, &["delivered"]);
    let made = daemon.sql("select sop_instance_uid from results where kind = 'derived_image' order by 1");
    assert!(made.len() > 50, "{} derived slices", made.len());
    let own = made.len() + 1;
    let ignored = || daemon.sql("select count(*) from audit where event = 'own_object_ignored'")[0].parse().unwrap();
    // The PACS's automatic route is at work by itself.
    wait_for("everything to come back by itself", || (ignored() >= own).then_some(()));
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        // Beside its automatic route, the PACS sends all it has once more, results included.
        for level in ["MR", "RTSTRUCT"] {
            for id in pacs.find("Series", level) {
                assert!(
                    pacs.rest("modalities/contourd/store", Some(&id.into())).is_some(),
                    "contourd takes everything"
                );
            }
        }
        rounds += 1;
        std::thread::sleep(Duration::from_secs(3));
    }
    let came_back: usize = ignored();
    println!("{rounds} rounds of everything in {seconds} s: {came_back} objects of contourd's own came back");
    assert!(rounds > 0 && came_back >= (rounds + 1) * own, "{came_back} of {rounds} rounds of {own}");
    assert_eq!(daemon.sql("select count(*) from cases"), ["1"], "nothing of its own became a case");
    let result = daemon.sql("select series_uid from results where kind = 'derived_image' limit 1");
    assert_eq!(pacs.structure_sets(), result, "one result exists");
    let mut images = made;
    images.extend(daemon.sql("select sop_instance_uid from instances"));
    images.sort();
    assert_eq!(pacs.instance_uids("MR"), images, "each image is there once");
    assert_eq!(daemon.sql("select count(*) from results where kind = 'structure_set'"), ["1"]);
}

/// What `contourd segment` says of a folder that it refuses.
fn said_at_the_command_line(folder: &Path) -> String {
    let output = folder.join("rtss.dcm");
    let out = contourd().arg("segment").arg(folder).arg("--output").arg(&output).heard();
    assert_eq!(out.status.code(), Some(2));
    assert!(!output.exists());
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A truncated file, which no healthy sender sends, is in `daemon/receiving.rs`.
#[test]
fn a_refusal_over_the_network_says_the_same_on_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let daemon = daemon(free_port(), (folder.path(), model));
    let (gap, mut gap_files) = series(71, folder.path());
    std::fs::remove_file(gap_files.remove(gap_files.len() / 2)).unwrap();
    let (ct, ct_files) = series(72, folder.path());
    for file in &ct_files {
        let change = ["-nb", "-m", "0008,0060=CT", "-m", "0008,0016=1.2.840.10008.5.1.4.1.1.2"];
        run(Command::new("dcmodify").args(change).arg(file));
    }
    for (uid, files, words) in [(gap, gap_files, "missing"), (ct, ct_files, "of modality CT")] {
        assert!(acknowledged(storescu(daemon.dicom, &files)).0);
        wait_for_state(&daemon, &uid, &["refused"]);
        let case = daemon.cases_of(&uid).remove(0);
        let reason = case["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
        let said = said_at_the_command_line(files[0].parent().unwrap());
        assert_eq!(said, format!("contourd: {reason}\n"));
    }
}
