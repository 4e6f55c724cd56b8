//! The low-pass before sampling down.

use std::sync::Arc;

use rayon::prelude::*;

use super::{GeometryError, Grid, Index, Shape, Volume};

/// From this ratio on the mean of blocks goes before the Gaussian, so that its taps stay few.
const MANY: f64 = 16.0;

/// Gaussian smoothing of `source` along its own axes, matched to how much coarser `target` samples it, so that linear
/// sampling does not alias (thesis section 4.3.1). Where the target is finer or equal, nothing changes.
///
/// For an axis sampled r times coarser the standard deviation is 0.5 * sqrt(r^2 - 1) source voxels: what turns a box
/// of one voxel into a box of r voxels, in variance. Along an axis sampled more than 16 times coarser the answer
/// lies on a coarser grid, still at least eight times as fine as the target: blocks of voxels become their means, and the
/// Gaussian adds the variance that is left. So a pixel of 0.01 mm costs no more than one of 0.2 mm.
///
/// # Errors
/// Never for volumes on their own grid; the signature carries the constructor's check.
pub fn downsample_filter(source: &Volume<f32>, target: &Grid) -> Result<Volume<f32>, GeometryError> {
    let mut out = source.clone();
    for axis in 0..3 {
        // The target's sampling distance along this source axis: the tightest among its axes that run along it.
        let spacing = source.grid().spacing()[axis];
        let pitch = (0..3)
            .map(|t| {
                let along = source.grid().axes()[axis].dot(target.axes()[t]).abs();
                if along > 0.5 { target.spacing()[t] / along } else { f64::INFINITY }
            })
            .fold(f64::INFINITY, f64::min);
        let ratio = if pitch.is_finite() { pitch / spacing } else { 1.0 };
        if ratio <= 1.05 {
            continue;
        }
        let mut sigma = 0.5 * (ratio * ratio - 1.0).sqrt();
        if ratio > MANY {
            let block = (ratio / (MANY / 2.0)).floor();
            sigma = (sigma * sigma - (block * block - 1.0) / 12.0).sqrt() / block;
            out = block_means(&out, axis, block as usize)?;
        }
        smooth_along(&mut out, axis, sigma);
    }
    Ok(out)
}

/// The means of blocks of voxels along one axis, on the grid of the blocks' centres. The last block is filled up with the
/// outermost voxel.
fn block_means(source: &Volume<f32>, axis: usize, block: usize) -> Result<Volume<f32>, GeometryError> {
    let (grid, s) = (source.grid(), source.grid().shape());
    let mut extents = [s.cols, s.rows, s.slices];
    let (stride, length) = (extents[..axis].iter().product::<usize>(), extents[axis]);
    let blocks = length.div_ceil(block);
    extents[axis] = blocks;
    let (mut first, mut spacing) = ([0.0; 3], grid.spacing());
    first[axis] = (block as f64 - 1.0) / 2.0;
    spacing[axis] *= block as f64;
    let [i, j, k] = first;
    let [cols, rows, slices] = extents;
    let origin = grid.to_lps(Index::new(i, j, k));
    let coarse = Grid::new(grid.frame().clone(), Shape::new(cols, rows, slices), origin, grid.axes(), spacing)?;
    let mut out = Volume::filled(Arc::new(coarse), 0.0f32);
    out.data_mut().par_chunks_exact_mut(stride).enumerate().for_each(|(n, means)| {
        let base = n / blocks * stride * length;
        for m in 0..block {
            let start = base + (n % blocks * block + m).min(length - 1) * stride;
            for (mean, value) in means.iter_mut().zip(&source.data()[start..start + stride]) {
                *mean += value;
            }
        }
        means.iter_mut().for_each(|mean| *mean /= block as f32);
    });
    Ok(out)
}

/// Convolved along one of its own axes with a Gaussian of this standard deviation in voxels; beyond the field of view lies
/// what lies at its border. A deviation that is not positive changes nothing.
pub fn smooth_along(image: &mut Volume<f32>, axis: usize, sigma: f64) {
    if sigma.is_nan() || sigma <= 0.0 {
        return;
    }
    let radius = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f32> = {
        let raw: Vec<f64> =
            (0..=2 * radius).map(|n| (-((n as f64 - radius as f64) / sigma).powi(2) / 2.0).exp()).collect();
        let total: f64 = raw.iter().sum();
        raw.iter().map(|w| (w / total) as f32).collect()
    };
    let s = image.grid().shape();
    let extents = [s.cols, s.rows, s.slices];
    let (row, length) = (extents[0], extents[axis]);
    let source = image.data().to_vec();
    // Tap by tap over whole rows and not voxel by voxel: this is done many at a time.
    let add = |values: &mut [f32], from: &[f32], w: f32| values.iter_mut().zip(from).for_each(|(v, f)| *v += w * f);
    image.data_mut().par_chunks_exact_mut(row).enumerate().for_each(|(r, values)| {
        let own = &source[r * row..(r + 1) * row];
        values.fill(0.0);
        if axis == 0 {
            let border = |end: f32| std::iter::repeat_n(end, radius);
            let wide: Vec<f32> = border(own[0]).chain(own.iter().copied()).chain(border(own[row - 1])).collect();
            weights.iter().enumerate().for_each(|(n, w)| add(values, &wide[n..n + row], *w));
            return;
        }
        let stride = extents[1..axis].iter().product::<usize>();
        let place = r / stride % length;
        for (n, w) in weights.iter().enumerate() {
            let at = r - place * stride + (place + n).saturating_sub(radius).min(length - 1) * stride;
            add(values, &source[at * row..(at + 1) * row], *w);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Lps, resample_linear};
    use crate::ids::FrameOfReferenceUid;

    fn frame() -> FrameOfReferenceUid {
        FrameOfReferenceUid::parse("1.2.3").unwrap()
    }

    fn aligned() -> Arc<Grid> {
        Arc::new(Grid::axis_aligned(frame(), Shape::new(12, 9, 10), Lps::new(-6.0, 3.0, 0.0), [0.7, 0.8, 0.9]).unwrap())
    }

    #[test]
    fn smoothing_keeps_the_mean_and_only_acts_when_sampling_down() {
        let mut source = Volume::filled(aligned(), 0.0f32);
        source.set(6, 4, 5, 100.0);
        let same = downsample_filter(&source, source.grid()).unwrap();
        assert_eq!(same.data(), source.data());
        let coarse =
            Grid::axis_aligned(frame(), Shape::new(4, 4, 10), Lps::new(-6.0, 3.0, 0.0), [2.1, 0.8, 0.9]).unwrap();
        let smooth = downsample_filter(&source, &coarse).unwrap();
        assert!((smooth.data().iter().sum::<f32>() - 100.0).abs() < 1e-2);
        // Three times coarser: variance (9 - 1) / 4 = 2 voxels squared, along i only.
        let variance: f32 = (0..12).map(|i| smooth.at(i, 4, 5) * (i as f32 - 6.0).powi(2)).sum::<f32>() / 100.0;
        assert!((variance - 2.0).abs() < 0.1, "{variance}");
        assert_eq!(smooth.at(6, 5, 5), 0.0);
    }

    /// What is left of the wave cos(tau * cycles * n + 0.4) along `axis`, n counting voxels, sampled `ratio` times coarser;
    /// away from the ends: place n and value of each sample.
    fn left_of_a_wave(axis: usize, ratio: f64, cycles: f64) -> Vec<(f64, f64)> {
        let (mut extents, mut spacing) = ([2, 3, 2], [1.0, 1.5, 0.8]);
        (extents[axis], spacing[axis]) = (1501, 0.05);
        let [cols, rows, slices] = extents;
        let place = Lps::new(7.0, -3.0, 11.0);
        let fine = Arc::new(Grid::axis_aligned(frame(), Shape::new(cols, rows, slices), place, spacing).unwrap());
        let mut wave = Volume::filled(Arc::clone(&fine), 0.0f32);
        for offset in 0..wave.data().len() {
            let n = wave.voxel(offset)[axis] as f64;
            wave.data_mut()[offset] = at(cycles, n) as f32;
        }
        extents[axis] = (1500.0 / ratio) as usize;
        spacing[axis] *= ratio;
        let [cols, rows, slices] = extents;
        let coarse = Arc::new(Grid::axis_aligned(frame(), Shape::new(cols, rows, slices), place, spacing).unwrap());
        let filtered = downsample_filter(&wave, &coarse).unwrap();
        assert!(filtered.data().len() < wave.data().len() * 2 / block_of(ratio), "not made smaller");
        let sampled = resample_linear(&filtered, &coarse, f32::NAN);
        let sample = |n: usize| {
            let mut voxel = [1, 1, 1];
            voxel[axis] = n;
            (n as f64 * ratio, f64::from(sampled.at(voxel[0], voxel[1], voxel[2])))
        };
        (3..extents[axis] - 3).map(sample).collect()
    }

    fn at(cycles: f64, n: f64) -> f64 {
        (std::f64::consts::TAU * cycles * n + 0.4).cos()
    }

    fn block_of(ratio: f64) -> usize {
        (ratio / (MANY / 2.0)).floor() as usize
    }

    /// With blocks, waves that the target cannot hold are left no stronger than the Gaussian alone leaves the worst of
    /// them, and waves that it can hold as strong as the Gaussian leaves them.
    #[test]
    fn blocks_before_the_gaussian_alias_no_more_than_it_does() {
        for (axis, ratio) in [(0, 16.5), (1, 40.0), (2, 23.9), (2, 60.0)] {
            let sigma = 0.5 * (ratio * ratio - 1.0f64).sqrt();
            let gaussian = |cycles: f64| (-2.0 * (std::f64::consts::PI * sigma * cycles).powi(2)).exp();
            let nyquist = 0.5 / ratio;
            for part in [0.1, 0.25, 0.4] {
                let cycles = part * nyquist;
                for (n, found) in left_of_a_wave(axis, ratio, cycles) {
                    let wanted = gaussian(cycles) * at(cycles, n);
                    assert!(
                        (found - wanted).abs() < 0.01,
                        "{ratio}: {part} of Nyquist: {found:.3}, Gaussian {wanted:.3}"
                    );
                }
            }
            let mut cycles = nyquist * 1.03;
            while cycles < 0.5 {
                for (_, found) in left_of_a_wave(axis, ratio, cycles) {
                    let part = cycles / nyquist;
                    assert!(found.abs() <= gaussian(nyquist), "{ratio}: {found:.3} of {part:.2} Nyquist is left");
                }
                cycles *= 1.23;
            }
        }
    }
}
