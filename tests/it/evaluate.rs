//! Measures beside an independent implementation, and `contourd evaluate` from files to tables: sets of ours and of
//! plastimatch on MR and CT, names renamed, missed and foreign, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

use contourd::anatomy::Structure;
use contourd::contour::rasterise;
use contourd::dicom::data::{Profile, RoiContours, assemble, read_folder, read_planes, read_rtstruct, write_rtstruct};
use contourd::evaluation::{Metric, measure};
use contourd::geometry::{Grid, Lps, Mask, Shape};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::Rng;
use serde_json::Value;

use crate::support::{Heard, contourd, files_in, meta, run};

const TOLERANCES_MM: [f64; 3] = [0.5, 1.0, 2.5];
const PAIRS: u64 = 50;

/// An anisotropic box of a shape of its own, and in it ragged, lopsided structures that lie apart from one another: lumps
/// with a rough surface, holes and specks.
fn random_pair(seed: u64) -> [Mask; 2] {
    let mut rng = Rng::new(seed, "pairs of masks");
    let [cols, rows, slices] = [(); 3].map(|()| 12 + (rng.unit() * 18.0) as usize);
    let spacing = [rng.within(0.4, 1.2), rng.within(0.5, 1.6), rng.within(1.0, 3.5)];
    let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
    let grid = Grid::axis_aligned(frame, Shape::new(cols, rows, slices), Lps::new(-40.0, 3.0, 11.0), spacing).unwrap();
    let grid = Arc::new(grid);
    let size = [cols, rows, slices].map(|n| n as f64);
    let middle = size.map(|n| n * rng.within(0.3, 0.7));
    let radius = size.map(|n| n * rng.within(0.1, 0.35));
    [(); 2].map(|()| {
        let moved: [f64; 3] = std::array::from_fn(|a| middle[a] + rng.within(-0.12, 0.12) * size[a]);
        let stretched = radius.map(|r| r * rng.within(0.7, 1.4));
        let (rough, specks) = (rng.within(0.0, 0.3), rng.within(0.0, 0.004));
        let mut mask = Mask::empty(Arc::clone(&grid));
        for offset in 0..mask.data().len() {
            let at = mask.voxel(offset);
            let out: f64 = (0..3).map(|a| ((at[a] as f64 - moved[a]) / stretched[a]).powi(2)).sum();
            mask.data_mut()[offset] = out < 1.0 + rng.within(-rough, rough) || rng.chance(specks);
        }
        assert!(!mask.is_empty());
        mask
    })
}

/// What tests/peers/measures.py makes of some pairs.
fn by_peer(pairs: &[[Mask; 2]]) -> Vec<BTreeMap<String, Option<f64>>> {
    let folder = tempfile::tempdir().unwrap();
    let mut listed = Vec::new();
    for (n, [found, reference]) in pairs.iter().enumerate() {
        for (mask, kind) in [(found, "found"), (reference, "reference")] {
            let bytes: Vec<u8> = mask.data().iter().map(|v| u8::from(*v)).collect();
            std::fs::write(folder.path().join(format!("{n}.{kind}")), bytes).unwrap();
        }
        let shape = found.grid().shape();
        let size = [shape.cols, shape.rows, shape.slices];
        listed.push(serde_json::json!({"size": size, "spacing": found.grid().spacing()}));
    }
    let work = serde_json::json!({"tolerances_mm": TOLERANCES_MM, "pairs": listed});
    std::fs::write(folder.path().join("pairs.json"), work.to_string()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    run(Command::new("/usr/bin/python3")
        .env("PYTHONPATH", target.join("peers"))
        .arg(root.join("tests/peers/measures.py"))
        .arg(folder.path()));
    serde_json::from_slice(&std::fs::read(folder.path().join("measured.json")).unwrap()).unwrap()
}

#[test]
fn every_measure_agrees_with_scipy_on_fifty_random_pairs() {
    let pairs: Vec<[Mask; 2]> = (0..PAIRS).map(random_pair).collect();
    let peers = by_peer(&pairs);
    assert_eq!(peers.len(), pairs.len());
    let mut apart: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (n, ([found, reference], peer)) in pairs.iter().zip(&peers).enumerate() {
        let ours = measure(found, reference, &TOLERANCES_MM).unwrap();
        for metric in Metric::all(&TOLERANCES_MM) {
            let (key, value) = (metric.key(), metric.of(&ours));
            if matches!(metric, Metric::ReferenceVolume | Metric::FoundVolume) {
                continue;
            }
            let theirs = peer.get(&key).unwrap_or_else(|| panic!("the peer has no {key}"));
            match (value, theirs) {
                (Some(a), Some(b)) => assert!((a - b).abs() < 1e-9, "pair {n}, {key}: {a}, scipy {b}"),
                (a, b) => assert_eq!((a, *b), (None, None), "pair {n}, {key}"),
            }
        }
        // The same ideas by the area of a surface between the voxels: not the same numbers.
        let by_area = |key: &str| peer[&format!("by_area_{key}")].unwrap();
        for mm in TOLERANCES_MM {
            let metric = Metric::SurfaceDice(mm);
            apart.entry("surface Dice").or_default().push(metric.of(&ours).unwrap() - by_area(&metric.key()));
        }
        for (name, metric) in [("HD95, mm", Metric::Hausdorff95), ("mean surface distance, mm", Metric::MeanSurface)] {
            apart.entry(name).or_default().push(metric.of(&ours).unwrap() - by_area(&metric.key()));
        }
    }
    // In the median another discretisation, not another measure: below the distance of slices here, 1 to 3.5 mm.
    let bounds = BTreeMap::from([("surface Dice", 0.1), ("HD95, mm", 1.0), ("mean surface distance, mm", 0.5)]);
    let medians = apart.into_iter().map(|(name, mut values)| {
        values.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let (median, worst) = (values[values.len() / 2].abs(), values[values.len() - 1].abs());
        println!("{name}: surface-distance differs by {median:.3} in the median, at most {worst:.3}");
        (name, median)
    });
    let wide: Vec<(&str, f64)> = medians.filter(|(name, median)| *median >= bounds[name]).collect();
    assert!(wide.is_empty(), "{wide:?}");
}

/// A phantom with its truth, and a set under test: the truth two pixels to the patient's left, without the right lens.
struct Pair {
    folder: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        static MADE: LazyLock<BTreeMap<PathBuf, Vec<u8>>> = LazyLock::new(|| {
            let made = tempfile::tempdir().unwrap();
            run(contourd().arg("phantom").arg(made.path()).args(["--seed", "61", "--spacing", "1.5,1.75,3"]));
            let images = files_in(&made.path().join("mr")).into_iter();
            let named = images.map(|file| (Path::new("series").join(file.file_name().unwrap()), file));
            let truth = (PathBuf::from("reference.dcm"), made.path().join("truth.dcm"));
            named.chain([truth]).map(|(name, file)| (name, std::fs::read(file).unwrap())).collect()
        });
        let pair = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(pair.part("series")).unwrap();
        for (name, bytes) in &*MADE {
            std::fs::write(pair.cases().join("one").join(name), bytes).unwrap();
        }
        let series = assemble(read_folder(&pair.part("series")).unwrap()).unwrap();
        let truth = read_rtstruct(&std::fs::read(pair.part("reference.dcm")).unwrap()).unwrap();
        let moved = |s: Structure| {
            let mut contours = truth.roi(s.name()).unwrap().plane_contours(&series).unwrap();
            contours.iter_mut().flat_map(|c| &mut c.points).for_each(|p| p[0] += 2.0);
            RoiContours { roi: s.into(), contours, volume_cc: 1.0, description: String::new() }
        };
        let rois: Vec<RoiContours> =
            Structure::ALL.into_iter().filter(|s| *s != Structure::Lens_R).map(moved).collect();
        let written = write_rtstruct(&series, &rois, &meta("MOVED"), &Profile::generic()).unwrap();
        std::fs::write(pair.part("test.dcm"), written.bytes).unwrap();
        pair
    }

    fn cases(&self) -> PathBuf {
        self.folder.path().join("cases")
    }

    fn part(&self, name: &str) -> PathBuf {
        self.cases().join("one").join(name)
    }

    /// The verb on the one pair.
    fn evaluate(&self, test: &Path, more: &[&str]) -> Output {
        let mut verb = contourd();
        verb.arg("evaluate").arg("--reference").arg(self.part("reference.dcm")).arg("--test").arg(test);
        verb.arg("--series").arg(self.part("series")).args(more).heard()
    }
}

fn said(out: &Output) -> String {
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The words of a refusal, after its exit status.
fn refusal(out: &Output) -> String {
    let words = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{words}");
    assert!(out.stdout.is_empty(), "a refusal is no result");
    words
}

fn row<'a>(json: &'a Value, case: usize, structure: &str, pooled: bool) -> &'a Value {
    let rows = json["cases"][case]["rows"].as_array().unwrap();
    rows.iter().find(|r| r["structure"] == structure && r["pooled"] == pooled).unwrap_or_else(|| panic!("{structure}"))
}

#[test]
fn a_folder_of_cases_becomes_tables_beside_the_thesis_and_box_plots() {
    let pair = Pair::new();
    let planes = read_planes(&pair.part("series"), None).unwrap();
    let reference = read_rtstruct(&std::fs::read(pair.part("reference.dcm")).unwrap()).unwrap();
    // A second case: plastimatch reads our truth and writes it as its own, on the series as CT.
    let two = pair.cases().join("two");
    std::fs::create_dir_all(two.join("series")).unwrap();
    for file in files_in(&pair.part("series")) {
        let copy = two.join("series").join(file.file_name().unwrap());
        std::fs::copy(&file, &copy).unwrap();
        run(Command::new("dcmodify")
            .args(["-nb", "-imt", "-m", "0008,0060=CT", "-m", "0008,0016=1.2.840.10008.5.1.4.1.1.2"])
            .arg(copy));
    }
    std::fs::copy(pair.part("reference.dcm"), two.join("reference.dcm")).unwrap();
    let foreign = pair.folder.path().join("plastimatch");
    run(Command::new("plastimatch")
        .args(["convert", "--input"])
        .arg(pair.part("reference.dcm"))
        .arg("--referenced-ct")
        .arg(pair.part("series"))
        .arg("--output-dicom")
        .arg(&foreign));
    let written = files_in(&foreign).into_iter().find(|f| f.to_string_lossy().contains("rtss")).unwrap();
    std::fs::copy(written, two.join("test.dcm")).unwrap();
    std::fs::write(pair.cases().join("notes.txt"), "no case").unwrap();

    let output = pair.folder.path().join("out");
    let text = said(&contourd().arg("evaluate").arg("--cases").arg(pair.cases()).arg("--output").arg(&output).heard());
    let json: Value = serde_json::from_slice(&std::fs::read(output.join("measures.json")).unwrap()).unwrap();
    let csv = std::fs::read_to_string(output.join("measures.csv")).unwrap();
    for structure in Structure::ALL {
        let contours = reference.roi(structure.name()).unwrap().placed_on(&planes).unwrap();
        let truth = rasterise(&contours, &planes.grid);
        let cols = planes.grid.shape().cols;
        let mut moved = Mask::empty(Arc::clone(&planes.grid));
        for (to, from) in moved.data_mut().chunks_exact_mut(cols).zip(truth.data().chunks_exact(cols)) {
            to[2..].copy_from_slice(&from[..cols - 2]);
        }
        let missed = structure == Structure::Lens_R;
        let found = if missed { Mask::empty(Arc::clone(&planes.grid)) } else { moved };
        let expected = measure(&found, &truth, &[1.0, 2.0]).unwrap();
        let ours = row(&json, 0, structure.name(), false);
        // Through text, as the file: a parsed number may be off in its last bit.
        let value: Value = serde_json::from_slice(&serde_json::to_vec(&expected).unwrap()).unwrap();
        for key in ["reference_cc", "found_cc", "overlap", "distances"] {
            assert_eq!(ours[key], value[key], "{} {key}", structure.name());
        }
        let dice = Metric::Dice.of(&expected).unwrap();
        let line = csv.lines().find(|l| l.starts_with(&format!("one,{0},false,{0},true,", structure.name()))).unwrap();
        assert!(line.contains(&format!(",{dice},")), "{line}");
        assert_eq!(row(&json, 1, structure.name(), false)["overlap"]["dice"], 1.0, "{}", structure.name());
    }
    // Both lenses together, with the right one missed, and what the two cases make of it.
    let lenses = row(&json, 0, "lens", true);
    assert_eq!(lenses["parts"], serde_json::json!(["Lens_L", "Lens_R"]));
    assert!(lenses["overlap"]["sensitivity"].as_f64().unwrap() < 0.5);
    let summary = std::fs::read_to_string(output.join("summary.csv")).unwrap();
    let line = |start: &str| summary.lines().find(|l| l.starts_with(start)).unwrap().to_owned();
    assert!(line("Lens_R,false,hausdorff_mm,").starts_with("Lens_R,false,hausdorff_mm,2,1,0,0,"));
    assert!(line("lens,true,dice,").ends_with(",0.588,0.558"));
    assert!(line("optic nerves and chiasm,true,hausdorff_mm,").ends_with(",6.3,76.7"));
    let after = |start: &str| text.lines().skip_while(|l| !l.starts_with(start)).take(3).map(str::to_owned).collect();
    let lines: Vec<String> = after("pituitary ");
    let words = |n: usize| lines[n].split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(0)[1..3], ["2", "0"], "{text}");
    assert_eq!(words(1)[3..], ["58.0", "79.7", "83.3", "77.5", "4.60", "0.69"], "{text}");
    assert_eq!(words(2)[4..], ["53.6", "-", "-", "-", "52.50", "2.45"], "{text}");
    // One plot for each measure, with every row in it.
    for metric in Metric::all(&[1.0, 2.0]) {
        let svg = std::fs::read_to_string(output.join(format!("{}.svg", metric.key()))).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{}", metric.key());
        for structure in Structure::ALL {
            assert!(svg.contains(&format!(">{}</text>", structure.name())), "{}", metric.key());
        }
        assert_eq!(
            svg.matches("<polygon").count(),
            if metric.thesis(contourd::evaluation::Pool::Eye).is_some() { 7 } else { 0 }
        );
    }
}

#[test]
fn names_are_renamed_and_what_stands_in_one_set_only_is_listed() {
    let pair = Pair::new();
    let test = pair.folder.path().join("named.dcm");
    std::fs::copy(pair.part("test.dcm"), &test).unwrap();
    let truth = read_rtstruct(&std::fs::read(&test).unwrap()).unwrap();
    let at = |name: &str| truth.rois.iter().position(|roi| roi.name == name).unwrap();
    let named = |name: &str, new: &str| format!("(3006,0020)[{}].(3006,0026)={new}", at(name));
    let (stem, eye) = (named("Brainstem", "Hirnstamm"), named("Eye_L", "Auge li"));
    run(Command::new("dcmodify").args(["-nb", "-m", &stem, "-m", &eye]).arg(&test));

    let text = said(&pair.evaluate(&test, &["--map", "Hirnstamm=Brainstem"]));
    assert!(text.contains("named: only in the set under test, not measured: Auge li\n"), "{text}");
    let cells = |name: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|l| !l.starts_with("Every structure"));
        let line = lines.into_iter().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    // Found under its other name; of the catalogue and found under no name.
    assert_eq!((cells("Brainstem ")[2].as_str(), cells("Eye_L ")[2].as_str()), ("0", "1"));
    assert_eq!((cells("Eye_L ")[5].as_str(), cells("Eye_L ")[13].as_str()), ("0.0", "0.0"));
    let twice = pair.evaluate(&test, &["--map", "Hirnstamm=Brain"]);
    assert!(refusal(&twice).contains("Brain stands 2 times in the set under test"));
}

#[test]
fn what_was_not_drawn_on_the_series_is_refused_in_words() {
    let pair = Pair::new();
    let output = pair.folder.path().join("out");
    let more = ["--output", output.to_str().unwrap()];
    // A slice is missing: the same check as for a series to be segmented.
    let slice = files_in(&pair.part("series")).remove(11);
    let aside = pair.folder.path().join("aside.dcm");
    std::fs::rename(&slice, &aside).unwrap();
    assert!(refusal(&pair.evaluate(&pair.part("test.dcm"), &more)).contains("a slice is missing between"));
    std::fs::rename(&aside, &slice).unwrap();
    // A set in another frame of reference, by one of its structures.
    let other = pair.folder.path().join("other.dcm");
    std::fs::copy(pair.part("test.dcm"), &other).unwrap();
    run(Command::new("dcmodify").args(["-nb", "-m", "(3006,0020)[4].(3006,0024)=1.2.3"]).arg(&other));
    let words = refusal(&pair.evaluate(&other, &more));
    assert!(words.contains("lies in another frame of reference than the series"), "{words}");
    // No set at all, and two sets without a common name.
    assert!(refusal(&pair.evaluate(&slice, &more)).contains("this is not an RT Structure Set"));
    let renamed: Vec<String> = Structure::ALL.iter().map(|s| format!("--map={}=x{}", s.name(), s.name())).collect();
    let renamed: Vec<&str> = renamed.iter().map(String::as_str).collect();
    assert!(said(&pair.evaluate(&pair.part("test.dcm"), &renamed)).contains("\nxBrain "));
    assert!(!output.exists(), "a refusal writes nothing");
    // Bad usage is not bad input.
    let usage = |args: &[&str]| contourd().arg("evaluate").args(args).heard().status.code();
    assert_eq!((usage(&[]), usage(&["--cases", "x", "--tolerance", "-1"])), (Some(64), Some(64)));
    assert_eq!(usage(&["--cases", "x", "--map", "Brain"]), Some(64));
    assert_eq!(usage(&["--cases", pair.folder.path().join("nowhere").to_str().unwrap()]), Some(2));
}
