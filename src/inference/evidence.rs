//! What the three networks say of each structure that the rules made of their vote.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Vote;
use crate::anatomy::Structure;
use crate::anatomy::quality::{Evidence, Measure, anatomy_of};
use crate::anatomy::rules::Consistent;
use crate::geometry::{Extent, Mask};

/// A network's answer counts as being about a structure on it and up to this far beyond its box, mm: further than a
/// network is usually off, nearer than the next organ of its class.
const NEAR_MM: f64 = 6.0;
/// Probabilities up to this say that there is nothing; most voxels around a structure have no more.
const NOTHING: f32 = 0.02;

/// Everything that is known of each structure found, besides the image. A structure that was not found has no entry.
pub fn evidence(vote: &Vote, found: &Consistent) -> BTreeMap<Structure, Evidence> {
    let anatomy = anatomy_of(found);
    let seen: BTreeMap<Structure, Seen> =
        anatomy.par_iter().filter_map(|(s, _)| Some((*s, Seen::of(vote, found, *s)?))).collect();
    let with_networks = anatomy.into_iter().map(|(structure, mut evidence)| {
        if let Some(of) = seen.get(&structure) {
            evidence.extend(of.measures());
            let class = found.structures.iter().filter(|(s, _)| s.class() == structure.class());
            let voted: usize = class.map(|(_, finding)| finding.predicted).sum();
            let kept: usize = structure.class().structures().filter_map(|s| seen.get(&s)).map(|s| s.voted).sum();
            if voted > 0 {
                evidence.insert(Measure::Dropped, (1.0 - kept as f64 / voted as f64).max(0.0));
            }
        }
        (structure, evidence)
    });
    with_networks.collect()
}

/// Sums over the voxels of a structure and around it.
#[derive(Debug, Default)]
struct Seen {
    /// Voxels of the structure; of them, those that two networks voted for.
    voxels: usize,
    voted: usize,
    /// Of them, those that all three found.
    unanimous: usize,
    /// Voxels of its outermost layer.
    outermost: usize,
    /// Sums of the mean probability: over the structure, its outermost layer, everything looked at.
    inside: f64,
    border: f64,
    all: f64,
    /// Voxels that each network found.
    own: [usize; 3],
    /// Voxels that two networks found: the first and second, second and third, third and first.
    both: [usize; 3],
}

impl Seen {
    fn of(vote: &Vote, found: &Consistent, structure: Structure) -> Option<Self> {
        let mask = &found.structures.get(&structure)?.mask;
        let extent = around(mask)?;
        let (grid, class) = (mask.grid(), structure.class());
        let plane = |k: usize| {
            let mut seen = Self::default();
            for j in extent.lo[1]..=extent.hi[1] {
                for i in extent.lo[0]..=extent.hi[0] {
                    let offset = mask.offset(i, j, k);
                    let inside = mask.data()[offset];
                    let p = vote.probabilities(class, offset);
                    // Both nerves end at the chiasm: what lies on the other side is the other's.
                    let own_side = || structure.side().is_none_or(|s| found.plane.side(grid.centre(i, j, k)) == s);
                    if inside || (p.iter().any(|p| *p > NOTHING) && own_side()) {
                        seen.add(p.map(f64::from), inside, inside && mask.faces([i, j, k], |beside| !beside));
                    }
                }
            }
            seen
        };
        // Summed in the order of the planes: the same whatever thread looked at which.
        let planes: Vec<Self> = (extent.lo[2]..=extent.hi[2]).into_par_iter().map(plane).collect();
        Some(planes.into_iter().fold(Self::default(), Self::plus))
    }

    fn plus(self, more: Self) -> Self {
        let each = |a: [usize; 3], b: [usize; 3]| std::array::from_fn(|n| a[n] + b[n]);
        Self {
            voxels: self.voxels + more.voxels,
            voted: self.voted + more.voted,
            unanimous: self.unanimous + more.unanimous,
            outermost: self.outermost + more.outermost,
            inside: self.inside + more.inside,
            border: self.border + more.border,
            all: self.all + more.all,
            own: each(self.own, more.own),
            both: each(self.both, more.both),
        }
    }

    fn add(&mut self, p: [f64; 3], inside: bool, outermost: bool) {
        let found = p.map(|p| p > 0.5);
        let count = found.iter().filter(|f| **f).count();
        let mean = p.iter().sum::<f64>() / 3.0;
        self.all += mean;
        for n in 0..3 {
            self.own[n] += usize::from(found[n]);
            self.both[n] += usize::from(found[n] && found[(n + 1) % 3]);
        }
        if inside {
            self.voxels += 1;
            self.voted += usize::from(count >= 2);
            self.unanimous += usize::from(count == 3);
            self.inside += mean;
        }
        if outermost {
            self.outermost += 1;
            self.border += mean;
        }
    }

    fn measures(&self) -> Evidence {
        let voxels = self.voxels as f64;
        let share = |n: usize| n as f64 / voxels;
        let dice = |both: usize, a: usize, b: usize| 2.0 * both as f64 / (a + b).max(1) as f64;
        let pairs: [f64; 3] = std::array::from_fn(|n| dice(self.both[n], self.own[n], self.own[(n + 1) % 3]));
        Evidence::from([
            (Measure::Agreement, share(self.unanimous)),
            (Measure::Border, self.border / self.outermost.max(1) as f64),
            (Measure::Pair, pairs.into_iter().fold(0.0, f64::max)),
            (Measure::Expected, 2.0 * self.inside / (voxels + self.all)),
            (Measure::Added, 1.0 - share(self.voted)),
        ])
    }
}

/// The box of a structure, grown.
fn around(mask: &Mask) -> Option<Extent> {
    let extent = mask.extent()?;
    let s = mask.grid().shape();
    let size = [s.cols, s.rows, s.slices];
    let more = mask.grid().spacing().map(|mm| (NEAR_MM / mm).round() as usize);
    Some(Extent {
        lo: std::array::from_fn(|a| extent.lo[a].saturating_sub(more[a])),
        hi: std::array::from_fn(|a| (extent.hi[a] + more[a]).min(size[a] - 1)),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::anatomy::rules::{Finding, Flag, Rule, RuleEffect};
    use crate::anatomy::{Class, PlaneSource, SidePlane};
    use crate::geometry::{Grid, Lps, Shape, Vec3};
    use crate::ids::FrameOfReferenceUid;
    use crate::inference::Plane;

    /// Two nerves as rods of 1 x 1 x n voxels, in a grid of unequal voxels whose middle is x = 10.
    fn grid() -> Arc<Grid> {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        Arc::new(Grid::axis_aligned(frame, Shape::new(21, 9, 40), Lps::new(0.0, 5.0, -7.0), [1.0, 2.0, 3.0]).unwrap())
    }

    fn rod(grid: &Arc<Grid>, i: usize, along: std::ops::Range<usize>) -> Mask {
        let mut mask = Mask::empty(Arc::clone(grid));
        along.for_each(|k| mask.set(i, 4, k, true));
        mask
    }

    /// Both nerves, the left one with these flags; followed from eye to chiasm or not.
    fn found(masks: [Mask; 2], predicted: [usize; 2], flags: Vec<Flag>, followed: bool) -> Consistent {
        let plane = SidePlane {
            normal: Vec3::new(1.0, 0.0, 0.0),
            point: Lps::new(10.0, 0.0, 0.0),
            source: PlaneSource::Eyes,
            symmetry: None,
        };
        let [left, right] = masks;
        let effect = RuleEffect { rule: Rule::Centreline, added: 0, removed: 0 };
        let effects = || followed.then_some(effect).into_iter().collect();
        let finding = |mask, predicted, flags| Finding { mask, predicted, effects: effects(), flags };
        let structures = BTreeMap::from([
            (Structure::OpticNrv_L, finding(left, predicted[0], flags)),
            (Structure::OpticNrv_R, finding(right, predicted[1], Vec::new())),
        ]);
        Consistent { structures, plane }
    }

    #[test]
    fn every_number_is_that_of_the_votes() {
        let grid = grid();
        let (left, right) = (rod(&grid, 14, 10..20), rod(&grid, 9, 10..14));
        let mut vote = Vote::none(Arc::clone(&grid), &Class::ALL);
        let planes = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
        let mut say = |i: usize, along: std::ops::Range<usize>, p: [f32; 3]| {
            for k in along {
                let offset = (k * 9 + 4) * 21 + i;
                for (plane, p) in planes.into_iter().zip(p) {
                    vote.add(Class::OpticNerve, plane, offset, (p / (1.0 - p)).ln());
                }
            }
        };
        // Six voxels of the left nerve by all, two by two of them, two (added by the rules) by one; two beyond it by one
        // network; on the other side, near the left one's box, the right nerve by all.
        say(14, 10..16, [0.9, 0.9, 0.9]);
        say(14, 16..18, [0.8, 0.7, 0.2]);
        say(14, 18..20, [0.2, 0.6, 0.1]);
        say(14, 20..22, [0.1, 0.6, 0.2]);
        say(9, 10..14, [0.9, 0.9, 0.9]);
        let flags = vec![Flag::NerveBridged { gap_mm: 6.0 }];
        let known = evidence(&vote, &found([left, right], [8, 8], flags, true));
        let of = |structure: Structure, measure| known[&structure][&measure];
        let near = |measure, wanted: f64| {
            let value = of(Structure::OpticNrv_L, measure);
            assert!((value - wanted).abs() < 0.004, "{measure:?} is {value}, not {wanted}");
        };
        near(Measure::Agreement, 0.6);
        let inside = (6.0 * 0.9 + 2.0 * 1.7 / 3.0 + 2.0 * 0.3) / 10.0;
        // A rod is nothing but border.
        near(Measure::Border, inside);
        // Axial found 8, coronal 12, sagittal 6; both of two of them 8, 6, 6.
        near(Measure::Pair, 2.0 * 6.0 / 14.0);
        near(Measure::Expected, 20.0 * inside / (10.0 + 10.0 * inside + 2.0 * 0.3));
        near(Measure::Added, 0.2);
        // 16 voxels were predicted on both sides, 12 of what was kept had been voted for.
        near(Measure::Dropped, 0.25);
        near(Measure::Gap, 6.0);
        near(Measure::Volume, 10.0 * 6.0 / 1000.0);
        near(Measure::Lateral, 4.0);
        near(Measure::Spread, 3.0 * (99.0f64 / 12.0).sqrt());
        assert!((of(Structure::OpticNrv_R, Measure::Lateral) - 1.0).abs() < 1e-9);
        assert_eq!(of(Structure::OpticNrv_R, Measure::Agreement), 1.0);
        assert_eq!(of(Structure::OpticNrv_R, Measure::Gap), 0.0);
        // Without eyes there is nothing to be apart from.
        assert!(!known[&Structure::OpticNrv_L].contains_key(&Measure::Apart));
    }

    #[test]
    fn what_was_not_found_has_no_evidence() {
        let grid = grid();
        let known = evidence(
            &Vote::none(Arc::clone(&grid), &Class::ALL),
            &found([rod(&grid, 14, 0..0), rod(&grid, 6, 3..7)], [0, 4], Vec::new(), false),
        );
        assert_eq!(known.keys().collect::<Vec<_>>(), [&Structure::OpticNrv_R]);
        assert_eq!(known[&Structure::OpticNrv_R][&Measure::Agreement], 0.0);
        assert!(!known[&Structure::OpticNrv_R].contains_key(&Measure::Gap), "nobody followed it");
    }
}
