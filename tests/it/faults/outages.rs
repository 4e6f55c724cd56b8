//! PACS and database go away and come back; the daemon is stopped while it starts.

use std::path::Path;
use std::process::Command;

use contourd::phantom::Acquisition;

use super::{QUIET, acquired, daemon, series, wait_for_state};
use crate::support::run;
use crate::system::{
    Daemon, Pacs, Postgres, Setup, SlowLine, acknowledged, coarse_model, free_port, http_status, storescu, wait_for,
};

#[test]
fn a_pacs_that_was_down_gets_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs_port = free_port();
    let daemon = daemon(pacs_port, (folder.path(), model));
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
fn a_pacs_that_goes_away_in_the_middle_of_a_delivery_gets_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let mut pacs = Pacs::start(free_port(), None);
    let line = SlowLine::to(pacs.dicom, 256 * 1024);
    let daemon = daemon(line.port, (folder.path(), model));
    let (uid, files) = acquired(52, Acquisition::Sagittal, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    let before = wait_for("some derived slices in the PACS", || {
        let there = pacs.find("Instance", "MR").len();
        (there >= 5).then_some(there)
    });
    pacs.stop();
    let derived = daemon.sql("select sop_instance_uid from results where kind = 'derived_image' order by 1");
    assert!(before < derived.len(), "all {before} slices were there already");
    let waiting = || daemon.cases_of(&uid).into_iter().next()?["reason"].as_str().map(str::to_owned);
    let why = wait_for("the reason on the case", waiting);
    assert!(why.starts_with("pacs: "), "{why}");
    assert_eq!(daemon.state_of(&uid).as_deref(), Some("delivering"));
    pacs.start_again();
    wait_for_state(&daemon, &uid, &["delivered"]);
    assert_eq!(pacs.instance_uids("MR"), derived, "each derived slice is there once");
    let on = daemon.sql("select distinct series_uid from results where kind = 'derived_image'");
    assert_eq!(pacs.structure_sets(), on);
    let order = pacs.order_of_arrival();
    assert_eq!(order.len(), derived.len() + 1, "something was stored twice");
    assert_eq!(order.last().map(String::as_str), Some("RTSTRUCT"), "the structure set comes last: {order:?}");
}

#[test]
fn a_restart_of_postgres_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let daemon = daemon(pacs.dicom, (folder.path(), model));
    let (first, files) = series(61, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &first, &["queued", "segmenting", "delivering", "delivered"]);
    // SIGQUIT: PostgreSQL's immediate shutdown, as after a crash.
    run(Command::new("kill").args(["-QUIT", &daemon.postmaster()]));
    wait_for_state(&daemon, &first, &["delivered"]);
    let (second, files) = series(62, folder.path());
    // While the database was away the sender was told to come back later; it does.
    wait_for("a series after the restart", || acknowledged(storescu(daemon.dicom, &files)).0.then_some(()));
    wait_for_state(&daemon, &second, &["delivered"]);
    let mut both = [first, second];
    both.sort();
    assert_eq!(pacs.structure_sets(), both);
}

/// A database of the site's own: nobody starts it again but its owner, and meanwhile everybody is told.
#[test]
fn an_outage_of_a_configured_database_is_said_and_survived() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let (pacs, postgres) = (Pacs::start(free_port(), None), Postgres::start());
    let models = (folder.path(), model);
    let setup =
        Setup { pacs: pacs.dicom, quiet_seconds: QUIET, models, database: Some(postgres.url()), confirm: "query" };
    let mut daemon = Daemon::start(&setup);
    assert!(!daemon.state_dir().join("postgres").exists(), "a private server was made");
    let (first, files) = series(63, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &first, &["receiving"]);
    postgres.crash();
    for path in ["health", "api/cases"] {
        let (status, said) = http_status(&format!("http://127.0.0.1:{}/{path}", daemon.web)).unwrap();
        assert_eq!(status, 503, "{path}: {said}");
        assert!(said.contains("The database or the disk of the daemon is away for now"), "{path}: {said}");
    }
    let (second, more) = series(64, folder.path());
    assert_eq!(acknowledged(storescu(daemon.dicom, &more)).1, 0, "something was acknowledged without a database");
    postgres.start_again();
    wait_for("a series after the outage", || acknowledged(storescu(daemon.dicom, &more)).0.then_some(()));
    // And the daemon may die meanwhile: its leases run out.
    wait_for_state(&daemon, &first, &["segmenting", "delivering", "delivered"]);
    daemon.kill_and_restart();
    let mut both = [first, second];
    for uid in &both {
        wait_for_state(&daemon, uid, &["delivered"]);
        assert_eq!(daemon.cases_of(uid).len(), 1);
    }
    both.sort();
    assert_eq!(pacs.structure_sets(), both);
    assert_eq!(postgres.sql("select count(*) from instances"), [(files.len() + more.len()).to_string()]);
}

/// Processes that work in a directory: PostgreSQL's do in their data.
fn processes_in(directory: &Path) -> usize {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))).count()
}

#[test]
fn a_stop_before_the_start_is_complete_leaves_no_database_behind() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let models = (folder.path(), model);
    let setup = Setup { pacs: free_port(), quiet_seconds: QUIET, models, database: None, confirm: "query" };
    let mut daemon = Daemon::launch(&setup);
    let server = daemon.state_dir().join("postgres");
    // Its server is being made, or begins to run; nothing listens yet.
    wait_for("the private server", || server.exists().then_some(()));
    assert!(daemon.terminate(), "it ends in order");
    assert_eq!(daemon.logged(": ready"), 0, "it was ready already");
    assert_eq!(processes_in(&server), 0, "the private server was left running");
    assert!(!server.join("data/postmaster.pid").exists());
}
