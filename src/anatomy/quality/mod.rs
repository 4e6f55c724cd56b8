//! How far a structure can be trusted: evidence about it, held against what is usual, as a traffic light with reasons.
//!
//! The evidence is plain numbers ([`Measure`]): what the three networks say of the structure, what the rules changed, its
//! volume, shape and place. What is usual for a class is in the model's card ([`Limits`]), measured on synthetic heads by
//! `cargo bench --bench quality`; what no adult has ([`reference()`]) comes from the literature. A light says nothing about
//! a contour that all networks got wrong in the same plausible way.

mod judge;
mod limits;
mod measure;
mod reference;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use judge::{Signs, Subject, judge, signs};
pub use limits::{ClassLimits, Figures, Limits};
pub use measure::{Measure, anatomy_of, beside};
pub use reference::{Reference, reference};

/// What is known of one structure; a measure that cannot be taken is absent.
pub type Evidence = BTreeMap<Measure, f64>;

/// How much a reviewer should doubt a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Light {
    /// Nothing odd was measured. It is to be looked at all the same.
    Green,
    /// Something is odd: look at it with care.
    Amber,
    /// Do not use it before a person has decided.
    Red,
}

impl Light {
    /// The word in reports, on the page and in descriptions.
    pub const fn name(self) -> &'static str {
        match self {
            Light::Green => "green",
            Light::Amber => "amber",
            Light::Red => "red",
        }
    }
}

/// A light and why it is not green.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of the reasons' lights.
    pub light: Light,
    /// In words, the worst first; empty when green.
    pub reasons: Vec<String>,
}

#[cfg(test)]
mod tests;
