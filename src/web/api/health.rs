//! Whether it lives, and on what.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;

use crate::store::Backlog;
use crate::web::error::ApiError;
use crate::web::{ServiceFacts, WebState};

#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    #[serde(flatten)]
    facts: ServiceFacts,
    waiting: Waiting,
}

#[derive(Serialize)]
struct Waiting {
    cases: Backlog,
    deliveries: Backlog,
    /// Cases that a person has to release, or to leave.
    held: Backlog,
}

/// 200 when the database answers, else the error of the table.
pub(super) async fn health(State(state): State<WebState>) -> Result<Json<Health>, ApiError> {
    let waiting = Waiting {
        cases: state.store.waiting_cases().await?,
        deliveries: state.store.waiting_deliveries().await?,
        held: state.store.held_cases().await?,
    };
    Ok(Json(Health { status: "live", facts: ServiceFacts::clone(&state.facts), waiting }))
}
