//! What becomes of each attribute of an object that loses its identity: the list of what stays.
//!
//! PS3.15 Table E.1-1 lists what has to go. This is the other way round: what is not listed here goes, known or not,
//! private or not, so that an attribute of a later edition, or of a scanner's own, cannot slip through.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::super::RESEARCH_MARK;

/// What becomes of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dicom::data) enum Fate {
    /// It is not in the new object.
    Drop,
    /// It stays as it is.
    Keep,
    /// It stays, without a value (type 2).
    Empty,
    /// Every UID in it is replaced, but for the frames of reference that DICOM itself gives.
    Uid,
    /// It stays, with its items, of each of which the same is asked.
    Items,
    /// The pseudonym of the patient stands in its place.
    PatientId,
    /// The same as a name.
    PatientName,
    /// This stands in its place, where it had a value.
    Dummy(&'static str),
}

/// What the caller wants kept, and what is known of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dicom::data) struct Asked {
    /// Sex, age, size and weight stay.
    pub characteristics: bool,
    /// The object was made here: its names and codes are of organs and models, and hold nothing of a patient.
    pub own: bool,
}

/// What becomes of an attribute, at whatever depth.
pub(in crate::dicom::data) fn fate(tag: Tag, asked: Asked) -> Fate {
    match tag {
        tags::PATIENT_ID => Fate::PatientId,
        tags::PATIENT_NAME => Fate::PatientName,
        tags::PATIENT_SEX if !asked.characteristics => Fate::Empty,
        tags::PATIENT_SEX => Fate::Keep,
        tags::PATIENT_AGE | tags::PATIENT_SIZE | tags::PATIENT_WEIGHT if asked.characteristics => Fate::Keep,
        // A guess of what the agent was; that there was one stays, since it decides what kind of image this is.
        tags::CONTRAST_BOLUS_AGENT => Fate::Dummy("YES"),
        // Without these an object cannot go into a DICOMDIR.
        tags::STUDY_DATE | tags::CONTENT_DATE => Fate::Dummy("19000101"),
        tags::STUDY_TIME | tags::CONTENT_TIME => Fate::Dummy("000000"),
        tags::STUDY_ID => Fate::Dummy("0"),
        tags::STRUCTURE_SET_LABEL => Fate::Dummy("AI RESEARCH"),
        tags::CONTENT_LABEL => Fate::Dummy("AI_RESEARCH"),
        // Whoever imports contours again must see what they are.
        _ if asked.own && MARKED.contains(&tag) => Fate::Dummy(RESEARCH_MARK),
        tags::CONTENT_DESCRIPTION => Fate::Empty,
        tags::DEVICE_SERIAL_NUMBER if asked.own => Fate::Dummy("0"),
        _ if EMPTY.contains(&tag) => Fate::Empty,
        _ if UIDS.contains(&tag) => Fate::Uid,
        _ if ITEMS.contains(&tag) || asked.own && OWN_ITEMS.contains(&tag) => Fate::Items,
        _ if KEPT.contains(&tag) || asked.own && OWN.contains(&tag) => Fate::Keep,
        _ => Fate::Drop,
    }
}

/// Where objects made here say that they are for research and not reviewed.
const MARKED: [Tag; 6] = [
    tags::SERIES_DESCRIPTION,
    tags::STRUCTURE_SET_NAME,
    tags::STRUCTURE_SET_DESCRIPTION,
    tags::ROI_DESCRIPTION,
    tags::SEGMENT_DESCRIPTION,
    tags::CONTENT_DESCRIPTION,
];

/// Attributes that have to be there, with or without a value.
const EMPTY: [Tag; 8] = [
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::PATIENT_BIRTH_DATE,
    tags::STRUCTURE_SET_DATE,
    tags::STRUCTURE_SET_TIME,
    tags::ROI_INTERPRETER,
    tags::OPERATORS_NAME,
    tags::CONTENT_CREATOR_NAME,
];

/// Attributes whose UIDs are replaced.
const UIDS: [Tag; 11] = [
    tags::SOP_INSTANCE_UID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::FRAME_OF_REFERENCE_UID,
    tags::SYNCHRONIZATION_FRAME_OF_REFERENCE_UID,
    tags::REFERENCED_FRAME_OF_REFERENCE_UID,
    tags::REFERENCED_SOP_INSTANCE_UID,
    tags::DIMENSION_ORGANIZATION_UID,
    tags::TRACKING_UID,
    tags::IRRADIATION_EVENT_UID,
    tags::CONCATENATION_UID,
];

/// Sequences that place an object: what it refers to, and how frames of reference lie to each other.
const ITEMS: [Tag; 12] = [
    tags::REFERENCED_SERIES_SEQUENCE,
    tags::REFERENCED_INSTANCE_SEQUENCE,
    tags::REFERENCED_IMAGE_SEQUENCE,
    tags::SOURCE_IMAGE_SEQUENCE,
    tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE,
    tags::RT_REFERENCED_STUDY_SEQUENCE,
    tags::RT_REFERENCED_SERIES_SEQUENCE,
    tags::CONTOUR_IMAGE_SEQUENCE,
    tags::PREDECESSOR_STRUCTURE_SET_SEQUENCE,
    tags::REGISTRATION_SEQUENCE,
    tags::MATRIX_REGISTRATION_SEQUENCE,
    tags::MATRIX_SEQUENCE,
];

/// Sequences of objects made here.
const OWN_ITEMS: [Tag; 23] = [
    tags::STRUCTURE_SET_ROI_SEQUENCE,
    tags::ROI_CONTOUR_SEQUENCE,
    tags::CONTOUR_SEQUENCE,
    tags::RTROI_OBSERVATIONS_SEQUENCE,
    tags::RTROI_IDENTIFICATION_CODE_SEQUENCE,
    tags::SEGMENT_SEQUENCE,
    tags::SEGMENTED_PROPERTY_CATEGORY_CODE_SEQUENCE,
    tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE,
    tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE,
    tags::SEGMENTATION_ALGORITHM_IDENTIFICATION_SEQUENCE,
    tags::ALGORITHM_FAMILY_CODE_SEQUENCE,
    tags::SEGMENT_IDENTIFICATION_SEQUENCE,
    tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::DERIVATION_IMAGE_SEQUENCE,
    tags::DERIVATION_CODE_SEQUENCE,
    tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE,
    tags::DIMENSION_ORGANIZATION_SEQUENCE,
    tags::DIMENSION_INDEX_SEQUENCE,
];

/// What an image is and where it lies.
const KEPT: [Tag; 79] = [
    tags::SOP_CLASS_UID,
    tags::REFERENCED_SOP_CLASS_UID,
    tags::SPECIFIC_CHARACTER_SET,
    tags::IMAGE_TYPE,
    tags::MODALITY,
    tags::MANUFACTURER,
    tags::MANUFACTURER_MODEL_NAME,
    tags::SOFTWARE_VERSIONS,
    // How the image was made.
    tags::BODY_PART_EXAMINED,
    tags::SCANNING_SEQUENCE,
    tags::SEQUENCE_VARIANT,
    tags::SCAN_OPTIONS,
    tags::MR_ACQUISITION_TYPE,
    tags::ANGIO_FLAG,
    tags::SLICE_THICKNESS,
    tags::KVP,
    tags::REPETITION_TIME,
    tags::ECHO_TIME,
    tags::INVERSION_TIME,
    tags::NUMBER_OF_AVERAGES,
    tags::IMAGING_FREQUENCY,
    tags::ECHO_NUMBERS,
    tags::MAGNETIC_FIELD_STRENGTH,
    tags::SPACING_BETWEEN_SLICES,
    tags::NUMBER_OF_PHASE_ENCODING_STEPS,
    tags::ECHO_TRAIN_LENGTH,
    tags::PERCENT_SAMPLING,
    tags::PERCENT_PHASE_FIELD_OF_VIEW,
    tags::PIXEL_BANDWIDTH,
    tags::RECONSTRUCTION_DIAMETER,
    tags::ACQUISITION_MATRIX,
    tags::IN_PLANE_PHASE_ENCODING_DIRECTION,
    tags::FLIP_ANGLE,
    tags::VARIABLE_FLIP_ANGLE_FLAG,
    tags::PATIENT_POSITION,
    tags::DIFFUSION_B_VALUE,
    tags::GANTRY_DETECTOR_TILT,
    // Its place.
    tags::SERIES_NUMBER,
    tags::ACQUISITION_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::POSITION_REFERENCE_INDICATOR,
    tags::SLICE_LOCATION,
    tags::LATERALITY,
    // Its pixels.
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::PIXEL_SPACING,
    tags::PIXEL_ASPECT_RATIO,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::SMALLEST_IMAGE_PIXEL_VALUE,
    tags::LARGEST_IMAGE_PIXEL_VALUE,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::BURNED_IN_ANNOTATION,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::RESCALE_TYPE,
    tags::LOSSY_IMAGE_COMPRESSION,
    tags::LOSSY_IMAGE_COMPRESSION_RATIO,
    tags::LOSSY_IMAGE_COMPRESSION_METHOD,
    tags::PRESENTATION_LUT_SHAPE,
    tags::PIXEL_DATA,
    // Where contours and registrations lie.
    tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX,
    tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX_TYPE,
    tags::CONTOUR_GEOMETRIC_TYPE,
    tags::NUMBER_OF_CONTOUR_POINTS,
    tags::CONTOUR_NUMBER,
    tags::CONTOUR_DATA,
    tags::APPROVAL_STATUS,
];

/// What objects made here say of organs and models.
const OWN: [Tag; 29] = [
    tags::ROI_NUMBER,
    tags::ROI_NAME,
    tags::ROI_GENERATION_ALGORITHM,
    tags::ROI_VOLUME,
    tags::ROI_DISPLAY_COLOR,
    tags::REFERENCED_ROI_NUMBER,
    tags::OBSERVATION_NUMBER,
    tags::RTROI_INTERPRETED_TYPE,
    tags::CODE_VALUE,
    tags::CODING_SCHEME_DESIGNATOR,
    tags::CODE_MEANING,
    tags::SEGMENTATION_TYPE,
    tags::SEGMENT_NUMBER,
    tags::SEGMENT_LABEL,
    tags::SEGMENT_ALGORITHM_TYPE,
    tags::SEGMENT_ALGORITHM_NAME,
    tags::ALGORITHM_NAME,
    tags::ALGORITHM_VERSION,
    tags::RECOMMENDED_DISPLAY_CIE_LAB_VALUE,
    tags::REFERENCED_SEGMENT_NUMBER,
    tags::REFERENCED_FRAME_NUMBER,
    tags::DIMENSION_INDEX_POINTER,
    tags::DIMENSION_INDEX_VALUES,
    tags::FUNCTIONAL_GROUP_POINTER,
    tags::STACK_ID,
    tags::IN_STACK_POSITION_NUMBER,
    tags::SPATIAL_LOCATIONS_PRESERVED,
    tags::SEGMENTS_OVERLAP,
    tags::DIMENSION_ORGANIZATION_TYPE,
];
