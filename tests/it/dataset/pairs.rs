//! `contourd dataset import-nifti`: a digital head as a pair comes out as it went in.

use std::path::Path;
use std::sync::Arc;

use contourd::anatomy::{Class, Structure};
use contourd::geometry::{Grid, Volume, working_grid_for};
use contourd::phantom::{Head, HeadOptions, ImageOptions, class_labels, image, truth};
use contourd::training::check::{read_case, read_index};
use contourd::training::{ImportReport, Outcome};

use super::WORKING;
use crate::support::{Heard, contourd};

/// Writes 32-bit floats as NIfTI-1; LPS to RAS by the sform.
fn write_nifti(path: &Path, grid: &Grid, values: impl Iterator<Item = f32>) {
    let s = grid.shape();
    let mut h = vec![0u8; 352];
    let mut put = |at: usize, bytes: &[u8]| h[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348i32.to_le_bytes());
    for (n, v) in [3, s.cols as i16, s.rows as i16, s.slices as i16, 1, 1, 1, 1].into_iter().enumerate() {
        put(40 + 2 * n, &v.to_le_bytes());
    }
    put(70, &16i16.to_le_bytes());
    put(72, &32i16.to_le_bytes());
    for (n, v) in [1.0, grid.spacing()[0], grid.spacing()[1], grid.spacing()[2]].into_iter().enumerate() {
        put(76 + 4 * n, &(v as f32).to_le_bytes());
    }
    put(108, &352f32.to_le_bytes());
    put(254, &1i16.to_le_bytes());
    let axes: Vec<[f64; 3]> = (0..3).map(|a| (grid.axes()[a] * grid.spacing()[a]).to_array()).collect();
    let origin = grid.origin().to_array();
    for row in 0..3 {
        let sign = if row < 2 { -1.0 } else { 1.0 };
        let values = [axes[0][row], axes[1][row], axes[2][row], origin[row]];
        for (n, v) in values.into_iter().enumerate() {
            put(280 + 16 * row + 4 * n, &((v * sign) as f32).to_le_bytes());
        }
    }
    put(344, b"n+1\0");
    h.extend(values.flat_map(f32::to_le_bytes));
    std::fs::write(path, h).unwrap();
}

#[test]
fn a_pair_comes_out_as_it_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path();
    let head = Head::new(41, &HeadOptions::default());
    let frame = contourd::ids::FrameOfReferenceUid::derive(&["pairs"]);
    let field = head.field_of_view(110.0);
    let grid =
        |spacing| Arc::new(contourd::phantom::Acquisition::Axial.grid(frame.clone(), &field, Some(spacing)).unwrap());
    let (fine, coarse) = (grid([1.6, 1.6, 2.0]), grid([2.4, 2.2, 3.0]));
    let scan: Volume<f32> = image(&head, &fine, &ImageOptions::draw(41));
    write_nifti(&work.join("Musterfrau.nii"), &fine, scan.data().iter().copied());
    // A label map with a value for each eye and one for both hippocampi; the brainstem has two values.
    let masks = truth(&head, &fine);
    let value = |at: usize| -> f32 {
        let is = |s: Structure| masks[&s].data()[at];
        let [i, _, _] = scan.voxel(at);
        match () {
            () if is(Structure::Eye_L) => 1.0,
            () if is(Structure::Eye_R) => 2.0,
            () if is(Structure::Hippocampus_L) || is(Structure::Hippocampus_R) => 3.0,
            () if is(Structure::Brainstem) && i % 2 == 0 => 4.0,
            () if is(Structure::Brainstem) => 5.0,
            () if is(Structure::Brain) => 9.0,
            () => 0.0,
        }
    };
    write_nifti(&work.join("labels.nii"), &fine, (0..scan.data().len()).map(value));
    // Masks on a grid of their own.
    let coarse_masks = truth(&head, &coarse);
    let as_number =
        |s: Structure| coarse_masks[&s].data().iter().map(|v| f32::from(u8::from(*v))).collect::<Vec<f32>>();
    write_nifti(&work.join("pit.nii"), &coarse, as_number(Structure::Pituitary).into_iter());
    write_nifti(&work.join("lens.nii"), &coarse, as_number(Structure::Lens_L).into_iter());
    std::fs::write(
        work.join("pairs.toml"),
        "[[pair]]\nimage = 'Musterfrau.nii'\nlabels = 'labels.nii'\npatient = 'PAT-0815'\n\
         masks = { Pituitary = 'pit.nii', Lens_L = 'lens.nii' }\n\
         [[pair]]\nimage = 'missing.nii'\nlabels = 'labels.nii'\n",
    )
    .unwrap();
    let map = "[labels]\n1 = 'Eye_L'\n2 = 'Eye_R'\n3 = ['hippocampus', 'Brain']\n4 = ['Brainstem', 'Brain']\n\
               5 = ['Brainstem', 'Brain']\n9 = 'Brain'\n12 = 'OpticChiasm'\n";
    std::fs::write(work.join("map.toml"), map).unwrap();
    std::fs::write(work.join("working.toml"), WORKING).unwrap();
    let import = || {
        let mut command = contourd();
        command.args(["dataset", "import-nifti"]);
        for (option, file) in [
            ("--pairs", "pairs.toml"),
            ("--labels", "map.toml"),
            ("--store", "store"),
            ("--working", "working.toml"),
            ("--report", "report.json"),
        ] {
            command.arg(option).arg(work.join(file));
        }
        let out = command.args(["--one-sided", "unknown"]).heard();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(0), "{said}");
        serde_json::from_slice::<ImportReport>(&std::fs::read(work.join("report.json")).unwrap()).unwrap()
    };
    let import = || {
        let _ = std::fs::remove_file(work.join("report.json"));
        import()
    };
    let report = import();
    assert_eq!((report.count(Outcome::Taken), report.count(Outcome::Refused)), (1, 1), "{}", report.text());
    let taken = report.cases.iter().find(|c| c.outcome == Outcome::Taken).unwrap();
    assert_eq!(taken.known, ["eye", "pituitary", "hippocampus", "brainstem", "brain"]);
    assert!(taken.unknown["lens"].contains("only the left one"));
    let notes = taken.notes.join("\n");
    assert!(notes.contains("another grid") && notes.contains("no voxel has the value of chiasm"), "{notes}");

    let store = work.join("store");
    let index = read_index(&store).unwrap();
    let case = read_case(&store, &index, &index.cases[0]).unwrap();
    let working = working_grid_for(&scan, &index.working).unwrap();
    let true_words = class_labels(&head, &working).labels;
    for (class, least) in [
        (Class::Eye, 0.93),
        // On slices 3 mm apart, of which two or three meet the gland.
        (Class::Pituitary, 0.75),
        (Class::Hippocampus, 0.9),
        (Class::Brainstem, 0.96),
        // Eyes and what lies under them take precedence in a map; the brain has none of theirs.
        (Class::Brain, 0.98),
    ] {
        let bit = case.bits[&class];
        let pairs = case.labels.data().iter().zip(true_words.data());
        let (sum, both) = pairs.fold((0usize, 0usize), |(sum, both), (a, b)| {
            let (a, b) = (a >> bit & 1 == 1, b & class.bit() != 0);
            (sum + usize::from(a) + usize::from(b), both + usize::from(a && b))
        });
        let dice = 2.0 * both as f64 / sum as f64;
        println!("{}: {dice:.4}", class.name());
        assert!(dice >= least, "{}: {dice:.4}", class.name());
    }
    assert!(case.record.boxes[&Class::Hippocampus][0][0] > case.record.boxes[&Class::Hippocampus][1][3], "left is +x");
    for file in [store.join("store.json"), work.join("report.json")] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("Musterfrau") && !text.contains("0815"), "{text}");
    }
    assert_eq!(import().count(Outcome::Held), 1);
    // Another meaning of a value is another case.
    std::fs::write(work.join("map.toml"), map.replace("1 = 'Eye_L'\n2 = 'Eye_R'\n", "")).unwrap();
    let again = import();
    assert_eq!(again.count(Outcome::Taken), 1);
    assert!(!again.cases.iter().any(|c| c.known.contains(&"eye".to_owned())));
}
