//! Balls, tubes and places on masks: what damages are made of.

use contourd::geometry::{Index, Lps, Mask, Vec3, Volume};
use contourd::phantom::Rng;

/// Directions of a head: left, posterior, superior.
#[derive(Debug, Clone, Copy)]
pub struct Axes(pub [Vec3; 3]);

impl Axes {
    /// A displacement in mm to the left, posterior and superior of the head.
    pub fn by(&self, left: f64, posterior: f64, superior: f64) -> Vec3 {
        let [x, y, z] = self.0;
        x * left + y * posterior + z * superior
    }
}

/// Calls `f` with the position in storage and the place of every voxel within `reach` mm of a place.
pub fn around<T>(volume: &mut Volume<T>, at: Lps, reach: f64, mut f: impl FnMut(&mut T, Lps)) {
    let grid = std::sync::Arc::clone(volume.grid());
    let (shape, spacing) = (grid.shape(), grid.spacing());
    let Index { i, j, k } = grid.to_index(at);
    let range = |at: f64, edge: f64, count: usize| {
        let low = (at - reach / edge).ceil().max(0.0) as usize;
        let high = (at + reach / edge).floor().min(count as f64 - 1.0);
        low..if high < 0.0 { 0 } else { high as usize + 1 }
    };
    for z in range(k, spacing[2], shape.slices) {
        for y in range(j, spacing[1], shape.rows) {
            for x in range(i, spacing[0], shape.cols) {
                let place = grid.centre(x, y, z);
                if place.distance(at) <= reach {
                    let offset = volume.offset(x, y, z);
                    f(&mut volume.data_mut()[offset], place);
                }
            }
        }
    }
}

/// Sets a ball.
pub fn ball<T: Copy>(volume: &mut Volume<T>, at: Lps, radius: f64, value: T) {
    around(volume, at, radius, |v, _| *v = value);
}

/// Sets a tube with round ends.
pub fn tube(mask: &mut Mask, from: Lps, to: Lps, radius: f64) {
    let (way, middle) = (to - from, from + (to - from) * 0.5);
    let reach = way.norm() / 2.0 + radius;
    around(mask, middle, reach, |v, p| {
        let share = ((p - from).dot(way) / way.dot(way).max(1e-9)).clamp(0.0, 1.0);
        *v |= p.distance(from + way * share) <= radius;
    });
}

/// Clears what `gone` says of a place.
pub fn clear(mask: &mut Mask, gone: impl Fn(Lps) -> bool) {
    for offset in 0..mask.data().len() {
        if mask.data()[offset] {
            let [i, j, k] = mask.voxel(offset);
            if gone(mask.grid().centre(i, j, k)) {
                mask.data_mut()[offset] = false;
            }
        }
    }
}

/// The centres of a mask's voxels.
pub fn points(mask: &Mask) -> impl Iterator<Item = Lps> + '_ {
    let inside = (0..mask.data().len()).filter(|n| mask.data()[*n]);
    inside.map(|offset| {
        let [i, j, k] = mask.voxel(offset);
        mask.grid().centre(i, j, k)
    })
}

/// A voxel of a mask drawn at random.
pub fn some(mask: &Mask, rng: &mut Rng) -> Option<Lps> {
    let nth = rng.within(0.0, mask.count() as f64) as usize;
    points(mask).nth(nth)
}

/// The voxel furthest in a direction, of those that `of` admits.
pub fn furthest(mask: &Mask, along: Vec3, of: impl Fn(Lps) -> bool) -> Option<Lps> {
    let reach = |p: &Lps| along.dot(*p - Lps::new(0.0, 0.0, 0.0));
    points(mask).filter(|p| of(*p)).max_by(|a, b| reach(a).total_cmp(&reach(b)))
}

/// A direction drawn at random.
pub fn direction(rng: &mut Rng) -> Vec3 {
    let z = rng.within(-1.0, 1.0);
    let (s, c) = rng.within(0.0, std::f64::consts::TAU).sin_cos();
    let r = (1.0 - z * z).sqrt();
    Vec3::new(r * c, r * s, z)
}
