//! Hostile peers in numbers, against a server in a process of its own: its memory stays flat, and honest senders are
//! served meanwhile and afterwards.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contourd::dicom::net::{Doors, Inbox, Received, ScpConfig, StoreVerdict, serve};
use dicom_dictionary_std::uids;
use dicom_ul::pdu::{PDataValueType, Pdu};
use tokio_util::sync::CancellationToken;

use super::peers::peer;
use super::raw::*;
use super::support::{SAMPLES, echoscu, memory, storescu};

/// What a server may grow by under any siege: its limits leave room for more only when data sets are really sent.
const FLAT_KIB: u64 = 48 * 1024;

/// A server in a process of its own; it ends when this is dropped.
struct Fortress {
    child: Child,
    port: u16,
    /// Closed, it asks the server to end.
    _stdin: ChildStdin,
}

impl Fortress {
    fn start(settings: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "net::siege::the_server_of_the_other_tests", "--ignored", "--nocapture"])
            .env("FORTRESS", settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("port ").map(str::to_owned));
        let port = port.expect("the server did not start").parse().unwrap();
        let stdin = child.stdin.take().unwrap();
        Self { child, port, _stdin: stdin }
    }

    fn memory(&self, figure: &str) -> u64 {
        memory(self.child.id(), figure)
    }

    /// Sends slices by `storescu`; all must be taken. How long it took.
    async fn honest_slices(&self, count: &str) -> Duration {
        let begin = Instant::now();
        let args = ["-aet", "HONEST", "+II", "--repeat", count];
        let (ok, said) = storescu(self.port, &args, &[SAMPLES.file("explicit")]).await;
        assert!(ok, "{said}");
        assert_eq!(
            said.matches("Received Store Response (Success)").count(),
            count.parse::<usize>().unwrap(),
            "{said}"
        );
        begin.elapsed()
    }
}

impl Drop for Fortress {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Takes everything and keeps nothing.
struct Sink;

impl Inbox for Sink {
    async fn store(&self, _: Received) -> StoreVerdict {
        StoreVerdict::Stored
    }
}

#[test]
#[ignore = "not a test of its own: the others start it"]
fn the_server_of_the_other_tests() {
    let settings = std::env::var("FORTRESS").expect("started by another test");
    let mut config: ScpConfig = toml::from_str(&settings).unwrap();
    config.listen = ([127, 0, 0, 1], 0).into();
    config.peers = vec![
        peer("name = 'honest'\nae_title = 'HONEST'\nfrom = ['127.0.0.1']"),
        peer("name = 'hostile'\nae_title = 'TESTER'\nfrom = ['127.0.0.0/8']"),
    ];
    assert_eq!([config.faults(), config.peer_faults()].concat(), Vec::<String>::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let doors = Doors::open(&config).await.unwrap();
        let port = doors.addresses().0.unwrap().port();
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(serve(doors, config, Arc::new(Sink), shutdown.clone()));
        println!("\nport {port}");
        std::io::stdout().flush().unwrap();
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
        shutdown.cancel();
        ended.await.unwrap();
    });
}

/// A thousand connections that never ask, from twenty addresses, each opened anew when it is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_keep_nobody_out() {
    let fortress = Fortress::start("");
    fortress.honest_slices("1").await;
    let calm = fortress.honest_slices("50").await;
    let before = fortress.memory("VmRSS");
    let opened = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let whole = encoded(&association_request("TESTER"));
    let mut crowd = tokio::task::JoinSet::new();
    for n in 0..1000_usize {
        let (opened, port) = (Arc::clone(&opened), fortress.port);
        // Silent, half a header, half a request, and something else.
        let said = [&[][..], &whole[..3], &whole[..70], b"GET / HTTP/1.1\r\n"][n % 4].to_vec();
        crowd.spawn(async move {
            let from = format!("127.0.0.{}", 2 + n % 20);
            loop {
                let mut raw = Raw::from(&from, port).await;
                opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let _ = raw.try_send(&said).await;
                while raw.receive().await.is_some() {}
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    while opened.load(std::sync::atomic::Ordering::Relaxed) < 1000 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let besieged = fortress.honest_slices("50").await;
    let (ok, said) = echoscu(fortress.port, &["-aet", "HONEST", "-aec", "CONTOURD"]).await;
    assert!(ok, "{said}");
    let (peak, opened) = (fortress.memory("VmHWM"), opened.load(std::sync::atomic::Ordering::Relaxed));
    crowd.shutdown().await;
    println!(
        "50 slices: {calm:?} in calm, {besieged:?} beside {opened} half-open connections ({:.1} times); \
         memory {before} KiB, at most {peak} KiB",
        besieged.as_secs_f64() / calm.as_secs_f64()
    );
    assert!(peak < before + FLAT_KIB, "from {before} to {peak} KiB");
    fortress.honest_slices("1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_lengths_cost_no_memory() {
    let fortress = Fortress::start("max_associations = 64");
    fortress.honest_slices("1").await;
    let before = fortress.memory("VmRSS");
    let huge = [0xff, 0xff, 0xff, 0xff];
    let almost = [0xff, 0xff, 0xff, 0xf0];
    let mut held = Vec::new();
    for _ in 0..20 {
        for (kind, associated) in [(1u8, false), (2, false), (4, true), (5, true), (0x77, true)] {
            let mut raw =
                if associated { Raw::associate(fortress.port).await } else { Raw::connect(fortress.port).await };
            raw.send_bytes(&[[kind, 0].as_slice(), &huge].concat()).await;
            raw.expect_abort("a PDU of 4 GiB").await;
        }
        let mut raw = Raw::associate(fortress.port).await;
        raw.send_bytes(&[[4, 0, 0, 0, 0, 8].as_slice(), &almost, &[MR_CONTEXT, 3, 0, 0]].concat()).await;
        raw.expect_abort("a value of 4 GiB").await;
        let mut raw = Raw::associate(fortress.port).await;
        raw.send(&command_pdu(MR_CONTEXT, &[[0, 0, 2, 0].as_slice(), &huge, b"1"].concat())).await;
        raw.expect_abort("a command element of 4 GiB").await;
        // The longest PDU that is let in, of which nothing comes.
        let mut raw = Raw::associate(fortress.port).await;
        raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
        raw.send_bytes(&[4, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xfc, MR_CONTEXT, 0]).await;
        held.push(raw);
    }
    let peak = fortress.memory("VmHWM");
    println!("memory {before} KiB, at most {peak} KiB, with {} associations that declared 128 KiB each", held.len());
    assert!(peak < before + FLAT_KIB, "from {before} to {peak} KiB");
    drop(held);
    fortress.honest_slices("3").await;
}

/// Thirty data sets of 16 MiB without an end, where there is memory for 64 MiB: what does not fit is answered with A700,
/// and the rest of it is read and dropped.
#[tokio::test(flavor = "multi_thread")]
async fn many_large_data_sets_have_a_bound_together() {
    const EACH: usize = 16 << 20;
    let fortress = Fortress::start("max_associations = 64\nmax_object_mebibytes = 32\nmax_memory_mebibytes = 64");
    fortress.honest_slices("1").await;
    let before = fortress.memory("VmRSS");
    let mut peers = Vec::new();
    for _ in 0..30 {
        let mut raw = Raw::associate(fortress.port).await;
        raw.send(&command_pdu(MR_CONTEXT, &store(1, "1.2.3"))).await;
        peers.push(raw);
    }
    let piece = encoded(&Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, false, &[7; 64 << 10])] });
    for _ in 0..EACH / (64 << 10) {
        for raw in &mut peers {
            raw.send_bytes(&piece).await;
        }
    }
    let peak = fortress.memory("VmHWM");
    let mut statuses = Vec::new();
    for mut raw in peers {
        raw.send(&Pdu::PData { data: vec![value(MR_CONTEXT, PDataValueType::Data, true, &[])] }).await;
        statuses.push(raw.response().await.status());
        raw.release().await;
    }
    let refused = statuses.iter().filter(|status| **status == 0xA700).count();
    assert_eq!(statuses.iter().filter(|status| **status == 0).count() + refused, 30, "{statuses:04x?}");
    println!("30 data sets of 16 MiB, {refused} refused; memory {before} KiB, at most {peak} KiB");
    assert!(refused >= 26, "64 MiB hold at most four of them: {statuses:04x?}");
    assert!(peak < before + (64 << 10) + FLAT_KIB, "from {before} to {peak} KiB");
    fortress.honest_slices("3").await;
}

/// What a name must not be becomes no path: not as an instance, not as a class, not as a syntax, not as a title.
#[tokio::test(flavor = "multi_thread")]
async fn names_like_paths_are_refused() {
    let fortress = Fortress::start("");
    let paths =
        ["../../etc/passwd", "/", "/etc/passwd", "..", ".", "1.2/3", "1.2\\3", "1..2", "1.2.\0.3", "1.2\n3", "%2e%2e"];
    let (long, empty) = ("1".repeat(65), "");
    let mut raw = Raw::associate(fortress.port).await;
    for (id, uid) in (1..).zip(paths.into_iter().chain([long.as_str(), empty])) {
        raw.send(&command_pdu(MR_CONTEXT, &store(id, uid))).await;
        raw.send(&data_pdu(MR_CONTEXT, &[8, 0, 5, 0, 0, 0, 0, 0])).await;
        let response = raw.response().await;
        assert_eq!((response.status(), response.answers()), (0x0117, id), "{uid:?}");
        raw.send(&command_pdu(MR_CONTEXT, &request(C_STORE, id, uid, Some("1.2.3"), true))).await;
        raw.send(&data_pdu(MR_CONTEXT, &[8, 0, 5, 0, 0, 0, 0, 0])).await;
        assert_eq!(raw.response().await.status(), 0x0122, "{uid:?} as a class");
    }
    raw.release().await;
    for uid in paths {
        let mut raw = Raw::connect(fortress.port).await;
        raw.send(&proposal("TESTER", vec![context(1, uid, &[IMPLICIT]), context(3, uids::MR_IMAGE_STORAGE, &[uid])]))
            .await;
        let Some(Pdu::AssociationAC(answer)) = raw.receive().await else { panic!("{uid:?}: no answer") };
        use dicom_ul::pdu::PresentationContextResultReason as Reason;
        let told: Vec<_> = answer.presentation_contexts.into_iter().map(|c| c.reason).collect();
        assert_eq!(told, [Reason::AbstractSyntaxNotSupported, Reason::TransferSyntaxesNotSupported], "{uid:?}");
        let mut raw = Raw::connect(fortress.port).await;
        raw.send(&proposal(uid, vec![context(1, uids::VERIFICATION, &[IMPLICIT])])).await;
        assert!(matches!(raw.receive().await, Some(Pdu::AssociationRJ(_))), "{uid:?} as a title");
    }
    fortress.honest_slices("1").await;
}
