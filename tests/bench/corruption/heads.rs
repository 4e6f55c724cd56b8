//! Heads in easy and hard poses, some with one eye, on a grid of any spacing, with truth and image.

use std::collections::BTreeMap;
use std::sync::Arc;

use contourd::anatomy::{Side, Structure};
use contourd::geometry::{Grid, Index, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Head, HeadOptions, ImageOptions, Rng, Spread, image, truth};

use super::shapes::{Axes, around, ball};

/// A head before anything is damaged.
#[derive(Clone)]
pub struct Subject {
    pub image: Volume<f32>,
    pub truth: BTreeMap<Structure, Mask>,
    pub axes: Axes,
    /// Median intensity of the brain.
    pub brain_tone: f32,
    /// The middle of the orbit without an eye.
    pub empty_orbit: Option<Lps>,
}

impl Subject {
    /// The head of a number on voxels of some spacing in mm. Every third has one eye; the poses are those of
    /// [`HeadOptions`], then harder ones.
    pub fn new(number: u64, spacing: [f64; 3]) -> Self {
        let missing_eye = [None, None, Some(Side::Left), None, None, Some(Side::Right)][number as usize % 6];
        let usual = HeadOptions { missing_eye, ..HeadOptions::default() };
        let turned = |yaw: f64, pitch: f64, roll: f64| HeadOptions {
            yaw: Spread::within(yaw),
            pitch: Spread::within(pitch),
            roll: Spread::within(roll),
            ..usual.clone()
        };
        let options = match number % 4 {
            0 | 1 => usual.clone(),
            2 => turned(30.0, 20.0, 20.0),
            _ => turned(40.0, 25.0, 30.0),
        };
        let head = Head::new(7000 + number, &options);
        let view = head.field_of_view(75.0);
        let [cols, rows, slices] = std::array::from_fn(|a| (view.size[a] / spacing[a]) as usize + 8);
        let [x, y, z] = std::array::from_fn(|a| [cols, rows, slices][a] as f64 / 2.0 * spacing[a]);
        let origin = view.centre + Vec3::new(-x, -y, -z);
        let frame = FrameOfReferenceUid::derive(&["corruption"]);
        let grid = Grid::axis_aligned(frame, Shape::new(cols, rows, slices), origin, spacing).expect("a grid");
        let grid = Arc::new(grid);
        let image = image(&head, &grid, &ImageOptions::draw(number));
        let truth = truth(&head, &grid);
        let mut tones: Vec<f32> =
            image.data().iter().zip(truth[&Structure::Brain].data()).filter(|(_, b)| **b).map(|(v, _)| *v).collect();
        tones.sort_by(f32::total_cmp);
        let axes = Axes(head.axes());
        let middle = |s: Structure| truth[&s].barycentre();
        let empty_orbit = missing_eye.and_then(|side| {
            let [left, _, _] = axes.0;
            let other = if side == Side::Left { Structure::Eye_R } else { Structure::Eye_L };
            let (eye, chiasm) = (middle(other)?, middle(Structure::OpticChiasm)?);
            Some(eye + left * (-2.0 * left.dot(eye - chiasm)))
        });
        Self { brain_tone: tones[tones.len() / 2], image, truth, axes, empty_orbit }
    }

    /// The middle of a structure that is there.
    pub fn middle(&self, structure: Structure) -> Option<Lps> {
        self.truth[&structure].barycentre()
    }

    /// A tumour beside the chiasm pushes it, and what lies around it, aside; returns where the tumour lies.
    pub fn push_chiasm(&mut self, rng: &mut Rng) -> Option<Lps> {
        let chiasm = self.middle(Structure::OpticChiasm)?;
        let aside = self.axes.by(rng.near(0.0, 1.0), rng.near(0.0, 0.4), rng.near(0.3, 0.7)).unit()?;
        let push = aside * rng.within(3.0, 6.0);
        let from = |p: Lps| {
            let near = (-(p.distance(chiasm) / 11.0).powi(2)).exp();
            p + push * -near
        };
        for mask in self.truth.values_mut() {
            pulled(mask, chiasm, from);
        }
        pulled(&mut self.image, chiasm, from);
        let (radius, tone) = (rng.within(5.0, 8.0), self.brain_tone * rng.within(0.55, 0.8) as f32);
        let tumour = chiasm + push + aside * -(radius + 3.5);
        ball(&mut self.image, tumour, radius, tone);
        Some(tumour)
    }
}

/// Fetches the values within 40 mm of a place from where `from` says.
fn pulled<T: Copy>(volume: &mut Volume<T>, at: Lps, from: impl Fn(Lps) -> Lps) {
    let before = volume.clone();
    let shape = before.grid().shape();
    let within = |v: f64, n: usize| v.round().clamp(0.0, n as f64 - 1.0) as usize;
    around(volume, at, 40.0, |v, p| {
        let Index { i, j, k } = before.grid().to_index(from(p));
        *v = before.at(within(i, shape.cols), within(j, shape.rows), within(k, shape.slices));
    });
}
