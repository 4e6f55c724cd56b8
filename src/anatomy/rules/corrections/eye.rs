//! Eyes are balls: what is missing of one is seen, and what stands out of it; and two eyes have two lenses.

use super::super::draft::Draft;
use super::super::report::{Flag, Rule};
use super::super::sides::Pair;
use super::CorrectionsConfig;
use super::ball::Ball;
use crate::anatomy::Side;
use crate::anatomy::morphology::border;
use crate::geometry::{Extent, GeometryError, Grid, Lps};

/// Completes an eye to the ball that most of its surface lies on, and removes what stands out of it. An eye that is no
/// ball, or of no eye's size, is left as it is.
///
/// # Errors
/// As [`crate::anatomy::part::Part::empty`].
pub(in super::super) fn correct(eye: &mut Draft, grid: &Grid, cfg: &CorrectionsConfig) -> Result<(), GeometryError> {
    let Some(ball) = ball_of(eye, cfg) else { return Ok(()) };
    let wide = around(ball, eye, grid);
    eye.part = eye.part.on_box(grid, wide)?;
    let before = eye.part.mask().count();
    let mut whole = eye.part.cleared();
    let [lo, hi] = [wide.lo, wide.hi];
    for k in lo[2]..=hi[2] {
        for j in lo[1]..=hi[1] {
            for i in lo[0]..=hi[0] {
                let (v, marked) = ([i, j, k], eye.part.contains([i, j, k]));
                let height = ball.height(eye.part.centre(v));
                let kept = marked && !(cfg.eye_trim && height > cfg.eye_trim_mm);
                if kept || (cfg.eye_complete && height <= -cfg.eye_margin_mm) {
                    whole.insert(v);
                }
            }
        }
    }
    let (added, removed) = eye.replace(Rule::EyeBall, whole);
    let [added, removed] = [added, removed].map(|voxels| voxels as f64 / before.max(1) as f64);
    if added.max(removed) >= cfg.eye_flag_share {
        eye.flag(Flag::EyeReshaped { added, removed });
    }
    Ok(())
}

/// The ball of an eye that is nearly one.
fn ball_of(eye: &Draft, cfg: &CorrectionsConfig) -> Option<Ball> {
    let surface: Vec<Lps> = border(&eye.part).into_iter().map(|v| eye.part.centre(v)).collect();
    let ball = Ball::through_most(&surface)?;
    let near = surface.iter().filter(|p| ball.height(**p).abs() <= cfg.eye_fit_mm).count();
    let [least, most] = cfg.eye_radius_mm;
    let fits = near as f64 >= cfg.eye_fit_share * surface.len() as f64 && (least..=most).contains(&ball.radius);
    fits.then_some(ball)
}

/// A box that holds an eye and its ball, within the grid.
fn around(ball: Ball, eye: &Draft, grid: &Grid) -> Extent {
    let (s, spacing) = (grid.shape(), grid.spacing());
    let last = [s.cols, s.rows, s.slices].map(|n| n - 1);
    let at = grid.to_index(ball.centre);
    let at = [at.i, at.j, at.k];
    let reach = |a: usize| ball.radius / spacing[a];
    let held = eye.part.extent();
    let inside = |v: f64, a: usize| v.clamp(0.0, last[a] as f64) as usize;
    Extent {
        lo: std::array::from_fn(|a| inside((at[a] - reach(a)).floor(), a).min(held.map_or(last[a], |e| e.lo[a]))),
        hi: std::array::from_fn(|a| inside((at[a] + reach(a)).ceil(), a).max(held.map_or(0, |e| e.hi[a]))),
    }
}

/// Flags the lens that is missing in an eye, or much smaller than the other.
pub(in super::super) fn flag_lenses(lenses: &mut Pair, eyes: &Pair, cfg: &CorrectionsConfig) {
    let [left, right] = [Side::Left, Side::Right].map(|side| lenses.of(side).part.mask().cc());
    for (side, lens) in lenses.each() {
        let (own, other) = if side == Side::Left { (left, right) } else { (right, left) };
        if own == 0.0 && !eyes.of(side).part.mask().is_empty() {
            lens.flag(Flag::LensMissed);
        } else if own < cfg.lens_flag_share * other {
            lens.flag(Flag::LensSmall { share: own / other });
        }
    }
}
