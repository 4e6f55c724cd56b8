//! `contourd dataset check`: a look at a training store.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::super::Failure;
use super::super::files::write_file;
use super::super::say::say;
use crate::contour::picture::three_planes;
use crate::training::check::{CaseCheck, StoredCase, check_case, compare_cases, read_case, read_index};

/// Look at the cases of a training store: draw a sheet of each, and flag labels that are suspicious.
#[derive(Debug, Args)]
#[command(
    after_help = "Flagged are: a side that does not fit the name of the region (left is +x; in the head's own axes), a known class \
    without labels, an organ far from where it is usual, a volume that no adult has; of classes that a card describes, a place or \
    volume unlike the other cases (six or more). A flag is a reason to look, not a \
    fault. Exit status 2 when a case is flagged."
)]
pub(super) struct CheckArgs {
    /// Folder of the store.
    dir: PathBuf,
    /// Write here: PATIENT_CASE.png, a sheet of three orientations of each case; check.json and check.txt.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What goes to check.json.
#[derive(Serialize)]
struct Summary {
    flagged: usize,
    cases: Vec<CaseCheck>,
    /// Cases whose files are not those of the index.
    damaged: Vec<Damaged>,
}

#[derive(Serialize)]
struct Damaged {
    case: String,
    why: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] when the folder holds no store or a case is flagged or damaged.
pub(super) fn run(args: CheckArgs) -> Result<(), Failure> {
    let index = read_index(&args.dir).map_err(|e| Failure::Refused(e.to_string()))?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    }
    let bar = ProgressBar::new(index.cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} cases  {elapsed} gone, {eta} to go") {
        bar.set_style(style);
    }
    let mut summary = Summary { flagged: 0, cases: Vec::new(), damaged: Vec::new() };
    for record in &index.cases {
        match read_case(&args.dir, &index, record) {
            Ok(case) => summary.cases.push(look(&case, args.out.as_deref())?),
            Err(e) => summary.damaged.push(Damaged { case: record.id.clone(), why: e.to_string() }),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    compare_cases(&mut summary.cases);
    summary.flagged = summary.cases.iter().filter(|case| !case.flags.is_empty()).count();
    let text = in_words(&summary);
    say!("{}", text.trim_end())?;
    if let Some(out) = &args.out {
        write_file(&out.join("check.json"), &serde_json::to_vec_pretty(&summary).context("encoding the summary")?)?;
        write_file(&out.join("check.txt"), text.as_bytes())?;
    }
    match (summary.flagged, summary.damaged.len()) {
        (0, 0) => Ok(()),
        (flagged, damaged) => Err(Failure::Refused(format!(
            "{flagged} of {} cases are flagged, {damaged} are damaged; look at them before you train",
            index.cases.len()
        ))),
    }
}

fn look(case: &StoredCase, out: Option<&Path>) -> Result<CaseCheck, Failure> {
    let (check, structures) = check_case(case).context("measuring a case")?;
    if let Some(out) = out {
        let remarks: Vec<String> =
            check.flags.iter().map(|flag| format!("{}: {}", flag.what, flag.suspicion.words())).collect();
        let name = match &check.patient {
            Some(patient) => format!("{patient}_{}", check.case),
            None => check.case.clone(),
        };
        let png = three_planes(&case.image, &structures, &name, &remarks).context("drawing a sheet")?;
        write_file(&out.join(format!("{name}.png")), &png)?;
    }
    Ok(check)
}

fn in_words(summary: &Summary) -> String {
    let mut out = String::new();
    for case in &summary.cases {
        let state = if case.flags.is_empty() { "nothing odd" } else { "FLAGGED" };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} {state}", case.case);
        for flag in &case.flags {
            let _ = writeln!(out, "  {}: {}", flag.what, flag.suspicion.words());
        }
    }
    for case in &summary.damaged {
        let _ = writeln!(out, "{} DAMAGED: {}", case.case, case.why);
    }
    let _ = writeln!(
        out,
        "{} of {} cases flagged, {} damaged",
        summary.flagged,
        summary.cases.len(),
        summary.damaged.len()
    );
    out
}
