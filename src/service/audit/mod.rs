//! The audit trail to the outside: a message of PS3.15 for every line, to files and to a syslog server.
//!
//! Lines stay in the database whatever happens here; each receiver is told of every line in the order of the chain, and
//! after a failure from where it stopped. `message` is pure; `syslog` knows the wire; this file the order.

mod message;
mod syslog;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

pub use syslog::SyslogConfig;

use super::pause;
use crate::store::{AuditLine, Store, StoreError};
use message::{Origin, message};
use syslog::Syslog;

/// How often new lines are looked for.
const POLL: Duration = Duration::from_secs(1);
/// Pause after a receiver could not be told.
const AFTER_FAULT: Duration = Duration::from_secs(10);
/// Lines told at once.
const BATCH: i64 = 200;

/// The `[audit]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Folder of the files of messages, one a day; absent: no files. They name patients.
    pub dir: Option<PathBuf>,
    /// The syslog server; absent: none.
    pub syslog: Option<SyslogConfig>,
}

impl AuditConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        self.syslog.iter().flat_map(SyslogConfig::faults).map(|fault| format!("syslog.{fault}")).collect()
    }
}

/// Why a receiver was not told.
#[derive(Debug, thiserror::Error)]
enum AuditError {
    #[error("the file of audit messages {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Syslog(#[from] syslog::SyslogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who is told.
enum Receiver {
    Files(PathBuf),
    Syslog(Syslog),
}

impl Receiver {
    /// Its name in the database: what was told to one place says nothing of another.
    fn name(&self) -> String {
        match self {
            Self::Files(dir) => format!("file {}", dir.display()),
            Self::Syslog(syslog) => format!("syslog {}", syslog.address()),
        }
    }

    async fn tell(&mut self, lines: &[AuditLine], origin: &Origin) -> Result<(), AuditError> {
        match self {
            Self::Files(dir) => {
                let (dir, text) = (dir.clone(), text(lines, origin));
                let written = tokio::task::spawn_blocking(move || append(&dir, &text)).await;
                written.unwrap_or_else(|fault| {
                    Err(AuditError::File { path: PathBuf::new(), source: std::io::Error::other(fault) })
                })
            }
            Self::Syslog(syslog) => Ok(syslog.send(lines, origin).await?),
        }
    }
}

/// Messages, one a line.
fn text(lines: &[AuditLine], origin: &Origin) -> String {
    lines.iter().map(|line| message(line, origin) + "\n").collect()
}

/// Adds to the file of the day (UTC), which only its owner may read, so that a power cut cannot undo it.
fn append(dir: &Path, text: &str) -> Result<(), AuditError> {
    let path = dir.join(format!("audit-{}.xml", OffsetDateTime::now_utc().date()));
    let write = || {
        std::fs::create_dir_all(dir)?;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(dir)?.sync_all()
    };
    write().map_err(|source| AuditError::File { path: path.clone(), source })
}

/// Tells every receiver of every line, until the shutdown; lines that are there then are still told, if they can be.
pub(super) async fn tell(store: Arc<Store>, config: AuditConfig, ae_title: String, shutdown: CancellationToken) {
    let origin = Arc::new(Origin { ae_title, host: host() });
    let files = config.dir.map(Receiver::Files);
    let syslog = config.syslog.map(|config| Receiver::Syslog(Syslog::new(config)));
    // Side by side: a server that does not answer holds up no file.
    let told = files.into_iter().chain(syslog).map(|receiver| {
        let (store, origin, shutdown) = (Arc::clone(&store), Arc::clone(&origin), shutdown.clone());
        tokio::spawn(async move { tell_one(&store, receiver, &origin, &shutdown).await })
    });
    for task in told.collect::<Vec<_>>() {
        if let Err(fault) = task.await {
            tracing::error!(%fault, "audit messages ended in a fault of this program");
        }
    }
    // Without a receiver there is nothing to do, which is no fault.
    shutdown.cancelled().await;
}

async fn tell_one(store: &Store, mut receiver: Receiver, origin: &Origin, shutdown: &CancellationToken) {
    let name = receiver.name();
    let mut failing = false;
    loop {
        // Asked before the look: what was written until then is told.
        let last = shutdown.is_cancelled();
        match tell_next(store, &name, &mut receiver, origin).await {
            Ok(0) if last => return,
            Ok(told) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(receiver = name, "audit messages are taken again");
                }
                if told < BATCH {
                    pause(POLL, shutdown).await;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(receiver = name, %error, "audit messages cannot be sent; they are kept and tried again");
                }
                if last {
                    return;
                }
                pause(AFTER_FAULT, shutdown).await;
            }
        }
    }
}

/// Tells of the next lines; how many.
async fn tell_next(store: &Store, name: &str, receiver: &mut Receiver, origin: &Origin) -> Result<i64, AuditError> {
    let lines = store.pg.audit_after(store.pg.audit_sent(name).await?, BATCH).await?;
    let Some(last) = lines.last() else { return Ok(0) };
    receiver.tell(&lines, origin).await?;
    store.pg.note_audit_sent(name, last.position).await?;
    Ok(lines.len() as i64)
}

/// The name of this host, as the operating system has it.
fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    if name.is_empty() { "localhost".into() } else { name.into_owned() }
}
