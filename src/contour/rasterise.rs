//! Polygons to pixels: a pixel is inside when its centre is.

use std::sync::Arc;

use super::PlaneContour;
use crate::geometry::{Grid, Mask};

/// Fills polygons at pixel centres by the even-odd rule over all polygons of a plane together. A centre exactly on an
/// edge belongs to the side of growing i, and of growing j (half-open, so that polygons that share an edge share no
/// pixel). Parts outside the grid, planes it does not have and polygons with a coordinate that is not finite are left out.
pub fn rasterise(contours: &[PlaneContour], grid: &Arc<Grid>) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    let shape = grid.shape();
    let plane = shape.cols * shape.rows;
    let mut by_slice: Vec<Vec<&[[f64; 2]]>> = vec![Vec::new(); shape.slices];
    for contour in contours {
        if let Some(rings) = by_slice.get_mut(contour.slice) {
            rings.push(&contour.points);
        }
    }
    for (pixels, rings) in mask.data_mut().chunks_exact_mut(plane).zip(&by_slice) {
        fill(rings, pixels, shape.cols);
    }
    mask
}

/// [`rasterise`] for one plane: `pixels` (background) is row after row of `cols` pixels.
pub fn fill(rings: &[&[[f64; 2]]], pixels: &mut [bool], cols: usize) {
    let rows = pixels.len() / cols;
    let mut crossings: Vec<(usize, f64)> = Vec::new();
    for ring in rings.iter().filter(|r| r.iter().flatten().all(|v| v.is_finite())) {
        for at in 0..ring.len() {
            let (a, b) = (ring[at], ring[(at + 1) % ring.len()]);
            // From low to high whichever way the edge runs: the two sides of a keyhole cancel to the last bit.
            let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            // Float to integer casts saturate, so that huge coordinates only reach the grid's own border.
            let (first, end) = (low[1].ceil().max(0.0) as usize, (high[1].ceil().max(0.0) as usize).min(rows));
            let slope = (high[0] - low[0]) / (high[1] - low[1]);
            crossings.extend((first..end).map(|j| (j, low[0] + (j as f64 - low[1]) * slope)));
        }
    }
    crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // Closed rings cross a row an even number of times, so that pairs stay in their rows.
    for pair in crossings.chunks_exact(2) {
        let ((j, from), (_, to)) = (pair[0], pair[1]);
        let (first, end) = (from.ceil().max(0.0) as usize, (to.ceil().max(0.0) as usize).min(cols));
        if first < end {
            pixels[j * cols + first..j * cols + end].fill(true);
        }
    }
}
