//! The ball that most of a surface lies on.

use crate::geometry::{Lps, Vec3};

/// A ball in patient space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ball {
    pub centre: Lps,
    pub radius: f64,
}

/// Rounds of the fit, and the share of the points that each believes: least trimmed squares by concentration (Rousseeuw
/// and Van Driessen, Computing LTS regression for large data sets, 2006).
const ROUNDS: usize = 12;
const BELIEVED: f64 = 0.7;

impl Ball {
    /// The ball on which most of some points lie; a third of them may lie elsewhere. `None` for points in a plane.
    pub fn through_most(points: &[Lps]) -> Option<Self> {
        let mut ball = Self::through(points)?;
        let believed = (points.len() as f64 * BELIEVED).ceil() as usize;
        for _ in 0..ROUNDS {
            let mut sorted = points.to_vec();
            sorted.sort_by(|a, b| ball.height(*a).abs().total_cmp(&ball.height(*b).abs()));
            ball = Self::through(&sorted[..believed])?;
        }
        Some(ball)
    }

    /// The ball of least squares: |p|^2 = 2 c p + k is linear in its centre c and k.
    fn through(points: &[Lps]) -> Option<Self> {
        let origin = *points.first()?;
        let mut sums = [[0.0f64; 5]; 4];
        for p in points {
            let d = *p - origin;
            let row = [2.0 * d.x, 2.0 * d.y, 2.0 * d.z, 1.0, d.dot(d)];
            for (sum, factor) in sums.iter_mut().zip(row) {
                sum.iter_mut().zip(row).for_each(|(s, v)| *s += factor * v);
            }
        }
        let [x, y, z, k] = solved(sums)?;
        let centre = Vec3::new(x, y, z);
        let squared = k + centre.dot(centre);
        (squared > 0.0).then(|| Self { centre: origin + centre, radius: squared.sqrt() })
    }

    /// Height of a point above the surface, mm; negative inside.
    pub fn height(&self, p: Lps) -> f64 {
        p.distance(self.centre) - self.radius
    }
}

/// The solution of four equations, right sides last, by elimination; `None` when they do not determine it.
fn solved(mut rows: [[f64; 5]; 4]) -> Option<[f64; 4]> {
    for n in 0..4 {
        let best = (n..4).max_by(|a, b| rows[*a][n].abs().total_cmp(&rows[*b][n].abs()))?;
        rows.swap(n, best);
        let pivot = rows[n];
        if pivot[n].abs() < 1e-9 {
            return None;
        }
        for (_, row) in rows.iter_mut().enumerate().filter(|(m, _)| *m != n) {
            let factor = row[n] / pivot[n];
            row.iter_mut().zip(pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    Some(std::array::from_fn(|n| rows[n][4] / rows[n][n]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitten_ball_with_a_bump_is_found() {
        let (centre, radius) = (Lps::new(-31.0, -78.5, 12.25), 12.1);
        let bite = centre + Vec3::new(9.0, 5.0, -4.0);
        let mut points = Vec::new();
        for n in 0..900 {
            let (z, turn) = (f64::from(n) / 450.0 - 0.999, f64::from(n) * 2.399_963);
            let r = (1.0 - z * z).sqrt();
            let out = Vec3::new(r * turn.cos(), r * turn.sin(), z);
            let at = centre + out * radius;
            // A bite of 6 mm, and a bump of 3 mm in front.
            let bump = if out.y < -0.9 { 3.0 } else { 0.0 };
            let d = at.distance(bite);
            points.push(if d < 6.0 { centre + out * (radius - (6.0 - d)) } else { centre + out * (radius + bump) });
        }
        let ball = Ball::through_most(&points).unwrap();
        assert!(ball.centre.distance(centre) < 0.05 && (ball.radius - radius).abs() < 0.05, "{ball:?}");
        let flat: Vec<Lps> = points.iter().map(|p| Lps::new(p.x, p.y, 3.0)).collect();
        assert!(Ball::through_most(&flat).is_none() && Ball::through_most(&[]).is_none());
    }
}
