//! What endpoints leave out, change and refuse: the others go on, the one who is lied to signs nothing that it did not
//! read and says that it does not see, and when the lie ends nothing was lost.

use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json};

use crate::go_between::{GoBetween, RECEIPTS, Way};
use crate::scene::{Scene, TERMS};
use crate::town::NAME;

/// The party that is lied to.
const DECEIVED: usize = 2;

/// The logs of a contract in the receipts of a block.
fn logs_of(contract: Address, receipts: &mut Value) -> impl Iterator<Item = &mut Value> {
    let all = receipts.as_array_mut().into_iter().flatten().filter_map(|receipt| receipt["logs"].as_array_mut());
    let is_its = move |log: &&mut Value| log["address"].as_str().is_some_and(|by| by.parse() == Ok(contract));
    all.flatten().filter(is_its)
}

/// A receipt's logs are left out.
fn omit(contract: Address, receipts: &mut Value) {
    for receipt in receipts.as_array_mut().into_iter().flatten() {
        let logs = receipt["logs"].as_array_mut().unwrap();
        logs.retain(|log| log["address"].as_str().is_none_or(|by| by.parse() != Ok(contract)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_left_out_is_missed_and_whoever_misses_it_does_not_sign() {
    let mut scene = Scene::with(TERMS).await;
    let wallet = scene.town.with_wallet().await;
    scene.rests().await;
    let proxy = scene.town.world.zr_sign;

    // One of three does not see it; the others suffice.
    scene.town.ways[DECEIVED].changes(RECEIPTS, move |receipts| omit(proxy, receipts));
    let (trace, _) = scene.serves(wallet).await;
    let said = scene.says(DECEIVED, "contract_unread").await;
    assert!(said.contains(NAME), "{said}");
    scene.says(DECEIVED, &format!("degraded endpoint_failing: {NAME}")).await;
    assert!(scene.record(DECEIVED, trace).await.is_none(), "it has not joined what it has not read");
    scene.town.ways[DECEIVED].lets_everything_through();
    scene.all_ready().await;
    scene.rests().await;

    // Nobody sees it.
    let sent = scene.sent();
    scene.town.ways.iter().for_each(|way| way.changes(RECEIPTS, move |receipts| omit(proxy, receipts)));
    let hash = scene.new_hash();
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    for party in scene.parties() {
        scene.says(party, "contract_unread").await;
        assert!(scene.record(party, trace).await.is_none(), "party {party}");
    }
    assert_eq!(scene.sent(), sent, "nothing is sent");
    scene.town.ways.iter().for_each(GoBetween::lets_everything_through);
    scene.town.answered(trace, hash, wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    scene.fleet.stop().await;
}

/// Where nothing proves the data of a log (`evidence = "blooms"`) a party believes what it is shown, and asks the others
/// for something else than they ask it for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_shown_another_payload_joins_nothing_and_the_true_one_is_signed() {
    let blooms = |party| if party == DECEIVED { "evidence = \"blooms\"" } else { "" };
    let mut scene = Scene::where_each_says(TERMS, blooms).await;
    let wallet = scene.town.with_wallet().await;
    scene.rests().await;
    let (proxy, hash) = (scene.town.world.zr_sign, scene.new_hash());
    let (truth, forged) = (hex::encode(hash), hex::encode(B256::repeat_byte(0x77)));
    scene.town.ways[DECEIVED].changes(RECEIPTS, move |receipts| {
        for log in logs_of(proxy, receipts) {
            log["data"] = json!(log["data"].as_str().unwrap().replace(&truth, &forged));
        }
    });
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    scene.town.answered(trace, hash, wallet).await;
    let record = scene.record(DECEIVED, trace).await.unwrap_or_default();
    assert!(record.joined.is_none() && record.accepted.is_none() && record.decided.is_none(), "{record:?}");
    scene.rests().await;
    assert_eq!(scene.town.answers(trace).await.len(), 1);
    let shown = scene.shown(DECEIVED, trace).await.0.unwrap();
    assert!(shown.reason.contains("reads another request under this name"), "its operator is told: {shown:?}");
    scene.town.ways[DECEIVED].lets_everything_through();
    scene.serves(wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    scene.fleet.stop().await;
}

/// Whoever asks for fewer calls gets none for ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_ask_for_fewer_calls_are_left_alone_and_nothing_is_lost() {
    let mut scene = Scene::with(TERMS).await;
    let wallet = scene.town.with_wallet().await;
    scene.rests().await;
    let sent = scene.sent();
    for way in &scene.town.ways {
        way.rule(|_, _| Way::Refused(429));
    }
    let hash = scene.new_hash();
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    for party in scene.parties() {
        let said = scene.says(party, "contract_unread").await;
        assert!(said.contains(NAME), "{said}");
        scene.says(party, &format!("degraded endpoint_failing: {NAME}")).await;
    }
    assert_eq!(scene.sent(), sent, "nothing is sent");
    scene.town.ways.iter().for_each(GoBetween::lets_everything_through);
    scene.town.answered(trace, hash, wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    scene.fleet.stop().await;
}
