//! What dciodvfy does not look at: whether the parts of a structure set fit each other and its series.

use std::collections::{BTreeMap, HashSet};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use serde::{Deserialize, Serialize};

use super::super::values::{decoded, items, text, texts};
use super::super::{EmptyRois, Profile, RoiIdentity, Series, SliceRef, part10};
use super::read::{ReadContour, ReadRoi, StructureSet, structure_set};
use super::write::MAX_CONTOUR_DATA;
use crate::contour::crossing;
use crate::geometry::Vec3;

/// The kind of a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectCode {
    /// The file cannot be read as an RT Structure Set.
    Unreadable,
    /// Patient, study or its description differ from the series'.
    WrongPatient,
    /// The structure set carries the series UID of its images.
    SeriesReused,
    /// The frame of reference differs from the series'.
    WrongFrame,
    /// Referenced Frame of Reference Sequence is missing, or holds more than one item.
    NoReferencedFrame,
    /// The study or series referred to is another.
    WrongReference,
    /// A slice of the series is not referred to.
    SliceNotReferenced,
    /// An image is referred to that is not in the series.
    ForeignImage,
    /// The slices are not referred to in geometric order, each once.
    SliceOrder,
    /// Manufacturer or its model name is empty.
    EmptyManufacturer,
    /// Structure Set Label is empty or longer than 16 characters.
    LabelLength,
    /// Approval Status is not UNAPPROVED.
    Approval,
    /// There is no region.
    NoRegions,
    /// Two regions, observations or contours share a number.
    NumberTwice,
    /// A number refers to a region that does not exist.
    DanglingRoi,
    /// A region without contours.
    RoiWithoutContours,
    /// A region with no observation, or several.
    RoiObservations,
    /// A name that is none of the expected ones or too long, or stands twice.
    RoiName,
    /// The code, laterality or colour does not fit the name.
    RoiCode,
    /// RT ROI Interpreted Type is not the expected one.
    InterpretedType,
    /// ROI Generation Algorithm is not AUTOMATIC.
    Algorithm,
    /// A contour that is not CLOSED_PLANAR.
    GeometricType,
    /// Number of Contour Points does not fit the data.
    PointCount,
    /// A contour of fewer than three points.
    TooFewPoints,
    /// The first point is repeated as the last.
    RepeatedClosingPoint,
    /// A point is repeated as the next.
    RepeatedPoint,
    /// A contour that does not refer to exactly one image.
    ContourImage,
    /// A point off the plane of its image.
    OffPlane,
    /// A point outside the pixels of its image.
    OutsideImage,
    /// Two contours of a region, or one and itself, cross on their image.
    Crossing,
    /// A number of more than 16 characters.
    NumberLength,
    /// Contour Data too long for an explicit VR.
    ContourDataLength,
    /// A contour of more points than the profile allows.
    TooManyPoints,
    /// Not the transfer syntax of the profile.
    TransferSyntax,
}

/// Something wrong with a structure set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// The kind.
    pub code: DefectCode,
    /// What and where.
    pub message: String,
}

/// A point may lie this far off the plane of its image, in mm.
const PLANE_TOLERANCE: f64 = 0.01;

/// Everything wrong with a structure set for `series` that goes to a destination with `profile` and may hold the
/// regions `expected` (as they are called there); empty when it may be sent.
pub fn validate_rtstruct(bytes: &[u8], series: &Series, expected: &[RoiIdentity], profile: &Profile) -> Vec<Defect> {
    let mut found = Found(Vec::new());
    let read = part10::open(bytes).and_then(|opened| {
        let object = opened.parse(None)?;
        let explicit = opened.transfer_syntax == uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let fits = explicit == profile.explicit_vr;
        let syntax = &opened.transfer_syntax;
        found.unless(fits, DefectCode::TransferSyntax, &format!("transfer syntax {syntax} is not the profile's"));
        let set = structure_set(&opened, &object)?;
        let referring = decoded(&opened, tags::REFERRING_PHYSICIAN_NAME)?;
        Ok((object, set, referring))
    });
    match read {
        Ok((object, set, referring)) => {
            header(&object, &set, &referring, series, profile, &mut found);
            references(&object, &set, series, &mut found);
            numbering(&object, &mut found);
            for roi in &set.rois {
                region(roi, &object, series, expected, profile, &mut found);
            }
            lengths(&object, &mut found);
        }
        Err(refusal) => found.add(DefectCode::Unreadable, refusal.to_string()),
    }
    found.0
}

struct Found(Vec<Defect>);

impl Found {
    fn add(&mut self, code: DefectCode, message: impl Into<String>) {
        self.0.push(Defect { code, message: message.into() });
    }

    fn unless(&mut self, good: bool, code: DefectCode, message: &str) {
        if !good {
            self.add(code, message);
        }
    }
}

fn header(
    object: &InMemDicomObject,
    set: &StructureSet,
    referring: &str,
    series: &Series,
    profile: &Profile,
    found: &mut Found,
) {
    use DefectCode::*;
    let p = &series.attributes.patient;
    let h = &set.header;
    found.unless(h.patient_id == p.patient_id, WrongPatient, "Patient ID differs from the series'");
    found.unless(h.patient_name == p.patient_name, WrongPatient, "Patient's Name differs from the series'");
    found.unless(h.study == p.study, WrongPatient, "Study Instance UID differs from the series'");
    let same = |tag: Tag, value: &str| text(object, tag) == value;
    let own_id = p.study_id.reveal();
    let study_id = profile.study_id_if_empty.as_deref().filter(|_| own_id.is_empty()).unwrap_or(own_id);
    found.unless(same(tags::STUDY_ID, study_id), WrongPatient, "Study ID differs from the series'");
    found.unless(referring == p.referring_physician.reveal(), WrongPatient, "Referring Physician differs");
    found.unless(h.series != series.attributes.series, SeriesReused, "the structure set lies in its images' series");
    found.unless(
        h.frame.as_ref() == Some(series.frame()),
        WrongFrame,
        "Frame of Reference UID differs from the series'",
    );
    let named = !h.manufacturer.is_empty() && !h.model_name.is_empty();
    found.unless(named, EmptyManufacturer, "Manufacturer and Manufacturer's Model Name must say who made this");
    let label = set.label.chars().count();
    found.unless((1..=16).contains(&label), LabelLength, "Structure Set Label needs 1 to 16 characters");
    found.unless(set.approval == "UNAPPROVED", Approval, "what no person has reviewed must be UNAPPROVED");
    found.unless(!set.rois.is_empty(), NoRegions, "there is no region");
}

fn references(object: &InMemDicomObject, set: &StructureSet, series: &Series, found: &mut Found) {
    use DefectCode::*;
    let frames = items(object, tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE).len();
    if frames != 1 {
        let message = format!("Referenced Frame of Reference Sequence has {frames} items instead of one");
        found.add(NoReferencedFrame, message);
        return;
    }
    let frame = set.referenced_frame.as_ref() == Some(series.frame());
    found.unless(frame, WrongFrame, "the referenced frame of reference is not the series'");
    let study = set.referenced_study.as_ref() == Some(&series.attributes.patient.study);
    found.unless(study, WrongReference, "the referenced study is not the series'");
    let own = set.referenced_series.as_ref() == Some(&series.attributes.series);
    found.unless(own, WrongReference, "the referenced series is not the one contoured");
    let wanted: Vec<_> = series.slices.iter().map(|s| &s.instance).collect();
    let given: Vec<_> = set.referenced_images.iter().collect();
    let (wanted_set, given_set): (HashSet<_>, HashSet<_>) = (wanted.iter().collect(), given.iter().collect());
    for missing in wanted_set.difference(&given_set) {
        found.add(SliceNotReferenced, format!("slice {missing} is not referred to"));
    }
    for foreign in given_set.difference(&wanted_set) {
        found.add(ForeignImage, format!("image {foreign} is not in the series"));
    }
    let ordered = wanted == given || wanted_set != given_set;
    found.unless(ordered, SliceOrder, "the slices are not referred to in geometric order, each once");
}

/// Numbers are unique, and refer to something.
fn numbering(object: &InMemDicomObject, found: &mut Found) {
    let list = |sequence, tag| items(object, sequence).iter().map(|o| text(o, tag)).collect::<Vec<_>>();
    let rois = list(tags::STRUCTURE_SET_ROI_SEQUENCE, tags::ROI_NUMBER);
    let drawn = list(tags::ROI_CONTOUR_SEQUENCE, tags::REFERENCED_ROI_NUMBER);
    let observed = list(tags::RTROI_OBSERVATIONS_SEQUENCE, tags::REFERENCED_ROI_NUMBER);
    let observations = list(tags::RTROI_OBSERVATIONS_SEQUENCE, tags::OBSERVATION_NUMBER);
    let mut unique = |numbers: &[String], what: &str| {
        let mut seen = HashSet::new();
        for number in numbers.iter().filter(|n| !seen.insert(n.as_str())) {
            found.add(DefectCode::NumberTwice, format!("{what} {number} stands twice"));
        }
    };
    unique(&rois, "ROI Number");
    unique(&drawn, "contours of ROI");
    unique(&observations, "Observation Number");
    for item in items(object, tags::ROI_CONTOUR_SEQUENCE) {
        let numbers = items(item, tags::CONTOUR_SEQUENCE).iter().map(|o| text(o, tags::CONTOUR_NUMBER));
        unique(&numbers.filter(|n| !n.is_empty()).collect::<Vec<_>>(), "Contour Number");
    }
    for number in drawn.iter().chain(&observed).filter(|n| !rois.contains(n)) {
        found.add(DefectCode::DanglingRoi, format!("Referenced ROI Number {number:?} is no region"));
    }
    for number in &rois {
        let count = observed.iter().filter(|n| *n == number).count();
        if count != 1 {
            found.add(DefectCode::RoiObservations, format!("ROI {number} has {count} observations instead of one"));
        }
    }
}

fn region(
    roi: &ReadRoi,
    object: &InMemDicomObject,
    series: &Series,
    expected: &[RoiIdentity],
    profile: &Profile,
    found: &mut Found,
) {
    use DefectCode::*;
    let name = &roi.name;
    let twice = items(object, tags::STRUCTURE_SET_ROI_SEQUENCE).iter().filter(|o| text(o, tags::ROI_NAME) == *name);
    found.unless(twice.count() < 2, RoiName, &format!("two regions are called {name:?}"));
    let (length, most) = (name.chars().count(), profile.name_characters);
    found.unless(length <= most, RoiName, &format!("{name:?} has {length} characters, {most} are allowed"));
    match expected.iter().find(|roi| roi.name == *name) {
        None => found.add(RoiName, format!("{name:?} is no structure that was to be written")),
        Some(wanted) => {
            let pair = |c: crate::anatomy::Code| (c.value.to_owned(), c.scheme.to_owned());
            let coded = wanted.structure.filter(|_| profile.codes);
            let fits = roi.code == coded.map(|s| pair(s.code()))
                && roi.laterality == coded.and_then(|s| s.laterality_code()).map(pair)
                && roi.colour == Some(wanted.colour);
            found.unless(fits, RoiCode, &format!("code, laterality or colour of {name} are not {name}'s"));
            let (kind, term) = (roi.interpreted_type.as_deref(), wanted.kind.term());
            if let Some(kind) = kind.filter(|kind| *kind != term) {
                found.add(InterpretedType, format!("{name} is of type {kind:?} instead of {term}"));
            }
        }
    }
    found.unless(
        roi.algorithm == "AUTOMATIC",
        Algorithm,
        &format!("{name} does not say that it was made automatically"),
    );
    found.unless(
        roi.frame.as_ref() == Some(series.frame()),
        WrongFrame,
        &format!("{name} is in another frame of reference than the series"),
    );
    let drawn = profile.empty_rois == EmptyRois::Declare || !roi.contours.is_empty();
    found.unless(drawn, RoiWithoutContours, &format!("{name} has no contour"));
    if let Some(most) = profile.max_points {
        let long = roi.contours.iter().map(|c| c.points.len()).filter(|points| *points > most).max();
        if let Some(points) = long {
            found.add(TooManyPoints, format!("{name} has a contour of {points} points, {most} are allowed"));
        }
    }
    for (n, contour) in roi.contours.iter().enumerate() {
        polygon(&format!("contour {} of {name}", n + 1), contour, series, found);
    }
    crossings(roi, series, found);
}

/// No two contours on one image cross, nor one itself: a planning system would fill them as it likes.
fn crossings(roi: &ReadRoi, series: &Series, found: &mut Found) {
    // What is on no image of the series has been reported.
    let Ok(contours) = roi.plane_contours(series) else { return };
    let mut planes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, contour) in contours.iter().enumerate() {
        planes.entry(contour.slice).or_default().push(n);
    }
    for numbers in planes.values() {
        let polygons: Vec<&[[f64; 2]]> = numbers.iter().map(|n| contours[*n].points.as_slice()).collect();
        if let Some((a, b)) = crossing(&polygons) {
            let (name, a, b) = (&roi.name, numbers[a] + 1, numbers[b] + 1);
            let message = if a == b {
                format!("contour {a} of {name} crosses itself")
            } else {
                format!("contours {a} and {b} of {name} cross")
            };
            found.add(DefectCode::Crossing, message);
        }
    }
}

fn polygon(which: &str, contour: &ReadContour, series: &Series, found: &mut Found) {
    use DefectCode::*;
    let kind = &contour.geometric_type;
    found.unless(kind == "CLOSED_PLANAR", GeometricType, &format!("{which} is {kind:?} instead of CLOSED_PLANAR"));
    let (points, count) = (&contour.points, contour.points.len());
    if contour.declared_points != Some(count as i64) {
        found.add(PointCount, format!("{which} declares {:?} points and has {count}", contour.declared_points));
    }
    found.unless(count >= 3, TooFewPoints, &format!("{which} has only {count} points"));
    found.unless(
        count < 2 || points.first() != points.last(),
        RepeatedClosingPoint,
        &format!("{which} repeats its first point at its end"),
    );
    let doubled = points.windows(2).any(|pair| pair.first() == pair.last());
    found.unless(!doubled, RepeatedPoint, &format!("{which} repeats a point"));
    let [image] = contour.images.as_slice() else {
        found.add(ContourImage, format!("{which} refers to {} images instead of one", contour.images.len()));
        return;
    };
    match series.slices.iter().find(|s| s.instance == *image) {
        None => found.add(ForeignImage, format!("{which} refers to image {image}, which is not in the series")),
        Some(slice) => on_image(which, contour, slice, series, found),
    }
}

/// Every point lies on the plane of its image, and within its pixels.
fn on_image(which: &str, contour: &ReadContour, slice: &SliceRef, series: &Series, found: &mut Found) {
    let grid = series.volume.grid();
    let [across, down, normal] = grid.axes();
    let [dx, dy, _] = grid.spacing();
    let shape = grid.shape();
    let offsets: Vec<Vec3> = contour.points.iter().map(|p| *p - slice.position).collect();
    let off = offsets.iter().map(|d| normal.dot(*d).abs()).fold(0.0, f64::max);
    if off > PLANE_TOLERANCE {
        found.add(DefectCode::OffPlane, format!("{which} lies up to {off:.3} mm off the plane of its image"));
    }
    // Half a pixel around the outermost centres, and the rounding of the coordinates.
    let within = |v: f64, extent: usize| (-0.51..=extent as f64 - 0.49).contains(&v);
    let inside =
        offsets.iter().all(|d| within(across.dot(*d) / dx, shape.cols) && within(down.dot(*d) / dy, shape.rows));
    found.unless(inside, DefectCode::OutsideImage, &format!("{which} leaves its image"));
}

/// Lengths that some receivers cannot take.
fn lengths(object: &InMemDicomObject, found: &mut Found) {
    for drawn in items(object, tags::ROI_CONTOUR_SEQUENCE) {
        let number = text(drawn, tags::REFERENCED_ROI_NUMBER);
        for contour in items(drawn, tags::CONTOUR_SEQUENCE) {
            let values = texts(contour, tags::CONTOUR_DATA);
            if let Some(long) = values.iter().find(|v| v.len() > 16) {
                found.add(
                    DefectCode::NumberLength,
                    format!("ROI {number} has a coordinate of {} characters", long.len()),
                );
            }
            let length = values.iter().map(|v| v.len() + 1).sum::<usize>();
            if length > MAX_CONTOUR_DATA {
                let message = format!(
                    "a contour of ROI {number} takes {length} bytes; more than {MAX_CONTOUR_DATA} cannot be sent"
                );
                found.add(DefectCode::ContourDataLength, message);
            }
        }
    }
}
