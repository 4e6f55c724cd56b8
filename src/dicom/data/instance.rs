//! One classic MR image: header, place, decoded and rescaled pixels.

use super::{InstanceHeader, MrAcquisition, PatientStudy, Refusal, Refusals};
use crate::geometry::{Lps, Vec3};
use crate::ids::{FrameOfReferenceUid, InstanceUid};

/// One parsed classic MR image with decoded pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    header: InstanceHeader,
    frame: FrameOfReferenceUid,
    patient: PatientStudy,
    acquisition: MrAcquisition,
    series_number: Option<i64>,
    position_reference_indicator: String,
    /// Image Position (Patient): the centre of the first pixel.
    position: Lps,
    /// Image Orientation (Patient): directions of growing column and row number.
    orientation: [Vec3; 2],
    /// mm between neighbouring columns, between neighbouring rows (PixelSpacing has them the other way round).
    spacing: [f64; 2],
    columns: usize,
    rows: usize,
    /// Row after row.
    pixels: Vec<f32>,
    warnings: Vec<String>,
}

impl Instance {
    /// The header.
    pub fn header(&self) -> &InstanceHeader {
        &self.header
    }

    /// SOP Instance UID.
    pub fn uid(&self) -> &InstanceUid {
        &self.header.instance
    }
}

/// Parses one Part 10 file (with or without preamble) that holds a classic MR image, and decodes its pixels.
///
/// # Errors
/// The first reason why it is not a usable MR image.
pub fn parse_instance(bytes: &[u8]) -> Result<Instance, Refusal> {
    let _ = bytes;
    todo!()
}

/// Parses many files side by side.
///
/// # Errors
/// The refusals of every file that is not a usable MR image.
pub fn parse_instances<B: AsRef<[u8]> + Sync>(files: &[B]) -> Result<Vec<Instance>, Refusals> {
    let _ = files;
    todo!()
}
