//! Hours of light, steady work: memory and open files stay flat, no request is stuck. Not part of `cargo test`;
//! `./run soak` runs it (docs/testing.md).

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(clippy::print_stdout, reason = "a campaign tells what it did")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/settings.rs"]
mod settings;

use std::time::{Duration, Instant};

use chain_client::RequestId;
use crew::Crew;
use customer::Customer;
use ground::Terms;
use settings::{now, setting};

const TERMS: Terms = Terms { block: Duration::from_secs(1), lifetime_blocks: 120, ..Terms::of(2, 3) };
/// From one request to the next.
const PAUSE: Duration = Duration::from_secs(4);
/// A key is asked for at every so-manyth request; else EdDSA and ECDSA signatures take turns.
const KEY_EVERY: u64 = 25;
/// What a flat process may grow by in an hour beside its store, which keeps what was written lately, and what it reads, in
/// memory within bounds of its own and tells how much.
const GROWTH_MIB_PER_HOUR: f64 = 4.0;
/// Table files that the store may open in an hour; it has bounds of its own for them, and merges them.
const FILES_PER_HOUR: f64 = 16.0;

/// One look at one process.
#[derive(Clone, Copy)]
struct Look {
    minutes: f64,
    memory_mib: f64,
    /// What of it the store says it holds.
    store_mib: f64,
    files: f64,
}

fn look(pid: u32, metrics: &str, began: Instant) -> Look {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a living process");
    let kib: f64 = resident.trim().trim_end_matches(" kB").trim().parse().unwrap();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let parts = metrics.lines().filter(|line| line.starts_with("keyring_store_memory_bytes{"));
    let parts: Vec<f64> = parts.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!(parts.len(), 3, "buffers, cache, readers");
    let store: f64 = parts.iter().sum();
    Look {
        minutes: began.elapsed().as_secs_f64() / 60.0,
        memory_mib: kib / 1024.0,
        store_mib: store / 1_048_576.0,
        files: files as f64,
    }
}

/// Growth per hour by least squares.
fn slope_per_hour(looks: &[Look], of: impl Fn(&Look) -> f64) -> f64 {
    let count = looks.len() as f64;
    let mean = |of: &dyn Fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (middle, level) = (mean(&|look| look.minutes), mean(&of));
    let together: f64 = looks.iter().map(|look| (look.minutes - middle) * (of(look) - level)).sum();
    let spread: f64 = looks.iter().map(|look| (look.minutes - middle).powi(2)).sum();
    if spread == 0.0 { 0.0 } else { 60.0 * together / spread }
}

fn sparkline(looks: &[Look], of: impl Fn(&Look) -> f64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values: Vec<f64> = looks.iter().map(of).collect();
    let (low, high) =
        values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
    let bar = |value: &f64| BARS[((value - low) / (high - low).max(1e-9) * 7.0).round() as usize];
    values.iter().map(bar).collect()
}

async fn ask(customer: &Customer, keys: &[RequestId], number: u64) -> Vec<RequestId> {
    let mut payload = vec![0xA5; 32];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    match number {
        _ if number.is_multiple_of(KEY_EVERY) => customer.ask_keys(&["ed25519"]).await,
        _ if number.is_multiple_of(2) => customer.ask_signatures(keys[0], &[payload]).await,
        _ => customer.ask_signatures(keys[1], &[payload]).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_files_stay_flat_and_no_request_is_stuck() {
    let minutes = setting("KEYRING_SOAK_MINUTES", 120);
    let length = Duration::from_secs(60 * minutes);
    println!("soak: {minutes} minutes, three processes, one request every {} s", PAUSE.as_secs());
    let mut crew = Crew::start(TERMS).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&keys).await;

    let began = now();
    let mut looks: Vec<Vec<Look>> = vec![Vec::new(); 3];
    let (mut asked, mut waiting) = (0_u64, Vec::new());
    println!("minute,party,resident_mib,store_mib,open_files");
    while began.elapsed() < length {
        let due = Duration::from_secs(60 * looks[0].len() as u64);
        if began.elapsed() >= due {
            for (party, looks) in looks.iter_mut().enumerate() {
                let look = look(crew.pid(party).expect("it runs"), &crew.metrics(party), began);
                println!("{:.1},{party},{:.1},{:.1},{}", look.minutes, look.memory_mib, look.store_mib, look.files);
                looks.push(look);
            }
        }
        asked += 1;
        waiting.extend(ask(&customer, &keys, asked).await);
        if waiting.len() >= 16 {
            // Whatever is older than the last few must have been answered by now, or will be at once.
            let old: Vec<RequestId> = waiting.drain(..8).collect();
            customer.all_fulfilled(&old).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    customer.all_fulfilled(&waiting).await;
    crew.until_settled().await;

    println!("{asked} requests, all answered, none stuck");
    println!(
        "party | resident MiB, first and last after warm-up | grows MiB/h beside the store | the store | files/h | memory over time"
    );
    let mut steep = Vec::new();
    for (party, looks) in looks.iter().enumerate() {
        // The first quarter warms up: caches, stock, the first buffers.
        let warm = &looks[looks.len() / 4..];
        let (first, last) = (warm[0], warm[warm.len() - 1]);
        let spark = sparkline(looks, |look| look.memory_mib);
        let store = slope_per_hour(warm, |look| look.store_mib);
        let beside = slope_per_hour(warm, |look| look.memory_mib - look.store_mib);
        let files = slope_per_hour(warm, |look| look.files);
        let (resident, held) = (first.memory_mib, last.memory_mib);
        println!("{party} | {resident:.1} .. {held:.1} | {beside:+.1} | {store:+.1} | {files:+.1} | {spark}");
        if beside > GROWTH_MIB_PER_HOUR {
            steep.push(format!("party {party} grows by {beside:.1} MiB an hour, at most {GROWTH_MIB_PER_HOUR:.1}"));
        }
        if files > FILES_PER_HOUR {
            steep.push(format!("party {party} opens {files:.1} files an hour, at most {FILES_PER_HOUR:.1}"));
        }
    }
    assert!(steep.is_empty(), "{steep:?}");
    crew.stop().await;
}

#[test]
fn the_slope_of_a_line_is_its_slope() {
    let looks: Vec<Look> = (0..60)
        .map(|m| Look { minutes: f64::from(m), memory_mib: 100.0 + f64::from(m) / 10.0, store_mib: 1.0, files: 3.0 })
        .collect();
    assert!((slope_per_hour(&looks, |look| look.memory_mib) - 6.0).abs() < 1e-6);
    assert!(slope_per_hour(&looks, |look| look.files).abs() < 1e-9);
    assert_eq!(sparkline(&looks[..8], |look| look.memory_mib), "▁▂▃▄▅▆▇█");
}
