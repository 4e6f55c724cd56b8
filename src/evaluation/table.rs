//! Results by structure and by class, as rows and as text.

use std::fmt;

use serde::Serialize;

use super::{SurfaceDistances, dice, surface_distances};
use crate::anatomy::{Class, Structure};
use crate::geometry::{GeometryError, Mask};

/// One structure of one case against its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which structure.
    pub structure: Structure,
    /// Volume of the reference in cm3.
    pub reference_cc: f64,
    /// Volume of what was found in cm3; 0 when it was not found.
    pub found_cc: f64,
    /// Dice; `None` when neither has a voxel.
    pub dice: Option<f64>,
    /// Surface distances; `None` when either has no voxel.
    pub distances: Option<SurfaceDistances>,
}

/// Measures one structure.
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn compare(structure: Structure, found: &Mask, reference: &Mask) -> Result<Row, GeometryError> {
    Ok(Row {
        structure,
        reference_cc: reference.cc(),
        found_cc: found.cc(),
        dice: dice(found, reference)?,
        distances: surface_distances(found, reference)?,
    })
}

/// A class over some cases, left and right together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassSummary {
    /// Which class.
    pub class: Class,
    /// Mean Dice; a structure that was missed, or found where there is none, counts as 0.
    pub dice_mean: f64,
    /// Lowest Dice.
    pub dice_min: f64,
    /// Number of structures counted: those that are in the reference or were found.
    pub n: usize,
}

/// Pools rows by class, in the order of [`Class::ALL`]; classes that nothing counts for are left out.
pub fn summarise(rows: &[Row]) -> Vec<ClassSummary> {
    let of = |class: Class| {
        let counted: Vec<f64> =
            rows.iter().filter(|row| row.structure.class() == class).filter_map(|row| row.dice).collect();
        let n = counted.len();
        (n > 0).then(|| ClassSummary {
            class,
            dice_mean: counted.iter().sum::<f64>() / n as f64,
            dice_min: counted.iter().copied().fold(f64::INFINITY, f64::min),
            n,
        })
    };
    Class::ALL.into_iter().filter_map(of).collect()
}

/// Rows as aligned text, a line each under a heading; what was not found says so.
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14}{:>10}{:>10}{:>8}{:>10}{:>8}{:>8}",
            "structure", "true cm3", "found cm3", "Dice", "mean mm", "HD mm", "HD95 mm"
        )?;
        for row in self.0 {
            write!(f, "{:<14}{:>10.3}{:>10.3}", row.structure.name(), row.reference_cc, row.found_cc)?;
            match (row.dice, row.distances) {
                (Some(dice), Some(d)) => {
                    writeln!(f, "{dice:>8.3}{:>10.2}{:>8.2}{:>8.2}", d.mean_mm, d.hausdorff_mm, d.hausdorff95_mm)?
                }
                (None, _) => writeln!(f, "  absent, and not found")?,
                (Some(_), None) if row.found_cc > 0.0 => writeln!(f, "  found, though there is none")?,
                (Some(_), None) => writeln!(f, "  not found")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::block;
    use super::*;

    fn rows() -> Vec<Row> {
        let none = block([0; 3], [0; 3]);
        let (a, b) = (block([1, 1, 1], [4, 2, 3]), block([3, 1, 1], [5, 2, 3]));
        vec![
            compare(Structure::Eye_L, &a, &a).unwrap(),
            compare(Structure::Eye_R, &none, &b).unwrap(),
            compare(Structure::Lens_L, &none, &none).unwrap(),
            compare(Structure::Lens_R, &a, &none).unwrap(),
            compare(Structure::Brain, &a, &b).unwrap(),
        ]
    }

    #[test]
    fn misses_count_as_zero_and_absences_do_not_count() {
        let found = summarise(&rows());
        let short: Vec<_> = found.iter().map(|c| (c.class, c.dice_mean, c.dice_min, c.n)).collect();
        let brain = 2.0 * 12.0 / 54.0;
        assert_eq!(short, [(Class::Eye, 0.5, 0.0, 2), (Class::Lens, 0.0, 0.0, 1), (Class::Brain, brain, brain, 1)]);
    }

    #[test]
    fn the_table_says_what_was_not_found() {
        let text = Table(&rows()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[1].starts_with("Eye_L") && lines[1].contains("1.000"));
        assert!(lines[2].ends_with("  not found") && lines[3].ends_with("absent, and not found"));
        assert!(lines[4].ends_with("found, though there is none"));
        assert!(lines[5].contains("0.444"));
    }
}
