//! What each call takes, beside what it takes in version 1 as its authors deployed it. The table stands in
//! docs/contracts.md; a number that moved is a failure until the page says it.

use std::fmt::Write as _;

use alloy_primitives::{Bytes, U256, hex};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolCall;
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::bindings::consumer::ExampleConsumer;
use contracts::bindings::proxy::{IZrProxy, ZrProxy, ZrSignUpgrader};
use contracts::names::{EVM, MPC_ROLE};

use crate::world::{
    ADMIN, OPERATOR, PROXY_ADMIN, STRANGER, TOTAL, USER, Version, WALLET_1, World, first_wallet, hash_answer,
    sign_params, total, with_arguments,
};

/// The payloads of worked examples 6 and 7.
const TRANSACTION: [u8; 43] =
    hex!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080");
const COMPLETED: [u8; 43] =
    hex!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080");

/// Steps and gas of version 1, in the order in which they are measured.
const VERSION_1: &[(&str, u64)] = &[
    ("deploy the implementation", 3_567_955),
    ("deploy the proxy, with initialisation", 612_042),
    ("wallet type", 83_229),
    ("chain id", 66_700),
    ("role grant", 59_052),
    ("fee setter", 55_000),
    ("key request, first of its type", 119_717),
    ("key response, first of its type", 175_556),
    ("key request, second wallet", 102_617),
    ("key response, second wallet", 158_480),
    ("hash request, very first", 134_189),
    ("hash response", 78_181),
    ("transaction request, 43 bytes", 117_633),
    ("transaction response", 78_193),
    ("simple transaction request", 121_228),
    ("simple transaction response, 43 bytes of meta data", 79_806),
    ("key response, owner is a consumer contract", 177_060),
    ("fee withdrawal", 42_227),
    ("upgrade by the helper", 54_786),
];

#[tokio::test]
async fn gas_per_call() {
    let compatible = measured(Version::Compatible).await;
    let hardened = measured(Version::Hardened).await;
    let mut table = String::from("| Step | Version 1 of 2024 | Ours | Hardened |\n| --- | ---: | ---: | ---: |\n");
    for (((step, theirs), ours), hard) in VERSION_1.iter().zip(&compatible).zip(&hardened) {
        writeln!(table, "| {step} | {} | {} | {} |", grouped(*theirs), grouped(*ours), grouped(*hard)).unwrap();
    }
    println!("{table}");
    for ((step, theirs), ours) in VERSION_1.iter().zip(&compatible) {
        assert!(ours * 10 <= theirs * 11, "{step}: {ours} gas, version 1 took {theirs}");
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contracts.md");
    let written = std::fs::read_to_string(page).unwrap();
    assert!(
        written.contains(&table),
        "docs/contracts.md has another table of gas; this is what was measured:\n{table}"
    );
}

async fn measured(version: Version) -> Vec<u64> {
    let mut gas = Vec::new();
    let mut note = |receipt: TransactionReceipt| {
        assert!(receipt.status());
        gas.push(receipt.gas_used);
    };
    let mut world = World::bare(version).await;
    let logic = world.deployed(ADMIN, world.implementation_code(), U256::ZERO).await;
    let implementation = logic.contract_address.unwrap();
    note(logic);
    let start = ZrProxy::constructorCall {
        logic: implementation,
        initialAdmin: PROXY_ADMIN,
        data: ZrSign::initializeV1Call {}.abi_encode().into(),
    };
    let proxy = world.deployed(ADMIN, with_arguments(&ZrProxy::BYTECODE, &start), U256::ZERO).await;
    world.zr_sign = proxy.contract_address.unwrap();
    note(proxy);

    note(world.done(world.wallet_type(60, true)).await);
    note(world.done(world.chain_config(EVM, "eip155:11155111", true)).await);
    let role = ZrSign::grantRoleCall { role: MPC_ROLE, account: crate::world::address_of(&crate::world::controller()) };
    note(world.done(world.admin(&role)).await);
    let fee = ZrSign::grantRoleCall { role: contracts::names::FEE_ROLE, account: OPERATOR };
    world.done(world.admin(&fee)).await;
    let setter = ZrSign::updateMPCFeeCall { newFee: U256::from(crate::world::MPC_FEE) };
    note(world.done(world.operator(&setter)).await);
    let setter = ZrSign::updateRespGasCall { newGas: U256::from(crate::world::RESP_GAS) };
    world.done(world.operator(&setter)).await;
    let setter = ZrSign::updateRespGasBufferCall { newBuffer: U256::from(crate::world::BUFFER) };
    world.done(world.operator(&setter)).await;

    let limit = world.answer_gas();
    note(world.done(world.key_request(EVM, 1)).await);
    note(world.done(world.key_response(&first_wallet(1)).gas(limit)).await);
    note(world.done(world.key_request(EVM, 2)).await);
    let second = KeyAnswer { index: U256::from(1), wallet: WALLET_1.to_owned(), ..first_wallet(2) };
    note(world.done(world.key_response(&second).gas(limit)).await);

    note(world.done(world.hash_request()).await);
    note(world.done(world.signature_response(&hash_answer(0)).gas(limit)).await);
    let call = ZrSign::zrSignTxCall { params: sign_params(TRANSACTION, true) };
    note(world.done(world.call(USER, &call).value(TOTAL)).await);
    let answer = SignatureAnswer { broadcast: true, ..hash_answer(1) };
    note(world.done(world.signature_response(&answer).gas(limit)).await);
    let params = IZrSign::ZrSignParams { walletIndex: U256::from(1), ..sign_params(simple_payload(), true) };
    let call = ZrSign::zrSignSimpleTxCall { params };
    note(world.done(world.call(USER, &call).value(total(2))).await);
    let answer = SignatureAnswer { broadcast: true, meta_data: Bytes::from_static(&COMPLETED), ..hash_answer(2) };
    note(world.done(world.signature_response(&answer).gas(limit)).await);

    let consumer = world.consumer().await;
    let call = ExampleConsumer::requestNewEVMWalletCall { options: 1 };
    world.done(world.call(USER, &call).to(consumer)).await;
    let answer = KeyAnswer { owner: consumer, ..first_wallet(1) };
    note(world.done(world.key_response(&answer).gas(limit)).await);
    note(world.done(world.operator(&ZrSign::withdrawMPCFeesCall {})).await);

    let other = world.deploy(ADMIN, world.implementation_code()).await;
    let arguments =
        ZrSignUpgrader::constructorCall { proxy_: world.zr_sign, implementation_: other, newProxyAdmin_: STRANGER };
    let helper = world.deploy(ADMIN, with_arguments(&ZrSignUpgrader::BYTECODE, &arguments)).await;
    world.done(world.call(PROXY_ADMIN, &IZrProxy::changeAdminCall { newAdmin: helper })).await;
    note(world.done(world.admin(&ZrSignUpgrader::upgradeCall {}).to(helper)).await);
    gas
}

/// The payload of worked example 7.
fn simple_payload() -> Vec<u8> {
    alloy_sol_types::sol! { function transaction(string to, uint256 value, bytes data); }
    transactionCall {
        to: "0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421".to_owned(),
        value: U256::from(1_000_000_000_000_000_u64),
        data: Bytes::new(),
    }
    .abi_encode()
}

fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1_000), number % 1_000) }
}
