//! What an import took and refused: for people as text, for programs as JSON. Names no patient: series, patients and files
//! stand under pseudonyms.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::drawn_case::ReadNames;

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the store, written now.
    Taken,
    /// It was in the store already, from the same source.
    Held,
    /// It is not in the store.
    Refused,
}

/// One series, pair or reviewed case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Pseudonym of the case: its name in the store.
    pub case: String,
    /// Pseudonym of the patient.
    pub patient: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Classes with labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Classes that something was drawn of and that are unknown all the same: why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, String>,
    /// Names of regions and what they were read as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<(String, String)>,
    /// What is odd about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl CaseReport {
    /// A case of which nothing is known yet.
    pub fn new(case: String, patient: String, outcome: Outcome) -> Self {
        let (reasons, known, regions, notes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { case, patient, outcome, reasons, known, unknown: BTreeMap::new(), regions, notes }
    }

    /// A case that is not taken.
    pub fn refused(case: String, patient: String, reasons: Vec<String>) -> Self {
        Self { reasons, ..Self::new(case, patient, Outcome::Refused) }
    }
}

/// Something that was found and did not become a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Pseudonym of the file, folder or structure set.
    pub what: String,
    /// Why.
    pub why: String,
}

/// The whole import.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportReport {
    /// Every case, in the order of their names.
    pub cases: Vec<CaseReport>,
    /// Structure sets that were not taken.
    pub passed_over: Vec<Aside>,
    /// Files that cannot be read.
    pub damaged: Vec<Aside>,
    /// Series of images to which no structure set refers.
    pub series_without_structures: usize,
    /// Files that hold an object a second time.
    pub copies: usize,
    /// DICOM objects of other kinds.
    pub other_objects: usize,
    /// Files that are no DICOM.
    pub foreign_files: usize,
    /// Names of regions of the structure sets that were looked at, which the table does not have: how often.
    pub unmapped_names: BTreeMap<String, usize>,
    /// Names that a word makes something else than an organ: the word, and how often.
    pub derived_names: BTreeMap<String, (String, usize)>,
}

impl ImportReport {
    /// How many cases ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases.iter().filter(|c| c.outcome == outcome).count()
    }

    /// Counts the names of a structure set.
    pub fn count_names(&mut self, names: &ReadNames) {
        for name in &names.unknown {
            *self.unmapped_names.entry(name.clone()).or_default() += 1;
        }
        for (name, word) in &names.derived {
            self.derived_names.entry(name.clone()).or_insert((word.clone(), 0)).1 += 1;
        }
    }

    /// In words, one patient after the other.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let [taken, held, refused] = [Outcome::Taken, Outcome::Held, Outcome::Refused].map(|o| self.count(o));
        writeln!(out, "{taken} cases taken, {held} already there, {refused} refused")?;
        let mut by_patient: BTreeMap<&str, Vec<&CaseReport>> = BTreeMap::new();
        self.cases.iter().for_each(|c| by_patient.entry(&c.patient).or_default().push(c));
        for (patient, cases) in by_patient {
            writeln!(out, "\npatient {patient}")?;
            for case in cases {
                let outcome = match case.outcome {
                    Outcome::Taken => "taken",
                    Outcome::Held => "already there",
                    Outcome::Refused => "REFUSED",
                };
                writeln!(out, "  {} {outcome}: {}", case.case, case.known.join(" "))?;
                case.reasons.iter().try_for_each(|why| writeln!(out, "    {why}"))?;
                case.unknown.iter().try_for_each(|(class, why)| writeln!(out, "    {class} unknown: {why}"))?;
                case.notes.iter().try_for_each(|note| writeln!(out, "    note: {note}"))?;
            }
        }
        list(out, "structure sets passed over", self.passed_over.iter().map(|a| format!("{}: {}", a.what, a.why)))?;
        list(out, "files that cannot be read", self.damaged.iter().map(|a| format!("{}: {}", a.what, a.why)))?;
        let unmapped = self.unmapped_names.iter().map(|(name, n)| format!("{n:>5} {name:?}"));
        list(out, "names of regions that the table does not have", unmapped)?;
        let derived = self.derived_names.iter().map(|(name, (word, n))| format!("{n:>5} {name:?} ({word:?})"));
        list(out, "names that are no organ by a word in them", derived)?;
        writeln!(
            out,
            "\n{} series without a structure set; {} files twice; {} objects of other kinds; {} files that are no DICOM",
            self.series_without_structures, self.copies, self.other_objects, self.foreign_files
        )
    }
}

fn list(out: &mut String, what: &str, lines: impl Iterator<Item = String>) -> std::fmt::Result {
    for (n, line) in lines.enumerate() {
        if n == 0 {
            writeln!(out, "\n{what}:")?;
        }
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_in_the_text() {
        let mut report = ImportReport { copies: 3, ..ImportReport::default() };
        let mut taken = CaseReport::new("case-1".into(), "p-1".into(), Outcome::Taken);
        taken.known = vec!["eye".into()];
        taken.unknown.insert("lens".into(), "only the left one".into());
        taken.notes.push("thick".into());
        report.cases = vec![taken, CaseReport::refused("case-2".into(), "p-1".into(), vec!["gap".into()])];
        report.passed_over.push(Aside { what: "set-1".into(), why: "older".into() });
        report.damaged.push(Aside { what: "file-1".into(), why: "cut".into() });
        report.count_names(&ReadNames {
            organs: Vec::new(),
            derived: vec![("Eye PRV".into(), "prv".into())],
            unknown: vec!["Cochlea".into(), "Cochlea".into()],
        });
        let text = report.text();
        for words in [
            "1 cases taken, 0 already there, 1 refused",
            "patient p-1",
            "case-2 REFUSED",
            "    gap",
            "lens unknown: only the left one",
            "note: thick",
            "set-1: older",
            "file-1: cut",
            "2 \"Cochlea\"",
            "1 \"Eye PRV\" (\"prv\")",
            "3 files twice",
        ] {
            assert!(text.contains(words), "{words:?} is missing from\n{text}");
        }
        let json = serde_json::to_vec(&report).unwrap();
        assert_eq!(serde_json::from_slice::<ImportReport>(&json).unwrap(), report);
    }
}
