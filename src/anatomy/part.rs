//! A structure cropped to its box: the rules work on these, not on twelve whole grids.

use std::sync::Arc;

use rayon::prelude::*;

use super::Class;
use crate::geometry::{Component, Components, Extent, GeometryError, Grid, Index, Lps, Mask, Volume};

/// A mask on a box of a grid. The box is a grid of its own in the same frame, so that patient points of the mask are
/// those of the whole grid; voxel indices of this type are indices of the whole grid.
#[derive(Debug, Clone)]
pub struct Part {
    lo: [usize; 3],
    mask: Mask,
}

impl Part {
    /// Nothing, on the box `extent` of `grid`.
    ///
    /// # Errors
    /// None for a box inside the grid; passed on from [`Grid::new`].
    pub fn empty(grid: &Grid, extent: Extent) -> Result<Self, GeometryError> {
        let [cols, rows, slices] = extent.size();
        let [i, j, k] = extent.lo;
        let shape = crate::geometry::Shape::new(cols, rows, slices);
        let boxed = Grid::new(grid.frame().clone(), shape, grid.centre(i, j, k), grid.axes(), grid.spacing())?;
        Ok(Self { lo: extent.lo, mask: Mask::empty(Arc::new(boxed)) })
    }

    /// Each of the eight classes of a label volume (bit c is `Class::ALL[c]`) on its own box. A class that is nowhere gets a
    /// box of one voxel and is empty.
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub(super) fn of_labels(labels: &Volume<u8>) -> Result<Vec<(Class, Part)>, GeometryError> {
        let extents = extents(labels);
        (Class::ALL, extents)
            .into_par_iter()
            .map(|(class, extent)| {
                let Some(extent) = extent else {
                    return Ok((class, Part::nowhere(labels.grid())?));
                };
                let mut part = Part::empty(labels.grid(), extent)?;
                let ([w, h, _], bit) = (extent.size(), class.bit());
                part.mask.data_mut().par_chunks_exact_mut(w).enumerate().for_each(|(row, out)| {
                    let start = labels.offset(extent.lo[0], extent.lo[1] + row % h, extent.lo[2] + row / h);
                    for (to, from) in out.iter_mut().zip(&labels.data()[start..start + w]) {
                        *to = from & bit != 0;
                    }
                });
                Ok((class, part))
            })
            .collect()
    }

    /// Nothing, on a box of one voxel.
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub(super) fn nowhere(grid: &Grid) -> Result<Self, GeometryError> {
        Self::empty(grid, Extent { lo: [0; 3], hi: [0; 3] })
    }

    /// The same box, with nothing in it.
    pub fn cleared(&self) -> Self {
        Self { lo: self.lo, mask: Mask::empty(Arc::clone(self.mask.grid())) }
    }

    /// The mask on its box.
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// The mask on its box, to be changed.
    pub fn mask_mut(&mut self) -> &mut Mask {
        &mut self.mask
    }

    /// Whether voxel (i, j, k) of the whole grid is inside; false beyond the box.
    #[inline]
    pub fn contains(&self, v: [usize; 3]) -> bool {
        let s = self.mask.grid().shape();
        let size = [s.cols, s.rows, s.slices];
        // A voxel below the box wraps around to a huge number and fails the same test.
        let at: [usize; 3] = std::array::from_fn(|a| v[a].wrapping_sub(self.lo[a]));
        (0..3).all(|a| at[a] < size[a]) && self.mask.at(at[0], at[1], at[2])
    }

    /// Whether voxel (i, j, k) of the whole grid lies in the box.
    pub fn holds(&self, v: [usize; 3]) -> bool {
        let s = self.mask.grid().shape();
        let size = [s.cols, s.rows, s.slices];
        (0..3).all(|a| v[a].wrapping_sub(self.lo[a]) < size[a])
    }

    /// Every voxel inside, in storage order, as indices of the whole grid.
    pub fn voxels(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        self.mask.inside().map(|v| std::array::from_fn(|a| v[a] + self.lo[a]))
    }

    /// The voxels of one of this mask's components, as indices of the whole grid.
    pub fn voxels_of<'a>(
        &'a self,
        found: &'a Components,
        c: &'a Component,
    ) -> impl Iterator<Item = [usize; 3]> + Clone + 'a {
        found.runs_of(c).flat_map(move |(first, length)| {
            (0..length).map(move |n| std::array::from_fn(|a| first[a] + self.lo[a] + if a == 0 { n } else { 0 }))
        })
    }

    /// Adds voxel (i, j, k) of the whole grid, which lies in the box: the caller's promise.
    pub fn insert(&mut self, v: [usize; 3]) {
        let at: [usize; 3] = std::array::from_fn(|a| v[a] - self.lo[a]);
        self.mask.set(at[0], at[1], at[2], true);
    }

    /// Patient point of the centre of a voxel of the whole grid.
    pub fn centre(&self, v: [usize; 3]) -> Lps {
        self.place(v.map(|n| n as f64))
    }

    /// Patient point of a place between the voxels of the whole grid.
    pub fn place(&self, at: [f64; 3]) -> Lps {
        let at: [f64; 3] = std::array::from_fn(|a| at[a] - self.lo[a] as f64);
        self.mask.grid().to_lps(Index::new(at[0], at[1], at[2]))
    }

    /// The smallest box that holds the structure, in indices of the whole grid.
    pub fn extent(&self) -> Option<Extent> {
        let e = self.mask.extent()?;
        let shift = |v: [usize; 3]| std::array::from_fn(|a| v[a] + self.lo[a]);
        Some(Extent { lo: shift(e.lo), hi: shift(e.hi) })
    }

    /// The structure on a mask of the whole grid.
    pub fn on_grid(&self, grid: &Arc<Grid>) -> Mask {
        let mut whole = Mask::empty(Arc::clone(grid));
        self.pour(&mut whole, [0; 3]);
        whole
    }

    /// The same structure on another box of the same grid, which holds all of it: the caller's promise.
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub fn on_box(&self, grid: &Grid, extent: Extent) -> Result<Part, GeometryError> {
        let mut other = Part::empty(grid, extent)?;
        self.pour(&mut other.mask, extent.lo);
        Ok(other)
    }

    /// What of the structure lies in one of some others, on the same box.
    pub fn within(&self, others: &[&Part]) -> Part {
        let mut inside = self.cleared();
        self.voxels().filter(|v| others.iter().any(|other| other.contains(*v))).for_each(|v| inside.insert(v));
        inside
    }

    /// The union with other parts of the same grid, on a box that holds them all.
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub fn joined(&self, others: &[&Part], grid: &Grid) -> Result<Part, GeometryError> {
        let all = || others.iter().copied().chain([self]);
        let Some(extent) = all().filter_map(Part::extent).map(Some).fold(None, join) else {
            return Ok(self.cleared());
        };
        let mut union = Part::empty(grid, extent)?;
        // A part is poured cropped to what it holds: its box may be larger than the union's.
        for part in all() {
            part.pour(&mut union.mask, extent.lo);
        }
        Ok(union)
    }

    /// Adds the structure to a mask whose voxel (0, 0, 0) is voxel `lo` of the whole grid and which holds all of it.
    fn pour(&self, into: &mut Mask, lo: [usize; 3]) {
        let Some(e) = self.mask.extent() else { return };
        for k in e.lo[2]..=e.hi[2] {
            for j in e.lo[1]..=e.hi[1] {
                let from = self.mask.offset(e.lo[0], j, k);
                let from = &self.mask.data()[from..from + e.size()[0]];
                let to = [e.lo[0], j, k];
                let to: [usize; 3] = std::array::from_fn(|a| to[a] + self.lo[a] - lo[a]);
                let to = into.offset(to[0], to[1], to[2]);
                for (to, from) in into.data_mut()[to..to + from.len()].iter_mut().zip(from) {
                    *to |= *from;
                }
            }
        }
    }
}

/// The smallest box around two.
fn join(a: Option<Extent>, b: Option<Extent>) -> Option<Extent> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Extent {
            lo: std::array::from_fn(|n| a.lo[n].min(b.lo[n])),
            hi: std::array::from_fn(|n| a.hi[n].max(b.hi[n])),
        }),
        (a, b) => a.or(b),
    }
}

/// Box of every class of a label volume.
fn extents(labels: &Volume<u8>) -> [Option<Extent>; 8] {
    let s = labels.grid().shape();
    labels
        .data()
        .par_chunks_exact(s.cols)
        .enumerate()
        .fold(
            || [None; 8],
            |mut found: [Option<Extent>; 8], (number, row)| {
                let (j, k) = (number % s.rows, number / s.rows);
                let any = row.iter().fold(0u8, |a, b| a | b);
                for (c, extent) in found.iter_mut().enumerate().filter(|(c, _)| any >> c & 1 == 1) {
                    let first = row.iter().position(|v| v >> c & 1 == 1);
                    let last = row.iter().rposition(|v| v >> c & 1 == 1);
                    let here = first.zip(last).map(|(lo, hi)| Extent { lo: [lo, j, k], hi: [hi, j, k] });
                    *extent = join(*extent, here);
                }
                found
            },
        )
        .reduce(|| [None; 8], |a, b| std::array::from_fn(|c| join(a[c], b[c])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::Parts;
    use crate::geometry::Shape;
    use crate::ids::FrameOfReferenceUid;

    #[test]
    fn a_part_is_the_class_on_its_own_box() {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let axes =
            [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]].map(|[x, y, z]| crate::geometry::Vec3::new(x, y, z));
        let grid =
            Arc::new(Grid::new(frame, Shape::new(7, 5, 4), Lps::new(3.0, -2.0, 9.0), axes, [0.5, 0.8, 2.0]).unwrap());
        let mut labels = Volume::filled(Arc::clone(&grid), 0u8);
        let (eye, brain) = (Class::Eye.bit(), Class::Brain.bit());
        labels.set(2, 1, 3, eye | brain);
        labels.set(5, 4, 2, eye);
        labels.set(6, 0, 0, brain);

        let parts = Parts::of_labels(&labels).unwrap();
        let part = parts.of(Class::Eye);
        assert_eq!(part.extent().unwrap(), Extent { lo: [2, 1, 2], hi: [5, 4, 3] });
        assert_eq!(part.voxels().collect::<Vec<_>>(), [[5, 4, 2], [2, 1, 3]]);
        for offset in 0..labels.data().len() {
            let v = labels.voxel(offset);
            assert_eq!(part.contains(v), labels.data()[offset] & eye != 0);
            assert!(part.centre(v).distance(grid.centre(v[0], v[1], v[2])) < 1e-9);
        }
        let bary = part.mask().barycentre().unwrap();
        assert!(bary.distance(grid.to_lps(Index::new(3.5, 2.5, 2.5))) < 1e-9, "patient points are the whole grid's");

        let whole = part.on_grid(&grid);
        assert!(whole.data().iter().zip(labels.data()).all(|(w, l)| *w == (l & eye != 0)));
        assert!(parts.of(Class::Lens).mask().is_empty() && parts.of(Class::Lens).extent().is_none());
        assert!(part.cleared().mask().is_empty());

        let union = parts.of(Class::Brain).joined(&[part, parts.of(Class::Lens)], &grid).unwrap();
        assert_eq!(union.voxels().collect::<Vec<_>>(), [[6, 0, 0], [5, 4, 2], [2, 1, 3]]);
        assert_eq!(union.extent().unwrap(), Extent { lo: [2, 0, 0], hi: [6, 4, 3] });
    }
}
