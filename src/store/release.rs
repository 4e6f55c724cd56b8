//! Held cases: kept from the outbox until a person lets them go, with a name and a reason that stay.

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::audit;
use super::outbox::settle_case;
use super::postgres::{failed, lock_case};
use super::{Backlog, CaseState, PgStore, StoreError};

const ACTION: &str = "release a case";

/// A person lets a held case go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRelease {
    /// Case.
    pub case_id: Uuid,
    /// Who; 1 to 200 characters.
    pub released_by: String,
    /// Why the reasons for holding it do not matter; 1 to 4000 characters.
    pub reason: String,
}

/// A recorded release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct Release {
    /// Case.
    #[serde(skip)]
    pub case_id: Uuid,
    /// Who.
    pub released_by: String,
    /// Why.
    pub reason: String,
    /// When, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
}

/// What came of asking for a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// Its results are in the outbox now.
    Sent {
        /// How many deliveries.
        deliveries: u64,
    },
    /// Nothing was done: the case is not held.
    NotHeld,
}

impl PgStore {
    /// Puts the results of a held case into the outbox, with who let it go and why, and a line in the audit trail that
    /// names neither.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is changed.
    pub async fn release_case(&self, new: &NewRelease) -> Result<Released, StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        lock_case(&mut tx, new.case_id).await?;
        let held = sqlx::query("update cases set state = 'delivering', reason = null where id = $1 and state = 'held'")
            .bind(new.case_id)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        if held.rows_affected() == 0 {
            // Dropped, it would end a moment later, and until then the case would be skipped as locked.
            tx.rollback().await.map_err(failed(ACTION))?;
            return Ok(Released::NotHeld);
        }
        sqlx::query("insert into releases (case_id, released_by, reason) values ($1, $2, $3)")
            .bind(new.case_id)
            .bind(&new.released_by)
            .bind(&new.reason)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        let deliveries = fill_outbox(&mut tx, new.case_id).await?;
        audit(&mut tx, "case_released", Some(new.case_id), &json!({"deliveries": deliveries})).await?;
        settle_case(&mut tx, new.case_id).await?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(Released::Sent { deliveries })
    }

    /// Who released a case; `None` when nobody did.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn release_of(&self, case: Uuid) -> Result<Option<Release>, StoreError> {
        sqlx::query_as("select * from releases where case_id = $1")
            .bind(case)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a release"))
    }

    /// Cases that wait for a person to release them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn held_cases(&self) -> Result<Backlog, StoreError> {
        sqlx::query_as(
            "select count(*) as count, extract(epoch from now() - min(held_at))::float8 as oldest_seconds
             from cases where state = 'held'",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count held cases"))
    }
}

/// One delivery of each result of a case to each of its destinations, but for those that there are; answers how many.
pub(super) async fn fill_outbox(tx: &mut PgConnection, case: Uuid) -> Result<u64, StoreError> {
    let filled = sqlx::query(
        "insert into outbox (result_id, case_id, destination, seq)
         select r.id, r.case_id, d, r.seq from results r, unnest(r.destinations) as d
         where r.case_id = $1 order by r.seq, d on conflict (result_id, destination) do nothing",
    )
    .bind(case)
    .execute(tx)
    .await
    .map_err(failed("put results into the outbox"))?;
    Ok(filled.rows_affected())
}

/// A later revision of the series opens: what was held of it is not sent any more.
pub(super) async fn supersede_held(tx: &mut PgConnection, series_uid: &str) -> Result<(), StoreError> {
    const REASON: &str = "it was held, and slices came since; the next revision has them all";
    let cases: Vec<Uuid> = sqlx::query_scalar(
        "update cases set state = 'superseded', reason = $2, finished_at = clock_timestamp()
         where series_uid = $1 and state = 'held' returning id",
    )
    .bind(series_uid)
    .bind(REASON)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed("supersede a held case"))?;
    for case in cases {
        let detail = json!({"state": CaseState::Superseded, "reason": REASON});
        audit(&mut *tx, "case_ended", Some(case), &detail).await?;
    }
    Ok(())
}
