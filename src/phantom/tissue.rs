//! What a voxel is made of, and how bright that is in a T1-weighted image.

use super::random::Rng;

/// Tissue, or its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum Tissue {
    Air,
    Skin,
    Fat,
    Muscle,
    CorticalBone,
    Marrow,
    Csf,
    GreyMatter,
    WhiteMatter,
    DeepGrey,
    Vitreous,
    Lens,
    Sclera,
    OpticNerve,
    Pituitary,
    NeuroHypophysis,
    Mucosa,
    Vessel,
    /// Blood of the dural and cavernous sinuses: slow, so that it always takes up contrast medium.
    Vein,
    /// Dura where it is thick enough to be seen: falx, tentorium.
    Dura,
    /// Choroid plexus.
    Choroid,
    /// Extraocular muscle: takes up more than other muscle.
    EyeMuscle,
    /// Lacrimal, parotid and submandibular glands.
    Gland,
    Cartilage,
    /// Living rim of a tumour.
    TumourRim,
    Necrosis,
    Edema,
}

impl Tissue {
    /// Number of tissues.
    pub const COUNT: usize = Self::Edema as usize + 1;
}

/// Kind of T1-weighted acquisition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Contrast {
    /// Native T1.
    Native,
    /// After gadolinium: pituitary, vessels and mucosa shine.
    Gadolinium,
    /// After gadolinium with the signal of fat suppressed.
    GadoliniumFatSuppressed,
}

impl Contrast {
    /// A kind as they come in a radiotherapy department: gadolinium rather than native, fat suppressed in a fifth.
    pub fn draw(rng: &mut Rng) -> Self {
        match rng.unit() {
            v if v < 0.4 => Self::Native,
            v if v < 0.8 => Self::Gadolinium,
            _ => Self::GadoliniumFatSuppressed,
        }
    }
}

/// Signal of every tissue; white matter is about 1.
#[derive(Debug, Clone)]
pub struct Signal([f32; Tissue::COUNT]);

impl Signal {
    /// Signals of one patient on one scanner: the usual order of T1, each shifted at random.
    pub fn draw(rng: &mut Rng, contrast: Contrast) -> Self {
        let mut signal = [0.0f32; Tissue::COUNT];
        let mut set = |tissue: Tissue, mean: f64, deviation: f64| {
            signal[tissue as usize] = rng.near(mean, deviation).max(0.0) as f32;
        };
        let enhanced = contrast != Contrast::Native;
        let fat = contrast != Contrast::GadoliniumFatSuppressed;
        set(Tissue::Air, 0.015, 0.006);
        set(Tissue::Skin, 0.62, 0.10);
        if fat {
            set(Tissue::Fat, 1.35, 0.22)
        } else {
            set(Tissue::Fat, 0.30, 0.08)
        }
        set(Tissue::Muscle, if enhanced { 0.62 } else { 0.55 }, 0.07);
        set(Tissue::CorticalBone, 0.10, 0.03);
        if fat {
            set(Tissue::Marrow, 0.85, 0.20)
        } else {
            set(Tissue::Marrow, 0.30, 0.07)
        }
        set(Tissue::Csf, 0.23, 0.05);
        set(Tissue::GreyMatter, 0.68, 0.05);
        set(Tissue::WhiteMatter, 1.0, 0.03);
        set(Tissue::DeepGrey, 0.78, 0.05);
        set(Tissue::Vitreous, 0.21, 0.05);
        set(Tissue::Lens, 0.52, 0.09);
        set(Tissue::Sclera, if enhanced { 0.70 } else { 0.45 }, 0.08);
        set(Tissue::OpticNerve, 0.78, 0.08);
        if enhanced {
            set(Tissue::Pituitary, 1.35, 0.20)
        } else {
            set(Tissue::Pituitary, 0.76, 0.07)
        }
        set(Tissue::NeuroHypophysis, 1.20, 0.18);
        if enhanced {
            set(Tissue::Mucosa, 1.25, 0.20)
        } else {
            set(Tissue::Mucosa, 0.62, 0.08)
        }
        set(Tissue::Vein, if enhanced { 1.55 } else { 0.45 }, if enhanced { 0.2 } else { 0.14 });
        set(Tissue::Dura, if enhanced { 1.0 } else { 0.45 }, 0.12);
        set(Tissue::Choroid, if enhanced { 1.4 } else { 0.5 }, if enhanced { 0.2 } else { 0.08 });
        set(Tissue::EyeMuscle, if enhanced { 0.95 } else { 0.58 }, 0.1);
        set(Tissue::Gland, if enhanced { 0.95 } else { 0.7 }, 0.1);
        set(Tissue::Cartilage, 0.5, 0.1);
        set(Tissue::TumourRim, if enhanced { 1.3 } else { 0.7 }, 0.2);
        set(Tissue::Necrosis, 0.42, 0.1);
        set(Tissue::Edema, 0.66, 0.07);
        if enhanced {
            set(Tissue::Vessel, 1.65, 0.25);
        } else {
            // Flowing blood is dark in spin echo and bright by inflow in gradient echo.
            let bright = rng.chance(0.5);
            signal[Tissue::Vessel as usize] = rng.near(if bright { 1.2 } else { 0.25 }, 0.12) as f32;
        }
        Self(signal)
    }

    /// The same signals, strayed from: each tissue's by a factor of its own, and with `strength` near 1 some tissues
    /// exchanged for any signal at all, in the way of SynthSeg (Billot et al. 2023). 0 changes nothing.
    pub fn strayed(mut self, rng: &mut Rng, strength: f64) -> Self {
        for (n, signal) in self.0.iter_mut().enumerate() {
            let (factor, any) = (rng.near(0.0, 0.16 * strength).exp(), rng.within(0.05, 1.5));
            let swapped = rng.chance(0.08 * strength) && n != Tissue::Air as usize;
            if strength > 0.0 {
                *signal = if swapped { any as f32 } else { *signal * factor as f32 };
            }
        }
        self
    }

    /// The same signals with another one for a tissue: what is no T1 is made so.
    pub fn with(mut self, tissue: Tissue, signal: f32) -> Self {
        self.0[tissue as usize] = signal;
        self
    }

    /// Signal of a tissue.
    #[inline]
    pub fn of(&self, tissue: Tissue) -> f32 {
        self.0[tissue as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t1_keeps_its_order_for_every_seed() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed, "signal");
            let contrast = Contrast::draw(&mut rng);
            let s = Signal::draw(&mut rng, contrast);
            assert!(s.of(Tissue::WhiteMatter) > s.of(Tissue::GreyMatter));
            assert!(s.of(Tissue::GreyMatter) > s.of(Tissue::Csf));
            assert!(s.of(Tissue::Csf) > s.of(Tissue::Air));
            assert!(s.of(Tissue::Lens) > s.of(Tissue::Vitreous) - 0.06);
            if contrast == Contrast::GadoliniumFatSuppressed {
                assert!(s.of(Tissue::Fat) < s.of(Tissue::GreyMatter));
            }
            if contrast != Contrast::Native {
                assert!(s.of(Tissue::Pituitary) > s.of(Tissue::GreyMatter));
            }
        }
    }
}
