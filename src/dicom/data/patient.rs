//! Patient, study and acquisition values that are carried from a source series into what is written.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::part10::Opened;
use super::refusal::Refusal;
use super::values::{decoded, text, texts};
use crate::ids::{Phi, StudyUid};

/// Patient and study values, decoded to Unicode. Missing values are empty; dates and times are DICOM DA and TM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientStudy {
    /// Study Instance UID (0020,000D).
    pub study: StudyUid,
    /// Patient's Name (0010,0010), with its component separators.
    pub patient_name: Phi<String>,
    /// Patient ID (0010,0020).
    pub patient_id: Phi<String>,
    /// Issuer of Patient ID (0010,0021).
    pub issuer_of_patient_id: Phi<String>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Phi<String>,
    /// Patient's Sex (0010,0040).
    pub sex: String,
    /// Patient's Age (0010,1010).
    pub age: Phi<String>,
    /// Patient's Size (0010,1020), m.
    pub size: Phi<String>,
    /// Patient's Weight (0010,1030), kg.
    pub weight: Phi<String>,
    /// Study Date (0008,0020).
    pub study_date: String,
    /// Study Time (0008,0030).
    pub study_time: String,
    /// Study ID (0020,0010).
    pub study_id: Phi<String>,
    /// Accession Number (0008,0050).
    pub accession_number: Phi<String>,
    /// Referring Physician's Name (0008,0090).
    pub referring_physician: Phi<String>,
    /// Study Description (0008,1030).
    pub study_description: String,
}

/// How an MR image was acquired, as far as a derived or synthetic series repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MrAcquisition {
    /// Scanning Sequence (0018,0020), for example `GR`.
    pub scanning_sequence: Vec<String>,
    /// Sequence Variant (0018,0021), for example `NONE`.
    pub sequence_variant: Vec<String>,
    /// Scan Options (0018,0022).
    pub scan_options: Vec<String>,
    /// MR Acquisition Type (0018,0023), `2D` or `3D`.
    pub acquisition_type: String,
    /// Repetition Time (0018,0080), ms.
    pub repetition_time: String,
    /// Echo Time (0018,0081), ms.
    pub echo_time: String,
    /// Inversion Time (0018,0082), ms.
    pub inversion_time: String,
    /// Echo Train Length (0018,0091).
    pub echo_train_length: String,
    /// Magnetic Field Strength (0018,0087), T.
    pub field_strength: String,
    /// Flip Angle (0018,1314), degrees.
    pub flip_angle: String,
    /// Contrast/Bolus Agent (0018,0010).
    pub contrast_agent: String,
    /// Patient Position (0018,5100), for example `HFS`.
    pub patient_position: String,
}

impl PatientStudy {
    /// What an object says of its patient and study.
    pub(super) fn read(opened: &Opened<'_>, study: StudyUid) -> Result<Self, Refusal> {
        let plain = |tag| decoded(opened, tag);
        let private = |tag| decoded(opened, tag).map(Phi::new);
        Ok(Self {
            study,
            patient_name: private(tags::PATIENT_NAME)?,
            patient_id: private(tags::PATIENT_ID)?,
            issuer_of_patient_id: private(tags::ISSUER_OF_PATIENT_ID)?,
            birth_date: private(tags::PATIENT_BIRTH_DATE)?,
            sex: plain(tags::PATIENT_SEX)?,
            age: private(tags::PATIENT_AGE)?,
            size: private(tags::PATIENT_SIZE)?,
            weight: private(tags::PATIENT_WEIGHT)?,
            study_date: plain(tags::STUDY_DATE)?,
            study_time: plain(tags::STUDY_TIME)?,
            study_id: private(tags::STUDY_ID)?,
            accession_number: private(tags::ACCESSION_NUMBER)?,
            referring_physician: private(tags::REFERRING_PHYSICIAN_NAME)?,
            study_description: plain(tags::STUDY_DESCRIPTION)?,
        })
    }
}

impl MrAcquisition {
    /// Whether Scan Options says that fat was saturated (`FS`, PS3.3 C.8.3.1.1.3). Without the term nothing is known:
    /// many scanners leave it out.
    pub fn fat_suppressed(&self) -> bool {
        self.scan_options.iter().any(|option| option.trim() == "FS")
    }

    /// What an object says of its acquisition.
    pub(super) fn read(opened: &Opened<'_>, object: &InMemDicomObject) -> Result<Self, Refusal> {
        Ok(Self {
            scanning_sequence: texts(object, tags::SCANNING_SEQUENCE),
            sequence_variant: texts(object, tags::SEQUENCE_VARIANT),
            scan_options: texts(object, tags::SCAN_OPTIONS),
            acquisition_type: text(object, tags::MR_ACQUISITION_TYPE),
            repetition_time: text(object, tags::REPETITION_TIME),
            echo_time: text(object, tags::ECHO_TIME),
            inversion_time: text(object, tags::INVERSION_TIME),
            echo_train_length: text(object, tags::ECHO_TRAIN_LENGTH),
            field_strength: text(object, tags::MAGNETIC_FIELD_STRENGTH),
            flip_angle: text(object, tags::FLIP_ANGLE),
            contrast_agent: decoded(opened, tags::CONTRAST_BOLUS_AGENT)?,
            patient_position: text(object, tags::PATIENT_POSITION),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fat_suppression_is_the_term_and_not_a_part_of_another() {
        let with = |options: &[&str]| MrAcquisition {
            scan_options: options.iter().map(|o| (*o).to_owned()).collect(),
            ..MrAcquisition::default()
        };
        assert!(with(&["PFP", "FS "]).fat_suppressed());
        assert!(!with(&[]).fat_suppressed() && !with(&["FSS", "PFF"]).fat_suppressed());
    }
}
