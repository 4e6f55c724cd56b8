//! Bytes to checked slices to one volume or a refusal; contours to RT Structure Set bytes. No sockets.
//!
//! The way in: [`parse_instance`] (one object), [`read_folder`] or [`parse_instances`] (many), then [`assemble`] to one
//! [`Series`] whose volume has its place in the patient from positions and orientations alone. Whatever does not fit
//! is a [`Refusal`] with the tag and the instance, and all of them are reported together. [`read_planes`] gives only where
//! the slices of a CT or MR series lie, [`planning_ct`] a CT to plan on, [`read_registration`] how two frames of reference lie
//! to each other, [`read_archive`] what stands in folders of many patients, [`survey()`] every series of
//! whatever kind.
//!
//! The way out: [`write_mr_series`], [`derived_axial_series`] and [`write_rtstruct`]; [`write_notice`] says why
//! there are no contours; [`read_rtstruct`] and [`validate_rtstruct`] look at what was written with other eyes. Same input, same bytes: times and UIDs come from the
//! caller or are derived, never from a clock.

mod archive;
mod attributes;
mod build;
mod charset;
mod deidentify;
mod derived;
mod folder;
mod header;
mod instance;
mod kind;
mod layout;
mod mr;
mod notice;
mod part10;
mod patient;
mod pixels;
mod planning;
mod profile;
mod refusal;
mod registration;
mod rtstruct;
mod same;
mod segmentation;
mod series;
mod stack;
mod statement;
mod survey;
mod values;

pub use archive::{Archive, ArchivedSeries, ArchivedSet, read_archive};
pub use attributes::{Attributes, IMAGE_TAGS};
pub use deidentify::{Deidentified, Kind, Pseudonyms, Retain, deidentify, without_patient, without_uids};
pub use derived::{DerivedSeriesMeta, derived_axial_series};
pub use folder::{read_folder, read_planes};
pub use header::{
    InstanceHeader, MANUFACTURER, MODEL_NAME, ReceivedHeader, is_own_object, read_header, read_received,
    read_received_dataset, read_received_header,
};
pub use instance::{Instance, parse_instance, parse_instances};
pub use mr::{MrSeriesAttributes, write_mr_series};
pub use notice::{NoticeMeta, PlainWords, write_notice};
pub use part10::{is_deflated, part10_file, part10_head, same_data_set};
pub use patient::{ACCESSION_NUMBER, MrAcquisition, PatientStudy};
pub use planning::{Companion, companion, drawn_planes, planning_ct};
pub use profile::{BUILT_IN, EmptyRois, Planes, Profile, ProfileConfig, RoiIdentity};
pub use refusal::{DataError, Refusal, RefusalCode, Refusals};
pub use registration::{Registration, read_registration};
pub use rtstruct::{
    Carried, Defect, DefectCode, ReadContour, ReadRoi, RoiContours, StructureSet, StructureSetMeta, read_rtstruct,
    validate_rtstruct, write_rtstruct,
};
pub use same::same_object;
pub use segmentation::{ReadSegment, ReadSegmentation, Segment, read_segmentation, write_segmentation};
pub use series::{Series, SeriesAttributes, SlicePlanes, SliceRef, assemble};
pub use statement::{AttributeRow, attributes_of};
pub use survey::{Survey, SurveyedObject, survey};

#[cfg(test)]
mod tests;

use crate::ids::{InstanceUid, SeriesUid};

/// One object ready to be stored or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedInstance {
    /// SOP Class UID (0008,0016).
    pub sop_class: String,
    /// SOP Instance UID (0008,0018).
    pub instance: InstanceUid,
    /// Series Instance UID (0020,000E).
    pub series: SeriesUid,
    /// Transfer syntax UID of the data set.
    pub transfer_syntax: String,
    /// The whole Part 10 file: preamble, meta group, data set.
    pub bytes: Vec<u8>,
}

/// What stands on everything that a research model made.
pub const RESEARCH_MARK: &str = "Research use only, not reviewed";

/// Series Number of what is made from a series: recognisably the source's, in a range of its own.
fn derived_series_number(source: Option<i64>, offset: i64) -> i64 {
    offset + source.filter(|n| (0..1_000_000).contains(n)).unwrap_or(0)
}
