//! A coarse look at a working image: the body, how deep in it each voxel lies, and where it begins at the top.

use std::sync::Arc;

use crate::geometry::{
    Connectivity, GeometryError, Grid, Lps, Mask, Shape, Volume, components, downsample_filter, quantile,
    resample_linear, squared_distances,
};

/// Spacing of the look, mm: fine enough for the skull, coarse enough for noise to even out.
pub(super) const SPACING: f64 = 2.0;
/// Gaps of the body's outline up to twice this wide, mm, are closed: nostrils, ears, a scalp cut by the field of view.
const CLOSE: f64 = 5.0;
/// Tissue is brighter than this share of the bright end (98 % quantile of what is not zero).
const TISSUE: f32 = 0.15;

/// The image on a coarse grid, with the body in it.
pub(super) struct Look {
    /// Values; i to the left, j to the back, k upwards.
    pub image: Volume<f32>,
    /// The body with everything in it: what air outside cannot reach within an axial plane.
    pub body: Mask,
    /// Distance in mm to what is not body; 0 outside. In storage order.
    pub depth: Vec<f32>,
    /// Area of the body in each axial plane, mm2.
    pub area: Vec<f64>,
    /// Tissue that is not connected to the body, as a share of the body.
    pub beside: f64,
    /// The lowest and the highest plane with at least [`LEAST_AREA`] of body.
    pub span: Option<(usize, usize)>,
}

/// Body of less than this in a plane, mm2, does not count.
const LEAST_AREA: f64 = 400.0;

impl Look {
    /// Looks at an image on the working grid.
    pub fn new(working: &Volume<f32>) -> Result<Self, GeometryError> {
        let (lo, hi) = working.grid().bounds();
        let [cols, rows, slices] = std::array::from_fn(|a| (((hi[a] - lo[a]) / SPACING).floor() as usize).max(1));
        let origin = Lps::new(lo[0] + SPACING / 2.0, lo[1] + SPACING / 2.0, lo[2] + SPACING / 2.0);
        let frame = working.grid().frame().clone();
        let grid = Arc::new(Grid::axis_aligned(frame, Shape::new(cols, rows, slices), origin, [SPACING; 3])?);
        let image = resample_linear(&downsample_filter(working, &grid)?, &grid, 0.0);
        let (body, beside) = body_of(&image);
        let outside: Vec<bool> = body.data().iter().map(|inside| !inside).collect();
        let depth = squared_distances(&outside, [cols, rows, slices], [SPACING; 3]);
        let depth = depth.into_iter().map(|d| d.sqrt().min(1e3) as f32).collect();
        let plane = |k: usize| body.slice(k).iter().filter(|inside| **inside).count() as f64 * SPACING * SPACING;
        let area: Vec<f64> = (0..slices).map(plane).collect();
        let enough = |a: &f64| *a >= LEAST_AREA;
        let span = area.iter().position(enough).zip(area.iter().rposition(enough));
        Ok(Self { image, body, depth, area, beside, span })
    }

    /// Voxels of the body between two distances below its top, mm: offset, and distance below the top.
    pub fn below_top(&self, from: f64, to: f64) -> impl Iterator<Item = usize> {
        let top = self.span.map_or(0, |(_, top)| top) as f64;
        let shape = self.image.grid().shape();
        let plane = shape.cols * shape.rows;
        let first = (top - to / SPACING).ceil().max(0.0) as usize;
        let last = (top - from / SPACING).floor().max(-1.0) as i64;
        let last = (last + 1).max(first as i64) as usize;
        (first * plane..last.min(shape.slices) * plane).filter(|n| self.body.data()[*n])
    }
}

/// The largest bright body, filled plane by plane, and how much tissue lies beside it, as a share of it.
fn body_of(image: &Volume<f32>) -> (Mask, f64) {
    let bright = quantile(image.data().iter().copied().filter(|v| *v > 0.0), 0.98);
    let mut tissue = image.map(|v| *v > TISSUE * bright);
    let found = components(&tissue, Connectivity::Faces);
    let bright_enough = tissue.clone();
    if let Some(label) = found.list.first().map(|largest| largest.label) {
        found.retain(&mut tissue, |c| c.label == label);
    }
    let shape = image.grid().shape();
    let (size, plane) = ([shape.cols, shape.rows, 1], shape.cols * shape.rows);
    for k in 0..shape.slices {
        let slice = &mut tissue.data_mut()[k * plane..(k + 1) * plane];
        let near = squared_distances(slice, size, [SPACING; 3]);
        let closed: Vec<bool> = near.iter().map(|d| *d <= CLOSE * CLOSE).collect();
        let outside = from_the_border(&closed, shape.cols, shape.rows);
        let far = squared_distances(&outside, size, [SPACING; 3]);
        slice.iter_mut().zip(far).for_each(|(inside, d)| *inside = d > CLOSE * CLOSE);
    }
    let beside =
        bright_enough.data().iter().zip(tissue.data()).filter(|(bright, inside)| **bright && !**inside).count();
    let beside = beside as f64 / tissue.count().max(1) as f64;
    (tissue, beside)
}

/// What can be reached from the border of a plane without touching `wall`.
fn from_the_border(wall: &[bool], cols: usize, rows: usize) -> Vec<bool> {
    let mut reached = vec![false; wall.len()];
    let mut open: Vec<usize> = (0..wall.len())
        .filter(|n| n % cols == 0 || n % cols == cols - 1 || n / cols == 0 || n / cols == rows - 1)
        .collect();
    while let Some(n) = open.pop() {
        if wall[n] || reached[n] {
            continue;
        }
        reached[n] = true;
        let (i, j) = (n % cols, n / cols);
        open.extend((i > 0).then(|| n - 1));
        open.extend((i + 1 < cols).then_some(n + 1));
        open.extend((j > 0).then(|| n - cols));
        open.extend((j + 1 < rows).then_some(n + cols));
    }
    reached
}
