//! The configuration: one TOML file, secrets from the environment, everything checked before a port opens.
//!
//! Each room defines its own section; this file only gathers them. Unknown keys are errors. `ops/contourd.toml` is the
//! commented sample, and a test holds it to the defaults here.

mod peers;
mod reader;
mod stand_in;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::reader::Fault;
use self::reader::Reader;
use self::stand_in::{
    derived_stand_in, destination_stand_in, peer_stand_in, profile_stand_in, route_stand_in, source_stand_in,
};
use crate::anatomy::rules::RulesConfig;
use crate::anatomy::{DerivedConfig, derived_faults};
use crate::contour::ContourConfig;
use crate::dicom::data::ProfileConfig;
use crate::dicom::net::ScpConfig;
use crate::domain::DomainConfig;
use crate::ids::{Phi, sha256_hex};
use crate::inference::{Card, InferenceConfig, InferenceError, Model, Runtime};
use crate::service::{PlanesConfig, Recipe, Recipes, RouteConfig, ServiceConfig};
use crate::store::StoreConfig;
use crate::web::WebConfig;

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    /// Every fault that was found.
    #[error("{} in {name}:{}", count(.faults.len()), list(.faults))]
    Faults { name: String, faults: Vec<Fault> },
    /// A model that is not installed.
    #[error("there is no model {name:?} in {dir}; installed are: {installed}")]
    UnknownModel { name: String, dir: PathBuf, installed: String },
    /// A model that cannot be loaded, or a runtime that cannot be used.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

fn count(faults: usize) -> String {
    if faults == 1 { "1 fault".into() } else { format!("{faults} faults") }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|f| format!("\n  {f}")).collect()
}

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Verb,
    Daemon,
    OtherModel,
}

/// The `[models]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// Folder that holds one folder for each model.
    pub dir: PathBuf,
    /// Model of `contourd segment`, and of routes that name none.
    pub default: String,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self { dir: PathBuf::from("models"), default: "oar-head-v3".into() }
    }
}

impl ModelsConfig {
    /// Names of the models that are installed, sorted.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|e| e.path().join("card.toml").is_file())
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Reads the cards of the models that serve, so that what they describe has a name in the sections read after this. A
    /// card that cannot be read describes nothing here; loading its model says why.
    fn describe_classes(&self, routes: &[RouteConfig]) {
        let named: Vec<&String> =
            routes.iter().flat_map(RouteConfig::named_models).map(|(_, name)| name).chain([&self.default]).collect();
        // Only a name from the listing becomes a path.
        for name in self.names().iter().filter(|name| named.contains(name)) {
            Card::read(&self.dir.join(name)).ok();
        }
    }
}

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// One line of text or one line of JSON for each event.
    pub format: LogFormat,
    /// What is logged, a level, or levels by part of the program, for example `info` or `contourd=debug,info`.
    /// By default without what ONNX Runtime says of its memory.
    pub filter: String,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl LogConfig {
    /// Every fault of this section, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        match self.filter.parse::<tracing_subscriber::filter::targets::Targets>() {
            Ok(_) => Vec::new(),
            Err(e) => vec![format!("filter is not a list like \"info\" or \"contourd=debug,info\": {e}")],
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,ort=warn".into() }
    }
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Images, results and the database.
    pub store: StoreConfig,
    /// The storage SCP.
    pub scp: ScpConfig,
    /// HTTP API and review page.
    pub web: WebConfig,
    /// Logging.
    pub log: LogConfig,
    /// Networks.
    pub inference: InferenceConfig,
    /// Models.
    pub models: ModelsConfig,
    /// Anatomical rules.
    pub rules: RulesConfig,
    /// Outlines.
    pub contours: ContourConfig,
    /// Delivered planes and label.
    pub delivery: PlanesConfig,
    /// Structures derived from those that are found.
    pub derived: Vec<DerivedConfig>,
    /// The check of the image.
    pub domain: DomainConfig,
    /// Receiving, jobs, sending, routes and destinations.
    pub service: ServiceConfig,
}

/// The database's address, which holds a password.
const DATABASE_URL: &str = "CONTOURD_DATABASE_URL";

impl Config {
    /// Reads a file, or takes the defaults when there is none, and looks whether the models are installed.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`], or [`ConfigError::Faults`] with all of them.
    pub fn read(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read_for(path, std::env::var(DATABASE_URL).ok(), Use::Verb)
    }

    /// As [`Config::read`], for the daemon: without a route it would refuse whatever it is sent.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_for_daemon(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read_for(path, std::env::var(DATABASE_URL).ok(), Use::Daemon)
    }

    /// As [`Config::read`], for a model of another folder: whether those that the file names are installed does not matter.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_for_model(path: Option<&Path>) -> Result<Self, ConfigError> {
        Self::read_for(path, std::env::var(DATABASE_URL).ok(), Use::OtherModel)
    }

    fn read_for(path: Option<&Path>, database_url: Option<String>, used: Use) -> Result<Self, ConfigError> {
        let text = match path {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| ConfigError::Unreadable { path: path.to_owned(), reason: e.to_string() })?,
        };
        let failed = |faults| {
            let name = path.map_or_else(|| "the defaults".into(), |p| p.display().to_string());
            ConfigError::Faults { name, faults }
        };
        let (mut config, mut r) = Self::draft(&text).map_err(|fault| failed(vec![fault]))?;
        if used != Use::OtherModel && !r.is_faulty("models.dir") {
            r.complain("", config.missing_models());
        }
        if used == Use::Daemon {
            r.complain("", config.faults_of_certificates());
        }
        if used == Use::Daemon && config.service.routes.is_empty() {
            let why = "route is missing, so that every instance would be refused (status C000): write at least one \
                       [[route]] with the [[destination]] of its results";
            r.complain("", vec![why.into()]);
        }
        // Secrets come from the environment and win over the file.
        if let Some(url) = database_url {
            let alone = StoreConfig { url: Some(Phi::new(url)), ..StoreConfig::default() };
            r.complain("", alone.faults().into_iter().map(|fault| format!("{DATABASE_URL}: {fault}")).collect());
            config.store.url = alone.url;
        }
        if r.faults.is_empty() { Ok(config) } else { Err(failed(r.faults)) }
    }

    /// Reads the text of a configuration; nothing outside it is looked at but the library and the models' cards that it
    /// names.
    ///
    /// # Errors
    /// Every fault, with the path of its key.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let (config, r) = Self::draft(text).map_err(|fault| vec![fault])?;
        if r.faults.is_empty() { Ok(config) } else { Err(r.faults) }
    }

    /// What a text says, with the reader that knows its faults. Where a fault is, a default or a stand-in is.
    fn draft(text: &str) -> Result<(Self, Reader), Fault> {
        let mut r = Reader::new(text)?;
        let models: ModelsConfig = r.section("models");
        let routes: Vec<RouteConfig> = r.list("route", route_stand_in);
        models.describe_classes(&routes);
        let sections: Vec<ProfileConfig> = r.list("profile", profile_stand_in);
        let derived: Vec<DerivedConfig> = r.list("derived", derived_stand_in);
        // What is wrong with a derived structure is said of it alone, not of every profile too.
        let sound: Vec<DerivedConfig> =
            derived.iter().filter(|one| derived_faults(std::slice::from_ref(*one)).is_empty()).cloned().collect();
        let mut profiles = Vec::new();
        for (n, section) in (1..).zip(&sections) {
            match section.resolve(&sound) {
                Ok(profile) => profiles.push(profile),
                Err(faults) => r.complain(&format!("profile[{n}]"), faults),
            }
            let twice = sections.iter().take(n - 1).any(|earlier| earlier.name == section.name);
            if twice {
                let why = format!("name is {:?}, as is an earlier one: give it another name", section.name);
                r.complain(&format!("profile[{n}]"), vec![why]);
            }
        }
        r.complain("", derived_faults(&derived));
        let scp = ScpConfig { peers: r.list("peer", peer_stand_in), ..r.section("scp") };
        let config = Self {
            store: r.section("store"),
            scp,
            web: r.section("web"),
            log: r.section("log"),
            inference: r.section("inference"),
            models,
            rules: r.section("rules"),
            contours: r.section("contours"),
            delivery: r.section("delivery"),
            derived,
            domain: r.section("domain"),
            service: ServiceConfig {
                receive: r.section("receive"),
                jobs: r.section("jobs"),
                sending: r.section("sending"),
                keep: r.section("keep"),
                audit: r.section("audit"),
                routes,
                destinations: r.list("destination", destination_stand_in),
                sources: r.list("source", source_stand_in),
                profiles,
            },
        };
        r.complain("store", config.store.faults());
        r.complain("scp", config.scp.faults());
        r.complain("", config.scp.peer_faults());
        r.complain("web", config.web.faults());
        r.complain("log", config.log.faults());
        r.complain("inference", config.inference.faults());
        r.complain("rules", config.rules.faults());
        r.complain("contours", config.contours.faults());
        r.complain("delivery", config.delivery.faults());
        r.complain("domain", config.domain.faults());
        r.complain("", config.service.faults());
        // The SCP answers to one title only, so a route for another would never take anything.
        if !r.is_faulty("scp.ae_title") {
            let own = &config.scp.ae_title;
            let routes = (1..).zip(&config.service.routes);
            let lost = routes.filter(|(_, route)| route.called_ae.as_ref().is_some_and(|title| title != own));
            let why = |n| format!("route[{n}].called_ae is not scp.ae_title ({own}): nothing would ever take it");
            r.complain("", lost.map(|(n, _): (usize, _)| why(n)).collect());
        }
        if !(1..=config.scp.peers.len()).any(|n| r.is_faulty(&format!("peer[{n}].ae_title"))) {
            r.complain("", config.routes_of_nobody());
        }
        r.unknown();
        Ok((config, r))
    }

    /// Complaints about models that are named but not installed.
    fn missing_models(&self) -> Vec<String> {
        let installed = self.model_names();
        let routes = (1..).zip(&self.service.routes);
        let named = routes.flat_map(|(n, route): (usize, &RouteConfig)| {
            route.named_models().map(move |(key, model)| (format!("route[{n}].{key}"), model))
        });
        std::iter::once(("models.default".to_owned(), &self.models.default))
            .chain(named)
            .filter(|(_, model)| !installed.contains(model))
            .map(|(key, model)| {
                let dir = self.models.dir.display();
                let known =
                    if installed.is_empty() { "none is".into() } else { format!("{} are", installed.join(", ")) };
                format!("{key}: the model {model:?} is not installed in {dir} ({known})")
            })
            .collect()
    }

    /// Digest of everything here that changes what is found and how it is contoured. How it is written is decided by the
    /// destination's profile, which has a digest of its own ([`crate::dicom::data::Profile::digest`]); the UIDs of an object
    /// are derived from both.
    pub fn result_digest(&self) -> String {
        // Serialising plain structs to JSON cannot fail; an empty text would still be a digest of its own.
        let text =
            serde_json::to_string(&(&self.rules, &self.contours, &self.delivery, &self.derived)).unwrap_or_default();
        sha256_hex(text.as_bytes())
    }

    /// Loads a model and puts the recipe of its results together. `None` takes the configured default.
    ///
    /// # Errors
    /// [`ConfigError::UnknownModel`], [`ConfigError::Inference`].
    pub fn recipe(&self, runtime: &Runtime, model: Option<&str>) -> Result<Recipe, ConfigError> {
        let name = model.unwrap_or(&self.models.default);
        let installed = self.model_names();
        // Only a name from the listing becomes a path.
        if !installed.iter().any(|known| known == name) {
            let installed = if installed.is_empty() { "none".into() } else { installed.join(", ") };
            return Err(ConfigError::UnknownModel { name: name.into(), dir: self.models.dir.clone(), installed });
        }
        let model = Model::load(&self.models.dir.join(name), runtime)?;
        Ok(Recipe {
            model: Arc::new(model),
            rules: self.rules.clone(),
            contours: self.contours.clone(),
            planes: self.delivery.clone(),
            derived: self.derived.clone(),
            domain: self.domain.clone(),
            config_digest: self.result_digest(),
        })
    }

    /// Recipes for the default model and for each model that a route names.
    ///
    /// # Errors
    /// As [`Config::recipe`].
    pub fn recipes(&self, runtime: &Runtime) -> Result<Recipes, ConfigError> {
        let default = self.recipe(runtime, None)?;
        let mut by_model = BTreeMap::new();
        for name in self.service.routes.iter().flat_map(RouteConfig::models) {
            if let Entry::Vacant(free) = by_model.entry(name) {
                let same = *free.key() == self.models.default;
                let recipe = if same { default.clone() } else { self.recipe(runtime, Some(free.key()))? };
                free.insert(recipe);
            }
        }
        Ok(Recipes { default, by_model })
    }

    /// Names of the models that are installed, sorted.
    pub fn model_names(&self) -> Vec<String> {
        self.models.names()
    }
}
