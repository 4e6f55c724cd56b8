//! Which plane tells left from right in this case, and the eyes that it and they are decided with.

use super::config::{RulesConfig, SideRule};
use super::draft::Draft;
use super::report::{Flag, Rule};
use super::sides::{Pair, split};
use super::{Class, Structure};
use crate::anatomy::axes::{PlaneSource, SidePlane};
use crate::anatomy::part::Part;
use crate::anatomy::parts::Parts;
use crate::geometry::{Connectivity, Extent, Grid, Index, Lps, components};

/// Below this share of the brain mirrored into itself the head's axes are flagged. A healthy brain has about 0.95.
const LEAST_SYMMETRY: f64 = 0.82;

/// The plane, the eyes split by it, and the flags that concern every structure with a side.
pub(super) struct Decided {
    pub plane: SidePlane,
    pub eyes: Pair,
    pub flags: Vec<Flag>,
}

/// Decides the plane between left and right and splits the eyes. `parts` are the networks' classes, `brain` the brain
/// after its own rules.
pub(super) fn decide(brain: &Draft, parts: &Parts, cfg: &RulesConfig) -> Decided {
    let eyes = parts.of(Class::Eye);
    match cfg.sides {
        SideRule::ThesisBox => {
            let plane = match brain.part.extent() {
                Some(extent) => SidePlane::across_x(middle(parts.grid(), extent), PlaneSource::ThesisBox),
                None => without_brain(parts),
            };
            Decided { plane, eyes: eyes_of(eyes, &plane, cfg), flags: plane_flags(&plane) }
        }
        SideRule::HeadAxes => {
            let midline = midline(parts);
            let large = brain.part.mask().cc() >= cfg.axes_min_brain_cc;
            let Some(by_brain) = SidePlane::of_brain(&brain.part, &midline).filter(|_| large) else {
                let mut largest = barycentres(eyes, cfg.eye_min_cc);
                let plane = largest.next().zip(largest.next()).and_then(|(a, b)| SidePlane::of_eyes(a, b));
                let plane = plane.unwrap_or_else(|| without_brain(parts));
                return Decided { plane, eyes: eyes_of(eyes, &plane, cfg), flags: plane_flags(&plane) };
            };
            let pair = eyes_of(eyes, &by_brain, cfg);
            let largest = |eye: &Draft| barycentres(&eye.part, cfg.eye_min_cc).next();
            let centres = largest(&pair.left).zip(largest(&pair.right));
            let refined = centres.map(|(left, right)| by_brain.refined_by_eyes(&brain.part, &midline, [left, right]));
            match refined {
                Some(Ok(plane)) => Decided { plane, eyes: eyes_of(eyes, &plane, cfg), flags: plane_flags(&plane) },
                Some(Err(against)) => {
                    let mut flags = plane_flags(&by_brain);
                    let flag =
                        Flag::EyesAgainstBrain { angle_deg: against.angle_deg, distance_mm: against.distance_mm };
                    flags.push(flag);
                    Decided { plane: by_brain, eyes: pair, flags }
                }
                None => Decided { plane: by_brain, eyes: pair, flags: plane_flags(&by_brain) },
            }
        }
    }
}

/// The eyes split by a plane, without what is too small to be an eye.
fn eyes_of(eyes: &Part, plane: &SidePlane, cfg: &RulesConfig) -> Pair {
    let mut pair = split([Structure::Eye_L, Structure::Eye_R], eyes, plane, cfg);
    if cfg.eye_remove_small {
        for (_, eye) in pair.each() {
            let voxel_cc = eye.part.mask().grid().voxel_cc();
            eye.retain(Rule::LeastVolume, |_, _, c| c.voxels as f64 * voxel_cc >= cfg.eye_min_cc);
        }
    }
    pair
}

/// Barycentres of the components of at least `least_cc`, largest first.
fn barycentres(part: &Part, least_cc: f64) -> impl Iterator<Item = Lps> {
    let mask = part.mask();
    let found = components(mask, Connectivity::Corners);
    let large = found.list.clone().into_iter().filter(move |c| c.voxels as f64 * mask.grid().voxel_cc() >= least_cc);
    large.map(move |c| {
        let (n, sum) = part
            .voxels_of(&found, &c)
            .fold((0.0, [0.0; 3]), |(n, sum), v| (n + 1.0, std::array::from_fn(|a| sum[a] + v[a] as f64)));
        part.place(sum.map(|s: f64| s / n))
    })
}

/// Barycentres of the organs on the midline that there are: brainstem, chiasm, pituitary.
fn midline(parts: &Parts) -> Vec<Lps> {
    let organs = [Class::Brainstem, Class::Chiasm, Class::Pituitary].into_iter();
    organs.filter_map(|c| barycentres(parts.of(c), 0.0).next()).collect()
}

/// The plane across the patient's x axis through the first midline organ there is, or else through the middle of the
/// working grid, which is centred on the head.
fn without_brain(parts: &Parts) -> SidePlane {
    let grid = parts.grid();
    let s = grid.shape();
    let whole = Extent { lo: [0; 3], hi: [s.cols - 1, s.rows - 1, s.slices - 1] };
    let organ = midline(parts).first().copied();
    SidePlane::across_x(organ.unwrap_or_else(|| middle(grid, whole)), PlaneSource::PatientAxes)
}

/// Patient point of the middle of a box.
fn middle(grid: &Grid, extent: Extent) -> Lps {
    let at: [f64; 3] = std::array::from_fn(|a| (extent.lo[a] + extent.hi[a]) as f64 / 2.0);
    grid.to_lps(Index::new(at[0], at[1], at[2]))
}

/// Flags that concern every structure with a side: how well the plane itself is known.
fn plane_flags(plane: &SidePlane) -> Vec<Flag> {
    match (plane.source, plane.symmetry) {
        (PlaneSource::Eyes | PlaneSource::PatientAxes, _) => vec![Flag::SidesWithoutBrain],
        (_, Some(symmetry)) if symmetry < LEAST_SYMMETRY => vec![Flag::AxesUncertain { symmetry }],
        _ => Vec::new(),
    }
}
