//! What stands for a faulty item of a list, so that the faults after it are found, too.

use toml::{Table, Value};

/// What stands for the faulty values of a route. Its titles are nobody's, so that it hides no route after it.
pub(super) fn route_stand_in(n: usize) -> Table {
    let title = Value::from(format!("?{n}"));
    Table::from_iter([
        ("name".into(), format!("route[{n}]").into()),
        ("called_ae".into(), title.clone()),
        ("calling_ae".into(), title),
        ("destinations".into(), Value::Array(Vec::new())),
    ])
}

/// What stands for the faulty values of a profile.
pub(super) fn profile_stand_in(n: usize) -> Table {
    Table::from_iter([("name".into(), format!("profile[{n}]").into())])
}

/// What stands for the faulty values of a derived structure.
pub(super) fn derived_stand_in(n: usize) -> Table {
    Table::from_iter([
        ("name".into(), format!("derived[{n}]").into()),
        ("of".into(), Value::Array(vec!["Brain".into()])),
    ])
}

/// What stands for the faulty values of a destination.
pub(super) fn destination_stand_in(n: usize) -> Table {
    Table::from_iter([
        ("name".into(), format!("destination[{n}]").into()),
        ("host".into(), "localhost".into()),
        ("port".into(), Value::Integer(104)),
        ("ae_title".into(), "?".into()),
    ])
}
