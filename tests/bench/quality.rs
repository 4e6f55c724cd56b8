//! `cargo bench --bench quality [-- --model DIR] [--write] [HEADS]`: what is usual for the structures of a model, and how
//! well lights tell the bad ones. A structure is bad when its Dice with the truth is more than 0.15 below the mean of its
//! class on ordinary heads, after the rules.
//!
//! Four series of HEADS synthetic heads (seeds from 41000, 42000, 43000 and 46000), half of them ordinary, half of them harder
//! ([`images`]); each seen by the networks, then twice more with the networks' vote damaged ([`damage`]). Limits are fitted on
//! the first three series alone ([`fit`]), and tried there on heads left out of the fit; the last only measures them. With
//! `--write` they go into the card. What networks say, and what was made of it, are kept in target/quality under names that
//! hold a digest of everything that they depend on.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

#[path = "quality/cases.rs"]
mod cases;
#[path = "quality/damage.rs"]
mod damage;
#[path = "quality/fit.rs"]
mod fit;
#[path = "quality/images.rs"]
mod images;
#[path = "quality/logistic.rs"]
mod logistic;
mod scans;
#[path = "quality/table.rs"]
mod table;
#[path = "quality/votes.rs"]
mod votes;

use std::path::Path;

use cases::Seen;
use contourd::anatomy::Class;
use contourd::anatomy::quality::Limits;
use contourd::inference::{InferenceConfig, Model, Runtime};
use serde::Serialize;

/// The first seeds of the series that limits are fitted on, and of the one that they are measured on.
const FIT: [u64; 3] = [41_000, 42_000, 43_000];
const OTHER: [u64; 1] = [46_000];
/// Heads of a series.
const HEADS: u64 = 14;
/// Damaged votes of each head.
const DRAWS: u64 = 2;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let model_at = words.iter().position(|w| w == "--model").and_then(|n| words.get(n + 1));
    let folder = root.join(model_at.map_or("models/oar-head-v3", String::as_str));
    let heads = words.iter().find_map(|w| w.parse().ok()).unwrap_or(HEADS);
    let config = InferenceConfig { threads: 1, ..InferenceConfig::default() };
    let runtime = Runtime::load(&config).expect("ONNX Runtime");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Runs of one model take turns: a model for each core.
    let models: Vec<Model> = (0..cores).map(|_| Model::load(&folder, &runtime).expect("the model")).collect();
    let kept = root.join("target/quality");

    // Heads are numbered through all series, so that each kind of hard image comes in turn.
    let series = |(n, first): (u64, &u64)| {
        let first = *first;
        (0..heads).map(move |m| (first + m, n * heads + m))
    };
    let fit: Vec<(u64, u64)> = (0..).zip(&FIT).flat_map(series).collect();
    let other: Vec<(u64, u64)> = (FIT.len() as u64..).zip(&OTHER).flat_map(series).collect();
    let all = [fit.clone(), other.clone()].concat();
    std::thread::scope(|scope| {
        for (n, model) in models.iter().enumerate() {
            let (all, kept) = (&all, &kept);
            scope.spawn(move || {
                for (seed, number) in all.iter().skip(n).step_by(cores) {
                    eprintln!("head {seed} ({:?})", images::kind(*number));
                    cases::seen(model, *seed, *number, DRAWS, kept);
                }
            });
        }
    });
    // Everything is kept by now.
    let seen = |(seed, number): &(u64, u64)| cases::seen(&models[0], *seed, *number, DRAWS, &kept);
    let fitted: Vec<Seen> = fit.iter().flat_map(seen).collect();
    let others: Vec<Seen> = other.iter().flat_map(seen).collect();
    let means = fit::means(&fitted);
    let seeds = |of: &[u64]| of.iter().map(|first| [*first, first + heads - 1]).collect();
    let (mut limits, left_out) = fit::limits(&fitted, &means);
    let measured = fit::judged(&others, &limits);
    limits.fit = fit::figures(&left_out, &means, |_| true);
    limits.other = fit::figures(&measured, &means, |_| true);
    (limits.fit_seeds, limits.other_seeds) = (seeds(&FIT), seeds(&OTHER));
    limits.created = time::OffsetDateTime::now_utc().date().to_string();
    limits.command = format!("cargo bench --bench quality -- {}", words.join(" "));

    println!("Amber from a doubt of {} on. Weights, below and above the usual, and of the others:\n", limits.amber);
    for (measure, [below, above]) in &limits.weight {
        println!("- {measure:?}: {below:.2}, {above:.2}");
    }
    println!("- others: {:.2}\n\n| class | mean Dice | start | usual |\n|---|---|---|---|", limits.others);
    for class in &limits.class {
        let usual: Vec<String> =
            class.usual.iter().map(|(m, [low, _, high])| format!("{m:?} {low:.2} to {high:.2}")).collect();
        println!("| {} | {:.3} | {:.2} | {} |", class.class.name(), class.dice, class.start, usual.join(", "));
    }
    println!("\nHeads that the limits were fitted on, each judged by a fit without it:\n");
    println!("{}\nOther heads:\n\n{}", table::table(&left_out, &means), table::table(&measured, &means));
    if words.iter().any(|w| w == "--write") {
        write(&folder.join("card.toml"), limits);
    }
}

/// Puts the limits at the end of a card, in the place of those that it had.
fn write(card: &Path, quality: Limits) {
    #[derive(Serialize)]
    struct Table {
        quality: Limits,
    }
    let text = std::fs::read_to_string(card).expect("a card");
    let rest = text.split("\n[quality]\n").next().unwrap_or(&text).trim_end();
    let fault = quality.fault(&quality.class.iter().map(|limits| limits.class).collect::<Vec<Class>>());
    assert_eq!(fault, None, "limits that a card cannot hold");
    let own = toml::to_string(&Table { quality }).expect("limits as TOML");
    std::fs::write(card, format!("{rest}\n\n{own}")).expect("the card");
    println!("{}: written", card.display());
}
