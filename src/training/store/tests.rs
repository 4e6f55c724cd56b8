//! A store written, taken up again, and read by another program's rules.

use std::sync::Arc;

use super::*;
use crate::geometry::{Grid, Lps, Shape};
use crate::ids::FrameOfReferenceUid;

fn case(id: &str, known: Vec<Class>) -> TrainingCase {
    let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
    let grid =
        Arc::new(Grid::axis_aligned(frame, Shape::new(4, 3, 2), Lps::new(1.0, 2.0, 3.0), [0.7, 0.7, 0.9]).unwrap());
    let image = Volume::new(Arc::clone(&grid), (0..24).map(|n| n as f32 * 1.5).collect()).unwrap();
    let mut labels = Volume::filled(grid, 0u8);
    labels.set(3, 1, 0, Class::Eye.bit());
    labels.set(0, 2, 1, Class::Eye.bit() | Class::Brain.bit());
    let extents = BTreeMap::from([
        (Structure::Eye_L, Extent { lo: [3, 1, 0], hi: [3, 1, 0] }),
        (Structure::Eye_R, Extent { lo: [0, 2, 1], hi: [0, 2, 1] }),
        (Structure::Brain, Extent { lo: [0, 2, 1], hi: [0, 2, 1] }),
    ]);
    let provenance = Provenance::default();
    TrainingCase { id: id.into(), source: Source::Seed(7), known, image, labels, extents, provenance }
}

#[test]
fn a_store_is_written_and_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let working = WorkingSpec::default();
    let mut store = TrainingStore::open(folder.path(), &working, "test 1").unwrap();
    store.put(&case("b", Class::ALL.to_vec())).unwrap();
    store.put(&case("a", vec![Class::Brain])).unwrap();

    // Of two that list cases each would drop the other's.
    let second = TrainingStore::open(folder.path(), &working, "test 1");
    assert!(matches!(second, Err(TrainingError::InUse { .. })));
    let written = store.index().clone();
    drop(store);
    let mut again = TrainingStore::open(folder.path(), &working, "test 1").unwrap();
    assert_eq!(*again.index(), written);
    assert!(again.holds("a") && again.holds("b") && !again.holds("c"));
    let text: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("store.json")).unwrap()).unwrap();
    assert_eq!(text["classes"][0], "eye");
    assert_eq!(text["cases"][1]["id"], "b");
    assert_eq!(text["cases"][1]["seed"], 7);
    assert_eq!(text["cases"][1]["shape"], serde_json::json!([2, 3, 4]));
    assert_eq!(text["cases"][1]["boxes"]["eye"], serde_json::json!([[3, 1, 0, 3, 1, 0], [0, 2, 1, 0, 2, 1]]));
    assert_eq!(text["cases"][0]["known"], serde_json::json!(["brain"]));
    assert!(text["cases"][0]["boxes"].get("eye").is_none());

    // A case whose file was damaged is not complete.
    fs::write(folder.path().join("b.labels.npy"), b"x").unwrap();
    assert!(!again.holds("b"));
    again.put(&case("b", Class::ALL.to_vec())).unwrap();
    assert!(again.holds("b"));
    assert_eq!(again.index().cases.len(), 2);
}

#[test]
fn arrays_are_numpys_with_z_slowest_and_unknown_bits_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = TrainingStore::open(folder.path(), &WorkingSpec::default(), "test 1").unwrap();
    store.put(&case("a", vec![Class::Brain])).unwrap();
    let image = fs::read(folder.path().join("a.image.npy")).unwrap();
    let header = String::from_utf8_lossy(&image[..128]).into_owned();
    assert!(
        header.contains("'<f4'") && header.contains("(2, 3, 4)") && header.contains("'fortran_order': False"),
        "{header}"
    );
    let labels = fs::read(folder.path().join("a.labels.npy")).unwrap();
    let data = &labels[labels.len() - 24..];
    // Voxel (0, 2, 1): slice 1, row 2, column 0.
    assert_eq!(data[12 + 2 * 4], Class::Brain.bit());
    assert_eq!(data.iter().map(|v| u32::from(*v)).sum::<u32>(), u32::from(Class::Brain.bit()));
    assert_eq!(image[image.len() - 24 * 4 + 4..][..4], 1.5f32.to_le_bytes());
}

#[test]
fn stores_of_different_make_do_not_mix() {
    let folder = tempfile::tempdir().unwrap();
    let working = WorkingSpec::default();
    TrainingStore::open(folder.path(), &working, "test 1").unwrap().put(&case("a", vec![])).unwrap();
    assert!(matches!(
        TrainingStore::open(folder.path(), &working, "test 2"),
        Err(TrainingError::Mixed { what: "generator", .. })
    ));
    let other = WorkingSpec { spacing: [1.0; 3], ..WorkingSpec::default() };
    assert!(TrainingStore::open(folder.path(), &other, "test 1").is_err());
    fs::write(folder.path().join("store.json"), b"{}").unwrap();
    assert!(matches!(TrainingStore::open(folder.path(), &working, "test 1"), Err(TrainingError::Index { .. })));
}

/// What a site has of no patient stands in no list of classes, and the bits of the others close up.
#[test]
fn a_class_that_no_case_has_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let working = WorkingSpec::default();
    let some = [Class::Eye, Class::Brain];
    let mut store = TrainingStore::open_salted(folder.path(), &working, "test 1", None, &some, &[]).unwrap();
    assert_eq!(store.index().classes, ["eye", "brain"]);
    let TrainingCase { id, source, known: _, image, labels, extents, provenance } = case("a", vec![]);
    // A bit for each class of the store, in its order.
    let words = labels.map(|bits| u8::from(bits & Class::Eye.bit() > 0) | u8::from(bits & Class::Brain.bit() > 0) << 1);
    store.put(&TrainingCase { id, source, known: some.to_vec(), image, labels: words, extents, provenance }).unwrap();
    drop(store);
    let index = super::super::check::read_index(folder.path()).unwrap();
    let stored = super::super::check::read_case(folder.path(), &index, &index.cases[0]).unwrap();
    assert_eq!((stored.bits[&Class::Eye], stored.bits[&Class::Brain]), (0, 1));
    assert_eq!(stored.labels.map(|word| word >> 1 & 1 == 1).inside().collect::<Vec<_>>(), [[0, 2, 1]]);
    let other = TrainingStore::open(folder.path(), &working, "test 1");
    assert!(matches!(other, Err(TrainingError::Mixed { what: "list of classes", .. })));
}

/// A ninth class: two bytes a voxel, its bit behind those of the eight, and its description in the index, which another process
/// learns it from.
#[test]
fn a_class_that_is_described_has_a_bit_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let cochlea: Description = toml::from_str(
        "name = \"cochlea_of_store\"\nsided = true\nstructures = [\"CochleaOfS_L\", \"CochleaOfS_R\"]\nrules = \"none\"\n\
         colours = [[1, 2, 3], [3, 2, 1]]\nenclosed_by = \"brain\"\n[code]\nvalue = \"1\"\nscheme = \"99TEST\"\nmeaning = \"Cochlea\"\n",
    )
    .unwrap();
    let described = describe(std::slice::from_ref(&cochlea)).unwrap()[0];
    let working = WorkingSpec::default();
    let open = |further: &[Description]| {
        TrainingStore::open_salted(folder.path(), &working, "test 1", None, &Class::ALL, further)
    };
    let mut store = open(std::slice::from_ref(&cochlea)).unwrap();
    let TrainingCase { id, source, image, labels, extents, .. } = case("a", vec![]);
    let mut words = labels.map(|bits| u32::from(*bits));
    words.set(1, 1, 1, 1 << 8);
    let known = vec![Class::Brain, described];
    let provenance = Provenance::default();
    store.put(&TrainingCase { id, source, known, image, labels: words, extents, provenance }).unwrap();

    let text: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("store.json")).unwrap()).unwrap();
    assert_eq!((&text["classes"][8], &text["class"][0]["enclosed_by"]), (&"cochlea_of_store".into(), &"brain".into()));
    let labels = fs::read(folder.path().join("a.labels.npy")).unwrap();
    assert!(String::from_utf8_lossy(&labels[..128]).contains("'<u2'"));
    let index = super::super::check::read_index(folder.path()).unwrap();
    assert_eq!(index.classes()[8], described);
    let stored = super::super::check::read_case(folder.path(), &index, &index.cases[0]).unwrap();
    assert_eq!(stored.bits[&described], 8);
    let inside: Vec<[usize; 3]> = stored.labels.map(|word| word >> 8 & 1 == 1).inside().collect();
    assert_eq!(inside, [[1, 1, 1]]);
    drop(store);
    assert!(matches!(open(&[]), Err(TrainingError::Mixed { what: "list of classes", .. })));
    // An index that lost the description cannot be read, and says why.
    let lost = String::from_utf8(fs::read(folder.path().join("store.json")).unwrap()).unwrap();
    let lost = lost.replacen("cochlea_of_store", "cochlea_of_nobody", 1);
    fs::write(folder.path().join("store.json"), lost).unwrap();
    let why = super::super::check::read_index(folder.path()).unwrap_err().to_string();
    assert!(why.contains("no description"), "{why}");
}
