//! Holes joined to the ring around them by bridges without width, so that one polygon says all.

use super::Point;

/// Two points count as one below this distance, in pixels: far below a pixel, far above rounding.
const SAME: f64 = 1e-9;

/// The shortest way between the joined outline and a hole.
#[derive(Clone, Copy)]
struct Bridge {
    outline: Point,
    hole: Point,
    mm2: f64,
}

/// One polygon from a ring and the holes in it: the nearest hole first, by the shortest bridge there is, so that no
/// bridge can cross a ring or another bridge (what it crossed would have been nearer). The ring runs with its inside
/// on the left, holes with theirs on the right. `spacing`: mm between pixel centres along i and j.
///
/// Returns `None` when a bridge finds no place, which rings that neither touch nor cross cannot bring about.
pub fn join(ring: Vec<Point>, mut holes: Vec<Vec<Point>>, spacing: [f64; 2]) -> Option<Vec<Point>> {
    let mut joined = ring;
    let mut bridges: Vec<Option<Bridge>> = holes.iter().map(|hole| shortest(&joined, hole, spacing)).collect();
    while let Some(next) = (0..holes.len()).min_by(|a, b| length(bridges[*a]).total_cmp(&length(bridges[*b]))) {
        let bridge = bridges.swap_remove(next)?;
        let hole = holes.swap_remove(next);
        // Only what is new in the outline can be nearer to the holes that are left: this hole and its bridge.
        let added: [&[Point]; 2] = [&hole, &[bridge.outline, bridge.hole]];
        for (other, best) in holes.iter().zip(&mut bridges) {
            for part in added {
                let found = shortest(part, other, spacing);
                if length(found) < length(*best) {
                    *best = found;
                }
            }
        }
        joined = insert(joined, &hole, bridge)?;
    }
    Some(joined)
}

fn length(bridge: Option<Bridge>) -> f64 {
    bridge.map_or(f64::INFINITY, |b| b.mm2)
}

/// The shortest way between two closed rings that do not cross: it has a corner of one of them at an end.
fn shortest(outline: &[Point], hole: &[Point], spacing: [f64; 2]) -> Option<Bridge> {
    let mut best: Option<Bridge> = None;
    let mut keep = |candidate: Bridge| {
        if candidate.mm2 < length(best) {
            best = Some(candidate);
        }
    };
    for (a, b) in edges(outline) {
        for p in hole {
            let q = nearest_on(a, b, *p, spacing);
            keep(Bridge { outline: q, hole: *p, mm2: distance2(q, *p, spacing) });
        }
    }
    for (a, b) in edges(hole) {
        for p in outline {
            let q = nearest_on(a, b, *p, spacing);
            keep(Bridge { outline: *p, hole: q, mm2: distance2(q, *p, spacing) });
        }
    }
    best
}

fn edges(ring: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    ring.iter().copied().zip(ring.iter().copied().cycle().skip(1))
}

/// The point of an edge nearest to p, by distance in mm; an end of the edge is returned to the last bit.
pub fn nearest_on(a: Point, b: Point, p: Point, spacing: [f64; 2]) -> Point {
    let along = [(b[0] - a[0]) * spacing[0], (b[1] - a[1]) * spacing[1]];
    let to = [(p[0] - a[0]) * spacing[0], (p[1] - a[1]) * spacing[1]];
    let t = (along[0] * to[0] + along[1] * to[1]) / (along[0] * along[0] + along[1] * along[1]);
    if t <= 0.0 || t.is_nan() {
        a
    } else if t >= 1.0 {
        b
    } else {
        [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]
    }
}

fn distance2(a: Point, b: Point, spacing: [f64; 2]) -> f64 {
    ((a[0] - b[0]) * spacing[0]).powi(2) + ((a[1] - b[1]) * spacing[1]).powi(2)
}

fn same(a: Point, b: Point) -> bool {
    distance2(a, b, [1.0; 2]) < SAME * SAME
}

/// Positive when c lies to the left of the way from a to b.
fn side(a: Point, b: Point, c: Point) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// The outline with the hole put in: ... outline point, hole all round back to its first point, outline point ...
fn insert(joined: Vec<Point>, hole: &[Point], bridge: Bridge) -> Option<Vec<Point>> {
    let n = joined.len();
    let place =
        (0..n).find(|at| departs_inside(joined[(at + n - 1) % n], joined[*at], joined[(at + 1) % n], bridge))?;
    let on_corner = same(joined[place], bridge.outline);
    let landing = (0..hole.len()).find(|at| {
        let (a, b) = (hole[*at], hole[(at + 1) % hole.len()]);
        same(a, bridge.hole) || !same(b, bridge.hole) && same(nearest_on(a, b, bridge.hole, [1.0; 2]), bridge.hole)
    })?;
    let lands_on_corner = same(hole[landing], bridge.hole);

    let departure = if on_corner { joined[place] } else { bridge.outline };
    let arrival = if lands_on_corner { hole[landing] } else { bridge.hole };
    let mut out = Vec::with_capacity(n + hole.len() + 4);
    out.extend_from_slice(&joined[..=place]);
    if !on_corner {
        out.push(departure);
    }
    out.push(arrival);
    out.extend(hole.iter().cycle().skip(landing + 1).take(hole.len() - usize::from(lands_on_corner)));
    out.push(arrival);
    out.push(departure);
    out.extend_from_slice(&joined[place + 1..]);
    // A bridge is two edges, there and back: both get the new corner, or rounding would have one cross what leaves the other.
    let ends = (joined[(place + 1) % n], joined[place]);
    let back = if on_corner { None } else { edges(&out).position(|edge| edge == ends) };
    if let Some(back) = back {
        out.insert(back + 1, departure);
    }
    Some(out)
}

/// Whether the bridge leaves the corner `at`, or the edge from it to `next`, towards the outline's inside. An outline
/// with bridges visits some points twice, and a bridge's edge lies there in both directions: only one fits.
fn departs_inside(before: Point, at: Point, next: Point, bridge: Bridge) -> bool {
    let to = bridge.hole;
    if same(at, bridge.outline) {
        let (left_of_in, left_of_out) = (side(before, at, to) > 0.0, side(at, next, to) > 0.0);
        if side(before, at, next) >= 0.0 { left_of_in && left_of_out } else { left_of_in || left_of_out }
    } else {
        !same(next, bridge.outline)
            && same(nearest_on(at, next, bridge.outline, [1.0; 2]), bridge.outline)
            && side(at, next, to) > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contour::contact::{Contact, find_contact};
    use crate::contour::enclosed;

    fn hole(i: f64, j: f64, w: f64, h: f64) -> Vec<Point> {
        vec![[i, j], [i, j + h], [i + w, j + h], [i + w, j]]
    }

    #[test]
    fn the_bridge_is_the_shortest_in_millimetres() {
        let ring = vec![[0.0, 0.0], [10.0, 0.0], [10.0, 8.0], [0.0, 8.0]];
        // Two pixels from the lower side (6 mm), three from the left side (1.5 mm).
        let joined = join(ring, vec![hole(3.0, 2.0, 2.0, 1.0)], [0.5, 3.0]).unwrap();
        assert_eq!(joined.len(), 4 + 4 + 3);
        let bridge = joined.iter().position(|p| *p == [3.0, 2.0]).unwrap();
        assert_eq!(joined[bridge - 1], [0.0, 2.0]);
        assert!((enclosed(&joined) - (80.0 - 2.0)).abs() < 1e-12);
    }

    #[test]
    fn many_holes_hang_on_one_another_without_a_crossing() {
        let ring = vec![[0.0, 0.0], [40.0, 0.0], [43.0, 30.0], [0.0, 30.0]];
        let mut holes = Vec::new();
        for n in 0..6 {
            for m in 0..5 {
                holes.push(hole(
                    2.0 + 6.0 * n as f64 + 0.3 * m as f64,
                    3.0 + 5.0 * m as f64,
                    3.0,
                    2.0 + 0.1 * n as f64,
                ));
            }
        }
        let expected = enclosed(&ring) + holes.iter().map(|h| enclosed(h)).sum::<f64>();
        let joined = join(ring, holes, [0.7, 1.1]).unwrap();
        assert!((enclosed(&joined) - expected).abs() < 1e-9);
        assert_eq!(find_contact(&[&joined], Contact::Cross), None);
    }

    #[test]
    fn a_bridge_that_hangs_on_a_bridge_parts_both_its_edges() {
        // A peak of the ring, the tip of a hole far above it, and that of another beside the way between them.
        let ring = vec![
            [-40.0, -20.0],
            [19.0, -20.0],
            [20.1, 10.0],
            [21.0, -20.0],
            [80.0, -20.0],
            [80.0, 60.0],
            [-40.0, 60.0],
        ];
        let above = vec![[20.3, 22.0], [15.0, 40.0], [25.0, 40.0]];
        let beside = vec![[31.0, 16.0], [50.0, 20.0], [50.0, 12.0]];
        let joined = join(ring.clone(), vec![above.clone(), beside.clone()], [1.0; 2]).unwrap();
        let corner = joined[joined.iter().position(|p| *p == beside[0]).unwrap() - 1];
        assert!(corner[1] > 15.0 && corner[1] < 17.0, "{corner:?} is not on the way");
        assert_eq!(joined.iter().filter(|p| **p == corner).count(), 3);
        assert_eq!(find_contact(&[&joined], Contact::Cross), None);
        assert!((enclosed(&joined) - enclosed(&ring) - enclosed(&above) - enclosed(&beside)).abs() < 1e-9);
    }

    #[test]
    fn without_holes_nothing_changes() {
        let ring = vec![[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]];
        assert_eq!(join(ring.clone(), Vec::new(), [1.0; 2]).unwrap(), ring);
    }
}
