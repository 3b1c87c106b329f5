//! Who is here, who may act, and what everybody says of it, on real processes: an operator vouches that a silent party is
//! dead, two live copies of a party are fenced until operators decide, a firewall swallows one direction, a peer is slow.

#![cfg(feature = "devnet")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/crew.rs"]
mod crew;
#[path = "support/customer.rs"]
mod customer;
#[path = "standing/double.rs"]
mod double;
#[path = "standing/firewall.rs"]
mod firewall;
#[path = "support/ground.rs"]
mod ground;
#[path = "support/operator.rs"]
mod operator;
#[path = "standing/unfence.rs"]
mod unfence;
#[path = "standing/vouch.rs"]
mod vouch;
#[path = "support/wire.rs"]
mod wire;

use std::time::Duration;

use chain_client::{RequestId, Status};
use crew::{Crew, all_up};
use customer::Customer;
use ground::Terms;
use keyring::admin::proto::StatusReply;

/// Blocks in which nothing is answered: many times what an answer needs.
const QUIET_BLOCKS: u64 = 12;

/// Requests live longer than everything that is waited for meanwhile.
const fn terms(need: u16, of: u16) -> Terms {
    Terms { lifetime_blocks: 600, ..Terms::of(need, of) }
}

/// Three processes that have nothing to do, and a key of theirs to sign with.
async fn three_with_a_key() -> (Crew, Customer, Vec<RequestId>) {
    let mut crew = Crew::start(terms(2, 3)).await;
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    crew.until_settled().await;
    (crew, customer, keys)
}

/// How often a party has begun to act, in all of its processes.
fn leases(crew: &Crew, party: usize) -> usize {
    crew.log_text(party).matches("this process may act for its party").count()
}

/// Whether a party contributes and every peer is here.
fn is_whole(status: &StatusReply) -> bool {
    status.ready && all_up(status) && status.peers.iter().all(|peer| peer.known && !peer.fenced)
}

/// For some blocks nobody answers, and nobody rejects.
async fn nothing_is_answered(crew: &Crew, customer: &Customer, asked: &[RequestId]) {
    let chain = crew.devnet.handle();
    chain.wait_for_height(chain.height() + QUIET_BLOCKS, Duration::from_secs(60)).await.unwrap();
    for id in asked {
        assert_eq!(customer.look(*id).await.status, Status::Pending, "{id}");
    }
}
