//! The daemon's life: configure, build, spawn, drain. `build` opens and binds everything and starts nothing; `spawn`
//! starts it; `drain` stops taking news, lets the node finish its write, and closes the links.
//!
//! ```text
//! chain -> follow -> heart (node + journal) <-> post <-> peers
//!                       |   ^
//!                       v   |
//!                      driver (runs on their own threads)
//! ```

mod build;
pub mod contract;
pub mod destination;
pub(crate) mod evm_chain;
pub(crate) mod evm_pen;
pub mod export;
pub mod facts;
pub mod follow;
mod health;
pub mod heart;
pub mod look;
mod operator;
pub mod pen;
pub mod post;
pub mod primes;
pub mod pulse;
pub mod skew;
mod twins;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alloy_primitives::Address;
use chain_client::ZrChain;
use chain_client::zrsign::evm::EvmChain;
use mpc_core::{Cggmp24, PartyIndex};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use transport::Transport as _;

pub use self::build::BuildError;
use self::build::os_randomness;
use self::destination::Destinations;
use self::facts::Desk;
use self::follow::{ChainDesk, Follower};
use self::heart::{Heart, HeartError};
use self::pen::AccountPen;
use self::post::{Directory, Post};
use self::primes::PrimeRoom;
use self::pulse::Pulse;
use crate::admin::Listener;
use crate::clock::Clock;
use crate::config::ContractConfig;
use crate::driver::{Bounds, Driver, DriverEvent};
use crate::identity::NodeIdentity;
use crate::lease::Process;
use crate::metrics::{Metrics, Observer};
use crate::monitoring;
use crate::node::{self, Event, Node};
use crate::roster::Roster;
use crate::runs::Workshop;
use crate::store::Store;
use crate::tasks::Tasks;

/// News and looks that wait for the node's thread.
const INBOX_MAX: usize = 8_192;
/// How often it is looked whether primes are at hand.
const PRIMES_LOOK: Duration = Duration::from_millis(500);
/// How often the node is told that time passed.
const TICK: Duration = Duration::from_millis(100);

/// A look at the node between two beats.
pub type Look = Box<dyn FnOnce(&Node, &dyn Store) + Send>;

/// What reaches the node's thread.
pub enum Inbound {
    /// News.
    Event(Box<Event>),
    /// Somebody wants to look at the node when all that came before is on disk.
    Look(Look),
    /// Finish the write and stop.
    Stop,
}

/// The way in to the node's thread. A full queue holds its callers back.
#[derive(Clone)]
pub struct Inbox(mpsc::Sender<Inbound>);

impl Inbox {
    /// Brings news; waits while the queue is full. After the node's end news are dropped.
    pub async fn tell(&self, event: Event) {
        let _ended = self.0.send(Inbound::Event(Box::new(event))).await;
    }

    /// Looks at the node when everything told before is on disk. `None` after its end.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Node, &dyn Store) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let look = Box::new(move |node: &Node, store: &dyn Store| {
            let _gone = answer.send(look(node, store));
        });
        self.0.send(Inbound::Look(look)).await.ok()?;
        answered.await.ok()
    }
}

/// Why a daemon did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The node's thread had failed before.
    #[error(transparent)]
    Heart(#[from] HeartError),
    /// It did not end in time. What it wrote is whole; it is as safe as a crash.
    #[error("the node did not end within {grace:?}: its disk hangs, or the machine is overloaded")]
    Late {
        /// How long it had.
        grace: Duration,
    },
}

/// A chain, ready to be followed.
struct ChainPiece {
    client: Arc<ZrChain>,
    pen: Arc<AccountPen>,
    poll: Duration,
    call_timeout: Duration,
    pulse: Arc<Pulse>,
}

/// A contract, ready to be followed.
struct ContractPiece {
    client: Arc<EvmChain>,
    config: ContractConfig,
    account: Address,
    pulse: Arc<Pulse>,
}

/// Everything opened and bound, nothing running.
pub struct App {
    roster: Roster,
    me: PartyIndex,
    identity: Arc<NodeIdentity>,
    store: Arc<dyn Store>,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
    node: Node,
    process: Process,
    chains: BTreeMap<String, ChainPiece>,
    contracts: BTreeMap<String, ContractPiece>,
    destinations: BTreeMap<u64, Arc<EvmChain>>,
    bound: transport::Bound,
    book: transport::PeerBook,
    primes: Arc<PrimeRoom>,
    runs: Bounds,
    admin: Listener,
    monitoring: Option<monitoring::Listener>,
    metrics: Arc<Metrics>,
    store_halted: Arc<AtomicBool>,
}

/// A daemon at work.
pub struct Running {
    tasks: Tasks,
    network: tokio::task::JoinHandle<()>,
    heart: std::thread::JoinHandle<Result<(), HeartError>>,
    inbox: Inbox,
    primes: Arc<PrimeRoom>,
}

// === impl App ===

impl App {
    /// Where this node listens, with real ports.
    #[must_use]
    pub fn listen_addresses(&self) -> &[transport::Address] {
        self.bound.listen_addresses()
    }

    /// Where it answers for monitoring, with the real port.
    #[must_use]
    pub fn monitoring_address(&self) -> Option<std::net::SocketAddr> {
        self.monitoring.as_ref().and_then(monitoring::Listener::address)
    }

    /// Starts everything.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn spawn(self) -> Result<Running, BuildError> {
        let tasks = Tasks::new();
        let (sender, events) = mpsc::channel(INBOX_MAX);
        let inbox = Inbox(sender);
        let network = self.bound.spawn(&self.book);
        let links = network.links();
        let post = Post::new(network.sender(), Directory::of(&self.roster, self.me));
        let (driver, driven) = Driver::new(self.runs);

        let mut desks: BTreeMap<String, ChainDesk> = BTreeMap::new();
        let mut views = BTreeMap::new();
        for (name, piece) in self.chains {
            let from = node::cursor(self.store.as_ref(), &name)?;
            views.insert(name.clone(), piece.view());
            let follower = Follower::new(piece.client, piece.pen, inbox.clone(), piece.poll, piece.pulse);
            desks.insert(name, follower.spawn(&tasks, from));
        }
        let mut contract_desks = BTreeMap::new();
        let mut contract_views = BTreeMap::new();
        for (name, piece) in self.contracts {
            contract_views.insert(name.clone(), piece.view());
            contract_desks.insert(name, piece.follower(inbox.clone()).spawn(&tasks));
        }
        let destinations = Destinations::new(self.destinations, inbox.clone()).spawn(&tasks);
        let workshop = Arc::new(Workshop {
            me: self.me,
            threshold: self.roster.threshold(),
            store: self.store.clone(),
            engine: Arc::new(Cggmp24::standard()),
            primes: {
                let (primes, tasks) = (self.primes.clone(), tasks.clone());
                // Runs ask from threads of their own, where no runtime is.
                let runtime = tokio::runtime::Handle::current();
                Box::new(move || {
                    let _within = runtime.enter();
                    let taken = primes.take();
                    if taken.is_none() {
                        primes.search_if_needed(&tasks);
                    }
                    taken
                })
            },
        });
        self.primes.search_if_needed(&tasks);
        let store = self.store;
        let heart = Heart {
            observer: Observer::new(self.metrics.clone(), &self.node),
            node: self.node,
            store: store.clone(),
            data_dir: self.data_dir,
            identity: self.identity,
            epoch: self.roster.epoch(),
            instance: self.process.instance,
            post: post.clone(),
            driver: driver.clone(),
            workshop,
            chains: desks,
            contracts: contract_desks,
            destinations,
            clock: self.clock.clone(),
            rng: Box::new(os_randomness()),
            own: VecDeque::new(),
        };
        let heart = std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || heart.run(events))
            .map_err(BuildError::Thread)?;
        tasks.spawn("clock", skew::watch(links.clone()));
        tasks.spawn("primes-told", tell_of_primes(self.primes.clone(), inbox.clone()));
        tasks.spawn("ticks", tick(inbox.clone()));
        tasks.spawn("runs", hear_runs(driven, post.clone(), inbox.clone()));
        let directory = post.directory().clone();
        tasks.spawn("twins", twins::watch(links.clone(), directory.clone(), inbox.clone()));
        let (messages, links_ended) = (self.metrics.clone(), Arc::new(AtomicBool::new(false)));
        let receiving = post::receive(network, directory, driver.clone(), inbox.clone(), messages, tasks.stopping());
        let ended = links_ended.clone();
        let network = tasks.spawn_draining(async move {
            receiving.await;
            ended.store(true, Ordering::SeqCst);
        });
        let desk = Arc::new(Desk {
            inbox: inbox.clone(),
            store: store.clone(),
            links,
            chains: views,
            contracts: contract_views,
            roster: self.roster.clone(),
            me: self.me,
            started_ms: self.clock.monotonic_ms(),
            started_wall_ms: self.clock.wall_ms(),
            clock: self.clock.clone(),
            primes: self.primes.clone(),
            driver,
            metrics: self.metrics,
            tasks: tasks.ended_early(),
            store_halted: self.store_halted,
            links_ended,
        });
        tasks.spawn("admin", serve_admin(self.admin, desk.clone(), tasks.stopping()));
        if let Some(listener) = self.monitoring {
            tasks.spawn("monitoring", monitoring::serve(listener, desk, tasks.stopping().cancelled_owned()));
        }
        info!(party = %self.me, epoch = self.roster.epoch(), "running");
        Ok(Running { tasks, network, heart, inbox, primes: self.primes })
    }
}

// === impl Running ===

impl Running {
    /// The way to the node, for looks.
    #[must_use]
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Resolves when the node's thread has ended by itself, which it does only when its journal fails.
    pub async fn ended(&self) {
        self.inbox.0.closed().await;
    }

    /// Takes no more news, lets the node finish its write, closes the links and ends, within `grace`.
    ///
    /// # Errors
    /// Why the node's thread ended, if it failed; or that it did not end.
    pub async fn drain(self, grace: Duration) -> Result<(), DrainError> {
        let result = end(self.inbox, self.heart, grace).await;
        self.primes.stop();
        self.tasks.drain(grace).await;
        let _late = tokio::time::timeout(grace, self.network).await;
        result
    }
}

// === pieces ===

/// Tells the node's thread to end and waits for it. Its disk may hang: then its queue is full as well, and nothing here may
/// wait longer than `grace`, not even for a place in it.
async fn end(
    inbox: Inbox,
    heart: std::thread::JoinHandle<Result<(), HeartError>>,
    grace: Duration,
) -> Result<(), DrainError> {
    let ended = async {
        let _ended = inbox.0.send(Inbound::Stop).await;
        inbox.0.closed().await;
        // It has let go of its queue, so it is at its end. A thread that hangs is never joined: the process could not end.
        tokio::task::spawn_blocking(move || heart.join()).await
    };
    match tokio::time::timeout(grace, ended).await {
        Ok(Ok(Ok(result))) => Ok(result?),
        // A node that hangs or panicked has written whole batches only: ending is as safe as a crash.
        Ok(Ok(Err(_)) | Err(_)) => Ok(()),
        Err(_) => Err(DrainError::Late { grace }),
    }
}

/// The admin interface, until the daemon drains.
async fn serve_admin(listener: Listener, desk: Arc<Desk>, stopping: CancellationToken) {
    if let Err(error) = crate::admin::serve(listener, desk, stopping.cancelled_owned()).await {
        error!(%error, "the admin interface ended");
    }
}

/// Tells the node when primes are found or taken.
async fn tell_of_primes(primes: Arc<PrimeRoom>, inbox: Inbox) {
    let mut told = None;
    let mut ticks = tokio::time::interval(PRIMES_LOOK);
    loop {
        ticks.tick().await;
        let at_hand = primes.is_at_hand();
        if told != Some(at_hand) {
            told = Some(at_hand);
            inbox.tell(Event::Primes(at_hand)).await;
        }
    }
}

/// Time passes.
async fn tick(inbox: Inbox) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        inbox.tell(Event::Tick).await;
    }
}

/// Runs speak: rounds go to the peers, everything else to the node.
async fn hear_runs(mut driven: mpsc::Receiver<DriverEvent>, post: Post, inbox: Inbox) {
    while let Some(event) = driven.recv().await {
        match event {
            DriverEvent::Send { session, to, body } => {
                let body = bytes::Bytes::from(body);
                to.into_iter().for_each(|peer| post.round(peer, session, body.clone()));
            }
            DriverEvent::News { session, news } => inbox.tell(Event::Run(session, news)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_hangs_with_a_full_queue_is_left_in_time_and_said_so() {
        let (sender, receiver) = mpsc::channel(1);
        let (release, hangs) = std::sync::mpsc::sync_channel::<()>(1);
        let heart = std::thread::spawn(move || {
            let _released = hangs.recv();
            drop(receiver);
            Ok(())
        });
        let inbox = Inbox(sender);
        inbox.tell(Event::Tick).await;
        let grace = Duration::from_millis(50);
        let left = tokio::time::timeout(Duration::from_secs(10), end(inbox, heart, grace)).await;
        assert!(matches!(left, Ok(Err(DrainError::Late { .. }))), "{left:?}");
        let _ended = release.send(());
    }

    #[tokio::test]
    async fn a_node_that_ends_is_joined() {
        let (sender, mut receiver) = mpsc::channel(1);
        let heart = std::thread::spawn(move || {
            while !matches!(receiver.blocking_recv(), Some(Inbound::Stop) | None) {}
            Ok(())
        });
        assert!(end(Inbox(sender), heart, Duration::from_secs(10)).await.is_ok());
    }
}
