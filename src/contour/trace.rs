//! Marching squares on one plane: from pixels to closed rings, exact.

/// A closed ring on a plane in half pixels: a pixel centre (i, j) is (2i, 2j), and every corner stands for the side
/// between two pixels, one in the foreground, that the outline passes between: a whole number with one odd coordinate.
/// The foreground lies to the left of the way round (i to the right, j up).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfRing(pub Vec<[i64; 2]>);

impl HalfRing {
    /// Twice the signed area in square half pixels: positive around an island, negative around a hole.
    pub fn doubled_area(&self) -> i64 {
        let n = self.0.len();
        (0..n).map(|a| cross(self.0[a], self.0[(a + 1) % n])).sum()
    }

    /// Whether a point that does not lie on the ring lies within it.
    pub fn contains(&self, p: [i64; 2]) -> bool {
        let n = self.0.len();
        let mut inside = false;
        for at in 0..n {
            let (a, b) = (self.0[at], self.0[(at + 1) % n]);
            if (a[1] > p[1]) != (b[1] > p[1]) {
                // p lies left of the crossing, without division: compare with the sign of the edge's height.
                let side = (p[0] - a[0]) * (b[1] - a[1]) - (b[0] - a[0]) * (p[1] - a[1]);
                if (side < 0) == (b[1] > a[1]) {
                    inside = !inside;
                }
            }
        }
        inside
    }

    /// The sides that its corners lie on, each with the next: those that one square joins.
    pub fn pairs(&self) -> impl Iterator<Item = [[i64; 2]; 2]> + '_ {
        let next = self.0.iter().cycle().skip(1);
        self.0.iter().zip(next).map(|(a, b)| [*a, *b])
    }
}

fn cross(a: [i64; 2], b: [i64; 2]) -> i64 {
    a[0] * b[1] - a[1] * b[0]
}

/// The sides of a square of four pixel centres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Bottom,
    Right,
    Top,
    Left,
}

/// Where the isoline that entered a square at `entry` leaves it, by which of its corners are foreground (bit 0 at
/// (0, 0), 1 at (1, 0), 2 at (1, 1), 3 at (0, 1)); the foreground stays on the left. In the two ambiguous squares (5
/// and 10) the foreground corners are parted: foreground joins through sides only, background through corners too.
fn exit(corners: u8, entry: Side) -> Side {
    match (corners, entry) {
        (1 | 3 | 7, _) | (5, Side::Bottom) => Side::Left,
        (8 | 9 | 11, _) | (10, Side::Left) => Side::Top,
        (4 | 12 | 13 | 5, _) => Side::Right,
        _ => Side::Bottom,
    }
}

/// Pixels of a row that are looked at together.
const BLOCK: usize = 32;

/// All rings of one plane of `cols` x `rows` pixels (row after row); beyond its border is background.
pub fn trace(pixels: &[bool], cols: usize, rows: usize) -> Vec<HalfRing> {
    let at = |i: i64, j: i64| {
        (0..cols as i64).contains(&i) && (0..rows as i64).contains(&j) && pixels[j as usize * cols + i as usize]
    };
    // Every ring goes down between a background pixel and a foreground pixel to its right at least once.
    let mut seen = vec![false; pixels.len()];
    let mut rings = Vec::new();
    for (j, row) in pixels.chunks_exact(cols).enumerate() {
        let mut before = false;
        for (block, start) in row.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            // Most blocks are all one; folds without a branch let the processor look at many pixels at once.
            let (any, all) = block.iter().fold((false, true), |(any, all), v| (any | v, all & v));
            if any && !(all && before) {
                for (i, inside) in (start..).zip(block) {
                    if *inside && !before && !seen[j * cols + i] {
                        rings.push(walk(at, cols, i as i64, j as i64, &mut seen));
                    }
                    before = *inside;
                }
            }
            before = block.last().copied().unwrap_or(before);
        }
    }
    rings
}

/// Follows one ring from the border between the background pixel (i - 1, j) and the foreground pixel (i, j).
fn walk(at: impl Fn(i64, i64) -> bool, cols: usize, i: i64, j: i64, seen: &mut [bool]) -> HalfRing {
    let start = [2 * i - 1, 2 * j];
    let (mut x, mut y, mut entry) = (i - 1, j - 1, Side::Top);
    let mut points = vec![start];
    seen[j as usize * cols + i as usize] = true;
    loop {
        let corners = u8::from(at(x, y))
            | u8::from(at(x + 1, y)) << 1
            | u8::from(at(x + 1, y + 1)) << 2
            | u8::from(at(x, y + 1)) << 3;
        let side = exit(corners, entry);
        let point = match side {
            Side::Bottom => [2 * x + 1, 2 * y],
            Side::Right => [2 * x + 2, 2 * y + 1],
            Side::Top => [2 * x + 1, 2 * y + 2],
            Side::Left => [2 * x, 2 * y + 1],
        };
        if point == start {
            break;
        }
        points.push(point);
        entry = match side {
            Side::Bottom => {
                seen[y as usize * cols + (x + 1) as usize] = true;
                y -= 1;
                Side::Top
            }
            Side::Right => {
                x += 1;
                Side::Left
            }
            Side::Top => {
                y += 1;
                Side::Bottom
            }
            Side::Left => {
                x -= 1;
                Side::Right
            }
        };
    }
    HalfRing(points)
}
