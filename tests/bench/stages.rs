//! `cargo bench --bench stages`: the pure stages between the vote and the structure set, each by itself, on a head-sized
//! organ with a wavy surface. Whole cases are timed by the bench `case`.

#![allow(clippy::expect_used)] // a bench that cannot be set up has nothing to say

use std::hint::black_box;
use std::sync::Arc;

use contourd::anatomy::rules::{self, NerveConfig, NervePath, Rule, RulesConfig};
use contourd::anatomy::{Class, Structure};
use contourd::contour::{ContourConfig, outline_on, rasterise};
use contourd::geometry::{Connectivity, Field, Grid, Lps, Mask, Shape, Vec3, Volume, components, resample_linear};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Head, HeadOptions, Spread, class_labels};
use criterion::{Criterion, criterion_group, criterion_main};

/// The working grid, and an acquisition of 1 mm planes turned by 11 degrees.
fn grids() -> (Arc<Grid>, Arc<Grid>) {
    let frame = FrameOfReferenceUid::derive(&["bench"]);
    let start = Lps::new(-111.65, -127.4, -89.55);
    let working = Grid::axis_aligned(frame.clone(), Shape::new(320, 365, 200), start, [0.7, 0.7, 0.9]);
    let (sin, cos) = 11f64.to_radians().sin_cos();
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, cos, sin), Vec3::new(0.0, -sin, cos)];
    let acquired = Grid::new(frame, Shape::new(256, 248, 180), Lps::new(-127.5, -105.0, -110.0), axes, [1.0; 3]);
    (Arc::new(working.expect("a grid")), Arc::new(acquired.expect("a grid")))
}

/// A brain-sized ellipsoid whose surface waves like gyri do.
fn organ(grid: &Arc<Grid>) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    for offset in 0..mask.data().len() {
        let [i, j, k] = mask.voxel(offset);
        let p = grid.centre(i, j, k);
        let r = ((p.x - 3.0) / 66.0).powi(2) + ((p.y + 5.0) / 83.0).powi(2) + ((p.z - 8.0) / 62.0).powi(2);
        let wave = 0.06 * (p.x / 4.0).sin() * (p.y / 5.0).cos() * (p.z / 6.0).sin();
        mask.data_mut()[offset] = r + wave < 1.0;
    }
    mask
}

/// A head's true labels on the working grid, turned by `yaw` degrees, both optic nerves interrupted for `gap_mm` in their
/// middle: paths are then dearest to find.
fn labels(grid: &Arc<Grid>, yaw: f64, gap_mm: f64) -> Volume<u8> {
    let still = Spread::fixed(0.0);
    let options =
        HeadOptions { yaw: Spread::fixed(yaw), pitch: still, roll: still, shift: still, ..HeadOptions::default() };
    let head = Head::new(7, &options);
    let mut labels = class_labels(&head, grid).labels;
    let back = head.axes()[1];
    for offset in 0..labels.data().len() {
        let [i, j, k] = labels.voxel(offset);
        let behind = back.dot(grid.centre(i, j, k) - Lps::new(0.0, 0.0, 0.0));
        if (behind + 33.0).abs() < gap_mm / 2.0 {
            labels.data_mut()[offset] &= !Class::OpticNerve.bit();
        }
    }
    labels
}

fn stages(c: &mut Criterion) {
    let (working, acquired) = grids();
    let image: Volume<f32> = organ(&acquired).map(|inside| if *inside { 700.0 } else { 0.0 });
    let found = organ(&working);
    let field = Field::new(&found, None).expect("an organ");
    let config = ContourConfig::default();
    let contours = outline_on(&field, &acquired, &config).expect("contours").contours;

    c.bench_function("image to working grid", |b| b.iter(|| resample_linear(black_box(&image), &working, 0.0)));
    c.bench_function("components", |b| b.iter(|| components(black_box(&found), Connectivity::Faces).list.len()));
    c.bench_function("field of a mask", |b| b.iter(|| Field::new(black_box(&found), None).is_some()));
    c.bench_function("outline on acquired planes", |b| {
        b.iter(|| outline_on(black_box(&field), &acquired, &config).map(|o| o.contours.len()))
    });
    let whole = labels(&working, 0.0, 10.0);
    let head = whole.map(|_| 300.0f32);
    for (name, path) in [("rules", NervePath::OwnAxis), ("rules without the nerves' paths", NervePath::Off)] {
        let cfg = RulesConfig { nerve: NerveConfig { path, ..NerveConfig::default() }, ..RulesConfig::default() };
        c.bench_function(name, |b| b.iter(|| rules::apply(black_box(&whole), &head, &cfg).map(|r| r.structures.len())));
    }
    // Eyes, chiasm and nerves alone: all that is done is what both nerves need, and reading the grid for it.
    let optic = Class::Eye.bit() | Class::Chiasm.bit() | Class::OpticNerve.bit();
    for (name, yaw, gap_mm) in [
        ("both optic nerves", 0.0, 0.0),
        ("both optic nerves, 10 mm interrupted", 0.0, 10.0),
        ("both optic nerves, 10 mm interrupted, head turned 40 degrees", 40.0, 10.0),
    ] {
        let labels = labels(&working, yaw, gap_mm).map(|v| v & optic);
        let result = rules::apply(&labels, &head, &RulesConfig::default()).expect("one grid");
        let traced = |s| result.structures[&s].effects.iter().any(|e| e.rule == Rule::Centreline);
        assert!(traced(Structure::OpticNrv_L) && traced(Structure::OpticNrv_R), "{name}: both are traced");
        c.bench_function(name, |b| {
            b.iter(|| rules::apply(black_box(&labels), &head, &RulesConfig::default()).map(|r| r.structures.len()))
        });
    }
    c.bench_function("rasterise", |b| b.iter(|| rasterise(black_box(&contours), &acquired)));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = stages
}
criterion_main!(benches);
