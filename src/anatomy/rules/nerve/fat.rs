//! Fat around the nerve: bright on T1, and never nerve.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::NerveConfig;
use super::{Ruler, Voxel};
use crate::anatomy::part::Part;
use crate::geometry::{Volume, quantile};

/// Why the brightness of fat says nothing in a case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum FatUnused {
    /// The header says that fat was suppressed.
    Suppressed,
    /// What is brightest around the nerve's beginning is hardly brighter than the nerve.
    NotBright {
        /// How many times as bright as the median of the predicted nerve.
        ratio: f64,
    },
}

impl fmt::Display for FatUnused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FatUnused::Suppressed => write!(f, "the header says that fat was suppressed"),
            FatUnused::NotBright { ratio } => {
                write!(f, "what is brightest behind the eye is only {ratio:.1} times as bright as the nerve")
            }
        }
    }
}

/// The intensity above which a voxel is fat, from a cube around the eye's landmark.
pub(super) fn threshold(
    image: &Volume<f32>,
    at: Voxel,
    predicted: &Part,
    suppressed: bool,
    ruler: &Ruler,
    cfg: &NerveConfig,
) -> Result<f32, FatUnused> {
    if suppressed {
        return Err(FatUnused::Suppressed);
    }
    let s = image.grid().shape();
    let last = [s.cols, s.rows, s.slices].map(|n| n - 1);
    let half = ruler.spacing().map(|edge| (cfg.fat_cube_mm / 2.0 / edge).floor() as usize);
    let near = |a: usize| at[a].saturating_sub(half[a])..=(at[a] + half[a]).min(last[a]);
    let cube = near(2).flat_map(|k| near(1).flat_map(move |j| near(0).map(move |i| image.at(i, j, k))));
    let bright = f64::from(quantile(cube, cfg.fat_quantile));
    let nerve = f64::from(quantile(predicted.voxels().map(|[i, j, k]| image.at(i, j, k)), 0.5));
    let ratio = if nerve > 0.0 { bright / nerve } else { 0.0 };
    if ratio < cfg.fat_contrast { Err(FatUnused::NotBright { ratio }) } else { Ok((bright * cfg.fat_share) as f32) }
}

/// What was predicted, less the voxels above a threshold.
pub(super) fn without(predicted: &Part, image: &Volume<f32>, above: f32) -> Part {
    let mut rest = predicted.cleared();
    predicted.voxels().filter(|[i, j, k]| image.at(*i, *j, *k) <= above).for_each(|v| rest.insert(v));
    rest
}
