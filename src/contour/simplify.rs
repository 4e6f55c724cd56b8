//! Fewer corners for a ring, within a bound in millimetres and without a change to the pixels inside.

use super::Point;

/// No outline comes nearer to a pixel centre, mm: coordinates are written in micrometres, and what is read back has to
/// hold the same pixels.
const CLEAR_MM: f64 = 0.002;

/// The corners that Douglas and Peucker keep (no point of the ring lies further than `bound_mm` from the new outline),
/// and those without which a pixel centre would change sides or lie on the outline but for the rounding of coordinates.
/// `spacing` is the distance in mm between pixel centres along i and j. Corners are kept or left out, never moved.
pub fn simplify(ring: Vec<Point>, spacing: [f64; 2], bound_mm: f64) -> Vec<Point> {
    if bound_mm <= 0.0 {
        return ring;
    }
    let closed: Vec<Point> = ring.iter().chain(ring.first()).copied().collect();
    let mut out = Vec::new();
    // Chains still to be looked at, the next one last: a ragged outline would be too deep for recursion.
    let mut chains = vec![(0, ring.len())];
    while let Some((first, last)) = chains.pop() {
        let chain = &closed[first..=last];
        let (farthest, off2) = farthest(chain, spacing);
        let passes = |a: Point, b: Point| is_clear(a, b, spacing) && !encloses_centre(chain);
        if last == first + 1 || (off2 <= bound_mm * bound_mm && passes(closed[first], closed[last])) {
            out.push(closed[first]);
        } else {
            chains.extend([(first + farthest, last), (first, first + farthest)]);
        }
    }
    out
}

/// The corner between the ends of a chain that is farthest from the edge between them, and the square of how far, mm.
fn farthest(chain: &[Point], spacing: [f64; 2]) -> (usize, f64) {
    let (Some(a), Some(b)) = (chain.first(), chain.last()) else { return (0, 0.0) };
    let mm = |from: &Point, to: &Point| [(to[0] - from[0]) * spacing[0], (to[1] - from[1]) * spacing[1]];
    let along = mm(a, b);
    let length2 = along[0] * along[0] + along[1] * along[1];
    let mut found = (chain.len() / 2, 0.0);
    for (n, p) in chain.iter().enumerate().take(chain.len() - 1).skip(1) {
        let to = mm(a, p);
        let share = if length2 > 0.0 { ((to[0] * along[0] + to[1] * along[1]) / length2).clamp(0.0, 1.0) } else { 0.0 };
        let off = [to[0] - share * along[0], to[1] - share * along[1]];
        let off2 = off[0] * off[0] + off[1] * off[1];
        if off2 > found.1 {
            found = (n, off2);
        }
    }
    found
}

/// Whether an edge keeps away from every pixel centre.
fn is_clear(a: Point, b: Point, spacing: [f64; 2]) -> bool {
    let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
    let along = [(high[0] - low[0]) * spacing[0], (high[1] - low[1]) * spacing[1]];
    let length = along[0].hypot(along[1]);
    // Along a row of centres: none may lie between the ends.
    if along[1] == 0.0 {
        return low[1].fract() != 0.0 || low[0].floor() == high[0].floor();
    }
    let slope = (high[0] - low[0]) / (high[1] - low[1]);
    // From the nearest centre in a row to the edge is that far along the row, and less at right angles to the edge.
    let shorter = spacing[0] * along[1] / length;
    (low[1].ceil() as i64..=high[1].floor() as i64).all(|row| {
        let crossing = low[0] + (row as f64 - low[1]) * slope;
        (crossing - crossing.round()).abs() * shorter >= CLEAR_MM
    })
}

/// Whether a pixel centre lies between a chain and the edge from its last corner to its first.
fn encloses_centre(chain: &[Point]) -> bool {
    let rows = || chain.iter().map(|p| p[1]);
    let first = rows().fold(f64::INFINITY, f64::min).ceil() as i64;
    let last = rows().fold(f64::NEG_INFINITY, f64::max).floor() as i64;
    let mut crossings = Vec::new();
    (first..=last).any(|row| {
        let row = row as f64;
        crossings.clear();
        for (a, b) in chain.iter().zip(chain.iter().cycle().skip(1)) {
            if (a[1] < row) != (b[1] < row) {
                crossings.push(a[0] + (row - a[1]) * (b[0] - a[0]) / (b[1] - a[1]));
            }
        }
        crossings.sort_unstable_by(f64::total_cmp);
        crossings.chunks_exact(2).any(|pair| pair[0].ceil() < pair[1].ceil())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_in_millimetres() {
        // A corner that stands out by 0.2 along i and another by 0.2 along j: 0.1 mm and 0.6 mm.
        let ring = vec![[0.3, 0.4], [5.3, 0.2], [10.3, 0.4], [10.5, 5.4], [10.3, 10.4], [0.3, 10.4]];
        let kept = simplify(ring.clone(), [0.5, 3.0], 0.15);
        assert_eq!(kept, [[0.3, 0.4], [5.3, 0.2], [10.3, 0.4], [10.3, 10.4], [0.3, 10.4]]);
        assert_eq!(simplify(ring.clone(), [0.5, 3.0], 0.0), ring);
    }

    #[test]
    fn a_corner_stays_where_a_centre_would_change_sides_or_lie_on_the_edge() {
        // The corner at the top is 0.2 pixels off the edge around it; above, the centre (5, 4) lies in between.
        let square = |corner: Point| vec![[0.5, 0.5], [9.5, 0.5], [9.5, 3.9], corner, [0.5, 3.9]];
        assert_eq!(simplify(square([5.0, 4.1]), [1.0; 2], 0.3).len(), 5);
        assert_eq!(simplify(square([5.0, 3.7]), [1.0; 2], 0.3).len(), 4);
        // An edge that passes (5, 4) at one micrometre, one at ten, and one along a row of centres.
        assert!(!is_clear([9.5, 4.1], [0.5, 3.902], [1.0; 2]));
        assert!(is_clear([9.5, 4.1], [0.5, 3.92], [1.0; 2]));
        assert!(!is_clear([9.5, 4.0], [0.5, 4.0], [1.0; 2]) && is_clear([4.9, 4.0], [4.1, 4.0], [1.0; 2]));
    }
}
