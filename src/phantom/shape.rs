//! Signed distances in mm (negative inside): ellipsoids, tubes, soft unions. Approximate away from the surface.

use crate::geometry::Vec3;

/// An axis-aligned box of template space, mm.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Smallest x, y, z.
    pub lo: Vec3,
    /// Largest x, y, z.
    pub hi: Vec3,
}

impl Bounds {
    /// The box that reaches this far from a point along each axis.
    pub fn around(centre: Vec3, reach: Vec3) -> Self {
        Self { lo: centre - reach, hi: centre + reach }
    }

    /// The smallest box that holds balls (middle, radius); a point at the origin when there are none.
    pub fn of_balls(balls: impl Iterator<Item = (Vec3, f64)>) -> Self {
        let origin = Vec3::new(0.0, 0.0, 0.0);
        let boxes = balls.map(|(c, r)| Self::around(c, Vec3::new(r, r, r)));
        boxes.reduce(Self::union).unwrap_or(Self::around(origin, origin))
    }

    /// The smallest box that holds both.
    pub fn union(self, o: Self) -> Self {
        Self {
            lo: Vec3::new(self.lo.x.min(o.lo.x), self.lo.y.min(o.lo.y), self.lo.z.min(o.lo.z)),
            hi: Vec3::new(self.hi.x.max(o.hi.x), self.hi.y.max(o.hi.y), self.hi.z.max(o.hi.z)),
        }
    }

    /// The box grown by a margin on every side.
    pub fn grown(self, margin: f64) -> Self {
        let m = Vec3::new(margin, margin, margin);
        Self { lo: self.lo - m, hi: self.hi + m }
    }

    /// Distance to the box, 0 inside.
    #[inline]
    pub fn distance(&self, p: Vec3) -> f64 {
        let out = |v: f64, lo: f64, hi: f64| (lo - v).max(v - hi).max(0.0);
        Vec3::new(out(p.x, self.lo.x, self.hi.x), out(p.y, self.lo.y, self.hi.y), out(p.z, self.lo.z, self.hi.z)).norm()
    }

    /// Whether two boxes share a point.
    pub fn meets(&self, o: Self) -> bool {
        let overlap = |a: (f64, f64), b: (f64, f64)| a.0 <= b.1 && b.0 <= a.1;
        overlap((self.lo.x, self.hi.x), (o.lo.x, o.hi.x))
            && overlap((self.lo.y, self.hi.y), (o.lo.y, o.hi.y))
            && overlap((self.lo.z, self.hi.z), (o.lo.z, o.hi.z))
    }

    /// Whether the other box lies in this one.
    pub fn contains(&self, o: Self) -> bool {
        self.holds(o.lo) && self.holds(o.hi)
    }

    /// Whether a point lies in the box.
    #[inline]
    pub fn holds(&self, p: Vec3) -> bool {
        p.x >= self.lo.x
            && p.x <= self.hi.x
            && p.y >= self.lo.y
            && p.y <= self.hi.y
            && p.z >= self.lo.z
            && p.z <= self.hi.z
    }
}

/// An ellipsoid with its own axes.
#[derive(Debug, Clone, Copy)]
pub struct Ellipsoid {
    /// Centre, mm.
    pub centre: Vec3,
    /// Semi-axes, mm.
    pub radii: Vec3,
    /// One over each of them: distances are asked for by the hundred million.
    inverse: Vec3,
    axes: [Vec3; 3],
}

impl Ellipsoid {
    /// Along the axes of the template.
    pub fn new(centre: Vec3, radii: Vec3) -> Self {
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        Self::with(centre, radii, axes)
    }

    /// With its second axis along a unit direction, the first as near to x as that allows.
    pub fn along(centre: Vec3, radii: Vec3, direction: Vec3) -> Self {
        let b = direction;
        let x = Vec3::new(1.0, 0.0, 0.0);
        let a = (x - b * x.dot(b)).unit().unwrap_or(Vec3::new(0.0, 0.0, 1.0));
        Self::with(centre, radii, [a, b, a.cross(b)])
    }

    fn with(centre: Vec3, radii: Vec3, axes: [Vec3; 3]) -> Self {
        let inverse = Vec3::new(1.0 / radii.x, 1.0 / radii.y, 1.0 / radii.z);
        Self { centre, radii, inverse, axes }
    }

    /// Signed distance, first order (exact on the surface, where its gradient is 1).
    #[inline]
    pub fn distance(&self, p: Vec3) -> f64 {
        let d = p - self.centre;
        let (a, b, c) = (d.dot(self.axes[0]), d.dot(self.axes[1]), d.dot(self.axes[2]));
        let by = self.inverse;
        let (u, v, w) = (a * by.x, b * by.y, c * by.z);
        let k0 = (u * u + v * v + w * w).sqrt();
        let (u, v, w) = (u * by.x, v * by.y, w * by.z);
        let k1 = (u * u + v * v + w * w).sqrt();
        let r = self.radii;
        if k1 > 1e-9 { k0 * (k0 - 1.0) / k1 } else { -r.x.min(r.y).min(r.z) }
    }

    /// A box that holds it.
    pub fn bounds(&self) -> Bounds {
        let r = self.radii;
        let reach = |f: fn(Vec3) -> f64| {
            let [a, b, c] = self.axes.map(f);
            ((a * r.x).powi(2) + (b * r.y).powi(2) + (c * r.z).powi(2)).sqrt()
        };
        Bounds::around(self.centre, Vec3::new(reach(|v| v.x), reach(|v| v.y), reach(|v| v.z)))
    }
}

/// A tube through points, each with its radius.
#[derive(Debug, Clone)]
pub struct Tube {
    segments: Vec<Segment>,
    /// A ball around every [`Tube::STEPS`] segments: middle and radius.
    balls: Vec<(Vec3, f64)>,
    bounds: Bounds,
}

/// A straight piece of a tube.
#[derive(Debug, Clone, Copy)]
struct Segment {
    start: Vec3,
    along: Vec3,
    /// One over the squared length of `along`.
    inverse: f64,
    /// Radius at the start, and how much it grows to the end.
    radius: f64,
    widens: f64,
}

impl Tube {
    /// Segments from one control point to the next.
    const STEPS: usize = 5;

    /// A smooth tube (Catmull-Rom) through control points with radii in mm; at least two points.
    pub fn through(control: &[(Vec3, f64)]) -> Self {
        let last = control.len().saturating_sub(1);
        let mut points = Vec::with_capacity(last * Self::STEPS + 1);
        for n in 0..last {
            let around = [n.saturating_sub(1), n, n + 1, (n + 2).min(last)].map(|m| control[m]);
            for step in 0..Self::STEPS {
                let t = step as f64 / Self::STEPS as f64;
                let radius = around[1].1 + (around[2].1 - around[1].1) * t;
                points.push((catmull_rom(around.map(|c| c.0), t), radius));
            }
        }
        points.extend(control.last());
        let bounds = Bounds::of_balls(points.iter().copied());
        let segment = |pair: &[(Vec3, f64)]| {
            let along = pair[1].0 - pair[0].0;
            let inverse = 1.0 / along.dot(along).max(1e-9);
            Segment { start: pair[0].0, along, inverse, radius: pair[0].1, widens: pair[1].1 - pair[0].1 }
        };
        let ball = |from: usize| {
            let piece = &points[from..(from + Self::STEPS + 1).min(points.len())];
            let b = Bounds::of_balls(piece.iter().copied());
            let middle = (b.lo + b.hi) * 0.5;
            (middle, piece.iter().map(|(at, radius)| (*at - middle).norm() + radius).fold(0.0, f64::max))
        };
        let balls = (0..points.len().saturating_sub(1)).step_by(Self::STEPS).map(ball).collect();
        Self { segments: points.windows(2).map(segment).collect(), balls, bounds }
    }

    /// Signed distance. Further than 6 mm from the tube's box a lower bound.
    #[inline]
    pub fn distance(&self, p: Vec3) -> f64 {
        let away = self.bounds.distance(p);
        if away > 6.0 {
            return away;
        }
        let mut nearest = f64::INFINITY;
        for (segments, (middle, radius)) in self.segments.chunks(Self::STEPS).zip(&self.balls) {
            let (off, reach) = (p - *middle, nearest + radius);
            if reach <= 0.0 || off.dot(off) > reach * reach {
                continue;
            }
            for segment in segments {
                let from = p - segment.start;
                let t = (from.dot(segment.along) * segment.inverse).clamp(0.0, 1.0);
                let off = from - segment.along * t;
                let (squared, radius) = (off.dot(off), segment.radius + segment.widens * t);
                // A root is taken only where it can be the nearest.
                let reach = (nearest + radius).max(0.0);
                if squared < reach * reach {
                    nearest = squared.sqrt() - radius;
                }
            }
        }
        nearest
    }

    /// A box that holds it.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }
}

/// A point on a smooth curve through four points (Catmull-Rom): `t` of the way from the second to the third.
pub fn catmull_rom(points: [Vec3; 4], t: f64) -> Vec3 {
    let [a, b, c, d] = points;
    a * (0.5 * (-t + 2.0 * t * t - t * t * t))
        + b * (0.5 * (2.0 - 5.0 * t * t + 3.0 * t * t * t))
        + c * (0.5 * (t + 4.0 * t * t - 3.0 * t * t * t))
        + d * (0.5 * (t * t * t - t * t))
}

/// Union with a fillet about `k` mm wide (Quilez' quadratic smooth minimum): never larger than the sharp union's distance.
#[inline]
pub fn soft_union(a: f64, b: f64, k: f64) -> f64 {
    let h = (k - (a - b).abs()).max(0.0) / k;
    a.min(b) - h * h * k / 4.0
}

/// 0 below `low`, 1 above `high`, smooth in between.
#[inline]
pub fn smooth_step(low: f64, high: f64, v: f64) -> f64 {
    let t = ((v - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsoid_ends_where_its_radii_say() {
        let (s, c) = 0.5f64.sin_cos();
        let e = Ellipsoid::along(Vec3::new(3.0, -4.0, 5.0), Vec3::new(2.0, 7.0, 4.0), Vec3::new(0.0, -c, s));
        let tip = Vec3::new(3.0, -4.0 - 7.0 * c, 5.0 + 7.0 * s);
        assert!(e.distance(tip).abs() < 1e-9);
        assert!((e.distance(tip + Vec3::new(0.0, -c, s) * 0.5) - 0.5).abs() < 0.05);
        assert!(e.distance(e.centre) < -1.9);
        assert!((e.bounds().lo.y - (-4.0 - ((7.0 * c).powi(2) + (4.0 * s).powi(2)).sqrt())).abs() < 1e-9);
    }

    #[test]
    fn a_tube_follows_its_points() {
        let control =
            [(Vec3::new(0.0, 0.0, 0.0), 2.0), (Vec3::new(10.0, 3.0, 0.0), 3.0), (Vec3::new(20.0, 0.0, 5.0), 1.0)];
        let tube = Tube::through(&control);
        for (p, r) in control {
            assert!((tube.distance(p) + r).abs() < 0.3, "{}", tube.distance(p));
        }
        assert!((tube.distance(Vec3::new(0.0, 0.0, 4.0)) - 2.0).abs() < 0.2);
        assert!(tube.distance(Vec3::new(0.0, 0.0, 50.0)) > 40.0);
    }

    #[test]
    fn a_soft_union_fills_the_crease_only() {
        assert_eq!(soft_union(1.0, 9.0, 4.0), 1.0);
        assert!(soft_union(2.0, 2.0, 4.0) < 2.0);
    }
}
