//! The example consumer through everything that it can ask, and the payloads that it makes.

use alloy_primitives::{Address, B256, Bytes, U256, address, bytes};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use contracts::answer::{KeyAnswer, SignatureAnswer};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::consumer::{ExampleConsumer, LegacyTransaction, ZrSignConnect};
use contracts::names::{BITCOIN_TESTNET, EVM, chain_id};

use crate::world::{
    Ask, MPC_FEE, STRANGER, USER, WALLET_0, World, first_wallet, hash_answer, hello, log, refund, sepolia,
};

const RECIPIENT: Address = address!("3CA69dc0824fF36B545ddB1b5e4bf13B17905421");

fn by(world: &World, from: Address, consumer: Address, call: &impl SolCall) -> Ask {
    world.call(from, call).to(consumer)
}

fn fields(nonce: u64, gas_price: u64, value: u64, data: impl Into<Bytes>) -> LegacyTransaction::Fields {
    LegacyTransaction::Fields {
        nonce: U256::from(nonce),
        gasPrice: U256::from(gas_price),
        gasLimit: U256::from(21_000),
        to: RECIPIENT,
        value: U256::from(value),
        data: data.into(),
    }
}

fn bitcoin() -> B256 {
    chain_id("bip122:000000000933ea01ad0ee984209779ba")
}

#[tokio::test]
async fn keys_hashes_transactions() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let by_user = |call: Vec<u8>| world.ask(USER, call).to(consumer);

    // Keys: of a monitored EVM wallet and a Bitcoin wallet, owned by the consumer.
    for (wallet_type, call, wallet) in [
        (EVM, ExampleConsumer::requestNewEVMWalletCall { options: 2 }.abi_encode(), WALLET_0),
        (
            BITCOIN_TESTNET,
            ExampleConsumer::requestNewBTCWalletCall { options: 2 }.abi_encode(),
            "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx",
        ),
    ] {
        let request: ZrSign::ZrKeyRequest = log(&world.done(by_user(call)).await);
        assert_eq!((request.walletTypeId, request.owner, request.options), (wallet_type, consumer, 2));
        let answer = KeyAnswer { wallet_type, owner: consumer, wallet: wallet.to_owned(), ..first_wallet(2) };
        let receipt = world.done(world.key_response(&answer)).await;
        let order: Vec<B256> = receipt.logs().iter().map(|log| *log.topic0().unwrap()).collect();
        assert_eq!(
            order,
            [
                ZrSign::ZrKeyResolve::SIGNATURE_HASH,
                ExampleConsumer::Received::SIGNATURE_HASH,
                ZrSign::ZrSigGasRefund::SIGNATURE_HASH
            ]
        );
        let received: ExampleConsumer::Received = log(&receipt);
        assert_eq!((received.sender, received.amount), (world.zr_sign, refund(&receipt).1));
    }
    let view = |call: Vec<u8>| world.try_it(world.ask(STRANGER, call).to(consumer));
    let wallet = view(ExampleConsumer::getEVMWalletCall { index: U256::ZERO }.abi_encode()).await.unwrap();
    assert_eq!(ExampleConsumer::getEVMWalletCall::abi_decode_returns(&wallet).unwrap(), WALLET_0);
    let wallets = view(ExampleConsumer::getBTCWalletsCall {}.abi_encode()).await.unwrap();
    assert_eq!(ExampleConsumer::getBTCWalletsCall::abi_decode_returns(&wallets).unwrap().len(), 1);

    // Hashes for both types, data, a transaction, a simple transaction.
    let hash = |wallet_type, destination| {
        ExampleConsumer::askHashCall {
            walletTypeId: wallet_type,
            walletIndex: U256::ZERO,
            dstChainId: destination,
            hash: hello(),
        }
        .abi_encode()
    };
    let simple = ExampleConsumer::askSimpleTransactionCall {
        walletIndex: U256::ZERO,
        dstChainId: sepolia(),
        fields: ZrSignConnect::SimpleTx {
            to: "0x3CA69dc0824fF36B545ddB1b5e4bf13B17905421".to_owned(),
            value: U256::from(1_000_000_000_000_000_u64),
            data: Bytes::new(),
        },
        broadcast: true,
    };
    let transaction = ask_transaction(fields(0, 2_000_000_000, 10_000_000_000_000_000, Bytes::new()));
    let data = ExampleConsumer::askDataCall {
        walletTypeId: EVM,
        walletIndex: U256::ZERO,
        dstChainId: sepolia(),
        data: bytes!("010203"),
    };
    let asked: [(Vec<u8>, u8, Bytes); 5] = [
        (hash(EVM, sepolia()), 0, hello().into()),
        (hash(BITCOIN_TESTNET, bitcoin()), 0, hello().into()),
        (
            transaction.abi_encode(),
            1,
            bytes!("ea808477359400825208943ca69dc0824ff36b545ddb1b5e4bf13b17905421872386f26fc1000080808080"),
        ),
        (
            simple.abi_encode(),
            2,
            bytes!(
                "4dbda8d6000000000000000000000000000000000000000000000000000000000000006000000000000000000000000000000000000000000000000000038d7ea4c6800000000000000000000000000000000000000000000000000000000000000000c0000000000000000000000000000000000000000000000000000000000000002a307833434136396463303832346646333642353435646442316235653462663133423137393035343231000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
            ),
        ),
        (data.abi_encode(), 3, bytes!("010203")),
    ];
    for (trace, (call, kind, payload)) in asked.into_iter().enumerate() {
        let before = world.balance(consumer).await;
        let receipt = world.done(world.ask(USER, call).to(consumer)).await;
        let request: ZrSign::ZrSigRequest = log(&receipt);
        assert_eq!((request.traceId, request.params.zrSignReqType), (U256::from(trace), kind));
        assert_eq!((request.params.owner, request.params.payload), (consumer, payload));
        assert_eq!(request.value, before - world.balance(consumer).await, "out of its own balance, to the wei");
        assert_eq!(request.mpcFee, U256::from(2 * MPC_FEE));
        let answer = SignatureAnswer {
            trace: request.traceId,
            owner: consumer,
            broadcast: request.params.broadcast,
            ..hash_answer(0)
        };
        let receipt = world.done(world.signature_response(&answer)).await;
        log::<ExampleConsumer::Received>(&receipt);
    }
}

fn ask_transaction(fields: LegacyTransaction::Fields) -> ExampleConsumer::askTransactionCall {
    ExampleConsumer::askTransactionCall { walletIndex: U256::ZERO, dstChainId: sepolia(), fields, broadcast: true }
}

/// Payloads are encoded as any other encoder does, whatever their length; the public mistake is not possible.
#[tokio::test]
async fn payloads_are_nine_items() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    world.done(by(&world, USER, consumer, &ExampleConsumer::requestNewEVMWalletCall { options: 1 })).await;
    world.done(world.key_response(&KeyAnswer { owner: consumer, ..first_wallet(1) })).await;
    let mut lengths: Vec<Vec<u8>> = [0, 2, 40, 55, 56, 57, 255, 256, 300].map(|length| vec![0xab; length]).into();
    lengths.extend([vec![0x00], vec![0x7f], vec![0x80]]);
    for data in lengths {
        let fields = fields(7, 1_000_000_000, 1, data.clone());
        let request: ZrSign::ZrSigRequest =
            log(&world.done(by(&world, USER, consumer, &ask_transaction(fields))).await);
        assert_eq!(request.params.payload, encoded(&data), "{} bytes", data.len());
        if data.is_empty() {
            assert_eq!(
                request.params.payload,
                bytes!("e307843b9aca00825208943ca69dc0824ff36b545ddb1b5e4bf13b179054210180808080")
            );
        }
    }
}

fn encoded(data: &[u8]) -> Bytes {
    let mut items = Vec::new();
    let out: &mut dyn alloy_rlp::BufMut = &mut items;
    for number in [7_u64, 1_000_000_000, 21_000] {
        alloy_rlp::Encodable::encode(&number, out);
    }
    alloy_rlp::Encodable::encode(&RECIPIENT, out);
    alloy_rlp::Encodable::encode(&1_u64, out);
    alloy_rlp::Encodable::encode(data, out);
    items.extend([0x80; 3]);
    let mut list = Vec::new();
    alloy_rlp::Header { list: true, payload_length: items.len() }.encode(&mut list);
    list.extend(items);
    list.into()
}

/// Its balance is spent by its operator and nobody else; a selector that it does not have is an error.
#[tokio::test]
async fn only_its_operator_spends_its_balance() {
    let world = World::new().await;
    let consumer = world.consumer().await;
    let refused = ExampleConsumer::NotOperator { caller: STRANGER }.abi_encode();
    for call in [
        ExampleConsumer::requestNewEVMWalletCall { options: 1 }.abi_encode(),
        ExampleConsumer::requestNewBTCWalletCall { options: 1 }.abi_encode(),
        ExampleConsumer::askDataCall {
            walletTypeId: EVM,
            walletIndex: U256::ZERO,
            dstChainId: sepolia(),
            data: Bytes::new(),
        }
        .abi_encode(),
        ask_transaction(fields(0, 0, 0, Bytes::new())).abi_encode(),
        ExampleConsumer::withdrawCall { to: STRANGER }.abi_encode(),
    ] {
        world.refused(world.ask(STRANGER, call).to(consumer), refused.clone()).await;
    }
    world.refused(world.ask(USER, vec![1, 2, 3, 4]).to(consumer), []).await;

    let before = world.balance(STRANGER).await;
    world.done(by(&world, USER, consumer, &ExampleConsumer::withdrawCall { to: STRANGER })).await;
    assert_eq!(world.balance(STRANGER).await, before + U256::from(10_u64.pow(19)));
    assert_eq!(world.balance(consumer).await, U256::ZERO);
    let poor = by(&world, USER, consumer, &ExampleConsumer::requestNewEVMWalletCall { options: 1 });
    world.refused(poor, []).await;
}
