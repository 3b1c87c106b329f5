//! Nodes as a stranger would use them: no sockets, no chain, no crashes.
//! The simulation (`sim/`) does the rest.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]
#![allow(dead_code, reason = "the support serves several targets")]

#[path = "support/cluster.rs"]
mod support;

use chain_client::{Answer, Ask, ChainKey, Height, KeyType, Question, Request, RequestId, Status};
use keyring::decree::Ballot;
use keyring::lease::{LEASE_MS, LeaseWord, Life, Refusal};
use keyring::message::{Attachment, Content, Envelope, Packet, Statement};
use keyring::node::{Dropped, Effects, Event, Order};
use keyring::store::Store;
use mpc_core::PartyIndex;
use support::{Cluster, KEYRING, decree};

fn request(id: RequestId, ask: Ask) -> Request {
    Request {
        id,
        creator: "zen1user".to_owned(),
        ask,
        deadline: Some(Height(1_000)),
        parent: None,
        status: Status::Pending,
        answered_by: Default::default(),
        shown: vec![],
        reject_reason: String::new(),
        record_bytes: 200,
    }
}

fn make_key(cluster: &mut Cluster, number: u64, key_type: KeyType, expected: usize) -> ChainKey {
    let ask = Ask::Key { key_type, keyring: KEYRING.to_owned(), workspace: "workspace1".to_owned() };
    let decree = cluster.ask(request(RequestId::key(number), ask), None);
    let answers = cluster.answers(&decree);
    assert_eq!(answers.len(), expected, "parties that know the decision on {decree}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    ChainKey {
        id: number,
        key_type,
        public_key: answers[0].clone(),
        workspace: "workspace1".to_owned(),
        keyring: KEYRING.to_owned(),
        is_deposit: false,
    }
}

fn sign(cluster: &mut Cluster, number: u64, key: &ChainKey, payload: &[u8], expected: usize) -> Answer {
    let ask = Ask::Signature { key: key.id, key_type: key.key_type, payload: payload.to_vec() };
    let decree = cluster.ask(request(RequestId::signature(number), ask), Some(key.clone()));
    let answers = cluster.answers(&decree);
    assert_eq!(answers.len(), expected, "parties that know the decision on {decree}");
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let question =
        Question::Signature { key_type: key.key_type, public_key: key.public_key.clone(), payload: payload.to_vec() };
    question.decided(&answers[0]).expect("a canonical signature that verifies")
}

#[test]
fn three_parties_make_keys_and_sign_with_them() {
    let mut cluster = Cluster::of(2, 3);
    let ecdsa = make_key(&mut cluster, 1, KeyType::EcdsaSecp256k1, 3);
    let bitcoin = make_key(&mut cluster, 2, KeyType::BitcoinSecp256k1, 3);
    let eddsa = make_key(&mut cluster, 3, KeyType::EddsaEd25519, 3);
    assert_ne!(ecdsa.public_key, bitcoin.public_key);
    sign(&mut cluster, 1, &ecdsa, &[7; 32], 3);
    sign(&mut cluster, 2, &bitcoin, &[8; 32], 3);
    sign(&mut cluster, 3, &eddsa, b"a whole message of any length", 3);
}

#[test]
fn with_one_of_five_stopped_the_rest_answer_from_the_shelf_and_sign() {
    for stopped in 0..5 {
        let mut cluster = Cluster::of(3, 5);
        cluster.stop(stopped);
        let ecdsa = make_key(&mut cluster, 1, KeyType::EcdsaSecp256k1, 4);
        let eddsa = make_key(&mut cluster, 2, KeyType::EddsaEd25519, 4);
        sign(&mut cluster, 1, &ecdsa, &[7; 32], 4);
        sign(&mut cluster, 2, &eddsa, b"message", 4);
    }
}

#[test]
fn two_of_five_may_sign_though_three_must_agree() {
    let mut cluster = Cluster::of(2, 5);
    let ecdsa = make_key(&mut cluster, 1, KeyType::EcdsaSecp256k1, 5);
    sign(&mut cluster, 1, &ecdsa, &[9; 32], 5);
}

#[test]
fn what_signers_say_in_a_run_reaches_nobody_else() {
    let mut cluster = Cluster::of(2, 5);
    let ecdsa = make_key(&mut cluster, 1, KeyType::EcdsaSecp256k1, 5);
    let eddsa = make_key(&mut cluster, 2, KeyType::EddsaEd25519, 5);
    sign(&mut cluster, 1, &ecdsa, &[7; 32], 5);
    sign(&mut cluster, 2, &eddsa, b"message", 5);
    assert_eq!(cluster.unclaimed_rounds(), 0);
}

#[test]
fn a_peer_that_speaks_of_requests_nobody_shows_crowds_out_only_itself() {
    const PER_PEER: u64 = 4_096;
    let mut cluster = Cluster::of(2, 3);
    cluster.settle();
    let early = |cluster: &Cluster| cluster.parties[0].node.dropped().get(&Dropped::Early).copied().unwrap_or(0);
    let speak = |cluster: &mut Cluster, from: u16, number: u64| {
        let decree = decree(RequestId::signature(number));
        let identity = &cluster.parties[usize::from(from)].identity;
        let content = Content::Decree {
            decree,
            ballot: Ballot { attempt: 0, leader: PartyIndex::new(from) },
            statement: Statement::Ask,
        };
        let instance = cluster.parties[usize::from(from)].instance;
        let envelope = Envelope::sign(identity, 1, (PartyIndex::new(from), instance), content, 0, [0; 32]);
        let packet = Packet { envelope, attachment: Attachment::default() };
        let now = cluster.now;
        cluster.parties[0].node.on(now, Event::Packet(Box::new(packet)));
    };
    speak(&mut cluster, 1, 1_000_000);
    (0..PER_PEER).for_each(|number| speak(&mut cluster, 2, number));
    assert_eq!(early(&cluster), 0);
    (0..10).for_each(|number| speak(&mut cluster, 2, PER_PEER + number));
    assert_eq!(early(&cluster), 10);
    (1..PER_PEER).for_each(|number| speak(&mut cluster, 1, number));
    assert_eq!(early(&cluster), 10, "the other peer has room of its own");
}

/// Law 11: a copy of a party that runs beside it is another process.
#[test]
fn a_second_process_of_a_party_is_not_heard() {
    let mut cluster = Cluster::of(2, 3);
    cluster.settle();
    let decree = decree(RequestId::signature(1));
    let ballot = Ballot { attempt: 0, leader: PartyIndex::new(1) };
    let words = [Statement::Ask, Statement::Prepare, Statement::Join { proposal: [1; 32], share: None }];
    for (number, statement) in (1..).zip(words) {
        let content = Content::Decree { decree: decree.clone(), ballot, statement };
        let copy = cluster.parties[1].instance + 1;
        let identity = &cluster.parties[1].identity;
        let envelope = Envelope::sign(identity, 1, (PartyIndex::new(1), copy), content, 0, [0; 32]);
        let packet = Packet { envelope, attachment: Attachment::default() };
        let now = cluster.now;
        let node = &mut cluster.parties[0].node;
        node.on(now, Event::Packet(Box::new(packet)));
        let Effects { entries, orders } = node.take_effects();
        assert!(entries.is_empty() && orders.is_empty(), "{orders:?}");
        assert_eq!(node.dropped().get(&Dropped::Instance), Some(&number));
    }
}

const RESTORE: u64 = 77;

/// A statement of a party to another one, as its next process would say it.
fn statement(cluster: &Cluster, from: u16, to: u16, word: LeaseWord) -> Envelope {
    let identity = &cluster.parties[usize::from(from)].identity;
    let content = Content::Lease(PartyIndex::new(to), word);
    Envelope::sign(identity, 1, (PartyIndex::new(from), 99), content, 0, [0; 32])
}

/// What party 0 answers when party 4 comes back from a backup with these consents.
fn answer_to_restored(cluster: &mut Cluster, nonce: u64, consents: Vec<Envelope>) -> LeaseWord {
    let life = Life { incarnation: 1, boot: 1 };
    let word = LeaseWord::Hello { life, nonce, held: None, restore: RESTORE };
    let packet = Packet {
        envelope: statement(cluster, 4, 0, word),
        attachment: Attachment { consents, ..Attachment::default() },
    };
    let party = &mut cluster.parties[0];
    party.node.on(cluster.now, Event::Packet(Box::new(packet)));
    let Effects { entries, orders } = party.node.take_effects();
    party.store.append(&entries).unwrap();
    party.node.committed();
    let said = orders.into_iter().find_map(|order| match order {
        Order::Say { content: Content::Lease(to, word), .. } if to == PartyIndex::new(4) => Some(word),
        _ => None,
    });
    said.expect("an answer")
}

#[test]
fn only_consents_that_more_than_half_of_the_peers_signed_for_this_restore_bring_a_party_back() {
    let mut cluster = Cluster::of(3, 5);
    cluster.stop(4);
    cluster.settle();
    cluster.now += 2 * LEASE_MS;
    let consent = |cluster: &Cluster, from: u16, to: u16, restore: u64, incarnation: u64| {
        statement(cluster, from, to, LeaseWord::Consent { incarnation, restore })
    };
    let good: Vec<Envelope> = (1..4).map(|from| consent(&cluster, from, 4, RESTORE, 1)).collect();
    let mut forged = good.clone();
    forged[2].from = PartyIndex::new(0);
    let with_last = |last: Envelope| [good[..2].to_vec(), vec![last]].concat();
    let bad = [
        ("none", Vec::new()),
        ("half", good[..2].to_vec()),
        ("one of them twice", with_last(good[0].clone())),
        ("one under another's name", forged),
        ("its own", with_last(consent(&cluster, 4, 4, RESTORE, 1))),
        ("to another party", with_last(consent(&cluster, 3, 2, RESTORE, 1))),
        ("to another restore", with_last(consent(&cluster, 3, 4, RESTORE + 1, 1))),
        ("to another incarnation", with_last(consent(&cluster, 3, 4, RESTORE, 2))),
    ];
    for (nonce, (what, consents)) in (1..).zip(bad) {
        let answer = answer_to_restored(&mut cluster, nonce, consents);
        let refused = matches!(answer, LeaseWord::Refused { reason: Refusal::NeedsConsent, .. });
        assert!(refused, "{what}: {answer:?}");
    }
    let answer = answer_to_restored(&mut cluster, 99, good);
    assert!(matches!(answer, LeaseWord::Granted { nonce: 99, .. }), "{answer:?}");
}
