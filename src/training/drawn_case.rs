//! One case of an archive: a series and the structure set drawn on it, to image and labels on the working grid.

use std::sync::Arc;

use super::draw::{Labelled, OneSided, Region, labelled};
use super::names::{Names, Reading};
use crate::anatomy::{Class, Structure};
use crate::contour::{PlaneContour, beyond, crossed_slices, rasterise, skipped_slices};
use crate::dicom::data::{
    InstanceHeader, ReadRoi, Series, SlicePlanes, StructureSet, assemble, parse_instances, read_rtstruct,
    without_patient,
};
use crate::geometry::{Mask, Volume, WorkingSpec, working_volume};

/// How regions become labels.
#[derive(Debug)]
pub struct DrawOptions<'a> {
    /// How names are read.
    pub names: &'a Names,
    /// The classes of the store, in the order of their bits.
    pub classes: &'a [Class],
    /// What one side of two says.
    pub one_sided: OneSided,
    /// The working grid.
    pub working: &'a WorkingSpec,
}

/// A case on the working grid, before it has a name.
#[derive(Debug)]
pub struct DrawnCase {
    /// Working image.
    pub image: Volume<f32>,
    /// Labels on the same grid.
    pub labelled: Labelled,
    /// ROI Names by what they were read as; without what names the patient.
    pub regions: ReadNames,
    /// What is odd about series and contours.
    pub notes: Vec<String>,
}

/// The names of a structure set, sorted by what they were read as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadNames {
    /// Name and structure, or class where no side was said.
    pub organs: Vec<(String, String)>,
    /// Name and the word that makes it something else.
    pub derived: Vec<(String, String)>,
    /// Names that the table does not have.
    pub unknown: Vec<String>,
}

impl ReadNames {
    /// Sorts names of one structure set. `header` tells what must not be passed on.
    pub fn of<'a>(rois: impl IntoIterator<Item = &'a str>, names: &Names, header: &InstanceHeader) -> Self {
        let mut out = Self::default();
        for name in rois {
            let said = without_patient(name, header);
            match names.read(name) {
                Reading::Organ(class, declared) => {
                    let structure = Structure::of(class, declared.side());
                    out.organs.push((said, structure.map_or(class.name(), |s| s.name()).to_owned()));
                }
                Reading::Derived(word) => out.derived.push((said, word)),
                Reading::Unknown => out.unknown.push(said),
            }
        }
        out
    }
}

/// Brings an image to the working grid as serving does.
///
/// # Errors
/// Why it holds no head, in words.
fn working_image(series: &Series, working: &WorkingSpec) -> Result<Volume<f32>, String> {
    working_volume(&series.volume, working).map_err(|e| e.to_string())
}

/// Assembles the series of some images.
///
/// # Errors
/// Every reason why they make none, in words; without UIDs.
fn series_of<B: AsRef<[u8]> + Sync>(images: &[B]) -> Result<Series, Vec<String>> {
    parse_instances(images).and_then(assemble).map_err(|refusals| {
        let mut reasons: Vec<String> = refusals.0.iter().map(|r| r.message.clone()).collect();
        reasons.dedup();
        reasons
    })
}

/// Makes a case of the images of a series and of the structure set drawn on it.
///
/// # Errors
/// Every reason why there is none, in words.
pub fn drawn_case<B: AsRef<[u8]> + Sync>(
    images: &[B],
    structure_set: &[u8],
    options: &DrawOptions,
) -> Result<DrawnCase, Vec<String>> {
    let one = |reason: String| vec![reason];
    let set = read_rtstruct(structure_set).map_err(|e| one(e.message))?;
    let series = series_of(images)?;
    let image = working_image(&series, options.working).map_err(one)?;
    let planes = SlicePlanes {
        series: series.attributes.series,
        slices: series.slices,
        grid: Arc::clone(series.volume.grid()),
        warnings: Vec::new(),
    };
    drop(series.volume);
    let mut notes = series.warnings;
    let (regions, rois) = regions_of(&set, options.names);
    let labelled = labelled(&regions, options.classes, image.grid(), options.one_sided, |n| match rois.get(n) {
        Some(roi) => mask_of(roi, &planes, &mut notes),
        None => Err("there is no such region".to_owned()),
    });
    let names = set.rois.iter().map(|roi| roi.name.as_str());
    let regions = ReadNames::of(names, options.names, &set.header);
    // A name was judged by what it says; in words about it nothing of the patient may stand.
    let clean = |text: &String| without_patient(text, &set.header);
    let labelled = Labelled {
        unknown: labelled.unknown.iter().map(|(class, why)| (*class, clean(why))).collect(),
        notes: labelled.notes.iter().map(clean).collect(),
        ..labelled
    };
    let notes = notes.iter().map(clean).collect();
    if labelled.known.is_empty() {
        let why = labelled.unknown.iter().map(|(class, why)| format!("{}: {why}", class.name()));
        let mut reasons = vec!["no class is known from its regions".to_owned()];
        reasons.extend(why);
        return Err(reasons);
    }
    Ok(DrawnCase { image, labelled, regions, notes })
}

/// Makes a case of images and of contours that lie on them, or on the derived images of the same patient.
///
/// # Errors
/// Every reason why there is none, in words.
pub fn contoured_case<B: AsRef<[u8]> + Sync>(
    images: &[B],
    derived: Option<&[B]>,
    contours: &[(Region, Vec<PlaneContour>)],
    options: &DrawOptions,
) -> Result<DrawnCase, Vec<String>> {
    let series = series_of(images)?;
    let image = working_image(&series, options.working).map_err(|reason| vec![reason])?;
    let planes = match derived {
        Some(derived) => Arc::clone(series_of(derived)?.volume.grid()),
        None => Arc::clone(series.volume.grid()),
    };
    let notes = series.warnings;
    drop(series.volume);
    let regions: Vec<Region> = contours.iter().map(|(region, _)| region.clone()).collect();
    let labelled = labelled(&regions, options.classes, image.grid(), options.one_sided, |n| {
        let (_, contours) = contours.get(n).ok_or("there is no such region")?;
        Ok(rasterise(contours, &planes))
    });
    if labelled.known.is_empty() {
        let why = labelled.unknown.iter().map(|(class, why)| format!("{}: {why}", class.name()));
        return Err(std::iter::once("no class is known from its structures".to_owned()).chain(why).collect());
    }
    Ok(DrawnCase { image, labelled, regions: ReadNames::default(), notes })
}

/// The regions of a set that are organs.
fn regions_of<'a>(set: &'a StructureSet, names: &Names) -> (Vec<Region>, Vec<&'a ReadRoi>) {
    let organ = |roi: &'a ReadRoi| match names.read(&roi.name) {
        Reading::Organ(class, declared) if !roi.contours.is_empty() => {
            Some((Region { class, declared, name: roi.name.clone() }, roi))
        }
        _ => None,
    };
    set.rois.iter().filter_map(organ).unzip()
}

/// The pixels of a region on the planes of its series: exact, or not at all.
fn mask_of(roi: &ReadRoi, planes: &SlicePlanes, notes: &mut Vec<String>) -> Result<Mask, String> {
    let name = &roi.name;
    if !roi.is_closed() {
        return Err(format!("{name:?} is drawn by points or open lines"));
    }
    let contours = roi.placed_on(planes).map_err(|e| e.message)?;
    let numbers = |slices: &[usize]| slices.iter().map(|k| (k + 1).to_string()).collect::<Vec<_>>().join(" ");
    if let Some(contour) = beyond(&contours, planes.grid.shape()) {
        return Err(format!("a contour of {name:?} leaves the image on slice {}", contour.slice + 1));
    }
    let skipped = skipped_slices(&contours);
    if !skipped.is_empty() {
        return Err(format!(
            "{name:?} has no contour on slices {} between others that have one; interpolate it in the planning system",
            numbers(&skipped)
        ));
    }
    let crossed = crossed_slices(&contours);
    if !crossed.is_empty() {
        notes.push(format!("contours of {name:?} cross (read even-odd) on slices {}", numbers(&crossed)));
    }
    Ok(rasterise(&contours, &planes.grid))
}
