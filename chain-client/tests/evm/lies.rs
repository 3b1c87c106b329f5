//! Each lie an endpoint can tell about the past: it has its name, nothing wrong is returned, and when it ends the same
//! question is answered.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use chain_client::zrsign::evm::{EvmChain, EvmError, EvmSettings, Finality, Range};
use chain_client::zrsign::range::{Incomplete, Mark};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::proxy::IZrProxy;
use contracts::names::EVM;
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, address_of, honest, now, quick};
use crate::liar::{Liar, Said};
use crate::node::CHAIN;
use crate::world::{ADMIN, PROXY_ADMIN, World};

/// A world in which something was asked behind a mark, and the endpoint that will lie about it.
struct Scene {
    world: World,
    liar: Liar,
    from: Mark,
    truth: Range,
}

impl Scene {
    /// Two signature requests and a key request of the contract, a log of somebody else, and an empty block.
    async fn new() -> Self {
        let world = World::new().await;
        world.with_wallet(1).await;
        let chain = honest(&world, AT_ONCE);
        let from = now(&chain, &world).await;
        world.done(world.hash_request()).await;
        world.done(world.key_request(EVM, 1)).await;
        let consumer = world.consumer().await;
        world.done(world.ask(ADMIN, alloy_primitives::Bytes::new()).to(consumer).value(1)).await;
        let _: Value = world.rpc("anvil_mine", [U256::ONE]).await;
        world.done(world.hash_request()).await;
        let truth = chain.range(world.zr_sign, from).await.unwrap().unwrap();
        assert_eq!(truth.spans[0].logs.len(), 3);
        let liar = Liar::before(&world).await;
        Self { world, liar, from, truth }
    }

    fn chain(&self, finality: Finality) -> EvmChain {
        EvmChain::new(CHAIN, std::slice::from_ref(&self.liar.address), finality, quick()).unwrap()
    }

    /// What the lie leads to, asked of an endpoint that was honest before and is afterwards.
    async fn caught(&self, tell: impl FnOnce(&Liar)) -> EvmError {
        let chain = self.chain(AT_ONCE);
        self.told(&chain).await;
        tell(&self.liar);
        let endpoints = [self.liar.address.clone(), address_of(&self.world)];
        let two = EvmChain::new(CHAIN, &endpoints, AT_ONCE, quick()).unwrap();
        self.told(&two).await;
        assert_eq!(two.health().iter().map(|one| one.resting).collect::<Vec<_>>(), [true, false], "the lie was heard");
        let caught = chain.range(self.world.zr_sign, self.from).await.expect_err("the lie was believed");
        self.liar.is_honest();
        self.told(&chain).await;
        assert_eq!(format!("{}/", caught.endpoint()), self.liar.address.as_str());
        caught
    }

    async fn told(&self, chain: &EvmChain) {
        assert_eq!(chain.range(self.world.zr_sign, self.from).await.unwrap().unwrap(), self.truth);
    }

    async fn incomplete(&self, method: &'static str, change: fn(&Value, &mut Value)) -> Incomplete {
        match self.caught(|liar| liar.changes(method, change)).await {
            EvmError::Incomplete { why, .. } => why,
            other => panic!("{other}"),
        }
    }

    async fn malformed(&self, method: &'static str, change: fn(&Value, &mut Value)) -> String {
        match self.caught(|liar| liar.changes(method, change)).await {
            EvmError::Malformed { what, .. } => what,
            other => panic!("{other}"),
        }
    }

    /// The first height behind the mark: of the first signature request.
    fn first(&self) -> u64 {
        self.from.height + 1
    }
}

const RECEIPTS: &str = "eth_getBlockReceipts";
const BLOCK: &str = "eth_getBlockByNumber";

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

fn is_height(params: &Value, height: u64) -> bool {
    params[0] == json!(format!("{height:#x}"))
}

/// Another value of the same form.
fn forge(block: &mut Value, field: &str) {
    let Some(text) = block[field].as_str() else { return };
    let forged = match field {
        "timestamp" => "0x1234".to_owned(),
        "extraData" => "0x77".to_owned(),
        _ => format!("0x{}", "0".repeat(text.len() - 2)),
    };
    block[field] = json!(forged);
}

/// The hash that the fields have now.
fn rehash(block: &mut Value) {
    let header: Header = serde_json::from_value(block.clone()).unwrap();
    block["hash"] = json!(header.hash_slow());
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
async fn finality_that_goes_back() {
    let scene = Scene::new().await;
    let _: Value = scene.world.rpc("anvil_mine", [U256::from(80)]).await;
    let chain = scene.chain(Finality::Finalized);
    let (zr_sign, from) = (scene.world.zr_sign, scene.from);
    let range = chain.range(zr_sign, from).await.unwrap().unwrap();
    let (shown, mark) = (range.mark.height, range.mark);

    // The node calls less final than it did; its blocks still stand.
    let earlier: Value = scene.world.rpc(BLOCK, (U256::from(from.height), false)).await;
    let retreat = move |params: &Value, block: &mut Value| {
        if params[0] == "finalized" {
            *block = earlier.clone();
        }
    };
    scene.liar.changes(BLOCK, retreat.clone());
    let error = chain.range(zr_sign, mark).await.unwrap_err();
    assert!(
        matches!(error, EvmError::Retreated { height, shown: most, .. } if height == from.height && most == shown),
        "{error}"
    );
    // An endpoint that never showed more is behind, not lying.
    let error = scene.chain(Finality::Finalized).range(zr_sign, mark).await.unwrap_err();
    assert!(matches!(error, EvmError::Behind { height, wanted, .. } if height == from.height && wanted == shown));
    // Asking in vain is enough to have been shown it.
    let idle = scene.chain(Finality::Finalized);
    scene.liar.is_honest();
    assert_eq!(idle.range(zr_sign, mark).await.unwrap(), None);
    scene.liar.changes(BLOCK, retreat.clone());
    let error = idle.range(zr_sign, mark).await.unwrap_err();
    assert!(matches!(error, EvmError::Retreated { .. }), "{error}");
    // Another block stands there.
    let forged = retreat.clone();
    scene.liar.changes(BLOCK, move |params, block| {
        forged(params, block);
        if is_height(params, mark.height) {
            forge(block, "extraData");
            rehash(block);
        }
    });
    let error = chain.range(zr_sign, mark).await.unwrap_err();
    assert!(matches!(error, EvmError::Reorganised { height, found: Some(_), .. } if height == shown), "{error}");
    // Its blocks are gone as well: what was final is not there any more.
    scene.liar.changes(BLOCK, move |params, block| {
        retreat(params, block);
        if is_height(params, mark.height) {
            *block = Value::Null;
        }
    });
    let error = chain.range(zr_sign, mark).await.unwrap_err();
    assert!(
        matches!(error, EvmError::Reorganised { height, expected, found: None, .. } if height == shown && expected == mark.hash),
        "{error}"
    );
    scene.liar.is_honest();
    assert_eq!(chain.range(zr_sign, mark).await.unwrap(), None);
}

#[tokio::test]
async fn finality_that_runs_ahead() {
    let scene = Scene::new().await;
    let _: Value = scene.world.rpc("anvil_mine", [U256::from(80)]).await;
    let mut made_up: Value = scene.world.rpc(BLOCK, (U256::from(1), false)).await;
    made_up["number"] = json!("0xffffff");
    rehash(&mut made_up);
    let ahead = |tags: &'static [&'static str]| {
        let made_up = made_up.clone();
        move |params: &Value, block: &mut Value| {
            if tags.iter().any(|tag| params[0] == *tag) {
                *block = made_up.clone();
            }
        }
    };
    let chain = scene.chain(Finality::Finalized);
    let (zr_sign, from) = (scene.world.zr_sign, scene.from);
    for (tags, words) in [
        (["finalized"].as_slice(), "it calls block 16777215 final, but its newest is"),
        (["finalized", "latest"].as_slice(), "it has no block"),
    ] {
        scene.liar.changes(BLOCK, ahead(tags));
        // With a mark at the end of the chain all that is left is what was made up.
        let end = {
            let head = honest(&scene.world, AT_ONCE);
            now(&head, &scene.world).await
        };
        let error = chain.range(zr_sign, end).await.unwrap_err();
        assert!(matches!(&error, EvmError::Malformed { what, .. } if what.starts_with(words)), "{error}");
        scene.liar.is_honest();
        assert!(chain.range(zr_sign, from).await.unwrap().is_some(), "nothing of the lie is remembered");
    }
}

/// Asked by tag and by height it shows different blocks.
#[tokio::test]
async fn two_blocks_at_one_height() {
    let scene = Scene::new().await;
    let chain = scene.chain(AT_ONCE);
    let another = |tag: &'static str| {
        move |params: &Value, block: &mut Value| {
            if params[0] == tag {
                forge(block, "extraData");
                rehash(block);
            }
        }
    };
    scene.liar.changes(BLOCK, another("latest"));
    let words = format!("it shows two blocks at height {}", scene.truth.mark.height);
    let error = chain.range(scene.world.zr_sign, scene.from).await.unwrap_err();
    assert!(matches!(&error, EvmError::Malformed { what, .. } if *what == words), "{error}");
    // The newest block as final, and not the same one.
    let head: Value = scene.world.rpc(BLOCK, (U256::from(scene.truth.mark.height), false)).await;
    scene.liar.changes(BLOCK, move |params, block| {
        if params[0] == "finalized" {
            *block = head.clone();
            forge(block, "extraData");
            rehash(block);
        }
    });
    let error = scene.chain(Finality::Finalized).tips().await.unwrap_err();
    assert!(matches!(&error, EvmError::Malformed { what, .. } if *what == words), "{error}");
}

/// An endpoint shows another chain at the mark: one lie is enough to stop, whatever others say.
#[tokio::test]
async fn another_block_where_a_final_one_stood() {
    let scene = Scene::new().await;
    let height = scene.from.height;
    let endpoints = [scene.liar.address.clone(), address_of(&scene.world)];
    let chain = EvmChain::new(CHAIN, &endpoints, AT_ONCE, quick()).unwrap();
    scene.liar.changes(BLOCK, move |params, block| {
        if is_height(params, height) {
            forge(block, "extraData");
            rehash(block);
        }
    });
    let error = chain.range(scene.world.zr_sign, scene.from).await.unwrap_err();
    let EvmError::Reorganised { height: at, expected, found: Some(_), .. } = error else { panic!("{error}") };
    assert_eq!((at, expected), (height, scene.from.hash));
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
