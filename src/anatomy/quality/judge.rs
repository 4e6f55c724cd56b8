//! From evidence and flags to lights with reasons.

use std::collections::BTreeMap;

use super::{Evidence, Judgement, Light, Limits, Measure, Reference, reference};
use crate::anatomy::rules::{Flag, Severity};
use crate::anatomy::{Class, Structure};

/// A structure to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Which.
    pub structure: Structure,
    /// What is known of it; nothing where it was not found, or nobody looked.
    pub evidence: Option<&'a Evidence>,
    /// What was flagged.
    pub flags: &'a [Flag],
}

/// What speaks against a structure, before it is weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Signs {
    /// It is amber or red whatever was measured of it.
    pub sure: bool,
    /// Oddness of what was measured, below and above the middle of the usual.
    pub odd: BTreeMap<Measure, [f64; 2]>,
    /// Mean over the other structures of the head of how much less than usual the networks' probabilities promise: 0 to 3,
    /// which is also that of a structure that is surely not green. A poor image spoils all.
    pub others: f64,
}

/// More than this no other structure counts.
const OTHERS_MOST: f64 = 3.0;
/// Beyond what was measured by hand on others by this factor a volume is named: contours of the same organ differ too.
const VOLUMES_DIFFER: f64 = 1.25;
/// A measure is named among the reasons when it adds as much as this to the log odds of being bad.
const NAMED: f64 = 0.5;

/// Judges all structures of a head: amber or red where a flag says so, where it was not found, where its volume is none of an
/// adult's, and where its evidence makes it doubtful. `limits` are those of the model's card; without them, or without
/// evidence, nothing is green: what was not measured must not look safe. What was not found is red, or amber where one eye
/// is missing with all that belongs to it, as after surgery.
pub fn judge(subjects: &[Subject], limits: Option<&Limits>) -> Vec<Judgement> {
    let signs = limits.map(|limits| signs(subjects, limits));
    let one = |(n, subject): (usize, &Subject)| {
        let weighed = limits.zip(signs.as_ref().and_then(|signs| signs.get(n)));
        by(subject, subject.is_excused(subjects), weighed)
    };
    subjects.iter().enumerate().map(one).collect()
}

/// What speaks against each structure of a head.
pub fn signs(subjects: &[Subject], limits: &Limits) -> Vec<Signs> {
    let own: Vec<(bool, BTreeMap<Measure, [f64; 2]>)> = subjects
        .iter()
        .map(|subject| {
            let sure = !surely(subject, subject.is_excused(subjects)).is_empty() || subject.networks().is_none();
            (sure, oddness(subject, limits))
        })
        .collect();
    let as_other = |(sure, odd): &(bool, BTreeMap<Measure, [f64; 2]>)| match odd.get(&Measure::Expected) {
        Some([below, _]) if !sure => below.min(OTHERS_MOST),
        _ => OTHERS_MOST,
    };
    let of = |n: usize| {
        // A described class without limits is amber for want of them, which says nothing of the image.
        let counts = |other: &Subject| {
            let class = other.structure.class();
            !other.is_excused(subjects) && (class.index().is_some() || limits.of(class).is_some())
        };
        let others = own.iter().zip(subjects).enumerate().filter(|(m, (_, other))| *m != n && counts(other));
        let others: Vec<f64> = others.map(|(_, (other, _))| as_other(other)).collect();
        others.iter().sum::<f64>() / others.len().max(1) as f64
    };
    own.iter().enumerate().map(|(n, (sure, odd))| Signs { sure: *sure, odd: odd.clone(), others: of(n) }).collect()
}

fn oddness(subject: &Subject, limits: &Limits) -> BTreeMap<Measure, [f64; 2]> {
    let Some(usual) = limits.of(subject.structure.class()).map(|class| &class.usual) else { return BTreeMap::new() };
    let odd = subject
        .networks()
        .into_iter()
        .flatten()
        .filter_map(|(measure, value)| Some((*measure, measure.oddness(*value, *usual.get(measure)?))));
    odd.collect()
}

impl<'a> Subject<'a> {
    fn is_found(&self) -> bool {
        !self.flags.iter().any(|flag| matches!(flag, Flag::NotFound { .. }))
    }

    /// Not found, as its eye was not, while the head has its other eye.
    fn is_excused(&self, head: &[Self]) -> bool {
        let eye = |side| {
            let eye = Structure::of(Class::Eye, Some(side));
            head.iter().find(|other| Some(other.structure) == eye).is_none_or(Self::is_found)
        };
        let of_orbit = matches!(self.structure.class(), Class::Eye | Class::Lens | Class::OpticNerve);
        let surgery = || self.structure.side().is_some_and(|side| !eye(side) && eye(side.other()));
        of_orbit && !self.is_found() && surgery()
    }

    /// Its evidence, if the networks' word is in it.
    fn networks(&self) -> Option<&'a Evidence> {
        self.evidence.filter(|evidence| evidence.contains_key(&Measure::Agreement))
    }
}

/// Flags that said nothing of how good a structure is once its evidence was known, by a fit of the lights that had them:
/// they are remarks. (So did that of a nerve that was not followed; but then it is not known how long its gaps are.)
const fn is_weighed(flag: &Flag) -> bool {
    matches!(
        flag,
        Flag::NerveBridged { .. }
            | Flag::EyeReshaped { .. }
            | Flag::LensSmall { .. }
            | Flag::ChiasmUneven { .. }
            | Flag::FluidRemoved { .. }
    )
}

/// What makes a structure amber or red whatever its evidence weighs.
fn surely(subject: &Subject, excused: bool) -> Vec<(Light, String)> {
    let flags = subject.flags.iter().filter_map(|flag| {
        let light = match (flag, flag.severity()) {
            (Flag::NotFound { .. }, _) if excused => Light::Amber,
            (Flag::NotFound { .. }, _) | (_, Severity::Red) => Light::Red,
            (Flag::SeveralParts { .. }, _) => Light::Amber,
            (flag, Severity::Warning) if !is_weighed(flag) => Light::Amber,
            _ => return None,
        };
        Some((light, flag.to_string()))
    });
    let mut reasons: Vec<(Light, String)> = flags.collect();
    if let Some(cc) = subject.networks().and_then(|e| e.get(&Measure::Volume)) {
        let usual = reference(subject.structure.class());
        let outside = usual.filter(|known| {
            let [least, most] = known.cc;
            !(least / VOLUMES_DIFFER..=most * VOLUMES_DIFFER).contains(cc)
        });
        if let Some(Reference { cc: [least, most], source }) = outside {
            let words = format!("volume {cc:.2} cm3; expected are {least} to {most} ({source})");
            reasons.push((Light::Amber, words));
        }
    }
    reasons
}

fn by(subject: &Subject, excused: bool, weighed: Option<(&Limits, &Signs)>) -> Judgement {
    let mut reasons = surely(subject, excused);
    let class = subject.structure.class();
    let doubt = weighed.and_then(|(limits, signs)| Some((limits, signs, limits.doubt(class, signs)?)));
    match (subject.networks(), doubt) {
        _ if !subject.is_found() => {}
        (None, _) => reasons.push((Light::Amber, "not judged: it is not known what the networks said of it".into())),
        (Some(_), None) => {
            let words = "not judged: the model's card does not say what is usual ([quality])";
            reasons.push((Light::Amber, words.into()));
        }
        (Some(evidence), Some((limits, signs, doubt))) => {
            if doubt >= limits.amber {
                let light = if doubt >= limits.red { Light::Red } else { Light::Amber };
                reasons.extend(why(subject.structure, evidence, limits, signs).map(|words| (light, words)));
            }
        }
    }
    reasons.sort_by_key(|(light, _)| std::cmp::Reverse(*light));
    Judgement {
        light: reasons.first().map_or(Light::Green, |(light, _)| *light),
        reasons: reasons.into_iter().map(|(_, words)| words).collect(),
    }
}

/// What makes a structure doubtful, the weightiest first; always at least one reason.
fn why<'a>(
    structure: Structure,
    evidence: &'a Evidence,
    limits: &'a Limits,
    signs: &'a Signs,
) -> impl Iterator<Item = String> + 'a {
    let mut terms: Vec<(Option<Measure>, f64)> = limits.terms(signs).collect();
    terms.sort_by(|a, b| b.1.total_cmp(&a.1));
    let least = terms.first().map_or(0.0, |(_, most)| most.min(NAMED));
    terms.retain(|(_, term)| *term > 0.0 && *term >= least);
    // What lies within the usual is named only where nothing lies beyond.
    let beyond = |measure: Option<Measure>| match measure.and_then(|m| signs.odd.get(&m)) {
        Some([below, above]) => below.max(*above) >= 1.0,
        None => signs.others >= 1.0,
    };
    let (outside, within): (Vec<_>, Vec<_>) = terms.into_iter().partition(|(measure, _)| beyond(*measure));
    let named = if outside.is_empty() { within } else { outside };
    let of_kind = named.is_empty().then(|| "structures of its kind are too often wrong".to_owned());
    let own = named.into_iter().map(move |(measure, _)| {
        let usual = measure.and_then(|m| limits.of(structure.class())?.usual.get(&m).copied());
        match measure.and_then(|m| evidence.get(&m).copied()).zip(measure).zip(usual) {
            Some(((value, measure), usual)) => measure.words(structure, value, usual),
            None => "the other structures are doubtful: the image may be poor".to_owned(),
        }
    });
    own.chain(of_kind)
}
