//! What endpoints lie about: a stretch of a chain in which something was asked, and the truth about it.

use alloy_consensus::Header;
use alloy_primitives::U256;
use chain_client::zrsign::evm::{EvmChain, EvmError, Finality, Range};
use chain_client::zrsign::range::{Incomplete, Mark};
use contracts::names::EVM;
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, address_of, honest, now, quick};
use crate::liar::Liar;
use crate::node::CHAIN;
use crate::world::{ADMIN, World};

pub(crate) const BLOCK: &str = "eth_getBlockByNumber";

/// A world in which something was asked behind a mark, and the endpoint that will lie about it.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) liar: Liar,
    pub(crate) from: Mark,
    pub(crate) truth: Range,
}

impl Scene {
    /// Two signature requests and a key request of the contract, a log of somebody else, and an empty block.
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        world.with_wallet(1).await;
        let chain = honest(&world, AT_ONCE);
        let from = now(&chain, &world).await;
        world.done(world.hash_request()).await;
        world.done(world.key_request(EVM, 1)).await;
        let consumer = world.consumer().await;
        world.done(world.ask(ADMIN, alloy_primitives::Bytes::new()).to(consumer).value(1)).await;
        let _: Value = world.rpc("anvil_mine", [U256::ONE]).await;
        world.done(world.hash_request()).await;
        let truth = chain.range(world.zr_sign, from).await.unwrap().unwrap();
        assert_eq!(truth.spans[0].logs.len(), 3);
        let liar = Liar::before(&world).await;
        Self { world, liar, from, truth }
    }

    pub(crate) fn chain(&self, finality: Finality) -> EvmChain {
        EvmChain::new(CHAIN, std::slice::from_ref(&self.liar.address), finality, quick()).unwrap()
    }

    /// What the lie leads to, asked of an endpoint that was honest before and is afterwards.
    pub(crate) async fn caught(&self, tell: impl FnOnce(&Liar)) -> EvmError {
        let chain = self.chain(AT_ONCE);
        self.told(&chain).await;
        tell(&self.liar);
        let endpoints = [self.liar.address.clone(), address_of(&self.world)];
        let two = EvmChain::new(CHAIN, &endpoints, AT_ONCE, quick()).unwrap();
        self.told(&two).await;
        assert_eq!(two.health().iter().map(|one| one.resting).collect::<Vec<_>>(), [true, false], "the lie was heard");
        let caught = chain.range(self.world.zr_sign, self.from).await.expect_err("the lie was believed");
        self.liar.is_honest();
        self.told(&chain).await;
        assert_eq!(format!("{}/", caught.endpoint()), self.liar.address.as_str());
        caught
    }

    pub(crate) async fn told(&self, chain: &EvmChain) {
        assert_eq!(chain.range(self.world.zr_sign, self.from).await.unwrap().unwrap(), self.truth);
    }

    pub(crate) async fn incomplete(&self, method: &'static str, change: fn(&Value, &mut Value)) -> Incomplete {
        match self.caught(|liar| liar.changes(method, change)).await {
            EvmError::Incomplete { why, .. } => why,
            other => panic!("{other}"),
        }
    }

    pub(crate) async fn malformed(&self, method: &'static str, change: fn(&Value, &mut Value)) -> String {
        match self.caught(|liar| liar.changes(method, change)).await {
            EvmError::Malformed { what, .. } => what,
            other => panic!("{other}"),
        }
    }

    /// The first height behind the mark: of the first signature request.
    pub(crate) fn first(&self) -> u64 {
        self.from.height + 1
    }
}

pub(crate) fn is_height(params: &Value, height: u64) -> bool {
    params[0] == json!(format!("{height:#x}"))
}

/// Another value of the same form.
pub(crate) fn forge(block: &mut Value, field: &str) {
    let Some(text) = block[field].as_str() else { return };
    let forged = match field {
        "timestamp" => "0x1234".to_owned(),
        "extraData" => "0x77".to_owned(),
        _ => format!("0x{}", "0".repeat(text.len() - 2)),
    };
    block[field] = json!(forged);
}

/// The hash that the fields have now.
pub(crate) fn rehash(block: &mut Value) {
    let header: Header = serde_json::from_value(block.clone()).unwrap();
    block["hash"] = json!(header.hash_slow());
}
