//! `contourd backup` and `contourd restore`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::say::{aside, say};
use crate::config::Config;
use crate::store::{BackupReport, backup, restore};

/// Bring a backup folder up to date: every image and result, and the private database. The daemon may run meanwhile.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Configuration file of the daemon.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The folder; what it holds already is not copied again. It names patients.
    folder: PathBuf,
}

/// Make a new state directory of a backup, and compare every file with its digest and the audit trail with its chain.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Configuration file, whose state_dir is new.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The folder of the backup.
    folder: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Other`] when it cannot be made, [`Failure::Refused`] when it lacks files that the database names.
pub fn run_backup(args: BackupArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let tokio = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    let report = tokio.block_on(backup(&config.store, &args.folder)).map_err(anyhow::Error::from)?;
    tell(&report)?;
    say!("{} is a whole backup", args.folder.display())
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Other`] when it cannot be restored, [`Failure::Refused`] when what was restored is damaged.
pub fn run_restore(args: RestoreArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let tokio = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    let (report, chain) = tokio.block_on(restore(&config.store, &args.folder)).map_err(anyhow::Error::from)?;
    tell(&report)?;
    for what in &chain.breaks {
        aside!("audit trail: {what}");
    }
    if chain.broken > 0 {
        return Err(Failure::Refused(format!("restored, but the audit trail is broken in {} places", chain.broken)));
    }
    say!("{} is restored; the audit trail is whole ({} lines)", config.store.state_dir.display(), chain.lines)
}

fn tell(report: &BackupReport) -> Result<(), Failure> {
    say!("{} files copied ({} bytes); the database names {}", report.copied, report.copied_bytes, report.named)?;
    for key in &report.damaged {
        aside!("missing or damaged: {key}");
    }
    match report.damaged.len() {
        0 => Ok(()),
        n => Err(Failure::Refused(format!("{n} files that the database names are missing or damaged"))),
    }
}
