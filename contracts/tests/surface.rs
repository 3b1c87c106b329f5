//! The interface against the table of version 1 in docs/contracts.md: every selector, topic, indexed flag and error, and
//! nothing beside them but what is named here as ours.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alloy_json_abi::{JsonAbi, StateMutability};
use alloy_primitives::hex;

/// Selector, signature, payable or not or view.
const FUNCTIONS: &[(&str, &str, StateMutability)] = &[
    ("60a48995", "zrKeyReq((address,bytes32,uint8))", StateMutability::Payable),
    ("31852273", "zrKeyRes((bytes32,address,uint256,string,uint8,bytes))", StateMutability::NonPayable),
    ("15c39391", "zrSignHash((bytes32,uint256,bytes32,bytes,bool))", StateMutability::Payable),
    ("93f874c4", "zrSignTx((bytes32,uint256,bytes32,bytes,bool))", StateMutability::Payable),
    ("daefde8e", "zrSignSimpleTx((bytes32,uint256,bytes32,bytes,bool))", StateMutability::Payable),
    ("050a5784", "zrSignRes((uint256,address,bytes,bytes,bool,bytes))", StateMutability::NonPayable),
    ("925f91fb", "initializeV1()", StateMutability::NonPayable),
    ("f580fc95", "walletTypeIdConfig(uint256,uint256,bool)", StateMutability::NonPayable),
    ("f0c30546", "chainIdConfig(bytes32,string,bool)", StateMutability::NonPayable),
    ("0b95b6be", "updateMPCFee(uint256)", StateMutability::NonPayable),
    ("eaac9e69", "updateRespGas(uint256)", StateMutability::NonPayable),
    ("73750df6", "updateRespGasBuffer(uint256)", StateMutability::NonPayable),
    ("c9aa8933", "withdrawMPCFees()", StateMutability::NonPayable),
    ("8456cb59", "pause()", StateMutability::NonPayable),
    ("3f4ba83a", "unpause()", StateMutability::NonPayable),
    ("2f2ff15d", "grantRole(bytes32,address)", StateMutability::NonPayable),
    ("d547741f", "revokeRole(bytes32,address)", StateMutability::NonPayable),
    ("36568abe", "renounceRole(bytes32,address)", StateMutability::NonPayable),
    ("a213cbaa", "estimateFee(uint8,uint256)", StateMutability::View),
    ("b933e46f", "estimateFee(bytes32,address,uint256,uint256)", StateMutability::View),
    ("c45ec7ab", "getMPCFee()", StateMutability::View),
    ("4dd4c753", "getRespGas()", StateMutability::View),
    ("f4727b9b", "getRespGasPriceBuffer()", StateMutability::View),
    ("447f25ef", "getColletedFees()", StateMutability::View),
    ("379e3349", "getTraceId()", StateMutability::View),
    ("ed979dd6", "getRequestState(uint256)", StateMutability::View),
    ("5432f642", "getWalletRegistry(bytes32,uint256,address)", StateMutability::View),
    ("187e5818", "getZrKey(bytes32,address,uint256)", StateMutability::View),
    ("a11a572d", "getZrKeys(bytes32,address)", StateMutability::View),
    ("2dc8f855", "getWalletTypeInfo(bytes32)", StateMutability::View),
    ("b3f63094", "isWalletTypeSupported(bytes32)", StateMutability::View),
    ("aa400591", "isChainIdSupported(bytes32,bytes32)", StateMutability::View),
    ("54fd4d50", "version()", StateMutability::View),
    ("5c975abb", "paused()", StateMutability::View),
    ("91d14854", "hasRole(bytes32,address)", StateMutability::View),
    ("248a9ca3", "getRoleAdmin(bytes32)", StateMutability::View),
    ("01ffc9a7", "supportsInterface(bytes4)", StateMutability::View),
    ("eee49c71", "MPC_ROLE()", StateMutability::View),
    ("2a0276f8", "FEE_ROLE()", StateMutability::View),
    ("e63ab1e9", "PAUSER_ROLE()", StateMutability::View),
    ("a217fddf", "DEFAULT_ADMIN_ROLE()", StateMutability::View),
    ("1459dda2", "SRC_CHAIN_ID()", StateMutability::View),
    ("2e6e152b", "SRC_WALLET_TYPE_ID()", StateMutability::View),
    ("47bc77f7", "IS_HASH_MASK()", StateMutability::View),
    ("8e916786", "IS_TX_MASK()", StateMutability::View),
    ("b6e85a75", "IS_SIMPLE_TX_MASK()", StateMutability::View),
    ("bc48c904", "WALLET_REQUESTED()", StateMutability::View),
    ("367bf456", "WALLET_REGISTERED()", StateMutability::View),
    ("d2b92276", "OPTIONS_MONITORING()", StateMutability::View),
    ("5a30349d", "SIG_REQ_IN_PROGRESS()", StateMutability::View),
    ("f0ebb5da", "SIG_REQ_ALREADY_PROCESSED()", StateMutability::View),
];

/// Ours, in every version (docs/adr/0012).
const EXTENSION: &[&str] = &["zrSignData((bytes32,uint256,bytes32,bytes,bool))", "IS_DATA_MASK()"];

/// Signature, topic, how many of the first arguments are indexed.
const EVENTS: &[(&str, &str, usize)] = &[
    (
        "ZrKeyRequest(bytes32,address,uint256,uint8,uint256,uint256)",
        "4ba02e24ed0a9961951991115a4b7c18421f3001c7783f16fe5cef57dc7abe14",
        3,
    ),
    (
        "ZrKeyResolve(bytes32,address,uint256,string)",
        "eadd51a96e8aecd8431bb7c40722e4dc8bb75495298c697420220e7cf59802df",
        3,
    ),
    (
        "ZrSigRequest(uint256,bytes32,uint256,uint256,(bytes32,uint256,bytes32,bytes,address,uint8,bool))",
        "b30ae366d47b8e1a1d9d8f87bd0582a7257c8ce921d8e4f1974db3d9098e935f",
        2,
    ),
    ("ZrSigResolve(uint256,bytes,bytes,bool)", "f542c279cacc7206bbfc134687aa3b2f9ed7437f7d05fca9f92bb699b7ac6323", 1),
    ("ZrSigGasRefund(uint256,uint256)", "8a26358d262e803f14993cb523ffcfca39d01472c66bbff83906211bd81199cf", 0),
    ("MPCFeeUpdate(uint256,uint256)", "0b058e58a91fd7be2a2fd9de8fa8ea62818e6b00649ded8433283d6c8ec905db", 2),
    ("RespGasUpdate(uint256,uint256)", "4300b00f2792b6973906364618d660e899c12bf318031a4c1c799a0ac6096781", 2),
    (
        "RespGasPriceBufferUpdate(uint256,uint256)",
        "723fc45920e8b81b8e3854cad76bb1a7369ed024cfb188a45079592bdef18c8b",
        2,
    ),
    ("MPCFeeWithdraw(address,uint256)", "c36b5830a281828bf8ccf83f6f67fa3893f359320f4c1376be6ce4d049569e30", 2),
    (
        "WalletTypeIdSupport(uint256,uint256,bytes32,bool)",
        "715c485ce29fb2e949df8d2b653d4ded68276cba6d8896d58c208c55e66e8920",
        3,
    ),
    (
        "ChainIdSupport(bytes32,bytes32,string,bool)",
        "191185b1dd8bc542e2693a53b68ccb36e5543fdfee81c0acff1f82bfa7311b6d",
        2,
    ),
    ("RoleGranted(bytes32,address,address)", "2f8788117e7eff1d82e926ec794901d17c78024a50270940304540a733656f0d", 3),
    ("RoleRevoked(bytes32,address,address)", "f6391f5c32d9c69d2a47ea670b442974b53935d1edc7fd64eb21e047a839171b", 3),
    (
        "RoleAdminChanged(bytes32,bytes32,bytes32)",
        "bd79b86ffe0ab8e8776151514217cd7cacd52c909f66475c3af44e129f0b00ff",
        3,
    ),
    ("Paused(address)", "62e78cea01bee320cd4e420270b5ea74000d11b0c9f74754ebdbfc544b05a258", 0),
    ("Unpaused(address)", "5db9ee0a495bf2e6ff9c91a7834c1ba4fdd244a5e8aa4e537bd38aeae4b073aa", 0),
    ("Initialized(uint64)", "c7f505b2f371ae2175ee4913f4499e1f2633a7b5936321eed1cdaeb6115181d2", 0),
];

const ERRORS: &[(&str, &str)] = &[
    ("a458261b", "InsufficientFee(uint256,uint256)"),
    ("887b59d6", "WalletTypeNotSupported(bytes32)"),
    ("1906962f", "WalletTypeAlreadySupported(bytes32)"),
    ("4e588fd3", "ChainIdNotSupported(bytes32,bytes32)"),
    ("b1139ad2", "ChainIdAlreadySupported(bytes32,bytes32)"),
    ("f8b98c9a", "InvalidOptions(uint8)"),
    ("6af0e682", "InvalidWalletIndex(uint256)"),
    ("a80d65f8", "WalletNotRegisteredForMonitoring(uint256)"),
    ("7ef2aa56", "BroadcastNotAllowed()"),
    ("712ef889", "IncorrectWalletIndex(uint256,uint256)"),
    ("0659899e", "WalletNotRequested(string)"),
    ("77176fd1", "WalletAlreadyRegistered(string)"),
    ("83d45247", "RequestNotFoundOrAlreadyProcessed(uint256)"),
    ("480770df", "InvalidSignature(uint8)"),
    ("e2517d3f", "AccessControlUnauthorizedAccount(address,bytes32)"),
    ("6697b232", "AccessControlBadConfirmation()"),
    ("ffa7e4f7", "InvalidAddressLength(uint256,uint256)"),
    ("1e4fbdf7", "OwnableInvalidOwner(address)"),
    ("d93c0665", "EnforcedPause()"),
    ("8dfc202b", "ExpectedPause()"),
    ("3ee5aeb5", "ReentrancyGuardReentrantCall()"),
    ("f92ee8a9", "InvalidInitialization()"),
    ("d7e6bcf8", "NotInitializing()"),
];

/// What the hardened contract has beside all that (docs/adr/0013).
const HARDENED: &[&str] = &[
    "BroadcastMismatch(bool,bool)",
    "EIP712DomainChanged()",
    "InsufficientGas(uint256,uint256)",
    "OptionsMismatch(uint8,uint8)",
    "OwnerMismatch(address,address)",
    "RefundClaimed(address,address,uint256)",
    "RefundHeld(address,uint256)",
    "claimRefund(address)",
    "eip712Domain()",
    "heldRefund(address)",
];

const PROXY_EVENTS: &[(&str, &str, usize)] = &[
    ("Upgraded(address)", "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b", 1),
    ("AdminChanged(address,address)", "7e644d79422f17c01e4894b5f4f588d331ebfa28653d42ae832dc59e38c9798f", 0),
    ("BeaconUpgraded(address)", "1cf3b03a6cf19fa2baba4df148e9dcabedea7f8a5c07840e207e5c089be95d3e", 1),
];

const PROXY_FUNCTIONS: &[(&str, &str, StateMutability)] = &[
    ("f851a440", "admin()", StateMutability::View),
    ("5c60da1b", "implementation()", StateMutability::View),
    ("8f283970", "changeAdmin(address)", StateMutability::NonPayable),
    ("3659cfe6", "upgradeTo(address)", StateMutability::NonPayable),
    ("4f1ef286", "upgradeToAndCall(address,bytes)", StateMutability::Payable),
];

const UPGRADER_FUNCTIONS: &[(&str, &str, StateMutability)] = &[
    ("d55ec697", "upgrade()", StateMutability::NonPayable),
    ("d8f6a8f6", "abortUpgrade()", StateMutability::NonPayable),
    ("ec556889", "proxy()", StateMutability::View),
    ("5c60da1b", "implementation()", StateMutability::View),
    ("2d4efffe", "newProxyAdmin()", StateMutability::View),
];

const CONSUMER_FUNCTIONS: &[(&str, &str, StateMutability)] = &[
    ("25699bac", "ZR_SIGN_ADDRESS()", StateMutability::View),
    ("7a76284c", "requestNewEVMWallet(uint8)", StateMutability::Payable),
    ("43740241", "requestNewBTCWallet(uint8)", StateMutability::Payable),
    ("c6b4a8f7", "getEVMWallets()", StateMutability::View),
    ("32398d50", "getEVMWallet(uint256)", StateMutability::View),
    ("39bfe6ae", "getBTCWallets()", StateMutability::View),
    ("2c8ffa26", "getBTCWallet(uint256)", StateMutability::View),
    ("4d1d8ed7", "EVM_WALLET_TYPE()", StateMutability::View),
    ("3f287181", "BTC_WALLET_TYPE()", StateMutability::View),
];

fn abi(name: &str) -> JsonAbi {
    let path = format!("{}/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(artifact["abi"].clone()).unwrap()
}

/// Everything that the ABI names, by signature.
fn names(abi: &JsonAbi) -> BTreeMap<String, String> {
    let functions = abi.functions().map(|one| (one.signature(), hex::encode(one.selector())));
    let events = abi.events().map(|one| (one.signature(), hex::encode(one.selector())));
    let errors = abi.errors().map(|one| (one.signature(), hex::encode(one.selector())));
    functions.chain(events).chain(errors).collect()
}

fn check_functions(abi: &JsonAbi, table: &[(&str, &str, StateMutability)]) {
    for (selector, signature, mutability) in table {
        let function = abi
            .functions()
            .find(|one| one.signature() == *signature)
            .unwrap_or_else(|| panic!("{signature} is missing"));
        assert_eq!(hex::encode(function.selector()), *selector, "{signature}");
        let free = |kind| matches!(kind, StateMutability::View | StateMutability::Pure);
        let same = function.state_mutability == *mutability || free(function.state_mutability) && free(*mutability);
        assert!(same, "{signature} is {:?}", function.state_mutability);
    }
}

fn check_events(abi: &JsonAbi, table: &[(&str, &str, usize)]) {
    for (signature, topic, indexed) in table {
        let event =
            abi.events().find(|one| one.signature() == *signature).unwrap_or_else(|| panic!("{signature} is missing"));
        assert_eq!(hex::encode(event.selector()), *topic, "{signature}");
        assert!(!event.anonymous, "{signature}");
        let flags: Vec<bool> = event.inputs.iter().map(|input| input.indexed).collect();
        let expected: Vec<bool> = (0..flags.len()).map(|place| place < *indexed).collect();
        assert_eq!(flags, expected, "indexed arguments of {signature}");
    }
}

fn check_version_1(abi: &JsonAbi) {
    check_functions(abi, FUNCTIONS);
    check_events(abi, EVENTS);
    let names = names(abi);
    for (selector, signature) in ERRORS {
        assert_eq!(names.get(*signature).map(String::as_str), Some(*selector), "{signature}");
    }
    assert!(abi.receive.is_none() && abi.fallback.is_none(), "plain ether must be refused");
}

fn beyond_version_1(abi: &JsonAbi) -> Vec<String> {
    let known: Vec<&str> = FUNCTIONS
        .iter()
        .map(|(_, signature, _)| *signature)
        .chain(EVENTS.iter().map(|(signature, ..)| *signature))
        .chain(ERRORS.iter().map(|(_, signature)| *signature))
        .collect();
    names(abi).into_keys().filter(|name| !known.contains(&name.as_str())).collect()
}

#[test]
fn version_1_is_there_and_nothing_beside_it_but_the_extension() {
    let abi = abi("ZrSign");
    check_version_1(&abi);
    let mut extension = EXTENSION.to_vec();
    extension.sort_unstable();
    assert_eq!(beyond_version_1(&abi), extension);
    let data = abi.function("zrSignData").unwrap();
    assert_eq!(hex::encode(data[0].selector()), "052347e6");
    assert_eq!(data[0].state_mutability, StateMutability::Payable);
}

#[test]
fn the_hardened_contract_has_the_same_and_what_it_names() {
    let abi = abi("ZrSignHardened");
    check_version_1(&abi);
    let mut ours: Vec<&str> = EXTENSION.iter().chain(HARDENED).copied().collect();
    ours.sort_unstable();
    assert_eq!(beyond_version_1(&abi), ours);
}

#[test]
fn the_proxy() {
    check_functions(&abi("IZrProxy"), PROXY_FUNCTIONS);
    let proxy = abi("ZrProxy");
    check_events(&proxy, PROXY_EVENTS);
    assert!(proxy.functions.is_empty(), "who is no admin must reach the implementation with any selector");
    assert!(proxy.receive.is_some() && proxy.fallback.is_some());
    let names = names(&proxy);
    assert_eq!(names["AddressEmptyCode(address)"], "9996b315");
    assert_eq!(names["FailedCall()"], "d6bda275");
    let inputs: Vec<&str> = proxy.constructor.iter().flat_map(|one| &one.inputs).map(|one| one.ty.as_str()).collect();
    assert_eq!(inputs, ["address", "address", "bytes"]);
}

#[test]
fn the_upgrade_helper() {
    let abi = abi("ZrSignUpgrader");
    check_functions(&abi, UPGRADER_FUNCTIONS);
    assert_eq!(abi.functions().count(), UPGRADER_FUNCTIONS.len());
}

#[test]
fn the_consumer() {
    let abi = abi("ExampleConsumer");
    check_functions(&abi, CONSUMER_FUNCTIONS);
    assert!(abi.receive.is_some(), "change must be accepted");
    assert!(abi.fallback.is_none(), "a mistyped selector must not look like success");
    let received = abi.events().find(|one| one.signature() == "Received(address,uint256)").unwrap();
    assert_eq!(hex::encode(received.selector()), "88a5966d370b9919b20f3e2c13ff65706f196a4e32cc2c12bf57088f88525874");
}

/// Runtime bytes of version 1, for the table in docs/contracts.md.
const SIZES: &[(&str, &str)] = &[
    ("ZrSign", "15,903"),
    ("ZrSignHardened", "–"),
    ("ZrProxy", "1,893"),
    ("ZrSignUpgrader", "641"),
    ("ExampleConsumer", "–"),
];

#[test]
fn sizes_are_those_of_the_page() {
    let mut table = String::new();
    for (name, theirs) in SIZES {
        let path = format!("{}/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let ours = artifact["runtimeBytes"].as_u64().unwrap();
        assert!(ours < 24_576, "{name} is larger than a chain takes");
        let ours = if ours < 1_000 { ours.to_string() } else { format!("{},{:03}", ours / 1_000, ours % 1_000) };
        writeln!(table, "| `{name}` | {theirs} | {ours} |").unwrap();
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/contracts.md");
    assert!(
        std::fs::read_to_string(page).unwrap().contains(&table),
        "docs/contracts.md has other sizes than:\n{table}"
    );
}
