//! Every constant of the corrections.

use serde::{Deserialize, Serialize};

use super::super::config::out_of_range;

/// The `[rules.corrections]` section: what the thesis's radiotherapist had to correct (section 4.3.4), answered by rules and
/// flags. Each rule that changes voxels has a switch; what it gains on damaged synthetic heads is measured by
/// `cargo bench --bench corruption`. See ops/rules.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorrectionsConfig {
    /// Complete an eye that is nearly a ball: a lesion inside it, its top and bottom slices.
    pub eye_complete: bool,
    /// Remove what stands out of an eye that is nearly a ball.
    pub eye_trim: bool,
    /// Smallest and largest radius of an eye, mm.
    pub eye_radius_mm: [f64; 2],
    /// A border voxel this near to the ball, in mm, lies on it.
    pub eye_fit_mm: f64,
    /// An eye is nearly a ball when this share of its border lies on it.
    pub eye_fit_share: f64,
    /// An eye is completed up to this far below the ball through the middles of its border voxels, mm.
    pub eye_margin_mm: f64,
    /// What stands out further than this, in mm, is removed. A cornea stands out by less.
    pub eye_trim_mm: f64,
    /// An eye is flagged when this share of it was added or removed.
    pub eye_flag_share: f64,
    /// A lens with less than this share of the other's volume is flagged.
    pub lens_flag_share: f64,
    /// Fill the holes of pituitary, hippocampi and brainstem that any plane closes.
    pub organ_fill_holes: bool,
    /// Remove what is as dark as fluid from a hippocampus: ventricle, necrosis.
    pub hippocampus_dark: bool,
    /// Darker than this share of the brain's median is fluid.
    pub dark_share: f64,
    /// A dark part of a hippocampus smaller than this, in mm3, is noise or partial volume.
    pub dark_least_mm3: f64,
    /// A hippocampus longer than this from end to end, in mm, is flagged: the amygdala may be marked.
    pub hippocampus_longest_mm: f64,
    /// Remove what lies too far from the middle of the chiasm: arteries, tracts.
    pub chiasm_trim: bool,
    /// ... further than this, mm.
    pub chiasm_reach_mm: f64,
    /// A chiasm whose smaller half has less than this share of the larger is flagged.
    pub chiasm_half_share: f64,
    /// Continue the pituitary downwards, away from the chiasm, where the image does. Off: on what the shipped networks mark
    /// it costs Dice, though it mends a gland that lacks its lowest slices (tests/bench/RESULTS.md).
    pub pituitary_floor: bool,
    /// ... by at most this, mm: two slices.
    pub floor_mm: f64,
    /// ... as long as the image has at least this share of the gland's median intensity.
    pub floor_share: f64,
}

impl Default for CorrectionsConfig {
    fn default() -> Self {
        Self {
            eye_complete: true,
            eye_trim: true,
            eye_radius_mm: [9.0, 15.0],
            eye_fit_mm: 1.0,
            eye_fit_share: 0.5,
            eye_margin_mm: 0.3,
            eye_trim_mm: 2.0,
            eye_flag_share: 0.03,
            lens_flag_share: 0.6,
            organ_fill_holes: true,
            hippocampus_dark: true,
            dark_share: 0.5,
            dark_least_mm3: 30.0,
            hippocampus_longest_mm: 54.0,
            chiasm_trim: true,
            chiasm_reach_mm: 12.0,
            chiasm_half_share: 0.4,
            pituitary_floor: false,
            floor_mm: 2.7,
            floor_share: 0.65,
        }
    }
}

impl CorrectionsConfig {
    /// The same values with every rule switched off; the flags stay.
    pub fn without_rules(self) -> Self {
        Self {
            eye_complete: false,
            eye_trim: false,
            organ_fill_holes: false,
            hippocampus_dark: false,
            chiasm_trim: false,
            pituitary_floor: false,
            ..self
        }
    }

    /// Every fault of the values, each as "corrections.key: what is wrong".
    pub(in crate::anatomy::rules) fn faults(&self) -> Vec<String> {
        let [least, most] = self.eye_radius_mm;
        let ranges = [
            ("eye_radius_mm", least, 1.0, most.min(50.0)),
            ("eye_radius_mm", most, 1.0, 50.0),
            ("eye_fit_mm", self.eye_fit_mm, 0.0, 10.0),
            ("eye_fit_share", self.eye_fit_share, 0.3, 1.0),
            ("eye_margin_mm", self.eye_margin_mm, 0.0, 10.0),
            ("eye_trim_mm", self.eye_trim_mm, 1.0, 50.0),
            ("eye_flag_share", self.eye_flag_share, 0.0, 1.0),
            ("lens_flag_share", self.lens_flag_share, 0.0, 1.0),
            ("dark_share", self.dark_share, 0.0, 0.8),
            ("dark_least_mm3", self.dark_least_mm3, 0.0, 1e4),
            ("hippocampus_longest_mm", self.hippocampus_longest_mm, 10.0, 200.0),
            ("chiasm_reach_mm", self.chiasm_reach_mm, 8.0, 50.0),
            ("chiasm_half_share", self.chiasm_half_share, 0.0, 1.0),
            ("floor_mm", self.floor_mm, 0.0, 10.0),
            ("floor_share", self.floor_share, 0.3, 1.0),
        ];
        out_of_range("corrections.", &ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_out_of_range_is_named() {
        assert!(CorrectionsConfig::default().faults().is_empty());
        let bad = CorrectionsConfig {
            eye_radius_mm: [15.0, 9.0],
            eye_fit_mm: -1.0,
            eye_fit_share: 0.2,
            eye_margin_mm: f64::NAN,
            eye_trim_mm: 0.5,
            eye_flag_share: 2.0,
            lens_flag_share: -0.1,
            dark_share: 0.9,
            dark_least_mm3: -1.0,
            hippocampus_longest_mm: 5.0,
            chiasm_reach_mm: 7.0,
            chiasm_half_share: 1.1,
            floor_mm: 11.0,
            floor_share: 0.1,
            ..CorrectionsConfig::default()
        };
        let faults = bad.faults();
        assert_eq!(faults.len(), 14, "{faults:?}");
        assert!(faults.iter().all(|f| f.starts_with("corrections.") && f.contains("does not lie between")));
    }
}
