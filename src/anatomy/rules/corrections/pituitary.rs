//! The pituitary down to its floor: its lowest slices are what networks miss of it.

use super::super::draft::Draft;
use super::super::report::Rule;
use super::CorrectionsConfig;
use crate::anatomy::part::Part;
use crate::geometry::{Extent, GeometryError, Volume, quantile};

/// Continues the gland downwards to the floor of the sella (dark bone), column by column, where the image shows that floor
/// within the configured length and nothing dark before it. Down is away from the chiasm, beneath which the gland hangs
/// however the head is turned; without a chiasm nothing is done.
///
/// # Errors
/// As [`Part::empty`].
pub(in super::super) fn to_floor(
    gland: &mut Draft,
    chiasm: &Part,
    image: &Volume<f32>,
    cfg: &CorrectionsConfig,
) -> Result<(), GeometryError> {
    let ends = chiasm.mask().barycentre().zip(gland.part.mask().barycentre());
    let Some((from, middle)) = ends else { return Ok(()) };
    let (Some(down), Some(held)) = ((middle - from).unit(), gland.part.extent()) else { return Ok(()) };
    let grid = image.grid();
    let (s, spacing) = (grid.shape(), grid.spacing());
    let last = [s.cols, s.rows, s.slices].map(|n| n - 1);
    let reach = spacing.map(|edge| (cfg.floor_mm / edge).ceil() as usize + 1);
    let wide = Extent {
        lo: std::array::from_fn(|a| held.lo[a].saturating_sub(reach[a])),
        hi: std::array::from_fn(|a| (held.hi[a] + reach[a]).min(last[a])),
    };
    gland.part = gland.part.on_box(grid, wide)?;
    let part = &gland.part;
    let least = cfg.floor_share as f32 * quantile(part.voxels().map(|[i, j, k]| image.at(i, j, k)), 0.5);
    let step = spacing.iter().copied().fold(f64::INFINITY, f64::min) / 2.0;
    // One voxel further, so that the floor below the last one is seen.
    let deepest = cfg.floor_mm + 2.0 * step;
    let steps = (deepest / step).floor() as usize;
    let mut whole = part.clone();
    for start in part.voxels().map(|v| part.centre(v)).filter(|p| down.dot(*p - middle) > 0.0) {
        let column = (1..=steps).map(|n| {
            let at = grid.to_index(start + down * (n as f64 * step));
            [at.i, at.j, at.k].map(|c| c.round().max(0.0) as usize)
        });
        let inside = |v: &[usize; 3]| part.contains(*v) || (part.holds(*v) && image.at(v[0], v[1], v[2]) >= least);
        let above: Vec<[usize; 3]> = column.take_while(inside).collect();
        // A column that ends within reach ends at the floor.
        if above.len() < steps {
            above.into_iter().for_each(|v| whole.insert(v));
        }
    }
    gland.replace(Rule::GlandFloor, whole);
    Ok(())
}
