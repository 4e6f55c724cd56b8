//! Delivery: one loop for each destination, so that none waits for another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::config::SendingConfig;
use super::destinations::{Confirm, DestinationConfig};
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::data::PatientStudy;
use crate::dicom::net::{FailureClass, NetError, ObjectToSend, SendOutcome};
use crate::ids::AeTitle;
use crate::store::{Attempt, Delivery, DeliveryItem, ErrorClass, Store, StoreError};

/// How often cases that wait for a destination that is not configured are looked for.
const EXPLAIN: Duration = Duration::from_secs(10);

/// Sends to one destination.
pub(super) struct Courier {
    pub store: Arc<Store>,
    pub config: SendingConfig,
    pub destination: DestinationConfig,
    /// Our own title.
    pub calling: AeTitle,
    pub shutdown: CancellationToken,
    pub holder: Uuid,
}

impl Courier {
    /// Sends until shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_cancelled() {
            let claimed = self
                .store
                .pg
                .claim_delivery(self.holder, &self.destination.name, self.config.lease(), self.config.batch)
                .await;
            match claimed {
                Ok(Some(delivery)) => self.deliver(delivery).await,
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, destination = self.destination.name, "no delivery can be claimed");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) {
        let case = delivery.case;
        let attempts = tokio::select! {
            attempts = self.attempt(&delivery) => attempts,
            () = self.drained() => {
                // What had been taken is not known: the same bytes go out again next time.
                let release = || self.store.pg.release_deliveries(self.holder);
                // A failure is in the log already; then the lease runs out.
                let _ = persist("give a delivery back", &self.shutdown, release).await;
                return;
            }
        };
        for (_, attempt) in &attempts {
            let destination = &self.destination.name;
            match attempt {
                Attempt::Accepted { remark: None, .. } => tracing::info!(%case, destination, "object accepted"),
                Attempt::Accepted { remark: Some(remark), .. } => {
                    tracing::warn!(%case, destination, remark, "object accepted with a warning");
                }
                Attempt::Later { error, delay } => {
                    tracing::warn!(%case, destination, error, retry_seconds = delay.as_secs(), "delivery is repeated");
                }
                Attempt::Refused { error } => tracing::error!(%case, destination, error, "delivery failed for good"),
            }
        }
        // Not to be given up: what was accepted must not be sent again.
        let record = || self.store.pg.record_attempts(case, self.holder, &attempts);
        let _ = persist("record a delivery", &self.shutdown, record).await;
    }

    async fn attempt(&self, delivery: &Delivery) -> Vec<(i64, Attempt)> {
        let mut attempts = Vec::new();
        let mut items = Vec::new();
        let mut objects = Vec::new();
        let mut first = None;
        for item in &delivery.items {
            match self.load(item).await {
                Ok((object, file)) => {
                    items.push(item);
                    objects.push(object);
                    first.get_or_insert((item, file));
                }
                Err(trouble) => attempts.push((item.outbox_id, trouble)),
            }
        }
        let Some((first, file)) = first else { return attempts };
        let compared = tokio::select! {
            compared = self.compared(&file, first.attempts) => compared,
            () = self.hold() => return attempts,
        };
        if let Err(trouble) = compared {
            attempts.extend(items.iter().map(|item| (item.outbox_id, trouble.clone())));
            return attempts;
        }
        let sent = tokio::select! {
            sent = self.destination.system.send(&self.calling, &objects) => sent,
            () = self.hold() => return attempts,
        };
        match sent {
            Ok(outcomes) => attempts
                .extend(items.iter().zip(outcomes).map(|(item, outcome)| (item.outbox_id, self.judge(item, outcome)))),
            Err(error) => {
                let class = error.class();
                attempts.extend(
                    items.iter().map(|item| (item.outbox_id, self.classify(class, error.to_string(), item.attempts))),
                );
            }
        }
        attempts
    }

    /// An object, and the file that it is from.
    async fn load(&self, item: &DeliveryItem) -> Result<(ObjectToSend, Bytes), Attempt> {
        let later = |error: StoreError| {
            let class = match error.class() {
                ErrorClass::Retry => FailureClass::Retry,
                ErrorClass::Permanent => FailureClass::Permanent,
            };
            self.classify(class, error.to_string(), item.attempts)
        };
        let file = self.store.blobs.get(&item.blob_key, &item.sha256).await.map_err(later)?;
        ObjectToSend::from_part10(&file)
            .map(|object| (object, file))
            .map_err(|error: NetError| self.classify(error.class(), error.to_string(), item.attempts))
    }

    /// Whether the destination knows patient and study as the images say them, as far as it has the study and answers
    /// queries.
    ///
    /// # Errors
    /// It contradicts the images: data that were corrected on one side only. Or it cannot be reached for the moment.
    async fn compared(&self, file: &[u8], attempt: i32) -> Result<(), Attempt> {
        if !self.destination.compare {
            return Ok(());
        }
        let destination = &self.destination.name;
        let here = PatientStudy::of_file(file).map_err(|error| Attempt::Refused { error: error.to_string() })?;
        let answers = match self.destination.system.find_study(&self.calling, &here.study).await {
            Ok(answers) => answers,
            Err(NetError::NotOffered(_)) => return Ok(()),
            // Not there now, or not for us now: it is asked before anything is sent. 403, 404, 405, 501: it has no queries for us.
            Err(error)
                if matches!(error, NetError::Connect { .. } | NetError::TimedOut(_))
                    || matches!(error, NetError::Http { status, .. } if !matches!(status, 403..=405 | 501)) =>
            {
                let why = format!("asked how it knows the study (compare): {error}");
                return Err(self.classify(error.class(), why, attempt));
            }
            // It is there and does not answer this, perhaps by hanging up on a question that it does not know: that must not
            // keep contours back for ever. What else is wrong shows when they are sent.
            Err(error) => {
                tracing::warn!(%error, destination, "it does not say how it knows the study (compare); it is sent all the same");
                return Ok(());
            }
        };
        let mut contradictions = BTreeSet::new();
        for answer in &answers {
            match PatientStudy::of_answer(answer.reveal(), &here.study) {
                Ok(Some(there)) => contradictions.extend(here.contradictions(&there)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, destination, "what it says of the study cannot be read"),
            }
        }
        if contradictions.is_empty() {
            return Ok(());
        }
        let error = format!(
            "not sent: it has this study with another {}; correct one of both (or have the corrected images sent again), then \
             try again",
            contradictions.into_iter().collect::<Vec<_>>().join(", ")
        );
        Err(Attempt::Refused { error })
    }

    fn judge(&self, item: &DeliveryItem, outcome: SendOutcome) -> Attempt {
        let ask = self.destination.confirm != Confirm::None;
        match outcome {
            SendOutcome::Stored | SendOutcome::AlreadyThere => Attempt::Accepted { remark: None, ask },
            SendOutcome::StoredWithWarning { message, .. } => Attempt::Accepted { remark: Some(message), ask },
            SendOutcome::Failed { class, message, .. } => self.classify(class, message, item.attempts),
        }
    }

    fn classify(&self, class: FailureClass, error: String, attempt: i32) -> Attempt {
        match class {
            FailureClass::Retry => Attempt::Later { error, delay: self.config.retry().after(attempt) },
            FailureClass::Setting => Attempt::Later { error, delay: self.config.retry().longest },
            FailureClass::Permanent => Attempt::Refused { error },
        }
    }

    /// Extends the leases for as long as the sending takes; never ends.
    async fn hold(&self) {
        loop {
            tokio::time::sleep(self.config.lease() / 3).await;
            if let Err(error) = self.store.pg.extend_deliveries(self.holder, self.config.lease()).await {
                tracing::warn!(%error, "the lease of a delivery could not be extended");
            }
        }
    }

    async fn drained(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_secs(self.config.drain_seconds)).await;
    }
}

/// Says so on each case that waits for a destination that is not configured (any more), also on one that a person had
/// tried again. Until shutdown.
pub(super) async fn explain_waiting(store: Arc<Store>, configured: Vec<String>, shutdown: CancellationToken) {
    let reason = "this destination is not configured; name it in a [[destination]] section, then start again";
    while !shutdown.is_cancelled() {
        if let Err(error) = store.pg.explain_waiting(&configured, reason).await {
            tracing::warn!(%error, "why deliveries wait could not be written on their cases");
        }
        pause(EXPLAIN, &shutdown).await;
    }
}
