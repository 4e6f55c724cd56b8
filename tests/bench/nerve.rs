//! `cargo bench --bench nerve [-- HEADS]`: the optic nerve's rule on turned heads with damaged nerves: component rule, the
//! thesis's path along y, and the path along the nerve's own axis, against the truth. Prints Markdown.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

#[path = "nerve_cases.rs"]
mod cases;
mod nerve_damage;

use std::collections::BTreeMap;

use cases::{Case, Outcome, methods, outcomes};
use nerve_damage::Damage;

/// Yaw, pitch and roll, degrees.
const POSES: [(&str, [f64; 3]); 9] = [
    ("straight", [0.0, 0.0, 0.0]),
    ("yaw -40", [-40.0, 0.0, 0.0]),
    ("yaw -20", [-20.0, 0.0, 0.0]),
    ("yaw 20", [20.0, 0.0, 0.0]),
    ("yaw 40", [40.0, 0.0, 0.0]),
    ("pitch -25", [0.0, -25.0, 0.0]),
    ("pitch 25", [0.0, 25.0, 0.0]),
    ("roll 25", [0.0, 0.0, 25.0]),
    ("all", [30.0, 20.0, -25.0]),
];

fn main() {
    let heads: u64 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(6);
    let mut by_pose: BTreeMap<(usize, usize), Vec<Outcome>> = BTreeMap::new();
    let mut by_damage: BTreeMap<(Damage, usize), Vec<Outcome>> = BTreeMap::new();
    for (n, (_, pose)) in POSES.iter().enumerate() {
        for seed in 0..heads {
            let case = Case::new(100 + seed, *pose);
            for damage in Damage::ALL {
                let labels = case.damaged(seed, damage);
                for (m, (_, cfg)) in methods().iter().enumerate() {
                    let (both, _) = outcomes(&case, &labels, cfg);
                    by_pose.entry((n, m)).or_default().extend(both);
                    by_damage.entry((damage, m)).or_default().extend(both);
                }
            }
        }
    }
    let names = methods().map(|(name, _)| name);
    println!("| pose | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for (n, (name, _)) in POSES.iter().enumerate() {
        println!("| {name} | {} |", [0, 1, 2].map(|m| row(&by_pose[&(n, m)])).join(" | "));
    }
    println!("\n| damage | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for damage in Damage::ALL {
        println!("| {damage:?} | {} |", [0, 1, 2].map(|m| row(&by_damage[&(damage, m)])).join(" | "));
    }
}

/// Mean Dice, Hausdorff and mean distance, and how many nerves are connected.
fn row(all: &[Outcome]) -> String {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let dice = mean(all.iter().map(|o| o.dice).collect());
    let hausdorff = mean(all.iter().filter_map(|o| o.hausdorff_mm).collect());
    let distance = mean(all.iter().filter_map(|o| o.mean_mm).collect());
    let whole = all.iter().filter(|o| o.connected).count();
    format!("{:.1} / {hausdorff:.1} / {distance:.2} / {whole} of {}", dice * 100.0, all.len())
}
