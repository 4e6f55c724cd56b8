//! The table of peers: networks, matching, faults.

use super::*;
use crate::dicom::net::ScpTls;

fn peer(name: &str, title: &str, from: &[&str]) -> Peer {
    Peer {
        name: name.to_owned(),
        ae_title: AeTitle::parse(title).unwrap(),
        from: from.iter().map(|text| Network::parse(text).unwrap()).collect(),
        tls_subject: None,
        may: everything(),
        max_associations: None,
    }
}

fn caller(address: &str, certified: Option<&[&str]>) -> Caller {
    let certified = certified.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    Caller { address: address.parse().unwrap(), certified }
}

#[test]
fn a_network_holds_its_addresses_and_no_other() {
    for (network, inside, outside) in [
        ("10.1.2.0/24", "10.1.2.255", "10.1.3.0"),
        ("10.1.2.0/24", "::ffff:10.1.2.7", "110.1.2.7"),
        ("10.1.2.3", "10.1.2.3", "10.1.2.30"),
        ("10.1.2.2/31", "10.1.2.3", "10.1.2.4"),
        ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
        ("::/0", "2001:db8::1", "10.1.2.3"),
        ("2001:db8:1::/48", "2001:db8:1:ffff::1", "2001:db8:2::1"),
        ("fd00::1", "fd00::1", "fd00::10"),
    ] {
        let network = Network::parse(network).unwrap();
        assert!(network.contains(inside.parse().unwrap()), "{network}: {inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{network}: {outside}");
        assert_eq!(Network::parse(&network.to_string()), Ok(network));
    }
}

#[test]
fn what_is_no_network_is_said() {
    for text in ["", "10.1.2", "10.1.2.0/33", "fd00::/129", "10.1.2.0/", "10.1.2.0/+8", "10.1.2.0/24/8", "host", "/8"] {
        assert!(Network::parse(text).unwrap_err().contains("is no network"), "{text}");
    }
    let loose = Network::parse("10.1.2.5/24").unwrap_err();
    assert!(loose.contains("10.1.2.0/24") && loose.contains("10.1.2.5 for the one"), "{loose}");
}

#[test]
fn without_a_table_this_computer_may_call_and_nobody_else() {
    let config = ScpConfig::default();
    for (address, known) in [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true)]
        .into_iter()
        .chain([("10.1.2.3", false), ("::2", false), ("128.0.0.1", false)])
    {
        assert_eq!(config.knows(address.parse().unwrap()), known, "{address}");
    }
    assert_eq!(config.peer(&AeTitle::parse("ANY").unwrap(), &caller("127.0.0.1", None)), Ok(None));
}

#[test]
fn title_address_and_certificate_must_all_be_right() {
    let mut certified = peer("tps", "TPS", &["10.1.3.0/24"]);
    certified.tls_subject = Some("tps.hospital.example".to_owned());
    // Two scanners with one title, from two places.
    let peers = vec![peer("mr1", "MR", &["10.1.2.3"]), certified, peer("mr2", "MR", &["10.1.2.4"])];
    let config = ScpConfig { peers, ..ScpConfig::default() };
    let ask = |title: &str, address: &str, names: Option<&[&str]>| {
        config.peer(&AeTitle::parse(title).unwrap(), &caller(address, names))
    };
    assert_eq!(ask("MR", "10.1.2.3", None), Ok(Some(0)));
    assert_eq!(ask("MR", "10.1.2.4", None), Ok(Some(2)));
    assert_eq!(ask("TPS", "10.1.3.9", Some(&["TPS.hospital.example"])), Ok(Some(1)));
    assert_eq!(ask("TPS", "10.1.3.9", Some(&["other.example", "tps.hospital.example"])), Ok(Some(1)));
    for title in ["mr", "MR1", "M", "MR_", "PACS"] {
        assert_eq!(ask(title, "10.1.2.3", None), Err(Stranger::Title), "{title}");
    }
    for address in ["10.1.2.5", "10.1.2.30", "110.1.2.3", "10.1.3.9"] {
        assert_eq!(ask("MR", address, None), Err(Stranger::Address), "{address}");
    }
    assert_eq!(ask("TPS", "10.1.2.3", Some(&["tps.hospital.example"])), Err(Stranger::Address));
    for names in [
        None,
        Some(&[] as &[&str]),
        Some(&["tps.hospital.exampl"]),
        Some(&["ttps.hospital.example"]),
        Some(&["*.hospital.example"]),
    ] {
        let refused = ask("TPS", "10.1.3.9", names).unwrap_err();
        assert!(matches!(refused, Stranger::Certificate { .. }), "{names:?}: {refused}");
    }
    assert!(config.knows("10.1.3.77".parse().unwrap()) && !config.knows("127.0.0.1".parse().unwrap()));
}

#[test]
fn every_fault_of_the_table_is_told_with_its_place() {
    let mut bad = peer("mr", "MR", &[]);
    bad.tls_subject = Some("*.example".to_owned());
    bad.may.clear();
    bad.max_associations = Some(0);
    let mut config = ScpConfig { peers: vec![peer("mr", "MR", &["10.1.2.3"]), bad], ..ScpConfig::default() };
    let keys = |config: &ScpConfig| -> Vec<String> {
        config.peer_faults().iter().map(|fault| fault.split(' ').next().unwrap_or_default().to_owned()).collect()
    };
    let told = ["from", "tls_subject", "may", "max_associations", "name", "tls_subject"];
    assert_eq!(keys(&config), told.map(|key| format!("peer[2].{key}")));
    config.tls = Some(ScpTls { client_ca: "ca.pem".into(), ..ScpTls::default() });
    assert_eq!(keys(&config).len(), told.len() - 1);
    assert!(toml::from_str::<Peer>("name='a'\nae_title='A'\nfrom=['10.0.0.0/8']\nmay=['query_all']").is_err());
    let least: Peer = toml::from_str("name='a'\nae_title='A'\nfrom=['10.0.0.0/8']").unwrap();
    assert_eq!(least, peer("a", "A", &["10.0.0.0/8"]));
}
