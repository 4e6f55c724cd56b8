//! The rows of the thesis's tables: left and right together, optic nerves with their chiasm.

use crate::anatomy::Structure;

/// A row of the thesis's Tables 4.2 to 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Both hippocampi.
    Hippocampus,
    /// Brainstem.
    Brainstem,
    /// Both eyeballs.
    Eye,
    /// Both lenses.
    Lens,
    /// Both optic nerves and the chiasm.
    OpticNervesAndChiasm,
    /// Pituitary gland.
    Pituitary,
    /// Brain.
    Brain,
}

/// What the thesis reports of one class, shares in percent and distances in mm: "axial" is one raw network, the rest its
/// final result (means over 44 MRIs, 5-fold cross-validation, Tables 4.2 to 4.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thesis {
    pub dice_axial: f64,
    pub dice: f64,
    pub tolerant_dice: f64,
    pub tolerant_sensitivity: f64,
    /// Called specificity there.
    pub tolerant_precision: f64,
    pub hausdorff_axial: f64,
    pub hausdorff: f64,
    pub mean_axial: f64,
    pub mean: f64,
}

impl Pool {
    /// Every row, in the thesis's order.
    pub const ALL: [Pool; 7] = [
        Pool::Hippocampus,
        Pool::Brainstem,
        Pool::Eye,
        Pool::Lens,
        Pool::OpticNervesAndChiasm,
        Pool::Pituitary,
        Pool::Brain,
    ];

    /// The row's name.
    pub const fn name(self) -> &'static str {
        match self {
            Pool::Hippocampus => "hippocampus",
            Pool::Brainstem => "brainstem",
            Pool::Eye => "eye",
            Pool::Lens => "lens",
            Pool::OpticNervesAndChiasm => "optic nerves and chiasm",
            Pool::Pituitary => "pituitary",
            Pool::Brain => "brain",
        }
    }

    /// The structures that it unites.
    pub const fn parts(self) -> &'static [Structure] {
        match self {
            Pool::Hippocampus => &[Structure::Hippocampus_L, Structure::Hippocampus_R],
            Pool::Brainstem => &[Structure::Brainstem],
            Pool::Eye => &[Structure::Eye_L, Structure::Eye_R],
            Pool::Lens => &[Structure::Lens_L, Structure::Lens_R],
            Pool::OpticNervesAndChiasm => &[Structure::OpticNrv_L, Structure::OpticNrv_R, Structure::OpticChiasm],
            Pool::Pituitary => &[Structure::Pituitary],
            Pool::Brain => &[Structure::Brain],
        }
    }

    pub(super) const fn thesis(self) -> Thesis {
        // Dice axial, final; tolerant Dice, sensitivity, "specificity"; Hausdorff axial, final; mean axial, final.
        let row = match self {
            Pool::Hippocampus => [69.2, 71.4, 88.2, 92.7, 85.0, 42.1, 6.9, 0.97, 0.66],
            Pool::Brainstem => [88.1, 88.6, 95.1, 95.5, 95.6, 45.5, 7.8, 0.26, 0.26],
            Pool::Eye => [88.3, 89.6, 97.5, 98.3, 96.8, 75.9, 3.0, 0.35, 0.11],
            Pool::Lens => [55.8, 58.8, 82.1, 88.2, 78.4, 31.0, 3.7, 1.29, 0.63],
            Pool::OpticNervesAndChiasm => [63.9, 67.4, 91.1, 96.2, 87.1, 76.7, 6.3, 1.09, 0.48],
            Pool::Pituitary => [53.6, 58.0, 79.7, 83.3, 77.5, 52.5, 4.6, 2.45, 0.69],
            Pool::Brain => [96.5, 96.8, 98.6, 98.0, 99.4, 30.4, 9.8, 0.07, 0.08],
        };
        Thesis {
            dice_axial: row[0],
            dice: row[1],
            tolerant_dice: row[2],
            tolerant_sensitivity: row[3],
            tolerant_precision: row[4],
            hausdorff_axial: row[5],
            hausdorff: row[6],
            mean_axial: row[7],
            mean: row[8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_is_in_one_row() {
        for structure in Structure::ALL {
            assert_eq!(Pool::ALL.iter().filter(|p| p.parts().contains(&structure)).count(), 1);
        }
    }
}
