//! The structure set of an MR series on the planes of a CT: a function of both, of the rigid way between their frames of
//! reference, and of what was ordered.
//!
//! What is carried is the structure set as it was delivered: each region is exactly the pixels that its contours enclose on
//! the planes that they were drawn on, and becomes a smooth field, which the CT's planes are laid through. Nothing is found
//! anew, so names and sides are those of the MR.

use std::ops::RangeInclusive;

use rayon::prelude::*;
use serde::Serialize;
use time::PrimitiveDateTime;

use super::package::check_structure_set;
use super::segment::{SegmentError, description};
use crate::anatomy::{RoiType, Structure};
use crate::contour::{ContourConfig, ContourError, Outlines, PlaneContour, outline_on, rasterise};
use crate::dicom::data::{
    Carried, EncodedInstance, Profile, RESEARCH_MARK, ReadRoi, Refusal, RefusalCode, Refusals, RoiContours,
    RoiIdentity, Series, SlicePlanes, StructureSet, StructureSetMeta, write_rtstruct,
};
use crate::geometry::{Field, Grid, Lps, Mask, Rigid};
use crate::ids::InstanceUid;

/// A structure of which the CT covers less than this share is left out: what is left of it would not be taken for it.
const LEAST_COVERED: f64 = 0.5;
/// A structure of which the CT covers less than this share is said to be cut; less than a voxel in a thousand is none.
const WHOLE: f64 = 0.999;
/// A volume that differs by more than this share from that on the MR is said; small structures on thick slices do.
const VOLUME_DIFFERS: f64 = 0.05;
/// Below this a CT shows air or lung (Hounsfield units): no structure of a head is made of it.
const AIR_HU: f32 = -300.0;
/// More air than this share of everything carried: the registration is not of these images.
const MOST_AIR: f64 = 0.1;
/// A pixel may lie this far (in voxels) on the other side of a voxel's border, by rounding.
const ON_THE_BORDER: f64 = 1e-6;

/// What is to be carried where.
pub(super) struct Carriage<'a> {
    /// The structure set on the MR, as delivered.
    pub set: &'a StructureSet,
    /// The planes that it was drawn on.
    pub drawn_on: &'a SlicePlanes,
    /// The CT.
    pub ct: &'a Series,
    /// The way from the MR's frame of reference to the CT's.
    pub way: &'a Rigid,
    /// The registration that says so; `None` when both share a frame.
    pub registration: Option<&'a InstanceUid>,
    /// How the destination wants it.
    pub profile: &'a Profile,
    /// Outlines.
    pub contours: &'a ContourConfig,
    /// What the result is called and dated.
    pub order: &'a CarryOrder,
}

/// What names one structure set on a CT among others.
#[derive(Debug, Clone)]
pub(super) struct CarryOrder {
    /// Name of the model that found the structures.
    pub model_name: String,
    /// Its digest.
    pub model_digest: String,
    /// Digest of the configuration.
    pub config_digest: String,
    /// Revision of the MR series.
    pub revision: u32,
    /// The structure set that the new one replaces.
    pub predecessor: Option<InstanceUid>,
    /// Frozen time of making.
    pub created: PrimitiveDateTime,
}

/// One structure on both series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct CarriedRoi {
    /// Its name at the destination.
    pub name: String,
    /// Volume on the planes that it was drawn on, cm3.
    pub drawn_cc: f64,
    /// Volume on the CT, cm3; 0 for one that was left out.
    pub ct_cc: f64,
    /// Share of it that the CT covers.
    pub covered: f64,
    /// What a reader has to know.
    pub remarks: Vec<String>,
}

/// A structure set on a CT, read back and checked.
#[derive(Debug, Clone)]
pub(super) struct CarriedSet {
    /// The file.
    pub object: EncodedInstance,
    /// Every structure of the MR's set.
    pub rois: Vec<CarriedRoi>,
}

impl Carriage<'_> {
    /// Carries the structure set.
    ///
    /// # Errors
    /// [`SegmentError::Refused`]: another patient, a CT that covers nothing of it, or that shows air where the structures
    /// would lie. [`SegmentError::Bug`]: what was made did not pass its own check.
    pub fn carry(&self) -> Result<CarriedSet, SegmentError> {
        let seen = self.ct.volume.grid().moved(&self.way.inverse())?;
        let carried = self.set.rois.par_iter().map(|roi| self.region(roi, &seen)).collect::<Result<Vec<_>, _>>()?;
        self.refuse_air(&carried)?;
        let mut rois: Vec<CarriedRoi> = Vec::new();
        let mut contours: Vec<RoiContours> = Vec::new();
        for (roi, (report, outlines)) in self.set.rois.iter().zip(carried) {
            contours.push(RoiContours {
                roi: self.identity(roi),
                contours: outlines,
                volume_cc: report.ct_cc,
                description: described(roi, &report),
            });
            // What the MR's set declares without contours stays so, and there is nothing to report of it.
            rois.extend(Some(report).filter(|report| report.drawn_cc > 0.0));
        }
        if contours.iter().all(|roi| roi.contours.is_empty()) {
            let message = "the CT covers none of the structures; send the CT of the head";
            return Err(refused(RefusalCode::NothingFound, message));
        }
        let remarks = rois.iter().flat_map(|roi| roi.remarks.iter().map(|remark| format!("{}: {remark}", roi.name)));
        let meta = StructureSetMeta {
            label: self.set.label.clone(),
            research: self.set.name.starts_with(RESEARCH_MARK),
            model_name: self.order.model_name.clone(),
            model_digest: self.order.model_digest.clone(),
            config_digest: self.order.config_digest.clone(),
            revision: self.order.revision,
            predecessor: self.order.predecessor.clone(),
            carried: Some(Carried {
                from: self.set.header.instance.clone(),
                drawn_on: self.drawn_on.series.clone(),
                registration: self.registration.cloned(),
                remarks: remarks.collect::<Vec<_>>().join("; "),
            }),
            created: self.order.created,
        };
        let object = write_rtstruct(self.ct, &contours, &meta, self.profile)?;
        let outlines = self.profile.contours(self.contours);
        check_structure_set(&object, self.ct, &contours, self.profile, outlines.holes)?;
        Ok(CarriedSet { object, rois })
    }

    /// One region on the CT's planes; `seen` is the CT's grid as the MR's frame of reference has it.
    fn region(&self, roi: &ReadRoi, seen: &Grid) -> Result<(CarriedRoi, Vec<PlaneContour>), SegmentError> {
        let placed = roi.placed_on(self.drawn_on).map_err(|e| SegmentError::Bug(e.to_string()))?;
        let mask = rasterise(&placed, &self.drawn_on.grid);
        let covered = covered(&mask, seen);
        let mut report =
            CarriedRoi { name: roi.name.clone(), drawn_cc: mask.cc(), ct_cc: 0.0, covered, remarks: Vec::new() };
        if mask.is_empty() {
            return Ok((report, Vec::new()));
        }
        let percent = (covered * 100.0).floor();
        if covered < LEAST_COVERED {
            report.remarks.push(format!("left out, because the CT covers {percent:.0} % of it only"));
            return Ok((report, Vec::new()));
        }
        if covered < WHOLE {
            report.remarks.push(format!("cut by the end of the CT, which covers {percent:.0} % of it"));
        }
        let config = self.profile.contours(self.contours);
        let outlines = match Field::new(&mask, None).map(|field| outline_on(&field, seen, &config)).transpose() {
            // One outline that cannot be written does not keep the others from the planner.
            Err(e @ (ContourError::TooManyPoints { .. } | ContourError::Changed { .. })) => {
                report.remarks.push(format!("left out: {e}"));
                Outlines::default()
            }
            drawn => drawn?.unwrap_or_default(),
        };
        if outlines.contours.is_empty() {
            if report.remarks.is_empty() {
                report.remarks.push("left out, too small to hold a pixel centre of the CT".into());
            }
            return Ok((report, Vec::new()));
        }
        self.check_place(roi, &mask, &outlines)?;
        report.ct_cc = outlines.pixels as f64 * self.ct.volume.grid().voxel_cc();
        let expected = report.drawn_cc * covered;
        if (report.ct_cc - expected).abs() > VOLUME_DIFFERS * expected {
            let (here, there) = (report.ct_cc, report.drawn_cc);
            report.remarks.push(format!("{here:.2} cm3 on the CT's slices, {there:.2} cm3 on the MR's"));
        }
        Ok((report, outlines.contours))
    }

    /// Every pixel of the CT, taken to the MR by the way itself, lies where its side of the outline says: inside only among
    /// voxels of which one is inside, outside only among voxels of which one is outside. Holes that were filled and islands
    /// that were dropped are the only exceptions.
    fn check_place(&self, roi: &ReadRoi, mask: &Mask, outlines: &Outlines) -> Result<(), SegmentError> {
        let grid = self.ct.volume.grid();
        let back = self.way.inverse();
        let drawn = rasterise(&outlines.contours, grid);
        let shape = grid.shape();
        // All that the mask could reach: its own box on the CT, and what was drawn.
        let reach = reach(mask, self.way, grid);
        let odd = |k: usize| {
            let mut odd = 0;
            for j in 0..shape.rows {
                for i in 0..shape.cols {
                    let inside = drawn.data()[drawn.offset(i, j, k)];
                    let near = reach.iter().zip([i, j, k]).all(|(r, n)| r.contains(&(n as f64)));
                    if !inside && !near {
                        continue;
                    }
                    let Some(p) = self.ct.point_on_slice(k, [i as f64, j as f64]) else { continue };
                    odd += usize::from(!around(mask, &back, p)[usize::from(inside)]);
                }
            }
            odd
        };
        let odd: usize = (0..shape.slices).into_par_iter().map(odd).sum();
        let allowed = outlines.voxels_filled + outlines.voxels_dropped;
        if odd <= allowed {
            return Ok(());
        }
        let name = &roi.name;
        Err(SegmentError::Bug(format!("{name} on the CT departs from {name} on the MR in {odd} pixels")))
    }

    /// Refuses a CT that shows air where the structures would lie.
    fn refuse_air(&self, carried: &[(CarriedRoi, Vec<PlaneContour>)]) -> Result<(), SegmentError> {
        let mut all = Mask::empty(self.ct.volume.grid().clone());
        for (_, contours) in carried {
            let one = rasterise(contours, self.ct.volume.grid());
            all.data_mut().iter_mut().zip(one.data()).for_each(|(all, one)| *all |= one);
        }
        let pixels = all.data().iter().filter(|inside| **inside).count();
        let air = all.data().iter().zip(self.ct.volume.data()).filter(|(inside, hu)| **inside && **hu < AIR_HU).count();
        if air as f64 <= MOST_AIR * pixels as f64 {
            return Ok(());
        }
        let percent = air as f64 / pixels as f64 * 100.0;
        let message = format!(
            "{percent:.0} % of the structures would lie in air on this CT: the registration is not one of these images; \
             look at it, and register anew"
        );
        Err(refused(RefusalCode::Registration, &message))
    }

    /// What a region of the MR's set is: names of organs that this program knows have their codes.
    fn identity(&self, roi: &ReadRoi) -> RoiIdentity {
        let organ = Structure::named().map(|s| self.profile.identity(s)).find(|known| known.name == roi.name);
        let term = roi.interpreted_type.as_deref().unwrap_or_default();
        let kind = RoiType::ALL.into_iter().find(|kind| kind.term() == term).unwrap_or(RoiType::Organ);
        RoiIdentity {
            name: roi.name.clone(),
            structure: organ.and_then(|known| known.structure),
            kind,
            colour: roi.colour.unwrap_or([128; 3]),
        }
    }
}

fn refused(code: RefusalCode, message: &str) -> SegmentError {
    Refusals(vec![Refusal::new(code, message)]).into()
}

/// The region's words on the MR, and first behind its light what the CT adds.
fn described(roi: &ReadRoi, report: &CarriedRoi) -> String {
    let words = roi.description.split_once(". ").map(|(_mark, words)| words).unwrap_or_default();
    let mut words = words.split("; ").filter(|word| !word.is_empty()).map(str::to_owned);
    let first = words.next();
    description(first.into_iter().chain(report.remarks.iter().cloned()).chain(words))
}

/// Share of a mask whose voxel centres lie within another grid (half a voxel beyond its outermost centres included).
fn covered(mask: &Mask, seen: &Grid) -> f64 {
    let (from, shape) = (mask.grid(), seen.shape());
    let Some(extent) = mask.extent() else { return 0.0 };
    let sides = [shape.cols, shape.rows, shape.slices];
    let slice = |k: usize| {
        let (mut all, mut within) = (0usize, 0usize);
        for j in extent.lo[1]..=extent.hi[1] {
            for i in extent.lo[0]..=extent.hi[0] {
                if mask.data()[mask.offset(i, j, k)] {
                    let at = seen.to_index(from.centre(i, j, k));
                    let inside = |(v, n): (f64, usize)| (-0.5..=n as f64 - 0.5).contains(&v);
                    all += 1;
                    within += usize::from([at.i, at.j, at.k].into_iter().zip(sides).all(inside));
                }
            }
        }
        (all, within)
    };
    let counts = (extent.lo[2]..=extent.hi[2]).into_par_iter().map(slice);
    let (all, within) = counts.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if all == 0 { 0.0 } else { within as f64 / all as f64 }
}

/// The box of a mask on another grid, as ranges of its columns, rows and slices.
fn reach(mask: &Mask, way: &Rigid, grid: &Grid) -> [RangeInclusive<f64>; 3] {
    let Some(extent) = mask.extent() else { return [1.0..=0.0, 1.0..=0.0, 1.0..=0.0] };
    let corner = |n: usize, a: usize| if n >> a & 1 == 0 { extent.lo[a] } else { extent.hi[a] };
    let corners: Vec<[f64; 3]> = (0..8)
        .map(|n| {
            let at = grid.to_index(way.point(mask.grid().centre(corner(n, 0), corner(n, 1), corner(n, 2))));
            [at.i, at.j, at.k]
        })
        .collect();
    std::array::from_fn(|a| {
        let all = || corners.iter().map(|c| c[a]);
        all().fold(f64::INFINITY, f64::min).floor()..=all().fold(f64::NEG_INFINITY, f64::max).ceil()
    })
}

/// Whether voxels around a point of the CT are outside, and whether some are inside.
fn around(mask: &Mask, back: &Rigid, p: Lps) -> [bool; 2] {
    let (at, shape) = (mask.grid().to_index(back.point(p)), mask.grid().shape());
    let range = |v: f64| ((v - ON_THE_BORDER).floor() as i64)..=((v + ON_THE_BORDER).floor() as i64 + 1);
    let inside = |voxel: [i64; 3]| match voxel.map(usize::try_from) {
        [Ok(i), Ok(j), Ok(k)] if i < shape.cols && j < shape.rows && k < shape.slices => {
            mask.data()[mask.offset(i, j, k)]
        }
        _ => false,
    };
    let mut found = [false; 2];
    for k in range(at.k) {
        for j in range(at.j) {
            range(at.i).for_each(|i| found[usize::from(inside([i, j, k]))] = true);
        }
    }
    found
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
