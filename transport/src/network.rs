//! The real network: libp2p over TCP (noise, yamux) and QUIC.
//!
//! Four steps, each testable alone: a [`NetworkConfig`] is filled in; [`build`](NetworkConfig::build) binds the ports,
//! so that the addresses are known and printable; [`spawn`](Bound::spawn) takes the peer book and starts;
//! [`drain`](Network::drain) sends what waits and ends. Dropping a [`Network`] ends it at once.
//!
//! Who may connect is checked twice: the cryptographic handshake proves a peer's key, and a key that is not in the book
//! is dropped there (libp2p's allow-list); then our own handshake compares the roster digests.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use libp2p::{
    Swarm, SwarmBuilder, allow_block_list,
    connection_limits::{self, ConnectionLimits},
    core::transport::ListenerId,
    noise, ping,
    swarm::SwarmEvent,
    tcp, yamux,
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    Address, Incoming, Lane, LimitError, Limits, Links, NodeKey, PeerBook, PeerId, SendError, Sender, Transport,
    WallClock, exchange::Exchange,
};

mod behaviour;
mod conversation;
mod driver;

use behaviour::{Behaviour, Streams};
use driver::Driver;

/// How long things may take. Every wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For each of: the cryptographic handshake, opening the stream, our own handshake (default 5 s).
    pub handshake_max: Duration,
    /// From one ping, and one comparison of clocks, to the next (default 2 s).
    pub ping_every: Duration,
    /// A connection without an answer for `ping_every + ping_max` is closed (default 6 s).
    pub ping_max: Duration,
    /// First wait before a peer is dialed again (default 250 ms); it doubles with each failure, with jitter.
    pub redial_min: Duration,
    /// Longest wait before a peer is dialed again (default 15 s).
    pub redial_max: Duration,
}

impl Timing {
    /// Names the first field out of range.
    fn check(&self) -> Result<(), BuildError> {
        let Self { handshake_max, ping_every, ping_max, redial_min, redial_max } = *self;
        let fields = [
            ("handshake_max", handshake_max),
            ("ping_every", ping_every),
            ("ping_max", ping_max),
            ("redial_min", redial_min),
            ("redial_max", redial_max),
        ];
        let allowed = Duration::from_millis(1)..=Duration::from_secs(3600);
        match fields.iter().find(|(_, value)| !allowed.contains(value)) {
            Some((field, _)) => Err(BuildError::Timing(field)),
            None if redial_min > redial_max => Err(BuildError::Timing("redial_min")),
            None => Ok(()),
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake_max: Duration::from_secs(5),
            ping_every: Duration::from_secs(2),
            ping_max: Duration::from_secs(6),
            redial_min: Duration::from_millis(250),
            redial_max: Duration::from_secs(15),
        }
    }
}

/// Everything a node needs before it knows its peers.
#[derive(Debug)]
pub struct NetworkConfig {
    /// Who this node is.
    pub key: NodeKey,
    /// Where it listens. May be empty: then it only dials. Port 0 takes any free port.
    pub listen: Vec<Address>,
    /// Bounds of queues and frames.
    pub limits: Limits,
    /// Bounds of time.
    pub timing: Timing,
    /// The date, for [`LinkFacts`](crate::LinkFacts).
    pub clock: WallClock,
    /// Drawn at random by each process; not secret. Peers tell two processes of one key apart by it, and the jitter
    /// between attempts comes from it.
    pub process: u64,
}

/// Why a node could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A bound is out of range.
    #[error("the limits contradict one another")]
    Limits(#[from] LimitError),
    /// A time is out of range.
    #[error("{0} must be between 1 ms and 1 hour, and redial_min at most redial_max")]
    Timing(&'static str),
    /// An address could not be bound: in use, not ours, or not permitted.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the config.
        address: Address,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The cryptography of the transport could not be set up.
    #[error("cannot set up noise for this node key")]
    Noise(#[from] noise::Error),
}

/// A node with its ports bound and nothing running.
pub struct Bound {
    own: PeerId,
    swarm: Swarm<Behaviour>,
    addresses: Vec<Address>,
    limits: Limits,
    timing: Timing,
    clock: WallClock,
    process: u64,
}

/// Streams that a peer may open on one connection: ours, its pings, and some that are refused.
const STREAMS_MAX: usize = 16;
/// Streams that yamux is told to expect. It promises 256 KiB of window to each out of 1 GiB per connection, and lets the
/// windows of a fast peer grow into what is not promised. Promising all of it keeps every window at 256 KiB; how many
/// streams a peer can really open is bounded by `STREAMS_MAX` in the swarm and by yamux's backlog of 256.
const YAMUX_STREAMS: usize = 4096;
/// Incoming connections whose cryptographic handshake is not done.
const HANDSHAKES_MAX: u32 = 64;
/// Connections per peer: one dialed by each side, and their dead predecessors until these are noticed.
const CONNECTIONS_PER_PEER_MAX: u32 = 4;
/// Unread bytes that a QUIC peer may have on its way, per stream and per connection.
const QUIC_STREAM_BYTES: u32 = 2 << 20;
const QUIC_CONNECTION_BYTES: u32 = 3 << 20;

impl NetworkConfig {
    /// A config with default bounds.
    #[must_use]
    pub fn new(key: NodeKey, listen: Vec<Address>, clock: WallClock, process: u64) -> Self {
        Self { key, listen, limits: Limits::default(), timing: Timing::default(), clock, process }
    }

    /// Binds every address. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A bound out of range, or an address that cannot be bound: correct the config.
    pub async fn build(self) -> Result<Bound, BuildError> {
        self.limits.check()?;
        self.timing.check()?;
        let own = self.key.peer_id();
        let mut swarm = swarm(&self.key, &self.timing)?;
        let mut addresses = Vec::new();
        for address in &self.listen {
            let failed = |source| BuildError::Listen { address: address.clone(), source };
            refuse_a_shared_port(address).map_err(failed)?;
            let listener = swarm.listen_on(address.multiaddr().clone()).map_err(|error| {
                failed(match error {
                    libp2p::TransportError::Other(error) => error,
                    unsupported => io::Error::other(unsupported),
                })
            })?;
            let bound = tokio::time::timeout(self.timing.handshake_max, bound_addresses(&mut swarm, listener));
            addresses.extend(bound.await.unwrap_or_else(|late| Err(late.into())).map_err(failed)?);
        }
        let Self { limits, timing, clock, process, .. } = self;
        Ok(Bound { own, swarm, addresses, limits, timing, clock, process })
    }
}

fn swarm(key: &NodeKey, timing: &Timing) -> Result<Swarm<Behaviour>, noise::Error> {
    let ping = ping::Config::new().with_interval(timing.ping_every).with_timeout(timing.ping_max);
    let behaviour = Behaviour {
        allowed: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(ConnectionLimits::default()),
        ping: ping::Behaviour::new(ping),
        streams: Streams::default(),
    };
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(YAMUX_STREAMS);
    let builder = SwarmBuilder::with_existing_identity(key.to_libp2p())
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || streams)?
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = timing.handshake_max;
            quic.max_concurrent_stream_limit = STREAMS_MAX as u32;
            quic.max_stream_data = QUIC_STREAM_BYTES;
            quic.max_connection_data = QUIC_CONNECTION_BYTES;
            quic
        });
    let Ok(builder) = builder.with_behaviour(|_| behaviour);
    let builder = builder.with_swarm_config(|config| {
        config.with_idle_connection_timeout(timing.handshake_max).with_max_negotiating_inbound_streams(STREAMS_MAX)
    });
    Ok(builder.with_connection_timeout(timing.handshake_max).build())
}

/// libp2p binds its TCP listeners so that a second process may bind the same port, and the kernel then deals connections
/// out to both. Two daemons started from one config must not go unnoticed, so the port is first bound without that.
fn refuse_a_shared_port(address: &Address) -> io::Result<()> {
    match address.tcp() {
        Some(socket) if socket.port() != 0 => std::net::TcpListener::bind(socket).map(drop),
        _ => Ok(()),
    }
}

/// The addresses of a new listener. An address for all interfaces becomes one per interface.
async fn bound_addresses(swarm: &mut Swarm<Behaviour>, wanted: ListenerId) -> io::Result<Vec<Address>> {
    let mut addresses = Vec::new();
    while addresses.is_empty() {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } if listener_id == wanted => {
                addresses.extend(Address::from_multiaddr(&address));
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == wanted => {
                return Err(reason.err().unwrap_or_else(|| io::Error::other("the listener closed")));
            }
            SwarmEvent::ListenerError { listener_id, error } if listener_id == wanted => return Err(error),
            _ => {}
        }
    }
    Ok(addresses)
}

impl Bound {
    /// What was bound, with real ports. Of an address for all interfaces, the first interface found.
    #[must_use]
    pub fn listen_addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// This node's name.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.own
    }

    /// Starts: dials every peer of the book and answers those who dial. Must be called inside a tokio runtime.
    #[must_use]
    pub fn spawn(mut self, book: &PeerBook) -> Network {
        let exchange = Arc::new(Exchange::new(self.own, book, self.limits, self.clock.clone()));
        self.admit(book);
        let (drain, drained) = oneshot::channel();
        let driver = Driver::new(
            self.swarm,
            Arc::clone(&exchange),
            driver::Terms {
                own: self.own,
                roster_digest: *book.roster_digest(),
                timing: self.timing,
                process: self.process,
            },
            book,
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(drained));
        Network { exchange, addresses: self.addresses, tasks, drain: Some(drain) }
    }

    fn admit(&mut self, book: &PeerBook) {
        let mut peers = 0;
        for peer in book.entries().filter(|entry| entry.id != self.own).filter_map(|entry| entry.id.to_libp2p()) {
            self.swarm.behaviour_mut().allowed.allow_peer(peer);
            peers += 1;
        }
        *self.swarm.behaviour_mut().limits.limits_mut() = ConnectionLimits::default()
            .with_max_pending_incoming(Some(HANDSHAKES_MAX))
            .with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX))
            .with_max_established(Some(peers * CONNECTIONS_PER_PEER_MAX));
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("own", &self.own).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A running node.
pub struct Network {
    exchange: Arc<Exchange>,
    addresses: Vec<Address>,
    /// The driver; ends with this value.
    tasks: JoinSet<()>,
    drain: Option<oneshot::Sender<()>>,
}

impl Network {
    /// What was bound; see [`Bound::listen_addresses`].
    #[must_use]
    pub fn listen_addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Takes no more frames, sends those that wait, closes every link, and ends, within `grace`.
    ///
    /// Says whether all of it was done in time; if not, the rest is given up. What was received before stays to be
    /// taken from [`Transport::next`], which then ends. (If `next` ends without a drain, the node broke an invariant of
    /// its own and said so on standard error: stop the process.)
    pub async fn drain(&mut self, grace: Duration) -> bool {
        self.exchange.close();
        if let Some(drain) = self.drain.take() {
            // The driver may have ended already.
            let _ = drain.send(());
        }
        let ended = tokio::time::timeout(grace, self.tasks.join_next()).await;
        self.tasks.shutdown().await;
        matches!(ended, Ok(None | Some(Ok(()))))
    }
}

impl Transport for Network {
    fn send(&self, to: PeerId, lane: Lane, body: Bytes) -> Result<(), SendError> {
        self.exchange.send(to, lane, body)
    }

    async fn next(&mut self) -> Option<Incoming> {
        self.exchange.inbox().next().await
    }

    fn sender(&self) -> Sender {
        Sender::new(Arc::clone(&self.exchange))
    }

    fn links(&self) -> Links {
        Links::new(Arc::clone(&self.exchange))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
