//! `contourd dataset check`: swapped sides, a far place and a wrong volume are flagged, ordinary cases are not.

use contourd::anatomy::Structure;
use contourd::contour::PlaneContour;

use super::made::{Patient, anonymous, tg263};
use super::{Heard, contourd, files_in, import};

#[test]
fn suspicious_labels_are_flagged_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let ordinary = Patient::new(31, None);
    ordinary.write_images(&archive.join("a"));
    ordinary.write_set(&archive.join("a/rs.dcm"), 1, &tg263(), &[]);
    // Names of the eyes swapped; the pituitary drawn 20 pixels (40 mm) to the left; lenses as large as eyes.
    let odd = Patient::new(32, None);
    odd.write_images(&archive.join("b"));
    let drawn = |(name, structure): (&str, Structure)| -> (String, Vec<PlaneContour>) {
        let contours = match structure {
            Structure::Eye_L => odd.contours(Structure::Eye_R),
            Structure::Eye_R => odd.contours(Structure::Eye_L),
            Structure::Lens_L => odd.contours(Structure::Eye_L),
            Structure::Lens_R => odd.contours(Structure::Eye_R),
            Structure::Pituitary => {
                let mut moved = odd.contours(structure);
                moved.iter_mut().flat_map(|c| &mut c.points).for_each(|p| p[0] += 20.0);
                moved
            }
            other => odd.contours(other),
        };
        (name.to_owned(), contours)
    };
    let regions: Vec<_> = tg263().into_iter().map(drawn).collect();
    odd.write_regions(&archive.join("b/rs.dcm"), 1, &regions);
    anonymous(&archive, false);
    let (_, report) = import(&archive, folder.path(), &[]);
    assert!(report.cases.iter().any(|c| c.notes.iter().any(|n| n.contains("further to the patient's right"))));

    let out = folder.path().join("sheets");
    let store = folder.path().join("store");
    let check = contourd().args(["dataset", "check"]).arg(&store).arg("--out").arg(&out).heard();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(2), "{said}");
    assert!(said.contains("1 of 2 cases flagged"), "{said}");
    for words in [
        "Eye_L: lies",
        "Eye_R: lies",
        "on the other side than its name says",
        "Pituitary:",
        "off the plane between left and right",
        "Lens_L: volume",
        "Lens_R: volume",
    ] {
        assert!(said.contains(words), "{words:?} is missing from\n{said}");
    }
    assert!(!said.contains("Brain:") && !said.contains("Brainstem:"), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("check.json")).unwrap()).unwrap();
    assert_eq!(json["flagged"], 1);
    assert_eq!(std::fs::read_to_string(out.join("check.txt")).unwrap().trim_end(), said.trim_end());
    let sheets: Vec<_> = files_in(&out).into_iter().filter(|f| f.extension().is_some_and(|e| e == "png")).collect();
    assert_eq!(sheets.len(), 2);
    assert!(sheets.iter().all(|f| f.file_name().unwrap().to_str().unwrap().starts_with("p-")));
    if let Some(keep) = std::env::var_os("CONTOURD_KEEP_SHEETS") {
        std::fs::create_dir_all(&keep).unwrap();
        sheets.iter().for_each(|f| {
            std::fs::copy(f, std::path::Path::new(&keep).join(f.file_name().unwrap())).unwrap();
        });
    }
    // A damaged case is no ordinary one.
    let labels = files_in(&store).into_iter().find(|f| f.to_str().unwrap().ends_with("labels.npy")).unwrap();
    std::fs::write(&labels, b"x").unwrap();
    let check = contourd().args(["dataset", "check"]).arg(&store).heard();
    assert_eq!(check.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&check.stdout).contains("DAMAGED"));
    let nothing = contourd().args(["dataset", "check"]).arg(folder.path()).heard();
    assert_eq!(nothing.status.code(), Some(2));
}
