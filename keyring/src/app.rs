//! The daemon's life: configure, build, spawn, drain. `build` opens and binds everything and starts nothing; `spawn`
//! starts it; `drain` stops taking news, lets the node finish its write, and closes the links.
//!
//! ```text
//! chain -> follow -> heart (node + journal) <-> post <-> peers
//!                       |   ^
//!                       v   |
//!                      driver (runs on their own threads)
//! ```

pub mod export;
pub mod facts;
pub mod follow;
mod health;
pub mod heart;
pub mod look;
pub mod pen;
pub mod post;
pub mod primes;
pub mod pulse;
pub mod skew;
mod twins;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chain_client::{Endpoint, PartyAccount, ZrChain};
use mpc_core::{Cggmp24, PartyIndex, Suite};
use rand::SeedableRng as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use transport::{NodeKey, Transport as _, WallClock};

use self::facts::{ChainView, Desk};
use self::follow::{ChainDesk, Follower};
use self::heart::{Heart, HeartError};
use self::pen::AccountPen;
use self::post::{Directory, Post};
use self::primes::PrimeRoom;
use self::pulse::Pulse;
use crate::admin::{BindError, Listener};
use crate::backup;
use crate::clock::{Clock, SystemClock};
use crate::committee::Committee;
use crate::config::{ChainConfig, Config, Environment, SecretError};
use crate::driver::{Bounds, Driver, DriverEvent};
use crate::identity::{IdentityError, NodeIdentity};
use crate::lease::{Life, Process};
use crate::metrics::{MeteredStore, Metrics, Observer};
use crate::monitoring;
use crate::node::{self, ChainSetup, Event, Node, RecoverError, Setup};
use crate::roster::{Roster, RosterError};
use crate::runs::Workshop;
use crate::store::{self, OpenError, RocksStore, Store, StoreError};
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
    /// Somebody wants to look at the node between two beats.
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

    /// Looks at the node between two beats. `None` after its end.
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

/// Why a daemon cannot be built: mend what is named and start again. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A secret that the configuration refers to.
    #[error("{field} cannot be read")]
    Secret {
        /// The field of the configuration.
        field: String,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// The node's identity.
    #[error("node.identity is unusable")]
    Identity(#[from] IdentityError),
    /// The roster.
    #[error("the roster is unusable")]
    Roster(#[from] RosterError),
    /// This node stands in the roster under another name.
    #[error("node.name is {configured:?}, but the roster knows this identity as {listed:?}: one of the two is swapped")]
    Name {
        /// In the configuration.
        configured: String,
        /// In the roster.
        listed: String,
    },
    /// The store is another party's.
    #[error(
        "the store in {path} belongs to the party with node key {owner}, node.identity is {identity}: correct \
         `node.data_dir` or `node.identity`, one of the two is swapped"
    )]
    Owner {
        /// Where it lies.
        path: std::path::PathBuf,
        /// Whose it is.
        owner: String,
        /// Who came.
        identity: String,
    },
    /// The store.
    #[error("the store does not open")]
    Open(#[from] OpenError),
    /// A restore of the store was interrupted.
    #[error("the store in {path} is half of a backup: its restore was interrupted; remove it and restore again")]
    HalfRestored {
        /// Where it lies.
        path: std::path::PathBuf,
    },
    /// The store does not write.
    #[error("the boot counter cannot be raised")]
    Boot(#[from] StoreError),
    /// The node's memory.
    #[error("the store cannot be read back")]
    Recover(#[from] RecoverError),
    /// The account of a chain.
    #[error("the account of chain {chain} is unusable: {reason}")]
    Account {
        /// Which chain.
        chain: String,
        /// Why.
        reason: String,
    },
    /// An endpoint of a chain.
    #[error("an endpoint of chain {chain} is unusable")]
    Endpoint {
        /// Which chain.
        chain: String,
        /// Why.
        #[source]
        source: chain_client::EndpointError,
    },
    /// The links.
    #[error("the links to the peers cannot be set up; look at `node.listen` and `limits`")]
    Links(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The admin socket.
    #[error("the admin socket cannot be bound")]
    Admin(#[from] BindError),
    /// The address for monitoring.
    #[error("monitoring cannot be set up")]
    Monitoring(#[from] monitoring::BindError),
    /// Work that cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// A chain, ready to be followed.
struct ChainPiece {
    client: Arc<ZrChain>,
    pen: Arc<AccountPen>,
    poll: Duration,
    call_timeout: Duration,
    pulse: Arc<Pulse>,
}

/// Everything opened and bound, nothing running.
pub struct App {
    roster: Roster,
    me: PartyIndex,
    identity: Arc<NodeIdentity>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    node: Node,
    process: Process,
    chains: BTreeMap<String, ChainPiece>,
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
    /// Opens and binds everything that the configuration names. With `primes`, which
    /// everybody knows then, none are searched for: development networks only.
    ///
    /// # Errors
    /// [`BuildError`]: nothing was started.
    pub async fn build(
        config: Config,
        environment: &dyn Environment,
        primes: Option<mpc_core::Primes>,
    ) -> Result<Self, BuildError> {
        Self::build_on(config, environment, primes, Arc::new(SystemClock::new()), |store| store).await
    }

    /// As [`App::build`], with a clock and a disk of the caller's: `journal` may put something between the daemon and its
    /// store.
    ///
    /// # Errors
    /// [`BuildError`]: nothing was started.
    pub async fn build_on(
        config: Config,
        environment: &dyn Environment,
        primes: Option<mpc_core::Primes>,
        clock: Arc<dyn Clock>,
        journal: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Result<Self, BuildError> {
        let secret = config.node.identity.bytes(environment).map_err(|source| named("node.identity", source))?;
        let identity = Arc::new(NodeIdentity::from_secret(&secret)?);
        let roster = Roster::load(&config.node.roster)?;
        let me = roster.own_place(&identity.public())?;
        let listed = roster.entry(me).map(|entry| entry.name.clone()).unwrap_or_default();
        if listed != config.node.name {
            return Err(BuildError::Name { configured: config.node.name.clone(), listed });
        }
        let unlock = config.store.unlock(environment).map_err(|source| named("store.unlock", source))?;
        let store = RocksStore::open(&config.node.data_dir, &unlock, Box::new(os_randomness()))?;
        if !backup::is_whole(&store).map_err(OpenError::Store)? {
            return Err(BuildError::HalfRestored { path: config.node.data_dir });
        }
        let owner = store::owner_or_claim(&store, &identity.public()).map_err(OpenError::Store)?;
        if owner != identity.public() {
            let (path, owner) = (config.node.data_dir.clone(), hex::encode(owner));
            return Err(BuildError::Owner { path, owner, identity: hex::encode(identity.public()) });
        }
        let names: Vec<String> = config.chains.iter().map(|chain| chain.id.as_str().to_owned()).collect();
        let (metrics, store_halted) = (Arc::new(Metrics::new(&names)), Arc::new(AtomicBool::new(false)));
        let store = MeteredStore::new(journal(Arc::new(store)), metrics.clone(), store_halted.clone());
        let store: Arc<dyn Store> = Arc::new(store);

        let mut chains = BTreeMap::new();
        let mut setups = Vec::new();
        for chain in &config.chains {
            let (piece, setup) = build_chain(chain, environment, &clock, (&roster, me))?;
            chains.insert(setup.chain.clone(), piece);
            setups.push(setup);
        }
        let committee = Committee::of(&roster).ok_or(BuildError::Roster(RosterError::Stranger {
            node_key: "a node key that is no point of its curve".to_owned(),
        }))?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let limits = &config.limits;
        let runs = Bounds {
            runs_max: limits.sessions_max,
            permits: limits.permits(cores),
            messages_per_party: limits.frames_kept_per_party,
            bytes_per_party: limits.bytes_kept_per_party,
        };
        let process = Process {
            life: Life { incarnation: node::incarnation(store.as_ref())?.number, boot: store.raise_boot()? },
            instance: rand::RngCore::next_u64(&mut rand::rngs::OsRng),
        };
        let setup = Setup {
            me,
            process,
            committee: Arc::new(committee),
            keys_per_lane: BTreeMap::from([
                (Suite::Secp256k1, config.shelf.secp256k1_per_lane.into()),
                (Suite::Ed25519, config.shelf.ed25519_per_lane.into()),
            ]),
            slots: runs.permits,
            live_max: limits.requests_open_max,
            chains: setups,
        };
        let node = Node::recover(setup, store.clone(), clock.monotonic_ms())?;
        let (bound, book) = bind(&config, &roster, &identity, clock.clone()).await?;
        let admin = Listener::bind(&config.node.admin_socket, config.limits.admin_connections_max)?;
        let monitoring = match config.monitoring {
            Some(asked) => Some(monitoring::Listener::bind(asked.listen, asked.connections_max).await?),
            None => None,
        };
        let primes = Arc::new(PrimeRoom::new(store.clone(), primes.as_ref()));
        Ok(Self {
            roster,
            me,
            identity,
            store,
            clock,
            node,
            process,
            chains,
            bound,
            book,
            primes,
            runs,
            admin,
            monitoring,
            metrics,
            store_halted,
        })
    }

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
            identity: self.identity,
            epoch: self.roster.epoch(),
            instance: self.process.instance,
            post: post.clone(),
            driver: driver.clone(),
            workshop,
            chains: desks,
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
    /// Why the node's thread ended, if it failed.
    pub async fn drain(self, grace: Duration) -> Result<(), HeartError> {
        let _ended = self.inbox.0.send(Inbound::Stop).await;
        let heart = self.heart;
        let joined = tokio::task::spawn_blocking(move || heart.join());
        let result = match tokio::time::timeout(grace, joined).await {
            Ok(Ok(Ok(result))) => result,
            // A node that hangs or panicked has written whole batches only: ending is as safe as a crash.
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => Ok(()),
        };
        self.primes.stop();
        self.tasks.drain(grace).await;
        let _late = tokio::time::timeout(grace, self.network).await;
        result
    }
}

// === pieces ===

fn os_randomness() -> rand_chacha::ChaCha20Rng {
    rand_chacha::ChaCha20Rng::from_entropy()
}

fn named(field: &str, source: SecretError) -> BuildError {
    BuildError::Secret { field: field.to_owned(), source }
}

impl ChainPiece {
    fn view(&self) -> ChainView {
        ChainView {
            client: self.client.clone(),
            account: crate::outbox::Pen::account(self.pen.as_ref()).to_owned(),
            pulse: self.pulse.clone(),
            poll: self.poll,
            call_timeout: self.call_timeout,
        }
    }
}

fn build_chain(
    chain: &ChainConfig,
    environment: &dyn Environment,
    clock: &Arc<dyn Clock>,
    (roster, me): (&Roster, PartyIndex),
) -> Result<(ChainPiece, ChainSetup), BuildError> {
    let name = chain.id.as_str().to_owned();
    let secret = chain
        .account
        .key(environment)
        .map_err(|source| BuildError::Secret { field: format!("chain {name}: account"), source })?;
    let account = PartyAccount::from_bytes(&secret)
        .map_err(|error| BuildError::Account { chain: name.clone(), reason: error.to_string() })?;
    check_account(roster, me, &name, account.address())?;
    let endpoints = chain
        .endpoints
        .iter()
        .map(|endpoint| Endpoint::at(endpoint.reveal()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| BuildError::Endpoint { chain: name.clone(), source })?;
    let settings = chain_client::Settings { call_timeout: chain.call_timeout, ..chain_client::Settings::default() };
    let client = Arc::new(ZrChain::new(chain.id.clone(), chain.keyring.clone(), endpoints, settings));
    let pen = Arc::new(AccountPen::new(chain.id.clone(), account, chain.fees));
    let setup = ChainSetup {
        chain: name,
        keyring: chain.keyring.clone(),
        reserved: chain.reserved_keys.iter().copied().collect(),
        endpoints: client.endpoints(),
        pen: pen.clone(),
    };
    let pulse = Arc::new(Pulse::new(clock.clone()));
    let (poll, call_timeout) = (chain.poll_interval, chain.call_timeout);
    Ok((ChainPiece { client, pen, poll, call_timeout, pulse }, setup))
}

/// Two parties with one account would spend each other's sequences.
fn check_account(roster: &Roster, me: PartyIndex, chain: &str, address: &str) -> Result<(), BuildError> {
    let refuse = |reason| Err(BuildError::Account { chain: chain.to_owned(), reason });
    let name = |place| roster.entry(place).map(|entry| entry.name.as_str()).unwrap_or_default();
    match roster.index_of_account(chain, address) {
        Some(place) if place != me => refuse(format!(
            "`account` is {address}, which is party {}'s in the roster: the account keys are swapped",
            name(place)
        )),
        Some(_) => Ok(()),
        None => match roster.entry(me).and_then(|entry| entry.accounts.get(chain)) {
            Some(listed) => refuse(format!(
                "`account` is {address}, but the roster lists {listed} for party {}: correct one of the two",
                name(me)
            )),
            None => Ok(()),
        },
    }
}

async fn bind(
    config: &Config,
    roster: &Roster,
    identity: &NodeIdentity,
    clock: Arc<dyn Clock>,
) -> Result<(transport::Bound, transport::PeerBook), BuildError> {
    let links = |error: Box<dyn std::error::Error + Send + Sync>| BuildError::Links(error);
    let book = roster.book()?;
    let process = rand::RngCore::next_u64(&mut os_randomness());
    let wall = WallClock::new(move || clock.wall_ms());
    let key = NodeKey::from_seed(identity.seed());
    let mut network = transport::NetworkConfig::new(key, config.node.listen.clone(), wall, process);
    network.limits.body_bytes_max = config.limits.frame_bytes_max;
    let bound = network.build().await.map_err(|error| links(error.into()))?;
    Ok((bound, book))
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
            DriverEvent::Send { session, to, body } => match to {
                mpc_core::Recipient::One(party) => post.round(party, session, body.into()),
                mpc_core::Recipient::All => {
                    let body = bytes::Bytes::from(body);
                    for party in post.directory().others() {
                        post.round(party, session, body.clone());
                    }
                }
            },
            DriverEvent::News { session, news } => inbox.tell(Event::Run(session, news)).await,
        }
    }
}
