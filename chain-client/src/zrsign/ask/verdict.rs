//! Whether an answer is what was asked for. Judged from the wish and the registered address alone: who brought the answer
//! and who authorised it proves nothing here.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use bech32::{Fe32, segwit};
use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

use super::{Payload, Said, SignatureWish};
use crate::zrsign::name::WalletKind;
use crate::zrsign::transaction::{LegacyTransaction, PayloadError};

/// Why an answer must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The wallet's address is none of its chain.
    #[error("{text:?} is no address of a wallet of that type")]
    Address {
        /// What the contract shows, cut.
        text: String,
    },
    /// An answer of the other kind.
    #[error("the answer is of another kind than the request")]
    Kind,
    /// Not 65 bytes, or numbers out of range.
    #[error("the signature is not r, s and a recovery byte of 0, 1, 27 or 28 with s in the lower half")]
    Form,
    /// By another key, or over something else.
    #[error("the signature recovers to {found}, the wallet is {wallet}")]
    Stranger {
        /// Whose it is, if it is over what was asked.
        found: String,
        /// The registered address.
        wallet: String,
    },
    /// The completed transaction cannot be read.
    #[error("metaData is not the completed transaction")]
    MetaData(#[source] PayloadError),
    /// The completed transaction is another one than was asked for.
    #[error("the completed transaction has another {field} than was asked for: {shown} instead of {asked}")]
    Changed {
        /// In what it differs.
        field: &'static str,
        /// What it has.
        shown: String,
        /// What it should have.
        asked: String,
    },
    /// Relayers are told something else than was asked for.
    #[error("the answer tells relayers broadcast = {said}, asked was {asked}: what was signed may be sent by others")]
    Broadcast {
        /// In the answer.
        said: bool,
        /// In the request.
        asked: bool,
    },
    /// A transaction for no EVM chain.
    #[error("the destination is no EVM chain")]
    Destination,
}

/// A signature that is the wallet's, over what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What was signed.
    pub digest: B256,
    /// `r‖s‖v`, `s` in the lower half, `v` 0 or 1.
    pub signature: [u8; 65],
    /// The transaction; `None` for a hash.
    pub transaction: Option<SignedTransaction>,
}

/// A transaction that a node of its chain takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// What it says.
    pub transaction: LegacyTransaction,
    /// The chain's EIP-155 id.
    pub chain: u64,
    /// The bytes to send.
    pub raw: Bytes,
    /// Their name.
    pub hash: B256,
}

/// The text, if it is an address of that wallet's chain in the one form in which keyrings publish it: mixed case for EVM,
/// version 0 of bech32 with 20 bytes for Bitcoin. That it is *the right* address only the contract knows.
///
/// # Errors
/// [`Unverified::Address`].
pub fn wallet_address(kind: WalletKind, text: &str) -> Result<&str, Unverified> {
    let is_bitcoin = |prefix: &str| {
        segwit::decode(text).is_ok_and(|(hrp, version, program)| {
            hrp.as_str() == prefix && version == Fe32::Q && program.len() == 20 && text == text.to_lowercase()
        })
    };
    let is_one = match kind {
        WalletKind::Evm => Address::parse_checksummed(text, None).is_ok(),
        WalletKind::BitcoinMainnet => is_bitcoin("bc"),
        WalletKind::BitcoinTestnet => is_bitcoin("tb"),
    };
    if is_one { Ok(text) } else { Err(Unverified::Address { text: text.chars().take(100).collect() }) }
}

impl SignatureWish {
    /// Judges an answer. `wallet` is the address that the contract has registered for the wallet.
    ///
    /// # Errors
    /// [`Unverified`]: do not use any of it.
    pub fn judge(&self, said: &Said, wallet: &str) -> Result<Verified, Unverified> {
        let Said::Signature { meta_data, signature, broadcast } = said else { return Err(Unverified::Kind) };
        if *broadcast != self.broadcast {
            return Err(Unverified::Broadcast { said: *broadcast, asked: self.broadcast });
        }
        let chain = || self.destination.eip155().ok_or(Unverified::Destination);
        let (digest, unsigned) = match &self.payload {
            Payload::Hash(hash) => (*hash, None),
            Payload::Transaction(transaction) => (transaction.digest(chain()?), Some((transaction.clone(), chain()?))),
            Payload::Simple(_) => {
                let completed = self.completed(meta_data)?;
                (completed.digest(chain()?), Some((completed, chain()?)))
            }
        };
        let (signature, parity) = canonical(signature)?;
        let found = signer(self.wallet.kind, digest, &signature, parity).ok_or(Unverified::Form)?;
        if found != wallet {
            return Err(Unverified::Stranger { found, wallet: wallet.to_owned() });
        }
        let transaction = unsigned.map(|(transaction, chain)| {
            let (r, s) = signature.split_bytes();
            let number = |bytes: k256::FieldBytes| U256::from_be_bytes::<32>(bytes.into());
            let raw = transaction.signed(chain, number(r), number(s), parity);
            SignedTransaction { hash: keccak256(&raw), transaction, chain, raw }
        });
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = parity;
        Ok(Verified { digest, signature: bytes, transaction })
    }

    /// The transaction that whoever answered has made of a simple one, if it is still that one.
    fn completed(&self, meta_data: &[u8]) -> Result<LegacyTransaction, Unverified> {
        let Payload::Simple(asked) = &self.payload else { return Err(Unverified::Kind) };
        let completed = LegacyTransaction::decode(meta_data).map_err(Unverified::MetaData)?;
        let changed = |field, shown: String, asked: String| Err(Unverified::Changed { field, shown, asked });
        if completed.to != TxKind::Call(asked.to) {
            let shown = completed.to.to().map_or_else(|| "a new contract".to_owned(), ToString::to_string);
            return changed("recipient", shown, asked.to.to_string());
        }
        if completed.value != asked.value {
            return changed("value", completed.value.to_string(), asked.value.to_string());
        }
        if completed.data != asked.data {
            return changed("data", brief(&completed.data), brief(&asked.data));
        }
        Ok(completed)
    }
}

/// `r‖s` in the lower half, and which of the two keys is meant.
fn canonical(bytes: &[u8]) -> Result<(Signature, u8), Unverified> {
    let [r_s @ .., v] = bytes else { return Err(Unverified::Form) };
    let parity = match v {
        0 | 27 => 0,
        1 | 28 => 1,
        _ => return Err(Unverified::Form),
    };
    let signature = Signature::from_slice(r_s).map_err(|_| Unverified::Form)?;
    // A chain takes no transaction with an upper half; nobody honest sends one.
    if signature.normalize_s().is_some() { Err(Unverified::Form) } else { Ok((signature, parity)) }
}

/// The address of the wallet whose key has signed.
fn signer(kind: WalletKind, digest: B256, signature: &Signature, parity: u8) -> Option<String> {
    let recovery = RecoveryId::from_byte(parity)?;
    let key = VerifyingKey::recover_from_prehash(digest.as_slice(), signature, recovery).ok()?;
    kind.address(&key.to_sec1_bytes()).ok()
}

fn brief(data: &[u8]) -> String {
    let begin = alloy_primitives::hex::encode_prefixed(data.get(..32).unwrap_or(data));
    if data.len() > 32 { format!("{begin}… ({} bytes)", data.len()) } else { begin }
}
