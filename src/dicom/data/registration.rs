//! Spatial Registration objects (PS3.3 A.39.1, C.20.2): which frames of reference they tie together, rigidly.

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::InstanceHeader;
use super::header::{header_of, uid};
use super::part10;
use super::refusal::{Refusal, RefusalCode};
use super::values::{items, numbers, tag_name, text};
use crate::geometry::{Lps, Rigid};
use crate::ids::{FrameOfReferenceUid, InstanceUid};

/// What numbers rounded to a few digits may move a point, mm, that lies so far from the origin, mm.
const SAME_SHIFT: f64 = 0.05;
const AWAY: f64 = 100.0;
/// A registration of more bytes, items or matrices is none of two images of a head: it is not read.
const MOST_BYTES: usize = 1 << 20;
const MOST_ITEMS: usize = 64;
const MOST_MATRICES: usize = 16;

/// A Spatial Registration object, as far as it moves patients rigidly.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// The header.
    pub header: InstanceHeader,
    /// Content Date (0008,0023) and Content Time (0008,0033) as written; they sort by time.
    pub made: [String; 2],
    /// The frame of reference that it registers to: Frame of Reference UID (0020,0052) of the object.
    pub registered: FrameOfReferenceUid,
    /// For each item that names a frame of reference, the way from that frame to the registered one, or why it is not used.
    sources: Vec<(FrameOfReferenceUid, Result<Rigid, Refusal>)>,
}

impl Registration {
    /// SOP Instance UID.
    pub fn uid(&self) -> &InstanceUid {
        &self.header.instance
    }

    /// When it was made, in words.
    pub fn made_in_words(&self) -> String {
        let [date, time] = &self.made;
        let of = |text: &str, range| text.get(range).unwrap_or("??").to_owned();
        let (year, month, day) = (of(date, 0..4), of(date, 4..6), of(date, 6..8));
        format!("{year}-{month}-{day} {}:{}", of(time, 0..2), of(time, 2..4))
    }

    /// The way between two frames of reference, in whichever direction the object was made: into the registered frame, and
    /// out of it by the inverse. `None`: it says nothing of one of them.
    ///
    /// # Errors
    /// The refusal of an item that is needed and not rigid.
    pub fn between(&self, from: &FrameOfReferenceUid, to: &FrameOfReferenceUid) -> Result<Option<Rigid>, Refusal> {
        let (Some(one), Some(other)) = (self.to_registered(from), self.to_registered(to)) else { return Ok(None) };
        let (one, other) = (one?, other?);
        // Both end in the registered frame.
        one.then(&other.inverse()).map(Some).map_err(|e| self.refusal(&e.to_string(), tags::REGISTRATION_SEQUENCE))
    }

    /// The way from a frame to the registered one.
    fn to_registered(&self, frame: &FrameOfReferenceUid) -> Option<Result<Rigid, Refusal>> {
        let item = self.sources.iter().find(|(source, _)| source == frame).map(|(_, way)| way.clone());
        item.or_else(|| (*frame == self.registered).then(|| Ok(Rigid::identity(frame.clone()))))
    }

    fn refusal(&self, why: &str, tag: Tag) -> Refusal {
        refused(why, tag).with_instance(self.uid().clone())
    }

    /// Whether it ties any two frames together; else why it does not.
    fn check(&self) -> Result<(), Refusal> {
        let usable = self.sources.iter().filter(|(frame, way)| way.is_ok() && *frame != self.registered);
        if usable.count() > 0 {
            return Ok(());
        }
        let unusable = self.sources.iter().find_map(|(_, way)| way.clone().err());
        let nothing = || self.refusal("it ties no two frames of reference together", tags::REGISTRATION_SEQUENCE);
        Err(unusable.unwrap_or_else(nothing))
    }
}

/// Reads a Spatial Registration object (a Part 10 file). Every matrix of an item that is used must be rigid: its type RIGID,
/// orthonormal to 1e-3, no reflection. An item may have several matrices (PS3.3 C.20.2) as long as it does not matter in
/// which order they are applied: systems read that in both ways, and a wrong order would be a wrong place.
///
/// # Errors
/// Not DICOM, damaged, another kind of object (a deformable registration says so), or no item that ties two frames of
/// reference together rigidly: then the reason of the first that does not.
pub fn read_registration(bytes: &[u8]) -> Result<Registration, Refusal> {
    if bytes.len() > MOST_BYTES {
        return Err(refused(
            &format!("it has {} bytes, {MOST_BYTES} at most are read", bytes.len()),
            tags::REGISTRATION_SEQUENCE,
        ));
    }
    let opened = part10::open(bytes)?;
    let object = opened.parse(None)?;
    let header = header_of(&opened, &object)?;
    let named = |refusal: Refusal| refusal.with_instance(header.instance.clone());
    if header.sop_class == uids::DEFORMABLE_SPATIAL_REGISTRATION_STORAGE {
        let why = "it bends the patient (Deformable Spatial Registration), and contours are carried by rigid ones only; \
                   export the rigid registration";
        return Err(named(refused(why, tags::SOP_CLASS_UID)));
    }
    if header.sop_class != uids::SPATIAL_REGISTRATION_STORAGE {
        let why = format!("it is none but an object of SOP class {}", header.sop_class);
        return Err(named(refused(&why, tags::SOP_CLASS_UID)));
    }
    let registered = header.frame.clone().ok_or_else(|| {
        let why = "it does not say which frame of reference it registers to";
        named(refused(why, tags::FRAME_OF_REFERENCE_UID))
    })?;
    let listed = items(&object, tags::REGISTRATION_SEQUENCE);
    if listed.len() > MOST_ITEMS {
        let why = format!("it has {} items, {MOST_ITEMS} at most are read", listed.len());
        return Err(named(refused(&why, tags::REGISTRATION_SEQUENCE)));
    }
    let mut sources: Vec<(FrameOfReferenceUid, Result<Rigid, Refusal>)> = Vec::new();
    for item in listed {
        // What names images only is tied to no frame of reference: nothing can be carried through it.
        let frame = uid(item, tags::FRAME_OF_REFERENCE_UID, FrameOfReferenceUid::parse).map_err(named)?;
        let Some(frame) = frame else { continue };
        let way = way(item, &frame, &registered).map_err(named);
        match sources.iter_mut().find(|(known, _)| *known == frame) {
            Some((_, known)) if *known == way => {}
            Some((_, known)) => {
                let why = "it registers one frame of reference in two ways";
                *known = Err(named(refused(why, tags::REGISTRATION_SEQUENCE)));
            }
            None => sources.push((frame, way)),
        }
    }
    let made = [tags::CONTENT_DATE, tags::CONTENT_TIME].map(|tag| text(&object, tag));
    let registration = Registration { header, made, registered, sources };
    registration.check()?;
    Ok(registration)
}

/// The way of one item of Registration Sequence.
fn way(item: &InMemDicomObject, from: &FrameOfReferenceUid, to: &FrameOfReferenceUid) -> Result<Rigid, Refusal> {
    let matrices = match items(item, tags::MATRIX_REGISTRATION_SEQUENCE) {
        [one] => items(one, tags::MATRIX_SEQUENCE),
        others => {
            let why = format!("an item has {} registrations by matrix instead of one", others.len());
            return Err(refused(&why, tags::MATRIX_REGISTRATION_SEQUENCE));
        }
    };
    let tag = tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX;
    if matrices.len() > MOST_MATRICES {
        let why = format!("an item has {} matrices, {MOST_MATRICES} at most are read", matrices.len());
        return Err(refused(&why, tags::MATRIX_SEQUENCE));
    }
    let mut read = Vec::with_capacity(matrices.len());
    for matrix in matrices {
        let kind = text(matrix, tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX_TYPE);
        if kind != "RIGID" {
            let what = match kind.as_str() {
                "RIGID_SCALE" => "its matrix scales (RIGID_SCALE)".to_owned(),
                "AFFINE" => "its matrix scales and shears (AFFINE)".to_owned(),
                "" => "the type of its matrix is missing".to_owned(),
                other => format!("the type of its matrix is {other:?}"),
            };
            let why = format!("{what}, and contours are carried by rigid ones only; register the images rigidly");
            return Err(refused(&why, tags::FRAME_OF_REFERENCE_TRANSFORMATION_MATRIX_TYPE));
        }
        let values = numbers(matrix, tag)?.unwrap_or_default();
        let count = values.len();
        let values = values.try_into();
        read.push(values.map_err(|_| refused(&format!("its matrix has {count} numbers instead of 16"), tag))?);
    }
    let rigid = |matrices: &[[f64; 16]]| {
        Rigid::new(from.clone(), to.clone(), matrices).map_err(|e| refused(&e.to_string(), tag))
    };
    let way = rigid(&read)?;
    read.reverse();
    if !same(&way, &rigid(&read)?) {
        let why =
            "an item has several matrices, and they give two places depending on which is applied first; export one";
        return Err(refused(why, tags::MATRIX_SEQUENCE));
    }
    if from != to {
        return Ok(way);
    }
    // The registered frame is itself: anything else contradicts what the object says of it.
    let identity = Rigid::identity(from.clone());
    if same(&way, &identity) {
        Ok(identity)
    } else {
        Err(refused("it moves the frame of reference that it registers to", tag))
    }
}

/// Whether two ways lead to the same places, in a head and around it.
fn same(a: &Rigid, b: &Rigid) -> bool {
    let corners =
        [[0.0, 0.0, 0.0], [AWAY, 0.0, 0.0], [0.0, AWAY, 0.0], [0.0, 0.0, AWAY]].map(|[x, y, z]| Lps::new(x, y, z));
    corners.iter().all(|corner| a.point(*corner).distance(b.point(*corner)) <= SAME_SHIFT)
}

fn refused(why: &str, tag: Tag) -> Refusal {
    Refusal::new(RefusalCode::Registration, format!("the registration cannot be used: {why}")).with_tag(tag_name(tag))
}
