//! Classic MR Image Storage.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use rayon::prelude::*;
use time::PrimitiveDateTime;

use super::build::{Builder, legal, reference_item};
use super::{DataError, EncodedInstance, MrAcquisition, PatientStudy, SliceRef, part10};
use crate::geometry::Volume;
use crate::ids::{InstanceUid, SeriesUid};

/// What a written MR series says besides its pixels and their place.
#[derive(Debug, Clone, PartialEq)]
pub struct MrSeriesAttributes {
    /// Patient and study.
    pub patient: PatientStudy,
    /// Series Instance UID; SOP Instance UIDs are derived from it, the grid and the slice number.
    pub series: SeriesUid,
    /// Series Number.
    pub series_number: i64,
    /// Series Description, at most 64 characters.
    pub series_description: String,
    /// Image Type, for example `ORIGINAL`, `PRIMARY`, `OTHER`.
    pub image_type: Vec<String>,
    /// Manufacturer.
    pub manufacturer: String,
    /// Manufacturer's Model Name.
    pub model_name: String,
    /// Software Versions.
    pub software_versions: Vec<String>,
    /// Sequence parameters.
    pub acquisition: MrAcquisition,
    /// The pixels were once compressed with loss: said for ever (Lossy Image Compression, PS3.3 C.7.6.1.1.5).
    pub lossy: bool,
    /// Position Reference Indicator.
    pub position_reference_indicator: String,
    /// Series, acquisition and creation time.
    pub created: PrimitiveDateTime,
    /// For a derived series: how it was made.
    pub derivation: Option<String>,
    /// For a derived series: the slices it was made from.
    pub sources: Vec<SliceRef>,
}

/// Writes a volume as classic MR images, one a slice in the order of k, 16 bit unsigned or signed, implicit VR little
/// endian (the one syntax that every receiver takes, PS3.5 section 10.1). Values are rounded to integers; a volume whose
/// values do not fit 16 bits, or span fewer than 256 steps without being integers, is scaled first (MR intensities have
/// no unit).
///
/// # Errors
/// A value that does not fit its attribute, or a value that is not finite.
pub fn write_mr_series(volume: &Volume<f32>, attrs: &MrSeriesAttributes) -> Result<Vec<EncodedInstance>, DataError> {
    let scale = Scale::of(volume.data())?;
    let window = window(volume.data(), scale.factor);
    let common = common(volume, attrs, &scale, window)?;
    (0..volume.grid().shape().slices).into_par_iter().map(|k| slice(volume, attrs, &common, &scale, k)).collect()
}

/// How values become 16-bit integers.
struct Scale {
    factor: f32,
    signed: bool,
}

impl Scale {
    fn of(values: &[f32]) -> Result<Self, DataError> {
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            let reason = "a pixel must be a finite number";
            return Err(DataError::Value { attribute: "PixelData", value: value.to_string(), reason });
        }
        let (low, high) = values.iter().fold((0f32, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
        let signed = low < 0.0;
        let limit = if signed { 32767.0 } else { 65535.0 };
        let largest = high.max(-low);
        let fine = high - low >= 256.0 || values.iter().all(|v| v.fract() == 0.0);
        let factor = if largest > 0.0 && (largest > limit || !fine) { 4095.0 / largest } else { 1.0 };
        Ok(Self { factor, signed })
    }

    /// The word of a value, signed ones in two's complement.
    fn word(&self, value: f32) -> u16 {
        let rounded = (value * self.factor).round();
        if self.signed { rounded as i16 as u16 } else { rounded as u16 }
    }
}

/// Centre and width of a window from zero (or the smallest value) to the 99.5 % quantile of what is brighter.
fn window(values: &[f32], factor: f32) -> [f64; 2] {
    let mut bright: Vec<f32> = values.iter().copied().filter(|v| *v > 0.0).collect();
    let low = f64::from(values.iter().copied().fold(0f32, f32::min) * factor);
    if bright.is_empty() {
        return [low + 0.5, 1.0];
    }
    let n = (bright.len() - 1) * 995 / 1000;
    let high = f64::from(*bright.select_nth_unstable_by(n, f32::total_cmp).1 * factor);
    let width = (high - low).round().max(1.0);
    [(low + width / 2.0).round(), width]
}

/// What all slices have in common.
fn common(
    volume: &Volume<f32>,
    attrs: &MrSeriesAttributes,
    scale: &Scale,
    window: [f64; 2],
) -> Result<InMemDicomObject, DataError> {
    let grid = volume.grid();
    let a = &attrs.acquisition;
    let mut b = Builder::new();
    b.patient_study(&attrs.patient)
        .text(tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE)
        .moment(tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME, attrs.created)
        .moment(tags::SERIES_DATE, tags::SERIES_TIME, attrs.created)
        .moment(tags::CONTENT_DATE, tags::CONTENT_TIME, attrs.created)
        .texts(tags::IMAGE_TYPE, VR::CS, &attrs.image_type)
        .text(tags::MODALITY, VR::CS, "MR")
        .text(tags::BODY_PART_EXAMINED, VR::CS, "HEAD")
        .checked(tags::MANUFACTURER, VR::LO, "Manufacturer", &attrs.manufacturer)?
        .checked(tags::MANUFACTURER_MODEL_NAME, VR::LO, "ManufacturerModelName", &attrs.model_name)?
        .checked(tags::SERIES_DESCRIPTION, VR::LO, "SeriesDescription", &attrs.series_description)?
        .texts(tags::SOFTWARE_VERSIONS, VR::LO, &attrs.software_versions)
        .text(tags::SERIES_INSTANCE_UID, VR::UI, attrs.series.as_str())
        .integers(tags::SERIES_NUMBER, &[attrs.series_number])
        .known(tags::PATIENT_POSITION, VR::CS, &a.patient_position)
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, grid.frame().as_str())
        .text(tags::POSITION_REFERENCE_INDICATOR, VR::LO, &attrs.position_reference_indicator)
        .optional(tags::CONTRAST_BOLUS_AGENT, VR::LO, &a.contrast_agent)
        .texts(tags::SCANNING_SEQUENCE, VR::CS, &codes(&a.scanning_sequence, Some("RM")))
        .texts(tags::SEQUENCE_VARIANT, VR::CS, &codes(&a.sequence_variant, Some("NONE")))
        .texts(tags::SCAN_OPTIONS, VR::CS, &codes(&a.scan_options, None))
        .known(tags::MR_ACQUISITION_TYPE, VR::CS, &a.acquisition_type)
        .known(tags::REPETITION_TIME, VR::DS, &a.repetition_time)
        .known(tags::ECHO_TIME, VR::DS, &a.echo_time)
        .known(tags::ECHO_TRAIN_LENGTH, VR::IS, &a.echo_train_length)
        .optional(tags::MAGNETIC_FIELD_STRENGTH, VR::DS, &a.field_strength)
        .optional(tags::FLIP_ANGLE, VR::DS, &a.flip_angle);
    // Allowed for inversion recovery only (PS3.3 C.8.3.1).
    if a.scanning_sequence.iter().any(|s| s == "IR") {
        b.known(tags::INVERSION_TIME, VR::DS, &a.inversion_time);
    }
    if attrs.lossy {
        b.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01");
    }
    if let Some(derivation) = &attrs.derivation {
        b.checked(tags::DERIVATION_DESCRIPTION, VR::ST, "DerivationDescription", derivation)?;
        let items = attrs.sources.iter().map(|s| reference_item(&s.sop_class, s.instance.as_str())).collect();
        b.sequence(tags::SOURCE_IMAGE_SEQUENCE, items);
    }
    let [across, down, _] = grid.axes();
    let directions = [across.x, across.y, across.z, down.x, down.y, down.z];
    let [dx, dy, dz] = grid.spacing();
    let shape = grid.shape();
    b.decimals(tags::IMAGE_ORIENTATION_PATIENT, "ImageOrientationPatient", &directions)?
        .decimals(tags::PIXEL_SPACING, "PixelSpacing", &[dy, dx])?
        .decimals(tags::SLICE_THICKNESS, "SliceThickness", &[dz])?
        .decimals(tags::SPACING_BETWEEN_SLICES, "SpacingBetweenSlices", &[dz])?
        .short(tags::SAMPLES_PER_PIXEL, 1)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2")
        .short(tags::ROWS, side("Rows", shape.rows)?)
        .short(tags::COLUMNS, side("Columns", shape.cols)?)
        .short(tags::BITS_ALLOCATED, 16)
        .short(tags::BITS_STORED, 16)
        .short(tags::HIGH_BIT, 15)
        .short(tags::PIXEL_REPRESENTATION, u16::from(scale.signed))
        .decimals(tags::WINDOW_CENTER, "WindowCenter", &window[..1])?
        .decimals(tags::WINDOW_WIDTH, "WindowWidth", &window[1..])?;
    Ok(b.finish())
}

fn side(attribute: &'static str, extent: usize) -> Result<u16, DataError> {
    let reason = "DICOM counts rows and columns in 16 bits";
    u16::try_from(extent).map_err(|_| DataError::Value { attribute, value: extent.to_string(), reason })
}

/// The legal code strings among some values; the default where the standard wants at least one.
fn codes(values: &[String], default: Option<&str>) -> Vec<String> {
    let mut kept: Vec<String> = values.iter().filter(|v| legal(VR::CS, v)).cloned().collect();
    if kept.is_empty() {
        kept.extend(default.map(str::to_owned));
    }
    kept
}

fn slice(
    volume: &Volume<f32>,
    attrs: &MrSeriesAttributes,
    common: &InMemDicomObject,
    scale: &Scale,
    k: usize,
) -> Result<EncodedInstance, DataError> {
    let grid = volume.grid();
    let instance = InstanceUid::derive(&[attrs.series.as_str(), &grid.id().to_string(), &k.to_string()]);
    let mut b = Builder::from(common.clone());
    b.text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str())
        .integers(tags::INSTANCE_NUMBER, &[k as i64 + 1])
        .decimals(tags::IMAGE_POSITION_PATIENT, "ImagePositionPatient", &grid.centre(0, 0, k).to_array())?
        .pixels(volume.slice(k).iter().map(|v| scale.word(*v)).collect());
    let series = attrs.series.clone();
    part10::encode(&b.finish(), uids::MR_IMAGE_STORAGE, instance, series, uids::IMPLICIT_VR_LITTLE_ENDIAN)
}

#[cfg(test)]
mod tests {
    use super::super::tests::support::{attributes, oblique_grid, read_back, sagittal_grid, volume};
    use super::*;
    use crate::ids::Phi;

    #[test]
    fn what_is_written_is_read_in_the_same_place() {
        for grid in [oblique_grid(), sagittal_grid()] {
            let source = volume(grid);
            let mut objects = write_mr_series(&source, &attributes()).unwrap();
            objects.rotate_left(4);
            objects.swap(0, 7);
            let series = read_back(&objects);
            assert_eq!(series.volume.data(), source.data());
            assert_eq!(series.volume.grid().shape(), source.grid().shape());
            for [i, j, k] in [[0, 0, 0], [5, 9, 3], [12, 3, 10]] {
                assert!(series.volume.grid().centre(i, j, k).distance(source.grid().centre(i, j, k)) < 1e-9);
            }
            assert_eq!(series.attributes.patient, attributes().patient);
            assert_eq!(series.attributes.acquisition, attributes().acquisition);
            // A little stack, and nothing odd about its kind.
            assert!(series.warnings.iter().all(|w| w.contains("few for a head") || w.contains(" mm only")));
        }
    }

    /// The values that a receiver reads.
    fn stored(values: impl Fn(usize) -> f32) -> Vec<f32> {
        let grid = oblique_grid();
        let n = grid.shape().voxels();
        let source = Volume::new(grid, (0..n).map(values).collect()).unwrap();
        read_back(&write_mr_series(&source, &attributes()).unwrap()).volume.data().to_vec()
    }

    #[test]
    fn values_keep_their_sign_and_proportions() {
        let signed = stored(|n| n as f32 - 900.0);
        assert_eq!((signed[0], signed[901]), (-900.0, 1.0));
        let large = stored(|n| n as f32 * 100.0); // up to 243,000: scaled to 4095
        assert_eq!((large[0], large[2430], large[1215]), (0.0, 4095.0, 2048.0));
        let small = stored(|n| n as f32 / 2430.0);
        assert_eq!((small[0], small[2430]), (0.0, 4095.0));
        let flags = stored(|n| (n % 2) as f32);
        assert_eq!((flags[0], flags[1]), (0.0, 1.0));
        assert!(stored(|_| 0.0).iter().all(|v| *v == 0.0));
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        let mut broken = volume(oblique_grid());
        broken.data_mut()[7] = f32::NAN;
        assert!(matches!(
            write_mr_series(&broken, &attributes()),
            Err(DataError::Value { attribute: "PixelData", .. })
        ));
        let long = MrSeriesAttributes { series_description: "x".repeat(65), ..attributes() };
        assert!(write_mr_series(&volume(oblique_grid()), &long).is_err());
    }

    #[test]
    fn what_a_scanner_wrote_wrongly_is_not_repeated() {
        let mut attrs = attributes();
        attrs.acquisition.echo_time = "2.980000000000000000001".into();
        attrs.acquisition.repetition_time = "about 2300".into();
        attrs.acquisition.scanning_sequence = vec!["gr".into()];
        attrs.patient.birth_date = Phi::new("1961-02-03".into());
        let series = read_back(&write_mr_series(&volume(oblique_grid()), &attrs).unwrap());
        let read = &series.attributes;
        assert_eq!((read.acquisition.echo_time.as_str(), read.acquisition.repetition_time.as_str()), ("", ""));
        assert_eq!(read.acquisition.scanning_sequence, ["RM"]);
        assert_eq!(read.patient.birth_date.reveal(), "");
    }
}
