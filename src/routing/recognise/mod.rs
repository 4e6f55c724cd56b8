//! Whether an image is T1-weighted, and whether it was taken after gadolinium.
//!
//! No attribute says so reliably: a name can be anything, Contrast/Bolus Agent stays from one series to the next or is
//! forgotten. Every clue has points, for or against, and a sentence; sums at or beyond fixed limits are an answer,
//! everything between is none. Nothing is repeated of what people typed but the words of the tables in `words`.

mod contrast;
mod weighting;
mod words;

use std::fmt;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use serde::{Serialize, Serializer};

use super::header::Header;
use super::rule::Looks;

/// The attributes that are asked.
pub const ASKED: [Tag; 22] = [
    tags::MODALITY,
    tags::IMAGE_TYPE,
    tags::SERIES_DESCRIPTION,
    tags::PROTOCOL_NAME,
    tags::SCANNING_SEQUENCE,
    tags::SEQUENCE_VARIANT,
    tags::MR_ACQUISITION_TYPE,
    tags::REPETITION_TIME,
    tags::ECHO_TIME,
    tags::INVERSION_TIME,
    tags::FLIP_ANGLE,
    tags::ANGIO_FLAG,
    tags::DIFFUSION_B_VALUE,
    tags::CONTRAST_BOLUS_AGENT,
    tags::CONTRAST_BOLUS_AGENT_SEQUENCE,
    tags::CONTRAST_BOLUS_INGREDIENT,
    tags::CONTRAST_BOLUS_VOLUME,
    tags::CONTRAST_BOLUS_TOTAL_DOSE,
    tags::CONTRAST_BOLUS_START_TIME,
    tags::CONTRAST_BOLUS_ROUTE,
    tags::CONTRAST_FLOW_RATE,
    tags::CONTRAST_BOLUS_INGREDIENT_CONCENTRATION,
];

/// From this sum of points on it is likely.
pub(super) const LIKELY: i32 = 3;
/// From this sum down it is unlikely.
pub(super) const UNLIKELY: i32 = -3;

/// One clue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// For it, or against it when below zero.
    pub points: i32,
    /// What was seen, in words.
    pub words: String,
}

/// What all clues together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likelihood {
    Likely,
    Unclear,
    Unlikely,
}

impl fmt::Display for Likelihood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Likelihood::Likely => "likely",
            Likelihood::Unclear => "unclear",
            Likelihood::Unlikely => "unlikely",
        })
    }
}

impl Serialize for Likelihood {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The clues to one question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finding {
    /// Every clue; none: the header says nothing of it.
    pub reasons: Vec<Reason>,
}

impl Finding {
    fn add(&mut self, points: i32, words: impl Into<String>) {
        self.reasons.push(Reason { points, words: words.into() });
    }

    /// The sum of points.
    pub fn score(&self) -> i32 {
        self.reasons.iter().map(|reason| reason.points).sum()
    }

    /// What they say.
    pub fn likelihood(&self) -> Likelihood {
        match self.score() {
            LIKELY.. => Likelihood::Likely,
            ..=UNLIKELY => Likelihood::Unlikely,
            _ => Likelihood::Unclear,
        }
    }

    /// The answer, the score and every reason with its points.
    pub fn in_words(&self) -> String {
        let each: Vec<String> = self.reasons.iter().map(|r| format!("{:+} {}", r.points, r.words)).collect();
        let each = if each.is_empty() { "the header says nothing of it".to_owned() } else { each.join("; ") };
        format!("{}, score {}: {each}", self.likelihood(), self.score())
    }
}

/// What a header lets one recognise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recognition {
    /// Whether the image is T1-weighted.
    pub t1: Finding,
    /// Whether it was taken after gadolinium.
    pub gadolinium: Finding,
}

impl Recognition {
    /// Whether it is likely T1-weighted.
    pub fn is_t1(&self) -> bool {
        self.t1.likelihood() == Likelihood::Likely
    }

    /// Whether it was likely taken after gadolinium.
    pub fn is_gd(&self) -> bool {
        self.gadolinium.likelihood() == Likelihood::Likely
    }

    pub(super) fn in_short(&self, kind: Looks) -> String {
        let short = |name, finding: &Finding| format!("{name} {} (score {})", finding.likelihood(), finding.score());
        let (t1, gd) = (short("T1", &self.t1), short("gadolinium", &self.gadolinium));
        match kind {
            Looks::T1 => t1,
            Looks::Gd => gd,
            Looks::T1Gd => format!("{t1}, {gd}"),
        }
    }
}

/// Asks a header whether its image is T1-weighted and after gadolinium.
pub fn recognise(header: &Header) -> Recognition {
    Recognition { t1: weighting::weighting(header), gadolinium: contrast::contrast(header) }
}
