//! Why no association came about, or why it ended, when we are the one who calls.

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, AssociationRJ, AssociationRJResult};

use super::tls::{is_tls, of_connection};
use super::wire::WireError;

/// Whether another attempt with the same bytes makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Trouble that passes: try again later.
    Retry,
    /// A setting on one of both sides is wrong. People mend settings, so try again, but now and then only.
    Setting,
    /// These bytes will never be taken.
    Permanent,
}

/// Failure of an association that we requested.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}; is the remote system running, are host and port right?")]
    Connect {
        /// Host and port as configured.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// TLS was asked for and did not come about.
    #[error(
        "no secure connection to the remote system: {0}; see ops/README.md, \"TLS\". It is tried again now and then"
    )]
    Tls(String),
    /// The peer refused the association.
    #[error("the remote system rejected the association: {reason}")]
    Rejected {
        /// By result: what the peer calls permanent is a setting, most often an AE title that it does not know.
        class: FailureClass,
        /// The reason it gave.
        reason: String,
    },
    /// The peer aborted.
    #[error("the remote system aborted the association ({by}); if it always does, it may not know our AE title")]
    Aborted {
        /// A setting when the peer named a fault in the protocol: it, or what is between, is another than configured.
        class: FailureClass,
        /// Which side of the peer, and its reason.
        by: String,
    },
    /// The connection ended without release or abort.
    #[error("the remote system closed the connection without an answer")]
    Closed,
    /// The connection broke.
    #[error("the connection to the remote system broke: {0}")]
    Io(#[source] std::io::Error),
    /// No answer in time.
    #[error("the remote system did not answer within {0} s")]
    TimedOut(u64),
    /// The peer does not keep to DICOM.
    #[error("the remote system broke the protocol: {0}")]
    Protocol(String),
    /// The peer answered, but not with what was asked for.
    #[error("the remote system refused: {0}")]
    Refused(String),
    /// The peer does not offer the service.
    #[error("the remote system does not offer {0}")]
    NotOffered(&'static str),
    /// The peer answered with a status that is a failure.
    #[error("the remote system refused with status {status:04X}: {message}")]
    Status {
        /// DIMSE status.
        status: u16,
        /// Whether another attempt makes sense.
        class: FailureClass,
        /// What it means, and what the peer says about it.
        message: String,
    },
    /// A DICOMweb service answered with an HTTP status that is no success.
    #[error("the remote system answered {status}: {message}")]
    Http {
        /// HTTP status.
        status: u16,
        /// Whether another attempt makes sense.
        class: FailureClass,
        /// What it means.
        message: String,
    },
    /// What it takes to ask is not there.
    #[error("the remote system cannot be asked: {0}")]
    Unready(String),
    /// The request cannot be expressed.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
}

impl NetError {
    /// Whether to try again.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Connect { .. } | Self::Closed | Self::Io(_) | Self::TimedOut(_) => FailureClass::Retry,
            Self::Rejected { class, .. }
            | Self::Aborted { class, .. }
            | Self::Status { class, .. }
            | Self::Http { class, .. } => *class,
            Self::Protocol(_) | Self::Refused(_) | Self::NotOffered(_) | Self::Tls(_) | Self::Unready(_) => {
                FailureClass::Setting
            }
            Self::Unsendable(_) => FailureClass::Permanent,
        }
    }

    /// What broke a connection that something else reads from and writes to.
    pub(crate) fn of_line(error: &std::io::Error) -> Self {
        if is_tls(error) {
            Self::Tls(of_connection(error))
        } else if error.kind() == std::io::ErrorKind::UnexpectedEof {
            Self::Closed
        } else {
            Self::Io(std::io::Error::new(error.kind(), error.to_string()))
        }
    }

    pub(super) fn rejected(rejection: &AssociationRJ) -> Self {
        let (class, lasting) = match rejection.result {
            AssociationRJResult::Permanent => (
                FailureClass::Setting,
                "which it calls permanent; mend the AE titles, here or there. It is tried again now and then",
            ),
            AssociationRJResult::Transient => (FailureClass::Retry, "for the moment"),
        };
        Self::Rejected { class, reason: format!("{}, {lasting}", rejection.source) }
    }

    /// A peer that names a fault in our PDUs will name it again until something is changed; any other abort may pass.
    pub(super) fn aborted(source: &AbortRQSource) -> Self {
        use AbortRQServiceProviderReason as Reason;
        let (class, by) = match source {
            AbortRQSource::ServiceUser => (FailureClass::Retry, "by its application".to_owned()),
            AbortRQSource::Reserved => (FailureClass::Retry, "source not told".to_owned()),
            AbortRQSource::ServiceProvider(reason) => {
                let class = match reason {
                    Reason::ReasonNotSpecified | Reason::Reserved => FailureClass::Retry,
                    Reason::UnrecognizedPdu
                    | Reason::UnexpectedPdu
                    | Reason::UnrecognizedPduParameter
                    | Reason::UnexpectedPduParameter
                    | Reason::InvalidPduParameter => FailureClass::Setting,
                };
                (class, format!("by its network layer: {reason}"))
            }
        };
        Self::Aborted { class, by }
    }
}

impl From<WireError> for NetError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Closed => Self::Closed,
            // With TLS 1.3 it is only now that we hear whether our certificate was accepted.
            WireError::Io(source) if is_tls(&source) => Self::Tls(of_connection(&source)),
            WireError::Io(source) => Self::Io(source),
            WireError::TimedOut(limit) => Self::TimedOut(limit.as_secs()),
            WireError::Malformed(what) => Self::Protocol(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use dicom_ul::pdu::{AssociationRJServiceUserReason, AssociationRJSource};

    use super::*;

    #[test]
    fn rejections_and_aborts_are_classed_by_their_codes() {
        let source = || AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::CalledAETitleNotRecognized);
        let rejected = |result| NetError::rejected(&AssociationRJ { result, source: source() });
        assert_eq!(rejected(AssociationRJResult::Transient).class(), FailureClass::Retry);
        let lasting = rejected(AssociationRJResult::Permanent);
        assert_eq!(lasting.class(), FailureClass::Setting);
        let said = lasting.to_string();
        assert!(said.contains("called AE title not recognized") && said.contains("tried again now and then"), "{said}");

        let by_provider = |reason| NetError::aborted(&AbortRQSource::ServiceProvider(reason)).class();
        assert_eq!(NetError::aborted(&AbortRQSource::ServiceUser).class(), FailureClass::Retry);
        assert_eq!(by_provider(AbortRQServiceProviderReason::ReasonNotSpecified), FailureClass::Retry);
        assert_eq!(by_provider(AbortRQServiceProviderReason::InvalidPduParameter), FailureClass::Setting);
    }
}
