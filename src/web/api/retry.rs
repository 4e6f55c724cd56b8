//! Another attempt at a case, after what was in the way was put right.

use axum::extract::State;
use axum::response::Json as JsonAnswer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Json, Path, case_of};
use crate::store::{CaseState, Retriable, Retried};
use crate::web::WebState;
use crate::web::error::{ApiError, Class};

/// An empty object: a body of type JSON is what a foreign page cannot send without being asked first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryRequest {}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Begun {
    retried: Retriable,
    /// Objects that are sent now.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
}

pub(super) async fn retry(
    State(state): State<WebState>,
    Path(id): Path<Uuid>,
    Json(RetryRequest {}): Json<RetryRequest>,
) -> Result<JsonAnswer<Begun>, ApiError> {
    let before = case_of(&state, id).await?.case.state;
    let begun = answer(state.store.retry_case(id).await?, before)?;
    tracing::info!(case.id = %id, what = begun.retried.name(), "another attempt was asked for");
    Ok(JsonAnswer(begun))
}

fn answer(retried: Retried, state: CaseState) -> Result<Begun, ApiError> {
    let conflict = |what: &str, then: &str| Err(ApiError::new(Class::Conflict, what, then));
    match (retried, state) {
        (Retried::Job, _) => Ok(Begun { retried: Retriable::Job, objects: None }),
        (Retried::Deliveries { objects }, _) => Ok(Begun { retried: Retriable::Deliveries, objects: Some(objects) }),
        (Retried::Superseded, _) => conflict(
            "A later revision of the same series took the place of this case.",
            "Open the latest revision; it is in the list of cases.",
        ),
        (Retried::Nothing, CaseState::Refused) => conflict(
            "This case was refused: the same images would be refused again.",
            "Do what its reason says, then send the series again.",
        ),
        (Retried::Nothing, CaseState::Delivered) => {
            conflict("Everything of this case was delivered.", "There is nothing to be done.")
        }
        (Retried::Nothing, CaseState::Sent) => conflict(
            "Every destination accepted everything of this case; one of them cannot tell whether it keeps it.",
            "Look there whether the structure set has arrived.",
        ),
        (Retried::Nothing, CaseState::Held) => conflict(
            "This case is held for a person: nothing of it was sent.",
            "Look at it, then release it or leave it.",
        ),
        (Retried::Nothing, _) => conflict(
            "Nothing of this case has failed or waits for its next attempt.",
            "Wait until it has been contoured and sent, then see its state.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_retried_says_why_for_each_state() {
        let why = |retried, state| answer(retried, state).unwrap_err();
        let refusals = [
            why(Retried::Superseded, CaseState::Failed),
            why(Retried::Nothing, CaseState::Refused),
            why(Retried::Nothing, CaseState::Delivered),
            why(Retried::Nothing, CaseState::Sent),
            why(Retried::Nothing, CaseState::Segmenting),
            why(Retried::Nothing, CaseState::Held),
        ];
        let texts: std::collections::BTreeSet<String> = refusals.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 6);
        assert!(refusals.iter().all(|e| e.class == Class::Conflict));
        let sent = answer(Retried::Deliveries { objects: 3 }, CaseState::Failed).unwrap();
        assert_eq!(sent, Begun { retried: Retriable::Deliveries, objects: Some(3) });
    }
}
