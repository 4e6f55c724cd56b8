//! What is no head: other parts of the body in the signals of a T1, a test object, noise.

use std::sync::Arc;

use contourd::geometry::{Grid, Lps, Shape, Volume, resample_linear};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::Rng;

/// A solid of a body part: middle, half axes, signal.
type Solid = ([f64; 3], [f64; 3], f32);

/// Abdomen, thorax, one or two thighs, a knee, a bottle of water, in the signals of a T1.
pub fn body_part(seed: u64, rng: &mut Rng) -> Volume<f32> {
    const LONG: f64 = 900.0;
    let (fat, muscle, bone, marrow, fluid, air) = (1.3f32, 0.55, 0.1, 0.85, 0.25, 0.02);
    let mut solids: Vec<Solid> = Vec::new();
    let mut r = |mean: f64, spread: f64| rng.near(mean, spread);
    match seed % 6 {
        0 => {
            let (w, d) = (r(165.0, 15.0), r(115.0, 10.0));
            solids.push(([0.0; 3], [w, d, LONG], fat));
            solids.push(([0.0; 3], [w - 25.0, d - 22.0, LONG], muscle));
            solids.push(([0.0, -8.0, 0.0], [w - 40.0, d - 40.0, LONG], fat));
            solids.push(([-60.0, -10.0, 40.0], [70.0, 60.0, 80.0], 0.8));
            solids.push(([75.0, 5.0, 30.0], [35.0, 40.0, 55.0], 0.65));
            for s in [-1.0, 1.0] {
                solids.push(([s * 60.0, 40.0, -30.0], [26.0, 22.0, 50.0], 0.6));
            }
            solids.push(([0.0, 55.0, 0.0], [26.0, 22.0, LONG], bone));
            solids.push(([0.0, 52.0, 0.0], [22.0, 18.0, LONG], marrow));
            for n in 0..9 {
                let at = [r(0.0, 45.0), r(-45.0, 15.0), r(-40.0, 40.0)];
                solids.push((at, [14.0, 12.0, 20.0], if n % 3 == 0 { air } else { 0.5 }));
            }
        }
        1 => {
            let (w, d) = (r(170.0, 12.0), r(115.0, 8.0));
            solids.push(([0.0; 3], [w, d, LONG], fat));
            solids.push(([0.0; 3], [w - 15.0, d - 14.0, LONG], muscle));
            for s in [-1.0, 1.0] {
                solids.push(([s * 72.0, 5.0, 0.0], [58.0, 80.0, 140.0], air));
            }
            solids.push(([25.0, -35.0, -30.0], [55.0, 45.0, 60.0], 0.5));
            solids.push(([0.0, 65.0, 0.0], [22.0, 20.0, LONG], marrow));
        }
        2 | 3 => {
            let legs: &[f64] = if seed % 6 == 2 { &[0.0] } else { &[-95.0, 95.0] };
            for x in legs {
                let (w, d) = (r(80.0, 8.0), r(82.0, 8.0));
                solids.push(([*x, 0.0, 0.0], [w, d, LONG], fat));
                solids.push(([*x, 0.0, 0.0], [w - 14.0, d - 12.0, LONG], muscle));
                solids.push(([*x + 4.0, -6.0, 0.0], [15.0, 15.0, LONG], bone));
                solids.push(([*x + 4.0, -6.0, 0.0], [9.0, 9.0, LONG], marrow));
            }
        }
        4 => {
            let (w, d) = (r(64.0, 5.0), r(66.0, 5.0));
            solids.push(([0.0; 3], [w, d, LONG], fat));
            solids.push(([0.0; 3], [w - 8.0, d - 8.0, LONG], muscle));
            solids.push(([0.0, 0.0, 130.0], [44.0, 32.0, 127.0], bone));
            solids.push(([0.0, 0.0, 130.0], [42.0, 30.0, 124.0], marrow));
            solids.push(([0.0, 2.0, -130.0], [42.0, 30.0, 126.0], bone));
            solids.push(([0.0, 2.0, -130.0], [40.0, 28.0, 123.0], marrow));
            solids.push(([0.0, -48.0, 12.0], [20.0, 11.0, 22.0], marrow));
            solids.push(([3.0, -34.0, 10.0], [34.0, 4.0, 30.0], fluid));
        }
        _ => {
            // A test object: water in a bottle or a ball, perhaps with inserts.
            let long = if r(0.0, 1.0) > 0.0 { 90.0 } else { LONG };
            solids.push(([0.0; 3], [r(85.0, 8.0), r(90.0, 8.0), long], 1.0));
            for _ in 0..4 {
                solids.push(([r(0.0, 30.0), r(0.0, 30.0), r(0.0, 30.0)], [12.0, 12.0, 18.0], 0.4));
            }
        }
    }
    let frame = FrameOfReferenceUid::derive(&["domain"]);
    let size = [rng.within(300.0, 380.0), rng.within(240.0, 300.0), rng.within(170.0, 240.0)];
    let spacing = [1.9, 1.9, 2.1];
    let [cols, rows, slices] = std::array::from_fn(|a| (size[a] / spacing[a]) as usize);
    let origin = Lps::new(-size[0] / 2.0, -size[1] / 2.0, -size[2] / 2.0);
    let grid = Arc::new(Grid::axis_aligned(frame, Shape::new(cols, rows, slices), origin, spacing).expect("a grid"));
    let mut out = Volume::filled(Arc::clone(&grid), air);
    for n in 0..out.data().len() {
        let [i, j, k] = out.voxel(n);
        let p = grid.centre(i, j, k).to_array();
        for (middle, half, signal) in &solids {
            if (0..3).map(|a| ((p[a] - middle[a]) / half[a]).powi(2)).sum::<f64>() < 1.0 {
                out.data_mut()[n] = *signal;
            }
        }
    }
    with_noise(&mut out, rng, 0.03);
    out
}

fn with_noise(image: &mut Volume<f32>, rng: &mut Rng, sigma: f64) {
    for v in image.data_mut() {
        let (a, b) = (rng.near(0.0, sigma), rng.near(0.0, sigma));
        *v = (((f64::from(*v) + a).powi(2) + b * b).sqrt() * 700.0) as f32;
    }
}

/// Noise: of single voxels, of lumps, or within a ball.
pub fn noise(seed: u64, rng: &mut Rng) -> Volume<f32> {
    let frame = FrameOfReferenceUid::derive(&["domain"]);
    let lump = [1usize, 4, 9][seed as usize % 3];
    let spacing = [1.9, 1.8, 2.0];
    let shape = Shape::new(112, 128, 100);
    let origin = Lps::new(-106.0, -115.0, -100.0);
    let grid = Arc::new(Grid::axis_aligned(frame.clone(), shape, origin, spacing).expect("a grid"));
    let few = Shape::new(shape.cols / lump + 2, shape.rows / lump + 2, shape.slices / lump + 2);
    let coarse = Grid::axis_aligned(frame, few, origin, spacing.map(|s| s * lump as f64)).expect("a grid");
    let values = (0..few.voxels()).map(|_| rng.unit() as f32).collect();
    let coarse = Volume::new(Arc::new(coarse), values).expect("as many voxels");
    let mut out = resample_linear(&coarse, &grid, 0.0);
    let ball = seed.is_multiple_of(2);
    let radius = rng.within(70.0, 100.0);
    for n in 0..out.data().len() {
        let [i, j, k] = out.voxel(n);
        let far = grid.centre(i, j, k).to_array().iter().map(|c| c * c).sum::<f64>().sqrt();
        if ball && far > radius {
            out.data_mut()[n] *= 0.02;
        }
    }
    with_noise(&mut out, rng, 0.02);
    out
}
