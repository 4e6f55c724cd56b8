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
