//! When a series is complete: nothing came for the quiet period, and anything could have come.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::config::ReceiveConfig;
use super::presence::Presence;
use super::{AFTER_FAULT, POLL, pause};
use crate::store::Store;

/// Queues series as they become complete, until shutdown.
///
/// The time of the latest instance is in the database and so survives a restart. Silence only counts while senders
/// could reach us: after a start the quiet period begins anew for all, and after an instance could not be taken, for its
/// series.
pub(super) async fn watch_series(
    store: Arc<Store>,
    config: ReceiveConfig,
    presence: Arc<Presence>,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        pause(POLL, &shutdown).await;
        if presence.lasted() < config.quiet() {
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
        match store.pg.queue_silent_series(config.quiet()).await {
            Ok(cases) => {
                for case in cases {
                    tracing::info!(%case, "the series is complete");
                }
            }
            Err(error) => {
                tracing::error!(%error, "complete series cannot be looked for");
                pause(AFTER_FAULT, &shutdown).await;
            }
        }
    }
}
