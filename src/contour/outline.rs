//! From a mask to its outlines: islands, holes, rings, simplification, and the proof that nothing changed.

use std::sync::Arc;

use rayon::prelude::*;

use super::contact::{Contact, find_contact};
use super::keyhole::join;
use super::rasterise::fill;
use super::simplify::simplify;
use super::trace::{HalfRing, trace};
use super::{ContourConfig, ContourError, Holes, MAX_TOLERANCE, PlaneContour, Point};
use crate::geometry::{Connectivity, Extent, Grid, Index, Mask, Shape, components};

/// The outlines of a mask and what was done to it on the way.
#[derive(Debug, Clone)]
pub struct Outlines {
    /// Plane after plane.
    pub contours: Vec<PlaneContour>,
    /// What the contours enclose, pixel for pixel: the mask less the islands dropped, its holes filled. Volumes that are
    /// reported beside the contours are volumes of this.
    pub mask: Mask,
    /// Voxels of islands (within a plane) that were too small and are not among the contours.
    pub voxels_dropped: usize,
    /// Voxels of holes that were filled.
    pub voxels_filled: usize,
}

/// The outlines of a mask on every plane of its grid, see [`outline`].
///
/// # Errors
/// As [`outline`].
pub fn contours_of(mask: &Mask, cfg: &ContourConfig) -> Result<Vec<PlaneContour>, ContourError> {
    Ok(outline(mask, cfg)?.contours)
}

/// Traces a mask plane by plane. Filled at pixel centres ([`super::rasterise()`]) the polygons give the mask back exactly,
/// but for the islands dropped and the holes filled that are counted in the answer. Every corner of the 0.5 isoline
/// lies within `cfg.tolerance_pixels` of the polygon; on a plane where a polygon would have more than
/// `cfg.max_points` points, within [`MAX_TOLERANCE`].
///
/// # Errors
/// [`ContourError`]: settings out of range, an outline that cannot be written within the allowed number of points.
pub fn outline(mask: &Mask, cfg: &ContourConfig) -> Result<Outlines, ContourError> {
    cfg.validate()?;
    let mut out = Outlines { contours: Vec::new(), mask: mask.clone(), voxels_dropped: 0, voxels_filled: 0 };
    let Some(extent) = mask.extent() else { return Ok(out) };
    let plane_grid = plane_grid(mask.grid(), extent)?;
    let planes: Vec<Plane> = (extent.lo[2]..=extent.hi[2])
        .into_par_iter()
        .map(|k| outline_plane(mask, extent, k, &plane_grid, cfg))
        .collect::<Result<_, _>>()?;
    for plane in planes {
        out.voxels_dropped += plane.voxels_dropped;
        out.voxels_filled += plane.voxels_filled;
        for polygon in plane.polygons {
            let moved = polygon.into_iter().map(|p| [p[0] + extent.lo[0] as f64, p[1] + extent.lo[1] as f64]);
            out.contours.push(PlaneContour { slice: plane.k, points: moved.collect() });
        }
        for (j, row) in plane.mask.data().chunks_exact(extent.size()[0]).enumerate() {
            let start = mask.offset(extent.lo[0], extent.lo[1] + j, plane.k);
            out.mask.data_mut()[start..start + row.len()].copy_from_slice(row);
        }
    }
    Ok(out)
}

/// One plane of the structure's box: its mask as contoured, and the polygons, in indices of the box.
struct Plane {
    k: usize,
    mask: Mask,
    polygons: Vec<Vec<Point>>,
    voxels_dropped: usize,
    voxels_filled: usize,
}

/// One plane of the structure's box as a grid of its own, so that components within a plane are components of a mask.
fn plane_grid(grid: &Grid, extent: Extent) -> Result<Arc<Grid>, ContourError> {
    let [cols, rows, _] = extent.size();
    let corner = grid.to_lps(Index::new(extent.lo[0] as f64, extent.lo[1] as f64, extent.lo[2] as f64));
    let shape = Shape::new(cols, rows, 1);
    Ok(Arc::new(Grid::new(grid.frame().clone(), shape, corner, grid.axes(), grid.spacing())?))
}

fn outline_plane(
    mask: &Mask,
    extent: Extent,
    k: usize,
    grid: &Arc<Grid>,
    cfg: &ContourConfig,
) -> Result<Plane, ContourError> {
    let shape = grid.shape();
    let mut data = Vec::with_capacity(shape.voxels());
    for j in 0..shape.rows {
        let start = mask.offset(extent.lo[0], extent.lo[1] + j, k);
        data.extend_from_slice(&mask.data()[start..start + shape.cols]);
    }
    let mut plane = Mask::new(Arc::clone(grid), data)?;
    let voxels_filled = if cfg.holes == Holes::Fill { fill_holes(&mut plane) } else { 0 };
    let islands = components(&plane, Connectivity::Corners);
    let voxels_dropped = islands.retain(&mut plane, |c| c.voxels >= cfg.min_island_voxels);
    let polygons = polygons(&plane, k, cfg)?;
    Ok(Plane { k, mask: plane, polygons, voxels_dropped, voxels_filled })
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

/// The polygons of one plane, simplified as far as allowed and proved against its pixels.
fn polygons(plane: &Mask, k: usize, cfg: &ContourConfig) -> Result<Vec<Vec<Point>>, ContourError> {
    let shape = plane.grid().shape();
    let (islands, holes): (Vec<_>, Vec<_>) =
        trace(plane.data(), shape.cols, shape.rows).into_iter().partition(|ring| ring.doubled_area() > 0);
    let regions = regions(islands, holes);
    let first = attempt(&regions, plane, k, cfg.tolerance_pixels, cfg.max_points);
    let others = match &first {
        Err(ContourError::TooManyPoints { .. }) => vec![(cfg.tolerance_pixels + MAX_TOLERANCE) / 2.0, MAX_TOLERANCE],
        Err(_) => vec![cfg.tolerance_pixels / 2.0, cfg.tolerance_pixels / 4.0, 0.0],
        Ok(_) => Vec::new(),
    };
    others.into_iter().find_map(|t| attempt(&regions, plane, k, t, cfg.max_points).ok()).map_or(first, Ok)
}

/// Each island's ring with the holes directly in it.
fn regions(islands: Vec<HalfRing>, holes: Vec<HalfRing>) -> Vec<(HalfRing, Vec<HalfRing>)> {
    let mut regions: Vec<(HalfRing, Vec<HalfRing>)> = islands.into_iter().map(|ring| (ring, Vec::new())).collect();
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
    regions: &[(HalfRing, Vec<HalfRing>)],
    plane: &Mask,
    k: usize,
    tolerance_pixels: f64,
    max_points: usize,
) -> Result<Vec<Vec<Point>>, ContourError> {
    let [si, sj, _] = plane.grid().spacing();
    let spacing = [si, sj];
    let bound_mm = tolerance_pixels * si.min(sj);
    let mut rings: Vec<Vec<Point>> = Vec::new();
    let mut polygons = Vec::with_capacity(regions.len());
    for (ring, holes) in regions {
        let ring = simplify(ring.to_points(), spacing, bound_mm);
        let holes: Vec<Vec<Point>> = holes.iter().map(|h| simplify(h.to_points(), spacing, bound_mm)).collect();
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
