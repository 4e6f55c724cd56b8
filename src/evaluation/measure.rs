//! Every measure between a found structure and its reference. What each one is, to the voxel, is said at its field.

use serde::{Deserialize, Serialize};

use super::joint::Joint;
use crate::geometry::{GeometryError, Mask, squared_distances};

/// One structure of one case against its reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Volume of the reference in cm3: voxels times their size.
    pub reference_cc: f64,
    /// Volume of what was found in cm3; 0 when it was not found.
    pub found_cc: f64,
    /// How far the two cover each other; `None` when neither has a voxel: not counted.
    pub overlap: Option<Overlap>,
    /// How far apart they are; `None` when one has no voxel: undefined.
    pub distances: Option<Distances>,
}

/// Shares between 0 and 1, and one length. True positives are voxels of both, false positives of what was found alone,
/// false negatives of the reference alone, true negatives all others of the grid. When one structure is empty, Dice is 0
/// with and without tolerance and a share that has nothing to be a share of is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// 2 TP / (2 TP + FP + FN).
    pub dice: f64,
    /// TP / (TP + FN).
    pub sensitivity: Option<f64>,
    /// TP / (TP + FP), the positive predictive value.
    pub precision: Option<f64>,
    /// TN / (TN + FP). Depends on how much of the surroundings was scanned.
    pub specificity: Option<f64>,
    /// The same with a tolerance of one voxel (thesis section 4.3.2): a false positive with one of its 26 neighbours in the
    /// reference is ignored, as is a false negative with one of its 26 neighbours outside the reference (beyond the grid
    /// is outside). Ignored voxels are neither positive nor negative. `None` where nothing is left.
    pub tolerant_dice: Option<f64>,
    /// As [`Overlap::sensitivity`], tolerant.
    pub tolerant_sensitivity: Option<f64>,
    /// As [`Overlap::precision`], tolerant. The thesis's Table 4.3 calls it specificity.
    pub tolerant_precision: Option<f64>,
    /// As [`Overlap::specificity`], tolerant.
    pub tolerant_specificity: Option<f64>,
    /// Share of the border voxels of both that lie within a tolerance of the other's border (Nikolov et al. 2021, counted
    /// in voxels, not in area), for each tolerance asked for.
    pub surface_dice: Vec<SurfaceDice>,
    /// What a person had to draw anew, mm (Vaassen et al. 2020): edge pixels of the reference, plane by plane, that are no
    /// edge pixels of what was found, times the mean pixel spacing. An edge pixel has an outside pixel across a side.
    pub added_path_mm: f64,
}

/// Surface Dice at a tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SurfaceDice {
    /// Largest distance in mm that still counts as met.
    pub tolerance_mm: f64,
    /// 0 to 1.
    pub value: f64,
}

/// Distances in mm between voxel centres. A border voxel has a neighbour outside its structure across a face; beyond the
/// grid is outside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// Undirected Hausdorff distance of the two sets of voxels: the largest distance of a voxel of either to the other.
    pub hausdorff_mm: f64,
    /// M(A, B), thesis equation 4.1: mean, over all voxels of both, of the distance to the nearest voxel of the other;
    /// common voxels count with 0.
    pub mean_mm: f64,
    /// 95 % Hausdorff distance of the borders: the larger of the two directions' quantiles, each the smallest distance that
    /// at least 95 % of the border voxels do not exceed.
    pub hausdorff95_mm: f64,
    /// Mean, over the border voxels of both, of the distance to the nearest border voxel of the other.
    pub mean_surface_mm: f64,
}

/// Measures a found structure against its reference; surface Dice at each of some tolerances in mm.
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn measure(found: &Mask, reference: &Mask, tolerances_mm: &[f64]) -> Result<Measures, GeometryError> {
    let (mut overlap, mut distances) = (None, None);
    if let Some(joint) = Joint::new(found, reference)? {
        let surfaces = Surfaces::of(&joint);
        distances = surfaces.distances();
        let surface_dice = tolerances_mm.iter().map(|mm| SurfaceDice { tolerance_mm: *mm, value: surfaces.dice(*mm) });
        overlap = Some(Overlap::of(&joint, surface_dice.collect()));
    }
    Ok(Measures { reference_cc: reference.cc(), found_cc: found.cc(), overlap, distances })
}

/// Dice, sensitivity, precision, specificity from counts of voxels.
struct Shares {
    dice: Option<f64>,
    sensitivity: Option<f64>,
    precision: Option<f64>,
    specificity: Option<f64>,
}

impl Shares {
    fn of(both: usize, found_only: usize, reference_only: usize, neither: usize) -> Self {
        let share = |part: usize, rest: usize| (part + rest > 0).then(|| part as f64 / (part + rest) as f64);
        Self {
            dice: share(2 * both, found_only + reference_only),
            sensitivity: share(both, reference_only),
            precision: share(both, found_only),
            specificity: share(neither, found_only),
        }
    }
}

impl Overlap {
    fn of(joint: &Joint, surface_dice: Vec<SurfaceDice>) -> Self {
        let (mut both, mut found_only, mut reference_only) = (0, 0, 0);
        let (mut beside, mut at_border) = (0, 0);
        for (at, pair) in joint.found.iter().zip(&joint.reference).enumerate() {
            match pair {
                (true, true) => both += 1,
                (true, false) => {
                    found_only += 1;
                    beside += usize::from(joint.has_neighbour(&joint.reference, at, true));
                }
                (false, true) => {
                    reference_only += 1;
                    at_border += usize::from(joint.has_neighbour(&joint.reference, at, false));
                }
                (false, false) => {}
            }
        }
        let neither = joint.grid.shape().voxels() - both - found_only - reference_only;
        let plain = Shares::of(both, found_only, reference_only, neither);
        // Nothing of an empty structure is near enough to be forgiven.
        let one_empty = both + found_only == 0 || both + reference_only == 0;
        let tolerant = match one_empty {
            true => Shares::of(both, found_only, reference_only, neither),
            false => Shares::of(both, found_only - beside, reference_only - at_border, neither),
        };
        Self {
            dice: plain.dice.unwrap_or(0.0),
            sensitivity: plain.sensitivity,
            precision: plain.precision,
            specificity: plain.specificity,
            tolerant_dice: tolerant.dice,
            tolerant_sensitivity: tolerant.sensitivity,
            tolerant_precision: tolerant.precision,
            tolerant_specificity: tolerant.specificity,
            surface_dice,
            added_path_mm: added_path(joint),
        }
    }
}

fn added_path(joint: &Joint) -> f64 {
    let (found, reference) = (joint.border(&joint.found, 2), joint.border(&joint.reference, 2));
    let anew = reference.iter().zip(&found).filter(|(edge, drawn)| **edge && !**drawn).count();
    let [dx, dy, _] = joint.grid.spacing();
    anew as f64 * (dx + dy) / 2.0
}

/// The distances from one structure to the other, one way.
#[derive(Default)]
struct OneWay {
    /// Of border voxels to the other's border, mm, ascending.
    border: Vec<f64>,
    /// Over all voxels to the nearest voxel of the other, mm.
    sum: f64,
    voxels: usize,
    largest: f64,
}

impl OneWay {
    fn new(joint: &Joint, from: &[bool], to: &[bool]) -> Self {
        let mut way = Self::default();
        let [from_border, to_border] = [from, to].map(|of| joint.border(of, 3));
        // The voxel of a structure nearest to a voxel outside it is one of its border: one transform serves both.
        let squared = squared_distances(&to_border, joint.size, joint.grid.spacing());
        for (at, distance) in squared.into_iter().enumerate().filter(|(at, _)| from[*at]) {
            let distance = distance.sqrt();
            way.voxels += 1;
            if !to[at] {
                way.sum += distance;
                way.largest = way.largest.max(distance);
            }
            if from_border[at] {
                way.border.push(distance);
            }
        }
        way.border.sort_unstable_by(f64::total_cmp);
        way
    }
}

/// Both ways: from the found structure to the reference, and back.
struct Surfaces([OneWay; 2]);

impl Surfaces {
    fn of(joint: &Joint) -> Self {
        let way = |from, to| OneWay::new(joint, from, to);
        Self([way(&joint.found, &joint.reference), way(&joint.reference, &joint.found)])
    }

    fn border_voxels(&self) -> f64 {
        self.0.iter().map(|way| way.border.len()).sum::<usize>() as f64
    }

    /// `None` when one structure is empty.
    fn distances(&self) -> Option<Distances> {
        let [ab, ba] = &self.0;
        if ab.voxels == 0 || ba.voxels == 0 {
            return None;
        }
        let surface: f64 = self.0.iter().flat_map(|way| &way.border).sum();
        Some(Distances {
            hausdorff_mm: ab.largest.max(ba.largest),
            mean_mm: (ab.sum + ba.sum) / (ab.voxels + ba.voxels) as f64,
            hausdorff95_mm: nearest_rank(&ab.border, 0.95).max(nearest_rank(&ba.border, 0.95)),
            mean_surface_mm: surface / self.border_voxels(),
        })
    }

    /// Border voxels of an empty structure's partner are infinitely far: 0.
    fn dice(&self, tolerance_mm: f64) -> f64 {
        // A distance that is the tolerance in all but rounding is within it.
        let near = |way: &OneWay| way.border.partition_point(|mm| *mm <= tolerance_mm * (1.0 + 1e-9));
        self.0.iter().map(near).sum::<usize>() as f64 / self.border_voxels()
    }
}

/// The smallest value that at least a share q of the sorted values do not exceed.
fn nearest_rank(sorted: &[f64], q: f64) -> f64 {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_support::{block, grid};
    use super::*;

    fn measured(found: &Mask, reference: &Mask) -> (Overlap, Distances) {
        let m = measure(found, reference, &[0.5, 1.0, 2.0]).unwrap();
        (m.overlap.unwrap(), m.distances.unwrap())
    }

    #[test]
    fn two_boxes_by_hand() {
        // The reference is the found box moved by two voxels (1 mm) along i and made one voxel (2 mm) higher.
        let (found, reference) = (block([1, 2, 1], [3, 1, 1]), block([3, 2, 1], [3, 1, 2]));
        // From found: 1.0, 0.5, 0; from the reference: below 0, 0.5, 1.0; above 2, sqrt(4.25), sqrt(5). All are border.
        let above = [2.0, 4.25f64.sqrt(), 5.0f64.sqrt()];
        let (overlap, d) = measured(&found, &reference);
        assert!((d.mean_mm - (3.0 + above.iter().sum::<f64>()) / 9.0).abs() < 1e-12);
        assert_eq!(d.mean_surface_mm, d.mean_mm);
        assert_eq!((d.hausdorff_mm, d.hausdorff95_mm), (above[2], above[2]));
        let values: Vec<f64> = overlap.surface_dice.iter().map(|s| s.value).collect();
        assert_eq!(values, [4.0 / 9.0, 6.0 / 9.0, 7.0 / 9.0]);
        // One common voxel, two found alone, five of the reference alone, 756 in all.
        assert_eq!(overlap.dice, 2.0 / 9.0);
        assert_eq!((overlap.sensitivity, overlap.precision), (Some(1.0 / 6.0), Some(1.0 / 3.0)));
        assert_eq!(overlap.specificity, Some(748.0 / 750.0));
        // Of the two found alone one touches the reference; every voxel of the reference lies at its border.
        assert_eq!(overlap.tolerant_dice, Some(2.0 / 3.0));
        assert_eq!((overlap.tolerant_sensitivity, overlap.tolerant_precision), (Some(1.0), Some(0.5)));
        assert_eq!(overlap.tolerant_specificity, Some(748.0 / 749.0));
        // Lower plane: two pixels to draw; upper plane: three; pixels of 0.5 x 1.5 mm.
        assert_eq!(overlap.added_path_mm, 5.0);
        let (_, back) = measured(&reference, &found);
        assert_eq!(back, d);
    }

    #[test]
    fn equal_structures_differ_in_nothing() {
        let a = block([1, 2, 1], [5, 4, 3]);
        let (overlap, d) = measured(&a, &a);
        assert_eq!((d.mean_mm, d.hausdorff_mm, d.hausdorff95_mm, d.mean_surface_mm), (0.0, 0.0, 0.0, 0.0));
        assert!([overlap.sensitivity, overlap.precision, overlap.specificity].iter().all(|v| *v == Some(1.0)));
        assert!(overlap.surface_dice.iter().all(|s| s.value == 1.0));
        assert_eq!((overlap.dice, overlap.tolerant_dice, overlap.added_path_mm), (1.0, Some(1.0), 0.0));
    }

    #[test]
    fn an_empty_structure() {
        let (a, none) = (block([1, 2, 1], [5, 4, 3]), block([0; 3], [0; 3]));
        assert_eq!(measure(&none, &none, &[1.0]).unwrap().overlap, None);
        let missed = measure(&none, &a, &[1.0]).unwrap();
        assert_eq!((missed.found_cc, missed.distances), (0.0, None));
        let o = missed.overlap.unwrap();
        assert_eq!((o.dice, o.tolerant_dice, o.surface_dice[0].value), (0.0, Some(0.0), 0.0));
        assert_eq!((o.sensitivity, o.tolerant_sensitivity, o.precision), (Some(0.0), Some(0.0), None));
        // Three planes of 5 x 4 pixels with 14 at the edge.
        assert_eq!(o.added_path_mm, 42.0);
        let invented = measure(&a, &none, &[1.0]).unwrap();
        assert_eq!(invented.distances, None);
        let o = invented.overlap.unwrap();
        assert_eq!((o.dice, o.tolerant_dice, o.sensitivity), (0.0, Some(0.0), None));
        assert_eq!((o.precision, o.tolerant_precision, o.added_path_mm), (Some(0.0), Some(0.0), 0.0));
    }

    #[test]
    fn one_far_voxel_moves_the_maximum_only() {
        let reference = block([1, 1, 1], [6, 6, 1]);
        let mut found = reference.clone();
        found.set(11, 1, 1, true);
        let (overlap, d) = measured(&found, &reference);
        assert_eq!((d.hausdorff_mm, d.hausdorff95_mm), (2.5, 0.0));
        assert_eq!(d.mean_mm, 2.5 / 73.0);
        assert_eq!((overlap.tolerant_precision, overlap.tolerant_sensitivity), (Some(36.0 / 37.0), Some(1.0)));
    }

    #[test]
    fn a_hole_is_a_mismatch_of_its_size_and_a_surface_of_its_own() {
        let solid = block([1, 1, 1], [5, 5, 5]);
        let mut hollow = solid.clone();
        hollow.set(3, 3, 3, false);
        // The one voxel lies 0.5 mm from the hollow structure; nothing of that one lies outside the solid.
        let (overlap, d) = measured(&solid, &hollow);
        assert_eq!((d.hausdorff_mm, d.mean_mm), (0.5, 0.5 / 249.0));
        // The six voxels around the hole are border now: two lie 0.5 mm from the outer border along i, two 1.5 mm from it
        // along j but 1.0 along i, two 2 mm along k but 1.0 along i.
        let outer = 5 * 5 * 5 - 3 * 3 * 3;
        assert!((d.mean_surface_mm - (2.0 * 0.5 + 4.0) / f64::from(2 * outer + 6)).abs() < 1e-12);
        // The hole touches the hollow reference: forgiven. The other way round it lies inside the solid one: not.
        assert_eq!(overlap.tolerant_precision, Some(1.0));
        let (overlap, _) = measured(&hollow, &solid);
        assert_eq!(overlap.tolerant_sensitivity, Some(124.0 / 125.0));
        assert_eq!(overlap.added_path_mm, 0.0);
    }

    #[test]
    fn the_border_of_the_grid_is_a_border() {
        let reference = block([0, 0, 0], [12, 9, 7]);
        let mut found = reference.clone();
        found.set(0, 4, 3, false);
        found.set(5, 4, 3, false);
        let (overlap, d) = measured(&found, &reference);
        assert_eq!(overlap.tolerant_sensitivity, Some(754.0 / 755.0));
        assert_eq!((overlap.specificity, overlap.tolerant_specificity), (None, None));
        assert_eq!(d.hausdorff_mm, 0.5);
    }

    #[test]
    fn mismatches_within_the_tolerance_alone_leave_nothing_to_measure() {
        let (found, reference) = (block([4, 4, 3], [1, 1, 1]), block([5, 5, 4], [1, 1, 1]));
        let (overlap, _) = measured(&found, &reference);
        assert_eq!(overlap.dice, 0.0);
        assert_eq!([overlap.tolerant_dice, overlap.tolerant_sensitivity, overlap.tolerant_precision], [None; 3]);
    }

    proptest! {
        #[test]
        fn measures_are_symmetric_and_ordered(
            data in proptest::collection::vec((proptest::bool::weighted(0.2), proptest::bool::weighted(0.3)), 12 * 9 * 7),
        ) {
            let (a, b) = data.into_iter().unzip();
            let (a, b) = (Mask::new(grid(), a).unwrap(), Mask::new(grid(), b).unwrap());
            if a.is_empty() || b.is_empty() {
                return Ok(());
            }
            let ((o, d), (p, e)) = (measured(&a, &b), measured(&b, &a));
            prop_assert!((d.mean_mm - e.mean_mm).abs() < 1e-12 && d.hausdorff_mm == e.hausdorff_mm);
            prop_assert!(d.hausdorff95_mm == e.hausdorff95_mm && o.surface_dice == p.surface_dice);
            prop_assert!((o.sensitivity, o.precision) == (p.precision, p.sensitivity) && o.dice == p.dice);
            prop_assert!(d.mean_mm <= d.hausdorff_mm);
            prop_assert!(o.tolerant_dice.is_none_or(|t| t >= o.dice));
            prop_assert!(o.surface_dice.windows(2).all(|w| w[0].value <= w[1].value));
        }
    }
}
