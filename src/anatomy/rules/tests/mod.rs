//! Each rule on a lopsided head with something wrong.

mod corrections;
mod described;
mod nerve;
mod sides;

use std::sync::Arc;

use super::*;
use crate::anatomy::PlaneSource;
use crate::anatomy::testhead::{Surgery, TestHead, add_ball, grid, labels_of, truth_mask};
use crate::geometry::{Lps, Shape, Vec3};

const SPACING: [f64; 3] = [1.8, 2.0, 2.2];

fn labels(head: &TestHead) -> Volume<u8> {
    labels_of(&head.truth(&grid(SPACING)))
}

fn run(labels: &Volume<u8>, cfg: &RulesConfig) -> Consistent {
    // An image without any contrast: what the rules read off it is tested with the rules that do.
    let image = labels.map(|_| 300.0);
    let result = apply(labels, &image, cfg).unwrap();
    assert_eq!(result.structures.len(), Structure::ALL.len());
    for (structure, finding) in &result.structures {
        let added: usize = finding.effects.iter().map(|e| e.added).sum();
        let removed: usize = finding.effects.iter().map(|e| e.removed).sum();
        assert_eq!(finding.predicted + added - removed, finding.mask.count(), "{structure:?} {:?}", finding.effects);
        let not_found = finding.flags.iter().any(|f| matches!(f, Flag::NotFound { .. }));
        assert_eq!(not_found, finding.mask.is_empty(), "{structure:?}");
    }
    result
}

fn effect(result: &Consistent, structure: Structure, rule: Rule) -> Option<(usize, usize)> {
    let effects = &result.structures[&structure].effects;
    let of_rule: Vec<_> = effects.iter().filter(|e| e.rule == rule).collect();
    (!of_rule.is_empty()).then(|| (of_rule.iter().map(|e| e.added).sum(), of_rule.iter().map(|e| e.removed).sum()))
}

fn inside(result: &Consistent, structure: Structure, p: Lps) -> bool {
    let mask = &result.structures[&structure].mask;
    let at = mask.grid().to_index(p);
    mask.at(at.i.round() as usize, at.j.round() as usize, at.k.round() as usize)
}

/// A head, turned; every rule below starts from it.
fn turned() -> TestHead {
    TestHead { yaw: 24.0, roll: -11.0, pitch: 6.0, ..TestHead::default() }
}

#[test]
fn a_faultless_head_is_left_alone() {
    let head = turned();
    let truth = head.truth(&grid(SPACING));
    let result = run(&labels_of(&truth), &RulesConfig::default());
    assert_eq!(result.plane.source, PlaneSource::BrainAndEyes);
    for structure in Structure::ALL {
        let (finding, truth) = (&result.structures[&structure], truth_mask(&truth, structure));
        // The image has no contrast, so that fat cannot be told apart.
        let flags = finding.flags.iter().filter(|f| !matches!(f, Flag::FatNotUsed { .. }));
        assert_eq!(flags.count(), 0, "{structure:?} {:?}", finding.flags);
        let differ = finding.mask.data().iter().zip(truth.data()).filter(|(a, b)| a != b).count();
        if structure == Structure::Brain {
            // The rules may only add to it: the brainstem's lower end.
            let (added, removed) = effect(&result, structure, Rule::HoldsOrgans).unwrap();
            assert!(added > 0 && removed == 0);
            assert!((differ as f64) < 0.02 * truth.count() as f64);
        } else if structure.class() == Class::OpticNerve {
            assert!((differ as f64) < 0.1 * truth.count() as f64, "{structure:?} {differ} of {}", truth.count());
        } else {
            assert_eq!(differ, 0, "{structure:?}");
        }
    }
}

#[test]
fn the_brain_is_one_piece_without_holes() {
    let head = turned();
    let mut labels = labels(&head);
    let hole = head.place([20.0, -10.0, 20.0]);
    let plain = run(&labels, &RulesConfig::default());
    let mut ball = Volume::filled(Arc::clone(labels.grid()), 0u8);
    add_ball(&mut ball, Class::Brain, hole, 7.0);
    for (voxel, hole) in labels.data_mut().iter_mut().zip(ball.data()) {
        *voxel &= !hole;
    }
    let stray = head.place([0.0, -95.0, 30.0]);
    add_ball(&mut labels, Class::Brain, stray, 5.0);

    let result = run(&labels, &RulesConfig::default());
    let brain = &result.structures[&Structure::Brain];
    assert_eq!(brain.mask.data(), plain.structures[&Structure::Brain].mask.data());
    let (_, removed) = effect(&result, Structure::Brain, Rule::LargestComponent).unwrap();
    assert!(removed > 50 && !inside(&result, Structure::Brain, stray));
    let (added, _) = effect(&result, Structure::Brain, Rule::FillHoles).unwrap();
    assert!(added > 150 && inside(&result, Structure::Brain, hole));

    let off = RulesConfig {
        brain_largest_component: false,
        brain_fill_holes: false,
        add_to_brain: false,
        ..RulesConfig::default()
    };
    let result = run(&labels, &off);
    assert!(inside(&result, Structure::Brain, stray) && !inside(&result, Structure::Brain, hole));
    assert!(result.structures[&Structure::Brain].effects.is_empty());
    assert!(result.structures[&Structure::Brain].flags.contains(&Flag::SeveralParts { parts: 2 }));
}

#[test]
fn a_shaft_in_the_brain_is_filled_only_where_as_many_planes_close_it_as_are_asked() {
    let head = turned();
    let mut labels = labels(&head);
    let floor = head.place([22.0, -10.0, 20.0]);
    let at = labels.grid().to_index(floor);
    let [i, j, k] = [at.i, at.j, at.k].map(|n| n.round() as usize);
    // Open at the top: axial planes close it, the others do not.
    for (x, y) in (i - 2..=i + 2).flat_map(|x| (j - 1..=j + 1).map(move |y| (x, y))) {
        for z in k..labels.grid().shape().slices {
            labels.set(x, y, z, labels.at(x, y, z) & !Class::Brain.bit());
        }
    }
    let filled = |planes: usize| {
        let result = run(&labels, &RulesConfig { brain_hole_planes: planes, ..RulesConfig::default() });
        inside(&result, Structure::Brain, floor)
    };
    assert_eq!([1, 2, 3].map(filled), [true, false, false]);
}

#[test]
fn a_small_eye_is_no_eye_and_a_lens_lies_in_an_eye() {
    let head = TestHead { surgery: Surgery::EyeAndNerve(Side::Right), ..turned() };
    let mut labels = labels(&head);
    // What the networks see in an empty orbit: a spot of eye of about 2 cm3 with a lens in it, and a lens in the air.
    let orbit = head.place([-31.0, -78.0, -38.5]);
    add_ball(&mut labels, Class::Eye, orbit, 7.8);
    add_ball(&mut labels, Class::Lens, orbit, 4.0);
    add_ball(&mut labels, Class::Lens, head.place([10.0, -99.0, -30.0]), 5.0);

    let result = run(&labels, &RulesConfig::default());
    assert_eq!(result.plane.source, PlaneSource::Brain);
    for absent in [Structure::Eye_R, Structure::Lens_R] {
        assert!(result.structures[&absent].mask.is_empty());
        assert!(matches!(result.structures[&absent].flags[..], [Flag::NotFound { predicted: 1.. }]));
        assert_eq!(result.structures[&absent].flags[0].severity(), Severity::Warning);
    }
    assert_eq!(result.structures[&Structure::OpticNrv_R].flags, [Flag::NotFound { predicted: 0 }]);
    let (added, removed) = effect(&result, Structure::Eye_R, Rule::LeastVolume).unwrap();
    assert!(added == 0 && removed > 200);
    assert!(effect(&result, Structure::Lens_L, Rule::InsideEye).unwrap().1 > 30);
    let lens = &result.structures[&Structure::Lens_L].mask;
    let truth = truth_mask(&head.truth(labels.grid()), Structure::Lens_L);
    assert_eq!(lens.data(), truth.data());

    let kept = RulesConfig { eye_remove_small: false, lens_inside_eye: false, ..RulesConfig::default() };
    let result = run(&labels, &kept);
    assert!(inside(&result, Structure::Eye_R, orbit) && inside(&result, Structure::Lens_R, orbit));
    assert!(inside(&result, Structure::Lens_L, head.place([10.0, -99.0, -30.0])));
    // The least volume is physical: 2 cm3 is enough when 1.5 are asked.
    let less = RulesConfig { eye_min_cc: 1.5, ..RulesConfig::default() };
    assert!(inside(&run(&labels, &less), Structure::Eye_R, orbit));
}

#[test]
fn only_the_largest_part_of_an_organ_stays() {
    let head = turned();
    let mut labels = labels(&head);
    let strays = [
        (Class::Chiasm, [9.0, -50.0, -10.0], Structure::OpticChiasm),
        (Class::Pituitary, [12.0, -22.0, -55.0], Structure::Pituitary),
        (Class::OpticNerve, [50.0, -60.0, -20.0], Structure::OpticNrv_L),
        (Class::OpticNerve, [-50.0, -60.0, -20.0], Structure::OpticNrv_R),
        (Class::Hippocampus, [30.0, 35.0, 10.0], Structure::Hippocampus_L),
        (Class::Hippocampus, [-30.0, 35.0, 10.0], Structure::Hippocampus_R),
        (Class::Brainstem, [5.0, 40.0, 20.0], Structure::Brainstem),
    ];
    for (class, at, _) in strays {
        add_ball(&mut labels, class, head.place(at), 3.5);
    }
    let on = run(&labels, &RulesConfig::default());
    let off = RulesConfig {
        chiasm_largest_component: false,
        pituitary_largest_component: false,
        optic_nerve_largest_component: false,
        nerve: NerveConfig { path: NervePath::Off, ..NerveConfig::default() },
        hippocampus_largest_component: false,
        brainstem_largest_component: false,
        corrections: CorrectionsConfig {
            chiasm_trim: false,
            hippocampus_longest_mm: 200.0,
            chiasm_half_share: 0.0,
            ..CorrectionsConfig::default()
        },
        ..RulesConfig::default()
    };
    let off = run(&labels, &off);
    for (_, at, structure) in strays {
        assert!(!inside(&on, structure, head.place(at)), "{structure:?}");
        let removed = on.structures[&structure].effects.iter().map(|e| e.removed).sum::<usize>();
        assert!(removed > 5, "{structure:?}");
        assert!(inside(&off, structure, head.place(at)), "{structure:?}");
        assert_eq!(effect(&off, structure, Rule::LargestComponent), None);
        let several = Flag::SeveralParts { parts: 2 };
        assert_eq!(off.structures[&structure].flags.iter().max_by_key(|flag| flag.severity()), Some(&several));
        assert_eq!(several.severity(), Severity::Info);
    }
}

#[test]
fn hippocampus_and_brainstem_belong_to_the_brain() {
    let head = turned();
    let mut labels = labels(&head);
    // A stray brainstem larger than the brainstem, away from the brain; a stray hippocampus beside the neck.
    let (stem, spot) = (head.place([-10.0, -90.0, -85.0]), head.place([70.0, 60.0, -85.0]));
    add_ball(&mut labels, Class::Brainstem, stem, 20.0);
    add_ball(&mut labels, Class::Hippocampus, spot, 14.0);
    let lower_end = head.place([0.5, 22.0, -88.0]);

    let result = run(&labels, &RulesConfig::default());
    assert!(!inside(&result, Structure::Brainstem, stem) && !inside(&result, Structure::Hippocampus_L, spot));
    assert!(effect(&result, Structure::Brainstem, Rule::OnBrain).unwrap().1 > 500);
    assert!(effect(&result, Structure::Hippocampus_L, Rule::OnBrain).unwrap().1 > 500);
    assert!(inside(&result, Structure::Brainstem, lower_end) && inside(&result, Structure::Brain, lower_end));

    let off = RulesConfig { drop_off_brain: false, add_to_brain: false, ..RulesConfig::default() };
    let result = run(&labels, &off);
    assert!(inside(&result, Structure::Brainstem, stem), "without the rule the larger stray wins");
    assert!(inside(&result, Structure::Hippocampus_L, spot));
    assert!(!inside(&result, Structure::Brain, lower_end));
}

#[test]
fn with_every_rule_off_the_vote_stays_as_it_is_and_every_structure_says_so() {
    let head = turned();
    let mut labels = labels(&head);
    // Something for every rule: a stray piece of each class away from the brain, a hole, a nerve cut in two.
    for (n, class) in Class::ALL.into_iter().enumerate() {
        add_ball(&mut labels, class, head.place([40.0 - 11.0 * n as f64, -100.0, 45.0]), 3.5);
    }
    for (class, at, radius) in
        [(Class::Brain, [20.0, -10.0, 20.0], 7.0), (Class::OpticNerve, [18.0, -45.0, -28.0], 6.0)]
    {
        let mut ball = Volume::filled(Arc::clone(labels.grid()), 0u8);
        add_ball(&mut ball, class, head.place(at), radius);
        labels.data_mut().iter_mut().zip(ball.data()).for_each(|(voxel, gone)| *voxel &= !gone);
    }
    labels.data_mut().iter_mut().for_each(|voxel| *voxel &= !Class::Pituitary.bit());
    // The other values stay as they are configured.
    let configured = RulesConfig { sides: SideRule::ThesisBox, ..RulesConfig::default() };
    let off = configured.clone().without_rules();
    assert_eq!(off.sides, SideRule::ThesisBox);
    assert!(run(&labels, &configured).structures.values().all(|found| !found.flags.contains(&Flag::RulesOff)));
    assert!(run(&labels, &off).structures.values().all(|found| found.flags.contains(&Flag::RulesOff)));
    assert_eq!(Flag::RulesOff.severity(), Severity::Warning);
    let result = run(&labels, &RulesConfig::default().without_rules());
    assert!(result.structures.values().all(|found| found.flags.contains(&Flag::RulesOff)));
    for class in Class::ALL {
        let masks: Vec<&Mask> = class.structures().map(|s| &result.structures[&s].mask).collect();
        let predicted = labels.data().iter().map(|v| v & class.bit() != 0);
        assert!(predicted.enumerate().all(|(n, voted)| masks.iter().any(|m| m.data()[n]) == voted), "{class:?}");
    }
    let moved = result.structures.values().flat_map(|f| &f.effects).filter(|e| e.rule != Rule::Laterality);
    assert_eq!(moved.count(), 0, "no rule ran");
    assert!(result.structures.values().flat_map(|f| &f.effects).all(|e| e.added == 0 && e.removed == 0));
}

#[test]
fn a_structure_at_the_border_of_the_grid_is_flagged() {
    let up = Lps::new(7.0, -4.0, 70.0);
    let result = run(&labels(&TestHead { centre: up, ..TestHead::default() }), &RulesConfig::default());
    assert_eq!(result.structures[&Structure::Brain].flags, [Flag::Truncated { faces: vec![Face::Superior] }]);
    assert!(result.structures[&Structure::Eye_L].flags.is_empty());
    let aside = Lps::new(-70.0, -4.0, -40.0);
    let result = run(&labels(&TestHead { centre: aside, ..TestHead::default() }), &RulesConfig::default());
    let faces = vec![Face::Right, Face::Inferior];
    assert!(result.structures[&Structure::Brain].flags.contains(&Flag::Truncated { faces }));
}

/// The images end within the working grid, between the eyes and beside them, on turned and coarse voxels.
#[test]
fn a_structure_at_the_end_of_the_images_is_flagged() {
    let head = turned();
    let labels = labels(&head);
    let image = labels.map(|_| 300.0);
    let cut = |from: Lps, cols: usize| {
        let axes = [Vec3::new(0.8, 0.6, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-0.6, 0.8, 0.0)];
        let frame = labels.grid().frame().clone();
        let acquired = Grid::new(frame, Shape::new(cols, 70, 60), from, axes, [1.5, 4.0, 5.0]).unwrap();
        let case = Case {
            parts: &Parts::of_labels(&labels).unwrap(),
            image: &image,
            fat_suppressed: false,
            acquired: Some(&acquired),
        };
        let found = apply_to(&case, &RulesConfig::default()).unwrap().structures;
        let flagged = found.into_iter().filter(|(_, finding)| finding.flags.contains(&Flag::CutByView));
        flagged.map(|(structure, _)| structure).collect::<Vec<_>>()
    };
    // Everything lies well inside; then the first column passes through the left eye.
    let (eye, axis) = (head.place([32.0, -80.0, -37.0]), Vec3::new(0.8, 0.6, 0.0));
    let down = Vec3::new(0.0, 0.0, 1.0) * 140.0 + Vec3::new(0.6, -0.8, 0.0) * 100.0;
    assert_eq!(cut(eye + down + axis * -190.0, 250), []);
    let flagged = cut(eye + down, 250);
    assert!(flagged.contains(&Structure::Eye_L) && !flagged.contains(&Structure::Hippocampus_L), "{flagged:?}");
}

#[test]
fn nothing_predicted_is_twelve_structures_not_found() {
    let empty = Volume::filled(grid(SPACING), 0u8);
    for sides in [SideRule::HeadAxes, SideRule::ThesisBox] {
        let result = run(&empty, &RulesConfig { sides, ..RulesConfig::default() });
        for finding in result.structures.values() {
            assert_eq!(finding.flags, [Flag::NotFound { predicted: 0 }]);
            assert!(finding.flags[0].to_string().contains("not found"));
        }
    }
}

#[test]
fn effects_and_flags_survive_the_report() {
    let flags = vec![
        Flag::NotFound { predicted: 3 },
        Flag::Truncated { faces: vec![Face::Left, Face::Superior] },
        Flag::SideUncertain { distance_mm: 1.5 },
        Flag::AxesUncertain { symmetry: 0.5 },
        Flag::CutByView,
        Flag::BrainMissing,
    ];
    let text = serde_json::to_string(&flags).unwrap();
    assert!(text.contains(r#"{"kind":"truncated","faces":["left","superior"]}"#), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Flag>>(&text).unwrap(), flags);
    assert_eq!(flags[1].to_string(), "touches the left and superior border of the working grid: a part may be missing");
    let effect = RuleEffect { rule: Rule::FillHoles, added: 4, removed: 0 };
    assert_eq!(serde_json::to_string(&effect).unwrap(), r#"{"rule":"fill_holes","added":4,"removed":0}"#);
}
