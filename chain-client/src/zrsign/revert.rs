//! Why a response would revert, in the contract's own words.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{Panic, Revert as Text, SolError};

use super::abi;
use crate::submission::{TEXT_MAX, cut};

/// What a call reverts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revert {
    /// The contract is paused. Later.
    Paused,
    /// The wallet type was taken off. Later, perhaps.
    WalletType(B256),
    /// Another index is next: the slot was filled, or one before it is still open.
    WalletIndex {
        /// The next one.
        expected: U256,
        /// Ours.
        provided: U256,
    },
    /// Nobody asked for the slot.
    WalletNotRequested(String),
    /// The request was answered, or there is none of that number.
    Request(U256),
    /// The authorisation is malformed: 1 for `v`, 2 for its length, 3 for a high `s`.
    Signature(u8),
    /// The signer does not hold the role; a wrong digest ends here as well, with an address of chance.
    Unauthorised {
        /// The signer.
        account: Address,
        /// The role.
        role: B256,
    },
    /// The address text is too short.
    AddressLength {
        /// At least.
        least: U256,
        /// Ours.
        actual: U256,
    },
    /// `Error(string)`, cut: `Transfer failed` when the owner takes no change.
    Text(String),
    /// `Panic(uint256)`: 17 for the refund's arithmetic, by gas limit or price.
    Panic(U256),
    /// Nothing was said: no such function, or out of gas.
    Silent,
    /// Bytes that nobody here knows, cut.
    Unknown(Bytes),
}

impl Revert {
    /// What the bytes of a revert say.
    #[must_use]
    pub fn decode(said: &[u8]) -> Self {
        let unknown = || Self::Unknown(Bytes::copy_from_slice(said.get(..TEXT_MAX).unwrap_or(said)));
        let Some(selector) = said.first_chunk::<4>() else {
            return if said.is_empty() { Self::Silent } else { unknown() };
        };
        let known = match *selector {
            abi::EnforcedPause::SELECTOR => Some(Self::Paused),
            abi::WalletTypeNotSupported::SELECTOR => {
                error::<abi::WalletTypeNotSupported>(said).map(|error| Self::WalletType(error.walletTypeId))
            }
            abi::IncorrectWalletIndex::SELECTOR => error::<abi::IncorrectWalletIndex>(said)
                .map(|error| Self::WalletIndex { expected: error.expected, provided: error.provided }),
            abi::WalletNotRequested::SELECTOR => {
                error::<abi::WalletNotRequested>(said).map(|error| Self::WalletNotRequested(cut(error.wallet)))
            }
            abi::RequestNotFoundOrAlreadyProcessed::SELECTOR => {
                error::<abi::RequestNotFoundOrAlreadyProcessed>(said).map(|error| Self::Request(error.traceId))
            }
            abi::InvalidSignature::SELECTOR => {
                error::<abi::InvalidSignature>(said).map(|error| Self::Signature(error.code))
            }
            abi::AccessControlUnauthorizedAccount::SELECTOR => error::<abi::AccessControlUnauthorizedAccount>(said)
                .map(|error| Self::Unauthorised { account: error.account, role: error.role }),
            abi::InvalidAddressLength::SELECTOR => error::<abi::InvalidAddressLength>(said)
                .map(|error| Self::AddressLength { least: error.minLength, actual: error.actualLength }),
            Text::SELECTOR => error::<Text>(said).map(|error| Self::Text(cut(error.reason))),
            Panic::SELECTOR => error::<Panic>(said).map(|error| Self::Panic(error.code)),
            _ => None,
        };
        known.unwrap_or_else(unknown)
    }
}

fn error<E: SolError>(said: &[u8]) -> Option<E> {
    E::abi_decode_validate(said).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{address, b256, hex};
    use proptest::prelude::*;

    const WORD: &str = "0000000000000000000000000000000000000000000000000000000000000001";

    /// Those of worked example 9, and the texts of the contract.
    #[test]
    fn the_contracts_errors_are_told_apart() {
        let said = |selector: &str, words: &str| hex::decode(format!("{selector}{words}")).unwrap();
        let signer = "0000000000000000000000001563915e194d8cfba1943570603f7606a3115508";
        let role = "1788cbbd6512d9aa8da743e475ce7cbbc6aea08b483d7cd0c00586734a4f6f14";
        let zero = "0".repeat(64);
        let examples = [
            (said("480770df", WORD), Revert::Signature(1)),
            (
                said("e2517d3f", &format!("{signer}{role}")),
                Revert::Unauthorised {
                    account: address!("1563915e194d8cfba1943570603f7606a3115508"),
                    role: b256!("1788cbbd6512d9aa8da743e475ce7cbbc6aea08b483d7cd0c00586734a4f6f14"),
                },
            ),
            (
                said("712ef889", &format!("{WORD}{zero}")),
                Revert::WalletIndex { expected: U256::ONE, provided: U256::ZERO },
            ),
            (said("83d45247", &WORD.replace("01", "4d")), Revert::Request(U256::from(0x4d))),
            (said("4e487b71", &WORD.replace("01", "11")), Revert::Panic(U256::from(17))),
            (said("d93c0665", ""), Revert::Paused),
            (
                said("887b59d6", role),
                Revert::WalletType(b256!("1788cbbd6512d9aa8da743e475ce7cbbc6aea08b483d7cd0c00586734a4f6f14")),
            ),
            (Text::from("Transfer failed").abi_encode(), Revert::Text("Transfer failed".to_owned())),
            (Vec::new(), Revert::Silent),
        ];
        for (said, revert) in examples {
            assert_eq!(Revert::decode(&said), revert);
        }
    }

    #[test]
    fn what_is_not_whole_is_unknown() {
        for said in ["480770", "480770df", "480770dfff", "12345678", "08c379a0ff"] {
            let said = hex::decode(said).unwrap();
            assert_eq!(Revert::decode(&said), Revert::Unknown(said.clone().into()));
        }
        let long = vec![0x55; 4 * TEXT_MAX];
        assert_eq!(Revert::decode(&long), Revert::Unknown(vec![0x55; TEXT_MAX].into()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(said in proptest::collection::vec(any::<u8>(), 0..200), at in 0..10_usize) {
            let selectors = ["d93c0665", "887b59d6", "712ef889", "0659899e", "83d45247", "480770df", "e2517d3f", "ffa7e4f7", "08c379a0", "4e487b71"];
            let mut known = hex::decode(selectors[at]).unwrap();
            known.extend(&said);
            let _ = Revert::decode(&known);
            let _ = Revert::decode(&said);
        }
    }
}
