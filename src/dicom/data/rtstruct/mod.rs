//! RT Structure Sets: written, read back, and checked beyond what dciodvfy looks at.

mod placed;
mod read;
mod validate;
mod write;

pub use read::{ReadContour, ReadRoi, StructureSet, read_rtstruct};
pub use validate::{Defect, DefectCode, validate_rtstruct};
pub(super) use write::software_versions;
pub use write::{Carried, RoiContours, StructureSetMeta, write_rtstruct};

/// RT Structure Set Storage.
pub(super) const RT_STRUCTURE_SET_STORAGE: &str = dicom_dictionary_std::uids::RT_STRUCTURE_SET_STORAGE;
