//! Deliveries: what is to be sent where, in which order, and what became of it.
//!
//! To each destination the slices of a derived series go first; the structure set is due only once that destination
//! has accepted every one of them, and a newer revision only once the older one is settled there; so of several structure
//! sets on one planning CT. Destinations do not wait for each other. Whether they keep what they accepted is asked in `confirm`.

use std::time::Duration;

use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::audit::audit;
use super::postgres::{failed, lock_case};
use super::{OutboxRow, PgStore, ResultKind, StoreError};

/// Some results of one case, leased to be sent to one destination over one association, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Case.
    pub case: Uuid,
    /// What to send.
    pub items: Vec<DeliveryItem>,
}

/// One object to send.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DeliveryItem {
    /// Key in the outbox.
    pub outbox_id: i64,
    /// Case.
    pub case_id: Uuid,
    /// Slice or structure set.
    #[sqlx(try_from = "String")]
    pub kind: ResultKind,
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// Where the Part 10 file lies.
    pub blob_key: String,
    /// Its SHA-256.
    pub sha256: String,
    /// 1 for the first attempt.
    pub attempts: i32,
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The destination has accepted it; with its remark, if it made one.
    Accepted {
        /// The remark of a warning status.
        remark: Option<String>,
        /// Whether the destination can be asked if it keeps it.
        ask: bool,
    },
    /// To be tried again.
    Later {
        /// Why.
        error: String,
        /// After how long.
        delay: Duration,
    },
    /// The destination will never take it.
    Refused {
        /// Why.
        error: String,
    },
}

impl PgStore {
    /// Leases what is due at a destination: up to `most` objects of one case, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_delivery(
        &self,
        holder: Uuid,
        destination: &str,
        lease: Duration,
        most: u32,
    ) -> Result<Option<Delivery>, StoreError> {
        const ACTION: &str = "claim a delivery";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let due: Vec<i64> = sqlx::query_scalar(
            "with due as (
                 select o.id, o.case_id, o.seq, c.received_at
                 from outbox o join cases c on c.id = o.case_id join results r on r.id = o.result_id
                 where o.destination = $1 and o.state = 'pending' and o.next_attempt_at <= clock_timestamp()
                   and (o.lease_until is null or o.lease_until < clock_timestamp())
                   and not exists (
                       select from outbox older join cases oc on oc.id = older.case_id
                       where older.destination = $1 and older.state = 'pending'
                         and oc.series_uid = c.series_uid and oc.revision < c.revision)
                   and (r.kind <> 'planning_set' or not exists (
                       select from outbox before join results br on br.id = before.result_id
                       where before.case_id = o.case_id and before.destination = $1 and before.state = 'pending'
                         and br.on_series = r.on_series and before.seq < o.seq))
                   and (r.kind in ('derived_image', 'planning_set') or not exists (
                       select from outbox slice join results sr on sr.id = slice.result_id
                       where slice.case_id = o.case_id and slice.destination = $1
                         and sr.kind = 'derived_image' and slice.state <> 'accepted'))),
             first as (select case_id from due order by received_at, case_id limit 1)
             select o.id from outbox o join due on due.id = o.id join first on first.case_id = o.case_id
             order by o.seq limit $2 for update of o skip locked",
        )
        .bind(destination)
        .bind(i64::from(most))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        // What another worker took between the look and the lock is left to it.
        let mut items: Vec<DeliveryItem> = sqlx::query_as(
            "update outbox o set attempts = attempts + 1, lease_holder = $2,
                                 lease_until = clock_timestamp() + make_interval(secs => $3)
             from results r
             where o.id = any($1) and r.id = o.result_id and o.state = 'pending'
               and (o.lease_until is null or o.lease_until < clock_timestamp())
             returning o.id as outbox_id, o.case_id, r.kind, r.sop_instance_uid, r.blob_key, r.sha256, o.attempts",
        )
        .bind(&due)
        .bind(holder)
        .bind(lease.as_secs_f64())
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        tx.commit().await.map_err(failed(ACTION))?;
        items.sort_by_key(|item| due.iter().position(|id| *id == item.outbox_id));
        Ok(items.first().map(|first| first.case_id).map(|case| Delivery { case, items }))
    }

    /// Holds on to everything that this holder has leased to be sent.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn extend_deliveries(&self, holder: Uuid, lease: Duration) -> Result<(), StoreError> {
        sqlx::query(
            "update outbox set lease_until = clock_timestamp() + make_interval(secs => $2)
             where lease_holder = $1 and state = 'pending'",
        )
        .bind(holder)
        .bind(lease.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(failed("extend a lease"))?;
        Ok(())
    }

    /// Gives back what was not sent, because the daemon stops.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn release_deliveries(&self, holder: Uuid) -> Result<(), StoreError> {
        sqlx::query("update outbox set lease_holder = null, lease_until = null where lease_holder = $1")
            .bind(holder)
            .execute(&self.pool)
            .await
            .map_err(failed("give back deliveries"))?;
        Ok(())
    }

    /// Records what became of each object of a delivery, and what follows for the case.
    ///
    /// That an object was accepted is recorded even when the lease has gone to another worker meanwhile: it is true.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded, and the same bytes are sent again.
    pub async fn record_attempts(
        &self,
        case: Uuid,
        holder: Uuid,
        attempts: &[(i64, Attempt)],
    ) -> Result<(), StoreError> {
        const ACTION: &str = "record a delivery";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        for (id, attempt) in attempts {
            let query = match attempt {
                Attempt::Accepted { remark, ask } => sqlx::query(
                    "update outbox set state = 'accepted', sent_at = clock_timestamp(), last_error = $2, asks = 0,
                                       confirmation = case when $3 then 'awaited' else 'none' end,
                                       confirm_at = case when $3 then clock_timestamp() end,
                                       lease_holder = null, lease_until = null
                     where id = $1 and state <> 'accepted'",
                )
                .bind(id)
                .bind(remark)
                .bind(ask),
                Attempt::Later { error, delay } => sqlx::query(
                    "update outbox set next_attempt_at = clock_timestamp() + make_interval(secs => $4),
                                       last_error = $2, lease_holder = null, lease_until = null
                     where id = $1 and state = 'pending' and lease_holder = $3",
                )
                .bind(id)
                .bind(error)
                .bind(holder)
                .bind(delay.as_secs_f64()),
                Attempt::Refused { error } => sqlx::query(
                    "update outbox set state = 'failed', last_error = $2, lease_holder = null, lease_until = null
                     where id = $1 and state = 'pending' and lease_holder = $3",
                )
                .bind(id)
                .bind(error)
                .bind(holder),
            };
            query.execute(&mut *tx).await.map_err(failed(ACTION))?;
        }
        // Without its images a structure set (or segmentation) is of no use: it is not sent where a slice was refused.
        sqlx::query(
            "update outbox o set state = 'failed', lease_holder = null, lease_until = null,
                    last_error = 'not sent, because this destination refused a slice of the derived series that it refers to'
             from results r
             where o.case_id = $1 and r.id = o.result_id and r.kind not in ('derived_image', 'planning_set')
               and o.state = 'pending'
               and exists (select from outbox slice join results sr on sr.id = slice.result_id
                           where slice.case_id = $1 and slice.destination = o.destination
                             and sr.kind = 'derived_image' and slice.state = 'failed')",
        )
        .bind(case)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let first = attempts.first().map(|(id, _)| *id);
        let destination: Option<String> = sqlx::query_scalar("select destination from outbox where id = $1")
            .bind(first)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        let count = |wanted: fn(&Attempt) -> bool| attempts.iter().filter(|(_, a)| wanted(a)).count();
        let detail = json!({
            "destination": destination,
            "accepted": count(|a| matches!(a, Attempt::Accepted { .. })),
            "later": count(|a| matches!(a, Attempt::Later { .. })),
            "refused": count(|a| matches!(a, Attempt::Refused { .. })),
        });
        audit(&mut tx, "delivery_attempted", Some(case), &detail).await?;
        settle_case(&mut tx, case).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// The deliveries of a case, by destination and order of sending.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn deliveries_of(&self, case: Uuid) -> Result<Vec<OutboxRow>, StoreError> {
        sqlx::query_as(
            "select id, result_id, case_id, destination, seq, state, attempts, next_attempt_at, last_error, sent_at,
                    confirmation, resends
             from outbox where case_id = $1 order by destination, seq",
        )
        .bind(case)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the deliveries of a case"))
    }

    /// Puts `reason` on every delivery, and on its case, that waits for a destination outside `configured`, or to be
    /// confirmed by one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn explain_waiting(&self, configured: &[String], reason: &str) -> Result<(), StoreError> {
        const ACTION: &str = "explain why deliveries wait";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let cases: Vec<Uuid> = sqlx::query_scalar(
            "select id from cases where id in (select case_id from outbox
                                               where (state = 'pending' or confirmation = 'awaited')
                                                 and destination <> all($1) and last_error is distinct from $2)
             order by id for update",
        )
        .bind(configured)
        .bind(reason)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        sqlx::query(
            "update outbox set last_error = $2
             where (state = 'pending' or confirmation = 'awaited')
               and destination <> all($1) and last_error is distinct from $2",
        )
        .bind(configured)
        .bind(reason)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        for case in cases {
            settle_case(&mut tx, case).await?;
        }
        tx.commit().await.map_err(failed(ACTION))
    }
}

/// Of a delivery `o`: a newer structure set on the same planning CT goes to the same destination.
pub(super) const NEWER_ON_THE_CT: &str = "exists (
    select from outbox newer join results nr on nr.id = newer.result_id join results r on r.id = o.result_id
    where newer.case_id = o.case_id and newer.destination = o.destination and nr.on_series = r.on_series
      and newer.seq > o.seq)";

/// Brings a case in delivery to where its deliveries stand: waiting with a reason, delivered, sent without being confirmed,
/// or failed. One that was sent only can still be confirmed, or found to be lost. Once it has ended, earlier revisions by the
/// same model are superseded, or it is by a later one.
pub(super) async fn settle_case(tx: &mut PgConnection, case: Uuid) -> Result<(), StoreError> {
    const ACTION: &str = "settle a case";
    let settled: Option<(String, String, i32, bool, Option<String>)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "with stand as (
             select count(*) filter (where state = 'pending' or confirmation = 'awaited') as open,
                    count(*) filter (where state = 'failed' and not {NEWER_ON_THE_CT}) as failed,
                    count(*) filter (where state = 'accepted' and confirmation = 'none') as untold,
                    (select string_agg(line, E'\\n' order by line) from (
                         select distinct destination || ': ' || last_error as line from outbox
                         where case_id = $1 and (state <> 'accepted' or confirmation in ('awaited', 'none'))
                           and last_error is not null) lines) as reason
             from outbox o where case_id = $1),
         verdict as (
             select reason, case when open > 0 then 'delivering' when failed > 0 then 'failed'
                                 when untold > 0 then 'sent' else 'delivered' end as state from stand),
         before as (select id, state from cases where id = $1 and state in ('delivering', 'sent'))
         update cases c
         set state = verdict.state, reason = verdict.reason,
             finished_at = case when verdict.state = 'delivering' then null else clock_timestamp() end
         from verdict, before where c.id = before.id
         returning c.state, c.series_uid, c.revision, c.state <> before.state, c.models[c.sibling + 1]"
    )))
    .bind(case)
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let Some((state, series_uid, revision, changed, model)) = settled else { return Ok(()) };
    if state == "delivering" || !changed {
        return Ok(());
    }
    audit(&mut *tx, "case_ended", Some(case), &json!({"state": state})).await?;
    supersede_earlier(tx, &series_uid, revision, model.as_deref()).await
}

/// Revisions by a model that ended before a later one that every destination accepted.
async fn supersede_earlier(
    tx: &mut PgConnection,
    series_uid: &str,
    revision: i32,
    model: Option<&str>,
) -> Result<(), StoreError> {
    const ACTION: &str = "supersede earlier revisions";
    // An earlier one that was waiting for its confirmation may be ending at this moment, unseen: it is waited for.
    sqlx::query("select from cases where series_uid = $1 and revision < $2 order by revision desc, sibling for update")
        .bind(series_uid)
        .bind(revision)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    sqlx::query(
        "update cases c
         set state = 'superseded', reason = 'revision ' || latest.revision || ' of the series was delivered'
         from (select max(revision) as revision from cases
               where series_uid = $1 and state in ('delivered', 'sent')
                 and models[sibling + 1] is not distinct from $2) latest
         where c.series_uid = $1 and c.revision < latest.revision and c.models[c.sibling + 1] is not distinct from $2
           and c.state in ('delivered', 'sent', 'refused', 'failed')",
    )
    .bind(series_uid)
    .bind(model)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(())
}
