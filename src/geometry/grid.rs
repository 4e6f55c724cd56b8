//! The grid that ties voxel indices to patient points.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{GeometryError, Index, Lps, Vec3};
use crate::ids::FrameOfReferenceUid;

/// Extents of a grid in voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Columns, the extent along i.
    pub cols: usize,
    /// Rows, the extent along j.
    pub rows: usize,
    /// Slices, the extent along k.
    pub slices: usize,
}

impl Shape {
    /// From columns, rows, slices.
    pub const fn new(cols: usize, rows: usize, slices: usize) -> Self {
        Self { cols, rows, slices }
    }

    /// Number of voxels.
    pub const fn voxels(self) -> usize {
        self.cols * self.rows * self.slices
    }
}

/// Hash of everything that places a grid: frame of reference, shape, origin, axes, spacing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GridId([u8; 8]);

impl fmt::Debug for GridId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Display for GridId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A regular grid of voxels in patient space. Immutable; axes are orthonormal (to 1e-3 as read, exactly after).
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    frame: FrameOfReferenceUid,
    shape: Shape,
    origin: Lps,
    axes: [Vec3; 3],
    spacing: [f64; 3],
    id: GridId,
}

/// DICOM allows 65535 rows and columns; a grid above this many voxels is refused before memory is asked for.
const MAX_VOXELS: usize = 1 << 30;

impl Grid {
    /// `origin` is the centre of voxel (0, 0, 0); `axes` are the patient directions of growing i, j, k;
    /// `spacing` is the distance in mm between voxel centres along i, j, k.
    ///
    /// # Errors
    /// A degenerate shape, axes off unit length or right angles by more than 1e-3, spacing not positive and finite.
    pub fn new(
        frame: FrameOfReferenceUid,
        shape: Shape,
        origin: Lps,
        axes: [Vec3; 3],
        spacing: [f64; 3],
    ) -> Result<Self, GeometryError> {
        let voxels = shape.cols.checked_mul(shape.rows).and_then(|n| n.checked_mul(shape.slices));
        if !voxels.is_some_and(|n| n > 0 && n <= MAX_VOXELS) {
            return Err(GeometryError::Shape(shape.cols, shape.rows, shape.slices));
        }
        if !spacing.iter().all(|s| s.is_finite() && *s > 1e-4 && *s < 1e4) {
            return Err(GeometryError::Spacing(spacing));
        }
        if !origin.to_array().iter().all(|v| v.is_finite() && v.abs() < 1e6) {
            return Err(GeometryError::Origin(origin.to_array()));
        }
        for (n, a) in axes.iter().enumerate() {
            if !(0.999..1.001).contains(&a.norm()) {
                return Err(GeometryError::Axes(format!("axis {n} has length {:.6}", a.norm())));
            }
            let next = axes[(n + 1) % 3];
            if !(-1e-3..1e-3).contains(&a.dot(next)) {
                return Err(GeometryError::Axes(format!("axes {n} and {} meet at {:.6}", (n + 1) % 3, a.dot(next))));
            }
        }
        // Gram-Schmidt, so that the inverse is the transpose exactly.
        let degenerate = || GeometryError::Axes("an axis vanishes".into());
        let a = axes[0].unit().ok_or_else(degenerate)?;
        let b = (axes[1] - a * a.dot(axes[1])).unit().ok_or_else(degenerate)?;
        let c = a.cross(b);
        let c = if c.dot(axes[2]) < 0.0 { c * -1.0 } else { c };
        let axes = [a, b, c];

        let mut hash = Sha256::new();
        hash.update(frame.as_str().as_bytes());
        for n in [shape.cols, shape.rows, shape.slices] {
            hash.update((n as u64).to_le_bytes());
        }
        let placed = origin.to_array().into_iter().chain(axes.iter().flat_map(|v| v.to_array())).chain(spacing);
        for value in placed {
            hash.update((value + 0.0).to_le_bytes()); // + 0.0 makes -0 and 0 the same
        }
        let digest = hash.finalize();
        let mut id = [0u8; 8];
        id.copy_from_slice(&digest[..8]);
        Ok(Self { frame, shape, origin, axes, spacing, id: GridId(id) })
    }

    /// A grid along the patient axes: i to the left, j posterior, k superior.
    ///
    /// # Errors
    /// As [`Grid::new`].
    pub fn axis_aligned(
        frame: FrameOfReferenceUid,
        shape: Shape,
        origin: Lps,
        spacing: [f64; 3],
    ) -> Result<Self, GeometryError> {
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        Self::new(frame, shape, origin, axes, spacing)
    }

    /// Frame of reference in which the patient coordinates hold.
    pub fn frame(&self) -> &FrameOfReferenceUid {
        &self.frame
    }

    /// Columns, rows, slices.
    #[inline]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Centre of voxel (0, 0, 0).
    pub fn origin(&self) -> Lps {
        self.origin
    }

    /// Unit vectors of growing i, j, k.
    #[inline]
    pub fn axes(&self) -> [Vec3; 3] {
        self.axes
    }

    /// Millimetres between voxel centres along i, j, k.
    #[inline]
    pub fn spacing(&self) -> [f64; 3] {
        self.spacing
    }

    /// Identity: equal for equal grids only.
    pub fn id(&self) -> GridId {
        self.id
    }

    /// Volume of one voxel in cm3.
    pub fn voxel_cc(&self) -> f64 {
        self.spacing.iter().product::<f64>() / 1000.0
    }

    /// Patient point of a place in the grid.
    pub fn to_lps(&self, at: Index) -> Lps {
        self.origin
            + self.axes[0] * (at.i * self.spacing[0])
            + self.axes[1] * (at.j * self.spacing[1])
            + self.axes[2] * (at.k * self.spacing[2])
    }

    /// Place in the grid of a patient point; may lie outside.
    pub fn to_index(&self, p: Lps) -> Index {
        let d = p - self.origin;
        Index::new(
            self.axes[0].dot(d) / self.spacing[0],
            self.axes[1].dot(d) / self.spacing[1],
            self.axes[2].dot(d) / self.spacing[2],
        )
    }

    /// Patient point at the centre of voxel (i, j, k).
    pub fn centre(&self, i: usize, j: usize, k: usize) -> Lps {
        self.to_lps(Index::new(i as f64, j as f64, k as f64))
    }

    /// The eight outer corners of the grid (half a voxel beyond the outermost centres).
    pub fn corners(&self) -> [Lps; 8] {
        let edge = |bit: usize, extent: usize| if bit == 0 { -0.5 } else { extent as f64 - 0.5 };
        std::array::from_fn(|n| {
            self.to_lps(Index::new(
                edge(n & 1, self.shape.cols),
                edge(n >> 1 & 1, self.shape.rows),
                edge(n >> 2 & 1, self.shape.slices),
            ))
        })
    }

    /// The box along the patient axes that holds the whole grid: smallest and largest x, y, z in mm.
    pub fn bounds(&self) -> ([f64; 3], [f64; 3]) {
        let corners = self.corners().map(Lps::to_array);
        let pick = |a: usize, f: fn(f64, f64) -> f64, start: f64| corners.iter().map(|c| c[a]).fold(start, f);
        (
            std::array::from_fn(|a| pick(a, f64::min, f64::INFINITY)),
            std::array::from_fn(|a| pick(a, f64::max, f64::NEG_INFINITY)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u32) -> FrameOfReferenceUid {
        FrameOfReferenceUid::parse(&format!("1.2.{n}")).unwrap()
    }

    /// Oblique, anisotropic, non-cubic, off-centre.
    fn oblique() -> Grid {
        let (s, c) = 0.4f64.sin_cos();
        let axes = [Vec3::new(c, s, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-s, c, 0.0)];
        Grid::new(frame(1), Shape::new(5, 7, 3), Lps::new(-31.0, 12.5, 88.0), axes, [0.5, 0.8, 2.5]).unwrap()
    }

    #[test]
    fn index_to_patient_and_back() {
        let grid = oblique();
        let at = Index::new(1.25, 6.0, -0.75);
        let back = grid.to_index(grid.to_lps(at));
        assert!((back.i - at.i).abs() < 1e-9 && (back.j - at.j).abs() < 1e-9 && (back.k - at.k).abs() < 1e-9);
        // One column further is 0.5 mm along the first axis, one row further 0.8 mm down.
        let p = grid.centre(1, 1, 0);
        assert!((p.z - (88.0 - 0.8)).abs() < 1e-12);
        assert!((p.x - (-31.0 + 0.5 * 0.4f64.cos())).abs() < 1e-12);
    }

    #[test]
    fn the_identity_changes_with_every_field() {
        let g = oblique();
        let [a, b, c] = g.axes();
        let others = [
            Grid::new(frame(2), g.shape(), g.origin(), [a, b, c], g.spacing()),
            Grid::new(frame(1), Shape::new(7, 5, 3), g.origin(), [a, b, c], g.spacing()),
            Grid::new(frame(1), g.shape(), Lps::new(-31.0, 12.5, 88.001), [a, b, c], g.spacing()),
            Grid::new(frame(1), g.shape(), g.origin(), [a * -1.0, b, c], g.spacing()),
            Grid::new(frame(1), g.shape(), g.origin(), [a, b, c], [0.8, 0.5, 2.5]),
        ];
        for other in others {
            assert_ne!(other.unwrap().id(), g.id());
        }
        assert_eq!(oblique().id(), g.id());
    }

    #[test]
    fn the_bounds_reach_half_a_voxel_beyond_the_centres() {
        let (lo, hi) = oblique().bounds();
        // j runs down: 7 rows of 0.8 mm. i and k span a turned rectangle of 2.5 x 7.5 mm.
        assert!((hi[2] - 88.4).abs() < 1e-9 && (lo[2] - (88.4 - 5.6)).abs() < 1e-9);
        let (s, c) = 0.4f64.sin_cos();
        assert!((hi[0] - lo[0] - (2.5 * c + 7.5 * s)).abs() < 1e-9);
        assert!((hi[1] - lo[1] - (2.5 * s + 7.5 * c)).abs() < 1e-9);
        assert!((lo[1] - (12.5 - 0.25 * s - 1.25 * c)).abs() < 1e-9);
    }

    #[test]
    fn a_left_handed_grid_keeps_its_third_axis() {
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0)];
        let g = Grid::new(frame(1), Shape::new(2, 3, 4), Lps::new(0.0, 0.0, 0.0), axes, [1.0; 3]).unwrap();
        assert_eq!(g.centre(0, 0, 3), Lps::new(0.0, 0.0, -3.0));
    }

    #[test]
    fn bad_grids_are_refused() {
        let g = oblique();
        let [a, b, c] = g.axes();
        let ok = (g.shape(), g.origin(), g.spacing());
        assert!(Grid::new(frame(1), Shape::new(0, 7, 3), ok.1, [a, b, c], ok.2).is_err());
        assert!(Grid::new(frame(1), Shape::new(1 << 20, 1 << 20, 1 << 20), ok.1, [a, b, c], ok.2).is_err());
        assert!(Grid::new(frame(1), ok.0, Lps::new(f64::NAN, 0.0, 0.0), [a, b, c], ok.2).is_err());
        assert!(Grid::new(frame(1), ok.0, ok.1, [a, a, c], ok.2).is_err());
        assert!(Grid::new(frame(1), ok.0, ok.1, [a * 1.1, b, c], ok.2).is_err());
        assert!(Grid::new(frame(1), ok.0, ok.1, [a, b, c], [0.5, 0.0, 1.0]).is_err());
        assert!(Grid::new(frame(1), ok.0, ok.1, [a, b, c], [0.5, f64::NAN, 1.0]).is_err());
    }
}
