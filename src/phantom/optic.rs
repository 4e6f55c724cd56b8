//! Orbits with eyes, lenses, muscles and optic nerves; chiasm, tracts and pituitary in their cistern.

use super::random::Rng;
use super::shape::{Bounds, Ellipsoid, Tube, soft_union};
use super::tissue::Tissue;
use super::{Canvas, by_side, jitter_point, side_sign};
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
    orbits: [Orbit; 2],
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

    fn paint(&self, q: Vec3, canvas: &mut impl Canvas) {
        let fat = soft_union(self.fat[0].distance(q), self.fat[1].distance(q), 6.0);
        // The front of the orbit is open; the skin of the lids covers it.
        if q.y < self.centre.y - 9.0 {
            if fat < 1.0 && !self.present {
                canvas.layer(Tissue::Fat, fat.max(self.centre.y - 13.0 - q.y));
            }
        } else {
            canvas.layer(Tissue::CorticalBone, (fat - 1.8).max(self.centre.y - 2.0 - q.y));
            canvas.layer(Tissue::Fat, fat);
        }
        for muscle in &self.muscles {
            canvas.layer(Tissue::Muscle, muscle.distance(q));
        }
        if self.present {
            let eye = self.eye(q);
            canvas.layer(Tissue::Skin, (eye - 2.2).max(q.y - self.centre.y + 4.0));
            canvas.layer(Tissue::Sclera, eye);
            canvas.layer(Tissue::Vitreous, eye + 1.1);
            canvas.layer(Tissue::Vitreous, self.chamber.distance(q));
            canvas.layer(Tissue::Lens, self.lens.distance(q));
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
            .map(|side| Orbit::new(rng, side, eye_size, spread, gaze, missing != Some(side), chiasm));
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

    fn orbit(&self, side: Side) -> &Orbit {
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

    /// Paints what lies around the globes and under the brain.
    pub fn paint_orbits(&self, q: Vec3, canvas: &mut impl Canvas) {
        for orbit in &self.orbits {
            if orbit.bounds().holds(q) {
                orbit.paint(q, canvas);
            }
        }
        if self.cistern.distance(q) < 24.0 {
            canvas.layer(Tissue::CorticalBone, self.sella.distance(q));
            for sinus in &self.cavernous {
                canvas.layer(Tissue::DeepGrey, sinus.distance(q));
            }
            canvas.layer(Tissue::Csf, self.cistern.distance(q));
        }
    }

    /// Paints nerves, chiasm and gland, over the brain.
    pub fn paint_pathway(&self, q: Vec3, canvas: &mut impl Canvas) {
        for orbit in self.orbits.iter().filter(|o| o.present) {
            let d = orbit.nerve.distance(q);
            if d < 4.0 {
                let outside = d.max(-orbit.eye(q));
                canvas.layer(Tissue::Csf, outside - orbit.sheath);
                canvas.layer(Tissue::OpticNerve, outside);
            }
        }
        if self.cistern.distance(q) < 12.0 {
            for tract in &self.tracts {
                canvas.layer(Tissue::OpticNerve, tract.distance(q));
            }
            canvas.layer(Tissue::OpticNerve, self.chiasm(q));
            canvas.layer(Tissue::Pituitary, self.stalk.distance(q));
            canvas.layer(Tissue::Pituitary, self.gland.distance(q));
            canvas.layer(Tissue::NeuroHypophysis, self.posterior.distance(q).max(self.gland.distance(q)));
        }
    }
}
