//! What several test modules need.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, Once, OnceLock};

use contourd::config::Config;
use contourd::dicom::data::{
    EncodedInstance, MrAcquisition, MrSeriesAttributes, PatientStudy, StructureSetMeta, part10_file, write_mr_series,
};
use contourd::geometry::Volume;
use contourd::ids::{InstanceUid, Phi, SeriesUid, StudyUid, sha256_hex};
use contourd::inference::Runtime;
use contourd::service::Recipe;
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use time::macros::datetime;

/// Names and numbers of the tests' patients. None may be in a log.
pub const PATIENTS: [&str; 6] = ["PHANTOM^", "PHANTOM-", "Doe^Jane", "Doe, Jane", "P-0815", "Review Mueller"];

/// What was logged in the tests' own process, and names a patient.
static NAMED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Reads what is logged, as a log file would get it.
struct Reader;

impl std::io::Write for Reader {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        if PATIENTS.iter().any(|name| text.contains(name)) {
            NAMED.lock().unwrap().push(text.into_owned());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Has everything read that is logged in this process from here on, to the finest level that a site may set for contourd.
pub fn read_log() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let levels = tracing_subscriber::EnvFilter::new("info,contourd=trace");
        tracing_subscriber::fmt().with_env_filter(levels).with_ansi(false).with_writer(|| Reader).init();
    });
}

/// What was logged so far and names a patient.
pub fn logged_of_patients() -> Vec<String> {
    NAMED.lock().unwrap().clone()
}

/// The program under test, run from the repository's root.
pub fn contourd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contourd"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// A command whose words are searched for patients.
pub trait Heard {
    /// What it said; a missing program is a failure, and so is a patient's name on a screen or in a log.
    fn heard(&mut self) -> Output;
}

impl Heard for Command {
    fn heard(&mut self) -> Output {
        let name = format!("{self:?}");
        let out = self.output().unwrap_or_else(|e| panic!("{name}: {e}"));
        for said in [&out.stdout, &out.stderr].map(|said| String::from_utf8_lossy(said)) {
            let named = said.lines().find(|line| PATIENTS.iter().any(|patient| line.contains(patient)));
            assert_eq!(named, None, "{name} names a patient");
        }
        out
    }
}

/// Runs a command that must succeed; a missing program is a failure.
pub fn run(command: &mut Command) -> String {
    let name = format!("{command:?}");
    let ours = command.get_program() == env!("CARGO_BIN_EXE_contourd");
    let out = if ours { command.heard() } else { command.output().unwrap_or_else(|e| panic!("{name}: {e}")) };
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{name}: {:?}\n{said}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    said
}

/// What a script of `tests/peers` says.
pub fn python(script: &str, args: &[&OsStr]) -> String {
    run(peer_script(script).args(args))
}

/// A script of `tests/peers`, with the Python packages that `ops/setup --tests` puts beside the build.
pub fn peer_script(script: &str) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut command = Command::new("/usr/bin/python3");
    command.env("PYTHONPATH", target.join("peers")).arg(root.join("tests/peers").join(script));
    command
}

/// The shipped model with the default configuration, loaded once.
pub fn recipe() -> &'static Recipe {
    static RECIPE: OnceLock<Recipe> = OnceLock::new();
    RECIPE.get_or_init(|| {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        recipe_by(&Config::parse(&format!("[models]\ndir = {models:?}\n")).unwrap())
    })
}

/// The default model of a configuration file.
pub fn recipe_of(config: &Path) -> Recipe {
    recipe_by(&Config::read(Some(config)).unwrap())
}

fn recipe_by(config: &Config) -> Recipe {
    let runtime = Runtime::load(&config.inference).unwrap();
    config.recipe(&runtime, None).unwrap()
}

/// A temporary folder that PostgreSQL, which runs as another user, can pass through.
pub fn open_folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("contourd-it-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The files of a folder in the order of their names.
pub fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

/// Every file below a folder, in the order of their paths; none where the folder is not there.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// A synthetic patient's series in a folder; its files in the order of their names. The true structure set that comes
/// with it lies elsewhere.
pub fn phantom_series(seed: u64, more: &[&str], folder: &Path) -> Vec<PathBuf> {
    let made = tempfile::tempdir().unwrap();
    run(contourd().arg("phantom").arg(made.path()).args(["--seed", &seed.to_string()]).args(more));
    std::fs::create_dir_all(folder).unwrap();
    for from in files_in(&made.path().join("mr")) {
        std::fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    files_in(folder)
}

/// What a structure set says that a test writes, besides its contours: its label, and that a research model made it.
pub fn meta(label: &str) -> StructureSetMeta {
    StructureSetMeta {
        label: label.into(),
        research: true,
        model_name: "test".into(),
        model_digest: sha256_hex(b"model"),
        config_digest: sha256_hex(b"config"),
        revision: 1,
        predecessor: None,
        carried: None,
        created: datetime!(2026-03-04 05:06:07),
    }
}

/// What a Spatial Registration says that a test writes: which objects and study it is of, and when it was made.
pub struct RegistrationOf<'a> {
    pub instance: &'a str,
    pub study: &'a str,
    pub patient_id: &'a str,
    /// Date and time, DA and TM.
    pub made: [&'a str; 2],
    /// The frame of reference that it registers to.
    pub registered: &'a str,
    /// Type of the matrices.
    pub kind: &'a str,
}

/// A Spatial Registration object; for each frame of reference the matrix into the registered one, row by row.
pub fn registration(of: &RegistrationOf, items: &[(&str, [f64; 16])]) -> EncodedInstance {
    let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let sequence = |tag: Tag, items: Vec<InMemDicomObject>| DataElement::new(tag, VR::SQ, DataSetSequence::from(items));
    let item = |(frame, matrix): &(&str, [f64; 16])| {
        let numbers: Vec<String> = matrix.iter().map(|v| format!("{v:.10}")).collect();
        let matrix = InMemDicomObject::from_element_iter([
            text(tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX, VR::DS, &numbers.join("\\")),
            text(tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX_TYPE, VR::CS, of.kind),
        ]);
        let by_matrix = InMemDicomObject::from_element_iter([
            sequence(tags::REGISTRATION_TYPE_CODE_SEQUENCE, Vec::new()),
            sequence(tags::MATRIX_SEQUENCE, vec![matrix]),
        ]);
        InMemDicomObject::from_element_iter([
            text(tags::FRAME_OF_REFERENCE_UID, VR::UI, frame),
            sequence(tags::MATRIX_REGISTRATION_SEQUENCE, vec![by_matrix]),
        ])
    };
    let class = uids::SPATIAL_REGISTRATION_STORAGE;
    let series = format!("{}.0", of.instance);
    let object = InMemDicomObject::from_element_iter([
        text(tags::SOP_CLASS_UID, VR::UI, class),
        text(tags::SOP_INSTANCE_UID, VR::UI, of.instance),
        text(tags::STUDY_INSTANCE_UID, VR::UI, of.study),
        text(tags::SERIES_INSTANCE_UID, VR::UI, &series),
        text(tags::MODALITY, VR::CS, "REG"),
        text(tags::PATIENT_NAME, VR::PN, "Doe^Jane"),
        text(tags::PATIENT_ID, VR::LO, of.patient_id),
        text(tags::CONTENT_DATE, VR::DA, of.made[0]),
        text(tags::CONTENT_TIME, VR::TM, of.made[1]),
        text(tags::FRAME_OF_REFERENCE_UID, VR::UI, of.registered),
        sequence(tags::REGISTRATION_SEQUENCE, items.iter().map(item).collect()),
    ]);
    let mut dataset = Vec::new();
    object.write_dataset_with_ts(&mut dataset, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    let (syntax, instance) = (uids::IMPLICIT_VR_LITTLE_ENDIAN, InstanceUid::parse(of.instance).unwrap());
    EncodedInstance {
        sop_class: class.into(),
        series: SeriesUid::parse(&series).unwrap(),
        transfer_syntax: syntax.into(),
        bytes: part10_file(class, &instance, syntax, &dataset).unwrap(),
        instance,
    }
}

/// A volume as an MR series of a patient of this name.
pub fn mr_series(volume: &Volume<f32>, series: &str, patient_name: &str) -> Vec<EncodedInstance> {
    mr_series_called(volume, series, patient_name, "T1 MPRAGE post")
}

/// The same with this Series Description.
pub fn mr_series_called(
    volume: &Volume<f32>,
    series: &str,
    patient_name: &str,
    description: &str,
) -> Vec<EncodedInstance> {
    let phi = |text: &str| Phi::new(text.to_owned());
    let patient = PatientStudy {
        study: StudyUid::parse("1.2.840.77.1").unwrap(),
        patient_name: phi(patient_name),
        patient_id: phi("P-0815"),
        issuer_of_patient_id: phi(""),
        birth_date: phi(""),
        sex: "O".into(),
        age: phi(""),
        size: phi(""),
        weight: phi(""),
        study_date: "20250102".into(),
        study_time: "101112".into(),
        study_id: phi("1"),
        accession_number: phi(""),
        referring_physician: phi(""),
        study_description: "Head".into(),
    };
    let attributes = MrSeriesAttributes {
        patient,
        series: SeriesUid::parse(series).unwrap(),
        series_number: 3,
        series_description: description.into(),
        image_type: vec!["ORIGINAL".into(), "PRIMARY".into(), "OTHER".into()],
        manufacturer: "Test".into(),
        model_name: "Scanner".into(),
        software_versions: vec!["1".into()],
        acquisition: MrAcquisition {
            scanning_sequence: vec!["GR".into()],
            sequence_variant: vec!["SP".into()],
            acquisition_type: "3D".into(),
            patient_position: "HFS".into(),
            ..MrAcquisition::default()
        },
        lossy: false,
        position_reference_indicator: String::new(),
        created: datetime!(2025-03-04 05:06:07),
        derivation: None,
        sources: Vec::new(),
    };
    write_mr_series(volume, &attributes).unwrap()
}
