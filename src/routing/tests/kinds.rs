//! Headers as scanners write them, and what is recognised in them.

use super::*;

/// Series Description; ScanningSequence, SequenceVariant, TR, TE, TI, flip angle; other attributes; T1? after gadolinium?
type Row = (&'static str, [&'static str; 6], &'static [(&'static str, &'static str)], bool, bool);

const MPRAGE: [&str; 6] = ["GR\\IR", "SK\\SP\\MP", "2300", "2.98", "900", "9"];
const TFE: [&str; 6] = ["GR", "MP", "8.1", "3.7", "", "8"];
const BRAVO: [&str; 6] = ["GR", "SS\\SP\\SK", "8.2", "3.2", "450", "12"];
const VIBE: [&str; 6] = ["GR", "SP", "4.1", "1.9", "", "12"];
const SPIN: [&str; 6] = ["SE", "SK\\OSP", "550", "12", "", "90"];
const T1_SPACE: [&str; 6] = ["SE", "SK\\SP", "700", "11", "", "120"];
const T1_FLAIR: [&str; 6] = ["SE\\IR", "SK", "2200", "9", "900", "111"];
const FLAIR: [&str; 6] = ["SE\\IR", "SK\\SP\\MP", "5000", "388", "1800", "120"];
const T2: [&str; 6] = ["SE", "SK\\SP", "3200", "408", "", "120"];
const PD: [&str; 6] = ["SE", "SK", "2500", "20", "", "150"];
const STIR: [&str; 6] = ["SE\\IR", "SK", "4000", "40", "160", "150"];
const DWI: [&str; 6] = ["EP", "SK\\SP", "6100", "88", "", "90"];
const SWI: [&str; 6] = ["GR", "SP", "28", "20", "", "15"];
const TOF: [&str; 6] = ["GR", "SP\\MTC", "22", "3.8", "", "18"];
const CISS: [&str; 6] = ["GR", "SS\\SK", "5.6", "2.5", "", "50"];
const SCOUT: [&str; 6] = ["GR", "SP", "8.6", "4", "", "20"];
const FLASH_2D: [&str; 6] = ["GR", "SP", "250", "2.5", "", "70"];
const UNSAID: [&str; 6] = ["", "", "", "", "", ""];

const GADOVIST: (&str, &str) = ("ContrastBolusAgent", "Gadovist 1.0");
const NORM: (&str, &str) = ("ImageType", "ORIGINAL\\PRIMARY\\M\\NORM\\DIS3D\\DIS2D");

#[rustfmt::skip]
const ROWS: [Row; 70] = [
    ("t1_mprage_sag_p2_iso_KM", MPRAGE, &[NORM], true, true),
    ("t1_mprage_sag_p2_iso_KM", MPRAGE, &[NORM, GADOVIST], true, true),
    ("t1_mprage_sag_p2_iso", MPRAGE, &[NORM], true, false),
    // The agent alone: nothing in the name speaks against it.
    ("t1_mprage_sag_p2_iso", MPRAGE, &[GADOVIST], true, true),
    ("t1_mpr_ns_sag_nativ", MPRAGE, &[NORM, GADOVIST], true, false),
    ("t1_mprage_tra_oKM", MPRAGE, &[GADOVIST, ("ContrastBolusVolume", "7.5"), ("ContrastBolusRoute", "IV")], true, false),
    ("t1_mprage_tra_KM", MPRAGE, &[("ContrastBolusAgent", "NONE")], true, false),
    ("MPRAGE w/o", MPRAGE, &[], true, false),
    ("MPRAGE w/o fs +Gd", MPRAGE, &[], true, true),
    ("MPRAGE", MPRAGE, &[("ContrastBolusVolume", "0")], true, false),
    ("MPRAGE PRE AND POST", MPRAGE, &[], true, false),
    ("MP2RAGE_UNI_Images", ["GR\\IR", "SK\\SP\\MP", "5000", "2.98", "700", "4"], &[], true, false),
    ("mp2rage_T1_Map", ["GR\\IR", "SK\\SP\\MP", "5000", "2.98", "", ""], &[("ImageType", "DERIVED\\PRIMARY\\M\\T1 MAP")], false, false),
    ("AX T1 SE POST", SPIN, &[], true, true),
    ("AX T1 SE PRE", SPIN, &[], true, false),
    ("AX T1 POST-OP", SPIN, &[], true, false),
    ("t1_se_tra_fs_KM", SPIN, &[], true, true),
    ("T1 TSE cor ohne KM", SPIN, &[GADOVIST], true, false),
    ("T1w_TSE_AX", ["SE", "SK", "1200", "12", "", "90"], &[], true, false),
    ("3D T1 TFE sans injection", TFE, &[("ContrastBolusAgent", "DOTAREM")], true, false),
    ("3D T1 TFE apres gado", TFE, &[], true, true),
    ("sT1W_3D_TFE_GD", TFE, &[("ImageType", "ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE")], true, true),
    ("sT1W_3D_TFE", TFE, &[("ImageType", "ORIGINAL\\PRIMARY\\M_FFE\\M\\FFE")], true, false),
    ("T1W_3D_TFE_32ch_C+", TFE, &[], true, true),
    ("T1W_3D_TFE_32ch_C-", TFE, &[("ContrastBolusAgent", "YES")], true, false),
    ("Ax BRAVO +C", BRAVO, &[], true, true),
    ("Sag 3D BRAVO", BRAVO, &[("ContrastBolusAgent", "")], true, false),
    ("+C AX 3D FSPGR", BRAVO, &[("ContrastBolusAgent", "PROHANCE"), ("ContrastBolusRoute", "IV")], true, true),
    ("Ax T1 FLAIR", T1_FLAIR, &[], true, false),
    ("Ax T1 FLAIR +C", T1_FLAIR, &[], true, true),
    ("CUBE T1 FS POST GAD", T1_SPACE, &[], true, true),
    ("t1_space_sag_p2_iso_post", T1_SPACE, &[], true, true),
    ("t1_vibe_dixon_tra_KM_W", VIBE, &[], true, true),
    ("LAVA axial post", VIBE, &[], true, true),
    ("t1_fl2d_tra", FLASH_2D, &[], true, false),
    ("T1ce", UNSAID, &[("Modality", "MR")], true, true),
    ("Gd", UNSAID, &[], false, true),
    ("HIRN TRA", MPRAGE, &[], true, false),
    ("Head", UNSAID, &[], false, false),
    ("", MPRAGE, &[("ProtocolName", "t1_mprage_KM")], true, true),
    ("Series 5", MPRAGE, &[("ProtocolName", "T1 Kopf nativ")], true, false),
    ("t1 nativ", MPRAGE, &[("ProtocolName", "Kopf mit KM")], true, false),
    ("Axial T1 senza mdc", SPIN, &[GADOVIST], true, false),
    ("T1 SAG sin contraste", SPIN, &[], true, false),
    ("T1 3D con contraste", TFE, &[], true, true),
    ("T1 3D TFE zonder gado", TFE, &[], true, false),
    ("SAG 3D FLAIR +C", FLAIR, &[], false, true),
    ("t2_space_dark-fluid_sag_p2_iso", FLAIR, &[], false, false),
    ("3D FLAIR", FLAIR, &[GADOVIST], false, true),
    ("T2 space", T2, &[], false, false),
    ("t2_tse_tra_KM", T2, &[], false, true),
    ("PD TSE", PD, &[], false, false),
    ("STIR cor", STIR, &[], false, false),
    ("ADC", DWI, &[("ImageType", "DERIVED\\PRIMARY\\DIFFUSION\\ADC")], false, false),
    ("ep2d_diff_3scan_trace_p2_TRACEW", DWI, &[("DiffusionBValue", "1000")], false, false),
    ("Ax DWI", DWI, &[], false, false),
    ("SWI_Images", SWI, &[("ImageType", "ORIGINAL\\PRIMARY\\M\\SWI")], false, false),
    ("Pha_Images", SWI, &[("ImageType", "ORIGINAL\\PRIMARY\\P")], false, false),
    ("TOF_3D_multi-slab", TOF, &[], false, false),
    ("s3DI_MC_HR", TOF, &[("AngioFlag", "Y")], false, false),
    ("ep2d_perf_p2", DWI, &[GADOVIST], false, true),
    ("3D CISS", CISS, &[], false, false),
    ("bTFE", ["GR", "SS", "5", "2.4", "", "45"], &[], false, false),
    ("localizer", SCOUT, &[("ImageType", "ORIGINAL\\PRIMARY\\LOCALIZER")], false, false),
    ("3-plane loc", SCOUT, &[], false, false),
    ("AAHScout", SCOUT, &[], false, false),
    ("t1_mprage_KM_SUB", MPRAGE, &[("ImageType", "DERIVED\\PRIMARY\\M\\SUB")], false, true),
    ("T1 KM minus nativ Subtraktion", MPRAGE, &[], false, false),
    ("t1_mprage_KM_MIP", MPRAGE, &[("ImageType", "DERIVED\\SECONDARY\\MIP")], false, true),
    ("Kopf mit KM", UNSAID, &[("Modality", "CT")], false, true),
];

const TIMES: [&str; 6] =
    ["ScanningSequence", "SequenceVariant", "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle"];

#[test]
fn headers_of_scanners_are_recognised() {
    let mut wrong = Vec::new();
    for (description, times, more, t1, gd) in ROWS {
        let mut values = vec![("SeriesDescription", description)];
        values.extend(TIMES.into_iter().zip(times).filter(|(_, value)| !value.is_empty()));
        values.extend(more);
        let found = recognise(&header(&values));
        if (found.is_t1(), found.is_gd()) != (t1, gd) {
            wrong.push(format!("{description:?}\n  T1 {}\n  Gd {}", found.t1.in_words(), found.gadolinium.in_words()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_clue_has_points_and_words_and_repeats_nothing_that_people_typed() {
    let found = recognise(&header(&[
        ("SeriesDescription", "T1 Muster Erika +C"),
        ("ContrastBolusAgent", "Gadovist for Mrs Muster"),
        ("ContrastBolusVolume", "7"),
    ]));
    let said = format!("{} {}", found.t1.in_words(), found.gadolinium.in_words());
    assert!(!said.to_uppercase().contains("MUSTER") && !said.to_uppercase().contains("ERIKA"), "{said}");
    assert_eq!(
        found.gadolinium.in_words(),
        "likely, score 10: +4 SeriesDescription says + C; +4 ContrastBolusAgent names gadolinium; +2 an injection is \
         described (ContrastBolusVolume)"
    );
    assert_eq!(found.t1.in_words(), "likely, score 3: +3 SeriesDescription says T1");
    assert_eq!(recognise(&header(&[])).t1.in_words(), "unclear, score 0: the header says nothing of it");
}

#[test]
fn agents_that_mean_none_are_none() {
    for none in ["NO", "None", "0", "KEIN KM", "ohne", "Aucun", "SANS", "n", "NON", "No contrast", "nativ"] {
        let found = recognise(&header(&[("ContrastBolusAgent", none)]));
        assert_eq!(found.gadolinium.likelihood(), Likelihood::Unlikely, "{none}: {}", found.gadolinium.in_words());
    }
    for agent in
        ["Gadovist", "YES", "DOTAREM 0,5 mmol/ml", "gadoterate", "15 ml", "Gadovist, no reaction", "Magnevist\\oral"]
    {
        let found = recognise(&header(&[("ContrastBolusAgent", agent)]));
        assert_eq!(found.gadolinium.likelihood(), Likelihood::Likely, "{agent}: {}", found.gadolinium.in_words());
    }
}
