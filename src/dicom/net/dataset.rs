//! Small data sets in implicit VR little endian (PS3.5 annex A.1), the syntax that every peer has to offer: identifiers of
//! queries, and what is said of storage commitments.
//!
//! A reader of its own for the reason that commands have one: strangers send these. The DICOM parser reserves what a
//! length declares and descends into sequences by recursion; here nothing is allocated beyond the bytes that are there, and
//! nothing nests deeper than it has to.

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Implicit VR does not say what is a sequence: those that are read here.
const SEQUENCES: [Tag; 2] = [tags::REFERENCED_SOP_SEQUENCE, tags::FAILED_SOP_SEQUENCE];
/// A commitment is one deep; what others add of their own may be deeper, but not without end.
const MAX_DEPTH: usize = 8;
const UNDEFINED: u32 = u32::MAX;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

const CUT_SHORT: &str = "the data set is cut short";

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Bytes(Vec<u8>),
    Items(Vec<Attributes>),
}

/// The attributes of a small data set, or of one item in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Attributes(BTreeMap<Tag, Value>);

impl Attributes {
    /// Reads a data set in implicit VR little endian.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut reader = Reader { bytes };
        reader.attributes(false, 0)
    }

    /// The bytes in implicit VR little endian, every length defined.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, value) in &self.0 {
            match value {
                Value::Bytes(value) => put(&mut bytes, *tag, value),
                Value::Items(items) => {
                    let mut body = Vec::new();
                    items.iter().for_each(|item| put(&mut body, ITEM, &item.encode()));
                    put(&mut bytes, *tag, &body);
                }
            }
        }
        bytes
    }

    /// A text, or several with backslashes between; empty for a universal match. Padded as a UID when it looks like one.
    #[must_use]
    pub fn with_text(mut self, tag: Tag, text: &str) -> Self {
        let mut value = text.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            let uid = value.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'\\'));
            value.push(if uid { 0 } else { b' ' });
        }
        self.0.insert(tag, Value::Bytes(value));
        self
    }

    /// An unsigned short.
    #[must_use]
    pub fn with_number(mut self, tag: Tag, value: u16) -> Self {
        self.0.insert(tag, Value::Bytes(value.to_le_bytes().to_vec()));
        self
    }

    /// A sequence.
    #[must_use]
    pub fn with_items(mut self, tag: Tag, items: Vec<Self>) -> Self {
        self.0.insert(tag, Value::Items(items));
        self
    }

    /// Text without its padding; `None` when absent, empty or not ASCII.
    pub fn text(&self, tag: Tag) -> Option<&str> {
        let Value::Bytes(bytes) = self.0.get(&tag)? else { return None };
        let text = std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\0']);
        (!text.is_empty() && text.is_ascii()).then_some(text)
    }

    /// An unsigned short; `None` when absent or of another length.
    pub fn number(&self, tag: Tag) -> Option<u16> {
        let Value::Bytes(bytes) = self.0.get(&tag)? else { return None };
        Some(u16::from_le_bytes(bytes.as_slice().try_into().ok()?))
    }

    /// The items of a sequence; none for a missing one.
    pub fn items(&self, tag: Tag) -> &[Self] {
        match self.0.get(&tag) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }
}

fn put(bytes: &mut Vec<u8>, tag: Tag, value: &[u8]) {
    bytes.extend_from_slice(&tag.group().to_le_bytes());
    bytes.extend_from_slice(&tag.element().to_le_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes.extend_from_slice(value);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Result<(Tag, u32), &'static str> {
        let (header, rest) = self.bytes.split_first_chunk::<8>().ok_or(CUT_SHORT)?;
        let [g0, g1, e0, e1, l0, l1, l2, l3] = *header;
        self.bytes = rest;
        let tag = Tag(u16::from_le_bytes([g0, g1]), u16::from_le_bytes([e0, e1]));
        Ok((tag, u32::from_le_bytes([l0, l1, l2, l3])))
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], &'static str> {
        let (value, rest) =
            self.bytes.split_at_checked(length as usize).ok_or("a value is longer than its data set")?;
        self.bytes = rest;
        Ok(value)
    }

    /// The attributes up to the end of the bytes, or up to the mark that ends an item of undefined length.
    fn attributes(&mut self, marked: bool, depth: usize) -> Result<Attributes, &'static str> {
        if depth > MAX_DEPTH {
            return Err("the data set nests too deep");
        }
        let mut attributes = BTreeMap::new();
        while marked || !self.bytes.is_empty() {
            let (tag, length) = self.header()?;
            if marked && tag == ITEM_END {
                break;
            }
            // Only a sequence has no length of its own.
            let value = if length == UNDEFINED {
                Value::Items(self.items(true, depth)?)
            } else {
                let value = self.take(length)?;
                if SEQUENCES.contains(&tag) {
                    Value::Items(Reader { bytes: value }.items(false, depth)?)
                } else {
                    Value::Bytes(value.to_vec())
                }
            };
            if attributes.insert(tag, value).is_some() {
                return Err("an attribute is there twice");
            }
        }
        Ok(Attributes(attributes))
    }

    fn items(&mut self, marked: bool, depth: usize) -> Result<Vec<Attributes>, &'static str> {
        let mut items = Vec::new();
        while marked || !self.bytes.is_empty() {
            match self.header()? {
                (SEQUENCE_END, _) if marked => break,
                (ITEM, UNDEFINED) => items.push(self.attributes(true, depth + 1)?),
                (ITEM, length) => {
                    let bytes = self.take(length)?;
                    items.push(Reader { bytes }.attributes(false, depth + 1)?);
                }
                _ => return Err("a sequence holds something else than items"),
            }
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, VR, dicom_value};
    use dicom_object::InMemDicomObject;
    use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;

    use super::*;

    fn sample() -> Attributes {
        let item = |uid: &str| {
            Attributes::default()
                .with_text(tags::REFERENCED_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.4")
                .with_text(tags::REFERENCED_SOP_INSTANCE_UID, uid)
        };
        Attributes::default()
            .with_text(tags::TRANSACTION_UID, "2.25.7")
            .with_text(tags::QUERY_RETRIEVE_LEVEL, "IMAGE")
            .with_items(tags::REFERENCED_SOP_SEQUENCE, vec![item("1.2.3"), item("1.2.34")])
            .with_items(tags::FAILED_SOP_SEQUENCE, vec![item("1.2").with_number(tags::FAILURE_REASON, 0x0112)])
    }

    #[test]
    fn what_is_written_is_read_here_and_by_the_library() {
        let bytes = sample().encode();
        assert_eq!(Attributes::parse(&bytes), Ok(sample()));
        let read =
            InMemDicomObject::read_dataset_with_ts(bytes.as_slice(), &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        let items = read.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap();
        let uid = items[1].element(tags::REFERENCED_SOP_INSTANCE_UID).unwrap();
        assert_eq!((uid.to_bytes().unwrap().as_ref(), uid.vr()), (b"1.2.34".as_slice(), VR::UI));
        let failed = read.element(tags::FAILED_SOP_SEQUENCE).unwrap().items().unwrap();
        assert_eq!(failed[0].element(tags::FAILURE_REASON).unwrap().to_int::<u16>().unwrap(), 0x0112);
        let level = read.element(tags::QUERY_RETRIEVE_LEVEL).unwrap();
        assert_eq!(level.to_bytes().unwrap().as_ref(), b"IMAGE ");
    }

    #[test]
    fn sequences_of_undefined_length_are_read_too() {
        let item = InMemDicomObject::from_element_iter([DataElement::new(
            tags::REFERENCED_SOP_INSTANCE_UID,
            VR::UI,
            dicom_value!(Str, "1.2.3"),
        )]);
        let object = InMemDicomObject::from_element_iter([DataElement::new(
            tags::REFERENCED_SOP_SEQUENCE,
            VR::SQ,
            dicom_core::value::DataSetSequence::new(vec![item], dicom_core::Length::UNDEFINED),
        )]);
        let mut bytes = Vec::new();
        object.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
        assert!(bytes.windows(4).any(|w| w == [0xFF; 4]), "the library wrote defined lengths");
        let read = Attributes::parse(&bytes).unwrap();
        assert_eq!(read.items(tags::REFERENCED_SOP_SEQUENCE)[0].text(tags::REFERENCED_SOP_INSTANCE_UID), Some("1.2.3"));
    }

    #[test]
    fn every_cut_is_an_error_or_shorter_and_lengths_and_depths_have_limits() {
        let whole = sample().encode();
        for cut in 1..whole.len() {
            assert_ne!(Attributes::parse(&whole[..cut]).ok(), Some(sample()), "cut at {cut} went unseen");
        }
        let mut huge = whole.clone();
        huge[4..8].copy_from_slice(&0x7FFF_FFFFu32.to_le_bytes());
        assert_eq!(Attributes::parse(&huge), Err("a value is longer than its data set"));
        // A sequence within an item within a sequence, a million deep: refused, not followed.
        let level = [0x08, 0, 0x99, 0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(Attributes::parse(&level.repeat(100_000)), Err("the data set nests too deep"));
        assert_eq!(Attributes::parse(&[whole.clone(), whole].concat()), Err("an attribute is there twice"));
    }
}
