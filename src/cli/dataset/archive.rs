//! `contourd dataset import`: series and structure sets of an archive.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::super::Failure;
use super::super::files::{is_within, private_file};
use super::keep::{Job, Keep, KeepArgs, Made};
use crate::dicom::data::{ArchivedSeries, ArchivedSet, Kind, read_archive, without_uids};
use crate::training::{Aside, CaseReport, ImportReport, ReadNames, SetRule, choose, drawn_case};

/// Take MR series with the RT Structure Sets drawn on them into a training store.
#[derive(Debug, Args)]
#[command(
    after_help = "Any layout of folders: series and structure sets are put together by what they refer to. Names of regions are \
    read by a table (`contourd dataset names`); names of margins, doses, parts and helpers are never taken for the organ, \
    and what the table does not have is listed with its count. A class of which nothing was drawn is unknown, not \
    background.\n\nThe store and the report name no patient: cases and patients stand under pseudonyms, the same for the \
    same patient. The image is kept as it is on the working grid, with the face; treat the store as you treat images. \
    Names of regions go to the report as people wrote them, but for those that hold a part of the patient's name."
)]
pub(super) struct ImportArgs {
    /// Folders, or files, to look through.
    #[arg(required = true, value_name = "ROOT")]
    roots: Vec<PathBuf>,
    #[command(flatten)]
    keep: KeepArgs,
    /// Which of several structure sets of a series is taken.
    #[arg(long, value_enum, default_value = "newest")]
    structure_set: SetRule,
    /// Take structure sets that contourd made, too: those of `contourd phantom`. What networks drew is no truth.
    #[arg(long)]
    own: bool,
    /// Write which pseudonym is whose (pseudonym, Patient ID, UID or path) into this file, which identifies patients: for
    /// you alone, to look a case up. Not written otherwise.
    #[arg(long, value_name = "FILE.csv")]
    identities: Option<PathBuf>,
}

/// What a case is made from.
struct Source<'a> {
    series: &'a ArchivedSeries,
    set: &'a ArchivedSet,
    set_name: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] for options that cannot be used; [`Failure::Refused`] when nothing was taken.
pub(super) fn run(args: ImportArgs) -> Result<(), Failure> {
    for root in &args.roots {
        std::fs::metadata(root).map_err(|e| Failure::Usage(format!("{} cannot be read: {e}", root.display())))?;
    }
    if let Some(path) = args.identities.as_ref().filter(|path| is_within(path, args.keep.store())) {
        return Err(Failure::Usage(format!("--identities {} lies in the store", path.display())));
    }
    let keep = Keep::open(&args.keep)?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {elapsed} gone, {eta} to go") {
        bar.set_style(style);
    }
    let archive = read_archive(&args.roots, &|all| {
        bar.set_length(all as u64);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let chosen = choose(&archive, &keep.names, args.structure_set, args.own);
    let named = &keep.pseudonyms;
    let set_name = |set: &ArchivedSet| named.of(Kind::StructureSet, &[set.header.instance.as_str()]);
    let mut report = ImportReport {
        series_without_structures: archive.series.keys().filter(|uid| !chosen.taken.contains_key(uid)).count(),
        copies: archive.copies,
        other_objects: archive.others + archive.own_images,
        foreign_files: archive.foreign,
        ..ImportReport::default()
    };
    let aside = |what: String, why: &str| Aside { what, why: why.to_owned() };
    report.passed_over = chosen.passed_over.iter().map(|p| aside(set_name(p.set), p.why)).collect();
    let mut identities = vec!["pseudonym,patient id,uid or path".to_owned()];
    for (path, refusal) in &archive.damaged {
        let shown = path.display().to_string();
        let file = named.of(Kind::File, &[&shown]);
        // Names of folders are often patients'.
        report.damaged.push(aside(file.clone(), &without_uids(&refusal.message.replace(&shown, "it"))));
        identities.push(format!("{file},,{}", quoted(&shown)));
    }
    let mut jobs = Vec::new();
    for (uid, set) in &chosen.taken {
        let Some(series) = archive.series.get(*uid) else { continue };
        report.count_names(&ReadNames::of(set.rois.iter().map(String::as_str), &keep.names, &set.header));
        let job = Job {
            case: named.of(Kind::Case, &[uid.as_str()]),
            patient: named.patient(&series.header.patient_id, series.header.study.as_str()),
            of: Source { series, set, set_name: set_name(set) },
        };
        let id = quoted(series.header.patient_id.reveal());
        identities.push(format!("{},{id},{uid}", job.case));
        identities.push(format!("{},{id},", job.patient));
        identities.push(format!("{},{id},{}", job.of.set_name, set.header.instance));
        jobs.push(job);
    }
    report.cases = keep.make(&jobs, |job| case_of(job, &keep))?;
    if let Some(path) = &args.identities {
        identities.dedup();
        let text = identities.join("\n") + "\n";
        private_file(path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    report.cases.sort_by(|a: &CaseReport, b| (&a.patient, &a.case).cmp(&(&b.patient, &b.case)));
    keep.finish(&report)
}

/// A cell of a table.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn case_of(job: &Job<Source>, keep: &Keep) -> Result<Made, Vec<String>> {
    let Source { series, set, set_name } = &job.of;
    if !series.faults.is_empty() {
        let mut reasons: Vec<String> = series.faults.iter().map(|refusal| refusal.message.clone()).collect();
        reasons.sort();
        reasons.dedup();
        return Err(reasons);
    }
    let read = |path: &PathBuf| {
        // The path, which may name the patient, stays out of it.
        std::fs::read(path).map_err(|e| vec![format!("one of its files cannot be read any more: {e}")])
    };
    let images = series.files.iter().map(read).collect::<Result<Vec<Vec<u8>>, _>>()?;
    let structures = read(&set.path)?;
    let digest = keep.digest(images.iter().map(Vec::as_slice).chain([structures.as_slice()]), "dicom");
    if keep.holds(&job.case, &digest) {
        return Ok(Made::Held);
    }
    let drawn = drawn_case(&images, &structures, &keep.options())?;
    Ok(Made::Case(Box::new(drawn), digest, format!("MR series with structure set {set_name}")))
}
