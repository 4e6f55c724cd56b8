//! A PostgreSQL server of the site's own, as a person sets one up by hand.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::free_port;
use crate::support::{open_folder, run};

const PASSWORD: &str = "a word of its own";

/// A server with a folder of its own, on TCP, with a password.
pub struct Postgres {
    folder: tempfile::TempDir,
    port: u16,
    environment: Vec<(String, String)>,
}

impl Postgres {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// In an environment with these variables, too.
    pub fn start_with(environment: &[(String, String)]) -> Self {
        let server = Self { folder: open_folder(), port: free_port(), environment: environment.to_vec() };
        std::fs::create_dir(server.home()).unwrap();
        if let Some(user) = user() {
            std::os::unix::fs::chown(server.home(), Some(user), None).unwrap();
        }
        let password = server.folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let mut initdb = server.command("initdb");
        initdb.args(["-A", "scram-sha-256", "-U", "contouring", "-E", "UTF8", "--pwfile"]).arg(&password);
        run(initdb.arg("-D").arg(server.data()));
        server.start_again();
        server
    }

    pub fn start_again(&self) {
        let options = format!("-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories=''", self.port);
        let mut start = self.command("pg_ctl");
        start.arg("-D").arg(self.data()).arg("-l").arg(self.home().join("log")).args(["-w", "-o", &options, "start"]);
        // Its output is the server's, which stays.
        assert!(start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success(), "no PostgreSQL");
    }

    /// As a crash: nothing is written out.
    pub fn crash(&self) {
        run(self.command("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]));
    }

    /// Where contourd finds it.
    pub fn url(&self) -> String {
        self.url_of("contouring", &PASSWORD.replace(' ', "%20"), "postgres")
    }

    /// The same for another user and database.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// One row of text for each row of the answer.
    pub fn sql(&self, query: &str) -> Vec<String> {
        run(Command::new("psql").args([&self.url(), "-Atc", query])).lines().map(str::to_owned).collect()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(newest_binaries().join(program));
        command.current_dir("/").envs(self.environment.iter().cloned());
        if let Some(user) = user() {
            command.uid(user);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.command("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "stop"]).output();
    }
}

/// The user that the server runs as when we are root.
fn user() -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let postgres = passwd.lines().find(|line| line.starts_with("postgres:")).expect("PostgreSQL is needed");
    rustix::process::getuid().is_root().then(|| postgres.split(':').nth(2).unwrap().parse().unwrap())
}

/// Where Debian keeps the programs of the newest server that is installed.
pub fn newest_binaries() -> PathBuf {
    let versions = std::fs::read_dir(Path::new("/usr/lib/postgresql")).expect("PostgreSQL is needed");
    let versions = versions.map(|entry| entry.unwrap().path());
    versions.max_by_key(|v| v.file_name().unwrap().to_str().unwrap().parse::<u32>().ok()).unwrap().join("bin")
}
