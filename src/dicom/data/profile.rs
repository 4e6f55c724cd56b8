//! Destination profiles: what a receiving system wants different, as rows of data.
//!
//! There is no vendor code: a profile is a set of values, and only values with evidence differ from `generic`. What is
//! known and what is not is in `ops/profiles.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::anatomy::{DerivedConfig, RoiType, Structure};
use crate::contour::{ContourConfig, Holes};
use crate::ids::sha256_hex;

/// On which planes contours are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planes {
    /// The series' own planes when they are near-axial, otherwise an axial series derived from it: planning systems
    /// contour axial slices only.
    Axial,
    /// Always the series' own planes.
    Acquired,
}

/// What becomes of a structure that was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyRois {
    /// It is not in the file; the report says that it was not found.
    Omit,
    /// Its name is declared without contours, for templates that expect every name.
    Declare,
}

/// A resolved profile: every setting has a value, but for those that the rest of the configuration decides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Its name in the configuration, the database and reports.
    pub name: String,
    /// Names there of structures here.
    pub aliases: BTreeMap<String, String>,
    /// RT ROI Interpreted Type of structures here, where it is not the usual.
    pub types: BTreeMap<String, RoiType>,
    /// Most characters of an ROI Name.
    pub name_characters: usize,
    /// Explicit VR little endian instead of implicit.
    pub explicit_vr: bool,
    /// Coded anatomy in the observations.
    pub codes: bool,
    /// Structures that were not found.
    pub empty_rois: EmptyRois,
    /// Written as Study ID where the images have none.
    pub study_id_if_empty: Option<String>,
    /// Holes within a plane; absent: as `[contours]` says.
    pub holes: Option<Holes>,
    /// Most points of one polygon; absent: as `[contours]` says.
    pub max_points: Option<usize>,
    /// Delivered planes; absent: as `[delivery]` says.
    pub planes: Option<Planes>,
    /// A DICOM Segmentation is sent beside the structure set.
    pub segmentation: bool,
}

/// The profiles that need no configuration.
pub const BUILT_IN: [&str; 6] = ["generic", "eclipse", "raystation", "monaco", "pinnacle", "mim"];

impl Profile {
    /// What every receiver that is known took.
    pub fn generic() -> Self {
        Self {
            name: "generic".into(),
            aliases: BTreeMap::new(),
            types: BTreeMap::new(),
            name_characters: 16,
            explicit_vr: false,
            codes: true,
            empty_rois: EmptyRois::Omit,
            study_id_if_empty: None,
            holes: None,
            max_points: None,
            planes: None,
            segmentation: false,
        }
    }

    /// A built-in profile.
    pub fn built_in(name: &str) -> Option<Self> {
        let generic = Self { name: name.to_owned(), ..Self::generic() };
        match name {
            // Varian's conformance statement asks for a Study ID (pytrip issue 255).
            "eclipse" => Some(Self { study_id_if_empty: Some("1".into()), ..generic }),
            _ => BUILT_IN.contains(&name).then_some(generic),
        }
    }

    /// Digest of every value, part of the UIDs of what is made for it.
    pub fn digest(&self) -> String {
        sha256_hex(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }

    /// The outlines that it wants.
    pub fn contours(&self, base: &ContourConfig) -> ContourConfig {
        ContourConfig {
            holes: self.holes.unwrap_or(base.holes),
            max_points: self.max_points.unwrap_or(base.max_points),
            ..base.clone()
        }
    }

    /// How a region is called there.
    pub fn identity(&self, roi: impl Into<RoiIdentity>) -> RoiIdentity {
        let roi = roi.into();
        let name = self.aliases.get(&roi.name).unwrap_or(&roi.name).clone();
        let kind = self.types.get(&roi.name).copied().unwrap_or(roi.kind);
        RoiIdentity { name, kind, ..roi }
    }
}

/// What a region of interest is called and coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoiIdentity {
    /// ROI Name.
    pub name: String,
    /// The organ, where it is one: gives the codes.
    pub structure: Option<Structure>,
    /// RT ROI Interpreted Type.
    pub kind: RoiType,
    /// ROI Display Colour, red, green, blue.
    pub colour: [u8; 3],
}

impl From<Structure> for RoiIdentity {
    fn from(s: Structure) -> Self {
        Self { name: s.name().to_owned(), structure: Some(s), kind: RoiType::Organ, colour: s.colour() }
    }
}

impl From<&DerivedConfig> for RoiIdentity {
    fn from(d: &DerivedConfig) -> Self {
        Self { name: d.name.clone(), structure: None, kind: d.roi_type(), colour: d.display_colour() }
    }
}

/// One `[[profile]]` section: a profile of a site, like another but for what it says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileConfig {
    /// Its name, for `profile` of a destination.
    pub name: String,
    /// The built-in profile that it is like.
    #[serde(default = "generic_name")]
    pub like: String,
    /// Names there of structures here, `Eye_L = "Left Eye"`.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// RT ROI Interpreted Type of structures here, `Brain = "AVOIDANCE"`.
    #[serde(default)]
    pub types: BTreeMap<String, RoiType>,
    /// Most characters of an ROI Name, 1 to 64.
    #[serde(default)]
    pub name_characters: Option<usize>,
    /// Explicit VR little endian instead of implicit.
    #[serde(default)]
    pub explicit_vr: Option<bool>,
    /// Coded anatomy in the observations.
    #[serde(default)]
    pub codes: Option<bool>,
    /// Structures that were not found.
    #[serde(default)]
    pub empty_rois: Option<EmptyRois>,
    /// Written as Study ID where the images have none.
    #[serde(default)]
    pub study_id_if_empty: Option<String>,
    /// Holes within a plane.
    #[serde(default)]
    pub holes: Option<Holes>,
    /// Most points of one polygon.
    #[serde(default)]
    pub max_points: Option<usize>,
    /// Delivered planes.
    #[serde(default)]
    pub planes: Option<Planes>,
    /// A DICOM Segmentation is sent beside the structure set.
    #[serde(default)]
    pub segmentation: Option<bool>,
}

fn generic_name() -> String {
    "generic".to_owned()
}

impl ProfileConfig {
    /// The profile, or every fault of the section, each beginning with the key that it is about. `derived` are the
    /// derived structures that the site makes.
    ///
    /// # Errors
    /// The faults.
    pub fn resolve(&self, derived: &[DerivedConfig]) -> Result<Profile, Vec<String>> {
        let mut faults = Vec::new();
        if self.name.is_empty() || BUILT_IN.contains(&self.name.as_str()) {
            faults.push(format!("name {:?} is empty or that of a built-in profile: give it another", self.name));
        }
        let Some(base) = Profile::built_in(&self.like) else {
            faults.push(format!("like is {:?}: use one of {}", self.like, BUILT_IN.join(", ")));
            return Err(faults);
        };
        let profile = Profile {
            name: self.name.clone(),
            aliases: self.aliases.clone(),
            types: self.types.clone(),
            name_characters: self.name_characters.unwrap_or(base.name_characters),
            explicit_vr: self.explicit_vr.unwrap_or(base.explicit_vr),
            codes: self.codes.unwrap_or(base.codes),
            empty_rois: self.empty_rois.unwrap_or(base.empty_rois),
            study_id_if_empty: self.study_id_if_empty.clone().or(base.study_id_if_empty),
            holes: self.holes.or(base.holes),
            max_points: self.max_points.or(base.max_points),
            planes: self.planes.or(base.planes),
            segmentation: self.segmentation.unwrap_or(base.segmentation),
        };
        faults.extend(profile.faults(derived));
        if faults.is_empty() { Ok(profile) } else { Err(faults) }
    }
}

impl Profile {
    /// Every fault of the values, each beginning with the key that it is about; `derived` are the site's derived
    /// structures.
    pub fn faults(&self, derived: &[DerivedConfig]) -> Vec<String> {
        let mut faults = Vec::new();
        if !(1..=64).contains(&self.name_characters) {
            faults.push(format!("name_characters is {}: set 1 to 64", self.name_characters));
        }
        let id = self.study_id_if_empty.as_deref().unwrap_or("1");
        if id.is_empty() || id.len() > 16 || !printable(id) {
            faults.push("study_id_if_empty must be 1 to 16 printable ASCII characters".into());
        }
        let outlines = self.contours(&ContourConfig::default());
        faults.extend(outlines.faults());
        let known: Vec<RoiIdentity> =
            Structure::named().map(RoiIdentity::from).chain(derived.iter().map(RoiIdentity::from)).collect();
        for (key, named) in
            [("aliases", self.aliases.keys().collect::<Vec<_>>()), ("types", self.types.keys().collect())]
        {
            for name in named.into_iter().filter(|name| known.iter().all(|roi| roi.name != **name)) {
                faults.push(format!("{key}.{name} is no structure: use a name of the catalogue or of a [[derived]]"));
            }
        }
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for roi in &known {
            let name = self.identity(roi.clone()).name;
            if name.is_empty() || name.len() > self.name_characters || !printable(&name) || name.trim() != name {
                let most = self.name_characters;
                faults.push(format!(
                    "aliases.{} is {name:?}: use 1 to {most} printable ASCII characters, no backslash",
                    roi.name
                ));
            }
            // Some planning systems match names whatever their case.
            if let Some(other) = taken.insert(name.to_lowercase(), &roi.name) {
                faults.push(format!("aliases.{} is {name:?}, as is that of {other}", roi.name));
            }
        }
        faults
    }
}

fn printable(text: &str) -> bool {
    text.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> ProfileConfig {
        toml::from_str(text).unwrap()
    }

    fn prv() -> DerivedConfig {
        toml::from_str("name = 'OpticNrv_PRV03_L'\nof = ['OpticNrv_L']\nmargin_mm = 3").unwrap()
    }

    #[test]
    fn every_built_in_profile_is_sound_and_digests_tell_them_apart() {
        let mut digests = std::collections::BTreeSet::new();
        for name in BUILT_IN {
            let profile = Profile::built_in(name).unwrap();
            assert_eq!((profile.name.as_str(), profile.faults(&[prv()])), (name, Vec::new()));
            assert!(digests.insert(profile.digest()));
        }
        assert_eq!(Profile::built_in("generic"), Some(Profile::generic()));
        assert_eq!(Profile::built_in("xio"), None);
    }

    #[test]
    fn a_section_changes_what_it_says_and_nothing_else() {
        let text = "name = 'ours'\nlike = 'eclipse'\naliases = { Eye_L = 'Left Eye', OpticNrv_PRV03_L = 'PRV L' }\n\
                    types = { Brain = 'AVOIDANCE' }\nexplicit_vr = true\nmax_points = 500\nplanes = 'acquired'";
        let profile = section(text).resolve(&[prv()]).unwrap();
        assert!(profile.explicit_vr && profile.codes && !profile.segmentation);
        assert_eq!(profile.study_id_if_empty.as_deref(), Some("1"));
        assert_eq!(
            (profile.planes, profile.contours(&ContourConfig::default()).max_points),
            (Some(Planes::Acquired), 500)
        );
        let eye = profile.identity(Structure::Eye_L);
        assert_eq!((eye.name.as_str(), eye.structure, eye.kind), ("Left Eye", Some(Structure::Eye_L), RoiType::Organ));
        let margin = profile.identity(&prv());
        assert_eq!((margin.name.as_str(), margin.structure, margin.kind), ("PRV L", None, RoiType::Avoidance));
        assert_eq!(profile.identity(Structure::Brain).kind, RoiType::Avoidance);
        assert_eq!(profile.identity(Structure::Eye_R), RoiIdentity::from(Structure::Eye_R));
    }

    #[test]
    fn every_fault_is_told() {
        for (text, word) in [
            ("name = 'generic'", "name "),
            ("name = 'a'\nlike = 'b'", "like "),
            ("name = 'a'\nname_characters = 65", "name_characters "),
            ("name = 'a'\nname_characters = 12", "aliases.Hippocampus_L "),
            ("name = 'a'\nstudy_id_if_empty = 'seventeen letters'", "study_id_if_empty "),
            ("name = 'a'\nmax_points = 3", "max_points "),
            ("name = 'a'\naliases = { Liver = 'L' }", "aliases.Liver "),
            ("name = 'a'\ntypes = { Liver = 'ORGAN' }", "types.Liver "),
            ("name = 'a'\naliases = { Eye_L = 'eye_r' }", "aliases.Eye_"),
            ("name = 'a'\naliases = { Eye_L = 'seventeen letters' }", "aliases.Eye_L "),
            ("name = 'a'\naliases = { Eye_L = 'a\\\\b' }", "aliases.Eye_L "),
        ] {
            let faults = section(text).resolve(&[]).unwrap_err();
            assert!(faults.iter().any(|fault| fault.starts_with(word)), "{text}: {faults:?}");
        }
        assert!(toml::from_str::<ProfileConfig>("name = 'a'\nvendor = 'b'").is_err());
    }
}
