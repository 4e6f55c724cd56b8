//! Contours to an RT Structure Set.

use time::PrimitiveDateTime;

use super::super::{DataError, EncodedInstance, Series};
use crate::anatomy::Structure;
use crate::contour::PlaneContour;
use crate::ids::InstanceUid;

/// The contours of one structure on the planes of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct RoiContours {
    /// Which structure.
    pub structure: Structure,
    /// Its contours; with none the structure is left out of the file.
    pub contours: Vec<PlaneContour>,
    /// Volume in cm3 (ROI Volume).
    pub volume_cc: f64,
    /// Text for ROI Description beyond the research mark: flags, agreement. May be empty.
    pub description: String,
}

/// What a structure set says besides its contours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StructureSetMeta {
    /// Structure Set Label, at most 16 characters; a research model's is always `AI RESEARCH`.
    pub label: String,
    /// Made by a research model: marked so everywhere.
    pub research: bool,
    /// Name of the model, at most 32 characters.
    pub model_name: String,
    /// Digest of the model.
    pub model_digest: String,
    /// Digest of everything in the configuration that changes the result.
    pub config_digest: String,
    /// Counts how often a result was made for this source series, from 1.
    pub revision: u32,
    /// The structure set that this one replaces.
    pub predecessor: Option<InstanceUid>,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// Writes an RT Structure Set (implicit VR little endian) on the slices of `series`. The same input gives the same
/// bytes.
///
/// # Errors
/// A contour off the series or no polygon, a structure given twice, no contour at all, a value that does not fit.
pub fn write_rtstruct(
    series: &Series,
    rois: &[RoiContours],
    meta: &StructureSetMeta,
) -> Result<EncodedInstance, DataError> {
    let _ = (series, rois, meta);
    todo!()
}
