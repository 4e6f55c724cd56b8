//! What is delivered when not everything can be.

use std::collections::BTreeMap;

use contourd::anatomy::Structure;
use contourd::anatomy::rules::{Finding, Flag, Severity};
use contourd::dicom::data::{Profile, assemble, read_folder, read_rtstruct};
use contourd::geometry::working_grid_for;
use contourd::phantom::{Head, HeadOptions, truth};
use contourd::service::{Order, deliver_findings};

use crate::support::{phantom_series, recipe};

#[test]
fn an_outline_that_cannot_be_written_keeps_no_other_back() {
    let folder = tempfile::tempdir().unwrap();
    phantom_series(55, &["--spacing", "1.5,1.5,3", "--yaw", "4", "--pitch", "0", "--roll", "0"], folder.path());
    let series = assemble(read_folder(folder.path()).unwrap()).unwrap();
    let mut recipe = recipe().clone();
    // A brain has more corners than that, a lens has not.
    recipe.contours.max_points = 24;
    let options = HeadOptions {
        yaw: contourd::phantom::Spread::fixed(4.0),
        pitch: contourd::phantom::Spread::fixed(0.0),
        roll: contourd::phantom::Spread::fixed(0.0),
        ..HeadOptions::default()
    };
    let head = Head::new(55, &options);
    let grid = working_grid_for(&series.volume, &recipe.model.card().working).unwrap();
    let mut found: BTreeMap<Structure, Finding> = truth(&head, &grid)
        .into_iter()
        .map(|(s, mask)| (s, Finding { predicted: mask.count(), mask, effects: Vec::new(), flags: Vec::new() }))
        .collect();
    // One voxel of the working grid, which holds no pixel centre of the acquired planes.
    let speck = found.get_mut(&Structure::Pituitary).unwrap().mask.data_mut();
    let first = speck.iter().position(|v| *v).unwrap();
    speck.iter_mut().skip(first + 1).for_each(|v| *v = false);
    let order = Order::first(Profile::generic(), time::macros::datetime!(2026-03-04 05:06:07));
    let result = deliver_findings(&series, &found, &recipe, &order).unwrap();

    let read = read_rtstruct(&result.packages[0].structure_set.bytes).unwrap();
    for report in &result.report.structures {
        assert_eq!(read.roi(report.structure.name()).is_some(), report.found, "{}", report.structure.name());
        let why = report.flags.iter().find(|f| matches!(f, Flag::NotDrawn { .. }));
        assert_eq!(why.is_some(), !report.found, "{}: {:?}", report.structure.name(), report.flags);
        if let Some(why) = why {
            assert!(why.severity() == Severity::Red && why.to_string().contains("not in the structure set"), "{why}");
        }
    }
    let found = |s| result.report.structures.iter().any(|r| r.structure == s && r.found);
    assert!(!found(Structure::Pituitary) && !found(Structure::Brain));
    assert!(found(Structure::Lens_L) && found(Structure::Lens_R));
}
