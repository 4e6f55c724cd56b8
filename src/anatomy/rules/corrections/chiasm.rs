//! The chiasm beside the arteries, and the chiasm of which a half is missing.

use super::super::draft::Draft;
use super::super::report::{Flag, Rule};
use super::CorrectionsConfig;
use crate::anatomy::Side;
use crate::anatomy::axes::SidePlane;
use crate::geometry::{Lps, Vec3};

/// Rounds in which the middle of the chiasm is looked for.
const ROUNDS: usize = 8;

/// Removes what lies too far from the middle of the chiasm. The middle is that of the voxels within reach of it, so that
/// what lies beyond does not draw it along.
pub(in super::super) fn trim(chiasm: &mut Draft, cfg: &CorrectionsConfig) {
    let Some(mut middle) = chiasm.part.mask().barycentre() else { return };
    let points: Vec<([usize; 3], Lps)> = chiasm.part.voxels().map(|v| (v, chiasm.part.centre(v))).collect();
    for _ in 0..ROUNDS {
        let near = points.iter().filter(|(_, p)| p.distance(middle) <= cfg.chiasm_reach_mm);
        let (n, sum) = near.fold((0.0, Vec3::new(0.0, 0.0, 0.0)), |(n, sum), (_, p)| (n + 1.0, sum + (*p - middle)));
        if n == 0.0 {
            return;
        }
        middle = middle + sum * (1.0 / n);
    }
    let mut rest = chiasm.part.cleared();
    points.iter().filter(|(_, p)| p.distance(middle) <= cfg.chiasm_reach_mm).for_each(|(v, _)| rest.insert(*v));
    chiasm.replace(Rule::ChiasmReach, rest);
}

/// Flags a chiasm that lies on one side of the mid-sagittal plane more than on the other.
pub(in super::super) fn flag_half(chiasm: &mut Draft, plane: &SidePlane, cfg: &CorrectionsConfig) {
    let left = chiasm.part.voxels().filter(|v| plane.side(chiasm.part.centre(*v)) == Side::Left).count();
    let all = chiasm.part.mask().count();
    let (small, large) = (left.min(all - left), left.max(all - left));
    if all > 0 && (small as f64) < cfg.chiasm_half_share * large as f64 {
        chiasm.flag(Flag::ChiasmUneven { share: small as f64 / large as f64 });
    }
}
