//! Stored bits to values.

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::support::{edited, encoded, oblique_grid, with};
use crate::dicom::data::{RefusalCode, parse_instance};

const N: usize = 17 * 13;

fn short(object: &mut InMemDicomObject, tag: dicom_core::Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

/// A slice with these words as its first pixels, and this layout.
fn slice(words: &[u16], stored: u16, high: u16, signed: bool, more: impl FnOnce(&mut InMemDicomObject)) -> Vec<u8> {
    edited(&encoded(oblique_grid())[3].bytes, |o| {
        let mut pixels = words.to_vec();
        pixels.resize(N, 0);
        o.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.into())));
        short(o, tags::BITS_STORED, stored);
        short(o, tags::HIGH_BIT, high);
        short(o, tags::PIXEL_REPRESENTATION, u16::from(signed));
        more(o);
    })
}

fn first<const K: usize>(file: &[u8]) -> [f32; K] {
    std::array::from_fn(|n| parse_instance(file).unwrap().image.values[n])
}

#[test]
fn stored_bits_are_masked_shifted_and_signed() {
    // Bits above the stored ones are overlays or rubbish.
    assert_eq!(first(&slice(&[0xF123, 0x0FFF, 0x8000], 12, 11, false, |_| {})), [291.0, 4095.0, 0.0]);
    assert_eq!(first(&slice(&[0xF123, 0x0FFF, 0x0800], 12, 11, true, |_| {})), [291.0, -1.0, -2048.0]);
    assert_eq!(first(&slice(&[0x1234, 0xFFF5], 12, 15, false, |_| {})), [291.0, 4095.0]);
    assert_eq!(first(&slice(&[0xFFFF, 0x8000], 16, 15, true, |_| {})), [-1.0, -32768.0]);
    assert_eq!(first(&slice(&[0xFFFF], 16, 15, false, |_| {})), [65535.0]);
}

#[test]
fn bytes_are_pixels_too() {
    let file = edited(&encoded(oblique_grid())[3].bytes, |o| {
        let mut bytes: Vec<u8> = (0..N).map(|n| (n * 3 % 251) as u8).collect();
        bytes.push(0); // to an even length
        o.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(bytes.into())));
        for (tag, value) in [(tags::BITS_ALLOCATED, 8), (tags::BITS_STORED, 8), (tags::HIGH_BIT, 7)] {
            short(o, tag, value);
        }
    });
    assert_eq!(first(&file), [0.0, 3.0, 6.0]);
    assert_eq!(parse_instance(&file).unwrap().image.values[N - 1], ((N - 1) * 3 % 251) as f32);
}

#[test]
fn bytes_in_the_place_of_words_have_their_bits_at_the_bottom() {
    for high in [7, 15] {
        let file = slice(&[], 8, high, false, |o| {
            let mut bytes: Vec<u8> = (0..N).map(|n| (n * 3 % 251) as u8).collect();
            bytes.push(0);
            o.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(bytes.into())));
        });
        assert_eq!(first(&file), [0.0, 3.0, 6.0], "High Bit {high}");
    }
}

#[test]
fn rescale_belongs_to_the_slice() {
    let file = with(&slice(&[10, 20], 12, 11, false, |_| {}), tags::RESCALE_SLOPE, VR::DS, "2.5");
    assert_eq!(first(&with(&file, tags::RESCALE_INTERCEPT, VR::DS, "-4")), [21.0, 46.0]);
    assert_eq!(first(&file), [25.0, 50.0]);
}

#[test]
fn monochrome1_is_turned_round() {
    let file = slice(&[10, 4095], 12, 11, false, |_| {});
    let inverted = with(&file, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1");
    assert_eq!(first(&inverted), [4085.0, 0.0]);
    let signed = slice(&[0xFFFF, 0x07FF], 12, 11, true, |_| {});
    assert_eq!(first(&with(&signed, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME1")), [0.0, -2048.0]);
}

#[test]
fn padding_becomes_background() {
    let words: Vec<u16> = (0..N as u16).map(|n| if n < 3 { 0xF800 } else { 50 + n }).collect();
    let padded = |o: &mut InMemDicomObject| short(o, tags::PIXEL_PADDING_VALUE, 0xF800);
    assert_eq!(first(&slice(&words, 16, 15, true, padded)), [53.0, 53.0, 53.0, 53.0, 54.0]);
    // Without the attribute it is a value as any other.
    assert_eq!(first(&slice(&words, 16, 15, true, |_| {})), [-2048.0]);
    let range = |o: &mut InMemDicomObject| {
        short(o, tags::PIXEL_PADDING_VALUE, 0xF800);
        short(o, tags::PIXEL_PADDING_RANGE_LIMIT, 54);
    };
    assert_eq!(first(&slice(&words, 16, 15, true, range)), [55.0, 55.0, 55.0, 55.0, 55.0, 55.0, 56.0]);
}

#[test]
fn images_that_are_no_grey_slices_are_refused() {
    let file = slice(&[1], 12, 11, false, |_| {});
    let code = |file: Vec<u8>| parse_instance(&file).unwrap_err().code;
    assert_eq!(code(with(&file, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB")), RefusalCode::Colour);
    assert_eq!(code(with(&file, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "PALETTE COLOR")), RefusalCode::Colour);
    assert_eq!(code(with(&file, tags::NUMBER_OF_FRAMES, VR::IS, "2")), RefusalCode::InvalidValue);
    for (tag, value, want) in [
        (tags::SAMPLES_PER_PIXEL, 3, RefusalCode::Colour),
        (tags::BITS_ALLOCATED, 32, RefusalCode::InvalidValue),
        (tags::BITS_ALLOCATED, 0, RefusalCode::InvalidValue),
        (tags::BITS_STORED, 17, RefusalCode::InvalidValue),
        (tags::BITS_STORED, 0, RefusalCode::InvalidValue),
        (tags::HIGH_BIT, 3, RefusalCode::InvalidValue),
        (tags::HIGH_BIT, 16, RefusalCode::InvalidValue),
        (tags::PIXEL_REPRESENTATION, 2, RefusalCode::InvalidValue),
        (tags::ROWS, 0, RefusalCode::InvalidValue),
        (tags::COLUMNS, 60_000, RefusalCode::InvalidValue),
        (tags::ROWS, 12, RefusalCode::PixelData),
        (tags::COLUMNS, 18, RefusalCode::PixelData),
    ] {
        assert_eq!(code(edited(&file, |o| short(o, tag, value))), want, "{tag} = {value}");
    }
}
