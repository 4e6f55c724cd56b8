//! Masks to a Segmentation.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::super::build::{Builder, code_item, marked, reference_item};
use super::super::header::{MANUFACTURER, MODEL_NAME};
use super::super::rtstruct::software_versions;
use super::super::{
    DataError, EncodedInstance, Profile, RESEARCH_MARK, RoiIdentity, Series, StructureSetMeta, derived_series_number,
    part10,
};
use super::SEGMENTATION_STORAGE;
use crate::anatomy::{ANATOMICAL_STRUCTURE, Code, Structure};
use crate::geometry::Mask;
use crate::ids::{InstanceUid, SeriesUid};

/// A structure to be written.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    /// Which organ. Derived structures are for planning systems: they have no code of their own, which a segment needs.
    pub structure: Structure,
    /// As it is called at the destination.
    pub roi: RoiIdentity,
    /// On the grid of the series.
    pub mask: &'a Mask,
    /// Text beyond the research mark; may be empty.
    pub description: String,
}

const ARTIFICIAL_INTELLIGENCE: Code = Code { value: "123110", scheme: "DCM", meaning: "Artificial Intelligence" };
const SEGMENTATION: Code = Code { value: "113076", scheme: "DCM", meaning: "Segmentation" };
const SOURCE_IMAGE: Code =
    Code { value: "121322", scheme: "DCM", meaning: "Source image for image processing operation" };

/// Writes a binary Segmentation on the planes of `series`. Segments that are empty are left out; so are frames without
/// a pixel. The same input gives the same bytes.
///
/// # Errors
/// A mask on another grid, nothing to write, a value that does not fit.
pub fn write_segmentation(
    series: &Series,
    segments: &[Segment],
    meta: &StructureSetMeta,
    profile: &Profile,
) -> Result<EncodedInstance, DataError> {
    for segment in segments {
        segment.mask.same_grid(&series.volume)?;
    }
    let segments: Vec<&Segment> = segments.iter().filter(|s| !s.mask.is_empty()).collect();
    if segments.is_empty() {
        return Err(DataError::NothingToWrite);
    }
    let parts = meta.identity("segmentation", series, profile);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (instance, own_series) = (InstanceUid::derive(&parts), SeriesUid::derive(&parts));
    let frames = Frames::of(&segments);
    let a = &series.attributes;
    let mark = if meta.research { RESEARCH_MARK } else { "Draft, not reviewed" };
    let versions = software_versions(meta);

    let mut b = Builder::new();
    b.patient_study(&a.patient)
        .text(tags::SOP_CLASS_UID, VR::UI, SEGMENTATION_STORAGE)
        .text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str())
        .moment(tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME, meta.created)
        .texts(tags::IMAGE_TYPE, VR::CS, &["DERIVED", "PRIMARY"])
        .text(tags::MODALITY, VR::CS, "SEG")
        .text(tags::SERIES_INSTANCE_UID, VR::UI, own_series.as_str())
        .integers(tags::SERIES_NUMBER, &[derived_series_number(a.series_number, 9200)])
        .moment(tags::SERIES_DATE, tags::SERIES_TIME, meta.created)
        .moment(tags::CONTENT_DATE, tags::CONTENT_TIME, meta.created)
        .text(tags::SERIES_DESCRIPTION, VR::LO, mark)
        .text(tags::MANUFACTURER, VR::LO, MANUFACTURER)
        .text(tags::MANUFACTURER_MODEL_NAME, VR::LO, MODEL_NAME)
        .text(tags::DEVICE_SERIAL_NUMBER, VR::LO, "0")
        .texts(tags::SOFTWARE_VERSIONS, VR::LO, &versions)
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, series.frame().as_str())
        .text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, &a.position_reference_indicator)
        .integers(tags::INSTANCE_NUMBER, &[i64::from(meta.revision)])
        .text(tags::CONTENT_LABEL, VR::CS, if meta.research { "AI_RESEARCH" } else { "AI_CONTOURS" })
        .text(tags::CONTENT_DESCRIPTION, VR::LO, mark)
        .text(tags::CONTENT_CREATOR_NAME, VR::PN, "")
        .text(tags::SEGMENTATION_TYPE, VR::CS, "BINARY")
        .text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
    if let Some(study_id) = profile.study_id_if_empty.as_ref().filter(|_| a.patient.study_id.reveal().is_empty()) {
        b.text(tags::STUDY_ID, VR::SH, study_id);
    }
    let described: Result<Vec<_>, DataError> =
        (1..).zip(&segments).map(|(number, segment)| description(segment, number, mark, meta)).collect();
    b.sequence(tags::SEGMENT_SEQUENCE, described?);
    references(&mut b, series, &frames);
    let organisation = InstanceUid::derive(&[instance.as_str(), "dimensions"]);
    dimensions(&mut b, organisation.as_str());
    groups(&mut b, series, &frames)?;
    pixels(&mut b, series, &segments, &frames)?;
    let syntax = if profile.explicit_vr { uids::EXPLICIT_VR_LITTLE_ENDIAN } else { uids::IMPLICIT_VR_LITTLE_ENDIAN };
    part10::encode(&b.finish(), SEGMENTATION_STORAGE, instance, own_series, syntax)
}

/// Which segment (from 0) is on which slice, frame after frame; and the slices that are used, in geometric order.
struct Frames {
    list: Vec<(usize, usize)>,
    slices: Vec<usize>,
}

impl Frames {
    fn of(segments: &[&Segment]) -> Self {
        let mut list = Vec::new();
        for (n, segment) in segments.iter().enumerate() {
            let slices = 0..segment.mask.grid().shape().slices;
            list.extend(slices.filter(|k| segment.mask.slice(*k).contains(&true)).map(|k| (n, k)));
        }
        let mut slices: Vec<usize> = list.iter().map(|(_, k)| *k).collect();
        slices.sort_unstable();
        slices.dedup();
        Self { list, slices }
    }
}

/// An item of Segment Sequence.
fn description(
    segment: &Segment,
    number: u16,
    mark: &str,
    meta: &StructureSetMeta,
) -> Result<InMemDicomObject, DataError> {
    let mut kind = Builder::from(code_item(segment.structure.code()));
    if let Some(side) = segment.structure.laterality_code() {
        kind.code(tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, side);
    }
    let mut algorithm = Builder::new();
    algorithm
        .code(tags::ALGORITHM_FAMILY_CODE_SEQUENCE, ARTIFICIAL_INTELLIGENCE)
        .checked(tags::ALGORITHM_NAME, VR::LO, "AlgorithmName", &meta.model_name)?
        .checked(tags::ALGORITHM_VERSION, VR::LO, "AlgorithmVersion", &meta.model_digest)?;
    let mut b = Builder::new();
    b.short(tags::SEGMENT_NUMBER, number)
        .checked(tags::SEGMENT_LABEL, VR::LO, "SegmentLabel", &segment.roi.name)?
        .checked(tags::SEGMENT_DESCRIPTION, VR::ST, "SegmentDescription", &marked(mark, &segment.description))?
        .text(tags::SEGMENT_ALGORITHM_TYPE, VR::CS, "AUTOMATIC")
        .checked(tags::SEGMENT_ALGORITHM_NAME, VR::LO, "SegmentAlgorithmName", &meta.model_name)?
        .code(tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE, ANATOMICAL_STRUCTURE)
        .sequence(tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, vec![kind.finish()])
        .shorts(tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE, &cie_lab(segment.roi.colour))
        .sequence(tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE, vec![algorithm.finish()]);
    Ok(b.finish())
}

/// CIELab (D65) of a display colour as PS3.3 C.10.7.1.1 encodes it in 16 bits.
fn cie_lab(rgb: [u8; 3]) -> [u16; 3] {
    let linear = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    let [r, g, b] = linear;
    // sRGB to XYZ over the white point (IEC 61966-2-1).
    let x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505;
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089;
    let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let (l, a, b) = (116.0 * f(y) - 16.0, 500.0 * (f(x) - f(y)), 200.0 * (f(y) - f(z)));
    let word = |share: f64| (share.clamp(0.0, 1.0) * 65535.0).round() as u16;
    [word(l / 100.0), word((a + 128.0) / 255.0), word((b + 128.0) / 255.0)]
}

/// Common Instance Reference: the slices that frames lie on.
fn references(b: &mut Builder, series: &Series, frames: &Frames) {
    let used = frames.slices.iter().filter_map(|k| series.slices.get(*k));
    let items = used.map(|s| reference_item(&s.sop_class, s.instance.as_str())).collect();
    let mut of_series = Builder::new();
    of_series
        .text(tags::SERIES_INSTANCE_UID, VR::UI, series.attributes.series.as_str())
        .sequence(tags::REFERENCED_INSTANCE_SEQUENCE, items);
    b.sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![of_series.finish()]);
}

/// Frames are told apart by segment, then by position.
fn dimensions(b: &mut Builder, organisation: &str) {
    let mut own = Builder::new();
    own.text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organisation);
    let index = |pointer, group, label| {
        let mut item = Builder::new();
        item.text(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organisation)
            .pointer(tags::DIMENSION_INDEX_POINTER, pointer)
            .pointer(tags::FUNCTIONAL_GROUP_POINTER, group)
            .text(tags::DIMENSION_DESCRIPTION_LABEL, VR::LO, label);
        item.finish()
    };
    b.sequence(tags::DIMENSION_ORGANIZATION_SEQUENCE, vec![own.finish()]).sequence(
        tags::DIMENSION_INDEX_SEQUENCE,
        vec![
            index(tags::REFERENCED_SEGMENT_NUMBER, tags::SEGMENT_IDENTIFICATION_SEQUENCE, "Segment Number"),
            index(tags::IMAGE_POSITION_PATIENT, tags::PLANE_POSITION_SEQUENCE, "Image Position"),
        ],
    );
}

/// The functional groups: what all frames share, and what each has of its own.
fn groups(b: &mut Builder, series: &Series, frames: &Frames) -> Result<(), DataError> {
    let grid = series.volume.grid();
    let [across, down, _] = grid.axes();
    let [dx, dy, dz] = grid.spacing();
    let mut measures = Builder::new();
    measures
        .decimals(tags::SLICE_THICKNESS, "SliceThickness", &[dz])?
        .decimals(tags::SPACING_BETWEEN_SLICES, "SpacingBetweenSlices", &[dz])?
        .decimals(tags::PIXEL_SPACING, "PixelSpacing", &[dy, dx])?;
    let directions = [across.x, across.y, across.z, down.x, down.y, down.z];
    let mut orientation = Builder::new();
    orientation.decimals(tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient", &directions)?;
    let mut shared = Builder::new();
    shared
        .sequence(tags::PIXEL_MEASURES_SEQUENCE, vec![measures.finish()])
        .sequence(tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation.finish()]);
    b.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared.finish()]);

    let mut own = Vec::with_capacity(frames.list.len());
    for (segment, k) in &frames.list {
        let place = frames.slices.partition_point(|slice| slice < k) + 1;
        let Some(slice) = series.slices.get(*k) else { continue };
        let mut content = Builder::new();
        content.longs(tags::DIMENSION_INDEX_VALUES, &[*segment as u32 + 1, place as u32]);
        let mut position = Builder::new();
        position.decimals(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient", &slice.position.to_array())?;
        let mut identification = Builder::new();
        identification.short(tags::REFERENCED_SEGMENT_NUMBER, *segment as u16 + 1);
        let mut source = Builder::from(reference_item(&slice.sop_class, slice.instance.as_str()));
        source
            .text(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES")
            .code(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, SOURCE_IMAGE);
        let mut derivation = Builder::new();
        derivation
            .sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![source.finish()])
            .code(tags::DERIVATION_CODE_SEQUENCE, SEGMENTATION);
        let mut frame = Builder::new();
        frame
            .sequence(tags::FRAME_CONTENT_SEQUENCE, vec![content.finish()])
            .sequence(tags::PLANE_POSITION_SEQUENCE, vec![position.finish()])
            .sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation.finish()])
            .sequence(tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![identification.finish()]);
        own.push(frame.finish());
    }
    b.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, own);
    Ok(())
}

/// One bit a pixel, the first in the lowest bit, frames without a gap between them (PS3.5 section 8.2).
fn pixels(b: &mut Builder, series: &Series, segments: &[&Segment], frames: &Frames) -> Result<(), DataError> {
    let shape = series.volume.grid().shape();
    let side = |attribute, extent: usize| {
        let reason = "DICOM counts rows and columns in 16 bits";
        u16::try_from(extent).map_err(|_| DataError::Value { attribute, value: extent.to_string(), reason })
    };
    let mut words = vec![0u16; (frames.list.len() * shape.cols * shape.rows).div_ceil(16)];
    let lit = frames.list.iter().filter_map(|(n, k)| segments.get(*n).map(|s| s.mask.slice(*k)));
    for (bit, _) in lit.flatten().enumerate().filter(|(_, inside)| **inside) {
        if let Some(word) = words.get_mut(bit / 16) {
            *word |= 1 << (bit % 16);
        }
    }
    b.short(tags::SAMPLES_PER_PIXEL, 1)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .integers(tags::NUMBER_OF_FRAMES, &[frames.list.len() as i64])
        .short(tags::ROWS, side("Rows", shape.rows)?)
        .short(tags::COLUMNS, side("Columns", shape.cols)?)
        .short(tags::BITS_ALLOCATED, 1)
        .short(tags::BITS_STORED, 1)
        .short(tags::HIGH_BIT, 0)
        .short(tags::PIXEL_REPRESENTATION, 0)
        .pixels(words);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_cie_lab() {
        // Values of the standard's encoding: white is L 100, a and b zero (128 of 255).
        assert_eq!(cie_lab([255, 255, 255])[0], 65535);
        for ab in &cie_lab([255, 255, 255])[1..] {
            assert!(ab.abs_diff(32896) < 40, "{ab}");
        }
        assert_eq!(cie_lab([0, 0, 0])[0], 0);
        // Red is L 53.24, a 80.09, b 67.20.
        let [l, a, b] = cie_lab([255, 0, 0]).map(f64::from);
        assert!((l / 655.35 - 53.24).abs() < 0.1);
        assert!((a / 65535.0 * 255.0 - 128.0 - 80.09).abs() < 0.2);
        assert!((b / 65535.0 * 255.0 - 128.0 - 67.20).abs() < 0.2);
    }
}
