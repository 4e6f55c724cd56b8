//! What spoils a scan: ghosts, motion, blur, noise, a field of view that wraps around.

use std::sync::Arc;

use super::random::Rng;
use crate::geometry::{GeometryError, Grid, Index, Vec3, Volume, resample_linear, smooth_along};

/// The value at a place shifted by whole voxels, round the corner as Fourier images do.
pub fn rolled(image: &Volume<f32>, shift: [i64; 3]) -> impl Fn(usize) -> f32 + '_ {
    let s = image.grid().shape();
    let extent = [s.cols, s.rows, s.slices];
    move |n| {
        let v = image.voxel(n);
        let at: [usize; 3] = std::array::from_fn(|a| (v[a] as i64 + shift[a]).rem_euclid(extent[a] as i64) as usize);
        image.at(at[0], at[1], at[2])
    }
}

/// Copies of the head over the whole phase direction, as pulsation and periodic motion make them, of a strength within
/// these (relative to the head).
pub fn ghosts(image: &Volume<f32>, rng: &mut Rng, strength: [f64; 2]) -> Volume<f32> {
    let axis = if rng.chance(0.5) { 0 } else { 1 };
    let s = image.grid().shape();
    let extent = [s.cols, s.rows][axis] as f64;
    let copies = 2.0 + (rng.unit() * 3.0).floor();
    let strength = rng.within(strength[0], strength[1]) as f32;
    let shifts: Vec<usize> = (1..copies as usize).map(|n| (extent * n as f64 / copies) as usize).collect();
    let share = strength / shifts.len() as f32;
    let mut out = image.map(|v| v * (1.0 - 0.5 * strength));
    for (r, row) in out.data_mut().chunks_exact_mut(s.cols).enumerate() {
        let j = r % s.rows;
        for by in &shifts {
            let (from, turned) = if axis == 0 { (r, *by) } else { (r - j + (j + by) % s.rows, 0) };
            let (front, back) = image.data()[from * s.cols..(from + 1) * s.cols].split_at(turned);
            row.iter_mut().zip(back.iter().chain(front)).for_each(|(v, ghost)| *v += share * ghost);
        }
    }
    out
}

/// The head moved while it was scanned: the mean of its positions, with the edges of each. It moved by as many mm and
/// degrees, within these, about where it is: what is outlined by its place without motion lies where it was seen.
///
/// # Errors
/// None that a caller can cause.
pub fn motion(image: &Volume<f32>, rng: &mut Rng, far: [f64; 2]) -> Result<Volume<f32>, GeometryError> {
    let far = rng.within(far[0], far[1]);
    let mut places: Vec<(Vec3, f64, f32)> = (0..5)
        .map(|_| {
            let by = Vec3::new(rng.within(-0.5, 0.5) * far, rng.within(-1.0, 1.0) * far, rng.within(-1.0, 1.0) * far);
            (by, rng.within(-1.0, 1.0) * far, rng.within(0.5, 1.0) as f32)
        })
        .collect();
    let total: f32 = places.iter().map(|p| p.2).sum();
    let none = (Vec3::new(0.0, 0.0, 0.0), 0.0);
    let mean = places.iter().fold(none, |(by, turn), p| {
        let share = f64::from(p.2 / total);
        (by + p.0 * share, turn + p.1 * share)
    });
    places.iter_mut().for_each(|p| (p.0, p.1) = (p.0 - mean.0, p.1 - mean.1));
    let grid = image.grid();
    let s = grid.shape();
    let middle = grid.to_lps(Index::new(s.cols as f64 / 2.0, s.rows as f64 / 2.0, s.slices as f64 / 2.0));
    let mut out = Volume::filled(Arc::clone(grid), 0.0f32);
    for (by, degrees, weight) in places {
        let (sin, cos) = degrees.to_radians().sin_cos();
        // Where what is seen at a voxel is in the head that did not move.
        let back = |v: Vec3| Vec3::new(v.x, v.y * cos + v.z * sin, v.z * cos - v.y * sin);
        let origin = middle + back(grid.origin() - middle - by);
        let seen = Grid::new(grid.frame().clone(), s, origin, grid.axes().map(back), grid.spacing())?;
        let seen = resample_linear(image, &Arc::new(seen), 0.0);
        out.data_mut().iter_mut().zip(seen.data()).for_each(|(o, v)| *o += v * weight / total);
    }
    Ok(out)
}

/// Convolved with a Gaussian of this standard deviation in mm, as filters and interpolated matrices soften; beyond the
/// field of view lies what lies at its border.
pub fn softened(mut image: Volume<f32>, deviation: f64) -> Volume<f32> {
    for (axis, spacing) in image.grid().spacing().into_iter().enumerate() {
        smooth_along(&mut image, axis, deviation / spacing);
    }
    image
}

/// With more noise, Rician, of this standard deviation in each channel in the units of the image.
pub fn noisier(mut image: Volume<f32>, rng: &mut Rng, deviation: f64) -> Volume<f32> {
    let mut channel = || rng.near(0.0, deviation) as f32;
    image.data_mut().iter_mut().for_each(|v| *v = rician(*v, channel(), channel()));
    image
}

/// Magnitude of a signal with noise in both of its channels.
#[inline]
pub fn rician(signal: f32, real: f32, imaginary: f32) -> f32 {
    let real = signal + real;
    (real * real + imaginary * imaginary).sqrt()
}
