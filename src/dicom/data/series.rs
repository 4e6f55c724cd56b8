//! Checked slices of one series, and the volume they make.

use std::collections::BTreeMap;
use std::sync::Arc;

use dicom_dictionary_std::tags;

use super::refusal::{Refusal, RefusalCode, Refusals};
use super::stack::{Stack, stack};
use super::values::tag_name;
use super::{Attributes, Instance, MrAcquisition, PatientStudy};
use crate::geometry::{GeometryError, Grid, Lps, Shape, Volume};
use crate::ids::{FrameOfReferenceUid, InstanceUid, SeriesUid};

/// Fewer slices than this, or less than [`HEAD_EXTENT`] along the normal, may be a part of a head: said, not refused.
const FEW_SLICES: usize = 20;
/// mm along the normal that a scan of a head covers, in any orientation.
const HEAD_EXTENT: f64 = 100.0;
/// Slices further apart than this, mm, hold a lens or a chiasm on one or two of them. A rounded 3 mm is not further.
const THICK: f64 = 3.01;

/// Values of a series that are carried into the objects made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesAttributes {
    /// Patient and study.
    pub patient: PatientStudy,
    /// Series Instance UID (0020,000E).
    pub series: SeriesUid,
    /// Series Number (0020,0011).
    pub series_number: Option<i64>,
    /// Series Description (0008,103E).
    pub series_description: String,
    /// Position Reference Indicator (0020,1040).
    pub position_reference_indicator: String,
    /// Sequence parameters.
    pub acquisition: MrAcquisition,
    /// What one of its images says of how it was made ([`super::IMAGE_TAGS`]).
    pub says: Attributes,
}

/// One slice of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceRef {
    /// SOP Class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub instance: InstanceUid,
    /// The slice's own Image Position (Patient), LPS mm: contours on it are placed from here.
    pub position: Lps,
}

/// A whole series, in geometric order.
#[derive(Debug, Clone)]
pub struct Series {
    /// What is copied into objects made from it.
    pub attributes: SeriesAttributes,
    /// Slice k of the volume is `slices[k]`.
    pub slices: Vec<SliceRef>,
    /// The acquired grid: i counts columns, j rows, k slices along the normal (row direction x column direction).
    pub volume: Volume<f32>,
    /// Some slice was once compressed with loss; what is derived from it says so too.
    pub lossy: bool,
    /// What is odd about the series without being a reason to refuse it.
    pub warnings: Vec<String>,
}

impl Series {
    /// Frame of reference of the slices.
    pub fn frame(&self) -> &FrameOfReferenceUid {
        self.volume.grid().frame()
    }

    /// Whether the slices are axial enough for planning systems: |z| of the slice normal is at least `threshold`
    /// (0.90 is 26 degrees).
    pub fn near_axial(&self, threshold: f64) -> bool {
        self.volume.grid().axes()[2].z.abs() >= threshold
    }

    /// Patient point of a place (i, j) on slice k, from the slice's own position; `None` beyond the last slice.
    pub fn point_on_slice(&self, k: usize, [i, j]: [f64; 2]) -> Option<Lps> {
        let [across, down, _] = self.volume.grid().axes();
        let [dx, dy, _] = self.volume.grid().spacing();
        self.slices.get(k).map(|slice| slice.position + across * (i * dx) + down * (j * dy))
    }
}

/// Where the slices of a series lie, without their pixels: what contours are laid on.
#[derive(Debug, Clone)]
pub struct SlicePlanes {
    /// Series Instance UID (0020,000E).
    pub series: SeriesUid,
    /// Slice k of the grid is `slices[k]`.
    pub slices: Vec<SliceRef>,
    /// As a series' own volume has it: i counts columns, j rows, k slices along the normal.
    pub grid: Arc<Grid>,
    /// What is odd about the series without being a reason to refuse it.
    pub warnings: Vec<String>,
}

/// Puts the slices of one series together.
///
/// # Errors
/// Every reason why they do not make one regular volume.
pub fn assemble(instances: Vec<Instance>) -> Result<Series, Refusals> {
    let (attributes, mut stack) = checked(instances)?;
    let lossy = stack.slices.iter().any(|i| i.image.lossy);
    if lossy {
        stack.warnings.push("the images were compressed with loss; small structures may suffer".to_owned());
    }
    let small = parts_of_a_head(&stack);
    stack.warnings.extend(small);
    let grid = grid(&stack)?;
    let mut values = Vec::with_capacity(grid.shape().voxels());
    let mut slices = Vec::with_capacity(stack.slices.len());
    for instance in stack.slices {
        values.extend_from_slice(&instance.image.values);
        slices.push(slice_ref(instance));
    }
    let volume = Volume::new(grid, values).map_err(impossible)?;
    Ok(Series { attributes, slices, volume, lossy, warnings: stack.warnings })
}

/// Puts the planes of one series together, by the same checks.
///
/// # Errors
/// Every reason why they do not make one regular stack.
pub(super) fn planes(instances: Vec<Instance>) -> Result<SlicePlanes, Refusals> {
    let (attributes, stack) = checked(instances)?;
    let grid = grid(&stack)?;
    let slices = stack.slices.into_iter().map(slice_ref).collect();
    Ok(SlicePlanes { series: attributes.series, slices, grid, warnings: stack.warnings })
}

/// Refuses what is not one series of one patient in one regular stack.
fn checked(instances: Vec<Instance>) -> Result<(SeriesAttributes, Stack), Refusals> {
    let Some(first) = instances.first() else {
        return Err(Refusal::new(RefusalCode::NoImages, "there are no MR images").into());
    };
    let mut refusals = belongs_together(first, &instances);
    let attributes = SeriesAttributes {
        patient: first.patient.clone(),
        series: first.header.series.clone(),
        series_number: first.series_number,
        series_description: first.header.series_description.clone(),
        position_reference_indicator: first.position_reference_indicator.clone(),
        acquisition: first.acquisition.clone(),
        says: first.says.clone(),
    };
    let differing = instances.iter().filter(|i| i.patient != first.patient).count();
    let remarks = remarks(&instances);
    let mut stack = match stack(instances) {
        Ok(stack) if refusals.is_empty() => stack,
        Ok(_) => return Err(Refusals(refusals)),
        Err(more) => {
            refusals.extend(more);
            return Err(Refusals(refusals));
        }
    };
    if differing > 0 {
        let warning = format!("{differing} slices describe patient or study differently in minor attributes");
        stack.warnings.push(warning);
    }
    stack.warnings.extend(remarks);
    Ok((attributes, stack))
}

/// What speaks for a part of a head only, without being a reason to refuse it.
fn parts_of_a_head(stack: &Stack) -> Vec<String> {
    let mut warnings = Vec::new();
    let held = stack.slices.len();
    if held < FEW_SLICES {
        warnings.push(format!("{held} slices are few for a head; is this the whole series?"));
    }
    let extent = held as f64 * stack.spacing;
    if extent < HEAD_EXTENT {
        warnings.push(format!(
            "the slices cover {extent:.0} mm only, where a head has at least {HEAD_EXTENT:.0} mm; structures beyond them \
             are missing or cut"
        ));
    }
    if stack.spacing > THICK {
        warnings.push(format!(
            "the slices are {:.1} mm apart; above 3 mm contours of small structures are guesses between few slices",
            stack.spacing
        ));
    }
    let announced = stack.slices.iter().filter_map(|i| i.announced).max().unwrap_or(0);
    if usize::try_from(announced).is_ok_and(|n| n > held) {
        let tag = tag_name(tags::IMAGES_IN_ACQUISITION);
        warnings.push(format!("{held} of the {announced} images of the acquisition are here [attribute {tag}]"));
    }
    warnings
}

/// What is odd about the kinds of some images, each said once.
fn remarks(instances: &[Instance]) -> Vec<String> {
    let mut said: BTreeMap<&String, usize> = BTreeMap::new();
    for remark in instances.iter().flat_map(|i| &i.remarks) {
        *said.entry(remark).or_default() += 1;
    }
    let of_some =
        |n: usize| if n < instances.len() { format!(" ({n} of {} images)", instances.len()) } else { String::new() };
    said.into_iter().map(|(remark, n)| format!("{remark}{}", of_some(n))).collect()
}

/// Refuses instances of several series, patients, studies or frames of reference.
fn belongs_together(first: &Instance, instances: &[Instance]) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut one = |odd: Option<&Instance>, code, tag, message: &str| {
        if let Some(odd) = odd {
            refusals.push(Refusal::new(code, message).with_tag(tag_name(tag)).with_instance(odd.uid().clone()));
        }
    };
    one(
        instances.iter().find(|i| i.header.series != first.header.series),
        RefusalCode::SeveralSeries,
        tags::SERIES_INSTANCE_UID,
        "the images belong to several series; send one T1 series at a time",
    );
    one(
        instances.iter().find(|i| {
            i.header.study != first.header.study
                || i.header.patient_id != first.header.patient_id
                || i.header.patient_name != first.header.patient_name
        }),
        RefusalCode::SeveralPatients,
        tags::PATIENT_ID,
        "the images name different patients or studies under one series; have the archive correct them",
    );
    one(
        instances.iter().find(|i| i.frame != first.frame),
        RefusalCode::SeveralFrames,
        tags::FRAME_OF_REFERENCE_UID,
        "the images lie in several frames of reference, so the patient may have moved between them; send one acquisition",
    );
    refusals
}

fn impossible(e: GeometryError) -> Refusals {
    Refusal::new(RefusalCode::TooLarge, format!("the slices make no volume: {e}")).into()
}

fn grid(stack: &Stack) -> Result<Arc<Grid>, Refusals> {
    let Some(first) = stack.slices.first() else {
        return Err(Refusal::new(RefusalCode::NoImages, "there are no MR images").into());
    };
    let [row, column] = first.orientation;
    let shape = Shape::new(first.image.columns, first.image.rows, stack.slices.len());
    let steps = [first.spacing[0], first.spacing[1], stack.spacing];
    let grid = Grid::new(first.frame.clone(), shape, first.position, [row, column, stack.normal], steps);
    Ok(Arc::new(grid.map_err(impossible)?))
}

fn slice_ref(instance: Instance) -> SliceRef {
    SliceRef { sop_class: instance.header.sop_class, instance: instance.header.instance, position: instance.position }
}
