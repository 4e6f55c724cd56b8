//! An image on the working grid to the votes of three networks (thesis section 4.2).
//!
//! A model is a folder: `card.toml` says what it is and what it was trained for, three ONNX files are the networks, one
//! for each plane. The provider that runs them is the one that was configured or none: there is no silent fallback.

mod card;
mod evidence;
mod model;
mod plane;
mod runtime;
mod vote;

use std::path::PathBuf;

pub use card::{Card, NetworkEntry, Padding, Validation};
pub use evidence::evidence;
pub use model::Model;
pub use plane::Plane;
pub use runtime::{Execution, InferenceConfig, Runtime};
pub use vote::Vote;

/// What can go wrong between a model's folder and its votes. Every variant is a fault of the installation, not of the
/// patient's images.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// ONNX Runtime's shared library is not where it should be, or is too old.
    #[error("ONNX Runtime could not be loaded from {path}: {reason}. Run ops/setup, or set inference.library")]
    Library { path: PathBuf, reason: String },
    /// No library was found in any of the usual places.
    #[error("ONNX Runtime's shared library was not found; looked in {0}. Run ops/setup, or set inference.library")]
    LibraryMissing(String),
    /// The configured execution provider cannot be used.
    #[error(
        "execution = \"{wanted}\" was asked for but cannot be used: {reason}. Mend the driver and libraries, or set \
         inference.execution = \"cpu\" (much slower)"
    )]
    Provider { wanted: &'static str, reason: String },
    /// A file of the model cannot be read.
    #[error("model file {path} cannot be read: {reason}")]
    File { path: PathBuf, reason: String },
    /// The card does not say what it must, or says what this version does not know.
    #[error("model card {path}: {reason}")]
    Card { path: PathBuf, reason: String },
    /// A network file is not the one that the card names.
    #[error(
        "{path} has SHA-256 {found}, but the card says {expected}: the file was changed or damaged; install the model again"
    )]
    Digest { path: PathBuf, expected: String, found: String },
    /// The network failed or answered in another form than the card promises.
    #[error("network {plane}: {reason}")]
    Network { plane: Plane, reason: String },
    /// The image is not on the grid that the model was trained on.
    #[error("the image is {found:?} voxels, the model works on {expected:?}")]
    Grid { expected: [usize; 3], found: [usize; 3] },
}
