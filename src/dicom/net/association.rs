//! One peer of the SCP, from A-ASSOCIATE-RQ to release or abort.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason as AbortReason, AbortRQSource, AssociationRJ, PDataValue, PDataValueType, Pdu,
};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::command::{element, field};
use super::message::{Assembler, DataSet, Fault, Message, fragments};
use super::negotiate::{self, Agreement, Context};
use super::status::Answer;
use super::wire::{Wire, WireError};
use super::{Inbox, Received, ScpConfig, StoreVerdict};
use crate::ids::InstanceUid;

/// How long an association may be silent once a shutdown was asked for.
const SILENCE_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// What all associations share.
#[derive(Debug)]
pub(super) struct Shared<I> {
    pub config: ScpConfig,
    pub inbox: Arc<I>,
    /// One permit for each association that may be open.
    pub room: Arc<Semaphore>,
    /// No new work: end when the peer is silent.
    pub drain: CancellationToken,
    /// End now.
    pub abort: CancellationToken,
}

impl<I> Shared<I> {
    /// Resolves when an association has to end for the sake of a shutdown. Inside a message only the deadline counts.
    async fn shutdown(&self, inside_message: bool) {
        let silence = async {
            self.drain.cancelled().await;
            tokio::time::sleep(SILENCE_WHILE_DRAINING).await;
        };
        tokio::select! {
            () = self.abort.cancelled() => {}
            () = silence, if !inside_message => {}
        }
    }
}

/// How an association ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("released")]
    Released,
    #[error("aborted by the peer")]
    AbortedByPeer,
    #[error("rejected: {}", .0.source)]
    Rejected(AssociationRJ),
    #[error("aborted: {1}")]
    Abort(AbortReason, String),
    #[error("lost: {0}")]
    Lost(WireError),
}

impl End {
    /// The last thing to say to the peer.
    fn last_pdu(&self) -> Option<Pdu> {
        match self {
            Self::Released => Some(Pdu::ReleaseRP),
            Self::Rejected(rejection) => Some(Pdu::AssociationRJ(rejection.clone())),
            Self::Abort(reason, _) => Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason.clone()) }),
            Self::AbortedByPeer | Self::Lost(_) => None,
        }
    }

    fn unexpected(pdu: &Pdu) -> Self {
        match pdu {
            Pdu::AbortRQ { .. } => Self::AbortedByPeer,
            Pdu::Unknown { pdu_type, .. } => {
                Self::Abort(AbortReason::UnrecognizedPdu, format!("PDU type {pdu_type:02X} is unknown"))
            }
            _ => Self::Abort(AbortReason::UnexpectedPdu, "a PDU that does not belong here".to_owned()),
        }
    }

    fn shutdown() -> Self {
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
pub(super) async fn attend<I: Inbox>(stream: TcpStream, peer: SocketAddr, shared: Arc<Shared<I>>) {
    let mut wire = match Wire::new(stream, shared.config.max_pdu_bytes) {
        Ok(wire) => wire,
        Err(error) => return warn!(%peer, %error, "connection lost before it was served"),
    };
    let end = match establish(&mut wire, &shared).await {
        Ok((agreement, _place)) => {
            let mut association = Association {
                assembler: Assembler::new(shared.config.max_object_bytes()),
                wire: &mut wire,
                shared: &shared,
                agreement,
                peer,
                unread: VecDeque::new(),
                stored: 0,
                refused: 0,
            };
            let end = association.serve().await.err().unwrap_or(End::Released);
            let Association { agreement: Agreement { calling, .. }, stored, refused, .. } = association;
            info!(%peer, %calling, stored, refused, %end, "association ended");
            end
        }
        Err(end) => {
            warn!(%peer, %end, "no association");
            end
        }
    };
    wire.close(end.last_pdu()).await;
}

/// Waits for the request, judges it and finds a place for it.
async fn establish<I: Inbox>(wire: &mut Wire, shared: &Shared<I>) -> Result<(Agreement, OwnedSemaphorePermit), End> {
    let limit = Duration::from_secs(shared.config.request_timeout_seconds);
    let request = tokio::select! {
        pdu = wire.receive(limit) => match pdu? {
            Pdu::AssociationRQ(request) => request,
            other => return Err(End::unexpected(&other)),
        },
        () = shared.shutdown(false) => return Err(End::shutdown()),
    };
    let agreement = negotiate::answer(&request, &shared.config).map_err(End::Rejected)?;
    let place = shared.room.clone().try_acquire_owned().map_err(|_| End::Rejected(negotiate::no_room()))?;
    wire.send(&Pdu::AssociationAC(agreement.acceptance.clone()), limit).await?;
    Ok((agreement, place))
}

/// An established association.
struct Association<'a, I> {
    wire: &'a mut Wire,
    shared: &'a Shared<I>,
    agreement: Agreement,
    peer: SocketAddr,
    assembler: Assembler,
    /// Values of the last PDU that no message has taken yet.
    unread: VecDeque<PDataValue>,
    stored: u64,
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
                if let Some(message) = self.assembler.push(value)? {
                    return Ok(Some(message));
                }
            }
            match self.receive().await? {
                Pdu::PData { data } => self.unread.extend(data),
                Pdu::ReleaseRQ if !self.assembler.in_progress() => return Ok(None),
                other => return Err(End::unexpected(&other)),
            }
        }
    }

    async fn receive(&mut self) -> Result<Pdu, End> {
        let inside_message = self.assembler.in_progress();
        let config = &self.shared.config;
        let seconds = if inside_message { config.pdu_timeout_seconds } else { config.idle_timeout_seconds };
        tokio::select! {
            pdu = self.wire.receive(Duration::from_secs(seconds)) => Ok(pdu?),
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
        let context = self.context(message.context)?;
        let verification = context.abstract_syntax == uids::VERIFICATION;
        let Some(operation) = message.command.number(element::COMMAND_FIELD) else {
            return Err(Fault::BadCommand("a command without Command Field").into());
        };
        match operation {
            field::C_CANCEL_RQ => Ok(None),
            response if response & field::RESPONSE != 0 => {
                Err(Fault::BadCommand("a response to a request that was never made").into())
            }
            _ if message.command.number(element::MESSAGE_ID).is_none() => {
                Err(Fault::BadCommand("a request without Message ID").into())
            }
            field::C_ECHO_RQ if verification => Ok(Some(Answer::Verified)),
            field::C_STORE_RQ if !verification => self.store(context, message).await.map(Some),
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
        };
        let object = Received {
            calling: self.agreement.calling.clone(),
            called: self.agreement.called.clone(),
            peer: self.peer,
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
        let limit = Duration::from_secs(self.shared.config.pdu_timeout_seconds);
        let max_pdu_bytes = match self.agreement.peer_max_pdu_bytes {
            0 => self.shared.config.max_pdu_bytes,
            bytes => bytes,
        };
        for pdu in fragments(message.context, PDataValueType::Command, &response, max_pdu_bytes) {
            self.wire.send(&pdu, limit).await?;
        }
        match answer {
            Answer::Verified => {}
            Answer::Verdict(StoreVerdict::Stored | StoreVerdict::AlreadyStored) => self.stored += 1,
            _ => {
                self.refused += 1;
                warn!(peer = %self.peer, status = format!("{status:04X}"), reason = comment, "refused");
            }
        }
        Ok(())
    }
}
