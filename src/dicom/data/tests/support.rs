//! Lopsided series for the tests of this room: oblique, anisotropic, non-square, off-centre, every voxel different.

use std::sync::Arc;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use time::macros::datetime;

use super::super::build::{Builder, trimmed};
use super::super::{
    DataError, Defect, EncodedInstance, MrAcquisition, MrSeriesAttributes, PatientStudy, Profile, RoiContours,
    RoiIdentity, Series, StructureSetMeta, assemble, parse_instances, part10, validate_rtstruct, write_mr_series,
    write_rtstruct,
};
use crate::anatomy::Structure;
use crate::contour::PlaneContour;
use crate::geometry::{Grid, Lps, Shape, Vec3, Volume};
use crate::ids::{FrameOfReferenceUid, InstanceUid, Phi, SeriesUid, StudyUid};

pub fn patient() -> PatientStudy {
    let phi = |s: &str| Phi::new(s.to_owned());
    PatientStudy {
        study: StudyUid::parse("1.2.840.99.1").unwrap(),
        patient_name: phi("Müller^Jörg"),
        patient_id: phi("0042"),
        issuer_of_patient_id: phi(""),
        birth_date: phi("19610203"),
        sex: "O".into(),
        age: phi("063Y"),
        size: phi("1.74"),
        weight: phi("71"),
        study_date: "20250102".into(),
        study_time: "101112".into(),
        study_id: phi("7"),
        accession_number: phi("A1"),
        referring_physician: phi("Weiß^Anna"),
        study_description: "Head".into(),
    }
}

pub fn attributes() -> MrSeriesAttributes {
    MrSeriesAttributes {
        patient: patient(),
        series: SeriesUid::parse("1.2.840.99.2").unwrap(),
        series_number: 3,
        series_description: "T1 post".into(),
        image_type: vec!["ORIGINAL".into(), "PRIMARY".into(), "OTHER".into()],
        manufacturer: "Test".into(),
        model_name: "Scanner".into(),
        software_versions: vec!["1".into()],
        acquisition: MrAcquisition {
            scanning_sequence: vec!["GR".into(), "IR".into()],
            sequence_variant: vec!["SP".into(), "MP".into()],
            acquisition_type: "3D".into(),
            repetition_time: "2300".into(),
            echo_time: "2.98".into(),
            inversion_time: "900".into(),
            echo_train_length: "1".into(),
            patient_position: "HFS".into(),
            ..MrAcquisition::default()
        },
        lossy: false,
        position_reference_indicator: String::new(),
        created: datetime!(2025-03-04 05:06:07),
        derivation: None,
        sources: Vec::new(),
    }
}

pub fn frame() -> FrameOfReferenceUid {
    FrameOfReferenceUid::parse("1.2.840.99.3").unwrap()
}

/// 17 columns x 13 rows x 11 slices, 0.8 x 1.1 x 2.5 mm, turned by 20 degrees about x and a little about z.
pub fn oblique_grid() -> Arc<Grid> {
    let (s, c) = 20f64.to_radians().sin_cos();
    let (t, d) = 3f64.to_radians().sin_cos();
    let a = Vec3::new(d, t, 0.0);
    let b = Vec3::new(-t * c, d * c, s);
    let axes = [a, b, a.cross(b)];
    Arc::new(Grid::new(frame(), Shape::new(17, 13, 11), Lps::new(-31.25, 12.5, 88.125), axes, [0.8, 1.1, 2.5]).unwrap())
}

/// A sagittal acquisition: i posterior, j inferior, k to the left (what row x column gives).
pub fn sagittal_grid() -> Arc<Grid> {
    let axes = [Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-1.0, 0.0, 0.0)];
    Arc::new(Grid::new(frame(), Shape::new(20, 24, 14), Lps::new(31.0, -12.5, 88.0), axes, [0.9, 0.9, 1.2]).unwrap())
}

/// Whole numbers, different in every voxel.
pub fn volume(grid: Arc<Grid>) -> Volume<f32> {
    let n = grid.shape().voxels();
    Volume::new(grid, (0..n).map(|v| (v * 7 % 4001) as f32).collect()).unwrap()
}

pub fn encoded(grid: Arc<Grid>) -> Vec<EncodedInstance> {
    write_mr_series(&volume(grid), &attributes()).unwrap()
}

pub fn read_back(objects: &[EncodedInstance]) -> Series {
    let bytes: Vec<&[u8]> = objects.iter().map(|o| o.bytes.as_slice()).collect();
    assemble(parse_instances(&bytes).unwrap()).unwrap()
}

pub fn oblique_series() -> Series {
    read_back(&encoded(oblique_grid()))
}

/// Changes a file's data set.
pub fn edited(file: &[u8], edit: impl FnOnce(&mut InMemDicomObject)) -> Vec<u8> {
    let opened = part10::open(file).unwrap();
    let mut object = opened.parse(None).unwrap();
    edit(&mut object);
    let header = super::super::read_header(file).unwrap();
    let ts = opened.transfer_syntax.as_str();
    part10::encode(&object, &header.sop_class, header.instance, header.series, ts).unwrap().bytes
}

/// Sets one attribute of a file, or takes it out.
pub fn with(file: &[u8], tag: Tag, vr: VR, value: &str) -> Vec<u8> {
    edited(file, |o| {
        o.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    })
}

pub fn without(file: &[u8], tag: Tag) -> Vec<u8> {
    edited(file, |o| {
        o.remove_element(tag);
    })
}

/// An item of Registration Sequence: a frame of reference, and matrices with their types.
pub type Item<'a> = (&'a str, &'a [(&'a str, [f64; 16])]);

/// A Spatial Registration object of the patient that registers to `registered`.
pub fn registration(registered: &str, items: &[Item<'_>]) -> Vec<u8> {
    let matrix = |(kind, numbers): &(&str, [f64; 16])| {
        let mut b = Builder::new();
        let numbers = numbers.map(|v| trimmed(format!("{v:.10}")));
        b.texts(tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX, VR::DS, &numbers);
        b.text(tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX_TYPE, VR::CS, kind);
        b.finish()
    };
    let item = |(frame, matrices): &Item<'_>| {
        let mut by_matrix = Builder::new();
        by_matrix.sequence(tags::MATRIX_SEQUENCE, matrices.iter().map(matrix).collect());
        let mut b = Builder::new();
        b.sequence(tags::MATRIX_REGISTRATION_SEQUENCE, vec![by_matrix.finish()]);
        if !frame.is_empty() {
            b.text(tags::FRAME_OF_REFERENCE_UID, VR::UI, frame);
        }
        b.finish()
    };
    let (instance, series) = (InstanceUid::parse("1.2.840.99.8.1").unwrap(), SeriesUid::parse("1.2.840.99.8").unwrap());
    let class = uids::SPATIAL_REGISTRATION_STORAGE;
    let mut b = Builder::new();
    b.patient_study(&patient())
        .text(tags::SOP_CLASS_UID, VR::UI, class)
        .text(tags::SOP_INSTANCE_UID, VR::UI, instance.as_str())
        .text(tags::SERIES_INSTANCE_UID, VR::UI, series.as_str())
        .text(tags::MODALITY, VR::CS, "REG")
        .text(tags::FRAME_OF_REFERENCE_UID, VR::UI, registered)
        .moment(tags::CONTENT_DATE, tags::CONTENT_TIME, datetime!(2025-03-05 06:07:08))
        .sequence(tags::REGISTRATION_SEQUENCE, items.iter().map(item).collect());
    part10::encode(&b.finish(), class, instance, series, uids::IMPLICIT_VR_LITTLE_ENDIAN).unwrap().bytes
}

/// Three structures, each an L on a few slices; the left eye in two pieces on one slice.
pub fn rois() -> Vec<RoiContours> {
    let l = |slice, x: f64, y: f64| PlaneContour {
        slice,
        points: [[0.0, 0.0], [5.0, 0.0], [5.0, 1.5], [2.0, 1.5], [2.0, 4.25], [0.0, 4.25]]
            .map(|[i, j]| [i + x, j + y])
            .to_vec(),
    };
    let roi = |structure: Structure, contours| RoiContours {
        roi: structure.into(),
        contours,
        volume_cc: 0.1234567,
        description: "flag".into(),
    };
    vec![
        roi(Structure::Eye_L, vec![l(2, 0.5, 0.5), l(3, 0.5, 0.5), l(3, 9.5, 6.5)]),
        roi(Structure::OpticChiasm, vec![l(5, 3.25, 6.0)]),
        roi(Structure::Lens_R, Vec::new()),
        roi(Structure::Brain, vec![l(9, 7.0, 2.0), l(10, 8.0, 2.5)]),
    ]
}

/// A structure set for a generic destination.
pub fn written(series: &Series, rois: &[RoiContours], meta: &StructureSetMeta) -> Result<EncodedInstance, DataError> {
    write_rtstruct(series, rois, meta, &Profile::generic())
}

/// Every organ.
pub fn expected() -> Vec<RoiIdentity> {
    Structure::ALL.into_iter().map(RoiIdentity::from).collect()
}

/// The defects of a structure set of organs for a generic destination.
pub fn defects(bytes: &[u8], series: &Series) -> Vec<Defect> {
    validate_rtstruct(bytes, series, &expected(), &Profile::generic())
}

pub fn meta() -> StructureSetMeta {
    StructureSetMeta {
        label: "HEAD".into(),
        research: true,
        model_name: "demo".into(),
        model_digest: crate::ids::sha256_hex(b"model"),
        config_digest: crate::ids::sha256_hex(b"config"),
        revision: 1,
        predecessor: None,
        carried: None,
        created: datetime!(2025-03-04 05:06:07),
    }
}
