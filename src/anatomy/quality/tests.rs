//! Lopsided, made-up evidence to lights.

use std::collections::BTreeMap;

use super::*;
use crate::anatomy::rules::{Flag, NotTraced};
use crate::anatomy::{CardCode, Class, Description, GenericRule, Side, Structure, describe};

/// Limits of the lens, a nerve and the eye in which every measure has another range and another weight. Nothing odd is a
/// doubt of 0.018; 0.1 is amber, 0.5 red: 1.8 and 4 more in log odds.
fn limits() -> Limits {
    let class = |class, usual: &[(Measure, [f64; 3])]| ClassLimits {
        class,
        dice: 0.77,
        start: -4.0,
        usual: usual.iter().copied().collect(),
    };
    let networks = [(Measure::Agreement, [0.7, 0.8, 0.9]), (Measure::Expected, [0.6, 0.7, 0.75])];
    let with = |own: &[(Measure, [f64; 3])]| [&networks[..], own].concat();
    let volume = |least, middle, most| (Measure::Volume, [least, middle, most]);
    let (apart, dropped) = ((Measure::Apart, [7.0, 9.0, 12.0]), (Measure::Dropped, [0.0, 0.02, 0.12]));
    Limits {
        command: "made up".into(),
        created: "2026-01-01".into(),
        fit_seeds: vec![[1, 7], [31, 32]],
        other_seeds: vec![[11, 13]],
        amber: 0.1,
        red: 0.5,
        others: 0.95,
        fit: Figures { bad: 5, caught: 4, good: 19, green: 17 },
        other: Figures { bad: 3, caught: 3, good: 11, green: 10 },
        weight: BTreeMap::from([
            (Measure::Agreement, [1.0, 0.0]),
            (Measure::Expected, [0.3, 0.0]),
            (Measure::Volume, [1.0, 2.0]),
            (Measure::Dropped, [0.0, 1.5]),
            (Measure::Apart, [1.0, 1.2]),
            (Measure::Gap, [0.0, 0.7]),
        ]),
        class: vec![
            class(Class::Lens, &with(&[volume(0.14, 0.17, 0.22), dropped, apart])),
            class(Class::OpticNerve, &with(&[volume(0.5, 0.6, 0.8), dropped, apart, (Measure::Gap, [-1.0, 0.0, 3.0])])),
            class(Class::Eye, &with(&[volume(5.0, 7.0, 8.0), dropped, apart])),
        ],
    }
}

fn lens() -> Evidence {
    Evidence::from([
        (Measure::Agreement, 0.81),
        (Measure::Expected, 0.72),
        (Measure::Volume, 0.17),
        (Measure::Dropped, 0.02),
        (Measure::Apart, 9.0),
    ])
}

/// A structure by itself.
fn one(structure: Structure, evidence: Option<&Evidence>, flags: &[Flag], limits: Option<&Limits>) -> Judgement {
    judge(&[Subject { structure, evidence, flags }], limits).remove(0)
}

fn judged(evidence: &Evidence, flags: &[Flag]) -> Judgement {
    one(Structure::Lens_R, Some(evidence), flags, Some(&limits()))
}

#[test]
fn what_is_usual_is_green_and_what_is_odd_is_amber_or_red_with_the_number() {
    assert_eq!(judged(&lens(), &[]), Judgement { light: Light::Green, reasons: Vec::new() });
    for (measure, value, light, words) in [
        // 1 for each 0.1 below 0.8: amber below 0.62, red below 0.4.
        (Measure::Agreement, 0.63, Light::Green, ""),
        (Measure::Agreement, 0.54, Light::Amber, "networks disagree on 46 % of its voxels (usual: at most 30 %)"),
        (Measure::Agreement, 0.35, Light::Red, "networks disagree on 65 % of its voxels (usual: at most 30 %)"),
        // Nothing is wrong with much agreement, nor with little that was dropped.
        (Measure::Agreement, 1.0, Light::Green, ""),
        (Measure::Dropped, 0.0, Light::Green, ""),
        // 1 for each 0.03 below 0.17, and 2 for each 0.05 above.
        (Measure::Volume, 0.12, Light::Green, ""),
        (Measure::Volume, 0.11, Light::Amber, "volume 0.11 cm3 (usual: 0.14 to 0.22)"),
        (Measure::Volume, 0.26, Light::Amber, "volume 0.26 cm3 (usual: 0.14 to 0.22)"),
        (Measure::Dropped, 0.31, Light::Red, "the rules took away 31 % of what was marked of its kind"),
        (Measure::Apart, 14.5, Light::Amber, "its middle lies 14.5 mm from that of Eye_R (usual: 7.0 to 12.0)"),
        (Measure::Apart, 4.9, Light::Amber, "its middle lies 4.9 mm"),
        // No number, and none that is compared with one, is as odd as can be.
        (Measure::Agreement, f64::NAN, Light::Red, "networks disagree on NaN"),
        (Measure::Dropped, f64::INFINITY, Light::Red, "the rules took away inf"),
    ] {
        let mut evidence = lens();
        evidence.insert(measure, value);
        let judged = judged(&evidence, &[]);
        assert_eq!(judged.light, light, "{measure:?} {value}: {:?}", judged.reasons);
        assert_eq!(judged.reasons.len(), usize::from(light != Light::Green), "{:?}", judged.reasons);
        assert!(judged.reasons.iter().all(|reason| reason.contains(words)), "{:?}", judged.reasons);
    }
}

#[test]
fn several_small_oddities_add_up_and_the_weightiest_reason_comes_first() {
    let mut evidence = lens();
    evidence.extend([(Measure::Volume, 0.20), (Measure::Agreement, 0.73)]);
    let both = judged(&evidence, &[]);
    assert_eq!(both.light, Light::Amber);
    let begins = ["volume 0.20", "networks disagree on 27 %"];
    assert!(both.reasons.iter().zip(begins).all(|(r, b)| r.starts_with(b)), "{:?}", both.reasons);
    assert_eq!(both.reasons.len(), 2);
    evidence.insert(Measure::Volume, 0.17);
    assert_eq!(judged(&evidence, &[]).light, Light::Green);
    // What is sure comes before what is weighed, unless that is worse; a flag that is weighed is no reason.
    evidence.insert(Measure::Agreement, 0.2);
    let flags = [Flag::LensSmall { share: 0.4 }, Flag::SeveralParts { parts: 2 }];
    let judged = judged(&evidence, &flags);
    assert_eq!(judged.light, Light::Red);
    let begins = ["networks disagree on 80 %", "in 2 separate parts"];
    assert_eq!(judged.reasons.len(), begins.len(), "{:?}", judged.reasons);
    assert!(judged.reasons.iter().zip(begins).all(|(r, b)| r.starts_with(b)), "{:?}", judged.reasons);
}

#[test]
fn what_lies_within_the_usual_is_named_only_where_nothing_lies_beyond() {
    let mut limits = limits();
    limits.class[0].start = -2.6;
    let mut evidence = lens();
    evidence.insert(Measure::Agreement, 0.73);
    let reasons = |evidence: &Evidence| one(Structure::Lens_R, Some(evidence), &[], Some(&limits)).reasons;
    let within = reasons(&evidence);
    assert!(within.len() == 1 && within[0].starts_with("networks disagree on 27 %"), "{within:?}");
    evidence.insert(Measure::Volume, 0.23);
    let beyond = reasons(&evidence);
    assert!(beyond.len() == 1 && beyond[0].starts_with("volume 0.23"), "{beyond:?}");
}

/// Where the class itself is often wrong, or the others speak against the image, there is a reason, too.
#[test]
fn no_amber_is_without_a_reason() {
    let mut limits = limits();
    limits.class[0].start = -1.0;
    let judged = one(Structure::Lens_R, Some(&lens()), &[], Some(&limits));
    assert_eq!(
        (judged.light, judged.reasons),
        (Light::Amber, vec!["structures of its kind are too often wrong".into()])
    );
}

#[test]
fn flags_colour_the_light_by_their_severity() {
    let light = |flag: Flag| judged(&lens(), &[flag]).light;
    assert_eq!(light(Flag::SeveralParts { parts: 3 }), Light::Amber);
    assert_eq!(light(Flag::CutByView), Light::Amber);
    assert_eq!(light(Flag::LensSmall { share: 0.3 }), Light::Green);
    assert_eq!(light(Flag::HippocampusLong { length_mm: 61.0 }), Light::Amber);
    assert_eq!(light(Flag::RulesOff), Light::Amber);
    assert_eq!(light(Flag::SideUncertain { distance_mm: 1.5 }), Light::Red);
    assert_eq!(light(Flag::NotDrawn { reason: "it crosses itself".into() }), Light::Red);
}

/// What looks well among much that is odd is amber; an eye that was removed with lens and nerve is not odd.
#[test]
fn many_odd_structures_speak_against_the_image() {
    let limits = limits();
    let (good, bad) = (lens(), Evidence::from([(Measure::Agreement, 0.8), (Measure::Expected, 0.3)]));
    let gone = [Flag::NotFound { predicted: 0 }];
    let of = |structure, evidence| Subject { structure, evidence, flags: &[] };
    let missing = |structure| Subject { structure, evidence: None, flags: &gone };
    let judged = |odd: usize, more: &[Subject]| {
        let structure = Structure::Lens_R;
        let lenses = [vec![of(structure, Some(&good)); 5 - odd], vec![of(structure, Some(&bad)); odd]].concat();
        let all = [lenses, more.to_vec()].concat();
        (judge(&all, Some(&limits)), signs(&all, &limits))
    };
    // Each odd one of the four others counts as much as an other can: 3 of 4 make 2.25.
    let (lights, seen) = judged(3, &[]);
    assert_eq!(seen[0].others, 2.25);
    assert_eq!(lights[0].light, Light::Amber);
    assert_eq!(lights[0].reasons, ["the other structures are doubtful: the image may be poor"]);
    assert_eq!(judged(2, &[]).0[0].light, Light::Green);
    // Two that were not found make four odd ones of six.
    let (lights, seen) = judged(2, &[Structure::Lens_L, Structure::OpticNrv_L].map(missing));
    assert_eq!((seen[0].others, lights[0].light, lights[5].light), (2.0, Light::Amber, Light::Red));
    // Where their eye is missing, too, while the other one is there, none of the three counts.
    // Its other eye is here an odd one: it has the volume of a lens.
    let (left, right) = (Structure::Eye_L, of(Structure::Eye_R, Some(&good)));
    let orbit = [missing(left), missing(Structure::Lens_L), missing(Structure::OpticNrv_L), right];
    let (lights, seen) = judged(2, &orbit);
    assert_eq!((seen[0].others, lights[0].light), (9.0 / 5.0, Light::Green));
    assert!(lights[5..8].iter().all(|judged| judged.light == Light::Amber), "{lights:?}");
    // Both eyes missing are no surgery.
    let (lights, seen) = judged(2, &[missing(left), missing(Structure::Lens_L), missing(Structure::Eye_R)]);
    assert_eq!(seen[0].others, 15.0 / 7.0);
    assert!(lights[5..8].iter().all(|judged| judged.light == Light::Red), "{lights:?}");
    // A head that is one structure has no others.
    assert_eq!(signs(&[of(Structure::Lens_L, Some(&good))], &limits)[0].others, 0.0);
}

/// A bridged nerve: by how long a bridge is usual, not by the flag.
#[test]
fn a_bridge_is_judged_by_its_length() {
    let light = |gap_mm: f64| {
        let evidence = Evidence::from([(Measure::Agreement, 0.8), (Measure::Expected, 0.7), (Measure::Gap, gap_mm)]);
        one(Structure::OpticNrv_R, Some(&evidence), &[Flag::NerveBridged { gap_mm }], Some(&limits())).light
    };
    assert_eq!([4.0, 7.6, 9.1, 18.0].map(light), [Light::Green, Light::Green, Light::Amber, Light::Red]);
}

/// However well the rest of it looks, nobody knows where a nerve that was not followed ends.
#[test]
fn a_nerve_that_was_not_followed_is_never_green() {
    let evidence = Evidence::from([(Measure::Agreement, 0.8), (Measure::Expected, 0.7)]);
    let light = |flags: &[Flag]| one(Structure::OpticNrv_R, Some(&evidence), flags, Some(&limits())).light;
    assert_eq!(light(&[]), Light::Green);
    assert_eq!(light(&[Flag::NerveNotTraced { why: NotTraced::NoChiasm { at_image_end: false } }]), Light::Amber);
}

#[test]
fn what_was_not_found_is_never_green() {
    let gone = [Flag::NotFound { predicted: 0 }];
    let evidence = lens();
    // The eyes of the head: both, only that of the other side, none.
    let judged = |structure: Structure, eyes: [bool; 2]| {
        let eye = |side, there: bool| Subject {
            structure: Structure::of(Class::Eye, Some(side)).unwrap(),
            evidence: there.then_some(&evidence),
            flags: if there { &[] } else { &gone },
        };
        let side = structure.side().unwrap_or(Side::Left);
        let mut head = vec![eye(side, eyes[0]), eye(side.other(), eyes[1])];
        head.retain(|eye| eye.structure != structure);
        head.insert(0, Subject { structure, evidence: None, flags: &gone });
        judge(&head, Some(&limits())).remove(0)
    };
    for structure in Structure::ALL {
        let orbit = matches!(structure.class(), Class::Eye | Class::Lens | Class::OpticNerve);
        let removed = if orbit { Light::Amber } else { Light::Red };
        assert_eq!(judged(structure, [false, true]).light, removed, "{structure:?}");
        assert_eq!(judged(structure, [false, false]).light, Light::Red, "{structure:?}");
        assert_eq!(judged(structure, [false, true]).reasons, ["not found: the networks marked nothing"]);
        // Its own eye is there, unless it is that eye.
        let beside = if structure.class() == Class::Eye { removed } else { Light::Red };
        assert_eq!(judged(structure, [true, true]).light, beside, "{structure:?}");
    }
}

/// Neither a card without limits nor a result without votes may look safe.
#[test]
fn what_cannot_be_judged_is_amber() {
    for (structure, evidence, limits) in [
        (Structure::Lens_L, Some(lens()), None),
        (Structure::Lens_L, None, Some(limits())),
        // What the networks said is missing; the class is not in the card.
        (Structure::Lens_L, Some(Evidence::from([(Measure::Volume, 0.17)])), Some(limits())),
        (Structure::Brainstem, Some(Evidence::from([(Measure::Agreement, 0.9)])), Some(limits())),
    ] {
        let judged = one(structure, evidence.as_ref(), &[], limits.as_ref());
        assert_eq!(judged.light, Light::Amber, "{structure:?} {evidence:?}");
        assert!(judged.reasons[0].starts_with("not judged"), "{:?}", judged.reasons);
    }
}

/// A described class is judged as any once the card has limits for it. Without, it is amber, and no doubt about others.
#[test]
fn a_described_class_is_judged_by_its_own_limits_or_not_at_all() {
    let knob = Description {
        name: "knob".into(),
        sided: false,
        structures: vec!["Knob".into()],
        colours: vec![[6, 6, 6]],
        rules: GenericRule::None,
        enclosed_by: None,
        volume_cc: Some([0.1, 0.4]),
        volume_source: Some("a card".into()),
        code: CardCode { value: "KNOB".into(), scheme: "99TEST".into(), meaning: "Knob".into() },
    };
    let class = describe(&[knob]).unwrap()[0];
    let structure = Structure::of(class, None).unwrap();
    let evidence = lens();
    let of = |structure| Subject { structure, evidence: Some(&evidence), flags: &[] };
    let head = [of(Structure::Lens_L), of(structure)];
    let [lens, knob] = &judge(&head, Some(&limits()))[..] else { panic!("two") };
    assert_eq!((lens.light, knob.light), (Light::Green, Light::Amber));
    assert!(knob.reasons[0].starts_with("not judged: the model's card"), "{:?}", knob.reasons);
    assert_eq!(signs(&head, &limits())[0].others, 0.0);

    let mut judged = limits();
    let mut own = judged.class[0].clone();
    own.class = class;
    // It has no organ beside it, so that this is not asked.
    own.usual.remove(&Measure::Apart);
    judged.class.push(own);
    let known = [Class::Lens, Class::OpticNerve, Class::Eye, class];
    assert_eq!((limits().fault(&known), judged.fault(&known)), (None, None));
    assert_eq!(judge(&head, Some(&judged))[1].light, Light::Green);
    judged.class.push(judged.class[3].clone());
    assert!(judged.fault(&known).unwrap().contains("knob once"));

    let mut large = evidence.clone();
    large.insert(Measure::Volume, 0.6);
    let words = &one(structure, Some(&large), &[], Some(&limits())).reasons;
    assert!(words.iter().any(|w| w == "volume 0.60 cm3; expected are 0.1 to 0.4 (a card)"), "{words:?}");
}

#[test]
fn a_volume_that_no_adult_has_is_named_with_its_source() {
    let mut limits = limits();
    limits.weight.remove(&Measure::Volume);
    let light = |cc: f64| {
        let mut evidence = lens();
        evidence.insert(Measure::Volume, cc);
        one(Structure::OpticNrv_L, Some(&evidence), &[], Some(&limits))
    };
    // Contours of one organ differ by up to a quarter.
    assert_eq!([0.15, 0.17, 1.36, 1.39].map(|cc| light(cc).light == Light::Green), [false, true, true, false]);
    let words = &light(1.39).reasons[0];
    assert!(words.contains("1.39 cm3; expected are 0.2 to 1.1 (diameters of Karim"), "{words}");
    for class in Class::ALL {
        let [least, most] = reference(class).unwrap().cc;
        assert!(0.0 < least && least < most && reference(class).unwrap().source.len() > 10);
    }
}

#[test]
fn every_measure_can_be_said() {
    let usual = [0.1, 0.15, 0.2];
    for measure in Measure::ALL {
        let words = measure.words(Structure::OpticChiasm, 0.345, usual);
        assert!(words.len() > 15 && words.contains("usual"), "{measure:?}: {words}");
        assert_eq!(measure.oddness(0.15, usual), [0.0; 2]);
        let far = |value| measure.oddness(value, usual);
        let expected = measure.wrong().map(|wrong| if wrong { 1.0 } else { 0.0 });
        for (seen, expected) in [far(0.1)[0], far(0.2)[1]].iter().zip(expected) {
            assert!((seen - expected).abs() < 1e-9, "{measure:?}: {seen}");
        }
        assert!(
            far(99.0)[1] == measure::MOST_ODD * expected[1] && far(-99.0)[0] == measure::MOST_ODD * expected[0],
            "{measure:?}"
        );
    }
}

#[test]
fn limits_are_checked() {
    let classes = [Class::Lens, Class::OpticNerve, Class::Eye];
    assert_eq!(limits().fault(&classes), None);
    let broken = |change: &dyn Fn(&mut Limits), words: &str| {
        let mut limits = limits();
        change(&mut limits);
        let fault = limits.fault(&classes).unwrap_or_default();
        assert!(fault.contains(words), "{words:?}: {fault:?}");
    };
    broken(&|l| _ = l.class.remove(1), "optic_nerve once");
    broken(&|l| l.class.push(l.class[0].clone()), "lens once");
    broken(&|l| l.class[2].dice = 1.2, "eye: dice");
    broken(&|l| l.class[0].start = f64::NAN, "lens: start");
    broken(&|l| l.amber = 0.0, "amber = 0");
    broken(&|l| l.red = 0.05, "red = 0.05");
    broken(&|l| l.others = -0.1, "weight of -0.1");
    broken(&|l| _ = l.weight.insert(Measure::Volume, [f64::NAN, 1.0]), "weight of NaN");
    let silent = |l: &mut Limits| l.weight.extend([Measure::Agreement, Measure::Expected].map(|m| (m, [0.0; 2])));
    broken(&silent, "no weight of what the networks say");
    broken(&|l| _ = l.class[2].usual.remove(&Measure::Volume), "eye: nothing says what Volume");
    broken(&|l| _ = l.class[1].usual.remove(&Measure::Gap), "optic_nerve: nothing says what Gap");
    broken(&|l| _ = l.class[0].usual.insert(Measure::Volume, [0.3, 0.3, 0.4]), "Volume from 0.3 by 0.3 to 0.4");
    broken(&|l| _ = l.class[0].usual.insert(Measure::Volume, [f64::NEG_INFINITY, 0.3, 0.4]), "Volume from");
    broken(&|l| l.fit.caught = 6, "more structures caught");
    broken(&|l| l.other.green = 12, "more structures caught");
    // As the card has them.
    let text = toml::to_string(&limits()).unwrap();
    assert_eq!(toml::from_str::<Limits>(&text).unwrap(), limits());
    assert!(toml::from_str::<Limits>(&format!("surprise = 1\n{text}")).is_err());
}
