//! Times that a clock has gone back from: a wrong time server, an empty battery, a virtual machine that was restored.

use std::time::Duration;

use super::postgres::failed;
use super::{PgStore, StoreError};

impl PgStore {
    /// Brings back what lies further in the future than anything is ever put off: it was written under another clock, and would be
    /// waited for until that time comes. The silence of a series begins anew, attempts and questions are due now, leases
    /// last no longer than `furthest`. Answers how many rows that were.
    ///
    /// # Errors
    /// [`StoreError::Database`]; what was brought back before stays.
    pub async fn mend_times(&self, furthest: Duration) -> Result<u64, StoreError> {
        let mut mended = 0;
        for query in [
            "update cases set last_instance_at = clock_timestamp()
             where state = 'receiving' and last_instance_at > clock_timestamp() + make_interval(secs => least($1, 2.0))",
            "update jobs set not_before = clock_timestamp()
             where state = 'ready' and not_before > clock_timestamp() + make_interval(secs => $1)",
            "update jobs set lease_until = clock_timestamp() + make_interval(secs => $1)
             where state = 'leased' and lease_until > clock_timestamp() + make_interval(secs => $1)",
            "update outbox set next_attempt_at = clock_timestamp()
             where state = 'pending' and next_attempt_at > clock_timestamp() + make_interval(secs => $1)",
            "update outbox set lease_until = clock_timestamp() + make_interval(secs => $1)
             where lease_until > clock_timestamp() + make_interval(secs => $1)",
            "update outbox set confirm_at = clock_timestamp()
             where confirmation = 'awaited' and confirm_at > clock_timestamp() + make_interval(secs => $1)",
            "update commitment_requests set next_attempt_at = clock_timestamp()
             where told_at is null and next_attempt_at < 'infinity'
               and next_attempt_at > clock_timestamp() + make_interval(secs => $1)",
            "update plannings set not_before = clock_timestamp()
             where state = 'under_way' and not_before > clock_timestamp() + make_interval(secs => $1)",
        ] {
            let done = sqlx::query(query).bind(furthest.as_secs_f64()).execute(&self.pool).await;
            mended += done.map_err(failed("bring back what a clock has gone back from"))?.rows_affected();
        }
        Ok(mended)
    }
}
