//! What is measured of a structure, and how an odd value is said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::anatomy::rules::{Consistent, Flag};
use crate::anatomy::{Class, Side, Structure};
use crate::geometry::Lps;

/// No value counts for more oddness than this.
pub const MOST_ODD: f64 = 8.0;

/// One number about a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of its voxels on which all three networks found its class, 0 to 1.
    Agreement,
    /// Mean probability of the three networks in its outermost layer of voxels, 0 to 1.
    Border,
    /// Highest Dice between two of the three networks' own masks on it and near it: how well the best pair agrees, without
    /// which there is no vote, 0 to 1.
    Pair,
    /// The Dice with the truth that the networks' mean probabilities promise, were they exact: twice the sum of
    /// probabilities inside over voxels inside plus the sum of probabilities inside and around, 0 to 1.
    Expected,
    /// Share of its voxels that the rules added to the vote, 0 to 1.
    Added,
    /// Share of its class's voted voxels that the rules took away on either side, 0 to 1.
    Dropped,
    /// The longest stretch of a nerve along which nothing was predicted, mm.
    Gap,
    /// Volume on the working grid, cm3.
    Volume,
    /// Distance of its barycentre from the plane between left and right, mm: to its own side where it has one.
    Lateral,
    /// Distance of its barycentre from that of another organ, mm: an eye's from the other eye, a lens's and a nerve's from
    /// their eye, chiasm and pituitary from each other, a hippocampus's from the brainstem, the brainstem's from the brain.
    Apart,
    /// Root mean square distance of its voxels from its barycentre, mm.
    Spread,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 11] = [
        Measure::Agreement,
        Measure::Border,
        Measure::Pair,
        Measure::Expected,
        Measure::Added,
        Measure::Dropped,
        Measure::Gap,
        Measure::Volume,
        Measure::Lateral,
        Measure::Apart,
        Measure::Spread,
    ];

    /// Whether structures of a class have it.
    pub(super) fn is_of(self, class: Class) -> bool {
        match self {
            Measure::Gap => class == Class::OpticNerve,
            Measure::Apart => class != Class::Brain,
            _ => true,
        }
    }

    /// On which sides of the usual something is wrong: below, above.
    pub const fn wrong(self) -> [bool; 2] {
        match self {
            Measure::Agreement | Measure::Pair | Measure::Expected => [true, false],
            Measure::Added | Measure::Dropped | Measure::Gap => [false, true],
            Measure::Border | Measure::Volume | Measure::Lateral | Measure::Apart | Measure::Spread => [true, true],
        }
    }

    /// How far a value lies below and above the middle of the usual, where something is wrong there: 1 at the ends of the
    /// usual, at most [`MOST_ODD`]. What is no number is as odd as can be.
    pub fn oddness(self, value: f64, [least, middle, most]: [f64; 3]) -> [f64; 2] {
        let of = |wrong: bool, far: f64, unit: f64| match far / unit {
            odd if odd.is_nan() => MOST_ODD,
            odd if wrong => odd.clamp(0.0, MOST_ODD),
            _ => 0.0,
        };
        let [below, above] = self.wrong();
        [of(below, middle - value, middle - least), of(above, value - middle, most - middle)]
    }

    /// An odd value in words, with what is usual.
    pub(super) fn words(self, structure: Structure, value: f64, [least, _, most]: [f64; 3]) -> String {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let at_most = |share: f64| format!("usual: at most {}", percent(share));
        match self {
            Measure::Agreement => {
                format!("networks disagree on {} of its voxels ({})", percent(1.0 - value), at_most(1.0 - least))
            }
            Measure::Border => {
                format!("mean probability at its border is {value:.2} (usual: {least:.2} to {most:.2})")
            }
            Measure::Pair => {
                format!("no two networks' own masks of it have more than Dice {value:.2} (usual: at least {least:.2})")
            }
            Measure::Expected => {
                format!("the networks' probabilities promise a Dice of {value:.2} (usual: at least {least:.2})")
            }
            Measure::Added => format!("{} of it was added by the rules ({})", percent(value), at_most(most)),
            Measure::Dropped => {
                format!("the rules took away {} of what was marked of its kind ({})", percent(value), at_most(most))
            }
            Measure::Gap => {
                format!("drawn across {value:.0} mm where the networks marked nothing (usual: at most {most:.0} mm)")
            }
            Measure::Volume => format!("volume {value:.2} cm3 (usual: {least:.2} to {most:.2})"),
            Measure::Lateral => {
                format!("its middle lies {value:.1} mm off the mid-sagittal plane (usual: {least:.1} to {most:.1})")
            }
            Measure::Apart => {
                let other = beside(structure).map_or("", Structure::name);
                format!("its middle lies {value:.1} mm from that of {other} (usual: {least:.1} to {most:.1})")
            }
            Measure::Spread => {
                format!("it reaches {value:.1} mm around its middle (usual: {least:.1} to {most:.1})")
            }
        }
    }
}

/// The organ that a structure's place is measured from: near, on the same side, and of a place that hardly varies.
pub(super) fn beside(structure: Structure) -> Option<Structure> {
    let side = structure.side();
    match structure.class() {
        Class::Eye => Structure::of(Class::Eye, side.map(Side::other)),
        Class::Lens | Class::OpticNerve => Structure::of(Class::Eye, side),
        Class::Chiasm => Some(Structure::Pituitary),
        Class::Pituitary => Some(Structure::OpticChiasm),
        Class::Hippocampus => Some(Structure::Brainstem),
        Class::Brainstem => Some(Structure::Brain),
        Class::Brain => None,
    }
}

/// What the structures themselves show of each other: volume, shape, place. A structure that was not found has none.
pub fn anatomy_of(found: &Consistent) -> BTreeMap<Structure, Evidence> {
    let middles: BTreeMap<Structure, Lps> =
        found.structures.iter().filter_map(|(s, finding)| Some((*s, finding.mask.barycentre()?))).collect();
    let volume = |s: Structure| found.structures.get(&s).map_or(0.0, |finding| finding.mask.cc());
    let of = |structure: Structure, middle: Lps| {
        let mut evidence = Evidence::from([(Measure::Volume, volume(structure))]);
        let lateral = found.plane.distance(middle);
        let lateral = match structure.side() {
            Some(Side::Left) => lateral,
            Some(Side::Right) => -lateral,
            None => lateral.abs(),
        };
        evidence.insert(Measure::Lateral, lateral);
        if let Some(other) = beside(structure).and_then(|other| middles.get(&other)) {
            evidence.insert(Measure::Apart, middle.distance(*other));
        }
        if let Some(finding) = found.structures.get(&structure) {
            if structure.class() == Class::OpticNerve {
                let gaps = finding.flags.iter().filter_map(|flag| match flag {
                    Flag::NerveBridged { gap_mm } => Some(*gap_mm),
                    _ => None,
                });
                evidence.insert(Measure::Gap, gaps.fold(0.0, f64::max));
            }
            let grid = finding.mask.grid();
            let squares = finding.mask.inside().map(|[i, j, k]| grid.centre(i, j, k).distance(middle).powi(2));
            let mean = squares.sum::<f64>() / finding.mask.count().max(1) as f64;
            evidence.insert(Measure::Spread, mean.sqrt());
        }
        evidence
    };
    middles.iter().map(|(s, middle)| (*s, of(*s, *middle))).collect()
}
