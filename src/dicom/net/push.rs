//! Storage commitment on associations that we request: N-ACTION as its SCU, N-EVENT-REPORT as its SCP (PS3.4 annex J).

use std::time::Duration;

use dicom_dictionary_std::uids::{
    IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL as PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
};
use tracing::debug;

use super::command::{Command, element, field};
use super::commitment::{MAX_BYTES, REQUEST};
use super::message::{DataSet, Message};
use super::scu::{Association, Proposal};
use super::status::{self, Answer};
use super::{CommitmentReport, CommitmentRequest, CommitmentVerdict, Destination, Inbox, NetError};
use crate::ids::AeTitle;

const SERVICE: &str = "storage commitment";
/// How long the association of a request stays open for an answer on it. A remote system that takes longer opens one of its
/// own, as most do in any case.
const ANSWER_ON_SAME: Duration = Duration::from_secs(5);

/// Asks for the commitment of instances. Success means that the request was taken: the answer goes to the inbox
/// ([`Inbox::commitment_reported`]), now or later, on this or on another association.
///
/// # Errors
/// [`NetError::NotOffered`] when the remote system does not take part in storage commitment, [`NetError::Status`] when it
/// refuses the request; else why it is not known to have it.
pub async fn request_commitment<I: Inbox>(
    destination: &Destination,
    calling: &AeTitle,
    request: &CommitmentRequest,
    inbox: &I,
) -> Result<(), NetError> {
    let proposal = Proposal::of(PUSH_MODEL, IMPLICIT_VR_LITTLE_ENDIAN);
    let mut association = Association::request(destination, calling, vec![proposal]).await?;
    let Some(context) = association.context(proposal) else {
        association.release().await;
        return Err(NetError::NotOffered(SERVICE));
    };
    let id = association.next_message_id();
    let action = Command::action_request(id, PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE, REQUEST);
    match association.exchange(context, &action, Some(&request.encode())).await {
        Ok((status, comment)) => {
            let taken = status::normalized(SERVICE, status, comment.as_deref());
            if taken.is_ok() {
                hear_report(&mut association, inbox).await;
            }
            association.release().await;
            taken
        }
        Err(error) => {
            association.abandon(&error).await;
            Err(error)
        }
    }
}

/// Waits a moment for the answer on the association of the request. None comes on most; trouble is no trouble: the answer
/// that was not heard is asked for again.
async fn hear_report<I: Inbox>(association: &mut Association<'_>, inbox: &I) {
    let message = match association.message(MAX_BYTES, ANSWER_ON_SAME).await {
        Ok(message) => message,
        Err(error) => return debug!(%error, "no answer to a storage commitment on its own association"),
    };
    if message.command.number(element::COMMAND_FIELD) != Some(field::N_EVENT_REPORT_RQ) {
        return debug!("something else than the answer to a storage commitment came on its association");
    }
    let answer = Answer::Commitment(match report_of(&message) {
        Ok(report) => inbox.commitment_reported(report).await,
        Err(why) => CommitmentVerdict::Refused(why.to_owned()),
    });
    let response = message.command.response(answer.code(), answer.comment().as_deref());
    if let Err(error) = association.say(message.context, &response, None).await {
        debug!(%error, "the answer to a storage commitment could not be acknowledged");
    }
}

/// Tells a peer what became of its request, on an association of our own: as the SCP of the class, by role selection.
///
/// # Errors
/// [`NetError`] when it is not known to have the answer.
pub async fn report_commitment(
    destination: &Destination,
    calling: &AeTitle,
    report: &CommitmentReport,
) -> Result<(), NetError> {
    let proposal = Proposal::as_scp(PUSH_MODEL, IMPLICIT_VR_LITTLE_ENDIAN);
    let mut association = Association::request(destination, calling, vec![proposal]).await?;
    // Some accept the class and are silent about roles; who asked for the answer will take it.
    let Some(context) = association.context(proposal) else {
        association.release().await;
        return Err(NetError::NotOffered(SERVICE));
    };
    let event = event_request(association.next_message_id(), report);
    match association.exchange(context, &event, Some(&report.encode())).await {
        Ok((status, comment)) => {
            association.release().await;
            status::normalized(SERVICE, status, comment.as_deref())
        }
        Err(error) => {
            association.abandon(&error).await;
            Err(error)
        }
    }
}

/// The command of N-EVENT-REPORT for a report.
pub(super) fn event_request(id: u16, report: &CommitmentReport) -> Command {
    Command::event_request(id, PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE, report.event())
}

/// The report in an N-EVENT-REPORT.
pub(super) fn report_of(message: &Message) -> Result<CommitmentReport, &'static str> {
    match &message.data {
        DataSet::Complete(bytes) if bytes.len() <= MAX_BYTES => CommitmentReport::parse(bytes),
        DataSet::Complete(_) | DataSet::TooLarge => Err("the event information is too large"),
        DataSet::NoMemory => Err("there is no memory for the event information now"),
        DataSet::Absent => Err("an event without its information"),
    }
}
