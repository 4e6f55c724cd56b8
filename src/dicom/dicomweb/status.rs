//! The one table between HTTP status codes (RFC 9110, PS3.18 8.5) and what follows for us.

use super::line::Answer;
use crate::dicom::net::statement::{Meaning, consequence, runs};
use crate::dicom::net::{FailureClass, NetError};

/// Why an answer is not what was asked for. What a service says itself is not repeated: it may quote values of the object.
pub(super) fn refused(answer: &Answer) -> NetError {
    let (class, meaning) = meaning(answer.status);
    NetError::Http { status: answer.status, class, message: meaning.to_owned() }
}

/// What is made of every status that is no success.
pub fn meanings() -> Vec<Meaning> {
    runs((300..600).map(|status| {
        let (class, meaning) = meaning(status);
        (status, meaning.to_owned(), consequence(class))
    }))
}

fn meaning(status: u16) -> (FailureClass, &'static str) {
    match status {
        300..=399 => (FailureClass::Setting, "it wants us elsewhere; set url to where its DICOMweb is"),
        400 | 422 => (FailureClass::Permanent, "it does not take this request"),
        401 => (FailureClass::Setting, "it wants to know who we are, or does not believe it; see token_file and user"),
        403 => (FailureClass::Setting, "it does not authorise us; allow it there"),
        404 | 405 | 410 | 501 => {
            (FailureClass::Setting, "it has nothing there; is url right, does it offer this service?")
        }
        406 => (FailureClass::Setting, "it has no form of answer that is understood here"),
        408 | 425 | 429 => (FailureClass::Retry, "not now"),
        409 => (FailureClass::Permanent, "it does not store it"),
        413 => (FailureClass::Permanent, "it is too large for it; raise the limit there"),
        415 => (FailureClass::Permanent, "it does not take this kind of object or transfer syntax"),
        500..=599 => (FailureClass::Retry, "it failed inside"),
        _ => (FailureClass::Setting, "a status without a meaning here"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
        let answer = |status: u16| Answer { status, content_type: "text/plain".to_owned(), body: "Doe^Jane".into() };
        for (status, class) in [
            (302, FailureClass::Setting),
            (400, FailureClass::Permanent),
            (401, FailureClass::Setting),
            (404, FailureClass::Setting),
            (413, FailureClass::Permanent),
            (418, FailureClass::Setting),
            (429, FailureClass::Retry),
            (501, FailureClass::Setting),
            (503, FailureClass::Retry),
        ] {
            let error = refused(&answer(status));
            assert_eq!(error.class(), class, "{status}");
            assert!(error.to_string().contains(&status.to_string()) && !error.to_string().contains("Doe"), "{error}");
        }
    }
}
