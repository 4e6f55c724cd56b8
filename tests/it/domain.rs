//! The check of the image, on one seed of the study that the bench `domain` makes of many.

use contourd::domain::Measure;

use super::domain_cases::{Patient, Wrong, judged, scans::ordinary};

#[test]
fn wrong_images_are_held_with_reasons_and_ordinary_ones_are_not() {
    let patient = Patient::new(7003);
    assert_eq!(judged(patient.right()).reasons, Vec::<String>::new());
    for kind in Wrong::ALL {
        let verdict = judged(&patient.wrong(kind));
        assert!(verdict.held().is_some(), "{kind:?} passes: {:?}", verdict.measures);
    }
    let verdict = judged(&ordinary(7003).1);
    assert_eq!(verdict.reasons, Vec::<String>::new());
    assert!(verdict.measures.iter().all(|m| m.value.is_some()), "{:?}", verdict.measures);
}

/// What is wrong is said, not only that something is.
#[test]
fn motion_and_wrap_around_are_named() {
    let patient = Patient::new(7004);
    for (kind, measure, words) in
        [(Wrong::Motion, Measure::Edge, "it moved"), (Wrong::WrappedAround, Measure::Flat, "wrapped around")]
    {
        let verdict = judged(&patient.wrong(kind));
        let beyond = verdict.measures.iter().find(|m| m.measure == measure).unwrap();
        assert!(beyond.value.unwrap() > beyond.allowed[1], "{kind:?}: {beyond:?}");
        assert!(verdict.reasons.iter().any(|reason| reason.contains(words)), "{kind:?}: {:?}", verdict.reasons);
    }
}
