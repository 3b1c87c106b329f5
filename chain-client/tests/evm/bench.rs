//! What these tests say again and again: a client with short waits, all that stands behind a mark, the events in it.

use std::time::Duration;

use alloy_primitives::Address;
use alloy_provider::Provider as _;
use chain_client::zrsign::event::{self, Event, TypeNumbers};
use chain_client::zrsign::evm::{EvmChain, EvmSettings, Finality, Span};
use chain_client::zrsign::name::Proxy;
use chain_client::zrsign::range::Mark;
use url::Url;

use crate::node::CHAIN;
use crate::world::World;

/// Every block is final, as on a development chain.
pub(crate) const AT_ONCE: Finality = Finality::Depth(0);

/// Our contract's numbers; a test holds them against its getters.
pub(crate) const NUMBERS: TypeNumbers = TypeNumbers { hash: 0, data: Some(3), transaction: 1, simple: 2 };

/// Waits that a test can afford.
pub(crate) fn quick() -> EvmSettings {
    EvmSettings {
        call_timeout: Duration::from_secs(5),
        rounds: 1,
        rest: Duration::from_secs(20),
        rest_max: Duration::from_secs(60),
        ..EvmSettings::default()
    }
}

pub(crate) fn address_of(world: &World) -> Url {
    format!("http://{}", world.node.address).parse().unwrap()
}

/// The node itself, asked by our client.
pub(crate) fn honest(world: &World, finality: Finality) -> EvmChain {
    EvmChain::new(CHAIN, &[address_of(world)], finality, quick()).unwrap()
}

pub(crate) fn proxy(world: &World) -> Proxy {
    Proxy { chain: CHAIN, address: world.zr_sign }
}

/// All spans behind a mark, and the mark behind them.
pub(crate) async fn all(chain: &EvmChain, proxy: Address, from: Mark) -> (Vec<Span>, Mark) {
    let (mut spans, mut mark) = (Vec::new(), from);
    while let Some(range) = chain.range(proxy, mark).await.unwrap() {
        assert!(range.mark.height > mark.height);
        mark = range.mark;
        spans.extend(range.spans);
    }
    (spans, mark)
}

/// What the logs of spans say.
pub(crate) fn events(world: &World, spans: &[Span]) -> Vec<Event> {
    let logs = spans.iter().flat_map(|span| &span.logs);
    logs.filter_map(|log| event::decode(proxy(world), log, NUMBERS).unwrap()).collect()
}

/// The mark of the chain's newest block, where every block is final.
pub(crate) async fn now(chain: &EvmChain, world: &World) -> Mark {
    let height = world.provider.get_block_number().await.unwrap();
    chain.mark(world.zr_sign, height).await.unwrap()
}
