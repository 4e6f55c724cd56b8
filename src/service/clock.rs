//! The site's clock.

use std::sync::Arc;

use chrono::{Local, Offset, TimeZone};
use time::{Duration, OffsetDateTime, PrimitiveDateTime};
use tokio_util::sync::CancellationToken;

use super::config::ServiceConfig;
use super::pause;
use crate::store::Store;

/// An instant as the site's wall clock shows it. DICOM dates and times without Timezone Offset From UTC (0008,0201) are
/// local (PS3.3 C.12.1.1): a result made after midnight must not carry yesterday's date.
pub fn local_time(at: OffsetDateTime) -> PrimitiveDateTime {
    let utc = chrono::DateTime::from_timestamp(at.unix_timestamp(), 0).unwrap_or_default().naive_utc();
    shifted(at, i64::from(Local.offset_from_utc_datetime(&utc).fix().local_minus_utc()))
}

fn shifted(at: OffsetDateTime, seconds_east: i64) -> PrimitiveDateTime {
    let local = at.to_offset(time::UtcOffset::UTC).saturating_add(Duration::seconds(seconds_east));
    PrimitiveDateTime::new(local.date(), local.time())
}

/// No pause, lease or question of this configuration lies further ahead.
pub(super) fn furthest(config: &ServiceConfig) -> std::time::Duration {
    let (jobs, sending) = (&config.jobs, &config.sending);
    let all =
        [jobs.lease(), jobs.retry().longest, sending.lease(), sending.retry().longest, sending.commitment_timeout()];
    all.into_iter().max().unwrap_or_default() + std::time::Duration::from_secs(60)
}

/// Sees to it that nothing waits for a time from which the clock has gone back, until shutdown.
pub(super) async fn watch_clock(store: Arc<Store>, furthest: std::time::Duration, shutdown: CancellationToken) {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(5);
    while !shutdown.is_cancelled() {
        match store.pg.mend_times(furthest).await {
            Ok(0) => {}
            Ok(rows) => tracing::warn!(rows, "the clock went back: what waited for a later time is due now"),
            Err(error) => tracing::error!(%error, "the clock cannot be watched"),
        }
        pause(EVERY, &shutdown).await;
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_date_is_the_sites_own() {
        let instant = datetime!(2026-03-04 22:30:15 UTC);
        assert_eq!(shifted(instant, 2 * 3600), datetime!(2026-03-05 00:30:15));
        assert_eq!(shifted(instant, -5 * 3600 - 1800), datetime!(2026-03-04 17:00:15));
        assert_eq!(shifted(datetime!(2026-03-05 02:30 +4), 0), datetime!(2026-03-04 22:30));
    }

    #[test]
    fn the_zone_is_that_of_the_machine() {
        let instant = datetime!(2026-07-01 12:00 UTC);
        let expected = Local.timestamp_opt(instant.unix_timestamp(), 0).unwrap().naive_local();
        let ours = local_time(instant);
        let (hour, minute, second) = ours.time().as_hms();
        assert_eq!(expected.to_string(), format!("{} {hour:02}:{minute:02}:{second:02}", ours.date()));
    }
}
