//! What must hold when things go wrong: kills, outages, loops.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contourd::dicom::data::read_header;
use contourd::ids::sha256_hex;
use contourd::phantom::{Acquisition, Rng};

use crate::support::{contourd, phantom_series, run};
use crate::system::{Daemon, Pacs, Setup, SlowLine, acknowledged, coarse_model, free_port, storescu, wait_for};

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
    (header.series.as_str().to_owned(), files)
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

/// kill -9 at random moments, ten or so in each of the states in which something can be lost or doubled.
struct Killer {
    rng: Rng,
    /// The state of the case right before each kill.
    hit: Vec<String>,
}

impl Killer {
    /// Kills within `most` milliseconds from now.
    fn strike(&mut self, daemon: &mut Daemon, series: &str, most: f64) {
        std::thread::sleep(Duration::from_millis(self.rng.within(0.0, most) as u64));
        let state = daemon.state_of(series).unwrap_or_else(|| "nothing received".into());
        daemon.kill_and_restart();
        println!("kill {} of {series} while {state}", self.hit.len() + 1);
        self.hit.push(state);
    }
}

#[test]
fn thirty_kills_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    // Slow enough that a kill can fall into the sending, and between the answer and its record.
    let line = SlowLine::to(pacs.dicom, 256 * 1024);
    let mut daemon = Daemon::start(&Setup { pacs: line.port, quiet_seconds: QUIET, models: (folder.path(), model) });
    // How long a segmentation takes here and now, so that kills fall anywhere into it on any machine.
    let (uid, files) = series(30, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &uid, &["delivered"]);
    let stages = "select sum((stage->>1)::float8) * 1000 from cases, jsonb_array_elements(report->'seconds') stage";
    let segmenting: f64 = daemon.sql(stages)[0].parse().unwrap();
    println!("a segmentation takes {segmenting:.0} ms");
    let mut sent = vec![(uid, files)];
    let mut killer = Killer { rng: Rng::new(20_261_123, "kills"), hit: Vec::new() };
    let mut cut_off = 0;
    for seed in [31, 32, 33, 34, 35, 36] {
        // One of them goes back on derived planes: many objects instead of one.
        let acquisition = if seed == 34 { Acquisition::Sagittal } else { Acquisition::Axial };
        let (uid, files) = acquired(seed, acquisition, folder.path());
        let mut begun = daemon.logged("segmentation begins");
        // Twice while it is being received: what was acknowledged before must be there after.
        for _ in 0..2 {
            let sender = storescu(daemon.dicom, &files);
            wait_for_state(&daemon, &uid, &["receiving"]);
            killer.strike(&mut daemon, &uid, 300.0);
            let (whole, count) = acknowledged(sender);
            cut_off += usize::from(!whole);
            everything_acknowledged_is_there(&daemon, &files[..count]);
        }
        let (whole, count) = acknowledged(storescu(daemon.dicom, &files));
        assert!(whole && count == files.len(), "the sender sends again and is served");
        // Twice while it is being segmented. The state outlives a kill, so the log says when the work begins anew.
        for _ in 0..2 {
            begun = wait_for("the next attempt", || {
                let ended = ["delivering", "delivered"].map(String::from).contains(&daemon.state_of(&uid)?);
                let now = daemon.logged("segmentation begins");
                (ended || now > begun).then_some(now)
            });
            killer.strike(&mut daemon, &uid, 0.9 * segmenting);
        }
        // Once while it is being delivered.
        wait_for_state(&daemon, &uid, &["delivering", "delivered"]);
        killer.strike(&mut daemon, &uid, 1200.0);
        wait_for_state(&daemon, &uid, &["delivered"]);
        sent.push((uid, files));
    }
    assert_eq!(killer.hit.len(), 30);
    for state in ["receiving", "segmenting", "delivering"] {
        let hits = killer.hit.iter().filter(|hit| *hit == state).count();
        println!("{hits} kills while {state}");
        assert!(hits >= 3, "only {hits} kills while {state}: {:?}", killer.hit);
    }
    assert!(cut_off >= 3, "only {cut_off} senders were cut off");
    for (uid, files) in &sent {
        everything_acknowledged_is_there(&daemon, files);
        assert_eq!(daemon.cases_of(uid).len(), 1, "one revision of {uid}");
    }
    // One structure set for each series; for the sagittal one it refers to the derived series, which is there once.
    let derived = daemon.sql("select sop_instance_uid from results where kind = 'derived_image' order by 1");
    let series_of_them = daemon.sql("select distinct series_uid from results where kind = 'derived_image'");
    assert!(derived.len() > 50 && series_of_them.len() == 1, "{} slices in {series_of_them:?}", derived.len());
    let (sagittal, _) = &sent[4];
    let mut expected: Vec<String> =
        sent.iter().map(|(uid, _)| if uid == sagittal { &series_of_them[0] } else { uid }.clone()).collect();
    expected.sort();
    assert_eq!(pacs.structure_sets(), expected, "one structure set for each series");
    assert_eq!(pacs.find("Series", "MR").len(), 1, "no image goes to the PACS but the derived ones");
    assert_eq!(pacs.instance_uids("MR"), derived, "each derived slice is there once");
}

/// A minute here; longer by hand: CONTOURD_LOOP_SECONDS=600.
#[test]
fn a_pacs_that_routes_everything_back_gets_one_result() {
    let seconds = std::env::var("CONTOURD_LOOP_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    // The daemon needs the PACS's port and the PACS the daemon's.
    let pacs_port = free_port();
    let daemon = Daemon::start(&Setup { pacs: pacs_port, quiet_seconds: QUIET, models: (folder.path(), model) });
    let pacs = Pacs::start(pacs_port, Some(daemon.dicom));
    let (uid, files) = series(41, folder.path());
    assert!(acknowledged(storescu(pacs.dicom, &files)).0, "the series goes to the PACS");
    wait_for_state(&daemon, &uid, &["delivered"]);
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
    println!("{rounds} rounds of everything in {seconds} s");
    assert_eq!(pacs.structure_sets(), std::slice::from_ref(&uid), "one result exists");
    assert_eq!(daemon.cases_of(&uid).len(), 1);
    assert_eq!(daemon.sql("select count(*) from results where kind = 'structure_set'"), ["1"]);
}

#[test]
fn a_pacs_that_was_down_gets_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs_port = free_port();
    let daemon = Daemon::start(&Setup { pacs: pacs_port, quiet_seconds: QUIET, models: (folder.path(), model) });
    let (uid, files) = series(51, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    // It waits in sight, with the reason.
    let why = wait_for("a delivery that failed for now", || {
        let case = daemon.cases_of(&uid).into_iter().next()?;
        let one = daemon.api(&format!("cases/{}", case["id"].as_str()?))?;
        let why = one["deliveries"].as_array()?.iter().find_map(|d| d["last_error"].as_str())?.to_owned();
        (one["state"] == "delivering").then_some(why)
    });
    assert!(why.contains("cannot connect"), "{why}");
    let pacs = Pacs::start(pacs_port, None);
    wait_for_state(&daemon, &uid, &["delivered"]);
    assert_eq!(pacs.structure_sets(), [uid]);
}

#[test]
fn a_restart_of_postgres_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let daemon = Daemon::start(&Setup { pacs: pacs.dicom, quiet_seconds: QUIET, models: (folder.path(), model) });
    let (first, files) = series(61, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &first, &["queued", "segmenting", "delivering", "delivered"]);
    // SIGQUIT: PostgreSQL's immediate shutdown, as after a crash.
    run(std::process::Command::new("kill").args(["-QUIT", &daemon.postmaster()]));
    wait_for_state(&daemon, &first, &["delivered"]);
    let (second, files) = series(62, folder.path());
    // While the database was away the sender was told to come back later; it does.
    wait_for("a series after the restart", || acknowledged(storescu(daemon.dicom, &files)).0.then_some(()));
    wait_for_state(&daemon, &second, &["delivered"]);
    let mut both = [first, second];
    both.sort();
    assert_eq!(pacs.structure_sets(), both);
}

#[test]
fn a_refusal_over_the_network_says_the_same_on_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let daemon = Daemon::start(&Setup { pacs: free_port(), quiet_seconds: QUIET, models: (folder.path(), model) });
    let (uid, mut files) = series(71, folder.path());
    std::fs::remove_file(files.remove(files.len() / 2)).unwrap();
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &uid, &["refused"]);
    let case = daemon.cases_of(&uid).remove(0);
    let reason = case["reason"].as_str().unwrap().to_owned();
    let out = contourd()
        .arg("segment")
        .arg(files[0].parent().unwrap())
        .arg("--output")
        .arg(folder.path().join("rtss.dcm"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains(reason.trim()), "on the case: {reason}\nat the command line: {said}");
    assert!(!folder.path().join("rtss.dcm").exists());
}
