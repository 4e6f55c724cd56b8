//! One association of the SCP, to release or abort.

mod commitment;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{AbortRQServiceProviderReason as AbortReason, AbortRQSource, PDataValue, PDataValueType, Pdu};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tracing::{info, warn};

use self::commitment::{Ready, Telling};
use super::arrival::{Shared, arrive};
use super::command::{element, field};
use super::lobby::Guest;
use super::message::{Assembler, DataSet, Fault, Message, fragments};
use super::negotiate::{Agreement, Context, Rejection};
use super::status::Answer;
use super::tls::Door;
use super::wire::{Wire, WireError};
use super::{CommitmentVerdict, Inbox, Received, ScpConfig, StoreVerdict};
use crate::ids::InstanceUid;

/// How an association ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("released")]
    Released,
    #[error("aborted by the peer")]
    AbortedByPeer,
    #[error("rejected: {}", .0.why)]
    Rejected(Rejection),
    #[error("aborted: {1}")]
    Abort(AbortReason, String),
    #[error("lost: {0}")]
    Lost(WireError),
}

impl End {
    /// The last thing to say to the peer.
    pub fn last_pdu(&self) -> Option<Pdu> {
        match self {
            Self::Released => Some(Pdu::ReleaseRP),
            Self::Rejected(rejection) => Some(Pdu::AssociationRJ(rejection.pdu.clone())),
            Self::Abort(reason, _) => Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason.clone()) }),
            Self::AbortedByPeer | Self::Lost(_) => None,
        }
    }

    pub fn unexpected(pdu: &Pdu) -> Self {
        match pdu {
            Pdu::AbortRQ { .. } => Self::AbortedByPeer,
            Pdu::Unknown { pdu_type, .. } => {
                Self::Abort(AbortReason::UnrecognizedPdu, format!("PDU type {pdu_type:02X} is unknown"))
            }
            _ => Self::Abort(AbortReason::UnexpectedPdu, "a PDU that does not belong here".to_owned()),
        }
    }

    pub fn shutdown() -> Self {
        Self::Abort(AbortReason::ReasonNotSpecified, "shutting down".to_owned())
    }
}

impl From<WireError> for End {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Closed | WireError::Io(_) => Self::Lost(error),
            WireError::TimedOut(_) => Self::Abort(AbortReason::ReasonNotSpecified, error.to_string()),
            WireError::Malformed(_) => Self::Abort(AbortReason::InvalidPduParameter, error.to_string()),
        }
    }
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Abort(AbortReason::UnexpectedPduParameter, fault.to_string())
    }
}

/// Serves one connection to its end. Whatever the peer does stays in here.
pub(super) async fn attend<I: Inbox>(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    guest: Guest,
    shared: Arc<Shared<I>>,
) {
    let arrived = tokio::select! {
        arrived = arrive(stream, peer, door, &shared) => arrived,
        () = guest.sent_away() => {
            shared.tell(peer, &"closed, because max_waiting connections have none and it had waited longest");
            None
        }
    };
    let Some((mut wire, agreement, place)) = arrived else { return };
    drop(guest);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut association = Association {
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        assembler: Assembler::within(shared.budget.clone(), shared.config.max_object_bytes()),
        wire: &mut wire,
        shared: &shared,
        agreement,
        peer,
        unread: VecDeque::new(),
        pace: None,
        ready: mpsc::channel(1),
        telling: None,
        last_message_id: 0,
        stored: 0,
        unwanted: 0,
        refused: 0,
    };
    let end = association.serve().await.err().unwrap_or(End::Released);
    let Association { number, agreement: Agreement { calling, .. }, stored, unwanted, refused, .. } = association;
    shared.inbox.association_ended(number);
    info!(%peer, %calling, stored, unwanted, refused, %end, "association ended");
    drop(place);
    let guest = shared.lobby.enter(peer.ip());
    tokio::select! {
        () = wire.close(end.last_pdu()) => {}
        () = guest.sent_away() => {}
    }
}

/// How fast a message comes: every byte buys time for the next ones. Without it a peer could keep its place for ever, a
/// few bytes at a time.
struct Pace {
    /// What was left when bytes came last.
    credit: Duration,
    at: Instant,
}

impl Pace {
    fn begin(config: &ScpConfig) -> Self {
        Self { credit: Duration::from_secs(config.pdu_timeout_seconds), at: Instant::now() }
    }

    /// How long the next PDU may take.
    fn left(&self) -> Duration {
        self.credit.saturating_sub(self.at.elapsed())
    }

    /// Bytes came. No more than the time of one PDU can be saved up.
    fn earn(&mut self, bytes: usize, config: &ScpConfig) {
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(config.min_bytes_per_second.max(1)));
        let most = Duration::from_secs(config.pdu_timeout_seconds);
        *self = Self { credit: (self.left() + earned).min(most), at: Instant::now() };
    }
}

/// What comes next.
enum Heard {
    Pdu(Pdu),
    /// An answer to a storage commitment is ready to be sent.
    Ready(Ready),
}

/// An established association.
struct Association<'a, I> {
    /// No other has it.
    number: u64,
    wire: &'a mut Wire,
    shared: &'a Shared<I>,
    agreement: Agreement,
    peer: SocketAddr,
    assembler: Assembler,
    /// Values of the last PDU that no message has taken yet.
    unread: VecDeque<PDataValue>,
    /// Answers to storage commitments that were asked for here.
    ready: (mpsc::Sender<Ready>, mpsc::Receiver<Ready>),
    /// The one that waits to be acknowledged: there is no other before it is.
    telling: Option<Telling>,
    /// Of the requests that we make here.
    last_message_id: u16,
    /// Of the message under way.
    pace: Option<Pace>,
    stored: u64,
    unwanted: u64,
    refused: u64,
}

impl<I: Inbox> Association<'_, I> {
    /// Message after message until the peer releases.
    async fn serve(&mut self) -> Result<(), End> {
        while let Some(message) = self.next_message().await? {
            if let Some(answer) = self.act(&message).await? {
                self.respond(&message, &answer).await?;
            }
        }
        Ok(())
    }

    /// The next whole message; `None` when the peer asks for release.
    async fn next_message(&mut self) -> Result<Option<Message>, End> {
        loop {
            while let Some(value) = self.unread.pop_front() {
                self.context(value.presentation_context_id)?;
                let config = &self.shared.config;
                self.pace.get_or_insert_with(|| Pace::begin(config)).earn(value.data.len(), config);
                if let Some(message) = self.assembler.push(value)? {
                    self.pace = None;
                    return Ok(Some(message));
                }
            }
            match self.hear().await? {
                Heard::Pdu(Pdu::PData { data }) if data.is_empty() => {
                    let what = "a P-DATA-TF without a value".to_owned();
                    return Err(End::Abort(AbortReason::InvalidPduParameter, what));
                }
                Heard::Pdu(Pdu::PData { data }) => self.unread.extend(data),
                Heard::Pdu(Pdu::ReleaseRQ) if !self.assembler.in_progress() => return Ok(None),
                Heard::Pdu(other) => return Err(End::unexpected(&other)),
                Heard::Ready(answer) => self.tell(answer).await?,
            }
        }
    }

    async fn hear(&mut self) -> Result<Heard, End> {
        let inside_message = self.assembler.in_progress();
        let may_tell = !inside_message && self.telling.is_none();
        let config = &self.shared.config;
        let idle = Duration::from_secs(config.idle_timeout_seconds);
        let limit = self.pace.as_ref().map_or(idle, Pace::left);
        tokio::select! {
            pdu = self.wire.receive(limit) => match pdu {
                Err(WireError::TimedOut(_)) if self.pace.as_ref().is_some_and(|pace| pace.left().is_zero()) => {
                    let what = "a message came slower than min_bytes_per_second".to_owned();
                    Err(End::Abort(AbortReason::ReasonNotSpecified, what))
                }
                pdu => Ok(Heard::Pdu(pdu?)),
            },
            Some(answer) = self.ready.1.recv(), if may_tell => Ok(Heard::Ready(answer)),
            () = self.shared.shutdown(inside_message) => Err(End::shutdown()),
        }
    }

    fn context(&self, id: u8) -> Result<&Context, End> {
        self.agreement.contexts.get(&id).ok_or_else(|| {
            let what = format!("presentation context {id} was not accepted");
            End::Abort(AbortReason::InvalidPduParameter, what)
        })
    }

    /// Does what the message asks for; `None` when nothing is to be answered.
    async fn act(&mut self, message: &Message) -> Result<Option<Answer>, End> {
        let context = self.context(message.context)?.clone();
        let verification = context.abstract_syntax == uids::VERIFICATION;
        let commitment = context.abstract_syntax == uids::STORAGE_COMMITMENT_PUSH_MODEL;
        let Some(operation) = message.command.number(element::COMMAND_FIELD) else {
            return Err(Fault::BadCommand("a command without Command Field").into());
        };
        match operation {
            field::C_CANCEL_RQ => Ok(None),
            response if response & field::RESPONSE != 0 => {
                if response == field::N_EVENT_REPORT_RQ | field::RESPONSE && self.told(&message.command).await {
                    return Ok(None);
                }
                Err(Fault::BadCommand("a response to a request that was never made").into())
            }
            _ if message.command.number(element::MESSAGE_ID).is_none() => {
                Err(Fault::BadCommand("a request without Message ID").into())
            }
            field::C_ECHO_RQ if verification => Ok(Some(Answer::Verified)),
            field::N_ACTION_RQ if commitment => self.commit(message).await.map(Some),
            field::N_EVENT_REPORT_RQ if commitment => self.reported(message).await.map(Some),
            field::C_STORE_RQ if !verification && !commitment => self.store(&context, message).await.map(Some),
            _ => Ok(Some(Answer::UnrecognisedOperation)),
        }
    }

    /// Hands one instance to the inbox and waits for its verdict.
    async fn store(&self, context: &Context, message: &Message) -> Result<Answer, End> {
        if message.command.text(element::AFFECTED_SOP_CLASS) != Some(context.abstract_syntax.as_str()) {
            return Ok(Answer::ClassNotNegotiated);
        }
        let instance = message.command.text(element::AFFECTED_SOP_INSTANCE).unwrap_or_default();
        let Ok(instance) = InstanceUid::parse(instance) else {
            return Ok(Answer::InvalidInstance);
        };
        let dataset = match &message.data {
            DataSet::Complete(bytes) if !bytes.is_empty() => bytes.clone(),
            DataSet::Complete(_) | DataSet::Absent => return Ok(Answer::NoDataSet),
            DataSet::TooLarge => return Ok(Answer::TooLarge),
            DataSet::NoMemory => return Ok(Answer::Verdict(StoreVerdict::OutOfResources)),
        };
        let object = Received {
            calling: self.agreement.calling.clone(),
            called: self.agreement.called.clone(),
            peer: self.peer,
            association: Some(self.number),
            sop_class: context.abstract_syntax.clone(),
            instance,
            transfer_syntax: context.transfer_syntax.clone(),
            dataset,
        };
        // A task of its own: a panic in the inbox becomes an answer, and a peer that goes away interrupts nothing.
        let inbox = self.shared.inbox.clone();
        let verdict = tokio::spawn(async move { inbox.store(object).await });
        tokio::select! {
            verdict = verdict => {
                Ok(Answer::Verdict(verdict.unwrap_or_else(|_| StoreVerdict::Failure("internal fault".to_owned()))))
            }
            () = self.shared.shutdown(true) => Err(End::shutdown()),
        }
    }

    async fn respond(&mut self, message: &Message, answer: &Answer) -> Result<(), End> {
        let (status, comment) = (answer.code(), answer.comment());
        let response = message.command.response(status, comment.as_deref()).encode();
        self.say(message.context, PDataValueType::Command, &response).await?;
        match answer {
            Answer::Verified | Answer::Commitment(CommitmentVerdict::Taken) => {}
            Answer::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored) => self.stored += 1,
            Answer::Verdict(StoreVerdict::NotWanted) => self.unwanted += 1,
            _ => {
                self.refused += 1;
                warn!(peer = %self.peer, status = format!("{status:04X}"), reason = comment, "refused");
            }
        }
        Ok(())
    }
    /// Sends a command or a data set.
    async fn say(&mut self, context: u8, kind: PDataValueType, bytes: &[u8]) -> Result<(), End> {
        let limit = Duration::from_secs(self.shared.config.pdu_timeout_seconds);
        let max_pdu_bytes = match self.agreement.peer_max_pdu_bytes {
            0 => self.shared.config.max_pdu_bytes,
            bytes => bytes,
        };
        for pdu in fragments(context, kind, bytes, max_pdu_bytes) {
            self.wire.send(&pdu, limit).await?;
        }
        Ok(())
    }
}
