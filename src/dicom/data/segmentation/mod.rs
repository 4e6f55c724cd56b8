//! DICOM Segmentations (PS3.3 A.51): one bit a pixel, a frame for each structure and plane that holds some of it.

mod read;
mod write;

pub use read::{ReadSegment, ReadSegmentation, read_segmentation};
pub use write::{Segment, write_segmentation};

/// Segmentation Storage.
pub(super) const SEGMENTATION_STORAGE: &str = dicom_dictionary_std::uids::SEGMENTATION_STORAGE;
