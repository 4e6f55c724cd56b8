//! One series to one RT Structure Set: the order of the stages, as a function of the images and the recipe alone.
//!
//! Series -> working grid -> three networks -> vote -> rules -> contours on the delivered planes -> RT
//! Structure Set, read back and checked. No database, no network; the command line and the daemon call the same code.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::package::{DerivedReport, Drawing, Package};
use super::recipe::{Order, Recipe};
use super::route::without_contrast;
use crate::anatomy::Structure;
use crate::anatomy::quality::{Evidence, Light, Measure, Subject, judge as lights};
use crate::anatomy::rules::{self, Finding, Flag, RuleEffect};
use crate::contour::{ContourConfig, ContourError, Outlines, PlaneContour, outline_on};
use crate::dicom::data::{DataError, Refusal, RefusalCode, Refusals, Series};
use crate::domain::{Verdict, judge};
use crate::geometry::{Field, GeometryError, LogOdds, working_volume};
use crate::inference::{Card, InferenceError, Vote, evidence};

/// The stages, for progress and timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Resampling to the working grid and scaling.
    Preprocess,
    /// Three networks and their vote.
    Networks,
    /// Anatomical consistency, and the check of the image.
    Rules,
    /// Outlines on the delivered planes.
    Contours,
    /// The RT Structure Set, written, read back and checked.
    Write,
}

/// Told of each stage and the share of it that is done, 0 to 1.
pub type Progress<'a> = &'a (dyn Fn(Stage, f64) + Sync);

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The images are not fit: permanent, shown to people.
    #[error(transparent)]
    Refused(#[from] Refusals),
    /// The networks cannot run: memory, device or installation. Worth another attempt.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// A fault of this program: what was made did not pass its own check.
    #[error("internal fault, nothing was sent: {0}")]
    Bug(String),
}

impl From<GeometryError> for SegmentError {
    fn from(e: GeometryError) -> Self {
        match e {
            GeometryError::NoHead(why) => Refusals(vec![Refusal::new(
                RefusalCode::NoHead,
                format!("no head was found in the images: {why}; send a T1-weighted MR of the head"),
            )])
            .into(),
            other => SegmentError::Bug(other.to_string()),
        }
    }
}

impl From<DataError> for SegmentError {
    fn from(e: DataError) -> Self {
        match e {
            DataError::NothingToWrite => Refusals(vec![Refusal::new(
                RefusalCode::NothingFound,
                "none of the structures was found in the images; is this a T1-weighted MR of the head?",
            )])
            .into(),
            DataError::Geometry(GeometryError::Shape(cols, rows, slices)) => Refusals(vec![Refusal::new(
                RefusalCode::TooLarge,
                format!(
                    "the axial series to be derived from these images would have {cols} columns x {rows} rows x {slices} \
                     slices, more than can be held; send a smaller field of view, or axial images"
                ),
            )])
            .into(),
            other => SegmentError::Bug(other.to_string()),
        }
    }
}

impl From<ContourError> for SegmentError {
    fn from(e: ContourError) -> Self {
        SegmentError::Bug(e.to_string())
    }
}

/// A finished result.
#[derive(Debug, Clone)]
pub struct Segmentation {
    /// The files, one package for each profile of the order.
    pub packages: Vec<Package>,
    /// The contoured planes of the first package when they are derived; otherwise the source series itself holds them.
    pub derived_series: Option<Series>,
    /// Contours of each structure that was found, in voxels of the planes of the first package.
    pub contours: BTreeMap<Structure, Vec<PlaneContour>>,
    /// What was found, for people and for the database.
    pub report: Report,
}

/// The report beside a structure set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `Research use only, not reviewed` for a research model.
    pub notice: String,
    /// Name of the model.
    pub model: String,
    /// Digest of the model.
    pub model_digest: String,
    /// Execution provider in force.
    pub execution: String,
    /// Whether the contours that are shown lie on a derived axial series.
    pub derived_axial: bool,
    /// What is odd about the series.
    pub warnings: Vec<String>,
    /// What the check of the image says; absent when it was not asked.
    #[serde(default)]
    pub domain: Option<Verdict>,
    /// One entry for each structure of the model, found or not.
    pub structures: Vec<StructureReport>,
    /// One entry for each derived structure of the configuration.
    #[serde(default)]
    pub derived: Vec<DerivedReport>,
    /// Seconds that each stage took.
    pub seconds: Vec<(Stage, f64)>,
}

/// What is reported of one structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StructureReport {
    /// Which.
    pub structure: Structure,
    /// Its display colour, red, green, blue: a model that describes it may be gone when the report is shown. Absent in
    /// reports of versions that knew no other structures than the catalogue's.
    #[serde(default)]
    pub colour: Option<[u8; 3]>,
    /// Whether it is in the structure set.
    pub found: bool,
    /// Volume on the delivered planes, cm3.
    pub volume_cc: f64,
    /// Share of its voxels on which all three networks agree; absent when there was no voxel or no vote.
    pub agreement: Option<f64>,
    /// Number of contours.
    pub contours: usize,
    /// Pixels of holes within a plane that the contours fill.
    pub voxels_filled: usize,
    /// Pixels of islands within a plane that were too small to be contoured.
    pub voxels_dropped: usize,
    /// What each rule added and removed, in voxels of the working grid.
    pub effects: Vec<RuleEffect>,
    /// What a reviewer should know.
    pub flags: Vec<Flag>,
    /// How much to doubt it. Absent in reports of versions that did not judge: that is no green.
    #[serde(default)]
    pub light: Option<Light>,
    /// Why the light is not green, in words.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The numbers that were judged.
    #[serde(default)]
    pub evidence: Evidence,
}

impl StructureReport {
    /// Why it is to be looked at, and everything else that a reader should know, each said once.
    pub fn remarks(&self) -> impl Iterator<Item = String> + '_ {
        let flags = self.flags.iter().map(ToString::to_string);
        self.reasons.iter().cloned().chain(flags.filter(|words| !self.reasons.contains(words)))
    }
}

impl Report {
    /// Why the result must wait for a person, in words; `None`: it may go its way.
    pub fn held(&self) -> Option<String> {
        self.domain.as_ref().and_then(Verdict::held)
    }
}

/// Segments a series.
///
/// # Errors
/// [`SegmentError::Refused`] with reasons for a person; the rest is for the operator.
pub fn segment_series(
    series: &Series,
    recipe: &Recipe,
    order: &Order,
    progress: Progress,
) -> Result<Segmentation, SegmentError> {
    let mut clock = Clock::new(progress);
    let working = clock.time(Stage::Preprocess, |_| working_volume(&series.volume, &recipe.model.card().working))?;
    let vote = clock.time(Stage::Networks, |tell| recipe.model.run(&working, tell))?;
    let (found, known, domain) = clock.time(Stage::Rules, |_| {
        let fat_suppressed = series.attributes.acquisition.fat_suppressed();
        let acquired = Some(series.volume.grid().as_ref());
        let case = rules::Case { parts: &vote.parts()?, image: &working, fat_suppressed, acquired };
        let found = rules::apply_to(&case, &recipe.rules)?;
        let known = evidence(&vote, &found);
        let brain = found.structures.get(&Structure::Brain).map(|finding| finding.mask.cc());
        let domain = recipe.domain.enabled.then(|| judge(&working, brain, &recipe.domain)).transpose()?;
        Ok::<_, SegmentError>((found, known, domain))
    })?;
    drop(working);
    let mut done = finish(series, &found.structures, Some(&vote), &known, recipe, order, clock)?;
    done.report.domain = domain;
    Ok(done)
}

/// The second half: findings on any grid to a checked structure set. Tests put known masks in here.
///
/// # Errors
/// As [`segment_series`].
pub fn deliver_findings(
    series: &Series,
    found: &BTreeMap<Structure, Finding>,
    recipe: &Recipe,
    order: &Order,
) -> Result<Segmentation, SegmentError> {
    finish(series, found, None, &Known::default(), recipe, order, Clock::new(&|_, _| ()))
}

fn finish(
    series: &Series,
    found: &BTreeMap<Structure, Finding>,
    vote: Option<&Vote>,
    known: &Known,
    recipe: &Recipe,
    order: &Order,
    mut clock: Clock,
) -> Result<Segmentation, SegmentError> {
    let card = recipe.model.card();
    let drawing = Drawing { series, found, vote, known, recipe, order };
    let (drawn, of) = clock.time(Stage::Contours, |tell| drawing.draw(tell))?;
    let packages = clock.time(Stage::Write, |_| {
        let each = order.wanted.iter().zip(&of);
        each.filter_map(|(wanted, n)| Some(drawing.package(drawn.get(*n)?, wanted))).collect::<Result<Vec<_>, _>>()
    })?;
    let Some(shown) = drawn.into_iter().next() else {
        return Err(SegmentError::Bug("nothing was ordered: no profile".into()));
    };
    let report = Report {
        notice: if card.is_research() { "Research use only, not reviewed".into() } else { "Not reviewed".into() },
        model: card.name.clone(),
        model_digest: recipe.model.digest().to_owned(),
        execution: recipe.model.execution().name().into(),
        derived_axial: shown.is_derived(),
        warnings: series.warnings.iter().cloned().chain(without_contrast(series)).chain(not_looked_for(card)).collect(),
        domain: None,
        structures: shown.organs.iter().map(|(report, _)| report.clone()).collect(),
        derived: shown.extras(),
        seconds: clock.seconds,
    };
    let found = shown.organs.into_iter().filter(|(report, _)| report.found);
    let contours = found.map(|(report, contours)| (report.structure, contours)).collect();
    let derived_series = match shown.planes {
        Cow::Owned(derived) => Some(derived),
        Cow::Borrowed(_) => None,
    };
    Ok(Segmentation { packages, derived_series, contours, report })
}

/// Which of the known structures a model does not look for, in words: what is missing in its results was not missed.
fn not_looked_for(card: &Card) -> Option<String> {
    let missing = Structure::ALL.iter().filter(|s| !card.classes.contains(&s.class())).map(|s| s.name());
    let missing: Vec<&str> = missing.collect();
    (!missing.is_empty()).then(|| format!("the model {} does not look for {}", card.name, missing.join(", ")))
}

/// Puts in what is known of the structures, and the lights that follow.
pub(super) fn judge_all(organs: &mut [(StructureReport, Vec<PlaneContour>)], known: &Known, card: &Card) {
    let subjects = organs.iter().map(|(report, _)| Subject {
        structure: report.structure,
        evidence: known.get(&report.structure),
        flags: &report.flags,
    });
    let judged = lights(&subjects.collect::<Vec<_>>(), card.quality.as_ref());
    for ((report, _), judged) in organs.iter_mut().zip(judged) {
        (report.light, report.reasons) = (Some(judged.light), judged.reasons);
        report.evidence = known.get(&report.structure).cloned().unwrap_or_default();
        report.agreement = report.evidence.get(&Measure::Agreement).copied();
    }
}

/// What is known of each structure found besides its mask.
pub(super) type Known = BTreeMap<Structure, Evidence>;

/// A structure on the delivered planes: its contours, and the report of what they enclose, not judged yet.
pub(super) fn on_planes(
    structure: Structure,
    finding: &Finding,
    planes: &Series,
    vote: Option<&Vote>,
    config: &ContourConfig,
) -> Result<(Vec<PlaneContour>, StructureReport), SegmentError> {
    let odds = vote.map(|vote| move |voxel, row: &mut [f32]| vote.log_odds(structure.class(), voxel, row));
    let field = Field::new(&finding.mask, odds.as_ref().map(|odds| odds as &LogOdds));
    let drawn = field.map(|field| outline_on(&field, planes.volume.grid(), config)).transpose();
    let (outlines, fault) = match drawn {
        // One outline that cannot be written does not keep the other eleven from the planner.
        Err(e @ (ContourError::TooManyPoints { .. } | ContourError::Changed { .. })) => {
            (Outlines::default(), Some(e.to_string()))
        }
        drawn => (drawn?.unwrap_or_default(), None),
    };
    let lost = outlines.contours.is_empty() && !finding.mask.is_empty();
    let too_small = || "what was found is too small to hold a pixel centre of the delivered planes".to_owned();
    let not_drawn = fault.or_else(|| lost.then(too_small)).map(|reason| Flag::NotDrawn { reason });
    let report = StructureReport {
        structure,
        colour: Some(structure.colour()),
        found: !outlines.contours.is_empty(),
        volume_cc: outlines.pixels as f64 * planes.volume.grid().voxel_cc(),
        agreement: None,
        contours: outlines.contours.len(),
        voxels_filled: outlines.voxels_filled,
        voxels_dropped: outlines.voxels_dropped,
        effects: finding.effects.clone(),
        flags: finding.flags.iter().cloned().chain(not_drawn).collect(),
        light: None,
        reasons: Vec::new(),
        evidence: Evidence::new(),
    };
    Ok((outlines.contours, report))
}

/// The words that go into the ROI's description: the light and its reasons, agreement, other flags.
pub(super) fn describe(report: &StructureReport) -> String {
    let agreement = report.agreement.map(|a| format!("networks agree on {:.0} % of its voxels", a * 100.0));
    let mut remarks = report.remarks();
    let first = match (report.light, report.reasons.is_empty()) {
        (Some(light), false) => remarks.next().map(|reason| format!("{}: {reason}", light.name())),
        (light, _) => light.map(|light| light.name().to_owned()),
    };
    let reasons: Vec<String> = remarks.by_ref().take(report.reasons.len().saturating_sub(1)).collect();
    description(first.into_iter().chain(reasons).chain(agreement).chain(remarks))
}

/// Words as one description. ROI Description and Segment Description hold 1024 characters, a mark of 31 and more among
/// them; what does not fit is left out, which is said: the report has all of it.
pub(super) fn description(words: impl Iterator<Item = String>) -> String {
    const MOST: usize = 960;
    const REST: &str = " ... (all of it: the report)";
    let words = words.collect::<Vec<_>>().join("; ");
    if words.chars().count() <= MOST {
        return words;
    }
    words.chars().take(MOST - REST.len()).chain(REST.chars()).collect()
}

/// Times stages and passes their progress on.
struct Clock<'a> {
    progress: Progress<'a>,
    seconds: Vec<(Stage, f64)>,
}

impl<'a> Clock<'a> {
    fn new(progress: Progress<'a>) -> Self {
        Self { progress, seconds: Vec::new() }
    }

    fn time<T>(&mut self, stage: Stage, work: impl FnOnce(&(dyn Fn(f64) + Sync)) -> T) -> T {
        let progress = self.progress;
        progress(stage, 0.0);
        let start = Instant::now();
        let out = work(&|share| progress(stage, share));
        self.seconds.push((stage, start.elapsed().as_secs_f64()));
        progress(stage, 1.0);
        out
    }
}
