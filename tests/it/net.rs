//! Associations with real peers: DCMTK's storescu and echoscu against our SCP. What hostile peers do is in
//! `net/hostile.rs`, many of them at once in `net/siege.rs`, slow ones in `net/slow.rs`, who may call in `net/peers.rs`, TLS
//! in `net/tls.rs`, what we send in `net/sending.rs`, storage commitment in `net/commitment.rs`, queries in `net/query.rs`,
//! DICOMweb in `net/dicomweb.rs`, pynetdicom as the peer in `net/pynetdicom.rs`.

pub mod authority;
mod commitment;
mod dicomweb;
mod hostile;
mod peers;
mod pynetdicom;
pub mod query;
pub mod raw;
pub mod sending;
mod siege;
mod slow;
pub mod support;
mod tls;

use std::collections::BTreeSet;
use std::path::Path;

use contourd::dicom::net::{ScpConfig, StoreVerdict, TRANSFER_SYNTAXES};
use contourd::ids::AeTitle;
use dicom_object::FileMetaTableBuilder;

use support::{SAMPLES, Scp, Shelf, dump, echoscu, quick, storescu, tool};

/// Writes what was received as a file, so that DCMTK can read it.
fn write_received(object: &contourd::dicom::net::Received, file: &Path) {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(object.sop_class.as_str())
        .media_storage_sop_instance_uid(object.instance.as_str())
        .transfer_syntax(object.transfer_syntax.as_str())
        .build()
        .unwrap();
    let mut bytes = [[0; 128].as_slice(), b"DICM"].concat();
    meta.write(&mut bytes).unwrap();
    bytes.extend_from_slice(&object.dataset);
    std::fs::write(file, bytes).unwrap();
}

fn title(text: &str) -> AeTitle {
    AeTitle::parse(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn echo_is_answered() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let (ok, said) = echoscu(scp.port, &["-aec", "CONTOURD", "--repeat", "3"]).await;
    assert!(ok, "{said}");
    assert_eq!(said.matches("Received Echo Response (Success)").count(), 3, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_arrives_whole_in_every_transfer_syntax() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let profiles = SAMPLES.dcmtk_profiles();
    for sample in &SAMPLES.all {
        let (ok, said) = storescu(scp.port, &["-aet", "MR1", "-xf", &profiles, sample.name], &[&sample.file]).await;
        assert!(ok, "{}: {said}", sample.name);
        assert!(said.contains("Received Store Response (Success)"), "{}: {said}", sample.name);
        let object = scp.shelf.kept.lock().unwrap().pop().unwrap_or_else(|| panic!("{}: nothing came", sample.name));
        assert_eq!(object.transfer_syntax, sample.syntax);
        assert_eq!(object.sop_class, "1.2.840.10008.5.1.4.1.1.4");
        assert_eq!((&object.calling, &object.called), (&title("MR1"), &title("CONTOURD")));
        let received = SAMPLES.directory.path().join(format!("received-{}.dcm", sample.name));
        write_received(&object, &received);
        assert_eq!(dump(&received), dump(&sample.file), "{} was changed on the way", sample.name);
    }
    let tried = SAMPLES.all.iter().map(|s| s.syntax).collect::<BTreeSet<_>>();
    assert_eq!(tried, TRANSFER_SYNTAXES.iter().copied().collect(), "the samples are not the accepted syntaxes");
}

/// The maximum length is of P-DATA-TF alone (PS3.8 D.1): a proposal comes before the peer was told of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_proposal_is_read_however_short_the_pdus_are_that_we_offer() {
    let config = ScpConfig { max_pdu_bytes: 4096, ..ScpConfig::default() };
    let scp = Scp::start(config, Shelf::default()).await;
    // DCMTK's default proposal is of every storage class that it knows.
    let (port, file) = (scp.port.to_string(), SAMPLES.file("explicit").to_str().unwrap());
    let (ok, said) = tool("storescu", &["-d", "-aec", "CONTOURD", "127.0.0.1", &port, file]).await;
    let proposed = said.split("END A-ASSOCIATE-RQ").next().unwrap().matches("Context ID:").count();
    assert!(proposed > 60, "{proposed} contexts are no long proposal");
    assert!(ok && said.contains("0x0000: Success"), "{said}");
    // All contexts that there can be, each with many syntaxes.
    let mut peer = raw::Raw::connect(scp.port).await;
    let request = raw::full_request();
    assert!(raw::encoded(&request).len() > 300_000);
    peer.send(&request).await;
    assert!(matches!(peer.receive().await, Some(dicom_ul::pdu::Pdu::AssociationAC(_))));
    // A message in longer pieces than was offered is still refused.
    peer.send(&raw::data_pdu(raw::MR_CONTEXT, &[0; 5000])).await;
    peer.expect_abort("a P-DATA-TF longer than offered").await;
    assert!(scp.is_well().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_reaches_the_sender() {
    for (verdict, told) in [
        (StoreVerdict::Stored, "(Success)"),
        (StoreVerdict::AlreadyStored, "(Success)"),
        (StoreVerdict::OutOfResources, "(Refused: OutOfResources)"),
        (StoreVerdict::DataSetMismatch("SOP class".to_owned()), "(Error: DataSetDoesNotMatchSOPClass)"),
        (StoreVerdict::CannotUnderstand("no study".to_owned()), "(Error: CannotUnderstand)"),
        (StoreVerdict::Failure("disk".to_owned()), "(Unknown Status: 0x110)"),
    ] {
        let given = verdict.clone();
        let scp = Scp::start(ScpConfig::default(), Shelf::new(move |_| given.clone())).await;
        let (_, said) = storescu(scp.port, &[], &[SAMPLES.file("explicit")]).await;
        assert!(said.contains(told), "{verdict:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_inbox_is_a_failure_for_that_object_only() {
    let shelf = Shelf::new(|object| match object.transfer_syntax.as_str() {
        "1.2.840.10008.1.2.5" => panic!("asked for by the test"),
        _ => StoreVerdict::Stored,
    });
    let scp = Scp::start(ScpConfig::default(), shelf).await;
    let files = [SAMPLES.file("rle"), SAMPLES.file("explicit")];
    let (_, said) = storescu(scp.port, &["-nh", "-xr"], &files).await;
    assert!(said.contains("(Unknown Status: 0x110)"), "{said}");
    assert!(said.contains("(Success)"), "the second object was lost with the first: {said}");
    assert_eq!(scp.shelf.instances().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_senders_at_once_lose_nothing() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let args = |title| ["-aet", title, "+II", "--repeat", "25"];
    let file = [SAMPLES.file("explicit")];
    let (one, two) = (args("ONE"), args("TWO"));
    let (one, two) = tokio::join!(storescu(scp.port, &one, &file), storescu(scp.port, &two, &file));
    assert!(one.0 && two.0, "{}\n{}", one.1, two.1);
    for name in ["ONE", "TWO"] {
        let kept = scp.shelf.kept.lock().unwrap();
        let from = kept.iter().filter(|o| o.calling == title(name));
        assert_eq!(from.map(|o| &o.instance).collect::<BTreeSet<_>>().len(), 25, "from {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_over_the_limit_is_refused_and_the_next_one_taken() {
    let config = ScpConfig { max_object_mebibytes: 1, ..ScpConfig::default() };
    let scp = Scp::start(config, Shelf::default()).await;
    let large = SAMPLES.directory.path().join("large.dcm");
    let mut bytes = std::fs::read(SAMPLES.file("explicit")).unwrap();
    // A private element behind the pixels, explicit VR: tag, OB, reserved, length, value.
    bytes.extend_from_slice(&[0xe1, 0x7f, 0x10, 0x10, b'O', b'B', 0, 0, 0, 0, 0x20, 0]);
    bytes.resize(bytes.len() + (2 << 20), 7);
    std::fs::write(&large, bytes).unwrap();
    let (_, said) = storescu(scp.port, &["-nh"], &[&large, SAMPLES.file("explicit")]).await;
    assert!(said.contains("(Error: CannotUnderstand)"), "{said}");
    assert!(said.contains("(Success)"), "{said}");
    assert_eq!(scp.shelf.instances().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborting_sender_harms_nobody() {
    let scp = Scp::start(quick(), Shelf::default()).await;
    let (_, said) = storescu(scp.port, &["--abort"], &[SAMPLES.file("explicit")]).await;
    assert!(said.contains("Aborting Association"), "{said}");
    assert_eq!(scp.shelf.instances().len(), 1);
    assert!(scp.is_well().await);
}
