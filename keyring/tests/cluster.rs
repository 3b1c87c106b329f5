//! Nodes as a stranger would use them: no sockets, no chain, no crashes. One queue carries everything in order.
//! The simulation (`sim/`) does the rest.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chain_client::{
    Answer, AnswerLoad, Ask, ChainKey, Height, KeyType, Question, Request, RequestId, RequestKind, SignedTx, Status,
};
use keyring::admission::Sighting;
use keyring::agreement::Audience;
use keyring::committee::Committee;
use keyring::decree::{DecreeId, Kind};
use keyring::identity::NodeIdentity;
use keyring::lease::{LEASE_MS, LeaseWord, Life, Process, Refusal};
use keyring::message::{Attachment, Content, Envelope, Packet};
use keyring::node::{ChainNews, ChainSetup, Effects, Event, Node, Order, RunNews, Setup};
use keyring::outbox::{Order as PenOrder, Pen};
use keyring::runs::{AnyRun, Workshop};
use keyring::store::{MemoryStore, Store, Table};
use mpc_core::{KeyShare, PartyIndex, Recipient, SessionId, Step, Suite, Threshold, Transparent};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

const CHAIN: &str = "test";
const KEYRING: &str = "keyring1test";

struct SilentPen(String);

impl Pen for SilentPen {
    fn account(&self) -> &str {
        &self.0
    }
    fn answer(&self, _: &PenOrder<'_>) -> Option<SignedTx> {
        None
    }
    fn fee(&self, _: &PenOrder<'_>) -> Option<u128> {
        None
    }
    fn nothing(&self, _: u64, _: u64, _: u32) -> Option<SignedTx> {
        None
    }
}

struct Party {
    node: Node,
    store: Arc<MemoryStore>,
    identity: NodeIdentity,
    workshop: Workshop,
    runs: BTreeMap<SessionId, AnyRun>,
    early: BTreeMap<SessionId, Vec<(PartyIndex, Vec<u8>)>>,
}

enum Mail {
    Event(Event),
    Round(SessionId, PartyIndex, Vec<u8>),
}

struct Cluster {
    parties: Vec<Party>,
    down: Vec<PartyIndex>,
    queue: VecDeque<(PartyIndex, Mail)>,
    now: u64,
    rng: ChaCha20Rng,
}

impl Cluster {
    fn of(need: u16, of: u16) -> Self {
        let threshold = Threshold::new(need, of).unwrap();
        let identities: Vec<NodeIdentity> =
            (0..of).map(|i| NodeIdentity::from_seed(&Zeroizing::new([i as u8 + 1; 32]))).collect();
        let keys = identities
            .iter()
            .map(|identity| ed25519_dalek::VerifyingKey::from_bytes(&identity.public()).unwrap())
            .collect();
        let committee = Arc::new(Committee::new(1, threshold, keys).unwrap());
        let parties = identities.into_iter().zip(0..of).map(|(identity, i)| {
            let me = PartyIndex::new(i);
            let store = Arc::new(MemoryStore::new(u64::from(i)));
            let setup = Setup {
                me,
                process: Process { life: Life { incarnation: 0, boot: 1 }, instance: u64::from(i) },
                committee: committee.clone(),
                keys_per_lane: BTreeMap::from([(Suite::Secp256k1, 1), (Suite::Ed25519, 1)]),
                slots: 1,
                live_max: 64,
                chains: vec![ChainSetup {
                    chain: CHAIN.to_owned(),
                    keyring: KEYRING.to_owned(),
                    reserved: vec![],
                    endpoints: 1,
                    pen: Arc::new(SilentPen(format!("party{i}"))),
                }],
            };
            let node = Node::recover(setup, store.clone(), 0).unwrap();
            let workshop = Workshop {
                me,
                threshold,
                store: store.clone(),
                engine: Arc::new(Transparent),
                primes: Box::new(move || Some(mpc_core::testing::primes_for(&Transparent, me))),
            };
            Party { node, store, identity, workshop, runs: BTreeMap::new(), early: BTreeMap::new() }
        });
        let parties = parties.collect();
        let rng = ChaCha20Rng::seed_from_u64(7);
        let mut cluster = Self { parties, down: vec![], queue: VecDeque::new(), now: 0, rng };
        cluster.tell_all(|| Event::Primes(true));
        for i in 0..of {
            for j in (0..of).filter(|j| *j != i) {
                cluster.tell(PartyIndex::new(i), Event::LinkUp(PartyIndex::new(j), 1));
            }
        }
        cluster.settle();
        cluster
    }

    fn tell(&mut self, to: PartyIndex, event: Event) {
        self.queue.push_back((to, Mail::Event(event)));
    }

    fn tell_all(&mut self, event: impl Fn() -> Event) {
        for i in 0..self.parties.len() {
            self.tell(PartyIndex::new(i as u16), event());
        }
    }

    fn stop(&mut self, party: u16) {
        self.down.push(PartyIndex::new(party));
        self.tell_all(|| Event::LinkDown(PartyIndex::new(party)));
    }

    /// Delivers everything, then lets time pass, until nothing but time happens.
    fn settle(&mut self) {
        for _ in 0..60 {
            while let Some((to, mail)) = self.queue.pop_front() {
                if self.down.contains(&to) {
                    continue;
                }
                let party = &mut self.parties[usize::from(to.get())];
                match mail {
                    Mail::Event(event) => party.node.on(self.now, event),
                    Mail::Round(session, from, body) => match party.runs.get_mut(&session) {
                        Some(run) => {
                            let _ = run.receive(from, &body);
                            self.step(to, session);
                        }
                        None => party.early.entry(session).or_default().push((from, body)),
                    },
                }
                self.perform(to);
            }
            self.now += 500;
            self.tell_all(|| Event::Tick);
        }
    }

    fn perform(&mut self, at: PartyIndex) {
        let party = &mut self.parties[usize::from(at.get())];
        let Effects { entries, orders } = party.node.take_effects();
        let head = party.store.append(&entries).unwrap();
        party.node.committed();
        for order in orders {
            let party = &mut self.parties[usize::from(at.get())];
            match order {
                Order::Say { to, content, attachment } => {
                    let envelope = Envelope::sign(
                        &party.identity,
                        1,
                        (at, u64::from(at.get())),
                        content,
                        head.position,
                        head.hash,
                    );
                    let packet = Packet { envelope, attachment: *attachment };
                    for i in (0..self.parties.len()).map(|i| PartyIndex::new(i as u16)) {
                        if to == Audience::All || to == Audience::One(i) {
                            self.tell(i, Event::Packet(Box::new(packet.clone())));
                        }
                    }
                }
                Order::Start { session, run, .. } => {
                    let mut begun = party.workshop.begin(session, &run, &mut self.rng).unwrap();
                    for (from, body) in party.early.remove(&session).unwrap_or_default() {
                        let _ = begun.receive(from, &body);
                    }
                    party.runs.insert(session, begun);
                    self.step(at, session);
                }
                Order::Stop(session) => {
                    party.runs.remove(&session);
                }
                Order::Prove(key, context) => {
                    let bytes = party.store.read(Table::Share, key.as_bytes()).unwrap().unwrap();
                    let proof = KeyShare::decode(&bytes).unwrap().prove(&context, &mut self.rng);
                    self.tell(at, Event::Proved(key, proof));
                }
                Order::Draw => {
                    let nonce = self.rng.next_u64();
                    self.tell(at, Event::Nonce(nonce));
                }
                Order::ShowJournal { .. }
                | Order::ReadTogether(..)
                | Order::Confirm(..)
                | Order::Explain(..)
                | Order::Examine { .. }
                | Order::ReadStanding(..)
                | Order::Broadcast(..)
                | Order::Note(_) => {}
            }
        }
    }

    fn step(&mut self, at: PartyIndex, session: SessionId) {
        loop {
            let party = &mut self.parties[usize::from(at.get())];
            let Some(run) = party.runs.get_mut(&session) else { return };
            match run.step() {
                Step::Send { to, body } => {
                    for i in (0..self.parties.len()).map(|i| PartyIndex::new(i as u16)).filter(|i| *i != at) {
                        if to == Recipient::All || to == Recipient::One(i) {
                            self.queue.push_back((i, Mail::Round(session, at, body.clone())));
                        }
                    }
                }
                Step::Yield => {}
                Step::Wait => return,
                Step::Done(news) => {
                    party.runs.remove(&session);
                    return self.tell(at, Event::Run(session, news));
                }
                Step::Stop(abort) => {
                    party.runs.remove(&session);
                    let culprits = abort.culprits().into_iter().collect();
                    let news = RunNews::Failed { culprits, reason: abort.to_string() };
                    return self.tell(at, Event::Run(session, news));
                }
            }
        }
    }

    fn ask(&mut self, request: Request, key: Option<ChainKey>) -> DecreeId {
        let decree = DecreeId {
            chain: CHAIN.to_owned(),
            keyring: KEYRING.to_owned(),
            kind: if request.id.kind == RequestKind::Key { Kind::Key } else { Kind::Signature },
            request: request.id.number,
            item: 0,
        };
        for i in 0..self.parties.len() {
            let sighting = Sighting {
                decree: decree.clone(),
                request: request.clone(),
                created: Height(5),
                key: key.clone(),
                creator_owns_workspace: true,
                load: AnswerLoad { kind: request.id.kind, record_bytes: 200, parent_bytes: 0, takes_fee: false },
            };
            let news = ChainNews::Seen(Box::new(sighting));
            self.tell(PartyIndex::new(i as u16), Event::Chain(CHAIN.to_owned(), news));
        }
        self.settle();
        decree
    }

    /// The decided bytes, of every party whose store holds the decision.
    fn answers(&self, decree: &DecreeId) -> Vec<Vec<u8>> {
        let record = |party: &Party| {
            let bytes = party.store.read(Table::Decree, &decree.to_bytes()).unwrap()?;
            keyring::agreement::Record::decode(&bytes).unwrap().decided
        };
        self.parties.iter().filter_map(record).map(|certificate| certificate.answer).collect()
    }
}

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
