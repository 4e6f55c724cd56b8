//! The one table between what happened and DIMSE status codes (PS3.4 table B.2-1, PS3.7 annex C), both ways.

use super::{CommitmentVerdict, FailureClass, NetError, SendOutcome, StoreVerdict};

/// Length of Error Comment (0000,0902), VR LO.
const COMMENT_CHARACTERS: usize = 64;

/// What the SCP answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// To a C-ECHO.
    Verified,
    /// What the inbox said.
    Verdict(StoreVerdict),
    /// To a request for storage commitment, or to the answer of one.
    Commitment(CommitmentVerdict),
    /// An N-ACTION or N-EVENT-REPORT on another instance than the well-known one.
    NoSuchInstance,
    /// An N-ACTION of another type than the one there is.
    NoSuchAction,
    /// An N-EVENT-REPORT of another type than the two there are.
    NoSuchEvent,
    /// A command that does not belong to the negotiated class, or that is unknown.
    UnrecognisedOperation,
    /// The SOP class of the command is not that of the presentation context.
    ClassNotNegotiated,
    /// The SOP Instance UID is absent or is no UID.
    InvalidInstance,
    /// A C-STORE without data set.
    NoDataSet,
    /// A data set over the limit.
    TooLarge,
}

impl Answer {
    /// Status (0000,0900).
    pub fn code(&self) -> u16 {
        match self {
            Self::Verified
            | Self::Commitment(CommitmentVerdict::Taken)
            | Self::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored | StoreVerdict::NotWanted) => 0x0000,
            Self::Verdict(StoreVerdict::OutOfResources) => 0xA700,
            Self::Verdict(StoreVerdict::DataSetMismatch(_)) => 0xA900,
            Self::Verdict(StoreVerdict::CannotUnderstand(_)) | Self::NoDataSet | Self::TooLarge => 0xC000,
            Self::Verdict(StoreVerdict::Failure(_)) | Self::Commitment(CommitmentVerdict::Failure(_)) => 0x0110,
            Self::NoSuchInstance => 0x0112,
            Self::NoSuchEvent => 0x0113,
            Self::Commitment(CommitmentVerdict::Refused(_)) => 0x0115,
            Self::InvalidInstance => 0x0117,
            Self::ClassNotNegotiated => 0x0122,
            Self::NoSuchAction => 0x0123,
            Self::UnrecognisedOperation | Self::Commitment(CommitmentVerdict::NotServed) => 0x0211,
        }
    }

    /// Error Comment (0000,0902); none with success.
    pub fn comment(&self) -> Option<String> {
        let text = match self {
            Self::Verified
            | Self::Commitment(CommitmentVerdict::Taken)
            | Self::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored | StoreVerdict::NotWanted) => {
                return None;
            }
            Self::Commitment(CommitmentVerdict::NotServed) => "storage commitment is not served here",
            Self::Commitment(CommitmentVerdict::Refused(text) | CommitmentVerdict::Failure(text)) => text,
            Self::NoSuchInstance => "not the instance of storage commitment",
            Self::NoSuchAction => "the only action is 1, request",
            Self::NoSuchEvent => "the only events are 1 and 2",
            Self::Verdict(StoreVerdict::OutOfResources) => "out of resources, send again later",
            Self::Verdict(
                StoreVerdict::DataSetMismatch(text)
                | StoreVerdict::CannotUnderstand(text)
                | StoreVerdict::Failure(text),
            ) => text,
            Self::NoDataSet => "C-STORE without a data set",
            Self::TooLarge => "the data set is larger than max_object_mebibytes",
            Self::InvalidInstance => "the SOP Instance UID is not a UID",
            Self::ClassNotNegotiated => "the SOP class is not that of the context",
            Self::UnrecognisedOperation => "this operation is not served on this SOP class",
        };
        Some(printable(text))
    }
}

/// What a status says about an instance that was sent.
pub(crate) fn outcome(status: u16, comment: Option<&str>) -> SendOutcome {
    let said = comment.map(|text| format!(" ({})", printable(text))).unwrap_or_default();
    let failed = |class, meaning: &str| SendOutcome::Failed {
        class,
        status: Some(status),
        message: format!("status {status:04X}: {meaning}{said}"),
    };
    let stored = |meaning: &str| SendOutcome::StoredWithWarning {
        status,
        message: format!("status {status:04X}: {meaning}{said}"),
    };
    match status {
        0x0000 => SendOutcome::Stored,
        0x0111 => SendOutcome::AlreadyThere,
        0xB000 => stored("stored, but the remote system changed values"),
        0xB006 => stored("stored, but the remote system dropped elements"),
        0xB007 => stored("stored, but the remote system finds that it does not match its SOP class"),
        0x0001 | 0x0107 | 0x0116 | 0xB001..=0xBFFF => stored("stored with a warning"),
        0xA700..=0xA7FF | 0x0213 => failed(FailureClass::Retry, "the remote system is out of resources"),
        0xA900..=0xA9FF => failed(FailureClass::Permanent, "the data set does not match its SOP class"),
        0xC000..=0xCFFF => failed(FailureClass::Permanent, "the remote system cannot understand the data set"),
        0x0110 => failed(FailureClass::Retry, "the remote system failed inside"),
        0x0112 | 0x0117 => failed(FailureClass::Permanent, "the remote system does not take this instance"),
        0x0122 => failed(FailureClass::Permanent, "the remote system does not store this SOP class"),
        0x0124 | 0x0214 => failed(
            FailureClass::Setting,
            "the remote system does not authorise us; allow it there. It is tried again now and then",
        ),
        0x0210..=0x0212 => failed(FailureClass::Permanent, "the remote system does not know this operation"),
        _ => failed(FailureClass::Retry, "a status without a meaning for C-STORE"),
    }
}

/// What a status says about an N-ACTION or an N-EVENT-REPORT (PS3.7 10.1.1 and 10.1.4, annex C).
///
/// # Errors
/// [`NetError::Status`], with whether to try again; [`NetError::NotOffered`] when the operation is unknown there.
pub(super) fn normalized(service: &'static str, status: u16, comment: Option<&str>) -> Result<(), NetError> {
    let (class, meaning) = match status {
        // Warnings: an attribute list or value that nobody needs here.
        0x0000 | 0x0001 | 0x0107 | 0x0116 => return Ok(()),
        0x0118 | 0x0122 | 0x0123 | 0x0211 => return Err(NetError::NotOffered(service)),
        0x0110 => (FailureClass::Retry, "it failed inside"),
        0x0213 => (FailureClass::Retry, "it is out of resources"),
        0x0124 => (FailureClass::Setting, "it does not authorise us; allow it there"),
        0x0112 => (FailureClass::Setting, "it does not know the instance of this service"),
        0x0113..=0x0115 => (FailureClass::Retry, "it does not take what was said"),
        _ => (FailureClass::Retry, "a status without a meaning for this operation"),
    };
    Err(NetError::Status { status, class, message: with_comment(meaning, comment) })
}

/// How far a query or a retrieval has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// This is one answer, and others may follow.
    Pending,
    /// There are no more.
    Done,
    /// Ended because it was cancelled.
    Cancelled,
    /// Ended without success.
    Failed,
}

/// What a status of C-FIND or C-MOVE says (PS3.4 tables C.4-1 and C.4-2). A retrieval of which a part failed is done: its
/// counts tell.
pub(super) fn progress(status: u16) -> Progress {
    match status {
        0xFF00 | 0xFF01 => Progress::Pending,
        0x0000 | 0x0001 | 0xB000 => Progress::Done,
        0xFE00 => Progress::Cancelled,
        _ => Progress::Failed,
    }
}

/// The error of a query or retrieval that ended with this status.
pub(super) fn query_refused(operation: &'static str, status: u16, comment: Option<&str>) -> NetError {
    let (class, meaning) = match status {
        0xA801 => {
            (FailureClass::Setting, "it does not know our AE title as the destination of a C-MOVE; name it there")
        }
        0xA700..=0xA7FF | 0x0213 => (FailureClass::Retry, "it is out of resources"),
        0xA900..=0xA9FF => (FailureClass::Permanent, "it does not take this query"),
        0xC000..=0xCFFF => (FailureClass::Retry, "it cannot process the query"),
        0xFE00 => (FailureClass::Retry, "it was cancelled"),
        0x0124 => (FailureClass::Setting, "it does not authorise us; allow it there"),
        0x0122 | 0x0211 => return NetError::NotOffered(operation),
        _ => (FailureClass::Retry, "a status without a meaning for a query"),
    };
    let message = format!("{operation}: {}", with_comment(meaning, comment));
    NetError::Status { status, class, message }
}

fn with_comment(meaning: &str, comment: Option<&str>) -> String {
    comment.map_or_else(|| meaning.to_owned(), |text| format!("{meaning} ({})", printable(text)))
}

/// Printable ASCII, no backslash (it separates values), at most 64 characters: fit for Error Comment and for a log.
fn printable(text: &str) -> String {
    let fit = |c: char| if (' '..='~').contains(&c) && c != '\\' { c } else { '?' };
    text.chars().take(COMMENT_CHARACTERS).map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_code_and_only_success_has_no_comment() {
        let text = || "why".to_owned();
        for (answer, code) in [
            (Answer::Verified, 0x0000),
            (Answer::Verdict(StoreVerdict::Stored), 0x0000),
            (Answer::Verdict(StoreVerdict::AlreadyStored), 0x0000),
            (Answer::Verdict(StoreVerdict::NotWanted), 0x0000),
            (Answer::Verdict(StoreVerdict::OutOfResources), 0xA700),
            (Answer::Verdict(StoreVerdict::DataSetMismatch(text())), 0xA900),
            (Answer::Verdict(StoreVerdict::CannotUnderstand(text())), 0xC000),
            (Answer::Verdict(StoreVerdict::Failure(text())), 0x0110),
            (Answer::UnrecognisedOperation, 0x0211),
            (Answer::Commitment(CommitmentVerdict::Taken), 0x0000),
            (Answer::Commitment(CommitmentVerdict::NotServed), 0x0211),
            (Answer::Commitment(CommitmentVerdict::Refused(text())), 0x0115),
            (Answer::Commitment(CommitmentVerdict::Failure(text())), 0x0110),
            (Answer::NoSuchInstance, 0x0112),
            (Answer::NoSuchEvent, 0x0113),
            (Answer::NoSuchAction, 0x0123),
            (Answer::ClassNotNegotiated, 0x0122),
            (Answer::InvalidInstance, 0x0117),
            (Answer::NoDataSet, 0xC000),
            (Answer::TooLarge, 0xC000),
        ] {
            assert_eq!(answer.code(), code, "{answer:?}");
            assert_eq!(answer.comment().is_none(), code == 0, "{answer:?}");
        }
    }

    #[test]
    fn comments_fit_their_element() {
        let verdict = StoreVerdict::Failure(format!("a\\b\n\u{e9}{}", "x".repeat(100)));
        let comment = Answer::Verdict(verdict).comment().unwrap();
        assert_eq!(comment.len(), 64);
        assert!(comment.starts_with("a?b??x"));
    }

    #[test]
    fn a_peers_status_is_understood() {
        use FailureClass::{Permanent, Retry, Setting};
        assert_eq!(outcome(0x0000, None), SendOutcome::Stored);
        assert_eq!(outcome(0x0111, None), SendOutcome::AlreadyThere);
        for status in [0xB000, 0xB006, 0xB007, 0xB123, 0x0107] {
            assert!(matches!(outcome(status, None), SendOutcome::StoredWithWarning { status: s, .. } if s == status));
        }
        for (status, expected) in [
            (0xA700, Retry),
            (0xA7FF, Retry),
            (0x0110, Retry),
            (0x7777, Retry),
            (0xA900, Permanent),
            (0xC123, Permanent),
            (0x0112, Permanent),
            (0x0117, Permanent),
            (0x0122, Permanent),
            (0x0124, Setting),
            (0x0213, Retry),
            (0x0211, Permanent),
        ] {
            let SendOutcome::Failed { class, status: told, message } = outcome(status, Some("disk\u{7}full")) else {
                panic!("{status:04X} was taken for stored");
            };
            assert_eq!((class, told), (expected, Some(status)));
            assert!(message.contains("disk?full"), "{message}");
        }
    }

    #[test]
    fn a_peers_status_on_commitments_and_queries_is_understood() {
        use FailureClass::{Permanent, Retry, Setting};
        assert!([0x0000, 0x0107, 0x0116].iter().all(|status| normalized("it", *status, None).is_ok()));
        for status in [0x0118, 0x0122, 0x0123, 0x0211] {
            assert!(matches!(normalized("it", status, None), Err(NetError::NotOffered("it"))), "{status:04X}");
        }
        for (status, class) in [(0x0110, Retry), (0x0112, Setting), (0x0115, Retry), (0x0124, Setting), (0x7777, Retry)]
        {
            let error = normalized("it", status, Some("disk\u{7}full")).unwrap_err();
            assert_eq!(error.class(), class, "{status:04X}");
            assert!(error.to_string().contains("disk?full"), "{error}");
        }
        for (status, expected) in [
            (0xFF00, Progress::Pending),
            (0xFF01, Progress::Pending),
            (0x0000, Progress::Done),
            (0xB000, Progress::Done),
            (0xFE00, Progress::Cancelled),
            (0xA702, Progress::Failed),
        ] {
            assert_eq!(progress(status), expected, "{status:04X}");
        }
        for (status, class) in
            [(0xA801, Setting), (0xA702, Retry), (0xA900, Permanent), (0xC001, Retry), (0x0124, Setting)]
        {
            assert_eq!(query_refused("C-FIND", status, None).class(), class, "{status:04X}");
        }
        assert!(matches!(query_refused("C-MOVE", 0x0122, None), NetError::NotOffered("C-MOVE")));
    }
}
