//! Which plane tells left from right in this case, and the eyes that it and they are decided with.

use super::config::{RulesConfig, SideRule};
use super::draft::Draft;
use super::report::{Flag, Rule};
use super::sides::{Pair, split};
use super::{Class, Structure};
use crate::anatomy::axes::{PlaneSource, SidePlane};
use crate::anatomy::part::Part;
use crate::geometry::{Connectivity, Extent, Grid, Index, Lps, components};

/// Below this share of the brain mirrored into itself the head's axes are flagged. A healthy brain has about 0.95.
const LEAST_SYMMETRY: f64 = 0.85;

/// The plane, the eyes split by it, and the flags that concern every structure with a side.
pub(super) struct Decided {
    pub plane: SidePlane,
    pub eyes: Pair,
    pub flags: Vec<Flag>,
}

/// Decides the plane between left and right and splits the eyes. `parts` are the networks' classes, `brain` the brain
/// after its own rules.
pub(super) fn decide(brain: &Draft, parts: &[Part], grid: &Grid, cfg: &RulesConfig) -> Decided {
    let eyes = &parts[Class::Eye.index()];
    match cfg.sides {
        SideRule::ThesisBox => {
            let plane = match brain.part.extent() {
                Some(extent) => SidePlane::across_x(middle(grid, extent), PlaneSource::ThesisBox),
                None => without_brain(parts, grid),
            };
            Decided { plane, eyes: eyes_of(eyes, &plane, cfg), flags: plane_flags(&plane) }
        }
        SideRule::HeadAxes => {
            let large = brain.part.mask().cc() >= cfg.axes_min_brain_cc;
            let Some(by_brain) = SidePlane::of_brain(&brain.part).filter(|_| large) else {
                let plane = largest_two(eyes, cfg)
                    .and_then(|[a, b]| SidePlane::of_eyes(a, b))
                    .unwrap_or_else(|| without_brain(parts, grid));
                return Decided { plane, eyes: eyes_of(eyes, &plane, cfg), flags: plane_flags(&plane) };
            };
            let pair = eyes_of(eyes, &by_brain, cfg);
            let centres = largest(&pair.left.part, cfg).zip(largest(&pair.right.part, cfg));
            let refined = centres.map(|(left, right)| by_brain.refined_by_eyes(&brain.part, left, right));
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

/// Barycentres of the components that are large enough for an eye, largest first.
fn candidates(eyes: &Part, cfg: &RulesConfig) -> Vec<Lps> {
    let mask = eyes.mask();
    let found = components(mask, Connectivity::Corners);
    let large = found.list.iter().filter(|c| c.voxels as f64 * mask.grid().voxel_cc() >= cfg.eye_min_cc);
    let alone = |label: u32| {
        let mut one = mask.clone();
        found.retain(&mut one, |c| c.label == label);
        one.barycentre()
    };
    large.filter_map(|c| alone(c.label)).collect()
}

fn largest(eyes: &Part, cfg: &RulesConfig) -> Option<Lps> {
    candidates(eyes, cfg).first().copied()
}

fn largest_two(eyes: &Part, cfg: &RulesConfig) -> Option<[Lps; 2]> {
    match candidates(eyes, cfg)[..] {
        [a, b, ..] => Some([a, b]),
        _ => None,
    }
}

/// The plane across the patient's x axis through the first midline organ there is, or else through the middle of the
/// working grid, which is centred on the head.
fn without_brain(parts: &[Part], grid: &Grid) -> SidePlane {
    let midline = [Class::Brainstem, Class::Chiasm, Class::Pituitary].into_iter();
    let organ = midline.filter_map(|c| parts[c.index()].mask().barycentre()).next();
    let s = grid.shape();
    let whole = Extent { lo: [0; 3], hi: [s.cols - 1, s.rows - 1, s.slices - 1] };
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
