//! Series that are incomplete here and are asked for elsewhere, once each.

use serde_json::json;
use uuid::Uuid;

use super::audit::audit;
use super::postgres::failed;
use super::{Case, PgStore, StoreError};

/// Refusals that more images may mend.
const INCOMPLETE: &str = "c.refusals @> '[{\"code\": \"missing_slice\"}]'
    or c.refusals @> '[{\"code\": \"irregular_spacing\"}]' or c.refusals @> '[{\"code\": \"too_few_slices\"}]'";

impl PgStore {
    /// A case of the last day that was refused because images are missing, and whose series nobody was asked for: it counts
    /// as asked for from now on. One whose asking was interrupted comes again after a while.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_incomplete(&self) -> Result<Option<Case>, StoreError> {
        const ACTION: &str = "look for incomplete series";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let case: Option<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "insert into fetches (series_uid, case_id)
             select c.series_uid, c.id from cases c left join fetches f on f.series_uid = c.series_uid
             where c.state = 'refused' and c.finished_at > clock_timestamp() - interval '1 day' and ({INCOMPLETE})
               and (f.series_uid is null
                    or f.outcome is null and f.asked_at < clock_timestamp() - interval '10 minutes')
               and not exists (select from cases later
                               where later.series_uid = c.series_uid and later.revision > c.revision)
             order by c.finished_at limit 1
             on conflict (series_uid) do update set asked_at = clock_timestamp(), case_id = excluded.case_id
             returning case_id"
        )))
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let Some(id) = case else { return Ok(None) };
        let case = sqlx::query_as("select * from cases where id = $1").bind(id).fetch_one(&mut *tx).await;
        let case = case.map_err(failed(ACTION))?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(Some(case))
    }

    /// Records what asking for a series came to, also on its case.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then it is asked for again after a while.
    pub async fn record_fetch(&self, case: &Case, outcome: &str) -> Result<(), StoreError> {
        const ACTION: &str = "record what was asked for elsewhere";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        sqlx::query("update fetches set outcome = $2 where series_uid = $1")
            .bind(&case.series_uid)
            .bind(outcome)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        // What has arrived meanwhile may have superseded it: then the new revision tells.
        sqlx::query(
            "update cases set reason = concat_ws(E'\\n', reason, $2::text) where id = $1 and state = 'refused'",
        )
        .bind(case.id)
        .bind(outcome)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        audit(&mut tx, "images_fetched", Some(case.id), &json!({"outcome": outcome})).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// What asking for a series elsewhere came to; `None` when nobody was asked, or it is under way.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn fetch_of(&self, series_uid: &str) -> Result<Option<String>, StoreError> {
        let outcome: Option<Option<String>> = sqlx::query_scalar("select outcome from fetches where series_uid = $1")
            .bind(series_uid)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("tell what was asked for elsewhere"))?;
        Ok(outcome.flatten())
    }
}
