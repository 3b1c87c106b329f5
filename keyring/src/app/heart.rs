//! The node's own thread: events in, one durable write, orders out. The only place where the three meet, always in this
//! order (law 9). Everything that waits in the queue is decided together and written with one sync.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use chain_client::SignedTx;
use mpc_core::{KeyId, KeyShare, PartyIndex};
use rand::RngCore as _;
use tokio::sync::mpsc;
use tracing::{Span, debug, error, info, info_span, warn};

use super::Inbound;
use super::contract::{ContractDesk, ContractQuestion};
use super::destination::DestinationQuestion;
use super::follow::{ChainDesk, Question};
use super::post::Post;
use crate::agreement::Audience;
use crate::agreement::clock::Millis;
use crate::clock::{Clock, Randomness, Stopwatch};
use crate::driver::Driver;
use crate::identity::NodeIdentity;
use crate::lease::Held;
use crate::message::{Attachment, Content, Envelope, Packet};
use crate::metrics::Observer;
use crate::node::{ChainNews, ContractNews, Effects, Event, Level, Node, Note, Order, RunNews, Unread};
use crate::runs::Workshop;
use crate::store::{Head, Store, StoreError, Table};

/// Events decided together at most.
const BATCH_MAX: usize = 256;

/// Everything the node's thread uses.
pub struct Heart {
    /// The machine.
    pub node: Node,
    /// Its journal.
    pub store: Arc<dyn Store>,
    /// Where that lies, for whoever must look at the disk.
    pub data_dir: PathBuf,
    /// Signs what it says.
    pub identity: Arc<NodeIdentity>,
    /// Epoch of the roster in force.
    pub epoch: u64,
    /// Number of this process.
    pub instance: u64,
    /// To the peers.
    pub post: Post,
    /// To the runs.
    pub driver: Driver,
    /// What runs are begun with.
    pub workshop: Arc<Workshop>,
    /// To the chains.
    pub chains: BTreeMap<String, ChainDesk>,
    /// To the contracts, by chain.
    pub contracts: BTreeMap<String, ContractDesk>,
    /// To the destinations of simple transactions.
    pub destinations: mpsc::Sender<DestinationQuestion>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance, for proofs and runs.
    pub rng: Box<dyn Randomness>,
    /// What this party said to itself and will hear next.
    pub own: VecDeque<Event>,
    /// Counts; decides nothing.
    pub observer: Observer,
}

/// Why the node stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum HeartError {
    /// The journal did not write. Nothing was said that it does not hold; the node must be started again.
    #[error(
        "the journal in {} (`node.data_dir`) was not written: make space there, or look at that disk, then start this node again",
        .data_dir.display()
    )]
    Journal {
        /// Where it lies.
        data_dir: PathBuf,
        /// What the store said.
        #[source]
        source: StoreError,
    },
}

impl Heart {
    /// Runs until told to stop or until everybody who could tell is gone.
    ///
    /// # Errors
    /// When the journal does not write: then nothing more may be decided by this process.
    pub fn run(mut self, mut inbox: mpsc::Receiver<Inbound>) -> Result<(), HeartError> {
        self.beat()?;
        loop {
            let (mut taken, mut looks) = (0, Vec::new());
            while taken < BATCH_MAX {
                let now = self.clock.monotonic_ms();
                if let Some(event) = self.own.pop_front() {
                    self.hear(now, event);
                } else {
                    let next = if taken == 0 { inbox.blocking_recv() } else { inbox.try_recv().ok() };
                    match next {
                        Some(Inbound::Event(event)) => self.hear(now, *event),
                        Some(Inbound::Look(look)) => looks.push(look),
                        Some(Inbound::Stop) => {
                            self.node.on(now, Event::Leave);
                            return self.beat();
                        }
                        None if taken == 0 => return Ok(()),
                        None => break,
                    }
                }
                taken += 1;
            }
            self.beat()?;
            // Nobody is shown what the disk does not hold.
            for look in looks {
                look(&self.node, self.store.as_ref());
            }
        }
    }

    fn hear(&mut self, now: Millis, event: Event) {
        self.observer.heard(now, &event);
        self.node.on(now, event);
    }

    /// Remembers, then speaks.
    fn beat(&mut self) -> Result<(), HeartError> {
        let Effects { entries, orders } = self.node.take_effects();
        let head = if entries.is_empty() {
            self.store.head()
        } else {
            let watch = Stopwatch::begin();
            let failed = |source| HeartError::Journal { data_dir: self.data_dir.clone(), source };
            let head = self.store.append(&entries).map_err(failed)?;
            let us = (watch.seconds() * 1e6).round();
            debug!(target: crate::logging::TIMING, us, entries = entries.len(), "written");
            self.node.committed();
            self.observer.written(&entries);
            head
        };
        let now = self.clock.monotonic_ms();
        // The write may have taken longer than the lease still had: its peers may know another process by now.
        let (orders, withheld) = split(orders, self.node.holds_lease_at(now));
        let mut outgoing: BTreeMap<PartyIndex, Vec<Packet>> = BTreeMap::new();
        for order in orders {
            self.observer.ordered(now, &order);
            match order {
                Order::Say { to, content, attachment } => self.say(&mut outgoing, head, to, content, *attachment),
                order => self.carry_out(order),
            }
        }
        for (to, packets) in outgoing {
            self.post.packets(to, &packets);
        }
        if !withheld.is_empty() {
            self.withhold(head, withheld);
        }
        Ok(())
    }

    /// What was decided under a lease that ran out before it could leave. It is durable, and to the others as if it were
    /// lost on its way: the node learns first of all that its lease ended, so that it says again what is still of use, to
    /// each peer that knows it anew. Controllers send again by their own clocks.
    fn withhold(&mut self, head: Head, orders: Vec<Order>) {
        warn!(orders = orders.len(), "withheld: the lease ran out while the journal was written");
        let mut unsent = BTreeMap::new();
        for order in orders {
            match order {
                // It hears itself all the same: what it has promised counts as promised until it has heard it.
                Order::Say { to, content, attachment } => self.say(&mut unsent, head, to, content, *attachment),
                // Its session is entered and never again: the run is over before it began.
                Order::Start { session, .. } => {
                    let reason = "not begun: the lease ran out".to_owned();
                    self.own.push_back(Event::Run(session, RunNews::Failed { culprits: Vec::new(), reason }));
                }
                _ => {}
            }
        }
        self.own.push_front(Event::Tick);
    }

    fn say(
        &mut self,
        outgoing: &mut BTreeMap<PartyIndex, Vec<Packet>>,
        head: Head,
        to: Audience,
        content: Content,
        attachment: Attachment,
    ) {
        let me = self.node.me();
        let envelope =
            Envelope::sign(&self.identity, self.epoch, (me, self.instance), content, head.position, head.hash);
        let packet = Packet { envelope, attachment };
        match to {
            Audience::One(party) if party == me => self.own.push_back(Event::Packet(Box::new(packet))),
            Audience::One(party) => outgoing.entry(party).or_default().push(packet),
            Audience::All => {
                for party in self.post.directory().others() {
                    outgoing.entry(party).or_default().push(packet.clone());
                }
                self.own.push_back(Event::Packet(Box::new(packet)));
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Say { .. } => {}
            Order::Start { session, run, priority } => {
                let (workshop, mut seed) = (self.workshop.clone(), [0u8; 32]);
                self.rng.fill_bytes(&mut seed);
                let seed = zeroize::Zeroizing::new(seed);
                let parties = run.parties(workshop.threshold);
                let peers = parties.into_iter().filter(|party| *party != workshop.me).collect();
                self.driver.start(session, peers, priority, move || {
                    let mut rng = <rand_chacha::ChaCha20Rng as rand::SeedableRng>::from_seed(*seed);
                    workshop.begin(session, &run, &mut rng)
                });
            }
            Order::Stop(session) => self.driver.cancel(session),
            Order::Prove(key, context) => self.prove(key, &context),
            Order::Examine { decree, request, at, absent_at } => {
                let chain = decree.chain.clone();
                let again = decree.clone();
                let asked = self.ask(&chain, Question::Examine { decree, request, at, absent_at });
                if !asked {
                    self.own.push_back(Event::Chain(chain, ChainNews::Unseen(again)));
                }
            }
            Order::ReadTogether(decree, request) => {
                self.ask(&decree.chain.clone(), Question::Together(decree, request));
            }
            Order::Confirm(decree, request) => {
                self.ask(&decree.chain.clone(), Question::Everywhere(decree, request));
            }
            Order::Explain(decree, hashes) => {
                self.ask(&decree.chain.clone(), Question::Fate(decree, hashes));
            }
            Order::ReadStanding(decree, request) => {
                self.ask(&decree.chain.clone(), Question::Standing(decree, request));
            }
            Order::Broadcast(chain, signed) => self.broadcast(&chain, signed),
            Order::LookAtContract { chain, decree, target, hashes } => {
                self.ask_contract(&chain, ContractQuestion::Look { decree, target, hashes });
            }
            Order::Simulate { chain, decree, call, state } => {
                self.ask_contract(&chain, ContractQuestion::Simulate { decree, call, state });
            }
            Order::LookAtDestination { decree, destination, wallet, simple, at } => {
                let question = DestinationQuestion { decree, destination, wallet, simple, at };
                if let Err(refused) = self.destinations.try_send(question) {
                    // Answered all the same: the node has one question about a named block on its way at a time.
                    let DestinationQuestion { decree, at, .. } = refused.into_inner();
                    let why = "too many questions to destinations wait".to_owned();
                    let said = Box::new(Err(Unread::Question(why)));
                    let chain = decree.chain.clone();
                    self.own.push_back(Event::Contract(chain, ContractNews::Destination { decree, at, said }));
                }
            }
            Order::Send(chain, signed) => {
                let sent = self.contracts.get(&chain).is_some_and(|desk| desk.sends.try_send(signed).is_ok());
                if !sent {
                    warn!(chain, "transaction postponed: its queue is full");
                }
            }
            // From the system, not from this process's own generator: two copies of one memory must not draw the same.
            Order::Draw => self.own.push_back(Event::Nonce(rand::rngs::OsRng.next_u64())),
            Order::ShowJournal { peer, nonce, position } => self.show_journal(peer, nonce, position),
            Order::Note(note) => write_note(&note),
        }
    }

    fn show_journal(&mut self, peer: PartyIndex, nonce: u64, position: u64) {
        match self.store.hash_at(position) {
            Ok(hash) => {
                let held = hash.map(|hash| Held { position, hash });
                self.own.push_back(Event::Journal { peer, nonce, held });
            }
            Err(error) => error!(%error, "the journal cannot be read"),
        }
    }

    /// A full queue is an answer: the node asks again at a later block.
    fn ask(&self, chain: &str, question: Question) -> bool {
        let asked = self.chains.get(chain).is_some_and(|desk| desk.questions.try_send(question).is_ok());
        if !asked {
            debug!(chain, "question to the chain postponed: its queue is full");
        }
        asked
    }

    /// As [`Self::ask`].
    fn ask_contract(&self, chain: &str, question: ContractQuestion) {
        let asked = self.contracts.get(chain).is_some_and(|desk| desk.questions.try_send(question).is_ok());
        if !asked {
            debug!(chain, "question to the chain postponed: its queue is full");
        }
    }

    fn broadcast(&self, chain: &str, signed: SignedTx) {
        let sent = self.chains.get(chain).is_some_and(|desk| desk.broadcasts.try_send(signed).is_ok());
        if !sent {
            warn!(chain, "broadcast postponed: its queue is full");
        }
    }

    /// Reads a share back from disk, unseals and proves it: only then may it be stated as stored (law 6).
    fn prove(&mut self, key: KeyId, context: &[u8; 32]) {
        let share = match self.store.read(Table::Share, key.as_bytes()) {
            Ok(Some(bytes)) => KeyShare::decode(&bytes).map_err(|error| error.to_string()),
            Ok(None) => Err("it is not there".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match share {
            Ok(share) => {
                let possession = share.prove(context, &mut self.rng);
                self.own.push_back(Event::Proved(key, possession));
            }
            Err(reason) => error!(%key, reason, "the share that was just stored cannot be read back"),
        }
    }
}

/// What is carried out, and what is not because it acts on others and the lease does not hold any more.
fn split(orders: Vec<Order>, holds_lease: bool) -> (Vec<Order>, Vec<Order>) {
    orders.into_iter().partition(|order| holds_lease || !acts_on_others(order))
}

/// Whether an order needs the lease when it leaves. Looking, writing and the words of the lease itself do not.
const fn acts_on_others(order: &Order) -> bool {
    match order {
        Order::Say { content, .. } => !matches!(content, Content::Lease(..)),
        Order::Start { .. } | Order::Broadcast(..) | Order::Send(..) => true,
        Order::Stop(_)
        | Order::Prove(..)
        | Order::Examine { .. }
        | Order::ReadTogether(..)
        | Order::Confirm(..)
        | Order::Explain(..)
        | Order::ReadStanding(..)
        | Order::LookAtContract { .. }
        | Order::Simulate { .. }
        | Order::LookAtDestination { .. }
        | Order::Draw
        | Order::ShowJournal { .. }
        | Order::Note(_) => false,
    }
}

/// One line per note, in the span of its request, so that everything about one request is found by one name.
fn write_note(note: &Note) {
    let span = match &note.decree {
        Some(decree) => info_span!("request", chain = decree.chain, request = %decree),
        None => Span::none(),
    };
    let _in_span = span.enter();
    let text = note.text.as_str();
    match note.level {
        Level::Alarm => error!("{text}"),
        Level::Warn => warn!("{text}"),
        Level::Info => info!("{text}"),
        Level::Debug => debug!("{text}"),
    }
}

#[cfg(test)]
mod tests;
