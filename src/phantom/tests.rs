//! The head as a whole: repeatable, anatomically in order, on the right sides.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::anatomy::{Class, Structure};
use crate::geometry::{Grid, Mask};
use crate::ids::FrameOfReferenceUid;

fn grid(head: &Head, spacing: [f64; 3]) -> Arc<Grid> {
    let frame = FrameOfReferenceUid::derive(&["head tests"]);
    Arc::new(Acquisition::Axial.grid(frame, &head.field_of_view(110.0), Some(spacing)).unwrap())
}

fn posed(yaw: f64, roll: f64, missing_eye: Option<Side>) -> HeadOptions {
    HeadOptions {
        yaw: Spread::fixed(yaw),
        pitch: Spread::fixed(6.0),
        roll: Spread::fixed(roll),
        missing_eye,
        ..HeadOptions::default()
    }
}

/// Masks of the small organs; the brain needs no fine grid.
fn masks(head: &Head) -> BTreeMap<Structure, Mask> {
    truth(head, &grid(head, [1.1, 1.2, 1.4]))
}

#[test]
fn the_seed_decides_everything() {
    let draw = |seed| {
        let head = Head::new(seed, &HeadOptions::default());
        let grid = grid(&head, [4.0, 5.0, 6.0]);
        render(&head, &grid, &ImageOptions::draw(seed))
    };
    let ((a, a_labels), (b, b_labels), (c, _)) = (draw(4), draw(4), draw(5));
    assert_eq!(a.data(), b.data());
    assert_eq!(a_labels.data(), b_labels.data());
    assert_ne!(a.data(), c.data());
}

#[test]
fn one_thread_and_many_give_the_same_image() {
    let head = Head::new(11, &HeadOptions::default());
    let grid = grid(&head, [5.0, 6.0, 7.0]);
    let options = ImageOptions::draw(3);
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(alone.install(|| image(&head, &grid, &options)).data(), image(&head, &grid, &options).data());
}

#[test]
fn organs_have_the_size_of_an_adults() {
    for seed in [21, 22, 23] {
        let head = Head::new(seed, &HeadOptions::default());
        for (structure, low, high) in [
            (Structure::Eye_L, 5.5, 9.5),
            (Structure::Eye_R, 5.5, 9.5),
            (Structure::Lens_L, 0.10, 0.30),
            (Structure::Lens_R, 0.10, 0.30),
            (Structure::OpticNrv_L, 0.3, 0.9),
            (Structure::OpticNrv_R, 0.3, 0.9),
            (Structure::OpticChiasm, 0.15, 0.6),
            (Structure::Pituitary, 0.15, 0.8),
            (Structure::Hippocampus_L, 1.8, 4.8),
            (Structure::Hippocampus_R, 1.8, 4.8),
            (Structure::Brainstem, 16.0, 38.0),
            (Structure::Brain, 1050.0, 1900.0),
        ] {
            let cc = head.volume_cc(structure);
            assert!((low..high).contains(&cc), "seed {seed}: {} has {cc} cm3", structure.name());
        }
    }
}

#[test]
fn voxels_agree_with_the_volumes_by_integration() {
    let head = Head::new(31, &posed(13.0, -8.0, None));
    for (structure, mask) in truth(&head, &grid(&head, [0.6, 0.7, 0.8])) {
        let (voxels, exact) = (mask.cc(), head.volume_cc(structure));
        assert!((voxels / exact - 1.0).abs() < 0.02, "{}: {voxels} and {exact} cm3", structure.name());
    }
}

#[test]
fn organs_lie_where_they_must() {
    for seed in [41, 42, 43, 44] {
        let head = Head::new(seed, &HeadOptions::default());
        let labels = class_labels(&head, &grid(&head, [1.1, 1.2, 1.4])).labels;
        let mut count = [0usize; 8];
        for bits in labels.data() {
            for class in Class::ALL {
                count[class.index().unwrap()] += usize::from(bits & class.bit() != 0);
            }
            let has = |class: Class| bits & class.bit() != 0;
            assert!(!has(Class::Lens) || has(Class::Eye), "a lens outside its eye (seed {seed})");
            assert!(!has(Class::Hippocampus) || has(Class::Brain), "a hippocampus outside the brain (seed {seed})");
            assert!(!has(Class::Brainstem) || has(Class::Brain), "a brainstem outside the brain (seed {seed})");
            assert!(!(has(Class::Hippocampus) && has(Class::Brainstem)), "hippocampus in the brainstem (seed {seed})");
            let apart = [Class::Eye, Class::OpticNerve, Class::Chiasm, Class::Pituitary, Class::Brain];
            assert!(apart.iter().filter(|c| has(**c)).count() <= 1, "organs overlap (seed {seed}): {bits:08b}");
        }
        assert!(count.iter().all(|n| *n > 20), "seed {seed}: {count:?}");
    }
}

#[test]
fn the_pathway_is_in_order() {
    let head = Head::new(51, &posed(0.0, 0.0, None));
    let masks = masks(&head);
    let middle = |s: Structure| masks[&s].barycentre().unwrap();
    for (eye, lens, nerve) in [
        (Structure::Eye_L, Structure::Lens_L, Structure::OpticNrv_L),
        (Structure::Eye_R, Structure::Lens_R, Structure::OpticNrv_R),
    ] {
        // From front to back: lens, eye, nerve, chiasm.
        assert!(middle(lens).y < middle(eye).y - 5.0);
        assert!(middle(eye).y < middle(nerve).y - 12.0);
        assert!(middle(nerve).y < middle(Structure::OpticChiasm).y);
    }
    let (chiasm, gland) = (middle(Structure::OpticChiasm), middle(Structure::Pituitary));
    assert!((chiasm.z - gland.z) > 8.0 && (chiasm.x - gland.x).abs() < 5.0);
    assert!(middle(Structure::Brainstem).y > gland.y + 10.0);
}

/// A nerve reaches its eye and the chiasm, in one piece.
#[test]
fn nerves_join_eyes_and_chiasm() {
    use crate::geometry::{Connectivity, components};
    for seed in [61, 62] {
        let head = Head::new(seed, &HeadOptions::default());
        let masks = truth(&head, &grid(&head, [0.7, 0.7, 0.9]));
        for (nerve, eye) in [(Structure::OpticNrv_L, Structure::Eye_L), (Structure::OpticNrv_R, Structure::Eye_R)] {
            // A thin rim around the chiasm's arm may come off; the nerve itself is one piece.
            let pieces = components(&masks[&nerve], Connectivity::Corners).list;
            assert!(pieces[0].voxels * 100 > masks[&nerve].count() * 97, "{} in pieces", nerve.name());
            for other in [eye, Structure::OpticChiasm] {
                let mut both = masks[&nerve].clone();
                for (a, b) in both.data_mut().iter_mut().zip(masks[&other].data()) {
                    *a |= *b;
                }
                let joined = components(&both, Connectivity::Corners).list[0].voxels * 100 > both.count() * 99;
                assert!(joined, "{} does not reach {} (seed {seed})", nerve.name(), other.name());
            }
        }
    }
}

#[test]
fn left_and_right_are_never_the_same() {
    let head = Head::new(71, &posed(0.0, 0.0, None));
    for class in [Class::Eye, Class::Lens, Class::OpticNerve, Class::Hippocampus] {
        let volume = |side| head.volume_cc(Structure::of(class, Some(side)).unwrap());
        let (left, right) = (volume(Side::Left), volume(Side::Right));
        assert!((left / right - 1.0).abs() > 1e-3, "{}: {left} and {right} cm3", class.name());
    }
}

#[test]
fn a_missing_eye_is_missing_with_its_lens_and_nerve() {
    for side in [Side::Left, Side::Right] {
        let head = Head::new(81, &posed(4.0, 2.0, Some(side)));
        let masks = masks(&head);
        for class in [Class::Eye, Class::Lens, Class::OpticNerve] {
            let (gone, kept) =
                (Structure::of(class, Some(side)).unwrap(), Structure::of(class, Some(side.other())).unwrap());
            assert!(masks[&gone].is_empty() && !head.has(gone) && head.volume_cc(gone) == 0.0, "{}", gone.name());
            assert!(!masks[&kept].is_empty() && head.has(kept), "{}", kept.name());
        }
        assert!(!masks[&Structure::OpticChiasm].is_empty());
        // The orbit is not empty space and shows no vitreous body.
        let whole = Head::new(81, &posed(4.0, 2.0, None));
        let eye = Structure::of(Class::Eye, Some(side)).unwrap();
        let centre = truth(&whole, &grid(&whole, [1.0, 1.0, 1.0]))[&eye].barycentre().unwrap();
        assert_eq!(whole.tissue_at(centre), Tissue::Vitreous);
        let tissue = head.tissue_at(centre);
        assert!(tissue != Tissue::Vitreous && tissue != Tissue::Air, "{tissue:?}");
        assert!(Structure::ALL.into_iter().all(|s| !head.contains(s, centre)));
    }
}

#[test]
fn sides_are_the_heads_own_however_it_is_turned() {
    for (n, (yaw, roll)) in
        [(-40.0, 0.0), (40.0, 0.0), (0.0, 40.0), (35.0, -30.0), (-25.0, 38.0)].into_iter().enumerate()
    {
        let head = Head::new(90 + n as u64, &posed(yaw, roll, None));
        let masks = masks(&head);
        let left = head.axes()[0];
        for class in [Class::Eye, Class::Lens, Class::OpticNerve, Class::Hippocampus] {
            let middle = |side| masks[&Structure::of(class, Some(side)).unwrap()].barycentre().unwrap();
            let apart = (middle(Side::Left) - middle(Side::Right)).dot(left);
            assert!(apart > 15.0, "{} at yaw {yaw} roll {roll}: {apart} mm", class.name());
        }
    }
}

#[test]
fn the_pose_turns_the_way_it_says() {
    let axes = |yaw, pitch, roll| {
        let fixed = |v| Spread::fixed(v);
        let options = HeadOptions { yaw: fixed(yaw), pitch: fixed(pitch), roll: fixed(roll), ..HeadOptions::default() };
        Head::new(1, &options).axes()
    };
    let face = |a: [Vec3; 3]| a[1] * -1.0;
    assert!(face(axes(30.0, 0.0, 0.0)).x > 0.49);
    assert!(face(axes(0.0, 30.0, 0.0)).z > 0.49);
    assert!(axes(0.0, 0.0, 30.0)[2].x < -0.49);
}

#[test]
fn contrast_shows_in_the_gland() {
    let mean = |contrast| {
        let head = Head::new(101, &HeadOptions { contrast: Some(contrast), ..HeadOptions::default() });
        let grid = grid(&head, [1.5, 1.5, 1.5]);
        let (picture, labels) = render(&head, &grid, &ImageOptions { seed: 1, noise: 0.0, bias: 0.0, scale: 1000.0 });
        let inside = picture.data().iter().zip(labels.data()).filter(|(_, l)| **l & Class::Pituitary.bit() != 0);
        let (sum, n) = inside.fold((0.0, 0), |(s, n), (v, _)| (s + v, n + 1));
        sum / n as f32
    };
    let (native, enhanced) = (mean(Contrast::Native), mean(Contrast::Gadolinium));
    assert!(enhanced > native + 150.0, "{native} and {enhanced}");
}

#[test]
fn thick_slices_blur_and_do_not_shift() {
    let head = Head::new(111, &posed(0.0, 0.0, None));
    let quiet = ImageOptions { seed: 1, noise: 0.0, bias: 0.0, scale: 1000.0 };
    let mean = |spacing| {
        let g = grid(&head, spacing);
        let v = image(&head, &g, &quiet);
        let mut weighted = Vec3::new(0.0, 0.0, 0.0);
        let mut total = 0.0;
        for offset in 0..v.data().len() {
            let [i, j, k] = v.voxel(offset);
            let value = f64::from(v.data()[offset]);
            weighted = weighted + (g.centre(i, j, k) - crate::geometry::Lps::new(0.0, 0.0, 0.0)) * value;
            total += value;
        }
        weighted * (1.0 / total)
    };
    let (fine, coarse) = (mean([2.0, 2.0, 1.0]), mean([2.0, 2.0, 4.0]));
    assert!((fine - coarse).norm() < 0.4, "{fine:?} {coarse:?}");
}

/// Heads of every population: what they are asked for is what they are.
#[test]
fn populations_differ_as_they_say() {
    let draw = |population, seed| HeadOptions::drawn(&mut Rng::new(seed, "population"), population, 0.3);
    let of = |population| (0..300).map(|seed| draw(population, seed)).collect::<Vec<_>>();
    let part = |heads: &[HeadOptions], f: fn(&HeadOptions) -> bool| {
        heads.iter().filter(|h| f(h)).count() as f64 / heads.len() as f64
    };
    let (usual, training, beyond) = (of(Population::Usual), of(Population::Training), of(Population::Beyond));
    for heads in [&usual, &training, &beyond] {
        assert!((part(heads, |h| h.missing_eye.is_some()) - 0.3).abs() < 0.08);
    }
    assert!(usual.iter().all(|h| h.lesion == 0.0 && h.strange == 0.0 && h.breadth == 1.0));
    assert!((part(&training, |h| h.lesion > 0.0) - 0.3).abs() < 0.08);
    // Nothing that is beyond is within the ranges of training.
    let most = |f: fn(&HeadOptions) -> f64| training.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
    assert!(beyond.iter().all(|h| h.strange > most(|h| h.strange)));
    assert!(beyond.iter().all(|h| h.deformation > most(|h| h.deformation)));
    assert!(beyond.iter().all(|h| h.lesion == 0.0 || h.lesion > most(|h| h.lesion)));
    assert!(beyond.iter().all(|h| (h.breadth.ln()).abs() > 0.1));
}

/// A lesion is seen, pushes tissue aside, and spares organs and the skull.
#[test]
fn a_lesion_takes_room_and_spares_what_is_outlined() {
    let options = |lesion| HeadOptions { lesion, ..posed(0.0, 0.0, None) };
    let mut seen = 0;
    for seed in 120..124 {
        let (sick, well) = (Head::new(seed, &options(24.0)), Head::new(seed, &options(0.0)));
        let g = grid(&well, [2.0, 2.1, 2.2]);
        let quiet = ImageOptions { seed: 1, noise: 0.0, bias: 0.0, scale: 1000.0 };
        let (with, without) = (image(&sick, &g, &quiet), image(&well, &g, &quiet));
        let changed = with.data().iter().zip(without.data()).filter(|(a, b)| (*a - *b).abs() > 60.0).count();
        seen += usize::from(changed > 20);
        // The brain's own volume takes minutes, and its outside is held by the skin below.
        for structure in Structure::ALL.into_iter().filter(|s| *s != Structure::Brain) {
            let (a, b) = (sick.volume_cc(structure), well.volume_cc(structure));
            assert!((a / b - 1.0).abs() < 0.2, "seed {seed}: {} from {b} to {a} cm3", structure.name());
        }
        let outside = |head: &Head, n: usize| {
            let [i, j, k] = with.voxel(n);
            head.tissue_at(g.centre(i, j, k)) == Tissue::Air
        };
        let moved = (0..with.data().len()).step_by(7).filter(|n| outside(&sick, *n) != outside(&well, *n)).count();
        assert_eq!(moved, 0, "the skin moved (seed {seed})");
    }
    assert!(seen >= 3, "{seen} of 4 lesions are to be seen");
}

/// Nothing that is outlined is buried in a lesion, in either kind of brain and for large ones too.
#[test]
fn no_organ_lies_in_a_lesion() {
    let mut placed = 0;
    for seed in 140..152 {
        let average_brain = Some(seed % 2 == 0);
        let head = Head::new(seed, &HeadOptions { lesion: 30.0, average_brain, ..posed(0.0, 0.0, None) });
        let g = grid(&head, [3.0, 3.1, 3.2]);
        let sick = [Tissue::TumourRim, Tissue::Necrosis];
        let (mut ill, mut buried) = (0, 0);
        for offset in 0..g.shape().voxels() {
            let volume = (offset % g.shape().cols, offset / g.shape().cols);
            let p = g.centre(volume.0, volume.1 % g.shape().rows, volume.1 / g.shape().rows);
            if sick.contains(&head.tissue_at(p)) {
                ill += 1;
                let organs = Structure::ALL.into_iter().filter(|s| *s != Structure::Brain);
                buried += organs.filter(|s| head.contains(*s, p)).count();
            }
        }
        placed += usize::from(ill > 5);
        assert_eq!(buried, 0, "seed {seed}: of {ill} voxels");
    }
    assert!(placed >= 6, "{placed} of 12 heads have a tumour that is to be seen");
}

/// The tiles of the scenes change nothing of the picture.
#[test]
fn tiles_leave_out_only_what_does_not_show() {
    for (seed, average) in [(130, true), (131, false)] {
        let options = HeadOptions { average_brain: Some(average), ..posed(3.0, -2.0, None) };
        let (head, mut whole) = (Head::new(seed, &options), Head::new(seed, &options));
        whole.forget_tiles();
        let g = grid(&head, [2.9, 3.1, 3.3]);
        let quiet = ImageOptions { seed: 1, noise: 0.0, bias: 0.0, scale: 1000.0 };
        let (fast, slow) = (image(&head, &g, &quiet), image(&whole, &g, &quiet));
        let differ = fast.data().iter().zip(slow.data()).filter(|(a, b)| (*a - *b).abs() > 1.0).count();
        assert_eq!(differ, 0, "of {} voxels", fast.data().len());
    }
}

#[test]
fn scans_of_training_are_repeatable_and_cut() {
    let frames: Vec<_> = (0..6)
        .map(|seed| {
            let head = Head::new(seed, &HeadOptions::default());
            let mut once = Rng::new(seed, "scan");
            let mut again = once.clone();
            let a = scan(&head, Population::Training, seed, &mut once).unwrap();
            if seed == 2 {
                assert_eq!(a.data(), scan(&head, Population::Training, seed, &mut again).unwrap().data());
            }
            assert!(a.data().iter().all(|v| v.is_finite() && *v >= 0.0));
            a.grid().spacing()
        })
        .collect();
    assert!(frames.iter().any(|s| s != &frames[0]));
}
