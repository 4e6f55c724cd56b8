//! The few attributes that decide what happens to an object on receipt, read without touching its pixels.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::attributes::Attributes;
use super::part10::{self, Opened};
use super::refusal::Refusal;
use super::values::{decoded, invalid, missing, numbers, text};
use crate::geometry::Vec3;
use crate::ids::{FrameOfReferenceUid, IdError, InstanceUid, Phi, SeriesUid, StudyUid};

/// Manufacturer (0008,0070) of every object written here.
pub const MANUFACTURER: &str = "contourd";
/// Manufacturer's Model Name (0008,1090) of every object written here.
pub const MODEL_NAME: &str = "contourd auto-contouring";

/// What is known of an object before its pixels are looked at. Missing texts are empty.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceHeader {
    /// Study Instance UID.
    pub study: StudyUid,
    /// Series Instance UID.
    pub series: SeriesUid,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// Frame of Reference UID, where there is one.
    pub frame: Option<FrameOfReferenceUid>,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer syntax UID.
    pub transfer_syntax: String,
    /// Modality.
    pub modality: String,
    /// Series Description.
    pub series_description: String,
    /// Patient ID.
    pub patient_id: Phi<String>,
    /// Patient's Name.
    pub patient_name: Phi<String>,
    /// Manufacturer.
    pub manufacturer: String,
    /// Manufacturer's Model Name.
    pub model_name: String,
    /// Where its plane lies, for an image of a patient's space.
    pub plane: Option<PlaneOf>,
    /// Images in Acquisition, where it is a number above 0.
    pub announced: Option<i32>,
    /// Acquisition Number.
    pub acquisition: Option<i32>,
}

/// The plane of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneOf {
    /// Its normal (LPS), each component rounded to hundredths: the same for all images of one stack.
    pub normal: [f64; 3],
    /// Its distance from the origin along the unrounded normal, mm.
    pub place: f64,
}

/// The plane by Image Position and Image Orientation (Patient); `None` where they do not say one. What is wrong with them is
/// told when the series is assembled.
fn plane_of(object: &InMemDicomObject) -> Option<PlaneOf> {
    let numbers = |tag: Tag| numbers(object, tag).ok().flatten();
    let [x, y, z]: [f64; 3] = numbers(tags::IMAGE_POSITION_PATIENT)?.try_into().ok()?;
    let [a, b, c, d, e, f]: [f64; 6] = numbers(tags::IMAGE_ORIENTATION_PATIENT)?.try_into().ok()?;
    let normal = Vec3::new(a, b, c).cross(Vec3::new(d, e, f));
    let place = normal.dot(Vec3::new(x, y, z));
    // Adding 0 makes a negative zero a positive one.
    Some(PlaneOf { normal: normal.to_array().map(|n| (n * 100.0).round() / 100.0 + 0.0), place })
}

/// Reads the header of a Part 10 file (with or without preamble); stops before the pixel data.
///
/// # Errors
/// A refusal for what is not DICOM, is truncated, or lacks study, series or instance UID.
pub fn read_header(bytes: &[u8]) -> Result<InstanceHeader, Refusal> {
    let opened = part10::open(bytes)?;
    let object = opened.parse(Some(tags::PIXEL_DATA))?;
    header_of(&opened, &object)
}

/// An object as it is received, as far as its header goes.
#[derive(Debug, Clone)]
pub struct ReceivedHeader {
    /// What decides what happens to it.
    pub header: InstanceHeader,
    /// The attributes that were asked for.
    pub attributes: Attributes,
    /// What is wrong behind its header.
    pub damage: Option<Refusal>,
}

/// The header of an object as it is received, and its attributes of the tags `wanted`. Where the object is cut short or
/// damaged behind its header, the damage comes beside it: the header names the series that the refusal belongs to, and
/// nothing more may be done with it. A deflated data set may inflate to `max_bytes`.
///
/// # Errors
/// A refusal for what is not DICOM, is too large, or does not name study, series and instance before its damage.
pub fn read_received(bytes: &[u8], max_bytes: usize, wanted: &[Tag]) -> Result<ReceivedHeader, Refusal> {
    received(part10::open_until_damage(bytes, max_bytes)?, wanted)
}

/// As [`read_received`], of a data set as it came over the network, in this transfer syntax.
///
/// # Errors
/// As [`read_received`].
pub fn read_received_dataset(
    transfer_syntax: &str,
    dataset: &[u8],
    max_bytes: usize,
    wanted: &[Tag],
) -> Result<ReceivedHeader, Refusal> {
    received(part10::open_dataset(transfer_syntax.to_owned(), dataset, max_bytes)?, wanted)
}

fn received((opened, damage): (Opened<'_>, Option<Refusal>), wanted: &[Tag]) -> Result<ReceivedHeader, Refusal> {
    let read = opened.parse(Some(tags::PIXEL_DATA)).and_then(|object| {
        let header = header_of(&opened, &object)?;
        Ok((header, Attributes::read(&opened, &object, wanted)))
    });
    match read {
        Ok((header, attributes)) => Ok(ReceivedHeader { header, attributes, damage }),
        Err(unnamed) => Err(damage.unwrap_or(unnamed)),
    }
}

/// As [`read_received`], without other attributes.
///
/// # Errors
/// As [`read_received`].
pub fn read_received_header(bytes: &[u8], max_bytes: usize) -> Result<(InstanceHeader, Option<Refusal>), Refusal> {
    let read = read_received(bytes, max_bytes, &[])?;
    Ok((read.header, read.damage))
}

/// The header of a parsed object.
pub(super) fn header_of(opened: &Opened<'_>, object: &InMemDicomObject) -> Result<InstanceHeader, Refusal> {
    let why = "without it the object belongs nowhere; export it again from the scanner or the archive";
    let instance =
        uid(object, tags::SOP_INSTANCE_UID, InstanceUid::parse)?.ok_or_else(|| missing(tags::SOP_INSTANCE_UID, why))?;
    let named = |refusal: Refusal| refusal.with_instance(instance.clone());
    let study = uid(object, tags::STUDY_INSTANCE_UID, StudyUid::parse).map_err(named)?;
    let series = uid(object, tags::SERIES_INSTANCE_UID, SeriesUid::parse).map_err(named)?;
    let frame = uid(object, tags::FRAME_OF_REFERENCE_UID, FrameOfReferenceUid::parse).map_err(named)?;
    let sop_class = text(object, tags::SOP_CLASS_UID);
    if sop_class.is_empty() {
        return Err(named(missing(tags::SOP_CLASS_UID, why)));
    }
    let reading = |tag| decoded(opened, tag).map_err(named);
    Ok(InstanceHeader {
        study: study.ok_or_else(|| named(missing(tags::STUDY_INSTANCE_UID, why)))?,
        series: series.ok_or_else(|| named(missing(tags::SERIES_INSTANCE_UID, why)))?,
        frame,
        sop_class,
        transfer_syntax: opened.transfer_syntax.clone(),
        modality: text(object, tags::MODALITY),
        series_description: reading(tags::SERIES_DESCRIPTION)?,
        patient_id: Phi::new(reading(tags::PATIENT_ID)?),
        patient_name: Phi::new(reading(tags::PATIENT_NAME)?),
        manufacturer: reading(tags::MANUFACTURER)?,
        model_name: reading(tags::MANUFACTURER_MODEL_NAME)?,
        plane: plane_of(object),
        announced: text(object, tags::IMAGES_IN_ACQUISITION).parse().ok().filter(|n| *n > 0),
        acquisition: text(object, tags::ACQUISITION_NUMBER).parse().ok(),
        instance,
    })
}

/// A UID attribute; `None` for a missing or empty one.
pub(super) fn uid<U>(
    object: &InMemDicomObject,
    tag: Tag,
    parse: impl Fn(&str) -> Result<U, IdError>,
) -> Result<Option<U>, Refusal> {
    let value = text(object, tag);
    if value.is_empty() {
        return Ok(None);
    }
    parse(&value).map(Some).map_err(|_| invalid(tag, &value, "this is not a DICOM UID"))
}

/// Whether contourd itself made the object: a PACS that routes everything back must not start a loop.
pub fn is_own_object(header: &InstanceHeader) -> bool {
    header.manufacturer == MANUFACTURER && header.model_name == MODEL_NAME
}
