//! Shapes of the parts of a head, and their way into a scene: walls around contents, muscles in films of fat.

use crate::geometry::Vec3;
use crate::phantom::random::Rng;
use crate::phantom::scene::{Place, Scene};
use crate::phantom::shape::{Bounds, Ellipsoid, Tube};
use crate::phantom::tissue::Tissue;
use crate::phantom::{jitter_point, jitter_radii};

/// A closed shape in template space, mm.
#[derive(Debug, Clone)]
pub enum Shape {
    /// An ellipsoid.
    Lump(Ellipsoid),
    /// A tube.
    Pipe(Tube),
    /// A box with round edges: centre, half its size, radius of the edges.
    Block(Vec3, Vec3, f64),
}

impl Shape {
    /// Signed distance, mm.
    #[inline]
    pub fn distance(&self, q: Vec3) -> f64 {
        match self {
            Self::Lump(e) => e.distance(q),
            Self::Pipe(t) => t.distance(q),
            Self::Block(c, half, round) => {
                let d = q - *c;
                let out = Vec3::new(d.x.abs() - half.x + round, d.y.abs() - half.y + round, d.z.abs() - half.z + round);
                let beyond = Vec3::new(out.x.max(0.0), out.y.max(0.0), out.z.max(0.0)).norm();
                beyond + out.x.max(out.y).max(out.z).min(0.0) - round
            }
        }
    }

    /// A box that holds it.
    pub fn bounds(&self) -> Bounds {
        match self {
            Self::Lump(e) => e.bounds(),
            Self::Pipe(t) => t.bounds(),
            Self::Block(c, half, _) => Bounds::around(*c, *half),
        }
    }
}

/// x, y, z in mm.
pub type Triple = (f64, f64, f64);
/// A point of a tube: x, y, z, radius in mm.
pub type Control = (f64, f64, f64, f64);

fn vec(p: Triple) -> Vec3 {
    Vec3::new(p.0, p.1, p.2)
}

/// Makes parts with a seed's jitter and adds them to a scene, all of them under the skin.
pub struct Kit<'a> {
    /// Where the jitter comes from.
    pub rng: &'a mut Rng,
    /// Where the parts go.
    pub scene: &'a mut Scene,
    /// Least depth of a part under the surface of the skin, mm.
    pub depth: f64,
    /// Thickness of the fat between muscles, mm.
    pub film: f64,
    /// How much fat there is in muscles: 0 to 1.
    pub marbling: f64,
    /// How far surfaces stray from their shapes, mm.
    pub stray: f64,
}

impl Kit<'_> {
    /// An ellipsoid about `c` with radii `r`, x of the centre times `s`.
    pub fn lump(&mut self, s: f64, c: Triple, r: Triple) -> Shape {
        let small = r.0.min(r.1).min(r.2);
        let centre = jitter_point(self.rng, Vec3::new(s * c.0, c.1, c.2), (0.12 * small).min(0.9));
        Shape::Lump(Ellipsoid::new(centre, jitter_radii(self.rng, vec(r), 0.05)))
    }

    /// A flat spindle from `a` to `b`: half as thick as `thin` (near the x axis) and `wide` say.
    pub fn slab(&mut self, s: f64, a: Triple, b: Triple, thin: f64, wide: f64) -> Shape {
        let (a, b) = (Vec3::new(s * a.0, a.1, a.2), Vec3::new(s * b.0, b.1, b.2));
        let middle = jitter_point(self.rng, (a + b) * 0.5, (0.12 * thin).min(0.8));
        let along = (b - a).unit().unwrap_or(Vec3::new(0.0, 1.0, 0.0));
        let radii = jitter_radii(self.rng, Vec3::new(thin, (b - a).norm() * 0.56, wide), 0.06);
        Shape::Lump(Ellipsoid::along(middle, radii, along))
    }

    /// A tube through (x, y, z, radius), x times `s`.
    pub fn pipe(&mut self, s: f64, points: &[Control]) -> Shape {
        let width = self.rng.near(1.0, 0.06);
        let control: Vec<(Vec3, f64)> = points
            .iter()
            .map(|&(x, y, z, r)| (jitter_point(self.rng, Vec3::new(s * x, y, z), (0.12 * r).min(0.8)), r * width))
            .collect();
        Shape::Pipe(Tube::through(&control))
    }

    /// A box with round edges.
    pub fn block(&mut self, s: f64, c: Triple, half: Triple, round: f64) -> Shape {
        let centre = jitter_point(self.rng, Vec3::new(s * c.0, c.1, c.2), 0.3);
        Shape::Block(centre, jitter_radii(self.rng, vec(half), 0.04), round)
    }

    /// Adds a shape grown by `grow` mm.
    pub fn grown(&mut self, shape: &Shape, grow: f64, tissue: Tissue) {
        let (shape, depth, stray) = (shape.clone(), self.depth, self.stray);
        let bounds = shape.bounds().grown(grow.max(0.0) + 1.5 * stray);
        // Beyond 6 mm from its box a tube's distance falls to that from the box.
        let rough = if grow > 4.0 { f64::INFINITY } else { 1.5 * stray };
        self.scene.add_rough(tissue, bounds, rough, move |at| {
            (shape.distance(at.q) - grow + stray * (0.7 * at.slow + 0.5 * at.fine)).max(at.skin + depth)
        });
    }

    /// Adds a shape.
    pub fn add(&mut self, shape: &Shape, tissue: Tissue) {
        self.grown(shape, 0.0, tissue);
    }

    /// Bone with a wall of this thickness in mm around marrow.
    pub fn bone(&mut self, shape: &Shape, wall: f64) {
        self.add(shape, Tissue::CorticalBone);
        self.grown(shape, -wall, Tissue::Marrow);
    }

    /// A muscle in its film of fat, with streaks of fat in it.
    pub fn muscle(&mut self, shape: &Shape) {
        let film = self.film * self.rng.within(0.15, 1.2);
        self.grown(shape, film, Tissue::Fat);
        self.add(shape, Tissue::Muscle);
        let (shape, depth, marbling) = (shape.clone(), self.depth, self.marbling);
        if marbling > 0.05 {
            let bounds = shape.bounds();
            let cover = move |at: &Place| (shape.distance(at.q) + 0.8).max(at.skin + depth);
            self.scene.add_textured(Tissue::Fat, bounds, 0.0, cover, move |at| {
                (at.fine + 0.3 * at.slow).abs() * 2.0 + 0.2 - 0.5 * marbling
            });
        }
    }

    /// A gland: parenchyma with lobules of fat.
    pub fn gland(&mut self, shape: &Shape) {
        self.grown(shape, 0.6, Tissue::Fat);
        self.add(shape, Tissue::Gland);
        let (shape, depth, fatty) = (shape.clone(), self.depth, self.rng.within(-2.6, -0.9));
        let bounds = shape.bounds();
        let cover = move |at: &Place| (shape.distance(at.q) + 1.0).max(at.skin + depth);
        let lobules = move |at: &Place| 2.2 * (at.fine - 0.4) - fatty * 1.5 - 1.2;
        self.scene.add_textured(Tissue::Fat, bounds, 0.0, cover, lobules);
    }
}
