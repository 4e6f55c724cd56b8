//! Structure sets written and read back.

use dicom_dictionary_std::tags;

use super::support::{
    attributes, defects, encoded, meta, oblique_grid, oblique_series, read_back, rois, sagittal_grid, written,
};
use crate::anatomy::Structure;
use crate::contour::PlaneContour;
use crate::dicom::data::{
    DataError, RefusalCode, StructureSetMeta, is_own_object, parse_instance, part10, read_header, read_rtstruct,
};
use crate::ids::InstanceUid;

#[test]
fn contours_come_back_where_they_were() {
    for grid in [oblique_grid(), sagittal_grid()] {
        let series = read_back(&encoded(grid));
        let file = written(&series, &rois(), &meta()).unwrap();
        assert_eq!(defects(&file.bytes, &series), []);
        let set = read_rtstruct(&file.bytes).unwrap();
        for roi in rois().iter().filter(|r| !r.contours.is_empty()) {
            let read = set.roi(&roi.roi.name).unwrap();
            let back = read.plane_contours(&series).unwrap();
            assert_eq!(back.len(), roi.contours.len());
            for (b, c) in back.iter().zip(&roi.contours) {
                assert_eq!((b.slice, b.points.len()), (c.slice, c.points.len()));
                for (p, q) in b.points.iter().zip(&c.points) {
                    assert!((p[0] - q[0]).abs() < 0.002 && (p[1] - q[1]).abs() < 0.002);
                }
            }
        }
    }
}

#[test]
fn the_set_says_what_it_is() {
    let series = oblique_series();
    let file = written(&series, &rois(), &meta()).unwrap();
    let set = read_rtstruct(&file.bytes).unwrap();
    assert!(is_own_object(&set.header));
    assert_eq!(set.header.transfer_syntax, "1.2.840.10008.1.2");
    assert_eq!((set.header.instance.clone(), set.header.series.clone()), (file.instance.clone(), file.series.clone()));
    assert_eq!(set.header.patient_name, attributes().patient.patient_name);
    assert_eq!((set.label.as_str(), set.name.as_str()), ("AI RESEARCH", "Research use only, not reviewed: demo"));
    assert_eq!(set.header.series_description, "Research use only, not reviewed");
    assert_eq!(set.approval, "UNAPPROVED");
    assert_eq!(set.software_versions[1..], ["model demo".to_owned(), meta().model_digest]);
    // The empty lens is in none of the three sequences.
    let names: Vec<&str> = set.rois.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["Eye_L", "OpticChiasm", "Brain"]);
    let eye = &set.rois[0];
    assert_eq!(eye.description, "Research use only, not reviewed. flag");
    assert_eq!(eye.code.as_ref().unwrap().0, "79652003");
    assert_eq!(eye.laterality.as_ref().unwrap().0, "7771000");
    assert_eq!(eye.colour, Some(Structure::Eye_L.colour()));
    assert_eq!(eye.interpreted_type.as_deref(), Some("ORGAN"));
    assert_eq!(eye.volume_cc, Some(0.123457));
    assert_eq!(set.rois[1].laterality, None);
    let slices: Vec<InstanceUid> = series.slices.iter().map(|s| s.instance.clone()).collect();
    assert_eq!(set.referenced_images, slices);
}

#[test]
fn a_model_in_clinical_use_carries_its_own_label() {
    let meta = StructureSetMeta { research: false, ..meta() };
    let set = read_rtstruct(&written(&oblique_series(), &rois(), &meta).unwrap().bytes).unwrap();
    assert_eq!((set.label.as_str(), set.name.as_str()), ("HEAD", "Draft, not reviewed: demo"));
    assert_eq!(set.approval, "UNAPPROVED");
    let long = StructureSetMeta { label: "seventeen letters".into(), ..meta };
    assert!(matches!(written(&oblique_series(), &rois(), &long), Err(DataError::Value { .. })));
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_one_another_name() {
    let series = oblique_series();
    let first = written(&series, &rois(), &meta()).unwrap();
    assert_eq!(written(&series, &rois(), &meta()).unwrap(), first);
    let others = [
        StructureSetMeta { revision: 2, ..meta() },
        StructureSetMeta { model_digest: "other".into(), ..meta() },
        StructureSetMeta { config_digest: "other".into(), ..meta() },
    ];
    for other in others {
        let other = written(&series, &rois(), &other).unwrap();
        assert!(other.instance != first.instance && other.series != first.series);
    }
    let mut fewer = encoded(oblique_grid());
    fewer.pop();
    let other = written(&read_back(&fewer), &rois()[..1], &meta()).unwrap();
    assert_ne!(other.instance, first.instance);
}

#[test]
fn a_later_revision_names_what_it_replaces() {
    let old = InstanceUid::parse("1.2.3.4").unwrap();
    let meta = StructureSetMeta { predecessor: Some(old.clone()), revision: 2, ..meta() };
    let set = read_rtstruct(&written(&oblique_series(), &rois(), &meta).unwrap().bytes).unwrap();
    assert_eq!(set.predecessor, Some(old));
}

#[test]
fn coordinates_are_short_and_never_minus_zero() {
    let series = oblique_series();
    let file = written(&series, &rois(), &meta()).unwrap();
    let opened = part10::open(&file.bytes).unwrap();
    let object = opened.parse(None).unwrap();
    let mut seen = 0;
    for roi in object.element(tags::ROI_CONTOUR_SEQUENCE).unwrap().items().unwrap() {
        for contour in roi.element(tags::CONTOUR_SEQUENCE).unwrap().items().unwrap() {
            for value in contour.element(tags::CONTOUR_DATA).unwrap().value().to_multi_str().unwrap().iter() {
                let value = value.trim();
                assert!(value.len() <= 16 && value != "-0" && !value.contains('e'), "{value}");
                assert!(value.split_once('.').is_none_or(|(_, digits)| digits.len() <= 3), "{value}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 6 * 6 * 3);
}

#[test]
fn points_that_fall_together_are_written_once() {
    let mut rois = rois();
    let contour = &mut rois[1].contours[0];
    let (first, second) = (contour.points[0], contour.points[1]);
    contour.points.insert(1, [first[0] + 1e-5, first[1]]);
    contour.points.push([first[0], first[1] - 1e-5]);
    contour.points.insert(3, second);
    let set = read_rtstruct(&written(&oblique_series(), &rois, &meta()).unwrap().bytes).unwrap();
    assert_eq!(set.roi("OpticChiasm").unwrap().contours[0].points.len(), 6);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let series = oblique_series();
    let wrong = |change: &dyn Fn(&mut Vec<crate::dicom::data::RoiContours>)| {
        let mut rois = rois();
        change(&mut rois);
        written(&series, &rois, &meta()).unwrap_err()
    };
    assert!(matches!(wrong(&|r| r.clear()), DataError::NothingToWrite));
    assert!(matches!(wrong(&|r| r.retain(|r| r.contours.is_empty())), DataError::NothingToWrite));
    assert!(matches!(wrong(&|r| r[1].roi = r[0].roi.clone()), DataError::Twice(name) if name == "Eye_L"));
    assert!(matches!(wrong(&|r| r[0].contours[0].slice = 11), DataError::NoSuchSlice { slice: 11, slices: 11, .. }));
    assert!(matches!(wrong(&|r| r[0].contours[0].points.truncate(2)), DataError::BadContour { .. }));
    assert!(matches!(wrong(&|r| r[0].contours[0].points[0] = [f64::NAN, 1.0]), DataError::BadContour { .. }));
    let circle = |n: usize| {
        let at = |m: usize| (m as f64 * std::f64::consts::TAU / n as f64).sin_cos();
        (0..n).map(at).map(|(s, c)| [8.0 + 4.0 * c, 6.0 + 4.0 * s]).collect::<Vec<_>>()
    };
    let long = PlaneContour { slice: 1, points: circle(5000) };
    assert!(matches!(wrong(&|r| r[0].contours[0] = long.clone()), DataError::BadContour { .. }));
    assert!(matches!(wrong(&|r| r[0].description = "x".repeat(1024)), DataError::Value { .. }));
    assert!(matches!(wrong(&|r| r[0].volume_cc = f64::NAN), DataError::Value { .. }));
}

#[test]
fn objects_are_not_taken_for_each_other() {
    let series = oblique_series();
    let set = written(&series, &rois(), &meta()).unwrap();
    assert_eq!(parse_instance(&set.bytes).unwrap_err().code, RefusalCode::NotMr);
    assert_eq!(read_header(&set.bytes).unwrap().modality, "RTSTRUCT");
    let image = &encoded(oblique_grid())[0].bytes;
    assert_eq!(read_rtstruct(image).unwrap_err().code, RefusalCode::StructureSet);
}
