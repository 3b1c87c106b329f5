//! What nodes say of transactions, and what became of them.

use chain_client::fee::{FeePolicy, GasPrice, nothing_gas_limit};
use chain_client::proto::cosmos::base::abci::v1beta1::TxResponse;
use chain_client::proto::cosmos::tx::v1beta1::{BroadcastTxRequest, BroadcastTxResponse, GetTxResponse};
use chain_client::proto::zrchain::treasury::{MsgNewKeyRequestResponse, MsgNewSignatureRequestResponse};
use chain_client::{Height, Hint, Receipt, SignedTx, TxHash};
use prost::Message;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tonic::Code;

use super::scripted::{Node, Said, client};

fn tx() -> SignedTx {
    let bytes = vec![1, 2, 3];
    let hash = TxHash(Sha256::digest(&bytes).into());
    SignedTx { bytes, hash, account: "zen1party".into(), sequence: 5, request: None }
}

fn checked(code: u32, codespace: &str, raw_log: &str) -> Said {
    let tx_response = TxResponse { code, codespace: codespace.into(), raw_log: raw_log.into(), ..Default::default() };
    Said::message(&BroadcastTxResponse { tx_response: Some(tx_response) }, 9)
}

async fn hint(said: Said) -> Hint {
    client(&[&Node::new(move |_| said.clone())]).broadcast(&tx()).await
}

#[tokio::test]
async fn a_broadcast_sends_the_stored_bytes_and_only_checks_them() {
    let node = Node::new(|_| checked(0, "", ""));
    assert_eq!(client(&[&node]).broadcast(&tx()).await, Hint::Taken);
    let sent: BroadcastTxRequest = node.asked()[0].read();
    assert_eq!((sent.tx_bytes, sent.mode), (tx().bytes, 2));
}

#[tokio::test]
async fn bytes_that_the_node_has_already_are_known_and_not_refused() {
    assert_eq!(hint(checked(19, "sdk", "")).await, Hint::Known);
    assert!(matches!(hint(checked(19, "wasm", "")).await, Hint::Refused { .. }), "another module's 19");
}

#[tokio::test]
async fn a_wrong_sequence_tells_the_expected_one() {
    let log = "account sequence mismatch, expected 34, got 1000000: incorrect account sequence";
    let Hint::Refused { code: 32, expected_sequence, .. } = hint(checked(32, "sdk", log)).await else {
        panic!("refused")
    };
    assert_eq!(expected_sequence, Some(34));
    for odd in ["", "expected", "expected x", "expected 99999999999999999999999, got 1"] {
        let Hint::Refused { expected_sequence, .. } = hint(checked(32, "sdk", odd)).await else { panic!("refused") };
        assert_eq!(expected_sequence, None, "{odd}");
    }
    let Hint::Refused { expected_sequence, .. } = hint(checked(13, "sdk", "expected 5")).await else {
        panic!("refused")
    };
    assert_eq!(expected_sequence, None, "only code 32 speaks of sequences");
}

#[tokio::test]
async fn a_stack_trace_is_cut() {
    let trace = "ä".repeat(5000);
    let Hint::Refused { reason, .. } = hint(checked(111_222, "undefined", &trace)).await else { panic!("refused") };
    assert!(reason.len() < 600 && reason.ends_with('…'));
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_leaves_the_fate_unknown() {
    assert!(matches!(hint(Said::down()).await, Hint::Unknown { .. }));
    assert!(matches!(hint(Said::Silence).await, Hint::Unknown { .. }));
    assert!(matches!(hint(Said::Message(vec![], Some(1))).await, Hint::Unknown { .. }), "no result in it");
}

#[tokio::test]
async fn the_next_node_gets_the_same_bytes_when_one_does_not_answer() {
    let dead = Node::new(|_| Said::down());
    let live = Node::new(|_| checked(0, "", ""));
    assert_eq!(client(&[&dead, &live]).broadcast(&tx()).await, Hint::Taken);
    assert_eq!(dead.asked()[0].message, live.asked()[0].message);
}

/// The response is lost after the transaction was included: the same bytes again are known, and the receipt is there.
#[tokio::test]
async fn a_response_lost_after_inclusion_is_found_again() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let node = Node::new(move |asked| {
        if asked.is("BroadcastTx") {
            return match count.fetch_add(1, Ordering::SeqCst) {
                0 => Said::Silence,
                _ => checked(19, "sdk", ""),
            };
        }
        let tx_response =
            TxResponse { height: 12, txhash: tx().hash.to_string(), gas_used: 70_000, ..Default::default() };
        Said::message(&GetTxResponse { tx: None, tx_response: Some(tx_response) }, 12)
    });
    let client = client(&[&node]);
    assert!(matches!(client.broadcast(&tx()).await, Hint::Unknown { .. }));
    let receipt = client.receipt(tx().hash).await.expect("a reply").expect("a receipt");
    assert_eq!((receipt.height, receipt.code, receipt.gas_used), (Height(12), 0, 70_000));
    assert_eq!(client.broadcast(&tx()).await, Hint::Known);
    assert_eq!(sent.load(Ordering::SeqCst), 2);
}

#[test]
fn a_receipt_gives_the_ids_that_a_users_message_made() {
    let data = "12360A302F7A72636861696E2E74726561737572792E4D73674E65775369676E617475726552657175657374526573706F6E73651202080A";
    let receipt = Receipt {
        height: Height(1),
        code: 0,
        codespace: String::new(),
        log: String::new(),
        gas_used: 0,
        data: hex::decode(data).expect("hex"),
    };
    assert_eq!(receipt.response::<MsgNewSignatureRequestResponse>().expect("a response").sig_req_id, 10);
    assert_eq!(receipt.response::<MsgNewKeyRequestResponse>(), None);
}

#[tokio::test]
async fn a_transaction_that_is_not_there_is_none_and_no_proof() {
    let node = Node::new(|_| Said::Status(Code::NotFound, "tx not found: 00".into(), Some(3)));
    assert_eq!(client(&[&node]).receipt(tx().hash).await.expect("a reply"), None);
}

#[tokio::test]
async fn a_receipt_of_another_transaction_is_not_taken() {
    let node = Node::new(|_| {
        let tx_response = TxResponse { height: 12, txhash: "00".into(), ..Default::default() };
        Said::message(&GetTxResponse { tx: None, tx_response: Some(tx_response) }, 12)
    });
    assert!(client(&[&node]).receipt(tx().hash).await.is_err());
}

#[test]
fn prices_are_exact_and_rounded_up() {
    let of = |text, gas| GasPrice::parse(text).expect("a price").of(gas);
    assert_eq!(of("0.0001urock", 300_000), Some(30));
    assert_eq!(of("0.0001urock", 300_001), Some(31));
    assert_eq!(of("2.5urock", 300_000), Some(750_000));
    assert_eq!(of("2.500000000000000000urock", 1), Some(3));
    assert_eq!(of("", 300_000), Some(0));
    assert_eq!(of("1uatom", 300_000), Some(0));
    assert_eq!(of("1uatom,0.5urock", 3), Some(2));
    assert_eq!(of("7aurock", 3), Some(0), "another name that ends alike");
    for odd in ["urock", "-1urock", "0.0000000000000000001urock", "1.2.3urock", ".5urock"] {
        assert!(GasPrice::parse(odd).is_err(), "{odd}");
    }
}

#[test]
fn a_fee_stays_between_floor_and_ceiling() {
    let policy = FeePolicy { floor_urock: 25, ceiling_urock: 1000 };
    let price = |text| GasPrice::parse(text).expect("a price");
    assert_eq!(policy.charge(100_000, price("0.0001urock")).expect("a charge").fee_urock, 25);
    assert_eq!(policy.charge(1_000_000, price("0.0001urock")).expect("a charge").fee_urock, 100);
    assert!(policy.charge(1_000_000, price("1urock")).is_err());
    assert!(policy.charge(u64::MAX, price("340282366920938463463urock")).is_err(), "beyond the range");
    assert!(nothing_gas_limit() >= 100_000);
}

#[test]
fn a_hash_reads_as_the_chain_writes_it() {
    assert_eq!(tx().hash.to_string(), hex::encode_upper(Sha256::digest([1, 2, 3])));
    assert_eq!(BroadcastTxRequest::default().encoded_len(), 0);
}
