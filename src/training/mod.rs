//! The training store.
