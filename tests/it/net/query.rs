//! Queries and retrievals: from DCMTK's dcmqrscp, and from a peer written by hand for what no healthy archive answers.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use contourd::dicom::net::{
    FailureClass, Key, Level, Moved, NetError, Query, ScpConfig, SendOutcome, StoreVerdict, find, find_each, move_to,
    send,
};
use contourd::ids::AeTitle;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::pdu::Pdu;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::commitment::accepted;
use super::raw::{self, Raw};
use super::sending::{StoreScp, destination, object, us};
use super::support::{SAMPLES, Scp, Shelf, tool};
use crate::system::free_port;

const STUDY: &str = "1.2.826.0.1.3680043.10.543.1";
const SERIES: &str = "1.2.826.0.1.3680043.10.543.1.2";

/// DCMTK's archive; it knows us as CONTOURD on a port.
pub struct Archive {
    pub port: u16,
    _folder: TempDir,
    _child: Child,
}

fn uid(n: usize) -> String {
    format!("1.2.826.0.1.3680043.10.543.7.{n}")
}

impl Archive {
    pub async fn empty(our_port: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let storage = folder.path().join("PACS");
        std::fs::create_dir(&storage).unwrap();
        let config = format!(
            "NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n\
             HostTable BEGIN\nus = (CONTOURD, localhost, {our_port})\nHostTable END\n\
             VendorTable BEGIN\nVendorTable END\n\
             AETable BEGIN\nPACS {} RW (10, 1024mb) ANY\nAETable END\n",
            storage.display()
        );
        let file = folder.path().join("dcmqrscp.cfg");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new("dcmqrscp")
            .args(["-c", file.to_str().unwrap(), &port.to_string()])
            .env("TCP_NODELAY", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("dcmqrscp cannot be run ({e}); ops/setup --tests installs it"));
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.is_err() {
            assert_eq!(child.try_wait().unwrap(), None, "dcmqrscp ended");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { port, _folder: folder, _child: child }
    }

    /// With five images of one series.
    async fn start(our_port: u16) -> Self {
        let archive = Self::empty(our_port).await;
        let images = TempDir::new().unwrap();
        let mut objects = Vec::new();
        for n in 1..=5 {
            let file = images.path().join(format!("{n}.dcm"));
            std::fs::copy(SAMPLES.file("implicit"), &file).unwrap();
            let change = format!("0008,0018={}", uid(n));
            let (ok, said) = tool("dcmodify", &["-nb", "-m", &change, file.to_str().unwrap()]).await;
            assert!(ok, "{said}");
            objects.push(object(&file, &uid(n)));
        }
        let outcomes = send(&destination(archive.port), &us(), &objects).await.unwrap();
        assert_eq!(outcomes, vec![SendOutcome::Stored; 5]);
        archive
    }
}

fn images() -> Query {
    Query::new(Level::Image)
        .with(Key::Study, STUDY)
        .with(Key::Series, SERIES)
        .asking(Key::Instance)
        .asking(Key::SopClass)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_tells_what_it_has_up_to_a_limit() {
    let archive = Archive::start(1).await;
    let peer = destination(archive.port);
    let all = find(&peer, &us(), &images(), 100).await.unwrap();
    let mut found: Vec<&str> = all.found.iter().map(|m| m.get(Key::Instance).unwrap()).collect();
    found.sort_unstable();
    assert_eq!(
        (found, all.cut_off),
        ((1..=5).map(uid).collect::<Vec<_>>().iter().map(String::as_str).collect(), false)
    );
    assert!(all.found.iter().all(|m| m.get(Key::SopClass).is_none()), "DCMTK's archive does not tell classes");

    // Several questions over one association: one image, none, and the series of the study.
    let one = images().with(Key::Instance, &uid(3));
    let none = images().with(Key::Instance, "1.2.3");
    let series = Query::new(Level::Series).with(Key::Study, STUDY).with(Key::Modality, "MR").asking(Key::Series);
    let answers = find_each(&peer, &us(), &[one, none, series], 10).await.unwrap();
    assert_eq!(answers.iter().map(|a| a.found.len()).collect::<Vec<_>>(), [1, 0, 1]);
    assert_eq!(answers[0].found[0].get(Key::Instance), Some(uid(3).as_str()));
    assert_eq!(answers[2].found[0].get(Key::Series), Some(SERIES));

    let some = find(&peer, &us(), &images(), 2).await.unwrap();
    assert_eq!((some.found.len(), some.cut_off), (2, true));
    // The peer is well after a cancellation.
    assert_eq!(find(&peer, &us(), &images(), 5).await.unwrap().found.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_sends_what_it_is_asked_for_and_says_what_did_not_arrive() {
    let shelf = Shelf::new(|object| match object.instance.as_str().ends_with(".4") {
        true => StoreVerdict::CannotUnderstand("asked for by the test".into()),
        false => StoreVerdict::Stored,
    });
    let ours = Scp::start(ScpConfig::default(), shelf).await;
    let archive = Archive::start(ours.port).await;
    let peer = destination(archive.port);
    let mut heard = Vec::new();
    let one = images().with(Key::Instance, &uid(2));
    let moved = move_to(&peer, &us(), &us(), &one, |so_far| heard.push(so_far.completed)).await.unwrap();
    assert_eq!(moved, Moved { completed: 1, ..Moved::default() });
    assert_eq!(ours.shelf.instances(), [uid(2)]);
    assert!(!heard.is_empty(), "no progress was told");

    let moved = move_to(&peer, &us(), &us(), &images(), |_| ()).await.unwrap();
    assert_eq!((moved.completed, moved.failed), (4, 1));
    assert_eq!(moved.failed_instances.iter().map(ToString::to_string).collect::<Vec<_>>(), [uid(4)]);

    let nobody = AeTitle::parse("NOBODY").unwrap();
    let error = move_to(&peer, &us(), &nobody, &images(), |_| ()).await.unwrap_err();
    assert!(matches!(error, NetError::Status { status: 0xA801, class: FailureClass::Setting, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_no_queries_says_so_at_once() {
    let storescp = StoreScp::start(&[]).await;
    let peer = destination(storescp.port);
    assert!(matches!(find(&peer, &us(), &images(), 1).await, Err(NetError::NotOffered(_))));
    assert!(matches!(move_to(&peer, &us(), &us(), &images(), |_| ()).await, Err(NetError::NotOffered(_))));
}

/// What the peer written by hand says to a C-FIND.
enum Say {
    /// A response of this status without a data set.
    Status(u16),
    /// A match, in one P-DATA with the final response.
    MatchAndEnd,
    /// Matches without end, whatever is cancelled.
    Flood,
    /// A match that is no data set.
    Garbage,
}

fn find_response(id: u16, status: u16, with_data: bool) -> Vec<u8> {
    raw::command(vec![
        raw::number(tags::COMMAND_FIELD, 0x8020),
        raw::number(tags::MESSAGE_ID_BEING_RESPONDED_TO, id),
        raw::number(tags::COMMAND_DATA_SET_TYPE, if with_data { 1 } else { 0x0101 }),
        raw::number(tags::STATUS, status),
        DataElement::new(tags::ERROR_COMMENT, VR::LO, "says why"),
    ])
}

fn found(instance: &str) -> Vec<u8> {
    let object = InMemDicomObject::from_element_iter([DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, instance)]);
    let mut bytes = Vec::new();
    object.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    bytes
}

async fn answer(raw: &mut Raw, say: &Say) {
    let (context, command, data) = raw.message().await;
    let id = command.element(tags::MESSAGE_ID).unwrap().to_int().unwrap();
    assert_eq!(raw::read_command(&data).element(tags::QUERY_RETRIEVE_LEVEL).unwrap().to_str().unwrap(), "IMAGE");
    let pending = find_response(id, 0xFF00, true);
    match say {
        Say::Status(status) => raw.send(&raw::command_pdu(context, &find_response(id, *status, false))).await,
        Say::MatchAndEnd => {
            use dicom_ul::pdu::PDataValueType::{Command, Data};
            let end = find_response(id, 0, false);
            let values = [(Command, pending.as_slice()), (Data, &found("1.2.3")), (Command, end.as_slice())];
            let values = values.map(|(kind, bytes)| raw::value(context, kind, true, bytes));
            raw.send(&Pdu::PData { data: values.to_vec() }).await;
        }
        Say::Flood => {
            let one = [raw::command_pdu(context, &pending), raw::data_pdu(context, &found("1.2.3"))];
            let many = one.map(|pdu| raw::encoded(&pdu)).concat().repeat(12_000);
            // It stops listening before the end.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &many).await;
        }
        Say::Garbage => {
            raw.send(&raw::command_pdu(context, &pending)).await;
            raw.send(&raw::data_pdu(context, b"no data set")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_query_has_its_meaning() {
    use FailureClass::{Permanent, Retry, Setting};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap().port());
    for (say, expected) in [
        (Say::MatchAndEnd, None),
        (Say::Status(0x0000), None),
        (Say::Status(0xA700), Some(Retry)),
        (Say::Status(0xA900), Some(Permanent)),
        (Say::Status(0xC001), Some(Retry)),
        (Say::Status(0x0124), Some(Setting)),
        (Say::Status(0x0122), Some(Setting)),
        // Nobody cancelled.
        (Say::Status(0xFE00), Some(Retry)),
        (Say::Garbage, Some(Setting)),
        (Say::Flood, Some(Setting)),
    ] {
        let peer = async {
            let (mut raw, _) = accepted(&listener).await;
            answer(&mut raw, &say).await;
            while let Some(pdu) = raw.receive().await {
                if pdu == Pdu::ReleaseRQ {
                    raw.send(&Pdu::ReleaseRP).await;
                }
            }
        };
        let query = images();
        let (answered, ()) = tokio::join!(async { find(&to, &us(), &query, 3).await }, peer);
        match (answered, expected) {
            (Ok(matches), None) => {
                let found: Vec<_> = matches.found.iter().filter_map(|m| m.get(Key::Instance)).collect();
                let wanted: &[&str] = if matches!(say, Say::MatchAndEnd) { &["1.2.3"] } else { &[] };
                assert_eq!(found, wanted);
            }
            (Err(error), Some(class)) => assert_eq!(error.class(), class, "{error}"),
            (answered, expected) => panic!("{answered:?}, not {expected:?}"),
        }
    }
}
