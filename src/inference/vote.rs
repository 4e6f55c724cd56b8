//! Majority vote of the three orientations (thesis section 4.2.2).

use std::sync::Arc;

use crate::anatomy::Class;
use crate::geometry::{Grid, Mask, Volume};

/// For each voxel of the working grid and each class, how many of the three networks found it.
#[derive(Debug, Clone)]
pub struct Vote {
    /// Two bits a class, at 2 * `Class::index`: 0 to 3 votes.
    votes: Volume<u16>,
}

impl Vote {
    /// No votes yet.
    pub fn none(grid: Arc<Grid>) -> Self {
        Self { votes: Volume::filled(grid, 0) }
    }

    /// One network's vote for a class at a position in storage order. A network votes once for a voxel and class.
    #[inline]
    pub(super) fn add(&mut self, class: Class, offset: usize) {
        self.votes.data_mut()[offset] += 1 << (2 * class.index());
    }

    /// Votes for a class at a position in storage order, 0 to 3.
    #[inline]
    pub fn count(&self, class: Class, offset: usize) -> u8 {
        (self.votes.data()[offset] >> (2 * class.index()) & 3) as u8
    }

    /// The majority: bit `Class::index` is set where at least two networks found the class.
    pub fn labels(&self) -> Volume<u8> {
        self.votes.map(|v| {
            // The high bit of each pair of votes says "two or three".
            let mut high = v >> 1 & 0x5555;
            high = (high | high >> 1) & 0x3333;
            high = (high | high >> 2) & 0x0f0f;
            ((high | high >> 4) & 0x00ff) as u8
        })
    }

    /// Share of a structure's voxels on which all three networks found its class; `None` for an empty structure.
    pub fn agreement(&self, class: Class, structure: &Mask) -> Option<f64> {
        let (mut inside, mut unanimous) = (0usize, 0usize);
        for (offset, _) in structure.data().iter().enumerate().filter(|(_, v)| **v) {
            inside += 1;
            unanimous += usize::from(self.count(class, offset) == 3);
        }
        (inside > 0).then(|| unanimous as f64 / inside as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    #[test]
    fn two_of_three_win_and_agreement_is_the_unanimous_share() {
        let frame = FrameOfReferenceUid::parse("1.2").unwrap();
        let grid =
            Arc::new(Grid::axis_aligned(frame, Shape::new(4, 1, 1), Lps::new(0.0, 0.0, 0.0), [1.0, 2.0, 3.0]).unwrap());
        for class in Class::ALL {
            let mut vote = Vote::none(Arc::clone(&grid));
            for (offset, n) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
                (0..n).for_each(|_| vote.add(class, offset));
                // Another class in the same voxel does not disturb.
                let other = if class == Class::Brain { Class::Eye } else { Class::Brain };
                (0..3).for_each(|_| vote.add(other, offset));
                assert_eq!(vote.count(class, offset), n);
            }
            let won: Vec<bool> = vote.labels().data().iter().map(|v| v & class.bit() != 0).collect();
            assert_eq!(won, [false, false, true, true], "{class:?}");
            let structure = Mask::new(Arc::clone(&grid), won).unwrap();
            assert_eq!(vote.agreement(class, &structure), Some(0.5));
            assert_eq!(vote.agreement(class, &Mask::empty(Arc::clone(&grid))), None);
        }
    }
}
