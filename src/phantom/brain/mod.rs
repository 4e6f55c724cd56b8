//! The brain of a head: drawn by formulas, or a bent average of many people's.

mod atlas;
mod average;
mod drawn;

use atlas::Atlas;
use average::Average;
use drawn::Drawn;

use super::Canvas;
use super::random::Rng;
use super::shape::Bounds;
use crate::anatomy::Side;
use crate::geometry::Vec3;

/// Where the brain's stem ends and the cord begins (foramen magnum): z in template space.
const STEM_END: f64 = -62.0;
/// Stands for the distance to a part that is out of reach.
const FAR: f64 = 1000.0;
/// Further than this outside the hull, as it is tabulated, there is nothing of cerebrum and cerebellum, mm.
const OUTSIDE_HULL: f64 = 5.0;

/// A brain. Distances are signed, in mm, negative inside, exact to first order near the surface.
#[derive(Debug)]
pub enum Brain {
    /// Lobes, folds and nuclei by formulas.
    Drawn(Box<Drawn>),
    /// The ICBM 152 average, bent, with cortex and nuclei as they are in people.
    Average(Box<Average>),
}

impl Brain {
    /// The brain of a seed; drawn, too, where the program was built with a damaged atlas.
    pub fn new(seed: u64, average: bool) -> Self {
        match Atlas::get().filter(|_| average) {
            Some(atlas) => Self::Average(Box::new(Average::new(&mut Rng::new(seed, "average brain"), atlas))),
            None => Self::Drawn(Box::new(Drawn::new(&mut Rng::new(seed, "brain")))),
        }
    }

    /// Distance to the whole brain as it is contoured: sulci and ventricles belong to it.
    #[inline]
    pub fn surface(&self, q: Vec3) -> f64 {
        match self {
            Self::Drawn(brain) => brain.envelope(q).brain(),
            Self::Average(brain) => brain.surface(q),
        }
    }

    /// Smooth hull of cerebrum and cerebellum: what the dura follows.
    pub fn hull(&self, q: Vec3) -> f64 {
        match self {
            Self::Drawn(brain) => brain.hull(q),
            Self::Average(brain) => brain.hull(q),
        }
    }

    /// Spinal cord and medulla together, for the canal they lie in.
    pub fn cord(&self, q: Vec3) -> f64 {
        match self {
            Self::Drawn(brain) => brain.cord(q),
            Self::Average(brain) => brain.cord(q),
        }
    }

    /// Distance to the brainstem as delivered: midbrain, pons, medulla, without the fourth ventricle.
    #[inline]
    pub fn stem(&self, q: Vec3) -> f64 {
        match self {
            Self::Drawn(brain) => brain.stem(q),
            Self::Average(brain) => brain.stem(q),
        }
    }

    /// The hippocampus of a side: always inside the brain.
    #[inline]
    pub fn hippocampus(&self, side: Side, q: Vec3) -> f64 {
        match self {
            Self::Drawn(brain) => brain.hippocampus(side, q),
            Self::Average(brain) => brain.hippocampus(side, q),
        }
    }

    /// Box of the hippocampus.
    pub fn hippocampus_bounds(&self, side: Side) -> Bounds {
        match self {
            Self::Drawn(brain) => brain.hippocampus_bounds(side),
            Self::Average(brain) => brain.hippocampus_bounds(side),
        }
    }

    /// Box of the brainstem.
    pub fn stem_bounds(&self) -> Bounds {
        match self {
            Self::Drawn(brain) => brain.stem_bounds(),
            Self::Average(brain) => brain.stem_bounds(),
        }
    }

    /// Box of the whole brain.
    pub fn bounds(&self) -> Bounds {
        match self {
            Self::Drawn(brain) => brain.bounds(),
            Self::Average(brain) => brain.bounds(),
        }
    }

    /// Whether nothing outside the brain shows within `radius` mm of a point.
    pub fn hides(&self, q: Vec3, radius: f64) -> bool {
        // Of first order, and no deeper than 13 mm in an average brain.
        self.surface(q) < -1.9 * radius
    }

    /// Paints everything from the surface of the brain inward; `hull` is the distance to its hull, give or take a millimetre.
    #[inline]
    pub fn paint(&self, q: Vec3, hull: f64, canvas: &mut impl Canvas) {
        match self {
            Self::Drawn(brain) => brain.paint(q, hull, canvas),
            Self::Average(brain) => brain.paint(q, hull, canvas),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phantom::tissue::Tissue;

    /// What shows at a point: layers that reach within a millimetre, and washes.
    #[derive(Default, PartialEq, Debug)]
    struct Shown(Vec<(Tissue, f64)>);

    impl Canvas for Shown {
        fn layer(&mut self, tissue: Tissue, distance: f64) {
            if distance < 1.0 {
                self.0.push((tissue, distance));
            }
        }

        fn wash(&mut self, tissue: Tissue, part: f64) {
            if part > 0.0 {
                self.0.push((tissue, part));
            }
        }

        fn shade(&mut self, _relative: f64) {}
    }

    #[test]
    fn nothing_is_painted_where_the_hull_says_that_there_is_no_brain() {
        for (seed, average) in [(1, false), (2, false), (3, true), (4, true)] {
            let brain = Brain::new(seed, average);
            let b = brain.bounds().grown(16.0);
            let n = (b.hi - b.lo).to_array().map(|v| (v / 3.0) as usize + 1);
            let (mut left_out, mut asked) = (0, 0);
            for i in 0..n[0] * n[1] * n[2] {
                let at = [i % n[0], i / n[0] % n[1], i / (n[0] * n[1])].map(|v| v as f64 * 3.0);
                let q = b.lo + Vec3::new(at[0], at[1], at[2]);
                let (mut quick, mut whole) = (Shown::default(), Shown::default());
                // As tabulated, and a millimetre more.
                let hull = brain.hull(q) + 1.0;
                brain.paint(q, hull, &mut quick);
                brain.paint(q, -FAR, &mut whole);
                assert_eq!(quick, whole, "head {seed} at {q:?}, {hull} mm outside the hull");
                left_out += usize::from(hull > OUTSIDE_HULL);
                asked += 1;
            }
            assert!(left_out * 5 > asked && left_out < asked, "{left_out} of {asked}");
        }
    }
}
