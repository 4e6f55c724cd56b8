//! Writing a training store case by case.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ndarray::ArrayView3;
use ndarray_npy::{WritableElement, WriteNpyExt};
use serde::{Deserialize, Serialize};

use super::TrainingError;
use crate::anatomy::{Class, Structure};
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

/// One case, to be written.
#[derive(Debug)]
pub struct TrainingCase {
    /// File name stem: letters, digits, `-`, `_`.
    pub id: String,
    /// Where it comes from.
    pub source: Source,
    /// Classes with ground truth; the others are unknown everywhere and have no bit in the labels.
    pub known: Vec<Class>,
    /// Working image.
    pub image: Volume<f32>,
    /// Class bits on the same grid.
    pub labels: Volume<u8>,
    /// Boxes of the structures present.
    pub extents: BTreeMap<Structure, Extent>,
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
    /// Cases, in the order of their ids.
    pub cases: Vec<CaseRecord>,
}

/// A store being written.
#[derive(Debug)]
pub struct TrainingStore {
    folder: PathBuf,
    index: StoreIndex,
}

impl TrainingStore {
    /// Opens a folder, made when missing; a store of the same make is taken up.
    ///
    /// # Errors
    /// [`TrainingError::Io`]; [`TrainingError::Index`]; [`TrainingError::Mixed`] when version, classes, working grid or
    /// generator differ from what the folder holds.
    pub fn open(folder: &Path, working: &WorkingSpec, generator: &str) -> Result<Self, TrainingError> {
        fs::create_dir_all(folder).map_err(|source| TrainingError::Io { path: folder.to_owned(), source })?;
        let classes: Vec<String> = Class::ALL.iter().map(|c| c.name().to_owned()).collect();
        let fresh = StoreIndex {
            version: VERSION,
            classes,
            working: working.clone(),
            generator: generator.to_owned(),
            cases: Vec::new(),
        };
        let path = folder.join("store.json");
        let index = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice::<StoreIndex>(&bytes)
                .map_err(|e| TrainingError::Index { path: path.clone(), reason: e.to_string() })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => fresh.clone(),
            Err(source) => return Err(TrainingError::Io { path, source }),
        };
        let differs = [
            (index.version != fresh.version, "version"),
            (index.classes != fresh.classes, "list of classes"),
            (index.working != fresh.working, "working grid"),
            (index.generator != fresh.generator, "generator"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(different, _)| *different) {
            return Err(TrainingError::Mixed { path: folder.to_owned(), what });
        }
        Ok(Self { folder: folder.to_owned(), index })
    }

    /// What the store holds.
    pub fn index(&self) -> &StoreIndex {
        &self.index
    }

    /// Whether a case is complete: listed, and both files have the digests of the list.
    pub fn holds(&self, id: &str) -> bool {
        self.index.cases.iter().find(|c| c.id == id).is_some_and(|c| {
            [(self.image_path(id), &c.image_sha256), (self.labels_path(id), &c.labels_sha256)]
                .iter()
                .all(|(path, digest)| fs::read(path).is_ok_and(|bytes| sha256_hex(&bytes) == **digest))
        })
    }

    /// Writes a case, in the place of one of the same id.
    ///
    /// # Errors
    /// [`TrainingError::Io`], [`TrainingError::Encode`], [`TrainingError::Geometry`] when image and labels lie on
    /// different grids.
    pub fn put(&mut self, case: &TrainingCase) -> Result<(), TrainingError> {
        case.image.same_grid(&case.labels)?;
        let s = case.image.grid().shape();
        let shape = [s.slices, s.rows, s.cols];
        let known_bits = case.known.iter().fold(0u8, |bits, c| bits | c.bit());
        let labels: Vec<u8> = case.labels.data().iter().map(|v| v & known_bits).collect();
        let image_npy = npy(shape, case.image.data(), &case.id, "image")?;
        let labels_npy = npy(shape, &labels, &case.id, "labels")?;
        write_atomically(&self.image_path(&case.id), &image_npy)?;
        write_atomically(&self.labels_path(&case.id), &labels_npy)?;
        let boxes = case
            .known
            .iter()
            .map(|class| {
                let found = class.structures().filter_map(|s| case.extents.get(&s));
                let flat = |e: &Extent| {
                    let ([a, b, c], [d, e, f]) = (e.lo, e.hi);
                    [a, b, c, d, e, f]
                };
                (*class, found.map(flat).collect())
            })
            .collect();
        let record = CaseRecord {
            id: case.id.clone(),
            source: case.source.clone(),
            known: case.known.clone(),
            shape,
            boxes,
            image_sha256: sha256_hex(&image_npy),
            labels_sha256: sha256_hex(&labels_npy),
        };
        self.index.cases.retain(|c| c.id != case.id);
        self.index.cases.push(record);
        self.index.cases.sort_by(|a, b| a.id.cmp(&b.id));
        let path = self.folder.join("store.json");
        let text = serde_json::to_vec_pretty(&self.index)
            .map_err(|e| TrainingError::Index { path: path.clone(), reason: e.to_string() })?;
        write_atomically(&path, &text)
    }

    fn image_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.image.npy"))
    }

    fn labels_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.labels.npy"))
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
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    fn case(id: &str, known: Vec<Class>) -> TrainingCase {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid =
            Arc::new(Grid::axis_aligned(frame, Shape::new(4, 3, 2), Lps::new(1.0, 2.0, 3.0), [0.7, 0.7, 0.9]).unwrap());
        let image = Volume::new(Arc::clone(&grid), (0..24).map(|n| n as f32 * 1.5).collect()).unwrap();
        let mut labels = Volume::filled(grid, 0u8);
        labels.set(3, 1, 0, Class::Eye.bit());
        labels.set(0, 2, 1, Class::Eye.bit() | Class::Brain.bit());
        let extents = BTreeMap::from([
            (Structure::Eye_L, Extent { lo: [3, 1, 0], hi: [3, 1, 0] }),
            (Structure::Eye_R, Extent { lo: [0, 2, 1], hi: [0, 2, 1] }),
            (Structure::Brain, Extent { lo: [0, 2, 1], hi: [0, 2, 1] }),
        ]);
        TrainingCase { id: id.into(), source: Source::Seed(7), known, image, labels, extents }
    }

    #[test]
    fn a_store_is_written_and_taken_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let working = WorkingSpec::default();
        let mut store = TrainingStore::open(folder.path(), &working, "test 1").unwrap();
        store.put(&case("b", Class::ALL.to_vec())).unwrap();
        store.put(&case("a", vec![Class::Brain])).unwrap();

        let mut again = TrainingStore::open(folder.path(), &working, "test 1").unwrap();
        assert_eq!(again.index(), store.index());
        assert!(again.holds("a") && again.holds("b") && !again.holds("c"));
        let text: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join("store.json")).unwrap()).unwrap();
        assert_eq!(text["classes"][0], "eye");
        assert_eq!(text["cases"][1]["id"], "b");
        assert_eq!(text["cases"][1]["seed"], 7);
        assert_eq!(text["cases"][1]["shape"], serde_json::json!([2, 3, 4]));
        assert_eq!(text["cases"][1]["boxes"]["eye"], serde_json::json!([[3, 1, 0, 3, 1, 0], [0, 2, 1, 0, 2, 1]]));
        assert_eq!(text["cases"][0]["known"], serde_json::json!(["brain"]));
        assert!(text["cases"][0]["boxes"].get("eye").is_none());

        // A case whose file was damaged is not complete.
        fs::write(folder.path().join("b.labels.npy"), b"x").unwrap();
        assert!(!again.holds("b"));
        again.put(&case("b", Class::ALL.to_vec())).unwrap();
        assert!(again.holds("b"));
        assert_eq!(again.index().cases.len(), 2);
    }

    #[test]
    fn arrays_are_numpys_with_z_slowest_and_unknown_bits_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = TrainingStore::open(folder.path(), &WorkingSpec::default(), "test 1").unwrap();
        store.put(&case("a", vec![Class::Brain])).unwrap();
        let image = fs::read(folder.path().join("a.image.npy")).unwrap();
        let header = String::from_utf8_lossy(&image[..128]).into_owned();
        assert!(
            header.contains("'<f4'") && header.contains("(2, 3, 4)") && header.contains("'fortran_order': False"),
            "{header}"
        );
        let labels = fs::read(folder.path().join("a.labels.npy")).unwrap();
        let data = &labels[labels.len() - 24..];
        // Voxel (0, 2, 1): slice 1, row 2, column 0.
        assert_eq!(data[12 + 2 * 4], Class::Brain.bit());
        assert_eq!(data.iter().map(|v| u32::from(*v)).sum::<u32>(), u32::from(Class::Brain.bit()));
        assert_eq!(image[image.len() - 24 * 4 + 4..][..4], 1.5f32.to_le_bytes());
    }

    #[test]
    fn stores_of_different_make_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let working = WorkingSpec::default();
        TrainingStore::open(folder.path(), &working, "test 1").unwrap().put(&case("a", vec![])).unwrap();
        assert!(matches!(
            TrainingStore::open(folder.path(), &working, "test 2"),
            Err(TrainingError::Mixed { what: "generator", .. })
        ));
        let other = WorkingSpec { spacing: [1.0; 3], ..WorkingSpec::default() };
        assert!(TrainingStore::open(folder.path(), &other, "test 1").is_err());
        fs::write(folder.path().join("store.json"), b"{}").unwrap();
        assert!(matches!(TrainingStore::open(folder.path(), &working, "test 1"), Err(TrainingError::Index { .. })));
    }
}
