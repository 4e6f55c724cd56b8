//! When a series is complete: by `evidence`, as long as anything could have come.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::config::out_of_range;
use super::evidence::judge;
use super::presence::Presence;
use super::{AFTER_FAULT, POLL, pause};
use crate::store::{Incoming, Store};

/// The `[receive]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiveConfig {
    /// A series is complete when nothing came for this long.
    pub quiet_seconds: u64,
    /// ... or for this long, if that is longer, where its images say that some of them are missing.
    pub missing_seconds: u64,
    /// ... or for this long already, when its associations are over and evidence says that it is whole.
    pub settled_seconds: u64,
    /// With less room than this on the disk nothing is taken: the sender is told to come back later.
    pub min_free_mebibytes: u64,
    /// What becomes of a series that no route wants although there is one for its titles.
    pub otherwise: Otherwise,
}

/// What becomes of a series that no route wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// Its objects are answered with success and not kept; the series is counted and listed. For senders that route
    /// whole studies, to which a refusal is a failure to be tried again or told to somebody.
    Ignore,
    /// Its objects are refused. For senders that choose what they send.
    Refuse,
}

impl Default for ReceiveConfig {
    fn default() -> Self {
        Self {
            quiet_seconds: 30,
            missing_seconds: 120,
            settled_seconds: 5,
            min_free_mebibytes: 1024,
            otherwise: Otherwise::Ignore,
        }
    }
}

impl ReceiveConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        [
            out_of_range("quiet_seconds", self.quiet_seconds, 1..=3600),
            out_of_range("missing_seconds", self.missing_seconds, 1..=86_400),
            out_of_range("settled_seconds", self.settled_seconds, 1..=3600),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn missing(&self) -> Duration {
        Duration::from_secs(self.missing_seconds.max(self.quiet_seconds))
    }

    /// After this a series is looked at.
    pub(super) fn settled(&self) -> Duration {
        Duration::from_secs(self.settled_seconds.min(self.quiet_seconds))
    }

    pub(super) fn quiet(&self) -> Duration {
        Duration::from_secs(self.quiet_seconds)
    }

    pub(super) fn min_free_bytes(&self) -> u64 {
        self.min_free_mebibytes.saturating_mul(1024 * 1024)
    }
}

/// Queues series as they become complete, until shutdown.
///
/// The time of the latest instance and what its images say are in the database and so survive a restart. Silence only counts
/// while senders could reach us: after a start the quiet period begins anew for all, and after an instance could not be
/// taken, for its series.
pub(super) async fn watch_series(
    store: Arc<Store>,
    config: ReceiveConfig,
    presence: Arc<Presence>,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        pause(POLL, &shutdown).await;
        // Silence while senders could not reach us is none.
        let here = presence.lasted();
        if here < config.settled() {
            continue;
        }
        // The time of the latest instance becomes that of the latest attempt: kept like it, over restarts.
        let broken = presence.take_broken();
        if let Err(error) = store.pg.begin_silence_anew(&broken).await {
            broken.into_iter().for_each(|series| presence.broken(Some(series)));
            tracing::error!(%error, "a series cannot be waited for; none is taken as complete meanwhile");
            pause(AFTER_FAULT, &shutdown).await;
            continue;
        }
        let may_go_on = |series: &Incoming| presence.may_go_on(&series.series_uid);
        let judge = |series: &Incoming| judge(series, &config, series.silent.min(here), may_go_on(series));
        match store.pg.queue_complete(config.settled(), judge).await {
            Ok(cases) => {
                for (case, by) in cases {
                    tracing::info!(%case, by, "the series is complete");
                }
            }
            Err(error) => {
                tracing::error!(%error, "complete series cannot be looked for");
                pause(AFTER_FAULT, &shutdown).await;
            }
        }
    }
}
