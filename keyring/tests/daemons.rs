//! Daemons on a chain: everything real but the processes. `tests/processes.rs` uses real ones.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

#[path = "support/fleet.rs"]
mod fleet;

use std::time::Duration;

use devnet::demo::{Screen, Style, User};
use fleet::{CHAIN, Fleet, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_answer_every_kind_of_request() {
    let _ = tracing_subscriber::fmt().with_env_filter("info,libp2p=warn").with_test_writer().try_init();
    let fleet = Fleet::start(2, 3, Duration::from_millis(500), 240).await;
    fleet.until("auxiliary data and shelf", |node| node.has_auxiliary() && node.free_keys().count() >= 12).await;
    let mut user = User::connect(&fleet.url, CHAIN, &fleet.keyring, user()).await.unwrap();
    let mut screen = Screen::new(std::io::stderr(), Style::Lines);
    let summary = user.make_requests(&mut screen).await.unwrap();
    screen.summary(&summary).unwrap();
    assert!(summary.is_success(), "{summary:?}");
    fleet.stop().await;
}
