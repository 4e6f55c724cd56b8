//! The one table from what went wrong to an HTTP status. The body says what is wrong and what to do, never who the
//! patient is.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::store::{ErrorClass, StoreError};

/// Kinds of failure; each has one HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The request cannot be understood.
    BadRequest,
    /// The request comes from another web page.
    ForeignOrigin,
    /// There is no such thing.
    NotFound,
    /// The path does not know this method.
    Method,
    /// It cannot be done in the state the case is in.
    Conflict,
    /// The body is larger than allowed.
    TooLarge,
    /// The body is not JSON by its header.
    MediaType,
    /// The request was asked under a name that is not ours.
    ForeignHost,
    /// The request is understood and its values make no sense.
    Unprocessable,
    /// A part is out of reach for now; asking again may help.
    Unavailable,
    /// Our own fault.
    Internal,
}

impl Class {
    const fn status(self) -> StatusCode {
        match self {
            Class::BadRequest => StatusCode::BAD_REQUEST,
            Class::ForeignOrigin => StatusCode::FORBIDDEN,
            Class::NotFound => StatusCode::NOT_FOUND,
            Class::Method => StatusCode::METHOD_NOT_ALLOWED,
            Class::Conflict => StatusCode::CONFLICT,
            Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Class::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Class::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Class::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Class::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Class::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A failed request: its kind, what is wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub(super) class: Class,
    message: String,
    what_to_do: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    what_to_do: &'a str,
}

impl ApiError {
    /// A failure of a kind.
    pub fn new(class: Class, message: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self { class, message: message.into(), what_to_do: what_to_do.into() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Body { error: &self.message, what_to_do: &self.what_to_do };
        (self.class.status(), Json(body)).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The one place where it is logged: the client gets no inner details.
        tracing::error!(%error, "a request of the review page failed in the store");
        match error.class() {
            ErrorClass::Retry => ApiError::new(
                Class::Unavailable,
                "The database or the disk of the daemon is away for now.",
                "Try again in a moment; if it stays, run `contourd doctor` and look into the daemon's log.",
            ),
            ErrorClass::Permanent => ApiError::new(
                Class::Internal,
                "The daemon's database or a stored file is not as it should be.",
                "Run `contourd doctor` and look into the daemon's log, which names it.",
            ),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let class = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Class::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Class::MediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Class::Unprocessable,
            _ => Class::BadRequest,
        };
        let what_to_do = match class {
            Class::TooLarge => "Send less, for example a shorter comment.",
            Class::MediaType => "Send JSON with the header content-type: application/json.",
            _ => {
                "Send a JSON object: a review has rating, reviewer and, if you like, comment and seconds_spent; a retry is {}."
            }
        };
        ApiError::new(class, rejection.body_text(), what_to_do)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        ApiError::new(
            Class::BadRequest,
            rejection.body_text(),
            "Correct the part of the address after the question mark.",
        )
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        ApiError::new(Class::BadRequest, rejection.body_text(), "Take the address from GET /api/cases.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_body_says_what_is_wrong_and_what_to_do() {
        let response = ApiError::new(Class::Conflict, "It waits.", "Wait as well.").into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        let bytes = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(body, serde_json::json!({"error": "It waits.", "what_to_do": "Wait as well."}));
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        let damaged = StoreError::DamagedBlob { key: "k".into(), expected: "a".into(), found: "b".into() };
        assert_eq!(ApiError::from(damaged).class, Class::Internal);
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let away = StoreError::File { action: "cannot read", path: "blobs".into(), source: full };
        assert_eq!(ApiError::from(away).class, Class::Unavailable);
    }

    #[test]
    fn every_class_has_its_own_status() {
        let all = [
            Class::BadRequest,
            Class::ForeignOrigin,
            Class::NotFound,
            Class::Method,
            Class::Conflict,
            Class::TooLarge,
            Class::MediaType,
            Class::ForeignHost,
            Class::Unprocessable,
            Class::Unavailable,
            Class::Internal,
        ];
        let statuses: std::collections::BTreeSet<u16> = all.iter().map(|c| c.status().as_u16()).collect();
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [400, 403, 404, 405, 409, 413, 415, 421, 422, 500, 503]);
    }
}
