//! The optic nerves: connected whatever is missing of them, and left to the component rule where a precondition fails.

use super::*;

const NERVES: [(Structure, Structure); 2] =
    [(Structure::OpticNrv_L, Structure::Eye_L), (Structure::OpticNrv_R, Structure::Eye_R)];

fn with(nerve: NerveConfig) -> RulesConfig {
    RulesConfig { nerve, ..RulesConfig::default() }
}

fn by(path: NervePath) -> RulesConfig {
    with(NerveConfig { path, ..NerveConfig::default() })
}

/// Takes a class away where the place in the head (mm left, posterior, superior of the brain's middle) is so.
fn remove(labels: &mut Volume<u8>, head: &TestHead, class: Class, gone: impl Fn([f64; 3]) -> bool) {
    let (grid, axes) = (Arc::clone(labels.grid()), head.axes());
    for offset in 0..labels.data().len() {
        let [i, j, k] = labels.voxel(offset);
        let from_middle = grid.centre(i, j, k) - head.centre;
        if gone(axes.map(|a| a.dot(from_middle) / head.scale)) {
            labels.data_mut()[offset] &= !class.bit();
        }
    }
}

/// Whether a nerve joins its eye and the chiasm: the three together are one piece there.
fn joins(result: &Consistent, nerve: Structure, eye: Structure) -> bool {
    let of = |s: Structure| &result.structures[&s].mask;
    let mut union = of(nerve).clone();
    for other in [eye, Structure::OpticChiasm] {
        union.data_mut().iter_mut().zip(of(other).data()).for_each(|(a, b)| *a |= b);
    }
    let found = crate::geometry::components(&union, crate::geometry::Connectivity::Corners);
    let label = |s: Structure| {
        let first = of(s).data().iter().position(|v| *v)?;
        let [i, j, k] = union.voxel(first);
        Some(found.label_at(i, j, k))
    };
    label(eye).is_some() && label(eye) == label(Structure::OpticChiasm)
}

fn not_traced(result: &Consistent, nerve: Structure) -> Vec<NotTraced> {
    let flags = result.structures[&nerve].flags.iter();
    flags.filter_map(|f| if let Flag::NerveNotTraced { why } = f { Some(*why) } else { None }).collect()
}

#[test]
fn an_interrupted_nerve_is_joined_and_flagged() {
    let head = turned();
    let mut labels = labels(&head);
    // 10 mm in the middle, on the right; 9 mm behind the eye, on the left.
    remove(
        &mut labels,
        &head,
        Class::OpticNerve,
        |[x, y, _]| {
            if x < 0.0 { (-50.0..-40.0).contains(&y) } else { y < -58.0 }
        },
    );
    let apart = run(&labels, &by(NervePath::Off));
    let result = run(&labels, &RulesConfig::default());
    for (nerve, eye) in NERVES {
        assert!(!joins(&apart, nerve, eye), "{nerve:?} without the path");
        assert!(joins(&result, nerve, eye), "{nerve:?}");
        let bridged = |f: &Flag| matches!(f, Flag::NerveBridged { gap_mm } if (3.0..14.0).contains(gap_mm));
        assert!(result.structures[&nerve].flags.iter().any(bridged), "{:?}", result.structures[&nerve].flags);
        assert!(effect(&result, nerve, Rule::Centreline).unwrap().0 > 0);
    }
    let unflagged = run(&labels, &with(NerveConfig { gap_flag_mm: 50.0, ..NerveConfig::default() }));
    assert!(!unflagged.structures[&NERVES[0].0].flags.iter().any(|f| matches!(f, Flag::NerveBridged { .. })));
}

#[test]
fn a_turned_head_is_followed_where_the_thesis_s_path_cannot() {
    let turned = TestHead { yaw: 40.0, ..TestHead::default() };
    let bent_back = TestHead { pitch: 80.0, ..TestHead::default() };
    for (head, why) in [(turned, NotTraced::Unreachable), (bent_back, NotTraced::Reversed)] {
        let labels = labels(&head);
        let thesis = run(&labels, &by(NervePath::ThesisY));
        assert!(NERVES.iter().any(|(nerve, _)| not_traced(&thesis, *nerve) == [why]), "{why:?}");
        let result = run(&labels, &RulesConfig::default());
        for (nerve, eye) in NERVES {
            assert_eq!(not_traced(&result, nerve), [], "{head:?}");
            assert!(joins(&result, nerve, eye), "{head:?}");
        }
    }
}

#[test]
fn without_eye_or_chiasm_the_component_rule_is_kept_and_said() {
    let head = TestHead { surgery: Surgery::EyeOnly(Side::Left), ..turned() };
    let mut labels = labels(&head);
    let component = run(&labels, &by(NervePath::Off));
    let result = run(&labels, &RulesConfig::default());
    let (left, right) = (Structure::OpticNrv_L, Structure::OpticNrv_R);
    assert!(result.structures[&Structure::Eye_L].mask.is_empty(), "a removed eye stays removed");
    assert_eq!(not_traced(&result, left), [NotTraced::NoEye { at_image_end: false }]);
    assert_eq!(result.structures[&left].mask.data(), component.structures[&left].mask.data());
    assert_eq!(not_traced(&result, right), []);
    assert!(joins(&result, right, Structure::Eye_R));

    remove(&mut labels, &head, Class::Chiasm, |_| true);
    let result = run(&labels, &RulesConfig::default());
    let none = NotTraced::NoChiasm { at_image_end: false };
    assert_eq!(not_traced(&result, left), [NotTraced::NoEye { at_image_end: false }, none]);
    assert_eq!(not_traced(&result, right), [none]);
    let flag = Flag::NerveNotTraced { why: none };
    assert_eq!(flag.severity(), Severity::Warning);
    assert!(flag.to_string().contains("the chiasm was not found"), "{flag}");
}

#[test]
fn an_image_that_ends_before_eyes_or_chiasm_is_named_as_the_cause() {
    let head = turned();
    let labels = labels(&head);
    // Nothing was acquired in front of a coronal plane through the orbits, or behind one between eyes and chiasm: the
    // working grid holds zeros there.
    let cut = |gone: fn(f64) -> bool| {
        let (mut labels, mut image) = (labels.clone(), labels.map(|_| 300.0f32));
        for offset in 0..labels.data().len() {
            let [i, j, k] = labels.voxel(offset);
            if gone(labels.grid().centre(i, j, k).y) {
                labels.data_mut()[offset] = 0;
                image.data_mut()[offset] = 0.0;
            }
        }
        apply(&labels, &image, &RulesConfig::default()).unwrap()
    };
    let eyes = (cut(|y| y < -32.0), NotTraced::NoEye { at_image_end: true });
    let chiasm = (cut(|y| y > -38.0), NotTraced::NoChiasm { at_image_end: true });
    for (result, why) in [eyes, chiasm] {
        assert!(NERVES.iter().any(|(nerve, _)| not_traced(&result, *nerve) == [why]), "{why:?}");
        assert!(why.to_string().contains("the image ends"), "{why}");
    }
}

#[test]
fn too_little_predicted_is_not_made_a_nerve() {
    let head = turned();
    let mut labels = labels(&head);
    remove(&mut labels, &head, Class::OpticNerve, |[x, y, _]| x > 0.0 && !(-50.0..-45.0).contains(&y));
    let result = run(&labels, &RulesConfig::default());
    let left = &result.structures[&Structure::OpticNrv_L];
    let voxels = left.mask.count();
    assert!((1..30).contains(&voxels));
    assert_eq!(not_traced(&result, Structure::OpticNrv_L), [NotTraced::LittlePredicted { voxels }]);
    let fewer = run(&labels, &with(NerveConfig { landmark_points: 5, ..NerveConfig::default() }));
    assert!(joins(&fewer, Structure::OpticNrv_L, Structure::Eye_L));
}

#[test]
fn abnormally_close_chiasm_landmarks_leave_the_nerve_of_the_nearer_eye() {
    let head = turned();
    let mut labels = labels(&head);
    remove(&mut labels, &head, Class::Chiasm, |_| true);
    add_ball(&mut labels, Class::Chiasm, head.place([-1.0, -22.0, -22.0]), 2.6);
    let result = run(&labels, &RulesConfig::default());
    // The right eye lies nearer.
    let [why] = not_traced(&result, Structure::OpticNrv_L)[..] else { panic!("the left nerve was traced") };
    assert!(matches!(why, NotTraced::CloseLandmarks { distance_mm } if distance_mm < 4.0), "{why:?}");
    assert_eq!(not_traced(&result, Structure::OpticNrv_R), []);
    assert!(joins(&result, Structure::OpticNrv_R, Structure::Eye_R));
    let both = run(&labels, &with(NerveConfig { close_landmarks_mm: 0.0, ..NerveConfig::default() }));
    assert_eq!(not_traced(&both, Structure::OpticNrv_L), []);
}

#[test]
fn a_chiasm_in_front_of_the_eyes_is_not_believed() {
    let head = turned();
    let mut labels = labels(&head);
    remove(&mut labels, &head, Class::Chiasm, |_| true);
    add_ball(&mut labels, Class::Chiasm, head.place([2.0, -112.0, -30.0]), 7.0);
    let result = run(&labels, &RulesConfig::default());
    for (nerve, _) in NERVES {
        assert_eq!(not_traced(&result, nerve), [NotTraced::Reversed]);
    }
}

#[test]
fn a_chiasm_pushed_aside_still_gives_both_nerves_an_end() {
    let head = turned();
    let mut labels = labels(&head);
    remove(&mut labels, &head, Class::Chiasm, |_| true);
    for x in [8.0, 12.0, 16.0] {
        add_ball(&mut labels, Class::Chiasm, head.place([x, -21.0, -21.0]), 5.0);
    }
    let result = run(&labels, &RulesConfig::default());
    for (nerve, eye) in NERVES {
        assert!(joins(&result, nerve, eye), "{nerve:?} {:?}", result.structures[&nerve].flags);
    }
}

#[test]
fn fat_is_no_nerve_unless_it_is_dark() {
    let head = turned();
    let mut labels = labels(&head);
    let truth = head.truth(&grid(SPACING));
    let nerve = truth_mask(&truth, Structure::OpticNrv_L);
    // The networks leak into fat above the left nerve, just behind the eye.
    let leak = head.place([28.0, -62.0, -29.5]);
    add_ball(&mut labels, Class::OpticNerve, leak, 3.0);
    let image = |fat: f32| {
        let mut image = nerve.map(|_| 250.0f32);
        for offset in 0..nerve.data().len() {
            let [i, j, k] = nerve.voxel(offset);
            if nerve.grid().centre(i, j, k).distance(head.place([30.0, -66.0, -35.0])) < 13.0 {
                image.data_mut()[offset] = fat;
            }
            if labels.data()[offset] & Class::Eye.bit() != 0 || nerve.data()[offset] {
                image.data_mut()[offset] = 300.0;
            }
        }
        image
    };
    let left = |fat: f32, fat_suppressed: bool, cfg: &RulesConfig| {
        let case =
            Case { parts: &Parts::of_labels(&labels).unwrap(), image: &image(fat), fat_suppressed, acquired: None };
        let result = apply_to(&case, cfg).unwrap();
        let fat = effect(&result, Structure::OpticNrv_L, Rule::Fat);
        (fat, inside(&result, Structure::OpticNrv_L, leak), result.structures[&Structure::OpticNrv_L].flags.clone())
    };
    let (fat, leaked, flags) = left(900.0, false, &RulesConfig::default());
    assert!(fat.unwrap().1 > 3 && !leaked && !flags.iter().any(|f| matches!(f, Flag::FatNotUsed { .. })));
    let (fat, leaked, flags) = left(900.0, true, &RulesConfig::default());
    assert!(fat.is_none() && leaked && flags.contains(&Flag::FatNotUsed { why: FatUnused::Suppressed }));
    let (fat, leaked, flags) = left(400.0, false, &RulesConfig::default());
    let dim = |f: &Flag| matches!(f, Flag::FatNotUsed { why: FatUnused::NotBright { ratio } } if *ratio < 1.5);
    assert!(fat.is_none() && leaked && flags.iter().any(dim), "{flags:?}");
    let (fat, leaked, flags) = left(900.0, false, &with(NerveConfig { fat: false, ..NerveConfig::default() }));
    assert!(fat.is_none() && leaked && !flags.iter().any(|f| matches!(f, Flag::FatNotUsed { .. })));
}

#[test]
fn what_leads_away_from_the_path_goes_unless_it_is_not_trimmed() {
    let head = turned();
    let mut labels = labels(&head);
    for n in 0..12 {
        add_ball(&mut labels, Class::OpticNerve, head.place([-18.0, -45.0, -28.0 - 2.0 * f64::from(n)]), 2.4);
    }
    let far = head.place([-18.0, -45.0, -48.0]);
    let result = run(&labels, &RulesConfig::default());
    assert!(!inside(&result, Structure::OpticNrv_R, far));
    assert!(effect(&result, Structure::OpticNrv_R, Rule::Centreline).unwrap().1 > 10);
    let kept = run(&labels, &with(NerveConfig { trim: false, ..NerveConfig::default() }));
    assert!(inside(&kept, Structure::OpticNrv_R, far));
}

#[test]
fn flags_of_the_nerve_survive_the_report() {
    let flags = vec![
        Flag::NerveNotTraced { why: NotTraced::CloseLandmarks { distance_mm: 2.5 } },
        Flag::NerveBridged { gap_mm: 8.4 },
        Flag::FatNotUsed { why: FatUnused::NotBright { ratio: 1.2 } },
    ];
    let text = serde_json::to_string(&flags).unwrap();
    assert!(
        text.contains(r#"{"kind":"nerve_not_traced","why":{"why":"close_landmarks","distance_mm":2.5}}"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Vec<Flag>>(&text).unwrap(), flags);
    assert_eq!(flags[1].to_string(), "drawn across 8 mm where the networks marked nothing: check its course");
}
