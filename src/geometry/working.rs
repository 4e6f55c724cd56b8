//! The working grid and its intensities (thesis section 4.3.1): the one preprocessing of training and serving.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Connectivity, GeometryError, Grid, Lps, Mask, Shape, Volume, components, downsample_filter, resample_linear,
};

/// What an image's intensities are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntensityRule {
    /// The maximum of the image on the working grid (the thesis's rule).
    Maximum,
    /// The 99.9 % quantile of the non-zero voxels: steady where a few vessels shine.
    Quantile999,
}

/// The grid on which networks and rules work, and how intensities are scaled there. Stored in a model's card, so that
/// training and serving cannot differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkingSpec {
    /// Spacing in mm along x, y, z (thesis: 0.7, 0.7, 0.9).
    pub spacing: [f64; 3],
    /// Voxels along x, y, z (thesis: 320, 365, 200).
    pub shape: [usize; 3],
    /// What intensities are divided by.
    pub intensity_rule: IntensityRule,
    /// What they are then multiplied by.
    pub intensity_scale: f32,
    /// Air kept above the top of the head, in mm.
    pub margin_top: f64,
}

impl Default for WorkingSpec {
    fn default() -> Self {
        Self {
            spacing: [0.7, 0.7, 0.9],
            shape: [320, 365, 200],
            intensity_rule: IntensityRule::Maximum,
            intensity_scale: 1000.0,
            margin_top: 4.5,
        }
    }
}

impl WorkingSpec {
    /// The same box, of voxels `times` as long along each axis (to the nanometre), for what needs no full resolution.
    pub fn coarser(&self, times: f64) -> Self {
        Self {
            spacing: self.spacing.map(|mm| (mm * times * 1e6).round() / 1e6),
            shape: self.shape.map(|voxels| (voxels as f64 / times).ceil() as usize),
            ..self.clone()
        }
    }
}

/// Spacing of the coarse look at the whole field of view, in mm.
const COARSE: f64 = 3.0;
/// A slice, a column plane or a row plane belongs to the head from this much tissue on, in cm2.
const HEAD_AREA_CM2: f64 = 4.0;
/// A field of view of more than this along any axis, mm, is no scan of a head; the look at it would not fit into memory.
const MOST_MM: f64 = 1500.0;

/// Places the working grid on the head of `image` (patient axes, any acquisition): the uppermost slice is the first
/// that holds head tissue, less a margin; in x and y the grid is centred on the head's box (thesis section 4.3.1).
///
/// # Errors
/// [`GeometryError::NoHead`] when nothing the size of a head stands out from the background, or the field of view is many
/// times a head's.
pub fn working_grid_for(image: &Volume<f32>, spec: &WorkingSpec) -> Result<Arc<Grid>, GeometryError> {
    let (lo, hi) = image.grid().bounds();
    let extent: [f64; 3] = std::array::from_fn(|a| hi[a] - lo[a]);
    if extent.iter().any(|mm| *mm > MOST_MM) {
        let [x, y, z] = extent;
        return Err(GeometryError::NoHead(format!(
            "they cover {x:.0} x {y:.0} x {z:.0} mm, and no scan of a head has more than {MOST_MM:.0} mm: check Pixel Spacing \
             (0028,0030) and Image Position (Patient) (0020,0032)"
        )));
    }
    let shape: [usize; 3] = extent.map(|mm| ((mm / COARSE).floor() as usize).max(1));
    let coarse = Arc::new(Grid::axis_aligned(
        image.grid().frame().clone(),
        Shape::new(shape[0], shape[1], shape[2]),
        Lps::new(lo[0] + COARSE / 2.0, lo[1] + COARSE / 2.0, lo[2] + COARSE / 2.0),
        [COARSE; 3],
    )?);
    let look = resample_linear(&downsample_filter(image, &coarse)?, &coarse, 0.0);
    let head = head_mask(&look)?;

    // Tissue area in each plane at right angles to x, y, z; only planes with enough of it bound the head.
    let mut area: [Vec<f64>; 3] = std::array::from_fn(|a| vec![0.0; shape[a]]);
    let cm2 = COARSE * COARSE / 100.0;
    for (offset, inside) in head.data().iter().enumerate() {
        if *inside {
            let v = head.voxel(offset);
            for a in 0..3 {
                area[a][v[a]] += cm2;
            }
        }
    }
    let span = |a: usize| {
        let enough = |v: &f64| *v >= HEAD_AREA_CM2;
        let first = area[a].iter().position(enough);
        let last = area[a].iter().rposition(enough);
        first.zip(last).ok_or_else(|| GeometryError::NoHead("nothing in it is as large as a head".into()))
    };
    let (x, y, z) = (span(0)?, span(1)?, span(2)?);
    let centre_of = |a: usize, (first, last): (usize, usize)| lo[a] + COARSE * (first + last + 1) as f64 / 2.0;
    let top = lo[2] + COARSE * (z.1 + 1) as f64 + spec.margin_top;
    let start = |a: usize, centre: f64| centre - (spec.shape[a] as f64 - 1.0) / 2.0 * spec.spacing[a];
    let origin = Lps::new(
        start(0, centre_of(0, x)),
        start(1, centre_of(1, y)),
        top - (spec.shape[2] as f64 - 1.0) * spec.spacing[2],
    );
    let [cols, rows, slices] = spec.shape;
    Ok(Arc::new(Grid::axis_aligned(
        image.grid().frame().clone(),
        Shape::new(cols, rows, slices),
        origin,
        spec.spacing,
    )?))
}

/// Brings an image to the working grid and scales it; voxels beyond the acquired field of view are 0.
///
/// # Errors
/// As [`working_grid_for`]; [`GeometryError::NoHead`] also for an image without a positive voxel.
pub fn working_volume(image: &Volume<f32>, spec: &WorkingSpec) -> Result<Volume<f32>, GeometryError> {
    let grid = working_grid_for(image, spec)?;
    let mut out = resample_linear(&downsample_filter(image, &grid)?, &grid, 0.0);
    let divisor = match spec.intensity_rule {
        IntensityRule::Maximum => out.data().iter().copied().fold(0.0f32, f32::max),
        IntensityRule::Quantile999 => quantile(out.data().iter().copied().filter(|v| *v > 0.0), 0.999),
    };
    if !(divisor > 0.0 && divisor.is_finite()) {
        return Err(GeometryError::NoHead("no voxel is brighter than zero".into()));
    }
    let factor = spec.intensity_scale / divisor;
    for v in out.data_mut() {
        *v *= factor;
    }
    Ok(out)
}

/// The largest connected bright body: everything above 15 % of the bright end (98 % quantile of what is not zero).
fn head_mask(look: &Volume<f32>) -> Result<Mask, GeometryError> {
    let bright = quantile(look.data().iter().copied().filter(|v| *v > 0.0), 0.98);
    if bright.is_nan() || bright <= 0.0 {
        return Err(GeometryError::NoHead("no voxel is brighter than zero".into()));
    }
    let mut head = look.map(|v| *v > 0.15 * bright);
    let found = components(&head, Connectivity::Faces);
    let Some(largest) = found.list.first() else {
        return Err(GeometryError::NoHead("nothing stands out from the background".into()));
    };
    let label = largest.label;
    found.retain(&mut head, |c| c.label == label);
    Ok(head)
}

/// The q quantile of some values, by sorting; 0 when there are none.
pub(crate) fn quantile(values: impl Iterator<Item = f32>, q: f64) -> f32 {
    let mut all: Vec<f32> = values.filter(|v| v.is_finite()).collect();
    if all.is_empty() {
        return 0.0;
    }
    let n = ((all.len() - 1) as f64 * q).round() as usize;
    *all.select_nth_unstable_by(n, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Vec3;
    use crate::ids::FrameOfReferenceUid;

    /// A bright ellipsoid (a head of 150 x 190 x 220 mm at `centre`) on a given grid.
    fn head(grid: Grid, centre: Lps) -> Volume<f32> {
        let grid = Arc::new(grid);
        let mut v = Volume::filled(Arc::clone(&grid), 0.0f32);
        for offset in 0..v.data().len() {
            let [i, j, k] = v.voxel(offset);
            let d = grid.centre(i, j, k) - centre;
            let r = (d.x / 75.0).powi(2) + (d.y / 95.0).powi(2) + (d.z / 110.0).powi(2);
            if r < 1.0 {
                v.data_mut()[offset] = 400.0 + 3.0 * (1.0 - r) as f32;
            }
        }
        v
    }

    fn frame() -> FrameOfReferenceUid {
        FrameOfReferenceUid::parse("1.2.3").unwrap()
    }

    fn check(image: &Volume<f32>, centre: Lps) {
        let spec = WorkingSpec::default();
        let w = working_volume(image, &spec).unwrap();
        let grid = w.grid();
        let middle = grid.to_lps(super::super::Index::new(159.5, 182.0, 0.0));
        assert!((middle.x - centre.x).abs() < 2.5 && (middle.y - centre.y).abs() < 2.5, "{middle:?}");
        let top = grid.centre(0, 0, 199).z - (centre.z + 110.0);
        assert!((0.0..9.0).contains(&top), "the top slice lies {top} mm above the head");
        let max = w.data().iter().copied().fold(0.0f32, f32::max);
        assert!((max - 1000.0).abs() < 0.1);
        assert_eq!(w.at(0, 0, 199), 0.0);
    }

    #[test]
    fn the_grid_sits_on_the_head_not_on_the_field_of_view() {
        let grid =
            Grid::axis_aligned(frame(), Shape::new(120, 130, 90), Lps::new(-90.0, -160.0, -40.0), [2.0, 2.0, 3.0])
                .unwrap();
        let centre = Lps::new(21.0, -33.0, 77.0);
        check(&head(grid, centre), centre);
    }

    #[test]
    fn a_sagittal_acquisition_lands_in_the_same_place() {
        // i runs posterior, j runs inferior, k runs to the left.
        let axes = [Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(1.0, 0.0, 0.0)];
        let grid = Grid::new(frame(), Shape::new(120, 125, 80), Lps::new(-80.0, -150.0, 200.0), axes, [2.0, 2.0, 2.5])
            .unwrap();
        let centre = Lps::new(11.0, -30.0, 80.0);
        check(&head(grid, centre), centre);
    }

    #[test]
    fn an_image_without_a_head_is_refused() {
        let grid =
            Arc::new(Grid::axis_aligned(frame(), Shape::new(40, 41, 42), Lps::new(0.0, 0.0, 0.0), [3.0; 3]).unwrap());
        let mut v = Volume::filled(grid, 0.0f32);
        assert!(matches!(working_volume(&v, &WorkingSpec::default()), Err(GeometryError::NoHead(_))));
        v.set(20, 20, 20, 900.0);
        assert!(matches!(working_volume(&v, &WorkingSpec::default()), Err(GeometryError::NoHead(_))));
        // Pixels of 100 mm: gigabytes, were they looked at on 3 mm.
        let spacing = [100.0, 100.0, 3.0];
        let wide = Grid::axis_aligned(frame(), Shape::new(64, 60, 20), Lps::new(0.0, 0.0, 0.0), spacing).unwrap();
        let refused = working_volume(&Volume::filled(Arc::new(wide), 7.0f32), &WorkingSpec::default()).unwrap_err();
        assert!(refused.to_string().contains("6400 x 6000 x 60 mm"), "{refused}");
    }

    #[test]
    fn a_coarser_grid_is_of_the_same_size() {
        let coarser = WorkingSpec::default().coarser(1.5);
        assert_eq!((coarser.spacing, coarser.shape), ([1.05, 1.05, 1.35], [214, 244, 134]));
        assert_eq!(WorkingSpec::default().coarser(1.0), WorkingSpec::default());
    }
}
