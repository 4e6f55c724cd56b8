//! The rules that make a segmentation anatomically consistent (thesis sections 4.2.2.1 and 4.2.2.2): from the networks'
//! votes to the delivered structures.
//!
//! Order: brain, laterality, eyes, lenses, chiasm, optic nerves, hippocampi, brainstem, pituitary, then the classes that the
//! model's card describes. Each rule has a switch in [`RulesConfig`] and reports the voxels it added and removed, so that a
//! physicist can see what it did to a case.

mod config;
mod corrections;
mod described;
mod draft;
mod nerve;
mod plane;
mod report;
mod sides;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use rayon::prelude::*;

pub use config::{RulesConfig, SideRule};
pub use corrections::CorrectionsConfig;
pub use nerve::{FatUnused, Fill, NerveConfig, NervePath, NotTraced};
pub use report::{Face, Flag, Rule, RuleEffect, Severity};

use super::axes::SidePlane;
use super::morphology::touches;
use super::part::Part;
use super::parts::Parts;
use super::{Class, Side, Structure};
use crate::geometry::{GeometryError, Grid, Mask, Volume};
use draft::Draft;
use plane::Decided;
use sides::Pair;

/// A delivered structure and what was done to it.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The structure on the working grid; empty when it was not found.
    pub mask: Mask,
    /// Voxels that the networks predicted; for one side of a bilateral class, the voxels of the components whose
    /// barycentre lies on that side. With the effects added and removed this is the mask's count.
    pub predicted: usize,
    /// What each rule did, in the order in which they ran.
    pub effects: Vec<RuleEffect>,
    /// What a reviewer should know.
    pub flags: Vec<Flag>,
}

/// An anatomically consistent segmentation.
#[derive(Debug, Clone)]
pub struct Consistent {
    /// Every structure of the classes that were looked for.
    pub structures: BTreeMap<Structure, Finding>,
    /// The plane that told left from right.
    pub plane: SidePlane,
}

/// Applies the rules to votes for the eight classes: `labels` on the working grid (along the patient axes), bit c of a voxel is
/// `Class::ALL[c]`; `image` on the same grid, the intensities that the networks saw (0 to the card's constant).
///
/// # Errors
/// [`GeometryError::GridMismatch`] where image and labels lie on different grids; otherwise none for a grid that could
/// be made, passed on from the making of boxes within it.
pub fn apply(labels: &Volume<u8>, image: &Volume<f32>, cfg: &RulesConfig) -> Result<Consistent, GeometryError> {
    let parts = Parts::of_labels(labels)?;
    apply_to(&Case { parts: &parts, image, fat_suppressed: false, acquired: None }, cfg)
}

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The networks' votes on the working grid (along the patient axes).
    pub parts: &'a Parts,
    /// The intensities that the networks saw, on the same grid, 0 to the card's constant.
    pub image: &'a Volume<f32>,
    /// The acquisition says that it suppressed fat. Where it says nothing, the intensities decide.
    pub fat_suppressed: bool,
    /// The grid of the acquired images, which may end within the working grid.
    pub acquired: Option<&'a Grid>,
}

/// As [`apply`], with what is known of the acquisition.
///
/// # Errors
/// As [`apply`].
pub fn apply_to(case: &Case, cfg: &RulesConfig) -> Result<Consistent, GeometryError> {
    let Case { parts, image, fat_suppressed, acquired } = *case;
    let grid = parts.grid();
    if grid.id() != image.grid().id() {
        return Err(GeometryError::GridMismatch(grid.id(), image.grid().id()));
    }
    let of = |class: Class| parts.of(class);

    let mut brain = Draft::new(Structure::Brain, of(Class::Brain).clone());
    if cfg.brain_largest_component {
        brain.keep_largest();
    }
    if cfg.brain_fill_holes {
        brain.fill_holes(cfg.brain_hole_planes);
    }

    let Decided { plane, mut eyes, flags } = plane::decide(&brain, parts, cfg);
    for (side, eye) in eyes.each() {
        if cfg.corrections.eye_complete || cfg.corrections.eye_trim {
            corrections::correct_eye(eye, grid, &cfg.corrections)?;
        }
        sides::flag_distance(eye, side, &plane, cfg);
    }
    let mut lenses = lenses(of(Class::Lens), &eyes, &plane, cfg);
    corrections::flag_lenses(&mut lenses, &eyes, &cfg.corrections);
    let mut chiasm = Draft::new(Structure::OpticChiasm, of(Class::Chiasm).clone());
    largest(&mut chiasm, cfg.chiasm_largest_component);
    if cfg.corrections.chiasm_trim {
        corrections::trim_chiasm(&mut chiasm, &cfg.corrections);
        largest(&mut chiasm, cfg.chiasm_largest_component);
    }
    corrections::flag_half_chiasm(&mut chiasm, &plane, &cfg.corrections);
    let brain_at = brain.part.mask().barycentre();
    let scene =
        nerve::Scene { eyes: &eyes, chiasm: &chiasm.part, brain: brain_at, plane: &plane, image, fat_suppressed, cfg };
    let nerves = nerve::nerves(of(Class::OpticNerve), &scene)?;

    let mut hippocampi =
        sides::split([Structure::Hippocampus_L, Structure::Hippocampus_R], of(Class::Hippocampus), &plane, cfg);
    let tone = cfg.corrections.hippocampus_dark.then(|| corrections::Tone::of(image, &brain.part)).flatten();
    for (side, hippocampus) in hippocampi.each() {
        if let Some(tone) = tone {
            corrections::without_fluid(hippocampus, tone, &cfg.corrections);
        }
        on_brain(hippocampus, &brain, cfg.hippocampus_largest_component, cfg);
        fill_organ(hippocampus, cfg);
        corrections::flag_length(hippocampus, &cfg.corrections);
        sides::flag_distance(hippocampus, side, &plane, cfg);
    }
    let mut brainstem = Draft::new(Structure::Brainstem, of(Class::Brainstem).clone());
    on_brain(&mut brainstem, &brain, cfg.brainstem_largest_component, cfg);
    fill_organ(&mut brainstem, cfg);
    let mut pituitary = Draft::new(Structure::Pituitary, of(Class::Pituitary).clone());
    largest(&mut pituitary, cfg.pituitary_largest_component);
    fill_organ(&mut pituitary, cfg);
    if cfg.corrections.pituitary_floor {
        corrections::to_floor(&mut pituitary, &chiasm.part, image, &cfg.corrections)?;
    }

    // A brain that was not found stays not found: two hippocampi are not a brain.
    if cfg.add_to_brain && !brain.part.mask().is_empty() {
        let organs = [&hippocampi.left.part, &hippocampi.right.part, &brainstem.part];
        brain.absorb(Rule::HoldsOrgans, &organs, grid)?;
    }

    let mut pairs = [eyes, lenses, nerves, hippocampi];
    for (_, draft) in pairs.iter_mut().flat_map(Pair::each) {
        flags.iter().for_each(|flag| draft.flag(flag.clone()));
    }
    let drafts =
        pairs.into_iter().flat_map(|pair| [pair.left, pair.right]).chain([brain, brainstem, chiasm, pituitary]);
    let mut drafts: Vec<Draft> = drafts.filter(|draft| parts.has(draft.structure.class())).collect();
    drafts.extend(described::all(parts, &drafts, &plane, &flags, cfg));
    if *cfg == cfg.clone().without_rules() {
        drafts.iter_mut().for_each(|draft| draft.flag(Flag::RulesOff));
    }
    let structures = drafts.into_par_iter().map(|draft| (draft.structure, draft.finish(grid, acquired))).collect();
    Ok(Consistent { structures, plane })
}

/// The largest component, where it is wanted.
fn largest(draft: &mut Draft, wanted: bool) {
    if wanted {
        draft.keep_largest();
    }
}

/// Fills what any plane closes in an organ. Not in the chiasm: what its arms enclose is none of it.
fn fill_organ(draft: &mut Draft, cfg: &RulesConfig) {
    if cfg.corrections.organ_fill_holes {
        draft.fill_holes(1);
    }
}

/// The lenses: inside the eyes, each on the side of its eye.
fn lenses(part: &Part, eyes: &Pair, plane: &SidePlane, cfg: &RulesConfig) -> Pair {
    let mut pair = sides::split([Structure::Lens_L, Structure::Lens_R], part, plane, cfg);
    if cfg.sides == SideRule::HeadAxes {
        sides::follow_eyes(&mut pair, eyes);
    }
    for (side, lens) in pair.each() {
        if cfg.lens_inside_eye {
            lens.replace(Rule::InsideEye, lens.part.within(&[&eyes.left.part, &eyes.right.part]));
        }
        match cfg.sides {
            SideRule::HeadAxes if !eyes.of(side).part.mask().is_empty() => {
                sides::flag_as_eye(lens, side, eyes.of(side), plane);
            }
            _ => sides::flag_distance(lens, side, plane, cfg),
        }
    }
    pair
}

/// Hippocampus and brainstem: components that do not touch the brain go, then the largest stays.
fn on_brain(draft: &mut Draft, brain: &Draft, only_largest: bool, cfg: &RulesConfig) {
    if cfg.drop_off_brain {
        if brain.part.mask().is_empty() {
            draft.flag(Flag::BrainMissing);
        } else {
            draft.retain(Rule::OnBrain, |part, found, c| touches(part, found, c, &brain.part));
        }
    }
    largest(draft, only_largest);
}
