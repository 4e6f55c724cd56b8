//! From the centreline to the nerve: a tube around it, opened, in one piece.

use super::Voxel;
use super::config::{Fill, NerveConfig};
use super::path::Ends;
use super::ruler::{Border, Ruler, moved};
use crate::anatomy::morphology::open_along_axes;
use crate::anatomy::part::Part;

/// The tube around a centreline, and the part of it that no later step may take.
pub(super) struct Tube {
    /// Every voxel within R1 of a point that is filled, and what was predicted within R (all that was, without trimming).
    pub whole: Part,
    /// Of that, what lies within R1 of the line, and the line itself outside the organs.
    pub core: Part,
}

/// The nerve around a centreline. `predicted` lies on a box that holds the tube. Nothing is added inside eye or chiasm,
/// which `organ` tells: they are drawn themselves.
pub(super) fn around(
    line: &[Voxel],
    ends: Ends,
    predicted: &Part,
    organ: impl Fn(Voxel) -> bool,
    ruler: &Ruler,
    cfg: &NerveConfig,
) -> Tube {
    let mut whole = if cfg.trim { predicted.cleared() } else { predicted.clone() };
    let mut core = predicted.cleared();
    let widest = cfg.radius_eye.max(cfg.radius_chiasm);
    let (ball, border) = (ruler.ball(widest), Border::new(widest, ruler));
    for at in line {
        let depth = if predicted.contains(*at) { border.distance(*at, predicted, widest) } else { Some(0.0) };
        let fill = cfg.fill == Fill::Everywhere || depth.is_some_and(|d| d < cfg.fill_below);
        let radius = ends.radius(*at, ruler, cfg);
        for (distance, by) in ball.iter().filter(|(d, _)| *d <= radius) {
            let v = moved(*at, *by);
            let inner = *distance <= cfg.radius_inner;
            let added = (fill && inner || *distance == 0.0) && whole.holds(v) && !organ(v);
            if added || predicted.contains(v) {
                whole.insert(v);
                if inner {
                    core.insert(v);
                }
            }
        }
    }
    Tube { whole, core }
}

/// Opening with segments of the configuration's length, but for what `keep` holds. The segments are the configuration's
/// in mm, so that on a grid of voxels that large there is nothing to open.
pub(super) fn opened(part: &Part, keep: &Part, ruler: &Ruler, cfg: &NerveConfig) -> Part {
    let least = ruler.per_voxel().map(|edge| (cfg.opening_voxels / edge).round() as usize);
    let mut open = part.clone();
    open_along_axes(&mut open, least, keep);
    open
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::anatomy::{Class, Parts};
    use crate::geometry::{Grid, Lps, Shape, Volume};
    use crate::ids::FrameOfReferenceUid;

    #[test]
    fn the_opening_takes_threads_but_for_what_is_kept() {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Grid::axis_aligned(frame, Shape::new(14, 9, 8), Lps::new(1.0, 2.0, 3.0), [0.7, 0.7, 0.9]).unwrap();
        let mut labels = Volume::filled(Arc::new(grid), 0u8);
        let block = |lo: Voxel, hi: Voxel| {
            (lo[2]..=hi[2])
                .flat_map(move |k| (lo[1]..=hi[1]).flat_map(move |j| (lo[0]..=hi[0]).map(move |i| [i, j, k])))
        };
        // Two blocks joined by a thread along x, and a sheet one voxel thin in z.
        let blocks: Vec<Voxel> = block([0, 1, 1], [3, 4, 3]).chain(block([9, 2, 2], [12, 3, 5])).collect();
        let thread: Vec<Voxel> = block([4, 3, 3], [8, 3, 3]).collect();
        let sheet: Vec<Voxel> = block([0, 6, 6], [5, 8, 6]).collect();
        for [i, j, k] in blocks.iter().chain(&thread).chain(&sheet) {
            labels.set(*i, *j, *k, Class::OpticNerve.bit());
        }
        let part = Parts::of_labels(&labels).unwrap().of(Class::OpticNerve).clone();
        let cfg = NerveConfig::default();
        let ruler = Ruler::new(labels.grid(), &cfg);
        let open = opened(&part, &part.cleared(), &ruler, &cfg);
        assert!(blocks.iter().all(|v| open.contains(*v)));
        assert!(thread.iter().chain(&sheet).all(|v| !open.contains(*v)));

        let mut keep = part.cleared();
        keep.insert([6, 3, 3]);
        assert!(opened(&part, &keep, &ruler, &cfg).contains([6, 3, 3]));
        let coarse = NerveConfig { voxel_mm: [0.3; 3], ..cfg.clone() };
        let same = opened(&part, &part.cleared(), &Ruler::new(labels.grid(), &coarse), &coarse);
        assert_eq!(same.voxels().count(), part.voxels().count(), "two voxels of 0.3 mm are less than one of 0.7");
    }
}
