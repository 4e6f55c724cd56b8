//! A brain made of the average of 152 adults (ICBM 152, see models/atlas), bent for each head and sharpened to one
//! person's cortex.
//!
//! Template space: LPS mm, origin at the anterior commissure. The average is about a tenth larger than a living adult's
//! brain and is scaled to it.

use super::atlas::Atlas;
use super::{FAR, OUTSIDE_HULL, STEM_END};
use crate::anatomy::Side;
use crate::geometry::Vec3;
use crate::phantom::field::{Field, Waves};
use crate::phantom::random::Rng;
use crate::phantom::shape::{Bounds, Ellipsoid, Tube, smooth_step};
use crate::phantom::tissue::Tissue;
use crate::phantom::{Canvas, by_side, jitter_point, side_sign};

/// Template mm per mm of the atlas.
const SCALE: f64 = 0.93;
/// The anterior commissure in atlas space.
const ORIGIN: Vec3 = Vec3::new(0.0, -3.0, -4.0);
/// The box of the brain before it is bent.
const BOX: Bounds = Bounds { lo: Vec3::new(-70.0, -70.0, -68.0), hi: Vec3::new(70.0, 106.0, 84.0) };
/// No bend moves a point further than this along an axis, mm.
const FURTHEST: f64 = 7.0;
/// How much of the average hippocampus' rim is left to what surrounds it, mm: it is blurred outwards.
const SPARED: f64 = 0.2;

/// How the tissue maps are made into one person's.
#[derive(Debug)]
struct Sharpness {
    /// Fraction of tissue below which a place is fluid.
    fluid: f64,
    /// Share of white matter in tissue from which on a place is white.
    white: f64,
    /// How far noise shifts these two.
    noise: [f64; 2],
    /// How much the folding field says where the average does not know.
    folding: f64,
    /// Half width of its sulci, mm.
    sulcus: f64,
}

/// The average brain of a seed.
#[derive(Debug)]
pub struct Average {
    atlas: &'static Atlas,
    /// From template to bent template, mm.
    bend: Field<3>,
    /// Distance to the walls of a folding field, and noise of short, middle and long waves.
    noise: Field<4>,
    sharp: Sharpness,
    /// Where nuclei lie among tracts and the maps are mixtures of both, not blurred borders.
    core: Ellipsoid,
    /// Centre and distance of the leaves of the cerebellum.
    folia: (Vec3, f64),
    cord: Tube,
    choroid: [Tube; 2],
}

impl Average {
    /// The brain of a seed.
    pub fn new(rng: &mut Rng, atlas: &'static Atlas) -> Self {
        let bend = bend(rng, atlas);
        let (folds, fine) = (Waves::new(rng, 24, 16.0, 29.0), Waves::new(rng, 12, 5.5, 9.5));
        let (middle, slow) = (Waves::new(rng, 10, 9.0, 16.0), Waves::new(rng, 6, 30.0, 70.0));
        let noise = Field::tabulate(BOX, 2.2, |p| {
            let fold = folds.distance_to_zero(p).clamp(-9.0, 9.0);
            [fold as f32, fine.at(p) as f32, middle.at(p) as f32, slow.at(p) as f32]
        });
        let sharp = Sharpness {
            fluid: rng.near(0.56, 0.06),
            white: rng.near(0.45, 0.05),
            noise: [rng.within(0.02, 0.06), rng.within(0.05, 0.11)],
            folding: rng.within(0.4, 0.65),
            sulcus: rng.near(0.9, 0.25).max(0.4),
        };
        let sway = rng.near(0.0, 0.6);
        let lean = rng.near(0.0, 1.2);
        // The medulla is bent with the brain: the cord begins where it ends.
        let [x, y, _] = bend.at(Vec3::new(0.0, 48.5, STEM_END)).map(f64::from);
        let cord = Tube::through(&[
            (Vec3::new(-x, 48.2 - y, -57.0), 6.2),
            (Vec3::new(-x, 48.8 - y, -66.0), 6.2),
            (Vec3::new(sway - 0.5 * x, 47.5 + lean - 0.5 * y, -78.0), 5.9),
            (Vec3::new(sway, 44.5 + lean, -98.0), 5.8),
            (Vec3::new(0.0, 42.0 + lean, -122.0), 5.8),
            (Vec3::new(0.0, 42.0 + lean, -190.0), 5.8),
        ]);
        let plexus = rng.near(1.0, 0.25).max(0.3);
        let choroid = [Side::Left, Side::Right].map(|side| {
            let s = side_sign(side);
            let points =
                [(14.0, 25.0, 20.0, 0.9), (21.0, 36.0, 14.0, 1.8), (25.0, 41.5, 8.0, 2.6), (27.5, 38.0, 1.0, 1.6)];
            let control = points.map(|(x, y, z, r)| (jitter_point(rng, Vec3::new(s * x, y, z), 0.7), r * plexus));
            Tube::through(&control)
        });
        let core = Ellipsoid::new(Vec3::new(0.0, 8.0, 2.0), Vec3::new(31.0, 33.0, 24.0));
        let folia = (jitter_point(rng, Vec3::new(0.0, 44.0, -34.0), 2.0), rng.near(4.4, 0.4));
        Self { atlas, bend, noise, sharp, core, folia, cord, choroid }
    }

    /// The place of the average that a template point shows.
    #[inline]
    fn place(&self, q: Vec3) -> Vec3 {
        let [x, y, z] = self.bend.at(q).map(f64::from);
        in_atlas(q + Vec3::new(x, y, z))
    }

    /// Distance to the whole brain: sulci and ventricles belong to it.
    #[inline]
    pub fn surface(&self, q: Vec3) -> f64 {
        let away = BOX.distance(q);
        let least = away - FURTHEST;
        if away < 2.0 * FURTHEST { self.surface_at(q, self.place(q)).max(least) } else { least }
    }

    #[inline]
    fn surface_at(&self, q: Vec3, a: Vec3) -> f64 {
        let atlas = self.atlas;
        let [surface, ..] = atlas.depths(a);
        let surface = if surface > 12.0 { surface.max(atlas.hull(a)) } else { surface };
        let stem = if q.z < -30.0 { stem_near(atlas, q, a) } else { FAR };
        (surface * SCALE).min(stem).max(STEM_END - q.z)
    }

    /// Smooth hull of cerebrum and cerebellum.
    pub fn hull(&self, q: Vec3) -> f64 {
        self.atlas.hull(self.place(q)) * SCALE - 0.5
    }

    /// Spinal cord and medulla together, for the canal they lie in.
    pub fn cord(&self, q: Vec3) -> f64 {
        let medulla = if q.z < -44.0 { self.stem_free(q).max(STEM_END - 6.0 - q.z) } else { FAR };
        self.cord.distance(q).min(medulla)
    }

    /// The stem without its lower end.
    #[inline]
    fn stem_free(&self, q: Vec3) -> f64 {
        if stem_is_far(q) { FAR } else { stem_near(self.atlas, q, self.place(q)) }
    }

    /// Distance to the brainstem: midbrain, pons, medulla, without the fourth ventricle.
    #[inline]
    pub fn stem(&self, q: Vec3) -> f64 {
        let free = self.stem_free(q);
        // Never outside the brain: below z = -30 mm the surface takes it in, above it lies deep.
        if free > 3.0 { free } else { free.max(STEM_END - q.z).max(self.surface(q) + 1e-6) }
    }

    /// The hippocampus of a side: always inside the brain, never in the stem.
    #[inline]
    pub fn hippocampus(&self, side: Side, q: Vec3) -> f64 {
        if q.x * side_sign(side) < 2.0 || !self.hippocampus_bounds(side).grown(6.0).holds(q) {
            return FAR;
        }
        self.hippocampus_at(q, self.place(q))
    }

    #[inline]
    fn hippocampus_at(&self, q: Vec3, a: Vec3) -> f64 {
        let atlas = self.atlas;
        let free = (atlas.hippocampus(a) + SPARED) * SCALE;
        if free > 2.0 {
            return free;
        }
        free.max(self.surface_at(q, a) + 0.6).max(1.0 - stem_near(atlas, q, a))
    }

    /// Box of the hippocampus.
    pub fn hippocampus_bounds(&self, side: Side) -> Bounds {
        let (near, far) = (10.0 - FURTHEST, 40.0 + FURTHEST);
        let (lo, hi) = match side {
            Side::Left => (near, far),
            Side::Right => (-far, -near),
        };
        Bounds { lo: Vec3::new(lo, -2.0, -32.0), hi: Vec3::new(hi, 50.0, 16.0) }
    }

    /// Box of the brainstem.
    pub fn stem_bounds(&self) -> Bounds {
        Bounds { lo: Vec3::new(-28.0, 2.0, STEM_END), hi: Vec3::new(28.0, 66.0, 12.0) }
    }

    /// Box of the whole brain.
    pub fn bounds(&self) -> Bounds {
        BOX.grown(FURTHEST)
    }

    /// Paints everything from the surface of the brain inward.
    #[inline]
    pub fn paint(&self, q: Vec3, hull: f64, canvas: &mut impl Canvas) {
        if q.z < STEM_END + 8.0 {
            canvas.layer(Tissue::WhiteMatter, self.cord.distance(q));
        }
        if BOX.distance(q) >= FURTHEST || hull > OUTSIDE_HULL && stem_is_far(q) {
            return;
        }
        let a = self.place(q);
        let surface = self.surface_at(q, a);
        if surface < 2.0 {
            self.paint_tissue(q, a, surface, canvas);
        }
    }

    #[inline]
    fn paint_tissue(&self, q: Vec3, a: Vec3, surface: f64, canvas: &mut impl Canvas) {
        let atlas = self.atlas;
        let [fold, fine, middle, slow] = self.noise.at(q).map(f64::from);
        let [grey, white] = atlas.tissue(a);
        let [_, vents, cerebellum] = atlas.depths(a);
        let tissue = grey + white;
        canvas.shade(0.008 * fine + 0.01 * middle + 0.02 * slow);
        let stem = stem_near(atlas, q, a);
        // 1 in cortex, 0 among nuclei and in the stem, where a mixture is a mixture.
        let cortex = smooth_step(-3.0, 3.0, self.core.distance(q)) * smooth_step(-1.0, 3.0, stem);
        let depth = -surface;
        let [fluid_noise, white_noise] = self.sharp.noise;
        let mut white_at = white / tissue.max(0.05);
        let mut fluid_at = tissue;
        if cerebellum < 0.0 {
            // Folia: leaves between fissures, each with a white middle, near the surface only.
            let near = 1.0 - smooth_step(5.0, 11.0, -cerebellum);
            let radius = (q - self.folia.0).norm();
            let near = near * smooth_step(9.0, 18.0, radius);
            let wave = ((radius + 0.9 * middle) * std::f64::consts::TAU / self.folia.1).cos();
            white_at -= (0.32 * wave + 0.06 * fine) * near * cortex;
            fluid_at -= (wave - 0.5 + 0.12 * fine).max(0.0) * near * cortex;
        } else {
            // What the average does not know, the folding field decides: near the surface, where no class is sure.
            let doubt = (2.6 * (1.0 - grey.max(white).max(1.0 - tissue))).clamp(0.0, 1.0);
            // The insula beside the core is one smooth sheet.
            let outer = smooth_step(4.0, 12.0, self.core.distance(q)) * (1.0 - smooth_step(11.0, 14.0, depth));
            let fold_in = self.sharp.folding * doubt * cortex * outer;
            let wall = fold.abs() - self.sharp.sulcus;
            let ridge = ((wall - 2.6) * 0.5).clamp(-1.0, 1.0);
            white_at += fold_in * if ridge > 0.0 { ridge * smooth_step(2.0, 4.0, depth) } else { ridge };
            // No sulcus where none of the 152 has one.
            let open = 1.0 - smooth_step(0.86, 0.98, tissue);
            fluid_at -= 0.9 * open * fold_in * (1.2 - 1.6 * wall).clamp(0.0, 1.3);
            white_at += cortex * white_noise * (0.7 * middle + 0.5 * fine);
            fluid_at += cortex * fluid_noise * (0.7 * middle + 0.4 * fine);
        }
        // Fractions sharpened to borders: by much in cortex, by little in the core.
        let gain = 1.25 + 3.25 * cortex;
        let white_part = 0.5 + (white_at - self.sharp.white) * gain;
        let fluid_part = 0.5 + (self.sharp.fluid - fluid_at) * 4.0;
        canvas.layer(Tissue::GreyMatter, surface);
        canvas.wash(Tissue::WhiteMatter, white_part);
        if q.x.abs() > 2.0 && self.hippocampus_bounds(Side::Left).holds(Vec3::new(q.x.abs(), q.y, q.z)) {
            let hippocampus = self.hippocampus_at(q, a);
            canvas.wash(Tissue::GreyMatter, (0.3 - hippocampus).clamp(0.0, 0.75));
        }
        canvas.wash(Tissue::Csf, fluid_part.min(0.5 - surface));
        if vents < 0.0 {
            let choroid = self.choroid.iter().map(|tube| tube.distance(q)).fold(FAR, f64::min);
            canvas.layer(Tissue::Choroid, choroid.max(vents + 0.5));
        }
        if a.x.abs() < 3.0 && depth > 0.0 {
            paint_falx(a, slow, canvas);
        }
        // The tentorium: a sheet in the cleft over the cerebellum, from its edge beside the midbrain outwards.
        if cerebellum > -0.5
            && cerebellum < 3.0
            && stem > 8.0
            && depth > 2.0
            && q.y + q.x.abs() > 46.0
            && fluid_part > 0.3
        {
            canvas.layer(Tissue::Dura, (cerebellum - 0.9).abs() - 0.5);
        }
    }
}

/// The falx: a sheet in the cleft between the hemispheres, above the corpus callosum, with fluid on both sides.
fn paint_falx(a: Vec3, slow: f64, canvas: &mut impl Canvas) {
    let above = Ellipsoid::new(Vec3::new(0.0, 6.0, 0.0), Vec3::new(30.0, 50.0, 34.0)).distance(a).min(a.z + 6.0);
    if above > 0.0 {
        let sheet = (a.x + 0.3 * slow).abs();
        canvas.layer(Tissue::Csf, (sheet - 1.1).max(-above));
        canvas.layer(Tissue::Dura, (sheet - 0.5).max(1.0 - above));
    }
}

/// Whether a template point lies so far from the stem that it does not matter.
#[inline]
fn stem_is_far(q: Vec3) -> bool {
    q.x.abs() > 34.0 || !(-80.0..16.0).contains(&q.z) || !(-14.0..76.0).contains(&q.y)
}

/// Distance to the stem without its lower end, at a template point and its place in the atlas.
#[inline]
fn stem_near(atlas: &Atlas, q: Vec3, a: Vec3) -> f64 {
    if stem_is_far(q) { FAR } else { atlas.stem(a) * SCALE }
}

/// A template point in atlas space.
#[inline]
fn in_atlas(q: Vec3) -> Vec3 {
    q * (1.0 / SCALE) + ORIGIN
}

/// The bend of a head's brain: waves, and the growth or shrinkage of ventricles and hippocampi.
fn bend(rng: &mut Rng, atlas: &Atlas) -> Field<3> {
    let broad: [Waves; 3] = std::array::from_fn(|_| Waves::new(rng, 8, 48.0, 90.0));
    let local: [Waves; 3] = std::array::from_fn(|_| Waves::new(rng, 10, 26.0, 42.0));
    let size = [rng.within(0.8, 1.5), rng.within(0.2, 0.45)];
    // Mostly narrow, in some wide; mm by which a wall moves outwards, left and right alike but for a little.
    let common = rng.near(0.3, 0.7) + if rng.chance(0.35) { rng.within(0.5, 3.0) } else { 0.0 };
    let ventricle = [common + rng.near(0.0, 0.35), common + rng.near(0.0, 0.35)];
    let common = rng.near(-0.1, 0.22);
    let hippocampus = [common + rng.near(0.0, 0.08), common + rng.near(0.0, 0.08)];
    Field::tabulate(BOX.grown(8.0), 4.0, |p| {
        let wave = |n: usize| size[0] * broad[n].at(p) + size[1] * local[n].at(p);
        let mut moved = Vec3::new(wave(0), wave(1), wave(2));
        let side = if p.x > 0.0 { Side::Left } else { Side::Right };
        moved = moved - growth(|a| atlas.depths(a)[1], p, 14.0) * *by_side(&ventricle, side);
        moved = moved - growth(|a| atlas.hippocampus(a), p, 6.0) * *by_side(&hippocampus, side);
        moved.to_array().map(|v| v.clamp(-FURTHEST, FURTHEST) as f32)
    })
}

/// The outward direction of a shape at a template point, fading over `reach` mm outside of it.
fn growth(distance: impl Fn(Vec3) -> f64, p: Vec3, reach: f64) -> Vec3 {
    let a = in_atlas(p);
    let fade = 1.0 - smooth_step(0.0, reach, distance(a));
    if fade <= 0.0 {
        return Vec3::new(0.0, 0.0, 0.0);
    }
    let slope = |d: Vec3| (distance(a + d) - distance(a - d)) / 4.0;
    let [x, y, z] = [Vec3::new(2.0, 0.0, 0.0), Vec3::new(0.0, 2.0, 0.0), Vec3::new(0.0, 0.0, 2.0)].map(slope);
    Vec3::new(x, y, z) * fade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lattice(b: Bounds, step: f64) -> impl Iterator<Item = Vec3> {
        let n = (b.hi - b.lo).to_array().map(|v| (v / step) as usize + 1);
        (0..n[0] * n[1] * n[2]).map(move |i| {
            b.lo + Vec3::new((i % n[0]) as f64, (i / n[0] % n[1]) as f64, (i / (n[0] * n[1])) as f64) * step
        })
    }

    #[test]
    fn volumes_are_those_of_adults_and_structures_lie_in_the_brain() {
        for seed in [1, 2] {
            let brain = Average::new(&mut Rng::new(seed, "average brain"), Atlas::get().unwrap());
            let (mut whole, mut stem, mut hippocampi) = (0.0, 0.0, [0.0; 2]);
            for q in lattice(brain.bounds(), 2.5) {
                let (surface, s) = (brain.surface(q), brain.stem(q));
                let h = [brain.hippocampus(Side::Left, q), brain.hippocampus(Side::Right, q)];
                whole += f64::from(u8::from(surface < 0.0));
                stem += f64::from(u8::from(s < 0.0));
                assert!(s >= 0.0 || surface < 0.0 && brain.stem_bounds().holds(q), "stem {q:?} {s} {surface}");
                for (volume, (h, side)) in hippocampi.iter_mut().zip(h.into_iter().zip([Side::Left, Side::Right])) {
                    *volume += f64::from(u8::from(h < 0.0));
                    let inside = surface < 0.0 && s > 0.0 && brain.hippocampus_bounds(side).holds(q);
                    assert!(h >= 0.0 || inside, "hippocampus {q:?} {h} {surface} {s}");
                }
            }
            let cc = 2.5f64.powi(3) / 1000.0;
            assert!((1200.0..1800.0).contains(&(whole * cc)), "{}", whole * cc);
            assert!((22.0..35.0).contains(&(stem * cc)), "{}", stem * cc);
            assert!(hippocampi.iter().all(|v| (2.2..4.4).contains(&(v * cc))), "{:?}", hippocampi.map(|v| v * cc));
        }
    }

    #[test]
    fn sides_differ_and_a_seed_repeats() {
        let make = |seed| Average::new(&mut Rng::new(seed, "average brain"), Atlas::get().unwrap());
        let (a, b, c) = (make(5), make(5), make(6));
        let (mut sides, mut heads) = (0.0f64, 0.0f64);
        for q in lattice(a.hippocampus_bounds(Side::Left), 4.0) {
            assert_eq!(a.surface(q), b.surface(q));
            let mirrored = a.hippocampus(Side::Right, Vec3::new(-q.x, q.y, q.z));
            sides = sides.max((a.hippocampus(Side::Left, q) - mirrored).abs());
            heads = heads.max((a.hull(q) - c.hull(q)).abs());
        }
        assert!(sides > 0.3 && heads > 0.3, "{sides} {heads}");
    }
}
