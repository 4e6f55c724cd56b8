//! The worker: claims a complete series, segments it on a thread of its own, and commits what came of it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::clock::local_time;
use super::config::{JobsConfig, RouteConfig};
use super::look::{Kept, look_at};
use super::recipe::{Order, Wanted};
use super::route::model_of;
use super::segment::{SegmentError, Segmentation};
use super::segmenter::Segmenter;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::data::{EncodedInstance, Profile, Refusal, Refusals, Series, assemble, parse_instances};
use crate::ids::{InstanceUid, sha256_hex};
use crate::store::{
    BlobKey, CaseResult, CaseRole, ClaimedJob, ErrorClass, Finished, NewResult, NewStructure, ResultKind, Store,
    StoreError,
};

/// How an attempt ended without a result.
pub(super) enum Trouble {
    /// The input is not fit.
    Refused(Refusals),
    /// May go better next time.
    Retry(String),
    /// Will go the same way next time.
    Fail(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error.class() {
            ErrorClass::Retry => Trouble::Retry(error.to_string()),
            ErrorClass::Permanent => Trouble::Fail(error.to_string()),
        }
    }
}

impl From<SegmentError> for Trouble {
    fn from(error: SegmentError) -> Self {
        match error {
            SegmentError::Refused(refusals) => Trouble::Refused(refusals),
            // The networks ran when the daemon started: memory or a device is short for now, or a file went away.
            SegmentError::Inference(error) => Trouble::Retry(error.to_string()),
            SegmentError::Bug(_) => Trouble::Fail(error.to_string()),
        }
    }
}

/// What an attempt came to.
enum Ended {
    /// The series has contours.
    Contoured(CaseResult),
    /// It is kept for planning; what it is, in words.
    Kept(Kept),
}

/// One worker.
pub(super) struct Worker<S> {
    pub store: Arc<Store>,
    pub config: JobsConfig,
    pub routes: Arc<[RouteConfig]>,
    /// The profile of each destination, by the destination's name.
    pub profiles: Arc<BTreeMap<String, Profile>>,
    pub segmenter: Arc<S>,
    pub shutdown: CancellationToken,
    pub holder: Uuid,
}

impl<S: Segmenter> Worker<S> {
    /// Works until shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_cancelled() {
            match self.store.pg.claim_job(self.holder, self.config.lease()).await {
                Ok(Some(job)) => self.work(job).await,
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, "no job can be claimed");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    async fn work(&self, job: ClaimedJob) {
        let case = job.case.id;
        tracing::info!(%case, attempt = job.attempt, revision = job.case.revision, "segmentation begins");
        let outcome = tokio::select! {
            outcome = self.attempt(&job) => outcome,
            () = self.hold(case) => {
                tracing::error!(%case, "the lease of the job was lost; its result is thrown away");
                return;
            }
            () = self.drained() => {
                tracing::info!(%case, "segmentation is given up because of the shutdown");
                let release = || self.store.pg.release_job(case, self.holder);
                // A failure is in the log already; then the lease runs out.
                let _ = persist("give a job back", &self.shutdown, release).await;
                return;
            }
        };
        let ended = match outcome {
            Ok(Ended::Contoured(result)) => self.finish(case, &result).await,
            Ok(Ended::Kept(kept)) => self.keep_beside(case, &kept).await,
            Err(trouble) => Err(trouble),
        };
        if let Err(trouble) = ended {
            self.end_without_result(&job, trouble).await;
        }
    }

    async fn finish(&self, case: Uuid, result: &CaseResult) -> Result<(), Trouble> {
        let finish = || self.store.pg.finish_job(case, self.holder, result);
        match persist("record a result", &self.shutdown, finish).await {
            Ok(Finished::Recorded) => tracing::info!(%case, "the result is recorded and on its way"),
            Ok(Finished::Held) => {
                let reason = result.held.as_deref().unwrap_or_default();
                tracing::warn!(%case, reason, "the result is held: nothing is sent before a person releases it");
            }
            Ok(Finished::Superseded) => tracing::info!(%case, "late slices superseded this revision"),
            // Another worker has the job, so it is no longer ours to end.
            Err(StoreError::LeaseLost(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn keep_beside(&self, case: Uuid, Kept { said, sets }: &Kept) -> Result<(), Trouble> {
        tracing::info!(%case, said, "the series is kept");
        let keep = || self.store.pg.keep_job(case, self.holder, said, sets);
        match persist("record a series that is kept", &self.shutdown, keep).await {
            // Another worker has the job, so it is no longer ours to end.
            Ok(()) | Err(StoreError::LeaseLost(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn end_without_result(&self, job: &ClaimedJob, trouble: Trouble) {
        let (case, pg) = (job.case.id, &self.store.pg);
        let last = i64::from(job.attempt) >= i64::from(self.config.max_attempts);
        let failure = match trouble {
            Trouble::Refused(refusals) => {
                let reason = refusals.to_string();
                tracing::warn!(%case, reason, "the series was refused");
                let list = serde_json::to_value(&refusals.0).unwrap_or(Value::Null);
                let notice = self.notice(job, &refusals).await.unwrap_or_else(|why| {
                    // The refusal itself matters more than the report about it.
                    tracing::error!(%case, why, "no report about the refusal can be made");
                    None
                });
                let refuse = || pg.refuse_job(case, self.holder, &reason, &list, notice.as_ref());
                let _ = persist("record a refusal", &self.shutdown, refuse).await;
                return;
            }
            Trouble::Retry(reason) if !last => {
                tracing::warn!(%case, reason, "the attempt failed and is repeated");
                let delay = self.config.retry().after(job.attempt);
                let reason = format!("attempt {} failed: {reason}", job.attempt);
                let retry = || pg.retry_job(case, self.holder, &reason, delay);
                let _ = persist("give a job back", &self.shutdown, retry).await;
                return;
            }
            Trouble::Retry(reason) => format!("given up after {} attempts: {reason}", job.attempt),
            Trouble::Fail(reason) => reason,
        };
        tracing::error!(%case, reason = failure, "the case failed");
        let fail = || pg.fail_job(case, self.holder, &failure);
        let _ = persist("record a failure", &self.shutdown, fail).await;
    }

    async fn attempt(&self, job: &ClaimedJob) -> Result<Ended, Trouble> {
        // Whoever kills the daemon does not fail its cases; a case that kills it again and again must not go on for ever.
        if i64::from(job.interruptions) > i64::from(self.config.max_interruptions) {
            return Err(Trouble::Fail(format!(
                "given up: the daemon ended {} times while it worked on this series (jobs.max_interruptions); look in its \
                 log, and in the system's for a lack of memory",
                job.interruptions
            )));
        }
        let name = &job.case.route;
        let route = self.routes.iter().find(|route| route.name == *name);
        let route = route.ok_or_else(|| Trouble::Fail(format!("the route {name:?} is no longer configured")))?;
        let mut files = Vec::new();
        for row in self.store.pg.instances_of(&job.case.series_uid, job.case.revision).await? {
            files.push(self.store.blobs.get(&row.blob_key, &row.sha256).await?);
        }
        let noted = self.store.pg.refused_instances_of(&job.case.series_uid).await?;
        let damaged: Result<Vec<Refusal>, _> = noted.into_iter().map(serde_json::from_value).collect();
        let damaged = damaged.map_err(|e| {
            // Passing over it would contour a series as if it had come whole.
            Trouble::Fail(format!("an instance was refused when it came, and the record of why cannot be read: {e}"))
        })?;
        let role = job.case.role;
        if role != CaseRole::Contours {
            let look = move || sound(damaged).and_then(|()| look_at(role, &files)).map_err(SegmentError::from);
            return on_a_thread(look).await.map(Ended::Kept);
        }
        let order = order_of(job, self.profiles_of(route)?)?;
        let (model, segmenter) = (model_of(&job.case, route), Arc::clone(&self.segmenter));
        let segment = move || {
            let series = series_of(&files, damaged)?;
            drop(files);
            segmenter.segment(&series, model.as_deref(), &order)
        };
        let segmentation = on_a_thread(segment).await?;
        self.keep(job.case.id, segmentation, &self.receivers(route)).await.map(Ended::Contoured)
    }

    /// Writes the objects that were made. Their rows follow; files without a row do no harm.
    /// `receivers` are the destinations of each profile.
    async fn keep(
        &self,
        case: Uuid,
        made: Segmentation,
        receivers: &BTreeMap<String, Vec<String>>,
    ) -> Result<CaseResult, Trouble> {
        let json = |value: serde_json::Result<Value>| {
            value.map_err(|e| Trouble::Fail(format!("the report cannot be written: {e}")))
        };
        let mut structures = Vec::new();
        for found in &made.report.structures {
            let contours = made.contours.get(&found.structure);
            structures.push(NewStructure {
                structure: found.structure,
                volume_cc: found.found.then_some(found.volume_cc),
                agreement: found.agreement,
                report: json(serde_json::to_value(found))?,
                contours: json(serde_json::to_value(contours.map(Vec::as_slice).unwrap_or_default()))?,
            });
        }
        let mut results: Vec<NewResult> = Vec::new();
        for package in made.packages {
            let to = receivers.get(&package.profile).map(Vec::as_slice).unwrap_or_default();
            let derived = package.derived.into_iter().map(|object| (ResultKind::DerivedImage, object));
            let segmentation = package.segmentation.map(|object| (ResultKind::Segmentation, object));
            let structure_set = (ResultKind::StructureSet, package.structure_set);
            for (kind, object) in derived.chain([structure_set]).chain(segmentation) {
                // Packages on the same derived series share its slices.
                match results.iter_mut().find(|made| made.instance == object.instance) {
                    Some(same) => same.destinations.extend_from_slice(to),
                    None => results.push(keep_object(&self.store, case, kind, object, &package.profile, to).await?),
                }
            }
        }
        Ok(CaseResult {
            model_name: made.report.model.clone(),
            model_digest: made.report.model_digest.clone(),
            config_digest: self.segmenter.config_digest(),
            report: json(serde_json::to_value(&made.report))?,
            structures,
            results,
            held: made.report.held(),
        })
    }

    /// The destinations of a route by the name of their profile.
    fn receivers(&self, route: &RouteConfig) -> BTreeMap<String, Vec<String>> {
        let mut receivers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in &route.destinations {
            if let Some(profile) = self.profiles.get(name) {
                receivers.entry(profile.name.clone()).or_default().push(name.clone());
            }
        }
        receivers
    }

    /// The profiles of a route's destinations, each once, in their order: the first is what people are shown.
    fn profiles_of(&self, route: &RouteConfig) -> Result<Vec<Profile>, Trouble> {
        let mut profiles: Vec<Profile> = Vec::new();
        for name in &route.destinations {
            let profile = self.profiles.get(name);
            let profile =
                profile.ok_or_else(|| Trouble::Fail(format!("the destination {name:?} is not configured")))?;
            if !profiles.iter().any(|known| known.name == profile.name) {
                profiles.push(profile.clone());
            }
        }
        Ok(profiles)
    }

    /// Extends the lease as long as it is ours; ends when it is not.
    async fn hold(&self, case: Uuid) {
        loop {
            tokio::time::sleep(self.config.lease() / 3).await;
            match self.store.pg.extend_job(case, self.holder, self.config.lease()).await {
                Ok(()) => {}
                Err(StoreError::LeaseLost(_)) => return,
                Err(error) => tracing::warn!(%case, %error, "the lease could not be extended"),
            }
        }
    }

    /// Ends when a shutdown was asked for and the time to finish is over.
    async fn drained(&self) {
        self.shutdown.cancelled().await;
        tokio::time::sleep(Duration::from_secs(self.config.drain_seconds)).await;
    }
}

/// Writes an object that was made for a case; its row follows.
pub(super) async fn keep_object(
    store: &Store,
    case: Uuid,
    kind: ResultKind,
    object: EncodedInstance,
    profile: &str,
    destinations: &[String],
) -> Result<NewResult, StoreError> {
    let sha256 = sha256_hex(&object.bytes);
    let key = BlobKey::result(case, &object.instance, &sha256);
    let byte_count = object.bytes.len() as u64;
    store.blobs.put(&key, Bytes::from(object.bytes)).await?;
    Ok(NewResult {
        kind,
        sop_class: object.sop_class,
        instance: object.instance,
        series: object.series,
        blob_key: key.as_str().to_owned(),
        sha256,
        byte_count,
        profile: profile.to_owned(),
        destinations: destinations.to_vec(),
    })
}

/// Refuses a series of which an instance was refused when it came.
fn sound(damaged: Vec<Refusal>) -> Result<(), Refusals> {
    if damaged.is_empty() { Ok(()) } else { Err(Refusals(damaged)) }
}

/// The series, or every reason why there is none: also those for which an instance was refused when it came.
fn series_of(files: &[Bytes], damaged: Vec<Refusal>) -> Result<Series, Refusals> {
    if damaged.is_empty() {
        return assemble(parse_instances(files)?);
    }
    let mut all = damaged;
    if !files.is_empty()
        && let Err(more) = parse_instances(files)
    {
        all.extend(more.0);
    }
    Err(Refusals(all))
}

/// What names this result: everything in it is in the database, so that a second attempt names it the same.
fn order_of(job: &ClaimedJob, profiles: Vec<Profile>) -> Result<Order, Trouble> {
    let wanted = profiles.into_iter().map(|profile| {
        let predecessor = job.predecessors.get(&profile.name).map(|uid| InstanceUid::parse(uid)).transpose();
        Ok::<_, Trouble>(Wanted { profile, predecessor: predecessor.map_err(|e| Trouble::Fail(e.to_string()))? })
    });
    Ok(Order {
        revision: u32::try_from(job.case.revision).unwrap_or(1),
        wanted: wanted.collect::<Result<_, _>>()?,
        created: local_time(job.created_at),
    })
}

/// Runs what takes long on a thread rather than as a blocking task: the process may end while it is still computing.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SegmentError> + Send + 'static,
) -> Result<T, Trouble> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        // Nobody listens any more after a shutdown or a lost lease.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(work)));
    };
    std::thread::Builder::new()
        .name("segment".into())
        .spawn(work)
        .map_err(|e| Trouble::Retry(format!("no thread could be started: {e}")))?;
    match told.await {
        Ok(Ok(made)) => Ok(made?),
        Ok(Err(panicked)) => Err(Trouble::Retry(format!("internal fault: {}", words_of(panicked.as_ref())))),
        Err(_) => Err(Trouble::Retry("internal fault: the work ended without an answer".into())),
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
