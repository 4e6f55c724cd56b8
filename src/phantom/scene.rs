//! What a head is made of, in painting order: parts of one tissue each, later ones over earlier ones.
//!
//! A scene is cut into tiles of template space. A tile knows which parts can show in it and which of them fill it, so that a
//! voxel asks a few parts and not a hundred. Small tiles leave out most, large ones are sooner made: large ones are made
//! first, and small ones of what they hold.

use std::cell::LazyCell;
use std::fmt;

use rayon::prelude::*;

use super::Canvas;
use super::shape::Bounds;
use super::tissue::Tissue;
use crate::geometry::Vec3;

/// A point of template space and what is known there of the head as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The point, mm.
    pub q: Vec3,
    /// Distance to the skin, negative inside.
    pub skin: f64,
    /// Distance to the smooth hull of the brain.
    pub hull: f64,
    /// Smooth noise of unit variance, wavelengths of 18 to 40 mm.
    pub slow: f64,
    /// Smooth noise of unit variance, wavelengths of 7 to 16 mm.
    pub fine: f64,
}

type Distance = Box<dyn Fn(&Place) -> f64 + Send + Sync>;

struct Part {
    tissue: Tissue,
    bounds: Bounds,
    /// How much the distance may change within a tile beside what a distance changes, mm.
    rough: f64,
    distance: Distance,
    /// Of a part that is a texture within a surface: the distance to the texture. It may change by any amount.
    texture: Option<Distance>,
}

/// Parts in painting order.
#[derive(Default)]
pub struct Scene {
    parts: Vec<Part>,
    tiles: Option<Tiles>,
}

struct Tiles {
    lo: Vec3,
    /// Number of large tiles along each axis.
    count: [usize; 3],
    /// Where each small tile's list of parts begins in `parts`, and one more for the end of the last; the small tiles of a
    /// large one follow each other.
    starts: Vec<u32>,
    parts: Vec<Shown>,
}

/// A part that shows in a tile.
#[derive(Debug, Clone, Copy)]
struct Shown {
    part: u16,
    /// It fills the tile: nothing has to be asked.
    whole: bool,
}

/// Edge of a large tile, mm.
const LARGE: f64 = 6.0;
/// Small tiles along the edge of a large one.
const SPLIT: usize = 3;
/// Edge of a small tile, mm.
const SMALL: f64 = LARGE / SPLIT as f64;
/// Small tiles of a large one.
const CHILDREN: usize = SPLIT * SPLIT * SPLIT;
/// The bounds of a part are widened by this, mm.
const BLEND: f64 = 1.5;
/// Beyond this distance in mm no voxel is blended with a part: half of the widest sample.
const SHOWS: f64 = 0.65;
/// Further outside of the skin than this, mm, there is nothing.
pub const BARE: f64 = 3.0;
/// Distances of shapes are of first order: one that says more than this times a length is trusted for that length.
const TRUST: f64 = 1.6;

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scene of {} parts", self.parts.len())
    }
}

impl Scene {
    /// Adds a part over all earlier ones: `tissue` where `distance` (mm) is negative, nothing outside `bounds`.
    pub fn add(&mut self, tissue: Tissue, bounds: Bounds, distance: impl Fn(&Place) -> f64 + Send + Sync + 'static) {
        self.add_rough(tissue, bounds, 0.0, distance);
    }

    /// As [`Scene::add`], for a distance that noise changes by up to `rough` mm within a few millimetres; infinite: by any
    /// amount.
    pub fn add_rough(
        &mut self,
        tissue: Tissue,
        bounds: Bounds,
        rough: f64,
        distance: impl Fn(&Place) -> f64 + Send + Sync + 'static,
    ) {
        let distance = Box::new(distance);
        self.parts.push(Part { tissue, bounds: bounds.grown(BLEND), rough, distance, texture: None });
    }

    /// As [`Scene::add_rough`], for a part that shows within `cover` and there only where `texture`, too, is negative, which may
    /// change by any amount.
    pub fn add_textured(
        &mut self,
        tissue: Tissue,
        bounds: Bounds,
        rough: f64,
        cover: impl Fn(&Place) -> f64 + Send + Sync + 'static,
        texture: impl Fn(&Place) -> f64 + Send + Sync + 'static,
    ) {
        let texture: Option<Distance> = Some(Box::new(texture));
        self.parts.push(Part { tissue, bounds: bounds.grown(BLEND), rough, distance: Box::new(cover), texture });
    }

    /// Makes the tiles of a box, once all parts are there. Nothing is painted where `hidden`, for a ball of this radius in mm
    /// about a point, says that nothing of the scene shows.
    pub fn index(
        &mut self,
        reach: Bounds,
        place: impl Fn(Vec3) -> Place + Sync,
        hidden: impl Fn(Vec3, f64) -> bool + Sync,
    ) {
        let count = (reach.hi - reach.lo).to_array().map(|v| (v / LARGE).ceil().max(1.0) as usize);
        let all: Vec<u16> = (0u16..).take(self.parts.len()).collect();
        let seen = |centre: Vec3, edge: f64| {
            let (at, radius) = (place(centre), edge * 0.867);
            (at.skin <= TRUST * radius + BARE && !hidden(centre, radius + SHOWS)).then_some(at)
        };
        let lists: Vec<(Vec<u32>, Vec<Shown>)> = (0..count[0] * count[1] * count[2])
            .into_par_iter()
            .map(|n| {
                let corner = reach.lo + step(n, count) * LARGE;
                let near = |n: &u16, at: &Place| self.parts[usize::from(*n)].distance_near(at, LARGE).is_some();
                let among: Vec<u16> = seen(corner + middle(LARGE), LARGE)
                    .map(|at| all.iter().copied().filter(|n| near(n, &at)).collect())
                    .unwrap_or_default();
                let (mut starts, mut list) = (Vec::with_capacity(CHILDREN), Vec::new());
                for child in 0..CHILDREN {
                    starts.push(list.len() as u32);
                    let corner = corner + step(child, [SPLIT; 3]) * SMALL;
                    if !among.is_empty()
                        && let Some(at) = seen(corner + middle(SMALL), SMALL)
                    {
                        let corners =
                            LazyCell::new(|| std::array::from_fn(|n| place(corner + step(n, [2; 3]) * SMALL)));
                        self.show(&at, || *corners, &among, &mut list);
                    }
                }
                (starts, list)
            })
            .collect();
        let mut starts = Vec::with_capacity(lists.len() * CHILDREN + 1);
        let mut parts = Vec::new();
        for (from, list) in lists {
            let before = parts.len() as u32;
            starts.extend(from.into_iter().map(|start| before + start));
            parts.extend(list);
        }
        starts.push(parts.len() as u32);
        self.tiles = Some(Tiles { lo: reach.lo, count, starts, parts });
    }

    /// Lists those `among` the parts that can show in a small tile about a place: from the last one down to one that fills
    /// the tile.
    fn show(&self, at: &Place, corners: impl Fn() -> [Place; 8], among: &[u16], list: &mut Vec<Shown>) {
        let first = list.len();
        for n in among.iter().rev() {
            let part = &self.parts[usize::from(*n)];
            let Some(distance) = part.distance_near(at, SMALL) else { continue };
            // Deep in a flat shape a distance of first order says too much: what is said of the middle is asked of the corners.
            let filled = |corner: &Place| (part.distance)(corner) < -SHOWS - part.rough;
            let whole = part.texture.is_none()
                && distance < -part.sure(SMALL)
                && part.bounds.contains(Bounds::around(at.q, middle(SMALL)))
                && corners().iter().all(filled);
            list.push(Shown { part: *n, whole });
            if whole {
                break;
            }
        }
        list[first..].reverse();
    }

    /// Forgets the tiles: every part is asked everywhere.
    #[cfg(test)]
    pub fn forget_tiles(&mut self) {
        self.tiles = None;
    }

    /// Paints what there is at a place.
    #[inline]
    pub fn paint(&self, place: &Place, canvas: &mut impl Canvas) {
        let Some(tiles) = &self.tiles else {
            return self.parts.iter().for_each(|part| part.paint(place, canvas));
        };
        for shown in tiles.at(place.q) {
            let part = &self.parts[usize::from(shown.part)];
            if shown.whole {
                canvas.wash(part.tissue, 1.0);
            } else {
                part.paint(place, canvas);
            }
        }
    }
}

impl Part {
    /// A part whose distance in the middle of a tile is more than this does not show in the tile, mm.
    fn sure(&self, edge: f64) -> f64 {
        TRUST * edge * 0.867 + SHOWS + self.rough
    }

    /// The distance in the middle of a tile of which the part can show something.
    fn distance_near(&self, at: &Place, edge: f64) -> Option<f64> {
        let met = self.bounds.meets(Bounds::around(at.q, middle(edge)));
        met.then(|| (self.distance)(at)).filter(|distance| *distance < self.sure(edge))
    }

    #[inline]
    fn paint(&self, place: &Place, canvas: &mut impl Canvas) {
        if self.bounds.holds(place.q) {
            let mut distance = (self.distance)(place);
            if distance < SHOWS
                && let Some(texture) = &self.texture
            {
                distance = distance.max(texture(place));
            }
            canvas.layer(self.tissue, distance);
        }
    }
}

/// The place of a tile among `count` tiles along each axis.
fn step(n: usize, count: [usize; 3]) -> Vec3 {
    let [x, y, z] = [n % count[0], n / count[0] % count[1], n / (count[0] * count[1])].map(|v| v as f64);
    Vec3::new(x, y, z)
}

/// From the corner of a tile to its middle.
fn middle(edge: f64) -> Vec3 {
    Vec3::new(edge, edge, edge) * 0.5
}

impl Tiles {
    #[inline]
    fn at(&self, q: Vec3) -> &[Shown] {
        let d = (q - self.lo) * (1.0 / SMALL);
        // Which large tile along an axis, and which small one in it.
        let inside = |v: f64, n: usize| {
            let small = v as u32 as usize;
            (v >= 0.0 && small < n * SPLIT).then_some((small / SPLIT, small % SPLIT))
        };
        let (Some(x), Some(y), Some(z)) =
            (inside(d.x, self.count[0]), inside(d.y, self.count[1]), inside(d.z, self.count[2]))
        else {
            return &[];
        };
        let large = (z.0 * self.count[1] + y.0) * self.count[0] + x.0;
        let tile = large * CHILDREN + (z.1 * SPLIT + y.1) * SPLIT + x.1;
        &self.parts[self.starts[tile] as usize..self.starts[tile + 1] as usize]
    }
}
