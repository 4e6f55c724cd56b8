//! Lines of the log that strangers can cause: at most a few in a while, so that nobody fills the disk with them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many lines may come at once.
const BURST: u32 = 20;
/// One more after each of these.
const REST: Duration = Duration::from_secs(3);

/// The measure for one kind of line.
#[derive(Debug)]
pub(super) struct Rarely(Mutex<State>);

#[derive(Debug)]
struct State {
    left: u32,
    since: Instant,
    unsaid: u64,
}

impl Default for Rarely {
    fn default() -> Self {
        Self(Mutex::new(State { left: BURST, since: Instant::now(), unsaid: 0 }))
    }
}

impl Rarely {
    /// Whether a line may be written now; then how many were not since the last one.
    pub fn speak(&self) -> Option<u64> {
        self.speak_at(Instant::now())
    }

    fn speak_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = now.saturating_duration_since(state.since).as_secs() / REST.as_secs();
        if rests > 0 {
            state.left = state.left.saturating_add(u32::try_from(rests).unwrap_or(BURST)).min(BURST);
            state.since = now;
        }
        if state.left == 0 {
            state.unsaid += 1;
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_becomes_a_few_with_a_count() {
        let (rarely, start) = (Rarely::default(), Instant::now());
        let told = (0..1000).filter_map(|_| rarely.speak_at(start)).collect::<Vec<_>>();
        assert_eq!(told, [0; BURST as usize]);
        assert_eq!(rarely.speak_at(start + REST), Some(980));
        assert_eq!(rarely.speak_at(start + REST), None);
        assert_eq!(rarely.speak_at(start + REST * 1000), Some(1));
    }
}
