//! Whether destinations keep what they accepted: what is to be asked, what was answered, and what follows.

use std::time::Duration;

use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::audit::audit;
use super::jobs::newer_revision;
use super::outbox::{NEWER_ON_THE_CT, settle_case};
use super::postgres::{failed, lock_case};
use super::{Confirmation, PgStore, StoreError};
use crate::ids::TransactionUid;

/// Accepted objects of one case at one destination, all asked for in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// Case.
    pub case: Uuid,
    /// The objects.
    pub items: Vec<UnconfirmedItem>,
}

/// An object that a destination accepted and is not known to keep.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct UnconfirmedItem {
    /// Key in the outbox.
    pub outbox_id: i64,
    /// Case.
    pub case_id: Uuid,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// How often it was asked for in this way, and there was no yes.
    pub asks: i32,
    /// Whether its commitment was given up for a query.
    pub by_query: bool,
}

/// What asking for one object came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The destination keeps it.
    Kept(Confirmation),
    /// To be asked again.
    Later {
        /// Why, for the case's page.
        why: String,
        /// After how long.
        delay: Duration,
        /// Whether this counts as asked; not when the destination was away.
        counts: bool,
    },
    /// The destination cannot tell in this way: a query is asked at once.
    ByQuery {
        /// Why.
        why: String,
    },
    /// The destination cannot tell in any way: it stays accepted, and not confirmed.
    Untold {
        /// Why.
        why: String,
    },
    /// The destination does not have it: it is sent again, but not more than `most` times.
    Lost {
        /// Why.
        why: String,
        /// How often in all.
        most: u32,
    },
}

/// A commitment that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AskedCommitment {
    /// Destination.
    pub destination: String,
    /// Case.
    pub case_id: Uuid,
    /// Whether it was answered before.
    pub answered: bool,
}

const ACTION: &str = "record what a destination keeps";

impl PgStore {
    /// What is to be asked of a destination now: objects of one case of which everything was accepted there. They are not
    /// due again before `lease` is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_unconfirmed(
        &self,
        destination: &str,
        lease: Duration,
        most: u32,
    ) -> Result<Option<Unconfirmed>, StoreError> {
        const ACTION: &str = "look for what is to be confirmed";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let due: Vec<i64> = sqlx::query_scalar(
            "with due as (
                 select o.id, o.case_id, o.by_query, c.received_at
                 from outbox o join cases c on c.id = o.case_id
                 where o.destination = $1 and o.confirmation = 'awaited' and o.confirm_at <= clock_timestamp()
                   and not exists (select from outbox open where open.case_id = o.case_id
                                   and open.destination = $1 and open.state = 'pending')),
             first as (select case_id, by_query from due order by received_at, case_id, by_query limit 1)
             select o.id from outbox o join due on due.id = o.id
                 join first on first.case_id = o.case_id and first.by_query = o.by_query
             order by o.seq limit $2 for update of o skip locked",
        )
        .bind(destination)
        .bind(i64::from(most))
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let mut items: Vec<UnconfirmedItem> = sqlx::query_as(
            "update outbox o set confirm_at = clock_timestamp() + make_interval(secs => $2)
             from results r join cases c on c.id = r.case_id
             where o.id = any($1) and r.id = o.result_id and o.confirmation = 'awaited'
               and o.confirm_at <= clock_timestamp()
             returning o.id as outbox_id, o.case_id, c.study_uid, r.series_uid, r.sop_class_uid, r.sop_instance_uid,
                       o.asks, o.by_query",
        )
        .bind(&due)
        .bind(lease.as_secs_f64())
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        tx.commit().await.map_err(failed(ACTION))?;
        items.sort_by_key(|item| due.iter().position(|id| *id == item.outbox_id));
        Ok(items.first().map(|first| first.case_id).map(|case| Unconfirmed { case, items }))
    }

    /// Records a commitment before it is asked for, so that its answer is understood whenever it comes.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then it must not be asked for.
    pub async fn begin_commitment(
        &self,
        transaction: &TransactionUid,
        destination: &str,
        asked: &Unconfirmed,
    ) -> Result<(), StoreError> {
        let ids: Vec<i64> = asked.items.iter().map(|item| item.outbox_id).collect();
        sqlx::query(
            "insert into commitments (transaction_uid, destination, case_id, outbox_ids) values ($1, $2, $3, $4)",
        )
        .bind(transaction.as_str())
        .bind(destination)
        .bind(asked.case)
        .bind(ids)
        .execute(&self.pool)
        .await
        .map_err(failed("record a storage commitment"))?;
        Ok(())
    }

    /// The destination took the request: its answer is waited for, if it did not come already.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then it is asked for again soon.
    pub async fn commitment_taken(
        &self,
        transaction: &TransactionUid,
        case: Uuid,
        why: &str,
        patience: Duration,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        sqlx::query(
            "update outbox o set asks = asks + 1, last_error = $2,
                                 confirm_at = clock_timestamp() + make_interval(secs => $3)
             from commitments t
             where t.transaction_uid = $1 and t.answered_at is null
               and o.case_id = t.case_id and o.id = any(t.outbox_ids) and o.confirmation = 'awaited'",
        )
        .bind(transaction.as_str())
        .bind(why)
        .bind(patience.as_secs_f64())
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        settle_case(&mut tx, case).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// A commitment that was asked for, with its objects; `None` for a transaction that was never begun here.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn asked_commitment(
        &self,
        transaction: &TransactionUid,
    ) -> Result<Option<(AskedCommitment, Vec<UnconfirmedItem>)>, StoreError> {
        const ACTION: &str = "look for a storage commitment";
        let asked: Option<AskedCommitment> = sqlx::query_as(
            "select destination, case_id, answered_at is not null as answered from commitments where transaction_uid = $1",
        )
        .bind(transaction.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        let Some(asked) = asked else { return Ok(None) };
        let items = sqlx::query_as(
            "select o.id as outbox_id, o.case_id, c.study_uid, r.series_uid, r.sop_class_uid, r.sop_instance_uid,
                    o.asks, o.by_query
             from commitments t join outbox o on o.case_id = t.case_id and o.id = any(t.outbox_ids)
                 join results r on r.id = o.result_id join cases c on c.id = o.case_id
             where t.transaction_uid = $1 order by o.seq",
        )
        .bind(transaction.as_str())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(Some((asked, items)))
    }

    /// Records what asking came to, and what follows for the case; with the transaction that it answers, if it does.
    ///
    /// What was confirmed stays confirmed, and what was never confirmed can still be: answers come late.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded.
    pub async fn record_asked(
        &self,
        case: Uuid,
        asked: &[(i64, Asked)],
        answers: Option<&TransactionUid>,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, case).await?;
        for (id, what) in asked {
            record(&mut tx, case, *id, what).await?;
        }
        if let Some(transaction) = answers {
            sqlx::query("update commitments set answered_at = clock_timestamp() where transaction_uid = $1")
                .bind(transaction.as_str())
                .execute(&mut *tx)
                .await
                .map_err(failed(ACTION))?;
        }
        let count = |wanted: fn(&Asked) -> bool| asked.iter().filter(|(_, a)| wanted(a)).count();
        let detail = json!({
            "kept": count(|a| matches!(a, Asked::Kept(_))),
            "later": count(|a| matches!(a, Asked::Later { .. } | Asked::ByQuery { .. })),
            "untold": count(|a| matches!(a, Asked::Untold { .. })),
            "lost": count(|a| matches!(a, Asked::Lost { .. })),
            "transaction": answers.map(TransactionUid::as_str),
        });
        audit(&mut tx, "confirmation_asked", Some(case), &detail).await?;
        settle_case(&mut tx, case).await?;
        tx.commit().await.map_err(failed(ACTION))
    }
}

async fn record(tx: &mut PgConnection, case: Uuid, id: i64, what: &Asked) -> Result<(), StoreError> {
    let query = match what {
        Asked::Kept(confirmation) => sqlx::query(
            "update outbox set confirmation = $2, confirm_at = null
             where id = $1 and state = 'accepted' and confirmation in ('awaited', 'none')",
        )
        .bind(id)
        .bind(confirmation.name()),
        Asked::Later { why, delay, counts } => sqlx::query(
            "update outbox set confirm_at = clock_timestamp() + make_interval(secs => $3), last_error = $2,
                               asks = asks + case when $4 then 1 else 0 end
             where id = $1 and confirmation = 'awaited'",
        )
        .bind(id)
        .bind(why)
        .bind(delay.as_secs_f64())
        .bind(counts),
        Asked::ByQuery { why } => sqlx::query(
            "update outbox set by_query = true, asks = 0, confirm_at = clock_timestamp(), last_error = $2
             where id = $1 and confirmation = 'awaited'",
        )
        .bind(id)
        .bind(why),
        Asked::Untold { why } => sqlx::query(
            "update outbox set confirmation = 'none', confirm_at = null, last_error = $2
             where id = $1 and confirmation = 'awaited'",
        )
        .bind(id)
        .bind(why),
        Asked::Lost { why, most } => return record_lost(tx, case, id, why, *most).await,
    };
    query.execute(tx).await.map_err(failed(ACTION))?;
    Ok(())
}

/// Whether a newer structure set on the same planning CT is on its way to the same destination, or there.
async fn newer_on_the_ct(tx: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select exists (select from outbox o where o.id = $1 and {NEWER_ON_THE_CT})"
    )))
    .bind(id)
    .fetch_one(tx)
    .await
    .map_err(failed(ACTION))
}

/// It goes out again, unless that was tried often enough or a later revision takes its place: an older result never follows
/// a newer one.
async fn record_lost(tx: &mut PgConnection, case: Uuid, id: i64, why: &str, most: u32) -> Result<(), StoreError> {
    let replaced = newer_revision(&mut *tx, case).await? || newer_on_the_ct(&mut *tx, id).await?;
    sqlx::query(
        "update outbox
         set state = case when resends < $3 and not $4 then 'pending' else 'failed' end,
             last_error = $2::text || case when $4 then '; not sent again, because a later result takes its place'
                                     when resends < $3 then '; it is sent again'
                                     else '; it was sent ' || (resends + 1) || ' times' end,
             resends = resends + 1, asks = 0, attempts = 0, next_attempt_at = clock_timestamp(), sent_at = null,
             confirmation = 'none', confirm_at = null
         where id = $1 and state = 'accepted' and confirmation in ('awaited', 'none')",
    )
    .bind(id)
    .bind(why)
    .bind(i32::try_from(most).unwrap_or(i32::MAX))
    .bind(replaced)
    .execute(tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(())
}
