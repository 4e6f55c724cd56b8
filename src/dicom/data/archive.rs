//! What stands in the folders of many patients: MR series, and the RT Structure Sets that refer to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use rayon::prelude::*;

use super::folder::{Found, collect, look, unreadable};
use super::header::{InstanceHeader, is_own_object};
use super::instance::Wanted;
use super::part10::FileMeta;
use super::refusal::{Refusal, RefusalCode};
use super::rtstruct::{RT_STRUCTURE_SET_STORAGE, StructureSet, read_rtstruct};
use super::same::same_object;
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid};

/// An MR series: where its images lie.
#[derive(Debug, Clone)]
pub struct ArchivedSeries {
    /// The header of one of its images.
    pub header: InstanceHeader,
    /// One file for each instance, in the order of their paths.
    pub files: Vec<PathBuf>,
    /// What keeps the series from being used: damaged images, two images under one UID.
    pub faults: Vec<Refusal>,
}

/// A structure set: what decides whether it is wanted.
#[derive(Debug, Clone)]
pub struct ArchivedSet {
    /// Its file.
    pub path: PathBuf,
    /// Its header.
    pub header: InstanceHeader,
    /// Structure Set Date and Structure Set Time as written.
    pub made: [String; 2],
    /// Approval Status.
    pub approval: String,
    /// The series that it refers to.
    pub series: Option<SeriesUid>,
    /// The frame of reference that it refers to.
    pub frame: Option<FrameOfReferenceUid>,
    /// ROI Names, in the order of the file.
    pub rois: Vec<String>,
    /// Another structure set has the same SOP Instance UID.
    pub ambiguous: bool,
}

impl ArchivedSet {
    /// Whether contourd made it.
    pub fn is_own(&self) -> bool {
        is_own_object(&self.header)
    }
}

/// What stands in some folders.
#[derive(Debug, Default)]
pub struct Archive {
    /// MR series by UID.
    pub series: BTreeMap<SeriesUid, ArchivedSeries>,
    /// Structure sets, in the order of their paths.
    pub sets: Vec<ArchivedSet>,
    /// Files and folders that cannot be read, or hold damaged objects of no series of images.
    pub damaged: Vec<(PathBuf, Refusal)>,
    /// Files that hold an object a second time.
    pub copies: usize,
    /// Derived images that contourd made: passed over.
    pub own_images: usize,
    /// Objects of other kinds: how many.
    pub others: usize,
    /// Files that are no DICOM.
    pub foreign: usize,
}

/// One thing that was found, with what was read of it.
enum Seen {
    Image(PathBuf, Box<InstanceHeader>),
    Set(PathBuf, Box<ArchivedSet>),
    CutImage(PathBuf, Box<InstanceHeader>, Refusal),
    Damaged(PathBuf, Refusal),
    OwnImage,
    Other,
    Foreign,
}

/// Looks through folders of any layout, with folders inside and foreign files allowed; links are followed. Files are read
/// one after the other on each processor, and nothing but headers is kept. `tell` hears of every file: how many there are.
/// An object that is there twice with the same content (whatever its transfer syntax) is counted once; two contents
/// under one UID are a fault of the series, or of both structure sets.
pub fn read_archive(roots: &[PathBuf], tell: &(dyn Fn(usize) + Sync)) -> Archive {
    let (mut files, mut unread, mut visited) = (Vec::new(), Vec::new(), BTreeSet::new());
    for root in roots {
        if root.is_file() {
            files.push(root.clone());
        } else {
            collect(root, 0, &mut visited, &mut files, &mut unread);
        }
    }
    files.sort();
    files.dedup();
    let all = files.len();
    let seen: Vec<Seen> = files
        .into_par_iter()
        .map(|path| {
            let seen = see(path);
            tell(all);
            seen
        })
        .collect();
    let mut archive = Archive::default();
    archive.damaged.extend(unread);
    let mut first: BTreeMap<InstanceUid, PathBuf> = BTreeMap::new();
    for one in seen {
        match one {
            Seen::Foreign => archive.foreign += 1,
            Seen::Other => archive.others += 1,
            Seen::OwnImage => archive.own_images += 1,
            Seen::Damaged(path, refusal) => archive.damaged.push((path, refusal)),
            Seen::CutImage(path, header, refusal) => {
                // The series names no file: folders are often called as patients are.
                let message = refusal.message.replace(&format!("{}: ", path.display()), "an image is damaged: ");
                archive.series_of(&header).faults.push(Refusal { message, ..refusal.clone() });
                archive.damaged.push((path, refusal));
            }
            Seen::Image(path, header) => match first.get(&header.instance) {
                None => {
                    first.insert(header.instance.clone(), path.clone());
                    archive.series_of(&header).files.push(path);
                }
                Some(other) if is_copy(other, &path) => archive.copies += 1,
                Some(_) => {
                    let message =
                        "two images of other content have the same SOP Instance UID; have the archive correct them";
                    let refusal = Refusal::new(RefusalCode::ConflictingDuplicate, message);
                    archive.series_of(&header).faults.push(refusal.with_instance(header.instance.clone()));
                }
            },
            Seen::Set(path, set) => match first.get(&set.header.instance) {
                None => {
                    first.insert(set.header.instance.clone(), path);
                    archive.sets.push(*set);
                }
                Some(other) if is_copy(other, &path) => archive.copies += 1,
                Some(_) => {
                    let uid = set.header.instance.clone();
                    archive.sets.push(*set);
                    archive.sets.iter_mut().filter(|s| s.header.instance == uid).for_each(|s| s.ambiguous = true);
                }
            },
        }
    }
    archive
}

impl Archive {
    fn series_of(&mut self, header: &InstanceHeader) -> &mut ArchivedSeries {
        let new = || ArchivedSeries { header: header.clone(), files: Vec::new(), faults: Vec::new() };
        self.series.entry(header.series.clone()).or_insert_with(new)
    }
}

/// Whether two files hold one object: the same bytes, or the same content in another transfer syntax. What cannot be read
/// is no copy.
fn is_copy(one: &PathBuf, other: &PathBuf) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other || same_object(&one, &other),
        _ => false,
    }
}

fn see(path: PathBuf) -> Seen {
    match look(&path, Wanted::Mr) {
        Found::Foreign => Seen::Foreign,
        Found::Unread(FileMeta { sop_class, transfer_syntax }) if sop_class == RT_STRUCTURE_SET_STORAGE => {
            let message = format!("a structure set in transfer syntax {transfer_syntax}, which is not read here");
            Seen::Damaged(path, Refusal::new(RefusalCode::TransferSyntax, message))
        }
        Found::Unread(_) => Seen::Other,
        Found::Damaged(refusal) => Seen::Damaged(path, refusal),
        Found::Cut(header, refusal) if Wanted::Mr.takes(&header.sop_class) => Seen::CutImage(path, header, refusal),
        Found::Cut(_, refusal) => Seen::Damaged(path, refusal),
        Found::Object(_, header) if header.sop_class == RT_STRUCTURE_SET_STORAGE => {
            let read = fs::read(&path).map_err(|e| unreadable(&path, &e)).and_then(|bytes| read_rtstruct(&bytes));
            match read {
                Ok(set) => Seen::Set(path.clone(), Box::new(summary(path, set))),
                Err(refusal) => Seen::Damaged(path, refusal),
            }
        }
        Found::Object(_, header) if Wanted::Mr.takes(&header.sop_class) => {
            if is_own_object(&header) {
                Seen::OwnImage
            } else {
                Seen::Image(path, header)
            }
        }
        Found::Object(..) => Seen::Other,
    }
}

fn summary(path: PathBuf, set: StructureSet) -> ArchivedSet {
    ArchivedSet {
        path,
        header: set.header,
        made: set.made,
        approval: set.approval,
        series: set.referenced_series,
        frame: set.referenced_frame,
        rois: set.rois.into_iter().map(|roi| roi.name).collect(),
        ambiguous: false,
    }
}
