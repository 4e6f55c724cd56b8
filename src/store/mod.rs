//! PostgreSQL and blobs: the only room with SQL.
//!
//! What is in which file:
//! - [`PgStore`] (`postgres`): the pool, the migrations, the checks of a server's durability.
//! - `cluster`: the private PostgreSQL server of a daemon without a configured database; `owner`: as whom it runs.
//! - `binding`: which state directory a database belongs to.
//! - `blobs`: pixel data and results as files, durable before they are named anywhere.
//! - `rows`: what a row is in Rust; `error`: what can go wrong.
//! - `intake`: acknowledged instances and when a series is complete; `damaged`: those that were refused;
//!   `jobs`: leases and results; `outbox`: deliveries.
//! - `confirm`: whether destinations keep what they accepted; `commitments`: what peers want to be sure of.
//! - `planning`: structure sets on planning CTs.
//! - `fetch`: incomplete series that are asked for elsewhere.
//! - `retry`: another attempt when a person asks for it; `release`: cases that wait for a person.
//! - `audit`: the audit trail and its chain.
//! - `backup`: everything into a folder and back.
//! - `purge`: what need not be kept any more.
//! - `look`: what can be told without changing anything.
//! - `review`, `view`: what the web shows and records; `reviewed`: what people accepted, for training.

mod audit;
mod backup;
mod binding;
mod blobs;
mod clock;
mod cluster;
mod commitments;
mod complete;
mod config;
mod confirm;
mod damaged;
mod error;
mod export;
mod fetch;
mod intake;
mod jobs;
mod known;
mod look;
mod outbox;
mod owner;
mod planning;
mod postgres;
mod priors;
mod purge;
mod release;
mod retry;
mod review;
mod reviewed;
mod routing;
mod rows;
mod view;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use audit::{AuditLine, ChainHead, ChainReport};
pub use backup::{BackupReport, backup, restore};
pub use blobs::{BlobKey, Blobs};
pub use cluster::Cluster;
pub use commitments::{HeldObject, NewCommitmentRequest, OpenCommitmentRequest};
pub use complete::{ImageEvidence, Incoming, Judgement};
pub use config::StoreConfig;
pub use confirm::{Asked, AskedCommitment, Unconfirmed, UnconfirmedItem};
pub use error::{ErrorClass, StoreError};
pub use export::{Beside, ResultFile};
pub use intake::{Arrival, Intake, NewInstance};
pub use jobs::{CaseResult, ClaimedJob, Finished, NewResult, NewStructure};
pub use known::{Beforehand, KnownInstance};
pub use look::{Sight, look_at_audit, look_at_database, look_at_disk};
pub use outbox::{Attempt, Delivery, DeliveryItem};
pub use planning::{ClaimedPlanning, DrawnResult, PlanningOutcome, PlanningState, PlanningView};
pub use postgres::PgStore;
pub use priors::{PriorSet, PriorSetView};
pub use purge::{KeepTimes, Purgeable};
pub use release::{NewRelease, Release, Released};
pub use retry::{Retriable, Retried};
pub use review::{NewReview, Rating, Review, ReviewTotals, Tally};
pub use reviewed::ReviewedCase;
pub use routing::{Routing, SeriesWay, Unwanted};
pub use rows::{
    Case, CaseRole, CaseState, Confirmation, InstanceRow, OutboxRow, OutboxState, PatientText, ResultKind,
    StructureRow, UnknownName,
};
pub use view::{Backlog, CaseView, DeliveryView, ImageFile, ImageFiles, RefusedOnReceipt};

use blobs::make_durable_directory;

/// How often the private server is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// Database, files, and the private server if there is one.
#[derive(Debug)]
pub struct Store {
    /// The database.
    pub pg: PgStore,
    /// The files.
    pub blobs: Blobs,
    cluster: Option<Arc<Cluster>>,
    /// Held as long as the store is open: one daemon to a state directory.
    _lock: StateLock,
}

/// The lock of the state directory. Let go by name, not by closing alone: a child that another thread is just starting
/// shares the open file until it is another program, and would hold the lock for that moment.
#[derive(Debug)]
struct StateLock(File);

impl Drop for StateLock {
    fn drop(&mut self) {
        // A failure leaves what closing does anyway.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl Store {
    /// Opens the store: the state directory and its lock, the private server unless a URL is given, the schema.
    ///
    /// # Errors
    /// [`StoreError`], saying what is missing and what to do.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let state_dir = absolute(&config.state_dir)?;
        let (dir, private) = (state_dir.clone(), config.url.is_none());
        let (lock, identity) = blocking(&state_dir, move || {
            owner::check_user(&dir, private)?;
            Ok((prepare(&dir)?, binding::identity_of(&dir)?))
        })
        .await?;
        let blobs = Blobs::open(&state_dir.join("blobs"))?;
        let (pg, cluster) = match &config.url {
            Some(url) => {
                let pg = PgStore::open(postgres::named_by(url)?, config.connections).await?;
                pg.bind(identity, &state_dir).await?;
                (pg, None)
            }
            None => {
                let dir = state_dir.clone();
                let cluster = blocking(&state_dir, move || Cluster::start(&dir)).await?;
                let cluster = Arc::new(cluster);
                match open_private(&cluster, config.connections, identity, &state_dir).await {
                    Ok(pg) => (pg, Some(cluster)),
                    Err(error) => {
                        // Nobody will close a store that did not open: the server must not outlive this.
                        if let Err(error) = blocking(&state_dir, move || cluster.stop()).await {
                            tracing::error!(%error, "the private PostgreSQL server was left running");
                        }
                        return Err(error);
                    }
                }
            }
        };
        Ok(Self { pg, blobs, cluster, _lock: lock })
    }

    /// The private server, if the store has one.
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_deref()
    }

    /// Starts the private server again whenever it is gone, until `shutdown`. Returns at once without one.
    pub async fn keep_running(&self, shutdown: CancellationToken) {
        let Some(cluster) = &self.cluster else { return };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(WATCH) => {}
            }
            let cluster = Arc::clone(cluster);
            let watched = tokio::task::spawn_blocking(move || {
                if cluster.is_running() {
                    return Ok(false);
                }
                cluster.restart().map(|()| true)
            });
            match watched.await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::warn!("the private PostgreSQL server was gone and has been started again"),
                Ok(Err(error)) => tracing::error!(%error, "the private PostgreSQL server is gone"),
                Err(error) => tracing::error!(%error, "looking after the private PostgreSQL server failed"),
            }
        }
    }

    /// Closes the connections and stops the private server.
    ///
    /// # Errors
    /// [`StoreError::Cluster`] when the server does not stop.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.pg.close().await;
        if let Some(cluster) = self.cluster.clone() {
            let home = PathBuf::from("postgres");
            blocking(&home, move || cluster.stop()).await?;
        }
        Ok(())
    }
}

/// The private server works in its own directory: every path is made absolute.
fn absolute(state_dir: &Path) -> Result<PathBuf, StoreError> {
    std::path::absolute(state_dir).map_err(|source| StoreError::File {
        action: "cannot find",
        path: state_dir.to_owned(),
        source,
    })
}

/// The database on a private server that runs.
async fn open_private(
    cluster: &Cluster,
    connections: u32,
    identity: Uuid,
    state_dir: &Path,
) -> Result<PgStore, StoreError> {
    postgres::create_database(cluster.options("postgres")).await?;
    let pg = PgStore::open(cluster.options(postgres::DATABASE), connections).await?;
    pg.bind(identity, state_dir).await?;
    // Nobody else can use this database, so every lease in it is that of a daemon that is gone.
    pg.release_all_leases().await?;
    Ok(pg)
}

/// The state directory, its lock, and the directory of the files.
fn prepare(state_dir: &Path) -> Result<StateLock, StoreError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::File { action, path, source }
    };
    let mut missing: Vec<&Path> = state_dir.ancestors().take_while(|dir| !dir.exists()).collect();
    while let Some(directory) = missing.pop() {
        make_durable_directory(directory)?;
    }
    let lock_path = state_dir.join("lock");
    let lock = File::create(&lock_path).map_err(failed("cannot create", &lock_path))?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| StoreError::InUse { dir: state_dir.to_owned() })?;
    let lock = StateLock(lock);
    let blobs = state_dir.join("blobs");
    make_durable_directory(&blobs)?;
    std::fs::set_permissions(&blobs, Permissions::from_mode(0o700)).map_err(failed("cannot protect", &blobs))?;
    Ok(lock)
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|panicked| StoreError::File {
        action: "cannot work on",
        path: path.to_owned(),
        source: std::io::Error::other(panicked),
    })?
}
