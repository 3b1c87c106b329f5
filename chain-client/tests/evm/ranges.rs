//! Final ranges of a real chain: every request once, under the code that ran, across upgrades and reorganisations.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_provider::Provider as _;
use alloy_sol_types::SolCall as _;
use chain_client::zrsign::event::{Event, SignatureKind};
use chain_client::zrsign::evm::{Code, EvmChain, EvmError, EvmSettings, Finality};
use chain_client::zrsign::name::{LogPlace, Slot, TraceName, WalletKind};
use contracts::bindings::compatible::ZrSign;
use contracts::bindings::consumer::ExampleConsumer;
use contracts::bindings::proxy::IZrProxy;
use contracts::names::EVM;

use crate::bench::{AT_ONCE, address_of, all, events, honest, now, proxy, quick};
use crate::node::CHAIN;
use crate::world::{ADMIN, IMPLEMENTATION_SLOT, PROXY_ADMIN, USER, WALLET_0, World, hello, sepolia};

/// The code behind the proxy now, as the test sees it.
async fn code(world: &World) -> Code {
    let implementation = Address::from_word(world.storage(world.zr_sign, IMPLEMENTATION_SLOT.into()).await);
    Code { implementation, code_hash: keccak256(world.provider.get_code_at(implementation).await.unwrap()) }
}

async fn upgrade(world: &World, to: Address) {
    let call = IZrProxy::upgradeToCall { newImplementation: to };
    world.done(world.call(PROXY_ADMIN, &call)).await;
}

fn wallet(world: &World, owner: Address) -> Slot {
    Slot { proxy: proxy(world), kind: WalletKind::Evm, owner, index: U256::ZERO }
}

#[tokio::test]
async fn what_users_and_contracts_ask_is_read_back() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let start = chain.mark(world.zr_sign, 0).await.unwrap();
    assert_eq!(start.next_trace, U256::ZERO, "before there is a contract");

    let asked = world.done(world.key_request(EVM, 1)).await;
    world.done(world.key_response(&crate::world::first_wallet(1))).await;
    let signed = world.done(world.hash_request()).await;
    let consumer = world.consumer().await;
    let by_consumer = ExampleConsumer::requestNewEVMWalletCall { options: 2 }.abi_encode();
    world.done(world.ask(USER, by_consumer).to(consumer)).await;

    let (spans, mark) = all(&chain, world.zr_sign, start).await;
    let head = chain.tips().await.unwrap().head;
    assert_eq!((mark.height, mark.hash, mark.next_trace), (head.height, head.hash, U256::ONE));
    let with_logs: Vec<_> = spans.iter().filter(|span| !span.logs.is_empty()).collect();
    assert!(with_logs.iter().all(|span| span.code.is_some()));
    assert_eq!(with_logs[0].code, Some(code(&world).await), "from its first log on");
    assert_eq!(spans[0].code, None, "before there is a contract");

    let said = events(&world, &spans);
    assert!(matches!(said[0], Event::Upgraded(to) if to == code(&world).await.implementation));
    let destinations: Vec<&str> = said
        .iter()
        .filter_map(|event| match event {
            Event::Destination { caip, id, supported: true } if *id == keccak256(caip) => Some(caip.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(destinations, ["eip155:11155111", "eip155:31337", "bip122:000000000933ea01ad0ee984209779ba"]);

    // Places are those of the receipts, though the logs were read by block.
    let place = |receipt: &alloy_rpc_types_eth::TransactionReceipt| LogPlace {
        height: receipt.block_number.unwrap(),
        block: receipt.block_hash.unwrap(),
        index: receipt.logs()[0].log_index.unwrap(),
    };
    let keys: Vec<_> =
        said.iter().filter_map(|event| if let Event::Key(key) = event { Some(key) } else { None }).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!((keys[0].slot, keys[0].at), (wallet(&world, USER), place(&asked)));
    assert_eq!(keys[1].slot, wallet(&world, consumer));
    assert!(said.contains(&Event::KeyResolved(wallet(&world, USER), WALLET_0.to_owned())));
    let signatures: Vec<_> =
        said.iter().filter_map(|event| if let Event::Signature(one) = event { Some(one) } else { None }).collect();
    let [one] = signatures.as_slice() else { panic!("{signatures:?}") };
    assert_eq!(one.name, TraceName { proxy: proxy(&world), trace: U256::ZERO, at: place(&signed) });
    assert_eq!((one.wallet, one.kind, one.broadcast), (wallet(&world, USER), SignatureKind::Hash, false));
    assert_eq!((one.payload.as_ref(), one.destination), (hello().as_slice(), sepolia()));

    assert_eq!(chain.range(world.zr_sign, mark).await.unwrap(), None, "nothing is read twice");
    let again = all(&honest(&world, AT_ONCE), world.zr_sign, start).await;
    assert_eq!(again, (spans, mark), "whoever reads, reads the same");
}

/// Small ranges end elsewhere and hold the same logs.
#[tokio::test]
async fn bounds_cut_ranges_and_lose_nothing() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let _ = [world.done(world.hash_request()).await, world.done(world.hash_request()).await];
    let whole = honest(&world, AT_ONCE);
    let start = whole.mark(world.zr_sign, 0).await.unwrap();
    let expected = all(&whole, world.zr_sign, start).await;
    let logs = |spans: &[chain_client::zrsign::evm::Span]| -> Vec<_> {
        spans.iter().flat_map(|span| span.logs.iter().map(|log| (span.code, log.clone())).collect::<Vec<_>>()).collect()
    };
    let bounds = [
        EvmSettings { range_blocks_max: 1, ..quick() },
        EvmSettings { range_blocks_max: 3, calls_at_once: 1, ..quick() },
        EvmSettings { range_bytes_max: 1, ..quick() },
    ];
    for settings in bounds {
        let chain = EvmChain::new(CHAIN, &[address_of(&world)], AT_ONCE, settings).unwrap();
        let (spans, mark) = all(&chain, world.zr_sign, start).await;
        assert!(spans.len() > expected.0.len(), "{settings:?} cuts");
        assert_eq!((logs(&spans), mark), (logs(&expected.0), expected.1), "{settings:?}");
    }
}

#[tokio::test]
async fn an_upgrade_ends_the_span_before_it_and_begins_its_own() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let chain = honest(&world, AT_ONCE);
    let start = now(&chain, &world).await;
    let old = code(&world).await;

    world.done(world.hash_request()).await;
    let same = world.deploy(ADMIN, ZrSign::BYTECODE.clone()).await;
    // One block: a request, the upgrade, and another request.
    let miner: serde_json::Value = world.rpc("evm_setAutomine", [false]).await;
    assert!(miner.is_null());
    let ask = |nonce: u64, ask: crate::world::Ask| {
        let mut request = ask.request();
        request.nonce = Some(nonce);
        request
    };
    let nonce = world.provider.get_transaction_count(USER).await.unwrap();
    let first = ask(nonce, world.hash_request().price(9_000_000_000));
    let second = ask(nonce + 1, world.hash_request().price(3_000_000_000));
    let switch = world.call(PROXY_ADMIN, &IZrProxy::upgradeToCall { newImplementation: same }).price(6_000_000_000);
    for request in [first, switch.request(), second] {
        let _ = world.provider.send_transaction(request).await.unwrap();
    }
    world.pin(crate::node::BASE_FEE).await;
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::ONE]).await;
    let _: serde_json::Value = world.rpc("evm_setAutomine", [true]).await;
    world.done(world.hash_request()).await;
    let new = code(&world).await;
    assert!(new.implementation == same && new.code_hash == old.code_hash);

    let before = chain.range(world.zr_sign, start).await.unwrap().unwrap();
    assert_eq!(before.mark.height, start.height + 2, "up to the block before the upgrade");
    let (spans, mark) = all(&chain, world.zr_sign, start).await;
    assert_eq!(mark.next_trace, U256::from(4));
    let said: Vec<_> = spans
        .iter()
        .filter(|span| !span.logs.is_empty())
        .map(|span| {
            let events = events(&world, std::slice::from_ref(span));
            let traces = events.iter().filter_map(|event| match event {
                Event::Signature(one) => Some(one.name.trace.to::<u64>()),
                _ => None,
            });
            (span.code.unwrap().implementation, traces.collect::<Vec<_>>(), matches!(events[0], Event::Upgraded(_)))
        })
        .collect();
    let expected = [
        (old.implementation, vec![0], false),
        (old.implementation, vec![1], false),
        (same, vec![2], true),
        (same, vec![3], false),
    ];
    assert_eq!(said, expected);
}

/// A proxy whose slot changes without the log that announces it: nobody can tell which code ran.
#[tokio::test]
async fn logs_of_a_silent_change_have_no_code() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let chain = honest(&world, AT_ONCE);
    let start = now(&chain, &world).await;
    let other = world.deploy(ADMIN, ZrSign::BYTECODE.clone()).await;
    world.done(world.hash_request()).await;
    world.done(world.hash_request()).await;
    // The node changes the state behind its newest block: as if something in that block had done it.
    let set: bool = world.rpc("anvil_setStorageAt", (world.zr_sign, IMPLEMENTATION_SLOT, other.into_word())).await;
    assert!(set);
    world.done(world.hash_request()).await;

    let (spans, _) = all(&chain, world.zr_sign, start).await;
    let codes: Vec<_> = spans
        .iter()
        .filter(|span| !span.logs.is_empty())
        .flat_map(|span| span.logs.iter().map(|_| span.code.map(|code| code.implementation)).collect::<Vec<_>>())
        .collect();
    let old = spans[0].code.unwrap().implementation;
    assert_ne!(old, other);
    assert_eq!(codes, [Some(old), None, Some(other)]);
}

/// Depth 3 of a chain on which 5 blocks make final: nothing was read that goes away.
#[tokio::test]
async fn what_is_not_final_may_be_reorganised() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let chain = honest(&world, Finality::Depth(5));
    let mined: serde_json::Value = world.rpc("anvil_mine", [U256::from(6)]).await;
    assert!(mined.is_null());
    let start = {
        let last = chain.tips().await.unwrap().last_final;
        chain.mark(world.zr_sign, last.height).await.unwrap()
    };
    world.done(world.hash_request()).await;
    assert!(events(&world, &all(&chain, world.zr_sign, start).await.0).is_empty(), "not final yet");
    let _: serde_json::Value = world.rpc("anvil_reorg", (3, [(); 0])).await;
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::from(8)]).await;
    let (spans, mark) = all(&chain, world.zr_sign, start).await;
    assert!(events(&world, &spans).is_empty(), "the request went away with its block");
    assert_eq!(mark.next_trace, U256::ZERO);

    world.done(world.hash_request()).await;
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::from(5)]).await;
    let (spans, mark) = all(&chain, world.zr_sign, mark).await;
    let said = events(&world, &spans);
    assert!(matches!(said.as_slice(), [Event::Signature(one)] if one.name.trace.is_zero()), "{said:?}");
    assert_eq!(mark.next_trace, U256::ONE);
}

/// The same depth where one block makes final: the chain is stopped, whoever asks.
#[tokio::test]
async fn a_reorganisation_below_a_final_block_stops_the_chain() {
    let world = World::new().await;
    world.with_wallet(1).await;
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::ONE]).await;
    let chain = honest(&world, Finality::Depth(1));
    let start = chain.mark(world.zr_sign, chain.tips().await.unwrap().last_final.height).await.unwrap();
    world.done(world.hash_request()).await;
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::ONE]).await;
    let (spans, mark) = all(&chain, world.zr_sign, start).await;
    assert_eq!(events(&world, &spans).len(), 1);

    let _: serde_json::Value = world.rpc("anvil_reorg", (3, [(); 0])).await;
    for asked in [&chain, &honest(&world, Finality::Depth(1))] {
        let error = asked.range(world.zr_sign, mark).await.unwrap_err();
        let EvmError::Reorganised { height, expected, found: Some(found), .. } = error else { panic!("{error}") };
        assert_eq!((height, expected), (mark.height, mark.hash));
        assert_eq!(found, chain.block(mark.height).await.unwrap().unwrap().hash);
    }
    // Another client with an older mark reads on: what it has is still there.
    assert!(honest(&world, Finality::Depth(1)).mark(world.zr_sign, start.height - 3).await.is_ok());
}

#[tokio::test]
async fn the_chains_own_finality_is_followed() {
    let world = World::new().await;
    let chain = honest(&world, Finality::Finalized);
    let tips = chain.tips().await.unwrap();
    assert_eq!(tips.last_final.height, 0, "until 64 blocks exist");
    let error = chain.mark(world.zr_sign, 1).await.unwrap_err();
    assert!(matches!(error, EvmError::Behind { height: 0, wanted: 1, .. }), "{error}");
    let _: serde_json::Value = world.rpc("anvil_mine", [U256::from(100)]).await;
    let tips = chain.tips().await.unwrap();
    assert_eq!(tips.last_final.height + 64, tips.head.height);
    let start = chain.mark(world.zr_sign, 0).await.unwrap();
    let (spans, mark) = all(&chain, world.zr_sign, start).await;
    assert_eq!((mark.height, mark.hash), (tips.last_final.height, tips.last_final.hash));
    assert!(events(&world, &spans).iter().any(|event| matches!(event, Event::Destination { .. })));
    assert_ne!(mark.hash, B256::ZERO);
}

#[tokio::test]
async fn an_upgrade_alone_in_its_block_leaves_no_empty_span() {
    let world = World::new().await;
    let chain = honest(&world, AT_ONCE);
    let start = now(&chain, &world).await;
    let next = world.deploy(ADMIN, ZrSign::BYTECODE.clone()).await;
    upgrade(&world, next).await;
    let first = chain.range(world.zr_sign, start).await.unwrap().unwrap();
    assert_eq!((first.spans.len(), first.spans[0].logs.len()), (1, 0), "the block of the deployment");
    let second = chain.range(world.zr_sign, first.mark).await.unwrap().unwrap();
    let [span] = second.spans.as_slice() else { panic!("{second:?}") };
    assert_eq!((span.code, span.logs.len()), (Some(code(&world).await), 1));
}
