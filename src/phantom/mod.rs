//! The digital head: a synthetic patient with known truth.
