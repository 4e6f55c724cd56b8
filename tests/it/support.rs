//! What several test modules need.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use contourd::config::Config;
use contourd::dicom::data::{MrAcquisition, Series, assemble, read_folder};
use contourd::ids::FrameOfReferenceUid;
use contourd::inference::Runtime;
use contourd::phantom::{Acquisition, Head, ImageOptions, image};
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
