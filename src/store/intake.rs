//! Acknowledged instances, the cases they open, and the moment when a series counts as complete.

use serde_json::json;
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::Query;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::audit::audit;
use super::postgres::failed;
use super::release::supersede_held;
use super::rows::PatientText;
use super::{CaseRole, CaseState, InstanceRow, PgStore, StoreError};
use crate::ids::{AeTitle, FrameOfReferenceUid, InstanceUid, SeriesUid, StudyUid};

const ACTION: &str = "record an instance";

/// What an instance says of its series, and how it came: opens a case when it is the first.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Study Instance UID.
    pub study: StudyUid,
    /// Series Instance UID.
    pub series: SeriesUid,
    /// Frame of Reference UID.
    pub frame: Option<FrameOfReferenceUid>,
    /// Modality.
    pub modality: String,
    /// Series Description.
    pub series_description: String,
    /// Patient ID.
    pub patient_id: PatientText,
    /// Patient's name.
    pub patient_name: PatientText,
    /// Who sent it.
    pub calling: AeTitle,
    /// Under which title.
    pub called: AeTitle,
    /// Name of the route.
    pub route: String,
    /// What the series is for.
    pub role: CaseRole,
    /// From 0 to 9: of the cases that wait, the higher one is segmented first.
    pub priority: i16,
    /// The models that segment it side by side, each in a case of its own; none: the default one.
    pub models: Vec<String>,
}

/// An instance whose bytes lie on disk already.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// Series and way.
    pub arrival: Arrival,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// SOP Class UID.
    pub sop_class: String,
    /// Transfer syntax of the data set.
    pub transfer_syntax: String,
    /// Where the Part 10 file lies.
    pub blob_key: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its size.
    pub byte_count: u64,
    /// Where it lies along the normal of its plane (mm), and that normal: the same text for all images of one stack.
    pub plane: Option<(f64, String)>,
    /// How many images its acquisition has, where its header says so.
    pub announced: Option<i32>,
    /// The number of its acquisition, where its header says one.
    pub acquisition: Option<i32>,
}

/// What became of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intake {
    /// It is part of this case now.
    Stored {
        /// The case.
        case: Uuid,
        /// Its revision; above 1 for a slice that came late.
        revision: i32,
    },
    /// The same data set is there already.
    AlreadyStored,
    /// Another data set is there under the same SOP Instance UID; nothing was changed.
    Conflict,
}

#[derive(FromRow)]
struct Latest {
    id: Uuid,
    revision: i32,
    #[sqlx(try_from = "String")]
    state: CaseState,
}

impl PgStore {
    /// Records an instance in the open revision of its series, opening a case or the next revision as needed.
    /// When this returns `Stored`, the row is committed and its log flushed.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded.
    pub async fn accept_instance(&self, new: &NewInstance) -> Result<Intake, StoreError> {
        if let Some((case, revision)) = self.accept_next(new).await? {
            return Ok(Intake::Stored { case, revision });
        }
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let (case, revision) = open_case(&mut tx, &new.arrival).await?;
        let inserted = instance(format!("{INSERT} values ($1, $2, $3, $12, {VALUES}) on conflict do nothing"), new)
            .bind(revision)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        if inserted.rows_affected() == 0 {
            // Another association was faster; the case that was opened for it alone must not stay.
            tx.rollback().await.map_err(failed(ACTION))?;
            let known = self.known_instance(&new.instance).await?;
            return Ok(if known.is_some_and(|known| known.sha256 == new.sha256) {
                Intake::AlreadyStored
            } else {
                Intake::Conflict
            });
        }
        touch_case(&mut tx, case).await?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(Intake::Stored { case, revision })
    }

    /// Records an instance of a series that images are coming in of: one request instead of five, for nearly all of them.
    /// `None`, and no instance recorded, when its series is not waited for or the instance is there.
    async fn accept_next(&self, new: &NewInstance) -> Result<Option<(Uuid, i32)>, StoreError> {
        let row = instance(
            format!(
                "with latest as (
                     select id from cases where series_uid = $3 order by revision desc, sibling limit 1
                 ), open as (
                     update cases c set last_instance_at = clock_timestamp() from latest
                     where c.id = latest.id and c.state = 'receiving' returning c.id, c.revision
                 ), kept as (
                     {INSERT} select $1, $2, $3, open.revision, {VALUES} from open on conflict do nothing returning true
                 )
                 select open.id, open.revision from open, kept"
            ),
            new,
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose().map_err(failed(ACTION))
    }

    /// Begins the silence of these series anew, as far as instances of them are coming in.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn begin_silence_anew(&self, series: &[SeriesUid]) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed("wait for a series"))?;
        let series: Vec<&str> = series.iter().map(SeriesUid::as_str).collect();
        restart_silence(&mut connection, &series).await
    }

    /// The instances of a revision: those of its series that came with it or before it, by SOP Instance UID.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn instances_of(&self, series_uid: &str, revision: i32) -> Result<Vec<InstanceRow>, StoreError> {
        sqlx::query_as(
            "select sop_instance_uid, sop_class_uid, series_uid, revision, transfer_syntax, content_sha256,
                    blob_key, sha256, byte_count
             from instances where series_uid = $1 and revision <= $2 order by sop_instance_uid",
        )
        .bind(series_uid)
        .bind(revision)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the instances of a case"))
    }
}

const INSERT: &str = "insert into instances
    (sop_instance_uid, sop_class_uid, series_uid, revision, transfer_syntax, content_sha256, sha256, blob_key, byte_count,
     place, normal, announced, acquisition)";
/// What [`instance`] binds for the columns behind the revision.
const VALUES: &str = "$4, $5, $5, $6, $7, $8, $9, $10, $11";

/// A statement with the values of an instance, its UIDs first.
fn instance(sql: String, new: &NewInstance) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(new.instance.as_str().to_owned())
        .bind(new.sop_class.clone())
        .bind(new.arrival.series.as_str().to_owned())
        .bind(new.transfer_syntax.clone())
        .bind(new.sha256.clone())
        .bind(new.blob_key.clone())
        .bind(i64::try_from(new.byte_count).unwrap_or(i64::MAX))
        .bind(new.plane.as_ref().map(|(place, _)| *place))
        .bind(new.plane.as_ref().map(|(_, normal)| normal.clone()))
        .bind(new.announced)
        .bind(new.acquisition)
}

/// Begins the silence of the series anew whose cases are still open.
pub(super) async fn restart_silence(tx: &mut PgConnection, series: &[&str]) -> Result<(), StoreError> {
    sqlx::query(
        "update cases set last_instance_at = clock_timestamp() where series_uid = any($1) and state = 'receiving'",
    )
    .bind(series)
    .execute(tx)
    .await
    .map_err(failed("wait for a series"))?;
    Ok(())
}

/// Opens the cases of a series for its models after the first; answers them.
pub(super) async fn open_siblings(tx: &mut PgConnection, case: Uuid) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar(
        "insert into cases (id, study_uid, series_uid, frame_uid, revision, state, route, calling_ae, called_ae,
                            patient_id, patient_name, series_description, modality, received_at, last_instance_at,
                            priority, models, sibling)
         select gen_random_uuid(), study_uid, series_uid, frame_uid, revision, state, route, calling_ae, called_ae,
                patient_id, patient_name, series_description, modality, received_at, last_instance_at,
                priority, models, place
         from cases c, generate_series(1, cardinality(c.models) - 1) as place where c.id = $1
         returning id",
    )
    .bind(case)
    .fetch_all(tx)
    .await
    .map_err(failed("open the cases of several models"))
}

/// Takes back that a series is complete, as long as nobody works on it for any of its models; says whether it was.
async fn reopen(tx: &mut PgConnection, first: &Latest, series: &str) -> Result<bool, StoreError> {
    let states: Vec<String> = sqlx::query_scalar(
        "select state from cases where series_uid = $1 and revision = $2 order by sibling for update",
    )
    .bind(series)
    .bind(first.revision)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if states.iter().any(|state| state != CaseState::Queued.name()) {
        return Ok(false);
    }
    for query in [
        "delete from jobs where case_id in (select id from cases where series_uid = $1 and revision = $2)",
        "delete from cases where series_uid = $1 and revision = $2 and sibling > 0",
        "update cases set state = 'receiving', reason = null where series_uid = $1 and revision = $2",
    ] {
        sqlx::query(query).bind(series).bind(first.revision).execute(&mut *tx).await.map_err(failed(ACTION))?;
    }
    Ok(true)
}

/// Begins the silence of a case anew.
pub(super) async fn touch_case(tx: &mut PgConnection, case: Uuid) -> Result<(), StoreError> {
    sqlx::query("update cases set last_instance_at = clock_timestamp() where id = $1")
        .bind(case)
        .execute(tx)
        .await
        .map_err(failed(ACTION))?;
    Ok(())
}

/// The case that takes the instance, its row locked.
pub(super) async fn open_case(tx: &mut PgConnection, new: &Arrival) -> Result<(Uuid, i32), StoreError> {
    loop {
        let latest: Option<Latest> = sqlx::query_as(
            "select id, revision, state from cases where series_uid = $1 order by revision desc, sibling limit 1 for update",
        )
        .bind(new.series.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let revision = match latest {
            Some(case) if case.state == CaseState::Receiving => return Ok((case.id, case.revision)),
            // Nobody works on it yet: it simply was not complete.
            Some(case) if case.state == CaseState::Queued && reopen(&mut *tx, &case, new.series.as_str()).await? => {
                return Ok((case.id, case.revision));
            }
            Some(case) => case.revision + 1,
            None => 1,
        };
        if let Some(case) = insert_case(&mut *tx, new, revision).await? {
            return Ok((case, revision));
        }
        // Another association opened it at the same moment: look again.
    }
}

async fn insert_case(tx: &mut PgConnection, new: &Arrival, revision: i32) -> Result<Option<Uuid>, StoreError> {
    let case: Option<Uuid> = sqlx::query_scalar(
        "insert into cases (id, study_uid, series_uid, frame_uid, revision, state, route, calling_ae, called_ae,
                            patient_id, patient_name, series_description, modality, priority, models, role)
         values ($1, $2, $3, $4, $5, 'receiving', $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
         on conflict (series_uid, revision, sibling) do nothing returning id",
    )
    .bind(Uuid::new_v4())
    .bind(new.study.as_str())
    .bind(new.series.as_str())
    .bind(new.frame.as_ref().map(FrameOfReferenceUid::as_str))
    .bind(revision)
    .bind(&new.route)
    .bind(new.calling.as_str())
    .bind(new.called.as_str())
    .bind(new.patient_id.0.reveal())
    .bind(new.patient_name.0.reveal())
    .bind(&new.series_description)
    .bind(&new.modality)
    .bind(new.priority)
    .bind(&new.models)
    .bind(new.role.name())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if case.is_some() {
        let event = if revision == 1 { "case_opened" } else { "revision_opened" };
        let detail = json!({"series": new.series.as_str(), "revision": revision, "from": new.calling.as_str()});
        audit(&mut *tx, event, case, &detail).await?;
        supersede_held(tx, new.series.as_str()).await?;
    }
    Ok(case)
}
