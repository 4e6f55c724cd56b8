//! `contourd demo-series`: a head image (NIfTI) as a DICOM MR series, to show and test the chain with.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::files::{fresh_folder, write_series};
use super::phantom::{Spacing, parse_spacing};
use super::say::say;
use crate::ids::sha256_hex;
use crate::phantom::{Acquisition, DemoIdentity, demo_series, read_nifti};

/// Make a DICOM MR series from a NIfTI head image, for demonstrations and tests.
#[derive(Debug, Args)]
pub struct DemoSeriesArgs {
    /// The image, .nii or .nii.gz; its sform or qform places it.
    image: PathBuf,
    /// Folder for the MR images, new or empty.
    out_dir: PathBuf,
    /// How the head is scanned. Axial, sagittal, coronal and feet-first keep the image's own voxels.
    #[arg(long, value_enum, default_value = "axial")]
    acquisition: Acquisition,
    /// Millimetres between columns, rows and slices: resamples the image.
    #[arg(long, value_name = "MM,MM,MM", value_parser = parse_spacing)]
    spacing: Option<Spacing>,
    /// Patient's Name.
    #[arg(long, value_name = "NAME", default_value = "DEMO^HEAD")]
    patient_name: String,
    /// Patient ID; made from the salt when not given.
    #[arg(long, value_name = "ID")]
    patient_id: Option<String>,
    /// Any text: gives another patient, study and series of the same image.
    #[arg(long, value_name = "TEXT", default_value = "")]
    uid_salt: String,
}

/// Runs the verb.
pub fn run(args: DemoSeriesArgs) -> Result<(), Failure> {
    fresh_folder(&args.out_dir)?;
    let bytes = std::fs::read(&args.image)
        .map_err(|e| Failure::Refused(format!("{} cannot be read: {e}", args.image.display())))?;
    let digest = sha256_hex(&bytes);
    drop(bytes);
    let salted = if args.uid_salt.is_empty() { "DEMO".to_owned() } else { format!("DEMO-{}", args.uid_salt) };
    let identity = DemoIdentity {
        patient_name: args.patient_name,
        patient_id: args.patient_id.unwrap_or(salted),
        image_sha256: digest,
        uid_salt: args.uid_salt,
    };
    let head = read_nifti(&args.image, identity.frame())?;
    let images = demo_series(&head, &identity, args.acquisition, args.spacing.map(|s| s.0))?;
    write_series(&args.out_dir, &images)?;
    say!("{} MR images in {}", images.len(), args.out_dir.display())
}
