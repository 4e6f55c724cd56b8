//! What we send: to DCMTK's storescp, willing and unwilling, and to a peer written by hand for the answers that no
//! healthy system gives.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use contourd::dicom::net::{
    Destination, FailureClass, NetError, ObjectToSend, ScpConfig, SendOutcome, StoreVerdict, echo, send,
};
use contourd::ids::{AeTitle, InstanceUid};
use dicom_core::DataElement;
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use dicom_ul::pdu::{
    AbortRQServiceProviderReason, AbortRQSource, AssociationAC, Pdu, PresentationContextResult,
    PresentationContextResultReason, UserVariableItem,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::raw::{self, Raw};
use super::support::{SAMPLE_INSTANCE, SAMPLES, Scp, Shelf, dump};
use crate::system::free_port;

pub fn us() -> AeTitle {
    AeTitle::parse("CONTOURD").unwrap()
}

pub fn destination(port: u16) -> Destination {
    Destination { response_timeout_seconds: 5, ..Destination::new("127.0.0.1", port, "PACS").unwrap() }
}

pub fn object(file: &Path, instance: &str) -> ObjectToSend {
    let sample = ObjectToSend::from_part10(&Bytes::from(std::fs::read(file).unwrap())).unwrap();
    ObjectToSend { instance: InstanceUid::parse(instance).unwrap(), ..sample }
}

/// DCMTK's storescp on a free port, with a folder of its own; killed when dropped.
pub struct StoreScp {
    pub port: u16,
    pub folder: TempDir,
    _child: Child,
}

impl StoreScp {
    pub async fn start(args: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let mut child = Command::new("storescp")
            .args(args)
            .args(["-od", folder.path().to_str().unwrap(), "-aet", "PACS", &port.to_string()])
            .env("TCP_NODELAY", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|e| panic!("storescp cannot be run ({e}); ops/setup --tests installs it"));
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.is_err() {
            assert_eq!(child.try_wait().unwrap(), None, "storescp ended");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        Self { port, folder, _child: child }
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().path()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn storescp_gets_every_syntax_over_one_association() {
    let pacs = StoreScp::start(&["-xf", &SAMPLES.dcmtk_profiles(), "all", "+B"]).await;
    echo(&destination(pacs.port), &us()).await.unwrap();
    let samples = SAMPLES.all.iter().enumerate();
    let objects = samples.map(|(n, s)| object(&s.file, &format!("1.2.3.{}", n + 1))).collect::<Vec<_>>();
    let outcomes = send(&destination(pacs.port), &us(), &objects).await.unwrap();
    assert_eq!(outcomes, vec![SendOutcome::Stored; SAMPLES.all.len()]);
    assert_eq!(pacs.files().len(), SAMPLES.all.len());
    for (n, sample) in SAMPLES.all.iter().enumerate() {
        let stored = pacs.folder.path().join(format!("MR.1.2.3.{}", n + 1));
        assert_eq!(dump(&stored), dump(&sample.file), "{} was changed on the way", sample.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syntax_that_the_pacs_does_not_take_fails_alone_and_for_good() {
    let pacs = StoreScp::start(&[]).await;
    // storescp compares the UID of the command with the one in the data set.
    let objects = [object(SAMPLES.file("jpeg2000"), "1.2.1"), object(SAMPLES.file("implicit"), SAMPLE_INSTANCE)];
    let outcomes = send(&destination(pacs.port), &us(), &objects).await.unwrap();
    let SendOutcome::Failed { class: FailureClass::Permanent, status: None, message } = &outcomes[0] else {
        panic!("{outcomes:?}");
    };
    assert!(message.contains(uids::JPEG2000_LOSSLESS), "{message}");
    assert_eq!(outcomes[1], SendOutcome::Stored);
    assert_eq!(pacs.files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwilling_pacs_is_understood() {
    let refusing = StoreScp::start(&["--refuse"]).await;
    let error = echo(&destination(refusing.port), &us()).await.unwrap_err();
    assert!(matches!(error, NetError::Rejected { class: FailureClass::Setting, .. }), "{error}");

    let aborting = StoreScp::start(&["--abort-after"]).await;
    let objects = [object(SAMPLES.file("explicit"), "1.2.1"), object(SAMPLES.file("explicit"), "1.2.2")];
    let outcomes = send(&destination(aborting.port), &us(), &objects).await.unwrap();
    for outcome in &outcomes {
        assert!(matches!(outcome, SendOutcome::Failed { class: FailureClass::Retry, status: None, .. }), "{outcome:?}");
    }

    let absent = free_port();
    let error = echo(&destination(absent), &us()).await.unwrap_err();
    assert!(matches!(error, NetError::Connect { .. }) && error.class() == FailureClass::Retry, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_scp_tells_its_reasons_and_its_longest_pdu_is_kept() {
    let shelf = Shelf::new(|object| match object.instance.as_str() {
        "1.2.1" => StoreVerdict::Stored,
        "1.2.2" => StoreVerdict::OutOfResources,
        "1.2.3" => StoreVerdict::CannotUnderstand("no study".to_owned()),
        other => panic!("{other} was never sent"),
    });
    let config = ScpConfig { ae_title: AeTitle::parse("PACS").unwrap(), max_pdu_bytes: 4096, ..ScpConfig::default() };
    let scp = Scp::start(config, shelf).await;
    let mut large = object(SAMPLES.file("explicit"), "1.2.1");
    large.bytes = Bytes::from([large.bytes.as_ref(), &[0; 50_001]].concat());
    let objects = [large, object(SAMPLES.file("implicit"), "1.2.2"), object(SAMPLES.file("explicit"), "1.2.3")];
    let outcomes = send(&destination(scp.port), &us(), &objects).await.unwrap();
    assert_eq!(outcomes[0], SendOutcome::Stored);
    assert!(matches!(outcomes[1], SendOutcome::Failed { class: FailureClass::Retry, status: Some(0xA700), .. }));
    let SendOutcome::Failed { class: FailureClass::Permanent, status: Some(0xC000), message } = &outcomes[2] else {
        panic!("{outcomes:?}");
    };
    assert!(message.contains("no study"), "{message}");
    assert_eq!(scp.shelf.kept.lock().unwrap()[0].dataset, objects[0].bytes);

    let wrong = Destination { ae_title: AeTitle::parse("OTHER").unwrap(), ..destination(scp.port) };
    let error = send(&wrong, &us(), &objects).await.unwrap_err();
    assert!(error.to_string().contains("called AE title not recognized"), "{error}");
    assert_eq!(error.class(), FailureClass::Setting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_acceptance_is_read_however_short_the_pdus_are_that_we_offer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = tokio::spawn(async move {
        let mut raw = Raw::over(listener.accept().await.unwrap().0);
        let Some(Pdu::AssociationRQ(request)) = raw.receive().await else { panic!("no request") };
        // It answers in words: more of them than a P-DATA-TF may have.
        let mut user_variables = vec![UserVariableItem::MaxLength(16_384)];
        user_variables.push(UserVariableItem::Unknown(0x57, vec![7; 20_000]));
        let acceptance = AssociationAC {
            protocol_version: 1,
            called_ae_title: request.called_ae_title,
            calling_ae_title: request.calling_ae_title,
            application_context_name: request.application_context_name,
            presentation_contexts: vec![PresentationContextResult {
                id: request.presentation_contexts[0].id,
                reason: PresentationContextResultReason::Acceptance,
                transfer_syntax: request.presentation_contexts[0].transfer_syntaxes[0].clone(),
            }],
            user_variables,
        };
        raw.send(&Pdu::AssociationAC(acceptance)).await;
        let Some(Pdu::PData { data }) = raw.receive().await else { panic!("no C-ECHO") };
        let id = raw::read_command(&data[0].data).element(tags::MESSAGE_ID).unwrap().to_int().unwrap();
        let response = raw::command(vec![
            raw::number(tags::COMMAND_FIELD, 0x8030),
            raw::number(tags::MESSAGE_ID_BEING_RESPONDED_TO, id),
            raw::number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
            raw::number(tags::STATUS, 0),
        ]);
        raw.send(&raw::command_pdu(data[0].presentation_context_id, &response)).await;
        assert_eq!(raw.receive().await, Some(Pdu::ReleaseRQ));
        raw.send(&Pdu::ReleaseRP).await;
    });
    let short = Destination { max_pdu_bytes: 4096, ..destination(port) };
    echo(&short, &us()).await.unwrap();
    peer.await.unwrap();
}

/// What the hand-written SCP does with a C-STORE.
enum Act {
    /// Answers with this status.
    Status(u16),
    /// Answers another message.
    WrongId,
    /// Sends this instead.
    Say(Pdu),
    /// Sends bytes that are no PDU.
    Babble,
    /// Closes.
    Close,
    /// Says nothing.
    Sleep,
}

/// Sends one object to an SCP that accepts the association and then acts.
async fn outcome_of(act: Act) -> SendOutcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = tokio::spawn(async move {
        let mut raw = Raw::over(listener.accept().await.unwrap().0);
        let Some(Pdu::AssociationRQ(request)) = raw.receive().await else { panic!("no request") };
        let results = request.presentation_contexts.iter().map(|c| PresentationContextResult {
            id: c.id,
            reason: PresentationContextResultReason::Acceptance,
            transfer_syntax: c.transfer_syntaxes[0].clone(),
        });
        let acceptance = AssociationAC {
            protocol_version: 1,
            called_ae_title: request.called_ae_title.clone(),
            calling_ae_title: request.calling_ae_title.clone(),
            application_context_name: request.application_context_name.clone(),
            presentation_contexts: results.collect(),
            user_variables: vec![UserVariableItem::MaxLength(4096)],
        };
        raw.send(&Pdu::AssociationAC(acceptance)).await;
        let (context, id) = read_store(&mut raw).await;
        let status = |status, id| {
            raw::command_pdu(
                context,
                &raw::command(vec![
                    raw::number(tags::COMMAND_FIELD, 0x8001),
                    raw::number(tags::MESSAGE_ID_BEING_RESPONDED_TO, id),
                    raw::number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
                    raw::number(tags::STATUS, status),
                    DataElement::new(tags::ERROR_COMMENT, VR::LO, "says why"),
                ]),
            )
        };
        match act {
            Act::Status(code) => raw.send(&status(code, id)).await,
            Act::WrongId => raw.send(&status(0, id + 1)).await,
            Act::Say(pdu) => raw.send(&pdu).await,
            Act::Babble => raw.send_bytes(b"\x99garbage that is no PDU\xff\xff\xff").await,
            Act::Close => return,
            Act::Sleep => {}
        }
        while let Some(pdu) = raw.receive().await {
            if pdu == Pdu::ReleaseRQ {
                raw.send(&Pdu::ReleaseRP).await;
            }
        }
    });
    let to = Destination { response_timeout_seconds: 1, ..destination(port) };
    let outcomes = send(&to, &us(), &[object(SAMPLES.file("explicit"), "1.2.3")]).await.unwrap();
    peer.await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.into_iter().next().unwrap()
}

/// Reads a C-STORE to its end; gives its context and message id.
async fn read_store(raw: &mut Raw) -> (u8, u16) {
    let mut id = 0;
    loop {
        let Some(Pdu::PData { data }) = raw.receive().await else { panic!("no P-DATA") };
        assert!(data.iter().map(|v| v.data.len() + 6).sum::<usize>() <= 4096, "longer than we offered");
        let value = &data[0];
        if value.value_type == dicom_ul::pdu::PDataValueType::Command {
            let command = raw::read_command(&value.data);
            assert_eq!(command.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), "1.2.3");
            id = command.element(tags::MESSAGE_ID).unwrap().to_int().unwrap();
        } else if value.is_last {
            return (value.presentation_context_id, id);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_its_outcome() {
    use FailureClass::{Permanent, Retry, Setting};
    assert_eq!(outcome_of(Act::Status(0x0000)).await, SendOutcome::Stored);
    assert_eq!(outcome_of(Act::Status(0x0111)).await, SendOutcome::AlreadyThere);
    for warning in [0xB000, 0xB006, 0xB007] {
        let outcome = outcome_of(Act::Status(warning)).await;
        let SendOutcome::StoredWithWarning { status, message } = &outcome else { panic!("{outcome:?}") };
        assert!(*status == warning && message.contains("says why"), "{outcome:?}");
    }
    let abort = |reason| Act::Say(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) });
    for (what, act, expected, code) in [
        ("out of resources", Act::Status(0xA701), Retry, Some(0xA701)),
        ("mismatch", Act::Status(0xA900), Permanent, Some(0xA900)),
        ("cannot understand", Act::Status(0xC001), Permanent, Some(0xC001)),
        ("class not supported", Act::Status(0x0122), Permanent, Some(0x0122)),
        ("not authorised", Act::Status(0x0124), Setting, Some(0x0124)),
        ("another message", Act::WrongId, Setting, None),
        ("abort by its user", Act::Say(Pdu::AbortRQ { source: AbortRQSource::ServiceUser }), Retry, None),
        ("abort for a fault", abort(AbortRQServiceProviderReason::InvalidPduParameter), Setting, None),
        ("abort for no reason", abort(AbortRQServiceProviderReason::ReasonNotSpecified), Retry, None),
        ("a release in between", Act::Say(Pdu::ReleaseRQ), Setting, None),
        ("garbage", Act::Babble, Setting, None),
        ("closed", Act::Close, Retry, None),
        ("silence", Act::Sleep, Retry, None),
    ] {
        let outcome = outcome_of(act).await;
        let SendOutcome::Failed { class, status, .. } = &outcome else { panic!("{what}: {outcome:?}") };
        assert_eq!((*class, *status), (expected, code), "{what}: {outcome:?}");
    }
}
