//! Why no association came about, or why it ended, when we are the one who calls.

use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, AssociationRJ, AssociationRJResult};

/// Whether another attempt with the same bytes makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// Trouble that passes: try again later.
    Retry,
    /// It will fail again until a person changes something.
    Permanent,
}

/// Failure of an association that we requested.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}; is the remote system running, and are host and port right?")]
    Connect {
        /// Host and port as configured.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The peer refused the association.
    #[error("the remote system rejected the association: {}", describe_rejection(.0))]
    Rejected(AssociationRJ),
    /// The peer aborted.
    #[error("the remote system aborted the association ({}); if it does so right after accepting, it may not know our AE title", describe_abort(.0))]
    Aborted(AbortRQSource),
    /// The connection ended without release or abort.
    #[error("the remote system closed the connection without an answer")]
    Closed,
    /// The connection broke.
    #[error("the connection to the remote system broke: {0}")]
    Io(#[source] std::io::Error),
    /// No answer in time.
    #[error("the remote system did not answer within {0} seconds")]
    TimedOut(u64),
    /// The peer does not keep to DICOM.
    #[error("the remote system broke the protocol: {0}")]
    Protocol(String),
    /// The peer answered, but not with what was asked for.
    #[error("the remote system refused: {0}")]
    Refused(String),
    /// The request cannot be expressed.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
}

impl NetError {
    /// Whether to try again.
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Connect { .. } | Self::Closed | Self::Io(_) | Self::TimedOut(_) => FailureClass::Retry,
            Self::Rejected(rejection) => match rejection.result {
                AssociationRJResult::Transient => FailureClass::Retry,
                AssociationRJResult::Permanent => FailureClass::Permanent,
            },
            Self::Aborted(source) => abort_class(source),
            Self::Protocol(_) | Self::Refused(_) | Self::Unsendable(_) => FailureClass::Permanent,
        }
    }
}

/// A peer that names a fault in our PDUs will name it again; any other abort may pass.
fn abort_class(source: &AbortRQSource) -> FailureClass {
    use AbortRQServiceProviderReason as Reason;
    match source {
        AbortRQSource::ServiceUser
        | AbortRQSource::Reserved
        | AbortRQSource::ServiceProvider(Reason::ReasonNotSpecified | Reason::Reserved) => FailureClass::Retry,
        AbortRQSource::ServiceProvider(
            Reason::UnrecognizedPdu
            | Reason::UnexpectedPdu
            | Reason::UnrecognizedPduParameter
            | Reason::UnexpectedPduParameter
            | Reason::InvalidPduParameter,
        ) => FailureClass::Permanent,
    }
}

fn describe_rejection(rejection: &AssociationRJ) -> String {
    let lasting = match rejection.result {
        AssociationRJResult::Permanent => "permanently",
        AssociationRJResult::Transient => "for the moment",
    };
    format!("{}, {lasting}", rejection.source)
}

fn describe_abort(source: &AbortRQSource) -> String {
    match source {
        AbortRQSource::ServiceUser => "by its application".to_owned(),
        AbortRQSource::Reserved => "by a reserved source".to_owned(),
        AbortRQSource::ServiceProvider(reason) => format!("by its network layer: {reason}"),
    }
}
