//! Who did what to which study is told to files and to a syslog server, each line once and in order.

use std::process::{Command, Stdio};

use contourd::dicom::net::DestinationTls;
use serde_json::json;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::net::authority::{Authority, VALID, text};

/// A syslog server that takes counted messages (RFC 6587) and keeps them.
#[derive(Clone, Default)]
struct Syslog {
    kept: Arc<Mutex<Vec<String>>>,
}

impl Syslog {
    fn listen(&self, listener: TcpListener) {
        let kept = Arc::clone(&self.kept);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, Arc::clone(&kept)));
            }
        });
    }

    fn messages(&self) -> Vec<String> {
        self.kept.lock().unwrap().clone()
    }

    /// Waits until a message has this in it.
    async fn until(&self, wanted: &str) {
        for _ in 0..300 {
            if self.messages().iter().any(|m| m.contains(wanted)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no message with {wanted}: {:#?}", self.messages());
    }
}

async fn take(stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            match stream.read_u8().await {
                Ok(b' ') => break,
                Ok(digit @ b'0'..=b'9') => length = 10 * length + usize::from(digit - b'0'),
                Ok(other) => panic!("a length with {other}"),
                Err(_) => return,
            }
        }
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).await.is_err() {
            return;
        }
        kept.lock().unwrap().push(String::from_utf8(message).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_told_once_in_order_also_when_the_server_was_away() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    // Nobody listens at the syslog server's address at first.
    let (away, syslog_port) = listener().await;
    drop(away);
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(pacs_port, "bright");
    let syslog = SyslogConfig { host: "127.0.0.1".into(), port: syslog_port, tls: None };
    config.audit = AuditConfig { dir: Some(dir.path().join("trail")), syslog: Some(syslog) };
    let running = launch(&t, config.clone(), &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    until(&t, CaseState::Delivered).await;
    let server = Syslog::default();
    server.listen(TcpListener::bind(("127.0.0.1", syslog_port)).await.unwrap());
    server.until("case_ended").await;
    running.daemon.stop().await;

    // A second daemon on the same database tells what the first did not.
    let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
    t.pg.audit("own_object_ignored", None, &json!({"calling": "MR1"})).await.unwrap();
    server.until("own_object_ignored").await;
    running.daemon.stop().await;

    let report = t.pg.verify_audit(&[]).await.unwrap();
    assert_eq!(report.breaks, Vec::<String>::new());
    let messages = server.messages();
    assert_eq!(messages.len() as i64, report.lines, "each line once");
    let mut files: Vec<_> = std::fs::read_dir(dir.path().join("trail")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let lines: Vec<String> = files
        .iter()
        .flat_map(|f| std::fs::read_to_string(f).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(lines.len(), messages.len());
    for (message, line) in messages.iter().zip(&lines) {
        let (header, xml) = message.split_once('\u{feff}').unwrap();
        assert!(header.starts_with("<85>1 20") && header.ends_with(" DICOM+RFC3881 - "), "{header}");
        assert_eq!(xml, line, "both receivers are told the same, in the same order");
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&files[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "patients are named in it");

    let of = |event: &str| lines.iter().find(|line| line.contains(event)).unwrap();
    let came = of("csd-code=\"series_complete\"");
    assert!(came.contains("UserID=\"MR1\" UserIsRequestor=\"true\"") && came.contains("Doe^Jane"), "{came}");
    let sent = of("csd-code=\"delivery_attempted\"");
    assert!(sent.contains("UserID=\"archive\"") && sent.contains("EventOutcomeIndicator=\"0\""), "{sent}");
}

/// A stranger with a flood of calls is in the trail, in a few lines that say how many there were, and does not fill it.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_in_the_trail_and_do_not_fill_it() {
    let t = TestStore::new().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(1, "bright");
    config.audit.dir = Some(dir.path().to_owned());
    let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
    for n in 0..60 {
        let mut to = running.to.clone();
        to.ae_title = title(&format!("OTHER{n}"));
        assert!(contourd::dicom::net::echo(&to, &title("STRANGER")).await.is_err());
    }
    let lines = async || -> Vec<(String, serde_json::Value)> {
        let lines = t.pg.audit_after(0, 1000).await.unwrap();
        lines.into_iter().filter(|l| l.event == "association_refused").map(|l| (l.event, l.detail)).collect()
    };
    let mut seen = lines().await;
    for _ in 0..100 {
        if seen.len() >= 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen = lines().await;
    }
    assert!((20..30).contains(&seen.len()), "{}", seen.len());
    let (_, first) = &seen[0];
    assert!(first["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{first}");
    assert!(first["why"].as_str().unwrap().contains("is not our AE title"), "{first}");
    assert_eq!(first["untold"], 0);
    running.daemon.stop().await;
    let told: String = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let line = told.lines().find(|line| line.contains("association_refused")).unwrap();
    assert!(line.contains("Security Alert") && line.contains("NetworkAccessPointID=\"127.0.0.1\""), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_tls_to_a_server_of_the_right_ca_and_to_no_other() {
    let t = TestStore::new().await;
    let (authority, stranger) = (Authority::new("Site CA"), Authority::new("Other CA"));
    let issued = authority.issue("syslog", "DNS:syslog.example", VALID);
    let (free, port) = listener().await;
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("received");
    let server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
        .args(["-cert", text(&issued.certificate), "-key", text(&issued.key)])
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&said).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is needed");
    let mut server = Ends(server);
    let with = |ca| {
        let tls = DestinationTls { ca, name: Some("syslog.example".into()), ..DestinationTls::default() };
        let mut config = config(1, "bright");
        config.audit.syslog = Some(SyslogConfig { host: "127.0.0.1".into(), port, tls: Some(tls) });
        config
    };
    let received = || std::fs::read_to_string(&said).unwrap_or_default();
    t.pg.audit("own_object_ignored", None, &json!({"calling": "MR1"})).await.unwrap();
    let running = launch(&t, with(stranger.ca()), &Arc::new(Threshold::default()), listener().await.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.daemon.stop().await;
    assert_eq!(received(), "", "nothing is told to a server of another CA");

    let running = launch(&t, with(authority.ca()), &Arc::new(Threshold::default()), listener().await.0);
    for _ in 0..200 {
        if received().contains("own_object_ignored") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.daemon.stop().await;
    assert!(received().contains("<85>1 ") && received().contains("own_object_ignored"), "{}", received());
    assert!(server.0.try_wait().unwrap().is_none(), "the server ended by itself");
}

/// Ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
