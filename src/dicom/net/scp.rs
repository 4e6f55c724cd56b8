//! The listener: takes connections, limits them, ends them in order.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, warn};

use super::arrival::Shared;
use super::association::attend;
use super::{Doors, Inbox, ScpConfig};

/// Pause after a connection could not be accepted (no file descriptors left, for one), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Accepts associations at `doors` until `shutdown` is cancelled. Then those under way may finish, for
/// [`ScpConfig::drain_seconds`] at most and as long as they are not silent, and the rest is aborted. Returns when no
/// association is left.
///
/// A broken association, or a panic while one is served, ends that one only.
pub async fn serve<I: Inbox>(doors: Doors, config: ScpConfig, inbox: Arc<I>, shutdown: CancellationToken) {
    let drain_time = Duration::from_secs(config.drain_seconds);
    let shared = Arc::new(Shared::new(config, inbox, shutdown.clone()));
    let watch = doors.secure.as_ref().map(|(_, certificates)| tokio::spawn(Arc::clone(certificates).watch()));
    let _watch = watch.map(AbortOnDropHandle::new);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = doors.accept() => match accepted {
                // Before a byte is read or memory asked for; a rejection would tell a stranger that there is something here.
                Ok((_, peer, _)) if !shared.config.knows(peer.ip()) => {
                    shared.tell_of_stranger(peer);
                }
                Ok((stream, peer, door)) => {
                    let guest = shared.lobby.enter(peer.ip());
                    connections.spawn(attend(stream, peer, door, guest, shared.clone()));
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(doors);
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
