//! Rules over a header, and what came of them, with reasons.

use std::fmt;

use regex::Regex;

use super::attribute::{Attribute, Holds, Sight};
use super::header::{Header, number};
use super::recognise::Recognition;

/// A rule: what must be true of a header.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Every one of these.
    All(Vec<Rule>),
    /// At least one of these.
    Any(Vec<Rule>),
    /// Not this.
    Not(Box<Rule>),
    /// One value of the attribute passes every test.
    Value(Attribute, Vec<Test>),
    /// The attribute has a value, or has none.
    Present(Attribute, bool),
    /// The image is recognised as this kind, or is not.
    Looks(Looks, bool),
}

/// What one value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal to one of these, whatever the case of letters.
    Is(Vec<String>),
    /// Holds one of these somewhere, whatever the case of letters.
    Contains(Vec<String>),
    /// Has a part that this pattern matches.
    Matches(Pattern),
    /// Compares as a number.
    Number(Comparison, f64),
    /// A date on this day or later.
    Since(Day),
    /// A date earlier than this day.
    Before(Day),
}

/// How numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Above,
    AtLeast,
    AtMost,
    Below,
}

impl Comparison {
    /// Every one, by its key.
    pub(super) const ALL: [(&'static str, Comparison); 4] = [
        ("above", Comparison::Above),
        ("at_least", Comparison::AtLeast),
        ("at_most", Comparison::AtMost),
        ("below", Comparison::Below),
    ];

    fn holds(self, value: f64, than: f64) -> bool {
        match self {
            Comparison::Above => value > than,
            Comparison::AtLeast => value >= than,
            Comparison::AtMost => value <= than,
            Comparison::Below => value < than,
        }
    }
}

/// A day as eight digits, year first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// From `2026-01-31`, or as DICOM writes it: `20260131` with a time behind it or without, `2026.01.31` in old files.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = match text.get(4..5) {
            Some(mark @ ("-" | ".")) => text.get(..10)?.split(mark).collect(),
            _ => text.get(..8)?.to_owned(),
        };
        if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let day: u32 = digits.parse().ok()?;
        ((1..=12).contains(&(day / 100 % 100)) && (1..=31).contains(&(day % 100))).then_some(Self(day))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

/// A regular expression; equal to another of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(pub(super) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Kinds that are recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// T1-weighted.
    T1,
    /// After gadolinium.
    Gd,
    /// Both.
    T1Gd,
}

impl Looks {
    /// Every one, by its key.
    pub(super) const ALL: [(&'static str, Looks); 3] = [("t1", Looks::T1), ("gd", Looks::Gd), ("t1_gd", Looks::T1Gd)];

    fn words(self) -> &'static str {
        match self {
            Looks::T1 => "T1-weighted",
            Looks::Gd => "after gadolinium",
            Looks::T1Gd => "T1-weighted after gadolinium",
        }
    }
}

/// Who reads an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A log, the database, whoever looks at the page: no text that people typed.
    Log,
    /// The person who has the file.
    Desk,
}

/// What came of a rule, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Whether it held.
    pub held: bool,
    /// What was asked, in words.
    pub asked: String,
    /// What was seen; empty for a rule that only joins others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub seen: String,
    /// What came of the rules that it joins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
}

impl Explanation {
    /// Why it did not hold: the tests that it failed by, each with what was seen. Empty when it held.
    pub fn objections(&self) -> Vec<String> {
        if self.held {
            return Vec::new();
        }
        match (self.asked.as_str(), self.parts.as_slice()) {
            (_, []) => vec![format!("{}: {}", self.asked, self.seen)],
            (NOT, [part]) => vec![format!("not wanted: {}", part.in_words())],
            (ANY, parts) => {
                let each: Vec<String> = parts.iter().flat_map(Self::objections).collect();
                vec![format!("none of these: {}", each.join(" / "))]
            }
            (_, parts) => parts.iter().flat_map(Self::objections).collect(),
        }
    }

    /// The rule and what was seen, in one line.
    fn in_words(&self) -> String {
        match self.parts.as_slice() {
            [] => format!("{}: {}", self.asked, self.seen),
            parts => {
                let each: Vec<String> = parts.iter().map(Self::in_words).collect();
                format!("{} ({})", self.asked, each.join(", "))
            }
        }
    }

    /// The whole tree, a line for each rule, those below another moved in.
    pub fn lines(&self) -> Vec<String> {
        let seen = if self.seen.is_empty() { String::new() } else { format!(": {}", self.seen) };
        let first = format!("{} {}{seen}", if self.held { "yes" } else { "no " }, self.asked);
        let rest = self.parts.iter().flat_map(Self::lines).map(|line| format!("    {line}"));
        std::iter::once(first).chain(rest).collect()
    }
}

const ALL: &str = "all of";
const ANY: &str = "at least one of";
const NOT: &str = "not";

impl Rule {
    /// The attributes that it looks at.
    pub fn attributes(&self) -> Vec<Attribute> {
        match self {
            Rule::All(rules) | Rule::Any(rules) => rules.iter().flat_map(Rule::attributes).collect(),
            Rule::Not(rule) => rule.attributes(),
            Rule::Value(attribute, _) | Rule::Present(attribute, _) => vec![*attribute],
            Rule::Looks(..) => Vec::new(),
        }
    }

    /// What it says of a header, with the reasons for this reader. Every part is looked at, also when one decides.
    pub fn judge(&self, header: &Header, recognised: &Recognition, reader: Reader) -> Explanation {
        let parts = |rules: &[Rule]| -> Vec<Explanation> {
            rules.iter().map(|rule| rule.judge(header, recognised, reader)).collect()
        };
        let joint = |held, asked: &str, parts| Explanation { held, asked: asked.into(), seen: String::new(), parts };
        match self {
            Rule::All(rules) => {
                let parts = parts(rules);
                joint(parts.iter().all(|part| part.held), ALL, parts)
            }
            Rule::Any(rules) => {
                let parts = parts(rules);
                joint(parts.iter().any(|part| part.held), ANY, parts)
            }
            Rule::Not(rule) => {
                let part = rule.judge(header, recognised, reader);
                joint(!part.held, NOT, vec![part])
            }
            Rule::Value(attribute, tests) => {
                let values = header.values(attribute.tag());
                let held = values.iter().any(|value| tests.iter().all(|test| test.passes(*attribute, value)));
                let asked = match attribute.sight() {
                    // What is asked for may be the patient's own name or number.
                    Sight::Hidden => format!("{} is as the rule wants it", attribute.keyword()),
                    _ => {
                        let tests: Vec<String> = tests.iter().map(ToString::to_string).collect();
                        format!("{} {}", attribute.keyword(), tests.join(" and "))
                    }
                };
                Explanation { held, asked, seen: seen(*attribute, values, reader), parts: Vec::new() }
            }
            Rule::Present(attribute, wanted) => {
                let values = header.values(attribute.tag());
                let asked = format!("{} {}", attribute.keyword(), if *wanted { "has a value" } else { "has no value" });
                let held = values.is_empty() != *wanted;
                Explanation { held, asked, seen: seen(*attribute, values, reader), parts: Vec::new() }
            }
            Rule::Looks(kind, wanted) => {
                let is = match kind {
                    Looks::T1 => recognised.is_t1(),
                    Looks::Gd => recognised.is_gd(),
                    Looks::T1Gd => recognised.is_t1() && recognised.is_gd(),
                };
                let asked = format!("recognised as {}", kind.words());
                let asked = if *wanted { asked } else { format!("not {asked}") };
                Explanation { held: is == *wanted, asked, seen: recognised.in_short(*kind), parts: Vec::new() }
            }
        }
    }
}

/// Most values of an attribute that are repeated, and most characters of each.
const SHOWN: (usize, usize) = (8, 64);

fn seen(attribute: Attribute, values: &[String], reader: Reader) -> String {
    if values.is_empty() {
        return "absent or empty".into();
    }
    let shown = match attribute.sight() {
        Sight::Open => attribute.holds() != Holds::Something,
        Sight::Typed => reader == Reader::Desk,
        Sight::Hidden => false,
    };
    if !shown {
        return "present".into();
    }
    let cut = |value: &String| format!("{:?}", value.chars().take(SHOWN.1).collect::<String>());
    let each: Vec<String> = values.iter().take(SHOWN.0).map(cut).collect();
    let more = if values.len() > SHOWN.0 { format!(" and {} more", values.len() - SHOWN.0) } else { String::new() };
    format!("it is {}{more}", each.join(", "))
}

impl Test {
    fn passes(&self, attribute: Attribute, value: &str) -> bool {
        let lower = || value.to_lowercase();
        match self {
            Test::Is(wanted) => wanted.iter().any(|w| w.to_lowercase() == lower()),
            Test::Contains(wanted) => wanted.iter().any(|w| lower().contains(&w.to_lowercase())),
            Test::Matches(pattern) => pattern.0.is_match(value),
            Test::Number(comparison, than) => {
                let value = if attribute.holds() == Holds::Age { years(value) } else { number(value) };
                value.is_some_and(|value| comparison.holds(value, *than))
            }
            Test::Since(day) => Day::parse(value).is_some_and(|value| value >= *day),
            Test::Before(day) => Day::parse(value).is_some_and(|value| value < *day),
        }
    }
}

/// An age as DICOM writes it (`045Y`, `018M`), in years.
fn years(age: &str) -> Option<f64> {
    let unit = age.chars().last()?;
    let count: f64 = number(age.strip_suffix(unit)?)?;
    match unit {
        'Y' => Some(count),
        'M' => Some(count / 12.0),
        'W' => Some(count * 7.0 / 365.25),
        'D' => Some(count / 365.25),
        _ => None,
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |words: &[String]| words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(" or ");
        match self {
            Test::Is(words) => write!(f, "is {}", list(words)),
            Test::Contains(words) => write!(f, "contains {}", list(words)),
            Test::Matches(pattern) => write!(f, "matches {:?}", pattern.0.as_str()),
            Test::Number(Comparison::Above, than) => write!(f, "is above {than}"),
            Test::Number(Comparison::AtLeast, than) => write!(f, "is at least {than}"),
            Test::Number(Comparison::AtMost, than) => write!(f, "is at most {than}"),
            Test::Number(Comparison::Below, than) => write!(f, "is below {than}"),
            Test::Since(day) => write!(f, "is {day} or later"),
            Test::Before(day) => write!(f, "is earlier than {day}"),
        }
    }
}
