//! A sample of the study `cargo bench --bench corruption`: heads damaged as networks damage them are better after the
//! rules, every nerve is connected, and a removed eye stays removed.

#[path = "../bench/corruption/mod.rs"]
mod suite;

use contourd::anatomy::rules::RulesConfig;
use contourd::anatomy::{Class, Structure};
use suite::heads::Subject;
use suite::study::{Case, SWITCHES, all_rules, scores};
use suite::table::{Changes, head};

const SPACING: [f64; 3] = [1.2, 1.3, 1.3];

#[test]
fn damaged_heads_are_better_after_the_rules() {
    let mut changes: Changes<Class> = Changes::default();
    // A head with both eyes, and one that lost an eye to surgery.
    for number in [1, 2] {
        let subject = Subject::new(number, SPACING);
        for seed in 0..2 {
            let case = Case::new(&subject, 90_000 + 10 * number + seed);
            assert_eq!(case.removed.is_some(), number == 2);
            let raw = case.run(&RulesConfig::default().without_rules());
            let result = case.run(&all_rules(SPACING));
            assert_eq!(case.faults(&result), Vec::<String>::new(), "{:?}", case.damages);
            // What the study leaves out, because the rule did nothing, is the same without it.
            for switch in SWITCHES.iter().filter(|switch| switch.idle(&result)).step_by(5) {
                let mut cfg = all_rules(SPACING);
                (switch.off)(&mut cfg);
                let without = case.run(&cfg);
                let same = |s: &Structure| without.structures[s].mask.data() == result.structures[s].mask.data();
                assert!(Structure::ALL.iter().all(same), "{} {:?}", switch.name, case.damages);
            }
            let before = scores(&case, &raw, None);
            changes.add_all(&before, &scores(&case, &result, Some((&raw, &before))));
        }
    }
    println!("{}{}", head("class, no rules -> all rules"), changes.rows(true, |c| c.name().to_owned()));
    println!(
        "worse in this sample: {:?}",
        changes.worse().map(|(class, change)| (class, change.cells())).collect::<Vec<_>>()
    );
    // So few cases say nothing of a single class; of all together they do.
    let sum = |measure: usize, end: usize| changes.0.values().map(|c| c.means()[measure][end]).sum::<f64>();
    assert!(sum(0, 1) > sum(0, 0) + 10.0, "Dice, percent, over eight classes: {} -> {}", sum(0, 0), sum(0, 1));
    assert!((1..3).all(|distance| sum(distance, 1) < sum(distance, 0)), "distances");
}

#[test]
fn every_switch_of_the_study_switches_something_off() {
    let all = all_rules(SPACING);
    for switch in SWITCHES {
        let mut without = all.clone();
        (switch.off)(&mut without);
        assert_ne!(without, all, "{}", switch.name);
    }
}
