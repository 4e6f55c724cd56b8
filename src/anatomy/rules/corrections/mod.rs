//! What the thesis's radiotherapist had to correct most (section 4.3.4), answered by a rule or by a flag. Each works in mm
//! and in directions taken from the organs themselves, so that it turns with the head. What was looked into and left out,
//! and what each rule gains, is in ops/rules.md.

mod ball;
mod chiasm;
mod config;
mod eye;
mod hippocampus;
mod pituitary;

pub(super) use chiasm::{flag_half as flag_half_chiasm, trim as trim_chiasm};
pub use config::CorrectionsConfig;
pub(super) use eye::{correct as correct_eye, flag_lenses};
pub(super) use hippocampus::{Tone, flag_length, without_fluid};
pub(super) use pituitary::to_floor;
