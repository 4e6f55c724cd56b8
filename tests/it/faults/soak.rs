//! Study after study, as fast as the machine contours them: what the daemon holds does not grow.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use contourd::phantom::Acquisition;

use super::{acquired, daemon, wait_for_state};
use crate::net::support::memory;
use crate::system::{Daemon, Pacs, acknowledged, coarse_model, free_port, storescu};

/// Cases before anything is compared: caches fill, and allocators keep what they once had.
const WARM: usize = 2;

/// What the daemon holds, how many connections it keeps, and how large its database is.
#[derive(Debug, Clone, Copy)]
struct Holding {
    memory_mib: f64,
    files: usize,
    threads: usize,
    connections: usize,
    database_mib: f64,
}

impl Holding {
    fn of(daemon: &Daemon) -> Self {
        let entries = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", daemon.pid())).unwrap().count();
        let number = |query: &str| daemon.sql(query)[0].parse::<f64>().unwrap();
        Self {
            memory_mib: memory(daemon.pid(), "VmRSS") as f64 / 1024.0,
            files: entries("fd"),
            threads: entries("task"),
            connections: number("select count(*) from pg_stat_activity where backend_type = 'client backend'") as usize,
            database_mib: number("select pg_database_size('contourd') / 1048576.0"),
        }
    }
}

/// A few cases here; longer by hand: CONTOURD_SOAK_SECONDS=7200.
#[test]
fn study_after_study_nothing_grows() {
    let seconds = std::env::var("CONTOURD_SOAK_SECONDS").map_or(20, |seconds| seconds.parse::<u64>().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    let daemon = daemon(pacs.dicom, (folder.path(), model));
    let start = Instant::now();
    let (mut waiting, mut sent): (Vec<(String, Vec<PathBuf>)>, usize) = (Vec::new(), 0);
    let mut held: Vec<Holding> = Vec::new();
    while start.elapsed() < Duration::from_secs(seconds) || held.len() < 3 * WARM {
        // Three are under way at any time, so that none of the stages has to wait for the next study.
        while waiting.len() < 3 {
            let acquisition = [Acquisition::Axial, Acquisition::Axial, Acquisition::Sagittal][sent % 3];
            let (uid, files) = acquired(90_000 + sent as u64, acquisition, folder.path());
            let (whole, count) = acknowledged(storescu(daemon.dicom, &files));
            assert!(whole && count == files.len(), "study {sent}: {count} of {} images were taken", files.len());
            waiting.push((uid, files));
            sent += 1;
        }
        let (uid, files) = waiting.remove(0);
        wait_for_state(&daemon, &uid, &["delivered"]);
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        held.push(Holding::of(&daemon));
        println!("{:.0} s: case {}: {:?}", start.elapsed().as_secs_f64(), held.len(), held[held.len() - 1]);
    }
    for (uid, _) in &waiting {
        wait_for_state(&daemon, uid, &["delivered"]);
    }
    assert_eq!(pacs.structure_sets().len(), sent, "one structure set for each study");
    let (first, second) = held[WARM..].split_at((held.len() - WARM) / 2);
    let most = |part: &[Holding], of: fn(&Holding) -> f64| part.iter().map(of).fold(0.0, f64::max);
    // Heads differ; over many the largest in work are as large in both halves.
    let slack = if held.len() < 50 { 64.0 } else { 16.0 };
    for (what, of, slack) in [
        ("MiB of memory", (|h| h.memory_mib) as fn(&Holding) -> f64, slack),
        ("open files", |h| h.files as f64, 4.0),
        ("threads", |h| h.threads as f64, 4.0),
        ("connections to the database", |h| h.connections as f64, 2.0),
    ] {
        let (before, after) = (most(first, of), most(second, of));
        println!("{what}: at most {before:.0} in the first half, {after:.0} in the second");
        assert!(after <= before + slack, "{what}: {before} in the first half, {after} in the second");
    }
    // Rows of cases and of the audit trail are kept for ever; pixel data are not in the database.
    let grown = (held[held.len() - 1].database_mib - held[WARM].database_mib) / (held.len() - WARM - 1) as f64;
    println!(
        "{} cases in {:.0} s; the database grows by {grown:.2} MiB a case",
        held.len(),
        start.elapsed().as_secs_f64()
    );
    assert!(grown < 1.0, "{grown} MiB a case");
}
