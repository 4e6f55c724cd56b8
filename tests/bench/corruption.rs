//! `cargo bench --bench corruption [-- HEADS DRAWS FULL]`: heads damaged as networks damage them, before and after the
//! rules, against their truth; then each rule's switch. 30 heads, 10 draws of damages for each, on voxels of 1.2 x 1.3 x
//! 1.3 mm; with `FULL` on the working grid's, with those switches alone that do nothing on larger voxels. Prints Markdown, and
//! how many structures of each damage a flag warns of. Ends with a fault where a class gets worse on average by the rules, or
//! by one of them more than is accepted ([`ACCEPTED`]), a nerve is not connected, or a removed eye comes back.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

#[path = "corruption/mod.rs"]
mod corruption;
mod nerve_damage;

use std::collections::BTreeMap;

use contourd::anatomy::Class;
use contourd::anatomy::rules::{RulesConfig, Severity};
use corruption::damage::Damage;
use corruption::heads::Subject;
use corruption::study::{Case, SWITCHES, all_rules, scores, would_meet};
use corruption::table::{Change, Changes, head};

/// Classes that are a little worse on average with a rule that stays all the same, and by how much at most: Dice in percent,
/// Hausdorff and mean distance in mm. Why is said beside the table in tests/bench/RESULTS.md.
const ACCEPTED: &[(&str, Class, [f64; 3])] = &[
    ("brain_fill_holes", Class::Brain, [0.02, 0.2, 0.001]),
    ("add_to_brain", Class::Brain, [0.01, 0.05, 0.001]),
    ("eye_remove_small", Class::OpticNerve, [0.05, 0.02, 0.002]),
    ("optic_nerve_largest_component", Class::OpticNerve, [0.1, 0.06, 0.04]),
    ("nerve.opening", Class::OpticNerve, [0.3, 0.05, 0.01]),
];

/// Whether a class is no worse with a rule than is accepted.
fn is_accepted(rule: &str, class: Class, change: &Change) -> bool {
    let [dice, hausdorff, mean] = change.means();
    ACCEPTED.iter().any(|(name, of, [less, further, apart])| {
        *name == rule
            && *of == class
            && dice[0] - dice[1] <= *less
            && hausdorff[1] - hausdorff[0] <= *further
            && mean[1] - mean[0] <= *apart
    })
}

/// Switches of rules that count in voxels of the working grid, and do nothing on those of the study.
const FINE: &[&str] = &["nerve.opening"];

fn main() {
    let given: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [heads, draws] = [(0, 30), (1, 10)].map(|(n, or)| given.get(n).copied().unwrap_or(or));
    let full = std::env::args().any(|a| a == "FULL");
    let spacing = if full { [0.7, 0.7, 0.9] } else { [1.2, 1.3, 1.3] };
    let switches: Vec<_> = SWITCHES.iter().filter(|switch| !full || FINE.contains(&switch.name)).collect();
    let mut whole: Changes<Class> = Changes::default();
    let mut by_damage: Changes<(Class, Damage)> = Changes::default();
    // Of the structures by their damage, undamaged ones among them, those that a flag warns of, and all.
    let mut warned: BTreeMap<(Class, Damage), [usize; 2]> = BTreeMap::new();
    let mut by_rule: Vec<Changes<Class>> = vec![Changes::default(); switches.len()];
    let mut faults = Vec::new();
    let (mut cases, mut removed, mut met) = (0, 0, 0);
    for number in 0..heads {
        let subject = Subject::new(number, spacing);
        for draw in 0..draws {
            let seed = number * 1000 + draw;
            let case = Case::new(&subject, seed);
            let raw = case.run(&RulesConfig::default().without_rules());
            let before = scores(&case, &raw, None);
            let result = case.run(&all_rules(spacing));
            let after = scores(&case, &result, Some((&raw, &before)));
            whole.add_all(&before, &after);
            for (structure, damage) in &case.damages {
                let key = (structure.class(), *damage);
                by_damage.add(key, before[structure], after[structure]);
                let flags = &result.structures[structure].flags;
                let counted = warned.entry(key).or_default();
                counted[0] += usize::from(flags.iter().any(|flag| flag.severity() >= Severity::Warning));
                counted[1] += 1;
            }
            cases += 1;
            removed += usize::from(case.removed.is_some());
            met += result.structures.values().filter(|nerve| would_meet(nerve)).count();
            faults.extend(case.faults(&result).into_iter().map(|fault| format!("case {seed}: {fault}")));
            for (switch, changes) in switches.iter().zip(&mut by_rule) {
                if switch.idle(&result) {
                    changes.add_all(&after, &after);
                    continue;
                }
                let mut cfg = all_rules(spacing);
                (switch.off)(&mut cfg);
                let without = scores(&case, &case.run(&cfg), Some((&result, &after)));
                changes.add_all(&without, &after);
            }
        }
        eprintln!("{} of {heads} heads", number + 1);
    }
    println!("{cases} cases, {removed} of them with one eye; voxels of {spacing:?} mm");
    println!("{met} nerves were not followed because both would have ended at one place\n");
    println!("{}{}", head("class, no rules -> all rules"), whole.rows(true, |c| c.name().to_owned()));
    let name = |(class, damage): (Class, Damage)| format!("{}, {damage:?}", class.name());
    println!("{}{}", head("damage, no rules -> all rules"), by_damage.rows(true, name));
    println!("| damage | structures that a flag warns of |\n|---|---|");
    warned.iter().for_each(|(key, [some, all])| println!("| {} | {some} of {all} |", name(*key)));
    println!();
    println!("{}", head("rule, all others -> and this one").trim_end());
    for (switch, changes) in switches.iter().zip(&by_rule) {
        let rule = switch.name;
        print!("{}", changes.rows(false, |c| format!("{rule}: {}", c.name())));
        let unknown = changes.worse().filter(|(class, change)| !is_accepted(rule, *class, change));
        faults
            .extend(unknown.map(|(class, change)| format!("{rule} makes worse: {}: {}", class.name(), change.cells())));
    }
    let worse = whole.worse();
    faults.extend(worse.map(|(class, change)| format!("the rules make worse: {}: {}", class.name(), change.cells())));
    println!();
    faults.iter().for_each(|fault| println!("FAULT {fault}"));
    std::process::exit(i32::from(!faults.is_empty()));
}
