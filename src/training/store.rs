//! Writing a training store case by case.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::ArrayView3;
use ndarray_npy::{WritableElement, WriteNpyExt};
use serde::{Deserialize, Serialize};

use super::TrainingError;
use crate::anatomy::{Class, Description, Side, Structure, describe};
use crate::geometry::{Extent, Volume, WorkingSpec};
use crate::ids::sha256_hex;

/// Version of the layout.
pub const VERSION: u32 = 1;

/// Where a case comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A digital head of this seed.
    Seed(u64),
    /// A file or series, by a name that identifies no patient.
    Source(String),
}

/// What is known of where a case comes from without saying who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Pseudonym of the patient: cases of one patient stay in one fold of a cross-validation.
    pub patient: Option<String>,
    /// Digest of everything that the case was made from: made again only when it differs.
    pub source_sha256: Option<String>,
}

/// One case, to be written. `W` is a word of class bits, of any size that holds the classes.
#[derive(Debug)]
pub struct TrainingCase<W = u8> {
    /// File name stem: letters, digits, `-`, `_`.
    pub id: String,
    /// Where it comes from.
    pub source: Source,
    /// Classes with ground truth; the others are unknown everywhere and have no bit in the labels.
    pub known: Vec<Class>,
    /// Working image.
    pub image: Volume<f32>,
    /// Class bits on the same grid.
    pub labels: Volume<W>,
    /// Boxes of the structures present.
    pub extents: BTreeMap<Structure, Extent>,
    /// Patient and digest; empty for a digital head.
    pub provenance: Provenance,
}

/// One case, as the index keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// File name stem.
    pub id: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub source: Source,
    /// Classes with ground truth.
    pub known: Vec<Class>,
    /// Voxels along z, y, x.
    pub shape: [usize; 3],
    /// For each known class one box per present side: `[ilo, jlo, klo, ihi, jhi, khi]`, inclusive.
    pub boxes: BTreeMap<Class, Vec<[usize; 6]>>,
    /// Of a patient: the sides of the boxes of a bilateral class, in their order, as the names of the regions say them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sides: BTreeMap<Class, Vec<Side>>,
    /// Classes that are not known, but 0 outside the class that encloses them and is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub implied: BTreeMap<Class, Class>,
    /// Pseudonym of the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Digest of what the case was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// Digest of the image file.
    pub image_sha256: String,
    /// Digest of the label file.
    pub labels_sha256: String,
}

/// The index, `store.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreIndex {
    /// [`VERSION`].
    pub version: u32,
    /// Class names in the order of the label bits.
    pub classes: Vec<String>,
    /// The grid and scaling of every image.
    pub working: WorkingSpec,
    /// What made the cases, with its version: part of what makes training repeatable.
    pub generator: String,
    /// Fingerprint of the salt that patients' keys were made with: with another, one patient would be two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// What the classes beyond the eight are, as a model's card says it (models/README.md).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class: Vec<Description>,
    /// Cases, in the order of their ids.
    pub cases: Vec<CaseRecord>,
}

/// The part of the index that the rest is read by.
#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    class: Vec<Description>,
}

impl StoreIndex {
    /// Reads `store.json`; what its descriptions name are classes of this process from then on.
    ///
    /// # Errors
    /// [`TrainingError::Index`].
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, TrainingError> {
        let fault = |reason: String| TrainingError::Index { path: path.to_owned(), reason };
        let described: Described = serde_json::from_slice(bytes).map_err(|e| fault(e.to_string()))?;
        describe(&described.class).map_err(fault)?;
        let index: Self = serde_json::from_slice(bytes).map_err(|e| fault(e.to_string()))?;
        if let Some(unknown) = index.classes.iter().find(|name| Class::from_name(name).is_none()) {
            return Err(fault(format!("it has the class {unknown:?} and no description of it")));
        }
        Ok(index)
    }

    /// The classes in the order of the label bits.
    pub fn classes(&self) -> Vec<Class> {
        self.classes.iter().filter_map(|name| Class::from_name(name)).collect()
    }
}

/// A store being written.
#[derive(Debug)]
pub struct TrainingStore {
    folder: PathBuf,
    index: StoreIndex,
    /// Held as long as this lives: of two that list cases at once, each would drop the other's.
    _lock: std::fs::File,
}

impl TrainingStore {
    /// Opens a folder, made when missing; a store of the same make is taken up.
    ///
    /// # Errors
    /// [`TrainingError::Io`]; [`TrainingError::Index`]; [`TrainingError::Mixed`] when version, classes, working grid or
    /// generator differ from what the folder holds.
    pub fn open(folder: &Path, working: &WorkingSpec, generator: &str) -> Result<Self, TrainingError> {
        Self::open_salted(folder, working, generator, None, &Class::ALL, &[])
    }

    /// As [`TrainingStore::open`], for cases of patients whose keys were made with the salt of this fingerprint, with some of the
    /// eight classes and others beyond them.
    ///
    /// # Errors
    /// As [`TrainingStore::open`]; [`TrainingError::Mixed`] also for another salt.
    pub fn open_salted(
        folder: &Path,
        working: &WorkingSpec,
        generator: &str,
        salt: Option<&str>,
        of_the_eight: &[Class],
        further: &[Description],
    ) -> Result<Self, TrainingError> {
        fs::create_dir_all(folder).map_err(|source| TrainingError::Io { path: folder.to_owned(), source })?;
        let lock = locked(folder)?;
        let classes = of_the_eight.iter().map(|c| c.name()).chain(further.iter().map(|c| c.name.as_str()));
        let fresh = StoreIndex {
            version: VERSION,
            classes: classes.map(str::to_owned).collect(),
            working: working.clone(),
            generator: generator.to_owned(),
            salt: salt.map(str::to_owned),
            class: further.to_vec(),
            cases: Vec::new(),
        };
        let path = folder.join("store.json");
        let index = match fs::read(&path) {
            Ok(bytes) => StoreIndex::parse(&bytes, &path)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => fresh.clone(),
            Err(source) => return Err(TrainingError::Io { path, source }),
        };
        let differs = [
            (index.version != fresh.version, "version"),
            (index.classes != fresh.classes, "list of classes"),
            (index.class != fresh.class, "description of classes"),
            (index.working != fresh.working, "working grid"),
            (index.generator != fresh.generator, "generator"),
            (index.salt != fresh.salt, "salt of patients' keys"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(different, _)| *different) {
            return Err(TrainingError::Mixed { path: folder.to_owned(), what });
        }
        Ok(Self { folder: folder.to_owned(), index, _lock: lock })
    }

    /// What the store holds.
    pub fn index(&self) -> &StoreIndex {
        &self.index
    }

    /// What writes the arrays of cases, several at a time if need be; [`TrainingStore::list`] takes what it answers.
    pub fn writer(&self) -> CaseWriter {
        CaseWriter { folder: self.folder.clone(), classes: self.index.classes() }
    }

    /// The record of a case that is listed.
    pub fn record(&self, id: &str) -> Option<&CaseRecord> {
        self.index.cases.iter().find(|c| c.id == id)
    }

    /// Whether a case is complete: listed, and both files have the digests of the list.
    pub fn holds(&self, id: &str) -> bool {
        self.record(id).is_some_and(|record| self.writer().is_whole(record))
    }

    /// Writes a case, in the place of one of the same id.
    ///
    /// # Errors
    /// [`TrainingError::Io`], [`TrainingError::Encode`], [`TrainingError::Geometry`] when image and labels lie on
    /// different grids.
    pub fn put<W: Into<u32> + Copy>(&mut self, case: &TrainingCase<W>) -> Result<(), TrainingError> {
        let record = self.writer().write(case)?;
        self.list(record)
    }

    /// Lists a case whose arrays are written, in the place of one of the same id.
    ///
    /// # Errors
    /// [`TrainingError::Io`], [`TrainingError::Index`].
    pub fn list(&mut self, record: CaseRecord) -> Result<(), TrainingError> {
        self.index.cases.retain(|c| c.id != record.id);
        self.index.cases.push(record);
        self.index.cases.sort_by(|a, b| a.id.cmp(&b.id));
        let path = self.folder.join("store.json");
        let text = serde_json::to_vec_pretty(&self.index)
            .map_err(|e| TrainingError::Index { path: path.clone(), reason: e.to_string() })?;
        write_atomically(&path, &text)
    }
}

/// Takes the lock of a store that is written to. It goes with the process, however that ends.
fn locked(folder: &Path) -> Result<std::fs::File, TrainingError> {
    let failed = |source| TrainingError::Io { path: folder.to_owned(), source };
    // The folder itself: a store holds nothing but cases.
    let lock = std::fs::File::open(folder).map_err(failed)?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(TrainingError::InUse { path: folder.to_owned() }),
        Err(other) => Err(failed(other.into())),
    }
}

/// Where the arrays of a case lie.
pub(super) fn paths(folder: &Path, id: &str) -> [PathBuf; 2] {
    [folder.join(format!("{id}.image.npy")), folder.join(format!("{id}.labels.npy"))]
}

/// The class that encloses another: outside the one there is nothing of the other (method, section 3).
fn enclosing(class: Class) -> Option<Class> {
    match class {
        Class::Lens => Some(Class::Eye),
        Class::Hippocampus | Class::Brainstem => Some(Class::Brain),
        Class::Eye | Class::OpticNerve | Class::Chiasm | Class::Pituitary | Class::Brain => None,
        Class::Described(of) => of.description().enclosed_by,
    }
}

/// Writes the arrays of cases into the folder of a store.
#[derive(Debug, Clone)]
pub struct CaseWriter {
    folder: PathBuf,
    classes: Vec<Class>,
}

impl CaseWriter {
    /// Whether both files of a case have the digests of its record.
    pub fn is_whole(&self, record: &CaseRecord) -> bool {
        let [image, labels] = paths(&self.folder, &record.id);
        let whole =
            |(path, digest): (PathBuf, &String)| fs::read(path).is_ok_and(|bytes| sha256_hex(&bytes) == *digest);
        [(image, &record.image_sha256), (labels, &record.labels_sha256)].into_iter().all(whole)
    }

    /// Writes the two arrays of a case. A word of labels has 8 bits for up to 8 classes of the store, 16 for up to 16, else 32.
    ///
    /// # Errors
    /// As [`TrainingStore::put`].
    pub fn write<W: Into<u32> + Copy>(&self, case: &TrainingCase<W>) -> Result<CaseRecord, TrainingError> {
        case.image.same_grid(&case.labels)?;
        let s = case.image.grid().shape();
        let shape = [s.slices, s.rows, s.cols];
        let places = (0..u32::BITS).zip(&self.classes).filter(|(_, class)| case.known.contains(class));
        let known_bits = places.fold(0u32, |bits, (place, _)| bits | 1 << place);
        let words = case.labels.data().iter().map(|v| (*v).into() & known_bits);
        let image_npy = npy(shape, case.image.data(), &case.id, "image")?;
        let labels_npy = match self.classes.len() {
            ..=8 => npy(shape, &words.map(|w| w as u8).collect::<Vec<_>>(), &case.id, "labels")?,
            9..=16 => npy(shape, &words.map(|w| w as u16).collect::<Vec<_>>(), &case.id, "labels")?,
            _ => npy(shape, &words.collect::<Vec<_>>(), &case.id, "labels")?,
        };
        let [image, labels] = paths(&self.folder, &case.id);
        write_atomically(&image, &image_npy)?;
        write_atomically(&labels, &labels_npy)?;
        let present = |class: Class| {
            let found = class.structures().filter_map(|s| Some((s, case.extents.get(&s)?)));
            found.map(|(s, Extent { lo: [a, b, c], hi: [d, e, f] })| (s.side(), [*a, *b, *c, *d, *e, *f]))
        };
        let boxes = case.known.iter().map(|class| (*class, present(*class).map(|(_, flat)| flat).collect()));
        let sided = case.known.iter().filter(|_| case.provenance.patient.is_some());
        let sides = sided.map(|class| (*class, present(*class).filter_map(|(side, _)| side).collect::<Vec<_>>()));
        let unknown = self.classes.iter().copied().filter(|class| !case.known.contains(class));
        let implied = unknown.filter_map(|class| Some((class, enclosing(class).filter(|c| case.known.contains(c))?)));
        Ok(CaseRecord {
            id: case.id.clone(),
            source: case.source.clone(),
            known: case.known.clone(),
            shape,
            boxes: boxes.collect(),
            sides: sides.filter(|(_, sides)| !sides.is_empty()).collect(),
            implied: implied.filter(|_| case.provenance.patient.is_some()).collect(),
            patient: case.provenance.patient.clone(),
            source_sha256: case.provenance.source_sha256.clone(),
            image_sha256: sha256_hex(&image_npy),
            labels_sha256: sha256_hex(&labels_npy),
        })
    }
}

/// An array in numpy's own format, C order.
fn npy<T: WritableElement>(
    shape: [usize; 3],
    data: &[T],
    id: &str,
    what: &'static str,
) -> Result<Vec<u8>, TrainingError> {
    let encode = |reason: String| TrainingError::Encode { id: id.to_owned(), what, reason };
    let view = ArrayView3::from_shape(shape, data).map_err(|e| encode(e.to_string()))?;
    let mut bytes = Vec::with_capacity(std::mem::size_of_val(data) + 128);
    view.write_npy(&mut bytes).map_err(|e| encode(e.to_string()))?;
    Ok(bytes)
}

/// Writes beside the place, syncs, renames: a reader sees the old file or the new one, never a part.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), TrainingError> {
    let io = |source| TrainingError::Io { path: path.to_owned(), source };
    let part = path.with_extension("part");
    let mut file = fs::File::create(&part).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&part, path).map_err(io)
}

#[cfg(test)]
mod tests;
