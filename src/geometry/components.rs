//! Connected components of a mask.

use super::bits::BitRows;
use super::{Extent, Mask};

/// Which voxels are neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connectivity {
    /// Faces only (6).
    Faces,
    /// Faces, edges and corners (26).
    Corners,
}

/// One connected component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its label in [`Components::label_at`]; labels start at 1.
    pub label: u32,
    /// Number of voxels.
    pub voxels: usize,
    /// Its box.
    pub extent: Extent,
}

/// The connected components of a mask, largest first; ties go to the one that comes first in storage order. Kept as runs
/// along i: a structure has few of them for its voxels.
#[derive(Debug, Clone)]
pub struct Components {
    /// Largest first.
    pub list: Vec<Component>,
    bounds: Option<Extent>,
    /// Row r = k * height + j of the box holds the runs `rows[r]..rows[r + 1]`.
    rows: Vec<usize>,
    runs: Vec<Run>,
}

/// A run of voxels along i, counted from the box.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: usize,
    last: usize,
    /// While components are looked for, the number of another run of the same one; then the label.
    of: usize,
}

impl Components {
    /// Label of voxel (i, j, k), 0 outside every component.
    pub fn label_at(&self, i: usize, j: usize, k: usize) -> u32 {
        let Some(b) = self.bounds else { return 0 };
        let v = [i, j, k];
        if (0..3).any(|a| v[a] < b.lo[a] || v[a] > b.hi[a]) {
            return 0;
        }
        let (at, row) = (i - b.lo[0], (k - b.lo[2]) * b.size()[1] + j - b.lo[1]);
        let runs = &self.runs[self.rows[row]..self.rows[row + 1]];
        let run = runs.get(runs.partition_point(|run| run.last < at));
        run.filter(|run| run.first <= at).map_or(0, |run| run.of as u32)
    }

    /// The runs of a component along i, in storage order: first voxel and number of voxels.
    pub fn runs_of<'a>(&'a self, c: &'a Component) -> impl Iterator<Item = ([usize; 3], usize)> + Clone + 'a {
        let e = c.extent;
        let rows = (e.lo[2]..=e.hi[2]).flat_map(move |k| (e.lo[1]..=e.hi[1]).map(move |j| (j, k)));
        let all = self.bounds.into_iter().flat_map(move |b| rows.clone().map(move |(j, k)| (b, j, k)));
        all.flat_map(move |(b, j, k)| {
            let row = (k - b.lo[2]) * b.size()[1] + j - b.lo[1];
            let own = self.runs[self.rows[row]..self.rows[row + 1]].iter().filter(|run| run.of == c.label as usize);
            own.map(move |run| ([run.first + b.lo[0], j, k], run.last - run.first + 1))
        })
    }

    /// Clears the voxels of `mask` whose component `keep` does not want; returns how many were cleared.
    pub fn retain(&self, mask: &mut Mask, keep: impl Fn(&Component) -> bool) -> usize {
        let mut removed = 0;
        for c in self.list.iter().filter(|c| !keep(c)) {
            for ([i, j, k], length) in self.runs_of(c) {
                let start = mask.offset(i, j, k);
                mask.data_mut()[start..start + length].fill(false);
            }
            removed += c.voxels;
        }
        removed
    }
}

/// Labels the connected components of `mask`. Works on runs along i with union-find, inside the mask's box only.
pub fn components(mask: &Mask, connectivity: Connectivity) -> Components {
    let Some(b) = mask.extent() else {
        return Components { list: Vec::new(), bounds: None, rows: Vec::new(), runs: Vec::new() };
    };
    let [_, h, d] = b.size();
    let bits = BitRows::of(mask, b);
    let reach = usize::from(connectivity == Connectivity::Corners);
    let mut runs: Vec<Run> = Vec::new();
    let mut rows: Vec<usize> = Vec::with_capacity(h * d + 1);
    rows.push(0);
    for row in 0..h * d {
        let start = runs.len();
        runs.extend(bits.runs(row).zip(start..).map(|((first, last), of)| Run { first, last, of }));
        rows.push(runs.len());
        if runs.len() == start {
            continue;
        }
        let (first, below, last) = (row % h == 0, row >= h, row % h == h - 1);
        let before = [
            (!first).then(|| row - 1),
            below.then(|| row - h),
            (below && reach == 1 && !first).then(|| row - h - 1),
            (below && reach == 1 && !last).then(|| row - h + 1),
        ];
        for other in before.into_iter().flatten() {
            join_rows(&mut runs, (rows[other], rows[other + 1]), (start, rows[row + 1]), reach);
        }
    }
    label(runs, rows, b)
}

/// Joins the runs of two neighbouring rows that touch: they overlap, or (`reach` 1) meet at a corner.
fn join_rows(runs: &mut [Run], a: (usize, usize), b: (usize, usize), reach: usize) {
    let (mut x, mut y) = (a.0, b.0);
    while x < a.1 && y < b.1 {
        let touch = runs[x].first <= runs[y].last + reach && runs[y].first <= runs[x].last + reach;
        if touch {
            let (p, q) = (find(runs, x), find(runs, y));
            let (low, high) = (p.min(q), p.max(q));
            runs[high].of = low;
        }
        if runs[x].last < runs[y].last { x += 1 } else { y += 1 }
    }
}

/// The first run of the component of run `n`.
fn find(runs: &mut [Run], mut n: usize) -> usize {
    while runs[n].of != n {
        runs[n].of = runs[runs[n].of].of;
        n = runs[n].of;
    }
    n
}

fn label(mut runs: Vec<Run>, rows: Vec<usize>, b: Extent) -> Components {
    let h = b.size()[1];
    let mut list: Vec<Component> = Vec::new();
    for row in 0..rows.len() - 1 {
        let (j, k) = (row % h + b.lo[1], row / h + b.lo[2]);
        for n in rows[row]..rows[row + 1] {
            // A run points to an earlier one of its component, whose label is known, or is the first itself.
            let Run { first, last, of } = runs[n];
            let (lo, hi) = (first + b.lo[0], last + b.lo[0]);
            let label = if of == n {
                let label = list.len() as u32 + 1;
                list.push(Component { label, voxels: 0, extent: Extent { lo: [lo, j, k], hi: [hi, j, k] } });
                label
            } else {
                runs[of].of as u32
            };
            runs[n].of = label as usize;
            let c = &mut list[label as usize - 1];
            c.voxels += hi - lo + 1;
            for (a, (low, high)) in [(lo, hi), (j, j), (k, k)].into_iter().enumerate() {
                c.extent.lo[a] = c.extent.lo[a].min(low);
                c.extent.hi[a] = c.extent.hi[a].max(high);
            }
        }
    }
    list.sort_by(|x, y| y.voxels.cmp(&x.voxels).then(x.label.cmp(&y.label)));
    Components { list, bounds: Some(b), rows, runs }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    fn mask(cols: usize, rows: usize, slices: usize, data: Vec<bool>) -> Mask {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid =
            Grid::axis_aligned(frame, Shape::new(cols, rows, slices), Lps::new(0.0, 0.0, 0.0), [1.0; 3]).unwrap();
        Mask::new(Arc::new(grid), data).unwrap()
    }

    /// Flood fill, written the plain way.
    fn brute(m: &Mask, connectivity: Connectivity) -> Vec<usize> {
        let s = m.grid().shape();
        let mut seen = vec![false; m.data().len()];
        let mut sizes = Vec::new();
        for start in 0..seen.len() {
            if seen[start] || !m.data()[start] {
                continue;
            }
            let (mut stack, mut size) = (vec![start], 0);
            seen[start] = true;
            while let Some(at) = stack.pop() {
                size += 1;
                let [i, j, k] = m.voxel(at).map(|v| v as i64);
                for (di, dj, dk) in (0i64..27).map(|n| (n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1)) {
                    if connectivity == Connectivity::Faces && di.abs() + dj.abs() + dk.abs() != 1 {
                        continue;
                    }
                    let (x, y, z) = (i + di, j + dj, k + dk);
                    if x < 0 || y < 0 || z < 0 || x >= s.cols as i64 || y >= s.rows as i64 || z >= s.slices as i64 {
                        continue;
                    }
                    let next = m.offset(x as usize, y as usize, z as usize);
                    if m.data()[next] && !seen[next] {
                        seen[next] = true;
                        stack.push(next);
                    }
                }
            }
            sizes.push(size);
        }
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    proptest! {
        #[test]
        fn agrees_with_flood_fill(data in proptest::collection::vec(proptest::bool::weighted(0.35), 7 * 5 * 4)) {
            let m = mask(7, 5, 4, data);
            for connectivity in [Connectivity::Faces, Connectivity::Corners] {
                let found = components(&m, connectivity);
                let sizes: Vec<usize> = found.list.iter().map(|c| c.voxels).collect();
                prop_assert_eq!(sizes, brute(&m, connectivity));
                for c in &found.list {
                    let mut alone = m.clone();
                    let removed = found.retain(&mut alone, |x| x.label == c.label);
                    prop_assert_eq!(alone.count(), c.voxels);
                    prop_assert_eq!(removed, m.count() - c.voxels);
                    prop_assert_eq!(alone.extent().unwrap(), c.extent);
                    for offset in 0..m.data().len() {
                        let [i, j, k] = m.voxel(offset);
                        prop_assert_eq!(found.label_at(i, j, k) == c.label, alone.data()[offset]);
                    }
                    let voxels = found.runs_of(c).flat_map(|([i, j, k], n)| (0..n).map(move |by| [i + by, j, k]));
                    let plain = (0..m.data().len()).filter(|n| alone.data()[*n]).map(|n| m.voxel(n));
                    prop_assert!(voxels.eq(plain));
                }
            }
        }
    }

    #[test]
    fn corners_join_only_when_asked() {
        let mut m = mask(3, 3, 3, vec![false; 27]);
        m.set(0, 0, 0, true);
        m.set(1, 1, 1, true);
        assert_eq!(components(&m, Connectivity::Corners).list.len(), 1);
        assert_eq!(components(&m, Connectivity::Faces).list.len(), 2);
        assert!(components(&mask(3, 3, 3, vec![false; 27]), Connectivity::Faces).list.is_empty());
    }
}
