//! What `contourd doctor` says of an installation, and finds before `serve` would.

use std::path::Path;

use contourd::anatomy::Structure;

use crate::net::sending::StoreScp;
use crate::store::TestStore;
use crate::support::{Heard, contourd, files_in, open_folder};
use crate::system::{Daemon, Pacs, Postgres, Setup, coarse_config, coarse_model, damage, free_port};

/// `contourd doctor`: its status, its lines, and what it says on standard error.
fn doctor(config: &Path) -> (Option<i32>, String, String) {
    doctor_with(config, None)
}

fn doctor_with(config: &Path, database: Option<&str>) -> (Option<i32>, String, String) {
    let mut contourd = contourd();
    contourd.args(["doctor", "--config"]).arg(config).env_remove("CONTOURD_DATABASE_URL");
    let out = contourd.envs(database.map(|url| ("CONTOURD_DATABASE_URL", url))).heard();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

/// A configuration over this state directory with a model that cannot be loaded: the checks of models, which take their
/// time, end at once.
fn without_models(folder: &Path, state: &Path) -> std::path::PathBuf {
    let config = folder.join("contourd.toml");
    let models = folder.join("no-models");
    std::fs::create_dir_all(models.join("none")).unwrap();
    std::fs::write(models.join("none/card.toml"), "format = 1\n").unwrap();
    let models = format!("[models]\ndir = {models:?}\ndefault = \"none\"\n");
    std::fs::write(&config, models + &site(state, free_port())).unwrap();
    config
}

/// A line that begins so and goes on so.
fn has_line(lines: &str, start: &str, rest: &str) -> bool {
    lines.lines().any(|line| line.strip_prefix(start).is_some_and(|end| end.contains(rest)))
}

/// State directory and one destination.
fn site(state: &Path, port: u16) -> String {
    format!(
        "[store]\nstate_dir = {state:?}\n[receive]\nmin_free_mebibytes = 64\n\
         [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = {port}\nae_title = \"PACS\"\n\
         [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n"
    )
}

#[test]
fn doctor_finds_a_healthy_installation_in_order() {
    let folder = open_folder();
    let pacs = Pacs::start(free_port(), None);
    let config = folder.path().join("contourd.toml");
    let state = folder.path().join("state");
    // The shipped models, which lie where the default configuration looks.
    std::fs::write(&config, site(&state, pacs.dicom)).unwrap();
    let (status, lines, said) = doctor(&config);
    assert_eq!(status, Some(0), "{lines}{said}");
    for (check, words) in [
        ("configuration", "no faults"),
        ("library", "onnxruntime"),
        ("models of the configuration", "oar-head-v3"),
        ("model oar-head-v3", "card sha256"),
        ("golden case of oar-head-v3", "every class found"),
        ("disk", "MiB free"),
        ("destination pacs", "offers structure sets, storage commitment, queries (C-FIND), retrieval (C-MOVE)"),
    ] {
        assert!(has_line(&lines, &format!("ok    {check}: "), words), "{check} is missing from:\n{lines}");
    }
    for structure in Structure::ALL {
        assert!(has_line(&lines, "      ", structure.name()), "{} is not in the table:\n{lines}", structure.name());
    }
    // Before the first start there is nothing to look at, and looking makes nothing.
    assert!(has_line(&lines, "--    database: not checked: ", "makes a private server (PostgreSQL "), "{lines}");
    assert!(!lines.contains("FAIL"), "{lines}");
    assert!(lines.ends_with("everything that could be checked is in order, 1 could not\n"), "{lines}");
    assert!(!state.exists(), "a state directory was made");
}

/// DCMTK's storescp takes objects and answers nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_a_system_does_not_offer_although_it_is_configured() {
    let folder = open_folder();
    let storescp = StoreScp::start(&[]).await;
    let config = without_models(folder.path(), &folder.path().join("state"));
    let port = storescp.port;
    let system = |section: &str, name: &str, more: &str| {
        let address = format!("host = \"127.0.0.1\"\nport = {port}\nae_title = \"PACS\"");
        format!("[[{section}]]\nname = \"{name}\"\n{address}\n{more}\n")
    };
    let more = [
        system("destination", "plain", ""),
        system("destination", "asked", "confirm = \"query\""),
        system("source", "archive", ""),
    ];
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &more.concat()).unwrap();
    let (status, lines, said) = doctor(&config);
    assert_eq!(status, Some(1), "{lines}{said}");
    assert!(has_line(&lines, "ok    destination plain: ", "answers C-ECHO, offers structure sets"), "{lines}");
    let words = "offers structure sets; not queries (C-FIND), which its section needs";
    assert!(has_line(&lines, "FAIL  destination asked: ", words), "{lines}");
    assert!(has_line(&lines, "FAIL  source archive: ", "not queries (C-FIND), retrieval (C-MOVE)"), "{lines}");
}

#[test]
fn doctor_names_everything_that_is_broken() {
    let folder = open_folder();
    let config = coarse_config(folder.path(), &site(&folder.path().join("state"), free_port()));
    damage(folder.path());
    let (status, lines, said) = doctor(&config);
    assert_eq!(status, Some(1), "{lines}{said}");
    for check in ["models of the configuration", "model coarse"] {
        assert!(has_line(&lines, &format!("FAIL  {check}: "), "coronal.onnx"), "{check} is missing from:\n{lines}");
    }
    assert!(has_line(&lines, "FAIL  destination pacs: ", "cannot connect"), "{lines}");
    // One fault hides no other check.
    for check in ["configuration", "library", "disk"] {
        assert!(has_line(&lines, &format!("ok    {check}: "), ""), "{check} is missing from:\n{lines}");
    }
    assert!(!lines.contains("golden case") && !lines.contains("in order"), "{lines}");
    assert!(said.contains("3 of the checks failed"), "{said}");
}

#[test]
fn doctor_checks_nothing_by_a_configuration_that_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.toml");
    let faulty = folder.path().join("faulty.toml");
    std::fs::write(&faulty, "[store]\nstate_folder = \"/x\"\n").unwrap();
    for (file, words) in [(absent, "cannot be read"), (faulty, "store.state_folder")] {
        let (status, lines, said) = doctor(&file);
        assert_eq!((status, lines.as_str()), (Some(64), ""), "{said}");
        assert!(said.contains(words) && said.contains(file.to_str().unwrap()), "{said}");
    }
}

#[test]
fn doctor_finds_a_model_that_serve_could_not_load() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir_all(models.join("brain-9")).unwrap();
    std::fs::write(models.join("brain-9/card.toml"), "format = 1\n").unwrap();
    let file = folder.path().join("contourd.toml");
    let state = folder.path().join("state");
    let text = format!(
        "[models]\ndir = {models:?}\ndefault = \"brain-9\"\n[store]\nstate_dir = {state:?}\n\
         [[destination]]\nname = \"pacs\"\nhost = \"127.0.0.1\"\nport = 1\nae_title = \"PACS\"\n\
         [[route]]\nname = \"all\"\ndestinations = [\"pacs\"]\n"
    );
    std::fs::write(&file, text).unwrap();
    let (status, lines, said) = doctor(&file);
    assert!(has_line(&lines, "FAIL  models of the configuration: ", "brain-9"), "{lines}{said}");
    assert_eq!(status, Some(1));
}

#[test]
fn doctor_asks_the_database_of_a_running_daemon_and_disturbs_nothing() {
    let folder = open_folder();
    let models = folder.path().join("models");
    let model = coarse_model(&models);
    let setup =
        Setup { pacs: free_port(), quiet_seconds: 30, models: (&models, model), database: None, confirm: "query" };
    let mut daemon = Daemon::start(&setup);
    let config = without_models(folder.path(), &daemon.state_dir());
    let before = daemon.postmaster();
    let (_, lines, _) = doctor(&config);
    for words in
        ["the private server of a running contourd answers", "schema is that of this version", "it belongs to "]
    {
        assert!(has_line(&lines, "ok    database: ", words), "{words}: {lines}");
    }
    assert_eq!(daemon.postmaster(), before, "the server was started anew");
    assert!(daemon.api("cases").is_some(), "the daemon goes on");
    assert!(daemon.terminate());
    let (_, lines, _) = doctor(&config);
    assert!(has_line(&lines, "--    database: not checked: ", "is stopped"), "{lines}");
    assert!(!daemon.state_dir().join("postgres/data/postmaster.pid").exists(), "the server was started");
}

#[test]
fn doctor_binds_no_database_and_writes_nothing_to_it() {
    let folder = open_folder();
    let (postgres, state) = (Postgres::start(), folder.path().join("state"));
    let config = without_models(folder.path(), &state);
    let (_, lines, _) = doctor_with(&config, Some(&postgres.url()));
    assert!(
        has_line(&lines, "ok    database: ", "the configured server answers and is durable; it is empty"),
        "{lines}"
    );
    assert_eq!(postgres.sql("select count(*) from pg_tables where schemaname = 'public'"), ["0"]);
    assert!(!state.exists());
    // As after a version of the future, and with a state directory that is not its own.
    postgres.sql("create table _sqlx_migrations (version bigint, checksum bytea, success boolean)");
    postgres.sql("insert into _sqlx_migrations values (99999999, '', true)");
    let (status, lines, _) = doctor_with(&config, Some(&postgres.url()));
    assert!(has_line(&lines, "FAIL  database: ", "99999999") && status == Some(1), "{lines}");
    postgres.crash();
    let (_, lines, _) = doctor_with(&config, Some(&postgres.url()));
    assert!(has_line(&lines, "FAIL  database: ", "could not be reached"), "{lines}");
}

#[tokio::test]
async fn doctor_finds_a_database_that_belongs_to_another_directory() {
    let t = TestStore::new().await;
    let folder = open_folder();
    let config = without_models(folder.path(), &folder.path().join("state"));
    let (_, lines, _) = doctor_with(&config, Some(&t.url()));
    assert!(has_line(&lines, "FAIL  database: ", "belongs to another state directory"), "{lines}");
    assert_eq!(files_in(folder.path()).len(), 2, "something was made");
}
