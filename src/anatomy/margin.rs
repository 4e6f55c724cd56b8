//! Margins: a structure grown or shrunk by millimetres, exactly.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::geometry::Mask;

/// Millimetres towards each side of the patient. All of one sign: a structure grows or shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "MarginForm", into = "MarginForm")]
pub struct Margin {
    /// Towards the patient's left and right, mm.
    pub left: f64,
    pub right: f64,
    /// Towards front and back, mm.
    pub anterior: f64,
    pub posterior: f64,
    /// Towards head and feet, mm.
    pub superior: f64,
    pub inferior: f64,
}

/// How a margin is written in the configuration: one number, or one for each side.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum MarginForm {
    Uniform(f64),
    Sides(Sides),
}

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Sides {
    left: f64,
    right: f64,
    anterior: f64,
    posterior: f64,
    superior: f64,
    inferior: f64,
}

impl From<MarginForm> for Margin {
    fn from(form: MarginForm) -> Self {
        match form {
            MarginForm::Uniform(mm) => Self::uniform(mm),
            MarginForm::Sides(Sides { left, right, anterior, posterior, superior, inferior }) => {
                Self { left, right, anterior, posterior, superior, inferior }
            }
        }
    }
}

impl From<Margin> for MarginForm {
    fn from(m: Margin) -> Self {
        let Margin { left, right, anterior, posterior, superior, inferior } = m;
        MarginForm::Sides(Sides { left, right, anterior, posterior, superior, inferior })
    }
}

/// The longest margin, mm: CTV margins in the brain are 10 to 30 mm.
const LONGEST: f64 = 50.0;

impl Margin {
    /// The same in every direction.
    pub const fn uniform(mm: f64) -> Self {
        Self { left: mm, right: mm, anterior: mm, posterior: mm, superior: mm, inferior: mm }
    }

    /// Towards negative and positive along x, y and z of LPS.
    fn along(&self) -> [[f64; 2]; 3] {
        [[self.right, self.left], [self.anterior, self.posterior], [self.inferior, self.superior]]
    }

    fn all(&self) -> impl Iterator<Item = f64> {
        self.along().into_iter().flatten()
    }

    /// Whether nothing moves.
    pub fn is_zero(&self) -> bool {
        self.all().all(|mm| mm == 0.0)
    }

    /// What is wrong with it, if anything.
    pub fn fault(&self) -> Option<String> {
        if !self.all().all(|mm| mm.abs() <= LONGEST) {
            return Some(format!("margin_mm must be between -{LONGEST} and {LONGEST}"));
        }
        if self.all().any(|mm| mm > 0.0) && self.all().any(|mm| mm < 0.0) {
            return Some("margin_mm grows towards one side and shrinks at another: make two derived structures".into());
        }
        None
    }
}

/// The surface of a structure lies beyond its outermost voxel centres, by this part of a voxel in the mean over
/// directions: without it every margin would fall short (measured on balls of 2 to 10 mm with margins of 1 to 8 mm: the
/// volume by 3 to 20 % without, by at most 3 % with it).
const BEYOND_CENTRES: f64 = 0.35;

/// A structure with a margin. Grown, a voxel belongs to it when it lies in the ellipsoid (its half axes are the margins
/// towards each side, so that it may be lopsided, measured from the surface) about some voxel of the structure; shrunk,
/// when no voxel outside lies in the ellipsoid about it. Exact: distances are Euclidean, no chamfer, no dilation in steps.
/// What would lie beyond the grid is cut off; beyond the grid counts as outside.
///
/// `mask` lies on a grid along the patient axes, as the working grid does.
pub fn with_margin(mask: &Mask, margin: &Margin) -> Mask {
    let mut out = Mask::empty(std::sync::Arc::clone(mask.grid()));
    let Some(extent) = mask.extent() else { return out };
    if margin.is_zero() {
        return mask.clone();
    }
    let grow = margin.all().all(|mm| mm >= 0.0);
    let spacing = mask.grid().spacing();
    let shape = mask.grid().shape();
    let shape = [shape.cols, shape.rows, shape.slices];
    // The box is padded also where it leaves the grid: its indices are those of the grid plus `pad`.
    let pad: [usize; 3] = std::array::from_fn(|a| {
        let most = margin.along()[a].map(f64::abs);
        (most[0].max(most[1]) / spacing[a]).ceil() as usize + 2
    });
    let size: [usize; 3] = std::array::from_fn(|a| extent.hi[a] - extent.lo[a] + 1 + 2 * pad[a]);
    let at_grid = |at: [usize; 3]| -> Option<[usize; 3]> {
        let v: [Option<usize>; 3] =
            std::array::from_fn(|a| (at[a] + extent.lo[a]).checked_sub(pad[a]).filter(|v| *v < shape[a]));
        Some([v[0]?, v[1]?, v[2]?])
    };
    let inside = |at: [usize; 3]| at_grid(at).is_some_and(|[i, j, k]| mask.at(i, j, k));

    // Squared distance, in margins, to the nearest source; sources are inside to grow, outside to shrink.
    let plane = size[0] * size[1];
    let mut near: Vec<f32> = vec![f32::INFINITY; plane * size[2]];
    let along = margin.along().map(|sides| sides.map(f64::abs));
    // A source reaches a voxel by moving towards it. To shrink, the voxel itself does the reaching: sides swap.
    let reach: [Reach; 3] = std::array::from_fn(|a| {
        let [negative, positive] = along[a];
        if grow { Reach::new(negative, positive, spacing[a]) } else { Reach::new(positive, negative, spacing[a]) }
    });
    near.par_chunks_exact_mut(plane).enumerate().for_each(|(z, plane)| {
        for (y, row) in plane.chunks_exact_mut(size[0]).enumerate() {
            let sources: Vec<usize> = (0..size[0]).filter(|x| inside([*x, y, z]) == grow).collect();
            for source in sources {
                reach[0].cover(source, size[0], |x, cost| row[x] = row[x].min(cost));
            }
        }
    });
    for (axis, stride) in [(1, size[0]), (2, plane)] {
        let before = near.clone();
        near.par_chunks_exact_mut(size[0]).enumerate().for_each(|(row, out)| {
            let at = if axis == 1 { row % size[1] } else { row / size[1] };
            reach[axis].from(at, size[axis], |source, cost| {
                let start = row * size[0] + source * stride - at * stride;
                for (to, from) in out.iter_mut().zip(&before[start..start + size[0]]) {
                    *to = to.min(from + cost);
                }
            });
        });
    }
    for (n, near) in near.iter().enumerate() {
        let at = [n % size[0], n / size[0] % size[1], n / plane];
        // A hair more than one: a margin of exactly three voxels holds the third whatever the rounding.
        if (*near <= 1.0 + 1e-5) == grow
            && let Some([i, j, k]) = at_grid(at)
        {
            out.set(i, j, k, grow || mask.at(i, j, k));
        }
    }
    out
}

/// From the outermost centres; none where nothing is to move.
fn half_axis(margin: f64, spacing: f64) -> f64 {
    if margin > 0.0 { margin + BEYOND_CENTRES * spacing } else { 0.0 }
}

/// How far, along one axis, a source reaches and what that costs: (steps / margin)^2.
struct Reach {
    /// By steps towards negative and positive, from no step on.
    cost: [Vec<f32>; 2],
}

impl Reach {
    fn new(negative: f64, positive: f64, spacing: f64) -> Self {
        let costs = |margin: f64| {
            let margin = half_axis(margin, spacing);
            let steps = (0..).map(|n| n as f64 * spacing);
            let within = steps.take_while(|mm| *mm <= margin * (1.0 + 1e-6));
            within.map(|mm| if mm == 0.0 { 0.0 } else { (mm / margin).powi(2) as f32 }).collect()
        };
        Self { cost: [costs(negative), costs(positive)] }
    }

    /// Every place that the source reaches.
    fn cover(&self, source: usize, size: usize, mut visit: impl FnMut(usize, f32)) {
        let [negative, positive] = &self.cost;
        negative.iter().enumerate().take(source + 1).for_each(|(n, cost)| visit(source - n, *cost));
        positive.iter().enumerate().take(size - source).for_each(|(n, cost)| visit(source + n, *cost));
    }

    /// Every source that reaches a place.
    fn from(&self, place: usize, size: usize, mut visit: impl FnMut(usize, f32)) {
        let [negative, positive] = &self.cost;
        negative.iter().enumerate().take(size - place).for_each(|(n, cost)| visit(place + n, *cost));
        positive.iter().enumerate().take(place + 1).for_each(|(n, cost)| visit(place - n, *cost));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geometry::{Grid, Lps, Shape};
    use crate::ids::FrameOfReferenceUid;

    fn mask(shape: [usize; 3], spacing: [f64; 3], mut inside: impl FnMut(usize) -> bool) -> Mask {
        let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
        let shape = Shape::new(shape[0], shape[1], shape[2]);
        let grid = Grid::axis_aligned(frame, shape, Lps::new(-31.0, 12.0, 5.0), spacing).unwrap();
        Mask::new(Arc::new(grid), (0..shape.voxels()).map(&mut inside).collect()).unwrap()
    }

    /// Whether `to` lies in the ellipsoid about `from`, by its definition.
    fn reaches(mask: &Mask, margin: &Margin, from: [usize; 3], to: [usize; 3]) -> bool {
        let sum: f64 = (0..3)
            .map(|a| {
                let mm = (to[a] as f64 - from[a] as f64) * mask.grid().spacing()[a];
                let half = half_axis(margin.along()[a][usize::from(mm > 0.0)].abs(), mask.grid().spacing()[a]);
                if mm == 0.0 { 0.0 } else { (mm / half).powi(2) }
            })
            .sum();
        sum <= 1.0 + 1e-5
    }

    #[test]
    fn a_margin_is_what_brute_force_says() {
        let mut state = 88_172_645_463_325_252_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f64 / (1u64 << 24) as f64
        };
        for case in 0..40 {
            let share = if case % 2 == 0 { 0.01 } else { 0.9 };
            let m = mask([13, 9, 7], [0.7, 0.8, 1.9], |_| random() < share);
            let sign = if case % 2 == 0 { 1.0 } else { -1.0 };
            let mut side = || if random() < 0.2 { 0.0 } else { sign * (random() * 4.0 * 10.0).round() / 10.0 };
            let margin = Margin {
                left: side(),
                right: side(),
                anterior: side(),
                posterior: side(),
                superior: side(),
                inferior: side(),
            };
            let found = with_margin(&m, &margin);
            for (offset, found) in found.data().iter().enumerate() {
                let v = m.voxel(offset);
                let all = || (0..m.data().len()).map(|o| (m.voxel(o), m.data()[o]));
                let expected = if sign > 0.0 {
                    all().any(|(from, inside)| inside && reaches(&m, &margin, from, v))
                } else {
                    // Beyond the grid is outside: one more voxel all round stands for it.
                    let beyond = (0..3).any(|a| {
                        let size = [13, 9, 7][a];
                        let spacing = m.grid().spacing()[a];
                        let [negative, positive] = margin.along()[a].map(|mm| half_axis(mm.abs(), spacing));
                        (v[a] as f64 + 1.0) * spacing <= negative * (1.0 + 1e-6)
                            || (size - v[a]) as f64 * spacing <= positive * (1.0 + 1e-6)
                    });
                    m.data()[offset] && !beyond && !all().any(|(to, inside)| !inside && reaches(&m, &margin, v, to))
                };
                assert_eq!(*found, expected, "case {case}, {margin:?}, voxel {v:?}");
            }
        }
    }

    #[test]
    fn left_is_plus_x_and_posterior_plus_y() {
        let m = mask([21, 21, 21], [1.0; 3], |o| o == 10 + 10 * 21 + 10 * 441);
        let grown = with_margin(&m, &Margin { left: 3.0, posterior: 2.0, inferior: 1.0, ..Margin::default() });
        let e = grown.extent().unwrap();
        assert_eq!((e.lo, e.hi), ([10, 10, 9], [13, 12, 10]));
    }

    #[test]
    fn a_sphere_grows_by_the_margin() {
        let ball = |radius: f64| {
            mask([50, 50, 40], [0.7, 0.7, 0.9], |o| {
                let v = [o % 50, o / 50 % 50, o / 2500];
                let at = [v[0] as f64 * 0.7 - 17.0, v[1] as f64 * 0.7 - 17.6, v[2] as f64 * 0.9 - 18.0];
                at.iter().map(|x| x * x).sum::<f64>() <= radius * radius
            })
        };
        let grown = with_margin(&ball(6.0), &Margin::uniform(3.0));
        assert!((grown.cc() / ball(9.0).cc() - 1.0).abs() < 0.02, "{} {}", grown.cc(), ball(9.0).cc());
        let back = with_margin(&grown, &Margin::uniform(-3.0));
        assert!((back.cc() / ball(6.0).cc() - 1.0).abs() < 0.03, "{} {}", back.cc(), ball(6.0).cc());
    }

    #[test]
    fn a_margin_is_one_number_or_one_for_each_side() {
        #[derive(serde::Deserialize)]
        struct Row {
            margin_mm: Margin,
        }
        let read = |text: &str| toml::from_str::<Row>(text).map(|row| row.margin_mm);
        assert_eq!(read("margin_mm = 3").unwrap(), Margin::uniform(3.0));
        let sides = read("margin_mm = { superior = 5.0, left = 1.5 }").unwrap();
        assert_eq!(sides, Margin { superior: 5.0, left: 1.5, ..Margin::default() });
        assert!(read("margin_mm = { up = 5.0 }").is_err());
        assert!(Margin::uniform(51.0).fault().is_some() && Margin::uniform(f64::NAN).fault().is_some());
        assert!(Margin { left: 1.0, right: -1.0, ..Margin::default() }.fault().is_some());
        assert_eq!(Margin::uniform(-4.0).fault(), None);
    }
}
