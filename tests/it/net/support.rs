//! Test peers: an SCP of ours with a recording inbox, DCMTK's tools, and sample files in every accepted syntax.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};

use contourd::dicom::net::{Doors, Inbox, Received, ScpConfig, StoreVerdict, serve};
use dicom_core::value::{C, PixelFragmentSequence};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Judge = Box<dyn Fn(&Received) -> StoreVerdict + Send + Sync>;

/// An inbox that keeps what it gets, in memory.
pub struct Shelf {
    pub kept: Mutex<Vec<Received>>,
    judge: Judge,
    /// Told whenever an object arrives, before the verdict.
    pub arrived: Notify,
    /// When set, no verdict is given before it is told.
    gate: Option<Notify>,
}

impl Shelf {
    pub fn new(judge: impl Fn(&Received) -> StoreVerdict + Send + Sync + 'static) -> Self {
        Self { kept: Mutex::default(), judge: Box::new(judge), arrived: Notify::new(), gate: None }
    }

    /// A shelf that gives no verdict before [`Shelf::open`].
    pub fn closed() -> Self {
        Self { gate: Some(Notify::new()), ..Self::default() }
    }

    /// Lets one waiting verdict out.
    pub fn open(&self) {
        self.gate.as_ref().unwrap().notify_one();
    }

    pub fn instances(&self) -> Vec<String> {
        self.kept.lock().unwrap().iter().map(|o| o.instance.to_string()).collect()
    }
}

impl Default for Shelf {
    fn default() -> Self {
        Self::new(|_| StoreVerdict::Stored)
    }
}

impl Inbox for Shelf {
    async fn store(&self, object: Received) -> StoreVerdict {
        self.arrived.notify_one();
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let verdict = (self.judge)(&object);
        self.kept.lock().unwrap().push(object);
        verdict
    }
}

/// A running SCP of ours.
pub struct Scp {
    pub port: u16,
    /// Where it speaks TLS; 0 where it does not.
    pub secure_port: u16,
    pub shelf: Arc<Shelf>,
    pub shutdown: CancellationToken,
    pub ended: JoinHandle<()>,
}

impl Scp {
    pub async fn start(config: ScpConfig, shelf: Shelf) -> Self {
        assert_eq!([config.faults(), config.peer_faults()].concat(), Vec::<String>::new());
        let config = ScpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
        let doors = Doors::open(&config).await.unwrap();
        let [port, secure_port] = <[_; 2]>::from(doors.addresses()).map(|at| at.map_or(0, |at| at.port()));
        let (shelf, shutdown) = (Arc::new(shelf), CancellationToken::new());
        let ended = tokio::spawn(serve(doors, config, shelf.clone(), shutdown.clone()));
        Self { port, secure_port, shelf, shutdown, ended }
    }

    /// `echoscu` with our title: the SCP is alive and has room.
    pub async fn is_well(&self) -> bool {
        echoscu(self.port, &["-aec", "CONTOURD"]).await.0
    }
}

/// Short limits, so that a test of them does not take long.
pub fn quick() -> ScpConfig {
    ScpConfig { request_timeout_seconds: 1, idle_timeout_seconds: 1, pdu_timeout_seconds: 1, ..ScpConfig::default() }
}

/// Runs a tool to its end: whether it succeeded, and all that it said. A tool that is not installed is a failure.
pub async fn tool(name: &str, args: &[&str]) -> (bool, String) {
    let run = tokio::process::Command::new(name).args(args).env("TCP_NODELAY", "1").output().await;
    let run = run.unwrap_or_else(|e| panic!("{name} cannot be run ({e}); ops/setup --tests installs it"));
    (run.status.success(), [run.stdout, run.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat())
}

pub async fn echoscu(port: u16, args: &[&str]) -> (bool, String) {
    let port = port.to_string();
    tool("echoscu", &[args, &["-v", "127.0.0.1", &port]].concat()).await
}

/// `storescu` to our title.
pub async fn storescu(port: u16, args: &[&str], files: &[&Path]) -> (bool, String) {
    let port = port.to_string();
    let files = files.iter().map(|f| f.to_str().unwrap()).collect::<Vec<_>>();
    tool("storescu", &[args, &["-v", "-aec", "CONTOURD", "127.0.0.1", &port], &files].concat()).await
}

/// A figure of a process's memory, in KiB: `VmRSS` is what it has, `VmHWM` the most that it ever had.
pub fn memory(process: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What `dcmdump` says of the data set of a file: every element with its whole value.
pub fn dump(file: &Path) -> String {
    let text = run("dcmdump", &["-q", "+L", file.to_str().unwrap()], file.parent().unwrap());
    let data_set = text.split("# Dicom-Data-Set").nth(1).unwrap_or_else(|| panic!("no data set in {text}"));
    data_set.lines().skip(2).collect::<Vec<_>>().join("\n")
}

fn run(name: &str, args: &[&str], directory: &Path) -> String {
    let run = Command::new(name).args(args).current_dir(directory).stderr(Stdio::piped()).output();
    let run = run.unwrap_or_else(|e| panic!("{name} cannot be run ({e}); ops/setup --tests installs it"));
    assert!(run.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// One MR image (40 columns, 24 rows, 12 of 16 bits) in one transfer syntax.
pub struct Sample {
    pub name: &'static str,
    pub syntax: &'static str,
    pub file: PathBuf,
}

pub struct Samples {
    pub directory: TempDir,
    pub all: Vec<Sample>,
}

impl Samples {
    /// DCMTK's configuration file with one profile for each sample name, and `all`.
    pub fn dcmtk_profiles(&self) -> String {
        self.directory.path().join("dcmtk.cfg").to_str().unwrap().to_owned()
    }

    pub fn file(&self, name: &str) -> &Path {
        &self.all.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no sample {name}")).file
    }
}

/// The sample files, made once by DCMTK and OpenJPEG.
pub static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let pixels = (0..24 * 40u32).flat_map(|i| ((i * 37 + i / 40 * 5) as u16 % 4096).to_le_bytes()).collect::<Vec<_>>();
    std::fs::write(here.join("pixels.rawl"), &pixels).unwrap();
    std::fs::write(here.join("mr.dump"), MR_DUMP).unwrap();
    std::fs::write(here.join("dcmtk.cfg"), dcmtk_profiles()).unwrap();
    for (name, args) in [
        ("dump2dcm", "+te mr.dump explicit.dcm"),
        ("dcmconv", "+ti explicit.dcm implicit.dcm"),
        ("dcmconv", "+td explicit.dcm deflated.dcm"),
        ("dcmcrle", "explicit.dcm rle.dcm"),
        ("dcmcjpeg", "+el explicit.dcm jpeg57.dcm"),
        ("dcmcjpeg", "+e1 explicit.dcm jpeg70.dcm"),
        ("dcmcjpls", "+el explicit.dcm jpegls.dcm"),
        ("opj_compress", "-i pixels.rawl -o pixels.j2k -n 3 -F 40,24,1,12,u"),
    ] {
        run(name, &args.split(' ').collect::<Vec<_>>(), here);
    }
    encapsulate(&here.join("explicit.dcm"), &here.join("pixels.j2k"), &here.join("jpeg2000.dcm"));
    let all = SYNTAXES.map(|(name, syntax)| Sample { name, syntax, file: here.join(name).with_extension("dcm") });
    Samples { all: all.into(), directory }
});

const SYNTAXES: [(&str, &str); 8] = [
    ("explicit", uids::EXPLICIT_VR_LITTLE_ENDIAN),
    ("implicit", uids::IMPLICIT_VR_LITTLE_ENDIAN),
    ("deflated", uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN),
    ("rle", uids::RLE_LOSSLESS),
    ("jpeg57", uids::JPEG_LOSSLESS),
    ("jpeg70", uids::JPEG_LOSSLESS_SV1),
    ("jpegls", uids::JPEGLS_LOSSLESS),
    ("jpeg2000", uids::JPEG2000_LOSSLESS),
];

/// SOP Instance UID of every sample.
pub const SAMPLE_INSTANCE: &str = "1.2.826.0.1.3680043.10.543.1.7";

const MR_DUMP: &str = "\
(0008,0005) CS [ISO_IR 100]
(0008,0016) UI =MRImageStorage
(0008,0018) UI [1.2.826.0.1.3680043.10.543.1.7]
(0008,0060) CS [MR]
(0010,0010) PN [Network^Test]
(0010,0020) LO [N-1]
(0020,000d) UI [1.2.826.0.1.3680043.10.543.1]
(0020,000e) UI [1.2.826.0.1.3680043.10.543.1.2]
(0028,0002) US 1
(0028,0004) CS [MONOCHROME2]
(0028,0010) US 24
(0028,0011) US 40
(0028,0100) US 16
(0028,0101) US 12
(0028,0102) US 11
(0028,0103) US 0
(7fe0,0010) OW =pixels.rawl
";

/// Profiles of DCMTK's tools: one for each syntax, with MR in that syntax and no other, and `all` for a storescp that
/// takes every one.
fn dcmtk_profiles() -> String {
    let each = |line: &dyn Fn(usize, &str, &str) -> String| {
        SYNTAXES.iter().enumerate().map(|(n, (name, uid))| line(n + 1, name, uid)).collect::<String>()
    };
    [
        "[[TransferSyntaxes]]\n".to_owned(),
        each(&|_, name, uid| format!("[{name}]\nTransferSyntax1 = {uid}\n")),
        "[all]\n".to_owned(),
        each(&|n, _, uid| format!("TransferSyntax{n} = {uid}\n")),
        "[[PresentationContexts]]\n".to_owned(),
        each(&|_, name, _| format!("[{name}]\nPresentationContext1 = MRImageStorage\\{name}\n")),
        "[all]\nPresentationContext1 = MRImageStorage\\all\n".to_owned(),
        "PresentationContext2 = VerificationSOPClass\\implicit\n".to_owned(),
        "[[Profiles]]\n".to_owned(),
        each(&|_, name, _| format!("[{name}]\nPresentationContexts = {name}\n")),
        "[all]\nPresentationContexts = all\n".to_owned(),
    ]
    .concat()
}

/// Puts a JPEG 2000 codestream in the place of the pixels (DCMTK has no encoder for it).
fn encapsulate(source: &Path, codestream: &Path, target: &Path) {
    let mut object = dicom_object::open_file(source).unwrap();
    let mut stream = std::fs::read(codestream).unwrap();
    stream.resize(stream.len().next_multiple_of(2), 0);
    let pixels = PixelFragmentSequence::new(C::<u32>::new(), vec![stream]);
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, pixels));
    object.update_meta(|meta| meta.transfer_syntax = uids::JPEG2000_LOSSLESS.to_owned());
    object.write_to_file(target).unwrap();
}
