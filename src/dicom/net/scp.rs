//! The listener: takes connections, limits them, ends them in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::association::{Shared, attend};
use super::{Inbox, ScpConfig};

/// Connections beyond the limit on associations that may be open at once: on their way to a rejection, a farewell, or
/// silent. Further ones are closed unread.
const WAITING_CONNECTIONS: usize = 32;
/// Pause after a connection could not be accepted (no file descriptors left, for one), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts associations on `listener` until `shutdown` is cancelled. Then those under way may finish, for
/// [`ScpConfig::drain_seconds`] at most and as long as they are not silent, and the rest is aborted. Returns when no
/// association is left.
///
/// A broken association, or a panic while one is served, ends that one only.
pub async fn serve<I: Inbox>(listener: TcpListener, config: ScpConfig, inbox: Arc<I>, shutdown: CancellationToken) {
    let max_connections = config.max_associations.saturating_add(WAITING_CONNECTIONS);
    let drain_time = Duration::from_secs(config.drain_seconds);
    let shared = Arc::new(Shared {
        room: Arc::new(Semaphore::new(config.max_associations.min(Semaphore::MAX_PERMITS))),
        config,
        inbox,
        drain: shutdown.clone(),
        abort: CancellationToken::new(),
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) if connections.len() < max_connections => {
                    connections.spawn(attend(stream, peer, shared.clone()));
                }
                Ok((_, peer)) => warn!(%peer, max_connections, "too many connections, this one is closed"),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let deadline = tokio::time::sleep(drain_time);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => return,
            },
            () = &mut deadline, if !shared.abort.is_cancelled() => shared.abort.cancel(),
        }
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(fault) = ended {
        error!(%fault, "an association ended in a fault of this program; the others go on");
    }
}
