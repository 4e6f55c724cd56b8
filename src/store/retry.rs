//! Another attempt because a person asked for one, after what was in the way was put right.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::audit::audit;
use super::jobs::newer_revision;
use super::outbox::{NEWER_ON_THE_CT, settle_case};
use super::postgres::failed;
use super::rows::named;
use super::{PgStore, StoreError, UnknownName};

const ACTION: &str = "begin another attempt";

named!(
    /// What another attempt at a case would begin with.
    Retriable, "retriable part" {
        /// Its segmentation failed, or waits for its next attempt.
        Job = "job",
        /// Deliveries failed for good, or wait for their next attempt.
        Deliveries = "deliveries",
    }
);

/// What came of asking for another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// The segmentation is queued again, all its attempts before it.
    Job,
    /// Deliveries are due now, to be sent, or to be asked for where they were accepted.
    Deliveries {
        /// How many objects.
        objects: u64,
    },
    /// Nothing was done: a later revision of the series takes the place of this case.
    Superseded,
    /// Nothing was done: nothing of the case has failed or waits for its next attempt.
    Nothing,
}

/// Deliveries `o` that another attempt moves: those of the case that failed and that nothing newer took the place of, and those
/// that wait for their time, also of earlier revisions, because a newer one is not sent before them. What is being sent just
/// now is left alone.
fn moved() -> String {
    format!(
        "(o.case_id = $1 and o.state = 'failed' and not {NEWER_ON_THE_CT})
         or (o.state = 'pending' and o.next_attempt_at > clock_timestamp()
             and (o.lease_until is null or o.lease_until < clock_timestamp())
             and o.case_id in (select e.id from cases e join cases c on c.series_uid = e.series_uid
                               where c.id = $1 and e.revision <= c.revision))"
    )
}

/// Accepted deliveries whose destination is asked again whether it keeps them.
const ASKED: &str = "case_id = $1 and confirmation = 'awaited' and confirm_at > clock_timestamp()";

impl PgStore {
    /// What [`PgStore::retry_case`] would begin with; `None` when it would do nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn retriable(&self, case: Uuid) -> Result<Option<Retriable>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed(ACTION))?;
        if newer_revision(&mut connection, case).await? {
            return Ok(None);
        }
        what_waits(&mut connection, case).await
    }

    /// Begins another attempt at a case, with a line in the audit trail: a job that failed or waits for its next
    /// attempt is due now, else deliveries that failed for good or wait are.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is changed.
    pub async fn retry_case(&self, case: Uuid) -> Result<Retried, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        // With the earlier revisions, whose deliveries may move too; the newest first, as when a case is settled.
        sqlx::query(
            "select from cases where series_uid = (select series_uid from cases where id = $1)
               and revision <= (select revision from cases where id = $1) order by revision desc for update",
        )
        .bind(case)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let superseded = newer_revision(&mut tx, case).await?;
        let retried = match what_waits(&mut tx, case).await? {
            _ if superseded => Retried::Superseded,
            None => Retried::Nothing,
            Some(Retriable::Job) => {
                queue_again(&mut tx, case).await?;
                audit(&mut tx, "retry_requested", Some(case), &json!({"what": Retriable::Job})).await?;
                Retried::Job
            }
            Some(Retriable::Deliveries) => {
                let objects = send_now(&mut tx, case).await?;
                let detail = json!({"what": Retriable::Deliveries, "objects": objects});
                audit(&mut tx, "retry_requested", Some(case), &detail).await?;
                settle_case(&mut tx, case).await?;
                Retried::Deliveries { objects }
            }
        };
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(retried)
    }
}

async fn what_waits(tx: &mut PgConnection, case: Uuid) -> Result<Option<Retriable>, StoreError> {
    let moved = moved();
    let what: Option<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "select case
             when exists (select from cases where id = $1 and purged_at is not null) then null
             when exists (select from jobs where case_id = $1
                          and (state = 'failed' or (state = 'ready' and not_before > clock_timestamp()))) then 'job'
             when exists (select from outbox where case_id = $1 and state <> 'accepted')
                  and exists (select from outbox o where {moved}) then 'deliveries'
             when exists (select from outbox where {ASKED}) then 'deliveries' end"
    )))
    .bind(case)
    .fetch_one(tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(what.map(Retriable::try_from).transpose()?)
}

async fn queue_again(tx: &mut PgConnection, case: Uuid) -> Result<(), StoreError> {
    sqlx::query(
        "update jobs set state = 'ready', attempts = 0, interruptions = 0, not_before = clock_timestamp()
         where case_id = $1",
    )
    .bind(case)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    sqlx::query(
        "update cases set state = 'queued', finished_at = null, reason = 'queued again, because a person asked for it'
         where id = $1",
    )
    .bind(case)
    .execute(tx)
    .await
    .map_err(failed(ACTION))?;
    Ok(())
}

/// Makes deliveries due, to be sent or to be asked for; answers how many.
async fn send_now(tx: &mut PgConnection, case: Uuid) -> Result<u64, StoreError> {
    let moved = moved();
    let moved = sqlx::query(sqlx::AssertSqlSafe(format!(
        "update outbox o set state = 'pending', attempts = 0, resends = 0, by_query = false,
                             next_attempt_at = clock_timestamp() where {moved}"
    )))
    .bind(case)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let asked =
        sqlx::query(sqlx::AssertSqlSafe(format!("update outbox set confirm_at = clock_timestamp() where {ASKED}")))
            .bind(case)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
    sqlx::query("update cases set state = 'delivering', finished_at = null where id = $1 and state = 'failed'")
        .bind(case)
        .execute(tx)
        .await
        .map_err(failed(ACTION))?;
    Ok(moved.rows_affected() + asked.rows_affected())
}
