//! Who may talk to us: the table of peers, compared exactly (pure).

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use dicom_dictionary_std::uids;
use serde::{Deserialize, Serialize};

use super::ScpConfig;
use crate::ids::AeTitle;

/// Addresses: one, or all that begin with the same bits (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.1.2.0/24`, `fd00::/8` or a single address.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no network: write it as 10.1.2.0/24, fd00:1::/64 or 10.1.2.3");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &&str| bits.bytes().all(|b| b.is_ascii_digit());
        let bits = match bits {
            None => width,
            Some(bits) => Some(bits).filter(plain).and_then(|bits| bits.parse().ok()).ok_or_else(form)?,
        };
        if bits > width {
            return Err(form());
        }
        let first = start(address, bits);
        if first != address {
            // More than was meant would be let in, or less.
            return Err(format!("{text:?} has bits behind its prefix: write {first}/{bits}, or {address} for the one"));
        }
        Ok(Self { first, bits })
    }

    /// Whether an address is one of these.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A listener for both families sees 10.1.2.3 as ::ffff:10.1.2.3.
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && start(address, self.bits) == self.first
    }
}

/// The address with all bits behind the first `bits` cleared.
fn start(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V4((u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// What a peer may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// C-ECHO.
    Echo,
    /// C-STORE of every class that is accepted at all.
    Store,
    /// Storage commitment: to ask for one, and to answer one of ours.
    Commit,
}

impl Right {
    /// The right that an abstract syntax stands for.
    fn of(abstract_syntax: &str) -> Self {
        match abstract_syntax {
            uids::VERIFICATION => Self::Echo,
            uids::STORAGE_COMMITMENT_PUSH_MODEL => Self::Commit,
            _ => Self::Store,
        }
    }
}

/// One `[[peer]]`: a system that may call. Everything that is said of it must be true of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name in the log.
    pub name: String,
    /// Its title, compared exactly, as all titles: upper and lower case differ.
    pub ae_title: AeTitle,
    /// Where it calls from. An address that no peer has is hung up on before a byte of it is read.
    pub from: Vec<Network>,
    /// A DNS name in the Subject Alternative Name of its certificate, compared whole. With it the peer must come over
    /// TLS. The common name does not count, here as for the names of servers (RFC 9525).
    #[serde(default)]
    pub tls_subject: Option<String>,
    /// What it may ask for.
    #[serde(default = "everything")]
    pub may: Vec<Right>,
    /// Most associations of this peer at once; without it only the limit of all counts.
    #[serde(default)]
    pub max_associations: Option<usize>,
}

fn everything() -> Vec<Right> {
    vec![Right::Echo, Right::Store, Right::Commit]
}

impl Peer {
    /// Whether contexts of this abstract syntax are for it.
    pub(super) fn may(&self, abstract_syntax: &str) -> bool {
        self.may.contains(&Right::of(abstract_syntax))
    }

    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.name.trim().is_empty() {
            faults.push("name is empty: give it a name".to_owned());
        }
        if self.from.is_empty() {
            let why = "from is empty: name its addresses, or [\"0.0.0.0/0\", \"::/0\"] for any";
            faults.push(why.to_owned());
        }
        if self.tls_subject.as_ref().is_some_and(|name| name.is_empty() || name.contains(['*', ' '])) {
            faults.push("tls_subject is no DNS name: it is compared whole, there are no wildcards".to_owned());
        }
        if self.may.is_empty() {
            faults
                .push("may is empty: allow some of \"echo\", \"store\" and \"commit\", or remove the peer".to_owned());
        }
        if self.max_associations == Some(0) {
            faults.push("max_associations is 0: set 1 or more, or remove the peer".to_owned());
        }
        faults
    }
}

/// Who calls, as far as the network knows: what it says of itself comes later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub address: IpAddr,
    /// DNS names of its certificate; `None` when it showed none, or came without TLS.
    pub certified: Option<Vec<String>>,
}

/// Why a caller is not let in. The peer is told less: which of the three it was would help it to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    #[error("no [[peer]] has this calling AE title")]
    Title,
    #[error("the [[peer]] with this calling AE title does not come from this address")]
    Address,
    #[error("the [[peer]] with this calling AE title must show a certificate for {wanted}, and {shown}")]
    Certificate { wanted: String, shown: String },
}

impl ScpConfig {
    /// Whether anybody may call from this address. Without a table: this computer.
    pub(super) fn knows(&self, address: IpAddr) -> bool {
        if self.peers.is_empty() {
            return address.to_canonical().is_loopback();
        }
        self.peers.iter().any(|peer| peer.from.iter().any(|network| network.contains(address)))
    }

    /// The first entry of the table that the caller is, by its number; `None` when there is no table.
    pub(super) fn peer(&self, title: &AeTitle, caller: &Caller) -> Result<Option<usize>, Stranger> {
        if self.peers.is_empty() {
            return Ok(None);
        }
        let mut why = Stranger::Title;
        for (n, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.ae_title == *title) {
            if !peer.from.iter().any(|network| network.contains(caller.address)) {
                if why == Stranger::Title {
                    why = Stranger::Address;
                }
                continue;
            }
            let Some(wanted) = &peer.tls_subject else { return Ok(Some(n)) };
            let names = caller.certified.as_deref().unwrap_or_default();
            // Case does not distinguish DNS names.
            if names.iter().any(|name| name.eq_ignore_ascii_case(wanted)) {
                return Ok(Some(n));
            }
            let shown = match &caller.certified {
                None => "this one showed none".to_owned(),
                Some(names) if names.is_empty() => "this one's has no DNS name".to_owned(),
                Some(names) => format!("this one's is for {}", names.join(", ")),
            };
            why = Stranger::Certificate { wanted: wanted.clone(), shown };
        }
        Err(why)
    }

    /// Every fault of the table, each beginning with the whole path of the key that it is about.
    pub fn peer_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        let certificates = self.tls.as_ref().is_some_and(|tls| !tls.client_ca.as_os_str().is_empty());
        for (n, peer) in (1..).zip(&self.peers) {
            let place = format!("peer[{n}]");
            faults.extend(peer.faults().into_iter().map(|fault| format!("{place}.{fault}")));
            if !names.insert(&peer.name) {
                faults.push(format!("{place}.name is {:?}, as is an earlier one: give it another name", peer.name));
            }
            if peer.tls_subject.is_some() && !certificates {
                faults.push(format!(
                    "{place}.tls_subject needs [scp.tls] with a client_ca: nobody else can vouch for it"
                ));
            }
        }
        faults
    }
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
