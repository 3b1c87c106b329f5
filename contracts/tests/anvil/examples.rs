//! Worked examples of version 1, byte for byte. They were observed on contracts that are not ours.

use alloy_primitives::{Address, B256, Bytes, U256, address, b256, bytes, keccak256};
use alloy_sol_types::{SolCall, SolError, SolEvent, sol};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::{IZrSign, ZrSign};
use contracts::names::{BITCOIN_TESTNET, EVM, MPC_ROLE, chain_id, wallet_id};

use crate::node::CHAIN;
use crate::world::{
    MPC_FEE, RESP_GAS, TOTAL, USER, WALLET_0, WALLET_1, World, address_of, controller, decode, first_wallet,
    hash_answer, hello, hex, key, log, panic, sign, sign_params, total,
};

const PROXY: Address = address!("9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");

sol! {
    /// The call that never happens: its data is the payload of a simple transaction.
    function transaction(string to, uint256 value, bytes data);
}

struct Legacy {
    nonce: u64,
    gas_price: u64,
    gas: u64,
    value: u64,
}

impl Legacy {
    /// Nine items: the last three are given.
    fn rlp(&self, last: [U256; 3]) -> Vec<u8> {
        let mut items = Vec::new();
        let out: &mut dyn alloy_rlp::BufMut = &mut items;
        for number in [self.nonce, self.gas_price, self.gas] {
            alloy_rlp::Encodable::encode(&number, out);
        }
        alloy_rlp::Encodable::encode(&RECIPIENT, out);
        alloy_rlp::Encodable::encode(&self.value, out);
        alloy_rlp::Encodable::encode(&Bytes::new(), out);
        for number in last {
            alloy_rlp::Encodable::encode(&number, out);
        }
        let mut list = Vec::new();
        alloy_rlp::Header { list: true, payload_length: items.len() }.encode(&mut list);
        list.extend(items);
        list
    }

    fn payload(&self) -> Vec<u8> {
        self.rlp([U256::ZERO; 3])
    }

    fn to_sign(&self, chain: u64) -> B256 {
        keccak256(self.rlp([U256::from(chain), U256::ZERO, U256::ZERO]))
    }
}

const TRANSACTION: Legacy = Legacy { nonce: 0, gas_price: 2_000_000_000, gas: 21_000, value: 10_000_000_000_000_000 };
const COMPLETED: Legacy = Legacy { nonce: 0, gas_price: 2_000_000_000, gas: 21_000, value: 1_000_000_000_000_000 };

fn development() -> B256 {
    chain_id("eip155:31337")
}

#[track_caller]
fn same(got: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
    assert_eq!(hex(got.as_ref()), hex(expected.as_ref()));
}

fn authorised(preimage: &[u8], digest: B256, inner: B256, expected_digest: B256, authorisation: Bytes) {
    same(keccak256(preimage), inner);
    same(digest, expected_digest);
    same(sign(&controller(), digest), authorisation);
}

#[test]
fn the_keys_of_the_examples() {
    same(address_of(&controller()), address!("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"));
    assert_eq!(address_of(&key(0x22)).to_checksum(None), WALLET_0);
    assert_eq!(address_of(&key(0x33)).to_checksum(None), WALLET_1);
}

#[tokio::test]
async fn example_1_a_key_request() {
    let world = World::new().await;
    assert_eq!(world.zr_sign, PROXY);
    let ask = world.key_request(EVM, 1);
    assert_eq!(ask.value, U256::from(740_000_000_000_000_u64));
    same(
        &ask.data,
        bytes!(
            "60a4899500000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a65e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000001"
        ),
    );
    let receipt = world.done(ask).await;
    let [log] = receipt.logs() else { panic!("{:?}", receipt.logs()) };
    assert_eq!(log.address(), PROXY);
    assert_eq!(
        log.topics(),
        [b256!("4ba02e24ed0a9961951991115a4b7c18421f3001c7783f16fe5cef57dc7abe14"), EVM, USER.into_word(), B256::ZERO]
    );
    let mut data = Vec::new();
    for word in [1, 0x2_a106_ad22_4000_u64, 0x1_c6bf_5263_4000] {
        data.extend(U256::from(word).to_be_bytes::<32>());
    }
    same(&log.data().data, data);
    let id = wallet_id(CHAIN, PROXY, EVM, USER, U256::ZERO);
    same(id, b256!("0969f340829ada2b3b19244a1f10af1e0fbb0776297b2d5fc49d817a3d5745c0"));
}

#[tokio::test]
async fn example_2_a_key_response() {
    let world = World::new().await;
    let answer = first_wallet(1);
    same(
        answer.preimage(),
        bytes!(
            "afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a00000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a65000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c00000000000000000000000000000000000000000000000000000000000000001000000000000000000000000000000000000000000000000000000000000002a30783135363339313565313934443843664241313934333537303630334637363036413331313535303800000000000000000000000000000000000000000000"
        ),
    );
    authorised(
        &answer.preimage(),
        answer.digest(),
        b256!("46210592c2c8402c84a6b43b680a51691bb8accf2850d55d2ed3c75d20b0ed66"),
        b256!("a1a3c9177103c169af6143889aa695dd524e7405f5fd41ef17060139ba0dd8b2"),
        bytes!(
            "a8c508a8868fa018c886ddd4f1006af139e0584b971d2de3eb3f3842d30f429e7d443257bac5d408b6c257fea61199309981e12fa44f5b10b023512c85dda0a21c"
        ),
    );
    let ask = world.key_response(&answer);
    same(
        &ask.data,
        bytes!(
            "318522730000000000000000000000000000000000000000000000000000000000000020e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a00000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a65000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000000000120000000000000000000000000000000000000000000000000000000000000002a307831353633393135653139344438436642413139343335373036303346373630364133313135353038000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000041a8c508a8868fa018c886ddd4f1006af139e0584b971d2de3eb3f3842d30f429e7d443257bac5d408b6c257fea61199309981e12fa44f5b10b023512c85dda0a21c00000000000000000000000000000000000000000000000000000000000000"
        ),
    );
    world.done(world.key_request(EVM, 1)).await;
    let receipt = world.done(ask).await;
    let resolved: ZrSign::ZrKeyResolve = log(&receipt);
    assert_eq!((resolved.walletTypeId, resolved.owner, resolved.walletIndex), (EVM, USER, U256::ZERO));
    assert_eq!(resolved.addr, WALLET_0);
    let kept = world.read(ZrSign::getZrKeyCall { walletTypeId: EVM, owner: USER, index: U256::ZERO }).await;
    assert_eq!(kept, WALLET_0);
}

#[tokio::test]
async fn example_3_a_hash() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let message = "hello zrsign";
    same(alloy_primitives::eip191_hash_message(message), hello());

    let ask = world.hash_request();
    same(
        &ask.data,
        bytes!(
            "15c393910000000000000000000000000000000000000000000000000000000000000020e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000000afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb700000000000000000000000000000000000000000000000000000000000000a0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000202a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0"
        ),
    );
    let receipt = world.done(ask).await;
    let [entry] = receipt.logs() else { panic!("{:?}", receipt.logs()) };
    assert_eq!(
        entry.topics(),
        [ZrSign::ZrSigRequest::SIGNATURE_HASH, B256::ZERO, wallet_id(CHAIN, PROXY, EVM, USER, U256::ZERO)]
    );
    same(
        &entry.data().data,
        bytes!(
            "0000000000000000000000000000000000000000000000000002a106ad2240000000000000000000000000000000000000000000000000000001c6bf526340000000000000000000000000000000000000000000000000000000000000000060e146c2986893c43af5ff396310220be92058fb9f4ce76b929b80ef0d5307100a0000000000000000000000000000000000000000000000000000000000000000afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb700000000000000000000000000000000000000000000000000000000000000e000000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a650000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000202a5ffcee4cfc2c8b0c9d75c6e05905426b630697f901d2af8bdb69d148b4cbd0"
        ),
    );

    let answer = hash_answer(0);
    same(
        &answer.signature,
        bytes!(
            "1d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b"
        ),
    );
    same(
        answer.preimage(),
        bytes!(
            "afa90c317deacd3d68f330a30f96e4fa7736e35e8d1426b2e1b2c04bce1c2fb7000000000000000000000000000000000000000000000000000000000000000000000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a6500000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000000e00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000411d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b00000000000000000000000000000000000000000000000000000000000000"
        ),
    );
    authorised(
        &answer.preimage(),
        answer.digest(),
        b256!("6e483b4fb862212fa5e33e002823c52b25c47d6454348ae5a240b914c43fd4c9"),
        b256!("27f57c96caf2d455804489d7af0dd8bee35116492796fd8ad158f0c00069bf01"),
        bytes!(
            "8820470640484174d8c84806f28f05e0f781690b38294d8b5444c84965ebe3827cd82611b9f1a85f8781307ca4a0513ac1a1abf68b5b161155ec1e91822cafa91c"
        ),
    );
    let ask = world.signature_response(&answer);
    same(
        &ask.data,
        bytes!(
            "050a57840000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000015d34aaf54267db7d7c367839aaf71a00a2c6a6500000000000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000000000000e000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000160000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000411d995ee631859dcbab94768c06711912f6c3e676b042a386652a6b878d566cbe1744c7ceead20a215ec76fdeaae13e528b67cbb3d0a8931e71b83d349349f9951b0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000418820470640484174d8c84806f28f05e0f781690b38294d8b5444c84965ebe3827cd82611b9f1a85f8781307ca4a0513ac1a1abf68b5b161155ec1e91822cafa91c00000000000000000000000000000000000000000000000000000000000000"
        ),
    );
    let receipt = world.done(ask).await;
    let resolved: ZrSign::ZrSigResolve = log(&receipt);
    assert_eq!(resolved.traceId, U256::ZERO);
    assert_eq!(resolved.signature, answer.signature);
    assert!(resolved.metaData.is_empty() && !resolved.broadcast);
}

#[tokio::test]
async fn example_4_a_monitored_key_and_a_bitcoin_key() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let second = KeyAnswer { index: U256::from(1), wallet: WALLET_1.to_owned(), ..first_wallet(2) };
    authorised(
        &second.preimage(),
        second.digest(),
        b256!("965f58b9db815cb0e06911787c141f211eaacebcdc6cb7b8b3ba69da94b48461"),
        b256!("c52894abc272cd8aac33037020907fe31065fba2f6f6392915db60f2e0bf7291"),
        bytes!(
            "ff5bfc914e7f95c56a409e5a545d714c9b92ebad9cfb3ab210f00add743c8ed52bd4e7bd506617057a6c9ffe0f68e7c2463c148d14a372107d9c544c1d7595881b"
        ),
    );
    let bitcoin = KeyAnswer {
        wallet_type: BITCOIN_TESTNET,
        wallet: "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx".to_owned(),
        ..first_wallet(2)
    };
    authorised(
        &bitcoin.preimage(),
        bitcoin.digest(),
        b256!("a69e9b380293f12fe8c219359cd23ef1041ad21fc370907dabf2b662cf3a919b"),
        b256!("6d9b7cf36b32d9d7ab5800d089b41c38fe866a44c773b08da63ab962d15772f3"),
        bytes!(
            "0dc5d4788aca11e57b269838fdeaaf92a80705b8047deb4994b23e453c442a6c63189a54ff207e006043138b3b74c67d8a9c5335507f93f948a38a05a6eb457f1c"
        ),
    );
    for answer in [second, bitcoin] {
        world.done(world.key_request(answer.wallet_type, 2)).await;
        world.done(world.key_response(&answer)).await;
    }
    let keys = world.read(ZrSign::getZrKeysCall { walletTypeId: EVM, owner: USER }).await;
    assert_eq!(keys, [WALLET_0, WALLET_1]);
    let keys = world.read(ZrSign::getZrKeysCall { walletTypeId: BITCOIN_TESTNET, owner: USER }).await;
    assert_eq!(keys, ["tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"]);
}

/// A response that the original deployment published: 65 bytes, recovery byte 1, the payload as meta data.
#[tokio::test]
async fn example_5_a_real_response() {
    let payload = b256!("1b868819fb61ddbecbc4f8d955eca70154bd2d1afd5f456c83debf2d23df9202");
    same(alloy_primitives::eip191_hash_message("hello-world"), payload);
    let signature = bytes!(
        "cf2efa1a88af34ceed3adb46cb8f45faccad250254cfe0c80764acba56bec48f15fa482ff080b28def8caf70309f2c7de3ea2f3b84a0089eefa2ceb9ba897c2e01"
    );
    let parsed = alloy_primitives::Signature::from_raw(&signature).unwrap();
    same(parsed.recover_address_from_prehash(&payload).unwrap(), address!("7B0FD21C486CE3bA5C8190e8d1206Ba9fB46D3f7"));

    // Bytes like these pass through our contract unchanged.
    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    let answer = SignatureAnswer { meta_data: payload.into(), signature, ..hash_answer(0) };
    let receipt = world.done(world.signature_response(&answer)).await;
    let resolved: ZrSign::ZrSigResolve = log(&receipt);
    assert_eq!((resolved.metaData, resolved.signature), (answer.meta_data, answer.signature));
}

#[tokio::test]
async fn example_6_a_transaction() {
    let payload = TRANSACTION.payload();
    same(&payload, bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080"));
    let digest = TRANSACTION.to_sign(CHAIN);
    same(digest, b256!("27887d3c8efd90e71ac5382e22e834716097ec3304dc7b72d0a99d4ba6bd8f0d"));
    same(keccak256(&payload), b256!("27f81f79216cd020522a9b8cfb701018174d3ca7fed7c5855ab038388521c97f"));
    let signature = sign(&key(0x22), digest);
    same(
        &signature,
        bytes!(
            "8a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf411b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d6261c"
        ),
    );

    let world = World::new().await;
    world.with_wallet(1).await;
    world.done(world.hash_request()).await;
    let params = IZrSign::ZrSignParams {
        walletTypeId: EVM,
        walletIndex: U256::ZERO,
        dstChainId: development(),
        payload: payload.into(),
        broadcast: true,
    };
    let receipt = world.done(world.call(USER, &ZrSign::zrSignTxCall { params }).value(TOTAL)).await;
    let request: ZrSign::ZrSigRequest = log(&receipt);
    assert_eq!((request.traceId, request.params.zrSignReqType), (U256::from(1), 1));
    assert!(request.params.broadcast);

    let answer = SignatureAnswer {
        trace: U256::from(1),
        owner: USER,
        meta_data: Bytes::new(),
        signature: signature.clone(),
        broadcast: true,
    };
    authorised(
        &answer.preimage(),
        answer.digest(),
        b256!("9d0e7a0eafbe88286d8e7f45ecbf3c7a2508266adf96b4f455610307cf0630cd"),
        b256!("0337050e9d9c00b362e831730a8dc36578be32d10bc41efb4ea62e6a4660334a"),
        bytes!(
            "570010c609c7e9205c1bfdf0488a66b37546ec5cf82b51281fbe4920f84ebde87f0bc0ec0109f003783671255ba213a46f1d4010386a631454f121482bbd7c531c"
        ),
    );
    let receipt = world.done(world.signature_response(&answer)).await;
    let resolved: ZrSign::ZrSigResolve = log(&receipt);
    assert!(resolved.broadcast);

    // What a relayer makes of it is a transaction that the node takes.
    let y = U256::from(signature[64] - 27);
    let v = U256::from(CHAIN * 2 + 35) + y;
    let raw = TRANSACTION.rlp([v, U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64])]);
    same(
        &raw,
        bytes!(
            "f86c808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc100008082f4f6a08a439c6a2aa4607f40607f103ce53b1cf6417d6924cea85143b22522f348faf4a011b0a59fb351d3c072d9464ae3a1bbd24ba636e062d79f41a4d6ad129b21d626"
        ),
    );
    world.fund(address_of(&key(0x22))).await;
    let receipt = world.raw(&raw).await;
    same(receipt.transaction_hash, b256!("83ca7be8f20ba4949fa10375454e2337bd27d255dbdb17b6f4e784b62b56e373"));
    assert!(receipt.status());
    assert_eq!(receipt.from, address_of(&key(0x22)));
}

#[tokio::test]
async fn example_7_a_simple_transaction() {
    let payload = transactionCall {
        to: "0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421".to_owned(),
        value: U256::from(1_000_000_000_000_000_u64),
        data: Bytes::new(),
    }
    .abi_encode();
    same(
        &payload,
        bytes!(
            "4dbda8d6000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000000000000000038d7ea4c6800000000000000000000000000000000000000000000000000000000000000000c0000000000000000000000000000000000000000000000000000000000000002a307833434136396463303832346646333642353435646442316235653462663133423137393035343231000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
        ),
    );
    let unsigned = COMPLETED.payload();
    same(&unsigned, bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542187038d7ea4c6800080808080"));
    let digest = COMPLETED.to_sign(CHAIN);
    same(digest, b256!("e9b53f81324997bc3f831371293a26646b3ce950c73fd839490c11fa784dcc8e"));
    let signature = sign(&key(0x33), digest);
    same(
        &signature,
        bytes!(
            "4c991632a7a88b028d942596c8361ef034bb895793ef213ac2a657ab331d3cab3bfdf0c0c1f521bcaaacd181b901ad880677481f1c2d5d0b60175e1eb4e42e291b"
        ),
    );
    let answer =
        SignatureAnswer { trace: U256::from(2), owner: USER, meta_data: unsigned.into(), signature, broadcast: true };
    authorised(
        &answer.preimage(),
        answer.digest(),
        b256!("fd72d238297117f98cfb55c5c1a80d81432ba34cb7b72bb3eb2c5dd2b24f6586"),
        b256!("8d061d4794a054226b493fa8eb3842d86480e64c6d82d307bd1e0694569fc129"),
        bytes!(
            "3b7754487c86861f0afe67dfd93f4606cf7e80bc8d7697a2ae060beeb1882d60406a893adef7807e08174829a89d34e6683907380a6efa0fce1297928c71c8bf1c"
        ),
    );

    let world = World::new().await;
    world.with_wallet(2).await;
    for _ in 0..2 {
        world.done(world.hash_request().value(total(2))).await;
    }
    let params = IZrSign::ZrSignParams {
        walletTypeId: EVM,
        walletIndex: U256::ZERO,
        dstChainId: development(),
        payload: payload.into(),
        broadcast: true,
    };
    let receipt = world.done(world.call(USER, &ZrSign::zrSignSimpleTxCall { params }).value(total(2))).await;
    let request: ZrSign::ZrSigRequest = log(&receipt);
    assert_eq!((request.traceId, request.params.zrSignReqType), (U256::from(2), 2));
    let receipt = world.done(world.signature_response(&answer)).await;
    let resolved: ZrSign::ZrSigResolve = log(&receipt);
    assert_eq!(resolved.metaData, answer.meta_data);
}

/// The contract takes any payload, malformed ones too: it is the keyring that must look.
#[tokio::test]
async fn example_8_malformed_payloads_are_recorded_as_they_are() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let eight = bytes!("e207843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b1790542101808080");
    for (trace, payload) in [eight, Bytes::new(), bytes!("00")].into_iter().enumerate() {
        for (kind, call) in [
            (1, ZrSign::zrSignTxCall { params: sign_params(&payload, false) }.abi_encode()),
            (0, ZrSign::zrSignHashCall { params: sign_params(&payload, false) }.abi_encode()),
        ] {
            let receipt = world.done(world.ask(USER, call).value(TOTAL)).await;
            let request: ZrSign::ZrSigRequest = log(&receipt);
            assert_eq!(request.traceId, U256::from(2 * trace + usize::from(kind == 0)));
            assert_eq!((request.params.payload, request.params.zrSignReqType), (payload.clone(), kind));
        }
    }
}

#[tokio::test]
async fn example_9_refused_authorisations() {
    let world = World::new().await;
    world.done(world.key_request(EVM, 1)).await;
    let answer = first_wallet(1);
    let good = sign(&controller(), answer.digest());
    let with = |authorisation: Vec<u8>| world.key_response_signed(&answer, authorisation.into());
    let invalid = |reason: u8| {
        let mut expected = hex_bytes("480770df");
        expected.extend(U256::from(reason).to_be_bytes::<32>());
        expected
    };

    for v in [0, 1, 26, 29] {
        let mut bytes = good.to_vec();
        bytes[64] = v;
        world.refused(with(bytes), invalid(1)).await;
    }
    world.refused(with(good[..64].to_vec()), invalid(2)).await;
    world.refused(with([&good[..], &[0]].concat()), invalid(2)).await;
    world.refused(with(Vec::new()), invalid(2)).await;
    world.refused(with(high_s(&good)), invalid(3)).await;

    let mut expected = hex_bytes("e2517d3f0000000000000000000000001563915e194d8cfba1943570603f7606a3115508");
    expected.extend(MPC_ROLE);
    world.refused(with(sign(&key(0x22), answer.digest()).to_vec()), expected).await;

    // A wrong digest ends with a signer that nobody knows.
    let got = world.try_it(with(sign(&controller(), keccak256(answer.preimage())).to_vec())).await.unwrap_err();
    let stranger = ZrSign::AccessControlUnauthorizedAccount::abi_decode(&got).unwrap();
    assert_ne!(stranger.account, address_of(&controller()));
    assert_eq!(stranger.neededRole, MPC_ROLE);

    world.done(world.key_response(&answer)).await;
    let mut expected = hex_bytes("712ef889");
    expected.extend(U256::from(1).to_be_bytes::<32>());
    expected.extend(U256::ZERO.to_be_bytes::<32>());
    world.refused(world.key_response(&answer), expected).await;

    let mut expected = hex_bytes("83d45247");
    expected.extend(U256::from(77).to_be_bytes::<32>());
    world.refused(world.signature_response(&hash_answer(77)), expected).await;

    world.done(world.hash_request()).await;
    let far = world.signature_response(&hash_answer(0)).gas(1_000_000);
    world.refused(far, panic(0x11)).await;
    world.done(world.signature_response(&hash_answer(0)).gas(RESP_GAS)).await;
}

fn high_s(signature: &[u8]) -> Vec<u8> {
    let order = U256::from_be_slice(&hex_bytes("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let s = order - U256::from_be_slice(&signature[32..64]);
    let mut bytes = signature.to_vec();
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] = 27 + 28 - bytes[64];
    bytes
}

fn hex_bytes(text: &str) -> Vec<u8> {
    alloy_primitives::hex::decode(text).unwrap()
}

#[tokio::test]
async fn example_10_fees() {
    let world = World::new().await;
    for (options, value, expected) in [
        (1, 0, (500_000_000_000_000, 240_000_000_000_000, 740_000_000_000_000)),
        (2, 0, (1_000_000_000_000_000, 240_000_000_000_000, 1_240_000_000_000_000)),
        (1, 1_000_000_000_000_000, (500_000_000_000_000, 500_000_000_000_000, 1_000_000_000_000_000)),
        (255, 0, (127_500_000_000_000_000, 240_000_000_000_000, 127_740_000_000_000_000)),
    ] {
        assert_eq!(fee(&world, options, value).await, expected, "{options} {value}");
    }
    let refused = world.try_it(world.call(USER, &estimate(0, 0))).await.unwrap_err();
    same(refused, ZrSign::InvalidOptions { options: 0 }.abi_encode());

    let short = world.key_request(EVM, 1).value(TOTAL - 1);
    let expected = ZrSign::InsufficientFee { requiredFee: U256::from(TOTAL), providedFee: U256::from(TOTAL - 1) };
    same(&expected.abi_encode()[..4], hex_bytes("a458261b"));
    world.refused(short, expected.abi_encode()).await;

    // Two requests before the answer: one slot, its options and its fee, and all the money.
    world.done(world.key_request(EVM, 1)).await;
    let receipt = world.done(world.key_request(EVM, 2)).await;
    let second: ZrSign::ZrKeyRequest = decode(&receipt.logs()[0]);
    assert_eq!((second.walletIndex, second.options), (U256::ZERO, 2));
    let registry = world.registry(EVM, 0, USER).await;
    assert_eq!((registry.status, registry.options, registry.value), (1, 1, U256::from(1_480_000_000_000_000_u64)));
    assert_eq!(world.read(ZrSign::getColletedFeesCall {}).await, U256::from(MPC_FEE));

    // Without a base fee the answer has no budget.
    let free = world.call(USER, &estimate(1, 0)).price(0);
    let bytes = world.try_at(free, 0).await.unwrap();
    let free = ZrSign::estimateFee_0Call::abi_decode_returns(&bytes).unwrap();
    assert_eq!((free.mpc, free.netResp, free.total), (U256::from(MPC_FEE), U256::ZERO, U256::from(MPC_FEE)));
}

fn estimate(options: u8, value: u64) -> ZrSign::estimateFee_0Call {
    ZrSign::estimateFee_0Call { options, value: U256::from(value) }
}

async fn fee(world: &World, options: u8, value: u64) -> (u64, u64, u64) {
    let fee = world.read(estimate(options, value)).await;
    (fee.mpc.to(), fee.netResp.to(), fee.total.to())
}
