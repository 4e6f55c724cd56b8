//! Values on a grid. The only place that knows the storage order: i fastest, then j, then k.

use std::sync::Arc;

use super::{GeometryError, Grid, Index, Lps};

/// One value per voxel of a grid.
#[derive(Debug, Clone)]
pub struct Volume<T> {
    grid: Arc<Grid>,
    data: Vec<T>,
}

/// A binary structure on a grid.
pub type Mask = Volume<bool>;

/// An inclusive box of voxels, `lo <= (i, j, k) <= hi` in each component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Smallest i, j, k.
    pub lo: [usize; 3],
    /// Largest i, j, k.
    pub hi: [usize; 3],
}

impl Extent {
    /// Number of voxels along i, j, k.
    pub fn size(&self) -> [usize; 3] {
        std::array::from_fn(|a| self.hi[a] - self.lo[a] + 1)
    }
}

impl<T> Volume<T> {
    /// Values in storage order (i fastest, then j, then k).
    ///
    /// # Errors
    /// [`GeometryError::Length`] when the number of values is not the number of voxels.
    pub fn new(grid: Arc<Grid>, data: Vec<T>) -> Result<Self, GeometryError> {
        let want = grid.shape().voxels();
        if data.len() != want {
            return Err(GeometryError::Length { got: data.len(), want });
        }
        Ok(Self { grid, data })
    }

    /// The grid the values lie on.
    pub fn grid(&self) -> &Arc<Grid> {
        &self.grid
    }

    /// All values in storage order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All values in storage order, to be changed.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Position of voxel (i, j, k) in [`Volume::data`]. Indices are the caller's promise: inside the grid.
    #[inline]
    pub fn offset(&self, i: usize, j: usize, k: usize) -> usize {
        let s = self.grid.shape();
        (k * s.rows + j) * s.cols + i
    }

    /// The voxel (i, j, k) at a position in [`Volume::data`].
    #[inline]
    pub fn voxel(&self, offset: usize) -> [usize; 3] {
        let s = self.grid.shape();
        [offset % s.cols, offset / s.cols % s.rows, offset / (s.cols * s.rows)]
    }

    /// The values of slice k: rows one after another.
    pub fn slice(&self, k: usize) -> &[T] {
        let s = self.grid.shape();
        let n = s.cols * s.rows;
        &self.data[k * n..(k + 1) * n]
    }

    /// Refuses two volumes that do not share a grid.
    ///
    /// # Errors
    /// [`GeometryError::GridMismatch`].
    pub fn same_grid<U>(&self, other: &Volume<U>) -> Result<(), GeometryError> {
        if self.grid.id() == other.grid.id() {
            Ok(())
        } else {
            Err(GeometryError::GridMismatch(self.grid.id(), other.grid.id()))
        }
    }

    /// A volume of other values on the same grid.
    pub fn map<U>(&self, f: impl Fn(&T) -> U) -> Volume<U> {
        Volume { grid: Arc::clone(&self.grid), data: self.data.iter().map(f).collect() }
    }
}

impl<T: Clone> Volume<T> {
    /// The same value everywhere.
    pub fn filled(grid: Arc<Grid>, value: T) -> Self {
        let n = grid.shape().voxels();
        Self { grid, data: vec![value; n] }
    }
}

impl<T: Copy> Volume<T> {
    /// The value at voxel (i, j, k). Indices are the caller's promise: inside the grid.
    #[inline]
    pub fn at(&self, i: usize, j: usize, k: usize) -> T {
        self.data[self.offset(i, j, k)]
    }

    /// Whether a voxel has a face at the border of the grid, or one that it shares with a voxel whose value is such.
    pub fn faces(&self, v: [usize; 3], such: impl Fn(T) -> bool) -> bool {
        let s = self.grid.shape();
        let size = [s.cols, s.rows, s.slices];
        (0..3).any(|a| {
            let beside = |n: usize| {
                let mut at = v;
                at[a] = n;
                such(self.at(at[0], at[1], at[2]))
            };
            v[a] == 0 || v[a] + 1 == size[a] || beside(v[a] - 1) || beside(v[a] + 1)
        })
    }

    /// Sets the value at voxel (i, j, k).
    #[inline]
    pub fn set(&mut self, i: usize, j: usize, k: usize, value: T) {
        let offset = self.offset(i, j, k);
        self.data[offset] = value;
    }
}

impl Mask {
    /// Nothing.
    pub fn empty(grid: Arc<Grid>) -> Self {
        Self::filled(grid, false)
    }

    /// Number of voxels inside.
    pub fn count(&self) -> usize {
        self.data.iter().filter(|v| **v).count()
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        !self.data.iter().any(|v| *v)
    }

    /// Volume in cm3.
    pub fn cc(&self) -> f64 {
        self.count() as f64 * self.grid.voxel_cc()
    }

    /// Adds another structure.
    ///
    /// # Errors
    /// [`GeometryError::GridMismatch`].
    pub fn join(&mut self, part: &Mask) -> Result<(), GeometryError> {
        self.same_grid(part)?;
        self.data.iter_mut().zip(&part.data).for_each(|(whole, part)| *whole |= part);
        Ok(())
    }

    /// The smallest box that holds the structure; `None` when it is empty.
    pub fn extent(&self) -> Option<Extent> {
        let s = self.grid.shape();
        let mut found: Option<Extent> = None;
        for (row_number, row) in self.data.chunks_exact(s.cols).enumerate() {
            let Some((first, last)) = ends(row) else { continue };
            let (j, k) = (row_number % s.rows, row_number / s.rows);
            found = Some(match found {
                None => Extent { lo: [first, j, k], hi: [last, j, k] },
                Some(e) => Extent {
                    lo: [e.lo[0].min(first), e.lo[1].min(j), e.lo[2]],
                    hi: [e.hi[0].max(last), e.hi[1].max(j), k],
                },
            });
        }
        found
    }

    /// Every voxel inside, in storage order. Looks at whole blocks, as `ends` does.
    pub fn inside(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let s = self.grid.shape();
        self.data.chunks_exact(s.cols).enumerate().flat_map(move |(number, row)| {
            let blocks = row.chunks(BLOCK).enumerate().filter(|(_, block)| any(block));
            blocks.flat_map(move |(n, block)| {
                let inside = block.iter().enumerate().filter(|(_, inside)| **inside);
                inside.map(move |(i, _)| [n * BLOCK + i, number % s.rows, number / s.rows])
            })
        })
    }

    /// Barycentre in patient space; `None` when the structure is empty.
    pub fn barycentre(&self) -> Option<Lps> {
        let extent = self.extent()?;
        let (mut n, mut sum) = (0usize, [0usize; 3]);
        for k in extent.lo[2]..=extent.hi[2] {
            for j in extent.lo[1]..=extent.hi[1] {
                let start = self.offset(0, j, k);
                let row = &self.data[start..start + extent.hi[0] + 1];
                let Some((first, last)) = ends(row) else { continue };
                let inside = (first..=last).filter(|i| row[*i]);
                let (count, along) = inside.fold((0, 0), |(count, along), i| (count + 1, along + i));
                n += count;
                sum = [sum[0] + along, sum[1] + count * j, sum[2] + count * k];
            }
        }
        let [i, j, k] = sum.map(|sum| sum as f64 / n as f64);
        Some(self.grid.to_lps(Index::new(i, j, k)))
    }
}

/// Voxels that are looked at together.
const BLOCK: usize = 32;

/// Whether any voxel of some is inside; without a branch, so that the processor looks at many at once.
#[inline]
fn any(block: &[bool]) -> bool {
    block.iter().fold(false, |any, inside| any | inside)
}

/// First and last voxel of a row that are inside. Looks at whole blocks: most of a row is empty.
fn ends(row: &[bool]) -> Option<(usize, usize)> {
    if !any(row) {
        return None;
    }
    let from = row.chunks(BLOCK).position(any)? * BLOCK;
    let to = row.chunks(BLOCK).rposition(any)? * BLOCK;
    let first = from + row[from..].iter().position(|v| *v)?;
    let last = to + row[to..].iter().take(BLOCK).rposition(|v| *v)?;
    Some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Shape;
    use crate::ids::FrameOfReferenceUid;

    fn grid() -> Arc<Grid> {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        Arc::new(Grid::axis_aligned(frame, Shape::new(4, 3, 5), Lps::new(10.0, -2.0, 7.0), [0.5, 2.0, 3.0]).unwrap())
    }

    #[test]
    fn a_voxel_faces_the_border_and_its_six_neighbours_only() {
        let mut mask = Mask::empty(grid());
        let faces = |mask: &Mask, v| mask.faces(v, |inside| inside);
        assert!(
            faces(&mask, [0, 1, 2]) && faces(&mask, [3, 1, 2]) && faces(&mask, [1, 2, 2]) && faces(&mask, [1, 1, 0])
        );
        // Itself and a corner do not count.
        mask.set(1, 1, 2, true);
        mask.set(2, 2, 3, true);
        assert!(!faces(&mask, [1, 1, 2]));
        assert!(faces(&mask, [2, 1, 2]) && faces(&mask, [1, 1, 1]) && faces(&mask, [1, 1, 3]));
    }

    #[test]
    fn storage_order_is_column_row_slice() {
        let v = Volume::new(grid(), (0..60).collect()).unwrap();
        assert_eq!(v.at(1, 0, 0), 1);
        assert_eq!(v.at(0, 1, 0), 4);
        assert_eq!(v.at(0, 0, 1), 12);
        assert_eq!(v.voxel(v.offset(3, 2, 4)), [3, 2, 4]);
        assert_eq!(v.slice(2)[0], 24);
        assert!(Volume::new(grid(), vec![0; 59]).is_err());
    }

    #[test]
    fn measures_of_a_mask() {
        let mut m = Mask::empty(grid());
        assert!(m.extent().is_none() && m.barycentre().is_none() && m.is_empty());
        m.set(1, 2, 3, true);
        m.set(3, 2, 4, true);
        assert_eq!(m.extent().unwrap(), Extent { lo: [1, 2, 3], hi: [3, 2, 4] });
        assert!((m.cc() - 2.0 * 3.0 / 1000.0).abs() < 1e-12);
        assert_eq!(m.barycentre().unwrap(), Lps::new(11.0, 2.0, 17.5));
    }

    #[test]
    fn volumes_on_different_grids_do_not_mix() {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let moved = Grid::axis_aligned(frame, Shape::new(4, 3, 5), Lps::new(10.0, -2.0, 7.1), [0.5, 2.0, 3.0]).unwrap();
        let (a, b) = (Mask::empty(grid()), Mask::empty(Arc::new(moved)));
        assert!(matches!(a.same_grid(&b), Err(GeometryError::GridMismatch(..))));
        assert!(a.same_grid(&Mask::empty(grid())).is_ok());
        let (mut a, mut part) = (a, Mask::empty(grid()));
        assert!(a.join(&b).is_err());
        part.set(3, 2, 4, true);
        a.set(1, 0, 0, true);
        a.join(&part).unwrap();
        assert!(a.count() == 2 && a.at(1, 0, 0) && a.at(3, 2, 4));
    }
}
