//! `contourd validate`: a model over the cases of a training store, by the daemon's own pipeline.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Failure;
use super::files::write_file;
use super::say::{aside, say};
use crate::anatomy::Class;
use crate::anatomy::rules;
use crate::config::Config;
use crate::evaluation::{Case, CaseRow, Metric, Pool, Study, TOLERANCES_MM, Unmatched, measure};
use crate::geometry::{GeometryError, Mask};
use crate::ids::sha256_hex;
use crate::inference::{Plane, Runtime};
use crate::service::Recipe;
use crate::training::check::{StoredCase, read_case, read_index};

/// Measure a model on the cases of a training store: the axial network alone, the vote, and the final result, by the same
/// networks, vote and rules as serve patients.
#[derive(Debug, Args)]
#[command(
    after_help = "Tables of the axial network alone and of the final result go to standard output, beside the thesis's values and with 95 % \
    intervals of the mean. Classes are measured as the networks know them, left and right together. --output gets a file a \
    case as soon as it is measured, and, for each of axial, vote and final, measures.json, measures.csv and summary.csv. Started again \
    with the same --output, it measures what the same model, settings and case have not been measured on."
)]
pub struct ValidateArgs {
    /// Training store with cases that the model was not trained on.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Folder of the model.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// These cases only.
    #[arg(long, value_name = "ID,ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Folder for the measures; what it holds already is not measured again.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Configuration file: its rules, and how networks run.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// The stages that are measured.
const STAGES: [&str; 3] = ["axial", "vote", "final"];

/// What a stage found of a class.
type Find<'a> = &'a (dyn Fn(Class) -> Result<Mask, GeometryError> + Sync);

/// What one case gave, as kept in the output folder.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    case: String,
    /// What it was measured on and with: another one is measured anew.
    made_of: MadeOf,
    /// Rows of each of [`STAGES`].
    stages: BTreeMap<String, Vec<CaseRow>>,
}

/// What decides a case's measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MadeOf {
    model_sha256: String,
    settings_sha256: String,
    image_sha256: String,
    labels_sha256: String,
    program_sha256: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] for a store, case or model that cannot be used.
pub fn run(args: ValidateArgs) -> Result<(), Failure> {
    let mut config = Config::read_for_model(args.config.as_deref())?;
    let (Some(name), Some(folder)) = (args.model.file_name().and_then(|n| n.to_str()), args.model.parent()) else {
        return Err(Failure::Usage(format!("--model {} is no folder of a model", args.model.display())));
    };
    config.models.dir = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() };
    let runtime = Runtime::load(&config.inference).map_err(anyhow::Error::from)?;
    let recipe = config.recipe(&runtime, Some(name))?;
    let index = read_index(&args.store).map_err(|e| Failure::Refused(e.to_string()))?;
    if index.working != recipe.model.card().working {
        return Err(Failure::Refused(format!(
            "{} was made with another working grid or intensity rule than the model's card says",
            args.store.display()
        )));
    }
    if let Some(unknown) = args.only.iter().find(|id| !index.cases.iter().any(|c| c.id == **id)) {
        return Err(Failure::Refused(format!("{} has no case {unknown}", args.store.display())));
    }
    let kept = args.output.join("cases");
    fs::create_dir_all(&kept).with_context(|| format!("cannot make {}", kept.display()))?;
    let wanted: Vec<_> = index.cases.iter().filter(|c| args.only.is_empty() || args.only.contains(&c.id)).collect();
    let bar = ProgressBar::new(wanted.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} cases {wide_bar} {elapsed} gone, {eta} to go") {
        bar.set_style(style);
    }
    // Rules and measures are code: figures of another build are not those of this one.
    let program = std::env::current_exe().and_then(std::fs::read).context("reading this program")?;
    let program = sha256_hex(&program);
    let mut all = Vec::new();
    for record in wanted {
        let made_of = MadeOf {
            model_sha256: recipe.model.digest().to_owned(),
            settings_sha256: recipe.config_digest.clone(),
            image_sha256: record.image_sha256.clone(),
            labels_sha256: record.labels_sha256.clone(),
            program_sha256: program.clone(),
        };
        let path = kept.join(format!("{}.json", record.id));
        let measured = match earlier(&path, &made_of) {
            Some(measured) => measured,
            None => {
                let case = read_case(&args.store, &index, record).map_err(|e| Failure::Refused(e.to_string()))?;
                let measured = Measured { case: record.id.clone(), made_of, stages: measured(&case, &recipe)? };
                write_file(&path, &serde_json::to_vec_pretty(&measured).context("encoding the measures")?)?;
                measured
            }
        };
        all.push(measured);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let looked_for = &recipe.model.card().classes;
    let known = |name: &&str| looked_for.iter().any(|class| class.name() == *name);
    let skipped: Vec<&str> = index.classes.iter().map(String::as_str).filter(|name| !known(name)).collect();
    if !skipped.is_empty() {
        aside!("not measured, since the model does not look for it: {}", skipped.join(", "));
    }
    for stage in STAGES {
        let study = study(stage, &all);
        write_study(&study, &args.output.join(stage))?;
        if stage != "vote" {
            say!(
                "{}\n",
                if stage == "axial" { "Axial network alone" } else { "Final result: three networks, vote, rules" }
            )?;
            say!("{}", intervals(&study))?;
            say!("{}", study.text().trim_end_matches('\n'))?;
        }
    }
    Ok(())
}

/// The measures of a case, if they were made of the same.
fn earlier(path: &Path, made_of: &MadeOf) -> Option<Measured> {
    let measured: Measured = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (measured.made_of == *made_of).then_some(measured)
}

/// Segments a case and measures it at every stage.
fn measured(case: &StoredCase, recipe: &Recipe) -> Result<BTreeMap<String, Vec<CaseRow>>, Failure> {
    let fault = |e: &dyn std::fmt::Display| Failure::Other(anyhow::anyhow!("case {}: {e}", case.record.id));
    let vote = recipe.model.run(&case.image, &|_| ()).map_err(|e| fault(&e))?;
    let parts = vote.parts().map_err(|e| fault(&e))?;
    let ruled = rules::Case { parts: &parts, image: &case.image, fat_suppressed: false, acquired: None };
    let found = rules::apply_to(&ruled, &recipe.rules).map_err(|e| fault(&e))?;
    let nothing = || Mask::empty(case.image.grid().clone());
    let finally = |class: Class| {
        let mut whole = nothing();
        for structure in class.structures() {
            if let Some(finding) = found.structures.get(&structure) {
                whole.join(&finding.mask)?;
            }
        }
        Ok(whole)
    };
    // Of each class that the model looks for and the case knows.
    let asked = case.bits.iter().filter(|(class, _)| parts.has(**class) && case.record.known.contains(class));
    let truth: BTreeMap<Class, Mask> =
        asked.map(|(class, bit)| (*class, case.labels.map(|word| word >> bit & 1 == 1))).collect();
    let axial = |class| Ok(vote.found_by(Plane::Axial, class)?.on_grid(case.image.grid()));
    let voted = |class| Ok(parts.of(class).on_grid(case.image.grid()));
    let stages: [Find<'_>; 3] = [&axial, &voted, &finally];
    let measured = STAGES.into_par_iter().zip(stages).map(|(stage, of)| Ok((stage.to_owned(), rows(&truth, of)?)));
    measured.collect::<Result<_, GeometryError>>().map_err(|e| fault(&e))
}

/// Rows of a case: each class of its truth, then the thesis's rows of those.
fn rows(truth: &BTreeMap<Class, Mask>, of: Find<'_>) -> Result<Vec<CaseRow>, GeometryError> {
    let found: BTreeMap<Class, Mask> =
        truth.par_iter().map(|(class, _)| Ok((*class, of(*class)?))).collect::<Result<_, GeometryError>>()?;
    let row = |(class, truth): (&Class, &Mask)| {
        let (measures, name) = (measure(&found[class], truth, &TOLERANCES_MM)?, class.name());
        Ok(CaseRow { structure: name.into(), pooled: false, parts: vec![name.into()], measures })
    };
    let mut rows = truth.par_iter().map(row).collect::<Result<Vec<_>, GeometryError>>()?;
    let both = |class: &Class| Some([found.get(class)?, truth.get(class)?]);
    for pool in Pool::ALL {
        let mut classes: Vec<Class> = pool.parts().iter().map(|part| part.class()).collect();
        classes.dedup();
        // A row of which a part is not known is no row of the thesis.
        let Some(masks) = classes.iter().map(both).collect::<Option<Vec<_>>>() else { continue };
        let parts: Vec<String> = classes.iter().map(|class| class.name().to_owned()).collect();
        let measures = match masks.as_slice() {
            [] => continue,
            [_] => rows.iter().find(|row| row.parts == parts).map(|row| row.measures.clone()),
            [first, rest @ ..] => {
                let [mut found, mut truth] = first.map(Mask::clone);
                for [f, t] in rest {
                    found.join(f)?;
                    truth.join(t)?;
                }
                Some(measure(&found, &truth, &TOLERANCES_MM)?)
            }
        };
        rows.extend(measures.map(|measures| CaseRow { structure: pool.name().into(), pooled: true, parts, measures }));
    }
    Ok(rows)
}

/// All cases at a stage.
fn study(stage: &str, all: &[Measured]) -> Study {
    let case = |measured: &Measured| Case {
        case: measured.case.clone(),
        rows: measured.stages.get(stage).cloned().unwrap_or_default(),
        unmatched: Unmatched::default(),
        notes: Vec::new(),
    };
    Study { tolerances_mm: TOLERANCES_MM.to_vec(), cases: all.iter().map(case).collect() }
}

/// Dice of each row with the 95 % interval of its mean, in percent.
fn intervals(study: &Study) -> String {
    let mut out = format!("{:<24} {:>5} {:>6} {:>17}\n", "Dice, %", "cases", "mean", "95 % of the mean");
    for row in study.rows() {
        let summary = study.summary(&row, Metric::Dice);
        let Some(spread) = summary.spread else { continue };
        let interval = spread.interval.map_or("-".into(), |[lo, hi]| format!("{:.1} to {:.1}", lo * 100.0, hi * 100.0));
        out += &format!("{:<24} {:>5} {:>6.1} {interval:>17}\n", row.name, summary.cases, spread.mean * 100.0);
    }
    out
}

fn write_study(study: &Study, folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_file(&folder.join("measures.csv"), study.csv().as_bytes())?;
    write_file(&folder.join("summary.csv"), study.summary_csv().as_bytes())?;
    write_file(&folder.join("measures.json"), &study.json().context("encoding the measures")?)
}
