//! What never became a case.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;

use crate::store::RefusedOnReceipt;
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Serialize)]
pub(super) struct Refusals {
    refusals: Vec<RefusedOnReceipt>,
}

/// Instances of the last seven days that were refused on receipt and are on no case.
pub(super) async fn list(State(state): State<WebState>) -> Result<Json<Refusals>, ApiError> {
    Ok(Json(Refusals { refusals: state.store.refused_on_receipt().await? }))
}
