//! Storage commitments that peers ask for: whether we keep what they name, told on the association of the request or later.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::config::SendingConfig;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::net::{
    CommitmentReport, CommitmentRequest, CommitmentVerdict, Destination, FailureReason, PeersRequest, SopReference,
    report_commitment,
};
use crate::ids::{AeTitle, InstanceUid, TransactionUid};
use crate::store::{NewCommitmentRequest, OpenCommitmentRequest, Store, StoreError};

/// How long the association of a request has to take the answer, before it is told on another one.
const GRACE: Duration = Duration::from_secs(10);
/// Associations that are tried for one answer. Who was not reached by then asks again.
const MOST_ATTEMPTS: i32 = 20;

/// The verdict, or that nothing was recorded.
pub(super) fn verdict(verdict: Result<CommitmentVerdict, StoreError>) -> CommitmentVerdict {
    verdict.unwrap_or_else(|error| {
        tracing::error!(%error, "what a peer said of a storage commitment is not recorded");
        CommitmentVerdict::Failure("it cannot be recorded now".to_owned())
    })
}

/// Keeps a request, so that it is answered whatever happens next.
pub(super) async fn keep_request(store: &Store, asked: &PeersRequest) -> Result<CommitmentVerdict, StoreError> {
    let CommitmentRequest { transaction, references } = &asked.request;
    let instances = references.iter().map(|r| (r.sop_class.as_str(), &r.instance)).collect();
    let new = NewCommitmentRequest { calling: &asked.calling, transaction, instances };
    if !store.pg.keep_commitment_request(&new, GRACE).await? {
        return Ok(CommitmentVerdict::Refused("this transaction UID is in use".to_owned()));
    }
    tracing::info!(from = %asked.calling, %transaction, instances = references.len(), "a storage commitment is asked for");
    Ok(CommitmentVerdict::Taken)
}

/// Looks for each instance: what is committed was acknowledged or made here, and its file is there and intact.
pub(super) async fn answer(store: &Store, request: &CommitmentRequest) -> Result<CommitmentReport, StoreError> {
    let transaction = request.transaction.clone();
    let mut report = CommitmentReport { transaction, committed: Vec::new(), failed: Vec::new() };
    for reference in &request.references {
        match fault_of(store, reference).await? {
            None => report.committed.push(reference.clone()),
            Some(reason) => report.failed.push((reference.clone(), reason)),
        }
    }
    let (committed, failed) = (report.committed.len(), report.failed.len());
    tracing::info!(transaction = %report.transaction, committed, failed, "a storage commitment is decided");
    Ok(report)
}

async fn fault_of(store: &Store, reference: &SopReference) -> Result<Option<FailureReason>, StoreError> {
    let Some(held) = store.pg.held_object(&reference.instance).await? else {
        return Ok(Some(FailureReason::NO_SUCH_INSTANCE));
    };
    if held.sop_class_uid != reference.sop_class {
        return Ok(Some(FailureReason::CLASS_INSTANCE_CONFLICT));
    }
    // A file that is lost or damaged is written again when the instance comes again: that is what this asks for.
    let intact = store.blobs.holds(&held.blob_key, &held.sha256).await?;
    Ok((!intact).then_some(FailureReason::NO_SUCH_INSTANCE))
}

/// Tells peers the answers that their own association did not take.
pub(super) struct Teller {
    pub store: Arc<Store>,
    pub config: SendingConfig,
    /// Systems whose address is known.
    pub known: Vec<Destination>,
    /// Our own title.
    pub calling: AeTitle,
    pub shutdown: CancellationToken,
}

impl Teller {
    /// Tells until shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_cancelled() {
            match self.store.pg.claim_commitment_request(self.config.lease()).await {
                Ok(Some(open)) => {
                    tokio::select! {
                        () = self.tell(&open) => {}
                        () = self.shutdown.cancelled() => {}
                    }
                }
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, "storage commitments cannot be answered");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    async fn tell(&self, open: &OpenCommitmentRequest) {
        let (to, transaction) = (&open.calling_ae, &open.transaction_uid);
        let (error, delay) = match self.attempt(open).await {
            Ok(()) => {
                tracing::info!(to, transaction, "a storage commitment was answered");
                let told = || self.store.pg.commitment_request_told(to, transaction);
                // A failure is in the log already; then it is told twice.
                let _ = persist("record an answered storage commitment", &self.shutdown, told).await;
                return;
            }
            Err(trouble) => trouble,
        };
        let delay = delay.filter(|_| open.attempts < MOST_ATTEMPTS);
        tracing::warn!(
            to,
            transaction,
            error,
            given_up = delay.is_none(),
            "a storage commitment could not be answered"
        );
        let not_told = || self.store.pg.commitment_request_not_told(open, &error, delay);
        let _ = persist("record an unanswered storage commitment", &self.shutdown, not_told).await;
    }

    /// # Errors
    /// Why it was not told, and after how long to try again; `None`: never.
    async fn attempt(&self, open: &OpenCommitmentRequest) -> Result<(), (String, Option<Duration>)> {
        let Some(peer) = self.known.iter().find(|system| system.ae_title.as_str() == open.calling_ae) else {
            let why = format!(
                "no address is configured for the AE title {}; name it in a [[destination]] or a [[source]]",
                open.calling_ae
            );
            return Err((why, None));
        };
        let request = request_of(open).ok_or_else(|| ("its record cannot be read".to_owned(), None))?;
        let later = Some(self.config.retry().after(open.attempts));
        let report = answer(&self.store, &request).await.map_err(|error| (error.to_string(), later))?;
        report_commitment(peer, &self.calling, &report).await.map_err(|error| (error.to_string(), later))
    }
}

/// The request as it was kept.
fn request_of(open: &OpenCommitmentRequest) -> Option<CommitmentRequest> {
    let reference = |pair: &serde_json::Value| {
        let (class, uid) = (pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
        Some(SopReference { sop_class: class.to_owned(), instance: InstanceUid::parse(uid).ok()? })
    };
    let references = open.instances.as_array()?.iter().map(reference).collect::<Option<Vec<_>>>()?;
    Some(CommitmentRequest { transaction: TransactionUid::parse(&open.transaction_uid).ok()?, references })
}
