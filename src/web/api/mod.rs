//! The JSON side: one file per subject.

mod cases;
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
use crate::store::CaseView;

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
         with POST to /api/cases/{id}/retry, a held case is released with POST to /api/cases/{id}/release.",
    )
}

/// The case of a path.
async fn case_of(state: &WebState, id: Uuid) -> Result<CaseView, ApiError> {
    state.store.case_view(id).await?.ok_or_else(|| {
        ApiError::new(Class::NotFound, "There is no such case.", "Take the case's id from GET /api/cases.")
    })
}

/// The structure of a path.
fn structure_of(name: &str) -> Result<Structure, ApiError> {
    Structure::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Structure::ALL.iter().map(|s| s.name()).collect();
        ApiError::new(
            Class::NotFound,
            "There is no structure of that name.",
            format!("Use one of {}.", names.join(", ")),
        )
    })
}
