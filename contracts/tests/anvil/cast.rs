//! The people of the worked examples, their keys, and what is said again and again.

use alloy_primitives::{Address, B256, Bytes, U256, address, b256};
use alloy_rpc_types_eth::{Log, TransactionReceipt};
use alloy_sol_types::{SolConstructor, SolError, SolEvent};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::names::{EVM, chain_id};
use k256::ecdsa::SigningKey;

/// Response gas, percent, and fee of the worked examples.
pub(crate) const RESP_GAS: u64 = 200_000;
pub(crate) const BUFFER: u64 = 120;
pub(crate) const MPC_FEE: u64 = 500_000_000_000_000;
/// What one request with options 1 costs at the pinned base fee.
pub(crate) const TOTAL: u64 = 740_000_000_000_000;
/// The part of it that pays the answer.
pub(crate) const BUDGET: u64 = 240_000_000_000_000;
/// Enough for everything that is not an answer.
pub(crate) const PLENTY: u64 = 8_000_000;

/// The node's accounts: admin of the contract, admin of the proxy, holder of roles, who brings answers, who asks.
pub(crate) const ADMIN: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
pub(crate) const PROXY_ADMIN: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub(crate) const OPERATOR: Address = address!("3C44CdDdB6a900fa2b585dd299e03d12FA4293BC");
pub(crate) const SENDER: Address = address!("90F79bf6EB2c4f870365E785982E1f101E93b906");
pub(crate) const USER: Address = address!("15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
pub(crate) const STRANGER: Address = address!("9965507D1a55bcC2695C58ba16FB37d819B0A4dc");

/// The worked examples' wallets.
pub(crate) const WALLET_0: &str = "0x1563915e194D8CfBA1943570603F7606A3115508";
pub(crate) const WALLET_1: &str = "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB";

pub(crate) const IMPLEMENTATION_SLOT: B256 = b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc");
pub(crate) const ADMIN_SLOT: B256 = b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103");

/// A software key of repeated bytes, in place of a committee.
pub(crate) fn key(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

/// The key that holds the MPC role.
pub(crate) fn controller() -> SigningKey {
    key(0x11)
}

pub(crate) fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

/// r, s, and 27 or 28.
pub(crate) fn sign(key: &SigningKey, digest: B256) -> Bytes {
    let (signature, recovery) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(27 + recovery.to_byte());
    bytes.into()
}

pub(crate) fn sepolia() -> B256 {
    chain_id("eip155:11155111")
}

/// The key answer of worked example 2.
pub(crate) fn first_wallet(options: u8) -> KeyAnswer {
    KeyAnswer { wallet_type: EVM, owner: USER, index: U256::ZERO, wallet: WALLET_0.to_owned(), options }
}

/// The payload of worked example 3.
pub(crate) fn hello() -> B256 {
    b256!("2a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0")
}

/// A request on the user's wallet 0 for Sepolia.
pub(crate) fn sign_params(payload: impl AsRef<[u8]>, broadcast: bool) -> IZrSign::ZrSignParams {
    IZrSign::ZrSignParams {
        walletTypeId: EVM,
        walletIndex: U256::ZERO,
        dstChainId: sepolia(),
        payload: Bytes::copy_from_slice(payload.as_ref()),
        broadcast,
    }
}

/// An answer to the user's request `trace`: the wallet's signature over worked example 3, nothing else.
pub(crate) fn hash_answer(trace: u64) -> SignatureAnswer {
    SignatureAnswer {
        trace: U256::from(trace),
        owner: USER,
        meta_data: Bytes::new(),
        signature: sign(&key(0x22), hello()),
        broadcast: false,
    }
}

/// Price of a request at the pinned base fee.
pub(crate) fn total(options: u8) -> u64 {
    MPC_FEE * u64::from(options) + BUDGET
}

/// The one log of a kind in a receipt.
pub(crate) fn log<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let mut found = receipt.logs().iter().filter(|log| log.topic0() == Some(&E::SIGNATURE_HASH));
    let log = found.next().unwrap_or_else(|| panic!("no {} in {:?}", E::SIGNATURE, receipt.logs()));
    assert!(found.next().is_none(), "two {}", E::SIGNATURE);
    decode(log)
}

pub(crate) fn decode<E: SolEvent>(log: &Log) -> E {
    E::decode_log(&log.inner).unwrap().data
}

pub(crate) fn refund(receipt: &TransactionReceipt) -> (U256, U256) {
    let refund: ZrSign::ZrSigGasRefund = log(receipt);
    (refund.engineWalletCost, refund.userChange)
}

/// Code and what its constructor is given.
pub(crate) fn with_arguments(code: &Bytes, arguments: &impl SolConstructor) -> Bytes {
    [code.as_ref(), &arguments.abi_encode()].concat().into()
}

/// `Error(string)`.
pub(crate) fn text(message: &str) -> Vec<u8> {
    alloy_sol_types::Revert::from(message).abi_encode()
}

/// `Panic(uint256)`.
pub(crate) fn panic(code: u8) -> Vec<u8> {
    alloy_sol_types::Panic { code: U256::from(code) }.abi_encode()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    alloy_primitives::hex::encode_prefixed(bytes)
}
