//! Grids for property tests.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::{Grid, Lps, Shape, Vec3};
use crate::ids::FrameOfReferenceUid;

/// A grid of some shape about a point, of any spacing and orientation; every other one lies along the patient's axes,
/// half of these the other way in its planes.
pub fn any_grid_about(middle: Lps, shape: Shape) -> impl Strategy<Value = Grid> {
    let spacing = (0.2f64..1.9, 0.2f64..1.9, 0.4f64..3.0);
    (0usize..4, 0.0..TAU, 0.0..TAU, spacing, 0.0f64..1.0).prop_map(move |(way, a, b, (x, y, z), shift)| {
        let turned = |v: Vec3| {
            let v = Vec3::new(v.x * a.cos() - v.y * a.sin(), v.x * a.sin() + v.y * a.cos(), v.z);
            Vec3::new(v.x, v.y * b.cos() - v.z * b.sin(), v.y * b.sin() + v.z * b.cos())
        };
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        let [i, j, k] = axes;
        let [i, j, k] = match way {
            0 => axes,
            1 => [i * -1.0, j * -1.0, k],
            _ => axes.map(turned),
        };
        let half = |n: usize| (n as f64 - 1.0) / 2.0 + shift;
        let start = middle - i * (half(shape.cols) * x) - j * (half(shape.rows) * y) - k * (half(shape.slices) * z);
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        Grid::new(frame, shape, start, axes, [x, y, z]).unwrap()
    })
}
