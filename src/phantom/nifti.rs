//! A NIfTI-1 image to a volume in patient space.
//!
//! NIfTI's affine gives RAS millimetres; patient space here is LPS, so x and y change sign. The sform counts before the
//! qform, as the standard recommends for images that were aligned; an image with neither has no known orientation
//! (left could be right) and is refused.

use std::path::Path;
use std::sync::Arc;

use nifti::{IntoNdArray, NiftiHeader, NiftiObject, ReaderOptions};

use super::PhantomError;
use crate::geometry::{Grid, Lps, Shape, Vec3, Volume};
use crate::ids::FrameOfReferenceUid;

/// Largest number of voxels that is read; the head of an adult at 0.35 mm.
const MAX_VOXELS: usize = 400_000_000;

/// Reads a three-dimensional image, `.nii` or `.nii.gz`, scaled by its slope and intercept.
///
/// # Errors
/// [`PhantomError::Nifti`]: unreadable, not three-dimensional, without orientation, or with axes that are not at right
/// angles (a voxel grid of an MR series cannot be sheared).
pub fn read_nifti(path: &Path, frame: FrameOfReferenceUid) -> Result<Volume<f32>, PhantomError> {
    let fault = |reason: String| PhantomError::Nifti { path: path.to_owned(), reason };
    let header = NiftiHeader::from_file(path).map_err(|e| fault(e.to_string()))?;
    let extents = header.dim().map_err(|e| fault(e.to_string()))?.to_vec();
    let [cols, rows, slices] = match extents.as_slice() {
        [x, y, z, rest @ ..] if rest.iter().all(|n| *n == 1) => [*x, *y, *z].map(usize::from),
        other => return Err(fault(format!("it has the extents {other:?}; one three-dimensional image is needed"))),
    };
    if cols.saturating_mul(rows).saturating_mul(slices) > MAX_VOXELS {
        return Err(fault(format!("{cols} x {rows} x {slices} voxels are more than a head needs")));
    }
    let (columns, origin) = placement(&header).map_err(fault)?;
    let mut axes = [Vec3::new(0.0, 0.0, 0.0); 3];
    let mut spacing = [0.0; 3];
    for (a, column) in columns.into_iter().enumerate() {
        spacing[a] = column.norm();
        axes[a] = column.unit().ok_or_else(|| fault(format!("axis {a} of its orientation vanishes")))?;
    }
    let grid = Grid::new(frame, Shape::new(cols, rows, slices), origin, axes, spacing)
        .map_err(|e| fault(format!("its orientation is no voxel grid: {e}")))?;
    let object = ReaderOptions::new().read_file(path).map_err(|e| fault(e.to_string()))?;
    let array = object.into_volume().into_ndarray::<f32>().map_err(|e| fault(e.to_string()))?;
    // Logical order of the reversed axes is k, j, i: i fastest.
    let data: Vec<f32> = array.reversed_axes().iter().copied().collect();
    if let Some(bad) = data.iter().find(|v| !v.is_finite()) {
        return Err(fault(format!("it holds the value {bad}")));
    }
    Ok(Volume::new(Arc::new(grid), data)?)
}

/// Displacements in LPS mm for one voxel along i, j, k, and the centre of voxel (0, 0, 0).
fn placement(header: &NiftiHeader) -> Result<([Vec3; 3], Lps), String> {
    let lps = |x: f64, y: f64, z: f64| Vec3::new(-x, -y, z);
    if header.sform_code > 0 {
        let rows = [header.srow_x, header.srow_y, header.srow_z].map(|row| row.map(f64::from));
        let column = |n: usize| lps(rows[0][n], rows[1][n], rows[2][n]);
        let o = column(3);
        return Ok(([column(0), column(1), column(2)], Lps::new(o.x, o.y, o.z)));
    }
    if header.qform_code <= 0 {
        return Err("it has neither sform nor qform: left and right cannot be told apart".into());
    }
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    // A unit quaternion; rounding may make the square slightly negative.
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let flip = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let [_, dx, dy, dz, ..] = header.pixdim.map(f64::from);
    let column = |v: [f64; 3], step: f64| lps(v[0] * step, v[1] * step, v[2] * step);
    let columns = [
        column([a * a + b * b - c * c - d * d, 2.0 * (b * c + a * d), 2.0 * (b * d - a * c)], dx),
        column([2.0 * (b * c - a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d + a * b)], dy),
        column([2.0 * (b * d + a * c), 2.0 * (c * d - a * b), a * a + d * d - b * b - c * c], dz * flip),
    ];
    let [x, y, z] = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    Ok((columns, Lps::new(-x, -y, z)))
}

#[cfg(test)]
mod tests {
    use super::super::Acquisition;
    use super::*;

    /// Bytes of a NIfTI-1 file of 4 x 3 x 2 voxels of 16-bit integers.
    fn file(change: impl Fn(&mut [u8])) -> tempfile::NamedTempFile {
        let mut h = vec![0u8; 352];
        let mut put = |at: usize, bytes: &[u8]| h[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &348i32.to_le_bytes());
        for (n, v) in [3i16, 4, 3, 2, 1, 1, 1, 1].into_iter().enumerate() {
            put(40 + 2 * n, &v.to_le_bytes());
        }
        put(70, &4i16.to_le_bytes());
        put(72, &16i16.to_le_bytes());
        for (n, v) in [1.0f32, 2.0, 0.5, 3.0].into_iter().enumerate() {
            put(76 + 4 * n, &v.to_le_bytes());
        }
        put(108, &352f32.to_le_bytes());
        put(344, b"n+1\0");
        change(&mut h);
        h.extend((0..24i16).flat_map(|v| (v * 10).to_le_bytes()));
        let out = tempfile::Builder::new().suffix(".nii").tempfile().unwrap();
        std::fs::write(out.path(), h).unwrap();
        out
    }

    fn floats(h: &mut [u8], at: usize, values: &[f32]) {
        for (n, v) in values.iter().enumerate() {
            h[at + 4 * n..at + 4 * n + 4].copy_from_slice(&v.to_le_bytes());
        }
    }

    /// In RAS: i along +y, j along -z, k along +x.
    fn with_sform(h: &mut [u8]) {
        h[254..256].copy_from_slice(&1i16.to_le_bytes());
        floats(h, 280, &[0.0, 0.0, 3.0, 11.0, 2.0, 0.0, 0.0, -7.0, 0.0, -0.5, 0.0, 40.0]);
    }

    fn read(file: &tempfile::NamedTempFile) -> Result<Volume<f32>, PhantomError> {
        read_nifti(file.path(), FrameOfReferenceUid::derive(&["nifti"]))
    }

    #[test]
    fn the_sform_places_voxels_in_lps() {
        let v = read(&file(with_sform)).unwrap();
        assert_eq!(v.grid().spacing(), [2.0, 0.5, 3.0]);
        assert_eq!(v.grid().centre(0, 0, 0), Lps::new(-11.0, 7.0, 40.0));
        // RAS +y is anterior and RAS +x right: in LPS both fall.
        assert_eq!(v.grid().centre(1, 0, 0), Lps::new(-11.0, 5.0, 40.0));
        assert_eq!(v.grid().centre(0, 1, 0), Lps::new(-11.0, 7.0, 39.5));
        assert_eq!(v.grid().centre(0, 0, 1), Lps::new(-14.0, 7.0, 40.0));
        assert_eq!([v.at(1, 0, 0), v.at(0, 1, 0), v.at(0, 0, 1)], [10.0, 40.0, 120.0]);
    }

    #[test]
    fn the_qform_is_used_without_an_sform_and_its_handedness_counts() {
        for (factor, third) in [(1.0f32, 43.0), (-1.0, 37.0)] {
            let v = read(&file(|h| {
                h[252..254].copy_from_slice(&1i16.to_le_bytes());
                floats(h, 76, &[factor]);
                // Half a turn about z: RAS (x, y) change sign, so that LPS x and y grow with i and j.
                floats(h, 256, &[0.0, 0.0, 1.0, 9.0, 5.0, 40.0]);
            }))
            .unwrap();
            let close = |p: Lps, q: Lps| assert!(p.distance(q) < 1e-4, "{p:?} {q:?}");
            close(v.grid().centre(0, 0, 0), Lps::new(-9.0, -5.0, 40.0));
            close(v.grid().centre(1, 0, 0), Lps::new(-7.0, -5.0, 40.0));
            close(v.grid().centre(0, 1, 0), Lps::new(-9.0, -4.5, 40.0));
            close(v.grid().centre(0, 0, 1), Lps::new(-9.0, -5.0, third));
        }
    }

    #[test]
    fn slope_and_intercept_are_applied() {
        let v = read(&file(|h| {
            with_sform(h);
            floats(h, 112, &[0.5, 3.0]);
        }))
        .unwrap();
        assert_eq!(v.at(1, 0, 0), 8.0);
    }

    #[test]
    fn what_has_no_orientation_or_a_sheared_one_is_refused() {
        let reason = |f: &tempfile::NamedTempFile| read(f).unwrap_err().to_string();
        assert!(reason(&file(|_| ())).contains("neither sform nor qform"));
        let sheared = file(|h| {
            with_sform(h);
            floats(h, 280, &[0.3]);
        });
        assert!(reason(&sheared).contains("no voxel grid"));
        let four = file(|h| {
            with_sform(h);
            h[40..42].copy_from_slice(&4i16.to_le_bytes());
            h[48..50].copy_from_slice(&2i16.to_le_bytes());
        });
        assert!(reason(&four).contains("three-dimensional"));
    }

    /// A lopsided image keeps its sides through every acquisition.
    #[test]
    fn re_ordering_moves_no_voxel() {
        let v = read(&file(with_sform)).unwrap();
        for acquisition in [Acquisition::Axial, Acquisition::Sagittal, Acquisition::Coronal, Acquisition::FeetFirst] {
            let out = acquisition.acquire(&v, None).unwrap();
            for (axis, wanted) in out.grid().axes().iter().zip(acquisition.axes()) {
                assert!(axis.dot(wanted) > 0.999, "{acquisition:?}");
            }
            assert_eq!(out.data().len(), v.data().len());
            for offset in 0..out.data().len() {
                let [i, j, k] = out.voxel(offset);
                let at = v.grid().to_index(out.grid().centre(i, j, k));
                let [x, y, z] = [at.i, at.j, at.k].map(|c| c.round() as usize);
                assert_eq!(out.data()[offset], v.at(x, y, z), "{acquisition:?}");
            }
        }
    }
}
