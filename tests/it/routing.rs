//! Promises of `route-test` and of `check-config` on rules; what made headers claim.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use contourd::dicom::data::{EncodedInstance, IMAGE_TAGS, read_received};
use contourd::geometry::{Grid, Lps, Shape, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::phantom::{
    Acquisition, Contrast, DemoIdentity, HeadOptions, PatientRecipe, demo_series, synthetic_patient,
};
use contourd::routing::{Header, Recognition, recognise};
use serde_json::Value;

use crate::support::{Heard, contourd, mr_series_called};

fn little_volume() -> Volume<f32> {
    let frame = FrameOfReferenceUid::parse("1.2.826.9").unwrap();
    let grid = Grid::axis_aligned(frame, Shape::new(5, 4, 3), Lps::new(0.0, 0.0, 0.0), [1.0, 1.0, 2.0]).unwrap();
    Volume::new(Arc::new(grid), (0..60u8).map(f32::from).collect()).unwrap()
}

/// A series of three little slices of a patient called Doe^Jane.
fn write(folder: &Path, uid: &str, description: &str) {
    std::fs::create_dir_all(folder).unwrap();
    for (n, image) in mr_series_called(&little_volume(), uid, "Doe^Jane", description).iter().enumerate() {
        std::fs::write(folder.join(format!("{uid}-{n}.dcm")), &image.bytes).unwrap();
    }
}

fn config(folder: &Path, routes: &str) -> std::path::PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let file = folder.join("contourd.toml");
    let pacs = "[[destination]]\nname = 'pacs'\nhost = 'h'\nport = 104\nae_title = 'PACS'\n";
    std::fs::write(&file, format!("[models]\ndir = {models:?}\n{pacs}{routes}")).unwrap();
    file
}

const ROUTES: &str = "
[[route]]
name = 'urgent'
calling_ae = 'MR1'
when = { all = [
  { tag = 'PatientName', contains = 'doe' },
  { tag = 'SeriesDescription', matches = '(?i)km' },
] }
priority = 'urgent'
destinations = ['pacs']
[[route]]
name = 'head'
when = { all = [{ tag = 'Modality', is = 'MR' }, { t1_gd = true }, { not = { tag = 'ImageType', contains = 'DERIVED' } }] }
destinations = ['pacs']
";

fn route_test(folder: &Path, config: &Path, more: &[&str]) -> Output {
    contourd().arg("route-test").arg(folder).arg("--config").arg(config).args(more).heard()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_series_is_told_its_route_and_every_rule_why_or_why_not() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    write(&images.join("a"), "1.2.826.1", "T1 MPRAGE KM");
    write(&images.join("b"), "1.2.826.2", "t2_tse_tra");
    std::fs::write(images.join("notes.txt"), "no image").unwrap();
    let config = config(folder.path(), ROUTES);
    let out = route_test(&images, &config, &["--calling", "MR1"]);
    let (said, complained) = (text(&out.stdout), text(&out.stderr));
    assert_eq!(out.status.code(), Some(2), "{complained}");
    assert!(complained.contains("1 of 2 series find no route"), "{complained}");
    for line in [
        "series 1.2.826.1 \"T1 MPRAGE KM\" (MR, 3 images; the first, ",
        "    T1: likely, score 3: +3 SeriesDescription says T1\n",
        "    gadolinium: likely, score 4: +4 SeriesDescription says KM\n",
        "  \"urgent\" takes it: model oar-head-v3; to pacs; priority 9\n",
        "        yes all of\n            yes PatientName is as the rule wants it: present\n",
        "            yes SeriesDescription matches \"(?i)km\": it is \"T1 MPRAGE KM\"\n",
        "    route \"head\" would take it, but an earlier one does\n",
        "  no route takes it\n",
        "            no  SeriesDescription matches \"(?i)km\": it is \"t2_tse_tra\"\n",
        "            no  recognised as T1-weighted after gadolinium: T1 unlikely (score -5), gadolinium unclear (score 0)\n",
        "            yes not\n                no  ImageType contains \"DERIVED\": it is \"ORIGINAL\", \"PRIMARY\", \"OTHER\"\n",
    ] {
        assert!(said.contains(line), "{line:?} is missing from\n{said}");
    }
    assert!(!said.contains("Jane") && !said.contains("P-0815") && !complained.contains("Jane"), "{said}");

    // From another title the first route is for somebody else.
    let out = route_test(&images.join("a"), &config, &["--calling", "MR2", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told[0]["taken"]["route"], "head");
    assert_eq!((&told[0]["taken"]["priority"], &told[0]["gadolinium"]["likelihood"]), (&5.into(), &"likely".into()));
    assert_eq!(told[0]["routes"][0]["other_way"][0], "it is for calling AE title MR1, not MR2");
    assert_eq!(told[0]["routes"][1]["rule"]["parts"][1]["held"], true);
}

#[test]
fn what_would_depend_on_the_first_image_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "[[route]]\nname = 'r'\nwhen = { tag = 'InstanceNumber', below = 3 }\ndestinations = ['pacs']\n";
    write(folder.path(), "1.2.826.1", "T1");
    let out = route_test(folder.path(), &config(folder.path(), rule), &[]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).contains("1 of its images alone would go another way"), "{}", text(&out.stdout));
}

#[test]
fn there_is_no_route_test_without_routes_or_images() {
    let folder = tempfile::tempdir().unwrap();
    let out = route_test(folder.path(), &config(folder.path(), ""), &[]);
    assert_eq!(out.status.code(), Some(64), "{}", text(&out.stderr));
    let out = route_test(folder.path(), &config(folder.path(), ROUTES), &[]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("there are no DICOM objects"), "{}", text(&out.stderr));
}

#[test]
fn every_fault_of_every_rule_is_told_by_check_config() {
    let folder = tempfile::tempdir().unwrap();
    let routes = "
[[route]]
name = 'a'
when = { all = [{ tag = 'Modalty', is = 'MR' }, { tag = 'SeriesDescription', matches = '(t1' }, { t1gd = true }] }
priority = 12
destinations = ['pacs']
[[route]]
name = 'b'
when = { tag = 'Rows', above = 'many' }
modle = 'x'
destinations = ['pacs']
";
    let out = contourd().arg("check-config").arg("--config").arg(config(folder.path(), routes)).heard();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(64), "{said}");
    for key in [
        "route[1].when.all[1].tag: ",
        "route[1].when.all[2].matches: ",
        "route[1].when.all[3]: ",
        "route[1].priority: ",
        "route[2].when.above: ",
        "route[2].modle: ",
    ] {
        assert!(said.contains(&format!("\n  {key}")), "{key} is missing from {said}");
    }
    assert!(said.contains("6 faults"), "{said}");
}

/// What the header of an image claims; it has no attribute of contrast medium but those named.
fn claims(image: &EncodedInstance, contrast: &[&str]) -> Recognition {
    let read = read_received(&image.bytes, usize::MAX, &IMAGE_TAGS).unwrap();
    let values = read.attributes.into_values();
    let of_contrast: Vec<String> = values
        .iter()
        .filter(|(tag, values)| {
            matches!(tag.group(), 0x0018) && (0x1040..=0x104A).contains(&tag.element()) && !values.is_empty()
        })
        .map(|(tag, _)| tag.to_string())
        .chain(
            values.keys().map(ToString::to_string).filter(|tag| ["(0018,0010)", "(0018,0012)"].contains(&tag.as_str())),
        )
        .collect();
    assert_eq!(of_contrast, contrast);
    recognise(&Header::new(values))
}

/// The head on disk (Colin27) was scanned without contrast medium: no series made of it may say otherwise.
#[test]
fn a_series_made_of_a_head_on_disk_never_claims_contrast() {
    let identity = DemoIdentity {
        patient_name: "DEMO".into(),
        patient_id: "DEMO".into(),
        image_sha256: "0".repeat(64),
        uid_salt: String::new(),
    };
    for acquisition in
        [Acquisition::Axial, Acquisition::Sagittal, Acquisition::Coronal, Acquisition::Oblique, Acquisition::FeetFirst]
    {
        for image in demo_series(&little_volume(), &identity, acquisition, None).unwrap() {
            let claimed = claims(&image, &[]);
            assert!(claimed.is_t1() && !claimed.is_gd(), "{acquisition:?}: {claimed:?}");
        }
    }
}

#[test]
fn a_synthetic_patient_claims_the_contrast_that_was_drawn() {
    for (contrast, agent) in [(Contrast::Native, &[][..]), (Contrast::Gadolinium, &["(0018,0010)"])] {
        let head = HeadOptions { contrast: Some(contrast), ..HeadOptions::default() };
        let recipe = PatientRecipe { seed: 3, head, acquisition: Acquisition::Axial, spacing: Some([4.0, 4.0, 8.0]) };
        let claimed = claims(&synthetic_patient(&recipe).unwrap().images[0], agent);
        assert_eq!((claimed.is_t1(), claimed.is_gd()), (true, contrast == Contrast::Gadolinium), "{claimed:?}");
    }
}
