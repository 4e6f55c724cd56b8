//! One orbit: walls, fat, muscles, lids, and the globe with its lens and nerve; or what an operation left of it.

use std::sync::Arc;

use super::band::{Band, Knot};
use super::socket::Socket;
use crate::anatomy::Side;
use crate::geometry::Vec3;
use crate::phantom::random::Rng;
use crate::phantom::scene::{Place, Scene};
use crate::phantom::shape::{Bounds, Ellipsoid, Tube, smooth_step, soft_union};
use crate::phantom::tissue::Tissue;
use crate::phantom::{jitter_point, side_sign};

/// What all eyes of a head share.
#[derive(Debug)]
pub struct Common {
    /// Radius of the globe, template mm.
    pub radius: f64,
    /// Distance of the globes from the midline, mm.
    pub spread: f64,
    /// How far the globes stand forward (negative y), mm.
    pub forward: f64,
    /// Where both eyes look.
    pub gaze: Vec3,
    /// Middle of the chiasm.
    pub chiasm: Vec3,
    /// Where the nerve of the left eye ends in the chiasm, relative to its middle; mirrored for the right.
    pub root: Vec3,
    /// Half the height of the gap between the lids, mm; 0 when they are closed.
    pub gap: f64,
    /// Upper side of the chiasm.
    pub up: Vec3,
}

/// What fills an orbit without eye.
#[derive(Debug, Clone, Copy)]
enum Filling {
    /// A ball of this radius, bright or dark, in an orbit that kept its muscles.
    Implant(f64, Tissue),
    /// Fat and scar, or a flap of muscle of this share, after exenteration.
    Flap(f64),
}

/// One orbit. After exenteration or enucleation eye, lens and nerve are gone.
#[derive(Debug)]
pub struct Orbit {
    /// The globe's middle, present or not.
    pub centre: Vec3,
    pub(super) present: bool,
    side: f64,
    gaze: Vec3,
    radius: f64,
    globe: Ellipsoid,
    cornea: Ellipsoid,
    pub(super) lens: Ellipsoid,
    /// An artificial lens in the capsule.
    artificial: bool,
    rim: f64,
    /// Thickness of the lids, mm.
    lid: f64,
    /// Half the height of the gap between the lids, mm; 0 when they are closed.
    gap: f64,
    pub(super) nerve: Band,
    canal: Tube,
    sheath: f64,
    socket: Socket,
    muscles: Vec<Band>,
    vein: Tube,
    fissure: Tube,
    gland: Ellipsoid,
    filling: Filling,
}

impl Orbit {
    /// The orbit of a side.
    pub fn new(rng: &mut Rng, side: Side, common: &Common, present: bool) -> Self {
        let s = side_sign(side);
        let centre = Vec3::new(
            s * (common.spread + rng.near(0.0, 0.6)),
            -55.5 + common.forward + rng.near(0.0, 0.7),
            rng.near(-36.0, 0.7),
        );
        // Each eye looks a little to the midline, beside the common gaze.
        let gaze = common.gaze + Vec3::new(-s * rng.within(-0.01, 0.06), 0.0, rng.near(0.0, 0.015));
        let gaze = gaze.unit().unwrap_or(common.gaze);
        let radius = common.radius * rng.near(1.0, 0.008);
        let long = radius * rng.near(1.0, 0.025);
        let globe = Ellipsoid::along(centre, Vec3::new(radius, long, radius * rng.near(0.99, 0.01)), gaze);
        let unit = radius / 12.0;
        let bulge = unit * rng.near(0.8, 0.2);
        let cornea = Ellipsoid::along(
            centre + gaze * (long + bulge - 4.6 * unit),
            Vec3::new(6.3 * unit, 4.6 * unit, 6.3 * unit),
            gaze,
        );
        let artificial = rng.chance(0.08);
        let thick = if artificial { 1.5 } else { rng.near(2.1, 0.2).max(1.75) };
        let depth = rng.near(3.3, 0.2);
        let lens_at = centre + gaze * (long + bulge - unit * (depth + thick));
        let lens = Ellipsoid::along(lens_at, Vec3::new(unit * rng.near(4.6, 0.12), unit * thick, unit * 4.6), gaze);

        let socket = Socket::new(rng, s, centre);
        let apex = socket.apex;
        let nasal = Vec3::new(-s, 0.0, rng.near(0.1, 0.1));
        let nasal = (nasal - gaze * nasal.dot(gaze)).unit().unwrap_or(nasal);
        let out = (gaze * -0.968 + nasal * 0.25).unit().unwrap_or(gaze * -1.0);
        let disc = centre + out * long;
        let r = rng.near(1.84, 0.14);
        let run = apex - disc;
        let leave = (out + run * (0.8 / run.norm().max(1.0))).unit().unwrap_or(out);
        // The slack nerve bends to one side and, deeper, a little back to the other.
        let (side_sag, down_sag) = (rng.near(0.5, 1.1), rng.near(-0.8, 1.1));
        let sag = Vec3::new(s * side_sag, 0.0, down_sag);
        let mouth = apex + Vec3::new(-s * 2.6, 3.4, 1.6);
        let exit = jitter_point(rng, Vec3::new(s * 9.6, -14.2, -21.6), 0.35);
        let root = common.chiasm + Vec3::new(s * common.root.x, common.root.y, common.root.z);
        let half = exit + (root - exit) * 0.5 + Vec3::new(0.0, 0.0, -0.3);
        let nerve = Band::through(&[
            Knot::round(disc - out * 1.5, r * 0.85),
            Knot::round(disc + leave * 3.4, r * 1.02),
            Knot::round(disc + run * 0.38 + sag, r),
            Knot::round(disc + run * 0.7 - sag * 0.5, r * 0.97),
            Knot::round(apex, r * 0.95),
            Knot::flat(mouth, common.up, r * 1.0, r * 0.9),
            Knot::flat(exit, common.up, r * 1.12, r * 0.88),
            Knot::flat(half, common.up, r * 1.22, r * 0.88),
            Knot::flat(root, common.up, r * 1.2, r * 0.86),
        ]);
        let canal = Tube::through(&[(apex, 3.4), (mouth, 2.8), (exit, 2.7)]);

        let belly = rng.near(1.0, 0.1);
        let equator = |angle: f64, away: Vec3, lift: f64| {
            let (sine, cosine) = angle.to_radians().sin_cos();
            centre + gaze * ((long + lift) * cosine) + away * ((radius + lift) * sine)
        };
        let mut muscles = Vec::new();
        for (u, w, wide) in [(1.0, 0.0, 4.9), (-1.0, 0.0, 5.1), (0.0, 1.0, 4.8), (0.0, -1.0, 4.9)] {
            let away = Vec3::new(u, 0.0, w);
            let across = (away - gaze * away.dot(gaze)).unit().unwrap_or(away);
            let origin = apex + Vec3::new(u * 2.9, -0.8, w * 2.7);
            let touch = equator(112.0, across, 2.0);
            let bow = across * rng.near(1.6, 0.4);
            let b = belly * rng.near(1.75, 0.12);
            let knots = |lift: f64, wide: f64, b: f64, low: f64| {
                let up = across * lift;
                [
                    Knot::flat(origin + up * 0.5, across, 1.6, 1.0),
                    Knot::flat(origin + (touch - origin) * 0.35 + bow + up * 0.8, across, wide * 0.8, b * 0.95),
                    Knot::flat(origin + (touch - origin) * 0.65 + bow + up, across, wide, b),
                    Knot::flat(touch + up, across, wide, b * 0.75),
                    Knot::flat(equator(88.0, across, 0.8) + up, across, wide, 0.55),
                    Knot::flat(equator(low, across, 0.35) + up, across, wide, 0.4),
                ]
            };
            muscles.push(Band::through(&knots(0.0, wide, b, 64.0)));
            if w > 0.5 {
                // The levator lies on the superior rectus and goes on into the lid.
                muscles.push(Band::through(&knots(2.7, wide * 0.85, b * 0.6, 42.0)));
            }
        }
        let at = |x: f64, y: f64, z: f64| Vec3::new(s * x, centre.y + y, centre.z + z);
        let trochlea = socket.wall(-48.0 + centre.y + 55.5, -0.8, 0.62, 2.6);
        let front = Vec3::new(trochlea.x + s * 0.8, centre.y - 3.0, trochlea.z + 0.3);
        let oblique = Vec3::new(-s, 0.0, 0.55);
        muscles.push(Band::through(&[
            Knot::flat(apex + Vec3::new(-s * 2.2, -1.0, 3.0), oblique, 1.4, 1.0),
            Knot::flat(socket.wall(-36.0, -0.8, 0.62, 2.4), oblique, 2.8, 1.7 * belly),
            Knot::flat(trochlea, oblique, 2.6, 1.5 * belly),
            Knot::flat(front, oblique, 1.0, 0.9),
        ]));
        let top = equator(84.0, Vec3::new(0.0, 0.0, 1.0), 0.9);
        muscles.push(Band::through(&[Knot::round(front, 0.6), Knot::round(top + Vec3::new(0.0, 3.0, -0.3), 0.45)]));
        muscles.push(Band::through(&[
            Knot::flat(at(17.0, -4.0, -13.5), Vec3::new(0.0, 0.0, 1.0), 2.2, 1.1),
            Knot::flat(at(27.0, 0.5, -15.2), Vec3::new(0.0, 0.0, 1.0), 3.4, 1.3),
            Knot::flat(at(37.0, 4.0, -11.0), Vec3::new(s * 0.7, 0.0, -0.7), 3.4, 1.1),
            Knot::flat(at(42.0, 6.0, -4.5), Vec3::new(s, 0.0, 0.0), 3.0, 0.6),
        ]));
        let w = rng.near(1.15, 0.25).max(0.6);
        let vein = Tube::through(&[
            (at(17.5, -3.5, 10.5), 0.8 * w),
            (at(23.0, 9.0, 11.0) + Vec3::new(0.0, 0.0, rng.near(0.0, 0.6)), w),
            (at(26.5, 18.0, 9.5) + Vec3::new(s * rng.near(0.0, 0.8), 0.0, 0.0), w),
            (apex + Vec3::new(s * 3.6, -5.0, 5.2), 1.1 * w),
            (apex + Vec3::new(s * 2.0, 3.0, 0.5), 1.2 * w),
        ]);
        let fissure =
            Tube::through(&[(apex + Vec3::new(s * 2.0, -3.0, 0.0), 3.0), (Vec3::new(s * 13.5, -14.0, -28.5), 2.6)]);
        let gland_to = Vec3::new(s * rng.near(0.72, 0.04), 0.03, 0.66);
        let gland = Ellipsoid::along(
            centre + gland_to * (radius + rng.near(4.2, 0.3)) + Vec3::new(0.0, rng.near(0.5, 1.0), 0.0),
            Vec3::new(rng.near(2.6, 0.35), rng.near(7.5, 0.9), rng.near(8.5, 1.0)),
            Vec3::new(s * 0.18, -0.98, -0.1).unit().unwrap_or(gaze),
        );
        let filling = if rng.chance(0.5) {
            let tissue = if rng.chance(0.5) { Tissue::CorticalBone } else { Tissue::Muscle };
            Filling::Implant(rng.within(8.8, 10.2), tissue)
        } else {
            Filling::Flap(rng.within(-0.8, 0.9))
        };
        Self {
            centre,
            present,
            side: s,
            gaze,
            radius: long,
            globe,
            cornea,
            lens,
            artificial,
            rim: rng.near(1.15, 0.12),
            lid: rng.within(2.0, 3.3),
            gap: common.gap,
            nerve,
            canal,
            sheath: rng.within(0.2, 1.1),
            socket,
            muscles,
            vein,
            fissure,
            gland,
            filling,
        }
    }

    /// Distance to the eye; infinite where it is missing.
    #[inline]
    pub fn eye(&self, q: Vec3) -> f64 {
        if self.present { soft_union(self.globe.distance(q), self.cornea.distance(q), 1.0) } else { f64::INFINITY }
    }

    /// Box of the eye.
    pub fn eye_bounds(&self) -> Bounds {
        self.globe.bounds().union(self.cornea.bounds()).grown(0.5)
    }

    /// Distance to the nerve's sheath: wider behind the globe.
    fn sheath(&self, q: Vec3) -> f64 {
        let behind = 1.0 - smooth_step(1.0, 9.0, self.globe.distance(q));
        self.nerve.distance(q) - self.sheath * (1.0 + 0.9 * behind)
    }

    /// Depth along the gaze from the globe's middle and distance from the gaze, mm.
    fn polar(&self, q: Vec3) -> (f64, f64) {
        let d = q - self.centre;
        let along = d.dot(self.gaze);
        (along, (d.dot(d) - along * along).max(0.0).sqrt())
    }

    /// Adds bone, fat, muscles, lids and globe.
    pub fn furnish(self: &Arc<Self>, scene: &mut Scene) {
        self.socket.furnish(scene);
        let (wall, canal) = (self.canal.clone(), self.canal.clone());
        scene.add(Tissue::CorticalBone, wall.bounds().grown(1.2), move |at| wall.distance(at.q) - 1.2);
        let fissure = self.fissure.clone();
        scene.add(Tissue::Fat, fissure.bounds(), move |at| fissure.distance(at.q));
        scene.add(Tissue::Csf, canal.bounds(), move |at| canal.distance(at.q) + 0.5);
        let kept = self.present || matches!(self.filling, Filling::Implant(..));
        if kept {
            for muscle in &self.muscles {
                let (band, orbit) = (muscle.clone(), Arc::clone(self));
                scene.add(Tissue::EyeMuscle, muscle.bounds(), move |at| {
                    band.distance(at.q).max(orbit.socket.distance(at.q) + 0.4)
                });
            }
            let vein = self.vein.clone();
            scene.add(Tissue::Vessel, vein.bounds(), move |at| vein.distance(at.q));
            let orbit = Arc::clone(self);
            scene.add_rough(Tissue::Gland, self.gland.bounds(), 1.0, move |at| {
                (orbit.gland.distance(at.q) + 0.4 * at.fine).max(orbit.socket.distance(at.q) + 0.3)
            });
        }
        self.furnish_lids(scene);
        if self.present { self.furnish_globe(scene) } else { self.furnish_filling(scene) }
    }

    /// Skin and orbicularis in front of the globe, with little fat between them.
    fn furnish_lids(self: &Arc<Self>, scene: &mut Scene) {
        let reach = Bounds::around(self.centre + Vec3::new(0.0, -14.0, 0.0), Vec3::new(23.0, 17.0, 19.0));
        let orbit = Arc::clone(self);
        let plate = move |at: &Place| {
            let d = at.q - orbit.centre;
            (d.x / 22.0).hypot(d.z / 17.0) * 17.0 - 17.0 + (d.y + 2.0).max(0.0)
        };
        let sheet = plate.clone();
        scene.add(Tissue::Skin, reach, move |at| sheet(at).max(at.skin).max(-at.skin - 2.2));
        scene.add(Tissue::Muscle, reach, move |at| plate(at).max(at.skin + 1.5).max(-at.skin - 3.2));
        if self.present {
            let lid = Arc::clone(self);
            scene.add(Tissue::Skin, reach, move |at| {
                let (along, away) = lid.polar(at.q);
                let thick = lid.lid * smooth_step(-1.0, 7.0, along) * (1.0 - smooth_step(11.0, 14.5, away));
                (lid.eye(at.q) - thick).max(-1.0 - along)
            });
            if self.gap > 0.0 {
                let (gap, c) = (self.gap, self.centre);
                let ahead = Bounds::around(c + Vec3::new(0.0, -14.0, 0.0), Vec3::new(13.0, 9.0, gap + 1.0));
                let lids = Arc::clone(self);
                scene.add(Tissue::Air, ahead, move |at| {
                    let d = at.q - c;
                    (d.z + 0.8).abs() - gap * (1.0 - (d.x / 13.0).powi(2))
                });
                scene.add(Tissue::Csf, ahead, move |at| lids.eye(at.q) - 0.3);
            }
        }
    }

    fn furnish_globe(self: &Arc<Self>, scene: &mut Scene) {
        let bounds = self.eye_bounds();
        let add = |scene: &mut Scene, tissue, bounds, f: fn(&Self, Vec3) -> f64| {
            let orbit = Arc::clone(self);
            scene.add(tissue, bounds, move |at| f(&orbit, at.q));
        };
        // Between lids and cornea lies a film of tears.
        add(scene, Tissue::Csf, bounds, |o, q| {
            let (along, _) = o.polar(q);
            (o.eye(q) - 0.25).max(o.radius * 0.75 - along)
        });
        add(scene, Tissue::Sclera, bounds, |o, q| o.eye(q));
        add(scene, Tissue::Vitreous, bounds, |o, q| {
            let (along, _) = o.polar(q);
            let front = smooth_step(0.55, 0.85, along / o.radius);
            o.eye(q) + o.rim * (1.0 - 0.4 * front)
        });
        let front = self.lens.bounds().grown(3.0);
        // Ciliary body: a ring about the lens; iris: a thin sheet with a pupil in front of it.
        add(scene, Tissue::Sclera, front, |o, q| {
            let (along, away) = o.polar(q);
            let (lens, _) = o.polar(o.lens.centre);
            let ciliary = ((along - lens - 0.1).abs() - 1.5).max(5.5 - away + 0.9 * (along - lens - 0.6).abs());
            // The iris leans on the lens and falls off to its root.
            let iris = ((along - lens - o.lens.radii.y + 0.16 * (away - 1.2)).abs() - 0.32).max(1.9 - away);
            ciliary.min(iris).max(o.eye(q))
        });
        if self.artificial {
            add(scene, Tissue::Vitreous, front, |o, q| o.lens.distance(q));
            add(scene, Tissue::CorticalBone, front, |o, q| {
                let (along, away) = o.polar(q);
                let (lens, _) = o.polar(o.lens.centre);
                ((along - lens).abs() - 0.5).max(away - 3.0)
            });
        } else {
            add(scene, Tissue::Lens, self.lens.bounds(), |o, q| o.lens.distance(q));
        }
    }

    fn furnish_filling(self: &Arc<Self>, scene: &mut Scene) {
        match self.filling {
            Filling::Implant(radius, tissue) => {
                let (centre, s) = (self.centre + Vec3::new(0.0, 1.5, 0.0), self.side);
                let bounds = Bounds::around(centre, Vec3::new(1.0, 1.0, 1.0) * (radius + 1.5));
                scene.add(Tissue::Sclera, bounds, move |at| (at.q - centre).norm() - radius - 1.0);
                scene.add(tissue, bounds, move |at| (at.q - centre).norm() - radius);
                // The shell worn in front of the implant.
                let ahead = Bounds::around(centre + Vec3::new(0.0, -radius - 2.0, 0.0), Vec3::new(11.0, 4.5, 10.0));
                scene.add(Tissue::CorticalBone, ahead, move |at| {
                    let d = at.q - centre;
                    let away = (d.x - 0.5 * s).hypot(1.1 * d.z);
                    (((d + Vec3::new(0.0, -3.0, 0.0)).norm() - radius - 5.6).abs() - 1.1).max(away - 9.5).max(d.y)
                });
            }
            Filling::Flap(share) => {
                let orbit = Arc::clone(self);
                let cover = move |at: &Place| orbit.socket.filling(at.q) + 1.5;
                scene.add_textured(Tissue::Muscle, self.socket.bounds(), 0.0, cover, move |at| {
                    (at.slow + 0.5 * at.fine - share) * 3.0
                });
            }
        }
    }

    /// Adds the nerve with its sheaths, over the brain.
    pub fn furnish_nerve(self: &Arc<Self>, scene: &mut Scene) {
        if !self.present {
            return;
        }
        let bounds = self.nerve.bounds();
        let add = |scene: &mut Scene, tissue, margin: f64, f: fn(&Self, Vec3) -> f64| {
            let orbit = Arc::clone(self);
            scene.add(tissue, bounds.grown(margin), move |at| f(&orbit, at.q).max(-orbit.eye(at.q)));
        };
        // In the canal there is little room; behind it the nerve lies in the cistern.
        add(scene, Tissue::Dura, 2.6, |o, q| (o.sheath(q) - 0.45).max(q.y - o.socket.apex.y));
        add(scene, Tissue::Csf, 2.2, |o, q| o.sheath(q).max(q.y - o.socket.apex.y - 1.0));
        add(scene, Tissue::Csf, 2.2, |o, q| (o.nerve.distance(q) - 1.2).max(o.socket.apex.y + 9.0 - q.y));
        add(scene, Tissue::OpticNerve, 0.0, |o, q| o.nerve.distance(q));
    }
}
