//! `contourd validate`: a model over a training store, with a class that only card and store know.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::classes::{MODEL, painted};
use crate::support::{Heard, contourd, run};

/// Dice of each row of a stage's first case.
fn dice(output: &Path, stage: &str) -> BTreeMap<String, f64> {
    let measures = std::fs::read(output.join(stage).join("measures.json")).unwrap();
    let measures: Value = serde_json::from_slice(&measures).unwrap();
    let rows = measures["cases"][0]["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| (row["structure"].as_str().unwrap().to_owned(), row["overlap"]["dice"].as_f64().unwrap()))
        .collect()
}

#[test]
fn a_model_with_a_class_of_its_own_is_measured_and_what_was_measured_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let painted = painted("1.2.840.77.41");
    let series = painted.series(&path("patient/mr"));
    std::fs::write(path("patient/truth.dcm"), painted.structure_set(&series)).unwrap();
    // The store takes class and working grid from the card of the model.
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(MODEL);
    let card: toml::Table = std::fs::read_to_string(model.join("card.toml")).unwrap().parse().unwrap();
    let part = |key: &str| toml::Table::from_iter([(key.to_owned(), card[key].clone())]).to_string();
    std::fs::write(path("classes.toml"), part("class")).unwrap();
    std::fs::write(path("working.toml"), card["working"].as_table().unwrap().to_string()).unwrap();
    let mut import = contourd();
    import.args(["dataset", "import"]).arg(path("patient")).arg("--store").arg(path("store")).arg("--own");
    import.arg("--identities").arg(path("who.csv"));
    run(import.arg("--classes").arg(path("classes.toml")).arg("--working").arg(path("working.toml")));
    // Who is who stands in the file that was asked for, and nowhere else.
    let who = std::fs::read_to_string(path("who.csv")).unwrap();
    let index = std::fs::read_to_string(path("store/store.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let id = index["cases"][0]["id"].as_str().unwrap();
    assert!(who.contains(id), "{who}");

    let validate = |more: &[&str]| {
        let mut verb = contourd();
        // No model is installed where the verb runs: the one that is named is enough.
        verb.current_dir(folder.path()).arg("validate").arg("--store").arg(path("store")).arg("--model").arg(&model);
        verb.arg("--output").arg(path("out")).args(more);
        verb
    };
    let said = run(&mut validate(&[]));
    assert!(said.contains("Axial network alone") && said.contains("cochlea"), "{said}");
    let (axial, vote, last) = (dice(&path("out"), "axial"), dice(&path("out"), "vote"), dice(&path("out"), "final"));
    for rows in [&axial, &vote, &last] {
        for (class, least) in [("cochlea", 0.5), ("brain", 0.9), ("eye", 0.7), ("brainstem", 0.8)] {
            assert!(rows[class] >= least, "{class}: {}", rows[class]);
        }
    }
    // The bright speck that is no cochlea is taken away by the rules, not by the vote: all three networks see it.
    assert!(last["cochlea"] > vote["cochlea"], "{} and {}", last["cochlea"], vote["cochlea"]);
    assert!((axial["cochlea"] - vote["cochlea"]).abs() < 1e-6, "the fixture's networks are the same");

    // Started again it takes what it has; a measure that was made of something else is made anew.
    let kept = path("out/cases").join(format!("{id}.json"));
    let first = std::fs::read_to_string(&kept).unwrap();
    let marked = first.replacen("\"dice\": 0.", "\"dice\": 0.0", 1);
    assert_ne!(first, marked);
    std::fs::write(&kept, &marked).unwrap();
    run(&mut validate(&[]));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), marked, "it was measured again");
    let other = marked.replace("\"image_sha256\": \"", "\"image_sha256\": \"0");
    std::fs::write(&kept, &other).unwrap();
    run(&mut validate(&[]));
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), first, "it was not measured again");

    // What cannot be done is refused with a word about it.
    let refused = |more: &[&str], why: &str| {
        let out = validate(more).heard();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(why), "{said}");
    };
    refused(&["--only", "nobody"], "has no case nobody");
    let text = std::fs::read_to_string(path("store/store.json")).unwrap();
    std::fs::write(path("store/store.json"), text.replacen("1.5", "1.6", 1)).unwrap();
    refused(&[], "another working grid");
}
