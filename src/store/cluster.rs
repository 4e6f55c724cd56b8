//! The private PostgreSQL server of a daemon without a configured database.
//!
//! It lies in `<state>/postgres`, listens on a unix socket in a directory of mode 0700 and nowhere else, and belongs to
//! the user `postgres` when the daemon runs as root (PostgreSQL refuses root), else to the daemon's own user. The
//! daemon holds the lock of the state directory, so a server found running there was left by a daemon that was
//! killed: it is stopped and started again. All functions block.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::StoreError;
use super::blobs::make_durable_directory;
use super::owner::{Owner, check_searchable, owner_of_the_server};
use crate::ids::sha256_hex;

/// Where Debian keeps server binaries, one directory a major version.
const BINARIES: &str = "/usr/lib/postgresql";
/// A role, a database and a port number (part of the socket's name) of our own choice; nothing listens on TCP.
const ROLE: &str = "contourd";
const PORT: u16 = 5432;
/// `sun_path` holds 107 bytes; the socket is called `.s.PGSQL.5432`, and its lock file five more.
const SOCKET_DIRECTORY_BYTES: usize = 107 - "/.s.PGSQL.5432".len();
/// How long children of a killed server may take to notice.
const ORPHANS: Duration = Duration::from_secs(20);

/// The server.
#[derive(Debug)]
pub struct Cluster {
    home: PathBuf,
    socket_dir: PathBuf,
    binaries: PathBuf,
    owner: Option<Owner>,
}

impl Cluster {
    /// Makes the server if it is not there, and starts it.
    ///
    /// # Errors
    /// [`StoreError::Cluster`], saying what is missing and what to do.
    pub fn start(state_dir: &Path) -> Result<Self, StoreError> {
        let cluster = Self::find(state_dir)?;
        if let Some(owner) = cluster.owner {
            check_searchable(state_dir, owner).map_err(|why| cluster.fail(why))?;
        }
        make_durable_directory(&cluster.home)?;
        give(&cluster.home, cluster.owner).map_err(|e| cluster.fail(format!("cannot be given to its user: {e}")))?;
        if !cluster.is_made() {
            cluster.initialise()?;
        }
        cluster.restart()?;
        Ok(cluster)
    }

    /// The server of a state directory, whether it is made or not; nothing is made or started.
    ///
    /// # Errors
    /// [`StoreError::Cluster`], saying what is missing and what to do.
    pub(super) fn find(state_dir: &Path) -> Result<Self, StoreError> {
        let home = state_dir.join("postgres");
        let fail = |message: String| StoreError::Cluster { dir: home.clone(), message };
        let owner = owner_of_the_server().map_err(fail)?;
        let made_with = std::fs::read_to_string(home.join("data/PG_VERSION")).ok();
        let installed = installed_versions(Path::new(BINARIES));
        let version = choose_version(&installed, made_with.as_deref()).map_err(fail)?;
        let binaries = Path::new(BINARIES).join(version).join("bin");
        let socket_dir = socket_directory(&home, &short_base());
        Ok(Self { home, socket_dir, binaries, owner })
    }

    /// Whether its data directory is there.
    pub(super) fn is_made(&self) -> bool {
        self.data().join("PG_VERSION").exists()
    }

    /// Whose programs it is run with: "PostgreSQL 15".
    pub(super) fn version(&self) -> String {
        let version = self.binaries.parent().and_then(Path::file_name).unwrap_or_default();
        format!("PostgreSQL {}", version.to_string_lossy())
    }

    /// How to connect to the database `name`.
    pub fn options(&self, name: &str) -> sqlx::postgres::PgConnectOptions {
        sqlx::postgres::PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(ROLE)
            .password("")
            .database(name)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
    }

    /// Whether the server process is there.
    pub fn is_running(&self) -> bool {
        self.postmaster().is_some_and(|pid| self.processes().contains(&pid))
    }

    /// Process id of the server as its pid file tells it.
    pub fn postmaster(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Starts the server, whatever a killed daemon or a killed server left behind.
    ///
    /// # Errors
    /// [`StoreError::Cluster`] with the end of the server's log.
    pub fn restart(&self) -> Result<(), StoreError> {
        if self.is_running() {
            self.stop()?;
        }
        // Children of a killed server still hold its shared memory; a new one must not come up beside them.
        let patience = Instant::now() + ORPHANS;
        while !self.processes().is_empty() {
            if Instant::now() > patience {
                return Err(self.fail(format!(
                    "processes {:?} of a killed server do not end; end them, then start again",
                    self.processes()
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Nobody runs in this directory, so a pid file there is stale. PostgreSQL finds that out for itself unless the
        // number now belongs to another process of the same user, as happens after a restart of a container.
        let pid_file = self.data().join("postmaster.pid");
        if pid_file.exists() {
            std::fs::remove_file(&pid_file).map_err(|e| self.fail(format!("stale {}: {e}", pid_file.display())))?;
        }
        self.make_socket_directory()?;
        let socket = self.socket_dir.display();
        let settings = format!(
            "-c listen_addresses='' -c port={PORT} -c unix_socket_directories='{socket}' \
             -c unix_socket_permissions=0700 -c fsync=on -c full_page_writes=on -c synchronous_commit=on \
             -c log_error_verbosity=terse"
        );
        let log = self.home.join("log");
        self.pg_ctl(&["start", "-w", "-t", "60", "-l", &log.to_string_lossy(), "-o", &settings]).map_err(|said| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ");
            self.fail(format!("did not start: {said}; end of its log: {end}"))
        })
    }

    /// Stops the server; what was committed stays.
    ///
    /// # Errors
    /// [`StoreError::Cluster`] when it does not end within a minute.
    pub fn stop(&self) -> Result<(), StoreError> {
        if !self.is_running() {
            return Ok(());
        }
        self.pg_ctl(&["stop", "-m", "fast", "-w", "-t", "60"])
            .map_err(|said| self.fail(format!("did not stop: {said}")))?;
        if !self.socket_dir.starts_with(&self.home) {
            // Empty now. If it cannot be removed it is found, and checked, at the next start.
            let _ = std::fs::remove_dir(&self.socket_dir);
        }
        Ok(())
    }

    /// `initdb` into a directory beside, renamed when it is whole: a kill in between leaves nothing half made.
    fn initialise(&self) -> Result<(), StoreError> {
        let partial = self.home.join("data.partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial).map_err(|e| self.fail(format!("{}: {e}", partial.display())))?;
        }
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(&partial).args(["-A", "trust", "-U", ROLE, "-E", "UTF8", "--locale=C.UTF-8"]);
        initdb.arg("--data-checksums");
        run(&mut initdb).map_err(|said| self.fail(format!("cannot be made: {said}")))?;
        let renamed = std::fs::rename(&partial, self.data())
            .and_then(|()| std::fs::File::open(&self.home))
            .and_then(|home| home.sync_all());
        renamed.map_err(|e| self.fail(format!("cannot be put in its place: {e}")))
    }

    fn make_socket_directory(&self) -> Result<(), StoreError> {
        let dir = &self.socket_dir;
        let fail = |e: String| self.fail(format!("socket directory {}: {e}", dir.display()));
        match std::fs::create_dir(dir) {
            Ok(()) => give(dir, self.owner).map_err(|e| fail(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(fail(e.to_string())),
        }
        // Outside the state directory somebody else could have made it first.
        let found = std::fs::symlink_metadata(dir).map_err(|e| fail(e.to_string()))?;
        let uid = self.owner.map_or_else(|| rustix::process::getuid().as_raw(), |owner| owner.uid);
        if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
            return Err(fail("is not ours alone; remove it, then start again".into()));
        }
        Ok(())
    }

    fn pg_ctl(&self, args: &[&str]) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        command.arg("-D").arg(self.data()).args(args);
        run(&mut command)
    }

    /// A server program as the server's user, with nothing of our environment: PGPORT and the like would change it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command
    }

    /// A client program of PostgreSQL that talks to this server.
    pub(super) fn client(&self, program: &str) -> Command {
        let mut command = self.command(program);
        command.env("PGHOST", &self.socket_dir).env("PGPORT", PORT.to_string()).env("PGUSER", ROLE);
        command
    }

    /// Every process of this server: PostgreSQL works in its data directory.
    fn processes(&self) -> Vec<u32> {
        let Ok(data) = self.data().canonicalize() else { return Vec::new() };
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        all.flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
            .collect()
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn fail(&self, message: String) -> StoreError {
        StoreError::Cluster { dir: self.home.clone(), message }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// What it said.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    Err(said.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" | "))
}

/// Mode 0700, and the server's user as owner.
fn give(dir: &Path, owner: Option<Owner>) -> std::io::Result<()> {
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    match owner {
        Some(owner) => std::os::unix::fs::chown(dir, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}

/// Major versions that have a server, ascending.
fn installed_versions(binaries: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(binaries) else { return Vec::new() };
    let mut versions: Vec<u32> = entries
        .flatten()
        .filter(|entry| entry.path().join("bin/initdb").exists())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable();
    versions
}

/// The version that made the data, else the newest.
fn choose_version(installed: &[u32], made_with: Option<&str>) -> Result<String, String> {
    let Some(newest) = installed.last() else {
        return Err(format!(
            "no PostgreSQL server is installed (looked in {BINARIES}/*/bin); install the package postgresql or set store.url"
        ));
    };
    let Some(made_with) = made_with.map(str::trim) else { return Ok(newest.to_string()) };
    if installed.iter().any(|v| v.to_string() == made_with) {
        return Ok(made_with.to_owned());
    }
    Err(format!(
        "its data were made by PostgreSQL {made_with}, but only {installed:?} is installed; install postgresql-{made_with}, \
         or upgrade the data with pg_upgrade"
    ))
}

/// Inside the server's own directory, or, when that path is too long for a socket, in a short private one.
fn socket_directory(home: &Path, short: &Path) -> PathBuf {
    let inside = home.join("run");
    if inside.as_os_str().len() <= SOCKET_DIRECTORY_BYTES {
        return inside;
    }
    let digest = sha256_hex(home.as_os_str().as_encoded_bytes());
    short.join(format!("contourd-{}", digest.get(..16).unwrap_or(&digest)))
}

fn short_base() -> PathBuf {
    if rustix::process::getuid().is_root() { PathBuf::from("/run") } else { PathBuf::from("/tmp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_data_decides() {
        assert_eq!(choose_version(&[13, 15], None).unwrap(), "15");
        assert_eq!(choose_version(&[13, 15], Some("13\n")).unwrap(), "13");
        assert!(choose_version(&[15, 17], Some("13\n")).unwrap_err().contains("postgresql-13"));
        assert!(choose_version(&[], None).unwrap_err().contains("install"));
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let short = Path::new("/run");
        assert_eq!(socket_directory(Path::new("/s/postgres"), short), Path::new("/s/postgres/run"));
        let long = PathBuf::from(format!("/{}", "x".repeat(90)));
        let dir = socket_directory(&long, short);
        assert!(dir.starts_with(short) && dir.as_os_str().len() < 40, "{}", dir.display());
        assert_ne!(dir, socket_directory(&long.join("y"), short));
    }
}
