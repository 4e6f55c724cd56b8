//! What the routes said of each series, kept so that all of its instances go the same way.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::audit::audit;
use super::postgres::failed;
use super::{PgStore, StoreError};
use crate::ids::{AeTitle, SeriesUid};

/// A series that no route wanted is asked about anew when nothing of it came for this long.
const ASKED_AGAIN: Duration = Duration::from_secs(3600);

/// A series and the way that it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesWay {
    /// The series.
    pub series: SeriesUid,
    /// Who sent it.
    pub calling: AeTitle,
    /// Under which title of ours.
    pub called: AeTitle,
}

/// What the routes said of a series.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Routing {
    /// The route that takes it; `None`: none wants it.
    pub route: Option<String>,
    /// Whether a series that no route wants is refused.
    pub refused: bool,
    /// From 0 to 9.
    pub priority: i16,
    /// Modality of the instance that was asked about.
    pub modality: String,
    /// Its Series Description.
    pub series_description: String,
    /// What was recognised and what each route said, a line each.
    pub reasons: Vec<String>,
}

/// Series that no route wanted.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Unwanted {
    /// Who sent it.
    pub calling: String,
    /// Under which title of ours.
    pub called: String,
    /// Modality.
    pub modality: String,
    /// Series Description.
    pub series_description: String,
    /// Whether its objects were refused; otherwise they were answered with success and not kept.
    pub refused: bool,
    /// Why, a line for each route.
    pub reasons: Vec<String>,
    /// How many objects came, each time counted.
    pub instances: i64,
    /// When the latest came.
    #[serde(with = "time::serde::rfc3339")]
    pub latest: OffsetDateTime,
}

impl PgStore {
    /// The route that these routes gave a series when its first instance came this way.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn routing_of(&self, way: &SeriesWay, routes_digest: &str) -> Result<Option<Routing>, StoreError> {
        sqlx::query_as(
            "select route, refused, priority, modality, series_description, reasons from routings
             where series_uid = $1 and calling_ae = $2 and called_ae = $3 and routes_digest = $4 and route is not null",
        )
        .bind(way.series.as_str())
        .bind(way.calling.as_str())
        .bind(way.called.as_str())
        .bind(routes_digest)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("look for the route of a series"))
    }

    /// The route of the latest case of a series that came this way, if an image of it was kept.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn route_of_case(&self, way: &SeriesWay) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar(
            "select route from cases where series_uid = $1 and calling_ae = $2 and called_ae = $3
               and exists (select from instances i where i.series_uid = $1)
             order by revision desc limit 1",
        )
        .bind(way.series.as_str())
        .bind(way.calling.as_str())
        .bind(way.called.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("look for the route of a case"))
    }

    /// Keeps what the routes said of a series, unless somebody was faster. A series that no route wants is a line in the
    /// audit trail.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is kept.
    pub async fn keep_routing(&self, way: &SeriesWay, routes_digest: &str, new: &Routing) -> Result<(), StoreError> {
        const ACTION: &str = "keep the route of a series";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let kept = sqlx::query(
            "insert into routings as known (series_uid, calling_ae, called_ae, routes_digest, route, refused, priority,
                                            modality, series_description, reasons)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             on conflict (series_uid, calling_ae, called_ae, routes_digest) do update
             set route = excluded.route, refused = excluded.refused, priority = excluded.priority,
                 modality = excluded.modality, series_description = excluded.series_description,
                 reasons = excluded.reasons, latest_at = clock_timestamp()
             where known.route is null and known.latest_at <= clock_timestamp() - make_interval(secs => $11)",
        )
        .bind(way.series.as_str())
        .bind(way.calling.as_str())
        .bind(way.called.as_str())
        .bind(routes_digest)
        .bind(&new.route)
        .bind(new.refused)
        .bind(new.priority)
        .bind(&new.modality)
        .bind(&new.series_description)
        .bind(&new.reasons)
        .bind(ASKED_AGAIN.as_secs_f64())
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        if kept.rows_affected() == 1 && new.route.is_none() {
            let detail = json!({
                "series": way.series.as_str(), "calling": way.calling.as_str(), "called": way.called.as_str(),
                "refused": new.refused, "reasons": new.reasons,
            });
            audit(&mut tx, "series_not_wanted", None, &detail).await?;
        }
        tx.commit().await.map_err(failed(ACTION))
    }

    /// Counts one more object of a series that these routes do not want, and says what they said of it; `None` when they
    /// did not say so, or so long ago that they are to be asked again: a header can be mended and sent anew.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is counted.
    pub async fn count_unwanted(&self, way: &SeriesWay, routes_digest: &str) -> Result<Option<Routing>, StoreError> {
        sqlx::query_as(
            "update routings set instances = instances + 1, latest_at = clock_timestamp()
             where series_uid = $1 and calling_ae = $2 and called_ae = $3 and routes_digest = $4 and route is null
               and latest_at > clock_timestamp() - make_interval(secs => $5)
             returning route, refused, priority, modality, series_description, reasons",
        )
        .bind(way.series.as_str())
        .bind(way.calling.as_str())
        .bind(way.called.as_str())
        .bind(routes_digest)
        .bind(ASKED_AGAIN.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("count what no route wants"))
    }

    /// The series of the last seven days that no route wanted, the latest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unwanted(&self, limit: u32) -> Result<Vec<Unwanted>, StoreError> {
        sqlx::query_as(
            "select calling_ae as calling, called_ae as called, modality, series_description, refused, reasons, instances,
                    latest_at as latest
             from routings where route is null and latest_at > now() - interval '7 days'
             order by latest_at desc limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list what no route wants"))
    }

    /// How many series of the last seven days no route wanted, and how many objects of them came.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn unwanted_count(&self) -> Result<(i64, i64), StoreError> {
        sqlx::query_as(
            "select count(distinct series_uid), coalesce(sum(instances), 0)::bigint from routings
             where route is null and latest_at > now() - interval '7 days'",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count what no route wants"))
    }

    /// What the routes said when a case was opened: the line of each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn routing_of_case(&self, case: &super::Case) -> Result<Vec<String>, StoreError> {
        let reasons: Option<Vec<String>> = sqlx::query_scalar(
            "select reasons from routings where series_uid = $1 and calling_ae = $2 and called_ae = $3 and route = $4
             order by first_at limit 1",
        )
        .bind(&case.series_uid)
        .bind(&case.calling_ae)
        .bind(&case.called_ae)
        .bind(&case.route)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("read the route of a case"))?;
        Ok(reasons.unwrap_or_default())
    }
}
