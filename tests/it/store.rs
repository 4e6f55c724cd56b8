//! The store against a real PostgreSQL server of its own.

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
    Arrival, Attempt, BlobKey, CaseResult, CaseState, ClaimedJob, ErrorClass, Finished, Intake, NewInstance, NewResult,
    NewStructure, OutboxState, PatientText, PgStore, ResultKind, Store, StoreConfig, StoreError,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
        self.store = Some(Arc::new(Store::open(&config(&self.state_dir())).await.unwrap()));
    }

    fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
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
        content_sha256: sha256.clone(),
        sha256,
        byte_count: content.len() as u64,
    }
}

async fn take(store: &Store, series: &str, n: u32) -> (Uuid, i32) {
    match store.pg.accept_instance(&instance(series, n, "pixels")).await.unwrap() {
        Intake::Stored { case, revision } => (case, revision),
        other => panic!("{other:?}"),
    }
}

/// A series of three instances, complete and claimed.
async fn claimed(store: &Store, series: &str, holder: Uuid) -> ClaimedJob {
    let base = series.len() as u32 * 100;
    for n in 0..3 {
        take(store, series, base + n).await;
    }
    assert_eq!(store.pg.queue_silent_series(Duration::ZERO).await.unwrap().len(), 1);
    store.pg.claim_job(holder, LEASE).await.unwrap().unwrap()
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

async fn accept(store: &Store, case: Uuid, holder: Uuid, items: &[(i64, String)]) {
    let accepted: Vec<_> = items.iter().map(|(id, _)| (*id, Attempt::Accepted { remark: None })).collect();
    store.pg.record_attempts(case, holder, &accepted).await.unwrap();
}

async fn state(store: &Store, case: Uuid) -> CaseState {
    store.pg.case(case).await.unwrap().unwrap().state
}

#[tokio::test]
async fn a_new_state_directory_gets_a_durable_private_server_that_keeps_its_data() {
    let mut t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let mut sql = t.sql().await;
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut sql).await.unwrap();
        assert_eq!(value, "on", "{setting}");
    }
    let tcp: String =
        sqlx::query_scalar("select current_setting('listen_addresses')").fetch_one(&mut sql).await.unwrap();
    assert_eq!(tcp, "");
    drop(sql);
    for private in ["postgres", "postgres/run", "blobs"] {
        let mode = std::fs::metadata(t.state_dir().join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{private} is open to others");
    }
    let second = Store::open(&config(&t.state_dir())).await.unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");

    t.close().await.unwrap();
    assert!(!t.cluster().unwrap().is_running());
    t.killed_and_opened_again().await;
    assert_eq!(t.pg.case(case).await.unwrap().unwrap().series_uid, "1.2.1");
}

#[tokio::test]
async fn a_long_state_directory_still_has_a_socket() {
    let t = TestStore::below(&format!("{0}/{0}", "long-name".repeat(10))).await;
    t.pg.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_left_running_by_a_killed_daemon_is_taken_over() {
    let mut t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let before = t.cluster().unwrap().postmaster().unwrap();
    t.killed_and_opened_again().await;
    assert_ne!(t.cluster().unwrap().postmaster().unwrap(), before);
    assert_eq!(state(&t, case).await, CaseState::Receiving);
}

#[tokio::test]
async fn committed_rows_survive_kill_9_of_the_server_which_is_started_again() {
    let t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let shutdown = CancellationToken::new();
    let keeper = tokio::spawn({
        let (store, shutdown) = (t.share(), shutdown.clone());
        async move { store.keep_running(shutdown).await }
    });
    for _ in 0..2 {
        let pid = t.cluster().unwrap().postmaster().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let error = t.pg.ping().await.err();
        assert!(error.is_none_or(|e| e.class() == ErrorClass::Retry), "a lost server must count as passing trouble");
        while t.pg.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(state(&t, case).await, CaseState::Receiving);
    }
    shutdown.cancel();
    keeper.await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_with_the_number_of_another_process_does_no_harm() {
    let mut t = TestStore::new().await;
    t.close().await.unwrap();
    let file = t.state_dir().join("postgres/data/postmaster.pid");
    let same_user = std::fs::metadata(file.parent().unwrap()).unwrap().uid();
    let mut other = std::process::Command::new("sleep").arg("600").uid(same_user).spawn().unwrap();
    std::fs::write(&file, format!("{}\n{}\n", other.id(), file.parent().unwrap().display())).unwrap();
    t.killed_and_opened_again().await;
    t.pg.ping().await.unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_confirmed_is_refused() {
    let t = TestStore::new().await;
    t.cluster().unwrap().stop().unwrap();
    let mut sql_conf =
        std::fs::OpenOptions::new().append(true).open(t.state_dir().join("postgres/data/postgresql.conf"));
    std::io::Write::write_all(sql_conf.as_mut().unwrap(), b"fsync = off\n").unwrap();
    // Started by hand, without the settings of the command line that the daemon would give it.
    let home = t.state_dir().join("postgres");
    let options = format!("-c listen_addresses='' -c unix_socket_directories='{}'", home.join("run").display());
    let postgres = std::fs::metadata(&home).unwrap();
    let started = std::process::Command::new(newest_pg_ctl())
        .arg("-D")
        .arg(home.join("data"))
        .arg("-l")
        .arg(home.join("log"))
        .args(["-w", "-o", &options, "start"])
        .current_dir("/")
        .uid(postgres.uid())
        .gid(postgres.gid())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(started.success());
    let refused = PgStore::open(t.cluster().unwrap().options("contourd"), 2).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotDurable { setting: "fsync", .. }), "{refused}");
    assert_eq!(refused.class(), ErrorClass::Permanent);
}

fn newest_pg_ctl() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path());
    versions.max_by_key(|v| v.file_name().unwrap().to_str().unwrap().parse::<u32>().ok()).unwrap().join("bin/pg_ctl")
}

#[tokio::test]
async fn an_instance_is_kept_once_and_other_content_is_a_conflict() {
    let t = TestStore::new().await;
    let (case, revision) = take(&t, "1.2.1", 1).await;
    assert_eq!(revision, 1);
    let again = instance("1.2.1", 1, "pixels");
    assert_eq!(t.pg.accept_instance(&again).await.unwrap(), Intake::AlreadyStored);
    assert_eq!(t.pg.accept_instance(&instance("1.2.1", 1, "other")).await.unwrap(), Intake::Conflict);
    // The same name in another series is no less a conflict, and opens no case.
    assert_eq!(t.pg.accept_instance(&instance("1.2.99", 1, "other")).await.unwrap(), Intake::Conflict);
    let cases: i64 = sqlx::query_scalar("select count(*) from cases").fetch_one(&mut t.sql().await).await.unwrap();
    assert_eq!(cases, 1);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 1);
    assert_eq!(t.pg.known_instance(&uid(1)).await.unwrap(), Some(again.content_sha256));
    assert_eq!(state(&t, case).await, CaseState::Receiving);
}

#[tokio::test]
async fn many_associations_open_one_case_and_keep_each_instance_once() {
    let t = TestStore::new().await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = t.share();
            tokio::spawn(async move { store.pg.accept_instance(&instance("1.2.1", n % 10, "pixels")).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.unwrap() {
            Intake::Stored { revision, .. } => {
                assert_eq!(revision, 1);
                stored += 1;
            }
            other => assert_eq!(other, Intake::AlreadyStored),
        }
    }
    assert_eq!(stored, 10);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_crash_between_file_and_row_leaves_an_instance_that_can_be_sent_again() {
    let mut t = TestStore::new().await;
    let new = instance("1.2.1", 1, "pixels");
    let key = BlobKey::instance(&new.arrival.series, &new.instance, &new.sha256);
    t.blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
    t.killed_and_opened_again().await;
    assert_eq!(t.pg.known_instance(&uid(1)).await.unwrap(), None);
    t.blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
    assert!(matches!(t.pg.accept_instance(&new).await.unwrap(), Intake::Stored { revision: 1, .. }));
    let row = &t.pg.instances_of("1.2.1", 1).await.unwrap()[0];
    assert_eq!(t.blobs.get(&row.blob_key, &row.sha256).await.unwrap(), "pixels");
}

#[tokio::test]
async fn a_damaged_instance_counts_on_its_case_until_it_comes_whole() {
    let t = TestStore::new().await;
    for why in ["cut short", "cut shorter"] {
        t.pg.note_refused_instance(&arrival("1.2.1"), &uid(1), &json!({"message": why})).await.unwrap();
    }
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap(), [json!({"message": "cut shorter"})]);
    assert_eq!(t.pg.refused_instances_of("1.2.2").await.unwrap(), [json!(null); 0]);
    assert_eq!(t.pg.queue_silent_series(Duration::ZERO).await.unwrap().len(), 1, "it has no case of its own");
    assert_eq!(take(&t, "1.2.1", 1).await.1, 1);
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap(), [json!(null); 0]);
}

#[tokio::test]
async fn a_series_is_queued_after_its_silence_and_opened_again_while_nobody_works_on_it() {
    let t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    assert!(t.pg.queue_silent_series(Duration::from_secs(60)).await.unwrap().is_empty());
    assert_eq!(t.pg.queue_silent_series(Duration::ZERO).await.unwrap(), [case]);
    assert!(t.pg.queue_silent_series(Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(state(&t, case).await, CaseState::Queued);
    assert_eq!(take(&t, "1.2.1", 2).await, (case, 1));
    assert_eq!(state(&t, case).await, CaseState::Receiving);
    assert!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().is_none());
    assert_eq!(t.pg.queue_silent_series(Duration::ZERO).await.unwrap(), [case]);
    assert_eq!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().unwrap().case.id, case);
}

#[tokio::test]
async fn a_late_slice_makes_a_revision_that_replaces_what_was_delivered() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await;
    let result = made(&t, first.case.id, 0, "first").await;
    t.pg.finish_job(first.case.id, holder, &result, &to(&["PACS"])).await.unwrap();
    accept(&t, first.case.id, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, first.case.id).await, CaseState::Delivered);

    let (late, revision) = take(&t, "1.2.1", 77).await;
    assert_eq!(revision, 2);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 3);
    assert_eq!(t.pg.instances_of("1.2.1", 2).await.unwrap().len(), 4);
    assert_eq!(t.pg.queue_silent_series(Duration::ZERO).await.unwrap(), [late]);
    let second = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((second.case.id, second.case.revision), (late, 2));
    assert_eq!(second.predecessor.as_deref(), Some(result.results[0].instance.as_str()));
    assert_eq!(first.predecessor, None);

    let result = made(&t, late, 0, "second").await;
    t.pg.finish_job(late, holder, &result, &to(&["PACS"])).await.unwrap();
    assert_eq!(state(&t, first.case.id).await, CaseState::Delivered, "superseded before the new one arrived");
    accept(&t, late, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, late).await, CaseState::Delivered);
    assert_eq!(state(&t, first.case.id).await, CaseState::Superseded);
}

#[tokio::test]
async fn a_slice_that_comes_during_segmentation_stops_the_incomplete_result() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let job = claimed(&t, "1.2.1", holder).await;
    let (late, revision) = take(&t, "1.2.1", 77).await;
    assert_eq!(revision, 2);
    let result = made(&t, job.case.id, 1, "first").await;
    let finished = t.pg.finish_job(job.case.id, holder, &result, &to(&["PACS"])).await.unwrap();
    assert_eq!(finished, Finished::Superseded);
    assert_eq!(state(&t, job.case.id).await, CaseState::Superseded);
    assert_eq!(due(&t, holder, "PACS").await, []);
    t.pg.queue_silent_series(Duration::ZERO).await.unwrap();
    let next = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((next.case.id, next.predecessor), (late, None));
}

#[tokio::test]
async fn an_expired_lease_goes_to_another_worker_and_the_first_one_records_nothing() {
    let t = TestStore::new().await;
    let (slow, quick) = (Uuid::new_v4(), Uuid::new_v4());
    let case = claimed(&t, "1.2.1", slow).await.case.id;
    assert!(t.pg.claim_job(quick, LEASE).await.unwrap().is_none(), "a leased job was given away");
    t.pg.extend_job(case, slow, Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let again = t.pg.claim_job(quick, LEASE).await.unwrap().unwrap();
    assert_eq!((again.case.id, again.attempt), (case, 2));

    let result = made(&t, case, 0, "slow").await;
    let lost = t.pg.finish_job(case, slow, &result, &to(&["PACS"])).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost(_)), "{lost}");
    assert!(t.pg.extend_job(case, slow, LEASE).await.is_err());
    assert!(t.pg.fail_job(case, slow, "x").await.is_err());
    assert!(!t.pg.is_own_result(&result.results[0].instance).await.unwrap());
    assert_eq!(state(&t, case).await, CaseState::Segmenting);
    let result = made(&t, case, 0, "quick").await;
    assert_eq!(t.pg.finish_job(case, quick, &result, &to(&["PACS"])).await.unwrap(), Finished::Recorded);
}

#[tokio::test]
async fn a_job_given_back_waits_and_says_why() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.retry_job(case, holder, "the disk is full", Duration::from_secs(60)).await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Queued, Some("the disk is full")));
    assert!(t.pg.claim_job(holder, LEASE).await.unwrap().is_none(), "the pause was not kept");
    let mut sql = t.sql().await;
    sqlx::query("update jobs set not_before = clock_timestamp()").execute(&mut sql).await.unwrap();
    assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().attempt, 2);
    t.pg.release_job(case, holder).await.unwrap();
    assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().attempt, 2, "a shutdown counted as an attempt");
    t.pg.refuse_job(case, holder, "a slice is missing", &json!([{"code": "missing_slice"}])).await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Refused, Some("a slice is missing")));
    assert_eq!(row.refusals[0]["code"], "missing_slice");
    assert!(row.finished_at.is_some());
}

#[tokio::test]
async fn leases_of_a_killed_daemon_do_not_hold_up_the_next_one() {
    let mut t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.killed_and_opened_again().await;
    let next = Uuid::new_v4();
    assert_eq!(t.pg.claim_job(next, LEASE).await.unwrap().unwrap().attempt, 2);
    let result = made(&t, case, 0, "r").await;
    t.pg.finish_job(case, next, &result, &to(&["PACS"])).await.unwrap();
    assert_eq!(due(&t, next, "PACS").await.len(), 1);
    assert_eq!(due(&t, Uuid::new_v4(), "PACS").await, [], "a leased delivery was given away");
    t.killed_and_opened_again().await;
    assert_eq!(due(&t, Uuid::new_v4(), "PACS").await.len(), 1);
}

#[tokio::test]
async fn a_result_is_recorded_whole_or_not_at_all() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let mut result = made(&t, case, 2, "r").await;
    let good = result.clone();
    result.results[2].instance = result.results[0].instance.clone();
    let error = t.pg.finish_job(case, holder, &result, &to(&["PACS"])).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
    let mut sql = t.sql().await;
    for count in ["select count(*) from structures", "select count(*) from results", "select count(*) from outbox"] {
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut sql).await.unwrap();
        assert_eq!(rows, 0, "{count}");
    }
    assert_eq!(state(&t, case).await, CaseState::Segmenting);
    t.pg.finish_job(case, holder, &good, &to(&["PACS", "TPS"])).await.unwrap();
    assert_eq!(t.pg.deliveries_of(case).await.unwrap().len(), 6);
    for made in &good.results {
        assert!(t.pg.is_own_result(&made.instance).await.unwrap());
    }
    assert!(!t.pg.is_own_result(&uid(1)).await.unwrap());
}

#[tokio::test]
async fn the_structure_set_waits_for_every_derived_slice_and_destinations_not_for_each_other() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 3, "r").await;
    t.pg.finish_job(case, holder, &result, &to(&["PACS", "TPS"])).await.unwrap();
    let names = |items: &[(i64, String)]| items.iter().map(|(_, uid)| uid.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = result.results.iter().map(|r| r.instance.as_str().to_owned()).collect();

    let slices = due(&t, holder, "PACS").await;
    assert_eq!(names(&slices), expected[..3]);
    accept(&t, case, holder, &slices[..2]).await;
    assert_eq!(due(&t, holder, "PACS").await, [], "a structure set went before its slices");
    accept(&t, case, holder, &slices[2..]).await;
    let set = due(&t, holder, "PACS").await;
    assert_eq!(names(&set), expected[3..]);
    accept(&t, case, holder, &set).await;
    assert_eq!(state(&t, case).await, CaseState::Delivering, "the other destination has nothing yet");

    let batch = t.pg.claim_delivery(holder, "TPS", LEASE, 2).await.unwrap().unwrap();
    assert_eq!(batch.items.len(), 2);
    let batch: Vec<_> = batch.items.into_iter().map(|i| (i.outbox_id, i.sop_instance_uid)).collect();
    accept(&t, case, holder, &batch).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert!(t.pg.deliveries_of(case).await.unwrap().iter().all(|d| d.state == OutboxState::Accepted));
}

#[tokio::test]
async fn passing_trouble_waits_in_sight_and_what_was_accepted_is_not_sent_again() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 1, "r").await;
    t.pg.finish_job(case, holder, &result, &to(&["PACS"])).await.unwrap();
    let slice = due(&t, holder, "PACS").await;
    let later = |delay| Attempt::Later { error: "cannot connect".into(), delay };
    t.pg.record_attempts(case, holder, &[(slice[0].0, later(Duration::from_secs(60)))]).await.unwrap();
    assert_eq!(due(&t, holder, "PACS").await, [], "the pause was not kept");
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some("PACS: cannot connect")));

    let mut sql = t.sql().await;
    sqlx::query("update outbox set next_attempt_at = clock_timestamp()").execute(&mut sql).await.unwrap();
    let again = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!((again.items.len(), again.items[0].attempts), (1, 2));
    // Another worker took over meanwhile; that the first one got it through is true all the same.
    accept(&t, case, Uuid::new_v4(), &slice).await;
    t.pg.record_attempts(case, holder, &[(slice[0].0, later(Duration::ZERO))]).await.unwrap();
    t.pg.record_attempts(case, holder, &[(slice[0].0, Attempt::Refused { error: "no".into() })]).await.unwrap();
    assert_eq!(t.pg.deliveries_of(case).await.unwrap()[0].state, OutboxState::Accepted);
    accept(&t, case, holder, &due(&t, holder, "PACS").await).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (CaseState::Delivered, None));
}

#[tokio::test]
async fn a_refusal_for_good_fails_the_case_in_sight_and_can_be_put_right() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 2, "r").await;
    t.pg.finish_job(case, holder, &result, &to(&["PACS", "TPS"])).await.unwrap();
    let slices = due(&t, holder, "PACS").await;
    let refused = Attempt::Refused { error: "unknown patient".into() };
    let accepted = Attempt::Accepted { remark: Some("coerced".into()) };
    t.pg.record_attempts(case, holder, &[(slices[0].0, accepted), (slices[1].0, refused)]).await.unwrap();
    assert_eq!(due(&t, holder, "PACS").await, [], "the structure set was offered without its slices");
    assert_eq!(state(&t, case).await, CaseState::Delivering, "the other destination is still open");
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!(row.state, CaseState::Failed);
    let reason = row.reason.unwrap();
    assert!(reason.contains("PACS: unknown patient") && !reason.contains("TPS"), "{reason}");
    let states: Vec<OutboxState> = t.pg.deliveries_of(case).await.unwrap().iter().map(|d| d.state).collect();
    assert_eq!(states[..3], [OutboxState::Accepted, OutboxState::Failed, OutboxState::Failed]);

    assert_eq!(t.pg.retry_deliveries(case).await.unwrap(), 2);
    let again = due(&t, holder, "PACS").await;
    assert_eq!(again, slices[1..]);
    accept(&t, case, holder, &again).await;
    accept(&t, case, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert_eq!(t.pg.retry_deliveries(case).await.unwrap(), 0);
}

#[tokio::test]
async fn a_newer_revision_waits_for_the_older_one_at_each_destination() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(first, holder, &made(&t, first, 0, "first").await, &to(&["PACS"])).await.unwrap();
    let (second, _) = take(&t, "1.2.1", 77).await;
    t.pg.queue_silent_series(Duration::ZERO).await.unwrap();
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.finish_job(second, holder, &made(&t, second, 0, "second").await, &to(&["PACS"])).await.unwrap();
    let older = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!(older.case, first);
    assert!(t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().is_none());
    t.pg.record_attempts(first, holder, &[(older.items[0].outbox_id, Attempt::Refused { error: "no".into() })])
        .await
        .unwrap();
    let newer = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!(newer.case, second);
}

#[tokio::test]
async fn a_destination_that_is_not_configured_is_named_on_the_case() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(case, holder, &made(&t, case, 0, "r").await, &to(&["PACS", "OLD"])).await.unwrap();
    t.pg.explain_waiting(&to(&["PACS"]), "not configured").await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some("OLD: not configured")));
}

#[tokio::test]
async fn what_was_written_once_cannot_be_changed() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(case, holder, &made(&t, case, 1, "r").await, &to(&["PACS"])).await.unwrap();
    let mut sql = t.sql().await;
    let review = "insert into reviews (case_id, structure, verdict, reviewer) values ($1, 'Brain', $2, 'R')";
    for verdict in ["accept", "minor"] {
        sqlx::query(review).bind(case).bind(verdict).execute(&mut sql).await.unwrap();
    }
    assert!(sqlx::query(review).bind(case).bind("perfect").execute(&mut sql).await.is_err());
    for forbidden in [
        "update reviews set verdict = 'accept'",
        "delete from reviews",
        "truncate reviews",
        "update audit set event = 'x'",
        "delete from audit",
        "truncate audit",
        "update structures set found = false, volume_cc = null",
        "delete from structures",
        "update results set sha256 = 'x'",
        "delete from results",
        "delete from outbox",
        "truncate outbox",
    ] {
        let error = sqlx::query(forbidden).execute(&mut sql).await.expect_err(forbidden);
        assert!(error.to_string().contains("append-only"), "{forbidden}: {error}");
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from reviews").fetch_one(&mut sql).await.unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn no_name_of_a_patient_reaches_log_audit_or_error() {
    let t = TestStore::new().await;
    let mut sql = t.sql().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!(row.patient_name.0.reveal(), "Doe^Jane");
    assert!(!format!("{row:?}").contains("Doe"));
    // A check that fails prints the row in its detail: it must not get into the server's log.
    assert!(sqlx::query("update cases set revision = 0").execute(&mut sql).await.is_err());
    let log = std::fs::read_to_string(t.state_dir().join("postgres/log")).unwrap();
    assert!(log.contains("violates check constraint"), "{log}");
    assert!(!log.contains("Doe"), "{log}");
    let audit: String =
        sqlx::query_scalar("select string_agg(detail::text, '') from audit").fetch_one(&mut sql).await.unwrap();
    assert!(!audit.contains("Doe") && audit.contains("1.2.1"), "{audit}");
}
