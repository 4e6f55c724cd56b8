//! Laws of the field: its sign, what it looks like from other grids, the volume that it encloses.

use proptest::prelude::*;

use super::*;
use crate::geometry::testgrid::any_grid_about;
use crate::geometry::{Lps, Shape};
use crate::ids::FrameOfReferenceUid;

const SPACING: [f64; 3] = [0.7, 0.8, 0.9];

fn frame() -> FrameOfReferenceUid {
    FrameOfReferenceUid::parse("1.2.3").unwrap()
}

fn mask(shape: [usize; 3], data: Vec<bool>) -> Mask {
    let shape = Shape::new(shape[0], shape[1], shape[2]);
    let grid = Grid::axis_aligned(frame(), shape, Lps::new(-12.0, 4.0, 31.0), SPACING).unwrap();
    Mask::new(Arc::new(grid), data).unwrap()
}

/// Ragged to compact shapes, up to the border of their grid; extents reach across words and blocks.
fn any_mask() -> impl Strategy<Value = Mask> {
    (1usize..80, 1usize..12, 1usize..11, 0.02f64..0.98).prop_flat_map(|(c, r, s, share)| {
        let voxels = proptest::collection::vec(proptest::bool::weighted(share), c * r * s);
        voxels.prop_map(move |data| mask([c, r, s], data))
    })
}

fn any_grid() -> impl Strategy<Value = Grid> {
    any_grid_about(Lps::new(2.0, 8.0, 35.0), Shape::new(61, 37, 9))
}

/// Whether all corners of the cell around a place are inside (true) or outside; `None` where they differ. At a border
/// between cells both count, so that rounding has no say.
fn whole(mask: &Mask, at: Index) -> Option<bool> {
    let s = mask.grid().shape();
    let near = |v: f64| ((v - 1e-9).floor() as i64)..=((v + 1e-9).ceil() as i64);
    let mut corners = near(at.k).flat_map(|k| near(at.j).flat_map(move |j| near(at.i).map(move |i| [i, j, k])));
    let inside = |v: [i64; 3]| {
        let on = [s.cols, s.rows, s.slices].iter().zip(v).all(|(n, v)| (0..*n as i64).contains(&v));
        on && mask.at(v[0] as usize, v[1] as usize, v[2] as usize)
    };
    let first = inside(corners.next().unwrap());
    corners.all(|v| inside(v) == first).then_some(first)
}

/// Log odds by the voxel's position in storage order. Asks for nothing beyond the grid.
fn row_by_row(mask: &Mask, odds: impl Fn(usize) -> f32 + Sync) -> impl Fn([usize; 3], &mut [f32]) + Sync {
    move |[i, j, k], row| {
        assert!(i + row.len() <= mask.grid().shape().cols);
        let start = mask.offset(i, j, k);
        row.iter_mut().enumerate().for_each(|(n, value)| *value = odds(start + n));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_pixel_has_the_sign_of_a_corner_of_its_cell(m in any_mask(), grid in any_grid(), odds in any::<Option<u64>>()) {
        // Odds that agree with the mask or do not, by chance.
        let by_chance = odds.map(|seed| row_by_row(&m, move |n: usize| {
            let mut bits = seed ^ (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            bits ^= bits >> 29;
            bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((bits >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 24.0
        }));
        let field = Field::new(&m, by_chance.as_ref().map(|odds| odds as &LogOdds));
        prop_assert_eq!(field.is_none(), m.is_empty());
        let Some(field) = field else { return Ok(()) };
        // At voxel centres the sign is the mask's.
        let own = field.on(m.grid()).unwrap();
        let voxel = |n: usize| m.voxel(n).map(|v| v as f64);
        prop_assert!((0..m.data().len()).all(|n| (own.at(voxel(n)) > 0.0) == m.data()[n]));
        let s = grid.shape();
        let mut rows = vec![f32::NEG_INFINITY; s.voxels()];
        let seen = field.on(&grid);
        if let Some(seen) = &seen {
            let Extent { lo, hi } = seen.extent();
            for (j, k) in (lo[2]..=hi[2]).flat_map(|k| (lo[1]..=hi[1]).map(move |j| (j, k))) {
                let start = (k * s.rows + j) * s.cols;
                seen.row(j, k, &mut rows[start + lo[0]..=start + hi[0]]);
            }
        }
        for (n, value) in rows.into_iter().enumerate() {
            let at = [n % s.cols, n / s.cols % s.rows, n / (s.cols * s.rows)];
            let place = m.grid().to_index(grid.centre(at[0], at[1], at[2]));
            prop_assert!(whole(&m, place).is_none_or(|inside| (value > 0.0) == inside), "{:?} {}", place, value);
            // Rows and single places say the same, but for rounding at the border of a cell.
            let alone = seen.as_ref().map_or(f32::NEG_INFINITY, |seen| seen.at(at.map(|v| v as f64)));
            let on_border = [place.i, place.j, place.k].iter().any(|v| (v - v.round()).abs() < 1e-6);
            prop_assert!(on_border || value == alone || (value - alone).abs() < 1e-3, "{} {}", value, alone);
        }
    }
}

/// What a field encloses, mm3, by its sign on a grid of 0.1 mm.
fn enclosed(field: &Field, around: &Grid) -> f64 {
    let (lo, hi) = around.bounds();
    let [cols, rows, slices] = std::array::from_fn(|a| ((hi[a] - lo[a]) / 0.1) as usize);
    let start = Lps::new(lo[0] + 0.05, lo[1] + 0.05, lo[2] + 0.05);
    let fine = Grid::axis_aligned(frame(), Shape::new(cols, rows, slices), start, [0.1; 3]).unwrap();
    let seen = field.on(&fine).unwrap();
    let Extent { lo, hi } = seen.extent();
    let mut values = vec![0.0; hi[0] - lo[0] + 1];
    let mut inside = 0;
    for (j, k) in (lo[2]..=hi[2]).flat_map(|k| (lo[1]..=hi[1]).map(move |j| (j, k))) {
        seen.row(j, k, &mut values);
        inside += values.iter().filter(|value| **value > 0.0).count();
    }
    inside as f64 * 1e-3
}

#[test]
fn a_ball_keeps_the_volume_of_its_mask_and_with_odds_its_own() {
    for (n, radius) in [1.5, 2.0, 3.0, 5.5].into_iter().enumerate() {
        let shape = [21, 19, 17];
        let middle = [7.0 + 0.13 * n as f64, 7.2 - 0.21 * n as f64, 7.4 + 0.17 * n as f64];
        let distance = |offset: usize| {
            let at = [offset % shape[0], offset / shape[0] % shape[1], offset / (shape[0] * shape[1])];
            (0..3).map(|a| (at[a] as f64 * SPACING[a] - middle[a]).powi(2)).sum::<f64>().sqrt() - radius
        };
        let m = mask(shape, (0..shape.iter().product()).map(|offset| distance(offset) < 0.0).collect());
        let ball = 4.0 / 3.0 * std::f64::consts::PI * radius * radius * radius;
        let of_mask = enclosed(&Field::new(&m, None).unwrap(), m.grid()) / (m.cc() * 1000.0);
        assert!(
            (of_mask - 1.0).abs() < if radius < 2.5 { 0.06 } else { 0.01 },
            "{radius} mm: {of_mask:.4} of the mask's"
        );
        let odds = row_by_row(&m, |offset| (-2.0 * distance(offset)) as f32);
        let of_odds = enclosed(&Field::new(&m, Some(&odds)).unwrap(), m.grid()) / ball;
        assert!((of_odds - 1.0).abs() < 0.01, "{radius} mm: {of_odds:.4} of the ball");
    }
}

#[test]
fn a_structure_elsewhere_is_not_seen() {
    let field = Field::new(&mask([3, 3, 3], vec![true; 27]), None).unwrap();
    let far = Grid::axis_aligned(frame(), Shape::new(5, 5, 5), Lps::new(500.0, 0.0, 0.0), [1.0; 3]).unwrap();
    assert!(field.on(&far).is_none());
    assert!(Field::new(&mask([3, 3, 3], vec![false; 27]), None).is_none());
}
