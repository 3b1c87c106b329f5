//! Lies about the chain's end: finality that goes back or runs ahead, and other blocks where final ones stood.

use alloy_primitives::U256;
use chain_client::zrsign::evm::{EvmChain, EvmError, Finality};
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, address_of, honest, now, quick};
use crate::node::CHAIN;
use crate::scene::{BLOCK, Scene, forge, is_height, rehash};

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
