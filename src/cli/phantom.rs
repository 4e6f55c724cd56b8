//! `contourd phantom`: synthetic patients, as a DICOM series with its truth or as a training store.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use crate::anatomy::{Class, Side};
use crate::geometry::{GeometryError, WorkingSpec, working_volume};
use crate::ids::FrameOfReferenceUid;
use crate::phantom::{Head, HeadOptions, ImageOptions, Rng, VERSION, class_labels, draw_grid, image};
use crate::training::{Source, TrainingCase, TrainingStore};

/// Make synthetic patients with known truth, for tests and for training.
#[derive(Debug, Args)]
pub struct PhantomArgs {
    /// Write a training store (working images and labels of many heads) into this folder.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Seed; a training store uses this seed and the ones after it.
    #[arg(long, value_name = "N")]
    seed: u64,
    /// Number of heads in the training store.
    #[arg(long, value_name = "N", default_value_t = 1)]
    cases: u64,
    /// Part of the training cases in which one class is left unknown (0 to 1).
    #[arg(long, value_name = "PART", default_value_t = 0.2)]
    partly_known: f64,
}

/// Runs the verb.
pub fn run(args: PhantomArgs) -> Result<(), Failure> {
    if !(0.0..=1.0).contains(&args.partly_known) {
        return Err(Failure::Usage(format!("--partly-known {} is not between 0 and 1", args.partly_known)));
    }
    let working = WorkingSpec::default();
    let generator =
        format!("contourd {} phantom {VERSION} partly-known {}", env!("CARGO_PKG_VERSION"), args.partly_known);
    let mut store = TrainingStore::open(&args.store, &working, &generator).context("training store")?;
    let bar = ProgressBar::new(args.cases);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} heads  {elapsed} gone, {eta} to go") {
        bar.set_style(style);
    }
    for seed in args.seed..args.seed.saturating_add(args.cases) {
        let id = format!("phantom-{seed}");
        if !store.holds(&id) {
            let case = training_case(id, seed, args.partly_known, &working).context("digital head")?;
            store.put(&case).context("training store")?;
        }
        bar.inc(1);
    }
    bar.finish();
    Ok(())
}

/// A head of a seed, scanned as departments scan, and brought to the working grid as serving does.
fn training_case(
    id: String,
    seed: u64,
    partly_known: f64,
    working: &WorkingSpec,
) -> Result<TrainingCase, GeometryError> {
    let mut rng = Rng::new(seed, "training case");
    let missing_eye = rng.chance(0.05).then(|| if rng.chance(0.5) { Side::Left } else { Side::Right });
    let mut known = Class::ALL.to_vec();
    if rng.chance(partly_known) {
        known.remove(rng.bits() as usize % Class::ALL.len());
    }
    let head = Head::new(seed, &HeadOptions { missing_eye, ..HeadOptions::default() });
    let frame = FrameOfReferenceUid::derive(&["phantom", &seed.to_string()]);
    let field = head.field_of_view(rng.within(95.0, 150.0));
    let grid = Arc::new(draw_grid(&mut rng, frame, &field)?);
    let acquired = image(&head, &grid, &ImageOptions::draw(seed));
    let working_image = working_volume(&acquired, working)?.image;
    let labelled = class_labels(&head, working_image.grid());
    Ok(TrainingCase {
        id,
        source: Source::Seed(seed),
        known,
        image: working_image,
        labels: labelled.labels,
        extents: labelled.extents,
    })
}
