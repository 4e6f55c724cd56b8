//! A field as the rows of pixels of another grid see it.

use std::ops::Range;

use super::{BLOCK, Cells, Field, weights};
use crate::geometry::Extent;
use crate::geometry::resample::Walk;

/// A field as the pixels of a grid see it.
pub struct OnGrid<'a> {
    pub(super) field: &'a Field,
    pub(super) walk: Walk,
    pub(super) ranges: [Range<usize>; 3],
}

impl OnGrid<'_> {
    /// Columns, rows and slices of the grid that the structure can reach.
    pub fn extent(&self) -> Extent {
        Extent { lo: self.ranges.clone().map(|r| r.start), hi: self.ranges.clone().map(|r| r.end - 1) }
    }

    /// The value at a place of the grid; infinite where no surface is near.
    pub fn at(&self, place: [f64; 3]) -> f32 {
        self.field.value(self.walk.place(place))
    }

    /// The values at the pixels of one row, from the first column of the extent on. Says which of them are inside: from
    /// the first to the last.
    pub fn row(&self, j: usize, k: usize, values: &mut [f32]) -> Option<(usize, usize)> {
        values.fill(Cells::Outside.value());
        let field = self.field;
        let ray = Ray {
            start: self.walk.place([self.ranges[0].start as f64, j as f64, k as f64]),
            step: self.walk.step[0],
            pace: self.walk.step[0].map(|step| 1.0 / step.abs()),
            steps: values.len(),
        };
        let mut found: Option<(usize, usize)> = None;
        let mut n = ray.enters(field)?;
        // How the row runs is asked where it first meets a surface.
        let mut along: Option<Option<Along>> = None;
        while n < values.len() {
            let at = ray.at(n);
            let Some((cell, within)) = field.cell(at) else { break };
            let cells = field.cells(cell);
            let (value, end) = match cells {
                Cells::Mixed => {
                    let along = along.get_or_insert_with(|| Along::new(field, ray.step, values.len(), cell, within));
                    let value = match along {
                        Some(along) => along.value(cell[0], within[0]),
                        None => field.cubic(cell, within),
                    };
                    (value, n + 1)
                }
                whole => (whole.value(), n + ray.leaves_whole(field, at, cell, whole)),
            };
            let end = end.min(values.len());
            if value > 0.0 {
                found = Some((found.map_or(n, |(first, _)| first), end - 1));
            }
            if cells != Cells::Outside {
                values[n..end].fill(value);
            }
            n = end;
        }
        found
    }
}

/// A row of pixels that runs along the field's own rows: what 16 lines of voxels give is the same for every pixel between
/// the same voxels, and is summed for several columns at once.
struct Along<'a> {
    field: &'a Field,
    /// Weights of the lines, and where in storage each begins.
    lines: [(f32, usize); 16],
    first: usize,
    sums: [f32; 8],
    back: bool,
}

impl<'a> Along<'a> {
    /// For a row with this step from pixel to pixel, of which a pixel lies within a cell; `None` where it runs otherwise.
    fn new(field: &'a Field, step: [f64; 3], steps: usize, cell: [usize; 3], within: [f64; 3]) -> Option<Self> {
        let [w, h, _] = field.size;
        let aside = step[1].abs().max(step[2].abs()) * steps as f64;
        let (y, z) = (weights(within[1] as f32), weights(within[2] as f32));
        let line = |n: usize| {
            let (j, k) = (cell[1] - 1 + n % 4, cell[2] - 1 + n / 4);
            (y[n % 4] * z[n / 4], (k * h + j) * w)
        };
        let sums = [0.0; 8];
        let lines = std::array::from_fn(line);
        (aside < 1e-6 && w >= sums.len()).then(|| Self { field, lines, first: usize::MAX, sums, back: step[0] < 0.0 })
    }

    #[inline]
    fn value(&mut self, column: usize, within: f64) -> f32 {
        let before = column - 1;
        if self.first > before || before + 4 > self.first + self.sums.len() {
            let room = self.sums.len();
            let first = if self.back { (before + 4).saturating_sub(room) } else { before };
            self.first = first.min(self.field.size[0] - room);
            self.sums = [0.0; 8];
            for (weight, start) in self.lines {
                let from = start + self.first;
                let voxels = &self.field.values[from..from + room];
                self.sums.iter_mut().zip(voxels).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        let at = before - self.first;
        weights(within as f32).iter().zip(&self.sums[at..at + 4]).map(|(weight, sum)| weight * sum).sum()
    }
}

/// A row of pixels through the box of a field.
struct Ray {
    start: [f64; 3],
    /// From pixel to pixel, and its inverse without sign.
    step: [f64; 3],
    pace: [f64; 3],
    steps: usize,
}

impl Ray {
    #[inline]
    fn at(&self, n: usize) -> [f64; 3] {
        let ([x, y, z], [dx, dy, dz], n) = (self.start, self.step, n as f64);
        [x + dx * n, y + dy * n, z + dz * n]
    }

    /// The first pixel in the box.
    fn enters(&self, field: &Field) -> Option<usize> {
        let ways = (0..3).map(|a| {
            let (at, lo, hi) = (self.start[a], 1.0, field.size[a] as f64 - 2.0);
            match self.step[a] {
                _ if (lo..hi).contains(&at) => 0.0,
                step if step > 0.0 && at < lo => (lo - at) / step,
                step if step < 0.0 && at >= hi => (hi - at) / step,
                _ => f64::INFINITY,
            }
        });
        let first = ways.fold(0.0, f64::max);
        if first > self.steps as f64 {
            return None;
        }
        // Rounding may see the border a pixel too early or too late: begin where the box says so itself.
        let near = first as usize;
        (near.saturating_sub(1)..near + 3).find(|n| field.cell(self.at(*n)).is_some())
    }

    /// Pixels until the row leaves what is as whole as a cell: the run of cells along i, or their block if all of it is.
    fn leaves_whole(&self, field: &Field, at: [f64; 3], cell: [usize; 3], whole: Cells) -> usize {
        let bits = if whole == Cells::Inside { &field.every } else { &field.some };
        let (first, last) = bits.run_around(cell);
        let run = self.leaves(at, [first, cell[1], cell[2]], [last + 1, cell[1] + 1, cell[2] + 1]);
        let [bi, bj, bk] = [cell[0] / BLOCK, cell[1] / BLOCK, cell[2] / BLOCK];
        let [across, down] = [field.size[0].div_ceil(BLOCK), field.size[1].div_ceil(BLOCK)];
        if field.blocks[(bk * down + bj) * across + bi] == Cells::Mixed {
            return run;
        }
        let lo = [bi * BLOCK, bj * BLOCK, bk * BLOCK];
        run.max(self.leaves(at, lo, [lo[0] + BLOCK, lo[1] + BLOCK, lo[2] + BLOCK]))
    }

    /// Pixels until the row leaves a box of cells that it is in; at least one, where rounding sees it at the border.
    #[inline]
    fn leaves(&self, at: [f64; 3], lo: [usize; 3], hi: [usize; 3]) -> usize {
        let mut way = self.steps as f64;
        for a in 0..3 {
            let left = if self.step[a] >= 0.0 { hi[a] as f64 - at[a] } else { at[a] - lo[a] as f64 };
            way = way.min(left * self.pace[a]);
        }
        let whole = way as usize;
        (whole + usize::from((whole as f64) < way)).max(1)
    }
}
