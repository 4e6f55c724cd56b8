//! What can go wrong in the store, in words for the one who runs it.

use std::path::PathBuf;

/// What a caller should do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The database or the disk is away or full for now: try again later.
    Retry,
    /// The same call would fail again: configuration, damage, or a bug.
    Permanent,
}

/// Errors of the store. Texts hold no patient data: database errors are told without the values of rows.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not do `action`.
    #[error("the database could not {action}: {}", describe(source))]
    Database {
        /// What was being done.
        action: &'static str,
        /// The driver's error.
        source: sqlx::Error,
    },
    /// A migration failed or the database is newer than this program.
    #[error("the database cannot be brought to this version of contourd: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A server that may lose what it confirmed.
    #[error(
        "the PostgreSQL server runs with {setting} = {value}, so an acknowledged image could be lost in a power cut; \
         set {setting} = on in its configuration"
    )]
    NotDurable {
        /// Name of the setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// A row holds a text that this version does not know.
    #[error("the database holds a value that this version of contourd does not know: {0}")]
    UnknownName(#[from] super::rows::UnknownName),
    /// The lease of a job or a delivery went to another worker meanwhile; the work is not recorded.
    #[error("the lease on {0} was lost to another worker; its work is not recorded")]
    LeaseLost(&'static str),
    /// Two daemons on one state directory.
    #[error("{} is in use by another contourd; stop it first, or set another store.state_dir", dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
    },
    /// A database whose files lie elsewhere.
    #[error(
        "the database belongs to another state directory than {0}: its images are not there; set the store.state_dir \
         that it was used with, or give this one a database of its own. If {0} is that directory without its file \
         `identity`, ops/README.md says how to write it again", dir.display()
    )]
    OtherDirectory {
        /// The state directory.
        dir: PathBuf,
    },
    /// The private server could not be made or started.
    #[error("the private PostgreSQL server in {}: {message}", dir.display())]
    Cluster {
        /// Its directory.
        dir: PathBuf,
        /// What happened and what to do.
        message: String,
    },
    /// A file or directory of the state directory.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was being done ("cannot create").
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A stored file that cannot be written or read.
    #[error("blob {key}: {source}")]
    Blob {
        /// Its key.
        key: String,
        /// The object store's error.
        source: object_store::Error,
    },
    /// A stored file that is not what was written.
    #[error("blob {key} is damaged: its SHA-256 is {found}, {expected} was written; restore it from a backup")]
    DamagedBlob {
        /// Its key.
        key: String,
        /// What the database holds.
        expected: String,
        /// What was read.
        found: String,
    },
}

impl StoreError {
    /// Whether waiting helps.
    pub fn class(&self) -> ErrorClass {
        match self {
            StoreError::Database { source, .. } => match source {
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => ErrorClass::Retry,
                // 08 connection, 40 rollback, 53 resources, 55 object in use, 57 operator intervention, 58 system.
                sqlx::Error::Database(e) => match e.code() {
                    Some(code) if ["08", "40", "53", "55", "57", "58"].iter().any(|c| code.starts_with(c)) => {
                        ErrorClass::Retry
                    }
                    _ => ErrorClass::Permanent,
                },
                _ => ErrorClass::Permanent,
            },
            StoreError::File { .. } => ErrorClass::Retry,
            StoreError::Blob { source, .. } => match source {
                object_store::Error::NotFound { .. } => ErrorClass::Permanent,
                _ => ErrorClass::Retry,
            },
            StoreError::Migration(_)
            | StoreError::NotDurable { .. }
            | StoreError::UnknownName(_)
            | StoreError::LeaseLost(_)
            | StoreError::InUse { .. }
            | StoreError::OtherDirectory { .. }
            | StoreError::Cluster { .. }
            | StoreError::DamagedBlob { .. } => ErrorClass::Permanent,
        }
    }
}

/// A database error without its DETAIL, where PostgreSQL repeats the values of rows.
fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(e) => match e.code() {
            Some(code) => format!("{} (SQLSTATE {code})", e.message()),
            None => e.message().to_owned(),
        },
        other => other.to_string(),
    }
}
