//! `cargo bench --bench rules_scipy`: the whole rule stage at the full working grid, and its operations one by one, beside
//! the same in scipy and connected-components-3d (`tests/peers/rules.py`), in one run and with the voxels compared. Prints
//! Markdown. Needs `ops/setup --tests`.

#![allow(clippy::expect_used)] // a study that cannot be set up has nothing to say

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use contourd::anatomy::rules::{CorrectionsConfig, NerveConfig, NervePath, RulesConfig, SideRule, apply};
use contourd::anatomy::{Class, Part, Parts, fill_plane_holes, open_along_axes, touches};
use contourd::geometry::{Connectivity, Grid, Lps, Mask, Shape, Volume, components, squared_distances};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Head, HeadOptions, ImageOptions, Rng, Spread, class_labels, image};
use serde_json::{Value, json};

const RUNS: usize = 7;

/// A head turned by 20 and tilted by -12 degrees on the thesis's working grid, with what networks do to it: holes in the
/// brain, islands of every class, nerves interrupted.
fn case() -> (Volume<u8>, Volume<f32>) {
    let frame = FrameOfReferenceUid::derive(&["rules beside scipy"]);
    let start = Lps::new(-111.65, -127.4, -89.55);
    let grid = Grid::axis_aligned(frame, Shape::new(320, 365, 200), start, [0.7, 0.7, 0.9]);
    let grid = Arc::new(grid.expect("a grid"));
    let fixed = Spread::fixed;
    let options = HeadOptions {
        yaw: fixed(20.0),
        pitch: fixed(4.0),
        roll: fixed(-12.0),
        shift: fixed(0.0),
        ..HeadOptions::default()
    };
    let head = Head::new(7, &options);
    let mut labels = class_labels(&head, &grid).labels;
    let image = image(&head, &grid, &ImageOptions::draw(7));
    let mut rng = Rng::new(7, "damage");
    let mut ball = |class: Class, radius: f64, set: bool| {
        let at = Lps::new(rng.within(-70.0, 70.0), rng.within(-90.0, 80.0), rng.within(-70.0, 60.0));
        let reach = [0.7, 0.7, 0.9].map(|edge| (radius / edge) as usize + 1);
        let middle = [at.x - start.x, at.y - start.y, at.z - start.z];
        let middle: [usize; 3] = std::array::from_fn(|a| (middle[a] / [0.7, 0.7, 0.9][a]) as usize);
        let near = |a: usize| middle[a].saturating_sub(reach[a])..=middle[a] + reach[a];
        for [i, j, k] in near(2).flat_map(|k| near(1).flat_map(move |j| near(0).map(move |i| [i, j, k]))) {
            if i < 320 && j < 365 && k < 200 && grid.centre(i, j, k).distance(at) <= radius {
                let old = labels.at(i, j, k);
                labels.set(i, j, k, if set { old | class.bit() } else { old & !class.bit() });
            }
        }
    };
    for n in 0..400 {
        ball(Class::Brain, 0.8 + f64::from(n % 5), n % 4 == 0);
        if n % 8 == 0 {
            Class::ALL.into_iter().for_each(|class| ball(class, 1.0 + f64::from(n % 3), true));
        }
    }
    for offset in 0..labels.data().len() {
        let [i, j, k] = labels.voxel(offset);
        if (-38.0..-28.0).contains(&grid.centre(i, j, k).y) {
            labels.data_mut()[offset] &= !Class::OpticNerve.bit();
        }
    }
    (labels, image)
}

/// Median seconds of some runs, and the last result.
fn timed<T>(mut work: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let start = Instant::now();
        let out = black_box(work());
        (start.elapsed().as_secs_f64(), out)
    };
    let mut out = once().1;
    let mut seconds = Vec::new();
    for _ in 0..RUNS {
        let (took, result) = once();
        seconds.push(took);
        out = result;
    }
    (median(seconds), out)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn write(folder: &Path, name: &str, mask: &Mask) {
    let bytes: Vec<u8> = mask.data().iter().map(|inside| u8::from(*inside)).collect();
    std::fs::write(folder.join(format!("ours.{name}")), bytes).expect("scratch space");
}

fn retained(
    part: &Part,
    keep: impl Fn(&Part, &contourd::geometry::Components, &contourd::geometry::Component) -> bool,
) -> Part {
    let mut part = part.clone();
    let found = components(part.mask(), Connectivity::Corners);
    let wanted: Vec<u32> = found.list.iter().filter(|c| keep(&part, &found, c)).map(|c| c.label).collect();
    found.retain(part.mask_mut(), |c| wanted.contains(&c.label));
    part
}

/// Our seconds of each operation; the results go to files for the other side.
fn ours(labels: &Volume<u8>, image: &Volume<f32>, folder: Option<&Path>) -> BTreeMap<&'static str, f64> {
    let keep = |name: &str, mask: &Mask| folder.into_iter().for_each(|folder| write(folder, name, mask));
    let mut seconds = BTreeMap::new();
    // What has no counterpart in scipy is left out on both sides.
    let cfg = RulesConfig {
        nerve: NerveConfig { path: NervePath::Off, ..NerveConfig::default() },
        corrections: CorrectionsConfig::default().without_rules(),
        ..RulesConfig::default()
    };
    let (took, parts) = timed(|| Parts::of_labels(labels).expect("parts"));
    seconds.insert("boxes", took);
    parts.classes().enumerate().for_each(|(n, class)| keep(&format!("box{n}"), parts.of(class).mask()));
    let of = |class: Class| parts.of(class);
    let mut note = |name: &'static str, work: &mut dyn FnMut() -> Part| {
        let (took, part) = timed(work);
        seconds.insert(name, took);
        keep(name, part.mask());
        part
    };
    let largest = |part: &Part| retained(part, |_, found, c| found.list[0].label == c.label);
    let filled = |part: &Part| {
        let mut part = part.clone();
        fill_plane_holes(&mut part, cfg.brain_hole_planes);
        part
    };
    let whole = filled(&note("largest", &mut || largest(of(Class::Brain))));
    note("holes", &mut || filled(of(Class::Brain)));
    let voxel_cc = labels.grid().voxel_cc();
    note("small", &mut || retained(of(Class::Eye), |_, _, c| c.voxels as f64 * voxel_cc >= cfg.eye_min_cc));
    note("lens", &mut || of(Class::Lens).within(&[of(Class::Eye)]));
    note("off_brain", &mut || retained(of(Class::Hippocampus), |part, found, c| touches(part, found, c, &whole)));
    let none = of(Class::Brain).cleared();
    note("opening", &mut || {
        let mut part = of(Class::Brain).clone();
        open_along_axes(&mut part, [2; 3], &none);
        part
    });
    let brain = of(Class::Brain).mask();
    let s = brain.grid().shape();
    let (took, squared) = timed(|| squared_distances(brain.data(), [s.cols, s.rows, s.slices], brain.grid().spacing()));
    seconds.insert("distance", took);
    if let Some(folder) = folder {
        let bytes: Vec<u8> = squared.iter().flat_map(|d| d.to_le_bytes()).collect();
        std::fs::write(folder.join("ours.distance"), bytes).expect("scratch space");
    }
    // The thesis's sides need no plane to be fitted: with them both programs do the same and all of it.
    let mut planes = BTreeMap::new();
    for (name, sides) in [("stage_box", SideRule::ThesisBox), ("stage", SideRule::HeadAxes)] {
        let cfg = RulesConfig { sides, ..cfg.clone() };
        let (took, result) = timed(|| apply(labels, image, &cfg).expect("one grid"));
        seconds.insert(name, took);
        result.structures.iter().for_each(|(s, finding)| keep(&format!("{name}.{}", s.name()), &finding.mask));
        let plane = json!({"normal": result.plane.normal.to_array(), "point": result.plane.point.to_array()});
        planes.insert(name, json!({"plane": plane, "rules": cfg}));
    }
    if let Some(folder) = folder {
        let shape = labels.grid().shape();
        let case = json!({
            "size": [shape.cols, shape.rows, shape.slices], "spacing": labels.grid().spacing(), "runs": RUNS,
            "origin": labels.grid().origin().to_array(), "stages": planes,
        });
        std::fs::write(folder.join("case.json"), case.to_string()).expect("scratch space");
        std::fs::write(folder.join("labels"), labels.data()).expect("scratch space");
    }
    let (took, _) = timed(|| apply(labels, image, &RulesConfig::default()).expect("one grid"));
    seconds.insert("delivered", took);
    seconds
}

/// Operations in the order of the table: key, words, what the other side uses.
const ROWS: [(&str, &str, &str); 10] = [
    ("boxes", "eight classes, each on its box", "numpy"),
    ("largest", "largest component (brain)", "cc3d, numpy.bincount"),
    ("holes", "holes filled that all three planes close (brain)", "cc3d on planes"),
    ("small", "components below 4 cm3 removed (eyes)", "cc3d, numpy.bincount"),
    ("lens", "lens in eyes", "numpy"),
    ("off_brain", "components off the brain removed (hippocampi)", "cc3d, ndimage.binary_dilation"),
    ("opening", "opening by 2 voxels along x, y, z (brain)", "ndimage.binary_opening"),
    ("distance", "exact distances to the brain", "ndimage.distance_transform_edt"),
    ("stage_box", "the whole stage with the thesis's sides, without the nerves' paths and corrections", "all of these"),
    ("stage", "the whole stage with our sides, whose plane Python is given, likewise", "all of these"),
];

fn main() {
    let (labels, image) = case();
    let scratch = tempfile::tempdir().expect("scratch space");
    let two = ours(&labels, &image, Some(scratch.path()));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let one = pool.install(|| ours(&labels, &image, None));

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new("/usr/bin/python3")
        .env("PYTHONPATH", target.join("peers"))
        .arg(root.join("tests/peers/rules.py"))
        .arg(scratch.path())
        .status();
    assert!(status.expect("python3").success(), "tests/peers/rules.py failed; was ops/setup --tests run?");
    let theirs = std::fs::read(scratch.path().join("theirs.json")).expect("its results");
    let theirs: Value = serde_json::from_slice(&theirs).expect("its results");
    let of = |key: &str| {
        let seconds: Vec<f64> =
            theirs[key]["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        (median(seconds), theirs[key]["differing"].as_u64().expect("a count"))
    };
    println!("| operation | contourd, ms | with one thread, ms | Python, ms | by | times faster | differing voxels |");
    println!("|---|---|---|---|---|---|---|");
    for (key, words, by) in ROWS {
        let (python, differing) = of(key);
        let ratio = python / two[key];
        println!(
            "| {words} | {:.1} | {:.1} | {:.1} | {by} | {ratio:.1} | {differing} |",
            two[key] * 1e3,
            one[key] * 1e3,
            python * 1e3
        );
    }
    let (python, delivered) = (of("stage").0, two["delivered"]);
    println!(
        "| the whole stage as delivered, both nerves traced | {:.1} | {:.1} | {:.1} | without plane and paths | {:.1} | - |",
        delivered * 1e3,
        one["delivered"] * 1e3,
        python * 1e3,
        python / delivered
    );
    let (fill, differing) = of("holes by binary_fill_holes");
    println!(
        "\nHoles by ndimage.binary_fill_holes, which the table does not use: {:.1} ms, {differing} voxels differ.",
        fill * 1e3
    );
    let wrong: u64 = ROWS.iter().map(|(key, ..)| of(key).1).sum();
    assert_eq!(wrong, 0, "voxels differ");
}
