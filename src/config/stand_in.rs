//! What stands for a faulty item of a list, so that the faults after it are found, too.

use toml::{Table, Value};

/// What stands for the faulty values of a route. Its titles are nobody's, so that it hides no route after it.
pub(super) fn route_stand_in(n: usize, _: &Value) -> Table {
    let title = Value::from(format!("?{n}"));
    Table::from_iter([
        ("name".into(), format!("route[{n}]").into()),
        ("called_ae".into(), title.clone()),
        ("calling_ae".into(), title),
        ("destinations".into(), Value::Array(Vec::new())),
    ])
}

/// What stands for the faulty values of a peer. It lets nobody in: what could not be read must not open a door.
pub(super) fn peer_stand_in(n: usize, _: &Value) -> Table {
    Table::from_iter([
        ("name".into(), format!("peer[{n}]").into()),
        ("ae_title".into(), Value::from(format!("?{n}"))),
        ("from".into(), Value::Array(vec!["127.0.0.1".into()])),
    ])
}

/// What stands for the faulty values of a profile.
pub(super) fn profile_stand_in(n: usize, _: &Value) -> Table {
    Table::from_iter([("name".into(), format!("profile[{n}]").into())])
}

/// What stands for the faulty values of a derived structure.
pub(super) fn derived_stand_in(n: usize, _: &Value) -> Table {
    Table::from_iter([
        ("name".into(), format!("derived[{n}]").into()),
        ("of".into(), Value::Array(vec!["Brain".into()])),
    ])
}

/// What stands for the faulty values of a destination.
pub(super) fn destination_stand_in(n: usize, item: &Value) -> Table {
    system_stand_in(format!("destination[{n}]"), item)
}

/// What stands for the faulty values of a source.
pub(super) fn source_stand_in(n: usize, item: &Value) -> Table {
    system_stand_in(format!("source[{n}]"), item)
}

/// A system with a URL is one of DICOMweb, and has other keys.
fn system_stand_in(name: String, item: &Value) -> Table {
    if item.get("url").is_some() {
        return Table::from_iter([("name".into(), name.into()), ("url".into(), "http://localhost".into())]);
    }
    Table::from_iter([
        ("name".into(), name.into()),
        ("host".into(), "localhost".into()),
        ("port".into(), Value::Integer(104)),
        ("ae_title".into(), "?".into()),
    ])
}
