//! The one table between what happened and DIMSE status codes (PS3.4 table B.2-1, PS3.7 annex C), both ways.

use super::{FailureClass, SendOutcome, StoreVerdict};

/// Length of Error Comment (0000,0902), VR LO.
const COMMENT_CHARACTERS: usize = 64;

/// What the SCP answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// To a C-ECHO.
    Verified,
    /// What the inbox said.
    Verdict(StoreVerdict),
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
            Self::Verified | Self::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored) => 0x0000,
            Self::Verdict(StoreVerdict::OutOfResources) => 0xA700,
            Self::Verdict(StoreVerdict::DataSetMismatch(_)) => 0xA900,
            Self::Verdict(StoreVerdict::CannotUnderstand(_)) | Self::NoDataSet | Self::TooLarge => 0xC000,
            Self::Verdict(StoreVerdict::Failure(_)) => 0x0110,
            Self::InvalidInstance => 0x0117,
            Self::ClassNotNegotiated => 0x0122,
            Self::UnrecognisedOperation => 0x0211,
        }
    }

    /// Error Comment (0000,0902); none with success.
    pub fn comment(&self) -> Option<String> {
        let text = match self {
            Self::Verified | Self::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored) => return None,
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
            Self::UnrecognisedOperation => "only C-ECHO and C-STORE are served here",
        };
        Some(printable(text))
    }
}

/// What a status says about an instance that was sent.
pub(super) fn outcome(status: u16, comment: Option<&str>) -> SendOutcome {
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
            (Answer::Verdict(StoreVerdict::OutOfResources), 0xA700),
            (Answer::Verdict(StoreVerdict::DataSetMismatch(text())), 0xA900),
            (Answer::Verdict(StoreVerdict::CannotUnderstand(text())), 0xC000),
            (Answer::Verdict(StoreVerdict::Failure(text())), 0x0110),
            (Answer::UnrecognisedOperation, 0x0211),
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
}
