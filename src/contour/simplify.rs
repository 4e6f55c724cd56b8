//! Fewer corners for a ring, within a bound in millimetres.

use geo::{LineString, SimplifyIdx};

use super::Point;

/// The corners that Douglas-Peucker keeps: no point of the ring lies further than `bound_mm` from the new outline.
/// `spacing` is the distance in mm between pixel centres along i and j. Corners are kept or left out, never moved.
pub fn simplify(ring: Vec<Point>, spacing: [f64; 2], bound_mm: f64) -> Vec<Point> {
    if bound_mm <= 0.0 {
        return ring;
    }
    let closed = ring.iter().chain(ring.first());
    let in_mm: LineString<f64> = closed.map(|p| (p[0] * spacing[0], p[1] * spacing[1])).collect();
    let kept = in_mm.simplify_idx(bound_mm);
    // The last index is the repeated first point.
    kept.iter().filter_map(|n| ring.get(*n).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_in_millimetres() {
        // A corner that stands out by 0.2 along i and another by 0.2 along j: 0.1 mm and 0.6 mm.
        let ring = vec![[0.0, 0.0], [5.0, -0.2], [10.0, 0.0], [10.2, 5.0], [10.0, 10.0], [0.0, 10.0]];
        let kept = simplify(ring.clone(), [0.5, 3.0], 0.15);
        assert_eq!(kept, [[0.0, 0.0], [5.0, -0.2], [10.0, 0.0], [10.0, 10.0], [0.0, 10.0]]);
        assert_eq!(simplify(ring.clone(), [0.5, 3.0], 0.0), ring);
    }
}
