//! Instances that were refused on receipt because they are damaged: they count on their case until they come whole.

use serde_json::Value;

use super::intake::{open_case, restart_silence, touch_case};
use super::postgres::failed;
use super::{Arrival, PgStore, StoreError};
use crate::ids::InstanceUid;

const ACTION: &str = "record a damaged instance";

impl PgStore {
    /// Records that an instance was refused because it is damaged, on the open revision of its series. It counts until
    /// the same instance comes whole. `refusal` is a `dicom::data::Refusal` as JSON.
    ///
    /// Only the first time opens a case or a revision: whatever revision is the latest, it has this refusal already.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is recorded.
    pub async fn note_refused_instance(
        &self,
        arrival: &Arrival,
        instance: &InstanceUid,
        refusal: &Value,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await.map_err(failed(ACTION))?;
        let again: bool = sqlx::query_scalar(
            "select exists (select from refused_instances where sop_instance_uid = $1 and series_uid = $2)",
        )
        .bind(instance.as_str())
        .bind(arrival.series.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        if again {
            restart_silence(&mut tx, &[arrival.series.as_str()]).await?;
        } else {
            let (case, _) = open_case(&mut tx, arrival).await?;
            touch_case(&mut tx, case).await?;
        }
        sqlx::query(
            "insert into refused_instances (sop_instance_uid, series_uid, refusal) values ($1, $2, $3)
             on conflict (series_uid, sop_instance_uid) do update set refusal = $3, refused_at = clock_timestamp()",
        )
        .bind(instance.as_str())
        .bind(arrival.series.as_str())
        .bind(refusal)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        tx.commit().await.map_err(failed(ACTION))
    }

    /// The refusals of the instances of a series that came damaged and have not come whole since.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refused_instances_of(&self, series_uid: &str) -> Result<Vec<Value>, StoreError> {
        sqlx::query_scalar(
            "select refusal from refused_instances r where series_uid = $1
               and not exists (select from instances i where i.sop_instance_uid = r.sop_instance_uid)
             order by sop_instance_uid",
        )
        .bind(series_uid)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list the refused instances of a case"))
    }
}
