//! What strangers may hand to contourd, damaged at random for a few seconds a target, in a process whose memory is
//! limited. For longer, guided by coverage: `ops/fuzz`, with the same targets (`tests/fuzz/targets.rs`) and seeds.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contourd::contour::{ContourConfig, contours_of};
use contourd::dicom::data::{
    Profile, RoiContours, Segment, StructureSetMeta, assemble, parse_instances, read_received, read_registration,
    read_rtstruct, read_segmentation, write_rtstruct, write_segmentation,
};
use contourd::dicom::net::{CommitmentRequest, Destination, SopReference, echo, request_commitment, send};
use contourd::geometry::Mask;
use contourd::ids::{AeTitle, TransactionUid};
use contourd::phantom::Rng;
use time::macros::datetime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::net::sending::object;
use crate::net::support::{SAMPLE_INSTANCE, SAMPLES, Scp, Shelf};
use crate::support::{RegistrationOf, registration, run};
use targets::{SERIES, TARGETS};

/// Says to a process that it is the one with little memory.
const WITHIN: &str = "CONTOURD_FUZZ_WITHIN_LIMITS";
/// Address space of that process: the private database's server has the same for itself.
const MOST_MEMORY: u64 = 4 << 30;
/// For each target.
const SECONDS: u64 = 10;

/// What crashed once, by target: `fixtures/fuzz/<target>/<what it was>`.
fn crashes(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fuzz").join(target);
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

/// Where `ops/fuzz` finds the seeds.
fn seed_folder(target: &str) -> PathBuf {
    let build = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    build.join("fuzz/seeds").join(target)
}

fn a_registration() -> Vec<u8> {
    let of = RegistrationOf {
        instance: "1.2.3",
        study: "1.2",
        patient_id: "ID",
        made: ["20260102", "101112"],
        registered: "1.2.4",
        kind: "RIGID",
    };
    let same = std::array::from_fn(|n| if n % 5 == 0 { 1.0 } else { 0.0 });
    registration(&of, &[("1.2.5", same), ("1.2.4", same)]).bytes
}

/// A structure set and a segmentation of the small series.
fn results() -> [Vec<u8>; 2] {
    let series = assemble(parse_instances(&SERIES).unwrap()).unwrap();
    let mask: Mask = series.volume.map(|value| *value > 500.0);
    let meta = StructureSetMeta {
        label: "AI".into(),
        research: true,
        model_name: "model".into(),
        model_digest: "1".repeat(64),
        config_digest: "2".repeat(64),
        revision: 1,
        predecessor: None,
        carried: None,
        created: datetime!(2026-01-02 03:04:05),
    };
    let structure = contourd::anatomy::Structure::Brainstem;
    let contours = contours_of(&mask, &ContourConfig::default()).unwrap();
    let roi = RoiContours { roi: structure.into(), contours, volume_cc: mask.cc(), description: "said".into() };
    let segment = Segment { structure, roi: structure.into(), mask: &mask, description: "said".into() };
    let set = write_rtstruct(&series, &[roi], &meta, &Profile::generic()).unwrap();
    let segmentation = write_segmentation(&series, &[segment], &meta, &Profile::generic()).unwrap();
    [set.bytes, segmentation.bytes]
}

/// What a caller of ours sends to an SCP of ours, as it travels.
async fn conversation(of: impl AsyncFn(Destination)) -> Vec<u8> {
    let scp = Scp::start(Default::default(), Shelf::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&heard);
    let passing = tokio::spawn(async move {
        let (caller, _) = listener.accept().await.unwrap();
        let called = TcpStream::connect(("127.0.0.1", scp.port)).await.unwrap();
        let ((mut from_caller, mut to_caller), (mut from_called, mut to_called)) =
            (caller.into_split(), called.into_split());
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_called, &mut to_caller).await });
        let mut some = [0; 4096];
        while let Ok(n @ 1..) = from_caller.read(&mut some).await {
            record.lock().unwrap().extend_from_slice(&some[..n]);
            if to_called.write_all(&some[..n]).await.is_err() {
                break;
            }
        }
        drop(to_called);
        let _ = back.await;
    });
    of(Destination::new("127.0.0.1", port, "CONTOURD").unwrap()).await;
    passing.await.unwrap();
    let heard = heard.lock().unwrap().clone();
    assert!(heard.len() > 200, "{} bytes were heard", heard.len());
    heard
}

async fn conversations() -> Vec<Vec<u8>> {
    let us = AeTitle::parse("MR1").unwrap();
    let mut all = vec![conversation(async |to| echo(&to, &us).await.unwrap()).await];
    let images = ["explicit", "implicit", "rle"].map(|name| object(SAMPLES.file(name), SAMPLE_INSTANCE));
    all.push(conversation(async |to| assert_eq!(send(&to, &us, &images).await.unwrap().len(), 3)).await);
    let references =
        vec![SopReference { sop_class: images[0].sop_class.clone(), instance: images[0].instance.clone() }];
    let request = CommitmentRequest { transaction: TransactionUid::fresh(), references };
    let asked = async |to| {
        let _ = request_commitment(&to, &us, &request, &Shelf::default()).await;
    };
    all.push(conversation(asked).await);
    all
}

fn requests() -> Vec<Vec<u8>> {
    let (case, json) = ("00000000-0000-4000-8000-000000000000", "content-type: application/json");
    let review = r#"{"rating":"minor","reviewer":"A. B.","comment":"too wide"}"#;
    let release = r#"{"released_by":"A. B.","reason":"it is fit"}"#;
    [
        "GET /\n\n".to_owned(),
        "GET /health\nhost: localhost:8080\n\n".to_owned(),
        "GET /api/cases\n\n".to_owned(),
        format!("GET /api/cases/{case}\n\n"),
        format!("GET /api/cases/{case}/images/3?window=500&level=200\n\n"),
        format!("POST /api/cases/{case}/structures/Brainstem/reviews\n{json}\n\n{review}"),
        format!("POST /api/cases/{case}/release\n{json}\norigin: http://localhost\n\n{release}"),
        format!("POST /api/cases/{case}/retry\n{json}\n\n{{}}"),
    ]
    .map(String::into_bytes)
    .into()
}

/// Of a DICOMweb service; the first byte says to what.
fn service_answers() -> Vec<Vec<u8>> {
    let study = r#"[{"0020000D":{"vr":"UI","Value":["1.2"]},"00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B"}]}}]"#;
    let image = r#"[{"00080018":{"vr":"UI","Value":["1.2.3"]},"00080060":{"vr":"CS","Value":["MR"]}}]"#;
    let failed = r#"{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2.3"]},
        "00081197":{"vr":"US","Value":[43264]}}]}}"#;
    let part = [b"--x\r\nContent-Type: application/dicom\r\n\r\n".as_slice(), &SERIES[0], b"\r\n--x--\r\n"].concat();
    let texts = [study, image, failed].map(|text| text.as_bytes().to_vec());
    let bodies = texts.into_iter().chain([part]);
    (0u8..).zip(bodies).map(|(to, body)| [vec![to], body].concat()).collect()
}

async fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "pdus" => conversations().await,
        "dataset" => {
            let samples = SAMPLES.all.iter().map(|sample| std::fs::read(&sample.file).unwrap());
            samples.chain([a_registration()]).chain([SERIES[0].clone()]).collect()
        }
        "series" => vec![vec![0; 6], b"\x01\x03\x00\x04abcd\x02\x02\x10\x02xy".to_vec()],
        "rtstruct" => results().into(),
        "web" => requests(),
        "card" => ["oar-head-v2", "oar-head-v3"]
            .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name).join("card.toml"))
            .iter()
            .filter_map(|path| std::fs::read(path).ok())
            .collect(),
        "answers" => service_answers(),
        _ => panic!("{target} has no seeds"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_seed_is_what_it_stands_for_and_ops_fuzz_finds_it() {
    for target in &TARGETS {
        let folder = seed_folder(target.name);
        std::fs::create_dir_all(&folder).unwrap();
        let seeds = seeds(target.name).await;
        assert!(!seeds.is_empty(), "{}", target.name);
        for (n, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{n}")), seed).unwrap();
        }
    }
    for seed in seeds("dataset").await {
        let read = read_received(&seed, 16 << 20, &[]).unwrap();
        assert!(read.damage.is_none(), "{:?}", read.damage);
    }
    read_registration(&a_registration()).unwrap();
    let [set, segmentation] = results();
    assert_eq!(read_rtstruct(&set).unwrap().rois.len(), 1);
    read_segmentation(&segmentation).unwrap();
}

/// One of the seeds, damaged in a few places.
fn damaged(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut below = |n: usize| (rng.bits() % n.max(1) as u64) as usize;
    let mut bytes = seeds[below(seeds.len())].clone();
    for _ in 0..=below(6) {
        let place = below(bytes.len() + 1);
        let length = 1 + below(8);
        let end = (place + length).min(bytes.len());
        match below(8) {
            0 => bytes.iter_mut().skip(place).take(1).for_each(|b| *b ^= 1 << below(8)),
            1 => bytes.iter_mut().skip(place).take(length).for_each(|b| *b = below(256) as u8),
            2 => bytes.iter_mut().skip(place).take(length).for_each(|b| *b = 0xFF),
            3 => bytes.iter_mut().skip(place).take(length).for_each(|b| *b = 0),
            4 => drop(bytes.drain(place..end)),
            5 => {
                let some = bytes[place..end].repeat(1 + below(50));
                bytes.splice(place..place, some);
            }
            6 => bytes.truncate(place),
            _ => {
                // The rest of another.
                let other = &seeds[below(seeds.len())];
                let from = below(other.len() + 1);
                bytes.truncate(place);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

#[test]
fn nothing_that_strangers_send_brings_it_down_within_bounded_memory() {
    if std::env::var_os(WITHIN).is_none() {
        let here = std::env::current_exe().unwrap();
        let name = "fuzz::nothing_that_strangers_send_brings_it_down_within_bounded_memory";
        let mut within = Command::new("prlimit");
        within.arg(format!("--as={MOST_MEMORY}")).arg(here).args([name, "--exact", "--nocapture"]).env(WITHIN, "1");
        let said = run(&mut within);
        for target in &TARGETS {
            assert!(said.contains(&format!("{}: ", target.name)), "{said}");
        }
        print!("{said}");
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for target in &TARGETS {
        crashes(target.name).iter().for_each(|bytes| target.try_on(bytes));
        let seeds = runtime.block_on(seeds(target.name));
        seeds.iter().for_each(|bytes| target.try_on(bytes));
        if target.name == "web" {
            // They get past the guard, to the database: a page, or no such case.
            let answered: Vec<_> = seeds.iter().map(|bytes| targets::status_of(bytes).unwrap()).collect();
            assert_eq!(answered, [200, 200, 200, 404, 404, 404, 404, 404]);
        }
        let mut rng = Rng::new(1, "damage");
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(SECONDS) {
            target.try_on(&damaged(&seeds, &mut rng));
            count += 1;
        }
        println!("{}: {count} in {SECONDS} s", target.name);
        assert!(count > 100, "{}: only {count}", target.name);
    }
    targets::clean_up();
}
