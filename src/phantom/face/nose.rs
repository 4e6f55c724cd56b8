//! Nose and sinuses: cavity with septum and turbinates, ethmoid cells, maxillary sinuses.

use super::parts::{Kit, Shape};
use crate::geometry::Vec3;
use crate::phantom::shape::Tube;
use crate::phantom::tissue::Tissue;

/// Adds nose and sinuses.
pub fn furnish(kit: &mut Kit<'_>) {
    cavity(kit);
    ethmoid(kit);
    for s in [1.0, -1.0] {
        maxillary(kit, s);
    }
    septum(kit);
    outside(kit);
}

fn cavity(kit: &mut Kit<'_>) {
    let swollen = kit.rng.within(-0.6, 1.4);
    for s in [1.0, -1.0] {
        let lower = kit.lump(s, (6.5, -48.0, -65.0), (9.5, 38.0, 18.0));
        let upper = kit.lump(s, (3.2, -45.0, -44.0), (4.0, 28.0, 18.5));
        kit.grown(&lower, 2.2, Tissue::CorticalBone);
        kit.grown(&lower, 1.0, Tissue::Mucosa);
        kit.grown(&upper, 0.8, Tissue::Mucosa);
        let mid = kit.rng.near(swollen, 0.5);
        kit.grown(&lower, -0.9 - 0.4 * mid.max(0.0), Tissue::Air);
        kit.grown(&upper, -1.2, Tissue::Air);
        // Turbinates: lower, middle and upper, each with a leaf of bone.
        let low = kit.pipe(
            s,
            &[(10.0, -78.0, -71.0, 3.2), (9.5, -64.0, -72.0, 4.8), (9.5, -40.0, -72.0, 4.6), (9.5, -20.0, -70.0, 3.0)],
        );
        let stem = kit.slab(s, (14.5, -48.0, -65.0), (11.0, -48.0, -70.0), 2.2, 26.0);
        let middle = kit.pipe(s, &[(7.5, -70.0, -55.0, 2.0), (8.0, -54.0, -57.0, 3.4), (7.5, -28.0, -57.0, 2.6)]);
        let sheet = kit.slab(s, (6.5, -48.0, -42.0), (8.0, -48.0, -57.0), 1.6, 20.0);
        let high = kit.pipe(s, &[(5.0, -46.0, -45.0, 1.8), (5.0, -26.0, -48.0, 2.2)]);
        kit.grown(&low, 0.6 * mid, Tissue::Mucosa);
        kit.add(&stem, Tissue::Mucosa);
        kit.grown(&middle, 0.4 * mid, Tissue::Mucosa);
        kit.add(&sheet, Tissue::Mucosa);
        kit.add(&high, Tissue::Mucosa);
        kit.grown(&low, -3.6, Tissue::CorticalBone);
        kit.grown(&middle, -2.4, Tissue::CorticalBone);
        // The way to the throat.
        let choana = kit.lump(s, (6.5, -18.0, -67.0), (5.5, 12.0, 9.0));
        kit.grown(&choana, 1.0, Tissue::Mucosa);
        kit.add(&choana, Tissue::Air);
    }
}

fn septum(kit: &mut Kit<'_>) {
    let plate = kit.lump(1.0, (0.0, -46.0, -57.0), (2.4, 34.0, 27.0));
    let lean = kit.rng.near(0.0, 2.0);
    let front = kit.lump(1.0, (0.0, -82.0, -66.0), (2.2, 14.0, 11.0));
    let bent = move |shape: &Shape, q: Vec3| {
        let away = lean * (-((q.y + 55.0) / 20.0).powi(2) - ((q.z + 62.0) / 10.0).powi(2)).exp();
        shape.distance(Vec3::new(q.x - away, q.y, q.z))
    };
    let bounds = plate.bounds().union(front.bounds()).grown(6.0);
    let (both, depth) = ((plate, front), kit.depth);
    let other = both.clone();
    kit.scene.add(Tissue::Mucosa, bounds, move |at| bent(&both.0, at.q).min(bent(&both.1, at.q)).max(at.skin + depth));
    kit.scene.add(Tissue::Cartilage, bounds, move |at| {
        (bent(&other.0, at.q).min(bent(&other.1, at.q)) + 1.1).max(at.skin + depth)
    });
}

fn ethmoid(kit: &mut Kit<'_>) {
    for s in [1.0, -1.0] {
        let block = kit.block(s, (8.6, -41.0, -34.0), (4.4, 24.0, 12.5), 3.0);
        kit.grown(&block, 0.8, Tissue::CorticalBone);
        kit.add(&block, Tissue::Mucosa);
        let sick = if kit.rng.chance(0.2) { 0.4 } else { 0.06 };
        let rows = 4 + usize::from(kit.rng.chance(0.5));
        for row in 0..rows {
            let step = 44.0 / rows as f64;
            for z in [-27.0, -34.0, -41.5] {
                if kit.rng.chance(sick) {
                    continue;
                }
                let y = -63.0 + step * (row as f64 + 0.5) + kit.rng.near(0.0, 0.8);
                let z = z + kit.rng.near(0.0, 0.6);
                let cell = kit.block(s, (8.4, y, z), (3.7, step * 0.45, 3.3), 2.0);
                kit.add(&cell, Tissue::Air);
            }
        }
    }
}

fn maxillary(kit: &mut Kit<'_>, s: f64) {
    let size = kit.rng.near(1.0, 0.07);
    let room = kit.block(s, (28.0, -45.0, -67.0), (13.5 * size, 17.0 * size, 16.5 * size), 11.0);
    kit.grown(&room, 1.4, Tissue::CorticalBone);
    let thick = if kit.rng.chance(0.25) { kit.rng.within(2.0, 6.0) } else { kit.rng.within(0.5, 1.6) };
    kit.add(&room, Tissue::Mucosa);
    let lining = {
        let (room, patchy) = (room.clone(), kit.rng.within(0.2, 0.45) * thick);
        move |q: Vec3, slow: f64| room.distance(q) + (thick + patchy * slow).max(0.5)
    };
    let bounds = room.bounds();
    let open = lining.clone();
    kit.scene.add_rough(Tissue::Air, bounds, 2.0, move |at| open(at.q, at.slow));
    if kit.rng.chance(0.12) {
        // Fluid stands at a level: the patient lies on the back.
        let level = kit.rng.within(-46.0, -34.0);
        kit.scene.add_rough(Tissue::Necrosis, bounds, 2.0, move |at| lining(at.q, at.slow).max(level - at.q.y));
    }
    if kit.rng.chance(0.2) {
        let r = kit.rng.within(4.0, 8.0);
        let cyst = kit.lump(s, (30.0, -42.0, -82.0 + r), (r, r, r));
        let (inside, whole) = (room.clone(), cyst.clone());
        kit.scene.add(Tissue::Mucosa, cyst.bounds(), move |at| whole.distance(at.q).max(inside.distance(at.q)));
        kit.scene
            .add(Tissue::Necrosis, cyst.bounds(), move |at| (cyst.distance(at.q) + 1.0).max(room.distance(at.q) + 1.0));
    }
}

fn outside(kit: &mut Kit<'_>) {
    // Nasal bones, cartilages of the tip, nostrils.
    for s in [1.0, -1.0] {
        let bone = kit.slab(s, (4.0, -74.0, -34.0), (4.5, -88.0, -50.0), 2.4, 1.6);
        kit.add(&bone, Tissue::CorticalBone);
        let wing = kit.slab(s, (5.0, -90.0, -58.0), (7.0, -100.0, -68.0), 1.3, 5.0);
        kit.add(&wing, Tissue::Cartilage);
        let vestibule = [(6.5, -74.0, -66.0, 4.2), (6.5, -86.0, -66.0, 4.2), (7.0, -92.0, -71.0, 3.8)];
        let vestibule = kit.pipe(s, &vestibule);
        kit.grown(&vestibule, 1.2, Tissue::Mucosa);
        kit.add(&vestibule, Tissue::Air);
        // The opening goes through the skin.
        let open = Tube::through(&[
            (Vec3::new(s * 6.8, -90.0, -69.0), 3.6),
            (Vec3::new(s * 7.0, -94.0, -76.0), 3.8),
            (Vec3::new(s * 7.0, -96.0, -84.0), 4.0),
        ]);
        kit.scene.add(Tissue::Air, open.bounds(), move |at| open.distance(at.q));
    }
}
