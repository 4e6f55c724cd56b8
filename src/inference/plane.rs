//! The three slice orientations of the working grid.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::geometry::Shape;

/// A slice orientation. On the working grid i runs left, j posterior, k superior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plane {
    /// Slice k; rows are j, columns are i.
    Axial,
    /// Slice j; rows are k, columns are i.
    Coronal,
    /// Slice i; rows are k, columns are j.
    Sagittal,
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Plane::Axial => "axial",
            Plane::Coronal => "coronal",
            Plane::Sagittal => "sagittal",
        })
    }
}

/// A part of every slice of a plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Which rows.
    pub rows: Range<usize>,
    /// Which columns.
    pub cols: Range<usize>,
}

/// How the pixels of a plane's slices lie in a volume's storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Number of slices.
    pub slices: usize,
    /// Rows of a slice.
    pub rows: usize,
    /// Columns of a slice.
    pub cols: usize,
    slice_stride: usize,
    row_stride: usize,
    col_stride: usize,
    /// Which of i, j, k runs along rows and along columns.
    axes: [usize; 2],
}

impl Layout {
    /// Layout of `plane` in a volume stored i fastest, then j, then k.
    pub fn of(plane: Plane, shape: Shape) -> Self {
        let (i, j, k) = ((shape.cols, 1), (shape.rows, shape.cols), (shape.slices, shape.cols * shape.rows));
        let (slice, row, col) = match plane {
            Plane::Axial => (k, j, i),
            Plane::Coronal => (j, k, i),
            Plane::Sagittal => (i, k, j),
        };
        let axes = match plane {
            Plane::Axial => [1, 0],
            Plane::Coronal => [2, 0],
            Plane::Sagittal => [2, 1],
        };
        let (slices, slice_stride) = slice;
        let ((rows, row_stride), (cols, col_stride)) = (row, col);
        Self { slices, rows, cols, slice_stride, row_stride, col_stride, axes }
    }

    /// The part of every slice that lies in a box of the volume, given along i, j, k.
    pub fn window(&self, part: &[Range<usize>; 3]) -> Window {
        let [rows, cols] = self.axes.map(|axis| part[axis].clone());
        Window { rows, cols }
    }

    /// Position in the volume's storage of a pixel.
    #[inline]
    pub fn offset(&self, slice: usize, row: usize, col: usize) -> usize {
        slice * self.slice_stride + row * self.row_stride + col * self.col_stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plane_visits_every_voxel_once() {
        let shape = Shape::new(3, 4, 5);
        for (plane, extents) in [(Plane::Axial, [5, 4, 3]), (Plane::Coronal, [4, 5, 3]), (Plane::Sagittal, [3, 5, 4])] {
            let l = Layout::of(plane, shape);
            assert_eq!([l.slices, l.rows, l.cols], extents, "{plane}");
            let mut seen = vec![0; shape.voxels()];
            for s in 0..l.slices {
                for r in 0..l.rows {
                    for c in 0..l.cols {
                        seen[l.offset(s, r, c)] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|n| *n == 1), "{plane}");
        }
        // Voxel (i, j, k) = (2, 1, 3) as seen in each plane.
        let at = (3 * 4 + 1) * 3 + 2;
        assert_eq!(Layout::of(Plane::Axial, shape).offset(3, 1, 2), at);
        assert_eq!(Layout::of(Plane::Coronal, shape).offset(1, 3, 2), at);
        assert_eq!(Layout::of(Plane::Sagittal, shape).offset(2, 3, 1), at);
    }
}
