//! The JSON side: one file per subject.

mod cases;
mod complete;
mod contours;
mod health;
mod refusals;
mod release;
mod retry;
mod reviews;
mod statistics;
mod structures;

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::routing::{MethodRouter, get, post};
use uuid::Uuid;

use super::WebState;
use super::error::{ApiError, Class};
use crate::anatomy::Structure;
use crate::store::{CaseView, StructureRow};

/// JSON body whose faults become our own errors.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
struct Json<T>(T);

/// Part of the address after the question mark.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
struct Query<T>(T);

/// Named parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
struct Path<T>(T);

pub(super) fn router() -> Router<WebState> {
    let route = |methods: MethodRouter<WebState>| methods.fallback(no_such_method);
    Router::new()
        .route("/health", route(get(health::health)))
        .route("/api/cases", route(get(cases::list)))
        .route("/api/cases/{id}", route(get(cases::one)))
        .route("/api/cases/{id}/complete", route(post(complete::complete)))
        .route("/api/cases/{id}/retry", route(post(retry::retry)))
        .route("/api/cases/{id}/release", route(post(release::release)))
        .route("/api/cases/{id}/structures", route(get(structures::list)))
        .route("/api/cases/{id}/structures/{name}/reviews", route(get(reviews::history).post(reviews::record)))
        .route("/api/cases/{id}/contours", route(get(contours::contours)))
        .route("/api/cases/{id}/image", route(get(contours::image)))
        .route("/api/cases/{id}/slices/{file}", route(get(contours::slice)))
        .route("/api/cases/{id}/sheet.png", route(get(contours::sheet)))
        .route("/api/refusals", route(get(refusals::list)))
        .route("/api/statistics", route(get(statistics::table)))
}

pub(super) async fn no_such_path() -> ApiError {
    ApiError::new(Class::NotFound, "There is nothing at this address.", "Start at / for the page or at /api/cases.")
}

async fn no_such_method() -> ApiError {
    ApiError::new(
        Class::Method,
        "This address does not take that method.",
        "Reading is GET; a review is recorded with POST to .../structures/{name}/reviews, another attempt is begun \
         with POST to /api/cases/{id}/retry, a held case is released with POST to /api/cases/{id}/release, a series \
         that is waited for is declared complete with POST to /api/cases/{id}/complete.",
    )
}

/// The case of a path.
async fn case_of(state: &WebState, id: Uuid) -> Result<CaseView, ApiError> {
    state.store.case_view(id).await?.ok_or_else(|| {
        ApiError::new(Class::NotFound, "There is no such case.", "Take the case's id from GET /api/cases.")
    })
}

/// The structures of a case as its rows name them, whatever model is installed now: those of the catalogue in its order,
/// then the others by name.
async fn structures_of(state: &WebState, case: Uuid) -> Result<Vec<StructureRow>, ApiError> {
    let mut rows = state.store.structures_of(case).await?;
    rows.sort_by_cached_key(|row| (place(&row.structure), row.structure.clone()));
    Ok(rows)
}

/// Where a structure stands in the catalogue; after all of it where it is described by a model.
fn place(name: &str) -> usize {
    Structure::ALL.iter().position(|s| s.name() == name).unwrap_or(Structure::ALL.len())
}

/// The colour of a structure: that of its report; the catalogue's, where a version wrote it that kept none.
fn colour_of(row: &StructureRow) -> [u8; 3] {
    const UNKNOWN: [u8; 3] = [160, 160, 160];
    let kept = row.report.get("colour").and_then(|colour| serde_json::from_value(colour.clone()).ok());
    kept.or_else(|| Structure::ALL.get(place(&row.structure)).map(|s| s.colour())).unwrap_or(UNKNOWN)
}

/// The structure of a path, by its row in the case.
async fn structure_of(state: &WebState, case: Uuid, name: &str) -> Result<StructureRow, ApiError> {
    let rows = structures_of(state, case).await?;
    let names = rows.iter().map(|row| row.structure.as_str()).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "This case has none yet.".into() } else { format!("Use one of {names}.") };
    let found = rows.into_iter().find(|row| row.structure == name);
    found.ok_or_else(|| ApiError::new(Class::NotFound, "This case has no structure of that name.", names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(structure: &str, report: serde_json::Value) -> StructureRow {
        StructureRow {
            case_id: Uuid::nil(),
            structure: structure.into(),
            found: true,
            volume_cc: None,
            agreement: None,
            report,
            contours: serde_json::json!([]),
        }
    }

    #[test]
    fn a_colour_outlives_its_model() {
        assert_eq!(colour_of(&row("Gone_L", serde_json::json!({"colour": [1, 2, 3]}))), [1, 2, 3]);
        assert_eq!(colour_of(&row("Eye_L", serde_json::json!({}))), Structure::Eye_L.colour());
        assert_eq!(colour_of(&row("Gone_L", serde_json::json!({"colour": null}))), [160; 3]);
    }
}
