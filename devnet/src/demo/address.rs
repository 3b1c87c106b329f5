//! The addresses of a key on other chains, derived with those chains' own libraries.
//!
//! Refuses to ask anybody: what the chain lists is compared with this, address by address.

use alloy_primitives::Address as EvmAddress;
use bitcoin::hashes::Hash as _;
use bitcoin::{Address as BitcoinAddress, CompressedPublicKey, KnownHrp, base58};
use chain_client::KeyType;
use chain_client::proto::zrchain::treasury::WalletType;
use k256::ecdsa::VerifyingKey;

use super::proof::Unverified;

/// Human-readable part of native addresses.
pub(crate) const NATIVE_PREFIX: &str = "zen";

const ZCASH_MAINNET: [u8; 2] = [0x1c, 0xb8];
const ZCASH_TESTNET: [u8; 2] = [0x1d, 0x25];

/// All wallets of a key, in the order in which the chain lists them.
///
/// # Errors
/// [`Unverified::Malformed`] when the bytes are no key of that type.
pub(crate) fn wallets(key_type: KeyType, public_key: &[u8]) -> Result<Vec<(WalletType, String)>, Unverified> {
    match key_type {
        KeyType::EcdsaSecp256k1 => Ok(vec![
            (WalletType::Native, native(public_key)?.to_string()),
            (WalletType::Evm, evm(public_key)?.to_checksum(None)),
        ]),
        KeyType::BitcoinSecp256k1 => {
            let key = bitcoin_key(public_key)?;
            let segwit = |network| BitcoinAddress::p2wpkh(&key, network).to_string();
            let zcash = |version: [u8; 2]| {
                base58::encode_check(&[version.as_slice(), &key.pubkey_hash().to_byte_array()].concat())
            };
            Ok(vec![
                (WalletType::BtcTestnet, segwit(KnownHrp::Testnets)),
                (WalletType::BtcMainnet, segwit(KnownHrp::Mainnet)),
                (WalletType::BtcRegnet, segwit(KnownHrp::Regtest)),
                (WalletType::ZcashMainnet, zcash(ZCASH_MAINNET)),
                (WalletType::ZcashTestnet, zcash(ZCASH_TESTNET)),
            ])
        }
        KeyType::EddsaEd25519 => {
            let key: &[u8; 32] =
                public_key.try_into().map_err(|_| Unverified::malformed("public key", "not 32 bytes"))?;
            Ok(vec![(WalletType::Solana, bs58::encode(key).into_string())])
        }
    }
}

/// The account of a native chain.
///
/// # Errors
/// [`Unverified::Malformed`] when the bytes are no key.
pub(crate) fn native(public_key: &[u8]) -> Result<cosmrs::AccountId, Unverified> {
    let key = cosmrs::crypto::PublicKey::from(verifying_key(public_key)?);
    key.account_id(NATIVE_PREFIX).map_err(|why| Unverified::malformed("public key", why))
}

/// The account of an EVM chain.
///
/// # Errors
/// [`Unverified::Malformed`] when the bytes are no key.
pub(crate) fn evm(public_key: &[u8]) -> Result<EvmAddress, Unverified> {
    Ok(EvmAddress::from_public_key(&verifying_key(public_key)?))
}

/// The key as Bitcoin's library has it.
///
/// # Errors
/// [`Unverified::Malformed`] when the bytes are no key.
pub(crate) fn bitcoin_key(public_key: &[u8]) -> Result<CompressedPublicKey, Unverified> {
    CompressedPublicKey::from_slice(public_key).map_err(|why| Unverified::malformed("public key", why))
}

/// The key as the Ethereum and Cosmos libraries have it.
///
/// # Errors
/// [`Unverified::Malformed`] when the bytes are no key.
pub(crate) fn verifying_key(public_key: &[u8]) -> Result<VerifyingKey, Unverified> {
    VerifyingKey::from_sec1_bytes(public_key).map_err(|why| Unverified::malformed("public key", why))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key and its addresses, computed elsewhere.
    const KEY: &str = "0258686caab00866db8f9e41e16da7cbaedfe0ead7881974b1b1741ed925022927";

    fn addresses(key_type: KeyType, key: &str) -> Vec<String> {
        let key = hex::decode(key).expect("hex");
        wallets(key_type, &key).expect("a key").into_iter().map(|(_, address)| address).collect()
    }

    #[test]
    fn the_addresses_are_those_of_the_worked_example() {
        assert_eq!(
            addresses(KeyType::EcdsaSecp256k1, KEY),
            ["zen1f8ym39ah2vk3z8jt3g55lt6cgwqtee2dm5408m", "0x9eC106B00D473afF9918Ad96ce99085Df841Fcb7"]
        );
        assert_eq!(
            addresses(KeyType::BitcoinSecp256k1, KEY),
            [
                "tb1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2da9zk55",
                "bc1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dhre908",
                "bcrt1qf8ym39ah2vk3z8jt3g55lt6cgwqtee2dlvmmra",
                "t1QbkzAVfNC2VqYAa8u4WTjCGbgParXUGLW",
                "tmGSWJzz4krXzynN1odNFKPs2CfUQPumcz9",
            ]
        );
        let ed25519 = "3ab310d1348ceff1dc7377243381c19d4da032fa2e401876d0e4bae4d708e3e0";
        assert_eq!(addresses(KeyType::EddsaEd25519, ed25519), ["4x91kzJfjch9pmjjCn2x9fiU9AXw7shyQfVVe5Pif6sR"]);
    }

    #[test]
    fn bytes_that_are_no_key_have_no_address() {
        assert!(wallets(KeyType::EcdsaSecp256k1, &[5; 33]).is_err());
        assert!(wallets(KeyType::BitcoinSecp256k1, &[2; 32]).is_err());
        assert!(wallets(KeyType::EddsaEd25519, &[2; 33]).is_err());
    }
}
