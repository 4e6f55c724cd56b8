//! What is measured of a structure, and how an odd value is said.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::anatomy::rules::{Consistent, Finding, Flag, Rule};
use crate::anatomy::{Class, Side, Structure};
use crate::geometry::{Index, Lps, Mask};

/// No value counts for more oddness than this.
pub(super) const MOST_ODD: f64 = 8.0;

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
    /// The longest stretch of a followed nerve along which nothing was predicted, mm; 0 where it is too short to be flagged.
    Gap,
    /// Volume on the working grid, cm3.
    Volume,
    /// Distance of its barycentre from the plane between left and right, mm: to its own side where it has one.
    Lateral,
    /// Distance of its barycentre from that of another organ, mm: an eye's from the other eye, a lens's and a nerve's from
    /// their eye, chiasm and pituitary from each other, a hippocampus's from the brainstem, the brainstem's from the brain.
    Apart,
    /// Radius of gyration: root mean square distance of its voxels from its barycentre, mm.
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
            Measure::Apart => !matches!(class, Class::Brain | Class::Described(_)),
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
    /// usual, at most 8. What is no number is as odd as can be.
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
pub fn beside(structure: Structure) -> Option<Structure> {
    let side = structure.side();
    match structure.class() {
        Class::Eye => Structure::of(Class::Eye, side.map(Side::other)),
        Class::Lens | Class::OpticNerve => Structure::of(Class::Eye, side),
        Class::Chiasm => Some(Structure::Pituitary),
        Class::Pituitary => Some(Structure::OpticChiasm),
        Class::Hippocampus => Some(Structure::Brainstem),
        Class::Brainstem => Some(Structure::Brain),
        Class::Brain | Class::Described(_) => None,
    }
}

/// What the structures themselves show of each other: volume, shape, place. A structure that was not found has none.
pub fn anatomy_of(found: &Consistent) -> BTreeMap<Structure, Evidence> {
    let shapes: BTreeMap<Structure, (&Finding, Moments)> = found
        .structures
        .par_iter()
        .filter_map(|(s, finding)| Some((*s, (finding, Moments::of(&finding.mask)?))))
        .collect();
    let of = |(structure, (finding, shape)): (&Structure, &(&Finding, Moments))| {
        let lateral = found.plane.distance(shape.middle);
        let lateral = match structure.side() {
            Some(Side::Left) => lateral,
            Some(Side::Right) => -lateral,
            None => lateral.abs(),
        };
        let mut evidence =
            Evidence::from([(Measure::Volume, shape.cc), (Measure::Lateral, lateral), (Measure::Spread, shape.spread)]);
        if let Some((_, other)) = beside(*structure).and_then(|other| shapes.get(&other)) {
            evidence.insert(Measure::Apart, shape.middle.distance(other.middle));
        }
        // What was not followed from end to end is not known to be without gaps.
        if finding.effects.iter().any(|effect| effect.rule == Rule::Centreline) {
            let gaps = finding.flags.iter().filter_map(|flag| match flag {
                Flag::NerveBridged { gap_mm } => Some(*gap_mm),
                _ => None,
            });
            evidence.insert(Measure::Gap, gaps.fold(0.0, f64::max));
        }
        (*structure, evidence)
    };
    shapes.iter().map(of).collect()
}

/// What the voxels of a structure say of its size and place.
struct Moments {
    cc: f64,
    /// Barycentre.
    middle: Lps,
    /// Radius of gyration, mm.
    spread: f64,
}

impl Moments {
    /// `None` for an empty mask. Counts in whole voxels; the axes of a grid stand at right angles.
    fn of(mask: &Mask) -> Option<Self> {
        let (mut n, mut sum, mut squares) = (0u64, [0u64; 3], [0u64; 3]);
        for v in mask.inside() {
            n += 1;
            for a in 0..3 {
                let at = v[a] as u64;
                sum[a] += at;
                squares[a] += at * at;
            }
        }
        let (grid, count) = (mask.grid(), n as f64);
        let mean = sum.map(|sum| sum as f64 / count);
        let along = |a: usize| (squares[a] as f64 / count - mean[a] * mean[a]).max(0.0) * grid.spacing()[a].powi(2);
        (n > 0).then(|| Self {
            cc: count * grid.voxel_cc(),
            middle: grid.to_lps(Index::new(mean[0], mean[1], mean[2])),
            spread: (0..3).map(along).sum::<f64>().sqrt(),
        })
    }
}
