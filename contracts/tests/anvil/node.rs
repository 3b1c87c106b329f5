//! A node for one test.

use std::net::SocketAddr;
use std::path::Path;

use contracts::anvil::{Anvil, Settings};

/// Every block's base fee, if a test does not say another: 1 gwei.
pub(crate) const BASE_FEE: u128 = 1_000_000_000;
/// The node's chain.
pub(crate) const CHAIN: u64 = 31337;

pub(crate) struct Node {
    _anvil: Anvil,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// Starts a node and waits until it answers. A node that is not installed is a failure, never a skipped test.
    pub(crate) async fn start() -> Self {
        let settings = Settings { chain: CHAIN, base_fee: BASE_FEE, block_seconds: None };
        let started = Anvil::start(settings, Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
        let anvil = started.unwrap_or_else(|error| panic!("{error}"));
        Self { address: anvil.address(), _anvil: anvil }
    }
}
