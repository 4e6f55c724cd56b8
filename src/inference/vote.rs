//! The vote of the three orientations (thesis section 4.2.2), with the probabilities behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rayon::prelude::*;

use super::Plane;
use crate::anatomy::{Class, Part, Parts};
use crate::geometry::{Extent, GeometryError, Grid};

/// For each voxel of the working grid and each class, the probability that each of the three networks gave.
///
/// Probabilities are kept in 256 steps, the middle of a step is its value, and no step lies across one half: a network
/// that found a class answers more than one half, one that did not less. Storage is bricks of 8 x 8 x 8 voxels, there
/// where some network gave a class more than `LEAST`: eight whole volumes of three networks would be 560 MB, of which
/// a head fills a twentieth.
#[derive(Debug, Clone)]
pub struct Vote {
    grid: Arc<Grid>,
    /// Bricks along i, j, k.
    bricks: [usize; 3],
    /// For each class that the networks know its bricks, i fastest.
    classes: Vec<(Class, Vec<Option<Box<Brick>>>)>,
    /// Where each of the eight stands in `classes`.
    known: [Option<usize>; Class::ALL.len()],
}

/// The steps of each network (in the order of [`Plane`]), the brick's voxels with i fastest.
type Brick = [[u8; SIDE * SIDE * SIDE]; 3];

const SIDE: usize = 8;
/// The log odds of the middle of every step.
static LOG_ODDS: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|step| {
        let p = value(step as u16);
        (p / (1.0 - p)).ln()
    })
});

/// The first step above one half.
const FOUND: u8 = 128;
/// Probabilities below this are not told from none: where all three networks stay below it nothing is stored.
pub const LEAST: f32 = 4.0 / 256.0;

impl Vote {
    /// No votes yet, on these classes, each of which stands there once.
    pub fn none(grid: Arc<Grid>, classes: &[Class]) -> Self {
        let s = grid.shape();
        let bricks = [s.cols, s.rows, s.slices].map(|n| n.div_ceil(SIDE));
        let known = Class::ALL.map(|class| classes.iter().position(|c| *c == class));
        let classes = classes.iter().map(|class| (*class, vec![None; bricks.iter().product()])).collect();
        Self { grid, bricks, classes, known }
    }

    /// The working grid.
    pub fn grid(&self) -> &Arc<Grid> {
        &self.grid
    }

    /// Where a class stands; `None` for one that the networks do not know.
    #[inline]
    fn at(&self, class: Class) -> Option<usize> {
        match class.index() {
            Some(known) => self.known[known],
            None => self.classes.iter().position(|(c, _)| *c == class),
        }
    }

    /// What the network of a plane says of a class at a position in storage order (i fastest, then j, then k):
    /// `log_odds` is the class's output less the background's. It has found the class when they are positive.
    #[inline]
    pub fn add(&mut self, class: Class, plane: Plane, offset: usize, log_odds: f32) {
        // The log odds of LEAST, ln(4 / 252), a little rounded down: most voxels are nowhere near a class.
        if log_odds > -4.15 {
            let step = step(log_odds);
            if f32::from(step) >= LEAST * 256.0 {
                let (brick, voxel) = self.place(offset);
                let bricks = self.at(class).map(|at| &mut self.classes[at].1[brick]);
                if let Some(brick) = bricks {
                    brick.get_or_insert_with(|| Box::new([[0; SIDE.pow(3)]; 3]))[plane as usize][voxel] = step;
                }
            }
        }
    }

    /// Where the network of one plane alone found a class.
    ///
    /// # Errors
    /// As [`Vote::parts`].
    pub fn found_by(&self, plane: Plane, class: Class) -> Result<Part, GeometryError> {
        let bricks = self.at(class).map_or(&[][..], |at| &self.classes[at].1);
        self.part_where(bricks, |steps| steps[plane as usize] >= FOUND)
    }

    /// How many of the networks found a class at a position in storage order, 0 to 3.
    #[inline]
    pub fn count(&self, class: Class, offset: usize) -> u8 {
        self.steps(class, offset).iter().map(|s| u8::from(*s >= FOUND)).sum()
    }

    /// The three networks' own probabilities of a class at a position in storage order, in the order of [`Plane`].
    #[inline]
    pub fn probabilities(&self, class: Class, offset: usize) -> [f32; 3] {
        self.steps(class, offset).map(|s| value(u16::from(s)))
    }

    /// The median of the three networks' probabilities of a class at a position in storage order, 0 to 1: above one half
    /// exactly where the majority found the class.
    #[inline]
    pub fn median(&self, class: Class, offset: usize) -> f32 {
        value(u16::from(middle(self.steps(class, offset))))
    }

    /// The log odds of that median for voxels in a row, from (i, j, k) along i: positive exactly where the majority found
    /// the class.
    pub fn log_odds(&self, class: Class, [i, j, k]: [usize; 3], out: &mut [f32]) {
        let (table, bricks) = (&*LOG_ODDS, self.at(class).map_or(&[][..], |at| &self.classes[at].1));
        let row = (k / SIDE * self.bricks[1] + j / SIDE) * self.bricks[0];
        let start = (k % SIDE * SIDE + j % SIDE) * SIDE;
        for (i, odds) in (i..).zip(out) {
            let brick = bricks.get(row + i / SIDE).and_then(Option::as_ref);
            let steps = brick.map_or([0; 3], |b| [0, 1, 2].map(|network| b[network][start + i % SIDE]));
            *odds = table[usize::from(middle(steps))];
        }
    }

    /// The mean of the three networks' probabilities of a class at a position in storage order, 0 to 1.
    #[inline]
    pub fn mean(&self, class: Class, offset: usize) -> f32 {
        self.steps(class, offset).iter().map(|s| value(u16::from(*s))).sum::<f32>() / 3.0
    }

    /// The majority: of each class the voxels where at least two networks found it.
    ///
    /// # Errors
    /// None for bricks within the grid; passed on from the making of boxes.
    pub fn parts(&self) -> Result<Parts, GeometryError> {
        let part = |(class, bricks): &(Class, Vec<Option<Box<Brick>>>)| {
            Ok((*class, self.part_where(bricks, |steps| middle(steps) >= FOUND)?))
        };
        let parts = self.classes.par_iter().map(part).collect::<Result<BTreeMap<Class, Part>, GeometryError>>()?;
        Parts::new(Arc::clone(&self.grid), parts)
    }

    /// The voxels whose steps of the three networks are such, on their own box; where nothing is stored, none is.
    fn part_where(&self, bricks: &[Option<Box<Brick>>], such: impl Fn([u8; 3]) -> bool) -> Result<Part, GeometryError> {
        let mut found: Vec<[usize; 3]> = Vec::new();
        let mut extent: Option<Extent> = None;
        for (at, brick) in bricks.iter().enumerate() {
            let Some([a, b, c]) = brick.as_deref() else { continue };
            let corner =
                [at % self.bricks[0], at / self.bricks[0] % self.bricks[1], at / (self.bricks[0] * self.bricks[1])];
            for (n, steps) in a.iter().zip(b).zip(c).map(|((a, b), c)| [*a, *b, *c]).enumerate() {
                // Only voxels of the grid were ever added, so the brick's surplus is never found.
                if such(steps) {
                    let within = [n % SIDE, n / SIDE % SIDE, n / (SIDE * SIDE)];
                    let voxel: [usize; 3] = std::array::from_fn(|a| corner[a] * SIDE + within[a]);
                    found.push(voxel);
                    let e = extent.get_or_insert(Extent { lo: voxel, hi: voxel });
                    e.lo.iter_mut().zip(voxel).for_each(|(least, at)| *least = at.min(*least));
                    e.hi.iter_mut().zip(voxel).for_each(|(most, at)| *most = at.max(*most));
                }
            }
        }
        let mut part = Part::empty(&self.grid, extent.unwrap_or(Extent { lo: [0; 3], hi: [0; 3] }))?;
        found.into_iter().for_each(|voxel| part.insert(voxel));
        Ok(part)
    }

    /// The brick that holds a position in storage order, and the place within it.
    #[inline]
    fn place(&self, offset: usize) -> (usize, usize) {
        let s = self.grid.shape();
        let (i, j, k) = (offset % s.cols, offset / s.cols % s.rows, offset / (s.cols * s.rows));
        let brick = (k / SIDE * self.bricks[1] + j / SIDE) * self.bricks[0] + i / SIDE;
        (brick, (k % SIDE * SIDE + j % SIDE) * SIDE + i % SIDE)
    }

    #[inline]
    fn steps(&self, class: Class, offset: usize) -> [u8; 3] {
        let (brick, voxel) = self.place(offset);
        let brick = self.at(class).and_then(|at| self.classes[at].1[brick].as_ref());
        brick.map_or([0; 3], |b| [b[0][voxel], b[1][voxel], b[2][voxel]])
    }
}

/// The step of the probability that belongs to some log odds.
fn step(log_odds: f32) -> u8 {
    let step = (256.0 / (1.0 + (-log_odds).exp())) as u8; // towards zero; a cast of 256 saturates
    // Log odds so small that the quotient rounds to the other side of one half.
    if log_odds > 0.0 { step.max(FOUND) } else { step.min(FOUND - 1) }
}

/// The median of three steps.
#[inline]
fn middle([a, b, c]: [u8; 3]) -> u8 {
    a.min(b).max(a.max(b).min(c))
}

/// The middle of a step.
fn value(step: u16) -> f32 {
    f32::from(2 * step + 1) / 512.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::{CardCode, Description, GenericRule, describe};
    use crate::geometry::{Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    const PLANES: [Plane; 3] = [Plane::Axial, Plane::Coronal, Plane::Sagittal];

    fn grid(shape: Shape) -> Arc<Grid> {
        let frame = FrameOfReferenceUid::parse("1.2").unwrap();
        Arc::new(Grid::axis_aligned(frame, shape, Lps::new(0.0, 0.0, 0.0), [1.0, 2.0, 3.0]).unwrap())
    }

    fn log_odds(p: f32) -> f32 {
        (p / (1.0 - p)).ln()
    }

    #[test]
    fn two_of_three_win() {
        let grid = grid(Shape::new(4, 1, 1));
        for class in Class::ALL {
            let mut vote = Vote::none(Arc::clone(&grid), &Class::ALL);
            for (offset, n) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
                for (at, plane) in PLANES.into_iter().enumerate() {
                    vote.add(class, plane, offset, if at < n { 2.0 } else { -2.0 });
                    // Another class in the same voxel does not disturb.
                    let other = if class == Class::Brain { Class::Eye } else { Class::Brain };
                    vote.add(other, plane, offset, 9.0);
                }
                assert_eq!(usize::from(vote.count(class, offset)), n);
            }
            let won = vote.parts().unwrap().of(class).on_grid(&grid);
            assert_eq!(won.data(), [false, false, true, true], "{class:?}");
        }
    }

    #[test]
    fn median_and_mean_are_those_of_the_probabilities() {
        let mut vote = Vote::none(grid(Shape::new(3, 2, 1)), &Class::ALL);
        for (plane, p) in PLANES.into_iter().zip([0.9, 0.2, 0.6]) {
            vote.add(Class::Lens, plane, 4, log_odds(p));
        }
        assert!((vote.median(Class::Lens, 4) - 0.6).abs() < 1.0 / 256.0);
        let each = vote.probabilities(Class::Lens, 4);
        assert!(each.iter().zip([0.9, 0.2, 0.6]).all(|(p, given)| (p - given).abs() < 1.0 / 256.0), "{each:?}");
        assert!((vote.mean(Class::Lens, 4) - 1.7 / 3.0).abs() < 1.0 / 256.0);
        assert!(vote.median(Class::Lens, 3) < LEAST && vote.mean(Class::Eye, 4) < LEAST);
    }

    /// However near to one half, and far from it, the median is above one half where and only where the majority is.
    #[test]
    fn the_median_is_above_one_half_where_the_majority_is() {
        let odds = [-90.0, -4.2, -4.1, -0.3, -1e-9, 0.0, f32::MIN_POSITIVE, 1e-9, 0.02, 5.0, 90.0];
        for a in odds {
            for b in odds {
                for c in odds {
                    let mut vote = Vote::none(grid(Shape::new(1, 1, 1)), &Class::ALL);
                    for (plane, value) in PLANES.into_iter().zip([a, b, c]) {
                        vote.add(Class::Pituitary, plane, 0, value);
                    }
                    let majority = [a, b, c].iter().filter(|v| **v > 0.0).count() >= 2;
                    assert_eq!(vote.median(Class::Pituitary, 0) > 0.5, majority, "{a} {b} {c}");
                    let mut odds = [0.0];
                    vote.log_odds(Class::Pituitary, [0; 3], &mut odds);
                    assert_eq!(odds[0] > 0.0, majority, "{a} {b} {c}");
                    assert_eq!(vote.parts().unwrap().of(Class::Pituitary).contains([0; 3]), majority);
                    assert_eq!(vote.count(Class::Pituitary, 0) >= 2, majority);
                }
            }
        }
    }

    /// Every voxel of a grid whose extents are no multiples of a brick has its own place.
    #[test]
    fn bricks_hold_every_voxel_apart() {
        let shape = Shape::new(19, 9, 17);
        let mut vote = Vote::none(grid(shape), &Class::ALL);
        let p = |offset: usize| 0.05 + 0.9 * (offset * 7919 % 1009) as f32 / 1009.0;
        for offset in 0..shape.voxels() {
            PLANES.into_iter().for_each(|plane| vote.add(Class::Eye, plane, offset, log_odds(p(offset))));
        }
        for offset in 0..shape.voxels() {
            assert!((vote.median(Class::Eye, offset) - p(offset)).abs() < 1.0 / 256.0);
        }
        let mut row = [0.0; 11];
        vote.log_odds(Class::Eye, [5, 7, 14], &mut row);
        for (n, odds) in row.into_iter().enumerate() {
            let p = vote.median(Class::Eye, (14 * 9 + 7) * 19 + 5 + n);
            assert!((odds - (p / (1.0 - p)).ln()).abs() < 1e-5);
        }
        let parts = vote.parts().unwrap();
        let eye = parts.of(Class::Eye).on_grid(vote.grid());
        assert!(eye.data().iter().enumerate().all(|(n, v)| *v == (p(n) > 0.5)));
        for plane in PLANES {
            let alone = vote.found_by(plane, Class::Eye).unwrap().on_grid(vote.grid());
            let own = |n: usize| vote.probabilities(Class::Eye, n)[plane as usize] > 0.5;
            assert!(alone.data().iter().enumerate().all(|(n, v)| *v == own(n)));
        }
    }

    /// A class that only a card knows is voted on like any; one that the networks do not know is nowhere.
    #[test]
    fn a_vote_is_on_the_classes_of_the_model() {
        let described = describe(&[Description {
            name: "button".into(),
            sided: false,
            structures: vec!["Button".into()],
            colours: vec![[8, 8, 0]],
            rules: GenericRule::None,
            enclosed_by: None,
            volume_cc: None,
            volume_source: None,
            code: CardCode { value: "BUTTON".into(), scheme: "99TEST".into(), meaning: "Button".into() },
        }]);
        let button = described.unwrap()[0];
        let mut vote = Vote::none(grid(Shape::new(11, 9, 10)), &[Class::Brain, button]);
        for (plane, odds) in PLANES.into_iter().zip([2.0, 3.0, -1.0]) {
            [button, Class::Eye].into_iter().for_each(|class| vote.add(class, plane, 500, odds));
        }
        assert_eq!((vote.count(button, 500), vote.count(Class::Eye, 500)), (2, 0));
        assert_eq!((vote.count(Class::Brain, 500), vote.probabilities(Class::Eye, 500)), (0, [value(0); 3]));
        let parts = vote.parts().unwrap();
        assert_eq!(parts.classes().collect::<Vec<_>>(), [Class::Brain, button]);
        assert_eq!(parts.of(button).voxels().collect::<Vec<_>>(), [[5, 0, 5]]);
        assert!(parts.of(Class::Eye).mask().is_empty() && !parts.has(Class::Eye));
        let mut odds = [1.0; 4];
        vote.log_odds(Class::Eye, [3, 0, 5], &mut odds);
        assert!(odds.iter().all(|v| *v < -5.0));
        vote.log_odds(button, [3, 0, 5], &mut odds);
        assert!((odds[2] - 2.0).abs() < 0.05 && odds[1] < -5.0, "{odds:?}");
    }

    /// What is stored grows with the structures, not with the grid.
    #[test]
    fn nothing_is_stored_where_no_network_sees_anything() {
        let shape = Shape::new(64, 64, 64);
        let mut vote = Vote::none(grid(shape), &Class::ALL);
        for offset in 0..shape.voxels() {
            let near = (vote.grid.shape().cols - offset % 64) < 8;
            vote.add(Class::Brain, Plane::Axial, offset, if near { 3.0 } else { -4.2 });
        }
        let stored: usize = vote.classes.iter().flat_map(|(_, bricks)| bricks).filter(|b| b.is_some()).count();
        assert_eq!(stored, 8 * 8);
    }
}
