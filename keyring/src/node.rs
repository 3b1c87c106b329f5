//! One party as a pure machine: events in, journal entries and orders out.
//!
//! The shell feeds [`Node::on`], takes the [`Effects`], appends their entries in one durable write, calls
//! [`Node::committed`], and only then carries the orders out (law 9). Time comes with the event, randomness never does:
//! runs get theirs from the shell. Simulation and daemon drive the same machine.
//!
//! | Room | Does |
//! | --- | --- |
//! | `node/agree.rs` | decrees: what peers say, turns, runs, decisions |
//! | `node/view.rs` | what a decree may ask of the node ([`crate::agreement::Rules`]) |
//! | `node/stock.rs` | shelf keys and auxiliary data |
//! | `node/chain.rs` | sightings, publication, what became of requests |
//! | `node/standing.rs` | the lease: which process is heard, when this one may act |
//! | `node/recover.rs` | the node as its store remembers it |
//! | `node/shown.rs` | what it shows of its chains and of what it threw away |
//! | `node/memory.rs` | the store and what will be written next, read as one |

mod agree;
mod chain;
mod memory;
mod recover;
mod shown;
mod standing;
mod stock;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::{Height, Hint, KeyringFacts, LowWater, Reading, Request, RequestId, SignedTx, Standing, TxHash};
use mpc_core::{AuxInfo, Commitments, KeyId, KeyShare, Partial, PartyIndex, Payload, Possession, SessionId, Suite};

pub use self::chain::decree_of;
use self::memory::Memory;
pub use self::memory::Records;
pub use self::recover::{RecoverError, cursor};
pub use self::shown::{ChainShown, Dropped};
pub use self::standing::{REMEMBERED, Word, incarnation};
use self::stock::Stock;
pub use self::stock::{auxiliary_key, first_counters};
use crate::admission::{Job, Sighting};
use crate::agreement::clock::{GAP_ASSUMED_MS, Millis};
use crate::agreement::{Audience, Decree, Surroundings};
use crate::committee::Committee;
use crate::decree::DecreeId;
use crate::lease::{Held, Lease, Process};
use crate::message::{Attachment, Content, Envelope, Packet};
use crate::outbox::{Outbox, Pen};
use crate::request::RequestRecord;
use crate::shelf::Shelf;
use crate::store::Entry;

/// Decrees that peers may speak of before the own endpoint shows their request.
const EARLY_DECREES_MAX: usize = 256;
/// Packets kept for each of these.
const EARLY_PACKETS_MAX: usize = 192;

/// What a node is: fixed while it runs.
pub struct Setup {
    /// This party's place.
    pub me: PartyIndex,
    /// This process: its boot counter was raised durably a moment ago, its instance number drawn.
    pub process: Process,
    /// The roster in force.
    pub committee: Arc<Committee>,
    /// Free keys that each lane keeps, by curve; a curve that is not named gets none.
    pub keys_per_lane: BTreeMap<Suite, usize>,
    /// Interactive ECDSA runs that this party leads or computes at a time: `max(1, cores − 1)`.
    pub slots: usize,
    /// Open requests worked on at a time; more wait in the chain's own list.
    pub live_max: usize,
    /// One entry per chain and keyring served.
    pub chains: Vec<ChainSetup>,
}

/// A keyring on a chain, and this party's account there.
pub struct ChainSetup {
    /// Chain id.
    pub chain: String,
    /// Keyring address.
    pub keyring: String,
    /// Key ids that need no owner (law 4).
    pub reserved: Vec<u64>,
    /// How many endpoints the chain is read through.
    pub endpoints: usize,
    /// Signs this party's transactions.
    pub pen: Arc<dyn Pen + Send + Sync>,
}

/// News for a node.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// A peer's link came up; its round trip in milliseconds, as far as known.
    LinkUp(PartyIndex, Millis),
    /// A peer's link broke.
    LinkDown(PartyIndex),
    /// A peer, or this party itself, said something.
    Packet(Box<Packet>),
    /// News of a run.
    Run(SessionId, RunNews),
    /// A share was read back from disk, unsealed and proved.
    Proved(KeyId, Possession),
    /// News of a chain.
    Chain(String, ChainNews),
    /// Whether safe primes for a run of auxiliary data are at hand.
    Primes(bool),
    /// Fresh chance, drawn when [`Order::Draw`] was carried out.
    Nonce(u64),
    /// What the journal held where [`Order::ShowJournal`] asked; `None` if it does not reach there.
    Journal {
        /// Who asked.
        peer: PartyIndex,
        /// In which hello.
        nonce: u64,
        /// Position and hash.
        held: Option<Held>,
    },
    /// An operator decides about a peer.
    Operator(PartyIndex, Word),
    /// Two processes answered side by side under this peer's name.
    Twins(PartyIndex),
    /// The process is about to end: it says goodbye and nothing after it.
    Leave,
}

/// What a run reports.
#[derive(Debug)]
pub enum RunNews {
    /// It waits for a core.
    Queued,
    /// It entered a round.
    Round(u16),
    /// A signing run: this party's part, and the public commitments that judge the others'.
    Signed(Partial, Commitments),
    /// A key generation.
    Key(Box<KeyShare>),
    /// Auxiliary data.
    Auxiliary(Box<AuxInfo>),
    /// It stopped without result.
    Failed {
        /// Who is to blame, where that can be known.
        culprits: Vec<PartyIndex>,
        /// In words.
        reason: String,
    },
}

/// What a chain's shell reports.
#[derive(Debug)]
pub enum ChainNews {
    /// A new final block.
    Head {
        /// Its height.
        height: Height,
        /// Its hash: two nodes that show one height with two hashes follow two chains.
        hash: [u8; 32],
    },
    /// The keyring as the chain shows it.
    Keyring {
        /// At this height.
        height: Height,
        /// How it stands.
        facts: KeyringFacts,
    },
    /// What this party's account holds, in urock.
    Balance(u128),
    /// Whether the endpoints follow two chains, in words.
    Fork(Option<String>),
    /// All open requests of the keyring at one height.
    Open {
        /// That height.
        height: Height,
        /// Requests, parents and children included.
        requests: Vec<Request>,
        /// Whether these are all.
        complete: bool,
        /// Where the next scan may start.
        low_water: LowWater,
    },
    /// A request with what judging it needs.
    Seen(Box<Sighting>),
    /// Examining a request failed; it is examined again when it is next seen.
    Unseen(DecreeId),
    /// Account and request read together.
    Reading(DecreeId, Box<Reading>),
    /// The same from every endpoint that could be reached.
    Testimony(DecreeId, Vec<Reading>),
    /// A request read alone.
    Standing(DecreeId, Height, Box<Standing>),
    /// What a node said of a broadcast.
    Hint {
        /// The account sequence of the transaction.
        sequence: u64,
        /// What was said.
        hint: Hint,
    },
    /// What became of the transactions of a dead sequence, for a person.
    Explained {
        /// Whose answer they carried.
        decree: DecreeId,
        /// How much it matters.
        level: Level,
        /// In words.
        text: String,
    },
    /// An operator lets a controller that stands still go on at this sequence.
    Resume(u64),
}

/// What a node orders once its entries are durable.
#[derive(Debug)]
pub enum Order {
    /// Sign and send; to [`Audience::All`] includes this party itself.
    Say {
        /// To whom.
        to: Audience,
        /// What.
        content: Content,
        /// What goes beside it.
        attachment: Box<Attachment>,
    },
    /// Begin a run.
    Start {
        /// Its name; its lane, too.
        session: SessionId,
        /// What it does.
        run: RunOrder,
        /// Earliest first.
        priority: Priority,
    },
    /// Give a run up.
    Stop(SessionId),
    /// Read the share back, unseal it and prove it: [`Event::Proved`].
    Prove(KeyId, [u8; 32]),
    /// Find out what judging this request needs: [`ChainNews::Seen`] or [`ChainNews::Unseen`].
    Examine {
        /// Its decree.
        decree: DecreeId,
        /// As the scan showed it.
        request: Box<Request>,
        /// At this height it was shown.
        at: Height,
        /// At this height it was not there yet.
        absent_at: Option<Height>,
    },
    /// Read account and request of one endpoint at one height: [`ChainNews::Reading`].
    ReadTogether(DecreeId, RequestId),
    /// The same from every endpoint: [`ChainNews::Testimony`].
    Confirm(DecreeId, RequestId),
    /// Read a request: [`ChainNews::Standing`].
    ReadStanding(DecreeId, RequestId),
    /// Find out what became of transactions: [`ChainNews::Explained`].
    Explain(DecreeId, Vec<TxHash>),
    /// Send signed bytes: [`ChainNews::Hint`].
    Broadcast(String, SignedTx),
    /// Draw a nonce from the system, now: [`Event::Nonce`].
    Draw,
    /// Read the journal's hash at a position: [`Event::Journal`].
    ShowJournal {
        /// Who asks.
        peer: PartyIndex,
        /// In which hello.
        nonce: u64,
        /// Where.
        position: u64,
    },
    /// Something a person may want to know.
    Note(Note),
}

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOrder {
    /// A nonce for one payload, by these signers.
    Sign {
        /// The key.
        key: KeyId,
        /// Exactly `t`, ascending.
        signers: Vec<PartyIndex>,
        /// What is signed.
        payload: Payload,
        /// Counter of the auxiliary data, for ECDSA.
        auxiliary: Option<u64>,
    },
    /// A key for the shelf.
    Key(Suite),
    /// The roster's auxiliary data.
    Auxiliary,
}

/// Who computes first: live requests by deadline, ties by request; then stock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A live request that costs microseconds (EdDSA): it never waits behind one that costs half a second.
    Light(Height, DecreeId),
    /// A live request.
    Request(Height, DecreeId),
    /// A shelf key.
    Key(u64),
    /// Auxiliary data.
    Auxiliary,
}

/// For the log, by level and with the decree it concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// Which request.
    pub decree: Option<DecreeId>,
    /// In words; never holds payloads, shares or nonces.
    pub text: String,
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A person must act.
    Alarm,
    /// The cluster heals itself.
    Warn,
    /// A request changed state.
    Info,
    /// For developers.
    Debug,
}

/// Entries first, orders after.
#[derive(Debug, Default)]
pub struct Effects {
    /// One durable write.
    pub entries: Vec<Entry>,
    /// Carried out in order once it is durable.
    pub orders: Vec<Order>,
}

/// A request that is being answered here.
pub struct Live {
    decree: Decree,
    job: Job,
    digest: [u8; 32],
    request: RequestRecord,
    seen_at: Millis,
    asked_at: Millis,
}

/// What a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RunOf {
    Sign(DecreeId),
    Key { lane: PartyIndex, counter: u64, began: Millis },
    Auxiliary { counter: u64, began: Millis },
}

/// A chain as the node sees it.
struct ChainSide {
    setup: ChainSetup,
    outbox: Outbox,
    height: Height,
    /// The hash of the block of that height.
    hash: [u8; 32],
    height_at: Millis,
    block_ms: Millis,
    keyring: Option<KeyringFacts>,
    /// Requests under examination or judged for good, while the chain still shows them.
    examined: BTreeSet<DecreeId>,
    /// The newest height at which the list of open requests was complete.
    complete_at: Option<Height>,
    low_water: LowWater,
}

/// One party.
pub struct Node {
    me: PartyIndex,
    committee: Arc<Committee>,
    keys_per_lane: BTreeMap<Suite, usize>,
    slots: usize,
    live_max: usize,
    memory: Memory,
    now: Millis,
    lease: Lease,
    /// Peers' consents to this incarnation, which the others are shown.
    consents: Vec<Envelope>,
    /// Whether it could act when this was last looked at.
    acted: bool,
    present: BTreeSet<PartyIndex>,
    round_trips: BTreeMap<PartyIndex, Millis>,
    gap: Millis,
    live: BTreeMap<DecreeId, Live>,
    early: BTreeMap<DecreeId, Vec<Packet>>,
    runs: BTreeMap<SessionId, RunOf>,
    commitments: BTreeMap<SessionId, Commitments>,
    shelf: Shelf,
    /// Keys named in own proposals that are not bound yet.
    promised_keys: BTreeSet<KeyId>,
    /// Runs named in own proposals that are not entered yet.
    promised_runs: BTreeSet<SessionId>,
    stock: Stock,
    chains: BTreeMap<String, ChainSide>,
    dropped: BTreeMap<Dropped, u64>,
    effects: Effects,
}

impl Node {
    /// Takes news in. `now` never goes back.
    pub fn on(&mut self, now: Millis, event: Event) {
        self.now = self.now.max(now);
        match event {
            Event::Tick => self.tick(),
            Event::LinkUp(peer, round_trip) => self.link_up(peer, round_trip),
            Event::LinkDown(peer) => self.link_down(peer),
            Event::Packet(packet) => self.packet(*packet),
            Event::Run(session, news) => self.run_news(session, news),
            Event::Proved(key, possession) => self.proved(key, possession),
            Event::Chain(chain, news) => self.chain_news(&chain, news),
            Event::Primes(at_hand) => self.primes(at_hand),
            Event::Nonce(nonce) => self.nonce(nonce),
            Event::Journal { peer, nonce, held } => self.journal_shown(peer, nonce, held),
            Event::Operator(peer, word) => self.operator(peer, word),
            Event::Twins(peer) => self.saw_twins(peer),
            Event::Leave => self.leave(),
        }
        self.remember_beside();
    }

    /// Everything decided since the last call. Append the entries, call [`Self::committed`], then carry the orders out.
    #[must_use]
    pub fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// The entries of the last effects are durable.
    pub fn committed(&mut self) {
        self.memory.committed();
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn alarm(&self) -> Millis {
        let soon = self.now + 1_000;
        self.live
            .values()
            .filter(|live| !live.request.learning)
            .filter_map(|live| live.decree.alarm(self.around(live.job.deadline, &live.job.decree.chain)))
            .fold(soon, Millis::min)
            .max(self.now + 1)
    }

    fn tick(&mut self) {
        self.tick_lease();
        self.tick_decrees();
        self.tick_stock();
    }

    fn link_up(&mut self, peer: PartyIndex, round_trip: Millis) {
        if peer == self.me || !self.committee.threshold().contains(peer) {
            return;
        }
        self.round_trips.insert(peer, round_trip);
        self.lease.link_up(peer);
        self.tick();
    }

    fn link_down(&mut self, peer: PartyIndex) {
        if peer != self.me {
            self.round_trips.remove(&peer);
            self.lease.link_down(peer);
            // Both ends see a link break. A lease that lapses is seen by one of them, and stops nothing that runs.
            self.stop_keys(|_, _| true);
            self.stock.link_down(peer);
            self.tick();
        }
    }

    fn run_news(&mut self, session: SessionId, news: RunNews) {
        match self.runs.get(&session).cloned() {
            Some(RunOf::Sign(id)) => self.signing_news(session, &id, news),
            Some(RunOf::Key { lane, .. }) => self.key_news(session, lane, news),
            Some(RunOf::Auxiliary { counter, .. }) => self.auxiliary_news(session, counter, news),
            None => {}
        }
    }

    fn around(&self, deadline: Option<Height>, chain: &str) -> Surroundings<'_> {
        Surroundings {
            now: self.now,
            lifetime_left: self.lifetime_left(deadline, chain),
            round_trip: self.round_trips.values().copied().max().unwrap_or(0),
            present: &self.present,
        }
    }

    fn note(&mut self, level: Level, decree: Option<&DecreeId>, text: impl Into<String>) {
        self.effects.orders.push(Order::Note(Note { level, decree: decree.cloned(), text: text.into() }));
    }

    fn write(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.memory.pending(&entry);
            self.effects.entries.push(entry);
        }
    }

    /// Without its lease a process says nothing but who it is.
    fn say(&mut self, to: Audience, content: Content, attachment: Attachment) {
        if !matches!(content, Content::Lease(..)) && !self.may_act() {
            return;
        }
        self.effects.orders.push(Order::Say { to, content, attachment: Box::new(attachment) });
    }

    /// The store failed to give a record. The node cannot judge without its memory: it keeps silent about this one thing.
    fn memory_failed(&mut self, decree: Option<&DecreeId>, error: &dyn std::fmt::Display) {
        self.note(Level::Alarm, decree, format!("the store cannot be read: {error}"));
    }
}

/// What is shown of a live request.
#[derive(Clone, Debug)]
pub struct LiveFacts<'a> {
    /// Its decree.
    pub decree: &'a DecreeId,
    /// Its record.
    pub request: &'a RequestRecord,
    /// The attempt that is open.
    pub attempt: u32,
}

// === For status, metrics and the simulation: bare nouns that only look ===

impl Node {
    /// This party's place.
    #[must_use]
    pub const fn me(&self) -> PartyIndex {
        self.me
    }

    /// Parties whose links are up and that know this process as it knows theirs, this one among them.
    #[must_use]
    pub const fn present(&self) -> &BTreeSet<PartyIndex> {
        &self.present
    }

    /// Requests being answered.
    pub fn live(&self) -> impl Iterator<Item = LiveFacts<'_>> {
        self.live.iter().map(|(decree, live)| LiveFacts {
            decree,
            request: &live.request,
            attempt: live.decree.attempt(),
        })
    }

    /// Free finished keys, all lanes.
    pub fn free_keys(&self) -> impl Iterator<Item = (PartyIndex, Suite, KeyId)> {
        self.shelf.free()
    }

    /// Whether auxiliary data for ECDSA is in force.
    #[must_use]
    pub const fn has_auxiliary(&self) -> bool {
        self.stock.is_active()
    }

    /// The newest height of a chain that the node has heard of.
    #[must_use]
    pub fn height(&self, chain: &str) -> Option<Height> {
        self.chains.get(chain).map(|side| side.height)
    }

    /// The newest block of a chain that the node has heard of: height and hash; `None` before the first.
    #[must_use]
    pub fn head(&self, chain: &str) -> Option<(Height, [u8; 32])> {
        self.chains.get(chain).filter(|side| side.height > Height(0)).map(|side| (side.height, side.hash))
    }

    /// The controller of a chain's account.
    #[must_use]
    pub fn outbox(&self, chain: &str) -> Option<&Outbox> {
        self.chains.get(chain).map(|side| &side.outbox)
    }

    /// Runs of any kind that are live.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }
}

/// A node's own gap estimate fades towards what is assumed of strangers.
fn faded(gap: Millis, seen: Millis) -> Millis {
    if seen >= gap { seen } else { (gap * 7 + seen.max(GAP_ASSUMED_MS)) / 8 }
}
