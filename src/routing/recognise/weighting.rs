//! T1-weighted?

use dicom_dictionary_std::tags;

use super::Finding;
use super::words::{NO_IMAGES, OTHER_KINDS, OTHER_WEIGHTINGS, T1_SEQUENCES, among, behind_t1, words};
use crate::routing::header::Header;

/// A description names T1, or a sequence that is made for it.
const TEXT_T1: i32 = 3;
/// A description names another weighting or kind.
const TEXT_OTHER: i32 = -5;
/// A description names what is no acquired image.
const TEXT_NO_IMAGE: i32 = -7;
/// Image Type says that it is another kind.
const TYPE_OTHER: i32 = -8;
/// Times and angle of a T1-weighted sequence.
const TIMES_T1: i32 = 3;
/// Times that are a little long for T1, or a T1-weighted sequence less usual.
const TIMES_NEAR: i32 = 2;
/// Times of another weighting.
const TIMES_OTHER: i32 = -4;
/// Not an MR image at all.
const NO_MR: i32 = -20;

/// Longest repetition time (ms) of a T1-weighted spin echo, and the longest at which it may still be one.
const SPIN_REPETITION: [f64; 2] = [1000.0, 1500.0];
/// Longest echo time (ms) of a T1-weighted spin echo.
const SPIN_ECHO: f64 = 30.0;
/// From here on (ms) T2 weighs in a spin echo.
const T2_ECHO: f64 = 60.0;
/// Inversion times (ms) by which T1 is weighted with a spin echo; below, fat is suppressed, above fluid.
const SPIN_INVERSION: [f64; 2] = [400.0, 1300.0];
/// Longest echo time (ms) of a T1-weighted gradient echo, and from where on T2* weighs.
const GRADIENT_ECHO: [f64; 2] = [6.0, 15.0];
/// Repetition times (ms) of T1-weighted gradient echoes, an MPRAGE's whole cycle among them.
const GRADIENT_REPETITION: [f64; 2] = [3.0, 3000.0];
/// Inversion times (ms) of an MPRAGE.
const GRADIENT_INVERSION: [f64; 2] = [600.0, 1300.0];
/// Flip angles (degrees) of a spoiled 3D gradient echo.
const SPOILED_FLIP: [f64; 2] = [8.0, 30.0];
/// Longest time (ms) from one excitation to the next in a spoiled 3D gradient echo.
const SPOILED_REPETITION: f64 = 50.0;
/// Repetition times (ms) and least flip angle of a T1-weighted 2D gradient echo.
const SLICE_REPETITION: [f64; 2] = [100.0, 500.0];
const SLICE_FLIP: f64 = 50.0;
/// A gradient echo with less repetition time (ms) and more flip angle than this is balanced.
const BALANCED: [f64; 2] = [15.0, 40.0];

/// Values of Image Type, from the third on, of other kinds of image.
const OTHER_TYPES: [&str; 34] = [
    "LOCALIZER",
    "SCOUT",
    "ADC",
    "EADC",
    "DIFFUSION MAP",
    "P",
    "PHASE",
    "PHASE MAP",
    "VELOCITY MAP",
    "PROJECTION IMAGE",
    "PROJECTION",
    "MIP",
    "MNIP",
    "MIN IP",
    "MIN_IP",
    "DENSITY MAP",
    "DIFFUSION",
    "MODULUS SUBTRACT",
    "PHASE SUBTRACT",
    "PROTON DENSITY",
    "SUB",
    "SUBTRACTION",
    "SWI",
    "T1 MAP",
    "T2 MAP",
    "T2_STAR MAP",
    "TRACEW",
    "FA",
    "TENSOR",
    "TTP",
    "RCBV",
    "MTT",
    "ASL",
    "CSA 3D EDITOR",
];

pub(super) fn weighting(header: &Header) -> Finding {
    let mut finding = Finding::default();
    let modality = header.text(tags::MODALITY);
    if !modality.is_empty() && modality != "MR" {
        finding.add(NO_MR, format!("Modality is {}", code(modality)));
    }
    let kinds = header.values(tags::IMAGE_TYPE).iter().skip(2).map(|value| value.to_ascii_uppercase());
    if let Some(kind) = OTHER_TYPES.iter().find(|kind| kinds.clone().any(|value| value == **kind)) {
        finding.add(TYPE_OTHER, format!("ImageType holds {kind}"));
    }
    text(header, &mut finding);
    times(header, &mut finding);
    if header.text(tags::ANGIO_FLAG).eq_ignore_ascii_case("Y") {
        finding.add(TEXT_OTHER, "AngioFlag is Y");
    }
    if header.number(tags::DIFFUSION_B_VALUE).is_some_and(|b| b > 0.0) {
        finding.add(TYPE_OTHER, "DiffusionBValue is above 0");
    }
    finding
}

/// A code of a header, as long as codes are.
fn code(value: &str) -> String {
    value.chars().take(16).filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn text(header: &Header, finding: &mut Finding) {
    for (tag, keyword) in [(tags::SERIES_DESCRIPTION, "SeriesDescription"), (tags::PROTOCOL_NAME, "ProtocolName")] {
        let words = words(&header.values(tag).join(" "));
        let t1 = words.iter().find(|word| behind_t1(word).is_some() || among(word, &T1_SEQUENCES));
        let t2 = |word: &str| {
            ["", "3D", "S", "E", "AX", "SAG", "COR", "TRA"]
                .iter()
                .any(|p| word.strip_prefix(p).is_some_and(|w| w.starts_with("T2")))
        };
        let other = words
            .iter()
            .find(|word| t2(word) || among(word, &OTHER_KINDS) || (t1.is_none() && among(word, &OTHER_WEIGHTINGS)));
        let balanced = words.windows(2).any(|pair| matches!(pair, [b, tfe] if b == "B" && tfe == "TFE"));
        let no_image = words.iter().find(|word| among(word, &NO_IMAGES));
        if let Some(word) = t1 {
            finding.add(TEXT_T1, format!("{keyword} says {word}"));
        }
        if let Some(word) = other {
            finding.add(TEXT_OTHER, format!("{keyword} says {word}"));
        } else if balanced {
            finding.add(TEXT_OTHER, format!("{keyword} says BTFE"));
        }
        if let Some(word) = no_image {
            finding.add(TEXT_NO_IMAGE, format!("{keyword} says {word}"));
        }
        // The protocol's name is asked only where the series' own says nothing.
        if t1.or(other).or(no_image).is_some() {
            break;
        }
    }
}

fn times(header: &Header, finding: &mut Finding) {
    let has = |tag, wanted: &str| header.values(tag).iter().any(|value| value.eq_ignore_ascii_case(wanted));
    let sequence = |wanted| has(tags::SCANNING_SEQUENCE, wanted);
    let positive = |tag| header.number(tag).filter(|n| *n > 0.0);
    let times = Times {
        repetition: positive(tags::REPETITION_TIME),
        echo: positive(tags::ECHO_TIME),
        inversion: positive(tags::INVERSION_TIME),
        flip: positive(tags::FLIP_ANGLE),
        steady: has(tags::SEQUENCE_VARIANT, "SS") && !has(tags::SEQUENCE_VARIANT, "SP"),
    };
    if sequence("EP") {
        finding.add(TIMES_OTHER, "ScanningSequence is echo-planar");
        return;
    }
    let (spin, gradient) = (sequence("SE"), sequence("GR"));
    let (points, what) = match (spin, gradient) {
        (true, false) => times.spin(sequence("IR")),
        (false, true) => times.gradient(),
        // Both, or neither is said: only what holds for any sequence.
        _ if times.echo.is_some_and(|ms| ms > T2_ECHO) => (TIMES_OTHER, "a long echo time"),
        _ => return,
    };
    if points != 0 {
        finding.add(points, format!("{what} ({times})"));
    }
}

/// Times in ms, and the flip angle in degrees, as far as they are said.
struct Times {
    repetition: Option<f64>,
    echo: Option<f64>,
    inversion: Option<f64>,
    flip: Option<f64>,
    /// A steady state that is not spoiled.
    steady: bool,
}

/// Whether a value that is said lies between two others.
fn within(value: Option<f64>, [least, most]: [f64; 2]) -> bool {
    value.is_some_and(|v| (least..=most).contains(&v))
}

impl Times {
    fn spin(&self, inverted: bool) -> (i32, &'static str) {
        let short_echo = self.echo.is_some_and(|ms| ms <= SPIN_ECHO);
        let below = |value: Option<f64>, most: f64| value.is_some_and(|ms| ms <= most);
        if self.echo.is_some_and(|ms| ms >= T2_ECHO) {
            return (TIMES_OTHER, "a spin echo with a long echo time");
        }
        if inverted && let Some(inversion) = self.inversion {
            return match within(self.inversion, SPIN_INVERSION) {
                true if short_echo => (TIMES_NEAR, "a spin echo inverted as for T1"),
                true => (0, ""),
                false if inversion > SPIN_INVERSION[1] => (TIMES_OTHER, "fluid is suppressed"),
                false => (TIMES_OTHER, "fat is suppressed by inversion"),
            };
        }
        match self.repetition {
            Some(_) if below(self.repetition, SPIN_REPETITION[0]) && short_echo => {
                (TIMES_T1, "a spin echo with short repetition and echo times")
            }
            Some(_) if below(self.repetition, SPIN_REPETITION[1]) && short_echo => {
                (TIMES_NEAR, "a spin echo with a repetition time a little long for T1")
            }
            Some(ms) if ms > SPIN_REPETITION[1] => (TIMES_OTHER, "a spin echo with a long repetition time"),
            _ => (0, ""),
        }
    }

    fn gradient(&self) -> (i32, &'static str) {
        if self.echo.is_some_and(|ms| ms > GRADIENT_ECHO[1]) {
            return (TIMES_OTHER, "a gradient echo with a long echo time");
        }
        let quick = self.repetition.is_some_and(|ms| ms <= BALANCED[0]);
        if self.steady || (quick && self.flip.is_some_and(|degrees| degrees > BALANCED[1])) {
            return (TIMES_OTHER, "a balanced gradient echo");
        }
        if !self.echo.is_some_and(|ms| ms <= GRADIENT_ECHO[0]) || !within(self.repetition, GRADIENT_REPETITION) {
            return (0, "");
        }
        if within(self.inversion, GRADIENT_INVERSION) {
            return (TIMES_T1, "a gradient echo after inversion, as an MPRAGE");
        }
        if within(self.flip, SPOILED_FLIP) && self.repetition.is_some_and(|ms| ms <= SPOILED_REPETITION) {
            return (TIMES_T1, "a spoiled gradient echo with short times");
        }
        if within(self.repetition, SLICE_REPETITION) && self.flip.is_some_and(|degrees| degrees >= SLICE_FLIP) {
            return (TIMES_NEAR, "a gradient echo of single slices with short times");
        }
        (0, "")
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("TR", self.repetition, " ms"),
            ("TE", self.echo, " ms"),
            ("TI", self.inversion, " ms"),
            ("flip", self.flip, " degrees"),
        ];
        let said = all.into_iter().filter_map(|(name, value, unit)| Some(format!("{name} {}{unit}", value?)));
        f.write_str(&said.collect::<Vec<_>>().join(", "))
    }
}
