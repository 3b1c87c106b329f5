//! Requests: what is recorded and said, what is refused, and in which order things are looked at.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::names::{BITCOIN_TESTNET, EVM, chain_id, wallet_id};

use crate::node::CHAIN;
use crate::world::{
    Ask, BUDGET, MPC_FEE, SENDER, STRANGER, TOTAL, USER, WALLET_1, World, first_wallet, hash_answer, hello, log, panic,
    sepolia, sign_params, total,
};

/// The four ways to ask for a signature, with their numbers.
const KINDS: [(u8, Kind); 4] = [(0, hash), (1, transaction), (2, simple), (3, data)];

type Kind = fn(IZrSign::ZrSignParams) -> Vec<u8>;

fn hash(params: IZrSign::ZrSignParams) -> Vec<u8> {
    ZrSign::zrSignHashCall { params }.abi_encode()
}

fn transaction(params: IZrSign::ZrSignParams) -> Vec<u8> {
    ZrSign::zrSignTxCall { params }.abi_encode()
}

fn simple(params: IZrSign::ZrSignParams) -> Vec<u8> {
    ZrSign::zrSignSimpleTxCall { params }.abi_encode()
}

fn data(params: IZrSign::ZrSignParams) -> Vec<u8> {
    ZrSign::zrSignDataCall { params }.abi_encode()
}

fn unsupported_type() -> B256 {
    contracts::names::wallet_type_id(U256::from(44), U256::from(501))
}

fn key_request(world: &World, owner: Address, wallet_type: B256, options: u8, value: u64) -> Ask {
    let params = IZrSign::ZrKeyReqParams { owner, walletTypeId: wallet_type, options };
    world.call(USER, &ZrSign::zrKeyReqCall { params }).value(value)
}

#[tokio::test]
async fn a_key_request_is_checked_in_this_order() {
    let world = World::new().await;
    world.pause().await;
    let unknown = unsupported_type();
    world
        .refused(
            key_request(&world, USER, unknown, 0, 0),
            ZrSign::WalletTypeNotSupported { walletTypeId: unknown }.abi_encode(),
        )
        .await;
    world.refused(key_request(&world, USER, EVM, 0, 0), ZrSign::EnforcedPause {}.abi_encode()).await;
    world.unpause().await;
    world.refused(key_request(&world, USER, EVM, 0, 0), ZrSign::InvalidOptions { options: 0 }.abi_encode()).await;
    let fee = ZrSign::InsufficientFee { requiredFee: U256::from(TOTAL), providedFee: U256::ZERO };
    world.refused(key_request(&world, USER, EVM, 1, 0), fee.abi_encode()).await;
    world.done(key_request(&world, USER, EVM, 1, TOTAL)).await;
}

/// Anybody asks for anybody, even for nobody; options multiply the fee and are not limited.
#[tokio::test]
async fn keys_for_others_and_with_any_options() {
    let world = World::new().await;
    for (owner, options) in [(STRANGER, 1), (Address::ZERO, 1), (USER, 255)] {
        let receipt = world.done(key_request(&world, owner, EVM, options, total(options))).await;
        let request: ZrSign::ZrKeyRequest = log(&receipt);
        assert_eq!((request.owner, request.walletIndex, request.options), (owner, U256::ZERO, options));
        assert_eq!(request.mpcFee, U256::from(MPC_FEE * u64::from(options)));
        let registry = world.registry(EVM, 0, owner).await;
        assert_eq!((registry.status, registry.options, registry.value), (1, options, U256::from(BUDGET)));
    }
    assert_eq!(world.read(ZrSign::getColletedFeesCall {}).await, U256::from(MPC_FEE * 257));
}

/// Types and owners count their wallets apart; the next index is offered when the one before is answered.
#[tokio::test]
async fn one_open_index_for_each_type_and_owner() {
    let world = World::new().await;
    for _ in 0..2 {
        let receipt = world.done(world.key_request(EVM, 1)).await;
        assert_eq!(log::<ZrSign::ZrKeyRequest>(&receipt).walletIndex, U256::ZERO);
    }
    let receipt = world.done(world.key_request(BITCOIN_TESTNET, 1)).await;
    assert_eq!(log::<ZrSign::ZrKeyRequest>(&receipt).walletIndex, U256::ZERO);
    world.done(world.key_response(&first_wallet(1))).await;
    let receipt = world.done(world.key_request(EVM, 1)).await;
    assert_eq!(log::<ZrSign::ZrKeyRequest>(&receipt).walletIndex, U256::from(1));
    let registry = world.registry(EVM, 0, USER).await;
    assert_eq!((registry.status, registry.value), (2, U256::from(BUDGET + TOTAL)), "the value stays after the answer");
}

#[tokio::test]
async fn a_signature_request_is_checked_in_this_order() {
    let world = World::new().await;
    // A wallet that was asked for and not answered, one with options 1, one that is monitored.
    world.with_wallet(1).await;
    world.done(world.key_request(EVM, 2)).await;
    for (kind, encode) in KINDS {
        let ask = |params: IZrSign::ZrSignParams, value: u64| world.ask(USER, encode(params)).value(value);
        // Everything is wrong at first.
        let mut params = IZrSign::ZrSignParams {
            walletTypeId: unsupported_type(),
            walletIndex: U256::from(9),
            dstChainId: chain_id("eip155:1"),
            payload: hello().into(),
            broadcast: true,
        };
        world.pause().await;
        let refused = ZrSign::WalletTypeNotSupported { walletTypeId: params.walletTypeId };
        world.refused(ask(params.clone(), 0), refused.abi_encode()).await;

        params.walletTypeId = EVM;
        let refused = ZrSign::ChainIdNotSupported { walletTypeId: EVM, chainId: params.dstChainId };
        world.refused(ask(params.clone(), 0), refused.abi_encode()).await;

        params.dstChainId = sepolia();
        if kind == 0 || kind == 3 {
            world.refused(ask(params.clone(), 0), ZrSign::BroadcastNotAllowed {}.abi_encode()).await;
            params.broadcast = false;
        }
        if kind == 2 {
            for index in [9, 0] {
                params.walletIndex = U256::from(index);
                let refused = ZrSign::WalletNotRegisteredForMonitoring { walletIndex: params.walletIndex };
                world.refused(ask(params.clone(), 0), refused.abi_encode()).await;
            }
            params.walletIndex = U256::from(1);
        }
        world.refused(ask(params.clone(), 0), ZrSign::EnforcedPause {}.abi_encode()).await;
        world.unpause().await;
        if kind != 2 {
            let refused = ZrSign::InvalidOptions { options: 0 }.abi_encode();
            world.refused(ask(params.clone(), TOTAL), refused).await;
            params.walletIndex = U256::from(1);
        }
        let refused =
            ZrSign::InsufficientFee { requiredFee: U256::from(total(2)), providedFee: U256::from(total(2) - 1) };
        world.refused(ask(params.clone(), total(2) - 1), refused.abi_encode()).await;
        let refused = ZrSign::InvalidWalletIndex { walletIndex: U256::from(1) };
        world.refused(ask(params.clone(), total(2)), refused.abi_encode()).await;
    }
    assert_eq!(world.read(ZrSign::getTraceIdCall {}).await, U256::ZERO);
}

/// Somebody else's wallet is, to the contract, one that was never asked for.
#[tokio::test]
async fn a_foreign_wallet_has_no_options() {
    let world = World::new().await;
    world.with_wallet(2).await;
    for (kind, encode) in KINDS {
        let ask = world.ask(STRANGER, encode(sign_params(hello(), false))).value(total(2));
        let refused = if kind == 2 {
            ZrSign::WalletNotRegisteredForMonitoring { walletIndex: U256::ZERO }.abi_encode()
        } else {
            ZrSign::InvalidOptions { options: 0 }.abi_encode()
        };
        world.refused(ask, refused).await;
    }
}

/// Trace ids begin at 0, rise by one over all kinds, and are shown before the step.
#[tokio::test]
async fn what_a_signature_request_records_and_says() {
    let world = World::new().await;
    world.with_wallet(2).await;
    let collected = world.read(ZrSign::getColletedFeesCall {}).await;
    for (kind, encode) in KINDS {
        let trace = u64::from(kind);
        assert_eq!(world.read(ZrSign::getTraceIdCall {}).await, U256::from(trace));
        let broadcast = kind == 1 || kind == 2;
        let params = sign_params(format!("payload {kind}"), broadcast);
        // Somewhat more than asked: the surplus is for the answer.
        let surplus = 1_000 * trace;
        let receipt = world.done(world.ask(USER, encode(params.clone())).value(total(2) + surplus)).await;
        let request: ZrSign::ZrSigRequest = log(&receipt);
        assert_eq!(receipt.logs().len(), 1);
        assert_eq!(request.traceId, U256::from(trace));
        assert_eq!(request.walletId, wallet_id(CHAIN, world.zr_sign, EVM, USER, U256::ZERO));
        assert_eq!((request.value, request.mpcFee), (U256::from(total(2) + surplus), U256::from(2 * MPC_FEE)));
        let shown = request.params;
        assert_eq!((shown.walletTypeId, shown.walletIndex, shown.dstChainId), (EVM, U256::ZERO, sepolia()));
        assert_eq!((shown.payload, shown.owner), (params.payload, USER));
        assert_eq!((shown.zrSignReqType, shown.broadcast), (kind, broadcast));
        assert_eq!(world.request_state(trace).await, (1, U256::from(BUDGET + surplus)));
    }
    assert_eq!(world.read(ZrSign::getTraceIdCall {}).await, U256::from(4));
    assert_eq!(world.request_state(4).await, (0, U256::ZERO));
    let now = world.read(ZrSign::getColletedFeesCall {}).await;
    assert_eq!(now - collected, U256::from(4 * 2 * MPC_FEE));
}

/// The numbers of the kinds are plain values in spite of their names; who reads events asks for them.
#[tokio::test]
async fn constants() {
    let world = World::new().await;
    macro_rules! constant {
        ($($call:ident = $value:expr),* $(,)?) => {
            $(assert_eq!(world.read(ZrSign::$call {}).await, $value, stringify!($call));)*
        };
    }
    constant! {
        IS_HASH_MASKCall = 0, IS_TX_MASKCall = 1, IS_SIMPLE_TX_MASKCall = 2, IS_DATA_MASKCall = 3,
        WALLET_REQUESTEDCall = 1, WALLET_REGISTEREDCall = 2, OPTIONS_MONITORINGCall = 2,
        SIG_REQ_IN_PROGRESSCall = 1, SIG_REQ_ALREADY_PROCESSEDCall = 2,
        MPC_ROLECall = contracts::names::MPC_ROLE, FEE_ROLECall = contracts::names::FEE_ROLE,
        PAUSER_ROLECall = contracts::names::PAUSER_ROLE,
        DEFAULT_ADMIN_ROLECall = contracts::names::DEFAULT_ADMIN_ROLE,
        SRC_CHAIN_IDCall = contracts::names::SRC_CHAIN_ID, SRC_WALLET_TYPE_IDCall = EVM,
        versionCall = U256::from(1),
    }
    assert_eq!(contracts::names::SRC_CHAIN_ID, keccak256("eip155:11155111"), "on a chain that is not Sepolia");
}

/// The data request says what its name says: the wallet signs the hash of the payload.
#[tokio::test]
async fn a_data_request_is_answered_like_any_other() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let call = ZrSign::zrSignDataCall { params: sign_params("any bytes", false) };
    world.done(world.call(USER, &call).value(TOTAL)).await;
    world.done(world.signature_response(&hash_answer(0))).await;
    assert_eq!(world.request_state(0).await.0, 2);
}

/// `getWalletRegistry` takes index and owner, `getZrKey` owner and index; a wrong index panics.
#[tokio::test]
async fn views() {
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.key_request(EVM, 1)).await;
    let second = contracts::answer::KeyAnswer { index: U256::from(1), wallet: WALLET_1.to_owned(), ..first_wallet(1) };
    world.done(world.key_response(&second)).await;
    let key = world.read(ZrSign::getZrKeyCall { walletTypeId: EVM, owner: USER, index: U256::from(1) }).await;
    assert_eq!(key, WALLET_1);
    let beyond = ZrSign::getZrKeyCall { walletTypeId: EVM, owner: USER, index: U256::from(2) };
    assert_eq!(world.try_it(world.call(SENDER, &beyond)).await.unwrap_err(), panic(0x32));
    assert!(world.read(ZrSign::getZrKeysCall { walletTypeId: EVM, owner: STRANGER }).await.is_empty());
    assert_eq!(world.registry(EVM, 1, USER).await.status, 2);
    assert_eq!(world.registry(EVM, 2, USER).await.status, 0);

    let info = world.read(ZrSign::getWalletTypeInfoCall { walletTypeId: EVM }).await;
    assert_eq!((info.purpose, info.coinType), (U256::from(44), U256::from(60)));
    assert!(world.read(ZrSign::isWalletTypeSupportedCall { walletTypeId: EVM }).await);
    assert!(!world.read(ZrSign::isWalletTypeSupportedCall { walletTypeId: unsupported_type() }).await);
    assert!(world.read(ZrSign::isChainIdSupportedCall { walletTypeId: EVM, chainId: sepolia() }).await);
    let elsewhere = ZrSign::isChainIdSupportedCall { walletTypeId: BITCOIN_TESTNET, chainId: sepolia() };
    assert!(!world.read(elsewhere).await);

    // The fee of a wallet takes its options from the registry; a wallet that nobody asked for has none.
    let fee =
        |owner| ZrSign::estimateFee_1Call { walletTypeId: EVM, owner, walletIndex: U256::ZERO, value: U256::ZERO };
    assert_eq!(world.read(fee(USER)).await.total, U256::from(TOTAL));
    let refused = world.try_it(world.call(SENDER, &fee(STRANGER))).await.unwrap_err();
    assert_eq!(refused, ZrSign::InvalidOptions { options: 0 }.abi_encode());
}
