//! What strangers may hand to contourd, and where it goes: for libFuzzer (`ops/fuzz`), and for the bounded run among the
//! tests (`tests/it/fuzz.rs`). A target takes any bytes; what must never happen is a panic, here, in what it calls, or in a
//! task that serves it: then the process ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, Once};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use contourd::dicom::data::{
    assemble, parse_instances, planning_ct, read_received, read_registration, read_rtstruct, read_segmentation,
};
use contourd::dicom::dicomweb::{DicomwebService, find_each, find_study, retrieve, store};
use contourd::dicom::net::{
    CommitmentReport, CommitmentVerdict, Doors, Inbox, Key, Level, ObjectToSend, PeersRequest, Query, Received,
    STORAGE_CLASSES, ScpConfig, StoreVerdict, serve,
};
use contourd::geometry::{Grid, Lps, Shape, Vec3, Volume};
use contourd::ids::{InstanceUid, StudyUid};
use contourd::inference::Card;
use contourd::phantom::{Acquisition, DemoIdentity, demo_series};
use contourd::routing::Tag;
use contourd::store::{Store, StoreConfig};
use contourd::web::{ServiceFacts, WebConfig, WebState, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// A target with its name.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

impl Target {
    /// One execution.
    pub fn try_on(&self, bytes: &[u8]) {
        static WATCH: Once = Once::new();
        WATCH.call_once(watch);
        bytes.clone_into(&mut INPUT.lock().unwrap());
        (self.run)(bytes);
    }
}

/// What is being tried.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Decoders of compressed pixels, whose panics are caught where they are called (`dicom::data`).
const CAUGHT: [&str; 4] = ["/jpeg-decoder-", "/openjp2-", "/jpeg2k-", "/dicom-transfer-syntax-registry-"];

/// Every other panic keeps the input and ends the process.
fn watch() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|at| CAUGHT.iter().any(|name| at.file().contains(name))) {
            return;
        }
        usual(panic);
        let kept = std::env::temp_dir().join(format!("contourd-fuzz-crash-{}", std::process::id()));
        let input = INPUT.try_lock().map(|input| input.clone()).unwrap_or_default();
        eprintln!("its input is in {}: {:?}", kept.display(), std::fs::write(&kept, input));
        std::process::abort();
    }));
}

pub const TARGETS: [Target; 7] = [
    Target { name: "pdus", run: pdus },
    Target { name: "dataset", run: dataset },
    Target { name: "series", run: series },
    Target { name: "rtstruct", run: rtstruct },
    Target { name: "web", run: web },
    Target { name: "card", run: card },
    Target { name: "answers", run: answers },
];

/// As a daemon's, but smaller.
const MOST_BYTES: usize = 16 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A fresh folder for the life of this process.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("contourd-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Takes only what may be taken.
struct Strict;

impl Inbox for Strict {
    async fn store(&self, object: Received) -> StoreVerdict {
        assert!(STORAGE_CLASSES.contains(&object.sop_class.as_str()), "{} was not negotiated", object.sop_class);
        assert!(object.dataset.len() <= MOST_BYTES, "{} bytes", object.dataset.len());
        StoreVerdict::Stored
    }

    async fn commitment_requested(&self, _: PeersRequest) -> CommitmentVerdict {
        CommitmentVerdict::Taken
    }

    async fn commitment_reported(&self, _: CommitmentReport) -> CommitmentVerdict {
        CommitmentVerdict::Taken
    }
}

/// An SCP with short patience.
static SCP: LazyLock<SocketAddr> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = ScpConfig {
            max_object_mebibytes: 16,
            max_memory_mebibytes: 64,
            request_timeout_seconds: 5,
            idle_timeout_seconds: 5,
            pdu_timeout_seconds: 5,
            ..ScpConfig::default()
        };
        tokio::spawn(serve(Doors::plain(listener), config, Arc::new(Strict), CancellationToken::new()));
        address
    })
});

/// What one peer sends, from connecting to hanging up. It is read to the end of the answer.
pub fn pdus(bytes: &[u8]) {
    let address = *SCP;
    RUNTIME.block_on(async {
        let mut line = TcpStream::connect(address).await.unwrap();
        line.set_nodelay(true).unwrap();
        // The SCP may hang up before it has heard all.
        let _ = line.write_all(bytes).await;
        let _ = line.shutdown().await;
        let _ = line.read_to_end(&mut Vec::new()).await;
    });
}

/// A DICOM file as it is read on receipt, and as everything that a file may be.
pub fn dataset(bytes: &[u8]) {
    let tags = [Tag(0x0008, 0x0008), Tag(0x0018, 0x0010)];
    let _ = read_received(bytes, MOST_BYTES, &tags);
    let _ = read_registration(bytes);
    let _ = parse_instances(&[bytes]);
}

/// The instances that `series` damages: a small head of numbers, lopsided, off-centre.
pub static SERIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let identity = DemoIdentity {
        patient_name: "NAME^OF".into(),
        patient_id: "ID".into(),
        image_sha256: "0".repeat(64),
        uid_salt: String::new(),
    };
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
    let origin = Lps::new(-70.0, -50.0, 20.0);
    let grid = Grid::new(identity.frame(), Shape::new(12, 14, 16), origin, axes, [11.0, 10.0, 9.0]).unwrap();
    let values = (0..grid.shape().voxels()).map(|n| (n % 997) as f32).collect();
    let head = Volume::new(Arc::new(grid), values).unwrap();
    let images = demo_series(&head, &identity, Acquisition::Axial, None).unwrap();
    images.into_iter().map(|image| image.bytes).collect()
});

/// A small series with some of its bytes replaced: the input is a list of (instance, place, length, new bytes).
pub fn series(bytes: &[u8]) {
    let mut files = SERIES.clone();
    let mut rest = bytes;
    while let [instance, high, low, count, more @ ..] = rest {
        let (new, more) = more.split_at(usize::from(count % 16).min(more.len()));
        let count = files.len();
        let file = &mut files[usize::from(*instance) % count];
        let place = usize::from(u16::from_be_bytes([*high, *low])) % file.len().max(1);
        for (old, new) in file.iter_mut().skip(place).zip(new) {
            *old = *new;
        }
        rest = more;
    }
    if let Ok(instances) = parse_instances(&files) {
        let _ = assemble(instances);
    }
    let _ = planning_ct(&files);
}

/// A structure set, or a segmentation, of another system.
pub fn rtstruct(bytes: &[u8]) {
    let _ = read_rtstruct(bytes);
    let _ = read_segmentation(bytes);
}

/// An empty store with a private database.
static STORE: LazyLock<Store> = LazyLock::new(|| {
    let config = StoreConfig { state_dir: folder().join("state"), ..StoreConfig::default() };
    RUNTIME.block_on(Store::open(&config)).unwrap()
});

/// Stops what was started, and removes what was written. Nothing can be tried after it.
#[allow(dead_code)] // libFuzzer ends its process itself
pub fn clean_up() {
    RUNTIME.block_on(STORE.close()).unwrap();
    std::fs::remove_dir_all(folder()).unwrap();
}

/// The page over the store.
static PAGE: LazyLock<Router> = LazyLock::new(|| {
    let store = &*STORE;
    RUNTIME.block_on(async {
        let facts = ServiceFacts {
            version: "0".into(),
            provider: "none".into(),
            models: Vec::new(),
            database: "private".into(),
        };
        router(WebState::new(store.pg.clone(), store.blobs.clone(), facts, WebConfig::default()))
    })
});

/// A request: method and path in the first line, then headers, an empty line, the body.
pub fn web(bytes: &[u8]) {
    status_of(bytes);
}

/// The status of the answer; `None` for what is no request.
pub fn status_of(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(path);
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
    // Without a host that may be asked under nothing gets past the guard.
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = bytes.get(end + 2..).unwrap_or_default();
    let request = request.body(Body::from(Bytes::copy_from_slice(body))).ok()?;
    let page = PAGE.clone();
    RUNTIME.block_on(async {
        let response = page.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), MOST_BYTES).await.unwrap();
        assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
        Some(status.as_u16())
    })
}

/// What the DICOMweb service answers next: type and body.
static ANSWER: Mutex<(&str, Vec<u8>)> = Mutex::new(("", Vec::new()));

/// A DICOMweb service that gives every question that answer.
static SERVICE: LazyLock<DicomwebService> = LazyLock::new(|| {
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut line, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match line.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let (kind, body) = ANSWER.lock().unwrap().clone();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = line.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        DicomwebService::new(&url)
    })
});

/// The answer of a DICOMweb service: to a search, to a store or to a retrieval, by the first byte.
pub fn answers(bytes: &[u8]) {
    let Some((to, body)) = bytes.split_first() else { return };
    let kind = if to % 4 == 3 { "multipart/related; boundary=x" } else { "application/dicom+json" };
    *ANSWER.lock().unwrap() = (kind, body.to_vec());
    let service = &*SERVICE;
    RUNTIME.block_on(async {
        let study = StudyUid::parse("1.2").unwrap();
        match to % 4 {
            0 => drop(find_study(service, &study).await),
            1 => {
                let images = Query::new(Level::Image).with(Key::Study, "1.2").with(Key::Instance, "1.2.3");
                drop(find_each(service, &[images], 10).await);
            }
            2 => {
                let object = ObjectToSend {
                    sop_class: STORAGE_CLASSES[0].to_owned(),
                    instance: InstanceUid::parse("1.2.3").unwrap(),
                    transfer_syntax: "1.2.840.10008.1.2".to_owned(),
                    bytes: Bytes::new(),
                };
                drop(store(service, &[object]).await);
            }
            _ => drop(retrieve(service, "1.2", "1.3", MOST_BYTES).unwrap().instance("1.2.3").await),
        }
    });
}

/// A model's card.
pub fn card(bytes: &[u8]) {
    let folder = folder().join("model");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("card.toml"), bytes).unwrap();
    let _ = Card::read(&folder);
}
