//! Archives of digital heads, as hospitals have them: names of their own, structure sets of other makers.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use contourd::anatomy::{Side, Structure};
use contourd::contour::PlaneContour;
use contourd::dicom::data::{
    EncodedInstance, Profile, RoiContours, RoiIdentity, Series, StructureSet, StructureSetMeta, assemble,
    parse_instances, read_rtstruct, write_rtstruct,
};
use contourd::phantom::{Acquisition, HeadOptions, PatientRecipe, synthetic_patient};
use time::macros::datetime;

use crate::support::{files_below, meta, run};

/// The name and the ID of everybody in an archive: whoever is named in what is made of it, is named by these.
pub const NAME: &str = "Musterfrau^Erika";
pub const ID: &str = "PAT-0815-4711";

pub type Look = (&'static str, Structure);

pub const FRENCH: [Look; 12] = [
    ("Hippocampe G", Structure::Hippocampus_L),
    ("Hippocampe D", Structure::Hippocampus_R),
    ("Tronc cérébral", Structure::Brainstem),
    ("Oeil G", Structure::Eye_L),
    ("Oeil D", Structure::Eye_R),
    ("Cristallin gauche", Structure::Lens_L),
    ("Cristallin droit", Structure::Lens_R),
    ("N. optique G", Structure::OpticNrv_L),
    ("N. optique D", Structure::OpticNrv_R),
    ("Chiasma", Structure::OpticChiasm),
    ("Hypophyse", Structure::Pituitary),
    ("Encéphale", Structure::Brain),
];

pub const GERMAN: [Look; 12] = [
    ("Hippocampus li", Structure::Hippocampus_L),
    ("Hippocampus re", Structure::Hippocampus_R),
    ("Hirnstamm", Structure::Brainstem),
    ("Auge li", Structure::Eye_L),
    ("Auge re", Structure::Eye_R),
    ("Linse li", Structure::Lens_L),
    ("Linse re", Structure::Lens_R),
    ("Sehnerv links", Structure::OpticNrv_L),
    ("Sehnerv rechts", Structure::OpticNrv_R),
    ("Chiasma opticum", Structure::OpticChiasm),
    ("Hypophyse", Structure::Pituitary),
    ("Gehirn", Structure::Brain),
];

pub fn tg263() -> [Look; 12] {
    FRENCH.map(|(_, structure)| (structure.name(), structure))
}

/// A digital head in 2 x 2 x 3 mm, and its truth.
pub struct Patient {
    pub seed: u64,
    pub head: HeadOptions,
    pub images: Vec<EncodedInstance>,
    pub truth: EncodedInstance,
    series: OnceLock<(Series, StructureSet)>,
}

impl Patient {
    pub fn new(seed: u64, missing_eye: Option<Side>) -> Self {
        Self::spaced(seed, missing_eye, [2.0, 2.0, 3.0])
    }

    pub fn spaced(seed: u64, missing_eye: Option<Side>, spacing: [f64; 3]) -> Self {
        let head = HeadOptions { missing_eye, ..HeadOptions::default() };
        let recipe =
            PatientRecipe { seed, head: head.clone(), acquisition: Acquisition::Axial, spacing: Some(spacing) };
        let made = synthetic_patient(&recipe).unwrap();
        Self { seed, head, images: made.images, truth: made.structure_set, series: OnceLock::new() }
    }

    pub fn series_uid(&self) -> String {
        self.images[0].series.to_string()
    }

    fn read(&self) -> &(Series, StructureSet) {
        self.series.get_or_init(|| {
            let files: Vec<&[u8]> = self.images.iter().map(|i| i.bytes.as_slice()).collect();
            let series = assemble(parse_instances(&files).unwrap()).unwrap();
            (series, read_rtstruct(&self.truth.bytes).unwrap())
        })
    }

    /// The true contours of a structure, none for a missing one.
    pub fn contours(&self, structure: Structure) -> Vec<PlaneContour> {
        let (series, set) = self.read();
        set.roi(structure.name()).map(|roi| roi.plane_contours(series).unwrap()).unwrap_or_default()
    }

    pub fn write_images(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for (n, image) in self.images.iter().enumerate() {
            std::fs::write(folder.join(format!("{:04}.dcm", n + 1)), &image.bytes).unwrap();
        }
    }

    /// A structure set of another maker with the true contours of these structures under these names; of the n-th day.
    pub fn write_set(&self, file: &Path, day: u32, names: &[Look], more: &[Look]) {
        let regions: Vec<_> =
            names.iter().chain(more).map(|(name, s)| ((*name).to_owned(), self.contours(*s))).collect();
        self.write_regions(file, day, &regions);
    }

    /// A structure set of another maker with these contours.
    pub fn write_regions(&self, file: &Path, day: u32, regions: &[(String, Vec<PlaneContour>)]) {
        std::fs::write(file, self.set(day, regions)).unwrap();
        run(Command::new("dcmodify").args(["-nb", "-m", "0008,0070=Planning", "-m", "0008,1090=TPS"]).arg(file));
    }

    /// As if contourd had drawn it.
    pub fn write_own_set(&self, file: &Path, day: u32, names: &[Look]) {
        let regions: Vec<_> = names.iter().map(|(name, s)| ((*name).to_owned(), self.contours(*s))).collect();
        std::fs::write(file, self.set(day, &regions)).unwrap();
    }

    fn set(&self, day: u32, regions: &[(String, Vec<PlaneContour>)]) -> Vec<u8> {
        let roi = |(name, contours): &(String, Vec<PlaneContour>)| RoiContours {
            roi: RoiIdentity { name: name.clone(), structure: None, ..RoiIdentity::from(Structure::Brain) },
            contours: contours.clone(),
            volume_cc: 1.0,
            description: String::new(),
        };
        let rois: Vec<RoiContours> = regions.iter().map(roi).collect();
        let created = datetime!(2026-03-01 10:00) + time::Duration::days(i64::from(day));
        let meta = StructureSetMeta { revision: day, created, ..meta("DRAWN") };
        write_rtstruct(&self.read().0, &rois, &meta, &Profile::generic()).unwrap().bytes
    }
}

/// Gives every object of an archive the same patient's name, with an ID of the series' own or, `one_id`, the same.
pub fn anonymous(archive: &Path, one_id: bool) {
    let files = files_below(archive).into_iter().filter(|path| path.extension().is_some_and(|e| e == "dcm"));
    let name = format!("0010,0010={NAME}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let id = contourd::dicom::data::read_header(&bytes)
            .map_or_else(|_| "cut".into(), |header| header.patient_id.reveal().clone());
        let id = if one_id { ID.to_owned() } else { format!("{ID}-{}", id.trim_start_matches("PHANTOM-")) };
        if id.ends_with("cut") {
            continue;
        }
        run(Command::new("dcmodify").args(["-nb", "-m", &name, "-m", &format!("0010,0020={id}")]).arg(file));
    }
}
