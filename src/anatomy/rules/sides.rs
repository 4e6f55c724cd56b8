//! Laterality: which voxels of a bilateral class are left and which are right.

use super::config::{RulesConfig, SideRule};
use super::draft::Draft;
use super::report::{Flag, Rule};
use super::{Side, Structure};
use crate::anatomy::axes::SidePlane;
use crate::anatomy::part::Part;
use crate::geometry::{Connectivity, Lps, components};

/// A bilateral class as two structures.
#[derive(Debug)]
pub(super) struct Pair {
    pub left: Draft,
    pub right: Draft,
}

impl Pair {
    pub fn of(&self, side: Side) -> &Draft {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// Puts other halves, left and right, in place.
    fn assign(&mut self, [left, right]: [Part; 2]) {
        self.left.replace(Rule::Laterality, left);
        self.right.replace(Rule::Laterality, right);
    }

    pub fn each(&mut self) -> [(Side, &mut Draft); 2] {
        [(Side::Left, &mut self.left), (Side::Right, &mut self.right)]
    }
}

/// What is known of one component about the plane.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    voxels: usize,
    sum: f64,
    /// Voxels and greatest distance from the plane, left and right.
    on: [usize; 2],
    reach: [f64; 2],
}

impl Spread {
    fn add(&mut self, distance: f64) {
        let side = usize::from(distance < 0.0);
        self.voxels += 1;
        self.sum += distance;
        self.on[side] += 1;
        self.reach[side] = self.reach[side].max(distance.abs());
    }

    /// The side of the barycentre.
    fn side(&self) -> Side {
        if self.sum >= 0.0 { Side::Left } else { Side::Right }
    }

    /// Whether both sides hold enough of the component to cut it. The smaller part must have substance: a nerve's end
    /// at the chiasm crosses the plane by a voxel or two, and a plane half a voxel off must not chip it.
    fn cut(&self, cfg: &RulesConfig) -> bool {
        let small = usize::from(self.side() == Side::Left);
        let share = self.on[small] as f64 / self.voxels.max(1) as f64;
        cfg.cut_at_plane && self.on[small] > 0 && self.reach[small] >= cfg.cut_depth_mm && share >= cfg.cut_min_share
    }
}

/// Splits a class at the plane: each component to the side of its barycentre; in the head's axes, a component that
/// crosses the plane is then cut there.
pub(super) fn split([left, right]: [Structure; 2], part: &Part, plane: &SidePlane, cfg: &RulesConfig) -> Pair {
    let mask = part.mask();
    let found = components(mask, Connectivity::Corners);
    let voxels = |c| found.runs_of(c).flat_map(|([i, j, k], length)| (i..i + length).map(move |i| [i, j, k]));
    let place = |[i, j, k]: [usize; 3]| mask.grid().centre(i, j, k);
    let set = |halves: &mut [Part; 2], [i, j, k]: [usize; 3], side: Side, inside: bool| {
        halves[usize::from(side == Side::Right)].mask_mut().set(i, j, k, inside);
    };
    let mut halves = [part.cleared(), part.cleared()];
    let mut crossing = Vec::new();
    for c in &found.list {
        let mut spread = Spread::default();
        voxels(c).for_each(|v| spread.add(plane.distance(place(v))));
        voxels(c).for_each(|v| set(&mut halves, v, spread.side(), true));
        if spread.cut(cfg) {
            crossing.push((c, spread.side()));
        }
    }
    let [l, r] = halves.clone();
    let mut pair = Pair { left: Draft::new(left, l), right: Draft::new(right, r) };
    if cfg.sides == SideRule::HeadAxes {
        for (c, side) in crossing {
            for v in voxels(c).filter(|v| plane.side(place(*v)) != side) {
                set(&mut halves, v, side, false);
                set(&mut halves, v, side.other(), true);
            }
        }
        pair.assign(halves);
    }
    pair
}

/// An eye as a sphere: what a nerve reaches.
#[derive(Debug, Clone, Copy)]
struct Ball {
    centre: Lps,
    radius: f64,
}

impl Ball {
    fn of(eye: &Part) -> Option<Self> {
        let centre = eye.mask().barycentre()?;
        let mm3 = eye.mask().cc() * 1000.0;
        Some(Self { centre, radius: (mm3 * 0.75 / std::f64::consts::PI).cbrt() })
    }

    /// Smallest distance of some points from the sphere's surface, mm; negative inside.
    fn gap(&self, points: impl Iterator<Item = Lps>) -> f64 {
        points.map(|p| p.distance(self.centre) - self.radius).fold(f64::INFINITY, f64::min)
    }
}

/// The two eyes as spheres.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eyes([Option<Ball>; 2]);

impl Eyes {
    pub fn of(eyes: &Pair) -> Self {
        Self([Ball::of(&eyes.left.part), Ball::of(&eyes.right.part)])
    }

    /// The side of the eye that some points come within `reach_mm` of, the nearer one when both.
    fn reached(&self, points: impl Iterator<Item = Lps> + Clone, reach_mm: f64) -> Option<Side> {
        let gap = |n: usize| self.0[n].map_or(f64::INFINITY, |ball| ball.gap(points.clone()));
        let (left, right) = (gap(0), gap(1));
        let side = if left <= right { Side::Left } else { Side::Right };
        (left.min(right) <= reach_mm).then_some(side)
    }
}

/// Gives each lens voxel inside an eye to that eye's side.
pub(super) fn follow_eyes(lenses: &mut Pair, eyes: &Pair) {
    let mut halves = [lenses.left.part.cleared(), lenses.right.part.cleared()];
    for side in [Side::Left, Side::Right] {
        for v in lenses.of(side).part.voxels() {
            let moves = eyes.of(side.other()).part.contains(v) && !eyes.of(side).part.contains(v);
            let to = if moves { side.other() } else { side };
            halves[usize::from(to == Side::Right)].insert(v);
        }
    }
    lenses.assign(halves);
}

/// Gives each component of a nerve that reaches an eye to that eye's side.
pub(super) fn follow_reached_eyes(nerves: &mut Pair, eyes: &Eyes, cfg: &RulesConfig) {
    let mut halves = [nerves.left.part.cleared(), nerves.right.part.cleared()];
    for side in [Side::Left, Side::Right] {
        let part = &nerves.of(side).part;
        let found = components(part.mask(), Connectivity::Corners);
        for c in &found.list {
            let points = part.voxels_of(&found, c).map(|v| part.centre(v));
            let to = eyes.reached(points, cfg.nerve_reach_mm).unwrap_or(side);
            part.voxels_of(&found, c).for_each(|v| halves[usize::from(to == Side::Right)].insert(v));
        }
    }
    nerves.assign(halves);
}

/// Flags a structure whose barycentre lies nearer to the plane than the configured distance, or beyond it.
pub(super) fn flag_distance(draft: &mut Draft, side: Side, plane: &SidePlane, cfg: &RulesConfig) {
    if let Some(distance_mm) = own_distance(draft, side, plane)
        && distance_mm < cfg.side_red_below_mm
    {
        draft.flag(Flag::SideUncertain { distance_mm });
    }
}

/// As [`flag_distance`], for a structure whose side an eye decided: what is uncertain is the eye's side.
pub(super) fn flag_as_eye(draft: &mut Draft, side: Side, eye: &Draft, plane: &SidePlane) {
    for flag in eye.flags().iter().filter(|f| matches!(f, Flag::SideUncertain { .. })) {
        draft.flag(flag.clone());
    }
    if let Some(distance) = own_distance(draft, side, plane)
        && distance < 0.0
    {
        draft.flag(Flag::SideAgainstPlane { distance_mm: -distance });
    }
}

/// Whether a nerve reaches the eye of its own side, so that the eye decided.
pub(super) fn reaches_eye(nerve: &Draft, side: Side, eyes: &Eyes, cfg: &RulesConfig) -> bool {
    let points = nerve.part.voxels().map(|v| nerve.part.centre(v)).collect::<Vec<_>>();
    eyes.reached(points.iter().copied(), cfg.nerve_reach_mm) == Some(side)
}

/// Distance of the barycentre from the plane towards the structure's own side, mm.
fn own_distance(draft: &Draft, side: Side, plane: &SidePlane) -> Option<f64> {
    let distance = plane.distance(draft.part.mask().barycentre()?);
    Some(if side == Side::Left { distance } else { -distance })
}
