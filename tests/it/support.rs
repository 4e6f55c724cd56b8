//! What several test modules need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use contourd::config::Config;
use contourd::inference::Runtime;
use contourd::service::Recipe;

/// The program under test, run from the repository's root.
pub fn contourd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contourd"));
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// Runs a command that must succeed; a missing program is a failure.
pub fn run(command: &mut Command) -> String {
    let name = format!("{command:?}");
    let out = command.output().unwrap_or_else(|e| panic!("{name}: {e}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{name}: {:?}\n{said}\n{}", out.status, String::from_utf8_lossy(&out.stderr));
    said
}

/// The shipped model with the default configuration, loaded once.
pub fn recipe() -> &'static Recipe {
    static RECIPE: OnceLock<Recipe> = OnceLock::new();
    RECIPE.get_or_init(|| {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let config = Config::parse(&format!("[models]\ndir = {models:?}\n")).unwrap();
        let runtime = Runtime::load(&config.inference).unwrap();
        config.recipe(&runtime, None).unwrap()
    })
}

/// A synthetic patient's series in a folder; its files in the order of their names. The true structure set that comes
/// with it lies elsewhere.
pub fn phantom_series(seed: u64, more: &[&str], folder: &Path) -> Vec<PathBuf> {
    let made = tempfile::tempdir().unwrap();
    run(contourd().arg("phantom").arg(made.path()).args(["--seed", &seed.to_string()]).args(more));
    std::fs::create_dir_all(folder).unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(made.path().join("mr"))
        .unwrap()
        .map(|entry| {
            let from = entry.unwrap().path();
            let to = folder.join(from.file_name().unwrap());
            std::fs::copy(&from, &to).unwrap();
            to
        })
        .collect();
    files.sort();
    files
}
