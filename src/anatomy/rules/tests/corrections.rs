//! What reviewers had to correct: each correction on a turned head with that error, and with its switch off.

use super::*;

/// Finer voxels than the other tests': an eye's shape has to be seen.
const FINE: [f64; 3] = [1.1, 1.2, 1.3];

struct Scene {
    head: TestHead,
    truth: Volume<u16>,
    labels: Volume<u8>,
    image: Volume<f32>,
}

impl Scene {
    fn new() -> Self {
        let head = turned();
        let truth = head.truth(&grid(FINE));
        let labels = labels_of(&truth);
        let image = labels.map(|v| if *v == 0 { 60.0 } else { 300.0 });
        Self { head, truth, labels, image }
    }

    fn truth(&self, structure: Structure) -> Mask {
        truth_mask(&self.truth, structure)
    }

    fn run(&self, change: impl Fn(&mut CorrectionsConfig)) -> Consistent {
        let mut cfg = RulesConfig::default();
        change(&mut cfg.corrections);
        apply(&self.labels, &self.image, &cfg).unwrap()
    }

    /// Takes a ball out of a class.
    fn bite(&mut self, class: Class, at: [f64; 3], radius: f64) {
        let mut ball = self.labels.map(|_| 0u8);
        add_ball(&mut ball, class, self.head.place(at), radius);
        self.labels.data_mut().iter_mut().zip(ball.data()).for_each(|(v, gone)| *v &= !gone);
    }
}

fn differ(a: &Mask, b: &Mask) -> usize {
    a.data().iter().zip(b.data()).filter(|(a, b)| a != b).count()
}

fn flagged(result: &Consistent, structure: Structure, wanted: impl Fn(&Flag) -> bool) -> bool {
    result.structures[&structure].flags.iter().any(wanted)
}

#[test]
fn an_eye_with_a_lesion_is_completed_and_what_stands_out_removed() {
    let mut scene = Scene::new();
    scene.bite(Class::Eye, [24.0, -76.0, -31.0], 5.0);
    scene.bite(Class::Lens, [24.0, -76.0, -31.0], 5.0);
    let bump = scene.head.place([-31.0, -93.0, -38.5]);
    add_ball(&mut scene.labels, Class::Eye, bump, 3.5);
    let reshaped = |f: &Flag| matches!(f, Flag::EyeReshaped { .. });
    let on = scene.run(|_| {});
    let off = scene.run(|c| (c.eye_complete, c.eye_trim) = (false, false));
    for eye in [Structure::Eye_L, Structure::Eye_R] {
        let truth = scene.truth(eye);
        let [before, after] = [&off, &on].map(|r| differ(&r.structures[&eye].mask, &truth));
        assert!(before > 40 && after * 2 < before, "{eye:?} {before} {after}");
        assert!(!flagged(&off, eye, reshaped));
        assert_eq!(effect(&off, eye, Rule::EyeBall), None);
    }
    // The bite is more than 3 % of the left eye, the bump less of the right one.
    assert!(flagged(&on, Structure::Eye_L, reshaped) && !flagged(&on, Structure::Eye_R, reshaped));
    let words = on.structures[&Structure::Eye_L].flags.iter().find(|f| reshaped(f)).unwrap().to_string();
    assert!(words.contains("look for a lesion"), "{words}");
    // What is no ball is left alone.
    let strict = scene.run(|c| c.eye_radius_mm = [14.0, 15.0]);
    assert_eq!(effect(&strict, Structure::Eye_L, Rule::EyeBall), None);
}

#[test]
fn a_lens_that_is_missing_or_small_is_flagged_where_there_is_an_eye() {
    let mut scene = Scene::new();
    scene.bite(Class::Lens, [33.0, -88.0, -37.0], 9.0);
    let on = scene.run(|_| {});
    let flags = &on.structures[&Structure::Lens_L].flags;
    assert_eq!(flags[..], [Flag::NotFound { predicted: 0 }, Flag::LensMissed]);
    assert!(flags[1].to_string().contains("has no lens") && flags[1].severity() == Severity::Warning);
    let mut scene = Scene::new();
    scene.bite(Class::Lens, [-35.0, -86.5, -38.0], 4.5);
    let small = |f: &Flag| matches!(f, Flag::LensSmall { share } if *share < 0.6);
    assert!(flagged(&scene.run(|_| {}), Structure::Lens_R, small));
    assert!(!flagged(&scene.run(|c| c.lens_flag_share = 0.1), Structure::Lens_R, small));
}

#[test]
fn fluid_is_no_hippocampus_and_a_long_one_is_flagged() {
    let mut scene = Scene::new();
    // A necrosis beside the left one, as dark as fluid; the right one goes on to the amygdala.
    let necrosis = scene.head.place([33.5, 6.0, -18.0]);
    add_ball(&mut scene.labels, Class::Hippocampus, necrosis, 6.0);
    for offset in 0..scene.image.data().len() {
        let [i, j, k] = scene.image.voxel(offset);
        if scene.image.grid().centre(i, j, k).distance(necrosis) < 6.0 {
            scene.image.data_mut()[offset] = 80.0;
        }
    }
    for n in 0..4 {
        let at = scene.head.place([-29.0, -9.0 - 5.0 * f64::from(n), -22.0]);
        add_ball(&mut scene.labels, Class::Hippocampus, at, 5.0);
    }
    let fluid = |f: &Flag| matches!(f, Flag::FluidRemoved { mm3 } if *mm3 > 300.0);
    let long = |f: &Flag| matches!(f, Flag::HippocampusLong { length_mm } if *length_mm > 54.0);
    let (on, off) = (scene.run(|_| {}), scene.run(|c| c.hippocampus_dark = false));
    assert!(!inside(&on, Structure::Hippocampus_L, necrosis) && inside(&off, Structure::Hippocampus_L, necrosis));
    assert!(flagged(&on, Structure::Hippocampus_L, fluid) && !flagged(&off, Structure::Hippocampus_L, fluid));
    assert!(flagged(&on, Structure::Hippocampus_R, long) && !flagged(&on, Structure::Hippocampus_L, long));
    assert_eq!(effect(&on, Structure::Hippocampus_R, Rule::Fluid), Some((0, 0)));
}

#[test]
fn what_lies_far_from_the_chiasm_is_no_chiasm_and_half_a_chiasm_is_flagged() {
    let mut scene = Scene::new();
    let tip = scene.head.place([22.5, -19.5, -21.0]);
    for n in 0..12 {
        add_ball(&mut scene.labels, Class::Chiasm, scene.head.place([6.0 + 1.5 * f64::from(n), -19.5, -21.0]), 1.6);
    }
    let (on, off) = (scene.run(|_| {}), scene.run(|c| c.chiasm_trim = false));
    assert!(!inside(&on, Structure::OpticChiasm, tip));
    let truth = scene.truth(Structure::OpticChiasm);
    let lost = |r: &Consistent| {
        truth.data().iter().zip(r.structures[&Structure::OpticChiasm].mask.data()).filter(|(t, m)| **t && !**m).count()
    };
    assert_eq!(lost(&on), 0);
    assert!(
        differ(&on.structures[&Structure::OpticChiasm].mask, &truth)
            < differ(&off.structures[&Structure::OpticChiasm].mask, &truth)
    );
    let mut scene = Scene::new();
    scene.bite(Class::Chiasm, [-6.5, -20.0, -22.0], 6.0);
    let uneven = |f: &Flag| matches!(f, Flag::ChiasmUneven { share } if *share < 0.4);
    assert!(flagged(&scene.run(|_| {}), Structure::OpticChiasm, uneven));
    assert!(!flagged(&Scene::new().run(|_| {}), Structure::OpticChiasm, uneven));
}

#[test]
fn the_lowest_slices_of_the_pituitary_are_found_down_to_its_floor() {
    let mut scene = Scene::new();
    let [_, _, up] = scene.head.axes();
    let end = scene.head.place([0.0, -22.0, -35.0]);
    let grid = Arc::clone(scene.labels.grid());
    let (gland, truth) = (scene.head.place([0.0, -22.0, -33.0]), scene.truth(Structure::Pituitary));
    for offset in 0..scene.labels.data().len() {
        let [i, j, k] = scene.labels.voxel(offset);
        // The sella: dark all around the gland.
        if grid.centre(i, j, k).distance(gland) < 14.0 && !truth.data()[offset] {
            scene.image.data_mut()[offset] = 60.0;
        }
        if up.dot(grid.centre(i, j, k) - end) < 0.0 {
            scene.labels.data_mut()[offset] &= !Class::Pituitary.bit();
        }
    }
    let (on, off) = (scene.run(|c| c.pituitary_floor = true), scene.run(|_| {}));
    let [before, after] = [&off, &on].map(|r| differ(&r.structures[&Structure::Pituitary].mask, &truth));
    assert!(before > 20 && after * 2 < before, "{before} {after}");
    assert!(effect(&on, Structure::Pituitary, Rule::GlandFloor).unwrap().0 > 10);
    // Where no floor is seen nothing is added.
    scene.image = scene.image.map(|_| 300.0);
    let on = scene.run(|c| c.pituitary_floor = true);
    assert_eq!(effect(&on, Structure::Pituitary, Rule::GlandFloor), Some((0, 0)));
}

#[test]
fn holes_of_every_organ_are_filled() {
    let mut scene = Scene::new();
    let holes = [
        (Class::Brainstem, [0.3, 18.0, -55.0], Structure::Brainstem),
        (Class::Hippocampus, [-25.5, 9.0, -17.0], Structure::Hippocampus_R),
        (Class::Pituitary, [0.0, -22.0, -33.0], Structure::Pituitary),
    ];
    holes.iter().for_each(|(class, at, _)| scene.bite(*class, *at, 2.2));
    let (on, off) = (scene.run(|_| {}), scene.run(|c| c.organ_fill_holes = false));
    for (_, at, structure) in holes {
        assert_eq!(differ(&on.structures[&structure].mask, &scene.truth(structure)), 0, "{structure:?}");
        assert!(!inside(&off, structure, scene.head.place(at)), "{structure:?}");
    }
}
