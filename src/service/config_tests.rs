//! Faults of every section, and what a route takes.

use super::super::System;
use super::*;

fn service(text: &str) -> ServiceConfig {
    #[derive(Deserialize)]
    struct Lists {
        route: Vec<RouteConfig>,
        destination: Vec<DestinationConfig>,
    }
    let lists: Lists = toml::from_str(text).unwrap();
    ServiceConfig { routes: lists.route, destinations: lists.destination, ..ServiceConfig::default() }
}

const DESTINATION: &str = "[[destination]]\nname = 'PACS'\nhost = 'pacs'\nport = 104\nae_title = 'PACS'\n";

#[test]
fn the_defaults_have_no_fault() {
    assert_eq!(ServiceConfig::default().faults(), Vec::<String>::new());
    let one = service(&format!("[[route]]\nname = 'all'\ndestinations = ['PACS']\n{DESTINATION}"));
    assert_eq!(one.faults(), Vec::<String>::new());
    assert_eq!(one.destinations[0].system.dimse().unwrap().ae_title.as_str(), "PACS");
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let mut bad = service(&format!(
        "[[route]]\nname = 'all'\ndestinations = ['PACS', 'TPS']\n\
         [[route]]\nname = 'all'\ncalling_ae = 'MR1'\ndestinations = []\n{DESTINATION}{DESTINATION}"
    ));
    bad.receive.quiet_seconds = 0;
    bad.jobs.workers = 0;
    bad.sending.longest_retry_seconds = 1;
    let System::Dimse(second) = &mut bad.destinations[1].system else { panic!("no application entity") };
    second.port = 0;
    let faults = bad.faults();
    for place in [
        "receive.quiet_seconds ",
        "jobs.workers ",
        "sending.longest_retry_seconds ",
        "destination[2].port ",
        "destination[2].name ",
        "route[2].name is",
        "route[1].destinations names \"TPS\"",
        "route[2].destinations is empty",
        "route[2].name \"all\" is never reached",
    ] {
        assert!(faults.iter().any(|f| f.starts_with(place)), "{place}: {faults:?}");
    }
    assert_eq!(faults.len(), 9, "{faults:?}");
}

#[test]
fn where_structure_sets_are_fetched_one_route_wants_them_from_each_source() {
    let config = |calling: &str| {
        let mut config = service(&format!(
            "[[route]]\nname = 'mr'\ncalling_ae = 'MR1'\nstructure_sets = true\ndestinations = ['PACS']\n\
             [[route]]\nname = 'rest'\n{calling}destinations = ['PACS']\n{DESTINATION}"
        ));
        let source = "name = 'archive'\nhost = 'h'\nport = 1\nae_title = 'ARCHIVE'\n";
        config.sources = vec![toml::from_str(source).unwrap()];
        config
    };
    let faults = config("").faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].starts_with("route.structure_sets: what the source \"archive\" sends comes from ARCHIVE"));
    let wanted = config("calling_ae = 'ARCHIVE'\nstructure_sets = true\n");
    assert_eq!(wanted.faults(), Vec::<String>::new());
}

#[test]
fn unknown_keys_are_errors() {
    assert!(toml::from_str::<RouteConfig>("name='n'\ndestinations=[]\nmodell='x'").is_err());
    assert!(toml::from_str::<ReceiveConfig>("quiet = 3").is_err());
}

#[test]
fn pauses_double_up_to_a_limit() {
    let backoff = Backoff { first: Duration::from_secs(4), longest: Duration::from_secs(60) };
    for (attempt, seconds) in [(1, 4.0), (2, 8.0), (4, 32.0), (5, 60.0), (1_000_000, 60.0)] {
        let pause = backoff.after(attempt).as_secs_f64();
        assert!(pause <= seconds && pause > 0.74 * seconds, "{attempt}: {pause}");
    }
}
