//! Laws of tracing, simplification, keyholes and rasterising on random masks.

use std::collections::BTreeSet;

use geo::{Area, Distance, Euclidean, LineString, Polygon, Validation};
use proptest::prelude::*;

use super::super::test_support::{contour, mask};
use super::super::{crossing, enclosed, rasterise};
use super::*;

/// A random plane stack: noise smoothed to a random degree, so that both ragged and compact shapes come up.
fn any_mask() -> impl Strategy<Value = Mask> {
    let shape = (1usize..19, 1usize..15, 1usize..4);
    let spacing = (0.3f64..2.5, 0.3f64..2.5, 0.5f64..4.0);
    (shape, spacing, 0usize..3, 0.25f64..0.8).prop_flat_map(|((c, r, s), (x, y, z), rounds, fill)| {
        proptest::collection::vec(proptest::bool::weighted(fill), c * r * s).prop_map(move |data| {
            let mut m = mask([c, r, s], [x, y, z], data);
            for _ in 0..rounds {
                m = majority(&m);
            }
            m
        })
    })
}

/// Each pixel takes the majority of its neighbourhood within the plane.
fn majority(m: &Mask) -> Mask {
    let s = m.grid().shape();
    let mut out = m.clone();
    for offset in 0..m.data().len() {
        let [i, j, k] = m.voxel(offset);
        let (mut inside, mut all) = (0, 0);
        for y in j.saturating_sub(1)..=(j + 1).min(s.rows - 1) {
            for x in i.saturating_sub(1)..=(i + 1).min(s.cols - 1) {
                all += 1;
                inside += usize::from(m.at(x, y, k));
            }
        }
        out.set(i, j, k, 2 * inside > all);
    }
    out
}

fn polygon(points: &[Point], spacing: [f64; 3]) -> Polygon<f64> {
    let line: LineString<f64> = points.iter().map(|p| (p[0] * spacing[0], p[1] * spacing[1])).collect();
    Polygon::new(line, Vec::new())
}

fn distance_mm(p: Point, ring: &[Point], s: [f64; 3]) -> f64 {
    let outline: LineString<f64> = polygon(ring, s).exterior().clone();
    Euclidean.distance(&geo::Point::new(p[0] * s[0], p[1] * s[1]), &outline)
}

/// What is wrong with some polygons by themselves: too few corners, one twice in a row, the wrong way round, a crossing.
fn fault(contours: &[PlaneContour]) -> Option<String> {
    for (n, PlaneContour { slice, points }) in contours.iter().enumerate() {
        let doubled = points.iter().zip(points.iter().cycle().skip(1)).any(|(a, b)| a == b);
        if points.len() < 3 || doubled || enclosed(points) <= 0.0 {
            return Some(format!("polygon {n}: {points:?}"));
        }
        let plane: Vec<&[Point]> =
            contours.iter().filter(|other| other.slice == *slice).map(|c| c.points.as_slice()).collect();
        if let Some((a, b)) = crossing(&plane) {
            return Some(format!("{a} and {b} cross on plane {slice}"));
        }
    }
    None
}

/// What must be drawn, found by flooding: plane by plane the islands (their corners join) with their holes filled, without
/// those of fewer pixels than `least`.
fn filled_islands(m: &Mask, least: usize) -> Mask {
    let s = m.grid().shape();
    let (cols, rows) = (s.cols as i64, s.rows as i64);
    let mut out = Mask::empty(Arc::clone(m.grid()));
    for k in 0..s.slices {
        let flood = |start: (i64, i64), through: &dyn Fn(i64, i64) -> bool| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
            while let Some((i, j)) = open.pop() {
                let beyond = !(-1..=cols).contains(&i) || !(-1..=rows).contains(&j);
                if !beyond && through(i, j) && reached.insert((i, j)) {
                    open.extend((-1..=1).flat_map(|y| (-1..=1).map(move |x| (i + x, j + y))));
                }
            }
            reached
        };
        let marked =
            |i: i64, j: i64| (0..cols).contains(&i) && (0..rows).contains(&j) && m.at(i as usize, j as usize, k);
        let outside = flood((-1, -1), &|i, j| !marked(i, j));
        let mut left: BTreeSet<(i64, i64)> =
            (0..rows).flat_map(|j| (0..cols).map(move |i| (i, j))).filter(|at| !outside.contains(at)).collect();
        while let Some(first) = left.first().copied() {
            let island = flood(first, &|i, j| left.contains(&(i, j)));
            left.retain(|at| !island.contains(at));
            if island.len() >= least {
                island.into_iter().for_each(|(i, j)| out.set(i as usize, j as usize, k, true));
            }
        }
    }
    out
}

fn exact(holes: Holes) -> ContourConfig {
    ContourConfig { tolerance_pixels: 0.0, holes, ..ContourConfig::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn keyholed_outlines_give_the_mask_back(m in any_mask(), tolerance in prop_oneof![Just(0.0), 0.0..0.3f64]) {
        let cfg = ContourConfig { tolerance_pixels: tolerance, ..exact(Holes::Keyhole) };
        let contours = contours_of(&m, &cfg).unwrap();
        prop_assert_eq!(fault(&contours), None);
        let again = rasterise(&contours, m.grid());
        prop_assert_eq!(again.data(), m.data());
    }

    #[test]
    fn filled_outlines_are_simple_and_lack_only_the_holes(m in any_mask(), tolerance in 0.0..0.3f64) {
        let cfg = ContourConfig { tolerance_pixels: tolerance, ..exact(Holes::Fill) };
        let outlines = outline(&m, &cfg).unwrap();
        prop_assert_eq!(fault(&outlines.contours), None);
        let filled = rasterise(&outlines.contours, m.grid());
        let wanted = filled_islands(&m, 1);
        prop_assert_eq!(filled.data(), wanted.data());
        prop_assert_eq!(filled.count(), outlines.pixels);
        prop_assert_eq!(filled.count(), m.count() + outlines.voxels_filled);
        for c in &outlines.contours {
            let polygon = polygon(&c.points, m.grid().spacing());
            prop_assert!(polygon.is_valid(), "{:?}", polygon);
            prop_assert!(polygon.signed_area() > 0.0);
        }
    }

    #[test]
    fn simplification_stays_within_its_bound(m in any_mask(), tolerance in 0.0..0.3f64) {
        let cfg = ContourConfig { tolerance_pixels: tolerance, ..exact(Holes::Fill) };
        let (before, after) = (contours_of(&m, &exact(Holes::Fill)).unwrap(), contours_of(&m, &cfg).unwrap());
        prop_assert_eq!(before.len(), after.len());
        let s = m.grid().spacing();
        let bound = tolerance * s[0].min(s[1]) + 1e-9;
        for (long, short) in before.iter().zip(&after) {
            prop_assert!(short.points.len() <= long.points.len());
            for p in &long.points {
                prop_assert!(distance_mm(*p, &short.points, s) <= bound);
            }
        }
    }

    #[test]
    fn what_is_dropped_and_filled_is_counted(m in any_mask(), least in 0usize..6) {
        let cfg = ContourConfig { min_island_voxels: least, ..ContourConfig::default() };
        let outlines = outline(&m, &cfg).unwrap();
        let filled = rasterise(&outlines.contours, m.grid());
        let wanted = filled_islands(&m, least);
        prop_assert_eq!(filled.data(), wanted.data());
        prop_assert_eq!(filled.count(), outlines.pixels);
        prop_assert_eq!(outlines.pixels + outlines.voxels_dropped, m.count() + outlines.voxels_filled);
    }

    #[test]
    fn a_keyholed_area_is_the_island_less_its_holes(m in any_mask()) {
        let spacing = m.grid().spacing();
        let area = |contours: &[PlaneContour]| -> f64 {
            contours.iter().map(|c| polygon(&c.points, spacing).signed_area()).sum()
        };
        let keyholed = area(&contours_of(&m, &exact(Holes::Keyhole)).unwrap());
        let shape = m.grid().shape();
        let mut rings = 0.0;
        for k in 0..shape.slices {
            for ring in trace(m.slice(k), shape.cols, shape.rows) {
                rings += ring.doubled_area() as f64 / 8.0 * spacing[0] * spacing[1];
            }
        }
        prop_assert!((keyholed - rings).abs() < 1e-6 * (1.0 + rings));
    }
}

/// Rows of '#' and other characters, separated by spaces, as one plane of 0.5 x 2 mm pixels.
fn drawn(art: &str) -> Mask {
    let rows: Vec<&str> = art.split(' ').collect();
    let data = rows.concat().bytes().map(|c| c == b'#').collect();
    mask([rows[0].len(), rows.len(), 1], [0.5, 2.0, 3.0], data)
}

#[test]
fn a_lone_pixel_is_a_diamond_even_at_the_border() {
    let m = drawn("#.. ...");
    let contours = contours_of(&m, &exact(Holes::Fill)).unwrap();
    assert_eq!(contours, [contour(0, &[[-0.5, 0.0], [0.0, -0.5], [0.5, 0.0], [0.0, 0.5]])]);
    let dropped = outline(&m, &ContourConfig { min_island_voxels: 2, ..ContourConfig::default() }).unwrap();
    assert_eq!((dropped.voxels_dropped, dropped.contours.len()), (1, 0));
    assert_eq!(dropped.pixels, 0);
}

#[test]
fn pixels_that_meet_at_a_corner_are_two_contours_of_one_island() {
    let m = drawn("#... .##.");
    let outlines = outline(&m, &ContourConfig { min_island_voxels: 2, ..ContourConfig::default() }).unwrap();
    assert_eq!((outlines.contours.len(), outlines.voxels_dropped), (2, 0));
    assert_eq!(fault(&outlines.contours), None);
    assert_eq!(rasterise(&outlines.contours, m.grid()).data(), m.data());
}

#[test]
fn straight_runs_have_no_points_within() {
    let contours = contours_of(&drawn(".... .### .### ...."), &exact(Holes::Fill)).unwrap();
    assert_eq!(contours[0].points.len(), 8);
}

#[test]
fn an_island_in_a_hole_has_its_own_contour() {
    let m = drawn("#######. #.....#. #.##..#. #.....#. ########");
    let kept = outline(&m, &ContourConfig { holes: Holes::Keyhole, ..ContourConfig::default() }).unwrap();
    assert_eq!((kept.contours.len(), kept.voxels_filled), (2, 0));
    assert_eq!(rasterise(&kept.contours, m.grid()).data(), m.data());
    let filled = outline(&m, &ContourConfig::default()).unwrap();
    assert_eq!((filled.contours.len(), filled.voxels_filled), (1, 13));
}

#[test]
fn a_lens_keeps_its_volume_where_outlines_through_centres_lose_a_third() {
    // 4 x 9 mm across, 0.9 mm pixels, off the grid by a fraction of a pixel.
    let (cols, rows) = (17, 23);
    let mut m = mask([cols, rows, 1], [0.9, 0.9, 1.0], vec![false; cols * rows]);
    for j in 0..rows {
        for i in 0..cols {
            let (x, y) = ((i as f64 - 7.3) * 0.9 / 2.0, (j as f64 - 10.6) * 0.9 / 4.5);
            m.set(i, j, 0, x * x + y * y <= 1.0);
        }
    }
    let contours = contours_of(&m, &ContourConfig::default()).unwrap();
    assert_eq!(rasterise(&contours, m.grid()).data(), m.data());
    let area = polygon(&contours[0].points, [0.9, 0.9, 1.0]).signed_area();
    let pixels = m.count() as f64 * 0.81;
    assert!((area / pixels - 1.0).abs() < 0.06, "{area} mm2 for {pixels} mm2 of pixels");
}

#[test]
fn a_ragged_outline_is_written_coarser_before_it_is_refused() {
    // A saw whose teeth of one pixel need two points each at any tolerance.
    let teeth = 40;
    let art = format!("{} {}", "#.".repeat(teeth), "##".repeat(teeth));
    let m = drawn(&art);
    let cfg = |max_points| ContourConfig { max_points, ..ContourConfig::default() };
    let points = contours_of(&m, &cfg(2000)).unwrap()[0].points.len();
    assert!(points >= 2 * teeth);
    assert_eq!(contours_of(&m, &cfg(70)), Err(ContourError::TooManyPoints { slice: 0, points, limit: 70 }));
    // A large disc has shallow steps that a wider bound can pass over.
    let disc = {
        let (n, r) = (200usize, 97.3);
        let inside = |v: usize| ((v % n) as f64 - 99.2).hypot((v / n) as f64 - 99.7) < r;
        mask([n, n, 1], [1.0, 1.0, 1.0], (0..n * n).map(inside).collect())
    };
    let fine = contours_of(&disc, &cfg(2000)).unwrap()[0].points.len();
    let coarse = contours_of(&disc, &cfg(fine - 1)).unwrap();
    assert!(coarse[0].points.len() < fine);
    assert_eq!(rasterise(&coarse, disc.grid()).data(), disc.data());
}

#[test]
fn settings_out_of_range_are_named() {
    let m = drawn("##");
    for (cfg, name) in [
        (ContourConfig { tolerance_pixels: 0.31, ..ContourConfig::default() }, "tolerance_pixels"),
        (ContourConfig { tolerance_pixels: f64::NAN, ..ContourConfig::default() }, "tolerance_pixels"),
        (ContourConfig { max_points: 3, ..ContourConfig::default() }, "max_points"),
    ] {
        assert!(matches!(outline(&m, &cfg), Err(ContourError::Config { key, .. }) if key == name));
    }
}

#[test]
fn contours_lie_in_the_coordinates_of_the_whole_grid() {
    let mut m = mask([9, 8, 5], [0.5, 2.0, 3.0], vec![false; 360]);
    for (i, j, k) in [(6, 2, 3), (7, 2, 3), (6, 3, 3), (7, 3, 3)] {
        m.set(i, j, k, true);
    }
    let contours = contours_of(&m, &ContourConfig::default()).unwrap();
    assert_eq!((contours.len(), contours[0].slice), (1, 3));
    let middle = contours[0].points.iter().fold([0.0; 2], |s, p| [s[0] + p[0] / 8.0, s[1] + p[1] / 8.0]);
    assert_eq!(middle, [6.5, 2.5]);
}
