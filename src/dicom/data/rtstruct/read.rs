//! An RT Structure Set as a receiver sees it.

use super::super::{InstanceHeader, Refusal, Series};
use crate::contour::PlaneContour;
use crate::geometry::Lps;
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid, StudyUid};

/// One contour, in patient space.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadContour {
    /// Contour Geometric Type, for example `CLOSED_PLANAR`.
    pub geometric_type: String,
    /// Number of Contour Points as declared.
    pub declared_points: Option<i64>,
    /// The images the contour refers to.
    pub images: Vec<InstanceUid>,
    /// Its points.
    pub points: Vec<Lps>,
}

/// One region of interest: what the three sequences say under one ROI Number.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRoi {
    /// ROI Number.
    pub number: i64,
    /// ROI Name.
    pub name: String,
    /// ROI Description.
    pub description: String,
    /// ROI Volume, cm3.
    pub volume_cc: Option<f64>,
    /// ROI Generation Algorithm.
    pub algorithm: String,
    /// ROI Display Colour.
    pub colour: Option<[u8; 3]>,
    /// RT ROI Interpreted Type; `None` without an observation.
    pub interpreted_type: Option<String>,
    /// Code value and scheme of RT ROI Identification.
    pub code: Option<(String, String)>,
    /// Code value and scheme of the laterality modifier.
    pub laterality: Option<(String, String)>,
    /// Referenced Frame of Reference UID.
    pub frame: Option<FrameOfReferenceUid>,
    /// Its contours.
    pub contours: Vec<ReadContour>,
}

/// An RT Structure Set.
#[derive(Debug, Clone, PartialEq)]
pub struct StructureSet {
    /// The header.
    pub header: InstanceHeader,
    /// Structure Set Label.
    pub label: String,
    /// Structure Set Name.
    pub name: String,
    /// Approval Status.
    pub approval: String,
    /// Software Versions.
    pub software_versions: Vec<String>,
    /// Frame, study and series that it refers to.
    pub referenced_frame: Option<FrameOfReferenceUid>,
    /// Study that it refers to.
    pub referenced_study: Option<StudyUid>,
    /// Series that it refers to.
    pub referenced_series: Option<SeriesUid>,
    /// Every image of the series it refers to, in the file's order.
    pub referenced_images: Vec<InstanceUid>,
    /// The structure set it replaces.
    pub predecessor: Option<InstanceUid>,
    /// Its regions, in the order of Structure Set ROI Sequence.
    pub rois: Vec<ReadRoi>,
}

impl StructureSet {
    /// The region of a name, exactly as written.
    pub fn roi(&self, name: &str) -> Option<&ReadRoi> {
        self.rois.iter().find(|roi| roi.name == name)
    }
}

impl ReadRoi {
    /// The contours in voxels of the series' grid, for rasterising.
    ///
    /// # Errors
    /// A contour that refers to no slice of the series.
    pub fn plane_contours(&self, series: &Series) -> Result<Vec<PlaneContour>, Refusal> {
        let _ = series;
        todo!()
    }
}

/// Reads an RT Structure Set.
///
/// # Errors
/// Not DICOM, truncated, another kind of object, or values that are no numbers.
pub fn read_rtstruct(bytes: &[u8]) -> Result<StructureSet, Refusal> {
    let _ = bytes;
    todo!()
}
