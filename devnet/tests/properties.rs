//! What holds for any sequence of transactions: no panic, no money made or lost, nobody counted twice, the same again
//! from the same inputs.

#[path = "support/world.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use chain_client::proto::zrchain::identity::{MsgDeactivateKeyring, MsgUpdateKeyring};
use chain_client::proto::zrchain::policy::{MsgApproveAction, MsgRevokeAction};
use chain_client::proto::zrchain::treasury as proto;
use devnet::chain::{Bounds, Chain, SystemRequest, keyring_of, workspace_of};
use proptest::prelude::*;
use support::*;

/// Keys that the start of every run has: two of alice (ECDSA, BITCOIN), one of bob.
struct Start {
    world: World,
    keys: Vec<k256::ecdsa::SigningKey>,
}

fn start() -> &'static Start {
    static START: OnceLock<Start> = OnceLock::new();
    START.get_or_init(|| {
        let mut world = World::new();
        let asked = [("alice", 1, "ecdsa"), ("alice", 2, "bitcoin"), ("bob", 1, "ecdsa")];
        let keys = asked.map(|(owner, keyring, key_type)| world.key(owner, keyring, key_type).1);
        Start { world, keys: keys.to_vec() }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Block,
    AskKey { owner: usize, keyring: u64, key_type: usize },
    AnswerKey { who: usize, id: u64, key: u8, status: i32, mark: usize },
    AskSignature { owner: usize, keys: Vec<u64>, items: u8 },
    AnswerSignature { who: usize, id: u64, key: usize, item: u8, status: i32, form: u8 },
    Interchain { who: usize, id: u64, status: i32 },
    AskTransaction { owner: usize, key: u64, wallet: i32, bytes: Vec<u8> },
    Transfer { from: usize, to: usize, urock: u64 },
    Keyring { n: u64, threshold: u32, fee: u64, active: bool },
    Deactivate { n: u64 },
    ZrSign { owner: u8, wallet: u64 },
    Approve { who: usize, id: u64 },
    System { keys: Vec<u64> },
    Gas { who: usize, gas: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..NAMES.len();
    prop_oneof![
        4 => Just(Step::Block),
        2 => (who.clone(), 0..5_u64, 0..4_usize)
            .prop_map(|(owner, keyring, key_type)| Step::AskKey { owner, keyring, key_type }),
        4 => (who.clone(), 1..8_u64, any::<u8>(), 0..6_i32, prop_oneof![4 => Just(64_usize), 1 => 0..70_usize])
            .prop_map(|(who, id, key, status, mark)| Step::AnswerKey { who, id, key: key % 3, status, mark }),
        4 => (who.clone(), prop::collection::vec(0..6_u64, 0..4), 0..4_u8)
            .prop_map(|(owner, keys, items)| Step::AskSignature { owner, keys, items }),
        8 => (who.clone(), 1..12_u64, 0..3_usize, 0..4_u8, 0..6_i32, 0..6_u8).prop_map(
            |(who, id, key, item, status, form)| Step::AnswerSignature { who, id, key, item, status, form }
        ),
        1 => (who.clone(), 1..12_u64, 0..6_i32).prop_map(|(who, id, status)| Step::Interchain { who, id, status }),
        2 => (who.clone(), 1..4_u64, 0..10_i32, prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(owner, key, wallet, bytes)| Step::AskTransaction { owner, key, wallet, bytes }),
        2 => (who.clone(), who.clone(), any::<u64>()).prop_map(|(from, to, urock)| Step::Transfer { from, to, urock }),
        1 => (0..4_u64, 0..5_u32, 0..90_u64, any::<bool>())
            .prop_map(|(n, threshold, fee, active)| Step::Keyring { n, threshold, fee, active }),
        1 => (0..4_u64).prop_map(|n| Step::Deactivate { n }),
        1 => (0..3_u8, prop_oneof![Just(0_u64), Just(1), Just(60), Just(501), any::<u64>()])
            .prop_map(|(owner, wallet)| Step::ZrSign { owner, wallet }),
        1 => (who.clone(), 0..9_u64).prop_map(|(who, id)| Step::Approve { who, id }),
        1 => prop::collection::vec(0..6_u64, 0..4).prop_map(|keys| Step::System { keys }),
        1 => (who, 0..80_000_u64).prop_map(|(who, gas)| Step::Gas { who, gas }),
    ]
}

fn item(number: u8) -> [u8; 32] {
    digest(&format!("item {number}"))
}

/// Plays a step; what the mempool says does not matter.
fn play(world: &mut World, keys: &[k256::ecdsa::SigningKey], step: Step) {
    let style = Style::default();
    match step {
        Step::Block => {
            world.block();
        }
        Step::AskKey { owner, keyring, key_type } => {
            let message = proto::MsgNewKeyRequest {
                creator: address(NAMES[owner]),
                workspace_addr: workspace_of(1 + owner as u64 % 2),
                keyring_addr: keyring_of(keyring),
                key_type: ["ecdsa", "ed25519", "bitcoin", "none"][key_type].to_owned(),
                ..proto::MsgNewKeyRequest::default()
            };
            world.offer(NAMES[owner], packed(&message), &style);
        }
        Step::AnswerKey { who, id, key, status, mark } => {
            let message = proto::MsgFulfilKeyRequest {
                status,
                keyring_party_signature: vec![7; mark],
                ..key_answer(NAMES[who], id, &public(&secret(&format!("answer {key}"))))
            };
            world.offer(NAMES[who], packed(&message), &style);
        }
        Step::AskSignature { owner, keys, items } => {
            let digests: Vec<_> = (0..items).map(item).collect();
            world.offer(NAMES[owner], packed(&signature_ask(NAMES[owner], &keys, &digests)), &style);
        }
        Step::AnswerSignature { who, id, key, item: number, status, form } => {
            let signed = ecdsa(&keys[key], &item(number));
            let signed = match form {
                0 => signed,
                1 => signed[..64].to_vec(),
                2 => signed[..63].to_vec(),
                3 => Vec::new(),
                4 => [signed, vec![1]].concat(),
                _ => vec![0xff; 64],
            };
            let message = proto::MsgFulfilSignatureRequest { status, ..signature_answer(NAMES[who], id, signed) };
            world.offer(NAMES[who], packed(&message), &style);
        }
        Step::Interchain { who, id, status } => {
            let message = proto::MsgFulfilIcaTransactionRequest {
                creator: address(NAMES[who]),
                request_id: id,
                status,
                ..proto::MsgFulfilIcaTransactionRequest::default()
            };
            world.offer(NAMES[who], packed(&message), &style);
        }
        Step::AskTransaction { owner, key, wallet, bytes } => {
            let message = proto::MsgNewSignTransactionRequest {
                creator: address(NAMES[owner]),
                key_ids: vec![key],
                wallet_type: wallet,
                unsigned_transaction: bytes,
                metadata: Some(packed(&proto::MetadataEthereum { chain_id: 1 })),
                ..proto::MsgNewSignTransactionRequest::default()
            };
            world.offer(NAMES[owner], packed(&message), &style);
        }
        Step::Transfer { from, to, urock } => {
            world.offer(NAMES[from], transfer(NAMES[from], NAMES[to], urock.into()), &style);
        }
        Step::Keyring { n, threshold, fee, active } => {
            let message = MsgUpdateKeyring {
                creator: address("admin"),
                keyring_addr: keyring_of(n),
                party_threshold: threshold,
                key_req_fee: fee,
                sig_req_fee: fee / 2,
                is_active: active,
                ..MsgUpdateKeyring::default()
            };
            world.offer("admin", packed(&message), &style);
        }
        Step::Deactivate { n } => {
            let message = MsgDeactivateKeyring { creator: address("admin"), keyring_addr: keyring_of(n) };
            world.offer("admin", packed(&message), &style);
        }
        Step::ZrSign { owner, wallet } => {
            let message = proto::MsgNewKeyRequest {
                creator: address("zrsign"),
                ext_requester: format!("0xOwner{owner}"),
                ext_key_type: wallet,
                ..proto::MsgNewKeyRequest::default()
            };
            world.offer("zrsign", packed(&message), &style);
        }
        Step::Approve { who, id } => {
            let creator = address(NAMES[who]);
            let action_type = "/zrchain.treasury.MsgNewSignatureRequest".to_owned();
            let message = MsgApproveAction {
                creator: creator.clone(),
                action_type,
                action_id: id,
                ..MsgApproveAction::default()
            };
            world.offer(NAMES[who], packed(&message), &style);
            world.offer(NAMES[who], packed(&MsgRevokeAction { creator, action_id: id }), &style);
        }
        Step::System { keys } => {
            let digests = (0..keys.len()).map(|number| item(number as u8).to_vec()).collect();
            let creator = address("proxy");
            let request = SystemRequest::Redemption { creator, key_ids: keys, digests, cache_id: Vec::new() };
            world.chain.request_by_system(request).expect("room");
        }
        Step::Gas { who, gas } => {
            let message = packed(&key_answer(NAMES[who], 1, &[2; 33]));
            world.offer(NAMES[who], message, &Style { gas, ..style });
        }
    }
}

fn check(world: &World, supply: u128) {
    assert_eq!(world.chain.supply(), supply, "money was made or lost");
    let reply: proto::QueryKeyRequestsResponse =
        world.query("/zrchain.treasury.Query/KeyRequests", &proto::QueryKeyRequestsRequest::default());
    for request in reply.key_requests {
        let marks = &request.keyring_party_signatures;
        assert_eq!(distinct(marks), marks.len(), "a party counted twice for key request {}", request.id);
    }
    let reply: proto::QuerySignatureRequestsResponse =
        world.query("/zrchain.treasury.Query/SignatureRequests", &proto::QuerySignatureRequestsRequest::default());
    for request in reply.sign_requests {
        let marks = &request.keyring_party_sigs;
        assert_eq!(distinct(marks), marks.len(), "a party counted twice for signature request {}", request.id);
        let closed =
            matches!(request.status.as_str(), "SIGN_REQUEST_STATUS_REJECTED" | "SIGN_REQUEST_STATUS_FULFILLED");
        assert!(closed || request.mpc_btl >= world.chain.height(), "request {} is overdue and open", request.id);
    }
}

fn distinct(marks: &[proto::PartySignature]) -> usize {
    marks.iter().map(|mark| &mark.creator).collect::<BTreeSet<_>>().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_transactions_keep_money_parties_and_determinism(steps in prop::collection::vec(step(), 1..60)) {
        let Start { world, keys } = start();
        let mut world = world.clone();
        let supply = world.chain.supply();
        for step in steps {
            let block = matches!(step, Step::Block);
            play(&mut world, keys, step);
            if block {
                check(&world, supply);
            }
        }
        world.blocks(25);
        check(&world, supply);
        // The same inputs give the same chain, hash by hash.
        let mut again = Chain::with_bounds(&genesis(), Bounds::default()).expect("a chain");
        for height in 1..=world.chain.height() {
            again.replay(world.chain.record(height).expect("kept")).expect("the same block");
        }
        prop_assert_eq!(again.snapshot(), world.chain.snapshot());
        // A snapshot holds all that there is.
        let restored = Chain::from_snapshot(&genesis(), Bounds::default(), world.chain.snapshot()).expect("restores");
        prop_assert_eq!(restored.snapshot(), world.chain.snapshot());
    }

    #[test]
    fn no_bytes_panic_the_mempool_or_a_query(bytes in prop::collection::vec(any::<u8>(), 0..300), height in any::<u64>()) {
        let mut chain = start().world.chain.clone();
        chain.check_tx(&bytes);
        prop_assert_eq!(chain.waiting(), 0);
        let _ = chain.simulate(&bytes);
        for path in [
            "/zrchain.treasury.Query/KeyRequests", "/zrchain.treasury.Query/KeyByAddress", "/zrchain.treasury.Query/Keys",
            "/zrchain.policy.Query/ActionDetailsById", "/zrchain.identity.Query/Workspaces", "/cosmos.tx.v1beta1.Service/GetTx",
            "/cosmos.tx.v1beta1.Service/Simulate", "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight", "/", "",
        ] {
            let _ = chain.query(path, &bytes, Some(height));
            let _ = chain.query(path, &bytes, None);
        }
    }
}
