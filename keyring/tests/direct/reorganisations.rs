//! Chains that take blocks back: such as were not final, which costs nobody anything, and such as were, after which
//! nothing that was read of that chain holds for sure.

use alloy_primitives::keccak256;
use alloy_provider::Provider as _;
use keyring::admin::proto::RebaseContractRequest;

use crate::customer::Customer;
use crate::go_between::GoBetween;
use crate::scene::{Scene, TERMS};
use crate::town::{NAME, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_taken_back_before_it_is_final_goes_out_again_as_it_was_and_lands_once() {
    // So far apart that nobody else's turn comes meanwhile.
    let mut scene = Scene::where_each_says(TERMS, |_| "wait_blocks = 50").await;
    let wallet = scene.town.with_wallet().await;
    scene.rests().await;
    let before = scene.purses().await;

    scene.town.blocks_stop().await;
    let hash = scene.new_hash();
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    let first = scene.town.hurrying(scene.town.answered(trace, hash, wallet)).await;
    scene.town.reorganise(3).await;
    let receipt = scene.town.world.provider.get_transaction_receipt(first.transaction).await.unwrap();
    assert!(receipt.is_none() && scene.town.answers(trace).await.is_empty(), "it is taken back");

    scene.town.blocks_come().await;
    let again = until("the answer, once more", async || scene.town.answers(trace).await.pop()).await;
    assert_eq!(again, first, "the same bytes");
    scene.rests().await;
    assert_eq!(scene.town.answers(trace).await, std::slice::from_ref(&first), "once");
    let bytes = scene.town.ways.iter().flat_map(GoBetween::sent);
    assert!(bytes.filter(|bytes| keccak256(bytes) == first.transaction).count() >= 2, "it was sent again");
    scene.nobody_lost_more_since(&before, 1).await;
    scene.serves(wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    scene.fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_that_takes_a_final_block_back_is_served_no_more_until_its_operators_decide_and_others_are() {
    let mut scene = Scene::with(TERMS).await;
    let wallet = scene.town.with_wallet().await;
    scene.serves(wallet).await;
    scene.rests().await;
    scene.all_is_well().await;
    let sent = scene.sent();

    scene.town.blocks_stop().await;
    scene.town.hurry().await;
    scene.reads_on().await;
    let below = scene.town.last_final().await - 8;
    scene.town.reorganise(6).await;
    scene.town.blocks_come().await;
    for party in scene.parties() {
        let said = scene.says(party, "contract_closed").await;
        assert!(
            said.contains(NAME) && said.contains("shows another chain below a final block"),
            "party {party}: {said}"
        );
        assert!(scene.alarms(party).await >= 1.0, "party {party}");
        assert_eq!(scene.metric(party, "keyring_contract_closed", &[("chain", NAME)]).await, 1.0, "party {party}");
    }

    // What is asked now is not even read.
    let hash = scene.new_hash();
    let trace = scene.town.ask_hash(hash).await;
    scene.town.hurry().await;
    scene.all_look_again().await;
    assert!(scene.town.is_open(trace).await && scene.town.answers(trace).await.is_empty());
    assert_eq!(scene.sent(), sent, "nothing is sent");
    for party in scene.parties() {
        assert!(scene.record(party, trace).await.is_none(), "party {party}: nothing is decided");
        assert!(scene.shown(party, trace).await.0.is_none(), "party {party}");
        scene.says(party, "contract_closed").await;
    }

    // The other chain has nothing to do with it.
    let customer = Customer::of(&scene.fleet).await;
    let keys = customer.ask_keys(&["ecdsa"]).await;
    customer.all_fulfilled(&keys).await;
    let signatures = customer.ask_signatures(keys[0], &[vec![7; 32]]).await;
    customer.all_fulfilled(&signatures).await;
    assert!(scene.town.is_open(trace).await && scene.sent() == sent, "still");

    // The operators have come to one mind. A word that would skip what was taken back is refused.
    for party in scene.parties() {
        let socket = scene.fleet.party_folder(party).join("data").join("admin.sock");
        let mut admin = keyring::admin::connect(&socket).await.unwrap();
        let ask = |height| RebaseContractRequest { chain: NAME.to_owned(), height };
        let refused = admin.rebase_contract(ask(u64::MAX)).await.unwrap_err();
        assert!(refused.message().contains("is not below block"), "{refused}");
        assert_eq!(admin.rebase_contract(ask(below)).await.unwrap().into_inner().undone, 0, "nothing was asked there");
        let again = admin.rebase_contract(ask(below)).await.unwrap_err();
        assert!(again.message().contains("nothing to decide"), "{again}");
    }
    scene.town.hurrying(scene.town.answered(trace, hash, wallet)).await;
    scene.rests().await;
    scene.all_ready().await;
    scene.fleet.stop().await;
}
