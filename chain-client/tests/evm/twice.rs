//! The same digests and names, computed twice: by this crate from the documents, and by `contracts` for its tests on the
//! real contract. Neither knows the other.

use alloy_primitives::{Address, B256, Bytes, U256};
use chain_client::zrsign::authorisation;
use chain_client::zrsign::name::{Destinations, Proxy, Slot, WalletKind};
use contracts::names::{BITCOIN, BITCOIN_TESTNET, EVM, SRC_CHAIN_ID, chain_id, wallet_id, workspace_id};
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

proptest! {
    #[test]
    fn answers_are_authorised_by_the_same_digests(
        kind in 0..3_usize, owner: [u8; 20], number: [u8; 32], wallet in ".{0,80}", options: u8,
        meta_data in bytes(), signature in bytes(), broadcast: bool,
    ) {
        let (wallet_type, owner, number) =
            (WalletKind::ALL[kind].id(), Address::from(owner), U256::from_be_bytes(number));
        let ours = authorisation::KeyAnswer { wallet_type, owner, index: number, wallet: wallet.clone(), options };
        let theirs = contracts::answer::KeyAnswer { wallet_type, owner, index: number, wallet, options };
        prop_assert_eq!(ours.digest(SRC_CHAIN_ID), theirs.digest());

        let ours = authorisation::SignatureAnswer {
            trace: number, owner, meta_data: meta_data.clone(), signature: signature.clone(), broadcast,
        };
        let theirs = contracts::answer::SignatureAnswer { trace: number, owner, meta_data, signature, broadcast };
        prop_assert_eq!(ours.digest(SRC_CHAIN_ID), theirs.digest());
        prop_assert_ne!(ours.digest(B256::ZERO), theirs.digest(), "the tag is part of it");
    }

    #[test]
    fn wallets_and_destinations_have_the_same_names(
        chain: u64, address: [u8; 20], owner: [u8; 20], index: [u8; 32], kind in 0..3_usize, number in 1..u64::MAX,
    ) {
        let (kind, id) = [
            (WalletKind::Evm, EVM),
            (WalletKind::BitcoinMainnet, BITCOIN),
            (WalletKind::BitcoinTestnet, BITCOIN_TESTNET),
        ][kind];
        prop_assert_eq!(kind.id(), id);
        let (address, owner, index) = (Address::from(address), Address::from(owner), U256::from_be_bytes(index));
        let slot = Slot { proxy: Proxy { chain, address }, kind, owner, index };
        prop_assert_eq!(slot.wallet_id(), wallet_id(chain, address, id, owner, index));
        prop_assert_eq!(slot.workspace_id(), workspace_id(chain, address, id, owner));
        let caip = format!("eip155:{number}");
        let mut known = Destinations::default();
        prop_assert!(known.learn(&caip));
        prop_assert_eq!(known.eip155(chain_id(&caip)), Some(number));
    }
}
