//! Values of attributes by their tags, for rules that a site writes.

use std::collections::BTreeMap;
use std::fmt;

use dicom_core::value::Value;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::part10::Opened;
use super::values::{decoded, texts};

/// Values of some attributes of an object. They may identify the patient, and are not printed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    values: BTreeMap<Tag, Vec<String>>,
}

/// What an MR image says of how it was made: read with every image, so that it is known what kind of image is contoured.
pub const IMAGE_TAGS: [Tag; 22] = [
    tags::MODALITY,
    tags::IMAGE_TYPE,
    tags::SERIES_DESCRIPTION,
    tags::PROTOCOL_NAME,
    tags::SCANNING_SEQUENCE,
    tags::SEQUENCE_VARIANT,
    tags::MR_ACQUISITION_TYPE,
    tags::REPETITION_TIME,
    tags::ECHO_TIME,
    tags::INVERSION_TIME,
    tags::FLIP_ANGLE,
    tags::ANGIO_FLAG,
    tags::DIFFUSION_B_VALUE,
    tags::CONTRAST_BOLUS_AGENT,
    tags::CONTRAST_BOLUS_AGENT_SEQUENCE,
    tags::CONTRAST_BOLUS_INGREDIENT,
    tags::CONTRAST_BOLUS_VOLUME,
    tags::CONTRAST_BOLUS_TOTAL_DOSE,
    tags::CONTRAST_BOLUS_START_TIME,
    tags::CONTRAST_BOLUS_ROUTE,
    tags::CONTRAST_FLOW_RATE,
    tags::CONTRAST_BOLUS_INGREDIENT_CONCENTRATION,
];

/// Most values of an attribute that are kept, and most characters of each: more is no description of an image.
const MOST: (usize, usize) = (64, 1024);

impl Attributes {
    /// The values of each attribute that is there; the caller answers for where they go.
    pub fn into_values(self) -> BTreeMap<Tag, Vec<String>> {
        self.values
    }

    /// Reads the attributes of these tags from the top level of a data set. Of sequences and bytes only that they are there
    /// is kept.
    pub(super) fn read(opened: &Opened<'_>, object: &InMemDicomObject, wanted: &[Tag]) -> Self {
        let values = wanted.iter().filter_map(|tag| Some((*tag, values_of(opened, object, *tag)?)));
        Self { values: values.collect() }
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attributes", self.values.len())
    }
}

fn values_of(opened: &Opened<'_>, object: &InMemDicomObject, tag: Tag) -> Option<Vec<String>> {
    let element = object.get(tag)?;
    let there = |is: bool| is.then(|| vec!["there".to_owned()]);
    let values = match (element.value(), element.vr()) {
        (Value::Sequence(items), _) => return there(!items.items().is_empty()),
        (Value::PixelSequence(_), _) => return there(true),
        (Value::Primitive(bytes), VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN) => {
            return there(bytes.calculate_byte_len() > 0);
        }
        // Undecodable, the parser's own reading is better than none: a rule may ask for an ASCII word in it.
        (_, VR::SH | VR::LO | VR::PN | VR::UC) => match decoded(opened, tag) {
            Ok(text) => text.split('\\').map(|v| v.trim().to_owned()).collect(),
            Err(_) => texts(object, tag),
        },
        // One value each, whatever backslashes are in it.
        (_, VR::ST | VR::LT | VR::UT) => decoded(opened, tag).into_iter().collect(),
        _ => texts(object, tag),
    };
    let cut = |value: String| value.chars().take(MOST.1).collect();
    Some(values.into_iter().take(MOST.0).map(cut).collect())
}
