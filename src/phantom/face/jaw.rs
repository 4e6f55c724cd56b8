//! Mouth and jaws: bones of the face, teeth, tongue, muscles of chewing, glands.

use super::parts::Kit;
use crate::phantom::scene::Place;
use crate::phantom::tissue::Tissue;

/// Adds bones of the face and the soft parts about them.
pub fn furnish(kit: &mut Kit<'_>) {
    soft(kit);
    bones(kit);
    teeth(kit);
    mouth(kit);
}

fn soft(kit: &mut Kit<'_>) {
    for s in [1.0, -1.0] {
        for (a, b, thin, wide) in [
            ((22.0, -20.0, -56.0), (46.0, 3.0, -57.0), 9.0, 11.0), // lateral pterygoid
            ((17.0, -13.0, -64.0), (43.0, 0.0, -110.0), 10.0, 17.0), // medial pterygoid
            ((57.0, -16.0, -26.0), (49.0, -17.0, -74.0), 11.5, 23.0), // temporalis
            ((60.0, -25.0, -56.0), (51.0, -4.0, -112.0), 9.5, 21.0), // masseter
            ((26.0, -22.0, -48.0), (44.0, -2.0, -50.0), 7.0, 6.0), // upper head of the lateral pterygoid
            ((24.0, 4.0, -58.0), (23.0, 2.0, -104.0), 4.5, 6.0),   // muscles of the styloid
            ((17.0, -6.0, -56.0), (10.0, -12.0, -86.0), 4.5, 6.0), // levator and tensor of the palate
            ((36.0, -42.0, -80.0), (37.0, -42.0, -116.0), 2.6, 20.0), // buccinator
            ((40.0, -66.0, -60.0), (26.0, -82.0, -92.0), 2.0, 4.0), // zygomaticus
            ((14.0, -84.0, -72.0), (16.0, -86.0, -92.0), 1.6, 5.0), // levator of the lip
            ((27.0, -74.0, -108.0), (24.0, -78.0, -126.0), 2.2, 8.0), // depressors
        ] {
            let belly = kit.slab(s, a, b, thin, wide);
            kit.muscle(&belly);
        }
        let parotid = kit.lump(s, (59.0, 9.0, -78.0), (11.5, 16.0, 27.0));
        kit.gland(&parotid);
        let deep = kit.lump(s, (48.0, 12.0, -78.0), (9.0, 9.0, 18.0));
        kit.gland(&deep);
        let front = kit.lump(s, (64.0, -8.0, -76.0), (5.5, 18.0, 16.0));
        kit.gland(&front);
    }
}

fn bones(kit: &mut Kit<'_>) {
    for s in [1.0, -1.0] {
        let maxilla = kit.lump(s, (26.0, -48.0, -68.0), (18.0, 24.0, 20.0));
        kit.bone(&maxilla, 1.6);
        let frontal = kit.pipe(s, &[(20.0, -66.0, -58.0, 4.5), (15.0, -70.0, -46.0, 3.6), (11.0, -74.0, -30.0, 3.6)]);
        kit.bone(&frontal, 1.8);
        let cheek = kit.lump(s, (49.0, -53.0, -55.0), (10.0, 8.0, 10.0));
        kit.bone(&cheek, 2.0);
        let rim = kit.pipe(s, &[(47.0, -52.0, -52.0, 4.0), (48.5, -49.0, -36.0, 3.6), (45.0, -56.0, -20.0, 4.4)]);
        kit.bone(&rim, 1.6);
        let arch =
            [(52.0, -48.0, -56.0, 4.2), (62.0, -30.0, -54.0, 2.8), (66.0, -12.0, -51.0, 2.6), (62.0, 6.0, -49.0, 3.2)];
        let arch = kit.pipe(s, &arch);
        kit.grown(&arch, 1.0, Tissue::Fat);
        kit.bone(&arch, 1.5);
        for (x, y, wide) in [(13.0, -15.0, 6.0), (20.0, -13.0, 8.0)] {
            let plate = kit.slab(s, (x, y, -50.0), (x + 2.0, y, -80.0), 1.6, wide);
            kit.add(&plate, Tissue::CorticalBone);
        }
        let tuber = kit.lump(s, (18.0, -22.0, -70.0), (6.0, 5.0, 14.0));
        kit.bone(&tuber, 1.4);
    }
    // Alveolar processes and the body of the mandible: arches from side to side.
    let mut arch = |z: f64, back: f64, wide: f64, front: f64, r: f64, low: f64, wall: f64| {
        let half = [
            (wide, back, z + 3.0, r * 0.9),
            (wide * 0.86, 0.5 * (back + front), z, r),
            (wide * 0.5, front + 6.0, z, r),
        ];
        let mut points = half.to_vec();
        points.push((0.0, front, z - low, r));
        points.extend(half.iter().rev().map(|p| (-p.0, p.1, p.2, p.3)));
        let tube = kit.pipe(1.0, &points);
        kit.bone(&tube, wall);
    };
    arch(-88.0, -32.0, 25.0, -82.0, 5.5, 0.0, 1.4);
    arch(-92.0, -34.0, 25.0, -82.0, 5.0, 0.0, 1.3);
    arch(-128.0, -18.0, 44.0, -80.0, 6.5, 3.0, 2.4);
    arch(-119.0, -20.0, 42.0, -79.0, 5.5, 0.0, 1.8);
    for s in [1.0, -1.0] {
        let ramus = kit.slab(s, (45.0, -13.0, -124.0), (51.0, 1.0, -62.0), 4.6, 15.0);
        kit.bone(&ramus, 1.5);
        let condyle = kit.lump(s, (50.0, 6.0, -56.0), (9.0, 4.5, 5.5));
        kit.grown(&condyle, 1.4, Tissue::Cartilage);
        kit.bone(&condyle, 1.2);
        let coronoid = kit.slab(s, (47.0, -12.0, -84.0), (47.0, -20.0, -58.0), 2.8, 5.5);
        kit.bone(&coronoid, 1.3);
    }
    let palate = kit.lump(1.0, (0.0, -52.0, -84.0), (24.0, 31.0, 2.6));
    kit.bone(&palate, 0.9);
    let lining = kit.lump(1.0, (0.0, -52.0, -88.0), (21.0, 28.0, 2.6));
    kit.add(&lining, Tissue::Mucosa);
}

fn teeth(kit: &mut Kit<'_>) {
    let toothless = kit.rng.chance(0.08);
    let lost = if toothless { 1.0 } else { kit.rng.within(0.0, 0.3) };
    for (upper, crown, tip, front) in [(true, -97.0, -105.0, -83.0), (false, -115.0, -106.0, -80.0)] {
        for n in 0..7 {
            for s in [1.0, -1.0] {
                if kit.rng.chance(lost) {
                    continue;
                }
                let t = (n as f64 + 0.5) / 7.0;
                let angle = t * 1.35;
                let (x, y) = (27.0 * angle.sin(), front + 46.0 * t * t + 3.0 * t);
                let thick = if n > 3 { 4.8 } else { 3.2 };
                let root = if upper { crown + 3.0 } else { crown - 4.0 };
                let tooth = kit.slab(s, (x, y, root), (x, y, tip), thick, thick);
                kit.add(&tooth, Tissue::CorticalBone);
            }
        }
    }
}

fn mouth(kit: &mut Kit<'_>) {
    for s in [1.0, -1.0] {
        let floor = kit.slab(s, (40.0, -30.0, -118.0), (4.0, -48.0, -132.0), 4.0, 24.0);
        kit.muscle(&floor);
        let digastric =
            kit.pipe(s, &[(8.0, -74.0, -136.0, 3.6), (13.0, -50.0, -139.0, 4.8), (24.0, -18.0, -130.0, 3.0)]);
        kit.muscle(&digastric);
        let submandibular = kit.lump(s, (33.0, -18.0, -126.0), (8.5, 14.0, 12.0));
        kit.gland(&submandibular);
    }
    let genio = kit.lump(1.0, (0.0, -50.0, -124.0), (10.0, 26.0, 8.0));
    kit.muscle(&genio);
    // The tongue: intrinsic muscle with a septum and a fan of fat.
    let tongue = kit.lump(1.0, (0.0, -44.0, -106.0), (22.0, 33.0, 17.0));
    let root = kit.lump(1.0, (0.0, -28.0, -113.0), (19.0, 16.0, 16.0));
    kit.grown(&tongue, 1.6, Tissue::Mucosa);
    kit.grown(&root, 1.2, Tissue::Mucosa);
    kit.add(&tongue, Tissue::Muscle);
    kit.add(&root, Tissue::Muscle);
    let (body, fan, fat) = (tongue.clone(), kit.rng.within(5.0, 7.5), kit.rng.within(0.2, 0.6));
    let cover = move |at: &Place| body.distance(at.q) + 3.5;
    kit.scene.add_textured(Tissue::Gland, tongue.bounds(), 0.0, cover, move |at| {
        // Streaks radiate from the chin.
        let angle = (at.q.z + 128.0).atan2(at.q.y + 76.0);
        let streak = 1.25 - fat - (angle * fan * 6.0 + at.slow * 1.5).sin() * 0.9;
        let middle = at.q.x.abs() - 0.4;
        (streak + (1.0 - at.fine.abs()) * 0.5).min(middle)
    });
    for s in [1.0, -1.0] {
        let sublingual = kit.lump(s, (17.0, -56.0, -118.0), (4.5, 14.0, 6.0));
        kit.gland(&sublingual);
    }
    if kit.rng.chance(0.4) {
        let air = kit.lump(1.0, (0.0, -46.0, -90.5), (12.0, 22.0, 1.8));
        kit.add(&air, Tissue::Air);
    }
    let ring = [(-26.0, -74.0, -100.0, 4.0), (0.0, -88.0, -91.0, 3.2), (26.0, -74.0, -100.0, 4.0)];
    let upper = kit.pipe(1.0, &ring);
    kit.add(&upper, Tissue::Muscle);
    let lower = kit.pipe(1.0, &[(-26.0, -74.0, -103.0, 4.0), (0.0, -86.0, -113.0, 3.4), (26.0, -74.0, -103.0, 4.0)]);
    kit.add(&lower, Tissue::Muscle);
}
