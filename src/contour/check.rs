//! Polygons against the mask they stand for: what a planning system would not see for us.

use serde::Serialize;

use super::contact::{Contact, find_contact};
use super::{PlaneContour, Point, enclosed, rasterise};
use crate::geometry::Mask;

/// One thing wrong with a set of polygons. `contour` is a position in the list that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// On a plane that the grid does not have.
    #[error("contour {contour} lies on plane {slice}, which the series does not have")]
    NoSuchPlane { contour: usize, slice: usize },
    /// A coordinate that is not a finite number.
    #[error("contour {contour} on plane {slice} has a coordinate that is not a number")]
    NotFinite { contour: usize, slice: usize },
    /// A corner beyond the border of the image.
    #[error("contour {contour} on plane {slice} leaves the image")]
    LeavesImage { contour: usize, slice: usize },
    /// Fewer than three distinct points.
    #[error("contour {contour} on plane {slice} has {points} distinct points; a polygon needs three")]
    TooFewPoints { contour: usize, slice: usize, points: usize },
    /// Two equal points one after the other; the last and the first count as such.
    #[error("contour {contour} on plane {slice} repeats a point")]
    RepeatedPoint { contour: usize, slice: usize },
    /// Turns the wrong way.
    #[error("contour {contour} on plane {slice} runs clockwise")]
    Clockwise { contour: usize, slice: usize },
    /// Two contours, or one and itself, cross.
    #[error("contours {first} and {second} on plane {slice} cross")]
    Crossing { slice: usize, first: usize, second: usize },
    /// Filling the polygons of a plane does not give its pixels.
    #[error("plane {slice}: {missing} pixels of the mask are outside the contours and {extra} others inside")]
    PixelsDiffer { slice: usize, missing: usize, extra: usize },
}

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// Dice of the filled polygons and the mask; `None` when both are empty.
    pub dice: Option<f64>,
    /// Voxels of the mask that the polygons leave out.
    pub missing: usize,
    /// Voxels that the polygons add.
    pub extra: usize,
    /// Everything wrong, contour by contour, then plane by plane.
    pub defects: Vec<Defect>,
}

/// Half a pixel beyond the last centre is the border of the image; what writing three decimals of a millimetre moves
/// is forgiven.
const BORDER: f64 = 0.5 + 0.01;

/// Fills the polygons at pixel centres and compares them with the mask, and looks at each polygon by itself. A keyhole's
/// bridge, where a polygon touches itself, is no defect.
pub fn check(contours: &[PlaneContour], mask: &Mask) -> Check {
    let shape = mask.grid().shape();
    let mut defects = Vec::new();
    let mut by_slice: Vec<Vec<usize>> = vec![Vec::new(); shape.slices];
    for (contour, PlaneContour { slice, points }) in contours.iter().enumerate() {
        match by_slice.get_mut(*slice) {
            Some(list) => list.push(contour),
            None => defects.push(Defect::NoSuchPlane { contour, slice: *slice }),
        }
        own_defects(contour, *slice, points, [shape.cols, shape.rows], &mut defects);
    }
    for (slice, list) in by_slice.iter().enumerate() {
        let rings: Vec<&[Point]> = list.iter().map(|n| contours[*n].points.as_slice()).collect();
        if let Some((a, b)) = find_contact(&rings, Contact::Cross) {
            let (first, second) = (list[a.min(b)], list[a.max(b)]);
            defects.push(Defect::Crossing { slice, first, second });
        }
    }
    let filled = rasterise(contours, mask.grid());
    let (mut missing, mut extra) = (0, 0);
    for slice in 0..shape.slices {
        let (mut without, mut beyond) = (0, 0);
        for (wanted, got) in mask.slice(slice).iter().zip(filled.slice(slice)) {
            without += usize::from(*wanted && !got);
            beyond += usize::from(*got && !wanted);
        }
        if without + beyond > 0 {
            defects.push(Defect::PixelsDiffer { slice, missing: without, extra: beyond });
        }
        missing += without;
        extra += beyond;
    }
    let common = mask.count() - missing;
    let dice = (common + missing + extra > 0).then(|| 2.0 * common as f64 / (2 * common + missing + extra) as f64);
    Check { dice, missing, extra, defects }
}

fn own_defects(contour: usize, slice: usize, points: &[Point], size: [usize; 2], defects: &mut Vec<Defect>) {
    if !points.iter().flatten().all(|v| v.is_finite()) {
        defects.push(Defect::NotFinite { contour, slice });
        return;
    }
    let within = |p: &Point| (0..2).all(|a| p[a] >= -BORDER && p[a] <= size[a] as f64 - 1.0 + BORDER);
    if !points.iter().all(within) {
        defects.push(Defect::LeavesImage { contour, slice });
    }
    let mut distinct = points.to_vec();
    distinct.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    distinct.dedup();
    if distinct.len() < 3 {
        defects.push(Defect::TooFewPoints { contour, slice, points: distinct.len() });
        return;
    }
    if points.iter().zip(points.iter().cycle().skip(1)).any(|(a, b)| a == b) {
        defects.push(Defect::RepeatedPoint { contour, slice });
    }
    if enclosed(points) < 0.0 {
        defects.push(Defect::Clockwise { contour, slice });
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{contour, mask};
    use super::*;
    use crate::contour::{ContourConfig, contours_of};

    /// A lopsided mask of 9 x 7 x 3 with two structures in its middle plane and a plane above.
    fn sample() -> Mask {
        let art = ".......... .####..#.. .#####.##. ..####.... ..##......";
        let mut m = mask([10, 5, 3], [0.6, 1.5, 2.0], vec![false; 150]);
        for (j, row) in art.split(' ').enumerate() {
            for (i, c) in row.bytes().enumerate() {
                m.set(i, j, 1, c == b'#');
                m.set(i, j, 2, c == b'#' && i < 4);
            }
        }
        m
    }

    #[test]
    fn good_contours_have_no_defect() {
        let m = sample();
        let contours = contours_of(&m, &ContourConfig::default()).unwrap();
        assert_eq!(check(&contours, &m), Check { dice: Some(1.0), missing: 0, extra: 0, defects: Vec::new() });
        let empty = mask([4, 3, 2], [1.0; 3], vec![false; 24]);
        assert_eq!(check(&[], &empty).dice, None);
    }

    #[test]
    fn every_fault_is_named() {
        let m = sample();
        let good = contours_of(&m, &ContourConfig::default()).unwrap();
        let last = good.len() - 1;
        let faults = |change: &dyn Fn(&mut Vec<PlaneContour>)| {
            let mut contours = good.clone();
            change(&mut contours);
            check(&contours, &m).defects
        };
        let has = |defects: Vec<Defect>, wanted: &dyn Fn(&Defect) -> bool| {
            assert!(defects.iter().any(wanted), "{defects:?}");
        };
        has(faults(&|c| c[0].slice = 9), &|d| *d == Defect::NoSuchPlane { contour: 0, slice: 9 });
        has(faults(&|c| c[0].points[1][0] = f64::NAN), &|d| *d == Defect::NotFinite { contour: 0, slice: 1 });
        has(faults(&|c| c[0].points[0][1] = -0.7), &|d| *d == Defect::LeavesImage { contour: 0, slice: 1 });
        has(faults(&|c| c[last].points.truncate(2)), &|d| {
            *d == Defect::TooFewPoints { contour: last, slice: 2, points: 2 }
        });
        has(
            faults(&|c| {
                let first = c[0].points[0];
                c[0].points.push(first);
            }),
            &|d| *d == Defect::RepeatedPoint { contour: 0, slice: 1 },
        );
        has(faults(&|c| c[last].points.reverse()), &|d| *d == Defect::Clockwise { contour: last, slice: 2 });
        has(faults(&|c| c.push(contour(1, &[[-0.4, 2.0], [9.0, 1.9], [9.0, 2.1]]))), &|d| {
            matches!(d, Defect::Crossing { slice: 1, .. })
        });
    }

    #[test]
    fn a_lost_contour_costs_pixels_and_dice() {
        let m = sample();
        let mut contours = contours_of(&m, &ContourConfig::default()).unwrap();
        contours.retain(|c| c.slice != 2);
        contours.push(contour(0, &[[2.5, 1.5], [4.5, 1.5], [4.5, 2.5], [2.5, 2.5]]));
        let lost = m.slice(2).iter().filter(|v| **v).count();
        let found = check(&contours, &m);
        assert_eq!((found.missing, found.extra), (lost, 2));
        let kept = m.count() - lost;
        assert!((found.dice.unwrap() - 2.0 * kept as f64 / (m.count() + kept + 2) as f64).abs() < 1e-12);
        assert_eq!(
            found.defects,
            [
                Defect::PixelsDiffer { slice: 0, missing: 0, extra: 2 },
                Defect::PixelsDiffer { slice: 2, missing: lost, extra: 0 }
            ]
        );
    }
}
