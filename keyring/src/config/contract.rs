//! `[[contract]]`: a zrSign contract on an EVM chain, and what this party may pay there.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use alloy_primitives::B256;
use chain_client::zrsign::name::Proxy;
use serde::{Deserialize, Serialize};

use super::{ConfigError, EndpointUrl, SecretRef, check_endpoint, check_secret, refuse, within_ms};

/// Most blocks that may be waited for, and between turns.
const BLOCKS_MAX: u64 = 100_000;
/// Bounds on the bound on replies: an ordinary full block passes, and four at a time fit into memory.
const REPLY_BYTES_LEAST: usize = 1024 * 1024;
const REPLY_BYTES_MOST: usize = 1024 * 1024 * 1024;
/// Most entries of a list.
const LIST_MAX: usize = 64;

/// One `[[contract]]` as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawContract {
    /// `eip155:CHAIN/ADDRESS`: chain id and proxy, the address in its mixed-case form.
    pub proxy: String,
    /// JSON-RPC addresses of nodes of that chain, the first preferred.
    pub endpoints: Vec<String>,
    /// The secp256k1 key of the account that sends answers: 32 bytes, or 64 hexadecimal digits.
    pub account: SecretRef,
    /// keccak-256 of the runtime code of every implementation that may stand behind the proxy, `0x` and 64 digits.
    pub code: Vec<String>,
    /// The contract's logs are read behind this block.
    pub first_block: u64,
    /// `finalized`, or the number of blocks that must follow one until it counts as final.
    #[serde(default)]
    pub finality: RawFinality,
    /// `roots`, `blooms` or `agreement`: what proves that a block's logs are all there.
    #[serde(default)]
    pub evidence: RawEvidence,
    /// Endpoints that must show the same blocks.
    #[serde(default = "one")]
    pub agree: usize,
    /// Destinations of transactions by CAIP-2, beside those that the contract's own logs tell of.
    #[serde(default)]
    pub destinations: Vec<String>,
    /// Blocks from one party's turn to send to the next.
    #[serde(default = "wait_blocks")]
    pub wait_blocks: u64,
    /// What is offered for gas, in percent of the base fee.
    #[serde(default = "price_percent")]
    pub price_percent: u64,
    /// What is offered beyond that, in wei.
    #[serde(default = "tip_wei")]
    pub tip_wei: u64,
    /// Highest price of gas, in wei.
    pub price_max_wei: u64,
    /// Most wei that one answer may cost this party.
    pub max_loss_per_answer_wei: u64,
    /// Most wei that all answers may cost it in one UTC day.
    pub max_loss_per_day_wei: u64,
    /// How often the chain is asked for news.
    #[serde(default = "poll_interval", with = "humantime_serde")]
    pub poll_interval: Duration,
    /// Longest wait for one reply of an endpoint.
    #[serde(default = "call_timeout", with = "humantime_serde")]
    pub call_timeout: Duration,
    /// Largest reply of an endpoint that is taken, in bytes.
    #[serde(default = "reply_bytes_max")]
    pub reply_bytes_max: usize,
}

/// When a block counts as final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawFinality {
    /// The chain says so itself.
    #[default]
    #[serde(with = "finalized")]
    Finalized,
    /// So many blocks have followed it.
    Depth(u64),
}

/// The one word of [`RawFinality::Finalized`].
mod finalized {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    const WORD: &str = "finalized";

    pub(super) fn serialize<S: Serializer>(to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(WORD)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<(), D::Error> {
        match String::deserialize(from)?.as_str() {
            WORD => Ok(()),
            other => Err(D::Error::custom(format!("{other:?} is neither {WORD:?} nor a number of blocks"))),
        }
    }
}

/// What proves that a block's logs are all there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawEvidence {
    /// Hashes of headers and receipts: Ethereum, and chains with its headers.
    #[default]
    Roots,
    /// The bloom that the header tells of.
    Blooms,
    /// Nothing: endpoints must agree.
    Agreement,
}

/// One `[[contract]]`, checked.
#[derive(Clone, Debug)]
pub struct ContractConfig {
    /// The contract.
    pub proxy: Proxy,
    /// Nodes to ask, the first preferred.
    pub endpoints: Vec<EndpointUrl>,
    /// The key of the account that sends.
    pub account: SecretRef,
    /// Code that may run.
    pub code: BTreeSet<B256>,
    /// Logs are read behind this block.
    pub first_block: u64,
    /// When a block is final.
    pub finality: RawFinality,
    /// What proves logs.
    pub evidence: RawEvidence,
    /// Endpoints that must show the same.
    pub agree: usize,
    /// By CAIP-2.
    pub destinations: Vec<String>,
    /// Blocks between turns.
    pub wait_blocks: u64,
    /// Percent of the base fee.
    pub price_percent: u64,
    /// In wei.
    pub tip_wei: u64,
    /// In wei.
    pub price_max_wei: u64,
    /// In wei.
    pub max_loss_per_answer_wei: u64,
    /// In wei.
    pub max_loss_per_day_wei: u64,
    /// How often the chain is asked.
    pub poll_interval: Duration,
    /// Longest wait for one reply.
    pub call_timeout: Duration,
    /// Largest reply, in bytes.
    pub reply_bytes_max: usize,
}

/// Checks one entry.
///
/// # Errors
/// [`ConfigError::Field`] for the first field that breaks its rule.
pub(super) fn check(raw: RawContract, at: &str, folder: &Path) -> Result<ContractConfig, ConfigError> {
    let proxy: Proxy =
        raw.proxy.parse().or_else(|error| refuse(format!("{at}.proxy"), format!("is wrong: {error}")))?;
    let endpoints = check_evm_endpoints(&raw.endpoints, at)?;
    if raw.code.is_empty() || raw.code.len() > LIST_MAX {
        let what = "must list 1 to 64 code hashes: whoever can put other code behind the proxy could ask for anybody's \
                    signature";
        return refuse(format!("{at}.code"), what);
    }
    let mut code = BTreeSet::new();
    for (place, text) in raw.code.iter().enumerate() {
        let hash = text.parse::<B256>().ok().filter(|_| text.starts_with("0x"));
        let wrong = || refuse(format!("{at}.code[{place}]"), "is no hash: write 0x and 64 hexadecimal digits");
        code.insert(hash.map_or_else(wrong, Ok)?);
    }
    check_finality(raw.finality, at)?;
    let least = if raw.evidence == RawEvidence::Agreement { 2 } else { 1 };
    if !(least..=endpoints.len()).contains(&raw.agree) {
        return refuse(
            format!("{at}.agree"),
            format!("is {}; it must lie between {least} and the number of endpoints", raw.agree),
        );
    }
    let is_caip =
        |text: &String| text.len() <= 64 && text.split_once(':').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
    if raw.destinations.len() > LIST_MAX || !raw.destinations.iter().all(is_caip) {
        return refuse(format!("{at}.destinations"), "must be at most 64 texts like \"eip155:1\"");
    }
    if !(1..=BLOCKS_MAX).contains(&raw.wait_blocks) {
        return refuse(format!("{at}.wait_blocks"), format!("must lie between 1 and {BLOCKS_MAX}"));
    }
    if !(100..=1_000).contains(&raw.price_percent) {
        return refuse(format!("{at}.price_percent"), "must lie between 100 and 1000 percent of the base fee");
    }
    if raw.price_max_wei == 0 || raw.tip_wei > raw.price_max_wei {
        return refuse(format!("{at}.price_max_wei"), "must be above 0 and not below `tip_wei`");
    }
    if !(REPLY_BYTES_LEAST..=REPLY_BYTES_MOST).contains(&raw.reply_bytes_max) {
        let field = format!("{at}.reply_bytes_max");
        return refuse(field, format!("must lie between {REPLY_BYTES_LEAST} and {REPLY_BYTES_MOST} bytes"));
    }
    if raw.max_loss_per_answer_wei > raw.max_loss_per_day_wei {
        return refuse(format!("{at}.max_loss_per_day_wei"), "must not be below `max_loss_per_answer_wei`");
    }
    Ok(ContractConfig {
        proxy,
        endpoints,
        account: check_secret(raw.account, &format!("{at}.account"), folder)?,
        code,
        first_block: raw.first_block,
        finality: raw.finality,
        evidence: raw.evidence,
        agree: raw.agree,
        destinations: raw.destinations,
        wait_blocks: raw.wait_blocks,
        price_percent: raw.price_percent,
        tip_wei: raw.tip_wei,
        price_max_wei: raw.price_max_wei,
        max_loss_per_answer_wei: raw.max_loss_per_answer_wei,
        max_loss_per_day_wei: raw.max_loss_per_day_wei,
        poll_interval: within_ms(&format!("{at}.poll_interval"), raw.poll_interval, 50, 60_000)?,
        call_timeout: within_ms(&format!("{at}.call_timeout"), raw.call_timeout, 100, 60_000)?,
        reply_bytes_max: raw.reply_bytes_max,
    })
}

pub(super) fn check_evm_endpoints(texts: &[String], at: &str) -> Result<Vec<EndpointUrl>, ConfigError> {
    if texts.is_empty() || texts.len() > 16 {
        return refuse(format!("{at}.endpoints"), "must name 1 to 16 nodes");
    }
    let checked = |(place, text): (usize, &String)| check_endpoint(text, &format!("{at}.endpoints[{place}]"));
    texts.iter().enumerate().map(checked).collect()
}

pub(super) fn check_finality(finality: RawFinality, at: &str) -> Result<(), ConfigError> {
    let depth = match finality {
        RawFinality::Finalized => None,
        RawFinality::Depth(depth) => Some(depth),
    };
    if depth == Some(0) && !cfg!(feature = "devnet") {
        return refuse(format!("{at}.finality"), "is 0, which only development builds take; write \"finalized\"");
    }
    if depth.is_some_and(|depth| depth > BLOCKS_MAX) {
        return refuse(format!("{at}.finality"), format!("is more than {BLOCKS_MAX} blocks"));
    }
    Ok(())
}

const fn one() -> usize {
    1
}

const fn wait_blocks() -> u64 {
    3
}

/// Above 135 percent a wallet's first key costs more than its request has paid (docs/sending.md).
const fn price_percent() -> u64 {
    125
}

const fn tip_wei() -> u64 {
    0
}

const fn poll_interval() -> Duration {
    Duration::from_secs(2)
}

const fn call_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn reply_bytes_max() -> usize {
    64 * 1024 * 1024
}
