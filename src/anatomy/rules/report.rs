//! What the rules say about a case: the effect of each rule in voxels, and flags with a severity and words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::nerve::{FatUnused, NotTraced};

/// A rule, as named in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Only the largest component is kept.
    LargestComponent,
    /// Holes in axial, coronal and sagittal planes are filled.
    FillHoles,
    /// Voxels moved between left and right: cut at the mid-sagittal plane, or given to the side of an eye.
    Laterality,
    /// Components below the least volume are removed.
    LeastVolume,
    /// What lies outside the eyes is removed.
    InsideEye,
    /// Components that do not touch the brain are removed.
    OnBrain,
    /// Hippocampi and brainstem are added to the brain.
    HoldsOrgans,
    /// Predicted voxels as bright as fat are removed from a nerve.
    Fat,
    /// A nerve is a tube around the path from its eye to the chiasm.
    Centreline,
    /// What hangs on a nerve by a thread is removed.
    Opening,
    /// An eye is completed to the ball that most of its surface lies on, and what stands out of it removed.
    EyeBall,
    /// What is as dark as fluid is removed from a hippocampus.
    Fluid,
    /// What lies too far from the middle of the chiasm is removed.
    ChiasmReach,
    /// The pituitary is continued down to the floor of the sella.
    GlandFloor,
    /// What lies outside the organ that encloses a described class is removed.
    Enclosed,
}

/// What one rule did to one structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEffect {
    /// Which rule.
    pub rule: Rule,
    /// Voxels it added.
    pub added: usize,
    /// Voxels it removed.
    pub removed: usize,
}

/// A face of the working grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// Towards the patient's right, i = 0.
    Right,
    /// Towards the patient's left, the last i.
    Left,
    /// Anterior, j = 0.
    Anterior,
    /// Posterior, the last j.
    Posterior,
    /// Inferior, k = 0.
    Inferior,
    /// Superior, the last k.
    Superior,
}

impl Face {
    /// Low face, then high face, of i, j, k on a grid along the patient axes.
    pub(super) const PAIRS: [[Face; 2]; 3] =
        [[Face::Right, Face::Left], [Face::Anterior, Face::Posterior], [Face::Inferior, Face::Superior]];

    const fn name(self) -> &'static str {
        match self {
            Face::Right => "right",
            Face::Left => "left",
            Face::Anterior => "anterior",
            Face::Posterior => "posterior",
            Face::Inferior => "inferior",
            Face::Superior => "superior",
        }
    }
}

/// How much a flag should worry the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at this structure.
    Warning,
    /// Do not use this structure before a person has decided.
    Red,
}

/// Something a reviewer should know about a structure. `Display` gives it in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Flag {
    /// Every rule was switched off: this is what the networks said.
    RulesOff,
    /// The structure is empty: nothing was predicted, or the rules removed all of it.
    NotFound {
        /// Voxels that the networks had predicted.
        predicted: usize,
    },
    /// It was found, but its outline cannot be written, so that it is not in the structure set.
    NotDrawn {
        /// Why.
        reason: String,
    },
    /// The structure touches the border of the working grid, so that a part may be missing.
    Truncated {
        /// The faces it touches.
        faces: Vec<Face>,
    },
    /// The structure reaches the end of the acquired images, so that a part may be missing.
    CutByView,
    /// The side was decided by less than the configured distance.
    SideUncertain {
        /// Distance of what decided from the plane between the sides, mm.
        distance_mm: f64,
    },
    /// The eye that the nerve reaches says one side, the nerve's own place the other; the eye decided.
    SideAgainstPlane {
        /// How far the nerve's barycentre lies on the other side, mm.
        distance_mm: f64,
    },
    /// The brain is not symmetric about any plane, so that the head's axes are uncertain.
    AxesUncertain {
        /// Share of the brain whose mirror image lies in the brain, 0 to 1.
        symmetry: f64,
    },
    /// The line between the two eyes does not agree with the brain's mid-sagittal plane and was not used.
    EyesAgainstBrain {
        /// Angle between that line and the plane's normal, degrees.
        angle_deg: f64,
        /// Distance between the eyes, mm.
        distance_mm: f64,
    },
    /// No brain was found, so that the sides come from the eyes or from the patient axes alone.
    SidesWithoutBrain,
    /// The structure is in several separate parts, where one is expected.
    SeveralParts {
        /// How many.
        parts: usize,
    },
    /// No brain was found, so that it could not be checked whether the structure touches it.
    BrainMissing,
    /// The nerve could not be followed from eye to chiasm: it is its largest component, and need not be connected.
    NerveNotTraced {
        /// Why.
        why: NotTraced,
    },
    /// Along a stretch of the nerve nothing was predicted: it was drawn along the cheapest path, which may be a false one.
    NerveBridged {
        /// The longest such stretch, mm.
        gap_mm: f64,
    },
    /// The eye was completed to a ball, or what stood out of it removed: a lesion, a bulge or an error of the networks.
    EyeReshaped {
        /// Share of its voxels that were added, 0 to 1.
        added: f64,
        /// Share of its voxels that were removed, 0 to 1.
        removed: f64,
    },
    /// There is an eye but no lens in it.
    LensMissed,
    /// The lens is much smaller than the other: a part may be missing.
    LensSmall {
        /// Its volume as a share of the other's.
        share: f64,
    },
    /// One half of the chiasm is much smaller than the other: a part may be missing, or a tumour pushes it aside.
    ChiasmUneven {
        /// Voxels of the smaller half as a share of the larger.
        share: f64,
    },
    /// A part of what was marked as hippocampus is as dark as fluid and was removed: ventricle or necrosis.
    FluidRemoved {
        /// How much, mm3.
        mm3: f64,
    },
    /// The hippocampus is longer than hippocampi are: its front may be amygdala.
    HippocampusLong {
        /// From end to end, mm.
        length_mm: f64,
    },
    /// The organ that encloses it was not found, so that nothing outside it was removed.
    EnclosureMissing {
        /// Name of the class that encloses it.
        by: String,
    },
    /// The brightness of fat could not be used to clear the nerve's surroundings.
    FatNotUsed {
        /// Why.
        why: FatUnused,
    },
}

impl Flag {
    /// How much it should worry the reader.
    pub const fn severity(&self) -> Severity {
        match self {
            Flag::NotDrawn { .. }
            | Flag::SideUncertain { .. }
            | Flag::SideAgainstPlane { .. }
            | Flag::SidesWithoutBrain
            | Flag::AxesUncertain { .. } => Severity::Red,
            Flag::RulesOff
            | Flag::NotFound { .. }
            | Flag::Truncated { .. }
            | Flag::CutByView
            | Flag::EyesAgainstBrain { .. }
            | Flag::BrainMissing
            | Flag::EnclosureMissing { .. }
            | Flag::NerveNotTraced { .. }
            | Flag::NerveBridged { .. }
            | Flag::EyeReshaped { .. }
            | Flag::LensMissed
            | Flag::LensSmall { .. }
            | Flag::ChiasmUneven { .. }
            | Flag::FluidRemoved { .. }
            | Flag::HippocampusLong { .. } => Severity::Warning,
            Flag::SeveralParts { .. } | Flag::FatNotUsed { .. } => Severity::Info,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flag::RulesOff => write!(f, "the anatomical rules were left out: this is the networks' vote as it is"),
            Flag::NotFound { predicted: 0 } => write!(f, "not found: the networks marked nothing"),
            Flag::NotFound { predicted } => {
                write!(f, "not found: the rules removed all of the {predicted} voxels that the networks marked")
            }
            Flag::NotDrawn { reason } => write!(f, "not in the structure set: {reason}"),
            Flag::Truncated { faces } => {
                let names: Vec<&str> = faces.iter().map(|face| face.name()).collect();
                write!(f, "touches the {} border of the working grid: a part may be missing", names.join(" and "))
            }
            Flag::CutByView => write!(f, "reaches the end of the acquired images: a part may be missing"),
            Flag::SideUncertain { distance_mm } => {
                write!(f, "side uncertain: decided by {distance_mm:.1} mm only")
            }
            Flag::SideAgainstPlane { distance_mm } => write!(
                f,
                "side uncertain: it reaches the eye of this side but lies {distance_mm:.1} mm on the other side of the mid-sagittal plane"
            ),
            Flag::AxesUncertain { symmetry } => write!(
                f,
                "side uncertain: only {:.0} % of the brain is mirrored by its best mid-sagittal plane",
                symmetry * 100.0
            ),
            Flag::EyesAgainstBrain { angle_deg, distance_mm } => write!(
                f,
                "the line between the eyes ({distance_mm:.0} mm) is {angle_deg:.0} degrees off the brain's left-right axis and was not used to decide sides"
            ),
            Flag::SidesWithoutBrain => write!(f, "side uncertain: no brain was found to decide it"),
            Flag::SeveralParts { parts } => write!(f, "in {parts} separate parts"),
            Flag::BrainMissing => write!(f, "no brain was found: not checked whether it touches the brain"),
            Flag::EnclosureMissing { by } => {
                write!(f, "no {by} was found: what lies outside it was not removed")
            }
            Flag::NerveNotTraced { why } => write!(f, "not followed from eye to chiasm: {why}"),
            Flag::NerveBridged { gap_mm } => {
                write!(f, "drawn across {gap_mm:.0} mm where the networks marked nothing: check its course")
            }
            Flag::EyeReshaped { added, removed } => write!(
                f,
                "brought to the shape of a ball: {:.0} % added, {:.0} % removed; look for a lesion or a bulge",
                added * 100.0,
                removed * 100.0
            ),
            Flag::LensMissed => write!(f, "the eye of this side has no lens: draw it if the patient has one"),
            Flag::LensSmall { share } => {
                write!(f, "only {:.0} % as large as the other lens: a part may be missing", share * 100.0)
            }
            Flag::ChiasmUneven { share } => write!(
                f,
                "one half is only {:.0} % as large as the other: a part may be missing, or it is pushed aside",
                share * 100.0
            ),
            Flag::FluidRemoved { mm3 } => {
                write!(f, "{mm3:.0} mm3 as dark as fluid were removed: check it against ventricle, cyst and necrosis")
            }
            Flag::HippocampusLong { length_mm } => {
                write!(f, "{length_mm:.0} mm long: its front may be amygdala")
            }
            Flag::FatNotUsed { why } => write!(f, "fat around it was not told apart by its brightness: {why}"),
        }
    }
}
