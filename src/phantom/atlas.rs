//! The ICBM 152 average (models/atlas): tissue maps and distances to structures, over one half of the symmetric brain.
//!
//! Atlas space: MNI mm turned to LPS (x left, y posterior, z superior), origin where MNI has it. All lookups fold the
//! right half onto the left.

use std::io::Read;
use std::sync::LazyLock;

use flate2::read::GzDecoder;

use super::field::Field;
use crate::geometry::Vec3;

/// The built-in file: models/atlas/README.md says how it is made and under which licence.
static PACKED: &[u8] = include_bytes!("../../models/atlas/icbm152.bin.gz");
static ATLAS: LazyLock<Option<Atlas>> = LazyLock::new(|| Atlas::read(PACKED));

/// Tables of the average brain.
#[derive(Debug)]
pub struct Atlas {
    /// Fractions of grey and white matter.
    tissue: Field<2>,
    /// Distances to the filled brain and to the lateral ventricles.
    depths: Field<2>,
    hull: Field<1>,
    stem: Field<1>,
    hippocampus: Field<1>,
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
            let delta = high.and_then(|high| high.get(n)).map_or(i16::from(*low), |high| i16::from_le_bytes([*low, *high]));
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
    fn field(&self) -> Option<Field<1>> {
        Field::of(self.lo, self.step, self.nodes, self.values.iter().map(|v| [*v]).collect())
    }

    fn with(&self, other: &Self) -> Option<Field<2>> {
        let pairs = self.values.iter().zip(&other.values).map(|(a, b)| [*a, *b]);
        Field::of(self.lo, self.step, self.nodes, pairs.collect())
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
            tissue: find(b"grey\0\0\0\0")?.with(find(b"white\0\0\0")?)?,
            depths: find(b"surface\0")?.with(find(b"vents\0\0\0")?)?,
            hull: find(b"hull\0\0\0\0")?.field()?,
            stem: find(b"stem\0\0\0\0")?.field()?,
            hippocampus: find(b"hippo\0\0\0")?.field()?,
        })
    }

    /// Fractions of grey and white matter; the rest is fluid.
    #[inline]
    pub fn tissue(&self, a: Vec3) -> [f64; 2] {
        self.tissue.at(folded(a)).map(f64::from)
    }

    /// Distances in mm to the filled brain and to the lateral ventricles, no further than 14 mm.
    #[inline]
    pub fn depths(&self, a: Vec3) -> [f64; 2] {
        self.depths.at(folded(a)).map(f64::from)
    }

    /// Distance to the smooth hull of cerebrum and cerebellum.
    #[inline]
    pub fn hull(&self, a: Vec3) -> f64 {
        far(&self.hull, folded(a))
    }

    /// Distance to the brainstem, which goes on below the foramen magnum.
    #[inline]
    pub fn stem(&self, a: Vec3) -> f64 {
        far(&self.stem, folded(a))
    }

    /// Distance to the hippocampus of the point's own side.
    #[inline]
    pub fn hippocampus(&self, a: Vec3) -> f64 {
        far(&self.hippocampus, folded(a))
    }
}

#[inline]
fn folded(a: Vec3) -> Vec3 {
    Vec3::new(a.x.abs(), a.y, a.z)
}

/// A tabulated distance, continued beyond its table by the distance to the table's box.
#[inline]
fn far(field: &Field<1>, a: Vec3) -> f64 {
    let [d] = field.at(a);
    f64::from(d) + field.bounds().distance(a)
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
