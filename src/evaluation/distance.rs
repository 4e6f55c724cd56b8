//! Distances between the surfaces of two structures.

use serde::Serialize;

use crate::geometry::{Extent, GeometryError, Mask};

/// Distances in mm between the border voxels of two structures, both ways.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SurfaceDistances {
    /// Mean over the border voxels of both, each to the nearest of the other.
    pub mean_mm: f64,
    /// The largest (Hausdorff).
    pub hausdorff_mm: f64,
    /// The larger of the two directions' 95 % quantiles.
    pub hausdorff95_mm: f64,
}

/// Surface distances of two masks on one grid; `None` when one of them is empty. A border voxel has a face neighbour
/// outside its structure, or lies at the border of the grid; distances are between voxel centres.
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn surface_distances(a: &Mask, b: &Mask) -> Result<Option<SurfaceDistances>, GeometryError> {
    a.same_grid(b)?;
    let (Some(x), Some(y)) = (a.extent(), b.extent()) else { return Ok(None) };
    let bounds =
        Extent { lo: std::array::from_fn(|n| x.lo[n].min(y.lo[n])), hi: std::array::from_fn(|n| x.hi[n].max(y.hi[n])) };
    let (border_a, border_b) = (border(a, bounds), border(b, bounds));
    let spacing = a.grid().spacing();
    let one_way = |from: &[bool], to: &[bool]| {
        let squared = squared_distances(to, bounds.size(), spacing);
        let mut all: Vec<f64> =
            from.iter().zip(squared).filter(|(inside, _)| **inside).map(|(_, d)| d.sqrt()).collect();
        all.sort_unstable_by(f64::total_cmp);
        all
    };
    let (ab, ba) = (one_way(&border_a, &border_b), one_way(&border_b, &border_a));
    let last = |d: &[f64]| d.last().copied().unwrap_or(0.0);
    let mean = ab.iter().chain(&ba).sum::<f64>() / (ab.len() + ba.len()) as f64;
    Ok(Some(SurfaceDistances {
        mean_mm: mean,
        hausdorff_mm: last(&ab).max(last(&ba)),
        hausdorff95_mm: nearest_rank(&ab, 0.95).max(nearest_rank(&ba, 0.95)),
    }))
}

/// The smallest value that at least a share q of the sorted values do not exceed.
fn nearest_rank(sorted: &[f64], q: f64) -> f64 {
    let rank = (sorted.len() as f64 * q).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The border voxels of a mask within a box that holds it, in the box's storage order.
fn border(mask: &Mask, bounds: Extent) -> Vec<bool> {
    let shape = mask.grid().shape();
    let extents = [shape.cols, shape.rows, shape.slices];
    let mut out = Vec::with_capacity(bounds.size().iter().product());
    for k in bounds.lo[2]..=bounds.hi[2] {
        for j in bounds.lo[1]..=bounds.hi[1] {
            for i in bounds.lo[0]..=bounds.hi[0] {
                let surrounded = || {
                    (0..3).all(|axis| {
                        let (mut below, mut above) = ([i, j, k], [i, j, k]);
                        if below[axis] == 0 || above[axis] + 1 == extents[axis] {
                            return false;
                        }
                        below[axis] -= 1;
                        above[axis] += 1;
                        mask.at(below[0], below[1], below[2]) && mask.at(above[0], above[1], above[2])
                    })
                };
                out.push(mask.at(i, j, k) && !surrounded());
            }
        }
    }
    out
}

/// Squared distance in mm2 of every voxel of a box to the nearest `true` one; exact, one axis after the other
/// (Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, 2012).
fn squared_distances(to: &[bool], size: [usize; 3], spacing: [f64; 3]) -> Vec<f64> {
    let mut d: Vec<f64> = to.iter().map(|inside| if *inside { 0.0 } else { f64::INFINITY }).collect();
    let strides = [1, size[0], size[0] * size[1]];
    for axis in 0..3 {
        let mut line = vec![0.0; size[axis]];
        for start in (0..d.len()).filter(|at| (at / strides[axis]).is_multiple_of(size[axis])) {
            for (n, value) in line.iter_mut().enumerate() {
                *value = d[start + n * strides[axis]];
            }
            for (n, value) in lower_envelope(&line, spacing[axis]).into_iter().enumerate() {
                d[start + n * strides[axis]] = value;
            }
        }
    }
    d
}

/// For every place on a line the least of `heights[m] + (distance to m)^2`.
fn lower_envelope(heights: &[f64], spacing: f64) -> Vec<f64> {
    let place = |n: usize| n as f64 * spacing;
    // The parabolas of the envelope from left to right, each with the place from which it is the lowest.
    let mut envelope: Vec<(usize, f64)> = Vec::with_capacity(heights.len());
    for (n, height) in heights.iter().enumerate().filter(|(_, h)| h.is_finite()) {
        let mut from = f64::NEG_INFINITY;
        while let Some((m, start)) = envelope.last().copied() {
            let (a, b) = (height + place(n).powi(2), heights[m] + place(m).powi(2));
            from = (a - b) / (2.0 * (place(n) - place(m)));
            if from > start {
                break;
            }
            envelope.pop();
            from = f64::NEG_INFINITY;
        }
        envelope.push((n, from));
    }
    let mut at = 0;
    (0..heights.len())
        .map(|n| {
            while envelope.get(at + 1).is_some_and(|(_, from)| *from <= place(n)) {
                at += 1;
            }
            envelope.get(at).map_or(f64::INFINITY, |(m, _)| heights[*m] + (place(n) - place(*m)).powi(2))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::test_support::{block, grid};
    use super::*;

    #[test]
    fn two_boxes_by_hand() {
        // The second box is the first one moved by two voxels (1 mm) along i and made one voxel (2 mm) higher.
        let (a, b) = (block([1, 2, 1], [3, 1, 1]), block([3, 2, 1], [3, 1, 2]));
        // a to b: 1.0, 0.5, 0; b to a: below 0, 0.5, 1.0; above 2, sqrt(4.25), sqrt(5).
        let above = [2.0, 4.25f64.sqrt(), 5.0f64.sqrt()];
        let d = surface_distances(&a, &b).unwrap().unwrap();
        assert!((d.mean_mm - (3.0 + above.iter().sum::<f64>()) / 9.0).abs() < 1e-12);
        assert_eq!((d.hausdorff_mm, d.hausdorff95_mm), (above[2], above[2]));
        assert_eq!(surface_distances(&b, &a).unwrap().unwrap(), d);
        let same = surface_distances(&a, &a).unwrap().unwrap();
        assert_eq!((same.mean_mm, same.hausdorff_mm, same.hausdorff95_mm), (0.0, 0.0, 0.0));
        assert_eq!(surface_distances(&a, &block([0; 3], [0; 3])).unwrap(), None);
    }

    #[test]
    fn one_far_voxel_moves_the_maximum_only() {
        let a = block([1, 1, 1], [6, 6, 1]);
        let mut b = a.clone();
        b.set(11, 1, 1, true);
        let d = surface_distances(&b, &a).unwrap().unwrap();
        assert_eq!((d.hausdorff_mm, d.hausdorff95_mm), (2.5, 0.0));
    }

    #[test]
    fn the_inside_of_a_structure_is_not_its_border() {
        let solid = block([1, 1, 1], [5, 5, 5]);
        let mut hollow = solid.clone();
        hollow.set(3, 3, 3, false);
        // The six voxels around the hollow are border now: two lie 0.5 mm from the outer border along i, four 1 mm.
        let d = surface_distances(&solid, &hollow).unwrap().unwrap();
        assert_eq!(d.hausdorff_mm, 1.0);
        let outer = 5 * 5 * 5 - 3 * 3 * 3;
        assert!((d.mean_mm - (2.0 * 0.5 + 4.0) / f64::from(2 * outer + 6)).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn the_transform_agrees_with_looking_at_every_pair(
            to in proptest::collection::vec(proptest::bool::weighted(0.1), 6 * 5 * 4),
            spacing in [0.3f64..3.0, 0.3f64..3.0, 0.3f64..3.0],
        ) {
            let place = |n: usize| [n % 6, n / 6 % 5, n / 30];
            let found = squared_distances(&to, [6, 5, 4], spacing);
            for (n, d) in found.iter().enumerate() {
                let apart = |m: usize| -> f64 {
                    (0..3).map(|a| ((place(n)[a] as f64 - place(m)[a] as f64) * spacing[a]).powi(2)).sum()
                };
                let least = (0..to.len()).filter(|m| to[*m]).map(apart).fold(f64::INFINITY, f64::min);
                prop_assert!(*d == least || (d - least).abs() < 1e-9, "{} is not {}", d, least);
            }
        }

        #[test]
        fn measures_are_symmetric_and_ordered(
            data in proptest::collection::vec((proptest::bool::weighted(0.2), proptest::bool::weighted(0.3)), 12 * 9 * 7),
        ) {
            let (a, b) = data.into_iter().unzip();
            let (a, b) = (Mask::new(grid(), a).unwrap(), Mask::new(grid(), b).unwrap());
            let d = surface_distances(&a, &b).unwrap();
            if let (Some(x), Some(y)) = (d, surface_distances(&b, &a).unwrap()) {
                prop_assert!((x.mean_mm - y.mean_mm).abs() < 1e-12 && x.hausdorff_mm == y.hausdorff_mm);
                prop_assert!(x.hausdorff95_mm == y.hausdorff95_mm);
                prop_assert!(x.mean_mm <= x.hausdorff_mm && x.hausdorff95_mm <= x.hausdorff_mm);
            }
        }
    }
}
