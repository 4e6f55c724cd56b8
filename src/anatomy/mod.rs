//! What structures are called, and the rules that make a segmentation anatomically consistent. Pure: no input or output.

mod catalogue;

pub use catalogue::{ANATOMICAL_STRUCTURE, Class, Code, Side, Structure};
