//! Sinuses of the dura and the large arteries.

use super::jitter_point;
use super::random::Rng;
use super::scene::Scene;
use super::shape::Tube;
use super::tissue::Tissue;
use crate::geometry::Vec3;

/// Adds the vessels of a seed.
pub fn furnish(rng: &mut Rng, scene: &mut Scene) {
    for vessel in vessels(rng) {
        scene.add(Tissue::Vessel, vessel.bounds(), move |at| vessel.distance(at.q));
    }
}

/// Sinuses of the dura and the large arteries.
fn vessels(rng: &mut Rng) -> Vec<Tube> {
    let mut pipe = |points: &[(f64, f64, f64, f64)]| {
        let width = rng.near(1.0, 0.12);
        let control: Vec<(Vec3, f64)> =
            points.iter().map(|&(x, y, z, r)| (jitter_point(rng, Vec3::new(x, y, z), 0.5), r * width)).collect();
        Tube::through(&control)
    };
    let mut all = vec![
        // Superior sagittal sinus, transverse sinuses, basilar artery.
        pipe(&[
            (0.0, -66.0, 34.0, 1.2),
            (0.0, -34.0, 61.0, 2.2),
            (0.0, 10.0, 70.5, 3.0),
            (0.0, 60.0, 61.0, 3.6),
            (0.0, 92.0, 32.0, 4.0),
            (0.0, 101.0, 2.0, 4.2),
        ]),
        pipe(&[(0.0, 36.0, -44.0, 1.4), (0.5, 10.0, -38.0, 1.7), (0.0, 6.0, -24.0, 1.7), (0.0, 7.5, -17.0, 1.5)]),
        pipe(&[(1.5, -8.0, -12.0, 1.1), (1.5, -33.0, -2.0, 1.1), (1.5, -38.0, 12.0, 1.0), (1.5, -20.0, 31.0, 0.8)]),
    ];
    for s in [1.0, -1.0] {
        all.push(pipe(&[
            (s * 4.0, 98.0, -6.0, 3.6),
            (s * 30.0, 88.0, -14.0, 3.4),
            (s * 54.0, 60.0, -22.0, 3.6),
            (s * 52.0, 40.0, -36.0, 4.0),
            (s * 34.0, 34.0, -62.0, 4.0),
            (s * 33.0, 20.0, -110.0, 5.0),
        ]));
        all.push(pipe(&[
            (s * 30.0, 12.0, -110.0, 2.6),
            (s * 25.0, 8.0, -56.0, 2.4),
            (s * 14.0, 4.0, -36.0, 2.3),
            (s * 13.0, -8.0, -31.0, 2.3),
            (s * 13.0, -11.0, -23.0, 2.2),
            (s * 12.0, -4.0, -15.0, 2.0),
            (s * 24.0, -6.0, -13.0, 1.5),
            (s * 38.0, -2.0, -8.0, 1.3),
        ]));
    }
    all
}
