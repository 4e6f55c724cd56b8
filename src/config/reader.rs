//! TOML sections to typed values, with every fault at once and the full path of the key that it is about.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// One fault of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the key, as `section.key` or `destination[2].key`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.key, self.message) }
    }
}

/// The top-level table while sections are taken out of it.
pub(super) struct Reader {
    table: Table,
    /// What was found so far.
    pub faults: Vec<Fault>,
}

impl Reader {
    pub fn new(text: &str) -> Self {
        match text.parse::<Table>() {
            Ok(table) => Self { table, faults: Vec::new() },
            Err(e) => Self { table: Table::new(), faults: vec![fault("", e.to_string())] },
        }
    }

    /// Takes a section whose keys all have defaults. A faulty key is reported and the rest is still looked at.
    pub fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let Some(value) = self.table.remove(name) else { return T::default() };
        let Value::Table(section) = value else {
            self.faults.push(fault(name, "must be a section".into()));
            return T::default();
        };
        if let Ok(read) = section.clone().try_into() {
            return read;
        }
        // Somewhere in it is a fault: each key is tried alone, so that one does not hide another.
        let before = self.faults.len();
        for path in leaves(&section) {
            let alone = pick(&section, &path);
            if let Err(e) = alone.try_into::<T>() {
                self.faults.push(fault(&format!("{name}.{}", path.join(".")), one_line(&e)));
            }
        }
        if self.faults.len() == before
            && let Err(e) = section.try_into::<T>()
        {
            self.faults.push(fault(name, one_line(&e)));
        }
        T::default()
    }

    /// Takes an array of sections, some of whose keys are required.
    pub fn list<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let Some(value) = self.table.remove(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.faults.push(fault(name, format!("must be written as [[{name}]] sections")));
            return Vec::new();
        };
        let mut read = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{}]", n + 1);
            match item {
                Value::Table(item) => read.extend(self.item(&place, item)),
                _ => self.faults.push(fault(&place, "must be a section".into())),
            }
        }
        read
    }

    fn item<T: DeserializeOwned>(&mut self, place: &str, mut item: Table) -> Option<T> {
        let mut first = true;
        loop {
            let error = match item.clone().try_into::<T>() {
                Ok(read) => return first.then_some(read),
                Err(e) => one_line(&e),
            };
            first = false;
            // The key at fault is the one without which the complaint changes, unless it then is what is missing.
            let culprit = leaves(&item).into_iter().find(|path| {
                let rest = without(&item, path);
                let missing = format!("missing field `{}`", path.last().map_or("", String::as_str));
                match rest.try_into::<T>() {
                    Ok(_) => true,
                    Err(e) => {
                        let e = one_line(&e);
                        e != error && (!e.contains(&missing) || !error.contains("missing field"))
                    }
                }
            });
            match culprit {
                Some(path) => {
                    self.faults.push(fault(&format!("{place}.{}", path.join(".")), error));
                    item = without(&item, &path);
                    if item.is_empty() {
                        return None;
                    }
                }
                None => {
                    self.faults.push(fault(place, error));
                    return None;
                }
            }
        }
    }

    /// Complaints of a section about itself; each begins with its key, then a colon or a space. An empty section means
    /// that the keys are whole paths.
    pub fn complain(&mut self, section: &str, complaints: Vec<String>) {
        for text in complaints {
            let (key, rest) = text.split_once([':', ' ']).unwrap_or(("", &text));
            let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            self.faults.push(fault(&path, rest.trim_start().to_owned()));
        }
    }

    /// What is left is unknown.
    pub fn finish(mut self) -> Vec<Fault> {
        let unknown: Vec<Fault> = self.table.keys().map(|key| fault(key, "this section is not known".into())).collect();
        self.faults.extend(unknown);
        self.faults
    }
}

fn fault(key: &str, message: String) -> Fault {
    Fault { key: key.to_owned(), message }
}

fn one_line(e: &toml::de::Error) -> String {
    e.message().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Paths of all values that are not tables.
fn leaves(table: &Table) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|path| [vec![key.clone()], path].concat()));
            }
            _ => found.push(vec![key.clone()]),
        }
    }
    found
}

/// A table that holds the value at `path` only.
fn pick(table: &Table, path: &[String]) -> Table {
    let mut out = Table::new();
    if let Some((key, rest)) = path.split_first()
        && let Some(value) = table.get(key)
    {
        let value = match value {
            Value::Table(inner) if !rest.is_empty() => Value::Table(pick(inner, rest)),
            other => other.clone(),
        };
        out.insert(key.clone(), value);
    }
    out
}

/// The table less the value at `path`.
fn without(table: &Table, path: &[String]) -> Table {
    let mut out = table.clone();
    if let Some((key, rest)) = path.split_first() {
        if rest.is_empty() {
            out.remove(key);
        } else if let Some(Value::Table(inner)) = out.get_mut(key) {
            *inner = without(inner, rest);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        port: u16,
        name: String,
        inner: Inner,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        share: f64,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Item {
        name: String,
        port: u16,
        #[serde(default)]
        note: String,
    }

    fn keys(faults: &[Fault]) -> Vec<&str> {
        faults.iter().map(|f| f.key.as_str()).collect()
    }

    #[test]
    fn every_fault_of_a_section_is_told_with_its_key() {
        let mut r = Reader::new("[s]\nport = 99999\nname = 3\ntypo = 1\n[s.inner]\nshare = \"x\"\nless = 1\n[other]\n");
        let s: Section = r.section("s");
        assert_eq!(s, Section::default());
        let faults = r.finish();
        let mut found = keys(&faults);
        found.sort_unstable();
        assert_eq!(found, ["other", "s.inner.less", "s.inner.share", "s.name", "s.port", "s.typo"]);
    }

    #[test]
    fn a_good_section_is_read_and_a_missing_one_is_its_default() {
        let mut r = Reader::new("[s]\nport = 104\n");
        let s: Section = r.section("s");
        assert_eq!(s.port, 104);
        assert_eq!(r.section::<Section>("t"), Section::default());
        assert!(r.finish().is_empty());
    }

    #[test]
    fn items_tell_their_faults() {
        let text =
            "[[d]]\nname = \"a\"\nport = 1\n[[d]]\nname = \"b\"\nport = 1\nnote = 5\ntypo = 1\n[[d]]\nname = \"c\"\n";
        let mut r = Reader::new(text);
        let items: Vec<Item> = r.list("d");
        assert_eq!(items, [Item { name: "a".into(), port: 1, note: String::new() }]);
        let faults = r.finish();
        let mut found = keys(&faults);
        found.sort_unstable();
        assert_eq!(found, ["d[2].note", "d[2].typo", "d[3]"]);
        assert!(faults.iter().any(|f| f.message.contains("missing field `port`")));
    }

    #[test]
    fn broken_toml_is_one_fault() {
        let r = Reader::new("[s\n");
        assert_eq!(r.finish().len(), 1);
    }
}
