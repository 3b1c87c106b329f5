//! Two witness outputs spent together, judged by the `bitcoin` crate: its BIP-143 digests, its DER, libsecp256k1.

use ::bitcoin::absolute::LockTime;
use ::bitcoin::consensus::serialize;
use ::bitcoin::hashes::{Hash as _, sha256d};
use ::bitcoin::sighash::SighashCache;
use ::bitcoin::transaction::Version;
use ::bitcoin::{
    Address, Amount, CompressedPublicKey, EcdsaSighashType, KnownHrp, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxOut, Txid, Witness, ecdsa,
};

use crate::demo::address;
use crate::demo::proof::{self, Unverified};

/// What the two spent outputs hold, in satoshi.
const INPUTS_SAT: [u64; 2] = [60_000, 41_500];
const PAYMENT_SAT: u64 = 75_000;
const FEE_SAT: u64 = 1_500;

/// Two witness outputs of one key, spent together.
#[derive(Clone, Debug)]
pub struct BitcoinTransfer {
    key: CompressedPublicKey,
    transaction: Transaction,
}

impl BitcoinTransfer {
    /// Spends two outputs of this key's address.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when the bytes are no key.
    pub fn from_key(public_key: &[u8]) -> Result<Self, Unverified> {
        let key = address::bitcoin_key(public_key)?;
        let own = ScriptBuf::new_p2wpkh(&key.wpubkey_hash());
        let input = |place: u32| TxIn {
            previous_output: OutPoint {
                txid: Txid::from_raw_hash(sha256d::Hash::hash(b"an earlier payment")),
                vout: place,
            },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        };
        let change = INPUTS_SAT.iter().sum::<u64>() - PAYMENT_SAT - FEE_SAT;
        let payee = ScriptBuf::new_p2wpkh(&::bitcoin::WPubkeyHash::from_byte_array([7; 20]));
        let output = [(PAYMENT_SAT, payee), (change, own)]
            .map(|(satoshi, script_pubkey)| TxOut { value: Amount::from_sat(satoshi), script_pubkey });
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: [0, 1].map(input).to_vec(),
            output: output.to_vec(),
        };
        Ok(Self { key, transaction })
    }

    /// The "unsigned plus" form: the witness of each input says what it spends (amount, key, script).
    pub fn unsigned(&self) -> Vec<u8> {
        let script = self.script();
        let mut transaction = self.transaction.clone();
        for (input, satoshi) in transaction.input.iter_mut().zip(INPUTS_SAT) {
            let items = [satoshi.to_le_bytes().to_vec(), self.key.to_bytes().to_vec(), script.to_bytes()];
            input.witness = Witness::from_slice(&items);
        }
        serialize(&transaction)
    }

    /// The BIP-143 digest of each input, for SIGHASH_ALL.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when the library refuses the transaction.
    pub(crate) fn digests(&self) -> Result<Vec<Vec<u8>>, Unverified> {
        let script = self.script();
        let mut cache = SighashCache::new(&self.transaction);
        let digest = |(place, satoshi): (usize, u64)| {
            cache
                .p2wpkh_signature_hash(place, &script, Amount::from_sat(satoshi), EcdsaSighashType::All)
                .map(|digest| digest.to_byte_array().to_vec())
                .map_err(|why| Unverified::malformed("transaction", why))
        };
        INPUTS_SAT.into_iter().enumerate().map(digest).collect()
    }

    /// DER without hash type, one per input, as the chain keeps them.
    ///
    /// # Errors
    /// [`Unverified`] when there are not two, or one does not verify for its input.
    pub(crate) fn check(&self, signatures: &[Vec<u8>]) -> Result<String, Unverified> {
        let digests = self.digests()?;
        if signatures.len() != digests.len() {
            return Err(Unverified::malformed("signatures", format!("{} for two inputs", signatures.len())));
        }
        let mut signed = self.transaction.clone();
        for ((input, digest), der) in signed.input.iter_mut().zip(digests).zip(signatures) {
            let signature = proof::der(&self.key.to_bytes(), &digest, der)?;
            let signature = ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All };
            input.witness = Witness::p2wpkh(&signature, &self.key.0);
        }
        let sender = Address::p2wpkh(&self.key, KnownHrp::Testnets);
        Ok(format!("sender {sender}, tx {}", signed.compute_txid()))
    }

    fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2wpkh(&self.key.wpubkey_hash())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::signature::hazmat::PrehashSigner as _;
    use k256::ecdsa::{Signature, SigningKey};

    #[test]
    fn each_input_needs_its_own_signature() {
        let key = SigningKey::from_slice(&[3; 32]).expect("a key");
        let public = key.verifying_key().to_encoded_point(true);
        let transfer = BitcoinTransfer::from_key(public.as_bytes()).expect("a transfer");
        let sign = |digest: &Vec<u8>| {
            let signature: Signature = key.sign_prehash(digest).expect("a signature");
            signature.normalize_s().unwrap_or(signature).to_der().as_bytes().to_vec()
        };
        let signatures: Vec<_> = transfer.digests().expect("digests").iter().map(sign).collect();
        assert!(transfer.check(&signatures).is_ok());
        assert!(transfer.check(&signatures[..1]).is_err(), "one is missing");
        let exchanged: Vec<_> = signatures.iter().rev().cloned().collect();
        assert_eq!(transfer.check(&exchanged), Err(Unverified::Signature));
    }

    #[test]
    fn the_unsigned_form_names_what_each_input_spends() {
        let key = SigningKey::from_slice(&[3; 32]).expect("a key");
        let public = key.verifying_key().to_encoded_point(true);
        let transfer = BitcoinTransfer::from_key(public.as_bytes()).expect("a transfer");
        let back: Transaction = ::bitcoin::consensus::deserialize(&transfer.unsigned()).expect("a transaction");
        for (input, satoshi) in back.input.iter().zip(INPUTS_SAT) {
            assert_eq!(input.witness.nth(0), Some(satoshi.to_le_bytes().as_slice()));
            assert_eq!(input.witness.nth(2), Some(transfer.script().as_bytes()));
        }
    }
}
