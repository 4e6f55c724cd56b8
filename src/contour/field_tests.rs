//! Laws of outlines drawn from fields, on random shapes and grids of any orientation.

use geo::{Distance, Euclidean, LineString, Polygon, Validation};
use proptest::prelude::*;

use super::super::{crossing, enclosed, rasterise};
use super::*;
use crate::geometry::testgrid::any_grid_about;
use crate::geometry::{Index, Lps};
use crate::ids::FrameOfReferenceUid;

fn frame() -> FrameOfReferenceUid {
    FrameOfReferenceUid::parse("1.2.3").unwrap()
}

/// Noise, or a few balls, so that ragged and smooth shapes come up.
fn any_mask() -> impl Strategy<Value = Mask> {
    let shape = Shape::new(15, 13, 11);
    let grid = Grid::axis_aligned(frame(), shape, Lps::new(-6.0, 3.0, 20.0), [0.7, 0.8, 0.9]).unwrap();
    let grid = Arc::new(grid);
    let noise = (0.1f64..0.9).prop_flat_map(|share| {
        proptest::collection::vec(proptest::bool::weighted(share), Shape::new(15, 13, 11).voxels())
    });
    let ball = (0.0f64..14.0, 0.0f64..12.0, 0.0f64..10.0, 0.5f64..5.0);
    let balls = proptest::collection::vec(ball, 1..5).prop_map(|balls| {
        let inside = |n: usize| {
            let at = [n % 15, n / 15 % 13, n / 195].map(|v| v as f64);
            let within = |(x, y, z, r): &(f64, f64, f64, f64)| {
                [at[0] - x, at[1] - y, at[2] - z].iter().map(|d| d * d).sum::<f64>() < r * r
            };
            balls.iter().filter(|ball| within(ball)).count() % 2 == 1
        };
        (0..Shape::new(15, 13, 11).voxels()).map(inside).collect()
    });
    prop_oneof![noise, balls].prop_map(move |data| Mask::new(Arc::clone(&grid), data).unwrap())
}

fn any_grid() -> impl Strategy<Value = Arc<Grid>> {
    any_grid_about(Lps::new(-1.0, 8.0, 25.0), Shape::new(34, 29, 7)).prop_map(Arc::new)
}

fn config(holes: Holes, tolerance_pixels: f64) -> ContourConfig {
    ContourConfig { tolerance_pixels, holes, max_points: 2400, ..ContourConfig::default() }
}

/// The pixels at whose centres the field is positive.
fn sampled(field: &Field, grid: &Arc<Grid>) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    let Some(seen) = field.on(grid) else { return mask };
    let Extent { lo, hi } = seen.extent();
    let mut values = vec![0.0; hi[0] - lo[0] + 1];
    for (j, k) in (lo[2]..=hi[2]).flat_map(|k| (lo[1]..=hi[1]).map(move |j| (j, k))) {
        seen.row(j, k, &mut values);
        values.iter().enumerate().for_each(|(n, value)| mask.set(lo[0] + n, j, k, *value > 0.0));
    }
    mask
}

/// The same polygons as they come back from a file: points of the patient in whole micrometres.
fn written(contours: &[PlaneContour], grid: &Grid) -> Vec<PlaneContour> {
    let rounded = |slice: usize, p: &Point| {
        let place = grid.to_lps(Index::new(p[0], p[1], slice as f64)).to_array();
        let [x, y, z] = place.map(|v| (v * 1000.0).round() / 1000.0);
        let at = grid.to_index(Lps::new(x, y, z));
        [at.i, at.j]
    };
    let again = |c: &PlaneContour| PlaneContour {
        slice: c.slice,
        points: c.points.iter().map(|p| rounded(c.slice, p)).collect(),
    };
    contours.iter().map(again).collect()
}

fn in_mm(ring: &[Point], spacing: [f64; 3]) -> LineString<f64> {
    let closed = ring.iter().chain(ring.first());
    closed.map(|p| (p[0] * spacing[0], p[1] * spacing[1])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn outlines_hold_the_pixels_where_the_field_is_positive(
        m in any_mask(),
        grid in any_grid(),
        tolerance in prop_oneof![Just(0.0), Just(0.1), 0.0..0.3f64],
    ) {
        let Some(field) = Field::new(&m, None) else { return Ok(()) };
        let pixels = sampled(&field, &grid);
        let kept = outline_on(&field, &grid, &config(Holes::Keyhole, tolerance)).unwrap();
        let drawn = rasterise(&kept.contours, &grid);
        prop_assert_eq!(drawn.data(), pixels.data());
        prop_assert_eq!((kept.pixels, kept.voxels_filled, kept.voxels_dropped), (pixels.count(), 0, 0));

        let filled = outline_on(&field, &grid, &config(Holes::Fill, tolerance)).unwrap();
        let drawn = rasterise(&filled.contours, &grid);
        prop_assert!(pixels.data().iter().zip(drawn.data()).all(|(wanted, got)| *got || !wanted));
        prop_assert_eq!(drawn.count(), pixels.count() + filled.voxels_filled);
        prop_assert_eq!(drawn.count(), filled.pixels);
        // Written in micrometres and read, they hold the same pixels.
        let read = rasterise(&written(&filled.contours, &grid), &grid);
        prop_assert_eq!(read.data(), drawn.data());
        for k in 0..grid.shape().slices {
            let plane = filled.contours.iter().filter(|c| c.slice == k);
            let plane: Vec<&[Point]> = plane.map(|c| c.points.as_slice()).collect();
            prop_assert_eq!(crossing(&plane), None);
            for ring in plane {
                prop_assert!(enclosed(ring) > 0.0);
                let polygon = Polygon::new(in_mm(ring, grid.spacing()), Vec::new());
                prop_assert!(polygon.is_valid(), "{:?}", polygon);
            }
        }
    }

    #[test]
    fn simplified_outlines_stay_within_their_bound(m in any_mask(), grid in any_grid(), tolerance in 0.0..0.3f64) {
        let Some(field) = Field::new(&m, None) else { return Ok(()) };
        let before = outline_on(&field, &grid, &config(Holes::Fill, 0.0)).unwrap().contours;
        let after = outline_on(&field, &grid, &config(Holes::Fill, tolerance)).unwrap().contours;
        prop_assert_eq!(before.len(), after.len());
        let s = grid.spacing();
        let bound = tolerance * s[0].min(s[1]) + 1e-9;
        for (long, short) in before.iter().zip(&after) {
            prop_assert!(short.points.len() <= long.points.len());
            let outline = in_mm(&short.points, s);
            for p in &long.points {
                let p = geo::Point::new(p[0] * s[0], p[1] * s[1]);
                prop_assert!(Euclidean.distance(&p, &outline) <= bound);
            }
        }
    }
}

/// Pixels much larger than voxels: what lies between two centres is found all the same.
#[test]
fn outlines_are_found_between_pixels_larger_than_the_structure() {
    let shape = Shape::new(41, 37, 9);
    let fine = Grid::axis_aligned(frame(), shape, Lps::new(-10.0, -9.0, -2.0), [0.5; 3]).unwrap();
    let mut ball = Mask::empty(Arc::new(fine));
    for n in 0..shape.voxels() {
        let [i, j, k] = ball.voxel(n);
        ball.data_mut()[n] = ball.grid().centre(i, j, k).distance(Lps::new(0.3, 0.2, 0.0)) < 3.4;
    }
    let coarse = Grid::axis_aligned(frame(), Shape::new(5, 5, 1), Lps::new(-16.0, -16.0, 0.0), [8.0; 3]).unwrap();
    let drawn = outline_on(&Field::new(&ball, None).unwrap(), &coarse, &config(Holes::Fill, 0.0)).unwrap();
    assert_eq!((drawn.pixels, drawn.contours.len()), (1, 1));
    // Its crossings lie on the ball, a sphere's radius from its middle.
    let on_rows = drawn.contours[0].points.iter().filter(|p| p[0] == 2.0 || p[1] == 2.0);
    let radii: Vec<f64> = on_rows.map(|p| ((p[0] - 2.0) * 8.0 - 0.3).hypot((p[1] - 2.0) * 8.0 - 0.2)).collect();
    assert!(radii.len() == 4 && radii.iter().all(|r| (r - 3.4).abs() < 0.15), "{radii:?}");
}

#[test]
fn what_the_border_of_the_image_cuts_ends_half_a_pixel_beyond_the_last_centres() {
    let grid = Grid::axis_aligned(frame(), Shape::new(15, 13, 11), Lps::new(-6.0, 3.0, 20.0), [0.7, 0.8, 0.9]).unwrap();
    let mut ball = Mask::empty(Arc::new(grid));
    let centre = ball.grid().centre(7, 6, 5);
    for n in 0..ball.data().len() {
        let [i, j, k] = ball.voxel(n);
        ball.data_mut()[n] = ball.grid().centre(i, j, k).distance(centre) < 3.5;
    }
    let field = Field::new(&ball, None).unwrap();
    for (x, y) in [-5.7, -3.2, -0.4, 1.1].into_iter().flat_map(|x| [-4.9, -2.1, 0.3].map(|y| (x, y))) {
        let origin = Lps::new(centre.x + x, centre.y + y, centre.z - 3.0);
        let image = Arc::new(Grid::axis_aligned(frame(), Shape::new(11, 10, 5), origin, [0.5, 0.45, 1.4]).unwrap());
        let drawn = outline_on(&field, &image, &config(Holes::Fill, 0.1)).unwrap();
        assert!(drawn.pixels > 0 && super::super::beyond(&drawn.contours, image.shape()).is_none(), "{x} {y}");
        assert_eq!(rasterise(&drawn.contours, &image).count(), drawn.pixels);
    }
}
