//! Values carried from one grid to another: linear interpolation.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Extent, Grid, Index, Mask, Volume};

/// How a target index moves through the source grid: index = start + i*di + j*dj + k*dk, in source voxels.
struct Walk {
    start: [f64; 3],
    step: [[f64; 3]; 3],
}

impl Walk {
    fn new(from: &Grid, to: &Grid) -> Self {
        let at = |i: f64, j: f64, k: f64| {
            let p = from.to_index(to.to_lps(Index::new(i, j, k)));
            [p.i, p.j, p.k]
        };
        let start = at(0.0, 0.0, 0.0);
        let step =
            [at(1.0, 0.0, 0.0), at(0.0, 1.0, 0.0), at(0.0, 0.0, 1.0)].map(|p| std::array::from_fn(|a| p[a] - start[a]));
        Self { start, step }
    }

    fn row(&self, j: usize, k: usize) -> [f64; 3] {
        std::array::from_fn(|a| self.start[a] + self.step[1][a] * j as f64 + self.step[2][a] * k as f64)
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
        let floor = v.floor();
        lo[a] = floor as usize;
        hi[a] = (lo[a] + 1).min(extent[a] - 1);
        t[a] = (v - floor) as f32;
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
        let start = walk.row(row % t.rows, row / t.rows);
        for (i, value) in values.iter_mut().enumerate() {
            let at = std::array::from_fn(|a| start[a] + walk.step[0][a] * i as f64);
            if let Some(v) = sample(source.data(), extent, at) {
                *value = v;
            }
        }
    });
    out
}

/// A structure carried to another grid: inside where the linearly interpolated 0/1 mask is at least one half.
/// Only the part of the target that the structure can reach is looked at.
pub fn resample_mask(source: &Mask, target: &Arc<Grid>) -> Mask {
    let mut out = Mask::empty(Arc::clone(target));
    let Some(extent) = source.extent() else { return out };
    let Some([cols, rows, slices]) = reachable(source.grid(), extent, target) else { return out };
    let s = source.grid().shape();
    let size = [s.cols, s.rows, s.slices];
    let walk = Walk::new(source.grid(), target);
    let data = source.data();
    let t = target.shape();
    let slab = t.cols * t.rows;
    let part = &mut out.data_mut()[slices.start * slab..slices.end * slab];
    part.par_chunks_exact_mut(t.cols).enumerate().for_each(|(row, values)| {
        let (j, k) = (row % t.rows, row / t.rows + slices.start);
        if rows.contains(&j) {
            let start = walk.row(j, k);
            for i in cols.clone() {
                let at: [f64; 3] = std::array::from_fn(|a| start[a] + walk.step[0][a] * i as f64);
                values[i] = sample_mask(data, size, at) >= 0.5;
            }
        }
    });
    out
}

/// The ranges of columns, rows and slices of `target` within one source voxel of a box of `source`; `None` if it lies
/// beside the target.
fn reachable(source: &Grid, extent: Extent, target: &Grid) -> Option<[std::ops::Range<usize>; 3]> {
    let corners: [[f64; 3]; 8] = std::array::from_fn(|n| {
        let side = |a: usize| if n >> a & 1 == 0 { extent.lo[a] as f64 - 1.0 } else { extent.hi[a] as f64 + 1.0 };
        let at = target.to_index(source.to_lps(Index::new(side(0), side(1), side(2))));
        [at.i, at.j, at.k]
    });
    let t = target.shape();
    let ranges = [t.cols, t.rows, t.slices].into_iter().enumerate().map(|(a, n)| {
        let low = corners.iter().map(|c| c[a]).fold(f64::INFINITY, f64::min).floor().clamp(0.0, n as f64);
        let high = corners.iter().map(|c| c[a]).fold(f64::NEG_INFINITY, f64::max).ceil().clamp(-1.0, n as f64 - 1.0);
        low as usize..(high + 1.0) as usize
    });
    let found: Vec<std::ops::Range<usize>> = ranges.filter(|r| !r.is_empty()).collect();
    found.try_into().ok()
}

/// As [`sample`], for a mask, 0 outside.
#[inline]
fn sample_mask(data: &[bool], extent: [usize; 3], at: [f64; 3]) -> f32 {
    let (mut sum, lo) = (0.0f32, at.map(f64::floor));
    for corner in 0..8usize {
        let mut weight = 1.0f64;
        let mut offset = 0usize;
        let mut stride = 1usize;
        let mut inside = true;
        for a in 0..3 {
            let up = corner >> a & 1;
            let fraction = at[a] - lo[a];
            weight *= if up == 1 { fraction } else { 1.0 - fraction };
            let v = lo[a] + up as f64;
            inside &= v >= 0.0 && v < extent[a] as f64;
            offset += (v.max(0.0) as usize) * stride;
            stride *= extent[a];
        }
        if inside && weight > 0.0 && data[offset] {
            sum += weight as f32;
        }
    }
    sum
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

    #[test]
    fn a_mask_keeps_its_place_and_volume() {
        let grid = oblique();
        let centre = grid.centre(14, 21, 10);
        let mut mask = Mask::empty(Arc::clone(&grid));
        for offset in 0..mask.data().len() {
            let [i, j, k] = mask.voxel(offset);
            mask.data_mut()[offset] = grid.centre(i, j, k).distance(centre) < 8.0;
        }
        let fine = Arc::new(
            Grid::axis_aligned(frame(), Shape::new(60, 60, 60), centre - Vec3::new(14.0, 13.0, 15.0), [0.5; 3])
                .unwrap(),
        );
        let moved = resample_mask(&mask, &fine);
        assert!((moved.cc() / mask.cc() - 1.0).abs() < 0.02, "{} {}", moved.cc(), mask.cc());
        assert!(moved.barycentre().unwrap().distance(mask.barycentre().unwrap()) < 0.1);
        assert_eq!(resample_mask(&mask, mask.grid()).data(), mask.data());
    }
}
