//! The laws of the house: what src/README.md says of rooms, arrows, crates and sizes holds in the code, and what
//! ops/safety/hazards.toml calls a control has tests. Every law is tried on an offender, too.

mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokens::{crate_paths, tokens};

const MOST_LINES: usize = 400;

/// What the map says.
struct Map {
    /// Room to the rooms it may import; `None` for everything.
    rooms: BTreeMap<String, Option<BTreeSet<String>>>,
    /// Crate (as named in code) to the rooms that may use it.
    crates: BTreeMap<String, BTreeSet<String>>,
    /// Files that may be long, relative to src.
    long: BTreeSet<String>,
}

impl Map {
    fn read(text: &str) -> Self {
        let words = |cell: &str| cell.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
        let rooms = table(text, "Room").into_iter().map(|row| {
            let allowed = match row[2].as_str() {
                "everything" => None,
                "nothing" => Some(BTreeSet::new()),
                some => Some(words(some)),
            };
            (row[0].clone(), allowed)
        });
        let crates = table(text, "Crate").into_iter().flat_map(|row| {
            let rooms = words(&row[1]);
            row[0].split(", ").map(|name| (name.to_owned(), rooms.clone())).collect::<Vec<_>>()
        });
        let long = table(text, "File").into_iter().filter(|row| row[1].len() > 10).map(|row| row[0].clone());
        Self { rooms: rooms.collect(), crates: crates.collect(), long: long.collect() }
    }

    /// The room of a path of modules: its first name, or the first two.
    fn room(&self, path: &[String]) -> Option<&str> {
        let named = |n: usize| self.rooms.get_key_value(&path.get(..n)?.join("::")).map(|(room, _)| room.as_str());
        named(1).or_else(|| named(2))
    }
}

/// The rows of the Markdown table whose first heading is `heading`, cells without links and code marks.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|c| c.trim().trim_matches(['[', ']', '`']).to_owned()).collect()
    };
    text.lines()
        .skip_while(|line| !line.starts_with(&format!("| {heading} |")))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(cells)
        .collect()
}

/// One file of the source.
struct Source {
    /// Relative to src, with slashes.
    file: String,
    text: String,
}

impl Source {
    fn module(&self) -> Vec<String> {
        let path = self.file.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').map(str::to_owned).collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut folders = vec![src.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let file = path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { file, text: read(&path) });
            }
        }
    }
    assert!(found.len() > 40, "only {} source files were found", found.len());
    found
}

fn map() -> Map {
    let map = Map::read(&read(&root().join("src/README.md")));
    assert!(map.rooms.len() > 10 && map.crates.len() > 10, "the tables of src/README.md were not found");
    map
}

/// Files that only name modules.
fn is_entrance(file: &str) -> bool {
    matches!(file, "lib.rs" | "main.rs" | "dicom/mod.rs")
}

/// Imports that no arrow of the map allows, and files in no room.
fn wrong_arrows(map: &Map, sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|s| !is_entrance(&s.file)) {
        let module = source.module();
        let Some(room) = map.room(&module) else {
            faults.push(format!("{} is in no room of the map", source.file));
            continue;
        };
        let Some(allowed) = &map.rooms[room] else { continue };
        for path in crate_paths(&tokens(&source.text), &module) {
            match map.room(&path) {
                Some(other) if other == room || allowed.contains(other) => {}
                Some(other) => faults.push(format!("{}: {room} must not import {other}", source.file)),
                // A module attached by #[path] climbs from elsewhere; its siblings are no rooms.
                None if path.first().is_some_and(|p| p == "dicom") && path.len() == 1 => {
                    faults.push(format!("{}: name dicom::data or dicom::net, not dicom", source.file));
                }
                None => {}
            }
        }
    }
    faults
}

/// Uses of a crate outside the rooms that may use it.
fn stray_crates(map: &Map, sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources {
        let room = map.room(&source.module()).unwrap_or("");
        let tokens = tokens(&source.text);
        for (n, name) in tokens.iter().enumerate() {
            let Some(rooms) = map.crates.get(name) else { continue };
            let before = n.checked_sub(1).map_or("", |n| tokens[n].as_str());
            let after = tokens.get(n + 1).map_or("", String::as_str);
            if before != "::" && (after == "::" || before == "use") && !rooms.contains(room) {
                faults.push(format!("{}: {name} belongs to {rooms:?}", source.file));
            }
        }
    }
    faults
}

/// Files too long without a reason, and reasons without need.
fn wrong_sizes(map: &Map, sources: &[Source]) -> Vec<String> {
    let long: BTreeMap<&str, usize> = sources
        .iter()
        .map(|s| (s.file.as_str(), s.text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .collect();
    let unexplained = long.iter().filter(|(file, _)| !map.long.contains(**file)).map(|(file, lines)| {
        format!("{file} has {lines} lines: split it, or say in src/README.md why it is one thing")
    });
    let needless = map.long.iter().filter(|file| !long.contains_key(file.as_str()));
    unexplained
        .chain(needless.map(|file| format!("{file} is not long; take it off the list in src/README.md")))
        .collect()
}

/// Rooms of the map against the modules that the crate declares.
fn missing_rooms(map: &Map, lib: &str, dicom: &str) -> Vec<String> {
    let declared = |text: &str, prefix: &str| -> Vec<String> {
        let tokens = tokens(text);
        let names = tokens.windows(3).filter(|w| w[0] == "mod" && w[2] == ";").map(|w| format!("{prefix}{}", w[1]));
        names.filter(|name| name != "dicom").collect()
    };
    let code: BTreeSet<String> = declared(lib, "").into_iter().chain(declared(dicom, "dicom::")).collect();
    let drawn: BTreeSet<String> = map.rooms.keys().cloned().collect();
    code.symmetric_difference(&drawn).map(|room| format!("{room} is in the code or on the map, not both")).collect()
}

#[derive(Deserialize)]
struct Hazards {
    hazard: Vec<Hazard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hazard {
    id: String,
    hazard: String,
    cause: String,
    control: String,
    /// "file: test".
    tests: Vec<String>,
}

/// Hazards without words or tests, and tests that `text_of` (file to source) does not have.
fn empty_controls(hazards: &Hazards, text_of: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for h in &hazards.hazard {
        if !seen.insert(&h.id) {
            faults.push(format!("{} is listed twice", h.id));
        }
        if [&h.id, &h.hazard, &h.cause, &h.control].iter().any(|words| words.trim().is_empty()) || h.tests.is_empty() {
            faults.push(format!("{} lacks words or tests", h.id));
        }
        for named in &h.tests {
            let exists = named.split_once(": ").is_some_and(|(file, test)| {
                let tokens = text_of(file).map(|text| tokens(&text)).unwrap_or_default();
                tokens.iter().any(|t| t == "test") && tokens.windows(2).any(|w| w[0] == "fn" && w[1] == test)
            });
            if !exists {
                faults.push(format!("{}: there is no test {named:?}", h.id));
            }
        }
    }
    faults
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn arrows_point_where_the_map_says() {
    assert_none(&wrong_arrows(&map(), &sources()));
}

#[test]
fn crates_stay_in_their_rooms() {
    assert_none(&stray_crates(&map(), &sources()));
}

#[test]
fn long_files_say_why() {
    assert_none(&wrong_sizes(&map(), &sources()));
}

#[test]
fn the_map_names_every_room() {
    let src = root().join("src");
    assert_none(&missing_rooms(&map(), &read(&src.join("lib.rs")), &read(&src.join("dicom/mod.rs"))));
}

/// SHA-256 of each migration that was released. A database that has one would refuse to open if it were edited: what is to
/// be changed is changed by the next one. The numbers 0002 and 0007 were never used.
const MIGRATIONS: [(&str, &str); 13] = [
    ("0001_initial.sql", "977c01366ce851961469764afad8700ebd535124dee691df33590622d48ad835"),
    ("0003_profiles.sql", "4428952de75eb7ab55fdc581b54cb4d8a2bc8ce7ddd780b35c7abc6efbdfd21f"),
    ("0004_interruptions.sql", "804ecf5862f2a9d587d8bdf9ed8e1a78e99c5c9c5e3e5b2c8821456734b8f221"),
    ("0005_held.sql", "120d592e4d27ace61c5869fd3018990e36cf393a13cb8677d7c3da80c5413cf5"),
    ("0006_confirmation.sql", "d5b757dc899b243dda6b17816055ef7d17518f2dd16d8fd19d058edcb4368069"),
    ("0008_audit_chain.sql", "5893894e10dde35637ce3d71fb3ad341a17113ca7081e21ecc95b86332fc55f1"),
    ("0009_purged.sql", "c807fc23bf93a35fd0daa7da09df31d293c1a99d8b5a295c4010e29dd17356d5"),
    ("0010_notices.sql", "34ded07e34cb4a2c1d3d271992a907c8e3d98fad2209427f64cdf2986302252c"),
    ("0011_routing.sql", "99cd10c3a100e65519f9418e80c8a981d7986797f10dc33dd7fa754d3fbb5b68"),
    ("0012_models.sql", "7b91978c4c0e20397c8500ee8547ab4bca4c8f33b6163678b599f25278ce8e04"),
    ("0013_planning.sql", "74dd328f13cc720cf1be5bc9c1007d3f823a0b95f9fa3d303930eca76574f3f5"),
    ("0014_evidence.sql", "2e03445aadb399cc8cb8f27074e1c280f6152e61160083329b683e8a4e2216e6"),
    ("0015_structure_sets.sql", "cd961f9c7afa4150fabdb68d619881005adb7a98a3d02faaf1f5193fca8bd52c"),
];

#[test]
fn released_migrations_are_never_edited() {
    let folder = std::fs::read_dir(root().join("migrations")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<(String, String)> = folder
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, contourd::ids::sha256_hex(&std::fs::read(path).unwrap()))
        })
        .collect();
    found.sort();
    let released = MIGRATIONS.map(|(name, digest)| (name.to_owned(), digest.to_owned()));
    assert_eq!(found, released, "add a new migration with the next number; never edit or remove one");
}

#[test]
fn every_hazard_is_controlled_by_tests_that_exist() {
    let hazards: Hazards = toml::from_str(&read(&root().join("ops/safety/hazards.toml"))).unwrap();
    assert!(!hazards.hazard.is_empty());
    assert_none(&empty_controls(&hazards, |file| std::fs::read_to_string(root().join(file)).ok()));
}

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

#[test]
fn a_wrong_arrow_is_seen_however_it_is_written() {
    let map = map();
    for (file, text, faults) in [
        ("geometry/grid.rs", "use crate::store::PgStore;", 1),
        ("geometry/grid.rs", "use crate::{ids::SeriesUid, web, cli::{main as m, args}};", 3),
        ("geometry/grid.rs", "fn f() { let x = super::super::contour::rasterise; }", 1),
        ("contour/trace.rs", "mod tests { use super::super::super::service::Daemon; }", 1),
        ("dicom/net/scp.rs", "use crate::dicom::{net::Inbox, data::Series};", 1),
        ("dicom/net/scp.rs", "use super::super::data::Series;", 1),
        ("dicom/data/series.rs", "use crate::dicom;", 1),
        ("attic/old.rs", "", 1),
        (
            "geometry/grid.rs",
            "// crate::store\n/* crate::web */ const X: &str = \"crate::cli\"; use crate::ids::Phi;",
            0,
        ),
        ("contour/trace.rs", "mod tests { use super::super::rasterise; } use super::check;", 0),
        ("cli/serve.rs", "use crate::store::PgStore;", 0),
    ] {
        assert_eq!(wrong_arrows(&map, &[source(file, text)]).len(), faults, "{file}: {text}");
    }
}

#[test]
fn a_stray_crate_is_seen() {
    let map = map();
    let faults = |file, text| stray_crates(&map, &[source(file, text)]).len();
    assert_eq!(faults("web/api.rs", "use sqlx::PgPool; #[derive(sqlx::FromRow)] struct Row;"), 2);
    assert_eq!(faults("service/segment.rs", "let s = ort::session::Session::builder();"), 1);
    assert_eq!(faults("dicom/data/read.rs", "use dicom_ul::pdu::Pdu;"), 1);
    assert_eq!(faults("store/jobs.rs", "use sqlx::PgPool; let r = r#\"ort::x\"#; let c = '\"'; let ort = 3;"), 0);
}

#[test]
fn a_long_file_and_a_stale_excuse_are_seen() {
    let mut map = map();
    map.long = ["geometry/grid.rs".to_owned(), "ids.rs".to_owned()].into();
    let long = "\n".repeat(MOST_LINES + 1);
    let sources = [source("geometry/grid.rs", &long), source("web/api.rs", &long), source("ids.rs", "short")];
    let faults = wrong_sizes(&map, &sources);
    assert_eq!(faults.len(), 2);
    assert!(faults[0].starts_with("web/api.rs has 401 lines") && faults[1].starts_with("ids.rs is not long"));
}

#[test]
fn a_room_off_the_map_is_seen() {
    let map = map();
    let lib = read(&root().join("src/lib.rs"));
    let dicom = read(&root().join("src/dicom/mod.rs"));
    assert_eq!(missing_rooms(&map, &format!("{lib}\npub mod attic;"), &dicom).len(), 1);
    assert_eq!(missing_rooms(&map, &lib.replace("pub mod geometry;", ""), &dicom).len(), 1);
    assert_eq!(missing_rooms(&map, &lib, &dicom.replace("pub mod net;", "")).len(), 1);
}

#[test]
fn a_control_without_a_test_is_seen() {
    let hazards = |tests: &str| -> Hazards {
        let text = format!("[[hazard]]\nid = 'a'\nhazard = 'b'\ncause = 'c'\ncontrol = 'd'\ntests = [{tests}]");
        toml::from_str(&text).unwrap()
    };
    let text_of = |file: &str| (file == "src/x.rs").then(|| "#[test] fn promise() {} // fn gone()".to_owned());
    let faults = |tests| empty_controls(&hazards(tests), text_of).len();
    assert_eq!(faults("'src/x.rs: promise'"), 0);
    assert_eq!(faults("'src/x.rs: gone'"), 1);
    assert_eq!(faults("'src/y.rs: promise'"), 1);
    assert_eq!(faults("'promise'"), 1);
    assert_eq!(faults(""), 1);
}
