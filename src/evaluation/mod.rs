//! Measures between masks.
