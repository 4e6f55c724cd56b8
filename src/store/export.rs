//! A case for people outside: what is read of it, beside a running daemon or without one.

use sqlx::FromRow;
use uuid::Uuid;

use super::look::{connect, is_running};
use super::postgres::failed;
use super::{Blobs, PgStore, ResultKind, Store, StoreConfig, StoreError, absolute};

/// Database and files, opened for a short time.
#[derive(Debug)]
pub struct Beside {
    /// The database.
    pub pg: PgStore,
    /// The files.
    pub blobs: Blobs,
    /// The store, where no daemon has it.
    opened: Option<Store>,
}

/// A result of a case, and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ResultFile {
    /// What it is.
    #[sqlx(try_from = "String")]
    pub kind: ResultKind,
    /// For destinations of this profile.
    pub profile: String,
    /// Key of the blob.
    pub blob_key: String,
    /// SHA-256 of the blob.
    pub sha256: String,
}

impl Beside {
    /// Opens the store; where a daemon has it, beside that daemon.
    ///
    /// # Errors
    /// [`StoreError`], also for a daemon of another version.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let state_dir = absolute(&config.state_dir)?;
        if !is_running(&state_dir, config.url.is_none(), "no case").await? {
            let store = Store::open(config).await?;
            return Ok(Self { pg: store.pg.clone(), blobs: store.blobs.clone(), opened: Some(store) });
        }
        let pg = match connect(config, "contourd export", &[]).await? {
            Ok((pg, _)) => pg,
            Err(message) => return Err(StoreError::Cluster { dir: state_dir, message }),
        };
        let beside = Self { pg, blobs: Blobs::open(&state_dir.join("blobs"))?, opened: None };
        // Also that database and directory belong together.
        let fits = match beside.pg.see(&state_dir).await {
            Ok(_) => beside.pg.missing_migrations().await.map(|missing| missing == Some(0)),
            Err(e) => Err(e),
        };
        match fits {
            Ok(true) => Ok(beside),
            Ok(false) => {
                beside.close().await?;
                let message = "the contourd that runs is of another version; use its own program".to_owned();
                Err(StoreError::Cluster { dir: state_dir, message })
            }
            Err(e) => {
                beside.close().await?;
                Err(e)
            }
        }
    }

    /// Closes what was opened; a daemon keeps running.
    ///
    /// # Errors
    /// [`StoreError`] when the private server does not end.
    pub async fn close(self) -> Result<(), StoreError> {
        match self.opened {
            Some(store) => store.close().await,
            None => {
                self.pg.close().await;
                Ok(())
            }
        }
    }
}

impl PgStore {
    /// Every result of a case, in the order of sending.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn result_files(&self, case: Uuid) -> Result<Vec<ResultFile>, StoreError> {
        sqlx::query_as("select kind, profile, blob_key, sha256 from results where case_id = $1 order by seq")
            .bind(case)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list the results of a case"))
    }
}
