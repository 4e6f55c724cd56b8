//! The neck: vertebrae and discs, bundles of muscle between planes of fat, throat, larynx, thyroid.

use super::bundles::{self, Muscle};
use super::parts::{Control, Kit};
use crate::phantom::tissue::Tissue;

/// Middle of each vertebral body from C3 to T1: y and z, mm.
const BODIES: [(f64, f64); 6] =
    [(20.5, -107.0), (20.5, -123.0), (20.5, -139.0), (21.5, -155.0), (23.0, -172.0), (25.0, -190.0)];

/// Oblique muscles under the skull, left side.
const OBLIQUE: [&[Control]; 2] = [
    &[(8.0, 60.0, -86.0, 5.0), (20.0, 52.0, -80.0, 7.5), (34.0, 36.0, -73.0, 5.0)],
    &[(7.0, 57.0, -84.0, 4.5), (12.0, 60.0, -72.0, 7.0), (16.0, 62.0, -60.0, 5.5)],
];

/// Muscles along the neck, left side, from the top down, and how flat each is.
const BUNDLES: [Muscle<'static>; 10] = [
    // Longus colli and capitis.
    (&[(6.0, 6.0, -60.0, 5.0), (8.0, 6.0, -90.0, 6.5), (9.0, 9.0, -130.0, 6.5), (10.0, 14.0, -198.0, 6.0)], 1.2),
    // Multifidus.
    (&[(9.0, 54.0, -92.0, 6.0), (11.0, 58.0, -130.0, 8.0), (12.0, 60.0, -198.0, 9.0)], 1.1),
    // Scalenes, levator of the scapula, longissimus.
    (&[(26.0, 22.0, -88.0, 4.0), (32.0, 20.0, -140.0, 9.0), (42.0, 14.0, -198.0, 11.0)], 1.1),
    (&[(30.0, 34.0, -76.0, 4.5), (37.0, 44.0, -120.0, 8.0), (48.0, 56.0, -198.0, 10.0)], 1.25),
    (&[(44.0, 44.0, -58.0, 4.0), (33.0, 50.0, -100.0, 7.0), (28.0, 56.0, -198.0, 8.5)], 1.2),
    // Semispinalis of the head, two bellies.
    (
        &[(10.0, 82.0, -48.0, 8.0), (11.0, 73.0, -90.0, 10.0), (13.0, 71.0, -140.0, 9.0), (14.0, 73.0, -198.0, 8.0)],
        1.15,
    ),
    (&[(24.0, 76.0, -48.0, 8.0), (27.0, 65.0, -90.0, 9.5), (25.0, 66.0, -140.0, 8.0), (24.0, 68.0, -198.0, 7.0)], 1.25),
    // Splenius.
    (&[(50.0, 52.0, -48.0, 5.0), (40.0, 66.0, -80.0, 7.0), (28.0, 77.0, -120.0, 6.0), (10.0, 82.0, -170.0, 4.0)], 1.9),
    // Trapezius.
    (&[(8.0, 94.0, -52.0, 3.0), (15.0, 86.0, -95.0, 4.5), (32.0, 80.0, -140.0, 6.5), (56.0, 66.0, -198.0, 10.0)], 2.2),
    // Sternocleidomastoid.
    (&[(59.0, 34.0, -50.0, 6.5), (56.0, 22.0, -85.0, 9.0), (47.0, 4.0, -130.0, 10.0), (30.0, -16.0, -198.0, 9.0)], 1.5),
];

/// Adds the neck.
pub fn furnish(kit: &mut Kit<'_>) {
    // What the bundles leave between them near the spine is small muscles.
    let core = kit.pipe(1.0, &[(0.0, 30.0, -66.0, 24.0), (0.0, 32.0, -110.0, 30.0), (0.0, 36.0, -198.0, 34.0)]);
    kit.muscle(&core);
    let nape = kit.pipe(1.0, &[(0.0, 62.0, -72.0, 20.0), (0.0, 60.0, -120.0, 22.0), (0.0, 62.0, -198.0, 26.0)]);
    kit.muscle(&nape);
    for s in [1.0, -1.0] {
        bundles::furnish(kit, s, &BUNDLES);
        for points in OBLIQUE {
            let belly = kit.pipe(s, points);
            kit.muscle(&belly);
        }
        // The posterior triangle's nodes.
        for _ in 0..4 {
            let (y, z) = (kit.rng.within(4.0, 36.0), kit.rng.within(-150.0, -80.0));
            let node = kit.lump(s, (46.0, y, z), (3.0, 3.0, 4.5));
            kit.add(&node, Tissue::Muscle);
        }
        let digastric = kit.pipe(s, &[(46.0, 30.0, -58.0, 3.5), (40.0, 8.0, -90.0, 4.5), (28.0, -14.0, -122.0, 3.0)]);
        kit.muscle(&digastric);
    }
    kit.stray = 0.6;
    spine(kit);
    throat(kit);
}

fn spine(kit: &mut Kit<'_>) {
    let wall = 1.0;
    for s in [1.0, -1.0] {
        let pillar = kit.pipe(s, &[(19.0, 28.0, -84.0, 6.5), (20.0, 31.0, -120.0, 7.0), (21.0, 35.0, -198.0, 7.5)]);
        kit.bone(&pillar, wall);
        let mass = kit.lump(s, (18.5, 22.0, -73.0), (9.0, 9.0, 7.0));
        kit.bone(&mass, wall);
        let wing = kit.pipe(s, &[(24.0, 22.0, -74.0, 4.0), (36.0, 24.0, -74.0, 3.2)]);
        kit.bone(&wing, wall);
    }
    // Atlas: arches before and behind the dens.
    let front = kit.pipe(1.0, &[(-15.0, 16.0, -72.0, 3.6), (0.0, 8.0, -71.0, 4.6), (15.0, 16.0, -72.0, 3.6)]);
    kit.bone(&front, wall);
    let back = [(-18.0, 30.0, -74.0, 3.4), (-13.0, 48.0, -75.0, 3.6), (0.0, 54.0, -76.0, 4.2)];
    let back = kit.pipe(1.0, &[back[0], back[1], back[2], (13.0, 48.0, -75.0, 3.6), (18.0, 30.0, -74.0, 3.4)]);
    kit.bone(&back, wall);
    // Axis.
    let axis = kit.block(1.0, (0.0, 18.5, -91.0), (11.0, 8.5, 8.0), 3.5);
    kit.bone(&axis, wall);
    let dens = kit.pipe(1.0, &[(0.0, 18.5, -88.0, 6.5), (0.0, 17.5, -78.0, 5.4), (0.0, 18.5, -68.0, 4.6)]);
    kit.bone(&dens, wall);
    arch(kit, 40.0, -91.0, 8.0, 66.0);
    let mut above = -99.0;
    for (n, (y, z)) in BODIES.into_iter().enumerate() {
        let half = 6.8 + 0.25 * n as f64;
        let body = kit.block(1.0, (0.0, y, z), (12.0 + 0.5 * n as f64, 9.0, half), 2.6);
        kit.bone(&body, 0.8);
        let middle = 0.5 * (above + z + half);
        let disc = kit.block(1.0, (0.0, y, middle), (10.5, 8.6, 2.3), 1.6);
        kit.add(&disc, Tissue::Cartilage);
        arch(kit, y + 21.0, z, 5.5, 66.0 + 3.0 * n as f64);
        above = z - half;
    }
}

/// The arch of a vertebra whose canal has its middle at `y`, with a spinous process that ends at `tip`.
fn arch(kit: &mut Kit<'_>, y: f64, z: f64, tall: f64, tip: f64) {
    for s in [1.0, -1.0] {
        let lamina = kit.slab(s, (18.0, y - 4.0, z), (1.0, y + 13.0, z - 4.0), 2.8, tall);
        kit.bone(&lamina, 1.0);
        let process = kit.pipe(s, &[(14.0, y - 12.0, z, 4.0), (27.0, y - 12.0, z - 2.0, 3.2)]);
        kit.bone(&process, 1.0);
    }
    let spine = kit.slab(1.0, (0.0, y + 10.0, z - 3.0), (0.0, tip, z - 10.0), 2.8, tall * 0.85);
    kit.bone(&spine, 1.2);
}

fn throat(kit: &mut Kit<'_>) {
    // Wall, mucosa and air of the pharynx, larynx and windpipe.
    let wide = kit.rng.near(1.0, 0.2).clamp(0.5, 1.5);
    let tube = kit.pipe(
        1.0,
        &[
            (0.0, -8.0, -66.0, 9.0 * wide.min(1.2)),
            (0.0, -5.0, -84.0, 8.0 * wide),
            (0.0, -4.0, -102.0, 7.0 * wide),
            (0.0, -7.0, -124.0, 8.5 * wide),
            (0.0, -9.0, -148.0, 5.0),
            (0.0, -5.0, -164.0, 7.5),
            (0.0, 0.0, -198.0, 8.5),
        ],
    );
    kit.grown(&tube, 6.0, Tissue::Muscle);
    let nasopharynx = kit.lump(1.0, (0.0, -9.0, -66.0), (14.0, 9.0, 12.0));
    kit.grown(&nasopharynx, 3.5, Tissue::Muscle);
    kit.grown(&nasopharynx, 1.8, Tissue::Mucosa);
    kit.grown(&tube, 2.0, Tissue::Mucosa);
    for s in [1.0, -1.0] {
        let tonsil = kit.lump(s, (13.0, -9.0, -98.0), (5.0, 7.0, 11.0));
        kit.add(&tonsil, Tissue::Mucosa);
        let cartilage = kit.slab(s, (9.0, -30.0, -146.0), (17.0, -4.0, -150.0), 2.4, 14.0);
        kit.grown(&cartilage, 2.0, Tissue::Muscle);
        kit.add(&cartilage, Tissue::Cartilage);
        let thyroid = kit.lump(s, (15.0, -10.0, -172.0), (8.0, 9.0, 19.0));
        kit.add(&thyroid, Tissue::Gland);
    }
    let adenoid_size = kit.rng.within(1.0, 6.0);
    let adenoid = kit.lump(1.0, (0.0, 0.0, -59.0), (11.0, adenoid_size, 9.0));
    kit.add(&nasopharynx, Tissue::Air);
    kit.add(&tube, Tissue::Air);
    kit.add(&adenoid, Tissue::Mucosa);
    let palate = kit.pipe(
        1.0,
        &[(0.0, -29.0, -83.0, 3.0), (0.0, -16.0, -87.0, 4.6), (0.0, -9.0, -97.0, 4.4), (0.0, -8.0, -106.0, 2.6)],
    );
    kit.grown(&palate, 1.2, Tissue::Mucosa);
    kit.add(&palate, Tissue::Muscle);
    for s in [1.0, -1.0] {
        let wing = kit.slab(s, (2.0, -20.0, -85.0), (14.0, -12.0, -93.0), 4.0, 7.0);
        kit.add(&wing, Tissue::Muscle);
    }
    let epiglottis = kit.slab(1.0, (0.0, -16.0, -134.0), (0.0, -12.0, -112.0), 8.0, 1.4);
    kit.grown(&epiglottis, 0.8, Tissue::Mucosa);
    kit.add(&epiglottis, Tissue::Cartilage);
    let hyoid = [(21.0, -8.0, -128.0, 2.2), (13.0, -28.0, -130.0, 2.8), (0.0, -33.0, -131.0, 4.0)];
    let hyoid = kit.pipe(1.0, &[hyoid[0], hyoid[1], hyoid[2], (-13.0, -28.0, -130.0, 2.8), (-21.0, -8.0, -128.0, 2.2)]);
    kit.bone(&hyoid, 1.2);
}
