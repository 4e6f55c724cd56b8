//! Measures between masks, and tables of them (thesis section 4.3.2). Pure; the service uses it to check its own output.

mod boxplot;
mod joint;
mod measure;
mod metric;
mod pairing;
mod pool;
mod report;
mod study;
mod table;

pub use measure::{Distances, Measures, Overlap, SurfaceDice, measure};
pub use metric::{Metric, Unit};
pub use pairing::{Ambiguous, Pair, Pairing, Renamed, Unmatched, pair};
pub use pool::Pool;
pub use study::{Case, CaseRow, RowName, Set, Spread, Study, Summary, measure_case};
pub use table::{Row, Table, compare};

use crate::geometry::{GeometryError, Mask};

/// Tolerances of surface Dice in mm where none is asked for: what the field reports for heads.
pub const TOLERANCES_MM: [f64; 2] = [1.0, 2.0];

/// Dice coefficient of two masks on one grid; `None` when both are empty (not counted).
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn dice(a: &Mask, b: &Mask) -> Result<Option<f64>, GeometryError> {
    a.same_grid(b)?;
    let both = a.data().iter().zip(b.data()).filter(|(a, b)| **a && **b).count();
    let total = a.count() + b.count();
    Ok((total > 0).then(|| 2.0 * both as f64 / total as f64))
}

#[cfg(test)]
mod test_support {
    use std::sync::Arc;

    use crate::geometry::{Grid, Lps, Mask, Shape};
    use crate::ids::FrameOfReferenceUid;

    /// A grid of 12 x 9 x 7 voxels of 0.5 x 1.5 x 2 mm.
    pub fn grid() -> Arc<Grid> {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(12, 9, 7), Lps::new(-3.0, 8.0, 40.0), [0.5, 1.5, 2.0]);
        Arc::new(grid.unwrap())
    }

    /// A box of voxels, low corner and size.
    pub fn block(lo: [usize; 3], size: [usize; 3]) -> Mask {
        let mut m = Mask::empty(grid());
        for offset in 0..m.data().len() {
            let v = m.voxel(offset);
            m.data_mut()[offset] = (0..3).all(|a| v[a] >= lo[a] && v[a] < lo[a] + size[a]);
        }
        m
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::test_support::block;
    use super::*;
    use crate::geometry::{Grid, Lps, Shape};

    #[test]
    fn two_boxes_by_hand() {
        // 24 and 30 voxels that share 2 x 2 x 3.
        let (a, b) = (block([1, 1, 1], [4, 2, 3]), block([3, 1, 1], [5, 2, 3]));
        assert_eq!(dice(&a, &b).unwrap(), Some(2.0 * 12.0 / 54.0));
        assert_eq!(dice(&b, &a).unwrap(), dice(&a, &b).unwrap());
        assert_eq!(dice(&a, &a).unwrap(), Some(1.0));
    }

    #[test]
    fn empty_masks_and_foreign_grids() {
        let (a, none) = (block([1, 1, 1], [4, 2, 3]), block([0; 3], [0; 3]));
        assert_eq!(dice(&none, &none).unwrap(), None);
        assert_eq!(dice(&a, &none).unwrap(), Some(0.0));
        let frame = a.grid().frame().clone();
        let other = Grid::axis_aligned(frame, Shape::new(12, 9, 7), Lps::new(0.0, 0.0, 0.0), [0.5, 1.5, 2.0]).unwrap();
        assert!(dice(&a, &Mask::empty(Arc::new(other))).is_err());
    }
}
