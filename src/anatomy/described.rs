//! Classes that a model's card describes: what serving has to know of an organ that no rule here is about.
//!
//! A description is kept once for the process, so that a class of it is a plain value like one of the eight. A name means one
//! thing: what describes it otherwise is refused.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Class, Code, Side, Structure};

/// Rules that need to know nothing of an organ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenericRule {
    /// All that was marked is kept.
    None,
    /// Of each structure only the largest component is kept.
    LargestComponent,
}

/// A coded concept as a card writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardCode {
    /// Code Value, at most 16 characters.
    pub value: String,
    /// Coding Scheme Designator: `SCT`, `FMA`, `UBERON`, `DCM`, or a private one beginning with 99.
    pub scheme: String,
    /// Code Meaning, at most 64 characters.
    pub meaning: String,
}

/// One `[[class]]` section of a card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The class in cards, stores and reports.
    pub name: String,
    /// Whether there is one of it on each side.
    pub sided: bool,
    /// TG-263 names of its structures: left and right, or the one on the midline.
    pub structures: Vec<String>,
    /// Display colour of each, red, green, blue.
    pub colours: Vec<[u8; 3]>,
    /// What is done to what was marked.
    pub rules: GenericRule,
    /// One of the eight whose structures hold it whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enclosed_by: Option<Class>,
    /// Least and greatest volume of one structure in adults, cm3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_cc: Option<[f64; 2]>,
    /// Who measured that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_source: Option<String>,
    /// What the organ is, without its side.
    pub code: CardCode,
}

/// A class that a card describes. Two of them are equal when they are the same organ: a name is described once.
#[derive(Clone, Copy)]
pub struct Described(&'static Description);

/// One structure of a described class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescribedPart {
    of: Described,
    side: Option<Side>,
}

/// Every description of this process.
static KEPT: Mutex<Vec<&'static Description>> = Mutex::new(Vec::new());

fn kept() -> Vec<&'static Description> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Classes of the descriptions of one card.
///
/// # Errors
/// The first fault, beginning with its key: of one description, between them, or with what another card has described.
pub fn describe(wanted: &[Description]) -> Result<Vec<Class>, String> {
    for (n, description) in (1..).zip(wanted) {
        description.fault(&wanted[..n - 1]).map_or(Ok(()), |fault| Err(format!("class[{n}].{fault}")))?;
    }
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<&'static Description> = Vec::new();
    let mut fresh: Vec<&Description> = Vec::new();
    for (n, description) in (1..).zip(wanted) {
        match kept.iter().find(|other| other.name == description.name) {
            Some(same) if **same == *description => found.push(same),
            Some(_) => {
                let name = &description.name;
                return Err(format!(
                    "class[{n}].name {name:?} is described otherwise by another model of this process"
                ));
            }
            None => {
                let taken = kept.iter().find(|other| other.structures.iter().any(|s| description.names(s)));
                if let Some(other) = taken {
                    let name = &other.name;
                    return Err(format!("class[{n}].structures: another model of this process names its {name} so"));
                }
                fresh.push(description);
            }
        }
    }
    for description in fresh {
        let description: &'static Description = Box::leak(Box::new(description.clone()));
        kept.push(description);
        found.push(description);
    }
    let class = |d: &Description| found.iter().find(|f| f.name == d.name).map(|f| Class::Described(Described(f)));
    Ok(wanted.iter().filter_map(class).collect())
}

/// The described class of a name, if a card that was read has it.
pub(super) fn class_named(name: &str) -> Option<Class> {
    kept().into_iter().find(|d| d.name == name).map(|d| Class::Described(Described(d)))
}

/// Every structure that the cards read so far describe.
pub(super) fn structures() -> impl Iterator<Item = Structure> {
    kept().into_iter().flat_map(|d| Described(d).structures())
}

impl Description {
    fn names(&self, structure: &str) -> bool {
        self.structures.iter().any(|own| own.eq_ignore_ascii_case(structure))
    }

    /// What is wrong with it, beginning with the key; `earlier` are the descriptions before it in the card.
    fn fault(&self, earlier: &[Description]) -> Option<String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let name = &self.name;
        if name.len() > 32 || !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            return Some(format!("name {name:?}: 1 to 32 of a-z, 0-9, _, beginning with a letter"));
        }
        if Class::ALL.iter().any(|known| known.name() == name) {
            return Some(format!("name {name:?} is known to contourd and cannot be described"));
        }
        if earlier.iter().any(|other| other.name == *name) {
            return Some(format!("name {name:?} is given twice"));
        }
        let wanted = if self.sided { 2 } else { 1 };
        if self.structures.len() != wanted || self.colours.len() != wanted {
            let of = if self.sided { "true: two, left then right" } else { "false: one" };
            return Some(format!("sided = {of} of structures and of colours"));
        }
        self.structures_fault(earlier)
            .or_else(|| self.colours_fault(earlier))
            .or_else(|| self.code_fault(earlier))
            .or_else(|| match (&self.enclosed_by, self.volume_cc, &self.volume_source) {
                (Some(Class::Described(_)), ..) => Some("enclosed_by must be one of the eight known classes".into()),
                (_, Some([least, most]), _) if !(least > 0.0 && least < most && most < 5000.0) => {
                    Some(format!("volume_cc [{least}, {most}]: 0 < least < greatest < 5000"))
                }
                (_, Some(_), None) => Some("volume_source is missing: who measured volume_cc?".into()),
                (_, None, Some(_)) => Some("volume_cc is missing beside volume_source".into()),
                (_, _, Some(source)) if source.trim().is_empty() => Some("volume_source is empty".into()),
                _ => None,
            })
    }

    fn structures_fault(&self, earlier: &[Description]) -> Option<String> {
        let ends: &[&str] = if self.sided { &["_L", "_R"] } else { &[""] };
        for (n, name) in self.structures.iter().enumerate() {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-^~".contains(c);
            if name.is_empty() || name.len() > 16 || !name.chars().all(fits) {
                return Some(format!("structures: {name:?} must be 1 to 16 of letters, digits, _ - ^ ~ (TG-263)"));
            }
            if !name.ends_with(ends[n]) || (!self.sided && (name.ends_with("_L") || name.ends_with("_R"))) {
                return Some(format!(
                    "structures: {name:?} must end in _L (left, first) or _R (right, second) where sided, else in neither"
                ));
            }
            let known = Structure::ALL.iter().any(|s| s.name().eq_ignore_ascii_case(name));
            if known || earlier.iter().any(|other| other.names(name)) {
                return Some(format!("structures: {name:?} is the name of another structure"));
            }
        }
        None
    }

    fn colours_fault(&self, earlier: &[Description]) -> Option<String> {
        for (n, colour) in self.colours.iter().enumerate() {
            let known = Structure::ALL.iter().any(|s| s.colour() == *colour);
            if known || earlier.iter().any(|o| o.colours.contains(colour)) || self.colours[..n].contains(colour) {
                return Some(format!("colours: {colour:?} is the colour of another structure"));
            }
        }
        None
    }

    fn code_fault(&self, earlier: &[Description]) -> Option<String> {
        let CardCode { value, scheme, meaning } = &self.code;
        let text = |t: &str, most| {
            (1..=most).contains(&t.len()) && t.bytes().all(|b| matches!(b, b' '..=b'~' if b != b'\\')) && t.trim() == t
        };
        if !text(scheme, 16)
            || !(["SCT", "FMA", "UBERON", "DCM"].contains(&scheme.as_str()) || scheme.starts_with("99"))
        {
            return Some(format!("code.scheme {scheme:?} is none of SCT, FMA, UBERON, DCM, 99..."));
        }
        if !text(value, 16) {
            return Some(format!("code.value {value:?} must be 1 to 16 printable ASCII characters"));
        }
        if scheme == "SCT" && !is_sct(value) {
            return Some(format!("code.value {value:?} is no SNOMED CT identifier: its check digit does not fit"));
        }
        if !text(meaning, 64) {
            return Some(format!("code.meaning {meaning:?} must be 1 to 64 printable ASCII characters"));
        }
        let known = Structure::ALL.iter().map(|s| s.code()).find(|c| c.value == value && c.scheme == scheme);
        if let Some(known) = known {
            return Some(format!("code.value {value:?} is that of another organ: {}", known.meaning));
        }
        let twice = earlier.iter().find(|o| o.code.value == *value && o.code.scheme == *scheme)?;
        Some(format!("code.value {value:?} is that of another organ: {}", twice.name))
    }
}

/// Whether a text is a SNOMED CT identifier: 6 to 18 digits, the last one Verhoeff's check digit of the others.
fn is_sct(text: &str) -> bool {
    // The group of a pentagon's turns (0 to 4) and reflections (5 to 9).
    let times = |a: u8, b: u8| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let moved =
        |place: usize, digit: u8| (0..place % 8).fold(digit, |d, _| [1, 5, 7, 6, 2, 8, 3, 0, 9, 4][usize::from(d)]);
    let digits = text.bytes().rev().map(|b| b.wrapping_sub(b'0'));
    (6..=18).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && digits.enumerate().fold(0, |sum, (place, digit)| times(sum, moved(place, digit))) == 0
}

impl Described {
    /// What the card says of it.
    pub const fn description(self) -> &'static Description {
        self.0
    }

    /// Its structures: left and right, or the one on the midline.
    pub fn structures(self) -> impl Iterator<Item = Structure> {
        let sides = if self.0.sided { vec![Some(Side::Left), Some(Side::Right)] } else { vec![None] };
        sides.into_iter().map(move |side| Structure::Described(DescribedPart { of: self, side }))
    }
}

impl DescribedPart {
    /// Its class.
    pub const fn of(self) -> Described {
        self.of
    }

    /// Its side; `None` on the midline.
    pub const fn side(self) -> Option<Side> {
        self.side
    }

    fn number(self) -> usize {
        usize::from(self.side == Some(Side::Right))
    }

    /// Its TG-263 name.
    pub(super) fn name(self) -> &'static str {
        // Described once checked: a name and a colour for each side.
        self.of.0.structures.get(self.number()).map_or("", String::as_str)
    }

    pub(super) fn colour(self) -> [u8; 3] {
        self.of.0.colours.get(self.number()).copied().unwrap_or_default()
    }

    pub(super) fn code(self) -> Code {
        let CardCode { value, scheme, meaning } = &self.of.0.code;
        Code { value, scheme, meaning }
    }
}

impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)
    }
}

impl PartialEq for Described {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Described {}

impl Ord for Described {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

impl PartialOrd for Described {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Described {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

#[cfg(test)]
#[path = "described_tests.rs"]
mod tests;
