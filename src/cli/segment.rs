//! `contourd segment`: a folder to a structure set, without database or network.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::files::{fresh_folder, write_file, write_series};
use super::say::{aside, say};
use crate::anatomy::quality::Light;
use crate::config::Config;
use crate::contour::picture::{Shown, contact_sheet};
use crate::dicom::data::{BUILT_IN, Profile, assemble, is_own_object, read_folder, read_header};
use crate::inference::Runtime;
use crate::service::{Order, Report, SegmentError, Segmentation, Stage, local_time, segment_series};

/// Segment one MR series in a folder and write an RT Structure Set.
#[derive(Debug, Args)]
pub struct SegmentArgs {
    /// Folder with one MR series; folders inside it and foreign files are allowed.
    dir: PathBuf,
    /// Where to write the RT Structure Set. A derived axial series goes into the new or empty folder FILE.dcm.series
    /// beside it. The time of making is part of the identifiers: the same images segmented twice give two results with
    /// the same contours and different UIDs.
    #[arg(long, value_name = "FILE.dcm")]
    output: PathBuf,
    /// Model to use instead of the configured one.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// How the destination wants the result: a built-in profile or that of a `[[profile]]` section.
    #[arg(long, value_name = "NAME", default_value = "generic")]
    profile: String,
    /// Write a DICOM Segmentation too.
    #[arg(long, value_name = "FILE.dcm")]
    segmentation: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Write the structure set even when the check of the image holds it for a person: you are that person.
    #[arg(long)]
    release_held: bool,
    /// Draw the contours on a sheet of slices.
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
    /// Leave out the anatomical rules, to see what they do: the networks' vote as it is, with sides.
    #[arg(long)]
    without_rules: bool,
    /// Configuration file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] when the folder does not hold one usable series, or when the check of the image holds the result;
/// report and picture are written then, the structure set is not.
pub fn run(args: SegmentArgs) -> Result<(), Failure> {
    let mut config = Config::read(args.config.as_deref())?;
    if args.without_rules {
        config.rules = config.rules.without_rules();
    }
    check_outputs(&args)?;
    let profile = config.service.profile(&args.profile).ok_or_else(|| {
        let known =
            BUILT_IN.iter().map(ToString::to_string).chain(config.service.profiles.iter().map(|p| p.name.clone()));
        let known = known.collect::<Vec<_>>().join(", ");
        Failure::Usage(format!("there is no profile {:?}; known are {known}", args.profile))
    })?;
    let profile = Profile { segmentation: args.segmentation.is_some(), ..profile };
    let instances = read_folder(&args.dir).map_err(|e| Failure::Refused(e.to_string()))?;
    let series = assemble(instances).map_err(|e| Failure::Refused(e.to_string()))?;
    let runtime = Runtime::load(&config.inference).map_err(anyhow::Error::from)?;
    let recipe = config.recipe(&runtime, args.model.as_deref())?;
    if recipe.derives(&series, &profile) {
        fresh_folder(&derived_folder(&args.output))?;
    }
    let order = Order::first(profile, local_time(time::OffsetDateTime::now_utc()));
    let bar = Bar::new();
    let result = segment_series(&series, &recipe, &order, &|stage, share| bar.tell(stage, share));
    bar.finish();
    let result = result.map_err(|e| match e {
        SegmentError::Refused(why) => Failure::Refused(why.to_string()),
        other => Failure::Other(other.into()),
    })?;
    let held = result.report.held();
    if held.is_none() || args.release_held {
        write_results(&args, &result)?;
    }
    if let Some(path) = &args.report {
        let json = serde_json::to_vec_pretty(&result.report).context("encoding the report")?;
        write_file(path, &json)?;
    }
    if let Some(path) = &args.picture {
        let planes = result.derived_series.as_ref().unwrap_or(&series);
        // All that the model looks for: the legend says which were not found.
        let contours = |s| result.contours.get(&s).cloned().unwrap_or_default();
        let looked_for = result.report.structures.iter().map(|report| report.structure);
        let structures: Vec<Shown> = looked_for.map(|s| Shown::of(s, contours(s))).collect();
        let png = contact_sheet(&planes.volume, &structures).context("drawing the picture")?;
        write_file(path, &png)?;
    }
    for warning in &result.report.warnings {
        aside!("warning: {warning}");
    }
    print_table(&result.report)?;
    match held {
        Some(reasons) if !args.release_held => Err(Failure::Refused(format!(
            "held, no structure set was written: {reasons}\nlook at the images; --release-held writes it all the same"
        ))),
        Some(reasons) => {
            aside!("released although it would be held: {reasons}");
            Ok(())
        }
        None => Ok(()),
    }
}

/// What is wrong with the paths of the results is said now, not after minutes of work: each can be written, none is that of
/// another, and none holds an image, which may be the input.
fn check_outputs(args: &SegmentArgs) -> Result<(), Failure> {
    let folder = derived_folder(&args.output);
    let given = [
        ("--output", Some(&args.output)),
        ("--segmentation", args.segmentation.as_ref()),
        ("--report", args.report.as_ref()),
        ("--picture", args.picture.as_ref()),
    ];
    let mut taken = vec![("the derived series", place(&folder))];
    for (option, path) in given.into_iter().filter_map(|(option, path)| Some((option, path?))) {
        writable(path)?;
        if let Ok(bytes) = std::fs::read(path) {
            let own = read_header(&bytes).map(|header| is_own_object(&header));
            // What begins like DICOM and cannot be read may be an image all the same; no object may be replaced.
            if !own.unwrap_or(bytes.get(128..132) != Some(b"DICM")) {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "{path} holds a DICOM object that contourd did not make; name another file for {option}"
                )));
            }
        }
        let here = place(path);
        if let Some((other, _)) = taken.iter().find(|(_, there)| here == *there || here.starts_with(there)) {
            let path = path.display();
            return Err(Failure::Usage(format!("{option} {path} is the place of {other}; name another file")));
        }
        taken.push((option, here));
    }
    Ok(())
}

/// A path with links in its folder resolved; the file itself need not be there.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    path.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
}

fn writable(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Failure::Usage(format!("{} is a folder; name a file", path.display())));
    }
    let probe = folder.join(format!(".contourd-{}", std::process::id()));
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(|e| {
        Failure::Usage(format!(
            "cannot write {}: {e}; give a path in a folder that is there and can be written",
            path.display()
        ))
    })
}

/// Where a derived series goes: a name of its own, whatever the output is called.
fn derived_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".series");
    name.into()
}

fn write_results(args: &SegmentArgs, result: &Segmentation) -> Result<(), Failure> {
    for package in &result.packages {
        if !package.derived.is_empty() {
            let folder = derived_folder(&args.output);
            write_series(&folder, &package.derived)?;
            aside!("the series is not axial: contours lie on a derived axial series in {}", folder.display());
        }
        write_file(&args.output, &package.structure_set.bytes)?;
        if let Some((path, segmentation)) = args.segmentation.as_ref().zip(package.segmentation.as_ref()) {
            write_file(path, &segmentation.bytes)?;
        }
    }
    Ok(())
}

fn print_table(report: &Report) -> Result<(), Failure> {
    say!("{:<15} {:>10} {:>10}  {:<10} status", "structure", "cm3", "agreement", "light")?;
    for s in &report.structures {
        let status = if s.found { "found" } else { "NOT FOUND" };
        let remarks: Vec<String> = s.remarks().collect();
        let light = s.light.map_or("not judged", Light::name);
        let agreement = s.agreement.map_or("-".into(), |a| format!("{:.0} %", a * 100.0));
        let words = if remarks.is_empty() { String::new() } else { format!(": {}", remarks.join("; ")) };
        say!("{:<15} {:>10.2} {:>10}  {light:<10} {status}{words}", s.structure.name(), s.volume_cc, agreement)?;
    }
    for d in &report.derived {
        let status = if d.made { "made" } else { "NOT MADE" };
        let words: Vec<&str> = std::iter::once(&d.recipe).chain(&d.remarks).map(String::as_str).collect();
        say!("{:<16} {:>9.2} {:>10}  {:<10} {status}: {}", d.name, d.volume_cc, "-", "-", words.join("; "))?;
    }
    say!("{}", report.notice)
}

/// One progress bar over the stages.
struct Bar {
    bar: ProgressBar,
    stage: Mutex<Option<Stage>>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(1000);
        if let Ok(style) = ProgressStyle::with_template("{msg:<11} {wide_bar} {percent:>3} %  {elapsed}") {
            bar.set_style(style);
        }
        Self { bar, stage: Mutex::new(None) }
    }

    fn tell(&self, stage: Stage, share: f64) {
        let mut last = self.stage.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *last != Some(stage) {
            *last = Some(stage);
            self.bar.set_message(match stage {
                Stage::Preprocess => "preparing",
                Stage::Networks => "networks",
                Stage::Rules => "rules",
                Stage::Contours => "contours",
                Stage::Write => "writing",
            });
        }
        self.bar.set_position((share * 1000.0) as u64);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
