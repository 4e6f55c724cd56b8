//! A person's word that a series is complete.

use axum::extract::State;
use axum::response::Json as JsonAnswer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Json, Path, case_of};
use crate::web::WebState;
use crate::web::error::{ApiError, Class};

/// An empty object: a body of type JSON is what a foreign page cannot send without being asked first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CompleteRequest {}

#[derive(Debug, Serialize)]
pub(super) struct Completed {
    /// The images that are taken for the whole series.
    images: i64,
}

pub(super) async fn complete(
    State(state): State<WebState>,
    Path(id): Path<Uuid>,
    Json(CompleteRequest {}): Json<CompleteRequest>,
) -> Result<JsonAnswer<Completed>, ApiError> {
    case_of(&state, id).await?;
    let Some(images) = state.store.complete_by_word(id).await? else {
        return Err(ApiError::new(
            Class::Conflict,
            "This series is not waited for any more.",
            "See its state. Images that come now open its next revision.",
        ));
    };
    tracing::info!(case.id = %id, images, "a person said that the series is complete");
    Ok(JsonAnswer(Completed { images }))
}
