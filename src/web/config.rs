//! Where the page listens and how much it may use.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The HTTP side of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// Address and port. Loopback only: the page shows patients' names and asks for no password, so that a reverse
    /// proxy with authentication has to stand before it when others are to reach it.
    pub listen: SocketAddr,
    /// Names under which a browser may ask for the page, besides `localhost` and loopback addresses; those of the
    /// reverse proxy. Requests under any other name are refused, because a foreign web page could have chosen it.
    pub allowed_hosts: Vec<String>,
    /// A request that takes longer than this is answered with an error, in seconds.
    pub request_timeout_s: u64,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// Cases on one page of the list.
    pub cases_per_page: u32,
    /// Decoded series kept in memory for the review page, in MiB. One series is kept even when it alone is larger.
    pub image_cache_mib: usize,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            allowed_hosts: Vec::new(),
            request_timeout_s: 60,
            max_body_bytes: 64 * 1024,
            cases_per_page: 50,
            image_cache_mib: 512,
        }
    }
}

impl WebConfig {
    /// Every fault of the values, each as "key: what is wrong"; empty when the configuration can be used.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.listen.ip().is_loopback() {
            faults.push(format!(
                "listen: {} is not a loopback address. The page asks for no password: listen on 127.0.0.1 and put a \
                 reverse proxy with authentication before it",
                self.listen
            ));
        }
        if self.allowed_hosts.iter().any(|h| h.is_empty() || h.contains(['/', ' ', '*'])) {
            faults.push("allowed_hosts: write plain host names, without scheme, path or wildcard".to_owned());
        }
        for (key, value, least, most) in [
            ("request_timeout_s", self.request_timeout_s, 1, 3600),
            ("max_body_bytes", self.max_body_bytes as u64, 8 * 1024, 16 * 1024 * 1024),
            ("cases_per_page", u64::from(self.cases_per_page), 1, 500),
            ("image_cache_mib", self.image_cache_mib as u64, 1, 1024 * 1024),
        ] {
            if !(least..=most).contains(&value) {
                faults.push(format!("{key}: {value} does not lie between {least} and {most}"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_fit_and_unknown_keys_are_refused() {
        let read: WebConfig = toml::from_str("").unwrap();
        assert_eq!(read, WebConfig::default());
        assert!(read.faults().is_empty());
        assert!(toml::from_str::<WebConfig>("listn = \"127.0.0.1:1\"").unwrap_err().to_string().contains("listn"));
    }

    #[test]
    fn every_fault_is_named() {
        let bad: WebConfig = toml::from_str(
            "listen = \"0.0.0.0:8080\"\nallowed_hosts = [\"http://x\"]\nrequest_timeout_s = 0\nmax_body_bytes = 1\n\
             cases_per_page = 0\nimage_cache_mib = 0",
        )
        .unwrap();
        let faults = bad.faults();
        assert_eq!(faults.len(), 6, "{faults:?}");
        let keys =
            ["listen", "allowed_hosts", "request_timeout_s", "max_body_bytes", "cases_per_page", "image_cache_mib"];
        for key in keys {
            assert!(faults.iter().any(|f| f.starts_with(key)), "{key} in {faults:?}");
        }
    }
}
