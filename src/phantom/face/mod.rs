//! The head around the brain: scalp, skull, face, sinuses, neck, ears. No delivered structure lies here.

mod bundles;
mod jaw;
mod neck;
mod nose;
mod parts;
mod skull;
pub mod vessels;

use std::sync::Arc;

use parts::{Kit, Triple};

use super::brain::Brain;
use super::field::{Field, Waves};
use super::random::Rng;
use super::scene::{Place, Scene};
use super::shape::{Bounds, Ellipsoid, Tube, smooth_step, soft_union};
use super::tissue::Tissue;
use super::{jitter_point, jitter_radii};
use crate::geometry::Vec3;

/// Thicknesses in mm of the layers over the brain's hull where they are typical.
#[derive(Debug, Clone, Copy)]
struct Thickness {
    csf: f64,
    skull: f64,
    temporalis: f64,
    fat: f64,
    skin: f64,
    /// How much fatter the back of the head is than its top.
    nape: f64,
}

/// Thicknesses at a point: fluid, skull, muscle or galea, fat.
type Layers = [f64; 4];

impl Thickness {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            csf: rng.near(1.8, 0.9).max(0.6),
            skull: rng.near(6.8, 1.0).max(4.6),
            temporalis: rng.near(7.0, 2.0).max(2.5),
            fat: rng.near(3.6, 1.4).max(1.0),
            skin: rng.near(1.9, 0.25),
            nape: rng.near(1.1, 0.6).max(0.0),
        }
    }

    /// The layers over a point, with two smooth noises of unit variance.
    fn layers(&self, q: Vec3, broad: f64, local: f64) -> Layers {
        let u = (q - MIDDLE).unit().unwrap_or(Vec3::new(0.0, 0.0, 1.0));
        let side = smooth_step(0.55, 0.85, u.x.abs());
        let low = 1.0 - smooth_step(-0.15, 0.35, u.z);
        let squama = side * low * (1.0 - smooth_step(0.35, 0.75, u.y));
        let front = smooth_step(0.35, 0.8, -u.y) * (1.0 - squama);
        let back = smooth_step(0.5, 0.9, u.y);
        let under = 1.0 - smooth_step(-0.60, -0.35, u.z);
        let floor = under * (1.0 - 0.55 * smooth_step(0.2, 0.5, u.y));
        let mut skull = self.skull + 0.6 * front + 1.4 * back + 0.7 * broad + 0.3 * local;
        skull += (3.2 - skull) * squama.max(floor * 0.9);
        let inion = (1.0 - (q.x.abs() / 26.0).min(1.0)) * smooth_step(0.75, 0.95, u.y);
        skull +=
            2.5 * inion * (1.0 - smooth_step(-0.1, 0.3, u.z)) + 0.8 * (1.0 - smooth_step(3.0, 14.0, q.x.abs())) * front;
        let forward = smooth_step(-0.2, 0.25, -u.y) * (1.0 - smooth_step(0.72, 0.95, -u.y));
        let temporal =
            smooth_step(0.5, 0.75, u.x.abs()) * (1.0 - smooth_step(-0.1, 0.42, u.z)) * (0.35 + 0.65 * forward);
        let thin = 0.9 + 0.8 * (front + back) * (1.0 - smooth_step(-0.1, 0.4, u.z));
        let muscle = thin + self.temporalis * temporal * (1.0 - 0.7 * back) - 4.0 * under * (1.0 - back);
        let fat =
            self.fat * (0.8 + 0.4 * (1.0 - front) + self.nape * back + 0.22 * broad + 0.12 * local - 0.35 * temporal);
        let face = smooth_step(-20.0, -70.0, q.z) * self.fat * 0.6;
        let csf = self.csf * (1.0 + 0.25 * broad - 0.3 * under) + 0.8 * smooth_step(0.5, 0.9, u.z);
        [csf.max(0.8), skull.max(2.0), muscle, (fat + face).clamp(0.6, 5.6 + 3.0 * back)]
    }
}

/// Skull, soft tissue, air.
#[derive(Debug)]
pub struct Face {
    thickness: Thickness,
    /// Distances to the skin and to the brain's hull, and soft-tissue noise in two channels.
    shells: Field<4>,
    layers: Arc<Field<4>>,
    ears: [Ear; 2],
    details: Rng,
}

/// An auricle: a tilted plate with a rim, hollow outside.
#[derive(Debug, Clone)]
struct Ear {
    plate: Ellipsoid,
    rim: Tube,
    hollow: Ellipsoid,
}

impl Ear {
    /// The auricle of a side where the head is `half` mm wide there.
    fn new(rng: &mut Rng, s: f64, half: f64) -> Self {
        let at = jitter_point(rng, Vec3::new(s * (half + 3.5), 28.0, -40.0), 1.0);
        let out = Vec3::new(s * rng.near(0.42, 0.14), 0.9, rng.near(0.12, 0.1));
        let along = out.unit().unwrap_or(Vec3::new(0.0, 1.0, 0.0));
        let size = rng.near(1.0, 0.08);
        let plate = Ellipsoid::along(at, Vec3::new(2.4, 15.0 * size, 28.0 * size), along);
        let up = Vec3::new(0.0, 0.0, 1.0);
        let point = |a: f64, r: f64| {
            let (sin, cos) = a.sin_cos();
            (at + along * (14.5 * size * cos) + up * (26.5 * size * sin) + Vec3::new(s * 1.8, 0.0, 0.0), r)
        };
        let rim = Tube::through(&[
            point(3.0, 2.0),
            point(2.2, 2.6),
            point(1.5, 2.8),
            point(0.7, 2.7),
            point(0.0, 2.5),
            point(-0.7, 2.6),
            point(-1.5, 3.6),
        ]);
        let hollow = Ellipsoid::new(at + Vec3::new(s * 3.0, -7.0, -5.0), Vec3::new(4.5, 7.0, 10.0));
        Self { plate, rim, hollow }
    }

    fn distance(&self, q: Vec3) -> f64 {
        soft_union(self.plate.distance(q), self.rim.distance(q), 2.0)
    }

    fn bounds(&self) -> Bounds {
        self.plate.bounds().union(self.rim.bounds())
    }
}

/// The box in which a head lies in template space.
pub const REACH: Bounds = Bounds { lo: Vec3::new(-104.0, -122.0, -200.0), hi: Vec3::new(104.0, 132.0, 104.0) };

/// Rays from here meet every surface of the vault once, mm.
pub const MIDDLE: Vec3 = Vec3::new(0.0, 20.0, 15.0);

/// Lumps of the skin of the face on the midline or, with a centre off it, of both sides: centre, radii, width of the fillet.
const SKIN: [(Triple, Triple, f64); 13] = [
    ((0.0, -28.0, -64.0), (62.0, 53.0, 52.0), 20.0),   // midface
    ((0.0, -40.0, -102.0), (50.0, 52.0, 38.0), 22.0),  // mouth
    ((0.0, -56.0, -130.0), (24.0, 35.0, 17.0), 16.0),  // chin
    ((31.0, -24.0, -108.0), (25.0, 44.0, 32.0), 16.0), // jaw
    ((40.0, 0.0, -82.0), (25.0, 34.0, 40.0), 14.0),    // parotid
    ((47.0, 20.0, -50.0), (25.0, 34.0, 32.0), 16.0),   // mastoid
    ((38.0, -52.0, -60.0), (18.0, 16.0, 16.0), 14.0),  // cheek
    ((30.0, -62.0, -17.0), (22.0, 16.0, 8.0), 12.0),   // brow
    ((0.0, -76.0, -36.0), (8.0, 10.0, 16.0), 10.0),    // bridge
    ((0.0, -88.0, -58.0), (9.0, 13.0, 15.0), 10.0),    // nose
    ((0.0, -98.0, -67.0), (10.0, 10.0, 9.0), 8.0),     // tip
    ((9.0, -87.0, -70.0), (8.0, 10.0, 8.0), 5.0),      // wing
    ((0.0, -89.0, -101.0), (22.0, 8.5, 11.0), 6.0),    // lips
];

impl Face {
    /// The face of a seed, around a brain and two globes.
    pub fn new(rng: &mut Rng, brain: &Brain, globes: [Vec3; 2]) -> Self {
        let thickness = Thickness::draw(rng);
        let fatness = thickness.fat - 3.6;
        let mut lumps: Vec<(Ellipsoid, f64)> = Vec::new();
        for (c, r, fillet) in SKIN {
            let radii = jitter_radii(rng, Vec3::new(r.0, r.1, r.2), 0.03);
            let at = jitter_point(rng, Vec3::new(c.0, c.1, c.2), 1.0);
            if c.0 == 0.0 {
                lumps.push((Ellipsoid::new(Vec3::new(0.3 * at.x, at.y, at.z), radii), fillet));
            } else {
                for s in [1.0, -1.0] {
                    let at = jitter_point(rng, Vec3::new(s * at.x, at.y, at.z), 0.6);
                    lumps.push((Ellipsoid::new(at, radii), fillet));
                }
            }
        }
        let wide = rng.near(56.0, 2.5) + fatness;
        let neck = move |q: Vec3| {
            // A column that leans forward a little and widens to the shoulders.
            let (y, shoulder) = (32.0 + 0.06 * (-110.0 - q.z).max(0.0), 12.0 * smooth_step(-140.0, -200.0, q.z));
            Vec3::new(q.x, q.y - y, (q.z + 62.0).max(0.0)).norm() - wide - shoulder
        };
        let waves = [Waves::new(rng, 24, 18.0, 40.0), Waves::new(rng, 24, 7.0, 16.0)];
        let thick = [Waves::new(rng, 8, 60.0, 120.0), Waves::new(rng, 8, 25.0, 50.0)];
        let layers =
            Field::tabulate(REACH, 6.0, |q| thickness.layers(q, thick[0].at(q), thick[1].at(q)).map(|v| v as f32));
        let bare = |q: Vec3, hull: f64| {
            let reach: f32 = layers.at(q).into_iter().sum();
            let vault = hull - f64::from(reach) - thickness.skin;
            let mut skin = soft_union(vault, neck(q), 22.0);
            for (lump, k) in &lumps {
                skin = soft_union(skin, lump.distance(q) - 0.4 * fatness, *k);
            }
            for globe in globes {
                // Lids: the globe never looks out of the skin.
                skin = soft_union(skin, (q - globe).norm() - 14.8, 8.0);
            }
            skin
        };
        let ears = [1.0, -1.0].map(|s| {
            // Where a line out of the ear's canal leaves the head.
            let at = |x: f64| Vec3::new(s * x, 22.0, -44.0);
            let out = (50..98).map(f64::from).find(|x| bare(at(*x), brain.hull(at(*x))) > 0.0).unwrap_or(80.0);
            Ear::new(rng, s, out)
        });
        let shells = Field::tabulate(REACH, 4.0, |q| {
            let hull = brain.hull(q);
            let mut skin = bare(q, hull);
            for ear in &ears {
                if q.x.abs() > 50.0 {
                    skin = soft_union(skin, ear.distance(q) - 0.6, 4.0);
                }
            }
            let noise = if skin < 8.0 { [waves[0].at(q), waves[1].at(q)] } else { [0.0, 0.0] };
            [skin as f32, hull as f32, noise[0] as f32, noise[1] as f32]
        });
        Self { thickness, shells, layers: Arc::new(layers), ears, details: rng.clone() }
    }

    /// Distance from the brain's hull to the inner surface of the skull where it is typical, mm.
    pub fn inside_skull(&self) -> f64 {
        self.thickness.csf
    }

    /// What is known of a point.
    #[inline]
    pub fn place(&self, q: Vec3) -> Place {
        let [skin, hull, slow, fine] = self.shells.at(q).map(f64::from);
        Place { q, skin, hull, slow, fine }
    }

    /// Adds everything from the skin to the inner surface of the skull (what the brain lies on).
    pub fn furnish(&self, brain: &Arc<Brain>, scene: &mut Scene) {
        let skin = self.thickness.skin;
        let mut rng = self.details.clone();
        scene.add(Tissue::Skin, REACH, |at| at.skin);
        scene.add(Tissue::Fat, REACH, move |at| at.skin + skin);
        for ear in &self.ears {
            let (thin, hollow, plate) = (ear.plate, ear.hollow, ear.clone());
            scene.add(Tissue::Skin, ear.bounds(), move |at| plate.distance(at.q) - 0.6);
            scene.add(Tissue::Cartilage, thin.bounds(), move |at| thin.distance(at.q) + 1.2);
            scene.add(Tissue::Air, hollow.bounds(), move |at| hollow.distance(at.q));
        }
        let (film, marbling) = (rng.within(0.35, 1.1), rng.within(0.0, 1.0));
        let depth = skin + 0.9 + 0.6 * self.thickness.fat;
        self.sheets(&mut rng, scene);
        neck::furnish(&mut Kit { rng: &mut rng, scene, depth, film, marbling, stray: 1.7 });
        let depth = skin + 0.8 + 0.35 * self.thickness.fat;
        jaw::furnish(&mut Kit { rng: &mut rng, scene, depth, film: film * 0.8, marbling: marbling * 0.7, stray: 1.0 });
        self.vault(&mut rng, scene);
        let mut kit = Kit { rng: &mut rng, scene, depth: skin + 0.6, film, marbling, stray: 0.6 };
        skull::furnish(&mut kit);
        self.brow(&mut kit);
        kit.depth = 1.2;
        kit.stray = 0.9;
        nose::furnish(&mut kit);
        let layers = Arc::clone(&self.layers);
        scene.add(Tissue::Dura, REACH, move |at| at.hull - f64::from(layers.at(at.q)[0]) - 0.3);
        let layers = Arc::clone(&self.layers);
        scene.add(Tissue::Csf, REACH, move |at| at.hull - f64::from(layers.at(at.q)[0]) + 0.3);
        let canal = Bounds { lo: Vec3::new(-22.0, 8.0, -200.0), hi: Vec3::new(22.0, 62.0, -40.0) };
        let (inner, outer) = (Arc::clone(brain), Arc::clone(brain));
        let room = rng.near(3.3, 0.5).clamp(2.0, 3.9);
        let wide = move |q: Vec3| room + 1.2 * smooth_step(-76.0, -62.0, q.z);
        // The medulla ends at a plane.
        let rough = 10.0;
        scene.add_rough(Tissue::Dura, canal, rough, move |at| outer.cord(at.q) - wide(at.q) - 0.7);
        scene.add_rough(Tissue::Csf, canal, rough, move |at| inner.cord(at.q) - wide(at.q));
    }

    /// Strands in the fat of face and neck, and the thin muscle of the skin between its two layers.
    fn sheets(&self, rng: &mut Rng, scene: &mut Scene) {
        let face = Bounds { lo: Vec3::new(-90.0, -104.0, -200.0), hi: Vec3::new(90.0, 100.0, -36.0) };
        let (skin, strands) = (self.thickness.skin, rng.within(-0.42, -0.1));
        let under = move |at: &Place| at.skin + skin + 0.8;
        let strand = move |at: &Place| (at.fine + 0.8 * at.slow).abs() * 1.8 - strands;
        scene.add_textured(Tissue::Muscle, face, 0.0, under, strand);
        let fat = 0.55 * self.thickness.fat;
        scene.add_rough(Tissue::Muscle, face, 2.0, move |at| {
            (at.skin + skin + fat + 0.5 * at.slow).abs() - 0.45 + 0.35 * at.fine + (at.q.y - 40.0).max(0.0)
        });
    }

    /// Galea and scalp muscles, outer table, diploe, inner table.
    fn vault(&self, rng: &mut Rng, scene: &mut Scene) {
        let layers = Arc::clone(&self.layers);
        scene.add(Tissue::Muscle, REACH, move |at| {
            let [csf, skull, muscle, _] = layers.at(at.q).map(f64::from);
            at.hull - csf - skull - muscle
        });
        let layers = Arc::clone(&self.layers);
        scene.add(Tissue::CorticalBone, REACH, move |at| {
            let [csf, skull, ..] = layers.at(at.q).map(f64::from);
            at.hull - csf - skull
        });
        let diploe = {
            let layers = Arc::clone(&self.layers);
            let (outer, inner) = (rng.near(1.7, 0.3), rng.near(1.5, 0.3));
            move |at: &Place| {
                let [csf, skull, ..] = layers.at(at.q).map(f64::from);
                let d = at.hull - csf;
                (d - skull + outer).max(inner - d) + 0.25 * at.slow
            }
        };
        let patchy = rng.within(-1.0, 0.9);
        let cover = diploe.clone();
        scene.add_rough(Tissue::Marrow, REACH, 1.0, diploe);
        // Red marrow between the yellow.
        let within = move |at: &Place| cover(at) + 0.3;
        scene
            .add_textured(Tissue::Muscle, REACH, 1.0, within, move |at| 1.5 * (0.5 * at.slow + at.fine - patchy) + 1.8);
    }

    /// Brow with the frontal sinus.
    fn brow(&self, kit: &mut Kit<'_>) {
        let bow = [(-46.0, -56.0, -20.0, 4.5), (-28.0, -71.0, -18.0, 5.0), (0.0, -76.0, -19.0, 6.0)];
        let bow = kit.pipe(1.0, &[bow[0], bow[1], bow[2], (28.0, -71.0, -18.0, 5.0), (46.0, -56.0, -20.0, 4.5)]);
        kit.bone(&bow, 1.6);
        if kit.rng.chance(0.1) {
            return;
        }
        for s in [1.0, -1.0] {
            let size = kit.rng.within(0.35, 1.5);
            let cell = kit.lump(s, (1.0 + 9.0 * size, -75.0, -21.0 + 9.0 * size), (9.0 * size, 5.0, 10.0 * size));
            let (layers, skin) = (Arc::clone(&self.layers), self.thickness.skin);
            let room = move |at: &Place| {
                let csf = f64::from(layers.at(at.q)[0]);
                cell.distance(at.q).max(csf + 2.2 - at.hull).max(at.skin + skin + 4.5).max(0.8 - s * at.q.x)
            };
            let bounds = Bounds { lo: Vec3::new(-36.0, -96.0, -34.0), hi: Vec3::new(36.0, -50.0, 24.0) };
            let lining = room.clone();
            kit.scene.add(Tissue::CorticalBone, bounds, {
                let room = room.clone();
                move |at| room(at) - 1.0
            });
            kit.scene.add(Tissue::Mucosa, bounds, lining);
            kit.scene.add(Tissue::Air, bounds, move |at| room(at) + 0.7);
        }
    }
}
