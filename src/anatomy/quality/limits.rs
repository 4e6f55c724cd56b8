//! What is usual for a model's structures: the `[quality]` table of its card.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Measure, Signs};
use crate::anatomy::Class;

/// `[quality]`, written by `cargo bench --bench quality -- --write`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// What wrote it.
    pub command: String,
    /// When, year-month-day.
    pub created: String,
    /// Seeds of the heads that it was fitted on, from and to.
    pub fit_seeds: Vec<[u64; 2]>,
    /// Seeds of the heads that it was then measured on.
    pub other_seeds: Vec<[u64; 2]>,
    /// From this doubt on a structure is amber.
    pub amber: f64,
    /// And from this on red.
    pub red: f64,
    /// How much the doubt grows with each unit of what speaks against the others ([`super::Signs::others`]).
    pub others: f64,
    /// How good the lights are on the heads that they were fitted on, each judged by a fit without it.
    pub fit: Figures,
    /// How good they are on the others.
    pub other: Figures,
    /// How much the doubt grows with each unit of a measure's oddness ([`Measure::oddness`]): below, above.
    pub weight: BTreeMap<Measure, [f64; 2]>,
    /// Each class once.
    pub class: Vec<ClassLimits>,
}

/// How many structures got which light. Bad ones have a true Dice of more than 0.15 below their class's mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Bad structures.
    pub bad: u32,
    /// Of them, amber or red.
    pub caught: u32,
    /// All others.
    pub good: u32,
    /// Of them, green.
    pub green: u32,
}

/// What is usual for the structures of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassLimits {
    /// Which class.
    pub class: Class,
    /// Mean Dice of its structures on ordinary heads, after the rules.
    pub dice: f64,
    /// The doubt of a structure of which nothing is odd, as log odds.
    pub start: f64,
    /// Of each measure what a tenth of the good structures lies below, what a half does, what nine tenths do.
    pub usual: BTreeMap<Measure, [f64; 3]>,
}

impl Limits {
    /// The limits of a class.
    pub fn of(&self, class: Class) -> Option<&ClassLimits> {
        self.class.iter().find(|limits| limits.class == class)
    }

    /// How likely a structure is bad, 0 to 1, as it was on the heads of the fit: a logistic model of its signs. `None` where
    /// its class is not known.
    pub fn doubt(&self, class: Class, signs: &Signs) -> Option<f64> {
        let odds = self.of(class)?.start + self.terms(signs).map(|(_, term)| term).sum::<f64>();
        Some(1.0 / (1.0 + (-odds).exp()))
    }

    /// What each measure, and last the other structures (`None`), add to the log odds.
    pub(super) fn terms<'a>(&'a self, signs: &'a Signs) -> impl Iterator<Item = (Option<Measure>, f64)> + 'a {
        let own = signs.odd.iter().filter_map(|(measure, [below, above])| {
            let [low, high] = self.weight.get(measure)?;
            Some((Some(*measure), low * below + high * above))
        });
        own.chain([(None, self.others * signs.others)])
    }

    /// What is wrong with them; `None` when they can be used for these classes.
    pub fn fault(&self, classes: &[Class]) -> Option<String> {
        if !(0.0 < self.amber && self.amber < self.red && self.red <= 1.0) {
            return Some(format!("quality: amber = {}, red = {}: 0 < amber < red <= 1", self.amber, self.red));
        }
        let weights = self.weight.values().flatten().chain([&self.others]);
        if let Some(weight) = weights.into_iter().find(|w| !(0.0..=100.0).contains(*w)) {
            return Some(format!("quality: a weight of {weight}: each must lie between 0 and 100"));
        }
        let networks = [Measure::Agreement, Measure::Pair, Measure::Expected];
        if !networks.iter().any(|measure| self.weight.get(measure).is_some_and(|[below, _]| *below > 0.0)) {
            return Some("quality: no weight of what the networks say".into());
        }
        for class in classes {
            match self.class.iter().filter(|limits| limits.class == *class).count() {
                1 => {}
                // Without limits its structures are amber.
                0 if class.index().is_none() => {}
                _ => return Some(format!("quality.class must name {} once", class.name())),
            }
        }
        for limits in &self.class {
            let name = limits.class.name();
            if !(0.0..=1.0).contains(&limits.dice) {
                return Some(format!("quality, {name}: dice = {} is none", limits.dice));
            }
            if !limits.start.is_finite() {
                return Some(format!("quality, {name}: start = {} is no number", limits.start));
            }
            for measure in self.weight.keys().filter(|measure| measure.is_of(limits.class)) {
                let Some([least, middle, most]) = limits.usual.get(measure) else {
                    return Some(format!("quality, {name}: nothing says what {measure:?} is usual"));
                };
                if !(least.is_finite() && most.is_finite() && least < middle && middle < most) {
                    return Some(format!(
                        "quality, {name}: {measure:?} from {least} by {middle} to {most} is no range"
                    ));
                }
            }
        }
        let whole = |f: &Figures| f.caught <= f.bad && f.green <= f.good;
        (!whole(&self.fit) || !whole(&self.other)).then(|| "quality: more structures caught than there were".into())
    }
}
