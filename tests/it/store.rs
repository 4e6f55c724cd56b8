//! The store against a real PostgreSQL server of its own; the tests are in the files of their subject.

mod audit;
mod backup;
mod clock;
mod confirm;
mod intake;
mod jobs;
mod models;
mod outbox;
mod planning;
mod purge;
mod release;
mod releases;
mod retry;
mod server;

use std::ops::Deref;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contourd::anatomy::Structure;
use contourd::ids::{AeTitle, InstanceUid, Phi, SeriesUid, StudyUid, sha256_hex};
use contourd::store::{
    Arrival, Asked, Attempt, Beforehand, BlobKey, CaseResult, CaseRole, CaseState, ChainHead, ClaimedJob, Confirmation,
    ErrorClass, Finished, Incoming, Intake, Judgement, KeepTimes, KnownInstance, NewInstance, NewResult, NewReview,
    NewStructure, OutboxState, PatientText, PgStore, PlanningOutcome, PlanningState, PriorSet, Rating, ResultKind,
    Store, StoreConfig, StoreError, backup, restore,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{logged_of_patients, read_log};

const LEASE: Duration = Duration::from_secs(60);

/// A store in a directory of its own; the server ends with it.
pub struct TestStore {
    store: Option<Arc<Store>>,
    dir: tempfile::TempDir,
}

impl TestStore {
    pub async fn new() -> Self {
        Self::below("state").await
    }

    /// In a directory of that name, made on the way.
    async fn below(name: &str) -> Self {
        read_log();
        let dir = tempfile::tempdir().unwrap();
        // The server of root's runs as another user, who must be able to pass through.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let store = Store::open(&config(&dir.path().join(name))).await.unwrap();
        Self { store: Some(Arc::new(store)), dir }
    }

    pub fn share(&self) -> Arc<Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    /// As after the death of the daemon: nothing was closed, and its lock is gone.
    pub async fn killed_and_opened_again(&mut self) {
        let old = Arc::into_inner(self.store.take().unwrap()).expect("somebody still uses the store");
        drop(old);
        let store = Store::open(&config(&self.state_dir())).await.unwrap();
        self.store = Some(Arc::new(store));
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn blobs_dir(&self) -> PathBuf {
        self.state_dir().join("blobs")
    }

    /// The private server as a configured database: by its own socket.
    pub fn url(&self) -> String {
        let options = self.cluster().unwrap().options("contourd");
        let socket = options.get_socket().unwrap().display().to_string().replace('/', "%2F");
        format!("postgres://{}@localhost:{}/contourd?host={socket}", options.get_username(), options.get_port())
    }

    /// A connection beside the store's, for what the store does not let one do.
    pub async fn sql(&self) -> PgConnection {
        PgConnection::connect_with(&self.cluster().unwrap().options("contourd")).await.unwrap()
    }
}

impl Deref for TestStore {
    type Target = Store;
    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if let Some(cluster) = self.store.as_ref().and_then(|store| store.cluster()) {
            let _ = cluster.stop();
        }
        if !std::thread::panicking() {
            assert_eq!(logged_of_patients(), Vec::<String>::new(), "a patient is in the log");
        }
    }
}

fn config(state_dir: &Path) -> StoreConfig {
    StoreConfig { state_dir: state_dir.to_owned(), connections: 8, ..StoreConfig::default() }
}

fn uid(n: u32) -> InstanceUid {
    InstanceUid::parse(&format!("1.2.826.7.{n}")).unwrap()
}

fn arrival(series: &str) -> Arrival {
    let title = |t| AeTitle::parse(t).unwrap();
    Arrival {
        study: StudyUid::parse("1.2.826.1").unwrap(),
        series: SeriesUid::parse(series).unwrap(),
        frame: None,
        modality: "MR".into(),
        series_description: "T1".into(),
        patient_id: PatientText(Phi::new("4711".into())),
        patient_name: PatientText(Phi::new("Doe^Jane".into())),
        calling: title("MR1"),
        called: title("CONTOURD"),
        route: "all".into(),
        role: CaseRole::Contours,
        priority: 5,
        models: Vec::new(),
    }
}

/// Instance `n` of a series with some content.
fn instance(series: &str, n: u32, content: &str) -> NewInstance {
    let (arrival, sha256) = (arrival(series), sha256_hex(content.as_bytes()));
    NewInstance {
        blob_key: BlobKey::instance(&arrival.series, &uid(n), &sha256).as_str().to_owned(),
        arrival,
        instance: uid(n),
        sop_class: "1.2.840.10008.5.1.4.1.1.4".into(),
        transfer_syntax: "1.2.840.10008.1.2.1".into(),
        sha256,
        byte_count: content.len() as u64,
        plane: None,
        announced: None,
        acquisition: None,
    }
}

async fn take(store: &Store, series: &str, n: u32) -> (Uuid, i32) {
    match store.pg.accept_instance(&instance(series, n, "pixels")).await.unwrap() {
        Intake::Stored { case, revision } => (case, revision),
        other => panic!("{other:?}"),
    }
}

/// Queues every series that has been silent for `quiet`, whatever its images say; answers the cases.
pub async fn queue_silent(pg: &PgStore, quiet: Duration) -> Vec<Uuid> {
    let judge = |series: &Incoming| match series.silent >= quiet {
        true => Judgement::Complete("silence".into()),
        false => Judgement::Waits(None),
    };
    pg.queue_complete(Duration::ZERO, judge).await.unwrap().into_iter().map(|(case, _)| case).collect()
}

/// A series of three instances, complete and claimed.
async fn claimed(store: &Store, series: &str, holder: Uuid) -> ClaimedJob {
    let base = series.len() as u32 * 100;
    for n in 0..3 {
        take(store, series, base + n).await;
    }
    assert_eq!(queue_silent(&store.pg, Duration::ZERO).await.len(), 1);
    store.pg.claim_job(holder, LEASE).await.unwrap().unwrap()
}

/// The result with all its objects sent to these destinations.
fn going_to(result: &CaseResult, destinations: &[String]) -> CaseResult {
    let results = result.results.iter().cloned();
    let results = results.map(|made| NewResult { destinations: destinations.to_vec(), ..made }).collect();
    CaseResult { results, ..result.clone() }
}

/// A result of `slices` derived slices and a structure set, its bytes in the blobs.
async fn made(store: &Store, case: Uuid, slices: u32, salt: &str) -> CaseResult {
    let mut results = Vec::new();
    for n in 0..=slices {
        let bytes = Bytes::from(format!("{salt} object {n}"));
        let (sha256, instance) = (sha256_hex(&bytes), InstanceUid::derive(&[salt, &n.to_string()]));
        let key = BlobKey::result(case, &instance, &sha256);
        store.blobs.put(&key, bytes.clone()).await.unwrap();
        results.push(NewResult {
            kind: if n == slices { ResultKind::StructureSet } else { ResultKind::DerivedImage },
            sop_class: "1.2.840.10008.5.1.4.1.1.4".into(),
            instance,
            series: SeriesUid::derive(&[salt]),
            blob_key: key.as_str().into(),
            sha256,
            byte_count: bytes.len() as u64,
            profile: "generic".into(),
            destinations: Vec::new(),
        });
    }
    let structures = Structure::ALL.into_iter().map(|structure| NewStructure {
        structure,
        volume_cc: (structure != Structure::Lens_R).then_some(1.5),
        agreement: Some(0.9),
        report: json!({}),
        contours: json!([]),
    });
    CaseResult {
        model_name: "m".into(),
        model_digest: "d".into(),
        config_digest: "c".into(),
        report: json!({}),
        structures: structures.collect(),
        results,
        held: None,
    }
}

fn to(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

/// What is due at a destination, by SOP Instance UID.
async fn due(store: &Store, holder: Uuid, destination: &str) -> Vec<(i64, String)> {
    let delivery = store.pg.claim_delivery(holder, destination, LEASE, 100).await.unwrap();
    delivery.map(|d| d.items.into_iter().map(|i| (i.outbox_id, i.sop_instance_uid)).collect()).unwrap_or_default()
}

fn accepted() -> Attempt {
    Attempt::Accepted { remark: None, ask: true }
}

/// Everything is accepted, and its commitment follows at once.
async fn accept(store: &Store, case: Uuid, holder: Uuid, items: &[(i64, String)]) {
    let ids: Vec<i64> = items.iter().map(|(id, _)| *id).collect();
    let all: Vec<_> = ids.iter().map(|id| (*id, accepted())).collect();
    store.pg.record_attempts(case, holder, &all).await.unwrap();
    commit(store, case, &ids).await;
}

async fn commit(store: &Store, case: Uuid, ids: &[i64]) {
    let kept: Vec<_> = ids.iter().map(|id| (*id, Asked::Kept(Confirmation::Committed))).collect();
    store.pg.record_asked(case, &kept, None).await.unwrap();
}

async fn state(store: &Store, case: Uuid) -> CaseState {
    store.pg.case(case).await.unwrap().unwrap().state
}
