//! From regions on the planes that they were drawn on to class labels on the working grid.
//!
//! A region is exact where it was drawn: the pixels whose centres lie within its contours. It comes to the working grid as a
//! smooth [`Field`], the way structures go from the working grid to delivered planes when they are served: the sign at the
//! centre of every voxel stays, and the volume of small organs is kept, where a mask interpolated and cut at one half would
//! lose a tenth of a lens.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::names::Declared;
use crate::anatomy::{Class, Side, Structure};
use crate::geometry::{Connectivity, Extent, Field, Grid, Index, Lps, Mask, Volume, components};

/// What one side of a bilateral organ, alone, says of its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OneSided {
    /// The other side was not drawn: the class stays unknown, since that organ would be taught as background.
    Unknown,
    /// The other side is not there (it was removed): the class is known.
    Known,
}

/// A region to be labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The class that its name was read as.
    pub class: Class,
    /// What its name says of the side.
    pub declared: Declared,
    /// Its name, for words about it.
    pub name: String,
}

/// Labels on a grid, and how they came about.
#[derive(Debug)]
pub struct Labelled {
    /// Bit c is the c-th class of the store; of known classes only.
    pub labels: Volume<u32>,
    /// Classes with labels, in the order of the bits.
    pub known: Vec<Class>,
    /// Box of every structure that is there, by the declared side.
    pub extents: BTreeMap<Structure, Extent>,
    /// Classes that regions were drawn of and that are unknown all the same: why.
    pub unknown: BTreeMap<Class, String>,
    /// What is odd about what was taken.
    pub notes: Vec<String>,
}

/// Part of a region beyond the working grid from which on it is said.
const BEYOND: f64 = 0.02;
/// Of two parts of a region the smaller is an organ of its own from this share of the larger on.
const TWO_PARTS: f64 = 0.2;

/// Labels every region of some classes (the store's, in the order of their bits; at most 32) on `grid`. `draw` gives the
/// mask of a region, on whatever grid it was drawn on, or the reason why there is none; one mask is held at a time. A class
/// is known when all of its regions could be drawn and they are the organ, both of two, or, by `one_sided`, one of two.
/// Regions of other classes are said.
pub fn labelled(
    regions: &[Region],
    classes: &[Class],
    grid: &Arc<Grid>,
    one_sided: OneSided,
    mut draw: impl FnMut(usize) -> Result<Mask, String>,
) -> Labelled {
    let mut out = Labelled {
        labels: Volume::filled(Arc::clone(grid), 0u32),
        known: Vec::new(),
        extents: BTreeMap::new(),
        unknown: BTreeMap::new(),
        notes: Vec::new(),
    };
    for other in regions.iter().filter(|region| !classes.contains(&region.class)) {
        out.unknown.insert(other.class, "it is no class of this store".to_owned());
    }
    for (class, bit) in classes.iter().copied().zip((0..u32::BITS).map(|n| 1u32 << n)) {
        let own: Vec<(usize, &Region)> = regions.iter().enumerate().filter(|(_, r)| r.class == class).collect();
        if own.is_empty() {
            continue;
        }
        let mut notes = Vec::new();
        match label_class(&own, grid, one_sided, &mut draw, &mut notes) {
            Ok(parts) => {
                for (structure, part) in parts {
                    part.voxels.iter().for_each(|offset| {
                        if let Some(word) = out.labels.data_mut().get_mut(*offset) {
                            *word |= bit;
                        }
                    });
                    out.extents.insert(structure, part.extent);
                }
                out.known.push(class);
                out.notes.extend(notes);
            }
            Err(why) => {
                out.unknown.insert(class, why);
            }
        }
    }
    out
}

/// One structure on the grid.
struct Placed {
    /// Positions in storage order.
    voxels: Vec<usize>,
    extent: Extent,
    /// Barycentre.
    middle: Lps,
}

impl Placed {
    /// `None` when nothing is there.
    fn of(grid: &Grid, voxels: Vec<[usize; 3]>) -> Option<Self> {
        let s = grid.shape();
        let (mut lo, mut hi, mut sum) = ([usize::MAX; 3], [0usize; 3], [0.0f64; 3]);
        for v in &voxels {
            for a in 0..3 {
                lo[a] = lo[a].min(v[a]);
                hi[a] = hi[a].max(v[a]);
                sum[a] += v[a] as f64;
            }
        }
        let n = voxels.len() as f64;
        (!voxels.is_empty()).then(|| Self {
            middle: grid.to_lps(Index::new(sum[0] / n, sum[1] / n, sum[2] / n)),
            voxels: voxels.into_iter().map(|[i, j, k]| (k * s.rows + j) * s.cols + i).collect(),
            extent: Extent { lo, hi },
        })
    }
}

type Parts = BTreeMap<Structure, Placed>;

fn label_class(
    own: &[(usize, &Region)],
    grid: &Arc<Grid>,
    one_sided: OneSided,
    draw: &mut impl FnMut(usize) -> Result<Mask, String>,
    notes: &mut Vec<String>,
) -> Result<Parts, String> {
    let names = || own.iter().map(|(_, r)| format!("{:?}", r.name)).collect::<Vec<_>>().join(" and ");
    let mut sides: Vec<Declared> = own.iter().map(|(_, r)| r.declared).collect();
    sides.sort_unstable();
    if !matches!(sides.as_slice(), [_] | [Declared::Left, Declared::Right]) {
        return Err(format!("{} are one organ by their names; which one counts is not known", names()));
    }
    let mut parts = Parts::new();
    for (at, region) in own {
        let mask = draw(*at)?;
        if mask.is_empty() {
            return Err(format!("{:?} encloses nothing", region.name));
        }
        let beyond = share_beyond(&mask, grid);
        let seen = on_grid(&mask, grid);
        drop(mask);
        if seen.is_empty() {
            return Err(format!("{:?} lies outside the working grid", region.name));
        }
        if beyond > BEYOND {
            notes.push(format!("{:.0} % of {:?} lie outside the working grid", beyond * 100.0, region.name));
        }
        match (region.declared.side(), region.declared) {
            (Some(side), _) => insert(&mut parts, grid, region.class, Some(side), seen)?,
            (None, Declared::Midline) => insert(&mut parts, grid, region.class, None, seen)?,
            (None, _) => by_place(&mut parts, grid, region, seen, notes)?,
        }
    }
    let mut found = parts.values();
    if let (Some(left), Some(right)) = (found.next(), found.next())
        && left.middle.x <= right.middle.x
    {
        notes.push(format!("{}: the left one lies further to the patient's right; look at the names", names()));
    }
    let bilateral = own.iter().any(|(_, r)| r.declared != Declared::Midline);
    match (bilateral, parts.keys().next().and_then(|s| s.side())) {
        (true, Some(side)) if parts.len() == 1 => {
            let (only, other) = match side {
                Side::Left => ("left", "right"),
                Side::Right => ("right", "left"),
            };
            match one_sided {
                OneSided::Unknown => Err(format!(
                    "only the {only} one was drawn ({}); if there is no {other} one, take it by --one-sided known",
                    names()
                )),
                OneSided::Known => {
                    notes
                        .push(format!("only the {only} one was drawn ({}): the {other} one counts as absent", names()));
                    Ok(parts)
                }
            }
        }
        _ => Ok(parts),
    }
}

fn insert(
    parts: &mut Parts,
    grid: &Grid,
    class: Class,
    side: Option<Side>,
    voxels: Vec<[usize; 3]>,
) -> Result<(), String> {
    let structure = Structure::of(class, side).ok_or_else(|| format!("{} has no such side", class.name()))?;
    if let Some(placed) = Placed::of(grid, voxels) {
        parts.insert(structure, placed);
    }
    Ok(())
}

/// Splits a region whose name says no single side: between the largest parts on both sides of the head, along the patient's x
/// axis; what is in one piece across its middle and was called both is cut there. What lies on one side is of
/// that side, in however many pieces it is: the other organ was not drawn.
fn by_place(
    parts: &mut Parts,
    grid: &Arc<Grid>,
    region: &Region,
    seen: Vec<[usize; 3]>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let mut mask = Mask::empty(Arc::clone(grid));
    seen.iter().for_each(|[i, j, k]| mask.set(*i, *j, *k, true));
    let found = components(&mask, Connectivity::Corners);
    let middle_x = |extent: &Extent| (extent.lo[0] + extent.hi[0]) as f64 / 2.0;
    // The working grid is centred on the head.
    let centre = (grid.shape().cols as f64 - 1.0) / 2.0;
    let across = |extent: &Extent| (extent.lo[0] as f64) < centre && extent.hi[0] as f64 > centre;
    let side_of = |extent: &Extent| if middle_x(extent) > centre { Side::Left } else { Side::Right };
    // Largest first: the largest of each side.
    let other = found.list.first().and_then(|first| {
        let other = found.list.iter().find(|part| side_of(&part.extent) != side_of(&first.extent))?;
        (other.voxels as f64 >= TWO_PARTS * first.voxels as f64).then_some(other)
    });
    let cut = match found.list.as_slice() {
        [first, ..] if let Some(other) = other => f64::midpoint(middle_x(&first.extent), middle_x(&other.extent)),
        [first, ..] if region.declared == Declared::Both && across(&first.extent) => {
            notes.push(format!("{:?} is in one piece and was cut in its middle", region.name));
            middle_x(&first.extent)
        }
        [first, ..] => {
            let side = side_of(&first.extent);
            notes.push(format!("{:?} names no single side; it lies on the {} alone", region.name, side_name(side)));
            return insert(parts, grid, region.class, Some(side), seen);
        }
        [] => return Ok(()),
    };
    let (left, right) = seen.into_iter().partition(|v: &[usize; 3]| v[0] as f64 > cut);
    insert(parts, grid, region.class, Some(Side::Left), left)?;
    insert(parts, grid, region.class, Some(Side::Right), right)
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Left => "left",
        Side::Right => "right",
    }
}

/// The voxels of a grid that lie in a mask of another grid.
fn on_grid(mask: &Mask, grid: &Arc<Grid>) -> Vec<[usize; 3]> {
    if mask.grid().id() == grid.id() {
        return mask.inside().collect();
    }
    let Some(field) = Field::new(mask, None) else { return Vec::new() };
    let Some(seen) = field.on(grid) else { return Vec::new() };
    let Extent { lo, hi } = seen.extent();
    let mut values = vec![0.0f32; hi[0] - lo[0] + 1];
    let mut voxels = Vec::new();
    for k in lo[2]..=hi[2] {
        for j in lo[1]..=hi[1] {
            if seen.row(j, k, &mut values).is_some() {
                let inside = values.iter().enumerate().filter(|(_, value)| **value > 0.0);
                voxels.extend(inside.map(|(n, _)| [lo[0] + n, j, k]));
            }
        }
    }
    voxels
}

/// Share of the voxels of a mask whose centres lie outside a grid.
fn share_beyond(mask: &Mask, grid: &Grid) -> f64 {
    let s = grid.shape();
    let within = |v: f64, n: usize| (-0.5..n as f64 - 0.5).contains(&v);
    let (mut all, mut outside) = (0usize, 0usize);
    for [i, j, k] in mask.inside() {
        let at = grid.to_index(mask.grid().centre(i, j, k));
        all += 1;
        outside += usize::from(!(within(at.i, s.cols) && within(at.j, s.rows) && within(at.k, s.slices)));
    }
    outside as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests;
