//! Analytic shapes through the whole way of a structure: from the working grid to polygons on oblique planes, into a file,
//! out of it, and to pixels again, by us and by plastimatch. The shapes and their sizes are those of RTMaskConformanceTest
//! (B. M. Anderson; its README): seven, two of them hollow and one a ring, which a reader that fills every outline for itself
//! makes solid. It asks for a Dice of 0.99; that would let a shape pass that lies half a pixel off, so more is asked here.

use std::path::Path;
use std::sync::Arc;

use contourd::anatomy::RoiType;
use contourd::contour::{ContourConfig, Holes, PlaneContour, contours_of, outline_on, rasterise};
use contourd::dicom::data::{
    EncodedInstance, Profile, RoiContours, RoiIdentity, Series, assemble, read_folder, read_rtstruct, write_rtstruct,
};
use contourd::evaluation::dice;
use contourd::geometry::{Field, Grid, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::FrameOfReferenceUid;

use crate::conformance::judges::{dciodvfy, plastimatch};
use crate::support::{meta, mr_series};

/// Its name, half the edges of the box around it, mm, and the distance of a point (x, y, z from its middle) from its surface,
/// mm, negative inside.
type Body = (&'static str, [f64; 3], fn(f64, f64, f64) -> f64);

const SEVEN: [Body; 7] = [
    ("sphere", [40.0; 3], |x, y, z| x.hypot(y).hypot(z) - 40.0),
    ("cube", [30.0; 3], |x, y, z| x.abs().max(y.abs()).max(z.abs()) - 30.0),
    ("cylinder", [30.0, 30.0, 40.0], |x, y, z| (x.hypot(y) - 30.0).max(z.abs() - 40.0)),
    ("ellipsoid", [30.0, 50.0, 60.0], ellipsoid),
    ("torus", [80.0, 80.0, 20.0], |x, y, z| (x.hypot(y) - 60.0).hypot(z) - 20.0),
    ("hollow_sphere", [40.0; 3], |x, y, z| (x.hypot(y).hypot(z) - 30.0).abs() - 10.0),
    ("straw", [40.0, 40.0, 60.0], |x, y, z| ((x.hypot(y) - 30.0).abs() - 10.0).max(z.abs() - 60.0)),
];

/// To the first order.
fn ellipsoid(x: f64, y: f64, z: f64) -> f64 {
    let (at, axes) = ([x, y, z], [30.0, 50.0, 60.0]);
    let norm = |power: i32| (0..3).map(|a| (at[a] / f64::powi(axes[a], power)).powi(2)).sum::<f64>().sqrt();
    let (length, slope) = (norm(1), norm(2));
    if slope > 0.0 { (length - 1.0) * length / slope } else { -30.0 }
}

/// The rings of a hollow one: its outside, and its hole.
const RINGS: [(&str, [Body; 2]); 2] = [
    ("hollow_sphere", [SEVEN[0], ("hole", [20.0; 3], |x, y, z| x.hypot(y).hypot(z) - 20.0)]),
    (
        "straw",
        [
            ("outside", [40.0, 40.0, 60.0], |x, y, z| (x.hypot(y) - 40.0).max(z.abs() - 60.0)),
            ("hole", [20.0, 20.0, 60.0], |x, y, z| (x.hypot(y) - 20.0).max(z.abs() - 60.0)),
        ],
    ),
];

/// Dice.
const ENOUGH: f64 = 0.999;

/// Where each lies: off the middle of the images.
const CENTRE: Lps = Lps { x: 6.0, y: -11.0, z: 23.0 };

fn frame() -> FrameOfReferenceUid {
    FrameOfReferenceUid::derive(&["shapes"])
}

/// Oblique planes with pixels that are not square, 2.5 mm apart.
fn planes() -> Grid {
    let (yaw, pitch) = (0.21f64, -0.15f64);
    let across = Vec3::new(yaw.cos(), yaw.sin(), 0.0);
    let down = Vec3::new(-yaw.sin() * pitch.cos(), yaw.cos() * pitch.cos(), pitch.sin());
    let axes = [across, down, across.cross(down)];
    let start = CENTRE - axes[0] * 97.0 - axes[1] * 103.0 - axes[2] * 84.0;
    Grid::new(frame(), Shape::new(208, 178, 67), start, axes, [0.9, 1.1, 2.5]).unwrap()
}

fn mask_of((_, _, distance): Body, grid: &Arc<Grid>) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    for offset in 0..mask.data().len() {
        let [i, j, k] = mask.voxel(offset);
        let p = grid.centre(i, j, k) - CENTRE;
        mask.data_mut()[offset] = distance(p.x, p.y, p.z) < 0.0;
    }
    mask
}

/// Joined to one polygon where there is a hole.
fn keyholes() -> ContourConfig {
    ContourConfig { holes: Holes::Keyhole, ..ContourConfig::default() }
}

/// As the networks would answer on the working grid's voxels, surer by `e` each mm from the surface; drawn on the planes.
fn drawn(body: Body, planes: &Arc<Grid>) -> Vec<PlaneContour> {
    let voxel = [0.7, 0.7, 0.9];
    let [cols, rows, slices] = std::array::from_fn(|a| (2.0 * body.1[a] / voxel[a]) as usize + 9);
    let start = CENTRE - Vec3::new(body.1[0] + 2.9, body.1[1] + 2.3, body.1[2] + 3.1);
    let grid = Arc::new(Grid::axis_aligned(frame(), Shape::new(cols, rows, slices), start, voxel).unwrap());
    let odds = |[i, j, k]: [usize; 3], row: &mut [f32]| {
        for (n, odds) in row.iter_mut().enumerate() {
            let p = grid.centre(i + n, j, k) - CENTRE;
            *odds = -body.2(p.x, p.y, p.z) as f32;
        }
    };
    let field = Field::new(&mask_of(body, &grid), Some(&odds)).unwrap();
    outline_on(&field, planes, &keyholes()).unwrap().contours
}

/// Traced around their own pixels.
fn traced(body: Body, planes: &Arc<Grid>) -> Vec<PlaneContour> {
    contours_of(&mask_of(body, planes), &keyholes()).unwrap()
}

/// Images of nothing in particular on the planes, in a folder and read back.
fn images(folder: &Path) -> Series {
    let mut volume = Volume::filled(Arc::new(planes()), 0.0f32);
    let cols = volume.grid().shape().cols;
    volume.data_mut().iter_mut().enumerate().for_each(|(n, v)| *v = (n % cols) as f32);
    for (n, image) in mr_series(&volume, "1.2.840.77.8", "Shapes^Seven").iter().enumerate() {
        std::fs::write(folder.join(format!("{n:03}.dcm")), &image.bytes).unwrap();
    }
    assemble(read_folder(folder).unwrap()).unwrap()
}

fn structure_set<'a>(series: &Series, shapes: impl Iterator<Item = (&'a str, Vec<PlaneContour>)>) -> EncodedInstance {
    let roi = |(n, (name, contours)): (usize, (&str, Vec<PlaneContour>))| RoiContours {
        roi: RoiIdentity { name: name.into(), structure: None, kind: RoiType::Organ, colour: [40 * n as u8, 200, 90] },
        contours,
        volume_cc: 1.0,
        description: String::new(),
    };
    let rois: Vec<RoiContours> = shapes.enumerate().map(roi).collect();
    write_rtstruct(series, &rois, &meta("SHAPES"), &Profile::generic()).unwrap()
}

/// How like what is read of a set is to what its shapes are, at pixel centres.
fn likeness(set: &EncodedInstance, series: &Series, body: Body) -> f64 {
    let read = read_rtstruct(&set.bytes).unwrap();
    let contours = read.roi(body.0).unwrap().plane_contours(series).unwrap();
    let grid = series.volume.grid();
    dice(&rasterise(&contours, grid), &mask_of(body, grid)).unwrap().unwrap()
}

#[test]
fn seven_analytic_shapes_come_back_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("mr");
    std::fs::create_dir(&source).unwrap();
    let series = images(&source);
    let grid = series.volume.grid();
    for (way, contours) in [("working", drawn as fn(Body, &Arc<Grid>) -> Vec<PlaneContour>), ("planes", traced)] {
        let set = structure_set(&series, SEVEN.iter().map(|body| (body.0, contours(*body, grid))));
        let scratch = folder.path().join(way);
        std::fs::create_dir(&scratch).unwrap();
        let file = scratch.join("rtss.dcm");
        std::fs::write(&file, &set.bytes).unwrap();
        assert_eq!(dciodvfy(&file), Vec::<String>::new());
        let theirs = plastimatch(&file, &source, &series, &scratch);
        for body in SEVEN {
            let ours = likeness(&set, &series, body);
            let other = dice(&theirs[body.0], &mask_of(body, grid)).unwrap().unwrap();
            println!("{way}, {}: Dice {ours:.4}, as plastimatch reads it {other:.4}", body.0);
            assert!(ours >= ENOUGH && other >= ENOUGH, "{way}, {}: {ours:.4}, plastimatch {other:.4}", body.0);
            assert!(way != "planes" || ours == 1.0, "{}: traced pixels are not the same when read: {ours:.6}", body.0);
        }
    }
}

/// Sets of other makers draw a hole as a ring within a ring.
#[test]
fn nested_rings_are_read_even_odd() {
    let folder = tempfile::tempdir().unwrap();
    let series = images(folder.path());
    let rings = |parts: [Body; 2]| parts.into_iter().flat_map(|part| drawn(part, series.volume.grid())).collect();
    let set = structure_set(&series, RINGS.into_iter().map(|(name, parts)| (name, rings(parts))));
    for (name, parts) in RINGS {
        let body = *SEVEN.iter().find(|body| body.0 == name).unwrap();
        let found = likeness(&set, &series, body);
        println!("{name}: Dice {found:.4}");
        assert!(found >= ENOUGH, "{name}: {found:.4}");
        // Filled, it would be far from it.
        let [solid, hollow] = [parts[0], body].map(|b| mask_of(b, series.volume.grid()));
        assert!(dice(&solid, &hollow).unwrap().unwrap() < 0.95);
    }
}
