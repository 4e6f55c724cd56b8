//! Connections without an association: not yet, or no more. Their number is bounded, and who comes in earnest gets
//! through: such a peer asks at once, while the one that is sent away has waited longest.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The lobby.
#[derive(Debug)]
pub(super) struct Lobby {
    most: usize,
    /// In order of arrival.
    guests: Mutex<VecDeque<Arc<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    sent_away: CancellationToken,
}

impl Lobby {
    /// A lobby for so many.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), guests: Mutex::default() })
    }

    /// Takes one more in. When the lobby is full, the one that came first from the address with the most of them is sent
    /// away: an address that fills the lobby does so at its own expense.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Guest {
        let waiting = Arc::new(Waiting { address: address.to_canonical(), sent_away: CancellationToken::new() });
        let mut guests = self.lock();
        if guests.len() >= self.most {
            let mut counts: HashMap<IpAddr, usize> = HashMap::new();
            for guest in guests.iter() {
                *counts.entry(guest.address).or_default() += 1;
            }
            let most = counts.values().max().copied();
            if let Some(first) = guests.iter().position(|guest| counts.get(&guest.address).copied() == most)
                && let Some(guest) = guests.remove(first)
            {
                guest.sent_away.cancel();
            }
        }
        guests.push_back(Arc::clone(&waiting));
        Guest { lobby: Arc::clone(self), waiting }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Waiting>>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the lobby; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Guest {
    lobby: Arc<Lobby>,
    waiting: Arc<Waiting>,
}

impl Guest {
    /// Resolves when this one has to go, so that others find room.
    pub async fn sent_away(&self) {
        self.waiting.sent_away.cancelled().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.lock().retain(|guest| !Arc::ptr_eq(guest, &self.waiting));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_most_numerous_has_to_go() {
        let lobby = Lobby::new(3);
        let (crowd, single) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let gone = |guest: &Guest| guest.waiting.sent_away.is_cancelled();
        let honest = lobby.enter(single);
        let (first, second) = (lobby.enter(crowd), lobby.enter(crowd));
        let third = lobby.enter(crowd);
        assert!(gone(&first) && !gone(&second) && !gone(&third) && !gone(&honest));
        drop(first);
        drop(second);
        assert_eq!(lobby.lock().len(), 2);
        let fourth = lobby.enter(crowd);
        assert!(!gone(&third) && !gone(&fourth), "there was room");
        // One each: who came first.
        let others = [lobby.enter(IpAddr::from([10, 0, 0, 3])), lobby.enter(IpAddr::from([10, 0, 0, 4]))];
        assert!(gone(&third) && gone(&honest) && !gone(&fourth) && !gone(&others[0]) && !gone(&others[1]));
    }
}
