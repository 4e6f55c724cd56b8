//! What can be configured about associations.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DestinationTls, Peer, ScpTls};
use crate::ids::{AeTitle, IdError};

/// Limits of the maximum PDU length that may be offered: the same as DCMTK's.
const PDU_BYTES: std::ops::RangeInclusive<u32> = 4096..=131_072;

/// The storage SCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScpConfig {
    /// Address and port of the listener.
    pub listen: SocketAddr,
    /// Our own title: associations for another one are rejected (1/1/7).
    pub ae_title: AeTitle,
    /// Who may call, from the `[[peer]]` sections; others are rejected (1/1/3). Empty: whoever is on this computer.
    #[serde(skip)]
    pub peers: Vec<Peer>,
    /// Calls over TLS.
    pub tls: Option<ScpTls>,
    /// Associations served at once; more are rejected for the moment (2/3/2).
    pub max_associations: usize,
    /// Connections without an association; with one more, the one that has waited longest is closed.
    pub max_waiting: usize,
    /// Longest PDU that we offer to receive, 4096 to 131072.
    pub max_pdu_bytes: u32,
    /// Largest data set that is taken; a larger one is answered with C000.
    pub max_object_mebibytes: u32,
    /// Data sets of all associations together, on their way in; what is beyond is answered with A700. What the store makes
    /// of one (its file) comes on top.
    pub max_memory_mebibytes: u32,
    /// How long a connection may take to request its association, TLS included.
    pub request_timeout_seconds: u64,
    /// How long a peer may keep an association without a message.
    pub idle_timeout_seconds: u64,
    /// How long one PDU may take in either direction once a message has begun.
    pub pdu_timeout_seconds: u64,
    /// A message that comes slower than this for longer than `pdu_timeout_seconds` ends its association.
    pub min_bytes_per_second: u32,
    /// How long associations may go on after a shutdown was asked for.
    pub drain_seconds: u64,
}

impl Default for ScpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 11112)),
            ae_title: AeTitle::default(),
            peers: Vec::new(),
            tls: None,
            max_associations: 16,
            max_waiting: 64,
            max_pdu_bytes: *PDU_BYTES.end(),
            max_object_mebibytes: 256,
            max_memory_mebibytes: 1024,
            request_timeout_seconds: 10,
            idle_timeout_seconds: 60,
            pdu_timeout_seconds: 30,
            min_bytes_per_second: 16_384,
            drain_seconds: 10,
        }
    }
}

impl ScpConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.peers.is_empty() && !self.addresses().iter().all(|at| at.ip().is_loopback()) {
            let why = "without a [[peer]] only this computer may call: name who may, or listen on 127.0.0.1";
            faults.push(format!("listen reaches beyond this computer, but {why}"));
        }
        if let Some(tls) = &self.tls {
            faults.extend(tls.faults().into_iter().map(|fault| format!("tls.{fault}")));
            if tls.listen == Some(self.listen) && self.listen.port() != 0 {
                let why = "is scp.listen: leave it out when nothing is to listen without TLS";
                faults.push(format!("tls.listen {why}"));
            }
        }
        if self.max_associations == 0 {
            faults.push("max_associations is 0: nobody could ever connect; set 1 or more".to_owned());
        }
        if !(4..=4096).contains(&self.max_waiting) {
            faults.push(format!("max_waiting is {}: set 4 to 4096", self.max_waiting));
        }
        pdu_fault(self.max_pdu_bytes, &mut faults);
        if self.max_object_mebibytes == 0 || self.max_object_mebibytes > 2048 {
            faults.push(format!("max_object_mebibytes is {}: set 1 to 2048", self.max_object_mebibytes));
        }
        if self.max_memory_mebibytes < self.max_object_mebibytes || self.max_memory_mebibytes > 1 << 20 {
            let least = self.max_object_mebibytes;
            let why = format!("set {least} (max_object_mebibytes) to {}", 1 << 20);
            faults.push(format!("max_memory_mebibytes is {}: {why}", self.max_memory_mebibytes));
        }
        if self.min_bytes_per_second == 0 {
            faults.push("min_bytes_per_second is 0: a message could take for ever; set 1 or more".to_owned());
        }
        for (key, seconds) in [
            ("request_timeout_seconds", self.request_timeout_seconds),
            ("idle_timeout_seconds", self.idle_timeout_seconds),
            ("pdu_timeout_seconds", self.pdu_timeout_seconds),
        ] {
            timeout_fault(key, seconds, &mut faults);
        }
        faults
    }

    /// Every address that is listened on.
    fn addresses(&self) -> Vec<SocketAddr> {
        std::iter::once(self.listen).chain(self.tls.as_ref().and_then(|tls| tls.listen)).collect()
    }

    /// Most bytes of a data set, as sent and as inflated.
    pub fn max_object_bytes(&self) -> usize {
        self.max_object_mebibytes as usize * 1024 * 1024
    }
}

/// A remote storage SCP: a PACS or a planning system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Host name or address.
    pub host: String,
    /// TCP port, usually 104 or 11112.
    pub port: u16,
    /// The title of the remote system.
    pub ae_title: AeTitle,
    /// How long the TCP connection may take.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout_seconds: u64,
    /// How long the remote system may take for each answer, and for taking in one PDU.
    #[serde(default = "default_response_timeout")]
    pub response_timeout_seconds: u64,
    /// Longest PDU that we send, 4096 to 131072; the remote system's own limit is kept as well.
    #[serde(default = "default_pdu_bytes")]
    pub max_pdu_bytes: u32,
    /// TLS, and with which certificates.
    #[serde(default)]
    pub tls: Option<DestinationTls>,
}

impl Destination {
    /// A destination with the usual limits.
    ///
    /// # Errors
    /// [`IdError`] when `ae_title` is not a title.
    pub fn new(host: &str, port: u16, ae_title: &str) -> Result<Self, IdError> {
        Ok(Self {
            host: host.to_owned(),
            port,
            ae_title: AeTitle::parse(ae_title)?,
            connect_timeout_seconds: default_connect_timeout(),
            response_timeout_seconds: default_response_timeout(),
            max_pdu_bytes: default_pdu_bytes(),
            tls: None,
        })
    }

    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.host.trim().is_empty() {
            faults.push("host is empty: set a name or an address".to_owned());
        }
        if self.port == 0 {
            faults.push("port is 0: set the port of the remote system, usually 104 or 11112".to_owned());
        }
        timeout_fault("connect_timeout_seconds", self.connect_timeout_seconds, &mut faults);
        timeout_fault("response_timeout_seconds", self.response_timeout_seconds, &mut faults);
        pdu_fault(self.max_pdu_bytes, &mut faults);
        if let Some(tls) = &self.tls {
            faults.extend(tls.faults(&self.host).into_iter().map(|fault| format!("tls.{fault}")));
        }
        faults
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds)
    }

    pub(super) fn response_timeout(&self) -> Duration {
        Duration::from_secs(self.response_timeout_seconds)
    }
}

pub(crate) fn default_connect_timeout() -> u64 {
    10
}

pub(crate) fn default_response_timeout() -> u64 {
    60
}

fn default_pdu_bytes() -> u32 {
    *PDU_BYTES.end()
}

fn pdu_fault(bytes: u32, faults: &mut Vec<String>) {
    if !PDU_BYTES.contains(&bytes) {
        faults.push(format!("max_pdu_bytes is {bytes}: set {} to {}", PDU_BYTES.start(), PDU_BYTES.end()));
    }
}

pub(crate) fn timeout_fault(key: &str, seconds: u64, faults: &mut Vec<String>) {
    if !(1..=3600).contains(&seconds) {
        faults.push(format!("{key} is {seconds}: set 1 to 3600"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_fault() {
        assert_eq!(ScpConfig::default().faults(), Vec::<String>::new());
        assert_eq!(Destination::new("pacs.example", 104, "PACS").unwrap().faults(), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let config = ScpConfig {
            max_associations: 0,
            max_waiting: 3,
            max_pdu_bytes: 1000,
            max_object_mebibytes: 0,
            max_memory_mebibytes: 1 << 21,
            min_bytes_per_second: 0,
            request_timeout_seconds: 0,
            idle_timeout_seconds: 4000,
            pdu_timeout_seconds: 0,
            ..ScpConfig::default()
        };
        assert_eq!(config.faults().len(), 9, "{:?}", config.faults());
        let mut destination = Destination::new(" ", 0, "PACS").unwrap();
        destination.max_pdu_bytes = 131_073;
        destination.connect_timeout_seconds = 0;
        destination.response_timeout_seconds = 0;
        destination.tls = Some(DestinationTls { key: "key.pem".into(), ..DestinationTls::default() });
        // Without a host there is no name either that the certificate could be for.
        assert_eq!(destination.faults().len(), 8, "{:?}", destination.faults());
    }

    #[test]
    fn beyond_this_computer_only_peers_are_listened_to() {
        let open = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 104));
        let mut config = ScpConfig { listen: open, ..ScpConfig::default() };
        assert!(config.faults()[0].starts_with("listen reaches beyond this computer"), "{:?}", config.faults());
        config = ScpConfig { tls: Some(ScpTls { listen: Some(open), ..ScpTls::default() }), ..ScpConfig::default() };
        let told = config.faults();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[1].starts_with("tls.certificate is missing") && told[2].starts_with("tls.key"), "{told:?}");
        let peer = "name = 'pacs'\nae_title = 'PACS'\nfrom = ['10.1.2.3']";
        config = ScpConfig { listen: open, peers: vec![toml::from_str(peer).unwrap()], ..ScpConfig::default() };
        assert_eq!(config.faults(), Vec::<String>::new());
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(toml::from_str::<ScpConfig>("max_association = 3").is_err());
        assert!(toml::from_str::<ScpConfig>("ae_title = 'SEVENTEEN_LETTERS'").is_err());
        assert!(toml::from_str::<Destination>("host='h'\nport=1\nae_title='A'\ntls=true").is_err());
        let taken: Destination = toml::from_str("host='h'\nport=1\nae_title='A'").unwrap();
        assert_eq!(taken, Destination::new("h", 1, "A").unwrap());
    }
}
