//! The daemon between real associations on both sides, with a real database; only the networks' place is taken by a
//! known mask. Named by promise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use contourd::anatomy::Structure;
use contourd::contour::{ContourConfig, contours_of};
use contourd::dicom::data::{
    DerivedSeriesMeta, EncodedInstance, MrAcquisition, MrSeriesAttributes, PatientStudy, RoiContours, Series,
    StructureSetMeta, assemble, derived_axial_series, parse_instances, read_rtstruct, write_mr_series, write_rtstruct,
};
use contourd::dicom::net::{
    Destination, Inbox, ObjectToSend, Received, ScpConfig, SendOutcome, StoreVerdict, send, serve,
};
use contourd::geometry::{Grid, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::{AeTitle, FrameOfReferenceUid, Phi, SeriesUid, StudyUid};
use contourd::service::{
    Daemon, DestinationConfig, Order, Report, RouteConfig, SegmentError, Segmentation, Segmenter, ServiceConfig,
    StructureReport,
};
use contourd::store::{Case, CaseState};
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::store::TestStore;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const RTSTRUCT: &str = "1.2.840.10008.5.1.4.1.1.481.3";

/// Takes what is brighter than a threshold for the brainstem.
#[derive(Default)]
struct Threshold {
    /// Attempts that end in a panic before one succeeds.
    panics: AtomicUsize,
    /// Holds on while set.
    stuck: AtomicBool,
    runs: AtomicUsize,
}

impl Segmenter for Threshold {
    fn config_digest(&self) -> String {
        "c".repeat(64)
    }

    fn segment(&self, series: &Series, model: Option<&str>, order: &Order) -> Result<Segmentation, SegmentError> {
        assert_eq!(model, Some("bright"));
        self.runs.fetch_add(1, Ordering::SeqCst);
        while self.stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            panic!("a fault for this test");
        }
        let meta = DerivedSeriesMeta {
            research: true,
            config_digest: self.config_digest(),
            revision: order.revision,
            created: order.created,
        };
        let derived = if series.near_axial(0.9) { None } else { Some(derived_axial_series(series, &meta)?) };
        let planes = derived.as_ref().map_or(series, |(planes, _)| planes);
        let mask: Mask = planes.volume.map(|value| *value > 500.0);
        let contours = contours_of(&mask, &ContourConfig::default())?;
        let structure = Structure::Brainstem;
        let roi =
            RoiContours { structure, contours: contours.clone(), volume_cc: mask.cc(), description: String::new() };
        let meta = StructureSetMeta {
            label: "AI RESEARCH".into(),
            research: true,
            model_name: "bright".into(),
            model_digest: "d".repeat(64),
            config_digest: self.config_digest(),
            revision: order.revision,
            predecessor: order.predecessor.clone(),
            created: order.created,
        };
        let structure_set = write_rtstruct(planes, &[roi], &meta)?;
        let structures = Structure::ALL.into_iter().map(|s| StructureReport {
            structure: s,
            found: s == structure,
            volume_cc: if s == structure { mask.cc() } else { 0.0 },
            agreement: None,
            contours: 0,
            voxels_filled: 0,
            voxels_dropped: 0,
            effects: Vec::new(),
            flags: Vec::new(),
        });
        let report = Report {
            notice: "Research use only, not reviewed".into(),
            model: "bright".into(),
            model_digest: "d".repeat(64),
            execution: "cpu".into(),
            derived_axial: derived.is_some(),
            warnings: series.warnings.clone(),
            structures: structures.collect(),
            seconds: Vec::new(),
        };
        let contours = BTreeMap::from([(structure, contours)]);
        let (derived_series, derived) = derived.map_or((None, Vec::new()), |(s, objects)| (Some(s), objects));
        Ok(Segmentation { structure_set, derived, derived_series, contours, report })
    }
}

/// What the PACS says to an object.
type Judge = Box<dyn Fn(&Received, &[Received]) -> StoreVerdict + Send + Sync>;

/// A PACS: keeps what it accepts, in order.
struct Pacs {
    kept: Mutex<Vec<Received>>,
    asked: AtomicUsize,
    judge: Judge,
}

impl Inbox for Pacs {
    async fn store(&self, object: Received) -> StoreVerdict {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut kept = self.kept.lock().unwrap();
        let verdict = (self.judge)(&object, &kept);
        if verdict == StoreVerdict::Stored {
            kept.push(object);
        }
        verdict
    }
}

impl Pacs {
    fn new(judge: impl Fn(&Received, &[Received]) -> StoreVerdict + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), asked: AtomicUsize::new(0), judge: Box::new(judge) })
    }

    fn accepting() -> Arc<Self> {
        Self::new(|_, _| StoreVerdict::Stored)
    }

    fn listen(self: &Arc<Self>, listener: TcpListener) {
        let config = ScpConfig { ae_title: title("PACS"), ..ScpConfig::default() };
        tokio::spawn(serve(listener, config, Arc::clone(self), CancellationToken::new()));
    }

    fn classes(&self) -> Vec<String> {
        self.kept.lock().unwrap().iter().map(|o| o.sop_class.clone()).collect()
    }

    fn names(&self) -> Vec<String> {
        self.kept.lock().unwrap().iter().map(|o| o.instance.to_string()).collect()
    }
}

fn title(text: &str) -> AeTitle {
    AeTitle::parse(text).unwrap()
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A daemon that sends to a PACS on `pacs_port`, and the address of its SCP.
struct Running {
    daemon: Daemon,
    to: Destination,
}

fn start(t: &TestStore, pacs_port: u16, segmenter: &Arc<Threshold>, listener: TcpListener) -> Running {
    let mut config = ServiceConfig {
        routes: vec![RouteConfig {
            name: "head".into(),
            called_ae: None,
            calling_ae: Some(title("MR1")),
            model: Some("bright".into()),
            destinations: vec!["archive".into()],
        }],
        destinations: vec![DestinationConfig {
            name: "archive".into(),
            system: Destination::new("127.0.0.1", pacs_port, "PACS").unwrap(),
        }],
        ..ServiceConfig::default()
    };
    config.receive.quiet_seconds = 1;
    config.receive.min_free_mebibytes = 1;
    config.jobs.retry_seconds = 1;
    config.jobs.max_attempts = 2;
    config.jobs.drain_seconds = 0;
    config.sending.first_retry_seconds = 1;
    config.sending.longest_retry_seconds = 2;
    assert_eq!(config.faults(), Vec::<String>::new());
    let to = Destination::new("127.0.0.1", listener.local_addr().unwrap().port(), "CONTOURD").unwrap();
    let scp = ScpConfig::default();
    let daemon = Daemon::start(t.share(), config, scp, listener, Arc::clone(segmenter), CancellationToken::new());
    Running { daemon, to }
}

fn series(uid: &str, sagittal: bool) -> Vec<EncodedInstance> {
    let frame = FrameOfReferenceUid::parse("1.2.826.9").unwrap();
    let (shape, axes, spacing) = if sagittal {
        let axes = [Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-1.0, 0.0, 0.0)];
        (Shape::new(30, 26, 12), axes, [1.0, 1.0, 1.5])
    } else {
        let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        (Shape::new(30, 22, 12), axes, [0.9, 1.1, 2.0])
    };
    let grid = Arc::new(Grid::new(frame, shape, Lps::new(-20.0, 12.0, 7.0), axes, spacing).unwrap());
    let mut values = Vec::new();
    for k in 0..shape.slices {
        for j in 0..shape.rows {
            for i in 0..shape.cols {
                let inside = (3..14).contains(&i) && (5..17).contains(&j) && (2..9).contains(&k);
                values.push(if inside { 1000.0 } else { (i + 2 * j + 3 * k) as f32 });
            }
        }
    }
    let phi = |s: &str| Phi::new(s.to_owned());
    let attributes = MrSeriesAttributes {
        patient: PatientStudy {
            study: StudyUid::parse("1.2.826.1").unwrap(),
            patient_name: phi("Doe^Jane"),
            patient_id: phi("4711"),
            issuer_of_patient_id: phi(""),
            birth_date: phi(""),
            sex: "F".into(),
            age: phi(""),
            size: phi(""),
            weight: phi(""),
            study_date: "20250102".into(),
            study_time: "101112".into(),
            study_id: phi("7"),
            accession_number: phi(""),
            referring_physician: phi(""),
            study_description: "Head".into(),
        },
        series: SeriesUid::parse(uid).unwrap(),
        series_number: 3,
        series_description: "T1".into(),
        image_type: vec!["ORIGINAL".into(), "PRIMARY".into(), "OTHER".into()],
        manufacturer: "Test".into(),
        model_name: "Scanner".into(),
        software_versions: vec!["1".into()],
        acquisition: MrAcquisition {
            scanning_sequence: vec!["GR".into()],
            sequence_variant: vec!["SP".into()],
            acquisition_type: "3D".into(),
            patient_position: "HFS".into(),
            ..MrAcquisition::default()
        },
        position_reference_indicator: String::new(),
        created: datetime!(2025-03-04 05:06:07),
        derivation: None,
        sources: Vec::new(),
    };
    write_mr_series(&Volume::new(grid, values).unwrap(), &attributes).unwrap()
}

fn objects(files: &[EncodedInstance]) -> Vec<ObjectToSend> {
    files.iter().map(|f| ObjectToSend::from_part10(&Bytes::from(f.bytes.clone())).unwrap()).collect()
}

async fn send_all(to: &Destination, objects: &[ObjectToSend]) {
    let outcomes = send(to, &title("MR1"), objects).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == SendOutcome::Stored), "{outcomes:?}");
}

async fn cases(t: &TestStore) -> Vec<Case> {
    sqlx::query_as("select * from cases order by received_at").fetch_all(&mut t.sql().await).await.unwrap()
}

/// Waits until the only case of a series is in one of the states.
async fn until(t: &TestStore, wanted: CaseState) -> Case {
    for _ in 0..600 {
        if let Some(case) = cases(t).await.pop()
            && case.state == wanted
        {
            return case;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no case became {wanted:?}: {:?}", cases(t).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_comes_back_as_one_structure_set_however_often_it_is_routed() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let segmenter = Arc::new(Threshold::default());
    let running = start(&t, pacs_port, &segmenter, own);
    let files = series("1.2.826.2", false);
    send_all(&running.to, &objects(&files)).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    let bytes: Vec<&[u8]> = files.iter().map(|f| f.bytes.as_slice()).collect();
    let source = assemble(parse_instances(&bytes).unwrap()).unwrap();
    let delivered = t.pg.deliveries_of(case.id).await.unwrap();
    assert_eq!((delivered.len(), delivered[0].attempts), (1, 1));
    assert_eq!((case.route.as_str(), case.model_name.as_deref()), ("head", Some("bright")));

    // What the PACS got is, byte for byte, what was recorded, and reads as what was put in.
    let result = {
        let kept = pacs.kept.lock().unwrap();
        ObjectToSend {
            sop_class: kept[0].sop_class.clone(),
            instance: kept[0].instance.clone(),
            transfer_syntax: kept[0].transfer_syntax.clone(),
            bytes: kept[0].dataset.clone(),
        }
    };
    let (key, sha256): (String, String) =
        sqlx::query_as("select blob_key, sha256 from results").fetch_one(&mut t.sql().await).await.unwrap();
    let recorded = t.blobs.get(&key, &sha256).await.unwrap();
    assert!(recorded.ends_with(&result.bytes));
    let set = read_rtstruct(&recorded).unwrap();
    let contours = set.roi("Brainstem").unwrap().plane_contours(&source).unwrap();
    assert_eq!(contours.iter().map(|c| c.slice).collect::<Vec<_>>(), (2..9).collect::<Vec<_>>());

    // The PACS routes everything back: images and result are acknowledged and nothing starts anew.
    send_all(&running.to, &objects(&files)).await;
    send_all(&running.to, &[result]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cases(&t).await.len(), 1);
    assert_eq!((pacs.asked.load(Ordering::SeqCst), segmenter.runs.load(Ordering::SeqCst)), (1, 1));
    let ignored: i64 = sqlx::query_scalar("select count(*) from audit where event = 'own_object_ignored'")
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    assert_eq!(ignored, 1);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_structure_set_follows_the_last_derived_slice_even_when_one_is_taken_late() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let hiccups = AtomicUsize::new(0);
    let pacs = Pacs::new(move |_, kept| {
        if kept.len() == 3 && hiccups.fetch_add(1, Ordering::SeqCst) < 2 {
            StoreVerdict::OutOfResources
        } else {
            StoreVerdict::Stored
        }
    });
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", true))).await;
    let case = until(&t, CaseState::Delivered).await;
    let classes = pacs.classes();
    assert!(classes.len() > 10);
    assert_eq!(classes.iter().position(|c| c == RTSTRUCT), Some(classes.len() - 1));
    let mut names = pacs.names();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), classes.len(), "an accepted object was sent again");
    assert!(t.pg.deliveries_of(case.id).await.unwrap().iter().any(|d| d.attempts > 1));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_is_down_is_waited_for_in_sight() {
    let t = TestStore::new().await;
    let (down, pacs_port) = listener().await;
    drop(down);
    let (own, _) = listener().await;
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let reason = loop {
        if let Some(reason) = until(&t, CaseState::Delivering).await.reason {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(reason.starts_with("archive: cannot connect to 127.0.0.1"), "{reason}");
    let pacs = Pacs::accepting();
    pacs.listen(TcpListener::bind(("127.0.0.1", pacs_port)).await.unwrap());
    assert_eq!(until(&t, CaseState::Delivered).await.reason, None);
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_refuses_for_good_fails_the_case_and_keeps_the_result() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::new(|_, _| StoreVerdict::CannotUnderstand("unknown patient".into()));
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let case = until(&t, CaseState::Failed).await;
    assert!(case.reason.unwrap().contains("unknown patient"));
    assert_eq!(pacs.asked.load(Ordering::SeqCst), 1, "a refusal for good was repeated");
    let (key, sha256): (String, String) =
        sqlx::query_as("select blob_key, sha256 from results").fetch_one(&mut t.sql().await).await.unwrap();
    assert!(t.blobs.get(&key, &sha256).await.is_ok());
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_acknowledged_and_then_all_resumes() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    let objects = objects(&series("1.2.826.2", false));
    send_all(&running.to, &objects[..4]).await;
    let pid = i32::try_from(t.cluster().unwrap().postmaster().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let mut acknowledged: Vec<String> = objects[..4].iter().map(|o| o.instance.to_string()).collect();
    for object in &objects[4..] {
        // As a scanner does: again until it is taken.
        loop {
            let outcome = send(&running.to, &title("MR1"), std::slice::from_ref(object)).await.unwrap().remove(0);
            match outcome {
                SendOutcome::Stored => break,
                SendOutcome::Failed { status: Some(0xA700), .. } => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("{other:?}"),
            }
        }
        acknowledged.push(object.instance.to_string());
    }
    let case = until(&t, CaseState::Delivered).await;
    let kept = t.pg.instances_of(&case.series_uid, case.revision).await.unwrap();
    let mut kept: Vec<String> = kept.into_iter().map(|row| row.sop_instance_uid).collect();
    kept.sort();
    acknowledged.sort();
    assert_eq!(kept, acknowledged);
    assert_eq!((case.revision, pacs.classes()), (1, vec![RTSTRUCT.to_owned()]));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_fit_is_refused_on_the_case_with_the_reason_of_the_command_line() {
    let t = TestStore::new().await;
    let (own, _) = listener().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), own);
    let mut files = series("1.2.826.2", false);
    files.remove(5);
    send_all(&running.to, &objects(&files)).await;
    let case = until(&t, CaseState::Refused).await;
    let bytes: Vec<&[u8]> = files.iter().map(|f| f.bytes.as_slice()).collect();
    let expected = assemble(parse_instances(&bytes).unwrap()).unwrap_err();
    assert_eq!(case.reason.as_deref(), Some(expected.to_string().as_str()));
    assert_eq!(case.refusals, serde_json::to_value(&expected.0).unwrap());
    assert_eq!(case.refusals[0]["code"], "missing_slice");

    let mut cut = objects(&series("1.2.826.3", false));
    let whole = cut[4].clone();
    cut[4].bytes = cut[4].bytes.slice(..cut[4].bytes.len() - 100);
    let outcomes = send(&running.to, &title("MR1"), &cut).await.unwrap();
    let refused: Vec<usize> = (0..12).filter(|n| outcomes[*n] != SendOutcome::Stored).collect();
    assert_eq!(refused, [4], "{outcomes:?}");
    let case = until_series(&t, "1.2.826.3").await;
    assert_eq!(case.refusals[0]["code"], "truncated", "{:?}", case.reason);
    assert_eq!(case.refusals[0]["instance"], whole.instance.as_str());
    send_all(&running.to, &[whole]).await;
    while !cases(&t).await.iter().any(|c| c.series_uid == "1.2.826.3" && c.state == CaseState::Delivering) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let mut ct = objects(&series("1.2.826.4", false));
    for object in &mut ct {
        let mut data = object.bytes.to_vec();
        let at = data.windows(27).position(|w| w.starts_with(b"1.2.840.10008.5.1.4.1.1.4\0")).unwrap();
        data[at..at + 26].copy_from_slice(b"1.2.840.10008.5.1.4.1.1.2\0");
        (object.sop_class, object.bytes) = (CT.into(), data.into());
    }
    send_all(&running.to, &ct).await;
    let case = until_series(&t, "1.2.826.4").await;
    assert_eq!(case.refusals[0]["code"], "not_mr", "{:?}", case.reason);
    running.daemon.stop().await;
}

async fn until_series(t: &TestStore, series: &str) -> Case {
    for _ in 0..600 {
        let refused = cases(t).await.into_iter().find(|c| c.series_uid == series && c.state == CaseState::Refused);
        if let Some(case) = refused {
            return case;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{series} was not refused: {:?}", cases(t).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_contradict_themselves_or_what_is_known_are_refused_and_audited() {
    let t = TestStore::new().await;
    let (own, _) = listener().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), own);
    let good = objects(&series("1.2.826.2", false));
    send_all(&running.to, &good[..1]).await;
    let mut misnamed = good[1].clone();
    misnamed.instance = good[2].instance.clone();
    let mut altered = good[0].clone();
    let mut data = altered.bytes.to_vec();
    *data.last_mut().unwrap() ^= 1;
    altered.bytes = data.into();
    let mut unreadable = good[3].clone();
    unreadable.bytes = unreadable.bytes.slice(..100);
    let outcomes = send(&running.to, &title("MR1"), &[misnamed, altered, unreadable]).await.unwrap();
    let status: Vec<u16> = outcomes
        .iter()
        .map(|o| match o {
            SendOutcome::Failed { status: Some(status), .. } => *status,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(status, [0xA900, 0xA900, 0xC000]);
    let stranger = send(&running.to, &title("MR2"), &good[1..2]).await.unwrap();
    assert!(matches!(&stranger[0], SendOutcome::Failed { status: Some(0xC000), .. }), "{stranger:?}");
    let kinds: Vec<String> =
        sqlx::query_scalar("select detail->>'kind' from audit where event = 'instance_refused' order by id")
            .fetch_all(&mut t.sql().await)
            .await
            .unwrap();
    assert_eq!(kinds, ["mismatch", "conflict", "unreadable", "no_route"]);
    let case = cases(&t).await.remove(0);
    assert_eq!(t.pg.instances_of(&case.series_uid, 1).await.unwrap().len(), 1);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_attempt_and_too_many_end_the_case_in_sight() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    Pacs::accepting().listen(pacs_listener);
    let segmenter = Arc::new(Threshold { panics: AtomicUsize::new(3), ..Threshold::default() });
    let running = start(&t, pacs_port, &segmenter, own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let case = until(&t, CaseState::Failed).await;
    let reason = case.reason.unwrap();
    assert!(reason.contains("2 attempts") && reason.contains("a fault for this test"), "{reason}");
    send_all(&running.to, &objects(&series("1.2.826.3", false))).await;
    until(&t, CaseState::Delivered).await;
    assert_eq!(segmenter.runs.load(Ordering::SeqCst), 4);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_the_job_back_and_the_next_start_finishes_it() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let stuck = Arc::new(Threshold { stuck: AtomicBool::new(true), ..Threshold::default() });
    let running = start(&t, pacs_port, &stuck, listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    until(&t, CaseState::Segmenting).await;
    running.daemon.stop().await;
    let case = cases(&t).await.remove(0);
    assert_eq!(case.state, CaseState::Queued);
    assert!(case.reason.unwrap().contains("stopped"));
    stuck.stuck.store(false, Ordering::SeqCst);
    let running = start(&t, pacs_port, &stuck, listener().await.0);
    until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_slice_makes_a_second_structure_set_that_names_the_first() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    let objects = objects(&series("1.2.826.2", false));
    send_all(&running.to, &objects[..11]).await;
    until(&t, CaseState::Delivered).await;
    send_all(&running.to, &objects[11..]).await;
    while pacs.classes().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(&t, CaseState::Delivered).await;
    let all = cases(&t).await;
    let states: Vec<(i32, CaseState)> = all.iter().map(|c| (c.revision, c.state)).collect();
    assert_eq!(states, [(1, CaseState::Superseded), (2, CaseState::Delivered)]);
    let names = pacs.names();
    assert_ne!(names[0], names[1]);
    let (second, first) = (pacs.kept.lock().unwrap()[1].dataset.clone(), names[0].as_bytes());
    assert!(second.windows(first.len()).any(|w| w == first), "the first structure set is not named");
    running.daemon.stop().await;
}
