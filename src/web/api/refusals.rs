//! What never became a case.

use axum::extract::State;
use axum::response::Json;
use serde::Serialize;

use crate::store::{RefusedOnReceipt, Unwanted};
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Serialize)]
pub(super) struct Refusals {
    refusals: Vec<RefusedOnReceipt>,
    unwanted: UnwantedSeries,
}

/// Series that no route wanted: not kept, but not passed over in silence either.
#[derive(Serialize)]
struct UnwantedSeries {
    /// How many series.
    series: i64,
    /// How many objects of them came, each time counted.
    objects: i64,
    /// The latest of them.
    latest: Vec<Unwanted>,
}

/// Most series that are listed.
const LISTED: u32 = 50;

/// Instances of the last seven days that were refused on receipt and are on no case, and series that no route wanted.
pub(super) async fn list(State(state): State<WebState>) -> Result<Json<Refusals>, ApiError> {
    let refusals = state.store.refused_on_receipt().await?;
    let ((series, objects), latest) = (state.store.unwanted_count().await?, state.store.unwanted(LISTED).await?);
    Ok(Json(Refusals { refusals, unwanted: UnwantedSeries { series, objects, latest } }))
}
