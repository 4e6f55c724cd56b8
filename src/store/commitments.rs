//! Storage commitments that peers ask for: kept until they were told, over restarts.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::FromRow;

use super::postgres::failed;
use super::{PgStore, StoreError};
use crate::ids::{AeTitle, InstanceUid, TransactionUid};

const ACTION: &str = "record a storage commitment that a peer asked for";

/// A request that a peer made: who, which transaction, and what is to be committed as class and instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommitmentRequest<'a> {
    /// Who asks.
    pub calling: &'a AeTitle,
    /// Its name for it.
    pub transaction: &'a TransactionUid,
    /// SOP class and SOP Instance UID of each instance.
    pub instances: Vec<(&'a str, &'a InstanceUid)>,
}

/// A request that was not answered yet.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OpenCommitmentRequest {
    /// Who asks.
    pub calling_ae: String,
    /// Its name for it.
    pub transaction_uid: String,
    /// `[[SOP class UID, SOP Instance UID], ...]`.
    pub instances: Value,
    /// How often the answer was sent, this time included.
    pub attempts: i32,
}

/// An object that was acknowledged or made here.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct HeldObject {
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// Where its Part 10 file lies.
    pub blob_key: String,
    /// SHA-256 of that file.
    pub sha256: String,
}

impl PgStore {
    /// Keeps a request, to be answered by [`PgStore::claim_commitment_request`] when `grace` is over and it was not told
    /// before. The same again is to be answered again. `false` when the transaction is in use for something else.
    ///
    /// # Errors
    /// [`StoreError::Database`]; then nothing is kept.
    pub async fn keep_commitment_request(
        &self,
        new: &NewCommitmentRequest<'_>,
        grace: Duration,
    ) -> Result<bool, StoreError> {
        let instances = new.instances.iter().map(|(class, instance)| json!([class, instance.as_str()])).collect();
        let kept = sqlx::query(
            "insert into commitment_requests (calling_ae, transaction_uid, instances, next_attempt_at)
             values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
             on conflict (calling_ae, transaction_uid) do update
                 set told_at = null, attempts = 0, next_attempt_at = excluded.next_attempt_at
                 where commitment_requests.instances = excluded.instances",
        )
        .bind(new.calling.as_str())
        .bind(new.transaction.as_str())
        .bind(Value::Array(instances))
        .bind(grace.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(kept.rows_affected() == 1)
    }

    /// A request whose answer is due. It is not due again before `lease` is over.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn claim_commitment_request(&self, lease: Duration) -> Result<Option<OpenCommitmentRequest>, StoreError> {
        sqlx::query_as(
            "with due as (
                 select calling_ae, transaction_uid from commitment_requests
                 where told_at is null and next_attempt_at <= clock_timestamp()
                 order by next_attempt_at limit 1 for update skip locked)
             update commitment_requests r
             set attempts = attempts + 1, next_attempt_at = clock_timestamp() + make_interval(secs => $1)
             from due where r.calling_ae = due.calling_ae and r.transaction_uid = due.transaction_uid
             returning r.calling_ae, r.transaction_uid, r.instances, r.attempts",
        )
        .bind(lease.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("look for storage commitments to be answered"))
    }

    /// The peer has its answer.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn commitment_request_told(&self, calling: &str, transaction: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update commitment_requests set told_at = clock_timestamp(), last_error = null
             where calling_ae = $1 and transaction_uid = $2",
        )
        .bind(calling)
        .bind(transaction)
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(())
    }

    /// The peer does not have its answer: to be told again after a pause, or never (`None`).
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn commitment_request_not_told(
        &self,
        request: &OpenCommitmentRequest,
        error: &str,
        delay: Option<Duration>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update commitment_requests
             set last_error = $3,
                 next_attempt_at = coalesce(clock_timestamp() + make_interval(secs => $4), 'infinity')
             where calling_ae = $1 and transaction_uid = $2 and told_at is null",
        )
        .bind(&request.calling_ae)
        .bind(&request.transaction_uid)
        .bind(error)
        .bind(delay.map(|delay| delay.as_secs_f64()))
        .execute(&self.pool)
        .await
        .map_err(failed(ACTION))?;
        Ok(())
    }

    /// An object that is kept here: received and acknowledged, or made here.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn held_object(&self, instance: &InstanceUid) -> Result<Option<HeldObject>, StoreError> {
        sqlx::query_as(
            "select sop_class_uid, blob_key, sha256 from instances where sop_instance_uid = $1
             union all select sop_class_uid, blob_key, sha256 from results where sop_instance_uid = $1",
        )
        .bind(instance.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(failed("look for an object"))
    }
}
