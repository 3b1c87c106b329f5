//! Daemons on a chain: everything real but the processes, which are one. `tests/devnet.rs` uses real ones.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/customer.rs"]
mod customer;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/ground.rs"]
mod ground;

use std::time::Duration;

use chain_client::{RequestId, Status};
use customer::Customer;
use devnet::demo::{Board, Style, User};
use fleet::Fleet;
use ground::{CHAIN, user};
use keyring::lease::Restraint;
use keyring::node::{Event, Node, Word};
use mpc_core::PartyIndex;

const BLOCK: Duration = Duration::from_millis(500);

/// Fleets share two cores badly, and these tests measure themselves against deadlines: one at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn show_logs() {
    let _once =
        tracing_subscriber::fmt().with_env_filter("info,libp2p=warn").with_ansi(false).with_test_writer().try_init();
}

fn digests(count: u8) -> Vec<Vec<u8>> {
    (1..=count).map(|n| vec![n; 32]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_make_their_stock_and_answer_every_kind_of_request() {
    show_logs();
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::start(2, 3, BLOCK, 240, false).await;
    fleet.until("auxiliary data and shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 12).await;
    let mut user = User::connect(&fleet.url, CHAIN, &fleet.keyring, user()).await.unwrap();
    let board = Board::new(std::io::stderr(), Style::Lines);
    user.make_requests(&board).await.unwrap();
    let summary = board.summary().unwrap();
    assert!(summary.is_success(), "{summary:?}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_one_may_stop_below_three_nothing_happens_and_work_resumes_when_they_return() {
    show_logs();
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut fleet = Fleet::start(3, 5, BLOCK, 240, true).await;
    fleet.until("shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 20).await;
    let customer = Customer::of(&fleet).await;

    fleet.stop_party(1).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519", "bitcoin"]).await;
    customer.all_fulfilled(&keys).await;
    let mut asked = customer.ask_signatures(keys[0], &digests(2)).await;
    asked.extend(customer.ask_signatures(keys[1], &[b"a message".to_vec()]).await);
    asked.extend(customer.ask_signatures(keys[2], &digests(1)).await);
    customer.all_fulfilled(&asked).await;

    fleet.stop_party(3).await;
    fleet.stop_party(4).await;
    let runs = fleet.signing_runs().await;
    let mut late = customer.ask_signatures(keys[0], &digests(1)).await;
    late.extend(customer.ask_keys(&["ecdsa"]).await);
    let chain = fleet.devnet.handle();
    chain.wait_for_height(chain.height() + 10, Duration::from_secs(30)).await.unwrap();
    for id in &late {
        let request = customer.look(*id).await;
        assert_eq!(request.status, Status::Pending, "with two of five nobody answers and nobody rejects {id}");
    }
    assert_eq!(fleet.signing_runs().await, runs, "nothing is signed by two of five");

    // Two come back; the first that stopped may remember what they forgot, so they keep out of what is old until their
    // operators vouch that it is dead.
    fleet.start_party(3).await;
    fleet.start_party(4).await;
    fleet.until("leases", Node::may_act).await;
    let silent = PartyIndex::new(1);
    fleet.until("a lease has passed", move |node| node.would(silent, Word::Vouch).is_ok()).await;
    for party in [3, 4] {
        let restraints = fleet.look(party, Node::restraints).await;
        assert_eq!(restraints, [Restraint::KeepsOut { unheard: vec![silent] }]);
        fleet.running(party).inbox().tell(Event::Operator(silent, Word::Vouch)).await;
    }
    customer.all_fulfilled(&late).await;
    fleet.stop().await;
}

/// Of twelve requests at once all are answered within their life, and few runs are begun in vain.
async fn twelve_at_once(need: u16, of: u16) {
    show_logs();
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::start(need, of, Duration::from_secs(1), 90, true).await;
    let stocked = usize::from(of) * 4;
    fleet.until("shelf", move |node| node.has_auxiliary() && node.free_keys().count() >= stocked).await;
    let customer = Customer::of(&fleet).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    let asked = customer.ask_signatures(keys[0], &digests(12)).await;
    customer.all_fulfilled(&asked).await;
    let runs = fleet.signing_runs().await;
    assert!((12..=20).contains(&runs), "{runs} runs were begun for twelve requests");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_requests_at_once_are_decided_by_two_of_three() {
    twelve_at_once(2, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twelve_requests_at_once_are_decided_by_three_of_five() {
    twelve_at_once(3, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_in_time_is_dropped_in_the_order_of_deadlines() {
    show_logs();
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::start(3, 5, Duration::from_secs(1), 20, true).await;
    fleet.until("shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 20).await;
    let customer = Customer::of(&fleet).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    let asked = customer.ask_signatures(keys[0], &digests(12)).await;
    let outcomes = customer.outcomes(&asked).await;
    let answered: Vec<RequestId> =
        outcomes.iter().filter(|request| request.status == Status::Fulfilled).map(|request| request.id).collect();
    // How many depends on the machine.
    assert!(!answered.is_empty(), "none of twelve was answered in 20 s");
    for request in outcomes.iter().filter(|request| request.status == Status::Rejected) {
        assert_eq!(request.reject_reason, "Signature request timed out", "{}", request.id);
    }
    // All have one deadline: the first asked are served first. But one: requests of a block are examined side by side, and
    // the first that was judged gets the idle core.
    let in_order = answered.iter().zip(&asked).take_while(|(one, other)| one == other).count();
    assert!(answered.len() - in_order <= 1, "served out of order: {answered:?}");
    fleet.stop().await;
}
