//! The model's card: classes, grid, normalisation, networks with their digests, origin and licence.

use std::path::Path;

use serde::Deserialize;

use super::{InferenceError, Plane};
use crate::anatomy::quality::Limits;
use crate::anatomy::{Class, Description, describe};
use crate::geometry::WorkingSpec;
use crate::ids::sha256_hex;

/// How the networks treat the border of their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Convolutions pad with zeros; the output has the size of the input.
    Same,
    /// Convolutions do not pad, as in the thesis: the output lacks [`Card::border`] pixels on each side of the input.
    Valid,
}

/// One network of a model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkEntry {
    /// The slices it was trained on.
    pub plane: Plane,
    /// File name inside the model's folder.
    pub file: String,
    /// Lower-case hexadecimal SHA-256 of that file.
    pub sha256: String,
}

/// `card.toml`. Facts that serving needs are fields; how it was trained is kept as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Version of this format; 1.
    pub format: u32,
    /// Name, equal to the folder's.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// Date of training.
    pub created: String,
    /// `research`: every object made with it carries the research marks.
    pub purpose: String,
    /// What it is for and what not, in words for people.
    pub statement: String,
    /// Licence of the weights.
    pub licence: String,
    /// Classes in the order of the network's outputs: class c has channels 2c (background) and 2c + 1 (class).
    pub classes: Vec<Class>,
    /// Those of them that contourd does not know by itself.
    #[serde(default)]
    pub class: Vec<Description>,
    /// Working grid and intensity rule of training.
    pub working: WorkingSpec,
    /// The scaled image is multiplied by this before it enters a network.
    pub input_factor: f32,
    /// Treatment of borders.
    pub padding: Padding,
    /// Two to the number of poolings. With "same" padding, extents of input and output are multiples of it; with "valid",
    /// extents of the output are 4 more than a multiple: the two unpadded 3x3 convolutions of the lowest level.
    pub multiple: usize,
    /// Pixels that the output lacks on each side; 0 with "same" padding.
    #[serde(default)]
    pub border: usize,
    /// The three networks.
    pub network: Vec<NetworkEntry>,
    /// How it was trained: data, exact commands, recipe, seed, versions.
    pub training: toml::Table,
    /// Measured figures on held-out heads, at most one entry a class.
    #[serde(default)]
    pub validation: Vec<Validation>,
    /// What is usual for its structures. Without it no structure gets a green light.
    #[serde(default)]
    pub quality: Option<Limits>,
}

/// Dice of one class over held-out heads, after the vote and before the rules; both sides of an organ together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Which class.
    pub class: Class,
    /// Mean.
    pub dice_mean: f64,
    /// Of the worst head.
    pub dice_min: f64,
    /// Heads.
    pub n: u32,
}

/// The part of a card without which the rest cannot be read.
#[derive(Deserialize)]
struct Descriptions {
    #[serde(default)]
    class: Vec<Description>,
}

/// A model knows at most this many classes: the bits of a training label.
const MOST_CLASSES: usize = 32;

impl Card {
    /// Reads and checks `card.toml` in a model's folder; returns the card and the model's digest: the SHA-256 of the
    /// card, which names the SHA-256 of every network.
    ///
    /// # Errors
    /// [`InferenceError::File`], [`InferenceError::Card`].
    pub fn read(dir: &Path) -> Result<(Self, String), InferenceError> {
        let path = dir.join("card.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| InferenceError::File { path: path.clone(), reason: e.to_string() })?;
        let bad = |reason: String| InferenceError::Card { path: path.clone(), reason };
        // Descriptions first: only then is a described class a name like any.
        let described: Descriptions = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
        describe(&described.class).map_err(bad)?;
        let card: Card = toml::from_str(&text).map_err(|e| bad(e.to_string()))?;
        card.check().map_err(bad)?;
        if dir.file_name().and_then(|n| n.to_str()) != Some(card.name.as_str()) {
            return Err(bad(format!("it names the model {:?}, but the folder has another name", card.name)));
        }
        Ok((card, sha256_hex(text.as_bytes())))
    }

    /// Whether objects made with this model carry the research marks.
    pub fn is_research(&self) -> bool {
        // Anything but an explicit "clinical" is research.
        self.purpose != "clinical"
    }

    /// Zeros to add before and after an axis of `pixels` so that the network predicts all of it, each pixel once, on the
    /// same lattice of poolings as the trainer (`UNet.surround`): the border, and at the high end what makes every pooling
    /// exact. A whole slice is one tile, so no two tiles have to overlap.
    pub fn surround(&self, pixels: usize) -> (usize, usize) {
        let more = match self.padding {
            Padding::Same => 0,
            Padding::Valid => 4,
        };
        let up = (self.multiple - pixels % self.multiple + more) % self.multiple;
        (self.border, self.border + up)
    }

    /// Classes are known or described here, and what is described here is one of them.
    fn check_classes(&self) -> Result<(), String> {
        let mut classes = self.classes.clone();
        classes.sort();
        classes.dedup();
        if !(1..=MOST_CLASSES).contains(&classes.len()) || classes.len() != self.classes.len() {
            return Err(format!("classes must name each class once, and 1 to {MOST_CLASSES} of them"));
        }
        let here = |name: &str| self.class.iter().any(|d| d.name == name);
        let foreign = self.classes.iter().find(|class| class.index().is_none() && !here(class.name()));
        if let Some(class) = foreign {
            return Err(format!("classes: {:?} is neither known nor described in [[class]]", class.name()));
        }
        for (n, of) in (1..).zip(&self.class) {
            if !self.classes.iter().any(|class| class.name() == of.name) {
                return Err(format!("class[{n}].name {:?} is not among classes", of.name));
            }
            if let Some(by) = of.enclosed_by.filter(|by| !self.classes.contains(by)) {
                return Err(format!("class[{n}].enclosed_by {:?} is not among classes", by.name()));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if self.format != 1 {
            return Err(format!("format {} is not known to this version (it knows 1)", self.format));
        }
        if self.purpose != "research" {
            return Err(format!("purpose = {:?}: this version serves research models only", self.purpose));
        }
        self.check_classes()?;
        let mut planes: Vec<Plane> = self.network.iter().map(|n| n.plane).collect();
        planes.sort();
        if planes != [Plane::Axial, Plane::Coronal, Plane::Sagittal] {
            return Err("there must be exactly one network for each of axial, coronal and sagittal".into());
        }
        for network in &self.network {
            let plain = !network.file.is_empty()
                && network.file.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
                && !network.file.starts_with('.');
            if !plain {
                return Err(format!("network file {:?} must be a plain file name", network.file));
            }
            if network.sha256.len() != 64 || !network.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(format!("network {}: sha256 must be 64 hexadecimal digits", network.plane));
            }
        }
        if !(1..=64).contains(&self.multiple) {
            return Err(format!("multiple = {} must lie between 1 and 64", self.multiple));
        }
        match self.padding {
            Padding::Same if self.border != 0 => {
                return Err(format!("border = {}: with padding = \"same\" there is none", self.border));
            }
            Padding::Valid if !(2..=1024).contains(&self.border) || !self.multiple.is_power_of_two() => {
                return Err(format!(
                    "padding = \"valid\" needs border (2 to 1024, here {}) and multiple as a power of two (here {})",
                    self.border, self.multiple
                ));
            }
            Padding::Same | Padding::Valid => {}
        }
        if !(self.input_factor.is_finite() && self.input_factor > 0.0) {
            return Err("input_factor must be a positive number".into());
        }
        let w = &self.working;
        if w.shape.iter().any(|n| !(16..=1024).contains(n)) {
            return Err(format!("working.shape {:?}: each extent must lie between 16 and 1024", w.shape));
        }
        if w.spacing.iter().any(|s| !(0.1..=10.0).contains(s)) {
            return Err(format!("working.spacing {:?}: each must lie between 0.1 and 10 mm", w.spacing));
        }
        if let Some(fault) = self.quality.as_ref().and_then(|limits| limits.fault(&self.classes)) {
            return Err(fault);
        }
        let scaled = w.intensity_scale.is_finite() && w.intensity_scale > 0.0;
        if !(scaled && (0.0..=50.0).contains(&w.margin_top)) {
            return Err("working.intensity_scale must be positive, working.margin_top 0 to 50 mm".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that is right in every field, in a temporary folder of its name.
    fn write(change: impl Fn(String) -> String) -> Result<(Card, String), InferenceError> {
        let digest = "ab".repeat(32);
        let networks: String = ["axial", "coronal", "sagittal"]
            .iter()
            .map(|p| format!("[[network]]\nplane = \"{p}\"\nfile = \"{p}.onnx\"\nsha256 = \"{digest}\"\n"))
            .collect();
        let text = format!(
            "format = 1\nname = \"toy\"\nversion = \"1\"\ncreated = \"2026-01-01\"\npurpose = \"research\"\n\
             statement = \"Research use only\"\nlicence = \"Apache-2.0\"\nclasses = [\"eye\", \"brain\"]\n\
             input_factor = 0.001\npadding = \"same\"\nmultiple = 16\n[working]\nspacing = [0.7, 0.7, 0.9]\n\
             shape = [320, 365, 200]\nintensity_rule = \"maximum\"\nintensity_scale = 1000.0\nmargin_top = 4.5\n\
             {networks}[training]\ndata = \"none\"\n"
        );
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("toy");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("card.toml"), change(text)).unwrap();
        Card::read(&dir)
    }

    #[test]
    fn a_good_card_is_read() {
        let (card, digest) = write(|t| t).unwrap();
        assert_eq!(card.classes, [Class::Eye, Class::Brain]);
        assert_eq!(card.working, WorkingSpec::default());
        assert_eq!(digest.len(), 64);
        assert!(card.is_research());
    }

    /// The text of a card with a third class, which no other test describes.
    fn with_a_third(t: String) -> String {
        let described = "[[class]]\nname = \"thumb\"\nsided = false\nstructures = [\"Thumb\"]\ncolours = [[9, 9, 8]]\n\
                         rules = \"none\"\nenclosed_by = \"brain\"\n[class.code]\nvalue = \"THUMB\"\n\
                         scheme = \"99TEST\"\nmeaning = \"Thumb\"\n[training]";
        t.replacen("\"eye\", \"brain\"", "\"eye\", \"thumb\", \"brain\"", 1).replacen("[training]", described, 1)
    }

    #[test]
    fn a_card_describes_what_is_not_known() {
        let (card, _) = write(with_a_third).unwrap();
        let thumb = Class::from_name("thumb").unwrap();
        assert_eq!(card.classes, [Class::Eye, thumb, Class::Brain]);
        let faults = [
            ("\"thumb\", \"brain\"]", "\"brain\"]", "class[1].name \"thumb\" is not among classes"),
            ("\"thumb\", \"brain\"]", "\"thumb\"]", "class[1].enclosed_by \"brain\" is not among classes"),
            ("scheme = \"99TEST\"", "scheme = \"TEST\"", "class[1].code.scheme"),
            ("scheme = \"99TEST\"", "scheme = \"99TEST\"\nside = 1", "unknown field"),
            ("colours = [[9, 9, 8]]\n", "", "colours"),
            ("colours = [[9, 9, 8]]", "colours = [[9, 9, 7]]", "described otherwise"),
        ];
        for (from, to, word) in faults {
            let error = write(|t| with_a_third(t).replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(word), "{to}: {error}");
        }
        // What one card describes, another does not know.
        let error = write(|t| t.replacen("\"eye\"", "\"thumb\"", 1)).unwrap_err().to_string();
        assert!(error.contains("\"thumb\" is neither known nor described"), "{error}");
        let many: String = (0..33).map(|n| format!("\"c{n}\", ")).collect();
        assert!(write(|t| t.replacen("\"eye\"", &many, 1)).is_err());
    }

    #[test]
    fn every_fault_is_refused() {
        let faults = [
            ("format = 1", "format = 2"),
            ("name = \"toy\"", "name = \"other\""),
            ("\"eye\", \"brain\"", "\"eye\", \"eye\""),
            ("\"eye\", \"brain\"", "\"eye\", \"toe\""),
            ("plane = \"coronal\"", "plane = \"axial\""),
            ("file = \"axial.onnx\"", "file = \"../axial.onnx\""),
            ("sha256 = \"ab", "sha256 = \"zz"),
            ("multiple = 16", "multiple = 0"),
            ("purpose = \"research\"", "purpose = \"clinical\""),
            ("input_factor = 0.001", "input_factor = 0.0"),
            ("shape = [320, 365, 200]", "shape = [0, 365, 200]"),
            ("multiple = 16", "multiple = 16\nsurprise = 1"),
            ("multiple = 16", "multiple = 16\nborder = 92"),
            ("padding = \"same\"", "padding = \"valid\""),
            ("padding = \"same\"\nmultiple = 16", "padding = \"valid\"\nborder = 92\nmultiple = 12"),
            ("padding = \"same\"\nmultiple = 16", "padding = \"valid\"\nborder = 2000\nmultiple = 16"),
        ];
        for (from, to) in faults {
            let changed = |t: String| {
                assert!(t.contains(from), "{from}");
                t.replacen(from, to, 1)
            };
            assert!(write(changed).is_err(), "{to} was taken");
        }
    }

    #[test]
    fn what_surrounds_an_axis_makes_every_pooling_exact() {
        let (same, _) = write(|t| t).unwrap();
        let valid = |t: String| t.replacen("padding = \"same\"", "padding = \"valid\"\nborder = 92", 1);
        let (valid, _) = write(valid).unwrap();
        for (pixels, extra_same, extra_valid) in [(320, 0, 4), (365, 3, 7), (200, 8, 12), (52, 12, 0), (5, 11, 15)] {
            assert_eq!(same.surround(pixels), (0, extra_same), "{pixels}");
            assert_eq!(valid.surround(pixels), (92, 92 + extra_valid), "{pixels}");
        }
    }
}
