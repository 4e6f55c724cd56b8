//! What goes wrong at a site beside crashes: a database that hangs or lets nobody in, a full disk, one that became read-only, a
//! clock that jumps, senders that share a series, a daemon that is not root.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{QUIET, daemon, everything_acknowledged_is_there, series, wait_for_state};
use crate::support::{Heard, contourd, open_folder, run};
use crate::system::{
    Daemon, Pacs, Postgres, Setup, SlowLine, acknowledged, coarse_model, free_port, http_status, storescu, wait_for,
};

/// What was acknowledged is there, and the series comes through once, whatever happened before.
fn comes_through(daemon: &Daemon, pacs: &Pacs, uid: &str, files: &[PathBuf]) {
    wait_for("the sender to be served", || acknowledged(storescu(daemon.dicom, files)).0.then_some(()));
    everything_acknowledged_is_there(daemon, files);
    wait_for_state(daemon, uid, &["delivered"]);
    let ended: Vec<_> = daemon.cases_of(uid).iter().map(|case| case["state"].as_str().unwrap().to_owned()).collect();
    assert!(ended[1..].iter().all(|state| state == "superseded"), "{ended:?}");
    assert!(pacs.structure_sets().contains(&uid.to_owned()));
}

fn signal(name: &str, processes: &[String]) {
    run(Command::new("kill").arg(format!("-{name}")).args(processes));
}

/// The private server's processes.
fn of_the_database(daemon: &Daemon) -> Vec<String> {
    let server = daemon.postmaster();
    let children = run(Command::new("pgrep").args(["-P", &server]));
    std::iter::once(server).chain(children.lines().map(str::to_owned)).collect()
}

#[test]
fn a_database_that_hangs_acknowledges_nothing_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let daemon = daemon(pacs.dicom, (folder.path(), model));
    let (first, files) = series(71, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    let (second, more) = series(72, folder.path());
    let frozen = of_the_database(&daemon);
    signal("STOP", &frozen);
    let mut sender = storescu(daemon.dicom, &more);
    std::thread::sleep(Duration::from_secs(6));
    let health = http_status(&format!("http://127.0.0.1:{}/health", daemon.web));
    sender.kill().unwrap();
    let (_, while_it_hung) = acknowledged(sender);
    signal("CONT", &frozen);
    assert_eq!(while_it_hung, 0, "something was acknowledged while the database hung");
    // Whoever watches is told while it hangs, or waits: healthy it does not look.
    assert!(health.as_ref().is_none_or(|(status, _)| *status != 200), "{health:?}");
    wait_for_state(&daemon, &first, &["delivered"]);
    comes_through(&daemon, &pacs, &second, &more);
    let mut both = [first, second];
    both.sort();
    assert_eq!(pacs.structure_sets(), both, "one structure set for each");
}

#[test]
fn a_database_without_a_connection_to_spare_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let (pacs, postgres) = (Pacs::start(free_port(), None), Postgres::start());
    // Limits do not bind a superuser.
    postgres.sql("create role site login password 'site'");
    postgres.sql("create database site owner site");
    let models = (folder.path(), model);
    let database = Some(postgres.url_of("site", "site", "site"));
    let daemon = Daemon::start(&Setup { pacs: pacs.dicom, quiet_seconds: QUIET, models, database, confirm: "query" });
    postgres.sql("alter role site connection limit 0");
    postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'site'");
    let (uid, files) = series(73, folder.path());
    assert_eq!(acknowledged(storescu(daemon.dicom, &files)).1, 0, "something was acknowledged without a database");
    let (status, said) = http_status(&format!("http://127.0.0.1:{}/health", daemon.web)).unwrap();
    assert_eq!(status, 503, "{said}");
    postgres.sql("alter role site connection limit -1");
    wait_for("the sender to be served", || acknowledged(storescu(daemon.dicom, &files)).0.then_some(()));
    wait_for_state(&daemon, &uid, &["delivered"]);
    assert_eq!(pacs.structure_sets(), [uid]);
}

/// Something is mounted on a folder. Taken away again when dropped.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// Mounting needs root, as which the tests run in CI.
    fn at(folder: &'a Path, args: &[&str]) -> Self {
        run(Command::new("mount").args(args).arg(folder));
        Self(folder)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// A small disk of its own for the state of a daemon, with what it held before.
fn move_to_a_small_disk<'a>(daemon: &mut Daemon, state: &'a Path) -> Mounted<'a> {
    assert!(daemon.terminate());
    let aside = state.with_extension("aside");
    std::fs::rename(state, &aside).unwrap();
    std::fs::create_dir(state).unwrap();
    let disk = Mounted::at(state, &["-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs"]);
    run(Command::new("cp").arg("-a").arg(aside.join(".")).arg(state));
    daemon.kill_and_restart();
    disk
}

#[test]
fn a_full_disk_is_said_before_and_while_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let mut daemon = daemon(pacs.dicom, (folder.path(), model));
    let state = daemon.state_dir();
    let _disk = move_to_a_small_disk(&mut daemon, &state);
    let (first, files) = series(74, folder.path());
    let free = || -> u64 {
        let said = run(Command::new("df").args(["--output=avail", "-B1"]).arg(&state));
        said.lines().nth(1).unwrap().trim().parse().unwrap()
    };
    // Below min_free_mebibytes (64) nothing is taken, and the sender is told to come back.
    let filling = state.join("filling");
    run(Command::new("fallocate").args(["-l", &(free() - (50 << 20)).to_string()]).arg(&filling));
    assert_eq!(acknowledged(storescu(daemon.dicom, &files)).1, 0);
    assert!(daemon.logged("the disk is nearly full") > 0);
    // Nothing at all is left for what is under way: the database cannot write either.
    let dd = Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}/more", state.display())).output();
    assert!(!dd.unwrap().status.success() && free() < 1 << 16, "the disk is not full: {}", free());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(acknowledged(storescu(daemon.dicom, &files)).1, 0);
    std::fs::remove_file(state.join("more")).unwrap();
    std::fs::remove_file(&filling).unwrap();
    comes_through(&daemon, &pacs, &first, &files);
    assert_eq!(pacs.structure_sets(), [first]);
    // The disk cannot be taken away under a running daemon.
    assert!(daemon.terminate());
}

#[test]
fn a_disk_that_became_read_only_takes_nothing_and_is_said_at_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let mut daemon = daemon(pacs.dicom, (folder.path(), model));
    let state = daemon.state_dir();
    // The pixel data on a disk of their own, as sites have them: the database goes on.
    let blobs = state.join("blobs");
    let bound = Mounted::at(&blobs, &["--bind", blobs.to_str().unwrap()]);
    daemon.kill_and_restart();
    let (uid, files) = series(75, folder.path());
    let half = files.len() / 2;
    assert!(acknowledged(storescu(daemon.dicom, &files[..half])).0);
    run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&blobs));
    assert_eq!(acknowledged(storescu(daemon.dicom, &files[half..])).1, 0, "taken on a read-only disk");
    everything_acknowledged_is_there(&daemon, &files[..half]);
    run(Command::new("mount").args(["-o", "remount,rw,bind"]).arg(&blobs));
    comes_through(&daemon, &pacs, &uid, &files);
    assert!(daemon.terminate());
    drop(bound);

    // All of it: the daemon does not start, and says why.
    let bound = Mounted::at(&state, &["--bind", state.to_str().unwrap()]);
    run(Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&state));
    let config = state.with_file_name("contourd.toml");
    let out = contourd().args(["serve", "--config"]).arg(config).heard();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.to_lowercase().contains("read-only file system"), "{said}");
    drop(bound);
}

/// The clock of daemon and database jumps forward by a day in the middle of a series, then back by two: late slices may open
/// further revisions, each of which is answered once; and nothing waits for a time that does not come.
#[test]
fn a_clock_that_jumps_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    // Where the database's user can read it, too.
    let place = open_folder();
    let clock = place.path().join("clock");
    let set = |offset: &str| {
        // Renamed into its place: who reads it never sees half of it.
        std::fs::write(clock.with_extension("new"), offset).unwrap();
        std::fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set("+0");
    let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
    assert!(Path::new(&library).exists(), "faketime is needed");
    let faked = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (pacs, postgres) = (Pacs::start(free_port(), None), Postgres::start_with(&faked));
    let (models, database) = ((folder.path(), model), Some(postgres.url()));
    let setup = Setup { pacs: pacs.dicom, quiet_seconds: QUIET, models, database, confirm: "query" };
    let mut daemon = Daemon::start(&setup);
    let mut program = contourd();
    program.envs(faked);
    daemon.kill_and_restart_as(program);
    let now = || postgres.sql("select extract(epoch from now())::bigint")[0].parse::<i64>().unwrap();
    let before = now();
    let (uid, files) = series(76, folder.path());
    let (one, rest) = files.split_at(files.len() / 3);
    let (two, three) = rest.split_at(rest.len() / 2);
    assert!(acknowledged(storescu(daemon.dicom, one)).0);
    set("+86400");
    assert!(acknowledged(storescu(daemon.dicom, two)).0);
    assert!(now() > before + 86_000, "the clock of the database did not jump");
    assert!(acknowledged(storescu(daemon.dicom, three)).0);
    // Nothing is sent after this: what was received and put off belongs to a day that is over.
    set("-86400");
    assert!(now() < before, "the clock of the database did not jump back");
    wait_for_state(&daemon, &uid, &["delivered"]);
    let (next, more) = series(77, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &more)).0);
    wait_for_state(&daemon, &next, &["delivering", "delivered"]);
    set("-172800");
    wait_for_state(&daemon, &next, &["delivered"]);
    let images = files.len() + more.len();
    assert_eq!(postgres.sql("select count(*) from instances"), [images.to_string()]);
    // One for each revision that was answered, and the latest was: a jump forward is a silence.
    let answered = postgres.sql("select c.series_uid from outbox o join cases c on c.id = o.case_id order by 1");
    assert_eq!(pacs.structure_sets(), answered);
    let ended: Vec<_> = daemon.cases_of(&uid).iter().map(|case| case["state"].as_str().unwrap().to_owned()).collect();
    assert!(
        ended[0] == "delivered" && ended[1..].iter().all(|state| ["superseded", "delivered"].contains(&state.as_str()))
    );
    assert_eq!(answered.iter().filter(|of| **of == next).count(), 1, "{answered:?}");
}

/// One series over two associations, every second image each; and one whose first sender dies half-way.
#[test]
fn senders_that_share_a_series_make_one_result() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let daemon = daemon(pacs.dicom, (folder.path(), model));
    let slow = SlowLine::to(daemon.dicom, 512 * 1024);
    let (shared, files) = series(78, folder.path());
    let every_second = |first: usize| files.iter().skip(first).step_by(2).cloned().collect::<Vec<_>>();
    let senders = [0, 1].map(|first| storescu(slow.port, &every_second(first)));
    assert!(senders.map(acknowledged).iter().all(|(whole, _)| *whole));
    everything_acknowledged_is_there(&daemon, &files);

    let (left, more) = series(79, folder.path());
    // Slow enough that it dies in the middle however busy the machine is.
    let slower = SlowLine::to(daemon.dicom, 64 * 1024);
    let mut dying = storescu(slower.port, &more);
    wait_for("some of its images", || {
        let here = daemon.sql(&format!("select count(*) from instances where series_uid = '{left}'"));
        (here[0].parse::<usize>().unwrap() > 2).then_some(())
    });
    dying.kill().unwrap();
    let (whole, count) = acknowledged(dying);
    assert!(!whole && count < more.len(), "{count} of {}", more.len());
    let (whole, _) = acknowledged(storescu(daemon.dicom, &more[1..]));
    assert!(whole && acknowledged(storescu(daemon.dicom, &more[..1])).0);
    for uid in [&shared, &left] {
        wait_for_state(&daemon, uid, &["delivered"]);
        assert_eq!(daemon.cases_of(uid).len(), 1, "one revision of {uid}");
    }
    everything_acknowledged_is_there(&daemon, &more);
    let mut both = [shared, left];
    both.sort();
    assert_eq!(pacs.structure_sets(), both);
}

/// From the start on, and after a kill: nothing that the daemon does needs root.
#[test]
fn the_daemon_needs_no_root() {
    let place = open_folder();
    let models = place.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let model = coarse_model(&models);
    let pacs = Pacs::start(free_port(), None);
    let mut daemon = daemon(pacs.dicom, (&models, model));
    assert!(daemon.terminate());
    // Where that user can read it; by cp, because no thread's child may run a file that another one writes.
    let built = Path::new(env!("CARGO_BIN_EXE_contourd"));
    let bin = place.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    run(Command::new("cp").arg(built).arg(&bin));
    let runtime = built.ancestors().nth(2).unwrap().join("onnxruntime");
    std::fs::create_dir(place.path().join("onnxruntime")).unwrap();
    for file in std::fs::read_dir(runtime).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        run(Command::new("cp").arg("-a").arg(file).arg(place.path().join("onnxruntime")));
    }
    let state = daemon.state_dir();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    run(Command::new("chown").arg("nobody:nogroup").arg(&state));
    let as_nobody = || {
        let mut program = Command::new("setpriv");
        program
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(bin.join("contourd"))
            .current_dir("/");
        program
    };
    daemon.kill_and_restart_as(as_nobody());
    let (first, files) = series(80, place.path());
    comes_through(&daemon, &pacs, &first, &files);
    daemon.kill_and_restart_as(as_nobody());
    let (second, files) = series(81, place.path());
    comes_through(&daemon, &pacs, &second, &files);
    let owner = run(Command::new("stat").args(["-c", "%U"]).arg(state.join("postgres/data")));
    assert_eq!(owner.trim(), "nobody");
    let mut both = [first, second];
    both.sort();
    assert_eq!(pacs.structure_sets(), both);
}
