//! `cargo bench --bench outlines`: contours of twelve structures on 512 x 512 x 200, from findings on the working grid to
//! polygons and to the written RT Structure Set, beside rt-utils (`tests/peers/outlines.py`) in one run: time, and how far
//! the volume that the polygons enclose is from the true one. Prints Markdown. Needs `ops/setup --tests`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a study that cannot be set up has nothing to say

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use contourd::anatomy::{Class, Structure};
use contourd::contour::{ContourConfig, PlaneContour, enclosed, outline_on, rasterise};
use contourd::dicom::data::{
    Profile, RoiContours, Series, StructureSetMeta, assemble, read_folder, read_rtstruct, write_rtstruct,
};
use contourd::geometry::{Field, Grid, LogOdds, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::inference::{Plane, Vote};
use contourd::phantom::{Head, HeadOptions, Spread, truth};
use rayon::prelude::*;
use serde_json::{Value, json};

// Shared with the tests, which use all of it.
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

const RUNS: usize = 7;
/// Log odds fall by so much a millimetre.
const SLOPE: f64 = 2.0;

/// The thesis's working grid, and an acquisition of 512 x 512 x 200 turned by 8 degrees about the left-right axis.
fn grids() -> (Arc<Grid>, Arc<Grid>) {
    let frame = FrameOfReferenceUid::derive(&["outlines beside rt-utils"]);
    let start = Lps::new(-111.65, -127.4, -89.55);
    let working = Grid::axis_aligned(frame.clone(), Shape::new(320, 365, 200), start, [0.7, 0.7, 0.9]);
    let (sin, cos) = 8f64.to_radians().sin_cos();
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, cos, sin), Vec3::new(0.0, -sin, cos)];
    let start = Lps::new(-127.8, -110.3, -116.6);
    let acquired = Grid::new(frame, Shape::new(512, 512, 200), start, axes, [0.5, 0.5, 1.0]);
    (Arc::new(working.expect("a grid")), Arc::new(acquired.expect("a grid")))
}

fn head() -> Head {
    let fixed = Spread::fixed;
    let (yaw, pitch, roll, shift) = (fixed(11.0), fixed(-7.0), fixed(6.0), fixed(0.0));
    Head::new(7, &HeadOptions { yaw, pitch, roll, shift, ..HeadOptions::default() })
}

/// What three networks that are right would say: log odds by the distance to the true surface, found along the normal of
/// the mask, voxel by voxel near it.
fn vote(head: &Head, masks: &BTreeMap<Structure, Mask>, grid: &Arc<Grid>) -> Vote {
    let mut vote = Vote::none(Arc::clone(grid), &Class::ALL);
    for (structure, mask) in masks {
        let Some(extent) = mask.extent() else { continue };
        let rows: Vec<(usize, usize)> = (extent.lo[2] - 2..=extent.hi[2] + 2)
            .flat_map(|k| (extent.lo[1] - 2..=extent.hi[1] + 2).map(move |j| (j, k)))
            .collect();
        let odds = rows.par_iter().flat_map_iter(|(j, k)| {
            (extent.lo[0] - 2..=extent.hi[0] + 2).map(move |i| {
                let inside = mask.at(i, *j, *k);
                let distance = distance(head, *structure, mask, [i, *j, *k]);
                (mask.offset(i, *j, *k), if inside { SLOPE * distance } else { -SLOPE * distance })
            })
        });
        for (offset, odds) in odds.collect::<Vec<_>>() {
            for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal] {
                vote.add(structure.class(), plane, offset, odds as f32);
            }
        }
    }
    vote
}

/// Distance from a voxel to the surface, mm, at most `FAR`.
fn distance(head: &Head, structure: Structure, mask: &Mask, voxel: [usize; 3]) -> f64 {
    const FAR: f64 = 3.0;
    let (grid, [i, j, k]) = (mask.grid(), voxel);
    let here = mask.at(i, j, k);
    let mut normal = Vec3::new(0.0, 0.0, 0.0);
    for n in 0..125 {
        let [a, b, c] = [n % 5, n / 5 % 5, n / 25];
        if mask.at(i + a - 2, j + b - 2, k + c - 2) != here {
            normal = normal + (grid.centre(i + a - 2, j + b - 2, k + c - 2) - grid.centre(i, j, k));
        }
    }
    let Some(normal) = normal.unit() else { return FAR };
    let inside = |t: f64| head.contains(structure, grid.centre(i, j, k) + normal * t);
    let steps = (1..=12).map(|n| f64::from(n) * FAR / 12.0);
    let Some(mut high) = steps.into_iter().find(|t| inside(*t) != here) else { return FAR };
    let mut low = high - FAR / 12.0;
    for _ in 0..8 {
        let middle = (low + high) / 2.0;
        if inside(middle) == here { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

type Drawn = BTreeMap<Structure, Vec<PlaneContour>>;

/// The whole way from findings on the working grid to polygons on the acquired planes.
fn draw(masks: &BTreeMap<Structure, Mask>, vote: Option<&Vote>, planes: &Grid) -> Drawn {
    let config = ContourConfig::default();
    let of = |(structure, mask): (&Structure, &Mask)| {
        let odds = vote.map(|vote| move |voxel, row: &mut [f32]| vote.log_odds(structure.class(), voxel, row));
        let field = Field::new(mask, odds.as_ref().map(|odds| odds as &LogOdds));
        (*structure, outline_on(&field.expect("a structure"), planes, &config).expect("contours").contours)
    };
    masks.par_iter().map(of).collect()
}

fn written(drawn: &Drawn, series: &Series) -> Vec<u8> {
    let rois: Vec<RoiContours> = drawn
        .iter()
        .map(|(structure, contours)| RoiContours {
            roi: (*structure).into(),
            contours: contours.clone(),
            volume_cc: 1.0,
            description: String::new(),
        })
        .collect();
    let meta = StructureSetMeta {
        label: "BENCH".into(),
        research: true,
        model_name: "none".into(),
        model_digest: String::new(),
        config_digest: String::new(),
        revision: 1,
        predecessor: None,
        carried: None,
        created: time::macros::datetime!(2026-01-01 00:00),
    };
    write_rtstruct(series, &rois, &meta, &Profile::generic()).expect("a structure set").bytes
}

/// Seconds of the fastest of some runs after one that warms up (what else the machine does takes time from some), and the
/// last result.
fn timed<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut out = work();
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        out = work();
        seconds.push(start.elapsed().as_secs_f64());
    }
    (fastest(seconds), out)
}

fn fastest(seconds: Vec<f64>) -> f64 {
    seconds.into_iter().fold(f64::INFINITY, f64::min)
}

/// What polygons enclose, cm3.
fn enclosed_cc(contours: &[PlaneContour], grid: &Grid) -> f64 {
    contours.iter().map(|c| enclosed(&c.points).abs()).sum::<f64>() * grid.voxel_cc()
}

/// rt-utils on the true masks of the acquired planes: its seconds to contours and to a file, and what it drew.
fn theirs(truth: &BTreeMap<Structure, Mask>, series: &Series, folder: &Path) -> (f64, f64, Drawn) {
    for (n, mask) in truth.values().enumerate() {
        let bytes: Vec<u8> = mask.data().iter().map(|inside| u8::from(*inside)).collect();
        std::fs::write(folder.join(format!("mask.{n}")), bytes).expect("scratch space");
    }
    let s = series.volume.grid().shape();
    let names: Vec<&str> = truth.keys().map(|structure| structure.name()).collect();
    let case = json!({"size": [s.cols, s.rows, s.slices], "names": names, "runs": RUNS});
    std::fs::write(folder.join("case.json"), case.to_string()).expect("scratch space");
    support::python("outlines.py", &[folder.as_os_str()]);
    let said: Value = serde_json::from_slice(&std::fs::read(folder.join("theirs.json")).expect("its results")).unwrap();
    let seconds = |key: &str| fastest(said[key].as_array().into_iter().flatten().filter_map(Value::as_f64).collect());
    let set = read_rtstruct(&std::fs::read(folder.join("theirs.dcm")).expect("its file")).expect("its file");
    let drawn = truth.keys().map(|structure| {
        let roi = set.roi(structure.name()).expect("a structure");
        (*structure, roi.plane_contours(series).expect("on the planes"))
    });
    (seconds("contours"), seconds("writing"), drawn.collect())
}

fn main() {
    let (working, acquired) = grids();
    let (head, scratch) = (head(), tempfile::tempdir().expect("scratch space"));
    let images: PathBuf = scratch.path().join("images");
    std::fs::create_dir(&images).expect("scratch space");
    let mut image = Volume::filled(Arc::clone(&acquired), 0.0f32);
    image.data_mut().iter_mut().enumerate().for_each(|(n, value)| *value = (n % 997) as f32);
    for (n, object) in support::mr_series(&image, "1.2.840.77.9", "BENCH").iter().enumerate() {
        std::fs::write(images.join(format!("{n:03}.dcm")), &object.bytes).expect("scratch space");
    }
    drop(image);
    let series = assemble(read_folder(&images).expect("images")).expect("a series");
    let planes = Arc::clone(series.volume.grid());

    let found = truth(&head, &working);
    let vote = vote(&head, &found, &working);
    let (mask_s, from_masks) = timed(|| draw(&found, None, &planes));
    let (vote_s, from_vote) = timed(|| draw(&found, Some(&vote), &planes));
    let (write_s, bytes) = timed(|| written(&from_vote, &series));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let (vote_1, _) = pool.install(|| timed(|| draw(&found, Some(&vote), &planes)));
    let (mask_1, _) = pool.install(|| timed(|| draw(&found, None, &planes)));
    let on_planes = truth(&head, &planes);
    let (their_s, their_write_s, their) = theirs(&on_planes, &series, scratch.path());

    println!("| twelve structures on 512 x 512 x 200 | ms | with one thread, ms | rt-utils takes |");
    println!("|---|---|---|---|");
    let ms = |s: f64| format!("{:.0}", 1e3 * s);
    let row = |of: &str, two: f64, one: Option<f64>, by: f64| {
        println!("| {of} | {} | {} | {:.1} times as long |", ms(two), one.map_or("-".into(), ms), by / two);
    };
    row("contourd, findings with probabilities to polygons", vote_s, Some(vote_1), their_s);
    row("contourd, findings alone to polygons", mask_s, Some(mask_1), their_s);
    row("contourd, with probabilities, to the written file", vote_s + write_s, None, their_s + their_write_s);
    println!("| rt-utils, masks of the planes to polygons | {} | {} | |", ms(their_s), ms(their_s));
    println!("| rt-utils, to the written file | {} | {0} | |", ms(their_s + their_write_s));
    println!("\n{:.1} MB in {} polygons.\n", bytes.len() as f64 / 1e6, from_vote.values().map(Vec::len).sum::<usize>());

    println!(
        "| structure | true cm3 | contourd, % | from masks, % | rt-utils, % | its pixels, % | pixels of contourd, % |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut sums = [0.0; 5];
    for structure in found.keys() {
        let cc = head.volume_cc(*structure);
        let pixels = |drawn: &Drawn| rasterise(&drawn[structure], &planes).cc();
        let volumes = [
            enclosed_cc(&from_vote[structure], &planes),
            enclosed_cc(&from_masks[structure], &planes),
            enclosed_cc(&their[structure], &planes),
            pixels(&their),
            pixels(&from_vote),
        ];
        let errors = volumes.map(|v| 100.0 * (v / cc - 1.0));
        sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error.abs() / found.len() as f64);
        let cells: Vec<String> = errors.iter().map(|e| format!("{e:+.2}")).collect();
        println!("| {} | {cc:.3} | {} |", structure.name(), cells.join(" | "));
    }
    let cells: Vec<String> = sums.iter().map(|e| format!("{e:.2}")).collect();
    println!("| mean of the sizes | | {} |", cells.join(" | "));
    println!("\nrt-utils is {:.1} times as far from the true volumes in the mean.", sums[2] / sums[0]);
}
