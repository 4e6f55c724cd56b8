//! A brain made of the average of 152 adults (ICBM 152, see models/atlas), bent for each head and sharpened to one
//! person's cortex.
//!
//! Template space: LPS mm, origin at the anterior commissure. The average is about a tenth larger than a living adult's
//! brain and is scaled to it.

use super::atlas::Atlas;
use super::field::{Field, Waves};
use super::random::Rng;
use super::shape::{Bounds, Ellipsoid, Tube, smooth_step};
use super::tissue::Tissue;
use super::{Canvas, by_side, jitter_point, side_sign};
use crate::anatomy::Side;
use crate::geometry::Vec3;

/// Template mm per mm of the atlas.
const SCALE: f64 = 0.955;
/// The anterior commissure in atlas space.
const ORIGIN: Vec3 = Vec3::new(0.0, -3.0, -4.0);
/// Where the brain's stem ends and the cord begins (foramen magnum): z in template space.
const STEM_END: f64 = -62.0;
/// The box of the brain before it is bent.
const BOX: Bounds = Bounds { lo: Vec3::new(-70.0, -70.0, -68.0), hi: Vec3::new(70.0, 106.0, 84.0) };
/// No bend moves a point further than this along an axis, mm.
const FURTHEST: f64 = 7.0;
/// Stands for the distance to a part when the atlas is missing.
const FAR: f64 = 1000.0;

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
    atlas: Option<&'static Atlas>,
    /// From template to bent template, mm.
    bend: Field<3>,
    /// Distance to the walls of a folding field, and noise of short, middle and long waves.
    noise: Field<4>,
    sharp: Sharpness,
    /// Where nuclei lie among tracts and the maps are mixtures of both, not blurred borders.
    core: Ellipsoid,
    cord: Tube,
    choroid: [Tube; 2],
}

impl Average {
    /// The brain of a seed.
    pub fn new(rng: &mut Rng) -> Self {
        let atlas = Atlas::get();
        let bend = bend(rng, atlas);
        let (folds, fine) = (Waves::new(rng, 32, 13.0, 25.0), Waves::new(rng, 20, 5.0, 9.0));
        let (middle, slow) = (Waves::new(rng, 16, 9.0, 16.0), Waves::new(rng, 10, 30.0, 70.0));
        let noise = Field::tabulate(BOX, 2.0, |p| {
            let fold = folds.distance_to_zero(p).clamp(-9.0, 9.0);
            [fold as f32, fine.at(p) as f32, middle.at(p) as f32, slow.at(p) as f32]
        });
        let sharp = Sharpness {
            fluid: rng.near(0.56, 0.06),
            white: rng.near(0.50, 0.04),
            noise: [rng.within(0.04, 0.12), rng.within(0.05, 0.12)],
            folding: rng.within(0.25, 0.5),
            sulcus: rng.near(0.9, 0.25).max(0.4),
        };
        let sway = rng.near(0.0, 0.6);
        let lean = rng.near(0.0, 1.2);
        let cord = Tube::through(&[
            (Vec3::new(0.0, 48.4, -58.0), 6.2),
            (Vec3::new(sway, 48.6, -66.0), 6.2),
            (Vec3::new(sway, 47.5 + lean, -78.0), 5.9),
            (Vec3::new(sway, 44.5 + lean, -98.0), 5.8),
            (Vec3::new(0.0, 42.0 + lean, -122.0), 5.8),
            (Vec3::new(0.0, 42.0 + lean, -190.0), 5.8),
        ]);
        let plexus = rng.near(1.0, 0.25).max(0.3);
        let choroid = [Side::Left, Side::Right].map(|side| {
            let s = side_sign(side);
            let points = [(14.0, 25.0, 20.0, 0.9), (21.0, 36.0, 14.0, 1.8), (25.0, 41.5, 8.0, 2.6), (27.5, 38.0, 1.0, 1.6)];
            let control = points.map(|(x, y, z, r)| (jitter_point(rng, Vec3::new(s * x, y, z), 0.7), r * plexus));
            Tube::through(&control)
        });
        let core = Ellipsoid::new(Vec3::new(0.0, 8.0, 2.0), Vec3::new(31.0, 33.0, 24.0));
        Self { atlas, bend, noise, sharp, core, cord, choroid }
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
        match self.atlas {
            Some(atlas) if away < 2.0 * FURTHEST => self.surface_at(atlas, q, self.place(q)).max(away - FURTHEST),
            Some(_) => away - FURTHEST,
            None => self.core.distance(q),
        }
    }

    #[inline]
    fn surface_at(&self, atlas: &Atlas, q: Vec3, a: Vec3) -> f64 {
        let [surface, _] = atlas.depths(a);
        let surface = if surface > 12.0 { surface.max(atlas.hull(a)) } else { surface };
        let stem = if q.z < -30.0 { atlas.stem(a) } else { FAR };
        (surface.min(stem) * SCALE).max(STEM_END - q.z)
    }

    /// Smooth hull of cerebrum and cerebellum.
    pub fn hull(&self, q: Vec3) -> f64 {
        self.atlas.map_or_else(|| self.core.distance(q), |atlas| atlas.hull(self.place(q)) * SCALE - 0.5)
    }

    /// Spinal cord and medulla together, for the canal they lie in.
    pub fn cord(&self, q: Vec3) -> f64 {
        let medulla = if q.z < -44.0 { self.stem_free(q).max(STEM_END - 6.0 - q.z) } else { FAR };
        self.cord.distance(q).min(medulla)
    }

    /// The stem without its lower end.
    #[inline]
    fn stem_free(&self, q: Vec3) -> f64 {
        if q.x.abs() > 34.0 || !(-80.0..16.0).contains(&q.z) || !(-14.0..76.0).contains(&q.y) {
            return FAR;
        }
        self.atlas.map_or(FAR, |atlas| atlas.stem(self.place(q)) * SCALE)
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
        let Some(atlas) = self.atlas else { return FAR };
        let a = self.place(q);
        let free = atlas.hippocampus(a) * SCALE;
        if free > 2.0 {
            return free;
        }
        free.max(self.surface_at(atlas, q, a) + 0.6).max(1.0 - atlas.stem(a) * SCALE)
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
    pub fn paint(&self, q: Vec3, canvas: &mut impl Canvas) {
        if q.z < STEM_END + 8.0 {
            canvas.layer(Tissue::WhiteMatter, self.cord.distance(q));
        }
        let Some(atlas) = self.atlas.filter(|_| BOX.distance(q) < FURTHEST) else { return };
        let a = self.place(q);
        let surface = self.surface_at(atlas, q, a);
        if surface < 2.0 {
            self.paint_tissue(atlas, q, a, surface, canvas);
        }
    }

    #[inline]
    fn paint_tissue(&self, atlas: &Atlas, q: Vec3, a: Vec3, surface: f64, canvas: &mut impl Canvas) {
        let [fold, fine, middle, slow] = self.noise.at(q).map(f64::from);
        let [grey, white] = atlas.tissue(a);
        let [_, vents] = atlas.depths(a);
        let tissue = grey + white;
        canvas.shade(0.015 * fine + 0.01 * middle + 0.02 * slow);
        let stem = if q.z < 10.0 { self.stem_free(q) } else { FAR };
        // 1 in cortex, 0 among nuclei and in the stem, where a mixture is a mixture.
        let cortex = smooth_step(-3.0, 3.0, self.core.distance(q)) * smooth_step(-1.0, 3.0, stem);
        let depth = -surface;
        // What the average does not know, the folding field decides: near the surface, where no class is sure.
        let doubt = (2.2 * (1.0 - grey.max(white).max(1.0 - tissue))).clamp(0.0, 1.0) * cortex;
        let shallow = 1.0 - smooth_step(12.0, 14.0, depth);
        let wall = fold.abs() - self.sharp.sulcus;
        let fold_in = self.sharp.folding * doubt * shallow;
        let [fluid_noise, white_noise] = self.sharp.noise;
        let share = white / tissue.max(0.05);
        let white_at = share + cortex * (white_noise * (0.7 * middle + 0.5 * fine)) + fold_in * ((wall - 3.0) * 0.25).clamp(-1.0, 1.0);
        let fluid_at = tissue + cortex * fluid_noise * (0.6 * middle + 0.6 * fine) - fold_in * (1.0 - wall).clamp(0.0, 1.5);
        // Fractions sharpened to borders: by much in cortex, by little in the core.
        let gain = 1.25 + 3.25 * cortex;
        let white_part = 0.5 + (white_at - self.sharp.white) * gain;
        let fluid_part = 0.5 + (self.sharp.fluid - fluid_at) * 4.0;
        canvas.layer(Tissue::GreyMatter, surface);
        canvas.wash(Tissue::WhiteMatter, white_part);
        for side in [Side::Left, Side::Right] {
            let hippocampus = self.hippocampus(side, q);
            if hippocampus < 1.0 {
                canvas.wash(Tissue::GreyMatter, (0.3 - hippocampus).clamp(0.0, 0.75));
            }
        }
        canvas.wash(Tissue::Csf, fluid_part.min(0.5 - surface));
        if vents < 0.0 {
            let choroid = self.choroid.iter().map(|tube| tube.distance(q)).fold(FAR, f64::min);
            canvas.layer(Tissue::Choroid, choroid.max(vents + 0.5));
        }
        if a.x.abs() < 2.0 && depth > 0.0 {
            self.paint_falx(a, fluid_part, slow, canvas);
        }
    }

    /// The falx: a sheet in the cleft between the hemispheres, above the corpus callosum.
    fn paint_falx(&self, a: Vec3, fluid: f64, slow: f64, canvas: &mut impl Canvas) {
        let below = Ellipsoid::new(Vec3::new(0.0, 14.0, 0.0), Vec3::new(30.0, 58.0, 34.0)).distance(a);
        let sheet = (a.x + 0.3 * slow).abs() - 0.55;
        if below > 0.0 && a.z > -6.0 && fluid > 0.3 {
            canvas.layer(Tissue::Dura, sheet.max(-below));
        }
    }
}

/// A template point in atlas space.
#[inline]
fn in_atlas(q: Vec3) -> Vec3 {
    q * (1.0 / SCALE) + ORIGIN
}

/// The bend of a head's brain: waves, and the growth or shrinkage of ventricles and hippocampi.
fn bend(rng: &mut Rng, atlas: Option<&Atlas>) -> Field<3> {
    let broad: [Waves; 3] = std::array::from_fn(|_| Waves::new(rng, 10, 45.0, 85.0));
    let local: [Waves; 3] = std::array::from_fn(|_| Waves::new(rng, 14, 24.0, 42.0));
    let size = [rng.within(0.8, 1.5), rng.within(0.3, 0.6)];
    // Mostly narrow, in some wide; mm by which a wall moves outwards, left and right alike but for a little.
    let common = rng.near(0.3, 0.7) + if rng.chance(0.35) { rng.within(0.5, 3.0) } else { 0.0 };
    let ventricle = [common + rng.near(0.0, 0.35), common + rng.near(0.0, 0.35)];
    let common = rng.near(-0.25, 0.45);
    let hippocampus = [common + rng.near(0.0, 0.2), common + rng.near(0.0, 0.2)];
    Field::tabulate(BOX.grown(8.0), 3.0, |p| {
        let wave = |n: usize| size[0] * broad[n].at(p) + size[1] * local[n].at(p);
        let mut moved = Vec3::new(wave(0), wave(1), wave(2));
        if let Some(atlas) = atlas {
            let side = if p.x > 0.0 { Side::Left } else { Side::Right };
            moved = moved - growth(|a| atlas.depths(a)[1], p, 14.0) * *by_side(&ventricle, side);
            moved = moved - growth(|a| atlas.hippocampus(a), p, 6.0) * *by_side(&hippocampus, side);
        }
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
