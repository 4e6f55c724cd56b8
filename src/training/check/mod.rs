//! A look at a training store with other eyes: what is labelled is measured, and what is suspicious is said.
//!
//! Nothing here decides what is taught. A flag says that a person should look at the sheet of the case: a side that does not
//! fit its name, an empty class, an organ far from where it is usual in the head's own axes, a volume that no adult has.

mod alike;
mod place;
mod read;

use std::collections::BTreeMap;

use serde::Serialize;

pub use alike::compare_cases;
pub use read::{StoredCase, read_case, read_index};

use alike::Seen;

use crate::anatomy::quality::{beside, reference};
use crate::anatomy::{Class, PlaneSource, Side, SidePlane, Structure, head_plane};
use crate::geometry::{GeometryError, Lps, Mask};

/// What is suspicious about a structure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "flag")]
pub enum Suspicion {
    /// The class is known and nothing is labelled.
    Empty,
    /// It lies on the other side of the head than its name says.
    WrongSide {
        /// How far beyond the middle, mm.
        mm: f64,
    },
    /// Its middle lies further from the plane between left and right, or nearer to it, than is usual.
    Lateral {
        /// Distance from the plane, mm.
        mm: f64,
        /// What is usual.
        usual: [f64; 2],
    },
    /// Its middle lies further from that of its neighbour, or nearer to it, than is usual.
    Apart {
        /// The neighbour.
        from: Structure,
        /// Distance, mm.
        mm: f64,
        /// What is usual.
        usual: [f64; 2],
    },
    /// A volume that no adult has.
    Volume {
        /// Its volume, cm3.
        cc: f64,
        /// What adults have.
        usual: [f64; 2],
    },
    /// Nobody said what is usual of it, and it is unlike the other cases of the store.
    Unlike {
        /// Unit, and of what.
        what: &'static str,
        /// The value.
        value: f64,
        /// The range of the others.
        others: [f64; 2],
    },
}

impl Suspicion {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Suspicion::Empty => "known, but nothing is labelled".to_owned(),
            Suspicion::WrongSide { mm } => format!("lies {mm:.1} mm on the other side than its name says"),
            Suspicion::Lateral { mm, usual: [least, most] } => {
                format!("{mm:.1} mm off the plane between left and right (usual: {least:.0} to {most:.0})")
            }
            Suspicion::Apart { from, mm, usual: [least, most] } => {
                format!("{mm:.1} mm from {} (usual: {least:.0} to {most:.0})", from.name())
            }
            Suspicion::Volume { cc, usual: [least, most] } => {
                format!("volume {cc:.2} cm3 (adults: {least:.2} to {most:.2})")
            }
            Suspicion::Unlike { what, value, others: [least, most] } => {
                format!("{value:.2} {what} (the other cases of the store: {least:.2} to {most:.2})")
            }
        }
    }
}

/// A flag: which structure or class, and what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckFlag {
    /// Name of the structure, or of the class where no structure can be named.
    pub what: String,
    /// What is suspicious.
    #[serde(flatten)]
    pub suspicion: Suspicion,
}

/// What was seen of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseCheck {
    /// Name of the case.
    pub case: String,
    /// Pseudonym of the patient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// From what the plane between left and right was taken.
    pub plane: PlaneSource,
    /// Volume of each structure, cm3.
    pub volumes_cc: BTreeMap<Structure, f64>,
    /// What [`compare_cases`] compares.
    #[serde(skip)]
    seen: BTreeMap<Structure, Seen>,
    /// What is suspicious; empty for an ordinary case.
    pub flags: Vec<CheckFlag>,
}

/// The structures of a case, each on its own side: by the boxes of declared sides where the store has them, else by the
/// head's own plane.
///
/// # Errors
/// None that a caller can cause.
pub fn check_case(case: &StoredCase) -> Result<(CaseCheck, Vec<(Structure, Mask)>), GeometryError> {
    let mut masks: BTreeMap<Class, Mask> = BTreeMap::new();
    for (class, bit) in &case.bits {
        if case.record.known.contains(class) {
            masks.insert(*class, case.labels.map(|word| word >> bit & 1 == 1));
        }
    }
    let plane = plane_of(case, &masks)?;
    let mut flags = Vec::new();
    let mut structures: Vec<(Structure, Mask)> = Vec::new();
    for (class, mask) in &masks {
        if mask.is_empty() {
            flags.push(CheckFlag { what: class.name().to_owned(), suspicion: Suspicion::Empty });
            continue;
        }
        structures.extend(by_side(case, *class, mask, &plane));
    }
    let middles: BTreeMap<Structure, Lps> =
        structures.iter().filter_map(|(s, mask)| Some((*s, mask.barycentre()?))).collect();
    let (mut volumes_cc, mut seen) = (BTreeMap::new(), BTreeMap::new());
    let brain = masks.get(&Class::Brain).and_then(Mask::barycentre);
    for (structure, mask) in &structures {
        let cc = mask.cc();
        volumes_cc.insert(*structure, cc);
        let mut flag = |suspicion| flags.push(CheckFlag { what: structure.name().to_owned(), suspicion });
        let Some(middle) = middles.get(structure) else {
            flag(Suspicion::Empty);
            continue;
        };
        if let Some(usual) =
            reference(structure.class()).map(|of| of.cc).filter(|[least, most]| cc < *least || cc > *most)
        {
            flag(Suspicion::Volume { cc, usual });
        }
        let lateral = plane.distance(*middle);
        let lateral = match structure.side() {
            Some(Side::Left) => lateral,
            Some(Side::Right) => -lateral,
            None => lateral.abs(),
        };
        seen.insert(*structure, Seen { lateral, apart: brain.map(|at| at.distance(*middle)), cc });
        let place = place::usual(structure.class());
        if structure.side().is_some() && lateral < 0.0 {
            flag(Suspicion::WrongSide { mm: -lateral });
        } else if !(place.lateral[0]..=place.lateral[1]).contains(&lateral) {
            flag(Suspicion::Lateral { mm: lateral, usual: place.lateral });
        }
        if let Some((from, other)) = beside(*structure).and_then(|from| Some((from, middles.get(&from)?))) {
            let mm = middle.distance(*other);
            if !(place.apart[0]..=place.apart[1]).contains(&mm) {
                flag(Suspicion::Apart { from, mm, usual: place.apart });
            }
        }
    }
    let check = CaseCheck {
        case: case.record.id.clone(),
        patient: case.record.patient.clone(),
        plane: plane.source,
        volumes_cc,
        seen,
        flags,
    };
    Ok((check, structures))
}

fn plane_of(case: &StoredCase, masks: &BTreeMap<Class, Mask>) -> Result<SidePlane, GeometryError> {
    let middle = |class: Class| masks.get(&class).and_then(Mask::barycentre);
    let midline: Vec<Lps> =
        [Class::Brainstem, Class::Chiasm, Class::Pituitary].into_iter().filter_map(middle).collect();
    head_plane(case.image.grid(), masks.get(&Class::Brain), &midline, masks.get(&Class::Eye))
}

/// The parts of a class by side; a midline organ is one part.
fn by_side(case: &StoredCase, class: Class, mask: &Mask, plane: &SidePlane) -> Vec<(Structure, Mask)> {
    let mut structures = class.structures();
    if let (Some(only), None) = (structures.next(), structures.next()) {
        return vec![(only, mask.clone())];
    }
    let boxes = case.record.boxes.get(&class).map(Vec::as_slice).unwrap_or_default();
    let sides = match (case.record.sides.get(&class), boxes.len()) {
        (Some(sides), n) if sides.len() == n => sides.clone(),
        // Boxes of both sides come left first.
        (_, 2) => vec![Side::Left, Side::Right],
        _ => Vec::new(),
    };
    let grid = mask.grid();
    // Squared distance in voxels from a box; 0 within.
    let off = |[a, b, c, d, e, f]: &[usize; 6], v: [usize; 3]| -> usize {
        let out = |n: usize, lo: usize, hi: usize| if n < lo { lo - n } else { n.saturating_sub(hi) };
        [out(v[0], *a, *d), out(v[1], *b, *e), out(v[2], *c, *f)].iter().map(|n| n * n).sum()
    };
    let centre_off = |[a, _, _, d, _, _]: &[usize; 6], v: [usize; 3]| (a + d).abs_diff(2 * v[0]);
    let side_of = |v: [usize; 3]| -> Side {
        let nearest = boxes.iter().zip(&sides).min_by_key(|(b, _)| (off(b, v), centre_off(b, v)));
        nearest.map_or_else(|| plane.side(grid.centre(v[0], v[1], v[2])), |(_, side)| *side)
    };
    let mut parts: BTreeMap<Structure, Mask> = BTreeMap::new();
    for v in mask.inside() {
        if let Some(structure) = Structure::of(class, Some(side_of(v))) {
            let part = parts.entry(structure).or_insert_with(|| Mask::empty(std::sync::Arc::clone(grid)));
            part.set(v[0], v[1], v[2], true);
        }
    }
    parts.into_iter().collect()
}
