//! Morphology that the rules stand on.

use rayon::prelude::*;

use super::part::Part;
use crate::geometry::Mask;

/// Fills the holes of a structure in every plane at right angles to i, j and k (thesis section 4.2.2.1): what is not the
/// structure and, within its plane, is not connected to the plane's border over shared edges. The three orientations
/// look at the same structure, so that their order does not matter. Returns how many voxels were added.
///
/// The border of the structure's box stands for the border of the plane: beyond the box there is nothing of the
/// structure, so that whatever reaches the box's border reaches the plane's.
pub fn fill_plane_holes(part: &mut Part) -> usize {
    let mask = part.mask();
    let s = mask.grid().shape();
    let size = [s.cols, s.rows, s.slices];
    let stride = [1, s.cols, s.cols * s.rows];
    // Plane n at right angles to `axis`; u and v are the two other axes.
    let planes = [(0, 1, 2), (1, 0, 2), (2, 0, 1)].into_iter().flat_map(|(axis, u, v)| {
        (0..size[axis]).map(move |n| Plane {
            start: n * stride[axis],
            size: [size[u], size[v]],
            stride: [stride[u], stride[v]],
        })
    });
    let planes: Vec<Plane> = planes.collect();
    let holes: Vec<Vec<usize>> = planes.par_iter().map(|plane| plane.holes(mask)).collect();
    let data = part.mask_mut().data_mut();
    let mut added = 0;
    for offset in holes.into_iter().flatten() {
        added += usize::from(!data[offset]);
        data[offset] = true;
    }
    added
}

/// A plane of a mask: where it starts in storage, its extents and the steps along its two axes.
struct Plane {
    start: usize,
    size: [usize; 2],
    stride: [usize; 2],
}

impl Plane {
    /// Positions in storage of the background that the plane's border does not reach.
    fn holes(&self, mask: &Mask) -> Vec<usize> {
        let [w, h] = self.size;
        // One pixel of background around the plane joins all of its border; whatever a flood from the corner of that
        // ring does not reach is structure or hole.
        let width = w + 2;
        let mut open = vec![true; width * (h + 2)];
        let mut structure = false;
        for v in 0..h {
            for u in 0..w {
                let inside = mask.data()[self.offset(u, v)];
                structure |= inside;
                open[(v + 1) * width + u + 1] = !inside;
            }
        }
        if !structure {
            return Vec::new();
        }
        let mut todo = vec![0];
        open[0] = false;
        while let Some(at) = todo.pop() {
            let (column, row) = (at % width, at / width);
            let mut reach = |next: usize| {
                if open[next] {
                    open[next] = false;
                    todo.push(next);
                }
            };
            if column > 0 {
                reach(at - 1);
            }
            if column + 1 < width {
                reach(at + 1);
            }
            if row > 0 {
                reach(at - width);
            }
            if row < h + 1 {
                reach(at + width);
            }
        }
        let left = open.iter().enumerate().filter(|(_, open)| **open);
        left.map(|(at, _)| self.offset(at % width - 1, at / width - 1)).collect()
    }

    fn offset(&self, u: usize, v: usize) -> usize {
        self.start + u * self.stride[0] + v * self.stride[1]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::anatomy::Class;
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
        Part::of_labels(&labels).unwrap().swap_remove(Class::Brain.index())
    }

    #[test]
    fn a_hole_closed_in_one_plane_only_is_filled() {
        // A shaft along each axis in turn, open at one face of the block: closed only in the planes across it.
        let along_i: Vec<[usize; 3]> = (3..=7).map(|i| [i, 3, 2]).collect();
        let along_j: Vec<[usize; 3]> = (1..=4).map(|j| [5, j, 3]).collect();
        let along_k: Vec<[usize; 3]> = (2..=5).map(|k| [2, 5, k]).collect();
        for shaft in [along_i, along_j, along_k] {
            let mut part = block_without(&shaft);
            assert_eq!(fill_plane_holes(&mut part), shaft.len());
            assert!(shaft.iter().all(|v| part.contains(*v)));
            assert_eq!(part.mask().count(), 7 * 6 * 5);
        }
    }

    #[test]
    fn a_notch_open_in_every_plane_stays() {
        // A corner bitten off is connected to the border of all three of its planes.
        let bitten: Vec<[usize; 3]> =
            (6..=7).flat_map(|i| (5..=6).flat_map(move |j| (4..=5).map(move |k| [i, j, k]))).collect();
        let mut part = block_without(&bitten);
        assert_eq!(fill_plane_holes(&mut part), 0);
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
            assert_eq!(fill_plane_holes(&mut part), if filled { shaft.len() } else { 0 });
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
        fill_plane_holes(&mut part);
        assert!(part.contains([4, 3, 4]) && part.contains([4, 3, 5]));
        assert!(!part.contains([4, 3, 3]));
    }
}
