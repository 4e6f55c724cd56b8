//! The attributes of an object, for a conformance statement.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::Header;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;

use super::part10;
use super::refusal::Refusal;

/// An attribute of an object, or of the items of a sequence in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRow {
    /// 0 in the object itself, 1 in an item of a sequence, and so on.
    pub depth: usize,
    /// As in PS3.6, for example `(3006,0002)`.
    pub tag: String,
    /// Keyword of PS3.6; empty for an attribute that it does not have.
    pub keyword: String,
    /// Value representation.
    pub vr: String,
}

/// Every attribute of a Part 10 file in the order of the file, those of all items of a sequence together and once.
///
/// # Errors
/// A refusal for what is not DICOM.
pub fn attributes_of(file: &[u8]) -> Result<Vec<AttributeRow>, Refusal> {
    let opened = part10::open(file)?;
    let mut object = opened.parse(Some(tags::PIXEL_DATA))?;
    // Not parsed, because nothing of it matters here but that it is there.
    if opened.raw(tags::PIXEL_DATA).is_some() {
        object.put(dicom_core::DataElement::empty(tags::PIXEL_DATA, VR::OW));
    }
    let mut rows = Vec::new();
    list(&[&object], 0, &mut rows);
    Ok(rows)
}

fn list(objects: &[&InMemDicomObject], depth: usize, rows: &mut Vec<AttributeRow>) {
    let mut all: Vec<Tag> = objects.iter().flat_map(|object| object.iter().map(|element| element.tag())).collect();
    all.sort_unstable();
    all.dedup();
    for tag in all {
        let elements: Vec<_> = objects.iter().filter_map(|object| object.get(tag)).collect();
        let Some(first) = elements.first() else { continue };
        let keyword = StandardDataDictionary.by_tag(tag).map(|entry| entry.alias().to_owned()).unwrap_or_default();
        rows.push(AttributeRow { depth, tag: tag.to_string(), keyword, vr: first.vr().to_string().to_owned() });
        let items: Vec<&InMemDicomObject> = elements.iter().filter_map(|e| e.items()).flatten().collect();
        list(&items, depth + 1, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::data::tests::support::{meta, oblique_series, rois, written};

    #[test]
    fn attributes_of_items_are_listed_once_and_with_their_depth() {
        let file = written(&oblique_series(), &rois(), &meta()).unwrap();
        let rows = attributes_of(&file.bytes).unwrap();
        let of = |keyword: &str| rows.iter().filter(|row| row.keyword == keyword).collect::<Vec<_>>();
        assert_eq!(of("Modality")[0].tag, "(0008,0060)");
        assert_eq!((of("StructureSetROISequence")[0].depth, of("StructureSetROISequence")[0].vr.as_str()), (0, "SQ"));
        assert_eq!((of("ROIName").len(), of("ROIName")[0].depth), (1, 1));
        assert_eq!(of("ContourData")[0].depth, 2);
        assert!(attributes_of(b"no DICOM").is_err());
    }
}
