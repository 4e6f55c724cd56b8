//! Retention: what need not be kept any more is deleted, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::store::{KeepTimes, Store, StoreError};

/// How often it is looked for what may go.
const POLL: Duration = Duration::from_secs(60);
const DAY: u64 = 24 * 60 * 60;

/// The `[keep]` section. 0 everywhere: everything is kept for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeepConfig {
    /// Days that a delivered series (or one sent to a destination that cannot confirm it) is kept after it is with every
    /// destination and reviewed; 0: for ever.
    pub delivered_days: u64,
    /// Days that a refused series is kept; 0: for ever.
    pub refused_days: u64,
    /// Days that a failed series is kept; 0: for ever.
    pub failed_days: u64,
    /// With more than this on the disk the oldest that may go ever goes before its time; 0: no limit.
    pub quota_gibibytes: u64,
}

impl KeepConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let days = [
            ("delivered_days", self.delivered_days),
            ("refused_days", self.refused_days),
            ("failed_days", self.failed_days),
        ];
        let long = days.into_iter().filter(|(_, days)| *days > 36_500);
        let mut faults: Vec<String> =
            long.map(|(key, days)| format!("{key} is {days}: set 0 (for ever) to 36500")).collect();
        if self.quota_gibibytes > 1 << 20 {
            faults.push(format!("quota_gibibytes is {}: set 0 (no limit) to 1048576", self.quota_gibibytes));
        }
        faults
    }

    fn times(&self) -> KeepTimes {
        let time = |days: u64| (days > 0).then(|| Duration::from_secs(days * DAY));
        KeepTimes {
            delivered: time(self.delivered_days),
            refused: time(self.refused_days),
            failed: time(self.failed_days),
        }
    }
}

/// Deletes what may go, until the shutdown.
pub(super) async fn keep(store: Arc<Store>, config: KeepConfig, shutdown: CancellationToken) {
    let mut over = false;
    while !shutdown.is_cancelled() {
        match round(&store, &config, &shutdown).await {
            Ok(still_over) => {
                if still_over && !over {
                    tracing::error!(
                        quota_gibibytes = config.quota_gibibytes,
                        "more is kept than keep.quota_gibibytes, and nothing more may go: what is left is under way, not \
                         delivered everywhere, or not reviewed"
                    );
                }
                over = still_over;
            }
            Err(error) => tracing::error!(%error, "what need not be kept could not be deleted; tried again"),
        }
        pause(POLL, &shutdown).await;
    }
}

/// One look; whether more is kept than the quota.
async fn round(store: &Store, config: &KeepConfig, shutdown: &CancellationToken) -> Result<bool, StoreError> {
    let finished = store.finish_purges().await?;
    if finished > 0 {
        tracing::info!(series = finished, "deleting was finished that had been broken off");
    }
    for series in store.pg.purgeable(&config.times()).await? {
        if shutdown.is_cancelled() {
            return Ok(false);
        }
        purge(store, &series.series_uid, "its time is over").await?;
    }
    if config.quota_gibibytes == 0 {
        return Ok(false);
    }
    let quota = config.quota_gibibytes << 30;
    let mut kept = store.pg.kept_bytes().await?;
    if kept <= quota {
        return Ok(false);
    }
    let any_time = Some(Duration::ZERO);
    let ever = KeepTimes { delivered: any_time, refused: any_time, failed: any_time };
    for series in store.pg.purgeable(&ever).await? {
        if kept <= quota || shutdown.is_cancelled() {
            break;
        }
        if purge(store, &series.series_uid, "the quota is used up").await? {
            kept = kept.saturating_sub(u64::try_from(series.bytes).unwrap_or(0));
        }
    }
    Ok(kept > quota)
}

async fn purge(store: &Store, series: &str, why: &'static str) -> Result<bool, StoreError> {
    let gone = store.purge(series).await?;
    if gone {
        tracing::info!(series, why, "a series was deleted");
    }
    Ok(gone)
}
