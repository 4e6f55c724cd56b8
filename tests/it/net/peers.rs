//! Who may call: titles and addresses that differ by a character, rights, places; DCMTK as the caller.

use contourd::dicom::net::{Peer, ScpConfig};

use super::raw::{Raw, association_request};
use super::support::{SAMPLES, Scp, Shelf, echoscu, storescu};

/// A peer of the table as it is written in a configuration.
pub fn peer(text: &str) -> Peer {
    toml::from_str(text).unwrap()
}

fn table(peers: &[&str]) -> ScpConfig {
    ScpConfig { peers: peers.iter().map(|text| peer(text)).collect(), ..ScpConfig::default() }
}

const MR1: &str = "name = 'scanner'\nae_title = 'MR1'\nfrom = ['127.0.0.1', '::1']";
const TPS: &str = "name = 'planning'\nae_title = 'TPS'\nfrom = ['127.0.0.2/31']";

/// Calling and called title, one character off in every way: replaced, added in front, added behind, taken away, its case
/// changed.
#[tokio::test(flavor = "multi_thread")]
async fn titles_are_compared_exactly() {
    let scp = Scp::start(table(&[MR1, TPS]), Shelf::default()).await;
    let file = [SAMPLES.file("explicit")];
    for stranger in ["MR", "R1", "MR10", "XMR1", "MR2", "mr1", "Mr1", "M R1", "ECHOSCU"] {
        let (ok, said) = storescu(scp.port, &["-aet", stranger], &file).await;
        let told = said.contains("Rejected Permanent") && said.contains("Calling AE Title Not Recognized");
        assert!(!ok && told && said.contains("Service User"), "{stranger}: {said}");
    }
    for other in ["CONTOUR", "ONTOURD", "CONTOURD2", "XCONTOURD", "CONTOURE", "contourd"] {
        let (ok, said) = echoscu(scp.port, &["-aet", "MR1", "-aec", other]).await;
        let told = said.contains("Rejected Permanent") && said.contains("Called AE Title Not Recognized");
        assert!(!ok && told, "{other}: {said}");
    }
    assert!(scp.shelf.instances().is_empty());
    let (ok, said) = storescu(scp.port, &["-aet", "MR1"], &file).await;
    assert!(ok && scp.shelf.instances().len() == 1, "{said}");
}

/// 127.0.0.1 is the scanner's, 127.0.0.2 and 3 the planning system's: all of them are this computer's.
#[tokio::test(flavor = "multi_thread")]
async fn a_title_from_the_address_of_another_is_rejected_and_a_strange_address_is_not_read() {
    let scp = Scp::start(table(&[MR1, TPS]), Shelf::default()).await;
    let answer_to = async |title: &str, from: &str| {
        let mut raw = Raw::from(from, scp.port).await;
        raw.send(&association_request(title)).await;
        raw.receive().await
    };
    use dicom_ul::pdu::{AssociationRJServiceUserReason as Reason, AssociationRJSource as Source, Pdu};
    for (title, from, known) in [
        ("MR1", "127.0.0.1", true),
        ("TPS", "127.0.0.2", true),
        ("TPS", "127.0.0.3", true),
        ("TPS", "127.0.0.1", false),
        ("MR1", "127.0.0.2", false),
    ] {
        match answer_to(title, from).await {
            Some(Pdu::AssociationAC(_)) if known => {}
            Some(Pdu::AssociationRJ(refused)) if !known => {
                assert_eq!(refused.source, Source::ServiceUser(Reason::CallingAETitleNotRecognized));
            }
            other => panic!("{title} from {from}: {other:?}"),
        }
    }
    for (title, from) in [("MR1", "127.0.0.10"), ("TPS", "127.0.0.4"), ("TPS", "127.0.0.20"), ("MR1", "127.1.0.1")] {
        let mut raw = Raw::from(from, scp.port).await;
        // Nothing is read: not even this, for which every other caller is told that it is no DICOM.
        let _ = raw.try_send(b"GET / HTTP/1.1\r\n\r\n").await;
        assert_eq!(raw.receive().await, None, "{title} from {from}");
        let mut raw = Raw::from(from, scp.port).await;
        let _ = raw.try_send(&super::raw::encoded(&association_request(title))).await;
        assert_eq!(raw.receive().await, None, "{title} from {from}");
    }
    let (ok, said) = echoscu(scp.port, &["-aet", "MR1", "-aec", "CONTOURD"]).await;
    assert!(ok, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_table_only_this_computer_may_call() {
    let scp = Scp::start(ScpConfig::default(), Shelf::default()).await;
    for title in ["ANY", "Other"] {
        let (ok, said) = echoscu(scp.port, &["-aet", title, "-aec", "CONTOURD"]).await;
        assert!(ok, "{said}");
    }
    let beyond = ScpConfig { listen: ([0, 0, 0, 0], 11112).into(), ..ScpConfig::default() };
    assert!(beyond.faults()[0].contains("without a [[peer]] only this computer may call"), "{:?}", beyond.faults());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_may_do_what_the_table_says_and_no_more() {
    let verifier = "name = 'v'\nae_title = 'WATCH'\nfrom = ['127.0.0.1']\nmay = ['echo']";
    let sender = "name = 's'\nae_title = 'SENDER'\nfrom = ['127.0.0.1']\nmay = ['store']";
    let scp = Scp::start(table(&[verifier, sender]), Shelf::default()).await;
    let file = [SAMPLES.file("explicit")];
    let (ok, said) = echoscu(scp.port, &["-aet", "WATCH", "-aec", "CONTOURD"]).await;
    assert!(ok, "{said}");
    let (ok, said) = storescu(scp.port, &["-aet", "WATCH"], &file).await;
    assert!(!ok && said.contains("No Acceptable Presentation Contexts"), "{said}");
    let (ok, said) = storescu(scp.port, &["-aet", "SENDER"], &file).await;
    assert!(ok, "{said}");
    let (ok, said) = echoscu(scp.port, &["-aet", "SENDER", "-aec", "CONTOURD"]).await;
    assert!(!ok && said.contains("No Acceptable Presentation Contexts"), "{said}");
    assert_eq!(scp.shelf.instances().len(), 1);
}

/// Storage commitment is a right of its own: who may store need not be believed when it says what it keeps.
#[tokio::test(flavor = "multi_thread")]
async fn storage_commitment_is_for_whom_the_table_says() {
    use dicom_dictionary_std::uids::{IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL};
    use dicom_ul::pdu::{Pdu, PresentationContextProposed, PresentationContextResultReason as Reason};
    let entry = |title: &str, may: &str| format!("name = '{title}'\nae_title = '{title}'\nfrom = ['127.0.0.1']{may}");
    let peers = [entry("ALL", ""), entry("STORER", "\nmay = ['echo', 'store']"), entry("PACS", "\nmay = ['commit']")];
    let scp = Scp::start(table(&peers.each_ref().map(String::as_str)), Shelf::default()).await;
    for (title, reason) in
        [("ALL", Reason::Acceptance), ("STORER", Reason::UserRejection), ("PACS", Reason::Acceptance)]
    {
        let context = PresentationContextProposed {
            id: 1,
            abstract_syntax: STORAGE_COMMITMENT_PUSH_MODEL.to_owned(),
            transfer_syntaxes: vec![IMPLICIT_VR_LITTLE_ENDIAN.to_owned()],
        };
        let mut raw = Raw::connect(scp.port).await;
        raw.send(&super::raw::proposal(title, vec![context])).await;
        let Some(Pdu::AssociationAC(answer)) = raw.receive().await else { panic!("{title}") };
        assert_eq!(answer.presentation_contexts[0].reason, reason, "{title}");
    }
    let (ok, said) = storescu(scp.port, &["-aet", "PACS"], &[SAMPLES.file("explicit")]).await;
    assert!(!ok && said.contains("No Acceptable Presentation Contexts"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_does_not_take_all_places() {
    let few = "name = 'few'\nae_title = 'FEW'\nfrom = ['127.0.0.1']\nmax_associations = 1";
    let scp = Scp::start(ScpConfig { max_associations: 3, ..table(&[few, MR1]) }, Shelf::default()).await;
    let _held = Raw::associate_as("FEW", scp.port).await;
    let full = |said: &str| said.contains("Rejected Transient") && said.contains("Local Limit Exceeded");
    let (ok, said) = echoscu(scp.port, &["-aet", "FEW", "-aec", "CONTOURD"]).await;
    assert!(!ok && full(&said), "{said}");
    let mut others = vec![Raw::associate_as("MR1", scp.port).await, Raw::associate_as("MR1", scp.port).await];
    let (ok, said) = echoscu(scp.port, &["-aet", "MR1", "-aec", "CONTOURD"]).await;
    assert!(!ok && full(&said) && said.contains("Service Provider (Presentation Related)"), "{said}");
    others.pop().unwrap().release().await;
    let (ok, said) = echoscu(scp.port, &["-aet", "MR1", "-aec", "CONTOURD"]).await;
    assert!(ok, "the place was not given back: {said}");
}
