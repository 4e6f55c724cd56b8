//! The moment when a series counts as complete.

use std::time::Duration;

use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::audit;
use super::intake::open_siblings;
use super::postgres::failed;
use super::{CaseRole, PgStore, StoreError};

const ACTION: &str = "queue complete series";

/// A series that images are coming in of, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Its case.
    pub case: Uuid,
    /// Series Instance UID.
    pub series_uid: String,
    /// What it is for.
    pub role: CaseRole,
    /// For how long nothing came.
    pub silent: Duration,
    /// Its images, late ones and those before them.
    pub images: Vec<ImageEvidence>,
}

/// What an image says about the series that it is of.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ImageEvidence {
    /// Where it lies along the normal of its plane, mm.
    pub place: Option<f64>,
    /// That normal: the same for all images of one stack.
    pub normal: Option<String>,
    /// How many images its acquisition has.
    pub announced: Option<i32>,
    /// The number of its acquisition.
    pub acquisition: Option<i32>,
}

/// What is to become of an incoming series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is complete, by this evidence.
    Complete(String),
    /// It is complete by this evidence if its sender asked for the storage commitment of just these images.
    IfVouchedFor(String),
    /// It is waited for; with what is to be said on its case, where it is more than usual.
    Waits(Option<String>),
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    series_uid: String,
    revision: i32,
    #[sqlx(try_from = "String")]
    role: CaseRole,
    silent: f64,
    calling_ae: String,
    last_instance_at: OffsetDateTime,
    reason: Option<String>,
}

impl PgStore {
    /// Has every series judged of which nothing came for `settled`; those that are complete are queued, once for each of
    /// their models. Answers the cases with the evidence. A series of which an image comes meanwhile is left for the next time.
    ///
    /// The caller sees to it that the silence was not its own: see `service::complete`.
    ///
    /// # Errors
    /// [`StoreError::Database`]; what was queued before stays.
    pub async fn queue_complete(
        &self,
        settled: Duration,
        judge: impl Fn(&Incoming) -> Judgement + Send,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(
            "select id, series_uid, revision, role, reason, calling_ae, last_instance_at,
                    extract(epoch from clock_timestamp() - last_instance_at)::float8 as silent
             from cases where state = 'receiving' and last_instance_at <= clock_timestamp() - make_interval(secs => $1)
             order by last_instance_at, id",
        )
        .bind(settled.as_secs_f64())
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        let mut queued = Vec::new();
        for row in rows {
            let images = self.evidence_of(&row).await?;
            let silent = Duration::try_from_secs_f64(row.silent).unwrap_or_default();
            let series_uid = row.series_uid.clone();
            match judge(&Incoming { case: row.id, series_uid, role: row.role, silent, images }) {
                Judgement::Complete(by) => queued.extend(self.queue(&row, &by).await?),
                Judgement::IfVouchedFor(by) if self.vouched_for(&row).await? => {
                    queued.extend(self.queue(&row, &by).await?);
                }
                Judgement::IfVouchedFor(_) => {}
                Judgement::Waits(why) if why == row.reason => {}
                Judgement::Waits(why) => self.say_why_it_waits(&row, why).await?,
            }
        }
        Ok(queued)
    }

    async fn evidence_of(&self, row: &Row) -> Result<Vec<ImageEvidence>, StoreError> {
        sqlx::query_as(
            "select place, normal, announced, acquisition from instances where series_uid = $1 and revision <= $2",
        )
        .bind(&row.series_uid)
        .bind(row.revision)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    /// Whether the sender has asked, after the last image came, for the commitment of all images in one request that names
    /// none that is not here: a part of a series, or one of which something was refused, is not vouched for.
    async fn vouched_for(&self, row: &Row) -> Result<bool, StoreError> {
        sqlx::query_scalar(
            "select exists (
                 select from commitment_requests r
                 where r.calling_ae = $3 and r.asked_at >= $4
                   and not exists (
                     select sop_instance_uid from instances where series_uid = $1 and revision <= $2
                     except select named->>1 from jsonb_array_elements(r.instances) named)
                   and not exists (
                     select named->>1 from jsonb_array_elements(r.instances) named
                     except select sop_instance_uid from instances))",
        )
        .bind(&row.series_uid)
        .bind(row.revision)
        .bind(&row.calling_ae)
        .bind(row.last_instance_at)
        .fetch_one(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    /// Queues a series because a person says that it is complete, whatever its images say. Answers how many images it has,
    /// `None` when it is not waited for.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is changed.
    pub async fn complete_by_word(&self, case: Uuid) -> Result<Option<i64>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let completed =
            sqlx::query("update cases set state = 'queued', reason = null where id = $1 and state = 'receiving'")
                .bind(case)
                .execute(&mut *tx)
                .await
                .map_err(failed(ACTION))?;
        if completed.rows_affected() == 0 {
            return Ok(None);
        }
        let images: i64 = sqlx::query_scalar(
            "select count(*) from instances i join cases c on i.series_uid = c.series_uid and i.revision <= c.revision
             where c.id = $1",
        )
        .bind(case)
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        queue_all(&mut tx, case, "series_declared_complete", &json!({ "images": images })).await?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(Some(images))
    }

    /// Queues a case as it was seen, with those of its other models.
    async fn queue(&self, row: &Row, by: &str) -> Result<Vec<(Uuid, String)>, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let as_seen = sqlx::query(
            "update cases set state = 'queued', reason = null
             where id = $1 and state = 'receiving' and last_instance_at = $2",
        )
        .bind(row.id)
        .bind(row.last_instance_at)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        if as_seen.rows_affected() == 0 {
            return Ok(Vec::new());
        }
        let cases = queue_all(&mut tx, row.id, "series_complete", &json!({ "by": by })).await?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(cases.into_iter().map(|case| (case, by.to_owned())).collect())
    }

    async fn say_why_it_waits(&self, row: &Row, why: Option<String>) -> Result<(), StoreError> {
        sqlx::query("update cases set reason = $3 where id = $1 and state = 'receiving' and last_instance_at = $2")
            .bind(row.id)
            .bind(row.last_instance_at)
            .bind(why)
            .execute(&self.pool)
            .await
            .map_err(failed("say why a series is waited for"))?;
        Ok(())
    }
}

/// Queues a complete case and opens and queues those of its other models, with a line in the audit trail for each; answers all
/// of them.
async fn queue_all(
    tx: &mut PgConnection,
    case: Uuid,
    event: &'static str,
    detail: &serde_json::Value,
) -> Result<Vec<Uuid>, StoreError> {
    let siblings = open_siblings(tx, case).await?;
    let cases: Vec<Uuid> = std::iter::once(case).chain(siblings).collect();
    for case in &cases {
        sqlx::query("insert into jobs (case_id) values ($1)")
            .bind(case)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        audit(&mut *tx, event, Some(*case), detail).await?;
    }
    Ok(cases)
}
