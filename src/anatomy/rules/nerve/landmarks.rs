//! Where a nerve begins and ends: one landmark at its eye, one at its side of the chiasm.

use super::Voxel;

/// Squared length of a displacement in voxels, each axis weighed by `edge` (mm, or parts of another voxel).
pub(super) fn squared(a: Voxel, b: Voxel, edge: [f64; 3]) -> f64 {
    (0..3).map(|n| ((a[n] as f64 - b[n] as f64) * edge[n]).powi(2)).sum()
}

/// Squared distance from a voxel to the nearest of some, and which; `None` when there is none.
pub(super) fn nearest(from: Voxel, to: &[Voxel], edge: [f64; 3]) -> Option<(f64, Voxel)> {
    let mut best: Option<(f64, Voxel)> = None;
    for v in to {
        let d = squared(from, *v, edge);
        if best.is_none_or(|(least, _)| d < least) {
            best = Some((d, *v));
        }
    }
    best
}

/// The `count` voxels of `of` (all, when there are fewer) that are nearest to the set `to`, nearest first; ties go to
/// the voxel that comes first in `of`. Empty when one of the two is.
pub(super) fn nearest_points(of: &[Voxel], to: &[Voxel], count: usize, edge: [f64; 3]) -> Vec<Voxel> {
    let Some(middle) = barycentre(to) else { return Vec::new() };
    let reach = to.iter().map(|v| squared(*v, middle, edge).sqrt()).fold(0.0, f64::max);
    // No voxel is nearer to the set than its distance to the middle less the set's reach: in the order of that bound,
    // the search can end as soon as the bound passes the worst of the best.
    let mut order: Vec<(f64, usize)> =
        of.iter().enumerate().map(|(n, v)| (squared(*v, middle, edge).sqrt() - reach, n)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut best: Vec<(f64, usize)> = Vec::with_capacity(count + 1);
    for (bound, n) in order {
        let worst = best.last().filter(|_| best.len() == count).map_or(f64::INFINITY, |(d, _)| *d);
        if bound > 0.0 && bound.powi(2) > worst {
            break;
        }
        let Some((d, _)) = nearest(of[n], to, edge) else { break };
        let at = best.partition_point(|(other, m)| (*other, *m) <= (d, n));
        best.insert(at, (d, n));
        best.truncate(count);
    }
    best.into_iter().map(|(_, n)| of[n]).collect()
}

/// The voxel nearest to the barycentre of some.
pub(super) fn barycentre(of: &[Voxel]) -> Option<Voxel> {
    let n = of.len() as f64;
    (n > 0.0).then(|| std::array::from_fn(|a| (of.iter().map(|v| v[a] as f64).sum::<f64>() / n).round() as usize))
}

/// The voxels of the straight line between two, both included: each touches the next (26 neighbours).
pub(super) fn line(from: Voxel, to: Voxel) -> Vec<Voxel> {
    let steps = (0..3).map(|a| from[a].abs_diff(to[a])).max().unwrap_or(0);
    let at = |n: usize| {
        let share = n as f64 / steps.max(1) as f64;
        std::array::from_fn(|a| (from[a] as f64 + (to[a] as f64 - from[a] as f64) * share).round() as usize)
    };
    (0..=steps).map(at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn voxels(most: usize) -> impl Strategy<Value = Vec<Voxel>> {
        proptest::collection::vec([0usize..30, 0usize..25, 0usize..20], 0..most)
    }

    proptest! {
        #[test]
        fn the_nearest_points_are_those_of_a_full_sort(of in voxels(60), to in voxels(40), count in 1usize..20) {
            let edge = [0.7, 0.75, 1.1];
            let got = nearest_points(&of, &to, count, edge);
            let distance = |v: &Voxel| to.iter().map(|t| squared(*v, *t, edge)).fold(f64::INFINITY, f64::min);
            let mut sorted: Vec<(f64, usize)> = of.iter().enumerate().map(|(n, v)| (distance(v), n)).collect();
            sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let want: Vec<Voxel> = sorted.iter().take(count).map(|(_, n)| of[*n]).collect();
            prop_assert_eq!(got, if to.is_empty() { Vec::new() } else { want });
        }

        #[test]
        fn a_line_is_one_chain_between_its_ends(
            from in [0usize..40, 0usize..40, 0usize..40],
            to in [0usize..40, 0usize..40, 0usize..40],
        ) {
            let line = line(from, to);
            prop_assert_eq!((line[0], line[line.len() - 1]), (from, to));
            prop_assert!(line.windows(2).all(|w| (0..3).all(|a| w[0][a].abs_diff(w[1][a]) <= 1) && w[0] != w[1]));
        }
    }

    #[test]
    fn a_landmark_is_the_voxel_nearest_to_the_barycentre() {
        assert_eq!(barycentre(&[[1, 5, 2], [2, 5, 2], [2, 6, 9]]), Some([2, 5, 4]));
        assert_eq!(barycentre(&[]), None);
    }
}
