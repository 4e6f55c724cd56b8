//! The hippocampus beside fluid (ventricle, necrosis) and amygdala.

use super::super::draft::Draft;
use super::super::report::{Flag, Rule};
use super::CorrectionsConfig;
use crate::anatomy::morphology::border;
use crate::anatomy::part::Part;
use crate::geometry::{Connectivity, Lps, Volume, components, quantile};

/// One brain voxel in so many is looked at for the brain's median.
const SAMPLED: usize = 37;

/// Intensities in the light of the brain's median.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Tone<'a> {
    image: &'a Volume<f32>,
    median: f32,
}

impl<'a> Tone<'a> {
    /// `None` where there is no brain, or an image without signal.
    pub fn of(image: &'a Volume<f32>, brain: &Part) -> Option<Self> {
        let sampled = brain.voxels().step_by(SAMPLED).map(|[i, j, k]| image.at(i, j, k));
        let median = quantile(sampled, 0.5);
        (median > 0.0).then_some(Self { image, median })
    }

    /// Whether a voxel and its face neighbours have, on average, less than a share of the median: noise is averaged, and a
    /// border between fluid and tissue is not dark.
    fn dark(&self, v: [usize; 3], share: f64) -> bool {
        let s = self.image.grid().shape();
        let size = [s.cols, s.rows, s.slices];
        let mut sum = 2.0 * self.image.at(v[0], v[1], v[2]);
        for a in 0..3 {
            let (mut below, mut above) = (v, v);
            below[a] = below[a].saturating_sub(1);
            above[a] = (above[a] + 1).min(size[a] - 1);
            sum += self.image.at(below[0], below[1], below[2]) + self.image.at(above[0], above[1], above[2]);
        }
        f64::from(sum) / 8.0 < share * f64::from(self.median)
    }
}

/// Removes the parts of a hippocampus that are as dark as fluid.
pub(in super::super) fn without_fluid(hippocampus: &mut Draft, tone: Tone, cfg: &CorrectionsConfig) {
    let part = &hippocampus.part;
    let mut dark = part.cleared();
    part.voxels().filter(|v| tone.dark(*v, cfg.dark_share)).for_each(|v| dark.insert(v));
    let found = components(dark.mask(), Connectivity::Faces);
    let mm3 = part.mask().grid().voxel_cc() * 1000.0;
    found.retain(dark.mask_mut(), |c| c.voxels as f64 * mm3 >= cfg.dark_least_mm3);
    let mut rest = part.cleared();
    part.voxels().filter(|v| !dark.contains(*v)).for_each(|v| rest.insert(v));
    let (_, removed) = hippocampus.replace(Rule::Fluid, rest);
    if removed > 0 {
        hippocampus.flag(Flag::FluidRemoved { mm3: removed as f64 * mm3 });
    }
}

/// Flags a hippocampus that is longer than hippocampi are: its front may be amygdala.
pub(in super::super) fn flag_length(hippocampus: &mut Draft, cfg: &CorrectionsConfig) {
    let surface: Vec<Lps> = border(&hippocampus.part).into_iter().map(|v| hippocampus.part.centre(v)).collect();
    let furthest = |from: Lps| surface.iter().copied().max_by(|a, b| a.distance(from).total_cmp(&b.distance(from)));
    let Some(middle) = hippocampus.part.mask().barycentre() else { return };
    let Some((one, other)) = furthest(middle).and_then(|one| furthest(one).map(|other| (one, other))) else { return };
    let length_mm = one.distance(other);
    if length_mm > cfg.hippocampus_longest_mm {
        hippocampus.flag(Flag::HippocampusLong { length_mm });
    }
}
