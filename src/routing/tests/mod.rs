//! Rules, recognition and what must hold of them whatever a header says.

mod kinds;
mod laws;
mod rules;

use std::collections::BTreeMap;

use super::*;
use crate::routing::attribute::Attribute;

/// A header from keywords and values; several values with backslashes between.
fn header(values: &[(&str, &str)]) -> Header {
    let values = values
        .iter()
        .map(|(name, value)| (Attribute::named(name).unwrap().tag(), value.split('\\').map(str::to_owned).collect()));
    Header::new(values.collect::<BTreeMap<_, _>>())
}
