//! What can be wrong between the sections about other systems, and with the certificates that they name.

use super::Config;
use crate::dicom::net::{DestinationTls, ScpTls};

/// Certificates, keys and CAs of one section.
enum Certificates<'a> {
    Ours(&'a ScpTls),
    Destination(&'a DestinationTls),
}

impl Config {
    /// Complaints about routes for titles that no peer has.
    pub(super) fn routes_of_nobody(&self) -> Vec<String> {
        let peers = &self.scp.peers;
        let titled = (1..).zip(&self.service.routes).filter_map(|(n, r): (usize, _)| Some((n, r.calling_ae.as_ref()?)));
        titled
            .filter(|(_, title)| !peers.is_empty() && !peers.iter().any(|peer| peer.ae_title == **title))
            .map(|(n, title)| format!("route[{n}].calling_ae is {title}, and no [[peer]] has this ae_title"))
            .collect()
    }

    /// Complaints about files that cannot be used. That a certificate has expired stops nothing: the daemon has other things
    /// to do, and says so.
    pub(super) fn faults_of_certificates(&self) -> Vec<String> {
        let usable = |with: &Certificates| match with {
            Certificates::Ours(tls) => tls.usable(),
            Certificates::Destination(tls) => tls.usable(),
        };
        let all = self.certificates();
        all.iter().filter_map(|(place, with)| Some(format!("{place}.{}", usable(with).err()?))).collect()
    }

    /// What there is to say of the certificates of each section, with its path: until when they are good, or what is wrong.
    pub fn look_at_certificates(&self) -> Vec<(String, Result<String, String>)> {
        let look = |with| match with {
            Certificates::Ours(tls) => tls.look(),
            Certificates::Destination(tls) => tls.look(),
        };
        self.certificates().into_iter().map(|(place, with)| (place, look(with))).collect()
    }

    fn certificates(&self) -> Vec<(String, Certificates<'_>)> {
        let ours = self.scp.tls.iter().map(|tls| ("scp.tls".to_owned(), Certificates::Ours(tls)));
        let destinations = (1..).zip(self.service.destinations.iter().map(|d| &d.system));
        let sources = (1..).zip(self.service.sources.iter().map(|s| &s.system));
        let systems = destinations.map(|at| ("destination", at)).chain(sources.map(|at| ("source", at)));
        let theirs = systems.filter_map(|(section, (n, system)): (_, (usize, _))| {
            Some((format!("{section}[{n}].tls"), Certificates::Destination(system.tls()?)))
        });
        ours.chain(theirs).collect()
    }
}
