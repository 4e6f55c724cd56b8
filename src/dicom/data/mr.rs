//! Classic MR Image Storage.

use time::PrimitiveDateTime;

use super::{DataError, EncodedInstance, MrAcquisition, PatientStudy, SliceRef};
use crate::geometry::Volume;
use crate::ids::SeriesUid;

/// What a written MR series says besides its pixels and their place.
#[derive(Debug, Clone, PartialEq)]
pub struct MrSeriesAttributes {
    /// Patient and study.
    pub patient: PatientStudy,
    /// Series Instance UID; SOP Instance UIDs are derived from it, the grid and the slice number.
    pub series: SeriesUid,
    /// Series Number.
    pub series_number: i64,
    /// Series Description, at most 64 characters.
    pub series_description: String,
    /// Image Type, for example `ORIGINAL`, `PRIMARY`, `OTHER`.
    pub image_type: Vec<String>,
    /// Manufacturer.
    pub manufacturer: String,
    /// Manufacturer's Model Name.
    pub model_name: String,
    /// Software Versions.
    pub software_versions: Vec<String>,
    /// Sequence parameters.
    pub acquisition: MrAcquisition,
    /// Position Reference Indicator.
    pub position_reference_indicator: String,
    /// Series, acquisition and creation time.
    pub created: PrimitiveDateTime,
    /// For a derived series: how it was made.
    pub derivation: Option<String>,
    /// For a derived series: the slices it was made from.
    pub sources: Vec<SliceRef>,
}

/// Writes a volume as classic MR images, one a slice in the order of k, explicit VR little endian, 16 bit unsigned or
/// signed. Values are rounded to integers; a volume whose values do not fit 16 bits, or span fewer than 256 steps
/// without being integers, is scaled first (MR intensities have no unit).
///
/// # Errors
/// A value that does not fit its attribute, or a value that is not finite.
pub fn write_mr_series(volume: &Volume<f32>, attrs: &MrSeriesAttributes) -> Result<Vec<EncodedInstance>, DataError> {
    let _ = (volume, attrs);
    todo!()
}
