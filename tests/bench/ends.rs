//! `cargo bench --bench ends [-- HEADS]`: whether what the networks disagree on at the upper end of a structure tells where
//! that end is wrong. Heads of the bench `quality`, whose votes are used where they are kept. Prints Markdown.

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
    let model = Model::load(&root.join("models/oar-head-v1"), &runtime).expect("the model");
    // Of each structure: how much is disputed where the end is right, and where it is wrong.
    let mut disputed: BTreeMap<Structure, [Vec<f64>; 2]> = BTreeMap::new();
    for first in [41_000, 42_000] {
        for number in 0..heads {
            let (head, image) = images::scanned(first + number, images::kind(number));
            let working = working_volume(&image, &model.card().working).expect("a head");
            let vote = votes::Marks::of(&model, &working, &root.join("target/quality")).vote(working.grid());
            let acquired = Some(image.grid().as_ref());
            let case = Case { labels: &vote.labels(), image: &working, fat_suppressed: false, acquired };
            let found = apply_to(&case, &RulesConfig::default()).expect("one grid");
            let truth = truth(&head, working.grid());
            for structure in STRUCTURES {
                let mask = &found.structures[&structure].mask;
                let share = share_disputed(&vote, structure, mask);
                let Some(((share, end), right)) = share.zip(top(mask)).zip(top(&truth[&structure])) else { continue };
                disputed.entry(structure).or_default()[usize::from(end.abs_diff(right) >= SLICES)].push(share);
            }
        }
    }
    println!("| upper end of | right within a slice | disputed there, % | wrong by two or more | disputed there, % |");
    println!("|---|---|---|---|---|");
    for (structure, [right, wrong]) in disputed {
        let name = structure.name();
        println!(
            "| {name} | {} | {} | {} | {} |",
            right.len(),
            spread(right.clone()),
            wrong.len(),
            spread(wrong.clone())
        );
    }
}

fn top(mask: &Mask) -> Option<usize> {
    mask.extent().map(|extent| extent.hi[2])
}

/// Of the voxels that a network found at the end of a structure and beyond it, the share that not all three found.
fn share_disputed(vote: &Vote, structure: Structure, mask: &Mask) -> Option<f64> {
    let (end, shape) = (top(mask)? + 1, mask.grid().shape());
    let plane = shape.cols * shape.rows;
    let offsets = end.saturating_sub(SLICES) * plane..(end + SLICES).min(shape.slices) * plane;
    let counts: Vec<u8> = offsets.map(|n| vote.count(structure.class(), n)).filter(|count| *count > 0).collect();
    let all = counts.iter().filter(|count| **count == 3).count();
    (!counts.is_empty()).then(|| 1.0 - all as f64 / counts.len() as f64)
}

/// Least, middle and greatest, in percent.
fn spread(mut shares: Vec<f64>) -> String {
    shares.sort_by(f64::total_cmp);
    let at = |n: usize| shares.get(n).map_or(f64::NAN, |share| share * 100.0);
    format!("{:.0}, {:.0}, {:.0}", at(0), at(shares.len() / 2), at(shares.len().saturating_sub(1)))
}
