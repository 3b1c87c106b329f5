//! What a sender needs: tries, estimates, hints, receipts, and what an account has spent.

use alloy_consensus::{SignableTransaction as _, TxLegacy};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use alloy_provider::Provider as _;
use chain_client::zrsign::evm::{AccountState, Call, EvmChain, EvmHint, EvmReceipt, Finality, Simulation};
use chain_client::zrsign::price::{Used, is_dead};
use chain_client::zrsign::revert::Revert;
use contracts::names::{EVM, MPC_ROLE};
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, honest, quick};
use crate::liar::{Liar, Said};
use crate::node::{BASE_FEE, CHAIN};
use crate::world::{Ask, BUDGET, RESP_GAS, STRANGER, World, address_of, first_wallet, hash_answer, key, sign};

const GWEI: u128 = 1_000_000_000;

fn call(ask: &Ask) -> Call {
    Call {
        from: ask.from,
        to: ask.to,
        value: ask.value,
        gas: Some(ask.gas),
        gas_price: Some(ask.price),
        data: ask.data.clone(),
    }
}

/// A transfer of one wei, signed.
fn transfer(by: &SigningKey, nonce: u64, price: u128) -> Bytes {
    let transaction = TxLegacy {
        chain_id: Some(CHAIN),
        nonce,
        gas_price: price,
        gas_limit: 21_000,
        to: TxKind::Call(STRANGER),
        value: U256::ONE,
        input: Bytes::new(),
    };
    let (signature, recovery) = by.sign_prehash_recoverable(transaction.signature_hash().as_slice()).unwrap();
    let signed = transaction.into_signed(Signature::from_signature_and_parity(signature, recovery.is_y_odd()));
    let mut raw = Vec::new();
    signed.rlp_encode(&mut raw);
    raw.into()
}

async fn tried(chain: &EvmChain, world: &World, ask: Ask) -> Simulation<Bytes> {
    world.pin(BASE_FEE).await;
    chain.simulate(&call(&ask)).await.unwrap()
}

#[tokio::test]
async fn a_response_is_tried_as_it_would_be_sent() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    world.done(world.key_request(EVM, 1)).await;
    let response = world.key_response(&first_wallet(1));
    assert_eq!(tried(&chain, &world, response.clone()).await, Simulation::Succeeds(Bytes::new()));
    let stranger = world.key_response_signed(&first_wallet(1), sign(&key(0x77), world.key_digest(&first_wallet(1))));
    let revert = Revert::Unauthorised { account: address_of(&key(0x77)), role: MPC_ROLE };
    assert_eq!(tried(&chain, &world, stranger).await, Simulation::Reverts(revert));
    let short = world.key_response_signed(&first_wallet(1), Bytes::from_static(&[7; 64]));
    assert_eq!(tried(&chain, &world, short).await, Simulation::Reverts(Revert::Signature(2)));
    world.done(response.clone()).await;
    let revert = Revert::WalletIndex { expected: U256::ONE, provided: U256::ZERO };
    assert_eq!(tried(&chain, &world, response).await, Simulation::Reverts(revert));

    world.done(world.hash_request()).await;
    let response = world.signature_response(&hash_answer(0));
    let panic = Simulation::Reverts(Revert::Panic(U256::from(0x11)));
    assert_eq!(tried(&chain, &world, response.clone().gas(1_000_000)).await, panic, "far above getRespGas()");
    let dead = 31 * GWEI / 10;
    assert!(is_dead(dead, u128::from(BUDGET), Used { least: 72_252, most: 72_252 }));
    assert_eq!(tried(&chain, &world, response.clone().price(dead)).await, panic, "the dead zone of prices");
    assert_eq!(tried(&chain, &world, response.clone().price(4 * GWEI)).await, Simulation::Succeeds(Bytes::new()));
    world.pause().await;
    assert_eq!(tried(&chain, &world, response.clone()).await, Simulation::Reverts(Revert::Paused));
    world.unpause().await;

    // While it waits, only what does not count it sees the request open.
    let answered = Simulation::Reverts(Revert::Request(U256::ZERO));
    let _: Value = world.rpc("evm_setAutomine", [false]).await;
    let _ = world.provider.send_transaction(response.request()).await.unwrap();
    assert_eq!(tried(&chain, &world, response.clone()).await, answered);
    assert_eq!(chain.simulate_at_head(&call(&response)).await.unwrap(), Simulation::Succeeds(Bytes::new()));
    let _: Value = world.rpc("anvil_mine", [U256::ONE]).await;
    assert_eq!(chain.simulate_at_head(&call(&response)).await.unwrap(), answered);
}

#[tokio::test]
async fn gas_is_estimated_for_what_others_ask() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let at = chain.tips().await.unwrap().head.hash;
    let gift = Call {
        gas: None,
        gas_price: None,
        ..call(&world.ask(STRANGER, Bytes::new()).to(Address::repeat_byte(9)).value(1))
    };
    assert_eq!(chain.estimate_gas(&gift, at).await.unwrap(), Simulation::Succeeds(21_000));
    let request = call(&world.hash_request());
    assert_eq!(chain.estimate_gas(&request, at).await.unwrap(), reverts_without_a_wallet());
    world.with_wallet(1).await;
    let later = chain.tips().await.unwrap().head.hash;
    let Simulation::Succeeds(gas) = chain.estimate_gas(&request, later).await.unwrap() else { panic!("it reverts") };
    assert!(gas > 50_000);
    assert_eq!(chain.estimate_gas(&request, at).await.unwrap(), reverts_without_a_wallet(), "at the block named");
}

/// `InvalidOptions(0)`, which no responder meets and [`Revert`] does not name.
fn reverts_without_a_wallet() -> Simulation<u64> {
    let mut said = alloy_primitives::hex::decode("f8b98c9a").unwrap();
    said.extend([0; 32]);
    Simulation::Reverts(Revert::Unknown(said.into()))
}

#[tokio::test]
async fn what_a_node_says_of_raw_bytes_is_a_hint() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let sender = key(0x33);
    let account = address_of(&sender);
    world.fund(account).await;
    let before = chain.tips().await.unwrap().head.hash;
    let start = AccountState { nonce: 0, balance: U256::from(10_u64.pow(19)) };
    assert_eq!(chain.account(account, before).await.unwrap(), start);

    let _: Value = world.rpc("evm_setAutomine", [false]).await;
    let (first, raise) = (transfer(&sender, 0, 2 * GWEI), transfer(&sender, 0, 4 * GWEI));
    assert_eq!(chain.receipt(keccak256(&first)).await.unwrap(), None);
    assert_eq!(chain.send(&first).await, EvmHint::Taken);
    assert_eq!(chain.send(&first).await, EvmHint::Known);
    assert_eq!(chain.send(&transfer(&sender, 0, GWEI * 3 / 2)).await, EvmHint::Underpriced);
    assert_eq!(chain.send_everywhere(&raise).await, EvmHint::Taken, "enough above the first");
    assert_eq!(chain.send(&transfer(&key(0x44), 0, 2 * GWEI)).await, EvmHint::NoFunds);
    assert_eq!(chain.send(&transfer(&sender, 1, 1)).await, EvmHint::FeeTooLow);
    let unclear = chain.send(&Bytes::from_static(b"no transaction")).await;
    assert!(matches!(unclear, EvmHint::Unclear { .. }), "{unclear:?}");
    assert_eq!(chain.receipt(keccak256(&raise)).await.unwrap(), None, "it waits");
    let head = chain.tips().await.unwrap().head.hash;
    assert_eq!(chain.account(account, head).await.unwrap().nonce, 0);
    assert_eq!(chain.pending_nonce(account).await.unwrap(), 1, "behind what waits");
    world.pin(BASE_FEE).await;
    let _: Value = world.rpc("anvil_mine", [U256::ONE]).await;

    let deeper = honest(&world, Finality::Depth(2));
    assert_eq!(deeper.final_receipt(keccak256(&raise)).await.unwrap(), None, "not for ever yet");
    let head = chain.tips().await.unwrap().head;
    let receipt = EvmReceipt {
        hash: keccak256(&raise),
        block: head.hash,
        height: head.height,
        succeeded: true,
        gas_used: 21_000,
        effective_gas_price: 4 * GWEI,
    };
    assert_eq!(chain.receipt(receipt.hash).await.unwrap(), Some(receipt));
    assert_eq!(chain.final_receipt(receipt.hash).await.unwrap(), Some(receipt));
    assert_eq!(chain.receipt(keccak256(&first)).await.unwrap(), None, "it was replaced");
    assert_eq!(chain.send(&first).await, EvmHint::NonceTooLow);
    let spent = U256::from(21_000 * 4 * GWEI) + U256::ONE;
    let now = AccountState { nonce: 1, balance: start.balance - spent };
    assert_eq!(chain.pending_nonce(account).await.unwrap(), 1, "and when nothing waits");
    assert_eq!(chain.account(account, head.hash).await.unwrap(), now);
    assert_eq!(chain.account(account, before).await.unwrap(), start, "as it was");
    assert_eq!((head.base_fee, chain.block(head.height).await.unwrap()), (Some(BASE_FEE as u64), Some(head)));
    assert_eq!(chain.block(head.height + 1).await.unwrap(), None);
    let _: Value = world.rpc("anvil_mine", [U256::from(2)]).await;
    assert_eq!(deeper.final_receipt(receipt.hash).await.unwrap(), Some(receipt));
}

#[tokio::test]
async fn a_receipt_of_a_revert_says_so() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let receipt = world.send(world.signature_response(&hash_answer(0))).await;
    let shown = chain.receipt(receipt.transaction_hash).await.unwrap().unwrap();
    assert!(!shown.succeeded);
    assert_eq!((shown.gas_used, shown.effective_gas_price), (receipt.gas_used, BASE_FEE));
    assert!(shown.gas_used < RESP_GAS);
}

/// One endpoint takes the bytes and says something else, or nothing: the others are asked.
#[tokio::test]
async fn bytes_reach_whoever_takes_them() {
    let world = World::new().await;
    let liars = [Liar::before(&world).await, Liar::before(&world).await];
    let addresses: Vec<_> = liars.iter().map(|liar| liar.address.clone()).collect();
    let chain = EvmChain::new(CHAIN, &addresses, AT_ONCE, quick()).unwrap();
    let sender = key(0x33);
    world.fund(address_of(&sender)).await;
    let _: Value = world.rpc("evm_setAutomine", [false]).await;

    // It has passed the bytes on, and names another hash: the next one knows them.
    liars[0].changes("eth_sendRawTransaction", |_, hash| *hash = json!(alloy_primitives::B256::ZERO));
    assert_eq!(chain.send(&transfer(&sender, 0, 2 * GWEI)).await, EvmHint::Known);
    let hint = chain.send_everywhere(&transfer(&sender, 1, 2 * GWEI)).await;
    assert!(matches!(hint, EvmHint::Taken | EvmHint::Known), "whichever was first: {hint:?}");
    // Both fail: it may have been taken or not.
    liars.iter().for_each(|liar| liar.lies(|_, _, _| Said::Bytes(500, None, Vec::new())));
    for hint in [
        chain.send(&transfer(&sender, 2, 2 * GWEI)).await,
        chain.send_everywhere(&transfer(&sender, 2, 2 * GWEI)).await,
    ] {
        assert!(matches!(hint, EvmHint::Unclear { .. }), "{hint:?}");
    }
    // And a receipt of another transaction is none.
    liars.iter().for_each(|liar| {
        liar.changes("eth_getTransactionReceipt", |_, receipt| {
            receipt["transactionHash"] = json!(alloy_primitives::B256::ZERO);
        });
    });
    world.pin(BASE_FEE).await;
    let _: Value = world.rpc("anvil_mine", [U256::ONE]).await;
    let hash = keccak256(transfer(&sender, 0, 2 * GWEI));
    assert!(chain.receipt(hash).await.is_err());
    // Nor is one in a block that is not the chain's.
    liars.iter().for_each(|liar| {
        liar.changes("eth_getTransactionReceipt", |_, receipt| {
            receipt["blockHash"] = json!(alloy_primitives::B256::ZERO);
        });
    });
    assert!(chain.final_receipt(hash).await.is_err());
    liars.iter().for_each(Liar::is_honest);
    assert!(chain.receipt(hash).await.unwrap().unwrap().succeeded);
    assert_eq!(world.provider.get_transaction_count(address_of(&sender)).await.unwrap(), 3);
}
