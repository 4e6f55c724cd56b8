//! Where things are: patient space, voxel grids, volumes and masks bound to a grid, resampling, structures as
//! smooth fields, the working grid.
//!
//! Patient space is DICOM LPS in millimetres: +x to the patient's left, +y posterior, +z superior (PS3.3 C.7.6.2.1.1).
//! A voxel index (i, j, k) counts columns, rows and slices; an integer index is the CENTRE of a voxel. Storage order is
//! known only inside [`Volume`]: i runs fastest, then j, then k. This room does no input or output.

mod bits;
mod components;
mod distance;
mod downsample;
mod field;
mod grid;
mod point;
mod resample;
mod rigid;
#[cfg(test)]
pub(crate) mod testgrid;
mod volume;
mod working;

pub(crate) use bits::BitRows;
pub use components::{Component, Components, Connectivity, components};
pub use distance::squared_distances;
pub use downsample::{downsample_filter, smooth_along};
pub use field::{Field, LogOdds, OnGrid};
pub use grid::{Grid, GridId, Shape};
pub use point::{Index, Lps, Vec3};
pub use resample::resample_linear;
pub use rigid::Rigid;
pub use volume::{Extent, Mask, Volume};
pub(crate) use working::quantile;
pub use working::{IntensityRule, WorkingSpec, working_grid_for, working_volume};

use crate::ids::FrameOfReferenceUid;

/// What can be wrong with a grid or with two things put together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GeometryError {
    /// The number of values is not the number of voxels.
    #[error("{got} values were given for a grid of {want} voxels")]
    Length { got: usize, want: usize },
    /// A shape with a zero or an absurd extent.
    #[error("a grid of {0} x {1} x {2} voxels (columns, rows, slices) cannot be held")]
    Shape(usize, usize, usize),
    /// Axes that are not unit vectors at right angles.
    #[error("the axes are not unit vectors at right angles: {0}")]
    Axes(String),
    /// Spacing that is not finite and positive.
    #[error("spacing {0:?} mm is not finite and positive")]
    Spacing([f64; 3]),
    /// An origin that is not finite.
    #[error("origin {0:?} mm is not finite")]
    Origin([f64; 3]),
    /// Two volumes on different grids were to be combined.
    #[error("two volumes lie on different grids ({0} and {1}) and cannot be combined")]
    GridMismatch(GridId, GridId),
    /// A matrix that does more than turn and shift.
    #[error("the matrix is not rigid: {0}")]
    NotRigid(String),
    /// Two things of different frames of reference were to be put together.
    #[error("frames of reference {0} and {1} are not the same")]
    OtherFrame(FrameOfReferenceUid, FrameOfReferenceUid),
    /// The image holds no head: nothing stands out from its background.
    #[error("no head was found in the image: {0}")]
    NoHead(String),
}
