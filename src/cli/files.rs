//! Files that a verb writes.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Failure;
use crate::dicom::data::EncodedInstance;

/// Writes a file, whole or not at all: what another program finds under this name is never a part.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut part = OsString::from(path);
    part.push(".part");
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    Ok(written.with_context(|| format!("cannot write {}", path.display()))?)
}

/// Whether a folder for a series is new or empty. Slices of two series in one folder would be taken for one, or be lost
/// under the same names.
pub(super) fn fresh_folder(folder: &Path) -> Result<(), Failure> {
    let free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    if free {
        return Ok(());
    }
    let folder = folder.display();
    Err(Failure::Usage(format!("{folder} is not an empty folder; remove what an earlier run left, or name another")))
}

/// Writes the images of a series, numbered in their order.
pub(super) fn write_series(folder: &Path, images: &[EncodedInstance]) -> Result<(), Failure> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (n, image) in images.iter().enumerate() {
        write_file(&folder.join(format!("{:04}.dcm", n + 1)), &image.bytes)?;
    }
    Ok(())
}
