//! The PACS: Orthanc.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{free_port, http, wait_for};
use crate::support::run;

/// An Orthanc with storage of its own.
pub struct Pacs {
    child: Child,
    /// Its storage, which goes with it.
    folder: tempfile::TempDir,
    pub dicom: u16,
    pub web: u16,
}

/// Debian's orthanc-dicomweb.
pub const DICOMWEB: &str = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

impl Pacs {
    /// `route` is the DICOM port of a contourd that gets everything that is stored here.
    pub fn start(dicom: u16, route: Option<u16>) -> Self {
        let forward = "function OnStoredInstance(instanceId, tags, metadata, origin)\n  SendToModality(instanceId, 'contourd')\nend\n";
        Self::start_with(dicom, route.unwrap_or(1), if route.is_some() { forward } else { "" })
    }

    /// It knows a contourd on a DICOM port, and does what a Lua script says.
    pub fn start_with(dicom: u16, contourd: u16, script: &str) -> Self {
        let modalities = json!({"contourd": ["CONTOURD", "127.0.0.1", contourd]});
        let pacs = Self::launch(dicom, script, &json!({"DicomModalities": modalities, "Plugins": []}));
        wait_for("Orthanc", || pacs.rest("system", None));
        pacs
    }

    /// With its DICOMweb plugin.
    pub fn with_dicomweb() -> Self {
        let pacs = Self::launch(free_port(), "", &json!({"Plugins": [DICOMWEB]}));
        wait_for("Orthanc", || pacs.rest("dicom-web/studies", None));
        pacs
    }

    /// Does not wait until it is there. `more` are settings beside the usual ones, or in their place.
    pub fn launch(dicom: u16, script: &str, more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let web = free_port();
        let lua = folder.path().join("route.lua");
        std::fs::write(&lua, script).unwrap();
        let mut config = json!({
            "StorageDirectory": folder.path(), "IndexDirectory": folder.path(), "DicomAet": "PACS", "DicomPort": dicom,
            "HttpPort": web, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "OverwriteInstances": false, "LuaScripts": [lua],
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(folder.path().join("orthanc.json"), config.to_string()).unwrap();
        Self { child: Self::spawn(folder.path()), folder, dicom, web }
    }

    /// Where its DICOMweb begins.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/dicom-web/", self.web)
    }

    fn spawn(folder: &Path) -> Child {
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut orthanc = Command::new("Orthanc");
        orthanc.arg(folder.join("orthanc.json")).stdout(Stdio::null()).stderr(log);
        orthanc.spawn().expect("Orthanc is needed")
    }

    /// Ends it in order; what it holds stays.
    pub fn stop(&mut self) {
        run(Command::new("kill").arg(self.child.id().to_string()));
        self.child.wait().unwrap();
    }

    /// Starts it again on the same storage and ports.
    pub fn start_again(&mut self) {
        self.child = Self::spawn(self.folder.path());
        wait_for("Orthanc", || self.rest("system", None));
    }

    pub fn rest(&self, path: &str, body: Option<&Value>) -> Option<Value> {
        http(&format!("http://127.0.0.1:{}/{path}", self.web), body)
    }

    /// Orthanc's ids of everything of a level and modality.
    pub fn find(&self, level: &str, modality: &str) -> Vec<String> {
        let query = json!({"Level": level, "Query": {"Modality": modality}});
        let found = self.rest("tools/find", Some(&query)).expect("Orthanc answers");
        found.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    }

    /// SOP Instance UIDs of everything of a modality, sorted.
    pub fn instance_uids(&self, modality: &str) -> Vec<String> {
        let uid = |id: String| {
            let instance = self.rest(&format!("instances/{id}"), None).unwrap();
            instance["MainDicomTags"]["SOPInstanceUID"].as_str().unwrap().to_owned()
        };
        let mut uids: Vec<String> = self.find("Instance", modality).into_iter().map(uid).collect();
        uids.sort();
        uids
    }

    /// The modality of every instance in the order in which it was stored.
    pub fn order_of_arrival(&self) -> Vec<String> {
        let changes = self.rest("changes?limit=100000", None).expect("Orthanc answers");
        let stored = changes["Changes"].as_array().unwrap().iter().filter(|c| c["ChangeType"] == "NewInstance");
        let modality = |id: &Value| {
            let tags = self.rest(&format!("instances/{}/tags?simplify", id.as_str().unwrap()), None).unwrap();
            tags["Modality"].as_str().unwrap().to_owned()
        };
        stored.map(|change| modality(&change["ID"])).collect()
    }

    /// The referenced series of every structure set that is stored, sorted.
    pub fn structure_sets(&self) -> Vec<String> {
        let mut series: Vec<String> = self
            .find("Instance", "RTSTRUCT")
            .iter()
            .map(|id| {
                let tags = self.rest(&format!("instances/{id}/tags?simplify"), None).unwrap();
                let frame = &tags["ReferencedFrameOfReferenceSequence"][0]["RTReferencedStudySequence"][0];
                frame["RTReferencedSeriesSequence"][0]["SeriesInstanceUID"].as_str().unwrap().to_owned()
            })
            .collect();
        series.sort();
        series
    }
}

impl Drop for Pacs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
