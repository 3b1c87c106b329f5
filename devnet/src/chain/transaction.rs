//! A transaction on the wire, decoded: messages, signers, fee.

use chain_client::proto::cosmos::crypto::secp256k1::PubKey;
use chain_client::proto::cosmos::tx::signing::v1beta1::SignMode;
use chain_client::proto::cosmos::tx::v1beta1::mode_info::{Single, Sum};
use chain_client::proto::cosmos::tx::v1beta1::{AuthInfo, SignDoc, SignerInfo, TxBody, TxRaw};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

use super::fault::TxFault;
use super::message::Msg;

/// SHA-256 of a transaction's bytes.
pub type TxHash = [u8; 32];

/// The hash under which a transaction is found.
pub fn hash_of(bytes: &[u8]) -> TxHash {
    Sha256::digest(bytes).into()
}

/// The upper-case hex that services print.
pub fn hash_text(hash: &TxHash) -> String {
    hex::encode_upper(hash)
}

/// A decoded transaction.
#[derive(Debug, Clone)]
pub(crate) struct Transaction {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: TxHash,
    pub(crate) raw: TxRaw,
    pub(crate) body: TxBody,
    pub(crate) auth: AuthInfo,
    pub(crate) messages: Vec<Msg>,
    /// Distinct accounts that must sign, in order; at least one if there is a message.
    pub(crate) signers: Vec<String>,
    /// Its signatures have been verified: keys and numbers of accounts never change, so once is enough.
    pub(crate) verified: bool,
}

impl Transaction {
    /// Decodes bytes.
    ///
    /// # Errors
    /// Code 2, or code 18 without messages.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, TxFault> {
        let raw = TxRaw::decode(bytes).map_err(TxFault::undecodable)?;
        let body = TxBody::decode(raw.body_bytes.as_slice()).map_err(TxFault::undecodable)?;
        let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).map_err(TxFault::undecodable)?;
        let messages = body.messages.iter().map(Msg::decode).collect::<Result<Vec<_>, _>>()?;
        if messages.is_empty() {
            return Err(TxFault::invalid_request("must contain at least one message"));
        }
        let payer = auth.fee.as_ref().map_or("", |fee| fee.payer.as_str());
        let mut signers: Vec<String> = Vec::new();
        for signer in messages.iter().map(Msg::signer).chain([payer]) {
            if !signer.is_empty() && !signers.iter().any(|known| known == signer) {
                signers.push(signer.to_owned());
            }
        }
        Ok(Self { bytes: bytes.to_vec(), hash: hash_of(bytes), raw, body, auth, messages, signers, verified: false })
    }

    pub(crate) fn gas_limit(&self) -> u64 {
        self.auth.fee.as_ref().map_or(0, |fee| fee.gas_limit)
    }

    /// Who pays the fee.
    pub(crate) fn payer(&self) -> &str {
        match self.auth.fee.as_ref().map(|fee| fee.payer.as_str()) {
            Some(payer) if !payer.is_empty() => payer,
            _ => self.signers.first().map_or("", String::as_str),
        }
    }

    /// The bytes that a signer of `account_number` signs.
    pub(crate) fn sign_bytes(&self, chain_id: &str, account_number: u64) -> Vec<u8> {
        SignDoc {
            body_bytes: self.raw.body_bytes.clone(),
            auth_info_bytes: self.raw.auth_info_bytes.clone(),
            chain_id: chain_id.to_owned(),
            account_number,
        }
        .encode_to_vec()
    }
}

/// The compressed key that a signer names, if it names one of the supported kind.
pub(crate) fn public_key(info: &SignerInfo) -> Result<Option<[u8; 33]>, TxFault> {
    let Some(any) = &info.public_key else { return Ok(None) };
    if any.type_url != PubKey::type_url() {
        return Err(TxFault::invalid_public_key(format!("unsupported key type {}", any.type_url)));
    }
    let key = PubKey::decode(any.value.as_slice()).map_err(TxFault::undecodable)?;
    let key = key.key.try_into().map_err(|_| TxFault::invalid_public_key("key is not 33 bytes"))?;
    Ok(Some(key))
}

/// Does the signer use the only mode that this chain verifies?
///
/// Weaker than a live chain, which takes textual and amino-JSON signatures too.
pub(crate) fn is_direct(info: &SignerInfo) -> bool {
    let sum = info.mode_info.as_ref().and_then(|info| info.sum.as_ref());
    matches!(sum, Some(Sum::Single(Single { mode })) if *mode == i32::from(SignMode::Direct))
}
