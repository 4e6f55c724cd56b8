//! What networks do to each organ (thesis section 4.3.4, and what the field knows), drawn from a seed.

use contourd::anatomy::{Class, Side, Structure};
use contourd::geometry::{Lps, Mask, Vec3};
use contourd::phantom::Rng;

use super::heads::Subject;
use super::shapes::{around, ball, clear, direction, furthest, points, some, tube};
use crate::nerve_damage::{self, damage_one, eroded};

/// One kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[rustfmt::skip] // the list is a table
pub enum Damage {
    /// The truth.
    None,
    /// Balls missing inside.
    Holes,
    /// Balls beside the organ, or up to 30 mm off.
    Islands,
    /// A part of the class where the other side's organ could be.
    OtherSide,
    /// The top slices of the brainstem are missing, in part or whole; or marked beyond its end.
    TopMissing, TopExtra,
    /// A tumour beside the brainstem is taken for it.
    Tumour,
    /// A bite in the eye, where a lesion lies; its top or bottom slices; the front of the orbit.
    Lesion, BorderMissing, Front,
    /// A lens outside the eye; missing; one side of it missing.
    Outside, Missing, HalfMissing,
    /// As [`nerve_damage::Damage`].
    Interrupted, Thinned, EyeEnd, Leaks,
    /// The start of the nerve at the chiasm is missing; fat; an artery beside the chiasm.
    ChiasmEnd, Fat, Artery,
    /// The chiasm on hypothalamus; half of it missing; pushed aside by a tumour and partly missing.
    Hypothalamus, PartMissing, Pushed,
    /// The pituitary's lowest slices are missing; its stalk is marked.
    LowestMissing, Stalk,
    /// Hippocampus: on the amygdala; on the ventricle; on a necrosis; an end missing.
    Amygdala, Ventricle, Necrosis, EndMissing,
    /// Brain: missing above the cribriform plate; a layer of bone; tongues into bone; its lower end.
    Cribriform, Bone, Tongues, Short,
}

use Damage as D;

impl Damage {
    /// What can happen to a class. [`Damage::Pushed`] happens to a whole head.
    pub fn of(class: Class) -> &'static [Damage] {
        match class {
            Class::Eye => &[D::None, D::Holes, D::Islands, D::Lesion, D::BorderMissing, D::Front],
            Class::Lens => &[D::None, D::Outside, D::Missing, D::HalfMissing],
            Class::OpticNerve => &[
                D::None,
                D::Interrupted,
                D::Thinned,
                D::EyeEnd,
                D::Leaks,
                D::ChiasmEnd,
                D::Fat,
                D::Artery,
                D::OtherSide,
            ],
            Class::Chiasm => &[D::None, D::Islands, D::Hypothalamus, D::Artery, D::PartMissing],
            Class::Pituitary => &[D::None, D::Holes, D::Islands, D::LowestMissing, D::Stalk],
            Class::Hippocampus => {
                &[D::None, D::Holes, D::Islands, D::OtherSide, D::Amygdala, D::Ventricle, D::Necrosis, D::EndMissing]
            }
            Class::Brainstem => &[D::None, D::Holes, D::Islands, D::TopMissing, D::TopExtra, D::Tumour],
            Class::Brain => &[D::None, D::Holes, D::Islands, D::Cribriform, D::Bone, D::Tongues, D::Short],
            Class::Described(_) => &[D::None],
        }
    }

    /// One of them, drawn.
    pub fn draw(class: Class, rng: &mut Rng) -> Self {
        let all = Self::of(class);
        all[rng.within(0.0, all.len() as f64) as usize]
    }
}

/// A structure of a head, damaged; the head itself changes where the damage has a cause that is seen in the image.
/// `None` where the head lacks what the damage needs.
pub fn damaged(subject: &mut Subject, structure: Structure, damage: Damage, rng: &mut Rng) -> Option<Mask> {
    let mut mask = subject.truth[&structure].clone();
    let middle = mask.barycentre()?;
    let axes = subject.axes;
    let out = match structure.side() {
        Some(Side::Left) => 1.0,
        Some(Side::Right) => -1.0,
        None if rng.chance(0.5) => 1.0,
        None => -1.0,
    };
    let slices = rng.within(1.4, 2.8);
    let size = (mask.cc() * 1000.0).cbrt();
    match damage {
        D::None => {}
        D::Holes => {
            for _ in 0..3 {
                let at = some(&mask, rng)?;
                ball(&mut mask, at, rng.within(0.1, 0.2) * size.min(25.0), false);
            }
        }
        D::Islands => {
            for _ in 0..3 {
                let at = some(&subject.truth[&structure], rng)? + direction(rng) * rng.within(8.0, 30.0);
                ball(&mut mask, at, rng.within(1.2, 1.5 + size.min(30.0) * 0.1), true);
            }
        }
        D::OtherSide => {
            // Across the midline, near it or where the other organ is.
            let at = some(&mask, rng)?;
            let across = axes.0[0].dot(at - subject.middle(Structure::OpticChiasm)?);
            let to = at + axes.by(-across - out * rng.within(6.0, 25.0), rng.near(0.0, 8.0), rng.near(0.0, 8.0));
            ball(&mut mask, to, rng.within(2.0, 3.5), true);
        }
        D::TopMissing | D::BorderMissing | D::LowestMissing => {
            let up = if damage == D::LowestMissing || (damage == D::BorderMissing && out < 0.0) { -1.0 } else { 1.0 };
            let end = furthest(&mask, Vec3::new(0.0, 0.0, up), |_| true)?;
            let half = if rng.chance(0.4) { Some(direction(rng)) } else { None };
            clear(&mut mask, |p| (end.z - p.z) * up < slices && half.is_none_or(|h| h.dot(p - middle) > 0.0));
        }
        D::TopExtra => {
            let end = furthest(&mask, Vec3::new(0.0, 0.0, 1.0), |_| true)?;
            let top: Vec<Lps> = points(&mask).filter(|p| end.z - p.z < 1.5).collect();
            for p in top {
                tube(&mut mask, p, p + Vec3::new(0.0, 0.0, slices), 0.6);
            }
        }
        D::Tumour => {
            let aside = axes.by(out, rng.near(0.0, 0.5), rng.near(0.0, 0.5)).unit()?;
            let edge = furthest(&mask, aside, |_| true)?;
            ball(&mut mask, edge + aside * 3.0, rng.within(4.0, 7.0), true);
        }
        D::Lesion => {
            let at = middle + direction(rng) * rng.within(8.0, 12.0);
            ball(&mut mask, at, rng.within(3.5, 6.0), false);
        }
        D::Front => {
            let at = middle + axes.by(rng.near(0.0, 5.0), -13.0, rng.near(0.0, 4.0));
            ball(&mut mask, at, rng.within(2.5, 4.0), true);
        }
        D::Outside => {
            let at = middle + axes.by(rng.near(0.0, 8.0), -6.0, rng.near(0.0, 8.0)).unit()? * rng.within(9.0, 16.0);
            ball(&mut mask, at, rng.within(2.0, 3.0), true);
        }
        D::Missing => clear(&mut mask, |_| true),
        D::HalfMissing => clear(&mut mask, |p| out * axes.0[0].dot(p - middle) > 0.5),
        D::Interrupted => return nerve(subject, structure, nerve_damage::Damage::Interrupted, rng),
        D::Thinned => return nerve(subject, structure, nerve_damage::Damage::Thinned, rng),
        D::EyeEnd => return nerve(subject, structure, nerve_damage::Damage::EyeEnd, rng),
        D::Leaks => return nerve(subject, structure, nerve_damage::Damage::Leaks, rng),
        D::ChiasmEnd => {
            let (eye, chiasm) = nerve_ends(subject, structure)?;
            let length = rng.within(3.0, 7.0);
            let along = (chiasm - eye).unit()?;
            let end = furthest(&mask, along, |_| true)?;
            clear(&mut mask, |p| along.dot(end - p) < length);
        }
        D::Fat => {
            let (eye, chiasm) = nerve_ends(subject, structure)?;
            let along = (chiasm - eye).unit()?;
            let near = rng.within(6.0, 18.0);
            let at = furthest(&mask, along, |p| along.dot(p - eye) < near)?;
            let aside = (direction(rng).cross(along)).unit()?;
            ball(&mut mask, at + aside * rng.within(2.5, 4.5), rng.within(2.0, 3.5), true);
        }
        D::Artery => {
            let chiasm = subject.middle(Structure::OpticChiasm)?;
            let from = if structure == Structure::OpticChiasm { 5.0 } else { 7.0 };
            let way = axes.by(out * rng.within(10.0, 16.0), rng.near(1.0, 2.0), rng.near(1.0, 2.0));
            let start = chiasm + axes.by(out * from, 0.0, 0.0);
            tube(&mut mask, start, start + way, rng.within(1.2, 1.8));
        }
        D::Hypothalamus => {
            ball(&mut mask, middle + axes.by(0.0, rng.within(1.0, 4.0), 4.5), rng.within(2.5, 4.0), true)
        }
        D::PartMissing | D::Pushed => {
            let keep = rng.within(-1.5, 3.0);
            clear(&mut mask, |p| out * axes.0[0].dot(p - middle) > keep);
        }
        D::Stalk => {
            let chiasm = subject.middle(Structure::OpticChiasm)?;
            tube(&mut mask, middle, chiasm + axes.by(0.0, 3.0, -3.0), rng.within(0.9, 1.3));
        }
        D::Amygdala => {
            let front = furthest(&mask, axes.by(0.0, -1.0, 0.0), |_| true)?;
            ball(&mut mask, front + axes.by(-out, -rng.within(3.0, 5.0), 1.0), rng.within(4.0, 6.0), true);
        }
        D::Ventricle => {
            let dark = subject.brain_tone * 0.5;
            let near = mask.clone();
            let at = some(&near, rng)?;
            let image = &subject.image;
            let shape = image.grid().shape();
            around(&mut mask, at, 12.0, |v, p| {
                let place = image.grid().to_index(p);
                let [i, j, k] = [place.i, place.j, place.k].map(|n| n.round() as usize);
                let beside = |d: usize| {
                    let by = |n: usize, most: usize| n.saturating_sub(d)..=(n + d).min(most - 1);
                    by(k, shape.slices).any(|z| by(j, shape.rows).any(|y| by(i, shape.cols).any(|x| near.at(x, y, z))))
                };
                *v |= image.at(i, j, k) < dark && beside(3);
            });
        }
        D::Necrosis => {
            let radius = rng.within(4.0, 7.0);
            let at = some(&mask, rng)? + axes.by(out * (radius + 1.0), 0.0, 1.0);
            let tone = subject.brain_tone * rng.within(0.2, 0.4) as f32;
            around(&mut subject.image, at, radius, |v, p| {
                // A trace of texture, so that no two voxels are the same.
                *v = tone * (1.0 + 0.05 * (p.x * 3.1 + p.y * 1.7 + p.z * 2.3).sin() as f32);
            });
            for other in [structure, mirrored(structure)] {
                if let Some(truth) = subject.truth.get_mut(&other) {
                    ball(truth, at, radius, false);
                }
            }
            mask = subject.truth[&structure].clone();
            ball(&mut mask, at + axes.by(-out * radius * 0.3, 0.0, 0.0), radius * 0.8, true);
        }
        D::EndMissing => {
            let end = furthest(&mask, axes.by(0.0, -out, 0.0), |_| true)?;
            ball(&mut mask, end, rng.within(3.0, 5.0), false);
        }
        D::Cribriform => {
            let chiasm = subject.middle(Structure::OpticChiasm)?;
            let base = |p: Lps| {
                let d = p - chiasm;
                axes.0[0].dot(d).abs() < 9.0 && axes.0[1].dot(d) < -12.0
            };
            let at = furthest(&mask, axes.by(0.0, -0.5, -1.0), base)?;
            ball(&mut mask, at, rng.within(4.0, 8.0), false);
        }
        D::Short => {
            let down = axes.by(0.0, 0.0, -1.0);
            let end = furthest(&mask, down, |_| true)?;
            let length = rng.within(3.0, 9.0);
            clear(&mut mask, |p| down.dot(end - p) < length);
        }
        D::Bone => {
            for _ in 0..3 {
                let edge = furthest(&mask, direction(rng), |_| true)?;
                let inner = edge + (middle - edge).unit()? * 30.0;
                let near = edge.distance(inner) + rng.within(1.5, 3.0);
                let patch = rng.within(8.0, 14.0);
                around(&mut mask, edge, patch, |v, p| *v |= p.distance(inner) < near);
            }
        }
        D::Tongues => {
            for _ in 0..6 {
                let way = direction(rng);
                let edge = furthest(&mask, way, |_| true)?;
                let lean = (way + direction(rng) * 0.7).unit()?;
                tube(&mut mask, edge + way * -2.0, edge + lean * rng.within(5.0, 12.0), rng.within(0.8, 1.5));
            }
        }
    }
    Some(mask)
}

/// Pieces of an eye, none of 4 cm3, and a lens, that are marked in an orbit without one.
pub fn false_eye(subject: &Subject, rng: &mut Rng) -> Option<(Mask, Mask)> {
    let orbit = subject.empty_orbit?;
    let mut eye = subject.truth[&Structure::Brain].map(|_| false);
    let mut lens = eye.clone();
    if rng.chance(0.5) {
        ball(&mut eye, orbit, rng.within(6.0, 9.2), true);
    } else {
        for _ in 0..3 {
            ball(&mut eye, orbit + direction(rng) * rng.within(3.0, 10.0), rng.within(3.0, 6.0), true);
        }
    }
    ball(&mut lens, orbit + direction(rng) * 3.0, rng.within(2.0, 3.5), true);
    Some((eye, lens))
}

fn mirrored(structure: Structure) -> Structure {
    Structure::of(structure.class(), structure.side().map(Side::other)).unwrap_or(structure)
}

/// The back of a nerve's eye and the middle of the chiasm.
fn nerve_ends(subject: &Subject, structure: Structure) -> Option<(Lps, Lps)> {
    let eye = subject.middle(Structure::of(Class::Eye, structure.side())?)?;
    let chiasm = subject.middle(Structure::OpticChiasm)?;
    Some((eye + (chiasm - eye).unit()? * 12.0, chiasm))
}

fn nerve(subject: &Subject, structure: Structure, damage: nerve_damage::Damage, rng: &mut Rng) -> Option<Mask> {
    let (from, to) = nerve_ends(subject, structure)?;
    let nerve = &subject.truth[&structure];
    // On coarse voxels a layer less is nothing left; the gaps alone are thinning enough then.
    let lost = damage == nerve_damage::Damage::Thinned && eroded(nerve).is_empty();
    let damage = if lost { nerve_damage::Damage::Interrupted } else { damage };
    Some(damage_one(nerve, from, to, damage, rng))
}
