//! What the three networks say of an image, kept on disk: they cost most of the time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use contourd::anatomy::Class;
use contourd::geometry::{Grid, Volume};
use contourd::ids::sha256_hex;
use contourd::inference::{Model, Plane, Vote};

const PLANES: [Plane; 3] = [Plane::Axial, Plane::Coronal, Plane::Sagittal];
/// What turns an image and three networks into votes: another text may give other votes.
const CODE: [&str; 2] =
    [include_str!("../../../src/inference/model.rs"), include_str!("../../../src/inference/vote.rs")];

/// The steps of 256 of the three networks at one voxel.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    pub offset: u32,
    pub steps: [u8; 3],
}

/// Every voxel at which some network sees something of a class, class by class in the order of [`Class::ALL`].
#[derive(Debug, Clone)]
pub struct Marks(pub Vec<Vec<Mark>>);

impl Marks {
    /// The networks' answer to an image, from `folder` when it is there: named by the image, the networks and the code.
    pub fn of(model: &Model, working: &Volume<f32>, folder: &Path) -> Self {
        let path = folder.join(name(model, working));
        if let Some(known) = std::fs::read(&path).ok().and_then(|bytes| Self::read(&bytes)) {
            return known;
        }
        let vote = model.run(working, &|_| ()).expect("votes");
        let marks = Self(Class::ALL.iter().map(|class| marked(&vote, *class)).collect());
        std::fs::create_dir_all(folder).expect("a folder for what is kept");
        let half = path.with_extension("half");
        std::fs::write(&half, marks.bytes()).expect("room for what is kept");
        std::fs::rename(half, path).expect("what was written");
        marks
    }

    /// As the rules take it.
    pub fn vote(&self, grid: &Arc<Grid>) -> Vote {
        let mut vote = Vote::none(Arc::clone(grid), &Class::ALL);
        for (class, marks) in Class::ALL.into_iter().zip(&self.0) {
            for mark in marks {
                for (plane, step) in PLANES.into_iter().zip(mark.steps) {
                    vote.add(class, plane, mark.offset as usize, log_odds(step));
                }
            }
        }
        vote
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for marks in &self.0 {
            bytes.extend((marks.len() as u32).to_le_bytes());
            for mark in marks {
                bytes.extend(mark.offset.to_le_bytes());
                bytes.extend(mark.steps);
            }
        }
        bytes
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let word = |b: &[u8]| Some(u32::from_le_bytes(b.get(..4)?.try_into().ok()?));
        let mut all = Vec::new();
        for _ in Class::ALL {
            let held = word(bytes)? as usize * 7;
            let marks = bytes.get(4..4 + held)?.chunks_exact(7);
            all.push(marks.map(|b| Some(Mark { offset: word(b)?, steps: [b[4], b[5], b[6]] })).collect::<Option<_>>()?);
            bytes = &bytes[4 + held..];
        }
        bytes.is_empty().then_some(Self(all))
    }
}

/// The log odds of the middle of a step.
pub fn log_odds(step: u8) -> f32 {
    let p = (f32::from(step) + 0.5) / 256.0;
    (p / (1.0 - p)).ln()
}

fn marked(vote: &Vote, class: Class) -> Vec<Mark> {
    let voxels = 0..vote.grid().shape().voxels();
    let step = |p: f32| (p * 256.0) as u8;
    let marks = voxels.map(|n| Mark { offset: n as u32, steps: vote.probabilities(class, n).map(step) });
    marks.filter(|mark| mark.steps != [0; 3]).collect()
}

fn name(model: &Model, working: &Volume<f32>) -> PathBuf {
    let mut all: Vec<u8> = working.data().iter().flat_map(|v| v.to_le_bytes()).collect();
    let card = model.card();
    card.network.iter().for_each(|network| all.extend(network.sha256.as_bytes()));
    all.extend(format!("{:?} {:?} {:?}", card.classes, card.working, (card.input_factor, card.padding)).as_bytes());
    CODE.iter().for_each(|text| all.extend(text.as_bytes()));
    format!("{}.votes", sha256_hex(&all)).into()
}
