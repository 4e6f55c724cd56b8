//! Orbits with eyes, lenses, muscles and optic nerves; chiasm, tracts and pituitary in their cistern.

use std::sync::Arc;

use super::random::Rng;
use super::scene::Scene;
use super::shape::{Bounds, Ellipsoid, Tube, soft_union};
use super::tissue::Tissue;
use super::{by_side, jitter_point, side_sign};
use crate::anatomy::Side;
use crate::geometry::Vec3;

/// One orbit. After exenteration eye, lens and nerve are gone and fat fills the place.
#[derive(Debug)]
pub struct Orbit {
    /// The globe's middle, present or not.
    pub centre: Vec3,
    present: bool,
    globe: Ellipsoid,
    cornea: Ellipsoid,
    chamber: Ellipsoid,
    lens: Ellipsoid,
    nerve: Tube,
    sheath: f64,
    fat: [Tube; 2],
    muscles: Vec<Tube>,
}

/// Eyes, nerves, chiasm and pituitary.
#[derive(Debug)]
pub struct Optic {
    orbits: [Arc<Orbit>; 2],
    chiasm_body: Ellipsoid,
    chiasm_arms: [Tube; 4],
    tracts: [Tube; 2],
    cistern: Ellipsoid,
    sella: Ellipsoid,
    gland: Ellipsoid,
    posterior: Ellipsoid,
    stalk: Tube,
    cavernous: [Ellipsoid; 2],
}

impl Orbit {
    fn new(rng: &mut Rng, side: Side, size: f64, spread: f64, gaze: Vec3, present: bool, chiasm: Vec3) -> Self {
        let s = side_sign(side);
        let centre = jitter_point(rng, Vec3::new(s * spread, -55.5, -36.0), 1.0);
        // Each eye looks a little to the midline, beside the common gaze.
        let gaze = (gaze + Vec3::new(-s * rng.within(0.0, 0.04), 0.0, 0.0)).unit().unwrap_or(gaze);
        let size = size * rng.near(1.0, 0.012);
        let globe = Ellipsoid::along(centre, Vec3::new(size, size * rng.near(1.0, 0.02), size), gaze);
        let cornea = Ellipsoid::along(centre + gaze * (size - 3.9), Vec3::new(6.2, 4.6, 6.2), gaze);
        let lens_at = centre + gaze * (size - rng.near(4.4, 0.2));
        let lens_size = Vec3::new(rng.near(4.6, 0.2), rng.near(2.1, 0.15), rng.near(4.6, 0.2));
        let lens = Ellipsoid::along(lens_at, lens_size, gaze);
        let chamber = Ellipsoid::along(lens_at + gaze * 2.6, Vec3::new(5.0, 2.2, 5.0), gaze);
        let apex = jitter_point(rng, Vec3::new(s * 16.5, -25.0, -28.0), 0.8);
        let canal = jitter_point(rng, Vec3::new(s * 11.5, -16.0, -22.5), 0.5);
        let disc = centre - gaze * (size - 1.0) + Vec3::new(-s * 2.5, 0.0, 0.3);
        let sag = Vec3::new(s * rng.near(1.2, 1.3), 0.0, rng.near(-0.8, 1.5));
        let r = rng.near(1.95, 0.15);
        let (first, second) = (disc + (apex - disc) * 0.35, disc + (apex - disc) * 0.7);
        let nerve = Tube::through(&[
            (disc, r * 0.95),
            (first + sag, r),
            (second + sag * 0.6, r),
            (apex, r * 0.95),
            (canal, r * 0.95),
            (chiasm + Vec3::new(s * 5.0, -2.2, -0.4), r * 1.05),
        ]);
        let wide = size + rng.near(4.6, 0.6);
        let behind = centre + Vec3::new(-s * 5.0, 16.0, 3.0);
        let fat = [
            Tube::through(&[(centre + Vec3::new(0.0, 2.0, 0.0), wide), (behind, 13.0)]),
            Tube::through(&[(behind, 13.0), (apex + Vec3::new(s * 1.0, -3.0, 0.0), 5.0)]),
        ];
        let belly = rng.near(1.9, 0.2);
        let muscles = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)]
            .map(|(u, w)| {
                let out = Vec3::new(u, 0.0, w);
                Tube::through(&[
                    (apex + out * 3.0, 1.0),
                    (disc + (apex - disc) * 0.45 + out * 9.0, belly),
                    (centre + Vec3::new(0.0, 4.0, 0.0) + out * (size + 0.4), belly * 0.7),
                    (centre + Vec3::new(0.0, -3.0, 0.0) + out * (size + 0.2), 0.7),
                ])
            })
            .into();
        Self { centre, present, globe, cornea, chamber, lens, nerve, sheath: rng.near(0.9, 0.3).max(0.3), fat, muscles }
    }

    fn eye(&self, q: Vec3) -> f64 {
        if self.present { soft_union(self.globe.distance(q), self.cornea.distance(q), 1.0) } else { f64::INFINITY }
    }

    /// Adds bone, fat, muscles, globe.
    fn furnish(self: &Arc<Self>, scene: &mut Scene) {
        let bounds = self.bounds();
        let fat = {
            let orbit = Arc::clone(self);
            move |q: Vec3| soft_union(orbit.fat[0].distance(q), orbit.fat[1].distance(q), 6.0)
        };
        let front = self.centre.y;
        // The front of the orbit is open; the skin of the lids covers it.
        let inner = fat.clone();
        scene.add(Tissue::CorticalBone, bounds, move |at| (inner(at.q) - 1.8).max(front - 2.0 - at.q.y));
        let limit = if self.present { 9.0 } else { 13.0 };
        scene.add(Tissue::Fat, bounds, move |at| fat(at.q).max(front - limit - at.q.y));
        for muscle in self.muscles.clone() {
            scene.add(Tissue::EyeMuscle, muscle.bounds(), move |at| muscle.distance(at.q));
        }
        if self.present {
            let add = |scene: &mut Scene, tissue, f: fn(&Self, Vec3) -> f64| {
                let orbit = Arc::clone(self);
                scene.add(tissue, bounds, move |at| f(&orbit, at.q));
            };
            add(scene, Tissue::Skin, |o, q| (o.eye(q) - 2.2).max(q.y - o.centre.y + 4.0));
            add(scene, Tissue::Sclera, |o, q| o.eye(q));
            add(scene, Tissue::Vitreous, |o, q| o.eye(q) + 1.1);
            add(scene, Tissue::Vitreous, |o, q| o.chamber.distance(q));
            add(scene, Tissue::Lens, |o, q| o.lens.distance(q));
        }
    }

    fn bounds(&self) -> Bounds {
        self.fat[0].bounds().union(self.fat[1].bounds()).union(self.nerve.bounds()).grown(3.0)
    }
}

impl Optic {
    /// The optic apparatus of a seed in a head `head_size` times the template's; `missing` empties one orbit.
    pub fn new(rng: &mut Rng, head_size: f64, missing: Option<Side>) -> Self {
        let chiasm = jitter_point(rng, Vec3::new(0.0, -5.0, -15.5), 0.7);
        let gaze = Vec3::new(rng.near(0.0, 0.14), -1.0, rng.near(0.0, 0.09));
        let gaze = gaze.unit().unwrap_or(Vec3::new(0.0, -1.0, 0.0));
        let spread = rng.near(31.0, 1.2);
        // Eyes hardly vary with the size of the head.
        let eye_size = rng.near(12.0, 0.3) / head_size;
        let orbits = [Side::Left, Side::Right]
            .map(|side| Arc::new(Orbit::new(rng, side, eye_size, spread, gaze, missing != Some(side), chiasm)));
        let chiasm_body =
            Ellipsoid::new(chiasm, Vec3::new(rng.near(6.0, 0.4), rng.near(3.6, 0.3), rng.near(2.0, 0.18)));
        let arm = |x: f64, y: f64, z: f64| {
            Tube::through(&[(chiasm + Vec3::new(x * 0.3, y * 0.3, 0.0), 2.0), (chiasm + Vec3::new(x, y, z), 1.8)])
        };
        let chiasm_arms = [arm(5.6, -2.4, -0.4), arm(-5.6, -2.4, -0.4), arm(5.6, 2.8, 0.6), arm(-5.6, 2.8, 0.6)];
        let tracts = [1.0, -1.0].map(|s| {
            Tube::through(&[
                (chiasm + Vec3::new(s * 5.0, 2.6, 0.5), 1.7),
                (Vec3::new(s * 12.0, 5.0, -12.5), 1.6),
                (Vec3::new(s * 18.0, 14.0, -9.0), 1.5),
            ])
        });
        let gland_at = jitter_point(rng, Vec3::new(0.0, -4.0, -29.5), 0.6);
        let gland = Ellipsoid::new(gland_at, Vec3::new(rng.near(6.2, 0.6), rng.near(4.6, 0.45), rng.near(3.5, 0.5)));
        let posterior = Ellipsoid::new(gland_at + Vec3::new(rng.near(0.0, 0.4), 3.0, 0.2), Vec3::new(2.6, 1.4, 2.0));
        let stalk = Tube::through(&[
            (chiasm + Vec3::new(0.0, 3.4, -1.0), 1.5),
            (chiasm + Vec3::new(0.0, 2.6, -5.0), 1.1),
            (gland_at + Vec3::new(0.0, 1.0, 2.5), 1.0),
        ]);
        let cistern_at = Vec3::new(0.0, 0.5 * (chiasm.y + gland_at.y) + 1.0, 0.5 * (chiasm.z + gland_at.z) + 2.5);
        Self {
            orbits,
            chiasm_body,
            chiasm_arms,
            tracts,
            cistern: Ellipsoid::new(cistern_at, Vec3::new(15.0, 13.0, 8.5)),
            sella: Ellipsoid::new(gland_at + Vec3::new(0.0, 0.3, -1.5), Vec3::new(11.0, 8.0, 6.0)),
            gland,
            posterior,
            stalk,
            cavernous: [1.0, -1.0]
                .map(|s| Ellipsoid::new(gland_at + Vec3::new(s * 11.5, 1.0, 0.0), Vec3::new(4.5, 9.0, 5.0))),
        }
    }

    /// Middles of both globes, left first.
    pub fn globes(&self) -> [Vec3; 2] {
        [self.orbits[0].centre, self.orbits[1].centre]
    }

    fn orbit(&self, side: Side) -> &Arc<Orbit> {
        by_side(&self.orbits, side)
    }

    /// Distance to the eye of a side; infinite where it is missing.
    pub fn eye(&self, side: Side, q: Vec3) -> f64 {
        self.orbit(side).eye(q)
    }

    /// Distance to the lens of a side: always inside its eye.
    pub fn lens(&self, side: Side, q: Vec3) -> f64 {
        let orbit = self.orbit(side);
        if orbit.present { orbit.lens.distance(q).max(orbit.eye(q)) } else { f64::INFINITY }
    }

    /// Distance to the optic nerve of a side, from the globe to the chiasm, both excluded.
    pub fn nerve(&self, side: Side, q: Vec3) -> f64 {
        let orbit = self.orbit(side);
        if !orbit.present {
            return f64::INFINITY;
        }
        orbit.nerve.distance(q).max(-orbit.eye(q)).max(-self.chiasm(q))
    }

    /// Distance to the chiasm.
    pub fn chiasm(&self, q: Vec3) -> f64 {
        self.chiasm_arms.iter().fold(self.chiasm_body.distance(q), |d, arm| soft_union(d, arm.distance(q), 1.2))
    }

    /// Distance to the pituitary gland.
    pub fn pituitary(&self, q: Vec3) -> f64 {
        self.gland.distance(q)
    }

    /// What the brain must not cover: nerves, chiasm and gland with a film of fluid.
    pub fn clearance(&self, q: Vec3) -> f64 {
        if q.z > 0.0 || q.z < -48.0 || q.y > 16.0 {
            return 10.0;
        }
        let nerves = self.orbits.iter().map(|o| o.nerve.distance(q)).fold(f64::INFINITY, f64::min);
        nerves.min(self.chiasm(q)).min(self.gland.distance(q)) - 1.2
    }

    /// Box of the eye of a side.
    pub fn eye_bounds(&self, side: Side) -> Bounds {
        let orbit = self.orbit(side);
        orbit.globe.bounds().union(orbit.cornea.bounds()).grown(1.0)
    }

    /// Box of the lens of a side.
    pub fn lens_bounds(&self, side: Side) -> Bounds {
        self.orbit(side).lens.bounds()
    }

    /// Box of the nerve of a side.
    pub fn nerve_bounds(&self, side: Side) -> Bounds {
        self.orbit(side).nerve.bounds()
    }

    /// Box of the chiasm.
    pub fn chiasm_bounds(&self) -> Bounds {
        self.chiasm_arms.iter().fold(self.chiasm_body.bounds(), |b, arm| b.union(arm.bounds())).grown(0.5)
    }

    /// Box of the pituitary gland.
    pub fn pituitary_bounds(&self) -> Bounds {
        self.gland.bounds()
    }

    /// Adds what lies around the globes and under the brain.
    pub fn furnish_orbits(&self, scene: &mut Scene) {
        for orbit in &self.orbits {
            orbit.furnish(scene);
        }
        let (sella, cistern) = (self.sella, self.cistern);
        scene.add(Tissue::CorticalBone, sella.bounds(), move |at| sella.distance(at.q));
        for sinus in self.cavernous {
            scene.add(Tissue::Vein, sinus.bounds(), move |at| sinus.distance(at.q));
        }
        scene.add(Tissue::Csf, cistern.bounds(), move |at| cistern.distance(at.q));
    }

    /// Adds nerves, chiasm and gland, over the brain.
    pub fn furnish_pathway(self: &Arc<Self>, scene: &mut Scene) {
        for orbit in self.orbits.iter().filter(|o| o.present) {
            let outside = {
                let orbit = Arc::clone(orbit);
                move |q: Vec3| orbit.nerve.distance(q).max(-orbit.eye(q))
            };
            let bounds = orbit.nerve.bounds();
            let (sheath, around) = (orbit.sheath, outside.clone());
            scene.add(Tissue::Csf, bounds.grown(sheath), move |at| around(at.q) - sheath);
            scene.add(Tissue::OpticNerve, bounds, move |at| outside(at.q));
        }
        for tract in self.tracts.clone() {
            scene.add(Tissue::OpticNerve, tract.bounds(), move |at| tract.distance(at.q));
        }
        let optic = Arc::clone(self);
        scene.add(Tissue::OpticNerve, self.chiasm_bounds(), move |at| optic.chiasm(at.q));
        let stalk = self.stalk.clone();
        scene.add(Tissue::Pituitary, stalk.bounds(), move |at| stalk.distance(at.q));
        let (gland, posterior) = (self.gland, self.posterior);
        scene.add(Tissue::Pituitary, gland.bounds(), move |at| gland.distance(at.q));
        scene.add(Tissue::NeuroHypophysis, gland.bounds(), move |at| posterior.distance(at.q).max(gland.distance(at.q)));
    }
}
