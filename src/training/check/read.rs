//! Cases read back from a store.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ndarray::Array3;
use ndarray_npy::{ReadNpyExt, ReadableElement};

use super::super::TrainingError;
use super::super::store::{CaseRecord, StoreIndex, VERSION, paths};
use crate::anatomy::Class;
use crate::geometry::{Grid, Lps, Shape, Volume};
use crate::ids::{FrameOfReferenceUid, sha256_hex};

/// A case as the store holds it. Its grid has its own origin: where the head was in the scanner is not kept.
#[derive(Debug)]
pub struct StoredCase {
    /// Its record.
    pub record: CaseRecord,
    /// Working image.
    pub image: Volume<f32>,
    /// Labels on the same grid.
    pub labels: Volume<u32>,
    /// Bit of each class.
    pub bits: BTreeMap<Class, u32>,
}

/// Reads what a store holds.
///
/// # Errors
/// [`TrainingError::Io`]; [`TrainingError::Index`] for what is no index, or one of another version.
pub fn read_index(folder: &Path) -> Result<StoreIndex, TrainingError> {
    let path = folder.join("store.json");
    let bytes = fs::read(&path).map_err(|source| TrainingError::Io { path: path.clone(), source })?;
    let index = StoreIndex::parse(&bytes, &path)?;
    if index.version != VERSION {
        let reason = format!("its version is {}, and {VERSION} is read", index.version);
        return Err(TrainingError::Index { path, reason });
    }
    Ok(index)
}

/// Reads a case of a store.
///
/// # Errors
/// [`TrainingError::Io`]; [`TrainingError::Index`] for files that are not those of the index.
pub fn read_case(folder: &Path, index: &StoreIndex, record: &CaseRecord) -> Result<StoredCase, TrainingError> {
    let [image_path, labels_path] = paths(folder, &record.id);
    let [slices, rows, cols] = record.shape;
    let shape = Shape::new(cols, rows, slices);
    let frame = FrameOfReferenceUid::derive(&["training store"]);
    let grid = Arc::new(Grid::axis_aligned(frame, shape, Lps::new(0.0, 0.0, 0.0), index.working.spacing)?);
    let image: Vec<f32> = array(&image_path, &record.image_sha256, record.shape)?;
    let labels: Vec<u32> = match index.classes.len() {
        ..=8 => widened(array::<u8>(&labels_path, &record.labels_sha256, record.shape)?),
        9..=16 => widened(array::<u16>(&labels_path, &record.labels_sha256, record.shape)?),
        _ => array(&labels_path, &record.labels_sha256, record.shape)?,
    };
    Ok(StoredCase {
        record: record.clone(),
        image: Volume::new(Arc::clone(&grid), image)?,
        labels: Volume::new(grid, labels)?,
        bits: index.classes().into_iter().zip(0..u32::BITS).collect(),
    })
}

fn widened<W: Into<u32>>(words: Vec<W>) -> Vec<u32> {
    words.into_iter().map(Into::into).collect()
}

/// The values of an array in C order, from a file of this digest.
fn array<T: ReadableElement + Copy>(path: &Path, sha256: &str, shape: [usize; 3]) -> Result<Vec<T>, TrainingError> {
    let bytes = fs::read(path).map_err(|source| TrainingError::Io { path: path.to_owned(), source })?;
    let fault = |reason: String| TrainingError::Index { path: path.to_owned(), reason };
    if sha256_hex(&bytes) != sha256 {
        return Err(fault("its SHA-256 is not the one that store.json names".into()));
    }
    let array = Array3::<T>::read_npy(bytes.as_slice()).map_err(|e| fault(e.to_string()))?;
    if array.shape() != shape {
        return Err(fault(format!("it has the shape {:?}, and store.json names {shape:?}", array.shape())));
    }
    Ok(array.iter().copied().collect())
}
