//! From a connection to an association, or to none: what all associations share, TLS, request, answer, a place.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dicom_ul::pdu::Pdu;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::association::End;
use super::budget::Budget;
use super::lobby::Lobby;
use super::negotiate::{self, Agreement, Rejection};
use super::peer::Caller;
use super::rarely::Rarely;
use super::tls::Door;
use super::wire::Wire;
use super::{Inbox, ScpConfig};

/// How long an association may be silent once a shutdown was asked for.
const SILENCE_WHILE_DRAINING: Duration = Duration::from_secs(1);

/// What all associations share.
#[derive(Debug)]
pub(super) struct Shared<I> {
    pub config: ScpConfig,
    pub inbox: Arc<I>,
    /// One permit for each association that may be open, and for each that a peer with a limit of its own may have.
    room: Arc<Semaphore>,
    rooms: Vec<Option<Arc<Semaphore>>>,
    pub lobby: Arc<Lobby>,
    pub budget: Budget,
    /// Of the lines about those who get no association. Strangers have their own: they do not hide what a peer does wrong.
    lines: Rarely,
    lines_of_strangers: Rarely,
    /// No new work: end when the peer is silent.
    drain: CancellationToken,
    /// End now.
    pub abort: CancellationToken,
}

impl<I> Shared<I> {
    pub fn new(config: ScpConfig, inbox: Arc<I>, drain: CancellationToken) -> Self {
        let room = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self {
            room: room(config.max_associations),
            rooms: config.peers.iter().map(|peer| peer.max_associations.map(room)).collect(),
            lobby: Lobby::new(config.max_waiting),
            budget: Budget::new(config.max_memory_mebibytes as usize * 1024 * 1024),
            lines: Rarely::default(),
            lines_of_strangers: Rarely::default(),
            config,
            inbox,
            drain,
            abort: CancellationToken::new(),
        }
    }

    /// A place for an association of this peer.
    fn place(&self, peer: Option<usize>) -> Result<Place, Rejection> {
        let take =
            |room: &Arc<Semaphore>, whose| Arc::clone(room).try_acquire_owned().map_err(|_| negotiate::no_room(whose));
        let own = peer.and_then(|n| self.rooms.get(n)?.as_ref());
        let own = own.map(|room| take(room, "all of this peer's")).transpose()?;
        Ok(Place { _own: own, _common: take(&self.room, "all")? })
    }

    /// Resolves when an association has to end for the sake of a shutdown. Inside a message only the deadline counts.
    pub async fn shutdown(&self, inside_message: bool) {
        let silence = async {
            self.drain.cancelled().await;
            tokio::time::sleep(SILENCE_WHILE_DRAINING).await;
        };
        tokio::select! {
            () = self.abort.cancelled() => {}
            () = silence, if !inside_message => {}
        }
    }
}

impl<I: Inbox> Shared<I> {
    /// Tells the log and the inbox of somebody who got no association; there may be many of them.
    pub fn tell(&self, peer: SocketAddr, why: &dyn fmt::Display) {
        self.tell_within(&self.lines, peer, why);
    }

    /// The same of somebody at an address that no peer has.
    pub fn tell_of_stranger(&self, peer: SocketAddr) {
        self.tell_within(&self.lines_of_strangers, peer, &"no [[peer]] has this address; closed unread");
    }

    fn tell_within(&self, lines: &Rarely, peer: SocketAddr, why: &dyn fmt::Display) {
        let Some(unsaid) = lines.speak() else { return };
        warn!(%peer, %why, unsaid, "no association");
        let (inbox, why) = (Arc::clone(&self.inbox), why.to_string());
        tokio::spawn(async move { inbox.association_refused(peer, why, unsaid).await });
    }
}

/// A place among the associations that may be open.
pub(super) struct Place {
    _own: Option<OwnedSemaphorePermit>,
    _common: OwnedSemaphorePermit,
}

/// From a connection to an association; `None` when there is none, which the log knows then.
pub(super) async fn arrive<I: Inbox>(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    shared: &Shared<I>,
) -> Option<(Wire, Agreement, Place)> {
    let limit = Duration::from_secs(shared.config.request_timeout_seconds);
    let begin = Instant::now();
    let opened = tokio::select! {
        opened = tokio::time::timeout(limit, door.open(stream, shared.config.max_pdu_bytes)) => {
            opened.unwrap_or_else(|_| Err("no TLS: the other side took too long".to_owned()))
        }
        () = shared.shutdown(false) => return None,
    };
    let (mut wire, certified) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            shared.tell(peer, &why);
            return None;
        }
    };
    let caller = Caller { address: peer.ip(), certified };
    match establish(&mut wire, shared, &caller, limit.saturating_sub(begin.elapsed())).await {
        Ok((agreement, place)) => Some((wire, agreement, place)),
        Err(end) => {
            shared.tell(peer, &end);
            wire.close(end.last_pdu()).await;
            None
        }
    }
}

/// Waits for the request, judges it and finds a place for it.
async fn establish<I: Inbox>(
    wire: &mut Wire,
    shared: &Shared<I>,
    caller: &Caller,
    limit: Duration,
) -> Result<(Agreement, Place), End> {
    let request = tokio::select! {
        pdu = wire.receive(limit) => match pdu? {
            Pdu::AssociationRQ(request) => request,
            other => return Err(End::unexpected(&other)),
        },
        () = shared.shutdown(false) => return Err(End::shutdown()),
    };
    let agreement = negotiate::answer(&request, &shared.config, caller).map_err(End::Rejected)?;
    let place = shared.place(agreement.peer).map_err(End::Rejected)?;
    wire.send(&Pdu::AssociationAC(agreement.acceptance.clone()), limit).await?;
    Ok((agreement, place))
}
