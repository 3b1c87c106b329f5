//! Nothing prepared: three processes search their own safe primes, make auxiliary data from them, and sign. The only test in
//! which no number was known before. Not part of `cargo test`; `./run test --long` runs it (docs/testing.md).

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

use std::time::Duration;

use crew::Crew;
use customer::Customer;
use ground::{Ground, Terms};
use settings::{now, setting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_find_their_own_primes_and_sign() {
    let patience = Duration::from_secs(60 * setting("KEYRING_PRIMES_MINUTES", 180));
    let terms = Terms { block: Duration::from_secs(1), dealt: false, ..Terms::of(2, 3) };
    let mut crew = Crew::on(Ground::lay(terms).await);
    let began = now();
    for party in 0..3 {
        crew.start_searching_party(party);
    }
    for party in 0..3 {
        while crew.status(party).await.is_none_or(|status| !status.ready) {
            assert!(began.elapsed() < patience, "no auxiliary data after {patience:?}:\n{}", crew.last_words(party));
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
    println!("auxiliary data from primes that nobody knew: in force after {} s", began.elapsed().as_secs());
    crew.until_stocked().await;
    let customer = Customer::of(&crew).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    let asked = customer.ask_signatures(keys[0], &[vec![7; 32]]).await;
    customer.all_fulfilled(&asked).await;
    crew.stop().await;
}
