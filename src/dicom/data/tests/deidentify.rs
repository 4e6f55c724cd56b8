//! Objects without their identity: nothing of the patient stays, everything of the image does.

use std::collections::BTreeSet;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::support::{defects, edited, encoded, meta, oblique_grid, oblique_series, read_back, rois, with, written};
use crate::dicom::data::deidentify::fate::{Asked, Fate, fate};
use crate::dicom::data::{
    Deidentified, Pseudonyms, RESEARCH_MARK, RefusalCode, Retain, deidentify, part10, read_header, read_rtstruct,
};

fn names() -> Pseudonyms {
    Pseudonyms::with_salt(&"0c".repeat(32)).unwrap()
}

fn clean(bytes: &[u8]) -> Deidentified {
    deidentify(bytes, &names(), Retain::default()).unwrap()
}

fn parsed(bytes: &[u8]) -> InMemDicomObject {
    part10::open(bytes).unwrap().parse(None).unwrap()
}

/// Whether some bytes stand in others.
fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|w| w == what.as_bytes())
}

/// An image in which everybody has written something.
fn loaded(bytes: &[u8]) -> Vec<u8> {
    let put = |o: &mut InMemDicomObject, tag, vr, value: &str| {
        o.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    };
    edited(bytes, |o| {
        put(o, tags::INSTITUTION_NAME, VR::LO, "Klinik Secret");
        put(o, tags::OPERATORS_NAME, VR::PN, "Secret^Operator");
        put(o, tags::PATIENT_COMMENTS, VR::LT, "Secret comment");
        put(o, tags::SERIES_DESCRIPTION, VR::LO, "T1 Secret");
        put(o, tags::PROTOCOL_NAME, VR::LO, "Secret protocol");
        put(o, tags::STATION_NAME, VR::SH, "SECRET1");
        put(o, tags::DEVICE_SERIAL_NUMBER, VR::LO, "SECRET2");
        put(o, tags::IMAGE_COMMENTS, VR::LT, "Secret image");
        put(o, tags::CONTRAST_BOLUS_AGENT, VR::LO, "10 ml for Secret");
        put(o, tags::MANUFACTURER_MODEL_NAME, VR::LO, "Scanner of Müller");
        put(o, tags::ACQUISITION_DATE, VR::DA, "20250103");
        let mut hidden = InMemDicomObject::new_empty();
        put(&mut hidden, tags::PATIENT_NAME, VR::PN, "Secret^Kept");
        o.put(DataElement::new(tags::SCAN_OPTIONS, VR::SQ, DataSetSequence::from(vec![hidden])));
        put(o, Tag(0x0029, 0x0010), VR::LO, "SECRET VENDOR");
        put(o, Tag(0x0029, 0x1010), VR::LO, "Secret private");
        put(o, Tag(0x6000, 0x3000), VR::OB, "Secret overlay");
        let mut item = InMemDicomObject::new_empty();
        put(&mut item, tags::PATIENT_NAME, VR::PN, "Secret^Nested");
        put(&mut item, tags::REFERENCED_SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE);
        put(&mut item, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.840.99.77.1");
        for tag in
            [tags::REFERENCED_IMAGE_SEQUENCE, tags::REQUEST_ATTRIBUTES_SEQUENCE, tags::OTHER_PATIENT_I_DS_SEQUENCE]
        {
            o.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(vec![item.clone()])));
        }
    })
}

#[test]
fn nothing_of_the_patient_stays_and_every_voxel_does() {
    let source = encoded(oblique_grid());
    let mut objects = Vec::new();
    let mut all = Vec::new();
    for image in &source {
        let cleaned = clean(&loaded(&image.bytes));
        for told in ["ecret", "SECRET", "M\u{fc}ller", "0042", "19610203", "20250102", "20250103", "Anna", "1.2.840.99"]
        {
            assert!(holds(&loaded(&image.bytes), told) && !holds(&cleaned.object.bytes, told), "{told}");
        }
        all.extend(cleaned.uids.clone());
        objects.push(cleaned.object);
    }
    let (before, after) = (read_back(&source), read_back(&objects));
    assert_eq!(before.volume.data(), after.volume.data());
    assert_eq!(before.volume.grid().origin(), after.volume.grid().origin());
    assert_eq!(before.volume.grid().axes(), after.volume.grid().axes());
    assert_ne!(before.volume.grid().frame(), after.volume.grid().frame());
    // One new UID for each old one, whichever object names it.
    let (old, new): (BTreeSet<String>, BTreeSet<String>) = all.into_iter().unzip();
    // Study, series, frame, a referred one, and one for each slice.
    assert_eq!((old.len(), new.len()), (4 + source.len(), 4 + source.len()));
    assert!(new.iter().all(|uid| uid.starts_with("2.25.") && uid.len() <= 64));

    let o = parsed(&objects[0].bytes);
    let told = |tag| o.get(tag).map(|e| e.value().to_multi_str().unwrap().join("\\"));
    let key = told(tags::PATIENT_ID).unwrap();
    assert!(key.starts_with("p-") && told(tags::PATIENT_NAME).unwrap() == format!("Pseudonym^{key}"));
    assert_eq!(told(tags::PATIENT_BIRTH_DATE).as_deref(), Some(""));
    assert_eq!(told(tags::PATIENT_SEX).as_deref(), Some(""));
    assert_eq!(told(tags::PATIENT_AGE), None);
    assert_eq!(told(tags::CONTRAST_BOLUS_AGENT).as_deref(), Some("YES"));
    // A text that stays by the list, but names the patient.
    assert_eq!(told(tags::MANUFACTURER_MODEL_NAME).as_deref(), Some(""));
    assert_eq!(told(tags::MANUFACTURER).as_deref(), Some("Test"));
    assert_eq!(told(tags::PATIENT_IDENTITY_REMOVED).as_deref(), Some("YES"));
    let codes = |o: &InMemDicomObject| -> Vec<String> {
        let items = o.get(tags::DEIDENTIFICATION_METHOD_CODE_SEQUENCE).unwrap().value().items().unwrap();
        items.iter().map(|i| i.get(tags::CODE_VALUE).unwrap().value().to_str().unwrap().into_owned()).collect()
    };
    assert_eq!(codes(&o), ["113100"]);
    let referred = o.get(tags::REFERENCED_IMAGE_SEQUENCE).unwrap().value().items().unwrap();
    assert_eq!(referred[0].iter().count(), 3, "of an item only what it refers to stays");
    assert_eq!(referred[0].get(tags::PATIENT_NAME).unwrap().value().to_str().unwrap(), format!("Pseudonym^{key}"));
    let kept = deidentify(&source[0].bytes, &names(), Retain { characteristics: true }).unwrap();
    let o = parsed(&kept.object.bytes);
    assert_eq!(o.get(tags::PATIENT_AGE).unwrap().value().to_str().unwrap(), "063Y");
    assert_eq!(codes(&o), ["113100", "113108"]);
}

#[test]
fn a_structure_set_goes_with_its_images() {
    let series = oblique_series();
    let images: Vec<_> = encoded(oblique_grid()).iter().map(|i| clean(&i.bytes).object).collect();
    let set = written(&series, &rois(), &meta()).unwrap();
    let cleaned = clean(&set.bytes);
    assert!(!holds(&cleaned.object.bytes, "1.2.840.99") && !holds(&cleaned.object.bytes, "0042"));
    let series = read_back(&images);
    assert_eq!(defects(&cleaned.object.bytes, &series), [], "a whole structure set of the new images");
    let (old, new) = (read_rtstruct(&set.bytes).unwrap(), read_rtstruct(&cleaned.object.bytes).unwrap());
    let drawn = |set: &crate::dicom::data::StructureSet| -> Vec<(String, usize)> {
        set.rois.iter().map(|roi| (roi.name.clone(), roi.contours.len())).collect()
    };
    assert_eq!(drawn(&old), drawn(&new));
    let o = parsed(&cleaned.object.bytes);
    let told = |tag| o.get(tag).unwrap().value().to_str().unwrap().into_owned();
    assert_eq!(
        (told(tags::STRUCTURE_SET_LABEL).as_str(), told(tags::SERIES_DESCRIPTION).as_str()),
        ("AI RESEARCH", RESEARCH_MARK)
    );
    // A patient who is called as an organ is.
    let called = clean(&with(&set.bytes, tags::PATIENT_NAME, VR::PN, "Eye^Brain")).object.bytes;
    assert_eq!(drawn(&read_rtstruct(&called).unwrap()), drawn(&new));
}

#[test]
fn what_may_hold_anything_is_refused() {
    let image = &encoded(oblique_grid())[0].bytes;
    let burned = with(image, tags::BURNED_IN_ANNOTATION, VR::CS, "YES");
    let refused = |bytes: &[u8]| deidentify(bytes, &names(), Retain::default()).unwrap_err();
    assert_eq!(refused(&burned).code, RefusalCode::PixelData);
    let set = written(&oblique_series(), &rois(), &meta()).unwrap().bytes;
    let foreign = with(&set, tags::MANUFACTURER, VR::LO, "Planning Systems");
    assert_eq!(refused(&foreign).code, RefusalCode::NotMr);
    assert_eq!(refused(&foreign).instance.unwrap(), read_header(&foreign).unwrap().instance);
    let overlay = edited(image, |o| {
        o.put(DataElement::new(Tag(0x6002, 0x0102), VR::US, PrimitiveValue::from(12u16)));
    });
    assert!(refused(&overlay).tag.unwrap().starts_with("(6002,0102)"));
    assert_eq!(refused(b"no object").code, RefusalCode::NotDicom);
}

/// PS3.15 Table E.1-1 (edition 2025): what it removes, empties or replaces does not stay as it is.
#[test]
fn the_standards_table_is_kept() {
    let table = include_str!("../../../../fixtures/dicom/ps3.15-table-e.1-1.csv");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let (tag, action) = line.split_once(',').unwrap();
        let number = |part: &str| u16::from_str_radix(part, 16).unwrap();
        let tag = Tag(number(&tag[..4]), number(&tag[4..]));
        rows += 1;
        for (characteristics, own) in [(false, false), (false, true)] {
            let found = fate(tag, Asked { characteristics, own });
            let fits = match found {
                Fate::Drop => true,
                Fate::Uid => action.contains('U'),
                // The mark that contourd writes itself (Clean Descriptors Option).
                Fate::Dummy(RESEARCH_MARK) => own,
                Fate::Empty | Fate::PatientId | Fate::PatientName | Fate::Dummy(_) => action.contains(['Z', 'D']),
                // Names of organs, which contourd wrote itself (Clean Descriptors Option).
                Fate::Keep => own && tag == tags::ROI_NAME,
                Fate::Items => false,
            };
            assert!(fits, "{tag} is {action} in the table, and here {found:?}");
        }
    }
    assert_eq!(rows, 569);
    let kept = |tag, characteristics| fate(tag, Asked { characteristics, own: false });
    assert_eq!(kept(tags::PATIENT_WEIGHT, true), Fate::Keep);
    assert_eq!(kept(tags::PATIENT_WEIGHT, false), Fate::Drop);
}
