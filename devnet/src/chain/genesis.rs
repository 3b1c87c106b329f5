//! The genesis file: who has what at height 0.
//!
//! The form is that of a recorded live chain: accounts in the order of their numbers, with balances in urock as text.
//! Private keys are no part of it, so accounts whose keys nobody here knows are fine. Keyrings, workspaces and policies
//! may be given too; a real chain's counters then continue from the *number* of entries, so entries should be the ones
//! of counters 1…k.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chain_client::proto::zrchain::identity::{Keyring, Workspace};
use chain_client::proto::zrchain::policy::{BoolparserPolicy, Policy, PolicyParticipant};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use super::address::Address;
use super::message::packed;
use super::state::{Account, State};

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Name of the chain, part of every signature.
    pub chain_id: String,
    /// Accounts in the order of their numbers.
    pub accounts: Vec<GenesisAccount>,
    /// Parameters of the treasury.
    pub treasury_params: TreasuryParams,
    /// Parameters of the identity module.
    #[serde(default)]
    pub identity_params: IdentityParams,
    /// Parameters of the policy module.
    #[serde(default)]
    pub policy_params: PolicyParams,
    /// Key ids that no user message may name for signing.
    #[serde(default)]
    pub reserved_key_ids: BTreeSet<u64>,
    /// Per asset (`ASSET_ZENBTC`, `ASSET_ZENZEC`) the account that may ask deposit keys to sign.
    #[serde(default)]
    pub asset_proxies: BTreeMap<String, String>,
    /// Keyrings that exist from the start.
    #[serde(default)]
    pub keyrings: Vec<GenesisKeyring>,
    /// Workspaces that exist from the start.
    #[serde(default)]
    pub workspaces: Vec<GenesisWorkspace>,
    /// Policies that exist from the start; the only way to one that names transaction data.
    #[serde(default)]
    pub policies: Vec<GenesisPolicy>,
    /// For the reader.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// `zen1…`
    pub address: String,
    /// Module that owns it.
    #[serde(default)]
    pub module: Option<String>,
    /// Balance.
    #[serde(deserialize_with = "number_or_text", serialize_with = "as_text")]
    pub urock: u128,
    /// For the reader.
    #[serde(default)]
    pub name: Option<String>,
    /// Must equal its place in the list.
    pub number: u64,
    /// Transactions already sent.
    #[serde(default)]
    pub sequence: u64,
}

/// Parameters of the treasury.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreasuryParams {
    /// Keyring of zrSign keys.
    #[serde(default)]
    pub mpc_keyring: String,
    /// The zrSign connector's account.
    #[serde(default)]
    pub zr_sign_address: String,
    /// Percent of keyring fees that the collector takes.
    #[serde(default, deserialize_with = "number_or_text")]
    pub keyring_commission: u64,
    /// Not used by the chain.
    #[serde(default)]
    pub keyring_commission_destination: String,
    /// Price of gas, such as `0.0001urock`; empty for none.
    #[serde(default)]
    pub min_gas_fee: String,
    /// Blocks that a request lives; 0 means 20.
    #[serde(default, deserialize_with = "number_or_text")]
    pub default_btl: u64,
}

/// Parameters of the identity module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityParams {
    /// What a new keyring costs, urock.
    #[serde(deserialize_with = "number_or_text")]
    pub keyring_creation_fee: u64,
}

impl Default for IdentityParams {
    fn default() -> Self {
        Self { keyring_creation_fee: 10_000_000_000 }
    }
}

/// Parameters of the policy module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyParams {
    /// Least life of an action, blocks.
    #[serde(deserialize_with = "number_or_text")]
    pub minimum_btl: u64,
    /// Life of an action that names none, blocks.
    #[serde(deserialize_with = "number_or_text")]
    pub default_btl: u64,
}

impl Default for PolicyParams {
    fn default() -> Self {
        Self { minimum_btl: 10, default_btl: 1_000 }
    }
}

/// A keyring that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisKeyring {
    /// `keyring1…`
    pub address: String,
    /// Who made it.
    #[serde(default)]
    pub creator: String,
    /// Free text.
    #[serde(default)]
    pub description: String,
    /// Who may change it.
    pub admins: Vec<String>,
    /// Who may answer.
    #[serde(default)]
    pub parties: Vec<String>,
    /// Answers needed; 0 behaves as 1.
    #[serde(default)]
    pub party_threshold: u32,
    /// Fee of a key request, urock.
    #[serde(default, deserialize_with = "number_or_text")]
    pub key_req_fee: u64,
    /// Fee of a signature request, urock.
    #[serde(default, deserialize_with = "number_or_text")]
    pub sig_req_fee: u64,
    /// Inactive keyrings reject what they are asked. Active unless the file says otherwise.
    #[serde(default = "active")]
    pub is_active: bool,
    /// All of the fee goes to the collector.
    #[serde(default)]
    pub delegate_fees: bool,
}

fn active() -> bool {
    true
}

/// A workspace that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisWorkspace {
    /// `workspace1…`
    pub address: String,
    /// Who made it; for zrSign any text.
    #[serde(default)]
    pub creator: String,
    /// Who may use it.
    pub owners: Vec<String>,
    /// Policy for changes, 0 is any owner.
    #[serde(default)]
    pub admin_policy_id: u64,
    /// Policy for keys and signatures, 0 is any owner.
    #[serde(default)]
    pub sign_policy_id: u64,
}

/// A policy that exists from the start; its id is its place, from 1.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisPolicy {
    /// Who made it.
    #[serde(default)]
    pub creator: String,
    /// Free text.
    #[serde(default)]
    pub name: String,
    /// Expression over participants and names of transaction data.
    pub definition: String,
    /// Addresses.
    pub participants: Vec<String>,
    /// Life of its actions, blocks; 0 for the default.
    #[serde(default)]
    pub btl: u64,
}

/// Why a genesis file starts no chain.
#[derive(Debug, Error)]
pub enum GenesisError {
    /// The file cannot be read.
    #[error("genesis file {path} cannot be read")]
    Unreadable {
        /// Where it should be.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no genesis.
    #[error("genesis is malformed")]
    Malformed(#[source] serde_json::Error),
    /// One entry contradicts the rules.
    #[error("genesis {what} is invalid: {why}")]
    Invalid {
        /// Which entry.
        what: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Genesis {
    /// Reads a genesis file.
    ///
    /// # Errors
    /// It cannot be read, or is malformed.
    pub fn read(path: &Path) -> Result<Self, GenesisError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| GenesisError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Reads a genesis text.
    ///
    /// # Errors
    /// It is malformed.
    pub fn parse(text: &str) -> Result<Self, GenesisError> {
        serde_json::from_str(text).map_err(GenesisError::Malformed)
    }

    pub(crate) fn check(&self) -> Result<(), GenesisError> {
        let invalid = |what: String, why: String| GenesisError::Invalid { what, why };
        if self.chain_id.is_empty() {
            return Err(invalid("chain_id".into(), "empty".into()));
        }
        let mut known = BTreeSet::new();
        for (place, account) in self.accounts.iter().enumerate() {
            let what = || format!("account {}", account.address);
            if !known.insert(Address::parse(&account.address).map_err(|why| invalid(what(), why))?) {
                return Err(invalid(what(), "listed twice".into()));
            }
            if account.number != place as u64 {
                return Err(invalid(what(), format!("number {} at place {place}", account.number)));
            }
        }
        for keyring in &self.keyrings {
            let what = || format!("keyring {}", keyring.address);
            super::address::check_keyring(&keyring.address).map_err(|why| invalid(what(), why))?;
        }
        for workspace in &self.workspaces {
            let what = || format!("workspace {}", workspace.address);
            super::address::check_workspace(&workspace.address).map_err(|why| invalid(what(), why))?;
        }
        if self.treasury_params.keyring_commission > 100 {
            return Err(invalid("treasury_params.keyring_commission".into(), "over 100 percent".into()));
        }
        super::coins::GasPrice::parse(&self.treasury_params.min_gas_fee)
            .map_err(|why| invalid("treasury_params.min_gas_fee".into(), why))?;
        Ok(())
    }
}

/// The state that a genesis describes.
pub(crate) fn state_of(genesis: &Genesis) -> Result<State, GenesisError> {
    let mut state = State::default();
    for entry in &genesis.accounts {
        let address = Address::parse(&entry.address)
            .map_err(|why| GenesisError::Invalid { what: format!("account {}", entry.address), why })?;
        let account =
            Account { number: entry.number, sequence: entry.sequence, public_key: None, module: entry.module.clone() };
        state.set_balance(&address, entry.urock);
        state.accounts.insert_mut(address, Arc::new(account));
    }
    for entry in &genesis.keyrings {
        state.put_keyring(Keyring {
            address: entry.address.clone(),
            creator: entry.creator.clone(),
            description: entry.description.clone(),
            admins: entry.admins.clone(),
            parties: entry.parties.clone(),
            party_threshold: entry.party_threshold,
            key_req_fee: entry.key_req_fee,
            sig_req_fee: entry.sig_req_fee,
            is_active: entry.is_active,
            delegate_fees: entry.delegate_fees,
        });
    }
    for entry in &genesis.workspaces {
        state.put_workspace(Workspace {
            address: entry.address.clone(),
            creator: entry.creator.clone(),
            owners: entry.owners.clone(),
            child_workspaces: Vec::new(),
            admin_policy_id: entry.admin_policy_id,
            sign_policy_id: entry.sign_policy_id,
            alias: String::new(),
        });
    }
    for (place, entry) in genesis.policies.iter().enumerate() {
        let participants = entry.participants.iter();
        let participants =
            participants.map(|address| PolicyParticipant { address: address.clone(), ..PolicyParticipant::default() });
        let rule = BoolparserPolicy { definition: entry.definition.clone(), participants: participants.collect() };
        let policy = Policy {
            creator: entry.creator.clone(),
            id: place as u64 + 1,
            name: entry.name.clone(),
            policy: Some(packed(&rule)),
            btl: entry.btl,
        };
        state.policies.insert_mut(policy.id, Arc::new(policy));
    }
    state.counters.accounts = genesis.accounts.len() as u64;
    state.counters.keyrings = genesis.keyrings.len() as u64;
    state.counters.workspaces = genesis.workspaces.len() as u64;
    state.counters.policies = genesis.policies.len() as u64;
    Ok(state)
}

/// Live chains print 64-bit numbers as text.
fn number_or_text<'de, D: Deserializer<'de>, N>(deserializer: D) -> Result<N, D::Error>
where
    N: Deserialize<'de> + std::str::FromStr,
    N::Err: std::fmt::Display,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    let text = match Either::deserialize(deserializer)? {
        Either::Number(number) => number.to_string(),
        Either::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

fn as_text<S: serde::Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"chain_id":"zenrock","accounts":[{"address":"zen1unawes3nxpxcg5aqxhetk7xkm5s2evc49zswmy",
        "module":null,"urock":"250000000000000","name":"alice","number":0,"sequence":0}],
        "treasury_params":{"keyring_commission":10,"min_gas_fee":"0.0001urock","default_btl":"0"}}"#;

    #[test]
    fn numbers_may_be_text() {
        let genesis = Genesis::parse(SMALL).expect("genesis");
        assert_eq!(genesis.accounts[0].urock, 250_000_000_000_000);
        genesis.check().expect("valid");
    }

    #[test]
    fn an_account_out_of_order_is_refused() {
        let genesis = Genesis::parse(&SMALL.replace("\"number\":0", "\"number\":3")).expect("genesis");
        assert!(genesis.check().is_err());
    }

    #[test]
    fn a_genesis_reads_back_what_it_writes() {
        let genesis = Genesis::parse(SMALL).expect("genesis");
        let text = serde_json::to_string(&genesis).expect("text");
        assert_eq!(Genesis::parse(&text).expect("genesis"), genesis);
    }
}
