//! Other people's programs as judges of a result: dciodvfy, dcentvfy, plastimatch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use contourd::anatomy::Structure;
use contourd::anatomy::rules::Finding;
use contourd::contour::rasterise;
use contourd::dicom::data::Series;
use contourd::evaluation::dice;
use contourd::geometry::{Grid, Mask};
use contourd::service::Segmentation;

use crate::support::{files_in, run};

/// Everything dciodvfy says of a file as Error or Warning; it must also end with status 0.
pub fn dciodvfy(file: &Path) -> Vec<String> {
    let out = Command::new("dciodvfy").arg("-new").arg(file).output().expect("dciodvfy (dicom3tools) is needed");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let mut complaints: Vec<String> =
        text.lines().filter(|l| l.starts_with("Error") || l.starts_with("Warning")).map(str::to_owned).collect();
    if !out.status.success() {
        complaints.push(format!("exit status {:?}", out.status.code()));
    }
    complaints
}

fn dcentvfy(files: &[PathBuf]) {
    let out = Command::new("dcentvfy").args(files).output().expect("dcentvfy (dicom3tools) is needed");
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.trim().is_empty(), "dcentvfy complains:\n{said}");
}

/// What plastimatch makes of a structure set: one mask a structure, on the images' grid.
pub fn plastimatch(structure_set: &Path, images: &Path, planes: &Series, scratch: &Path) -> BTreeMap<String, Mask> {
    let prefix = scratch.join("plastimatch");
    // plastimatch ends with status 0 even when it read nothing: what counts is the files.
    run(Command::new("plastimatch")
        .arg("convert")
        .arg("--input")
        .arg(structure_set)
        .arg("--referenced-ct")
        .arg(images)
        .arg("--output-prefix")
        .arg(&prefix)
        .args(["--prefix-format", "mha"]));
    let mut masks = BTreeMap::new();
    for entry in std::fs::read_dir(&prefix).expect("plastimatch wrote nothing").flatten() {
        let path = entry.path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        masks.insert(name, read_mha(&path, planes.volume.grid()));
    }
    masks
}

/// A MetaImage of unsigned bytes, not compressed, whose grid must be `grid` (columns, rows and slices the same way).
fn read_mha(path: &Path, grid: &Arc<Grid>) -> Mask {
    let bytes = std::fs::read(path).unwrap();
    let marker = b"ElementDataFile = LOCAL\n";
    let at = bytes.windows(marker.len()).position(|w| w == marker).expect("a MetaImage header") + marker.len();
    let header = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let field = |key: &str| -> Vec<f64> {
        let line = header.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("{key} in {header}"));
        line.split('=').nth(1).unwrap().split_whitespace().filter_map(|v| v.parse().ok()).collect()
    };
    assert!(header.contains("ElementType = MET_UCHAR") && !header.contains("CompressedData = True"), "{header}");
    let shape = grid.shape();
    assert_eq!(field("DimSize"), [shape.cols as f64, shape.rows as f64, shape.slices as f64], "{header}");
    let offset = field("Offset");
    let origin = grid.origin().to_array();
    // Slices may be stored from the other end.
    let far = grid.centre(0, 0, shape.slices - 1).to_array();
    let near = |a: [f64; 3]| (0..3).all(|n| (a[n] - offset[n]).abs() < 0.01);
    assert!(near(origin) || near(far), "plastimatch places the volume at {offset:?}, we at {origin:?}");
    let slab = shape.cols * shape.rows;
    let mut data: Vec<bool> = bytes[at..].iter().map(|v| *v != 0).collect();
    if !near(origin) {
        data = data.chunks_exact(slab).rev().flatten().copied().collect();
    }
    Mask::new(Arc::clone(grid), data).unwrap()
}

/// A finished case on disk, as another system would get it.
struct Delivered {
    folder: tempfile::TempDir,
    structure_set: PathBuf,
    images: PathBuf,
}

fn write_out(result: &Segmentation, source: &Path) -> Delivered {
    let folder = tempfile::tempdir().unwrap();
    let package = &result.packages[0];
    let structure_set = folder.path().join("rtss.dcm");
    std::fs::write(&structure_set, &package.structure_set.bytes).unwrap();
    let images = if result.packages[0].derived.is_empty() {
        source.to_owned()
    } else {
        let images = folder.path().join("derived");
        std::fs::create_dir(&images).unwrap();
        for (n, object) in package.derived.iter().enumerate() {
            std::fs::write(images.join(format!("{n:04}.dcm")), &object.bytes).unwrap();
        }
        images
    };
    Delivered { folder, structure_set, images }
}

/// Pixels inside further than a voxel from the voxels of a finding, and pixels outside further than a voxel within it.
fn departures(pixels: &Mask, finding: &Mask) -> [usize; 2] {
    let s = finding.grid().shape();
    let voxel = |v: [i64; 3]| {
        let on_grid = v.into_iter().zip([s.cols, s.rows, s.slices]).all(|(v, n)| (0..n as i64).contains(&v));
        on_grid && finding.at(v[0] as usize, v[1] as usize, v[2] as usize)
    };
    let mut found = [0; 2];
    for (offset, inside) in pixels.data().iter().enumerate() {
        let [i, j, k] = pixels.voxel(offset);
        let at = finding.grid().to_index(pixels.grid().centre(i, j, k));
        let nearest = [at.i, at.j, at.k].map(|v| v.round() as i64);
        if voxel(nearest) == *inside {
            continue;
        }
        let mut beside = (0..27).map(|n| [n % 3, n / 3 % 3, n / 9].map(|step| step - 1));
        if !beside.any(|step| voxel(std::array::from_fn(|a| nearest[a] + step[a])) == *inside) {
            found[usize::from(!inside)] += 1;
        }
    }
    found
}

/// The checks that hold for every result. Returns what plastimatch read.
pub fn judge(
    result: &Segmentation,
    found: &BTreeMap<Structure, Finding>,
    series: &Series,
    source: &Path,
) -> BTreeMap<Structure, Mask> {
    let planes = result.derived_series.as_ref().unwrap_or(series);
    let delivered = write_out(result, source);
    assert_eq!(dciodvfy(&delivered.structure_set), Vec::<String>::new(), "dciodvfy on the structure set");
    let images = files_in(&delivered.images);
    if !result.packages[0].derived.is_empty() {
        // Every slice is written by the same code: each seventh, from the first on, and the last.
        for file in images.iter().step_by(7).chain(images.last()) {
            assert_eq!(dciodvfy(file), Vec::<String>::new(), "dciodvfy on a derived slice");
        }
    }
    dcentvfy(&[images, vec![delivered.structure_set.clone()]].concat());

    let mut read = plastimatch(&delivered.structure_set, &delivered.images, planes, delivered.folder.path());
    let mut by_structure = BTreeMap::new();
    for report in &result.report.structures {
        let name = report.structure.name();
        let theirs = read.remove(name);
        assert_eq!(theirs.is_some(), report.found, "{name}: plastimatch has it: {}", theirs.is_some());
        let Some(theirs) = theirs else { continue };
        // The structure on the delivered planes is what its contours enclose.
        let ours = rasterise(&result.contours[&report.structure], planes.volume.grid());
        assert!((ours.cc() - report.volume_cc).abs() < 1e-9, "{name}: {} and {} cm3", ours.cc(), report.volume_cc);
        let [beyond, missing] = departures(&ours, &found[&report.structure].mask);
        assert!(beyond <= report.voxels_filled, "{name}: {beyond} pixels are not near the structure");
        assert!(missing <= report.voxels_dropped, "{name}: {missing} pixels within the structure are missing");
        let likeness = dice(&ours, &theirs).unwrap().unwrap();
        assert!(likeness >= 0.99, "{name}: Dice {likeness:.4} between our mask and plastimatch's reading");
        by_structure.insert(report.structure, theirs);
    }
    assert!(read.is_empty(), "plastimatch read structures that are not ours: {:?}", read.keys());
    by_structure
}
