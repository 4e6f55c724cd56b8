//! Checked slices of one series, and the volume they make.

use std::path::Path;

use super::{Instance, MrAcquisition, PatientStudy, Refusals};
use crate::geometry::{Lps, Volume};
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid};

/// Values of a series that are carried into the objects made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesAttributes {
    /// Patient and study.
    pub patient: PatientStudy,
    /// Series Instance UID (0020,000E).
    pub series: SeriesUid,
    /// Series Number (0020,0011).
    pub series_number: Option<i64>,
    /// Series Description (0008,103E).
    pub series_description: String,
    /// Position Reference Indicator (0020,1040).
    pub position_reference_indicator: String,
    /// Sequence parameters.
    pub acquisition: MrAcquisition,
}

/// One slice of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceRef {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// The slice's own Image Position (Patient), LPS mm: contours on it are placed from here.
    pub position: Lps,
}

/// A whole series, in geometric order.
#[derive(Debug, Clone)]
pub struct Series {
    /// What is copied into objects made from it.
    pub attributes: SeriesAttributes,
    /// Slice k of the volume is `slices[k]`.
    pub slices: Vec<SliceRef>,
    /// The acquired grid: i counts columns, j rows, k slices along the normal (row direction x column direction).
    pub volume: Volume<f32>,
    /// What is odd about the series without being a reason to refuse it.
    pub warnings: Vec<String>,
}

impl Series {
    /// Frame of reference of the slices.
    pub fn frame(&self) -> &FrameOfReferenceUid {
        self.volume.grid().frame()
    }

    /// Whether the slices are axial enough for planning systems: |z| of the slice normal is at least `threshold`
    /// (0.90 is 26 degrees).
    pub fn near_axial(&self, threshold: f64) -> bool {
        self.volume.grid().axes()[2].z.abs() >= threshold
    }

    /// Patient point of a place (i, j) on slice k, from the slice's own position; `None` beyond the last slice.
    pub fn point_on_slice(&self, k: usize, [i, j]: [f64; 2]) -> Option<Lps> {
        let [across, down, _] = self.volume.grid().axes();
        let [dx, dy, _] = self.volume.grid().spacing();
        self.slices.get(k).map(|slice| slice.position + across * (i * dx) + down * (j * dy))
    }
}

/// Puts the slices of one series together.
///
/// # Errors
/// Every reason why they do not make one regular volume.
pub fn assemble(instances: Vec<Instance>) -> Result<Series, Refusals> {
    let _ = instances;
    todo!()
}

/// Reads the MR series in a folder, with folders inside and foreign files allowed.
///
/// # Errors
/// Nothing there, several MR series (named), or files that are damaged.
pub fn read_folder(dir: &Path) -> Result<Vec<Instance>, Refusals> {
    let _ = dir;
    todo!()
}
