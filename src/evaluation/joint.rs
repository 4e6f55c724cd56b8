//! Two masks cut down to what they fill together.

use std::sync::Arc;

use crate::geometry::{Extent, GeometryError, Grid, Mask};

/// The found structure and its reference in the box that holds both, with a border of one voxel that belongs to neither:
/// every voxel of a structure has all its neighbours in the box. Beyond the grid counts as outside.
pub(super) struct Joint {
    /// Voxels of the box along i, j, k.
    pub size: [usize; 3],
    pub grid: Arc<Grid>,
    /// In storage order.
    pub found: Vec<bool>,
    pub reference: Vec<bool>,
}

impl Joint {
    /// `None` when both are empty.
    pub fn new(found: &Mask, reference: &Mask) -> Result<Option<Self>, GeometryError> {
        found.same_grid(reference)?;
        let bounds = match (found.extent(), reference.extent()) {
            (None, None) => return Ok(None),
            (Some(one), None) | (None, Some(one)) => one,
            (Some(a), Some(b)) => Extent {
                lo: std::array::from_fn(|n| a.lo[n].min(b.lo[n])),
                hi: std::array::from_fn(|n| a.hi[n].max(b.hi[n])),
            },
        };
        Ok(Some(Self {
            size: bounds.size().map(|n| n + 2),
            grid: Arc::clone(found.grid()),
            found: cut(found, bounds),
            reference: cut(reference, bounds),
        }))
    }

    /// Whether one of the 26 neighbours of a voxel of a structure has this value.
    pub fn has_neighbour(&self, of: &[bool], at: usize, value: bool) -> bool {
        let (row, plane) = (self.size[0], self.size[0] * self.size[1]);
        let corner = at - 1 - row - plane;
        let lines = (0..9).map(|n| corner + n % 3 * row + n / 3 * plane);
        lines.flat_map(|first| first..first + 3).any(|n| n != at && of[n] == value)
    }

    /// The voxels of a structure that have a neighbour outside it across a face, along the first `axes` axes.
    pub fn border(&self, of: &[bool], axes: usize) -> Vec<bool> {
        let steps = [1, self.size[0], self.size[0] * self.size[1]];
        let outside = |at: usize| steps.iter().take(axes).any(|step| !of[at - step] || !of[at + step]);
        of.iter().enumerate().map(|(at, inside)| *inside && outside(at)).collect()
    }
}

/// A box of a mask with its border.
fn cut(mask: &Mask, bounds: Extent) -> Vec<bool> {
    let [cols, rows, slices] = bounds.size();
    let mut out = vec![false; (cols + 2) * (rows + 2) * (slices + 2)];
    for k in 0..slices {
        for j in 0..rows {
            let from = mask.offset(bounds.lo[0], bounds.lo[1] + j, bounds.lo[2] + k);
            let to = ((k + 1) * (rows + 2) + j + 1) * (cols + 2) + 1;
            out[to..to + cols].copy_from_slice(&mask.data()[from..from + cols]);
        }
    }
    out
}
