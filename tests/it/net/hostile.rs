//! What peers do wrong, by accident or on purpose: the association ends, nothing half is handed on, the others go on.

use std::time::Duration;

use contourd::dicom::net::ScpConfig;
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{
    AssociationAC, AssociationRJ, AssociationRJResult, AssociationRJServiceUserReason, AssociationRJSource,
    PDataValueType, Pdu,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::raw::*;
use super::support::{SAMPLES, Scp, Shelf, echoscu, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_span_values_and_a_pdu_may_hold_several() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let mut raw = Raw::associate(scp.port).await;
    let command = store(7, "1.2.3.4\0");
    let (head, tail) = command.split_at(31);
    use PDataValueType::{Command, Data};
    raw.send(&Pdu::PData { data: vec![value(MR_CONTEXT, Command, false, head)] }).await;
    raw.send(&Pdu::PData {
        data: vec![
            value(MR_CONTEXT, Command, true, tail),
            value(MR_CONTEXT, Data, false, &[8, 0, 5, 0]),
            value(MR_CONTEXT, Data, false, &[2, 0]),
        ],
    })
    .await;
    // The end of this message and the next one, whole, in one PDU.
    raw.send(&Pdu::PData {
        data: vec![
            value(MR_CONTEXT, Data, true, &[0, 0, b'x', b'y']),
            value(ECHO_CONTEXT, Command, true, &request(C_ECHO, 8, uids::VERIFICATION, None, false)),
        ],
    })
    .await;
    let stored = raw.response().await;
    assert_eq!((stored.status(), stored.answers(), stored.operation()), (0, 7, 0x8001));
    let echoed = raw.response().await;
    assert_eq!((echoed.status(), echoed.answers(), echoed.operation()), (0, 8, 0x8030));
    raw.send(&Pdu::ReleaseRQ).await;
    assert_eq!(raw.receive().await, Some(Pdu::ReleaseRP));
    let kept = scp.shelf.kept.lock().unwrap();
    assert_eq!(kept[0].dataset.as_ref(), [8, 0, 5, 0, 2, 0, 0, 0, b'x', b'y']);
    assert_eq!(kept[0].instance.as_str(), "1.2.3.4");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_answered_and_the_association_goes_on() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let mut raw = Raw::associate(scp.port).await;
    let data = &[8, 0, 5, 0, 0, 0, 0, 0];
    let path = "1.2/../../etc/passwd";
    let long = "1".repeat(65);
    for (what, context, command, with_data, status) in [
        ("C-FIND on MR", MR_CONTEXT, request(C_FIND, 1, MR, None, true), true, 0x0211),
        ("C-ECHO on MR", MR_CONTEXT, request(C_ECHO, 2, MR, None, false), false, 0x0211),
        ("C-STORE on Verification", ECHO_CONTEXT, store(3, "1.2.3"), true, 0x0211),
        ("another class", MR_CONTEXT, request(C_STORE, 4, uids::CT_IMAGE_STORAGE, Some("1.2.3"), true), true, 0x0122),
        ("a path for a UID", MR_CONTEXT, store(5, path), true, 0x0117),
        ("a long UID", MR_CONTEXT, store(6, &long), true, 0x0117),
        ("no UID", MR_CONTEXT, request(C_STORE, 7, MR, None, true), true, 0x0117),
        ("no data set", MR_CONTEXT, request(C_STORE, 8, MR, Some("1.2.3"), false), false, 0xC000),
    ] {
        raw.send(&command_pdu(context, &command)).await;
        if with_data {
            raw.send(&data_pdu(context, data)).await;
        }
        assert_eq!(raw.response().await.status(), status, "{what}");
    }
    assert!(scp.shelf.instances().is_empty());
    raw.send(&command_pdu(MR_CONTEXT, &store(9, "1.2.3"))).await;
    raw.send(&data_pdu(MR_CONTEXT, data)).await;
    assert_eq!(raw.response().await.status(), 0);
    assert_eq!(scp.shelf.instances(), ["1.2.3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn breaches_of_the_protocol_end_the_association() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let store = store(1, "1.2.3");
    let response = request(0x8001, 1, MR, None, false);
    let nameless = command(vec![number(dicom_dictionary_std::tags::COMMAND_FIELD, C_ECHO)]);
    for (what, pdu) in [
        ("context not accepted", command_pdu(99, &store)),
        ("data without a command", data_pdu(MR_CONTEXT, b"ab")),
        ("a second request", association_request("TESTER")),
        ("a response to nothing", command_pdu(MR_CONTEXT, &response)),
        ("no message id", command_pdu(ECHO_CONTEXT, &nameless)),
        ("no command at all", command_pdu(MR_CONTEXT, b"GET / HTTP/1.1\r\n")),
        ("an unknown PDU", Pdu::Unknown { pdu_type: 0x77, data: vec![0; 4] }),
        ("release without request", Pdu::ReleaseRP),
    ] {
        let mut raw = Raw::associate(scp.port).await;
        raw.send(&pdu).await;
        raw.expect_abort(what).await;
    }
    assert!(scp.shelf.instances().is_empty());
    assert!(scp.is_well().await);
}

/// Every PDU that does not belong into a state, in each of them.
#[tokio::test(flavor = "multi_thread")]
async fn no_pdu_is_taken_out_of_its_turn() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let acceptance = || {
        let Pdu::AssociationRQ(request) = association_request("TESTER") else { panic!("no request") };
        Pdu::AssociationAC(AssociationAC {
            protocol_version: 1,
            calling_ae_title: request.calling_ae_title,
            called_ae_title: request.called_ae_title,
            application_context_name: request.application_context_name,
            presentation_contexts: Vec::new(),
            user_variables: request.user_variables,
        })
    };
    let rejection = || {
        let source = AssociationRJSource::ServiceUser(AssociationRJServiceUserReason::NoReasonGiven);
        Pdu::AssociationRJ(AssociationRJ { result: AssociationRJResult::Permanent, source })
    };
    let kinds: [(&str, &dyn Fn() -> Pdu); 8] = [
        ("a request", &|| association_request("TESTER")),
        ("an acceptance", &acceptance),
        ("a rejection", &rejection),
        ("data", &|| data_pdu(MR_CONTEXT, b"ab")),
        ("nothing as data", &|| Pdu::PData { data: Vec::new() }),
        ("a release", &|| Pdu::ReleaseRQ),
        ("an answer to a release", &|| Pdu::ReleaseRP),
        ("an unknown PDU", &|| Pdu::Unknown { pdu_type: 0x77, data: vec![0; 4] }),
    ];
    let command = store(1, "1.2.3");
    let half = Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Command, false, &command[..20])] };
    for (state, before, belongs) in [
        ("before the request", None, &["a request"][..]),
        ("between messages", Some(Vec::new()), &["a release"]),
        ("inside a command", Some(vec![half]), &[]),
        ("inside a data set", Some(vec![command_pdu(MR_CONTEXT, &command)]), &["data"]),
    ] {
        for (what, make) in kinds.iter().filter(|(what, _)| !belongs.contains(what)) {
            let mut raw = match &before {
                None => Raw::connect(scp.port).await,
                Some(_) => Raw::associate(scp.port).await,
            };
            for pdu in before.iter().flatten() {
                raw.send(pdu).await;
            }
            raw.send(&make()).await;
            raw.expect_abort(&format!("{what} {state}")).await;
        }
    }
    assert!(scp.shelf.instances().is_empty());
    assert!(scp.is_well().await);
}

/// A whole conversation, cut after every PDU and inside every PDU: an object is handed on when its last byte has
/// come, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_goes_away_anywhere_leaves_nothing_half() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let part = |last, data: &[u8]| Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, last, data)] };
    let conversation = [
        association_request("TESTER"),
        command_pdu(MR_CONTEXT, &store(1, "1.2.3")),
        part(false, &[8, 0, 5, 0]),
        part(false, &[2, 0, 0, 0]),
        part(true, b"xy"),
        Pdu::ReleaseRQ,
    ]
    .map(|pdu| encoded(&pdu));
    let complete_after = conversation[..5].concat().len();
    let whole = conversation.concat();
    let boundaries = (1..=conversation.len()).map(|n| conversation[..n].concat().len());
    let inside = (1..whole.len()).step_by(13);
    for cut in boundaries.chain(inside) {
        for abort in [false, true] {
            let mut raw = Raw::connect(scp.port).await;
            raw.send_bytes(&whole[..cut]).await;
            if abort {
                raw.send(&Pdu::AbortRQ { source: dicom_ul::pdu::AbortRQSource::ServiceUser }).await;
            }
            // Half-closed: what was sent is read to its end, and when our side closes, all of it is dealt with.
            raw.stream.shutdown().await.unwrap();
            while raw.receive().await.is_some() {}
            let expected = usize::from(cut >= complete_after);
            let kept = std::mem::take(&mut *scp.shelf.kept.lock().unwrap());
            assert_eq!(kept.len(), expected, "cut at {cut} of {}, abort {abort}", whole.len());
        }
    }
    assert!(scp.is_well().await);
}

/// `storescu` behind a link that stops in the middle of the object, then killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_killed_inside_an_object_leaves_nothing() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    let link = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = link.local_addr().unwrap().port().to_string();
    let mut sender = tokio::process::Command::new("storescu")
        .args(["-aec", "CONTOURD", "127.0.0.1", &port, SAMPLES.file("explicit").to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (mut from_sender, _) = link.accept().await.unwrap();
    let mut to_scp = TcpStream::connect(("127.0.0.1", scp.port)).await.unwrap();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    let mut before_object = true;
    let mut passed = 0;
    // The answer to the association request tells where the object begins; 700 bytes later the link stops.
    while passed < 700 {
        tokio::select! {
            n = from_sender.read(&mut up) => {
                let n = n.unwrap();
                assert!(n > 0, "storescu gave up");
                let n = if before_object { n } else { n.min(700 - passed) };
                to_scp.write_all(&up[..n]).await.unwrap();
                if !before_object {
                    passed += n;
                }
            }
            n = to_scp.read(&mut down) => {
                let n = n.unwrap();
                assert!(n > 0, "the SCP gave up");
                from_sender.write_all(&down[..n]).await.unwrap();
                before_object = false;
            }
        }
    }
    sender.kill().await.unwrap();
    to_scp.shutdown().await.unwrap();
    let mut said = Vec::new();
    to_scp.read_to_end(&mut said).await.unwrap();
    assert!(said.is_empty(), "something was said about half an object: {said:02x?}");
    assert!(scp.shelf.instances().is_empty());
    assert!(scp.is_well().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_lengths_are_refused_before_their_bytes_come() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    for (kind, associated) in [(1u8, false), (4, true), (0x77, true), (5, true)] {
        let mut raw = if associated { Raw::associate(scp.port).await } else { Raw::connect(scp.port).await };
        raw.send_bytes(&[kind, 0, 0xff, 0xff, 0xff, 0xff]).await;
        raw.expect_abort("a PDU of 4 GiB").await;
    }
    // A value that claims more than its PDU has, and a command element that claims more than its command has.
    let mut raw = Raw::associate(scp.port).await;
    raw.send_bytes(&[4, 0, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xf0, MR_CONTEXT, 3, 0, 0]).await;
    raw.expect_abort("a value of 4 GiB").await;
    let mut raw = Raw::associate(scp.port).await;
    raw.send(&command_pdu(MR_CONTEXT, &[0, 0, 2, 0, 0xff, 0xff, 0xff, 0x7f, b'1'])).await;
    raw.expect_abort("a command element of 2 GiB").await;
    assert!(scp.is_well().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_survived() {
    let scp = Scp::start(quick(), Shelf::default()).await;
    let valid = [
        encoded(&association_request("TESTER")),
        encoded(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))),
        encoded(&data_pdu(MR_CONTEXT, &[8, 0, 5, 0, 0, 0, 0, 0])),
    ]
    .concat();
    // A small generator with a fixed seed: the same bytes in every run.
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..300 {
        let mut bytes = valid.clone();
        if round % 3 == 0 {
            bytes = (0..random() % 600).map(|_| random() as u8).collect();
        } else {
            for _ in 0..1 + random() % 4 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
        }
        let mut raw = Raw::connect(scp.port).await;
        raw.send_bytes(&bytes).await;
        raw.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = raw.stream.read_to_end(&mut rest).await;
    }
    assert!(scp.is_well().await);
    for object in scp.shelf.kept.lock().unwrap().iter() {
        assert!(object.instance.as_str().bytes().all(|b| b.is_ascii_digit() || b == b'.'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_has_limits() {
    let scp = Scp::start(quick(), Shelf::default()).await;
    let mut mute = Raw::connect(scp.port).await;
    mute.expect_abort("no request").await;
    let mut idle = Raw::associate(scp.port).await;
    idle.expect_abort("no message").await;
    let mut half = Raw::associate(scp.port).await;
    half.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    half.send_bytes(&[4, 0, 0]).await;
    half.expect_abort("half a PDU").await;
    assert!(scp.shelf.instances().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_association_too_many_is_rejected_for_the_moment() {
    let config = ScpConfig { max_associations: 2, ..ScpConfig::default() };
    let scp = Scp::start(config, Shelf::default()).await;
    let (mut first, _second) = (Raw::associate(scp.port).await, Raw::associate(scp.port).await);
    let (ok, said) = echoscu(scp.port, &["-aec", "CONTOURD"]).await;
    assert!(!ok && said.contains("Rejected Transient") && said.contains("Local Limit Exceeded"), "{said}");
    first.send(&Pdu::ReleaseRQ).await;
    assert_eq!(first.receive().await, Some(Pdu::ReleaseRP));
    assert!(scp.is_well().await, "the place was not given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn success_is_said_after_the_verdict_and_a_shutdown_waits_for_it() {
    let scp = Scp::start(ScpConfig::default(), Shelf::closed()).await;
    let mut raw = Raw::associate(scp.port).await;
    raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    raw.send(&data_pdu(MR_CONTEXT, &[8, 0, 5, 0, 0, 0, 0, 0])).await;
    scp.shelf.arrived.notified().await;
    scp.shutdown.cancel();
    let early = tokio::time::timeout(Duration::from_millis(300), raw.receive()).await;
    assert!(early.is_err(), "answered before the verdict: {early:?}");
    assert!(TcpStream::connect(("127.0.0.1", scp.port)).await.is_err(), "still listening");
    assert!(!scp.ended.is_finished());
    scp.shelf.open();
    assert_eq!(raw.response().await.status(), 0);
    raw.send(&Pdu::ReleaseRQ).await;
    assert_eq!(raw.receive().await, Some(Pdu::ReleaseRP));
    drop(raw);
    scp.ended.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_aborts_what_does_not_end() {
    let scp = Scp::start(ScpConfig { drain_seconds: 0, ..ScpConfig::default() }, Shelf::default()).await;
    let mut raw = Raw::associate(scp.port).await;
    raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
    scp.shutdown.cancel();
    raw.expect_abort("shutdown").await;
    drop(raw);
    scp.ended.await.unwrap();
    assert!(scp.shelf.instances().is_empty());
}
