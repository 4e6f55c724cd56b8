//! `contourd dataset`: what lands in a training store is what was drawn, under no patient's name; what cannot be taken is
//! said and keeps nothing else back.

mod checks;
mod made;
mod pairs;
mod reviewed;

use std::collections::BTreeMap;
use std::path::Path;

use contourd::anatomy::{Class, Structure};
use contourd::dicom::data::{assemble, parse_instances, read_archive};
use contourd::geometry::{WorkingSpec, working_grid_for};
use contourd::phantom::{Head, class_labels};
use contourd::training::check::{read_case, read_index};
use contourd::training::{CaseRecord, ImportReport, Outcome};

use self::made::{FRENCH, GERMAN, ID, NAME, Patient, anonymous, tg263};
use crate::support::{Heard, contourd, files_in, run};

/// The thesis's grid at half its resolution: everything that is promised holds on it, and it takes an eighth of the time.
const WORKING: &str = "spacing = [1.4, 1.4, 1.8]\nshape = [160, 182, 100]\nintensity_rule = \"maximum\"\n\
                       intensity_scale = 1000.0\nmargin_top = 4.5\n";

/// `contourd dataset import` of an archive; the report.
fn import(archive: &Path, work: &Path, more: &[&str]) -> (std::process::Output, ImportReport) {
    std::fs::write(work.join("working.toml"), WORKING).unwrap();
    let report = work.join("report.json");
    let _ = std::fs::remove_file(&report);
    let out = contourd()
        .args(["dataset", "import"])
        .arg(archive)
        .arg("--store")
        .arg(work.join("store"))
        .arg("--working")
        .arg(work.join("working.toml"))
        .arg("--report")
        .arg(&report)
        .args(more)
        .heard();
    let said = String::from_utf8_lossy(&out.stderr);
    let json = std::fs::read(&report).unwrap_or_else(|_| panic!("no report: {said}"));
    (out, serde_json::from_slice(&json).unwrap())
}

/// Dice of each known class in a store with the truth of a head, on the store's own voxels.
fn dice_with_truth(store: &Path, record: &CaseRecord, patient: &Patient) -> BTreeMap<Class, f64> {
    let index = read_index(store).unwrap();
    let case = read_case(store, &index, record).unwrap();
    let files: Vec<&[u8]> = patient.images.iter().map(|i| i.bytes.as_slice()).collect();
    let series = assemble(parse_instances(&files).unwrap()).unwrap();
    let spec: WorkingSpec = index.working.clone();
    let grid = working_grid_for(&series.volume, &spec).unwrap();
    let truth = class_labels(&Head::new(patient.seed, &patient.head), &grid).labels;
    let dice = |class: Class| {
        let bit = case.bits[&class];
        let (mut a, mut b, mut both) = (0usize, 0usize, 0usize);
        for (stored, true_word) in case.labels.data().iter().zip(truth.data()) {
            let (one, other) = (stored >> bit & 1 == 1, true_word & class.bit() != 0);
            a += usize::from(one);
            b += usize::from(other);
            both += usize::from(one && other);
        }
        2.0 * both as f64 / (a + b) as f64
    };
    record.known.iter().map(|class| (*class, dice(*class))).collect()
}

/// Least Dice with the truth of what comes from 2 x 2 x 3 mm to half the thesis's resolution. Contours of pixels of 2 mm
/// are what is lost on: a lens has nine of them, a chiasm lies on one or two planes.
const LEAST: [(Class, f64); 8] = [
    (Class::Eye, 0.93),
    (Class::Lens, 0.75),
    (Class::OpticNerve, 0.68),
    (Class::Chiasm, 0.62),
    (Class::Pituitary, 0.72),
    (Class::Hippocampus, 0.85),
    (Class::Brainstem, 0.95),
    (Class::Brain, 0.97),
];

fn known(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

const ALL: [&str; 8] = ["eye", "lens", "optic_nerve", "chiasm", "pituitary", "hippocampus", "brainstem", "brain"];

#[test]
fn an_archive_becomes_a_store_and_names_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    // French names, in a folder of the patient's name; a PRV, a target and a foreign structure beside the organs.
    let french = Patient::new(7, None);
    let a = archive.join("Muster_Erika/2026/mr");
    french.write_images(&a);
    let beside =
        [("Tronc cérébral PRV", Structure::Brainstem), ("PTV 54", Structure::Brain), ("Cochlée G", Structure::Eye_L)];
    french.write_set(&archive.join("Muster_Erika/rs.dcm"), 1, &FRENCH, &beside);
    // Three images a second time, elsewhere.
    std::fs::create_dir_all(archive.join("copies")).unwrap();
    for file in &files_in(&a)[..3] {
        std::fs::copy(file, archive.join("copies").join(file.file_name().unwrap())).unwrap();
    }
    // German names; an older set with other organs, a newer one, and the newest of contourd's own making.
    let german = Patient::new(8, None);
    german.write_images(&archive.join("b/c/d"));
    german.write_set(&archive.join("b/older.dcm"), 1, &[("Hypophyse", Structure::Pituitary)], &[]);
    german.write_set(&archive.join("b/newer.dcm"), 2, &GERMAN, &[]);
    german.write_own_set(&archive.join("b/own.dcm"), 3, &tg263());
    // One image cut short: its series must not be taken for whole.
    let broken = Patient::new(9, None);
    broken.write_images(&archive.join("broken"));
    broken.write_set(&archive.join("broken/rs.dcm"), 1, &tg263(), &[]);
    // No right eye; nobody drew the left hippocampus.
    let one_eyed = Patient::new(10, Some(contourd::anatomy::Side::Right));
    one_eyed.write_images(&archive.join("e"));
    let drawn: Vec<_> = tg263().into_iter().filter(|(_, s)| *s != Structure::Hippocampus_L).collect();
    one_eyed.write_set(&archive.join("e/rs.dcm"), 1, &drawn, &[]);
    std::fs::write(archive.join("notes.txt"), "no DICOM").unwrap();
    anonymous(&archive, false);
    let last = archive.join("broken/0001.dcm");
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() - 1000]).unwrap();
    // As an older planning system writes it.
    let set = archive.join("Muster_Erika/rs.dcm");
    run(std::process::Command::new("dcmconv").arg("+L1").args([&set, &set]));

    let (out, report) = import(&archive, folder.path(), &["--jobs", "2"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!((report.count(Outcome::Taken), report.count(Outcome::Refused)), (3, 1), "{said}");
    assert_eq!((report.copies, report.foreign_files, report.damaged.len()), (3, 1, 1), "{said}");
    assert_eq!(report.unmapped_names, [("Cochlée G".to_owned(), 1)].into());
    let derived: Vec<&str> = report.derived_names.keys().map(String::as_str).collect();
    assert_eq!(derived, ["PTV 54", "Tronc cérébral PRV"]);
    let reasons = |word: &str| report.passed_over.iter().filter(|a| a.why.contains(word)).count();
    assert_eq!((reasons("newer"), reasons("contourd made it")), (1, 1), "{:?}", report.passed_over);
    let refused = report.cases.iter().find(|c| c.outcome == Outcome::Refused).unwrap();
    assert!(refused.reasons[0].contains("cut short"), "{:?}", refused.reasons);

    let store = folder.path().join("store");
    let index = read_index(&store).unwrap();
    assert_eq!(index.cases.len(), 3);
    let by_known = |wanted: &[&str]| {
        let same = |c: &&contourd::training::CaseReport| c.outcome == Outcome::Taken && c.known == known(wanted);
        let found: Vec<_> = report.cases.iter().filter(same).collect();
        found.into_iter().map(|c| index.cases.iter().find(|r| r.id == c.case).unwrap()).collect::<Vec<_>>()
    };
    // Both whole patients, whatever language; which is which tells the Dice with its own truth.
    let whole = by_known(&ALL);
    assert_eq!(whole.len(), 2, "{said}");
    for patient in [&french, &german] {
        let all: Vec<_> = whole.iter().map(|record| dice_with_truth(&store, record, patient)).collect();
        let own = all.into_iter().max_by(|a, b| a[&Class::Brain].total_cmp(&b[&Class::Brain])).unwrap();
        println!("seed {}: {own:.4?}", patient.seed);
        for (class, least) in LEAST {
            assert!(own[&class] >= least, "{} of seed {}: {:.4}", class.name(), patient.seed, own[&class]);
        }
    }
    // Without a word that the other is absent, one of two makes no class; where a class that encloses it is known, what
    // lies outside that is.
    let one_sided = by_known(&["chiasm", "pituitary", "brainstem", "brain"]);
    assert_eq!(one_sided.len(), 1, "{said}");
    assert_eq!(one_sided[0].implied, [(Class::Hippocampus, Class::Brain)].into());
    let row = report.cases.iter().find(|c| c.case == one_sided[0].id).unwrap();
    assert!(row.unknown["eye"].contains("only the left one") && row.unknown["hippocampus"].contains("only the right"));
    let record = whole[0];
    assert_eq!(record.sides[&Class::Eye], [contourd::anatomy::Side::Left, contourd::anatomy::Side::Right]);
    assert!(record.boxes[&Class::Eye][0][0] > record.boxes[&Class::Eye][1][3], "left is +x");
    let patients: std::collections::BTreeSet<_> = index.cases.iter().map(|c| c.patient.clone().unwrap()).collect();
    assert_eq!(patients.len(), 3, "each patient has a key of its own");

    // Nobody is named: not in the store, not in the report, not on the terminal.
    let mut written: Vec<Vec<u8>> = files_in(&store).iter().map(|f| std::fs::read(f).unwrap()).collect();
    written.extend([std::fs::read(folder.path().join("report.json")).unwrap(), out.stdout.clone(), out.stderr]);
    let uids = [french.series_uid(), german.series_uid(), broken.series_uid()];
    for secret in
        [NAME.split('^').next().unwrap(), "Erika", ID, "broken/"].into_iter().chain(uids.iter().map(String::as_str))
    {
        let named = written.iter().any(|bytes| bytes.windows(secret.len()).any(|w| w == secret.as_bytes()));
        assert!(!named, "{secret} was written");
    }
    assert!(folder.path().join("store.salt").exists() && !store.join("store.salt").exists());

    // Again: nothing is made again, but for what was damaged, and what now means something else.
    let again = import(&archive, folder.path(), &[]).1;
    assert_eq!((again.count(Outcome::Held), again.count(Outcome::Taken)), (3, 0));
    std::fs::write(store.join(format!("{}.labels.npy", record.id)), b"x").unwrap();
    let before = std::fs::read(store.join("store.json")).unwrap();
    let again = import(&archive, folder.path(), &[]).1;
    assert_eq!((again.count(Outcome::Held), again.count(Outcome::Taken)), (2, 1));
    assert_eq!(std::fs::read(store.join("store.json")).unwrap(), before, "the same source gives the same bytes");
    let absent = import(&archive, folder.path(), &["--one-sided", "known"]).1;
    assert_eq!(absent.count(Outcome::Taken), 3, "another meaning of one side is another case");
    let row = absent.cases.iter().find(|c| c.case == one_sided[0].id).unwrap();
    assert_eq!(row.known, known(&ALL));
    // Without its salt the store is not gone on with.
    std::fs::remove_file(folder.path().join("store.salt")).unwrap();
    let refused = contourd().args(["dataset", "import"]).arg(&archive).arg("--store").arg(&store).heard();
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("give it by --salt"));
}

#[test]
fn approved_sets_conflicts_and_other_tables_decide() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let patient = Patient::new(11, None);
    patient.write_images(&archive.join("mr"));
    patient.write_set(&archive.join("approved.dcm"), 1, &[("Chiasma", Structure::OpticChiasm)], &[]);
    patient.write_set(&archive.join("newer.dcm"), 2, &GERMAN, &[]);
    anonymous(&archive, false);
    run(std::process::Command::new("dcmodify")
        .args(["-nb", "-i", "300E,0002=APPROVED"])
        .arg(archive.join("approved.dcm")));
    let (_, report) = import(&archive, folder.path(), &["--structure-set", "approved"]);
    assert_eq!(report.cases[0].known, ["chiasm"], "{}", report.text());
    // A table of the site's own: the default, with another word for the brainstem and without the brain's.
    let table = String::from_utf8(contourd().args(["dataset", "names"]).heard().stdout).unwrap();
    let table = table.replace("\"gehirn\"", "\"grosshirn\"");
    std::fs::write(folder.path().join("names.toml"), table).unwrap();
    let names = folder.path().join("names.toml");
    let (_, report) = import(&archive, folder.path(), &["--names", names.to_str().unwrap()]);
    assert_eq!(report.cases[0].known, ALL[..7], "{}", report.text());
    assert_eq!(report.unmapped_names, [("Gehirn".to_owned(), 1)].into());
    // Two images under one UID: the series is not taken.
    let files = files_in(&archive.join("mr"));
    std::fs::create_dir(archive.join("other")).unwrap();
    let changed = archive.join("other/changed.dcm");
    std::fs::copy(&files[5], &changed).unwrap();
    run(std::process::Command::new("dcmodify").args(["-nb", "-i", "0018,0050=9"]).arg(&changed));
    let (out, report) = import(&archive, folder.path(), &[]);
    assert_eq!(out.status.code(), Some(2), "{}", report.text());
    let reasons = report.cases[0].reasons.join(" ");
    assert!(reasons.contains("two images of other content") && reasons.contains("stays there"), "{reasons}");
    // Options that would give patients away or do nothing.
    for bad in [&["--salt", "STORE/salt"][..], &["--jobs", "0"], &["--names", "STORE/none"]] {
        let store = folder.path().join("store");
        let bad: Vec<String> = bad.iter().map(|a| a.replace("STORE", store.to_str().unwrap())).collect();
        let mut command = contourd();
        let out = command.args(["dataset", "import"]).arg(&archive).arg("--store").arg(&store).args(&bad).heard();
        assert_eq!(out.status.code(), Some(64), "{bad:?}");
    }
}

#[test]
fn a_killed_import_is_taken_up_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    for seed in 20..24 {
        let patient = Patient::new(seed, None);
        patient.write_images(&archive.join(format!("{seed}/mr")));
        patient.write_set(&archive.join(format!("{seed}/rs.dcm")), 1, &tg263(), &[]);
    }
    anonymous(&archive, true);
    std::fs::write(folder.path().join("working.toml"), WORKING).unwrap();
    let store = folder.path().join("store");
    let mut child = contourd()
        .args(["dataset", "import", "--jobs", "1"])
        .arg(&archive)
        .arg("--store")
        .arg(&store)
        .arg("--working")
        .arg(folder.path().join("working.toml"))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let listed = || read_index(&store).map_or(0, |index| index.cases.len());
    while listed() == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before a case was listed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let held = listed();
    assert!(held >= 1);
    let (_, report) = import(&archive, folder.path(), &[]);
    assert_eq!((report.count(Outcome::Held), report.count(Outcome::Taken)), (held, 4 - held), "{}", report.text());
    let archive = read_archive(&[store], &|_| ());
    assert!(
        archive.series.is_empty() && archive.foreign == 9,
        "four cases and the index, no part: {}",
        archive.foreign
    );
}
