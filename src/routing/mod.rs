//! Which series goes where: rules over a header, and recognition of T1-weighted images after gadolinium. Pure: values to
//! values, each with its reasons in words.
//!
//! - [`When`]: a rule as the configuration writes it; [`Rule`]: the rule itself, [`Explanation`] what came of it.
//! - [`recognise()`]: whether an image is T1-weighted and whether it was taken after gadolinium, as scores with reasons.
//! - [`Priority`]: what is segmented first.
//!
//! Rules may ask for anything in a header, the patient's name among it. What an explanation repeats is decided here: see
//! [`Reader`].

mod attribute;
mod header;
mod priority;
mod recognise;
mod rule;
mod written;

pub use attribute::Attribute;
pub use header::Header;
pub use priority::Priority;
pub use recognise::{ASKED, Finding, Likelihood, Reason, Recognition, recognise};
pub use rule::{Explanation, Looks, Reader, Rule};
pub use written::When;

/// The tag of an attribute.
pub use dicom_core::Tag;

/// The tags of every attribute that some rules, recognition and priorities look at, each once.
pub fn asked<'a>(rules: impl Iterator<Item = &'a Rule>) -> Vec<Tag> {
    let priority = dicom_dictionary_std::tags::REQUESTED_PROCEDURE_PRIORITY;
    let of_rules = rules.flat_map(Rule::attributes).map(|attribute| attribute.tag());
    let all: std::collections::BTreeSet<Tag> = ASKED.into_iter().chain([priority]).chain(of_rules).collect();
    all.into_iter().collect()
}

#[cfg(test)]
mod tests;
