//! Logistic regression whose weights cannot be negative: what is odd never speaks for a structure.

/// How strongly weights, and groups' own starts, are drawn to nothing: there are few bad structures.
const DRAWN: [f64; 2] = [10.0, 0.3];
/// Passes over all weights; far more than are needed.
const PASSES: usize = 1000;

/// One structure.
pub struct Sample {
    pub values: Vec<f64>,
    pub group: usize,
    pub bad: bool,
}

/// The log odds of bad are `start + groups[group] + weights * values`.
pub struct Fit {
    pub start: f64,
    pub groups: Vec<f64>,
    pub weights: Vec<f64>,
}

/// The likeliest weights by coordinate descent, each step by the curvature's upper bound, so that none can overshoot.
pub fn logistic(samples: &[Sample], groups: usize) -> Fit {
    let weights = samples.first().map_or(0, |s| s.values.len());
    let columns: Vec<Vec<(usize, f64)>> = (0..weights)
        .map(|w| samples.iter().enumerate().map(|(n, s)| (n, s.values[w])).filter(|(_, v)| *v != 0.0).collect())
        .chain((0..groups).map(|g| {
            let members = samples.iter().enumerate().filter(|(_, s)| s.group == g);
            members.map(|(n, _)| (n, 1.0)).collect()
        }))
        .chain([(0..samples.len()).map(|n| (n, 1.0)).collect()])
        .collect();
    let mut all = vec![0.0; columns.len()];
    let mut odds = vec![0.0; samples.len()];
    for _ in 0..PASSES {
        let mut most = 0.0f64;
        for (w, column) in columns.iter().enumerate() {
            let (drawn, least) = match w {
                w if w < weights => (DRAWN[0], 0.0),
                w if w < weights + groups => (DRAWN[1], f64::NEG_INFINITY),
                _ => (0.0, f64::NEG_INFINITY),
            };
            let (mut slope, mut bend) = (drawn * all[w], drawn + 1e-9);
            for (n, v) in column {
                let p = 1.0 / (1.0 + f64::exp(-odds[*n]));
                slope += (p - f64::from(u8::from(samples[*n].bad))) * v;
                bend += 0.25 * v * v;
            }
            let step = (all[w] - slope / bend).max(least) - all[w];
            if step != 0.0 {
                all[w] += step;
                column.iter().for_each(|(n, v)| odds[*n] += step * v);
                most = most.max(step.abs());
            }
        }
        if most < 1e-6 {
            break;
        }
    }
    let start = all.pop().unwrap_or(0.0);
    let own = all.split_off(weights);
    Fit { start, groups: own, weights: all }
}
