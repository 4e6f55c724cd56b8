//! Sphenoid bone with its sinus, sella turcica, clivus, pituitary gland, cavernous sinuses and the cisterns around them.

use std::sync::Arc;

use crate::geometry::Vec3;
use crate::phantom::jitter_point;
use crate::phantom::random::Rng;
use crate::phantom::scene::Scene;
use crate::phantom::shape::{Bounds, Ellipsoid, Tube, smooth_step, soft_union};
use crate::phantom::tissue::Tissue;

/// The sellar region of a head, template mm.
#[derive(Debug)]
pub struct Sella {
    /// Middle of the floor's fossa: the gland lies in a superellipsoid about it.
    centre: Vec3,
    /// Half width, half length, depth of the gland's bed.
    bed: Vec3,
    /// Top of the gland in the middle, and how much higher (positive) or lower its borders stand, mm.
    top: f64,
    rise: f64,
    slant: (f64, f64),
    posterior: Option<Ellipsoid>,
    stalk: Tube,
    bone: Bone,
    cavernous: [Ellipsoid; 2],
    caves: [Ellipsoid; 2],
    clinoids: Vec<Tube>,
    clinoid_marrow: f64,
    cisterns: [Tube; 2],
}

/// Body of the sphenoid bone and clivus: a profile in the median plane, (y, z), as broad as `half_width` says.
#[derive(Debug)]
struct Bone {
    profile: Vec<(f64, f64)>,
    middle: f64,
    broad: f64,
    shell: f64,
    sinus: Option<Sinus>,
}

#[derive(Debug, Clone)]
struct Sinus {
    front: f64,
    /// How far back the left and the right half reach.
    back: [f64; 2],
    floor: f64,
    /// Where the septum stands, how it slants (mm per mm up) and bends.
    septum: (f64, f64),
    mucosa: f64,
    /// Bone between the sinus and what lies around it.
    wall: f64,
    /// Of the waves in the walls.
    phase: f64,
}

impl Bone {
    fn half_width(&self, y: f64, z: f64) -> f64 {
        let front = 2.0 * (1.0 - smooth_step(-16.0, -10.0, y));
        self.broad + front + 3.5 * smooth_step(32.0, 38.0, -z)
    }

    fn distance(&self, q: Vec3) -> f64 {
        -soft_union(-polygon(&self.profile, q.y, q.z), self.half_width(q.y, q.z) - (q.x - self.middle).abs(), 3.0)
    }

    fn bounds(&self) -> Bounds {
        let reach = self.broad + 6.0;
        let start = Bounds {
            lo: Vec3::new(self.middle - reach, f64::INFINITY, f64::INFINITY),
            hi: Vec3::new(self.middle + reach, f64::NEG_INFINITY, f64::NEG_INFINITY),
        };
        self.profile.iter().fold(start, |b, (y, z)| Bounds {
            lo: Vec3::new(b.lo.x, b.lo.y.min(*y), b.lo.z.min(*z)),
            hi: Vec3::new(b.hi.x, b.hi.y.max(*y), b.hi.z.max(*z)),
        })
    }

    /// The sinus with its mucosa; its walls follow the bone's surfaces, so that the floor of the sella bulges into it.
    fn cavity(&self, sinus: &Sinus, q: Vec3) -> f64 {
        let left = q.x > sinus.septum.0 + sinus.septum.1 * (q.z + 34.0);
        let back = sinus.back[usize::from(!left)];
        let wave = 0.9 * (0.31 * q.y + 0.23 * q.x + sinus.phase).sin() * (0.27 * q.z + 2.0 * sinus.phase).sin();
        let ends = -soft_union(back - q.y, soft_union(q.y - sinus.front, q.z - sinus.floor, 5.0), 5.0);
        (-soft_union(-self.distance(q) - sinus.wall, -ends - wave, 5.0)).max(self.distance(q) + 0.6)
    }
}

/// Signed distance to a polygon (Quilez).
fn polygon(corners: &[(f64, f64)], y: f64, z: f64) -> f64 {
    let Some(mut from) = corners.last().copied() else { return f64::INFINITY };
    let (mut square, mut inside) = (f64::INFINITY, false);
    for &to in corners {
        let (ey, ez) = (from.0 - to.0, from.1 - to.1);
        let (wy, wz) = (y - to.0, z - to.1);
        let t = ((wy * ey + wz * ez) / (ey * ey + ez * ez).max(1e-9)).clamp(0.0, 1.0);
        square = square.min((wy - ey * t).powi(2) + (wz - ez * t).powi(2));
        if (to.1 > z) != (from.1 > z) && wy < ey * wz / ez {
            inside = !inside;
        }
        from = to;
    }
    if inside { -square.sqrt() } else { square.sqrt() }
}

impl Sella {
    /// The sella under a chiasm; `tuber` is where the stalk comes from.
    pub fn new(rng: &mut Rng, chiasm: Vec3, tuber: Vec3) -> Self {
        let centre = jitter_point(rng, Vec3::new(0.5 * chiasm.x, -4.0, -28.6), 0.6);
        let bed = Vec3::new(rng.near(6.5, 0.35), rng.near(4.9, 0.25), rng.near(5.0, 0.3));
        let empty = rng.chance(0.1);
        let height = if empty { rng.within(3.2, 3.8) } else { rng.near(5.3, 0.9).clamp(3.8, 7.0) };
        let rise = if empty {
            rng.within(1.5, 3.0)
        } else if rng.chance(0.5) {
            rng.within(0.4, 1.6)
        } else {
            rng.within(-1.8, -0.4)
        };
        let top = centre.z - bed.z + height - 0.35 * rise;
        let floor = centre.z - bed.z - 0.4;
        let (front, back) = (centre.y - bed.y - 0.5, centre.y + bed.y + 0.7);
        let posterior = rng.chance(0.72).then(|| {
            let at = Vec3::new(centre.x + rng.near(0.0, 0.8), centre.y + bed.y - 1.3, centre.z - bed.z + 0.55 * height);
            let radii = Vec3::new(rng.near(2.9, 0.5), rng.near(1.5, 0.25), (0.36 * height).clamp(1.3, 2.3));
            Ellipsoid::new(at, radii)
        });
        let foot = Vec3::new(centre.x + rng.near(0.0, 0.7), centre.y + rng.near(0.6, 0.5), top + 0.1);
        let bend = Vec3::new(rng.near(0.0, 0.5), rng.near(0.4, 0.4), 0.0);
        let width = rng.near(1.0, 0.12);
        let stalk = Tube::through(&[
            (tuber, 1.5 * width),
            (tuber + (foot - tuber) * 0.35 + bend, 1.15 * width),
            (tuber + (foot - tuber) * 0.75 + bend * 0.5, 0.9 * width),
            (foot - Vec3::new(0.0, 0.0, 0.8), 1.1 * width),
        ]);
        let planum = rng.near(-18.6, 0.5);
        let tuberculum = rng.near(-23.3, 0.7);
        let dorsum = rng.near(-23.0, 1.0);
        let thick = rng.near(2.6, 0.6).max(1.4);
        let basion = (rng.near(19.0, 1.0), rng.near(-60.0, 1.5));
        let bottom = rng.near(-46.5, 1.2);
        let front_wall = rng.near(-32.5, 0.8);
        let profile = vec![
            (front_wall, planum + 0.6),
            (front - 5.0, planum),
            (front - 3.0, planum - 0.8),
            (front - 0.6, tuberculum),
            (front, centre.z - 1.0),
            (front + 1.2, floor + 1.6),
            (front + 3.0, floor),
            (back - 3.0, floor),
            (back - 1.0, floor + 1.8),
            (back, centre.z + 1.0),
            (back - 0.5, dorsum),
            (back + thick * 0.7, dorsum - 0.3),
            (back + thick, dorsum - 4.0),
            (back + thick + 2.6, centre.z - 8.0),
            (basion.0, basion.1),
            (basion.0 - 6.0, basion.1 - 1.5),
            (-3.0, bottom - 4.0),
            (-8.0, bottom),
            (front_wall, bottom + 0.5),
        ];
        let middle = 0.5 * centre.x;
        let kind = rng.unit();
        let reach = match kind {
            v if v < 0.06 => None,
            v if v < 0.24 => Some(front - rng.within(1.0, 5.0)),
            v if v < 0.68 => Some(rng.within(front + 3.0, back + 1.0)),
            _ => Some(rng.within(back + 3.0, back + 9.0)),
        };
        let sinus = reach.map(|back| Sinus {
            front: front_wall + 0.8,
            back: [back - rng.within(0.0, 4.0) * rng.unit(), back - rng.within(0.0, 6.0) * rng.unit()],
            floor: bottom + rng.within(1.2, 3.5),
            septum: (middle + rng.near(0.0, 2.6), rng.near(0.0, 0.2)),
            wall: if rng.chance(0.6) { rng.within(0.7, 1.3) } else { rng.within(1.3, 2.8) },
            phase: rng.within(0.0, 6.0),
            mucosa: if rng.chance(0.08) { rng.within(2.5, 6.0) } else { rng.near(0.7, 0.35).max(0.25) },
        });
        let bone = Bone { profile, middle, broad: rng.near(9.6, 0.4), shell: rng.near(1.1, 0.25).max(0.6), sinus };
        let sides = [1.0, -1.0];
        let cavernous = sides.map(|s| {
            let at =
                Vec3::new(centre.x + s * (bed.x + rng.near(4.9, 0.4)), centre.y - 1.0, centre.z + rng.near(-0.2, 0.5));
            Ellipsoid::new(at, Vec3::new(rng.near(4.6, 0.4), rng.near(10.3, 0.8), rng.near(5.4, 0.5)))
        });
        let caves = sides.map(|s| {
            let at = jitter_point(rng, Vec3::new(s * 17.0, 9.0, -33.0), 0.7);
            Ellipsoid::new(at, Vec3::new(rng.near(2.6, 0.4), rng.near(4.5, 0.6), rng.near(2.6, 0.4)))
        });
        let mut clinoids = Vec::new();
        for s in sides {
            let tip = jitter_point(rng, Vec3::new(s * 13.2, front - 0.5, -20.0), 0.6);
            clinoids.push(Tube::through(&[
                (Vec3::new(s * 32.0, -24.0, -17.5), 1.6),
                (Vec3::new(s * 20.0, -20.0, -18.4), 2.0),
                (tip + Vec3::new(s * 1.2, -4.0, 0.6), 2.4),
                (tip, rng.near(1.7, 0.25)),
            ]));
            let corner = Vec3::new(middle + s * rng.near(7.0, 0.6), back + 0.8, dorsum - 0.2);
            clinoids.push(Tube::through(&[(corner - Vec3::new(s * 2.5, 0.0, 1.5), 1.8), (corner, 1.5)]));
        }
        let clinoid_marrow = if rng.chance(0.6) { rng.within(0.8, 1.2) } else { 9.0 };
        let behind = back + thick;
        let cisterns = [
            Tube::through(&[
                (Vec3::new(0.0, centre.y - 2.0, chiasm.z - 3.5), 9.0),
                (Vec3::new(0.0, behind + 2.0, chiasm.z - 3.0), 9.0),
                (Vec3::new(0.0, behind + 8.0, centre.z - 4.0), 10.0),
                (Vec3::new(0.0, basion.0 + 8.0, basion.1 + 4.0), 11.0),
            ]),
            Tube::through(&[
                (Vec3::new(13.0, centre.y - 1.0, chiasm.z - 1.5), 5.0),
                (Vec3::new(-13.0, centre.y - 1.0, chiasm.z - 1.5), 5.0),
            ]),
        ];
        let slant = (rng.near(0.0, 0.06), rng.near(0.05, 0.08));
        Self {
            centre,
            bed,
            top,
            rise,
            slant,
            posterior,
            stalk,
            bone,
            cavernous,
            caves,
            clinoids,
            clinoid_marrow,
            cisterns,
        }
    }

    /// The bed the gland lies in: a superellipsoid, flatter at its floor and sides than an ellipsoid.
    fn bed(&self, q: Vec3) -> f64 {
        let d = q - self.centre;
        let (u, v, w) = ((d.x / self.bed.x).abs(), (d.y / self.bed.y).abs(), (d.z / self.bed.z).abs());
        let power = |v: f64| v * v * v.sqrt();
        let k = (power(u) + power(v) + power(w)).powf(0.4);
        if k < 1e-6 { -self.bed.z.min(self.bed.y) } else { d.norm() * (1.0 - 1.0 / k) }
    }

    /// Distance to the gland: its bed, up to a top that is flat, hollow or domed.
    pub fn gland(&self, q: Vec3) -> f64 {
        let away = self.gland_bounds().distance(q);
        if away > 4.0 {
            return away;
        }
        let d = q - self.centre;
        let (u, v) = (d.x / self.bed.x, d.y / self.bed.y);
        let top = self.top + self.rise * (u * u + 0.6 * v * v).min(1.6) + self.slant.0 * d.x + self.slant.1 * d.y;
        self.bed(q).max((q.z - top) * 0.92)
    }

    /// Box of the gland.
    pub fn gland_bounds(&self) -> Bounds {
        Bounds::around(self.centre, self.bed)
    }

    /// Adds bone, sinus, veins and fluid: what the brain is painted over.
    pub fn furnish_under(self: &Arc<Self>, scene: &mut Scene) {
        for cistern in self.cisterns.clone() {
            scene.add(Tissue::Csf, cistern.bounds(), move |at| cistern.distance(at.q));
        }
        let bounds = self.bone.bounds();
        let whole = Arc::clone(self);
        scene.add(Tissue::CorticalBone, bounds, move |at| whole.bone.distance(at.q));
        let inner = Arc::clone(self);
        scene.add(Tissue::Marrow, bounds, move |at| inner.bone.distance(at.q) + inner.bone.shell);
        for clinoid in self.clinoids.clone() {
            let (bone, marrow) = (clinoid.clone(), self.clinoid_marrow);
            scene.add(Tissue::CorticalBone, clinoid.bounds(), move |at| bone.distance(at.q));
            if marrow < 2.0 {
                scene.add(Tissue::Marrow, clinoid.bounds(), move |at| clinoid.distance(at.q) + marrow);
            }
        }
        if let Some(sinus) = &self.bone.sinus {
            let back = sinus.back[0].max(sinus.back[1]);
            let reach = Bounds {
                lo: Vec3::new(bounds.lo.x, sinus.front, sinus.floor),
                hi: Vec3::new(bounds.hi.x, back, bounds.hi.z),
            };
            let (lining, cells) = (Arc::clone(self), sinus.clone());
            // Where bone meets the sinus its plate is seen as a dark line between marrow and mucosa.
            let (plate, walls) = (Arc::clone(self), sinus.clone());
            scene.add(Tissue::CorticalBone, reach.grown(1.0), move |at| plate.bone.cavity(&walls, at.q) - 0.7);
            scene.add(Tissue::Mucosa, reach, move |at| lining.bone.cavity(&cells, at.q));
            let (space, cells) = (Arc::clone(self), sinus.clone());
            scene.add_rough(Tissue::Air, reach, 1.5, move |at| {
                let q = at.q;
                let from_septum = (q.x - cells.septum.0 - cells.septum.1 * (q.z + 34.0) - 0.6 * at.slow).abs();
                let swelling = cells.mucosa * (1.0 + 0.4 * at.fine.clamp(-1.5, 1.5));
                (space.bone.cavity(&cells, q) + swelling).max(0.4 + 0.5 * swelling - from_septum)
            });
        }
        for (sinus, cave) in self.cavernous.into_iter().zip(self.caves) {
            scene.add_rough(Tissue::Dura, sinus.bounds().grown(0.6), 1.5, move |at| {
                sinus.distance(at.q) - 0.6 + 0.5 * at.fine.max(-0.8)
            });
            scene
                .add_rough(Tissue::Vein, sinus.bounds(), 1.5, move |at| sinus.distance(at.q) + 0.5 * at.fine.max(-0.8));
            scene.add(Tissue::Dura, cave.bounds().grown(0.6), move |at| cave.distance(at.q) - 0.6);
            scene.add(Tissue::Csf, cave.bounds(), move |at| cave.distance(at.q));
        }
        // The fossa above a low gland holds fluid.
        let fossa = Arc::clone(self);
        scene.add(Tissue::Csf, self.gland_bounds(), move |at| fossa.bed(at.q));
    }

    /// Adds stalk and gland with the dura around it, over the brain.
    pub fn furnish_over(self: &Arc<Self>, scene: &mut Scene) {
        let dura = Arc::clone(self);
        let bounds = self.gland_bounds();
        scene.add(Tissue::Dura, bounds.grown(0.5), move |at| dura.gland(at.q) - 0.5);
        let stalk = self.stalk.clone();
        scene.add(Tissue::Pituitary, stalk.bounds(), move |at| stalk.distance(at.q));
        let gland = Arc::clone(self);
        scene.add(Tissue::Pituitary, bounds, move |at| gland.gland(at.q));
        if let Some(lobe) = self.posterior {
            let gland = Arc::clone(self);
            scene.add(Tissue::NeuroHypophysis, lobe.bounds(), move |at| lobe.distance(at.q).max(gland.gland(at.q)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polygon_has_an_inside() {
        let corners = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (5.0, 2.0), (0.0, 10.0)];
        assert!((polygon(&corners, 5.0, 1.0) + 1.0).abs() < 1e-9);
        assert!((polygon(&corners, 5.0, -3.0) - 3.0).abs() < 1e-9);
        assert!(polygon(&corners, 5.0, 8.0) > 1.0);
    }

    #[test]
    fn the_gland_lies_in_its_fossa_clear_of_bone() {
        for seed in 0..40 {
            let chiasm = Vec3::new(0.0, -5.0, -15.6);
            let sella = Sella::new(&mut Rng::new(seed, "sella"), chiasm, chiasm + Vec3::new(0.0, 4.0, 2.0));
            let b = sella.gland_bounds();
            let side = |n: usize, lo: f64, hi: f64| lo + (hi - lo) * n as f64 / 12.0;
            for n in 0..13usize.pow(3) {
                let q = Vec3::new(
                    side(n % 13, b.lo.x, b.hi.x),
                    side(n / 13 % 13, b.lo.y, b.hi.y),
                    side(n / 169, b.lo.z, b.hi.z),
                );
                assert!(sella.gland(q) > 0.0 || sella.bone.distance(q) > -0.8, "seed {seed}: bone in the gland");
            }
        }
    }
}
