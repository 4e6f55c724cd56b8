//! The DICOM JSON model (PS3.18 annex F) as far as answers are read: texts, numbers and sequences by their tags.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde_json::{Map, Value};

use super::wrong;
use crate::dicom::net::{Attributes, NetError};

/// The data sets of an answer.
///
/// # Errors
/// [`NetError::Protocol`] when it is not a list of them.
pub(super) fn data_sets(body: &[u8]) -> Result<Vec<Item>, NetError> {
    let read: Value =
        serde_json::from_slice(body).map_err(|e| NetError::Protocol(format!("its answer is no JSON: {e}")))?;
    let Value::Array(items) = read else { return Err(wrong("its answer is no list of data sets")) };
    items.into_iter().map(|item| Item::of(item).ok_or_else(|| wrong("its answer holds what is no data set"))).collect()
}

/// What an attribute is called in the model and in parameters of a search.
pub(super) fn name(tag: Tag) -> String {
    format!("{:04X}{:04X}", tag.group(), tag.element())
}

/// A data set, or an item of a sequence in one.
#[derive(Debug, Clone)]
pub(super) struct Item(Map<String, Value>);

impl Item {
    /// A data set that stands alone.
    pub fn of(value: Value) -> Option<Self> {
        let Value::Object(attributes) = value else { return None };
        Some(Self(attributes))
    }

    fn values(&self, tag: Tag) -> &[Value] {
        let name = name(tag);
        let attribute = self.0.get(&name).or_else(|| self.0.get(&name.to_ascii_lowercase()));
        attribute.and_then(|a| a.get("Value")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The first value as text: of a name, its groups with `=` between them.
    pub fn text(&self, tag: Tag) -> Option<String> {
        let text = match self.values(tag).first()? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Object(name) => {
                let groups = ["Alphabetic", "Ideographic", "Phonetic"];
                let groups = groups.map(|group| name.get(group).and_then(Value::as_str).unwrap_or_default());
                groups.join("=").trim_end_matches('=').to_owned()
            }
            _ => return None,
        };
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The first value as an unsigned short. Some write it as text, in decimal digits.
    pub fn number(&self, tag: Tag) -> Option<u16> {
        match self.values(tag).first()? {
            Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The items of a sequence.
    pub fn items(&self, tag: Tag) -> Vec<Self> {
        self.values(tag).iter().cloned().filter_map(Self::of).collect()
    }

    /// Some of its attributes as a small data set; their texts are in UTF-8, and it says so.
    pub fn attributes(&self, wanted: impl IntoIterator<Item = Tag>) -> Attributes {
        let all = Attributes::default().with_text(tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192");
        let present = wanted.into_iter().filter_map(|tag| Some((tag, self.text(tag)?)));
        present.fold(all, |all, (tag, text)| all.with_text(tag, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_names_numbers_and_sequences_are_read() {
        let text = r#"[{"00080018":{"vr":"UI","Value":["1.2.3 "]},
            "00100010":{"vr":"PN","Value":[{"Alphabetic":"Yamada^Tarou","Phonetic":"x"}]},
            "00081198":{"vr":"SQ","Value":[{"00081197":{"vr":"US","Value":[43264]},"0008119a":{"vr":"IS","Value":["7"]}}, 5]},
            "00080060":{"vr":"CS"},"00080020":{"vr":"DA","Value":[null]}},{}]"#;
        let sets = data_sets(text.as_bytes()).unwrap();
        assert_eq!(sets.len(), 2);
        assert_eq!(sets[0].text(tags::SOP_INSTANCE_UID).unwrap(), "1.2.3");
        assert_eq!(sets[0].text(tags::PATIENT_NAME).unwrap(), "Yamada^Tarou==x");
        assert_eq!((sets[0].text(tags::MODALITY), sets[0].text(tags::STUDY_DATE)), (None, None));
        let failed = sets[0].items(tags::FAILED_SOP_SEQUENCE);
        assert_eq!((failed.len(), failed[0].number(tags::FAILURE_REASON)), (1, Some(0xA900)));
        assert_eq!(failed[0].number(Tag(0x0008, 0x119A)), Some(7));
        let small = sets[0].attributes([tags::SOP_INSTANCE_UID, tags::MODALITY]);
        assert_eq!((small.text(tags::SOP_INSTANCE_UID), small.text(tags::MODALITY)), (Some("1.2.3"), None));
        for bad in ["", "{}", "[1]", "[{]"] {
            assert!(data_sets(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
