//! Associations in and out.
