//! Links that are bad and not broken: a firewall swallows one direction of all links of a party, or everything that it
//! says and hears takes long. Nobody shows health that is not there, nothing is rejected, and it heals without help.

use std::time::Duration;

use keyring::admin::proto::StatusReply;
use keyring::identity::NodeIdentity;
use transport::PeerId;

use crate::customer::Customer;
use crate::ground::{Ground, Terms};
use crate::operator::{readyz, readyz_within};
use crate::wire::{Direction, Wires};
use crate::{Crew, is_whole, nothing_is_answered, terms};

/// Within so long everybody says that a direction is cut: a link without an answer is judged down after eight seconds, a
/// lease runs out after ten, and the machine is busy.
const TOLD_WITHIN: Duration = Duration::from_secs(20);
/// Of a slow peer, each way.
const DELAY: Duration = Duration::from_millis(300);

/// All parties, linked and stocked; the last one is behind the wires.
async fn start(terms: Terms, delay: Duration) -> (Crew, Wires) {
    let ground = Ground::lay(terms).await;
    let wires = Wires::lay(&ground).await;
    wires.slow_down(delay);
    let mut crew = Crew::on(ground);
    let last = usize::from(terms.of) - 1;
    (0..last).for_each(|party| crew.start_party(party, &[]));
    let are_linked = |status: &StatusReply| status.peers.iter().all(|peer| peer.up || peer.party as usize == last);
    crew.until("all but the last are linked", are_linked).await;
    wires.last_begins();
    crew.start_party(last, &[]);
    crew.until_stocked().await;
    (crew, wires)
}

/// How often a party has lost its link with another one.
fn losses(crew: &Crew, party: usize, other: usize) -> usize {
    let secret = std::fs::read(crew.party_folder(other).join("identity")).unwrap();
    let peer = format!("peer={}", PeerId::from(NodeIdentity::from_secret(&secret).unwrap().public()));
    crew.log_text(party).lines().filter(|line| line.contains("link down") && line.contains(&peer)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_firewall_on_one_direction_a_party_is_absent_for_all_and_for_itself_and_the_others_answer() {
    let (mut crew, wires) = start(terms(2, 3), Duration::ZERO).await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519"]).await;
    customer.all_fulfilled(&keys).await;
    let before = losses(&crew, 0, 1);
    for (round, direction) in (1..).zip([Direction::Outward, Direction::Inward]) {
        crew.until_stocked().await;
        wires.hold(direction);
        // Nobody knows yet.
        let mut asked = customer.ask_signatures(keys[0], &[vec![round; 32]]).await;
        asked.extend(customer.ask_keys(&["ed25519"]).await);
        let absent = ["degraded peers_absent: absent: party-2;"];
        let alone = [
            "too_few_to_sign: 1 of 2 parties that a signature needs are here, absent: party-0, party-1;",
            "no_lease: 0 of 1 peers that must know this process as its party do;",
        ];
        tokio::join!(
            readyz_within(TOLD_WITHIN, &crew, 0, 200, &absent),
            readyz_within(TOLD_WITHIN, &crew, 1, 200, &absent),
            readyz_within(TOLD_WITHIN, &crew, 2, 503, &alone),
        );
        asked.extend(customer.ask_signatures(keys[1], &[vec![round; 40]]).await);
        asked.extend(customer.ask_keys(&["ecdsa"]).await);
        customer.all_fulfilled(&asked).await;
        for party in [0, 1] {
            readyz_within(Duration::ZERO, &crew, party, 200, &absent).await;
        }
        readyz_within(Duration::ZERO, &crew, 2, 503, &alone).await;

        wires.let_through(direction);
        crew.until("everybody is here again", is_whole).await;
        // What the others have answered meanwhile is over for the one that was cut off, too.
        crew.until_settled().await;
        let late = customer.ask_signatures(keys[0], &[vec![100 + round; 32]]).await;
        customer.all_fulfilled(&late).await;
    }
    assert_eq!(losses(&crew, 0, 1), before, "the others are linked all the time");
    assert!(losses(&crew, 0, 2) >= 2 && losses(&crew, 1, 2) >= 2 && losses(&crew, 2, 0) >= 2);
    crew.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_parties_with_a_firewall_between_nothing_is_answered_or_rejected_until_it_opens() {
    let (mut crew, wires) = start(terms(2, 2), Duration::ZERO).await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    for (round, direction) in (1..).zip([Direction::Inward, Direction::Outward]) {
        crew.until_settled().await;
        wires.hold(direction);
        let mut asked = customer.ask_signatures(keys[0], &[vec![round; 32]]).await;
        asked.extend(customer.ask_keys(&["ed25519"]).await);
        let lacks =
            |other| format!("too_few_to_sign: 1 of 2 parties that a signature needs are here, absent: party-{other};");
        for (party, other) in [(0, 1), (1, 0)] {
            readyz_within(TOLD_WITHIN, &crew, party, 503, &[&lacks(other), "no_lease: 0 of 1 peers"]).await;
        }
        nothing_is_answered(&crew, &customer, &asked).await;
        for (party, other) in [(0, 1), (1, 0)] {
            readyz_within(Duration::ZERO, &crew, party, 503, &[&lacks(other)]).await;
        }
        wires.let_through(direction);
        crew.until("everybody is here again", is_whole).await;
        customer.all_fulfilled(&asked).await;
    }
    crew.stop().await;
}

/// Of two parties both must sign: nothing goes without the slow one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_slow_peer_everything_is_answered_and_no_link_goes_down() {
    let (crew, _wires) = start(terms(2, 2), DELAY).await;
    let before = [losses(&crew, 0, 1), losses(&crew, 1, 0)];
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa", "ed25519", "bitcoin"]).await;
    customer.all_fulfilled(&keys).await;
    let mut asked = customer.ask_signatures(keys[0], &[vec![1; 32]]).await;
    asked.extend(customer.ask_signatures(keys[1], &[vec![2; 40]]).await);
    asked.extend(customer.ask_bitcoin(keys[2]).await);
    customer.all_fulfilled(&asked).await;
    for party in [0, 1] {
        readyz(&crew, party, 200, &["ready\n"]).await;
        let status = crew.status(party).await.unwrap();
        let trip = status.peers[0].round_trip_us.unwrap_or(0);
        assert!(u128::from(trip) >= 2 * DELAY.as_micros(), "it is slow indeed: {trip} µs");
    }
    assert_eq!([losses(&crew, 0, 1), losses(&crew, 1, 0)], before, "slow is not dead");
    crew.stop().await;
}
