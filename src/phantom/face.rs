//! The head around the brain: scalp, skull, face, sinuses, neck, ears, vessels. No delivered structure lies here.

use std::sync::Arc;

use super::brain::Brain;
use super::field::{Field, Waves};
use super::random::Rng;
use super::scene::{Place, Scene};
use super::shape::{Bounds, Ellipsoid, Tube, soft_union};
use super::tissue::Tissue;
use super::{jitter_point, jitter_radii};
use crate::geometry::Vec3;

/// Thicknesses in mm from the brain's hull outwards.
#[derive(Debug)]
struct Thickness {
    csf: f64,
    skull: f64,
    fat: f64,
    skin: f64,
}

/// Skull, soft tissue, air.
#[derive(Debug)]
pub struct Face {
    thickness: Thickness,
    /// Distances to the skin and to the brain's hull, and soft-tissue noise in two channels.
    shells: Field<4>,
    ears: [Ellipsoid; 2],
    /// In painting order.
    parts: Vec<(Shape, Tissue)>,
    mastoids: [Ellipsoid; 2],
}

#[derive(Debug)]
enum Shape {
    Lump(Ellipsoid),
    Pipe(Tube),
}

/// The box in which a head lies in template space.
pub const REACH: Bounds = Bounds { lo: Vec3::new(-104.0, -122.0, -200.0), hi: Vec3::new(104.0, 132.0, 104.0) };

impl Face {
    /// The face of a seed, around a brain and two globes.
    pub fn new(rng: &mut Rng, brain: &Brain, globes: [Vec3; 2]) -> Self {
        let thickness = Thickness {
            csf: rng.near(2.6, 0.7).max(1.0),
            skull: rng.near(6.6, 0.9).max(4.5),
            fat: rng.near(4.2, 1.1).max(1.8),
            skin: rng.near(2.0, 0.25),
        };
        let mut lump = |c: (f64, f64, f64), r: (f64, f64, f64), move_by: f64, grow: f64| {
            Ellipsoid::new(
                jitter_point(rng, Vec3::new(c.0, c.1, c.2), move_by),
                jitter_radii(rng, Vec3::new(r.0, r.1, r.2), grow),
            )
        };
        let skin_lumps = [
            lump((0.0, -28.0, -66.0), (64.0, 52.0, 60.0), 2.0, 0.04),
            lump((0.0, -40.0, -92.0), (50.0, 48.0, 42.0), 3.0, 0.05), // jaw
            lump((0.0, -80.0, -54.0), (13.0, 17.0, 17.0), 1.5, 0.10), // nose
            lump((0.0, -76.0, -38.0), (9.0, 10.0, 18.0), 1.0, 0.08),  // bridge
        ];
        let ears = [
            lump((84.0, 22.0, -30.0), (4.5, 16.0, 28.0), 2.0, 0.08),
            lump((-84.0, 22.0, -30.0), (4.5, 16.0, 28.0), 2.0, 0.08),
        ];
        let mastoids = [
            lump((50.0, 30.0, -48.0), (9.0, 12.0, 14.0), 1.5, 0.10),
            lump((-50.0, 30.0, -48.0), (9.0, 12.0, 14.0), 1.5, 0.10),
        ];
        let neck_width = 56.0 * (1.0 + 0.06 * lump((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0, 0.0).centre.x);
        let neck = Tube::through(&[
            (Vec3::new(0.0, 30.0, -60.0), neck_width),
            (Vec3::new(0.0, 36.0, -110.0), neck_width - 2.0),
            (Vec3::new(0.0, 44.0, -200.0), neck_width + 3.0),
        ]);

        let mut parts: Vec<(Shape, Tissue)> = Vec::new();
        let mut add = |shape: Ellipsoid, tissue| parts.push((Shape::Lump(shape), tissue));
        // Bone of the face: a shell of cortical bone around marrow, then the spaces in it.
        for s in [1.0, -1.0] {
            add(lump((s * 26.0, -40.0, -66.0), (19.0, 20.0, 22.0), 1.0, 0.05), Tissue::CorticalBone); // maxilla
            add(lump((s * 26.0, -42.0, -72.0), (17.0, 17.0, 16.0), 1.0, 0.05), Tissue::Marrow);
            add(lump((s * 52.0, -34.0, -50.0), (7.0, 16.0, 8.0), 1.5, 0.08), Tissue::CorticalBone); // zygoma
            add(lump((s * 52.0, -34.0, -50.0), (5.0, 13.0, 6.0), 1.0, 0.08), Tissue::Marrow);
            add(lump((s * 50.0, 2.0, -82.0), (6.0, 14.0, 26.0), 2.0, 0.08), Tissue::CorticalBone); // mandible
            add(lump((s * 50.0, 2.0, -82.0), (4.0, 11.0, 23.0), 1.0, 0.08), Tissue::Marrow);
            add(lump((s * 34.0, 21.0, -42.0), (20.0, 9.0, 8.0), 1.0, 0.05), Tissue::CorticalBone); // petrous
            add(lump((s * 24.0, 18.0, -43.0), (7.0, 5.0, 4.0), 1.0, 0.10), Tissue::Marrow);
            add(lump((s * 18.0, -30.0, -18.5), (26.0, 34.0, 4.0), 0.6, 0.04), Tissue::CorticalBone); // orbital roof
        }
        add(lump((0.0, -2.0, -42.0), (21.0, 26.0, 14.0), 0.8, 0.04), Tissue::CorticalBone); // sphenoid and clivus
        add(lump((0.0, 6.0, -42.0), (12.0, 10.0, 11.0), 0.8, 0.06), Tissue::Marrow);
        add(lump((0.0, -48.0, -42.0), (15.5, 34.0, 22.0), 0.8, 0.04), Tissue::Mucosa); // ethmoid and nose
        add(lump((0.0, -62.0, -58.0), (15.0, 26.0, 14.0), 0.8, 0.04), Tissue::Mucosa);
        for s in [1.0, -1.0] {
            add(lump((s * 7.0, -46.0, -40.0), (5.0, 26.0, 14.0), 0.8, 0.08), Tissue::Air);
            add(lump((s * 7.0, -60.0, -58.0), (4.5, 28.0, 11.0), 0.8, 0.08), Tissue::Air);
            add(lump((s * 9.0, -58.0, -56.0), (2.5, 18.0, 4.0), 0.8, 0.10), Tissue::Mucosa); // concha
            add(lump((s * 27.0, -44.0, -62.0), (12.5, 15.0, 14.0), 1.2, 0.08), Tissue::Mucosa); // maxillary sinus
            add(lump((s * 27.0, -44.0, -62.0), (11.0, 13.5, 12.5), 0.5, 0.08), Tissue::Air);
            add(lump((s * 8.0, -15.0, -42.0), (7.0, 10.0, 8.0), 1.0, 0.12), Tissue::Air); // sphenoid sinus
            add(lump((s * 11.0, -74.0, -10.0), (9.0, 4.0, 9.0), 1.0, 0.18), Tissue::Air); // frontal sinus
        }
        add(lump((0.0, -8.0, -72.0), (11.0, 8.0, 24.0), 1.0, 0.10), Tissue::Air); // pharynx
        add(lump((0.0, -44.0, -92.0), (22.0, 30.0, 17.0), 2.0, 0.06), Tissue::Muscle); // tongue
        // Vertebrae around the canal, marrow in front of it.
        let bone = Tube::through(&[
            (Vec3::new(0.0, 33.0, -76.0), 17.0),
            (Vec3::new(0.0, 36.0, -110.0), 17.0),
            (Vec3::new(0.0, 38.0, -190.0), 17.0),
        ]);
        let body = Tube::through(&[
            (Vec3::new(0.0, 16.0, -68.0), 5.5),
            (Vec3::new(0.0, 20.0, -90.0), 9.0),
            (Vec3::new(0.0, 24.0, -190.0), 9.5),
        ]);
        parts.push((Shape::Pipe(bone), Tissue::CorticalBone));
        parts.push((Shape::Pipe(body), Tissue::Marrow));

        let waves = [Waves::new(rng, 30, 18.0, 40.0), Waves::new(rng, 30, 7.0, 16.0)];
        let skull_wave = Waves::new(rng, 10, 60.0, 120.0);
        let reach = thickness.csf + thickness.skull + thickness.fat + thickness.skin;
        let shells = Field::tabulate(REACH, 4.0, |q| {
            let hull = brain.hull(q);
            let vault = hull - reach - 0.8 * skull_wave.at(q);
            let mut skin = soft_union(vault, neck.distance(q), 22.0);
            for (lump, k) in skin_lumps.iter().zip([24.0, 20.0, 10.0, 12.0]) {
                skin = soft_union(skin, lump.distance(q), k);
            }
            for globe in globes {
                // Lids: the globe never looks out of the skin.
                skin = soft_union(skin, (q - globe).norm() - 14.8, 8.0);
            }
            for ear in &ears {
                skin = soft_union(skin, ear.distance(q), 5.0);
            }
            [skin as f32, hull as f32, waves[0].at(q) as f32, waves[1].at(q) as f32]
        });
        Self { thickness, shells, ears, parts, mastoids }
    }

    /// Distance from the brain's hull to the inner surface of the skull, mm.
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
        let &Thickness { csf, skull, fat, skin } = &self.thickness;
        scene.add(Tissue::Skin, REACH, |at| at.skin);
        let ears = self.ears;
        scene.add(Tissue::Fat, REACH, move |at| {
            let ear = ears.iter().map(|e| e.distance(at.q)).fold(f64::INFINITY, f64::min);
            (at.skin + skin).max(-ear)
        });
        // Below the fat: muscle with sheets of fat between its bellies.
        let deep = move |at: &Place| at.skin + skin + fat * (1.0 + 0.25 * at.slow);
        scene.add(Tissue::Muscle, REACH, deep);
        scene.add_rough(Tissue::Fat, REACH, f64::INFINITY, move |at| {
            ((at.fine * 0.6 + at.slow).abs() * 3.5 - 1.1).max(deep(at) + 1.0)
        });
        for (shape, tissue) in &self.parts {
            match shape {
                Shape::Lump(e) => {
                    let e = *e;
                    scene.add(*tissue, e.bounds(), move |at| e.distance(at.q));
                }
                Shape::Pipe(tube) => {
                    let tube = tube.clone();
                    scene.add(*tissue, tube.bounds(), move |at| tube.distance(at.q));
                }
            }
        }
        for cell in self.mastoids {
            scene.add(Tissue::CorticalBone, cell.bounds(), move |at| cell.distance(at.q));
            scene.add_rough(Tissue::Air, cell.bounds(), f64::INFINITY, move |at| {
                cell.distance(at.q).max(1.0 - 2.5 * at.fine)
            });
        }
        let vault = move |at: &Place| at.hull - csf - skull - 0.5 * at.slow;
        scene.add(Tissue::CorticalBone, REACH, vault);
        scene.add(Tissue::Marrow, REACH, move |at| (vault(at) + 1.7).max(1.6 - (at.hull - csf)));
        scene.add(Tissue::Csf, REACH, move |at| at.hull - csf);
        let canal = Bounds { lo: Vec3::new(-20.0, -10.0, -200.0), hi: Vec3::new(20.0, 80.0, -40.0) };
        let brain = Arc::clone(brain);
        scene.add(Tissue::Csf, canal, move |at| brain.cord(at.q) - 3.2);
    }
}
