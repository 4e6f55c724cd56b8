//! A study as text, CSV and JSON.

use std::fmt::Write;

use serde::Serialize;

use super::study::{Case, RowName, Study, Summary};
use super::{Metric, Unit};

/// What the heads of the columns mean.
const FOOT: &str = "\
tol. = one voxel tolerated (26 neighbours); prec. tol. is what the thesis calls specificity; sDice = surface Dice at so many mm
missed = distances undefined, since one of the two is empty; what each measure is, to the voxel: ops/measures.md
The thesis's values are means over 44 MRIs of patients: they compare with patients, not with synthetic heads.
";

/// A study as it is written to JSON.
#[derive(Serialize)]
struct Json<'a> {
    surface_dice_tolerances_mm: &'a [f64],
    cases: &'a [Case],
    summaries: Vec<Summary>,
}

impl Study {
    /// Everything, as JSON; shares of 1, distances in mm, volumes in cm3.
    ///
    /// # Errors
    /// As `serde_json`; no value here can cause one.
    pub fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let (tolerances, cases) = (&self.tolerances_mm, &self.cases);
        serde_json::to_vec_pretty(&Json { surface_dice_tolerances_mm: tolerances, cases, summaries: self.summaries() })
    }

    /// One line a structure and case; what is undefined is empty. `counted` is false where neither has a voxel.
    pub fn csv(&self) -> String {
        let metrics = Metric::all(&self.tolerances_mm);
        let head = ["case", "structure", "pooled", "parts", "counted"].map(str::to_owned);
        let mut out = line(head.into_iter().chain(metrics.iter().map(|m| m.key())));
        for (case, row) in self.cases.iter().flat_map(|case| case.rows.iter().map(move |row| (case, row))) {
            let (parts, counted) = (row.parts.join("+"), row.measures.overlap.is_some());
            let first = [case.case.clone(), row.structure.clone(), row.pooled.to_string(), parts, counted.to_string()];
            out += &line(first.into_iter().chain(metrics.iter().map(|m| number(m.of(&row.measures)))));
        }
        out
    }

    /// One line a structure and measure, over all cases.
    pub fn summary_csv(&self) -> String {
        let head =
            "structure pooled measure cases undefined mean sd min quartile1 median quartile3 max thesis thesis_axial";
        let mut out = line(head.split(' ').map(str::to_owned));
        for s in self.summaries() {
            let values = s.spread.map(|v| [v.mean, v.sd, v.min, v.quartile1, v.median, v.quartile3, v.max]);
            let values = (0..7).map(|n| number(values.map(|v| v[n])));
            let first = [s.structure, s.pooled.to_string(), s.measure, s.cases.to_string(), s.undefined.to_string()];
            out += &line(first.into_iter().chain(values).chain([number(s.thesis), number(s.thesis_axial)]));
        }
        out
    }

    /// Means over the cases as aligned text: the thesis's rows with its values below ours, then every structure, then what
    /// was not measured.
    pub fn text(&self) -> String {
        let rows = self.rows();
        let (pools, structures): (Vec<RowName>, Vec<RowName>) = rows.into_iter().partition(|r| r.pool.is_some());
        let mut out = String::new();
        if !pools.is_empty() {
            out += "Rows of the thesis (left and right together, nerves with chiasm); means, shares in %, distances in mm\n";
            out += &self.beside_thesis(&pools);
            out.push('\n');
        }
        if !structures.is_empty() {
            out += "Every structure; means, volumes in cm3, shares in %, distances in mm\n";
            out += &self.every_structure(&structures);
        }
        out += FOOT;
        for case in &self.cases {
            for (what, names) in [
                ("only in the reference, not measured", &case.unmatched.reference_only),
                ("only in the set under test, not measured", &case.unmatched.test_only),
                ("note", &case.notes),
            ] {
                if !names.is_empty() {
                    let _ = writeln!(out, "{}: {what}: {}", case.case, names.join(", "));
                }
            }
        }
        out
    }

    fn beside_thesis(&self, pools: &[RowName]) -> String {
        const COLUMNS: [(Metric, &str); 6] = [
            (Metric::Dice, "Dice"),
            (Metric::TolerantDice, "Dice tol."),
            (Metric::TolerantSensitivity, "sens. tol."),
            (Metric::TolerantPrecision, "prec. tol."),
            (Metric::Hausdorff, "HD"),
            (Metric::Mean, "mean"),
        ];
        let mut out = format!("{:<24} {:>5} {:>6}", "", "cases", "missed");
        COLUMNS.iter().for_each(|(_, title)| out += &format!(" {title:>10}"));
        for row in pools {
            let summaries = COLUMNS.map(|(metric, _)| (metric, self.summary(row, metric)));
            let (cases, missed) = (summaries[0].1.cases, self.summary(row, Metric::Hausdorff).undefined);
            let _ = write!(out, "\n{:<24} {cases:>5} {missed:>6}", row.name);
            let cells = |of: &dyn Fn(&Summary) -> Option<f64>| {
                summaries.iter().map(|(metric, s)| cell(*metric, of(s), 10)).collect::<String>()
            };
            out += &cells(&|s| s.spread.map(|v| v.mean));
            let _ = write!(out, "\n{:<37}{}", "  thesis, final result", cells(&|s| s.thesis));
            let _ = write!(out, "\n{:<37}{}", "  thesis, axial network alone", cells(&|s| s.thesis_axial));
        }
        out + "\n"
    }

    fn every_structure(&self, structures: &[RowName]) -> String {
        let mut columns = vec![
            (Metric::ReferenceVolume, "ref cm3".to_owned()),
            (Metric::FoundVolume, "found cm3".to_owned()),
            (Metric::Dice, "Dice".to_owned()),
            (Metric::Sensitivity, "sens.".to_owned()),
            (Metric::Precision, "prec.".to_owned()),
            (Metric::TolerantDice, "Dice tol.".to_owned()),
            (Metric::TolerantSensitivity, "sens. tol.".to_owned()),
            (Metric::TolerantPrecision, "prec. tol.".to_owned()),
            (Metric::TolerantSpecificity, "spec. tol.".to_owned()),
        ];
        columns.extend(self.tolerances_mm.iter().map(|mm| (Metric::SurfaceDice(*mm), format!("sDice {mm}"))));
        let distances = [
            (Metric::Hausdorff, "HD"),
            (Metric::Hausdorff95, "HD95"),
            (Metric::Mean, "mean"),
            (Metric::MeanSurface, "mean surf."),
            (Metric::AddedPath, "added path"),
        ];
        columns.extend(distances.map(|(metric, title)| (metric, title.to_owned())));
        let mut out = format!("{:<16} {:>5} {:>6}", "", "cases", "missed");
        columns.iter().for_each(|(_, title)| out += &format!(" {title:>10}"));
        for row in structures {
            let (cases, missed) = (self.counted(row).count(), self.summary(row, Metric::Hausdorff).undefined);
            let _ = write!(out, "\n{:<16} {cases:>5} {missed:>6}", row.name);
            for (metric, _) in &columns {
                out += &cell(*metric, self.summary(row, *metric).spread.map(|v| v.mean), 10);
            }
        }
        out + "\n"
    }
}

/// A value as people read it, after a blank; a dash for none.
fn cell(metric: Metric, value: Option<f64>, width: usize) -> String {
    let digits = if metric.unit() == Unit::Share || metric == Metric::AddedPath { 1 } else { 2 };
    match value {
        Some(value) => format!(" {:>width$.digits$}", metric.unit().shown(value)),
        None => format!(" {:>width$}", "-"),
    }
}

/// A value as programs read it, every digit; empty for none.
fn number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// A line of CSV (RFC 4180).
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    };
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}
