//! An axial series from an acquisition in other planes: planning systems contour axial slices only.

use time::PrimitiveDateTime;

use super::{DataError, EncodedInstance, Series};

/// What a derived series needs besides its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedSeriesMeta {
    /// Made for a research model: the series says so.
    pub research: bool,
    /// Digest of everything in the configuration that changes the result.
    pub config_digest: String,
    /// Counts how often a result was made for this source series, from 1.
    pub revision: u32,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// Resamples a series to axial slices (patient axes, i to the left, j posterior, k superior) in the same frame of
/// reference: linear, in-plane spacing that of the source's finest, slices at most 1 mm apart, field of view that of the source. Returns the
/// series exactly as a receiver will read it, and its objects.
///
/// # Errors
/// A grid too large to hold, or values that cannot be encoded.
pub fn derived_axial_series(
    source: &Series,
    meta: &DerivedSeriesMeta,
) -> Result<(Series, Vec<EncodedInstance>), DataError> {
    let _ = (source, meta);
    todo!()
}
