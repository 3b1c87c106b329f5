//! Addresses: of accounts, and of the wallets that one chain key stands for on other chains.
//!
//! Refuses to know keys' secrets and the chain's state. Rules: `docs/zrchain.md`, *Addresses*.

use bech32::{Bech32, Hrp, hrp, segwit};
use k256::PublicKey;
use k256::elliptic_curve::sec1::ToEncodedPoint as _;
use ripemd::Ripemd160;
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use crate::name::KeyType;
use crate::proto::zrchain::treasury::WalletType;

/// Human-readable part of account addresses.
pub const ACCOUNT_PREFIX: &str = "zen";

/// Version bytes of Zcash's transparent addresses: `t1…` and `tm…`.
const ZCASH_MAINNET: [u8; 2] = [0x1c, 0xb8];
const ZCASH_TESTNET: [u8; 2] = [0x1d, 0x25];

/// Why there is no such address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WalletError {
    /// The wallet type needs a key of another type.
    #[error("wallet type {} does not go with {key_type} keys", wallet.as_str_name())]
    Mismatch {
        /// The wallet asked for.
        wallet: WalletType,
        /// The key there is.
        key_type: KeyType,
    },
    /// Not a compressed secp256k1 key or 32 bytes of Ed25519.
    #[error("public key is not a usable key of its type")]
    Key,
    /// Not a human-readable part.
    #[error("address prefix {0:?} is not valid for bech32")]
    Prefix(String),
}

/// RIPEMD-160 of SHA-256.
#[must_use]
pub fn hash160(bytes: &[u8]) -> [u8; 20] {
    Ripemd160::digest(Sha256::digest(bytes)).into()
}

/// The address of a compressed account key: `zen1…`.
#[must_use]
pub fn account_address(public_key: &[u8; 33]) -> String {
    let zen = Hrp::parse_unchecked(ACCOUNT_PREFIX);
    // Twenty bytes with a three-letter prefix are far below bech32's bound.
    bech32::encode::<Bech32>(zen, &hash160(public_key)).unwrap_or_default()
}

/// Bytes as a bech32 address with this prefix, as accounts, keyrings and workspaces have it.
///
/// # Errors
/// When the prefix is not valid or the whole would be too long.
pub fn bech32_address(prefix: &str, payload: &[u8]) -> Result<String, WalletError> {
    let invalid = || WalletError::Prefix(prefix.to_owned());
    let hrp = Hrp::parse(prefix).map_err(|_| invalid())?;
    bech32::encode::<Bech32>(hrp, payload).map_err(|_| invalid())
}

/// The payload of a bech32 address, if it is one and has this prefix.
#[must_use]
pub fn bech32_payload(prefix: &str, address: &str) -> Option<Vec<u8>> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(address).ok()?;
    (checked.hrp().as_str() == prefix).then(|| checked.byte_iter().collect())
}

/// The wallets a key of this type has, in the order in which the chain lists them.
#[must_use]
pub const fn wallets(key_type: KeyType) -> &'static [WalletType] {
    match key_type {
        KeyType::EcdsaSecp256k1 => &[WalletType::Native, WalletType::Evm],
        KeyType::EddsaEd25519 => &[WalletType::Solana],
        KeyType::BitcoinSecp256k1 => &[
            WalletType::BtcTestnet,
            WalletType::BtcMainnet,
            WalletType::BtcRegnet,
            WalletType::ZcashMainnet,
            WalletType::ZcashTestnet,
        ],
    }
}

/// The address of a key's wallet. `prefix` is used by native wallets only; the chain's own is [`ACCOUNT_PREFIX`].
///
/// # Errors
/// When type and wallet do not go together, or the key is none.
pub fn address(key_type: KeyType, public_key: &[u8], wallet: WalletType, prefix: &str) -> Result<String, WalletError> {
    if !wallets(key_type).contains(&wallet) {
        return Err(WalletError::Mismatch { wallet, key_type });
    }
    match wallet {
        WalletType::Native => bech32_address(prefix, &compressed_hash160(public_key)?),
        WalletType::Evm => evm(public_key),
        WalletType::BtcMainnet => segwit(hrp::BC, public_key),
        WalletType::BtcTestnet => segwit(hrp::TB, public_key),
        WalletType::BtcRegnet => segwit(hrp::BCRT, public_key),
        WalletType::ZcashMainnet => base58_check(ZCASH_MAINNET, public_key),
        WalletType::ZcashTestnet => base58_check(ZCASH_TESTNET, public_key),
        WalletType::Solana => {
            let key: &[u8; 32] = public_key.try_into().map_err(|_| WalletError::Key)?;
            Ok(bs58::encode(key).into_string())
        }
        WalletType::Unspecified => Err(WalletError::Mismatch { wallet, key_type }),
    }
}

fn compressed(public_key: &[u8]) -> Result<PublicKey, WalletError> {
    if !matches!(public_key, [2 | 3, x @ ..] if x.len() == 32) {
        return Err(WalletError::Key);
    }
    PublicKey::from_sec1_bytes(public_key).map_err(|_| WalletError::Key)
}

fn compressed_hash160(public_key: &[u8]) -> Result<[u8; 20], WalletError> {
    compressed(public_key)?;
    Ok(hash160(public_key))
}

/// The last 20 bytes of Keccak-256 over the uncompressed point, with EIP-55's capitals as checksum.
fn evm(public_key: &[u8]) -> Result<String, WalletError> {
    let point = compressed(public_key)?.to_encoded_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    let digits = hex::encode(&hash[12..]);
    let checksum = hex::encode(Keccak256::digest(digits.as_bytes()));
    let capitals = digits
        .chars()
        .zip(checksum.chars())
        .map(|(digit, check)| if check >= '8' { digit.to_ascii_uppercase() } else { digit });
    Ok(format!("0x{}", capitals.collect::<String>()))
}

/// Pay to witness public key hash, version 0.
fn segwit(hrp: Hrp, public_key: &[u8]) -> Result<String, WalletError> {
    segwit::encode_v0(hrp, &compressed_hash160(public_key)?).map_err(|_| WalletError::Key)
}

fn base58_check(version: [u8; 2], public_key: &[u8]) -> Result<String, WalletError> {
    let mut bytes = version.to_vec();
    bytes.extend(compressed_hash160(public_key)?);
    let check = Sha256::digest(Sha256::digest(&bytes));
    bytes.extend(&check[..4]);
    Ok(bs58::encode(bytes).into_string())
}
