//! What a head is made of, in painting order: parts of one tissue each, later ones over earlier ones.
//!
//! A scene is cut into tiles of template space. A tile knows which parts can show in it, so that a voxel asks a few parts and
//! not a hundred.

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
}

/// Parts in painting order.
#[derive(Default)]
pub struct Scene {
    parts: Vec<Part>,
    tiles: Option<Tiles>,
}

struct Tiles {
    lo: Vec3,
    count: [usize; 3],
    /// Where each tile's list of parts begins in `parts`, and one more for the end of the last.
    starts: Vec<u32>,
    parts: Vec<u16>,
}

/// Edge of a tile, mm.
const TILE: f64 = 6.0;
/// Beyond this distance in mm no voxel is blended with a part.
const BLEND: f64 = 1.5;
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
        self.parts.push(Part { tissue, bounds: bounds.grown(BLEND), rough, distance: Box::new(distance) });
    }

    /// Makes the tiles of a box, once all parts are there. Nothing is painted where `hidden`, for a ball of this radius in mm
    /// about a point, says that nothing of the scene shows.
    pub fn index(
        &mut self,
        reach: Bounds,
        place: impl Fn(Vec3) -> Place + Sync,
        hidden: impl Fn(Vec3, f64) -> bool + Sync,
    ) {
        let size = reach.hi - reach.lo;
        let count = size.to_array().map(|v| (v / TILE).ceil().max(1.0) as usize);
        let radius = TILE * 0.867 + BLEND;
        let half = Vec3::new(TILE, TILE, TILE) * 0.5;
        let lists: Vec<Vec<u16>> = (0..count[0] * count[1] * count[2])
            .into_par_iter()
            .map(|n| {
                let at = [n % count[0], n / count[0] % count[1], n / (count[0] * count[1])].map(|v| v as f64 + 0.5);
                let centre = reach.lo + Vec3::new(at[0], at[1], at[2]) * TILE;
                let place = place(centre);
                let mut list = Vec::new();
                if place.skin > TRUST * radius || hidden(centre, radius) {
                    return list;
                }
                for (n, part) in self.parts.iter().enumerate() {
                    if !part.bounds.meets(Bounds::around(centre, half)) {
                        continue;
                    }
                    let distance = (part.distance)(&place);
                    let sure = TRUST * radius + part.rough;
                    if distance < -sure && part.bounds.contains(Bounds::around(centre, half)) {
                        list.clear();
                    }
                    if distance < sure {
                        list.push(n as u16);
                    }
                }
                list
            })
            .collect();
        let mut starts = Vec::with_capacity(lists.len() + 1);
        let mut parts = Vec::new();
        for list in lists {
            starts.push(parts.len() as u32);
            parts.extend(list);
        }
        starts.push(parts.len() as u32);
        self.tiles = Some(Tiles { lo: reach.lo, count, starts, parts });
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
        for n in tiles.at(place.q) {
            self.parts[usize::from(*n)].paint(place, canvas);
        }
    }
}

impl Part {
    #[inline]
    fn paint(&self, place: &Place, canvas: &mut impl Canvas) {
        if self.bounds.holds(place.q) {
            canvas.layer(self.tissue, (self.distance)(place));
        }
    }
}

impl Tiles {
    #[inline]
    fn at(&self, q: Vec3) -> &[u16] {
        let d = (q - self.lo) * (1.0 / TILE);
        let inside = |v: f64, n: usize| (v >= 0.0 && v < n as f64).then_some(v as usize);
        let (Some(x), Some(y), Some(z)) =
            (inside(d.x, self.count[0]), inside(d.y, self.count[1]), inside(d.z, self.count[2]))
        else {
            return &[];
        };
        let tile = (z * self.count[1] + y) * self.count[0] + x;
        &self.parts[self.starts[tile] as usize..self.starts[tile + 1] as usize]
    }
}
