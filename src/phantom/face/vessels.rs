//! Sinuses of the dura, veins, and the arteries of head and neck, each thin and tapering.

use super::MIDDLE;
use super::parts::Control;
use crate::geometry::Vec3;
use crate::phantom::brain::Brain;
use crate::phantom::jitter_point;
use crate::phantom::random::Rng;
use crate::phantom::scene::Scene;
use crate::phantom::shape::Tube;
use crate::phantom::tissue::Tissue;

/// Arteries of the left side.
const ARTERIES: [&[Control]; 13] = [
    // Common and internal carotid with its siphon.
    &[
        (27.0, 8.0, -198.0, 3.4),
        (29.0, 10.0, -130.0, 3.6),
        (27.0, 9.0, -100.0, 2.5),
        (25.0, 10.0, -72.0, 2.3),
        (24.0, 12.0, -54.0, 2.3),
        (21.0, 8.0, -44.0, 2.3),
        (14.5, 3.0, -40.0, 2.2),
        (13.0, 1.0, -33.0, 2.2),
        (13.0, -8.0, -31.0, 2.2),
        (13.0, -13.0, -27.0, 2.1),
        (13.0, -11.0, -23.0, 2.0),
        (12.0, -4.5, -19.5, 1.9),
        (12.5, -3.5, -15.0, 1.7),
    ],
    // Middle cerebral artery and branches in the Sylvian fissure.
    &[(12.5, -3.5, -15.0, 1.5), (20.0, -6.0, -13.0, 1.4), (30.0, -4.0, -12.0, 1.3), (37.0, 0.0, -9.0, 1.1)],
    &[(37.0, 0.0, -9.0, 1.0), (40.0, 9.0, -3.0, 0.9), (42.0, 22.0, 3.0, 0.8), (45.0, 36.0, 8.0, 0.6)],
    &[(37.0, 0.0, -9.0, 1.0), (40.0, -5.0, -1.0, 0.9), (42.0, -12.0, 7.0, 0.7), (47.0, -16.0, 14.0, 0.5)],
    &[(37.0, 0.0, -9.0, 0.9), (41.0, 4.0, 2.0, 0.8), (43.0, 10.0, 12.0, 0.6)],
    // Anterior cerebral artery.
    &[(12.5, -3.5, -15.0, 1.2), (7.0, -8.5, -13.5, 1.1), (1.8, -12.5, -11.0, 1.1)],
    &[
        (1.8, -12.5, -11.0, 1.1),
        (1.5, -22.0, -5.0, 1.0),
        (1.5, -34.0, 3.0, 1.0),
        (1.5, -34.0, 17.0, 0.9),
        (1.5, -20.0, 30.0, 0.8),
        (1.5, 4.0, 37.0, 0.7),
        (1.5, 26.0, 35.0, 0.5),
    ],
    // Posterior cerebral and superior cerebellar arteries.
    &[
        (0.0, 6.5, -16.0, 1.3),
        (8.0, 10.0, -15.0, 1.2),
        (17.0, 20.0, -14.0, 1.1),
        (18.0, 34.0, -9.0, 0.9),
        (16.0, 48.0, -4.0, 0.6),
    ],
    &[(0.0, 6.5, -19.0, 0.9), (10.0, 11.0, -19.0, 0.8), (20.0, 24.0, -19.0, 0.6)],
    // Vertebral artery, with its bend over the atlas.
    &[
        (20.0, 20.0, -198.0, 1.7),
        (20.0, 21.0, -140.0, 1.7),
        (20.0, 22.0, -96.0, 1.7),
        (25.0, 22.0, -78.0, 1.7),
        (24.0, 34.0, -69.0, 1.7),
        (13.0, 33.0, -64.0, 1.7),
        (8.0, 21.0, -56.0, 1.6),
        (1.5, 10.0, -45.0, 1.4),
    ],
    // External carotid to the temple; maxillary and facial arteries.
    &[
        (29.0, 8.0, -126.0, 2.0),
        (36.0, 4.0, -104.0, 1.8),
        (50.0, 5.0, -82.0, 1.6),
        (60.0, 9.0, -60.0, 1.3),
        (67.0, 8.0, -48.0, 1.1),
    ],
    &[(54.0, 6.0, -72.0, 1.1), (44.0, -8.0, -66.0, 1.0), (28.0, -20.0, -60.0, 0.8)],
    &[(30.0, 2.0, -116.0, 1.1), (46.0, -26.0, -120.0, 1.0), (36.0, -60.0, -98.0, 0.9), (18.0, -80.0, -70.0, 0.7)],
];

/// Veins of the left side that follow no hull.
const VEINS: [&[Control]; 5] = [
    &[(56.0, 10.0, -84.0, 2.2), (54.0, 12.0, -110.0, 1.9), (46.0, 6.0, -160.0, 1.8), (36.0, 4.0, -198.0, 2.0)], // external jugular
    &[(16.0, -78.0, -44.0, 0.9), (30.0, -64.0, -80.0, 1.2), (48.0, -26.0, -118.0, 1.4), (38.0, 2.0, -132.0, 1.6)], // facial
    &[(56.0, 6.0, -58.0, 1.5), (54.0, 4.0, -84.0, 2.0), (50.0, 4.0, -112.0, 2.0)], // retromandibular
    &[(1.5, -4.0, 6.0, 0.5), (1.8, 12.0, 11.0, 0.9), (1.2, 34.0, 8.0, 1.1)],       // internal cerebral
    &[(34.0, -20.0, -58.0, 0.9), (38.0, -12.0, -62.0, 1.2), (44.0, -4.0, -66.0, 0.9)], // pterygoid plexus
];

/// Where a ray out of the middle of the brain towards `aim` comes `out` mm out of the hull.
fn on_hull(brain: &Brain, aim: Vec3, out: f64) -> Vec3 {
    let ray = (aim - MIDDLE).unit().unwrap_or(Vec3::new(0.0, 0.0, 1.0));
    let (mut low, mut high) = (20.0, 140.0);
    for _ in 0..14 {
        let middle = 0.5 * (low + high);
        if brain.hull(MIDDLE + ray * middle) < out { low = middle } else { high = middle }
    }
    MIDDLE + ray * low
}

/// Adds the vessels of a seed around its brain.
pub fn furnish(rng: &mut Rng, brain: &Brain, scene: &mut Scene) {
    let girth = rng.near(1.0, 0.1);
    let mut pipe = |rng: &mut Rng, s: f64, points: &[Control], tissue: Tissue| {
        let width = girth * rng.near(1.0, 0.12);
        let control: Vec<(Vec3, f64)> =
            points.iter().map(|&(x, y, z, r)| (jitter_point(rng, Vec3::new(s * x, y, z), 0.5), r * width)).collect();
        let tube = Tube::through(&control);
        scene.add(tissue, tube.bounds(), move |at| tube.distance(at.q));
    };
    for s in [1.0, -1.0] {
        for points in ARTERIES {
            if rng.chance(0.94) {
                pipe(rng, s, points, Tissue::Vessel);
            }
        }
        for points in VEINS {
            if rng.chance(0.8) {
                pipe(rng, s, points, Tissue::Vein);
            }
        }
        if rng.chance(0.5) {
            pipe(rng, s, &[(11.5, -3.0, -17.0, 0.7), (9.0, 9.0, -15.5, 0.7)], Tissue::Vessel);
        }
    }
    let sway = rng.near(0.0, 1.5);
    let basilar = [
        (sway * 0.5, 10.5, -46.0, 1.5),
        (sway, 6.0, -35.0, 1.6),
        (sway * 0.5, 5.5, -24.0, 1.6),
        (0.0, 6.5, -16.0, 1.4),
    ];
    pipe(rng, 1.0, &basilar, Tissue::Vessel);
    dural(rng, brain, scene);
    superficial(rng, brain, scene);
}

/// Sinuses between brain and skull, and what they flow into.
fn dural(rng: &mut Rng, brain: &Brain, scene: &mut Scene) {
    let size = rng.near(1.0, 0.12);
    // Superior sagittal sinus: three-sided, its base on the skull, growing towards the back.
    let arc: Vec<(Vec3, f64)> = (0..10)
        .map(|n| {
            let t = f64::from(n) / 9.0;
            let (s, c) = (0.12 + t * 3.06).sin_cos();
            let at = on_hull(brain, MIDDLE + Vec3::new(rng.near(0.0, 0.006), -c, s), 1.2);
            (at, size * (1.3 + 2.4 * t))
        })
        .collect();
    let end = arc.last().map_or(MIDDLE, |(at, _)| *at);
    let sagittal = Tube::through(&arc);
    scene.add(Tissue::Vein, sagittal.bounds().grown(1.0), move |at| {
        let roof = at.q.x.abs() - 1.6 * size - 0.5 * (at.hull + 0.6);
        (sagittal.distance(at.q) - 0.5).max(roof)
    });
    let mut vein = |points: &[(Vec3, f64)]| {
        let tube = Tube::through(points);
        scene.add(Tissue::Vein, tube.bounds(), move |at| tube.distance(at.q));
    };
    // Great vein and straight sinus along the crest of the tentorium.
    let great = jitter_point(rng, Vec3::new(0.0, 38.0, 5.0), 0.5);
    let half = (great + end) * 0.5 + Vec3::new(0.0, 0.0, rng.near(2.0, 1.0));
    vein(&[(Vec3::new(0.0, 32.0, 8.0), 1.1), (great, 1.7), (half, 1.6 * size), (end, 2.2 * size)]);
    let main = if rng.chance(0.6) { -1.0 } else { 1.0 };
    for s in [1.0, -1.0] {
        let wide = size * if s == main { rng.within(0.95, 1.25) } else { rng.within(0.45, 1.0) };
        let mut points = vec![(end, 2.8 * wide)];
        for (x, y, z, r) in [
            (20.0, 92.0, -9.0, 2.7),
            (38.0, 80.0, -14.0, 2.9),
            (52.0, 62.0, -19.0, 3.1),
            (56.0, 46.0, -25.0, 3.3),
            (50.0, 38.0, -36.0, 3.5),
        ] {
            let aim = jitter_point(rng, Vec3::new(s * x, y, z), 1.0);
            points.push((on_hull(brain, aim, 1.6), r * wide));
        }
        for (x, y, z, r) in [
            (38.0, 34.0, -52.0, 3.6),
            (28.0, 24.0, -57.0, 3.8),
            (29.0, 18.0, -72.0, 3.6),
            (34.0, 15.0, -100.0, 4.4),
            (37.0, 12.0, -140.0, 5.0),
            (33.0, 4.0, -198.0, 5.4),
        ] {
            points.push((jitter_point(rng, Vec3::new(s * x, y, z), 0.7), r * wide));
        }
        vein(&points);
    }
}

/// Veins on the cortex that run to the sagittal sinus; vessels of the scalp.
fn superficial(rng: &mut Rng, brain: &Brain, scene: &mut Scene) {
    for s in [1.0, -1.0] {
        let count = 3 + (rng.unit() * 4.0) as usize;
        for _ in 0..count {
            let along = rng.within(0.9, 2.5);
            let (reach, slant) = (rng.within(0.4, 0.95), rng.near(0.0, 0.25));
            let thick = rng.within(0.6, 1.1);
            let points: Vec<(Vec3, f64)> = (0..5)
                .map(|n| {
                    let t = f64::from(n) / 4.0;
                    let (sin, cos) = (along + slant * t + rng.near(0.0, 0.03)).sin_cos();
                    let (side, up) = (0.05 + reach * t).sin_cos();
                    let aim = MIDDLE + Vec3::new(s * side, -cos * up, sin * up);
                    (on_hull(brain, aim, 0.4), thick * (1.0 - 0.5 * t))
                })
                .collect();
            let tube = Tube::through(&points);
            scene.add(Tissue::Vein, tube.bounds(), move |at| tube.distance(at.q));
        }
        // Temporal vessels in the fat of the scalp.
        for (y, z) in [(-30.0, 20.0), (30.0, 34.0)] {
            let over = rng.within(10.5, 13.0);
            let points: Vec<(Vec3, f64)> = (0..5)
                .map(|n| {
                    let t = f64::from(n) / 4.0;
                    let aim = Vec3::new(
                        s * (70.0 - 12.0 * t),
                        8.0 + (y - 8.0) * t * t + rng.near(0.0, 2.0),
                        -40.0 + (z + 40.0) * t,
                    );
                    (on_hull(brain, aim, over), 1.2 - 0.5 * t)
                })
                .collect();
            let tube = Tube::through(&points);
            scene.add(Tissue::Vessel, tube.bounds(), move |at| tube.distance(at.q).max(at.skin + 1.6));
        }
    }
}
