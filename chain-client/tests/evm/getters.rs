//! What the contract says of itself and of its requests, each at one block.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_provider::Provider as _;
use chain_client::zrsign::evm::{
    Code, Deployment, EvmChain, EvmError, RequestState, RequestStatus, WalletRegistry, WalletStatus,
};
use chain_client::zrsign::name::{Slot, WalletKind};
use contracts::names::{EVM, MPC_ROLE, SRC_CHAIN_ID};
use serde_json::{Value, json};

use crate::bench::{AT_ONCE, NUMBERS, honest, proxy, quick};
use crate::liar::{Liar, Said};
use crate::node::CHAIN;
use crate::world::{
    BUDGET, PROXY_ADMIN, RESP_GAS, STRANGER, USER, Version, WALLET_0, World, address_of, controller, first_wallet,
    hash_answer,
};

async fn head(chain: &EvmChain) -> B256 {
    chain.tips().await.unwrap().head.hash
}

#[tokio::test]
async fn a_deployment_tells_what_it_is() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let chain = honest(&world, AT_ONCE);
    let before = head(&chain).await;
    world.done(world.hash_request()).await;
    world.pause().await;
    let expected = Deployment {
        numbers: NUMBERS,
        source: SRC_CHAIN_ID,
        mpc_role: MPC_ROLE,
        version: U256::ONE,
        paused: true,
        response_gas: U256::from(RESP_GAS),
        next_trace: U256::ONE,
    };
    assert_eq!(chain.deployment(world.zr_sign, head(&chain).await).await.unwrap(), expected);
    let earlier = Deployment { paused: false, next_trace: U256::ZERO, ..expected };
    assert_eq!(chain.deployment(world.zr_sign, before).await.unwrap(), earlier, "at the block that was named");
    assert!(chain.has_role(world.zr_sign, MPC_ROLE, address_of(&controller()), before).await.unwrap());
    assert!(!chain.has_role(world.zr_sign, MPC_ROLE, STRANGER, before).await.unwrap());

    let logic = Address::from_word(world.storage(world.zr_sign, crate::world::IMPLEMENTATION_SLOT.into()).await);
    let runs = Code { implementation: logic, code_hash: keccak256(world.provider.get_code_at(logic).await.unwrap()) };
    assert_eq!(chain.code(world.zr_sign, before).await.unwrap(), Some(runs));
    assert_eq!(chain.code(USER, before).await.unwrap(), None);
    assert_eq!(chain.proxy_admin(world.zr_sign, before).await.unwrap(), Some(PROXY_ADMIN));
    assert_eq!(chain.proxy_admin(USER, before).await.unwrap(), None);
    assert!(chain.has_code(world.zr_sign, before).await.unwrap() && !chain.has_code(USER, before).await.unwrap());
    let first = chain.block(0).await.unwrap().unwrap();
    assert!(!chain.has_code(world.zr_sign, first.hash).await.unwrap(), "before it was deployed");
    assert!(first.gas_limit >= RESP_GAS, "an answer has room in a block");

    let nowhere = chain.deployment(world.zr_sign, B256::repeat_byte(7)).await.unwrap_err();
    assert!(matches!(nowhere, EvmError::Refused { .. }), "a block that is not there: {nowhere}");
    let nobody = chain.deployment(USER, before).await.unwrap_err();
    assert!(matches!(nobody, EvmError::Malformed { .. }), "no contract: {nobody}");
}

/// The hardened contract takes other authorisations: what this program makes would be admitted by nobody.
#[tokio::test]
async fn a_contract_of_another_version_does_not_take_our_answers() {
    let (compatible, hardened) = (World::new().await, World::of(Version::Hardened).await);
    for (world, version, takes) in [(&compatible, 1, true), (&hardened, 2, false)] {
        let chain = honest(world, AT_ONCE);
        let deployment = chain.deployment(world.zr_sign, head(&chain).await).await.unwrap();
        assert_eq!((deployment.version, deployment.takes_our_answers()), (U256::from(version), takes));
    }
}

/// The daemon reads a slot's status alone: the list of an owner's wallets, which has no bound, tells nothing more.
#[tokio::test]
async fn a_slot_that_is_requested_is_the_next_to_be_filled() {
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.key_request(EVM, 1)).await;
    let chain = honest(&world, AT_ONCE);
    let at = head(&chain).await;
    for (index, status) in [(0, WalletStatus::Registered), (1, WalletStatus::Requested), (2, WalletStatus::Unknown)] {
        let slot = Slot { proxy: proxy(&world), kind: WalletKind::Evm, owner: USER, index: U256::from(index) };
        assert_eq!(chain.wallet(&slot, at).await.unwrap().status, status);
        assert_eq!(status == WalletStatus::Requested, chain.wallets_filled(&slot, at).await.unwrap() == index);
    }
}

/// The contract of 2024 has no requests for data: there the getter reverts.
#[tokio::test]
async fn a_getter_that_came_later_may_be_missing() {
    let world = World::new().await;
    let liar = Liar::before(&world).await;
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, quick()).unwrap();
    let at = head(&chain).await;
    let selector = alloy_primitives::hex::encode_prefixed(&keccak256("IS_DATA_MASK()")[..4]);
    // As geth, Nethermind and others say it.
    let reverts = [
        json!({ "code": 3, "message": "execution reverted", "data": "0x" }),
        json!({ "code": 3, "message": "VM error" }),
        json!({ "code": -32000, "message": "execution reverted" }),
        json!({ "code": -32015, "message": "VM execution error.", "data": "Reverted 0x" }),
    ];
    for error in reverts {
        let selector = selector.clone();
        liar.lies(move |_, params, reply| {
            if params[0]["input"] == json!(selector) {
                *reply = json!({ "jsonrpc": "2.0", "id": reply["id"], "error": error });
            }
            Said::Reply
        });
        assert_eq!(chain.deployment(world.zr_sign, at).await.unwrap().numbers.data, None);
    }
    // An endpoint that fails has not said that it is missing.
    liar.lies(move |_, params, reply| {
        if params[0]["input"] == json!(selector) {
            *reply = json!({ "jsonrpc": "2.0", "id": reply["id"], "error": { "code": -32603, "message": "oops" } });
        }
        Said::Reply
    });
    assert!(matches!(chain.deployment(world.zr_sign, at).await.unwrap_err(), EvmError::Refused { .. }));
}

#[tokio::test]
async fn slots_and_requests_are_read_as_they_were() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let slot = Slot { proxy: proxy(&world), kind: WalletKind::Evm, owner: USER, index: U256::ZERO };
    let mut blocks = vec![head(&chain).await];
    world.done(world.key_request(EVM, 2)).await;
    blocks.push(head(&chain).await);
    world.done(world.key_response(&first_wallet(2))).await;
    blocks.push(head(&chain).await);
    world.done(world.hash_request().value(crate::world::total(2))).await;
    blocks.push(head(&chain).await);
    world.done(world.signature_response(&hash_answer(0))).await;
    blocks.push(head(&chain).await);

    let paid = U256::from(BUDGET);
    let wallets = [
        (WalletStatus::Unknown, 0, U256::ZERO, 0, None),
        (WalletStatus::Requested, 2, paid, 0, None),
        (WalletStatus::Registered, 2, paid, 1, Some(WALLET_0.to_owned())),
    ];
    for (at, (status, options, value, filled, text)) in blocks.iter().zip(wallets) {
        assert_eq!(chain.wallet(&slot, *at).await.unwrap(), WalletRegistry { status, options, value });
        assert_eq!(chain.wallets_filled(&slot, *at).await.unwrap(), filled);
        assert_eq!(chain.wallet_text(&slot, *at).await.unwrap(), text);
    }
    let requests =
        [(2, RequestStatus::Unknown, U256::ZERO), (3, RequestStatus::Open, paid), (4, RequestStatus::Answered, paid)];
    for (place, status, value) in requests {
        let state = chain.request_state(world.zr_sign, U256::ZERO, blocks[place]).await.unwrap();
        assert_eq!(state, RequestState { status, value });
    }
    // Behind a reorganisation the block is no more, and is not answered for.
    let _: Value = world.rpc("anvil_reorg", (1, [(); 0])).await;
    let gone = chain.request_state(world.zr_sign, U256::ZERO, blocks[4]).await.unwrap_err();
    assert!(matches!(gone, EvmError::Refused { .. }), "{gone}");
}

/// A revert for another reason has not said that a slot is empty; a getter that says nothing has not said 0.
#[tokio::test]
async fn what_is_not_said_is_not_taken_for_nothing() {
    let world = World::new().await;
    let liar = Liar::before(&world).await;
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, quick()).unwrap();
    let tips = chain.tips().await.unwrap();
    liar.lies(|method, _, reply| {
        if method == "eth_call" {
            let error = json!({ "code": 3, "message": "execution reverted", "data": "0xd93c0665" });
            *reply = json!({ "jsonrpc": "2.0", "id": reply["id"], "error": error });
        }
        Said::Reply
    });
    let slot = Slot { proxy: proxy(&world), kind: WalletKind::Evm, owner: USER, index: U256::ZERO };
    assert!(matches!(chain.wallet_text(&slot, tips.head.hash).await.unwrap_err(), EvmError::Malformed { .. }));
    assert!(matches!(chain.mark(world.zr_sign, tips.head.height).await.unwrap_err(), EvmError::Malformed { .. }));
    liar.changes("eth_call", |_, said| *said = json!("0x"));
    assert!(matches!(chain.mark(world.zr_sign, tips.head.height).await.unwrap_err(), EvmError::Malformed { .. }));
    liar.is_honest();
    chain.mark(world.zr_sign, tips.head.height).await.unwrap();
}

/// Numbers that no contract of ours keeps are not guessed at.
#[tokio::test]
async fn unknown_states_are_refused() {
    let world = World::new().await;
    let liar = Liar::before(&world).await;
    let chain = EvmChain::new(CHAIN, std::slice::from_ref(&liar.address), AT_ONCE, quick()).unwrap();
    let at = head(&chain).await;
    liar.changes("eth_call", |_, words| {
        let said = words.as_str().unwrap().to_owned();
        *words = json!(format!("0x{:064x}{}", 3, &said[66..]));
    });
    let slot = Slot { proxy: proxy(&world), kind: WalletKind::Evm, owner: Address::ZERO, index: U256::ZERO };
    assert!(matches!(chain.wallet(&slot, at).await.unwrap_err(), EvmError::Malformed { .. }));
    assert!(matches!(
        chain.request_state(world.zr_sign, U256::ZERO, at).await.unwrap_err(),
        EvmError::Malformed { .. }
    ));
    assert_eq!(world.provider.get_chain_id().await.unwrap(), CHAIN);
}
