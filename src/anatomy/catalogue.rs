//! What things are called: the network classes, the delivered structures, their names, codes and colours.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::described::{self, Described, DescribedPart};

/// A network class: one of the eight that rules here are about (thesis section 4.1), or one that a model's card describes.
/// Classes are not exclusive; a bilateral organ is one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Eyeballs.
    Eye,
    /// Lenses.
    Lens,
    /// Optic nerves.
    OpticNerve,
    /// Optic chiasm.
    Chiasm,
    /// Pituitary gland.
    Pituitary,
    /// Hippocampi.
    Hippocampus,
    /// Brainstem.
    Brainstem,
    /// Cerebrum, cerebellum and brainstem.
    Brain,
    /// What a card describes.
    Described(Described),
}

impl Class {
    /// The classes that need no description, in the order of the bits of a label volume: bit c of a voxel is `Class::ALL[c]`.
    pub const ALL: [Class; 8] = [
        Class::Eye,
        Class::Lens,
        Class::OpticNerve,
        Class::Chiasm,
        Class::Pituitary,
        Class::Hippocampus,
        Class::Brainstem,
        Class::Brain,
    ];

    /// Position in [`Class::ALL`]; a described class has none.
    pub const fn index(self) -> Option<usize> {
        Some(match self {
            Class::Eye => 0,
            Class::Lens => 1,
            Class::OpticNerve => 2,
            Class::Chiasm => 3,
            Class::Pituitary => 4,
            Class::Hippocampus => 5,
            Class::Brainstem => 6,
            Class::Brain => 7,
            Class::Described(_) => return None,
        })
    }

    /// The bit of this class in a label volume of one byte, which holds the eight only: none (0) for a described class.
    pub const fn bit(self) -> u8 {
        match self.index() {
            Some(n) => 1 << n,
            None => 0,
        }
    }

    /// The name used in cards and reports, as serde writes it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Eye => "eye",
            Class::Lens => "lens",
            Class::OpticNerve => "optic_nerve",
            Class::Chiasm => "chiasm",
            Class::Pituitary => "pituitary",
            Class::Hippocampus => "hippocampus",
            Class::Brainstem => "brainstem",
            Class::Brain => "brain",
            Class::Described(of) => &of.description().name,
        }
    }

    /// The class of a name: one of the eight, or one that a card read before describes.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name).or_else(|| described::class_named(name))
    }

    /// The delivered structures of this class: one for a midline organ, left and right for a bilateral one.
    pub fn structures(self) -> impl Iterator<Item = Structure> {
        let described = match self {
            Class::Described(of) => Some(of.structures()),
            _ => None,
        };
        Structure::ALL.into_iter().filter(move |s| s.class() == self).chain(described.into_iter().flatten())
    }
}

/// Side of the body. Left is +x in LPS; nothing else decides laterality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The patient's left.
    Left,
    /// The patient's right.
    Right,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

/// A delivered structure, named by TG-263: one of the twelve of the thesis's Table 4.6, or of a class that a card describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types)] // the variants are the TG-263 names themselves
pub enum Structure {
    /// Left hippocampus.
    Hippocampus_L,
    /// Right hippocampus.
    Hippocampus_R,
    /// Brainstem.
    Brainstem,
    /// Left eyeball.
    Eye_L,
    /// Right eyeball.
    Eye_R,
    /// Left lens.
    Lens_L,
    /// Right lens.
    Lens_R,
    /// Left optic nerve.
    OpticNrv_L,
    /// Right optic nerve.
    OpticNrv_R,
    /// Optic chiasm.
    OpticChiasm,
    /// Pituitary gland.
    Pituitary,
    /// Cerebrum, cerebellum and brainstem.
    Brain,
    /// A structure of a described class.
    Described(DescribedPart),
}

/// A coded concept: value, coding scheme designator, meaning (PS3.3 section 8.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Code Value (0008,0100).
    pub value: &'static str,
    /// Coding Scheme Designator (0008,0102).
    pub scheme: &'static str,
    /// Code Meaning (0008,0104).
    pub meaning: &'static str,
}

const fn sct(value: &'static str, meaning: &'static str) -> Code {
    Code { value, scheme: "SCT", meaning }
}

/// Category of every structure here (CID 7150).
pub const ANATOMICAL_STRUCTURE: Code = sct("91723000", "Anatomical Structure");

impl Structure {
    /// The structures of the eight classes, in the order of the thesis's Table 4.6.
    pub const ALL: [Structure; 12] = [
        Structure::Hippocampus_L,
        Structure::Hippocampus_R,
        Structure::Brainstem,
        Structure::Eye_L,
        Structure::Eye_R,
        Structure::Lens_L,
        Structure::Lens_R,
        Structure::OpticNrv_L,
        Structure::OpticNrv_R,
        Structure::OpticChiasm,
        Structure::Pituitary,
        Structure::Brain,
    ];

    /// TG-263 name, at most 16 characters.
    pub fn name(self) -> &'static str {
        match self {
            Structure::Hippocampus_L => "Hippocampus_L",
            Structure::Hippocampus_R => "Hippocampus_R",
            Structure::Brainstem => "Brainstem",
            Structure::Eye_L => "Eye_L",
            Structure::Eye_R => "Eye_R",
            Structure::Lens_L => "Lens_L",
            Structure::Lens_R => "Lens_R",
            Structure::OpticNrv_L => "OpticNrv_L",
            Structure::OpticNrv_R => "OpticNrv_R",
            Structure::OpticChiasm => "OpticChiasm",
            Structure::Pituitary => "Pituitary",
            Structure::Brain => "Brain",
            Structure::Described(part) => part.name(),
        }
    }

    /// Every structure that has a name in this process: the twelve, and those of the cards that were read.
    pub fn named() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(described::structures())
    }

    /// The structure of a TG-263 name, exactly as written: one of [`Structure::named`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::named().find(|s| s.name() == name)
    }

    /// The network class that finds it.
    pub const fn class(self) -> Class {
        match self {
            Structure::Hippocampus_L | Structure::Hippocampus_R => Class::Hippocampus,
            Structure::Brainstem => Class::Brainstem,
            Structure::Eye_L | Structure::Eye_R => Class::Eye,
            Structure::Lens_L | Structure::Lens_R => Class::Lens,
            Structure::OpticNrv_L | Structure::OpticNrv_R => Class::OpticNerve,
            Structure::OpticChiasm => Class::Chiasm,
            Structure::Pituitary => Class::Pituitary,
            Structure::Brain => Class::Brain,
            Structure::Described(part) => Class::Described(part.of()),
        }
    }

    /// Side; `None` on the midline.
    pub const fn side(self) -> Option<Side> {
        match self {
            Structure::Hippocampus_L | Structure::Eye_L | Structure::Lens_L | Structure::OpticNrv_L => Some(Side::Left),
            Structure::Hippocampus_R | Structure::Eye_R | Structure::Lens_R | Structure::OpticNrv_R => {
                Some(Side::Right)
            }
            Structure::Brainstem | Structure::OpticChiasm | Structure::Pituitary | Structure::Brain => None,
            Structure::Described(part) => part.side(),
        }
    }

    /// The structure of a class on a side, or the midline structure of a class.
    pub fn of(class: Class, side: Option<Side>) -> Option<Self> {
        class.structures().find(|s| s.side() == side)
    }

    /// Identification code (PS3.16; CID 9514, 4209, 7706). Laterality is a modifier, see [`Structure::laterality_code`].
    pub fn code(self) -> Code {
        match self {
            Structure::Eye_L | Structure::Eye_R => sct("79652003", "Eyeball"),
            Structure::Lens_L | Structure::Lens_R => sct("78076003", "Lens"),
            Structure::OpticNrv_L | Structure::OpticNrv_R => sct("18234004", "Optic nerve"),
            Structure::OpticChiasm => sct("244453006", "Optic chiasm"),
            Structure::Pituitary => sct("56329008", "Pituitary"),
            Structure::Hippocampus_L | Structure::Hippocampus_R => sct("5366008", "Hippocampus"),
            Structure::Brainstem => sct("119238007", "Brain Stem"),
            Structure::Brain => sct("12738006", "Brain"),
            Structure::Described(part) => part.code(),
        }
    }

    /// Laterality modifier (CID 244).
    pub const fn laterality_code(self) -> Option<Code> {
        match self.side() {
            Some(Side::Left) => Some(sct("7771000", "Left")),
            Some(Side::Right) => Some(sct("24028007", "Right")),
            None => None,
        }
    }

    /// Display colour, red, green, blue. Left and right differ; colours stay fixed across releases.
    pub fn colour(self) -> [u8; 3] {
        match self {
            Structure::Hippocampus_L => [255, 0, 255],
            Structure::Hippocampus_R => [160, 0, 200],
            Structure::Brainstem => [255, 128, 0],
            Structure::Eye_L => [255, 205, 60],
            Structure::Eye_R => [194, 142, 0],
            Structure::Lens_L => [0, 191, 255],
            Structure::Lens_R => [0, 110, 220],
            Structure::OpticNrv_L => [0, 230, 0],
            Structure::OpticNrv_R => [0, 150, 0],
            Structure::OpticChiasm => [255, 255, 0],
            Structure::Pituitary => [64, 224, 190],
            Structure::Brain => [216, 54, 149],
            Structure::Described(part) => part.colour(),
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            D::Error::custom(format!("{name:?} is no class: neither known ({known}) nor described by a model's card"))
        })
    }
}

impl Serialize for Structure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Structure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| {
            let known = Self::named().map(Self::name).collect::<Vec<_>>().join(", ");
            D::Error::custom(format!("{name:?} is no structure: use one of {known}, or of those that the card of an installed model describes"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_consistent() {
        for (n, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), Some(n));
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            let sides: Vec<Option<Side>> = class.structures().map(Structure::side).collect();
            assert!(sides == [None] || sides == [Some(Side::Left), Some(Side::Right)], "{sides:?}");
        }
        for s in Structure::ALL {
            assert!(s.name().len() <= 16 && s.name().is_ascii());
            assert_eq!(Structure::from_name(s.name()), Some(s));
            assert_eq!(Structure::of(s.class(), s.side()), Some(s));
            assert_eq!(serde_json::to_value(s).unwrap(), s.name());
            assert_eq!(s.side().is_some(), s.name().ends_with("_L") || s.name().ends_with("_R"));
            assert_eq!(s.side() == Some(Side::Left), s.name().ends_with("_L"));
            assert_eq!(Structure::ALL.iter().filter(|o| o.colour() == s.colour()).count(), 1);
        }
    }
}
