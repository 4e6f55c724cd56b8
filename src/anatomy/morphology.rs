//! Morphology that the rules stand on.

use rayon::prelude::*;

use super::part::Part;
use crate::geometry::{BitRows, Component, Components};

/// Whether a component of `part` has a voxel in `other` or next to it (26 neighbours).
pub fn touches(part: &Part, found: &Components, c: &Component, other: &Part) -> bool {
    part.voxels_of(found, c).any(|[i, j, k]| {
        let near = |v: usize| v.saturating_sub(1)..=v + 1;
        near(k).any(|z| near(j).any(|y| near(i).any(|x| other.contains([x, y, z]))))
    })
}

/// The border voxels of a structure (a face neighbour is outside): as near to whatever lies outside as the whole.
pub fn border(part: &Part) -> Vec<[usize; 3]> {
    let surrounded = |v: &[usize; 3]| {
        (0..3).all(|a| {
            let (mut below, mut above) = (*v, *v);
            below[a] = below[a].wrapping_sub(1);
            above[a] += 1;
            part.contains(below) && part.contains(above)
        })
    };
    part.voxels().filter(|v| !surrounded(v)).collect()
}

/// Opening with a segment of `least` voxels along i, then j, then k: what is thinner along an axis goes, but for what
/// `keep`, which lies on the same box, holds. Beyond the box is outside.
pub fn open_along_axes(part: &mut Part, least: [usize; 3], keep: &Part) {
    let s = part.mask().grid().shape();
    let (size, stride) = ([s.cols, s.rows, s.slices], [1, s.cols, s.cols * s.rows]);
    for axis in (0..3).filter(|a| least[*a] > 1) {
        let (least, size, stride) = (least[axis], size[axis], stride[axis]);
        let before = part.mask().clone();
        let (before, keep) = (before.data(), keep.mask().data());
        // Whether the run through a voxel is as long as the segment.
        let wide = |at: usize| {
            let place = at / stride % size;
            let back = (1..least).take_while(|n| *n <= place && before[at - n * stride]).count();
            let ahead = (1..least).take_while(|n| place + n < size && before[at + n * stride]).count();
            1 + back + ahead >= least
        };
        part.mask_mut().data_mut().par_chunks_exact_mut(s.cols).enumerate().for_each(|(row, open)| {
            for (at, voxel) in (row * s.cols..).zip(open) {
                *voxel = before[at] && (wide(at) || keep[at]);
            }
        });
    }
}

/// Fills the holes of a structure: what is not the structure and, within its planes at right angles to i, j and k, is
/// not connected to the plane's border over shared edges. One plane in which it is closed suffices the thesis (section
/// 4.2.2.1); `least` says how many of the three it must be. The three orientations look at the same structure, so that
/// their order does not matter. Returns how many voxels were added.
///
/// The border of the structure's box stands for the border of the plane: beyond the box there is nothing of the
/// structure, so that whatever reaches the box's border reaches the plane's.
pub fn fill_plane_holes(part: &mut Part, least: usize) -> usize {
    let Some(extent) = part.mask().extent() else { return 0 };
    let holes = BitRows::of(part.mask(), extent).plane_holes(least);
    let mask = part.mask_mut();
    let height = extent.size()[1];
    let mut added = 0;
    for row in 0..height * extent.size()[2] {
        for (first, last) in holes.runs(row) {
            let start = mask.offset(extent.lo[0] + first, extent.lo[1] + row % height, extent.lo[2] + row / height);
            mask.data_mut()[start..=start + last - first].fill(true);
            added += last - first + 1;
        }
    }
    added
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::anatomy::{Class, Parts};
    use crate::geometry::{Grid, Lps, Shape, Volume};
    use crate::ids::FrameOfReferenceUid;

    /// A block 1..=7 x 1..=6 x 1..=5 on a 10 x 9 x 7 grid, less some voxels.
    fn block_without(holes: &[[usize; 3]]) -> Part {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(10, 9, 7), Lps::new(3.0, -1.0, 2.0), [0.7, 0.8, 2.0]).unwrap();
        let mut labels = Volume::filled(Arc::new(grid), 0u8);
        for k in 1..=5 {
            for j in 1..=6 {
                for i in 1..=7 {
                    labels.set(i, j, k, if holes.contains(&[i, j, k]) { 0 } else { Class::Brain.bit() });
                }
            }
        }
        Parts::of_labels(&labels).unwrap().of(Class::Brain).clone()
    }

    #[test]
    fn a_hole_closed_in_one_plane_only_is_filled() {
        // A shaft along each axis in turn, open at one face of the block: closed only in the planes across it.
        let along_i: Vec<[usize; 3]> = (3..=7).map(|i| [i, 3, 2]).collect();
        let along_j: Vec<[usize; 3]> = (1..=4).map(|j| [5, j, 3]).collect();
        let along_k: Vec<[usize; 3]> = (2..=5).map(|k| [2, 5, k]).collect();
        for shaft in [along_i, along_j, along_k] {
            let mut part = block_without(&shaft);
            assert_eq!(fill_plane_holes(&mut part.clone(), 2), 0, "open in two of its planes");
            assert_eq!(fill_plane_holes(&mut part, 1), shaft.len());
            assert!(shaft.iter().all(|v| part.contains(*v)));
            assert_eq!(part.mask().count(), 7 * 6 * 5);
        }
    }

    #[test]
    fn a_hole_closed_on_all_sides_is_filled_however_many_planes_are_asked() {
        for least in 1..=3 {
            let mut part = block_without(&[[3, 3, 3], [4, 3, 3]]);
            assert_eq!(fill_plane_holes(&mut part, least), 2);
        }
    }

    #[test]
    fn a_notch_open_in_every_plane_stays() {
        // A corner bitten off is connected to the border of all three of its planes.
        let bitten: Vec<[usize; 3]> =
            (6..=7).flat_map(|i| (5..=6).flat_map(move |j| (4..=5).map(move |k| [i, j, k]))).collect();
        let mut part = block_without(&bitten);
        assert_eq!(fill_plane_holes(&mut part, 1), 0);
        assert!(bitten.iter().all(|v| !part.contains(*v)));
    }

    #[test]
    fn background_meets_only_over_edges() {
        // A shaft along k, open to both sides: only the axial planes can fill it. There it meets an open notch at a
        // corner, which does not open it; the same shaft with an edge in common stays.
        let notch = |j: usize| (1..=5).flat_map(move |k| (4..=7).map(move |i| [i, j, k]));
        let shaft: Vec<[usize; 3]> = (1..=5).map(|k| [3, 3, k]).collect();
        for (row, filled) in [(4, true), (3, false)] {
            let holes: Vec<[usize; 3]> = shaft.iter().copied().chain(notch(row)).collect();
            let mut part = block_without(&holes);
            assert_eq!(fill_plane_holes(&mut part, 1), if filled { shaft.len() } else { 0 });
            assert_eq!(part.contains([3, 3, 3]), filled);
        }
    }

    #[test]
    fn the_order_of_the_orientations_does_not_matter() {
        // (4, 3, 3) is open along i in its axial and coronal plane and along k in its sagittal plane. The axial planes
        // fill the shaft along k; were they done first, the sagittal plane would then fill (4, 3, 3) as well.
        let mut holes: Vec<[usize; 3]> = (4..=7).map(|i| [i, 3, 3]).collect();
        holes.extend((4..=5).map(|k| [4, 3, k]));
        let mut part = block_without(&holes);
        fill_plane_holes(&mut part, 1);
        assert!(part.contains([4, 3, 4]) && part.contains([4, 3, 5]));
        assert!(!part.contains([4, 3, 3]));
    }
}
