//! Where the edges of rings meet though they should not.

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{Coord, Line};

use super::Point;

/// How two edges meet, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// They share a point or a stretch, as the two sides of a keyhole do.
    Touch,
    /// Each passes through the inside of the other.
    Cross,
}

struct Edge {
    line: Line<f64>,
    ring: usize,
    at: usize,
    top: f64,
}

/// The first two rings (or one ring and itself) with edges that meet at least as badly as `least`. Neighbouring edges
/// of a ring share a corner without touching, unless they run back over each other. Edges without length are passed
/// over. Sweeps along j, so that only edges side by side are compared.
pub fn find_contact(rings: &[&[Point]], least: Contact) -> Option<(usize, usize)> {
    let mut edges: Vec<Edge> = Vec::new();
    for (ring, points) in rings.iter().enumerate() {
        for at in 0..points.len() {
            let (a, b) = (points[at], points[(at + 1) % points.len()]);
            let (low, high) = if a[1] <= b[1] { (a, b) } else { (b, a) };
            if a != b && low.iter().chain(&high).all(|v| v.is_finite()) {
                let line = Line::new(Coord { x: low[0], y: low[1] }, Coord { x: high[0], y: high[1] });
                edges.push(Edge { line, ring, at, top: high[1] });
            }
        }
    }
    edges.sort_by(|a, b| a.line.start.y.total_cmp(&b.line.start.y));
    let mut active: Vec<&Edge> = Vec::new();
    for edge in &edges {
        active.retain(|other| other.top >= edge.line.start.y);
        for other in &active {
            let n = rings[edge.ring].len();
            let apart = edge.at.abs_diff(other.at);
            let neighbours = edge.ring == other.ring && (apart == 1 || apart + 1 == n);
            if contact(edge.line, other.line, neighbours).is_some_and(|c| c >= least) {
                return Some((other.ring, edge.ring));
            }
        }
        active.push(edge);
    }
    None
}

fn contact(a: Line<f64>, b: Line<f64>, neighbours: bool) -> Option<Contact> {
    match line_intersection(a, b)? {
        LineIntersection::SinglePoint { is_proper: true, .. } => Some(Contact::Cross),
        LineIntersection::SinglePoint { .. } => (!neighbours).then_some(Contact::Touch),
        LineIntersection::Collinear { intersection } => {
            (!neighbours || intersection.start != intersection.end).then_some(Contact::Touch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossings_and_touches_are_told_apart() {
        let square: &[Point] = &[[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]];
        let bow_tie: &[Point] = &[[0.0, 0.0], [4.0, 3.0], [4.0, 0.0], [0.0, 3.0]];
        let spike: &[Point] = &[[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [4.0, 1.0], [0.0, 3.0]];
        let corner: &[Point] = &[[4.0, 3.0], [6.0, 3.0], [6.0, 5.0]];
        let over: &[Point] = &[[3.0, 1.0], [6.0, 1.0], [6.0, 2.0]];
        let within: &[Point] = &[[1.0, 1.0], [2.0, 1.0], [2.0, 2.0]];
        let touch = |rings: &[&[Point]]| find_contact(rings, Contact::Touch);
        let cross = |rings: &[&[Point]]| find_contact(rings, Contact::Cross);
        assert_eq!((touch(&[square]), touch(&[square, within])), (None, None));
        assert_eq!(cross(&[within, bow_tie]), Some((1, 1)));
        assert_eq!((touch(&[spike]), cross(&[spike])), (Some((0, 0)), None));
        assert_eq!((touch(&[square, corner]), cross(&[square, corner])), (Some((0, 1)), None));
        assert!(matches!(cross(&[square, over]), Some((0, 1) | (1, 0))));
    }
}
