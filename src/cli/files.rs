//! Files that a verb writes.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

use super::Failure;
use crate::dicom::data::{EncodedInstance, Pseudonyms};

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

/// Writes a file that nobody else may read.
pub(super) fn private_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Pseudonyms by the salt of a file, which is made when it is missing.
pub(super) fn salted(file: &Path) -> Result<Pseudonyms, Failure> {
    let unusable = |why: String| Failure::Usage(format!("the salt {} {why}", file.display()));
    match fs::read_to_string(file) {
        Ok(text) => Pseudonyms::with_salt(&text)
            .ok_or_else(|| unusable("is none: at least 32 hexadecimal digits are needed".into())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("{}{}\n", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            let pseudonyms = Pseudonyms::with_salt(&text).ok_or_else(|| unusable("could not be drawn".into()))?;
            private_file(file, text.as_bytes()).map_err(|e| unusable(format!("cannot be made: {e}")))?;
            Ok(pseudonyms)
        }
        Err(e) => Err(unusable(format!("cannot be read: {e}"))),
    }
}
