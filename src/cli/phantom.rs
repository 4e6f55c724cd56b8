//! `contourd phantom`: synthetic patients, as a DICOM series with its truth or as a training store.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::files::{fresh_folder, write_file, write_series};
use super::say::say;
use crate::anatomy::{Class, Side};
use crate::geometry::{GeometryError, WorkingSpec, working_volume};
use crate::phantom::{
    Acquisition, Contrast, Head, HeadOptions, PatientRecipe, PhantomError, Population, Rng, Spread, VERSION,
    class_labels, scan, synthetic_patient,
};
use crate::training::{Provenance, Source, TrainingCase, TrainingStore};

/// Make synthetic patients with known truth: one as DICOM, or many as a training store.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("goal").required(true).args(["out_dir", "store"])))]
pub struct PhantomArgs {
    /// Write one patient into this folder, new or empty: mr/ (MR series), truth.dcm (true RT Structure Set), truth.json
    /// (true volumes).
    out_dir: Option<PathBuf>,
    /// Write a training store (working images and labels of many heads) into this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["acquisition", "spacing", "yaw", "pitch", "roll", "missing_eye", "contrast"])]
    store: Option<PathBuf>,
    /// Seed; a training store uses this seed and the ones after it.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// How the patient is scanned.
    #[arg(long, value_enum, default_value = "axial")]
    acquisition: Acquisition,
    /// Millimetres between columns, rows and slices, in the place of the acquisition's own.
    #[arg(long, value_name = "MM,MM,MM", value_parser = parse_spacing)]
    spacing: Option<Spacing>,
    /// Turn of the head in degrees; positive turns the face to the patient's left. Drawn when not given.
    #[arg(long, value_name = "DEG", allow_negative_numbers = true)]
    yaw: Option<f64>,
    /// Nod of the head in degrees; positive lifts the chin. Drawn when not given.
    #[arg(long, value_name = "DEG", allow_negative_numbers = true)]
    pitch: Option<f64>,
    /// Tilt of the head in degrees; positive moves the vertex to the patient's right. Drawn when not given.
    #[arg(long, value_name = "DEG", allow_negative_numbers = true)]
    roll: Option<f64>,
    /// The side without eye, lens and optic nerve.
    #[arg(long, value_enum, value_name = "SIDE")]
    missing_eye: Option<SideArg>,
    /// Kind of T1 image. Drawn when not given.
    #[arg(long, value_enum)]
    contrast: Option<Contrast>,
    /// Number of heads in the training store.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "store")]
    cases: u64,
    /// Voxels of the training store so many times as long as the working grid's (1 to 4): for quick studies of recipes.
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, requires = "store")]
    coarser: f64,
    /// Part of the training cases in which one class is left unknown (0 to 1).
    #[arg(long, value_name = "PART", default_value_t = 0.2, requires = "store")]
    partly_known: f64,
    /// Part of the training cases in which an eye with its lens and nerve is missing (0 to 1): far more than among
    /// patients, because networks that have hardly seen an empty orbit find an eye in it.
    #[arg(long, value_name = "PART", default_value_t = 0.15, requires = "store")]
    one_eyed: f64,
    /// Whose heads the training store holds.
    #[arg(long, value_enum, default_value = "training", requires = "store")]
    population: Population,
}

/// Side of the body, as the command line writes it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SideArg {
    Left,
    Right,
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Left => Side::Left,
            SideArg::Right => Side::Right,
        }
    }
}

/// Millimetres between columns, rows, slices. A type of its own, since clap takes an array for several arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spacing(pub [f64; 3]);

/// Reads `0.5,0.5,2`.
pub(super) fn parse_spacing(text: &str) -> Result<Spacing, String> {
    let values: Vec<f64> = text
        .split(',')
        .map(|v| v.trim().parse::<f64>().map_err(|e| format!("{v:?}: {e}")))
        .collect::<Result<_, _>>()?;
    match values.as_slice() {
        [a, b, c] if values.iter().all(|v| (0.2..=10.0).contains(v)) => Ok(Spacing([*a, *b, *c])),
        [_, _, _] => Err("each spacing must be 0.2 to 10 mm".into()),
        other => Err(format!("three numbers with commas are needed, not {}", other.len())),
    }
}

/// Runs the verb.
pub fn run(args: PhantomArgs) -> Result<(), Failure> {
    match (&args.out_dir, &args.store) {
        (Some(folder), _) => write_patient(folder, &args),
        (None, Some(folder)) => write_store(folder, &args),
        (None, None) => Err(Failure::Usage("give a folder for one patient, or --store".into())),
    }
}

impl From<PhantomError> for Failure {
    fn from(e: PhantomError) -> Self {
        match e {
            PhantomError::Nifti { .. } => Failure::Refused(e.to_string()),
            // A grid that cannot be made, or a name that does not fit, was asked for on the command line.
            PhantomError::Geometry(_) | PhantomError::Dicom(_) => Failure::Usage(e.to_string()),
            PhantomError::ReadBack(_) | PhantomError::Contour(_) => Failure::Other(e.into()),
        }
    }
}

fn write_patient(folder: &Path, args: &PhantomArgs) -> Result<(), Failure> {
    fresh_folder(folder)?;
    let usual = HeadOptions::default();
    let fixed = |given: Option<f64>, otherwise: Spread| given.map_or(otherwise, Spread::fixed);
    let recipe = PatientRecipe {
        seed: args.seed,
        head: HeadOptions {
            yaw: fixed(args.yaw, usual.yaw),
            pitch: fixed(args.pitch, usual.pitch),
            roll: fixed(args.roll, usual.roll),
            missing_eye: args.missing_eye.map(Side::from),
            contrast: args.contrast,
            ..usual
        },
        acquisition: args.acquisition,
        spacing: args.spacing.map(|s| s.0),
    };
    let patient = synthetic_patient(&recipe)?;
    let images = folder.join("mr");
    write_series(&images, &patient.images)?;
    say!("{} MR images in {}", patient.images.len(), images.display())?;
    write_file(&folder.join("truth.dcm"), &patient.structure_set.bytes)?;
    let truth: serde_json::Map<String, serde_json::Value> = patient
        .truth
        .iter()
        .map(|(structure, entry)| Ok((structure.name().to_owned(), serde_json::to_value(entry)?)))
        .collect::<Result<_, serde_json::Error>>()
        .context("encoding the truth")?;
    write_file(&folder.join("truth.json"), &serde_json::to_vec_pretty(&truth).context("encoding the truth")?)?;
    say!("{:<15} {:>12} {:>12}", "structure", "true cm3", "voxels cm3")?;
    for (structure, entry) in &patient.truth {
        if entry.present {
            say!("{:<15} {:>12.3} {:>12.3}", structure.name(), entry.analytic_cc, entry.voxels_cc)?;
        } else {
            say!("{:<15} {:>12} {:>12}", structure.name(), "missing", "")?;
        }
    }
    Ok(())
}

fn write_store(folder: &Path, args: &PhantomArgs) -> Result<(), Failure> {
    let mix = Mix { population: args.population, partly_known: args.partly_known, one_eyed: args.one_eyed };
    for (option, part) in [("--partly-known", mix.partly_known), ("--one-eyed", mix.one_eyed)] {
        if !(0.0..=1.0).contains(&part) {
            return Err(Failure::Usage(format!("{option} {part} is not between 0 and 1")));
        }
    }
    if !(1.0..=4.0).contains(&args.coarser) {
        return Err(Failure::Usage(format!("--coarser {} is not between 1 and 4", args.coarser)));
    }
    let working = WorkingSpec::default().coarser(args.coarser);
    let version = env!("CARGO_PKG_VERSION");
    let generator = format!(
        "contourd {version} phantom {VERSION} {} partly-known {} one-eyed {}",
        mix.population.name(),
        mix.partly_known,
        mix.one_eyed
    );
    let mut store = TrainingStore::open(folder, &working, &generator).context("training store")?;
    let bar = ProgressBar::new(args.cases);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} heads  {elapsed} gone, {eta} to go") {
        bar.set_style(style);
    }
    for seed in args.seed..args.seed.saturating_add(args.cases) {
        let id = format!("phantom-{seed}");
        if !store.holds(&id) {
            let case = training_case(id, seed, mix, &working).context("digital head")?;
            store.put(&case).context("training store")?;
        }
        bar.inc(1);
    }
    bar.finish();
    say!("{} cases in {}", store.index().cases.len(), folder.display())?;
    Ok(())
}

/// What part of the cases of a training store, 0 to 1, lacks something.
#[derive(Debug, Clone, Copy)]
struct Mix {
    population: Population,
    /// One class is not known.
    partly_known: f64,
    /// One eye is not there.
    one_eyed: f64,
}

/// A head of a seed, scanned as departments scan, and brought to the working grid as serving does.
fn training_case(id: String, seed: u64, mix: Mix, working: &WorkingSpec) -> Result<TrainingCase, GeometryError> {
    let mut rng = Rng::new(seed, "training case");
    let options = HeadOptions::drawn(&mut rng, mix.population, mix.one_eyed);
    let mut known = Class::ALL.to_vec();
    if rng.chance(mix.partly_known) {
        known.remove(rng.bits() as usize % Class::ALL.len());
    }
    let head = Head::new(seed, &options);
    let working_image = working_volume(&scan(&head, mix.population, seed, &mut rng)?, working)?;
    let labelled = class_labels(&head, working_image.grid());
    Ok(TrainingCase {
        id,
        source: Source::Seed(seed),
        known,
        image: working_image,
        labels: labelled.labels,
        extents: labelled.extents,
        provenance: Provenance::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacings_are_checked() {
        assert_eq!(parse_spacing("0.5, 0.5,2").unwrap(), Spacing([0.5, 0.5, 2.0]));
        for bad in ["1,1", "1,1,1,1", "a,1,1", "0,1,1", "1,1,-1", "1,1,NaN"] {
            assert!(parse_spacing(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_training_case_is_what_its_seed_says() {
        // A coarse working grid keeps this quick.
        let working = WorkingSpec::default().coarser(4.0);
        let mix = Mix { population: Population::Training, partly_known: 1.0, one_eyed: 0.0 };
        let case = training_case("a".into(), 1003, mix, &working).unwrap();
        assert_eq!(case.known.len(), Class::ALL.len() - 1);
        let again = training_case("b".into(), 1003, mix, &working).unwrap();
        assert!(case.image.data() == again.image.data() && case.known == again.known);
        let largest = case.image.data().iter().copied().fold(0.0f32, f32::max);
        assert!((largest - 1000.0).abs() < 0.1);
        for class in [Class::Brain, Class::Brainstem, Class::Hippocampus] {
            assert!(case.labels.data().iter().any(|v| v & class.bit() != 0), "{}", class.name());
        }
        let one_eyed = training_case("c".into(), 1003, Mix { one_eyed: 1.0, ..mix }, &working).unwrap();
        let eyes = |case: &TrainingCase| case.extents.keys().filter(|s| s.class() == Class::Eye).count();
        assert_eq!((eyes(&case), eyes(&one_eyed)), (2, 1), "eyes");
    }
}
