//! A node as the world of the contracts' own tests wants one: blocks become final after four. Until its [`World`] is laid
//! out it makes a block for each transaction at once; then one each second, and more when a test is in a hurry.
//!
//! [`World`]: crate::world::World

use std::net::SocketAddr;
use std::path::Path;

use alloy_provider::{Provider as _, ProviderBuilder, RootProvider};
use contracts::anvil::{Anvil, Settings};

/// Of every block that a test asks something in: 1 gwei. Empty blocks have less.
pub(crate) const BASE_FEE: u128 = 1_000_000_000;
/// The node's chain.
pub(crate) const CHAIN: u64 = 31_337;

pub(crate) struct Node {
    _anvil: Anvil,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// Starts a node and waits until it answers. A node that is not installed is a failure, never a skipped test.
    pub(crate) async fn start() -> Self {
        let settings = Settings { chain: CHAIN, base_fee: BASE_FEE, block_seconds: Some(1) };
        let started = Anvil::start(settings, Path::new(env!("CARGO_TARGET_TMPDIR"))).await;
        let anvil = started.unwrap_or_else(|error| panic!("{error}"));
        let provider: RootProvider = ProviderBuilder::default().connect_http(anvil.url().parse().unwrap());
        let _: () = provider.raw_request("evm_setAutomine".into(), [true]).await.unwrap();
        Self { address: anvil.address(), _anvil: anvil }
    }
}
