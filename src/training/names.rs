//! Names of regions, as people give them, read as organs of the catalogue.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::anatomy::{Class, Side, Structure};

/// The table that is used unless a site gives its own.
pub const DEFAULT_NAMES: &str = include_str!("names.toml");

/// What a name says of the side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Declared {
    /// The patient's left organ of two.
    Left,
    /// The patient's right organ of two.
    Right,
    /// Both organs of two.
    Both,
    /// An organ of which there are two, without a word which.
    Unsaid,
    /// An organ on the midline.
    Midline,
}

impl Declared {
    /// The side, where it is one.
    pub const fn side(self) -> Option<Side> {
        match self {
            Declared::Left => Some(Side::Left),
            Declared::Right => Some(Side::Right),
            Declared::Both | Declared::Unsaid | Declared::Midline => None,
        }
    }
}

/// What a name was read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// An organ.
    Organ(Class, Declared),
    /// Something made of an organ or beside it: the word that says so.
    Derived(String),
    /// Nothing of the table.
    Unknown,
}

/// A checked table of names.
#[derive(Debug, Clone)]
pub struct Names {
    /// Words without what separates them, to the organ; `None` where only a word of a side tells which of two.
    organs: BTreeMap<String, (Class, Option<Declared>)>,
    sides: BTreeMap<String, Declared>,
    refuse: BTreeSet<String>,
    /// Of the whole table as read, so that a change of it is a change of the cases.
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNames {
    refuse: Vec<String>,
    left: Vec<String>,
    right: Vec<String>,
    both: Vec<String>,
    class: Vec<RawClass>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClass {
    class: Class,
    names: Vec<String>,
    #[serde(default)]
    pair: Vec<String>,
    #[serde(default)]
    left_names: Vec<String>,
    #[serde(default)]
    right_names: Vec<String>,
}

impl Names {
    /// Reads a table.
    ///
    /// # Errors
    /// Every fault, in words: what TOML or its keys say, a name that stands for two things, a word of two sides.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawNames = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut faults = Vec::new();
        let mut sides = BTreeMap::new();
        for (list, declared) in
            [(&raw.left, Declared::Left), (&raw.right, Declared::Right), (&raw.both, Declared::Both)]
        {
            for word in list.iter().map(|word| words(word).concat()) {
                if sides.insert(word.clone(), declared).is_some_and(|other| other != declared) {
                    faults.push(format!("the word {word:?} stands for two sides"));
                }
            }
        }
        let mut organs: BTreeMap<String, (Class, Option<Declared>)> = BTreeMap::new();
        for one in &raw.class {
            let sided = one.class.structures().any(|s| s.side().is_some());
            let lists = [
                (&one.names, (!sided).then_some(Declared::Midline)),
                (&one.pair, Some(Declared::Both)),
                (&one.left_names, Some(Declared::Left)),
                (&one.right_names, Some(Declared::Right)),
            ];
            for (list, declared) in lists {
                if !sided && declared != Some(Declared::Midline) && !list.is_empty() {
                    faults.push(format!("{} has no sides", one.class.name()));
                }
                for name in list {
                    let key = words(name).concat();
                    if key.is_empty() {
                        faults.push(format!("{}: a name without letters", one.class.name()));
                    } else if let Some(other) = organs.insert(key, (one.class, declared))
                        && other != (one.class, declared)
                    {
                        let two = [one.class.name(), other.0.name()].join(" and ");
                        faults.push(format!("the name {name:?} stands for two things: {two}"));
                    }
                }
            }
        }
        // TG-263's own names are read whatever a site leaves out of its table.
        for structure in Structure::named() {
            let key = words(structure.name()).concat();
            let declared = match structure.side() {
                Some(Side::Left) => Declared::Left,
                Some(Side::Right) => Declared::Right,
                None => Declared::Midline,
            };
            organs.entry(key).or_insert((structure.class(), Some(declared)));
        }
        let refuse = raw.refuse.iter().map(|word| words(word).concat()).collect();
        if faults.is_empty() {
            Ok(Self { organs, sides, refuse, text: text.to_owned() })
        } else {
            Err(faults.join("\n"))
        }
    }

    /// The table as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a name says.
    pub fn read(&self, name: &str) -> Reading {
        // A sign that is no separator: a margin added or taken away, a region cut out.
        if let Some(sign) = name.chars().find(|c| matches!(c, '+' | '!' | '~' | '<' | '>' | '&' | '\\')) {
            return Reading::Derived(sign.to_string());
        }
        // Neither is a hyphen or a parenthesis between two organs: "Eye_L-Lens_L" is what is left of the eye.
        let mut organs =
            name.split(['-', '(', ')', '/', ',', ';']).filter_map(|part| match self.organ_with_side(part) {
                Some(Reading::Organ(class, _)) => Some(class),
                _ => None,
            });
        if let Some(first) = organs.next()
            && organs.any(|other| other != first)
        {
            return Reading::Derived("-".into());
        }
        if let Some(found) = self.organ_with_side(name) {
            return found;
        }
        match words(name).iter().find(|word| self.refuse.contains(*word)) {
            Some(word) => Reading::Derived(word.clone()),
            None => Reading::Unknown,
        }
    }

    /// The organ of a name, with or without a word for its side.
    fn organ_with_side(&self, name: &str) -> Option<Reading> {
        let words = words(name);
        if let Some(found) = self.organ(&words.concat(), None) {
            return Some(found);
        }
        let (sides, rest): (Vec<&String>, Vec<&String>) = words.iter().partition(|w| self.sides.contains_key(*w));
        let mut said = sides.iter().filter_map(|word| self.sides.get(*word).copied());
        // A lone letter may belong to the organ's name and not to a side ("N. optique D" has one side, not two).
        if let Some(declared) = said.next().filter(|first| said.all(|other| other == *first)) {
            let rest: String = rest.into_iter().map(String::as_str).collect();
            return self.organ(&rest, Some(declared));
        }
        None
    }

    /// The organ of a name without its side.
    fn organ(&self, name: &str, said: Option<Declared>) -> Option<Reading> {
        let (class, of_name) = *self.organs.get(name)?;
        let declared = match (of_name, said) {
            (None, said) => said.unwrap_or(Declared::Unsaid),
            (Some(of_name), None) => of_name,
            // "Eyes both" says it twice; "Brain left" is no organ of the catalogue, and "Eyes left" says two things.
            (Some(of_name), Some(said)) if of_name == said => said,
            (Some(_), Some(_)) => return None,
        };
        Some(Reading::Organ(class, declared))
    }
}

/// The words of a name, in small letters without accents.
fn words(name: &str) -> Vec<String> {
    #[derive(PartialEq, Clone, Copy)]
    enum Sort {
        Small,
        Capital,
        Digit,
    }
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<Sort> = None;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let sort = match c {
            c if c.is_numeric() => Sort::Digit,
            c if c.is_uppercase() => Sort::Capital,
            _ => Sort::Small,
        };
        let ends = match (before, sort) {
            (None, _) | (Some(Sort::Small), Sort::Capital) => true,
            (Some(before), now) => (before == Sort::Digit) != (now == Sort::Digit),
        };
        if ends {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            c.to_lowercase().for_each(|c| plain(c, word));
        }
        before = Some(sort);
    }
    // Combining accents alone leave a word without letters.
    words.retain(|word| !word.is_empty());
    words
}

/// Adds a small letter without its accent.
fn plain(c: char, word: &mut String) {
    match c {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' => word.push('a'),
        'ç' => word.push('c'),
        'è' | 'é' | 'ê' | 'ë' => word.push('e'),
        'ì' | 'í' | 'î' | 'ï' => word.push('i'),
        'ñ' => word.push('n'),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' => word.push('o'),
        'ù' | 'ú' | 'û' | 'ü' => word.push('u'),
        'ý' | 'ÿ' => word.push('y'),
        'œ' => word.push_str("oe"),
        'æ' => word.push_str("ae"),
        'ß' => word.push_str("ss"),
        // Combining accents, as some systems write them after the letter.
        '\u{300}'..='\u{36f}' => {}
        c => word.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::parse(DEFAULT_NAMES).unwrap()
    }

    #[test]
    fn names_of_three_languages_are_read() {
        use Class::{Brain, Brainstem, Chiasm, Eye, Hippocampus, Lens, OpticNerve, Pituitary};
        use Declared::{Both, Left, Midline, Right, Unsaid};
        let names = names();
        for (name, class, declared) in [
            ("Oeil G", Eye, Left),
            ("Œil droit", Eye, Right),
            ("Auge li", Eye, Left),
            ("Auge_re", Eye, Right),
            ("EyeL", Eye, Left),
            ("EYE-R", Eye, Right),
            ("Left Eye", Eye, Left),
            ("Eye", Eye, Unsaid),
            ("Yeux", Eye, Both),
            ("Augen bds.", Eye, Both),
            ("Globe oculaire G", Eye, Left),
            ("N. optique D", OpticNerve, Right),
            ("N.opt. li", OpticNerve, Left),
            ("Nerf optique gauche", OpticNerve, Left),
            ("NOG", OpticNerve, Left),
            ("Sehnerv rechts", OpticNerve, Right),
            ("OpticNrv_L", OpticNerve, Left),
            ("opticnrv_r", OpticNerve, Right),
            ("Optic Nerves", OpticNerve, Both),
            ("Chiasma", Chiasm, Midline),
            ("OpticChiasm", Chiasm, Midline),
            ("CHIASME OPTIQUE", Chiasm, Midline),
            ("Hypophyse", Pituitary, Midline),
            ("Tronc cérébral", Brainstem, Midline),
            ("TRONC CE\u{301}RE\u{301}BRAL", Brainstem, Midline),
            ("Hirnstamm", Brainstem, Midline),
            ("BrainStem", Brainstem, Midline),
            ("Cristallin gauche", Lens, Left),
            ("Linse re", Lens, Right),
            ("Encéphale", Brain, Midline),
            ("Gehirn", Brain, Midline),
            ("Hippocampus_L", Hippocampus, Left),
            ("Hippokampus re.", Hippocampus, Right),
            ("Hippocampe G", Hippocampus, Left),
            ("Hippocampi", Hippocampus, Both),
        ] {
            assert_eq!(names.read(name), Reading::Organ(class, declared), "{name}");
        }
        for structure in Structure::ALL {
            let Reading::Organ(class, declared) = names.read(structure.name()) else { panic!("{}", structure.name()) };
            assert_eq!((class, declared.side()), (structure.class(), structure.side()));
        }
    }

    #[test]
    fn what_is_made_of_an_organ_is_never_the_organ() {
        let names = names();
        for name in [
            "Brainstem PRV",
            "Brainstem_PRV03",
            "PRV_Hirnstamm",
            "Eye_L+3mm",
            "Eye_L 3mm",
            "Brain-PTV",
            "Brain_opt",
            "z_Eye_L",
            "zEye_L",
            "Chiasma expanded",
            "Dose Hippocampus_L",
            "Brainstem_old",
            "Hippocampus avoid",
            "Hirn ohne PTV",
            "Eye_L & Lens_L",
        ] {
            assert!(matches!(names.read(name), Reading::Derived(_)), "{name}: {:?}", names.read(name));
        }
        for name in [
            "GTV_Eye",
            "Brain_L",
            "Eyes L",
            "Eye L R",
            "Eye_L1",
            "Brains",
            "Cochlea_L",
            "",
            "...",
            "Körper",
            "Eyebrow",
            "Os",
        ] {
            assert!(!matches!(names.read(name), Reading::Organ(..)), "{name}: {:?}", names.read(name));
        }
    }

    #[test]
    fn what_is_left_of_an_organ_without_another_is_neither() {
        let names = names();
        for name in ["Eye_L-Lens_L", "Eye-Lens_L", "Eye L (Lens L)", "brain-brainstem", "Auge/Linse links"] {
            assert!(matches!(names.read(name), Reading::Derived(_)), "{name}: {:?}", names.read(name));
        }
        // A hyphen alone takes nothing away.
        for (name, class) in [("Eye-L", Class::Eye), ("Lens (L)", Class::Lens), ("eye lens left", Class::Lens)] {
            assert_eq!(names.read(name), Reading::Organ(class, Declared::Left), "{name}");
        }
    }

    #[test]
    fn a_table_with_two_meanings_is_refused() {
        let faults = |from: &str, to: &str| Names::parse(&DEFAULT_NAMES.replacen(from, to, 1)).unwrap_err();
        assert!(faults("\"hypophysis\"", "\"Chiasma\"").contains("two things"));
        assert!(faults("right = [\"r\"", "right = [\"l\"").contains("two sides"));
        assert!(faults("refuse = [", "reffuse = [").contains("reffuse"));
        assert!(
            Names::parse(&DEFAULT_NAMES.replace("class = \"brain\"", "class = \"brain\"\npair = [\"brains\"]"))
                .is_err()
        );
    }
}
