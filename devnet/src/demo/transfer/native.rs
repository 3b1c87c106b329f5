//! A `MsgSend` of the chain itself, built by cosmrs and judged by libsecp256k1. Afterwards it can be sent: the chain
//! then executes what the committee signed.

use chain_client::zrchain::DENOMINATION;
use chain_client::{ChainId, SignedTx, TxHash};
use cosmrs::bank::MsgSend;
use cosmrs::proto::cosmos::tx::v1beta1::TxRaw;
use cosmrs::proto::prost::Message as _;
use cosmrs::tx::{Body, Fee, Msg as _, SignDoc, SignerInfo};
use cosmrs::{AccountId, Coin};
use sha2::{Digest as _, Sha256};

use crate::demo::address;
use crate::demo::proof::{self, Unverified};

const AMOUNT_UROCK: u128 = 1_000;
const FEE_UROCK: u128 = 750_000;
const GAS: u64 = 300_000;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct NativeTransfer {
    public_key: Vec<u8>,
    sender: AccountId,
    sequence: u64,
    document: cosmrs::proto::cosmos::tx::v1beta1::SignDoc,
}

/// Where the transaction stands in the order of its account's.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The chain it is for.
    pub(crate) chain: ChainId,
    /// The account's number on it.
    pub(crate) account_number: u64,
    /// The account's sequence.
    pub(crate) sequence: u64,
}

impl NativeTransfer {
    /// Sends a little from this key's account to `recipient`.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when a part is refused by the library.
    pub(crate) fn from_key(public_key: &[u8], place: &Place, recipient: &str) -> Result<Self, Unverified> {
        let refused = |why: cosmrs::ErrorReport| Unverified::malformed("native transfer", why);
        let sender = address::native(public_key)?;
        let coin = |amount| Coin::new(amount, DENOMINATION).map_err(refused);
        let message = MsgSend {
            from_address: sender.clone(),
            to_address: recipient.parse().map_err(refused)?,
            amount: vec![coin(AMOUNT_UROCK)?],
        };
        // No timeout height: one that expires in the pool of a live chain stops it for everybody.
        let body = Body::new(vec![message.to_any().map_err(refused)?], "", 0_u8);
        let key = cosmrs::crypto::PublicKey::from(address::verifying_key(public_key)?);
        let fee = Fee::from_amount_and_gas(coin(FEE_UROCK)?, GAS);
        let auth = SignerInfo::single_direct(Some(key), place.sequence).auth_info(fee);
        let chain = place.chain.as_str().parse().map_err(|why| Unverified::malformed("chain id", why))?;
        let document = SignDoc::new(&body, &auth, &chain, place.account_number).map_err(refused)?.into_proto();
        Ok(Self { public_key: public_key.to_vec(), sender, sequence: place.sequence, document })
    }

    /// The document that is signed.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        self.document.encode_to_vec()
    }

    /// SHA-256 of the document.
    pub(crate) fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.unsigned()).to_vec()
    }

    /// `r‖s‖v`, of which a native transaction carries `r‖s`.
    ///
    /// # Errors
    /// [`Unverified`] when it does not verify.
    pub(crate) fn check(&self, signature: &[u8]) -> Result<String, Unverified> {
        let signed = self.signed(signature)?;
        Ok(format!("sender {}, tx {}", self.sender, signed.hash))
    }

    /// The signed transaction, ready to be sent.
    ///
    /// # Errors
    /// [`Unverified`] when the signature does not verify.
    pub(crate) fn signed(&self, signature: &[u8]) -> Result<SignedTx, Unverified> {
        let r_s = signature.get(..64).ok_or_else(|| Unverified::malformed("signature", "shorter than 64 bytes"))?;
        proof::compact(&self.public_key, &self.digest(), r_s)?;
        let raw = TxRaw {
            body_bytes: self.document.body_bytes.clone(),
            auth_info_bytes: self.document.auth_info_bytes.clone(),
            signatures: vec![r_s.to_vec()],
        };
        let bytes = raw.encode_to_vec();
        let hash = TxHash(Sha256::digest(&bytes).into());
        Ok(SignedTx { bytes, hash, account: self.sender.to_string(), sequence: self.sequence, request: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::SigningKey;
    use k256::ecdsa::signature::hazmat::PrehashSigner as _;

    #[test]
    fn the_senders_signature_verifies_and_no_other() {
        let own = SigningKey::from_slice(&[1; 32]).expect("a key");
        let place = Place { chain: ChainId::new("zenrock").expect("a chain"), account_number: 9, sequence: 5 };
        let recipient = "zen13y3tm68gmu9kntcxwvmue82p6akacnpt2v7nty";
        let public = own.verifying_key().to_encoded_point(true);
        let transfer = NativeTransfer::from_key(public.as_bytes(), &place, recipient).expect("a transfer");
        let sign = |key: &SigningKey| {
            let signature: k256::ecdsa::Signature = key.sign_prehash(&transfer.digest()).expect("a signature");
            signature.normalize_s().unwrap_or(signature).to_bytes().to_vec()
        };
        assert!(transfer.check(&sign(&own)).is_ok());
        let other = SigningKey::from_slice(&[2; 32]).expect("a key");
        assert_eq!(transfer.check(&sign(&other)), Err(Unverified::Signature));
        assert!(transfer.check(&[]).is_err());
    }
}
