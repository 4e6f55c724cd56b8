//! What the review page shows: cases with their counts, the structures of a case, and the files of its images.

use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::postgres::failed;
use super::{Case, InstanceRow, PgStore, StoreError, StructureRow};

/// A case with what the list shows beside it.
#[derive(Debug, Clone, FromRow)]
pub struct CaseView {
    /// The case.
    #[sqlx(flatten)]
    pub case: Case,
    /// Seconds since its first instance came, by the database's clock.
    pub age_seconds: f64,
    /// Structures with a row; 0 until it is segmented.
    pub structures_total: i64,
    /// Structures that were found.
    pub structures_found: i64,
    /// Structures with at least one review.
    pub structures_reviewed: i64,
}

/// How far the objects of a case have come on their way to one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct DeliveryView {
    /// Name of the destination.
    pub destination: String,
    /// Objects to be sent.
    pub total: i64,
    /// Objects that the destination has accepted.
    pub accepted: i64,
    /// Objects that it is known to keep.
    pub confirmed: i64,
    /// Objects that it is, or will be, asked for.
    pub awaited: i64,
    /// Objects that it refuses for good.
    pub failed: i64,
    /// What the latest attempt that did not succeed said.
    pub last_error: Option<String>,
}

/// Where one image of a case lies.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ImageFile {
    /// Key of the blob.
    pub blob_key: String,
    /// SHA-256 of the blob.
    pub sha256: String,
}

/// The images that the contours of a case lie on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFiles {
    /// Whether contourd derived them from the received ones.
    pub derived: bool,
    /// The files, in no order that means anything.
    pub files: Vec<ImageFile>,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, FromRow)]
pub struct Backlog {
    /// How many.
    pub count: i64,
    /// Age of the oldest in seconds; nothing waits: `None`.
    pub oldest_seconds: Option<f64>,
}

const CASE_VIEW: &str = "select c.*,
    extract(epoch from now() - c.received_at)::float8 as age_seconds,
    (select count(*) from structures s where s.case_id = c.id) as structures_total,
    (select count(*) from structures s where s.case_id = c.id and s.found) as structures_found,
    (select count(distinct r.structure) from reviews r where r.case_id = c.id) as structures_reviewed
    from cases c";

/// Instances that were refused on receipt for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct RefusedOnReceipt {
    /// AE title of the sender.
    pub calling: String,
    /// AE title that it called.
    pub called: String,
    /// The reason, as the sender was told.
    pub why: String,
    /// How many different instances.
    pub instances: i64,
    /// When it last happened.
    #[serde(with = "time::serde::rfc3339")]
    pub latest: OffsetDateTime,
}

impl PgStore {
    /// At most `limit` cases, newest first; with `before`, those older than that case.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn case_page(&self, before: Option<Uuid>, limit: u32) -> Result<Vec<CaseView>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{CASE_VIEW} where $1::uuid is null
                 or (c.received_at, c.id) < (select b.received_at, b.id from cases b where b.id = $1)
             order by c.received_at desc, c.id desc limit $2"
        )))
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list cases"))
    }

    /// How many cases there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn case_count(&self) -> Result<i64, StoreError> {
        sqlx::query_scalar("select count(*) from cases").fetch_one(&self.pool).await.map_err(failed("count cases"))
    }

    /// One case; `None` when there is no such case.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn case_view(&self, id: Uuid) -> Result<Option<CaseView>, StoreError> {
        sqlx::query_as(sqlx::AssertSqlSafe(format!("{CASE_VIEW} where c.id = $1")))
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a case"))
    }

    /// The structures of a case, in no particular order; empty until it is segmented.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn structures_of(&self, case_id: Uuid) -> Result<Vec<StructureRow>, StoreError> {
        sqlx::query_as("select * from structures where case_id = $1")
            .bind(case_id)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("read the structures of a case"))
    }

    /// How far a case's objects have come, destination by destination.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn delivery_progress(&self, case_id: Uuid) -> Result<Vec<DeliveryView>, StoreError> {
        sqlx::query_as(
            "select destination, count(*) as total,
                 count(*) filter (where state = 'accepted') as accepted,
                 count(*) filter (where confirmation in ('committed', 'found')) as confirmed,
                 count(*) filter (where confirmation = 'awaited') as awaited,
                 count(*) filter (where state = 'failed') as failed,
                 (array_agg(last_error order by next_attempt_at desc)
                     filter (where last_error is not null
                             and (state <> 'accepted' or confirmation in ('awaited', 'none'))))[1] as last_error
             from outbox where case_id = $1 group by destination order by destination",
        )
        .bind(case_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("read the deliveries of a case"))
    }

    /// The images that the contours of a case lie on: the derived series where there is one, else the received one as
    /// far as this revision has it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn images_of(&self, case: &Case) -> Result<ImageFiles, StoreError> {
        let derived: Vec<ImageFile> =
            sqlx::query_as("select blob_key, sha256 from results where case_id = $1 and kind = 'derived_image'")
                .bind(case.id)
                .fetch_all(&self.pool)
                .await
                .map_err(failed("list the derived images of a case"))?;
        // Some destinations may take derived planes while the contours that are shown lie on the acquired ones.
        let shown = case.report.as_ref().and_then(|report| report.get("derived_axial")?.as_bool());
        if !derived.is_empty() && shown != Some(false) {
            return Ok(ImageFiles { derived: true, files: derived });
        }
        let received = self.instances_of(&case.series_uid, case.revision).await?;
        let file = |row: InstanceRow| ImageFile { blob_key: row.blob_key, sha256: row.sha256 };
        Ok(ImageFiles { derived: false, files: received.into_iter().map(file).collect() })
    }

    /// Cases that have not ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn waiting_cases(&self) -> Result<Backlog, StoreError> {
        sqlx::query_as(
            "select count(*) as count, extract(epoch from now() - min(received_at))::float8 as oldest_seconds
             from cases where state in ('receiving', 'queued', 'segmenting', 'delivering')",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count waiting cases"))
    }

    /// Objects that no destination has confirmed or refused yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn waiting_deliveries(&self) -> Result<Backlog, StoreError> {
        sqlx::query_as(
            "select count(*) as count, extract(epoch from now() - min(r.made_at))::float8 as oldest_seconds
             from outbox o join results r on r.id = o.result_id
             where o.state = 'pending' or o.confirmation = 'awaited'",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count waiting deliveries"))
    }

    /// What was refused on receipt in the last seven days without being on a case, by sender and reason, the latest first:
    /// at most 20 reasons. (A damaged instance is on the case of its series.)
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refused_on_receipt(&self) -> Result<Vec<RefusedOnReceipt>, StoreError> {
        sqlx::query_as(
            "select detail->>'calling' as calling, detail->>'called' as called, detail->>'why' as why,
                    count(distinct detail->>'instance') as instances, max(at) as latest
             from audit
             where event = 'instance_refused' and detail->>'kind' <> 'damaged' and at > now() - interval '7 days'
             group by 1, 2, 3 order by latest desc limit 20",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list what was refused on receipt"))
    }
}
