//! Storage commitment on an association that a peer requested: as its SCP, and as its SCU when the peer has the answer
//! (PS3.4 annex J; which of both is who calls is settled by role selection).

use dicom_dictionary_std::uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE as WELL_KNOWN;
use dicom_ul::pdu::PDataValueType;
use tracing::{info, warn};

use super::{Association, End};
use crate::dicom::net::command::{Command, element};
use crate::dicom::net::commitment::{ALL_COMMITTED, FAILURES_EXIST, MAX_BYTES, REQUEST};
use crate::dicom::net::message::{DataSet, Message};
use crate::dicom::net::push::{event_request, report_of};
use crate::dicom::net::status::Answer;
use crate::dicom::net::{CommitmentReport, CommitmentRequest, CommitmentVerdict, Inbox, PeersRequest};

/// An answer that was sent on this association and is not acknowledged yet.
pub(super) struct Telling {
    message: u16,
    request: PeersRequest,
}

/// An answer that is ready to be sent.
pub(super) struct Ready {
    context: u8,
    request: PeersRequest,
    report: CommitmentReport,
}

impl<I: Inbox> Association<'_, I> {
    /// N-ACTION: hands a request to the inbox.
    pub(super) async fn commit(&mut self, message: &Message) -> Result<Answer, End> {
        if message.command.text(element::REQUESTED_SOP_INSTANCE) != Some(WELL_KNOWN) {
            return Ok(Answer::NoSuchInstance);
        }
        if message.command.number(element::ACTION_TYPE) != Some(REQUEST) {
            return Ok(Answer::NoSuchAction);
        }
        let request = match &message.data {
            DataSet::Complete(bytes) if bytes.len() <= MAX_BYTES => CommitmentRequest::parse(bytes),
            DataSet::Complete(_) | DataSet::TooLarge => Err("the action information is too large"),
            DataSet::NoMemory => Err("there is no memory for it now; ask again later"),
            DataSet::Absent => Err("an action without its information"),
        };
        let request = match request {
            Ok(request) => PeersRequest { calling: self.agreement.calling.clone(), request },
            Err(why) => return Ok(Answer::Commitment(CommitmentVerdict::Refused(why.to_owned()))),
        };
        let (inbox, asked) = (self.shared.inbox.clone(), request.clone());
        let verdict = self.judged(async move { inbox.commitment_requested(asked).await }).await?;
        if verdict == CommitmentVerdict::Taken {
            self.prepare(message.context, request);
        }
        Ok(Answer::Commitment(verdict))
    }

    /// Has the answer made ready while the association goes on. If it ends before, the inbox has the request.
    fn prepare(&self, context: u8, request: PeersRequest) {
        let (inbox, ready) = (self.shared.inbox.clone(), self.ready.0.clone());
        tokio::spawn(async move {
            if let Some(report) = inbox.commitment_answer(&request).await {
                // Nobody listens when the association has ended.
                let _ = ready.send(Ready { context, request, report }).await;
            }
        });
    }

    /// N-EVENT-REPORT to the peer, on the association of its request.
    pub(super) async fn tell(&mut self, ready: Ready) -> Result<(), End> {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        let command = event_request(self.last_message_id, &ready.report);
        self.say(ready.context, PDataValueType::Command, &command.encode()).await?;
        self.say(ready.context, PDataValueType::Data, &ready.report.encode()).await?;
        self.telling = Some(Telling { message: self.last_message_id, request: ready.request });
        Ok(())
    }

    /// The response to an N-EVENT-REPORT of ours; whether it was one.
    pub(super) async fn told(&mut self, response: &Command) -> bool {
        let answers = response.number(element::MESSAGE_ID_RESPONDED_TO);
        let Some(telling) = self.telling.take_if(|telling| Some(telling.message) == answers) else { return false };
        let transaction = &telling.request.request.transaction;
        match response.number(element::STATUS) {
            Some(0) => {
                info!(peer = %self.peer, %transaction, "a storage commitment was answered");
                self.shared.inbox.commitment_told(&telling.request).await;
            }
            // It is told again on an association of its own.
            status => warn!(peer = %self.peer, %transaction, ?status, "the answer to a storage commitment was refused"),
        }
        true
    }

    /// N-EVENT-REPORT from a peer: the answer to a request of ours.
    pub(super) async fn reported(&mut self, message: &Message) -> Result<Answer, End> {
        if message.command.text(element::AFFECTED_SOP_INSTANCE) != Some(WELL_KNOWN) {
            return Ok(Answer::NoSuchInstance);
        }
        if !matches!(message.command.number(element::EVENT_TYPE), Some(ALL_COMMITTED | FAILURES_EXIST)) {
            return Ok(Answer::NoSuchEvent);
        }
        let report = match report_of(message) {
            Ok(report) => report,
            Err(why) => return Ok(Answer::Commitment(CommitmentVerdict::Refused(why.to_owned()))),
        };
        let inbox = self.shared.inbox.clone();
        let verdict = self.judged(async move { inbox.commitment_reported(report).await }).await?;
        Ok(Answer::Commitment(verdict))
    }

    /// Waits for a verdict of the inbox, as [`Association::store`] does.
    async fn judged(
        &self,
        verdict: impl Future<Output = CommitmentVerdict> + Send + 'static,
    ) -> Result<CommitmentVerdict, End> {
        let verdict = tokio::spawn(verdict);
        tokio::select! {
            verdict = verdict => Ok(verdict.unwrap_or_else(|_| CommitmentVerdict::Failure("internal fault".to_owned()))),
            () = self.shared.shutdown(true) => Err(End::shutdown()),
        }
    }
}
