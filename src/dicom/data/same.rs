//! Whether two files hold the same object in two transfer syntaxes: archives change the encoding and keep the UID
//! (PS3.5 10.1), which makes no other object of it.

use std::collections::BTreeSet;

use dicom_core::Tag;
use dicom_core::value::Value;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::part10::{self, Opened};
use super::pixels;

/// Whether two Part 10 files hold the same attributes and, decoded, the same pixels. What belongs to the encoding alone
/// is not compared: group lengths, padding of values, offset tables, the lengths of sequences, VRs, the description of how
/// the image was encoded. What cannot be read is not the same as anything.
pub fn same_object(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| part10::open(bytes).ok().and_then(|opened| Some((opened.parse(None).ok()?, opened)));
    match (read(one), read(other)) {
        (Some(one), Some(other)) => same_attributes(&one, &other) && same_pixels(one, other),
        _ => false,
    }
}

type Parsed<'a> = (InMemDicomObject, Opened<'a>);

fn same_attributes((one, one_raw): &Parsed<'_>, (other, other_raw): &Parsed<'_>) -> bool {
    let tags = compared(one);
    tags == compared(other)
        && tags.into_iter().all(|tag| {
            // The bytes as they came where both have them: the parser would have to know every character set.
            let raw = one_raw.raw(tag).zip(other_raw.raw(tag));
            raw.is_some_and(|(one, other)| same_bytes(one, other)) || same_element(one.get(tag), other.get(tag))
        })
}

/// The tags of what is compared.
fn compared(object: &InMemDicomObject) -> BTreeSet<Tag> {
    const ENCODING: [Tag; 6] = [
        tags::PIXEL_DATA,
        // Where encoders say what they did (DCMTK's dcmcjpeg does).
        tags::DERIVATION_DESCRIPTION,
        tags::DERIVATION_CODE_SEQUENCE,
        tags::EXTENDED_OFFSET_TABLE,
        tags::EXTENDED_OFFSET_TABLE_LENGTHS,
        tags::DATA_SET_TRAILING_PADDING,
    ];
    let tags = object.iter().map(|element| element.header().tag);
    tags.filter(|tag| tag.element() != 0 && !ENCODING.contains(tag)).collect()
}

fn same_element(one: Option<&InMemElement>, other: Option<&InMemElement>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    match (one.value(), other.value()) {
        (Value::Primitive(one), Value::Primitive(other)) => same_bytes(&one.to_bytes(), &other.to_bytes()),
        (Value::Sequence(one), Value::Sequence(other)) => same_items(one.items(), other.items()),
        // A private sequence that one encoding names and the other holds as bytes.
        (Value::Sequence(named), Value::Primitive(bytes)) | (Value::Primitive(bytes), Value::Sequence(named)) => {
            implicit_items(&bytes.to_bytes()).is_some_and(|items| same_items(named.items(), &items))
        }
        _ => false,
    }
}

fn same_items(one: &[InMemDicomObject], other: &[InMemDicomObject]) -> bool {
    let same = |(one, other): (&InMemDicomObject, &InMemDicomObject)| {
        let tags = compared(one);
        tags == compared(other) && tags.into_iter().all(|tag| same_element(one.get(tag), other.get(tag)))
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}

/// The items that the bytes of an unknown VR hold: implicit little endian, whatever is around them (PS3.5 6.2.2).
fn implicit_items(bytes: &[u8]) -> Option<Vec<InMemDicomObject>> {
    let [g0, g1] = tags::REFERENCED_IMAGE_SEQUENCE.group().to_le_bytes();
    let [e0, e1] = tags::REFERENCED_IMAGE_SEQUENCE.element().to_le_bytes();
    let length = u32::try_from(bytes.len()).ok()?.to_le_bytes();
    // Any standard sequence does: the parser then knows that these are items.
    let dataset = [&[g0, g1, e0, e1], length.as_slice(), bytes].concat();
    let implicit = TransferSyntaxRegistry.get(uids::IMPLICIT_VR_LITTLE_ENDIAN)?;
    let object = InMemDicomObject::read_dataset_with_ts(dataset.as_slice(), implicit).ok()?;
    Some(object.get(tags::REFERENCED_IMAGE_SEQUENCE)?.value().items()?.to_vec())
}

fn same_pixels((one, one_raw): Parsed<'_>, (other, other_raw): Parsed<'_>) -> bool {
    let has = |object: &InMemDicomObject| object.get(tags::PIXEL_DATA).is_some();
    match (has(&one), has(&other)) {
        (false, false) => true,
        (true, true) => {
            let one = pixels::decode(one, &one_raw.transfer_syntax);
            one.is_ok() && one == pixels::decode(other, &other_raw.transfer_syntax)
        }
        _ => false,
    }
}

/// The same bytes, but for one of padding to an even length.
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    let (short, long) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| matches!(rest, [] | [0] | [b' ']))
}
