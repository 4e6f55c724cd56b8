//! The plane between left and right of a head of which any organs may be known: what labels are held against.

use std::sync::Arc;

use super::axes::{PlaneSource, SidePlane};
use super::part::Part;
use crate::geometry::{Connectivity, Extent, GeometryError, Grid, Index, Lps, Mask, components};

/// Less is a piece of a brain, whose mirror symmetry says nothing, cm3.
const LEAST_BRAIN_CC: f64 = 300.0;
/// Two eyes are two parts of a mask, the smaller at least this share of the larger.
const TWO_EYES: f64 = 0.3;

/// The plane by the brain's symmetry, refined by the eyes; by the eyes alone where there is no whole brain; else at right
/// angles to the patient's x axis through an organ of the midline (`midline`: barycentres) or the middle of the grid. `eyes`
/// holds both eyes, in whatever order; which side each is said to be plays no part.
///
/// # Errors
/// None for masks on `grid`; passed on from [`Part::empty`].
pub fn head_plane(
    grid: &Arc<Grid>,
    brain: Option<&Mask>,
    midline: &[Lps],
    eyes: Option<&Mask>,
) -> Result<SidePlane, GeometryError> {
    let eyes = eyes.and_then(two_eyes);
    if let Some(brain) = brain.filter(|mask| mask.cc() >= LEAST_BRAIN_CC) {
        let part = part_of(brain)?;
        if let Some(by_brain) = SidePlane::of_brain(&part, midline) {
            let refined = eyes.and_then(|eyes| by_brain.refined_by_eyes(&part, midline, eyes).ok());
            return Ok(refined.unwrap_or(by_brain));
        }
    }
    let by_eyes = eyes.and_then(|[left, right]| SidePlane::of_eyes(left, right));
    let s = grid.shape();
    let half = |n: usize| (n as f64 - 1.0) / 2.0;
    let middle = || grid.to_lps(Index::new(half(s.cols), half(s.rows), half(s.slices)));
    let point = midline.first().copied().unwrap_or_else(middle);
    Ok(by_eyes.unwrap_or_else(|| SidePlane::across_x(point, PlaneSource::PatientAxes)))
}

/// Barycentres of the two largest parts, that further to the left first.
fn two_eyes(mask: &Mask) -> Option<[Lps; 2]> {
    let found = components(mask, Connectivity::Corners);
    let [first, second, ..] = found.list.as_slice() else { return None };
    if (second.voxels as f64) < TWO_EYES * first.voxels as f64 {
        return None;
    }
    let middle = |c| {
        let mut one = mask.clone();
        found.retain(&mut one, |other| other == c);
        one.barycentre()
    };
    let (a, b) = (middle(first)?, middle(second)?);
    Some(if a.x >= b.x { [a, b] } else { [b, a] })
}

fn part_of(mask: &Mask) -> Result<Part, GeometryError> {
    let nothing = Extent { lo: [0; 3], hi: [0; 3] };
    let mut part = Part::empty(mask.grid(), mask.extent().unwrap_or(nothing))?;
    mask.inside().for_each(|v| part.insert(v));
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::testhead::{TestHead, grid};
    use crate::anatomy::{Class, Structure};

    /// A turned head: its plane is found from brain and eyes, from the eyes alone, and from nothing at last.
    #[test]
    fn the_plane_is_taken_from_what_there_is() {
        let head = TestHead { yaw: 20.0, ..TestHead::default() };
        let grid = grid([2.0, 2.1, 2.3]);
        let truth = head.truth(&grid);
        let bits = |such: &dyn Fn(Structure) -> bool| -> u16 {
            (0u16..).zip(Structure::ALL).filter(|(_, s)| such(*s)).map(|(n, _)| 1 << n).sum()
        };
        let class = |class: Class| truth.map(|v| v & bits(&|s| s.class() == class) != 0);
        let (brain, eyes) = (class(Class::Brain), class(Class::Eye));
        let off = |plane: &SidePlane| plane.normal.dot(head.axes()[0]).clamp(-1.0, 1.0).acos().to_degrees();
        let both = head_plane(&grid, Some(&brain), &[], Some(&eyes)).unwrap();
        assert!(both.source == PlaneSource::BrainAndEyes && off(&both) < 4.0, "{both:?}");
        let by_eyes = head_plane(&grid, None, &[], Some(&eyes)).unwrap();
        assert!(by_eyes.source == PlaneSource::Eyes && off(&by_eyes) < 6.0, "{by_eyes:?}");
        let one = truth.map(|v| v & bits(&|s| s == Structure::Eye_L) != 0);
        assert_eq!(head_plane(&grid, None, &[], Some(&one)).unwrap().source, PlaneSource::PatientAxes);
    }
}
