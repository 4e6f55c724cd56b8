//! A simple analytic head for the tests of this room: ellipsoids and capsules with real proportions, lopsided, in any
//! pose. Independent of the digital head of `phantom`, which these rooms must not know.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Class, Side, Structure};
use crate::geometry::{Grid, Lps, Mask, Shape, Vec3, Volume};
use crate::ids::FrameOfReferenceUid;

/// Which eye is missing, and whether its nerve went with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surgery {
    None,
    EyeAndNerve(Side),
    EyeOnly(Side),
}

/// A head in a pose. Angles in degrees: yaw about z (turned), roll about y (tilted), pitch about x (nodding).
#[derive(Debug, Clone, Copy)]
pub struct TestHead {
    pub yaw: f64,
    pub roll: f64,
    pub pitch: f64,
    pub centre: Lps,
    pub scale: f64,
    /// Brain missing from a sphere of this radius (mm) in the left hemisphere.
    pub cavity: f64,
    pub surgery: Surgery,
}

enum Shape3 {
    /// Centre and half axes.
    Ellipsoid([f64; 3], [f64; 3]),
    /// Ends and radius.
    Capsule([f64; 3], [f64; 3], f64),
}

impl Shape3 {
    fn contains(&self, p: [f64; 3]) -> bool {
        match self {
            Shape3::Ellipsoid(c, r) => (0..3).map(|a| ((p[a] - c[a]) / r[a]).powi(2)).sum::<f64>() <= 1.0,
            Shape3::Capsule(a, b, r) => {
                let (ab, ap) = ([0, 1, 2].map(|n| b[n] - a[n]), [0, 1, 2].map(|n| p[n] - a[n]));
                let dot = |u: [f64; 3], v: [f64; 3]| u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
                let t = (dot(ap, ab) / dot(ab, ab)).clamp(0.0, 1.0);
                (0..3).map(|n| (ap[n] - t * ab[n]).powi(2)).sum::<f64>() <= r * r
            }
        }
    }
}

impl Default for TestHead {
    fn default() -> Self {
        Self {
            yaw: 0.0,
            roll: 0.0,
            pitch: 0.0,
            centre: Lps::new(7.0, -4.0, 11.0),
            scale: 1.0,
            cavity: 0.0,
            surgery: Surgery::None,
        }
    }
}

impl TestHead {
    /// Patient direction of the head's own left, posterior and superior.
    pub fn axes(&self) -> [Vec3; 3] {
        let turn = |v: Vec3| {
            let (s, c) = self.pitch.to_radians().sin_cos();
            let v = Vec3::new(v.x, c * v.y - s * v.z, s * v.y + c * v.z);
            let (s, c) = self.roll.to_radians().sin_cos();
            let v = Vec3::new(c * v.x - s * v.z, v.y, s * v.x + c * v.z);
            let (s, c) = self.yaw.to_radians().sin_cos();
            Vec3::new(c * v.x - s * v.y, s * v.x + c * v.y, v.z)
        };
        [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)].map(turn)
    }

    /// Patient point of a place in the head (mm to the left, posterior, superior of the middle of the brain).
    pub fn place(&self, at: [f64; 3]) -> Lps {
        let [a, b, c] = self.axes();
        self.centre + (a * at[0] + b * at[1] + c * at[2]) * self.scale
    }

    /// Solids in the head's own axes. Left and right differ in size and place by design.
    fn solids(&self) -> Vec<(Structure, Shape3)> {
        use Shape3::{Capsule, Ellipsoid};
        use Structure as S;
        let gone = |side: Side, nerve: bool| match self.surgery {
            Surgery::None => false,
            Surgery::EyeAndNerve(s) => s == side,
            Surgery::EyeOnly(s) => s == side && !nerve,
        };
        let mut solids = vec![
            // Cerebrum: the right half wider, the left occipital pole longer.
            (S::Brain, Ellipsoid([-1.5, 0.0, 0.0], [66.0, 82.0, 54.0])),
            (S::Brain, Ellipsoid([22.0, 48.0, -5.0], [34.0, 40.0, 34.0])),
            // Temporal lobes and cerebellum.
            (S::Brain, Ellipsoid([42.0, -8.0, -28.0], [20.0, 40.0, 20.0])),
            (S::Brain, Ellipsoid([-44.0, -5.0, -29.0], [21.0, 38.0, 21.0])),
            (S::Brain, Ellipsoid([1.0, 46.0, -46.0], [48.0, 30.0, 25.0])),
            (S::Brain, Capsule([0.0, 12.0, -28.0], [0.5, 22.0, -74.0], 12.0)),
            (S::Brainstem, Capsule([0.0, 12.0, -28.0], [0.5, 22.0, -80.0], 11.0)),
            (S::OpticChiasm, Ellipsoid([0.5, -20.0, -22.0], [8.0, 5.0, 3.0])),
            (S::Pituitary, Ellipsoid([0.0, -22.0, -33.0], [6.0, 5.0, 4.5])),
            (S::Hippocampus_L, Capsule([25.0, -6.0, -23.0], [23.0, 18.0, -13.0], 5.5)),
            (S::Hippocampus_R, Capsule([-27.0, -4.0, -22.0], [-24.0, 22.0, -12.0], 6.5)),
        ];
        if !gone(Side::Left, false) {
            solids.push((S::Eye_L, Ellipsoid([32.0, -80.0, -37.0], [12.0, 12.0, 12.0])));
            solids.push((S::Lens_L, Ellipsoid([33.0, -88.0, -37.0], [4.5, 3.0, 4.5])));
        }
        if !gone(Side::Left, true) {
            solids.push((S::OpticNrv_L, Capsule([31.0, -67.0, -36.0], [6.0, -25.0, -22.0], 2.6)));
        }
        if !gone(Side::Right, false) {
            solids.push((S::Eye_R, Ellipsoid([-31.0, -78.0, -38.5], [12.5, 12.5, 12.5])));
            solids.push((S::Lens_R, Ellipsoid([-31.0, -86.5, -38.0], [4.5, 3.0, 4.5])));
        }
        if !gone(Side::Right, true) {
            solids.push((S::OpticNrv_R, Capsule([-30.0, -64.5, -37.0], [-5.0, -25.0, -22.0], 2.6)));
        }
        solids
    }

    /// Truth on a grid: bit n of a voxel is `Structure::ALL[n]`.
    pub fn truth(&self, grid: &Arc<Grid>) -> Volume<u16> {
        let (solids, [a, b, c]) = (self.solids(), self.axes());
        let cavity = Shape3::Ellipsoid([48.0, -25.0, 22.0], [self.cavity.max(1e-3); 3]);
        let s = grid.shape();
        let mut truth = Volume::filled(Arc::clone(grid), 0u16);
        truth.data_mut().par_chunks_exact_mut(s.cols).enumerate().for_each(|(row, out)| {
            for (i, voxel) in out.iter_mut().enumerate() {
                let d = grid.centre(i, row % s.rows, row / s.rows) - self.centre;
                let p = [a.dot(d), b.dot(d), c.dot(d)].map(|v| v / self.scale);
                for (structure, solid) in &solids {
                    if solid.contains(p) && !(*structure == Structure::Brain && cavity.contains(p)) {
                        *voxel |= 1 << position(*structure);
                    }
                }
            }
        });
        truth
    }
}

fn position(structure: Structure) -> usize {
    Structure::ALL.iter().position(|s| *s == structure).unwrap()
}

/// The network classes of a truth: what perfect networks would say.
pub fn labels_of(truth: &Volume<u16>) -> Volume<u8> {
    truth.map(|v| {
        let set = Structure::ALL.iter().enumerate().filter(|(n, _)| v >> n & 1 == 1);
        set.fold(0, |bits, (_, s)| bits | s.class().bit())
    })
}

/// One structure of a truth.
pub fn truth_mask(truth: &Volume<u16>, structure: Structure) -> Mask {
    truth.map(|v| v >> position(structure) & 1 == 1)
}

/// Adds a ball to a class of a label volume.
pub fn add_ball(labels: &mut Volume<u8>, class: Class, centre: Lps, radius: f64) {
    let grid = Arc::clone(labels.grid());
    for offset in 0..labels.data().len() {
        let [i, j, k] = labels.voxel(offset);
        if grid.centre(i, j, k).distance(centre) <= radius {
            labels.data_mut()[offset] |= class.bit();
        }
    }
}

/// A grid that holds the head in every pose of the tests: anisotropic, non-cubic, off-centre.
pub fn grid(spacing: [f64; 3]) -> Arc<Grid> {
    let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
    let [x, y, z] = [(-117.0, 238.0), (-128.0, 250.0), (-104.0, 214.0)];
    let n = |a: usize, size: f64| (size / spacing[a]) as usize;
    let shape = Shape::new(n(0, x.1), n(1, y.1), n(2, z.1));
    Arc::new(Grid::axis_aligned(frame, shape, Lps::new(x.0, y.0, z.0), spacing).unwrap())
}
