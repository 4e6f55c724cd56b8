//! A head on a grid: the image with partial volume, bias and noise; the labels; the true masks.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use super::Canvas;
use super::acquisition::{Acquisition, draw_grid};
use super::artefact::{ghosts, motion, noisier, rician, softened};
use super::face::REACH;
use super::field::{Field, Waves};
use super::head::Head;
use super::population::Population;
use super::random::{Rng, normal_pair};
use super::tissue::{Signal, Tissue};
use crate::anatomy::Structure;
use crate::geometry::{Extent, GeometryError, Grid, Mask, Vec3, Volume};
use crate::ids::FrameOfReferenceUid;

/// What the scanner adds.
#[derive(Debug, Clone)]
pub struct ImageOptions {
    /// Seed of bias and noise.
    pub seed: u64,
    /// Standard deviation of the noise in each channel, relative to white matter.
    pub noise: f64,
    /// Standard deviation of the logarithm of the bias field.
    pub bias: f64,
    /// Signal of white matter in the units of the image.
    pub scale: f64,
}

impl ImageOptions {
    /// Noise, bias and scale as they vary between scanners.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "image options");
        Self { seed, noise: rng.within(0.008, 0.04), bias: rng.within(0.03, 0.16), scale: rng.within(250.0, 1400.0) }
    }
}

/// Blends layers by the part of the voxel they cover, for several scans at once.
struct Blend<'a, const N: usize> {
    signals: [&'a Signal; N],
    values: [f32; N],
    gain: f32,
    inverse_width: f64,
}

impl<const N: usize> Canvas for Blend<'_, N> {
    #[inline]
    fn layer(&mut self, tissue: Tissue, distance: f64) {
        self.wash(tissue, 0.5 - distance * self.inverse_width);
    }

    #[inline]
    fn wash(&mut self, tissue: Tissue, part: f64) {
        if part > 0.0 {
            for (value, signal) in self.values.iter_mut().zip(self.signals) {
                let target = signal.of(tissue) * self.gain;
                *value += (target - *value) * part.min(1.0) as f32;
            }
        }
    }

    #[inline]
    fn shade(&mut self, relative: f64) {
        self.gain = 1.0 + relative as f32;
    }
}

/// Voxels of a row of which the one in the middle is asked first what lies around it.
const RUN: usize = 8;
/// The same for air, which is wide.
const LONG_RUN: usize = 8 * RUN;

/// The image of a head on a grid of any orientation.
///
/// Partial volume: each surface is blended over the width of a voxel; a voxel longer than 1.3 mm is the mean of
/// samples at most 1 mm apart. Noise is Rician. The result depends on the head, the options and the grid only.
pub fn image(head: &Head, grid: &Arc<Grid>, options: &ImageOptions) -> Volume<f32> {
    let [image] = images(head, grid, options, [head.signal()]);
    image
}

/// As [`image`], for several scans of the head that differ in their signals only: bias and noise are the same.
pub fn images<const N: usize>(
    head: &Head,
    grid: &Arc<Grid>,
    options: &ImageOptions,
    signals: [&Signal; N],
) -> [Volume<f32>; N] {
    let mut rng = Rng::new(options.seed, "bias");
    let waves = Waves::new(&mut rng, 6, 180.0, 500.0);
    let bias = Field::tabulate(REACH.grown(20.0), 16.0, |p| [(options.bias * waves.at(p)).exp() as f32]);
    let spacing = grid.spacing();
    // Steps from voxel to voxel in a row, and from a voxel's centre to its samples, in the head's frame.
    let onward = head.turned(grid.axes()[0] * spacing[0]);
    let samples = spacing.map(|s| if s > 1.3 { s.ceil() as usize } else { 1 });
    let step: [Vec3; 3] = std::array::from_fn(|a| grid.axes()[a] * (spacing[a] / samples[a] as f64));
    let width: f64 = (0..3).map(|a| spacing[a] / samples[a] as f64).sum::<f64>() / 3.0;
    let offsets: Vec<Vec3> = (0..samples.iter().product())
        .map(|n: usize| {
            let at = [n % samples[0], n / samples[0] % samples[1], n / (samples[0] * samples[1])];
            head.turned((0..3).fold(Vec3::new(0.0, 0.0, 0.0), |sum, a| {
                sum + step[a] * (at[a] as f64 - (samples[a] as f64 - 1.0) / 2.0)
            }))
        })
        .collect();
    let reach = offsets.iter().map(|o| o.norm()).fold(0.0, f64::max) + width;
    let noise = (options.noise * options.scale) as f32;
    let scale = options.scale as f32 / offsets.len() as f32;
    let noise_seed = rng.bits();
    let shape = grid.shape();
    let mut out: [Volume<f32>; N] = std::array::from_fn(|_| Volume::filled(Arc::clone(grid), 0.0));
    let mut rows = out.each_mut().map(|image| image.data_mut().chunks_exact_mut(shape.cols));
    // The same row of each image.
    let rows: Vec<[&mut [f32]; N]> =
        (0..shape.rows * shape.slices).map(|_| rows.each_mut().map(|rows| rows.next().unwrap_or_default())).collect();
    rows.into_par_iter().enumerate().for_each(|(row, mut images)| {
        let air = signals.map(|signal| signal.of(Tissue::Air));
        let start = head.in_frame(grid.centre(0, row % shape.rows, row / shape.rows));
        let (mut until, mut empty, mut clear) = (0, false, 0);
        // The bias is as good as straight along a run and within a voxel.
        let (mut gain, mut gain_step) = (0.0f32, 0.0f32);
        for i in 0..shape.cols {
            let centre = start + onward * i as f64;
            if i == until {
                let is_air = |length: usize| {
                    let middle = centre + onward * ((length - 1) as f64 / 2.0);
                    head.is_air(middle, reach + spacing[0] * length as f64 / 2.0)
                };
                until = (i + RUN).min(shape.cols);
                let long = (i + LONG_RUN).min(shape.cols);
                if i % LONG_RUN == 0 && is_air(long - i) {
                    clear = long;
                }
                empty = until <= clear || is_air(until - i);
                gain = bias.at(centre)[0];
                gain_step = (bias.at(centre + onward * (until - i) as f64)[0] - gain) / (until - i) as f32;
            } else {
                gain += gain_step;
            }
            let mut sums = [0.0f32; N];
            if empty {
                sums = air.map(|value| value * gain * offsets.len() as f32);
            } else {
                for offset in &offsets {
                    let h = centre + *offset;
                    let mut blend = Blend { signals, values: air, gain: 1.0, inverse_width: 1.0 / width };
                    if REACH.holds(h) {
                        head.paint(head.in_template(h), &mut blend);
                    }
                    sums.iter_mut().zip(blend.values).for_each(|(sum, value)| *sum += value * gain);
                }
            }
            let (a, b) = normal_pair(noise_seed.wrapping_add((row * shape.cols + i) as u64));
            for (image, sum) in images.iter_mut().zip(sums) {
                image[i] = rician(sum * scale, noise * a, noise * b);
            }
        }
    });
    out
}

/// A head as a department scans it: field of view and grid are drawn from `rng`, what the scanner adds from `seed`. Training
/// scans also have less of the neck, and in one of ten less air above the head, slices of up to 5 mm, are softer and noisier,
/// and show ghosts and motion; those beyond have more of it.
///
/// # Errors
/// None that a caller can cause.
pub fn scan(head: &Head, population: Population, seed: u64, rng: &mut Rng) -> Result<Volume<f32>, GeometryError> {
    let frame = FrameOfReferenceUid::derive(&["phantom", &seed.to_string()]);
    let options = ImageOptions::draw(seed);
    if population == Population::Usual {
        let field = head.field_of_view(rng.within(95.0, 150.0));
        let grid = Arc::new(draw_grid(rng, frame, &field)?);
        return Ok(image(head, &grid, &options));
    }
    let beyond = population == Population::Beyond;
    let least = if rng.chance(0.2) { 75.0 } else { 95.0 };
    let mut field = head.field_of_view(rng.within(least, 150.0));
    if rng.chance(0.1) {
        field = field.without_top(rng.within(3.0, 25.0));
    }
    let thickest = if beyond { 6.0 } else { 5.0 };
    let thick = rng.chance(if beyond { 0.4 } else { 0.15 });
    let grid = if thick {
        let inside = rng.within(0.5, 1.0);
        Acquisition::Axial.grid(frame, &field, Some([inside, inside, rng.within(2.0, thickest)]))?
    } else {
        draw_grid(rng, frame, &field)?
    };
    let mut scan = image(head, &Arc::new(grid), &options);
    let white = options.scale;
    if rng.chance(0.15) {
        scan = motion(&scan, rng, if beyond { [2.0, 5.0] } else { [0.5, 3.0] })?;
    }
    if rng.chance(0.15) {
        scan = ghosts(&scan, rng, if beyond { [0.1, 0.2] } else { [0.02, 0.1] });
    }
    if rng.chance(0.4) {
        let width = rng.within(0.5, if beyond { 3.5 } else { 2.5 });
        scan = softened(scan, width / 2.355);
    }
    if rng.chance(0.3) {
        let noise = rng.within(0.02, if beyond { 0.12 } else { 0.08 });
        scan = noisier(scan, rng, noise * white);
    }
    Ok(scan)
}

/// Voxels of a grid that a structure can reach; `None` when it is missing or wholly outside.
fn reach(head: &Head, structure: Structure, grid: &Grid) -> Option<Extent> {
    let shape = grid.shape();
    let last = [shape.cols, shape.rows, shape.slices].map(|n| n as f64 - 1.0);
    let (mut lo, mut hi) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for corner in head.corners(structure)? {
        let at = grid.to_index(corner);
        for (a, v) in [at.i, at.j, at.k].into_iter().enumerate() {
            lo[a] = lo[a].min(v);
            hi[a] = hi[a].max(v);
        }
    }
    if (0..3).any(|a| hi[a] < 0.0 || lo[a] > last[a]) {
        return None;
    }
    Some(Extent {
        lo: std::array::from_fn(|a| lo[a].clamp(0.0, last[a]).floor() as usize),
        hi: std::array::from_fn(|a| hi[a].clamp(0.0, last[a]).ceil() as usize),
    })
}

/// Marks with `mark` every voxel of `values` whose centre lies in a structure; returns the box of what was marked.
fn stamp<T: Send>(
    head: &Head,
    structure: Structure,
    grid: &Grid,
    values: &mut [T],
    mark: impl Fn(&mut T) + Sync,
) -> Option<Extent> {
    let extent = reach(head, structure, grid)?;
    let shape = grid.shape();
    let rows = values.par_chunks_exact_mut(shape.cols).enumerate();
    rows.filter_map(|(row, line)| {
        let (j, k) = (row % shape.rows, row / shape.rows);
        if j < extent.lo[1] || j > extent.hi[1] || k < extent.lo[2] || k > extent.hi[2] {
            return None;
        }
        let mut found: Option<Extent> = None;
        let end = extent.hi[0] + 1;
        // Runs that are neither inside nor outside as a whole are halved. The first is on top.
        let mut runs: Vec<_> = (extent.lo[0]..end).step_by(RUN).map(|i| i..(i + RUN).min(end)).rev().collect();
        while let Some(run) = runs.pop() {
            let middle = run.start + run.len() / 2;
            let radius = grid.spacing()[0] * (run.len() / 2) as f64;
            match head.whole_ball(structure, grid.centre(middle, j, k), radius) {
                None if run.len() > 1 => runs.extend([middle..run.end, run.start..middle]),
                // A voxel on the very surface is outside.
                None | Some(false) => {}
                Some(true) => {
                    line[run.clone()].iter_mut().for_each(&mark);
                    let first = found.map_or(run.start, |e| e.lo[0]);
                    found = Some(Extent { lo: [first, j, k], hi: [run.end - 1, j, k] });
                }
            }
        }
        found
    })
    .reduce_with(|x, y| Extent {
        lo: std::array::from_fn(|a| x.lo[a].min(y.lo[a])),
        hi: std::array::from_fn(|a| x.hi[a].max(y.hi[a])),
    })
}

/// Class labels at voxel centres, and the box of every structure that reaches the grid.
#[derive(Debug)]
pub struct Labelled {
    /// Bit c = `Class::ALL[c]`.
    pub labels: Volume<u8>,
    /// Boxes; a missing structure has none.
    pub extents: BTreeMap<Structure, Extent>,
}

/// Class labels of a head on a grid.
pub fn class_labels(head: &Head, grid: &Arc<Grid>) -> Labelled {
    let mut labels = Volume::filled(Arc::clone(grid), 0u8);
    let mut extents = BTreeMap::new();
    for structure in Structure::ALL {
        let bit = structure.class().bit();
        if let Some(extent) = stamp(head, structure, grid, labels.data_mut(), |v| *v |= bit) {
            extents.insert(structure, extent);
        }
    }
    Labelled { labels, extents }
}

/// Image and labels of a head on one grid.
pub fn render(head: &Head, grid: &Arc<Grid>, options: &ImageOptions) -> (Volume<f32>, Volume<u8>) {
    (image(head, grid, options), class_labels(head, grid).labels)
}

/// The true mask of every structure, by the head's own sides; empty for a missing one. No rule has a part in it.
pub fn truth(head: &Head, grid: &Arc<Grid>) -> BTreeMap<Structure, Mask> {
    Structure::ALL
        .into_iter()
        .map(|structure| {
            let mut mask = Mask::empty(Arc::clone(grid));
            stamp(head, structure, grid, mask.data_mut(), |v| *v = true);
            (structure, mask)
        })
        .collect()
}
