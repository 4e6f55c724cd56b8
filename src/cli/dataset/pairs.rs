//! `contourd dataset import-nifti`: pairs of images and labels.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::super::Failure;
use super::keep::{Job, Keep, KeepArgs, Made, read_option};
use crate::dicom::data::Kind;
use crate::ids::{Phi, sha256_hex};
use crate::training::pairs::{LabelMap, Pair, pair_case, read_pairs};
use crate::training::{CaseReport, ImportReport};

/// Take NIfTI images with label maps, or with a mask for each organ, into a training store.
#[derive(Debug, Args)]
#[command(
    after_help = "The table, CSV: a first line with the columns image, labels (a label map), patient (any text that is the same for \
    the same patient), and the names of organs for masks; then a line a pair. TOML: a [[pair]] each, with image, labels, \
    patient, and masks = { Eye_L = \"file\" }. Files are named from the table's folder.\n\nThe map, TOML: [labels], then \
    value = \"organ\" or value = [\"organ\", \"organ\"]; several values may make one organ. Organs are read by the table of \
    names, so TG-263 names and those of classes (eye, optic_nerve) are understood. Labels on another grid than the image \
    count where they lie in the patient, with a note."
)]
pub(super) struct ImportNiftiArgs {
    /// Table of pairs.
    #[arg(long, value_name = "TABLE.csv|toml")]
    pairs: PathBuf,
    /// What the values of label maps mean; not needed for masks.
    #[arg(long, value_name = "MAP.toml")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    keep: KeepArgs,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] for tables that cannot be used; [`Failure::Refused`] when nothing was taken.
pub(super) fn run(args: ImportNiftiArgs) -> Result<(), Failure> {
    let text = read_option("--pairs", &args.pairs)?;
    let is_toml = args.pairs.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let folder = args.pairs.parent().map(PathBuf::from).unwrap_or_default();
    let pairs = read_pairs(&text, is_toml, &folder).map_err(|e| Failure::Usage(format!("--pairs: {e}")))?;
    let map_text = args.labels.as_ref().map(|path| read_option("--labels", path)).transpose()?;
    let keep = Keep::open(&args.keep)?;
    let map = map_text.as_ref().map(|text| LabelMap::parse(text, &keep.names)).transpose();
    let map = map.map_err(|e| Failure::Usage(format!("--labels: {e}")))?;
    let mut report = ImportReport::default();
    let (mut jobs, mut seen) = (Vec::new(), BTreeSet::new());
    for (n, pair) in pairs.iter().enumerate() {
        // A case is its image, wherever it lies.
        let digest = std::fs::read(&pair.image).map(|bytes| sha256_hex(&bytes));
        let (case, fault) = match &digest {
            Ok(digest) => (keep.pseudonyms.of(Kind::Case, &["nifti", digest]), None),
            Err(e) => {
                let place = pair.image.display().to_string();
                (keep.pseudonyms.of(Kind::Case, &["nifti", &place]), Some(format!("the image cannot be read: {e}")))
            }
        };
        let patient = match (&pair.patient, &digest) {
            (Some(id), _) => keep.pseudonyms.patient(&Phi::new(id.clone()), ""),
            (None, Ok(digest)) => keep.pseudonyms.of(Kind::Patient, &["image", digest]),
            (None, Err(_)) => keep.pseudonyms.of(Kind::Patient, &["image", &case]),
        };
        let fault =
            fault.or_else(|| (!seen.insert(case.clone())).then(|| "the same image is in the table before".into()));
        match fault {
            Some(why) => {
                let reasons = vec![format!("pair {} of the table: {why}", n + 1)];
                report.cases.push(CaseReport::refused(case, patient, reasons));
            }
            None => jobs.push(Job { case, patient, of: pair }),
        }
    }
    let map_text = map_text.unwrap_or_default();
    report.cases.extend(keep.make(&jobs, |job| case_of(job, map.as_ref(), &map_text, &keep))?);
    keep.finish(&report)
}

fn case_of(job: &Job<&Pair>, map: Option<&LabelMap>, map_text: &str, keep: &Keep) -> Result<Made, Vec<String>> {
    let read = |path| std::fs::read(path).map_err(|e| vec![format!("one of its files cannot be read: {e}")]);
    let files = job.of.files().map(read).collect::<Result<Vec<Vec<u8>>, _>>()?;
    let masks = job.of.masks.keys().cloned().collect::<Vec<_>>().join("\n");
    let digest = keep.digest(files.iter().map(Vec::as_slice), &format!("nifti {map_text} {masks}"));
    drop(files);
    if keep.holds(&job.case, &digest) {
        return Ok(Made::Held);
    }
    let drawn = pair_case(job.of, map, &keep.options())?;
    Ok(Made::Case(Box::new(drawn), digest, "NIfTI image with labels".to_owned()))
}
