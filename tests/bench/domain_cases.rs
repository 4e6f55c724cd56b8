//! Images that the check of the image must hold, and ordinary ones that it must let pass: shared by the bench `domain` and
//! its test. Everything follows from a seed. Wrong inputs are made of one head a seed: scanned with another sequence,
//! turned, cut, damaged; and of other bodies and noise.

#[path = "domain_bodies.rs"]
mod bodies;
#[path = "scans.rs"]
pub mod scans;

use std::sync::Arc;

use contourd::anatomy::Structure;
use contourd::domain::{DomainConfig, Verdict, judge};
use contourd::geometry::{Grid, Vec3, Volume, WorkingSpec, working_volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{
    Acquisition, Contrast, Head, HeadOptions, ImageOptions, Rng, Signal, Tissue, ghosts, images, motion, noisier,
    rolled, softened,
};

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    CtLike,
    T2,
    Flair,
    OtherBodyPart,
    Noise,
    UpsideDown,
    BrainExtracted,
    BackToFront,
    OtherAxes,
    HalfHead,
    Ghosts,
    Motion,
    WrappedAround,
}

impl Wrong {
    pub const ALL: [Wrong; 13] = [
        Wrong::CtLike,
        Wrong::T2,
        Wrong::Flair,
        Wrong::OtherBodyPart,
        Wrong::Noise,
        Wrong::UpsideDown,
        Wrong::BrainExtracted,
        Wrong::BackToFront,
        Wrong::OtherAxes,
        Wrong::HalfHead,
        Wrong::Ghosts,
        Wrong::Motion,
        Wrong::WrappedAround,
    ];
}

/// A scan softer and noisier than the phantom's. A filter, or a coarser matrix that was interpolated, softens: a Gaussian of up to
/// 2.5 mm of full width at half maximum. Noise is Rician, of up to 9 % of white matter beside what the image has, as in the
/// noisiest of BrainWeb's simulated brains.
pub fn delivered(image: &Volume<f32>, seed: u64) -> Volume<f32> {
    let mut rng = Rng::new(seed, "as delivered");
    let (width, noise) = (rng.within(0.0, 2.5), rng.within(0.0, 0.09) * ImageOptions::draw(seed).scale);
    noisier(softened(image.clone(), width / 2.355), &mut rng, noise)
}

/// What the check says of an image, without any networks; what is refused as no head at all is held, too.
pub fn judged(image: &Volume<f32>) -> Verdict {
    match working_volume(image, &WorkingSpec::default()) {
        Ok(working) => judge(&working, None, &DomainConfig::default()).expect("a look"),
        Err(refused) => Verdict { reasons: vec![refused.to_string()], measures: Vec::new() },
    }
}

/// The wrong images of a seed.
pub struct Patient {
    seed: u64,
    head: Head,
    t1: Volume<f32>,
    /// The T1 as delivered.
    right: Volume<f32>,
    t2: Volume<f32>,
    flair: Volume<f32>,
    ct: Volume<f32>,
}

impl Patient {
    pub fn new(seed: u64) -> Self {
        let head = Head::new(seed, &HeadOptions::default());
        let mut rng = Rng::new(seed, "other scans");
        // Coarser than usual: the check looks at 2 mm.
        let field = head.field_of_view(rng.within(95.0, 150.0));
        let grid = Acquisition::Axial.grid(FrameOfReferenceUid::derive(&["domain"]), &field, Some([1.3, 1.25, 1.3]));
        let grid = Arc::new(grid.expect("a grid"));
        let others = [t2(&mut rng), flair(&mut rng), ct(&mut rng)];
        let signals = [head.signal(), &others[0], &others[1], &others[2]];
        let [t1, t2, flair, ct] = images(&head, &grid, &ImageOptions::draw(seed), signals);
        Self { seed, head, right: delivered(&t1, seed), t1, t2, flair, ct }
    }

    /// The T1 that the others are made of: nothing is wrong with it.
    pub fn right(&self) -> &Volume<f32> {
        &self.right
    }

    pub fn wrong(&self, kind: Wrong) -> Volume<f32> {
        let mut rng = Rng::new(self.seed, &format!("{kind:?}"));
        let rng = &mut rng;
        match kind {
            Wrong::CtLike => windowed(&self.ct, self.seed, rng),
            Wrong::T2 => delivered(&self.t2, self.seed),
            Wrong::Flair => delivered(&self.flair, self.seed),
            Wrong::OtherBodyPart => bodies::body_part(self.seed, rng),
            Wrong::Noise => bodies::noise(self.seed, rng),
            Wrong::UpsideDown => turned(
                &self.right,
                if rng.chance(0.5) { [(0, 1.0), (1, 1.0), (2, -1.0)] } else { [(0, 1.0), (1, -1.0), (2, -1.0)] },
            ),
            Wrong::BrainExtracted => extracted(&self.head, &self.right, rng),
            Wrong::BackToFront => turned(&self.right, [(0, -1.0), (1, -1.0), (2, 1.0)]),
            Wrong::OtherAxes => {
                // Sides for front and back, lying on the side, on face or occiput.
                let all = [
                    [(1, 1.0), (0, -1.0), (2, 1.0)],
                    [(1, -1.0), (0, 1.0), (2, 1.0)],
                    [(2, 1.0), (1, 1.0), (0, -1.0)],
                    [(2, -1.0), (1, 1.0), (0, 1.0)],
                    [(0, 1.0), (2, 1.0), (1, -1.0)],
                    [(0, 1.0), (2, -1.0), (1, 1.0)],
                ];
                turned(&self.right, all[self.seed as usize % all.len()])
            }
            Wrong::HalfHead => half(&self.right, self.seed, rng),
            // Filter and noise are the scanner's, and come after.
            Wrong::Ghosts => delivered(&ghosts(&self.t1, rng, [0.18, 0.45]), self.seed),
            Wrong::Motion => delivered(&motion(&self.t1, rng, [7.0, 14.0]).expect("a grid"), self.seed),
            Wrong::WrappedAround => delivered(&wrapped(&self.t1, rng), self.seed),
        }
    }
}

/// Signals around their means, with a standard deviation.
fn draw(rng: &mut Rng, table: &[(Tissue, f64, f64)]) -> Signal {
    let start = Signal::draw(rng, Contrast::Native);
    let value = |rng: &mut Rng, mean, deviation| rng.near(mean, deviation).max(0.0) as f32;
    table.iter().fold(start, |all, (tissue, mean, deviation)| all.with(*tissue, value(rng, *mean, *deviation)))
}

fn t2(rng: &mut Rng) -> Signal {
    let fat = if rng.chance(0.5) { 1.5 } else { 0.35 };
    draw(
        rng,
        &[
            (Tissue::Air, 0.02, 0.005),
            (Tissue::Skin, 0.55, 0.1),
            (Tissue::Fat, fat, 0.1),
            (Tissue::Muscle, 0.35, 0.05),
            (Tissue::CorticalBone, 0.1, 0.03),
            (Tissue::Marrow, 0.6 * fat, 0.1),
            (Tissue::Csf, 2.6, 0.3),
            (Tissue::GreyMatter, 1.3, 0.06),
            (Tissue::WhiteMatter, 0.95, 0.04),
            (Tissue::DeepGrey, 1.05, 0.05),
            (Tissue::Vitreous, 2.6, 0.3),
            (Tissue::Lens, 0.6, 0.1),
            (Tissue::Sclera, 0.4, 0.06),
            (Tissue::OpticNerve, 1.0, 0.1),
            (Tissue::Pituitary, 1.0, 0.1),
            (Tissue::NeuroHypophysis, 1.0, 0.1),
            (Tissue::Mucosa, 1.8, 0.2),
            (Tissue::Vessel, 0.15, 0.05),
        ],
    )
}

fn flair(rng: &mut Rng) -> Signal {
    let fat = if rng.chance(0.5) { 1.4 } else { 0.35 };
    draw(
        rng,
        &[
            (Tissue::Air, 0.02, 0.005),
            (Tissue::Skin, 0.6, 0.1),
            (Tissue::Fat, fat, 0.1),
            (Tissue::Muscle, 0.55, 0.06),
            (Tissue::CorticalBone, 0.1, 0.03),
            (Tissue::Marrow, 0.6 * fat, 0.1),
            (Tissue::Csf, 0.16, 0.05),
            (Tissue::GreyMatter, 1.28, 0.05),
            (Tissue::WhiteMatter, 1.0, 0.03),
            (Tissue::DeepGrey, 1.1, 0.05),
            (Tissue::Vitreous, 0.2, 0.05),
            (Tissue::Lens, 0.5, 0.1),
            (Tissue::Sclera, 0.5, 0.06),
            (Tissue::OpticNerve, 0.95, 0.1),
            (Tissue::Pituitary, 1.1, 0.1),
            (Tissue::NeuroHypophysis, 1.2, 0.1),
            (Tissue::Mucosa, 1.4, 0.2),
            (Tissue::Vessel, 0.25, 0.08),
        ],
    )
}

/// Hounsfield units + 1000 over 1000.
fn ct(rng: &mut Rng) -> Signal {
    let vessel = if rng.chance(0.5) { 1.2 } else { 1.05 };
    draw(
        rng,
        &[
            (Tissue::Air, 0.0, 0.0),
            (Tissue::Skin, 1.05, 0.02),
            (Tissue::Fat, 0.9, 0.01),
            (Tissue::Muscle, 1.05, 0.01),
            (Tissue::CorticalBone, 2.4, 0.25),
            (Tissue::Marrow, 1.4, 0.15),
            (Tissue::Csf, 1.008, 0.003),
            (Tissue::GreyMatter, 1.038, 0.002),
            (Tissue::WhiteMatter, 1.028, 0.002),
            (Tissue::DeepGrey, 1.036, 0.002),
            (Tissue::Vitreous, 1.01, 0.003),
            (Tissue::Lens, 1.08, 0.01),
            (Tissue::Sclera, 1.04, 0.01),
            (Tissue::OpticNerve, 1.03, 0.01),
            (Tissue::Pituitary, 1.04, 0.01),
            (Tissue::NeuroHypophysis, 1.04, 0.01),
            (Tissue::Mucosa, 1.04, 0.02),
            (Tissue::Vessel, vessel, 0.01),
        ],
    )
}

/// Every other CT is seen through a window for the brain.
fn windowed(image: &Volume<f32>, seed: u64, rng: &mut Rng) -> Volume<f32> {
    let scale = ImageOptions::draw(seed).scale as f32;
    let (low, high) = (rng.within(0.6, 0.95) as f32, rng.within(1.15, 1.5) as f32);
    if seed.is_multiple_of(2) {
        return image.clone();
    }
    image.map(|v| ((v / scale - low) / (high - low)).clamp(0.0, 1.0) * 1000.0)
}

/// The same voxels as if they had been taken along other axes: for x, y, z of the result the old axis and its sign.
fn turned(image: &Volume<f32>, axes: [(usize, f64); 3]) -> Volume<f32> {
    let old = image.grid();
    let unit = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
    // Old axis a becomes the direction n with sign.
    let direction = |a: usize| {
        let (n, sign) =
            axes.iter().enumerate().find(|(_, (from, _))| *from == a).map(|(n, (_, s))| (n, *s)).expect("an axis");
        unit[n] * sign
    };
    let new = [direction(0), direction(1), direction(2)];
    // A mirror image needs another order of the voxels, not other axes.
    if new[0].cross(new[1]).dot(new[2]) > 0.0 {
        let grid = Grid::new(old.frame().clone(), old.shape(), old.origin(), new, old.spacing()).expect("a grid");
        return Volume::new(Arc::new(grid), image.data().to_vec()).expect("as many voxels");
    }
    let s = old.shape();
    let plane = s.cols * s.rows;
    let flipped: Vec<f32> =
        (0..s.slices).rev().flat_map(|k| image.data()[k * plane..(k + 1) * plane].to_vec()).collect();
    let new = [new[0], new[1], new[2] * -1.0];
    let grid = Grid::new(old.frame().clone(), s, old.origin(), new, old.spacing()).expect("a grid");
    Volume::new(Arc::new(grid), flipped).expect("as many voxels")
}

/// Only the brain is left; what is around it is 0, or nearly.
fn extracted(head: &Head, image: &Volume<f32>, rng: &mut Rng) -> Volume<f32> {
    let rest = if rng.chance(0.5) { 0.0 } else { 0.02 };
    let mut out = image.clone();
    for n in 0..out.data().len() {
        let [i, j, k] = out.voxel(n);
        if !head.contains(Structure::Brain, out.grid().centre(i, j, k)) {
            out.data_mut()[n] *= rest;
        }
    }
    out
}

/// Half of the field of view holds nothing, or is not there.
fn half(image: &Volume<f32>, seed: u64, rng: &mut Rng) -> Volume<f32> {
    let s = image.grid().shape();
    let extent = [s.cols, s.rows, s.slices];
    // Left, right, front, back, or everything below the upper third.
    let (axis, keep_low) = [(0, true), (0, false), (1, true), (1, false), (2, false)][seed as usize % 5];
    let share = if axis == 2 { rng.within(0.25, 0.36) } else { rng.within(0.4, 0.58) };
    let mut out = image.clone();
    for n in 0..out.data().len() {
        let at = out.voxel(n)[axis] as f64 / extent[axis] as f64;
        let kept = if keep_low { at < share } else { at > 1.0 - share };
        if !kept {
            out.data_mut()[n] = 0.0;
        }
    }
    out
}

/// The field of view was smaller than the head, or beside it: what lay outside comes in on the other side.
fn wrapped(image: &Volume<f32>, rng: &mut Rng) -> Volume<f32> {
    let axis = if rng.chance(0.5) { 0 } else { 1 };
    let s = image.grid().shape();
    let extent = [s.cols, s.rows, s.slices];
    let aside = rng.chance(0.5);
    let mut shift = [0i64; 3];
    shift[axis] = (extent[axis] as f64 * rng.within(0.2, 0.4)) as i64;
    if aside {
        let source = rolled(image, shift);
        let mut out = image.clone();
        for n in 0..out.data().len() {
            out.data_mut()[n] = source(n);
        }
        return out;
    }
    // Folded: the outer parts lie on top of the inner ones.
    let kept = (extent[axis] as f64 * rng.within(0.6, 0.72)) as i64;
    let first = (extent[axis] as i64 - kept) / 2;
    let mut out = Volume::filled(Arc::clone(image.grid()), 0.0f32);
    for n in 0..image.data().len() {
        let mut v = image.voxel(n);
        v[axis] = ((v[axis] as i64 - first).rem_euclid(kept) + first) as usize;
        let at = out.offset(v[0], v[1], v[2]);
        out.data_mut()[at] += image.data()[n];
    }
    out
}
