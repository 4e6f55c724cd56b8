//! Smooth random functions, tabulated on coarse nodes and read by linear interpolation.

use rayon::prelude::*;

use super::random::Rng;
use super::shape::Bounds;
use crate::geometry::Vec3;

/// N values per node of a regular lattice over a box; beyond the box the border value holds.
#[derive(Debug, Clone)]
pub struct Field<const N: usize> {
    lo: Vec3,
    inverse_step: f64,
    nodes: [usize; 3],
    /// The last place along each axis, in steps, that still has a node beyond it.
    last: [f64; 3],
    data: Vec<[f32; N]>,
}

impl<const N: usize> Field<N> {
    /// Tabulates a function over a box with nodes `step` mm apart.
    pub fn tabulate(bounds: Bounds, step: f64, f: impl Fn(Vec3) -> [f32; N] + Sync) -> Self {
        let size = bounds.hi - bounds.lo;
        let nodes = size.to_array().map(|v| (v / step).ceil() as usize + 1);
        let [nx, ny, nz] = nodes;
        let mut data = vec![[0.0f32; N]; nx * ny * nz];
        data.par_chunks_exact_mut(nx).enumerate().for_each(|(row, values)| {
            let (y, z) = (row % ny, row / ny);
            for (x, value) in values.iter_mut().enumerate() {
                *value = f(bounds.lo + Vec3::new(x as f64, y as f64, z as f64) * step);
            }
        });
        Self { lo: bounds.lo, inverse_step: 1.0 / step, nodes, last: last(nodes), data }
    }

    /// Values at nodes `step` mm apart from `lo`, x fastest. `None` when they are not one for each node.
    pub fn of(lo: Vec3, step: f64, nodes: [usize; 3], data: Vec<[f32; N]>) -> Option<Self> {
        let count = nodes.iter().product::<usize>();
        let sane = step > 0.0 && nodes.iter().all(|n| *n > 1) && data.len() == count;
        sane.then_some(Self { lo, inverse_step: 1.0 / step, nodes, last: last(nodes), data })
    }

    /// The box of its nodes.
    pub fn bounds(&self) -> Bounds {
        let [x, y, z] = self.nodes.map(|n| (n - 1) as f64 / self.inverse_step);
        Bounds { lo: self.lo, hi: self.lo + Vec3::new(x, y, z) }
    }

    /// The interpolated values at a point.
    #[inline]
    pub fn at(&self, p: Vec3) -> [f32; N] {
        let d = (p - self.lo) * self.inverse_step;
        let mut lo = [0usize; 3];
        let mut t = [0.0f32; 3];
        for (a, v) in d.to_array().into_iter().enumerate() {
            let v = v.clamp(0.0, self.last[a]);
            // Through 32 bits: a processor of any age does that in one step.
            let node = v as u32;
            lo[a] = node as usize;
            t[a] = (v - f64::from(node)) as f32;
        }
        let (row, slab) = (self.nodes[0], self.nodes[0] * self.nodes[1]);
        let base = lo[2] * slab + lo[1] * row + lo[0];
        let mut out = [0.0f32; N];
        let (u, v, w) = (1.0 - t[0], 1.0 - t[1], 1.0 - t[2]);
        let weight = [
            u * v * w,
            t[0] * v * w,
            u * t[1] * w,
            t[0] * t[1] * w,
            u * v * t[2],
            t[0] * v * t[2],
            u * t[1] * t[2],
            t[0] * t[1] * t[2],
        ];
        for (offset, weight) in [0, row, slab, slab + row].into_iter().zip(weight.chunks_exact(2)) {
            for (node, weight) in self.data[base + offset..base + offset + 2].iter().zip(weight) {
                for (sum, value) in out.iter_mut().zip(node) {
                    *sum += weight * value;
                }
            }
        }
        out
    }
}

fn last(nodes: [usize; 3]) -> [f64; 3] {
    nodes.map(|n| (n - 1) as f64 - 1e-6)
}

/// Cosine to within 1e-9 for angles below 1e6: making a head asks for a hundred million, and the library's takes most of
/// that time.
#[inline]
fn cosine(angle: f64) -> f64 {
    /// Adding it rounds to a whole number.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let turns = angle * std::f64::consts::FRAC_1_PI * 0.5;
    let part = (turns - ((turns + ROUND) - ROUND)) * std::f64::consts::TAU;
    // Taylor's series as far as the last digit asked for, at half a turn.
    const TERMS: [f64; 12] = {
        let mut terms = [1.0; 12];
        let mut n = 1;
        while n < 12 {
            terms[n] = -terms[n - 1] / ((2 * n - 1) * (2 * n)) as f64;
            n += 1;
        }
        terms
    };
    let square = part * part;
    TERMS.iter().rev().fold(0.0, |sum, term| sum * square + term)
}

/// A sum of plane waves with random directions and phases: smooth, unit variance, wavelengths in a stated band.
#[derive(Debug, Clone)]
pub struct Waves(Vec<(Vec3, f64)>);

impl Waves {
    /// `count` waves with wavelengths between `short` and `long` mm.
    pub fn new(rng: &mut Rng, count: usize, short: f64, long: f64) -> Self {
        let wave = |_| {
            let z = rng.within(-1.0, 1.0);
            let (s, c) = rng.within(0.0, std::f64::consts::TAU).sin_cos();
            let r = (1.0 - z * z).sqrt();
            let number = std::f64::consts::TAU / rng.within(short, long);
            (Vec3::new(r * c, r * s, z) * number, rng.within(0.0, std::f64::consts::TAU))
        };
        Self((0..count).map(wave).collect())
    }

    fn amplitude(&self) -> f64 {
        (2.0 / self.0.len().max(1) as f64).sqrt()
    }

    /// Value at a point.
    pub fn at(&self, p: Vec3) -> f64 {
        self.amplitude() * self.0.iter().map(|(k, phase)| cosine(k.dot(p) + phase)).sum::<f64>()
    }

    /// First-order distance in mm to the nearest place where the value is zero, with the value's sign.
    pub fn distance_to_zero(&self, p: Vec3) -> f64 {
        let (mut value, mut slope) = (0.0, Vec3::new(0.0, 0.0, 0.0));
        let (mut typical, n) = (0.0, self.0.len().max(1) as f64);
        for (k, phase) in &self.0 {
            let angle = k.dot(p) + phase;
            let (s, c) = (cosine(angle - std::f64::consts::FRAC_PI_2), cosine(angle));
            value += c;
            slope = slope - *k * s;
            typical += k.dot(*k) / 2.0;
        }
        // Near a saddle the slope vanishes; the typical slope bounds the distance there.
        value / (slope.dot(slope) + 0.15 * typical.max(1e-12 * n)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_gives_linear_functions_back() {
        let bounds = Bounds { lo: Vec3::new(-5.0, 2.0, 0.0), hi: Vec3::new(14.0, 9.0, 31.0) };
        let f = Field::tabulate(bounds, 3.0, |p| [(p.x + 2.0 * p.y) as f32, (3.0 * p.z) as f32]);
        let [a, b] = f.at(Vec3::new(1.3, 4.4, 17.7));
        assert!((a - 10.1).abs() < 1e-4 && (b - 53.1).abs() < 1e-4);
        assert!((f.at(Vec3::new(-99.0, 2.0, 0.0))[0] + 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_quick_cosine_is_one() {
        for n in 0..20_000 {
            let angle = (f64::from(n) - 10_000.0) * 0.737;
            assert!((cosine(angle) - angle.cos()).abs() < 1e-9, "{angle}: {}", cosine(angle) - angle.cos());
        }
    }

    #[test]
    fn waves_have_unit_variance_and_know_their_zeros() {
        let waves = Waves::new(&mut Rng::new(3, "waves"), 24, 20.0, 30.0);
        let (mut sum, mut n, mut crossed) = (0.0, 0, 0);
        for i in 0..4000 {
            let p = Vec3::new(f64::from(i % 20) * 7.0, f64::from(i / 20 % 20) * 7.3, f64::from(i / 400) * 11.0);
            sum += waves.at(p).powi(2);
            n += 1;
            let d = waves.distance_to_zero(p);
            assert_eq!(d > 0.0, waves.at(p) > 0.0);
            crossed += usize::from(d.abs() < 2.0);
        }
        assert!((sum / f64::from(n) - 1.0).abs() < 0.25, "{}", sum / f64::from(n));
        assert!(crossed > 400 && crossed < 3000, "{crossed}");
    }
}
