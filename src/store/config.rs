//! Where the store keeps its things.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::ids::Phi;

/// The `[store]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgres://user:password@host/database`. Absent: a private PostgreSQL server in the state directory. It holds a
    /// password, so it belongs in the environment rather than in the file.
    #[serde(deserialize_with = "secret")]
    pub url: Option<Phi<String>>,
    /// Directory of pixel data, results and the private server. Used by one daemon at a time.
    pub state_dir: PathBuf,
    /// Most connections to the database.
    pub connections: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: None, state_dir: PathBuf::from("/var/lib/contourd"), connections: 16 }
    }
}

impl StoreConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(url) = &self.url {
            // The parser's own message may repeat the password: it is not shown.
            let known = url.reveal().starts_with("postgres://") || url.reveal().starts_with("postgresql://");
            if !known || url.reveal().parse::<sqlx::postgres::PgConnectOptions>().is_err() {
                faults
                    .push("url is not a PostgreSQL address: write postgres://user:password@host:5432/database".into());
            }
        }
        if !(4..=200).contains(&self.connections) {
            faults.push(format!("connections is {}: set 4 to 200", self.connections));
        }
        faults
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Phi<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Phi::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_no_fault_and_every_fault_is_told_at_once() {
        assert_eq!(StoreConfig::default().faults(), Vec::<String>::new());
        assert_eq!(toml::from_str::<StoreConfig>("").unwrap(), StoreConfig::default());
        assert!(toml::from_str::<StoreConfig>("uri = 'x'").is_err());
        let bad: StoreConfig = toml::from_str("url = 'mysql://app:hunter2@h/d'\nconnections = 1").unwrap();
        let faults = bad.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(!format!("{bad:?} {faults:?}").contains("hunter2"));
    }
}
