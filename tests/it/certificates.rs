//! What `check-config` and `doctor` say of certificates, before a peer does.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::net::authority::{Authority, EXPIRED, Issued, VALID};
use crate::support::{Heard, contourd, open_folder};

/// The sections of [`config`] that name files.
const PLACES: [&str; 3] = ["scp.tls", "destination[1].tls", "source[1].tls"];

/// A configuration with these files for calls, and for a destination.
fn config(folder: &Path, own: &Issued, ca: &Path) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let (certificate, key) = (&own.certificate, &own.key);
    format!(
        "[models]\ndir = {models:?}\n[store]\nstate_dir = {state:?}\n\
         [scp.tls]\ncertificate = {certificate:?}\nkey = {key:?}\nclient_ca = {ca:?}\n\
         [[peer]]\nname = \"mr\"\nae_title = \"MR1\"\nfrom = [\"127.0.0.1\"]\ntls_subject = \"mr1.example\"\n\
         [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = 1\nae_title = \"PACS\"\n\
         tls = {{ ca = {ca:?}, certificate = {certificate:?}, key = {key:?} }}\n\
         [[source]]\nname = \"archive\"\nhost = \"127.0.0.1\"\nport = 1\nae_title = \"ARCHIVE\"\n\
         tls = {{ ca = {ca:?}, certificate = {certificate:?}, key = {key:?} }}\n\
         [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n",
        state = folder.join("state"),
    )
}

/// `contourd check-config`: its status and what it says.
fn check(text: &str, folder: &Path) -> (Option<i32>, String) {
    let file = folder.join("contourd.toml");
    std::fs::write(&file, text).unwrap();
    let out = contourd().args(["check-config", "--config"]).arg(&file).heard();
    (out.status.code(), [out.stdout, out.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat())
}

#[test]
fn every_fault_of_a_certificate_is_told_with_its_key() {
    let folder = open_folder();
    let site = Authority::new("site");
    let (own, other) = (site.issue("own", "DNS:own.example", VALID), site.issue("other", "DNS:other.example", VALID));
    let (status, said) = check(&config(folder.path(), &own, &site.ca()), folder.path());
    assert_eq!(status, Some(0), "{said}");
    for place in ["scp.tls: ", "destination[1].tls: ", "source[1].tls: "] {
        let line = said.lines().find(|line| line.starts_with(place)).unwrap_or_else(|| panic!("{place}: {said}"));
        assert!(line.contains("for own.example, good until 2049-12-31"), "{line}");
    }

    let readable = site.issue("readable", "DNS:own.example", VALID);
    std::fs::set_permissions(&readable.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let broken = folder.path().join("broken.pem");
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let with = |certificate: &Path, key: &Path| Issued { certificate: certificate.into(), key: key.into() };
    let absent = Path::new("/nonexistent/file.pem");
    let old = site.issue("old", "DNS:own.example", EXPIRED);
    for (files, key, words) in [
        (with(absent, &own.key), "certificate", "/nonexistent/file.pem cannot be read: No such file"),
        (with(&own.key, &own.key), "certificate", "holds no certificate in PEM form"),
        (with(&broken, &own.key), "certificate", "cannot be used"),
        (with(&own.certificate, absent), "key", "/nonexistent/file.pem cannot be read"),
        (with(&own.certificate, &own.certificate), "key", "may be read by everybody"),
        (with(&own.certificate, &other.key), "key", "does not belong to the certificate"),
        (readable, "key", "may be read by everybody on this computer (mode 644)"),
        (old, "certificate", "expired on 2021-03-01"),
    ] {
        let (status, said) = check(&config(folder.path(), &files, &site.ca()), folder.path());
        assert_eq!(status, Some(64), "{said}");
        for place in PLACES {
            let start = format!("{place}.{key}");
            let told = said.lines().any(|line| line.contains(&start) && line.contains(words));
            assert!(told, "{start} ... {words}: {said}");
        }
    }
    let (status, said) = check(&config(folder.path(), &own, absent), folder.path());
    assert_eq!(status, Some(64), "{said}");
    assert!(said.contains("scp.tls.client_ca: ") && said.contains("destination[1].tls.ca: "), "{said}");
}

#[test]
fn doctor_looks_at_certificates() {
    let folder = open_folder();
    let site = Authority::new("site");
    let old = site.issue("old", "DNS:own.example", EXPIRED);
    let none = folder.path().join("none");
    std::fs::create_dir_all(none.join("m")).unwrap();
    std::fs::write(none.join("m/card.toml"), "").unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let text = config(folder.path(), &old, &site.ca())
        .replace(&format!("dir = {models:?}\n"), &format!("dir = {none:?}\ndefault = \"m\"\n"));
    let file = folder.path().join("contourd.toml");
    std::fs::write(&file, text).unwrap();
    let out = contourd().args(["doctor", "--config"]).arg(&file).env_remove("CONTOURD_DATABASE_URL").heard();
    let lines = String::from_utf8_lossy(&out.stdout).into_owned();
    for place in PLACES {
        let start = format!("FAIL  certificates of {place}: certificate ");
        assert!(lines.lines().any(|l| l.starts_with(&start) && l.contains("expired on 2021-03-01")), "{lines}");
    }
}
