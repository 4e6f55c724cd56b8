//! The ICBM 152 average (models/atlas): tissue maps and distances to structures, over one half of the symmetric brain.
//!
//! Atlas space: MNI mm turned to LPS (x left, y posterior, z superior), origin where MNI has it. All lookups fold the
//! right half onto the left.

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;

use crate::geometry::Vec3;
use crate::phantom::field::Field;
use crate::phantom::shape::Bounds;

/// The built-in file: models/atlas/README.md says how it is made and under which licence.
static PACKED: &[u8] = include_bytes!("../../../models/atlas/icbm152.bin.gz");
static ATLAS: LazyLock<Option<Atlas>> = LazyLock::new(|| Atlas::read(PACKED));

/// Tables of the average brain.
#[derive(Debug)]
pub struct Atlas {
    /// Fractions of grey and white matter.
    tissue: Field<2>,
    /// Distances to the filled brain, to the lateral ventricles, to the cerebellum.
    depths: Field<3>,
    hull: Reach,
    stem: Reach,
    hippocampus: Reach,
}

/// A tabulated distance, continued beyond its table by the distance to the table's box.
#[derive(Debug)]
struct Reach {
    table: Field<1>,
    bounds: Bounds,
}

/// A layer of the file: values at nodes of atlas space.
struct Layer {
    name: [u8; 8],
    lo: Vec3,
    step: f64,
    nodes: [usize; 3],
    values: Vec<f32>,
}

/// Takes bytes from the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    /// The next layer; the format is described in models/atlas/make_atlas.
    fn layer(&mut self) -> Option<Layer> {
        let name = self.take::<8>()?;
        let mut origin = [0.0f64; 3];
        for v in &mut origin {
            *v = f64::from(i16::from_le_bytes(self.take()?));
        }
        let [step, size] = self.take::<2>()?;
        let unit = f32::from_le_bytes(self.take()?);
        let mut nodes = [0usize; 3];
        for n in &mut nodes {
            *n = usize::from(u16::from_le_bytes(self.take()?));
        }
        let [nx, ny, nz] = nodes;
        let count = nx * ny * nz;
        let low = self.bytes(count)?;
        let high = if size == 2 { Some(self.bytes(count)?) } else { None };
        let (mut values, mut sum) = (vec![0.0f32; count], 0i16);
        let step = f64::from(step);
        for (n, low) in low.iter().enumerate() {
            let (x, y, z) = (n % nx, n / nx % ny, n / (nx * ny));
            let start = if x == 0 { 0 } else { sum };
            let delta =
                high.and_then(|high| high.get(n)).map_or(i16::from(*low), |high| i16::from_le_bytes([*low, *high]));
            sum = start.wrapping_add(delta);
            // One byte: the sum counts modulo 256.
            sum = if size == 2 { sum } else { i16::from(sum as i8) };
            // The file runs from posterior to anterior, the table from anterior to posterior.
            if let Some(value) = values.get_mut((z * ny + (ny - 1 - y)) * nx + x) {
                *value = f32::from(sum) * unit;
            }
        }
        let anterior = origin[1] + step * (ny as f64 - 1.0);
        Some(Layer { name, lo: Vec3::new(origin[0], -anterior, origin[2]), step, nodes, values })
    }
}

impl Layer {
    /// Layers on the same nodes as one table.
    fn table<const N: usize>(layers: [&Self; N]) -> Option<Field<N>> {
        let [first, ..] = layers.as_slice() else { return None };
        if layers.iter().any(|layer| layer.nodes != first.nodes) {
            return None;
        }
        let value = |layer: &Self, n: usize| layer.values.get(n).copied().unwrap_or_default();
        let data = (0..first.values.len()).map(|n| layers.map(|layer| value(layer, n))).collect();
        Field::of(first.lo, first.step, first.nodes, data)
    }
}

impl Reach {
    fn new(layer: &Layer) -> Option<Self> {
        let table = Layer::table([layer])?;
        Some(Self { bounds: table.bounds(), table })
    }

    #[inline]
    fn at(&self, a: Vec3) -> f64 {
        let [d] = self.table.at(a);
        f64::from(d) + self.bounds.distance(a)
    }
}

impl Atlas {
    /// The built-in atlas; `None` only when the program was built with a damaged file.
    pub fn get() -> Option<&'static Self> {
        ATLAS.as_ref()
    }

    fn read(packed: &[u8]) -> Option<Self> {
        let mut raw = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut raw).ok()?;
        let mut reader = Reader(&raw);
        if &reader.take::<8>()? != b"ICBM152A" {
            return None;
        }
        let mut layers = Vec::new();
        while !reader.0.is_empty() {
            layers.push(reader.layer()?);
        }
        let find = |name: &[u8; 8]| layers.iter().find(|layer| &layer.name == name);
        Some(Self {
            tissue: Layer::table([find(b"grey\0\0\0\0")?, find(b"white\0\0\0")?])?,
            depths: Layer::table([find(b"surface\0")?, find(b"vents\0\0\0")?, find(b"cereb\0\0\0")?])?,
            hull: Reach::new(find(b"hull\0\0\0\0")?)?,
            stem: Reach::new(find(b"stem\0\0\0\0")?)?,
            hippocampus: Reach::new(find(b"hippo\0\0\0")?)?,
        })
    }

    /// Fractions of grey and white matter; the rest is fluid.
    #[inline]
    pub fn tissue(&self, a: Vec3) -> [f64; 2] {
        self.tissue.at(folded(a)).map(f64::from)
    }

    /// Distances in mm to the filled brain, to the lateral ventricles and to the cerebellum, no further than 14 mm.
    #[inline]
    pub fn depths(&self, a: Vec3) -> [f64; 3] {
        self.depths.at(folded(a)).map(f64::from)
    }

    /// Distance to the smooth hull of cerebrum and cerebellum.
    #[inline]
    pub fn hull(&self, a: Vec3) -> f64 {
        self.hull.at(folded(a))
    }

    /// Distance to the brainstem, which goes on below the foramen magnum.
    #[inline]
    pub fn stem(&self, a: Vec3) -> f64 {
        self.stem.at(folded(a))
    }

    /// Distance to the hippocampus of the point's own side.
    #[inline]
    pub fn hippocampus(&self, a: Vec3) -> f64 {
        self.hippocampus.at(folded(a))
    }
}

#[inline]
fn folded(a: Vec3) -> Vec3 {
    Vec3::new(a.x.abs(), a.y, a.z)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_refused() {
        assert!(Atlas::read(PACKED).is_some());
        assert!(Atlas::read(&PACKED[..PACKED.len() / 2]).is_none());
        assert!(Atlas::read(b"nothing").is_none());
    }
}
