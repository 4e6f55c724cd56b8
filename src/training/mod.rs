//! The training store: images and labels on the working grid, written here and read by the offline trainer.
//!
//! A store is one folder: `store.json` (what it holds), and for each case `<id>.image.npy` (float32, `[z][y][x]`, the
//! working image) and `<id>.labels.npy` (uint8, same shape, bit c of a voxel = class c). Files are written beside their
//! place and renamed, `store.json` last, so that an interrupted export is taken up where it stopped.

mod store;

pub use store::{CaseRecord, Source, StoreIndex, TrainingCase, TrainingStore, VERSION};

use std::path::PathBuf;

use crate::geometry::GeometryError;

/// Why a training store cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// `store.json` is no index of ours.
    #[error("{path} is not the index of a training store: {reason}")]
    Index {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The folder holds a store of other make: mixing the two would make training unrepeatable.
    #[error("{path} holds a training store with another {what}; choose a new folder")]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// An array could not be encoded.
    #[error("case {id}: cannot encode the {what} array: {reason}")]
    Encode {
        /// Case.
        id: String,
        /// Image or labels.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Image and labels do not fit each other.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}
