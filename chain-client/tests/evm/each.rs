//! What each endpoint says for itself.

use alloy_primitives::{B256, U256};
use chain_client::zrsign::evm::{EvmChain, EvmError, EvmSettings, Finality};
use serde_json::{Value, json};
use url::Url;

use crate::bench::{AT_ONCE, address_of, quick};
use crate::liar::Liar;
use crate::node::CHAIN;
use crate::world::World;

/// Nobody listens there.
const DOWN: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn each_endpoint_says_how_far_it_is_or_why_it_says_nothing() {
    let world = World::new().await;
    let liar = Liar::before(&world).await;
    let down: Url = DOWN.parse().unwrap();
    let endpoints = [address_of(&world), down, liar.address.clone()];
    // However many must agree: each is asked for itself.
    let settings = EvmSettings { agree: 2, ..quick() };
    let chain = EvmChain::new(CHAIN, &endpoints, AT_ONCE, settings).unwrap();
    liar.changes("eth_chainId", |_, id| *id = json!("0x1"));
    let said = chain.tips_of_each().await;
    let [Ok(tips), Err(EvmError::Unreachable { .. }), Err(EvmError::Malformed { what, .. })] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(what, &format!("it serves chain 1, not {CHAIN}"));
    assert_eq!(tips.head.hash, tips.last_final.hash, "where every block is final");

    liar.is_honest();
    let said = chain.hash_of_each(tips.head.height).await;
    let [Ok(Some(hash)), Err(_), Ok(Some(other))] = &said[..] else { panic!("{said:?}") };
    assert_eq!((hash, other), (&tips.head.hash, &tips.head.hash));
    let said = chain.hash_of_each(tips.head.height + 1_000).await;
    assert!(matches!(&said[..], [Ok(None), Err(_), Ok(None)]), "{said:?}");
}

/// An endpoint of another chain with the same id: only a block that both have tells.
#[tokio::test]
async fn endpoints_of_two_chains_differ_in_a_block_that_both_call_final() {
    let (world, other) = (World::new().await, World::new().await);
    // They part where the one has a request and the other an empty block.
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    let _: Value = other.rpc("anvil_mine", [U256::from(2)]).await;
    let endpoints = [address_of(&world), address_of(&other)];
    let chain = EvmChain::new(CHAIN, &endpoints, Finality::Depth(1), quick()).unwrap();
    let finals: Vec<u64> = chain.tips_of_each().await.into_iter().map(|said| said.unwrap().last_final.height).collect();
    assert!(finals[0] > finals[1] && finals[1] > 0, "{finals:?}");
    let hashes: Vec<B256> =
        chain.hash_of_each(finals[1]).await.into_iter().map(|said| said.unwrap().unwrap()).collect();
    assert_ne!(hashes[0], hashes[1]);
}
