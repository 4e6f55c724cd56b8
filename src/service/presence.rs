//! Whether the silence of a sender is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::SeriesUid;

/// More associations than are ever open.
const MOST_OPEN: usize = 10_000;

/// Whether senders could reach us: a series is not complete because we were away.
#[derive(Debug)]
pub(super) struct Presence {
    state: Mutex<PresenceState>,
}

#[derive(Debug)]
struct PresenceState {
    /// Since when every instance of an unknown series could be taken.
    since: Instant,
    broken: BTreeSet<SeriesUid>,
    /// How many instances of a series are being taken: a slow disk or database is not the sender's silence.
    under_way: BTreeMap<SeriesUid, usize>,
    /// The associations that are open, each with the series that it brought.
    open: BTreeMap<u64, BTreeSet<SeriesUid>>,
}

/// An instance is being taken, until this is dropped.
pub(super) struct UnderWay<'a> {
    presence: &'a Presence,
    series: SeriesUid,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.presence.lock();
        if let Some(count) = state.under_way.get_mut(&self.series) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(&self.series);
            }
        }
        // Also when the sender went away meanwhile and nothing was kept: it will come again.
        state.broken.insert(self.series.clone());
    }
}

impl Presence {
    /// Present from now on.
    pub fn new() -> Self {
        let (broken, under_way, open) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Self { state: Mutex::new(PresenceState { since: Instant::now(), broken, under_way, open }) }
    }

    fn lock(&self) -> MutexGuard<'_, PresenceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance of this series is being taken, from this association: it is not complete before that came to an end.
    pub fn take_up(&self, series: SeriesUid, association: Option<u64>) -> UnderWay<'_> {
        let mut state = self.lock();
        *state.under_way.entry(series.clone()).or_default() += 1;
        if let Some(association) = association {
            state.open.entry(association).or_default().insert(series.clone());
            // One that was told of as over before its last instance was read would stay for ever.
            if state.open.len() > MOST_OPEN {
                state.open.pop_first();
            }
        }
        drop(state);
        UnderWay { presence: self, series }
    }

    /// An instance could not be taken, and its sender will come again: its series is not complete, or, when nobody
    /// knows which one that is, none is.
    pub fn broken(&self, series: Option<SeriesUid>) {
        let mut state = self.lock();
        match series {
            Some(series) => _ = state.broken.insert(series),
            None => state.since = Instant::now(),
        }
    }

    /// An association is over.
    pub fn association_ended(&self, association: u64) {
        self.lock().open.remove(&association);
    }

    /// Whether an association is open that brought some of this series: it may bring more.
    pub fn may_go_on(&self, series: &str) -> bool {
        self.lock().open.values().flatten().any(|brought| brought.as_str() == series)
    }

    /// For how long every instance of an unknown series could be taken.
    pub fn lasted(&self) -> Duration {
        self.lock().since.elapsed()
    }

    /// The series whose silence has to begin anew: those of which an instance is being taken, was taken or could not be
    /// taken since they were last asked for. Who takes them sees to it that they are waited for, or puts them back with
    /// [`Presence::broken`].
    pub fn take_broken(&self) -> Vec<SeriesUid> {
        let mut state = self.lock();
        let mut series = std::mem::take(&mut state.broken);
        series.extend(state.under_way.keys().cloned());
        series.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_may_go_on_as_long_as_an_association_is_open_that_brought_some_of_it() {
        let presence = Presence::new();
        let series = |n: u32| SeriesUid::parse(&format!("1.2.{n}")).unwrap();
        drop(presence.take_up(series(1), Some(7)));
        drop(presence.take_up(series(2), Some(7)));
        drop(presence.take_up(series(2), Some(8)));
        drop(presence.take_up(series(3), None));
        let open = |presence: &Presence| [1, 2, 3].map(|n| presence.may_go_on(series(n).as_str()));
        assert_eq!(open(&presence), [true, true, false]);
        presence.association_ended(7);
        assert_eq!(open(&presence), [false, true, false]);
        presence.association_ended(8);
        presence.association_ended(9);
        assert_eq!(open(&presence), [false; 3]);
    }
}
