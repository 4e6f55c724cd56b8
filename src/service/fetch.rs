//! Missing images: a series that was refused for a gap is asked for at the configured sources, once. What they send comes in
//! as everything does, and opens the next revision of the series.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::destinations::SourceConfig;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::net::{Key, Level, NetError, Query, find, move_to};
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
        let there = find(&source.system, &self.calling, &series().asking(Key::Instance), MOST_IMAGES).await?;
        let there: BTreeSet<&str> = there.found.iter().filter_map(|found| found.get(Key::Instance)).collect();
        let rows = self.store.pg.instances_of(&case.series_uid, case.revision).await?;
        let here: BTreeSet<&str> = rows.iter().map(|row| row.sop_instance_uid.as_str()).collect();
        let lacking: Vec<&str> = there.difference(&here).copied().collect();
        let mut sum = Moved { lacking: lacking.len(), completed: 0, failed: 0 };
        for some in lacking.chunks(BATCH) {
            let query = series().with(Key::Instance, &some.join("\\"));
            let progress = |so_far: &crate::dicom::net::Moved| {
                tracing::debug!(source = source.name, completed = so_far.completed, "missing images arrive");
            };
            let moved = move_to(&source.system, &self.calling, &self.calling, &query, progress).await?;
            for instance in &moved.failed_instances {
                tracing::warn!(case = %case.id, source = source.name, %instance, "a missing image did not arrive");
            }
            sum.completed += usize::from(moved.completed);
            sum.failed += usize::from(moved.failed);
        }
        Ok(sum)
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
