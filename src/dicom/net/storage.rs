//! What the SCP accepts: two lists, and nothing outside them.

use dicom_dictionary_std::uids;

/// Storage classes that are accepted.
///
/// Only MR Image Storage can be segmented; CTs and registrations may be kept for planning. The others are here because a PACS
/// that routes a whole study sends them as well: an answer and a case with a reason serve the technician better than an association in which half of the
/// study has no presentation context.
pub const STORAGE_CLASSES: &[&str] = &[
    uids::MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_COLOR_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_MR_IMAGE_STORAGE,
    uids::MR_SPECTROSCOPY_STORAGE,
    uids::CT_IMAGE_STORAGE,
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE,
    uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::LEGACY_CONVERTED_ENHANCED_PET_IMAGE_STORAGE,
    uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_SINGLE_BIT_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::RT_STRUCTURE_SET_STORAGE,
    uids::RT_PLAN_STORAGE,
    uids::RT_ION_PLAN_STORAGE,
    uids::RT_DOSE_STORAGE,
    uids::RT_IMAGE_STORAGE,
    uids::SEGMENTATION_STORAGE,
    uids::SURFACE_SEGMENTATION_STORAGE,
    uids::PARAMETRIC_MAP_STORAGE,
    uids::REAL_WORLD_VALUE_MAPPING_STORAGE,
    uids::SPATIAL_REGISTRATION_STORAGE,
    uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE,
    uids::SPATIAL_FIDUCIALS_STORAGE,
    uids::RAW_DATA_STORAGE,
    uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::BASIC_TEXT_SR_STORAGE,
    uids::ENHANCED_SR_STORAGE,
    uids::COMPREHENSIVE_SR_STORAGE,
    uids::COMPREHENSIVE3_DSR_STORAGE,
    uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
    uids::ENCAPSULATED_PDF_STORAGE,
];

/// RT Structure Set Storage.
pub const STRUCTURE_SETS: &str = uids::RT_STRUCTURE_SET_STORAGE;
/// Storage commitment.
pub const COMMITMENT: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL;
/// C-FIND of the study root.
pub const QUERIES: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND;
/// C-MOVE of the study root.
pub const RETRIEVAL: &str = uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE;

/// Transfer syntaxes that are accepted for storage: those that are really decoded here, and no other. (The registry
/// of the library calls more of them supported than it can decode: JPEG extended 12 bit is one.)
pub const TRANSFER_SYNTAXES: &[&str] = &[
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    uids::RLE_LOSSLESS,
    uids::JPEG_LOSSLESS,
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEGLS_LOSSLESS,
    uids::JPEG2000_LOSSLESS,
];

/// Transfer syntaxes accepted for Verification, which has no data set.
pub(super) const VERIFICATION_SYNTAXES: &[&str] = &[uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN];

/// Transfer syntaxes accepted for storage commitment: the one that everybody has to propose (PS3.5 10.1).
pub(super) const COMMITMENT_SYNTAXES: &[&str] = &[uids::IMPLICIT_VR_LITTLE_ENDIAN];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dicom_encoding::TransferSyntaxIndex;
    use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

    use super::*;

    #[test]
    fn no_entry_is_there_twice() {
        for list in [STORAGE_CLASSES, TRANSFER_SYNTAXES] {
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len());
        }
    }

    #[test]
    fn the_build_has_a_decoder_for_every_accepted_syntax() {
        for uid in TRANSFER_SYNTAXES {
            let syntax = TransferSyntaxRegistry.get(uid).unwrap_or_else(|| panic!("{uid} is unknown"));
            assert!(syntax.can_decode_all(), "{uid} cannot be decoded by this build");
        }
    }
}
