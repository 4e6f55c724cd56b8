//! Associations in and out: the storage SCP that hands every instance to an [`Inbox`], and the SCU that delivers, asks for
//! commitment, queries and retrieves.
//!
//! What is in which file:
//! - [`serve`] (`scp`): the listeners and the shutdown; `arrival`: from a connection to an association, or to
//!   none; `association`: to release or abort.
//! - [`Peer`] (`peer`): who may call (pure). `lobby`: those who have not asked yet; `budget`: memory for data sets; `rarely`:
//!   lines of the log that strangers cause.
//! - [`Doors`] (`tls`): listeners, with and without TLS; certificates, and what can be wrong with them.
//! - [`send`], [`echo`] and [`offers`] (`scu`): one association to a [`Destination`]; [`line_to`]: a connection alone.
//! - `commitment`: what is said of storage commitments (pure); `association/commitment`: on associations of peers;
//!   [`request_commitment`] and [`report_commitment`] (`push`): on ours.
//! - [`find`], [`find_study`] and [`move_to`] (`query`): C-FIND and C-MOVE of the study root.
//! - `negotiate`: which titles, classes and syntaxes are accepted (pure); `storage`: the two lists.
//! - `message`: P-DATA fragments to whole DIMSE messages (pure); `command`: the command set (pure); `dataset`: small data
//!   sets (pure).
//! - `status`: the one table between verdicts and DIMSE status codes, both ways.
//! - [`statement`]: what a conformance statement says of this room.
//! - `wire`: PDUs over TCP or TLS with time limits; PDUs themselves are encoded by `dicom-ul`.
//! - `part10`: between a file and the bytes that travel.
//!
//! This room knows no pixels, no cases and no database. It answers a C-STORE only from the verdict of the inbox, and
//! it makes no path out of anything that a peer sent.

mod arrival;
mod association;
mod budget;
mod command;
mod commitment;
mod config;
mod dataset;
mod error;
mod lobby;
mod message;
mod negotiate;
mod part10;
mod peer;
mod push;
mod query;
mod rarely;
mod scp;
mod scu;
pub mod statement;
mod status;
mod storage;
mod tls;
mod wire;

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::ids::{AeTitle, InstanceUid};

pub use commitment::{
    CommitmentReport, CommitmentRequest, CommitmentVerdict, FailureReason, PeersRequest, SopReference,
};
pub use config::{Destination, ScpConfig};
pub(crate) use config::{default_connect_timeout, default_response_timeout, timeout_fault};
pub(crate) use dataset::Attributes;
pub use error::{FailureClass, NetError};
pub use peer::{Network, Peer, Right};
pub use push::{report_commitment, request_commitment};
pub use query::{Key, Level, Match, Matches, Moved, Query, find, find_each, find_study, move_to};
pub(crate) use query::{MOST_OF_A_STUDY, OF_STUDY};
pub use scp::serve;
pub use scu::{echo, line_to, offers, send};
pub(crate) use status::outcome;
pub use storage::{COMMITMENT, QUERIES, RETRIEVAL, STORAGE_CLASSES, STRUCTURE_SETS, TRANSFER_SYNTAXES};
pub use tls::{DestinationTls, Doors, ScpTls};
pub use wire::Line;

/// One instance as a peer sent it, complete, its names checked.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who sent it.
    pub calling: AeTitle,
    /// The title under which it called us.
    pub called: AeTitle,
    /// Address of the peer.
    pub peer: SocketAddr,
    /// On which association: a number of its own for each; `None` when it was not sent but fetched.
    pub association: Option<u64>,
    /// SOP class of the presentation context and of the command; they agree.
    pub sop_class: String,
    /// Affected SOP Instance UID of the command. The data set may disagree: that is for the inbox to see.
    pub instance: InstanceUid,
    /// Transfer syntax UID of `dataset`.
    pub transfer_syntax: String,
    /// The data set as it travelled, without preamble and file meta information.
    pub dataset: Bytes,
}

/// What became of an instance that was handed to the [`Inbox`].
///
/// The texts go to the peer as Error Comment (64 characters) and into the log: no patient data in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreVerdict {
    /// It is on disk and in the database; a power cut cannot undo it.
    Stored,
    /// The same bytes were stored before; nothing to do, and success for the peer.
    AlreadyStored,
    /// It was seen and counted, and by configuration nothing of it is kept; success for the peer, which need not know.
    NotWanted,
    /// No room, or shutting down: the peer should come back later.
    OutOfResources,
    /// The data set contradicts the command (its SOP class or SOP Instance UID).
    DataSetMismatch(String),
    /// The data set cannot be read or lacks what every instance has.
    CannotUnderstand(String),
    /// A fault of ours; nothing was kept.
    Failure(String),
}

/// Where received instances go.
pub trait Inbox: Send + Sync + 'static {
    /// Keeps one instance and says what became of it. `Stored` is a promise: see [`StoreVerdict::Stored`].
    ///
    /// Called by several associations at once. It runs to its end even if the peer goes away meanwhile; a panic in
    /// it is answered as a failure.
    fn store(&self, object: Received) -> impl Future<Output = StoreVerdict> + Send;

    /// An association that brought instances is over.
    fn association_ended(&self, association: u64) {
        let _ = association;
    }

    /// Somebody got no association: from where, why, and how many others were not told of since the last one. Told of
    /// rarely, however many there are.
    fn association_refused(&self, peer: SocketAddr, why: String, untold: u64) -> impl Future<Output = ()> + Send {
        let _ = (peer, why, untold);
        async {}
    }

    /// Keeps a peer's request for storage commitment. `Taken` is a promise that it will be answered.
    fn commitment_requested(&self, request: PeersRequest) -> impl Future<Output = CommitmentVerdict> + Send {
        let _ = request;
        async { CommitmentVerdict::NotServed }
    }

    /// The answer to a request that was taken, to be sent on the association that it came on; `None` when it cannot be
    /// found out now. An answer that is not acknowledged ([`Inbox::commitment_told`]) is left to the inbox.
    fn commitment_answer(&self, request: &PeersRequest) -> impl Future<Output = Option<CommitmentReport>> + Send {
        let _ = request;
        async { None }
    }

    /// The peer has acknowledged the answer to its request.
    fn commitment_told(&self, request: &PeersRequest) -> impl Future<Output = ()> + Send {
        let _ = request;
        async {}
    }

    /// Takes the answer to a request of ours ([`request_commitment`]); it may come on any association.
    fn commitment_reported(&self, report: CommitmentReport) -> impl Future<Output = CommitmentVerdict> + Send {
        let _ = report;
        async { CommitmentVerdict::NotServed }
    }
}

/// One instance to be sent.
#[derive(Debug, Clone)]
pub struct ObjectToSend {
    /// SOP class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// Transfer syntax UID of `bytes`; it is proposed as it is, nothing is transcoded.
    pub transfer_syntax: String,
    /// The data set without preamble and file meta information (see [`ObjectToSend::from_part10`]).
    pub bytes: Bytes,
}

/// What became of one instance that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Status 0000.
    Stored,
    /// A warning status (B000, B006, B007, ...): stored, but the peer changed or ignored something.
    StoredWithWarning {
        /// DIMSE status.
        status: u16,
        /// What the peer says about it.
        message: String,
    },
    /// Status 0111: the peer has this instance already. Our UIDs are never reused for other bytes, so it is ours.
    AlreadyThere,
    /// Not stored, or not known to be.
    Failed {
        /// Whether another attempt with the same bytes makes sense.
        class: FailureClass,
        /// DIMSE status, if the peer answered.
        status: Option<u16>,
        /// Reason for a technician.
        message: String,
    },
}
