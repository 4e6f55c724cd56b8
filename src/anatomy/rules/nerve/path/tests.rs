//! The path against a brute-force solver on small random graphs.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::anatomy::{Class, Parts};
use crate::geometry::{Lps, Shape, Volume};
use crate::ids::FrameOfReferenceUid;

const SIZE: [usize; 3] = [5, 6, 4];

fn grid(spacing: [f64; 3]) -> Arc<Grid> {
    let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
    let shape = Shape::new(SIZE[0], SIZE[1], SIZE[2]);
    Arc::new(Grid::axis_aligned(frame, shape, Lps::new(-4.0, 9.0, 2.5), spacing).unwrap())
}

fn every() -> impl Iterator<Item = Voxel> {
    (0..SIZE[2]).flat_map(|k| (0..SIZE[1]).flat_map(move |j| (0..SIZE[0]).map(move |i| [i, j, k])))
}

/// The thesis's cost of a voxel in its two parts, from its words: label and distance, border.
fn plain_cost(v: Voxel, ends: Ends, predicted: &Part, ruler: &Ruler, cfg: &NerveConfig) -> (f64, f64) {
    let target = cfg.distance_cost * ruler.distance(v, ends.target);
    if !predicted.contains(v) {
        return (cfg.label_cost + target, 0.0);
    }
    let around = (-9i64..14).flat_map(|k| (-9i64..15).flat_map(move |j| (-9i64..14).map(move |i| [i, j, k])));
    let negative = around.filter(|u| u.iter().any(|n| *n < 0) || !predicted.contains(u.map(|n| n as usize)));
    let by = |u: [i64; 3]| std::array::from_fn(|a| u[a] - v[a] as i64);
    let nearest = negative.map(|u| ruler.length(by(u))).fold(f64::INFINITY, f64::min);
    (target, (ends.radius(v, ruler, cfg) - nearest).max(0.0))
}

/// Cost of a step, or none where it is not allowed.
fn step_cost(from: Voxel, to: Voxel, ends: Ends, cost: (f64, f64), ruler: &Ruler, cfg: &NerveConfig) -> Option<f64> {
    let by: [i64; 3] = std::array::from_fn(|a| to[a] as i64 - from[a] as i64);
    if cfg.path == NervePath::ThesisY {
        return (by[1] == 1).then_some(cost.0 + cost.1);
    }
    let (step, whole) = (ruler.mm(from, to), ruler.mm(ends.start, ends.target));
    let cos = step.dot(whole) / (step.norm() * whole.norm());
    let inside = ruler.line_distance(to, ends.start, ends.target) <= cfg.corridor_voxels;
    (inside && cos >= cfg.bend_deg.to_radians().cos())
        .then_some(cost.0 * ruler.length(by) + cost.1 * ruler.length(by) * cos)
}

fn total(path: &[Voxel], ends: Ends, predicted: &Part, ruler: &Ruler, cfg: &NerveConfig) -> Option<f64> {
    path.windows(2)
        .map(|w| step_cost(w[0], w[1], ends, plain_cost(w[1], ends, predicted, ruler, cfg), ruler, cfg))
        .sum()
}

/// The least cost by relaxing every step between every two neighbours until nothing changes (Bellman and Ford).
fn brute_force(ends: Ends, predicted: &Part, ruler: &Ruler, cfg: &NerveConfig) -> Option<f64> {
    let at = |v: Voxel| v[0] + SIZE[0] * (v[1] + SIZE[1] * v[2]);
    let costs: Vec<(f64, f64)> = every().map(|v| plain_cost(v, ends, predicted, ruler, cfg)).collect();
    let mut least = vec![f64::INFINITY; costs.len()];
    least[at(ends.start)] = 0.0;
    let mut changed = true;
    while changed {
        changed = false;
        for (from, to) in every().flat_map(|from| every().map(move |to| (from, to))) {
            let beside = from != to && (0..3).all(|a| from[a].abs_diff(to[a]) <= 1);
            if !beside || least[at(from)].is_infinite() {
                continue;
            }
            let Some(step) = step_cost(from, to, ends, costs[at(to)], ruler, cfg) else { continue };
            if least[at(from)] + step < least[at(to)] - 1e-12 {
                least[at(to)] = least[at(from)] + step;
                changed = true;
            }
        }
    }
    Some(least[at(ends.target)]).filter(|cost| cost.is_finite())
}

fn place() -> impl Strategy<Value = Voxel> {
    [0..SIZE[0], 0..SIZE[1], 0..SIZE[2]]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_path_costs_what_a_brute_force_solver_finds(
        marked in proptest::collection::vec(proptest::bool::weighted(0.6), SIZE[0] * SIZE[1] * SIZE[2]),
        (start, target) in (place(), place()),
        own in any::<bool>(),
        thesis_grid in any::<bool>(),
        bend_deg in 45.0..85.0f64,
        (corridor_voxels, radius_eye) in (2.0..6.0f64, 2.5..7.0f64),
    ) {
        let grid = grid(if thesis_grid { [0.7, 0.7, 0.9] } else { [0.8, 1.1, 1.9] });
        let bit = |inside: &bool| if *inside { Class::OpticNerve.bit() } else { 0 };
        let labels = Volume::new(Arc::clone(&grid), marked.iter().map(bit).collect()).unwrap();
        let predicted = Parts::of_labels(&labels).unwrap().of(Class::OpticNerve).clone();
        let path = if own { NervePath::OwnAxis } else { NervePath::ThesisY };
        let cfg = NerveConfig { path, bend_deg, corridor_voxels, radius_eye, ..NerveConfig::default() };
        let (ruler, ends) = (Ruler::new(&grid, &cfg), Ends { start, target });
        prop_assume!(start != target);

        let found = centreline(ends, &predicted, &grid, &ruler, &cfg);
        let least = brute_force(ends, &predicted, &ruler, &cfg);
        prop_assert_eq!(found.is_some(), least.is_some());
        if let Some((path, least)) = found.zip(least) {
            prop_assert_eq!((path[0], path[path.len() - 1]), (start, target));
            let cost = total(&path, ends, &predicted, &ruler, &cfg).expect("allowed steps only");
            prop_assert!((cost - least).abs() < 1e-6, "{} is not {}", cost, least);
        }
    }
}
