//! Every constant of the optic nerve's rule.

use serde::{Deserialize, Serialize};

use super::super::config::out_of_range;

/// How the centreline from eye to chiasm may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NervePath {
    /// Along the nerve's own axis, the line from the eye's landmark to the chiasm's: every step leads towards the
    /// chiasm, within [`NerveConfig::bend_deg`] of that line. Turns with the head.
    OwnAxis,
    /// The thesis's rule: every step leads one voxel back along the patient's y axis. Fails on turned heads; kept for
    /// comparison.
    ThesisY,
    /// No centreline: the nerve is what the component rule leaves.
    Off,
}

/// Around which points of the centreline everything within R1 is nerve, predicted or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// Where nothing was predicted, or where what was is thinner than [`NerveConfig::fill_below`].
    Gaps,
    /// Around every point, as in the thesis: a nerve predicted well grows wherever the line is off its middle.
    Everywhere,
}

/// The `[rules.nerve]` section: the graph rule of the optic nerve (thesis section 4.2.2.2). Defaults are the thesis's
/// values where it gives any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NerveConfig {
    /// How the centreline may run, or that there is none.
    pub path: NervePath,
    /// Take voxels as bright as fat from the prediction before the path is looked for.
    pub fat: bool,
    /// Remove what was predicted away from the centreline.
    pub trim: bool,
    /// Remove what hangs on the nerve by a thread one voxel thin (opening along x, y and z).
    pub opening: bool,
    /// Edges in mm (x, y, z) of the voxel in which the distances below are counted: the thesis's working grid, so that
    /// a model with another grid has tubes of the same size.
    pub voxel_mm: [f64; 3],
    /// Number of points whose barycentre is a landmark (P).
    pub landmark_points: usize,
    /// Chiasm landmarks nearer to each other than this, in mm, are abnormally close: only one nerve is traced.
    pub close_landmarks_mm: f64,
    /// A nerve whose first voxel lies farther from its eye than this, in voxels, is traced from the eye's surface.
    pub eye_gap_voxels: f64,
    /// Edge of the cube around the eye's landmark in which the brightness of fat is read, mm.
    pub fat_cube_mm: f64,
    /// The quantile of that cube's intensities that stands for fat.
    pub fat_quantile: f64,
    /// Voxels brighter than this share of it are fat.
    pub fat_share: f64,
    /// It is taken for fat only when it is this many times as bright as the median of the predicted nerve.
    pub fat_contrast: f64,
    /// Margin around both landmarks in which the path may run, in voxels: of their box (`thesis_y`).
    pub margin_voxels: f64,
    /// Greatest distance of the path from the line between the landmarks, in voxels (`own_axis`).
    pub corridor_voxels: f64,
    /// Greatest angle between a step and the line between the landmarks, degrees (`own_axis`).
    pub bend_deg: f64,
    /// Cost of a voxel that was not predicted (C_l).
    pub label_cost: f64,
    /// Cost per voxel of distance to the chiasm's landmark (C_t).
    pub distance_cost: f64,
    /// Outer radius R at the eye, in voxels: how far from the centreline predicted voxels are believed.
    pub radius_eye: f64,
    /// Outer radius R at the chiasm, in voxels; linear in between.
    pub radius_chiasm: f64,
    /// Inner radius R1, in voxels: what lies this close to the centreline is nerve, predicted or not.
    pub radius_inner: f64,
    /// Length of the three segments of the opening, in voxels.
    pub opening_voxels: f64,
    /// Around which points R1 is filled.
    pub fill: Fill,
    /// A nerve is thin where its border is nearer to the centreline than this, in voxels (`gaps`).
    pub fill_below: f64,
    /// A stretch of the centreline this long, in mm, along which nothing was predicted is flagged.
    pub gap_flag_mm: f64,
}

impl Default for NerveConfig {
    fn default() -> Self {
        Self {
            path: NervePath::OwnAxis,
            fat: true,
            trim: true,
            opening: true,
            voxel_mm: [0.7, 0.7, 0.9],
            landmark_points: 30,
            close_landmarks_mm: 4.0,
            eye_gap_voxels: 2.0,
            fat_cube_mm: 15.0,
            fat_quantile: 0.98,
            fat_share: 0.8,
            fat_contrast: 1.5,
            margin_voxels: 10.0,
            corridor_voxels: 20.0,
            bend_deg: 70.0,
            label_cost: 100.0,
            distance_cost: 0.001,
            radius_eye: 7.0,
            radius_chiasm: 3.0,
            radius_inner: 2.5,
            opening_voxels: 2.0,
            fill: Fill::Gaps,
            fill_below: 1.5,
            gap_flag_mm: 3.0,
        }
    }
}

impl NerveConfig {
    /// Every fault of the values, each as "nerve.key: what is wrong".
    pub(in crate::anatomy::rules) fn faults(&self) -> Vec<String> {
        let [x, y, z] = self.voxel_mm;
        let ranges = [
            ("voxel_mm", x, 0.1, 10.0),
            ("voxel_mm", y, 0.1, 10.0),
            ("voxel_mm", z, 0.1, 10.0),
            ("landmark_points", self.landmark_points as f64, 1.0, 1000.0),
            ("close_landmarks_mm", self.close_landmarks_mm, 0.0, 30.0),
            ("eye_gap_voxels", self.eye_gap_voxels, 1.0, 20.0),
            ("fat_cube_mm", self.fat_cube_mm, 1.0, 60.0),
            ("fat_quantile", self.fat_quantile, 0.5, 1.0),
            ("fat_share", self.fat_share, 0.5, 1.0),
            // With a lower contrast the share could take more than half of the nerve.
            ("fat_contrast", self.fat_contrast, 1.0 / self.fat_share, 10.0),
            ("margin_voxels", self.margin_voxels, 0.0, 100.0),
            ("corridor_voxels", self.corridor_voxels, 2.0, 100.0),
            ("bend_deg", self.bend_deg, 40.0, 89.0),
            ("label_cost", self.label_cost, 0.0, 1e6),
            ("distance_cost", self.distance_cost, 0.0, 1e6),
            ("radius_eye", self.radius_eye, self.radius_inner, 30.0),
            ("radius_chiasm", self.radius_chiasm, self.radius_inner, 30.0),
            ("radius_inner", self.radius_inner, 0.0, 30.0),
            ("opening_voxels", self.opening_voxels, 1.0, 10.0),
            ("fill_below", self.fill_below, 0.0, 30.0),
            ("gap_flag_mm", self.gap_flag_mm, 0.0, 100.0),
        ];
        out_of_range("nerve.", &ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_out_of_range_is_named() {
        assert!(NerveConfig::default().faults().is_empty());
        let bad = NerveConfig {
            voxel_mm: [0.0, -1.0, f64::NAN],
            landmark_points: 0,
            close_landmarks_mm: -0.1,
            eye_gap_voxels: 0.5,
            fat_cube_mm: 0.0,
            fat_quantile: 1.1,
            fat_share: 0.4,
            fat_contrast: 1.0,
            margin_voxels: -1.0,
            corridor_voxels: 1.0,
            bend_deg: 90.0,
            label_cost: f64::INFINITY,
            distance_cost: -1e-9,
            radius_eye: 2.4,
            radius_chiasm: 31.0,
            opening_voxels: 0.9,
            fill_below: -0.1,
            gap_flag_mm: f64::NAN,
            ..NerveConfig::default()
        };
        let keys: Vec<String> =
            bad.faults().iter().map(|f| f.split(':').next().unwrap().trim_start_matches("nerve.").to_owned()).collect();
        let want = [
            "voxel_mm",
            "voxel_mm",
            "voxel_mm",
            "landmark_points",
            "close_landmarks_mm",
            "eye_gap_voxels",
            "fat_cube_mm",
            "fat_quantile",
            "fat_share",
            "fat_contrast",
            "margin_voxels",
            "corridor_voxels",
            "bend_deg",
            "label_cost",
            "distance_cost",
            "radius_eye",
            "radius_chiasm",
            "opening_voxels",
            "fill_below",
            "gap_flag_mm",
        ];
        assert_eq!(keys, want);
        assert!(NerveConfig { radius_inner: 7.5, ..NerveConfig::default() }.faults().len() == 2, "not above R");
    }
}
