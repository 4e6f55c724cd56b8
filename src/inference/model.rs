//! A model's three networks, loaded, checked against the card, and run over an image.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ort::session::Session;
use ort::value::TensorRef;

use super::plane::Layout;
use super::{Card, InferenceError, Plane, Runtime, Vote};
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
            network.run(&vec![0.0; side * side], side, side, card.classes.len(), |_| ())?;
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
        let mut vote = Vote::none(Arc::clone(image.grid()));
        let total: usize = self.networks.iter().map(|n| Layout::of(n.plane, shape).slices).sum();
        let mut done = 0usize;
        for network in &self.networks {
            let layout = Layout::of(network.plane, shape);
            for slice in 0..layout.slices {
                self.vote_on_slice(network, image, layout, slice, &mut vote)?;
                done += 1;
                progress(done as f64 / total as f64);
            }
        }
        Ok(vote)
    }

    fn vote_on_slice(
        &self,
        network: &Network,
        image: &Volume<f32>,
        layout: Layout,
        slice: usize,
        vote: &mut Vote,
    ) -> Result<(), InferenceError> {
        let padded = |n: usize| n.div_ceil(self.card.multiple) * self.card.multiple;
        let (height, width) = (padded(layout.rows), padded(layout.cols));
        let level = HEAD_LEVEL * self.card.working.intensity_scale;
        let mut input = vec![0.0f32; height * width];
        let mut tissue = 0usize;
        for row in 0..layout.rows {
            for col in 0..layout.cols {
                let value = image.data()[layout.offset(slice, row, col)];
                tissue += usize::from(value > level);
                input[row * width + col] = value * self.card.input_factor;
            }
        }
        if tissue < HEAD_PIXELS {
            return Ok(());
        }
        network.run(&input, height, width, self.card.classes.len(), |logits| {
            let pixels = height * width;
            for (n, class) in self.card.classes.iter().enumerate() {
                let background = &logits[2 * n * pixels..(2 * n + 1) * pixels];
                let positive = &logits[(2 * n + 1) * pixels..(2 * n + 2) * pixels];
                for row in 0..layout.rows {
                    for col in 0..layout.cols {
                        let at = row * width + col;
                        // Softmax of two maps is the logistic function of their difference.
                        let log_odds = positive[at] - background[at];
                        vote.add(*class, network.plane, layout.offset(slice, row, col), log_odds);
                    }
                }
            }
        })
    }
}

impl Network {
    /// Runs one slice of `height` x `width` pixels and hands the logits, [2 * classes][height][width], to `read`.
    fn run(
        &self,
        input: &[f32],
        height: usize,
        width: usize,
        classes: usize,
        read: impl FnOnce(&[f32]),
    ) -> Result<(), InferenceError> {
        let failed = |reason: String| InferenceError::Network { plane: self.plane, reason };
        let tensor =
            TensorRef::from_array_view(([1usize, 1, height, width], input)).map_err(|e| failed(e.to_string()))?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs!["image" => tensor]).map_err(|e| failed(e.to_string()))?;
        let output = outputs.get("logits").ok_or_else(|| failed("it has no output named logits".into()))?;
        let (shape, values) = output.try_extract_tensor::<f32>().map_err(|e| failed(e.to_string()))?;
        let expected = [1, 2 * classes as i64, height as i64, width as i64];
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
