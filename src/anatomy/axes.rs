//! The head's own axes: the plane between left and right, fitted to the brain's mirror symmetry and refined by the eyes.

use rayon::prelude::*;

use super::Side;
use super::part::Part;
use crate::geometry::{BitRows, Extent, Grid, Index, Lps, Vec3};

/// What a plane between left and right was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaneSource {
    /// The brain's mirror symmetry.
    Brain,
    /// The line between the eyes, placed by the brain.
    BrainAndEyes,
    /// The line between the eyes alone.
    Eyes,
    /// The patient's x axis: neither brain nor eyes could say.
    PatientAxes,
    /// The middle of the brain's box in x (the thesis's rule).
    ThesisBox,
}

/// The plane between the left and the right of the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SidePlane {
    /// Unit vector towards the patient's left.
    pub normal: Vec3,
    /// A point of the plane.
    pub point: Lps,
    /// What it was taken from.
    pub source: PlaneSource,
    /// Share of the brain, 0 to 1, whose mirror image in this plane lies in the brain; `None` where no brain was asked.
    pub symmetry: Option<f64>,
}

/// Two eyes that do not fit the brain's plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EyesDisagree {
    /// Angle between their line and the plane's normal, degrees.
    pub angle_deg: f64,
    /// Distance between them, mm.
    pub distance_mm: f64,
}

/// Largest angle between the head's left-right axis and the patient's x axis that the search allows, degrees. Far
/// enough for a head turned by 40 degrees about two axes (54 degrees), and short of the brain's front-to-back axis.
const MAX_TILT_DEG: f64 = 62.0;
/// Brain points the final fit looks at, about.
const SAMPLES: usize = 24_000;
/// Every so many of them the first, coarse look takes.
const COARSE_SHARE: usize = 8;
/// What it costs when every midline organ is far from the plane, as a share of the brain.
const MIDLINE_WEIGHT: f64 = 0.2;
/// From this distance in mm on a midline organ is far; beyond it costs no more, so that a false one cannot rule.
const MIDLINE_FAR_MM: f64 = 20.0;
/// Distance between the middles of two eyes that can belong to one head, mm.
const EYE_DISTANCE_MM: std::ops::RangeInclusive<f64> = 40.0..=85.0;
/// Largest angle between the eyes' line and the brain's left-right axis at which the eyes are believed, degrees.
const EYES_MAX_ANGLE_DEG: f64 = 25.0;

impl SidePlane {
    /// The plane x = const through a point, by the patient axes.
    pub(super) fn across_x(point: Lps, source: PlaneSource) -> Self {
        Self { normal: Vec3::new(1.0, 0.0, 0.0), point, source, symmetry: None }
    }

    /// Distance from the plane in mm, positive to the patient's left.
    pub fn distance(&self, p: Lps) -> f64 {
        self.normal.dot(p - self.point)
    }

    /// The side of a point.
    pub fn side(&self, p: Lps) -> Side {
        if self.distance(p) >= 0.0 { Side::Left } else { Side::Right }
    }

    /// The mid-sagittal plane of a brain: the plane whose mirror maps most of the brain onto itself and which passes
    /// near the organs on the midline (barycentres). Searched over every tilt up to 62 degrees on a coarse grid around
    /// the brain's barycentre, then refined. `None` for an empty brain.
    pub(super) fn of_brain(brain: &Part, midline: &[Lps]) -> Option<Self> {
        let look = Mirror::new(brain, midline)?;
        let steps = |most: f64, step: f64| {
            let n = (most / step).floor() as i32;
            (-n..=n).map(move |m| f64::from(m) * step)
        };
        let mut starts: Vec<Tilt> = Vec::new();
        for yaw in steps(MAX_TILT_DEG, 6.0) {
            for roll in steps(MAX_TILT_DEG, 6.0) {
                let through = look.midline_offset(Tilt { yaw, roll, offset: 0.0 }.normal());
                starts.extend(steps(8.0, 8.0).chain(through).map(|offset| Tilt { yaw, roll, offset }));
            }
        }
        starts.retain(|t| t.allowed());
        let mut scored: Vec<(f64, Tilt)> =
            starts.into_par_iter().map(|t| (look.score(t.normal(), t.offset, COARSE_SHARE), t)).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let refined = scored.par_iter().take(6).map(|(_, start)| look.climb(*start));
        let (_, best) = refined.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let normal = best.normal();
        Some(Self {
            normal,
            point: look.barycentre + normal * best.offset,
            source: PlaneSource::Brain,
            symmetry: Some(look.symmetry(normal, best.offset, 1)),
        })
    }

    /// The plane of the line between two eyes: at right angles to it, in its middle, left by +x. `None` where the two
    /// cannot be the eyes of one head: too near, too far, or more than 62 degrees off the patient's x axis.
    pub(super) fn of_eyes(a: Lps, b: Lps) -> Option<Self> {
        let (left, right) = if a.x >= b.x { (a, b) } else { (b, a) };
        let normal = (left - right).unit()?;
        let fits = EYE_DISTANCE_MM.contains(&left.distance(right)) && normal.x >= MAX_TILT_DEG.to_radians().cos();
        let point = right + (left - right) * 0.5;
        fits.then_some(Self { normal, point, source: PlaneSource::Eyes, symmetry: None })
    }

    /// The brain's plane turned so that the line between the eyes is the left-right axis; its place along that line
    /// stays the brain's, within 10 mm of the middle between the eyes.
    ///
    /// # Errors
    /// How far the two disagree, where the eyes cannot be believed.
    pub(super) fn refined_by_eyes(
        &self,
        brain: &Part,
        midline: &[Lps],
        [left, right]: [Lps; 2],
    ) -> Result<Self, EyesDisagree> {
        let cos = (left - right).unit().map_or(-1.0, |line| line.dot(self.normal));
        let angle_deg = cos.clamp(-1.0, 1.0).acos().to_degrees();
        let against = EyesDisagree { angle_deg, distance_mm: left.distance(right) };
        let eyes = Self::of_eyes(left, right).filter(|_| angle_deg <= EYES_MAX_ANGLE_DEG).ok_or(against)?;
        let look = Mirror::new(brain, midline).ok_or(against)?;
        let middle = eyes.normal.dot(eyes.point - look.barycentre);
        let offsets = (-20..=20).map(|n| middle + f64::from(n) * 0.5);
        let (_, offset) = offsets.fold((f64::NEG_INFINITY, middle), |best, offset| {
            look.score_from(best.0, eyes.normal, offset).map_or(best, |score| (score, offset))
        });
        Ok(Self {
            normal: eyes.normal,
            point: eyes.point + eyes.normal * (offset - middle),
            source: PlaneSource::BrainAndEyes,
            symmetry: Some(look.symmetry(eyes.normal, offset, 1)),
        })
    }
}

/// A candidate plane: turned by yaw (about z) and roll (about y) in degrees, `offset` mm from the barycentre.
#[derive(Debug, Clone, Copy)]
struct Tilt {
    yaw: f64,
    roll: f64,
    offset: f64,
}

impl Tilt {
    fn normal(&self) -> Vec3 {
        let ((sy, cy), (sr, cr)) = (self.yaw.to_radians().sin_cos(), self.roll.to_radians().sin_cos());
        Vec3::new(cy * cr, sy * cr, sr)
    }

    fn allowed(&self) -> bool {
        self.normal().x >= MAX_TILT_DEG.to_radians().cos()
    }
}

/// Points spread over a brain, and how many of them a mirror maps into the brain.
struct Mirror<'a> {
    grid: &'a Grid,
    /// The brain, all of its box.
    inside: BitRows,
    barycentre: Lps,
    /// Sampled voxels with their displacement from the barycentre in mm. The first [`COARSE_SHARE`]th is spread over the
    /// whole brain; in it and in the rest the outermost come first, whose mirror images miss the brain first.
    samples: Vec<([f64; 3], Vec3)>,
    /// Organs on the midline, from the barycentre in mm.
    midline: Vec<Vec3>,
}

impl<'a> Mirror<'a> {
    fn new(brain: &'a Part, midline: &[Lps]) -> Option<Self> {
        let mask = brain.mask();
        let grid = mask.grid();
        let count = mask.count();
        // One sample per cube of voxels, about as long as wide in mm.
        let edge = (count as f64 * grid.spacing().iter().product::<f64>() / SAMPLES as f64).cbrt();
        let step = grid.spacing().map(|s| ((edge / s).round() as usize).max(1));
        let s = grid.shape();
        let along = |a: usize, size: usize| (step[a] / 2..size).step_by(step[a]);
        let rows = along(2, s.slices).flat_map(|k| along(1, s.rows).map(move |j| (j, k)));
        let spread = rows.flat_map(|(j, k)| along(0, s.cols).map(move |i| [i, j, k]));
        let inside = spread.filter(|[i, j, k]| mask.at(*i, *j, *k));
        let voxels: Vec<[f64; 3]> = inside.map(|v| v.map(|n| n as f64)).collect();
        if voxels.is_empty() {
            return None;
        }
        let mean: [f64; 3] = std::array::from_fn(|a| voxels.iter().map(|v| v[a]).sum::<f64>() / voxels.len() as f64);
        let barycentre = grid.to_lps(Index::new(mean[0], mean[1], mean[2]));
        let placed = |v: &[f64; 3]| (*v, grid.to_lps(Index::new(v[0], v[1], v[2])) - barycentre);
        let (coarse, rest): (Vec<_>, Vec<_>) = voxels.iter().enumerate().partition(|(n, _)| n % COARSE_SHARE == 0);
        let outer_first = |share: Vec<(usize, &[f64; 3])>| {
            let mut share: Vec<([f64; 3], Vec3)> = share.into_iter().map(|(_, v)| placed(v)).collect();
            share.sort_by(|a, b| b.1.norm().total_cmp(&a.1.norm()));
            share
        };
        let samples = [outer_first(coarse), outer_first(rest)].concat();
        let midline = midline.iter().map(|p| *p - barycentre).collect();
        let whole = Extent { lo: [0; 3], hi: [s.cols - 1, s.rows - 1, s.slices - 1] };
        Some(Self { grid, inside: BitRows::of(mask, whole), barycentre, samples, midline })
    }

    /// Where a plane with this normal passes between the midline organs, mm from the barycentre.
    fn midline_offset(&self, normal: Vec3) -> Option<f64> {
        let n = self.midline.len() as f64;
        (n > 0.0).then(|| self.midline.iter().map(|p| normal.dot(*p)).sum::<f64>() / n)
    }

    /// What the search maximises: symmetry, less a share for midline organs off the plane. On a whole brain the two
    /// agree; where a large part of one hemisphere is missing the organs keep the plane from tipping over.
    fn score(&self, normal: Vec3, offset: f64, one_in: usize) -> f64 {
        self.symmetry(normal, offset, one_in) - self.far(normal, offset)
    }

    /// The score of all samples, or `None` as soon as it is sure to be below `least`.
    fn score_from(&self, least: f64, normal: Vec3, offset: f64) -> Option<f64> {
        let (far, whole) = (self.far(normal, offset), self.samples.len());
        let mut most = whole;
        for some in self.samples.chunks(1024) {
            most -= some.len() - self.mirrored(some, normal, offset);
            if most as f64 / whole as f64 - far < least {
                return None;
            }
        }
        Some(most as f64 / whole as f64 - far)
    }

    /// What midline organs off the plane cost.
    fn far(&self, normal: Vec3, offset: f64) -> f64 {
        let off = |p: &Vec3| (normal.dot(*p) - offset).abs().min(MIDLINE_FAR_MM) / MIDLINE_FAR_MM;
        MIDLINE_WEIGHT * (self.midline.iter().map(off).sum::<f64>() / self.midline.len().max(1) as f64)
    }

    /// Share of the samples (the first `1 / one_in` of them) whose mirror image in the plane lies in the brain.
    fn symmetry(&self, normal: Vec3, offset: f64, one_in: usize) -> f64 {
        let used = &self.samples[..self.samples.len().div_ceil(one_in)];
        self.mirrored(used, normal, offset) as f64 / used.len() as f64
    }

    /// How many of some samples have their mirror image in the brain.
    fn mirrored(&self, samples: &[([f64; 3], Vec3)], normal: Vec3, offset: f64) -> usize {
        let s = self.grid.shape();
        let size = [s.cols as f64, s.rows as f64, s.slices as f64];
        let (axes, spacing) = (self.grid.axes(), self.grid.spacing());
        // The normal in voxels: a mirror moves a point by -2 distance along it.
        let along: [f64; 3] = std::array::from_fn(|a| -2.0 * axes[a].dot(normal) / spacing[a]);
        let hits = samples.iter().filter(|(voxel, from_barycentre)| {
            let distance = normal.dot(*from_barycentre) - offset;
            let at: [f64; 3] = std::array::from_fn(|a| voxel[a] + distance * along[a] + 0.5);
            (0..3).all(|a| at[a] >= 0.0 && at[a] < size[a]) && self.inside.at(at.map(|n| n as usize))
        });
        hits.count()
    }

    /// Pattern search from a start: the best of the six neighbours, halving the step when none is better.
    fn climb(&self, start: Tilt) -> (f64, Tilt) {
        let (mut best, mut at) = (self.score(start.normal(), start.offset, 1), start);
        let (mut degrees, mut mm) = (3.0, 4.0);
        while degrees > 0.1 {
            let moves = [[degrees, 0.0, 0.0], [0.0, degrees, 0.0], [0.0, 0.0, mm]];
            let neighbours = moves.iter().flat_map(|m| [*m, m.map(|by| -by)]).map(|[yaw, roll, offset]| Tilt {
                yaw: at.yaw + yaw,
                roll: at.roll + roll,
                offset: at.offset + offset,
            });
            let (mut higher, mut next) = (best, None);
            for t in neighbours.filter(Tilt::allowed) {
                if let Some(score) = self.score_from(higher, t.normal(), t.offset).filter(|score| *score > best) {
                    (higher, next) = (score, Some(t));
                }
            }
            match next {
                Some(next) => (best, at) = (higher, next),
                None => (degrees, mm) = (degrees / 2.0, mm / 2.0),
            }
        }
        (best, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::testhead::{Surgery, TestHead, grid, labels_of};
    use crate::anatomy::{Class, Parts};

    fn brain_of(head: &TestHead) -> Part {
        let labels = labels_of(&head.truth(&grid([1.9, 2.0, 2.2])));
        Parts::of_labels(&labels).unwrap().of(Class::Brain).clone()
    }

    /// Chiasm, pituitary and brainstem of the test head.
    fn midline(head: &TestHead) -> [Lps; 3] {
        [[0.5, -20.0, -22.0], [0.0, -22.0, -33.0], [0.3, 17.0, -54.0]].map(|at| head.place(at))
    }

    fn off_deg(plane: &SidePlane, head: &TestHead) -> f64 {
        plane.normal.dot(head.axes()[0]).clamp(-1.0, 1.0).acos().to_degrees()
    }

    #[test]
    fn the_plane_follows_the_head() {
        let heads = [
            TestHead::default(),
            TestHead { yaw: 40.0, roll: -40.0, pitch: 12.0, ..TestHead::default() },
            TestHead { yaw: -40.0, roll: -40.0, pitch: -9.0, ..TestHead::default() },
            TestHead { yaw: -33.0, roll: 21.0, cavity: 25.0, ..TestHead::default() },
            TestHead {
                yaw: 17.0,
                roll: 40.0,
                scale: 0.87,
                surgery: Surgery::EyeOnly(Side::Left),
                ..TestHead::default()
            },
        ];
        for head in heads {
            let brain = brain_of(&head);
            let plane = SidePlane::of_brain(&brain, &[]).unwrap();
            assert!(off_deg(&plane, &head) < 8.0, "{head:?}: {:.1} degrees off", off_deg(&plane, &head));
            assert!(plane.distance(head.place([0.0, 0.0, 0.0])).abs() < 6.0);
            assert_eq!(plane.side(head.place([26.0, 5.0, -20.0])), Side::Left);
            assert_eq!(plane.side(head.place([-26.0, 5.0, -20.0])), Side::Right);

            let eyes = [head.place([32.0, -80.0, -37.0]), head.place([-31.0, -78.0, -38.5])];
            let refined = plane.refined_by_eyes(&brain, &midline(&head), eyes).unwrap();
            assert!(off_deg(&refined, &head) < 3.0, "{head:?}: {:.1} degrees off", off_deg(&refined, &head));
            assert!(refined.symmetry.unwrap() <= plane.symmetry.unwrap() + 0.01);
        }
    }

    #[test]
    fn midline_organs_hold_the_plane_where_half_a_hemisphere_is_missing() {
        let mut alone_off = 0.0f64;
        for (yaw, roll) in [(0.0, 0.0), (-24.0, 18.0), (35.0, -20.0)] {
            let head = TestHead { cavity: 55.0, yaw, roll, ..TestHead::default() };
            let brain = brain_of(&head);
            alone_off = alone_off.max(off_deg(&SidePlane::of_brain(&brain, &[]).unwrap(), &head));
            let plane = SidePlane::of_brain(&brain, &midline(&head)).unwrap();
            let off = off_deg(&plane, &head);
            assert!(off < 8.0, "{head:?}: {off:.1} degrees off");
        }
        assert!(alone_off > 30.0, "without them it tips over: {alone_off:.1}");
    }

    #[test]
    fn one_false_midline_organ_does_not_tip_a_whole_brain() {
        let head = TestHead { yaw: -29.0, roll: 13.0, cavity: 20.0, ..TestHead::default() };
        let [chiasm, pituitary, _] = midline(&head);
        for spot in [[60.0, 40.0, -80.0], [-60.0, -40.0, 20.0], [15.0, 17.0, -54.0]] {
            let plane = SidePlane::of_brain(&brain_of(&head), &[chiasm, pituitary, head.place(spot)]).unwrap();
            let off = off_deg(&plane, &head);
            assert!(off < 8.0, "{spot:?}: {off:.1} degrees off");
        }
    }

    #[test]
    fn two_spots_that_cannot_be_eyes_are_not_believed() {
        let head = TestHead { yaw: 25.0, ..TestHead::default() };
        let brain = brain_of(&head);
        let plane = SidePlane::of_brain(&brain, &[]).unwrap();
        // One real eye and a spot behind it, one too near, one too far.
        let eye = head.place([32.0, -80.0, -37.0]);
        for spot in [[-10.0, -20.0, -37.0], [5.0, -80.0, -37.0], [-70.0, -80.0, -37.0]] {
            let against = plane.refined_by_eyes(&brain, &[], [eye, head.place(spot)]).unwrap_err();
            assert!(against.angle_deg > EYES_MAX_ANGLE_DEG || !EYE_DISTANCE_MM.contains(&against.distance_mm));
        }
        let other = head.place([-31.0, -78.0, -38.0]);
        assert!(plane.refined_by_eyes(&brain, &[], [eye, other]).is_ok());
        // Swapped sides are an angle of nearly 180 degrees.
        assert!(plane.refined_by_eyes(&brain, &[], [other, eye]).unwrap_err().angle_deg > 150.0);
    }

    #[test]
    fn eyes_alone_give_a_plane_only_where_they_lie_across_x() {
        let (a, b) = (Lps::new(40.0, 3.0, 9.0), Lps::new(-20.0, -11.0, 5.0));
        let plane = SidePlane::of_eyes(b, a).unwrap();
        assert!(plane.distance(a) > 29.0 && plane.distance(b) < -29.0);
        assert!(SidePlane::of_eyes(Lps::new(0.0, -40.0, 0.0), Lps::new(9.0, 20.0, 0.0)).is_none());
        assert!(SidePlane::of_eyes(a, a).is_none());
    }

    #[test]
    fn nothing_has_no_plane() {
        let head = TestHead { scale: 1e-6, centre: Lps::new(1e5, 0.0, 0.0), ..TestHead::default() };
        assert!(SidePlane::of_brain(&brain_of(&head), &midline(&head)).is_none());
    }
}
