//! A sheet of one head in all three orientations, from masks.

use std::sync::Arc;

use super::{
    BACKGROUND, Canvas, GAP, HEADER, LEGEND, STATEMENT, Shown, TEXT, TILE_WIDTH, TILES_PER_ROW, View, WARNING, Window,
    choose_planes,
};
use crate::anatomy::Structure;
use crate::contour::{ContourConfig, ContourError, contours_of};
use crate::geometry::{GeometryError, Grid, Mask, Shape, Volume};

/// Planes of each orientation, at least, where the head has as many.
const LEAST_TILES: usize = 5;
/// Height of a line of remarks.
const LINE: usize = 20;

/// A PNG of axial, coronal and sagittal planes, each structure on the plane where it is largest, with outlines in the
/// colours of the catalogue; title and remarks (in the colour of a warning) above. Planes as in
/// [`contact_sheet`](super::contact_sheet): the patient's right to the left, front or head up.
///
/// # Errors
/// [`ContourError`]: a mask on another grid than the image, a picture that cannot be written.
pub fn three_planes(
    image: &Volume<f32>,
    structures: &[(Structure, Mask)],
    title: &str,
    remarks: &[String],
) -> Result<Vec<u8>, ContourError> {
    // In storage order of the turned volume: the axes of the image that become columns, rows, planes.
    let turns = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
    let window = Window::of(image);
    let mut bands = Vec::new();
    for turn in turns {
        let volume = turned(image, turn)?;
        let mut drawn: Vec<Shown> = Vec::new();
        for (structure, mask) in structures {
            image.same_grid(mask)?;
            drawn.push(Shown::of(*structure, contours_of(&turned(mask, turn)?, &ContourConfig::default())?));
        }
        let planes = choose_planes(volume.grid().shape().slices, &drawn, LEAST_TILES);
        let view = View::of(volume.grid(), &drawn);
        bands.push((volume, drawn, planes, view));
    }
    let head = HEADER + (1 + remarks.len()) * LINE;
    let heights = bands.iter().map(|(_, _, planes, view)| planes.len().div_ceil(TILES_PER_ROW) * (view.height + GAP));
    let legend_top = head + heights.sum::<usize>() + GAP;
    let width = TILES_PER_ROW * (TILE_WIDTH + GAP) + GAP;
    let height = legend_top + structures.len().div_ceil(LEGEND.0) * LEGEND.1 + GAP;
    let mut sheet = Canvas::new(width, height, BACKGROUND);
    sheet.text(12, 14, 2, STATEMENT, WARNING);
    sheet.text(12, HEADER, 2, title, TEXT);
    for (n, remark) in remarks.iter().enumerate() {
        sheet.text(12, HEADER + (n + 1) * LINE, 2, remark, WARNING);
    }
    let mut top = head;
    for (volume, drawn, planes, view) in &bands {
        for (n, k) in planes.iter().enumerate() {
            let (column, row) = (n % TILES_PER_ROW, n / TILES_PER_ROW);
            let corner = [GAP + column * (TILE_WIDTH + GAP), top + row * (view.height + GAP)];
            view.draw(&mut sheet, corner, volume, *k, window, drawn);
        }
        top += planes.len().div_ceil(TILES_PER_ROW) * (view.height + GAP);
    }
    for (n, (structure, _)) in structures.iter().enumerate() {
        let (x, y) = (12 + n % LEGEND.0 * (width / LEGEND.0), legend_top + n / LEGEND.0 * LEGEND.1);
        sheet.fill(x, y, 16, 16, structure.colour());
        sheet.text(x + 24, y, 2, structure.name(), TEXT);
    }
    sheet.png()
}

/// The same values with other axes as columns, rows and planes; every voxel stays where it is in the patient.
fn turned<T: Copy>(volume: &Volume<T>, [cols, rows, planes]: [usize; 3]) -> Result<Volume<T>, GeometryError> {
    let grid = volume.grid();
    let s = grid.shape();
    let size = [s.cols, s.rows, s.slices];
    let (axes, spacing) = (grid.axes(), grid.spacing());
    let shape = Shape::new(size[cols], size[rows], size[planes]);
    let order = [cols, rows, planes];
    let other =
        Grid::new(grid.frame().clone(), shape, grid.origin(), order.map(|a| axes[a]), order.map(|a| spacing[a]))?;
    let mut data = Vec::with_capacity(shape.voxels());
    let mut at = [0usize; 3];
    for k in 0..shape.slices {
        at[planes] = k;
        for j in 0..shape.rows {
            at[rows] = j;
            for i in 0..shape.cols {
                at[cols] = i;
                data.push(volume.at(at[0], at[1], at[2]));
            }
        }
    }
    Volume::new(Arc::new(other), data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contour::test_support::mask;
    use crate::geometry::Lps;

    #[test]
    fn turning_moves_nothing_in_the_patient() {
        let volume = mask([5, 4, 3], [1.0, 2.0, 3.0], vec![false; 60]).map(|_| 0.0f32);
        let volume = Volume::new(Arc::clone(volume.grid()), (0..60).map(|n| n as f32).collect()).unwrap();
        for turn in [[0, 2, 1], [1, 2, 0]] {
            let out = turned(&volume, turn).unwrap();
            for offset in 0..60 {
                let [i, j, k] = out.voxel(offset);
                let at: Lps = out.grid().centre(i, j, k);
                let from = volume.grid().to_index(at);
                let [x, y, z] = [from.i, from.j, from.k].map(|v| v.round() as usize);
                assert_eq!(out.data()[offset], volume.at(x, y, z), "{turn:?}");
            }
        }
    }

    #[test]
    fn every_orientation_shows_the_structure_and_the_remark() {
        let shape = [40, 50, 30];
        let inside = |n: usize| {
            let (i, j, k) = (n % 40, n / 40 % 50, n / 2000);
            (24..34).contains(&i) && (6..18).contains(&j) && (9..20).contains(&k)
        };
        let eye = mask(shape, [2.0, 2.0, 3.0], (0..60_000).map(inside).collect());
        let image = eye.map(|v| if *v { 900.0 } else { 300.0 });
        let with = three_planes(&image, &[(Structure::Eye_L, eye.clone())], "case-1", &["Eye_L: odd".into()]).unwrap();
        let without = three_planes(&image, &[(Structure::Eye_L, eye)], "case-1", &[]).unwrap();
        let decode = |bytes: &[u8]| {
            let mut reader = png::Decoder::new(std::io::Cursor::new(bytes.to_vec())).read_info().unwrap();
            let mut samples = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut samples).unwrap();
            (info.width as usize, info.height as usize, samples)
        };
        let (width, height, samples) = decode(&with);
        assert_eq!(decode(&without).1 + LINE, height);
        // Rows with the colour of the structure: three bands of tiles, and the legend.
        let row = |y: usize| {
            let row = &samples[y * width * 3..(y + 1) * width * 3];
            row.chunks_exact(3).any(|c| c == Structure::Eye_L.colour())
        };
        let bands = (1..height).filter(|y| row(*y) && !row(*y - 1)).count();
        assert!(bands >= 4, "{bands}");
    }
}
