//! Signs for this party's account on an EVM chain: same transaction, same bytes.

use alloy_primitives::{Address, B256, Signature};
use k256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::sender::{Pen, PenError};

/// An account's key. Wiped when dropped, never printed.
pub(crate) struct EvmPen {
    key: SigningKey,
    account: Address,
}

impl EvmPen {
    /// From 32 bytes, big-endian; `None` for a number that is no key.
    #[must_use]
    pub(crate) fn from_bytes(secret: &Zeroizing<[u8; 32]>) -> Option<Self> {
        let key = SigningKey::from_slice(secret.as_slice()).ok()?;
        let account = Address::from_public_key(key.verifying_key());
        Some(Self { key, account })
    }
}

impl Pen for EvmPen {
    fn account(&self) -> Address {
        self.account
    }

    fn sign(&self, digest: B256) -> Result<Signature, PenError> {
        // Fails for no digest of 32 bytes and no key in range; RFC 6979 makes it deterministic, and `s` comes low.
        self.key.sign_prehash_recoverable(digest.as_slice()).map(Signature::from).map_err(|_| PenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_the_keys_and_its_signature_recovers_to_it() {
        let pen = EvmPen::from_bytes(&Zeroizing::new([0x22; 32])).unwrap();
        assert_eq!(pen.account().to_string(), "0x1563915e194D8CfBA1943570603F7606A3115508");
        let digest = B256::repeat_byte(7);
        let signature = pen.sign(digest).unwrap();
        assert_eq!(Ok(signature), pen.sign(digest));
        assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), pen.account());
        assert!(signature.normalize_s().is_none());
        assert!(EvmPen::from_bytes(&Zeroizing::new([0; 32])).is_none());
    }
}
