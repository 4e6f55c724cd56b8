//! Volumes of structures without any voxel grid.

use rayon::prelude::*;

use super::head::Head;
use crate::anatomy::Structure;
use crate::geometry::Vec3;

/// Edge of the cells that integration begins with, mm.
const CELL: f64 = 6.4;
/// Cells up to this edge are not divided further, mm.
const FINEST: f64 = 0.21;

impl Head {
    /// Volume of a structure in cm3, by integration over its box in the head's frame: cells that lie wholly inside or
    /// outside are taken as a whole, the surface is resolved by cells of 0.2 mm. 0 for a missing structure.
    pub fn volume_cc(&self, structure: Structure) -> f64 {
        let Some(b) = self.structure_box(structure) else { return 0.0 };
        let count = (b.hi - b.lo).to_array().map(|v| (v / CELL).ceil() as usize);
        // Summed in order: the same result for every number of threads.
        let cells: Vec<f64> = (0..count[0] * count[1] * count[2])
            .into_par_iter()
            .map(|n| {
                let cell = [n % count[0], n / count[0] % count[1], n / (count[0] * count[1])].map(|v| v as f64 + 0.5);
                self.cell_volume(structure, b.lo + Vec3::new(cell[0], cell[1], cell[2]) * CELL, CELL)
            })
            .collect();
        cells.into_iter().sum::<f64>() / 1000.0
    }

    /// Volume in mm3 of what a cell about a point of the head's frame holds of a structure.
    fn cell_volume(&self, structure: Structure, centre: Vec3, edge: f64) -> f64 {
        let d = self.distance(structure, self.in_template(centre));
        let certain = self.sure(d) > edge * 0.867;
        if certain || edge <= FINEST {
            return if d < 0.0 { edge.powi(3) } else { 0.0 };
        }
        let q = edge / 4.0;
        (0..8)
            .map(|n| {
                let sign = |bit: usize| if n >> bit & 1 == 0 { -q } else { q };
                self.cell_volume(structure, centre + Vec3::new(sign(0), sign(1), sign(2)), edge / 2.0)
            })
            .sum()
    }
}
