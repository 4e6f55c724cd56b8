//! The optic nerves: from what the networks predicted to the nerve delivered on each side (thesis section 4.2.2.2).
//!
//! For each side: landmarks at eye and chiasm, fat taken from the prediction, the cheapest path between the landmarks, a
//! tube around it, opening, the largest component. A nerve so traced is one 26-connected piece that touches the masks of
//! its eye and of the chiasm. Where a precondition fails the component rule is kept and a flag says why.

mod config;
mod fat;
mod landmarks;
mod path;
mod ruler;
mod tube;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use config::{Fill, NerveConfig, NervePath};
pub use fat::FatUnused;

use super::config::{RulesConfig, SideRule};
use super::draft::Draft;
use super::report::{Flag, Rule};
use super::sides::{self, Eyes, Pair};
use super::{Side, Structure};
use crate::anatomy::axes::SidePlane;
use crate::anatomy::morphology::border;
use crate::anatomy::part::Part;
use crate::geometry::{Extent, GeometryError, Grid, Lps, Volume};
use landmarks::{barycentre, line, nearest, nearest_points};
use path::{Ends, centreline};
use ruler::{Ruler, moved, neighbours};
use tube::Tube;

/// Indices of a voxel of the whole grid.
type Voxel = [usize; 3];

/// What the nerves are found with: the structures that were decided before them, and the image.
pub(super) struct Scene<'a> {
    pub eyes: &'a Pair,
    pub chiasm: &'a Part,
    pub brain: Option<Lps>,
    pub plane: &'a SidePlane,
    pub image: &'a Volume<f32>,
    /// The header says that fat was suppressed.
    pub fat_suppressed: bool,
    pub cfg: &'a RulesConfig,
}

/// Why a nerve was not traced from eye to chiasm, so that it is what the component rule leaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum NotTraced {
    /// There is no eye on this side.
    NoEye {
        /// What was predicted of the nerve reaches the end of the image: the eye may lie outside the field of view.
        at_image_end: bool,
    },
    /// There is no chiasm.
    NoChiasm {
        /// What was predicted of the nerve reaches the end of the image: the chiasm may lie outside the field of view.
        at_image_end: bool,
    },
    /// Too few voxels were predicted for a landmark.
    LittlePredicted {
        /// How many.
        voxels: usize,
    },
    /// The chiasm landmarks of the two nerves are abnormally close, and the other nerve's eye is nearer.
    CloseLandmarks {
        /// Their distance, mm.
        distance_mm: f64,
    },
    /// The chiasm does not lie behind the eye.
    Reversed,
    /// No path of allowed steps leads from the eye's landmark to the chiasm's.
    Unreachable,
}

impl fmt::Display for NotTraced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outside = |at_image_end: bool| if at_image_end { ", perhaps because the image ends before it" } else { "" };
        match self {
            NotTraced::NoEye { at_image_end } => write!(f, "its eye was not found{}", outside(*at_image_end)),
            NotTraced::NoChiasm { at_image_end } => write!(f, "the chiasm was not found{}", outside(*at_image_end)),
            NotTraced::LittlePredicted { voxels } => write!(f, "the networks marked only {voxels} voxels of it"),
            NotTraced::CloseLandmarks { distance_mm } => {
                write!(f, "both nerves would end within {distance_mm:.1} mm of each other at the chiasm")
            }
            NotTraced::Reversed => write!(f, "the chiasm was found in front of the eye"),
            NotTraced::Unreachable => write!(f, "no path leads from the eye to the chiasm"),
        }
    }
}

/// The nerves, each on the side of the eye that it reaches.
///
/// # Errors
/// As [`Part::empty`].
pub(super) fn nerves(part: &Part, scene: &Scene) -> Result<Pair, GeometryError> {
    let cfg = scene.cfg;
    let mut pair = sides::split([Structure::OpticNrv_L, Structure::OpticNrv_R], part, scene.plane, cfg);
    let balls = Eyes::of(scene.eyes);
    if cfg.sides == SideRule::HeadAxes {
        sides::follow_reached_eyes(&mut pair, &balls, cfg);
    }
    let [left, right] = plans(&pair, scene);
    let (left, right) = rayon::join(
        || apply(&mut pair.left, Side::Left, left, scene),
        || apply(&mut pair.right, Side::Right, right, scene),
    );
    left.and(right)?;
    for (side, nerve) in pair.each() {
        if cfg.sides == SideRule::HeadAxes && sides::reaches_eye(nerve, side, &balls, cfg) {
            sides::flag_as_eye(nerve, side, scene.eyes.of(side), scene.plane);
        } else {
            sides::flag_distance(nerve, side, scene.plane, cfg);
        }
    }
    Ok(pair)
}

/// One nerve: traced where there is a plan, otherwise its largest component.
fn apply(
    nerve: &mut Draft,
    side: Side,
    plan: Result<Plan, Vec<NotTraced>>,
    scene: &Scene,
) -> Result<(), GeometryError> {
    let failed = match plan {
        Ok(plan) => match trace(nerve, side, &plan, scene)? {
            Ok(()) => return Ok(()),
            Err(why) => vec![why],
        },
        Err(all) => all,
    };
    failed.into_iter().for_each(|why| nerve.flag(Flag::NerveNotTraced { why }));
    if scene.cfg.optic_nerve_largest_component {
        nerve.keep_largest();
    }
    Ok(())
}

/// What a path is looked for between, and how its ends are tied to the organs.
struct Plan {
    ends: Ends,
    /// From the eye's surface to the start, and from the target into the chiasm; one voxel where they are the same.
    to_start: Vec<Voxel>,
    from_target: Vec<Voxel>,
}

/// A plan for each nerve, or why there is none; no reason where no path is wanted.
fn plans(pair: &Pair, scene: &Scene) -> [Result<Plan, Vec<NotTraced>>; 2] {
    if scene.cfg.nerve.path == NervePath::Off {
        return [Err(Vec::new()), Err(Vec::new())];
    }
    let (left, right) =
        rayon::join(|| plan(&pair.left.part, Side::Left, scene), || plan(&pair.right.part, Side::Right, scene));
    let (Ok(l), Ok(r)) = (&left, &right) else { return [left, right] };
    let ruler = Ruler::new(scene.image.grid(), &scene.cfg.nerve);
    let distance_mm = ruler.mm(l.ends.target, r.ends.target).norm();
    if distance_mm >= scene.cfg.nerve.close_landmarks_mm {
        return [left, right];
    }
    let from_eye = |plan: &Plan| plan.to_start.first().copied().unwrap_or(plan.ends.start);
    let way = |plan: &Plan| ruler.mm(from_eye(plan), plan.ends.target).norm();
    let close = vec![NotTraced::CloseLandmarks { distance_mm }];
    if way(l) <= way(r) { [left, Err(close)] } else { [Err(close), right] }
}

/// The landmarks of one nerve.
fn plan(nerve: &Part, side: Side, scene: &Scene) -> Result<Plan, Vec<NotTraced>> {
    let (cfg, grid) = (&scene.cfg.nerve, scene.image.grid());
    let ruler = Ruler::new(grid, cfg);
    let eye = &scene.eyes.of(side).part;
    let mut missing = Vec::new();
    // The working grid is filled up with 0 where nothing was acquired.
    let at_image_end = || nerve.voxels().any(|v| scene.image.faces(v, |beside| beside == 0.0));
    if eye.mask().is_empty() {
        missing.push(NotTraced::NoEye { at_image_end: at_image_end() });
    }
    if scene.chiasm.mask().is_empty() {
        missing.push(NotTraced::NoChiasm { at_image_end: at_image_end() });
    }
    let predicted: Vec<Voxel> = nerve.voxels().collect();
    if predicted.len() < cfg.landmark_points {
        missing.push(NotTraced::LittlePredicted { voxels: predicted.len() });
    }
    if !missing.is_empty() {
        return Err(missing);
    }
    let eye_surface = border(eye);
    let half = half_chiasm(scene, side);
    let at_eye = nearest_points(&predicted, &eye_surface, cfg.landmark_points, ruler.spacing());
    let at_chiasm = nearest_points(&half, &predicted, cfg.landmark_points, ruler.spacing());
    let unreachable = || vec![NotTraced::Unreachable];
    let (beginning, target) = barycentre(&at_eye).zip(barycentre(&at_chiasm)).ok_or_else(unreachable)?;
    let first = at_eye.first().copied().unwrap_or(beginning);
    let (gap, _) = nearest(first, &eye_surface, ruler.per_voxel()).ok_or_else(unreachable)?;
    let (_, on_eye) = nearest(beginning, &eye_surface, ruler.spacing()).ok_or_else(unreachable)?;
    let start = if gap.sqrt() > cfg.eye_gap_voxels { on_eye } else { beginning };
    let (_, in_chiasm) = nearest(target, &half, ruler.spacing()).ok_or_else(unreachable)?;
    let ends = Ends { start, target };
    if reversed(ends, eye, scene, &ruler) {
        return Err(vec![NotTraced::Reversed]);
    }
    Ok(Plan { ends, to_start: line(on_eye, start), from_target: line(target, in_chiasm) })
}

/// The voxels of the chiasm on one side of the plane. A chiasm that lies on one side of it, with hardly a voxel on the
/// other (pushed aside by a tumour), is halved at its own middle.
fn half_chiasm(scene: &Scene, side: Side) -> Vec<Voxel> {
    let chiasm = scene.chiasm;
    let distances: Vec<(f64, Voxel)> = chiasm.voxels().map(|v| (scene.plane.distance(chiasm.centre(v)), v)).collect();
    let left = distances.iter().filter(|(d, _)| *d >= 0.0).count();
    let mean = distances.iter().map(|(d, _)| d).sum::<f64>() / distances.len().max(1) as f64;
    let middle = if left.min(distances.len() - left) >= scene.cfg.nerve.landmark_points { 0.0 } else { mean };
    let own = distances.into_iter().filter(|(d, _)| (*d >= middle) == (side == Side::Left));
    own.map(|(_, v)| v).collect()
}

/// Whether the chiasm's landmark does not lie behind the eye's: in y for the thesis's path; for the other in the head's
/// own direction from eye to brain, and not at all where there is no brain.
fn reversed(ends: Ends, eye: &Part, scene: &Scene, ruler: &Ruler) -> bool {
    if scene.cfg.nerve.path == NervePath::ThesisY {
        return ends.target[1] <= ends.start[1];
    }
    let back = eye.mask().barycentre().zip(scene.brain).map(|(eye, brain)| brain - eye);
    back.is_some_and(|back| back.dot(ruler.mm(ends.start, ends.target)) <= 0.0)
}

/// Traces one nerve: fat, path, tube, opening, connection.
fn trace(nerve: &mut Draft, side: Side, plan: &Plan, scene: &Scene) -> Result<Result<(), NotTraced>, GeometryError> {
    let (cfg, grid) = (&scene.cfg.nerve, scene.image.grid());
    let ruler = Ruler::new(grid, cfg);
    let eye = &scene.eyes.of(side).part;
    let organ = |v: Voxel| {
        scene.chiasm.contains(v) || [Side::Left, Side::Right].iter().any(|s| scene.eyes.of(*s).part.contains(v))
    };

    let bright =
        cfg.fat.then(|| fat::threshold(scene.image, plan.ends.start, &nerve.part, scene.fat_suppressed, &ruler, cfg));
    let lean = match bright {
        Some(Ok(above)) => fat::without(&nerve.part, scene.image, above),
        _ => nerve.part.clone(),
    };
    let Some(path) = centreline(plan.ends, &lean, grid, &ruler, cfg) else {
        return Ok(Err(NotTraced::Unreachable));
    };
    let inner = [plan.to_start.split_last(), plan.from_target.split_first()];
    let [before, after] = inner.map(|ends| ends.map_or(&[][..], |(_, rest)| rest));
    let way = [before, &path, after].concat();
    let between = between(&way, eye, scene.chiasm);
    let gap_mm = longest_gap(between, &nerve.part, &ruler);

    let wide = around_all(&way, &nerve.part, &ruler, grid, cfg);
    nerve.part = nerve.part.on_box(grid, wide)?;
    let lean = lean.on_box(grid, wide)?;
    match bright {
        Some(Ok(_)) => {
            nerve.replace(Rule::Fat, lean.clone());
        }
        Some(Err(why)) => nerve.flag(Flag::FatNotUsed { why }),
        None => {}
    }
    let Tube { whole, core } = tube::around(&way, plan.ends, &lean, organ, &ruler, cfg);
    nerve.replace(Rule::Centreline, whole);
    if cfg.opening {
        nerve.replace(Rule::Opening, tube::opened(&nerve.part, &core, &ruler, cfg));
    }
    if scene.cfg.optic_nerve_largest_component {
        // The component that holds the line between the organs: so connected, whatever else is larger. Where the organs
        // touch each other there is no line, and the largest stays.
        match between.first() {
            Some(first) => {
                nerve.retain(Rule::LargestComponent, |part, found, c| part.voxels_of(found, c).any(|v| v == *first))
            }
            None => nerve.keep_largest(),
        }
    }
    if gap_mm >= cfg.gap_flag_mm && gap_mm > 0.0 {
        nerve.flag(Flag::NerveBridged { gap_mm });
    }
    Ok(Ok(()))
}

/// The part of a way that lies between eye and chiasm: after its last voxel in the eye, before the next in the chiasm.
fn between<'a>(way: &'a [Voxel], eye: &Part, chiasm: &Part) -> &'a [Voxel] {
    let from = way.iter().rposition(|v| eye.contains(*v)).map_or(0, |last| last + 1);
    let rest = &way[from..];
    &rest[..rest.iter().position(|v| chiasm.contains(*v)).unwrap_or(rest.len())]
}

/// The longest stretch of a way, in mm, with nothing predicted on a voxel or beside it.
fn longest_gap(way: &[Voxel], predicted: &Part, ruler: &Ruler) -> f64 {
    let near = |v: &Voxel| neighbours().any(|by| predicted.contains(moved(*v, by)));
    let (mut longest, mut length, mut last) = (0.0f64, 0.0, None);
    for v in way {
        let step = last.map_or(0.0, |last| ruler.mm(last, *v).norm());
        length = if near(v) { 0.0 } else { length + step };
        longest = longest.max(length);
        last = Some(*v);
    }
    longest
}

/// A box that holds what was predicted and every tube around a way.
fn around_all(way: &[Voxel], predicted: &Part, ruler: &Ruler, grid: &Grid, cfg: &NerveConfig) -> Extent {
    let s = grid.shape();
    let last = [s.cols, s.rows, s.slices].map(|n| n - 1);
    let reach = ruler.reach(cfg.radius_eye.max(cfg.radius_chiasm));
    let (mut lo, mut hi) = (last, [0; 3]);
    for a in 0..3 {
        for v in way {
            lo[a] = lo[a].min(v[a].saturating_sub(reach[a] as usize));
            hi[a] = hi[a].max((v[a] + reach[a] as usize).min(last[a]));
        }
        if let Some(e) = predicted.extent() {
            (lo[a], hi[a]) = (lo[a].min(e.lo[a]), hi[a].max(e.hi[a]));
        }
    }
    Extent { lo, hi }
}
