//! A model's three networks, loaded, checked against the card, and run over an image.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;

use super::plane::{Layout, Window};
use super::{Card, InferenceError, Plane, Runtime, Vote};
use crate::anatomy::Class;
use crate::geometry::Volume;
use crate::ids::sha256_hex;

/// A loaded model. Runs of the same model take turns.
pub struct Model {
    card: Card,
    digest: String,
    execution: super::Execution,
    networks: Vec<Network>,
}

struct Network {
    plane: Plane,
    session: Mutex<Session>,
}

/// A slice takes part when at least this many of its pixels are tissue.
const HEAD_PIXELS: usize = 64;
/// The networks are asked for this many voxels around the head, and for nothing beyond them.
const AROUND_HEAD: usize = 16;
/// A voxel is tissue above this share of the intensity scale.
const HEAD_LEVEL: f32 = 0.03;

impl Model {
    /// Loads a model's folder: the card, then each network after its digest was checked, then one run of each on a
    /// blank slice, so that a provider that cannot work is found now and not with a patient.
    ///
    /// # Errors
    /// Every variant of [`InferenceError`] but `Grid`.
    pub fn load(dir: &Path, runtime: &Runtime) -> Result<Self, InferenceError> {
        let (card, digest) = Card::read(dir)?;
        let mut networks = Vec::new();
        for entry in &card.network {
            let path = dir.join(&entry.file);
            let bytes =
                std::fs::read(&path).map_err(|e| InferenceError::File { path: path.clone(), reason: e.to_string() })?;
            let found = sha256_hex(&bytes);
            if found != entry.sha256.to_ascii_lowercase() {
                return Err(InferenceError::Digest { path, expected: entry.sha256.clone(), found });
            }
            let session = Mutex::new(runtime.session(&path, &bytes)?);
            let network = Network { plane: entry.plane, session };
            let side = card.multiple * 2;
            let (before, after) = card.surround(side);
            let input = before + side + after;
            network.run(
                &vec![0.0; input * input],
                [input; 2],
                [input - 2 * card.border; 2],
                card.classes.len(),
                |_| (),
            )?;
            networks.push(network);
        }
        Ok(Self { card, digest, execution: runtime.execution(), networks })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// SHA-256 of the card, which names the digests of the networks.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The provider the networks run on.
    pub fn execution(&self) -> super::Execution {
        self.execution
    }

    /// Votes of the three networks on a scaled image on the working grid. Slices without head are skipped.
    /// `progress` is called with the share done, 0 to 1.
    ///
    /// # Errors
    /// [`InferenceError::Grid`] for an image of another shape than the card's, [`InferenceError::Network`].
    pub fn run(&self, image: &Volume<f32>, progress: &(dyn Fn(f64) + Sync)) -> Result<Vote, InferenceError> {
        let shape = image.grid().shape();
        let found = [shape.cols, shape.rows, shape.slices];
        if found != self.card.working.shape {
            return Err(InferenceError::Grid { expected: self.card.working.shape, found });
        }
        let mut vote = Vote::none(Arc::clone(image.grid()), &self.card.classes);
        let total: usize = self.networks.iter().map(|n| Layout::of(n.plane, shape).slices).sum();
        let head = self.around_head(image);
        let mut done = 0usize;
        for network in &self.networks {
            let layout = Layout::of(network.plane, shape);
            let window = layout.window(&head);
            for slice in 0..layout.slices {
                self.vote_on_slice(network, image, layout, &window, slice, &mut vote)?;
                done += 1;
                progress(done as f64 / total as f64);
            }
        }
        Ok(vote)
    }

    /// The part of the grid, along each axis, where there is head and a little around it: columns, rows and slices of voxels
    /// with less tissue than a slice needs to take part are outside. The whole of an axis where there is none.
    fn around_head(&self, image: &Volume<f32>) -> [Range<usize>; 3] {
        let shape = image.grid().shape();
        let extents = [shape.cols, shape.rows, shape.slices];
        let level = HEAD_LEVEL * self.card.working.intensity_scale;
        let mut tissue = extents.map(|n| vec![0usize; n]);
        for (row, values) in image.data().chunks_exact(shape.cols).enumerate() {
            let (j, k) = (row % shape.rows, row / shape.rows);
            for (i, value) in values.iter().enumerate() {
                if *value > level {
                    tissue[0][i] += 1;
                    tissue[1][j] += 1;
                    tissue[2][k] += 1;
                }
            }
        }
        std::array::from_fn(|axis| {
            let head = |n: &usize| *n >= HEAD_PIXELS;
            let first = tissue[axis].iter().position(head);
            let last = tissue[axis].iter().rposition(head);
            match (first, last) {
                (Some(a), Some(b)) => {
                    let start = a.saturating_sub(AROUND_HEAD);
                    // Poolings meet the same pixels as on the whole slice.
                    start - start % self.card.multiple..(b + 1 + AROUND_HEAD).min(extents[axis])
                }
                _ => 0..extents[axis],
            }
        })
    }

    fn vote_on_slice(
        &self,
        network: &Network,
        image: &Volume<f32>,
        layout: Layout,
        window: &Window,
        slice: usize,
        vote: &mut Vote,
    ) -> Result<(), InferenceError> {
        let level = HEAD_LEVEL * self.card.working.intensity_scale;
        let pixels = (0..layout.rows).flat_map(|row| (0..layout.cols).map(move |col| layout.offset(slice, row, col)));
        if pixels.filter(|at| image.data()[*at] > level).count() < HEAD_PIXELS {
            return Ok(());
        }
        self.log_odds(network, image, layout, window, slice, |class, at, log_odds| {
            vote.add(class, network.plane, at, log_odds)
        })
    }

    /// What a network says of each pixel of a window of a slice: `tell` is given the class, the position in the volume's
    /// storage, and the class's output less the background's. What lies beyond the slice is zero to the network.
    fn log_odds(
        &self,
        network: &Network,
        image: &Volume<f32>,
        layout: Layout,
        window: &Window,
        slice: usize,
        mut tell: impl FnMut(Class, usize, f32),
    ) -> Result<(), InferenceError> {
        let (asked_rows, asked_cols) = (window.rows.len(), window.cols.len());
        let ((above, below), (left, right)) = (self.card.surround(asked_rows), self.card.surround(asked_cols));
        let (height, width) = (above + asked_rows + below, left + asked_cols + right);
        let mut input = vec![0.0f32; height * width];
        // Pixel (row, col) of the slice is pixel (row + above - first row, ...) of the input.
        let seen = |from: usize, before: usize, count: usize, extent: usize| {
            let shift = from as isize - before as isize;
            (shift.max(0) as usize..((shift + count as isize).max(0) as usize).min(extent), shift)
        };
        let (rows_seen, down) = seen(window.rows.start, above, height, layout.rows);
        let (cols_seen, over) = seen(window.cols.start, left, width, layout.cols);
        for row in rows_seen {
            let line = (row as isize - down) as usize * width;
            for col in cols_seen.clone() {
                let value = image.data()[layout.offset(slice, row, col)];
                input[line + (col as isize - over) as usize] = value * self.card.input_factor;
            }
        }
        let [rows, cols] = [height, width].map(|n| n - 2 * self.card.border);
        network.run(&input, [height, width], [rows, cols], self.card.classes.len(), |logits| {
            let pixels = rows * cols;
            for (n, class) in self.card.classes.iter().enumerate() {
                let background = &logits[2 * n * pixels..(2 * n + 1) * pixels];
                let positive = &logits[(2 * n + 1) * pixels..(2 * n + 2) * pixels];
                for row in 0..asked_rows {
                    for col in 0..asked_cols {
                        let at = row * cols + col;
                        let place = layout.offset(slice, window.rows.start + row, window.cols.start + col);
                        // Softmax of two maps is the logistic function of their difference.
                        tell(*class, place, positive[at] - background[at]);
                    }
                }
            }
        })
    }
}

impl Network {
    /// Runs one slice of `given` (height, width) pixels and hands the logits, `[2 * classes][height][width]` with the height
    /// and width `answered`, to `read`.
    fn run(
        &self,
        input: &[f32],
        given: [usize; 2],
        answered: [usize; 2],
        classes: usize,
        read: impl FnOnce(&[f32]),
    ) -> Result<(), InferenceError> {
        let failed = |reason: String| InferenceError::Network { plane: self.plane, reason };
        let tensor =
            TensorRef::from_array_view(([1usize, 1, given[0], given[1]], input)).map_err(|e| failed(e.to_string()))?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs!["image" => tensor]).map_err(|e| failed(e.to_string()))?;
        let output = outputs.get("logits").ok_or_else(|| failed("it has no output named logits".into()))?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
        let expected = [1, 2 * classes as i64, answered[0] as i64, answered[1] as i64];
        if **shape != expected {
            return Err(failed(format!("it answered with shape {shape:?}, the card promises {expected:?}")));
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(failed(format!("its output is not a finite number at position {at}")));
        }
        read(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::InferenceConfig;
    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    /// A network without padding, made by the trainer's code (fixtures/tiny-valid/README.md), against what PyTorch says of
    /// each pixel: every plane, every slice, the outermost pixels and the surround included.
    #[test]
    fn a_network_without_padding_is_asked_for_every_pixel_as_the_trainer_asks_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-valid");
        let runtime = Runtime::load(&InferenceConfig::default()).unwrap();
        let model = Model::load(&folder, &runtime).unwrap();
        assert_eq!((model.card.multiple, model.card.border), (8, 44));
        let [cols, rows, slices] = model.card.working.shape;
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let shape = Shape::new(cols, rows, slices);
        let grid = Grid::axis_aligned(frame, shape, Lps::new(0.0, 0.0, 0.0), model.card.working.spacing).unwrap();
        let mut image = Volume::filled(Arc::new(grid), 0.0f32);
        for offset in 0..image.data().len() {
            let [i, j, k] = image.voxel(offset);
            image.data_mut()[offset] = ((7 * i + 13 * j + 29 * k + i * j) % 101) as f32 * 10.0;
        }
        let reference = std::fs::read(folder.join("log-odds.f32")).unwrap();
        let reference: Vec<f32> =
            reference.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let voxels = shape.voxels();
        assert_eq!(reference.len(), 3 * model.card.classes.len() * voxels);
        let whole = [0..cols, 0..rows, 0..slices];
        for (n, network) in model.networks.iter().enumerate() {
            let layout = Layout::of(network.plane, shape);
            let mut told = 0;
            for slice in 0..layout.slices {
                let tell = |class: Class, at: usize, found: f32| {
                    let c = model.card.classes.iter().position(|c| *c == class).unwrap();
                    let wanted = reference[(n * model.card.classes.len() + c) * voxels + at];
                    let place = image.voxel(at);
                    assert!((found - wanted).abs() < 1e-3, "{} {place:?}: {found}, PyTorch {wanted}", network.plane);
                    told += 1;
                };
                model.log_odds(network, &image, layout, &layout.window(&whole), slice, tell).unwrap();
            }
            assert_eq!(told, model.card.classes.len() * voxels, "each pixel once");
        }
        // A window is answered as the trainer answers there, away from where it cuts the slice: at its edge up-sampling has
        // nothing to go by.
        for axis in 0..3 {
            let mut part = whole.clone();
            part[axis].start = 8;
            for (n, network) in model.networks.iter().enumerate() {
                let layout = Layout::of(network.plane, shape);
                let mut told = 0;
                let tell = |class: Class, at: usize, found: f32| {
                    let c = model.card.classes.iter().position(|c| *c == class).unwrap();
                    let wanted = reference[(n * model.card.classes.len() + c) * voxels + at];
                    let place = image.voxel(at);
                    let far = place[axis] >= 16 || layout.window(&part) == layout.window(&whole);
                    assert!(place[axis] >= 8 || layout.window(&part) == layout.window(&whole));
                    let off = (found - wanted).abs();
                    assert!(off < if far { 1e-3 } else { 1.0 }, "{} {place:?}: {found} in a window", network.plane);
                    told += 1;
                };
                let window = layout.window(&part);
                let pixels = window.rows.len() * window.cols.len();
                model.log_odds(network, &image, layout, &window, 6, tell).unwrap();
                assert_eq!(told, model.card.classes.len() * pixels);
            }
        }
        // And through the vote: where two of the three say so.
        let vote = model.run(&image, &|_| ()).unwrap();
        let mut found = 0;
        for at in 0..voxels {
            for (c, class) in model.card.classes.iter().enumerate() {
                let count =
                    (0..3).filter(|n| reference[(n * model.card.classes.len() + c) * voxels + at] > 1e-3).count();
                let least =
                    (0..3).filter(|n| reference[(n * model.card.classes.len() + c) * voxels + at] > -1e-3).count();
                let said = usize::from(vote.count(*class, at));
                assert!((count..=least).contains(&said), "{} {:?}", class.name(), image.voxel(at));
                found += usize::from(said >= 2);
            }
        }
        let all = model.card.classes.len() * voxels;
        assert!(
            found > all / 10 && found < all - all / 10,
            "{found} of {all}: a network that says nothing shows nothing"
        );
    }
}
