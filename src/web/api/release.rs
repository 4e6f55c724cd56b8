//! Letting a held case go: a person says who they are, and why the reasons for holding it do not matter.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json as JsonAnswer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reviews::{person, plain_text, unprocessable};
use super::{Json, Path, case_of};
use crate::store::{CaseState, NewRelease, Released};
use crate::web::WebState;
use crate::web::error::{ApiError, Class};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseRequest {
    released_by: String,
    reason: String,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LetGo {
    /// Deliveries that are due now.
    deliveries: u64,
}

impl ReleaseRequest {
    fn checked(&self, case_id: Uuid) -> Result<NewRelease, ApiError> {
        let released_by = person(&self.released_by)?;
        let reason = plain_text("reason", &self.reason)?;
        if reason.is_empty() {
            return Err(unprocessable("The reason is empty.", "Write why the case may be sent all the same."));
        }
        Ok(NewRelease { case_id, released_by, reason })
    }
}

pub(super) async fn release(
    State(state): State<WebState>,
    Path(id): Path<Uuid>,
    Json(request): Json<ReleaseRequest>,
) -> Result<(StatusCode, JsonAnswer<LetGo>), ApiError> {
    let new = request.checked(id)?;
    case_of(&state, id).await?;
    match state.store.release_case(&new).await? {
        Released::Sent { deliveries } => {
            tracing::info!(case.id = %id, deliveries, "a person released a held case");
            Ok((StatusCode::CREATED, JsonAnswer(LetGo { deliveries })))
        }
        Released::NotHeld => Err(not_held(case_of(&state, id).await?.case.state)),
    }
}

fn not_held(state: CaseState) -> ApiError {
    let (what, then) = match state {
        CaseState::Superseded => (
            "This case was replaced by a later revision of the same series.",
            "Open the latest revision; it is in the list of cases.",
        ),
        _ => ("This case is not held.", "There is nothing to release; see its state."),
    };
    ApiError::new(Class::Conflict, what, then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_needs_a_name_and_a_reason() {
        let request = |by: &str, why: &str| ReleaseRequest { released_by: by.into(), reason: why.into() };
        let good = request(" Dr  A ", " the neck is short ").checked(Uuid::nil()).unwrap();
        assert_eq!((good.released_by.as_str(), good.reason.as_str()), ("Dr A", "the neck is short"));
        let long = "x".repeat(5000);
        for (by, why) in
            [("", "why"), ("A", ""), ("A", "  "), (long.as_str(), "why"), ("A", long.as_str()), ("A", "\u{7}")]
        {
            assert_eq!(request(by, why).checked(Uuid::nil()).unwrap_err().class, Class::Unprocessable, "{by} {why}");
        }
        assert_ne!(not_held(CaseState::Superseded).to_string(), not_held(CaseState::Delivered).to_string());
    }
}
