//! One database to one state directory. The rows name files that lie in the directory: a daemon on another directory
//! would take this one's jobs, find no files and fail them for good.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::postgres::failed;
use super::{PgStore, StoreError};

/// Holds the identity of a state directory.
const NAME: &str = "identity";

/// The identity of a state directory, if it was given one.
///
/// # Errors
/// [`StoreError::File`].
pub(super) fn of_directory(state_dir: &Path) -> Result<Option<Uuid>, StoreError> {
    let path = state_dir.join(NAME);
    let unreadable = |source| StoreError::File { action: "cannot read", path: path.clone(), source };
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|e| unreadable(std::io::Error::other(e))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(e)),
    }
}

/// Gives a state directory its identity, durable before it returns.
///
/// # Errors
/// [`StoreError::File`].
pub(super) fn mark_directory(state_dir: &Path, identity: Uuid) -> Result<(), StoreError> {
    let (path, part) = (state_dir.join(NAME), state_dir.join("identity.part"));
    let write = || {
        let mut file = File::create(&part)?;
        writeln!(file, "{identity}")?;
        file.sync_all()?;
        fs::rename(&part, &path)?;
        File::open(state_dir)?.sync_all()
    };
    write().map_err(|source| StoreError::File { action: "cannot write", path: path.clone(), source })
}

impl PgStore {
    /// Binds a new database to the state directory of this identity, for ever.
    ///
    /// # Errors
    /// [`StoreError::OtherDirectory`], [`StoreError::Database`].
    pub(super) async fn bind(&self, identity: Uuid, state_dir: &Path) -> Result<(), StoreError> {
        let bound: Uuid = sqlx::query_scalar(
            "insert into binding (identity) values ($1)
             on conflict (one) do update set identity = binding.identity returning identity",
        )
        .bind(identity)
        .fetch_one(&self.pool)
        .await
        .map_err(failed("be bound to a state directory"))?;
        if bound == identity { Ok(()) } else { Err(StoreError::OtherDirectory { dir: PathBuf::from(state_dir) }) }
    }
}
