//! The measures by name: columns of a table, boxes of a plot.

use super::{Measures, Pool};

/// One number of [`Measures`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Metric {
    /// [`Measures::reference_cc`].
    ReferenceVolume,
    /// [`Measures::found_cc`].
    FoundVolume,
    /// [`super::Overlap::dice`].
    Dice,
    /// [`super::Overlap::sensitivity`].
    Sensitivity,
    /// [`super::Overlap::precision`].
    Precision,
    /// [`super::Overlap::specificity`].
    Specificity,
    /// [`super::Overlap::tolerant_dice`].
    TolerantDice,
    /// [`super::Overlap::tolerant_sensitivity`].
    TolerantSensitivity,
    /// [`super::Overlap::tolerant_precision`].
    TolerantPrecision,
    /// [`super::Overlap::tolerant_specificity`].
    TolerantSpecificity,
    /// [`super::Overlap::surface_dice`] at this tolerance in mm.
    SurfaceDice(f64),
    /// [`super::Overlap::added_path_mm`].
    AddedPath,
    /// [`super::Distances::hausdorff_mm`].
    Hausdorff,
    /// [`super::Distances::mean_mm`].
    Mean,
    /// [`super::Distances::hausdorff95_mm`].
    Hausdorff95,
    /// [`super::Distances::mean_surface_mm`].
    MeanSurface,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Of 1; shown in percent.
    Share,
    /// Millimetres.
    Mm,
    /// Cubic centimetres.
    Cc,
}

impl Unit {
    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Share => "%",
            Unit::Mm => "mm",
            Unit::Cc => "cm3",
        }
    }

    /// A value as it is shown in [`Unit::name`].
    pub fn shown(self, value: f64) -> f64 {
        if self == Unit::Share { value * 100.0 } else { value }
    }
}

impl Metric {
    /// Every measure, surface Dice at each of some tolerances.
    pub fn all(tolerances_mm: &[f64]) -> Vec<Metric> {
        use Metric as M;
        let shares = [M::Dice, M::Sensitivity, M::Precision, M::Specificity];
        let tolerant = [M::TolerantDice, M::TolerantSensitivity, M::TolerantPrecision, M::TolerantSpecificity];
        let lengths = [M::Hausdorff, M::Mean, M::Hausdorff95, M::MeanSurface, M::AddedPath];
        let surface: Vec<M> = tolerances_mm.iter().map(|mm| M::SurfaceDice(*mm)).collect();
        [&[M::ReferenceVolume, M::FoundVolume], &shares[..], &tolerant, &surface, &lengths].concat()
    }

    /// Name in files.
    pub fn key(self) -> String {
        let name = match self {
            Metric::ReferenceVolume => "reference_cc",
            Metric::FoundVolume => "found_cc",
            Metric::Dice => "dice",
            Metric::Sensitivity => "sensitivity",
            Metric::Precision => "precision",
            Metric::Specificity => "specificity",
            Metric::TolerantDice => "tolerant_dice",
            Metric::TolerantSensitivity => "tolerant_sensitivity",
            Metric::TolerantPrecision => "tolerant_precision",
            Metric::TolerantSpecificity => "tolerant_specificity",
            Metric::SurfaceDice(mm) => return format!("surface_dice_{mm}mm"),
            Metric::AddedPath => "added_path_mm",
            Metric::Hausdorff => "hausdorff_mm",
            Metric::Mean => "mean_distance_mm",
            Metric::Hausdorff95 => "hausdorff95_mm",
            Metric::MeanSurface => "mean_surface_distance_mm",
        };
        name.to_owned()
    }

    /// Name for people.
    pub fn title(self) -> String {
        let name = match self {
            Metric::ReferenceVolume => "volume of the reference",
            Metric::FoundVolume => "volume found",
            Metric::Dice => "Dice",
            Metric::Sensitivity => "sensitivity",
            Metric::Precision => "precision",
            Metric::Specificity => "specificity",
            Metric::TolerantDice => "Dice, one voxel tolerated",
            Metric::TolerantSensitivity => "sensitivity, one voxel tolerated",
            Metric::TolerantPrecision => "precision, one voxel tolerated (the thesis's \"specificity\")",
            Metric::TolerantSpecificity => "specificity, one voxel tolerated",
            Metric::SurfaceDice(mm) => return format!("surface Dice at {mm} mm"),
            Metric::AddedPath => "added path length",
            Metric::Hausdorff => "Hausdorff distance",
            Metric::Mean => "mean distance M(A, B)",
            Metric::Hausdorff95 => "95 % Hausdorff distance",
            Metric::MeanSurface => "mean surface distance",
        };
        name.to_owned()
    }

    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self {
            Metric::ReferenceVolume | Metric::FoundVolume => Unit::Cc,
            Metric::AddedPath | Metric::Hausdorff | Metric::Mean | Metric::Hausdorff95 | Metric::MeanSurface => {
                Unit::Mm
            }
            _ => Unit::Share,
        }
    }

    /// Its value; `None` where it is undefined.
    pub fn of(self, m: &Measures) -> Option<f64> {
        let (o, d) = (m.overlap.as_ref(), m.distances);
        match self {
            Metric::ReferenceVolume => Some(m.reference_cc),
            Metric::FoundVolume => Some(m.found_cc),
            Metric::Dice => Some(o?.dice),
            Metric::Sensitivity => o?.sensitivity,
            Metric::Precision => o?.precision,
            Metric::Specificity => o?.specificity,
            Metric::TolerantDice => o?.tolerant_dice,
            Metric::TolerantSensitivity => o?.tolerant_sensitivity,
            Metric::TolerantPrecision => o?.tolerant_precision,
            Metric::TolerantSpecificity => o?.tolerant_specificity,
            Metric::SurfaceDice(mm) => o?.surface_dice.iter().find(|s| s.tolerance_mm == mm).map(|s| s.value),
            Metric::AddedPath => Some(o?.added_path_mm),
            Metric::Hausdorff => Some(d?.hausdorff_mm),
            Metric::Mean => Some(d?.mean_mm),
            Metric::Hausdorff95 => Some(d?.hausdorff95_mm),
            Metric::MeanSurface => Some(d?.mean_surface_mm),
        }
    }

    /// The thesis's mean of its final result, in the unit of [`Metric::of`].
    pub fn thesis(self, pool: Pool) -> Option<f64> {
        let t = pool.thesis();
        match self {
            Metric::Dice => Some(of_percent(t.dice)),
            Metric::TolerantDice => Some(of_percent(t.tolerant_dice)),
            Metric::TolerantSensitivity => Some(of_percent(t.tolerant_sensitivity)),
            Metric::TolerantPrecision => Some(of_percent(t.tolerant_precision)),
            Metric::Hausdorff => Some(t.hausdorff),
            Metric::Mean => Some(t.mean),
            _ => None,
        }
    }

    /// The thesis's mean of one raw network (axial slices), in the unit of [`Metric::of`].
    pub fn thesis_axial(self, pool: Pool) -> Option<f64> {
        let t = pool.thesis();
        match self {
            Metric::Dice => Some(of_percent(t.dice_axial)),
            Metric::Hausdorff => Some(t.hausdorff_axial),
            Metric::Mean => Some(t.mean_axial),
            _ => None,
        }
    }
}

/// A share from percent with one decimal, without the noise of a division.
fn of_percent(percent: f64) -> f64 {
    (percent * 10.0).round() / 1000.0
}
