//! What was marked of each class that a model looks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Class, Part};
use crate::geometry::{GeometryError, Grid, Volume};

/// One part for each class that was looked for, on one grid. A class that was not looked for is to a rule like one that was
/// not found, and is in no result.
#[derive(Debug, Clone)]
pub struct Parts {
    grid: Arc<Grid>,
    of: BTreeMap<Class, Part>,
    nothing: Part,
}

impl Parts {
    /// Parts of classes, all of them on `grid`: the caller's promise.
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub fn new(grid: Arc<Grid>, of: BTreeMap<Class, Part>) -> Result<Self, GeometryError> {
        let nothing = Part::nowhere(&grid)?;
        Ok(Self { grid, of, nothing })
    }

    /// The eight classes of a label volume (bit c is `Class::ALL[c]`).
    ///
    /// # Errors
    /// As [`Part::empty`].
    pub fn of_labels(labels: &Volume<u8>) -> Result<Self, GeometryError> {
        Self::new(Arc::clone(labels.grid()), Part::of_labels(labels)?.into_iter().collect())
    }

    /// The whole grid.
    pub fn grid(&self) -> &Arc<Grid> {
        &self.grid
    }

    /// What was marked of a class: nothing, where it was not looked for.
    pub fn of(&self, class: Class) -> &Part {
        self.of.get(&class).unwrap_or(&self.nothing)
    }

    /// The classes that were looked for.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        self.of.keys().copied()
    }

    /// Whether a class was looked for.
    pub fn has(&self, class: Class) -> bool {
        self.of.contains_key(&class)
    }
}
