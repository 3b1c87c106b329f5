//! The chain that the demo plays on: rich people, gas at a live chain's price, requests that live for two minutes.

use std::collections::{BTreeMap, BTreeSet};

use crate::chain::{Genesis, GenesisAccount, IdentityParams, PolicyParams, TreasuryParams};

/// A million ROCK each.
const RICH_UROCK: u128 = 1_000_000_000_000;
/// At blocks of a second these are two minutes: time enough on a busy laptop, an end in sight when nobody answers.
const LIFETIME_BLOCKS: u64 = 120;

/// A genesis in which these people, by name and address, have money. Nothing is reserved; everything else is a live
/// chain's default.
pub fn genesis(chain: &str, people: &[(&str, &str)]) -> Genesis {
    let account = |(number, (name, address)): (u64, &(&str, &str))| GenesisAccount {
        address: (*address).to_owned(),
        module: None,
        urock: RICH_UROCK,
        name: Some((*name).to_owned()),
        number,
        sequence: 0,
    };
    Genesis {
        chain_id: chain.to_owned(),
        accounts: (0..).zip(people).map(account).collect(),
        treasury_params: TreasuryParams {
            min_gas_fee: "0.0001urock".to_owned(),
            default_btl: LIFETIME_BLOCKS,
            ..Default::default()
        },
        identity_params: IdentityParams::default(),
        policy_params: PolicyParams::default(),
        reserved_key_ids: BTreeSet::new(),
        asset_proxies: BTreeMap::new(),
        keyrings: Vec::new(),
        workspaces: Vec::new(),
        policies: Vec::new(),
        remarks: Vec::new(),
    }
}
