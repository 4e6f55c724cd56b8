//! Means before and after, and the tables of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use contourd::anatomy::Class;

use super::study::{Score, Scores};

/// Sums over pairs of scores, before and after.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change {
    pairs: usize,
    dice: [f64; 2],
    /// Pairs of which both have distances.
    measured: usize,
    distances: [[f64; 2]; 2],
}

impl Change {
    /// Adds a pair.
    pub fn add(&mut self, before: Score, after: Score) {
        self.pairs += 1;
        self.dice[0] += before.dice;
        self.dice[1] += after.dice;
        if let (Some(b), Some(a)) = (before.distances, after.distances) {
            self.measured += 1;
            for n in 0..2 {
                self.distances[n][0] += b[n];
                self.distances[n][1] += a[n];
            }
        }
    }

    /// Dice in percent, Hausdorff and mean distance in mm, before and after.
    pub fn means(&self) -> [[f64; 2]; 3] {
        let over = |sums: [f64; 2], n: usize| sums.map(|s| s / n.max(1) as f64);
        let [hausdorff, mean] = self.distances.map(|d| over(d, self.measured));
        [over(self.dice, self.pairs).map(|d| d * 100.0), hausdorff, mean]
    }

    fn is_worse(&self) -> bool {
        let [dice, hausdorff, mean] = self.means();
        // By half of the last digit that is printed.
        dice[1] < dice[0] - 0.005 || hausdorff[1] > hausdorff[0] + 0.005 || mean[1] > mean[0] + 0.0005
    }

    fn changed(&self) -> bool {
        self.dice[0] != self.dice[1] || self.distances.iter().any(|d| d[0] != d[1])
    }

    /// Its means before and after, as the cells of a row.
    pub fn cells(&self) -> String {
        let [dice, hausdorff, mean] = self.means();
        format!(
            "{:.2} -> {:.2} | {:.2} -> {:.2} | {:.3} -> {:.3}",
            dice[0], dice[1], hausdorff[0], hausdorff[1], mean[0], mean[1]
        )
    }
}

/// Changes by a key.
#[derive(Debug, Clone)]
pub struct Changes<K>(pub BTreeMap<K, Change>);

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Copy> Changes<K> {
    /// Adds a pair under a key.
    pub fn add(&mut self, key: K, before: Score, after: Score) {
        self.0.entry(key).or_default().add(before, after);
    }

    /// Rows of a table; with `all` those that did not change too.
    pub fn rows(&self, all: bool, name: impl Fn(K) -> String) -> String {
        let mut out = String::new();
        for (key, change) in self.0.iter().filter(|(_, c)| all || c.changed()) {
            let _ = writeln!(out, "| {} | {} | {} |", name(*key), change.pairs, change.cells());
        }
        out
    }

    /// Everything that got worse on average.
    pub fn worse(&self) -> impl Iterator<Item = (K, &Change)> {
        self.0.iter().filter(|(_, change)| change.is_worse()).map(|(key, change)| (*key, change))
    }
}

impl Changes<Class> {
    /// Adds every structure of a case under its class.
    pub fn add_all(&mut self, before: &Scores, after: &Scores) {
        before.iter().for_each(|(s, score)| self.add(s.class(), *score, after[s]));
    }
}

/// The head of a table.
pub fn head(first: &str) -> String {
    format!("| {first} | structures | Dice, % | Hausdorff, mm | mean distance, mm |\n|---|---|---|---|---|\n")
}
