//! Associations that we request: C-STORE of results, C-ECHO for verification.

use std::collections::VecDeque;
use std::time::Duration;

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, AssociationRQ, PDataValue, PDataValueType, Pdu,
    PresentationContextProposed, PresentationContextResultReason, RequestorRoles, UserVariableItem,
};
use tokio::net::TcpStream;
use tracing::debug;

use super::command::{Command, element, field};
use super::message::{Assembler, Message, fragments};
use super::negotiate::{APPLICATION_CONTEXT, PROTOCOL_VERSION, max_pdu_bytes, uid, user_variables};
use super::tls::DestinationTls;
use super::wire::{Line, Wire};
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
        let proposal = Proposal::of(&object.sop_class, &object.transfer_syntax);
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
    let verification = Proposal::of(uids::VERIFICATION, uids::IMPLICIT_VR_LITTLE_ENDIAN);
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

/// Which of some SOP classes a destination takes part in: those of `classes` that it accepts in one of the two uncompressed
/// little endian syntaxes, in their order. Nothing is sent.
///
/// # Errors
/// [`NetError`] when there is no association. A peer may well refuse one of which it offers nothing.
pub async fn offers<'a>(
    destination: &Destination,
    calling: &AeTitle,
    classes: &[&'a str],
) -> Result<Vec<&'a str>, NetError> {
    const SYNTAXES: [&str; 2] = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];
    let both = |class: &&'a str| SYNTAXES.map(|syntax| Proposal::of(class, syntax));
    let proposals: Vec<Proposal<'_>> = classes.iter().flat_map(both).collect();
    let association = Association::request(destination, calling, proposals).await?;
    let offered = |class: &&&str| association.accepted.iter().any(|(_, accepted)| accepted.class == **class);
    let offered = classes.iter().filter(offered).copied().collect();
    association.release().await;
    Ok(offered)
}

/// A class in one transfer syntax: one presentation context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proposal<'a> {
    class: &'a str,
    syntax: &'a str,
    /// We want to be the SCP of the class, although it is us who call (PS3.7 D.3.3.4).
    as_scp: bool,
}

impl<'a> Proposal<'a> {
    /// A class of which we are the SCU.
    pub fn of(class: &'a str, syntax: &'a str) -> Self {
        Self { class, syntax, as_scp: false }
    }

    /// A class of which we are the SCP: role selection proposes it.
    pub fn as_scp(class: &'a str, syntax: &'a str) -> Self {
        Self { class, syntax, as_scp: true }
    }
}

/// An established association.
pub(super) struct Association<'a> {
    wire: Wire,
    accepted: Vec<(u8, Proposal<'a>)>,
    /// The shorter of what the peer takes and what we are configured to send.
    max_pdu_bytes: u32,
    limit: Duration,
    last_message_id: u16,
    /// Values of the last PDU that no message has taken yet.
    unread: VecDeque<PDataValue>,
}

impl<'a> Association<'a> {
    pub async fn request(
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
                let unread = VecDeque::new();
                let association = Self { wire, accepted, max_pdu_bytes, limit, last_message_id: 0, unread };
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

    /// The presentation context of a proposal; `None` when the peer did not accept it.
    pub fn context(&self, proposal: Proposal<'_>) -> Option<u8> {
        self.accepted.iter().find(|(_, p)| *p == proposal).map(|(id, _)| *id)
    }

    /// One C-STORE. An error means that the association is lost and the fate of the object unknown.
    async fn store(&mut self, object: &ObjectToSend) -> Result<SendOutcome, NetError> {
        let proposal = Proposal::of(&object.sop_class, &object.transfer_syntax);
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

    pub fn next_message_id(&mut self) -> u16 {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        self.last_message_id
    }

    /// A request and its response: status and error comment.
    pub async fn exchange(
        &mut self,
        context: u8,
        request: &Command,
        data: Option<&[u8]>,
    ) -> Result<(u16, Option<String>), NetError> {
        self.say(context, request, data).await?;
        // Responses to C-STORE, C-ECHO and N-ACTION have no data set; one that is there all the same is dropped.
        let (status, response) = self.response(request, 0).await?;
        Ok((status, response.command.text(element::ERROR_COMMENT).map(str::to_owned)))
    }

    /// Sends a command, and the data set that follows it.
    pub async fn say(&mut self, context: u8, command: &Command, data: Option<&[u8]>) -> Result<(), NetError> {
        for pdu in fragments(context, PDataValueType::Command, &command.encode(), self.max_pdu_bytes) {
            self.transmit(&pdu).await?;
        }
        let most = self.max_pdu_bytes;
        for pdu in data.into_iter().flat_map(|data| fragments(context, PDataValueType::Data, data, most)) {
            self.transmit(&pdu).await?;
        }
        Ok(())
    }

    /// The next response to a request, with its status. A data set of more than `most` bytes is dropped.
    pub async fn response(&mut self, request: &Command, most: usize) -> Result<(u16, Message), NetError> {
        let response = self.message(most, self.limit).await?;
        let expected = request.number(element::COMMAND_FIELD).map(|operation| operation | field::RESPONSE);
        if response.command.number(element::COMMAND_FIELD) != expected
            || response.command.number(element::MESSAGE_ID_RESPONDED_TO) != request.number(element::MESSAGE_ID)
        {
            return Err(NetError::Protocol("its response belongs to another request".to_owned()));
        }
        let status = response.command.number(element::STATUS);
        let status = status.ok_or_else(|| NetError::Protocol("its response has no status".to_owned()))?;
        Ok((status, response))
    }

    async fn transmit(&mut self, pdu: &Pdu) -> Result<(), NetError> {
        let Err(error) = self.wire.send(pdu, self.limit).await else { return Ok(()) };
        // A peer that aborts closes at once; its reason may still be there to be read.
        match self.wire.receive(RELEASE_LIMIT).await {
            Ok(Pdu::AbortRQ { source }) => Err(NetError::aborted(&source)),
            _ => Err(error.into()),
        }
    }

    /// The next message, each PDU of it within `limit`.
    pub async fn message(&mut self, most: usize, limit: Duration) -> Result<Message, NetError> {
        let mut assembler = Assembler::new(most);
        loop {
            while let Some(value) = self.unread.pop_front() {
                let message = assembler.push(value).map_err(|fault| NetError::Protocol(fault.to_string()))?;
                if let Some(message) = message {
                    return Ok(message);
                }
            }
            match self.wire.receive(limit).await? {
                Pdu::PData { data } => self.unread.extend(data),
                other => return Err(unexpected(&other)),
            }
        }
    }

    /// Ends in order. All objects were answered already, so that a failure here changes nothing.
    pub async fn release(mut self) {
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
    pub async fn abandon(self, error: &NetError) {
        let source = AbortRQSource::ServiceProvider(match error {
            NetError::Protocol(_) => AbortRQServiceProviderReason::UnexpectedPduParameter,
            NetError::TimedOut(_) => AbortRQServiceProviderReason::ReasonNotSpecified,
            _ => return,
        });
        self.wire.close(Some(Pdu::AbortRQ { source })).await;
    }
}

async fn connect(destination: &Destination) -> Result<Wire, NetError> {
    let Destination { host, port, tls, .. } = destination;
    let line = line_to(host, *port, tls.as_ref(), destination.connect_timeout()).await?;
    Ok(Wire::new(line, destination.max_pdu_bytes))
}

/// A connection to a system, over TLS where that is given. `limit` is for each of TCP and TLS.
///
/// # Errors
/// [`NetError::Connect`], [`NetError::Tls`], [`NetError::Io`].
pub async fn line_to(
    host: &str,
    port: u16,
    tls: Option<&DestinationTls>,
    limit: Duration,
) -> Result<Box<dyn Line>, NetError> {
    let failed = |source| NetError::Connect { address: format!("{host}:{port}"), source };
    let stream = match tokio::time::timeout(limit, TcpStream::connect((host, port))).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
    };
    stream.set_nodelay(true).map_err(NetError::Io)?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    match tokio::time::timeout(limit, tls.connect(host, stream)).await {
        Ok(secure) => Ok(Box::new(secure.map_err(NetError::Tls)?)),
        Err(_) => Err(NetError::Tls("the other side did not answer; does it speak TLS on this port?".to_owned())),
    }
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
    let mut user_variables = user_variables(destination.max_pdu_bytes);
    for (_, proposal) in proposals.iter().filter(|(_, proposal)| proposal.as_scp) {
        let roles = RequestorRoles { scu: false, scp: true };
        user_variables.push(UserVariableItem::ScuScpRoleSelectionSubItem(proposal.class.to_owned(), roles));
    }
    Pdu::AssociationRQ(AssociationRQ {
        protocol_version: PROTOCOL_VERSION,
        calling_ae_title: calling.as_str().to_owned(),
        called_ae_title: destination.ae_title.as_str().to_owned(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts,
        user_variables,
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
