//! Masks on a series' own planes to polygons and back.

/// One closed polygon on one plane of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneContour {
    /// Plane number k of the grid.
    pub slice: usize,
    /// Corners (i, j) in continuous voxel indices, integers at voxel centres; closed, the first is not repeated.
    pub points: Vec<[f64; 2]>,
}
