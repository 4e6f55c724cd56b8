//! Values of attributes, read the same way everywhere: missing and unusable ones are refusals that name the tag.

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;

use super::charset;
use super::part10::Opened;
use super::refusal::{Refusal, RefusalCode};

/// A tag as people look it up: `(0020,0032) ImagePositionPatient`.
pub(super) fn tag_name(tag: Tag) -> String {
    match StandardDataDictionary.by_tag(tag) {
        Some(entry) => format!("{tag} {}", entry.alias()),
        None => tag.to_string(),
    }
}

/// A missing attribute.
pub(super) fn missing(tag: Tag, why: &str) -> Refusal {
    let message = format!("{} is missing or empty: {why}", tag_name(tag));
    Refusal::new(RefusalCode::MissingAttribute, message).with_tag(tag_name(tag))
}

/// An attribute whose value cannot be used.
pub(super) fn invalid(tag: Tag, value: &str, why: &str) -> Refusal {
    let value: String = value.chars().take(60).collect();
    let message = format!("{} is {value:?}: {why}", tag_name(tag));
    Refusal::new(RefusalCode::InvalidValue, message).with_tag(tag_name(tag))
}

/// The values of an attribute as trimmed text; none for a missing or empty one.
pub(super) fn texts(object: &InMemDicomObject, tag: Tag) -> Vec<String> {
    let Some(values) = object.get(tag).and_then(|e| e.value().to_multi_str().ok()) else { return Vec::new() };
    let values: Vec<String> = values.iter().map(|v| v.trim_matches(['\0', ' ']).to_owned()).collect();
    if values.iter().all(String::is_empty) { Vec::new() } else { values }
}

/// The value of an attribute as trimmed text, several values with backslashes between; empty for a missing one.
pub(super) fn text(object: &InMemDicomObject, tag: Tag) -> String {
    texts(object, tag).join("\\")
}

/// The items of a sequence; none for a missing one.
pub(super) fn items(object: &InMemDicomObject, tag: Tag) -> &[InMemDicomObject] {
    object.get(tag).and_then(|e| e.value().items()).unwrap_or_default()
}

/// The numbers of an attribute; `None` for a missing or empty one.
pub(super) fn numbers(object: &InMemDicomObject, tag: Tag) -> Result<Option<Vec<f64>>, Refusal> {
    let values = texts(object, tag);
    if values.is_empty() {
        return Ok(None);
    }
    let parsed: Option<Vec<f64>> =
        values.iter().map(|v| v.parse::<f64>().ok().filter(|n| n.is_finite() && n.abs() < 1e30)).collect();
    parsed.map(Some).ok_or_else(|| invalid(tag, &values.join("\\"), "this is not a list of usable numbers"))
}

/// Exactly `N` numbers, or a refusal that says why they are needed.
pub(super) fn exactly<const N: usize>(object: &InMemDicomObject, tag: Tag, why: &str) -> Result<[f64; N], Refusal> {
    let values = numbers(object, tag)?.ok_or_else(|| missing(tag, why))?;
    let count = values.len();
    values.try_into().map_err(|_| invalid(tag, &text(object, tag), &format!("{N} numbers are needed, not {count}")))
}

/// One whole number; `None` for a missing or empty attribute.
pub(super) fn integer(object: &InMemDicomObject, tag: Tag) -> Result<Option<i64>, Refusal> {
    let value = text(object, tag);
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| invalid(tag, &value, "this is not a whole number"))
}

/// Text that people read, in the declared character set, trimmed; empty for a missing attribute. Read from the bytes
/// because the parser knows no code extensions.
pub(super) fn decoded(opened: &Opened<'_>, tag: Tag) -> Result<String, Refusal> {
    let declared = opened.raw(tags::SPECIFIC_CHARACTER_SET).map(String::from_utf8_lossy).unwrap_or_default();
    let sets: Vec<String> = declared.split('\\').map(|s| s.trim_matches(['\0', ' ']).to_owned()).collect();
    let raw = opened.raw(tag).unwrap_or_default();
    let text = charset::decode(raw, &sets).ok_or_else(|| {
        let message = format!("{} cannot be decoded in character set {:?}", tag_name(tag), sets.join("\\"));
        Refusal::new(RefusalCode::InvalidValue, message).with_tag(tag_name(tag))
    })?;
    let text = text.trim_matches(['\0', ' ']);
    if text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t' | '\x0C')) {
        let message = format!("{} holds control characters in character set {:?}", tag_name(tag), sets.join("\\"));
        return Err(Refusal::new(RefusalCode::InvalidValue, message).with_tag(tag_name(tag)));
    }
    Ok(text.to_owned())
}
