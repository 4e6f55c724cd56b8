//! `contourd conformance`: the DICOM conformance statement, its tables made from the code.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;
use time::macros::datetime;

use super::Failure;
use super::say::say;
use crate::anatomy::Structure;
use crate::contour::{ContourConfig, contours_of};
use crate::dicom::data::{
    EncodedInstance, NoticeMeta, PatientStudy, Profile, Refusal, RefusalCode, RoiContours, Segment, StructureSetMeta,
    assemble, attributes_of, parse_instances, write_notice, write_rtstruct, write_segmentation,
};
use crate::dicom::dicomweb;
use crate::dicom::net::statement::{self, Meaning, NamedUid};
use crate::dicom::net::{Destination, ScpConfig};
use crate::dicom::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use crate::geometry::{Grid, Lps, Mask, Shape, Vec3, Volume};
use crate::ids::sha256_hex;
use crate::phantom::{Acquisition, DemoIdentity, demo_series};

/// The words around the tables; `{name}` stands for a table or a value.
const WORDS: &str = include_str!("conformance.md");

/// Print the DICOM conformance statement of this build, in Markdown.
#[derive(Debug, Args)]
pub struct ConformanceArgs {}

/// Runs the verb.
pub fn run(_: ConformanceArgs) -> Result<(), Failure> {
    say!("{}", statement()?.trim_end())
}

fn statement() -> Result<String, Failure> {
    let objects = objects()?;
    let scp = ScpConfig::default();
    let scu = Destination::new("pacs.example", 104, "PACS").map_err(anyhow::Error::from)?;
    let values = [
        ("class", IMPLEMENTATION_CLASS_UID.to_owned()),
        ("version", IMPLEMENTATION_VERSION_NAME.to_owned()),
        ("services", services(&objects)),
        ("syntaxes", syntaxes()),
        ("store_answers", answers(&statement::store_answers())),
        ("commitment_answers", answers(&statement::commitment_answers())),
        ("store_outcomes", outcomes(&statement::store_outcomes())),
        ("http", http(&dicomweb::meanings())),
        ("objects", objects.iter().map(attributes).collect::<Result<Vec<_>, Failure>>()?.join("\n")),
        ("title", scp.ae_title.to_string()),
        ("listen", scp.listen.to_string()),
        ("associations", scp.max_associations.to_string()),
        ("pdu", scp.max_pdu_bytes.to_string()),
        ("object", scp.max_object_mebibytes.to_string()),
        ("request", scp.request_timeout_seconds.to_string()),
        ("idle", scp.idle_timeout_seconds.to_string()),
        ("connect", scu.connect_timeout_seconds.to_string()),
        ("response", scu.response_timeout_seconds.to_string()),
        ("sent_pdu", scu.max_pdu_bytes.to_string()),
    ];
    Ok(values.iter().fold(WORDS.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value)))
}

/// One of each kind of object that is written, made from a small series.
fn objects() -> Result<Vec<EncodedInstance>, Failure> {
    let identity = DemoIdentity {
        patient_name: "NAME^OF".into(),
        patient_id: "ID".into(),
        image_sha256: sha256_hex(b"a small series"),
        uid_salt: String::new(),
    };
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, 1.0)];
    let grid = Grid::new(identity.frame(), Shape::new(24, 22, 20), Lps::new(0.0, 0.0, 0.0), axes, [8.0; 3]);
    let grid = Arc::new(grid.map_err(anyhow::Error::from)?);
    let values = (0..grid.shape().voxels()).map(|n| n as f32).collect();
    let head = Volume::new(grid, values).map_err(anyhow::Error::from)?;
    let images = demo_series(&head, &identity, Acquisition::Axial, None)?;
    let bytes: Vec<&[u8]> = images.iter().map(|image| image.bytes.as_slice()).collect();
    let series = parse_instances(&bytes).and_then(assemble).map_err(anyhow::Error::from)?;
    let mask: Mask = series.volume.map(|value| *value > 10_000.0);
    let meta = StructureSetMeta {
        label: "AI RESEARCH".into(),
        research: true,
        model_name: "model".into(),
        model_digest: sha256_hex(b"model"),
        config_digest: sha256_hex(b"configuration"),
        revision: 1,
        predecessor: None,
        carried: None,
        created: datetime!(2026-01-02 03:04:05),
    };
    let structure = Structure::Brainstem;
    let roi = RoiContours {
        roi: structure.into(),
        contours: contours_of(&mask, &ContourConfig::default()).map_err(anyhow::Error::from)?,
        volume_cc: mask.cc(),
        description: "what is to be said of it".into(),
    };
    let segment = Segment { structure, roi: structure.into(), mask: &mask, description: "the same".into() };
    let notice = NoticeMeta {
        series: series.attributes.series.clone(),
        series_description: "T1".into(),
        revision: 1,
        created: meta.created,
    };
    let profile = Profile::generic();
    let patient = images.first().map(|image| PatientStudy::of_file(&image.bytes)).transpose();
    let patient = patient.map_err(anyhow::Error::from)?.ok_or_else(|| anyhow::anyhow!("a series without an image"))?;
    let refusals = Refusal::new(RefusalCode::NotT1, "what was found").into();
    let set = write_rtstruct(&series, &[roi], &meta, &profile).map_err(anyhow::Error::from)?;
    let segmentation = write_segmentation(&series, &[segment], &meta, &profile).map_err(anyhow::Error::from)?;
    let report = write_notice(&patient, &refusals, &notice).map_err(anyhow::Error::from)?;
    let first = images.into_iter().next();
    Ok(first.into_iter().chain([set, segmentation, report]).collect())
}

fn services(objects: &[EncodedInstance]) -> String {
    let mut rows = statement::services();
    for object in objects {
        match rows.iter_mut().find(|row| row.class.uid == object.sop_class) {
            Some(row) => row.scu = true,
            None => rows.push(statement::Service {
                class: statement::class(&object.sop_class),
                scu: true,
                scp: false,
                syntaxes: vec![statement::syntax(&object.transfer_syntax)],
            }),
        }
    }
    let yes = |answer| if answer { "yes" } else { "no" };
    let lines = rows
        .iter()
        .map(|row| format!("| {} | {} | {} | {} |\n", row.class.name, row.class.uid, yes(row.scu), yes(row.scp)));
    lines.collect()
}

fn syntaxes() -> String {
    let line = |NamedUid { uid, name }: &NamedUid| format!("| {name} | {uid} |\n");
    let storage = statement::services().into_iter().next_back().map(|service| service.syntaxes).unwrap_or_default();
    storage.iter().map(line).collect()
}

fn answers(rows: &[(u16, String)]) -> String {
    rows.iter().map(|(code, meaning)| format!("| {code:04X} | {meaning} |\n")).collect()
}

fn outcomes(rows: &[Meaning]) -> String {
    meanings(rows, |code| format!("{code:04X}"))
}

fn http(rows: &[Meaning]) -> String {
    meanings(rows, |code| code.to_string())
}

fn meanings(rows: &[Meaning], name: impl Fn(u16) -> String) -> String {
    let line = |row: &Meaning| {
        let (first, last) = (name(row.first), name(row.last));
        let codes = if first == last { first } else { format!("{first} to {last}") };
        format!("| {codes} | {} | {} |\n", row.meaning, row.consequence)
    };
    rows.iter().map(line).collect()
}

fn attributes(object: &EncodedInstance) -> Result<String, Failure> {
    let class = statement::class(&object.sop_class);
    let mut text = format!("### {}\n\n| attribute | tag | VR |\n|---|---|---|\n", class.name);
    for row in attributes_of(&object.bytes).map_err(anyhow::Error::from)? {
        let _ = writeln!(text, "| {}{} | {} | {} |", "> ".repeat(row.depth), row.keyword, row.tag, row.vr);
    }
    Ok(text)
}
