//! The transparent proxy, its upgrade and the helper: who reaches what, and that state stays.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_provider::Provider;
use alloy_sol_types::{SolCall, SolError, SolEvent};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::hardened::ZrSignHardened;
use contracts::bindings::proxy::{IZrProxy, ZrProxy, ZrSignUpgrader};
use contracts::names::{EVM, workspace_id};

use crate::node::CHAIN;
use crate::world::{
    ADMIN, ADMIN_SLOT, BUDGET, IMPLEMENTATION_SLOT, MPC_FEE, PROXY_ADMIN, RESP_GAS, STRANGER, USER, Version, WALLET_0,
    World, decode, hash_answer, log, text, total, with_arguments,
};

/// Who becomes admin in these tests.
const NEXT: Address = Address::repeat_byte(0x55);

const FALLBACK: &str = "TransparentUpgradeableProxy: admin cannot fallback to proxy target";
const SIGN_BASE: &str = "a30be26d48c79c53518f37fd0be48e3bd1b55edc6a24c0bc6a2effeee4c2c800";

fn constructor(logic: Address, admin: Address, data: Bytes) -> Bytes {
    with_arguments(&ZrProxy::BYTECODE, &ZrProxy::constructorCall { logic, initialAdmin: admin, data })
}

async fn implementation(world: &World) -> Address {
    Address::from_word(world.storage(world.zr_sign, IMPLEMENTATION_SLOT.into()).await)
}

async fn proxy_admin(world: &World) -> Address {
    Address::from_word(world.storage(world.zr_sign, ADMIN_SLOT.into()).await)
}

#[tokio::test]
async fn what_the_constructor_says_and_sets() {
    let mut world = World::bare(Version::Compatible).await;
    let code = ZrSign::BYTECODE.clone();
    let logic = world.deployed(ADMIN, code, U256::ZERO).await;
    assert_eq!(log::<ZrSign::Initialized>(&logic).version, u64::MAX, "the implementation itself stays closed");
    let logic = logic.contract_address.unwrap();
    let receipt = world
        .deployed(ADMIN, constructor(logic, PROXY_ADMIN, ZrSign::initializeV1Call {}.abi_encode().into()), U256::ZERO)
        .await;
    let [upgraded, granted, initialized, changed] = receipt.logs() else { panic!("{:?}", receipt.logs()) };
    assert_eq!(decode::<ZrProxy::Upgraded>(upgraded).implementation, logic);
    let granted: ZrSign::RoleGranted = decode(granted);
    assert_eq!((granted.role, granted.account, granted.sender), (B256::ZERO, ADMIN, ADMIN), "who deploys is admin");
    assert_eq!(decode::<ZrSign::Initialized>(initialized).version, 1);
    let changed: ZrProxy::AdminChanged = decode(changed);
    assert_eq!((changed.previousAdmin, changed.newAdmin), (Address::ZERO, PROXY_ADMIN));
    world.zr_sign = receipt.contract_address.unwrap();
    assert_eq!((implementation(&world).await, proxy_admin(&world).await), (logic, PROXY_ADMIN));
    assert_eq!(world.read(ZrSign::versionCall {}).await, U256::from(1));
    // The other areas: version 1 of the initialiser, a free guard, the role.
    let initializable = "f0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00";
    let guard = "9b779b17422d0df92223018b32b4d1fa46e071723d6817e2486d003becc55f00";
    for slot in [initializable, guard] {
        assert_eq!(world.storage(world.zr_sign, slot_of(slot)).await, B256::with_last_byte(1), "{slot}");
    }
    let roles = slot_of("02dd7bc7dec4dceedda775e58dd541e08a116c6c53815c0bd028192f7b626800");
    let admins = keccak256([B256::ZERO.as_slice(), &roles.to_be_bytes::<32>()].concat());
    let held = keccak256([ADMIN.into_word(), admins].concat());
    assert_eq!(world.storage(world.zr_sign, held.into()).await, B256::with_last_byte(1));
}

#[tokio::test]
async fn what_the_constructor_refuses() {
    let world = World::bare(Version::Compatible).await;
    let logic = world.deploy(ADMIN, ZrSign::BYTECODE.clone()).await;
    let start: Bytes = ZrSign::initializeV1Call {}.abi_encode().into();
    for (code, refused) in [
        (constructor(STRANGER, PROXY_ADMIN, start.clone()), text("ERC1967: new implementation is not a contract")),
        (constructor(logic, Address::ZERO, start.clone()), text("ERC1967: new admin is the zero address")),
        (constructor(logic, PROXY_ADMIN, Bytes::from_static(&[1, 2, 3, 4])), ZrProxy::FailedCall {}.abi_encode()),
        (
            constructor(logic, PROXY_ADMIN, ZrSign::pauseCall {}.abi_encode().into()),
            World::unauthorised(ADMIN, contracts::names::PAUSER_ROLE),
        ),
    ] {
        assert_eq!(world.try_creation(ADMIN, code).await.unwrap_err(), refused);
    }
    // Without data nothing is called: such a proxy can be initialised by whoever comes first.
    world.deploy(ADMIN, constructor(logic, PROXY_ADMIN, Bytes::new())).await;
}

#[tokio::test]
async fn it_is_initialised_once_and_its_implementation_never() {
    let world = World::new().await;
    let again = ZrSign::initializeV1Call {};
    let refused = ZrSign::InvalidInitialization {}.abi_encode();
    world.refused(world.admin(&again), refused.clone()).await;
    world.refused(world.admin(&again).to(implementation(&world).await), refused).await;
}

/// The admin reaches the proxy and nothing else, everybody else the implementation and nothing else.
#[tokio::test]
async fn who_reaches_what() {
    let world = World::new().await;
    let logic = implementation(&world).await;
    let admin = |call: Vec<u8>| world.ask(PROXY_ADMIN, call);
    let answer = world.try_it(admin(IZrProxy::adminCall {}.abi_encode())).await.unwrap();
    assert_eq!(IZrProxy::adminCall::abi_decode_returns(&answer).unwrap(), PROXY_ADMIN);
    let answer = world.try_it(admin(IZrProxy::implementationCall {}.abi_encode())).await.unwrap();
    assert_eq!(IZrProxy::implementationCall::abi_decode_returns(&answer).unwrap(), logic);

    for call in [
        ZrSign::versionCall {}.abi_encode(),
        ZrSign::zrKeyReqCall { params: key_params() }.abi_encode(),
        Vec::new(),
        vec![1, 2],
    ] {
        world.refused(admin(call), text(FALLBACK)).await;
    }
    world.refused(admin(Vec::new()).value(1), text(FALLBACK)).await;

    let upgrade = IZrProxy::upgradeToCall { newImplementation: logic };
    let both = IZrProxy::upgradeToAndCallCall { newImplementation: logic, data: Bytes::new() };
    for call in [
        IZrProxy::adminCall {}.abi_encode(),
        IZrProxy::implementationCall {}.abi_encode(),
        IZrProxy::changeAdminCall { newAdmin: STRANGER }.abi_encode(),
        upgrade.abi_encode(),
        both.abi_encode(),
    ] {
        // The contract's admin is as strange to the proxy as anybody.
        world.refused(world.ask(ADMIN, call), []).await;
    }
    // Only upgradeToAndCall takes money.
    for call in [
        IZrProxy::adminCall {}.abi_encode(),
        IZrProxy::changeAdminCall { newAdmin: STRANGER }.abi_encode(),
        upgrade.abi_encode(),
    ] {
        world.refused(admin(call).value(1), []).await;
    }
}

fn key_params() -> contracts::bindings::compatible::IZrSign::ZrKeyReqParams {
    contracts::bindings::compatible::IZrSign::ZrKeyReqParams { owner: USER, walletTypeId: EVM, options: 1 }
}

#[tokio::test]
async fn upgrades_and_admins_that_are_refused() {
    let world = World::new().await;
    let logic = implementation(&world).await;
    let admin = |call: Vec<u8>| world.ask(PROXY_ADMIN, call);
    let no_contract = text("ERC1967: new implementation is not a contract");
    world
        .refused(admin(IZrProxy::upgradeToCall { newImplementation: STRANGER }.abi_encode()), no_contract.clone())
        .await;
    let call = IZrProxy::upgradeToAndCallCall { newImplementation: STRANGER, data: Bytes::new() };
    world.refused(admin(call.abi_encode()), no_contract).await;
    let zero = IZrProxy::changeAdminCall { newAdmin: Address::ZERO };
    world.refused(admin(zero.abi_encode()), text("ERC1967: new admin is the zero address")).await;
    // The call is made in any case; the implementation has nothing for an empty one.
    let call = IZrProxy::upgradeToAndCallCall { newImplementation: logic, data: Bytes::new() };
    world.refused(admin(call.abi_encode()), ZrProxy::FailedCall {}.abi_encode()).await;
    // What the implementation says is handed on.
    let data = ZrSign::initializeV1Call {}.abi_encode().into();
    let call = IZrProxy::upgradeToAndCallCall { newImplementation: logic, data };
    world.refused(admin(call.abi_encode()), ZrSign::InvalidInitialization {}.abi_encode()).await;
}

#[tokio::test]
async fn the_admin_is_changed() {
    let world = World::new().await;
    let change = IZrProxy::changeAdminCall { newAdmin: STRANGER };
    let changed: ZrProxy::AdminChanged = log(&world.done(world.call(PROXY_ADMIN, &change)).await);
    assert_eq!((changed.previousAdmin, changed.newAdmin), (PROXY_ADMIN, STRANGER));
    assert_eq!(proxy_admin(&world).await, STRANGER);
    world.refused(world.call(STRANGER, &ZrSign::versionCall {}), text(FALLBACK)).await;
    world.try_it(world.call(PROXY_ADMIN, &ZrSign::versionCall {})).await.unwrap();
}

/// Every kind of state, before and after an upgrade to the hardened contract and back.
#[tokio::test]
async fn an_upgrade_keeps_state() {
    let world = World::new().await;
    world.with_wallet(2).await;
    world.done(world.key_request(EVM, 1)).await;
    for _ in 0..2 {
        world.done(world.hash_request().value(total(2))).await;
    }
    world.done(world.signature_response(&hash_answer(1))).await;
    world.pause().await;
    let before = state(&world).await;
    let original = implementation(&world).await;
    let other = world.deploy(ADMIN, ZrSignHardened::BYTECODE.clone()).await;
    for (target, version) in [(other, 2), (original, 1)] {
        let data = ZrSign::versionCall {}.abi_encode().into();
        let upgrade = IZrProxy::upgradeToAndCallCall { newImplementation: target, data };
        let upgraded: ZrProxy::Upgraded = log(&world.done(world.call(PROXY_ADMIN, &upgrade)).await);
        assert_eq!(upgraded.implementation, target);
        assert_eq!(implementation(&world).await, target);
        assert_eq!(world.read(ZrSign::versionCall {}).await, U256::from(version));
        assert_eq!(state(&world).await, before, "version {version}");
    }
    world.unpause().await;
    world.done(world.signature_response(&hash_answer(0))).await;
}

/// Everything that can be read, as text.
async fn state(world: &World) -> Vec<String> {
    let key = ZrSign::getZrKeysCall { walletTypeId: EVM, owner: USER };
    let mut seen = vec![
        format!("{:?}", world.read(key).await),
        format!("{:?}", world.registry(EVM, 0, USER).await),
        format!("{:?}", world.registry(EVM, 1, USER).await),
        format!("{:?}", world.request_state(0).await),
        format!("{:?}", world.request_state(1).await),
        format!("{:?}", world.read(ZrSign::getTraceIdCall {}).await),
        format!("{:?}", world.read(ZrSign::getColletedFeesCall {}).await),
        format!("{:?}", world.read(ZrSign::pausedCall {}).await),
        format!("{:?}", world.read(ZrSign::getMPCFeeCall {}).await),
        format!("{:?}", world.read(ZrSign::getRespGasCall {}).await),
        format!("{:?}", world.read(ZrSign::getRespGasPriceBufferCall {}).await),
        format!("{:?}", world.role(B256::ZERO, ADMIN).await),
        format!("{:?}", world.read(ZrSign::getWalletTypeInfoCall { walletTypeId: EVM }).await),
        format!("{:?}", world.balance(world.zr_sign).await),
    ];
    let chain = crate::world::sepolia();
    let supported = ZrSign::isChainIdSupportedCall { walletTypeId: EVM, chainId: chain };
    seen.push(format!("{:?}", world.read(supported).await));
    seen
}

fn slot_of(hex: &str) -> U256 {
    U256::from_str_radix(hex, 16).unwrap()
}

/// The words of storage where version 1 has them, so that its proxies can be upgraded to this code.
#[tokio::test]
async fn the_layout_of_storage() {
    let world = World::new().await;
    world.with_wallet(2).await;
    world.done(world.hash_request().value(total(2))).await;
    let base = slot_of(SIGN_BASE);
    let word = |value: u64| B256::from(U256::from(value));
    let at = async |slot: U256| world.storage(world.zr_sign, slot).await;
    for (offset, expected) in [(0, MPC_FEE), (1, 4 * MPC_FEE), (2, RESP_GAS), (3, 120), (4, 1)] {
        assert_eq!(at(base + U256::from(offset)).await, word(expected), "offset {offset}");
    }
    let mapped = |key: B256, offset: u64| keccak256([key, B256::from(base + U256::from(offset))].concat());
    let number = |hash: B256| U256::from_be_bytes(hash.0);
    let wallet_type = number(mapped(EVM, 5));
    assert_eq!((at(wallet_type).await, at(wallet_type + U256::from(1)).await), (word(44), word(60)));
    let chain = keccak256([crate::world::sepolia(), mapped(EVM, 6)].concat());
    assert_eq!(at(number(chain)).await, word(1));
    let list = mapped(workspace_id(CHAIN, world.zr_sign, EVM, USER), 7);
    assert_eq!(at(number(list)).await, word(1), "the list's length");
    let entry = keccak256(list);
    assert_eq!(
        at(number(entry)).await,
        word(2 * WALLET_0.len() as u64 + 1),
        "a long string says twice its length, plus one"
    );
    let wallet = number(mapped(contracts::names::wallet_id(CHAIN, world.zr_sign, EVM, USER, U256::ZERO), 8));
    assert_eq!(at(wallet).await, word(2 + (2 << 8)), "status and options share a word");
    assert_eq!(at(wallet + U256::from(1)).await, word(BUDGET));
    let request = number(mapped(B256::ZERO, 9));
    assert_eq!((at(request).await, at(request + U256::from(1)).await), (word(1), word(BUDGET)));
    assert_eq!(
        world.storage(world.zr_sign, U256::ZERO).await,
        B256::ZERO,
        "nothing lies where ordinary variables would"
    );
}

#[tokio::test]
async fn the_upgrade_helper() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let original = implementation(&world).await;
    let other = world.deploy(ADMIN, ZrSignHardened::BYTECODE.clone()).await;
    let arguments =
        ZrSignUpgrader::constructorCall { proxy_: world.zr_sign, implementation_: other, newProxyAdmin_: NEXT };
    let helper = world.deploy(ADMIN, with_arguments(&ZrSignUpgrader::BYTECODE, &arguments)).await;
    let upgrade = || world.admin(&ZrSignUpgrader::upgradeCall {}).to(helper);
    let abort = || world.admin(&ZrSignUpgrader::abortUpgradeCall {}).to(helper);

    let getter = async |call: Vec<u8>| {
        Address::from_word(B256::from_slice(&world.try_it(world.ask(ADMIN, call).to(helper)).await.unwrap()))
    };
    assert_eq!(getter(ZrSignUpgrader::proxyCall {}.abi_encode()).await, world.zr_sign);
    assert_eq!(getter(ZrSignUpgrader::implementationCall {}.abi_encode()).await, other);
    assert_eq!(getter(ZrSignUpgrader::newProxyAdminCall {}.abi_encode()).await, NEXT);

    for call in [upgrade(), abort()] {
        let mut foreign = call.clone();
        foreign.from = STRANGER;
        world.refused(foreign, text("only owner")).await;
        world.refused(call, []).await;
    }
    let hand_over = IZrProxy::changeAdminCall { newAdmin: helper };
    world.done(world.call(PROXY_ADMIN, &hand_over)).await;

    let before = world.snapshot().await;
    let changed: ZrProxy::AdminChanged = log(&world.done(abort()).await);
    assert_eq!(changed.newAdmin, NEXT);
    assert_eq!(implementation(&world).await, original);
    world.revert(before).await;

    let receipt = world.done(upgrade()).await;
    let topics: Vec<B256> = receipt.logs().iter().map(|log| *log.topic0().unwrap()).collect();
    assert_eq!(topics, [ZrProxy::Upgraded::SIGNATURE_HASH, ZrProxy::AdminChanged::SIGNATURE_HASH]);
    assert_eq!((implementation(&world).await, proxy_admin(&world).await), (other, NEXT));
    assert_eq!(world.registry(EVM, 0, USER).await.status, 2);
    println!("the helper's upgrade takes {} gas", receipt.gas_used);
    world.refused(upgrade(), []).await;
}

/// What is committed is what lies on the chain: operators list the hash of the code behind a proxy.
#[tokio::test]
async fn the_code_that_is_deployed_is_the_code_that_is_listed() {
    let world = World::new().await;
    for (name, address) in [("ZrSign", implementation(&world).await), ("ZrProxy", world.zr_sign)] {
        let path = format!("{}/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let code = world.provider.get_code_at(address).await.unwrap();
        assert_eq!(artifact["runtimeHash"], keccak256(&code).to_string(), "{name}");
        assert_eq!(artifact["runtimeBytes"], code.len(), "{name}");
    }
}
