//! Where slices lie, and contours of anybody's making on them.

use std::fs;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::support::{encoded, meta, oblique_grid, oblique_series, rois, with, written};
use crate::dicom::data::{ReadRoi, RefusalCode, SlicePlanes, read_planes, read_rtstruct};
use crate::geometry::Vec3;
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid};

const OTHER: &str = "1.2.840.99.77";

/// The oblique series as CT, and as MR under another series UID.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (n, object) in encoded(oblique_grid()).iter().enumerate() {
        let ct = with(&object.bytes, tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
        fs::write(dir.path().join(format!("{n}.ct")), with(&ct, tags::MODALITY, VR::CS, "CT")).unwrap();
        let mr = with(&object.bytes, tags::SERIES_INSTANCE_UID, VR::UI, OTHER);
        fs::write(dir.path().join(format!("{n}.mr")), mr).unwrap();
    }
    dir
}

#[test]
fn the_wanted_series_is_read_and_a_choice_is_never_made() {
    let (dir, series) = (folder(), oblique_series());
    let (ct, mr) = (series.attributes.series.clone(), SeriesUid::parse(OTHER).unwrap());
    for wanted in [&ct, &mr] {
        let planes = read_planes(dir.path(), Some(wanted)).unwrap();
        assert_eq!((&planes.series, planes.grid.id()), (wanted, series.volume.grid().id()));
    }
    let foreign = SeriesUid::parse("1.2.3").unwrap();
    for wanted in [None, Some(&foreign)] {
        assert!(read_planes(dir.path(), wanted).unwrap_err().has(RefusalCode::SeveralSeries));
    }
    (0..11).for_each(|n| fs::remove_file(dir.path().join(format!("{n}.mr"))).unwrap());
    assert_eq!(read_planes(dir.path(), Some(&foreign)).unwrap().series, ct);
    fs::remove_file(dir.path().join("4.ct")).unwrap();
    assert!(read_planes(dir.path(), None).unwrap_err().has(RefusalCode::MissingSlice));
    assert!(read_planes(tempfile::tempdir().unwrap().path(), None).unwrap_err().has(RefusalCode::NoImages));
}

fn drawn() -> (SlicePlanes, ReadRoi) {
    let dir = folder();
    let series = oblique_series();
    let planes = read_planes(dir.path(), Some(&series.attributes.series)).unwrap();
    let set = read_rtstruct(&written(&series, &rois(), &meta()).unwrap().bytes).unwrap();
    (planes, set.roi("Eye_L").unwrap().clone())
}

#[test]
fn contours_lie_where_their_points_do() {
    let (planes, mut roi) = drawn();
    let close = |roi: &ReadRoi| {
        let placed = roi.placed_on(&planes).unwrap();
        for (a, b) in placed.iter().zip(&rois()[0].contours) {
            assert_eq!((a.slice, a.points.len()), (b.slice, b.points.len()));
            assert!(a.points.iter().flatten().zip(b.points.iter().flatten()).all(|(x, y)| (x - y).abs() < 1e-3));
        }
        placed.len() == 3
    };
    assert!(close(&roi) && roi.is_closed());
    // Images of another series of the same planes, and none.
    for images in [vec![InstanceUid::parse("1.2.3.4").unwrap()], Vec::new()] {
        roi.contours.iter_mut().for_each(|c| c.images.clone_from(&images));
        assert!(close(&roi));
    }
    roi.contours[1].geometric_type = "OPEN_PLANAR".into();
    assert!(!roi.is_closed());
}

#[test]
fn contours_that_lie_elsewhere_are_refused() {
    let (planes, roi) = drawn();
    let refused = |change: &dyn Fn(&mut ReadRoi)| {
        let mut changed = roi.clone();
        change(&mut changed);
        changed.placed_on(&planes).unwrap_err().message
    };
    let normal = planes.grid.axes()[2];
    let by = |roi: &mut ReadRoi, mm: f64| roi.contours[2].points.iter_mut().for_each(|p| *p = *p + normal * mm);
    // Slices are 2.5 mm apart: between two of them, beyond the last, tilted, and on the wrong one.
    assert!(refused(&|roi| by(roi, 1.2)).contains("lies up to 1.20 mm off the nearest slice"));
    assert!(refused(&|roi| by(roi, 100.0)).contains("off the nearest slice"));
    assert!(
        refused(&|roi| roi.contours[0].points[3] = roi.contours[0].points[3] + Vec3::new(0.0, 0.0, 0.9))
            .contains("off the")
    );
    assert!(refused(&|roi| by(roi, 2.5)).contains("lies on another slice than the image that it names"));
    assert!(refused(&|roi| roi.contours[1].points.clear()).contains("has no points"));
    let elsewhere = FrameOfReferenceUid::parse("1.2.3").unwrap();
    assert!(refused(&|roi| roi.frame = Some(elsewhere.clone())).contains("another frame of reference"));
}
