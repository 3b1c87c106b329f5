//! Money moved on other chains: what a user hands in unsigned, and how he checks what comes back.
//!
//! Refuses to know requests, parties and the treasury. Each chain's file builds its transaction, its digests and its
//! verdict with that chain's own library, so that nothing here repeats a mistake of the code that answered.

mod bitcoin;
mod evm;
mod native;
mod solana;

pub use self::bitcoin::BitcoinTransfer;
pub(crate) use self::evm::EvmTransfer;
pub(crate) use self::native::{NativeTransfer, Place};
pub(crate) use self::solana::SolanaTransfer;

use chain_client::proto::zrchain::treasury::WalletType;
use prost_types::Any;

use super::proof::Unverified;

/// A transfer that waits for its signatures.
#[derive(Clone, Debug)]
pub(crate) enum Transfer {
    /// An EIP-1559 transfer of ether.
    Evm(EvmTransfer),
    /// Two outputs spent together.
    Bitcoin(BitcoinTransfer),
    /// A legacy message with one system transfer.
    Solana(SolanaTransfer),
    /// A `MsgSend` of the chain itself.
    Native(NativeTransfer),
}

impl Transfer {
    /// The wallet type under which the chain is asked.
    pub(crate) const fn wallet(&self) -> WalletType {
        match self {
            Self::Evm(_) => WalletType::Evm,
            Self::Bitcoin(_) => WalletType::BtcTestnet,
            Self::Solana(_) => WalletType::Solana,
            Self::Native(_) => WalletType::Native,
        }
    }

    /// What the table calls it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Evm(_) => "EVM transfer (EIP-1559)",
            Self::Bitcoin(_) => "BTC transfer, two inputs",
            Self::Solana(_) => "SOLANA transfer",
            Self::Native(_) => "NATIVE transfer (MsgSend)",
        }
    }

    /// The unsigned transaction in the form that the chain parses.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        match self {
            Self::Evm(transfer) => transfer.unsigned(),
            Self::Bitcoin(transfer) => transfer.unsigned(),
            Self::Solana(transfer) => transfer.unsigned(),
            Self::Native(transfer) => transfer.unsigned(),
        }
    }

    /// What the chain must be told beside the bytes.
    pub(crate) fn metadata(&self) -> Option<Any> {
        match self {
            Self::Evm(_) => Some(EvmTransfer::metadata()),
            Self::Solana(_) => Some(SolanaTransfer::metadata()),
            Self::Bitcoin(_) | Self::Native(_) => None,
        }
    }

    /// What each signature must be of, one by one: a digest, or a whole message for Ed25519.
    ///
    /// # Errors
    /// [`Unverified::Malformed`] when the library refuses the transaction.
    pub(crate) fn payloads(&self) -> Result<Vec<Vec<u8>>, Unverified> {
        match self {
            Self::Evm(transfer) => Ok(vec![transfer.digest()]),
            Self::Bitcoin(transfer) => transfer.digests(),
            Self::Solana(transfer) => Ok(vec![transfer.unsigned()]),
            Self::Native(transfer) => Ok(vec![transfer.digest()]),
        }
    }

    /// Puts the signatures in their places and has the library judge the result. `signatures` are as the chain shows
    /// them, one per payload. Says what was proven: the sender, and the name of the signed transaction there.
    ///
    /// # Errors
    /// [`Unverified`] when one does not fit.
    pub(crate) fn check(&self, signatures: &[Vec<u8>]) -> Result<String, Unverified> {
        match (self, signatures) {
            (Self::Evm(transfer), [signature]) => transfer.check(signature),
            (Self::Bitcoin(transfer), signatures) => transfer.check(signatures),
            (Self::Solana(transfer), [signature]) => transfer.check(signature),
            (Self::Native(transfer), [signature]) => transfer.check(signature),
            _ => Err(Unverified::malformed("signatures", format!("{} instead of 1", signatures.len()))),
        }
    }
}
