//! DICOM: `data` turns bytes into checked series and contours into objects; `net` and `dicomweb` speak with other systems.

pub mod data;
pub mod dicomweb;
pub mod net;

/// Implementation Class UID of everything that this program writes, in files and in associations (PS3.7 D.3.3.2).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.65188746847701866022765077727502310634";

/// Implementation Version Name beside it, 16 characters at most.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("CONTOURD_", env!("CARGO_PKG_VERSION"));
