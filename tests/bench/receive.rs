//! `cargo bench --bench receive [-- OBJECTS [ROUNDS]]`: how fast instances are received, beside other receivers in one
//! run: DCMTK's storescp, Orthanc and pynetdicom. One sender and eight (DCMTK's storescu) send slices of 512 x 512 pixels;
//! all sides send without delay (TCP_NODELAY), all files lie on one disk. contourd alone acknowledges only what a power cut
//! cannot undo; what the syncs for that cost on this disk, one after the other, is printed beside. Prints Markdown.

#![allow(clippy::expect_used, clippy::panic)] // a bench that cannot be set up has nothing to say

use std::fs::File;
use std::io::{Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemDicomObject;
use dicom_object::meta::FileMetaTableBuilder;

const SIDE: u16 = 512;
const SENDERS: [usize; 2] = [1, 8];

/// A receiver at work. Ended when dropped.
struct Receiver {
    name: &'static str,
    process: Child,
    port: u16,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // contourd ends its private database when it is asked to end, and not when it is killed.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

impl Receiver {
    fn start(name: &'static str, port: u16, program: &mut Command, scratch: &Path) -> Self {
        let log = File::create(scratch.join(format!("{name}.log"))).expect("a log");
        let process = program
            .env("TCP_NODELAY", "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let receiver = Self { name, process, port };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = scratch.join(format!("{name}.log"));
            assert!(start.elapsed() < Duration::from_secs(60), "{name} does not listen, see {}", log.display());
            std::thread::sleep(Duration::from_millis(100));
        }
        receiver
    }

    /// Seconds until all senders have their last answer.
    fn take(&self, folders: &[PathBuf]) -> f64 {
        let start = Instant::now();
        let senders: Vec<Child> = folders
            .iter()
            .map(|folder| {
                Command::new("storescu")
                    .env("TCP_NODELAY", "1")
                    .args(["-pdu", "131072", "-aet", "SCANNER", "-aec", "CONTOURD", "+sd", "127.0.0.1"])
                    .arg(self.port.to_string())
                    .arg(folder)
                    .stdout(Stdio::null())
                    .spawn()
                    .expect("storescu (DCMTK)")
            })
            .collect();
        for mut sender in senders {
            assert!(sender.wait().expect("storescu").success(), "{}: a sender failed", self.name);
        }
        start.elapsed().as_secs_f64()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn receivers(scratch: &Path) -> Vec<Receiver> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |name: &str| {
        let folder = scratch.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let (ours, web, dcmtk, orthanc, http, python) =
        (free_port(), free_port(), free_port(), free_port(), free_port(), free_port());
    let config = scratch.join("contourd.toml");
    let text = format!(
        "[store]\nstate_dir = {:?}\n[scp]\nlisten = \"127.0.0.1:{ours}\"\n[web]\nlisten = \"127.0.0.1:{web}\"\n\
         [receive]\nquiet_seconds = 3600\nmissing_seconds = 3600\n[models]\ndir = {:?}\ndefault = \"oar-head-v3\"\n\
         [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = {dcmtk}\nae_title = \"PACS\"\n\
         [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n",
        scratch.join("contourd"),
        root.join("models"),
    );
    std::fs::write(&config, text).expect("a configuration");
    let of_orthanc = scratch.join("orthanc.json");
    let text = format!(
        r#"{{"StorageDirectory": {0:?}, "IndexDirectory": {0:?}, "DicomPort": {orthanc}, "HttpPort": {http},
            "DicomAlwaysAllowStore": true, "DicomCheckCalledAet": false, "DicomThreadsCount": 8}}"#,
        folder("orthanc")
    );
    std::fs::write(&of_orthanc, text).expect("a configuration");
    let contourd = env!("CARGO_BIN_EXE_contourd");
    let peers = Path::new(contourd).ancestors().nth(2).expect("a build folder").join("peers");
    vec![
        Receiver::start(
            "contourd",
            ours,
            Command::new(contourd).args(["serve", "--config"]).arg(config).env_remove("CONTOURD_DATABASE_URL"),
            scratch,
        ),
        Receiver::start(
            "storescp",
            dcmtk,
            Command::new("storescp")
                .args(["--fork", "-pdu", "131072", "-od"])
                .arg(folder("storescp"))
                .arg(dcmtk.to_string()),
            scratch,
        ),
        Receiver::start("Orthanc", orthanc, Command::new("Orthanc").arg(of_orthanc), scratch),
        Receiver::start(
            "pynetdicom",
            python,
            Command::new("/usr/bin/python3")
                .env("PYTHONPATH", peers)
                .arg(root.join("tests/peers/receive.py"))
                .arg(python.to_string())
                .arg(folder("pynetdicom")),
            scratch,
        ),
    ]
}

/// Series of MR slices, one for each sender, each in a folder.
fn series(folder: &Path, round: usize, senders: usize, objects: usize) -> Vec<PathBuf> {
    let mut state = 0x2545_f491_u32.wrapping_add(round as u32);
    let pixels: Vec<u16> = (0..usize::from(SIDE) * usize::from(SIDE))
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 20) as u16
        })
        .collect();
    let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(value));
    let mut folders = Vec::new();
    for sender in 0..senders {
        let uid = format!("1.2.826.0.1.3680043.8.498.{}.{senders}.{round}.{sender}", std::process::id());
        let into = folder.join(format!("{senders}-{round}-{sender}"));
        std::fs::create_dir_all(&into).expect("a folder");
        for place in 0..objects {
            let instance = format!("{uid}.2.{place}");
            let object = InMemDicomObject::from_element_iter([
                text(tags::SOP_CLASS_UID, VR::UI, uids::MR_IMAGE_STORAGE),
                text(tags::SOP_INSTANCE_UID, VR::UI, &instance),
                text(tags::STUDY_INSTANCE_UID, VR::UI, &format!("{uid}.0")),
                text(tags::SERIES_INSTANCE_UID, VR::UI, &format!("{uid}.1")),
                text(tags::FRAME_OF_REFERENCE_UID, VR::UI, &format!("{uid}.3")),
                text(tags::PATIENT_ID, VR::LO, &format!("BENCH-{senders}-{round}-{sender}")),
                text(tags::PATIENT_NAME, VR::PN, "Bench^Receive"),
                text(tags::MODALITY, VR::CS, "MR"),
                text(tags::SERIES_DESCRIPTION, VR::LO, "T1 MPRAGE post"),
                text(tags::INSTANCE_NUMBER, VR::IS, &(place + 1).to_string()),
                text(tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("-120\\-120\\{place}")),
                text(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
                text(tags::PIXEL_SPACING, VR::DS, "0.47\\0.47"),
                text(tags::SLICE_THICKNESS, VR::DS, "1"),
                text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
                number(tags::SAMPLES_PER_PIXEL, 1),
                number(tags::ROWS, SIDE),
                number(tags::COLUMNS, SIDE),
                number(tags::BITS_ALLOCATED, 16),
                number(tags::BITS_STORED, 12),
                number(tags::HIGH_BIT, 11),
                number(tags::PIXEL_REPRESENTATION, 0),
                DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(pixels.as_slice().into())),
            ]);
            let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
            let file = object.with_meta(meta).expect("a meta table");
            file.write_to_file(into.join(format!("{place:04}.dcm"))).expect("a file");
        }
        folders.push(into);
    }
    folders
}

/// Seconds that one object's syncs take on this disk, one after the other: its file, the directory that names it, and the
/// database's log.
fn syncs(folder: &Path) -> [f64; 3] {
    const TIMES: usize = 50;
    let bytes = vec![7_u8; 2 * usize::from(SIDE) * usize::from(SIDE)];
    // As PostgreSQL's log: written into a file that has its blocks.
    let mut log = File::create(folder.join("log")).expect("a file");
    log.write_all(&vec![0_u8; TIMES * 8192]).and_then(|()| log.sync_all()).expect("a file");
    log.rewind().expect("a file");
    let mut spent = [0.0; 3];
    for time in 0..TIMES {
        let path = folder.join(format!("{time}.part"));
        let mut file = File::create(&path).expect("a file");
        file.write_all(&bytes).expect("written");
        let start = Instant::now();
        file.sync_all().expect("synced");
        spent[0] += start.elapsed().as_secs_f64();
        std::fs::rename(&path, path.with_extension("dcm")).expect("renamed");
        let start = Instant::now();
        File::open(folder).and_then(|folder| folder.sync_all()).expect("synced");
        spent[1] += start.elapsed().as_secs_f64();
        log.write_all(&bytes[..8192]).expect("written");
        let start = Instant::now();
        log.sync_data().expect("synced");
        spent[2] += start.elapsed().as_secs_f64();
    }
    spent.map(|seconds| seconds / TIMES as f64)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let (objects, rounds) = (numbers.next().unwrap_or(60), numbers.next().unwrap_or(3));
    let scratch = tempfile::tempdir_in("/tmp").expect("a folder");
    // The database runs as another user.
    std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
    let receivers = receivers(scratch.path());
    let disk = Command::new("stat").args(["-f", "-c", "%T"]).arg(scratch.path()).output().expect("stat");
    let disk = String::from_utf8_lossy(&disk.stdout).trim().to_owned();
    assert_ne!(disk, "tmpfs", "syncs cost nothing in memory");
    let bytes = f64::from(SIDE) * f64::from(SIDE) * 2.0;
    println!("{objects} objects of {:.2} MB a sender, median of {rounds} rounds, on {disk}\n", bytes / 1e6);
    println!("| senders | receiver | s | objects a second | MB a second | time beside storescp's |");
    println!("|---|---|---|---|---|---|");
    let mut of_one = [0.0; 2];
    for senders in SENDERS {
        let mut times = vec![Vec::new(); receivers.len()];
        for round in 0..rounds {
            let folders = series(&scratch.path().join("files"), round, senders, objects);
            // Each is the first one in turn.
            for place in (0..receivers.len()).map(|n| (n + round) % receivers.len()) {
                times[place].push(receivers[place].take(&folders));
            }
        }
        let times: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
        let count = (senders * objects) as f64;
        for (receiver, time) in receivers.iter().zip(&times) {
            let name = receiver.name;
            let (rate, ratio) = (count / time, time / times[1]);
            println!("| {senders} | {name} | {time:.2} | {rate:.0} | {:.0} | {ratio:.2} |", rate * bytes / 1e6);
        }
        if senders == 1 {
            of_one = [times[0], times[1]];
        }
    }
    let each = syncs(scratch.path());
    let total = each.iter().sum::<f64>();
    let [file, directory, log] = each.map(|seconds| seconds * 1e3);
    println!(
        "\nSyncs of one object, one after the other: file {file:.2} ms, directory {directory:.2} ms, log {log:.2} ms."
    );
    let allowed = of_one[1] + 1.5 * total * objects as f64;
    println!("One sender: {:.2} s; storescp's time and 1.5 times the syncs: {allowed:.2} s.", of_one[0]);
}
