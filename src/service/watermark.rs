//! Room on the disk for what comes in: nothing is taken below a watermark, and what is being taken counts as written.

use std::sync::atomic::{AtomicU64, Ordering};

/// The watermark.
#[derive(Debug)]
pub(super) struct Watermark {
    /// Bytes that must stay free.
    least: u64,
    /// Bytes of the objects that are being written.
    arriving: AtomicU64,
}

impl Watermark {
    pub fn new(least: u64) -> Self {
        Self { least, arriving: AtomicU64::new(0) }
    }

    /// Whether an object of so many bytes fits on a disk that has `free`, beside all that is being written; it counts
    /// until the answer is dropped.
    pub fn admit(&self, free: u64, bytes: u64) -> Option<Admitted<'_>> {
        let admitted = Admitted { watermark: self, bytes };
        let arriving = self.arriving.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        // What is half written is counted twice: a little too careful for a moment.
        (free >= self.least.saturating_add(arriving)).then_some(admitted)
    }
}

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    watermark: &'a Watermark,
    bytes: u64,
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.watermark.arriving.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_do_not_get_below_the_watermark_together() {
        let watermark = Watermark::new(100);
        assert!(watermark.admit(119, 20).is_none());
        let first = watermark.admit(150, 20);
        let second = watermark.admit(150, 20);
        assert!(first.is_some() && second.is_some());
        assert!(watermark.admit(150, 20).is_none(), "each would fit alone");
        drop(first);
        assert!(watermark.admit(150, 20).is_some());
        drop(second);
        assert_eq!(watermark.arriving.load(Ordering::Relaxed), 0, "what was refused or dropped still counts");
    }
}
