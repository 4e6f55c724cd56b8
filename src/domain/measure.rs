//! What is measured of an image, each measure something that can be pointed at.

use serde::{Deserialize, Serialize};

use super::look::{Look, SPACING};
use crate::geometry::quantile;

/// A measure. Intensities count in those of the deep interior, which is white matter in a T1 of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Area of the body 8 mm below its top over the largest: a head begins round, what is cut begins flat.
    Top,
    /// Area of the body 104 mm below its top (at its lower end, where that is nearer) over the largest: a head goes on to face
    /// and neck, a brain without skull ends.
    Base,
    /// From the top of the body to its lower end, mm.
    Height,
    /// Width of the vault from left to right, mm (four standard deviations, as of an ellipse).
    Width,
    /// Length of the vault from front to back, mm.
    Length,
    /// Length over width of the vault.
    Elongation,
    /// Overlap (Dice) of the outline with its mirror image, left for right, plane by plane.
    Symmetry,
    /// Cross-section of the vault 4 mm within its ends to the left, right, front and back, over the largest one along that
    /// axis, the greatest of the four: a head ends round, what is cut by the field of view ends flat.
    Flat,
    /// Tissue beside the body, as a share of the body.
    Beside,
    /// Brightness of the air around the body (90 % quantile).
    Air,
    /// Distance over which brightness rises at the surface of the vault, mm: what moved has no sharp edge.
    Edge,
    /// Brightness of the darkest that rays meet 3 to 20 mm below the surface of the vault, of four in five rays: the skull.
    Skull,
    /// Brightness of the brightest that they meet 6 to 20 mm below it: bone and brain.
    Shell,
    /// Dark fluid: brightness of the darkest 3 % of the deep interior.
    Dark,
    /// Brightness of the brightest 2 % of the deep interior.
    Bright,
    /// Bright end of the layer inside the skull, where the cortex is, over the deep interior: grey over white matter.
    Cortex,
    /// Differences between neighbouring voxels of 2 mm in that layer: folds and noise.
    Texture,
    /// Share of dark tissue deep in the middle of the lower head, in front less at the back: eyes, nose and sinuses lie in
    /// front, cerebellum at the back.
    Face,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 18] = [
        Measure::Top,
        Measure::Base,
        Measure::Height,
        Measure::Width,
        Measure::Length,
        Measure::Elongation,
        Measure::Symmetry,
        Measure::Flat,
        Measure::Beside,
        Measure::Air,
        Measure::Edge,
        Measure::Skull,
        Measure::Shell,
        Measure::Dark,
        Measure::Bright,
        Measure::Cortex,
        Measure::Texture,
        Measure::Face,
    ];
}

/// Distances below the top of the body, mm, between which the vault is a closed shell around brain.
const VAULT: (f64, f64) = (15.0, 80.0);
/// From this depth on, mm, there is nothing but brain in the vault.
const DEEP: f32 = 26.0;

/// All measures of a look, in the order of [`Measure::ALL`]; one that cannot be taken is not finite.
pub(super) fn measures(look: &Look) -> [f64; 18] {
    let Some((bottom, top)) = look.span else { return [f64::NAN; 18] };
    let v = look.image.data();
    let area = |below: f64| look.area[top.saturating_sub((below / SPACING) as usize).max(bottom)];
    let widest = (0..45).map(|n| area(20.0 + 2.0 * f64::from(n))).fold(0.0, f64::max);
    let [width, length] = size(look);
    let interior =
        |share| share_of(look.below_top(VAULT.0, 90.0).filter(|n| look.depth[*n] >= DEEP).map(|n| v[n]), share);
    let core = interior(0.5);
    let air = air(look, bottom, top);
    let shell = shell(look, core, air);
    let (cortex, texture) = cortex(look, shell.depth);
    [
        area(8.0) / widest,
        area(104.0) / widest,
        (top - bottom + 1) as f64 * SPACING,
        width,
        length,
        length / width,
        symmetry(look),
        flat(look),
        look.beside,
        air / core,
        shell.edge,
        shell.darkest / core,
        shell.brightest / core,
        interior(0.03) / core,
        interior(0.98) / core,
        cortex,
        texture / core,
        face(look, core),
    ]
}

fn share_of(values: impl Iterator<Item = f32>, share: f64) -> f64 {
    f64::from(quantile(values, share))
}

/// Mean place of voxels along an axis, in voxels.
fn middle(look: &Look, offsets: &[usize], axis: usize) -> f64 {
    offsets.iter().map(|n| look.image.voxel(*n)[axis] as f64).sum::<f64>() / offsets.len() as f64
}

/// Four standard deviations of the vault along x and y, mm.
fn size(look: &Look) -> [f64; 2] {
    let (mut n, mut sum, mut squares) = (0.0, [0.0f64; 2], [0.0f64; 2]);
    for offset in look.below_top(30.0, 75.0) {
        let [i, j, _] = look.image.voxel(offset);
        n += 1.0;
        for (a, at) in [i, j].into_iter().enumerate() {
            let at = at as f64 * SPACING;
            sum[a] += at;
            squares[a] += at * at;
        }
    }
    std::array::from_fn(|a| 4.0 * (squares[a] / n - (sum[a] / n).powi(2)).max(0.0).sqrt())
}

/// Each plane is mirrored at the middle of its own body, so that a tilted head is as symmetric as a straight one.
fn symmetry(look: &Look) -> f64 {
    let shape = look.image.grid().shape();
    let plane = shape.cols * shape.rows;
    let (mut shared, mut all) = (0usize, 0usize);
    let inside: Vec<usize> = look.below_top(VAULT.0, 110.0).collect();
    for of_plane in inside.chunk_by(|a, b| a / plane == b / plane) {
        let twice = 2.0 * of_plane.iter().map(|n| (n % shape.cols) as f64).sum::<f64>() / of_plane.len() as f64;
        for n in of_plane {
            let mirrored = (twice - (n % shape.cols) as f64).round();
            let there = mirrored >= 0.0 && mirrored < shape.cols as f64;
            shared += usize::from(there && look.body.data()[n - n % shape.cols + mirrored as usize]);
        }
        all += of_plane.len();
    }
    shared as f64 / all as f64
}

/// How flat the vault ends.
fn flat(look: &Look) -> f64 {
    let shape = look.image.grid().shape();
    let mut areas = [vec![0usize; shape.cols], vec![0usize; shape.rows]];
    for n in look.below_top(VAULT.0, VAULT.1) {
        let [i, j, _] = look.image.voxel(n);
        areas[0][i] += 1;
        areas[1][j] += 1;
    }
    let of = |areas: &Vec<usize>| {
        let most = areas.iter().copied().max().filter(|most| *most > 0)? as f64;
        let enough = |a: &usize| *a as f64 >= 0.01 * most;
        let (first, last) = areas.iter().position(enough).zip(areas.iter().rposition(enough))?;
        let within = (4.0 / SPACING) as usize;
        let at = |n: usize| areas.get(n).map_or(0.0, |a| *a as f64);
        Some(at(first + within).max(at(last.saturating_sub(within))) / most)
    };
    of(&areas[0]).zip(of(&areas[1])).map_or(f64::NAN, |(x, y)| x.max(y))
}

fn air(look: &Look, bottom: usize, top: usize) -> f64 {
    let shape = look.image.grid().shape();
    let plane = shape.cols * shape.rows;
    let v = look.image.data();
    // What is exactly 0 was not acquired.
    let air = (bottom * plane..(top + 1) * plane).filter(|n| !look.body.data()[*n] && v[*n] > 0.0);
    share_of(air.map(|n| v[n]), 0.9)
}

/// No ray counts more than this, mm: a few find an edge of 20 mm on a sharp head where something faint lies beside it.
const LONGEST_EDGE: f64 = 6.0;

/// What rays from the middle of the vault meet just below its surface.
struct Shell {
    /// The darkest value of a ray between 3 and 20 mm below the surface: what four in five rays are darker than. Furrows
    /// of a brain without skull are as dark, but not everywhere.
    darkest: f64,
    /// Median depth of those, mm.
    depth: f32,
    /// Median of the brightest values between 6 and 20 mm.
    brightest: f64,
    /// Mean distance over which the surface rises, mm; of a ray [`LONGEST_EDGE`] at most.
    edge: f64,
}

/// Rays upwards and sideways, every few degrees: a layer is met by each of them wherever it lies, however thick the scalp.
fn shell(look: &Look, core: f64, air: f64) -> Shell {
    let vault: Vec<usize> = look.below_top(30.0, 75.0).collect();
    let top = look.span.map_or(0, |(_, top)| top) as f64;
    let centre = [middle(look, &vault, 0), middle(look, &vault, 1), top - 70.0 / SPACING];
    let (mut darkest, mut depths, mut brightest, mut edges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (elevation, turn) in (1..=8).flat_map(|e| (0..60).map(move |t| (f64::from(10 * e), f64::from(6 * t)))) {
        let ((z, flat), (y, x)) = (elevation.to_radians().sin_cos(), turn.to_radians().sin_cos());
        let ray = Ray { look, centre, direction: [flat * x, flat * y, z] };
        let Some(surface) = (0..170).rev().find(|mm| ray.at(f64::from(*mm)).is_some()).map(f64::from) else { continue };
        let below = |from: i32| (from..=20).filter_map(|mm| Some((ray.at(surface - f64::from(mm))?, mm as f32)));
        if let Some((value, depth)) = below(3).min_by(|a, b| a.0.total_cmp(&b.0)) {
            darkest.push(value);
            depths.push(depth);
        }
        edges.extend(ray.edge(surface, core, air).map(|mm| mm.min(LONGEST_EDGE)));
        brightest.extend(below(6).map(|(value, _)| value).max_by(f32::total_cmp));
    }
    let median = |values: Vec<f32>| quantile(values.into_iter(), 0.5);
    let edge = edges.iter().sum::<f64>() / edges.len() as f64;
    let darkest = f64::from(quantile(darkest.into_iter(), 0.8));
    Shell { darkest, depth: median(depths), brightest: f64::from(median(brightest)), edge }
}

/// A line from a place in the look, counted in voxels.
struct Ray<'a> {
    look: &'a Look,
    centre: [f64; 3],
    direction: [f64; 3],
}

impl Ray<'_> {
    /// From the last faint value outside to the first that is bright, mm; `None` where nothing is. What is brighter than
    /// air counts: where fat is saturated the scalp is dim, and air is as bright as the faint end of its edge.
    fn edge(&self, surface: f64, core: f64, air: f64) -> Option<f64> {
        let inside = (0..12).filter_map(|mm| self.value(surface - f64::from(mm)));
        let bright = Some(f64::from(inside.fold(0.0, f32::max)).min(core) - air).filter(|bright| *bright > 0.0)?;
        let at = |mm: i32, share: f64| {
            self.value(surface + f64::from(mm)).is_some_and(|v| f64::from(v) - air >= share * bright)
        };
        let outer = (0..20).take_while(|mm| at(*mm, 0.12)).last().unwrap_or(0);
        let inner = (-12..=outer).rev().find(|mm| at(*mm, 0.6))?;
        Some(f64::from(outer - inner))
    }

    /// The value of the body at a distance in mm; `None` outside it.
    fn at(&self, mm: f64) -> Option<f32> {
        self.place(mm).filter(|[i, j, k]| self.look.body.at(*i, *j, *k)).map(|[i, j, k]| self.look.image.at(i, j, k))
    }

    fn value(&self, mm: f64) -> Option<f32> {
        self.place(mm).map(|[i, j, k]| self.look.image.at(i, j, k))
    }

    fn place(&self, mm: f64) -> Option<[usize; 3]> {
        let shape = self.look.image.grid().shape();
        let extent = [shape.cols, shape.rows, shape.slices];
        let place = |a: usize| (self.centre[a] + self.direction[a] * mm / SPACING).round();
        let inside = (0..3).all(|a| place(a) >= 0.0 && place(a) < extent[a] as f64);
        inside.then(|| [0, 1, 2].map(|a| place(a) as usize))
    }
}

/// Of the layer from 6 to 14 mm inside the skull: its bright end over the deep interior, and the mean difference
/// between neighbours.
fn cortex(look: &Look, skull: f32) -> (f64, f64) {
    let (v, shape) = (look.image.data(), look.image.grid().shape());
    let layer: Vec<usize> =
        look.below_top(10.0, VAULT.1).filter(|n| (skull + 6.0..skull + 14.0).contains(&look.depth[*n])).collect();
    let deep = look.below_top(25.0, 75.0).filter(|n| look.depth[*n] >= skull + 22.0);
    let bright = share_of(layer.iter().map(|n| v[*n]), 0.8) / share_of(deep.map(|n| v[n]), 0.5);
    let (mut sum, mut count) = (0.0, 0.0);
    for n in layer {
        let [i, j, k] = look.image.voxel(n);
        if i + 1 < shape.cols && j + 1 < shape.rows && k > 0 {
            let near = [look.image.at(i + 1, j, k), look.image.at(i, j + 1, k), look.image.at(i, j, k - 1)];
            sum += near.iter().map(|w| f64::from((w - v[n]).abs())).sum::<f64>();
            count += 3.0;
        }
    }
    (bright, sum / count)
}

/// Dark voxels in front less those at the back, each as a share of what lies there.
fn face(look: &Look, core: f64) -> f64 {
    let offsets: Vec<usize> = look.below_top(95.0, 140.0).collect();
    let (x, y) = (middle(look, &offsets, 0), middle(look, &offsets, 1));
    let (mut dark, mut all) = ([0.0; 2], [0.0; 2]);
    for n in offsets {
        let [i, j, _] = look.image.voxel(n);
        if look.depth[n] > 10.0 && (i as f64 - x).abs() * SPACING < 25.0 {
            let back = usize::from(j as f64 > y);
            all[back] += 1.0;
            dark[back] += f64::from(u8::from(f64::from(look.image.data()[n]) < 0.45 * core));
        }
    }
    if core > 0.0 { dark[0] / all[0] - dark[1] / all[1] } else { f64::NAN }
}
