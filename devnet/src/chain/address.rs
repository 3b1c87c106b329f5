//! Addresses: the texts that the chain accepts as accounts, and the ones that it hands out.
//!
//! The account parser takes the prefixes `zen`, `keyring` and `workspace` and payloads of 11, 20 or 32 bytes; so a
//! keyring has a bank account and a workspace (10 bytes) has none. Keyring and workspace addresses come from counters.

use bech32::{Bech32, Hrp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Prefix of accounts.
pub(crate) const ACCOUNT_PREFIX: &str = "zen";
/// Prefix of keyrings.
pub(crate) const KEYRING_PREFIX: &str = "keyring";
/// Prefix of workspaces.
pub(crate) const WORKSPACE_PREFIX: &str = "workspace";
const KEYRING_LENGTH: usize = 11;
const WORKSPACE_LENGTH: usize = 10;

/// The payload of an account address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address(Vec<u8>);

impl Address {
    /// Reads any text that the chain accepts as an account.
    ///
    /// # Errors
    /// The reason, for a log.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("empty address string is not allowed".to_owned());
        }
        let (prefix, payload) = decode(text)?;
        if ![ACCOUNT_PREFIX, KEYRING_PREFIX, WORKSPACE_PREFIX].contains(&prefix.as_str()) {
            return Err(format!("invalid Bech32 prefix; expected {ACCOUNT_PREFIX}, got {prefix}"));
        }
        match payload.len() {
            11 | 20 | 32 => Ok(Self(payload)),
            other => Err(format!("address length must be 11, 20 or 32 bytes, got {other}")),
        }
    }

    /// The account of a compressed secp256k1 key.
    pub fn of_public_key(compressed: &[u8]) -> Self {
        Self(ripemd::Ripemd160::digest(Sha256::digest(compressed)).to_vec())
    }

    /// The account of a module.
    pub fn of_module(name: &str) -> Self {
        Self(Sha256::digest(name.as_bytes())[..20].to_vec())
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The account text (`zen1…`).
    pub fn text(&self) -> String {
        encode(ACCOUNT_PREFIX, &self.0)
    }
}

fn decode(text: &str) -> Result<(String, Vec<u8>), String> {
    let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32>(text)
        .map_err(|error| format!("decoding bech32 failed: {error}"))?;
    Ok((checked.hrp().to_lowercase(), checked.byte_iter().collect()))
}

fn encode(prefix: &str, payload: &[u8]) -> String {
    // Our own prefixes and payloads of at most 32 bytes always encode; an empty text would name nobody.
    Hrp::parse(prefix).ok().and_then(|hrp| bech32::encode::<Bech32>(hrp, payload).ok()).unwrap_or_default()
}

fn check(text: &str, prefix: &str, length: usize) -> Result<(), String> {
    let (found, payload) = decode(text)?;
    if found != prefix {
        return Err(format!("invalid Bech32 prefix; expected {prefix}, got {found}"));
    }
    if payload.len() != length {
        return Err(format!("address length must be {length} bytes, got {}", payload.len()));
    }
    Ok(())
}

/// Is this the form of a keyring address?
///
/// # Errors
/// The reason, for a log.
pub(crate) fn check_keyring(text: &str) -> Result<(), String> {
    check(text, KEYRING_PREFIX, KEYRING_LENGTH)
}

/// Is this the form of a workspace address?
///
/// # Errors
/// The reason, for a log.
pub(crate) fn check_workspace(text: &str) -> Result<(), String> {
    check(text, WORKSPACE_PREFIX, WORKSPACE_LENGTH)
}

/// The keyring address of counter `n`.
pub fn keyring_of(n: u64) -> String {
    encode(KEYRING_PREFIX, &Sha256::digest(n.to_le_bytes())[13..24])
}

/// The workspace address of counter `n`.
pub fn workspace_of(n: u64) -> String {
    encode(WORKSPACE_PREFIX, &Sha256::digest(n.to_le_bytes())[..10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_give_the_addresses_of_a_live_chain() {
        let known = [
            (0, "workspace14a2hpadpsy9h4auve2z8lw", "keyring1pfnq7r04rept47gaf5cpdew2"),
            (1, "workspace10j06zdk5gyl6v9ekzwem0v", "keyring1k6vc6vhp6e6l3rxalue9v4ux"),
            (2, "workspace1mphgzyhncnzyggfxmv4nmh", "keyring1futgvldyslefq54ljy7uln0p"),
            (3, "workspace1xklrytgff7w32j52v34w36", "keyring1hpyh7xqr2w7h4eas5y8twnsg"),
            (4, "workspace17zsz0rjrwfzeejnp8hpp60", "keyring1w887ucurq2nmnj5mq5uaju6a"),
        ];
        for (n, workspace, keyring) in known {
            assert_eq!(workspace_of(n), workspace);
            assert_eq!(keyring_of(n), keyring);
            check_workspace(workspace).expect("a workspace");
            check_keyring(keyring).expect("a keyring");
        }
    }

    #[test]
    fn module_accounts_are_the_hash_of_their_name() {
        assert_eq!(Address::of_module("keyring_escrow").text(), "zen16y5ww0g2nmd928fnkrr9708uv78hetndw5uyvr");
        assert_eq!(Address::of_module("keyring_collector").text(), "zen1a2q8gs3x4c0q9a99hapl8p9tyhxhhwvetrvure");
        assert_eq!(Address::of_module("mint").text(), "zen1m3h30wlvsf8llruxtpukdvsy0km2kum8ju4et3");
        assert_eq!(Address::of_module("gov").text(), "zen10d07y265gmmuvt4z0w9aw880jnsr700jq0py6z");
    }

    #[test]
    fn development_accounts_have_the_addresses_of_their_keys() {
        let known = [
            (
                "034742c75144596339c88749af8f7aaeb795914dfb346ad0bd33c49cc115ba0cb5",
                "zen13y3tm68gmu9kntcxwvmue82p6akacnpt2v7nty",
            ),
            (
                "03f012e660ed6b709b25ed5d4c3dc1b2fa1915862e3a01e9fff8e973fdd4bf8fdc",
                "zen126hek6zagmp3jqf97x7pq7c0j9jqs0ndxeaqhq",
            ),
            (
                "02bacd6743f5f8063701404f70ebe13d0e8a51d693cf8c7cf3bf8923b9360781d7",
                "zen1vh2gdma746t88y7745qawy32m0qxx60gjw27jj",
            ),
        ];
        for (key, address) in known {
            let key = hex::decode(key).expect("hex");
            assert_eq!(Address::of_public_key(&key).text(), address);
        }
    }

    #[test]
    fn a_private_key_leads_to_its_account() {
        let secret = hex::decode("9968bbba9bb6bc3674fd806c4b987e9a65a0f93b91eb0c81edeb210310b43852").expect("hex");
        let key = k256::ecdsa::SigningKey::from_slice(&secret).expect("a scalar");
        let public = key.verifying_key().to_encoded_point(true);
        assert_eq!(Address::of_public_key(public.as_bytes()).text(), "zen13y3tm68gmu9kntcxwvmue82p6akacnpt2v7nty");
    }

    #[test]
    fn a_keyring_is_an_account_and_a_workspace_is_none() {
        assert!(Address::parse(&keyring_of(1)).is_ok());
        assert!(Address::parse(&workspace_of(1)).is_err());
        assert!(Address::parse("0x71C7656EC7ab88b098defB751B7401B5f6d8976F").is_err());
        assert!(Address::parse("").is_err());
    }
}
