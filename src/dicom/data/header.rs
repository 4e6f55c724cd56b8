//! The few attributes that decide what happens to an object on receipt, read without touching its pixels.

use super::Refusal;
use crate::ids::{FrameOfReferenceUid, InstanceUid, Phi, SeriesUid, StudyUid};

/// Manufacturer (0008,0070) of every object written here.
pub const MANUFACTURER: &str = "contourd";
/// Manufacturer's Model Name (0008,1090) of every object written here.
pub const MODEL_NAME: &str = "contourd auto-contouring";

/// What is known of an object before its pixels are looked at. Missing texts are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceHeader {
    /// Study Instance UID.
    pub study: StudyUid,
    /// Series Instance UID.
    pub series: SeriesUid,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// Frame of Reference UID, where there is one.
    pub frame: Option<FrameOfReferenceUid>,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer syntax UID.
    pub transfer_syntax: String,
    /// Modality.
    pub modality: String,
    /// Series Description.
    pub series_description: String,
    /// Patient ID.
    pub patient_id: Phi<String>,
    /// Patient's Name.
    pub patient_name: Phi<String>,
    /// Manufacturer.
    pub manufacturer: String,
    /// Manufacturer's Model Name.
    pub model_name: String,
}

/// Reads the header of a Part 10 file (with or without preamble); stops before the pixel data.
///
/// # Errors
/// A refusal for what is not DICOM, is truncated, or lacks study, series or instance UID.
pub fn read_header(bytes: &[u8]) -> Result<InstanceHeader, Refusal> {
    let _ = bytes;
    todo!()
}

/// Whether contourd itself made the object: a PACS that routes everything back must not start a loop.
pub fn is_own_object(header: &InstanceHeader) -> bool {
    header.manufacturer == MANUFACTURER && header.model_name == MODEL_NAME
}
