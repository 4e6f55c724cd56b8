//! Memory for data sets that all associations share, counted as their bytes arrive, whatever lengths are declared.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is counted in pieces of this size.
const PIECE: usize = 4096;

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(PIECE).min(Semaphore::MAX_PERMITS))))
    }

    /// Room for a data set that has not begun.
    pub fn data_set(&self) -> Growing {
        Growing { budget: self.clone(), held: None, bytes: BytesMut::new() }
    }
}

/// A data set on its way in, with its part of the budget.
#[derive(Debug)]
pub(super) struct Growing {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
    bytes: BytesMut,
}

impl Growing {
    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes more bytes; false, and nothing taken, when the budget is used up.
    #[must_use]
    pub fn extend(&mut self, more: &[u8]) -> bool {
        let pieces = (self.bytes.len() + more.len()).div_ceil(PIECE);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if pieces > held {
            let missing = u32::try_from(pieces - held).unwrap_or(u32::MAX);
            let Ok(permit) = self.budget.0.clone().try_acquire_many_owned(missing) else { return false };
            match &mut self.held {
                Some(held) => held.merge(permit),
                none => *none = Some(permit),
            }
        }
        self.bytes.extend_from_slice(more);
        true
    }

    /// The whole. Its part of the budget is given back with the last reference to these bytes, so that what the inbox
    /// still works on counts, too.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(Held { bytes: self.bytes, _held: self.held })
    }
}

struct Held {
    bytes: BytesMut,
    _held: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_its_last_reference_is_gone() {
        let budget = Budget::new(10 * PIECE);
        let mut first = budget.data_set();
        for _ in 0..6 * PIECE / 100 {
            assert!(first.extend(&[1; 100]));
        }
        let (first, mut second) = (first.freeze(), budget.data_set());
        assert!(second.extend(&[2; 4 * PIECE]));
        assert!(!second.extend(&[2; 1]), "ten pieces are out");
        assert_eq!(second.len(), 4 * PIECE, "what did not fit was taken");
        let reference = first.slice(7..8);
        drop(first);
        assert!(!second.extend(&[2; 1]));
        drop(reference);
        assert!(second.extend(&[2; 6 * PIECE]));
        assert_eq!(second.freeze().len(), 10 * PIECE);
        assert!(budget.data_set().extend(&[3; 10 * PIECE]), "the second was not given back");
    }

    #[test]
    fn a_small_data_set_has_a_piece_and_an_empty_one_none() {
        let budget = Budget::new(2 * PIECE);
        let empty = budget.data_set().freeze();
        assert!(empty.is_empty());
        let (mut one, mut two, mut three) = (budget.data_set(), budget.data_set(), budget.data_set());
        assert!(one.extend(b"a") && one.extend(b"b") && two.extend(b"c") && !three.extend(b"d"));
    }
}
