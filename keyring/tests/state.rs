//! What daemons say of themselves over real HTTP: alive, ready, why not, and how much they did. Never a secret.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/customer.rs"]
mod customer;
#[path = "support/exposition.rs"]
mod exposition;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/log.rs"]
mod log;

use std::time::Duration;

use customer::Customer;
use devnet::faults::Times;
use exposition::Exposition;
use fleet::Fleet;
use ground::CHAIN;
use hyper_util::rt::TokioIo;
use keyring::store::Table;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const PATIENCE: Duration = Duration::from_secs(90);

/// Status and body.
async fn get(fleet: &Fleet, party: usize, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(fleet.monitoring(party)).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn metrics(fleet: &Fleet, party: usize) -> Exposition {
    let (status, body) = get(fleet, party, "/metrics").await;
    assert_eq!(status, 200);
    Exposition::parse(&body).unwrap_or_else(|wrong| panic!("{wrong}\n{body}"))
}

/// Waits until a path answers with this status and gives what it said; panics with its last words.
async fn until(fleet: &Fleet, party: usize, path: &str, status: u16) -> String {
    let mut said = String::new();
    let patience = async {
        loop {
            let (found, body) = get(fleet, party, path).await;
            if found == status {
                return body;
            }
            said = body;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let answered = tokio::time::timeout(PATIENCE, patience).await;
    answered.unwrap_or_else(|_| panic!("party {party}: {path} never gave {status}; last: {said}"))
}

/// Waits until gRPC's health service on the admin socket says so.
async fn until_health(fleet: &Fleet, party: usize, serving: bool) {
    let socket = fleet.party_folder(party).join("data").join("admin.sock");
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
    });
    let channel = Endpoint::from_static("http://admin.invalid").connect_with_connector(connector).await.unwrap();
    let mut health = HealthClient::new(channel);
    let patience = async {
        loop {
            let status = health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status();
            if (status == ServingStatus::Serving) == serving {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let said = tokio::time::timeout(PATIENCE, patience).await;
    said.unwrap_or_else(|_| panic!("party {party}: gRPC health never says serving = {serving}"));
}

async fn names(fleet: &Fleet, party: usize) -> Vec<String> {
    let (_, body) = get(fleet, party, "/readyz?format=json").await;
    let body: Value = serde_json::from_str(&body).unwrap();
    body["reasons"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn stage(shown: &Exposition, kind: &str, stage: &str) -> f64 {
    shown.value("keyring_request_stages_total", &[("chain", CHAIN), ("kind", kind), ("stage", stage)]).unwrap_or(0.0)
}

/// Everything that this party must never tell: account key, seed, store key, and every secret part of its stored shares.
async fn secrets(fleet: &Fleet, party: usize) -> Vec<Vec<u8>> {
    let files = ["account", "identity", "store.key"].map(|name| fleet.party_folder(party).join(name));
    let mut secrets: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(secrets.iter().all(|secret| secret.len() == 32));
    let inbox = fleet.running(party).inbox();
    let shares = inbox.look(|_, store| {
        let shares = store.scan(Table::Share, b"", None, 100).unwrap();
        let public = |id: &[u8]| store.read(Table::Key, id).unwrap().unwrap().to_vec();
        shares.into_iter().map(|(id, share)| (public(&id), share.to_vec())).collect::<Vec<_>>()
    });
    let shares = shares.await.unwrap();
    assert!(!shares.is_empty(), "party {party} holds shares");
    for (public, share) in shares {
        let known: std::collections::BTreeSet<&[u8]> = public.windows(16).collect();
        let own: Vec<_> = share.windows(16).filter(|part| !known.contains(part)).map(<[u8]>::to_vec).collect();
        assert!(own.len() >= 17, "a share holds 32 bytes that its public record does not");
        secrets.extend(own);
    }
    secrets
}

/// The first secret that these words tell, in hexadecimal or as a list of numbers.
fn secret_in(told: &str, secrets: &[Vec<u8>]) -> Option<String> {
    let told = told.to_ascii_lowercase();
    let forms = secrets.iter().flat_map(|secret| {
        let listed = format!("{secret:?}");
        [hex::encode(secret), listed.trim_matches(['[', ']']).to_owned()]
    });
    forms.into_iter().find(|form| told.contains(form))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_say_whether_they_contribute_and_count_what_they_did() {
    let log = log::keep();
    let mut fleet = Fleet::start(2, 3, Duration::from_millis(500), 240, true).await;
    for party in 0..3 {
        let said = until(&fleet, party, "/readyz", 200).await;
        assert!(said.starts_with("ready\n"), "{said}");
        assert_eq!(get(&fleet, party, "/livez").await.0, 200);
    }
    fleet.until("shelf", |node| node.free_keys().count() >= 12).await;

    // The funnel counts what was asked.
    let customer = Customer::of(&fleet).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&keys).await;
    let mut asked = customer.ask_signatures(keys[0], &[vec![1; 32], vec![2; 32]]).await;
    asked.extend(customer.ask_signatures(keys[1], &[b"a message".to_vec()]).await);
    customer.all_fulfilled(&asked).await;
    let mut submitted = 0.0;
    for party in 0..3 {
        let shown = settled(&fleet, party, 2.0, 3.0).await;
        for (kind, asked) in [("key", 2.0), ("signature", 3.0)] {
            for reached in ["seen", "admitted", "decided", "settled"] {
                assert_eq!(stage(&shown, kind, reached), asked, "party {party}: {kind} {reached}");
            }
            for never in ["resumed", "unanswerable", "expired", "moot"] {
                assert_eq!(stage(&shown, kind, never), 0.0, "party {party}: {kind} {never}");
            }
            let labels = [("chain", CHAIN), ("kind", kind)];
            assert_eq!(shown.value("keyring_decision_seconds_count", &labels), Some(asked));
            let mine = stage(&shown, kind, "submitted");
            assert_eq!(shown.value("keyring_broadcast_seconds_count", &labels).unwrap_or(0.0), mine);
            submitted += mine;
        }
        // On a slow machine a node's reply may come too late: then nothing is known, and the answer lands all the same.
        let hint = |hint| shown.value("keyring_broadcasts_total", &[("chain", CHAIN), ("hint", hint)]).unwrap();
        let told: f64 = ["taken", "known", "refused", "unknown"].map(hint).iter().sum();
        let mine = stage(&shown, "key", "submitted") + stage(&shown, "signature", "submitted");
        assert!(told >= mine, "party {party}: {mine} were broadcast, something was said of {told}");
        assert_eq!(shown.value("keyring_peer_up", &[("peer", &format!("party-{}", (party + 1) % 3))]), Some(1.0));
        assert!(shown.value("keyring_chain_height", &[("chain", CHAIN)]).unwrap() > 3.0);
        assert!(shown.value("keyring_journal_write_seconds_count", &[]).unwrap() > 10.0);
        assert_eq!(shown.value("keyring_notes_total", &[("level", "alarm")]), Some(0.0));
        until_shown(&fleet, party, "keyring_ready", 1.0).await;
        assert!(shown.value("process_resident_memory_bytes", &[]).unwrap() > 1e6);
    }
    assert!((10.0..=15.0).contains(&submitted), "two answers fulfil each of five requests: {submitted}");

    // A thread that hangs is not alive, whatever the process does.
    let inbox = fleet.running(0).inbox();
    let (hang, release) = std::sync::mpsc::sync_channel::<()>(0);
    let hung = inbox.look(move |_, _| release.recv());
    let probed = async {
        let (status, said) = get(&fleet, 0, "/livez").await;
        assert_eq!(status, 503, "{said}");
        assert!(names(&fleet, 0).await.contains(&"node_stuck".to_owned()));
        let shown = metrics(&fleet, 0).await;
        assert_eq!(shown.value("keyring_not_ready", &[("reason", "node_stuck")]), Some(1.0));
        assert_eq!(
            shown.value("keyring_chain_height", &[("chain", CHAIN)]),
            None,
            "an old height would look like health"
        );
        until_health(&fleet, 0, false).await;
        hang.send(()).unwrap();
    };
    let (_hung, ()) = tokio::join!(hung, probed);
    until(&fleet, 0, "/livez", 200).await;
    until(&fleet, 0, "/readyz", 200).await;
    until_health(&fleet, 0, true).await;

    // Fewer than t: not ready, and it says who is missing.
    let mut secret = Vec::new();
    let mut told = String::new();
    for party in 0..3 {
        secret.extend(secrets(&fleet, party).await);
        told += &get(&fleet, party, "/metrics").await.1;
    }
    fleet.stop_party(1).await;
    let degraded = until_says(&fleet, 0, "degraded peers_absent").await;
    assert!(degraded.contains("absent: party-1;"), "{degraded}");
    until(&fleet, 0, "/readyz", 200).await;
    fleet.stop_party(2).await;
    let said = until_says(&fleet, 0, "too_few_to_sign: 1 of 2 ").await;
    assert_eq!(get(&fleet, 0, "/readyz").await.0, 503);
    let first = said.lines().next().unwrap();
    assert!(first.starts_with("too_few_to_sign: 1 of 2 ") && first.contains("party-1, party-2"), "{said}");
    assert!(names(&fleet, 0).await.starts_with(&["too_few_to_sign", "too_few_for_agreement"].map(str::to_owned)));
    assert_eq!(get(&fleet, 0, "/livez").await.0, 200, "a restart would help nobody");
    let shown = metrics(&fleet, 0).await;
    assert_eq!(shown.value("keyring_not_ready", &[("reason", "too_few_to_sign")]), Some(1.0));
    assert_eq!(shown.value("keyring_ready", &[]), Some(0.0));
    assert_eq!(shown.value("keyring_peer_up", &[("peer", "party-2")]), Some(0.0));
    until_health(&fleet, 0, false).await;
    told += &said;

    fleet.start_party(1).await;
    fleet.start_party(2).await;
    for party in 0..3 {
        until(&fleet, party, "/readyz", 200).await;
    }

    // A chain whose node does not answer was read too long ago to look healthy.
    let endpoint = &fleet.devnet.endpoints()[0];
    endpoint.faults.change(|faults| faults.fail_reads = Times::Always);
    let stale = until_says(&fleet, 0, "chain_stale: ").await;
    assert_eq!(get(&fleet, 0, "/readyz").await.0, 503);
    told += &stale;
    let (_, shown) = get(&fleet, 0, "/metrics").await;
    let read = Exposition::parse(&shown).unwrap();
    assert!(read.value("keyring_chain_read_age_seconds", &[("chain", CHAIN)]).unwrap() > 5.0);
    assert!(read.value("keyring_endpoint_failures", &[("chain", CHAIN), ("endpoint", &endpoint.url())]).unwrap() > 0.0);
    told += &shown;
    endpoint.faults.clear();
    until(&fleet, 0, "/readyz", 200).await;

    for planted in [format!("x{}y", hex::encode_upper(&secret[40])), format!("Key({:?})", secret[0])] {
        assert!(secret_in(&planted, &secret).is_some(), "a secret would be found: {planted}");
    }
    assert_eq!(secret_in(&told, &secret), None, "over HTTP");
    let log = log.words();
    assert!(log.contains("admitted") && log.len() > 10_000, "the log was kept");
    assert_eq!(secret_in(&log, &secret), None, "in the log");
    fleet.stop().await;
}

/// Waits until so many keys and signatures have settled at this party.
async fn settled(fleet: &Fleet, party: usize, keys: f64, signatures: f64) -> Exposition {
    let patience = async {
        loop {
            let shown = metrics(fleet, party).await;
            if stage(&shown, "key", "settled") >= keys && stage(&shown, "signature", "settled") >= signatures {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, patience).await;
    settled.unwrap_or_else(|_| panic!("party {party}: {keys} keys and {signatures} signatures never settled"))
}

/// Waits until a metric without labels stands at this.
async fn until_shown(fleet: &Fleet, party: usize, name: &str, value: f64) {
    let patience = async {
        while metrics(fleet, party).await.value(name, &[]) != Some(value) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let shown = tokio::time::timeout(PATIENCE, patience).await;
    shown.unwrap_or_else(|_| panic!("party {party}: {name} is never {value}"));
}

/// Waits until `/readyz` has a line that begins so, whatever its status.
async fn until_says(fleet: &Fleet, party: usize, words: &str) -> String {
    let patience = async {
        loop {
            let (_, body) = get(fleet, party, "/readyz").await;
            if body.lines().any(|line| line.starts_with(words)) {
                return body;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.unwrap_or_else(|_| panic!("party {party} never says {words}"))
}
