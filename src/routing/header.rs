//! What an object says of itself, as far as routing asks.

use std::collections::BTreeMap;
use std::fmt;

use dicom_core::Tag;

/// Values of some attributes. Holds patient data, and so prints none of it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Header {
    values: BTreeMap<Tag, Vec<String>>,
}

impl Header {
    /// From the values of each attribute. A sequence with items, or bytes, have any value that is not empty.
    pub fn new(values: BTreeMap<Tag, Vec<String>>) -> Self {
        let trimmed = |v: String| v.trim_matches([' ', '\0', '\t', '\r', '\n']).to_owned();
        let values = values.into_iter().map(|(tag, list)| (tag, list.into_iter().map(trimmed).collect()));
        Self { values: values.collect() }
    }

    /// The values of an attribute, trimmed; empty when it is not there or all of them are empty.
    pub fn values(&self, tag: Tag) -> &[String] {
        let values = self.values.get(&tag).map(Vec::as_slice).unwrap_or_default();
        if values.iter().all(String::is_empty) { &[] } else { values }
    }

    /// The first value.
    pub fn text(&self, tag: Tag) -> &str {
        self.values(tag).first().map(String::as_str).unwrap_or_default()
    }

    /// The first value, when it is a number.
    pub fn number(&self, tag: Tag) -> Option<f64> {
        number(self.text(tag))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header of {} attributes", self.values.len())
    }
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}
