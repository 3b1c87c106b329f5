//! What never changes while the chain runs: its name, its parameters, its reservations, its bounds.

use std::collections::{BTreeMap, BTreeSet};

use chain_client::proto::zrchain::dct::Asset;

use super::coins::GasPrice;
use super::genesis::{Genesis, GenesisError, IdentityParams, PolicyParams, TreasuryParams};

/// Blocks that a request lives when the parameter is 0.
const DEFAULT_LIFE_BLOCKS: u64 = 20;

/// How much the chain keeps and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Heights whose state, block and transactions can still be read. At least 1.
    pub history_blocks: usize,
    /// Transactions waiting for a block.
    pub mempool_transactions: usize,
    /// Bytes of one transaction.
    pub transaction_bytes: usize,
    /// Requests of the chain's own waiting for a block.
    pub system_requests: usize,
    /// Hashes remembered so that the same bytes are recognised.
    pub seen_transactions: usize,
}

impl Default for Bounds {
    /// A laptop's chain: a few thousand heights, the mempool of a live node.
    fn default() -> Self {
        Self {
            history_blocks: 5_000,
            mempool_transactions: 5_000,
            transaction_bytes: 1_048_576,
            system_requests: 1_000,
            seen_transactions: 10_000,
        }
    }
}

/// The fixed part of one chain.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) chain_id: String,
    pub(crate) treasury: TreasuryParams,
    pub(crate) identity: IdentityParams,
    pub(crate) policy: PolicyParams,
    pub(crate) gas_price: GasPrice,
    pub(crate) reserved_key_ids: BTreeSet<u64>,
    pub(crate) asset_proxies: BTreeMap<i32, String>,
    pub(crate) bounds: Bounds,
}

impl Rules {
    pub(crate) fn of(genesis: &Genesis, bounds: Bounds) -> Result<Self, GenesisError> {
        let mut asset_proxies = BTreeMap::new();
        for (asset, proxy) in &genesis.asset_proxies {
            let known = Asset::from_str_name(asset).filter(|asset| *asset != Asset::Unspecified);
            let known = known.ok_or_else(|| GenesisError::Invalid {
                what: format!("asset_proxies.{asset}"),
                why: "expected ASSET_ZENBTC or ASSET_ZENZEC".to_owned(),
            })?;
            asset_proxies.insert(known.into(), proxy.clone());
        }
        let gas_price = GasPrice::parse(&genesis.treasury_params.min_gas_fee)
            .map_err(|why| GenesisError::Invalid { what: "treasury_params.min_gas_fee".to_owned(), why })?;
        Ok(Self {
            chain_id: genesis.chain_id.clone(),
            treasury: genesis.treasury_params.clone(),
            identity: genesis.identity_params.clone(),
            policy: genesis.policy_params.clone(),
            gas_price,
            reserved_key_ids: genesis.reserved_key_ids.clone(),
            asset_proxies,
            bounds: Bounds { history_blocks: bounds.history_blocks.max(1), ..bounds },
        })
    }

    /// The same rules with another floor on fees.
    ///
    /// # Errors
    /// The text is no price; the error says why.
    pub(crate) fn with_floor(&self, min_gas_fee: &str) -> Result<Self, String> {
        let treasury = TreasuryParams { min_gas_fee: min_gas_fee.to_owned(), ..self.treasury.clone() };
        Ok(Self { treasury, gas_price: GasPrice::parse(min_gas_fee)?, ..self.clone() })
    }

    /// Last height at which a request made at `height` can be answered.
    pub(crate) fn deadline(&self, height: u64) -> u64 {
        let life = if self.treasury.default_btl == 0 { DEFAULT_LIFE_BLOCKS } else { self.treasury.default_btl };
        height.saturating_add(life)
    }

    pub(crate) fn is_reserved(&self, key_id: u64) -> bool {
        self.reserved_key_ids.contains(&key_id)
    }
}
