//! Synthetic heads whose optic nerves are damaged as networks damage them, shared by the bench `nerve` and its test.

use std::collections::BTreeMap;
use std::sync::Arc;

use contourd::anatomy::rules::{Consistent, NerveConfig, NervePath, RulesConfig, apply};
use contourd::anatomy::{Class, Side, Structure};
use contourd::evaluation::measure;
use contourd::geometry::{Grid, Lps, Mask, Shape, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Head, HeadOptions, ImageOptions, Rng, Spread, image, truth};

use crate::nerve_damage::{Damage, connected, damage_one, mark};

/// A head turned by yaw, pitch and roll (degrees), with its truth around eyes and chiasm on the thesis's voxels.
pub struct Case {
    pub labels: Volume<u8>,
    pub image: Volume<f32>,
    pub truth: BTreeMap<Structure, Mask>,
}

const SIDES: [(Side, Structure, Structure); 2] =
    [(Side::Left, Structure::OpticNrv_L, Structure::Eye_L), (Side::Right, Structure::OpticNrv_R, Structure::Eye_R)];

impl Case {
    pub fn new(seed: u64, [yaw, pitch, roll]: [f64; 3]) -> Self {
        let options = HeadOptions {
            yaw: Spread::fixed(yaw),
            pitch: Spread::fixed(pitch),
            roll: Spread::fixed(roll),
            shift: Spread::within(9.0),
            ..HeadOptions::default()
        };
        let head = Head::new(seed, &options);
        let grid = grid_around(&head);
        let truth = truth(&head, &grid);
        let image = image(&head, &grid, &ImageOptions::draw(seed));
        let labels = Volume::filled(Arc::clone(&grid), 0u8);
        let mut case = Self { labels, image, truth };
        // No brain: a piece of one would only mislead; the sides come from the eyes.
        for (structure, mask) in case.truth.iter().filter(|(s, _)| **s != Structure::Brain) {
            mark(&mut case.labels, structure.class(), mask);
        }
        case
    }

    /// The labels with both nerves damaged.
    pub fn damaged(&self, seed: u64, damage: Damage) -> Volume<u8> {
        let mut labels = self.labels.map(|v| v & !Class::OpticNerve.bit());
        for (side, nerve, eye) in SIDES {
            let mut rng = Rng::new(seed, if side == Side::Left { "left nerve" } else { "right nerve" });
            let (from, to) = self.ends(eye);
            mark(&mut labels, Class::OpticNerve, &damage_one(&self.truth[&nerve], from, to, damage, &mut rng));
        }
        labels
    }

    /// The back of an eye and the middle of the chiasm.
    fn ends(&self, eye: Structure) -> (Lps, Lps) {
        let middle = |s: Structure| self.truth[&s].barycentre().expect("an eye and a chiasm");
        let (eye, chiasm) = (middle(eye), middle(Structure::OpticChiasm));
        let back = (chiasm - eye).unit().expect("eye and chiasm apart");
        (eye + back * 12.0, chiasm)
    }
}

/// A grid of the thesis's voxels around both eyes and the chiasm, 14 mm wider on every side.
fn grid_around(head: &Head) -> Arc<Grid> {
    let frame = FrameOfReferenceUid::derive(&["nerve cases"]);
    let coarse = Grid::axis_aligned(frame.clone(), Shape::new(84, 92, 80), Lps::new(-126.0, -138.0, -130.0), [3.0; 3]);
    let coarse = Arc::new(coarse.expect("a grid"));
    let found = truth(head, &coarse);
    let (mut lo, mut hi) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    for structure in [Structure::Eye_L, Structure::Eye_R, Structure::OpticChiasm] {
        let mask = &found[&structure];
        for offset in (0..mask.data().len()).filter(|n| mask.data()[*n]) {
            let [i, j, k] = mask.voxel(offset);
            for (a, v) in coarse.centre(i, j, k).to_array().into_iter().enumerate() {
                (lo[a], hi[a]) = (lo[a].min(v), hi[a].max(v));
            }
        }
    }
    let spacing = [0.7, 0.7, 0.9];
    let [cols, rows, slices] = std::array::from_fn(|a| ((hi[a] - lo[a] + 28.0) / spacing[a]) as usize);
    let origin = Lps::new(lo[0] - 14.0, lo[1] - 14.0, lo[2] - 14.0);
    Arc::new(Grid::axis_aligned(frame, Shape::new(cols, rows, slices), origin, spacing).expect("a grid"))
}

/// How one delivered nerve compares with its truth.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub dice: f64,
    pub hausdorff_mm: Option<f64>,
    pub mean_mm: Option<f64>,
    /// One component touches the masks of eye and chiasm.
    pub connected: bool,
}

/// Runs the rules on labels, and measures both nerves, left first.
pub fn outcomes(case: &Case, labels: &Volume<u8>, nerve: &NerveConfig) -> ([Outcome; 2], Consistent) {
    let cfg = RulesConfig { nerve: nerve.clone(), ..RulesConfig::default() };
    let result = apply(labels, &case.image, &cfg).expect("one grid");
    let measured = SIDES.map(|(_, nerve, eye)| {
        let (got, want) = (&result.structures[&nerve].mask, &case.truth[&nerve]);
        let measured = measure(got, want, &[]).expect("one grid");
        Outcome {
            dice: measured.overlap.map_or(1.0, |o| o.dice),
            hausdorff_mm: measured.distances.map(|d| d.hausdorff_mm),
            mean_mm: measured.distances.map(|d| d.mean_mm),
            connected: connected(got, &result.structures[&eye].mask, &result.structures[&Structure::OpticChiasm].mask),
        }
    });
    (measured, result)
}

/// The three ways of finding a nerve that are compared: component rule, the thesis's path, the nerve's own axis.
pub fn methods() -> [(&'static str, NerveConfig); 3] {
    let of = |path| NerveConfig { path, ..NerveConfig::default() };
    [("component", of(NervePath::Off)), ("thesis_y", of(NervePath::ThesisY)), ("own_axis", of(NervePath::OwnAxis))]
}
