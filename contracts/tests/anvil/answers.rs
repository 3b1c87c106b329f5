//! Answers: what moves, what is refused, and in which order things are looked at.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolError;
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::ZrSign;
use contracts::names::{BITCOIN_TESTNET, EVM, MPC_ROLE};

use crate::world::{
    BUDGET, SENDER, STRANGER, TOTAL, USER, World, address_of, controller, first_wallet, hash_answer, key, log, refund,
    sign, total,
};

#[tokio::test]
async fn a_key_response_is_checked_in_this_order() {
    let world = World::new().await;
    let solana = contracts::names::wallet_type_id(U256::from(44), U256::from(501));
    let mut answer = KeyAnswer {
        wallet_type: solana,
        owner: Address::ZERO,
        index: U256::from(3),
        wallet: "0x12".to_owned(),
        options: 1,
    };
    world.pause().await;
    let unsigned = |answer: &KeyAnswer| world.key_response_signed(answer, Bytes::new());
    let refused = ZrSign::WalletTypeNotSupported { walletTypeId: solana };
    world.refused(unsigned(&answer), refused.abi_encode()).await;
    answer.wallet_type = EVM;
    world.refused(unsigned(&answer), ZrSign::OwnableInvalidOwner { owner: Address::ZERO }.abi_encode()).await;
    answer.owner = USER;
    world.refused(unsigned(&answer), ZrSign::EnforcedPause {}.abi_encode()).await;
    world.unpause().await;
    world.refused(unsigned(&answer), ZrSign::InvalidSignature { reason: 2 }.abi_encode()).await;
    let stranger = sign(&key(0x22), answer.digest());
    let refused = World::unauthorised(address_of(&key(0x22)), MPC_ROLE);
    world.refused(world.key_response_signed(&answer, stranger), refused).await;
    for length in [0, 4] {
        answer.wallet = "x".repeat(length);
        let refused = ZrSign::InvalidAddressLength { minLength: U256::from(5), actualLength: U256::from(length) };
        world.refused(world.key_response(&answer), refused.abi_encode()).await;
    }
    answer.wallet = "x".repeat(5);
    let refused = ZrSign::IncorrectWalletIndex { expected: U256::ZERO, provided: U256::from(3) };
    world.refused(world.key_response(&answer), refused.abi_encode()).await;
    answer.index = U256::ZERO;
    let refused = ZrSign::WalletNotRequested { wallet: answer.wallet.clone() };
    world.refused(world.key_response(&answer), refused.abi_encode()).await;
    world.done(world.key_request(EVM, 1)).await;
    world.done(world.key_response(&answer)).await;
}

#[tokio::test]
async fn a_signature_response_is_checked_in_this_order() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let answer = hash_answer(0);
    world.pause().await;
    let unsigned = world.signature_response_signed(&answer, Bytes::new());
    world.refused(unsigned.clone(), ZrSign::EnforcedPause {}.abi_encode()).await;
    world.unpause().await;
    let unknown = ZrSign::RequestNotFoundOrAlreadyProcessed { traceId: U256::ZERO };
    world.refused(unsigned.clone(), unknown.abi_encode()).await;
    world.done(world.hash_request()).await;
    world.refused(unsigned, ZrSign::InvalidSignature { reason: 2 }.abi_encode()).await;
    let stranger = sign(&key(0x22), answer.digest());
    let refused = World::unauthorised(address_of(&key(0x22)), MPC_ROLE);
    world.refused(world.signature_response_signed(&answer, stranger), refused).await;
    let receipt = world.done(world.signature_response(&answer)).await;
    let order: Vec<_> = receipt.logs().iter().map(|log| *log.topic0().unwrap()).collect();
    assert_eq!(
        order,
        [
            <ZrSign::ZrSigResolve as alloy_sol_types::SolEvent>::SIGNATURE_HASH,
            <ZrSign::ZrSigGasRefund as alloy_sol_types::SolEvent>::SIGNATURE_HASH
        ]
    );
    assert_eq!(world.request_state(0).await, (2, U256::from(BUDGET)));
    let again = ZrSign::RequestNotFoundOrAlreadyProcessed { traceId: U256::ZERO };
    world.refused(world.signature_response(&answer), again.abi_encode()).await;
}

/// Who sends is of no consequence; who holds the role gets no rights by it; one of several holders is enough.
#[tokio::test]
async fn anybody_brings_an_answer_that_a_holder_authorised() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    let answer = first_wallet(1);
    let second = key(0x44);
    let grant = ZrSign::grantRoleCall { role: MPC_ROLE, account: address_of(&second) };
    world.done(world.admin(&grant)).await;
    let mut ask = world.key_response_signed(&answer, sign(&second, answer.digest()));
    ask.from = STRANGER;
    world.done(ask).await;

    let mut refused = world.admin(&grant);
    world.fund(address_of(&second)).await;
    let _: serde_json::Value = world.rpc("anvil_impersonateAccount", [address_of(&second)]).await;
    refused.from = address_of(&second);
    world.refused(refused, World::not_admin(address_of(&second))).await;

    let revoke = ZrSign::revokeRoleCall { role: MPC_ROLE, account: address_of(&second) };
    world.done(world.admin(&revoke)).await;
    world.done(world.hash_request()).await;
    let answer = hash_answer(0);
    let refused = World::unauthorised(address_of(&second), MPC_ROLE);
    world.refused(world.signature_response_signed(&answer, sign(&second, answer.digest())), refused).await;
    world.done(world.signature_response(&answer)).await;
}

/// Version 1 compares nothing with the request: not options, not owner, not broadcast, not the signature.
#[tokio::test]
async fn what_version_1_does_not_compare() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    world.done(world.key_response(&first_wallet(2))).await;
    let registry = world.registry(EVM, 0, USER).await;
    assert_eq!((registry.status, registry.options), (2, 1), "the registry keeps its own options");

    world.done(world.hash_request()).await;
    let before = world.balance(STRANGER).await;
    let odd = SignatureAnswer { owner: STRANGER, broadcast: true, signature: Bytes::new(), ..hash_answer(0) };
    let receipt = world.done(world.signature_response(&odd)).await;
    let resolved: ZrSign::ZrSigResolve = log(&receipt);
    assert!(resolved.broadcast && resolved.signature.is_empty());
    let (_, change) = refund(&receipt);
    assert_eq!(world.balance(STRANGER).await - before, change, "the change goes to the owner that the answer names");
}

/// The digest knows neither chain nor contract: an authorisation fits a second proxy.
#[tokio::test]
async fn an_authorisation_fits_another_deployment() {
    let mut world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    let key_answer = world.key_response(&first_wallet(1)).data;
    let answer = world.signature_response(&hash_answer(0)).data;
    world.second_proxy().await;
    world.done(world.key_request(EVM, 1)).await;
    world.done(world.ask(SENDER, key_answer).gas(200_000)).await;
    world.done(world.hash_request()).await;
    world.done(world.ask(SENDER, answer).gas(200_000)).await;
}

#[tokio::test]
async fn signatures_are_answered_in_any_order_and_keys_in_theirs() {
    let world = World::new().await;
    world.with_wallet(1).await;
    for _ in 0..3 {
        world.done(world.hash_request()).await;
    }
    for trace in [2, 0, 1] {
        world.done(world.signature_response(&hash_answer(trace))).await;
        assert_eq!(world.request_state(trace).await.0, 2);
    }
    world.done(world.key_request(EVM, 1)).await;
    let early = KeyAnswer { index: U256::from(2), ..first_wallet(1) };
    let refused = ZrSign::IncorrectWalletIndex { expected: U256::from(1), provided: U256::from(2) };
    world.refused(world.key_response(&early), refused.abi_encode()).await;
}

/// Taking a type away stops open keys and not open signatures.
#[tokio::test]
async fn a_type_or_chain_that_was_taken_away() {
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.key_request(EVM, 1)).await;
    world.done(world.hash_request()).await;
    world.done(world.chain_config(EVM, "eip155:11155111", false)).await;
    world.done(world.wallet_type(60, false)).await;
    let open = KeyAnswer { index: U256::from(1), ..first_wallet(1) };
    let refused = ZrSign::WalletTypeNotSupported { walletTypeId: EVM };
    world.refused(world.key_response(&open), refused.abi_encode()).await;
    world.done(world.signature_response(&hash_answer(0))).await;
    world.done(world.wallet_type(60, true)).await;
    world.done(world.key_response(&open)).await;
}

/// The text of an address is what was authorised, letter by letter.
#[tokio::test]
async fn the_case_of_an_address_counts() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    let checksum = first_wallet(1);
    let lower = KeyAnswer { wallet: checksum.wallet.to_lowercase(), ..checksum.clone() };
    assert_ne!(checksum.digest(), lower.digest());
    let got = world.try_it(world.key_response_signed(&lower, sign(&controller(), checksum.digest()))).await;
    ZrSign::AccessControlUnauthorizedAccount::abi_decode(&got.unwrap_err()).unwrap();
    world.done(world.key_response(&lower)).await;
    let kept = world.read(ZrSign::getZrKeyCall { walletTypeId: EVM, owner: USER, index: U256::ZERO }).await;
    assert_eq!(kept, lower.wallet);
}

/// A hash may begin with zero bytes; what is signed are 32 bytes, not a number and not a text.
#[tokio::test]
async fn a_hash_that_begins_with_zeros() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    let mut answer = first_wallet(1);
    let zeros = (0..100_000)
        .find(|number| {
            answer.wallet = format!("wallet {number}");
            alloy_primitives::keccak256(answer.preimage()).starts_with(&[0, 0])
        })
        .expect("one of 65,536");
    answer.wallet = format!("wallet {zeros}");
    world.done(world.key_response(&answer)).await;
}

/// The contract's balance is what it collected and what it still owes.
#[tokio::test]
async fn no_money_is_made_or_lost() {
    let world = World::new().await;
    world.with_wallet(2).await;
    world.done(world.key_request(BITCOIN_TESTNET, 1)).await;
    world.done(world.key_request(BITCOIN_TESTNET, 3)).await;
    for _ in 0..3 {
        world.done(world.hash_request().value(total(2) + 17)).await;
    }
    world.done(world.signature_response(&hash_answer(1))).await;
    let open = world.registry(BITCOIN_TESTNET, 0, USER).await.value
        + world.request_state(0).await.1
        + world.request_state(2).await.1;
    let collected = world.read(ZrSign::getColletedFeesCall {}).await;
    assert_eq!(world.balance(world.zr_sign).await, collected + open);
    world.done(world.operator(&ZrSign::withdrawMPCFeesCall {})).await;
    assert_eq!(world.balance(world.zr_sign).await, open);
    assert!(open > U256::from(TOTAL) && collected > U256::ZERO);
}
