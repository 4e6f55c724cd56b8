//! What structures are called, and the rules that make a segmentation anatomically consistent. Pure: no input or output.

mod axes;
mod catalogue;
mod derived;
mod described;
mod headplane;
mod margin;
mod morphology;
mod part;
mod parts;
pub mod quality;
pub mod rules;
#[cfg(test)]
mod testhead;

pub use axes::{PlaneSource, SidePlane};
pub use catalogue::{ANATOMICAL_STRUCTURE, Class, Code, Side, Structure};
pub use derived::{Derived, DerivedConfig, RoiType, derive, derived_faults};
pub use described::{CardCode, Described, DescribedPart, Description, GenericRule, describe};
pub use headplane::head_plane;
pub use margin::{Margin, with_margin};
pub use morphology::{fill_plane_holes, open_along_axes, touches};
pub use part::Part;
pub use parts::Parts;
