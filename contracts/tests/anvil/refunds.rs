//! How an answer is paid in version 1: the formula, its two branches, and the traps in it.

use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use alloy_sol_types::{SolCall, SolError, SolEvent};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::test_owner::TestOwner;
use contracts::names::{EVM, FEE_ROLE};

use crate::node::BASE_FEE;
use crate::world::{
    Ask, BUDGET, RESP_GAS, SENDER, STRANGER, TOTAL, USER, World, first_wallet, hash_answer, log, panic, refund, text,
};

const K: u128 = 7210;

/// A world with one open hash request.
async fn asked() -> World {
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    world
}

fn wei(amount: U256) -> u128 {
    amount.to()
}

/// The gas that version 1 charges for this answer; the same at every price.
async fn used(world: &World, ask: &Ask) -> u128 {
    let before = world.snapshot().await;
    let (cost, _) = refund(&world.done(ask.clone()).await);
    world.revert(before).await;
    wei(cost) / BASE_FEE - K
}

/// Low price: the sender gets the second cost, the owner the rest.
#[tokio::test]
async fn change_goes_back_to_the_owner() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let used = used(&world, &ask).await;
    let (sender, user) = (world.balance(SENDER).await, world.balance(USER).await);
    let receipt = world.done(ask).await;
    let (cost, change) = refund(&receipt);
    assert_eq!(cost, U256::from((used + K) * BASE_FEE));
    assert_eq!(cost + change, U256::from(BUDGET));
    assert_eq!(world.balance(USER).await, user + change);
    let paid = U256::from(receipt.gas_used) * U256::from(BASE_FEE);
    assert_eq!(world.balance(SENDER).await, sender + cost - paid);
    let gain = (wei(cost).cast_signed() - wei(paid).cast_signed()) / BASE_FEE.cast_signed();
    println!("a signature response takes {} gas and repays {gain} more", receipt.gas_used);
    assert!((0..3_000).contains(&gain), "{gain}");
}

/// What the limit lacks to the response gas counts as used, and the owner pays it.
#[tokio::test]
async fn a_low_limit_pays_its_sender() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let (lowest, _) = window(&world, &ask).await;
    let receipt = world.done(ask.gas(lowest)).await;
    let (cost, change) = refund(&receipt);
    assert_eq!(cost + change, U256::from(BUDGET));
    let gain = wei(cost) / BASE_FEE - u128::from(receipt.gas_used);
    println!("a limit of {lowest} pays its sender {gain} gas more than it used");
    assert!(gain > u128::from(RESP_GAS - lowest) - 2_000, "{gain}");
}

/// High price: the sender gets everything, which is not what the event says.
#[tokio::test]
async fn above_the_band_the_sender_gets_what_there_is() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let used = used(&world, &ask).await;
    let price = 5 * BASE_FEE;
    let (sender, user) = (world.balance(SENDER).await, world.balance(USER).await);
    let receipt = world.done(ask.price(price)).await;
    assert_eq!(refund(&receipt), (U256::from(used * price), U256::ZERO));
    assert_eq!(world.balance(USER).await, user);
    let paid = U256::from(receipt.gas_used) * U256::from(price);
    assert_eq!(world.balance(SENDER).await, sender + U256::from(BUDGET) - paid);
}

/// Between value / (used + K) and value / used no price works; on both sides it does.
#[tokio::test]
async fn the_band_of_prices_that_panic() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let used = used(&world, &ask).await;
    let value = u128::from(BUDGET);
    let low = value / (used + K);
    let high = (value + K).div_ceil(used);
    println!("the band lies between {low} and {high} wei");
    for price in [low + 1, u128::midpoint(low, high), high - 1] {
        world.refused(ask.clone().price(price), panic(0x11)).await;
    }
    for price in [BASE_FEE, low, high, 2 * high] {
        let before = world.snapshot().await;
        let receipt = world.done(ask.clone().price(price)).await;
        let (cost, change) = refund(&receipt);
        if price <= low {
            assert_eq!(wei(cost) + wei(change), value, "{price}");
        } else {
            assert_eq!((wei(cost), wei(change)), (used * price, 0), "{price}");
        }
        world.revert(before).await;
    }
}

/// The gas limits between which an answer goes through.
pub(crate) async fn window(world: &World, ask: &Ask) -> (u64, u64) {
    assert!(world.works(ask.clone().gas(RESP_GAS)).await);
    let (mut fails, mut works) = (21_000, RESP_GAS);
    while works - fails > 1 {
        let middle = u64::midpoint(fails, works);
        if world.works(ask.clone().gas(middle)).await { works = middle } else { fails = middle }
    }
    let lowest = works;
    let (mut works, mut fails) = (RESP_GAS, 2_000_000);
    while fails - works > 1 {
        let middle = u64::midpoint(works, fails);
        if world.works(ask.clone().gas(middle)).await { works = middle } else { fails = middle }
    }
    (lowest, works)
}

/// The limit must lie near the response gas: an estimate, which tries large ones, finds none.
#[tokio::test]
async fn the_gas_limit_must_be_near_the_response_gas() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    let key = world.key_response(&first_wallet(1));
    let (lowest, highest) = window(&world, &key).await;
    println!("a first key response works between {lowest} and {highest} gas");
    assert!(lowest < RESP_GAS && RESP_GAS < highest);
    world.refused(key.clone().gas(highest + 1), panic(0x11)).await;
    assert!(!world.send(key.clone().gas(lowest - 1)).await.status(), "out of gas");
    world.done(key.gas(highest)).await;

    world.done(world.hash_request()).await;
    let ask = world.signature_response(&hash_answer(0));
    let (lowest, highest) = window(&world, &ask).await;
    println!("a signature response works between {lowest} and {highest} gas");
    let mut estimated = ask.request();
    estimated.gas = None;
    let error = world.provider.estimate_gas(estimated).await.unwrap_err();
    let data = error.as_error_resp().unwrap().as_revert_data().unwrap();
    assert_eq!(data, panic(0x11));
    world.done(ask.gas(lowest)).await;
}

/// The setting of the moment counts, not that of the request; the value is that of the request.
#[tokio::test]
async fn response_gas_that_changes_under_open_requests() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let set = |gas: u64| world.operator(&ZrSign::updateRespGasCall { newGas: U256::from(gas) });
    world.done(set(0)).await;
    for gas in [80_000, 100_000, RESP_GAS] {
        assert!(!world.works(ask.clone().gas(gas)).await, "{gas}");
    }
    world.refused(ask.clone(), panic(0x11)).await;
    world.done(set(90_000)).await;
    world.refused(ask.clone().gas(RESP_GAS), panic(0x11)).await;
    assert_eq!(world.request_state(0).await.1, U256::from(BUDGET));
    world.done(ask.gas(90_000)).await;
}

/// The fee is that of the block that takes the request up; what was too much comes back with the answer.
#[tokio::test]
async fn the_base_fee_of_the_block_counts() {
    let world = World::new().await;
    let ask = world.key_request(EVM, 1).price(2 * BASE_FEE);
    let receipt = world.send_at(ask.clone(), BASE_FEE + BASE_FEE / 8).await;
    assert!(!receipt.status(), "the fee rose between the estimate and the block");
    let receipt = world.send_at(ask.value(TOTAL + BUDGET), BASE_FEE + BASE_FEE / 8).await;
    assert!(receipt.status());
    assert_eq!(world.registry(EVM, 0, USER).await.value, U256::from(2 * BUDGET));
    let (cost, change) = refund(&world.done(world.key_response(&first_wallet(1))).await);
    assert_eq!(cost + change, U256::from(2 * BUDGET));
}

/// Without a budget the sender is paid nothing.
#[tokio::test]
async fn a_request_at_base_fee_zero() {
    let world = World::new().await;
    let receipt = world.send_at(world.key_request(EVM, 1).value(TOTAL - BUDGET), 0).await;
    assert!(receipt.status());
    let sender = world.balance(SENDER).await;
    let receipt = world.done(world.key_response(&first_wallet(1))).await;
    let (cost, change) = refund(&receipt);
    assert!(cost > U256::ZERO && change == U256::ZERO, "the event names a cost that nobody paid");
    let paid = U256::from(receipt.gas_used) * U256::from(BASE_FEE);
    assert_eq!(world.balance(SENDER).await, sender - paid);
}

/// An owner without a payable receive: no answer while there is change, and one at a price that leaves none.
#[tokio::test]
async fn an_owner_that_refuses_its_change() {
    let world = World::new().await;
    let owner = world.test_owner(0).await;
    world.owned_request(owner).await;
    world.behave(owner, 1, Bytes::new()).await;
    let ask = world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) });
    world.refused(ask.clone(), text("Transfer failed")).await;
    let receipt = world.done(ask.price(5 * BASE_FEE)).await;
    assert_eq!(refund(&receipt).1, U256::ZERO);
}

/// A sender that takes no money gets no answer through either.
#[tokio::test]
async fn a_sender_that_refuses_its_refund() {
    let world = asked().await;
    let sender = world.test_owner(1).await;
    let ask = world.signature_response(&hash_answer(0));
    let act = TestOwner::actCall { to: world.zr_sign, value: U256::ZERO, data: ask.data };
    let through = world.call(STRANGER, &act).to(sender).gas(RESP_GAS + 40_000);
    world.refused(through, text("Transfer failed")).await;
}

/// An owner that burns what it is given: what passes when it is tried fails in the block, and the gas is lost.
#[tokio::test]
async fn an_owner_that_burns_the_gas() {
    let world = World::new().await;
    let owner = world.test_owner(0).await;
    world.owned_request(owner).await;
    let ask = world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) });
    assert!(world.works(ask.clone()).await, "tried, it passes");
    world.behave(owner, 2, Bytes::new()).await;
    let receipt = world.send(ask.clone()).await;
    assert!(!receipt.status());
    println!("a hostile owner costs its sender {} gas of {RESP_GAS}", receipt.gas_used);
    assert!(receipt.gas_used > 100_000, "{}", receipt.gas_used);

    // Others are served.
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    world.done(world.signature_response(&hash_answer(1))).await;
    // And it as well, once nothing is left to hand over.
    world.done(ask.price(5 * BASE_FEE)).await;
}

/// An owner that calls back when it is paid, into another answer and into a withdrawal.
#[tokio::test]
async fn an_owner_that_calls_back() {
    let world = World::new().await;
    let owner = world.test_owner(0).await;
    world.owned_request(owner).await;
    world.done(world.as_owner(owner, &hash_call(), TOTAL)).await;
    let second = world.signature_response(&SignatureAnswer { owner, ..hash_answer(1) }).data;
    let withdrawal: Bytes = ZrSign::withdrawMPCFeesCall {}.abi_encode().into();
    world.done(world.admin(&ZrSign::grantRoleCall { role: FEE_ROLE, account: owner })).await;
    for call_back in [second, withdrawal] {
        let before = world.snapshot().await;
        world.behave(owner, 3, call_back).await;
        let receipt = world.done(world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) })).await;
        let back: TestOwner::CalledBack = log(&receipt);
        assert!(!back.success);
        assert_eq!(back.answer, ZrSign::ReentrancyGuardReentrantCall {}.abi_encode());
        assert_eq!(world.request_state(1).await.0, 1, "the other request is still open");
        world.revert(before).await;
    }
}

fn hash_call() -> ZrSign::zrSignHashCall {
    ZrSign::zrSignHashCall { params: crate::world::sign_params(crate::world::hello(), false) }
}

/// The change of an account that does not exist yet costs 25,000 gas more. For a first key that is more than the
/// response gas: a limit above it is needed, and both are the sender's loss.
#[tokio::test]
async fn an_owner_that_does_not_exist_yet() {
    let world = World::new().await;
    let owner = Address::repeat_byte(0x77);
    let params = IZrSign::ZrKeyReqParams { owner, walletTypeId: EVM, options: 1 };
    world.done(world.call(USER, &ZrSign::zrKeyReqCall { params }).value(TOTAL)).await;
    let ask = world.key_response(&KeyAnswer { owner, ..first_wallet(1) });
    assert!(!world.works(ask.clone()).await, "the response gas suffices");
    let mut limit = RESP_GAS;
    while !world.works(ask.clone().gas(limit)).await {
        limit += 500;
        assert!(limit < 2 * RESP_GAS, "no limit works");
    }
    let sender = world.balance(SENDER).await;
    let receipt = world.done(ask.gas(limit)).await;
    let (_, change) = refund(&receipt);
    assert_eq!(world.balance(owner).await, change);
    let lost = wei(sender - world.balance(SENDER).await) / BASE_FEE;
    println!("an owner that does not exist yet needs a limit of {limit} and costs its sender {lost} gas");
    assert!((20_000..50_000).contains(&lost), "{lost}");
}

/// A reorganised request gives its trace id to another; what was authorised for the first fits the second.
#[tokio::test]
async fn a_trace_id_that_is_given_twice() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let before = world.snapshot().await;
    let first: ZrSign::ZrSigRequest = log(&world.done(world.hash_request()).await);
    let authorised = world.signature_response(&hash_answer(0));
    world.revert(before).await;
    let call = ZrSign::zrSignTxCall { params: crate::world::sign_params("another request", false) };
    let second: ZrSign::ZrSigRequest = log(&world.done(world.call(USER, &call).value(TOTAL)).await);
    assert_eq!(first.traceId, second.traceId);
    assert_ne!(first.params.payload, second.params.payload);
    world.done(authorised).await;
}

/// The payload is in the log and nowhere else: storage has a status and a value.
#[tokio::test]
async fn the_payload_is_only_in_the_log() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let before = world.snapshot().await;
    let short = world.done(world.hash_request()).await.gas_used;
    world.revert(before).await;
    let call = ZrSign::zrSignHashCall { params: crate::world::sign_params([0; 640], false) };
    let long = world.done(world.call(USER, &call).value(TOTAL)).await;
    assert_eq!(long.logs()[0].topic0(), Some(&ZrSign::ZrSigRequest::SIGNATURE_HASH));
    // 608 bytes more, all zero: call data and log take some 12 gas for each, twenty words of storage would take 400,000.
    assert!(long.gas_used < short + 12 * 608 + 2_000, "{} {short}", long.gas_used);
}

/// The contract takes no plain ether, from anybody.
#[tokio::test]
async fn plain_ether_is_refused() {
    let world = World::new().await;
    let ask = world.ask(STRANGER, Bytes::new()).value(1).gas(100_000);
    world.refused(ask, []).await;
    let unknown = world.ask(STRANGER, Bytes::from_static(&[1, 2, 3, 4]));
    world.refused(unknown, []).await;
}
