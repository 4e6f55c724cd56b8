//! TLS with DCMTK on the other side, both ways, and what a technician is told when it does not come about.

use std::path::Path;
use std::time::Duration;

use contourd::dicom::net::{
    Destination, DestinationTls, FailureClass, NetError, ScpConfig, ScpTls, SendOutcome, echo, send,
};
use tokio::io::AsyncWriteExt;

use super::authority::{Authority, EXPIRED, Issued, VALID, text};
use super::peers::peer;
use super::raw::Raw;
use super::sending::{StoreScp, destination, object, us};
use super::support::{SAMPLE_INSTANCE, SAMPLES, Scp, Shelf, echoscu, storescu, tool};

fn settings(own: &Issued, client_ca: &Path) -> ScpTls {
    ScpTls {
        listen: Some(([127, 0, 0, 1], 0).into()),
        certificate: own.certificate.clone(),
        key: own.key.clone(),
        client_ca: client_ca.to_owned(),
    }
}

/// `echoscu` with a certificate.
async fn secure_echo(port: u16, title: &str, own: &Issued, ca: &Path) -> (bool, String) {
    echoscu(port, &[own.dcmtk(ca).as_slice(), &["-aet", title, "-aec", "CONTOURD"]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_a_certificate_of_our_ca_is_served() {
    let site = Authority::new("site");
    let (own, scanner) = (site.issue("own", "DNS:contourd.example", VALID), site.issue("mr", "DNS:mr1.example", VALID));
    let scp = Scp::start(ScpConfig { tls: Some(settings(&own, &site.ca())), ..ScpConfig::default() }, Shelf::default());
    let scp = scp.await;
    let ca = site.ca();
    let args = [scanner.dcmtk(&ca).as_slice(), &["-aet", "MR1"]].concat();
    let files = [SAMPLES.file("explicit"), SAMPLES.file("implicit")];
    let (ok, said) = storescu(scp.secure_port, &args, &files).await;
    assert!(ok && said.matches("Received Store Response (Success)").count() == 2, "{said}");
    assert_eq!(scp.shelf.instances(), [SAMPLE_INSTANCE, SAMPLE_INSTANCE]);
    // Both doors are open, and each is for its own kind.
    assert!(scp.is_well().await);
    let (ok, said) = echoscu(scp.secure_port, &["-aec", "CONTOURD"]).await;
    assert!(!ok, "{said}");
    let (ok, said) = secure_echo(scp.port, "MR1", &scanner, &ca).await;
    assert!(!ok, "{said}");
    assert!(scp.is_well().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_certificate_a_strange_one_and_an_expired_one_open_nothing() {
    let (site, other) = (Authority::new("site"), Authority::new("other"));
    let own = site.issue("own", "DNS:contourd.example", VALID);
    let config = ScpConfig { tls: Some(settings(&own, &site.ca())), ..ScpConfig::default() };
    let scp = Scp::start(config, Shelf::default()).await;
    let (expired, strange) =
        (site.issue("old", "DNS:mr1.example", EXPIRED), other.issue("mr", "DNS:mr1.example", VALID));
    for (what, args) in [
        ("none", ["+tla", "-ic"].as_slice()),
        ("expired", &expired.dcmtk(&site.ca())),
        ("of another CA", &strange.dcmtk(&site.ca())),
    ] {
        let (ok, said) = echoscu(scp.secure_port, &[args, &["-aec", "CONTOURD"]].concat()).await;
        assert!(!ok && !said.contains("Received Echo Response"), "{what}: {said}");
    }
    // A caller that does not trust our CA does not talk to us.
    let good = site.issue("good", "DNS:mr1.example", VALID);
    let (ok, said) = secure_echo(scp.secure_port, "MR1", &good, &other.ca()).await;
    assert!(!ok && said.contains("certificate"), "{said}");
    let (ok, said) = secure_echo(scp.secure_port, "MR1", &good, &site.ca()).await;
    assert!(ok, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_a_tls_subject_must_show_a_certificate_for_it() {
    let site = Authority::new("site");
    let ca = site.ca();
    let own = site.issue("own", "DNS:contourd.example", VALID);
    let peers =
        vec![peer("name = 'scanner'\nae_title = 'MR1'\nfrom = ['127.0.0.1']\ntls_subject = 'mr1.hospital.example'")];
    let scp = Scp::start(ScpConfig { peers, tls: Some(settings(&own, &ca)), ..ScpConfig::default() }, Shelf::default());
    let scp = scp.await;
    for (names, right) in [
        ("DNS:mr1.hospital.example", true),
        ("DNS:other.example,DNS:mr1.hospital.example", true),
        ("DNS:mr2.hospital.example", false),
        ("DNS:mr1.hospital.exampl", false),
        ("DNS:mr1.hospital.example.org", false),
        ("DNS:amr1.hospital.example", false),
        ("DNS:*.hospital.example", false),
        ("IP:127.0.0.1", false),
        ("email:mr1.hospital.example@example.org", false),
    ] {
        let shown = site.issue("shown", names, VALID);
        let (ok, said) = secure_echo(scp.secure_port, "MR1", &shown, &ca).await;
        assert_eq!(ok, right, "{names}: {said}");
        assert!(right || said.contains("Calling AE Title Not Recognized"), "{names}: {said}");
    }
    // Not without TLS either.
    let (ok, said) = echoscu(scp.port, &["-aet", "MR1", "-aec", "CONTOURD"]).await;
    assert!(!ok && said.contains("Calling AE Title Not Recognized"), "{said}");
}

/// With `openssl` as the caller: what BCP 195 does not recommend is not spoken.
#[tokio::test(flavor = "multi_thread")]
async fn old_versions_and_weak_ciphers_are_not_spoken() {
    let site = Authority::new("site");
    let own = site.issue("own", "DNS:contourd.example", VALID);
    let config = ScpConfig { tls: Some(settings(&own, Path::new(""))), ..ScpConfig::default() };
    let scp = Scp::start(config, Shelf::default()).await;
    let at = format!("127.0.0.1:{}", scp.secure_port);
    for (args, spoken) in [
        (["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"].as_slice(), true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], true),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], false),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
    ] {
        let ca = site.ca();
        let call = ["s_client", "-connect", &at, "-CAfile", text(&ca), "-verify_return_error"];
        let (_, said) = tool("openssl", &[call.as_slice(), args].concat()).await;
        assert_eq!(!said.contains("Cipher is (NONE)"), spoken, "{args:?}: {said}");
        assert_eq!(said.contains("subject=CN = own"), spoken, "{args:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_come_into_force_without_a_restart_and_broken_ones_do_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let own = old.issue("own", "DNS:contourd.example", VALID);
    let (first, next) = (old.issue("mr", "DNS:mr1.example", VALID), new.issue("mr", "DNS:mr1.example", VALID));
    let client_ca = old.ca().with_file_name("clients.pem");
    std::fs::copy(old.ca(), &client_ca).unwrap();
    let scp = Scp::start(ScpConfig { tls: Some(settings(&own, &client_ca)), ..ScpConfig::default() }, Shelf::default());
    let scp = scp.await;
    let served = async |caller: &Issued, ca: &Path| secure_echo(scp.secure_port, "MR1", caller, ca).await.0;
    assert!(served(&first, &old.ca()).await && !served(&next, &old.ca()).await);
    // An association that is open goes on.
    let mut open = Raw::associate(scp.port).await;

    std::fs::write(&own.certificate, "-----BEGIN CERTIFICATE-----\nbroken\n").unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(served(&first, &old.ca()).await, "a broken file took the certificate out of force");

    let renewed = new.issue("own", "DNS:contourd.example", VALID);
    std::fs::copy(&renewed.key, &own.key).unwrap();
    std::fs::copy(&renewed.certificate, &own.certificate).unwrap();
    std::fs::copy(new.ca(), &client_ca).unwrap();
    let mut tries = 0;
    while !served(&next, &new.ca()).await {
        tries += 1;
        assert!(tries < 50, "the new certificates did not come into force");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!served(&first, &new.ca()).await, "the CA that was taken away still counts");
    open.send(&dicom_ul::pdu::Pdu::ReleaseRQ).await;
    assert_eq!(open.receive().await, Some(dicom_ul::pdu::Pdu::ReleaseRP));
}

fn secure(port: u16, ca: &Path, own: Option<&Issued>) -> Destination {
    let (certificate, key) = own.map(|own| (own.certificate.clone(), own.key.clone())).unwrap_or_default();
    let tls = DestinationTls { ca: ca.to_owned(), name: Some("pacs.example".to_owned()), certificate, key };
    assert_eq!(tls.faults("127.0.0.1"), Vec::<String>::new());
    Destination { tls: Some(tls), connect_timeout_seconds: 5, ..destination(port) }
}

#[tokio::test(flavor = "multi_thread")]
async fn storescp_is_served_over_tls_with_certificates_of_both_sides() {
    let site = Authority::new("site");
    let (pacs, own) = (site.issue("pacs", "DNS:pacs.example", VALID), site.issue("own", "DNS:contourd.example", VALID));
    let ca = site.ca();
    let server = StoreScp::start(&pacs.dcmtk(&ca)).await;
    let to = secure(server.port, &ca, Some(&own));
    echo(&to, &us()).await.unwrap();
    let mut large = object(SAMPLES.file("explicit"), SAMPLE_INSTANCE);
    large.bytes = [large.bytes.as_ref(), &[0xe1, 0x7f, 0x10, 0x10, b'O', b'B', 0, 0, 0, 0, 0x20, 0]].concat().into();
    large.bytes = [large.bytes.as_ref(), &vec![7; 2 << 20]].concat().into();
    let outcomes = send(&to, &us(), &[object(SAMPLES.file("implicit"), SAMPLE_INSTANCE), large]).await.unwrap();
    assert_eq!(outcomes, [SendOutcome::Stored, SendOutcome::Stored]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_technician_reads_why_there_is_no_secure_connection() {
    let (site, other) = (Authority::new("site"), Authority::new("other"));
    let (ca, strange) = (site.ca(), other.ca());
    let own = site.issue("own", "DNS:contourd.example", VALID);
    let said = async |to: &Destination| match echo(to, &us()).await {
        Err(error @ NetError::Tls(_)) => {
            assert_eq!(error.class(), FailureClass::Setting);
            error.to_string()
        }
        other => panic!("{other:?}"),
    };
    let good = site.issue("pacs", "DNS:pacs.example", VALID);
    let server = StoreScp::start(&good.dcmtk(&ca)).await;
    let words = said(&secure(server.port, &strange, Some(&own))).await;
    assert!(words.contains("comes from a CA that is not among those configured"), "{words}");
    let mut elsewhere = secure(server.port, &ca, Some(&own));
    elsewhere.tls.as_mut().unwrap().name = Some("pacs.exampl".to_owned());
    let words = said(&elsewhere).await;
    assert!(words.contains("is not for pacs.exampl but for") && words.contains("pacs.example"), "{words}");
    elsewhere.tls.as_mut().unwrap().name = None;
    let words = said(&elsewhere).await;
    assert!(words.contains("is not for 127.0.0.1"), "{words}");
    // What the other side has against us comes as an alert, with TLS 1.3 after we thought that all was well.
    let words = said(&secure(server.port, &ca, None)).await;
    assert!(words.contains("must show a certificate"), "{words}");
    let foreign = other.issue("own", "DNS:contourd.example", VALID);
    let words = said(&secure(server.port, &ca, Some(&foreign))).await;
    assert!(words.contains("does not know the CA of our certificate"), "{words}");
    let old = site.issue("own-old", "DNS:contourd.example", EXPIRED);
    let words = said(&secure(server.port, &ca, Some(&old))).await;
    assert!(words.contains("our certificate has expired"), "{words}");

    let expired = site.issue("old", "DNS:pacs.example", EXPIRED);
    let server = StoreScp::start(&expired.dcmtk(&ca)).await;
    let words = said(&secure(server.port, &ca, Some(&own))).await;
    assert!(words.contains("expired on 2021-03-01"), "{words}");

    let plain = StoreScp::start(&[]).await;
    let words = said(&secure(plain.port, &ca, Some(&own))).await;
    assert!(words.contains("is no TLS") || words.contains("does it speak TLS on this port?"), "{words}");
    let gone = DestinationTls { ca: "/nonexistent/ca.pem".into(), ..DestinationTls::default() };
    let words = said(&Destination { tls: Some(gone), ..destination(plain.port) }).await;
    assert!(words.contains("tls.ca /nonexistent/ca.pem cannot be read"), "{words}");
}

/// The other way round: a destination without `tls` that speaks it.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_wants_tls_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap().port());
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // An alert, as a server sends it to whoever speaks no TLS.
        stream.write_all(&[0x15, 3, 3, 0, 2, 2, 70]).await.unwrap();
        stream
    });
    let error = echo(&to, &us()).await.unwrap_err().to_string();
    assert!(error.contains("it is TLS"), "{error}");
    drop(peer.await.unwrap());
}
