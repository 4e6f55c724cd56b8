//! Muscles that lie side by side along the neck: each fills its place up to a seam of fat with its neighbours.

use std::sync::Arc;

use super::parts::{Control, Kit};
use crate::geometry::Vec3;
use crate::phantom::scene::Place;
use crate::phantom::shape::Bounds;
use crate::phantom::tissue::Tissue;

/// Distance between the sections of a muscle, mm.
const STEP: f64 = 3.0;

/// A muscle that runs downwards: flat sections about a line, the flat side towards the spine.
#[derive(Debug)]
struct Line {
    top: f64,
    bottom: f64,
    /// x, y and radius (mm), direction away from the spine, every [`STEP`] from the top.
    sections: Vec<[f64; 5]>,
    /// How many times wider than a circle of its radius, and thinner.
    flat: f64,
    bounds: Bounds,
}

impl Line {
    /// Through points from the top down.
    fn through(points: &[Control], flat: f64) -> Self {
        let (top, bottom) = (points.first().map_or(0.0, |p| p.2), points.last().map_or(0.0, |p| p.2));
        let count = ((top - bottom) / STEP).ceil().max(1.0) as usize + 1;
        let mut sections = Vec::with_capacity(count);
        for n in 0..count {
            let z = (top - STEP * n as f64).max(bottom);
            // The ends above the border of the head taper.
            let from_end = if bottom > -190.0 { (top - z).min(z - bottom) } else { top - z };
            let taper = ((from_end + 0.3) / 14.0).min(1.0).sqrt();
            let mut section = [0.0; 5];
            for pair in points.windows(2) {
                let (a, b) = (pair[0], pair[1]);
                if z <= a.2 && z >= b.2 {
                    let t = (a.2 - z) / (a.2 - b.2).max(1e-9);
                    let mix = |u: f64, v: f64| u + (v - u) * t;
                    let (x, y) = (mix(a.0, b.0), mix(a.1, b.1));
                    let away = Vec3::new(x, y - 34.0, 0.0).unit().unwrap_or(Vec3::new(0.0, 1.0, 0.0));
                    section = [x, y, mix(a.3, b.3) * taper, away.x, away.y];
                }
            }
            sections.push(section);
        }
        let around = sections.iter().map(|s| {
            let reach = s[2] * flat;
            Bounds::around(
                Vec3::new(s[0], s[1], 0.5 * (top + bottom)),
                Vec3::new(reach, reach, 0.5 * (top - bottom) + 4.0),
            )
        });
        let nowhere = Bounds::around(Vec3::new(0.0, 0.0, 0.0), Vec3::new(0.0, 0.0, 0.0));
        let bounds = around.reduce(Bounds::union).unwrap_or(nowhere);
        Self { top, bottom, sections, flat, bounds }
    }

    /// Signed distance, mm, of first order near the surface.
    #[inline]
    fn distance(&self, q: Vec3) -> f64 {
        let z = q.z.clamp(self.bottom, self.top);
        let place = (self.top - z) / STEP;
        let n = (place as usize).min(self.sections.len().saturating_sub(2));
        let t = (place - n as f64).clamp(0.0, 1.0);
        let (a, b) = (&self.sections[n], &self.sections[(n + 1).min(self.sections.len() - 1)]);
        let [x, y, r, ex, ey]: [f64; 5] = std::array::from_fn(|k| a[k] + (b[k] - a[k]) * t);
        let (dx, dy) = (q.x - x, q.y - y);
        let (u, v) = ((dx * ex + dy * ey) * self.flat, (dy * ex - dx * ey) / self.flat);
        let norm = (u * u + v * v).sqrt().max(1e-6);
        let slope = ((u * self.flat).powi(2) + (v / self.flat).powi(2)).sqrt().max(1e-6) / norm;
        let level = (norm - r) / slope.max(1.0 / self.flat);
        let beyond = q.z - z;
        if beyond == 0.0 { level } else { (level.max(0.0).powi(2) + beyond * beyond).sqrt() }
    }
}

/// A muscle on the left: points from the top down, and how flat it is.
pub type Muscle<'a> = (&'a [Control], f64);

/// Adds muscles on the side of sign `s`.
pub fn furnish(kit: &mut Kit<'_>, s: f64, muscles: &[Muscle<'_>]) {
    let girth = kit.rng.near(1.38, 0.08);
    let lines: Arc<Vec<Line>> = Arc::new(
        muscles
            .iter()
            .map(|(points, flat)| {
                let (own, x, y) = (kit.rng.near(girth, 0.07), kit.rng.near(0.0, 0.8), kit.rng.near(0.0, 0.8));
                let moved: Vec<_> = points.iter().map(|p| (s * (p.0 + x), p.1 + y, p.2, p.3 * own)).collect();
                Line::through(&moved, *flat)
            })
            .collect(),
    );
    let depth = kit.depth;
    for (n, line) in lines.iter().enumerate() {
        let film = kit.film;
        let all = Arc::clone(&lines);
        kit.scene.add_rough(Tissue::Fat, line.bounds.grown(3.0), 2.0, move |at| {
            (all[n].distance(at.q) - film + 0.8 * at.slow).max(at.skin + depth)
        });
    }
    for (n, line) in lines.iter().enumerate() {
        let seam = 0.5 * kit.film * kit.rng.within(0.2, 1.3);
        let sway = if n % 2 == 0 { 0.5 } else { -0.5 };
        let all = Arc::clone(&lines);
        let belly = move |q: Vec3, noise: f64| {
            let own = all[n].distance(q);
            let alone = (own + noise.abs() * 0.8).max(seam - s * q.x);
            if alone > 2.0 {
                return alone;
            }
            let others = all.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, line)| line.distance(q));
            let next = others.fold(f64::INFINITY, f64::min);
            alone.max(0.5 * (own - next) + seam + sway * noise)
        };
        let bounds = line.bounds.grown(1.0);
        let (streaks, marbling) = (belly.clone(), kit.marbling);
        kit.scene.add_rough(Tissue::Muscle, bounds, 3.0, move |at| belly(at.q, at.slow).max(at.skin + depth));
        if marbling > 0.3 {
            let cover = move |at: &Place| (streaks(at.q, at.slow) + 0.8).max(at.skin + depth);
            kit.scene.add_textured(Tissue::Fat, bounds, 3.0, cover, move |at| {
                (at.fine + 0.3 * at.slow).abs() * 2.0 + 0.2 - 0.5 * marbling
            });
        }
    }
}
