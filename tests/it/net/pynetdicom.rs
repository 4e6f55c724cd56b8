//! pynetdicom on the other side: as the caller, and as the PACS.

use std::ffi::OsStr;
use std::net::TcpStream;
use std::process::Stdio;

use contourd::dicom::net::{Destination, SendOutcome, echo, send};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::commitment::{Ledger, running};
use super::sending::{destination, object, us};
use super::support::{SAMPLE_INSTANCE, SAMPLES, dump};
use crate::support::{peer_script, python};
use crate::system::{free_port, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn pynetdicom_stores_in_every_syntax_is_told_what_is_kept_and_may_abort() {
    let scp = running("CONTOURD", Ledger::keeping(&[SAMPLE_INSTANCE])).await;
    let port = scp.port.to_string();
    let call = move || {
        let files = SAMPLES.all.iter().map(|sample| sample.file.as_os_str());
        let args: Vec<&OsStr> = std::iter::once(OsStr::new(&port)).chain(files).collect();
        python("call.py", &args)
    };
    let told: Value = serde_json::from_str(&tokio::task::spawn_blocking(call).await.unwrap()).unwrap();
    let report = json!({"kind": 1, "kept": [SAMPLE_INSTANCE]});
    let stores = vec![0; SAMPLES.all.len()];
    let expected = json!({
        "echo": 0, "stores": stores, "action": 0, "report": report, "released": true, "before_abort": 0,
    });
    assert_eq!(told, expected);
    echo(&Destination::new("127.0.0.1", scp.port, "CONTOURD").unwrap(), &us()).await.unwrap();
}

#[test]
fn what_pynetdicom_gets_is_what_was_sent() {
    let (folder, port) = (TempDir::new().unwrap(), free_port());
    let mut pacs = peer_script("receive.py")
        .args([OsStr::new(&port.to_string()), folder.path().as_os_str()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("pynetdicom", || TcpStream::connect(("127.0.0.1", port)).ok());
    let samples = SAMPLES.all.iter().enumerate();
    let objects = samples.map(|(n, s)| object(&s.file, &format!("1.2.3.{}", n + 1))).collect::<Vec<_>>();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcomes = runtime.block_on(async {
        echo(&destination(port), &us()).await.unwrap();
        send(&destination(port), &us(), &objects).await.unwrap()
    });
    // The end of its input ends it.
    drop(pacs.stdin.take());
    assert!(pacs.wait().unwrap().success());
    assert_eq!(outcomes, vec![SendOutcome::Stored; SAMPLES.all.len()]);
    for (n, sample) in SAMPLES.all.iter().enumerate() {
        let stored = folder.path().join(format!("1.2.3.{}.dcm", n + 1));
        assert_eq!(dump(&stored), dump(&sample.file), "{} was changed on the way", sample.name);
    }
}
