//! `contourd export` beside a running daemon: nothing of the patient leaves, everything else does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use contourd::dicom::data::{read_folder, read_header};
use contourd::store::{NewReview, Rating};
use serde_json::Value;

use super::*;
use crate::conformance::judges::dciodvfy;
use crate::support::{Heard, contourd, files_below, files_in};

/// Exports a case; the exit status and what was said.
async fn export(case: &str, config: &Path, output: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = contourd();
    command.args(["export", case, "--config"]).arg(config).arg("--output").arg(output).args(more);
    let out = tokio::task::spawn_blocking(move || command.heard()).await.unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// Every file below a folder, by its path in it.
fn all_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files_below(folder).into_iter().map(|path| (named(&path), std::fs::read(path).unwrap())).collect()
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|w| w == what.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_leaves_without_its_patient() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    let files = series("1.2.826.4", true);
    send_all(&running.to, &objects(&files)).await;
    let case = until(&t, CaseState::Delivered).await;
    let review = NewReview {
        case_id: case.id,
        structure: "Brainstem".into(),
        rating: Rating::Minor,
        reviewer: "Dr. Reviewer".into(),
        comment: "Jane has a thin stem".into(),
        seconds_spent: Some(7),
    };
    t.pg.add_review(&review).await.unwrap();

    let work = crate::support::open_folder();
    let config = work.path().join("contourd.toml");
    std::fs::write(&config, format!("[store]\nstate_dir = {:?}\n", t.blobs_dir().parent().unwrap())).unwrap();
    let (first, second) = (work.path().join("first"), work.path().join("second"));
    let id = case.id.to_string();
    let (status, said) = export(&id, &config, &first, &[]).await;
    assert_eq!(status, Some(0), "{said}");

    let exported = all_below(&first);
    // The acquired slices, the derived ones with the structure set, and what is known.
    let derived = pacs.names().len() - 1;
    assert!(derived > 10 && exported.len() == files.len() + derived + 2, "{:?}", exported.keys());
    let old: Vec<String> = files.iter().map(|f| f.instance.to_string()).chain(pacs.names()).collect();
    for (name, bytes) in &exported {
        for told in ["Doe", "Jane", "P-0815", "Reviewer", "1.2.826.4", "1.2.826.9", "1.2.840.77.1"] {
            assert!(!holds(bytes, told), "{told} is in {name}");
        }
        assert!(old.iter().all(|uid| !holds(bytes, uid)), "{name}");
    }
    let bytes: Vec<&[u8]> = files.iter().map(|f| f.bytes.as_slice()).collect();
    let source = assemble(parse_instances(&bytes).unwrap()).unwrap();
    let acquired = assemble(read_folder(&first.join("series")).unwrap()).unwrap();
    assert_eq!(acquired.volume.data(), source.volume.data());
    assert_eq!(acquired.volume.grid().axes(), source.volume.grid().axes());
    for file in files_in(&first.join("series")).iter().chain(&files_in(&first.join("results"))) {
        assert_eq!(dciodvfy(file), Vec::<String>::new(), "{}", file.display());
    }
    // The structure set lies on the new derived slices.
    let (sets, slices): (Vec<_>, Vec<_>) =
        exported.iter().filter(|(n, _)| n.starts_with("results/")).partition(|(n, _)| n.contains("structure_set"));
    let slices: Vec<&[u8]> = slices.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let planes = assemble(parse_instances(&slices).unwrap()).unwrap();
    let set = read_rtstruct(sets[0].1).unwrap();
    assert!(set.roi("Brainstem").unwrap().plane_contours(&planes).unwrap().len() > 5);

    let told: Value = serde_json::from_slice(&exported["case.json"]).unwrap();
    assert_eq!(told["state"], "delivered");
    assert_eq!((&told["reviews"][0]["rating"], &told["reviews"][0]["reviewer"]), (&"minor".into(), &1.into()));
    assert_eq!(told["structures"].as_array().unwrap().len(), 12);

    // The way back stays in the state directory, for its owner alone.
    let maps = files_in(&t.blobs_dir().parent().unwrap().join("exports"));
    assert_eq!((maps.len(), maps[0].metadata().unwrap().permissions().mode() & 0o777), (1, 0o600));
    let map: Value = serde_json::from_slice(&std::fs::read(&maps[0]).unwrap()).unwrap();
    let image = read_header(&exported["series/0001.dcm"]).unwrap();
    let back = map["uids"].as_object().unwrap().iter().find(|(_, new)| *new == image.instance.as_str()).unwrap().0;
    assert!(old.contains(back));
    assert_eq!(map["patient"], image.patient_id.reveal().as_str());

    // Again: the same objects. With characteristics: more of them. Each is in the audit trail.
    assert_eq!(export(&id, &config, &second, &[]).await.0, Some(0));
    assert!(all_below(&second) == exported);
    let third = work.path().join("third");
    assert_eq!(export(&id, &config, &third, &["--keep-characteristics"]).await.0, Some(0));
    assert!(all_below(&third)["series/0001.dcm"] != exported["series/0001.dcm"]);
    let exports: Vec<(Value,)> = sqlx::query_as("select detail from audit where event = 'case_exported' order by id")
        .fetch_all(&mut t.sql().await)
        .await
        .unwrap();
    let asked: Vec<&Value> = exports.iter().map(|(detail,)| &detail["characteristics"]).collect();
    assert_eq!(asked, [&Value::from(false), &Value::from(false), &Value::from(true)]);
    assert!(exports[0].0["user"].as_str().unwrap().starts_with("uid "));
    assert_eq!(t.pg.verify_audit(&[]).await.unwrap().broken, 0);

    let (status, said) = export(&id, &config, &first, &[]).await;
    assert!(status == Some(64) && said.contains("is not an empty folder"), "{said}");
    let other = uuid::Uuid::nil().to_string();
    let (status, said) = export(&other, &config, &work.path().join("fourth"), &[]).await;
    assert!(status == Some(2) && said.contains("there is no case"), "{said}");
    running.daemon.stop().await;
}
