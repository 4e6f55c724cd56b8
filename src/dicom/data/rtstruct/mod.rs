//! RT Structure Sets: written, read back, and checked beyond what dciodvfy looks at.

mod read;
mod validate;
mod write;

pub use read::{ReadContour, ReadRoi, StructureSet, read_rtstruct};
pub use validate::{Defect, DefectCode, validate_rtstruct};
pub use write::{RoiContours, StructureSetMeta, write_rtstruct};

/// RT Structure Set Storage.
pub(super) const RT_STRUCTURE_SET_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.481.3";
