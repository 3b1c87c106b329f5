//! `[[destination]]`: an EVM chain to which simple transactions may go, and what these may cost their wallet there.

use std::time::Duration;

use chain_client::zrsign::transaction::Caps;
use serde::{Deserialize, Serialize};

use super::contract::{check_evm_endpoints, check_finality};
use super::{ConfigError, EndpointUrl, RawEvidence, RawFinality, refuse, within_ms};

/// Gas of a transfer, the least that a transaction uses.
const TRANSFER_GAS: u64 = 21_000;

/// One `[[destination]]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDestination {
    /// `eip155:CHAIN`.
    pub chain: String,
    /// JSON-RPC addresses of nodes of that chain, the first preferred.
    pub endpoints: Vec<String>,
    /// `finalized`, or the number of blocks that must follow one until it counts as final.
    #[serde(default)]
    pub finality: RawFinality,
    /// `roots`, `blooms` or `agreement`, as for a contract: how much of a header is checked.
    #[serde(default)]
    pub evidence: RawEvidence,
    /// What is offered for gas beyond twice the base fee, in wei.
    #[serde(default = "tip_wei")]
    pub tip_wei: u64,
    /// Highest price of gas, in wei.
    pub price_max_wei: u64,
    /// Highest gas limit of one transaction.
    #[serde(default = "gas_max")]
    pub gas_max: u64,
    /// Longest wait for one reply of an endpoint.
    #[serde(default = "call_timeout", with = "humantime_serde")]
    pub call_timeout: Duration,
}

/// One `[[destination]]`, checked.
#[derive(Clone, Debug)]
pub struct DestinationConfig {
    /// EIP-155 id.
    pub chain: u64,
    /// Nodes to ask, the first preferred.
    pub endpoints: Vec<EndpointUrl>,
    /// When a block is final.
    pub finality: RawFinality,
    /// How much of a header is checked.
    pub evidence: RawEvidence,
    /// What a transaction may cost.
    pub caps: Caps,
    /// Longest wait for one reply.
    pub call_timeout: Duration,
}

/// Checks one entry.
///
/// # Errors
/// [`ConfigError::Field`] for the first field that breaks its rule.
pub(super) fn check(raw: &RawDestination, at: &str) -> Result<DestinationConfig, ConfigError> {
    let number = raw.chain.strip_prefix("eip155:").and_then(|number| number.parse::<u64>().ok());
    let Some(chain) = number.filter(|number| *number > 0 && format!("eip155:{number}") == raw.chain) else {
        return refuse(format!("{at}.chain"), "is no EVM chain; write eip155 and its id, for example \"eip155:1\"");
    };
    let endpoints = check_evm_endpoints(&raw.endpoints, at)?;
    check_finality(raw.finality, at)?;
    if raw.evidence == RawEvidence::Agreement && endpoints.len() < 2 {
        return refuse(format!("{at}.evidence"), "is \"agreement\", for which two endpoints at least must be named");
    }
    if raw.price_max_wei == 0 || raw.tip_wei > raw.price_max_wei {
        return refuse(format!("{at}.price_max_wei"), "must be above 0 and not below `tip_wei`");
    }
    if raw.gas_max < TRANSFER_GAS {
        return refuse(format!("{at}.gas_max"), format!("must be at least {TRANSFER_GAS}, what a transfer uses"));
    }
    Ok(DestinationConfig {
        chain,
        endpoints,
        finality: raw.finality,
        evidence: raw.evidence,
        caps: Caps { tip: raw.tip_wei.into(), gas_price_max: raw.price_max_wei.into(), gas_limit_max: raw.gas_max },
        call_timeout: within_ms(&format!("{at}.call_timeout"), raw.call_timeout, 100, 60_000)?,
    })
}

const fn tip_wei() -> u64 {
    1_000_000_000
}

const fn gas_max() -> u64 {
    1_000_000
}

const fn call_timeout() -> Duration {
    Duration::from_secs(10)
}
