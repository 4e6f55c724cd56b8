//! Where the elements of a data set lie, walked before the parser sees it.
//!
//! The DICOM parser believes a declared length and reserves that much memory, and it descends into sequences by
//! recursion. An object from the network can declare four gigabytes in a file of one kilobyte, or nest a million
//! items. This walk touches headers only, checks that every declared length lies inside its surroundings, bounds the
//! nesting, and says where a truncated file ends.

use std::ops::Range;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;

use super::refusal::{Refusal, RefusalCode};
use super::values::tag_name;

/// How elements are encoded; both little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Implicit,
    Explicit,
}

/// One element of the data set's top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub tag: Tag,
    /// Where its header starts.
    pub start: usize,
    /// Where its value lies.
    pub value: Range<usize>,
}

/// The elements of the data set's top level, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub elements: Vec<Element>,
}

impl Layout {
    /// The first element of this tag.
    pub fn find(&self, tag: Tag) -> Option<&Element> {
        self.elements.iter().find(|e| e.tag == tag)
    }
}

const UNDEFINED: u32 = u32::MAX;
const MAX_DEPTH: usize = 32;
const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);

/// An element header.
pub(super) struct Header {
    pub tag: Tag,
    pub vr: Option<VR>,
    pub length: u32,
    /// Where the value starts.
    pub value: usize,
}

/// Walks a data set up to its end or to its first damage; answers what lies before, and the damage:
/// [`RefusalCode::Truncated`] where a declared length or an open sequence runs past the end,
/// [`RefusalCode::NotDicom`] for absurd nesting.
pub(super) fn walk(bytes: &[u8], encoding: Encoding) -> (Layout, Option<Refusal>) {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes.len() - at < 8 && bytes[at..].iter().all(|b| *b == 0) {
            break; // padding behind the last element
        }
        match element_at(bytes, at, encoding) {
            Ok(element) => {
                at = element.value.end;
                elements.push(element);
            }
            Err(damage) => return (Layout { elements }, Some(damage)),
        }
    }
    (Layout { elements }, None)
}

fn element_at(bytes: &[u8], at: usize, encoding: Encoding) -> Result<Element, Refusal> {
    let header = read_header(bytes, at, bytes.len(), encoding)?;
    let end = element_end(bytes, &header, bytes.len(), encoding, 0)?;
    Ok(Element { tag: header.tag, start: at, value: header.value..end })
}

/// Reads an element header at `at`; the header must lie before `limit`.
pub(super) fn read_header(bytes: &[u8], at: usize, limit: usize, encoding: Encoding) -> Result<Header, Refusal> {
    let cut = || {
        Refusal::new(
            RefusalCode::Truncated,
            format!(
                "the object ends at byte {limit} inside the header of an element; it was cut short: fetch it again"
            ),
        )
    };
    let bytes = bytes.get(..limit).unwrap_or(bytes);
    let u16_at = |n: usize| bytes.get(n..n + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    let u32_at = |n: usize| bytes.get(n..n + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let tag = Tag(u16_at(at).ok_or_else(cut)?, u16_at(at + 2).ok_or_else(cut)?);
    if encoding == Encoding::Implicit || tag.0 == 0xFFFE {
        let length = u32_at(at + 4).ok_or_else(cut)?;
        let vr = match encoding {
            Encoding::Implicit => StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed()),
            Encoding::Explicit => None,
        };
        return Ok(Header { tag, vr, length, value: at + 8 });
    }
    let name = bytes.get(at + 4..at + 6).ok_or_else(cut)?;
    // What the standard does not know yet has the long form (PS3.5 section 6.2).
    let vr = VR::from_binary([name[0], name[1]]).unwrap_or(VR::UN);
    let long = matches!(
        vr,
        VR::OB
            | VR::OD
            | VR::OF
            | VR::OL
            | VR::OV
            | VR::OW
            | VR::SQ
            | VR::SV
            | VR::UC
            | VR::UN
            | VR::UR
            | VR::UT
            | VR::UV
    );
    let (length, value) = if long {
        (u32_at(at + 8).ok_or_else(cut)?, at + 12)
    } else {
        (u32::from(u16_at(at + 6).ok_or_else(cut)?), at + 8)
    };
    Ok(Header { tag, vr: Some(vr), length, value })
}

/// Where the element ends; checks everything inside it.
fn element_end(
    bytes: &[u8],
    header: &Header,
    limit: usize,
    encoding: Encoding,
    depth: usize,
) -> Result<usize, Refusal> {
    if header.length == UNDEFINED {
        if header.tag == dicom_dictionary_std::tags::PIXEL_DATA {
            return fragments_end(bytes, header, limit);
        }
        // An undefined length is a sequence whatever its VR says; under UN it is implicit (PS3.5 section 6.2.2).
        let inner = if header.vr == Some(VR::UN) { Encoding::Implicit } else { encoding };
        return sequence_end(bytes, header, None, limit, inner, depth);
    }
    let end = defined_end(header, limit)?;
    if header.vr == Some(VR::SQ) {
        sequence_end(bytes, header, Some(end), limit, encoding, depth)?;
    }
    Ok(end)
}

fn defined_end(header: &Header, limit: usize) -> Result<usize, Refusal> {
    let end = header.value.saturating_add(header.length as usize);
    if end <= limit {
        return Ok(end);
    }
    Err(Refusal::new(
        RefusalCode::Truncated,
        format!(
            "{} declares {} bytes but only {} are left; the object was cut short or is damaged: fetch it again",
            tag_name(header.tag),
            header.length,
            limit.saturating_sub(header.value)
        ),
    )
    .with_tag(tag_name(header.tag)))
}

fn open_end(tag: Tag) -> Refusal {
    Refusal::new(
        RefusalCode::Truncated,
        format!("the object ends inside {}; it was cut short: fetch it again", tag_name(tag)),
    )
    .with_tag(tag_name(tag))
}

/// Walks the items of a sequence up to its delimiter (`end` is `None`) or its declared end.
fn sequence_end(
    bytes: &[u8],
    sequence: &Header,
    end: Option<usize>,
    limit: usize,
    encoding: Encoding,
    depth: usize,
) -> Result<usize, Refusal> {
    if depth >= MAX_DEPTH {
        let message = format!("{} is nested more than {MAX_DEPTH} deep; the object is damaged", tag_name(sequence.tag));
        return Err(Refusal::new(RefusalCode::NotDicom, message).with_tag(tag_name(sequence.tag)));
    }
    let limit = end.unwrap_or(limit);
    let mut at = sequence.value;
    loop {
        if end == Some(at) {
            return Ok(at);
        }
        let item = read_header(bytes, at, limit, encoding).map_err(|_| open_end(sequence.tag))?;
        match item.tag {
            SEQUENCE_END => return Ok(item.value),
            ITEM if item.length == UNDEFINED => at = elements_end(bytes, &item, limit, true, encoding, depth + 1)?,
            ITEM => {
                let item_limit = defined_end(&item, limit)?;
                at = elements_end(bytes, &item, item_limit, false, encoding, depth + 1)?;
            }
            other => {
                let message = format!("{} holds {} where an item must be", tag_name(sequence.tag), tag_name(other));
                return Err(Refusal::new(RefusalCode::NotDicom, message).with_tag(tag_name(sequence.tag)));
            }
        }
    }
}

/// Walks the elements of an item up to its delimiter (`delimited`) or to `limit`.
fn elements_end(
    bytes: &[u8],
    item: &Header,
    limit: usize,
    delimited: bool,
    encoding: Encoding,
    depth: usize,
) -> Result<usize, Refusal> {
    let mut at = item.value;
    loop {
        if at >= limit {
            return if delimited { Err(open_end(item.tag)) } else { Ok(at) };
        }
        let header = read_header(bytes, at, limit, encoding)?;
        if header.tag == ITEM_END {
            return Ok(header.value);
        }
        at = element_end(bytes, &header, limit, encoding, depth)?;
    }
}

/// Walks the fragments of encapsulated pixel data up to the delimiter.
fn fragments_end(bytes: &[u8], pixels: &Header, limit: usize) -> Result<usize, Refusal> {
    let mut at = pixels.value;
    loop {
        let item = read_header(bytes, at, limit, Encoding::Implicit).map_err(|_| open_end(pixels.tag))?;
        match item.tag {
            SEQUENCE_END => return Ok(item.value),
            ITEM if item.length != UNDEFINED => at = defined_end(&item, limit).map_err(|_| open_end(pixels.tag))?,
            _ => {
                let message = "the compressed pixel data are no sequence of fragments; the object is damaged";
                return Err(Refusal::new(RefusalCode::NotDicom, message).with_tag(tag_name(pixels.tag)));
            }
        }
    }
}
