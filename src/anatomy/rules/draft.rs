//! A structure on its way through the rules.

use std::sync::Arc;

use super::report::{Face, Flag, Rule, RuleEffect};
use super::{Finding, Structure};
use crate::anatomy::morphology::fill_plane_holes;
use crate::anatomy::part::Part;
use crate::geometry::{Component, Components, Connectivity, Extent, GeometryError, Grid, Lps, components};

/// A structure with what the rules did to it so far.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub structure: Structure,
    pub part: Part,
    predicted: usize,
    effects: Vec<RuleEffect>,
    flags: Vec<Flag>,
}

impl Draft {
    /// A structure as the networks predicted it.
    pub fn new(structure: Structure, part: Part) -> Self {
        let predicted = part.mask().count();
        Self { structure, part, predicted, effects: Vec::new(), flags: Vec::new() }
    }

    /// Notes what a rule did. A rule that ran and did nothing is noted too: a reader sees that it ran.
    pub fn note(&mut self, rule: Rule, added: usize, removed: usize) {
        self.effects.push(RuleEffect { rule, added, removed });
    }

    /// Puts another mask in place, notes the difference and returns it: voxels added and removed. `part` lies on the same
    /// box.
    pub fn replace(&mut self, rule: Rule, part: Part) -> (usize, usize) {
        // In blocks that a byte can count: many voxels at once.
        let blocks = self.part.mask().data().chunks(128).zip(part.mask().data().chunks(128));
        let (added, removed) = blocks.fold((0, 0), |(added, removed), (before, after)| {
            let pairs = before.iter().zip(after);
            let (more, less) = pairs.fold((0u8, 0u8), |(more, less), (before, after)| {
                (more + u8::from(!before & after), less + u8::from(before & !after))
            });
            (added + usize::from(more), removed + usize::from(less))
        });
        self.part = part;
        self.note(rule, added, removed);
        (added, removed)
    }

    /// Keeps the components that `keep` wants.
    pub fn retain(&mut self, rule: Rule, keep: impl Fn(&Part, &Components, &Component) -> bool) {
        let found = components(self.part.mask(), Connectivity::Corners);
        let wanted: Vec<u32> = found.list.iter().filter(|c| keep(&self.part, &found, c)).map(|c| c.label).collect();
        let removed = found.retain(self.part.mask_mut(), |c| wanted.contains(&c.label));
        self.note(rule, 0, removed);
    }

    /// Keeps the largest component.
    pub fn keep_largest(&mut self) {
        self.retain(Rule::LargestComponent, |_, found, c| found.list.first().is_some_and(|l| l.label == c.label));
    }

    /// Fills what this many of the three planes through a voxel close.
    pub fn fill_holes(&mut self, planes: usize) {
        let added = fill_plane_holes(&mut self.part, planes);
        self.note(Rule::FillHoles, added, 0);
    }

    /// Adds other structures and notes the voxels that are new.
    ///
    /// # Errors
    /// As [`Part::joined`].
    pub fn absorb(&mut self, rule: Rule, others: &[&Part], grid: &Grid) -> Result<(), GeometryError> {
        let joined = self.part.joined(others, grid)?;
        let added = joined.mask().count() - self.part.mask().count();
        self.part = joined;
        self.note(rule, added, 0);
        Ok(())
    }

    /// Raises a flag, once.
    pub fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    /// The flags raised so far.
    pub fn flags(&self) -> &[Flag] {
        &self.flags
    }

    /// The finding on the whole grid; flags what every structure is flagged for. `acquired` is the grid of the images.
    pub fn finish(mut self, grid: &Arc<Grid>, acquired: Option<&Grid>) -> Finding {
        match self.part.extent() {
            // What was said about a structure that is not there any more says nothing.
            None => {
                self.flags.retain(|flag| matches!(flag, Flag::LensMissed | Flag::RulesOff));
                self.flags.insert(0, Flag::NotFound { predicted: self.predicted });
            }
            Some(extent) => {
                let s = grid.shape();
                let last = [s.cols - 1, s.rows - 1, s.slices - 1];
                let touched = (0..3).flat_map(|a| {
                    let [low, high] = Face::PAIRS[a];
                    let low = (extent.lo[a] == 0).then_some(low);
                    low.into_iter().chain((extent.hi[a] == last[a]).then_some(high))
                });
                let faces: Vec<Face> = touched.collect();
                if !faces.is_empty() {
                    self.flag(Flag::Truncated { faces });
                }
                if acquired.is_some_and(|acquired| cut_by(acquired, &self.part, extent)) {
                    self.flag(Flag::CutByView);
                }
                let parts = components(self.part.mask(), Connectivity::Corners).list.len();
                if parts > 1 {
                    self.flag(Flag::SeveralParts { parts });
                }
            }
        }
        let mask = self.part.on_grid(grid);
        Finding { mask, predicted: self.predicted, effects: self.effects, flags: self.flags }
    }
}

/// A structure that comes this near to the end of the acquired images, mm, may go on beyond it: about what a network leaves
/// out where the image ends.
const END_MM: f64 = 3.0;

/// Whether a structure reaches the end of the acquired images.
fn cut_by(acquired: &Grid, part: &Part, extent: Extent) -> bool {
    let (s, spacing) = (acquired.shape(), acquired.spacing());
    let last = [s.cols, s.rows, s.slices].map(|n| n as f64 - 1.0);
    let at_end = |p: Lps| {
        let at = acquired.to_index(p);
        let at = [at.i, at.j, at.k];
        (0..3).any(|a| at[a].min(last[a] - at[a]) * spacing[a] < END_MM)
    };
    // The images fill a box: where no corner of the structure's own box is at its end, nothing in between is.
    let corner = |n: usize| std::array::from_fn(|a| if n >> a & 1 == 0 { extent.lo[a] } else { extent.hi[a] });
    (0..8).any(|n| at_end(part.centre(corner(n)))) && part.voxels().any(|v| at_end(part.centre(v)))
}
