//! Directions and points of patient space, and places in a grid.

use std::ops::{Add, Mul, Sub};

/// A direction or displacement in LPS millimetres (or a unit vector).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vec3 {
    /// Towards the patient's left.
    pub x: f64,
    /// Posterior.
    pub y: f64,
    /// Superior.
    pub z: f64,
}

impl Vec3 {
    /// From components in LPS.
    pub const fn new(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }

    /// Scalar product.
    #[inline]
    pub fn dot(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y + self.z * other.z
    }

    /// Vector product.
    #[inline]
    pub fn cross(self, o: Self) -> Self {
        Self::new(self.y * o.z - self.z * o.y, self.z * o.x - self.x * o.z, self.x * o.y - self.y * o.x)
    }

    /// Length.
    #[inline]
    pub fn norm(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The unit vector in this direction; `None` for a vector shorter than 1e-9.
    #[inline]
    pub fn unit(self) -> Option<Self> {
        let norm = self.norm();
        (norm > 1e-9).then(|| self * (1.0 / norm))
    }

    /// Components x, y, z.
    pub const fn to_array(self) -> [f64; 3] {
        [self.x, self.y, self.z]
    }

    /// The sides of the patient that a unit vector points to, the main one first: L left, R right, P posterior,
    /// A anterior, H head, F feet (PS3.3 C.7.6.1.1.1). A second letter when it lies more than 17 degrees off the axis.
    pub fn sides(self) -> String {
        let mut parts = [(self.x, 'L', 'R'), (self.y, 'P', 'A'), (self.z, 'H', 'F')];
        parts.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        let letter = |(size, plus, minus): (f64, char, char)| if size > 0.0 { plus } else { minus };
        let shown = parts.into_iter().take(2).enumerate().filter(|(n, part)| *n == 0 || part.0.abs() > 0.3);
        shown.map(|(_, part)| letter(part)).collect()
    }
}

impl Add for Vec3 {
    type Output = Self;
    #[inline]
    fn add(self, o: Self) -> Self {
        Self::new(self.x + o.x, self.y + o.y, self.z + o.z)
    }
}

impl Sub for Vec3 {
    type Output = Self;
    #[inline]
    fn sub(self, o: Self) -> Self {
        Self::new(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Mul<f64> for Vec3 {
    type Output = Self;
    #[inline]
    fn mul(self, s: f64) -> Self {
        Self::new(self.x * s, self.y * s, self.z * s)
    }
}

/// A point of patient space, LPS millimetres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lps {
    /// Towards the patient's left.
    pub x: f64,
    /// Posterior.
    pub y: f64,
    /// Superior.
    pub z: f64,
}

impl Lps {
    /// From millimetres.
    pub const fn new(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }

    /// Components x, y, z in millimetres.
    pub const fn to_array(self) -> [f64; 3] {
        [self.x, self.y, self.z]
    }

    /// Distance in millimetres.
    #[inline]
    pub fn distance(self, other: Self) -> f64 {
        (self - other).norm()
    }
}

impl Sub for Lps {
    type Output = Vec3;
    #[inline]
    fn sub(self, o: Self) -> Vec3 {
        Vec3::new(self.x - o.x, self.y - o.y, self.z - o.z)
    }
}

impl Add<Vec3> for Lps {
    type Output = Self;
    #[inline]
    fn add(self, v: Vec3) -> Self {
        Self::new(self.x + v.x, self.y + v.y, self.z + v.z)
    }
}

impl Sub<Vec3> for Lps {
    type Output = Self;
    #[inline]
    fn sub(self, v: Vec3) -> Self {
        Self::new(self.x - v.x, self.y - v.y, self.z - v.z)
    }
}

/// A place in a grid in voxels: integers are voxel centres, halves are the borders between voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Index {
    /// Column.
    pub i: f64,
    /// Row.
    pub j: f64,
    /// Slice.
    pub k: f64,
}

impl Index {
    /// From columns, rows, slices.
    pub const fn new(i: f64, j: f64, k: f64) -> Self {
        Self { i, j, k }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_named_by_the_sides_of_the_patient() {
        let named = |x, y, z| Vec3::new(x, y, z).unit().unwrap().sides();
        assert_eq!([named(0.9, 0.2, 0.1), named(-1.0, 0.0, 0.0), named(0.1, -0.9, 0.2)], ["L", "R", "A"]);
        assert_eq!([named(0.0, 1.0, 0.0), named(0.1, 0.2, -0.9), named(0.0, 0.2, 1.0)], ["P", "F", "H"]);
        assert_eq!([named(0.9, 0.44, 0.0), named(-0.44, -0.9, 0.1)], ["LP", "AR"]);
    }
}
