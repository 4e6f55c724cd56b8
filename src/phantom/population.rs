//! Whose heads are made: ordinary ones, those that networks are trained on, and those that lie beyond them.

use super::head::{HeadOptions, Spread};
use super::random::Rng;
use crate::anatomy::Side;

/// A population of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Population {
    /// Adults as they come, scanned as departments scan.
    Usual,
    /// What networks are trained on: wider in pose, shape, contrast and pathology than what comes.
    Training,
    /// Outside what networks are trained on: contrast, shape and pathology beyond the training's ranges.
    Beyond,
}

impl Population {
    /// The name as the command line writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Training => "training",
            Self::Beyond => "beyond",
        }
    }
}

impl HeadOptions {
    /// A head of a population; `one_eyed` is the part of heads with one eye (0 to 1).
    pub fn drawn(rng: &mut Rng, population: Population, one_eyed: f64) -> Self {
        let missing_eye = rng.chance(one_eyed).then(|| if rng.chance(0.5) { Side::Left } else { Side::Right });
        let usual = Self { missing_eye, ..Self::default() };
        match population {
            Population::Usual => usual,
            Population::Training => {
                let turned = rng.chance(0.15);
                Self {
                    yaw: Spread::within(if turned { 40.0 } else { 14.0 }),
                    pitch: Spread::within(if turned { 30.0 } else { 16.0 }),
                    roll: Spread::within(if turned { 30.0 } else { 10.0 }),
                    deformation: rng.within(0.7, 1.5),
                    breadth: rng.near(1.0, 0.045),
                    strange: if rng.chance(0.3) { rng.within(0.5, 1.0) } else { 0.0 },
                    lesion: if rng.chance(0.3) { rng.within(8.0, 24.0) } else { 0.0 },
                    ..usual
                }
            }
            Population::Beyond => Self {
                deformation: rng.within(1.6, 2.2),
                breadth: if rng.chance(0.5) { rng.within(1.12, 1.2) } else { rng.within(0.84, 0.88) },
                strange: rng.within(1.2, 1.8),
                lesion: if rng.chance(0.6) { rng.within(26.0, 34.0) } else { 0.0 },
                ..usual
            },
        }
    }
}
