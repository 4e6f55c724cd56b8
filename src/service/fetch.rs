//! What is asked for at the configured sources, once each: the images of a series that was refused for a gap, and, where its
//! route wants them, the structure sets of a contoured series' study. What they send comes in as everything does; images
//! open the next revision of their series. A DICOMweb service sends nothing: what it has is retrieved, and goes the same way
//! in.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::destinations::SourceConfig;
use super::receive::Receiver;
use super::system::System;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::dicomweb::{self, DicomwebService};
use crate::dicom::net::{Destination, Inbox, Key, Level, Matches, NetError, Query, Received, StoreVerdict, move_to};
use crate::ids::{AeTitle, InstanceUid};
use crate::store::{Beforehand, Case, Store, StoreError};

/// A series of more images is none that is contoured here.
const MOST_IMAGES: usize = 10_000;
/// UIDs in one request: a list of them is one value (PS3.4 C.2.2.2.2).
const BATCH: usize = 50;

/// Asks the sources.
pub(super) struct Fetcher {
    pub store: Arc<Store>,
    pub sources: Vec<SourceConfig>,
    /// The routes whose cases are to have the structure sets of their study beside them.
    pub for_sets: Vec<String>,
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
            let asked = tokio::select! {
                asked = self.ask_next() => asked,
                // What was under way is asked for again after a while.
                () = self.shutdown.cancelled() => return,
            };
            match asked {
                Ok(true) => {}
                Ok(false) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, "what is to be asked for elsewhere cannot be looked for");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    /// Asks for what is due next; whether anything was.
    async fn ask_next(&self) -> Result<bool, StoreError> {
        if let Some(case) = self.store.pg.claim_incomplete().await? {
            self.fetch_images(&case).await;
            return Ok(true);
        }
        if let Some(case) = self.store.pg.claim_for_sets(&self.for_sets).await? {
            self.fetch_sets(&case).await;
            return Ok(true);
        }
        Ok(false)
    }

    async fn fetch_images(&self, case: &Case) {
        let mut said = Vec::new();
        for source in &self.sources {
            let (outcome, any) = match self.images(case, source).await {
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

    async fn fetch_sets(&self, case: &Case) {
        let (mut said, mut failed) = (Vec::new(), false);
        for source in &self.sources {
            let outcome = match self.sets(case, source).await {
                Ok(Moved { lacking: 0, .. }) => "it has none of this study that is not here".to_owned(),
                Ok(Moved { lacking, completed, failed }) => {
                    format!("{lacking} were not here: {completed} were sent, {failed} failed")
                }
                Err(error) => {
                    failed = true;
                    error.to_string()
                }
            };
            tracing::info!(case = %case.id, source = source.name, outcome, "a source was asked for structure sets");
            said.push(format!("asked {} for structure sets: {outcome}", source.name));
        }
        let outcome = said.join("\n");
        let record = || self.store.pg.record_sets_fetch(case.id, &outcome, failed);
        // A failure is in the log already.
        let _ = persist("record what a source was asked for", &self.shutdown, record).await;
    }

    /// The images of a series that a source has and that are not here.
    async fn images(&self, case: &Case, source: &SourceConfig) -> Result<Moved, Trouble> {
        let there = self.instances(case, &case.series_uid, source).await?;
        let rows = self.store.pg.instances_of(&case.series_uid, case.revision).await?;
        let here: BTreeSet<String> = rows.into_iter().map(|row| row.sop_instance_uid).collect();
        let lacking: Vec<&str> = there.difference(&here).map(String::as_str).collect();
        self.bring(case, &case.series_uid, source, &lacking).await
    }

    /// The structure sets of a study that a source has and that are not here; those of our own making are.
    async fn sets(&self, case: &Case, source: &SourceConfig) -> Result<Moved, Trouble> {
        let of_study = Query::new(Level::Series).with(Key::Study, &case.study_uid).with(Key::Modality, "RTSTRUCT");
        let there = source.system.find_each(&self.calling, &[of_study.asking(Key::Series)], MOST_IMAGES).await?;
        self.warn_of_a_part(case, source, &there);
        // A source that leaves the key aside would have the whole study brought.
        let sets = there.iter().flat_map(|matches| &matches.found);
        let sets = sets.filter(|found| found.get(Key::Modality) == Some("RTSTRUCT"));
        let series: BTreeSet<&str> = sets.filter_map(|found| found.get(Key::Series)).collect();
        let mut all = Moved::default();
        for series in series {
            let mut lacking = Vec::new();
            for instance in self.instances(case, series, source).await? {
                let Ok(uid) = InstanceUid::parse(&instance) else { continue };
                if self.store.pg.look_up(&uid).await? == Beforehand::Nothing {
                    lacking.push(instance);
                }
            }
            let lacking: Vec<&str> = lacking.iter().map(String::as_str).collect();
            let moved = self.bring(case, series, source, &lacking).await?;
            all.lacking += moved.lacking;
            all.completed += moved.completed;
            all.failed += moved.failed;
        }
        Ok(all)
    }

    /// The instances of a series that a source has.
    async fn instances(&self, case: &Case, series: &str, source: &SourceConfig) -> Result<BTreeSet<String>, NetError> {
        let of_series = Query::new(Level::Image).with(Key::Study, &case.study_uid).with(Key::Series, series);
        let there = source.system.find_each(&self.calling, &[of_series.asking(Key::Instance)], MOST_IMAGES).await?;
        self.warn_of_a_part(case, source, &there);
        let there = there.iter().flat_map(|matches| &matches.found);
        Ok(there.filter_map(|found| found.get(Key::Instance)).map(str::to_owned).collect())
    }

    fn warn_of_a_part(&self, case: &Case, source: &SourceConfig, there: &[Matches]) {
        if there.iter().any(|matches| matches.cut_off) {
            tracing::warn!(case = %case.id, source = source.name, "it does not say all that it has; some may stay missing");
        }
    }

    /// Brings instances of a series here.
    async fn bring(
        &self,
        case: &Case,
        series: &str,
        source: &SourceConfig,
        lacking: &[&str],
    ) -> Result<Moved, Trouble> {
        let (completed, failed) = match &source.system {
            System::Dimse(entity) => self.have_sent(case, series, entity, lacking).await?,
            System::Dicomweb(service) => self.retrieve(case, series, service, lacking).await?,
        };
        Ok(Moved { lacking: lacking.len(), completed, failed })
    }

    /// Has instances of a series sent to us. How many were sent, and how many were not.
    async fn have_sent(
        &self,
        case: &Case,
        series: &str,
        source: &Destination,
        lacking: &[&str],
    ) -> Result<(usize, usize), NetError> {
        let (mut completed, mut failed) = (0, 0);
        for some in lacking.chunks(BATCH) {
            let of_series = Query::new(Level::Image).with(Key::Study, &case.study_uid).with(Key::Series, series);
            let query = of_series.with(Key::Instance, &some.join("\\"));
            let progress = |so_far: &crate::dicom::net::Moved| {
                tracing::debug!(source = %source.ae_title, completed = so_far.completed, "what was asked for arrives");
            };
            let moved = move_to(source, &self.calling, &self.calling, &query, progress).await?;
            for instance in &moved.failed_instances {
                tracing::warn!(case = %case.id, source = %source.ae_title, %instance, "an instance that was asked for did not arrive");
            }
            completed += usize::from(moved.completed);
            failed += usize::from(moved.failed);
        }
        Ok((completed, failed))
    }

    /// Retrieves instances of a series, and takes them as if they had been sent.
    async fn retrieve(
        &self,
        case: &Case,
        series: &str,
        service: &DicomwebService,
        lacking: &[&str],
    ) -> Result<(usize, usize), NetError> {
        let peer = dicomweb::address(service).await?;
        let mut series = dicomweb::retrieve(service, &case.study_uid, series, self.max_object_bytes)?;
        let (mut completed, mut failed) = (0, 0);
        for instance in lacking {
            let object = match series.instance(instance).await {
                Ok(object) => object,
                Err(error @ (NetError::Http { .. } | NetError::Protocol(_))) => {
                    tracing::warn!(case = %case.id, instance, %error, "an instance was not handed out");
                    failed += 1;
                    continue;
                }
                Err(error) if completed + failed == 0 => return Err(error),
                Err(error) => {
                    tracing::warn!(case = %case.id, instance, %error, "the rest of the instances was not retrieved");
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
                    tracing::warn!(case = %case.id, instance, ?verdict, "an instance was not taken");
                    failed += 1;
                }
            }
        }
        Ok((completed, failed))
    }
}

#[derive(Default)]
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
    Store(#[from] StoreError),
}
