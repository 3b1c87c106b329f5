//! Why a contract takes no request, and what to do about it.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolError;

use crate::zrsign::abi;
use crate::zrsign::revert::Revert;

/// What a call that asks reverts with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It takes nothing for now.
    #[error("the contract is paused; ask again later")]
    Paused,
    /// It does not serve this wallet.
    #[error("the contract does not serve wallet type {0}")]
    WalletType(B256),
    /// It does not know this destination for this wallet.
    #[error(
        "the contract does not serve destination {chain} for this wallet; its ChainIdSupport logs tell which it does"
    )]
    Destination {
        /// keccak256 of the CAIP-2 text.
        chain: B256,
    },
    /// No options in a key request; in a signature request it means that the owner has no such wallet.
    #[error("the account has no wallet of that type and index, or the options are 0")]
    Options,
    /// The wallet has no key yet.
    #[error("wallet {0} was asked for and has no key yet; wait for it")]
    NoKeyYet(U256),
    /// The wallet was asked for with options 1.
    #[error("wallet {0} was asked for with options below 2, which simple transactions need; ask for another key")]
    Unmonitored(U256),
    /// A hash that relayers are to send.
    #[error("a hash is never sent by relayers")]
    Broadcast,
    /// Too little was sent along.
    #[error("the contract wants {required} wei, {provided} were sent along; the base fee has risen, ask again")]
    Fee {
        /// What it wants.
        required: U256,
        /// What it was given.
        provided: U256,
    },
    /// Anything else.
    #[error("the contract refuses: {0:?}")]
    Other(Revert),
}

impl From<Revert> for Refusal {
    fn from(revert: Revert) -> Self {
        match revert {
            Revert::Paused => Self::Paused,
            Revert::WalletType(id) => Self::WalletType(id),
            Revert::Unknown(said) => Self::of(&said).unwrap_or(Self::Other(Revert::Unknown(said))),
            other => Self::Other(other),
        }
    }
}

impl Refusal {
    /// Errors that only those who ask meet.
    fn of(said: &[u8]) -> Option<Self> {
        Some(match *said.first_chunk::<4>()? {
            abi::ChainIdNotSupported::SELECTOR => {
                Self::Destination { chain: error::<abi::ChainIdNotSupported>(said)?.chainId }
            }
            abi::InvalidOptions::SELECTOR => error::<abi::InvalidOptions>(said).map(|_| Self::Options)?,
            abi::InvalidWalletIndex::SELECTOR => Self::NoKeyYet(error::<abi::InvalidWalletIndex>(said)?.walletIndex),
            abi::WalletNotRegisteredForMonitoring::SELECTOR => {
                Self::Unmonitored(error::<abi::WalletNotRegisteredForMonitoring>(said)?.walletIndex)
            }
            abi::BroadcastNotAllowed::SELECTOR => Self::Broadcast,
            abi::InsufficientFee::SELECTOR => {
                let abi::InsufficientFee { requiredFee: required, providedFee: provided } = error(said)?;
                Self::Fee { required, provided }
            }
            _ => return None,
        })
    }
}

fn error<E: SolError>(said: &[u8]) -> Option<E> {
    E::abi_decode_validate(said).ok()
}
