//! The figures as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use contourd::anatomy::Class;
use contourd::anatomy::quality::Figures;

use crate::cases::{Cause, Row};
use crate::damage::Damage;
use crate::fit::{Judged, figures};
use crate::images::Hard;

/// How many bad ones were caught and how many good ones are green: by class, by cause, and overall.
pub fn table(judged: &Judged, means: &BTreeMap<Class, f64>) -> String {
    let mut out = "| structures | bad | caught | good | green |\n|---|---|---|---|---|\n".to_owned();
    let mut row = |name: &str, wanted: &dyn Fn(&Row) -> bool| {
        let figures = figures(judged, means, wanted);
        if figures != Figures::default() {
            let _ = writeln!(out, "| {name} | {} |", cells(&figures));
        }
    };
    row("all", &|_| true);
    row("all that were found", &|r| r.evidence.is_some());
    row("networks alone", &|r| !matches!(r.cause, Cause::Vote(_)));
    row("damaged votes", &|r| matches!(r.cause, Cause::Vote(_)));
    for class in Class::ALL {
        row(class.name(), &|r| r.structure.class() == class);
    }
    row("ordinary heads, networks alone", &|r| r.cause == Cause::Ordinary);
    for hard in Hard::ALL {
        row(&format!("image: {hard:?}"), &|r| r.cause == Cause::Image(hard));
    }
    for damage in [Damage::Less, Damage::More, Damage::Missed] {
        row(&format!("vote: {damage:?}"), &|r| r.cause == Cause::Vote(damage));
    }
    out
}

/// Four cells of a row.
fn cells(Figures { bad, caught, good, green }: &Figures) -> String {
    let share = |n: u32, of: u32| match of {
        0 => "-".to_owned(),
        _ => format!("{n} ({:.1} %)", 100.0 * f64::from(n) / f64::from(of)),
    };
    format!("{bad} | {} | {good} | {}", share(*caught, *bad), share(*green, *good))
}
