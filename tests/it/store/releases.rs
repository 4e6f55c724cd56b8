//! Databases of earlier versions: opened, brought up to date, nothing lost, work goes on.

use super::*;
use contourd::store::Case;

use crate::support::run;
use crate::system::Postgres;

/// Images of the two series.
const IMAGES: (usize, usize) = (62, 76);

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_every_earlier_version_is_taken_over_with_all_that_is_in_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/releases");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut dumps: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "gz")).collect();
    dumps.sort();
    assert!(!dumps.is_empty());
    for dump in dumps {
        let server = tokio::task::block_in_place(Postgres::start);
        let load = format!("zcat '{}' | psql --quiet --set ON_ERROR_STOP=1 '{}'", dump.display(), server.url());
        run(std::process::Command::new("bash").args(["-o", "pipefail", "-c", &load]));
        let options = server.url().parse().unwrap();
        let pg = PgStore::open(options, 4).await.unwrap();
        let before = pg.case_page(None, 10).await.unwrap();
        let found = |name: &str| before.iter().find(|view| view.case.patient_name.0.reveal() == name).unwrap();
        let (sent, refused) = (&found("PHANTOM^77").case, &found("PHANTOM^78").case);
        assert_eq!((sent.state, refused.state), (CaseState::Sent, CaseState::Refused), "{}", dump.display());
        assert!(refused.reason.as_ref().unwrap().contains("2 slices are missing"));
        let structures = pg.structures_of(sent.id).await.unwrap();
        // A lens was not found in slices of 4 mm.
        assert_eq!((structures.len(), structures.iter().filter(|row| row.found).count()), (12, 11));
        let review = pg.latest_reviews(sent.id).await.unwrap().remove(0);
        assert_eq!((review.reviewer.as_str(), review.rating), ("A. B.", Rating::Minor));
        let deliveries = pg.delivery_progress(sent.id).await.unwrap();
        assert_eq!(deliveries.iter().map(|row| row.destination.as_str()).collect::<Vec<_>>(), ["pacs"]);
        let kept = async |case: &Case| pg.instances_of(&case.series_uid, case.revision).await.unwrap().len();
        assert_eq!((kept(sent).await, kept(refused).await), IMAGES);
        assert_eq!(server.sql("select count(*) from results"), ["2"]);
        let trail = pg.verify_audit(&[]).await.unwrap();
        assert!(trail.breaks.is_empty() && trail.lines > 10, "{trail:?}");

        // A slice that comes late opens the next revision of the old series; a new series is taken as complete.
        let late = NewInstance { arrival: arrival(&sent.series_uid), ..instance("1.2.1", 1, "late") };
        let Intake::Stored { revision: 2, .. } = pg.accept_instance(&late).await.unwrap() else {
            panic!("no second revision in {}", dump.display());
        };
        pg.accept_instance(&instance("1.2.2", 2, "new")).await.unwrap();
        assert_eq!(queue_silent(&pg, Duration::ZERO).await.len(), 2);
        assert_eq!(pg.case_count().await.unwrap(), 4);
        pg.close().await;
    }
}
