//! A whole object without its identity (PS3.15 Annex E, Basic Application Level Confidentiality Profile).

use std::collections::BTreeMap;

use dicom_core::header::Header;
use dicom_core::value::{C, DataSetSequence, InMemFragment, Value};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::super::build::{Builder, code_item, legal};
use super::super::header::{header_of, is_own_object};
use super::super::part10;
use super::super::refusal::{Refusal, RefusalCode};
use super::super::values::{tag_name, text};
use super::super::{EncodedInstance, InstanceHeader};
use super::fate::{Asked, Fate, fate};
use super::{LEAST_PART, Pseudonyms, parts_of_name, without_patient};
use crate::anatomy::Code;
use crate::ids::{InstanceUid, SeriesUid};

/// What is kept beyond the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retain {
    /// Sex, age, size and weight (Retain Patient Characteristics Option).
    pub characteristics: bool,
}

/// An object without its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deidentified {
    /// The new object; nothing in it leads to the old one but by the salt.
    pub object: EncodedInstance,
    /// Every UID that was replaced, and the one in its place. This leads back to the patient.
    pub uids: BTreeMap<String, String>,
}

/// What begins the UIDs of the frames of reference that DICOM itself gives (PS3.6 Table A-2): atlases, nobody's own.
const WELL_KNOWN_FRAMES: &str = "1.2.840.10008.1.4.1.";
/// How deep sequences may lie in each other.
const DEEPEST: usize = 8;
/// What is said of how it was done, Deidentification Method (0012,0063).
const METHOD: &str = "contourd: what is not on its list is removed";

/// A value of an element.
type ValueOf = Value<InMemDicomObject, InMemFragment>;

const fn dcm(value: &'static str, meaning: &'static str) -> Code {
    Code { value, scheme: "DCM", meaning }
}

/// CID 7050.
const BASIC_PROFILE: Code = dcm("113100", "Basic Application Confidentiality Profile");
const CLEAN_DESCRIPTORS: Code = dcm("113105", "Clean Descriptors Option");
const RETAIN_CHARACTERISTICS: Code = dcm("113108", "Retain Patient Characteristics Option");

/// Takes the identity from an object: an MR or CT image, a Spatial Registration, or anything that contourd made. UIDs and the
/// patient get the pseudonyms of `names`, the same in every object; dates and times go; of the rest stays what an image is and where
/// it lies, and, in what contourd made, the organs and the model. Pixels stay as they are: **a face can be made of them**.
///
/// # Errors
/// An object that cannot be read, has text in its pixels (Burned In Annotation), or is of another kind, in which
/// people may have written anything.
pub fn deidentify(bytes: &[u8], names: &Pseudonyms, retain: Retain) -> Result<Deidentified, Refusal> {
    let opened = part10::open(bytes)?;
    let object = opened.parse(None)?;
    let header = header_of(&opened, &object)?;
    let named = |refusal: Refusal| refusal.with_instance(header.instance.clone());
    let own = is_own_object(&header);
    check(&object, &header, own).map_err(named)?;
    let mut work = Work {
        names,
        header: &header,
        asked: Asked { characteristics: retain.characteristics, own },
        uids: BTreeMap::new(),
    };
    let mut new = Builder::from(work.cleaned(object, 0).map_err(named)?);
    let mut options = vec![BASIC_PROFILE];
    options.extend(own.then_some(CLEAN_DESCRIPTORS));
    options.extend(retain.characteristics.then_some(RETAIN_CHARACTERISTICS));
    new.text(tags::PATIENT_IDENTITY_REMOVED, VR::CS, "YES")
        .text(tags::DEIDENTIFICATION_METHOD, VR::LO, METHOD)
        .sequence(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE, options.into_iter().map(code_item).collect())
        .text(tags::LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED, VR::CS, "REMOVED");
    let instance = InstanceUid::parse(&names.uid(header.instance.as_str())).map_err(unusable).map_err(named)?;
    let series = SeriesUid::parse(&names.uid(header.series.as_str())).map_err(unusable).map_err(named)?;
    // What was deflated is written plainly: the file is for people and programs of every kind.
    let encoded = part10::encode(&new.finish(), &header.sop_class, instance, series, opened.inflated_syntax());
    let object = encoded.map_err(unusable).map_err(named)?;
    Ok(Deidentified { object, uids: work.uids })
}

fn unusable(e: impl std::error::Error) -> Refusal {
    Refusal::new(RefusalCode::InvalidValue, format!("it cannot be written without its identity: {e}"))
}

fn text_of(value: &ValueOf) -> String {
    value.to_multi_str().map(|all| all.concat().trim_matches(['\0', ' ']).to_owned()).unwrap_or_default()
}

/// Whether the object is one of those whose content is known.
fn check(object: &InMemDicomObject, header: &InstanceHeader, own: bool) -> Result<(), Refusal> {
    const IMAGES: [&str; 2] = [uids::MR_IMAGE_STORAGE, uids::CT_IMAGE_STORAGE];
    let known =
        own || IMAGES.contains(&header.sop_class.as_str()) || header.sop_class == uids::SPATIAL_REGISTRATION_STORAGE;
    if !known {
        let why = "only MR and CT images, Spatial Registrations and what contourd made lose their identity here: in other \
                   objects people may have written anything";
        return Err(Refusal::new(RefusalCode::NotMr, why).with_tag(tag_name(tags::SOP_CLASS_UID)));
    }
    if text(object, tags::BURNED_IN_ANNOTATION) == "YES" {
        let why = "text is burned into its pixels, and may name the patient; take it out before the image is passed on";
        return Err(Refusal::new(RefusalCode::PixelData, why).with_tag(tag_name(tags::BURNED_IN_ANNOTATION)));
    }
    // Overlay Bit Position: the overlay lies in bits of the pixels that the image does not use.
    for element in object.iter() {
        let tag = element.tag();
        let embedded = (0x6000..=0x60FF).contains(&tag.group()) && tag.element() == 0x0102;
        if embedded && !matches!(text(object, tag).as_str(), "" | "0") {
            let why = "an overlay lies in unused bits of its pixels, and may name the patient; take it out before the image is \
                       passed on";
            return Err(Refusal::new(RefusalCode::PixelData, why).with_tag(tag_name(tag)));
        }
    }
    Ok(())
}

/// An object on its way.
struct Work<'a> {
    names: &'a Pseudonyms,
    header: &'a InstanceHeader,
    asked: Asked,
    uids: BTreeMap<String, String>,
}

impl Work<'_> {
    /// What stays of a data set or an item.
    fn cleaned(&mut self, object: InMemDicomObject, depth: usize) -> Result<InMemDicomObject, Refusal> {
        let mut out = InMemDicomObject::new_empty();
        for element in object {
            let (tag, vr) = (element.tag(), element.vr());
            let value: ValueOf = match fate(tag, self.asked) {
                Fate::Drop => continue,
                Fate::Keep => match self.kept(tag, vr, element.into_value()) {
                    Some(value) => value,
                    None => continue,
                },
                Fate::Empty => PrimitiveValue::Empty.into(),
                Fate::Uid => self.replaced(&element.into_value()),
                Fate::Items => match element.into_value() {
                    Value::Sequence(items) if depth < DEEPEST => {
                        let items: Result<C<_>, Refusal> =
                            items.into_items().into_iter().map(|item| self.cleaned(item, depth + 1)).collect();
                        DataSetSequence::from(items?).into()
                    }
                    // Deeper than anything that is written, or no sequence at all.
                    _ => continue,
                },
                Fate::PatientId => PrimitiveValue::from(self.patient()).into(),
                Fate::PatientName => PrimitiveValue::from(format!("Pseudonym^{}", self.patient())).into(),
                Fate::Dummy(dummy) => match text_of(element.value()).is_empty() {
                    true => PrimitiveValue::Empty.into(),
                    false => PrimitiveValue::from(dummy).into(),
                },
            };
            out.put(DataElement::new(tag, vr, value));
        }
        Ok(out)
    }

    fn patient(&self) -> String {
        self.names.patient(&self.header.patient_id, self.header.study.as_str())
    }

    /// A value that stays; without it where it names the patient or cannot be told not to. Nothing where it is of another kind than
    /// what stands on the list: items, or bytes of which nobody knows what they are.
    fn kept(&self, tag: Tag, vr: VR, value: ValueOf) -> Option<ValueOf> {
        let foreign = match &value {
            Value::Sequence(_) => true,
            Value::PixelSequence(_) => tag != tags::PIXEL_DATA,
            Value::Primitive(_) => vr == VR::UN,
        };
        if foreign {
            return None;
        }
        // What was made here holds names of organs and models, and a patient may be called as an organ is.
        if self.asked.own {
            return Some(value);
        }
        let written = matches!(vr, VR::LO | VR::SH | VR::ST | VR::LT | VR::UT | VR::UC | VR::PN | VR::UR | VR::AE);
        if !written && !matches!(vr, VR::CS | VR::DS | VR::IS | VR::AS) {
            return Some(value);
        }
        let told = value.to_multi_str().map(|all| all.to_vec()).unwrap_or_default();
        let mut name = parts_of_name(self.header);
        // Codes of two letters are many, and are no names.
        name.retain(|part| part.chars().count() >= LEAST_PART);
        let unfit = |text: &String| {
            let text = text.trim_matches(['\0', ' ']);
            // Other letters are not compared as the name's are; control characters are no text: items, say, under a tag that
            // has none.
            let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b));
            !plain
                || match vr {
                    // Whole words only: PRIMARY is no Mary.
                    VR::CS => {
                        text.len() > 16
                            || text
                                .split(|c: char| !c.is_alphanumeric())
                                .any(|word| name.contains(&word.to_lowercase()))
                    }
                    VR::DS | VR::IS | VR::AS => !text.is_empty() && !legal(vr, text),
                    _ => without_patient(text, self.header) != text,
                }
        };
        Some(if told.iter().any(unfit) { PrimitiveValue::Empty.into() } else { value })
    }

    /// The UIDs of a value, each with the one in its place.
    fn replaced(&mut self, value: &ValueOf) -> ValueOf {
        let old = value.to_multi_str().map(|all| all.to_vec()).unwrap_or_default();
        let new: C<String> = old
            .iter()
            .map(|uid| uid.trim_matches(['\0', ' ']))
            .map(|uid| {
                if uid.is_empty() || uid.starts_with(WELL_KNOWN_FRAMES) {
                    return uid.to_owned();
                }
                self.uids.entry(uid.to_owned()).or_insert_with(|| self.names.uid(uid)).clone()
            })
            .collect();
        PrimitiveValue::Strs(new).into()
    }
}
