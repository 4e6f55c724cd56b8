//! Forgetting: which series may go, and how their files and the patient's name are deleted.
//!
//! A series goes as a whole, with all its revisions. It never goes while a revision of it is under way, held for a person,
//! or not with every destination, and one with contours never before somebody has reviewed them. What is kept for planning
//! goes with the contoured series of its study; where there never was one, as what was refused.

use std::time::Duration;

use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::audit::audit;
use super::outbox::NEWER_ON_THE_CT;
use super::postgres::failed;
use super::{PgStore, Store, StoreError};

/// For how long series are kept after their latest revision ended; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepTimes {
    /// Delivered (or sent to a destination that cannot confirm it) and reviewed.
    pub delivered: Option<Duration>,
    /// Refused.
    pub refused: Option<Duration>,
    /// Failed.
    pub failed: Option<Duration>,
}

/// A series that may go.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Purgeable {
    /// Its Series Instance UID.
    pub series_uid: String,
    /// Bytes of its files.
    pub bytes: i64,
    /// When its latest revision ended.
    pub ended: OffsetDateTime,
}

/// Series that may go: `$1` null, or the only one that is asked for. Those of a state without time are not among them.
fn purgeable() -> String {
    format!(
        "with latest as (
        select distinct on (series_uid) * from cases order by series_uid, revision desc, finished_at desc nulls first)
    select l.series_uid, l.finished_at as ended,
           (select coalesce(sum(byte_count), 0) from instances i where i.series_uid = l.series_uid)::bigint
           + (select coalesce(sum(byte_count), 0) from results r join cases c on c.id = r.case_id
              where c.series_uid = l.series_uid)::bigint as bytes
    from latest l
    where ($1::text is null or l.series_uid = $1)
      and l.purged_at is null and l.finished_at is not null
      and l.finished_at < now() - case l.state when 'delivered' then $2 when 'sent' then $2 when 'refused' then $3 when 'failed' then $4
                                               when 'kept' then case when exists (select from cases m where m.study_uid = l.study_uid and m.role = 'contours')
                                                                     then interval '0' else $3 end end
      and not (l.state = 'kept' and exists (select from cases m where m.study_uid = l.study_uid and m.role = 'contours' and m.purged_at is null))
      and not exists (select from cases c where c.series_uid = l.series_uid
                      and c.state not in ('delivered', 'sent', 'kept', 'refused', 'failed', 'superseded'))
      and not exists (select from outbox o join cases c on c.id = o.case_id
                      where c.series_uid = l.series_uid and o.confirmation = 'awaited')
      and not exists (select from outbox o join cases c on c.id = o.case_id
                      where c.series_uid = l.series_uid and o.state <> 'accepted'
                        and not (o.state = 'failed' and {NEWER_ON_THE_CT}))
      and not exists (select from plannings p join cases c on c.id = p.case_id
                      where c.series_uid = l.series_uid and p.state = 'under_way'
                        and p.not_before > clock_timestamp() - interval '1 hour')
      and not exists (select from cases c where c.series_uid = l.series_uid and c.revision = l.revision
                      and exists (select from structures s where s.case_id = c.id)
                      and not exists (select from reviews v where v.case_id = c.id))
    order by ended"
    )
}

const ACTION: &str = "delete what need not be kept";

impl PgStore {
    /// Series that may go by these times, the oldest first. With `Some(Duration::ZERO)` everything that ever may.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn purgeable(&self, times: &KeepTimes) -> Result<Vec<Purgeable>, StoreError> {
        let [delivered, refused, failed_for] = [times.delivered, times.refused, times.failed].map(interval);
        sqlx::query_as(sqlx::AssertSqlSafe(purgeable()))
            .bind(None::<String>)
            .bind(delivered)
            .bind(refused)
            .bind(failed_for)
            .fetch_all(&self.pool)
            .await
            .map_err(failed(ACTION))
    }

    /// Bytes of all files that are kept.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn kept_bytes(&self) -> Result<u64, StoreError> {
        let bytes: i64 = sqlx::query_scalar(
            "select (select coalesce(sum(i.byte_count), 0) from instances i join cases c using (series_uid, revision, sibling)
                     where c.purged_at is null)::bigint
                  + (select coalesce(sum(r.byte_count), 0) from results r join cases c on c.id = r.case_id
                     where c.purged_at is null)::bigint",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("measure what is kept"))?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Marks a series as deleted, if it still may go; with a line in the audit trail.
    async fn mark_purged(&self, series: &str) -> Result<bool, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        // The newest first, as everywhere: no two transactions wait for each other.
        let locked = "select from cases where series_uid = $1 order by revision desc, sibling for update";
        sqlx::query(locked).bind(series).execute(&mut *tx).await.map_err(failed(ACTION))?;
        let now = interval(Some(Duration::ZERO));
        let still: Option<Purgeable> = sqlx::query_as(sqlx::AssertSqlSafe(purgeable()))
            .bind(series)
            .bind(now)
            .bind(now)
            .bind(now)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        let Some(still) = still else { return Ok(false) };
        let cases: Vec<uuid::Uuid> = sqlx::query_scalar(
            "update cases set purged_at = clock_timestamp(), files_gone_at = null where series_uid = $1 returning id",
        )
        .bind(series)
        .fetch_all(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        for case in cases {
            audit(&mut tx, "case_purged", Some(case), &json!({"bytes_of_series": still.bytes})).await?;
        }
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(true)
    }

    /// Series that are marked and whose files may still be there.
    async fn marked(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select distinct series_uid from cases where purged_at is not null and files_gone_at is null",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    async fn files_of(&self, series: &str) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "select blob_key from instances where series_uid = $1
             union select r.blob_key from results r join cases c on c.id = r.case_id where c.series_uid = $1",
        )
        .bind(series)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    /// Notes that the files are gone, and forgets the patient.
    async fn files_gone(&self, series: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update cases set files_gone_at = clock_timestamp(), patient_id = '', patient_name = ''
             where series_uid = $1 and purged_at is not null",
        )
        .bind(series)
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        // A label may name a patient.
        sqlx::query(
            "delete from prior_sets p using cases c
             where p.case_id = c.id and c.series_uid = $1 and c.purged_at is not null",
        )
        .bind(series)
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(())
    }
}

impl Store {
    /// Deletes a series, if it still may go: its files and the patient's name and number. Whether it did.
    ///
    /// # Errors
    /// [`StoreError`]; what was begun is finished by [`Store::finish_purges`].
    pub async fn purge(&self, series: &str) -> Result<bool, StoreError> {
        let may = self.pg.mark_purged(series).await?;
        if may {
            self.delete_files(series).await?;
        }
        Ok(may)
    }

    /// Finishes what a crash or a fault left half done; how many series.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_purges(&self) -> Result<usize, StoreError> {
        let marked = self.pg.marked().await?;
        for series in &marked {
            self.delete_files(series).await?;
        }
        Ok(marked.len())
    }

    async fn delete_files(&self, series: &str) -> Result<(), StoreError> {
        for key in self.pg.files_of(series).await? {
            self.blobs.delete(&key).await?;
        }
        self.pg.files_gone(series).await
    }
}

/// As PostgreSQL's interval; longer than that can say is for ever.
fn interval(time: Option<Duration>) -> Option<sqlx::postgres::types::PgInterval> {
    sqlx::postgres::types::PgInterval::try_from(time?).ok()
}
