//! Structure sets on every kind of acquisition, judged by other people's programs: dciodvfy and dcentvfy find nothing
//! to complain of, and plastimatch reads every structure as our mask has it.

pub mod judges;
mod phantom;

use std::collections::BTreeMap;

use contourd::anatomy::Structure;
use contourd::anatomy::quality::Light;
use contourd::anatomy::rules::{self, Finding, Flag};
use contourd::dicom::data::{Profile, Series, assemble, read_folder};
use contourd::geometry::working_volume;
use contourd::service::{Order, Recipe, Segmentation, segment_series};

use crate::support::{contourd, files_in, recipe, run};
use judges::{dciodvfy, judge};

/// The real head of Debian's mricron-data. Used as input; nothing is fitted to it.
const HEAD: &str = "/usr/share/mricron/templates/ch2.nii.gz";

fn order() -> Order {
    Order::first(Profile::generic(), time::macros::datetime!(2026-03-04 05:06:07))
}

/// What the shipped networks make of a series, and the masks behind the contours.
fn networks(series: &Series) -> (Segmentation, BTreeMap<Structure, Finding>) {
    networks_of(recipe(), series)
}

/// What a recipe's networks make of a series, and the masks behind the contours.
pub fn networks_of(recipe: &Recipe, series: &Series) -> (Segmentation, BTreeMap<Structure, Finding>) {
    let result = segment_series(series, recipe, &order(), &|_, _| ()).unwrap();
    // The result holds contours only, so the same stages once more.
    let working = working_volume(&series.volume, &recipe.model.card().working).unwrap();
    let vote = recipe.model.run(&working, &|_| ()).unwrap();
    let fat_suppressed = series.attributes.acquisition.fat_suppressed();
    let case = rules::Case { parts: &vote.parts().unwrap(), image: &working, fat_suppressed, acquired: None };
    (result, rules::apply_to(&case, &recipe.rules).unwrap().structures)
}

/// The networks' own result on the real head, acquired in one of the ways.
fn real_head(acquisition: &str, derived: bool) -> Segmentation {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("series");
    run(contourd().args(["demo-series", HEAD]).arg(&source).args(["--acquisition", acquisition]));
    for file in files_in(&source).iter().take(2) {
        assert_eq!(dciodvfy(file), Vec::<String>::new(), "dciodvfy on the demonstration series");
    }
    let series = assemble(read_folder(&source).unwrap()).unwrap();
    let (result, found) = networks(&series);
    assert_eq!(!result.packages[0].derived.is_empty(), derived, "{acquisition}");
    let read = judge(&result, &found, &series, &source);
    assert!(read.contains_key(&Structure::Brain), "no brain was found on {acquisition}");
    println!("{acquisition}: {} of 12 structures, all as plastimatch reads them", read.len());
    result
}

#[test]
fn the_real_head_axial() {
    let report = real_head("axial", false).report;
    assert_eq!(report.held(), None);
    // Its images end close above the brain.
    let brain = report.structures.iter().find(|s| s.structure == Structure::Brain).unwrap();
    assert!(brain.flags.contains(&Flag::CutByView) && brain.light != Some(Light::Green), "{:?}", brain.flags);
}

#[test]
fn the_real_head_oblique() {
    real_head("oblique", false);
}

#[test]
fn the_real_head_anisotropic() {
    real_head("anisotropic", false);
}

#[test]
fn the_real_head_sagittal() {
    real_head("sagittal", true);
}

#[test]
fn the_real_head_coronal() {
    real_head("coronal", true);
}

#[test]
fn the_real_head_feet_first() {
    real_head("feet-first", false);
}
