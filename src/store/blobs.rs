//! Pixel data and results as files, durable before anything names them.
//!
//! A key holds checked UIDs and a digest of the content, so that two objects never share one and a second writing of the
//! same object changes nothing. Everything goes through `object_store`; only what it cannot promise is done here: the
//! directories on the way are synced before the first file in them, also those that an earlier process made and
//! did not live to sync, and those that another task is just making.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use uuid::Uuid;

use super::StoreError;
use crate::ids::{InstanceUid, SeriesUid, sha256_hex};

/// Directories remembered as synced; forgetting some only costs a few more syncs.
const REMEMBERED_DIRECTORIES: usize = 10_000;

/// Name of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobKey(String);

impl BlobKey {
    /// Key of a received instance with that SHA-256.
    pub fn instance(series: &SeriesUid, instance: &InstanceUid, sha256: &str) -> Self {
        Self(format!("instances/{series}/{instance}-{}.dcm", short(sha256)))
    }

    /// Key of an object that contourd made for a case.
    pub fn result(case: Uuid, instance: &InstanceUid, sha256: &str) -> Self {
        Self(format!("results/{case}/{instance}-{}.dcm", short(sha256)))
    }

    /// The key as it is kept in the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

/// The files. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blobs {
    files: Arc<LocalFileSystem>,
    root: PathBuf,
    synced: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Blobs {
    /// Opens the files below `root`; it must exist.
    ///
    /// # Errors
    /// [`StoreError::Blob`] when `root` is no directory.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let files = LocalFileSystem::new_with_prefix(root)
            .map_err(|source| StoreError::Blob { key: root.display().to_string(), source })?
            .with_fsync(true);
        Ok(Self { files: Arc::new(files), root: root.to_owned(), synced: Arc::default() })
    }

    /// Writes a blob. When this returns, a power cut cannot undo it.
    ///
    /// # Errors
    /// [`StoreError::Blob`] or [`StoreError::File`].
    pub async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError> {
        self.put_parts(key, [bytes]).await
    }

    /// As [`Blobs::put`], of parts that follow each other.
    ///
    /// # Errors
    /// As [`Blobs::put`].
    pub async fn put_parts(&self, key: &BlobKey, parts: impl IntoIterator<Item = Bytes>) -> Result<(), StoreError> {
        let payload: PutPayload = parts.into_iter().collect();
        let directory = Path::new(key.as_str()).parent().unwrap_or(Path::new("")).to_owned();
        // Who syncs holds the lock: it is not waited for here.
        let is_there = self.synced.try_lock().is_ok_and(|synced| synced.contains(&directory));
        if !is_there {
            let blobs = self.clone();
            tokio::task::spawn_blocking(move || blobs.make_directory(&directory)).await.map_err(|panicked| {
                StoreError::File {
                    action: "cannot make the directories of",
                    path: self.root.join(key.as_str()),
                    source: std::io::Error::other(panicked),
                }
            })??;
        }
        let written = self.files.put(&Key::from(key.as_str()), payload).await;
        written.map_err(|source| StoreError::Blob { key: key.0.clone(), source })?;
        Ok(())
    }

    /// Reads a blob and checks it against the digest that the database holds.
    ///
    /// # Errors
    /// [`StoreError::Blob`] when it cannot be read, [`StoreError::DamagedBlob`] when it is not what was written.
    pub async fn get(&self, key: &str, sha256: &str) -> Result<Bytes, StoreError> {
        let failed = |source| StoreError::Blob { key: key.to_owned(), source };
        let path = Key::parse(key).map_err(|source| failed(source.into()))?;
        let bytes = self.files.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let found = sha256_hex(&bytes);
        if found != sha256 {
            return Err(StoreError::DamagedBlob { key: key.to_owned(), expected: sha256.to_owned(), found });
        }
        Ok(bytes)
    }

    /// Whether a blob is there as it was written.
    ///
    /// # Errors
    /// [`StoreError::Blob`] when that cannot be told.
    pub async fn holds(&self, key: &str, sha256: &str) -> Result<bool, StoreError> {
        match self.get(key, sha256).await {
            Ok(_) => Ok(true),
            Err(StoreError::DamagedBlob { .. })
            | Err(StoreError::Blob { source: object_store::Error::NotFound { .. }, .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Deletes a blob, and its directory when it was the last one in it. One that is not there is deleted already.
    ///
    /// # Errors
    /// [`StoreError::Blob`].
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let failed = |source| StoreError::Blob { key: key.to_owned(), source };
        let path = Key::parse(key).map_err(|source| failed(source.into()))?;
        match self.files.delete(&path).await {
            Err(object_store::Error::NotFound { .. }) => {}
            deleted => deleted.map_err(failed)?,
        }
        if let Some(directory) = Path::new(key).parent().filter(|d| d.components().count() > 1) {
            let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
            // Not empty: other files are in it. Under the lock, and forgotten, so that who writes next makes it anew.
            if std::fs::remove_dir(self.root.join(directory)).is_ok() {
                synced.remove(directory);
            }
        }
        Ok(())
    }

    /// Bytes that can still be written.
    ///
    /// # Errors
    /// [`StoreError::File`] when the file system does not tell.
    pub fn free_bytes(&self) -> Result<u64, StoreError> {
        free_bytes(&self.root)
    }

    /// Makes `relative` below the root and syncs every directory from the root down to it.
    fn make_directory(&self, relative: &Path) -> Result<(), StoreError> {
        // The lock is held while syncing: who finds a directory remembered can rely on its entry being durable.
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if synced.contains(relative) {
            return Ok(());
        }
        let mut parent = self.root.clone();
        for part in relative.components() {
            let directory = parent.join(part);
            make_durable_directory(&directory)?;
            parent = directory;
        }
        if synced.len() >= REMEMBERED_DIRECTORIES {
            synced.clear();
        }
        synced.insert(relative.to_owned());
        Ok(())
    }
}

/// Bytes that can still be written where `directory` is.
pub(super) fn free_bytes(directory: &Path) -> Result<u64, StoreError> {
    let stat = rustix::fs::statvfs(directory).map_err(|e| StoreError::File {
        action: "cannot measure the free space of",
        path: directory.to_owned(),
        source: e.into(),
    })?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes a directory, if it is not there, and syncs the entry that names it.
pub(super) fn make_durable_directory(directory: &Path) -> Result<(), StoreError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::File { action, path, source }
    };
    match std::fs::create_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made.map_err(failed("cannot create the directory", directory))?,
    }
    let parent = directory.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|f| f.sync_all()).map_err(failed("cannot sync the directory", parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(content: &[u8]) -> (BlobKey, String) {
        let sha256 = sha256_hex(content);
        let series = SeriesUid::parse("1.2.3").unwrap();
        (BlobKey::instance(&series, &InstanceUid::parse("1.2.3.4").unwrap(), &sha256), sha256)
    }

    #[tokio::test]
    async fn what_is_written_comes_back() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(root.path()).unwrap();
        let (key, sha256) = key(b"pixels");
        for _ in 0..2 {
            blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
        }
        assert_eq!(blobs.get(key.as_str(), &sha256).await.unwrap(), "pixels");
        assert!(blobs.holds(key.as_str(), &sha256).await.unwrap());
        assert!(!blobs.holds("instances/other.dcm", &sha256).await.unwrap());
        assert!(blobs.free_bytes().unwrap() > 0);
    }

    #[tokio::test]
    async fn damage_and_loss_are_seen() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(root.path()).unwrap();
        let (key, sha256) = key(b"pixels");
        blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
        std::fs::write(root.path().join(key.as_str()), b"pixelz").unwrap();
        assert!(matches!(blobs.get(key.as_str(), &sha256).await, Err(StoreError::DamagedBlob { .. })));
        assert!(!blobs.holds(key.as_str(), &sha256).await.unwrap());
        std::fs::remove_file(root.path().join(key.as_str())).unwrap();
        assert!(matches!(blobs.get(key.as_str(), &sha256).await, Err(StoreError::Blob { .. })));
    }

    #[tokio::test]
    async fn no_key_leads_out_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(root.path()).unwrap();
        std::fs::write(root.path().parent().unwrap().join("contourd-outside"), b"x").unwrap();
        for key in ["../contourd-outside", "instances/../../contourd-outside", "/etc/hostname"] {
            assert!(blobs.get(key, "").await.is_err(), "{key}");
        }
        std::fs::remove_file(root.path().parent().unwrap().join("contourd-outside")).unwrap();
    }

    #[tokio::test]
    async fn a_file_where_a_directory_belongs_is_told() {
        let root = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(root.path()).unwrap();
        std::fs::write(root.path().join("instances"), b"").unwrap();
        let error = blobs.put(&key(b"a").0, Bytes::from_static(b"a")).await.unwrap_err();
        assert!(error.to_string().contains("instances"), "{error}");
    }
}
