//! Whoever waits at the planning system is told in the study itself why no contours came.

use std::process::Command;

use super::*;
use crate::conformance::judges::dciodvfy;
use crate::net::sending::StoreScp;
use crate::support::files_in;

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_the_study_in_plain_words_and_only_where_it_is_wanted() {
    let t = TestStore::new().await;
    let pacs = StoreScp::start(&[]).await;
    let mut config = config(pacs.port, "bright");
    config.routes[0].notices_to = vec!["archive".into()];
    config.destinations[0].confirm = Confirm::None;
    let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
    let mut files = series("1.2.826.2", false);
    files.remove(6);
    send_all(&running.to, &objects(&files)).await;
    let case = until(&t, CaseState::Refused).await;
    for _ in 0..200 {
        let sent = t.pg.deliveries_of(case.id).await.unwrap();
        assert_eq!(sent.len(), 1);
        if sent[0].state == OutboxState::Accepted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let received = files_in(pacs.folder.path());
    assert_eq!(received.len(), 1, "the report and nothing else");
    assert_eq!(dciodvfy(&received[0]), Vec::<String>::new());
    // DCMTK reads it as a structured report, whole and valid.
    let said = Command::new("dsrdump").arg("+Pl").arg(&received[0]).output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    for part in ["Basic Text SR", "Not done", "was not contoured", "Images are missing from this series.", "sent again"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    // In the study and of the patient of the images.
    let dump = run(Command::new("dcmdump").arg(&received[0]));
    let study = run(Command::new("dcmdump").args(["+P", "0020,000d"]).arg(&received[0]));
    assert!(dump.contains("[Doe^Jane]") && study.contains(&format!("[{}]", case.study_uid)), "{dump}");
    assert_eq!(until(&t, CaseState::Refused).await.state, CaseState::Refused, "the case stays what it is");

    // The other route wants none.
    let mut other = series("1.2.826.3", false);
    other.remove(6);
    let outcomes = send(&running.to, &title("MR3"), &objects(&other)).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == SendOutcome::Stored), "{outcomes:?}");
    for _ in 0..200 {
        let ended = cases(&t).await.iter().filter(|c| c.state == CaseState::Refused).count();
        if ended == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let second = cases(&t).await.into_iter().find(|c| c.series_uid == "1.2.826.3").unwrap();
    assert_eq!(second.state, CaseState::Refused);
    assert_eq!(t.pg.deliveries_of(second.id).await.unwrap().len(), 0);
    running.daemon.stop().await;
    assert_eq!(files_in(pacs.folder.path()).len(), 1);
}
