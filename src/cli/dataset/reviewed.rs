//! `contourd dataset import-reviewed`: what people accepted of the daemon's own results.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

use super::super::Failure;
use super::keep::{Job, Keep, KeepArgs, Made};
use crate::anatomy::{Side, Structure};
use crate::config::Config;
use crate::contour::PlaneContour;
use crate::dicom::data::Kind;
use crate::store::{ImageFile, ReviewedCase, Store, StoreError};
use crate::training::{Declared, ImportReport, Region, contoured_case};

/// Take reviewed cases of the daemon into a training store: the structures that every reviewer accepted, small corrections
/// apart. What was rated worse, or not rated, stays unknown.
#[derive(Debug, Args)]
#[command(
    after_help = "The daemon must not run: its state directory is opened as by `contourd serve`. Of a series' revisions the latest \
    with a review counts; cases that were held and never released do not. A series that was imported from an archive \
    before is the same case and is replaced."
)]
pub(super) struct ImportReviewedArgs {
    /// Configuration file of the daemon.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    #[command(flatten)]
    keep: KeepArgs,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] for options that cannot be used, [`Failure::Refused`] when nothing was taken, [`Failure::Other`] when
/// the daemon's store cannot be opened.
pub(super) fn run(args: ImportReviewedArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let keep = Keep::open(&args.keep)?;
    let tokio = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let store = tokio.block_on(Store::open(&config.store)).map_err(anyhow::Error::from)?;
    let imported = import(&store, &tokio, &keep);
    // Also after a failure: a private server must not outlive this.
    tokio.block_on(store.close()).map_err(anyhow::Error::from)?;
    keep.finish(&imported?)
}

fn import(store: &Store, tokio: &tokio::runtime::Runtime, keep: &Keep) -> Result<ImportReport, Failure> {
    let reviewed = tokio.block_on(store.pg.reviewed_cases()).map_err(anyhow::Error::from)?;
    let job = |one: ReviewedCase| Job {
        case: keep.pseudonyms.of(Kind::Case, &[&one.case.series_uid]),
        patient: keep.pseudonyms.patient(&one.case.patient_id.0, &one.case.study_uid),
        of: one,
    };
    let jobs: Vec<Job<ReviewedCase>> = reviewed.into_iter().map(job).collect();
    let cases = keep.make(&jobs, |job| case_of(job, store, tokio, keep))?;
    Ok(ImportReport { cases, ..ImportReport::default() })
}

fn case_of(
    job: &Job<ReviewedCase>,
    store: &Store,
    tokio: &tokio::runtime::Runtime,
    keep: &Keep,
) -> Result<Made, Vec<String>> {
    let ReviewedCase { case, structures, .. } = &job.of;
    let (mut contours, mut unknown) = (Vec::new(), Vec::new());
    for row in structures {
        let Some(structure) = Structure::from_name(&row.structure) else { continue };
        if !job.of.is_accepted(&row.structure) {
            unknown.push(structure);
        } else if row.found {
            let drawn = Vec::<PlaneContour>::deserialize(&row.contours)
                .map_err(|e| vec![format!("the contours of {} cannot be read: {e}", structure.name())])?;
            contours.push((region(structure), drawn));
        }
    }
    if contours.is_empty() {
        return Err(vec!["no structure of it was accepted by everybody who judged it".to_owned()]);
    }
    contours.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let (images, derived) =
        tokio.block_on(files_of(store, &job.of)).map_err(|e| vec![format!("its images cannot be had: {e}")])?;
    let accepted = serde_json::to_vec(&contours.iter().map(|(r, c)| (&r.name, c)).collect::<Vec<_>>())
        .map_err(|e| vec![format!("its contours cannot be counted: {e}")])?;
    let all = images.iter().chain(derived.iter().flatten()).map(|bytes| bytes.as_ref()).chain([accepted.as_slice()]);
    let digest = keep.digest(all, "reviewed");
    if keep.holds(&job.case, &digest) {
        return Ok(Made::Held);
    }
    let mut drawn = contoured_case(&images, derived.as_deref(), &contours, &keep.options())?;
    unknown.sort_unstable();
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(|s| s.name()).collect();
        drawn.notes.push(format!("not accepted, or not judged: {}", names.join(" ")));
    }
    Ok(Made::Case(Box::new(drawn), digest, format!("reviewed case, revision {}", case.revision)))
}

/// What a delivered structure says of itself.
fn region(structure: Structure) -> Region {
    let declared = match structure.side() {
        Some(Side::Left) => Declared::Left,
        Some(Side::Right) => Declared::Right,
        None => Declared::Midline,
    };
    Region { class: structure.class(), declared, name: structure.name().to_owned() }
}

/// The received images of a case, and the derived ones where its contours lie on those.
async fn files_of(
    store: &Store,
    one: &ReviewedCase,
) -> Result<(Vec<bytes::Bytes>, Option<Vec<bytes::Bytes>>), StoreError> {
    let mut images = Vec::new();
    for row in store.pg.instances_of(&one.case.series_uid, one.case.revision).await? {
        images.push(store.blobs.get(&row.blob_key, &row.sha256).await?);
    }
    let under = store.pg.images_of(&one.case).await?;
    if !under.derived {
        return Ok((images, None));
    }
    let mut files: Vec<ImageFile> = under.files;
    files.sort_by(|a, b| a.blob_key.cmp(&b.blob_key));
    let mut derived = Vec::new();
    for file in files {
        derived.push(store.blobs.get(&file.blob_key, &file.sha256).await?);
    }
    Ok((images, Some(derived)))
}
