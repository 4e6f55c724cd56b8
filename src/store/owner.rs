//! As whom the private PostgreSQL server runs, and whose directory it is.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::StoreError;
use super::cluster::run;

/// The unprivileged user that a server of root's runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// Whether this process runs as the user whom the state directory belongs to, and the `private` server in it. Touches
/// nothing: to be asked before anything below `state_dir` is made or changed, so that a check run as root does not lock
/// an unprivileged daemon out.
///
/// # Errors
/// [`StoreError::Cluster`], naming the user to run as.
pub(super) fn check_user(state_dir: &Path, private: bool) -> Result<(), StoreError> {
    let home = state_dir.join("postgres");
    let fail = |message: String| StoreError::Cluster { dir: home.clone(), message };
    // With a configured database nothing runs as anybody else.
    let server = if private { owner_of_the_server().map_err(fail)? } else { None };
    let uid_of = |path: &Path| std::fs::metadata(path).ok().map(|found| found.uid());
    let ours = rustix::process::getuid().as_raw();
    let Some(owner) = other_user(ours, server.map(|s| s.uid), uid_of(state_dir), uid_of(&home)) else {
        return Ok(());
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Err(fail(wrong_user(&passwd, ours, owner)))
}

/// The user that the server runs as: `None` for our own.
pub(super) fn owner_of_the_server() -> Result<Option<Owner>, String> {
    let passwd = std::fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let uid = rustix::process::getuid();
    if uid.is_root() {
        return find_user(&passwd, |name, _| name == "postgres").map(Some).ok_or_else(|| {
            "the daemon runs as root, PostgreSQL does not, and there is no user postgres; install the package postgresql \
             or set store.url"
                .into()
        });
    }
    find_user(&passwd, |_, id| id == uid.as_raw()).map(|_| None).ok_or_else(|| {
        format!("user id {uid} has no entry in /etc/passwd, which PostgreSQL needs; add one or set store.url")
    })
}

fn find_user(passwd: &str, wanted: impl Fn(&str, u32) -> bool) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, ..] = fields.as_slice() else { return None };
        let owner = Owner { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
        wanted(name, owner.uid).then_some(owner)
    })
}

/// The user whose state directory this is, when that is not the one that we run as (`ours`). `server` is the user that a
/// server of root's runs as; `state` and `home` own the state directory and the server's own, as far as they exist.
fn other_user(ours: u32, server: Option<u32>, state: Option<u32>, home: Option<u32>) -> Option<u32> {
    const ROOT: u32 = 0;
    let fits = |owner: u32| owner == ours || (ours == ROOT && Some(owner) == server);
    match (home, state) {
        (Some(home), _) => (!fits(home)).then_some(home),
        // Before the first start of an unprivileged daemon, whose directory was made for it: root would take it.
        (None, Some(state)) => (ours == ROOT && !fits(state)).then_some(state),
        (None, None) => None,
    }
}

fn wrong_user(passwd: &str, ours: u32, owner: u32) -> String {
    let name =
        |uid| find_user_name(passwd, uid).map_or_else(|| format!("user id {uid}"), |name| format!("user {name}"));
    format!(
        "it belongs to another contourd: that of the {}, and this one runs as the {}. Run it as the owner (for example \
         `sudo -u '#{owner}' contourd ...`; what the user postgres owns was made by root), or set another store.state_dir",
        name(owner),
        name(ours),
    )
}

fn find_user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The server's user must be able to pass through every directory above its own.
pub(super) fn check_searchable(state_dir: &Path, owner: Owner) -> Result<(), String> {
    let real = state_dir.canonicalize().map_err(|e| format!("{}: {e}", state_dir.display()))?;
    let mut above: Vec<&Path> = real.ancestors().collect();
    above.reverse();
    for dir in above {
        let mut test = Command::new("/usr/bin/test");
        test.arg("-x").arg(dir).current_dir("/").uid(owner.uid).gid(owner.gid);
        if run(&mut test).is_err() {
            return Err(format!(
                "the user postgres, as whom the server runs, may not pass through {}; allow it (chmod o+x {}) or choose \
                 another store.state_dir",
                dir.display(),
                dir.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_server_is_left_alone() {
        let (postgres, app, admin) = (Some(101), Some(997), Some(1000));
        // Root finds what an unprivileged daemon has made, or what was prepared for it.
        assert_eq!(other_user(0, postgres, app, app), app);
        assert_eq!(other_user(0, postgres, Some(0), app), app);
        assert_eq!(other_user(0, postgres, app, None), app);
        // Root's own, whole, half made or not there yet.
        for (state, home) in [(Some(0), postgres), (admin, postgres), (Some(0), Some(0)), (Some(0), None), (None, None)]
        {
            assert_eq!(other_user(0, postgres, state, home), None, "{state:?} {home:?}");
        }
        // An unprivileged user finds root's, another's, its own.
        assert_eq!(other_user(997, None, Some(0), postgres), postgres);
        assert_eq!(other_user(997, None, app, admin), admin);
        assert_eq!(other_user(997, None, Some(0), app), None);
        assert_eq!(other_user(997, None, Some(0), None), None);
        let said = wrong_user("root:x:0:0::/:/bin/sh\napp:x:997:997::/:/bin/sh\n", 0, 997);
        assert!(said.contains("the user app") && said.contains("the user root") && said.contains("'#997'"), "{said}");
        assert!(wrong_user("", 0, 997).contains("user id 997"));
    }

    #[test]
    fn users_are_found_in_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:101:104::/var/lib:/bin/sh\n";
        let postgres = Owner { uid: 101, gid: 104 };
        assert_eq!(find_user(passwd, |name, _| name == "postgres"), Some(postgres));
        assert_eq!(find_user(passwd, |_, uid| uid == 101), Some(postgres));
        assert_eq!(find_user(passwd, |_, uid| uid == 7), None);
    }
}
