//! `cargo bench --bench ends [-- HEADS]`: whether what the networks dispute at the upper (superior) end of a structure tells
//! how wrong that end is. Heads as those of the bench `quality`, whose votes are used where they are kept. Prints Markdown.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

#[path = "quality/images.rs"]
mod images;
mod scans;
#[path = "quality/votes.rs"]
mod votes;

use std::collections::BTreeMap;
use std::path::Path;

use contourd::anatomy::Structure;
use contourd::anatomy::rules::{Case, RulesConfig, apply_to};
use contourd::geometry::{Mask, working_volume};
use contourd::inference::{InferenceConfig, Model, Runtime, Vote};
use contourd::phantom::truth;

/// The brainstem ends there by convention, the chiasm below the hypothalamus, the pituitary at its stalk.
const STRUCTURES: [Structure; 3] = [Structure::Brainstem, Structure::OpticChiasm, Structure::Pituitary];
/// Slices at the end, and as many beyond it: those that reviewers corrected (thesis, section 4.3.4).
const SLICES: usize = 2;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let heads: u64 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(12);
    let runtime = Runtime::load(&InferenceConfig { threads: 1, ..InferenceConfig::default() }).expect("ONNX Runtime");
    let model = Model::load(&root.join("models/oar-head-v3"), &runtime).expect("the model");
    let mut ends: BTreeMap<Structure, Vec<End>> = BTreeMap::new();
    for first in [41_000, 42_000] {
        for number in 0..heads {
            let (head, image) = images::scanned(first + number, images::kind(number));
            let working = working_volume(&image, &model.card().working).expect("a head");
            let vote = votes::Marks::of(&model, &working, &root.join("target/quality")).vote(working.grid());
            let acquired = Some(image.grid().as_ref());
            let case = Case { parts: &vote.parts().expect("boxes"), image: &working, fat_suppressed: false, acquired };
            let found = apply_to(&case, &RulesConfig::default()).expect("one grid");
            let truth = truth(&head, working.grid());
            for structure in STRUCTURES {
                let mask = &found.structures[&structure].mask;
                ends.entry(structure).or_default().extend(End::of(&vote, structure, mask, &truth[&structure]));
            }
        }
    }
    println!(
        "| upper end of | heads | within a slice of the true one | disputed, % | Dice, less disputed half | more | rank correlation |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (structure, mut ends) in ends {
        ends.sort_by(|a, b| a.disputed.total_cmp(&b.disputed));
        let near = ends.iter().filter(|end| end.slices_off < 2).count();
        let (less, more) = ends.split_at(ends.len() / 2);
        let dice = |ends: &[End]| ends.iter().map(|end| end.dice).sum::<f64>() / ends.len().max(1) as f64;
        let share = |n: usize| ends.get(n).map_or(f64::NAN, |end| end.disputed * 100.0);
        println!(
            "| {} | {} | {near} | {:.0} to {:.0} | {:.2} | {:.2} | {:.2} |",
            structure.name(),
            ends.len(),
            share(0),
            share(ends.len().saturating_sub(1)),
            dice(less),
            dice(more),
            rank_correlation(&ends),
        );
    }
}

/// The upper end of one structure of one head.
struct End {
    /// Of the voxels that a network found in its last slices and the first ones beyond, the share that not all three found.
    disputed: f64,
    /// Slices between the found and the true end.
    slices_off: usize,
    /// From the slice below the lower of both ends upwards.
    dice: f64,
}

impl End {
    /// `None` where nothing was found or is there.
    fn of(vote: &Vote, structure: Structure, found: &Mask, truth: &Mask) -> Option<Self> {
        let [top, true_top] = [found, truth].map(|mask| mask.extent().map(|extent| extent.hi[2]));
        let (top, true_top) = top.zip(true_top)?;
        let shape = found.grid().shape();
        let plane = shape.cols * shape.rows;
        let first_beyond = top + 1;
        let near = first_beyond.saturating_sub(SLICES) * plane..(first_beyond + SLICES).min(shape.slices) * plane;
        let counts: Vec<u8> = near.map(|n| vote.count(structure.class(), n)).filter(|count| *count > 0).collect();
        let all = counts.iter().filter(|count| **count == 3).count();
        let from = top.min(true_top).saturating_sub(1) * plane;
        let marked = |mask: &Mask| mask.data()[from..].iter().filter(|inside| **inside).count();
        let both = found.data()[from..].iter().zip(&truth.data()[from..]).filter(|(a, b)| **a && **b).count();
        (!counts.is_empty()).then(|| Self {
            disputed: 1.0 - all as f64 / counts.len() as f64,
            slices_off: top.abs_diff(true_top),
            dice: 2.0 * both as f64 / (marked(found) + marked(truth)) as f64,
        })
    }
}

/// Spearman's, of what is disputed and Dice: -1 where the most disputed end is always the worst. Ends in the order of what
/// is disputed.
fn rank_correlation(ends: &[End]) -> f64 {
    let mut by_dice: Vec<usize> = (0..ends.len()).collect();
    by_dice.sort_by(|a, b| ends[*a].dice.total_cmp(&ends[*b].dice));
    let n = ends.len() as f64;
    let squares: f64 = by_dice.iter().enumerate().map(|(rank, other)| (rank as f64 - *other as f64).powi(2)).sum();
    1.0 - 6.0 * squares / (n * (n * n - 1.0))
}
