//! A certification authority of a test, by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The authority, with a folder for what it issues.
pub struct Authority {
    folder: TempDir,
}

/// A certificate with its key.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Issued {
    /// As DCMTK's tools want it: key, certificate, the CA that the other side must come from.
    pub fn dcmtk<'a>(&'a self, ca: &'a Path) -> [&'a str; 5] {
        ["+tls", text(&self.key), text(&self.certificate), "+cf", text(ca)]
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Valid since long and for long.
pub const VALID: (&str, &str) = ("20200101000000Z", "20491231000000Z");
/// Valid once.
pub const EXPIRED: (&str, &str) = ("20200101000000Z", "20210301000000Z");

impl Authority {
    pub fn new(name: &str) -> Self {
        let authority = Self { folder: TempDir::new().unwrap() };
        let subject = format!("/CN={name}");
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"];
        let files = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", &subject];
        authority.openssl(&[&["req", "-x509"], curve.as_slice(), &files].concat());
        let config = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
                      default_md = sha256\npolicy = any\ncopy_extensions = copy\nunique_subject = no\n\
                      [any]\ncommonName = supplied\n";
        for (file, contents) in [("ca.cnf", config), ("index", ""), ("serial", "01\n")] {
            std::fs::write(authority.path(file), contents).unwrap();
        }
        authority
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A certificate whose files are called `file`, for a Subject Alternative Name such as `DNS:mr1.example`.
    pub fn issue(&self, file: &str, names: &str, valid: (&str, &str)) -> Issued {
        let of = |ending: &str| format!("{file}.{ending}");
        let (key, request, certificate) = (of("key"), of("csr"), of("pem"));
        let (subject, names) = (format!("/CN={file}"), format!("subjectAltName={names}"));
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files = ["-keyout", &key, "-out", &request, "-subj", &subject, "-addext", &names];
        self.openssl(&[&["req"], curve.as_slice(), &files].concat());
        let ca = ["ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-notext"];
        let dates = ["-startdate", valid.0, "-enddate", valid.1, "-in", &request, "-out", &certificate];
        self.openssl(&[ca.as_slice(), &dates].concat());
        Issued { certificate: self.path(&certificate), key: self.path(&key) }
    }

    fn openssl(&self, args: &[&str]) {
        let run = Command::new("openssl").args(args).current_dir(self.folder.path()).output();
        let run = run.unwrap_or_else(|e| panic!("openssl cannot be run ({e}); ops/setup --tests installs it"));
        assert!(run.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&run.stderr));
    }
}
