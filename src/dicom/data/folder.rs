//! The series in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use dicom_dictionary_std::uids;
use rayon::prelude::*;

use super::header::{InstanceHeader, is_own_object, read_received_header};
use super::instance::{Instance, Others, Wanted, parse_all, parse_instances};
use super::part10::{FileMeta, MAX_INFLATED, Sniffed, lossless, sniff};
use super::refusal::{Refusal, RefusalCode, Refusals};
use super::series::{SlicePlanes, planes};
use crate::ids::SeriesUid;

/// Folders inside folders are followed this deep.
const MAX_DEPTH: usize = 16;
/// So much of a file is read to see what it is.
const HEAD: u64 = 16 << 10;

/// A file of the folder and what its header says.
pub(super) enum Found {
    /// A DICOM object.
    Object(PathBuf, Box<InstanceHeader>),
    /// A DICOM object that is damaged behind its header.
    Cut(Box<InstanceHeader>, Refusal),
    /// An object that is no MR image, in a transfer syntax that is not read here.
    Unread(FileMeta),
    /// Looks like DICOM but cannot be read.
    Damaged(Refusal),
    /// Something else.
    Foreign,
}

/// Reads the MR series in a folder, with folders inside and foreign files allowed; links are followed. Objects that
/// contourd made are passed over, so that results may lie beside their images.
///
/// # Errors
/// Nothing there, several MR series (named), or files that are damaged.
pub fn read_folder(dir: &Path) -> Result<Vec<Instance>, Refusals> {
    let Contents { mut series, mut damaged, others, own } = contents(dir, Wanted::Mr)?;
    if series.len() > 1 {
        let message = format!("the folder holds {} MR series: {}; keep one", series.len(), names(&series));
        damaged.push(Refusal::new(RefusalCode::SeveralSeries, message));
        return Err(Refusals(damaged));
    }
    let Some((_, (_, paths))) = series.pop_first() else {
        if !others.is_empty() {
            damaged.push(others.refusal(Wanted::Mr));
        } else if damaged.is_empty() {
            damaged.push(nothing(own));
        }
        return Err(Refusals(damaged));
    };
    // Every reason at once, as over the network.
    match parse_instances(&read_all(&paths)?) {
        Ok(instances) if damaged.is_empty() => Ok(instances),
        Ok(_) => Err(Refusals(damaged)),
        Err(more) => {
            damaged.extend(more.0);
            Err(Refusals(damaged))
        }
    }
}

/// Reads where the slices of a CT or MR series in a folder lie, to lay contours on: only what the series is, never its
/// planes, is checked less strictly than by [`read_folder`] and [`super::assemble`]. Of several series the one of UID
/// `wanted` is taken, whoever made it; a single series is taken whatever its UID.
///
/// # Errors
/// Nothing there, several series and none is `wanted`, files that are damaged, or slices that make no regular stack.
pub fn read_planes(dir: &Path, wanted: Option<&SeriesUid>) -> Result<SlicePlanes, Refusals> {
    let Contents { mut series, mut damaged, others, .. } = contents(dir, Wanted::Planes)?;
    if !damaged.is_empty() {
        return Err(Refusals(damaged));
    }
    let named = wanted.and_then(|uid| series.remove(uid.as_str()));
    let paths = match (named, series.len()) {
        (Some((_, paths)), _) => paths,
        (None, 0) => {
            let held = match others.is_empty() {
                true => "no DICOM images".to_owned(),
                false => format!("no such images but {}", others.in_words()),
            };
            let message = format!("the folder holds {held}; name the folder of the CT or MR series of the contours");
            return Err(Refusal::new(RefusalCode::NoImages, message).into());
        }
        (None, 1) => series.pop_first().map(|(_, (_, paths))| paths).unwrap_or_default(),
        (None, several) => {
            let message = format!(
                "the folder holds {several} series and none is the one that the structure set refers to: {}; keep one",
                names(&series)
            );
            damaged.push(Refusal::new(RefusalCode::SeveralSeries, message));
            return Err(Refusals(damaged));
        }
    };
    planes(parse_all(&read_all(&paths)?, Wanted::Planes)?)
}

/// UID of a series to its description and its files.
type Files = BTreeMap<String, (String, Vec<PathBuf>)>;

/// What a folder holds.
#[derive(Default)]
struct Contents {
    series: Files,
    damaged: Vec<Refusal>,
    others: Others,
    /// Objects that contourd made and that are passed over.
    own: usize,
}

fn contents(dir: &Path, wanted: Wanted) -> Result<Contents, Refusal> {
    let mut files = Vec::new();
    let mut unread = Vec::new();
    collect(dir, 0, &mut BTreeSet::new(), &mut files, &mut unread);
    if let Some((_, refusal)) = unread.into_iter().next() {
        return Err(refusal);
    }
    files.sort();
    let found: Vec<Found> = files.par_iter().map(|path| look(path, wanted)).collect();
    let Contents { mut series, mut damaged, mut others, mut own } = Contents::default();
    for one in found {
        match one {
            Found::Foreign => {}
            Found::Unread(FileMeta { sop_class, transfer_syntax }) => {
                let kind = format!("of SOP class {sop_class} in transfer syntax {transfer_syntax}");
                others.add_kind(&sop_class, kind);
            }
            Found::Damaged(refusal) | Found::Cut(_, refusal) => damaged.push(refusal),
            Found::Object(_, header) if wanted == Wanted::Mr && is_own_object(&header) => own += 1,
            Found::Object(path, header) if wanted.takes(&header.sop_class) => {
                let entry = series.entry(header.series.to_string()).or_insert((header.series_description, Vec::new()));
                entry.1.push(path);
            }
            Found::Object(_, header) => others.add(&header),
        }
    }
    Ok(Contents { series, damaged, others, own })
}

fn names(series: &Files) -> String {
    let name =
        |(uid, (what, files)): (&String, &(String, Vec<PathBuf>))| format!("{uid} ({what:?}, {} images)", files.len());
    series.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Refusal> {
    paths.iter().map(|p| fs::read(p).map_err(|e| unreadable(p, &e))).collect()
}

/// Why a folder without an image of anybody's is refused; `own`: objects in it that contourd made.
fn nothing(own: usize) -> Refusal {
    let message = if own > 0 {
        format!(
            "the folder holds {own} objects that contourd itself made and no others; contours are made on the images of \
             a scanner: name the folder of the T1 MR series"
        )
    } else {
        "the folder holds no DICOM images; name the folder of the T1 MR series".to_owned()
    };
    Refusal::new(RefusalCode::NoImages, message)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::Unreadable, format!("{} cannot be read: {error}", path.display()))
}

/// The files of a folder and of those in it. A folder that is reached twice over links is visited once. What cannot be
/// looked into goes to `unread`; the rest is collected all the same.
pub(super) fn collect(
    dir: &Path,
    depth: usize,
    visited: &mut BTreeSet<PathBuf>,
    files: &mut Vec<PathBuf>,
    unread: &mut Vec<(PathBuf, Refusal)>,
) {
    if depth > MAX_DEPTH {
        let message = format!("{} is nested more than {MAX_DEPTH} folders deep", dir.display());
        unread.push((dir.to_owned(), Refusal::new(RefusalCode::Unreadable, message)));
        return;
    }
    let entries = match fs::canonicalize(dir).map(|real| visited.insert(real)) {
        Ok(false) => return,
        Ok(true) => fs::read_dir(dir),
        Err(e) => Err(e),
    };
    let entries = match entries {
        Ok(entries) => entries,
        Err(e) => {
            unread.push((dir.to_owned(), unreadable(dir, &e)));
            return;
        }
    };
    for entry in entries {
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(e) => {
                unread.push((dir.to_owned(), unreadable(dir, &e)));
                continue;
            }
        };
        // Follows links; one that leads nowhere may have led to a slice.
        match fs::metadata(&path).map(|found| found.file_type()) {
            Ok(kind) if kind.is_dir() => collect(&path, depth + 1, visited, files, unread),
            Ok(kind) if kind.is_file() => files.push(path),
            Ok(_) => {}
            Err(e) => {
                let refusal = unreadable(&path, &e);
                unread.push((path, refusal));
            }
        }
    }
}

/// What a file is. Only what may be a wanted image or a result of ours is read whole.
pub(super) fn look(path: &Path, wanted: Wanted) -> Found {
    match head(path).map(|head| sniff(&head)) {
        Err(error) => return Found::Damaged(unreadable(path, &error)),
        Ok(Sniffed::Foreign) => return Found::Foreign,
        Ok(Sniffed::Object(meta)) => {
            if meta.sop_class == uids::MEDIA_STORAGE_DIRECTORY_STORAGE {
                return Found::Foreign;
            }
            if !wanted.takes(&meta.sop_class) && lossless(&meta.transfer_syntax).is_none() {
                return Found::Unread(meta);
            }
        }
        Ok(Sniffed::Unclear) => {}
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Found::Damaged(unreadable(path, &error)),
    };
    let (named, refusal) = match read_received_header(&bytes, MAX_INFLATED) {
        Ok((header, None)) => return Found::Object(path.to_owned(), Box::new(header)),
        // As over the network, the instance is named where the damage lies behind its name.
        Ok((header, Some(damage))) => {
            let refusal = damage.with_instance(header.instance.clone());
            (Some(Box::new(header)), refusal)
        }
        Err(refusal) => (None, refusal),
    };
    // Without the mark it is some other kind of file; a data set without any frame is taken only when whole.
    if bytes.get(128..132) != Some(b"DICM") {
        return Found::Foreign;
    }
    let message = format!("{}: {}", path.display(), refusal.message);
    let refusal = Refusal { message, ..refusal };
    match named {
        Some(header) => Found::Cut(header, refusal),
        None => Found::Damaged(refusal),
    }
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}
