//! Missing images: a series that was refused for a gap is asked for at the configured sources, once. What they send comes in
//! as everything does, and opens the next revision of the series. A DICOMweb service sends nothing: what it has is retrieved,
//! and goes the same way in.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::destinations::SourceConfig;
use super::receive::Receiver;
use super::system::System;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::dicomweb::{self, DicomwebService};
use crate::dicom::net::{Destination, Inbox, Key, Level, NetError, Query, Received, StoreVerdict, move_to};
use crate::ids::AeTitle;
use crate::store::{Case, Store};

/// A series of more images is none that is contoured here.
const MOST_IMAGES: usize = 10_000;
/// UIDs in one request: a list of them is one value (PS3.4 C.2.2.2.2).
const BATCH: usize = 50;

/// Asks the sources.
pub(super) struct Fetcher {
    pub store: Arc<Store>,
    pub sources: Vec<SourceConfig>,
    /// Our own title: where the images are to be sent.
    pub calling: AeTitle,
    /// Where retrieved images go.
    pub inbox: Arc<Receiver>,
    /// Longest file that is retrieved.
    pub max_object_bytes: usize,
    pub shutdown: CancellationToken,
}

impl Fetcher {
    /// Asks until shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_cancelled() {
            match self.store.pg.claim_incomplete().await {
                Ok(Some(case)) => {
                    tokio::select! {
                        () = self.fetch(&case) => {}
                        // It is asked for again after a while.
                        () = self.shutdown.cancelled() => {}
                    }
                }
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, "incomplete series cannot be looked for");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    async fn fetch(&self, case: &Case) {
        let mut said = Vec::new();
        for source in &self.sources {
            let (outcome, any) = match self.ask(case, source).await {
                Ok(Moved { lacking: 0, .. }) => ("it has no image of this series that did not come".to_owned(), false),
                Ok(Moved { lacking, completed, failed }) => (
                    format!("{lacking} images were missing here: {completed} were sent, {failed} failed"),
                    completed > 0,
                ),
                Err(error) => (error.to_string(), false),
            };
            tracing::info!(case = %case.id, source = source.name, outcome, "a source was asked for missing images");
            said.push(format!("asked {} for missing images: {outcome}", source.name));
            if any {
                break;
            }
        }
        let outcome = said.join("\n");
        let record = || self.store.pg.record_fetch(case, &outcome);
        // A failure is in the log already.
        let _ = persist("record what a source was asked for", &self.shutdown, record).await;
    }

    async fn ask(&self, case: &Case, source: &SourceConfig) -> Result<Moved, Trouble> {
        let series = || Query::new(Level::Image).with(Key::Study, &case.study_uid).with(Key::Series, &case.series_uid);
        let images = [series().asking(Key::Instance)];
        let there = source.system.find_each(&self.calling, &images, MOST_IMAGES).await?;
        if there.iter().any(|matches| matches.cut_off) {
            tracing::warn!(case = %case.id, source = source.name, "it does not say all that it has; some may stay missing");
        }
        let there = there.iter().flat_map(|matches| &matches.found);
        let there: BTreeSet<&str> = there.filter_map(|found| found.get(Key::Instance)).collect();
        let rows = self.store.pg.instances_of(&case.series_uid, case.revision).await?;
        let here: BTreeSet<&str> = rows.iter().map(|row| row.sop_instance_uid.as_str()).collect();
        let lacking: Vec<&str> = there.difference(&here).copied().collect();
        let (completed, failed) = match &source.system {
            System::Dimse(entity) => self.have_sent(case, entity, &lacking, &series).await?,
            System::Dicomweb(service) => self.retrieve(case, service, &lacking).await?,
        };
        Ok(Moved { lacking: lacking.len(), completed, failed })
    }

    /// Has images of a series sent to us. How many were sent, and how many were not.
    async fn have_sent(
        &self,
        case: &Case,
        source: &Destination,
        lacking: &[&str],
        series: &(impl Fn() -> Query + Sync),
    ) -> Result<(usize, usize), NetError> {
        let (mut completed, mut failed) = (0, 0);
        for some in lacking.chunks(BATCH) {
            let query = series().with(Key::Instance, &some.join("\\"));
            let progress = |so_far: &crate::dicom::net::Moved| {
                tracing::debug!(source = %source.ae_title, completed = so_far.completed, "missing images arrive");
            };
            let moved = move_to(source, &self.calling, &self.calling, &query, progress).await?;
            for instance in &moved.failed_instances {
                tracing::warn!(case = %case.id, source = %source.ae_title, %instance, "a missing image did not arrive");
            }
            completed += usize::from(moved.completed);
            failed += usize::from(moved.failed);
        }
        Ok((completed, failed))
    }

    /// Retrieves images of a series, and takes them as if they had been sent.
    async fn retrieve(
        &self,
        case: &Case,
        service: &DicomwebService,
        lacking: &[&str],
    ) -> Result<(usize, usize), NetError> {
        let peer = dicomweb::address(service).await?;
        let mut series = dicomweb::retrieve(service, &case.study_uid, &case.series_uid, self.max_object_bytes)?;
        let (mut completed, mut failed) = (0, 0);
        for instance in lacking {
            let object = match series.instance(instance).await {
                Ok(object) => object,
                Err(error @ (NetError::Http { .. } | NetError::Protocol(_))) => {
                    tracing::warn!(case = %case.id, instance, %error, "a missing image was not handed out");
                    failed += 1;
                    continue;
                }
                Err(error) if completed + failed == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(case = %case.id, instance, %error, "the rest of the missing images was not retrieved");
                    return Ok((completed, lacking.len() - completed));
                }
            };
            let received = Received {
                calling: service.ae_title.clone(),
                called: self.calling.clone(),
                peer,
                association: None,
                sop_class: object.sop_class,
                instance: object.instance,
                transfer_syntax: object.transfer_syntax,
                dataset: object.bytes,
            };
            match self.inbox.store(received).await {
                StoreVerdict::Stored | StoreVerdict::AlreadyStored => completed += 1,
                verdict => {
                    tracing::warn!(case = %case.id, instance, ?verdict, "a missing image was not taken");
                    failed += 1;
                }
            }
        }
        Ok((completed, failed))
    }
}

struct Moved {
    lacking: usize,
    completed: usize,
    failed: usize,
}

/// Why a source could not be asked.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
