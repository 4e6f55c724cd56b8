//! Rules as the configuration writes them: TOML to a rule, with every fault at once.

use regex::RegexBuilder;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::attribute::{Attribute, Holds};
use super::rule::{Comparison, Day, Looks, Pattern, Rule, Test};

/// The `when` of a route. Reading it never fails; what is wrong with it is told by [`When::faults`].
#[derive(Debug, Clone, PartialEq)]
pub struct When {
    written: Value,
    read: Result<Rule, Vec<String>>,
}

impl When {
    /// Reads what stands behind `when =`.
    pub fn new(written: Value) -> Self {
        let mut faults = Vec::new();
        let read = read(&written, "when", &mut faults);
        let read = match read {
            Some(rule) if faults.is_empty() => Ok(rule),
            _ => Err(faults),
        };
        Self { written, read }
    }

    /// The rule; `None` when it has faults.
    pub fn rule(&self) -> Option<&Rule> {
        self.read.as_ref().ok()
    }

    /// Every fault, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        self.read.as_ref().err().cloned().unwrap_or_default()
    }

    /// The rule as it was written, in one line: the same for the same rule.
    pub fn text(&self) -> String {
        self.written.to_string()
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

/// A pattern that needs more memory than this is refused; the program of a long but sane one takes a hundredth.
const LARGEST_PATTERN: usize = 1 << 20;

const FORMS: &str = "write { tag = \"...\", is = \"...\" }, { all = [...] }, { any = [...] }, { not = {...} } or \
                     { t1_gd = true }";

fn read(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Rule> {
    let Value::Table(table) = value else {
        faults.push(format!("{path} is no rule: {FORMS}"));
        return None;
    };
    let looks = Looks::ALL.iter().map(|(key, _)| *key);
    let heads: Vec<&str> = ["all", "any", "not", "tag"].into_iter().chain(looks).collect();
    let given: Vec<&str> = heads.iter().copied().filter(|head| table.contains_key(*head)).collect();
    let [head] = given.as_slice() else {
        faults.push(if given.is_empty() {
            format!("{path} is no rule: {FORMS}")
        } else {
            format!("{path} has {} together: join rules by {{ all = [...] }}", given.join(" and "))
        });
        return None;
    };
    if *head == "tag" {
        return of_attribute(table, path, faults);
    }
    let before = faults.len();
    for key in table.keys().filter(|key| key != head) {
        faults.push(format!("{path}.{key} is not known beside {head}"));
    }
    let value = table.get(*head)?;
    let rule = match *head {
        "all" => list(value, &format!("{path}.all"), faults).map(Rule::All),
        "any" => list(value, &format!("{path}.any"), faults).map(Rule::Any),
        "not" => read(value, &format!("{path}.not"), faults).map(|rule| Rule::Not(Box::new(rule))),
        looks => {
            let kind = Looks::ALL.iter().find(|(key, _)| *key == looks).map(|(_, kind)| *kind)?;
            truth(value, &format!("{path}.{looks}"), faults).map(|wanted| Rule::Looks(kind, wanted))
        }
    };
    rule.filter(|_| faults.len() == before)
}

fn list(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Vec<Rule>> {
    let rules = match value {
        Value::Array(rules) if !rules.is_empty() => rules,
        _ => {
            faults.push(format!("{path} is no list of rules: {FORMS}, at least one, between brackets"));
            return None;
        }
    };
    let read: Vec<Option<Rule>> =
        (1..).zip(rules).map(|(n, rule): (usize, _)| read(rule, &format!("{path}[{n}]"), faults)).collect();
    read.into_iter().collect()
}

fn truth(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<bool> {
    let truth = value.as_bool();
    if truth.is_none() {
        faults.push(format!("{path} is {value}: set true or false"));
    }
    truth
}

/// `{ tag = "...", ... }`.
fn of_attribute(table: &Table, path: &str, faults: &mut Vec<String>) -> Option<Rule> {
    let before = faults.len();
    let attribute = match table.get("tag") {
        Some(Value::String(name)) => Attribute::named(name).map_err(|why| format!("{path}.tag {name:?} {why}")),
        _ => Err(format!("{path}.tag is no text: write a keyword like \"SeriesDescription\"")),
    };
    let attribute = attribute.map_err(|fault| faults.push(fault)).ok();
    let (mut tests, mut present) = (Vec::new(), None);
    for (key, value) in table.iter().filter(|(key, _)| *key != "tag") {
        let here = format!("{path}.{key}");
        if key == "present" {
            present = truth(value, &here, faults);
        } else if let Some(test) = test(key, value, &here, faults) {
            if let Some(attribute) = attribute {
                unfit(attribute, &test).into_iter().for_each(|why| faults.push(format!("{here} {why}")));
            }
            tests.push(test);
        }
    }
    let attribute = attribute?;
    match (present, tests.is_empty()) {
        _ if faults.len() > before => None,
        (Some(wanted), true) => Some(Rule::Present(attribute, wanted)),
        (Some(_), false) => {
            faults.push(format!("{path}.present needs no other test: what passes one is there"));
            None
        }
        (None, true) => {
            faults.push(format!(
                "{path} says nothing of {}: add is, contains, matches, above, at_least, at_most, below, since, before \
                 or present",
                attribute.keyword()
            ));
            None
        }
        (None, false) => Some(Rule::Value(attribute, tests)),
    }
}

fn test(key: &str, value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Test> {
    if let Some((_, comparison)) = Comparison::ALL.iter().find(|(name, _)| *name == key) {
        let number = value.as_float().or_else(|| value.as_integer().map(|n| n as f64)).filter(|n| n.is_finite());
        if number.is_none() {
            faults.push(format!("{path} is {value}: write a number"));
        }
        return number.map(|number| Test::Number(*comparison, number));
    }
    match key {
        "is" => words(value, path, faults).map(Test::Is),
        "contains" => words(value, path, faults).map(Test::Contains),
        "matches" => pattern(value, path, faults).map(Test::Matches),
        "since" => day(value, path, faults).map(Test::Since),
        "before" => day(value, path, faults).map(Test::Before),
        _ => {
            faults.push(format!("{path} is not known beside tag"));
            None
        }
    }
}

/// Why a test cannot be asked of an attribute.
fn unfit(attribute: Attribute, test: &Test) -> Option<String> {
    let keyword = attribute.keyword();
    match (attribute.holds(), test) {
        (Holds::Something, _) => {
            Some(format!("cannot be asked of {keyword}, which is no text: ask whether it is present"))
        }
        (Holds::Text, Test::Number(..)) => {
            Some(format!("compares numbers, and {keyword} is a text: use is, contains or matches"))
        }
        (Holds::Date, Test::Number(..)) => {
            Some(format!("compares numbers, and {keyword} is a date: use since or before"))
        }
        (Holds::Text | Holds::Number | Holds::Age, Test::Since(_) | Test::Before(_)) => {
            Some(format!("compares dates, and {keyword} is none"))
        }
        _ => None,
    }
}

/// One text or several; numbers are taken as they are written.
fn words(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Vec<String>> {
    let word = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let words: Option<Vec<String>> = match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(word).collect(),
        one => word(one).map(|one| vec![one]),
    };
    if words.is_none() {
        faults.push(format!("{path} is {value}: write a text, or a list of texts of which one is wanted"));
    }
    words
}

fn pattern(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Pattern> {
    let Value::String(text) = value else {
        faults.push(format!("{path} is {value}: write a regular expression between quotes"));
        return None;
    };
    match RegexBuilder::new(text).size_limit(LARGEST_PATTERN).build() {
        Ok(regex) => Some(Pattern(regex)),
        Err(why) => {
            let why = why.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            faults.push(format!("{path} is no regular expression: {why}"));
            None
        }
    }
}

fn day(value: &Value, path: &str, faults: &mut Vec<String>) -> Option<Day> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Datetime(moment) if moment.time.is_none() => moment.to_string(),
        _ => String::new(),
    };
    let day = Some(text).filter(|text| text.len() == 10).and_then(|text| Day::parse(&text));
    if day.is_none() {
        faults.push(format!("{path} is {value}: write a day like 2026-01-31"));
    }
    day
}
