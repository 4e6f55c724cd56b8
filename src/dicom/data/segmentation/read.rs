//! A Segmentation as a receiver sees it.

use std::sync::Arc;

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::super::header::header_of;
use super::super::refusal::{Refusal, RefusalCode};
use super::super::values::{integer, items, missing, tag_name, text};
use super::super::{InstanceHeader, Series, part10};
use super::SEGMENTATION_STORAGE;
use crate::geometry::Mask;
use crate::ids::InstanceUid;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadSegment {
    /// Segment Number.
    pub number: i64,
    /// Segment Label.
    pub label: String,
    /// Its frames: the image that each lies on, and its pixels row by row.
    pub frames: Vec<(InstanceUid, Vec<bool>)>,
}

/// A binary Segmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadSegmentation {
    /// The header.
    pub header: InstanceHeader,
    /// Its segments, in the order of Segment Sequence.
    pub segments: Vec<ReadSegment>,
}

impl ReadSegment {
    /// The segment on the grid of the series that its frames refer to.
    ///
    /// # Errors
    /// A frame on no slice of the series, or of another size.
    pub fn mask(&self, series: &Series) -> Result<Mask, Refusal> {
        let grid = series.volume.grid();
        let shape = grid.shape();
        let mut mask = Mask::empty(Arc::clone(grid));
        for (image, pixels) in &self.frames {
            let slice = series.slices.iter().position(|s| s.instance == *image);
            let slice = slice.filter(|_| pixels.len() == shape.cols * shape.rows).ok_or_else(|| {
                bad(format!("a frame of {} lies on no image of the series, or has another size", self.label))
            })?;
            let start = mask.offset(0, 0, slice);
            for (to, from) in mask.data_mut()[start..start + pixels.len()].iter_mut().zip(pixels) {
                *to |= from;
            }
        }
        Ok(mask)
    }
}

fn bad(message: String) -> Refusal {
    Refusal::new(RefusalCode::StructureSet, message)
}

/// Reads a binary Segmentation whose frames each refer to one source image.
///
/// # Errors
/// Not DICOM, truncated, another kind of object, or frames that do not fit the pixels.
pub fn read_segmentation(bytes: &[u8]) -> Result<ReadSegmentation, Refusal> {
    let opened = part10::open(bytes)?;
    let object = opened.parse(Some(tags::PIXEL_DATA))?;
    let header = header_of(&opened, &object)?;
    if header.sop_class != SEGMENTATION_STORAGE || text(&object, tags::SEGMENTATION_TYPE) != "BINARY" {
        return Err(bad("this is no binary DICOM Segmentation".into()).with_tag(tag_name(tags::SOP_CLASS_UID)));
    }
    let extent = |tag| {
        let value = object.get(tag).and_then(|e| e.to_int::<u16>().ok());
        value.map(usize::from).ok_or_else(|| missing(tag, "without it the frames have no size"))
    };
    let pixels = extent(tags::ROWS)? * extent(tags::COLUMNS)?;
    let raw = opened.raw(tags::PIXEL_DATA).ok_or_else(|| missing(tags::PIXEL_DATA, "there are no frames"))?;
    let frames = items(&object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    if (frames.len() * pixels).div_ceil(8) > raw.len() {
        return Err(bad("the pixels end before the last frame".into()).with_tag(tag_name(tags::PIXEL_DATA)));
    }
    let mut segments = Vec::new();
    for item in items(&object, tags::SEGMENT_SEQUENCE) {
        let number = integer(item, tags::SEGMENT_NUMBER)?;
        let number = number.ok_or_else(|| missing(tags::SEGMENT_NUMBER, "frames refer to it"))?;
        segments.push(ReadSegment { number, label: text(item, tags::SEGMENT_LABEL), frames: Vec::new() });
    }
    for (n, frame) in frames.iter().enumerate() {
        let (number, image) = frame_of(frame)?;
        let lit = |p: usize| raw.get(p / 8).is_some_and(|byte| byte >> (p % 8) & 1 == 1);
        let segment = segments.iter_mut().find(|s| s.number == number);
        let segment =
            segment.ok_or_else(|| bad(format!("frame {} is of segment {number}, which is not there", n + 1)))?;
        segment.frames.push((image, (n * pixels..(n + 1) * pixels).map(lit).collect()));
    }
    Ok(ReadSegmentation { header, segments })
}

/// Segment number and source image of a frame.
fn frame_of(frame: &InMemDicomObject) -> Result<(i64, InstanceUid), Refusal> {
    let why = "a frame must say its segment and its image";
    let segment = items(frame, tags::SEGMENT_IDENTIFICATION_SEQUENCE);
    let number = segment.first().map(|o| integer(o, tags::REFERENCED_SEGMENT_NUMBER)).transpose()?.flatten();
    let number = number.ok_or_else(|| missing(tags::REFERENCED_SEGMENT_NUMBER, why))?;
    let derivation = items(frame, tags::DERIVATION_IMAGE_SEQUENCE);
    let image = derivation.first().and_then(|o| items(o, tags::SOURCE_IMAGE_SEQUENCE).first());
    let uid = image.map(|o| text(o, tags::REFERENCED_SOP_INSTANCE_UID)).unwrap_or_default();
    let image = InstanceUid::parse(&uid).map_err(|_| missing(tags::REFERENCED_SOP_INSTANCE_UID, why))?;
    Ok((number, image))
}
