//! Which structure set of a series is taken.

use std::collections::BTreeMap;

use super::names::{Names, Reading};
use crate::dicom::data::{Archive, ArchivedSet};
use crate::ids::SeriesUid;

/// Which of several structure sets of one series counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SetRule {
    /// The newest by Structure Set Date and Time; of the same time, the greatest SOP Instance UID.
    Newest,
    /// The newest of those whose Approval Status is APPROVED; a series without one is refused.
    Approved,
}

/// A structure set that is not taken, and why.
#[derive(Debug, Clone)]
pub struct PassedOver<'a> {
    /// Which.
    pub set: &'a ArchivedSet,
    /// Why, in words.
    pub why: &'static str,
}

/// What is taken of an archive.
#[derive(Debug, Default)]
pub struct Chosen<'a> {
    /// Series to the structure set that is taken.
    pub taken: BTreeMap<&'a SeriesUid, &'a ArchivedSet>,
    /// All others.
    pub passed_over: Vec<PassedOver<'a>>,
}

/// Chooses a structure set for each series that has one. Sets without a single organ of the table (targets only, say) do not
/// count, nor do those of contourd's own making unless `own`: nobody may have looked at them. A set that names no series
/// belongs to the only series of its frame of reference, where there is only one.
pub fn choose<'a>(archive: &'a Archive, names: &Names, rule: SetRule, own: bool) -> Chosen<'a> {
    let mut chosen = Chosen::default();
    let mut by_series: BTreeMap<&SeriesUid, Vec<&ArchivedSet>> = BTreeMap::new();
    for set in &archive.sets {
        let why = match series_of(set, archive) {
            Err(why) => Some(why),
            Ok(_) if set.ambiguous => Some("another structure set has the same SOP Instance UID and other content"),
            Ok(_) if set.is_own() && !own => Some(
                "contourd made it: what nobody corrected is no truth (reviewed cases: import-reviewed; synthetic truth: --own)",
            ),
            Ok(_) if !set.rois.iter().any(|name| matches!(names.read(name), Reading::Organ(..))) => {
                Some("no region in it is an organ by the table of names")
            }
            Ok(_) if set.approval == "REJECTED" => Some("it was rejected"),
            Ok(_) if rule == SetRule::Approved && set.approval != "APPROVED" => Some("it is not approved"),
            Ok(uid) => {
                by_series.entry(uid).or_default().push(set);
                None
            }
        };
        chosen.passed_over.extend(why.map(|why| PassedOver { set, why }));
    }
    for (uid, mut sets) in by_series {
        sets.sort_by(|a, b| (&a.made, &a.header.instance).cmp(&(&b.made, &b.header.instance)));
        if let Some(newest) = sets.pop() {
            chosen.taken.insert(uid, newest);
        }
        let why = "a newer one is taken";
        chosen.passed_over.extend(sets.into_iter().map(|set| PassedOver { set, why }));
    }
    chosen
}

/// The series that a set was drawn on.
fn series_of<'a>(set: &ArchivedSet, archive: &'a Archive) -> Result<&'a SeriesUid, &'static str> {
    let found = match (&set.series, &set.frame) {
        (Some(uid), _) => {
            let found = archive.series.get_key_value(uid);
            found.ok_or("the series that it refers to is not here, or is no MR series")?
        }
        (None, Some(frame)) => {
            let mut same = archive.series.iter().filter(|(_, s)| s.header.frame.as_ref() == Some(frame));
            match (same.next(), same.next()) {
                (Some(only), None) => only,
                (None, _) => return Err("it names no series, and none is in its frame of reference"),
                (Some(_), Some(_)) => return Err("it names no series, and several are in its frame of reference"),
            }
        }
        (None, None) => return Err("it refers to no series"),
    };
    let (uid, series) = found;
    if series.header.patient_id != set.header.patient_id {
        return Err("it names another Patient ID than the series that it refers to");
    }
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::names::DEFAULT_NAMES;
    use super::*;
    use crate::dicom::data::{ArchivedSeries, InstanceHeader, MANUFACTURER, MODEL_NAME};
    use crate::ids::{FrameOfReferenceUid, InstanceUid, Phi, StudyUid};

    fn header(series: &str, instance: &str) -> InstanceHeader {
        InstanceHeader {
            study: StudyUid::parse("1.2").unwrap(),
            series: SeriesUid::parse(series).unwrap(),
            instance: InstanceUid::parse(instance).unwrap(),
            frame: FrameOfReferenceUid::parse("1.9").ok(),
            sop_class: String::new(),
            transfer_syntax: String::new(),
            modality: String::new(),
            series_description: String::new(),
            patient_id: Phi::new("4711".into()),
            patient_name: Phi::new("Muster^Erika".into()),
            manufacturer: "TPS".into(),
            model_name: String::new(),
            plane: None,
            announced: None,
            acquisition: None,
        }
    }

    fn set(instance: &str, made: [&str; 2], approval: &str) -> ArchivedSet {
        ArchivedSet {
            path: PathBuf::from(instance),
            header: header("5.5", instance),
            made: made.map(str::to_owned),
            approval: approval.into(),
            series: SeriesUid::parse("1.1").ok(),
            frame: FrameOfReferenceUid::parse("1.9").ok(),
            rois: vec!["PTV 60".into(), "Hirnstamm".into()],
            ambiguous: false,
        }
    }

    fn archive(sets: Vec<ArchivedSet>) -> Archive {
        let header = header("1.1", "1.1.1");
        let series = ArchivedSeries { header: header.clone(), files: Vec::new(), faults: Vec::new() };
        Archive { series: [(header.series, series)].into(), sets, ..Archive::default() }
    }

    fn taken(archive: &Archive, rule: SetRule, own: bool) -> Option<String> {
        let names = Names::parse(DEFAULT_NAMES).unwrap();
        let chosen = choose(archive, &names, rule, own);
        assert_eq!(chosen.taken.len() + chosen.passed_over.len(), archive.sets.len(), "a set was lost");
        chosen.taken.values().next().map(|set| set.header.instance.to_string())
    }

    #[test]
    fn the_newest_or_the_newest_approved_is_taken() {
        let sets = archive(vec![
            set("1.31", ["20260102", "235959"], "UNAPPROVED"),
            set("1.32", ["20260101", "120000"], "APPROVED"),
            set("1.33", ["20260101", "110000"], "APPROVED"),
            set("1.36", ["20260103", "110000"], "REJECTED"),
            set("1.34", ["20260102", "235959"], ""),
            set("1.35", ["", ""], "REJECTED"),
        ]);
        assert_eq!(taken(&sets, SetRule::Newest, false).unwrap(), "1.34");
        assert_eq!(taken(&sets, SetRule::Approved, false).unwrap(), "1.32");
        assert_eq!(taken(&archive(vec![set("1.31", ["20260102", ""], "")]), SetRule::Approved, false), None);
    }

    #[test]
    fn what_is_no_truth_of_this_series_is_passed_over() {
        let change = |change: &dyn Fn(&mut ArchivedSet)| {
            let mut one = set("1.31", ["20260102", ""], "APPROVED");
            change(&mut one);
            archive(vec![one])
        };
        let own = change(&|s| {
            s.header.manufacturer = MANUFACTURER.into();
            s.header.model_name = MODEL_NAME.into();
        });
        assert_eq!(taken(&own, SetRule::Newest, false), None);
        assert!(taken(&own, SetRule::Newest, true).is_some());
        let other: [&dyn Fn(&mut ArchivedSet); 4] = [
            &|s| s.rois = vec!["PTV".into(), "Hirnstamm PRV".into()],
            &|s| s.series = SeriesUid::parse("7.7").ok(),
            &|s| s.header.patient_id = Phi::new("4712".into()),
            &|s| s.ambiguous = true,
        ];
        for made in other {
            assert_eq!(taken(&change(made), SetRule::Newest, true), None);
        }
        // Without a series the frame of reference tells, where it can.
        assert!(taken(&change(&|s| s.series = None), SetRule::Newest, false).is_some());
        assert!(taken(&change(&|s| (s.series, s.frame) = (None, None)), SetRule::Newest, false).is_none());
    }
}
