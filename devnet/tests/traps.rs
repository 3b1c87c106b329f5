//! The traps of the live chain, one by one: what costs a user's request must cost it here too.

#[path = "support/world.rs"]
mod support;

use chain_client::proto::cosmos::base::query::v1beta1::PageRequest;
use chain_client::proto::zrchain::identity::{MsgDeactivateKeyring, MsgUpdateKeyring};
use chain_client::proto::zrchain::policy::{
    BoolparserPolicy, MsgApproveAction, MsgApproveActionResponse, MsgNewPolicy, MsgNewPolicyResponse, MsgRevokeAction,
    PolicyParticipant,
};
use chain_client::proto::zrchain::treasury as proto;
use chain_client::proto::zrchain::zenbtc::{InputHashes, MsgSubmitUnsignedRedemptionTx};
use devnet::chain::{Chain, Event, GenesisPolicy, SystemRequest, hash_of, keyring_of, workspace_of};
use prost::Message;
use support::*;

const FULFILLED: &str = "SIGN_REQUEST_STATUS_FULFILLED";
const PARTIAL: &str = "SIGN_REQUEST_STATUS_PARTIAL";
const PENDING: &str = "SIGN_REQUEST_STATUS_PENDING";
const REJECTED: &str = "SIGN_REQUEST_STATUS_REJECTED";
const KEY_REJECTED: &str = "KEY_REQUEST_STATUS_REJECTED";
const KEY_FULFILLED: &str = "KEY_REQUEST_STATUS_FULFILLED";
const KEY_PARTIAL: &str = "KEY_REQUEST_STATUS_PARTIAL";
/// Blocks that a request lives.
const LIFE: u64 = 20;

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).filter(|name| !matches!(*name, "tx" | "message")).collect()
}

fn told(events: &[Event]) -> Vec<(&str, &str)> {
    let kept = events.iter().filter(|event| event.name.contains("request"));
    kept.map(|event| (event.name.as_str(), event.attributes[0].1.as_str())).collect()
}

#[test]
fn answering_a_signature_twice_rejects_the_request_for_all() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let answer = signature_answer("party1", id, ecdsa(&key, &digest("a")));
    assert_eq!(world.send("party1", &answer).code, 0);
    assert_eq!(world.sign_request(id).status, PARTIAL);
    let second = world.send("party1", &answer);
    assert_eq!((second.code, told(&second.events)), (0, vec![("sign_request_rejected", id.to_string().as_str())]));
    assert_eq!(world.sign_request(id).status, REJECTED);
}

#[test]
fn answering_a_key_twice_rejects_the_request_without_any_event() {
    let mut world = World::new();
    let id = world.ask_key("alice", 1, "ecdsa");
    let answer = key_answer("party1", id, &public(&secret("k")));
    assert_eq!(world.send("party1", &answer).code, 0);
    assert_eq!(world.key_request(id).status, KEY_PARTIAL);
    let second = world.send("party1", &answer);
    assert_eq!((second.code, names(&second.events)), (0, vec![]));
    assert_eq!(world.key_request(id).status, KEY_REJECTED);
}

#[test]
fn parties_that_differ_reject_the_request() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let long = ecdsa(&key, &digest("a"));
    assert_eq!(world.send("party1", &signature_answer("party1", id, long[..64].to_vec())).code, 0);
    assert_eq!(world.send("party2", &signature_answer("party2", id, long)).code, 0);
    let request = world.sign_request(id);
    assert_eq!(request.status, REJECTED);
    assert_eq!(request.keyring_party_sigs.len(), 2, "the offender's mark stays");
    let id = world.ask_key("alice", 1, "ecdsa");
    world.send("party1", &key_answer("party1", id, &public(&secret("one"))));
    world.send("party2", &key_answer("party2", id, &public(&secret("two"))));
    assert_eq!(world.key_request(id).status, KEY_REJECTED);
}

#[test]
fn one_wrong_result_rejects_for_all_parties() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let right = ecdsa(&key, &digest("a"));
    let high = {
        let signature = k256::ecdsa::Signature::from_slice(&right[..64]).expect("signature");
        let (r, s) = signature.split_scalars();
        k256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).expect("signature").to_bytes().to_vec()
    };
    for wrong in [ecdsa(&key, &digest("b")), high, right[..63].to_vec(), [right.clone(), vec![0]].concat(), vec![]] {
        let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
        assert_eq!(world.send("party1", &signature_answer("party1", id, wrong)).code, 0, "code 0 is no success");
        assert_eq!(world.sign_request(id).status, REJECTED);
    }
    for wrong in [vec![2; 32], [&[4][..], &[7; 64]].concat(), [&[2][..], &[0; 5], &[7; 27]].concat(), vec![]] {
        let id = world.ask_key("alice", 1, "ecdsa");
        assert_eq!(world.send("party1", &key_answer("party1", id, &wrong)).code, 0);
        assert_eq!(world.key_request(id).status, KEY_REJECTED);
    }
}

#[test]
fn a_bitcoin_answer_is_never_der_and_never_short() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "bitcoin");
    let right = ecdsa(&key, &digest("a"));
    let der = k256::ecdsa::Signature::from_slice(&right[..64]).expect("signature").to_der().as_bytes().to_vec();
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    world.send("party1", &signature_answer("party1", id, der.clone()));
    assert_eq!(world.sign_request(id).status, REJECTED);
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let panicked = world.send("party1", &signature_answer("party1", id, right[..63].to_vec()));
    assert_eq!((panicked.code, panicked.codespace), (111_222, "undefined"));
    assert_eq!(world.sign_request(id).status, PENDING, "a panic changes nothing");
    world.send("party1", &signature_answer("party1", id, right[..64].to_vec()));
    world.send("party2", &signature_answer("party2", id, right));
    let request = world.sign_request(id);
    assert_eq!((request.status.as_str(), &request.signed_data[0].signed_data), (FULFILLED, &der));
}

#[test]
fn any_account_can_reject_an_open_signature_and_a_valid_answer_of_a_stranger_errs() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let outright = |id| proto::MsgFulfilSignatureRequest {
        status: proto::SignRequestStatus::Rejected.into(),
        reject_reason: "because".to_owned(),
        keyring_party_signature: vec![],
        ..signature_answer("outsider", id, vec![])
    };
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let valid = world.send("outsider", &signature_answer("outsider", id, ecdsa(&key, &digest("a"))));
    assert_eq!(valid.code, 1);
    assert!(valid.log.contains("only one party of the keyring can fulfil signature request"), "{}", valid.log);
    assert_eq!(world.sign_request(id).status, PENDING);
    assert_eq!(world.send("outsider", &outright(id)).code, 0);
    assert_eq!(
        (world.sign_request(id).status.as_str(), world.sign_request(id).reject_reason.as_str()),
        (REJECTED, "because")
    );
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    assert_eq!(world.send("outsider", &signature_answer("outsider", id, vec![1; 64])).code, 0);
    assert_eq!(world.sign_request(id).status, REJECTED);
}

#[test]
fn any_account_can_reject_any_key_request_even_a_fulfilled_one() {
    let mut world = World::new();
    let (id, _) = world.key("alice", 1, "ecdsa");
    let mut junk = key_answer("outsider", id, &[]);
    junk.keyring_party_signature = vec![7; 63];
    assert_eq!(world.send("outsider", &junk).code, 0);
    assert_eq!(world.key_request(id).status, KEY_REJECTED);
    let asked = proto::QueryKeyByIdRequest { id, ..proto::QueryKeyByIdRequest::default() };
    let reply: proto::QueryKeyByIdResponse = world.query("/zrchain.treasury.Query/KeyByID", &asked);
    assert_eq!(reply.wallets.len(), 2, "the key itself lives on");
}

#[test]
fn one_party_rejects_a_key_for_all_and_the_fee_comes_back() {
    let mut world = World::new();
    let before = world.chain.balance(&address("alice"));
    let id = world.ask_key("alice", 2, "ecdsa");
    let refusal = proto::MsgFulfilKeyRequest {
        status: proto::KeyRequestStatus::Rejected.into(),
        result: Some(proto::msg_fulfil_key_request::Result::RejectReason("no".to_owned())),
        ..key_answer("party2", id, &[])
    };
    let result = world.send("party2", &refusal);
    assert_eq!(told(&result.events), [("key_request_rejected", id.to_string().as_str())]);
    assert_eq!(world.chain.balance(&address("alice")), before - 750_000);
}

#[test]
fn a_partial_request_leaves_the_pending_list() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let listed = |world: &World, status: proto::SignRequestStatus| {
        let asked = proto::QuerySignatureRequestsRequest { status: status.into(), ..Default::default() };
        let reply: proto::QuerySignatureRequestsResponse =
            world.query("/zrchain.treasury.Query/SignatureRequests", &asked);
        reply.sign_requests.iter().map(|request| request.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(&world, proto::SignRequestStatus::Pending), [id]);
    world.send("party1", &signature_answer("party1", id, ecdsa(&key, &digest("a"))));
    assert!(listed(&world, proto::SignRequestStatus::Pending).is_empty());
    assert_eq!(listed(&world, proto::SignRequestStatus::Partial), [id]);
}

#[test]
fn a_parent_answered_by_parties_keeps_one_unverified_blob() {
    let mut world = World::new();
    let (key_id, _) = world.key("alice", 1, "ecdsa");
    let parent = world.ask_signature("alice", &[key_id, key_id], &[digest("a"), digest("b")]);
    for party in ["party1", "party2"] {
        assert_eq!(world.send(party, &signature_answer(party, parent, vec![1, 2, 3])).code, 0);
    }
    let request = world.sign_request(parent);
    assert_eq!((request.status.as_str(), request.signed_data.len()), (FULFILLED, 1));
    assert_eq!(request.child_req_ids, [parent + 1, parent + 2]);
    assert_eq!(world.sign_request(parent + 1).status, PENDING);
}

#[test]
fn children_complete_their_parent_even_a_rejected_one() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let parent = world.ask_signature("alice", &[key_id, key_id], &[digest("a"), digest("b")]);
    let refusal = proto::MsgFulfilSignatureRequest {
        status: proto::SignRequestStatus::Rejected.into(),
        ..signature_answer("outsider", parent, vec![])
    };
    world.send("outsider", &refusal);
    assert_eq!(world.sign_request(parent).status, REJECTED);
    for (child, text) in [(parent + 2, "b"), (parent + 1, "a")] {
        for party in ["party1", "party2"] {
            world.send(party, &signature_answer(party, child, ecdsa(&key, &digest(text))));
        }
    }
    let request = world.sign_request(parent);
    assert_eq!(request.status, FULFILLED);
    let order: Vec<_> = request.signed_data.iter().map(|one| one.sign_request_id).collect();
    assert_eq!(order, [parent + 1, parent + 2]);
}

#[test]
fn identical_children_stall_their_parent_and_only_an_explicit_rejection_reaches_it() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let parent = world.ask_signature("alice", &[key_id, key_id], &[digest("a"), digest("a")]);
    for child in [parent + 1, parent + 2] {
        for party in ["party1", "party2"] {
            world.send(party, &signature_answer(party, child, ecdsa(&key, &digest("a"))));
        }
    }
    assert_eq!(world.sign_request(parent + 2).status, FULFILLED);
    assert_eq!(world.sign_request(parent).status, PENDING);
    let parent = world.ask_signature("alice", &[key_id, key_id], &[digest("a"), digest("b")]);
    world.send("party1", &signature_answer("party1", parent + 1, vec![9; 64]));
    assert_eq!(world.sign_request(parent + 1).status, REJECTED);
    assert_eq!(world.sign_request(parent).status, PENDING, "a rejection by the chain does not reach the parent");
    let refusal = proto::MsgFulfilSignatureRequest {
        status: proto::SignRequestStatus::Rejected.into(),
        reject_reason: "why".to_owned(),
        ..signature_answer("party1", parent + 2, vec![])
    };
    world.send("party1", &refusal);
    let expected = format!("Child request {} rejected with reason: why", parent + 2);
    assert_eq!(world.sign_request(parent).reject_reason, expected);
}

#[test]
fn an_answer_in_the_last_block_counts_and_the_next_block_begins_with_the_end() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 2, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let (made, escrowed) = (world.chain.height(), world.chain.balance(&address("alice")));
    let deadline = world.sign_request(id).mpc_btl;
    assert_eq!(deadline, made + LIFE);
    world.blocks(LIFE - 1);
    world.send("party1", &signature_answer("party1", id, ecdsa(&key, &digest("a"))));
    assert_eq!(world.chain.height(), deadline);
    assert_eq!(world.sign_request(id).status, PARTIAL);
    let answer = signature_answer("party2", id, ecdsa(&key, &digest("a")));
    let outcome = world.offer("party2", packed(&answer), &Style::default());
    let block = world.block();
    assert_eq!(told(&block.events), [("sign_request_rejected", id.to_string().as_str())]);
    assert_eq!(block.events[0].attributes[1], ("mode".to_owned(), "BeginBlock".to_owned()));
    let late = block.transactions.iter().find(|result| result.hash == outcome.hash).expect("executed");
    assert_eq!(late.code, 1, "expiry comes before the block's transactions");
    assert_eq!(world.sign_request(id).reject_reason, "Signature request timed out");
    assert_eq!(world.chain.balance(&address("alice")), escrowed + 50, "expiry refunds");
}

#[test]
fn at_most_a_hundred_requests_of_a_kind_end_in_one_block() {
    let mut world = World::new();
    let (key_id, _) = world.key("alice", 1, "ecdsa");
    for _ in 0..130 {
        let message = packed(&signature_ask("alice", &[key_id], &[digest("a")]));
        assert_eq!(world.offer("alice", message, &Style::default()).code, 0);
    }
    world.block();
    world.blocks(LIFE);
    assert_eq!(world.block().events.len(), 100);
    assert_eq!(world.block().events.len(), 30);
}

#[test]
fn every_answer_costs_its_party_the_fee_and_the_escrow_keeps_the_users() {
    let mut world = World::new();
    let id = world.ask_key("alice", 2, "ecdsa");
    let key = secret(&format!("key {id}"));
    for party in ["party1", "party2"] {
        let before = world.chain.balance(&address(party));
        assert_eq!(world.send(party, &key_answer(party, id, &public(&key))).code, 0);
        assert_eq!(world.chain.balance(&address(party)), before - 750_000 - 75);
    }
    assert_eq!(world.chain.balance(&keyring_of(2)), 2 * 68);
    assert_eq!(world.chain.balance("zen16y5ww0g2nmd928fnkrr9708uv78hetndw5uyvr"), 75, "escrow is not drawn down");
    let signature = world.ask_signature("alice", &[id], &[digest("a")]);
    let before = world.chain.balance(&address("outsider"));
    world.send("outsider", &signature_answer("outsider", signature, vec![1; 64]));
    assert_eq!(world.chain.balance(&address("outsider")), before - 750_000 - 50, "junk pays too");
    assert_eq!(world.chain.balance(&keyring_of(2)), 2 * 68 + 45);
}

#[test]
fn a_party_without_the_fee_fails_in_execution_and_loses_its_sequence() {
    let mut genesis = genesis();
    genesis.keyrings[1].parties.push(address("poor"));
    let mut world = World::of(&genesis);
    let id = world.ask_key("alice", 2, "ecdsa");
    let result = world.send("poor", &key_answer("poor", id, &public(&secret("k"))));
    assert_eq!((result.code, result.codespace), (5, "sdk"));
    assert!(result.log.contains("spendable balance 3urock is smaller than 68urock"), "{}", result.log);
    assert_eq!(world.key_request(id).status, "KEY_REQUEST_STATUS_PENDING");
    assert_eq!(world.chain.balance(&address("poor")), POOR - 750_000);
    let broke = world.offer("poor", packed(&key_answer("poor", id, &[])), &Style::default());
    assert_eq!((broke.code, broke.codespace), (5, "sdk"));
}

#[test]
fn sequences_count_what_waits_and_the_same_bytes_are_recognised() {
    let mut world = World::new();
    let send = |sequence, amount| signed("alice", sequence, vec![transfer("alice", "bob", amount)], &Style::default());
    assert_eq!([0, 1, 2].map(|sequence| world.chain.check_tx(&send(sequence, 1)).code), [0, 0, 0]);
    assert_eq!(world.chain.check_tx(&send(1, 1)).code, 19, "in the mempool");
    let other = world.chain.check_tx(&send(1, 2));
    assert_eq!(other.code, 32);
    assert!(other.log.contains("account sequence mismatch, expected 3, got 1"), "{}", other.log);
    assert_eq!(world.block().transactions.len(), 3);
    assert_eq!(world.chain.check_tx(&send(0, 1)).code, 19, "committed with code 0");
    let failing = proto::MsgFulfilKeyRequest { request_id: 99, ..key_answer("alice", 99, &[]) };
    let failing = signed("alice", 3, vec![packed(&failing)], &Style::default());
    assert_eq!(world.chain.check_tx(&failing).code, 0, "the mempool runs no message");
    assert_eq!(world.block().transactions[0].code, 1);
    assert_eq!(world.chain.check_tx(&failing).code, 32, "committed with an error");
    assert_eq!(world.chain.transaction(&hash_of(&failing)).expect("found").1.code, 1);
}

#[test]
fn the_mempool_names_what_is_wrong() {
    let mut world = World::new();
    let mut code =
        |name: &str, style: Style| world.chain.check_tx(&signed(name, 0, vec![transfer(name, "bob", 1)], &style)).code;
    let style = Style::default;
    assert_eq!(code("alice", Style { fee: 29, gas: 300_000, ..style() }), 13);
    assert_eq!(code("alice", Style { chain_id: "other".to_owned(), ..style() }), 4);
    assert_eq!(code("alice", Style { gas: 1, ..style() }), 11);
    assert_eq!(code("alice", Style { memo: "m".repeat(257), ..style() }), 12);
    assert_eq!(code("poor", Style { fee: POOR + 1, ..style() }), 5);
    assert_eq!(world.chain.check_tx(b"junk").code, 2);
    assert_eq!(world.chain.check_tx(&signed("alice", 0, vec![transfer("bob", "alice", 1)], &style())).code, 8);
    assert_eq!(world.chain.check_tx(&signed("alice", 0, vec![], &style())).code, 18);
    world.blocks(3);
    let late = Style { timeout_height: 2, ..style() };
    assert_eq!(world.chain.check_tx(&signed("alice", 0, vec![transfer("alice", "bob", 1)], &late)).code, 30);
    assert_eq!(world.chain.waiting(), 0);
}

#[test]
fn a_timeout_height_in_the_mempool_stops_the_chain() {
    let mut world = World::new();
    world.blocks(3);
    let style = Style { timeout_height: 3, ..Style::default() };
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 1)], &style);
    assert_eq!(world.chain.check_tx(&bytes).code, 0, "it still passes the mempool");
    for _ in 0..3 {
        let stalled = world.chain.make_block(std::time::Duration::from_secs(9)).expect_err("stalled");
        assert_eq!((stalled.height, stalled.fault.code), (4, 30));
    }
    assert_eq!(world.chain.height(), 3);
    world.chain.forget_mempool();
    assert_eq!(world.block().height, 4, "only a restart of the validator frees it");
}

#[test]
fn out_of_gas_costs_fee_and_sequence_and_leaves_the_request_open() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let answer = packed(&signature_answer("party1", id, ecdsa(&key, &digest("a"))));
    let before = world.chain.balance(&address("party1"));
    let outcome = world.offer("party1", answer, &Style { gas: 60_000, ..Style::default() });
    assert_eq!(outcome.code, 0);
    let result = world.block().transactions.remove(0);
    assert_eq!((result.code, result.codespace), (11, "sdk"));
    assert!(result.gas_used > 60_000);
    assert_eq!(world.chain.balance(&address("party1")), before - 750_000);
    assert_eq!(world.sign_request(id).status, PENDING);
}

#[test]
fn updating_a_keyring_without_saying_active_switches_it_off_and_every_answer_rejects() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    let open_key = world.ask_key("alice", 1, "ecdsa");
    let update =
        MsgUpdateKeyring { creator: address("admin"), keyring_addr: keyring_of(1), ..MsgUpdateKeyring::default() };
    assert_eq!(world.send("admin", &update).code, 0);
    let answered = world.send("party1", &signature_answer("party1", id, ecdsa(&key, &digest("a"))));
    assert_eq!((answered.code, names(&answered.events)), (0, vec![]), "no event, no fee");
    assert_eq!(answered.responses.len(), 1);
    assert_eq!(world.sign_request(id).status, REJECTED);
    world.send("party1", &key_answer("party1", open_key, &public(&key)));
    assert_eq!(world.key_request(open_key).status, KEY_REJECTED);
}

#[test]
fn the_threshold_is_read_when_an_answer_comes() {
    let mut world = World::new();
    let id = world.ask_key("alice", 1, "ecdsa");
    let key = public(&secret("k"));
    world.send("party1", &key_answer("party1", id, &key));
    let update = |party_threshold| MsgUpdateKeyring {
        creator: address("admin"),
        keyring_addr: keyring_of(1),
        party_threshold,
        is_active: true,
        ..MsgUpdateKeyring::default()
    };
    world.send("admin", &update(3));
    world.send("party2", &key_answer("party2", id, &key));
    assert_eq!(world.key_request(id).status, KEY_PARTIAL, "two were enough when it was asked");
    world.send("party3", &key_answer("party3", id, &key));
    assert_eq!(world.key_request(id).status, KEY_FULFILLED);
}

#[test]
fn a_key_request_fulfilled_at_once_shows_no_key_and_lists_show_no_deadline() {
    let mut world = World::new();
    let id = world.ask_key("alice", 3, "ecdsa");
    world.send("party1", &key_answer("party1", id, &public(&secret("k"))));
    let request = world.key_request(id);
    assert_eq!((request.status.as_str(), request.public_key.len()), (KEY_FULFILLED, 0));
    assert_ne!(request.mpc_btl, 0);
    let reply: proto::QueryKeyRequestsResponse =
        world.query("/zrchain.treasury.Query/KeyRequests", &proto::QueryKeyRequestsRequest::default());
    assert_eq!(reply.key_requests[0].mpc_btl, 0);
}

#[test]
fn the_chain_authorises_only_the_first_key_of_a_group() {
    let mut world = World::new();
    let (foreign, key) = world.key("bob", 1, "ecdsa");
    let _reserved = world.ask_key("alice", 1, "ecdsa");
    let (own, _) = world.key("alice", 1, "ecdsa");
    let direct = world.send("alice", &signature_ask("alice", &[foreign], &[digest("a")]));
    assert_eq!(direct.code, 1, "not alice's");
    let parent = world.ask_signature("alice", &[own, foreign], &[digest("a"), digest("b")]);
    let child = world.sign_request(parent + 2);
    assert_eq!((child.key_ids.as_slice(), child.creator.as_str()), (&[foreign][..], address("alice").as_str()));
    for party in ["party1", "party2"] {
        world.send(party, &signature_answer(party, parent + 2, ecdsa(&key, &digest("b"))));
    }
    assert_eq!(world.sign_request(parent + 2).status, FULFILLED);
}

#[test]
fn a_child_whose_key_is_of_another_type_can_only_be_rejected() {
    let mut world = World::new();
    let (ecdsa_key, key) = world.key("alice", 1, "ecdsa");
    let _reserved = world.ask_key("alice", 1, "ecdsa");
    let (bitcoin_key, _) = world.key("alice", 1, "bitcoin");
    let parent = world.ask_signature("alice", &[bitcoin_key, ecdsa_key], &[digest("a"), digest("b")]);
    assert_eq!(world.sign_request(parent + 1).key_type, "KEY_TYPE_ECDSA_SECP256K1", "the last key's");
    world.send("party1", &signature_answer("party1", parent + 1, ecdsa(&key, &digest("a"))));
    assert_eq!(world.sign_request(parent + 1).status, REJECTED);
}

#[test]
fn a_reserved_key_signs_for_the_chain_and_for_no_user() {
    let mut world = World::new();
    let (own, _) = world.key("alice", 1, "ecdsa");
    let (reserved, key) = world.key("alice", 1, "ecdsa");
    assert_eq!(reserved, 2);
    let refused = world.send("alice", &signature_ask("alice", &[own, reserved], &[digest("a"), digest("b")]));
    assert_eq!(refused.code, 1);
    world
        .chain
        .request_by_system(SystemRequest::Redemption {
            creator: address("proxy"),
            key_ids: vec![reserved, own],
            digests: vec![digest("a").to_vec(), digest("b").to_vec()],
            cache_id: vec![1],
        })
        .expect("room");
    let block = world.block();
    assert_eq!(told(&block.events), [("new_sign_request", "1")]);
    for party in ["party1", "party2"] {
        world.send(party, &signature_answer(party, 2, ecdsa(&key, &digest("a"))));
    }
    assert_eq!(world.sign_request(2).status, FULFILLED);
    let redemption = MsgSubmitUnsignedRedemptionTx {
        creator: address("proxy"),
        inputs: vec![InputHashes { hash: hex::encode(digest("c")), keyid: reserved }],
        ..MsgSubmitUnsignedRedemptionTx::default()
    };
    assert_eq!(world.send("proxy", &redemption).code, 0);
    assert_eq!(world.sign_request(4).key_ids, [reserved]);
    let stranger = MsgSubmitUnsignedRedemptionTx { creator: address("alice"), ..redemption };
    assert_eq!(world.send("alice", &stranger).code, 1);
    world
        .chain
        .request_by_system(SystemRequest::SignTransaction {
            creator: address("alice"),
            key_id: reserved,
            wallet_type: proto::WalletType::Native,
            unsigned_transaction: b"mint".to_vec(),
            metadata: None,
            no_broadcast: true,
        })
        .expect("room");
    world.block();
    assert_eq!(world.sign_request(5).data_for_signing, [digest("mint").to_vec()]);
}

#[test]
fn a_deposit_key_signs_for_its_proxy_only() {
    let mut world = World::new();
    let mut message = proto::MsgNewKeyRequest {
        creator: address("alice"),
        workspace_addr: workspace_of(1),
        keyring_addr: keyring_of(3),
        key_type: "bitcoin".to_owned(),
        zenbtc_metadata: Some(proto::ZenBtcMetadata {
            recipient_addr: "0x9eC106B00D473afF9918Ad96ce99085Df841Fcb7".to_owned(),
            chain_type: proto::WalletType::Evm.into(),
            caip2_chain_id: "eip155:560048".to_owned(),
            asset: 1,
            ..proto::ZenBtcMetadata::default()
        }),
        ..proto::MsgNewKeyRequest::default()
    };
    let response: proto::MsgNewKeyRequestResponse = world.response("alice", &message);
    let id = response.key_req_id;
    let key = secret("deposit");
    world.send("party1", &key_answer("party1", id, &public(&key)));
    let refused = world.send("alice", &signature_ask("alice", &[id], &[digest("a")]));
    assert_eq!(refused.code, 1);
    world
        .chain
        .request_by_system(SystemRequest::Redemption {
            creator: address("alice"),
            key_ids: vec![id],
            digests: vec![digest("a").to_vec()],
            cache_id: vec![],
        })
        .expect("room");
    world.block();
    world.send("party1", &signature_answer("party1", 1, ecdsa(&key, &digest("a"))));
    assert_eq!(world.sign_request(1).status, REJECTED, "checked again at every answer");
    if let Some(metadata) = &mut message.zenbtc_metadata {
        metadata.caip2_chain_id = "eip155:1".to_owned();
    }
    assert_eq!(world.send("alice", &message).code, 1, "not on this network");
}

#[test]
fn zrsign_signs_digests_of_any_length_and_counts_rejected_indexes() {
    let mut world = World::new();
    let ask = |owner: &str, ext_key_type| proto::MsgNewKeyRequest {
        creator: address("zrsign"),
        ext_requester: owner.to_owned(),
        ext_key_type,
        ..proto::MsgNewKeyRequest::default()
    };
    let first: proto::MsgNewKeyRequestResponse = world.response("zrsign", &ask("0xAbc", 60));
    let second: proto::MsgNewKeyRequestResponse = world.response("zrsign", &ask("0xAbc", 60));
    let other: proto::MsgNewKeyRequestResponse = world.response("zrsign", &ask("0xabc", 60));
    let [first, second, other] = [first, second, other].map(|response| world.key_request(response.key_req_id));
    assert_eq!((first.index, second.index, other.index), (0, 1, 0), "letter case is another owner");
    assert_eq!((first.creator.as_str(), &first.workspace_addr), ("0xAbc", &second.workspace_addr));
    assert_ne!(first.workspace_addr, other.workspace_addr);
    let sign = |data: &str, wallet_index| proto::MsgNewZrSignSignatureRequest {
        creator: address("zrsign"),
        address: "0xAbc".to_owned(),
        key_type: 60,
        wallet_index,
        data: data.to_owned(),
        ..proto::MsgNewZrSignSignatureRequest::default()
    };
    assert_eq!(world.send("zrsign", &sign("0102", 0)).code, 1, "no key yet");
    let key = secret("zr");
    for party in ["party1", "party2"] {
        world.send(party, &key_answer(party, first.id, &public(&key)));
    }
    let response: proto::MsgNewZrSignSignatureRequestResponse = world.response("zrsign", &sign("0102", 0));
    let request = world.sign_request(response.req_id);
    assert_eq!((request.data_for_signing, request.creator), (vec![vec![1, 2]], address("zrsign")));
    world.send("party1", &signature_answer("party1", request.id, ecdsa(&key, &digest("a"))));
    assert_eq!(world.sign_request(request.id).status, REJECTED, "such a digest never verifies");
    let listed: proto::QueryZrSignKeysResponse = world.query(
        "/zrchain.treasury.Query/ZrSignKeys",
        &proto::QueryZrSignKeysRequest { address: "0xAbc".to_owned(), ..Default::default() },
    );
    assert_eq!(listed.keys.len(), 1);
    let nobody: proto::QueryZrSignKeysResponse = world.query(
        "/zrchain.treasury.Query/ZrSignKeys",
        &proto::QueryZrSignKeysRequest { address: "0xNobody".to_owned(), ..Default::default() },
    );
    assert!(nobody.keys.is_empty());
}

#[test]
fn a_zrsign_owner_of_another_chain_cannot_pay_a_key_fee() {
    let mut genesis = genesis();
    genesis.treasury_params.mpc_keyring = keyring_of(2);
    let mut world = World::of(&genesis);
    let ask = proto::MsgNewKeyRequest {
        creator: address("zrsign"),
        ext_requester: "0xAbc".to_owned(),
        ext_key_type: 60,
        ..proto::MsgNewKeyRequest::default()
    };
    assert_eq!(world.send("zrsign", &ask).code, 111_222);
}

#[test]
fn key_pages_count_scanned_entries_and_are_no_end_when_empty() {
    let mut world = World::new();
    let (key_id, _) = world.key("alice", 1, "ecdsa");
    for _ in 0..5 {
        world.ask_signature("alice", &[key_id], &[digest("a")]);
    }
    world.send("outsider", &signature_answer("outsider", 5, vec![1; 64]));
    let mut found = Vec::new();
    let mut key = 1_u64.to_be_bytes().to_vec();
    let mut empty = 0;
    while !key.is_empty() {
        let asked = proto::QuerySignatureRequestsRequest {
            status: proto::SignRequestStatus::Rejected.into(),
            pagination: Some(PageRequest { key, limit: 2, ..PageRequest::default() }),
            ..proto::QuerySignatureRequestsRequest::default()
        };
        let reply: proto::QuerySignatureRequestsResponse =
            world.query("/zrchain.treasury.Query/SignatureRequests", &asked);
        empty += usize::from(reply.sign_requests.is_empty());
        found.extend(reply.sign_requests.iter().map(|request| request.id));
        key = reply.pagination.expect("page").next_key;
    }
    assert_eq!((found, empty), (vec![5], 2));
}

#[test]
fn a_request_event_may_carry_the_number_of_a_transaction() {
    let mut world = World::new();
    let (key_id, _) = world.key("alice", 1, "ecdsa");
    world.ask_signature("alice", &[key_id], &[digest("a")]);
    let message = proto::MsgNewSignTransactionRequest {
        creator: address("alice"),
        key_ids: vec![key_id],
        wallet_type: proto::WalletType::Native.into(),
        unsigned_transaction: b"document".to_vec(),
        ..proto::MsgNewSignTransactionRequest::default()
    };
    let result = world.send("alice", &message);
    assert_eq!(told(&result.events), [("new_sign_request", "1")]);
    let response = proto::MsgNewSignTransactionRequestResponse::decode(result.responses[0].value.as_slice());
    let response = response.expect("response");
    assert_eq!((response.id, response.signature_request_id), (1, 2));
}

#[test]
fn the_interchain_message_moves_any_request() {
    let mut world = World::new();
    let (key_id, key) = world.key("alice", 1, "ecdsa");
    let id = world.ask_signature("alice", &[key_id], &[digest("a")]);
    for party in ["party1", "party2"] {
        world.send(party, &signature_answer(party, id, ecdsa(&key, &digest("a"))));
    }
    let hole = proto::MsgFulfilIcaTransactionRequest {
        creator: address("outsider"),
        request_id: id,
        status: proto::SignRequestStatus::Rejected.into(),
        ..proto::MsgFulfilIcaTransactionRequest::default()
    };
    assert_eq!(world.send("outsider", &hole).code, 0);
    assert_eq!(world.sign_request(id).status, REJECTED);
}

fn both(world: &mut World) -> u64 {
    let rule = BoolparserPolicy {
        definition: format!("{} + {} > 1", address("alice"), address("bob")),
        participants: ["alice", "bob"]
            .map(|name| PolicyParticipant { address: address(name), ..PolicyParticipant::default() })
            .to_vec(),
    };
    let message = MsgNewPolicy {
        creator: address("alice"),
        name: "both".to_owned(),
        policy: Some(packed(&rule)),
        ..MsgNewPolicy::default()
    };
    let response: MsgNewPolicyResponse = world.response("alice", &message);
    response.id
}

/// A chain whose first workspace alice and bob own, with a key under a policy that asks both.
fn world_with_policy() -> (World, u64) {
    let mut genesis = genesis();
    genesis.workspaces[0].owners.push(address("bob"));
    let mut world = World::of(&genesis);
    let sign_policy_id = both(&mut world);
    let message = proto::MsgNewKeyRequest {
        creator: address("alice"),
        workspace_addr: workspace_of(1),
        keyring_addr: keyring_of(3),
        key_type: "ecdsa".to_owned(),
        sign_policy_id,
        ..proto::MsgNewKeyRequest::default()
    };
    let response: proto::MsgNewKeyRequestResponse = world.response("alice", &message);
    world.send("party1", &key_answer("party1", response.key_req_id, &public(&secret("k"))));
    (world, response.key_req_id)
}

fn approval(name: &str, action_id: u64) -> MsgApproveAction {
    MsgApproveAction {
        creator: address(name),
        action_type: "/zrchain.treasury.MsgNewSignatureRequest".to_owned(),
        action_id,
        ..MsgApproveAction::default()
    }
}

#[test]
fn a_policy_holds_a_request_back_until_it_is_satisfied_and_its_clock_starts_then() {
    let (mut world, key_id) = world_with_policy();
    let held = world.send("alice", &signature_ask("alice", &[key_id], &[digest("a")]));
    assert_eq!(held.code, 0);
    assert_eq!(names(&held.events), ["new_action", "new_action"]);
    assert!(held.responses[0].value.is_empty(), "response id 0");
    world.blocks(30);
    assert_eq!(world.send("alice", &approval("alice", 2)).code, 1, "approved already");
    assert_eq!(world.send("outsider", &approval("outsider", 2)).code, 1, "no participant");
    let response: MsgApproveActionResponse = world.response("bob", &approval("bob", 2));
    assert_eq!(response.status, "ACTION_STATUS_COMPLETED");
    assert_eq!(world.sign_request(1).mpc_btl, world.chain.height() + LIFE);
}

#[test]
fn an_action_times_out_and_its_creator_can_revoke_it() {
    let (mut world, key_id) = world_with_policy();
    let ask = proto::MsgNewSignatureRequest { btl: 12, ..signature_ask("alice", &[key_id], &[digest("a")]) };
    world.send("alice", &ask);
    world.blocks(12);
    let response: MsgApproveActionResponse = world.response("bob", &approval("bob", 2));
    assert_eq!(response.status, "ACTION_STATUS_TIMEOUT");
    world.send("alice", &ask);
    let revoke = |name: &str| MsgRevokeAction { creator: address(name), action_id: 3 };
    assert_eq!(world.send("bob", &revoke("bob")).code, 1);
    assert_eq!(world.send("alice", &revoke("alice")).code, 0);
    assert_eq!(world.send("bob", &approval("bob", 3)).code, 1);
}

#[test]
fn a_limit_on_amounts_comes_only_from_genesis() {
    let definition = format!("{} > 0 & TXVALUE < 10", address("alice"));
    let mut genesis = genesis();
    genesis.policies.push(GenesisPolicy {
        definition: definition.clone(),
        participants: vec![address("alice")],
        ..GenesisPolicy::default()
    });
    let mut world = World::of(&genesis);
    let participants = vec![PolicyParticipant { address: address("alice"), ..PolicyParticipant::default() }];
    let rule = BoolparserPolicy { definition, participants };
    let message = MsgNewPolicy { creator: address("alice"), policy: Some(packed(&rule)), ..MsgNewPolicy::default() };
    assert_eq!(world.send("alice", &message).code, 1, "no transaction can make one");
    let ask = proto::MsgNewKeyRequest {
        creator: address("alice"),
        workspace_addr: workspace_of(1),
        keyring_addr: keyring_of(3),
        key_type: "ecdsa".to_owned(),
        sign_policy_id: 1,
        ..proto::MsgNewKeyRequest::default()
    };
    let response: proto::MsgNewKeyRequestResponse = world.response("alice", &ask);
    world.send("party1", &key_answer("party1", response.key_req_id, &public(&secret("k"))));
    let mut pay = |value: &str, length: u8| {
        let fields = format!("{length:x}80843b9aca0082520894ea223ca8968ca59e0bc79ba331c2f6f636a3fb82{value}80808080");
        let message = proto::MsgNewSignTransactionRequest {
            creator: address("alice"),
            key_ids: vec![response.key_req_id],
            wallet_type: proto::WalletType::Evm.into(),
            unsigned_transaction: hex::decode(fields).expect("hex"),
            metadata: Some(packed(&proto::MetadataEthereum { chain_id: 1 })),
            ..proto::MsgNewSignTransactionRequest::default()
        };
        let response: proto::MsgNewSignTransactionRequestResponse = world.response("alice", &message);
        response.id
    };
    assert_eq!(pay("05", 0xe3), 1, "below the limit");
    assert_eq!(pay("880de0b6b3a7640000", 0xeb), 0, "held back");
}

#[test]
fn a_group_that_expires_is_refunded_once_more_than_it_paid() {
    let mut world = World::new();
    let (key_id, _) = world.key("alice", 2, "ecdsa");
    // The escrow holds 75 of the fulfilled key, which nothing else ever releases.
    let before = world.chain.balance(&address("alice"));
    world.ask_signature("alice", &[key_id, key_id], &[digest("a"), digest("b")]);
    assert_eq!(world.chain.balance(&address("alice")), before - 750_000 - 2 * 50);
    world.blocks(LIFE);
    assert_eq!(world.block().events.len(), 3);
    assert_eq!(world.chain.balance(&address("alice")), before - 750_000 + 50);
}

#[test]
fn a_deactivated_keyring_takes_no_requests() {
    let mut world = World::new();
    let off = MsgDeactivateKeyring { creator: address("admin"), keyring_addr: keyring_of(1) };
    assert_eq!(world.send("admin", &off).code, 0);
    let ask = proto::MsgNewKeyRequest {
        creator: address("alice"),
        workspace_addr: workspace_of(1),
        keyring_addr: keyring_of(1),
        key_type: "ecdsa".to_owned(),
        ..proto::MsgNewKeyRequest::default()
    };
    assert_eq!(world.send("alice", &ask).code, 1);
}

#[test]
fn messages_of_one_transaction_stand_or_fall_together() {
    let mut world = World::new();
    let id = world.ask_key("alice", 1, "ecdsa");
    let good = packed(&key_answer("party1", id, &public(&secret("k"))));
    let bad = packed(&key_answer("party1", 99, &public(&secret("k"))));
    let bytes = signed("party1", 0, vec![good, bad], &Style::default());
    assert_eq!(world.chain.check_tx(&bytes).code, 0);
    let result = world.block().transactions.remove(0);
    assert_eq!(result.code, 1);
    assert!(result.log.contains("message index: 1"), "{}", result.log);
    assert_eq!(world.key_request(id).status, "KEY_REQUEST_STATUS_PENDING");
}

#[test]
fn history_is_bounded_and_a_pruned_height_says_so() {
    let bounds = devnet::chain::Bounds { history_blocks: 5, ..Default::default() };
    let mut chain = Chain::with_bounds(&genesis(), bounds).expect("chain");
    let bytes = signed("alice", 0, vec![transfer("alice", "bob", 1)], &Style::default());
    assert_eq!(chain.check_tx(&bytes).code, 0);
    for second in 0..20 {
        chain.make_block(std::time::Duration::from_secs(second)).expect("a block");
    }
    let path = "/zrchain.treasury.Query/Params";
    assert!(chain.query(path, &[], Some(16)).is_ok());
    assert!(chain.query(path, &[], Some(15)).is_err());
    assert!(chain.query(path, &[], Some(21)).is_err());
    assert!(chain.block(15).is_none() && chain.transaction(&hash_of(&bytes)).is_none());
}
