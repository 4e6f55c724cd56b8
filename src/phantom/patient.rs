//! DICOM patients for demonstrations and tests: a digital head with its truth, or a head image as an MR series.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use time::PrimitiveDateTime;
use time::macros::datetime;

use super::{Acquisition, Contrast, Head, HeadOptions, ImageOptions, PhantomError, VERSION, image, truth};
use crate::anatomy::Structure;
use crate::contour::{ContourConfig, contours_of};
use crate::dicom::data::{
    EncodedInstance, MrAcquisition, MrSeriesAttributes, PatientStudy, Profile, RoiContours, StructureSetMeta, assemble,
    parse_instances, write_mr_series, write_rtstruct,
};
use crate::geometry::Volume;
use crate::ids::{FrameOfReferenceUid, Phi, SeriesUid, StudyUid, sha256_hex};

/// Who made these series; never what contourd signs its own results with.
const MANUFACTURER: &str = "contourd project";
/// The frozen time of making: the same input gives the same bytes.
const CREATED: PrimitiveDateTime = datetime!(2026-01-01 12:00);

/// A synthetic patient to be made.
#[derive(Debug, Clone)]
pub struct PatientRecipe {
    /// Seed of head, image and names.
    pub seed: u64,
    /// Pose, missing eye, contrast.
    pub head: HeadOptions,
    /// How it is scanned.
    pub acquisition: Acquisition,
    /// Millimetres between columns, rows, slices, in the place of the acquisition's own.
    pub spacing: Option<[f64; 3]>,
}

/// What is true of one structure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthEntry {
    /// Whether the patient has it.
    pub present: bool,
    /// Volume in cm3 by fine integration, without any voxel grid ([`Head::volume_cc`]).
    pub analytic_cc: f64,
    /// Volume in cm3 of the voxels on the acquired grid.
    pub voxels_cc: f64,
}

/// A synthetic patient.
#[derive(Debug)]
pub struct SyntheticPatient {
    /// MR images.
    pub images: Vec<EncodedInstance>,
    /// The true structure set, on the planes of the images.
    pub structure_set: EncodedInstance,
    /// Volumes of every structure.
    pub truth: BTreeMap<Structure, TruthEntry>,
}

/// Makes a synthetic patient: a DICOM MR series and its true RT Structure Set. The same recipe gives the same bytes.
///
/// # Errors
/// [`PhantomError`]; a spacing that makes no grid is the only one that a caller can cause.
pub fn synthetic_patient(recipe: &PatientRecipe) -> Result<SyntheticPatient, PhantomError> {
    // Everything that makes a difference goes into the UIDs.
    let made = format!("phantom {VERSION} {recipe:?}");
    let patient = format!("phantom {VERSION} {} {:?}", recipe.seed, recipe.head);
    let head = Head::new(recipe.seed, &recipe.head);
    let frame = FrameOfReferenceUid::derive(&[&patient]);
    let grid = Arc::new(recipe.acquisition.grid(frame, &head.field_of_view(110.0), recipe.spacing)?);
    let volume = image(&head, &grid, &ImageOptions::draw(recipe.seed));
    let suppressed = head.contrast() == Contrast::GadoliniumFatSuppressed;
    let attributes = attributes(SeriesNames {
        study: StudyUid::derive(&[&patient]),
        series: SeriesUid::derive(&[&made]),
        patient_name: format!("PHANTOM^{}", recipe.seed),
        patient_id: format!("PHANTOM-{}", recipe.seed),
        study_description: "Synthetic patient".into(),
        series_description: format!("SYNTHETIC T1 {}", recipe.acquisition.name()),
        model_name: "phantom",
        contrast_agent: if head.contrast() == Contrast::Native { "" } else { "GADOLINIUM (SIMULATED)" },
        scan_options: if suppressed { vec!["FS".into()] } else { Vec::new() },
        acquisition: recipe.acquisition,
    });
    let images = write_mr_series(&volume, &attributes)?;
    drop(volume);
    let files: Vec<&[u8]> = images.iter().map(|i| i.bytes.as_slice()).collect();
    let series = assemble(parse_instances(&files)?)?;

    let mut rois = Vec::new();
    let mut entries = BTreeMap::new();
    for (structure, mask) in truth(&head, series.volume.grid()) {
        let analytic_cc = head.volume_cc(structure);
        entries.insert(structure, TruthEntry { present: head.has(structure), analytic_cc, voxels_cc: mask.cc() });
        if mask.is_empty() {
            continue;
        }
        let contours = contours_of(&mask, &ContourConfig { min_island_voxels: 1, ..ContourConfig::default() })?;
        let description = format!("Synthetic truth, {analytic_cc:.3} cm3 by integration");
        rois.push(RoiContours { roi: structure.into(), contours, volume_cc: mask.cc(), description });
    }
    let meta = StructureSetMeta {
        label: "PHANTOM TRUTH".into(),
        research: false,
        model_name: format!("phantom {VERSION}"),
        model_digest: sha256_hex(made.as_bytes()),
        config_digest: String::new(),
        revision: 1,
        predecessor: None,
        carried: None,
        created: CREATED,
    };
    let structure_set = write_rtstruct(&series, &rois, &meta, &Profile::generic())?;
    Ok(SyntheticPatient { images, structure_set, truth: entries })
}

/// Names of a demonstration series.
#[derive(Debug, Clone)]
pub struct DemoIdentity {
    /// Patient's Name.
    pub patient_name: String,
    /// Patient ID.
    pub patient_id: String,
    /// Digest of the image's file: the same file gives the same UIDs.
    pub image_sha256: String,
    /// Makes another patient, study, frame of reference and series of the same file.
    pub uid_salt: String,
}

impl DemoIdentity {
    /// Frame of reference of the image: shared by all its acquisitions.
    pub fn frame(&self) -> FrameOfReferenceUid {
        FrameOfReferenceUid::derive(&["demo", &self.image_sha256, &self.uid_salt])
    }
}

/// A head image (in [`DemoIdentity::frame`]) as the DICOM MR series of an acquisition. Claims no contrast agent.
///
/// # Errors
/// [`PhantomError::Geometry`] for a spacing that makes no grid, [`PhantomError::Dicom`] for names that DICOM cannot hold.
pub fn demo_series(
    head: &Volume<f32>,
    identity: &DemoIdentity,
    acquisition: Acquisition,
    spacing: Option<[f64; 3]>,
) -> Result<Vec<EncodedInstance>, PhantomError> {
    let volume = acquisition.acquire(head, spacing)?;
    let (sha, salt) = (identity.image_sha256.as_str(), identity.uid_salt.as_str());
    let attributes = attributes(SeriesNames {
        study: StudyUid::derive(&["demo", sha, salt]),
        series: SeriesUid::derive(&["demo", sha, salt, acquisition.name(), &volume.grid().id().to_string()]),
        patient_name: identity.patient_name.clone(),
        patient_id: identity.patient_id.clone(),
        study_description: "Demonstration".into(),
        series_description: format!("DEMO T1 {}", acquisition.name()),
        model_name: "demo-series",
        contrast_agent: "",
        scan_options: Vec::new(),
        acquisition,
    });
    Ok(write_mr_series(&volume, &attributes)?)
}

/// What tells one series from another; the rest is the same for all.
struct SeriesNames {
    study: StudyUid,
    series: SeriesUid,
    patient_name: String,
    patient_id: String,
    study_description: String,
    series_description: String,
    model_name: &'static str,
    contrast_agent: &'static str,
    scan_options: Vec<String>,
    acquisition: Acquisition,
}

fn attributes(names: SeriesNames) -> MrSeriesAttributes {
    let none = || Phi::new(String::new());
    MrSeriesAttributes {
        patient: PatientStudy {
            study: names.study,
            patient_name: Phi::new(names.patient_name),
            patient_id: Phi::new(names.patient_id),
            issuer_of_patient_id: none(),
            birth_date: none(),
            sex: "O".into(),
            age: none(),
            size: none(),
            weight: none(),
            study_date: "20260101".into(),
            study_time: "120000".into(),
            study_id: Phi::new("1".into()),
            accession_number: none(),
            referring_physician: none(),
            study_description: names.study_description,
        },
        series: names.series,
        series_number: 1 + names.acquisition as i64,
        series_description: names.series_description,
        image_type: ["DERIVED", "PRIMARY", "OTHER"].map(String::from).into(),
        manufacturer: MANUFACTURER.into(),
        model_name: names.model_name.into(),
        software_versions: vec![env!("CARGO_PKG_VERSION").into()],
        acquisition: MrAcquisition {
            scan_options: names.scan_options,
            acquisition_type: "3D".into(),
            contrast_agent: names.contrast_agent.into(),
            patient_position: names.acquisition.patient_position().into(),
            ..MrAcquisition::default()
        },
        lossy: false,
        position_reference_indicator: String::new(),
        created: CREATED,
        derivation: None,
        sources: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Spread;
    use super::*;
    use crate::anatomy::Side;
    use crate::dicom::data::{RoiIdentity, is_own_object, read_header, read_rtstruct, validate_rtstruct};
    use crate::geometry::{Grid, Lps, Shape};

    fn recipe(acquisition: Acquisition) -> PatientRecipe {
        PatientRecipe {
            seed: 7,
            head: HeadOptions { yaw: Spread::fixed(15.0), missing_eye: Some(Side::Right), ..HeadOptions::default() },
            acquisition,
            spacing: Some([1.5, 1.6, 2.0]),
        }
    }

    #[test]
    fn a_patient_reads_back_with_its_truth() {
        for acquisition in [Acquisition::Axial, Acquisition::Sagittal, Acquisition::FeetFirst] {
            let patient = synthetic_patient(&recipe(acquisition)).unwrap();
            let files: Vec<&[u8]> = patient.images.iter().map(|i| i.bytes.as_slice()).collect();
            let series = assemble(parse_instances(&files).unwrap()).unwrap();
            let header = read_header(files[0]).unwrap();
            let organs: Vec<RoiIdentity> = Structure::ALL.into_iter().map(RoiIdentity::from).collect();
            assert!(!is_own_object(&header), "a phantom must be taken for a patient's series");
            assert_eq!(validate_rtstruct(&patient.structure_set.bytes, &series, &organs, &Profile::generic()), []);
            let set = read_rtstruct(&patient.structure_set.bytes).unwrap();
            let names: Vec<&str> = set.rois.iter().map(|r| r.name.as_str()).collect();
            for structure in Structure::ALL {
                let entry = &patient.truth[&structure];
                assert_eq!(names.contains(&structure.name()), entry.present, "{}", structure.name());
                assert_eq!(entry.analytic_cc > 0.0, entry.present);
            }
            assert_eq!(names.len(), 9);
        }
    }

    #[test]
    fn the_same_recipe_gives_the_same_bytes() {
        let make = |acquisition| synthetic_patient(&recipe(acquisition)).unwrap();
        let (a, b, c) = (make(Acquisition::Coronal), make(Acquisition::Coronal), make(Acquisition::Oblique));
        assert_eq!(a.images, b.images);
        assert_eq!(a.structure_set, b.structure_set);
        assert_ne!(a.images[0].series, c.images[0].series);
    }

    #[test]
    fn a_demo_series_keeps_sides_and_changes_with_its_salt() {
        let identity = |salt: &str| DemoIdentity {
            patient_name: "DEMO^LOPSIDED".into(),
            patient_id: "DEMO".into(),
            image_sha256: "00".into(),
            uid_salt: salt.into(),
        };
        // Bright on the patient's left only.
        let id = identity("");
        let grid = Grid::axis_aligned(id.frame(), Shape::new(40, 50, 30), Lps::new(-20.0, -31.0, 5.0), [1.0; 3]);
        let mut head = Volume::filled(Arc::new(grid.unwrap()), 100.0f32);
        head.set(35, 10, 20, 4000.0);
        let bright = head.grid().centre(35, 10, 20);
        for acquisition in [Acquisition::Axial, Acquisition::Sagittal, Acquisition::Coronal, Acquisition::FeetFirst] {
            let images = demo_series(&head, &id, acquisition, None).unwrap();
            let files: Vec<&[u8]> = images.iter().map(|i| i.bytes.as_slice()).collect();
            let series = assemble(parse_instances(&files).unwrap()).unwrap();
            let v = &series.volume;
            let most = (0..v.data().len()).max_by(|a, b| v.data()[*a].total_cmp(&v.data()[*b])).unwrap();
            let [i, j, k] = v.voxel(most);
            assert!(v.grid().centre(i, j, k).distance(bright) < 1e-3, "{acquisition:?}");
            assert_eq!(series.attributes.acquisition.contrast_agent, "");
        }
        let uid = |salt: &str| demo_series(&head, &identity(salt), Acquisition::Axial, None).unwrap()[0].series.clone();
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
    }
}
