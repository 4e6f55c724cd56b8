//! An RT Structure Set as a receiver sees it.

use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::super::header::header_of;
use super::super::part10::{self, Opened};
use super::super::refusal::{Refusal, RefusalCode};
use super::super::values::{decoded, integer, invalid, items, missing, numbers, tag_name, text, texts};
use super::super::{InstanceHeader, Series, SliceRef};
use super::RT_STRUCTURE_SET_STORAGE;
use crate::contour::PlaneContour;
use crate::geometry::{Grid, Lps};
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid, StudyUid};

/// One contour, in patient space.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadContour {
    /// Contour Geometric Type, for example `CLOSED_PLANAR`.
    pub geometric_type: String,
    /// Number of Contour Points as declared.
    pub declared_points: Option<i64>,
    /// The images the contour refers to.
    pub images: Vec<InstanceUid>,
    /// Its points.
    pub points: Vec<Lps>,
}

/// One region of interest: what the three sequences say under one ROI Number.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRoi {
    /// ROI Number.
    pub number: i64,
    /// ROI Name.
    pub name: String,
    /// ROI Description.
    pub description: String,
    /// ROI Volume, cm3.
    pub volume_cc: Option<f64>,
    /// ROI Generation Algorithm.
    pub algorithm: String,
    /// ROI Display Colour.
    pub colour: Option<[u8; 3]>,
    /// RT ROI Interpreted Type; `None` without an observation.
    pub interpreted_type: Option<String>,
    /// Code value and scheme of RT ROI Identification.
    pub code: Option<(String, String)>,
    /// Code value and scheme of the laterality modifier.
    pub laterality: Option<(String, String)>,
    /// Referenced Frame of Reference UID.
    pub frame: Option<FrameOfReferenceUid>,
    /// Its contours.
    pub contours: Vec<ReadContour>,
}

/// An RT Structure Set.
#[derive(Debug, Clone, PartialEq)]
pub struct StructureSet {
    /// The header.
    pub header: InstanceHeader,
    /// Structure Set Label.
    pub label: String,
    /// Structure Set Name.
    pub name: String,
    /// Structure Set Date (3006,0008) and Structure Set Time (3006,0009) as written; they sort by time.
    pub made: [String; 2],
    /// Approval Status.
    pub approval: String,
    /// Software Versions.
    pub software_versions: Vec<String>,
    /// Frame, study and series that it refers to.
    pub referenced_frame: Option<FrameOfReferenceUid>,
    /// Study that it refers to.
    pub referenced_study: Option<StudyUid>,
    /// Series that it refers to.
    pub referenced_series: Option<SeriesUid>,
    /// Every image of the series it refers to, in the file's order.
    pub referenced_images: Vec<InstanceUid>,
    /// The structure set it replaces.
    pub predecessor: Option<InstanceUid>,
    /// Its regions, in the order of Structure Set ROI Sequence.
    pub rois: Vec<ReadRoi>,
}

impl StructureSet {
    /// The region of a name, exactly as written.
    pub fn roi(&self, name: &str) -> Option<&ReadRoi> {
        self.rois.iter().find(|roi| roi.name == name)
    }
}

impl ReadRoi {
    /// The contours in voxels of the series' grid, for rasterising. A contour without a reference to its image is
    /// put on the nearest slice, if one is within half a slice.
    ///
    /// # Errors
    /// A contour that belongs to no slice of the series.
    pub fn plane_contours(&self, series: &Series) -> Result<Vec<PlaneContour>, Refusal> {
        self.contours.iter().map(|contour| self.plane_contour(contour, series)).collect()
    }

    fn plane_contour(&self, contour: &ReadContour, series: &Series) -> Result<PlaneContour, Refusal> {
        let grid = series.volume.grid();
        let (normal, dz) = (grid.axes()[2], grid.spacing()[2]);
        let nowhere = || {
            let message = format!("a contour of {} belongs to no slice of the series", self.name);
            Refusal::new(RefusalCode::StructureSet, message).with_tag(tag_name(tags::CONTOUR_IMAGE_SEQUENCE))
        };
        let found = match contour.images.first() {
            Some(image) => series.slices.iter().position(|s| s.instance == *image),
            None => contour.points.first().and_then(|p| {
                let off = |s: &SliceRef| normal.dot(*p - s.position).abs();
                let nearest = |(_, a): &(usize, &SliceRef), (_, b): &(usize, &SliceRef)| off(a).total_cmp(&off(b));
                series.slices.iter().enumerate().min_by(nearest).filter(|(_, s)| off(s) <= dz / 2.0).map(|(k, _)| k)
            }),
        };
        let slice = found.ok_or_else(nowhere)?;
        let origin = series.slices.get(slice).ok_or_else(nowhere)?.position;
        Ok(PlaneContour { slice, points: in_plane(contour, origin, grid) })
    }
}

/// The points of a contour as columns and rows of a slice whose first pixel's centre is `origin`.
pub(super) fn in_plane(contour: &ReadContour, origin: Lps, grid: &Grid) -> Vec<[f64; 2]> {
    let [across, down, _] = grid.axes();
    let [dx, dy, _] = grid.spacing();
    contour.points.iter().map(|p| [across.dot(*p - origin) / dx, down.dot(*p - origin) / dy]).collect()
}

/// Reads an RT Structure Set.
///
/// # Errors
/// Not DICOM, truncated, another kind of object, or values that are no numbers.
pub fn read_rtstruct(bytes: &[u8]) -> Result<StructureSet, Refusal> {
    let opened = part10::open(bytes)?;
    let object = opened.parse(None)?;
    structure_set(&opened, &object)
}

/// Reads a parsed object as an RT Structure Set.
pub(super) fn structure_set(opened: &Opened<'_>, object: &InMemDicomObject) -> Result<StructureSet, Refusal> {
    let header = header_of(opened, object)?;
    if header.sop_class != RT_STRUCTURE_SET_STORAGE {
        let message = format!("this is not an RT Structure Set but an object of SOP class {}", header.sop_class);
        return Err(Refusal::new(RefusalCode::StructureSet, message).with_tag(tag_name(tags::SOP_CLASS_UID)));
    }
    let of_frame = items(object, tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE).first();
    let of_study = of_frame.and_then(|o| items(o, tags::RT_REFERENCED_STUDY_SEQUENCE).first());
    let of_series = of_study.and_then(|o| items(o, tags::RT_REFERENCED_SERIES_SEQUENCE).first());
    let within = |o: Option<&InMemDicomObject>, tag| o.map(|o| text(o, tag)).unwrap_or_default();
    let predecessor = items(object, tags::PREDECESSOR_STRUCTURE_SET_SEQUENCE).first();
    Ok(StructureSet {
        label: decoded(opened, tags::STRUCTURE_SET_LABEL)?,
        name: decoded(opened, tags::STRUCTURE_SET_NAME)?,
        made: [tags::STRUCTURE_SET_DATE, tags::STRUCTURE_SET_TIME].map(|tag| text(object, tag)),
        approval: text(object, tags::APPROVAL_STATUS),
        software_versions: texts(object, tags::SOFTWARE_VERSIONS),
        referenced_frame: FrameOfReferenceUid::parse(&within(of_frame, tags::FRAME_OF_REFERENCE_UID)).ok(),
        referenced_study: StudyUid::parse(&within(of_study, tags::REFERENCED_SOP_INSTANCE_UID)).ok(),
        referenced_series: SeriesUid::parse(&within(of_series, tags::SERIES_INSTANCE_UID)).ok(),
        referenced_images: of_series.map(images).unwrap_or_default(),
        predecessor: predecessor.and_then(|o| InstanceUid::parse(&text(o, tags::REFERENCED_SOP_INSTANCE_UID)).ok()),
        rois: rois(object)?,
        header,
    })
}

/// The images that Contour Image Sequence refers to.
fn images(object: &InMemDicomObject) -> Vec<InstanceUid> {
    let references = items(object, tags::CONTOUR_IMAGE_SEQUENCE).iter();
    references.filter_map(|o| InstanceUid::parse(&text(o, tags::REFERENCED_SOP_INSTANCE_UID)).ok()).collect()
}

fn rois(object: &InMemDicomObject) -> Result<Vec<ReadRoi>, Refusal> {
    let with_number = |sequence, number: i64| {
        let refers = move |o: &&InMemDicomObject| integer(o, tags::REFERENCED_ROI_NUMBER).ok() == Some(Some(number));
        items(object, sequence).iter().filter(refers)
    };
    let mut rois = Vec::new();
    for item in items(object, tags::STRUCTURE_SET_ROI_SEQUENCE) {
        let number =
            integer(item, tags::ROI_NUMBER)?.ok_or_else(|| missing(tags::ROI_NUMBER, "regions need a number"))?;
        let mut contours = Vec::new();
        let mut colour = None;
        for drawn in with_number(tags::ROI_CONTOUR_SEQUENCE, number) {
            colour = colour.or(colour_of(drawn)?);
            for contour in items(drawn, tags::CONTOUR_SEQUENCE) {
                contours.push(read_contour(contour)?);
            }
        }
        let observed = with_number(tags::RTROI_OBSERVATIONS_SEQUENCE, number).next();
        let identified = observed.and_then(|o| items(o, tags::RTROI_IDENTIFICATION_CODE_SEQUENCE).first());
        let side = identified.and_then(|o| items(o, tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE).first());
        let code = |o: &InMemDicomObject| (text(o, tags::CODE_VALUE), text(o, tags::CODING_SCHEME_DESIGNATOR));
        rois.push(ReadRoi {
            number,
            name: text(item, tags::ROI_NAME),
            description: text(item, tags::ROI_DESCRIPTION),
            volume_cc: numbers(item, tags::ROI_VOLUME)?.and_then(|v| v.first().copied()),
            algorithm: text(item, tags::ROI_GENERATION_ALGORITHM),
            colour,
            interpreted_type: observed.map(|o| text(o, tags::RTROI_INTERPRETED_TYPE)),
            code: identified.map(code),
            laterality: side.map(code),
            frame: FrameOfReferenceUid::parse(&text(item, tags::REFERENCED_FRAME_OF_REFERENCE_UID)).ok(),
            contours,
        });
    }
    Ok(rois)
}

fn colour_of(drawn: &InMemDicomObject) -> Result<Option<[u8; 3]>, Refusal> {
    let Some(values) = numbers(drawn, tags::ROI_DISPLAY_COLOR)? else { return Ok(None) };
    let wrong = || {
        invalid(tags::ROI_DISPLAY_COLOR, &text(drawn, tags::ROI_DISPLAY_COLOR), "three numbers up to 255 are needed")
    };
    let rgb: [f64; 3] = values.try_into().map_err(|_| wrong())?;
    if rgb.iter().any(|v| !(0.0..=255.0).contains(v)) {
        return Err(wrong());
    }
    Ok(Some(rgb.map(|v| v as u8)))
}

fn read_contour(item: &InMemDicomObject) -> Result<ReadContour, Refusal> {
    let values = numbers(item, tags::CONTOUR_DATA)?.unwrap_or_default();
    if values.len() % 3 != 0 {
        let why = "points have three coordinates each";
        return Err(invalid(tags::CONTOUR_DATA, &format!("{} numbers", values.len()), why));
    }
    let point = |v: &[f64]| match *v {
        [x, y, z] => Some(Lps::new(x, y, z)),
        _ => None,
    };
    Ok(ReadContour {
        geometric_type: text(item, tags::CONTOUR_GEOMETRIC_TYPE),
        declared_points: integer(item, tags::NUMBER_OF_CONTOUR_POINTS)?,
        images: images(item),
        points: values.chunks_exact(3).filter_map(point).collect(),
    })
}
