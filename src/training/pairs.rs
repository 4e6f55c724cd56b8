//! Pairs of NIfTI images and labels, as segmentation challenges and research tools keep them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::draw::{Labelled, Region, labelled};
use super::drawn_case::{DrawOptions, DrawnCase, ReadNames};
use super::names::{Declared, Names, Reading};
use crate::anatomy::{Class, Structure};
use crate::geometry::{Grid, Lps, Mask, Volume, working_volume};
use crate::ids::FrameOfReferenceUid;
use crate::phantom::{PhantomError, read_nifti};

/// An image and its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The image.
    pub image: PathBuf,
    /// One label map, with a value for each organ.
    pub labels: Option<PathBuf>,
    /// One mask for each organ (what is not 0 is inside), by the organ's name.
    pub masks: BTreeMap<String, PathBuf>,
    /// Whose image it is: any text that is the same for the same patient.
    pub patient: Option<String>,
}

impl Pair {
    /// Every file of the pair, the image first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let masks = self.masks.values().map(PathBuf::as_path);
        [self.image.as_path()].into_iter().chain(self.labels.as_deref()).chain(masks)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPairs {
    pair: Vec<RawPair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPair {
    image: String,
    labels: Option<String>,
    #[serde(default)]
    masks: BTreeMap<String, String>,
    patient: Option<String>,
}

/// Reads a table of pairs; files are named from the table's own folder. TOML has a `[[pair]]` for each, CSV a line: its
/// columns are `image`, `labels`, `patient` and, for masks, the names of organs.
///
/// # Errors
/// What is wrong with the table, in words.
pub fn read_pairs(text: &str, toml_table: bool, folder: &Path) -> Result<Vec<Pair>, String> {
    let raw = if toml_table { toml::from_str::<RawPairs>(text).map_err(|e| e.to_string())?.pair } else { csv(text)? };
    if raw.is_empty() {
        return Err("the table holds no pair".into());
    }
    let pairs = raw.into_iter().enumerate().map(|(n, raw)| {
        if raw.image.is_empty() || raw.labels.is_none() && raw.masks.is_empty() {
            return Err(format!("pair {} needs an image, and labels or masks", n + 1));
        }
        Ok(Pair {
            image: folder.join(raw.image),
            labels: raw.labels.map(|file| folder.join(file)),
            masks: raw.masks.into_iter().map(|(name, file)| (name, folder.join(file))).collect(),
            patient: raw.patient,
        })
    });
    pairs.collect()
}

fn csv(text: &str) -> Result<Vec<RawPair>, String> {
    if text.contains('"') {
        return Err("quotes are not read here; use names without commas, or TOML".into());
    }
    let mut lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let heads: Vec<&str> = lines.next().unwrap_or_default().split(',').map(str::trim).collect();
    if !heads.contains(&"image") {
        return Err("the first line must name the columns, image among them".into());
    }
    let rows = lines.enumerate().map(|(n, line)| {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() != heads.len() {
            return Err(format!("line {} has {} cells, the first one {}", n + 2, cells.len(), heads.len()));
        }
        let mut row = RawPair { image: String::new(), labels: None, masks: BTreeMap::new(), patient: None };
        for (head, cell) in heads.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            match *head {
                "image" => row.image = cell.to_owned(),
                "labels" => row.labels = Some(cell.to_owned()),
                "patient" => row.patient = Some(cell.to_owned()),
                organ => {
                    row.masks.insert(organ.to_owned(), cell.to_owned());
                }
            }
        }
        Ok(row)
    });
    rows.collect()
}

/// What the values of label maps mean: value to one or several organs, `17 = ["Hippocampus_L", "Brain"]`. Several values
/// may make one organ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    organs: BTreeMap<(Class, Declared), Vec<i64>>,
}

impl LabelMap {
    /// Reads a map from its TOML; organs by the names of the table.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, names: &Names) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            labels: BTreeMap<String, OneOrMore>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(String),
            More(Vec<String>),
        }
        let raw: Raw = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut organs: BTreeMap<(Class, Declared), Vec<i64>> = BTreeMap::new();
        for (value, meant) in raw.labels {
            let value: i64 = value.parse().map_err(|_| format!("labels.{value} is no whole number"))?;
            if value == 0 {
                return Err("labels.0 is the background".into());
            }
            for name in match meant {
                OneOrMore::One(name) => vec![name],
                OneOrMore::More(names) => names,
            } {
                let Reading::Organ(class, declared) = names.read(&name) else {
                    return Err(format!("labels.{value}: {name:?} is no organ of the table of names"));
                };
                organs.entry((class, declared)).or_default().push(value);
            }
        }
        if organs.is_empty() { Err("it maps no value".into()) } else { Ok(Self { organs }) }
    }
}

/// Distance between the corners of two grids that count as one, mm.
const SAME_MM: f64 = 0.01;

fn read(path: &Path, what: &str) -> Result<Volume<f32>, String> {
    read_nifti(path, FrameOfReferenceUid::derive(&["nifti"])).map_err(|e| match e {
        // Paths may name a patient.
        PhantomError::Nifti { reason, .. } => format!("the {what} cannot be used: {reason}"),
        other => format!("the {what} cannot be used: {other}"),
    })
}

/// Makes a case of a pair. Labels are carried to the working grid from where they lie in the patient; that they lie on
/// another grid than the image is said.
///
/// # Errors
/// Every reason why there is none, in words.
pub fn pair_case(pair: &Pair, map: Option<&LabelMap>, options: &DrawOptions) -> Result<DrawnCase, Vec<String>> {
    let one = |reason: String| vec![reason];
    let source = read(&pair.image, "image").map_err(one)?;
    let image = working_volume(&source, options.working).map_err(|e| one(e.to_string()))?;
    let grid = std::sync::Arc::clone(source.grid());
    drop(source);
    let (mut regions, mut from, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let labels = match (&pair.labels, map) {
        (None, _) => None,
        (Some(_), None) => return Err(one("it has a label map; say by --labels what its values mean".into())),
        (Some(path), Some(map)) => {
            let volume = read(path, "label map").map_err(one)?;
            if let Some(odd) = volume.data().iter().find(|v| (*v - v.round()).abs() > 1e-3) {
                return Err(one(format!("the label map holds {odd}; values of labels are whole numbers")));
            }
            for ((class, declared), values) in &map.organs {
                // A value that is nowhere: the organ was not drawn, or is absent; which, the map does not say.
                if volume.data().iter().any(|v| values.contains(&(v.round() as i64))) {
                    let name = Structure::of(*class, declared.side()).map_or(class.name(), Structure::name);
                    regions.push(Region { class: *class, declared: *declared, name: name.to_owned() });
                    from.push(From::Values(values));
                } else {
                    notes.push(format!("no voxel has the value of {}", class.name()));
                }
            }
            Some(volume)
        }
    };
    for (name, path) in &pair.masks {
        let Reading::Organ(class, declared) = options.names.read(name) else {
            return Err(one(format!("the mask {name:?} is no organ of the table of names")));
        };
        regions.push(Region { class, declared, name: name.clone() });
        from.push(From::File(path));
    }
    let mut elsewhere = labels.as_ref().is_some_and(|volume| !same_place(volume.grid(), &grid));
    let labelled =
        labelled(&regions, options.classes, image.grid(), options.one_sided, |n| match (from.get(n), &labels) {
            (Some(From::Values(values)), Some(volume)) => Ok(volume.map(|v| values.contains(&(v.round() as i64)))),
            (Some(From::File(path)), _) => {
                let mask: Mask = read(path, "mask")?.map(|v| *v > 0.0);
                elsewhere |= !same_place(mask.grid(), &grid);
                Ok(mask)
            }
            _ => Err("there is no such region".to_owned()),
        });
    if elsewhere {
        notes.push("labels lie on another grid than the image; each voxel counts where it lies in the patient".into());
    }
    if labelled.known.is_empty() {
        let why = labelled.unknown.iter().map(|(class, why)| format!("{}: {why}", class.name()));
        return Err(std::iter::once("no class is known from its labels".to_owned()).chain(why).chain(notes).collect());
    }
    let organ = |r: &Region| (r.name.clone(), r.class.name().to_owned());
    let regions = ReadNames { organs: regions.iter().map(organ).collect(), ..ReadNames::default() };
    Ok(DrawnCase { image, labelled: Labelled { ..labelled }, regions, notes })
}

enum From<'a> {
    Values(&'a [i64]),
    File(&'a Path),
}

/// Whether two grids have the same voxels, but for the rounding of files.
fn same_place(one: &Grid, other: &Grid) -> bool {
    let near = |(a, b): (Lps, Lps)| a.distance(b) < SAME_MM;
    one.shape() == other.shape() && one.corners().into_iter().zip(other.corners()).all(near)
}

#[cfg(test)]
mod tests {
    use super::super::names::DEFAULT_NAMES;
    use super::*;

    #[test]
    fn tables_of_pairs_are_read_from_csv_and_toml() {
        let here = Path::new("tables");
        let csv = "image, labels, patient, Eye_L\na.nii.gz, a-seg.nii, P1,\nb.nii,,P2,b-eye.nii\n";
        let toml = "[[pair]]\nimage = 'a.nii.gz'\nlabels = 'a-seg.nii'\npatient = 'P1'\n\
                    [[pair]]\nimage = 'b.nii'\npatient = 'P2'\nmasks = { Eye_L = 'b-eye.nii' }\n";
        let pairs = read_pairs(csv, false, here).unwrap();
        assert_eq!(pairs, read_pairs(toml, true, here).unwrap());
        assert_eq!(pairs[0].labels.as_deref(), Some(Path::new("tables/a-seg.nii")));
        assert_eq!(pairs[1].files().count(), 2);
        for (bad, word) in [
            ("", "columns"),
            ("image,labels\n", "no pair"),
            ("image,labels\na.nii\n", "line 2"),
            ("image,labels\na.nii,\n", "pair 1"),
            ("image,labels\n\"a,b\",c\n", "quotes"),
        ] {
            let why = read_pairs(bad, false, here).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn values_mean_organs() {
        let names = Names::parse(DEFAULT_NAMES).unwrap();
        let map =
            LabelMap::parse("[labels]\n1 = 'Eye_L'\n17 = ['Hippocampus_L', 'brain']\n3 = 'Brain'\n", &names).unwrap();
        assert_eq!(map.organs[&(Class::Brain, Declared::Midline)], [17, 3]);
        assert_eq!(map.organs[&(Class::Eye, Declared::Left)], [1]);
        for (bad, word) in [("1 = 'Knee'", "no organ"), ("x = 'Eye_L'", "whole number"), ("0 = 'Eye_L'", "background")]
        {
            let why = LabelMap::parse(&format!("[labels]\n{bad}\n"), &names).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        assert!(LabelMap::parse("[labels]\n", &names).is_err());
    }
}
