//! Whether an image is one that the networks were made for: a T1 of a whole head, upright, without heavy artefacts.
//!
//! What is not is held for a person, with reasons in words. The check is a function of the image on the working grid, as
//! the networks get it, and of how much brain they found. It measures things that can be pointed at ([`Measure`]) and
//! holds what lies outside fixed limits ([`LIMITS`]): between ordinary synthetic heads and wrong inputs.

mod limits;
mod look;
mod measure;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use limits::{LIMITS, Limit};
pub use measure::Measure;

use crate::geometry::{GeometryError, Volume};

/// The `[domain]` section: the check of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DomainConfig {
    /// Whether images are checked at all.
    pub enabled: bool,
    /// How far from usual images may be, as a part of the limits' own distance from usual: 2 lets pass what is twice as
    /// far off, 0.5 holds what is half as far off.
    pub slack: f64,
    /// Least and most brain that the networks may find, cm3. The brain of a child of one year has about 850, the largest of
    /// adults about 1800 (Courchesne and others, Radiology 216, 2000); what is far outside is no brain.
    pub brain_cc: [f64; 2],
}

impl Default for DomainConfig {
    fn default() -> Self {
        Self { enabled: true, slack: 1.0, brain_cc: [600.0, 2300.0] }
    }
}

impl DomainConfig {
    /// Every fault of this section, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(0.1..=10.0).contains(&self.slack) {
            faults.push(format!("slack is {}: set 0.1 to 10", self.slack));
        }
        let [least, most] = self.brain_cc;
        if !(least >= 0.0 && least < most && most.is_finite()) {
            faults.push(format!("brain_cc is [{least}, {most}]: set the least and the most, in cm3"));
        }
        faults
    }
}

/// What the check says of an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Why a person must look at it, in words; empty: nothing is wrong with it.
    pub reasons: Vec<String>,
    /// Everything that was measured.
    pub measures: Vec<Measured>,
}

/// One measure of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Which.
    pub measure: Measure,
    /// Its value; absent when it cannot be taken, as where there is no head.
    pub value: Option<f64>,
    /// From where to where it lets an image pass.
    pub allowed: [f64; 2],
}

impl Verdict {
    /// The reasons, one a line; `None` when the image may go its way.
    pub fn held(&self) -> Option<String> {
        (!self.reasons.is_empty()).then(|| self.reasons.join("\n"))
    }
}

/// Judges an image on the working grid (any intensity unit; x to the left, y to the back, z upwards, mm), and the volume
/// of brain that the networks found in it, cm3, where they were asked.
///
/// # Errors
/// [`GeometryError`] for a grid too small to be looked at.
pub fn judge(working: &Volume<f32>, brain_cc: Option<f64>, config: &DomainConfig) -> Result<Verdict, GeometryError> {
    let values = measure::measures(&look::Look::new(working)?);
    let mut verdict = Verdict::default();
    for (limit, value) in LIMITS.iter().zip(values) {
        let allowed = limit.allowed(config.slack);
        verdict.reasons.extend(limit.objection(value, allowed));
        let value = value.is_finite().then_some(value);
        verdict.measures.push(Measured { measure: limit.measure, value, allowed });
    }
    let [least, most] = config.brain_cc;
    if let Some(found) = brain_cc.filter(|cc| !(least..=most).contains(cc)) {
        verdict
            .reasons
            .push(format!("the networks found {found:.0} cm3 of brain: a brain has {least:.0} to {most:.0}"));
    }
    Ok(verdict)
}
