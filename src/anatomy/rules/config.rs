//! What each rule does by default, and its switch.

use serde::{Deserialize, Serialize};

use super::corrections::CorrectionsConfig;
use super::nerve::{NerveConfig, NervePath};

/// How the side of an eye, a lens, an optic nerve and a hippocampus is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SideRule {
    /// In the head's own axes: the mid-sagittal plane of the brain, refined by the eyes. Holds on turned heads.
    HeadAxes,
    /// The thesis's rule: a component's barycentre in x against the middle of the brain's box. Wrong on turned heads
    /// (from about 22 degrees of yaw both eyes lie on one side of that middle); kept for comparison.
    ThesisBox,
}

/// Switches and values of the anatomical rules. Defaults are the thesis's values (section 4.2.2) where it gives any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Keep only the largest component of the brain.
    pub brain_largest_component: bool,
    /// Fill the brain's holes in axial, coronal and sagittal planes.
    pub brain_fill_holes: bool,
    /// In how many of the three planes through it a voxel must lie in a hole of the brain to be filled, 1 to 3. The
    /// thesis: 1, which also closes the space between the temporal lobes above the sella (figures: tests/bench/RESULTS.md).
    pub brain_hole_planes: usize,
    /// How left and right are told apart.
    pub sides: SideRule,
    /// A brain smaller than this, in cm3, is too little to fit the head's axes to (a partial field of view, a stray
    /// patch); the sides then come from the eyes or the patient axes and are flagged.
    pub axes_min_brain_cc: f64,
    /// A side decided by less than this, in mm, is flagged red.
    pub side_red_below_mm: f64,
    /// Cut a component that lies on both sides of the mid-sagittal plane (head axes only).
    pub cut_at_plane: bool,
    /// A component is cut only when its smaller part reaches at least this far beyond the plane, in mm: more than half
    /// a chiasm, so that a nerve predicted on into the chiasm stays whole and gives the other side no nerve.
    pub cut_depth_mm: f64,
    /// ... and only when the smaller part holds at least this share of the component's voxels.
    pub cut_min_share: f64,
    /// A nerve that comes this close to an eye, in mm, reaches it and takes its side (head axes only).
    pub nerve_reach_mm: f64,
    /// Remove components of the eye smaller than [`RulesConfig::eye_min_cc`].
    pub eye_remove_small: bool,
    /// The least volume of an eye, in cm3.
    pub eye_min_cc: f64,
    /// Remove what is lens outside the eyes.
    pub lens_inside_eye: bool,
    /// Keep only the largest component of the chiasm.
    pub chiasm_largest_component: bool,
    /// Keep only the largest component of the optic nerve on each side.
    pub optic_nerve_largest_component: bool,
    /// The optic nerves' path from eye to chiasm.
    pub nerve: NerveConfig,
    /// What reviewers had to correct most, organ by organ.
    pub corrections: CorrectionsConfig,
    /// Keep only the largest component of the hippocampus on each side.
    pub hippocampus_largest_component: bool,
    /// Keep only the largest component of the brainstem.
    pub brainstem_largest_component: bool,
    /// Keep only the largest component of the pituitary.
    pub pituitary_largest_component: bool,
    /// Drop components of hippocampus and brainstem that do not touch the brain.
    pub drop_off_brain: bool,
    /// Add hippocampi and brainstem to the brain: a brain that stops short must not cut an organ at risk.
    pub add_to_brain: bool,
    /// Apply to the classes that a model's card describes the rules that it asks for: `enclosed_by`, `rules`.
    pub described: bool,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            brain_largest_component: true,
            brain_fill_holes: true,
            brain_hole_planes: 3,
            sides: SideRule::HeadAxes,
            axes_min_brain_cc: 200.0,
            side_red_below_mm: 5.0,
            cut_at_plane: true,
            cut_depth_mm: 12.0,
            cut_min_share: 0.1,
            nerve_reach_mm: 6.0,
            eye_remove_small: true,
            eye_min_cc: 4.0,
            lens_inside_eye: true,
            chiasm_largest_component: true,
            optic_nerve_largest_component: true,
            nerve: NerveConfig::default(),
            corrections: CorrectionsConfig::default(),
            hippocampus_largest_component: true,
            brainstem_largest_component: true,
            pituitary_largest_component: true,
            drop_off_brain: true,
            add_to_brain: true,
            described: true,
        }
    }
}

impl RulesConfig {
    /// The same values with every rule switched off: the networks' vote as it is. Left and right are still told apart, by
    /// component.
    pub fn without_rules(self) -> Self {
        Self {
            brain_largest_component: false,
            brain_fill_holes: false,
            cut_at_plane: false,
            eye_remove_small: false,
            lens_inside_eye: false,
            chiasm_largest_component: false,
            optic_nerve_largest_component: false,
            nerve: NerveConfig { path: NervePath::Off, ..self.nerve },
            corrections: self.corrections.without_rules(),
            hippocampus_largest_component: false,
            brainstem_largest_component: false,
            pituitary_largest_component: false,
            drop_off_brain: false,
            add_to_brain: false,
            described: false,
            ..self
        }
    }

    /// Every fault of the values, each as "key: what is wrong"; empty when the configuration can be used.
    pub fn faults(&self) -> Vec<String> {
        let ranges = [
            ("brain_hole_planes", self.brain_hole_planes as f64, 1.0, 3.0),
            ("axes_min_brain_cc", self.axes_min_brain_cc, 0.0, 2000.0),
            ("side_red_below_mm", self.side_red_below_mm, 0.0, 100.0),
            ("cut_depth_mm", self.cut_depth_mm, 0.0, 100.0),
            ("cut_min_share", self.cut_min_share, 0.0, 0.5),
            ("nerve_reach_mm", self.nerve_reach_mm, 0.0, 100.0),
            ("eye_min_cc", self.eye_min_cc, 0.0, 100.0),
        ];
        let mut faults = out_of_range("", &ranges);
        faults.extend(self.nerve.faults());
        faults.extend(self.corrections.faults());
        faults
    }
}

/// A fault for every value that does not lie between its least and its most, both allowed; each begins with its section
/// and its key.
pub(super) fn out_of_range(section: &str, ranges: &[(&str, f64, f64, f64)]) -> Vec<String> {
    let outside = ranges.iter().filter(|(_, value, least, most)| !(least..=most).contains(&value));
    let words = |(key, value, least, most): &(&str, f64, f64, f64)| {
        format!("{section}{key}: {value} does not lie between {least} and {most}")
    };
    outside.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_default_and_unknown_keys_are_refused() {
        let read: RulesConfig = toml::from_str("").unwrap();
        assert_eq!(read, RulesConfig::default());
        let read: RulesConfig = toml::from_str("sides = \"thesis_box\"\neye_min_cc = 3.5").unwrap();
        assert_eq!((read.sides, read.eye_min_cc), (SideRule::ThesisBox, 3.5));
        assert!(toml::from_str::<RulesConfig>("eye_min_ccm = 3.5").unwrap_err().to_string().contains("eye_min_ccm"));
    }

    #[test]
    fn every_value_out_of_range_is_named() {
        assert!(RulesConfig::default().faults().is_empty());
        let bad = RulesConfig {
            brain_hole_planes: 4,
            axes_min_brain_cc: 1e9,
            side_red_below_mm: -1.0,
            cut_depth_mm: f64::NAN,
            cut_min_share: 0.6,
            nerve_reach_mm: f64::INFINITY,
            eye_min_cc: -0.1,
            ..RulesConfig::default()
        };
        let faults = bad.faults();
        assert_eq!(faults.len(), 7);
        let keys = [
            "brain_hole_planes",
            "axes_min_brain_cc",
            "side_red_below_mm",
            "cut_depth_mm",
            "cut_min_share",
            "nerve_reach_mm",
            "eye_min_cc",
        ];
        for key in keys {
            assert!(faults.iter().any(|f| f.starts_with(key)), "{key} in {faults:?}");
        }
    }
}
