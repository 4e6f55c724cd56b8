//! One database to one state directory. The rows name files that lie in the directory: a daemon on another directory
//! would take this one's jobs, find no files and fail them for good.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use uuid::Uuid;

use super::postgres::failed;
use super::{PgStore, StoreError};

/// Holds the identity of a state directory.
const NAME: &str = "identity";

/// The identity of a state directory; a new one is durable before it is answered.
///
/// # Errors
/// [`StoreError::File`].
pub(super) fn identity_of(state_dir: &Path) -> Result<Uuid, StoreError> {
    if let Some(identity) = known_identity(state_dir)? {
        return Ok(identity);
    }
    let (path, identity) = (state_dir.join(NAME), Uuid::new_v4());
    mark(state_dir, &path, identity).map_err(|source| StoreError::File { action: "cannot write", path, source })?;
    Ok(identity)
}

/// The identity of a state directory that has one already.
///
/// # Errors
/// [`StoreError::File`].
pub(super) fn known_identity(state_dir: &Path) -> Result<Option<Uuid>, StoreError> {
    let path = state_dir.join(NAME);
    let read = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(io::Error::other),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    };
    read.map_err(|source| StoreError::File { action: "cannot read", path, source })
}

fn mark(state_dir: &Path, path: &Path, identity: Uuid) -> io::Result<()> {
    let part = state_dir.join("identity.part");
    let mut file = File::create(&part)?;
    writeln!(file, "{identity}")?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(state_dir)?.sync_all()
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
        if bound == identity { Ok(()) } else { Err(StoreError::OtherDirectory { dir: state_dir.to_owned() }) }
    }
}
