//! A brain drawn by formulas: cerebrum with folded cortex, cerebellum, brainstem, ventricles, deep nuclei, hippocampi.
//!
//! Template space: LPS mm, origin at the anterior commissure, sizes of an average adult (brain about 138 x 172 x 134 mm).
//! The brain as radiotherapy contours it is the whole inside of its outer surface: sulci and ventricles belong to it.

use super::{FAR, OUTSIDE_HULL, STEM_END};
use crate::anatomy::Side;
use crate::geometry::Vec3;
use crate::phantom::field::{Field, Waves};
use crate::phantom::random::Rng;
use crate::phantom::shape::{Bounds, Ellipsoid, Tube, smooth_step, soft_union};
use crate::phantom::tissue::Tissue;
use crate::phantom::{Canvas, by_side, jitter_point, jitter_radii, side_sign};

/// One half of the cerebrum.
#[derive(Debug)]
struct Hemisphere {
    frontal: Ellipsoid,
    orbital: Ellipsoid,
    parietal: Ellipsoid,
    occipital: Ellipsoid,
    temporal: Ellipsoid,
    ventricle: Tube,
    temporal_horn: Tube,
    nuclei: [(Ellipsoid, Tissue); 5],
    hippocampus: Tube,
    cerebellum: Ellipsoid,
}

impl Hemisphere {
    fn new(rng: &mut Rng, side: Side) -> Self {
        let s = side_sign(side);
        let mut lump = |c: (f64, f64, f64), r: (f64, f64, f64), move_by: f64, grow: f64| {
            Ellipsoid::new(
                jitter_point(rng, Vec3::new(s * c.0, c.1, c.2), move_by),
                jitter_radii(rng, Vec3::new(r.0, r.1, r.2), grow),
            )
        };
        let frontal = lump((19.0, -24.0, 18.0), (43.0, 46.0, 38.0), 1.2, 0.02);
        let parietal = lump((21.0, 28.0, 20.0), (47.0, 50.0, 46.0), 1.2, 0.02);
        let orbital = lump((29.0, -36.0, -6.0), (24.0, 29.0, 13.0), 1.0, 0.04);
        let occipital = lump((19.0, 61.0, 6.0), (38.0, 39.0, 32.0), 1.5, 0.03);
        let cerebellum = lump((23.0, 61.0, -38.0), (29.0, 28.0, 22.0), 1.2, 0.03);
        let nuclei = [
            (lump((11.0, 18.0, 6.0), (8.5, 14.0, 8.5), 0.8, 0.06), Tissue::DeepGrey), // thalamus
            (lump((12.5, -13.0, 8.0), (5.0, 9.0, 9.0), 0.8, 0.08), Tissue::GreyMatter), // caudate head
            (lump((26.0, -3.0, 2.0), (5.0, 15.0, 8.5), 0.8, 0.06), Tissue::GreyMatter), // putamen
            (lump((19.5, 1.0, 0.0), (3.5, 9.0, 6.0), 0.6, 0.06), Tissue::DeepGrey),   // pallidum
            (lump((22.5, -3.0, -20.0), (8.0, 6.5, 7.0), 0.8, 0.06), Tissue::GreyMatter), // amygdala
        ];
        let temporal = {
            let centre = jitter_point(rng, Vec3::new(s * 43.0, 13.0, -24.0), 1.2);
            let radii = jitter_radii(rng, Vec3::new(22.0, 40.0, 19.0), 0.03);
            // The pole lies lower and nearer to the midline than the back of the lobe.
            let tilt = Vec3::new(-s * 0.12, -1.0, rng.near(-0.22, 0.04));
            Ellipsoid::along(centre, radii, tilt.unit().unwrap_or(Vec3::new(0.0, -1.0, 0.0)))
        };
        let ventricle_width = rng.near(1.0, 0.22).max(0.5);
        // A tube moved as a whole, and bent by a part of that.
        let tube = |rng: &mut Rng, points: &[(f64, f64, f64, f64)], move_by: f64, bend: f64, width: f64| {
            let shift = jitter_point(rng, Vec3::new(0.0, 0.0, 0.0), move_by);
            let control: Vec<(Vec3, f64)> = points
                .iter()
                .map(|&(x, y, z, r)| (jitter_point(rng, Vec3::new(s * x, y, z) + shift, move_by * bend), r * width))
                .collect();
            Tube::through(&control)
        };
        let ventricle = tube(
            rng,
            &[
                (7.0, -26.0, 6.0, 3.2),
                (8.5, -14.0, 11.0, 4.2),
                (10.0, 8.0, 20.0, 4.6),
                (16.0, 28.0, 19.0, 5.0),
                (25.0, 40.0, 11.0, 6.2),
                (24.0, 56.0, 6.0, 3.2),
                (21.0, 66.0, 5.0, 1.6),
            ],
            0.8,
            0.3,
            ventricle_width,
        );
        let temporal_horn = tube(
            rng,
            &[(27.0, 40.0, 6.0, 4.0), (34.0, 28.0, -10.0, 2.2), (33.5, 12.0, -19.0, 1.7), (29.0, 2.0, -23.0, 1.3)],
            0.5,
            0.3,
            ventricle_width,
        );
        let thickness = 1.0 + 0.07 * rng.near(0.0, 1.0);
        let hippocampus = tube(
            rng,
            &[
                (22.0, 5.0, -21.0, 5.2),
                (25.5, 10.0, -19.5, 6.0),
                (28.5, 19.0, -16.0, 5.0),
                (29.0, 27.0, -11.0, 4.3),
                (25.5, 34.0, -5.0, 3.5),
                (21.5, 37.5, -0.5, 2.4),
            ],
            1.0,
            0.4,
            thickness,
        );
        Self {
            frontal,
            orbital,
            parietal,
            occipital,
            temporal,
            ventricle,
            temporal_horn,
            nuclei,
            hippocampus,
            cerebellum,
        }
    }

    /// Distances to the upper lobes together and to the temporal lobe.
    #[inline]
    fn lobes(&self, q: Vec3) -> (f64, f64) {
        let upper = soft_union(
            soft_union(
                soft_union(self.frontal.distance(q), self.orbital.distance(q), 8.0),
                self.parietal.distance(q),
                12.0,
            ),
            self.occipital.distance(q),
            12.0,
        );
        (upper, self.temporal.distance(q))
    }
}

/// Everything inside the outer surface of the brain.
#[derive(Debug)]
pub struct Drawn {
    halves: [Hemisphere; 2],
    diencephalon: Ellipsoid,
    vermis: Ellipsoid,
    midbrain: Ellipsoid,
    pons: Ellipsoid,
    medulla: Tube,
    cord: Tube,
    /// Where the stem can show.
    by_stem: Bounds,
    fourth: Ellipsoid,
    third: Ellipsoid,
    callosum: (Vec3, Vec3, f64),
    folds: Field<3>,
    cortex: f64,
    sulcus: f64,
    folia: (Vec3, f64),
}

/// How well a point sits in the parts of the brain.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    /// Cerebrum (both hemispheres and what joins them).
    pub cerebrum: f64,
    /// Half the difference between upper and temporal lobes: 0 on the Sylvian fissure.
    sylvian: f64,
    /// Cerebellum.
    pub cerebellum: f64,
    /// Brainstem as delivered: midbrain, pons, medulla, without the fourth ventricle.
    pub stem: f64,
}

impl Envelope {
    /// Distance to the whole brain.
    pub fn brain(&self) -> f64 {
        self.cerebrum.min(self.cerebellum).min(self.stem)
    }
}

impl Drawn {
    /// The brain of a seed.
    pub fn new(rng: &mut Rng) -> Self {
        let halves = [Hemisphere::new(rng, Side::Left), Hemisphere::new(rng, Side::Right)];
        let mut middle = |c: (f64, f64, f64), r: (f64, f64, f64), move_by: f64, grow: f64| {
            let mut at = jitter_point(rng, Vec3::new(c.0, c.1, c.2), move_by);
            at.x *= 0.4;
            Ellipsoid::new(at, jitter_radii(rng, Vec3::new(r.0, r.1, r.2), grow))
        };
        let diencephalon = middle((0.0, 11.0, 2.0), (27.0, 23.0, 13.5), 0.6, 0.03);
        let vermis = middle((0.0, 58.0, -34.0), (14.0, 24.0, 22.0), 0.8, 0.04);
        let midbrain = middle((0.0, 19.0, -11.0), (16.5, 12.0, 10.5), 0.6, 0.04);
        let pons = middle((0.0, 21.5, -28.0), (18.0, 13.5, 14.5), 0.8, 0.05);
        let fourth = middle((0.0, 37.5, -34.0), (7.0, 4.0, 9.0), 0.5, 0.10);
        let third = middle((0.0, 13.0, 2.0), (2.2, 15.0, 9.5), 0.4, 0.15);
        let sway = rng.near(0.0, 0.8);
        let (lean, thick) = (rng.near(0.0, 1.5), rng.near(1.0, 0.06));
        let medulla = Tube::through(&[
            (Vec3::new(0.0, 24.0, -36.0), 10.0 * thick),
            (Vec3::new(sway, 28.0 + lean * 0.3, -46.0), 8.8 * thick),
            (Vec3::new(sway, 32.0 + lean * 0.6, -56.0), 7.2 * thick),
            (Vec3::new(sway, 35.5 + lean, -68.0), 6.3 * thick),
        ]);
        let cord = Tube::through(&[
            (Vec3::new(sway, 34.0 + lean, -60.0), 6.5 * thick),
            (Vec3::new(sway, 37.5 + lean, -80.0), 5.8),
            (Vec3::new(sway, 40.0 + lean, -110.0), 5.8),
            (Vec3::new(0.0, 42.0 + lean, -190.0), 5.8),
        ]);
        let callosum = (
            jitter_point(rng, Vec3::new(0.0, 9.0, 3.0), 1.0),
            jitter_radii(rng, Vec3::new(30.0, 36.0, 21.0), 0.04),
            rng.near(5.5, 0.8),
        );
        let folds = Waves::new(rng, 48, 15.0, 27.0);
        let detail = Waves::new(rng, 24, 5.0, 11.0);
        let slow = Waves::new(rng, 12, 30.0, 70.0);
        let reach = Bounds { lo: Vec3::new(-76.0, -80.0, -70.0), hi: Vec3::new(76.0, 106.0, 78.0) };
        let folds = Field::tabulate(reach, 2.2, |p| {
            [folds.distance_to_zero(p).clamp(-9.0, 9.0) as f32, detail.at(p) as f32, slow.at(p) as f32]
        });
        Self {
            halves,
            diencephalon,
            vermis,
            midbrain,
            pons,
            by_stem: midbrain.bounds().union(pons.bounds()).union(medulla.bounds()).grown(6.0),
            medulla,
            cord,
            fourth,
            third,
            callosum,
            folds,
            cortex: rng.near(2.9, 0.25),
            sulcus: rng.near(0.75, 0.3).max(0.2),
            folia: (jitter_point(rng, Vec3::new(0.0, 46.0, -34.0), 2.0), rng.near(4.2, 0.4)),
        }
    }

    /// Distances to the parts. Exact near their surfaces, lower bounds elsewhere.
    pub fn envelope(&self, q: Vec3) -> Envelope {
        let (mut upper, mut temporal) = (f64::INFINITY, f64::INFINITY);
        for (half, side) in self.halves.iter().zip([Side::Left, Side::Right]) {
            // A hemisphere reaches at most 28 mm across the midline.
            if q.x * side_sign(side) > -32.0 {
                let (u, t) = half.lobes(q);
                upper = if upper.is_finite() { soft_union(upper, u, 6.0) } else { u };
                temporal = temporal.min(t);
            }
        }
        let upper = soft_union(upper, self.diencephalon.distance(q), 5.0);
        Envelope {
            cerebrum: soft_union(upper, temporal, 3.0),
            sylvian: (upper - temporal) * 0.5,
            cerebellum: self.cerebellum(q),
            stem: self.stem(q),
        }
    }

    fn cerebellum(&self, q: Vec3) -> f64 {
        // Far from it any large distance will do.
        if q.z > 10.0 || q.y < 10.0 {
            return FAR;
        }
        self.cerebellar_lobes(q).max(-self.fourth.distance(q)).max(-self.stem(q))
    }

    fn cerebellar_lobes(&self, q: Vec3) -> f64 {
        let [left, right] = [0, 1].map(|n| self.halves[n].cerebellum.distance(q));
        soft_union(soft_union(left, right, 5.0), self.vermis.distance(q), 6.0)
    }

    /// Distance to the brainstem as delivered.
    pub fn stem(&self, q: Vec3) -> f64 {
        if q.x.abs() > 30.0 || q.z > 14.0 || q.z < STEM_END - 12.0 {
            return FAR;
        }
        let upper = soft_union(self.midbrain.distance(q), self.pons.distance(q), 5.0);
        let all = soft_union(upper, self.medulla.distance(q), 6.0);
        // The top follows the plane between midbrain and thalamus, the bottom that of the foramen magnum.
        let top = (q.z + 3.0) * 0.97 - (q.y - 19.0) * 0.24;
        all.max(top).max(STEM_END - q.z).max(-self.fourth.distance(q))
    }

    /// Smooth hull of cerebrum and cerebellum: what the dura follows.
    pub fn hull(&self, q: Vec3) -> f64 {
        let [(left, left_temporal), (right, right_temporal)] = [0, 1].map(|n| self.halves[n].lobes(q));
        let upper = soft_union(soft_union(left, right, 26.0), self.diencephalon.distance(q), 5.0);
        let cerebrum = soft_union(upper, left_temporal.min(right_temporal), 12.0);
        soft_union(cerebrum, self.cerebellar_lobes(q), 16.0)
    }

    /// Spinal cord and medulla together, for the canal they lie in.
    pub fn cord(&self, q: Vec3) -> f64 {
        self.cord.distance(q).min(self.medulla.distance(q))
    }

    /// The hippocampus of a side: always inside the brain.
    pub fn hippocampus(&self, side: Side, q: Vec3) -> f64 {
        let tube = by_side(&self.halves, side).hippocampus.distance(q);
        if tube > 2.0 { tube } else { within(tube, self.envelope(q)) }
    }

    /// Box of the hippocampus.
    pub fn hippocampus_bounds(&self, side: Side) -> Bounds {
        by_side(&self.halves, side).hippocampus.bounds()
    }

    /// Box of the brainstem.
    pub fn stem_bounds(&self) -> Bounds {
        let all = self.midbrain.bounds().union(self.pons.bounds()).union(self.medulla.bounds()).grown(2.0);
        Bounds { lo: Vec3::new(all.lo.x, all.lo.y, STEM_END), hi: all.hi }
    }

    /// Box of the whole brain.
    pub fn bounds(&self) -> Bounds {
        let lumps =
            self.halves.iter().flat_map(|h| [h.frontal, h.orbital, h.parietal, h.occipital, h.temporal, h.cerebellum]);
        lumps.map(|e| e.bounds()).fold(self.stem_bounds(), Bounds::union).grown(4.0)
    }

    /// Paints everything from the cerebrum's surface inward.
    pub fn paint(&self, q: Vec3, hull: f64, canvas: &mut impl Canvas) {
        canvas.layer(Tissue::WhiteMatter, self.cord.distance(q));
        // Most of a head is no brain, and the envelope is dear.
        if hull > OUTSIDE_HULL && !self.by_stem.holds(q) {
            return;
        }
        let e = self.envelope(q);
        if e.brain() > 2.0 {
            return;
        }
        let [fold, detail, slow] = self.folds.at(q).map(f64::from);
        canvas.shade(0.02 * detail + 0.03 * slow);
        if e.cerebrum < 2.0 {
            self.paint_cerebrum(q, e, fold, canvas);
        }
        if e.cerebellum < 2.0 {
            // Dura and cistern between the tentorium and the lobes above, then folia around a white core.
            canvas.layer(Tissue::Csf, e.cerebellum - 0.9);
            canvas.layer(Tissue::GreyMatter, e.cerebellum);
            let wave = ((q - self.folia.0).norm() + 1.3 * detail) * std::f64::consts::TAU / self.folia.1;
            canvas.layer(Tissue::Csf, (0.62 - wave.cos()).max(e.cerebellum).max(-e.cerebellum - 9.0) + 0.25);
            canvas.layer(Tissue::WhiteMatter, (e.cerebellum + 7.5 + 1.5 * detail).max(0.3 * wave.sin() - 0.2));
            canvas.layer(Tissue::WhiteMatter, e.cerebellum + 12.5 + detail);
        }
        let stem = soft_union(self.midbrain.distance(q), self.pons.distance(q), 5.0).min(self.medulla.distance(q));
        if stem < 2.0 {
            canvas.layer(Tissue::WhiteMatter, stem);
            // Tegmentum and the pontine nuclei are a little darker than tracts.
            canvas.layer(Tissue::DeepGrey, (stem + 3.0 + slow).max(3.0 - (q.y - 21.0).abs()) + 1.0);
        }
        canvas.layer(Tissue::Csf, self.fourth.distance(q));
        for side in [Side::Left, Side::Right] {
            let half = by_side(&self.halves, side);
            if q.x * side_sign(side) > 8.0 && q.y < 50.0 {
                let tube = half.hippocampus.distance(q);
                canvas.layer(Tissue::WhiteMatter, tube.max(e.cerebrum + 0.5) - 1.1);
                canvas.layer(Tissue::Csf, half.temporal_horn.distance(q));
                canvas.layer(Tissue::GreyMatter, within(tube, e));
            }
        }
    }

    fn paint_cerebrum(&self, q: Vec3, e: Envelope, fold: f64, canvas: &mut impl Canvas) {
        let depth = -e.cerebrum;
        canvas.layer(Tissue::GreyMatter, e.cerebrum);
        let (centre, radii, thickness) = self.callosum;
        let arc = Ellipsoid::new(centre, radii).distance(q);
        // Sulci: the zero surface of the folding field near the surface, the Sylvian fissure, the midline.
        let deep = smooth_step(13.0, 25.0, depth);
        let wall = fold.abs() + 14.0 * deep;
        let sylvian = e.sylvian.abs() + 8.0 * smooth_step(16.0, 24.0, depth);
        let midline = if arc > 0.0 && q.z > -12.0 { q.x.abs() } else { q.x.abs() + arc.min(0.0).abs().max(6.0) };
        let gap = self.sulcus + 0.9 * (1.0 - smooth_step(0.0, 6.0, depth));
        let cortex = (self.cortex - depth)
            .max(gap + self.cortex - wall)
            .max(1.0 + self.cortex - sylvian)
            .max(1.0 + self.cortex - midline);
        canvas.layer(Tissue::WhiteMatter, cortex);
        canvas.layer(Tissue::Csf, (wall - gap).min(sylvian - 1.1).min(midline - 0.9));
        if arc < thickness + 2.0 && q.x.abs() < 34.0 && q.z > -14.0 {
            canvas.layer(Tissue::WhiteMatter, (arc - thickness).abs().max(q.x.abs() - 18.0) - thickness * 0.5);
        }
        for half in &self.halves {
            // The nuclei lie within 36 mm of the midline and between these planes.
            if q.x.abs() < 36.0 && q.y.abs() < 38.0 && q.z.abs() < 32.0 {
                for (nucleus, tissue) in &half.nuclei {
                    canvas.layer(*tissue, nucleus.distance(q));
                }
            }
            canvas.layer(Tissue::Csf, half.ventricle.distance(q));
        }
        canvas.layer(Tissue::Csf, self.third.distance(q));
    }
}

/// What of a hippocampus' tube is the hippocampus: what lies in the brain and not in the stem.
fn within(tube: f64, e: Envelope) -> f64 {
    tube.max(e.brain() + 0.6).max(1.0 - e.stem)
}
