//! kill -9 between the request for a storage commitment and its answer.

use contourd::dicom::net::{Destination, report_commitment};
use contourd::ids::AeTitle;
use tokio::net::TcpListener;
use tokio::task::block_in_place;

use super::{QUIET, series, wait_for_state};
use crate::daemon::confirming::{Notary, answer};
use crate::system::{Daemon, Setup, acknowledged, coarse_model, storescu};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_the_daemon_killed_and_started_again_counts() {
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pacs_port = listener.local_addr().unwrap().port();
    let pacs = Notary::listen(listener);
    let setup = Setup {
        pacs: pacs_port,
        quiet_seconds: QUIET,
        models: (folder.path(), model),
        database: None,
        confirm: "commitment",
    };
    let (mut daemon, uid) = block_in_place(|| {
        let daemon = Daemon::start(&setup);
        let (uid, files) = series(91, folder.path());
        assert!(acknowledged(storescu(daemon.dicom, &files)).0);
        (daemon, uid)
    });
    let requests = pacs.asked(1).await;
    block_in_place(|| daemon.kill_and_restart());
    assert_eq!(daemon.state_of(&uid).as_deref(), Some("delivering"), "accepted is not delivered");
    let to_us = Destination::new("127.0.0.1", daemon.dicom, "CONTOURD").unwrap();
    report_commitment(&to_us, &AeTitle::parse("PACS").unwrap(), &answer(&requests[0], None)).await.unwrap();
    block_in_place(|| wait_for_state(&daemon, &uid, &["delivered"]));
    assert_eq!(pacs.kept.lock().unwrap().len(), 1, "what was accepted was sent again");
    assert_eq!(daemon.sql("select confirmation from outbox"), ["committed"]);
}
