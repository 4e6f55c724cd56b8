//! The base of the skull from below: petrous bones with the inner ear, mastoids, occipital bone, ear canals.

use super::parts::Kit;
use crate::geometry::Vec3;
use crate::phantom::scene::Place;
use crate::phantom::tissue::Tissue;

/// Adds the bones that hang under the vault; all end at the dura.
pub fn furnish(kit: &mut Kit<'_>) {
    let wall = 1.5;
    for s in [1.0, -1.0] {
        // Greater wing and the floor of the middle fossa.
        let wing = kit.slab(s, (24.0, -20.0, -44.0), (50.0, -14.0, -44.0), 6.5, 2.3);
        kit.bone(&wing, 1.3);
        let root = kit.lump(s, (18.0, -16.0, -50.0), (9.0, 8.0, 9.0));
        kit.bone(&root, 1.5);
        let fossa = kit.lump(s, (57.0, 4.0, -45.5), (11.0, 12.0, 3.6));
        kit.bone(&fossa, 1.4);
        let condyle = kit.slab(s, (13.0, 16.0, -60.0), (19.0, 32.0, -62.0), 5.5, 5.0);
        kit.bone(&condyle, wall);
        let side = kit.slab(s, (18.0, 32.0, -62.0), (32.0, 44.0, -58.0), 5.0, 4.5);
        kit.bone(&side, wall);
        let tubercle = kit.lump(s, (14.0, 24.0, -56.0), (7.0, 11.0, 6.0));
        kit.bone(&tubercle, wall);
        let lateral = kit.lump(s, (30.0, 33.0, -58.0), (13.0, 11.0, 4.5));
        kit.bone(&lateral, wall);
        petrous(kit, s);
    }
    let crest = kit.slab(1.0, (0.0, -62.0, -20.0), (0.0, -44.0, -22.0), 1.8, 4.5);
    kit.bone(&crest, 0.9);
}

fn petrous(kit: &mut Kit<'_>, s: f64) {
    let pyramid = kit.slab(s, (11.0, 5.0, -42.0), (56.0, 27.0, -47.0), 10.0, 12.0);
    kit.add(&pyramid, Tissue::CorticalBone);
    let tympanic = kit.lump(s, (57.0, 12.0, -50.0), (9.0, 8.0, 7.0));
    kit.add(&tympanic, Tissue::CorticalBone);
    let apex_size = kit.rng.within(2.5, 6.0);
    let apex = kit.lump(s, (16.0, 8.0, -43.0), (apex_size, apex_size * 0.8, 4.0));
    kit.add(&apex, Tissue::Marrow);
    let mastoid = kit.lump(s, (54.0, 29.0, -46.0), (12.0, 15.0, 15.0));
    let tip = kit.slab(s, (57.0, 28.0, -48.0), (54.0, 29.0, -68.0), 7.0, 9.0);
    kit.bone(&tip, 1.6);
    kit.bone(&mastoid, 2.0);
    // Cells of air in the mastoid, as many as the patient has.
    let (airy, sick) = (kit.rng.within(-1.2, 0.6), kit.rng.chance(0.1));
    for shape in [mastoid, tip] {
        let (cover, tissue) = (shape.clone(), if sick { Tissue::Mucosa } else { Tissue::Air });
        let extent = kit.rng.within(0.0, 1.5);
        let bounds = shape.bounds();
        let within = move |at: &Place| cover.distance(at.q) + extent;
        kit.scene.add_textured(Tissue::CorticalBone, bounds, 0.0, within, move |at| 1.5 * (airy - at.slow) - 1.0);
        let within = move |at: &Place| shape.distance(at.q) + 1.2 + extent;
        kit.scene.add_textured(tissue, bounds, 0.0, within, move |at| {
            // Cells about 4 mm wide with walls of bone.
            let wall =
                |x: f64, y: f64, z: f64, shift: f64| (0.75 * at.q.dot(Vec3::new(x, y, z)) + 2.4 * shift).sin().abs();
            let (a, b) = (wall(0.8, 0.5, -0.3, at.fine), wall(-0.4, 0.8, 0.45, at.slow - at.fine));
            let cell = a.min(b).min(wall(0.3, -0.35, 0.9, at.slow + 0.7 * at.fine));
            (0.3 - 1.2 * cell).max(1.5 * (airy - at.slow) - 0.6)
        });
    }
    let drum = kit.lump(s, (50.0, 17.0, -45.0), (2.6, 5.5, 6.5));
    kit.add(&drum, Tissue::Air);
    let antrum = kit.lump(s, (51.0, 25.0, -40.0), (4.0, 5.0, 4.5));
    kit.add(&antrum, Tissue::Air);
    // Inner ear and the canal of its nerves.
    let cochlea = kit.lump(s, (34.0, 12.0, -43.0), (2.6, 2.6, 2.4));
    kit.add(&cochlea, Tissue::Csf);
    let vestibule = kit.lump(s, (37.0, 19.0, -42.0), (2.0, 3.0, 2.2));
    kit.add(&vestibule, Tissue::Csf);
    for (a, b, c) in [
        ((38.0, 17.0, -39.0), (41.0, 21.0, -35.0), (42.0, 25.0, -39.0)),
        ((39.0, 20.0, -42.0), (44.0, 24.0, -42.0), (39.0, 27.0, -42.0)),
    ] {
        let loops = kit.pipe(s, &[(a.0, a.1, a.2, 0.7), (b.0, b.1, b.2, 0.7), (c.0, c.1, c.2, 0.7)]);
        kit.add(&loops, Tissue::Csf);
    }
    let canal = kit.pipe(s, &[(17.0, 21.0, -41.0, 3.2), (23.0, 19.5, -41.5, 2.6), (31.0, 17.0, -42.0, 2.0)]);
    kit.add(&canal, Tissue::Csf);
    let nerve = kit.pipe(s, &[(12.0, 22.0, -40.0, 0.9), (22.0, 19.5, -41.5, 0.9), (31.0, 17.0, -42.0, 0.7)]);
    kit.add(&nerve, Tissue::WhiteMatter);
    // Outer canal.
    let way = kit.pipe(
        s,
        &[(52.0, 16.0, -47.0, 3.0), (60.0, 16.5, -48.0, 3.0), (68.0, 17.5, -47.5, 3.4), (76.0, 18.0, -48.0, 4.0)],
    );
    kit.grown(&way, 2.0, Tissue::Cartilage);
    kit.grown(&way, 0.8, Tissue::Skin);
    kit.add(&way, Tissue::Air);
    let styloid = kit.pipe(s, &[(46.0, 14.0, -54.0, 1.8), (42.0, 6.0, -70.0, 1.5), (38.0, 0.0, -84.0, 1.0)]);
    kit.add(&styloid, Tissue::CorticalBone);
}
