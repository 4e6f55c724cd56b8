//! Contoured cases are carried to the planning CTs of their study.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::carry::{Carriage, CarriedRoi, CarriedSet, CarryOrder};
use super::clock::local_time;
use super::config::{JobsConfig, RouteConfig};
use super::segment::SegmentError;
use super::segmenter::Segmenter;
use super::work::{Trouble, keep_object, on_a_thread};
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::contour::ContourConfig;
use crate::dicom::data::{
    ACCESSION_NUMBER, PatientStudy, Profile, Refusal, RefusalCode, Refusals, Registration, Series, SlicePlanes,
    drawn_planes, planning_ct, read_registration, read_rtstruct,
};
use crate::geometry::Rigid;
use crate::ids::{FrameOfReferenceUid, InstanceUid};
use crate::store::{Case, ClaimedPlanning, DrawnResult, PlanningOutcome, PlanningState, ResultKind, Store, StoreError};

/// Carries contoured cases to the CTs of their study.
pub(super) struct Planner<S> {
    pub store: Arc<Store>,
    pub config: JobsConfig,
    pub routes: Arc<[RouteConfig]>,
    /// The profile of each destination, by the destination's name.
    pub profiles: Arc<BTreeMap<String, Profile>>,
    pub segmenter: Arc<S>,
    pub shutdown: CancellationToken,
}

/// Everything that one piece of work is made from.
struct Material {
    ct: Vec<Bytes>,
    /// The images of the MR series.
    mr: Vec<Bytes>,
    registrations: Vec<Bytes>,
    /// For each structure set of the case: what it is for, its bytes, its derived series, if it lies on one, and what the set
    /// on the CT is called.
    sets: Vec<(Profile, Bytes, Option<Vec<Bytes>>, CarryOrder)>,
    contours: ContourConfig,
    /// What the latest set was made with: the same again makes no new one.
    made_with: Option<String>,
}

/// What came of it.
struct Planned {
    state: PlanningState,
    outcome: String,
    made_with: Option<String>,
    detail: serde_json::Value,
    /// With the profile of each.
    sets: Vec<(String, CarriedSet)>,
}

impl<S: Segmenter> Planner<S> {
    /// Works until shutdown.
    pub async fn run(self) {
        let routes: Vec<String> = self.routes.iter().filter(|r| r.planning_ct).map(|r| r.name.clone()).collect();
        if routes.is_empty() {
            self.shutdown.cancelled().await;
        }
        while !self.shutdown.is_cancelled() {
            match self.store.pg.claim_planning(&routes).await {
                Ok(Some(work)) => {
                    tokio::select! {
                        () = self.work(&work) => {}
                        // It is due again when the daemon runs again, and no attempt is used up.
                        () = self.shutdown.cancelled() => {
                            let release = || self.store.pg.release_planning(work.case.id, work.ct.id);
                            let _ = persist("give a planning CT back", &self.shutdown, release).await;
                        }
                    }
                }
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, "it cannot be looked for contours to be carried to a planning CT");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    async fn work(&self, work: &ClaimedPlanning) {
        let (case, ct) = (work.case.id, &work.ct);
        tracing::info!(%case, ct = %ct.id, attempt = work.attempt, "contours are carried to a planning CT");
        let ended = match self.attempt(work).await {
            Ok(outcome) => outcome,
            Err(Trouble::Refused(why)) => ended(PlanningState::Refused, why.to_string()),
            Err(Trouble::Retry(why)) if i64::from(work.attempt) < i64::from(self.config.max_attempts) => {
                tracing::warn!(%case, ct = %ct.id, why, "the attempt failed and is repeated");
                let delay = self.config.retry().after(work.attempt);
                let why = format!("attempt {} failed: {why}", work.attempt);
                let retry = || self.store.pg.retry_planning(case, ct.id, &why, delay);
                let _ = persist("try a planning CT again", &self.shutdown, retry).await;
                return;
            }
            Err(Trouble::Retry(why) | Trouble::Fail(why)) => ended(PlanningState::Failed, why),
        };
        match ended.state {
            PlanningState::Failed => {
                tracing::error!(%case, ct = %ct.id, why = ended.outcome, "nothing on the planning CT")
            }
            state => tracing::info!(%case, ct = %ct.id, state = state.name(), said = ended.outcome, "planning CT"),
        }
        let record = || self.store.pg.record_planning(case, ct, &ended);
        // A failure is in the log already; then it is due again.
        let _ = persist("record a structure set on a planning CT", &self.shutdown, record).await;
    }

    async fn attempt(&self, work: &ClaimedPlanning) -> Result<PlanningOutcome, Trouble> {
        // Whoever ends the daemon again and again while this is under way must not go on for ever.
        if i64::from(work.attempt) > i64::from(self.config.max_attempts) {
            return Err(Trouble::Fail(format!("given up after {} attempts; see the daemon's log", work.attempt - 1)));
        }
        let drawn = self.store.pg.drawn_results(work.case.id).await?;
        let material = self.material(work, &drawn).await?;
        let planned = on_a_thread(move || material.plan()).await?;
        let mut results = Vec::new();
        for (profile, set) in planned.sets {
            let to = drawn.iter().find(|r| r.kind == ResultKind::StructureSet && r.profile == profile);
            let to = to.map(|r| r.destinations.clone()).unwrap_or_default();
            let kind = ResultKind::PlanningSet;
            results.push(keep_object(&self.store, work.case.id, kind, set.object, &profile, &to).await?);
        }
        let Planned { state, outcome, made_with, detail, .. } = planned;
        Ok(PlanningOutcome { state, outcome, detail, made_with, results })
    }

    /// Reads everything from the store.
    async fn material(&self, work: &ClaimedPlanning, drawn: &[DrawnResult]) -> Result<Material, Trouble> {
        let case = &work.case;
        let mut sets = Vec::new();
        for set in drawn.iter().filter(|r| r.kind == ResultKind::StructureSet) {
            let profile = self.profiles.values().find(|profile| profile.name == set.profile);
            let profile = profile.ok_or_else(|| {
                Trouble::Fail(format!("the profile {:?} of its structure set is no longer configured", set.profile))
            })?;
            let bytes = self.store.blobs.get(&set.blob_key, &set.sha256).await?;
            let on = read_rtstruct(&bytes).map_err(|e| Trouble::Fail(e.to_string()))?.referenced_series;
            let mut slices = Vec::new();
            let derived = |r: &&DrawnResult| {
                r.kind == ResultKind::DerivedImage && on.as_ref().is_some_and(|on| on.as_str() == r.series_uid)
            };
            for slice in drawn.iter().filter(derived) {
                slices.push(self.store.blobs.get(&slice.blob_key, &slice.sha256).await?);
            }
            let predecessor = work.predecessors.get(&set.profile).map(|uid| InstanceUid::parse(uid)).transpose();
            let order = CarryOrder {
                model_name: case.model_name.clone().unwrap_or_default(),
                model_digest: case.model_digest.clone().unwrap_or_default(),
                config_digest: self.segmenter.config_digest(),
                revision: u32::try_from(case.revision).unwrap_or(1),
                predecessor: predecessor.map_err(|e| Trouble::Fail(e.to_string()))?,
                created: local_time(work.asked_at),
            };
            sets.push((profile.clone(), bytes, Some(slices).filter(|slices| !slices.is_empty()), order));
        }
        let mut registrations = Vec::new();
        for registration in &work.registrations {
            registrations.extend(files_of(&self.store, registration).await?);
        }
        Ok(Material {
            ct: files_of(&self.store, &work.ct).await?,
            mr: files_of(&self.store, case).await?,
            registrations,
            sets,
            contours: self.segmenter.contours(),
            made_with: work.made_with.clone(),
        })
    }
}

/// The files of a case's series.
async fn files_of(store: &Store, case: &Case) -> Result<Vec<Bytes>, StoreError> {
    let mut files = Vec::new();
    for row in store.pg.instances_of(&case.series_uid, case.revision).await? {
        files.push(store.blobs.get(&row.blob_key, &row.sha256).await?);
    }
    Ok(files)
}

fn ended(state: PlanningState, outcome: String) -> PlanningOutcome {
    PlanningOutcome { state, outcome, detail: json!({}), made_with: None, results: Vec::new() }
}

/// The way from the MR to the CT.
struct Way {
    rigid: Rigid,
    /// The registration that says so; `None` when both share a frame.
    registration: Option<Registration>,
    /// How many registrations tie the two together.
    of: usize,
}

impl Way {
    /// `None`: nothing ties the two frames together.
    fn find(
        registrations: Vec<Registration>,
        from: &FrameOfReferenceUid,
        to: &FrameOfReferenceUid,
    ) -> Result<Option<Self>, Refusals> {
        if from == to {
            return Ok(Some(Self { rigid: Rigid::identity(from.clone()), registration: None, of: 0 }));
        }
        let mut fitting = Vec::new();
        let mut unfit = Vec::new();
        for registration in registrations {
            match registration.between(from, to) {
                Ok(Some(rigid)) => fitting.push((rigid, registration)),
                Ok(None) => {}
                Err(refusal) => unfit.push(refusal),
            }
        }
        let of = fitting.len();
        // Made in the same second: any of them, but always the same.
        let newest = fitting.into_iter().max_by(|(_, a), (_, b)| (&a.made, a.uid()).cmp(&(&b.made, b.uid())));
        match newest {
            Some((rigid, registration)) => Ok(Some(Self { rigid, registration: Some(registration), of })),
            None if unfit.is_empty() => Ok(None),
            None => Err(Refusals(unfit)),
        }
    }

    fn in_words(&self) -> String {
        let Some(registration) = &self.registration else {
            return "in the frame of reference that MR and CT share".to_owned();
        };
        let newest = if self.of > 1 { format!(", the newest of {}", self.of) } else { String::new() };
        let (uid, made) = (registration.uid(), registration.made_in_words());
        format!("through registration {uid} of {made}{newest}, which turns by {:.1} degrees", self.rigid.turn_degrees())
    }
}

impl Material {
    /// The structure sets on the CT.
    fn plan(self) -> Result<Planned, SegmentError> {
        let patient = |files: &[Bytes]| files.first().map(|file| PatientStudy::of_file(file)).transpose();
        let ours = patient(&self.mr).map_err(Refusals::from)?;
        let ct = planning_ct(&self.ct)?;
        let read = self.registrations.iter().filter_map(|file| read_registration(file).ok());
        let (same, others): (Vec<_>, Vec<_>) = read.partition(|r| {
            ours.as_ref().is_some_and(|p| p.study == r.header.study && p.patient_id == r.header.patient_id)
        });
        if !ours.as_ref().is_some_and(|ours| same_patient(ours, &ct.attributes.patient)) {
            let message = "the CT names another patient or study than the MR; have the archive correct them";
            return Err(Refusals(vec![Refusal::new(RefusalCode::SeveralPatients, message)]).into());
        }
        let acquired = drawn_planes(&self.mr)?;
        let Some(way) = Way::find(same, acquired.grid.frame(), ct.frame())? else {
            let other = if others.is_empty() { "" } else { "; what came names another patient" };
            let outcome =
                format!("waits for a rigid registration between the MR's frame of reference and the CT's{other}");
            let (state, detail) = (PlanningState::Waiting, json!({}));
            return Ok(Planned { state, outcome, made_with: None, detail, sets: Vec::new() });
        };
        let made_with = way.registration.as_ref().map(|r| r.uid().to_string()).unwrap_or_default();
        let known = self.made_with.as_ref() == Some(&made_with);
        let sets = self.sets(&ct, &acquired, &way)?;
        let told = sets.first().map(|(_, set)| set.rois.as_slice()).unwrap_or_default();
        let outcome = words(&way, told);
        let detail = json!({
            "registration": way.registration.as_ref().map(Registration::uid),
            "turn_degrees": way.rigid.turn_degrees(),
            "structures": told,
        });
        let sets = if known { Vec::new() } else { sets };
        Ok(Planned { state: PlanningState::Made, outcome, made_with: Some(made_with), detail, sets })
    }

    fn sets(&self, ct: &Series, acquired: &SlicePlanes, way: &Way) -> Result<Vec<(String, CarriedSet)>, SegmentError> {
        let mut made = Vec::new();
        for (profile, bytes, derived, order) in &self.sets {
            let set = read_rtstruct(bytes).map_err(|e| SegmentError::Bug(e.to_string()))?;
            let derived = derived.as_ref().map(|files| drawn_planes(files)).transpose()?;
            let carriage = Carriage {
                set: &set,
                drawn_on: derived.as_ref().unwrap_or(acquired),
                ct,
                way: &way.rigid,
                registration: way.registration.as_ref().map(Registration::uid),
                profile,
                contours: &self.contours,
                order,
            };
            made.push((profile.name.clone(), carriage.carry()?));
        }
        Ok(made)
    }
}

/// The same study and number, and nothing that speaks against it. Parts of one study may have accession numbers of their own.
fn same_patient(a: &PatientStudy, b: &PatientStudy) -> bool {
    let against = a.contradictions(b);
    a.study == b.study && a.patient_id == b.patient_id && against.iter().all(|what| *what == ACCESSION_NUMBER)
}

fn words(way: &Way, rois: &[CarriedRoi]) -> String {
    let remarks: Vec<String> =
        rois.iter().flat_map(|roi| roi.remarks.iter().map(move |r| format!("{}: {r}", roi.name))).collect();
    let remarks = if remarks.is_empty() { String::new() } else { format!("\n{}", remarks.join("\n")) };
    format!("{}{remarks}", way.in_words())
}
