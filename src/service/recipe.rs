//! What decides a result besides the images: the recipe, and what was ordered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::PrimitiveDateTime;

use crate::anatomy::DerivedConfig;
use crate::anatomy::rules::RulesConfig;
use crate::contour::ContourConfig;
use crate::dicom::data::{Planes, Profile, Series};
use crate::domain::DomainConfig;
use crate::ids::InstanceUid;
use crate::inference::Model;

/// The `[delivery]` section of the configuration: what leaves and on which planes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanesConfig {
    /// On which planes contours are delivered.
    pub planes: Planes,
    /// A series is near-axial when |z| of its slice normal is at least this (0.90 is 26 degrees).
    pub near_axial: f64,
    /// Pixels of a derived axial series are no smaller than this, mm: an acquisition with fine pixels in one direction
    /// would give a series of gigabytes in all three.
    pub derived_pixel_mm: f64,
    /// Structure Set Label, at most 16 characters; a research model's is always `AI RESEARCH`.
    pub structure_set_label: String,
}

impl Default for PlanesConfig {
    fn default() -> Self {
        Self {
            planes: Planes::Axial,
            near_axial: 0.90,
            derived_pixel_mm: 0.5,
            structure_set_label: "AI CONTOURS".into(),
        }
    }
}

impl PlanesConfig {
    /// Every fault of this section, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !(0.5..=1.0).contains(&self.near_axial) {
            faults.push(format!("near_axial is {}: set 0.5 to 1.0", self.near_axial));
        }
        if !(0.1..=2.0).contains(&self.derived_pixel_mm) {
            faults.push(format!("derived_pixel_mm is {}: set 0.1 to 2.0", self.derived_pixel_mm));
        }
        let label = &self.structure_set_label;
        if label.is_empty() || label.len() > 16 || !label.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            faults.push("structure_set_label must be 1 to 16 printable ASCII characters (Eclipse refuses more)".into());
        }
        faults
    }
}

/// Everything but the images that decides a result.
#[derive(Clone)]
pub struct Recipe {
    /// The networks.
    pub model: Arc<Model>,
    /// The anatomical rules.
    pub rules: RulesConfig,
    /// Outlines.
    pub contours: ContourConfig,
    /// Delivered planes.
    pub planes: PlanesConfig,
    /// Structures derived from those that are found.
    pub derived: Vec<DerivedConfig>,
    /// The check of the image, which changes no contour.
    pub domain: DomainConfig,
    /// Digest of the sections above that decide contours; part of the result's UIDs.
    pub config_digest: String,
}

impl Recipe {
    /// Whether contours of this series for `profile` go on an axial series derived from it, not on its own planes.
    pub fn derives(&self, series: &Series, profile: &Profile) -> bool {
        let planes = profile.planes.unwrap_or(self.planes.planes);
        planes == Planes::Axial && !series.near_axial(self.planes.near_axial)
    }
}

/// What names one result among the results of a series.
#[derive(Debug, Clone)]
pub struct Order {
    /// From 1; a late slice makes the next.
    pub revision: u32,
    /// What is wanted, one item for each profile among the destinations; what the first gets is what people are shown.
    pub wanted: Vec<Wanted>,
    /// Frozen time of making: the same order gives the same bytes.
    pub created: PrimitiveDateTime,
}

/// What the destinations of one profile are to get.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How they want it.
    pub profile: Profile,
    /// The structure set that the new one replaces there.
    pub predecessor: Option<InstanceUid>,
}

impl Order {
    /// A first result for one profile.
    pub fn first(profile: Profile, created: PrimitiveDateTime) -> Self {
        Self { revision: 1, wanted: vec![Wanted { profile, predecessor: None }], created }
    }
}
