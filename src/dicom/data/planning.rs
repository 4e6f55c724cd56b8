//! The planning CT: a series of classic CT images that contours can be laid on; and the planes that they come from.

use dicom_dictionary_std::{tags, uids};

use super::instance::{Wanted, parse_all};
use super::refusal::{Refusal, RefusalCode, Refusals};
use super::series::planes;
use super::values::tag_name;
use super::{Series, SlicePlanes, assemble};

/// What an object is to the contours of its study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Companion {
    /// A slice of a CT, or a whole one.
    Ct,
    /// A registration between frames of reference.
    Registration,
    /// A structure set.
    StructureSet,
}

/// What objects of a SOP class are to the contours of their study; `None`: nothing. Kinds that cannot be used are among them:
/// they are refused in words, where somebody waits for them.
pub fn companion(sop_class: &str) -> Option<Companion> {
    match sop_class {
        uids::CT_IMAGE_STORAGE | uids::ENHANCED_CT_IMAGE_STORAGE | uids::LEGACY_CONVERTED_ENHANCED_CT_IMAGE_STORAGE => {
            Some(Companion::Ct)
        }
        uids::SPATIAL_REGISTRATION_STORAGE | uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE => {
            Some(Companion::Registration)
        }
        uids::RT_STRUCTURE_SET_STORAGE => Some(Companion::StructureSet),
        _ => None,
    }
}

/// A slice normal may lean this far from the patient's axis, degrees: planning systems contour axial slices.
const LEANS: f64 = 1.0;

/// Puts the slices of one CT series (Part 10 files) together: as [`assemble`], values in Hounsfield units, and axial.
///
/// # Errors
/// Every reason why they do not make one regular volume (a tilted gantry, other distances between some slices), or are not
/// axial, or no CT.
pub fn planning_ct<B: AsRef<[u8]> + Sync>(files: &[B]) -> Result<Series, Refusals> {
    let with_tilt = |refusals: Refusals| Refusals(refusals.0.into_iter().map(tilt).collect());
    let series = assemble(parse_all(files, Wanted::Ct)?).map_err(with_tilt)?;
    let normal = series.volume.grid().axes()[2];
    let leans = normal.z.abs().min(1.0).acos().to_degrees();
    if leans > LEANS {
        let message = format!(
            "the slices of the CT lean by {leans:.1} degrees from axial ones; contours are laid on axial slices, without a \
             tilt of the gantry: export the CT reformatted"
        );
        let tag = tag_name(tags::IMAGE_ORIENTATION_PATIENT);
        return Err(Refusal::new(RefusalCode::NotAxial, message).with_tag(tag).into());
    }
    Ok(series)
}

/// What shifts the slices of a CT sideways is, as a rule, the gantry.
fn tilt(refusal: Refusal) -> Refusal {
    if refusal.code != RefusalCode::Shear {
        return refusal;
    }
    let message = format!("{}; was the gantry tilted? Export the CT reformatted without tilt", refusal.message);
    Refusal { message, ..refusal }
}

/// Where the slices of one MR or CT series (Part 10 files) lie: what contours were drawn on.
///
/// # Errors
/// Every reason why they do not make one regular stack.
pub fn drawn_planes<B: AsRef<[u8]> + Sync>(files: &[B]) -> Result<SlicePlanes, Refusals> {
    planes(parse_all(files, Wanted::Planes)?)
}
