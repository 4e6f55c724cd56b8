//! Putting attributes into an object, in the forms that their VRs allow (PS3.5 section 6.2).

use dicom_core::value::{C, DataSetSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use time::PrimitiveDateTime;

use super::patient::PatientStudy;
use super::refusal::DataError;
use crate::anatomy::Code;

/// An object under construction.
pub(super) struct Builder(InMemDicomObject);

impl Builder {
    pub fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    pub fn finish(self) -> InMemDicomObject {
        self.0
    }

    /// Text as it is; empty text makes an empty attribute (type 2).
    pub fn text(&mut self, tag: Tag, vr: VR, value: &str) -> &mut Self {
        let value = if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(value) };
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    /// Text where it is there and legal for its VR; otherwise the attribute is left out (type 3).
    pub fn optional(&mut self, tag: Tag, vr: VR, value: &str) -> &mut Self {
        if !value.is_empty() && legal(vr, value) {
            self.text(tag, vr, value);
        }
        self
    }

    /// Text where it is legal for its VR; otherwise an empty attribute (type 2).
    pub fn known(&mut self, tag: Tag, vr: VR, value: &str) -> &mut Self {
        self.text(tag, vr, if legal(vr, value) { value } else { "" })
    }

    /// Several values; none make an empty attribute.
    pub fn texts(&mut self, tag: Tag, vr: VR, values: &[impl AsRef<str>]) -> &mut Self {
        let values: C<String> = values.iter().map(|v| v.as_ref().to_owned()).collect();
        let value = if values.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::Strs(values) };
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    /// Text that must be legal for its VR.
    ///
    /// # Errors
    /// [`DataError::Value`] when it is not.
    pub fn checked(&mut self, tag: Tag, vr: VR, name: &'static str, value: &str) -> Result<&mut Self, DataError> {
        if legal(vr, value) {
            Ok(self.text(tag, vr, value))
        } else {
            let value = value.chars().take(80).collect();
            Err(DataError::Value {
                attribute: name,
                value,
                reason: "it is too long or has characters that are not allowed",
            })
        }
    }

    /// Numbers as decimal strings.
    ///
    /// # Errors
    /// [`DataError::Value`] for a number that does not fit 16 characters.
    pub fn decimals(&mut self, tag: Tag, name: &'static str, values: &[f64]) -> Result<&mut Self, DataError> {
        let strings: Result<Vec<String>, DataError> = values.iter().map(|v| decimal(name, *v)).collect();
        Ok(self.texts(tag, VR::DS, &strings?))
    }

    pub fn integers(&mut self, tag: Tag, values: &[i64]) -> &mut Self {
        let strings: Vec<String> = values.iter().map(i64::to_string).collect();
        self.texts(tag, VR::IS, &strings)
    }

    pub fn short(&mut self, tag: Tag, value: u16) -> &mut Self {
        self.0.put(DataElement::new(tag, VR::US, dicom_value!(U16, value)));
        self
    }

    /// Several numbers of 16 bits.
    pub fn shorts(&mut self, tag: Tag, values: &[u16]) -> &mut Self {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::U16(values.into())));
        self
    }

    /// Several numbers of 32 bits.
    pub fn longs(&mut self, tag: Tag, values: &[u32]) -> &mut Self {
        self.0.put(DataElement::new(tag, VR::UL, PrimitiveValue::U32(values.into())));
        self
    }

    /// The tag of another attribute.
    pub fn pointer(&mut self, tag: Tag, to: Tag) -> &mut Self {
        self.0.put(DataElement::new(tag, VR::AT, PrimitiveValue::from(to)));
        self
    }

    pub fn pixels(&mut self, words: Vec<u16>) -> &mut Self {
        self.0.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words.into())));
        self
    }

    /// A sequence of items.
    pub fn sequence(&mut self, tag: Tag, items: Vec<InMemDicomObject>) -> &mut Self {
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        self
    }

    /// A sequence of one coded concept.
    pub fn code(&mut self, tag: Tag, code: Code) -> &mut Self {
        self.sequence(tag, vec![code_item(code)])
    }

    /// A date and a time.
    pub fn moment(&mut self, date: Tag, time: Tag, at: PrimitiveDateTime) -> &mut Self {
        let (year, month, day) = at.date().to_calendar_date();
        let (hour, minute, second) = at.time().as_hms();
        self.text(date, VR::DA, &format!("{year:04}{:02}{day:02}", u8::from(month)));
        self.text(time, VR::TM, &format!("{hour:02}{minute:02}{second:02}"))
    }

    /// The Patient, Patient Study and General Study modules. What identifies patient and study is copied as it came;
    /// descriptive values are copied where they are legal.
    pub fn patient_study(&mut self, p: &PatientStudy) -> &mut Self {
        self.text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192")
            .text(tags::PATIENT_NAME, VR::PN, p.patient_name.reveal())
            .text(tags::PATIENT_ID, VR::LO, p.patient_id.reveal())
            .optional(tags::ISSUER_OF_PATIENT_ID, VR::LO, p.issuer_of_patient_id.reveal())
            .known(tags::PATIENT_BIRTH_DATE, VR::DA, p.birth_date.reveal())
            .text(tags::PATIENT_SEX, VR::CS, if matches!(p.sex.as_str(), "M" | "F" | "O") { &p.sex } else { "" })
            .optional(tags::PATIENT_AGE, VR::AS, p.age.reveal())
            .optional(tags::PATIENT_SIZE, VR::DS, p.size.reveal())
            .optional(tags::PATIENT_WEIGHT, VR::DS, p.weight.reveal())
            .text(tags::STUDY_INSTANCE_UID, VR::UI, p.study.as_str())
            .known(tags::STUDY_DATE, VR::DA, &p.study_date)
            .known(tags::STUDY_TIME, VR::TM, &p.study_time)
            .text(tags::STUDY_ID, VR::SH, p.study_id.reveal())
            .text(tags::ACCESSION_NUMBER, VR::SH, p.accession_number.reveal())
            .text(tags::REFERRING_PHYSICIAN_NAME, VR::PN, p.referring_physician.reveal())
            .optional(tags::STUDY_DESCRIPTION, VR::LO, &p.study_description)
    }
}

impl From<InMemDicomObject> for Builder {
    fn from(object: InMemDicomObject) -> Self {
        Self(object)
    }
}

/// An item with one coded concept.
pub(super) fn code_item(code: Code) -> InMemDicomObject {
    let mut item = Builder::new();
    item.text(tags::CODE_VALUE, VR::SH, code.value).text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, code.scheme).text(
        tags::CODE_MEANING,
        VR::LO,
        code.meaning,
    );
    item.finish()
}

/// An item that refers to an object.
pub(super) fn reference_item(sop_class: &str, instance: &str) -> InMemDicomObject {
    let mut item = Builder::new();
    item.text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, sop_class).text(
        tags::REFERENCED_SOP_INSTANCE_UID,
        VR::UI,
        instance,
    );
    item.finish()
}

/// A description behind its mark.
pub(super) fn marked(mark: &str, description: &str) -> String {
    if description.is_empty() { mark.to_owned() } else { format!("{mark}. {description}") }
}

/// Whether one value may stand under a VR.
pub(super) fn legal(vr: VR, value: &str) -> bool {
    let length = value.chars().count();
    let plain = |c: char| !c.is_control() && c != '\\';
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match vr {
        VR::LO => length <= 64 && value.chars().all(plain),
        VR::SH => length <= 16 && value.chars().all(plain),
        VR::CS => {
            let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b' ' | b'_');
            length <= 16 && value.bytes().all(allowed)
        }
        VR::ST => length <= 1024 && value.chars().all(|c| !c.is_control() || matches!(c, '\r' | '\n')),
        VR::DA => value.is_empty() || length == 8 && digits(value),
        VR::TM => {
            let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
            digits(whole) && digits(fraction) && matches!(whole.len(), 0 | 2 | 4 | 6) && fraction.len() <= 6
        }
        VR::AS => {
            length == 4 && value.bytes().take(3).all(|b| b.is_ascii_digit()) && value.ends_with(['D', 'W', 'M', 'Y'])
        }
        VR::DS => length <= 16 && value.parse::<f64>().is_ok_and(f64::is_finite),
        VR::IS => length <= 12 && value.parse::<i32>().is_ok(),
        _ => true,
    }
}

/// The most exact decimal string of at most 16 characters, without an exponent.
///
/// # Errors
/// [`DataError::Value`] for a number that is not finite or needs more than 16 characters before its point.
pub(super) fn decimal(attribute: &'static str, value: f64) -> Result<String, DataError> {
    if value.is_finite() && value.abs() < 1e14 {
        for digits in (0..=14).rev() {
            let text = trimmed(format!("{value:.digits$}"));
            if text.len() <= 16 {
                return Ok(text);
            }
        }
    }
    Err(DataError::Value {
        attribute,
        value: value.to_string(),
        reason: "it does not fit a decimal string of 16 characters",
    })
}

/// Without trailing zeros behind the point, and never "-0".
pub(super) fn trimmed(text: String) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_fit_and_stay_exact() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (-1e-15, "0"),
            (100.0, "100"),
            (-123.456, "-123.456"),
            (0.342_020_143_325_668_7, "0.34202014332567"),
            (-0.939_692_620_785_908_4, "-0.9396926207859"),
            (99_999_999_999_999.0, "99999999999999"),
        ] {
            assert_eq!(decimal("x", value).unwrap(), text);
        }
        for value in [f64::NAN, f64::INFINITY, 1e308, -1e14] {
            assert!(decimal("x", value).is_err(), "{value} was taken");
        }
    }

    #[test]
    fn illegal_values_are_seen() {
        let good = [(VR::DA, "20250102"), (VR::TM, "120000.5"), (VR::AS, "045Y"), (VR::DS, "1.75"), (VR::LO, "Ärztin")];
        let bad = [
            (VR::DA, "2025-01-02"),
            (VR::TM, "12:00:00"),
            (VR::AS, "45"),
            (VR::DS, "1,75"),
            (VR::DS, "NaN"),
            (VR::SH, "seventeen letters"),
            (VR::CS, "lower"),
            (VR::LO, "a\\b"),
            (VR::IS, "99999999999"),
        ];
        assert!(good.iter().all(|(vr, v)| legal(*vr, v)));
        for (vr, value) in bad {
            assert!(!legal(vr, value), "{value} was taken as {vr}");
        }
    }
}
