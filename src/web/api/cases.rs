//! Cases: the list, and one.

use axum::extract::State;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Path, Query, case_of};
use crate::dicom::data::{PlainWords, Refusal, Refusals};
use crate::store::{CaseRole, CaseState, CaseView, DeliveryView, PlanningView, PriorSetView, Release, Retriable};
use crate::web::WebState;
use crate::web::error::ApiError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    before: Option<Uuid>,
}

#[derive(Serialize)]
pub(super) struct Page {
    cases: Vec<CaseJson>,
    /// The `before` of the next page; none when this is the last.
    next: Option<Uuid>,
    total: i64,
}

/// A case as the reviewer sees it: with the patient's name, which is why this is served on loopback only.
#[derive(Serialize)]
struct CaseJson {
    id: Uuid,
    /// Whether it is to be contoured, or kept for planning.
    role: CaseRole,
    state: CaseState,
    state_in_words: &'static str,
    reason: Option<String>,
    age_seconds: f64,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    finished_at: Option<OffsetDateTime>,
    patient_id: String,
    patient_name: String,
    series_description: String,
    study_uid: String,
    series_uid: String,
    revision: i32,
    route: String,
    priority: i16,
    /// The models of its route, where there are several: each has a case of its own.
    models: Vec<String>,
    /// The one that this case is for.
    model: Option<String>,
    calling_ae: String,
    model_name: Option<String>,
    model_digest: Option<String>,
    structures_total: i64,
    structures_found: i64,
    structures_reviewed: i64,
}

#[derive(Serialize)]
pub(super) struct OneCase {
    #[serde(flatten)]
    case: CaseJson,
    refusals: serde_json::Value,
    /// The refusals without technical terms.
    in_plain_words: Vec<PlainWords>,
    /// What is odd about the images that were contoured all the same.
    warnings: Vec<String>,
    /// What was recognised in its first header, and what each route said.
    routing: Vec<String>,
    deliveries: Vec<DeliveryView>,
    /// What another attempt would begin with; none when there is nothing to retry.
    retry: Option<Retriable>,
    /// Who let it go, when it had been held.
    release: Option<Release>,
    /// What became of its contours on the planning CTs of its study.
    planning: Vec<PlanningView>,
    /// What asking elsewhere for missing images of its series came to.
    fetched: Option<String>,
    /// Structure sets of its study that others made.
    prior_sets: Vec<PriorSetView>,
    /// What asking elsewhere for such sets came to.
    sets_fetched: Option<String>,
}

/// Where a series stands; one that is kept is not contoured but looked at.
const fn in_words(state: CaseState, role: CaseRole) -> &'static str {
    match (state, role) {
        (CaseState::Kept, CaseRole::PlanningCt) => "planning CT, kept for planning",
        (CaseState::Kept, CaseRole::Registration) => "registration, kept for planning",
        (CaseState::Kept, CaseRole::StructureSet) => "another's structure set, kept",
        (state, CaseRole::Contours) => state_in_words(state),
        (CaseState::Queued, _) => "waits to be looked at",
        (CaseState::Segmenting, _) => "being looked at",
        (state, _) => state_in_words(state),
    }
}

const fn state_in_words(state: CaseState) -> &'static str {
    match state {
        CaseState::Receiving => "images are arriving",
        CaseState::Queued => "waits to be contoured",
        CaseState::Segmenting => "being contoured",
        CaseState::Held => "held for a person",
        CaseState::Delivering => "being delivered",
        CaseState::Delivered => "delivered",
        CaseState::Sent => "sent, not confirmed",
        CaseState::Kept => "kept for planning",
        CaseState::Refused => "refused",
        CaseState::Failed => "failed",
        CaseState::Superseded => "replaced by a later revision",
    }
}

impl From<CaseView> for CaseJson {
    fn from(view: CaseView) -> Self {
        let CaseView { case, age_seconds, structures_total, structures_found, structures_reviewed } = view;
        let model = case.model().map(str::to_owned);
        Self {
            id: case.id,
            state: case.state,
            role: case.role,
            state_in_words: in_words(case.state, case.role),
            reason: case.reason,
            age_seconds,
            received_at: case.received_at,
            finished_at: case.finished_at,
            patient_id: case.patient_id.0.reveal().clone(),
            patient_name: readable(case.patient_name.0.reveal()),
            series_description: case.series_description,
            study_uid: case.study_uid,
            series_uid: case.series_uid,
            revision: case.revision,
            route: case.route,
            priority: case.priority,
            model,
            models: case.models,
            calling_ae: case.calling_ae,
            model_name: case.model_name,
            model_digest: case.model_digest,
            structures_total,
            structures_found,
            structures_reviewed,
        }
    }
}

/// A DICOM person name (family^given^middle^prefix^suffix, representations separated by =) for the eye.
fn readable(name: &str) -> String {
    let first = name.split('=').find(|group| !group.trim().is_empty()).unwrap_or_default();
    let mut parts = first.split('^').map(str::trim);
    let family = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.filter(|p| !p.is_empty()).collect();
    match (family.is_empty(), rest.is_empty()) {
        (_, true) => family.to_owned(),
        (true, false) => rest.join(" "),
        (false, false) => format!("{family}, {}", rest.join(" ")),
    }
}

pub(super) async fn list(
    State(state): State<WebState>,
    Query(Before { before }): Query<Before>,
) -> Result<Json<Page>, ApiError> {
    if let Some(id) = before {
        case_of(&state, id).await?;
    }
    let size = state.config.cases_per_page;
    let total = state.store.case_count().await?;
    // One more than shown tells whether there is a next page.
    let mut cases = state.store.case_page(before, size + 1).await?;
    let more = cases.len() > size as usize;
    cases.truncate(size as usize);
    let next = if more { cases.last().map(|c| c.case.id) } else { None };
    Ok(Json(Page { cases: cases.into_iter().map(CaseJson::from).collect(), next, total }))
}

pub(super) async fn one(State(state): State<WebState>, Path(id): Path<Uuid>) -> Result<Json<OneCase>, ApiError> {
    let view = case_of(&state, id).await?;
    let deliveries = state.store.delivery_progress(id).await?;
    let refusals = view.case.refusals.clone();
    // Of another version, in words that this one does not know: then the technical ones stand alone.
    let known: Vec<Refusal> = serde_json::from_value(refusals.clone()).unwrap_or_default();
    let in_plain_words = Refusals(known).plain();
    let warnings = view.case.warnings();
    let routing = state.store.routing_of_case(&view.case).await?;
    let retry = state.store.retriable(id).await?;
    let release = state.store.release_of(id).await?;
    let fetched = state.store.fetch_of(&view.case.series_uid).await?;
    let planning = state.store.plannings_of(id).await?;
    let prior_sets = state.store.prior_sets_of(id).await?;
    let sets_fetched = state.store.sets_fetch_of(id).await?;
    let case = view.into();
    Ok(Json(OneCase {
        case,
        refusals,
        in_plain_words,
        warnings,
        routing,
        deliveries,
        retry,
        release,
        planning,
        fetched,
        prior_sets,
        sets_fetched,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn person_names_are_made_readable() {
        for (dicom, shown) in [
            ("Doe^Jane", "Doe, Jane"),
            ("Doe^Jane^Q^Dr.", "Doe, Jane Q Dr."),
            ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
            ("=山田^太郎", "山田, 太郎"),
            ("^Jane", "Jane"),
            ("ANON", "ANON"),
            ("", ""),
        ] {
            assert_eq!(readable(dicom), shown, "{dicom}");
        }
    }

    #[test]
    fn every_state_has_words_of_its_own() {
        let words: std::collections::BTreeSet<&str> = CaseState::ALL.iter().map(|s| state_in_words(*s)).collect();
        assert_eq!(words.len(), CaseState::ALL.len());
    }
}
