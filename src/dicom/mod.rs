//! DICOM: `data` turns bytes into checked series and contours into objects, `net` speaks with other systems.

pub mod data;
pub mod net;
