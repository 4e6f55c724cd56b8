//! The whole system as a site runs it: the real daemon, a real PACS (Orthanc), real senders (DCMTK), a database server of
//! the site's own.

mod pacs;
mod postgres;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use pacs::{DICOMWEB, Pacs};
pub use postgres::{Postgres, newest_binaries};

use crate::support::{PATIENTS, contourd, open_folder, run};

/// How long anything may take on a slow machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Name of the model on a coarse grid.
const COARSE: &str = "coarse";

/// A port for a server that is yet to start, or that goes away and comes back. It lies below those that the system gives
/// to outgoing connections (from 32768 on, Linux), so that none of these takes it in between.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(97));
        let port = u16::try_from(FIRST + turn % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {FIRST} to {} is free", FIRST + COUNT);
}

/// Asks until the answer is there.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// GET or POST by curl; `None` when nobody answers or the status is an error.
pub fn http(url: &str, body: Option<&Value>) -> Option<Value> {
    let mut curl = Command::new("curl");
    curl.args(["-fsS", "--noproxy", "*", "--max-time", "60", url]);
    if let Some(body) = body {
        curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let out = curl.output().expect("curl is needed");
    if !out.status.success() {
        return None;
    }
    if out.stdout.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&out.stdout).ok() }
}

/// HTTP status and body of a GET; `None` when nobody answers.
pub fn http_status(url: &str) -> Option<(u16, String)> {
    let out = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--max-time", "60", "-w", "\n%{http_code}", url])
        .output()
        .expect("curl is needed");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n')?;
    out.status.success().then(|| (status.parse().unwrap(), body.to_owned()))
}

/// A running contourd with a state folder of its own.
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    /// The address of a database of the site's own.
    database: Option<String>,
    pub dicom: u16,
    pub web: u16,
}

/// What a test sets differently.
pub struct Setup<'a> {
    pub pacs: u16,
    pub quiet_seconds: u64,
    /// Folder of models and the name of the one to use.
    pub models: (&'a Path, &'a str),
    /// `CONTOURD_DATABASE_URL`; `None`: the private server.
    pub database: Option<String>,
    /// How the PACS is asked whether it keeps what it accepted.
    pub confirm: &'a str,
}

impl Daemon {
    pub fn start(setup: &Setup) -> Self {
        let mut daemon = Self::launch(setup);
        daemon.wait_until_ready();
        daemon
    }

    /// Starts it and does not wait until it is ready.
    pub fn launch(setup: &Setup) -> Self {
        let folder = open_folder();
        let (dicom, web) = (free_port(), free_port());
        let (models, model) = setup.models;
        let text = format!(
            "[store]\nstate_dir = {state:?}\n[scp]\nlisten = \"127.0.0.1:{dicom}\"\n[web]\nlisten = \"127.0.0.1:{web}\"\ncases_per_page = 500\n\
             [receive]\nquiet_seconds = {quiet}\nmissing_seconds = {quiet}\nmin_free_mebibytes = 64\n\
             [jobs]\nlease_seconds = 3\nretry_seconds = 1\n\
             [sending]\nlease_seconds = 3\nfirst_retry_seconds = 1\nlongest_retry_seconds = 2\n\
             [domain]\nenabled = {check}\n[models]\ndir = {models:?}\ndefault = {model:?}\n\
             [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = {pacs}\nae_title = \"PACS\"\n\
             confirm = {confirm:?}\n\
             [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n",
            state = folder.path().join("state"),
            quiet = setup.quiet_seconds,
            // What networks on a coarse grid find may be no brain at all.
            check = model != COARSE,
            pacs = setup.pacs,
            confirm = setup.confirm,
        );
        std::fs::write(folder.path().join("contourd.toml"), text).unwrap();
        let database = setup.database.clone();
        let child = Self::spawn(contourd(), folder.path(), database.as_deref());
        Self { child, folder, database, dicom, web }
    }

    fn spawn(mut program: Command, folder: &Path, database: Option<&str>) -> Child {
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        program.env_remove("CONTOURD_DATABASE_URL").envs(database.map(|url| ("CONTOURD_DATABASE_URL", url)));
        program
            .args(["serve", "--config"])
            .arg(folder.join("contourd.toml"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait_until_ready(&mut self) {
        let health = format!("http://127.0.0.1:{}/health", self.web);
        let log = self.log_file();
        let child = &mut self.child;
        wait_for("the daemon's /health", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            http(&health, None)
        });
    }

    /// kill -9, then a new start on the same state.
    pub fn kill_and_restart(&mut self) {
        self.kill_and_restart_as(contourd());
    }

    /// The same with `program` in the place of contourd: one that becomes contourd, and watches it.
    pub fn kill_and_restart_as(&mut self, program: Command) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(program, self.folder.path(), self.database.as_deref());
        self.wait_until_ready();
    }

    /// SIGTERM, and its end: whether it ended in order.
    pub fn terminate(&mut self) -> bool {
        run(Command::new("kill").arg(self.child.id().to_string()));
        self.child.wait().unwrap().success()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// How often the daemon said this, over all its lives.
    pub fn logged(&self, words: &str) -> usize {
        std::fs::read_to_string(self.log_file()).unwrap_or_default().matches(words).count()
    }

    pub fn api(&self, path: &str) -> Option<Value> {
        http(&format!("http://127.0.0.1:{}/api/{path}", self.web), None)
    }

    /// Cases of a series, latest revision first.
    pub fn cases_of(&self, series: &str) -> Vec<Value> {
        let all = self.api("cases").map_or(Vec::new(), |page| page["cases"].as_array().cloned().unwrap_or_default());
        let mut cases: Vec<Value> = all.into_iter().filter(|c| c["series_uid"] == series).collect();
        cases.sort_by_key(|c| -c["revision"].as_i64().unwrap());
        cases
    }

    pub fn state_of(&self, series: &str) -> Option<String> {
        self.cases_of(series).first().map(|c| c["state"].as_str().unwrap().to_owned())
    }

    /// One row of text for each row of the answer, from the daemon's own database.
    pub fn sql(&self, query: &str) -> Vec<String> {
        let said = run(Command::new("psql").args([
            "-h",
            &self.socket_dir(),
            "-U",
            "contourd",
            "-d",
            "contourd",
            "-Atc",
            query,
        ]));
        said.lines().map(str::to_owned).collect()
    }

    fn socket_dir(&self) -> String {
        // postmaster.pid: process id, data directory, start time, port, socket directory.
        let text = std::fs::read_to_string(self.state_dir().join("postgres/data/postmaster.pid")).unwrap();
        text.lines().nth(4).unwrap().to_owned()
    }

    pub fn postmaster(&self) -> String {
        let text = std::fs::read_to_string(self.state_dir().join("postgres/data/postmaster.pid")).unwrap();
        text.lines().next().unwrap().to_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // An orderly end, so that the private PostgreSQL server goes, too.
        if let Ok(None) = self.child.try_wait() {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        if !std::thread::panicking() {
            for words in PATIENTS {
                assert!(!log.contains(words), "a patient is in the daemon's log: {words}");
            }
        } else {
            let last: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the daemon's last words:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// A network line that carries only so many bytes a second in each direction: forwards what comes to a port of its own.
pub struct SlowLine {
    pub port: u16,
}

impl SlowLine {
    pub fn to(port: u16, bytes_a_second: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = Self { port: listener.local_addr().unwrap().port() };
        std::thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || Self::carry(from, to, bytes_a_second));
                }
            }
        });
        line
    }

    fn carry(mut from: TcpStream, mut to: TcpStream, bytes_a_second: usize) {
        const TICKS: u32 = 20;
        let mut piece = vec![0; bytes_a_second / TICKS as usize];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            if to.write_all(&piece[..length]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_secs(1) / TICKS);
        }
        // The end of one side is the end of the other.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

/// A sender at work: DCMTK's storescu over the files of a folder.
pub fn storescu(port: u16, files: &[PathBuf]) -> Child {
    Command::new("storescu")
        .env("TCP_NODELAY", "1")
        .args(["-v", "-aet", "SCANNER", "-aec", "CONTOURD", "127.0.0.1", &port.to_string()])
        .args(files)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("storescu (DCMTK) is needed")
}

/// Ends the sender when it is done and tells how many of its files were answered with success, in their order.
pub fn acknowledged(sender: Child) -> (bool, usize) {
    let out = sender.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.success(), said.lines().filter(|l| l.contains("Received Store Response (Success)")).count())
}

/// A copy of the shipped model that works on a coarse grid: the same networks, run on a fraction of the voxels, for
/// tests in which the result's quality does not matter.
pub fn coarse_model(models: &Path) -> &'static str {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/oar-head-v3");
    let folder = models.join(COARSE);
    std::fs::create_dir_all(&folder).unwrap();
    let mut card: toml::Table = std::fs::read_to_string(shipped.join("card.toml")).unwrap().parse().unwrap();
    card.insert("name".into(), COARSE.into());
    let working = card["working"].as_table_mut().unwrap();
    working.insert("spacing".into(), vec![1.4, 1.4, 1.8].into());
    working.insert("shape".into(), vec![160, 183, 100].into());
    std::fs::write(folder.join("card.toml"), card.to_string()).unwrap();
    for plane in ["axial", "coronal", "sagittal"] {
        std::fs::copy(shipped.join(format!("{plane}.onnx")), folder.join(format!("{plane}.onnx"))).unwrap();
    }
    COARSE
}

/// A configuration with the coarse model as the only one, its images unchecked, and more; in `folder`, beside the model.
pub fn coarse_config(folder: &Path, more: &str) -> PathBuf {
    let name = coarse_model(folder);
    let file = folder.join("contourd.toml");
    std::fs::write(&file, format!("[domain]\nenabled = false\n[models]\ndir = {folder:?}\ndefault = {name:?}\n{more}"))
        .unwrap();
    file
}

/// One bit of one of the networks is another.
pub fn damage(models: &Path) {
    let network = models.join("coarse/coronal.onnx");
    let mut bytes = std::fs::read(&network).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&network, bytes).unwrap();
}
