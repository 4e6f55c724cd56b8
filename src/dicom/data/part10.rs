//! Part 10 files: taking them apart, and putting them together.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::{Codec, TransferSyntaxIndex};
use dicom_object::{FileDicomObject, FileMetaTableBuilder, InMemDicomObject};
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::EncodedInstance;
use super::layout::{self, Encoding, Layout};
use super::refusal::{DataError, Refusal, RefusalCode};
use super::values::tag_name;
use crate::dicom::IMPLEMENTATION_CLASS_UID;
use crate::ids::{InstanceUid, SeriesUid};

/// A data set of a file that inflates beyond this is refused (an MR slice has a few megabytes).
pub(super) const MAX_INFLATED: usize = 256 << 20;

/// Transfer syntaxes that are read here, and whether their pixels are always exact.
const READ: [(&str, bool); 11] = [
    (uids::IMPLICIT_VR_LITTLE_ENDIAN, true),
    (uids::EXPLICIT_VR_LITTLE_ENDIAN, true),
    (uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, true),
    (uids::RLE_LOSSLESS, true),
    (uids::JPEG_LOSSLESS, true),
    (uids::JPEG_LOSSLESS_SV1, true),
    (uids::JPEGLS_LOSSLESS, true),
    (uids::JPEG2000_LOSSLESS, true),
    (uids::JPEG_BASELINE8_BIT, false),
    (uids::JPEGLS_NEAR_LOSSLESS, false),
    (uids::JPEG2000, false),
];

/// Whether data sets in a transfer syntax have to be inflated.
pub fn is_deflated(transfer_syntax: &str) -> bool {
    transfer_syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
}

/// Whether a transfer syntax keeps every pixel exactly; `None` when it is not read here.
pub(super) fn lossless(transfer_syntax: &str) -> Option<bool> {
    READ.iter().find(|(uid, _)| *uid == transfer_syntax).map(|(_, exact)| *exact)
}

/// A Part 10 file taken apart: every length in it has been checked.
pub(super) struct Opened<'a> {
    pub transfer_syntax: String,
    /// The data set, inflated where it was deflated.
    pub dataset: Cow<'a, [u8]>,
    pub layout: Layout,
}

/// Opens a Part 10 file with or without preamble, or a bare data set.
///
/// # Errors
/// Not DICOM, truncated, or a transfer syntax that is not read here.
pub(super) fn open(bytes: &[u8]) -> Result<Opened<'_>, Refusal> {
    match open_until_damage(bytes, MAX_INFLATED)? {
        (opened, None) => Ok(opened),
        (_, Some(damage)) => Err(damage),
    }
}

/// A data set in implicit VR little endian, as it stands in messages.
///
/// # Errors
/// It is cut short or damaged.
pub(super) fn open_implicit(dataset: &[u8]) -> Result<Opened<'_>, Refusal> {
    let (layout, damage) = layout::walk(dataset, Encoding::Implicit);
    let transfer_syntax = uids::IMPLICIT_VR_LITTLE_ENDIAN.to_owned();
    damage.map_or(Ok(Opened { transfer_syntax, dataset: Cow::Borrowed(dataset), layout }), Err)
}

/// As [`open`], but a data set that is cut short or damaged is opened as far as it goes; the damage comes beside it.
/// A deflated data set may have `max_inflated` bytes.
///
/// # Errors
/// Not DICOM, a transfer syntax that is not read here, or a deflated data set that is damaged or too large.
pub(super) fn open_until_damage(bytes: &[u8], max_inflated: usize) -> Result<(Opened<'_>, Option<Refusal>), Refusal> {
    let (FileMeta { transfer_syntax, .. }, dataset) = split(bytes)?;
    open_dataset(transfer_syntax, dataset, max_inflated)
}

/// As [`open_until_damage`], for a data set as it came over the network.
///
/// # Errors
/// As [`open_until_damage`].
pub(super) fn open_dataset(
    transfer_syntax: String,
    dataset: &[u8],
    max_inflated: usize,
) -> Result<(Opened<'_>, Option<Refusal>), Refusal> {
    // Such a file would be read in another way than its data set alone.
    if dataset.starts_with(&[0x02, 0x00]) {
        let message = "file meta information stands where the data set begins; look at what sent it";
        return Err(Refusal::new(RefusalCode::NotDicom, message).with_tag(tag_name(tags::TRANSFER_SYNTAX_UID)));
    }
    if lossless(&transfer_syntax).is_none() {
        let name = TransferSyntaxRegistry.get(&transfer_syntax).map_or("unknown", |ts| ts.name());
        let message = format!(
            "transfer syntax {transfer_syntax} ({name}) is not read here; send little endian, RLE, JPEG lossless, JPEG-LS lossless or JPEG 2000 lossless"
        );
        return Err(Refusal::new(RefusalCode::TransferSyntax, message).with_tag(tag_name(tags::TRANSFER_SYNTAX_UID)));
    }
    let dataset = if is_deflated(&transfer_syntax) {
        Cow::Owned(inflate(dataset, max_inflated)?)
    } else {
        Cow::Borrowed(dataset)
    };
    let encoding =
        if transfer_syntax == uids::IMPLICIT_VR_LITTLE_ENDIAN { Encoding::Implicit } else { Encoding::Explicit };
    let (layout, damage) = layout::walk(&dataset, encoding);
    Ok((Opened { transfer_syntax, dataset, layout }, damage))
}

impl Opened<'_> {
    /// Parses the data set, up to `until` when given (by tag order of the file).
    ///
    /// # Errors
    /// [`RefusalCode::NotDicom`] when the parser cannot read it.
    pub fn parse(&self, until: Option<Tag>) -> Result<InMemDicomObject, Refusal> {
        let cut = until.and_then(|tag| self.layout.elements.iter().find(|e| e.tag >= tag)).map(|e| e.start);
        let end = cut.or_else(|| self.layout.elements.last().map(|e| e.value.end)).unwrap_or(0);
        let bytes = self.dataset.get(..end).unwrap_or(&self.dataset);
        let uid = self.inflated_syntax();
        let unreadable = |reason: String| {
            Refusal::new(
                RefusalCode::NotDicom,
                format!("the data set cannot be read: {reason}; fetch the object again"),
            )
        };
        let ts = TransferSyntaxRegistry.get(uid).ok_or_else(|| unreadable(format!("no transfer syntax {uid}")))?;
        InMemDicomObject::read_dataset_with_ts(bytes, ts).map_err(|e| unreadable(error_chain(&e)))
    }

    /// The transfer syntax of `dataset`: what was deflated is explicit little endian by now.
    pub fn inflated_syntax(&self) -> &str {
        match self.transfer_syntax.as_str() {
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            other => other,
        }
    }

    /// The value bytes of a top-level element.
    pub fn raw(&self, tag: Tag) -> Option<&[u8]> {
        self.layout.find(tag).and_then(|e| self.dataset.get(e.value.clone()))
    }
}

/// An error with its causes, in one line.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// How DICOM may begin.
enum Beginning {
    /// With file meta information, from this byte on.
    Meta(usize),
    /// With the data set.
    Dataset,
}

/// How a file begins, from its first [`SNIFFED`] bytes; `None` for what is not DICOM.
fn beginning(bytes: &[u8]) -> Option<Beginning> {
    match bytes {
        _ if bytes.get(128..SNIFFED) == Some(b"DICM") => Some(Beginning::Meta(SNIFFED)),
        _ if bytes.starts_with(b"DICM") => Some(Beginning::Meta(4)),
        _ if bytes.starts_with(&[0x02, 0x00]) => Some(Beginning::Meta(0)),
        _ if bytes.starts_with(&[0x08, 0x00]) => Some(Beginning::Dataset),
        _ => None,
    }
}

/// Preamble and mark.
const SNIFFED: usize = 132;

/// What a file says of itself before its data set; the SOP class is empty where it is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileMeta {
    pub transfer_syntax: String,
    pub sop_class: String,
}

/// What the first bytes of a file say of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// It is not DICOM.
    Foreign,
    /// It is an object of this kind.
    Object(FileMeta),
    /// It may be an object; one has to read on.
    Unclear,
}

/// Looks at the beginning of a file, some kilobytes or all of it.
pub(super) fn sniff(head: &[u8]) -> Sniffed {
    match beginning(head) {
        None => Sniffed::Foreign,
        Some(Beginning::Dataset) => Sniffed::Unclear,
        Some(Beginning::Meta(_)) => split(head).map_or(Sniffed::Unclear, |(meta, _)| Sniffed::Object(meta)),
    }
}

/// File meta information and data set of a file.
fn split(bytes: &[u8]) -> Result<(FileMeta, &[u8]), Refusal> {
    let mut at = match beginning(bytes) {
        Some(Beginning::Meta(at)) => at,
        Some(Beginning::Dataset) => {
            let meta = FileMeta { transfer_syntax: guess(bytes).to_owned(), sop_class: String::new() };
            return Ok((meta, bytes));
        }
        None => {
            let message = "this is not a DICOM file: neither the mark DICM nor a data set begins it";
            return Err(Refusal::new(RefusalCode::NotDicom, message));
        }
    };
    let (mut transfer_syntax, mut sop_class) = (None, String::new());
    while bytes.get(at..at + 2) == Some(&[0x02, 0x00]) {
        let header = layout::read_header(bytes, at, bytes.len(), Encoding::Explicit)?;
        let end = header.value.saturating_add(header.length as usize);
        let value = bytes.get(header.value..end).ok_or_else(|| {
            let message = "the object ends inside its file meta information; it was cut short: fetch it again";
            Refusal::new(RefusalCode::Truncated, message).with_tag(tag_name(header.tag))
        })?;
        let uid = || String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned();
        match header.tag {
            tags::TRANSFER_SYNTAX_UID => transfer_syntax = Some(uid()),
            tags::MEDIA_STORAGE_SOP_CLASS_UID => sop_class = uid(),
            _ => {}
        }
        at = end;
    }
    let dataset = bytes.get(at..).unwrap_or_default();
    if dataset.is_empty() {
        let message = "the object ends behind its file meta information; it was cut short: fetch it again";
        return Err(Refusal::new(RefusalCode::Truncated, message));
    }
    let transfer_syntax = transfer_syntax.ok_or_else(|| {
        let message = "the file does not say how it is encoded; export it again as a DICOM Part 10 file";
        Refusal::new(RefusalCode::MissingAttribute, message).with_tag(tag_name(tags::TRANSFER_SYNTAX_UID))
    })?;
    Ok((FileMeta { transfer_syntax, sop_class }, dataset))
}

/// The encoding of a bare data set: explicit when a VR stands behind the first tag.
fn guess(dataset: &[u8]) -> &'static str {
    match dataset.get(4..6) {
        Some(vr) if vr.iter().all(u8::is_ascii_uppercase) => uids::EXPLICIT_VR_LITTLE_ENDIAN,
        _ => uids::IMPLICIT_VR_LITTLE_ENDIAN,
    }
}

fn inflate(deflated: &[u8], max: usize) -> Result<Vec<u8>, Refusal> {
    let broken = |reason: String| {
        Refusal::new(
            RefusalCode::Truncated,
            format!(
                "the deflated data set cannot be inflated ({reason}); it was cut short or is damaged: fetch it again"
            ),
        )
    };
    let syntax = TransferSyntaxRegistry.get(uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN);
    let Some(Codec::Dataset(Some(adapter))) = syntax.map(|ts| ts.codec()) else {
        return Err(broken("no decoder".into()));
    };
    let mut out = Vec::new();
    let mut reader = adapter.adapt_reader(Box::new(Cursor::new(deflated))).take(max as u64 + 1);
    reader.read_to_end(&mut out).map_err(|e| broken(e.to_string()))?;
    if out.len() > max {
        let message = format!(
            "the deflated data set inflates to more than {} MiB, and no more is taken; an MR image has a few: look at \
             what sent it",
            max >> 20
        );
        return Err(Refusal::new(RefusalCode::TooLarge, message));
    }
    Ok(out)
}

/// Whether two Part 10 files hold the same data set, byte for byte, in the same transfer syntax.
pub fn same_data_set(one: &[u8], other: &[u8]) -> bool {
    match (split(one), split(other)) {
        (Ok((one, one_dataset)), Ok((other, other_dataset))) => {
            one.transfer_syntax == other.transfer_syntax && one_dataset == other_dataset
        }
        _ => false,
    }
}

/// Puts a data set as it came over the network into a Part 10 file.
///
/// # Errors
/// [`DataError::Encoding`] when the file meta information cannot be written.
pub fn part10_file(
    sop_class: &str,
    instance: &InstanceUid,
    transfer_syntax: &str,
    dataset: &[u8],
) -> Result<Vec<u8>, DataError> {
    let mut bytes = part10_head(sop_class, instance, transfer_syntax)?;
    bytes.extend_from_slice(dataset);
    Ok(bytes)
}

/// What stands in a Part 10 file before a data set that came over the network: preamble, mark, file meta information. The same
/// bytes in every version of contourd, because an instance is known again by the digest of its file.
///
/// # Errors
/// [`DataError::Encoding`] when the file meta information cannot be written.
pub fn part10_head(sop_class: &str, instance: &InstanceUid, transfer_syntax: &str) -> Result<Vec<u8>, DataError> {
    let failed = |e: &dyn std::error::Error| DataError::Encoding(error_chain(e));
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(sop_class)
        .media_storage_sop_instance_uid(instance.as_str())
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name("CONTOURD")
        .build()
        .map_err(|e| failed(&e))?;
    let mut bytes = vec![0u8; 128];
    bytes.extend_from_slice(b"DICM");
    meta.write(&mut bytes).map_err(|e| failed(&e))?;
    Ok(bytes)
}

/// Encodes an object as a Part 10 file.
///
/// # Errors
/// [`DataError::Encoding`] when the encoder refuses.
pub(super) fn encode(
    object: &InMemDicomObject,
    sop_class: &str,
    instance: InstanceUid,
    series: SeriesUid,
    transfer_syntax: &str,
) -> Result<EncodedInstance, DataError> {
    let ts = TransferSyntaxRegistry
        .get(transfer_syntax)
        .ok_or_else(|| DataError::Encoding(format!("no transfer syntax {transfer_syntax}")))?;
    let mut dataset = Vec::new();
    object.write_dataset_with_ts(&mut dataset, ts).map_err(|e| DataError::Encoding(error_chain(&e)))?;
    let bytes = part10_file(sop_class, &instance, transfer_syntax, &dataset)?;
    Ok(EncodedInstance {
        sop_class: sop_class.to_owned(),
        instance,
        series,
        transfer_syntax: transfer_syntax.to_owned(),
        bytes,
    })
}

/// A parsed object with the meta group that pixel decoders look at.
pub(super) fn with_meta(object: InMemDicomObject, transfer_syntax: &str) -> Option<FileDicomObject<InMemDicomObject>> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid("")
        .media_storage_sop_instance_uid("")
        .transfer_syntax(transfer_syntax)
        .build()
        .ok()?;
    Some(object.with_exact_meta(meta))
}
