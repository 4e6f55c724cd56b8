//! A picture to look at: a sheet of planes with the contours drawn on them.

mod planes;

use serde::Serialize;

use super::canvas::{Canvas, Colour, LETTER};
use super::{ContourError, PlaneContour, Point, enclosed};
use crate::anatomy::Structure;
use crate::geometry::{Grid, Vec3, Volume, quantile};

pub use planes::three_planes;

/// What every sheet says.
pub const STATEMENT: &str = "RESEARCH USE ONLY, NOT REVIEWED";

/// Planes on a sheet, when the series has as many.
const TILES: usize = 20;
const TILES_PER_ROW: usize = 5;
const TILE_WIDTH: usize = 300;
const HEADER: usize = 44;
const GAP: usize = 4;
const LINE_WIDTH: f64 = 1.5;
/// Shown around the contours, in mm.
const MARGIN_MM: f64 = 12.0;
/// A sheet shows at least this much, in mm, so that a lone small structure keeps its surroundings.
const LEAST_VIEW_MM: f64 = 120.0;
/// Legend: entries in a row, height of a row.
const LEGEND: (usize, usize) = (3, 26);

const BACKGROUND: Colour = [18, 18, 22];
const TEXT: Colour = [230, 230, 230];
const WARNING: Colour = [255, 90, 90];

/// Which intensities are shown: black at `centre - width / 2` and below, white at `centre + width / 2` and above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Window {
    /// The intensity that becomes middle grey.
    pub centre: f32,
    /// From black to white, above zero.
    pub width: f32,
}

impl Window {
    /// From 1 % to 99.5 % of the intensities above zero (air reads as zero), looked up in at most a million voxels.
    pub fn of(volume: &Volume<f32>) -> Self {
        let step = volume.data().len().div_ceil(1_000_000).max(1);
        let bright = || volume.data().iter().copied().step_by(step).filter(|v| *v > 0.0);
        let (low, high) = (quantile(bright(), 0.01), quantile(bright(), 0.995));
        let width = if high > low { high - low } else { 1.0 };
        Self { centre: low + width / 2.0, width }
    }

    /// The grey level of an intensity.
    pub fn grey(self, value: f32) -> u8 {
        // What is not a number becomes black: the cast saturates and takes NaN to 0.
        (((value - self.centre) / self.width + 0.5) * 255.0).round().clamp(0.0, 255.0) as u8
    }
}

/// What a sheet shows of one structure.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its name in the legend.
    pub name: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
    /// None: it was not found.
    pub contours: Vec<PlaneContour>,
}

impl Shown {
    /// A structure by its own name and colour.
    pub fn of(structure: Structure, contours: Vec<PlaneContour>) -> Self {
        Self { name: structure.name().to_owned(), colour: structure.colour(), contours }
    }
}

/// A sheet of up to 20 planes of a series with contours in the structures' colours, as a PNG. Every structure that
/// has contours is shown on the plane where it is largest; the other planes are spread over what is contoured. All
/// planes show the same part of the patient at the same scale, with the patient's right to the left and front (or head)
/// up; letters at the borders say so. The legend names structures without contours as not found.
///
/// # Errors
/// [`ContourError::Picture`] when the picture cannot be written.
pub fn contact_sheet(volume: &Volume<f32>, structures: &[Shown]) -> Result<Vec<u8>, ContourError> {
    let view = View::of(volume.grid(), structures);
    let planes = choose_planes(volume.grid().shape().slices, structures, TILES);
    let columns = planes.len().clamp(1, TILES_PER_ROW);
    let (step_x, step_y) = (TILE_WIDTH + GAP, view.height + GAP);
    let legend_top = HEADER + planes.len().div_ceil(columns) * step_y + GAP;
    let legend_height = structures.len().div_ceil(LEGEND.0) * LEGEND.1;
    // Wide enough for the statement and the legend even with a single plane.
    let width = (columns * step_x + GAP).max(4 * step_x + GAP);
    let mut sheet = Canvas::new(width, legend_top + legend_height + GAP, BACKGROUND);
    sheet.text(12, 14, 2, STATEMENT, WARNING);

    let window = Window::of(volume);
    for (n, k) in planes.iter().enumerate() {
        let corner = [GAP + n % columns * step_x, HEADER + n / columns * step_y];
        view.draw(&mut sheet, corner, volume, *k, window, structures);
    }
    for (n, Shown { name, colour: own, contours }) in structures.iter().enumerate() {
        let (x, y) = (12 + n % LEGEND.0 * (width / LEGEND.0), legend_top + n / LEGEND.0 * LEGEND.1);
        let (note, colour) = if contours.is_empty() { (" not found", WARNING) } else { ("", TEXT) };
        sheet.fill(x, y, 16, 16, *own);
        sheet.text(x + 24, y, 2, &format!("{name}{note}"), colour);
    }
    sheet.png()
}

/// The planes to show, ascending: where each structure is largest, then the middles of the widest gaps.
fn choose_planes(slices: usize, structures: &[Shown], tiles: usize) -> Vec<usize> {
    let mut chosen = std::collections::BTreeSet::new();
    let mut contoured: Option<(usize, usize)> = None;
    for Shown { contours, .. } in structures {
        let mut area = vec![0.0f64; slices];
        for contour in contours.iter().filter(|c| c.slice < slices) {
            area[contour.slice] += enclosed(&contour.points);
            let (lo, hi) = contoured.unwrap_or((contour.slice, contour.slice));
            contoured = Some((lo.min(contour.slice), hi.max(contour.slice)));
        }
        chosen.extend((0..slices).filter(|k| area[*k] > 0.0).max_by(|a, b| area[*a].total_cmp(&area[*b])));
    }
    let (first, last) = contoured.unwrap_or((0, slices - 1));
    if chosen.is_empty() {
        chosen.insert(first.midpoint(last));
    }
    while chosen.len() < tiles.min(last - first + 1) {
        // The ends count as borders just outside, so that they are reached in the end.
        let before = |k: usize| chosen.range(..k).next_back().map_or(first as i64 - 1, |b| *b as i64);
        let stops = chosen.iter().copied().chain([last + 1]);
        let Some((gap, low)) = stops.map(|k| (k as i64 - before(k), before(k))).max_by_key(|(gap, _)| *gap) else {
            break;
        };
        chosen.insert((low + gap / 2) as usize);
    }
    chosen.into_iter().collect()
}

/// The part of every plane that is shown, and how.
struct View {
    /// Continuous index shown at the upper left pixel, and index per pixel to the right and down (signed: a flip).
    start: Point,
    step: Point,
    height: usize,
    /// Letters at the left, right, upper and lower border.
    letters: [String; 4],
}

impl View {
    fn of(grid: &Grid, structures: &[Shown]) -> Self {
        let shape = grid.shape();
        let size = [shape.cols as f64, shape.rows as f64];
        let spacing = grid.spacing();
        let points = || structures.iter().flat_map(|s| &s.contours).flat_map(|c| &c.points);
        let shown: [(f64, f64); 2] = std::array::from_fn(|a| {
            let (mut lo, mut hi) = points().fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p[a]), h.max(p[a])));
            if lo > hi {
                (lo, hi) = (0.0, size[a] - 1.0);
            }
            let more = (LEAST_VIEW_MM - (hi - lo) * spacing[a]).max(2.0 * MARGIN_MM) / 2.0 / spacing[a];
            ((lo - more).max(-0.5), (hi + more).min(size[a] - 0.5))
        });
        let span_mm: Point = std::array::from_fn(|a| (shown[a].1 - shown[a].0) * spacing[a]);
        let mm = span_mm[0] / TILE_WIDTH as f64;
        let height = (span_mm[1] / mm).round().clamp(1.0, 4.0 * TILE_WIDTH as f64) as usize;

        let [i, j, _] = grid.axes();
        let flips = [main_axis(i).1 < 0.0, (main_axis(j).1 < 0.0) != (main_axis(j).0 == 2)];
        let step: Point = std::array::from_fn(|a| if flips[a] { -mm / spacing[a] } else { mm / spacing[a] });
        let start: Point = std::array::from_fn(|a| if flips[a] { shown[a].1 } else { shown[a].0 } + step[a] / 2.0);
        let right = if flips[0] { i * -1.0 } else { i };
        let down = if flips[1] { j * -1.0 } else { j };
        let main = |direction: Vec3| direction.sides().chars().take(1).collect();
        Self { start, step, height, letters: [right * -1.0, right, down * -1.0, down].map(main) }
    }

    fn draw(
        &self,
        sheet: &mut Canvas,
        corner: [usize; 2],
        volume: &Volume<f32>,
        k: usize,
        window: Window,
        structures: &[Shown],
    ) {
        let [left, top] = corner;
        for y in 0..self.height {
            for x in 0..TILE_WIDTH {
                let i = self.start[0] + self.step[0] * x as f64;
                let j = self.start[1] + self.step[1] * y as f64;
                let grey = window.grey(between(volume, i, j, k));
                sheet.blend(left + x, top + y, [grey; 3], 1.0);
            }
        }
        let to_pixel = |p: &Point| [(p[0] - self.start[0]) / self.step[0], (p[1] - self.start[1]) / self.step[1]];
        // The largest first, so that its line does not hide a smaller one's where they run together.
        let mut shown: Vec<(f64, [u8; 3], Vec<Vec<Point>>)> = Vec::new();
        for Shown { colour, contours, .. } in structures {
            let here: Vec<_> = contours.iter().filter(|c| c.slice == k).collect();
            let area = here.iter().map(|c| enclosed(&c.points)).sum();
            let polygons = here.iter().map(|c| c.points.iter().map(to_pixel).collect()).collect();
            shown.push((area, *colour, polygons));
        }
        shown.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, colour, polygons) in shown.iter().filter(|(_, _, polygons)| !polygons.is_empty()) {
            sheet.polygons([left, top, TILE_WIDTH, self.height], polygons, LINE_WIDTH, *colour);
        }
        let (middle_x, middle_y) = (left + TILE_WIDTH / 2 - LETTER, top + self.height / 2 - LETTER);
        let [l, r, u, d] = &self.letters;
        sheet.label(left + 4, middle_y, 2, l, TEXT);
        sheet.label(left + TILE_WIDTH - 4 - 2 * LETTER, middle_y, 2, r, TEXT);
        sheet.label(middle_x, top + 4, 2, u, TEXT);
        sheet.label(middle_x, (top + self.height).saturating_sub(4 + 2 * LETTER), 2, d, TEXT);
        let shape = volume.grid().shape();
        let centre = volume.grid().centre(shape.cols / 2, shape.rows / 2, k).to_array();
        let (axis, _) = main_axis(volume.grid().axes()[2]);
        let place = format!("{k}  {} {:.1} mm", ["x", "y", "z"][axis], centre[axis]);
        sheet.label(left + 4, top + 4, 1, &place, TEXT);
    }
}

/// Linear interpolation within plane k; the border pixels reach outwards.
fn between(volume: &Volume<f32>, i: f64, j: f64, k: usize) -> f32 {
    let shape = volume.grid().shape();
    let split = |v: f64, n: usize| {
        let v = v.clamp(0.0, (n - 1) as f64);
        let low = (v as usize).min(n.saturating_sub(2));
        (low, (low + 1).min(n - 1), (v - low as f64) as f32)
    };
    let ((i0, i1, u), (j0, j1, v)) = (split(i, shape.cols), split(j, shape.rows));
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    mix(mix(volume.at(i0, j0, k), volume.at(i1, j0, k), u), mix(volume.at(i0, j1, k), volume.at(i1, j1, k), u), v)
}

/// The patient axis (0 x, 1 y, 2 z) along which a direction runs most, and how far.
fn main_axis(v: Vec3) -> (usize, f64) {
    let parts = v.to_array();
    let axis = (0..3).max_by(|a, b| parts[*a].abs().total_cmp(&parts[*b].abs())).unwrap_or(0);
    (axis, parts[axis])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::contour::test_support::contour;
    use crate::geometry::{Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    /// A head-like volume; i runs to the right and j to the front, so that both directions are flipped for display.
    fn head(shape: Shape, spacing: [f64; 3]) -> Volume<f32> {
        let axes = [Vec3::new(-1.0, 0.0, 0.0), Vec3::new(0.0, -1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let grid = Arc::new(Grid::new(frame, shape, Lps::new(90.0, 105.0, -40.0), axes, spacing).unwrap());
        let mut v = Volume::filled(Arc::clone(&grid), 0.0f32);
        for offset in 0..v.data().len() {
            let [i, j, k] = v.voxel(offset);
            let p = grid.centre(i, j, k);
            let r = (p.x / 75.0).powi(2) + (p.y / 95.0).powi(2) + ((p.z - 10.0) / 90.0).powi(2);
            // Brighter to the patient's left, so that a flip shows.
            v.data_mut()[offset] = if r < 1.0 { 300.0 + 2.0 * p.x as f32 } else { 0.0 };
        }
        v
    }

    /// A disc of a radius in mm around a patient point, on some planes.
    fn discs(grid: &Grid, centre: [f64; 2], radius: f64, planes: std::ops::Range<usize>) -> Vec<PlaneContour> {
        let spacing = grid.spacing();
        let at = grid.to_index(Lps::new(centre[0], centre[1], 0.0));
        planes
            .map(|k| {
                let points: Vec<Point> = (0..60)
                    .map(|n| f64::from(n) * std::f64::consts::TAU / 60.0)
                    .map(|a| [at.i + radius / spacing[0] * a.cos(), at.j + radius / spacing[1] * a.sin()])
                    .collect();
                contour(k, &points)
            })
            .collect()
    }

    struct Decoded {
        width: usize,
        height: usize,
        samples: Vec<u8>,
    }

    fn decode(png: &[u8]) -> Decoded {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut samples).unwrap();
        Decoded { width: info.width as usize, height: info.height as usize, samples }
    }

    /// Where a colour is found within a box of the sheet: x and y from, to.
    fn extent_of(d: &Decoded, colour: Colour, below: usize) -> Option<[usize; 4]> {
        let mut found: Option<[usize; 4]> = None;
        for (n, _) in d.samples.chunks_exact(3).enumerate().filter(|(_, c)| *c == colour) {
            let (x, y) = (n % d.width, n / d.width);
            if y < below {
                let [a, b, c, e] = found.unwrap_or([x, x, y, y]);
                found = Some([a.min(x), b.max(x), c.min(y), e.max(y)]);
            }
        }
        found
    }

    #[test]
    fn a_disc_stays_round_and_the_left_eye_is_drawn_on_the_right() {
        let volume = head(Shape::new(360, 95, 1), [0.5, 2.2, 3.0]);
        let grid = volume.grid();
        let sheet = contact_sheet(
            &volume,
            &[
                Shown::of(Structure::Eye_L, discs(grid, [32.0, -60.0], 14.0, 0..1)),
                Shown::of(Structure::Eye_R, discs(grid, [-30.0, -61.0], 12.0, 0..1)),
                Shown::of(Structure::Brain, discs(grid, [1.0, 20.0], 55.0, 0..1)),
                Shown::of(Structure::Pituitary, Vec::new()),
            ],
        )
        .unwrap();
        let decoded = decode(&sheet);
        let tile_end = decoded.height - 2 * LEGEND.1 - 2 * GAP;
        let left = extent_of(&decoded, Structure::Eye_L.colour(), tile_end).unwrap();
        let right = extent_of(&decoded, Structure::Eye_R.colour(), tile_end).unwrap();
        let brain = extent_of(&decoded, Structure::Brain.colour(), tile_end).unwrap();
        assert!(left[0] > right[1], "the patient's left must be drawn on the right");
        assert!(left[3] < brain[3], "the front must be drawn at the top");
        let (w, h) = ((brain[1] - brain[0]) as f64, (brain[3] - brain[2]) as f64);
        assert!((w / h - 1.0).abs() < 0.03, "a disc is drawn {w} x {h}");
        assert!(extent_of(&decoded, Structure::Pituitary.colour(), tile_end).is_none());
        assert!(extent_of(&decoded, Structure::Pituitary.colour(), decoded.height).is_some());
    }

    #[test]
    fn the_legend_says_what_was_not_found() {
        let volume = head(Shape::new(180, 105, 30), [1.0, 2.0, 2.5]);
        let brain = Shown::of(Structure::Brain, discs(volume.grid(), [1.0, 20.0], 55.0, 3..9));
        // Pixels in the colour of a warning, below the statement at the top that has it always.
        let warned = |eye: Vec<PlaneContour>| {
            let sheet = decode(&contact_sheet(&volume, &[brain.clone(), Shown::of(Structure::Eye_R, eye)]).unwrap());
            let samples = sheet.samples.chunks_exact(3).skip(HEADER * sheet.width);
            samples.filter(|colour| *colour == WARNING).count()
        };
        assert_eq!(warned(discs(volume.grid(), [-30.0, -61.0], 12.0, 4..7)), 0);
        assert!(warned(Vec::new()) > "Eye_R not found".len() * 20, "its name and the words are written as a warning");
    }

    #[test]
    fn every_structure_is_on_a_chosen_plane() {
        let volume = head(Shape::new(180, 105, 60), [1.0, 2.0, 2.5]);
        let grid = volume.grid();
        let structures: Vec<_> = Structure::ALL
            .into_iter()
            .enumerate()
            .map(|(n, s)| Shown::of(s, discs(grid, [0.0, 0.0], 6.0 + n as f64, 4 * n + 3..4 * n + 4)))
            .collect();
        let planes = choose_planes(60, &structures, TILES);
        assert_eq!(planes.len(), TILES);
        assert!(planes.is_sorted());
        for Shown { name, contours, .. } in &structures {
            assert!(planes.contains(&contours[0].slice), "{name} is not shown");
        }
        assert_eq!(choose_planes(3, &[], TILES), [0, 1, 2]);
        assert_eq!(
            choose_planes(60, &[Shown::of(Structure::Brain, discs(grid, [0.0; 2], 9.0, 7..10))], TILES),
            [7, 8, 9]
        );
        assert!(contact_sheet(&volume, &structures).is_ok());
    }

    #[test]
    fn letters_follow_the_axes() {
        let view = View::of(head(Shape::new(90, 80, 2), [2.0, 2.5, 3.0]).grid(), &[]);
        assert_eq!(view.letters, ["R", "L", "A", "P"]);
    }

    #[test]
    fn the_window_spans_what_is_bright_and_never_vanishes() {
        let volume = head(Shape::new(90, 80, 3), [2.0, 2.5, 20.0]);
        let window = Window::of(&volume);
        let (low, high) = (window.centre - window.width / 2.0, window.centre + window.width / 2.0);
        assert!(low > 0.0 && high < 500.0 && low < high);
        assert_eq!((window.grey(low), window.grey(window.centre), window.grey(high)), (0, 128, 255));
        assert_eq!((window.grey(0.0), window.grey(1e6), window.grey(f32::NAN)), (0, 255, 0));
        assert!(Window::of(&volume.map(|_| 0.0)).width > 0.0);
    }
}
