//! The files of one result for one kind of destination: planes, contours, structure set, segmentation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::recipe::{Order, Recipe, Wanted};
use super::segment::{Known, SegmentError, StructureReport, describe, description, judge_all, on_planes};
use crate::anatomy::rules::Finding;
use crate::anatomy::{DerivedConfig, Structure, derive};
use crate::contour::{ContourConfig, Holes, PlaneContour, rasterise};
use crate::dicom::data::{
    DerivedSeriesMeta, EncodedInstance, Profile, RoiContours, RoiIdentity, Segment, Series, StructureSetMeta,
    derived_axial_series, read_rtstruct, read_segmentation, validate_rtstruct, write_rtstruct, write_segmentation,
};
use crate::evaluation::dice;
use crate::geometry::{GeometryError, Mask};
use crate::inference::Vote;

/// What is sent to the destinations of one profile.
#[derive(Debug, Clone)]
pub struct Package {
    /// Name of the profile.
    pub profile: String,
    /// The RT Structure Set.
    pub structure_set: EncodedInstance,
    /// The DICOM Segmentation, where the profile wants one.
    pub segmentation: Option<EncodedInstance>,
    /// The derived axial series that both refer to, when they do not lie on the acquired planes.
    pub derived: Vec<EncodedInstance>,
}

/// What is reported of a derived structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DerivedReport {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub recipe: String,
    /// Whether it is in the structure set.
    pub made: bool,
    /// Volume on the delivered planes, cm3.
    pub volume_cc: f64,
    /// Why it was not made, or what is missing in it.
    pub remarks: Vec<String>,
}

/// Everything drawn on some planes: what packages of equal demands share.
pub(super) struct Drawn<'a> {
    axial: bool,
    outlines: ContourConfig,
    /// The contoured planes.
    pub planes: Cow<'a, Series>,
    derived: Vec<EncodedInstance>,
    /// Each structure with its contours, found or not.
    pub organs: Vec<(StructureReport, Vec<PlaneContour>)>,
    /// Each derived structure of the configuration.
    extras: Vec<(DerivedConfig, DerivedReport, Vec<PlaneContour>)>,
}

impl Drawn<'_> {
    /// The reports of the derived structures.
    pub fn extras(&self) -> Vec<DerivedReport> {
        self.extras.iter().map(|(_, report, _)| report.clone()).collect()
    }

    /// Whether a derived series was made for it.
    pub fn is_derived(&self) -> bool {
        !self.derived.is_empty()
    }
}

/// Everything that one series gives, on the planes and with the outlines of each profile; `tell` hears the share done.
pub(super) struct Drawing<'a> {
    pub series: &'a Series,
    pub found: &'a BTreeMap<Structure, Finding>,
    /// Where there was one, outlines are drawn from its probabilities.
    pub vote: Option<&'a Vote>,
    pub known: &'a Known,
    pub recipe: &'a Recipe,
    pub order: &'a Order,
}

impl<'a> Drawing<'a> {
    /// Draws for every profile of the order, once for those that want the same; says which drawing each one takes.
    pub fn draw(&self, tell: &(dyn Fn(f64) + Sync)) -> Result<(Vec<Drawn<'a>>, Vec<usize>), SegmentError> {
        let mut drawn: Vec<Drawn> = Vec::new();
        let mut of = Vec::new();
        for (n, Wanted { profile, .. }) in self.order.wanted.iter().enumerate() {
            let axial = self.recipe.derives(self.series, profile);
            let outlines = profile.contours(&self.recipe.contours);
            let same = drawn.iter().position(|d| d.axial == axial && d.outlines == outlines);
            of.push(match same {
                Some(same) => same,
                None => {
                    drawn.push(self.draw_one(axial, outlines)?);
                    drawn.len() - 1
                }
            });
            tell((n + 1) as f64 / self.order.wanted.len() as f64);
        }
        Ok((drawn, of))
    }

    fn draw_one(&self, axial: bool, outlines: ContourConfig) -> Result<Drawn<'a>, SegmentError> {
        let (planes, derived) = if axial {
            let meta = DerivedSeriesMeta {
                research: self.recipe.model.card().is_research(),
                model_digest: self.recipe.model.digest().to_owned(),
                config_digest: self.recipe.config_digest.clone(),
                revision: self.order.revision,
                finest_pixel: self.recipe.planes.derived_pixel_mm,
                created: self.order.created,
            };
            let (derived, objects) = derived_axial_series(self.series, &meta)?;
            (Cow::Owned(derived), objects)
        } else {
            (Cow::Borrowed(self.series), Vec::new())
        };
        let organ = |(structure, finding): (&Structure, &Finding)| {
            let (contours, report) = on_planes(*structure, finding, &planes, self.vote, &outlines)?;
            Ok((report, contours))
        };
        let mut organs = self.found.par_iter().map(organ).collect::<Result<Vec<_>, SegmentError>>()?;
        judge_all(&mut organs, self.known, self.recipe.model.card());
        let mut extras = Vec::new();
        for config in &self.recipe.derived {
            let Some(made) = derive(config, self.found)? else { continue };
            let finding = Finding { mask: made.mask, predicted: 0, effects: Vec::new(), flags: Vec::new() };
            // The organ named here only fills the report's name, which is not used: a derived structure has its own.
            let (contours, drawn) = on_planes(Structure::Brain, &finding, &planes, None, &outlines)?;
            let remarks = made.remarks.into_iter().chain(drawn.flags.iter().map(ToString::to_string)).collect();
            let report = DerivedReport {
                name: config.name.clone(),
                recipe: config.recipe(),
                made: !contours.is_empty(),
                volume_cc: drawn.volume_cc,
                remarks,
            };
            extras.push((config.clone(), report, contours));
        }
        Ok(Drawn { axial, outlines, planes, derived, organs, extras })
    }

    /// The files for one profile, read back and checked.
    pub fn package(&self, drawn: &Drawn, wanted: &Wanted) -> Result<Package, SegmentError> {
        let (card, profile) = (self.recipe.model.card(), &wanted.profile);
        let meta = StructureSetMeta {
            label: self.recipe.planes.structure_set_label.clone(),
            research: card.is_research(),
            model_name: card.name.clone(),
            model_digest: self.recipe.model.digest().to_owned(),
            config_digest: self.recipe.config_digest.clone(),
            revision: self.order.revision,
            predecessor: wanted.predecessor.clone(),
            carried: None,
            created: self.order.created,
        };
        let organs = drawn.organs.iter().map(|(report, contours)| RoiContours {
            roi: profile.identity(report.structure),
            contours: contours.clone(),
            volume_cc: report.volume_cc,
            description: describe(report),
        });
        let extras = drawn.extras.iter().map(|(config, report, contours)| RoiContours {
            roi: profile.identity(config),
            contours: contours.clone(),
            volume_cc: report.volume_cc,
            description: description(std::iter::once(&report.recipe).chain(&report.remarks).cloned()),
        });
        let rois: Vec<RoiContours> = organs.chain(extras).collect();
        let structure_set = write_rtstruct(&drawn.planes, &rois, &meta, profile)?;
        check_structure_set(&structure_set, &drawn.planes, &rois, profile, drawn.outlines.holes)?;
        let segmentation = if profile.segmentation { Some(segmentation(drawn, &meta, profile)?) } else { None };
        Ok(Package { profile: profile.name.clone(), structure_set, segmentation, derived: drawn.derived.clone() })
    }
}

/// The organs as a DICOM Segmentation, read back pixel for pixel.
fn segmentation(drawn: &Drawn, meta: &StructureSetMeta, profile: &Profile) -> Result<EncodedInstance, SegmentError> {
    let grid = drawn.planes.volume.grid();
    let found = drawn.organs.iter().filter(|(report, _)| report.found);
    let masks: Vec<(&StructureReport, Mask)> =
        found.map(|(report, contours)| (report, rasterise(contours, grid))).collect();
    let segments: Vec<Segment> = masks
        .iter()
        .map(|(report, mask)| Segment {
            structure: report.structure,
            roi: profile.identity(report.structure),
            mask,
            description: describe(report),
        })
        .collect();
    let written = write_segmentation(&drawn.planes, &segments, meta, profile)?;
    let bug = |what: String| SegmentError::Bug(format!("the segmentation {what}"));
    let back = read_segmentation(&written.bytes).map_err(|e| bug(format!("cannot be read back: {e}")))?;
    if back.segments.len() != segments.len() {
        return Err(bug(format!("has {} segments instead of {}", back.segments.len(), segments.len())));
    }
    for (read, segment) in back.segments.iter().zip(&segments) {
        let mask = read.mask(&drawn.planes).map_err(|e| bug(e.to_string()))?;
        if read.label != segment.roi.name || mask.data() != segment.mask.data() {
            return Err(bug(format!("does not give {} back", segment.roi.name)));
        }
    }
    Ok(written)
}

/// Polygons with bridges to their holes, read back, must enclose at least this much the same pixels as were outlined.
const MIN_READ_BACK_DICE: f64 = 0.999;

/// Whether what was read back is what was outlined: pixel for pixel where no polygon has a bridge, since outlines keep
/// further away from pixel centres than the micrometres that coordinates are rounded to.
fn alike(read: &Mask, outlined: &Mask, holes: Holes) -> Result<bool, GeometryError> {
    Ok(match holes {
        Holes::Fill => read.data() == outlined.data(),
        Holes::Keyhole => dice(read, outlined)?.is_some_and(|likeness| likeness >= MIN_READ_BACK_DICE),
    })
}

/// Reads the file back with the reader's eyes: no defect, every region there, and each, rasterised, like what was
/// outlined.
pub(super) fn check_structure_set(
    written: &EncodedInstance,
    planes: &Series,
    rois: &[RoiContours],
    profile: &Profile,
    holes: Holes,
) -> Result<(), SegmentError> {
    let bug = |what: String| Err(SegmentError::Bug(what));
    let identities: Vec<RoiIdentity> = rois.iter().map(|roi| roi.roi.clone()).collect();
    let defects = validate_rtstruct(&written.bytes, planes, &identities, profile);
    if !defects.is_empty() {
        let list: Vec<String> = defects.iter().map(|d| d.message.clone()).collect();
        return bug(format!("the structure set for {} has defects: {}", profile.name, list.join("; ")));
    }
    let back = read_rtstruct(&written.bytes).map_err(|e| SegmentError::Bug(e.to_string()))?;
    for roi in rois.iter().filter(|roi| !roi.contours.is_empty()) {
        let name = &roi.roi.name;
        let Some(read) = back.roi(name) else { return bug(format!("{name} is missing from what was written")) };
        let contours = read.plane_contours(planes).map_err(|e| SegmentError::Bug(e.to_string()))?;
        let grid: &Arc<_> = planes.volume.grid();
        let (read, outlined) = (rasterise(&contours, grid), rasterise(&roi.contours, grid));
        if !alike(&read, &outlined, holes)? {
            let likeness = dice(&read, &outlined)?.unwrap_or(0.0);
            return bug(format!("{name} read back has Dice {likeness:.6} with what was outlined"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::data::{DataError, RefusalCode};
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    #[test]
    fn a_description_that_does_not_fit_is_cut_and_says_so() {
        assert_eq!(description(["a".to_owned(), "b".to_owned()].into_iter()), "a; b");
        let long = description((0..300).map(|n| format!("größer {n}")));
        assert_eq!(long.chars().count(), 960);
        assert!(long.starts_with("größer 0; größer 1") && long.ends_with("(all of it: the report)"), "{long}");
    }

    #[test]
    fn what_is_read_back_is_what_was_outlined() {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(40, 35, 3), Lps::new(3.0, -7.0, 0.0), [0.7, 0.9, 2.0]).unwrap();
        let mut outlined = Mask::empty(Arc::new(grid));
        outlined.data_mut()[..1200].fill(true);
        let mut read = outlined.clone();
        assert!(alike(&read, &outlined, Holes::Fill).unwrap() && alike(&read, &outlined, Holes::Keyhole).unwrap());
        // One pixel of 1200 may lie under a bridge; without bridges none may differ.
        read.data_mut()[7] = false;
        assert!(!alike(&read, &outlined, Holes::Fill).unwrap() && alike(&read, &outlined, Holes::Keyhole).unwrap());
        read.data_mut()[9..11].fill(false);
        assert!(!alike(&read, &outlined, Holes::Keyhole).unwrap());
    }

    #[test]
    fn a_derived_series_too_large_is_a_refusal_in_words() {
        let too_large = DataError::Geometry(GeometryError::Shape(8000, 10000, 6));
        let SegmentError::Refused(why) = SegmentError::from(too_large) else { panic!("not a refusal") };
        assert!(why.has(RefusalCode::TooLarge));
        assert!(why.to_string().contains("8000 columns x 10000 rows x 6 slices, more than can be held; send"), "{why}");
    }
}
