//! The check of the image, on one seed of the study that the bench `domain` makes of many.

use contourd::domain::Measure;

use super::domain_cases::{Patient, Wrong, delivered, judged, scans::ordinary};

#[test]
fn wrong_images_are_held_with_reasons_and_ordinary_ones_are_not() {
    let patient = Patient::new(7003);
    assert_eq!(judged(patient.right()).reasons, Vec::<String>::new());
    for kind in Wrong::ALL {
        let verdict = judged(&patient.wrong(kind));
        assert!(verdict.held().is_some(), "{kind:?} passes: {:?}", verdict.measures);
    }
    // Soft and noisy: 1.8 mm, 8.6 %.
    let image = ordinary(7004).1;
    assert_eq!(judged(&image).reasons, Vec::<String>::new());
    let verdict = judged(&delivered(&image, 7004));
    assert_eq!(verdict.reasons, Vec::<String>::new());
    assert!(verdict.measures.iter().all(|m| m.value.is_some()), "{:?}", verdict.measures);
}

/// What is wrong is said, not only that something is.
#[test]
fn what_is_wrong_is_named() {
    for (seed, kind, measure, words) in [
        (7004, Wrong::Motion, Measure::Edge, "it moved"),
        (7004, Wrong::WrappedAround, Measure::Flat, "wrapped around"),
        (7004, Wrong::BrainExtracted, Measure::Base, "its skull is missing"),
        (7004, Wrong::BackToFront, Measure::Face, "back to front"),
    ] {
        let verdict = judged(&Patient::new(seed).wrong(kind));
        let beyond = verdict.measures.iter().find(|m| m.measure == measure).unwrap();
        let [least, most] = beyond.allowed;
        assert!(!(least..=most).contains(&beyond.value.unwrap()), "{kind:?}: {beyond:?}");
        assert!(verdict.reasons.iter().any(|reason| reason.contains(words)), "{kind:?}: {:?}", verdict.reasons);
    }
}
