//! The images that lights are calibrated on: ordinary ones, and such as a bad day gives.

use std::sync::Arc;

use contourd::geometry::{Lps, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{Acquisition, FieldOfView, Head, ImageOptions, Rng, ghosts, image, motion};

use crate::scans::{head, ordinary};

/// What makes a scan harder than an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Hard {
    /// Up to four times the noise that training knew.
    Noise,
    /// Brightness that drifts over the head.
    Bias,
    /// Copies of the head in phase direction.
    Ghosts,
    /// The head moved a little.
    Motion,
    /// Another contrast: bright tissues drawn together or apart.
    Contrast,
    /// Slices of 3 to 5 mm.
    Thick,
    /// The field of view ends within the head: in front, below, or on one side.
    ShortField,
    /// Voxels of 2 to 3 mm.
    Coarse,
}

impl Hard {
    pub const ALL: [Hard; 8] = [
        Hard::Noise,
        Hard::ShortField,
        Hard::Contrast,
        Hard::Thick,
        Hard::Motion,
        Hard::Bias,
        Hard::Coarse,
        Hard::Ghosts,
    ];
}

/// Every other case of a set is ordinary; the others take turns.
pub fn kind(number: u64) -> Option<Hard> {
    (number % 2 == 1).then(|| Hard::ALL[(number / 2) as usize % Hard::ALL.len()])
}

/// The head of a seed and its image.
pub fn scanned(seed: u64, kind: Option<Hard>) -> (Head, Volume<f32>) {
    let Some(kind) = kind else { return ordinary(seed) };
    let mut rng = Rng::new(seed, "harder case");
    let rng = &mut rng;
    let head = head(seed, rng);
    let usual = ImageOptions::draw(seed);
    let field = head.field_of_view(rng.within(95.0, 150.0));
    let plain = |options: &ImageOptions, field: &FieldOfView, spacing: [f64; 3]| {
        let frame = FrameOfReferenceUid::derive(&["quality", &seed.to_string()]);
        let grid = Acquisition::Axial.grid(frame, field, Some(spacing)).expect("a grid");
        image(&head, &Arc::new(grid), options)
    };
    let fine = [rng.within(0.9, 1.1), rng.within(0.9, 1.1), rng.within(0.9, 1.2)];
    let made = match kind {
        Hard::Noise => plain(&ImageOptions { noise: rng.within(0.06, 0.16), ..usual }, &field, fine),
        Hard::Bias => plain(&ImageOptions { bias: rng.within(0.25, 0.5), ..usual }, &field, fine),
        Hard::Ghosts => ghosts(&plain(&usual, &field, fine), rng, [0.05, 0.2]),
        Hard::Motion => motion(&plain(&usual, &field, fine), rng, [1.0, 5.0]).expect("a grid"),
        Hard::Contrast => {
            let power = if rng.chance(0.5) { rng.within(0.4, 0.65) } else { rng.within(1.5, 2.4) };
            let image = plain(&usual, &field, fine);
            let unit = usual.scale as f32;
            image.map(|v| unit * (v / unit).powf(power as f32))
        }
        Hard::Thick => plain(&usual, &field, [0.7, 0.7, rng.within(3.0, 5.0)]),
        Hard::Coarse => plain(&usual, &field, [rng.within(2.0, 3.0), rng.within(2.0, 3.0), rng.within(2.0, 3.0)]),
        Hard::ShortField => {
            let short = match rng.unit() {
                u if u < 0.4 => shortened(&field, 1, rng.within(14.0, 40.0)),
                u if u < 0.7 => head.field_of_view(rng.within(25.0, 60.0)),
                u if u < 0.85 => shortened(&field, 0, rng.within(30.0, 75.0)),
                _ => shortened(&field, 0, -rng.within(30.0, 75.0)),
            };
            plain(&usual, &short, fine)
        }
    };
    (head, made)
}

/// A field of view without the first millimetres along an axis (without the last, where they are negative).
fn shortened(field: &FieldOfView, axis: usize, by: f64) -> FieldOfView {
    let mut size = field.size;
    size[axis] -= by.abs();
    let mut centre = field.centre.to_array();
    centre[axis] += by / 2.0;
    let [x, y, z] = centre;
    FieldOfView { centre: Lps::new(x, y, z), size }
}
