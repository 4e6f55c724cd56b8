//! What can be odd about contours of anybody's making once they lie on planes.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlaneContour, crossing};
use crate::geometry::Shape;

/// The first contour with a point beyond the outermost pixels of its plane: drawn on another series, most likely.
pub fn beyond(contours: &[PlaneContour], shape: Shape) -> Option<&PlaneContour> {
    let within = |v: f64, count: usize| (-0.5..=count as f64 - 0.5).contains(&v);
    contours.iter().find(|c| !c.points.iter().all(|p| within(p[0], shape.cols) && within(p[1], shape.rows)))
}

/// The slices on which contours cross each other or themselves, ascending.
pub fn crossed_slices(contours: &[PlaneContour]) -> Vec<usize> {
    let mut by_slice: BTreeMap<usize, Vec<&[[f64; 2]]>> = BTreeMap::new();
    contours.iter().for_each(|c| by_slice.entry(c.slice).or_default().push(&c.points));
    by_slice.iter().filter(|(_, rings)| crossing(rings).is_some()).map(|(slice, _)| *slice).collect()
}

/// The slices without a contour between the first and the last that have one, ascending: left out to be interpolated in a
/// planning system, or lost.
pub fn skipped_slices(contours: &[PlaneContour]) -> Vec<usize> {
    let drawn: BTreeSet<usize> = contours.iter().map(|c| c.slice).collect();
    match (drawn.first(), drawn.last()) {
        (Some(first), Some(last)) => (*first..*last).filter(|k| !drawn.contains(k)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contour::test_support::contour;

    #[test]
    fn what_is_odd_is_told_by_slice() {
        let square = [[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]];
        let bow_tie = [[1.0, 1.0], [4.0, 3.0], [4.0, 1.0], [1.0, 3.0]];
        let contours = [contour(7, &square), contour(3, &bow_tie), contour(4, &square)];
        assert_eq!(crossed_slices(&contours), [3]);
        assert_eq!(skipped_slices(&contours), [5, 6]);
        assert!(skipped_slices(&[]).is_empty());
        assert!(beyond(&contours, Shape::new(5, 4, 9)).is_none());
        assert_eq!(beyond(&contours, Shape::new(4, 4, 9)).unwrap().slice, 7);
    }
}
