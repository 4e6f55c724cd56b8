//! What `contourd doctor` says of an installation, and finds before `serve` would.

use std::path::Path;

use contourd::anatomy::Structure;

use crate::support::{contourd, open_folder};
use crate::system::{Pacs, coarse_config, damage, free_port};

/// `contourd doctor`: its status, its lines, and what it says on standard error.
fn doctor(config: &Path) -> (Option<i32>, String, String) {
    let out = contourd().args(["doctor", "--config"]).arg(config).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
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
        ("models of the configuration", "oar-head-v1"),
        ("model oar-head-v1", "card sha256"),
        ("golden case of oar-head-v1", "every class found"),
        ("database and disk", "private server"),
        ("destination pacs", "answers C-ECHO"),
    ] {
        assert!(has_line(&lines, &format!("ok    {check}: "), words), "{check} is missing from:\n{lines}");
    }
    for structure in Structure::ALL {
        assert!(has_line(&lines, "      ", structure.name()), "{} is not in the table:\n{lines}", structure.name());
    }
    assert!(!lines.contains("FAIL") && lines.ends_with("everything is in order\n"), "{lines}");
    assert!(!state.join("postgres/data/postmaster.pid").exists(), "the database of the check was stopped again");
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
    for check in ["configuration", "library", "database and disk"] {
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
