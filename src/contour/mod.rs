//! Structures to polygons on a series' own planes, and back.
//!
//! An outline is the zero of a smooth field ([`Field`](crate::geometry::Field)), finer than the pixels; of a mask alone
//! it runs half-way between them. It never passes through a pixel centre, so that filling it at pixel centres gives
//! exactly the pixels that it was drawn around, and these are what is meant by the structure on a plane. An outline
//! through the centres of the border pixels would take half a pixel off all round, a third of a lens. Foreground pixels
//! are joined through their sides only, so pixels that meet at a corner get outlines of their own and no outline ever
//! touches another.
//!
//! Coordinates are continuous voxel indices (i, j) of one plane k of a grid, integers at voxel centres; who needs
//! millimetres asks the grid.

mod canvas;
mod contact;
mod isoline;
mod keyhole;
mod outline;
pub mod picture;
mod placed;
mod rasterise;
mod simplify;
mod trace;

use serde::{Deserialize, Serialize};

use crate::geometry::GeometryError;

pub use outline::{Outlines, contours_of, outline, outline_on};
pub use placed::{beyond, crossed_slices, skipped_slices};
pub use rasterise::rasterise;

/// A corner (i, j) in continuous voxel indices.
type Point = [f64; 2];

/// The first two of some polygons of one plane (or one and itself) that cross, as positions in `polygons`. Where a
/// polygon touches itself, as along the bridge of a keyhole, it does not cross.
pub fn crossing(polygons: &[&[[f64; 2]]]) -> Option<(usize, usize)> {
    contact::find_contact(polygons, contact::Contact::Cross).map(|(a, b)| (a.min(b), a.max(b)))
}

/// Area of a polygon in pixels; positive when it turns from +i towards +j.
pub fn enclosed(p: &[[f64; 2]]) -> f64 {
    p.iter().zip(p.iter().cycle().skip(1)).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f64>() / 2.0
}

/// One closed polygon on one plane of a grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaneContour {
    /// Plane number k of the grid.
    pub slice: usize,
    /// Corners (i, j) in continuous voxel indices, integers at voxel centres; closed, the first is not repeated.
    /// Turns from +i towards +j, which is counter-clockwise for whom the normal (i x j) points at.
    pub points: Vec<[f64; 2]>,
}

/// What becomes of a hole within a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holes {
    /// Filled: right for every organ of the catalogue, all of them solid.
    Fill,
    /// Kept, joined to the outline around it by a bridge without width: one polygon, read alike by all who fill it.
    Keyhole,
}

/// How masks become polygons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContourConfig {
    /// How far simplification may move an outline, as a part of the smaller pixel spacing; 0 to [`MAX_TOLERANCE`].
    pub tolerance_pixels: f64,
    /// Islands of fewer pixels than this within a plane (joined through sides or corners) are dropped; 0 and 1 keep all.
    /// Kept by default: in thick slices a lens may end in a single pixel, a twentieth of its volume.
    pub min_island_voxels: usize,
    /// What becomes of holes within a plane.
    pub holes: Holes,
    /// Most points of one polygon. Contour Data of an explicit VR file holds about 2600 (16-bit length).
    pub max_points: usize,
}

impl Default for ContourConfig {
    fn default() -> Self {
        Self { tolerance_pixels: 0.1, min_island_voxels: 1, holes: Holes::Fill, max_points: 2000 }
    }
}

/// A wider bound would lose what a pixel shows. Whatever the bound, no pixel centre changes sides.
pub const MAX_TOLERANCE: f64 = 0.3;

impl ContourConfig {
    /// Every fault of this section, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        match self.validate() {
            Err(ContourError::Config { key, value, allowed }) => {
                vec![format!("{key} is {value}; it must be {allowed}")]
            }
            _ => Vec::new(),
        }
    }

    /// Refuses settings outside their range.
    ///
    /// # Errors
    /// [`ContourError::Config`], naming the key.
    pub fn validate(&self) -> Result<(), ContourError> {
        let fault = |key, value: String, allowed| Err(ContourError::Config { key, value, allowed });
        if !(0.0..=MAX_TOLERANCE).contains(&self.tolerance_pixels) {
            return fault("tolerance_pixels", self.tolerance_pixels.to_string(), "between 0 and 0.3");
        }
        // More would not fit the 64 KiB of an attribute with explicit VR, which a receiver may convert to.
        if !(16..=2400).contains(&self.max_points) {
            return fault("max_points", self.max_points.to_string(), "between 16 and 2400");
        }
        Ok(())
    }
}

/// Why a mask could not become polygons, or polygons a picture.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ContourError {
    /// A setting outside its range.
    #[error("contour setting {key} is {value}; it must be {allowed}")]
    Config { key: &'static str, value: String, allowed: &'static str },
    /// An outline so ragged that it cannot be written with the allowed number of points.
    #[error(
        "an outline on plane {slice} needs {points} points and {limit} are allowed (max_points): the mask is ragged, \
         look at the segmentation"
    )]
    TooManyPoints { slice: usize, points: usize, limit: usize },
    /// The finished polygons do not give the mask back: a fault of this program, never of the data.
    #[error(
        "the polygons of plane {slice} cross or change {changed} pixels of the mask; this is a fault of the program"
    )]
    Changed { slice: usize, changed: usize },
    /// A picture could not be made.
    #[error("the picture could not be made: {0}")]
    Picture(String),
    /// A plane of the mask could not be cut out.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
}

#[cfg(test)]
mod test_support {
    use std::sync::Arc;

    use super::{PlaneContour, Point};
    use crate::geometry::{Grid, Lps, Mask, Shape};
    use crate::ids::FrameOfReferenceUid;

    /// A mask of some extents (columns, rows, slices) and spacing.
    pub fn mask(shape: [usize; 3], spacing: [f64; 3], data: Vec<bool>) -> Mask {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let shape = Shape::new(shape[0], shape[1], shape[2]);
        let grid = Grid::axis_aligned(frame, shape, Lps::new(-31.0, 12.0, 5.0), spacing).unwrap();
        Mask::new(Arc::new(grid), data).unwrap()
    }

    pub fn contour(slice: usize, points: &[Point]) -> PlaneContour {
        PlaneContour { slice, points: points.to_vec() }
    }
}
