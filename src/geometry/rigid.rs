//! Rigid motions from one frame of reference to another.

use super::{GeometryError, Grid, Lps, Vec3};
use crate::ids::FrameOfReferenceUid;

/// How far a matrix may be from orthonormal, in any product of two of its rows.
const RIGID_TOLERANCE: f64 = 1e-3;
/// The last row of a matrix is 0, 0, 0, 1 to this.
const LAST_ROW_TOLERANCE: f64 = 1e-6;
/// No two frames of one patient lie further apart than this, mm.
const FARTHEST: f64 = 1e5;

/// A turn and a shift that take points of one frame of reference (LPS, mm) into another: p -> R p + t, R a rotation
/// without reflection. It knows its frames, so that a direction cannot be taken for the other one.
#[derive(Debug, Clone, PartialEq)]
pub struct Rigid {
    from: FrameOfReferenceUid,
    to: FrameOfReferenceUid,
    /// The rows of R, orthonormal exactly.
    rows: [Vec3; 3],
    /// t, mm.
    shift: Vec3,
}

impl Rigid {
    /// What leaves every point of a frame where it is.
    pub fn identity(frame: FrameOfReferenceUid) -> Self {
        let rows = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        Self { from: frame.clone(), to: frame, rows, shift: Vec3::new(0.0, 0.0, 0.0) }
    }

    /// From matrices of 4 x 4 numbers, row by row, for points as columns; the first is applied first.
    ///
    /// # Errors
    /// [`GeometryError::NotRigid`] with the reason: no matrix at all, numbers that are not finite, a last row that is not
    /// 0 0 0 1, rows that are not of length 1 at right angles (to 1e-3), a reflection, a shift of more than 100 m.
    pub fn new(
        from: FrameOfReferenceUid,
        to: FrameOfReferenceUid,
        matrices: &[[f64; 16]],
    ) -> Result<Self, GeometryError> {
        let mut parts = matrices.iter();
        let first = parts.next().ok_or_else(|| GeometryError::NotRigid("there is no matrix".into()))?;
        let mut whole = checked(first)?;
        for next in parts {
            whole = after(whole, checked(next)?);
        }
        let (rows, shift) = whole;
        Ok(Self { from, to, rows, shift })
    }

    /// The frame whose points it takes.
    pub fn from(&self) -> &FrameOfReferenceUid {
        &self.from
    }

    /// The frame that it takes them to.
    pub fn to(&self) -> &FrameOfReferenceUid {
        &self.to
    }

    /// Where a point of the first frame lies in the second.
    pub fn point(&self, p: Lps) -> Lps {
        let turned = self.direction(p - Lps::new(0.0, 0.0, 0.0));
        Lps::new(turned.x, turned.y, turned.z) + self.shift
    }

    /// A direction of the first frame in the second.
    pub fn direction(&self, v: Vec3) -> Vec3 {
        turned(self.rows, v)
    }

    /// The way back.
    pub fn inverse(&self) -> Self {
        let [a, b, c] = self.rows;
        let rows = [Vec3::new(a.x, b.x, c.x), Vec3::new(a.y, b.y, c.y), Vec3::new(a.z, b.z, c.z)];
        let shift = turned(rows, self.shift) * -1.0;
        Self { from: self.to.clone(), to: self.from.clone(), rows, shift }
    }

    /// This one, and then `next`.
    ///
    /// # Errors
    /// [`GeometryError::OtherFrame`] when `next` does not begin where this one ends.
    pub fn then(&self, next: &Self) -> Result<Self, GeometryError> {
        same_frame(&self.to, &next.from)?;
        let (rows, shift) = after((self.rows, self.shift), (next.rows, next.shift));
        Ok(Self { from: self.from.clone(), to: next.to.clone(), rows, shift })
    }

    /// By how much it turns, degrees, 0 to 180.
    pub fn turn_degrees(&self) -> f64 {
        let [a, b, c] = self.rows;
        ((a.x + b.y + c.z - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees()
    }
}

impl Grid {
    /// The same voxels, their places told in the frame of reference that `by` leads to: voxel (i, j, k) of the one is voxel
    /// (i, j, k) of the other.
    ///
    /// # Errors
    /// [`GeometryError::OtherFrame`] when `by` does not begin in the grid's frame; [`GeometryError::Origin`] too far away.
    pub fn moved(&self, by: &Rigid) -> Result<Self, GeometryError> {
        same_frame(self.frame(), by.from())?;
        let axes = self.axes().map(|axis| by.direction(axis));
        Self::new(by.to().clone(), self.shape(), by.point(self.origin()), axes, self.spacing())
    }
}

fn same_frame(here: &FrameOfReferenceUid, there: &FrameOfReferenceUid) -> Result<(), GeometryError> {
    if here == there { Ok(()) } else { Err(GeometryError::OtherFrame(here.clone(), there.clone())) }
}

fn turned(rows: [Vec3; 3], v: Vec3) -> Vec3 {
    Vec3::new(rows[0].dot(v), rows[1].dot(v), rows[2].dot(v))
}

/// Rotation and shift of `first` and then `next`: R = R2 R1, t = R2 t1 + t2.
fn after(first: ([Vec3; 3], Vec3), next: ([Vec3; 3], Vec3)) -> ([Vec3; 3], Vec3) {
    let [a, b, c] = first.0;
    let row = |r: Vec3| a * r.x + b * r.y + c * r.z;
    (next.0.map(row), turned(next.0, first.1) + next.1)
}

/// Rotation and shift of one matrix.
fn checked(m: &[f64; 16]) -> Result<([Vec3; 3], Vec3), GeometryError> {
    let refused = |why: String| Err(GeometryError::NotRigid(why));
    if m.iter().any(|v| !v.is_finite()) {
        return refused("it holds what is no finite number".into());
    }
    let last = [m[12], m[13], m[14], m[15] - 1.0];
    if last.iter().any(|v| v.abs() > LAST_ROW_TOLERANCE) {
        return refused(format!("its last row is {:?} instead of 0 0 0 1", &m[12..]));
    }
    let rows = [Vec3::new(m[0], m[1], m[2]), Vec3::new(m[4], m[5], m[6]), Vec3::new(m[8], m[9], m[10])];
    for (n, row) in rows.iter().enumerate() {
        if (row.dot(*row) - 1.0).abs() > RIGID_TOLERANCE {
            return refused(format!("row {} has length {:.4}: it scales", n + 1, row.norm()));
        }
        let (next, number) = (rows[(n + 1) % 3], (n + 1) % 3 + 1);
        if row.dot(next).abs() > RIGID_TOLERANCE {
            return refused(format!("rows {} and {number} are not at right angles: it shears", n + 1));
        }
    }
    if rows[0].cross(rows[1]).dot(rows[2]) < 0.0 {
        return refused("it is a reflection, which exchanges left and right".into());
    }
    let shift = Vec3::new(m[3], m[7], m[11]);
    if shift.norm() > FARTHEST {
        return refused(format!("it shifts by {:.0} mm, further than any two scanners' centres", shift.norm()));
    }
    // Gram-Schmidt, so that the inverse is the transpose exactly.
    let degenerate = || GeometryError::NotRigid("a row vanishes".into());
    let a = rows[0].unit().ok_or_else(degenerate)?;
    let b = (rows[1] - a * a.dot(rows[1])).unit().ok_or_else(degenerate)?;
    Ok(([a, b, a.cross(b)], shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Index, Shape};

    fn frame(n: u32) -> FrameOfReferenceUid {
        FrameOfReferenceUid::parse(&format!("1.2.{n}")).unwrap()
    }

    /// By 90 degrees about z (left becomes posterior), then by this shift.
    fn quarter(shift: [f64; 3]) -> [f64; 16] {
        let [x, y, z] = shift;
        [0.0, -1.0, 0.0, x, 1.0, 0.0, 0.0, y, 0.0, 0.0, 1.0, z, 0.0, 0.0, 0.0, 1.0]
    }

    /// By 90 degrees about x, then by this shift.
    fn tipped(shift: [f64; 3]) -> [f64; 16] {
        let [x, y, z] = shift;
        [1.0, 0.0, 0.0, x, 0.0, 0.0, -1.0, y, 0.0, 1.0, 0.0, z, 0.0, 0.0, 0.0, 1.0]
    }

    #[test]
    fn a_matrix_takes_points_of_its_frame_to_the_other_one_and_back() {
        let one = Rigid::new(frame(1), frame(2), &[quarter([10.0, 20.0, 30.0])]).unwrap();
        assert_eq!(one.point(Lps::new(1.0, 2.0, 3.0)), Lps::new(8.0, 21.0, 33.0));
        assert_eq!(one.direction(Vec3::new(1.0, 0.0, 0.0)), Vec3::new(0.0, 1.0, 0.0));
        let back = one.inverse();
        assert_eq!((back.from(), back.to()), (&frame(2), &frame(1)));
        assert!(back.point(Lps::new(8.0, 21.0, 33.0)).distance(Lps::new(1.0, 2.0, 3.0)) < 1e-12);
        assert!((one.turn_degrees() - 90.0).abs() < 1e-9);
        assert_eq!(Rigid::identity(frame(1)).turn_degrees(), 0.0);
    }

    #[test]
    fn the_first_of_several_matrices_is_applied_first() {
        let (a, b) = (quarter([10.0, 0.0, 0.0]), tipped([0.0, 5.0, 0.0]));
        let both = Rigid::new(frame(1), frame(2), &[a, b]).unwrap();
        // (1, 2, 3) by a: (8, 1, 3); by b: (8, -3 + 5, 1).
        assert!(both.point(Lps::new(1.0, 2.0, 3.0)).distance(Lps::new(8.0, 2.0, 1.0)) < 1e-12);
        let first = Rigid::new(frame(1), frame(3), &[a]).unwrap();
        let second = Rigid::new(frame(3), frame(2), &[b]).unwrap();
        assert_eq!(first.then(&second).unwrap(), both);
        assert!(matches!(second.then(&second), Err(GeometryError::OtherFrame(..))));
        assert!(matches!(first.then(&second.inverse()), Err(GeometryError::OtherFrame(..))));
    }

    #[test]
    fn a_moved_grid_has_the_same_voxels_at_the_moved_places() {
        let grid =
            Grid::axis_aligned(frame(1), Shape::new(4, 5, 6), Lps::new(-3.0, 2.0, 9.0), [0.9, 1.1, 3.0]).unwrap();
        let by = Rigid::new(frame(1), frame(2), &[quarter([10.0, 20.0, 30.0]), tipped([1.0, 2.0, 3.0])]).unwrap();
        let moved = grid.moved(&by).unwrap();
        assert_eq!((moved.frame(), moved.shape(), moved.spacing()), (&frame(2), grid.shape(), grid.spacing()));
        let at = Index::new(1.5, 4.0, 2.25);
        assert!(moved.to_lps(at).distance(by.point(grid.to_lps(at))) < 1e-9);
        assert!(matches!(moved.moved(&by), Err(GeometryError::OtherFrame(..))));
    }

    #[test]
    fn what_is_not_rigid_is_refused_in_words() {
        let change = |at: usize, value: f64| {
            let mut m = quarter([0.0; 3]);
            m[at] = value;
            m
        };
        for (m, word) in [
            (change(4, 1.002), "it scales"),
            (change(5, 0.01), "it shears"),
            (change(10, -1.0), "reflection"),
            (change(14, 0.1), "last row"),
            (change(15, 2.0), "last row"),
            (change(3, f64::NAN), "no finite number"),
            (change(3, 1e6), "it shifts by"),
            ([0.0; 16], "last row"),
        ] {
            let why = Rigid::new(frame(1), frame(2), &[quarter([0.0; 3]), m]).unwrap_err().to_string();
            assert!(why.starts_with("the matrix is not rigid: ") && why.contains(word), "{why}");
        }
        assert!(Rigid::new(frame(1), frame(2), &[]).is_err());
        // What rounding to a few digits leaves is rigid, and made exactly so.
        let rounded = Rigid::new(frame(1), frame(2), &[change(4, 1.0004)]).unwrap();
        assert_eq!(rounded.direction(Vec3::new(1.0, 0.0, 0.0)).norm(), 1.0);
    }
}
