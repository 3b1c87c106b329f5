//! Proxies, wallet types and destinations, and the names of requests.
//!
//! Wallet types and destinations are hashes on the contract. A hash cannot be inverted, so a keyring knows those that it
//! was told of: wallet types are a closed list, destinations come from configuration and `ChainIdSupport` events.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use serde::{Deserialize, Serialize};

use crate::name::KeyType;
use crate::proto::zrchain::treasury::WalletType;
use crate::wallet::{self, WalletError};

/// A zrSign contract: its proxy on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Proxy {
    /// The chain's EIP-155 id.
    pub chain: u64,
    /// The proxy's address.
    pub address: Address,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eip155:{}/{}", self.chain, self.address)
    }
}

/// A text that names no contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no contract: write eip155:CHAIN/ADDRESS, the address in its mixed-case form")]
pub struct ProxyError(pub String);

/// `eip155:31337/0x9fE4…`, in exactly the form in which it is shown: one contract has one text.
impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let parsed = text.strip_prefix("eip155:").and_then(|rest| rest.split_once('/')).and_then(|(chain, address)| {
            Some(Self { chain: chain.parse().ok()?, address: Address::parse_checksummed(address, None).ok()? })
        });
        parsed.filter(|proxy| proxy.chain > 0 && proxy.to_string() == text).ok_or_else(|| ProxyError(text.to_owned()))
    }
}

/// The wallets that a keyring makes keys for, by their SLIP-44 coin type. The contract knows them as
/// `keccak256(abi.encode(44, coin))`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WalletKind {
    /// Coin 60.
    Evm,
    /// Coin 0.
    BitcoinMainnet,
    /// Coin 1.
    BitcoinTestnet,
}

impl WalletKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Evm, Self::BitcoinMainnet, Self::BitcoinTestnet];

    /// SLIP-44 coin type.
    #[must_use]
    pub const fn coin(self) -> u64 {
        match self {
            Self::Evm => 60,
            Self::BitcoinMainnet => 0,
            Self::BitcoinTestnet => 1,
        }
    }

    /// The wallet type id on the contract.
    #[must_use]
    pub fn id(self) -> B256 {
        keccak256((U256::from(44), U256::from(self.coin())).abi_encode_params())
    }

    /// The kind behind a wallet type id; `None` for one that this program does not serve.
    #[must_use]
    pub fn of(id: B256) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.id() == id)
    }

    /// The type of its keys.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::Evm => KeyType::EcdsaSecp256k1,
            Self::BitcoinMainnet | Self::BitcoinTestnet => KeyType::BitcoinSecp256k1,
        }
    }

    /// The one form in which the address of a wallet with this key is published: mixed case for EVM,
    /// pay-to-witness-public-key-hash for Bitcoin.
    ///
    /// # Errors
    /// When the bytes are no compressed secp256k1 key.
    pub fn address(self, public_key: &[u8]) -> Result<String, WalletError> {
        let wallet = match self {
            Self::Evm => WalletType::Evm,
            Self::BitcoinMainnet => WalletType::BtcMainnet,
            Self::BitcoinTestnet => WalletType::BtcTestnet,
        };
        wallet::address(self.key_type(), public_key, wallet, "")
    }
}

/// Where a wallet's transactions go: CAIP-2 texts by their hash on the contract.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Destinations(BTreeMap<B256, String>);

impl Destinations {
    /// Learns a destination; whether it is new. The text is the proof of its own id.
    pub fn learn(&mut self, caip: &str) -> bool {
        self.0.insert(keccak256(caip), caip.to_owned()).is_none()
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The CAIP-2 text behind an id.
    #[must_use]
    pub fn caip(&self, id: B256) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }

    /// The EIP-155 chain id behind an id; `None` when it is unknown, or no EVM chain.
    #[must_use]
    pub fn eip155(&self, id: B256) -> Option<u64> {
        let number = self.caip(id)?.strip_prefix("eip155:")?;
        // One text is one chain: no sign, no leading zero.
        number.parse().ok().filter(|parsed: &u64| *parsed > 0 && parsed.to_string() == number)
    }
}

/// A slot for a key: what a key request asks to be filled. There is one open slot per (type, owner) at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The contract.
    pub proxy: Proxy,
    /// The wallet type.
    pub kind: WalletKind,
    /// Who owns the wallet.
    pub owner: Address,
    /// Its place among the owner's wallets of that type.
    pub index: U256,
}

impl Slot {
    /// The contract's own name of the wallet: unique across chains and deployments.
    #[must_use]
    pub fn wallet_id(&self) -> B256 {
        let place = (U256::from(self.proxy.chain), self.proxy.address, self.kind.id(), self.owner, self.index);
        keccak256(place.abi_encode_params())
    }

    /// The contract's name of all wallets of this owner and type.
    #[must_use]
    pub fn workspace_id(&self) -> B256 {
        let place = (U256::from(self.proxy.chain), self.proxy.address, self.kind.id(), self.owner);
        keccak256(place.abi_encode_params())
    }
}

/// A place in a chain's logs. A reorganised chain can show another request at the same trace id; this names which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPlace {
    /// The block's height.
    pub height: u64,
    /// The block.
    pub block: B256,
    /// The log's index within the block.
    pub index: u64,
}

/// A signature request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceName {
    /// The contract.
    pub proxy: Proxy,
    /// Its counter.
    pub trace: U256,
    /// The log that asked.
    pub at: LogPlace,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256};

    #[test]
    fn wallet_types_are_the_contracts_hashes() {
        let known = [
            (WalletKind::Evm, b256!("e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a")),
            (WalletKind::BitcoinTestnet, b256!("e03615811ae25b894de73e643038c13c37f602dc1e17ff1a02e5854893f3bd5e")),
            (WalletKind::BitcoinMainnet, b256!("2bfb33747d039531bb279f93c386332ae05e0c10b395017fd2d93fe9fc4c6e23")),
        ];
        for (kind, id) in known {
            assert_eq!(kind.id(), id);
            assert_eq!(WalletKind::of(id), Some(kind));
        }
        let solana = b256!("8a375db0ff9a56957d99a4bad57c805d2a14a800f306caceab7a289e5571d0ef");
        assert_eq!(WalletKind::of(solana), None, "never configured, not served");
    }

    #[test]
    fn a_contract_has_one_text() {
        let text = "eip155:31337/0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";
        let proxy: Proxy = text.parse().unwrap();
        assert_eq!((proxy.chain, proxy.to_string().as_str()), (31_337, text));
        let lower = text.to_lowercase();
        for odd in ["", "eip155:31337", "eip155:0/", &lower, &text.replace("31337", "031337"), &text[..50]] {
            assert!(odd.parse::<Proxy>().is_err(), "{odd}");
        }
    }

    #[test]
    fn destinations_are_known_by_their_texts_alone() {
        let mut known = Destinations::default();
        assert!(known.learn("eip155:11155111"));
        assert!(!known.learn("eip155:11155111"));
        let sepolia = b256!("afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7");
        assert_eq!(known.eip155(sepolia), Some(11_155_111));
        let local = b256!("318e51c37247d03bad135571413b06a083591bcc680967d80bf587ac928cf369");
        assert_eq!(known.eip155(local), None, "nobody told us of it");
        known.learn("bip122:000000000933ea01ad0ee984209779ba");
        let bitcoin = b256!("cc8dcc74cf3de5b0154f437b295f5d0709e6527ffb67b1201e78769ff0cccbf7");
        assert_eq!(known.caip(bitcoin), Some("bip122:000000000933ea01ad0ee984209779ba"));
        assert_eq!(known.eip155(bitcoin), None);
        for odd in ["eip155:", "eip155:+1", "eip155:01", "eip155:0", "eip155:18446744073709551616"] {
            known.learn(odd);
            assert_eq!(known.eip155(keccak256(odd)), None, "{odd}");
        }
    }

    /// Worked example 1 of the facts.
    #[test]
    fn a_slot_has_the_contracts_name() {
        let slot = Slot {
            proxy: Proxy { chain: 31_337, address: address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0") },
            kind: WalletKind::Evm,
            owner: address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
            index: U256::ZERO,
        };
        let wallet = b256!("0969f340829ada2b3b19244a1f10af1e0fbb0776297b2d5fc49d817a3d5745c0");
        let workspace = b256!("74fd734702ddd824d3ee33b44a5d01778018864a782fc904a9d93ed8ea829167");
        assert_eq!((slot.wallet_id(), slot.workspace_id()), (wallet, workspace));
    }
}
