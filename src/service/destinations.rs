//! Other systems as the configuration names them.

use serde::Deserialize;

use super::system::System;

/// How it is found out whether a destination keeps what it accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// By storage commitment where the destination takes part in it, else by a query where it answers them; where it does
    /// neither, its cases end as sent and not confirmed.
    #[default]
    Auto,
    /// By storage commitment (PS3.4 annex J), and in no other way.
    Commitment,
    /// By a query (C-FIND) for what was sent.
    Query,
    /// Not at all: its cases end as sent and not confirmed.
    None,
}

/// One `[[destination]]` section: a name, a profile, how deliveries are confirmed, and the keys of a
/// [`System`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct DestinationConfig {
    /// Its name in routes, in the database and on the page.
    pub name: String,
    /// The system itself.
    pub system: System,
    /// How it wants results: a built-in profile or that of a `[[profile]]` section.
    pub profile: String,
    /// How its deliveries are confirmed.
    pub confirm: Confirm,
    /// Whether it is asked, where it answers queries, if it knows patient and study as the images say them, before anything
    /// is sent.
    pub compare: bool,
}

impl TryFrom<toml::Table> for DestinationConfig {
    type Error = String;

    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        let name = name_of(&mut table)?;
        let profile = match table.remove("profile") {
            None => "generic".to_owned(),
            Some(profile) => profile.as_str().ok_or("profile must be a text")?.to_owned(),
        };
        let message = |e: toml::de::Error| e.message().to_owned();
        let confirm = table.remove("confirm").map_or(Ok(Confirm::default()), toml::Value::try_into).map_err(message)?;
        let compare = table.remove("compare").map_or(Ok(true), toml::Value::try_into).map_err(message)?;
        let system = System::of_keys(table).map_err(message)?;
        Ok(Self { name, system, profile, confirm, compare })
    }
}

/// One `[[source]]` section: a name, and the keys of a [`System`]. Images that a series lacks are asked for there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub struct SourceConfig {
    /// Its name in the log and on the page.
    pub name: String,
    /// The system itself.
    pub system: System,
}

impl TryFrom<toml::Table> for SourceConfig {
    type Error = String;

    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        let name = name_of(&mut table)?;
        let system = System::of_keys(table).map_err(|e| e.message().to_owned())?;
        Ok(Self { name, system })
    }
}

fn name_of(table: &mut toml::Table) -> Result<String, String> {
    let name = table.remove("name").ok_or("missing field `name`")?;
    Ok(name.as_str().ok_or("name must be a text")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_missing_keys_are_errors() {
        for bad in ["host='h'\nport=1\nae_title='A'", "name='n'\nport=1\nae_title='A'", "name=1\nhost='h'"] {
            assert!(toml::from_str::<DestinationConfig>(bad).is_err(), "{bad}");
        }
        let with = |more: &str| {
            toml::from_str::<DestinationConfig>(&format!("name='n'\nhost='h'\nport=1\nae_title='A'\n{more}"))
        };
        assert!(with("tsl=true").unwrap_err().to_string().contains("tsl"));
        assert_eq!(with("").unwrap().confirm, Confirm::Auto);
        assert_eq!(with("confirm='query'").unwrap().confirm, Confirm::Query);
        assert!(with("").unwrap().compare && !with("compare=false").unwrap().compare);
        assert!(with("confirm='often'").unwrap_err().to_string().contains("often"));
        let source = |text: &str| toml::from_str::<SourceConfig>(text);
        assert_eq!(source("name='n'\nhost='h'\nport=1\nae_title='A'").unwrap().system.dimse().unwrap().port, 1);
        let web = source("name='n'\nurl='http://localhost/dicom-web'").unwrap().system;
        assert_eq!((web.dimse(), web.faults()), (None, Vec::new()));
        assert!(source("name='n'\nurl='http://localhost'\nport=1").unwrap_err().to_string().contains("port"));
        assert!(source("name='n'\nhost='h'\nport=1\nae_title='A'\nconfirm='none'").is_err());
    }
}
