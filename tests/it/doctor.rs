//! What `contourd doctor` finds before `serve` would.

use crate::support::contourd;

#[test]
fn doctor_finds_a_model_that_serve_would_not_find() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    let file = folder.path().join("contourd.toml");
    let state = folder.path().join("state");
    let text = format!("[models]\ndir = {models:?}\ndefault = \"brain-9\"\n[store]\nstate_dir = {state:?}\n");
    std::fs::write(&file, text).unwrap();
    let out = contourd().arg("doctor").arg("--config").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let line =
        said.lines().find(|line| line.contains("models of the configuration")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.starts_with("FAIL") && line.contains("brain-9"), "{line}");
    assert_eq!(out.status.code(), Some(1));
}
