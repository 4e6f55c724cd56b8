//! Results by structure, as rows and as text.

use std::fmt;

use serde::Serialize;

use super::{Measures, TOLERANCES_MM, measure};
use crate::anatomy::Structure;
use crate::geometry::{GeometryError, Mask};

/// One structure of one case against its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Which structure.
    pub structure: Structure,
    /// All that was measured.
    pub measures: Measures,
}

/// Measures one structure, surface Dice at [`TOLERANCES_MM`].
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn compare(structure: Structure, found: &Mask, reference: &Mask) -> Result<Row, GeometryError> {
    Ok(Row { structure, measures: measure(found, reference, &TOLERANCES_MM)? })
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
            let m = &row.measures;
            write!(f, "{:<14}{:>10.3}{:>10.3}", row.structure.name(), m.reference_cc, m.found_cc)?;
            match (&m.overlap, m.distances) {
                (Some(o), Some(d)) => {
                    let (mean, largest) = (d.mean_mm, d.hausdorff_mm);
                    writeln!(f, "{:>8.3}{mean:>10.2}{largest:>8.2}{:>8.2}", o.dice, d.hausdorff95_mm)?
                }
                (None, _) => writeln!(f, "  absent, and not found")?,
                (Some(_), None) if m.found_cc > 0.0 => writeln!(f, "  found, though there is none")?,
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
