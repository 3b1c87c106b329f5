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
//! | `node/events.rs` | what it is told, and what it orders |
//! | `node/chain.rs` | what a chain says, and what became of requests |
//! | `node/scan.rs` | a chain's open requests: what is examined, and what is taken in |
//! | `node/contract.rs` | the contracts that it serves, and their controller keys |
//! | `node/span.rs` | what contracts ask and show, block by block |
//! | `node/authorise.rs` | how a decided answer is admitted to a contract |
//! | `node/complete.rs` | simple transactions, completed by what their destinations show |
//! | `node/rebase.rs` | an operator decides about a chain that took final blocks back |
//! | `node/deliver.rs` | authorised answers and the senders that carry them |
//! | `node/publish.rs` | decided answers and the controllers that carry them |
//! | `node/standing.rs` | the lease: which process is heard, when this one may act |
//! | `node/recover.rs` | the node as its store remembers it |
//! | `node/shown.rs` | what it shows of its chains and of what it threw away |
//! | `node/memory.rs` | the store and what will be written next, read as one |

mod agree;
mod authorise;
mod chain;
mod complete;
mod contract;
mod deliver;
mod destination;
mod events;
mod flight;
mod looks;
mod memory;
mod publish;
mod rebase;
mod recover;
mod scan;
mod shown;
mod span;
mod standing;
mod stock;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chain_client::zrsign::transaction::Caps;
use chain_client::{Height, KeyringFacts, LowWater};
use mpc_core::{Commitments, KeyId, PartyIndex, SessionId, Suite};

pub use self::chain::decree_of;
use self::contract::ContractSide;
pub use self::contract::{ContractNews, ContractSetup, ContractShown, Said, Span};
pub use self::deliver::Target;
pub use self::events::{ChainNews, ChainSetup, Effects, Event, Level, Note, Order, Priority, RunNews, RunOrder, Setup};
pub use self::looks::{BlockName, DestinationLook, Unread};
use self::memory::Memory;
pub use self::memory::Records;
pub use self::recover::{RecoverError, cursor};
use self::scan::Examined;
pub use self::shown::{ChainShown, Dropped};
pub use self::standing::{REMEMBERED, Word, incarnation};
use self::stock::Stock;
pub use self::stock::{auxiliary_key, first_counters};
use crate::admission::Job;
use crate::agreement::clock::{GAP_ASSUMED_MS, Millis};
use crate::agreement::{Audience, Decree, Surroundings};
use crate::committee::Committee;
use crate::decree::DecreeId;
use crate::lease::Lease;
use crate::message::{Attachment, Content, Envelope, Packet, Statement};
use crate::outbox::Outbox;
use crate::request::RequestRecord;
use crate::shelf::Shelf;
use crate::store::Entry;
use crate::unclaimed::Unclaimed;

/// Packets of one peer about requests that the own endpoint does not show yet.
const EARLY_PACKETS_PER_PEER: usize = 4_096;
/// Bytes of the same, as encoded.
const EARLY_BYTES_PER_PEER: usize = 4 << 20;

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
    examined: Examined,
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
    /// Words of the operator taken, by the peer they were about.
    words: BTreeMap<PartyIndex, u64>,
    /// Whether it could act when this was last looked at.
    acted: bool,
    present: BTreeSet<PartyIndex>,
    round_trips: BTreeMap<PartyIndex, Millis>,
    gap: Millis,
    live: BTreeMap<DecreeId, Live>,
    /// What peers say of requests that the own endpoint does not show yet.
    early: Unclaimed<DecreeId, Packet>,
    runs: BTreeMap<SessionId, RunOf>,
    /// What judges the shares of the others' in runs of live decrees.
    commitments: BTreeMap<SessionId, (DecreeId, Commitments)>,
    shelf: Shelf,
    /// Keys named in own proposals of live decrees that are not bound yet.
    promised_keys: BTreeMap<KeyId, DecreeId>,
    /// Runs named in own proposals that are not entered yet.
    promised_runs: BTreeSet<SessionId>,
    stock: Stock,
    chains: BTreeMap<String, ChainSide>,
    contracts: BTreeMap<String, ContractSide>,
    destinations: BTreeMap<u64, Caps>,
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
            Event::Contract(chain, news) => self.contract_news(&chain, news),
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
        let mut effects = std::mem::take(&mut self.effects);
        effects.orders.retain(|order| !self.is_superseded(order));
        effects
    }

    /// Whether a join or an accept was replaced by a higher ballot's before it was said: the disk will not hold it any
    /// more when the write is done, so it stays unsaid.
    fn is_superseded(&self, order: &Order) -> bool {
        let Order::Say { content: Content::Decree { decree, ballot, statement }, .. } = order else { return false };
        let Some(record) = self.live.get(decree).map(|live| live.decree.record()) else { return false };
        match statement {
            Statement::Join { .. } => record.joined.as_ref().is_some_and(|joined| joined.ballot > *ballot),
            Statement::Accept { .. } => record.accepted.as_ref().is_some_and(|accepted| accepted.ballot > *ballot),
            _ => false,
        }
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
        self.tick_completions();
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

    /// What is kept of each peer about requests that the own endpoint does not show: packets, and their bytes as encoded.
    pub fn early_kept(&self) -> impl Iterator<Item = (PartyIndex, usize, usize)> {
        self.early.kept()
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
