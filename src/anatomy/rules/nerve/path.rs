//! The centreline: the shortest path (Dijkstra) from the eye's landmark to the chiasm's in a directed graph of voxels.
//!
//! The graph is never built. petgraph asks [`Lattice`] for the edges that leave a voxel, and only of voxels that can lie
//! on a path: within the region, reachable from the start by steps that are allowed, and from which the target is.

use std::collections::HashSet;

use petgraph::algo::astar;
use petgraph::visit::{Data, EdgeRef, GraphBase, IntoEdgeReferences, IntoEdges, IntoNeighbors, Visitable};

use super::Voxel;
use super::config::{NerveConfig, NervePath};
use super::ruler::{Border, Ruler, neighbours};
use crate::anatomy::part::Part;
use crate::geometry::{Grid, Vec3};

/// Where a path begins and ends, whole-grid voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ends {
    pub start: Voxel,
    pub target: Voxel,
}

impl Ends {
    /// How far a voxel lies on the way, 0 at the start and 1 at the target: along the line between them, or in y alone.
    pub fn progress(&self, v: Voxel, ruler: &Ruler, path: NervePath) -> f64 {
        let along = match path {
            NervePath::ThesisY => Vec3::new(0.0, 1.0, 0.0),
            NervePath::OwnAxis | NervePath::Off => ruler.mm(self.start, self.target),
        };
        let whole = along.dot(ruler.mm(self.start, self.target));
        if whole > 0.0 { (along.dot(ruler.mm(self.start, v)) / whole).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The outer radius R at a voxel, in voxels.
    pub fn radius(&self, v: Voxel, ruler: &Ruler, cfg: &NerveConfig) -> f64 {
        cfg.radius_eye + (cfg.radius_chiasm - cfg.radius_eye) * self.progress(v, ruler, cfg.path)
    }
}

/// The voxels of the cheapest path, both ends included; `None` when the target cannot be reached. `predicted` is the
/// nerve as the networks see it, less fat.
pub(super) fn centreline(
    ends: Ends,
    predicted: &Part,
    grid: &Grid,
    ruler: &Ruler,
    cfg: &NerveConfig,
) -> Option<Vec<Voxel>> {
    let lattice = Lattice::new(ends, predicted, grid, ruler, cfg)?;
    let (start, target) = (lattice.node(ends.start)?, lattice.node(ends.target)?);
    // A* without an estimate is Dijkstra's algorithm; unlike petgraph's `dijkstra` it gives the path.
    let (_, path) = astar(&lattice, start, |n| n == target, |edge| edge.cost, |_| 0.0)?;
    Some(path.into_iter().map(|n| lattice.voxel(n)).collect())
}

/// A step from a voxel to a neighbour.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Difference of node numbers.
    node: i64,
    /// What it counts: its length, and how far it leads ahead, in voxels. Both 1 for the thesis's path.
    length: f64,
    ahead: f64,
}

/// What entering a voxel costs (thesis section 4.2.2.2), per voxel of the way.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Label and distance to the target: counted by a step's length, so that a stretch where nothing was predicted is
    /// crossed straight.
    far: f64,
    /// Border: counted by how far a step leads ahead. That is the same for every path in all, so that none can save by
    /// cutting a bend of the nerve.
    border: f64,
}

impl Cost {
    /// No path can pass.
    const CLOSED: Self = Self { far: f64::INFINITY, border: f64::INFINITY };

    fn is_open(&self) -> bool {
        self.far.is_finite()
    }
}

/// The graph: a box of voxels with a ring of closed voxels around it, so that no step leaves it.
pub(super) struct Lattice {
    /// Voxel of the whole grid at node 0, one below the region: it may be -1.
    lo: [i64; 3],
    size: [i64; 3],
    steps: Vec<Step>,
    /// Of each node.
    cost: Vec<Cost>,
}

impl Lattice {
    /// `None` when start and target allow of no region: at the same place, or one behind the other in y.
    fn new(ends: Ends, predicted: &Part, grid: &Grid, ruler: &Ruler, cfg: &NerveConfig) -> Option<Self> {
        let axis = ruler.mm(ends.start, ends.target).unit()?;
        let margin = match cfg.path {
            NervePath::ThesisY => cfg.margin_voxels,
            NervePath::OwnAxis => cfg.corridor_voxels,
            NervePath::Off => return None,
        };
        let s = grid.shape();
        let last = [s.cols, s.rows, s.slices].map(|n| n as i64 - 1);
        let reach = ruler.reach(margin);
        let low = |a: usize| (ends.start[a].min(ends.target[a]) as i64 - reach[a]).max(0);
        let high = |a: usize| (ends.start[a].max(ends.target[a]) as i64 + reach[a]).min(last[a]);
        let lo: [i64; 3] = std::array::from_fn(|a| low(a) - 1);
        let size: [i64; 3] = std::array::from_fn(|a| high(a) - lo[a] + 2);
        let stride = [1, size[0], size[0] * size[1]];

        let least_cos = cfg.bend_deg.to_radians().cos();
        let steps = neighbours().filter_map(|d| {
            let mm = ruler.displacement(d);
            let node = (0..3).map(|a| d[a] * stride[a]).sum();
            match cfg.path {
                NervePath::ThesisY => (d[1] == 1).then_some(Step { node, length: 1.0, ahead: 1.0 }),
                _ => {
                    let (length, cos) = (ruler.length(d), mm.unit()?.dot(axis));
                    (cos >= least_cos).then_some(Step { node, length, ahead: length * cos })
                }
            }
        });
        let mut lattice = Self { lo, size, steps: steps.collect(), cost: Vec::new() };
        let open = Open { ends, ruler, cfg, axis, least_cos };
        let border = Border::new(cfg.radius_eye.max(cfg.radius_chiasm), ruler);
        lattice.cost = vec![Cost::CLOSED; size.iter().product::<i64>() as usize];
        for z in 1..size[2] - 1 {
            for y in 1..size[1] - 1 {
                for x in 1..size[0] - 1 {
                    let node = x + y * stride[1] + z * stride[2];
                    let v = [x + lo[0], y + lo[1], z + lo[2]].map(|n| n as usize);
                    if open.allows(v) {
                        lattice.cost[node as usize] = cost(v, ends, predicted, &border, ruler, cfg);
                    }
                }
            }
        }
        Some(lattice)
    }

    fn node(&self, v: Voxel) -> Option<u32> {
        let at: [i64; 3] = std::array::from_fn(|a| v[a] as i64 - self.lo[a]);
        let node = at[0] + self.size[0] * (at[1] + self.size[1] * at[2]);
        self.cost.get(usize::try_from(node).ok()?).filter(|c| c.is_open()).map(|_| node as u32)
    }

    fn voxel(&self, node: u32) -> Voxel {
        let n = i64::from(node);
        let at = [n % self.size[0], n / self.size[0] % self.size[1], n / (self.size[0] * self.size[1])];
        std::array::from_fn(|a| (at[a] + self.lo[a]) as usize)
    }
}

/// Which voxels can lie on a path.
struct Open<'a> {
    ends: Ends,
    ruler: &'a Ruler,
    cfg: &'a NerveConfig,
    axis: Vec3,
    least_cos: f64,
}

impl Open<'_> {
    fn allows(&self, v: Voxel) -> bool {
        let Ends { start, target } = self.ends;
        if v == start || v == target {
            return true;
        }
        match self.cfg.path {
            // Each step leads one voxel back and at most one aside.
            NervePath::ThesisY => [(start, v), (v, target)].into_iter().all(|(from, to)| {
                to[1].checked_sub(from[1]).is_some_and(|dy| [0, 2].into_iter().all(|a| from[a].abs_diff(to[a]) <= dy))
            }),
            // Directions within an angle of the axis add up to one within that angle.
            _ => {
                let (from, to) = (self.ruler.mm(start, v), self.ruler.mm(v, target));
                let ahead = |d: Vec3| d.dot(self.axis) >= (self.least_cos - 1e-12) * d.norm();
                // What is dearest to find is asked last.
                ahead(from) && ahead(to) && self.ruler.line_distance(v, start, target) <= self.cfg.corridor_voxels
            }
        }
    }
}

/// The cost of a voxel.
fn cost(v: Voxel, ends: Ends, predicted: &Part, border: &Border, ruler: &Ruler, cfg: &NerveConfig) -> Cost {
    let distance = cfg.distance_cost * ruler.distance(v, ends.target);
    if !predicted.contains(v) {
        return Cost { far: cfg.label_cost + distance, border: 0.0 };
    }
    let radius = ends.radius(v, ruler, cfg);
    Cost { far: distance, border: border.distance(v, predicted, radius).map_or(0.0, |d| radius - d) }
}

/// An edge of the graph: to a voxel, at its cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    from: u32,
    to: u32,
    cost: f64,
}

impl EdgeRef for Edge {
    type NodeId = u32;
    type EdgeId = (u32, u32);
    type Weight = f64;

    fn source(&self) -> u32 {
        self.from
    }

    fn target(&self) -> u32 {
        self.to
    }

    fn weight(&self) -> &f64 {
        &self.cost
    }

    fn id(&self) -> (u32, u32) {
        (self.from, self.to)
    }
}

/// The edges that leave a node.
pub(super) struct Edges<'a> {
    lattice: &'a Lattice,
    from: u32,
    steps: std::slice::Iter<'a, Step>,
}

impl Iterator for Edges<'_> {
    type Item = Edge;

    fn next(&mut self) -> Option<Edge> {
        let (lattice, from) = (self.lattice, self.from);
        self.steps.find_map(|step| {
            let to = i64::from(from) + step.node;
            let cost = lattice.cost[to as usize];
            let total = cost.far * step.length + cost.border * step.ahead;
            cost.is_open().then_some(Edge { from, to: to as u32, cost: total })
        })
    }
}

impl GraphBase for Lattice {
    type NodeId = u32;
    type EdgeId = (u32, u32);
}

impl Data for Lattice {
    type NodeWeight = f64;
    type EdgeWeight = f64;
}

impl Visitable for Lattice {
    type Map = HashSet<u32>;

    fn visit_map(&self) -> Self::Map {
        HashSet::new()
    }

    fn reset_map(&self, map: &mut Self::Map) {
        map.clear();
    }
}

impl<'a> IntoEdges for &'a Lattice {
    type Edges = Edges<'a>;

    fn edges(self, from: u32) -> Edges<'a> {
        Edges { lattice: self, from, steps: self.steps.iter() }
    }
}

impl<'a> IntoNeighbors for &'a Lattice {
    type Neighbors = std::iter::Map<Edges<'a>, fn(Edge) -> u32>;

    fn neighbors(self, from: u32) -> Self::Neighbors {
        self.edges(from).map(|edge| edge.to)
    }
}

impl<'a> IntoEdgeReferences for &'a Lattice {
    type EdgeRef = Edge;
    type EdgeReferences = Box<dyn Iterator<Item = Edge> + 'a>;

    fn edge_references(self) -> Self::EdgeReferences {
        let open = self.cost.iter().enumerate().filter(|(_, cost)| cost.is_open());
        Box::new(open.flat_map(move |(node, _)| self.edges(node as u32)))
    }
}

#[cfg(test)]
mod tests;
