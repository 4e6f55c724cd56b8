//! Instances that came before.

use serde_json::json;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::audit::audit;
use super::postgres::failed;
use super::{NewInstance, PgStore, StoreError};
use crate::ids::InstanceUid;

/// What is known of an instance that came before, and how its case came.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct KnownInstance {
    /// SHA-256 of its Part 10 file, or of the data set as sent: earlier versions compared that.
    pub content_sha256: String,
    /// Where its Part 10 file lies.
    pub blob_key: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// The case that took it.
    pub case_id: Uuid,
    /// Name of the route of that case.
    pub route: String,
    /// Called AE title of that case.
    pub called_ae: String,
}

/// What there is under a SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beforehand {
    /// Nothing.
    Nothing,
    /// An object that contourd made.
    OwnResult,
    /// An instance that was acknowledged.
    Known(KnownInstance),
}

impl PgStore {
    /// What there is under this UID, in one request: every instance that comes is looked for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn look_up(&self, instance: &InstanceUid) -> Result<Beforehand, StoreError> {
        let row = sqlx::query(
            "select exists (select from results where sop_instance_uid = $1) as own, found.*
             from (select) as always left join (
                 select i.content_sha256, i.blob_key, i.sha256, c.id as case_id, c.route, c.called_ae
                 from instances i join cases c using (series_uid, revision, sibling) where i.sop_instance_uid = $1
             ) as found on true",
        )
        .bind(instance.as_str())
        .fetch_one(&self.pool)
        .await
        .map_err(failed("look for an instance"))?;
        let read = || -> Result<Beforehand, sqlx::Error> {
            Ok(if row.try_get("own")? {
                Beforehand::OwnResult
            } else if row.try_get::<Option<Uuid>, _>("case_id")?.is_some() {
                Beforehand::Known(KnownInstance::from_row(&row)?)
            } else {
                Beforehand::Nothing
            })
        };
        read().map_err(failed("look for an instance"))
    }

    /// The instance that was acknowledged under this UID.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn known_instance(&self, instance: &InstanceUid) -> Result<Option<KnownInstance>, StoreError> {
        Ok(match self.look_up(instance).await? {
            Beforehand::Known(known) => Some(known),
            Beforehand::Nothing | Beforehand::OwnResult => None,
        })
    }

    /// Records where the file of a known instance lies, after it was lost and written again; with a line in the audit
    /// trail.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded.
    pub async fn restore_instance(&self, new: &NewInstance, known: &KnownInstance) -> Result<(), StoreError> {
        const ACTION: &str = "record the file of an instance again";
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        sqlx::query(
            "update instances set blob_key = $3, sha256 = $4, byte_count = $5, transfer_syntax = $6
             where sop_instance_uid = $1 and sha256 = $2",
        )
        .bind(new.instance.as_str())
        .bind(&known.sha256)
        .bind(&new.blob_key)
        .bind(&new.sha256)
        .bind(i64::try_from(new.byte_count).unwrap_or(i64::MAX))
        .bind(&new.transfer_syntax)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        // Of a series that was deleted: it is kept again, until its time is over again.
        sqlx::query(
            "update cases set purged_at = null, files_gone_at = null where series_uid = $1 and purged_at is not null",
        )
        .bind(new.arrival.series.as_str())
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        audit(&mut tx, "instance_file_restored", None, &json!({"instance": new.instance.as_str()})).await?;
        tx.commit().await.map_err(failed(ACTION))
    }
}
