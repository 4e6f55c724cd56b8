//! Associations that we request: C-STORE of results, C-ECHO for verification.

use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRQ, PDataValueType, Pdu,
    PresentationContextProposed, PresentationContextResultReason,
};
use tokio::net::TcpStream;
use tracing::debug;

use super::command::{Command, element, field};
use super::message::{Assembler, fragments};
use super::negotiate::{APPLICATION_CONTEXT, PROTOCOL_VERSION, max_pdu_bytes, uid, user_variables};
use super::wire::{Wire, WireError};
use super::{Destination, FailureClass, NetError, ObjectToSend, SendOutcome, status};
use crate::ids::AeTitle;

/// Presentation context ids are odd and fit into a byte.
const MAX_CONTEXTS: usize = 128;
/// A peer that offers shorter PDUs than this cannot be served in earnest.
const SHORTEST_PDU_BYTES: u32 = 128;
/// How long the end of an association may take; everything was answered before.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// Sends `objects` over one association, in order; the answer has one outcome for each object, in the same order.
///
/// # Errors
/// [`NetError`] when no association came about: then nothing was sent. An association that breaks later is told in
/// the outcomes, so that what was acknowledged before is not forgotten.
pub async fn send(
    destination: &Destination,
    calling: &AeTitle,
    objects: &[ObjectToSend],
) -> Result<Vec<SendOutcome>, NetError> {
    let mut proposals: Vec<Proposal> = Vec::new();
    for object in objects {
        let proposal = Proposal { class: &object.sop_class, syntax: &object.transfer_syntax };
        if !proposals.contains(&proposal) {
            proposals.push(proposal);
        }
    }
    if proposals.is_empty() {
        return Ok(Vec::new());
    }
    let mut line = Some(Association::request(destination, calling, proposals).await?);
    let mut outcomes = Vec::with_capacity(objects.len());
    for object in objects {
        let Some(association) = line.as_mut() else {
            outcomes.push(SendOutcome::Failed {
                class: FailureClass::Retry,
                status: None,
                message: "not sent: the association ended with an object before this one".to_owned(),
            });
            continue;
        };
        match association.store(object).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                let message = format!("not acknowledged: {error}");
                outcomes.push(SendOutcome::Failed { class: error.class(), status: None, message });
                if let Some(broken) = line.take() {
                    broken.abandon(&error).await;
                }
            }
        }
    }
    if let Some(association) = line {
        association.release().await;
    }
    Ok(outcomes)
}

/// Verifies a destination with a C-ECHO.
///
/// # Errors
/// [`NetError`] when the association fails or the answer is not success.
pub async fn echo(destination: &Destination, calling: &AeTitle) -> Result<(), NetError> {
    let verification = Proposal { class: uids::VERIFICATION, syntax: uids::IMPLICIT_VR_LITTLE_ENDIAN };
    let mut association = Association::request(destination, calling, vec![verification]).await?;
    match association.verify(verification).await {
        Ok(verified) => {
            association.release().await;
            verified
        }
        Err(error) => {
            association.abandon(&error).await;
            Err(error)
        }
    }
}

/// A class in one transfer syntax: one presentation context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proposal<'a> {
    class: &'a str,
    syntax: &'a str,
}

/// An established association.
struct Association<'a> {
    wire: Wire,
    accepted: Vec<(u8, Proposal<'a>)>,
    /// The shorter of what the peer takes and what we are configured to send.
    max_pdu_bytes: u32,
    limit: Duration,
    last_message_id: u16,
}

impl<'a> Association<'a> {
    async fn request(
        destination: &Destination,
        calling: &AeTitle,
        proposals: Vec<Proposal<'a>>,
    ) -> Result<Self, NetError> {
        if proposals.len() > MAX_CONTEXTS {
            return Err(NetError::Unsendable(format!(
                "{} combinations of class and syntax, an association carries {MAX_CONTEXTS}",
                proposals.len()
            )));
        }
        let proposals: Vec<_> = (1..=u8::MAX).step_by(2).zip(proposals).collect();
        let mut wire = connect(destination).await?;
        let limit = destination.response_timeout();
        wire.send(&request_pdu(destination, calling, &proposals), limit).await?;
        match wire.receive(limit).await? {
            Pdu::AssociationAC(acceptance) => {
                let max_pdu_bytes = match max_pdu_bytes(&acceptance.user_variables) {
                    0 => destination.max_pdu_bytes,
                    peers => peers.min(destination.max_pdu_bytes),
                };
                let accepted = accepted(&acceptance, proposals);
                let association = Self { wire, accepted, max_pdu_bytes, limit, last_message_id: 0 };
                if max_pdu_bytes >= SHORTEST_PDU_BYTES {
                    return Ok(association);
                }
                let error = NetError::Protocol(format!("it takes PDUs of {max_pdu_bytes} bytes only"));
                association.abandon(&error).await;
                Err(error)
            }
            Pdu::AssociationRJ(rejection) => Err(NetError::rejected(&rejection)),
            other => Err(unexpected(&other)),
        }
    }

    fn context(&self, proposal: Proposal<'_>) -> Option<u8> {
        self.accepted.iter().find(|(_, p)| *p == proposal).map(|(id, _)| *id)
    }

    /// One C-STORE. An error means that the association is lost and the fate of the object unknown.
    async fn store(&mut self, object: &ObjectToSend) -> Result<SendOutcome, NetError> {
        let proposal = Proposal { class: &object.sop_class, syntax: &object.transfer_syntax };
        let Some(context) = self.context(proposal) else {
            return Ok(SendOutcome::Failed {
                class: FailureClass::Permanent,
                status: None,
                message: format!(
                    "the remote system does not accept SOP class {} in transfer syntax {}",
                    object.sop_class, object.transfer_syntax
                ),
            });
        };
        let id = self.next_message_id();
        let request = Command::store_request(id, &object.sop_class, object.instance.as_str());
        let (status, comment) = self.exchange(context, &request, Some(&object.bytes)).await?;
        Ok(status::outcome(status, comment.as_deref()))
    }

    /// One C-ECHO; the outer error means that the association is lost.
    async fn verify(&mut self, proposal: Proposal<'_>) -> Result<Result<(), NetError>, NetError> {
        let Some(context) = self.context(proposal) else {
            return Ok(Err(NetError::Refused("it does not offer Verification".to_owned())));
        };
        let request = Command::echo_request(self.next_message_id(), proposal.class);
        match self.exchange(context, &request, None).await? {
            (0, _) => Ok(Ok(())),
            (status, _) => Ok(Err(NetError::Refused(format!("C-ECHO was answered with status {status:04X}")))),
        }
    }

    fn next_message_id(&mut self) -> u16 {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        self.last_message_id
    }

    /// A request and its response: status and error comment.
    async fn exchange(
        &mut self,
        context: u8,
        request: &Command,
        data: Option<&[u8]>,
    ) -> Result<(u16, Option<String>), NetError> {
        for pdu in fragments(context, PDataValueType::Command, &request.encode(), self.max_pdu_bytes) {
            self.transmit(&pdu).await?;
        }
        if let Some(data) = data {
            for pdu in fragments(context, PDataValueType::Data, data, self.max_pdu_bytes) {
                self.transmit(&pdu).await?;
            }
        }
        let response = self.response().await?;
        let expected = request.number(element::COMMAND_FIELD).map(|operation| operation | field::RESPONSE);
        if response.number(element::COMMAND_FIELD) != expected
            || response.number(element::MESSAGE_ID_RESPONDED_TO) != request.number(element::MESSAGE_ID)
        {
            return Err(NetError::Protocol("its response belongs to another request".to_owned()));
        }
        let status = response.number(element::STATUS);
        let status = status.ok_or_else(|| NetError::Protocol("its response has no status".to_owned()))?;
        Ok((status, response.text(element::ERROR_COMMENT).map(str::to_owned)))
    }

    async fn transmit(&mut self, pdu: &Pdu) -> Result<(), NetError> {
        let Err(error) = self.wire.send(pdu, self.limit).await else { return Ok(()) };
        // A peer that aborts closes at once; its reason may still be there to be read.
        match self.wire.receive(RELEASE_LIMIT).await {
            Ok(Pdu::AbortRQ { source }) => Err(NetError::aborted(&source)),
            _ => Err(error.into()),
        }
    }

    async fn response(&mut self) -> Result<Command, NetError> {
        // Responses to C-STORE and C-ECHO have no data set; one that is there all the same is dropped.
        let mut assembler = Assembler::new(0);
        loop {
            match self.wire.receive(self.limit).await? {
                Pdu::PData { data } => {
                    for value in data {
                        let message = assembler.push(value).map_err(|fault| NetError::Protocol(fault.to_string()))?;
                        if let Some(message) = message {
                            return Ok(message.command);
                        }
                    }
                }
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Ends in order. All objects were answered already, so that a failure here changes nothing.
    async fn release(mut self) {
        let answer = match self.wire.send(&Pdu::ReleaseRQ, RELEASE_LIMIT).await {
            Ok(()) => self.wire.receive(RELEASE_LIMIT).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Pdu::ReleaseRP) => self.wire.close(None).await,
            // Both sides asked at once: the requestor answers first (PS3.8 7.2.2.6).
            Ok(Pdu::ReleaseRQ) => self.wire.close(Some(Pdu::ReleaseRP)).await,
            Ok(_) => debug!("the remote system did not release in order"),
            Err(error) => debug!(%error, "the remote system did not release in order"),
        }
    }

    /// Ends after an error, with an abort if there may still be somebody to read it.
    async fn abandon(self, error: &NetError) {
        let source = AbortRQSource::ServiceProvider(match error {
            NetError::Protocol(_) => AbortRQServiceProviderReason::UnexpectedPduParameter,
            NetError::TimedOut(_) => AbortRQServiceProviderReason::ReasonNotSpecified,
            _ => return,
        });
        self.wire.close(Some(Pdu::AbortRQ { source })).await;
    }
}

async fn connect(destination: &Destination) -> Result<Wire, NetError> {
    let failed = |source| NetError::Connect { address: format!("{}:{}", destination.host, destination.port), source };
    let connecting = TcpStream::connect((destination.host.as_str(), destination.port));
    let stream = match tokio::time::timeout(destination.connect_timeout(), connecting).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
    };
    Wire::new(stream, destination.max_pdu_bytes).map_err(|error| WireError::Io(error).into())
}

fn request_pdu(destination: &Destination, calling: &AeTitle, proposals: &[(u8, Proposal<'_>)]) -> Pdu {
    let presentation_contexts = proposals
        .iter()
        .map(|(id, proposal)| PresentationContextProposed {
            id: *id,
            abstract_syntax: proposal.class.to_owned(),
            transfer_syntaxes: vec![proposal.syntax.to_owned()],
        })
        .collect();
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: PROTOCOL_VERSION,
        calling_ae_title: calling.as_str().to_owned(),
        called_ae_title: destination.ae_title.as_str().to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts,
        user_variables: user_variables(destination.max_pdu_bytes),
    })
}

/// The contexts that the peer took, in the syntax that was proposed.
fn accepted<'a>(acceptance: &AssociationAC, proposals: Vec<(u8, Proposal<'a>)>) -> Vec<(u8, Proposal<'a>)> {
    let taken = |id: u8, proposal: Proposal<'_>| {
        acceptance.presentation_contexts.iter().any(|result| {
            result.id == id
                && result.reason == PresentationContextResultReason::Acceptance
                && uid(&result.transfer_syntax) == proposal.syntax
        })
    };
    proposals.into_iter().filter(|(id, proposal)| taken(*id, *proposal)).collect()
}

fn unexpected(pdu: &Pdu) -> NetError {
    match pdu {
        Pdu::AbortRQ { source } => NetError::aborted(source),
        _ => NetError::Protocol("it sent a PDU that does not belong here".to_owned()),
    }
}
