//! `contourd doctor`: is everything here and does it work together. It looks and changes nothing; a running daemon is not
//! disturbed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::Failure;
use super::say::say;
use crate::anatomy::{Class, rules};
use crate::config::Config;
use crate::dicom::dicomweb::look;
use crate::dicom::net::{COMMITMENT, Destination, QUERIES, RETRIEVAL, STRUCTURE_SETS, echo, offers};
use crate::evaluation::{Row, Table, compare, dice};
use crate::geometry::{Mask, working_volume};
use crate::ids::{AeTitle, FrameOfReferenceUid};
use crate::inference::{Model, Runtime};
use crate::phantom::{Acquisition, Head, HeadOptions, ImageOptions, image, truth};
use crate::service::{Confirm, Recipe, System};
use crate::store::{Sight, look_at_database, look_at_disk};

/// Check library, provider, models, database, disk, certificates, destinations, and segment a golden case.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Seed of the golden case: a synthetic head that no network was trained on.
const GOLDEN_SEED: u64 = 777_777;
/// The golden case may be this much worse than the worst held-out head of the model's card.
const GOLDEN_SLACK: f64 = 0.1;

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] for a faulty configuration, [`Failure::Other`] when a check failed.
pub fn run(args: DoctorArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let mut report = Report { failed: 0, unseen: 0, said: Ok(()) };
    report.line("configuration", Ok("no faults".into()));
    match Runtime::load(&config.inference) {
        Err(e) => report.line("library", Err(e.to_string())),
        Ok(runtime) => {
            report.line("library", Ok(runtime.library().display().to_string()));
            models(&config, &runtime, &mut report);
        }
    }
    let tokio = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    tokio.block_on(async {
        match look_at_database(&config.store).await {
            Ok(Sight::InOrder(what)) => report.line("database", Ok(what)),
            Ok(Sight::Unseen(why)) => report.unseen("database", &why),
            Err(e) => report.line("database", Err(e.to_string())),
        }
        report.line("disk", disk(&config));
        for (place, seen) in config.look_at_certificates() {
            report.line(&format!("certificates of {place}"), seen);
        }
        let us = &config.scp.ae_title;
        for d in &config.service.destinations {
            let needed: &[&str] = match d.confirm {
                Confirm::Commitment => &[STRUCTURE_SETS, COMMITMENT],
                Confirm::Query => &[STRUCTURE_SETS, QUERIES],
                Confirm::Auto | Confirm::None => &[STRUCTURE_SETS],
            };
            report.line(&format!("destination {}", d.name), system(&d.system, us, needed).await);
        }
        for source in &config.service.sources {
            report.line(&format!("source {}", source.name), system(&source.system, us, &[QUERIES, RETRIEVAL]).await);
        }
    });
    let Report { failed, unseen, said } = report;
    said?;
    match (failed, unseen) {
        (0, 0) => say!("everything is in order"),
        (0, unseen) => say!("everything that could be checked is in order, {unseen} could not"),
        _ => Err(Failure::Other(anyhow::anyhow!("{failed} of the checks failed"))),
    }
}

/// What another system offers, of what there is use for.
///
/// # Errors
/// It does not answer, or does not offer what it is configured for.
async fn system(of: &System, us: &AeTitle, needed: &[&str]) -> Result<String, String> {
    match of {
        System::Dimse(entity) => application_entity(entity, us, needed).await,
        System::Dicomweb(service) => match look(service).await {
            Ok(()) => Ok("answers queries (QIDO-RS); whether it stores shows with the first delivery".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    }
}

async fn application_entity(of: &Destination, us: &AeTitle, needed: &[&str]) -> Result<String, String> {
    const USED: [(&str, &str); 4] = [
        (STRUCTURE_SETS, "structure sets"),
        (COMMITMENT, "storage commitment"),
        (QUERIES, "queries (C-FIND)"),
        (RETRIEVAL, "retrieval (C-MOVE)"),
    ];
    echo(of, us).await.map_err(|e| e.to_string())?;
    let offered =
        offers(of, us, &USED.map(|(class, _)| class)).await.map_err(|e| format!("answers C-ECHO, but {e}"))?;
    let names = |wanted: &dyn Fn(&str) -> bool| {
        let names = USED.iter().filter(|(class, _)| wanted(class)).map(|(_, name)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let missing = names(&|class| needed.contains(&class) && !offered.contains(&class));
    let said = format!("answers C-ECHO, offers {}", names(&|class| offered.contains(&class)));
    if missing.is_empty() { Ok(said) } else { Err(format!("{said}; not {missing}, which its section needs")) }
}

struct Report {
    failed: usize,
    unseen: usize,
    /// The first line that could not be written.
    said: Result<(), Failure>,
}

impl Report {
    /// Nothing is said to be in order that was not looked at.
    fn unseen(&mut self, check: &str, why: &str) {
        self.unseen += 1;
        self.say(format_args!("--    {check}: not checked: {why}"));
    }

    fn line(&mut self, check: &str, outcome: Result<String, String>) {
        self.failed += usize::from(outcome.is_err());
        match outcome {
            Ok(what) => self.say(format_args!("ok    {check}: {what}")),
            Err(why) => self.say(format_args!("FAIL  {check}: {why}")),
        }
    }

    fn say(&mut self, line: std::fmt::Arguments) {
        if self.said.is_ok() {
            self.said = say!("{line}");
        }
    }
}

fn models(config: &Config, runtime: &Runtime, report: &mut Report) {
    let names = config.model_names();
    if names.is_empty() {
        report.line("models", Err(format!("none is installed in {}", config.models.dir.display())));
    }
    // What serve would load: the default and those that routes name.
    let configured = config.recipes(runtime);
    let check = "models of the configuration";
    match &configured {
        Ok(_) => report.line(check, Ok(format!("{:?} by default; every route's is there", config.models.default))),
        Err(e) => report.line(check, Err(e.to_string())),
    }
    for name in names {
        let known = configured.as_ref().ok().and_then(|recipes| {
            recipes.by_model.get(&name).or((name == config.models.default).then_some(&recipes.default))
        });
        let loaded = known.map_or_else(|| config.recipe(runtime, Some(&name)), |recipe| Ok(recipe.clone()));
        let check = format!("model {name}");
        match loaded {
            Err(e) => report.line(&check, Err(e.to_string())),
            Ok(recipe) => {
                let (digest, on) = (recipe.model.digest(), recipe.model.execution());
                report.line(&check, Ok(format!("networks as the card says, card sha256 {digest}, ran on {on}")));
                report.line(&format!("golden case of {name}"), golden_case(&recipe));
            }
        }
    }
}

/// A synthetic head through preprocessing, networks and rules, compared with its truth: structure by structure for the
/// reader, class by class (as the card was measured) for the verdict.
fn golden_case(recipe: &Recipe) -> Result<String, String> {
    let golden = golden(recipe).map_err(|e| e.to_string())?;
    let floor = floors(&recipe.model);
    let poor: Vec<String> = golden
        .classes
        .iter()
        .filter_map(|(class, dice)| floor.get(class).filter(|least| dice < least).map(|least| (class, dice, least)))
        .map(|(class, dice, least)| format!("{} {dice:.2} (expected {least:.2})", class.name()))
        .collect();
    let table = Table(&golden.structures).to_string().trim_end().replace('\n', "\n      ");
    if poor.is_empty() {
        Ok(format!("every class found as well as the card says\n      {table}"))
    } else {
        let poor = poor.join(", ");
        Err(format!(
            "Dice too low: {poor}; is the library sound, is the model the one that was shipped?\n      {table}"
        ))
    }
}

/// What was found in the golden case, beside its truth.
struct Golden {
    structures: Vec<Row>,
    /// Dice of each class of the model, its sides together.
    classes: BTreeMap<Class, f64>,
}

fn golden(recipe: &Recipe) -> anyhow::Result<Golden> {
    let head = Head::new(GOLDEN_SEED, &HeadOptions::default());
    let frame = FrameOfReferenceUid::derive(&["golden case"]);
    let grid = Arc::new(Acquisition::Axial.grid(frame, &head.field_of_view(120.0), None)?);
    let acquired = image(&head, &grid, &ImageOptions::draw(GOLDEN_SEED));
    let working = working_volume(&acquired, &recipe.model.card().working)?;
    let vote = recipe.model.run(&working, &|_| ())?;
    let case = rules::Case { parts: &vote.parts()?, image: &working, fat_suppressed: false, acquired: None };
    let found = rules::apply_to(&case, &recipe.rules)?.structures;
    let mut golden = Golden { structures: Vec::new(), classes: BTreeMap::new() };
    let truth = truth(&head, working.grid());
    // The digital head has no organ but the eight.
    for class in recipe.model.card().classes.iter().filter(|class| class.index().is_some()) {
        let nothing = || Mask::empty(Arc::clone(working.grid()));
        let (mut ours, mut theirs) = (nothing(), nothing());
        for structure in class.structures() {
            golden.structures.push(compare(structure, &found[&structure].mask, &truth[&structure])?);
            ours.join(&found[&structure].mask)?;
            theirs.join(&truth[&structure])?;
        }
        golden.classes.insert(*class, dice(&ours, &theirs)?.unwrap_or(1.0));
    }
    Ok(golden)
}

/// The least Dice of each class on the model's own held-out heads, by its card, less a slack.
fn floors(model: &Model) -> BTreeMap<Class, f64> {
    model.card().validation.iter().map(|row| (row.class, row.dice_min - GOLDEN_SLACK)).collect()
}

/// Whether there is room for what comes in.
fn disk(config: &Config) -> Result<String, String> {
    let place = config.store.state_dir.display();
    let free = look_at_disk(&config.store).map_err(|e| e.to_string())? / (1024 * 1024);
    let least = config.service.receive.min_free_mebibytes;
    if free < least {
        return Err(format!("{free} MiB are free for {place}, at least {least} are needed"));
    }
    Ok(format!("{free} MiB free for {place}"))
}
