//! What a dapp asks a wallet to sign, and the verdict on what came back. Pure.
//!
//! Judged by alloy and the Bitcoin library, which had no part in making it.

use alloy_consensus::{SignableTransaction as _, Signed, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rlp::Decodable as _;
use contracts::bindings::compatible::ZrSign;
use contracts::names::{BITCOIN_TESTNET, EVM};

/// A type of wallet that the dapp owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WalletType {
    Evm,
    BitcoinTestnet,
}

/// What a wallet is asked to sign.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Any 32 bytes.
    Hash { wallet: WalletType, hash: B256 },
    /// A whole transaction, with its destination's chain id.
    Transaction(TxLegacy),
    /// A transfer that the keyring completes.
    Simple(Simple),
}

/// What the keyring is told of a transfer, and what it must find out by itself.
#[derive(Clone, Debug)]
pub(super) struct Simple {
    pub(super) to: Address,
    pub(super) value: U256,
    pub(super) input: Bytes,
    /// The destination's chain id.
    pub(super) chain: u64,
    /// The wallet's next nonce there.
    pub(super) nonce: u64,
}

/// What an answer is good for.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It proves this.
    Proven(String),
    /// The wallet has signed this transaction: whoever likes may carry it to its chain.
    Signed(Box<Signed<TxLegacy>>),
}

impl WalletType {
    /// As the contract names it.
    pub(super) const fn id(self) -> B256 {
        match self {
            Self::Evm => EVM,
            Self::BitcoinTestnet => BITCOIN_TESTNET,
        }
    }

    /// As the table names it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Evm => "EVM",
            Self::BitcoinTestnet => "Bitcoin testnet",
        }
    }

    /// The name of the dapp's wallet of this type, as short as the table wants it.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Evm => "evm-key-0",
            Self::BitcoinTestnet => "bitcoin-key-0",
        }
    }
}

/// Whether a text is an address of that type, written as its chain writes it. Gives it back.
pub(super) fn address(wallet: WalletType, text: &str) -> Result<String, String> {
    let is_one = match wallet {
        WalletType::Evm => Address::parse_checksummed(text, None).is_ok(),
        WalletType::BitcoinTestnet => {
            let address = text.parse::<bitcoin::Address<bitcoin::address::NetworkUnchecked>>();
            address.is_ok_and(|address| address.require_network(bitcoin::Network::Testnet).is_ok())
        }
    };
    if is_one { Ok(text.to_owned()) } else { Err(format!("{text} is no {} address", wallet.name())) }
}

impl Order {
    /// The type of the wallet that signs.
    pub(super) const fn wallet(&self) -> WalletType {
        match self {
            Self::Hash { wallet, .. } => *wallet,
            Self::Transaction(_) | Self::Simple(_) => WalletType::Evm,
        }
    }

    /// What the table calls it.
    pub(super) fn name(&self) -> String {
        let what = match self {
            Self::Hash { .. } => "hash",
            Self::Transaction(_) => "transaction",
            Self::Simple(_) => "simple transaction",
        };
        format!("{} {what}", self.wallet().name())
    }

    /// Judges an answer; `wallet` is the address that must have signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judge(&self, answer: &ZrSign::ZrSigResolve, wallet: &str) -> Result<Verdict, String> {
        match self {
            Self::Hash { hash, .. } => {
                shows(answer, *hash)?;
                if answer.broadcast {
                    return Err("a hash is to be broadcast".to_owned());
                }
                signature_by(answer, *hash, wallet)?;
                Ok(Verdict::Proven(format!("recovers to {wallet}")))
            }
            Self::Transaction(unsigned) => {
                shows(answer, unsigned.signature_hash())?;
                signed(unsigned.clone(), answer, wallet)
            }
            Self::Simple(asked) => signed(asked.completed(&answer.metaData)?, answer, wallet),
        }
    }
}

impl Simple {
    /// The transaction that the keyring made of it: nine items, of which the last three are empty.
    fn completed(&self, bytes: &[u8]) -> Result<TxLegacy, String> {
        let shown = TxLegacy::decode(&mut &*bytes).map_err(|error| format!("metaData is no transaction: {error}"))?;
        // The library takes more than that; what it would write itself is the one right form. Empty reads as chain 0.
        let mut again = Vec::with_capacity(bytes.len());
        shown.encode_for_signing(&mut again);
        if shown.chain_id != Some(0) || again != bytes {
            return Err("metaData is no transaction of nine items with three empty ones".to_owned());
        }
        let is_asked = shown.to == TxKind::Call(self.to) && shown.value == self.value && shown.input == self.input;
        if !is_asked {
            return Err(format!("recipient, value or data are not what was asked for: {shown:?}"));
        }
        if shown.nonce != self.nonce {
            return Err(format!("its nonce is {}, and the wallet's next is {}", shown.nonce, self.nonce));
        }
        Ok(TxLegacy { chain_id: Some(self.chain), ..shown })
    }
}

/// Whether an answer says that this was signed.
fn shows(answer: &ZrSign::ZrSigResolve, signed: B256) -> Result<(), String> {
    if answer.metaData.as_ref() == signed.as_slice() {
        Ok(())
    } else {
        Err(format!("metaData is {}, not {signed}", answer.metaData))
    }
}

fn signed(unsigned: TxLegacy, answer: &ZrSign::ZrSigResolve, wallet: &str) -> Result<Verdict, String> {
    if !answer.broadcast {
        return Err("nobody is to broadcast it".to_owned());
    }
    let signature = signature_by(answer, unsigned.signature_hash(), wallet)?;
    Ok(Verdict::Signed(Box::new(unsigned.into_signed(signature))))
}

/// The signature, if the wallet has signed this hash: its address comes out of it.
fn signature_by(answer: &ZrSign::ZrSigResolve, hash: B256, wallet: &str) -> Result<Signature, String> {
    let bytes = &answer.signature;
    let signature = match bytes.as_ref() {
        [rs @ .., parity @ (0 | 1)] if rs.len() == 64 => Signature::from_bytes_and_parity(rs, *parity == 1),
        _ => return Err(format!("{bytes} is no signature of 65 bytes that ends with 0 or 1")),
    };
    let key = signature.recover_from_prehash(&hash).map_err(|error| error.to_string())?;
    let by = if wallet.starts_with("0x") {
        Address::from_public_key(&key).to_string()
    } else {
        let key = bitcoin::CompressedPublicKey::from_slice(&key.to_sec1_bytes()).map_err(|error| error.to_string())?;
        bitcoin::Address::p2wpkh(&key, bitcoin::Network::Testnet).to_string()
    };
    if by == wallet { Ok(signature) } else { Err(format!("the signature recovers to {by}, not {wallet}")) }
}

#[cfg(test)]
mod tests;
