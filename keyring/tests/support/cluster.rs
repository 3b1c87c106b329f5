//! Nodes without sockets, chain or crashes: one queue carries everything in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::{Address, B256, Signature};
use chain_client::zrsign::name::Proxy;
use chain_client::zrsign::transaction::{Caps, Surroundings};
use chain_client::{AnswerLoad, ChainKey, Height, Request, RequestId, RequestKind, SignedTx};
use keyring::admission::Sighting;
use keyring::agreement::Audience;
use keyring::committee::Committee;
use keyring::decree::{DecreeId, Kind};
use keyring::identity::NodeIdentity;
use keyring::lease::{Held, Life, Process};
use keyring::message::{Attachment, Content, Envelope, Packet};
use keyring::node::{
    BlockName, ChainNews, ChainSetup, ContractNews, ContractSetup, DestinationLook, Effects, Event, Node, Order,
    RunNews, Setup, Unread,
};
use keyring::outbox::{Order as PenOrder, Pen};
use keyring::runs::{AnyRun, Workshop};
use keyring::sender::{PenError, Settings};
use keyring::store::{MemoryStore, Store, StoreError, Table};
use mpc_core::{KeyShare, PartyIndex, Recipient, SessionId, Step, Suite, Threshold, Transparent};
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

pub(crate) const CHAIN: &str = "test";
pub(crate) const KEYRING: &str = "keyring1test";

/// An EVM chain to which simple transactions may go.
pub(crate) const DESTINATION: u64 = 31_338;
/// What these may cost.
pub(crate) const CAPS: Caps = Caps { tip: 1, gas_price_max: 1_000, gas_limit_max: 100_000 };

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

/// Has no key.
struct SilentEvmPen;

impl keyring::sender::Pen for SilentEvmPen {
    fn account(&self) -> Address {
        Address::ZERO
    }
    fn sign(&self, _: B256) -> Result<Signature, PenError> {
        Err(PenError)
    }
}

fn contract_setup(proxy: Proxy) -> ContractSetup {
    let settings = Settings {
        chain: proxy.chain,
        wait_blocks: 3,
        factor_percent: 200,
        tip: 0,
        price_max: 1,
        max_loss_per_answer: 1,
        max_loss_per_day: 1,
    };
    ContractSetup { proxy, destinations: Vec::new(), settings, pen: Arc::new(SilentEvmPen) }
}

/// What a request is called among parties.
pub(crate) fn decree(request: RequestId) -> DecreeId {
    DecreeId {
        chain: CHAIN.to_owned(),
        keyring: KEYRING.to_owned(),
        kind: if request.kind == RequestKind::Key { Kind::Key } else { Kind::Signature },
        request: request.number,
        event: None,
        item: 0,
    }
}

pub(crate) struct Party {
    pub(crate) node: Node,
    pub(crate) instance: u64,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) identity: NodeIdentity,
    workshop: Workshop,
    /// Live runs, and who takes part.
    runs: BTreeMap<SessionId, (AnyRun, Vec<PartyIndex>)>,
    early: BTreeMap<SessionId, Vec<(PartyIndex, Vec<u8>)>>,
}

enum Mail {
    Event(Event),
    Round(SessionId, PartyIndex, Vec<u8>),
}

pub(crate) struct Cluster {
    pub(crate) parties: Vec<Party>,
    committee: Arc<Committee>,
    contracts: Vec<Proxy>,
    /// How often a process has died and come back.
    pub(crate) restarts: usize,
    down: Vec<PartyIndex>,
    queue: VecDeque<(PartyIndex, Mail)>,
    pub(crate) now: u64,
    rng: ChaCha20Rng,
    /// Final blocks of the destination as each party's endpoint shows them; none: it is down.
    pub(crate) destination: Vec<Vec<(BlockName, Surroundings)>>,
    /// Blocks of it that each party has asked its endpoint about by name.
    pub(crate) destination_reads: Vec<Vec<BlockName>>,
    /// What a node estimates for any call at the blocks that come.
    pub(crate) gas_estimate: u64,
}

impl Party {
    /// A process begins with what its disk remembers.
    fn begin(
        me: PartyIndex,
        identity: NodeIdentity,
        store: Arc<MemoryStore>,
        committee: &Arc<Committee>,
        contracts: &[Proxy],
        now: u64,
    ) -> Self {
        let boot = store.raise_boot().unwrap();
        let instance = boot << 16 | u64::from(me.get());
        let setup = Setup {
            me,
            process: Process { life: Life { incarnation: 0, boot }, instance },
            committee: committee.clone(),
            keys_per_lane: BTreeMap::from([(Suite::Secp256k1, 1), (Suite::Ed25519, 1)]),
            slots: 1,
            live_max: 64,
            contracts: contracts.iter().map(|proxy| contract_setup(*proxy)).collect(),
            destinations: BTreeMap::from([(DESTINATION, CAPS)]),
            chains: vec![ChainSetup {
                chain: CHAIN.to_owned(),
                keyring: KEYRING.to_owned(),
                reserved: vec![],
                endpoints: 1,
                pen: Arc::new(SilentPen(format!("party{me}"))),
            }],
        };
        let node = Node::recover(setup, store.clone(), now).unwrap();
        let workshop = Workshop {
            me,
            threshold: committee.threshold(),
            store: store.clone(),
            engine: Arc::new(Transparent),
            primes: Box::new(move || Some(mpc_core::testing::primes_for(&Transparent, me))),
        };
        Self { node, instance, store, identity, workshop, runs: BTreeMap::new(), early: BTreeMap::new() }
    }
}

impl Cluster {
    /// A process that died begins again, from what reached its disk. Its links come up anew.
    fn restart(&mut self, party: PartyIndex) {
        self.restarts += 1;
        let place = usize::from(party.get());
        let seed = u64::from(party.get());
        let store = Arc::new(MemoryStore::open(self.parties[place].store.snapshot(), seed).unwrap());
        let identity = NodeIdentity::from_seed(&Zeroizing::new([party.get() as u8 + 1; 32]));
        self.queue.retain(|(to, _)| *to != party);
        self.parties[place] = Party::begin(party, identity, store, &self.committee, &self.contracts, self.now);
        self.tell(party, Event::Primes(true));
        let others: Vec<_> =
            (0..self.parties.len() as u16).map(PartyIndex::new).filter(|other| *other != party).collect();
        for other in others {
            self.tell(other, Event::LinkDown(party));
            self.tell(other, Event::LinkUp(party, 1));
            self.tell(party, Event::LinkUp(other, 1));
        }
        self.perform(party);
    }

    pub(crate) fn of(need: u16, of: u16) -> Self {
        Self::with(need, of, &[])
    }

    /// The same, asked for the controller keys of these contracts.
    pub(crate) fn with(need: u16, of: u16, contracts: &[Proxy]) -> Self {
        let mut cluster = Self::before_anything(need, of, contracts);
        cluster.settle();
        cluster
    }

    /// The same before anybody was heard.
    pub(crate) fn before_anything(need: u16, of: u16, contracts: &[Proxy]) -> Self {
        let threshold = Threshold::new(need, of).unwrap();
        let identities: Vec<NodeIdentity> =
            (0..of).map(|i| NodeIdentity::from_seed(&Zeroizing::new([i as u8 + 1; 32]))).collect();
        let keys = identities
            .iter()
            .map(|identity| ed25519_dalek::VerifyingKey::from_bytes(&identity.public()).unwrap())
            .collect();
        let committee = Arc::new(Committee::new(1, threshold, keys).unwrap());
        let parties = identities.into_iter().zip(0..of).map(|(identity, i)| {
            let store = Arc::new(MemoryStore::new(u64::from(i)));
            Party::begin(PartyIndex::new(i), identity, store, &committee, contracts, 0)
        });
        let parties = parties.collect();
        let rng = ChaCha20Rng::seed_from_u64(7);
        let mut cluster = Self {
            parties,
            committee: committee.clone(),
            contracts: contracts.to_vec(),
            restarts: 0,
            down: vec![],
            queue: VecDeque::new(),
            now: 0,
            rng,
            destination: vec![vec![]; usize::from(of)],
            destination_reads: vec![vec![]; usize::from(of)],
            gas_estimate: 0,
        };
        cluster.tell_all(|| Event::Primes(true));
        for i in 0..of {
            for j in (0..of).filter(|j| *j != i) {
                cluster.tell(PartyIndex::new(i), Event::LinkUp(PartyIndex::new(j), 1));
            }
        }
        cluster
    }

    pub(crate) fn tell(&mut self, to: PartyIndex, event: Event) {
        self.queue.push_back((to, Mail::Event(event)));
    }

    pub(crate) fn tell_all(&mut self, event: impl Fn() -> Event) {
        for i in 0..self.parties.len() {
            self.tell(PartyIndex::new(i as u16), event());
        }
    }

    /// A party signs this and says it to all others, whatever its node thinks.
    pub(crate) fn says(&mut self, party: u16, content: Content) {
        let from = PartyIndex::new(party);
        let Party { identity, instance, store, .. } = &self.parties[usize::from(party)];
        let head = store.head();
        let envelope = Envelope::sign(identity, 1, (from, *instance), content, head.position, head.hash);
        let packet = Packet { envelope, attachment: Attachment::default() };
        for other in (0..self.parties.len() as u16).map(PartyIndex::new).filter(|other| *other != from) {
            self.tell(other, Event::Packet(Box::new(packet.clone())));
        }
    }

    pub(crate) fn stop(&mut self, party: u16) {
        self.down.push(PartyIndex::new(party));
        self.tell_all(|| Event::LinkDown(PartyIndex::new(party)));
    }

    /// Delivers everything, then lets time pass, until nothing but time happens.
    pub(crate) fn settle(&mut self) {
        for _ in 0..60 {
            while let Some((to, mail)) = self.queue.pop_front() {
                if self.down.contains(&to) {
                    continue;
                }
                let party = &mut self.parties[usize::from(to.get())];
                match mail {
                    Mail::Event(event) => party.node.on(self.now, event),
                    Mail::Round(session, from, body) => match party.runs.get_mut(&session) {
                        Some((run, _)) => {
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
        let head = match party.store.append(&entries) {
            Ok(head) => head,
            Err(StoreError::Crashed) => return self.restart(at),
            Err(error) => panic!("{error}"),
        };
        party.node.committed();
        for order in orders {
            let party = &mut self.parties[usize::from(at.get())];
            match order {
                Order::Say { to, content, attachment } => {
                    let envelope =
                        Envelope::sign(&party.identity, 1, (at, party.instance), content, head.position, head.hash);
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
                    party.runs.insert(session, (begun, run.parties(party.workshop.threshold)));
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
                Order::LookAtDestination { decree, at: block, .. } => {
                    self.destination_reads[usize::from(at.get())].extend(block);
                    let said = Box::new(self.destination_at(at, block));
                    let news = ContractNews::Destination { decree: decree.clone(), at: block, said };
                    self.tell(at, Event::Contract(decree.chain, news));
                }
                Order::ShowJournal { peer, nonce, position } => {
                    let held = party.store.hash_at(position).unwrap().map(|hash| Held { position, hash });
                    self.tell(at, Event::Journal { peer, nonce, held });
                }
                Order::ReadTogether(..)
                | Order::Confirm(..)
                | Order::Explain(..)
                | Order::Examine { .. }
                | Order::ReadStanding(..)
                | Order::Broadcast(..)
                | Order::LookAtContract { .. }
                | Order::Simulate { .. }
                | Order::Send(..)
                | Order::Note(_) => {}
            }
        }
    }

    fn destination_at(&self, party: PartyIndex, wanted: Option<BlockName>) -> Result<DestinationLook, Unread> {
        let blocks = &self.destination[usize::from(party.get())];
        let (last, newest) = blocks.last().ok_or_else(|| Unread::Destination("it is down".to_owned()))?;
        let wanted = wanted.unwrap_or(*last);
        let other = || Unread::Question("another block".to_owned());
        let (at, surroundings) = blocks.iter().find(|(block, _)| *block == wanted).ok_or_else(other)?;
        Ok(DestinationLook { last_final: *last, nonce_final: newest.nonce, at: *at, surroundings: *surroundings })
    }

    /// The next final block of the destination, at all parties' endpoints.
    pub(crate) fn destination_goes_on(&mut self, nonce: u64, base_fee: u128) {
        for blocks in &mut self.destination {
            let height = blocks.last().map_or(100, |(block, _)| block.height + 1);
            let hash = alloy_primitives::keccak256(height.to_be_bytes());
            blocks
                .push((BlockName { height, hash }, Surroundings { nonce, base_fee, gas_estimate: self.gas_estimate }));
        }
    }

    /// Rounds of runs that came to parties which take no part in them.
    pub(crate) fn unclaimed_rounds(&self) -> usize {
        self.parties.iter().flat_map(|party| party.early.values()).map(Vec::len).sum()
    }

    fn step(&mut self, at: PartyIndex, session: SessionId) {
        loop {
            let party = &mut self.parties[usize::from(at.get())];
            let Some((run, parties)) = party.runs.get_mut(&session) else { return };
            match run.step() {
                Step::Send { to, body } => {
                    for i in parties.iter().copied().filter(|i| *i != at) {
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

    pub(crate) fn ask(&mut self, request: Request, key: Option<ChainKey>) -> DecreeId {
        let decree = decree(request.id);
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
    pub(crate) fn answers(&self, decree: &DecreeId) -> Vec<Vec<u8>> {
        let record = |party: &Party| {
            let bytes = party.store.read(Table::Decree, &decree.to_bytes()).unwrap()?;
            keyring::agreement::Record::decode(&bytes).unwrap().decided
        };
        self.parties.iter().filter_map(record).map(|certificate| certificate.answer).collect()
    }
}
