//! Ordinary scans of synthetic heads. Shared by the benches `domain`, `ends` and `quality`.

use contourd::geometry::Volume;
use contourd::phantom::{Head, HeadOptions, Population, Rng, scan};

/// An ordinary case: a head of a seed, one in seven with one eye, scanned as departments scan.
pub fn ordinary(seed: u64) -> (Head, Volume<f32>) {
    let mut rng = Rng::new(seed, "ordinary case");
    let head = head(seed, &mut rng);
    let image = scan(&head, Population::Usual, seed, &mut rng).expect("a grid");
    (head, image)
}

/// The head of a seed in a usual pose; one in seven has one eye.
pub fn head(seed: u64, rng: &mut Rng) -> Head {
    Head::new(seed, &HeadOptions::drawn(rng, Population::Usual, 0.15))
}
