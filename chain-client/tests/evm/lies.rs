//! Each lie an endpoint can tell about the past: it has its name, nothing wrong is returned, and when it ends the same
//! question is answered.

use alloy_primitives::{Address, B256, U256};
use chain_client::zrsign::evm::{EvmChain, EvmError, EvmSettings};
use chain_client::zrsign::range::Incomplete;
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::proxy::IZrProxy;
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, honest, now, quick};
use crate::liar::Said;
use crate::node::CHAIN;
use crate::scene::{BLOCK, Scene, forge, is_height, rehash};
use crate::world::{ADMIN, PROXY_ADMIN};

const RECEIPTS: &str = "eth_getBlockReceipts";

/// The logs of the first receipt, if there are some.
fn logs(receipts: &mut Value) -> Option<&mut Vec<Value>> {
    receipts[0]["logs"].as_array_mut().filter(|logs| !logs.is_empty())
}

#[tokio::test]
async fn receipts_that_are_not_all_or_not_those() {
    let scene = Scene::new().await;
    let omitted = Incomplete::Omitted { height: scene.first() };

    let found = scene.incomplete(RECEIPTS, |_, receipts| *receipts = json!([])).await;
    assert_eq!(found, omitted, "no receipts");
    let found = scene.incomplete(RECEIPTS, |_, receipts| drop(logs(receipts).and_then(Vec::pop))).await;
    assert_eq!(found, omitted, "a log is left out");
    let hide = |_: &Value, receipts: &mut Value| {
        drop(logs(receipts).and_then(Vec::pop));
        receipts[0]["logsBloom"] = json!(format!("0x{}", "0".repeat(512)));
    };
    assert_eq!(scene.incomplete(RECEIPTS, hide).await, omitted, "and the receipt's bloom with it");
    let repeat = |_: &Value, receipts: &mut Value| {
        let Some(logs) = logs(receipts) else { return };
        let mut again = logs[0].clone();
        again["logIndex"] = json!(format!("{:#x}", logs.len()));
        logs.push(again);
    };
    assert_eq!(scene.incomplete(RECEIPTS, repeat).await, omitted, "a log is repeated");
    let invent = |_: &Value, receipts: &mut Value| {
        let Some(logs) = logs(receipts) else { return };
        let mut another = logs[0].clone();
        another["logIndex"] = json!(format!("{:#x}", logs.len()));
        another["topics"][1] = json!(B256::with_last_byte(9));
        logs.push(another);
    };
    assert_eq!(scene.incomplete(RECEIPTS, invent).await, omitted, "a log is invented");
    let change = |_: &Value, receipts: &mut Value| {
        let Some(logs) = logs(receipts) else { return };
        let data = logs[0]["data"].as_str().unwrap();
        let end = data.len() - 64;
        logs[0]["data"] = json!(format!("{}{}", &data[..end], "77".repeat(32)));
    };
    assert_eq!(scene.incomplete(RECEIPTS, change).await, omitted, "another payload, which is in no bloom");
    let elsewhere = |_: &Value, receipts: &mut Value| {
        if let Some(logs) = logs(receipts) {
            logs[0]["address"] = json!(Address::repeat_byte(0x11));
        }
    };
    assert_eq!(scene.incomplete(RECEIPTS, elsewhere).await, omitted, "the log of another contract");
    let failed = |_: &Value, receipts: &mut Value| receipts[0]["status"] = json!("0x0");
    assert_eq!(scene.incomplete(RECEIPTS, failed).await, omitted, "a transaction that failed");
}

#[tokio::test]
async fn receipts_that_do_not_fit_together() {
    let scene = Scene::new().await;
    let what = scene.malformed(RECEIPTS, |_, receipts| *receipts = Value::Null).await;
    assert!(what.starts_with("it has no receipts of block"), "{what}");
    let what = scene.malformed(RECEIPTS, |_, receipts| receipts[0]["blockHash"] = json!(B256::ZERO)).await;
    assert!(what.ends_with("one is of another block"), "{what}");
    let what = scene.malformed(RECEIPTS, |_, receipts| receipts[0]["transactionIndex"] = json!("0x1")).await;
    assert!(what.ends_with("transaction Some(1) where 0 comes next"), "{what}");
    let places = [
        ("blockHash", json!(B256::ZERO)),
        ("blockNumber", json!("0x1")),
        ("transactionHash", json!(B256::ZERO)),
        ("logIndex", json!("0x1")),
        ("removed", json!(true)),
    ];
    for (field, wrong) in places {
        let caught = scene
            .caught(|liar| {
                liar.changes(RECEIPTS, move |_, receipts| {
                    if let Some(logs) = logs(receipts) {
                        logs[0][field] = wrong.clone();
                    }
                });
            })
            .await;
        assert!(
            matches!(&caught, EvmError::Malformed { what, .. } if what.ends_with("where 0 comes next")),
            "{caught}"
        );
    }
}

#[tokio::test]
async fn headers_that_are_not_what_their_hashes_say() {
    let scene = Scene::new().await;
    for field in ["logsBloom", "receiptsRoot", "stateRoot", "parentHash", "timestamp", "extraData", "hash"] {
        let caught = scene.caught(|liar| liar.changes(BLOCK, move |_, block| forge(block, field))).await;
        let EvmError::Malformed { what, .. } = caught else { panic!("{field}: {caught}") };
        assert!(what.contains("is not that of its fields"), "{field}: {what}");
    }
    // Another block, whole, in place of the one asked for.
    let first = scene.first();
    let earlier: Value = scene.world.rpc(BLOCK, (U256::from(first), false)).await;
    let caught = scene
        .caught(move |liar| {
            liar.changes(BLOCK, move |params, block| {
                if is_height(params, first + 1) {
                    *block = earlier.clone();
                }
            });
        })
        .await;
    assert!(
        matches!(&caught, EvmError::Malformed { what, .. } if what == &format!("asked for block {}, got {first}", first + 1)),
        "{caught}"
    );
    // A block that hides its logs, with the hash that fits: the next does not follow it.
    let caught = scene
        .caught(move |liar| {
            liar.changes(BLOCK, move |params, block| {
                if is_height(params, first) {
                    forge(block, "logsBloom");
                    rehash(block);
                }
            });
        })
        .await;
    let EvmError::Incomplete { why, .. } = caught else { panic!("{caught}") };
    assert_eq!(why, Incomplete::Broken { height: first + 1 });
    // And one that is missing.
    let caught = scene
        .caught(move |liar| {
            liar.changes(BLOCK, move |params, block| {
                if is_height(params, first) {
                    *block = Value::Null;
                }
            });
        })
        .await;
    assert!(matches!(&caught, EvmError::Malformed { what, .. } if what.starts_with("it has no block")), "{caught}");
}

#[tokio::test]
async fn a_count_that_does_not_fit_the_logs() {
    let scene = Scene::new().await;
    let one_more = |_: &str, params: &Value, reply: &mut Value| {
        if params[0]["input"].as_str() == Some("0x379e3349") {
            let said: U256 = serde_json::from_value(reply["result"].clone()).unwrap();
            reply["result"] = json!(B256::from(said + U256::ONE));
        }
        Said::Reply
    };
    let caught = scene.caught(|liar| liar.lies(one_more)).await;
    let EvmError::Incomplete { why, .. } = caught else { panic!("{caught}") };
    assert_eq!(why, Incomplete::Trace { expected: U256::from(2), found: U256::from(3) });
}

/// Nothing can be proved about code; but a word that changes without a log makes no log count.
#[tokio::test]
async fn an_implementation_that_changes_in_silence() {
    let scene = Scene::new().await;
    let last = scene.truth.mark.hash;
    scene.liar.changes("eth_getStorageAt", move |params, slot| {
        if params[2]["blockHash"] == json!(last) {
            *slot = json!(B256::with_last_byte(0x77));
        }
    });
    let chain = scene.chain(AT_ONCE);
    let mut from = scene.from;
    let mut spans = Vec::new();
    while let Some(range) = chain.range(scene.world.zr_sign, from).await.unwrap() {
        from = range.mark;
        spans.extend(range.spans);
    }
    let (counted, silent): (Vec<_>, Vec<_>) =
        spans.iter().filter(|span| !span.logs.is_empty()).partition(|span| span.code.is_some());
    assert!(counted.iter().all(|span| span.code == scene.truth.spans[0].code));
    let heights: Vec<_> = silent.iter().flat_map(|span| span.logs.iter().map(|log| log.at.height)).collect();
    assert_eq!(heights, [scene.truth.mark.height], "the last block alone");
}

/// A slot that holds more than an address names no code; the logs are there, and do not count.
#[tokio::test]
async fn an_implementation_that_is_no_address() {
    let scene = Scene::new().await;
    scene.liar.changes("eth_getStorageAt", |_, slot| *slot = json!(B256::repeat_byte(0x77)));
    let range = scene.chain(AT_ONCE).range(scene.world.zr_sign, scene.from).await.unwrap().unwrap();
    assert_eq!((range.mark, range.spans[0].code), (scene.truth.mark, None));
    assert_eq!(range.spans[0].logs, scene.truth.spans[0].logs);
}

/// The log names one implementation and the slot another: from the log on nobody knows.
#[tokio::test]
async fn an_upgrade_to_something_else_than_announced() {
    let scene = Scene::new().await;
    let next = scene.world.deploy(ADMIN, ZrSign::BYTECODE.clone()).await;
    let start = now(&honest(&scene.world, AT_ONCE), &scene.world).await;
    let upgrade = IZrProxy::upgradeToCall { newImplementation: next };
    scene.world.done(scene.world.call(PROXY_ADMIN, &upgrade)).await;
    let chain = scene.chain(AT_ONCE);
    let announced = chain.range(scene.world.zr_sign, start).await.unwrap().unwrap();
    assert_eq!(announced.spans[0].code.unwrap().implementation, next);
    let at = announced.mark.hash;
    scene.liar.changes("eth_getStorageAt", move |params, slot| {
        if params[2]["blockHash"] == json!(at) {
            *slot = json!(ADMIN.into_word());
        }
    });
    let other = chain.range(scene.world.zr_sign, start).await.unwrap().unwrap();
    assert_eq!((other.mark, other.spans.len(), other.spans[0].code), (announced.mark, 1, None));
    assert_eq!(other.spans[0].logs, announced.spans[0].logs);
}

#[tokio::test]
async fn a_range_too_large_to_answer_is_named() {
    let scene = Scene::new().await;
    let settings = EvmSettings { reply_bytes_max: 64 * 1024, ..quick() };
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&scene.liar.address), AT_ONCE, settings).unwrap();
    scene.told(&chain).await;
    scene.liar.changes(RECEIPTS, |_, receipts| receipts[0]["padding"] = json!("7".repeat(65 * 1024)));
    let error = chain.range(scene.world.zr_sign, scene.from).await.unwrap_err();
    assert!(matches!(error, EvmError::TooLarge { .. }), "{error}");
    scene.liar.is_honest();
    scene.told(&chain).await;
}
