//! What must hold when things go wrong: kills, outages, loops.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contourd::dicom::data::read_header;
use contourd::ids::sha256_hex;
use contourd::phantom::Rng;

use crate::support::phantom_series;
use crate::system::{Daemon, Pacs, Setup, acknowledged, coarse_model, free_port, storescu, wait_for};

/// A thin-sliced head would only cost time here: 4 mm slices in a 2 x 2 mm matrix.
fn series(seed: u64, folder: &Path) -> (String, Vec<PathBuf>) {
    let files = phantom_series(seed, &["--spacing", "2,2,4"], &folder.join(seed.to_string()));
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

#[test]
fn thirty_kills_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let setup = Setup { pacs: pacs.dicom, quiet_seconds: 4, models: (folder.path(), model) };
    let mut daemon = Daemon::start(&setup);
    let mut rng = Rng::new(20_261_123, "kills");
    let mut kills = 0;
    let mut sent = Vec::new();
    for seed in [31, 32, 33, 34, 35, 36] {
        let (uid, files) = series(seed, folder.path());
        // Two kills while it is being received: what was acknowledged before must be there after.
        for _ in 0..2 {
            let sender = storescu(daemon.dicom, &files);
            std::thread::sleep(Duration::from_millis(rng.within(0.0, 250.0) as u64));
            daemon.kill_and_restart();
            kills += 1;
            let (_, count) = acknowledged(sender);
            everything_acknowledged_is_there(&daemon, &files[..count]);
        }
        let (whole, count) = acknowledged(storescu(daemon.dicom, &files));
        assert!(whole && count == files.len(), "the sender sends again and is served");
        // Three more from here to the delivery, at random moments of whatever state it is in.
        for state in ["queued", "segmenting", "delivering"] {
            let end = ["delivering", "delivered"];
            let reached = wait_for_state(&daemon, &uid, &[&[state], &end[..]].concat());
            std::thread::sleep(Duration::from_millis(rng.within(0.0, 700.0) as u64));
            println!("series {seed}: kill {kills} in or after {reached}");
            daemon.kill_and_restart();
            kills += 1;
        }
        wait_for_state(&daemon, &uid, &["delivered"]);
        sent.push((uid, files));
    }
    assert_eq!(kills, 30);
    let mut expected: Vec<String> = sent.iter().map(|(uid, _)| uid.clone()).collect();
    expected.sort();
    assert_eq!(pacs.structure_sets(), expected, "one structure set for each series");
    for (uid, files) in &sent {
        everything_acknowledged_is_there(&daemon, files);
        assert_eq!(daemon.cases_of(uid).len(), 1, "one revision of {uid}");
    }
}

/// A minute here; longer by hand: CONTOURD_LOOP_SECONDS=600.
#[test]
fn a_pacs_that_routes_everything_back_gets_one_result() {
    let seconds = std::env::var("CONTOURD_LOOP_SECONDS").ok().and_then(|v| v.parse().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    // The daemon needs the PACS's port and the PACS the daemon's.
    let pacs_port = free_port();
    let daemon = Daemon::start(&Setup { pacs: pacs_port, quiet_seconds: 8, models: (folder.path(), model) });
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
    let daemon = Daemon::start(&Setup { pacs: pacs_port, quiet_seconds: 2, models: (folder.path(), model) });
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
    let daemon = Daemon::start(&Setup { pacs: pacs.dicom, quiet_seconds: 2, models: (folder.path(), model) });
    let (first, files) = series(61, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &first, &["queued", "segmenting", "delivering", "delivered"]);
    // SIGQUIT: PostgreSQL's immediate shutdown, as after a crash.
    crate::support::run(std::process::Command::new("kill").args(["-QUIT", &daemon.postmaster()]));
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
    let daemon = Daemon::start(&Setup { pacs: free_port(), quiet_seconds: 1, models: (folder.path(), model) });
    let (uid, mut files) = series(71, folder.path());
    std::fs::remove_file(files.remove(files.len() / 2)).unwrap();
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &uid, &["refused"]);
    let case = daemon.cases_of(&uid).remove(0);
    let reason = case["reason"].as_str().unwrap().to_owned();
    let out = crate::support::contourd()
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
