//! `contourd route-test`: which route takes which series, and why the others do not.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Failure;
use super::say::{aside, say};
use crate::config::Config;
use crate::dicom::data::{SurveyedObject, survey};
use crate::ids::{AeTitle, SeriesUid};
use crate::routing::{Finding, Header, Likelihood, Reader, Reason};
use crate::service::{Choice, Judgement, RouteConfig, Way, asked_by, choose};

/// Say for every series in some files or folders which route would take it, and for every rule why or why not.
///
/// Exit status 0: every series finds a route; 2: some do not. What is said here may repeat descriptions that people typed;
/// it never repeats names, numbers, dates and UIDs of a patient.
#[derive(Debug, Args)]
pub struct RouteTestArgs {
    /// Files or folders, with folders inside and foreign files allowed.
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    paths: Vec<PathBuf>,
    /// Configuration file with the routes.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// The title that sends. Without it no route is passed over for its calling_ae.
    #[arg(long, value_name = "AE", value_parser = AeTitle::parse)]
    calling: Option<AeTitle>,
    /// The title of ours that is called. Without it no route is passed over for its called_ae.
    #[arg(long, value_name = "AE", value_parser = AeTitle::parse)]
    called: Option<AeTitle>,
    /// Write JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// What is said of one series.
#[derive(Serialize)]
struct Told {
    series: SeriesUid,
    modality: String,
    description: String,
    images: usize,
    /// The file that decides.
    first: PathBuf,
    t1: ToldFinding,
    gadolinium: ToldFinding,
    /// The route that takes it, with what follows.
    taken: Option<Taken>,
    /// Images that alone would go another way: which one comes first decides, then.
    images_that_differ: usize,
    routes: Vec<ToldRoute>,
}

#[derive(Serialize)]
struct ToldFinding {
    likelihood: Likelihood,
    score: i32,
    reasons: Vec<Reason>,
}

impl From<&Finding> for ToldFinding {
    fn from(finding: &Finding) -> Self {
        Self { likelihood: finding.likelihood(), score: finding.score(), reasons: finding.reasons.clone() }
    }
}

#[derive(Serialize)]
struct Taken {
    route: String,
    models: Vec<String>,
    destinations: Vec<String>,
    priority: u8,
}

#[derive(Serialize)]
struct ToldRoute {
    takes: bool,
    #[serde(flatten)]
    judged: Judgement,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] when a series finds no route, or there is none to be found; [`Failure::Usage`] without routes.
pub fn run(args: RouteTestArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    let routes = &config.service.routes;
    if routes.is_empty() {
        let why = "there is no [[route]] in the configuration; name one that has routes with --config";
        return Err(Failure::Usage(why.into()));
    }
    let survey = survey(&args.paths, &asked_by(routes));
    for (path, refusal) in &survey.unreadable {
        aside!("not read: {}: {}", path.display(), refusal.message);
    }
    if survey.own > 0 {
        aside!("{} objects that contourd made are passed over: the daemon never routes them", survey.own);
    }
    let way = Way { calling: args.calling.as_ref(), called: args.called.as_ref() };
    let told: Vec<(Told, Choice)> =
        survey.series.into_iter().filter_map(|objects| tell(objects, &config, way)).collect();
    if args.json {
        let told: Vec<&Told> = told.iter().map(|(told, _)| told).collect();
        let json = serde_json::to_string_pretty(&told).map_err(anyhow::Error::from)?;
        say!("{json}")?;
    } else {
        for (told, choice) in &told {
            print(told, choice)?;
        }
    }
    let (all, lost) = (told.len(), told.iter().filter(|(told, _)| told.taken.is_none()).count());
    match (all, lost) {
        (0, _) => Err(Failure::Refused("there are no DICOM objects to be routed in what was named".into())),
        (_, 0) => Ok(()),
        _ => Err(Failure::Refused(format!("{lost} of {all} series find no route"))),
    }
}

fn tell(objects: Vec<SurveyedObject>, config: &Config, way: Way<'_>) -> Option<(Told, Choice)> {
    let routes = &config.service.routes;
    let images = objects.len();
    let mut objects = objects.into_iter();
    let first = objects.next()?;
    let judge = |object: SurveyedObject| {
        let header = Header::new(object.attributes.into_values());
        let choice = choose(routes, way, &header, Reader::Desk);
        (header, choice)
    };
    let (path, about) = (first.path.clone(), first.header.clone());
    let (header, choice) = judge(first);
    let place = choice.taken();
    let images_that_differ = objects.filter(|object| judge(object.clone()).1.taken() != place).count();
    let taken = place.and_then(|place| routes.get(place)).map(|route| Taken {
        route: route.name.clone(),
        models: models(route, config),
        destinations: route.destinations.clone(),
        priority: route.priority.raised_by(&header).get(),
    });
    let told = Told {
        series: about.series,
        modality: about.modality,
        description: about.series_description,
        images,
        first: path,
        t1: (&choice.recognised.t1).into(),
        gadolinium: (&choice.recognised.gadolinium).into(),
        taken,
        images_that_differ,
        routes: choice
            .judged
            .iter()
            .map(|judged| ToldRoute { takes: judged.takes(), judged: judged.clone() })
            .collect(),
    };
    Some((told, choice))
}

fn models(route: &RouteConfig, config: &Config) -> Vec<String> {
    let named = route.models();
    if named.is_empty() { vec![config.models.default.clone()] } else { named }
}

fn print(told: &Told, choice: &Choice) -> Result<(), Failure> {
    say!(
        "series {} {:?} ({}, {} images; the first, {}, decides)",
        told.series,
        told.description,
        if told.modality.is_empty() { "no modality" } else { &told.modality },
        told.images,
        told.first.display()
    )?;
    say!("    T1: {}", choice.recognised.t1.in_words())?;
    say!("    gadolinium: {}", choice.recognised.gadolinium.in_words())?;
    match &told.taken {
        Some(Taken { route, models, destinations, priority }) => say!(
            "  {route:?} takes it: model {}; to {}; priority {priority}",
            models.join(" and "),
            destinations.join(" and ")
        )?,
        None => say!("  no route takes it")?,
    }
    if told.images_that_differ > 0 {
        say!(
            "    {} of its images alone would go another way: which one comes first decides. Ask for what is the same in \
             all of them",
            told.images_that_differ
        )?;
    }
    let taken = choice.taken();
    for (place, judged) in choice.judged.iter().enumerate() {
        let verdict = match (judged.takes(), taken) {
            (true, Some(first)) if first < place => "would take it, but an earlier one does",
            (true, _) => "takes it",
            (false, _) => "does not take it",
        };
        say!("    route {:?} {verdict}", judged.route)?;
        for title in &judged.other_way {
            say!("        no  {title}")?;
        }
        match &judged.rule {
            None => say!("        yes it has no rule: it takes everything that comes its way")?,
            Some(rule) => {
                for line in rule.lines() {
                    say!("        {line}")?;
                }
            }
        }
    }
    say!("")
}
