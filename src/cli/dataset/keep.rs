//! What every import shares: the store with its salt, cases made several at a time, the report.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

use super::super::Failure;
use super::super::files::{is_within, salted, write_file};
use super::super::say::say;
use crate::anatomy::{Class, Description, describe};
use crate::dicom::data::{Pseudonyms, without_uids};
use crate::geometry::WorkingSpec;
use crate::ids::sha256_hex;
use crate::training::{
    CaseReport, CaseWriter, DEFAULT_NAMES, DrawOptions, DrawnCase, ImportReport, Names, OneSided, Outcome, Provenance,
    Source, TrainingCase, TrainingError, TrainingStore,
};

/// Version of what an import makes of its sources: a change that changes any case raises it.
const VERSION: u32 = 1;

/// Where cases go and how they are made.
#[derive(Debug, Args)]
pub(super) struct KeepArgs {
    /// Folder of the training store, made when missing; what is complete in it is not made again.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// File of the salt that pseudonyms are made with, made when missing [default: DIR.salt beside the store]. Keep it apart
    /// from the store: with it, pseudonyms can be traced back; without it, a patient gets another key.
    #[arg(long, value_name = "FILE")]
    salt: Option<PathBuf>,
    /// Table of names of regions, in the place of the built-in one (see `contourd dataset names`).
    #[arg(long, value_name = "TABLE.toml")]
    names: Option<PathBuf>,
    /// Classes beyond the eight: a file with the `[[class]]` sections of a model's card (models/README.md). Their TG-263 names are
    /// read as they are; other names stand in the table of names.
    #[arg(long, value_name = "FILE.toml")]
    classes: Option<PathBuf>,
    /// One of the eight classes that no case has, for example hippocampus: the store is made without it, and networks that are
    /// trained on it do not know it. May be given several times.
    #[arg(long, value_name = "CLASS")]
    leave_out: Vec<String>,
    /// What one organ of two, alone, says: the class is unknown (the other was not drawn), or known (it is not there).
    #[arg(long, value_enum, default_value = "unknown")]
    one_sided: OneSided,
    /// Working grid and intensities, in the place of the thesis's: the `[working]` keys of a model's card in a file.
    #[arg(long, value_name = "FILE.toml")]
    working: Option<PathBuf>,
    /// Cases made at a time; each takes one to two gigabytes of memory [default: one for each processor, at most 4].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
}

impl KeepArgs {
    /// Folder of the store.
    pub fn store(&self) -> &Path {
        &self.store
    }
}

/// An open store with what cases are made by.
pub(super) struct Keep {
    store: Mutex<TrainingStore>,
    writer: CaseWriter,
    /// Pseudonyms of this store.
    pub pseudonyms: Pseudonyms,
    classes: Vec<Class>,
    /// Names of regions.
    pub names: Names,
    working: WorkingSpec,
    one_sided: OneSided,
    jobs: usize,
    report: Option<PathBuf>,
    folder: PathBuf,
}

/// A case to be made.
pub(super) struct Job<P> {
    /// Pseudonym of the case.
    pub case: String,
    /// Pseudonym of the patient.
    pub patient: String,
    /// What it is made from.
    pub of: P,
}

/// What became of a job.
pub(super) enum Made {
    /// The store has it, from the same source.
    Held,
    /// A case from a source of this digest, and what stands in its record as source.
    Case(Box<DrawnCase>, String, String),
}

impl From<TrainingError> for Failure {
    fn from(e: TrainingError) -> Self {
        match e {
            TrainingError::Mixed { .. } | TrainingError::InUse { .. } => Failure::Usage(e.to_string()),
            TrainingError::Index { .. } => Failure::Refused(e.to_string()),
            TrainingError::Io { .. } | TrainingError::Encode { .. } | TrainingError::Geometry(_) => {
                Failure::Other(e.into())
            }
        }
    }
}

/// Reads a file that an option names.
pub(super) fn read_option(option: &str, path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|e| Failure::Usage(format!("{option} {} cannot be read: {e}", path.display())))
}

impl Keep {
    /// Opens the store and reads the files of the options.
    ///
    /// # Errors
    /// [`Failure::Usage`] for options that cannot be used and a store of other make.
    pub fn open(args: &KeepArgs) -> Result<Self, Failure> {
        let further = match &args.classes {
            Some(path) => further_classes(&read_option("--classes", path)?)
                .map_err(|why| Failure::Usage(format!("--classes {}: {why}", path.display())))?,
            None => Vec::new(),
        };
        let left_out = |name: &String| {
            let known = || Class::ALL.map(|class| class.name().to_owned()).join(", ");
            let unknown = || Failure::Usage(format!("--leave-out {name}: use one of {}", known()));
            Class::ALL.into_iter().find(|class| class.name() == name).ok_or_else(unknown)
        };
        let left_out: Vec<Class> = args.leave_out.iter().map(left_out).collect::<Result<_, _>>()?;
        let of_the_eight: Vec<Class> = Class::ALL.into_iter().filter(|class| !left_out.contains(class)).collect();
        if of_the_eight.is_empty() && further.is_empty() {
            return Err(Failure::Usage("--leave-out: no class is left".into()));
        }
        let names = match &args.names {
            Some(path) => read_option("--names", path)?,
            None => DEFAULT_NAMES.to_owned(),
        };
        let names = Names::parse(&names).map_err(|e| Failure::Usage(format!("--names: {e}")))?;
        let working = match &args.working {
            Some(path) => toml::from_str(&read_option("--working", path)?)
                .map_err(|e| Failure::Usage(format!("--working {}: {e}", path.display())))?,
            None => WorkingSpec::default(),
        };
        let jobs = match args.jobs {
            Some(0) => return Err(Failure::Usage("--jobs 0 does nothing".into())),
            Some(n) => n,
            None => std::thread::available_parallelism().map_or(1, usize::from).min(4),
        };
        let salt_file = args.salt.clone().unwrap_or_else(|| beside(&args.store));
        for (option, path) in [("--salt", Some(&salt_file)), ("--report", args.report.as_ref())] {
            if let Some(path) = path.filter(|path| is_within(path, &args.store)) {
                return Err(Failure::Usage(format!(
                    "{option} {} lies in the store; what goes to the trainer holds cases only",
                    path.display()
                )));
            }
        }
        let pseudonyms = pseudonyms(&salt_file, &args.store)?;
        let generator = format!("contourd {} dataset {VERSION}", env!("CARGO_PKG_VERSION"));
        let salt = pseudonyms.fingerprint();
        let store =
            TrainingStore::open_salted(&args.store, &working, &generator, Some(&salt), &of_the_eight, &further)?;
        Ok(Self {
            classes: store.index().classes(),
            writer: store.writer(),
            store: Mutex::new(store),
            pseudonyms,
            names,
            working,
            one_sided: args.one_sided,
            jobs,
            report: args.report.clone(),
            folder: args.store.clone(),
        })
    }

    /// How regions become labels.
    pub fn options(&self) -> DrawOptions<'_> {
        DrawOptions { classes: &self.classes, names: &self.names, one_sided: self.one_sided, working: &self.working }
    }

    /// Digest of a source: its files, in their order, and every setting that changes what is made of them.
    pub fn digest<'a>(&self, files: impl IntoIterator<Item = &'a [u8]>, more: &str) -> String {
        let settings = format!("{VERSION} {:?} {} {more}", self.one_sided, sha256_hex(self.names.text().as_bytes()));
        let digests: Vec<String> = std::iter::once(settings).chain(files.into_iter().map(sha256_hex)).collect();
        sha256_hex(digests.join("\n").as_bytes())
    }

    /// Whether a case is complete in the store, made from a source of this digest.
    pub fn holds(&self, case: &str, digest: &str) -> bool {
        let record = self.locked().record(case).cloned();
        record.is_some_and(|r| r.source_sha256.as_deref() == Some(digest) && self.writer.is_whole(&r))
    }

    fn locked(&self) -> MutexGuard<'_, TrainingStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every case, several at a time, and lists it as soon as it is written. A case that cannot be made is refused with
    /// its reasons, a fault of this program in it likewise; the others go on.
    ///
    /// # Errors
    /// [`Failure::Other`] when the store cannot be written.
    pub fn make<P: Sync>(
        &self,
        jobs: &[Job<P>],
        make: impl Fn(&Job<P>) -> Result<Made, Vec<String>> + Sync,
    ) -> Result<Vec<CaseReport>, Failure> {
        let bar = ProgressBar::new(jobs.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} cases  {elapsed} gone, {eta} to go") {
            bar.set_style(style);
        }
        let (queue, done, broken) = (Mutex::new(jobs.iter()), Mutex::new(Vec::new()), Mutex::new(None));
        let lock = |what| Mutex::lock(what).unwrap_or_else(PoisonError::into_inner);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(jobs.len()) {
                scope.spawn(|| {
                    loop {
                        // A store that cannot be written ends the work; nothing else does.
                        if broken.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                            return;
                        }
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(job) = next else { return };
                        match self.one(job, &make) {
                            Ok(report) => lock(&done).push(report),
                            Err(error) => *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
                        }
                        bar.inc(1);
                    }
                });
            }
        });
        bar.finish_and_clear();
        if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        let mut reports = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        reports.sort_by(|a: &CaseReport, b| a.case.cmp(&b.case));
        Ok(reports)
    }

    fn one<P>(
        &self,
        job: &Job<P>,
        make: &impl Fn(&Job<P>) -> Result<Made, Vec<String>>,
    ) -> Result<CaseReport, TrainingError> {
        let (case, patient) = (job.case.clone(), job.patient.clone());
        let fault = |_| Err(vec!["a fault of this program ended it; see standard error".to_owned()]);
        match catch_unwind(AssertUnwindSafe(|| make(job))).unwrap_or_else(fault) {
            Ok(Made::Held) => {
                let record = self.locked().record(&case).cloned();
                let known = record.map(|r| r.known.iter().map(|c| c.name().to_owned()).collect()).unwrap_or_default();
                Ok(CaseReport { known, ..CaseReport::new(case, patient, Outcome::Held) })
            }
            Ok(Made::Case(drawn, digest, source)) => {
                let DrawnCase { image, labelled, regions, notes } = *drawn;
                let written = TrainingCase {
                    id: case.clone(),
                    source: Source::Source(source),
                    known: labelled.known,
                    image,
                    labels: labelled.labels,
                    extents: labelled.extents,
                    provenance: Provenance { patient: Some(patient.clone()), source_sha256: Some(digest) },
                };
                let record = self.writer.write(&written)?;
                self.locked().list(record)?;
                let unknown =
                    labelled.unknown.into_iter().map(|(class, why)| (class.name().to_owned(), without_uids(&why)));
                Ok(CaseReport {
                    known: written.known.iter().map(|c| c.name().to_owned()).collect(),
                    unknown: unknown.collect::<BTreeMap<_, _>>(),
                    regions: regions.organs,
                    notes: notes.iter().chain(&labelled.notes).map(|note| without_uids(note)).collect(),
                    ..CaseReport::new(case, patient, Outcome::Taken)
                })
            }
            Err(reasons) => {
                let mut reasons: Vec<String> = reasons.iter().map(|why| without_uids(why)).collect();
                if self.locked().record(&case).is_some() {
                    reasons.push("what the store has of it from an earlier import stays there".to_owned());
                }
                Ok(CaseReport::refused(case, patient, reasons))
            }
        }
    }

    /// Says and writes the report.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the store holds nothing of what was named.
    pub fn finish(&self, report: &ImportReport) -> Result<(), Failure> {
        say!("{}", report.text().trim_end())?;
        if let Some(path) = &self.report {
            write_file(path, &serde_json::to_vec_pretty(report).context("encoding the report")?)?;
        }
        if report.count(Outcome::Taken) + report.count(Outcome::Held) == 0 {
            return Err(Failure::Refused("nothing was taken; the report says why".into()));
        }
        say!("{} cases in {}", self.locked().index().cases.len(), self.folder.display())
    }
}

/// The `[[class]]` sections of a file, whatever else stands in it.
#[derive(Deserialize)]
struct FurtherClasses {
    class: Vec<Description>,
}

fn further_classes(text: &str) -> Result<Vec<Description>, String> {
    let FurtherClasses { class } = toml::from_str(text).map_err(|e| e.to_string())?;
    describe(&class)?;
    Ok(class)
}

/// The salt's own place: beside the store, under its name.
fn beside(store: &Path) -> PathBuf {
    let mut name = store.components().as_path().as_os_str().to_owned();
    name.push(".salt");
    name.into()
}

/// Pseudonyms by the salt of a file, which is made when it is missing and the store does not need an older one.
fn pseudonyms(file: &Path, store: &Path) -> Result<Pseudonyms, Failure> {
    if !file.exists() && store.join("store.json").exists() {
        let why = "is not there, and the store was made with one: give it by --salt";
        return Err(Failure::Usage(format!("the salt {} {why}", file.display())));
    }
    salted(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_salt_lies_beside_the_store_and_never_in_it() {
        for store in ["data/heads", "data/heads/"] {
            assert_eq!(beside(Path::new(store)), Path::new("data/heads.salt"));
            assert!(!is_within(&beside(Path::new(store)), Path::new(store)));
            assert!(is_within(Path::new("data/heads/x/salt"), Path::new(store)));
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
        assert!(is_within(&folder.path().join("link/new/salt"), folder.path()));
    }
}
