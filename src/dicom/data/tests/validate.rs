//! Every defect that the validator knows, made on purpose: one field is broken and the defect is expected by name.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::support::{defects, edited, meta, oblique_series, rois, written};
use crate::dicom::data::{DefectCode, Series};

type Path<'a> = &'a [(Tag, usize)];

/// Changes the item that a path of sequences and item numbers leads to.
fn inside(object: &mut InMemDicomObject, path: Path<'_>, edit: &mut dyn FnMut(&mut InMemDicomObject)) {
    let Some(((tag, n), rest)) = path.split_first() else { return edit(object) };
    assert!(object.update_value(*tag, |value| inside(&mut value.items_mut().unwrap()[*n], rest, edit)));
}

fn items(object: &mut InMemDicomObject, tag: Tag, mut edit: impl FnMut(&mut Vec<InMemDicomObject>)) {
    assert!(object.update_value(tag, |value| {
        let list = value.items_mut().unwrap();
        let mut owned: Vec<InMemDicomObject> = list.drain(..).collect();
        edit(&mut owned);
        list.extend(owned);
    }));
}

fn set(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

struct Bench {
    series: Series,
    file: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let series = oblique_series();
        let file = written(&series, &rois(), &meta()).unwrap().bytes;
        Self { series, file }
    }

    /// The defects after an edit at `path`; a value of the wrong kind must never be missed.
    fn codes(&self, path: Path<'_>, mut edit: impl FnMut(&mut InMemDicomObject)) -> Vec<DefectCode> {
        let broken = edited(&self.file, |o| inside(o, path, &mut edit));
        let mut codes: Vec<DefectCode> = defects(&broken, &self.series).into_iter().map(|d| d.code).collect();
        codes.dedup();
        codes
    }

    fn value(&self, path: Path<'_>, tag: Tag, vr: VR, value: &str) -> Vec<DefectCode> {
        self.codes(path, |o| set(o, tag, vr, value))
    }
}

const ROI: (Tag, usize) = (tags::STRUCTURE_SET_ROI_SEQUENCE, 1);
const DRAWN: (Tag, usize) = (tags::ROI_CONTOUR_SEQUENCE, 1);
const SEEN: (Tag, usize) = (tags::RTROI_OBSERVATIONS_SEQUENCE, 1);
const CONTOUR: Path<'static> = &[DRAWN, (tags::CONTOUR_SEQUENCE, 0)];
const FRAME: (Tag, usize) = (tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, 0);
const STUDY: (Tag, usize) = (tags::RT_REFERENCED_STUDY_SEQUENCE, 0);
const SERIES: (Tag, usize) = (tags::RT_REFERENCED_SERIES_SEQUENCE, 0);

#[test]
fn an_untouched_set_has_no_defect() {
    let bench = Bench::new();
    assert_eq!(bench.codes(&[], |_| {}), []);
}

#[test]
fn header_values() {
    use DefectCode::*;
    let bench = Bench::new();
    for (tag, vr, value, code) in [
        (tags::PATIENT_ID, VR::LO, "42", WrongPatient),
        (tags::PATIENT_NAME, VR::PN, "Muller^Jorg", WrongPatient),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.3", WrongPatient),
        (tags::STUDY_ID, VR::SH, "", WrongPatient),
        (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "", WrongPatient),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.840.99.2", SeriesReused),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3", WrongFrame),
        (tags::MANUFACTURER, VR::LO, "", EmptyManufacturer),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, "", EmptyManufacturer),
        (tags::STRUCTURE_SET_LABEL, VR::SH, "AI RESEARCH DRAFT", LabelLength),
        (tags::STRUCTURE_SET_LABEL, VR::SH, "", LabelLength),
        (tags::APPROVAL_STATUS, VR::CS, "APPROVED", Approval),
        (tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.4", Unreadable),
    ] {
        assert_eq!(bench.value(&[], tag, vr, value), [code], "{tag} = {value:?}");
    }
}

#[test]
fn references() {
    use DefectCode::*;
    let bench = Bench::new();
    let gone = bench.codes(&[], |o| {
        o.remove_element(tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE);
    });
    assert_eq!(gone, [NoReferencedFrame]);
    let twice = bench.codes(&[], |o| items(o, FRAME.0, |list| list.push(list[0].clone())));
    assert_eq!(twice, [NoReferencedFrame]);
    assert_eq!(bench.value(&[FRAME], tags::FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3"), [WrongFrame]);
    assert_eq!(bench.value(&[FRAME, STUDY], tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2.3"), [WrongReference]);
    assert_eq!(bench.value(&[FRAME, STUDY, SERIES], tags::SERIES_INSTANCE_UID, VR::UI, "1.2.3"), [WrongReference]);
    let images = &[FRAME, STUDY, SERIES];
    let list =
        |edit: fn(&mut Vec<InMemDicomObject>)| bench.codes(images, |o| items(o, tags::CONTOUR_IMAGE_SEQUENCE, edit));
    assert_eq!(list(|l| drop(l.remove(4))), [SliceNotReferenced]);
    assert_eq!(list(|l| l.swap(2, 3)), [SliceOrder]);
    assert_eq!(list(|l| l.push(l[0].clone())), [SliceOrder]);
    let other = bench.value(
        &[FRAME, STUDY, SERIES, (tags::CONTOUR_IMAGE_SEQUENCE, 3)],
        tags::REFERENCED_SOP_INSTANCE_UID,
        VR::UI,
        "1.2.3",
    );
    assert_eq!(other, [SliceNotReferenced, ForeignImage]);
}

#[test]
fn regions_and_their_numbers() {
    use DefectCode::*;
    let bench = Bench::new();
    assert!(bench.value(&[DRAWN], tags::REFERENCED_ROI_NUMBER, VR::IS, "77").contains(&DanglingRoi));
    assert!(bench.value(&[DRAWN], tags::REFERENCED_ROI_NUMBER, VR::IS, "77").contains(&RoiWithoutContours));
    assert!(bench.value(&[SEEN], tags::REFERENCED_ROI_NUMBER, VR::IS, "77").contains(&DanglingRoi));
    assert!(bench.value(&[SEEN], tags::REFERENCED_ROI_NUMBER, VR::IS, "3").contains(&RoiObservations));
    assert_eq!(bench.value(&[SEEN], tags::OBSERVATION_NUMBER, VR::IS, "3"), [NumberTwice]);
    assert!(bench.value(&[ROI], tags::ROI_NUMBER, VR::IS, "3").contains(&NumberTwice));
    let second = &[(tags::ROI_CONTOUR_SEQUENCE, 0), (tags::CONTOUR_SEQUENCE, 1)];
    assert_eq!(bench.value(second, tags::CONTOUR_NUMBER, VR::IS, "1"), [NumberTwice]);
    let empty = bench.codes(&[DRAWN], |o| {
        o.remove_element(tags::CONTOUR_SEQUENCE);
    });
    assert_eq!(empty, [RoiWithoutContours]);
    let unobserved = bench.codes(&[], |o| items(o, SEEN.0, |l| drop(l.remove(1))));
    assert!(unobserved.contains(&RoiObservations));
    let nothing = bench.codes(&[], |o| {
        for tag in [ROI.0, DRAWN.0, SEEN.0] {
            items(o, tag, Vec::clear);
        }
    });
    assert_eq!(nothing, [NoRegions]);
}

#[test]
fn what_regions_are_called() {
    use DefectCode::*;
    let bench = Bench::new();
    assert_eq!(bench.value(&[ROI], tags::ROI_NAME, VR::LO, "Chiasma"), [RoiName]);
    assert!(bench.value(&[ROI], tags::ROI_NAME, VR::LO, "Brain").contains(&RoiName));
    assert_eq!(bench.value(&[ROI], tags::ROI_NAME, VR::LO, "Pituitary"), [RoiCode]);
    let code = &[SEEN, (tags::RTROI_IDENTIFICATION_CODE_SEQUENCE, 0)];
    assert_eq!(bench.value(code, tags::CODE_VALUE, VR::SH, "12738006"), [RoiCode]);
    let side = &[
        (tags::RTROI_OBSERVATIONS_SEQUENCE, 0),
        (tags::RTROI_IDENTIFICATION_CODE_SEQUENCE, 0),
        (tags::SEGMENTED_PROPERTY_TYPE_MODIFIER_CODE_SEQUENCE, 0),
    ];
    assert_eq!(bench.value(side, tags::CODE_VALUE, VR::SH, "24028007"), [RoiCode]);
    assert_eq!(bench.value(&[DRAWN], tags::ROI_DISPLAY_COLOR, VR::IS, "1\\2\\3"), [RoiCode]);
    for kind in ["OAR", "", "EXTERNAL"] {
        assert_eq!(bench.value(&[SEEN], tags::RTROI_INTERPRETED_TYPE, VR::CS, kind), [InterpretedType]);
    }
    assert_eq!(bench.value(&[ROI], tags::ROI_GENERATION_ALGORITHM, VR::CS, "MANUAL"), [Algorithm]);
    assert_eq!(bench.value(&[ROI], tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3"), [WrongFrame]);
}

/// The coordinates of the contour under test.
fn data(bench: &Bench) -> Vec<String> {
    let mut values = Vec::new();
    bench.codes(CONTOUR, |o| {
        values = o.element(tags::CONTOUR_DATA).unwrap().value().to_multi_str().unwrap().to_vec();
    });
    values.iter().map(|v| v.trim().to_owned()).collect()
}

/// The defects of other coordinates, with the number of points to match.
fn with_data(bench: &Bench, values: &[String]) -> Vec<DefectCode> {
    bench.codes(CONTOUR, |o| {
        set(o, tags::CONTOUR_DATA, VR::DS, &values.join("\\"));
        set(o, tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, &(values.len() / 3).to_string());
    })
}

#[test]
fn polygons() {
    use DefectCode::*;
    let bench = Bench::new();
    let good = data(&bench);
    assert_eq!(with_data(&bench, &good), []);
    assert_eq!(bench.value(CONTOUR, tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, "5"), [PointCount]);
    assert_eq!(bench.value(CONTOUR, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSEDPLANAR_XOR"), [GeometricType]);
    assert_eq!(with_data(&bench, &good[..6]), [TooFewPoints]);
    assert_eq!(with_data(&bench, &good[..3]), [TooFewPoints]);
    assert_eq!(with_data(&bench, &[&good[..], &good[..3]].concat()), [RepeatedClosingPoint]);
    assert_eq!(with_data(&bench, &[&good[..3], &good[..]].concat()), [RepeatedPoint]);
    assert_eq!(with_data(&bench, &good[..17]), [Unreadable]);
    let change = |n: usize, value: String| {
        let mut values = good.clone();
        values[n] = value;
        with_data(&bench, &values)
    };
    let z: f64 = good[2].parse().unwrap();
    assert_eq!(change(2, format!("{:.3}", z + 0.02)), [OffPlane]);
    assert_eq!(change(2, format!("{:.3}", z + 0.004)), []);
    assert_eq!(change(0, "x".into()), [Unreadable]);
    assert_eq!(change(0, "NaN".into()), [Unreadable]);
    let x: f64 = good[0].parse().unwrap();
    assert_eq!(change(0, format!("{x:.14}00")), [NumberLength]);
    // Two corners exchanged; below, the same contour once more, half a voxel aside.
    let tied = [&good[3..6], &good[..3], &good[6..]].concat();
    assert_eq!(with_data(&bench, &tied), [Crossing]);
    // Forty voxels further along the rows the contour has left its image.
    let across = bench.series.volume.grid().axes()[0].to_array();
    let shift = |(n, v): (usize, &String)| format!("{:.3}", v.parse::<f64>().unwrap() + 32.0 * across[n % 3]);
    let away: Vec<String> = good.iter().enumerate().map(shift).collect();
    assert_eq!(with_data(&bench, &away), [OutsideImage]);
    let down = bench.series.volume.grid().axes()[1].to_array();
    let move_by = |n: usize| 0.4 * across[n % 3] + 0.33 * down[n % 3];
    let beside: Vec<String> =
        good.iter().enumerate().map(|(n, v)| format!("{:.3}", v.parse::<f64>().unwrap() + move_by(n))).collect();
    let two = bench.codes(&[DRAWN], |o| {
        items(o, tags::CONTOUR_SEQUENCE, |list| {
            let mut other = list[0].clone();
            set(&mut other, tags::CONTOUR_DATA, VR::DS, &beside.join("\\"));
            set(&mut other, tags::CONTOUR_NUMBER, VR::IS, "99");
            list.push(other);
        });
    });
    assert_eq!(two, [Crossing]);
    // The same polygon so often that no explicit VR can hold it.
    let long: Vec<String> = good.iter().cycle().take(good.len() * 700).cloned().collect();
    assert_eq!(with_data(&bench, &long), [ContourDataLength]);
}

#[test]
fn the_image_of_a_contour() {
    use DefectCode::*;
    let bench = Bench::new();
    let image = &[CONTOUR[0], CONTOUR[1], (tags::CONTOUR_IMAGE_SEQUENCE, 0)];
    let uid = |n: usize| bench.series.slices[n].instance.as_str().to_owned();
    let refer = |to: &str| bench.value(image, tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, to);
    assert_eq!(refer(&uid(5)), []);
    assert_eq!(refer(&uid(6)), [OffPlane]);
    assert_eq!(refer("1.2.3"), [ForeignImage]);
    let none = bench.codes(CONTOUR, |o| {
        o.remove_element(tags::CONTOUR_IMAGE_SEQUENCE);
    });
    assert_eq!(none, [ContourImage]);
    let two = bench.codes(CONTOUR, |o| items(o, tags::CONTOUR_IMAGE_SEQUENCE, |l| l.push(l[0].clone())));
    assert_eq!(two, [ContourImage]);
}
