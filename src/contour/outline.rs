//! From a mask or a field to its outlines: islands, holes, rings, simplification, and the proof that nothing changed.

use std::sync::Arc;

use rayon::prelude::*;

use super::contact::{Contact, find_contact};
use super::isoline::Isoline;
use super::keyhole::join;
use super::rasterise::fill;
use super::simplify::simplify;
use super::trace::{HalfRing, trace};
use super::{ContourConfig, ContourError, Holes, MAX_TOLERANCE, PlaneContour, Point, enclosed};
use crate::geometry::{Connectivity, Extent, Field, Grid, Mask, Shape, components};

/// The outlines of a structure and what was done to it on the way.
#[derive(Debug, Clone, Default)]
pub struct Outlines {
    /// Plane after plane.
    pub contours: Vec<PlaneContour>,
    /// Pixels whose centres lie within: the structure on these planes. Its volume is theirs.
    pub pixels: usize,
    /// Pixels of islands (within a plane) that were too small and are not among the contours.
    pub voxels_dropped: usize,
    /// Pixels of holes that were filled.
    pub voxels_filled: usize,
}

/// The outlines of a mask on every plane of its grid, see [`outline`].
///
/// # Errors
/// As [`outline`].
pub fn contours_of(mask: &Mask, cfg: &ContourConfig) -> Result<Vec<PlaneContour>, ContourError> {
    Ok(outline(mask, cfg)?.contours)
}

/// Traces a mask plane by plane, half-way between pixels. Filled at pixel centres ([`super::rasterise()`]) the polygons
/// give the mask back exactly, but for the islands dropped and the holes filled that are counted in the answer. Every
/// corner of the isoline lies within `cfg.tolerance_pixels` of the polygon; on a plane where a polygon would have more
/// than `cfg.max_points` points, within [`MAX_TOLERANCE`].
///
/// # Errors
/// [`ContourError`]: settings out of range, an outline that cannot be written within the allowed number of points.
pub fn outline(mask: &Mask, cfg: &ContourConfig) -> Result<Outlines, ContourError> {
    cfg.validate()?;
    let Some(extent) = mask.extent() else { return Ok(Outlines::default()) };
    let planes = (extent.lo[2]..=extent.hi[2]).into_par_iter().map(|k| {
        let mut pixels = Vec::with_capacity(extent.size()[0] * extent.size()[1]);
        for j in extent.lo[1]..=extent.hi[1] {
            let start = mask.offset(extent.lo[0], j, k);
            pixels.extend_from_slice(&mask.data()[start..start + extent.size()[0]]);
        }
        let lo = [extent.lo[0], extent.lo[1], k];
        let plane = Mask::new(plane_grid(mask.grid(), lo, extent.size())?, pixels)?;
        outline_plane(plane, lo, &Isoline::Halves, cfg)
    });
    Ok(collected(planes.collect::<Result<_, _>>()?))
}

/// Traces the zero of a field on every plane of a grid, finer than pixels and voxels. The structure on a plane is, by
/// definition, the pixels whose centres lie within the polygons: those where the field is positive, but for islands
/// dropped and holes filled. Bounds are those of [`outline`].
///
/// # Errors
/// As [`outline`].
pub fn outline_on(field: &Field, grid: &Grid, cfg: &ContourConfig) -> Result<Outlines, ContourError> {
    cfg.validate()?;
    let Some(seen) = field.on(grid) else { return Ok(Outlines::default()) };
    let Extent { lo, hi } = seen.extent();
    let (cols, rows) = (hi[0] - lo[0] + 1, hi[1] - lo[1] + 1);
    let planes = (lo[2]..=hi[2]).into_par_iter().map_init(
        || vec![0.0f32; cols * rows],
        |values, k| {
            let inside = |(j, values)| seen.row(lo[1] + j, k, values).map(|(first, last)| (j, first, last));
            let found: Vec<_> = values.chunks_exact_mut(cols).enumerate().filter_map(inside).collect();
            let (Some(top), Some(bottom)) = (found.first(), found.last()) else { return Ok(Plane::default()) };
            // One pixel beyond those inside, where there is one.
            let first = found.iter().map(|(_, first, _)| *first).min().unwrap_or(0).saturating_sub(1);
            let last = found.iter().map(|(_, _, last)| *last).max().map_or(0, |last| (last + 1).min(cols - 1));
            let (above, below) = (top.0.saturating_sub(1), (bottom.0 + 1).min(rows - 1));
            let rows = values.chunks_exact(cols).take(below + 1).skip(above).map(|row| &row[first..=last]);
            let rows: Vec<&[f32]> = rows.collect();
            let lo = [lo[0] + first, lo[1] + above, k];
            let grid = plane_grid(grid, lo, [last - first + 1, below - above + 1, 1])?;
            let mut pixels = Mask::empty(grid);
            for (pixels, values) in pixels.data_mut().chunks_exact_mut(last - first + 1).zip(&rows) {
                pixels.iter_mut().zip(*values).for_each(|(pixel, value)| *pixel = *value > 0.0);
            }
            outline_plane(pixels, lo, &Isoline::Field { field: &seen, lo, cols: last - first + 1, rows }, cfg)
        },
    );
    Ok(collected(planes.collect::<Result<_, _>>()?))
}

/// Everything on some planes.
fn collected(planes: Vec<Plane>) -> Outlines {
    let mut out = Outlines::default();
    for plane in planes {
        out.pixels += plane.pixels;
        out.voxels_dropped += plane.voxels_dropped;
        out.voxels_filled += plane.voxels_filled;
        out.contours.extend(plane.polygons);
    }
    out
}

/// What is drawn on one plane.
#[derive(Default)]
struct Plane {
    pixels: usize,
    polygons: Vec<PlaneContour>,
    voxels_dropped: usize,
    voxels_filled: usize,
}

/// A part of a plane as a grid of its own, from voxel `lo` on, so that components within it are components of a mask.
fn plane_grid(grid: &Grid, lo: [usize; 3], [cols, rows, _]: [usize; 3]) -> Result<Arc<Grid>, ContourError> {
    let corner = grid.centre(lo[0], lo[1], lo[2]);
    Ok(Arc::new(Grid::new(grid.frame().clone(), Shape::new(cols, rows, 1), corner, grid.axes(), grid.spacing())?))
}

/// The polygons around the pixels of a part of a plane that begins at voxel `lo`.
fn outline_plane(
    mut plane: Mask,
    lo: [usize; 3],
    isoline: &Isoline,
    cfg: &ContourConfig,
) -> Result<Plane, ContourError> {
    let shape = plane.grid().shape();
    let mut rings = trace(plane.data(), shape.cols, shape.rows);
    let (pixels, mut voxels_filled, mut voxels_dropped) = (plane.count(), 0, 0);
    // One ring is one island without holes.
    if rings.len() != 1 || pixels < cfg.min_island_voxels {
        voxels_filled = if cfg.holes == Holes::Fill { fill_holes(&mut plane) } else { 0 };
        let islands = components(&plane, Connectivity::Corners);
        voxels_dropped = islands.retain(&mut plane, |c| c.voxels >= cfg.min_island_voxels);
        if voxels_filled + voxels_dropped > 0 {
            rings = trace(plane.data(), shape.cols, shape.rows);
        }
    }
    let placed = |polygon: Vec<Point>| {
        let points = polygon.into_iter().map(|[i, j]| [i + lo[0] as f64, j + lo[1] as f64]).collect();
        PlaneContour { slice: lo[2], points }
    };
    let polygons = polygons(&plane, rings, lo[2], isoline, cfg)?.into_iter().map(placed).collect();
    Ok(Plane { pixels: pixels + voxels_filled - voxels_dropped, polygons, voxels_dropped, voxels_filled })
}

/// Fills what no way through background, corners included, joins to the border of the plane; returns the voxels.
fn fill_holes(plane: &mut Mask) -> usize {
    let shape = plane.grid().shape();
    let (right, top) = (shape.cols - 1, shape.rows - 1);
    let mut holes = plane.map(|inside| !inside);
    let background = components(&holes, Connectivity::Corners);
    background.retain(&mut holes, |c| {
        let Extent { lo, hi } = c.extent;
        lo[0] > 0 && lo[1] > 0 && hi[0] < right && hi[1] < top
    });
    for (inside, hole) in plane.data_mut().iter_mut().zip(holes.data()) {
        *inside |= *hole;
    }
    holes.count()
}

/// An island's ring with the holes directly in it.
type Region<R> = (R, Vec<R>);

/// The polygons of one plane, simplified as far as allowed and proved against its pixels.
fn polygons(
    plane: &Mask,
    rings: Vec<HalfRing>,
    k: usize,
    isoline: &Isoline,
    cfg: &ContourConfig,
) -> Result<Vec<Vec<Point>>, ContourError> {
    let (islands, holes): (Vec<_>, Vec<_>) = rings.into_iter().partition(|ring| ring.doubled_area() > 0);
    let drawn = |ring: HalfRing| isoline.outline(&ring, plane.data());
    let regions: Vec<Region<Vec<Point>>> = regions(islands, holes)
        .into_iter()
        .map(|(ring, holes)| (drawn(ring), holes.into_iter().map(drawn).collect()))
        .collect();
    let tolerance = cfg.tolerance_pixels;
    let first = attempt(&regions, plane, k, Bound { pixels: tolerance, ..Bound::USUAL }, cfg.max_points);
    let others = match &first {
        Err(ContourError::TooManyPoints { .. }) => [tolerance, (tolerance + MAX_TOLERANCE) / 2.0, MAX_TOLERANCE]
            .map(|pixels| Bound { pixels, radii: 1.0 })
            .into(),
        Err(_) => [2.0, 4.0, f64::INFINITY].map(|n| Bound { pixels: tolerance / n, ..Bound::USUAL }).into(),
        Ok(_) => Vec::new(),
    };
    others.into_iter().find_map(|bound| attempt(&regions, plane, k, bound, cfg.max_points).ok()).map_or(first, Ok)
}

/// How far simplification may move an outline: the smaller of two.
#[derive(Clone, Copy)]
struct Bound {
    /// Part of the smaller pixel spacing.
    pixels: f64,
    /// Part of the radius of the disc that the ring would be. The corners of a convex outline lie on it and the edges
    /// within: a bound of 0.1 pixels alone would take 4 % off a disc of six pixels.
    radii: f64,
}

impl Bound {
    const USUAL: Self = Self { pixels: 0.0, radii: 0.003 };

    fn mm(self, ring: &[Point], spacing: [f64; 2]) -> f64 {
        let radius = (enclosed(ring).abs() * spacing[0] * spacing[1] / std::f64::consts::PI).sqrt();
        (self.pixels * spacing[0].min(spacing[1])).min(self.radii * radius)
    }
}

/// Each island's ring with the holes directly in it.
fn regions(islands: Vec<HalfRing>, holes: Vec<HalfRing>) -> Vec<Region<HalfRing>> {
    let mut regions: Vec<Region<HalfRing>> = islands.into_iter().map(|ring| (ring, Vec::new())).collect();
    regions.sort_by_key(|(ring, _)| ring.doubled_area());
    for hole in holes {
        // The smallest island around it: an island may itself lie in the hole of a larger one.
        if let Some(start) = hole.0.first().copied()
            && let Some((_, own)) = regions.iter_mut().find(|(ring, _)| ring.contains(start))
        {
            own.push(hole);
        }
    }
    regions
}

fn attempt(
    regions: &[Region<Vec<Point>>],
    plane: &Mask,
    k: usize,
    bound: Bound,
    max_points: usize,
) -> Result<Vec<Vec<Point>>, ContourError> {
    let [si, sj, _] = plane.grid().spacing();
    let spacing = [si, sj];
    let simple = |ring: &Vec<Point>| simplify(ring.clone(), spacing, bound.mm(ring, spacing));
    let mut rings: Vec<Vec<Point>> = Vec::new();
    let mut polygons = Vec::with_capacity(regions.len());
    for (ring, holes) in regions {
        let ring = simple(ring);
        let holes: Vec<Vec<Point>> = holes.iter().map(simple).collect();
        rings.push(ring.clone());
        rings.extend(holes.iter().cloned());
        let polygon = join(ring, holes, spacing).ok_or(ContourError::Changed { slice: k, changed: 0 })?;
        if polygon.len() > max_points {
            return Err(ContourError::TooManyPoints { slice: k, points: polygon.len(), limit: max_points });
        }
        polygons.push(polygon);
    }
    let mut pixels = vec![false; plane.data().len()];
    fill(&views(&polygons), &mut pixels, plane.grid().shape().cols);
    let changed = pixels.iter().zip(plane.data()).filter(|(a, b)| a != b).count();
    let sound = changed == 0
        && find_contact(&views(&rings), Contact::Touch).is_none()
        && find_contact(&views(&polygons), Contact::Cross).is_none();
    if sound { Ok(polygons) } else { Err(ContourError::Changed { slice: k, changed }) }
}

fn views(rings: &[Vec<Point>]) -> Vec<&[Point]> {
    rings.iter().map(Vec::as_slice).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "field_tests.rs"]
mod field_tests;
