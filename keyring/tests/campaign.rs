//! Processes that are killed. Five of them, three sign; in each round a user asks for everything at once, and in the middle
//! of it two processes are killed without warning and started again. Every request is answered, once, in time.
//!
//! Five rounds in every test run; more with `KEYRING_ROUNDS=50`, others with `KEYRING_SEED=7` (docs/testing.md).

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(clippy::print_stdout, reason = "a campaign tells what it did")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/bystanders.rs"]
mod bystanders;
#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/settings.rs"]
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bystanders::Bystanders;
use chain_client::{RequestId, Status};
use crew::Crew;
use customer::Customer;
use devnet::server::ChainHandle;
use ground::{CHAIN, Terms, party_address, randomness, unlock};
use keyring::outbox::Outbox;
use keyring::store::RocksStore;
use rand::Rng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use settings::{now, setting};

/// Requests live 180 blocks. How long a block takes is set by how fast this machine is ([`Blocks`]).
const TERMS: Terms = Terms { lifetime_blocks: 180, keys_per_lane: 3, ..Terms::of(3, 5) };
/// Until it is known how fast this machine is.
const FIRST_PACE: Duration = Duration::from_secs(1);
/// A process that was killed acts again only when its former self has been silent for a lease, and after its start.
const LEASE_AND_START: Duration = Duration::from_secs(15);

/// Rounds after which an honest one is measured again: others may use the machine too.
const MEASURED_EVERY: u64 = 10;

/// The chain's blocks, made by the campaign at its own pace.
struct Blocks {
    pace_ms: Arc<AtomicU64>,
    _maker: tokio::task::JoinSet<()>,
}

impl Blocks {
    fn of(chain: ChainHandle) -> Self {
        let pace_ms = Arc::new(AtomicU64::new(millis(FIRST_PACE)));
        let (pace, mut maker) = (pace_ms.clone(), tokio::task::JoinSet::new());
        maker.spawn(async move {
            chain.halt();
            loop {
                tokio::time::sleep(Duration::from_millis(pace.load(Ordering::Relaxed))).await;
                chain.make_block_now().expect("nothing stalls the chain");
            }
        });
        Self { pace_ms, _maker: maker }
    }

    /// Blocks such that an honest round fits three times into the life of a request, and a lease. How long that life is.
    fn fit(&self, honest: Duration) -> Duration {
        let lifetime = honest * 3 + LEASE_AND_START;
        let pace = millis(lifetime).div_ceil(TERMS.lifetime_blocks);
        self.pace_ms.store(pace, Ordering::Relaxed);
        Duration::from_millis(pace * TERMS.lifetime_blocks)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

/// Keys that signatures are asked of, one of each type.
struct Keys {
    ecdsa: RequestId,
    eddsa: RequestId,
    bitcoin: RequestId,
}

/// A key of every type, three ECDSA signatures, an EdDSA signature, and a Bitcoin transaction of two inputs.
async fn ask_for_everything(customer: &Customer, keys: &Keys, round: u64) -> Vec<RequestId> {
    let payload = |item: u8| {
        let mut payload = vec![item; 32];
        payload[..8].copy_from_slice(&round.to_be_bytes());
        payload
    };
    let mut asked = customer.ask_keys(&["ecdsa", "ed25519", "bitcoin"]).await;
    asked.extend(customer.ask_signatures(keys.ecdsa, &[payload(1), payload(2), payload(3)]).await);
    asked.extend(customer.ask_signatures(keys.eddsa, &[payload(4)]).await);
    asked.extend(customer.ask_bitcoin(keys.bitcoin).await);
    asked
}

/// A round without accidents: how long it takes.
async fn honest_round(crew: &mut Crew, customer: &Customer, keys: &Keys) -> Duration {
    let began = now();
    let asked = ask_for_everything(customer, keys, 0).await;
    customer.all_fulfilled(&asked).await;
    let took = began.elapsed();
    crew.until_settled().await;
    took
}

/// What each party knows of requests that were not answered, and what its log says of them.
async fn tell_why(crew: &Crew, ids: &[RequestId]) {
    for party in 0..usize::from(TERMS.of) {
        for id in ids {
            let name = format!("{CHAIN}/{}", id.to_string().replace('-', "/"));
            println!("--- party {party}, {name}: {:?}", crew.why(party, &name).await);
            let text = crew.log_text(party);
            let about = text.lines().filter(|line| line.contains(&name) || line.contains("may act"));
            about.for_each(|line| println!("    {line}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_are_killed_in_every_round_and_every_request_is_answered_once() {
    let (rounds, seed) = (setting("KEYRING_ROUNDS", 5), setting("KEYRING_SEED", 1));
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    println!("kill campaign: {rounds} rounds, KEYRING_SEED={seed}");
    let mut crew = Crew::start(TERMS).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let made = customer.ask_keys(&["ecdsa", "ed25519", "bitcoin"]).await;
    customer.all_fulfilled(&made).await;
    let keys = Keys { ecdsa: made[0], eddsa: made[1], bitcoin: made[2] };
    crew.until_stocked().await;
    let blocks = Blocks::of(crew.devnet.handle());
    let (mut honest, mut lifetime) = (Duration::ZERO, Duration::ZERO);
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    let (mut round, mut disturbed, mut measured_at) = (1, 0, None);
    while round <= rounds {
        crew.until_stocked().await;
        if measured_at.is_none_or(|at| round >= at + MEASURED_EVERY) {
            measured_at = Some(round);
            honest = honest_round(&mut crew, &customer, &keys).await;
            lifetime = blocks.fit(honest);
            println!("an honest round takes {:.1} s, requests live {} s", honest.as_secs_f64(), lifetime.as_secs());
            crew.until_stocked().await;
        }
        let mut parties: Vec<usize> = (0..5).collect();
        parties.shuffle(&mut rng);
        let (first, second) = (parties[0], parties[1]);
        let wait = Duration::from_millis(rng.gen_range(0..millis(honest)));
        let down = Duration::from_millis(rng.gen_range(500..4_000));
        let (began, others) = (now(), Bystanders::watch(crew.pids()));
        let asked = ask_for_everything(&customer, &keys, round).await;
        tokio::time::sleep(wait).await;
        crew.kill_party(first).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        crew.kill_party(second).await;
        tokio::time::sleep(down).await;
        crew.start_party(first, &[]);
        crew.start_party(second, &[]);
        let outcomes = customer.outcomes(&asked).await;
        let took = began.elapsed();
        let share = others.share(crew.pids());
        let lost: Vec<_> = outcomes.iter().filter(|request| request.status != Status::Fulfilled).collect();
        println!(
            "round {round:>2}: party {first} killed after {:.1} s, party {second} a second later, back after {:.1} s; \
             {} of {} answered after {:.1} s; others used {:.0} % of the cores",
            wait.as_secs_f64(),
            down.as_secs_f64(),
            outcomes.len() - lost.len(),
            outcomes.len(),
            took.as_secs_f64(),
            share * 100.0
        );
        // Late on a busy machine is no verdict; a rejection that is no expiry is one on any machine.
        let only_late = lost.iter().all(|request| request.reject_reason.contains("timed out"));
        if !lost.is_empty() && only_late && Bystanders::are_in_the_way(share) && disturbed < rounds {
            println!("round {round}: {} late while others used the machine: again, at a new pace", lost.len());
            disturbed += 1;
            measured_at = None;
            crew.until_settled().await;
            continue;
        }
        if !lost.is_empty() {
            let ids: Vec<RequestId> = lost.iter().map(|request| request.id).collect();
            tell_why(&crew, &ids).await;
            panic!("round {round}, KEYRING_SEED={seed}: {ids:?} were not answered in time");
        }
        // Everybody's transactions have landed, and nothing waits behind a gap.
        crew.until_settled().await;
        answered += outcomes.len();
        slowest = slowest.max(took);
        round += 1;
    }
    println!(
        "kill campaign: {rounds} rounds, {answered} requests answered, none rejected, none expired; slowest round {:.1} s \
         of {} s; {disturbed} more were disturbed by others; KEYRING_SEED={seed}",
        slowest.as_secs_f64(),
        lifetime.as_secs()
    );
    no_sequence_is_lost(&mut crew, &customer).await;
    crew.stop().await;
}

/// On each disk the next sequence is the one that the chain shows, and none is in flight.
async fn no_sequence_is_lost(crew: &mut Crew, customer: &Customer) {
    for party in 0..usize::from(TERMS.of) {
        assert!(crew.stop_party(party).await.success());
        let data = crew.party_folder(party).join("data");
        let store = RocksStore::open(&data, &unlock(party), randomness(7)).unwrap();
        let outbox = Outbox::recover(CHAIN, 1, &store).unwrap();
        let shown = customer.account(&party_address(party)).await.sequence;
        assert_eq!((outbox.next_sequence(), outbox.slots().count()), (Some(shown), 0), "party {party}");
    }
}
