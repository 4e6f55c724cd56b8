//! Seeded random numbers: the same on every machine and for every number of threads.

/// SplitMix64 (Steele, Lea, Flood 2014): one 64-bit state, every output a hash of a counter.
#[derive(Debug, Clone)]
pub struct Rng(u64);

/// The finaliser of SplitMix64: a hash of a 64-bit word.
#[inline]
pub fn hash(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Two nearly normal deviates of unit variance from one hash of a counter.
/// Each is the scaled sum of four uniform bytes: bounded by 3.5 standard deviations, which is what image noise needs.
#[inline]
pub fn normal_pair(counter: u64) -> (f32, f32) {
    let h = hash(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1));
    // Sums of two bytes in each quarter of the word, then of four.
    let pairs = (h & 0x00ff_00ff_00ff_00ff) + (h >> 8 & 0x00ff_00ff_00ff_00ff);
    let fours = pairs + (pairs >> 16);
    let deviate = |total: u64| ((total & 0xffff) as u16 as f32 - 510.0) / 147.8;
    (deviate(fours), deviate(fours >> 32))
}

impl Rng {
    /// A stream of its own for every (seed, purpose).
    pub fn new(seed: u64, purpose: &str) -> Self {
        let tag =
            purpose.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
        Self(hash(seed ^ hash(tag)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash(self.0)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Normal with a mean and a standard deviation, cut at 2.5 standard deviations.
    pub fn near(&mut self, mean: f64, deviation: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        mean + deviation * (radius * angle.cos()).clamp(-2.5, 2.5)
    }

    /// True with a probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, purpose| Rng::new(seed, purpose).bits();
        assert_eq!(draw(5, "shape"), draw(5, "shape"));
        assert_ne!(draw(5, "shape"), draw(6, "shape"));
        assert_ne!(draw(5, "shape"), draw(5, "noise"));
    }

    #[test]
    fn deviates_have_the_moments_they_promise() {
        let mut rng = Rng::new(1, "moments");
        let n = 20_000;
        let normal: Vec<f64> = (0..n).map(|_| rng.near(3.0, 2.0)).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - 3.0).abs() < 0.06 && (variance.sqrt() - 2.0).abs() < 0.1, "{mean} {variance}");
        let noise: Vec<f32> = (0..n)
            .flat_map(|c| {
                let (a, b) = normal_pair(c);
                [a, b]
            })
            .collect();
        let mean = noise.iter().sum::<f32>() / noise.len() as f32;
        let variance = noise.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / noise.len() as f32;
        assert!(mean.abs() < 0.02 && (variance.sqrt() - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
