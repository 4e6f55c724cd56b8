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
    /// # Errors
    /// The fault of a text that is not TOML; nothing more can be said of it.
    pub fn new(text: &str) -> Result<Self, Fault> {
        match text.parse::<Table>() {
            Ok(table) => Ok(Self { table, faults: Vec::new() }),
            Err(e) => Err(fault("", e.to_string())),
        }
    }

    /// Takes a section whose keys all have defaults. A faulty key is reported and has its default; the rest is read, so
    /// that it can be judged too.
    pub fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        match self.table.remove(name) {
            None => T::default(),
            Some(section) => self.table(name, section, &Table::new()).unwrap_or_default(),
        }
    }

    /// Takes an array of sections, some of whose keys are required. `stand_in` makes a section without fault for the
    /// item of a number (from 1), of its kind. Its values take the place of faulty and missing ones, which are reported: every item
    /// keeps its number, and what others say of it can be judged.
    pub fn list<T: DeserializeOwned>(&mut self, name: &str, stand_in: impl Fn(usize, &Value) -> Table) -> Vec<T> {
        let Some(value) = self.table.remove(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.faults.push(fault(name, format!("must be written as [[{name}]] sections")));
            return Vec::new();
        };
        let items = (1..).zip(items);
        let read = items.filter_map(|(n, item)| {
            let instead = stand_in(n, &item);
            self.table(&format!("{name}[{n}]"), item, &instead)
        });
        read.collect()
    }

    /// One section. Each key is tried alone in the stand-in, so that one fault does not hide another.
    fn table<T: DeserializeOwned>(&mut self, place: &str, value: Value, stand_in: &Table) -> Option<T> {
        let Value::Table(given) = value else {
            self.faults.push(fault(place, "must be a section".into()));
            return stand_in.clone().try_into().ok();
        };
        if let Ok(read) = given.clone().try_into() {
            return Some(read);
        }
        let before = self.faults.len();
        let mut mended = given.clone();
        for path in leaves(&given) {
            let Some(value) = get(&given, &path) else { continue };
            let mut alone = stand_in.clone();
            set(&mut alone, &path, value.clone());
            if let Err(e) = alone.try_into::<T>() {
                self.faults.push(fault(&format!("{place}.{}", path.join(".")), one_line(&e)));
                match get(stand_in, &path) {
                    Some(instead) => set(&mut mended, &path, instead.clone()),
                    None => mended = without(&mended, &path),
                }
            }
        }
        for (key, value) in stand_in.iter().filter(|(key, _)| !given.contains_key(*key)) {
            if let Err(e) = without(stand_in, std::slice::from_ref(key)).try_into::<T>() {
                self.faults.push(fault(&format!("{place}.{key}"), one_line(&e)));
                mended.insert(key.clone(), value.clone());
            }
        }
        let read = mended.try_into();
        if let Err(e) = &read
            && self.faults.len() == before
        {
            self.faults.push(fault(place, one_line(e)));
        }
        read.ok().or_else(|| stand_in.clone().try_into().ok())
    }

    /// Whether a fault of this key was found.
    pub fn is_faulty(&self, key: &str) -> bool {
        self.faults.iter().any(|f| f.key == key)
    }

    /// Complaints of a section about itself; each begins with its key, then a colon or a space. An empty section means
    /// that the keys are whole paths. A key that could not be read has been reported, and what stands in its place is
    /// not complained of.
    pub fn complain(&mut self, section: &str, complaints: Vec<String>) {
        let unread: Vec<String> = self.faults.iter().map(|f| f.key.clone()).collect();
        for text in complaints {
            let (key, rest) = text.split_once([':', ' ']).unwrap_or(("", &text));
            let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            if !unread.contains(&path) {
                self.faults.push(fault(&path, rest.trim_start().to_owned()));
            }
        }
    }

    /// Sections that nobody took are unknown.
    pub fn unknown(&mut self) {
        self.faults.extend(self.table.keys().map(|key| fault(key, "this section is not known".into())));
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

/// The value at `path`.
fn get<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    match path {
        [] => None,
        [key] => table.get(key),
        [key, rest @ ..] => get(table.get(key)?.as_table()?, rest),
    }
}

/// Puts a value at `path`, with the tables on the way there.
fn set(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            if let Value::Table(inner) = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())) {
                set(inner, rest, value);
            }
        }
    }
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

    fn reader(text: &str) -> Reader {
        Reader::new(text).unwrap()
    }

    #[test]
    fn every_fault_of_a_section_is_told_and_the_rest_is_read() {
        let text = "[s]\nport = 99999\nname = \"kept\"\ntypo = 1\n[s.inner]\nshare = 0.5\nless = 1\n[t]\nport = 7\n\
                    [t.inner]\nshare = \"x\"\n[other]\n[u]\nname = 3\n";
        let mut r = reader(text);
        let s: Section = r.section("s");
        assert_eq!(s, Section { port: 0, name: "kept".into(), inner: Inner { share: 0.5 } });
        assert_eq!(r.section::<Section>("t").port, 7);
        r.complain("s", vec!["port is too small".into(), "name: too short".into()]);
        r.unknown();
        let mut found = keys(&r.faults);
        found.sort_unstable();
        assert_eq!(found, ["other", "s.inner.less", "s.name", "s.port", "s.typo", "t.inner.share", "u"]);
        assert!(r.is_faulty("s.typo") && !r.is_faulty("t.port"));
    }

    #[test]
    fn a_good_section_is_read_and_a_missing_one_is_its_default() {
        let mut r = reader("[s]\nport = 104\n");
        assert_eq!(r.section::<Section>("s").port, 104);
        assert_eq!(r.section::<Section>("t"), Section::default());
        r.unknown();
        assert_eq!(r.faults, []);
    }

    #[test]
    fn faulty_items_tell_their_faults_and_keep_their_numbers() {
        let text =
            "d = [{ name = \"a\", port = 1 }, { name = \"b\", port = \"x\", note = 5, typo = 1 }, 3, { note = \"c\" }]";
        let mut r = reader(text);
        let stand_in = |n: usize, _: &Value| {
            Table::from_iter([("name".into(), format!("#{n}").into()), ("port".into(), Value::Integer(n as i64))])
        };
        let items: Vec<Item> = r.list("d", stand_in);
        let item = |name: &str, port, note: &str| Item { name: name.into(), port, note: note.into() };
        assert_eq!(items, [item("a", 1, ""), item("b", 2, ""), item("#3", 3, ""), item("#4", 4, "c")]);
        let mut found = keys(&r.faults);
        found.sort_unstable();
        assert_eq!(found, ["d[2].note", "d[2].port", "d[2].typo", "d[3]", "d[4].name", "d[4].port"]);
        assert!(r.faults.iter().any(|f| f.to_string() == "d[4].port: missing field `port`"), "{:?}", r.faults);
        assert_eq!(reader("d = 1").list::<Item>("d", stand_in), []);
    }

    #[test]
    fn broken_toml_is_one_fault() {
        assert_eq!(Reader::new("[s\n").err().unwrap().key, "");
    }
}
