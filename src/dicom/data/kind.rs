//! Kinds of MR image: what cannot be a T1-weighted image of a head is refused, what hardly is one is remarked.
//!
//! Read from standard attributes alone: Image Type (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1, and what scanners write there), the
//! sequence's times, and words of the descriptions. Every one of these clues is absent or wrong somewhere, so none of
//! them is demanded, and only what a T1-weighted image never says of itself counts.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::MrAcquisition;
use super::refusal::{Refusal, RefusalCode};
use super::values::{numbers, tag_name, text, texts};

/// Values of Image Type, from the third on, of images that show no anatomy as the networks know it.
const REFUSED: [(&[&str], &str); 4] = [
    (&["LOCALIZER", "SCOUT"], "a localiser"),
    (&["ADC", "DIFFUSION MAP"], "a map of diffusion"),
    (&["P", "PHASE", "PHASE MAP", "VELOCITY MAP"], "a phase image"),
    (&["PROJECTION IMAGE", "PROJECTION", "MIP", "MNIP", "MIN IP", "MIN_IP"], "a projection through several slices"),
];
/// Values of Image Type of images that are not T1-weighted, but on which a head can be seen.
const NOT_T1: [&str; 11] = [
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
    "TRACEW",
];
/// Words of a description that names a T1-weighted sequence, whatever else it says (there is a T1 FLAIR).
const T1_WORDS: [&str; 8] = ["MPRAGE", "MP2RAGE", "BRAVO", "SPGR", "FSPGR", "VIBE", "TFE", "3DT1"];
/// Words of the description of another kind of image.
const OTHER_WORDS: [&str; 14] =
    ["T2", "T2W", "FLAIR", "SWI", "DWI", "DTI", "ADC", "TOF", "MRA", "PERF", "PERFUSION", "PWI", "ASL", "BOLD"];

/// Longest echo time (ms) of a T1-weighted image: below 30, with room for the long trains of 3D spin echoes.
const LONGEST_ECHO: f64 = 40.0;
/// The same of a gradient echo, where T2* weighs from there on (T1: below 6, with room for several echoes).
const LONGEST_GRADIENT_ECHO: f64 = 15.0;
/// Longest repetition time (ms) of a T1-weighted image: an MPRAGE has up to 3000.
const LONGEST_REPETITION: f64 = 4000.0;
/// The same of a spin echo without inversion (T1: below about 1000).
const LONGEST_SPIN_ECHO_REPETITION: f64 = 1500.0;
/// Longest inversion time (ms): T1 is weighted by 600 to 1300, fluid is suppressed by 1600 and more.
const LONGEST_INVERSION: f64 = 1500.0;

/// What is odd about the kind of an MR image, in words with tag and value.
///
/// # Errors
/// [`RefusalCode::NotT1`] for localisers, maps of diffusion, phase images and projections.
pub(super) fn check(object: &InMemDicomObject, acquisition: &MrAcquisition) -> Result<Vec<String>, Refusal> {
    let mut remarks = image_type(object)?;
    remarks.extend(times(acquisition));
    if let Some(b) =
        numbers(object, tags::DIFFUSION_B_VALUE).ok().flatten().and_then(|v| v.into_iter().find(|b| *b > 0.0))
    {
        remarks.push(remark(tags::DIFFUSION_B_VALUE, &b.to_string(), "this is a diffusion image"));
    }
    remarks.extend([tags::SERIES_DESCRIPTION, tags::PROTOCOL_NAME].into_iter().find_map(|tag| words(object, tag)));
    Ok(remarks)
}

fn remark(tag: Tag, value: &str, why: &str) -> String {
    format!("{} is {value:?}: {why}; the networks know T1-weighted images only", tag_name(tag))
}

fn image_type(object: &InMemDicomObject) -> Result<Vec<String>, Refusal> {
    let tag = tags::IMAGE_TYPE;
    let values: Vec<String> = texts(object, tag).iter().map(|v| v.trim().to_ascii_uppercase()).collect();
    let of = |names: &[&str]| values.iter().skip(2).any(|v| names.contains(&v.as_str()));
    if let Some((_, what)) = REFUSED.iter().find(|(names, _)| of(names)) {
        let message = format!(
            "{} is {:?}: this is {what}; send the T1-weighted images themselves",
            tag_name(tag),
            values.join("\\")
        );
        return Err(Refusal::new(RefusalCode::NotT1, message).with_tag(tag_name(tag)));
    }
    let mut remarks = Vec::new();
    if of(&NOT_T1) {
        remarks.push(remark(tag, &values.join("\\"), "this is no T1-weighted image"));
    }
    let derived = matches!(values.as_slice(), [a, b, ..] if a == "DERIVED" && b == "SECONDARY");
    if derived || of(&["MPR"]) {
        remarks.push(format!(
            "{} is {:?}: the images were computed from others, and contours follow them; the acquired images are better",
            tag_name(tag),
            values.join("\\")
        ));
    }
    // Siemens says ND, DIS2D or DIS3D; other makers say it in private tags only, which are not read.
    if of(&["ND"]) {
        remarks.push(format!(
            "{} is {:?}: the scanner's distortion was not corrected (ND), and contours follow the distorted images; \
             send the corrected ones (DIS3D)",
            tag_name(tag),
            values.join("\\")
        ));
    }
    Ok(remarks)
}

/// Times that no T1-weighted sequence has.
fn times(a: &MrAcquisition) -> Vec<String> {
    let is = |code: &str| a.scanning_sequence.iter().any(|s| s.trim() == code);
    let (spin, gradient, inversion, planar) = (is("SE"), is("GR"), is("IR"), is("EP"));
    let mut remarks = Vec::new();
    if planar {
        let value = a.scanning_sequence.join("\\");
        remarks.push(remark(tags::SCANNING_SEQUENCE, &value, "echo-planar images are hardly T1-weighted"));
    }
    let echo = if gradient && !spin { LONGEST_GRADIENT_ECHO } else { LONGEST_ECHO };
    let repetition = if spin && !gradient && !inversion { LONGEST_SPIN_ECHO_REPETITION } else { LONGEST_REPETITION };
    for (tag, value, longest) in [
        (tags::ECHO_TIME, &a.echo_time, echo),
        (tags::REPETITION_TIME, &a.repetition_time, repetition),
        (tags::INVERSION_TIME, &a.inversion_time, LONGEST_INVERSION),
    ] {
        if value.trim().parse::<f64>().is_ok_and(|ms| ms.is_finite() && ms > longest) {
            let why = format!("a T1-weighted image of such a sequence has at most {longest} ms");
            remarks.push(remark(tag, value, &why));
        }
    }
    remarks
}

/// The word of a description that names another kind of image; the rest of it may hold anything and is not repeated.
fn words(object: &InMemDicomObject, tag: Tag) -> Option<String> {
    let description = text(object, tag).to_ascii_uppercase();
    let words: Vec<&str> = description.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    if words.iter().any(|w| w.starts_with("T1") || T1_WORDS.contains(w)) {
        return None;
    }
    let odd = words.iter().find(|w| OTHER_WORDS.contains(w))?;
    Some(format!("{} names {odd} and not T1; the networks know T1-weighted images only", tag_name(tag)))
}
