//! "Stored" is said when a power cut cannot undo it. `kill -9` keeps the page cache and cannot show that, so the system
//! calls of the daemon and of its private PostgreSQL are recorded, and for each C-STORE response with success the chain
//! that has to come before it is looked for in the record.

mod trace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use contourd::dicom::data::read_header;
use dicom_dictionary_std::tags;

use crate::net::raw::read_command;
use crate::net::support::SAMPLES;
use crate::support::run;
use crate::system::{Daemon, Setup, acknowledged, free_port, storescu, wait_for};
use trace::{Call, Socket, parse};

/// What has to be done, in this order, before success may be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// The bytes are written to a file beside the place where they belong, and nothing is written to it later.
    FileWritten,
    /// That file is synced.
    FileSynced,
    /// It is renamed to its place.
    Renamed,
    /// The directory that names it is synced.
    DirectorySynced,
    /// So is the parent of every directory that was made for it.
    ParentsSynced,
    /// The row that names the file is sent to the database.
    RowSent,
    /// The server process of that connection writes the log,
    LogWritten,
    /// syncs it,
    LogSynced,
    /// and says that it is ready for the next query and in no transaction: what came before is committed.
    CommitConfirmed,
}

/// A C-STORE response with success: its instance and its place in the record.
#[derive(Debug, Clone)]
struct Acknowledged {
    instance: String,
    at: usize,
}

/// Status 0000 to a C-STORE, on TCP: what a sender takes for a promise.
fn acknowledgements(calls: &[Call]) -> Vec<Acknowledged> {
    /// P-DATA-TF header, then the header of its only value.
    const HEADERS: usize = 12;
    let sent = calls.iter().filter(|c| c.is_send() && matches!(c.socket(), Some(Socket::Tcp)));
    sent.filter_map(|call| {
        let bytes = call.first_text();
        if bytes.first() != Some(&4) {
            return None;
        }
        let response = read_command(bytes.get(HEADERS..)?);
        let number = |tag| response.element(tag).unwrap().to_int::<u16>().unwrap();
        let success = number(tags::COMMAND_FIELD) == 0x8001 && number(tags::STATUS) == 0;
        let instance = || response.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap().to_string();
        success.then(|| Acknowledged { instance: instance(), at: call.begins })
    })
    .collect()
}

/// The calls that prove an acknowledgement, or the first step that is missing.
///
/// Of two calls one of which has to come first, that one has ended before the other begins. Where they belong to two
/// processes that talk to each other, the end of a `send` may be recorded late, so that its beginning is compared.
fn proof(calls: &[Call], acknowledged: &Acknowledged) -> Result<Vec<(Step, usize)>, Step> {
    let mut steps = Vec::new();
    let mut need = |step, found: Option<usize>| {
        let n = found.ok_or(step)?;
        steps.push((step, n));
        Ok::<&Call, Step>(&calls[n])
    };
    let before = &calls[..calls.partition_point(|c| c.begins < acknowledged.at)];
    let first = |wanted: &dyn Fn(&Call) -> bool| before.iter().position(|c| c.succeeded && wanted(c));

    // Which file, is known from its rename; what has to come before that is looked for behind it.
    let prefix = format!("{}-", acknowledged.instance);
    let is_rename = |c: &Call| {
        let named = |p: &str| Path::new(p).file_name().is_some_and(|n| n.to_str().unwrap().starts_with(&prefix));
        c.name.starts_with("rename") && c.texts().get(1).is_some_and(|to| to.ends_with(".dcm") && named(to))
    };
    let renamed = first(&is_rename).ok_or(Step::Renamed)?;
    let paths = calls[renamed].texts();
    let (staged, target) = (paths[0].as_str(), paths[1].as_str());
    let rename = &calls[renamed];

    let is_write = |c: &Call| matches!(c.name.as_str(), "write" | "writev" | "pwrite64" | "pwritev");
    // What stands before the data set, and the data set; the last of them counts.
    let writes: Vec<usize> = (0..before.len())
        .filter(|n| before[*n].succeeded && is_write(&before[*n]) && before[*n].path() == staged)
        .collect();
    for earlier in writes.iter().rev().skip(1) {
        need(Step::FileWritten, Some(*earlier))?;
    }
    let write = need(Step::FileWritten, writes.last().copied())?;
    let synced = |c: &Call, path: &str| matches!(c.name.as_str(), "fsync" | "fdatasync") && c.path() == path;
    let file_sync = first(&|c| synced(c, staged) && c.begins > write.ends && c.ends < rename.begins);
    need(Step::FileSynced, file_sync)?;
    need(Step::Renamed, Some(renamed))?;
    let directory = Path::new(target).parent().unwrap();
    let directory_sync = first(&|c| synced(c, directory.to_str().unwrap()) && c.begins > rename.ends);
    let directory_sync = need(Step::DirectorySynced, directory_sync)?;

    // The row names the file by its key, which is the end of its path.
    let key = &target[target.find("instances/").ok_or(Step::RowSent)?..];
    let on = |c: &Call, from: u64, to: u64| {
        c.is_send() && matches!(c.socket(), Some(Socket::Unix { ours, theirs }) if (ours, theirs) == (from, to))
    };
    let is_log = |c: &Call| c.path().contains("/pg_wal/");
    // What comes after a send that names the file: the log written, synced, and the answer.
    let commit_of = |row: &Call| {
        let Some(Socket::Unix { ours, theirs }) = row.socket() else { return Err(Step::RowSent) };
        // ReadyForQuery, idle (PostgreSQL, Frontend/Backend Protocol, Message Formats); within a transaction it ends in T.
        let confirmed = first(&|c| on(c, theirs, ours) && c.begins > row.begins && c.holds(b"Z\0\0\0\x05I"));
        let confirmed = confirmed.ok_or(Step::CommitConfirmed)?;
        // It answers what was asked last: the row itself, or the end of its transaction.
        let asked = before.iter().rfind(|c| c.succeeded && on(c, ours, theirs) && c.begins < calls[confirmed].begins);
        if asked.is_none_or(|asked| asked.begins != row.begins && !asked.holds(b"COMMIT\0")) {
            return Err(Step::CommitConfirmed);
        }
        let server = calls[confirmed].process;
        let by_server =
            |c: &Call| c.process == server && is_log(c) && c.begins > row.begins && c.ends < calls[confirmed].begins;
        let written =
            before.iter().rposition(|c| c.succeeded && is_write(c) && by_server(c)).ok_or(Step::LogWritten)?;
        let is_sync = |c: &Call| matches!(c.name.as_str(), "fsync" | "fdatasync");
        let synced = first(&|c| is_sync(c) && by_server(c) && c.begins > calls[written].ends).ok_or(Step::LogSynced)?;
        Ok((written, synced, confirmed))
    };
    // Before it is written the row may have been offered to a series that nothing is open of yet, and it is read when the
    // instance comes again.
    let names_it = |c: &Call| c.succeeded && c.is_send() && c.begins > directory_sync.ends && c.holds(key.as_bytes());
    let rows: Vec<usize> = (0..before.len()).filter(|n| names_it(&before[*n])).collect();
    let mut missing = Step::RowSent;
    let mut found = None;
    for row in rows {
        match commit_of(&before[row]) {
            Ok(commit) if found.is_none() => found = Some((row, commit)),
            Ok(_) => {}
            Err(step) => missing = missing.max(step),
        }
    }
    let (row, (written, log_synced, confirmed)) = found.ok_or(missing)?;
    let row = need(Step::RowSent, Some(row))?;

    for made in before.iter().filter(|c| c.succeeded && c.name.starts_with("mkdir")) {
        let path = made.texts()[0].clone();
        if !directory.starts_with(&path) {
            continue;
        }
        let parent = Path::new(&path).parent().unwrap().to_str().unwrap().to_owned();
        let sync = first(&|c| synced(c, &parent) && c.begins > made.ends && c.ends < row.begins);
        need(Step::ParentsSynced, sync)?;
    }

    need(Step::LogWritten, Some(written))?;
    need(Step::LogSynced, Some(log_synced))?;
    need(Step::CommitConfirmed, Some(confirmed))?;
    Ok(steps)
}

/// strace, which becomes contourd (`-D`: the tracer is a child of the traced) and records it and all that it starts.
fn recorder(record: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Texts are cut at 1024 bytes: a response and a row are shorter, the pixels need not be whole.
    strace.args(["-D", "-f", "-yy", "-xx", "-s", "1024", "-o"]).arg(record).args([
        "-e",
        "trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,pwrite64,pwritev,sendto,sendmsg,mkdir,mkdirat",
        "-e",
        "signal=none",
        env!("CARGO_BIN_EXE_contourd"),
    ]);
    strace
}

/// Records a daemon that receives these files, one after the other, and the first of them twice.
fn record(files: &[PathBuf]) -> Vec<Call> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let setup = Setup {
        pacs: free_port(),
        quiet_seconds: 3600,
        models: (&models, "oar-head-v3"),
        database: None,
        confirm: "query",
    };
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("record");
    // The first start makes the database, which is not what this is about.
    let mut daemon = Daemon::start(&setup);
    daemon.kill_and_restart_as(recorder(&record));
    let sent = [files, &files[..1]].concat();
    let (whole, count) = acknowledged(storescu(daemon.dicom, &sent));
    assert!(whole && count == sent.len(), "{count} of {} objects were taken", sent.len());
    drop(daemon);
    // The tracer ends after the last process that it traces, the database's.
    let complete = || std::fs::read_to_string(&record).ok().filter(|text| text.ends_with('\n'));
    wait_for("the end of the record", || {
        let before = complete()?.len();
        std::thread::sleep(std::time::Duration::from_millis(200));
        complete().filter(|text| text.len() == before)
    });
    parse(&complete().unwrap())
}

#[test]
fn an_instance_is_acknowledged_only_when_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let files = instances(folder.path());
    let calls = record(&files);

    let acknowledged = acknowledgements(&calls);
    let uid = |file: &PathBuf| read_header(&std::fs::read(file).unwrap()).unwrap().instance.to_string();
    let sent: BTreeSet<String> = files.iter().map(uid).collect();
    assert_eq!(acknowledged.len(), files.len() + 1, "an acknowledgement is not in the record");
    assert_eq!(acknowledged.iter().map(|a| a.instance.clone()).collect::<BTreeSet<_>>(), sent);

    let proofs: Vec<_> = acknowledged
        .iter()
        .map(|a| proof(&calls, a).unwrap_or_else(|step| panic!("{} was acknowledged without {step:?}", a.instance)))
        .collect();

    // The checker is worth something if it misses whatever is taken out: each kind of call at once,
    let all: BTreeSet<(Step, usize)> = proofs.concat().into_iter().collect();
    for step in all.iter().map(|(step, _)| *step).collect::<BTreeSet<_>>() {
        let out: BTreeSet<usize> = all.iter().filter(|(s, _)| *s == step).map(|(_, n)| *n).collect();
        for a in &acknowledged {
            assert!(proof(&without(&calls, &out), a).is_err(), "{}: {step:?} is not missed", a.instance);
        }
    }
    // each single sync and rename,
    for (a, steps) in acknowledged.iter().zip(&proofs) {
        for (step, n) in steps {
            if matches!(step, Step::FileSynced | Step::Renamed | Step::DirectorySynced | Step::LogSynced) {
                let found = proof(&without(&calls, &BTreeSet::from([*n])), a);
                assert!(found.is_err(), "{}: {step:?}, call {n}, is not missed", a.instance);
            }
        }
        // and each single step that comes later than the acknowledgement.
        for (step, n) in steps {
            let early = Acknowledged { at: calls[*n].begins, ..a.clone() };
            assert!(proof(&calls, &early).is_err(), "{}: acknowledged before {step:?}, and not seen", a.instance);
        }
    }
}

/// Two series of three instances, each in a file of its own.
fn instances(folder: &Path) -> Vec<PathBuf> {
    let pairs = (1..=2).flat_map(|series| (1..=3).map(move |instance| (series, instance)));
    let file = |(series, instance)| {
        let file = folder.join(format!("{series}-{instance}.dcm"));
        std::fs::copy(SAMPLES.file("explicit"), &file).unwrap();
        let (series, instance) =
            (format!("(0020,000e)=1.2.3.{series}"), format!("(0008,0018)=1.2.3.{series}.{instance}"));
        run(Command::new("dcmodify").args(["-nb", "-m", &series, "-m", &instance]).arg(&file));
        file
    };
    pairs.map(file).collect()
}

fn without(calls: &[Call], out: &BTreeSet<usize>) -> Vec<Call> {
    calls.iter().enumerate().filter(|(n, _)| !out.contains(n)).map(|(_, call)| call.clone()).collect()
}
