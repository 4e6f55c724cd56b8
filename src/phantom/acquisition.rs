//! How a head is scanned: orientation, spacing, extent and order of the slices.

use std::sync::Arc;

use super::random::Rng;
use crate::geometry::{GeometryError, Grid, Index, Lps, Shape, Vec3, Volume, downsample_filter, resample_linear};
use crate::ids::FrameOfReferenceUid;

const LEFT: Vec3 = Vec3::new(1.0, 0.0, 0.0);
const POSTERIOR: Vec3 = Vec3::new(0.0, 1.0, 0.0);
const SUPERIOR: Vec3 = Vec3::new(0.0, 0.0, 1.0);

/// A patient-axis box to be scanned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldOfView {
    /// Its middle.
    pub centre: Lps,
    /// Its edges along x, y, z in mm.
    pub size: [f64; 3],
}

impl FieldOfView {
    /// The same, less this many mm at the top.
    pub fn without_top(mut self, cut: f64) -> Self {
        self.centre.z -= cut / 2.0;
        self.size[2] -= cut;
        self
    }
}

/// The acquisitions a demonstration series or a phantom can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Acquisition {
    /// Axial planes, 1 mm, from the feet up.
    Axial,
    /// Axial planes turned by 20 degrees about the left-right axis, 1 mm.
    Oblique,
    /// Axial planes of 400 columns by 512 rows, 0.5 x 0.5 mm, every 2 mm.
    Anisotropic,
    /// Sagittal planes, 1 mm.
    Sagittal,
    /// Coronal planes, 1 mm.
    Coronal,
    /// Axial planes, 1 mm, numbered from the vertex down, as with a patient lying feet first.
    FeetFirst,
}

impl Acquisition {
    /// Directions of growing column, row and slice number.
    pub fn axes(self) -> [Vec3; 3] {
        let (s, c) = 20f64.to_radians().sin_cos();
        match self {
            Self::Axial | Self::Anisotropic => [LEFT, POSTERIOR, SUPERIOR],
            Self::Oblique => [LEFT, Vec3::new(0.0, c, s), Vec3::new(0.0, -s, c)],
            Self::Sagittal => [POSTERIOR, SUPERIOR * -1.0, LEFT * -1.0],
            Self::Coronal => [LEFT, SUPERIOR * -1.0, POSTERIOR],
            Self::FeetFirst => [LEFT, POSTERIOR, SUPERIOR * -1.0],
        }
    }

    /// Millimetres between columns, rows, slices.
    pub fn spacing(self) -> [f64; 3] {
        if self == Self::Anisotropic { [0.5, 0.5, 2.0] } else { [1.0; 3] }
    }

    /// The name as the command line writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Oblique => "oblique",
            Self::Anisotropic => "anisotropic",
            Self::Sagittal => "sagittal",
            Self::Coronal => "coronal",
            Self::FeetFirst => "feet-first",
        }
    }

    /// Patient Position (0018,5100).
    pub fn patient_position(self) -> &'static str {
        if self == Self::FeetFirst { "FFS" } else { "HFS" }
    }

    /// An image as this acquisition would have given it. Planes along the axes of the image's own voxels are its own
    /// voxels in another order, with their own spacing, unless a spacing is asked for; everything else is resampled
    /// over the image's field of view, 0 beyond it.
    ///
    /// # Errors
    /// [`GeometryError`] for a spacing that makes no grid.
    pub fn acquire(self, image: &Volume<f32>, spacing: Option<[f64; 3]>) -> Result<Volume<f32>, GeometryError> {
        let native = spacing.is_none() && !matches!(self, Self::Oblique | Self::Anisotropic);
        if let Some(order) = native.then(|| reordering(image.grid(), self.axes())).flatten() {
            return reorder(image, order);
        }
        let (lo, hi) = image.grid().bounds();
        let field = FieldOfView {
            centre: Lps::new((lo[0] + hi[0]) / 2.0, (lo[1] + hi[1]) / 2.0, (lo[2] + hi[2]) / 2.0),
            size: std::array::from_fn(|a| hi[a] - lo[a]),
        };
        let grid = Arc::new(self.grid(image.grid().frame().clone(), &field, spacing)?);
        Ok(resample_linear(&downsample_filter(image, &grid)?, &grid, 0.0))
    }

    /// The grid of this acquisition over a field of view; `spacing` overrides the usual one.
    ///
    /// # Errors
    /// [`GeometryError`] for a spacing that makes no grid.
    pub fn grid(
        self,
        frame: FrameOfReferenceUid,
        field: &FieldOfView,
        spacing: Option<[f64; 3]>,
    ) -> Result<Grid, GeometryError> {
        let mut shape = None;
        if self == Self::Anisotropic && spacing.is_none() {
            shape = Some([400, 512]);
        }
        centred_grid(frame, field, self.axes(), spacing.unwrap_or(self.spacing()), shape)
    }
}

/// For each wanted direction the axis of the grid that runs along it (within 10 degrees), and whether backwards.
fn reordering(grid: &Grid, wanted: [Vec3; 3]) -> Option<[(usize, bool); 3]> {
    let find = |direction: Vec3| {
        let along = grid.axes().map(|axis| axis.dot(direction));
        along.iter().position(|c| c.abs() > 0.985).map(|a| (a, along[a] < 0.0))
    };
    let [a, b, c] = wanted.map(find);
    Some([a?, b?, c?])
}

/// The same voxels, stored in another order of axes.
fn reorder(image: &Volume<f32>, order: [(usize, bool); 3]) -> Result<Volume<f32>, GeometryError> {
    let grid = image.grid();
    let (s, axes, spacing) = (grid.shape(), grid.axes(), grid.spacing());
    let extents = [s.cols, s.rows, s.slices];
    let [cols, rows, slices] = order.map(|(a, _)| extents[a]);
    // The voxel of the image at an index of the result.
    let from = |at: [usize; 3]| {
        let mut voxel = [0usize; 3];
        for ((a, backwards), n) in order.into_iter().zip(at) {
            voxel[a] = if backwards { extents[a] - 1 - n } else { n };
        }
        voxel
    };
    let [i, j, k] = from([0, 0, 0]);
    let target = Grid::new(
        grid.frame().clone(),
        Shape::new(cols, rows, slices),
        grid.centre(i, j, k),
        order.map(|(a, backwards)| if backwards { axes[a] * -1.0 } else { axes[a] }),
        order.map(|(a, _)| spacing[a]),
    )?;
    let mut out = Volume::filled(Arc::new(target), 0.0f32);
    for offset in 0..out.data().len() {
        let [i, j, k] = from(out.voxel(offset));
        out.data_mut()[offset] = image.at(i, j, k);
    }
    Ok(out)
}

/// A grid whose middle is the field's middle and which covers the field; `matrix` fixes columns and rows instead.
fn centred_grid(
    frame: FrameOfReferenceUid,
    field: &FieldOfView,
    axes: [Vec3; 3],
    spacing: [f64; 3],
    matrix: Option<[usize; 2]>,
) -> Result<Grid, GeometryError> {
    if !spacing.iter().all(|s| s.is_finite() && *s > 0.0) {
        return Err(GeometryError::Spacing(spacing));
    }
    let cover = |a: usize| {
        let along: f64 = axes[a].to_array().iter().zip(field.size).map(|(c, size)| c.abs() * size).sum();
        (along / spacing[a]).ceil().max(1.0) as usize
    };
    let [cols, rows] = matrix.unwrap_or([cover(0), cover(1)]);
    let shape = Shape::new(cols, rows, cover(2));
    let middle = Index::new((cols as f64 - 1.0) / 2.0, (rows as f64 - 1.0) / 2.0, (shape.slices as f64 - 1.0) / 2.0);
    let reach =
        axes[0] * (middle.i * spacing[0]) + axes[1] * (middle.j * spacing[1]) + axes[2] * (middle.k * spacing[2]);
    Grid::new(frame, shape, field.centre - reach, axes, spacing)
}

/// A grid as a department's protocols vary: mostly isotropic 3D in any of the three planes, sometimes thick axial slices,
/// planes a few degrees off the patient's axes.
///
/// # Errors
/// As [`Acquisition::grid`].
pub fn draw_grid(rng: &mut Rng, frame: FrameOfReferenceUid, field: &FieldOfView) -> Result<Grid, GeometryError> {
    let kind = rng.unit();
    let (base, spacing) = if kind < 0.15 {
        (Acquisition::Axial, [0.5, 0.5, 2.0])
    } else {
        let base = match kind {
            v if v < 0.50 => Acquisition::Axial,
            v if v < 0.85 => Acquisition::Sagittal,
            _ => Acquisition::Coronal,
        };
        let inside = rng.within(0.85, 1.1);
        (base, [inside, inside, rng.within(0.8, 1.2)])
    };
    let axes = base.axes();
    let tilt = if rng.chance(0.5) { rng.near(0.0, 6.0).to_radians() } else { 0.0 };
    let (s, c) = tilt.sin_cos();
    let tilted = [axes[0], axes[1] * c + axes[2] * s, axes[2] * c - axes[1] * s];
    centred_grid(frame, field, tilted, spacing, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field() -> FieldOfView {
        FieldOfView { centre: Lps::new(11.0, -23.0, 37.0), size: [180.0, 220.0, 190.0] }
    }

    fn grid(acquisition: Acquisition) -> Grid {
        acquisition.grid(FrameOfReferenceUid::derive(&["acquisition"]), &field(), None).unwrap()
    }

    #[test]
    fn every_acquisition_covers_the_field_in_its_own_order() {
        for (acquisition, shape) in [
            (Acquisition::Axial, Shape::new(180, 220, 190)),
            (Acquisition::Sagittal, Shape::new(220, 190, 180)),
            (Acquisition::Coronal, Shape::new(180, 190, 220)),
            (Acquisition::FeetFirst, Shape::new(180, 220, 190)),
            (Acquisition::Anisotropic, Shape::new(400, 512, 95)),
            (Acquisition::Oblique, Shape::new(180, 272, 254)),
        ] {
            let g = grid(acquisition);
            assert_eq!(g.shape(), shape, "{acquisition:?}");
            let s = g.shape();
            let middle = g.to_lps(Index::new(
                (s.cols as f64 - 1.0) / 2.0,
                (s.rows as f64 - 1.0) / 2.0,
                (s.slices as f64 - 1.0) / 2.0,
            ));
            assert!(middle.distance(field().centre) < 1e-9);
        }
    }

    #[test]
    fn directions_are_the_ones_of_the_room() {
        let step = |a: Acquisition, at: [usize; 3]| grid(a).centre(at[0], at[1], at[2]) - grid(a).origin();
        assert!(step(Acquisition::Sagittal, [1, 0, 0]).y > 0.9);
        assert!(step(Acquisition::Sagittal, [0, 1, 0]).z < -0.9);
        assert!(step(Acquisition::Coronal, [0, 0, 1]).y > 0.9);
        assert!(step(Acquisition::FeetFirst, [0, 0, 1]).z < -0.9);
        assert!((step(Acquisition::Anisotropic, [0, 0, 1]).z - 2.0).abs() < 1e-9);
        let tilt = step(Acquisition::Oblique, [0, 1, 0]);
        assert!((tilt.z / tilt.y - 20f64.to_radians().tan()).abs() < 1e-9);
    }

    #[test]
    fn a_bad_spacing_is_refused() {
        let frame = FrameOfReferenceUid::derive(&["bad"]);
        for bad in [0.0, -1.0, f64::NAN] {
            assert!(Acquisition::Axial.grid(frame.clone(), &field(), Some([1.0, bad, 1.0])).is_err());
        }
    }
}
