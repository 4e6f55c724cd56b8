//! Eyes, optic nerves, chiasm, tracts and pituitary gland, put together from orbits and sella.

mod band;
mod orbit;
mod sella;
mod socket;

use std::sync::Arc;

use band::{Band, Knot};
use orbit::{Common, Orbit};
use sella::Sella;

use super::by_side;
use super::random::Rng;
use super::scene::Scene;
use super::shape::{Bounds, Ellipsoid, soft_union};
use super::tissue::Tissue;
use crate::anatomy::Side;
use crate::geometry::Vec3;

/// Eyes, nerves, chiasm and pituitary.
#[derive(Debug)]
pub struct Optic {
    orbits: [Arc<Orbit>; 2],
    chiasm_body: Ellipsoid,
    chiasm_arms: [Band; 4],
    tracts: [Band; 2],
    sella: Arc<Sella>,
}

/// Fluid between brain and the nerves, chiasm and gland, mm.
const FILM: f64 = 1.2;

impl Optic {
    /// The optic apparatus of a seed in a head `head_size` times the template's; `missing` empties one orbit.
    pub fn new(rng: &mut Rng, head_size: f64, missing: Option<Side>) -> Self {
        let chiasm = Vec3::new(rng.near(0.0, 0.6), rng.near(-5.2, 1.0), rng.near(-15.6, 0.7));
        // The front of the chiasm lies lower than its back.
        let tilt = rng.within(15.0, 42.0_f64).to_radians();
        let back = Vec3::new(rng.near(0.0, 0.03), tilt.cos(), tilt.sin());
        let up = Vec3::new(rng.near(0.0, 0.05), -tilt.sin(), tilt.cos());
        let spot = |x: f64, v: f64, w: f64| Vec3::new(x, 0.0, 0.0) + back * v + up * w;
        let (wide, long) = (rng.near(1.0, 0.06), rng.near(1.0, 0.08));
        let thick = rng.near(1.75, 0.15);
        let chiasm_body = Ellipsoid::along(chiasm, Vec3::new(5.0 * wide, 3.3 * long, thick), back);
        let mut arm = |x: f64, v: f64, w: f64, r: f64| {
            let r = r * rng.near(1.0, 0.06);
            let from = chiasm + spot(0.25 * x, 0.15 * v, 0.0);
            Band::through(&[
                Knot::flat(from, up, r, thick),
                Knot::flat(chiasm + spot(x, v, w), up, r * 0.92, thick * 0.9),
            ])
        };
        let (ax, av, bx, bv) = (5.0 * wide, -3.3 * long, 5.2 * wide, 3.2 * long);
        let chiasm_arms =
            [arm(ax, av, -0.2, 2.3), arm(-ax, av, -0.2, 2.3), arm(bx, bv, 0.3, 2.0), arm(-bx, bv, 0.3, 2.0)];
        let r = rng.near(1.0, 0.08);
        let tracts = [1.0, -1.0].map(|s| {
            let bend = Vec3::new(s * rng.near(12.0, 0.5), rng.near(5.5, 0.6), rng.near(-12.3, 0.4));
            let end = Vec3::new(s * rng.near(17.5, 0.6), rng.near(14.0, 0.8), rng.near(-8.8, 0.5));
            Band::through(&[
                Knot::flat(chiasm + spot(s * bx * 0.85, bv * 0.9, 0.3), up, 2.0 * r, 1.5),
                Knot::flat(bend, up, 2.0 * r, 1.25),
                Knot::flat(end, Vec3::new(s * 0.4, 0.0, 0.9), 1.9 * r, 1.1),
            ])
        });
        // Some look straight ahead, some to any side.
        let far = rng.chance(0.25);
        let (aside, upward) = if far {
            (rng.within(-0.44, 0.44), rng.within(-0.3, 0.2))
        } else {
            (rng.near(0.0, 0.11), rng.near(-0.08, 0.09))
        };
        let gaze = Vec3::new(aside.sin(), -aside.cos(), upward).unit().unwrap_or(Vec3::new(0.0, -1.0, 0.0));
        let common = Common {
            // Eyes hardly vary with the size of the head.
            radius: rng.near(11.98, 0.16) / head_size,
            spread: rng.near(31.0, 1.2),
            forward: rng.near(0.0, 1.2),
            gaze,
            gap: if rng.chance(0.35) { rng.within(0.5, 4.0) } else { 0.0 },
            chiasm,
            root: spot(ax * 0.93, av * 0.93, -0.2),
            up,
        };
        let orbits =
            [Side::Left, Side::Right].map(|side| Arc::new(Orbit::new(rng, side, &common, missing != Some(side))));
        let tuber = chiasm + spot(rng.near(0.0, 0.4), 4.6 * long, 0.2);
        let sella = Arc::new(Sella::new(rng, chiasm, tuber));
        Self { orbits, chiasm_body, chiasm_arms, tracts, sella }
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

    /// Distance to the pituitary gland, without its stalk.
    pub fn pituitary(&self, q: Vec3) -> f64 {
        self.sella.gland(q)
    }

    /// What the brain must not cover: nerves, chiasm and gland with a film of fluid.
    pub fn clearance(&self, q: Vec3) -> f64 {
        if q.z > 0.0 || q.z < -48.0 || q.y > 16.0 {
            return 10.0;
        }
        let present = self.orbits.iter().filter(|o| o.present);
        let nerves = present.map(|o| o.nerve.distance(q)).fold(f64::INFINITY, f64::min);
        nerves.min(self.chiasm(q)).min(self.sella.gland(q)) - FILM
    }

    /// Box of the eye of a side.
    pub fn eye_bounds(&self, side: Side) -> Bounds {
        self.orbit(side).eye_bounds()
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
        self.sella.gland_bounds()
    }

    /// Adds what lies around the globes and under the brain.
    pub fn furnish_orbits(&self, scene: &mut Scene) {
        self.sella.furnish_under(scene);
        for orbit in &self.orbits {
            orbit.furnish(scene);
        }
    }

    /// Adds nerves, tracts, chiasm and gland, over the brain.
    pub fn furnish_pathway(self: &Arc<Self>, scene: &mut Scene) {
        let fluid = Arc::clone(self);
        scene.add(Tissue::Csf, self.chiasm_bounds().grown(FILM), move |at| fluid.chiasm(at.q) - FILM);
        for orbit in &self.orbits {
            orbit.furnish_nerve(scene);
        }
        for tract in self.tracts.clone() {
            scene.add(Tissue::OpticNerve, tract.bounds(), move |at| tract.distance(at.q));
        }
        let optic = Arc::clone(self);
        scene.add(Tissue::OpticNerve, self.chiasm_bounds(), move |at| optic.chiasm(at.q));
        self.sella.furnish_over(scene);
    }
}
