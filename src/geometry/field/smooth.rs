//! A smoothed mask, where somebody asks for it.

use rayon::prelude::*;

use super::PAD;
use crate::geometry::bits::BitRows;

/// A mask smoothed by the binomial 1 4 6 4 1 along every axis, 0 to 1, where it is asked for. Exact in integers up to the
/// last step.
pub(super) fn smoothed(voxels: &BitRows, asked: &BitRows) -> Vec<f32> {
    const TAPS: [u8; 2 * PAD + 1] = [1, 4, 6, 4, 1];
    let [w, h, d] = voxels.size();
    let mut along_i = vec![0u8; w * h * d];
    along_i.par_chunks_exact_mut(w).enumerate().for_each(|(row, line)| {
        for (first, last) in voxels.runs(row) {
            for (tap, weight) in TAPS.into_iter().enumerate() {
                line[first + tap - PAD..=last + tap - PAD].iter_mut().for_each(|to| *to += weight);
            }
        }
    });
    // Rows around another one, with their weights; what lies beyond the box is 0.
    let beside = |at: usize, extent: usize| {
        let taps = TAPS.into_iter().enumerate();
        taps.map(move |(tap, weight)| ((at + tap).wrapping_sub(PAD), u16::from(weight)))
            .filter(move |(n, _)| *n < extent)
    };
    let mut values = vec![0.0f32; w * h * d];
    values.par_chunks_exact_mut(w).enumerate().for_each_init(
        || vec![0u16; w],
        |sums, (row, values)| {
            for (first, last) in asked.runs(row) {
                let sums = &mut sums[first..=last];
                sums.fill(0);
                for (k, weight_k) in beside(row / h, d) {
                    for (j, weight_j) in beside(row % h, h) {
                        let start = (k * h + j) * w;
                        let weight = weight_k * weight_j;
                        for (sum, value) in sums.iter_mut().zip(&along_i[start + first..=start + last]) {
                            *sum += weight * u16::from(*value);
                        }
                    }
                }
                let to = values[first..=last].iter_mut().zip(sums.iter());
                to.for_each(|(value, sum)| *value = f32::from(*sum) / 4096.0);
            }
        },
    );
    values
}
