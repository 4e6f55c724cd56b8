//! What a worker segments with.

use std::collections::BTreeMap;

use super::recipe::{Order, Recipe};
use super::segment::{SegmentError, Segmentation, segment_series};
use crate::contour::ContourConfig;
use crate::dicom::data::Series;

/// What segments a series. The daemon's is [`Recipes`].
pub trait Segmenter: Send + Sync + 'static {
    /// Digest of everything but images and model that decides a result.
    fn config_digest(&self) -> String;

    /// How outlines are drawn.
    fn contours(&self) -> ContourConfig;

    /// Segments `series` with the model of that name, or the default one. Runs for minutes on a thread of its own.
    ///
    /// # Errors
    /// [`SegmentError::Refused`] when the images are not fit; anything else is a fault of ours.
    fn segment(&self, series: &Series, model: Option<&str>, order: &Order) -> Result<Segmentation, SegmentError>;
}

/// A recipe for each model that a route names, and the default one.
pub struct Recipes {
    /// For routes that name no model.
    pub default: Recipe,
    /// By name of the model.
    pub by_model: BTreeMap<String, Recipe>,
}

impl Segmenter for Recipes {
    fn config_digest(&self) -> String {
        self.default.config_digest.clone()
    }

    fn contours(&self) -> ContourConfig {
        self.default.contours.clone()
    }

    fn segment(&self, series: &Series, model: Option<&str>, order: &Order) -> Result<Segmentation, SegmentError> {
        let recipe = match model {
            None => &self.default,
            Some(name) => self
                .by_model
                .get(name)
                .ok_or_else(|| SegmentError::Bug(format!("the model {name:?} of the route is not loaded")))?,
        };
        segment_series(series, recipe, order, &|_, _| ())
    }
}
