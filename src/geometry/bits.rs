//! A mask packed into bits, 64 voxels of a row to a word, so that a step looks at many voxels at once.

use rayon::prelude::*;

use super::{Extent, Mask};

/// The voxels of a box of a mask: bit n of word m of a row is voxel 64 m + n along i. Bits beyond the box are 0.
pub(crate) struct BitRows {
    size: [usize; 3],
    /// Words in a row.
    words: usize,
    data: Vec<u64>,
}

impl BitRows {
    /// What of a mask lies in a box of its grid.
    pub fn of(mask: &Mask, extent: Extent) -> Self {
        Self::padded(mask, extent, 0)
    }

    /// What of a mask lies in a box of its grid that is grown by `pad` voxels on every side, beyond the grid as well,
    /// where nothing is inside.
    pub fn padded(mask: &Mask, extent: Extent, pad: usize) -> Self {
        let inner = extent.size();
        let size = inner.map(|n| n + 2 * pad);
        let words = size[0].div_ceil(64);
        let mut data = vec![0; words * size[1] * size[2]];
        data.par_chunks_exact_mut(words).enumerate().for_each_init(
            || vec![false; size[0]],
            |voxels, (row, out)| {
                let (j, k) = ((row % size[1]).wrapping_sub(pad), (row / size[1]).wrapping_sub(pad));
                if j < inner[1] && k < inner[2] {
                    let start = mask.offset(extent.lo[0], extent.lo[1] + j, extent.lo[2] + k);
                    voxels[pad..pad + inner[0]].copy_from_slice(&mask.data()[start..start + inner[0]]);
                    out.iter_mut().zip(voxels.chunks(64)).for_each(|(word, voxels)| *word = pack(voxels));
                }
            },
        );
        Self { size, words, data }
    }

    /// Each voxel joined by `join` with those from `behind` steps before to `ahead` steps after it along every axis; beyond
    /// the box is 0.
    pub fn joined(&self, behind: usize, ahead: usize, join: impl Fn(u64, u64) -> u64 + Sync) -> Self {
        let (words, [_, h, d]) = (self.words, self.size);
        let mut data = self.data.clone();
        data.par_chunks_exact_mut(words).zip(self.data.par_chunks_exact(words)).for_each(|(out, row)| {
            for (n, word) in out.iter_mut().enumerate() {
                let before = if n == 0 { 0 } else { row[n - 1] };
                let after = if n + 1 == words { 0 } else { row[n + 1] };
                (1..=behind).for_each(|step| *word = join(*word, row[n] << step | before >> (64 - step)));
                (1..=ahead).for_each(|step| *word = join(*word, row[n] >> step | after << (64 - step)));
            }
        });
        for (stride, extent) in [(1, h), (h, d)] {
            let from = data.clone();
            data.par_chunks_exact_mut(words).enumerate().for_each(|(row, out)| {
                let place = row / stride % extent;
                let mut add = |other: Option<usize>| {
                    let other = other.map(|row| &from[row * words..(row + 1) * words]);
                    let words = out.iter_mut().enumerate();
                    words.for_each(|(n, word)| *word = join(*word, other.map_or(0, |other| other[n])));
                };
                (1..=behind).for_each(|step| add((place >= step).then(|| row - step * stride)));
                (1..=ahead).for_each(|step| add((place + step < extent).then_some(row + step * stride)));
            });
        }
        Self { data, ..*self }
    }

    /// First and last voxel of the run of equal ones along i that holds voxel (i, j, k), counted from the box.
    pub fn run_around(&self, [i, j, k]: [usize; 3]) -> (usize, usize) {
        let words = self.row(k * self.size[1] + j);
        let same = if self.at([i, j, k]) { u64::MAX } else { 0 };
        let last = next(words, i, same).map_or(self.size[0] - 1, |n| n - 1);
        (previous(words, i, same).map_or(0, |n| n + 1), last.min(self.size[0] - 1))
    }

    /// What is not in another box of the same size.
    pub fn without(&self, other: &Self) -> Self {
        Self { data: self.data.iter().zip(&other.data).map(|(a, b)| a & !b).collect(), ..*self }
    }

    /// Every voxel inside, counted from the box.
    pub fn voxels(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let h = self.size[1];
        let row = move |row: usize| {
            let along = self.runs(row).flat_map(|(first, last)| first..=last);
            along.map(move |i| [i, row % h, row / h])
        };
        (0..self.data.len() / self.words).flat_map(row)
    }

    /// Number of voxels inside.
    pub fn count(&self) -> usize {
        self.data.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Voxels along i, j and k.
    #[inline]
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Whether voxel (i, j, k), counted from the box, is inside. Indices are the caller's promise: inside the box.
    #[inline]
    pub fn at(&self, [i, j, k]: [usize; 3]) -> bool {
        self.data[(k * self.size[1] + j) * self.words + i / 64] >> (i % 64) & 1 == 1
    }

    /// Words of row `row`, which counts j first, then k.
    #[inline]
    pub fn row(&self, row: usize) -> &[u64] {
        &self.data[row * self.words..(row + 1) * self.words]
    }

    /// First and last voxel of every run in a row.
    pub fn runs(&self, row: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let words = self.row(row);
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = next(words, at, 0)?;
            at = next(words, first, u64::MAX).unwrap_or(words.len() * 64);
            Some((first, at - 1))
        })
    }

    /// What is 0 and, in at least `least` of its three planes at right angles to i, j and k, is not connected over shared
    /// edges to the border of the box: a hole in any plane (1), in most of them (2), in all of them (3 and more).
    pub fn plane_holes(&self, least: usize) -> Self {
        let [_, h, d] = self.size;
        let open: Vec<u64> = (0..self.data.len()).map(|n| !self.data[n] & self.valid(n % self.words)).collect();
        let rows_of = |start: usize, count: usize, step: usize| (0..count).map(move |n| start + n * step);
        let across_k = (0..d).into_par_iter().map(|k| self.holes_of_rows(&open, rows_of(k * h, h, 1)));
        let across_j = (0..h).into_par_iter().map(|j| self.holes_of_rows(&open, rows_of(j, d, h)));
        let across_i = (0..self.words).into_par_iter().map(|word| self.holes_of_columns(&open, word));
        let found: Vec<Vec<(usize, u64)>> = across_k.chain(across_j).chain(across_i).collect();
        // How often a voxel was found; an orientation finds it once.
        let mut times = vec![[0u64; 3]; self.data.len()];
        for (at, holes) in found.into_iter().flatten() {
            let [once, twice, thrice] = &mut times[at];
            *thrice |= *twice & holes;
            *twice |= *once & holes;
            *once |= holes;
        }
        Self { data: times.into_iter().map(|found| found[least.clamp(1, 3) - 1]).collect(), ..*self }
    }

    /// The bits of word `word` of a row that are voxels of the box.
    fn valid(&self, word: usize) -> u64 {
        let bits = (self.size[0] - word * 64).min(64);
        u64::MAX >> (64 - bits)
    }

    /// Holes of the plane that some rows make, as words and their places.
    fn holes_of_rows(&self, open: &[u64], rows: impl ExactSizeIterator<Item = usize> + Clone) -> Vec<(usize, u64)> {
        let (w, count) = (self.words, rows.len());
        let plane: Vec<u64> = rows.clone().flat_map(|row| &open[row * w..(row + 1) * w]).copied().collect();
        let mut reached = vec![0; plane.len()];
        for (row, reached) in reached.chunks_exact_mut(w).enumerate() {
            let open = &plane[row * w..(row + 1) * w];
            let border = row == 0 || row + 1 == count;
            for (n, reached) in reached.iter_mut().enumerate() {
                let ends = u64::from(n == 0) | if n + 1 == w { 1 << ((self.size[0] - 1) % 64) } else { 0 };
                *reached = open[n] & if border { u64::MAX } else { ends };
            }
            spread(open, reached);
        }
        let mut step = |from: usize, to: usize| {
            let mut grew = false;
            for n in 0..w {
                let more = plane[to * w + n] & reached[from * w + n] & !reached[to * w + n];
                reached[to * w + n] |= more;
                grew |= more != 0;
            }
            if grew {
                spread(&plane[to * w..(to + 1) * w], &mut reached[to * w..(to + 1) * w]);
            }
            grew
        };
        let mut growing = true;
        while growing {
            growing = false;
            (1..count).for_each(|row| growing |= step(row - 1, row));
            (1..count).rev().for_each(|row| growing |= step(row, row - 1));
        }
        let left = rows.flat_map(|row| row * w..(row + 1) * w).zip(plane.iter().zip(&reached));
        left.map(|(at, (open, reached))| (at, open & !reached)).filter(|(_, holes)| *holes != 0).collect()
    }

    /// Holes of the 64 planes across i that share word `word`, as words and their places.
    fn holes_of_columns(&self, open: &[u64], word: usize) -> Vec<(usize, u64)> {
        let [_, h, d] = self.size;
        let open: Vec<u64> = open.iter().skip(word).step_by(self.words).copied().collect();
        let border = |at: usize| at < h || at >= h * (d - 1) || at.is_multiple_of(h) || at % h == h - 1;
        let mut reached: Vec<u64> = (0..h * d).map(|at| if border(at) { open[at] } else { 0 }).collect();
        let mut growing = true;
        while growing {
            growing = false;
            let mut step = |at: usize, beside: [usize; 2]| {
                let more = open[at] & (reached[beside[0]] | reached[beside[1]]) & !reached[at];
                reached[at] |= more;
                growing |= more != 0;
            };
            let inner = (0..h * d).filter(|at| !border(*at));
            inner.clone().for_each(|at| step(at, [at - 1, at - h]));
            inner.rev().for_each(|at| step(at, [at + 1, at + h]));
        }
        let left = open.iter().zip(&reached).enumerate().map(|(row, (o, r))| (row * self.words + word, o & !r));
        left.filter(|(_, holes)| *holes != 0).collect()
    }
}

/// Up to 64 voxels as bits.
fn pack(voxels: &[bool]) -> u64 {
    voxels.chunks(8).enumerate().fold(0, |word, (n, eight)| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(eight).for_each(|(byte, voxel)| *byte = u8::from(*voxel));
        // The product gathers eight bytes of 0 or 1 in its topmost byte, one bit each.
        let bits = u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word | bits << (8 * n)
    })
}

/// The first bit from `at` on that differs from the bits of `from` (0 looks for ones, all ones for zeros).
fn next(words: &[u64], mut at: usize, from: u64) -> Option<usize> {
    while at < words.len() * 64 {
        let rest = (words[at / 64] ^ from) >> (at % 64);
        if rest != 0 {
            return Some(at + rest.trailing_zeros() as usize);
        }
        at = (at / 64 + 1) * 64;
    }
    None
}

/// As [`next`], going back from `at`.
fn previous(words: &[u64], mut at: usize, from: u64) -> Option<usize> {
    loop {
        let rest = (words[at / 64] ^ from) << (63 - at % 64);
        if rest != 0 {
            return Some(at - rest.leading_zeros() as usize);
        }
        at = (at / 64 * 64).checked_sub(1)?;
    }
}

/// Widens `reached`, a part of `open`, to the whole of every run of `open` that it lies in.
fn spread(open: &[u64], reached: &mut [u64]) {
    let mut carry = false;
    for (open, reached) in open.iter().zip(reached.iter_mut()) {
        *reached |= passed(*open, *reached, &mut carry);
    }
    carry = false;
    for (open, reached) in open.iter().zip(reached.iter_mut()).rev() {
        *reached |= passed(open.reverse_bits(), reached.reverse_bits(), &mut carry).reverse_bits();
    }
}

/// Added to its run, a bit carries to the run's end, and into the next word; what changes was passed.
fn passed(open: u64, reached: u64, carry: &mut bool) -> u64 {
    let (sum, first) = open.overflowing_add(reached);
    let (sum, second) = sum.overflowing_add(u64::from(*carry));
    *carry = first || second;
    (open ^ sum) & open
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    /// A mask on a grid whose rows end within a word, and the box in it that is looked at.
    fn mask(data: Vec<bool>) -> (Mask, Extent) {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(141, 7, 6), Lps::new(3.0, 1.0, -2.0), [0.7, 0.8, 2.0]).unwrap();
        (Mask::new(Arc::new(grid), data).unwrap(), Extent { lo: [4, 1, 0], hi: [138, 6, 4] })
    }

    /// Voxels of a box.
    fn voxels(e: Extent) -> impl Iterator<Item = [usize; 3]> {
        (e.lo[2]..=e.hi[2])
            .flat_map(move |k| (e.lo[1]..=e.hi[1]).flat_map(move |j| (e.lo[0]..=e.hi[0]).map(move |i| [i, j, k])))
    }

    /// Whether a voxel is enclosed in its plane across `axis`, by a flood written the plain way.
    fn enclosed(m: &Mask, e: Extent, start: [usize; 3], axis: usize) -> bool {
        let mut seen = std::collections::BTreeSet::from([start]);
        let mut todo = vec![start];
        while let Some(v) = todo.pop() {
            for a in (0..3).filter(|a| *a != axis) {
                if v[a] == e.lo[a] || v[a] == e.hi[a] {
                    return false;
                }
                for at in [v[a] - 1, v[a] + 1] {
                    let mut next = v;
                    next[a] = at;
                    if !m.at(next[0], next[1], next[2]) && seen.insert(next) {
                        todo.push(next);
                    }
                }
            }
        }
        true
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn holes_and_runs_are_those_of_a_plain_search(
            data in (0.3..0.75f64).prop_flat_map(|share| {
                proptest::collection::vec(proptest::bool::weighted(share), 141 * 7 * 6)
            }),
        ) {
            let (m, e) = mask(data);
            let (bits, [w, h, _]) = (BitRows::of(&m, e), e.size());
            let holes = [1, 2, 3].map(|least| bits.plane_holes(least));
            for v @ [i, j, k] in voxels(e) {
                let (at, row) = (i - e.lo[0], (k - e.lo[2]) * h + j - e.lo[1]);
                let inside = |bits: &BitRows| bits.row(row)[at / 64] >> (at % 64) & 1 == 1;
                prop_assert_eq!(inside(&bits), m.at(i, j, k));
                prop_assert_eq!(bits.at(std::array::from_fn(|a| v[a] - e.lo[a])), m.at(i, j, k));
                let closed = (0..3).filter(|axis| !m.at(i, j, k) && enclosed(&m, e, v, *axis)).count();
                for (least, holes) in (1..).zip(&holes) {
                    prop_assert_eq!(inside(holes), closed >= least, "{:?}, {}", v, least);
                }
            }
            for row in 0..bits.data.len() / bits.words {
                let mut plain = vec![false; w];
                for (first, last) in bits.runs(row) {
                    prop_assert!(first <= last && (first == 0 || !plain[first - 1]));
                    plain[first..=last].fill(true);
                }
                let start = m.offset(e.lo[0], e.lo[1] + row % h, e.lo[2] + row / h);
                prop_assert_eq!(&plain[..], &m.data()[start..start + w]);
                for at in 0..w {
                    let (first, last) = bits.run_around([at, row % h, row / h]);
                    prop_assert!(first <= at && at <= last && plain[first..=last].iter().all(|v| *v == plain[at]));
                    prop_assert!(first == 0 || plain[first - 1] != plain[at]);
                    prop_assert!(last + 1 == w || plain[last + 1] != plain[at]);
                }
            }
        }
    }

    #[test]
    fn a_run_is_reached_across_words_and_both_ways() {
        let open = [0b1011 << 60, u64::MAX, 0b0111];
        for seed in [[1 << 63, 0, 0], [0, 1 << 17, 0], [0, 1 << 63, 1], [0, 0, 0b100]] {
            let mut reached = seed;
            spread(&open, &mut reached);
            assert_eq!(reached, [1 << 63, u64::MAX, 0b0111], "{seed:?}");
        }
    }
}
