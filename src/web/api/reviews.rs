//! Reviews of one structure: what was said, and saying something.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json as JsonAnswer;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Json, Path, case_of, structure_of};
use crate::store::{CaseState, CaseView, NewReview, Rating, Review};
use crate::web::WebState;
use crate::web::error::{ApiError, Class};

const MOST_NAME_CHARS: usize = 100;
const MOST_TEXT_CHARS: usize = 4000;
/// Longer than a day on one structure is a page left open, not a measurement.
const MOST_SECONDS: f64 = 86_400.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReviewRequest {
    rating: String,
    reviewer: String,
    #[serde(default)]
    comment: String,
    seconds_spent: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct History {
    reviews: Vec<Review>,
}

pub(super) fn unprocessable(message: impl Into<String>, what_to_do: impl Into<String>) -> ApiError {
    ApiError::new(Class::Unprocessable, message, what_to_do)
}

/// A person's name. One name is one person in the statistics: blanks must not make two of them.
pub(super) fn person(name: &str) -> Result<String, ApiError> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() || name.chars().count() > MOST_NAME_CHARS || name.contains(char::is_control) {
        return Err(unprocessable(
            format!("The name of the person must have 1 to {MOST_NAME_CHARS} characters."),
            "Write the name of the person who decides.",
        ));
    }
    Ok(name)
}

/// What a person wrote in the field of that name.
pub(super) fn plain_text(field: &str, text: &str) -> Result<String, ApiError> {
    let text = text.trim().to_owned();
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    if text.chars().count() > MOST_TEXT_CHARS || text.contains(odd) {
        return Err(unprocessable(
            format!("The {field} is longer than {MOST_TEXT_CHARS} characters or holds control characters."),
            format!("Shorten the {field} to plain text."),
        ));
    }
    Ok(text)
}

impl ReviewRequest {
    fn checked(self, case_id: Uuid, structure: String) -> Result<NewReview, ApiError> {
        let ratings: Vec<&str> = Rating::ALL.iter().map(|r| r.name()).collect();
        let rating = Rating::try_from(self.rating)
            .map_err(|_| unprocessable("There is no such rating.", format!("Use one of {}.", ratings.join(", "))))?;
        let reviewer = person(&self.reviewer)?;
        let comment = plain_text("comment", &self.comment)?;
        let seconds_spent = match self.seconds_spent {
            None => None,
            Some(s) if (0.0..=MOST_SECONDS).contains(&s) => Some(s.round() as i32),
            Some(_) => {
                return Err(unprocessable(
                    format!("seconds_spent does not lie between 0 and {MOST_SECONDS}."),
                    "Send the time spent on this structure in seconds, or leave it out.",
                ));
            }
        };
        Ok(NewReview { case_id, structure, rating, reviewer, comment, seconds_spent })
    }
}

/// Contours can be judged once they exist and as long as they are the current ones.
fn open_for_review(view: &CaseView) -> Result<(), ApiError> {
    let closed = |what: &str, then: &str| Err(ApiError::new(Class::Conflict, what, then));
    match view.case.state {
        CaseState::Receiving | CaseState::Queued | CaseState::Segmenting => {
            closed("This case has no contours yet.", "Wait until it has been contoured.")
        }
        CaseState::Kept => {
            closed("This series is kept beside others and has no contours of ours.", "Open the MR of its study.")
        }
        CaseState::Refused => closed("This case was refused and has no contours.", "See the reason on the case."),
        CaseState::Superseded => closed(
            "This case was replaced by a later revision of the same series.",
            "Review the latest revision; it is in the list of cases.",
        ),
        CaseState::Held | CaseState::Delivering | CaseState::Delivered | CaseState::Sent => Ok(()),
        // A delivery that failed leaves contours to judge; a segmentation that failed leaves none.
        CaseState::Failed if view.structures_total > 0 => Ok(()),
        CaseState::Failed => closed("This case failed before it had contours.", "See the reason on the case."),
    }
}

/// Whether the rating can be said of this structure: what was not drawn cannot be accepted or corrected.
fn sensible(rating: Rating, structure: &str, found: bool) -> Result<(), ApiError> {
    match rating {
        Rating::Accept | Rating::Minor | Rating::Major if !found => Err(unprocessable(
            format!("{} was not found, so that there is no contour to accept or correct.", structure),
            "Use not_assigned when it is absent or invisible in this patient, reject when it was missed.",
        )),
        Rating::Accept | Rating::Minor | Rating::Major | Rating::Reject | Rating::NotAssigned => Ok(()),
    }
}

/// Newest first.
pub(super) async fn history(
    State(state): State<WebState>,
    Path((id, name)): Path<(Uuid, String)>,
) -> Result<JsonAnswer<History>, ApiError> {
    case_of(&state, id).await?;
    let row = structure_of(&state, id, &name).await?;
    Ok(JsonAnswer(History { reviews: state.store.reviews(id, &row.structure).await? }))
}

pub(super) async fn record(
    State(state): State<WebState>,
    Path((id, name)): Path<(Uuid, String)>,
    Json(request): Json<ReviewRequest>,
) -> Result<(StatusCode, JsonAnswer<Review>), ApiError> {
    let view = case_of(&state, id).await?;
    let new = request.checked(id, name)?;
    open_for_review(&view)?;
    let row = structure_of(&state, id, &new.structure).await?;
    sensible(new.rating, &row.structure, row.found)?;
    let review = state.store.add_review(&new).await?;
    tracing::info!(case.id = %id, structure = row.structure, rating = new.rating.name(), "a review was recorded");
    Ok((StatusCode::CREATED, JsonAnswer(review)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(rating: &str, reviewer: &str, comment: &str, seconds: Option<f64>) -> Result<NewReview, ApiError> {
        ReviewRequest {
            rating: rating.into(),
            reviewer: reviewer.into(),
            comment: comment.into(),
            seconds_spent: seconds,
        }
        .checked(Uuid::nil(), "Lens_R".into())
    }

    #[test]
    fn a_review_is_tidied() {
        let review = request("minor", "  Dr.  A \u{a0}Test ", " medial edge\n2 mm ", Some(12.6)).unwrap();
        assert_eq!(review.rating, Rating::Minor);
        assert_eq!(review.reviewer, "Dr. A Test");
        assert_eq!(review.comment, "medial edge\n2 mm");
        assert_eq!(review.seconds_spent, Some(13));
        assert_eq!(request("accept", "A", "", None).unwrap().seconds_spent, None);
    }

    #[test]
    fn senseless_reviews_are_refused() {
        let long_comment = "x".repeat(MOST_TEXT_CHARS + 1);
        let long_name = "n".repeat(MOST_NAME_CHARS + 1);
        for (rating, reviewer, comment, seconds) in [
            ("Accept", "A", "", None),
            ("", "A", "", None),
            ("accept", "  ", "", None),
            ("accept", "A\u{0}B", "", None),
            ("accept", &long_name, "", None),
            ("accept", "A", long_comment.as_str(), None),
            ("accept", "A", "\u{1b}[2J", None),
            ("accept", "A", "", Some(-1.0)),
            ("accept", "A", "", Some(1e9)),
            ("accept", "A", "", Some(f64::NAN)),
        ] {
            let error = request(rating, reviewer, comment, seconds).unwrap_err();
            assert_eq!(error.class, Class::Unprocessable, "{rating:?} {reviewer:?} {seconds:?}");
        }
    }

    #[test]
    fn what_was_not_drawn_cannot_be_accepted() {
        for rating in Rating::ALL {
            assert!(sensible(*rating, "Lens_R", true).is_ok());
            let without = sensible(*rating, "Lens_R", false);
            assert_eq!(without.is_ok(), matches!(rating, Rating::Reject | Rating::NotAssigned), "{rating:?}");
        }
    }
}
