//! From rows to limits, and how good the lights are.

use std::collections::BTreeMap;

use contourd::anatomy::Class;
use contourd::anatomy::quality::{
    ClassLimits, Figures, Judgement, Light, Limits, Measure, Signs, Subject, judge, signs,
};

use crate::cases::{Cause, Row, Seen};
use crate::logistic::{Sample, logistic};

/// A structure is bad when its Dice is more than this below its class's mean.
const BELOW: f64 = 0.15;
/// Share of the good structures of the fit heads that stays green: above what is promised, because other heads differ.
const GREEN: f64 = 0.865;
/// From this doubt on a structure is rather bad than not.
const RED: f64 = 0.5;
/// Parts of the heads that are judged by limits of all other parts.
const PARTS: usize = 8;
/// Usual is what lies between these quantiles of good structures; the middle one is where oddness begins.
const QUANTILES: [f64; 3] = [0.1, 0.5, 0.9];

/// A head's votes with their lights.
pub type Judged<'a> = Vec<(&'a Seen, Vec<Judgement>)>;

/// Mean Dice of each class on ordinary heads whose vote is as the networks gave it.
pub fn means(seen: &[Seen]) -> BTreeMap<Class, f64> {
    let of = |class| {
        let rows = seen.iter().flat_map(|s| &s.rows).filter(|r| r.counted && r.cause == Cause::Ordinary);
        let all: Vec<f64> = rows.filter(|r| r.structure.class() == class).filter_map(|r| r.dice).collect();
        (class, all.iter().sum::<f64>() / all.len().max(1) as f64)
    };
    Class::ALL.into_iter().map(of).collect()
}

/// Whether a structure is bad; nothing where there is nothing to be found or missed.
fn is_bad(row: &Row, means: &BTreeMap<Class, f64>) -> Option<bool> {
    row.dice.map(|dice| dice < means[&row.structure.class()] - BELOW)
}

fn subjects(seen: &Seen) -> Vec<Subject<'_>> {
    let of = |row| {
        let Row { structure, evidence, flags, .. }: &Row = row;
        Subject { structure: *structure, evidence: evidence.as_ref(), flags }
    };
    seen.rows.iter().map(of).collect()
}

/// The lights that limits give.
pub fn judged<'a>(seen: impl IntoIterator<Item = &'a Seen>, limits: &Limits) -> Judged<'a> {
    seen.into_iter().map(|one| (one, judge(&subjects(one), Some(limits)))).collect()
}

/// Bad, caught, good, green of the rows that are asked for.
pub fn figures(judged: &Judged, means: &BTreeMap<Class, f64>, wanted: impl Fn(&Row) -> bool) -> Figures {
    let mut figures = Figures::default();
    for (one, lights) in judged {
        for (row, judged) in one.rows.iter().zip(lights).filter(|(row, _)| row.counted && wanted(row)) {
            let green = judged.light == Light::Green;
            match is_bad(row, means) {
                Some(true) => {
                    figures.bad += 1;
                    figures.caught += u32::from(!green);
                }
                Some(false) => {
                    figures.good += 1;
                    figures.green += u32::from(green);
                }
                None => {}
            }
        }
    }
    figures
}

/// Limits from the fit heads, and the lights of these heads when each is judged by a fit without it. The doubt from which on
/// a structure is amber is the one at which enough good structures of heads that a fit has not seen are green.
pub fn limits<'a>(seen: &'a [Seen], means: &BTreeMap<Class, f64>) -> (Limits, Judged<'a>) {
    let mut seeds: Vec<u64> = seen.iter().map(|one| one.seed).collect();
    seeds.dedup();
    let part = |one: &Seen| seeds.iter().position(|seed| *seed == one.seed).unwrap_or(0) % PARTS;
    let fits: Vec<Limits> = (0..PARTS)
        .map(|left_out| weighed(&seen.iter().filter(|one| part(one) != left_out).collect::<Vec<_>>(), means))
        .collect();
    let (mut good, mut sure, mut doubts) = (0usize, 0usize, Vec::new());
    for one in seen {
        let limits = &fits[part(one)];
        for (row, signs) in one.rows.iter().zip(signs(&subjects(one), limits)) {
            if row.counted && is_bad(row, means) == Some(false) {
                good += 1;
                sure += usize::from(signs.sure);
                doubts.extend(limits.doubt(row.structure.class(), &signs).filter(|_| !signs.sure));
            }
        }
    }
    doubts.sort_by(|a, b| b.total_cmp(a));
    let amber = ((1.0 - GREEN) * good as f64) as usize;
    assert!(doubts.len() > 1, "too few heads");
    let last = amber.saturating_sub(sure).clamp(1, doubts.len() - 1);
    let amber = short((doubts[last - 1] + doubts[last]) / 2.0);
    let apart = seen.iter().flat_map(|one| judged([one], &Limits { amber, ..fits[part(one)].clone() }));
    (Limits { amber, ..weighed(&seen.iter().collect::<Vec<_>>(), means) }, apart.collect())
}

/// What is usual, and weights by a logistic regression of bad on the signs of all structures that are not surely amber.
fn weighed(seen: &[&Seen], means: &BTreeMap<Class, f64>) -> Limits {
    let mut usual: BTreeMap<Class, BTreeMap<Measure, Vec<f64>>> = BTreeMap::new();
    for one in seen {
        for (row, signs) in one.rows.iter().zip(signs(&subjects(one), &empty())) {
            if row.counted && !signs.sure && is_bad(row, means) == Some(false) {
                for (measure, value) in row.evidence.iter().flatten().filter(|(_, value)| value.is_finite()) {
                    usual.entry(row.structure.class()).or_default().entry(*measure).or_default().push(*value);
                }
            }
        }
    }
    let class = |class: Class| {
        let of = usual.get_mut(&class).map(std::mem::take).unwrap_or_default();
        let usual = of.into_iter().map(|(measure, values)| (measure, range(values))).collect();
        ClassLimits { class, dice: short(means[&class]), start: 0.0, usual }
    };
    let mut limits = Limits { class: Class::ALL.map(class).to_vec(), ..empty() };

    let terms: Vec<(Option<Measure>, usize)> = Measure::ALL
        .into_iter()
        .flat_map(|m| [0, 1].into_iter().filter(move |side| m.wrong()[*side]).map(move |side| (Some(m), side)))
        .chain([(None, 0)])
        .collect();
    let values = |signs: &Signs| -> Vec<f64> {
        let of = |(measure, side): &(Option<Measure>, usize)| match measure {
            Some(measure) => signs.odd.get(measure).map_or(0.0, |odd| odd[*side]),
            None => signs.others,
        };
        terms.iter().map(of).collect()
    };
    let mut samples = Vec::new();
    for one in seen {
        for (row, signs) in one.rows.iter().zip(signs(&subjects(one), &limits)) {
            if let Some(bad) = is_bad(row, means).filter(|_| row.counted && !signs.sure) {
                let class = Class::ALL.iter().position(|class| *class == row.structure.class()).expect("a class");
                samples.push(Sample { values: values(&signs), group: class, bad });
            }
        }
    }
    let fit = logistic(&samples, Class::ALL.len());
    for ((measure, side), weight) in terms.iter().zip(&fit.weights) {
        match measure {
            Some(measure) => limits.weight.entry(*measure).or_default()[*side] = short(*weight),
            None => limits.others = short(*weight),
        }
    }
    limits.weight.retain(|_, weight| *weight != [0.0; 2]);
    for (class, start) in limits.class.iter_mut().zip(&fit.groups) {
        class.start = short(fit.start + start);
        class.usual.retain(|measure, _| limits.weight.contains_key(measure) || *measure == Measure::Expected);
    }
    limits
}

/// Three quantiles, never closer than a measure can be trusted.
fn range(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let [low, middle, high] = QUANTILES.map(|q| values[((values.len() - 1) as f64 * q).round() as usize]);
    let least = 0.02 * middle.abs() + 0.001;
    [low.min(middle - least), middle, high.max(middle + least)].map(short)
}

/// Four digits behind the point: more says nothing.
fn short(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn empty() -> Limits {
    Limits {
        command: String::new(),
        created: String::new(),
        fit_seeds: Vec::new(),
        other_seeds: Vec::new(),
        amber: RED / 2.0,
        red: RED,
        others: 0.0,
        fit: Figures::default(),
        other: Figures::default(),
        weight: BTreeMap::new(),
        class: Vec::new(),
    }
}
