//! `contourd dataset import-reviewed`: what people accepted is taught, the rest stays unknown.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use contourd::anatomy::{Class, Structure};
use contourd::ids::{InstanceUid, SeriesUid, sha256_hex};
use contourd::store::{CaseResult, NewResult, NewReview, NewStructure, Rating, ResultKind, Store, StoreConfig};
use contourd::training::check::{read_case, read_index};
use contourd::training::{ImportReport, Outcome};
use serde_json::json;
use uuid::Uuid;

use super::made::{ID, NAME, Patient};
use super::{Heard, WORKING, contourd, dice_with_truth};
use crate::store::queue_silent;
use crate::web::site::accept_all;

/// Segmented with the true contours; the right lens was not found.
async fn segment(store: &Store, patient: &Patient) -> Uuid {
    queue_silent(&store.pg, Duration::ZERO).await;
    let holder = Uuid::new_v4();
    let case = store.pg.claim_job(holder, Duration::from_secs(60)).await.unwrap().unwrap().case.id;
    let structures = Structure::ALL.into_iter().map(|structure| {
        let contours = if structure == Structure::Lens_R { Vec::new() } else { patient.contours(structure) };
        NewStructure {
            structure,
            volume_cc: (!contours.is_empty()).then_some(1.0),
            agreement: None,
            report: json!({}),
            contours: serde_json::to_value(contours).unwrap(),
        }
    });
    let set = NewResult {
        kind: ResultKind::StructureSet,
        sop_class: "1.2.840.10008.5.1.4.1.1.481.3".into(),
        instance: InstanceUid::derive(&["set"]),
        series: SeriesUid::derive(&["set"]),
        blob_key: "results/none".into(),
        sha256: sha256_hex(b"none"),
        byte_count: 4,
        profile: "generic".into(),
        destinations: Vec::new(),
    };
    let result = CaseResult {
        model_name: "m".into(),
        model_digest: "d".into(),
        config_digest: "c".into(),
        report: json!({}),
        structures: structures.collect(),
        results: vec![set],
        held: None,
    };
    store.pg.finish_job(case, holder, &result).await.unwrap();
    case
}

#[test]
fn what_every_reviewer_accepted_is_known() {
    let folder = tempfile::tempdir().unwrap();
    // The private server runs as another user, who must be able to pass through.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    let work = folder.path();
    let patient = Patient::new(51, None);
    let config = StoreConfig { state_dir: work.join("state"), ..StoreConfig::default() };
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let store = Store::open(&config).await.unwrap();
        accept_all(&store.pg, &store.blobs, &patient.images, [ID, NAME]).await;
        let case = segment(&store, &patient).await;
        let say = |structure: Structure, rating, reviewer: &str| NewReview {
            case_id: case,
            structure: structure.name().to_owned(),
            rating,
            reviewer: reviewer.into(),
            comment: "Musterfrau".into(),
            seconds_spent: None,
        };
        for review in [
            say(Structure::Brain, Rating::Accept, "A"),
            say(Structure::Eye_L, Rating::Accept, "A"),
            say(Structure::Eye_R, Rating::Minor, "A"),
            // A changed mind counts, and one who would correct it outweighs one who would not.
            say(Structure::Brainstem, Rating::Reject, "A"),
            say(Structure::Brainstem, Rating::Accept, "A"),
            say(Structure::Pituitary, Rating::Accept, "A"),
            say(Structure::Pituitary, Rating::Major, "B"),
            // One side of two.
            say(Structure::Hippocampus_L, Rating::Accept, "A"),
            say(Structure::Hippocampus_R, Rating::Major, "A"),
            say(Structure::Lens_L, Rating::Accept, "A"),
            say(Structure::Lens_R, Rating::NotAssigned, "A"),
        ] {
            store.pg.add_review(&review).await.unwrap();
        }
        store.close().await.unwrap();
    });
    std::fs::write(work.join("working.toml"), WORKING).unwrap();
    std::fs::write(work.join("contourd.toml"), format!("[store]\nstate_dir = {:?}\n", work.join("state"))).unwrap();
    let import = || {
        let mut command = contourd();
        command.args(["dataset", "import-reviewed"]);
        for (option, file) in [
            ("--config", "contourd.toml"),
            ("--store", "store"),
            ("--working", "working.toml"),
            ("--report", "report.json"),
        ] {
            command.arg(option).arg(work.join(file));
        }
        let out = command.heard();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice::<ImportReport>(&std::fs::read(work.join("report.json")).unwrap()).unwrap()
    };
    let report = import();
    assert_eq!(report.count(Outcome::Taken), 1, "{}", report.text());
    let case = &report.cases[0];
    assert_eq!(case.known, ["eye", "brainstem", "brain"], "{}", report.text());
    assert!(case.unknown["hippocampus"].contains("only the left") && case.unknown.contains_key("lens"));
    assert!(case.notes.iter().any(|n| n.contains("Pituitary")), "{:?}", case.notes);
    let store = work.join("store");
    let index = read_index(&store).unwrap();
    let dice = dice_with_truth(&store, &index.cases[0], &patient);
    println!("{dice:.4?}");
    assert!(dice[&Class::Brain] > 0.97 && dice[&Class::Eye] > 0.93 && dice[&Class::Brainstem] > 0.95, "{dice:?}");
    let whole = read_case(&store, &index, &index.cases[0]).unwrap();
    assert!(whole.labels.data().iter().all(|w| w >> whole.bits[&Class::Pituitary] & 1 == 0));
    for file in [store.join("store.json"), work.join("report.json")] {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("Musterfrau") && !text.contains(ID) && !text.contains(&patient.series_uid()), "{text}");
    }
    assert_eq!(import().count(Outcome::Held), 1);
}
