//! What rules say, and what is said of rules that are none.

use super::*;

fn when(text: &str) -> When {
    let table: toml::Table = format!("when = {text}").parse().unwrap();
    When::new(table["when"].clone())
}

fn judged(text: &str, values: &[(&str, &str)], reader: Reader) -> Explanation {
    let when = when(text);
    let header = header(values);
    let rule = when.rule().unwrap_or_else(|| panic!("{text}: {:?}", when.faults()));
    rule.judge(&header, &recognise(&header), reader)
}

fn holds(text: &str, values: &[(&str, &str)]) -> bool {
    judged(text, values, Reader::Log).held
}

#[test]
fn every_kind_of_test_holds_and_does_not() {
    let image: &[(&str, &str)] = &[
        ("Modality", "MR"),
        ("ImageType", "DERIVED\\PRIMARY\\M\\ND"),
        ("SeriesDescription", "t1_mprage_Schädel_KM"),
        ("SliceThickness", "0.9"),
        ("EchoTime", "2.9\\5.1"),
        ("StudyDate", "20261129"),
        ("PatientAge", "018M"),
        ("Rows", "256"),
        ("AcquisitionDateTime", "20261129101500.5+0100"),
    ];
    for (rule, held) in [
        ("{ tag = 'Modality', is = 'MR' }", true),
        ("{ tag = 'Modality', is = 'mr' }", true),
        ("{ tag = '(0008,0060)', is = ['CT', 'MR'] }", true),
        ("{ tag = '00080060', is = 'CT' }", false),
        ("{ tag = 'Modality', is = 'M' }", false),
        ("{ tag = 'ImageType', is = 'ND' }", true),
        ("{ not = { tag = 'ImageType', contains = 'derived' } }", false),
        ("{ tag = 'SeriesDescription', contains = ['SCHÄDEL', 'hirn'] }", true),
        ("{ tag = 'SeriesDescription', matches = '^t1_.*KM$' }", true),
        ("{ tag = 'SeriesDescription', matches = '^T1' }", false),
        ("{ tag = 'SeriesDescription', matches = '(?i)^T1' }", true),
        ("{ tag = 'SliceThickness', at_most = 1 }", true),
        ("{ tag = 'SliceThickness', above = 0.9 }", false),
        ("{ tag = 'SliceThickness', at_least = 0.9, below = 1.5 }", true),
        // One value has to pass both: 2.9 passes the one and 5.1 the other.
        ("{ tag = 'EchoTime', above = 3, below = 5 }", false),
        ("{ tag = 'EchoTime', above = 5 }", true),
        ("{ tag = 'Rows', at_least = 256 }", true),
        ("{ tag = 'StudyDate', since = 2026-11-29 }", true),
        ("{ tag = 'StudyDate', since = '2026-11-30' }", false),
        ("{ tag = 'StudyDate', since = 2026-01-01, before = 2027-01-01 }", true),
        ("{ tag = 'AcquisitionDateTime', before = 2026-11-30 }", true),
        ("{ tag = 'PatientAge', below = 2 }", true),
        ("{ tag = 'PatientAge', at_least = 18 }", false),
        ("{ tag = 'ProtocolName', present = false }", true),
        ("{ tag = 'Modality', present = true }", true),
        ("{ tag = 'ProtocolName', matches = '' }", false),
        ("{ not = { tag = 'ProtocolName', is = 'x' } }", true),
        ("{ all = [{ tag = 'Modality', is = 'MR' }, { any = [{ tag = 'Rows', is = 3 }, { t1 = true }] }] }", true),
        ("{ any = [{ tag = 'Modality', is = 'CT' }, { gd = false }] }", false),
        ("{ t1_gd = true }", true),
        ("{ t1_gd = false }", false),
    ] {
        assert_eq!(holds(rule, image), held, "{rule}");
    }
    // A number that is none passes no comparison.
    assert!(!holds("{ tag = 'SliceThickness', below = 9 }", &[("SliceThickness", "thin")]));
    assert!(!holds("{ tag = 'StudyDate', before = 2030-01-01 }", &[("StudyDate", "20261345")]));
    assert!(holds("{ tag = 'StudyDate', before = 2030-01-01 }", &[("StudyDate", "2026.11.29")]));
}

#[test]
fn every_fault_of_a_rule_is_told_at_once_with_its_key() {
    let faults = |text: &str| -> Vec<String> {
        let keys = when(text).faults().into_iter();
        keys.map(|fault| fault.split_once(' ').map_or(fault.clone(), |(key, _)| key.to_owned())).collect()
    };
    let bad = "{ all = [
        { tag = 'Modalty', is = 'MR' },
        { tag = 'SeriesDescription', matches = '(t1' },
        { tag = 'SeriesDescription', above = 3 },
        { tag = 'Rows', since = 2026-01-01 },
        { not = { tag = 'Modality', iss = 'CT' } },
        { tag = 'Modality' },
        { t1_gd = 'yes' },
        { any = [] },
        { al = [] },
        3,
        { tag = '(0009,1010)', is = 'x' },
        { tag = 'PixelData', present = true },
        { tag = 'StudyDate', since = 2026-01-01T00:00:00 },
        { tag = 'Modality', is = [] },
        { tag = 'Modality', present = true, is = 'MR' },
        { all = [{ t1 = true }], any = [{ gd = true }] },
        { t1 = true, tags = 3 },
        { tag = 'ContrastBolusAgentSequence', is = 'x' },
    ] }";
    assert_eq!(
        faults(bad),
        [
            "when.all[1].tag",
            "when.all[2].matches",
            "when.all[3].above",
            "when.all[4].since",
            "when.all[5].not.iss",
            "when.all[6]",
            "when.all[7].t1_gd",
            "when.all[8].any",
            "when.all[9]",
            "when.all[10]",
            "when.all[11].tag",
            "when.all[12].tag",
            "when.all[13].since",
            "when.all[14].is",
            "when.all[15].present",
            "when.all[16]",
            "when.all[17].tags",
            "when.all[18].is",
        ]
    );
    assert_eq!(faults("'MR'"), ["when"]);
    assert_eq!(faults("{ tag = 'Modality', matches = '(a{1000}){1000}' }"), ["when.matches"]);
    assert!(when(bad).rule().is_none());
    let told = when("{ tag = 'SeriesDescription', matches = '(t1' }").faults();
    assert!(told[0].starts_with("when.matches is no regular expression: ") && !told[0].contains('\n'), "{told:?}");
}

#[test]
fn explanations_say_why_and_why_not() {
    let rule = "{ all = [{ tag = 'Modality', is = 'MR' }, { tag = 'SeriesDescription', matches = '(?i)t1' }, \
                { not = { tag = 'ImageType', contains = 'DERIVED' } }, { t1_gd = true }] }";
    let t2 = [("Modality", "MR"), ("SeriesDescription", "AX T2 TSE"), ("ImageType", "DERIVED\\SECONDARY")];
    let desk = judged(rule, &t2, Reader::Desk);
    assert!(!desk.held);
    assert_eq!(
        desk.lines(),
        [
            "no  all of",
            "    yes Modality is \"MR\": it is \"MR\"",
            "    no  SeriesDescription matches \"(?i)t1\": it is \"AX T2 TSE\"",
            "    no  not",
            "        yes ImageType contains \"DERIVED\": it is \"DERIVED\", \"SECONDARY\"",
            "    no  recognised as T1-weighted after gadolinium: T1 unlikely (score -5), gadolinium unclear (score 0)",
        ]
    );
    let log = judged(rule, &t2, Reader::Log);
    assert_eq!(
        log.objections(),
        [
            "SeriesDescription matches \"(?i)t1\": present",
            "not wanted: ImageType contains \"DERIVED\": it is \"DERIVED\", \"SECONDARY\"",
            "recognised as T1-weighted after gadolinium: T1 unlikely (score -5), gadolinium unclear (score 0)",
        ]
    );
    let any = judged("{ any = [{ tag = 'Modality', is = 'CT' }, { tag = 'Rows', above = 1 }] }", &t2, Reader::Log);
    assert_eq!(
        any.objections(),
        ["none of these: Modality is \"CT\": it is \"MR\" / Rows is above 1: absent or empty"]
    );
    assert_eq!(judged("{ t1 = false }", &t2, Reader::Log).objections(), Vec::<String>::new());
}

/// Whatever a rule asks of what identifies a patient, neither the value nor what the rule compares it with is repeated.
#[test]
fn what_identifies_a_patient_is_in_no_explanation() {
    let secret = "Zyx4711";
    for name in [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientAddress",
        "OtherPatientIDs",
        "AccessionNumber",
        "StudyID",
        "ReferringPhysicianName",
        "InstitutionName",
        "StationName",
        "StudyInstanceUID",
        "SOPInstanceUID",
        "FrameOfReferenceUID",
        "StudyDate",
        "StudyTime",
        "OperatorsName",
        "ImageComments",
        "DeviceSerialNumber",
        "PatientSex",
        "PatientWeight",
        "PatientComments",
        "RequestedProcedureID",
        "PerformedProcedureStepID",
        "MedicalRecordLocator",
        "PatientAge",
        "AdmissionID",
        "RequestingPhysician",
        "ProtocolContextSequence",
    ] {
        for reader in [Reader::Log, Reader::Desk] {
            let rule = format!("{{ not = {{ tag = '{name}', present = true }} }}");
            let explained = judged(&rule, &[(name, secret)], reader);
            let told = format!("{:?} {:?} {:?}", explained.lines(), explained.objections(), explained);
            assert!(!told.contains(secret), "{name}: {told}");
        }
    }
    let rule = format!("{{ tag = 'PatientID', is = '{secret}' }}");
    for (value, held) in [(secret, true), ("other", false)] {
        let explained = judged(&rule, &[("PatientID", value)], Reader::Desk);
        assert_eq!(explained.held, held);
        let told = format!("{:?} {:?}", explained.lines(), explained.objections());
        assert!(!told.contains(secret) && told.contains("PatientID is as the rule wants it: present"), "{told}");
    }
    // What people typed is for those who have the file.
    let typed = |reader| {
        format!("{:?}", judged("{ tag = 'SeriesDescription', is = 'x' }", &[("SeriesDescription", secret)], reader))
    };
    assert!(typed(Reader::Desk).contains(secret) && !typed(Reader::Log).contains(secret));
    assert!(!format!("{:?}", header(&[("PatientName", secret)])).contains(secret));
}

#[test]
fn priorities_are_read_and_raised() {
    let read = |text: &str| -> Result<u8, String> {
        let table: toml::Table = format!("p = {text}").parse().unwrap();
        Priority::try_from(table["p"].clone()).map(Priority::get)
    };
    assert_eq!([read("0"), read("9"), read("\"urgent\"")], [Ok(0), Ok(9), Ok(9)]);
    for bad in ["10", "-1", "'high'", "1.5", "true"] {
        assert!(read(bad).unwrap_err().contains("0 to 9"), "{bad}");
    }
    let raised = |by: &str| Priority::default().raised_by(&header(&[("RequestedProcedurePriority", by)])).get();
    assert_eq!(["STAT", "stat", "HIGH", "ROUTINE", "LOW", ""].map(raised), [9, 9, 7, 5, 5, 5]);
    assert_eq!(Priority::URGENT.raised_by(&header(&[("RequestedProcedurePriority", "HIGH")])), Priority::URGENT);
}
