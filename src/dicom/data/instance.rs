//! One classic MR image: header, place, decoded and rescaled pixels.

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use rayon::prelude::*;

use super::attributes::{Attributes, IMAGE_TAGS};
use super::header::{header_of, is_own_object, read_header};
use super::pixels::Image;
use super::refusal::{Refusal, RefusalCode, Refusals};
use super::values::{exactly, integer, invalid, missing, tag_name, text};
use super::{InstanceHeader, MrAcquisition, PatientStudy, kind, part10, pixels};
use crate::geometry::{Lps, Vec3};
use crate::ids::{FrameOfReferenceUid, InstanceUid};

/// One parsed classic MR image with decoded pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub(super) header: InstanceHeader,
    pub(super) frame: FrameOfReferenceUid,
    pub(super) patient: PatientStudy,
    pub(super) acquisition: MrAcquisition,
    /// What it says of how it was made.
    pub(super) says: Attributes,
    pub(super) series_number: Option<i64>,
    pub(super) position_reference_indicator: String,
    /// Image Position (Patient): the centre of the first pixel.
    pub(super) position: Lps,
    /// Image Orientation (Patient): directions of growing column and row number.
    pub(super) orientation: [Vec3; 2],
    /// mm between neighbouring columns, between neighbouring rows (Pixel Spacing has them the other way round).
    pub(super) spacing: [f64; 2],
    pub(super) image: Image,
    /// Images in Acquisition, where it is said.
    pub(super) announced: Option<i64>,
    /// What is odd about its kind.
    pub(super) remarks: Vec<String>,
}

impl Instance {
    /// The header.
    pub fn header(&self) -> &InstanceHeader {
        &self.header
    }

    /// SOP Instance UID.
    pub fn uid(&self) -> &InstanceUid {
        &self.header.instance
    }
}

/// Parses one Part 10 file (with or without preamble) that holds a classic MR image, and decodes its pixels.
///
/// # Errors
/// The first reason why it is not a usable MR image.
pub fn parse_instance(bytes: &[u8]) -> Result<Instance, Refusal> {
    parse(bytes, Wanted::Mr)
}

/// What an image is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To be contoured: classic MR.
    Mr,
    /// As the planes that contours lie on: classic CT, too.
    Planes,
    /// To plan on: classic CT.
    Ct,
}

impl Wanted {
    /// Whether objects of a SOP class are taken.
    pub fn takes(self, sop_class: &str) -> bool {
        match sop_class {
            uids::MR_IMAGE_STORAGE => self != Self::Ct,
            uids::CT_IMAGE_STORAGE => self != Self::Mr,
            _ => false,
        }
    }
}

fn parse(bytes: &[u8], wanted: Wanted) -> Result<Instance, Refusal> {
    let opened = part10::open(bytes)?;
    let object = opened.parse(None)?;
    let header = header_of(&opened, &object)?;
    let uid = header.instance.clone();
    read(&opened, object, header, wanted).map_err(|refusal| refusal.with_instance(uid))
}

fn read(
    opened: &part10::Opened<'_>,
    object: InMemDicomObject,
    header: InstanceHeader,
    wanted: Wanted,
) -> Result<Instance, Refusal> {
    check_kind(&header, wanted)?;
    let frame = header.frame.clone().ok_or_else(|| {
        missing(tags::FRAME_OF_REFERENCE_UID, "contours could not be tied to the patient; export the series again")
    })?;
    let place = "the slice has no place in the patient without it; send the original images, not secondary captures";
    let position = exactly::<3>(&object, tags::IMAGE_POSITION_PATIENT, place)?;
    if position.iter().any(|v| v.abs() > 1e5) {
        let value = text(&object, tags::IMAGE_POSITION_PATIENT);
        return Err(invalid(tags::IMAGE_POSITION_PATIENT, &value, "no patient is that far from the scanner's centre"));
    }
    let [px, py, pz] = position;
    let acquisition = MrAcquisition::read(opened, &object)?;
    // Planes may lie on any kind of image, and what was derived here is known.
    let judged = wanted == Wanted::Mr && !is_own_object(&header);
    let instance = Instance {
        frame,
        patient: PatientStudy::read(opened, header.study.clone())?,
        remarks: if judged { kind::check(&object, &acquisition)? } else { Vec::new() },
        announced: integer(&object, tags::IMAGES_IN_ACQUISITION).ok().flatten(),
        acquisition,
        says: Attributes::read(opened, &object, &IMAGE_TAGS),
        series_number: integer(&object, tags::SERIES_NUMBER).ok().flatten(),
        position_reference_indicator: text(&object, tags::POSITION_REFERENCE_INDICATOR),
        position: Lps::new(px, py, pz),
        orientation: orientation(&object, place)?,
        spacing: spacing(&object, place)?,
        image: pixels::decode(object, &header.transfer_syntax)?,
        header,
    };
    Ok(instance)
}

/// What is wanted and nothing else.
fn check_kind(header: &InstanceHeader, wanted: Wanted) -> Result<(), Refusal> {
    if wanted.takes(&header.sop_class) {
        return Ok(());
    }
    let mut others = Others::default();
    others.add(header);
    Err(others.refusal(wanted).with_tag(tag_name(tags::SOP_CLASS_UID)))
}

/// Objects that are no classic MR images: what kinds there are, for one sentence over all of them.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Kinds in words, and how many there are of each.
    kinds: BTreeMap<String, usize>,
    /// Some of them are enhanced MR objects.
    enhanced: bool,
}

impl Others {
    /// One more, by its header.
    pub fn add(&mut self, header: &InstanceHeader) {
        let modality = if header.modality.is_empty() { "unknown" } else { &header.modality };
        self.add_kind(&header.sop_class, format!("of modality {modality}"));
    }

    /// One more, of this kind in words.
    pub fn add_kind(&mut self, sop_class: &str, kind: String) {
        self.enhanced |= matches!(
            sop_class,
            uids::ENHANCED_MR_IMAGE_STORAGE
                | uids::ENHANCED_MR_COLOR_IMAGE_STORAGE
                | uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE
        );
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Kinds with their numbers, in words.
    pub fn in_words(&self) -> String {
        self.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
    }

    /// Why they are refused where there is nothing else: the same sentence for a folder and for what came over the network.
    pub fn refusal(&self, wanted: Wanted) -> Refusal {
        let kinds = self.in_words();
        if wanted == Wanted::Ct {
            let message = format!(
                "there are no classic CT images but {kinds}; contours are laid on classic CT images, one object a slice"
            );
            return Refusal::new(RefusalCode::NotMr, message);
        }
        if self.enhanced {
            let message = format!(
                "there are no classic MR images but other objects ({kinds}); export the enhanced MR series as classic MR \
                 images, one object a slice"
            );
            return Refusal::new(RefusalCode::EnhancedMr, message);
        }
        let message = format!("there are no MR images but {kinds}; contours are made on a T1 MR series only");
        Refusal::new(RefusalCode::NotMr, message)
    }
}

/// Tolerance on the length of a direction and on the right angle between two.
const DIRECTION_TOLERANCE: f64 = 1e-3;

fn orientation(object: &InMemDicomObject, why: &str) -> Result<[Vec3; 2], Refusal> {
    let tag = tags::IMAGE_ORIENTATION_PATIENT;
    let [a, b, c, d, e, f] = exactly::<6>(object, tag, why)?;
    let (row, column) = (Vec3::new(a, b, c), Vec3::new(d, e, f));
    let unit = |v: Vec3| (v.norm() - 1.0).abs() < DIRECTION_TOLERANCE;
    if !unit(row) || !unit(column) || row.dot(column).abs() >= DIRECTION_TOLERANCE {
        let why = "these are not two directions of length 1 at right angles";
        return Err(invalid(tag, &text(object, tag), why));
    }
    Ok([row, column])
}

/// mm between columns, between rows. Pixel Spacing gives the distance between rows first.
fn spacing(object: &InMemDicomObject, why: &str) -> Result<[f64; 2], Refusal> {
    let tag: Tag = tags::PIXEL_SPACING;
    let [between_rows, between_columns] = exactly::<2>(object, tag, why)?;
    if [between_rows, between_columns].iter().any(|s| !(0.01..=100.0).contains(s)) {
        return Err(invalid(tag, &text(object, tag), "an MR pixel measures between 0.01 and 100 mm"));
    }
    Ok([between_columns, between_rows])
}

/// Most voxels of a series, known from its headers before anything is decoded: as floats they take a gibibyte, and the
/// stages after need several times that. 256 slices of 1024 x 1024 pixels fit, four times what a fine head scan has.
pub(super) const MAX_VOXELS: usize = 1 << 28;

/// Rows times columns as the header declares them, 0 where it does not; whether they can be is for the parser to say.
fn declared_pixels(bytes: &[u8]) -> usize {
    let Ok(opened) = part10::open(bytes) else { return 0 };
    let side = |tag| match opened.raw(tag) {
        Some([low, high, ..]) => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    };
    side(tags::ROWS) * side(tags::COLUMNS)
}

/// Parses many files side by side.
///
/// # Errors
/// [`RefusalCode::TooLarge`] before anything is decoded, or the refusals of every file that is not a usable MR image.
pub fn parse_instances<B: AsRef<[u8]> + Sync>(files: &[B]) -> Result<Vec<Instance>, Refusals> {
    parse_all(files, Wanted::Mr)
}

/// As [`parse_instances`], for either use. Where no file is of the wanted kind, one refusal says so of them all.
pub(super) fn parse_all<B: AsRef<[u8]> + Sync>(files: &[B], wanted: Wanted) -> Result<Vec<Instance>, Refusals> {
    let voxels: usize = files.par_iter().map(|bytes| declared_pixels(bytes.as_ref())).sum();
    if voxels > MAX_VOXELS {
        let message = format!(
            "the images have {voxels} voxels together, more than the {MAX_VOXELS} that are read here; send one series of \
             one head"
        );
        return Err(Refusal::new(RefusalCode::TooLarge, message).into());
    }
    let parsed: Vec<_> = files.par_iter().map(|bytes| parse(bytes.as_ref(), wanted)).collect();
    let (mut instances, mut refusals) = (Vec::with_capacity(parsed.len()), Vec::new());
    for result in parsed {
        match result {
            Ok(instance) => instances.push(instance),
            Err(refusal) => refusals.push(refusal),
        }
    }
    let of_another_kind = |r: &Refusal| matches!(r.code, RefusalCode::NotMr | RefusalCode::EnhancedMr);
    if refusals.is_empty() {
        Ok(instances)
    } else if instances.is_empty() && refusals.iter().all(of_another_kind) {
        let mut others = Others::default();
        files.iter().flat_map(|bytes| read_header(bytes.as_ref())).for_each(|header| others.add(&header));
        Err(others.refusal(wanted).into())
    } else {
        Err(Refusals(refusals))
    }
}
