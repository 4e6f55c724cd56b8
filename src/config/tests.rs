//! The whole configuration: the sample, and faults of every kind told together.

use super::*;
use crate::service::{DestinationConfig, RouteConfig};

const SAMPLE: &str = include_str!("../../ops/contourd.toml");

#[test]
fn the_sample_holds_every_key_with_its_default() {
    let defaults = Config::parse("").unwrap();
    assert_eq!(Config::parse(SAMPLE).unwrap(), defaults);
    // Debug names every field of every section.
    for line in format!("{defaults:#?}").lines().filter(|l| l.starts_with("        ")) {
        let Some((key, _)) = line.trim().split_once(": ") else { continue };
        let shown = SAMPLE.lines().any(|l| l.trim_start_matches('#').starts_with(&format!("{key} = ")));
        let list = matches!(
            key,
            "routes"
                | "destinations"
                | "sources"
                | "profiles"
                | "derived"
                | "audit"
                | "keep"
                | "receive"
                | "jobs"
                | "sending"
                | "nerve"
                | "peers"
                | "corrections"
        );
        assert!(shown || list, "ops/contourd.toml lacks {key}");
    }
}

#[test]
fn the_examples_in_the_sample_are_good() {
    let examples: String = SAMPLE
        .lines()
        .skip_while(|l| *l != "#[[destination]]")
        .map(|l| format!("{}\n", l.trim_start_matches('#')))
        .collect();
    let config = Config::parse(&examples).unwrap();
    assert_eq!(config.service.routes[0].destinations, ["pacs"]);
    assert_eq!(config.service.destinations[0].system.dimse().unwrap().port, 104);
    assert_eq!(config.service.sources[0].system.dimse().unwrap().ae_title.as_str(), "ARCHIVE");
    assert_eq!(config.service.profiles[0].aliases["Eye_L"], "Eye Left");
    assert_eq!(config.derived[0].name, "OpticNrv_PRV03_L");
    assert_eq!(config.scp.peers[0].tls_subject.as_deref(), Some("pacs.example"));
    assert_eq!(config.scp.tls.unwrap().client_ca, config.service.destinations[0].system.tls().unwrap().ca);
}

#[test]
fn faults_of_peers_are_told_with_their_numbers_and_open_no_door() {
    let text = format!(
        "[scp]\nlisten = \"0.0.0.0:104\"\n{PACS}\
         [[peer]]\nname = \"a\"\nae_title = \"A\"\nfrom = [\"10.1.2.5/24\"]\n\
         [[peer]]\nname = \"b\"\nae_title = \"B\"\n\
         [[peer]]\nname = \"c\"\nae_title = \"C\"\nfrom = [\"10.1.2.3\"]\nmay = [\"delete\"]\ntls_subject = \"c\"\n\
         [[peer]]\nname = \"c\"\nae_title = \"D\"\nfrom = []\n\
         [[route]]\nname = \"r\"\ncalling_ae = \"a\"\ndestinations = [\"pacs\"]\n"
    );
    let mut found = keys(&text);
    found.sort_unstable();
    let wanted = [
        "peer[1].from",
        "peer[2].from",
        "peer[3].may",
        "peer[3].tls_subject",
        "peer[4].from",
        "peer[4].name",
        "route[1].calling_ae",
    ];
    assert_eq!(found, wanted);
    let r = Reader::new(&text).map(|mut r| r.list::<crate::dicom::net::Peer>("peer", peer_stand_in));
    let loopback = crate::dicom::net::Network::parse("127.0.0.1").unwrap();
    assert!(r.unwrap()[..2].iter().all(|peer| peer.from == [loopback]));
    // Without a peer nobody from elsewhere may call.
    assert_eq!(keys("[scp]\nlisten = \"10.1.2.3:104\"\n"), ["scp.listen"]);
    // A faulty title makes no route faulty.
    let titleless = "[[peer]]\nname = \"a\"\nae_title = 3\nfrom = [\"10.1.2.3\"]\n";
    let route = "[[route]]\nname = \"r\"\ncalling_ae = \"A\"\ndestinations = [\"pacs\"]\n";
    assert_eq!(keys(&format!("{PACS}{titleless}{route}")), ["peer[1].ae_title"]);
}

#[test]
fn faults_of_several_sections_are_told_together() {
    let text = "[scp]\nmax_associations = 0\n[web]\nlisten = \"0.0.0.0:80\"\n[contours]\ntolerance_pixels = 2.0\n\
                [rules]\neye_min_cc = -1.0\n[log]\nfilter = \"=x=\"\n[[route]]\nname = \"a\"\ndestinations = [\"b\"]\n[toy]\n";
    let keys: Vec<String> = Config::parse(text).unwrap_err().into_iter().map(|f| f.key).collect();
    for key in
        ["scp.max_associations", "web.listen", "contours.tolerance_pixels", "rules.eye_min_cc", "log.filter", "toy"]
    {
        assert!(keys.iter().any(|k| k == key), "{key} is not among {keys:?}");
    }
    assert!(keys.iter().any(|k| k.starts_with("route[1]")), "{keys:?}");
    let other = "[[destination]]\nname = \"p\"\nhost = \"h\"\nport = 1\nae_title = \"P\"\n\
                 [[route]]\nname = \"a\"\ncalled_ae = \"NOBODY\"\ndestinations = [\"p\", \"p\"]\n";
    let faults = Config::parse(other).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|f| f.key.as_str()).collect();
    assert_eq!(keys, ["route[1].destinations", "route[1].called_ae"]);
}

fn keys(text: &str) -> Vec<String> {
    Config::parse(text).unwrap_err().into_iter().map(|f| f.key).collect()
}

const PACS: &str = "[[destination]]\nname = \"pacs\"\nhost = \"h\"\nport = 1\nae_title = \"PACS\"\n";

#[test]
fn a_faulty_key_hides_no_fault_of_its_section() {
    let text = "[scp]\nlisten = \"nowhere\"\nmax_associations = 0\n[jobs]\ntypo = 1\nworkers = 0\n\
                [sending]\nbatch = \"many\"\nlongest_retry_seconds = 1\n";
    let mut found = keys(text);
    found.sort_unstable();
    let wanted = [
        "jobs.typo",
        "jobs.workers",
        "scp.listen",
        "scp.max_associations",
        "sending.batch",
        "sending.longest_retry_seconds",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn a_faulty_destination_or_route_makes_no_other_faulty_and_keeps_its_number() {
    // The first destination and the first two routes are faulty; what is said of the later ones is right.
    let text = format!(
        "[scp]\nae_title = \"too long for an AE title\"\n\
         [[destination]]\nname = \"tps\"\nhost = \"h\"\nport = 99999\nae_title = \"TPS\"\n{PACS}\
         [[destination]]\nname = \"pacs\"\nhost = \"h\"\nport = 0\nae_title = \"B\"\n\
         [[route]]\nname = \"a\"\ncalling_ae = 3\ndestinations = [\"tps\", \"pacs\"]\n\
         [[route]]\ncalled_ae = \"HERE\"\nmodell = \"x\"\n\
         [[route]]\nname = \"c\"\ncalled_ae = \"HERE\"\ncalling_ae = \"MR1\"\ndestinations = [\"tps\"]\n\
         [[route]]\nname = \"d\"\ndestinations = [\"gone\"]\n"
    );
    let mut found = keys(&text);
    found.sort_unstable();
    let wanted = [
        "destination[1].port",
        "destination[3].name",
        "destination[3].port",
        "route[1].calling_ae",
        "route[2].destinations",
        "route[2].modell",
        "route[2].name",
        // Behind a route for everything that comes to HERE.
        "route[3].name",
        "route[4].destinations",
        "scp.ae_title",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn stand_ins_have_no_fault_of_their_own() {
    let mut r = Reader::new("route = [1]\ndestination = [1]\nprofile = [1]\nderived = [1]").unwrap();
    let profiles: Vec<ProfileConfig> = r.list("profile", profile_stand_in);
    let derived: Vec<DerivedConfig> = r.list("derived", derived_stand_in);
    assert_eq!(derived_faults(&derived), Vec::<String>::new());
    assert!(profiles[0].resolve(&derived).is_ok());
    let routes: Vec<RouteConfig> = r.list("route", route_stand_in);
    let destinations: Vec<DestinationConfig> = r.list("destination", destination_stand_in);
    assert_eq!((routes.len(), destinations.len(), r.faults.len()), (1, 1, 4));
    assert_eq!(destinations[0].system.faults(), Vec::<String>::new());
}

#[test]
fn faults_of_the_file_the_models_and_the_environment_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contourd.toml");
    std::fs::create_dir_all(folder.path().join("here")).unwrap();
    std::fs::write(folder.path().join("here/card.toml"), "").unwrap();
    let text = |default: &str, model: &str, more: &str| {
        format!(
            "{more}[models]\ndir = {:?}\ndefault = \"{default}\"\n{PACS}[[route]]\nname = \"a\"\n\
             model = \"{model}\"\ndestinations = [\"pacs\"]\n",
            folder.path()
        )
    };
    let told = |text: &str, url: Option<&str>, daemon| -> Vec<String> {
        std::fs::write(&file, text).unwrap();
        match Config::read_for(Some(&file), url.map(str::to_owned), daemon) {
            Ok(_) => Vec::new(),
            Err(ConfigError::Faults { faults, .. }) => faults.into_iter().map(|f| f.key).collect(),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(told(&text("here", "here", ""), Some("postgres://u:p@h/d"), Use::Daemon), Vec::<String>::new());
    let faulty = text("gone", "lost", "[jobs]\nworkers = 0\n[store]\nconnections = 1\n");
    assert_eq!(
        told(&faulty, Some("mysql://u:p@h/d"), Use::Daemon),
        ["store.connections", "jobs.workers", "models.default", "route[1].model", DATABASE_URL]
    );
    // Which models there are is not known without their folder, and nothing is known of what is not TOML.
    assert_eq!(told("[models]\ndir = 3\n", None, Use::Verb), ["models.dir"]);
    assert_eq!(told("[models\n", None, Use::Daemon), [""]);
    // A model that is named elsewhere needs none of those of the file.
    assert_eq!(told("[models]\ndefault = \"gone\"\n", None, Use::Verb), ["models.default"]);
    assert_eq!(told("[models]\ndefault = \"gone\"\n", None, Use::OtherModel), Vec::<String>::new());
}

#[test]
fn a_daemon_without_routes_is_a_fault_and_a_segmentation_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contourd.toml");
    std::fs::create_dir_all(folder.path().join("m")).unwrap();
    std::fs::write(folder.path().join("m/card.toml"), "").unwrap();
    std::fs::write(&file, format!("[models]\ndir = {:?}\ndefault = \"m\"\n{PACS}", folder.path())).unwrap();
    assert!(Config::read(Some(&file)).is_ok());
    let told = Config::read_for_daemon(Some(&file)).unwrap_err().to_string();
    assert!(told.contains("route: is missing") && told.contains("[[route]]"), "{told}");
}

#[test]
fn the_digest_changes_with_what_changes_a_result_only() {
    let digest = |text: &str| Config::parse(text).unwrap().result_digest();
    assert_eq!(digest(""), digest("[web]\ncases_per_page = 7\n"));
    assert_ne!(digest(""), digest("[rules]\neye_min_cc = 3.0\n"));
    assert_ne!(digest(""), digest("[contours]\nholes = \"keyhole\"\n"));
    assert_ne!(digest(""), digest("[delivery]\nplanes = \"acquired\"\n"));
}

#[test]
fn faults_of_profiles_and_derived_structures_are_told_with_their_numbers() {
    let text = format!(
        "{PACS}profile = \"nobody\"\n\
         [[profile]]\nname = \"a\"\nlike = \"b\"\n\
         [[profile]]\nname = \"c\"\nname_characters = 99\nvendor = \"d\"\n\
         [[profile]]\nname = \"c\"\naliases = {{ Brain_PRV = \"x\" }}\n\
         [[derived]]\nname = \"Brain_PRV\"\nof = [\"Brain\"]\nmargin_mm = 3\n\
         [[derived]]\nname = \"Hippocampus_PRV03_L\"\nof = [\"Hippocampus_L\", \"Liver\"]\n"
    );
    let mut found = keys(&text);
    found.sort_unstable();
    found.dedup();
    let wanted = [
        "derived[2].name",
        "derived[2].of",
        "destination[1].profile",
        "profile[1].like",
        "profile[2].name_characters",
        "profile[2].vendor",
        "profile[3].name",
    ];
    assert_eq!(found, wanted);
}
