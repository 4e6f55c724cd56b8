//! Stored pixels to values: decompression, bit masks, sign, rescale, MONOCHROME1, padding (PS3.3 C.7.6.3, PS3.5 8.1).

use std::panic::{AssertUnwindSafe, catch_unwind};

use dicom_core::Tag;
use dicom_core::value::Value;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_pixeldata::PixelDecoder;

use super::part10::{error_chain, lossless, with_meta};
use super::refusal::{Refusal, RefusalCode};
use super::values::{integer, invalid, missing, numbers, tag_name, text};

/// A decoded image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Image {
    pub columns: usize,
    pub rows: usize,
    /// Row after row, rescaled.
    pub values: Vec<f32>,
    /// Once compressed with loss, now or before.
    pub lossy: bool,
}

/// How a stored pixel is laid out in its word.
struct Word {
    bytes: usize,
    stored: u32,
    high: u32,
    signed: bool,
}

impl Word {
    fn read(object: &InMemDicomObject) -> Result<Self, Refusal> {
        let allocated = needed(object, tags::BITS_ALLOCATED)?;
        if !matches!(allocated, 8 | 16) {
            return Err(invalid(
                tags::BITS_ALLOCATED,
                &allocated.to_string(),
                "only 8 and 16 bit images are read here",
            ));
        }
        let stored = integer(object, tags::BITS_STORED)?.unwrap_or(allocated);
        let high = integer(object, tags::HIGH_BIT)?.unwrap_or(stored - 1);
        if !(1..=allocated).contains(&stored) {
            return Err(invalid(tags::BITS_STORED, &stored.to_string(), "it must lie between 1 and Bits Allocated"));
        }
        if !(stored - 1..allocated).contains(&high) {
            return Err(invalid(tags::HIGH_BIT, &high.to_string(), "the stored bits do not fit below it"));
        }
        let signed = match integer(object, tags::PIXEL_REPRESENTATION)?.unwrap_or(0) {
            0 => false,
            1 => true,
            other => return Err(invalid(tags::PIXEL_REPRESENTATION, &other.to_string(), "it must be 0 or 1")),
        };
        // All four lie between 0 and 16 by now.
        Ok(Self { bytes: allocated as usize / 8, stored: stored as u32, high: high as u32, signed })
    }

    /// The number stored in a word.
    fn value(&self, word: u16) -> i32 {
        let value = i32::from(word >> (self.high + 1 - self.stored)) & ((1 << self.stored) - 1);
        if self.signed && value >> (self.stored - 1) == 1 { value - (1 << self.stored) } else { value }
    }

    /// Smallest and largest number that can be stored.
    fn range(&self) -> (i32, i32) {
        let span = 1i32 << self.stored;
        if self.signed { (-span / 2, span / 2 - 1) } else { (0, span - 1) }
    }
}

fn needed(object: &InMemDicomObject, tag: Tag) -> Result<i64, Refusal> {
    integer(object, tag)?.ok_or_else(|| missing(tag, "without it the pixels cannot be read"))
}

/// Decodes the pixels of a classic single-frame grey image.
///
/// # Errors
/// Colour, several frames, pixels that cannot be decoded or do not fit Rows and Columns.
pub(super) fn decode(object: InMemDicomObject, transfer_syntax: &str) -> Result<Image, Refusal> {
    let photometric = text(&object, tags::PHOTOMETRIC_INTERPRETATION);
    let samples = integer(&object, tags::SAMPLES_PER_PIXEL)?.unwrap_or(1);
    let inverted = photometric == "MONOCHROME1";
    if samples != 1 || !(inverted || photometric == "MONOCHROME2") {
        let message = format!(
            "this is not a grey image ({photometric}, {samples} samples per pixel): send the MR images themselves, not screen captures or colour maps"
        );
        return Err(Refusal::new(RefusalCode::Colour, message).with_tag(tag_name(tags::PHOTOMETRIC_INTERPRETATION)));
    }
    if let Some(frames) = integer(&object, tags::NUMBER_OF_FRAMES)?.filter(|n| *n != 1) {
        let why = "an image with several frames is not read here; export the series as classic MR images";
        return Err(invalid(tags::NUMBER_OF_FRAMES, &frames.to_string(), why));
    }
    let side = |tag| {
        let value = needed(&object, tag)?;
        usize::try_from(value)
            .ok()
            .filter(|n| (1..=8192).contains(n))
            .ok_or_else(|| invalid(tag, &value.to_string(), "an MR slice has between 1 and 8192 rows and columns"))
    };
    let (columns, rows) = (side(tags::COLUMNS)?, side(tags::ROWS)?);
    let word = Word::read(&object)?;
    let slope = one_number(&object, tags::RESCALE_SLOPE, 1.0)?;
    let intercept = one_number(&object, tags::RESCALE_INTERCEPT, 0.0)?;
    if slope == 0.0 || slope.abs() > 1e9 || intercept.abs() > 1e9 {
        return Err(invalid(tags::RESCALE_SLOPE, &slope.to_string(), "rescaling with it gives no usable image"));
    }
    let padding = padding(&object, &word)?;

    let lossy = lossless(transfer_syntax) == Some(false) || text(&object, tags::LOSSY_IMAGE_COMPRESSION) == "01";
    let bytes = stored_bytes(object, transfer_syntax, columns, rows)?;
    let count = columns * rows;
    // Some encoders write samples of at most 8 bits as bytes, whatever Bits Allocated says.
    let narrow = bytes.len() < 2 * count && word.stored <= 8;
    let width = if narrow { 1 } else { word.bytes };
    // Then the bits are the byte's lowest, whatever High Bit says of a word.
    let word = if narrow && word.high > 7 { Word { high: word.stored - 1, ..word } } else { word };
    if bytes.len() < width * count || bytes.len() > width * count + 1 {
        let message = format!(
            "the pixel data hold {} bytes, but {columns} columns x {rows} rows of {width} bytes need {}; fetch the image again",
            bytes.len(),
            width * count
        );
        return Err(Refusal::new(RefusalCode::PixelData, message).with_tag(tag_name(tags::PIXEL_DATA)));
    }
    let words = bytes.chunks_exact(width).take(count).map(|b| match *b {
        [low, high] => u16::from_le_bytes([low, high]),
        [byte] => u16::from(byte),
        _ => 0,
    });
    let (low, high) = word.range();
    let rescaled = |stored: i32| {
        let shown = if inverted { low + high - stored } else { stored };
        (f64::from(shown) * slope + intercept) as f32
    };
    let stored: Vec<i32> = words.map(|w| word.value(w)).collect();
    let is_padding = |v: i32| padding.is_some_and(|(from, to)| (from..=to).contains(&v));
    let background = stored.iter().filter(|v| !is_padding(**v)).map(|v| rescaled(*v)).fold(f32::INFINITY, f32::min);
    let background = if background.is_finite() { background } else { 0.0 };
    let values = stored.into_iter().map(|v| if is_padding(v) { background } else { rescaled(v) }).collect();
    Ok(Image { columns, rows, values, lossy })
}

fn one_number(object: &InMemDicomObject, tag: Tag, default: f64) -> Result<f64, Refusal> {
    Ok(numbers(object, tag)?.and_then(|v| v.first().copied()).unwrap_or(default))
}

/// The stored values that mean "no pixel": Pixel Padding Value, up to Pixel Padding Range Limit.
fn padding(object: &InMemDicomObject, word: &Word) -> Result<Option<(i32, i32)>, Refusal> {
    // Declared US or SS, the two differ in sign only: both go through the pixel's own mask and sign.
    let read = |tag| Ok(integer(object, tag)?.map(|v| word.value((v & 0xFFFF) as u16)));
    let Some(value) = read(tags::PIXEL_PADDING_VALUE)? else { return Ok(None) };
    let limit = read(tags::PIXEL_PADDING_RANGE_LIMIT)?.unwrap_or(value);
    Ok(Some((value.min(limit), value.max(limit))))
}

/// The stored pixels as little endian bytes.
fn stored_bytes(
    object: InMemDicomObject,
    transfer_syntax: &str,
    columns: usize,
    rows: usize,
) -> Result<Vec<u8>, Refusal> {
    let broken = |reason: String| {
        let message =
            format!("the pixel data cannot be decoded: {reason}; fetch the image again, uncompressed if need be");
        Refusal::new(RefusalCode::PixelData, message).with_tag(tag_name(tags::PIXEL_DATA))
    };
    let element = object
        .get(tags::PIXEL_DATA)
        .ok_or_else(|| missing(tags::PIXEL_DATA, "there is no image in this object, or it was cut short"))?;
    let fragments = match element.value() {
        Value::Primitive(bytes) if is_native(transfer_syntax) => return Ok(bytes.to_bytes().into_owned()),
        Value::PixelSequence(sequence) if !is_native(transfer_syntax) => sequence.fragments(),
        _ => return Err(broken(format!("they are not as transfer syntax {transfer_syntax} wants them"))),
    };
    // The decoders reserve what the codestream declares and fill up what it lacks, so it is measured first.
    let first = fragments.first().map(Vec::as_slice).unwrap_or_default();
    let fits = if transfer_syntax == uids::RLE_LOSSLESS {
        fragments.len() == 1 && rle_pixels(first).is_some_and(|n| n == columns * rows)
    } else {
        codestream_size(first) == Some(Declared { columns, rows, components: 1 })
    };
    if !fits {
        return Err(broken(format!("the compressed image is not a grey one of {columns} columns x {rows} rows")));
    }
    let object = with_meta(object, transfer_syntax).ok_or_else(|| broken("no file meta information".into()))?;
    // The decoders are foreign code fed with foreign bytes: a panic in one must not take the service down.
    let decoded = catch_unwind(AssertUnwindSafe(|| object.decode_pixel_data().map(|d| d.data().to_vec())));
    match decoded {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(broken(error_chain(&error))),
        Err(_) => Err(broken("the compressed image is damaged".into())),
    }
}

fn is_native(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
    )
}

/// Pixels that the segments of an RLE frame unpack to; `None` when they differ or run past the end (PS3.5 annex G).
fn rle_pixels(frame: &[u8]) -> Option<usize> {
    let word = |n: usize| frame.get(4 * n..4 * n + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    // One for each byte of a grey pixel.
    let segments = word(0).filter(|n| (1..=2).contains(n))?;
    let mut pixels = None;
    for n in 1..=segments {
        let end = if n == segments { frame.len() } else { word(n + 1)? };
        let segment = frame.get(word(n)?..end)?;
        let (mut at, mut length) = (0, 0);
        // A byte left over is padding to an even length.
        while at + 1 < segment.len() {
            let control = usize::from(*segment.get(at)?);
            match control {
                0..=127 => (at, length) = (at + 2 + control, length + control + 1),
                128 => at += 1,
                _ => (at, length) = (at + 2, length + 257 - control),
            }
        }
        if at > segment.len() || pixels.is_some_and(|p| p != length) {
            return None;
        }
        pixels = Some(length);
    }
    pixels
}

/// What a codestream says of its image before anything is decoded.
#[derive(Debug, PartialEq, Eq)]
struct Declared {
    columns: usize,
    rows: usize,
    /// Samples a pixel.
    components: usize,
}

/// What the header of a JPEG, JPEG-LS or JPEG 2000 codestream declares.
fn codestream_size(bytes: &[u8]) -> Option<Declared> {
    let u16_at = |n: usize| bytes.get(n..n + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
    let u32_at = |n: usize| Some(u16_at(n)? << 16 | u16_at(n + 2)?);
    match u16_at(0)? {
        // JPEG 2000: SOC, then SIZ with the reference grid, the image's offset in it, the tiles and the components.
        0xFF4F if u16_at(2)? == 0xFF51 => {
            let (columns, rows) = (u32_at(8)?.checked_sub(u32_at(16)?)?, u32_at(12)?.checked_sub(u32_at(20)?)?);
            Some(Declared { columns, rows, components: u16_at(40)? })
        }
        // JPEG and JPEG-LS: segments up to the start of frame.
        0xFFD8 => {
            let mut at = 2;
            loop {
                let marker = u16_at(at)?;
                match marker {
                    0xFFC4 | 0xFFC8 | 0xFFCC => {}
                    0xFFC0..=0xFFCF | 0xFFF7 => {
                        let components = usize::from(*bytes.get(at + 9)?);
                        return Some(Declared { columns: u16_at(at + 7)?, rows: u16_at(at + 5)?, components });
                    }
                    0xFFFF => {
                        at += 1;
                        continue;
                    }
                    _ => {}
                }
                at += 2 + u16_at(at + 2)?;
            }
        }
        _ => None,
    }
}
