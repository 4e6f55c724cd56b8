//! What profiles change in the files that are written, and the defects that only they have.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::support::{edited, expected, meta, oblique_series, rois, with};
use crate::anatomy::{DerivedConfig, RoiType, Structure};
use crate::dicom::data::{
    DefectCode, EmptyRois, Profile, RoiContours, RoiIdentity, Series, read_header, read_rtstruct, validate_rtstruct,
    write_rtstruct,
};

/// The regions as a destination calls them, written; and what is wrong with the file by its own and the generic rules.
struct Sent {
    bytes: Vec<u8>,
    own: Vec<DefectCode>,
    generic: Vec<DefectCode>,
}

fn codes(bytes: &[u8], series: &Series, expected: &[RoiIdentity], profile: &Profile) -> Vec<DefectCode> {
    let mut codes: Vec<_> = validate_rtstruct(bytes, series, expected, profile).into_iter().map(|d| d.code).collect();
    codes.dedup();
    codes
}

fn sent(series: &Series, rois: Vec<RoiContours>, profile: &Profile) -> Sent {
    let rois: Vec<RoiContours> =
        rois.into_iter().map(|r| RoiContours { roi: profile.identity(r.roi.clone()), ..r }).collect();
    let names: Vec<RoiIdentity> = rois.iter().map(|r| r.roi.clone()).collect();
    let bytes = write_rtstruct(series, &rois, &meta(), profile).unwrap().bytes;
    let own = codes(&bytes, series, &names, profile);
    let generic = codes(&bytes, series, &expected(), &Profile::generic());
    Sent { bytes, own, generic }
}

#[test]
fn every_built_in_profile_passes_its_own_check() {
    let series = oblique_series();
    for name in crate::dicom::data::BUILT_IN {
        assert_eq!(sent(&series, rois(), &Profile::built_in(name).unwrap()).own, [], "{name}");
    }
}

#[test]
fn encoding_codes_and_empty_regions_follow_the_profile() {
    let series = oblique_series();
    let explicit = sent(&series, rois(), &Profile { explicit_vr: true, ..Profile::generic() });
    assert_eq!(read_header(&explicit.bytes).unwrap().transfer_syntax, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    assert_eq!((explicit.own, explicit.generic), (vec![], vec![DefectCode::TransferSyntax]));

    let plain = sent(&series, rois(), &Profile { codes: false, ..Profile::generic() });
    let set = read_rtstruct(&plain.bytes).unwrap();
    assert!(set.rois.iter().all(|roi| roi.code.is_none() && roi.laterality.is_none()));
    assert_eq!((plain.own, plain.generic), (vec![], vec![DefectCode::RoiCode]));

    let declared = sent(&series, rois(), &Profile { empty_rois: EmptyRois::Declare, ..Profile::generic() });
    let set = read_rtstruct(&declared.bytes).unwrap();
    assert_eq!(set.roi("Lens_R").unwrap().contours, []);
    assert_eq!((declared.own, declared.generic), (vec![], vec![DefectCode::RoiWithoutContours]));
}

#[test]
fn names_types_and_lengths_follow_the_profile() {
    let series = oblique_series();
    let mut profile = Profile { name_characters: 20, ..Profile::generic() };
    profile.aliases.insert("Eye_L".into(), "Linkes Auge gesamt".into());
    profile.types.insert("Brain".into(), RoiType::Avoidance);
    let ours = sent(&series, rois(), &profile);
    let set = read_rtstruct(&ours.bytes).unwrap();
    let eye = set.roi("Linkes Auge gesamt").unwrap();
    assert_eq!(eye.code.as_ref().unwrap().0, Structure::Eye_L.code().value, "an alias changes the name alone");
    assert_eq!(set.roi("Brain").unwrap().interpreted_type.as_deref(), Some("AVOIDANCE"));
    assert_eq!(ours.own, []);
    assert_eq!(ours.generic, [DefectCode::RoiName, DefectCode::InterpretedType]);

    let prv: DerivedConfig = toml::from_str("name = 'OpticNrv_PRV03_L'\nof = ['OpticNrv_L']\nmargin_mm = 3").unwrap();
    let mut with_margin = rois();
    with_margin[1].roi = RoiIdentity::from(&prv);
    let set = read_rtstruct(&sent(&series, with_margin, &Profile::generic()).bytes).unwrap();
    let roi = set.roi("OpticNrv_PRV03_L").unwrap();
    assert_eq!((roi.interpreted_type.as_deref(), &roi.code), (Some("AVOIDANCE"), &None));
    assert_eq!(roi.colour, Some(prv.display_colour()));
}

#[test]
fn a_study_id_is_made_up_only_where_there_is_none() {
    let mut series = oblique_series();
    let eclipse = Profile::built_in("eclipse").unwrap();
    let study_id = |series: &Series, profile: &Profile| {
        let file = sent(series, rois(), profile);
        let mut id = String::new();
        edited(&file.bytes, |o| id = o.element(tags::STUDY_ID).unwrap().to_str().unwrap().trim().to_owned());
        (id, file.own)
    };
    let own = series.attributes.patient.study_id.reveal().clone();
    assert!(!own.is_empty());
    assert_eq!(study_id(&series, &eclipse), (own, vec![]));
    series.attributes.patient.study_id = crate::ids::Phi::new(String::new());
    assert_eq!(study_id(&series, &eclipse), ("1".to_owned(), vec![]));
    assert_eq!(study_id(&series, &Profile::generic()), (String::new(), vec![]));
    let changed = with(&sent(&series, rois(), &eclipse).bytes, tags::STUDY_ID, VR::SH, "2");
    assert_eq!(codes(&changed, &series, &expected(), &eclipse), [DefectCode::WrongPatient]);
}

#[test]
fn too_many_points_are_seen_before_sending() {
    let series = oblique_series();
    let few = Profile { max_points: Some(5), ..Profile::generic() };
    assert_eq!(sent(&series, rois(), &few).own, [DefectCode::TooManyPoints]);
}

#[test]
fn what_differs_between_profiles_has_a_uid_of_its_own() {
    let series = oblique_series();
    let instance = |profile: &Profile| write_rtstruct(&series, &rois(), &meta(), profile).unwrap().instance;
    assert_eq!(instance(&Profile::generic()), instance(&Profile::generic()));
    assert_ne!(instance(&Profile::generic()), instance(&Profile { explicit_vr: true, ..Profile::generic() }));
}
