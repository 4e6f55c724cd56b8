//! `cargo bench --bench domain [-- SEED SEEDS ORDINARY]`: how many wrong images of each kind are held, with the reason given
//! most often, how many ordinary ones, and what is usual. Prints Markdown. The limits were set on seeds below 10000.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

#[path = "domain_cases.rs"]
mod cases;

use std::collections::BTreeMap;

use cases::{Patient, Wrong, delivered, judged, scans::ordinary};
use contourd::domain::{LIMITS, Verdict};

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<u64>().ok());
    let (seed, seeds, many) =
        (numbers.next().unwrap_or(12_000), numbers.next().unwrap_or(25), numbers.next().unwrap_or(100));
    let mut wrong: BTreeMap<Wrong, Vec<Verdict>> = BTreeMap::new();
    let (mut right, mut plain, mut usual) = (Vec::new(), Vec::new(), Vec::new());
    for seed in seed..seed + seeds {
        let patient = Patient::new(seed);
        right.push(judged(patient.right()));
        for kind in Wrong::ALL {
            wrong.entry(kind).or_default().push(judged(&patient.wrong(kind)));
        }
    }
    for seed in seed..seed + many {
        let image = ordinary(seed).1;
        plain.push(judged(&image));
        usual.push(judged(&delivered(&image, seed)));
    }
    println!("| image | held | reason given most often |\n|---|---|---|");
    for (kind, verdicts) in &wrong {
        println!("| {kind:?} | {} |", row(verdicts));
    }
    let all: Vec<Verdict> = wrong.into_values().flatten().collect();
    println!("| all wrong images | {} |", row(&all));
    println!("| the T1 that they are made of | {} |\n| ordinary | {} |", row(&right), row(&plain));
    println!("| ordinary, softer and noisier | {} |", row(&usual));
    println!("\n| measure | ordinary images | pass |\n|---|---|---|");
    for (n, limit) in LIMITS.iter().enumerate() {
        let values: Vec<f64> = plain.iter().chain(&usual).filter_map(|v| v.measures.get(n)?.value).collect();
        let (least, most) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        println!("| {:?} | {least:.3} to {most:.3} | {:?} |", limit.measure, limit.pass);
    }
}

/// How many are held, and the first words of the reason that was given most often.
fn row(verdicts: &[Verdict]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for words in verdicts.iter().flat_map(|v| &v.reasons) {
        *reasons.entry(words.rsplit_once(" (").map_or(words.as_str(), |(said, _)| said)).or_default() += 1;
    }
    let most = reasons.into_iter().max_by_key(|(_, n)| *n).map_or("", |(words, _)| words);
    format!("{} of {} | {most}", verdicts.iter().filter(|v| v.held().is_some()).count(), verdicts.len())
}
