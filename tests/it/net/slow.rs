//! Peers that are slow on purpose: none keeps its place for ever. One that is slow for want of a better line is served.

use std::time::{Duration, Instant};

use contourd::dicom::net::{ScpConfig, ScpTls};
use dicom_ul::pdu::{PDataValueType, Pdu};
use tokio::io::AsyncReadExt;

use super::authority::{Authority, VALID};
use super::raw::*;
use super::support::{Scp, Shelf, quick};

/// Much longer than the limits of [`quick`], much shorter than for ever.
const SOON: Duration = Duration::from_secs(20);

/// Sends pieces, ten in a second, until the other side has enough.
async fn drip(raw: &mut Raw, pieces: impl Iterator<Item = Vec<u8>>) {
    let begin = Instant::now();
    for piece in pieces {
        if raw.try_send(&piece).await.is_err() {
            return;
        }
        let mut answer = [0; 64];
        tokio::select! {
            // Aborted or closed; what is said is of no interest.
            _ = raw.stream.read(&mut answer) => return,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        assert!(begin.elapsed() < SOON, "a slow peer is still served");
    }
    panic!("everything was taken");
}

/// The bytes of a PDU, one at a time.
fn bytes_of(pdu: &Pdu) -> impl Iterator<Item = Vec<u8>> {
    encoded(pdu).into_iter().map(|byte| vec![byte])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_at_a_time_keeps_no_place() {
    let site = Authority::new("site");
    let own = site.issue("own", "DNS:contourd.example", VALID);
    let listen = Some(([127, 0, 0, 1], 0).into());
    let tls = ScpTls { listen, certificate: own.certificate, key: own.key, client_ca: "".into() };
    let scp = Scp::start(ScpConfig { tls: Some(tls), ..quick() }, Shelf::default()).await;

    let mut request = Raw::connect(scp.port).await;
    drip(&mut request, bytes_of(&association_request("TESTER"))).await;
    // The beginning of a ClientHello that is 512 bytes long.
    let mut handshake = Raw::connect(scp.secure_port).await;
    drip(&mut handshake, [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into_iter().chain([7; 400]).map(|b| vec![b])).await;
    let mut idle = Raw::associate(scp.port).await;
    drip(&mut idle, bytes_of(&command_pdu(MR_CONTEXT, &store(1, "1.2.3")))).await;
    let mut inside = Raw::associate(scp.port).await;
    inside.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    drip(&mut inside, bytes_of(&data_pdu(MR_CONTEXT, &[7; 400]))).await;
    assert!(scp.shelf.instances().is_empty());
    assert!(scp.is_well().await);
}

/// Whole PDUs, each in time, and a message that would never end.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_crumbs_keeps_no_place() {
    let scp = Scp::start(quick(), Shelf::default()).await;
    for kind in [PDataValueType::Data, PDataValueType::Command] {
        let mut raw = Raw::associate(scp.port).await;
        if kind == PDataValueType::Data {
            raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
        }
        let crumb = encoded(&Pdu::PData { data: vec![value(MR_CONTEXT, kind, false, &[7; 2])] });
        drip(&mut raw, std::iter::repeat_n(crumb, 1000)).await;
    }
    // A burst of bytes buys no time for later.
    let mut raw = Raw::associate(scp.port).await;
    raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    for _ in 0..100 {
        raw.send(&Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, false, &[7; 16_000])] }).await;
    }
    let crumb = encoded(&Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, false, &[7; 2])] });
    drip(&mut raw, std::iter::repeat_n(crumb, 1000)).await;
    assert!(scp.shelf.instances().is_empty());
    assert!(scp.is_well().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_is_served() {
    let scp = Scp::start(ScpConfig { min_bytes_per_second: 1000, ..quick() }, Shelf::default()).await;
    let mut raw = Raw::associate(scp.port).await;
    raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    // Three times as long as one PDU may take.
    for _ in 0..30 {
        raw.send(&Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, false, &[7; 400])] }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    raw.send(&data_pdu(MR_CONTEXT, b"ab")).await;
    assert_eq!(raw.response().await.status(), 0);
    assert_eq!(scp.shelf.kept.lock().unwrap()[0].dataset.len(), 30 * 400 + 2);
}
