//! Contours of anybody's making on the planes of a series.

use dicom_dictionary_std::tags;

use super::super::refusal::{Refusal, RefusalCode};
use super::super::values::tag_name;
use super::super::{SlicePlanes, SliceRef};
use super::read::{ReadContour, ReadRoi, in_plane};
use crate::contour::PlaneContour;

/// A point may lie this share of the distance between slices off the plane of its slice.
const OFF_PLANE: f64 = 0.1;

impl ReadRoi {
    /// Whether all of its contours enclose something: no points, no open lines.
    pub fn is_closed(&self) -> bool {
        self.contours.iter().all(|c| matches!(c.geometric_type.as_str(), "CLOSED_PLANAR" | "CLOSEDPLANAR_XOR"))
    }

    /// The contours in voxels of the planes' grid, for rasterising: each on the slice that its points lie on, whatever
    /// image it names, so that a set drawn on another series of the same planes is read too.
    ///
    /// # Errors
    /// Another frame of reference; a contour between the slices, beyond them, or on another slice than the image of the
    /// series that it names. Filled anywhere else it would not be what was drawn.
    pub fn placed_on(&self, planes: &SlicePlanes) -> Result<Vec<PlaneContour>, Refusal> {
        if self.frame.as_ref().is_some_and(|frame| frame != planes.grid.frame()) {
            let message = format!(
                "{} lies in another frame of reference than the series; name the series that it was drawn on",
                self.name
            );
            let tag = tag_name(tags::REFERENCED_FRAME_OF_REFERENCE_UID);
            return Err(Refusal::new(RefusalCode::StructureSet, message).with_tag(tag));
        }
        self.contours.iter().map(|contour| self.placed(contour, planes)).collect()
    }

    fn placed(&self, contour: &ReadContour, planes: &SlicePlanes) -> Result<PlaneContour, Refusal> {
        let refused = |what: &str| {
            let message = format!("a contour of {} {what}; name the series that it was drawn on", self.name);
            Refusal::new(RefusalCode::StructureSet, message).with_tag(tag_name(tags::CONTOUR_DATA))
        };
        let (normal, gap) = (planes.grid.axes()[2], planes.grid.spacing()[2]);
        let first = contour.points.first().ok_or_else(|| refused("has no points"))?;
        let off = |slice: &SliceRef| normal.dot(*first - slice.position).abs();
        let slices = planes.slices.iter().enumerate();
        let (slice, plane) =
            slices.min_by(|(_, a), (_, b)| off(a).total_cmp(&off(b))).ok_or_else(|| refused("has no slice"))?;
        let farthest = contour.points.iter().map(|p| normal.dot(*p - plane.position).abs()).fold(0.0, f64::max);
        if farthest > OFF_PLANE * gap {
            return Err(refused(&format!(
                "lies up to {farthest:.2} mm off the nearest slice, where slices are {gap:.2} mm apart"
            )));
        }
        let named = |s: &SliceRef| contour.images.contains(&s.instance);
        if planes.slices.iter().any(named) && !named(plane) {
            return Err(refused("lies on another slice than the image that it names"));
        }
        Ok(PlaneContour { slice, points: in_plane(contour, plane.position, &planes.grid) })
    }
}
