//! Structure sets of a study that others made: where they were asked for, and what each says of itself.

use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::audit::audit;
use super::postgres::failed;
use super::{Case, PgStore, StoreError};

/// What a kept structure set says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct PriorSet {
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// Structure Set Label.
    pub label: String,
    /// Approval Status; empty where it says none.
    pub approval: String,
    /// Structure Set Date and Structure Set Time as written.
    pub made: String,
    /// Manufacturer and its model name.
    pub maker: String,
    /// How many regions of interest it has.
    pub rois: i32,
    /// Series Instance UID of the images that it refers to.
    pub drawn_on: Option<String>,
    /// Frame of Reference UID.
    pub frame_uid: Option<String>,
}

/// A kept structure set as a contoured case of its study sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct PriorSetView {
    /// The set.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub set: PriorSet,
    /// Its own case.
    pub case_id: Uuid,
    /// Whether it was drawn on the images of the contoured case, or on those that were derived from them.
    pub on_these_images: bool,
}

impl PgStore {
    /// A case of the last day on one of these routes whose study nobody was asked for structure sets: it counts as asked for from
    /// now on. One whose asking was interrupted, or failed somewhere, comes again after a while.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_for_sets(&self, routes: &[String]) -> Result<Option<Case>, StoreError> {
        const ACTION: &str = "look for studies whose structure sets are wanted";
        sqlx::query_as(
            "with claimed as (
                 insert into prior_fetches (case_id)
                 select c.id from cases c left join prior_fetches f on f.case_id = c.id
                 where c.role = 'contours' and c.sibling = 0 and c.route = any($1) and c.state <> 'receiving'
                   and c.purged_at is null and c.received_at > clock_timestamp() - interval '1 day'
                   and (f.case_id is null
                        or (f.outcome is null or f.failed) and f.asked_at < clock_timestamp() - interval '10 minutes')
                 order by c.received_at, c.id limit 1
                 on conflict (case_id) do update set asked_at = clock_timestamp() returning case_id)
             select c.* from cases c join claimed on claimed.case_id = c.id",
        )
        .bind(routes)
        .fetch_optional(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    /// Records what asking for the structure sets of a case's study came to; `failed_somewhere`: a source could not be asked.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then they are asked for again after a while.
    pub async fn record_sets_fetch(&self, case: Uuid, outcome: &str, failed_somewhere: bool) -> Result<(), StoreError> {
        const ACTION: &str = "record that structure sets were asked for";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        sqlx::query("update prior_fetches set outcome = $2, failed = $3 where case_id = $1")
            .bind(case)
            .bind(outcome)
            .bind(failed_somewhere)
            .execute(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
        audit(&mut tx, "structure_sets_fetched", Some(case), &json!({"outcome": outcome})).await?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// What asking for them came to; `None` when nobody was asked, or it is under way.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn sets_fetch_of(&self, case: Uuid) -> Result<Option<String>, StoreError> {
        let outcome: Option<Option<String>> =
            sqlx::query_scalar("select outcome from prior_fetches where case_id = $1")
                .bind(case)
                .fetch_optional(&self.pool)
                .await
                .map_err(failed("tell what came of asking for structure sets"))?;
        Ok(outcome.flatten())
    }

    /// The kept structure sets of a case's study that lie in its frame of reference or on its images, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn prior_sets_of(&self, case: Uuid) -> Result<Vec<PriorSetView>, StoreError> {
        sqlx::query_as(
            "select * from (
                 select p.*, coalesce(p.drawn_on = m.series_uid or p.drawn_on in (
                            select r.series_uid from results r join cases d on d.id = r.case_id
                            where d.series_uid = m.series_uid and r.kind = 'derived_image'), false) as on_these_images,
                        m.frame_uid as wanted_frame
                 from cases m join cases s on s.study_uid = m.study_uid and s.role = 'structure_set'
                      and s.state = 'kept' and s.purged_at is null
                 join prior_sets p on p.case_id = s.id
                 where m.id = $1 and m.role = 'contours') found
             where on_these_images or frame_uid = wanted_frame
             order by made desc, sop_instance_uid",
        )
        .bind(case)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the structure sets of a study"))
    }
}

/// Records what the structure sets of a kept case say; an earlier revision's belong to this one now.
pub(super) async fn insert_sets(tx: &mut PgConnection, case: Uuid, sets: &[PriorSet]) -> Result<(), StoreError> {
    for set in sets {
        sqlx::query(
            "insert into prior_sets (sop_instance_uid, case_id, label, approval, made, maker, rois, drawn_on, frame_uid)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             on conflict (sop_instance_uid) do update set case_id = excluded.case_id",
        )
        .bind(&set.sop_instance_uid)
        .bind(case)
        .bind(&set.label)
        .bind(&set.approval)
        .bind(&set.made)
        .bind(&set.maker)
        .bind(set.rois)
        .bind(&set.drawn_on)
        .bind(&set.frame_uid)
        .execute(&mut *tx)
        .await
        .map_err(failed("record what a structure set says"))?;
    }
    Ok(())
}
