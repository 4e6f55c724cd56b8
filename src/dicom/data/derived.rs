//! An axial series from an acquisition in other planes: planning systems contour axial slices only.

use std::sync::Arc;

use time::PrimitiveDateTime;

use super::header::{MANUFACTURER, MODEL_NAME};
use super::instance::MAX_VOXELS;
use super::mr::{MrSeriesAttributes, write_mr_series};
use super::{DataError, EncodedInstance, RESEARCH_MARK, Series, assemble, derived_series_number, parse_instances};
use crate::geometry::{GeometryError, Grid, Lps, Shape, downsample_filter, resample_linear};
use crate::ids::SeriesUid;

/// What a derived series needs besides its source.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedSeriesMeta {
    /// Made for a research model: the series says so.
    pub research: bool,
    /// Digest of that model: several models side by side make a series each, so that none waits for another's.
    pub model_digest: String,
    /// Digest of everything in the configuration that changes the result.
    pub config_digest: String,
    /// Counts how often a result was made for this source series, from 1.
    pub revision: u32,
    /// Pixels are no smaller than this, mm.
    pub finest_pixel: f64,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// Resamples a series to axial slices (patient axes, i to the left, j posterior, k superior) in the same frame of
/// reference: linear, pixels as fine as the source's finest spacing (or `finest_pixel`, if coarser), slices 1 mm apart (or that spacing, if coarser),
/// the whole field of view. Returns the series exactly as a receiver will read it, and its objects.
///
/// # Errors
/// A grid too large to hold, or values that cannot be encoded.
pub fn derived_axial_series(
    source: &Series,
    meta: &DerivedSeriesMeta,
) -> Result<(Series, Vec<EncodedInstance>), DataError> {
    let grid = axial_grid(source.volume.grid(), meta.finest_pixel)?;
    let volume = resample_linear(&downsample_filter(&source.volume, &grid)?, &grid, 0.0);
    let attrs = attributes(source, meta, &grid);
    let objects = write_mr_series(&volume, &attrs)?;
    let bytes: Vec<&[u8]> = objects.iter().map(|o| o.bytes.as_slice()).collect();
    let series = parse_instances(&bytes).and_then(assemble).map_err(DataError::ReadBack)?;
    Ok((series, objects))
}

fn attributes(source: &Series, meta: &DerivedSeriesMeta, grid: &Grid) -> MrSeriesAttributes {
    let a = &source.attributes;
    let mut parts = vec![a.series.to_string()];
    let mut instances: Vec<String> = source.slices.iter().map(|s| s.instance.to_string()).collect();
    instances.sort();
    parts.extend(instances);
    parts.extend([
        "axial".to_owned(),
        meta.model_digest.clone(),
        meta.config_digest.clone(),
        meta.revision.to_string(),
        meta.created.to_string(),
        env!("CARGO_PKG_VERSION").to_owned(),
    ]);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mark = if meta.research { format!("{RESEARCH_MARK}: axial reformat") } else { "Axial reformat".to_owned() };
    let [dx, _, dz] = grid.spacing();
    MrSeriesAttributes {
        patient: a.patient.clone(),
        series: SeriesUid::derive(&parts),
        series_number: derived_series_number(a.series_number, 8000),
        series_description: mark,
        image_type: ["DERIVED", "SECONDARY", "MPR"].map(str::to_owned).to_vec(),
        manufacturer: MANUFACTURER.to_owned(),
        model_name: MODEL_NAME.to_owned(),
        software_versions: vec![env!("CARGO_PKG_VERSION").to_owned()],
        acquisition: a.acquisition.clone(),
        lossy: source.lossy,
        position_reference_indicator: a.position_reference_indicator.clone(),
        created: meta.created,
        derivation: Some(format!(
            "Axial slices, linear interpolation of the acquired volume, {dx:.3} mm pixels, {dz:.3} mm slices"
        )),
        sources: source.slices.clone(),
    }
}

/// The patient-axis grid that covers `source`, its origin on whole micrometres.
fn axial_grid(source: &Grid, finest_pixel: f64) -> Result<Arc<Grid>, GeometryError> {
    let finest = source.spacing().into_iter().fold(f64::INFINITY, f64::min).max(finest_pixel);
    let spacing = [finest, finest, finest.max(1.0)];
    let (lo, hi) = source.bounds();
    // A thousandth of a voxel is left out rather than a voxel of nothing added.
    let [cols, rows, slices] = std::array::from_fn(|a| ((hi[a] - lo[a]) / spacing[a] - 1e-3).ceil().max(1.0) as usize);
    let [x, y, z] = std::array::from_fn(|a| ((lo[a] + spacing[a] / 2.0) * 1000.0).round() / 1000.0);
    let shape = Shape::new(cols, rows, slices);
    // What could not be read back is not made.
    if [cols, rows, slices].iter().try_fold(1usize, |n, side| n.checked_mul(*side)).is_none_or(|n| n > MAX_VOXELS) {
        return Err(GeometryError::Shape(cols, rows, slices));
    }
    Ok(Arc::new(Grid::axis_aligned(source.frame().clone(), shape, Lps::new(x, y, z), spacing)?))
}
