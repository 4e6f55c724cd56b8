//! Flat bands and flattened cords through space: muscles of the eye, optic pathway.

use crate::geometry::Vec3;
use crate::phantom::shape::{Bounds, catmull_rom};

/// A point that a band goes through.
#[derive(Debug, Clone, Copy)]
pub struct Knot {
    /// Middle of the cross-section, mm.
    pub at: Vec3,
    /// Direction in which the band is `thick`; need not be exactly across the band nor of unit length.
    pub normal: Vec3,
    /// Half the width, mm.
    pub wide: f64,
    /// Half the thickness, mm.
    pub thick: f64,
}

impl Knot {
    /// A knot of a flat band.
    pub const fn flat(at: Vec3, normal: Vec3, wide: f64, thick: f64) -> Self {
        Self { at, normal, wide, thick }
    }

    /// A knot where the band is round.
    pub const fn round(at: Vec3, radius: f64) -> Self {
        Self { at, normal: Vec3::new(0.0, 0.0, 1.0), wide: radius, thick: radius }
    }
}

/// A smooth band of elliptic cross-section.
#[derive(Debug, Clone)]
pub struct Band {
    knots: Vec<Knot>,
    bounds: Bounds,
}

impl Band {
    /// The band through at least two knots (Catmull-Rom).
    pub fn through(control: &[Knot]) -> Self {
        const STEPS: usize = 4;
        let last = control.len().saturating_sub(1);
        let mut knots = Vec::with_capacity(last * STEPS + 1);
        for n in 0..last {
            let [a, b, c, d] = [n.saturating_sub(1), n, n + 1, (n + 2).min(last)].map(|m| control[m]);
            for step in 0..STEPS {
                let t = step as f64 / STEPS as f64;
                knots.push(between(b, c, t, catmull_rom([a, b, c, d].map(|k| k.at), t)));
            }
        }
        knots.extend(control.last());
        let bounds = Bounds::of_balls(knots.iter().map(|k| (k.at, k.wide.max(k.thick))));
        Self { knots, bounds }
    }

    /// Signed distance of first order. Further than 5 mm from the band's box a lower bound.
    #[inline]
    pub fn distance(&self, p: Vec3) -> f64 {
        let away = self.bounds.distance(p);
        if away > 5.0 {
            return away;
        }
        let (mut nearest, mut segment, mut part) = (f64::INFINITY, 0, 0.0);
        for (n, pair) in self.knots.windows(2).enumerate() {
            let (ab, ap) = (pair[1].at - pair[0].at, p - pair[0].at);
            let t = (ap.dot(ab) / ab.dot(ab).max(1e-9)).clamp(0.0, 1.0);
            let off = ap - ab * t;
            let square = off.dot(off);
            if square < nearest {
                (nearest, segment, part) = (square, n, t);
            }
        }
        let (a, b) = (self.knots[segment], self.knots[segment + 1]);
        let ab = b.at - a.at;
        let here = between(a, b, part, a.at + ab * part);
        let normal = here.normal - ab * (here.normal.dot(ab) / ab.dot(ab).max(1e-9));
        let normal = normal.unit().unwrap_or(Vec3::new(0.0, 0.0, 1.0));
        let off = p - here.at;
        let r = off.dot(normal);
        let w = (off.dot(off) - r * r).max(0.0).sqrt();
        let (u, v) = (w / here.wide, r / here.thick);
        let k0 = u.hypot(v);
        let k1 = (u / here.wide).hypot(v / here.thick);
        if k1 > 1e-9 { k0 * (k0 - 1.0) / k1 } else { -here.wide.min(here.thick) }
    }

    /// A box that holds it.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }
}

fn between(a: Knot, b: Knot, t: f64, at: Vec3) -> Knot {
    Knot {
        at,
        normal: a.normal * (1.0 - t) + b.normal * t,
        wide: a.wide + (b.wide - a.wide) * t,
        thick: a.thick + (b.thick - a.thick) * t,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_as_wide_and_thick_as_its_knots() {
        let up = Vec3::new(0.0, 0.0, 1.0);
        let knot = |x: f64| Knot::flat(Vec3::new(x, 0.0, 0.0), up, 5.0, 1.5);
        let band = Band::through(&[knot(0.0), knot(10.0), knot(20.0)]);
        for x in [3.0, 10.0, 16.0] {
            assert!(band.distance(Vec3::new(x, 5.0, 0.0)).abs() < 1e-9);
            assert!(band.distance(Vec3::new(x, 0.0, -1.5)).abs() < 1e-9);
            assert!(band.distance(Vec3::new(x, 0.0, 0.0)) < -1.4);
            assert!((band.distance(Vec3::new(x, 0.0, 2.5)) - 1.0).abs() < 0.05);
        }
        assert!(band.distance(Vec3::new(0.0, 40.0, 0.0)) > 30.0);
    }
}
