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

/// Whether a path lies in a folder, as far as it can be told before either is made.
pub(super) fn is_within(path: &Path, folder: &Path) -> bool {
    let absolute = |path: &Path| {
        let there = path.ancestors().find_map(|a| Some((a, a.canonicalize().ok()?)));
        match there {
            Some((known, real)) => real.join(path.strip_prefix(known).unwrap_or(Path::new(""))),
            None => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        }
    };
    let absolute = |path: &Path| absolute(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    absolute(path).starts_with(absolute(folder))
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
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).and_then(|mut new| {
                new.write_all(text.as_bytes())?;
                new.sync_all()
            });
            match made {
                Ok(()) => Ok(pseudonyms),
                // Another one made it meanwhile: its salt counts.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => salted(file),
                Err(e) => Err(unusable(format!("cannot be made: {e}"))),
            }
        }
        Err(e) => Err(unusable(format!("cannot be read: {e}"))),
    }
}
