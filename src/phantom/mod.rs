//! The digital head: a synthetic patient with known truth.
//!
//! A [`Head`] is a set of closed shapes in a template space (LPS mm, origin at the anterior commissure), bent by a smooth
//! random deformation, scaled and turned into patient space. The same signed distances give the image (with partial
//! volume), the labels, the mask of each structure on its own side, and the structures' volumes. Everything follows
//! from one seed.
//!
//! A head (`head`) is put together from three folders: `face` (skin, bones, muscles, air, vessels), `brain`, and `optic`
//! (orbits with their eyes, nerves, chiasm, gland). They are made of shapes (`shape`) and smooth noise (`field`) and are
//! painted in order (`scene`); `lesion` adds disease. `render` and `volume` read a finished head; `acquisition` and
//! `artefact` say how it is scanned, `population` whose head it is; `patient` writes it as DICOM.

mod acquisition;
mod artefact;
mod brain;
mod face;
mod field;
mod head;
mod lesion;
mod nifti;
mod optic;
mod patient;
mod population;
mod random;
mod render;
mod scene;
mod shape;
mod tissue;
mod volume;

pub use acquisition::{Acquisition, FieldOfView};
pub use artefact::{ghosts, motion, noisier, rolled, softened};
pub use head::{Head, HeadOptions, Spread};
pub use nifti::read_nifti;
pub use patient::{DemoIdentity, PatientRecipe, SyntheticPatient, TruthEntry, demo_series, synthetic_patient};
pub use population::Population;
pub use random::Rng;
pub use render::{ImageOptions, Labelled, class_labels, image, images, render, scan, truth};
pub use tissue::{Contrast, Signal, Tissue};

use std::path::PathBuf;

use crate::anatomy::Side;
use crate::contour::ContourError;
use crate::dicom::data::{DataError, Refusals};
use crate::geometry::{GeometryError, Vec3};

/// Version of the head: a change that changes any image or mask raises it.
pub const VERSION: u32 = 5;

/// Why a synthetic or demonstration patient cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PhantomError {
    /// A NIfTI file that cannot be used.
    #[error("{path}: {reason}")]
    Nifti {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A grid.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// DICOM could not be written.
    #[error(transparent)]
    Dicom(#[from] DataError),
    /// The series just written could not be read back.
    #[error("the series that was written does not read back: {0}")]
    ReadBack(#[from] Refusals),
    /// A mask could not be outlined.
    #[error(transparent)]
    Contour(#[from] ContourError),
}

/// Takes layers of tissue from the outermost inwards; what comes later covers what came before.
trait Canvas {
    /// Covers with `tissue` where the signed distance (mm) is negative.
    fn layer(&mut self, tissue: Tissue, distance: f64);
    /// Covers with `tissue` to this part (0 to 1).
    fn wash(&mut self, tissue: Tissue, part: f64);
    /// Relative brightness of the texture from here on.
    fn shade(&mut self, relative: f64);
}

/// +1 on the left, -1 on the right: the sign of x in LPS.
const fn side_sign(side: Side) -> f64 {
    match side {
        Side::Left => 1.0,
        Side::Right => -1.0,
    }
}

/// Of two things kept left first.
fn by_side<T>(pair: &[T; 2], side: Side) -> &T {
    let [left, right] = pair;
    match side {
        Side::Left => left,
        Side::Right => right,
    }
}

/// A point moved at random, with a standard deviation in mm along each axis.
fn jitter_point(rng: &mut Rng, p: Vec3, deviation: f64) -> Vec3 {
    Vec3::new(rng.near(p.x, deviation), rng.near(p.y, deviation), rng.near(p.z, deviation))
}

/// Radii scaled at random, each with a relative standard deviation.
fn jitter_radii(rng: &mut Rng, r: Vec3, deviation: f64) -> Vec3 {
    Vec3::new(r.x * rng.near(1.0, deviation), r.y * rng.near(1.0, deviation), r.z * rng.near(1.0, deviation))
}

#[cfg(test)]
mod tests;
