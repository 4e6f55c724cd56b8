//! Names in the place of patients' own: the one way in which what is kept for training loses its identity.
//!
//! A pseudonym is a keyed digest (SHA-256 over a secret salt and the name): the same patient is always the same key, so
//! that folds of a cross-validation can be drawn by patient, and without the salt nobody can try names until one fits. What
//! leaves this module holds digests only; whoever needs the way back keeps the salt. Whole objects lose their identity by
//! [`deidentify`], on the same digests, so that an object and a training case of one patient stay together.

pub(super) mod fate;
mod object;

use std::collections::BTreeSet;
use std::fmt;

pub use object::{Deidentified, Retain, deidentify};

use super::InstanceHeader;
use crate::ids::{InstanceUid, Phi, sha256_hex};

/// What a pseudonym stands for; a name of one kind is never that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A patient.
    Patient,
    /// A training case: one image.
    Case,
    /// A structure set.
    StructureSet,
    /// A file or a folder.
    File,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Kind::Patient => "p",
            Kind::Case => "case",
            Kind::StructureSet => "set",
            Kind::File => "file",
        }
    }
}

/// Makes pseudonyms with one salt.
#[derive(Clone)]
pub struct Pseudonyms {
    salt: Phi<String>,
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.fingerprint())
    }
}

/// Hexadecimal digits of a salt, at least: 128 bits that nobody guesses.
const LEAST_DIGITS: usize = 32;
/// Hexadecimal digits of a pseudonym: 64 bits, among which a million names meet by chance once in ten million archives.
const DIGITS: usize = 16;

impl Pseudonyms {
    /// From the text of a salt: at least 32 hexadecimal digits, white space around them allowed. `None` for any other.
    pub fn with_salt(text: &str) -> Option<Self> {
        let text = text.trim();
        let fit = text.len() >= LEAST_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        fit.then(|| Self { salt: Phi::new(text.to_ascii_lowercase()) })
    }

    /// Tells salts apart without giving them away.
    pub fn fingerprint(&self) -> String {
        self.digest("salt", &[])
    }

    /// The pseudonym of something by its names; prefix and digits, fit for the name of a file.
    pub fn of(&self, kind: Kind, names: &[&str]) -> String {
        format!("{}-{}", kind.prefix(), self.digest(kind.prefix(), names))
    }

    /// A patient by Patient ID, or, where there is none, by the study's UID, which is then a patient of its own.
    pub fn patient(&self, patient_id: &Phi<String>, study: &str) -> String {
        match patient_id.reveal().trim() {
            "" => self.of(Kind::Patient, &["study", study]),
            id => self.of(Kind::Patient, &["id", id]),
        }
    }

    /// The UID in the place of another, the same for the same one.
    pub fn uid(&self, uid: &str) -> String {
        InstanceUid::derive(&[self.salt.reveal(), uid]).into()
    }

    fn digest(&self, kind: &str, names: &[&str]) -> String {
        let mut bytes = Vec::new();
        for part in [self.salt.reveal(), kind].into_iter().chain(names.iter().copied()) {
            // The length goes in first, so that ("ab","c") and ("a","bc") differ.
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        sha256_hex(&bytes).chars().take(DIGITS).collect()
    }
}

/// Shortest part of a name that is looked for anywhere in a text; shorter ones stand in many words, and count as words only.
const LEAST_PART: usize = 3;

/// A text in small letters without accents, as it may stand in another alphabet's keyboard: umlauts by their vowel alone or with
/// an e behind it.
fn spellings(text: &str) -> [String; 2] {
    let lower = text.to_lowercase();
    let spelled = |umlaut: [&str; 4]| -> String {
        let letter = |c: char| match c {
            'ä' => umlaut[0].to_owned(),
            'ö' | 'ø' => umlaut[1].to_owned(),
            'ü' => umlaut[2].to_owned(),
            'å' => umlaut[3].to_owned(),
            'ß' => "ss".to_owned(),
            'æ' => "ae".to_owned(),
            'œ' => "oe".to_owned(),
            'à' | 'á' | 'â' | 'ã' => "a".to_owned(),
            'ç' | 'č' | 'ć' => "c".to_owned(),
            'è' | 'é' | 'ê' | 'ë' | 'ě' | 'ę' => "e".to_owned(),
            'ì' | 'í' | 'î' | 'ï' => "i".to_owned(),
            'ł' => "l".to_owned(),
            'ñ' | 'ń' | 'ň' => "n".to_owned(),
            'ò' | 'ó' | 'ô' | 'õ' => "o".to_owned(),
            'ř' => "r".to_owned(),
            'š' | 'ś' => "s".to_owned(),
            'ù' | 'ú' | 'û' | 'ů' => "u".to_owned(),
            'ý' | 'ÿ' => "y".to_owned(),
            'ž' | 'ź' | 'ż' => "z".to_owned(),
            other => other.to_string(),
        };
        lower.chars().map(letter).collect()
    };
    [spelled(["a", "o", "u", "a"]), spelled(["ae", "oe", "ue", "aa"])]
}

/// The parts of the patient's name that are looked for, of two letters and more, in every spelling.
fn parts_of_name(header: &InstanceHeader) -> BTreeSet<String> {
    let names = spellings(header.patient_name.reveal());
    let parts = names.iter().flat_map(|name| name.split(|c: char| !c.is_alphanumeric()));
    parts.filter(|part| part.chars().count() > 1).map(str::to_owned).collect()
}

/// Whether a text holds a part of the patient's name, however it is spelled there; parts of two letters as words.
fn names(text: &str, header: &InstanceHeader) -> bool {
    let (texts, parts) = (spellings(text), parts_of_name(header));
    texts.iter().any(|text| {
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        let is_named = |part: &String| {
            if part.chars().count() >= LEAST_PART { text.contains(part) } else { words.contains(part.as_str()) }
        };
        parts.iter().any(is_named)
    })
}

/// A text that people wrote (the name of a region, say), or a mark in its place where it holds a part of the patient's name
/// or the Patient ID.
pub fn without_patient(text: &str, header: &InstanceHeader) -> String {
    let lower = text.to_lowercase();
    let id = header.patient_id.reveal().trim().to_lowercase();
    let held = names(text, header) || (id.chars().count() >= LEAST_PART && lower.contains(&id));
    if held { "[names the patient]".to_owned() } else { text.to_owned() }
}

/// A text of ours without the UIDs that it names: they lead back to an object in its archive. What has the form of a UID, and
/// more parts than a number or a version, is one.
pub fn without_uids(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        let uid = digits.trim_end_matches('.');
        out.push_str(before);
        // Those below 2.25 have two points only.
        out.push_str(if uid.matches('.').count() > 2 || uid.starts_with("2.25.") { "[UID]" } else { uid });
        out.push_str(&digits[uid.len()..]);
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{SeriesUid, StudyUid};

    fn header(id: &str, name: &str) -> InstanceHeader {
        InstanceHeader {
            study: StudyUid::parse("1.2.3").unwrap(),
            series: SeriesUid::parse("1.2.4").unwrap(),
            instance: InstanceUid::parse("1.2.5").unwrap(),
            frame: None,
            sop_class: String::new(),
            transfer_syntax: String::new(),
            modality: String::new(),
            series_description: String::new(),
            patient_id: Phi::new(id.into()),
            patient_name: Phi::new(name.into()),
            manufacturer: String::new(),
            model_name: String::new(),
            plane: None,
            announced: None,
            acquisition: None,
        }
    }

    #[test]
    fn a_patient_keeps_the_key_and_another_salt_gives_another() {
        let one = Pseudonyms::with_salt(&"0a".repeat(32)).unwrap();
        let other = Pseudonyms::with_salt(&"0b".repeat(32)).unwrap();
        let id = |text: &str| Phi::new(text.to_owned());
        let key = one.patient(&id("4711"), "1.2");
        assert_eq!(key, one.patient(&id(" 4711 "), "1.3"));
        assert_ne!(key, one.patient(&id("4712"), "1.2"));
        assert_ne!(key, other.patient(&id("4711"), "1.2"));
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert!(key.starts_with("p-") && key.len() == 18 && !key.contains("4711"));
        // Without a Patient ID the study stands for the patient, and is no ID of that text.
        assert_ne!(one.patient(&id(""), "1.2.3"), one.patient(&id("1.2.3"), ""));
        assert_ne!(one.of(Kind::Case, &["a"]).split_once('-'), one.of(Kind::File, &["a"]).split_once('-'));
        for bad in ["", "0a", &"zz".repeat(32)] {
            assert!(Pseudonyms::with_salt(bad).is_none());
        }
        assert!(!format!("{one:?}").contains("0a0a"));
    }

    #[test]
    fn uids_are_taken_out_of_words() {
        let text = "slices 1.25 mm apart: 1.2.840.77.1, and 2.25.4711.3. Nothing of 3 more";
        assert_eq!(without_uids(text), "slices 1.25 mm apart: [UID], and [UID]. Nothing of 3 more");
        assert_eq!(without_uids(&format!("at {}: 2.25 mm", InstanceUid::derive(&["a"]))), "at [UID]: 2.25 mm");
    }

    #[test]
    fn a_text_that_names_the_patient_is_not_passed_on() {
        let h = header("P-0815", "Muster^Erika^A");
        for bad in ["Eye_L muster", "ERIKA eye", "eye p-0815"] {
            assert_eq!(without_patient(bad, &h), "[names the patient]");
        }
        assert_eq!(without_patient("Eye_L A 0815", &h), "Eye_L A 0815");
        // In another spelling, and a name that is short.
        let h = header("P-0815", "Müller^Jörg^Wu");
        for bad in ["GTV Mueller", "gtv muller", "GTV MÜLLER", "joerg_eye", "Eye Wu", "wu-eye"] {
            assert_eq!(without_patient(bad, &h), "[names the patient]", "{bad}");
        }
        assert_eq!(without_patient("Wurzel", &h), "Wurzel");
        assert_eq!(without_patient("Eye", &header("", "")), "Eye");
    }
}
