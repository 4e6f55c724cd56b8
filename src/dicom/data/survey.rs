//! Every series in some files and folders, of whatever kind, as it would come over the network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use dicom_core::Tag;
use rayon::prelude::*;

use super::attributes::Attributes;
use super::folder::{collect, unreadable};
use super::header::{InstanceHeader, is_own_object, read_received};
use super::part10::{MAX_INFLATED, Sniffed, sniff};
use super::refusal::Refusal;
use crate::ids::SeriesUid;

/// One object of a series.
#[derive(Debug, Clone)]
pub struct SurveyedObject {
    /// Its file.
    pub path: PathBuf,
    /// Its header.
    pub header: InstanceHeader,
    /// The attributes that were asked for.
    pub attributes: Attributes,
}

/// What stands in some files and folders.
#[derive(Debug, Default)]
pub struct Survey {
    /// The objects of each series, in the order of their paths; series in the order of their first.
    pub series: Vec<Vec<SurveyedObject>>,
    /// Objects that contourd made: none of them is routed.
    pub own: usize,
    /// What looks like DICOM and cannot be read, and folders that cannot be looked into.
    pub unreadable: Vec<(PathBuf, Refusal)>,
}

enum Seen {
    Object(Box<SurveyedObject>),
    Unreadable(PathBuf, Refusal),
    Foreign,
}

/// Reads the headers of every object in files and folders, with folders inside and foreign files allowed.
pub fn survey(roots: &[PathBuf], wanted: &[Tag]) -> Survey {
    let (mut files, mut unread, mut visited) = (Vec::new(), Vec::new(), BTreeSet::new());
    for root in roots {
        if root.is_dir() {
            collect(root, 0, &mut visited, &mut files, &mut unread);
        } else {
            files.push(root.clone());
        }
    }
    files.sort();
    files.dedup();
    let seen: Vec<Seen> = files.into_par_iter().map(|path| see(path, wanted)).collect();
    let mut survey = Survey { unreadable: unread, ..Survey::default() };
    let mut places: BTreeMap<SeriesUid, usize> = BTreeMap::new();
    for one in seen {
        match one {
            Seen::Foreign => {}
            Seen::Unreadable(path, refusal) => survey.unreadable.push((path, refusal)),
            Seen::Object(object) if is_own_object(&object.header) => survey.own += 1,
            Seen::Object(object) => {
                let place = *places.entry(object.header.series.clone()).or_insert_with(|| {
                    survey.series.push(Vec::new());
                    survey.series.len() - 1
                });
                if let Some(series) = survey.series.get_mut(place) {
                    series.push(*object);
                }
            }
        }
    }
    survey
}

fn see(path: PathBuf, wanted: &[Tag]) -> Seen {
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let refusal = unreadable(&path, &error);
            return Seen::Unreadable(path, refusal);
        }
    };
    match sniff(&bytes) {
        Sniffed::Foreign => return Seen::Foreign,
        Sniffed::Object(meta) if meta.sop_class == dicom_dictionary_std::uids::MEDIA_STORAGE_DIRECTORY_STORAGE => {
            return Seen::Foreign;
        }
        _ => {}
    }
    match read_received(&bytes, MAX_INFLATED, wanted) {
        Ok(read) => Seen::Object(Box::new(SurveyedObject { path, header: read.header, attributes: read.attributes })),
        Err(refusal) => Seen::Unreadable(path, refusal),
    }
}
