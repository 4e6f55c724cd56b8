//! What disease leaves in a brain: tumours with rim, necrosis and oedema that push the rest aside, cavities of operations.

use super::brain::Brain;
use super::face::Face;
use super::jitter_radii;
use super::optic::Optic;
use super::random::Rng;
use super::scene::{Place, Scene};
use super::shape::{Bounds, Ellipsoid, smooth_step};
use super::tissue::Tissue;
use crate::anatomy::Side;
use crate::geometry::Vec3;

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Enhancing rim around necrosis, oedema about it.
    Ring,
    /// Enhancing throughout, some oedema.
    Solid,
    /// Fluid where a tumour was, open to the surface.
    Cavity,
}

/// One lesion in template space.
#[derive(Debug)]
pub struct Lesion {
    kind: Kind,
    /// As large as the tissue that it replaces was before it grew.
    body: Ellipsoid,
    /// Radius of what it takes now, mm.
    grown: f64,
    /// Part of its volume that it pushed in from outside, 0 to less than 1.
    pushed: f64,
    oedema: f64,
    rim: f64,
}

/// A lesion leaves this much between itself and organs, mm: no truth is drawn where nothing of the organ is to be seen.
const KEEP: f64 = 5.0;
/// How far beyond its own radius a lesion moves tissue, mm.
const PUSHES: f64 = 32.0;

impl Lesion {
    /// A lesion of at most `largest` mm radius somewhere in a brain; `None` where no place was found.
    pub fn new(rng: &mut Rng, brain: &Brain, optic: &Optic, largest: f64) -> Option<Self> {
        let kind = match rng.unit() {
            v if v < 0.45 => Kind::Ring,
            v if v < 0.75 => Kind::Solid,
            _ => Kind::Cavity,
        };
        let grown = rng.within(largest.min(4.0), largest);
        let pushed = if matches!(kind, Kind::Cavity) { 0.0 } else { rng.within(0.1, 0.85) };
        let radius = grown * (1.0 - pushed).cbrt();
        let b = brain.bounds();
        let centre = (0..600).find_map(|_| {
            let at = Vec3::new(rng.within(b.lo.x, b.hi.x), rng.within(b.lo.y, b.hi.y), rng.within(b.lo.z, b.hi.z));
            let depth = -brain.hull(at);
            let deep = if matches!(kind, Kind::Cavity) { 2.0..grown } else { 0.6 * grown..70.0 };
            // Away from an organ its distance is only said to be large: there its box tells how far it is.
            let apart = |distance: f64, bounds: Bounds| if distance > 100.0 { bounds.distance(at) } else { distance };
            let organs = [
                apart(brain.stem(at), brain.stem_bounds()),
                apart(brain.hippocampus(Side::Left, at), brain.hippocampus_bounds(Side::Left)),
                apart(brain.hippocampus(Side::Right, at), brain.hippocampus_bounds(Side::Right)),
                optic.chiasm(at),
                optic.pituitary(at),
                optic.nerve(Side::Left, at),
                optic.nerve(Side::Right, at),
            ];
            (deep.contains(&depth) && organs.iter().all(|d| *d > grown + KEEP)).then_some(at)
        })?;
        let body = Ellipsoid::new(centre, jitter_radii(rng, Vec3::new(radius, radius, radius), 0.12));
        let oedema = if matches!(kind, Kind::Cavity) { 0.0 } else { rng.within(0.0, 1.1) * grown.min(14.0) };
        Some(Self { kind, body, grown, pushed, oedema, rim: rng.within(1.2, 3.5) })
    }

    /// No point is moved further than this, mm.
    pub fn furthest(&self) -> f64 {
        self.grown * (1.0 - (1.0 - self.pushed).cbrt())
    }

    /// Where what is seen at a template point was before the lesion grew. Nothing moves at the skull: `hull` is the distance to
    /// the brain's hull, mm.
    #[inline]
    pub fn before(&self, q: Vec3, hull: impl Fn(Vec3) -> f64) -> Vec3 {
        let from = q - self.body.centre;
        let r = from.norm();
        if r > self.grown + PUSHES || self.pushed <= 0.0 {
            return q;
        }
        let fading = 1.0 - smooth_step(self.grown, self.grown + PUSHES, r);
        let free = smooth_step(0.0, 14.0, -hull(q));
        // Tissue keeps its volume: the ball that it lost is what the lesion pushed in.
        let ratio = (self.grown / r.max(self.grown)).powi(3);
        let factor = (1.0 - self.pushed * ratio).cbrt();
        self.body.centre + from * (1.0 + (factor - 1.0) * fading * free)
    }

    /// Adds the lesion, over the brain.
    pub fn furnish(&self, face: &Face, scene: &mut Scene) {
        let (body, oedema, rim) = (self.body, self.oedema, self.rim);
        let inside = face.inside_skull();
        let around = body.bounds().grown(2.0);
        let edge = move |at: &Place| body.distance(at.q) + 0.8 * at.fine;
        if oedema > 1.0 {
            // Fingers of oedema run along the white matter.
            let within = |at: &Place| at.hull + 3.5;
            scene.add_textured(Tissue::Edema, body.bounds().grown(1.6 * oedema + 2.0), 0.0, within, move |at| {
                body.distance(at.q) - oedema * (0.6 + 0.35 * at.fine + 0.3 * at.slow).min(1.6)
            });
        }
        match self.kind {
            Kind::Ring => {
                scene.add(Tissue::TumourRim, around, move |at| edge(at).max(at.hull));
                scene.add(Tissue::Necrosis, around, move |at| {
                    (body.distance(at.q) + rim + 0.9 * at.fine + 0.5 * at.slow).max(at.hull)
                });
            }
            Kind::Solid => scene.add(Tissue::TumourRim, around, move |at| edge(at).max(at.hull)),
            Kind::Cavity => {
                scene.add(Tissue::TumourRim, around, move |at| (edge(at) - 0.35 * rim).max(at.hull - inside));
                scene.add(Tissue::Csf, around, move |at| edge(at).max(at.hull - inside));
            }
        }
    }
}
