//! Whether the silence of a sender is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::ids::SeriesUid;

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
        let (broken, under_way) = (BTreeSet::new(), BTreeMap::new());
        Self { state: Mutex::new(PresenceState { since: Instant::now(), broken, under_way }) }
    }

    fn lock(&self) -> MutexGuard<'_, PresenceState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance of this series is being taken: it is not complete before that came to an end.
    pub fn take_up(&self, series: SeriesUid) -> UnderWay<'_> {
        *self.lock().under_way.entry(series.clone()).or_default() += 1;
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
