//! Hostile peers against the whole daemon; what they do to the listener alone is in `net/siege.rs`.

use std::net::TcpStream;

use contourd::dicom::data::read_header;

use super::{QUIET, daemon, series};
use crate::net::raw::{MR, MR_CONTEXT, Raw, command_pdu, data_pdu, store};
use crate::net::support::memory;
use crate::support::files_in;
use crate::system::{acknowledged, coarse_model, free_port, storescu};

/// An element in implicit VR little endian, padded to an even length.
fn element(group: u16, element: u16, value: &str) -> Vec<u8> {
    let mut value = value.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), 0);
    let length = (value.len() as u32).to_le_bytes();
    [group.to_le_bytes().as_slice(), &element.to_le_bytes(), &length, &value].concat()
}

/// The least that an image has: class, instance, study, series.
fn image(instance: &str, study: &str, series: &str) -> Vec<u8> {
    let uids = [(8, 0x16, MR), (8, 0x18, instance), (0x20, 0x0d, study), (0x20, 0x0e, series)];
    uids.map(|(group, number, value)| element(group, number, value)).concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_peers_leave_nothing_behind_and_a_series_comes_through() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let daemon = tokio::task::block_in_place(|| daemon(free_port(), (folder.path(), model)));
    let before = memory(daemon.pid(), "VmRSS");
    let mut peak = before;
    let long = "1".repeat(65);
    let mut raw = Raw::associate(daemon.dicom).await;
    let mut id = 0;
    for path in ["../../etc/passwd", "/etc/passwd", "/", "..", "1.2/3", "", &long] {
        for (instance, data) in [
            ("1.2.3", image("1.2.3", path, "1.2.5")),
            ("1.2.3", image("1.2.3", "1.2.4", path)),
            ("1.2.3", image(path, "1.2.4", "1.2.5")),
            (path, image(path, "1.2.4", "1.2.5")),
        ] {
            id += 1;
            raw.send(&command_pdu(MR_CONTEXT, &store(id, instance))).await;
            raw.send(&data_pdu(MR_CONTEXT, &data)).await;
            assert_ne!(raw.response().await.status(), 0, "{path:?} of {instance:?} was taken");
        }
    }
    // Values, items and fragments that declare 4 GiB behind a header that is in order.
    let huge = [0xf0, 0xff, 0xff, 0xff];
    let open = [0xff; 4];
    let item = [0xfe, 0xff, 0x00, 0xe0];
    for tail in [
        [[0x10, 0, 0x20, 0].as_slice(), &huge, b"12"].concat(),
        [[0xe0, 0x7f, 0x10, 0].as_slice(), &huge, &[7; 64]].concat(),
        [[8, 0, 0x40, 0x11].as_slice(), &huge, &item, &huge].concat(),
        [[8, 0, 0x40, 0x11].as_slice(), &open, &item, &huge].concat(),
        [[0xe0, 0x7f, 0x10, 0].as_slice(), &open, &item, &huge, b"ab"].concat(),
        // Sequences in sequences, a hundred thousand deep.
        [[8, 0, 0x40, 0x11].as_slice(), &open, &item, &open].concat().repeat(6000),
    ] {
        id += 1;
        raw.send(&command_pdu(MR_CONTEXT, &store(id, "1.2.3"))).await;
        raw.send(&data_pdu(MR_CONTEXT, &[image("1.2.3", "1.2.4", "1.2.5"), tail].concat())).await;
        assert_ne!(raw.response().await.status(), 0, "message {id} was taken");
        peak = peak.max(memory(daemon.pid(), "VmRSS"));
    }
    raw.release().await;
    assert_eq!(daemon.sql("select count(*) from instances"), ["0"]);
    let blobs = daemon.state_dir().join("blobs");
    let kept = if blobs.exists() { files_in(&blobs) } else { Vec::new() };
    assert!(kept.is_empty(), "{kept:?}");

    // And a thousand connections that say nothing, all from this computer.
    let (uid, files) = tokio::task::block_in_place(|| series(61, folder.path()));
    let silent: Vec<_> = (0..1000).filter_map(|_| TcpStream::connect(("127.0.0.1", daemon.dicom)).ok()).collect();
    let (ok, taken) = tokio::task::block_in_place(|| acknowledged(storescu(daemon.dicom, &files)));
    assert!(ok && taken == files.len(), "{taken} of {} slices beside {} silent peers", files.len(), silent.len());
    peak = peak.max(memory(daemon.pid(), "VmRSS"));
    println!("memory {before} KiB, at most {peak} KiB, {} silent connections, quiet time {QUIET} s", silent.len());
    assert!(peak < before + 128 * 1024, "from {before} to {peak} KiB");
    let first = read_header(&std::fs::read(&files[0]).unwrap()).unwrap();
    assert_eq!(first.series.as_str(), uid);
    assert_eq!(daemon.sql("select count(*) from instances"), [files.len().to_string()]);
}
