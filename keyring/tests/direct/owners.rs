//! What owners of wallets do to the parties that serve them: they ask twice, ask for what nobody can sign, burn the gas
//! of who answers them. Nobody else's request suffers.

use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use alloy_sol_types::{SolCall as _, SolError as _};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::names::{EVM, chain_id};

use crate::go_between::{GoBetween, SEND, Way};
use crate::scene::{Scene, TERMS};
use crate::town::{NAME, Town, account, trace, until};
use crate::world::{STRANGER, TOTAL, USER, sepolia, sign_params};

/// Worked example 8 of version 1: the data was not encoded, so the list is one item short.
const EIGHT_ITEMS: &[u8] = &hex!("e207843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542101808080");
/// Worked example 6.
const NINE_ITEMS: &[u8] =
    &hex!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080");
/// A chain that the contract allows to EVM wallets, and that is none.
const NOWHERE: &str = "cosmos:zenrock-1";

fn key_request(owner: Address) -> ZrSign::zrKeyReqCall {
    ZrSign::zrKeyReqCall { params: IZrSign::ZrKeyReqParams { owner, walletTypeId: EVM, options: 1 } }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_asked_for_twice_before_the_answer_is_made_once() {
    let mut scene = Scene::with(TERMS).await;
    let before = scene.purses().await;
    for _ in 0..2 {
        scene.town.ask(&key_request(USER)).await;
    }
    scene.town.hurry().await;
    let wallet = scene.town.wallet_of(USER).await;
    scene.serves(wallet).await;
    scene.rests().await;
    assert_eq!(scene.town.wallets(USER).await, [wallet.to_string()], "one slot, one key");
    for party in scene.parties() {
        for stage in ["admitted", "decided", "settled"] {
            let labels = [("chain", NAME), ("kind", "key"), ("stage", stage)];
            let keys = scene.metric(party, "keyring_request_stages_total", &labels).await;
            assert_eq!(keys, 1.0, "party {party}: keys {stage}");
        }
    }
    scene.all_is_well().await;
    scene.nobody_lost_more_since(&before, 2).await;
    scene.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_signed_is_closed_with_its_reason_and_the_next_is_served() {
    let mut scene = Scene::with(TERMS).await;
    scene.town.done(scene.town.world.chain_config(EVM, NOWHERE, true)).await;
    let wallet = scene.town.with_wallet().await;

    let transaction = |payload: &[u8], destination: B256| ZrSign::zrSignTxCall {
        params: IZrSign::ZrSignParams { dstChainId: destination, ..sign_params(payload, true) },
    };
    let unknown = format!("destination {} is no known EVM chain", chain_id(NOWHERE));
    let asked = [
        (
            scene.town.ask(&transaction(EIGHT_ITEMS, sepolia())).await,
            "8 items, a legacy transaction to be signed has 9",
        ),
        (scene.town.ask(&transaction(&[], sepolia())).await, "not one RLP list"),
        (scene.town.ask(&transaction(NINE_ITEMS, chain_id(NOWHERE))).await, unknown.as_str()),
        (
            scene.town.ask(&ZrSign::zrSignHashCall { params: sign_params([1; 31], false) }).await,
            "a hash has 32 bytes, this has 31",
        ),
    ];
    // Who has no wallet cannot ask for its signature, and so cannot ask for one of somebody else's.
    let foreign = ZrSign::zrSignHashCall { params: sign_params([1; 32], false) };
    let foreign = scene.town.world.call(STRANGER, &foreign).value(TOTAL);
    assert_eq!(scene.town.refusal(&foreign).await, ZrSign::InvalidOptions { options: 0 }.abi_encode());

    let (next, _) = scene.serves(wallet).await;
    scene.rests().await;
    for (receipt, why) in &asked {
        let trace = trace(receipt);
        assert!(trace < next, "{why}: it was asked before the one that is served");
        assert!(scene.town.answers(trace).await.is_empty(), "{why}");
        assert!(scene.town.is_open(trace).await, "{why}: for ever");
        for party in scene.parties() {
            let shown = scene.shown(party, trace).await.0.unwrap();
            assert_eq!((shown.state.as_str(), shown.reason.as_str()), ("unanswerable", *why), "party {party}");
            assert!(scene.record(party, trace).await.is_none(), "party {party}: nothing is decided: {why}");
        }
    }
    for party in scene.parties() {
        for (stage, count) in [("unanswerable", asked.len() as f64), ("settled", 1.0)] {
            let labels = [("chain", NAME), ("kind", "signature"), ("stage", stage)];
            let seen = scene.metric(party, "keyring_request_stages_total", &labels).await;
            assert_eq!(seen, count, "party {party}: signatures {stage}");
        }
    }
    scene.all_is_well().await;
    scene.fleet.stop().await;
}

/// Tried, an answer passes; in the block its owner burns the gas. Every party falls for it once, in one block, and not
/// again, although the owner behaves from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_burns_the_gas_costs_each_party_one_revert_and_nobody_else_an_answer() {
    let mut scene = Scene::with(TERMS).await;
    let wallet = scene.town.with_wallet().await;
    let owner = scene.town.owner;
    scene.town.ask(&key_request(owner)).await;
    scene.town.hurry().await;
    scene.town.wallet_of(owner).await;
    scene.rests().await;
    let before = scene.purses().await;

    // Answers to the hostile owner are kept back, and brought to the node by this test, at its own moment.
    let hostile = is_for(owner);
    for way in &scene.town.ways {
        way.rule(move |method, params| match params[0].as_str() {
            Some(bytes) if method == SEND && hostile(bytes) => Way::Swallowed,
            _ => Way::Through,
        });
    }
    let call = ZrSign::zrSignHashCall { params: sign_params(keccak256("burn"), false) };
    let asked = scene.town.done(scene.town.world.as_owner(owner, &call, TOTAL)).await;
    let burning = trace(&asked);
    scene.town.hurry().await;
    let kept = until("an answer of every party to the hostile owner", async || {
        let kept: Vec<Bytes> = scene.parties().filter_map(|party| sent_to(&scene.town, party, owner).pop()).collect();
        (kept.len() == scene.parties().len()).then_some(kept)
    });
    let kept = scene.town.hurrying(kept).await;
    // Meanwhile somebody else asks: that answer stands behind the other in its party's account.
    let hash = scene.new_hash();
    let honest = scene.town.ask_hash(hash).await;

    scene.town.owner_behaves(2).await;
    let mut gas = Vec::new();
    for bytes in &kept {
        let receipt = scene.town.bring(bytes).await;
        assert!(!receipt.status(), "the owner burns the gas");
        assert!(receipt.gas_used > 100_000, "{}", receipt.gas_used);
        gas.push((receipt.from, u128::from(receipt.gas_used) * receipt.effective_gas_price));
    }
    scene.town.owner_behaves(0).await;
    scene.town.ways.iter().for_each(GoBetween::lets_everything_through);
    scene.town.answered(honest, hash, wallet).await;
    scene.rests_but_for(&[burning]).await;
    scene.serves(wallet).await;
    scene.rests_but_for(&[burning]).await;

    assert!(scene.town.answers(burning).await.is_empty());
    scene.nobody_lost_more_since(&before, 1).await;
    for party in scene.parties() {
        let burned = gas.iter().find(|(from, _)| *from == account(party)).unwrap().1;
        let lost = scene.purses().await[party].lost - before[party].lost;
        assert!(lost >= burned, "party {party}: {burned} were burned, it tells of {lost}");
        let all: Vec<Bytes> = sent_to(&scene.town, party, owner);
        assert!(all.iter().all(|bytes| *bytes == all[0]), "party {party}: one transaction, never another");
        let shown = scene.shown(party, burning).await.1.unwrap();
        assert!(shown.reason.contains("reverted and cost"), "party {party}: {shown:?}");
    }
    scene.all_is_well().await;
    scene.fleet.stop().await;
}

/// Whether the digits of a transaction hold an answer to a signature request of somebody's.
fn is_for(owner: Address) -> impl Fn(&str) -> bool + Copy + Send + Sync + 'static {
    move |bytes: &str| {
        [hex::encode(ZrSign::zrSignResCall::SELECTOR), hex::encode(owner)].iter().all(|one| bytes.contains(one))
    }
}

/// Such answers of a party.
fn sent_to(town: &Town, party: usize, owner: Address) -> Vec<Bytes> {
    town.ways[party].sent().into_iter().filter(|bytes| is_for(owner)(&hex::encode(bytes))).collect()
}
