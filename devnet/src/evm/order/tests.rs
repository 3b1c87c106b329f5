use super::*;
use alloy_primitives::{address, bytes, keccak256};
use k256::ecdsa::SigningKey;

const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");
const WALLET: &str = "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB";

/// The wallet of the worked examples.
fn key() -> SigningKey {
    SigningKey::from_slice(&[0x33; 32]).expect("a key")
}

fn sign(key: &SigningKey, digest: B256) -> Bytes {
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).expect("a signature");
    [signature.to_bytes().as_slice(), &[parity.to_byte()]].concat().into()
}

fn answer(meta: impl Into<Bytes>, signature: Bytes, broadcast: bool) -> ZrSign::ZrSigResolve {
    ZrSign::ZrSigResolve { traceId: U256::ZERO, metaData: meta.into(), signature, broadcast }
}

fn proven(judged: Result<Verdict, String>) -> String {
    match judged {
        Ok(Verdict::Proven(proof)) => proof,
        Ok(Verdict::Signed(_)) => panic!("nothing to carry"),
        Err(why) => panic!("{why}"),
    }
}

fn refused(judged: Result<Verdict, String>, word: &str) {
    let why = judged.expect_err("a lie");
    assert!(why.contains(word), "{word} in: {why}");
}

/// The worked example of a simple transaction: completed with nonce 0, 2 gwei, 21000 gas.
const COMPLETED: Bytes =
    bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080");

fn simple() -> Simple {
    let (value, input) = (U256::from(1_000_000_000_000_000_u64), Bytes::new());
    Simple { to: RECIPIENT, value, input, chain: 31_337, nonce: 0 }
}

/// An answer to a simple transaction as the keyring would make it, signed for a chain.
fn completed(meta: &Bytes, chain: u64) -> ZrSign::ZrSigResolve {
    let shown = TxLegacy::decode(&mut meta.as_ref()).expect("a transaction");
    let digest = TxLegacy { chain_id: Some(chain), ..shown }.signature_hash();
    answer(meta.clone(), sign(&key(), digest), true)
}

fn nine_items(change: impl Fn(&mut TxLegacy)) -> Bytes {
    let mut transaction = TxLegacy::decode(&mut COMPLETED.as_ref()).expect("a transaction");
    change(&mut transaction);
    let mut bytes = Vec::new();
    transaction.encode_for_signing(&mut bytes);
    bytes.into()
}

#[test]
fn a_hash_is_proven_by_the_address_that_comes_out_of_its_signature() {
    let hash = keccak256("hello");
    let order = Order::Hash { wallet: WalletType::Evm, hash };
    let good = answer(hash, sign(&key(), hash), false);
    assert_eq!(proven(order.judge(&good, WALLET)), format!("recovers to {WALLET}"));

    refused(order.judge(&good, "0x1563915e194D8CfBA1943570603F7606A3115508"), "recovers to 0x5CbD");
    refused(order.judge(&answer(keccak256("another"), good.signature.clone(), false), WALLET), "metaData");
    refused(order.judge(&answer(hash, sign(&key(), keccak256("another")), false), WALLET), "recovers");
    refused(order.judge(&answer(hash, good.signature.clone(), true), WALLET), "broadcast");
    let mut late = good.signature.to_vec();
    late[64] += 27;
    for bytes in [late, good.signature[..64].to_vec(), Vec::new()] {
        refused(order.judge(&answer(hash, bytes.into(), false), WALLET), "65 bytes");
    }
}

#[test]
fn a_bitcoin_wallet_is_known_by_its_own_address() {
    let hash = keccak256("a signature hash");
    let order = Order::Hash { wallet: WalletType::BitcoinTestnet, hash };
    let public = bitcoin::CompressedPublicKey::from_slice(&key().verifying_key().to_sec1_bytes()).expect("a key");
    let wallet = bitcoin::Address::p2wpkh(&public, bitcoin::Network::Testnet).to_string();
    let good = answer(hash, sign(&key(), hash), false);
    assert_eq!(proven(order.judge(&good, &wallet)), format!("recovers to {wallet}"));
    refused(order.judge(&good, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"), "recovers");
}

#[test]
fn a_simple_transaction_is_the_worked_example() {
    let signature = bytes!(
        "4c991632a7a88b028d942596c8361ef034bb895793ef213ac2a657ab331d3cab3bfdf0c0c1f521bcaaacd181b901ad880677481f1c2d5d0b60175e1eb4e42e2900"
    );
    let judged = Order::Simple(simple()).judge(&answer(COMPLETED, signature, true), WALLET);
    let Ok(Verdict::Signed(transaction)) = judged else { panic!("{judged:?}") };
    assert_eq!(
        transaction.signature_hash(),
        alloy_primitives::b256!("e9b53f81324997bc3f831371293a26646b3ce950c73fd839490c11fa784dcc8e")
    );
    assert_eq!((transaction.tx().chain_id, transaction.tx().gas_limit), (Some(31_337), 21_000));
}

#[test]
fn a_completed_transaction_that_is_not_what_was_asked_for_is_refused() {
    let order = Order::Simple(simple());
    let judged = |meta: &Bytes| order.judge(&completed(meta, 31_337), WALLET);
    assert!(judged(&COMPLETED).is_ok());
    assert!(judged(&nine_items(|shown| shown.gas_price += 1)).is_ok(), "gas and its price are the keyring's choice");
    refused(judged(&nine_items(|shown| shown.nonce = 1)), "nonce is 1, and the wallet's next is 0");
    refused(judged(&nine_items(|shown| shown.value += U256::ONE)), "not what was asked for");
    refused(judged(&nine_items(|shown| shown.to = TxKind::Call(Address::ZERO))), "not what was asked for");
    refused(judged(&nine_items(|shown| shown.to = TxKind::Create)), "not what was asked for");
    refused(judged(&nine_items(|shown| shown.input = bytes!("00"))), "not what was asked for");
    refused(judged(&nine_items(|shown| shown.chain_id = Some(31_337))), "three empty");
    refused(judged(&nine_items(|shown| shown.chain_id = None)), "three empty");
}

#[test]
fn bytes_that_are_no_transaction_are_refused() {
    let order = Order::Simple(simple());
    let signature = sign(&key(), keccak256("whatever"));
    let long = [COMPLETED.as_ref(), &[0]].concat();
    // Eight items: empty data was not encoded.
    let eight = bytes!("e9808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c68000808080");
    for bytes in [Bytes::new(), bytes!("c0"), bytes!("80"), eight, long.into(), COMPLETED.slice(..40)] {
        refused(order.judge(&answer(bytes, signature.clone(), true), WALLET), "metaData is no transaction");
    }
}

#[test]
fn a_transaction_for_another_chain_or_nobody_is_refused() {
    let order = Order::Simple(simple());
    refused(order.judge(&completed(&COMPLETED, 31_338), WALLET), "recovers");
    let kept = ZrSign::ZrSigResolve { broadcast: false, ..completed(&COMPLETED, 31_337) };
    refused(order.judge(&kept, WALLET), "broadcast");

    let unsigned = simple().completed(&COMPLETED).expect("a transaction");
    let digest = unsigned.signature_hash();
    let order = Order::Transaction(unsigned);
    assert!(matches!(order.judge(&answer(digest, sign(&key(), digest), true), WALLET), Ok(Verdict::Signed(_))));
    refused(order.judge(&answer(COMPLETED, sign(&key(), digest), true), WALLET), "metaData");
    refused(order.judge(&answer(digest, sign(&key(), digest), false), WALLET), "broadcast");
    refused(order.judge(&answer(digest, sign(&key(), keccak256(COMPLETED)), true), WALLET), "recovers");
}

#[test]
fn an_address_is_written_as_its_chain_writes_it() {
    assert!(address(WalletType::Evm, WALLET).is_ok());
    assert!(address(WalletType::Evm, &WALLET.to_lowercase()).is_err());
    assert!(address(WalletType::BitcoinTestnet, "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx").is_ok());
    assert!(address(WalletType::BitcoinTestnet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4").is_err());
    assert!(address(WalletType::BitcoinTestnet, WALLET).is_err());
    assert!(address(WalletType::Evm, "").is_err());
}
