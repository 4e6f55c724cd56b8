//! Distances in the voxels in which the thesis counts, on a grid of any spacing.

use super::Voxel;
use super::config::NerveConfig;
use crate::anatomy::part::Part;
use crate::geometry::{Grid, Vec3};

/// Measures displacements between voxels of a grid along the patient axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruler {
    spacing: [f64; 3],
    per_voxel: [f64; 3],
}

impl Ruler {
    pub fn new(grid: &Grid, cfg: &NerveConfig) -> Self {
        let spacing = grid.spacing();
        Self { spacing, per_voxel: std::array::from_fn(|a| spacing[a] / cfg.voxel_mm[a]) }
    }

    /// Edges of the grid's voxels, mm.
    pub fn spacing(&self) -> [f64; 3] {
        self.spacing
    }

    /// Edges of the grid's voxels in voxels of the configuration: 1, 1, 1 on the thesis's grid.
    pub fn per_voxel(&self) -> [f64; 3] {
        self.per_voxel
    }

    /// From one voxel to another, mm.
    pub fn mm(&self, from: Voxel, to: Voxel) -> Vec3 {
        self.displacement(std::array::from_fn(|a| to[a] as i64 - from[a] as i64))
    }

    /// A displacement in mm.
    pub fn displacement(&self, by: [i64; 3]) -> Vec3 {
        let [x, y, z] = std::array::from_fn(|a| by[a] as f64 * self.spacing[a]);
        Vec3::new(x, y, z)
    }

    /// Length of a displacement, in voxels of the configuration.
    pub fn length(&self, by: [i64; 3]) -> f64 {
        self.scaled(by).norm()
    }

    /// Distance between two voxels, in voxels of the configuration.
    pub fn distance(&self, a: Voxel, b: Voxel) -> f64 {
        self.length(std::array::from_fn(|n| b[n] as i64 - a[n] as i64))
    }

    /// Distance of a voxel from the straight line between two others, in voxels of the configuration.
    pub fn line_distance(&self, v: Voxel, from: Voxel, to: Voxel) -> f64 {
        let by = |a: Voxel, b: Voxel| self.scaled(std::array::from_fn(|n| b[n] as i64 - a[n] as i64));
        let (whole, part) = (by(from, to), by(from, v));
        let share = (whole.dot(part) / whole.dot(whole).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        (part - whole * share).norm()
    }

    /// Voxels of the grid that `voxels` of the configuration reach along each axis, rounded up.
    pub fn reach(&self, voxels: f64) -> [i64; 3] {
        self.per_voxel.map(|per| (voxels / per).ceil() as i64)
    }

    /// Every displacement of at most `radius` voxels of the configuration, with its length.
    pub fn ball(&self, radius: f64) -> Vec<(f64, [i64; 3])> {
        let [x, y, z] = self.reach(radius);
        let all = (-z..=z).flat_map(|c| (-y..=y).flat_map(move |b| (-x..=x).map(move |a| [a, b, c])));
        all.map(|by| (self.length(by), by)).filter(|(length, _)| *length <= radius).collect()
    }

    fn scaled(&self, by: [i64; 3]) -> Vec3 {
        let [x, y, z] = std::array::from_fn(|a| by[a] as f64 * self.per_voxel[a]);
        Vec3::new(x, y, z)
    }
}

/// The displacements to a voxel and its 26 neighbours.
pub(super) fn neighbours() -> impl Iterator<Item = [i64; 3]> {
    (-1..=1).flat_map(|z| (-1..=1).flat_map(move |y| (-1..=1).map(move |x| [x, y, z])))
}

/// Displacements within a radius, shortest first: to look for the nearest voxel outside a structure.
pub(super) struct Border(Vec<(f64, [i64; 3])>);

impl Border {
    pub fn new(radius: f64, ruler: &Ruler) -> Self {
        let mut all = ruler.ball(radius);
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(all)
    }

    /// Distance in voxels to the nearest voxel outside a structure; `None` when none lies within `radius`.
    pub fn distance(&self, v: Voxel, structure: &Part, radius: f64) -> Option<f64> {
        let within = self.0.iter().take_while(|(d, _)| *d <= radius);
        let mut outside = within.filter(|(_, by)| !structure.contains(moved(v, *by)));
        outside.next().map(|(d, _)| *d)
    }
}

/// A voxel moved by a displacement; below 0 it wraps to a number beyond every grid.
pub(super) fn moved(v: Voxel, by: [i64; 3]) -> Voxel {
    std::array::from_fn(|a| v[a].wrapping_add_signed(by[a] as isize))
}
