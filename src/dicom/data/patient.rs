//! Patient, study and acquisition values that are carried from a source series into what is written.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::header::header_of;
use super::part10::{self, Opened};
use super::refusal::Refusal;
use super::values::{decoded, text, texts};
use crate::ids::{Phi, StudyUid};

/// What [`PatientStudy::contradictions`] calls (0008,0050).
pub const ACCESSION_NUMBER: &str = "Accession Number";

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
    /// Patient and study of an object (Part 10 file).
    ///
    /// # Errors
    /// A refusal for what is not DICOM or has no study.
    pub fn of_file(bytes: &[u8]) -> Result<Self, Refusal> {
        let opened = part10::open(bytes)?;
        let object = opened.parse(Some(tags::PIXEL_DATA))?;
        Self::read(&opened, header_of(&opened, &object)?.study)
    }

    /// What the answer to a query says of patient and study, as far as it can be read (data set in implicit VR little endian):
    /// Patient's Name, ID, Birth Date and Sex, and Accession Number. What it does not say, or says in bytes that have no
    /// meaning in the character set that it names, is empty, and so is everything else. `None` when it is of another study.
    ///
    /// # Errors
    /// A refusal for what is no data set.
    pub fn of_answer(dataset: &[u8], study: &StudyUid) -> Result<Option<Self>, Refusal> {
        let opened = part10::open_implicit(dataset)?;
        let declared = opened.raw(tags::SPECIFIC_CHARACTER_SET).is_some_and(|set| !set.trim_ascii().is_empty());
        let said = |tag| {
            // Without a character set only ASCII has a meaning.
            let plain = declared || opened.raw(tag).is_none_or(<[u8]>::is_ascii);
            let text = plain.then(|| decoded(&opened, tag).ok()).flatten().unwrap_or_default();
            // A backslash stands before bytes that could not be decoded; in one value it has no other place.
            if text.contains('\\') { String::new() } else { text }
        };
        let of = said(tags::STUDY_INSTANCE_UID);
        if !of.is_empty() && of != study.as_str() {
            return Ok(None);
        }
        let (none, private) = (|| Phi::new(String::new()), |tag| Phi::new(said(tag)));
        Ok(Some(Self {
            study: study.clone(),
            patient_name: private(tags::PATIENT_NAME),
            patient_id: private(tags::PATIENT_ID),
            issuer_of_patient_id: none(),
            birth_date: private(tags::PATIENT_BIRTH_DATE),
            sex: said(tags::PATIENT_SEX),
            age: none(),
            size: none(),
            weight: none(),
            study_date: String::new(),
            study_time: String::new(),
            study_id: none(),
            accession_number: private(tags::ACCESSION_NUMBER),
            referring_physician: none(),
            study_description: String::new(),
        }))
    }

    /// The attributes in which two systems contradict each other about whom and what a study is of, in words. What one of
    /// both does not say is no contradiction, nor are upper and lower case of a name, its empty components, and its
    /// ideographic and phonetic groups: archives keep those differently without anybody having corrected anything.
    pub fn contradictions(&self, other: &Self) -> Vec<&'static str> {
        let name = |text: &str| {
            let alphabetic = text.split('=').next().unwrap_or_default().to_lowercase();
            let components: Vec<&str> = alphabetic.split('^').map(str::trim).collect();
            components.join("^").trim_end_matches('^').to_owned()
        };
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let plain = |text: &str| text.trim().to_owned();
        let compared = [
            ("Patient ID", plain(self.patient_id.reveal()), plain(other.patient_id.reveal())),
            ("Patient's Name", name(self.patient_name.reveal()), name(other.patient_name.reveal())),
            ("Patient's Birth Date", digits(self.birth_date.reveal()), digits(other.birth_date.reveal())),
            ("Patient's Sex", plain(&self.sex), plain(&other.sex)),
            (ACCESSION_NUMBER, plain(self.accession_number.reveal()), plain(other.accession_number.reveal())),
        ];
        let differ = |(_, here, there): &(_, String, String)| !here.is_empty() && !there.is_empty() && here != there;
        compared.iter().filter(|one| differ(one)).map(|(what, ..)| *what).collect()
    }

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
    use crate::dicom::data::tests::support::attributes;

    #[test]
    fn an_answer_is_read_as_far_as_it_can_be() {
        let element = |tag: dicom_core::Tag, value: &[u8]| {
            let length = (value.len() as u32).to_le_bytes();
            [&tag.group().to_le_bytes()[..], &tag.element().to_le_bytes()[..], &length[..], value].concat()
        };
        let study = StudyUid::parse("1.2.840.99.1").unwrap();
        let answer = |set: &[u8], name: &[u8], of: &[u8]| {
            let parts = [
                element(tags::SPECIFIC_CHARACTER_SET, set),
                element(tags::STUDY_DESCRIPTION, b"\x01\x02"), // nobody asked for it
                element(tags::PATIENT_NAME, name),
                element(tags::PATIENT_ID, b"0042"),
                element(tags::STUDY_INSTANCE_UID, of),
            ];
            PatientStudy::of_answer(&parts.concat(), &study).unwrap()
        };
        let utf8 = "M\u{fc}ller^J\u{f6}rg ".as_bytes();
        let read = answer(b"ISO_IR 192", utf8, b"1.2.840.99.1").unwrap();
        assert_eq!(
            (read.patient_name.reveal().as_str(), read.patient_id.reveal().as_str()),
            ("M\u{fc}ller^J\u{f6}rg", "0042")
        );
        // Not in the set that is named, no set at all, one that nobody knows: the name says nothing, the number does.
        for (set, name) in [(&b""[..], utf8), (b"ISO_IR 192", b"M\xfcller^J\xf6rg "), (b"KLINGON ", b"Other^Name")] {
            let read = answer(set, name, b"1.2.840.99.1").unwrap();
            assert_eq!(read.patient_name.reveal(), "", "{set:?}");
            assert_eq!(
                (read.patient_id.reveal().as_str(), read.sex.as_str()),
                if set == b"KLINGON " { ("", "") } else { ("0042", "") }
            );
        }
        assert_eq!(answer(b"", b"A^B ", b"1.2.840.99.10"), None, "another study");
        assert!(PatientStudy::of_answer(b"no data set", &study).is_err());
    }

    #[test]
    fn only_what_both_say_and_say_otherwise_is_a_contradiction() {
        let here = attributes().patient;
        assert_eq!(here.contradictions(&here), [""; 0]);
        let with = |change: fn(&mut PatientStudy)| {
            let mut there = here.clone();
            change(&mut there);
            there
        };
        let phi = |text: &str| Phi::new(text.to_owned());
        let same_name = here.patient_name.reveal().to_uppercase() + "^^=\u{5c71}";
        for same in [
            PatientStudy { patient_name: phi(&same_name), ..here.clone() },
            with(|p| p.patient_id = Phi::new(String::new())),
            with(|p| p.patient_id = Phi::new(format!(" {} ", p.patient_id.reveal()))),
            with(|p| p.study_description = "another".into()),
        ] {
            assert_eq!(here.contradictions(&same), [""; 0]);
        }
        for (there, what) in [
            (with(|p| p.patient_id = Phi::new(format!("{}0", p.patient_id.reveal()))), "Patient ID"),
            (with(|p| p.patient_name = Phi::new("Other^Jane".into())), "Patient's Name"),
            (with(|p| p.birth_date = Phi::new("19000101".into())), "Patient's Birth Date"),
            (with(|p| p.sex = if p.sex == "M" { "F" } else { "M" }.into()), "Patient's Sex"),
            (with(|p| p.accession_number = Phi::new("another".into())), "Accession Number"),
        ] {
            assert_eq!(here.contradictions(&there), [what]);
            assert_eq!(there.contradictions(&here), [what]);
        }
    }

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
