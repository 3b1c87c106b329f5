//! The cluster bench: how long a user waits, what the time is spent on, how many answers a cluster gives in a second. Not
//! part of `cargo test`; `./run bench cluster` runs it with a release build of the program (docs/testing.md).

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(clippy::print_stdout, reason = "a bench tells what it measured")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/settings.rs"]
mod settings;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use chain_client::RequestId;
use crew::Crew;
use customer::Customer;
use devnet::server::ChainHandle;
use ground::{CHAIN, Terms};
use humantime_serde::re::humantime;
use settings::{now, setting};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Key,
    Eddsa,
    Ecdsa,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Key, Self::Eddsa, Self::Ecdsa];

    const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Eddsa => "EdDSA signature",
            Self::Ecdsa => "ECDSA signature",
        }
    }

    /// Asks for so many at once.
    async fn ask(self, customer: &Customer, keys: &[RequestId], first: u64, count: u64) -> Vec<RequestId> {
        let payloads: Vec<Vec<u8>> = (first..first + count)
            .map(|number| {
                let mut payload = vec![0x5A; 32];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                payload
            })
            .collect();
        match self {
            Self::Key => customer.ask_keys(&vec!["ed25519"; payloads.len()]).await,
            Self::Eddsa => customer.ask_signatures(keys[1], &payloads).await,
            Self::Ecdsa => customer.ask_signatures(keys[0], &payloads).await,
        }
    }
}

/// Where the time of one answer went, in milliseconds, at the party that was first to broadcast it.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// From the block that showed the request until the answer reached the chain's node.
    total: f64,
    /// Until the party had read it, and from the decision until the answer had left: polling, account reads, signing.
    chain: f64,
    /// Computed by the party's own runs.
    crypto: f64,
    /// Synced writes of the party's own journal, before the decision.
    disk: f64,
    /// The rest: frames on their way, and what peers computed and wrote meanwhile.
    peers: f64,
}

#[allow(clippy::disallowed_methods, reason = "compared with the dates in logs of this machine")]
fn date() -> SystemTime {
    SystemTime::now()
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// When each block was committed, as seen here.
async fn dates_of_blocks(chain: ChainHandle, dates: std::sync::Arc<std::sync::Mutex<BTreeMap<u64, SystemTime>>>) {
    let mut blocks = chain.subscribe();
    while let Ok(block) = blocks.recv().await {
        dates.lock().unwrap().insert(block.height, date());
    }
}

/// Lines of the timing room in a party's log: when, what, microseconds.
fn timings(log: &str) -> Vec<(SystemTime, &str, f64)> {
    let line = |line: &'_ str| -> Option<(SystemTime, &'static str, f64)> {
        let (_, told) = line.split_once("keyring::timing: ")?;
        let what = if told.contains("written") { "written" } else { "computed" };
        let us = told.split("us=").nth(1)?.split(' ').next()?.parse::<f64>().ok()?;
        Some((humantime::parse_rfc3339(line.split(' ').next()?).ok()?, what, us))
    };
    log.lines().filter_map(line).collect()
}

/// One request alone: where its time went.
async fn one(
    crew: &Crew,
    customer: &Customer,
    keys: &[RequestId],
    kind: Kind,
    number: u64,
    dates: &std::sync::Mutex<BTreeMap<u64, SystemTime>>,
) -> Spent {
    let chain = crew.devnet.handle();
    let watching = chain.clone();
    let before = chain.height();
    let asked = kind.ask(customer, keys, number, 1);
    // The user's own transaction waits first; the next one that waits after its block is an answer.
    let answer = async move {
        let mut user_was_seen = false;
        let mut since = before;
        loop {
            let view = watching.view();
            match (view.waiting(), user_was_seen) {
                (1.., false) => (user_was_seen, since) = (true, view.height()),
                (1.., true) if view.height() > since => return date(),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let (asked, answered_at) = tokio::join!(asked, answer);
    let id = asked[0];
    customer.all_fulfilled(&asked).await;
    let created = customer.look(id).await.deadline.expect("it has one").0 - crew.terms.lifetime_blocks;
    let shown_at = dates.lock().unwrap()[&created];
    let kind_word = if matches!(kind, Kind::Key) { "key" } else { "signature" };
    let name = format!("{CHAIN}/{kind_word}/{}", id.number);
    let mut first: Option<(u64, u64, usize)> = None;
    for party in 0..usize::from(crew.terms.of) {
        let Some(known) = crew.why(party, &name).await else { continue };
        if let (Some(broadcast), Some(decided)) = (known.broadcast_after_ms, known.decided_after_ms)
            && first.is_none_or(|(other, ..)| broadcast < other)
        {
            first = Some((broadcast, decided, party));
        }
    }
    let (broadcast, decided, party) = first.expect("somebody has answered");
    let (broadcast, decided) = (broadcast as f64, decided as f64);
    let total = milliseconds(shown_at, answered_at);
    let log = crew.log_text(party);
    let decided_at = answered_at - Duration::from_secs_f64(((broadcast - decided) / 1_000.0).max(0.0));
    let sum = |what: &str| -> f64 {
        let within =
            timings(&log).into_iter().filter(|(at, is, _)| *is == what && *at >= shown_at && *at <= decided_at);
        within.map(|(_, _, us)| us / 1_000.0).sum()
    };
    let (crypto, disk) = (sum("computed"), sum("written"));
    let chain = (total - decided).max(0.0);
    Spent { total, chain, crypto, disk, peers: (total - chain - crypto - disk).max(0.0) }
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let place = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}

async fn measure(need: u16, of: u16) {
    let (alone, burst) = (setting("KEYRING_BENCH_ALONE", 20), setting("KEYRING_BENCH_BURST", 12));
    let level = "info,keyring::timing=debug";
    let keys_per_lane = 8;
    let mut crew =
        Crew::start(Terms { keys_per_lane, lifetime_blocks: 600, log_level: level, ..Terms::of(need, of) }).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&keys).await;
    let dates = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::new()));
    let mut watch = tokio::task::JoinSet::new();
    watch.spawn(dates_of_blocks(crew.devnet.handle(), dates.clone()));
    println!(
        "\n{need} of {of}, blocks of {} ms, {alone} requests one by one, then {burst} at once",
        crew.terms.block.as_millis()
    );
    println!(
        "{:<16} {:>7} {:>7} {:>7} ms | {:>6} {:>6} {:>6} {:>6} | {:>9} {:>15}",
        "", "p50", "p95", "p99", "crypto", "disk", "peers", "chain", "answers/s", "CPU ms/answer"
    );
    let mut number = 0;
    for kind in Kind::ALL {
        let mut all = Vec::new();
        for _ in 0..alone {
            crew.until_stocked().await;
            crew.until_settled().await;
            number += 1;
            all.push(one(&crew, &customer, &keys, kind, number, &dates).await);
        }
        crew.until_stocked().await;
        crew.until_settled().await;
        let parties = 0..usize::from(of);
        let cpu = |crew: &Crew| parties.clone().map(|party| crew.cpu_seconds(party)).sum::<f64>();
        let used = cpu(&crew);
        let asked = kind.ask(&customer, &keys, number + 1, burst).await;
        let began = now();
        customer.all_fulfilled(&asked).await;
        let took = began.elapsed().as_secs_f64();
        number += burst;
        crew.until_settled().await;
        let cpu_ms = (cpu(&crew) - used) * 1_000.0 / burst as f64;
        let mut totals: Vec<f64> = all.iter().map(|spent| spent.total).collect();
        totals.sort_by(f64::total_cmp);
        let whole: f64 = totals.iter().sum();
        let share = |of: fn(&Spent) -> f64| (100.0 * all.iter().map(of).sum::<f64>() / whole).abs();
        println!(
            "{:<16} {:>7.0} {:>7.0} {:>7.0}    | {:>5.0}% {:>5.0}% {:>5.0}% {:>5.0}% | {:>9.2} {:>15.0}",
            kind.word(),
            percentile(&totals, 50.0),
            percentile(&totals, 95.0),
            percentile(&totals, 99.0),
            share(|spent| spent.crypto),
            share(|spent| spent.disk),
            share(|spent| spent.peers),
            share(|spent| spent.chain),
            burst as f64 / took,
            cpu_ms
        );
    }
    drop(watch);
    crew.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_and_one_of_five() {
    println!("program: {}", crew::program().display());
    measure(2, 3).await;
    measure(3, 5).await;
}
