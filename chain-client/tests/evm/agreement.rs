//! Chains that prove less: endpoints must agree, and one that lies costs nothing but its own voice.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chain_client::zrsign::evm::{Evidence, EvmChain, EvmError, EvmSettings, Range};
use chain_client::zrsign::range::Mark;
use contracts::names::EVM;
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, honest, now, quick};
use crate::liar::{Liar, Said};
use crate::node::CHAIN;
use crate::world::World;

struct Council {
    world: World,
    liars: [Liar; 3],
    from: Mark,
    truth: Range,
}

impl Council {
    async fn new() -> Self {
        let world = World::new().await;
        world.with_wallet(1).await;
        let chain = honest(&world, AT_ONCE);
        let from = now(&chain, &world).await;
        world.done(world.hash_request()).await;
        world.done(world.key_request(EVM, 1)).await;
        let truth = chain.range(world.zr_sign, from).await.unwrap().unwrap();
        let liars = [Liar::before(&world).await, Liar::before(&world).await, Liar::before(&world).await];
        Self { world, liars, from, truth }
    }

    fn of(&self, endpoints: usize, agree: usize, evidence: Evidence) -> EvmChain {
        let addresses: Vec<_> = self.liars[..endpoints].iter().map(|liar| liar.address.clone()).collect();
        EvmChain::new(CHAIN, &addresses, AT_ONCE, EvmSettings { agree, evidence, ..quick() }).unwrap()
    }

    async fn range(&self, chain: &EvmChain) -> Result<Option<Range>, EvmError> {
        chain.range(self.world.zr_sign, self.from).await
    }
}

/// Changes the payload of the first signature request, as no bloom tells.
fn other_payload(method: &str, _: &Value, reply: &mut Value) -> Said {
    if let Some(data) = reply["result"][0]["logs"][0]["data"].as_str().filter(|_| method == "eth_getBlockReceipts") {
        let data = format!("{}{}", &data[..data.len() - 64], "77".repeat(32));
        reply["result"][0]["logs"][0]["data"] = json!(data);
    }
    Said::Reply
}

/// Leaves out all key requests, on a chain without blooms.
fn no_key_requests(method: &str, params: &Value, reply: &mut Value) -> Said {
    no_blooms(method, params, reply);
    if method == "eth_getBlockReceipts" {
        let receipts = reply["result"].as_array_mut().unwrap();
        let logs = receipts[0]["logs"].as_array_mut().unwrap();
        logs.retain(|log| log["topics"][0] != "0x4ba02e24ed0a9961951991115a4b7c18421f3001c7783f16fe5cef57dc7abe14");
    }
    Said::Reply
}

/// A chain that keeps no blooms.
fn no_blooms(method: &str, _: &Value, reply: &mut Value) -> Said {
    if method == "eth_getBlockByNumber" && reply["result"].is_object() {
        reply["result"]["logsBloom"] = json!(format!("0x{}", "0".repeat(512)));
    }
    Said::Reply
}

#[tokio::test]
async fn two_of_three_are_believed_whoever_lies() {
    let council = Council::new().await;
    let chain = council.of(3, 2, Evidence::Blooms);
    for liar in &council.liars {
        liar.lies(other_payload);
        assert_eq!(council.range(&chain).await.unwrap().as_ref(), Some(&council.truth));
        liar.is_honest();
    }
    assert!(chain.health().iter().all(|one| one.height == council.truth.mark.height));
    let mark = chain.mark(council.world.zr_sign, council.from.height).await.unwrap();
    assert_eq!(mark, council.from);
}

#[tokio::test]
async fn two_that_say_different_things_say_nothing() {
    let council = Council::new().await;
    let chain = council.of(2, 2, Evidence::Blooms);
    council.liars[1].lies(other_payload);
    let error = council.range(&chain).await.unwrap_err();
    let EvmError::Disagreement { endpoint, other } = error else { panic!("{error}") };
    assert_ne!(endpoint, other);
    // What a bloom alone allows, one endpoint can do: the settings' documentation says so.
    let alone = council.of(2, 1, Evidence::Blooms);
    council.liars[0].lies(other_payload);
    assert_ne!(council.range(&alone).await.unwrap().as_ref(), Some(&council.truth));
    council.liars.iter().for_each(Liar::is_honest);
    assert_eq!(council.range(&chain).await.unwrap().as_ref(), Some(&council.truth));
    // One that says nothing leaves too few, and a moment of that is waited out.
    let patient = EvmSettings { agree: 2, rounds: 3, pause_min: Duration::from_millis(10), ..quick() };
    let addresses = [council.liars[0].address.clone(), council.liars[1].address.clone()];
    let patient = EvmChain::new(CHAIN, &addresses, AT_ONCE, patient).unwrap();
    let from = patient.mark(council.world.zr_sign, council.from.height).await.unwrap();
    let left = AtomicU32::new(2);
    council.liars[0].lies(move |_, _, _| {
        let is_left = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_left { Said::Bytes(502, None, Vec::new()) } else { Said::Reply }
    });
    assert_eq!(patient.mark(council.world.zr_sign, council.from.height).await.unwrap(), from);
    council.liars[0].lies(|_, _, _| Said::Bytes(500, None, Vec::new()));
    assert!(matches!(council.range(&chain).await.unwrap_err(), EvmError::Unreachable { .. }));
}

/// A key request is in no count: where there is no bloom, only the other endpoint tells that it is missing.
#[tokio::test]
async fn a_chain_without_blooms_is_read_by_agreement() {
    let council = Council::new().await;
    council.liars.iter().for_each(|liar| liar.lies(no_blooms));
    let strict = council.of(3, 1, Evidence::Roots);
    assert!(
        matches!(council.range(&strict).await.unwrap_err(), EvmError::Malformed { .. }),
        "never taken for Ethereum"
    );

    let chain = council.of(3, 2, Evidence::Agreement);
    assert_eq!(council.range(&chain).await.unwrap().as_ref(), Some(&council.truth));
    council.liars[0].lies(no_key_requests);
    assert_eq!(council.range(&chain).await.unwrap().as_ref(), Some(&council.truth));
    let two = council.of(2, 2, Evidence::Agreement);
    assert!(matches!(council.range(&two).await.unwrap_err(), EvmError::Disagreement { .. }));
    // Two of the same mind are believed: that is what the number means.
    council.liars[1].lies(no_key_requests);
    let logs = council.range(&two).await.unwrap().unwrap().spans[0].logs.len();
    assert_eq!(logs + 1, council.truth.spans[0].logs.len());
}

/// The slower endpoints decide how far is read, and nothing is read twice or left out.
#[tokio::test]
async fn endpoints_at_different_heights_are_read_as_far_as_enough_have_come() {
    let council = Council::new().await;
    let first: Value =
        council.world.rpc("eth_getBlockByNumber", (json!(format!("{:#x}", council.from.height + 1)), false)).await;
    let behind = move |method: &str, params: &Value, reply: &mut Value| {
        if method == "eth_getBlockByNumber" && params[0] == "latest" {
            reply["result"] = first.clone();
        }
        Said::Reply
    };
    council.liars[0].lies(behind.clone());
    let chain = council.of(3, 2, Evidence::Roots);
    assert_eq!(council.range(&chain).await.unwrap().as_ref(), Some(&council.truth), "two have come all the way");
    council.liars[1].lies(behind);
    let chain = council.of(3, 2, Evidence::Roots);
    let part = council.range(&chain).await.unwrap().unwrap();
    assert_eq!((part.mark.height, part.spans[0].logs.len()), (council.from.height + 1, 1));
    assert_eq!(chain.range(council.world.zr_sign, part.mark).await.unwrap(), None);
    council.liars.iter().for_each(Liar::is_honest);
    let rest = chain.range(council.world.zr_sign, part.mark).await.unwrap().unwrap();
    assert_eq!(rest.mark, council.truth.mark);
}
