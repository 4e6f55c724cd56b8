//! Connected components of a mask.

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

/// The connected components of a mask, largest first; ties go to the one that comes first in storage order.
#[derive(Debug, Clone)]
pub struct Components {
    /// Largest first.
    pub list: Vec<Component>,
    bounds: Option<Extent>,
    labels: Vec<u32>,
}

impl Components {
    /// Label of voxel (i, j, k), 0 outside every component.
    pub fn label_at(&self, i: usize, j: usize, k: usize) -> u32 {
        let Some(b) = self.bounds else { return 0 };
        let v = [i, j, k];
        if (0..3).any(|a| v[a] < b.lo[a] || v[a] > b.hi[a]) {
            return 0;
        }
        let [w, h, _] = b.size();
        self.labels[((k - b.lo[2]) * h + (j - b.lo[1])) * w + (i - b.lo[0])]
    }

    /// Clears the voxels of `mask` whose component `keep` does not want; returns how many were cleared.
    pub fn retain(&self, mask: &mut Mask, keep: impl Fn(&Component) -> bool) -> usize {
        let mut wanted = vec![false; self.list.len() + 1];
        for c in &self.list {
            wanted[c.label as usize] = keep(c);
        }
        let mut removed = 0;
        for c in self.list.iter().filter(|c| !wanted[c.label as usize]) {
            for k in c.extent.lo[2]..=c.extent.hi[2] {
                for j in c.extent.lo[1]..=c.extent.hi[1] {
                    for i in c.extent.lo[0]..=c.extent.hi[0] {
                        if self.label_at(i, j, k) == c.label {
                            mask.set(i, j, k, false);
                            removed += 1;
                        }
                    }
                }
            }
        }
        removed
    }
}

/// A run of voxels along i.
struct Run {
    first: usize,
    last: usize,
    parent: usize,
}

/// Labels the connected components of `mask`. Works on runs along i with union-find, inside the mask's box only.
pub fn components(mask: &Mask, connectivity: Connectivity) -> Components {
    let Some(b) = mask.extent() else {
        return Components { list: Vec::new(), bounds: None, labels: Vec::new() };
    };
    let [w, h, d] = b.size();
    let reach = usize::from(connectivity == Connectivity::Corners);
    let mut runs: Vec<Run> = Vec::new();
    // rows[r] is the range of runs that lie in row r = k * h + j of the box.
    let mut rows: Vec<(usize, usize)> = Vec::with_capacity(h * d);
    for k in 0..d {
        for j in 0..h {
            let start = runs.len();
            let base = mask.offset(b.lo[0], j + b.lo[1], k + b.lo[2]);
            let row = &mask.data()[base..base + w];
            let mut i = 0;
            while i < w {
                if !row[i] {
                    i += 1;
                    continue;
                }
                let first = i;
                while i < w && row[i] {
                    i += 1;
                }
                let parent = runs.len();
                runs.push(Run { first, last: i - 1, parent });
            }
            rows.push((start, runs.len()));
            let mut before: Vec<usize> = Vec::with_capacity(4);
            if j > 0 {
                before.push(k * h + j - 1);
            }
            if k > 0 {
                before.push((k - 1) * h + j);
                if reach == 1 {
                    if j > 0 {
                        before.push((k - 1) * h + j - 1);
                    }
                    if j + 1 < h {
                        before.push((k - 1) * h + j + 1);
                    }
                }
            }
            for other in before {
                join_rows(&mut runs, rows[other], (start, rows[k * h + j].1), reach);
            }
        }
    }
    label(&mut runs, &rows, b)
}

/// Joins the runs of two neighbouring rows that touch: they overlap, or (`reach` 1) meet at a corner.
fn join_rows(runs: &mut [Run], a: (usize, usize), b: (usize, usize), reach: usize) {
    let (mut x, mut y) = (a.0, b.0);
    while x < a.1 && y < b.1 {
        let touch = runs[x].first <= runs[y].last + reach && runs[y].first <= runs[x].last + reach;
        if touch {
            let (p, q) = (find(runs, x), find(runs, y));
            let (low, high) = (p.min(q), p.max(q));
            runs[high].parent = low;
        }
        if runs[x].last < runs[y].last { x += 1 } else { y += 1 }
    }
}

fn find(runs: &mut [Run], mut n: usize) -> usize {
    while runs[n].parent != n {
        runs[n].parent = runs[runs[n].parent].parent;
        n = runs[n].parent;
    }
    n
}

fn label(runs: &mut [Run], rows: &[(usize, usize)], b: Extent) -> Components {
    let [w, h, d] = b.size();
    let mut labels = vec![0u32; w * h * d];
    let mut label_of_root = vec![0u32; runs.len()];
    let mut list: Vec<Component> = Vec::new();
    for (row, &(start, end)) in rows.iter().enumerate() {
        let (j, k) = (row % h + b.lo[1], row / h + b.lo[2]);
        for n in start..end {
            let root = find(runs, n);
            let (lo, hi) = (runs[n].first + b.lo[0], runs[n].last + b.lo[0]);
            if label_of_root[root] == 0 {
                let label = list.len() as u32 + 1;
                label_of_root[root] = label;
                list.push(Component { label, voxels: 0, extent: Extent { lo: [lo, j, k], hi: [hi, j, k] } });
            }
            let label = label_of_root[root];
            let c = &mut list[label as usize - 1];
            c.voxels += hi - lo + 1;
            for (a, (low, high)) in [(lo, hi), (j, j), (k, k)].into_iter().enumerate() {
                c.extent.lo[a] = c.extent.lo[a].min(low);
                c.extent.hi[a] = c.extent.hi[a].max(high);
            }
            labels[row * w + runs[n].first..=row * w + runs[n].last].fill(label);
        }
    }
    list.sort_by(|x, y| y.voxels.cmp(&x.voxels).then(x.label.cmp(&y.label)));
    Components { list, bounds: Some(b), labels }
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
                    found.retain(&mut alone, |x| x.label == c.label);
                    prop_assert_eq!(alone.count(), c.voxels);
                    prop_assert_eq!(alone.extent().unwrap(), c.extent);
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
