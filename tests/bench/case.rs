//! `cargo bench --bench case [-- FOLDER]`: time and peak memory of each stage for one series.
//!
//! Without a folder it makes the series from Colin27 (`ch2.nii.gz` of Debian's mricron-data) first. Peak memory is the
//! kernel's high-water mark of the resident set, reset before each stage (`/proc/self/clear_refs`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use contourd::config::Config;
use contourd::dicom::data::{Profile, assemble, read_folder};
use contourd::inference::Runtime;
use contourd::service::{Order, Stage, segment_series};

const HEAD: &str = "/usr/share/mricron/templates/ch2.nii.gz";
const RUNS: usize = 3;

fn reset_peak() {
    // 5 resets the high-water mark (proc(5)); where it cannot, the figures are peaks since the start.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = tempfile::tempdir()?;
    let given = std::env::args().skip(1).find(|a| !a.starts_with('-')).map(PathBuf::from);
    let folder = match given {
        Some(folder) => folder,
        None => {
            let folder = scratch.path().join("series");
            let made = Command::new(env!("CARGO_BIN_EXE_contourd"))
                .args(["demo-series", HEAD])
                .arg(&folder)
                .args(["--acquisition", "axial"])
                .status()?;
            assert!(made.success(), "demo-series failed; is mricron-data installed?");
            folder
        }
    };
    let config = Config::parse("").map_err(|faults| format!("{faults:?}"))?;
    let runtime = Runtime::load(&config.inference)?;
    reset_peak();
    let start = Instant::now();
    let recipe = config.recipe(&runtime, None)?;
    println!("{:<12} {:>8.2} s   peak {:>6.0} MiB", "load model", start.elapsed().as_secs_f64(), peak_mib());

    let mut seconds: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut peaks: BTreeMap<&str, f64> = BTreeMap::new();
    for _ in 0..RUNS {
        reset_peak();
        let start = Instant::now();
        let series = assemble(read_folder(&folder)?)?;
        seconds.entry("0 read").or_default().push(start.elapsed().as_secs_f64());
        peaks.insert("0 read", peak_mib());
        let peak_of = Mutex::new(BTreeMap::new());
        let order = Order::first(Profile::generic(), time::macros::datetime!(2026-01-01 00:00));
        let progress = |stage: Stage, share: f64| {
            if share == 0.0 {
                reset_peak();
            } else if share >= 1.0 {
                peak_of.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name(stage), peak_mib());
            }
        };
        let result = segment_series(&series, &recipe, &order, &progress)?;
        for (stage, took) in &result.report.seconds {
            seconds.entry(name(*stage)).or_default().push(*took);
        }
        peaks.extend(peak_of.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
    let mut total = 0.0;
    for (stage, mut took) in seconds {
        took.sort_by(f64::total_cmp);
        total += took[took.len() / 2];
        println!(
            "{:<12} {:>8.2} s   peak {:>6.0} MiB   ({RUNS} runs: {took:.2?})",
            stage,
            took[took.len() / 2],
            peaks[stage]
        );
    }
    println!("{:<12} {total:>8.2} s   (sum of the medians, execution = {})", "whole case", runtime.execution());
    Ok(())
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Preprocess => "1 prepare",
        Stage::Networks => "2 networks",
        Stage::Rules => "3 rules",
        Stage::Contours => "4 contours",
        Stage::Write => "5 write",
    }
}
