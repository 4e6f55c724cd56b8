//! DICOMweb as a client: Orthanc behind TLS (socat) with a user, and a service written by hand for the answers that no healthy one
//! gives.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contourd::dicom::dicomweb::{DicomwebService, find_each, look, retrieve, store};
use contourd::dicom::net::{DestinationTls, FailureClass, Key, Level, NetError, ObjectToSend, Query, SendOutcome};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::authority::{Authority, VALID};
use super::sending::object;
use super::support::{SAMPLE_INSTANCE, SAMPLES, dump};
use crate::system::{DICOMWEB, Pacs, free_port, wait_for};

const LIMIT: usize = 1 << 20;

/// What the service does with a request.
#[derive(Clone, Copy)]
enum Does {
    /// Answers with these bytes, and goes on.
    Says(&'static str),
    /// Answers with these bytes and hangs up.
    Last(&'static str),
    /// Hangs up without a word.
    HangsUp,
    /// Says nothing for long.
    Sleeps,
}

/// A service that does one thing after the other, over as many connections as it takes, then the last again and again.
struct Service {
    url: String,
    /// The first lines and headers of the requests.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service {
    async fn new(script: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut next = 0;
            while let Ok((mut line, _)) = listener.accept().await {
                while let Some(request) = request(&mut line).await {
                    heard.lock().unwrap().push(request);
                    let does = script[next.min(script.len() - 1)];
                    next += 1;
                    match does {
                        Does::Says(text) => line.write_all(text.as_bytes()).await.unwrap(),
                        Does::Last(text) => {
                            line.write_all(text.as_bytes()).await.unwrap();
                            break;
                        }
                        Does::HangsUp => break,
                        Does::Sleeps => tokio::time::sleep(Duration::from_secs(30)).await,
                    }
                }
            }
        });
        Self { url, asked }
    }

    fn client(&self) -> DicomwebService {
        DicomwebService { response_timeout_seconds: 2, ..DicomwebService::new(&self.url) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The head of a request; its body is read.
async fn request(line: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let end = loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        let mut some = [0; 4096];
        match line.read(&mut some).await {
            Ok(n) if n > 0 => read.extend_from_slice(&some[..n]),
            _ => return None,
        }
    };
    let head = String::from_utf8(read[..end].to_vec()).unwrap();
    let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0usize).saturating_sub(read.len() - end)];
    line.read_exact(&mut body).await.ok()?;
    Some(head)
}

const NOTHING: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const STORED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn sample() -> ObjectToSend {
    object(SAMPLES.file("explicit"), SAMPLE_INSTANCE)
}

fn images() -> Query {
    Query::new(Level::Image).with(Key::Study, "1.2").with(Key::Series, "1.3").asking(Key::Instance)
}

#[tokio::test(flavor = "multi_thread")]
async fn orthanc_stores_finds_and_hands_out_over_tls_to_a_user_that_it_knows() {
    let site = Authority::new("site");
    let (server, own) = (site.issue("pacs", "DNS:pacs.example", VALID), site.issue("own", "DNS:us.example", VALID));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let both = [&server.certificate, &server.key].map(|path| std::fs::read_to_string(path).unwrap()).concat();
    std::fs::write(file("both.pem"), both).unwrap();
    std::fs::write(file("password"), "open sesame\n").unwrap();
    std::fs::write(file("wrong"), "open barley\n").unwrap();
    let settings = json!({
        "Plugins": [DICOMWEB], "AuthenticationEnabled": true, "RegisteredUsers": {"contourd": "open sesame"},
    });
    let pacs = tokio::task::block_in_place(|| Pacs::launch(free_port(), "", &settings));
    // Debian's Orthanc ends with a fault on its first call over TLS; hospitals put something in front of it in any case.
    let (port, behind) = (free_port(), pacs.url().split('/').nth(2).unwrap().to_owned());
    let _front = Command::new("socat")
        .arg(format!(
            "OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=1,cert={},cafile={}",
            file("both.pem").display(),
            site.ca().display()
        ))
        .arg(format!("TCP:{behind}"))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|e| panic!("socat cannot be run ({e}); ops/setup --tests installs it"));
    let service = DicomwebService {
        tls: Some(DestinationTls {
            ca: site.ca(),
            name: Some("pacs.example".into()),
            certificate: own.certificate.clone(),
            key: own.key.clone(),
        }),
        user: "contourd".into(),
        password_file: file("password"),
        ..DicomwebService::new(&format!("https://127.0.0.1:{port}/dicom-web"))
    };
    assert_eq!(service.faults(), Vec::<String>::new());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| wait_for("Orthanc", || runtime.block_on(look(&service)).ok()));

    let outcomes = store(&service, &[sample(), sample()]).await.unwrap();
    assert_eq!(outcomes[0], SendOutcome::Stored);
    assert!(!matches!(outcomes[1], SendOutcome::Failed { .. }), "{outcomes:?}");
    let read = dicom_object::open_file(SAMPLES.file("explicit")).unwrap();
    let uid = |tag| read.element(tag).unwrap().to_str().unwrap().trim_end_matches('\0').to_owned();
    use dicom_dictionary_std::tags;
    let (study, series) = (uid(tags::STUDY_INSTANCE_UID), uid(tags::SERIES_INSTANCE_UID));
    let query = Query::new(Level::Image).with(Key::Study, &study).with(Key::Series, &series);
    let one = query.clone().with(Key::Instance, SAMPLE_INSTANCE);
    let none = query.clone().with(Key::Instance, "1.2.3");
    let nowhere = Query::new(Level::Image).with(Key::Study, "1.2.3").with(Key::Series, "1.2.4");
    let found = find_each(&service, &[query, one, none, nowhere], 10).await.unwrap();
    let counts: Vec<usize> = found.iter().map(|matches| matches.found.len()).collect();
    assert_eq!(counts, [1, 1, 0, 0]);
    assert_eq!(found[0].found[0].get(Key::Instance), Some(SAMPLE_INSTANCE));
    let mut handed = retrieve(&service, &study, &series, LIMIT).unwrap();
    let back = handed.instance(SAMPLE_INSTANCE).await.unwrap();
    assert_eq!((back.instance.as_str(), &back.transfer_syntax), (SAMPLE_INSTANCE, &sample().transfer_syntax));
    std::fs::write(file("sent"), sample().bytes).unwrap();
    std::fs::write(file("back"), back.bytes).unwrap();
    assert_eq!(dump(&file("back")), dump(&file("sent")));
    let absent = handed.instance("1.2.3").await.unwrap_err();
    assert!(matches!(absent, NetError::Http { .. }), "{absent}");

    let refused = |change: &dyn Fn(&mut DicomwebService)| {
        let mut other = service.clone();
        change(&mut other);
        async move { look(&other).await.unwrap_err() }
    };
    let said = refused(&|s| s.password_file = file("wrong")).await;
    assert!(matches!(said, NetError::Http { status: 401, class: FailureClass::Setting, .. }), "{said}");
    let said = refused(&|s| s.password_file = file("absent")).await.to_string();
    assert!(said.contains("password_file") && said.contains("cannot be read"), "{said}");
    let said = refused(&|s| s.tls.as_mut().unwrap().name = None).await.to_string();
    assert!(said.contains("is not for 127.0.0.1"), "{said}");
    let said = refused(&|s| s.url = s.url.replace("dicom-web", "dicomweb")).await;
    assert!(matches!(said, NetError::Http { status: 404, class: FailureClass::Setting, .. }), "{said}");
    let said = refused(&|s| s.url = s.url.replace("https", "http")).await;
    assert!(
        matches!(said, NetError::Closed | NetError::Protocol(_) | NetError::Io(_) | NetError::Http { .. }),
        "{said}"
    );
    let said = refused(&|s| s.tls.as_mut().unwrap().certificate = std::path::PathBuf::new()).await;
    assert!(matches!(said, NetError::Tls(_) | NetError::Closed | NetError::Io(_)), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_go_one_by_one_and_a_connection_that_was_closed_meanwhile_is_opened_again() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nfull";
    let service = Service::new(vec![Does::Says(STORED), Does::Last(busy), Does::HangsUp, Does::Says(STORED)]).await;
    let outcomes = store(&service.client(), &[sample(), sample(), sample(), sample()]).await.unwrap();
    assert_eq!(outcomes[0], SendOutcome::Stored);
    let failed = |n: usize| match &outcomes[n] {
        SendOutcome::Failed { class: FailureClass::Retry, message, .. } => message.clone(),
        _ => panic!("{outcomes:?}"),
    };
    assert!(failed(1).contains("503") && !failed(1).contains("full"), "{}", failed(1));
    // The third met a connection that had been closed, then a new one that was closed: that is an answer, and the end.
    assert!(failed(2).starts_with("not acknowledged"), "{}", failed(2));
    assert!(failed(3).starts_with("not sent"), "{}", failed(3));
    assert_eq!(service.asked().len(), 3);
    let asked = service.asked();
    assert!(asked.iter().all(|head| head.starts_with("POST /base/studies HTTP/1.1\r\n")), "{asked:?}");
    let head = asked[0].to_ascii_lowercase();
    for line in
        ["content-type: multipart/related; type=\"application/dicom\"; boundary=", "accept: application/dicom+json"]
    {
        assert!(head.contains(line), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_says_or_does_not_say_is_told_apart() {
    let answer = async |does: Does| {
        let service = Service::new(vec![does]).await;
        look(&service.client()).await
    };
    answer(Does::Says(NOTHING)).await.unwrap();
    let class = async |does: Does| {
        let error = answer(does).await.unwrap_err();
        (error.class(), error.to_string())
    };
    let (kind, said) = class(Does::HangsUp).await;
    assert!(kind == FailureClass::Retry && said.contains("closed the connection"), "{said}");
    let (kind, said) = class(Does::Sleeps).await;
    assert!(kind == FailureClass::Retry && said.contains("within 2 s"), "{said}");
    let (kind, said) = class(Does::Says("SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
    assert!(kind == FailureClass::Setting && said.contains("is no HTTP"), "{said}");
    let (kind, said) =
        class(Does::Says("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n")).await;
    assert!(kind == FailureClass::Setting && said.contains("302") && said.contains("set url"), "{said}");
    let (kind, said) = class(Does::Says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")).await;
    assert!(kind == FailureClass::Setting && said.contains("no JSON"), "{said}");
    let (kind, said) = class(Does::Last("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n[{}")).await;
    assert!(kind == FailureClass::Retry, "{said}");
    // What comes without end is not kept without end.
    let huge: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\n\r\n{}", "[".repeat(17 << 20)).into_boxed_str());
    let (kind, said) = class(Does::Last(huge)).await;
    assert!(kind == FailureClass::Setting && said.contains("more than 16777216 bytes"), "{said}");
    let nobody = DicomwebService::new(&format!("http://127.0.0.1:{}", free_port()));
    assert!(matches!(look(&nobody).await.unwrap_err(), NetError::Connect { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_asked_page_by_page_until_nothing_new_comes() {
    let page = |uids: &[&str]| -> &'static str {
        let items = uids.iter().map(|uid| format!(r#"{{"00080018":{{"vr":"UI","Value":["{uid}"]}}}}"#));
        let body = format!("[{}]", items.collect::<Vec<_>>().join(","));
        Box::leak(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_boxed_str())
    };
    let script = vec![Does::Says(page(&["1.1", "1.2"])), Does::Says(page(&["1.3"])), Does::Says(page(&[]))];
    let service = Service::new(script).await;
    let found = find_each(&service.client(), &[images()], 1000).await.unwrap().remove(0);
    let uids: Vec<_> = found.found.iter().map(|one| one.get(Key::Instance).unwrap()).collect();
    assert_eq!((uids, found.cut_off), (vec!["1.1", "1.2", "1.3"], false));
    let first = service.asked()[0].lines().next().unwrap().to_owned();
    assert_eq!(first, "GET /base/studies/1.2/series/1.3/instances?limit=200&offset=0 HTTP/1.1");
    assert!(service.asked()[2].contains("offset=3"), "{:?}", service.asked());
    // One that knows no offset: whether there is more is not known.
    let service = Service::new(vec![Does::Says(page(&["1.1", "1.2"]))]).await;
    let found = find_each(&service.client(), &[images()], 1000).await.unwrap().remove(0);
    assert_eq!((found.found.len(), found.cut_off), (2, true));
    // Nothing there, or nothing of DICOMweb there.
    let absent = Does::Says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let service = Service::new(vec![absent, Does::Says(NOTHING)]).await;
    assert_eq!(find_each(&service.client(), &[images()], 9).await.unwrap()[0].found.len(), 0);
    let wrong = find_each(&Service::new(vec![absent]).await.client(), &[images()], 9).await.unwrap_err();
    assert!(matches!(wrong, NetError::Http { status: 404, .. }), "{wrong}");

    let service = Service::new(vec![Does::Says(page(&["1.1", "1.2", "1.3"]))]).await;
    let found = find_each(&service.client(), &[images()], 2).await.unwrap().remove(0);
    assert_eq!((found.found.len(), found.cut_off), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_not_what_was_asked_for_is_not_taken() {
    for (answer, why) in [
        ("HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\r\nabc", "no DICOM file"),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc", "several parts"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404"),
    ] {
        let service = Service::new(vec![Does::Says(answer)]).await;
        let client = service.client();
        let error = retrieve(&client, "1.2", "1.3", LIMIT).unwrap().instance("1.4").await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let file = std::fs::read(SAMPLES.file("explicit")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = DicomwebService::new(&format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut line, _) = listener.accept().await.unwrap();
        request(&mut line).await.unwrap();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/dicom\r\nContent-Length: {}\r\n\r\n", file.len());
        line.write_all(&[head.as_bytes(), &file].concat()).await.unwrap();
    });
    let error = retrieve(&client, "1.2", "1.3", LIMIT).unwrap().instance("1.4").await.unwrap_err();
    assert!(error.to_string().contains("another instance"), "{error}");
}
