//! The bony orbit: a pear-shaped cone with thin medial and thick lateral walls, filled with fat.

use crate::geometry::Vec3;
use crate::phantom::random::Rng;
use crate::phantom::scene::{Place, Scene};
use crate::phantom::shape::{Bounds, smooth_step, soft_union};
use crate::phantom::tissue::Tissue;

/// Cross-section of the orbit at a depth: medial and lateral wall from the midline, roof and floor, mm.
#[derive(Debug, Clone, Copy)]
struct Section {
    y: f64,
    medial: f64,
    lateral: f64,
    roof: f64,
    floor: f64,
}

/// Walls of one orbit.
#[derive(Debug, Clone)]
pub struct Socket {
    /// The annulus of Zinn, where muscles and the optic canal begin.
    pub apex: Vec3,
    side: f64,
    sections: [Section; 6],
    /// Where the medial border lies (y), and how far behind it the lateral one, mm.
    rim: (f64, f64),
    /// Thickness of the lateral wall and of the others, mm.
    walls: (f64, f64),
}

impl Socket {
    /// The walls around a globe on the side of sign `side`. Widths after anatomical means: entrance 40 x 35 mm, 45 mm deep,
    /// 24 mm between the medial walls, lateral wall at 45 degrees.
    pub fn new(rng: &mut Rng, side: f64, globe: Vec3) -> Self {
        let (dx, dy, dz) = (globe.x.abs() - 31.0, globe.y + 55.5, globe.z + 36.0);
        let medial = rng.near(12.2, 0.5) + 0.4 * dx;
        let tall = rng.near(1.0, 0.03);
        let table = [
            (-64.0, 0.8, 51.5, 16.4, -18.2),
            (-54.0, 0.3, 49.5, 16.4, -18.6),
            (-44.0, 0.0, 43.0, 15.2, -16.0),
            (-35.0, -0.3, 34.0, 13.4, -10.5),
            (-28.0, -0.4, 25.5, 11.8, -2.5),
            (-23.0, -0.2, 18.5, 10.5, 3.5),
        ];
        let sections = table.map(|(y, inward, lateral, roof, floor)| {
            // The apex stays where the skull is, the entrance goes with the globe.
            let share = smooth_step(23.0, 50.0, -y);
            Section {
                y: y + 0.4 * dy * share,
                medial: medial + inward,
                lateral: lateral + dx * share,
                roof: globe.z - dz * (1.0 - share) + roof * (1.0 + (tall - 1.0) * share),
                floor: globe.z - dz * (1.0 - share) + floor * (1.0 + (tall - 1.0) * share),
            }
        });
        let apex = Vec3::new(side * (medial + 3.0), -24.5, sections[5].roof - 3.4);
        let rim = (-62.0 + 0.5 * dy + rng.near(0.0, 0.8), rng.near(12.5, 1.0));
        Self { apex, side, sections, rim, walls: (rng.near(3.6, 0.5), rng.near(1.0, 0.2).max(0.6)) }
    }

    fn section(&self, y: f64) -> Section {
        let all = &self.sections;
        let n = all.iter().position(|s| s.y > y).unwrap_or(all.len() - 1).clamp(1, all.len() - 1);
        let (a, b) = (all[n - 1], all[n]);
        let t = ((y - a.y) / (b.y - a.y)).clamp(0.0, 1.0);
        let mix = |f: fn(Section) -> f64| f(a) + (f(b) - f(a)) * t;
        Section {
            y,
            medial: mix(|s| s.medial),
            lateral: mix(|s| s.lateral),
            roof: mix(|s| s.roof),
            floor: mix(|s| s.floor),
        }
    }

    /// A point `inside` mm within the wall, in the direction (u to the lateral, w up) from the middle of the section at y.
    pub fn wall(&self, y: f64, u: f64, w: f64, inside: f64) -> Vec3 {
        let s = self.section(y);
        let (half, tall) = (0.5 * (s.lateral - s.medial), 0.5 * (s.roof - s.floor));
        let k = 1.0 / rounded_square(u, w).max(1e-3);
        let back = |v: f64, r: f64| v * k * r - v * inside;
        let x = 0.5 * (s.lateral + s.medial) + back(u, half);
        Vec3::new(self.side * x, y, 0.5 * (s.roof + s.floor) + back(w, tall))
    }

    /// Distance to the walls (negative inside), and the direction from the axis: lateral positive, up positive.
    fn walls(&self, q: Vec3) -> (f64, f64, f64) {
        let s = self.section(q.y);
        let (half, tall) = (0.5 * (s.lateral - s.medial), 0.5 * (s.roof - s.floor));
        let (dx, dz) = (self.side * q.x - 0.5 * (s.lateral + s.medial), q.z - 0.5 * (s.roof + s.floor));
        let (u, w) = (dx / half, dz / tall);
        let k = rounded_square(u, w);
        let plain = u.hypot(w).max(1e-6);
        let radial = if k < 1e-3 { -half.min(tall) } else { dx.hypot(dz) * (1.0 - 1.0 / k) };
        // The slanting lateral wall is nearer than it is along x.
        let lateral = (u / plain).max(0.0);
        let slope = 1.0 - 0.27 * lateral * lateral * smooth_step(-54.0, -44.0, q.y);
        let last = self.sections[5].y + 2.0;
        (soft_overlap(radial * slope, q.y - last, 4.0), u / plain, w / plain)
    }

    /// Distance to the space within the walls, open to the front.
    #[inline]
    pub fn distance(&self, q: Vec3) -> f64 {
        self.walls(q).0
    }

    /// How far in front of the border a point lies, mm: the lateral border stands back, the upper overhangs.
    fn before(&self, q: Vec3) -> f64 {
        let u = ((self.side * q.x - 12.0) / 38.0).clamp(-0.3, 1.3);
        self.rim.0 + self.rim.1 * u * u.abs() - q.y
    }

    /// Distance to what fills the orbit up to its border.
    pub fn filling(&self, q: Vec3) -> f64 {
        soft_overlap(self.distance(q), self.before(q) - 1.5, 6.0)
    }

    /// Box of the orbit with its walls.
    pub fn bounds(&self) -> Bounds {
        let (near, far) = (self.sections[5].medial.min(self.sections[0].medial) - 4.0, 60.0);
        let x = if self.side > 0.0 { (near, far) } else { (-far, -near) };
        let z =
            self.sections.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |z, s| (z.0.min(s.floor), z.1.max(s.roof)));
        Bounds { lo: Vec3::new(x.0, -68.0, z.0 - 5.0), hi: Vec3::new(x.1, self.sections[5].y + 5.0, z.1 + 5.0) }
    }

    /// Adds walls and fat.
    pub fn furnish(&self, scene: &mut Scene) {
        let bounds = self.bounds();
        let thickness = |this: &Self, u: f64, w: f64, before: f64| {
            let deep = smooth_step(28.0, 40.0, -before);
            let border = smooth_step(-9.0, -1.0, before) * smooth_step(-0.9, -0.2, u);
            let lateral = smooth_step(0.25, 0.8, u) * (1.0 - 0.7 * deep);
            let roof = smooth_step(0.5, 1.0, w) * 0.7;
            this.walls.1 + lateral * this.walls.0 + roof + 3.0 * border - 0.35 * smooth_step(0.3, 0.9, -u)
        };
        let bone = self.clone();
        scene.add(Tissue::CorticalBone, bounds, move |at| {
            let (d, u, w) = bone.walls(at.q);
            let before = bone.before(at.q);
            (d - thickness(&bone, u, w, before)).max(before)
        });
        let marrow = self.clone();
        scene.add(Tissue::Marrow, bounds, move |at| {
            let (d, u, w) = marrow.walls(at.q);
            let before = marrow.before(at.q);
            (d - thickness(&marrow, u, w, before) + 1.1).max(1.0 - d).max(before + 1.2)
        });
        let periosteum = self.clone();
        scene.add(Tissue::Fat, bounds, move |at| periosteum.filling(at.q));
        let septa = self.clone();
        let cover = move |at: &Place| septa.filling(at.q) + 0.5;
        scene.add_textured(Tissue::Skin, bounds, 0.0, cover, |at| at.fine.abs() * 5.0 + 0.25);
    }
}

/// What lies in both shapes, its edge rounded over about `k` mm.
fn soft_overlap(a: f64, b: f64, k: f64) -> f64 {
    -soft_union(-a, -b, k)
}

/// 1 on a superellipse of exponent 2.5 about the unit circle, in proportion to the distance from its middle.
fn rounded_square(u: f64, w: f64) -> f64 {
    let power = |v: f64| v * v * v.abs().sqrt();
    (power(u) + power(w)).powf(0.4)
}
