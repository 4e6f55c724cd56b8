//! How networks damage an optic nerve, and whether a nerve is connected: shared by the studies `nerve` and `corruption`
//! and their tests.

#![allow(dead_code)] // each study takes what it needs

use contourd::anatomy::Class;
use contourd::geometry::{Connectivity, Lps, Mask, Vec3, Volume, components};
use contourd::phantom::Rng;

/// What is wrong with the predicted nerves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// Nothing: the truth.
    None,
    /// 10 mm of each nerve are missing somewhere between its ends.
    Interrupted,
    /// The outermost layer of voxels is missing, and twice 3 mm besides.
    Thinned,
    /// The 7 mm next to the eye are missing.
    EyeEnd,
    /// A branch 3 mm thick and 22 mm long leaves each nerve, and a ball of 8 mm hangs on it.
    Leaks,
}

impl Damage {
    pub const ALL: [Damage; 5] = [Damage::None, Damage::Interrupted, Damage::Thinned, Damage::EyeEnd, Damage::Leaks];
}

/// Marks the voxels of a mask in a label volume.
pub fn mark(labels: &mut Volume<u8>, class: Class, mask: &Mask) {
    for (voxel, inside) in labels.data_mut().iter_mut().zip(mask.data()) {
        *voxel |= if *inside { class.bit() } else { 0 };
    }
}

/// A nerve damaged. `from` and `to` are the back of its eye and the middle of the chiasm.
pub fn damage_one(nerve: &Mask, from: Lps, to: Lps, damage: Damage, rng: &mut Rng) -> Mask {
    let (axis, length) = ((to - from).unit().expect("a length"), from.distance(to));
    let place = |offset: usize| {
        let [i, j, k] = nerve.voxel(offset);
        nerve.grid().centre(i, j, k)
    };
    let without = |mask: &Mask, start: f64, mm: f64| {
        let mut rest = mask.clone();
        for offset in 0..rest.data().len() {
            if rest.data()[offset] && (start..start + mm).contains(&axis.dot(place(offset) - from)) {
                rest.data_mut()[offset] = false;
            }
        }
        rest
    };
    match damage {
        Damage::None => nerve.clone(),
        Damage::Interrupted => without(nerve, rng.within(5.0, length - 20.0), 10.0),
        Damage::Thinned => {
            let (first, second) = (rng.within(4.0, 0.4 * length), rng.within(0.5 * length, length - 8.0));
            without(&without(&eroded(nerve), first, 3.0), second, 3.0)
        }
        Damage::EyeEnd => without(nerve, -20.0, 27.0),
        Damage::Leaks => {
            let mut all = nerve.clone();
            let at = |share: f64| {
                let near = |n: &usize| (axis.dot(place(*n) - from) - share * length).abs();
                let inside = (0..nerve.data().len()).filter(|n| nerve.data()[*n]);
                inside.min_by(|a, b| near(a).total_cmp(&near(b))).map_or(from, place)
            };
            let aside = Vec3::new(rng.near(0.0, 1.0), rng.near(0.0, 0.5), rng.near(0.0, 1.0));
            let out = (aside - axis * aside.dot(axis)).unit().unwrap_or(Vec3::new(0.0, 0.0, 1.0));
            let branch = (out + axis * rng.within(0.2, 1.2)).unit().unwrap_or(out);
            let (root, ball) = (at(rng.within(0.4, 0.8)), at(rng.within(0.1, 0.35)) + out * -6.0);
            for offset in 0..all.data().len() {
                let p = place(offset);
                let along = (p - root).dot(branch).clamp(0.0, 22.0);
                if p.distance(root + branch * along) <= 1.5 || p.distance(ball) <= 4.0 {
                    all.data_mut()[offset] = true;
                }
            }
            all
        }
    }
}

/// Voxels whose six neighbours all lie inside.
pub fn eroded(mask: &Mask) -> Mask {
    let s = mask.grid().shape();
    let stride = [1, s.cols, s.cols * s.rows];
    let data = mask.data();
    let mut rest = mask.clone();
    for offset in (0..data.len()).filter(|n| data[*n]) {
        let inside = |n: Option<&bool>| n.copied().unwrap_or(false);
        let whole = stride.iter().all(|s| inside(data.get(offset + s)) && inside(data.get(offset.wrapping_sub(*s))));
        rest.data_mut()[offset] = whole;
    }
    rest
}

/// Whether one 26-connected component of a nerve has voxels in or beside both organs.
pub fn connected(nerve: &Mask, eye: &Mask, chiasm: &Mask) -> bool {
    let found = components(nerve, Connectivity::Corners);
    let s = nerve.grid().shape();
    found.list.iter().any(|c| {
        let touches = |organ: &Mask| {
            let e = c.extent;
            (e.lo[2]..=e.hi[2]).any(|k| {
                (e.lo[1]..=e.hi[1]).any(|j| {
                    (e.lo[0]..=e.hi[0]).any(|i| {
                        let near = |v: usize, n: usize| v.saturating_sub(1)..=(v + 1).min(n - 1);
                        found.label_at(i, j, k) == c.label
                            && near(k, s.slices)
                                .any(|z| near(j, s.rows).any(|y| near(i, s.cols).any(|x| organ.at(x, y, z))))
                    })
                })
            })
        };
        touches(eye) && touches(chiasm)
    })
}
