//! Why a series was not contoured, for the person who waits at the planning system: in plain words, and as a small text
//! report in the study (Basic Text SR, PS3.3 A.35.1).

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use serde::Serialize;
use time::PrimitiveDateTime;

use super::build::{Builder, code_item};
use super::header::{MANUFACTURER, MODEL_NAME};
use super::patient::PatientStudy;
use super::{DataError, EncodedInstance, RefusalCode, Refusals, derived_series_number, part10};
use crate::anatomy::Code;
use crate::ids::{InstanceUid, SeriesUid};

/// SOP Class of the report.
pub const BASIC_TEXT_SR_STORAGE: &str = uids::BASIC_TEXT_SR_STORAGE;

const TITLE: Code = Code { value: "385660001", scheme: "SCT", meaning: "Not done" };
const FINDING: Code = Code { value: "121071", scheme: "DCM", meaning: "Finding" };
const RECOMMENDATION: Code = Code { value: "121075", scheme: "DCM", meaning: "Recommendation" };
const COMMENT: Code = Code { value: "121106", scheme: "DCM", meaning: "Comment" };

/// What is said to a clinician.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlainWords {
    /// What is the matter.
    pub what: &'static str,
    /// What to do.
    pub to_do: &'static str,
}

const SEND_AGAIN: &str = "Have the whole series sent again.";
const SEND_T1: &str = "Send the T1-weighted series after contrast of the whole head, acquired in one piece.";
const ASK_PHYSICS: &str = "Ask medical physics: the reasons in detail are on the case's page in contourd.";

impl RefusalCode {
    /// The reason without technical terms.
    pub const fn plain(self) -> PlainWords {
        let (what, to_do) = match self {
            RefusalCode::NoImages => ("There are no MR images in this series.", SEND_T1),
            RefusalCode::NotMr => ("Something else than MR images is in this series.", SEND_T1),
            RefusalCode::NotT1 => ("This is not a T1-weighted series that can be contoured.", SEND_T1),
            RefusalCode::Colour => ("The images are in colour.", SEND_T1),
            RefusalCode::EnhancedMr => (
                "The series is stored as one multi-frame object, which is not read here.",
                "Have it sent as single images (classic MR).",
            ),
            RefusalCode::TransferSyntax => (
                "The images are compressed in a way that is not read here.",
                "Have them sent uncompressed or losslessly compressed.",
            ),
            RefusalCode::SeveralSeries | RefusalCode::ConflictingDuplicate => {
                ("Several images lie at the same place: this is more than one series.", "Send one series alone.")
            }
            RefusalCode::Unreadable | RefusalCode::NotDicom | RefusalCode::Truncated | RefusalCode::PixelData => {
                ("Images are damaged.", SEND_AGAIN)
            }
            RefusalCode::MissingSlice => ("Images are missing from this series.", SEND_AGAIN),
            RefusalCode::TooFewSlices => ("The series has too few images.", SEND_T1),
            RefusalCode::SeveralPatients => (
                "Images of different patients or studies are mixed in this series.",
                "Stop and have the PACS clear up whose images these are.",
            ),
            RefusalCode::SeveralFrames
            | RefusalCode::MixedOrientations
            | RefusalCode::MixedSizes
            | RefusalCode::MixedSpacings
            | RefusalCode::IrregularSpacing
            | RefusalCode::Shear => ("The images do not form one regular volume.", SEND_T1),
            RefusalCode::MissingAttribute | RefusalCode::InvalidValue => {
                ("The images lack what tells where they lie in the patient.", ASK_PHYSICS)
            }
            RefusalCode::TooLarge => ("The series is too large.", ASK_PHYSICS),
            RefusalCode::NoHead => ("No head was found in the images.", SEND_T1),
            RefusalCode::NothingFound => ("None of the organs was found in the images.", "Contour by hand."),
            RefusalCode::StructureSet => ("A structure set cannot be read.", ASK_PHYSICS),
            RefusalCode::Registration => {
                ("The registration is not a rigid one between two series.", "Register MR and planning CT rigidly.")
            }
            RefusalCode::NotAxial => (
                "The slices of the planning CT are not axial.",
                "Have the planning CT sent in axial slices, without a tilt of the gantry.",
            ),
        };
        PlainWords { what, to_do }
    }
}

impl Refusals {
    /// The reasons without technical terms, each once, the first first.
    pub fn plain(&self) -> Vec<PlainWords> {
        let mut words: Vec<PlainWords> = Vec::new();
        for plain in self.0.iter().map(|refusal| refusal.code.plain()) {
            if !words.contains(&plain) {
                words.push(plain);
            }
        }
        words
    }
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeMeta {
    /// The series that was not contoured.
    pub series: SeriesUid,
    /// Its description.
    pub series_description: String,
    /// Which revision of it, from 1.
    pub revision: u32,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// Writes the report. The same input gives the same bytes.
///
/// # Errors
/// [`DataError`] when it cannot be encoded.
pub fn write_notice(
    patient: &PatientStudy,
    refusals: &Refusals,
    meta: &NoticeMeta,
) -> Result<EncodedInstance, DataError> {
    let details = refusals.to_string();
    let parts = ["notice", meta.series.as_str(), &meta.revision.to_string(), &details, &meta.created.to_string()];
    let (instance, series) = (InstanceUid::derive(&parts), SeriesUid::derive(&parts));
    let mut items = Vec::new();
    let about = if meta.series_description.is_empty() { "(without description)" } else { &meta.series_description };
    let opening = format!("The series \"{about}\" was not contoured. Nobody has to wait for contours of it.");
    items.push(text_item(FINDING, &opening));
    for plain in refusals.plain() {
        items.push(text_item(FINDING, plain.what));
        items.push(text_item(RECOMMENDATION, plain.to_do));
    }
    items.push(text_item(COMMENT, &format!("For technicians: {details}")));

    let mut b = Builder::new();
    b.patient_study(patient)
        .text(tags::SOP_CLASS_UID, VR::UI, BASIC_TEXT_SR_STORAGE)
        .text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str())
        .moment(tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME, meta.created)
        .text(tags::MODALITY, VR::CS, "SR")
        .text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str())
        .integers(tags::SERIES_NUMBER, &[derived_series_number(None, 9500)])
        .moment(tags::SERIES_DATE, tags::SERIES_TIME, meta.created)
        .text(tags::SERIES_DESCRIPTION, VR::LO, "Auto-contouring was not done")
        .sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new())
        .text(tags::MANUFACTURER, VR::LO, MANUFACTURER)
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME)
        .text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"))
        .integers(tags::INSTANCE_NUMBER, &[i64::from(meta.revision)])
        .text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE")
        .text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED")
        .moment(tags::CONTENT_DATE, tags::CONTENT_TIME, meta.created)
        .sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, Vec::new())
        .text(tags::VALUE_TYPE, VR::CS, "CONTAINER")
        .code(tags::CONCEPT_NAME_CODE_SEQUENCE, TITLE)
        .text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE")
        .sequence(tags::CONTENT_SEQUENCE, items);
    part10::encode(&b.finish(), BASIC_TEXT_SR_STORAGE, instance, series, uids::EXPLICIT_VR_LITTLE_ENDIAN)
}

/// A paragraph under its heading.
fn text_item(heading: Code, text: &str) -> InMemDicomObject {
    let mut b = Builder::new();
    b.text(tags::RELATIONSHIP_TYPE, VR::CS, "CONTAINS")
        .text(tags::VALUE_TYPE, VR::CS, "TEXT")
        .sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, vec![code_item(heading)])
        .text(tags::TEXT_VALUE, VR::UT, text);
    b.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::data::Refusal;

    #[test]
    fn every_kind_of_refusal_has_plain_words() {
        let kinds: Vec<&str> = "no_images several_series unreadable not_dicom truncated not_mr enhanced_mr not_t1 colour \
            transfer_syntax pixel_data missing_attribute invalid_value several_patients several_frames mixed_orientations \
            mixed_sizes mixed_spacings conflicting_duplicate missing_slice irregular_spacing shear too_few_slices too_large \
            no_head nothing_found structure_set registration not_axial"
            .split_whitespace()
            .collect();
        for kind in kinds {
            let code: RefusalCode = serde_json::from_value(kind.into()).unwrap();
            let PlainWords { what, to_do } = code.plain();
            assert!(what.ends_with('.') && to_do.ends_with('.') && what != to_do, "{kind}");
            for term in ["tag", "UID", "attribute", "syntax", "(00"] {
                assert!(!what.contains(term) && !to_do.contains(term), "{kind}: {term}");
            }
        }
    }

    #[test]
    fn reasons_of_one_meaning_are_said_once() {
        let of = |code| Refusal::new(code, "x");
        let codes = [RefusalCode::Shear, RefusalCode::MissingSlice, RefusalCode::MixedSizes, RefusalCode::MissingSlice];
        let plain = Refusals(codes.map(of).to_vec()).plain();
        assert_eq!(plain, [RefusalCode::Shear.plain(), RefusalCode::MissingSlice.plain()]);
    }
}
