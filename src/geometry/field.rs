//! A structure as a smooth field: what outlines are drawn from, finer than its voxels.

mod rows;
mod smooth;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

pub use self::rows::OnGrid;
use self::smooth::smoothed;
use super::bits::BitRows;
use super::resample::Walk;
use super::{Extent, Grid, Index, Mask};

/// A field over the box of a structure, positive inside. Its sign at every voxel centre is the mask's, and so it is
/// everywhere in a cell (the cube between eight voxel centres) whose corners have one sign: what is drawn from it departs
/// from the mask by less than a voxel. Where corners differ the field is interpolated by cubic splines (Catmull-Rom),
/// which follow a curved surface where a linear one would cut into it: a ball of 3 mm keeps its volume.
pub struct Field {
    grid: Arc<Grid>,
    /// The voxel of the grid that is the box's first; negative beyond the grid.
    lo: [f64; 3],
    size: [usize; 3],
    /// One value a voxel of the box; only those that an interpolation can ask for are set.
    values: Vec<f32>,
    /// Cells (named by their first corner) with a corner inside, and those with all of them inside.
    some: BitRows,
    every: BitRows,
    /// The same of blocks of cells: what lies between the surfaces is passed over.
    blocks: Vec<Cells>,
}

/// For a voxel of the grid (i, j, k): how probable a structure is there and at those after it along i, in log odds.
pub type LogOdds<'a> = dyn Fn([usize; 3], &mut [f32]) + Sync + 'a;

/// The corners of a cell, or of a block of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cells {
    Outside,
    Inside,
    Mixed,
}

impl Cells {
    /// What stands for the field where there is no surface.
    const fn value(self) -> f32 {
        if matches!(self, Cells::Inside) { f32::INFINITY } else { f32::NEG_INFINITY }
    }
}

/// What an interpolation between the outermost voxels inside asks for beyond them.
const PAD: usize = 2;
/// Cells along the edge of a block.
const BLOCK: usize = 8;
/// Further from one half than this (in log odds) a probability says nothing of where the surface is.
const MOST: f32 = 4.0;
/// The least value at a voxel centre: far above rounding, far below what moves the surface.
const LEAST: f32 = 0.01;
/// About so many places are looked at to find the level that keeps a structure's volume.
const LEVEL_SAMPLES: usize = 8_000;

impl Field {
    /// The field of a structure; `None` for an empty one. Where `log_odds` agrees with the mask the surface lies where the
    /// structure is as likely as not. Elsewhere, and without it, the surface is that of the smoothed mask (binomial,
    /// standard deviation one voxel) at the level at which it encloses the mask's volume: at one half, a lens would lose
    /// a tenth of its own.
    pub fn new(mask: &Mask, log_odds: Option<&LogOdds>) -> Option<Self> {
        let extent = mask.extent()?;
        let voxels = BitRows::padded(mask, extent, PAD);
        let (some, every) = (voxels.joined(0, 1, |a, b| a | b), voxels.joined(0, 1, |a, b| a & b));
        let mixed = some.without(&every);
        let asked = mixed.joined(PAD, 1, |a, b| a | b);
        let mut field = Self {
            grid: Arc::clone(mask.grid()),
            lo: extent.lo.map(|v| v as f64 - PAD as f64),
            size: voxels.size(),
            values: vec![0.0; voxels.size().iter().product()],
            blocks: blocks(&some, &every),
            some,
            every,
        };
        let bits = [&voxels, &asked];
        if !field.settle(mask, extent, bits, None, log_odds) {
            field.values = smoothed(&voxels, &asked);
            let level = field.level(&mixed, voxels.count());
            field.settle(mask, extent, bits, Some(level), log_odds);
        }
        Some(field)
    }

    /// The level of the smoothed mask at which it encloses `voxels` voxels: that many of the cells' volumes lie inside.
    fn level(&self, mixed: &BitRows, voxels: usize) -> f32 {
        let cells = mixed.count();
        let every_nth = cells.div_ceil(LEVEL_SAMPLES);
        let each = (LEVEL_SAMPLES / cells.max(1)).clamp(1, 27);
        let chosen = mixed.voxels().step_by(every_nth.max(1)).enumerate();
        let mut samples: Vec<f32> = chosen
            .flat_map(|(n, cell)| (0..each).map(move |m| (n * each + m, cell)))
            .map(|(n, cell)| {
                // Places that fill the cells evenly (the additive recurrence of Roberts' plastic number).
                let at = [0.819_172_513, 0.671_043_607, 0.549_700_478].map(|step: f64| (n as f64 * step).fract());
                self.cubic(cell, at)
            })
            .collect();
        let share = (voxels - self.every.count()) as f64 / cells.max(1) as f64;
        let rank = ((1.0 - share).clamp(0.0, 1.0) * samples.len() as f64) as usize;
        let last = samples.len().saturating_sub(1);
        if samples.is_empty() { 0.5 } else { *samples.select_nth_unstable_by(rank.min(last), f32::total_cmp).1 }
    }

    /// Puts the values of the field in the place of the smoothed mask's, wherever an interpolation can ask for them. Without
    /// a `level`, where the mask was not smoothed, it ends with `false` at a voxel of which the log odds do not say enough.
    fn settle(
        &mut self,
        mask: &Mask,
        extent: Extent,
        [voxels, asked]: [&BitRows; 2],
        level: Option<f32>,
        log_odds: Option<&LogOdds>,
    ) -> bool {
        let [w, h, _] = self.size;
        let shape = mask.grid().shape();
        // A voxel below the grid wraps around and is beyond it, too.
        let on_grid = |at: usize, a: usize| (at + extent.lo[a]).wrapping_sub(PAD);
        let settled = self.values.par_chunks_exact_mut(w).enumerate().try_for_each_init(
            || vec![0.0f32; w],
            |odds, (row, values)| {
                let (at_j, at_k) = (row % h, row / h);
                let (j, k) = (on_grid(at_j, 1), on_grid(at_k, 2));
                let said = log_odds.filter(|_| j < shape.rows && k < shape.slices);
                for (first, last) in asked.runs(row) {
                    // Of the run, what lies on the grid.
                    let from = first.max(PAD.saturating_sub(extent.lo[0]));
                    let to = (last + 1).min(shape.cols + PAD - extent.lo[0]);
                    let told = said.filter(|_| from < to);
                    if let Some(told) = told {
                        told([on_grid(from, 0), j, k], &mut odds[from..to]);
                    }
                    for i in first..=last {
                        let inside = voxels.at([i, at_j, at_k]);
                        let odds = told.filter(|_| (from..to).contains(&i)).map(|_| odds[i]);
                        // From one end to the other the smoothed mask counts as much as probabilities do.
                        let agreed = odds.filter(|odds| (*odds > 0.0) == inside).map(|odds| odds.clamp(-MOST, MOST));
                        let value = agreed.or_else(|| Some((values[i] - level?) * 2.0 * MOST))?;
                        values[i] = if inside { value.max(LEAST) } else { value.min(-LEAST) };
                    }
                }
                Some(())
            },
        );
        settled.is_some()
    }

    /// The field as the pixels of another grid see it; `None` where it reaches none of them.
    pub fn on<'a>(&'a self, target: &Grid) -> Option<OnGrid<'a>> {
        let walk = Walk::new(&self.grid, target).counted_from(self.lo);
        let size = self.size;
        let corners: [[f64; 3]; 8] = std::array::from_fn(|n| {
            let at: [f64; 3] =
                std::array::from_fn(|a| self.lo[a] + if n >> a & 1 == 0 { 1.0 } else { size[a] as f64 - 2.0 });
            let at = target.to_index(self.grid.to_lps(Index::new(at[0], at[1], at[2])));
            [at.i, at.j, at.k]
        });
        let t = target.shape();
        let ranges = [t.cols, t.rows, t.slices].into_iter().enumerate().map(|(a, n)| {
            let low = corners.iter().map(|c| c[a]).fold(f64::INFINITY, f64::min).floor().clamp(0.0, n as f64);
            let high =
                corners.iter().map(|c| c[a]).fold(f64::NEG_INFINITY, f64::max).ceil().clamp(-1.0, n as f64 - 1.0);
            low as usize..(high + 1.0) as usize
        });
        let ranges: Vec<Range<usize>> = ranges.filter(|range| !range.is_empty()).collect();
        Some(OnGrid { field: self, walk, ranges: ranges.try_into().ok()? })
    }

    /// A cell of the box, and the place in it, of a place in voxels of the box; `None` beyond it.
    #[inline]
    fn cell(&self, [x, y, z]: [f64; 3]) -> Option<([usize; 3], [f64; 3])> {
        // The outermost cells are outside as a whole, and their corners have no neighbours to interpolate with.
        let within = |v: f64, size: usize| v >= 1.0 && v < size as f64 - 2.0;
        if within(x, self.size[0]) && within(y, self.size[1]) && within(z, self.size[2]) {
            let cell = [x as usize, y as usize, z as usize];
            return Some((cell, [x - cell[0] as f64, y - cell[1] as f64, z - cell[2] as f64]));
        }
        None
    }

    #[inline]
    fn cells(&self, cell: [usize; 3]) -> Cells {
        match (self.some.at(cell), self.every.at(cell)) {
            (false, _) => Cells::Outside,
            (true, true) => Cells::Inside,
            (true, false) => Cells::Mixed,
        }
    }

    /// The value at a place in voxels of the box; infinite where there is no surface near.
    fn value(&self, at: [f64; 3]) -> f32 {
        let Some((cell, within)) = self.cell(at) else { return Cells::Outside.value() };
        match self.cells(cell) {
            Cells::Mixed => self.cubic(cell, within),
            whole => whole.value(),
        }
    }

    /// The cubic interpolation within a cell, of the voxels around it.
    #[inline]
    fn cubic(&self, cell: [usize; 3], within: [f64; 3]) -> f32 {
        let [w, h, _] = self.size;
        let [x, y, z] = [weights(within[0] as f32), weights(within[1] as f32), weights(within[2] as f32)];
        let first = ((cell[2] - 1) * h + cell[1] - 1) * w + cell[0] - 1;
        let mut sum = 0.0;
        for (k, z) in z.into_iter().enumerate() {
            let mut lines = [0.0f32; 4];
            for (j, y) in y.into_iter().enumerate() {
                let start = first + (k * h + j) * w;
                for (line, value) in lines.iter_mut().zip(&self.values[start..start + 4]) {
                    *line += y * value;
                }
            }
            sum += z * (x[0] * lines[0] + x[1] * lines[1] + x[2] * lines[2] + x[3] * lines[3]);
        }
        sum
    }
}

/// The weights of four values in a row, for a place between the second and the third.
#[inline]
fn weights(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    [-0.5 * t * u * u, 1.0 + t * t * (1.5 * t - 2.5), 1.0 + u * u * (1.5 * u - 2.5), -0.5 * u * t * t]
}

/// What all the cells of each block have in common.
fn blocks(some: &BitRows, every: &BitRows) -> Vec<Cells> {
    let [w, h, d] = some.size();
    let [bw, bh, bd] = [w, h, d].map(|n| n.div_ceil(BLOCK));
    (0..bd * bh)
        .into_par_iter()
        .flat_map_iter(|n| {
            let (j0, k0) = (n % bh * BLOCK, n / bh * BLOCK);
            let rows = (k0..(k0 + BLOCK).min(d)).flat_map(move |k| (j0..(j0 + BLOCK).min(h)).map(move |j| k * h + j));
            (0..bw).map(move |block| {
                // A block is a byte of each row's words.
                let byte = |bits: &BitRows, row: usize| (bits.row(row)[block / 8] >> (block % 8 * 8)) as u8;
                let any = rows.clone().fold(0, |all, row| all | byte(some, row));
                let all = rows.clone().fold(u8::MAX, |all, row| all & byte(every, row));
                match (any, all) {
                    (0, _) => Cells::Outside,
                    (_, u8::MAX) => Cells::Inside,
                    _ => Cells::Mixed,
                }
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
