//! Faults of the configuration, limits and words. Images: the bench `domain`.

use std::sync::Arc;

use super::*;
use crate::geometry::{Grid, Lps, Shape};
use crate::ids::FrameOfReferenceUid;

#[test]
fn limits_follow_the_measures_and_widen_with_slack() {
    for (limit, measure) in LIMITS.iter().zip(Measure::ALL) {
        assert_eq!(limit.measure, measure);
        let [usual_least, usual_greatest] = limit.usual;
        assert!(
            limit.pass[0] < usual_least && usual_least <= usual_greatest && usual_greatest < limit.pass[1],
            "{measure:?}"
        );
        assert!(limit.allowed(1.0).iter().zip(limit.pass).all(|(allowed, pass)| (allowed - pass).abs() < 1e-9));
        let (narrow, wide) = (limit.allowed(0.5), limit.allowed(2.0));
        assert!(wide[0] < limit.pass[0] && limit.pass[0] < narrow[0] && narrow[1] < limit.pass[1]);
        assert!(limit.objection((usual_least + usual_greatest) / 2.0, limit.pass).is_none());
        assert!(limit.objection(f64::NAN, limit.pass).is_some_and(|words| words.contains("no head")));
        // What can happen has words.
        let above = limit.objection(limit.pass[1] + 1.0, limit.pass);
        assert!(above.is_some_and(|words| words.contains("at most")));
    }
}

#[test]
fn a_block_is_no_head_and_too_little_brain_is_said() {
    let frame = FrameOfReferenceUid::derive(&["block"]);
    let grid =
        Grid::axis_aligned(frame, Shape::new(70, 80, 60), Lps::new(-105.0, -110.0, -60.0), [3.0, 2.9, 2.8]).unwrap();
    let mut block = Volume::filled(Arc::new(grid), 1.0f32);
    for k in 0..50 {
        for j in 15..60 {
            for i in 10..62 {
                block.set(i, j, k, 900.0);
            }
        }
    }
    let verdict = judge(&block, Some(31.0), &DomainConfig::default()).unwrap();
    assert_eq!(verdict.measures.len(), LIMITS.len());
    let held = verdict.held().unwrap();
    assert!(held.contains("cut at the top") && held.contains("31 cm3 of brain"), "{held}");
    let silent = judge(&block, None, &DomainConfig::default()).unwrap();
    assert_eq!(silent.reasons.len() + 1, verdict.reasons.len());
    let nothing = block.map(|_| 0.0);
    let verdict = judge(&nothing, None, &DomainConfig::default()).unwrap();
    assert!(verdict.reasons.iter().all(|words| words.contains("no head")) && verdict.reasons.len() == LIMITS.len());
    let json = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<Verdict>(&json).unwrap(), verdict);
    assert_eq!(Verdict::default().held(), None);
}

#[test]
fn faults_of_the_section_are_named() {
    assert_eq!(DomainConfig::default().faults(), Vec::<String>::new());
    let bad = DomainConfig { slack: 0.0, brain_cc: [900.0, 100.0], ..DomainConfig::default() };
    let faults = bad.faults();
    assert!(faults.len() == 2 && faults[0].starts_with("slack ") && faults[1].starts_with("brain_cc "), "{faults:?}");
}
