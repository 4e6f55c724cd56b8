//! Backup and restore of everything that the daemon knows: its files and its private database.
//!
//! Files are copied before the database is dumped, and those that came meanwhile after it: whatever the dump names is in the
//! backup, also while a daemon receives and deletes. A file's name holds a digest of its content and never gets other
//! content, so that a second backup into the same folder copies only what is new.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::FromRow;

use super::blobs::make_durable_directory;
use super::cluster::Cluster;
use super::look::is_running;
use super::postgres::{self, DATABASE, failed};
use super::{Blobs, ChainReport, PgStore, Store, StoreConfig, StoreError, absolute, binding, blocking, owner, prepare};

/// The dump in a backup.
const DUMP: &str = "database.dump";
/// The files in a backup and in a state directory.
const FILES: &str = "blobs";

/// What a backup or a restored state holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Files that were copied now.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Files that the database names.
    pub named: u64,
    /// Keys of those that are missing or damaged; at most the first hundred.
    pub damaged: Vec<String>,
}

/// A file that the database names.
#[derive(FromRow)]
struct Named {
    blob_key: String,
    sha256: String,
}

/// Most damaged files that are told.
const MOST_TOLD: usize = 100;

/// Brings a backup folder up to date; a daemon may run meanwhile.
///
/// # Errors
/// [`StoreError`]; the folder then holds the database of the backup before.
pub async fn backup(config: &StoreConfig, folder: &Path) -> Result<BackupReport, StoreError> {
    let state_dir = absolute(&config.state_dir)?;
    refuse_configured(config, &state_dir)?;
    let running = is_running(&state_dir, true, "nothing to back up").await?;
    // Nobody runs: the server is started for the backup, and nobody can start meanwhile.
    let opened = if running { None } else { Some(Store::open(config).await?) };
    let made = copy_all(&state_dir, folder).await;
    if let Some(store) = opened {
        store.close().await?;
    }
    made
}

async fn copy_all(state_dir: &Path, folder: &Path) -> Result<BackupReport, StoreError> {
    let (from, to) = (state_dir.to_owned(), folder.to_owned());
    let mut report = blocking(folder, move || {
        make_durable_directory(&to)?;
        let mut report = BackupReport::default();
        copy_new(&from.join(FILES), &to.join(FILES), &mut report)?;
        let cluster = Cluster::find(&from)?;
        dump(&cluster, &to)?;
        copy_new(&from.join(FILES), &to.join(FILES), &mut report)?;
        copy_file(&from.join("identity"), &to.join("identity"))?;
        sync(&to)?;
        Ok(report)
    })
    .await?;
    let cluster = Cluster::find(state_dir)?;
    let options = cluster.options(DATABASE);
    let pg = PgStore { pool: sqlx::PgPool::connect_with(options).await.map_err(failed("be reached"))? };
    let checked = check(&pg, &Blobs::open(&folder.join(FILES))?, &mut report).await;
    pg.close().await;
    checked?;
    Ok(report)
}

/// Makes a new state directory of a backup, and compares every file with its digest in the database.
///
/// # Errors
/// [`StoreError`], also for a state directory that is in use or not new; nothing of it is then changed.
pub async fn restore(config: &StoreConfig, folder: &Path) -> Result<(BackupReport, ChainReport), StoreError> {
    let state_dir = absolute(&config.state_dir)?;
    refuse_configured(config, &state_dir)?;
    let (from, to) = (folder.to_owned(), state_dir.clone());
    let (lock, mut report, cluster) = blocking(&state_dir, move || {
        owner::check_user(&to, true)?;
        for part in [DUMP, FILES, "identity"] {
            if !from.join(part).exists() {
                let source = io::Error::new(io::ErrorKind::NotFound, "is no backup of contourd, or not a whole one");
                return Err(StoreError::File { action: "cannot restore: there is no", path: from.join(part), source });
            }
        }
        if binding::known_identity(&to)?.is_some() || to.join("postgres").exists() {
            let message = "is in use; restore into a state directory that is new".to_owned();
            return Err(StoreError::Cluster { dir: to, message });
        }
        let lock = prepare(&to)?;
        let mut report = BackupReport::default();
        copy_new(&from.join(FILES), &to.join(FILES), &mut report)?;
        let cluster = Cluster::start(&to)?;
        Ok((lock, report, cluster))
    })
    .await?;
    let filled = fill(&cluster, &state_dir, folder, &mut report).await;
    let stopped = blocking(&state_dir, move || cluster.stop()).await;
    drop(lock);
    let chain = filled?;
    stopped?;
    Ok((report, chain))
}

async fn fill(
    cluster: &Cluster,
    state_dir: &Path,
    folder: &Path,
    report: &mut BackupReport,
) -> Result<ChainReport, StoreError> {
    postgres::create_database(cluster.options("postgres")).await?;
    load(cluster, folder)?;
    // Last of the files: without it the directory counts as new, and a broken off restore can be begun again.
    copy_file(&folder.join("identity"), &state_dir.join("identity"))?;
    sync(state_dir)?;
    let identity = binding::identity_of(state_dir)?;
    let pg = PgStore::open(cluster.options(DATABASE), 4).await?;
    let checked = async {
        pg.bind(identity, state_dir).await?;
        check(&pg, &Blobs::open(&state_dir.join(FILES))?, report).await?;
        pg.verify_audit(&[]).await
    };
    let chain = checked.await;
    pg.close().await;
    chain
}

/// Compares every file that the database names with its digest.
async fn check(pg: &PgStore, files: &Blobs, report: &mut BackupReport) -> Result<(), StoreError> {
    let named: Vec<Named> = sqlx::query_as(
        "select i.blob_key, i.sha256 from instances i join cases c using (series_uid, revision, sibling)
         where c.purged_at is null
         union all
         select r.blob_key, r.sha256 from results r join cases c on c.id = r.case_id where c.purged_at is null",
    )
    .fetch_all(&pg.pool)
    .await
    .map_err(failed("list its files"))?;
    report.named = named.len() as u64;
    for file in named {
        if !files.holds(&file.blob_key, &file.sha256).await? && report.damaged.len() < MOST_TOLD {
            report.damaged.push(file.blob_key);
        }
    }
    Ok(())
}

fn refuse_configured(config: &StoreConfig, state_dir: &Path) -> Result<(), StoreError> {
    if config.url.is_none() {
        return Ok(());
    }
    let message =
        "the database is a configured one, which those who run it back up and restore; ops/README.md says in \
                   which order with the files"
            .to_owned();
    Err(StoreError::Cluster { dir: state_dir.to_owned(), message })
}

/// Copies what `to` lacks, with all folders.
fn copy_new(from: &Path, to: &Path, report: &mut BackupReport) -> Result<(), StoreError> {
    make_durable_directory(to)?;
    let failed = |source| StoreError::File { action: "cannot read", path: from.to_owned(), source };
    let mut news = false;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = match entry.file_type() {
            // Deleted meanwhile: the dump that comes after knows it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            kind => kind.map_err(failed)?,
        };
        if kind.is_dir() {
            copy_new(&path, &target, report)?;
        } else if kind.is_file() && !target.exists() {
            // Files that are being written have names of their own, and are copied next time under the last one.
            if path.extension().is_some_and(|e| e == "dcm") {
                match copy_file(&path, &target) {
                    Err(StoreError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                    copied => report.copied_bytes += copied?,
                }
                report.copied += 1;
                news = true;
            }
        }
    }
    if news { sync(to) } else { Ok(()) }
}

/// Copies a file, whole or not at all; its bytes.
fn copy_file(from: &Path, to: &Path) -> Result<u64, StoreError> {
    let part = PathBuf::from(format!("{}.part", to.display()));
    let copy = || {
        let bytes = fs::copy(from, &part)?;
        File::open(&part)?.sync_all()?;
        fs::rename(&part, to)?;
        Ok(bytes)
    };
    copy().map_err(|source| StoreError::File { action: "cannot copy", path: from.to_owned(), source })
}

fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced = File::open(directory).and_then(|d| d.sync_all());
    synced.map_err(|source| StoreError::File { action: "cannot sync", path: directory.to_owned(), source })
}

fn dump(cluster: &Cluster, folder: &Path) -> Result<(), StoreError> {
    let (part, path) = (folder.join(format!("{DUMP}.part")), folder.join(DUMP));
    let failed = |source| StoreError::File { action: "cannot write", path: part.clone(), source };
    let file = File::create(&part).map_err(failed)?;
    let mut command = cluster.client("pg_dump");
    command.args(["--format=custom", "--no-owner", DATABASE]);
    command.stdout(file.try_clone().map_err(failed)?);
    ended(cluster, command, Stdio::null())?;
    file.sync_all().and_then(|()| fs::rename(&part, &path)).map_err(failed)
}

fn load(cluster: &Cluster, folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(DUMP);
    let file = File::open(&path).map_err(|source| StoreError::File { action: "cannot read", path, source })?;
    let mut command = cluster.client("pg_restore");
    command.args(["--no-owner", "--exit-on-error", "--single-transaction", "-d", DATABASE]).stdout(Stdio::null());
    ended(cluster, command, file.into())
}

/// Runs a client program of PostgreSQL to its end.
fn ended(cluster: &Cluster, mut command: std::process::Command, input: Stdio) -> Result<(), StoreError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(input).stderr(Stdio::piped()).spawn().and_then(|child| child.wait_with_output());
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
            Err(cluster.fail(format!("{program}: {said}")))
        }
        Err(error) => Err(cluster.fail(format!("{program}: {error}"))),
    }
}
