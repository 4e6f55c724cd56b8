//! The daemon between real associations on both sides, with a real database; only the networks' place is taken by a
//! known mask. Named by promise. The tests are in the files of their subject.

mod audit;
mod comparing;
pub mod confirming;
mod delivering;
mod described;
mod dicomweb;
mod exporting;
mod fetching;
mod models;
mod notice;
mod planning;
mod receiving;
mod routing;
mod working;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use contourd::anatomy::Structure;
use contourd::contour::{ContourConfig, contours_of};
use contourd::dicom::data::{
    DerivedSeriesMeta, EncodedInstance, RoiContours, Series, StructureSetMeta, assemble, derived_axial_series,
    is_own_object, parse_instances, part10_file, read_folder, read_received_header, read_rtstruct, write_rtstruct,
};
use contourd::dicom::net::{
    CommitmentReport, CommitmentVerdict, Destination, Doors, FailureReason, Inbox, ObjectToSend, PeersRequest,
    Received, ScpConfig, SendOutcome, StoreVerdict, send, serve,
};
use contourd::domain::Verdict;
use contourd::geometry::{Grid, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::{AeTitle, FrameOfReferenceUid};
use contourd::inference::{InferenceError, Plane};
use contourd::routing::Priority;
use contourd::service::{
    AuditConfig, Confirm, Daemon, DestinationConfig, Order, Otherwise, Package, Report, RouteConfig, SegmentError,
    Segmentation, Segmenter, ServiceConfig, StructureReport, SyslogConfig, Wanted,
};
use contourd::store::{Case, CaseState, OutboxState, Retried};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::store::TestStore;
use super::support::{mr_series_called, run};

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
    /// Attempts that end because the networks cannot run.
    short_of_memory: AtomicUsize,
    /// Whether the image is to be held for a person.
    strange: AtomicBool,
    /// Faults of the worker itself, beside the segmentation.
    worker_faults: AtomicUsize,
}

fn count_down(faults: &AtomicUsize) -> bool {
    faults.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

impl Segmenter for Threshold {
    fn config_digest(&self) -> String {
        if std::thread::current().name() != Some("segment") && count_down(&self.worker_faults) {
            panic!("a fault of the worker for this test");
        }
        "c".repeat(64)
    }

    fn contours(&self) -> ContourConfig {
        ContourConfig::default()
    }

    fn segment(&self, series: &Series, model: Option<&str>, order: &Order) -> Result<Segmentation, SegmentError> {
        // Two models side by side: they find the same and are not the same.
        let name = model.unwrap();
        assert!(["bright", "brighter"].contains(&name), "{name}");
        let digest = contourd::ids::sha256_hex(name.as_bytes());
        self.runs.fetch_add(1, Ordering::SeqCst);
        while self.stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if count_down(&self.panics) {
            panic!("a fault for this test");
        }
        if count_down(&self.short_of_memory) {
            return Err(InferenceError::Network { plane: Plane::Axial, reason: "out of memory".into() }.into());
        }
        let meta = DerivedSeriesMeta {
            research: true,
            model_digest: digest.clone(),
            config_digest: self.config_digest(),
            revision: order.revision,
            finest_pixel: 0.5,
            created: order.created,
        };
        let derived = if series.near_axial(0.9) { None } else { Some(derived_axial_series(series, &meta)?) };
        let planes = derived.as_ref().map_or(series, |(planes, _)| planes);
        let mask: Mask = planes.volume.map(|value| *value > 500.0);
        let contours = contours_of(&mask, &ContourConfig::default())?;
        let structure = Structure::Brainstem;
        let roi = RoiContours {
            roi: structure.into(),
            contours: contours.clone(),
            volume_cc: mask.cc(),
            description: String::new(),
        };
        let Wanted { profile, predecessor } = &order.wanted[0];
        let meta = StructureSetMeta {
            label: "AI RESEARCH".into(),
            research: true,
            model_name: name.into(),
            model_digest: digest.clone(),
            config_digest: self.config_digest(),
            revision: order.revision,
            predecessor: predecessor.clone(),
            carried: None,
            created: order.created,
        };
        let structure_set = write_rtstruct(planes, &[roi], &meta, profile)?;
        let structures = Structure::ALL.into_iter().map(|s| StructureReport {
            structure: s,
            colour: Some(s.colour()),
            found: s == structure,
            volume_cc: if s == structure { mask.cc() } else { 0.0 },
            agreement: None,
            contours: 0,
            voxels_filled: 0,
            voxels_dropped: 0,
            effects: Vec::new(),
            flags: Vec::new(),
            light: None,
            reasons: Vec::new(),
            evidence: Default::default(),
        });
        let report = Report {
            notice: "Research use only, not reviewed".into(),
            model: name.into(),
            model_digest: digest,
            execution: "cpu".into(),
            derived_axial: derived.is_some(),
            warnings: series.warnings.clone(),
            domain: self.strange.load(Ordering::SeqCst).then(|| Verdict {
                reasons: vec!["bone is brighter than brain".into(), "no air".into()],
                measures: Vec::new(),
            }),
            structures: structures.collect(),
            derived: Vec::new(),
            seconds: Vec::new(),
        };
        let contours = BTreeMap::from([(structure, contours)]);
        let (derived_series, derived) = derived.map_or((None, Vec::new()), |(s, objects)| (Some(s), objects));
        let package = Package { profile: profile.name.clone(), structure_set, segmentation: None, derived };
        Ok(Segmentation { packages: vec![package], derived_series, contours, report })
    }
}

/// What the PACS says to an object.
type Judge = Box<dyn Fn(&Received, &[Received]) -> StoreVerdict + Send + Sync>;

/// A PACS: keeps what it accepts, in order, and commits what it keeps.
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

    async fn commitment_requested(&self, _: PeersRequest) -> CommitmentVerdict {
        CommitmentVerdict::Taken
    }

    async fn commitment_answer(&self, asked: &PeersRequest) -> Option<CommitmentReport> {
        let names = self.names();
        let references = asked.request.references.iter().cloned();
        let (committed, failed): (Vec<_>, Vec<_>) = references.partition(|r| names.contains(&r.instance.to_string()));
        let failed = failed.into_iter().map(|r| (r, FailureReason::NO_SUCH_INSTANCE)).collect();
        Some(CommitmentReport { transaction: asked.request.transaction.clone(), committed, failed })
    }
}

impl Pacs {
    fn new(judge: impl Fn(&Received, &[Received]) -> StoreVerdict + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), asked: AtomicUsize::new(0), judge: Box::new(judge) })
    }

    fn accepting() -> Arc<Self> {
        Self::new(|_, _| StoreVerdict::Stored)
    }

    fn listen(self: &Arc<Self>, listener: TcpListener) -> CancellationToken {
        self.listen_as("PACS", listener)
    }

    fn listen_as(self: &Arc<Self>, ae_title: &str, listener: TcpListener) -> CancellationToken {
        let config = ScpConfig { ae_title: title(ae_title), ..ScpConfig::default() };
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(Doors::plain(listener), config, Arc::clone(self), shutdown.clone()));
        shutdown
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
    start_with(t, pacs_port, segmenter, "bright", listener)
}

fn start_with<S: Segmenter>(
    t: &TestStore,
    pacs_port: u16,
    segmenter: &Arc<S>,
    model: &str,
    listener: TcpListener,
) -> Running {
    launch(t, config(pacs_port, model), segmenter, listener)
}

/// A route without a rule for what a title sends.
fn route(name: &str, from: &str, model: &str) -> RouteConfig {
    RouteConfig {
        name: name.into(),
        called_ae: None,
        calling_ae: Some(title(from)),
        when: None,
        model: Some(model.into()),
        models: Vec::new(),
        priority: Priority::default(),
        destinations: vec!["archive".into()],
        notices_to: Vec::new(),
        planning_ct: false,
        structure_sets: false,
    }
}

fn start_on<S: Segmenter>(
    t: &TestStore,
    pacs_port: u16,
    segmenter: &Arc<S>,
    listener: TcpListener,
    routes: Vec<RouteConfig>,
    otherwise: Otherwise,
) -> Running {
    let mut config = config(pacs_port, "bright");
    config.routes = routes;
    config.receive.otherwise = otherwise;
    launch(t, config, segmenter, listener)
}

/// Two routes to a PACS that is asked for the commitment of what it accepted.
fn config(pacs_port: u16, model: &str) -> ServiceConfig {
    let routes = vec![route("head", "MR1", model), route("other", "MR3", model)];
    let mut config = ServiceConfig {
        routes,
        destinations: vec![DestinationConfig {
            name: "archive".into(),
            profile: "generic".into(),
            confirm: Confirm::Commitment,
            compare: false,
            system: Destination::new("127.0.0.1", pacs_port, "PACS").unwrap().into(),
        }],
        ..ServiceConfig::default()
    };
    config.receive.quiet_seconds = 3;
    config.receive.missing_seconds = 3;
    config.receive.min_free_mebibytes = 1;
    config.jobs.retry_seconds = 1;
    config.jobs.max_attempts = 2;
    config.jobs.drain_seconds = 0;
    config.sending.first_retry_seconds = 1;
    config.sending.longest_retry_seconds = 2;
    config
}

fn launch<S: Segmenter>(t: &TestStore, config: ServiceConfig, segmenter: &Arc<S>, listener: TcpListener) -> Running {
    assert_eq!(config.faults(), Vec::<String>::new());
    let to = Destination::new("127.0.0.1", listener.local_addr().unwrap().port(), "CONTOURD").unwrap();
    let scp = ScpConfig::default();
    let doors = Doors::plain(listener);
    let daemon = Daemon::start(t.share(), config, scp, doors, Arc::clone(segmenter), CancellationToken::new());
    Running { daemon, to }
}

fn series(uid: &str, sagittal: bool) -> Vec<EncodedInstance> {
    series_called(uid, sagittal, "T1 MPRAGE post")
}

fn series_called(uid: &str, sagittal: bool, description: &str) -> Vec<EncodedInstance> {
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
    mr_series_called(&Volume::new(grid, values).unwrap(), uid, "Doe^Jane", description)
}

/// The same images as those of a CT: SOP class, in the file meta information and in the data set, and modality.
fn as_ct(files: &mut [EncodedInstance]) {
    for file in files {
        replace(&mut file.bytes, b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.5.1.4.1.1.2\0");
        replace(&mut file.bytes, b"\x08\0\x60\0\x02\0\0\0MR", b"\x08\0\x60\0\x02\0\0\0CT");
    }
}

/// Puts bytes in the place of others, wherever they are.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{from:02x?} is not there");
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
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
