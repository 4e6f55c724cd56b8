//! Series that are not contoured but kept beside what is: checked as they become complete.

use bytes::Bytes;

use crate::dicom::data::{Refusals, StructureSet, planning_ct, read_registration, read_rtstruct};
use crate::store::{CaseRole, PriorSet};

/// What a series is that is kept.
pub(super) struct Kept {
    /// In words, without anything that a person wrote into the object.
    pub said: String,
    /// What its structure sets say, where it is one of them.
    pub sets: Vec<PriorSet>,
}

/// Looks at a complete series that is kept.
///
/// # Errors
/// Why it is of no use.
pub(super) fn look_at(role: CaseRole, files: &[Bytes]) -> Result<Kept, Refusals> {
    let kept = |said| Kept { said, sets: Vec::new() };
    match role {
        CaseRole::PlanningCt => {
            let slices = planning_ct(files)?.volume.grid().shape().slices;
            Ok(kept(format!("a planning CT of {slices} slices: contours of this study are laid on it")))
        }
        CaseRole::StructureSet => {
            let (good, unused) = each(files, |file| read_rtstruct(file))?;
            let said = format!(
                "{} that others made, kept beside the contours of this study",
                count(good.len(), "structure set")
            );
            Ok(Kept { said: said + &unused, sets: good.iter().map(prior_set).collect() })
        }
        CaseRole::Registration | CaseRole::Contours => {
            let (good, unused) = each(files, |file| read_registration(file))?;
            Ok(kept(format!(
                "{} of frames of reference: contours of this study are carried through the newest that fits{unused}",
                count(good.len(), "registration")
            )))
        }
    }
}

/// Reads every file; what is not used of them is said in a line more.
///
/// # Errors
/// None can be used.
fn each<T>(
    files: &[Bytes],
    read: impl Fn(&Bytes) -> Result<T, crate::dicom::data::Refusal>,
) -> Result<(Vec<T>, String), Refusals> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for file in files {
        match read(file) {
            Ok(one) => good.push(one),
            Err(refusal) => bad.push(refusal),
        }
    }
    if good.is_empty() {
        return Err(Refusals(bad));
    }
    let unused = if bad.is_empty() { String::new() } else { format!("\nnot used: {}", Refusals(bad)) };
    Ok((good, unused))
}

fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// Text as it may stand in the database and on the page: DICOM allows neither NUL nor other control characters in these values,
/// and writes them all the same.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

fn prior_set(set: &StructureSet) -> PriorSet {
    let maker = [set.header.manufacturer.as_str(), &set.header.model_name];
    let frame = set.referenced_frame.as_ref().or(set.header.frame.as_ref());
    PriorSet {
        sop_instance_uid: set.header.instance.to_string(),
        label: plain(&set.label),
        approval: plain(&set.approval),
        made: plain(&set.made.concat()),
        maker: plain(&maker.join(" ")),
        rois: i32::try_from(set.rois.len()).unwrap_or(i32::MAX),
        drawn_on: set.referenced_series.as_ref().map(ToString::to_string),
        frame_uid: frame.map(ToString::to_string),
    }
}
