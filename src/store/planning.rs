//! Structure sets on planning CTs: which contoured case waits for which CT, and what became of it.
//!
//! A contoured case, a kept CT of its study and the kept registrations of the study make one piece of work. It is due
//! once all three are there, in whatever order they came, and due anew when other registrations are. One daemon works on
//! a database: what it had under way when it ended is due again, as a further attempt.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::audit;
use super::jobs::{insert_result, newer_revision};
use super::outbox::settle_case;
use super::postgres::{failed, lock_case};
use super::release::fill_outbox;
use super::rows::named;
use super::{Case, NewResult, PgStore, StoreError, UnknownName};
use crate::ids::SeriesUid;

named!(
    /// What became of a contoured case on a CT.
    PlanningState, "state of a planning" {
        /// It is being made, or will be tried again.
        UnderWay = "under_way",
        /// There is a structure set on the CT.
        Made = "made",
        /// No registration ties the two frames of reference together yet.
        Waiting = "waiting",
        /// The CT or the registration does not fit; the outcome says why.
        Refused = "refused",
        /// A fault of ours.
        Failed = "failed",
    }
);

/// A contoured case and a CT, taken up by the daemon.
#[derive(Debug, Clone)]
pub struct ClaimedPlanning {
    /// The contoured case.
    pub case: Case,
    /// The case of the CT.
    pub ct: Case,
    /// The cases of the study's registrations.
    pub registrations: Vec<Case>,
    /// 1 for the first attempt.
    pub attempt: i32,
    /// Dates the structure set.
    pub asked_at: OffsetDateTime,
    /// The registration of the latest set that was made; empty when both share a frame; `None`: there is no set.
    pub made_with: Option<String>,
    /// By profile, the latest structure set of the series on this CT, by the same model, that a destination has accepted.
    pub predecessors: BTreeMap<String, String>,
}

/// A result of the contoured case that is to be carried: a structure set or a slice of a derived series.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DrawnResult {
    /// `structure_set` or `derived_image`.
    #[sqlx(try_from = "String")]
    pub kind: super::ResultKind,
    /// Series Instance UID.
    pub series_uid: String,
    /// Where the Part 10 file lies.
    pub blob_key: String,
    /// Its SHA-256.
    pub sha256: String,
    /// The destination profile that it was made for.
    pub profile: String,
    /// Where it is sent.
    pub destinations: Vec<String>,
}

/// What became of a contoured case on a CT.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanningOutcome {
    /// Which way it ended.
    pub state: PlanningState,
    /// In words, without patient data.
    pub outcome: String,
    /// Numbers for the page.
    pub detail: Value,
    /// The registration that was used; empty when both share a frame; `None` when nothing was made.
    pub made_with: Option<String>,
    /// The structure sets, whose bytes lie on disk already.
    pub results: Vec<NewResult>,
}

/// What is shown of a contoured case on a CT.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct PlanningView {
    /// The case of the CT.
    pub ct_case: Uuid,
    /// Series Instance UID of the CT.
    pub ct_series: String,
    /// Its Series Description.
    pub ct_description: String,
    /// Which way it ended.
    #[sqlx(try_from = "String")]
    pub state: PlanningState,
    /// In words; `None` before the first attempt ended.
    pub outcome: Option<String>,
    /// Numbers.
    pub detail: Value,
}

#[derive(FromRow)]
struct Claimed {
    case_id: Uuid,
    ct_case: Uuid,
    considered: Vec<Uuid>,
    attempts: i32,
    asked_at: OffsetDateTime,
    made_with: Option<String>,
}

const ACTION: &str = "record a structure set on a planning CT";

impl PgStore {
    /// Takes up what is due of the cases on these routes, the oldest first; counts the attempt.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_planning(&self, routes: &[String]) -> Result<Option<ClaimedPlanning>, StoreError> {
        const ACTION: &str = "look for contours to be carried to a planning CT";
        let claimed: Option<Claimed> = sqlx::query_as(
            "insert into plannings (case_id, ct_case, considered)
             select m.id, c.id, regs.ids
             from cases m join cases c on c.study_uid = m.study_uid and c.role = 'planning_ct' and c.state = 'kept'
                                      and c.purged_at is null
             cross join lateral (
                 select coalesce(array_agg(r.id order by r.id), '{}') as ids from cases r
                 where r.study_uid = m.study_uid and r.role = 'registration' and r.state = 'kept'
                   and r.purged_at is null) regs
             left join plannings p on p.case_id = m.id and p.ct_case = c.id
             where m.role = 'contours' and m.route = any($1) and m.purged_at is null
               and m.state in ('held', 'delivering', 'delivered', 'sent', 'failed')
               and exists (select from results s where s.case_id = m.id and s.kind = 'structure_set')
               and not exists (select from cases n where n.series_uid in (m.series_uid, c.series_uid)
                               and n.revision > case when n.series_uid = m.series_uid then m.revision else c.revision end)
               and (p.case_id is null or p.considered <> regs.ids
                    or p.state = 'under_way' and p.not_before <= clock_timestamp())
             order by m.received_at, c.received_at, m.id, c.id limit 1
             on conflict (case_id, ct_case) do update
             set attempts = case when plannings.considered = excluded.considered then plannings.attempts + 1 else 1 end,
                 asked_at = case when plannings.considered = excluded.considered then plannings.asked_at
                                 else clock_timestamp() end,
                 considered = excluded.considered, state = 'under_way', not_before = clock_timestamp()
             returning case_id, ct_case, considered, attempts, asked_at, made_with",
        )
        .bind(routes)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        let Some(claimed) = claimed else { return Ok(None) };
        let ids: Vec<Uuid> = [claimed.case_id, claimed.ct_case].into_iter().chain(claimed.considered).collect();
        let mut cases: Vec<Case> = sqlx::query_as(
            "select c.* from cases c join unnest($1) with ordinality as wanted (id, place) on wanted.id = c.id
             order by wanted.place",
        )
        .bind(&ids)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        if cases.len() != ids.len() {
            return Ok(None);
        }
        let registrations = cases.split_off(2);
        let (Some(ct), Some(case)) = (cases.pop(), cases.pop()) else { return Ok(None) };
        let predecessors: Vec<(String, String)> = sqlx::query_as(
            "select distinct on (r.profile) r.profile, r.sop_instance_uid
             from results r join cases c on c.id = r.case_id
             where c.series_uid = $1 and r.kind = 'planning_set' and r.on_series = $2
               and c.models[c.sibling + 1] is not distinct from $3
               and exists (select from outbox o where o.result_id = r.id and o.state = 'accepted')
             order by r.profile, r.id desc",
        )
        .bind(&case.series_uid)
        .bind(&ct.series_uid)
        .bind(case.model())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(Some(ClaimedPlanning {
            case,
            ct,
            registrations,
            attempt: claimed.attempts,
            asked_at: claimed.asked_at,
            made_with: claimed.made_with,
            predecessors: predecessors.into_iter().collect(),
        }))
    }

    /// The structure sets of a case and the slices of its derived series, in the order of sending.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn drawn_results(&self, case: Uuid) -> Result<Vec<DrawnResult>, StoreError> {
        sqlx::query_as(
            "select kind, series_uid, blob_key, sha256, profile, destinations from results
             where case_id = $1 and kind in ('structure_set', 'derived_image') order by seq",
        )
        .bind(case)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the structure sets of a case"))
    }

    /// Takes an attempt back that was broken off because the daemon ends.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn release_planning(&self, case: Uuid, ct: Uuid) -> Result<(), StoreError> {
        sqlx::query("update plannings set attempts = greatest(attempts - 1, 0) where case_id = $1 and ct_case = $2")
            .bind(case)
            .bind(ct)
            .execute(&self.pool)
            .await
            .map_err(failed(ACTION))?;
        Ok(())
    }

    /// Has a contoured case tried again on a CT after a while.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn retry_planning(&self, case: Uuid, ct: Uuid, why: &str, delay: Duration) -> Result<(), StoreError> {
        sqlx::query(
            "update plannings set outcome = $3, not_before = clock_timestamp() + make_interval(secs => $4)
             where case_id = $1 and ct_case = $2",
        )
        .bind(case)
        .bind(ct)
        .bind(why)
        .bind(delay.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(())
    }

    /// Records what became of a contoured case on a CT, with one delivery of each structure set to each of its
    /// destinations, unless the case is held or a later revision took its place. A case that had been delivered is in
    /// delivery again.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded.
    pub async fn record_planning(&self, case: Uuid, ct: &Case, new: &PlanningOutcome) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        let purged: bool = sqlx::query_scalar("select purged_at is not null from cases where id = $1")
            .bind(case)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        if purged || newer_revision(&mut tx, case).await? {
            // Its contours are gone, or old: the later revision gets a set of its own.
            return tx.commit().await.map_err(failed(ACTION));
        }
        let next: i32 = sqlx::query_scalar("select coalesce(max(seq), 0) + 1 from results where case_id = $1")
            .bind(case)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        let on = SeriesUid::parse(&ct.series_uid).ok();
        for (seq, made) in (next..).zip(&new.results) {
            insert_result(&mut tx, case, seq, made, on.as_ref()).await?;
        }
        sqlx::query(
            "update plannings set state = $3, detail = $5, made_with = coalesce($6, made_with),
                                  outcome = $4 || case when $3 <> 'made' and made_with is not null
                                                       then E'\n(the set that was made before stays where it was sent)'
                                                       else '' end
             where case_id = $1 and ct_case = $2",
        )
        .bind(case)
        .bind(ct.id)
        .bind(new.state.name())
        .bind(&new.outcome)
        .bind(&new.detail)
        .bind(&new.made_with)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let detail = json!({"ct_series": ct.series_uid, "state": new.state, "outcome": new.outcome,
                            "objects": new.results.len()});
        audit(&mut tx, "planning_recorded", Some(case), &detail).await?;
        let moved = sqlx::query(
            "update cases set state = 'delivering', finished_at = null
             where id = $1 and $2 > 0 and state in ('delivered', 'sent', 'failed', 'delivering')",
        )
        .bind(case)
        .bind(i64::try_from(new.results.len()).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        if moved.rows_affected() > 0 {
            fill_outbox(&mut tx, case).await?;
            settle_case(&mut tx, case).await?;
        }
        tx.commit().await.map_err(failed(ACTION))
    }

    /// What became of a contoured case on the CTs of its study, the oldest CT first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn plannings_of(&self, case: Uuid) -> Result<Vec<PlanningView>, StoreError> {
        sqlx::query_as(
            "select p.ct_case, c.series_uid as ct_series, c.series_description as ct_description, p.state, p.outcome,
                    p.detail
             from plannings p join cases c on c.id = p.ct_case where p.case_id = $1 order by c.received_at, c.id",
        )
        .bind(case)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the planning CTs of a case"))
    }
}
