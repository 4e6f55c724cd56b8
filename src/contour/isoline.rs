//! Where exactly an outline passes between two pixels.

use super::Point;
use super::trace::HalfRing;
use crate::geometry::OnGrid;

/// A crossing keeps this part of the way away from either pixel centre, so that no corner of an outline is a centre.
const CLEAR: f64 = 0.02;
/// Most steps to a place where both ends of the way have a value: then pixels are 64 times as large as voxels.
const STEPS: usize = 6;
/// Corners are added between crossings where a ring encloses fewer pixels: chords would take 0.2 % of what is within, and
/// a part that grows as the ring shrinks.
const SMALL: i64 = 800;
/// How far beside a chord the isoline is looked for, and how far off it may be found, in pixels.
const BESIDE: f64 = 0.1;
const FARTHEST: f64 = 0.3;

/// What says where outlines pass.
pub enum Isoline<'a> {
    /// Half-way between pixels: all that a mask says.
    Halves,
    /// Where a field has its zero on one plane.
    Field {
        field: &'a OnGrid<'a>,
        /// The first pixel of the part of a plane that is looked at, and the part's columns.
        lo: [usize; 3],
        cols: usize,
        /// The field at its rows, which begin with it but may be longer.
        rows: Vec<&'a [f32]>,
    },
}

impl Isoline<'_> {
    /// The outline of a ring of `pixels`, in pixels of the part.
    pub fn outline(&self, ring: &HalfRing, pixels: &[bool]) -> Vec<Point> {
        let crossings: Vec<Point> = ring.0.iter().map(|side| self.crossing(*side)).collect();
        let Isoline::Field { cols, rows, .. } = self else { return straightened(crossings) };
        if ring.doubled_area().abs() / 8 >= SMALL {
            return crossings;
        }
        let mut points = Vec::with_capacity(2 * crossings.len());
        let next = crossings.iter().cycle().skip(1);
        for ([from, to], (a, b)) in ring.pairs().zip(crossings.iter().zip(next)) {
            points.push(*a);
            let square: [i64; 2] = std::array::from_fn(|n| (from[n] + to[n]).div_euclid(4));
            // At the image's border the outline runs straight: no corner leads beyond it.
            let within = [*cols, rows.len()].iter().zip(square).all(|(n, at)| at >= 0 && at + 1 < *n as i64);
            if within && !is_parted(square, pixels, *cols) {
                points.extend(self.between(*a, *b, square.map(|n| n as f64)));
            }
        }
        points
    }

    /// Where the outline passes a side, given in half pixels.
    fn crossing(&self, side: [i64; 2]) -> Point {
        let half = side.map(|n| n as f64 / 2.0);
        let Isoline::Field { cols, rows, .. } = self else { return half };
        let along = usize::from(side[0].rem_euclid(2) == 0);
        let ends = [half[along] - 0.5, half[along] + 0.5];
        let place = |v: f64| if along == 0 { [v, half[1]] } else { [half[0], v] };
        let value = |[i, j]: Point| {
            let within = i >= 0.0 && j >= 0.0 && i < *cols as f64 && j < rows.len() as f64;
            within.then(|| rows[j as usize][i as usize])
        };
        // At the image's border the outline ends half a pixel beyond the last centres, whatever the field does there.
        let (Some(first), Some(second)) = (value(place(ends[0])), value(place(ends[1]))) else { return half };
        let zero = if first > 0.0 {
            self.zero(first, second, |t| place(ends[0] + t))
        } else {
            1.0 - self.zero(second, first, |t| place(ends[1] - t))
        };
        place(ends[0] + zero.clamp(CLEAR, 1.0 - CLEAR))
    }

    /// The part of the way from a place inside to one outside at which the field is zero: bisected to where both ends have
    /// a value, then by two secants.
    fn zero(&self, mut inside: f32, mut outside: f32, place: impl Fn(f64) -> Point) -> f64 {
        let (mut a, mut b) = (0.0, 1.0);
        let secant = |a: f64, inside: f32, b: f64, outside: f32| {
            let share = if inside.is_finite() && outside.is_finite() { inside / (inside - outside) } else { 0.5 };
            a + (b - a) * f64::from(share)
        };
        for _ in 0..STEPS {
            let near = inside.is_finite() && outside.is_finite();
            let t = secant(a, inside, b, outside);
            let value = self.value(place(t));
            if value > 0.0 {
                (a, inside) = (t, value)
            } else {
                (b, outside) = (t, value)
            }
            if near {
                break;
            }
        }
        secant(a, inside, b, outside)
    }

    /// The point of the isoline beside the middle of a chord through a square, where it is worth a corner.
    fn between(&self, a: Point, b: Point, square: Point) -> Option<Point> {
        let middle = [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
        let length = (b[0] - a[0]).hypot(b[1] - a[1]);
        // The foreground lies on the left.
        let left = [(a[1] - b[1]) / length, (b[0] - a[0]) / length];
        let here = self.value(middle);
        let towards = if here > 0.0 { -BESIDE } else { BESIDE };
        let aside = |d: f64| [middle[0] + left[0] * d, middle[1] + left[1] * d];
        let there = self.value(aside(towards));
        let way = f64::from(here / (here - there)) * towards;
        let worth = way.is_finite() && (0.001..FARTHEST).contains(&(way / towards.signum()));
        // Within the square and off its corners the outline parts the same centres as the chord does.
        worth.then(|| {
            let point = aside(way);
            std::array::from_fn(|n| point[n].clamp(square[n] + CLEAR, square[n] + 1.0 - CLEAR))
        })
    }

    /// The field at a place of the part.
    fn value(&self, [i, j]: Point) -> f32 {
        match self {
            Isoline::Halves => 0.0,
            Isoline::Field { field, lo: [first, top, k], .. } => {
                field.at([i + *first as f64, j + *top as f64, *k as f64])
            }
        }
    }
}

/// Whether two outlines pass through the square between pixels (i, j) and (i + 1, j + 1).
fn is_parted([i, j]: [i64; 2], pixels: &[bool], cols: usize) -> bool {
    let rows = (pixels.len() / cols) as i64;
    let at = |i: i64, j: i64| {
        (0..cols as i64).contains(&i) && (0..rows).contains(&j) && pixels[j as usize * cols + i as usize]
    };
    let [near, far] = [[at(i, j), at(i + 1, j + 1)], [at(i + 1, j), at(i, j + 1)]];
    near[0] == near[1] && far[0] == far[1] && near[0] != far[0]
}

/// The corners at which the direction changes.
fn straightened(ring: Vec<Point>) -> Vec<Point> {
    let n = ring.len();
    let turns = |at: usize| {
        let [a, b, c] = [ring[(at + n - 1) % n], ring[at], ring[(at + 1) % n]];
        (b[0] - a[0]) * (c[1] - b[1]) != (b[1] - a[1]) * (c[0] - b[0])
    };
    (0..n).filter(|at| turns(*at)).map(|at| ring[at]).collect()
}
