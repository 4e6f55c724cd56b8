//! What can be told of a store by looking only: nothing is made, changed, started or bound. A running daemon is not
//! disturbed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use uuid::Uuid;

use super::blobs::free_bytes;
use super::cluster::Cluster;
use super::postgres::{DATABASE, failed, named_by};
use super::{ChainHead, ChainReport, PgStore, StoreConfig, StoreError, absolute, binding, blocking, owner};

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// It is there and in order; what was checked, in words.
    InOrder(String),
    /// It cannot be looked at now, and why.
    Unseen(String),
}

/// Looks at the database of this configuration: that it answers, keeps what it confirms, has a schema that this version
/// knows, and belongs to this state directory.
///
/// # Errors
/// [`StoreError`], for what `serve` would not start with either.
pub async fn look_at_database(config: &StoreConfig) -> Result<Sight, StoreError> {
    let state_dir = absolute(&config.state_dir)?;
    let (store, kind) = match reader(config).await? {
        Ok(reader) => reader,
        Err(unseen) => return Ok(Sight::Unseen(unseen)),
    };
    let seen = store.see(&state_dir).await;
    store.close().await;
    Ok(Sight::InOrder(format!("{kind} answers and is durable; {}; asked without writing", seen?)))
}

/// Follows the chain of the audit trail, and looks whether heads that were told to somebody are in it. In words when it
/// cannot be looked at now.
///
/// # Errors
/// [`StoreError`], also for a database without an audit trail of this version.
pub async fn look_at_audit(
    config: &StoreConfig,
    told: &[ChainHead],
) -> Result<Result<ChainReport, String>, StoreError> {
    let store = match reader(config).await? {
        Ok((store, _)) => store,
        Err(unseen) => return Ok(Err(unseen)),
    };
    let report = store.verify_audit(told).await;
    store.close().await;
    Ok(Ok(report?))
}

/// A connection that cannot write, and to what; or why there is none now.
async fn reader(config: &StoreConfig) -> Result<Result<(PgStore, String), String>, StoreError> {
    connect(config, "contourd doctor", &[("default_transaction_read_only", "on")]).await
}

/// A connection under this name with these settings, beside a running daemon or not, and to what; or why there is none now.
pub(super) async fn connect(
    config: &StoreConfig,
    name: &str,
    settings: &[(&str, &str)],
) -> Result<Result<(PgStore, String), String>, StoreError> {
    let state_dir = absolute(&config.state_dir)?;
    let dir = state_dir.clone();
    let running = blocking(&state_dir, move || Ok(is_in_use(&dir))).await?;
    let (kind, options) = match &config.url {
        Some(url) => ("the configured server", named_by(url)?),
        None => {
            let dir = state_dir.clone();
            match blocking(&state_dir, move || private(&dir, running)).await? {
                Ok(options) => ("the private server", options),
                Err(unseen) => return Ok(Err(unseen)),
            }
        }
    };
    let options = options.application_name(name).options(settings.iter().copied());
    let options = options.options([("synchronous_commit", "on")]);
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(5)).connect_with(options);
    let pool = pool.await.map_err(|source| StoreError::Database { action: "be reached", source })?;
    let daemon = if running { " of a running contourd" } else { "" };
    Ok(Ok((PgStore { pool }, format!("{kind}{daemon}"))))
}

/// Bytes that can still be written to the state directory, or to where it will be made.
///
/// # Errors
/// [`StoreError::File`].
pub fn look_at_disk(config: &StoreConfig) -> Result<u64, StoreError> {
    let state_dir = absolute(&config.state_dir)?;
    let there = state_dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    free_bytes(there)
}

/// Whether a daemon holds a state directory that contourd has run with; `nothing` says what there is not in any other.
pub(super) async fn is_running(state_dir: &Path, private: bool, nothing: &str) -> Result<bool, StoreError> {
    let dir = state_dir.to_owned();
    let (running, known) = blocking(state_dir, move || {
        owner::check_user(&dir, private)?;
        Ok((is_in_use(&dir), binding::known_identity(&dir)?.is_some()))
    })
    .await?;
    if known {
        return Ok(running);
    }
    let message = format!("there is {nothing}: contourd has not run with this state directory");
    Err(StoreError::Cluster { dir: state_dir.to_owned(), message })
}

/// Whether a daemon holds the state directory.
pub(super) fn is_in_use(state_dir: &Path) -> bool {
    // Shared and given back at once: two who look do not take each other for a daemon.
    File::open(state_dir.join("lock"))
        .is_ok_and(|lock| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// How to connect to the private server, or why it cannot be asked now.
fn private(state_dir: &Path, running: bool) -> Result<Result<PgConnectOptions, String>, StoreError> {
    owner::check_user(state_dir, true)?;
    let cluster = Cluster::find(state_dir)?;
    if cluster.is_running() {
        return Ok(Ok(cluster.options(DATABASE)));
    }
    if running {
        let message = "a contourd holds the state directory, but its database does not run; look in its log".to_owned();
        return Err(StoreError::Cluster { dir: state_dir.join("postgres"), message });
    }
    Ok(Err(match cluster.is_made() {
        true => "the private server is stopped, as contourd is; ask again while contourd runs".to_owned(),
        false => format!("none yet: contourd makes a private server ({}) when it first runs", cluster.version()),
    }))
}

impl PgStore {
    /// Whether it is durable, has a schema that is known, and belongs to a state directory; in words.
    pub(super) async fn see(&self, state_dir: &Path) -> Result<String, StoreError> {
        self.check_durability().await?;
        let Some(missing) = self.missing_migrations().await? else {
            return Ok("it is empty: contourd sets it up when it first runs".into());
        };
        let schema = match missing {
            0 => "its schema is that of this version".to_owned(),
            some => format!("its schema is older: contourd makes {some} migration(s) when it next runs"),
        };
        let bound: Option<Uuid> = sqlx::query_scalar("select identity from binding")
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("tell its state directory"))?;
        match bound {
            None => Ok(format!("{schema}; it is bound to no state directory yet")),
            Some(bound) if binding::known_identity(state_dir)? == Some(bound) => {
                Ok(format!("{schema}; it belongs to {}", state_dir.display()))
            }
            Some(_) => Err(StoreError::OtherDirectory { dir: PathBuf::from(state_dir) }),
        }
    }
}
