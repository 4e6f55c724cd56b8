//! `contourd evaluate`: structure sets against their references.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::files::write_file;
use super::say::say;
use crate::contour::{PlaneContour, beyond, crossed_slices, rasterise};
use crate::dicom::data::{ReadRoi, SlicePlanes, StructureSet, read_planes, read_rtstruct};
use crate::evaluation::{Case, Metric, Pair, Renamed, Set, Study, TOLERANCES_MM, measure_case, pair};
use crate::geometry::Mask;
use crate::inference::Card;

/// Measure RT Structure Sets against their references: overlap, distances, volumes, beside the thesis's values.
#[derive(Debug, Args)]
#[command(
    after_help = "A folder of cases holds one folder a case, named as the case is to be called in tables: in it \
    reference.dcm, test.dcm and series/ (folders inside and foreign files are allowed). Any classic CT or MR series serves \
    as series: only where its slices lie is used. Structures are matched by name, exactly as written or as renamed by \
    --map; a structure of the catalogue (TG-263 names) that only the reference has counts as not found, everything else \
    that stands in one set only is listed and not measured.\n\nA table goes to standard output. --output gives \
    measures.csv (a line a structure and case), summary.csv (a line a structure and measure), measures.json (both) and a \
    box plot a measure (SVG). What each measure is, to the voxel: ops/measures.md."
)]
pub struct EvaluateArgs {
    /// RT Structure Set that is held to be true.
    #[arg(long, value_name = "FILE.dcm", requires_all = ["test", "series"], required_unless_present = "cases")]
    reference: Option<PathBuf>,
    /// RT Structure Set to be measured.
    #[arg(long, value_name = "FILE.dcm", requires = "reference")]
    test: Option<PathBuf>,
    /// Folder of the series that both were drawn on.
    #[arg(long, value_name = "DIR", requires = "reference")]
    series: Option<PathBuf>,
    /// Folder of cases, in the place of the three above.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["reference", "test", "series"])]
    cases: Option<PathBuf>,
    /// Count structures of a name, in either set, as of another.
    #[arg(long, value_name = "NAME=NAME", value_parser = parse_renamed)]
    map: Vec<(String, String)>,
    /// Folder of a model: a structure that its card describes and that the test set lacks counts as missed, as the known ones
    /// do.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Tolerance of surface Dice in mm; may be given several times [default: 1 and 2].
    #[arg(long, value_name = "MM", value_parser = parse_tolerance)]
    tolerance: Vec<f64>,
    /// Folder for CSV, JSON and box plots.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

fn parse_renamed(text: &str) -> Result<(String, String), String> {
    match text.split_once('=').map(|(from, to)| (from.trim(), to.trim())) {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err("write the name in the file, an equals sign, and the name that it counts as".into()),
    }
}

fn parse_tolerance(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=100.0).contains(&value) { Ok(value) } else { Err("it must be 0 to 100 mm".into()) }
}

/// Where the parts of a case lie.
struct Files {
    case: String,
    reference: PathBuf,
    test: PathBuf,
    series: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] with the reasons of every case that cannot be measured; nothing is written then.
pub fn run(args: EvaluateArgs) -> Result<(), Failure> {
    if let Some(model) = &args.model {
        Card::read(model).map_err(|e| Failure::Usage(e.to_string()))?;
    }
    let renamed = renamed(&args.map)?;
    let tolerances_mm = tolerances(&args.tolerance);
    let files = match (args.reference, args.test, args.series, args.cases) {
        (Some(reference), Some(test), Some(series), _) => {
            let case = test.file_stem().map_or_else(|| "case".into(), |name| name.to_string_lossy().into_owned());
            vec![Files { case, reference, test, series }]
        }
        (.., Some(folder)) => cases_in(&folder)?,
        _ => return Err(Failure::Usage("give --reference, --test and --series, or --cases".into())),
    };
    let bar = ProgressBar::new(files.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{pos}/{len} cases {wide_bar} {elapsed}") {
        bar.set_style(style);
    }
    let (mut cases, mut reasons) = (Vec::new(), Vec::new());
    for files in &files {
        match measured(files, &renamed, &tolerances_mm) {
            Ok(case) => cases.push(case),
            Err(why) => reasons.push(format!("{}: {why}", files.case)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if !reasons.is_empty() {
        return Err(Failure::Refused(reasons.join("\n")));
    }
    let study = Study { tolerances_mm, cases };
    if let Some(folder) = &args.output {
        write_study(&study, folder)?;
    }
    say!("{}", study.text().trim_end_matches('\n'))
}

fn renamed(map: &[(String, String)]) -> Result<Renamed, Failure> {
    let mut renamed = Renamed::new();
    for (from, to) in map {
        if renamed.insert(from.clone(), to.clone()).is_some_and(|other| other != *to) {
            return Err(Failure::Usage(format!("--map gives {from} two names")));
        }
    }
    Ok(renamed)
}

/// Ascending, each once.
fn tolerances(given: &[f64]) -> Vec<f64> {
    let mut all = if given.is_empty() { TOLERANCES_MM.to_vec() } else { given.to_vec() };
    all.sort_unstable_by(f64::total_cmp);
    all.dedup();
    all
}

/// The cases of a folder, by name.
fn cases_in(folder: &Path) -> Result<Vec<Files>, Failure> {
    let refused = |what: &str| Failure::Refused(format!("{} {what}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(|e| refused(&format!("cannot be read: {e}")))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| refused(&format!("cannot be read: {e}")))?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_dir()) {
            cases.push(Files {
                case: name.to_string_lossy().into_owned(),
                reference: path.join("reference.dcm"),
                test: path.join("test.dcm"),
                series: path.join("series"),
            });
        }
    }
    if cases.is_empty() {
        return Err(refused("holds no folders; give each case one with reference.dcm, test.dcm and series/"));
    }
    cases.sort_by(|a, b| a.case.cmp(&b.case));
    Ok(cases)
}

/// Reads and measures one case; the reasons in words when it cannot be.
fn measured(files: &Files, renamed: &Renamed, tolerances_mm: &[f64]) -> Result<Case, String> {
    let (reference, test) = (read_set(&files.reference)?, read_set(&files.test)?);
    let in_series = |e: &dyn std::fmt::Display| format!("{}: {e}", files.series.display());
    let planes = read_planes(&files.series, reference.referenced_series.as_ref()).map_err(|e| in_series(&e))?;
    let mut notes = planes.warnings.clone();
    let mut closed = |set: &StructureSet, what: &str| -> Vec<ReadRoi> {
        let (closed, open): (Vec<ReadRoi>, Vec<ReadRoi>) = set.rois.iter().cloned().partition(ReadRoi::is_closed);
        notes.extend(
            open.iter().map(|roi| format!("{} of {what} is drawn by points or open lines, not measured", roi.name)),
        );
        closed
    };
    let (reference, test) = (closed(&reference, "the reference"), closed(&test, "the set under test"));
    let pairing = pair(&names(&reference), &names(&test), renamed).map_err(|e| e.to_string())?;
    if pairing.pairs.iter().all(|pair| pair.found.is_none()) {
        return Err(format!(
            "no structure stands in both sets: the reference has {}, the set under test {}; rename with --map",
            names(&reference).join(", "),
            names(&test).join(", ")
        ));
    }
    let used = |of: &dyn Fn(&Pair) -> Option<usize>| pairing.pairs.iter().filter_map(of).collect::<BTreeSet<usize>>();
    let reference = placed(&reference, &used(&|p| Some(p.reference)), &planes, &files.reference, &mut notes)?;
    let test = placed(&test, &used(&|p| p.found), &planes, &files.test, &mut notes)?;
    let draw = |set: Set, at: usize| {
        let contours = if set == Set::Reference { &reference } else { &test }.get(&at).map(Vec::as_slice);
        rasterise(contours.unwrap_or_default(), &planes.grid)
    };
    let nothing = Mask::empty(planes.grid.clone());
    let rows = measure_case(&pairing, &nothing, tolerances_mm, draw).map_err(|e| e.to_string())?;
    Ok(Case { case: files.case.clone(), rows, unmatched: pairing.unmatched, notes })
}

fn names(rois: &[ReadRoi]) -> Vec<&str> {
    rois.iter().map(|roi| roi.name.as_str()).collect()
}

fn read_set(file: &Path) -> Result<StructureSet, String> {
    let bytes = std::fs::read(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
    read_rtstruct(&bytes).map_err(|e| format!("{}: {e}", file.display()))
}

/// The contours of the structures that are used, on the slices of the series; what is odd about them goes to the notes.
fn placed(
    rois: &[ReadRoi],
    used: &BTreeSet<usize>,
    planes: &SlicePlanes,
    file: &Path,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<usize, Vec<PlaneContour>>, String> {
    let mut all = BTreeMap::new();
    for (at, roi) in rois.iter().enumerate().filter(|(at, _)| used.contains(at)) {
        let contours = roi.placed_on(planes).map_err(|e| format!("{}: {e}", file.display()))?;
        if let Some(contour) = beyond(&contours, planes.grid.shape()) {
            return Err(format!(
                "{}: a contour of {} leaves the image on slice {}; name the series that it was drawn on",
                file.display(),
                roi.name,
                contour.slice + 1
            ));
        }
        let crossed: Vec<String> = crossed_slices(&contours).iter().map(|slice| (slice + 1).to_string()).collect();
        if !crossed.is_empty() {
            let (name, slices) = (&roi.name, crossed.join(" "));
            notes.push(format!("contours of {name} in {} cross (read even-odd) on slices {slices}", file.display()));
        }
        all.insert(at, contours);
    }
    Ok(all)
}

fn write_study(study: &Study, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write_file(&folder.join("measures.csv"), study.csv().as_bytes())?;
    write_file(&folder.join("summary.csv"), study.summary_csv().as_bytes())?;
    write_file(&folder.join("measures.json"), &study.json().context("encoding the measures")?)?;
    for metric in Metric::all(&study.tolerances_mm) {
        write_file(&folder.join(format!("{}.svg", metric.key())), study.box_plot(metric).as_bytes())?;
    }
    Ok(())
}
