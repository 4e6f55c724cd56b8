//! Which values are usual, which let an image pass, and what is said of the others.
//!
//! `usual` is what ordinary synthetic heads of seeds below 10000 gave, among them softer and noisier ones than the phantom scans;
//! `cargo bench --bench domain` prints what others give. A limit lies between what is usual and what wrong inputs give; where
//! anatomy is known better than by phantoms (sizes), it lies there. When softer and noisier images were added, each limit
//! moved by as much as the usual did, but for the lower ones of `Top` and `Face`: a head back to front has the sign changed.
//! None is set on an image of a person; that they were widened follows from one (tests/bench/RESULTS.md).

use super::Measure;

/// Usual and allowed values of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Which.
    pub measure: Measure,
    /// Least and greatest value of ordinary synthetic heads.
    pub usual: [f64; 2],
    /// Least and greatest value that lets an image pass.
    pub pass: [f64; 2],
    /// What is said of a smaller value.
    low: &'static str,
    /// What is said of a greater value.
    high: &'static str,
}

impl Limit {
    /// Least and greatest value that lets an image pass with this slack.
    pub(super) fn allowed(&self, slack: f64) -> [f64; 2] {
        std::array::from_fn(|end| self.usual[end] * (1.0 - slack) + self.pass[end] * slack)
    }

    /// What is said of a value; `None` when it is allowed.
    pub(super) fn objection(&self, value: f64, [least, greatest]: [f64; 2]) -> Option<String> {
        let name = format!("{:?}", self.measure).to_lowercase();
        if !value.is_finite() {
            Some(format!("this is no head, or too little of one: {name} cannot be measured"))
        } else if value < least {
            Some(format!("{} ({name} {value:.2}, at least {least:.2})", self.low))
        } else if value > greatest {
            Some(format!("{} ({name} {value:.2}, at most {greatest:.2})", self.high))
        } else {
            None
        }
    }
}

const fn limit(measure: Measure, usual: [f64; 2], pass: [f64; 2], low: &'static str, high: &'static str) -> Limit {
    Limit { measure, usual, pass, low, high }
}

/// In the order of [`Measure::ALL`].
pub const LIMITS: [Limit; 18] = [
    limit(
        Measure::Top,
        [0.12, 0.4],
        [0.02, 0.45],
        "the body begins in a point at the top: this is no vault of a skull",
        "the body is cut at the top: the head is upside down, its top is missing, or this is another part of the body",
    ),
    limit(
        Measure::Base,
        [0.86, 1.0],
        [0.65, 1.2],
        "the body ends where a head goes on to the face: its skull is missing (brain-extracted), or it is upside down",
        "",
    ),
    limit(
        Measure::Height,
        [122.0, 178.0],
        [105.0, 400.0],
        "the image ends too soon below the top of the head: a part of the brain is missing",
        "the body is longer than a head",
    ),
    limit(
        Measure::Width,
        [150.0, 182.0],
        [120.0, 205.0],
        "the body is narrower than a head: half of it is missing, or this is another part of the body",
        "the body is wider than a head",
    ),
    limit(
        Measure::Length,
        [181.0, 220.0],
        [145.0, 245.0],
        "the body is shorter from front to back than a head: half of it is missing, or this is another part of the body",
        "the body is longer from front to back than a head: ghosts, wrap-around, or another part of the body",
    ),
    limit(
        Measure::Elongation,
        [1.07, 1.37],
        [1.0, 1.5],
        "the head is not longer from front to back than wide: its axes may be exchanged",
        "the head is too long for its width: its axes may be exchanged, a side missing or folded over",
    ),
    limit(
        Measure::Symmetry,
        [0.9, 1.0],
        [0.88, 1.1],
        "left and right are not alike: the head lies on its side, or a part is missing or folded over",
        "",
    ),
    limit(
        Measure::Flat,
        [0.14, 0.39],
        [-1.0, 0.41],
        "",
        "the head ends flat: it is cut by the field of view, or a part of it was wrapped around",
    ),
    limit(
        Measure::Beside,
        [0.0, 0.006],
        [-1.0, 0.021],
        "",
        "something lies beside the head: wrap-around, or two bodies",
    ),
    limit(Measure::Air, [0.01, 0.16], [-1.0, 0.18], "", "the air around the head is not dark: ghosts or heavy noise"),
    limit(Measure::Edge, [1.1, 2.86], [-1.0, 3.16], "", "the surface of the head is smeared: it moved"),
    limit(
        Measure::Skull,
        [0.13, 0.45],
        [0.05, 0.49],
        "the layer of bone is darker than air",
        "no dark bone lies around the brain: the skull is missing (brain-extracted), the head moved, or this is no MR",
    ),
    limit(
        Measure::Shell,
        [0.365, 2.06],
        [0.195, 2.6],
        "there is no brain below the skull",
        "bone is far brighter than brain: this looks like CT",
    ),
    limit(
        Measure::Dark,
        [0.2, 0.59],
        [0.12, 0.68],
        "the interior has holes: this is no brain",
        "no fluid in the brain is dark: this is no T1 (perhaps T2 or CT)",
    ),
    limit(
        Measure::Bright,
        [1.1, 1.47],
        [1.03, 1.8],
        "the interior is uniform: this is no brain",
        "fluid is brighter than brain: this looks like T2",
    ),
    limit(
        Measure::Cortex,
        [0.5, 0.99],
        [0.45, 1.02],
        "there is no cortex below the skull",
        "grey matter is brighter than white matter: this looks like FLAIR or T2",
    ),
    limit(
        Measure::Texture,
        [0.06, 0.13],
        [0.045, 0.19],
        "there are no folds below the skull: heavy motion, or this is no brain",
        "there is too much texture below the skull: heavy noise, or this is no T1",
    ),
    limit(
        Measure::Face,
        [0.004, 0.37],
        [0.0, 0.61],
        "the dark spaces of a face do not lie in front: the head is back to front, or its axes are exchanged",
        "most of the face is dark: this is no T1 of a head, or a part of it is missing",
    ),
];
