//! Segmentation jobs: leased for a while, so that one left by a crashed worker comes back, and finished in one
//! transaction with the result and its deliveries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::audit;
use super::outbox::settle_case;
use super::postgres::{failed, lock_case};
use super::priors::insert_sets;
use super::release::fill_outbox;
use super::{Case, PgStore, PriorSet, ResultKind, StoreError};
use crate::anatomy::Structure;
use crate::ids::{InstanceUid, SeriesUid};

const ACTION: &str = "record the end of a job";

/// A job that this worker holds.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// What is to be segmented.
    pub case: Case,
    /// 1 for the first attempt. Those that ended with the daemon itself are not counted.
    pub attempt: i32,
    /// Attempts that ended with the daemon itself: it was killed, or nothing was heard of it until its lease ran out.
    pub interruptions: i32,
    /// When the job was made. Stays the same over attempts, so that it can date the result.
    pub created_at: OffsetDateTime,
    /// By profile, the structure set of the latest earlier revision by the same model that a destination has accepted: the
    /// one to be replaced there.
    pub predecessors: BTreeMap<String, String>,
}

/// What was found of one structure.
#[derive(Debug, Clone, PartialEq)]
pub struct NewStructure {
    /// Which.
    pub structure: Structure,
    /// Its volume; `None` when it was not found.
    pub volume_cc: Option<f64>,
    /// Agreement of the networks, 0 to 1.
    pub agreement: Option<f64>,
    /// What each rule did, and flags.
    pub report: Value,
    /// See [`super::StructureRow::contours`].
    pub contours: Value,
}

/// An object that was made and whose bytes lie on disk already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// Slice or structure set.
    pub kind: ResultKind,
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// Series Instance UID.
    pub series: SeriesUid,
    /// Where the Part 10 file lies.
    pub blob_key: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its size.
    pub byte_count: u64,
    /// The destination profile that it was made for.
    pub profile: String,
    /// Where it is sent.
    pub destinations: Vec<String>,
}

/// Everything a segmentation leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseResult {
    /// Model.
    pub model_name: String,
    /// Digest of the model.
    pub model_digest: String,
    /// Digest of the configuration.
    pub config_digest: String,
    /// Report of the run.
    pub report: Value,
    /// One for each structure that the model looks for.
    pub structures: Vec<NewStructure>,
    /// In the order of sending: the slices of a derived series, then the structure set.
    pub results: Vec<NewResult>,
    /// Why it must not be sent before a person has released it; `None`: it goes its way.
    pub held: Option<String>,
}

/// What became of a finished job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Recorded, and in the outbox.
    Recorded,
    /// Recorded, and waiting for a person.
    Held,
    /// A late slice has opened a newer revision meanwhile: this result is of an incomplete series and is not sent.
    Superseded,
}

impl PgStore {
    /// Leases the due job of the highest priority for `lease`, the oldest of several, also one whose lease has run out. A
    /// job that was interrupted more than once lets all others go first, however urgent it is: if it is the one that ends
    /// daemons, they are done by then.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_job(&self, holder: Uuid, lease: Duration) -> Result<Option<ClaimedJob>, StoreError> {
        const ACTION: &str = "claim a job";
        loop {
            let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
            let claimed = sqlx::query(
                "with due as (
                     select j.case_id from jobs j join cases c on c.id = j.case_id
                     where (j.state = 'ready' and j.not_before <= clock_timestamp())
                        or (j.state = 'leased' and j.lease_until < clock_timestamp())
                     order by greatest(j.interruptions, 1), c.priority desc, j.created_at, c.sibling, j.case_id
                     limit 1 for update of c, j skip locked)
                 update jobs j
                 set state = 'leased',
                     attempts = attempts + case when j.state = 'leased' then 0 else 1 end,
                     interruptions = interruptions + case when j.state = 'leased' then 1 else 0 end,
                     lease_holder = $1, lease_until = clock_timestamp() + make_interval(secs => $2)
                 from due where j.case_id = due.case_id
                 returning j.case_id, j.attempts, j.interruptions, j.created_at",
            )
            .bind(holder)
            .bind(lease.as_secs_f64())
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
            let Some(claimed) = claimed else { return Ok(None) };
            let id: Uuid = claimed.try_get("case_id").map_err(failed(ACTION))?;
            let case: Case = sqlx::query_as("update cases set state = 'segmenting' where id = $1 returning *")
                .bind(id)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed(ACTION))?;
            if newer_revision(&mut tx, id).await? {
                supersede(&mut tx, id, holder).await?;
                tx.commit().await.map_err(failed(ACTION))?;
                continue;
            }
            let predecessors: Vec<(String, String)> = sqlx::query_as(
                "select distinct on (r.profile) r.profile, r.sop_instance_uid
                 from results r join cases c on c.id = r.case_id
                 where c.series_uid = $1 and c.revision < $2 and r.kind = 'structure_set'
                   and c.models[c.sibling + 1] is not distinct from $3
                   and exists (select from outbox o where o.result_id = r.id and o.state = 'accepted')
                 order by r.profile, c.revision desc",
            )
            .bind(&case.series_uid)
            .bind(case.revision)
            .bind(case.model())
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
            tx.commit().await.map_err(failed(ACTION))?;
            return Ok(Some(ClaimedJob {
                case,
                attempt: claimed.try_get("attempts").map_err(failed(ACTION))?,
                interruptions: claimed.try_get("interruptions").map_err(failed(ACTION))?,
                created_at: claimed.try_get("created_at").map_err(failed(ACTION))?,
                predecessors: predecessors.into_iter().collect(),
            }));
        }
    }

    /// Holds on to a job for another `lease`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when another worker has it.
    pub async fn extend_job(&self, case: Uuid, holder: Uuid, lease: Duration) -> Result<(), StoreError> {
        let extended = sqlx::query(
            "update jobs set lease_until = clock_timestamp() + make_interval(secs => $3)
             where case_id = $1 and state = 'leased' and lease_holder = $2",
        )
        .bind(case)
        .bind(holder)
        .bind(lease.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(failed("extend a lease"))?;
        if extended.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost("a job")) }
    }

    /// Records structures, results and, unless it is held, one delivery of each result to each of its destinations, and
    /// ends the job.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`]; then nothing is recorded.
    pub async fn finish_job(&self, case: Uuid, holder: Uuid, result: &CaseResult) -> Result<Finished, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        if newer_revision(&mut tx, case).await? {
            supersede(&mut tx, case, holder).await?;
            tx.commit().await.map_err(failed(ACTION))?;
            return Ok(Finished::Superseded);
        }
        end_job(&mut tx, case, holder, "done", None).await?;
        for structure in &result.structures {
            insert_structure(&mut tx, case, structure).await?;
        }
        for (seq, made) in (1..).zip(&result.results) {
            insert_result(&mut tx, case, seq, made, None).await?;
        }
        sqlx::query(
            "update cases set state = case when $6::text is null then 'delivering' else 'held' end, reason = $6,
                              held_at = case when $6::text is null then null else clock_timestamp() end,
                              model_name = $2, model_digest = $3, config_digest = $4, report = $5 where id = $1",
        )
        .bind(case)
        .bind(&result.model_name)
        .bind(&result.model_digest)
        .bind(&result.config_digest)
        .bind(&result.report)
        .bind(&result.held)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let destinations: BTreeSet<&String> = result.results.iter().flat_map(|made| &made.destinations).collect();
        let detail = json!({"objects": result.results.len(), "destinations": destinations, "model": result.model_name});
        audit(&mut tx, "result_recorded", Some(case), &detail).await?;
        let finished = if let Some(reason) = &result.held {
            audit(&mut tx, "case_held", Some(case), &json!({"reason": reason})).await?;
            Finished::Held
        } else {
            fill_outbox(&mut tx, case).await?;
            settle_case(&mut tx, case).await?;
            Finished::Recorded
        };
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(finished)
    }

    /// Ends a job whose input is not fit. `refusals` is the list as JSON, `reason` the same as text; `notice` is the report
    /// about it, if one is to be sent.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`].
    pub async fn refuse_job(
        &self,
        case: Uuid,
        holder: Uuid,
        reason: &str,
        refusals: &Value,
        notice: Option<&NewResult>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        end_job(&mut tx, case, holder, "done", Some(reason)).await?;
        sqlx::query("update cases set refusals = $2 where id = $1")
            .bind(case)
            .bind(refusals)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        end_case(&mut tx, case, "refused", reason).await?;
        if let Some(notice) = notice {
            insert_result(&mut tx, case, 1, notice, None).await?;
            fill_outbox(&mut tx, case).await?;
        }
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Ends the job of a series that is kept and not contoured; `said` tells what it is, `sets` what its structure sets say.
    /// It takes the place of earlier revisions of its series.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`].
    pub async fn keep_job(&self, case: Uuid, holder: Uuid, said: &str, sets: &[PriorSet]) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        if newer_revision(&mut tx, case).await? {
            supersede(&mut tx, case, holder).await?;
            return tx.commit().await.map_err(failed(ACTION));
        }
        end_job(&mut tx, case, holder, "done", None).await?;
        end_case(&mut tx, case, "kept", said).await?;
        insert_sets(&mut tx, case, sets).await?;
        sqlx::query(
            "update cases c set state = 'superseded', reason = 'revision ' || latest.revision || ' of the series was kept'
             from cases latest
             where latest.id = $1 and c.series_uid = latest.series_uid and c.revision < latest.revision
               and c.state in ('kept', 'refused', 'failed')",
        )
        .bind(case)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Ends a job for good after a fault of ours.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`].
    pub async fn fail_job(&self, case: Uuid, holder: Uuid, reason: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        end_job(&mut tx, case, holder, "failed", Some(reason)).await?;
        end_case(&mut tx, case, "failed", reason).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Gives a job back, to be tried again after `delay`.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`].
    pub async fn retry_job(&self, case: Uuid, holder: Uuid, reason: &str, delay: Duration) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        end_job(&mut tx, case, holder, "ready", Some(reason)).await?;
        sqlx::query("update jobs set not_before = clock_timestamp() + make_interval(secs => $2) where case_id = $1")
            .bind(case)
            .bind(delay.as_secs_f64())
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        requeue_case(&mut tx, case, reason).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Gives a job back untried, because the daemon stops.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] or [`StoreError::Database`].
    pub async fn release_job(&self, case: Uuid, holder: Uuid) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        end_job(&mut tx, case, holder, "ready", None).await?;
        sqlx::query("update jobs set attempts = attempts - 1 where case_id = $1")
            .bind(case)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        requeue_case(&mut tx, case, "the daemon was stopped; it goes on when the daemon runs again").await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Takes every lease away: its holder was interrupted. Only for a database that no other daemon can be using.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn release_all_leases(&self) -> Result<(), StoreError> {
        const ACTION: &str = "release the leases of an earlier daemon";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        for query in [
            "update cases set state = 'queued' from jobs
             where jobs.case_id = cases.id and jobs.state = 'leased' and cases.state = 'segmenting'",
            "update jobs set state = 'ready', attempts = attempts - 1, interruptions = interruptions + 1,
                             lease_holder = null, lease_until = null where state = 'leased'",
            "update outbox set lease_holder = null, lease_until = null where lease_holder is not null",
        ] {
            sqlx::query(query).execute(&mut *tx).await.map_err(failed(ACTION))?;
        }
        tx.commit().await.map_err(failed(ACTION))
    }
}

/// Whether the series of a case has a later revision.
pub(super) async fn newer_revision(tx: &mut PgConnection, case: Uuid) -> Result<bool, StoreError> {
    sqlx::query_scalar(
        "select exists (select from cases newer join cases c on c.series_uid = newer.series_uid
                        where c.id = $1 and newer.revision > c.revision)",
    )
    .bind(case)
    .fetch_one(tx)
    .await
    .map_err(failed("look for a newer revision"))
}

async fn supersede(tx: &mut PgConnection, case: Uuid, holder: Uuid) -> Result<(), StoreError> {
    let reason = "slices came after the series was taken as complete; the next revision has them all";
    end_job(tx, case, holder, "done", Some(reason)).await?;
    end_case(tx, case, "superseded", reason).await
}

async fn end_job(
    tx: &mut PgConnection,
    case: Uuid,
    holder: Uuid,
    state: &str,
    error: Option<&str>,
) -> Result<(), StoreError> {
    let ended = sqlx::query(
        "update jobs set state = $3, last_error = $4, lease_holder = null, lease_until = null
         where case_id = $1 and state = 'leased' and lease_holder = $2",
    )
    .bind(case)
    .bind(holder)
    .bind(state)
    .bind(error)
    .execute(tx)
    .await
    .map_err(failed(ACTION))?;
    if ended.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost("a job")) }
}

/// Ends a case without a result.
async fn end_case(tx: &mut PgConnection, case: Uuid, state: &'static str, reason: &str) -> Result<(), StoreError> {
    sqlx::query("update cases set state = $2, reason = $3, finished_at = clock_timestamp() where id = $1")
        .bind(case)
        .bind(state)
        .bind(reason)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    audit(tx, "case_ended", Some(case), &json!({"state": state, "reason": reason})).await
}

async fn requeue_case(tx: &mut PgConnection, case: Uuid, reason: &str) -> Result<(), StoreError> {
    sqlx::query("update cases set state = 'queued', reason = $2 where id = $1")
        .bind(case)
        .bind(reason)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    audit(tx, "job_given_back", Some(case), &json!({"reason": reason})).await
}

async fn insert_structure(tx: &mut PgConnection, case: Uuid, new: &NewStructure) -> Result<(), StoreError> {
    sqlx::query(
        "insert into structures (case_id, structure, found, volume_cc, agreement, report, contours)
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(case)
    .bind(new.structure.name())
    .bind(new.volume_cc.is_some())
    .bind(new.volume_cc)
    .bind(new.agreement)
    .bind(&new.report)
    .bind(&new.contours)
    .execute(tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(())
}

/// `on_series` is the CT of a structure set on a CT.
pub(super) async fn insert_result(
    tx: &mut PgConnection,
    case: Uuid,
    seq: i32,
    new: &NewResult,
    on_series: Option<&SeriesUid>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into results (case_id, kind, seq, sop_instance_uid, sop_class_uid, series_uid, blob_key, sha256,
                              byte_count, profile, destinations, on_series)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(case)
    .bind(new.kind.name())
    .bind(seq)
    .bind(new.instance.as_str())
    .bind(&new.sop_class)
    .bind(new.series.as_str())
    .bind(&new.blob_key)
    .bind(&new.sha256)
    .bind(i64::try_from(new.byte_count).unwrap_or(i64::MAX))
    .bind(&new.profile)
    .bind(&new.destinations)
    .bind(on_series.map(SeriesUid::as_str))
    .execute(tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(())
}
