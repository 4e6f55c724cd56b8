//! The training store: images and labels on the working grid, written here and read by the offline trainer.
//!
//! A store is one folder: `store.json` (what it holds), and for each case `<id>.image.npy` (float32, `[z][y][x]`, the
//! working image) and `<id>.labels.npy` (same shape; bit c of a voxel = class c; uint8 for up to 8 classes, uint16 for up to
//! 16, uint32 for more). Files are written beside their place and renamed, `store.json` last, so that an interrupted export
//! is taken up where it stopped.
//!
//! Cases come from digital heads, from archives ([`choose()`], [`drawn_case()`]: series with structure sets drawn on them, whose
//! regions are read by a table of [`Names`]), from NIfTI pairs ([`pairs`]) and from reviewed results; all of them are
//! labelled by [`labelled`]. [`check`] looks at a store with other eyes.

pub mod check;
mod choose;
mod draw;
mod drawn_case;
mod names;
pub mod pairs;
mod report;
mod store;

pub use choose::{Chosen, PassedOver, SetRule, choose};
pub use draw::{Labelled, OneSided, Region, labelled};
pub use drawn_case::{DrawOptions, DrawnCase, ReadNames, contoured_case, drawn_case};
pub use names::{DEFAULT_NAMES, Declared, Names, Reading};
pub use report::{Aside, CaseReport, ImportReport, Outcome};
pub use store::{CaseRecord, CaseWriter, Provenance, Source, StoreIndex, TrainingCase, TrainingStore, VERSION};

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
    /// Another program writes to the store.
    #[error("{path} is being written to by another program; wait for its end, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
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
