//! What spoils the networks' answer beyond what a hard image does: a part not seen, something else seen, a whole organ
//! missed by one network.

use std::collections::BTreeSet;

use contourd::anatomy::{Class, Structure};
use contourd::geometry::{Grid, Lps, Mask};
use contourd::phantom::Rng;

use crate::votes::{Mark, Marks, log_odds};

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Damage {
    /// In a ball of the organ one or two networks saw less, or nothing.
    Less,
    /// In a ball at its border one or two networks saw more.
    More,
    /// One or two networks missed all of it.
    Missed,
}

/// Damages the marks of a structure that is there; says how.
pub fn damage(marks: &mut Marks, grid: &Grid, structure: Structure, truth: &Mask, rng: &mut Rng) -> Option<Damage> {
    let inside: Vec<[usize; 3]> = truth.inside().collect();
    let pick = |rng: &mut Rng| inside.get((rng.unit() * inside.len() as f64) as usize).copied();
    let [i, j, k] = pick(rng)?;
    let place = grid.centre(i, j, k);
    // The radius of the ball of its volume; of a brain, what a large lesion has.
    let size = (truth.cc() * 1000.0 * 0.75 / std::f64::consts::PI).cbrt().min(25.0);
    let first = (rng.unit() * 3.0) as usize;
    // One changes the answer little, two decide it. What all three say alike cannot be told from what is there.
    let many = if rng.chance(0.3) { 1 } else { 2 };
    let of = &mut marks.0[Class::ALL.iter().position(|c| *c == structure.class())?];
    // Without a brain no side is certain, and everything is red: that needs no calibration.
    let kinds = if structure == Structure::Brain { 2.0 } else { 3.0 };
    let kind = [Damage::Less, Damage::More, Damage::Missed][(rng.unit() * kinds) as usize];
    match kind {
        Damage::Less => {
            let (radius, by) = (size * rng.within(0.5, 1.4), rng.within(2.0, 9.0) as f32);
            for mark in of.iter_mut().filter(|m| at(grid, m.offset).distance(place) <= radius) {
                (0..many).for_each(|n| shift(&mut mark.steps[(first + n) % 3], -by));
            }
        }
        Damage::More => {
            let (radius, by) = (size * rng.within(0.4, 1.1), rng.within(3.0, 8.0) as f32);
            let known: BTreeSet<u32> = of.iter().map(|m| m.offset).collect();
            let ball = ball(grid, [i, j, k], radius).filter(|n| !known.contains(n));
            of.extend(ball.map(|offset| Mark { offset, steps: [0; 3] }));
            for mark in of.iter_mut().filter(|m| at(grid, m.offset).distance(place) <= radius) {
                (0..many).for_each(|n| shift(&mut mark.steps[(first + n) % 3], by));
            }
        }
        Damage::Missed => {
            let extent = truth.extent()?;
            let corner = |v: [usize; 3]| grid.centre(v[0], v[1], v[2]).to_array();
            let (low, high) = (corner(extent.lo), corner(extent.hi));
            let near = |p: [f64; 3]| (0..3).all(|a| p[a] >= low[a] - 8.0 && p[a] <= high[a] + 8.0);
            for mark in of.iter_mut().filter(|m| near(at(grid, m.offset).to_array())) {
                (0..many).for_each(|n| mark.steps[(first + n) % 3] = 0);
            }
        }
    }
    Some(kind)
}

/// The voxels of a ball, as far as it lies in the grid.
fn ball(grid: &Grid, middle: [usize; 3], radius: f64) -> impl Iterator<Item = u32> + '_ {
    let s = grid.shape();
    let size = [s.cols, s.rows, s.slices];
    let span = move |a: usize| {
        let reach = (radius / grid.spacing()[a]).ceil() as usize;
        middle[a].saturating_sub(reach)..=(middle[a] + reach).min(size[a] - 1)
    };
    let [i, j, k] = middle;
    let place = grid.centre(i, j, k);
    let rows = span(2).flat_map(move |k| span(1).map(move |j| (j, k)));
    let voxels = rows.flat_map(move |(j, k)| span(0).map(move |i| [i, j, k]));
    let inside = voxels.filter(move |[i, j, k]| grid.centre(*i, *j, *k).distance(place) <= radius);
    inside.map(move |[i, j, k]| ((k * s.rows + j) * s.cols + i) as u32)
}

fn at(grid: &Grid, offset: u32) -> Lps {
    let (s, n) = (grid.shape(), offset as usize);
    grid.centre(n % s.cols, n / s.cols % s.rows, n / (s.cols * s.rows))
}

/// Moves the log odds of a step.
fn shift(step: &mut u8, by: f32) {
    let odds = log_odds(*step) + by;
    *step = (256.0 / (1.0 + (-odds).exp())) as u8;
}
