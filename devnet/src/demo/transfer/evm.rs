//! An EIP-1559 transfer of ether, judged by alloy: the signature must recover to the wallet's address.

use alloy_consensus::transaction::RlpEcdsaEncodableTx as _;
use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_primitives::{Address, Signature, TxKind, U256, address};
use chain_client::proto::zrchain::treasury::MetadataEthereum;
use chain_client::tx::any;
use prost_types::Any;

use crate::demo::address;
use crate::demo::proof::Unverified;

/// Sepolia.
const CHAIN: u64 = 11_155_111;
const RECIPIENT: Address = address!("ea223ca8968ca59e0bc79ba331c2f6f636a3fb82");
const GWEI: u128 = 1_000_000_000;
/// A thousandth of an ether.
const VALUE_WEI: u64 = 1_000_000_000_000_000;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct EvmTransfer {
    sender: Address,
    transaction: TxEip1559,
}

impl EvmTransfer {
    /// A first transfer from this key's account.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when the bytes are no key.
    pub(crate) fn from_key(public_key: &[u8]) -> Result<Self, Unverified> {
        let transaction = TxEip1559 {
            chain_id: CHAIN,
            nonce: 0,
            gas_limit: 21_000,
            max_fee_per_gas: 30 * GWEI,
            max_priority_fee_per_gas: 2 * GWEI,
            to: TxKind::Call(RECIPIENT),
            value: U256::from(VALUE_WEI),
            ..Default::default()
        };
        Ok(Self { sender: address::evm(public_key)?, transaction })
    }

    /// Type byte and list of twelve items: the chain's parser wants a place for the signature too, here zeros.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.transaction.eip2718_encode(&Signature::new(U256::ZERO, U256::ZERO, false), &mut bytes);
        bytes
    }

    /// The chain id, which the chain takes from here and not from the bytes.
    pub(crate) fn metadata() -> Any {
        any(&MetadataEthereum { chain_id: CHAIN })
    }

    /// Keccak-256 of what is signed.
    pub(crate) fn digest(&self) -> Vec<u8> {
        self.transaction.signature_hash().to_vec()
    }

    /// `r‖s‖v` with `v` 0 or 1.
    ///
    /// # Errors
    /// [`Unverified`] when it is of another form or recovers to another account.
    pub(crate) fn check(&self, signature: &[u8]) -> Result<String, Unverified> {
        let (v, r_s) = match signature.split_last() {
            Some((v @ (0 | 1), r_s)) if r_s.len() == 64 => (*v, r_s),
            _ => return Err(Unverified::malformed("signature", "not 65 bytes with a recovery id of 0 or 1")),
        };
        let signature = Signature::from_bytes_and_parity(r_s, v == 1);
        let hash = self.transaction.signature_hash();
        let found =
            signature.recover_address_from_prehash(&hash).map_err(|why| Unverified::malformed("signature", why))?;
        if found != self.sender {
            let (shown, expected) = (found.to_checksum(None), self.sender.to_checksum(None));
            return Err(Unverified::Differs { what: "recovered sender", shown, expected });
        }
        let signed = self.transaction.clone().into_signed(signature);
        Ok(format!("sender {}, tx {}", self.sender.to_checksum(None), signed.hash()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::SigningKey;

    fn key(byte: u8) -> (SigningKey, Vec<u8>) {
        let key = SigningKey::from_slice(&[byte; 32]).expect("a key");
        let public = key.verifying_key().to_encoded_point(true).as_bytes().to_vec();
        (key, public)
    }

    fn sign(key: &SigningKey, digest: &[u8]) -> Vec<u8> {
        let (signature, recovery) = key.sign_prehash_recoverable(digest).expect("a signature");
        let mut bytes = signature.to_bytes().to_vec();
        bytes.push(recovery.to_byte());
        bytes
    }

    #[test]
    fn the_senders_signature_verifies_and_no_other() {
        let (own, public) = key(1);
        let transfer = EvmTransfer::from_key(&public).expect("a transfer");
        let good = sign(&own, &transfer.digest());
        assert!(transfer.check(&good).is_ok());
        assert!(transfer.check(&sign(&key(2).0, &transfer.digest())).is_err());
        let mut flipped = good.clone();
        flipped[64] ^= 1;
        assert!(transfer.check(&flipped).is_err());
        for length in [0, 64] {
            assert!(transfer.check(&good[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_unsigned_form_is_a_list_of_twelve_items() {
        let (_, public) = key(1);
        let bytes = EvmTransfer::from_key(&public).expect("a transfer").unsigned();
        assert_eq!(bytes[0], 2);
        assert_eq!(bytes[bytes.len() - 4..], [0xc0, 0x80, 0x80, 0x80], "no access list, no signature");
    }
}
