//! Values carried from one grid to another: linear interpolation.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Grid, Index, Volume};

/// How a target index moves through the source grid: index = start + i*di + j*dj + k*dk, in source voxels.
pub(super) struct Walk {
    start: [f64; 3],
    pub step: [[f64; 3]; 3],
}

impl Walk {
    pub fn new(from: &Grid, to: &Grid) -> Self {
        let at = |i: f64, j: f64, k: f64| {
            let p = from.to_index(to.to_lps(Index::new(i, j, k)));
            [p.i, p.j, p.k]
        };
        let start = at(0.0, 0.0, 0.0);
        let step =
            [at(1.0, 0.0, 0.0), at(0.0, 1.0, 0.0), at(0.0, 0.0, 1.0)].map(|p| std::array::from_fn(|a| p[a] - start[a]));
        Self { start, step }
    }

    /// The same with source voxels counted from another one.
    pub fn counted_from(self, first: [f64; 3]) -> Self {
        Self { start: std::array::from_fn(|a| self.start[a] - first[a]), ..self }
    }

    /// The source index of a target index.
    pub fn place(&self, [i, j, k]: [f64; 3]) -> [f64; 3] {
        let [di, dj, dk] = self.step;
        std::array::from_fn(|a| self.start[a] + di[a] * i + dj[a] * j + dk[a] * k)
    }
}

/// Trilinear sample of `source` at a place given in its voxels. Within half a voxel of the edge the outermost value
/// holds (a voxel has an extent); further out the answer is `None`.
#[inline]
fn sample(data: &[f32], extent: [usize; 3], at: [f64; 3]) -> Option<f32> {
    let mut lo = [0usize; 3];
    let mut hi = [0usize; 3];
    let mut t = [0.0f32; 3];
    for a in 0..3 {
        let last = (extent[a] - 1) as f64;
        // The small slack keeps a target voxel that lies exactly on the border from flickering with rounding.
        if !(at[a] > -0.5 - 1e-6 && at[a] < last + 0.5 + 1e-6) {
            return None;
        }
        let v = at[a].clamp(0.0, last);
        // Rounded down; a processor of any age does it for 32 bits in one step.
        lo[a] = v as u32 as usize;
        hi[a] = (lo[a] + 1).min(extent[a] - 1);
        t[a] = (v - f64::from(lo[a] as u32)) as f32;
    }
    let (row, slab) = (extent[0], extent[0] * extent[1]);
    let line = |j: usize, k: usize| {
        let base = k * slab + j * row;
        let (u, v) = (data[base + lo[0]], data[base + hi[0]]);
        u + (v - u) * t[0]
    };
    let face = |k: usize| {
        let (u, v) = (line(lo[1], k), line(hi[1], k));
        u + (v - u) * t[1]
    };
    let (u, v) = (face(lo[2]), face(hi[2]));
    Some(u + (v - u) * t[2])
}

/// Linear interpolation of `source` at the voxel centres of `target`; `outside` where the source does not reach.
/// Both grids are in patient space; they may have any orientation. Does not smooth: see [`super::downsample_filter`].
pub fn resample_linear(source: &Volume<f32>, target: &Arc<Grid>, outside: f32) -> Volume<f32> {
    let s = source.grid().shape();
    let extent = [s.cols, s.rows, s.slices];
    let walk = Walk::new(source.grid(), target);
    let t = target.shape();
    let mut out = Volume::filled(Arc::clone(target), outside);
    out.data_mut().par_chunks_exact_mut(t.cols).enumerate().for_each(|(row, values)| {
        let start = walk.place([0.0, (row % t.rows) as f64, (row / t.rows) as f64]);
        for (i, value) in values.iter_mut().enumerate() {
            let at = std::array::from_fn(|a| start[a] + walk.step[0][a] * i as f64);
            if let Some(v) = sample(source.data(), extent, at) {
                *value = v;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Lps, Shape, Vec3};
    use crate::ids::FrameOfReferenceUid;

    fn frame() -> FrameOfReferenceUid {
        FrameOfReferenceUid::parse("1.2.3").unwrap()
    }

    fn oblique() -> Arc<Grid> {
        let (s, c) = 0.35f64.sin_cos();
        let axes = [Vec3::new(c, s, 0.0), Vec3::new(-s, c, 0.0), Vec3::new(0.0, 0.0, -1.0)];
        Arc::new(
            Grid::new(frame(), Shape::new(31, 40, 22), Lps::new(-12.0, -20.0, 30.0), axes, [0.9, 1.1, 1.7]).unwrap(),
        )
    }

    fn aligned() -> Arc<Grid> {
        Arc::new(Grid::axis_aligned(frame(), Shape::new(12, 9, 10), Lps::new(-6.0, 3.0, 0.0), [0.7, 0.8, 0.9]).unwrap())
    }

    /// Linear interpolation gives back a linear function exactly, whatever the orientation.
    #[test]
    fn a_linear_function_survives() {
        let f = |p: Lps| (0.3 * p.x - 1.7 * p.y + 0.9 * p.z + 4.0) as f32;
        let grid = oblique();
        let mut source = Volume::filled(Arc::clone(&grid), 0.0f32);
        for offset in 0..source.data().len() {
            let [i, j, k] = source.voxel(offset);
            source.data_mut()[offset] = f(grid.centre(i, j, k));
        }
        let target = aligned();
        let out = resample_linear(&source, &target, f32::NAN);
        let mut checked = 0;
        for offset in 0..out.data().len() {
            let [i, j, k] = out.voxel(offset);
            let value = out.data()[offset];
            let p = source.grid().to_index(target.centre(i, j, k));
            if p.i > 0.0 && p.i < 30.0 && p.j > 0.0 && p.j < 39.0 && p.k > 0.0 && p.k < 21.0 {
                assert!((value - f(target.centre(i, j, k))).abs() < 1e-3);
                checked += 1;
            }
        }
        assert!(checked > 500, "only {checked} voxels lay inside");
    }

    #[test]
    fn outside_is_said_so() {
        let source = Volume::filled(aligned(), 5.0f32);
        let far = Grid::axis_aligned(frame(), Shape::new(2, 2, 2), Lps::new(500.0, 0.0, 0.0), [1.0; 3]).unwrap();
        assert!(resample_linear(&source, &Arc::new(far), -1.0).data().iter().all(|v| *v == -1.0));
    }
}
