//! One synthetic head: its shapes, and where patient space meets them.

use std::sync::Arc;

use super::Canvas;
use super::acquisition::FieldOfView;
use super::brain::Brain;
use super::face::{Face, REACH, vessels};
use super::field::{Field, Waves};
use super::lesion::Lesion;
use super::optic::Optic;
use super::random::Rng;
use super::scene::{BARE, Scene};
use super::shape::Bounds;
#[cfg(test)]
use super::tissue::Tissue;
use super::tissue::{Contrast, Signal};
use crate::anatomy::{Class, Side, Structure};
use crate::geometry::{Lps, Vec3};

/// A value drawn uniformly from a range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Smallest value.
    pub low: f64,
    /// Largest value.
    pub high: f64,
}

impl Spread {
    /// Always the same value.
    pub const fn fixed(value: f64) -> Self {
        Self { low: value, high: value }
    }

    /// From minus to plus a value.
    pub const fn within(value: f64) -> Self {
        Self { low: -value, high: value }
    }

    fn draw(self, rng: &mut Rng) -> f64 {
        rng.within(self.low, self.high)
    }
}

/// What of a head is asked for; the rest follows from the seed.
#[derive(Debug, Clone)]
pub struct HeadOptions {
    /// Turn about the superior axis, degrees; positive turns the face to the patient's left.
    pub yaw: Spread,
    /// Nod about the left-right axis, degrees; positive lifts the chin.
    pub pitch: Spread,
    /// Tilt about the antero-posterior axis, degrees; positive moves the vertex towards the patient's right.
    pub roll: Spread,
    /// Distance of the head's origin from the patient origin along each axis, mm.
    pub shift: Spread,
    /// The side without eye, lens and optic nerve (exenteration).
    pub missing_eye: Option<Side>,
    /// Kind of acquisition; drawn when not given.
    pub contrast: Option<Contrast>,
    /// Strength of the random deformation; 1 is the usual variation between adults.
    pub deformation: f64,
    /// Width over length of the head, relative to the average: 1.15 is brachycephaly.
    pub breadth: f64,
    /// How far signals stray from those of T1 (0: not at all, 1: as far as training goes).
    pub strange: f64,
    /// Largest radius in mm of a lesion of the brain (a tumour with oedema, the cavity of an operation); 0: none.
    pub lesion: f64,
    /// Whether the brain is the bent average of many people's or drawn by formulas; drawn by lot when not given, four averages to one.
    pub average_brain: Option<bool>,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self {
            yaw: Spread::within(12.0),
            pitch: Spread { low: -14.0, high: 14.0 },
            roll: Spread::within(9.0),
            shift: Spread::within(25.0),
            missing_eye: None,
            contrast: None,
            deformation: 1.0,
            breadth: 1.0,
            strange: 0.0,
            lesion: 0.0,
            average_brain: None,
        }
    }
}

/// A synthetic head in patient space.
#[derive(Debug)]
pub struct Head {
    brain: Arc<Brain>,
    face: Face,
    optic: Arc<Optic>,
    /// What lies around and under the brain, and what lies over it.
    under: Scene,
    over: Scene,
    signal: Signal,
    contrast: Contrast,
    missing_eye: Option<Side>,
    lesion: Option<Lesion>,
    origin: Lps,
    /// Patient directions of the head's own left, posterior and superior.
    axes: [Vec3; 3],
    scale: Vec3,
    /// In mm; the fourth is 0, since four are read as fast as one.
    warp: Field<4>,
}

/// No deformation moves a point further than this, mm.
const FURTHEST: f64 = 9.0;
/// Distances shrink at most by a third under scale, deformation and first-order error.
const SHRINKS: f64 = 0.66;

impl Head {
    /// The head of a seed.
    pub fn new(seed: u64, options: &HeadOptions) -> Self {
        let mut pose = Rng::new(seed, "pose");
        let axes = axes_of(options.yaw.draw(&mut pose), options.pitch.draw(&mut pose), options.roll.draw(&mut pose));
        let mut shift = || options.shift.draw(&mut pose);
        let origin = Lps::new(shift(), shift(), shift());
        let mut shape = Rng::new(seed, "shape");
        let size = shape.near(1.0, 0.03);
        let mut stretch = || size * shape.near(1.0, 0.018);
        let broader = options.breadth.sqrt();
        let scale = Vec3::new(stretch() * broader, stretch() / broader, stretch());
        let average = options.average_brain.unwrap_or_else(|| shape.chance(0.8));
        let brain = Arc::new(Brain::new(seed, average));
        let optic = Arc::new(Optic::new(&mut Rng::new(seed, "optic"), size, options.missing_eye));
        let face = Face::new(&mut Rng::new(seed, "face"), &brain, optic.globes());
        let (mut under, mut over) = (Scene::default(), Scene::default());
        face.furnish(&brain, &mut under);
        optic.furnish_orbits(&mut under);
        optic.furnish_pathway(&mut over);
        vessels::furnish(&mut Rng::new(seed, "vessels"), &brain, &mut over);
        let lesion = (options.lesion > 0.0)
            .then(|| Lesion::new(&mut Rng::new(seed, "lesion"), &brain, &optic, options.lesion))
            .flatten();
        if let Some(lesion) = &lesion {
            lesion.furnish(&face, &mut over);
        }
        under.index(REACH, |q| face.place(q), |q, radius| brain.hides(q, radius));
        over.index(REACH, |q| face.place(q), |_, _| false);
        let mut bend = Rng::new(seed, "deformation");
        let broad: [Waves; 3] = std::array::from_fn(|_| Waves::new(&mut bend, 8, 130.0, 300.0));
        let local: [Waves; 3] = std::array::from_fn(|_| Waves::new(&mut bend, 12, 45.0, 90.0));
        let strength = options.deformation;
        let warp = Field::tabulate(REACH.grown(20.0), 8.0, |p| {
            let along = |a: usize| {
                let d = strength * (1.9 * broad[a].at(p) + 0.35 * local[a].at(p));
                d.clamp(-FURTHEST * 0.577, FURTHEST * 0.577) as f32
            };
            [along(0), along(1), along(2), 0.0]
        });
        let mut tone = Rng::new(seed, "signal");
        let drawn = Contrast::draw(&mut tone);
        let contrast = options.contrast.unwrap_or(drawn);
        let signal = Signal::draw(&mut tone, contrast).strayed(&mut tone, options.strange);
        Self {
            brain,
            face,
            optic,
            under,
            over,
            signal,
            contrast,
            missing_eye: options.missing_eye,
            lesion,
            origin,
            axes,
            scale,
            warp,
        }
    }

    /// Patient-axis box of the head from the vertex down to `below` mm under the anterior commissure (at most 150).
    pub fn field_of_view(&self, below: f64) -> FieldOfView {
        let b = Bounds { lo: Vec3::new(-98.0, -108.0, -below.min(150.0)), hi: Vec3::new(98.0, 124.0, 96.0) };
        let corners = self.box_corners(self.frame_box(b));
        let pick = |f: fn(f64, f64) -> f64, start: f64| {
            let all = corners.iter().map(|c| c.to_array());
            all.fold([start; 3], |best, c| std::array::from_fn(|a| f(best[a], c[a])))
        };
        let (lo, hi) = (pick(f64::min, f64::INFINITY), pick(f64::max, f64::NEG_INFINITY));
        // The box of a turned box is too large for a round head: keep the head's own width where it is smaller.
        let widest = [208.0, 252.0, f64::INFINITY];
        FieldOfView {
            centre: Lps::new((lo[0] + hi[0]) / 2.0, (lo[1] + hi[1]) / 2.0, (lo[2] + hi[2]) / 2.0),
            size: std::array::from_fn(|a| (hi[a] - lo[a]).min(widest[a])),
        }
    }

    /// Kind of acquisition its signals stand for.
    pub fn contrast(&self) -> Contrast {
        self.contrast
    }

    /// Signal of its tissues.
    pub fn signal(&self) -> &Signal {
        &self.signal
    }

    /// The side without an eye.
    pub fn missing_eye(&self) -> Option<Side> {
        self.missing_eye
    }

    /// Patient directions of the head's own left, posterior and superior.
    pub fn axes(&self) -> [Vec3; 3] {
        self.axes
    }

    /// Patient point in the head's frame: turned and shifted, neither scaled nor bent.
    #[inline]
    pub(super) fn in_frame(&self, p: Lps) -> Vec3 {
        self.turned(p - self.origin)
    }

    /// A direction of patient space in the head's frame.
    #[inline]
    pub(super) fn turned(&self, d: Vec3) -> Vec3 {
        Vec3::new(self.axes[0].dot(d), self.axes[1].dot(d), self.axes[2].dot(d))
    }

    /// Template point of a point in the head's frame.
    #[inline]
    pub(super) fn in_template(&self, h: Vec3) -> Vec3 {
        let [x, y, z, _] = self.warp.at(h).map(f64::from);
        let q = Vec3::new((h.x + x) / self.scale.x, (h.y + y) / self.scale.y, (h.z + z) / self.scale.z);
        match &self.lesion {
            Some(lesion) => lesion.before(q, |q| self.face.place(q).hull),
            None => q,
        }
    }

    /// A box of the head's frame that holds everything in a box of template space.
    fn frame_box(&self, b: Bounds) -> Bounds {
        let scaled = |v: Vec3| Vec3::new(v.x * self.scale.x, v.y * self.scale.y, v.z * self.scale.z);
        Bounds { lo: scaled(b.lo), hi: scaled(b.hi) }.grown(FURTHEST)
    }

    /// A box of the head's frame that holds a structure, wherever a lesion pushed it; `None` when the head lacks it.
    pub(super) fn structure_box(&self, structure: Structure) -> Option<Bounds> {
        // The head is scaled by less than this after the push.
        const SCALED: f64 = 1.3;
        let pushed = self.lesion.as_ref().map_or(0.0, Lesion::furthest);
        Some(self.frame_box(self.template_box(structure)?).grown(SCALED * pushed))
    }

    /// Part of a distance in template space, mm, that is surely as far in the head.
    pub(super) fn sure(&self, distance: f64) -> f64 {
        // Beside a lesion tissue is pressed together.
        distance.abs() * if self.lesion.is_some() { 0.66 * SHRINKS } else { SHRINKS }
    }

    /// Patient points of the corners of a box that holds a structure; `None` when the head lacks it.
    pub(super) fn corners(&self, structure: Structure) -> Option<[Lps; 8]> {
        Some(self.box_corners(self.structure_box(structure)?))
    }

    fn box_corners(&self, b: Bounds) -> [Lps; 8] {
        let [x, y, z] = self.axes;
        std::array::from_fn(|n| {
            let pick = |bit: usize, lo: f64, hi: f64| if n >> bit & 1 == 0 { lo } else { hi };
            self.origin + x * pick(0, b.lo.x, b.hi.x) + y * pick(1, b.lo.y, b.hi.y) + z * pick(2, b.lo.z, b.hi.z)
        })
    }

    /// Whether the head has a structure.
    pub fn has(&self, structure: Structure) -> bool {
        let ocular = matches!(structure.class(), Class::Eye | Class::Lens | Class::OpticNerve);
        let drawn = structure.class().index().is_some();
        drawn && !(ocular && structure.side().is_some() && structure.side() == self.missing_eye)
    }

    /// A box of template space that holds a structure; `None` when the head lacks it.
    fn template_box(&self, structure: Structure) -> Option<Bounds> {
        if !self.has(structure) {
            return None;
        }
        let side = structure.side().unwrap_or(Side::Left);
        Some(match structure.class() {
            Class::Eye => self.optic.eye_bounds(side),
            Class::Lens => self.optic.lens_bounds(side),
            Class::OpticNerve => self.optic.nerve_bounds(side),
            Class::Chiasm => self.optic.chiasm_bounds(),
            Class::Pituitary => self.optic.pituitary_bounds(),
            Class::Hippocampus => self.brain.hippocampus_bounds(side),
            Class::Brainstem => self.brain.stem_bounds(),
            Class::Brain => self.brain.bounds(),
            Class::Described(_) => return None,
        })
    }

    /// Signed distance to a structure at a template point, negative inside; about a millimetre is a millimetre.
    #[inline]
    pub(super) fn distance(&self, structure: Structure, q: Vec3) -> f64 {
        let side = structure.side().unwrap_or(Side::Left);
        match structure.class() {
            Class::Eye => self.optic.eye(side, q),
            Class::Lens => self.optic.lens(side, q),
            Class::OpticNerve => self.optic.nerve(side, q),
            Class::Chiasm => self.optic.chiasm(q),
            Class::Pituitary => self.optic.pituitary(q),
            Class::Hippocampus => self.brain.hippocampus(side, q),
            Class::Brainstem => self.brain.stem(q),
            Class::Brain => self.brain.surface(q).max(-self.optic.clearance(q)),
            Class::Described(_) => f64::INFINITY,
        }
    }

    /// Whether a patient point lies in a structure of the head's own sides.
    pub fn contains(&self, structure: Structure, p: Lps) -> bool {
        self.has(structure) && self.distance(structure, self.in_template(self.in_frame(p))) < 0.0
    }

    /// Whether a ball of this radius in mm about a patient point lies wholly in a structure, or wholly outside; `None` where
    /// that is not sure.
    pub(super) fn whole_ball(&self, structure: Structure, p: Lps, radius: f64) -> Option<bool> {
        if !self.has(structure) {
            return Some(false);
        }
        let d = self.distance(structure, self.in_template(self.in_frame(p)));
        (self.sure(d) > radius).then_some(d < 0.0)
    }

    /// Whether there is nothing but air in a ball of this radius in mm about a point of the head's frame.
    pub(super) fn is_air(&self, h: Vec3, radius: f64) -> bool {
        !REACH.grown(radius).holds(h) || self.face.place(self.in_template(h)).skin * SHRINKS > radius
    }

    /// Tissue at a patient point.
    #[cfg(test)]
    pub(super) fn tissue_at(&self, p: Lps) -> Tissue {
        let mut found = Topmost(Tissue::Air);
        self.paint(self.in_template(self.in_frame(p)), &mut found);
        found.0
    }

    /// Paints without the help of tiles from here on.
    #[cfg(test)]
    pub(super) fn forget_tiles(&mut self) {
        self.under.forget_tiles();
        self.over.forget_tiles();
    }

    /// Paints all tissues at a template point, outermost first.
    #[inline]
    pub(super) fn paint(&self, q: Vec3, canvas: &mut impl Canvas) {
        let place = self.face.place(q);
        if place.skin > BARE {
            return;
        }
        canvas.shade(0.03 * place.slow + 0.05 * place.fine);
        self.under.paint(&place, canvas);
        self.brain.paint(q, place.hull, canvas);
        self.over.paint(&place, canvas);
    }
}

/// Patient directions of the head's axes after roll, pitch and yaw (in this order, about the patient's axes).
fn axes_of(yaw: f64, pitch: f64, roll: f64) -> [Vec3; 3] {
    let (sy, cy) = yaw.to_radians().sin_cos();
    let (sp, cp) = pitch.to_radians().sin_cos();
    let (sr, cr) = roll.to_radians().sin_cos();
    let turn = |v: Vec3| {
        // Roll: the vertex (+z) moves to -x for positive angles.
        let v = Vec3::new(v.x * cr - v.z * sr, v.y, v.x * sr + v.z * cr);
        // Pitch: the face (-y) rises to +z for positive angles.
        let v = Vec3::new(v.x, v.y * cp + v.z * sp, -v.y * sp + v.z * cp);
        // Yaw: the face (-y) moves to +x for positive angles.
        Vec3::new(v.x * cy - v.y * sy, v.x * sy + v.y * cy, v.z)
    };
    [turn(Vec3::new(1.0, 0.0, 0.0)), turn(Vec3::new(0.0, 1.0, 0.0)), turn(Vec3::new(0.0, 0.0, 1.0))]
}

/// Keeps the last tissue that covers the point.
#[cfg(test)]
struct Topmost(Tissue);

#[cfg(test)]
impl Canvas for Topmost {
    fn layer(&mut self, tissue: Tissue, distance: f64) {
        if distance < 0.0 {
            self.0 = tissue;
        }
    }

    fn shade(&mut self, _relative: f64) {}

    fn wash(&mut self, tissue: Tissue, part: f64) {
        if part > 0.5 {
            self.0 = tissue;
        }
    }
}
