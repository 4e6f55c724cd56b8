//! Why input is not taken, and what can go wrong when output is written.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::geometry::GeometryError;
use crate::ids::InstanceUid;

/// The kind of a refusal, for programs; the message is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// Nothing there is a DICOM MR image.
    NoImages,
    /// More than one MR series where one is wanted.
    SeveralSeries,
    /// A file or folder could not be read from disk.
    Unreadable,
    /// The bytes are not a DICOM object.
    NotDicom,
    /// The object ends before its declared end.
    Truncated,
    /// An object of another kind than an MR image.
    NotMr,
    /// An enhanced (multi-frame) MR object.
    EnhancedMr,
    /// An MR image of a kind on which the networks cannot find anything: a localiser, a map, a phase image, a projection.
    NotT1,
    /// A colour image.
    Colour,
    /// A transfer syntax that is not decoded here.
    TransferSyntax,
    /// Pixel data that cannot be decoded or do not fit Rows and Columns.
    PixelData,
    /// An attribute without which the image has no place or no meaning.
    MissingAttribute,
    /// An attribute whose value cannot be used.
    InvalidValue,
    /// Slices of several patients or studies under one series UID.
    SeveralPatients,
    /// Slices in several frames of reference.
    SeveralFrames,
    /// Slices of several orientations.
    MixedOrientations,
    /// Slices of several sizes in pixels.
    MixedSizes,
    /// Slices of several pixel spacings.
    MixedSpacings,
    /// Two different images at one position, or under one SOP Instance UID.
    ConflictingDuplicate,
    /// A slice is missing between two others.
    MissingSlice,
    /// Slices at irregular distances.
    IrregularSpacing,
    /// Slices shifted sideways against each other.
    Shear,
    /// Too few slices for a volume.
    TooFewSlices,
    /// The volume cannot be held.
    TooLarge,
    /// No head in the volume.
    NoHead,
    /// None of the structures was found in the volume.
    NothingFound,
    /// Not a readable RT Structure Set.
    StructureSet,
    /// A registration that ties no two frames of reference together rigidly.
    Registration,
    /// A planning CT whose slices are not axial.
    NotAxial,
}

/// One reason not to process some input, in words a technician can act on. Holds no patient data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// The attribute concerned, as `(gggg,eeee) Name`.
    pub tag: Option<String>,
    /// The instance concerned.
    pub instance: Option<InstanceUid>,
}

impl Refusal {
    /// A refusal that concerns no single attribute or instance.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), tag: None, instance: None }
    }

    /// Names the attribute.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Names the instance.
    #[must_use]
    pub fn with_instance(mut self, instance: InstanceUid) -> Self {
        self.instance = Some(instance);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(tag) = &self.tag {
            write!(f, " [attribute {tag}]")?;
        }
        if let Some(instance) = &self.instance {
            write!(f, " [instance {instance}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// Every reason that was found; never empty when it is returned as an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals(pub Vec<Refusal>);

impl Refusals {
    /// Whether one of the reasons is of this kind.
    pub fn has(&self, code: RefusalCode) -> bool {
        self.0.iter().any(|r| r.code == code)
    }
}

/// As many refusals of one kind are written out; the rest are counted.
const SHOWN: usize = 3;

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = |a: &Refusal, b: &Refusal| a.code == b.code && a.tag == b.tag;
        let mut lines = Vec::new();
        for (n, refusal) in self.0.iter().enumerate() {
            let before = self.0.iter().take(n).filter(|r| same(r, refusal)).count();
            if before < SHOWN {
                lines.push(refusal.to_string());
            } else if before == SHOWN {
                let more = self.0.iter().skip(n).filter(|r| same(r, refusal)).count();
                let tag = refusal.tag.as_deref().map(|t| format!(" [attribute {t}]")).unwrap_or_default();
                lines.push(format!("and {more} more of this kind{tag}"));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Refusals {}

impl From<Refusal> for Refusals {
    fn from(refusal: Refusal) -> Self {
        Self(vec![refusal])
    }
}

/// What can go wrong when objects are written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A grid or a resampling that cannot be.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// The DICOM encoder refused.
    #[error("the object could not be encoded: {0}")]
    Encoding(String),
    /// A value that DICOM cannot hold.
    #[error("{attribute} cannot hold {value}: {reason}")]
    Value { attribute: &'static str, value: String, reason: &'static str },
    /// A contour on a slice that the series does not have.
    #[error("a contour of {structure} lies on slice {slice}, but the series has only {slices} slices")]
    NoSuchSlice { structure: String, slice: usize, slices: usize },
    /// A contour that is not a polygon.
    #[error("a contour of {structure} on slice {slice} is no polygon: {reason}")]
    BadContour { structure: String, slice: usize, reason: &'static str },
    /// A structure given twice.
    #[error("{0} was given twice")]
    Twice(String),
    /// A structure set without a single contour.
    #[error("no structure has a contour; an RT Structure Set needs at least one")]
    NothingToWrite,
    /// What was written could not be read back.
    #[error("what was written could not be read back: {0}")]
    ReadBack(Refusals),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_reasons_of_one_kind_are_counted() {
        let one = |code, n: usize| {
            let uid = InstanceUid::parse(&format!("1.2.{n}")).unwrap();
            Refusal::new(code, format!("reason {n}")).with_tag("(0028,0010) Rows").with_instance(uid)
        };
        let mut all: Vec<Refusal> = (0..200).map(|n| one(RefusalCode::MissingAttribute, n)).collect();
        all.insert(50, one(RefusalCode::Colour, 999));
        let text = Refusals(all).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[2], "reason 2 [attribute (0028,0010) Rows] [instance 1.2.2]");
        assert_eq!(lines[3], "and 197 more of this kind [attribute (0028,0010) Rows]");
        assert!(lines[4].starts_with("reason 999"));
    }

    #[test]
    fn codes_are_stable_names() {
        let refusal = Refusal::new(RefusalCode::MissingSlice, "gap");
        let json = serde_json::to_value(&refusal).unwrap();
        assert_eq!(json["code"], "missing_slice");
        assert_eq!(serde_json::from_value::<Refusal>(json).unwrap(), refusal);
    }
}
