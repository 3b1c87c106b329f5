//! Version 2: what version 1 does not check, and a refund without its traps.

use alloy_primitives::{Address, Bytes, U256};
use alloy_provider::Provider;
use alloy_sol_types::{SolError, SolEvent};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::hardened::ZrSignHardened;
use contracts::bindings::proxy::IZrProxy;
use contracts::names::{BITCOIN_TESTNET, EVM};

use crate::node::{BASE_FEE, CHAIN};
use crate::world::{
    ADMIN, BUDGET, PROXY_ADMIN, RESP_GAS, SENDER, STRANGER, TOTAL, USER, Version, World, controller, first_wallet,
    hash_answer, log, refund, sign,
};

async fn hardened() -> World {
    World::of(Version::Hardened).await
}

/// With one open hash request of the user, trace 0.
async fn asked() -> World {
    let world = hardened().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    world
}

fn wei(amount: U256) -> u128 {
    amount.to()
}

#[tokio::test]
async fn it_says_its_version_and_its_domain() {
    let world = hardened().await;
    assert_eq!(world.read(ZrSign::versionCall {}).await, U256::from(2));
    let domain = world.read(ZrSignHardened::eip712DomainCall {}).await;
    assert_eq!((domain.name.as_str(), domain.version.as_str()), ("zrSign", "2"));
    assert_eq!((domain.chainId, domain.verifyingContract), (U256::from(CHAIN), world.zr_sign));
}

/// Neither what version 1 signs nor what is meant for another chain or proxy fits.
#[tokio::test]
async fn an_authorisation_fits_one_deployment() {
    let world = asked().await;
    world.done(world.key_request(EVM, 1)).await;
    let key = KeyAnswer { index: U256::from(1), ..first_wallet(1) };
    let signature = hash_answer(0);
    let here = world.deployment();
    let elsewhere = [
        contracts::answer::Deployment { chain: here.chain + 1, ..here },
        contracts::answer::Deployment { zr_sign: STRANGER, ..here },
    ];
    let key_digests = elsewhere.map(|place| key.hardened_digest(place)).into_iter().chain([key.digest()]);
    for digest in key_digests {
        let got = world.try_it(world.key_response_signed(&key, sign(&controller(), digest))).await.unwrap_err();
        ZrSign::AccessControlUnauthorizedAccount::abi_decode(&got).unwrap();
    }
    let digests = elsewhere.map(|place| signature.hardened_digest(place)).into_iter().chain([signature.digest()]);
    for digest in digests {
        let ask = world.signature_response_signed(&signature, sign(&controller(), digest));
        let got = world.try_it(ask).await.unwrap_err();
        ZrSign::AccessControlUnauthorizedAccount::abi_decode(&got).unwrap();
    }
    world.done(world.key_response(&key)).await;
    world.done(world.signature_response(&signature)).await;
}

#[tokio::test]
async fn an_answer_must_be_that_of_its_request() {
    let world = asked().await;
    world.done(world.key_request(EVM, 1)).await;
    let key = KeyAnswer { index: U256::from(1), ..first_wallet(2) };
    let refused = ZrSignHardened::OptionsMismatch { expected: 1, provided: 2 };
    world.refused(world.key_response(&key), refused.abi_encode()).await;
    let foreign = SignatureAnswer { owner: STRANGER, ..hash_answer(0) };
    let refused = ZrSignHardened::OwnerMismatch { expected: USER, provided: STRANGER };
    world.refused(world.signature_response(&foreign), refused.abi_encode()).await;
    let flipped = SignatureAnswer { broadcast: true, ..hash_answer(0) };
    let refused = ZrSignHardened::BroadcastMismatch { expected: false, provided: true };
    world.refused(world.signature_response(&flipped), refused.abi_encode()).await;
    world.done(world.signature_response(&hash_answer(0))).await;

    // A transaction that is to be broadcast, answered as such.
    let params = crate::world::sign_params("a transaction", true);
    world.done(world.call(USER, &ZrSign::zrSignTxCall { params }).value(TOTAL)).await;
    let refused = ZrSignHardened::BroadcastMismatch { expected: true, provided: false };
    world.refused(world.signature_response(&hash_answer(1)), refused.abi_encode()).await;
    let answer = SignatureAnswer { broadcast: true, ..hash_answer(1) };
    world.done(world.signature_response(&answer)).await;
    assert_eq!(world.request_state(1).await, (2, U256::from(BUDGET)));
}

/// What version 1 refuses is refused in the same words.
#[tokio::test]
async fn the_checks_of_version_1_stay() {
    let world = hardened().await;
    world.done(world.key_request(EVM, 1)).await;
    let answer = first_wallet(1);
    let good = sign(&controller(), world.key_digest(&answer));
    let refused = ZrSign::InvalidSignature { reason: 2 }.abi_encode();
    world.refused(world.key_response_signed(&answer, good[..64].to_vec().into()), refused).await;
    let short = KeyAnswer { wallet: "0x12".to_owned(), ..answer.clone() };
    let refused = ZrSign::InvalidAddressLength { minLength: U256::from(5), actualLength: U256::from(4) };
    world.refused(world.key_response(&short), refused.abi_encode()).await;
    world.done(world.key_response(&answer)).await;
    let refused = ZrSign::IncorrectWalletIndex { expected: U256::from(1), provided: U256::ZERO };
    world.refused(world.key_response(&answer), refused.abi_encode()).await;
    let refused = ZrSign::RequestNotFoundOrAlreadyProcessed { traceId: U256::ZERO };
    world.refused(world.signature_response(&hash_answer(0)), refused.abi_encode()).await;
    world.pause().await;
    world.refused(world.signature_response(&hash_answer(0)), ZrSign::EnforcedPause {}.abi_encode()).await;
}

/// Any gas limit that suffices, any price, any setting: the answer goes through, and an estimate finds its gas.
#[tokio::test]
async fn no_limit_and_no_price_makes_an_answer_fail() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let mut estimated = ask.request();
    estimated.gas = None;
    let estimate = world.provider.estimate_gas(estimated).await.unwrap();
    for gas in [estimate, RESP_GAS, 1_000_000, 8_000_000] {
        for tenths in [10, 29, 30, 31, 32, 33, 34, 50, 100] {
            let price = BASE_FEE * tenths / 10;
            assert!(world.works(ask.clone().gas(gas).price(price)).await, "{gas} {price}");
        }
    }
    world.done(world.operator(&ZrSign::updateRespGasCall { newGas: U256::ZERO })).await;
    world.done(ask.gas(estimate)).await;
}

/// Who brings an answer gets its gas back, not much more, and never more than was paid for it.
#[tokio::test]
async fn what_an_answer_is_paid() {
    let world = hardened().await;
    let payload = crate::world::hello();
    let mut gains = Vec::new();
    // First of its type, then further keys, then signatures, with and without meta data.
    for index in 0..2 {
        world.done(world.key_request(EVM, 1)).await;
        let answer = KeyAnswer { index: U256::from(index), ..first_wallet(1) };
        gains.push(gain(&world, world.key_response(&answer), BASE_FEE).await);
    }
    for meta_data in [Bytes::new(), payload.into(), Bytes::from(vec![0x55; 600])] {
        world.done(world.hash_request()).await;
        let trace = world.read(ZrSign::getTraceIdCall {}).await - U256::from(1);
        let answer = SignatureAnswer { trace, meta_data, ..hash_answer(0) };
        gains.push(gain(&world, world.signature_response(&answer), BASE_FEE).await);
    }
    println!("gas repaid beyond what was used: {gains:?}");
    for gain in &gains {
        assert!((0..6_000).contains(gain), "{gains:?}");
    }

    // Ten times the price: the value is the bound, and the sender bears the rest.
    world.done(world.hash_request()).await;
    let trace = world.read(ZrSign::getTraceIdCall {}).await - U256::from(1);
    let ask = world.signature_response(&SignatureAnswer { trace, ..hash_answer(0) });
    assert!(gain(&world, ask, 10 * BASE_FEE).await < 0);
}

/// Sends an answer, checks that the money adds up, and tells how much gas was repaid beyond what was used.
async fn gain(world: &World, ask: crate::world::Ask, price: u128) -> i128 {
    let (sender, user, held) =
        (world.balance(SENDER).await, world.balance(USER).await, world.balance(world.zr_sign).await);
    let receipt = world.done(ask.price(price).gas(400_000)).await;
    let (cost, change) = refund(&receipt);
    assert_eq!(cost + change, U256::from(BUDGET));
    assert_eq!(world.balance(USER).await, user + change);
    assert_eq!(world.balance(world.zr_sign).await, held - cost - change);
    let paid = U256::from(receipt.gas_used) * U256::from(price);
    assert_eq!(world.balance(SENDER).await, sender + cost - paid);
    (wei(cost).cast_signed() - wei(paid).cast_signed()) / price.cast_signed()
}

/// Neither bytes that a sender adds to the call nor a gas limit that it chooses earn it anything.
#[tokio::test]
async fn nothing_is_earned_by_padding_or_by_limits() {
    let world = asked().await;
    let ask = world.signature_response(&hash_answer(0));
    let lowest = {
        let mut lowest = 60_000;
        while !world.works(ask.clone().gas(lowest)).await {
            lowest += 250;
            assert!(lowest < 2 * RESP_GAS, "no limit works");
        }
        lowest
    };
    let mut paid = Vec::new();
    for gas in [lowest, RESP_GAS, 4_000_000] {
        let before = world.snapshot().await;
        paid.push(refund(&world.done(ask.clone().gas(gas)).await).0);
        world.revert(before).await;
    }
    assert!(paid.iter().all(|cost| *cost == paid[0]), "{paid:?}");

    let mut padded = ask.clone();
    padded.data = [ask.data.as_ref(), &[0; 8_000]].concat().into();
    let (cost, _) = refund(&world.done(padded.gas(4_000_000)).await);
    let more = wei(cost).cast_signed() - wei(paid[0]).cast_signed();
    // The proxy copies them, inside the transaction and outside the measurement.
    assert!(more / BASE_FEE.cast_signed() < 2_500, "{more}");
}

/// Owners that refuse, burn or answer at length: the answer stands, the sender loses nothing, the change is kept.
#[tokio::test]
async fn hostile_owners_hurt_only_themselves() {
    for mode in [1, 2, 4] {
        let world = hardened().await;
        let owner = world.test_owner(0).await;
        world.owned_request(owner).await;
        world.behave(owner, mode, Bytes::new()).await;
        let sender = world.balance(SENDER).await;
        let contract = world.balance(world.zr_sign).await;
        let ask = world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) }).gas(400_000);
        let receipt = world.done(ask).await;
        let (cost, change) = refund(&receipt);
        assert_eq!(cost + change, U256::from(BUDGET));
        let held: ZrSignHardened::RefundHeld = log(&receipt);
        assert_eq!((held.owner, held.amount), (owner, change));
        assert!(change > U256::ZERO);
        assert_eq!(world.balance(world.zr_sign).await, contract - cost, "the change is still there");
        let paid = U256::from(receipt.gas_used) * U256::from(BASE_FEE);
        println!("mode {mode}: {} gas used, {} repaid", receipt.gas_used, wei(cost) / BASE_FEE);
        assert!(cost >= paid, "the sender lost {}", paid - cost);
        assert!(world.balance(SENDER).await >= sender);

        // It can still have it, where it likes.
        assert_eq!(world.read(ZrSignHardened::heldRefundCall { owner }).await, change);
        let before = world.balance(STRANGER).await;
        let elsewhere = Address::repeat_byte(0x99);
        let claim = ZrSignHardened::claimRefundCall { to: elsewhere };
        let receipt = world.done(world.as_owner(owner, &claim, 0)).await;
        let claimed: ZrSignHardened::RefundClaimed = log(&receipt);
        assert_eq!((claimed.owner, claimed.to, claimed.amount), (owner, elsewhere, change));
        assert_eq!(world.balance(elsewhere).await, change);
        assert!(world.balance(STRANGER).await < before);
        assert_eq!(world.read(ZrSignHardened::heldRefundCall { owner }).await, U256::ZERO);
    }
}

/// A sender cannot make an owner fail by giving too little gas: whatever the limit, the owner has its change or the
/// answer reverts.
#[tokio::test]
async fn an_owner_that_would_take_its_change_gets_it() {
    let world = hardened().await;
    let owner = world.test_owner(0).await;
    world.owned_request(owner).await;
    let ask = world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) });
    let (mut short, mut refused, mut taken) = (0, 0, 0);
    for gas in (60_000..130_000).step_by(500) {
        let before = world.snapshot().await;
        let receipt = world.send(ask.clone().gas(gas)).await;
        if receipt.status() {
            let held =
                receipt.logs().iter().any(|log| log.topic0() == Some(&ZrSignHardened::RefundHeld::SIGNATURE_HASH));
            assert!(!held, "held at {gas}");
            assert!(refund(&receipt).1 > U256::ZERO);
            taken += 1;
        }
        world.revert(before).await;
        if !receipt.status() {
            match world.provider.call(ask.clone().gas(gas).request()).await {
                Err(error) => match error.as_error_resp().unwrap().as_revert_data() {
                    Some(data) if !data.is_empty() => {
                        ZrSignHardened::InsufficientGas::abi_decode(&data).unwrap();
                        refused += 1;
                    }
                    _ => short += 1,
                },
                Ok(_) => panic!("sent it reverts, called it does not: {gas}"),
            }
        }
    }
    println!("of the limits {short} were too short for all, {refused} for the change, {taken} sufficed");
    assert!(short > 0 && refused > 0 && taken > 0);
}

/// A callback gets no more than the bounded gas, and no way in.
#[tokio::test]
async fn an_owner_that_calls_back_gets_nowhere() {
    let world = hardened().await;
    let owner = world.test_owner(0).await;
    world.owned_request(owner).await;
    let params = crate::world::sign_params("second", false);
    world.done(world.as_owner(owner, &ZrSign::zrSignHashCall { params }, TOTAL)).await;
    let second = world.signature_response(&SignatureAnswer { owner, ..hash_answer(1) }).data;
    world.behave(owner, 3, second).await;
    world.done(world.signature_response(&SignatureAnswer { owner, ..hash_answer(0) }).gas(400_000)).await;
    assert_eq!((world.request_state(0).await.0, world.request_state(1).await.0), (2, 1));
}

/// An account that does not exist yet is paid for.
#[tokio::test]
async fn an_owner_that_does_not_exist_yet() {
    let world = hardened().await;
    let owner = Address::repeat_byte(0x77);
    let params = IZrSign::ZrKeyReqParams { owner, walletTypeId: EVM, options: 1 };
    world.done(world.call(USER, &ZrSign::zrKeyReqCall { params }).value(TOTAL)).await;
    let sender = world.balance(SENDER).await;
    world.done(world.key_response(&KeyAnswer { owner, ..first_wallet(1) }).gas(400_000)).await;
    assert!(world.balance(SENDER).await >= sender);
    assert!(world.balance(owner).await > U256::ZERO);
}

/// A proxy of version 1 with open requests, upgraded: they are answered by the new rules of authorisation, and what was
/// not recorded is not compared.
#[tokio::test]
async fn requests_that_were_open_at_the_upgrade() {
    let mut world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.key_request(BITCOIN_TESTNET, 2)).await;
    for _ in 0..2 {
        world.done(world.hash_request()).await;
    }
    let logic = world.deploy(ADMIN, ZrSignHardened::BYTECODE.clone()).await;
    let old = world.signature_response(&hash_answer(0));
    world.done(world.call(PROXY_ADMIN, &IZrProxy::upgradeToCall { newImplementation: logic })).await;
    world.version = Version::Hardened;

    let got = world.try_it(old).await.unwrap_err();
    ZrSign::AccessControlUnauthorizedAccount::abi_decode(&got).unwrap();
    world.done(world.signature_response(&hash_answer(0))).await;
    let foreign = SignatureAnswer { owner: STRANGER, broadcast: true, ..hash_answer(1) };
    world.done(world.signature_response(&foreign)).await;
    let key = KeyAnswer { wallet_type: BITCOIN_TESTNET, ..first_wallet(1) };
    let refused = ZrSignHardened::OptionsMismatch { expected: 2, provided: 1 };
    world.refused(world.key_response(&key), refused.abi_encode()).await;
    world.done(world.key_response(&KeyAnswer { options: 2, ..key })).await;

    // And what is asked from now on is compared.
    world.done(world.hash_request()).await;
    let refused = ZrSignHardened::OwnerMismatch { expected: USER, provided: STRANGER };
    let foreign = SignatureAnswer { trace: U256::from(2), ..foreign };
    world.refused(world.signature_response(&foreign), refused.abi_encode()).await;
}
