//! Reads an EVM chain and its zrSign contracts, sends to it. The one room of zrSign with a network.
//!
//! | Room | Holds |
//! | --- | --- |
//! | `transport` | JSON-RPC over HTTP with a bound on replies |
//! | `node` | one endpoint while it is asked |
//! | `pool` | several: preference, rest, agreement |
//! | `block` | headers and receipts, held against their hashes |
//! | `read` | final blocks, whole, cut where the proxy's code changes |
//! | `code` | which implementation runs behind a proxy |
//! | `contract` | the contract's getters at one block |
//! | `account` | accounts, simulations, estimates at one block |
//! | `each` | every endpoint asked for itself |
//! | `submit` | sends signed bytes, finds what became of them |
//!
//! Refuses to decide: which code is permitted, whether a chain stops, when a transaction is dead. What is read is bound
//! to a block hash wherever it can be; what an endpoint can still lie about stands in `docs/zrsign.md`.

mod account;
mod block;
mod code;
mod contract;
mod each;
mod error;
mod node;
mod pool;
mod read;
mod submit;
mod transport;

use std::time::Duration;

use url::Url;

pub use account::{AccountState, Call, Simulation};
pub use block::Block;
pub use code::Code;
pub use contract::{Deployment, RequestState, RequestStatus, WalletRegistry, WalletStatus};
pub use error::EvmError;
pub use read::{Range, Span, Tips};
pub use submit::{EvmHint, EvmReceipt};

use crate::endpoint::redacted;
use crate::name::EndpointId;
use node::Node;
use pool::Pool;

/// Which blocks count as never to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finality {
    /// Those that the chain itself calls `finalized`.
    Finalized,
    /// Those that so many blocks have followed. 0 is for development chains only; the caller sees to that.
    Depth(u64),
}

/// What proves that the receipts of a block are all, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The header's hash is that of its fields, and the receipts hash to the root in it: nothing in them can be changed.
    /// Ethereum, and chains with its headers and receipts.
    Roots,
    /// The header's bloom, as the endpoint tells it: for chains with other fields in headers or receipts. The data of a
    /// log is not in a bloom, so let several endpoints agree.
    Blooms,
    /// Nothing, for chains without blooms: at least two endpoints must agree, and the receipts of all blocks are read.
    Agreement,
}

/// Bounds on asking, and what counts as proof. The defaults fit Ethereum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvmSettings {
    /// Longest wait for one reply.
    pub call_timeout: Duration,
    /// How often all endpoints are tried in turn before a question fails.
    pub rounds: usize,
    /// First pause between rounds; it doubles, with jitter.
    pub pause_min: Duration,
    /// Longest pause between rounds.
    pub pause_max: Duration,
    /// How long an endpoint that failed rests; one that asks for fewer calls is left alone as long, doubled each time.
    pub rest: Duration,
    /// Longest time that an endpoint is left alone, whatever it asks for.
    pub rest_max: Duration,
    /// Largest reply taken, in bytes.
    pub reply_bytes_max: usize,
    /// Calls to one endpoint at the same time.
    pub calls_at_once: usize,
    /// Blocks in one range.
    pub range_blocks_max: u64,
    /// Bytes of logs in one range; it ends before the block that would pass them.
    pub range_bytes_max: usize,
    /// What proves receipts.
    pub evidence: Evidence,
    /// Endpoints that must show the same ranges and marks.
    pub agree: usize,
}

use EvmSettings as Settings;

impl Default for EvmSettings {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(10),
            rounds: 3,
            pause_min: Duration::from_millis(200),
            pause_max: Duration::from_secs(2),
            rest: Duration::from_secs(10),
            rest_max: Duration::from_secs(300),
            // The receipts of an ordinary full block are one to three megabytes of JSON. One that is filled with logs has a
            // quarter of a byte for each unit of gas: 15 megabytes at 60 million. What cannot be read stops a contract
            // for ever, so there is room for four times that.
            reply_bytes_max: 64 * 1024 * 1024,
            calls_at_once: 4,
            range_blocks_max: 64,
            range_bytes_max: 32 * 1024 * 1024,
            evidence: Evidence::Roots,
            agree: 1,
        }
    }
}

/// A configuration that cannot work: mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvmSetupError {
    /// Not an address of a node.
    #[error("endpoint address {0} must begin with http:// or https:// and name a host")]
    Address(String),
    /// TLS or the client cannot be set up.
    #[error("endpoint {name} cannot be prepared: {why}")]
    Prepare {
        /// The address without credentials.
        name: String,
        /// Why.
        why: String,
    },
    /// Nobody to ask.
    #[error("chain {0} has no endpoint: name at least one")]
    NoEndpoint(u64),
    /// More must agree than there are.
    #[error("agree is {agree}, but chain {chain} has {endpoints} endpoints: name more, or lower it (at least 1)")]
    Agree {
        /// The chain.
        chain: u64,
        /// How many must agree.
        agree: usize,
        /// How many there are.
        endpoints: usize,
    },
    /// One endpoint cannot agree with itself.
    #[error("chain {0} has no blooms, so agree must be at least 2")]
    Alone(u64),
}

/// How an endpoint has been doing, for status pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EvmHealth {
    /// Which one.
    pub id: EndpointId,
    /// Its address without credentials, path and query.
    pub name: String,
    /// Failures in a row.
    pub failures: u32,
    /// Whether others are preferred, or it is left alone, because it failed lately.
    pub resting: bool,
    /// The highest final block that it has shown whole, in this process.
    pub height: u64,
}

/// One EVM chain behind its endpoints.
pub struct EvmChain {
    chain: u64,
    finality: Finality,
    pool: Pool,
}

impl std::fmt::Debug for EvmChain {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.health().into_iter().map(|one| one.name).collect();
        write!(out, "EvmChain(eip155:{}, {names:?})", self.chain)
    }
}

impl EvmChain {
    /// A chain by its EIP-155 id, behind endpoints in order of preference. Nothing is asked yet.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(
        chain: u64,
        endpoints: &[Url],
        finality: Finality,
        settings: EvmSettings,
    ) -> Result<Self, EvmSetupError> {
        let agree = settings.agree;
        if endpoints.is_empty() {
            return Err(EvmSetupError::NoEndpoint(chain));
        }
        if agree == 0 || agree > endpoints.len() {
            return Err(EvmSetupError::Agree { chain, agree, endpoints: endpoints.len() });
        }
        if settings.evidence == Evidence::Agreement && agree < 2 {
            return Err(EvmSetupError::Alone(chain));
        }
        let node = |(id, address): (u16, &Url)| {
            let name = redacted(address);
            if !matches!(address.scheme(), "http" | "https") || address.host_str().is_none() {
                return Err(EvmSetupError::Address(name));
            }
            Node::new(EndpointId(id), name.clone(), address, &settings)
                .map_err(|why| EvmSetupError::Prepare { name, why })
        };
        let nodes = (0..).zip(endpoints).map(node).collect::<Result<_, _>>()?;
        Ok(Self { chain, finality, pool: Pool::new(chain, nodes, settings) })
    }

    /// The EIP-155 id.
    #[must_use]
    pub const fn chain(&self) -> u64 {
        self.chain
    }

    /// How the endpoints have been doing, in the order of configuration.
    #[must_use]
    pub fn health(&self) -> Vec<EvmHealth> {
        self.pool.health()
    }

    const fn settings(&self) -> &Settings {
        self.pool.settings()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zrsign::name::{Proxy, Slot, WalletKind};
    use crate::zrsign::range::Mark;
    use alloy_primitives::{Address, B256, Bytes, U256};

    fn chain(endpoints: &[&str], settings: EvmSettings) -> Result<EvmChain, EvmSetupError> {
        let endpoints: Vec<Url> = endpoints.iter().map(|one| one.parse().unwrap()).collect();
        EvmChain::new(1, &endpoints, Finality::Finalized, settings)
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused() {
        let agree = |agree, evidence| EvmSettings { agree, evidence, ..EvmSettings::default() };
        let (one, two) = (["http://a:1"].as_slice(), ["http://a:1", "https://b/key"].as_slice());
        assert!(chain(two, agree(2, Evidence::Agreement)).is_ok());
        assert_eq!(chain(&[], EvmSettings::default()).unwrap_err(), EvmSetupError::NoEndpoint(1));
        for (endpoints, wanted) in [(one, 2), (one, 0), (two, 3)] {
            let refused = chain(endpoints, agree(wanted, Evidence::Roots)).unwrap_err();
            assert_eq!(refused, EvmSetupError::Agree { chain: 1, agree: wanted, endpoints: endpoints.len() });
        }
        assert_eq!(chain(two, agree(1, Evidence::Agreement)).unwrap_err(), EvmSetupError::Alone(1));
        let refused = chain(&["ftp://user:secret@host/path"], EvmSettings::default()).unwrap_err();
        assert_eq!(refused, EvmSetupError::Address("ftp://host:21".to_owned()));
    }

    #[test]
    fn nothing_shows_credentials() {
        let chain = chain(&["https://user:secret@host/v3/key?token=1"], EvmSettings::default()).unwrap();
        assert_eq!(format!("{chain:?}"), r#"EvmChain(eip155:1, ["https://host:443"])"#);
        assert_eq!(chain.health()[0].name, "https://host:443");
    }

    /// Tasks own a chain and ask it: this compiles or it does not.
    #[test]
    fn its_questions_may_move_between_threads() {
        fn movable(_: impl Send) {}
        let chain = chain(&["http://a:1"], EvmSettings::default()).unwrap();
        let (at, address) = (B256::ZERO, Address::ZERO);
        let proxy = Proxy { chain: 1, address };
        let slot = Slot { proxy, kind: WalletKind::Evm, owner: address, index: U256::ZERO };
        let (call, raw) = (
            Call { from: address, to: address, value: U256::ZERO, gas: None, gas_price: None, data: Bytes::new() },
            Bytes::new(),
        );
        movable(chain.tips());
        movable((chain.tips_of_each(), chain.hash_of_each(1)));
        movable(chain.block(1));
        movable(chain.mark(address, 1));
        movable(chain.range(address, Mark { height: 1, hash: at, next_trace: U256::ZERO }));
        movable(chain.deployment(address, at));
        movable(chain.has_role(address, at, address, at));
        movable((chain.wallet(&slot, at), chain.wallets_filled(&slot, at), chain.wallet_text(&slot, at)));
        movable(chain.request_state(address, U256::ZERO, at));
        movable((chain.proxy_admin(address, at), chain.has_code(address, at), chain.pending_nonce(address)));
        movable((chain.account(address, at), chain.simulate(&call), chain.estimate_gas(&call, at)));
        movable((chain.send(&raw), chain.send_everywhere(&raw)));
        movable((chain.receipt(at), chain.final_receipt(at)));
    }
}
