//! What `contourd doctor` finds before `serve` would.

use crate::support::contourd;

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
    let out = contourd().arg("doctor").arg("--config").arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    let line = said.lines().find(|line| line.contains("models of the configuration"));
    let line = line.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&out.stderr)));
    assert!(line.starts_with("FAIL") && line.contains("brain-9"), "{line}");
    assert_eq!(out.status.code(), Some(1));
}
