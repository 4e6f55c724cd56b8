//! Contours to an RT Structure Set.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use time::PrimitiveDateTime;

use super::super::build::{Builder, code_item, marked, reference_item, trimmed};
use super::super::header::{MANUFACTURER, MODEL_NAME};
use super::super::{
    DataError, EmptyRois, EncodedInstance, Profile, RESEARCH_MARK, RoiIdentity, Series, derived_series_number, part10,
};
use super::RT_STRUCTURE_SET_STORAGE;
use crate::anatomy::ANATOMICAL_STRUCTURE;
use crate::contour::PlaneContour;
use crate::ids::{InstanceUid, SeriesUid};

/// The contours of one region of interest on the planes of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct RoiContours {
    /// Which, as it is called at the destination.
    pub roi: RoiIdentity,
    /// Its contours; with none it is left out of the file, or declared empty where the profile says so.
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
    /// Where the contours come from when they were not drawn on these images.
    pub carried: Option<Carried>,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// Contours of another series' structure set, laid on these planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The structure set that they were drawn in.
    pub from: InstanceUid,
    /// The series that they were drawn on.
    pub drawn_on: SeriesUid,
    /// The Spatial Registration between the two frames of reference; `None` when they are the same.
    pub registration: Option<InstanceUid>,
    /// What a reader of the whole set has to know; may be empty.
    pub remarks: String,
}

impl Carried {
    /// Structure Set Description, in the 1024 characters of an ST.
    fn in_words(&self, mark: &str) -> String {
        let way = match &self.registration {
            Some(uid) => format!("through the rigid registration {uid}"),
            None => "in the frame of reference that both share".to_owned(),
        };
        let Self { from, drawn_on, remarks, .. } = self;
        let words = format!("{mark}. Drawn on MR series {drawn_on} (structure set {from}), carried to this CT {way}");
        let words = if remarks.is_empty() { words } else { format!("{words}. {remarks}") };
        let words: String = words.chars().filter(|c| !c.is_control() && *c != '\\').collect();
        if words.chars().count() <= 1024 {
            return words;
        }
        const MORE: &str = " ... (all of it: the case's page)";
        words.chars().take(1024 - MORE.len()).chain(MORE.chars()).collect()
    }

    /// ROI Generation Description, in the 64 characters of an LO: a UID alone may fill them.
    fn in_short(&self) -> String {
        let Some(uid) = &self.registration else { return "Drawn on MR, same frame of reference".to_owned() };
        let words = format!("MR, registration {uid}");
        if words.len() > 64 { uid.to_string() } else { words }
    }
}

/// Detached Study Management SOP Class: retired, but what planning systems write and expect for a study.
const DETACHED_STUDY_MANAGEMENT: &str = "1.2.840.10008.3.1.2.3.1";

/// Contour Data longer than this (bytes) cannot be sent under an explicit VR (PS3.5 section 7.1.2).
pub(super) const MAX_CONTOUR_DATA: usize = 65_534;

/// Writes an RT Structure Set on the slices of `series`, as `profile` wants it. The same input gives the same bytes.
///
/// # Errors
/// A contour off the series or no polygon, a name given twice, no contour at all, a value that does not fit.
pub fn write_rtstruct(
    series: &Series,
    rois: &[RoiContours],
    meta: &StructureSetMeta,
    profile: &Profile,
) -> Result<EncodedInstance, DataError> {
    if rois.iter().all(|roi| roi.contours.is_empty()) {
        return Err(DataError::NothingToWrite);
    }
    let declare = profile.empty_rois == EmptyRois::Declare;
    let rois: Vec<&RoiContours> = rois.iter().filter(|roi| declare || !roi.contours.is_empty()).collect();
    for (n, roi) in rois.iter().enumerate() {
        if rois.iter().skip(n + 1).any(|other| other.roi.name == roi.roi.name) {
            return Err(DataError::Twice(roi.roi.name.clone()));
        }
    }
    let parts = meta.identity("structure set", series, profile);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (instance, own_series) = (InstanceUid::derive(&parts), SeriesUid::derive(&parts));
    let a = &series.attributes;
    let mark = if meta.research { RESEARCH_MARK } else { "Draft, not reviewed" };
    let label = if meta.research { "AI RESEARCH" } else { &meta.label };

    let mut b = Builder::new();
    b.patient_study(&a.patient)
        .text(tags::SOP_CLASS_UID, VR::UI, RT_STRUCTURE_SET_STORAGE)
        .text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str())
        .moment(tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME, meta.created)
        .text(tags::MODALITY, VR::CS, "RTSTRUCT")
        .text(tags::SERIES_INSTANCE_UID, VR::UI, own_series.as_str())
        .integers(tags::SERIES_NUMBER, &[derived_series_number(a.series_number, 9000)])
        .moment(tags::SERIES_DATE, tags::SERIES_TIME, meta.created)
        .text(tags::SERIES_DESCRIPTION, VR::LO, &description_of_series(mark, meta))
        .text(tags::OPERATORS_NAME, VR::PN, "")
        .text(tags::MANUFACTURER, VR::LO, MANUFACTURER)
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME)
        .texts(tags::SOFTWARE_VERSIONS, VR::LO, &software_versions(meta))
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, series.frame().as_str())
        .text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, &a.position_reference_indicator)
        .checked(tags::STRUCTURE_SET_LABEL, VR::SH, "StructureSetLabel", label)?
        // Which of several models drew it, for those who have the results side by side.
        .text(tags::STRUCTURE_SET_NAME, VR::LO, &set_name(mark, &meta.model_name))
        .moment(tags::STRUCTURE_SET_DATE, tags::STRUCTURE_SET_TIME, meta.created)
        .integers(tags::INSTANCE_NUMBER, &[i64::from(meta.revision)])
        .text(tags::APPROVAL_STATUS, VR::CS, "UNAPPROVED")
        .sequence(tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, vec![referenced_frame(series)]);
    if let Some(study_id) = profile.study_id_if_empty.as_ref().filter(|_| a.patient.study_id.reveal().is_empty()) {
        b.text(tags::STUDY_ID, VR::SH, study_id);
    }
    if let Some(carried) = &meta.carried {
        let words = carried.in_words(mark);
        b.checked(tags::STRUCTURE_SET_DESCRIPTION, VR::ST, "StructureSetDescription", &words)?;
    }
    if let Some(predecessor) = &meta.predecessor {
        let item = reference_item(RT_STRUCTURE_SET_STORAGE, predecessor.as_str());
        b.sequence(tags::PREDECESSOR_STRUCTURE_SET_SEQUENCE, vec![item]);
    }
    let (mut declared, mut drawn, mut observed) = (Vec::new(), Vec::new(), Vec::new());
    for (roi, number) in rois.into_iter().zip(1..) {
        declared.push(declaration(series, roi, number, mark, meta.carried.as_ref())?);
        drawn.push(contours(series, roi, number)?);
        observed.push(observation(roi, number, profile.codes));
    }
    b.sequence(tags::STRUCTURE_SET_ROI_SEQUENCE, declared)
        .sequence(tags::ROI_CONTOUR_SEQUENCE, drawn)
        .sequence(tags::RTROI_OBSERVATIONS_SEQUENCE, observed);
    let syntax = if profile.explicit_vr { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN };
    part10::encode(&b.finish(), RT_STRUCTURE_SET_STORAGE, instance, own_series, syntax)
}

impl StructureSetMeta {
    /// What the UIDs of an object are derived from: everything that its bytes depend on.
    pub(in super::super) fn identity(&self, kind: &str, series: &Series, profile: &Profile) -> Vec<String> {
        let mut instances: Vec<String> = series.slices.iter().map(|s| s.instance.to_string()).collect();
        instances.sort();
        let mut parts = vec![kind.to_owned(), series.attributes.series.to_string()];
        parts.extend(instances);
        parts.extend([
            self.model_digest.clone(),
            self.config_digest.clone(),
            profile.digest(),
            self.revision.to_string(),
            self.created.to_string(),
            self.predecessor.as_ref().map_or(String::new(), ToString::to_string),
            env!("CARGO_PKG_VERSION").to_owned(),
        ]);
        if let Some(Carried { from, registration, .. }) = &self.carried {
            parts.push(from.to_string());
            parts.extend(registration.iter().map(ToString::to_string));
        }
        parts
    }
}

/// Series Description: the mark; with the images, where they are not those that contours were drawn on.
fn description_of_series(mark: &str, meta: &StructureSetMeta) -> String {
    if meta.carried.is_some() { format!("{mark} (MR contours on CT)") } else { mark.to_owned() }
}

/// Structure Set Name: the mark and the model, in the 64 characters of an LO.
fn set_name(mark: &str, model: &str) -> String {
    let clean = |c: &char| !c.is_control() && *c != '\\';
    format!("{mark}: {model}").chars().filter(clean).take(64).collect()
}

/// Version, model and the model's digest, each within the 64 characters of LO (a SHA-256 in hexadecimal fills them).
pub(in super::super) fn software_versions(meta: &StructureSetMeta) -> Vec<String> {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control() && *c != '\\').take(64).collect::<String>();
    vec![env!("CARGO_PKG_VERSION").to_owned(), clean(&format!("model {}", meta.model_name)), clean(&meta.model_digest)]
}

/// The frame of reference, with study, series and every slice in geometric order.
fn referenced_frame(series: &Series) -> InMemDicomObject {
    let images = series.slices.iter().map(|s| reference_item(&s.sop_class, s.instance.as_str())).collect();
    let mut of_series = Builder::new();
    of_series
        .text(tags::SERIES_INSTANCE_UID, VR::UI, series.attributes.series.as_str())
        .sequence(tags::CONTOUR_IMAGE_SEQUENCE, images);
    let study = series.attributes.patient.study.as_str();
    let mut of_study = Builder::from(reference_item(DETACHED_STUDY_MANAGEMENT, study));
    of_study.sequence(tags::RT_REFERENCED_SERIES_SEQUENCE, vec![of_series.finish()]);
    let mut of_frame = Builder::new();
    of_frame
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, series.frame().as_str())
        .sequence(tags::RT_REFERENCED_STUDY_SEQUENCE, vec![of_study.finish()]);
    of_frame.finish()
}

/// An item of Structure Set ROI Sequence.
fn declaration(
    series: &Series,
    roi: &RoiContours,
    number: i64,
    mark: &str,
    carried: Option<&Carried>,
) -> Result<InMemDicomObject, DataError> {
    let mut b = Builder::new();
    b.integers(tags::ROI_NUMBER, &[number])
        .text(tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, series.frame().as_str())
        .checked(tags::ROI_NAME, VR::LO, "ROIName", &roi.roi.name)?
        .checked(tags::ROI_DESCRIPTION, VR::ST, "ROIDescription", &marked(mark, &roi.description))?
        .decimals(tags::ROI_VOLUME, "ROIVolume", &[(roi.volume_cc * 1e6).round() / 1e6])?
        .text(tags::ROI_GENERATION_ALGORITHM, VR::CS, "AUTOMATIC");
    if let Some(carried) = carried {
        b.text(tags::ROI_GENERATION_DESCRIPTION, VR::LO, &carried.in_short());
    }
    Ok(b.finish())
}

/// An item of ROI Contour Sequence.
fn contours(series: &Series, roi: &RoiContours, number: i64) -> Result<InMemDicomObject, DataError> {
    let mut items = Vec::with_capacity(roi.contours.len());
    for (contour, n) in roi.contours.iter().zip(1..) {
        items.push(contour_item(series, &roi.roi.name, contour, n)?);
    }
    let mut b = Builder::new();
    b.integers(tags::REFERENCED_ROI_NUMBER, &[number])
        .integers(tags::ROI_DISPLAY_COLOR, &roi.roi.colour.map(i64::from));
    if !items.is_empty() {
        b.sequence(tags::CONTOUR_SEQUENCE, items);
    }
    Ok(b.finish())
}

fn contour_item(
    series: &Series,
    name: &str,
    contour: &PlaneContour,
    number: i64,
) -> Result<InMemDicomObject, DataError> {
    let slice = contour.slice;
    let slices = series.slices.len();
    let beyond = || DataError::NoSuchSlice { structure: name.to_owned(), slice, slices };
    let image = series.slices.get(slice).ok_or_else(beyond)?;
    let bad = |reason| DataError::BadContour { structure: name.to_owned(), slice, reason };
    let mut points: Vec<String> = Vec::with_capacity(contour.points.len());
    for point in &contour.points {
        let place = series.point_on_slice(slice, *point).ok_or_else(beyond)?;
        if place.to_array().iter().any(|v| !v.is_finite() || v.abs() > 1e6) {
            return Err(bad("a point is not in the patient"));
        }
        // Micrometres: at most 11 characters, and far below the 0.01 mm that a point may lie off its plane.
        let text = place.to_array().map(|v| trimmed(format!("{v:.3}"))).join("\\");
        if points.last() != Some(&text) {
            points.push(text);
        }
    }
    if points.len() > 1 && points.first() == points.last() {
        points.pop();
    }
    if points.len() < 3 {
        return Err(bad("it has fewer than three different points"));
    }
    let count = points.len() as i64;
    let data: Vec<&str> = points.iter().flat_map(|p| p.split('\\')).collect();
    if data.iter().map(|v| v.len() + 1).sum::<usize>() > MAX_CONTOUR_DATA {
        return Err(bad("it has too many points to be sent; simplify it"));
    }
    let mut b = Builder::new();
    b.sequence(tags::CONTOUR_IMAGE_SEQUENCE, vec![reference_item(&image.sop_class, image.instance.as_str())])
        .text(tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR")
        .integers(tags::NUMBER_OF_CONTOUR_POINTS, &[count])
        .integers(tags::CONTOUR_NUMBER, &[number])
        .texts(tags::CONTOUR_DATA, VR::DS, &data);
    Ok(b.finish())
}

/// An item of RT ROI Observations Sequence.
fn observation(roi: &RoiContours, number: i64, codes: bool) -> InMemDicomObject {
    let mut b = Builder::new();
    b.integers(tags::OBSERVATION_NUMBER, &[number]).integers(tags::REFERENCED_ROI_NUMBER, &[number]);
    if let Some(structure) = roi.roi.structure.filter(|_| codes) {
        let mut code = Builder::from(code_item(structure.code()));
        if let Some(side) = structure.laterality_code() {
            code.code(tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, side);
        }
        b.code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, ANATOMICAL_STRUCTURE)
            .sequence(tags::RTROI_IDENTIFICATION_CODE_SEQUENCE, vec![code.finish()]);
    }
    b.text(tags::RTROI_INTERPRETED_TYPE, VR::CS, roi.roi.kind.term()).text(tags::ROI_INTERPRETER, VR::PN, "");
    b.finish()
}
