//! Spatial Registration objects: both directions, several matrices, and what is no rigid registration.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::support::{Item, registration, with, without};
use crate::dicom::data::{Refusal, RefusalCode, read_registration};
use crate::geometry::Lps;
use crate::ids::FrameOfReferenceUid;

const MR: &str = "1.2.3.1";
const CT: &str = "1.2.3.2";
const PET: &str = "1.2.3.3";
const SAME: [f64; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
/// By 90 degrees about z, then by (10, 20, 30): (1, 2, 3) goes to (8, 21, 33).
const QUARTER: [f64; 16] = [0.0, -1.0, 0.0, 10.0, 1.0, 0.0, 0.0, 20.0, 0.0, 0.0, 1.0, 30.0, 0.0, 0.0, 0.0, 1.0];
/// The way back.
const BACK: [f64; 16] = [0.0, 1.0, 0.0, -20.0, -1.0, 0.0, 0.0, 10.0, 0.0, 0.0, 1.0, -30.0, 0.0, 0.0, 0.0, 1.0];
/// By 90 degrees about x.
const TIPPED: [f64; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn frame(uid: &str) -> FrameOfReferenceUid {
    FrameOfReferenceUid::parse(uid).unwrap()
}

/// Where the MR's point (1, 2, 3) lies on the CT.
fn carried(registered: &str, items: &[Item<'_>]) -> Option<[f64; 3]> {
    let read = read_registration(&registration(registered, items)).unwrap();
    let way = read.between(&frame(MR), &frame(CT)).unwrap()?;
    assert_eq!((way.from(), way.to()), (&frame(MR), &frame(CT)));
    Some(way.point(Lps::new(1.0, 2.0, 3.0)).to_array().map(|v| (v * 1e6).round() / 1e6))
}

fn refusal(registered: &str, items: &[Item<'_>]) -> Refusal {
    let refusal = read_registration(&registration(registered, items)).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Registration);
    assert!(refusal.instance.is_some());
    refusal
}

#[test]
fn a_point_goes_the_same_way_whichever_direction_the_object_was_made_in() {
    let there = Some([8.0, 21.0, 33.0]);
    let rigid = |m| [("RIGID", m)];
    // To the CT, with and without an item for the CT itself.
    assert_eq!(carried(CT, &[(MR, &rigid(QUARTER)), (CT, &rigid(SAME))]), there);
    assert_eq!(carried(CT, &[(MR, &rigid(QUARTER))]), there);
    // To the MR.
    assert_eq!(carried(MR, &[(MR, &rigid(SAME)), (CT, &rigid(BACK))]), there);
    // To a third frame: MR and CT both have an item.
    assert_eq!(carried(PET, &[(MR, &rigid(QUARTER)), (CT, &rigid(SAME))]), there);
    assert_eq!(carried(PET, &[(MR, &rigid(SAME)), (CT, &rigid(BACK))]), there);
    // It says nothing of the CT.
    assert_eq!(carried(PET, &[(MR, &rigid(QUARTER))]), None);
    assert_eq!(carried(MR, &[(PET, &rigid(QUARTER))]), None);
}

#[test]
fn several_matrices_of_an_item_are_taken_only_where_their_order_does_not_matter() {
    // Two shifts, in either order; a turn and its inverse.
    let shifted = |x: f64, y: f64| {
        let mut matrix = SAME;
        (matrix[3], matrix[7]) = (x, y);
        matrix
    };
    let both = [("RIGID", shifted(4.0, 0.0)), ("RIGID", shifted(-1.0, 2.0))];
    assert_eq!(carried(CT, &[(MR, &both)]), Some([4.0, 4.0, 3.0]));
    assert_eq!(carried(CT, &[(MR, &[("RIGID", QUARTER), ("RIGID", BACK)])]), Some([1.0, 2.0, 3.0]));
    // (1, 2, 3) would come to (8, -33, 21) or to (13, 21, 32).
    let refusal = refusal(CT, &[(MR, &[("RIGID", QUARTER), ("RIGID", TIPPED)])]);
    assert!(refusal.message.contains("depending on which is applied first; export one"), "{refusal}");
    let read = read_registration(&registration(CT, &[(MR, &[("RIGID", QUARTER)])])).unwrap();
    assert_eq!(read.made_in_words(), "2025-03-05 06:07");
}

#[test]
fn what_is_not_rigid_is_refused_in_plain_words() {
    let mut mirrored = SAME;
    mirrored[0] = -1.0;
    let mut sheared = SAME;
    sheared[1] = 0.02;
    for (kind, matrix, words) in [
        ("RIGID_SCALE", SAME, "its matrix scales (RIGID_SCALE)"),
        ("AFFINE", QUARTER, "its matrix scales and shears (AFFINE)"),
        ("", QUARTER, "the type of its matrix is missing"),
        ("BENT", QUARTER, "the type of its matrix is \"BENT\""),
        ("RIGID", mirrored, "it is a reflection, which exchanges left and right"),
        ("RIGID", sheared, "it shears"),
    ] {
        let refusal = refusal(CT, &[(MR, &[(kind, matrix)]), (CT, &[("RIGID", SAME)])]);
        assert!(refusal.message.starts_with("the registration cannot be used: "), "{refusal}");
        assert!(refusal.message.contains(words), "{refusal}");
    }
    let file = registration(CT, &[(MR, &[("RIGID", QUARTER)])]);
    let bending = with(&file, tags::SOP_CLASS_UID, VR::UI, uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE);
    let refusal = read_registration(&bending).unwrap_err();
    assert!(refusal.message.contains("it bends the patient (Deformable Spatial Registration)"), "{refusal}");
    let image = with(&file, tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE);
    assert!(read_registration(&image).unwrap_err().message.contains("SOP class 1.2.840.10008.5.1.4.1.1.4"));
}

#[test]
fn an_item_that_is_not_rigid_spoils_those_that_need_it_and_no_others() {
    let items: &[Item<'_>] = &[(MR, &[("RIGID", QUARTER)]), (PET, &[("AFFINE", QUARTER)])];
    let read = read_registration(&registration(CT, items)).unwrap();
    assert!(read.between(&frame(MR), &frame(CT)).unwrap().is_some());
    assert!(read.between(&frame(MR), &frame(PET)).unwrap_err().message.contains("AFFINE"));
}

#[test]
fn what_contradicts_itself_or_says_nothing_is_refused() {
    let two: &[Item<'_>] = &[(MR, &[("RIGID", QUARTER)]), (MR, &[("RIGID", TIPPED)])];
    assert!(refusal(CT, two).message.contains("one frame of reference in two ways"));
    assert!(refusal(CT, &[(CT, &[("RIGID", QUARTER)])]).message.contains("it moves the frame of reference"));
    for items in [&[][..], &[("", &[("RIGID", QUARTER)][..])], &[(CT, &[("RIGID", SAME)])]] {
        assert!(refusal(CT, items).message.contains("ties no two frames of reference together"));
    }
    assert!(refusal(CT, &[(MR, &[])]).message.contains("there is no matrix"));
    let file = registration(CT, &[(MR, &[("RIGID", QUARTER)])]);
    let nowhere = read_registration(&without(&file, tags::FRAME_OF_REFERENCE_UID)).unwrap_err();
    assert!(nowhere.message.contains("does not say which frame of reference"), "{nowhere}");
    // The same said twice is no contradiction.
    let twice: &[Item<'_>] = &[(MR, &[("RIGID", QUARTER)]), (MR, &[("RIGID", QUARTER)])];
    assert_eq!(carried(CT, twice), Some([8.0, 21.0, 33.0]));
}

#[test]
fn damage_is_a_refusal_wherever_it_lies() {
    let file = registration(CT, &[(MR, &[("RIGID", QUARTER)]), (CT, &[("RIGID", SAME)])]);
    for length in 0..file.len() {
        assert!(read_registration(&file[..length]).is_err() || length + 8 > file.len(), "{length}");
    }
    for at in (0..file.len()).step_by(3) {
        let mut damaged = file.clone();
        damaged[at] ^= 0xA5;
        // Whatever comes of it, it comes without a panic.
        let _ = read_registration(&damaged).map(|read| read.between(&frame(MR), &frame(CT)));
    }
}
