//! How exact outlines are: ellipsoids of known sections, from probabilities and from masks, on thick oblique planes.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;

use contourd::anatomy::Class;
use contourd::contour::{ContourConfig, Outlines, enclosed, outline_on};
use contourd::geometry::{Field, Grid, Lps, Mask, Shape, Vec3};
use contourd::ids::FrameOfReferenceUid;
use contourd::inference::{Plane, Vote};
use contourd::phantom::Rng;

/// The working grid's voxels, and pixels and gap of the planes that are delivered.
const VOXEL: [f64; 3] = [0.7, 0.7, 0.9];
const DELIVERED: [f64; 3] = [0.5, 0.5, 2.0];
const CASES: usize = 80;

struct Ellipsoid {
    centre: Lps,
    axes: [Vec3; 3],
    radii: [f64; 3],
}

/// Three directions at right angles, evenly at random.
fn turned(rng: &mut Rng) -> [Vec3; 3] {
    let direction = |rng: &mut Rng| {
        let (z, angle) = (rng.within(-1.0, 1.0), rng.within(0.0, TAU));
        let r = (1.0 - z * z).sqrt();
        Vec3::new(r * angle.cos(), r * angle.sin(), z)
    };
    let first = direction(rng);
    let other = direction(rng);
    let second = (other - first * first.dot(other)).unit().unwrap();
    [first, second, first.cross(second)]
}

impl Ellipsoid {
    fn draw(rng: &mut Rng, semi_axes: [f64; 2]) -> Self {
        let mut near = || rng.within(-1.0, 1.0);
        let centre = Lps::new(near(), near(), near());
        let axes = turned(rng);
        Self { centre, axes, radii: std::array::from_fn(|_| rng.within(semi_axes[0], semi_axes[1])) }
    }

    fn relative(&self, p: Lps) -> [f64; 3] {
        std::array::from_fn(|a| self.axes[a].dot(p - self.centre))
    }

    fn contains(&self, p: Lps) -> bool {
        self.relative(p).iter().zip(self.radii).map(|(v, r)| (v / r).powi(2)).sum::<f64>() < 1.0
    }

    /// Signed distance, mm, negative inside: the nearest point of the surface is found by bisection (Eberly 2013).
    fn distance(&self, p: Lps) -> f64 {
        let at = self.relative(p);
        let least = self.radii.iter().copied().fold(f64::INFINITY, f64::min);
        let nearest = |t: f64| -> [f64; 3] {
            std::array::from_fn(|a| self.radii[a].powi(2) * at[a] / (self.radii[a].powi(2) + t))
        };
        let (mut low, mut high) = (1e-9 - least * least, 1e3);
        for _ in 0..60 {
            let t = (low + high) / 2.0;
            let sum: f64 = nearest(t).iter().zip(self.radii).map(|(v, r)| (v / r).powi(2)).sum();
            if sum > 1.0 { low = t } else { high = t }
        }
        let way = nearest(low).iter().zip(at).map(|(v, p)| (v - p).powi(2)).sum::<f64>().sqrt();
        if self.contains(p) { -way } else { way }
    }

    /// The exact area of its section with a plane of a grid, mm2.
    fn section(&self, grid: &Grid, k: usize) -> f64 {
        let normal = grid.axes()[2];
        let height = normal.dot(grid.centre(0, 0, k) - self.centre);
        let reach2: f64 = (0..3).map(|a| (self.radii[a] * normal.dot(self.axes[a])).powi(2)).sum();
        let share = (1.0 - height * height / reach2).max(0.0);
        PI * self.radii.iter().product::<f64>() / reach2.sqrt() * share
    }
}

fn frame() -> FrameOfReferenceUid {
    FrameOfReferenceUid::derive(&["outlines"])
}

/// A working grid about the origin, which lies off its middle.
fn working(reach: f64) -> Arc<Grid> {
    let [cols, rows, slices] = VOXEL.map(|v| (2.0 * reach / v) as usize + 1);
    let start = Lps::new(-reach - 0.3, -reach - 4.5, -reach - 2.0);
    Arc::new(Grid::axis_aligned(frame(), Shape::new(cols + 1, rows + 7, slices + 3), start, VOXEL).unwrap())
}

/// Planes of any orientation about the origin.
fn delivered(rng: &mut Rng, reach: f64) -> Grid {
    let axes = turned(rng);
    let [cols, rows, slices] = DELIVERED.map(|v| (2.0 * reach / v) as usize + 3);
    let mut shift = || reach + rng.within(0.0, 1.0);
    let start = Lps::new(0.0, 0.0, 0.0) - axes[0] * shift() - axes[1] * shift() - axes[2] * (shift() + 1.0);
    Grid::new(frame(), Shape::new(cols, rows, slices), start, axes, DELIVERED).unwrap()
}

/// What polygons enclose, mm3.
fn volume(outlines: &Outlines) -> f64 {
    outlines.contours.iter().map(|c| enclosed(&c.points)).sum::<f64>() * DELIVERED.iter().product::<f64>()
}

/// Relative errors of many ellipsoids.
#[derive(Default)]
struct Errors(Vec<f64>);

impl Errors {
    fn say(&self, of: &str) {
        let n = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / n;
        let deviation = (self.0.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
        let beyond = self.0.iter().filter(|e| e.abs() > 0.02).count();
        println!(
            "  {of:<34} mean {:+.2} %, sd {:.2} %, largest {:.2} %, beyond 2 %: {beyond} of {n}",
            100.0 * mean,
            100.0 * deviation,
            100.0 * self.largest()
        );
    }

    fn largest(&self) -> f64 {
        self.0.iter().map(|e| e.abs()).fold(0.0, f64::max)
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }
}

/// Errors of outlines from a vote and from its mask, and of the mask's voxels counted.
struct Study {
    vote: Errors,
    mask: Errors,
    voxels: Errors,
}

/// Log odds fall by `slope` a millimetre.
fn study(seed: u64, semi_axes: [f64; 2], slope: f64) -> Study {
    let mut rng = Rng::new(seed, "ellipsoids");
    let reach = semi_axes[1] + 5.0;
    let (working, config) = (working(reach), ContourConfig::default());
    let (mut vote_errors, mut mask_errors, mut voxels) = (Errors::default(), Errors::default(), Errors::default());
    for _ in 0..CASES {
        let body = Ellipsoid::draw(&mut rng, semi_axes);
        let planes = delivered(&mut rng, reach);
        let exact = (0..planes.shape().slices).map(|k| body.section(&planes, k)).sum::<f64>() * DELIVERED[2];
        let mut vote = Vote::none(Arc::clone(&working), &Class::ALL);
        let empty = Mask::empty(Arc::clone(&working));
        for offset in 0..empty.data().len() {
            let [i, j, k] = empty.voxel(offset);
            let odds = -slope * body.distance(working.centre(i, j, k));
            for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal] {
                vote.add(Class::Lens, plane, offset, odds as f32);
            }
        }
        let mask = vote.parts().unwrap().of(Class::Lens).on_grid(&working);
        let odds = |voxel: [usize; 3], row: &mut [f32]| vote.log_odds(Class::Lens, voxel, row);
        let drawn = |field: Option<Field>| outline_on(&field.unwrap(), &planes, &config).unwrap();
        vote_errors.0.push(volume(&drawn(Field::new(&mask, Some(&odds)))) / exact - 1.0);
        mask_errors.0.push(volume(&drawn(Field::new(&mask, None))) / exact - 1.0);
        let volume = 4.0 / 3.0 * PI * body.radii.iter().product::<f64>();
        voxels.0.push(mask.cc() * 1000.0 / volume - 1.0);
    }
    println!("semi-axes {} to {} mm, log odds {slope} a mm:", semi_axes[0], semi_axes[1]);
    vote_errors.say("outlines from probabilities");
    mask_errors.say("outlines from the mask");
    voxels.say("(the mask's voxels, counted)");
    Study { vote: vote_errors, mask: mask_errors, voxels }
}

#[test]
fn ellipsoids_keep_their_volume_from_probabilities() {
    for (seed, semi_axes) in [(1, [1.5, 2.5]), (2, [1.5, 6.0]), (3, [3.0, 12.0])] {
        for slope in [1.0, 2.0] {
            let study = study(seed, semi_axes, slope);
            assert!(study.vote.largest() <= 0.02, "{semi_axes:?}: {:.2} %", 100.0 * study.vote.largest());
        }
    }
}

/// From a mask no more can come back than is in it: below diameters of 6 mm its voxels themselves are off by percents.
#[test]
fn ellipsoids_keep_their_volume_from_masks() {
    let large = study(4, [3.0, 12.0], 2.0);
    assert!(large.mask.largest() <= 0.02, "{:.2} %", 100.0 * large.mask.largest());
    for (seed, semi_axes) in [(5, [1.5, 2.5]), (6, [1.5, 6.0])] {
        let small = study(seed, semi_axes, 2.0);
        assert!(small.mask.mean().abs() <= 0.02, "{semi_axes:?}: {:.2} % in the mean", 100.0 * small.mask.mean());
        assert!(small.voxels.largest() > 0.02, "the voxels alone say enough: ask more of the outlines");
    }
}
