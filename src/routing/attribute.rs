//! Attributes that rules may look at: their names, what they hold, and what may be repeated of them.

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

/// A standard attribute of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    tag: Tag,
    keyword: &'static str,
    vr: VR,
}

/// What the values of an attribute are, as far as rules compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Number,
    /// Years, months, weeks or days (VR AS); compared in years.
    Age,
    Date,
    /// Sequences and bytes: there or not.
    Something,
}

/// Who may read values of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// Anybody: how the image was made.
    Open,
    /// Whoever has the file: a text that people typed, and in which they may have named the patient.
    Typed,
    /// Nobody: it can identify a patient.
    Hidden,
}

static DICTIONARY: StandardDataDictionary = StandardDataDictionary;

/// Texts that say how an image was made or is to be treated, and of whom never.
const OPEN_TEXTS: [Tag; 6] = [
    tags::SOP_CLASS_UID,
    tags::MANUFACTURER,
    tags::MANUFACTURER_MODEL_NAME,
    tags::SOFTWARE_VERSIONS,
    tags::SEQUENCE_NAME,
    tags::REQUESTED_PROCEDURE_PRIORITY,
];
/// Descriptions that people type.
const TYPED_TEXTS: [Tag; 6] = [
    tags::STUDY_DESCRIPTION,
    tags::SERIES_DESCRIPTION,
    tags::PROTOCOL_NAME,
    tags::CONTRAST_BOLUS_AGENT,
    tags::REQUESTED_PROCEDURE_DESCRIPTION,
    tags::PERFORMED_PROCEDURE_STEP_DESCRIPTION,
];
/// Groups whose codes and numbers say how an image was made. Everything about the patient is in group 0010.
const OPEN_GROUPS: [u16; 4] = [0x0008, 0x0018, 0x0020, 0x0028];

impl Attribute {
    /// The attribute of a keyword (`SeriesDescription`) or a tag (`(0008,103E)`).
    ///
    /// # Errors
    /// What is wrong with the name, in words that follow it.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let entry = match tag_of(name) {
            Some(tag) if tag.group() % 2 == 1 => {
                return Err("is a private attribute, which means something else with every maker; none is read".into());
            }
            Some(tag) => DICTIONARY.by_tag(tag).map(|entry| (tag, entry)),
            None => DICTIONARY.by_name(name).map(|entry| (entry.tag(), entry)),
        };
        let Some((tag, entry)) = entry else {
            return Err("is no attribute of DICOM: write a keyword like \"SeriesDescription\" or a tag like \
                        \"(0008,103E)\""
                .into());
        };
        // Groups below are of messages and files, those from the pixels on are not read on receipt.
        if tag < Tag(0x0008, 0x0001) || tag >= tags::PIXEL_DATA || tag.element() == 0 {
            return Err("is not in the header of an object".into());
        }
        Ok(Self { tag, keyword: entry.alias(), vr: entry.vr().relaxed() })
    }

    /// Its tag.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Its keyword.
    pub fn keyword(&self) -> &'static str {
        self.keyword
    }

    pub(super) fn holds(&self) -> Holds {
        match self.vr {
            VR::DS | VR::IS | VR::US | VR::SS | VR::UL | VR::SL | VR::UV | VR::SV | VR::FL | VR::FD => Holds::Number,
            VR::AS => Holds::Age,
            VR::DA | VR::DT => Holds::Date,
            VR::SQ | VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW | VR::UN | VR::AT => Holds::Something,
            _ => Holds::Text,
        }
    }

    pub(super) fn sight(&self) -> Sight {
        let code = matches!(self.vr, VR::CS) || self.holds() == Holds::Number;
        if OPEN_TEXTS.contains(&self.tag) || (code && OPEN_GROUPS.contains(&self.tag.group())) {
            Sight::Open
        } else if TYPED_TEXTS.contains(&self.tag) {
            Sight::Typed
        } else {
            Sight::Hidden
        }
    }
}

/// A tag as `(gggg,eeee)`, `gggg,eeee` or `ggggeeee`.
fn tag_of(text: &str) -> Option<Tag> {
    let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(text);
    let digits: String = match inner.split_once(',') {
        Some((group, element)) if group.len() == 4 && element.len() == 4 => [group, element].concat(),
        Some(_) => return None,
        None => inner.to_owned(),
    };
    if digits.len() != 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let half = |part: Option<&str>| part.and_then(|p| u16::from_str_radix(p, 16).ok());
    Some(Tag(half(digits.get(..4))?, half(digits.get(4..))?))
}
