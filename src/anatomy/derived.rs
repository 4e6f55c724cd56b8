//! Derived structures: margins and boolean operations on the delivered ones, as a site configures them.
//!
//! A planning organ at risk volume (PRV, ICRU 83) is an organ with a margin; a clinical target volume grows from a gross
//! one and stops at anatomical barriers. Names follow TG-263: `OpticNrv_PRV03_L`, at most 16 characters.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Structure;
use super::margin::{Margin, with_margin};
use super::rules::Finding;
use crate::geometry::{GeometryError, Mask};

/// RT ROI Interpreted Type of a derived structure (PS3.3 C.8.8.8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RoiType {
    /// An organ, or a part of one.
    Organ,
    /// A region in which dose is to be minimised: what planning systems take a PRV for.
    Avoidance,
    /// Gross tumour volume.
    Gtv,
    /// Clinical target volume.
    Ctv,
    /// Planning target volume.
    Ptv,
}

impl RoiType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Organ, Self::Avoidance, Self::Gtv, Self::Ctv, Self::Ptv];

    /// The defined term.
    pub const fn term(self) -> &'static str {
        match self {
            RoiType::Organ => "ORGAN",
            RoiType::Avoidance => "AVOIDANCE",
            RoiType::Gtv => "GTV",
            RoiType::Ctv => "CTV",
            RoiType::Ptv => "PTV",
        }
    }
}

/// One `[[derived]]` section. The union of `of` gets the margin; then what is not in all of `within` goes, then what is in
/// `minus`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedConfig {
    /// ROI Name, 1 to 16 printable ASCII characters, not that of a structure.
    pub name: String,
    /// The structures whose union it begins with.
    pub of: Vec<Structure>,
    /// Millimetres: one number, or `{ left, right, anterior, posterior, superior, inferior }`; negative shrinks.
    #[serde(default)]
    pub margin_mm: Margin,
    /// Cut to these structures, each of them: barriers that a tumour does not cross.
    #[serde(default)]
    pub within: Vec<Structure>,
    /// Cut away.
    #[serde(default)]
    pub minus: Vec<Structure>,
    /// RT ROI Interpreted Type; absent: AVOIDANCE with a margin, else ORGAN.
    #[serde(default, rename = "type")]
    pub kind: Option<RoiType>,
    /// Display colour, red, green, blue; absent: that of the first structure, darker.
    #[serde(default)]
    pub colour: Option<[u8; 3]>,
}

impl DerivedConfig {
    /// RT ROI Interpreted Type.
    pub fn roi_type(&self) -> RoiType {
        self.kind.unwrap_or(if self.margin_mm.is_zero() { RoiType::Organ } else { RoiType::Avoidance })
    }

    /// Display colour.
    pub fn display_colour(&self) -> [u8; 3] {
        let base = self.of.first().map_or([200; 3], |s| s.colour());
        self.colour.unwrap_or_else(|| base.map(|c| (u16::from(c) * 6 / 10) as u8))
    }

    /// What was done, in words, for ROI Description.
    pub fn recipe(&self) -> String {
        let list =
            |structures: &[Structure], with: &str| structures.iter().map(|s| s.name()).collect::<Vec<_>>().join(with);
        let mut words = list(&self.of, " + ");
        if !self.margin_mm.is_zero() {
            let Margin { left, right, anterior, posterior, superior, inferior } = self.margin_mm;
            let same = [right, anterior, posterior, superior, inferior].iter().all(|mm| *mm == left);
            words += &if same {
                format!(", margin {left} mm")
            } else {
                format!(", margin L {left} R {right} A {anterior} P {posterior} S {superior} I {inferior} mm")
            };
        }
        for (structures, verb, with) in [(&self.within, "within", " and "), (&self.minus, "minus", " and ")] {
            if !structures.is_empty() {
                words += &format!(", {verb} {}", list(structures, with));
            }
        }
        words
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let name = &self.name;
        if name.is_empty() || name.len() > 16 || !name.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            faults.push(format!(
                "name {name:?} must be 1 to 16 printable ASCII characters (TG-263): write OpticNrv_PRV03_L for a \
                 margin of 3 mm, one digit (PRV3) or a shorter alias where it does not fit"
            ));
        }
        if name.contains('\\') || name.trim() != name {
            faults.push(format!("name {name:?} must have no backslash and no space at its ends"));
        }
        if Structure::from_name(name).is_some() {
            faults.push(format!("name {name:?} is that of a delivered structure: give it another"));
        }
        if self.of.is_empty() {
            faults.push("of is empty: name at least one structure".into());
        }
        faults.extend(self.margin_mm.fault());
        for (key, list) in [("of", &self.of), ("within", &self.within), ("minus", &self.minus)] {
            if list.iter().collect::<BTreeSet<_>>().len() < list.len() {
                faults.push(format!("{key} names a structure twice"));
            }
        }
        faults
    }
}

/// Every fault of the `[[derived]]` sections, each beginning with the number of the section and the key.
pub fn derived_faults(sections: &[DerivedConfig]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut names = BTreeSet::new();
    for (n, section) in (1..).zip(sections) {
        faults.extend(section.faults().into_iter().map(|fault| format!("derived[{n}].{fault}")));
        // Some planning systems match names whatever their case.
        if !names.insert(section.name.to_lowercase()) {
            faults.push(format!("derived[{n}].name {:?} is given twice", section.name));
        }
    }
    faults
}

/// A derived structure of a case.
#[derive(Debug, Clone)]
pub struct Derived {
    /// On the grid of the findings; empty when it was not made.
    pub mask: Mask,
    /// What a reviewer should know: why it was not made, or what is missing in it.
    pub remarks: Vec<String>,
}

/// Makes a derived structure from the findings, which all lie on one grid along the patient axes.
///
/// Nothing is made when no structure of `of` was found, or one of `within`: a volume without its barrier is another
/// volume. Without one of several in `of`, or one of `minus`, it is made and says so.
///
/// # Errors
/// Findings on different grids.
pub fn derive(
    config: &DerivedConfig,
    findings: &BTreeMap<Structure, Finding>,
) -> Result<Option<Derived>, GeometryError> {
    let Some(grid) = findings.values().next().map(|finding| finding.mask.grid()) else { return Ok(None) };
    let found = |s: &Structure| findings.get(s).map(|finding| &finding.mask).filter(|mask| !mask.is_empty());
    let absent =
        |list: &[Structure]| -> Vec<&str> { list.iter().filter(|s| found(s).is_none()).map(|s| s.name()).collect() };
    let mut mask = Mask::empty(std::sync::Arc::clone(grid));
    let (missing, barriers, uncut) = (absent(&config.of), absent(&config.within), absent(&config.minus));
    let needed = if missing.len() == config.of.len() { &missing } else { &barriers };
    if !needed.is_empty() {
        let remarks = vec![format!("not made: {} was not found", needed.join(" and "))];
        return Ok(Some(Derived { mask, remarks }));
    }
    for part in config.of.iter().filter_map(found) {
        mask.same_grid(part)?;
        mask.data_mut().iter_mut().zip(part.data()).for_each(|(to, from)| *to |= from);
    }
    mask = with_margin(&mask, &config.margin_mm);
    for barrier in config.within.iter().filter_map(found) {
        mask.same_grid(barrier)?;
        mask.data_mut().iter_mut().zip(barrier.data()).for_each(|(to, inside)| *to &= inside);
    }
    for cut in config.minus.iter().filter_map(found) {
        mask.same_grid(cut)?;
        mask.data_mut().iter_mut().zip(cut.data()).for_each(|(to, inside)| *to &= !inside);
    }
    let mut remarks = Vec::new();
    if !missing.is_empty() {
        remarks.push(format!("made without {}, which was not found", missing.join(" and ")));
    }
    if !uncut.is_empty() {
        remarks.push(format!("{} was not found and is not cut away", uncut.join(" and ")));
    }
    if mask.is_empty() {
        remarks.push("nothing is left of it".into());
    }
    Ok(Some(Derived { mask, remarks }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    fn findings(boxes: &[(Structure, [usize; 3], [usize; 3])]) -> BTreeMap<Structure, Finding> {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(20, 14, 9), Lps::new(3.0, -5.0, 7.0), [1.0, 1.0, 2.0]).unwrap();
        let grid = Arc::new(grid);
        let of = |structure| {
            let mut mask = Mask::empty(Arc::clone(&grid));
            for (_, lo, hi) in boxes.iter().filter(|(s, ..)| *s == structure) {
                for (k, j, i) in (lo[2]..=hi[2])
                    .flat_map(|k| (lo[1]..=hi[1]).flat_map(move |j| (lo[0]..=hi[0]).map(move |i| (k, j, i))))
                {
                    mask.set(i, j, k, true);
                }
            }
            Finding { mask, predicted: 0, effects: Vec::new(), flags: Vec::new() }
        };
        Structure::ALL.into_iter().map(|s| (s, of(s))).collect()
    }

    fn section(text: &str) -> DerivedConfig {
        toml::from_str(text).unwrap()
    }

    use Structure::{Brain, Brainstem, OpticChiasm, OpticNrv_L, OpticNrv_R};

    #[test]
    fn a_margin_stops_at_its_barriers_and_what_is_cut_away_goes() {
        let found = findings(&[
            (OpticNrv_L, [9, 6, 4], [9, 6, 4]),
            (Brain, [0, 0, 0], [10, 13, 8]),
            (Brainstem, [8, 0, 0], [8, 13, 8]),
        ]);
        let grown = derive(&section("name = 'A'\nof = ['OpticNrv_L']\nmargin_mm = 2"), &found).unwrap().unwrap();
        // Half axes are 2.35 mm in the plane and 2.7 mm across: 21 voxels, and 9 each 2 mm above and below.
        assert_eq!((grown.mask.count(), grown.remarks.len()), (39, 0));
        let text = "name = 'B'\nof = ['OpticNrv_L']\nmargin_mm = 2\nwithin = ['Brain']\nminus = ['Brainstem']";
        let cut = derive(&section(text), &found).unwrap().unwrap();
        // i = 11 is beyond the brain (3 voxels), i = 8 is brainstem (5 and twice 3), i = 7 stays.
        assert_eq!(cut.mask.count(), 39 - 3 - 11);
        assert!(cut.mask.at(7, 6, 4) && cut.mask.at(9, 6, 3) && !cut.mask.at(8, 6, 4) && !cut.mask.at(11, 6, 4));
        let rest = derive(&section("name = 'C'\nof = ['Brain']\nminus = ['Brainstem']"), &found).unwrap().unwrap();
        assert_eq!(rest.mask.count(), 11 * 14 * 9 - 14 * 9);
    }

    #[test]
    fn what_is_missing_is_said() {
        let found = findings(&[(OpticNrv_L, [9, 6, 4], [9, 6, 4])]);
        let made = |text: &str| derive(&section(text), &found).unwrap().unwrap();
        let none = made("name = 'A'\nof = ['OpticNrv_R', 'OpticChiasm']\nmargin_mm = 2");
        assert!(none.mask.is_empty());
        assert_eq!(none.remarks, ["not made: OpticNrv_R and OpticChiasm was not found"]);
        let one = made("name = 'A'\nof = ['OpticNrv_R', 'OpticNrv_L']\nminus = ['Brainstem']");
        assert_eq!(one.mask.count(), 1);
        let said = ["made without OpticNrv_R, which was not found", "Brainstem was not found and is not cut away"];
        assert_eq!(one.remarks, said);
        let barrier = made("name = 'A'\nof = ['OpticNrv_L']\nmargin_mm = 2\nwithin = ['Brain']");
        assert!(barrier.mask.is_empty());
        assert_eq!(barrier.remarks, ["not made: Brain was not found"]);
        let gone = made("name = 'A'\nof = ['OpticNrv_L']\nmargin_mm = -1");
        assert_eq!((gone.mask.is_empty(), gone.remarks.as_slice()), (true, &["nothing is left of it".to_owned()][..]));
    }

    #[test]
    fn words_types_and_colours() {
        let prv = section("name = 'OpticNrv_PRV03_L'\nof = ['OpticNrv_L']\nmargin_mm = 3");
        assert_eq!((prv.roi_type(), prv.recipe().as_str()), (RoiType::Avoidance, "OpticNrv_L, margin 3 mm"));
        assert_eq!(prv.display_colour(), [0, 138, 0]);
        let text = "name = 'X'\nof = ['Brain']\nminus = ['Brainstem']\ntype = 'CTV'\ncolour = [1, 2, 3]";
        let rest = section(text);
        assert_eq!((rest.roi_type().term(), rest.recipe().as_str()), ("CTV", "Brain, minus Brainstem"));
        assert_eq!(rest.display_colour(), [1, 2, 3]);
        let sides = section("name = 'Y'\nof = ['Brain', 'Brainstem']\nmargin_mm = { left = 2 }\nwithin = ['Brain']");
        assert_eq!(sides.recipe(), "Brain + Brainstem, margin L 2 R 0 A 0 P 0 S 0 I 0 mm, within Brain");
    }

    #[test]
    fn every_fault_is_told() {
        let good = section("name = 'OpticNrv_PRV03_L'\nof = ['OpticNrv_L']\nmargin_mm = 3");
        assert_eq!(derived_faults(std::slice::from_ref(&good)), [""; 0]);
        let with = |name: &str| DerivedConfig { name: name.into(), ..good.clone() };
        for (bad, word) in [
            (with("Hippocampus_PRV03_L"), "16 printable"),
            (with("Brain"), "delivered structure"),
            (with(""), "16 printable"),
            (with(" A"), "space at its ends"),
            (DerivedConfig { of: Vec::new(), ..with("X") }, "of is empty"),
            (DerivedConfig { margin_mm: Margin::uniform(80.0), ..with("X") }, "margin_mm"),
            (DerivedConfig { minus: vec![OpticChiasm, OpticChiasm], ..with("X") }, "minus names"),
        ] {
            let faults = derived_faults(&[good.clone(), bad]);
            assert!(faults.len() == 1 && faults[0].starts_with("derived[2]."), "{faults:?}");
            assert!(faults[0].contains(word), "{faults:?}");
        }
        assert_eq!(derived_faults(&[good.clone(), with("opticnrv_prv03_l")]).len(), 1);
        assert!(toml::from_str::<DerivedConfig>("name = 'A'\nof = ['Liver']").is_err());
        assert_eq!(good.of, [OpticNrv_L]);
        assert_ne!(good.of, [OpticNrv_R]);
    }
}
