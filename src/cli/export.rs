//! `contourd export`: a case without its identity.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Failure;
use super::files::{fresh_folder, is_within, private_file, salted};
use super::say::say;
use crate::config::Config;
use crate::dicom::data::{InstanceHeader, Pseudonyms, Retain, deidentify, read_header, without_patient, without_uids};
use crate::store::{Beside, Case, ResultKind, StoreError};

/// Write a case without its identity into a folder: its images, its results, and what is known of it, for training or for a
/// report of a fault.
#[derive(Debug, Args)]
#[command(
    after_help = "By the Basic Application Confidentiality Profile (PS3.15 Annex E), stricter: what is not on contourd's list \
    of what an image is and where it lies is removed. Not exported are Basic Text SRs and what reviewers wrote. Pixels stay as \
    they are: from the images of a head A FACE CAN BE MADE, and they are still to be protected. The daemon may run meanwhile; \
    the export stands in the audit trail."
)]
pub struct ExportArgs {
    /// The case, by the number in its page's address.
    case: Uuid,
    /// Folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Configuration file of the daemon.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// File of the salt that pseudonyms and UIDs are made with, made when missing; the same salt gives a patient the same key in
    /// every export [default: export.salt in the state directory].
    #[arg(long, value_name = "FILE")]
    salt: Option<PathBuf>,
    /// Keep sex, age, size and weight (Retain Patient Characteristics Option).
    #[arg(long)]
    keep_characteristics: bool,
}

/// What was made of a case.
struct Exported {
    /// Files by their names in the folder.
    files: BTreeMap<String, Vec<u8>>,
    /// Each old UID and the new one.
    uids: BTreeMap<String, String>,
    /// The patient's key.
    patient: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] for a case that is not there, was deleted, or holds what cannot lose its identity.
pub fn run(args: ExportArgs) -> Result<(), Failure> {
    let config = Config::read(args.config.as_deref())?;
    fresh_folder(&args.output)?;
    let state_dir = config.store.state_dir.clone();
    let salt = args.salt.clone().unwrap_or_else(|| state_dir.join("export.salt"));
    if is_within(&salt, &args.output) || is_within(&args.output, &state_dir) {
        let why = "would hold the way back to the patient; name a folder apart from the salt and the state directory";
        return Err(Failure::Usage(format!("--output {} {why}", args.output.display())));
    }
    let retain = Retain { characteristics: args.keep_characteristics };
    let tokio = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let done = tokio.block_on(async {
        let store = Beside::open(&config.store).await.map_err(anyhow::Error::from)?;
        let done = export(&store, args.case, &salt, retain, &args.output, &state_dir).await;
        // Also after a failure: a private server must not outlive this.
        store.close().await.map_err(anyhow::Error::from)?;
        done
    });
    let (count, map) = done?;
    say!("{count} files in {}", args.output.display())?;
    say!("The way back, which names the patient: {}", map.display())
}

async fn export(
    store: &Beside,
    id: Uuid,
    salt: &Path,
    retain: Retain,
    output: &Path,
    state_dir: &Path,
) -> Result<(usize, PathBuf), Failure> {
    let case = store.pg.case(id).await.map_err(anyhow::Error::from)?;
    let case = case.ok_or_else(|| Failure::Refused(format!("there is no case {id}")))?;
    if case.purged_at.is_some() {
        return Err(Failure::Refused(format!("the files of case {id} were deleted")));
    }
    // Only now: a salt is not made for a case that is not there.
    let exported = made_of(store, &case, &salted(salt)?, retain).await?;
    private_folder(output)?;
    // The way back first: an export that nobody could trace is of no use in a study.
    let maps = state_dir.join("exports");
    private_folder(&maps)?;
    let map = maps.join(format!("{}-{id}.json", exported.patient));
    let way_back = json!({ "case": id, "patient": exported.patient, "uids": exported.uids });
    let text = serde_json::to_vec_pretty(&way_back).context("encoding the map of UIDs")?;
    // Beside, then renamed: an earlier one is never lost to a full disk.
    let part = map.with_extension("part");
    let written = private_file(&part, &text).and_then(|()| fs::rename(&part, &map));
    written.with_context(|| format!("cannot write {}", map.display()))?;
    let detail =
        json!({ "user": user(), "objects": exported.files.len() - 1, "characteristics": retain.characteristics });
    store.pg.audit("case_exported", Some(id), &detail).await.map_err(anyhow::Error::from)?;
    for (name, bytes) in &exported.files {
        let path = output.join(name);
        if let Some(folder) = path.parent() {
            private_folder(folder)?;
        }
        private_file(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok((exported.files.len(), map))
}

/// Makes a folder that nobody else may look into.
fn private_folder(folder: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    Ok(made.with_context(|| format!("cannot make {}", folder.display()))?)
}

/// Who does it: the user of the operating system.
fn user() -> String {
    let id = rustix::process::getuid().as_raw();
    match std::env::var("USER") {
        Ok(name) if !name.is_empty() => format!("uid {id} ({name})"),
        _ => format!("uid {id}"),
    }
}

async fn made_of(store: &Beside, case: &Case, names: &Pseudonyms, retain: Retain) -> Result<Exported, Failure> {
    let gone = |e: StoreError| Failure::Other(e.into());
    let mut sources: Vec<(String, Bytes)> = Vec::new();
    let images = store.pg.instances_of(&case.series_uid, case.revision).await.map_err(gone)?;
    for (n, row) in images.iter().enumerate() {
        sources.push((
            format!("series/{:04}.dcm", n + 1),
            store.blobs.get(&row.blob_key, &row.sha256).await.map_err(gone)?,
        ));
    }
    let results = store.pg.result_files(case.id).await.map_err(gone)?;
    for (n, file) in results.iter().filter(|file| file.kind != ResultKind::Notice).enumerate() {
        let name = format!("results/{:04}-{}-{}.dcm", n + 1, file.kind.name(), file.profile);
        sources.push((name, store.blobs.get(&file.blob_key, &file.sha256).await.map_err(gone)?));
    }
    let first = sources.first().ok_or_else(|| Failure::Refused(format!("case {} has no object", case.id)))?;
    let header = read_header(&first.1).map_err(|e| Failure::Refused(e.to_string()))?;
    let mut exported = Exported {
        files: BTreeMap::new(),
        uids: BTreeMap::new(),
        patient: names.patient(&header.patient_id, header.study.as_str()),
    };
    let mut refused = Vec::new();
    for (name, bytes) in &sources {
        match deidentify(bytes, names, retain) {
            Ok(made) => {
                exported.uids.extend(made.uids);
                exported.files.insert(name.clone(), made.object.bytes);
            }
            Err(refusal) => refused.push(refusal.to_string()),
        }
    }
    if !refused.is_empty() {
        return Err(Failure::Refused(format!("nothing was exported:\n{}", refused.join("\n"))));
    }
    let told = told_of(store, case, &header, names).await.map_err(gone)?;
    let text = serde_json::to_vec_pretty(&told).context("encoding what is known of the case")?;
    exported.files.insert("case.json".into(), text);
    Ok(exported)
}

/// What is known of a case, without what people wrote.
async fn told_of(
    store: &Beside,
    case: &Case,
    header: &InstanceHeader,
    names: &Pseudonyms,
) -> Result<Value, StoreError> {
    let structures: Vec<Value> = store
        .pg
        .structures_of(case.id)
        .await?
        .into_iter()
        .map(|row| {
            json!({
                "structure": row.structure, "found": row.found, "volume_cc": row.volume_cc, "agreement": row.agreement,
                "report": cleaned(row.report, header), "contours": row.contours,
            })
        })
        .collect();
    let reviews = store.pg.latest_reviews(case.id).await?;
    let mut reviewers: Vec<&str> = reviews.iter().map(|r| r.reviewer.as_str()).collect();
    reviewers.sort_unstable();
    reviewers.dedup();
    let reviews: Vec<Value> = reviews
        .iter()
        .map(|r| {
            let reviewer = reviewers.iter().position(|name| *name == r.reviewer).map_or(0, |n| n + 1);
            json!({ "structure": r.structure, "rating": r.rating, "reviewer": reviewer, "seconds": r.seconds_spent })
        })
        .collect();
    // Not the case's reason: it may repeat what another system answered.
    let refusals: Vec<Value> = case
        .refusals
        .as_array()
        .into_iter()
        .flatten()
        .map(|refusal| {
            let mut told = cleaned(refusal.clone(), header);
            if let Some(instance) = refusal.get("instance").and_then(Value::as_str) {
                told["instance"] = names.uid(instance).into();
            }
            told
        })
        .collect();
    Ok(json!({
        "contourd": env!("CARGO_PKG_VERSION"), "state": case.state.name(), "refusals": refusals,
        "revision": case.revision, "model": case.model_name, "model_sha256": case.model_digest,
        "configuration_sha256": case.config_digest, "structures": structures, "reviews": reviews,
    }))
}

/// The same values, without UIDs and without texts that name the patient.
fn cleaned(value: Value, header: &InstanceHeader) -> Value {
    match value {
        Value::String(text) => Value::String(without_uids(&without_patient(&text, header))),
        Value::Array(items) => items.into_iter().map(|item| cleaned(item, header)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, item)| (key, cleaned(item, header))).collect(),
        other => other,
    }
}
