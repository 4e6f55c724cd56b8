//! The table of the thesis's clinical review (section 4.3.4, Table 4.6) with this site's counts.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;

use super::place;
use crate::anatomy::Structure;
use crate::store::{Rating, Tally};
use crate::web::WebState;
use crate::web::error::ApiError;

/// How often each rating was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Counts {
    accept: i64,
    minor: i64,
    major: i64,
    reject: i64,
    not_assigned: i64,
}

impl Counts {
    const fn of([accept, minor, major, reject, not_assigned]: [i64; 5]) -> Self {
        Self { accept, minor, major, reject, not_assigned }
    }

    fn count(&mut self, rating: Rating, n: i64) {
        let place = match rating {
            Rating::Accept => &mut self.accept,
            Rating::Minor => &mut self.minor,
            Rating::Major => &mut self.major,
            Rating::Reject => &mut self.reject,
            Rating::NotAssigned => &mut self.not_assigned,
        };
        *place += n;
    }

    fn plus(self, o: Self) -> Self {
        Self {
            accept: self.accept + o.accept,
            minor: self.minor + o.minor,
            major: self.major + o.major,
            reject: self.reject + o.reject,
            not_assigned: self.not_assigned + o.not_assigned,
        }
    }

    fn all(self) -> i64 {
        self.accept + self.minor + self.major + self.reject + self.not_assigned
    }
}

/// The thesis's counts for a structure, of 50 cases; it has the twelve only.
const fn thesis(structure: Structure) -> Option<Counts> {
    Some(Counts::of(match structure {
        Structure::Hippocampus_L => [39, 8, 1, 2, 0],
        Structure::Hippocampus_R => [45, 5, 0, 0, 0],
        Structure::Brainstem => [22, 26, 1, 1, 0],
        Structure::Eye_L => [48, 2, 0, 0, 0],
        Structure::Eye_R => [45, 4, 1, 0, 0],
        Structure::Lens_L => [39, 7, 4, 0, 0],
        Structure::Lens_R => [42, 6, 2, 0, 0],
        Structure::OpticNrv_L => [44, 6, 0, 0, 0],
        Structure::OpticNrv_R => [40, 10, 0, 0, 0],
        Structure::OpticChiasm => [19, 26, 4, 1, 0],
        Structure::Pituitary => [19, 25, 3, 0, 3],
        Structure::Brain => [36, 14, 0, 0, 0],
        Structure::Described(_) => return None,
    }))
}

const THESIS_CASES: i64 = 50;

#[derive(Serialize)]
struct Row {
    name: String,
    counts: Counts,
    thesis: Option<Counts>,
}

#[derive(Serialize)]
struct Thesis {
    source: &'static str,
    cases: i64,
    total: Counts,
}

#[derive(Serialize)]
pub(super) struct Table {
    /// Cases with a review.
    cases: i64,
    /// Different reviewers.
    reviewers: i64,
    /// Judgements counted: the latest per reviewer, case and structure.
    reviews: i64,
    structures: Vec<Row>,
    total: Counts,
    thesis: Thesis,
}

/// Rows in the order of the thesis's table, then every other structure that was reviewed, by name.
fn rows(tally: &[Tally]) -> Vec<Row> {
    let row = |name: &str, thesis: Option<Counts>| {
        let mut counts = Counts::default();
        for t in tally.iter().filter(|t| t.structure == name) {
            counts.count(t.rating, t.count);
        }
        Row { name: name.to_owned(), counts, thesis }
    };
    let others: BTreeSet<&str> =
        tally.iter().map(|t| t.structure.as_str()).filter(|name| place(name) == Structure::ALL.len()).collect();
    let known = Structure::ALL.into_iter().map(|s| row(s.name(), thesis(s)));
    known.chain(others.into_iter().map(|name| row(name, None))).collect()
}

pub(super) async fn table(State(state): State<WebState>) -> Result<Json<Table>, ApiError> {
    let tally = state.store.review_tally().await?;
    let totals = state.store.review_totals().await?;
    let structures = rows(&tally);
    let total = structures.iter().fold(Counts::default(), |sum, row| sum.plus(row.counts));
    let thesis_total = structures.iter().filter_map(|row| row.thesis).fold(Counts::default(), Counts::plus);
    Ok(Json(Table {
        cases: totals.cases,
        reviewers: totals.reviewers,
        reviews: total.all(),
        structures,
        total,
        thesis: Thesis {
            source: "Mlynarski, Deep Learning for Segmentation of Brain Tumors and Organs at Risk in Radiotherapy \
                     Planning, section 4.3.4, Table 4.6",
            cases: THESIS_CASES,
            total: thesis_total,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thesis_table_adds_up() {
        let total = rows(&[]).iter().filter_map(|row| row.thesis).fold(Counts::default(), Counts::plus);
        assert_eq!(total, Counts::of([438, 139, 16, 4, 3]));
        assert_eq!(total.all(), 600);
        for structure in Structure::ALL {
            assert_eq!(thesis(structure).unwrap().all(), THESIS_CASES, "{structure:?}");
        }
    }

    #[test]
    fn each_rating_is_counted_in_its_own_place() {
        let tally: Vec<Tally> = Rating::ALL
            .iter()
            .zip(1..)
            .map(|(rating, count)| Tally { structure: "Pituitary".into(), rating: *rating, count })
            .collect();
        for row in rows(&tally) {
            let expected = if row.name == "Pituitary" { [1, 2, 3, 4, 5] } else { [0; 5] };
            assert_eq!(row.counts, Counts::of(expected), "{}", row.name);
        }
    }
    #[test]
    fn a_structure_that_the_thesis_does_not_have_stands_after_its_own() {
        let tally = [Tally { structure: "Cochlea_L".into(), rating: Rating::Minor, count: 3 }];
        let rows = rows(&tally);
        let last = rows.last().unwrap();
        assert_eq!((rows.len(), last.name.as_str(), last.thesis), (Structure::ALL.len() + 1, "Cochlea_L", None));
        assert_eq!(last.counts, Counts::of([0, 3, 0, 0, 0]));
    }
}
