//! The one task of a node: it polls libp2p, decides with [`Link`], and starts and ends conversations.

use std::{collections::BTreeMap, future::pending, sync::Arc};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, allow_block_list, connection_limits, ping,
    swarm::{ConnectionId, DialError, ListenError, Stream, SwarmEvent, dial_opts::DialOpts},
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinError, JoinSet},
    time::Instant,
};

use super::{
    Timing,
    behaviour::{Behaviour, BehaviourEvent, StreamEvent, StreamNews},
    conversation::{Conversation, Ended, Orders, Report},
};
use crate::{
    Fault, PeerBook, PeerId,
    backoff::Backoff,
    exchange::Exchange,
    link::{Action, Dialer, Link},
};

/// What the driver was told at its birth.
pub(super) struct Terms {
    pub(super) own: PeerId,
    pub(super) roster_digest: [u8; 32],
    pub(super) timing: Timing,
    /// The number that this process drew; also the seed of the jitter between attempts.
    pub(super) process: u64,
}

pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    exchange: Arc<Exchange>,
    terms: Terms,
    seats: BTreeMap<PeerId, Seat>,
    names: BTreeMap<libp2p::PeerId, PeerId>,
    conversations: JoinSet<Ended>,
    running: BTreeMap<ConnectionId, Running>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    random: ChaCha8Rng,
    draining: bool,
}

/// One peer.
struct Seat {
    name: libp2p::PeerId,
    addresses: Vec<Multiaddr>,
    link: Link<ConnectionId>,
    backoff: Backoff,
    /// When to dial; `None` while there is a connection, a dial, or no address.
    dial_at: Option<Instant>,
}

/// One conversation.
struct Running {
    peer: PeerId,
    orders: Arc<Orders>,
    /// Last sign of life: the answer to a ping, at first the birth.
    alive_at: Instant,
    /// Why the driver ended it, if it did and if there is somebody to blame.
    fault: Option<Fault>,
    /// The process at the other end, once its handshake is done.
    process: Option<u64>,
    /// Pings in a row that it answered while another process of the peer had a connection too.
    beside: u32,
}

/// Of so many pings in a row each of two processes must have answered: one of them was sent after both were there.
const PINGS_SIDE_BY_SIDE: u32 = 2;

/// Reports that wait for the driver; a conversation that finds no room waits.
const REPORTS_MAX: usize = 64;

impl Driver {
    pub(super) fn new(swarm: Swarm<Behaviour>, exchange: Arc<Exchange>, terms: Terms, book: &PeerBook) -> Self {
        let mut driver = Self {
            swarm,
            exchange,
            random: ChaCha8Rng::seed_from_u64(terms.process),
            terms,
            seats: BTreeMap::new(),
            names: BTreeMap::new(),
            conversations: JoinSet::new(),
            running: BTreeMap::new(),
            reports: mpsc::channel(REPORTS_MAX),
            draining: false,
        };
        let own = driver.terms.own;
        for entry in book.entries().filter(|entry| entry.id != own) {
            // A book holds only keys that have a libp2p name.
            let Some(name) = entry.id.to_libp2p() else { continue };
            let timing = &driver.terms.timing;
            let seat = Seat {
                name,
                addresses: entry.addresses.iter().map(|address| address.multiaddr().clone()).collect(),
                link: Link::new(own < entry.id),
                backoff: Backoff::new(timing.redial_min, timing.redial_max),
                dial_at: None,
            };
            driver.names.insert(name, entry.id);
            driver.seats.insert(entry.id, seat);
            driver.dial_later(entry.id);
        }
        driver
    }

    /// Runs until told to drain, and then until every conversation has ended.
    pub(super) async fn run(mut self, mut drain: oneshot::Receiver<()>) {
        let _inbox = CloseInbox(Arc::clone(&self.exchange));
        while !(self.draining && self.conversations.is_empty()) {
            let due = self.next_due();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(report) = self.reports.1.recv() => self.on_report(report),
                Some(ended) = self.conversations.join_next() => self.on_ended(ended),
                () = until(due) => {
                    let now = Instant::now();
                    self.dial_due(now);
                    self.end_silent(now);
                }
                _ = &mut drain, if !self.draining => self.begin_to_drain(),
            }
        }
    }

    /// When to dial, or to look for silence, next.
    fn next_due(&self) -> Option<Instant> {
        let dial = self.seats.values().filter_map(|seat| seat.dial_at);
        let silent = self.running.values().filter(|talk| talk.fault.is_none()).map(|talk| self.silent_at(talk));
        dial.chain(silent).min()
    }

    fn silent_at(&self, talk: &Running) -> Instant {
        talk.alive_at + self.terms.timing.ping_every + self.terms.timing.ping_max
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Streams(event)) => self.on_stream(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                if let Some(seat) = self.names.get(&peer_id).and_then(|peer| self.seats.get_mut(peer)) {
                    seat.dial_at = None;
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.cancel(connection_id);
                if let Some(peer) = self.names.get(&peer_id).copied()
                    && num_established == 0
                {
                    self.dial_later(peer);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer_id), error, .. } => {
                if let Some(peer) = self.names.get(&peer_id).copied() {
                    self.on_dial_error(peer, &error);
                }
            }
            SwarmEvent::IncomingConnectionError { error, peer_id, .. } => self.on_refused(&error, peer_id),
            SwarmEvent::ListenerClosed { addresses, reason, .. } if !self.draining => {
                tracing::error!(?addresses, ?reason, "a listener closed: peers can no longer dial this node there");
            }
            _ => {}
        }
    }

    fn on_stream(&mut self, event: StreamEvent) {
        let Some(peer) = self.names.get(&event.peer).copied() else {
            return;
        };
        match event.news {
            StreamNews::Opened(stream, dialer) if !self.draining => {
                self.converse(peer, event.connection, dialer, stream);
            }
            StreamNews::Opened(..) => self.close(event.connection),
            StreamNews::NoCommonProtocol => self.blame(peer, event.connection, Fault::NoCommonProtocol),
            StreamNews::Failed => self.blame(peer, event.connection, Fault::Silent),
            StreamNews::Surplus => {
                self.blame(peer, event.connection, Fault::Malformed("a second stream on one connection"));
            }
        }
    }

    fn converse(&mut self, peer: PeerId, connection: ConnectionId, dialer: Dialer, stream: Stream) {
        let orders = Arc::new(Orders::default());
        let conversation = Conversation {
            exchange: Arc::clone(&self.exchange),
            roster_digest: self.terms.roster_digest,
            process: self.terms.process,
            handshake_max: self.terms.timing.handshake_max,
            peer,
            connection,
            dialer,
            conductor: self.terms.own < peer,
            orders: Arc::clone(&orders),
            reports: self.reports.0.clone(),
        };
        self.running.insert(
            connection,
            Running { peer, orders, alive_at: Instant::now(), fault: None, process: None, beside: 0 },
        );
        self.conversations.spawn(conversation.run(stream));
    }

    fn on_report(&mut self, report: Report) {
        // A conversation may have ended, or been told to, since it reported.
        let (peer, connection) = match report {
            Report::Ready { peer, connection, .. } | Report::Asked { peer, connection } => (peer, connection),
        };
        let (Some(seat), Some(talk)) = (self.seats.get_mut(&peer), self.running.get_mut(&connection)) else {
            return;
        };
        let actions = match report {
            Report::Ready { dialer, process, .. } => {
                talk.process = Some(process);
                seat.link.ready(connection, dialer)
            }
            Report::Asked { .. } => seat.link.asked(connection),
        };
        self.act(peer, actions);
    }

    fn on_ended(&mut self, ended: Result<Ended, JoinError>) {
        let Ended { peer, connection, fault } = match ended {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                // A broken invariant of our own stops the node.
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels a conversation.
                Err(_) => return,
            },
        };
        let fault = self.running.remove(&connection).and_then(|talk| talk.fault).or(fault);
        self.close(connection);
        if let Some(seat) = self.seats.get_mut(&peer) {
            let actions = seat.link.ended(connection);
            self.act(peer, actions);
        }
        if let Some(fault) = fault {
            self.note_fault(peer, fault);
        }
    }

    fn act(&mut self, peer: PeerId, actions: Vec<Action<ConnectionId>>) {
        for action in actions {
            match action {
                Action::Close(connection) => self.cancel(connection),
                Action::Down => {
                    self.exchange.link_down(peer);
                    tracing::info!(%peer, "link down");
                }
                Action::Up => {
                    self.exchange.link_up(peer);
                    tracing::info!(%peer, "link up");
                    if let Some(seat) = self.seats.get_mut(&peer) {
                        seat.backoff.reset();
                    }
                }
                Action::Use { connection, announce } => {
                    if let Some(talk) = self.running.get(&connection) {
                        talk.orders.begin(announce);
                    }
                }
            }
        }
        if let (Some(seat), Some(peer)) = (self.seats.get(&peer), self.exchange.peer(peer)) {
            peer.note(|facts| facts.connections = seat.link.connections());
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        // A failed ping says nothing yet: silence is measured from the last answer.
        let (Some(peer), Ok(round_trip)) = (self.names.get(&event.peer).copied(), event.result) else {
            return;
        };
        let now_ms = self.exchange.now_ms();
        if let Some(peer) = self.exchange.peer(peer) {
            peer.note(|facts| {
                facts.round_trip = Some(round_trip);
                facts.heard_at_ms = Some(now_ms);
            });
        }
        if let Some(talk) = self.running.get_mut(&event.connection) {
            talk.alive_at = Instant::now();
            self.look_for_a_twin(peer, event.connection, now_ms);
        }
        let in_use = self.seats.get(&peer).and_then(|seat| seat.link.in_use()) == Some(event.connection);
        if let Some(talk) = self.running.get(&event.connection).filter(|_| in_use) {
            talk.orders.probe();
        }
    }

    /// A ping was answered: do two processes answer under the peer's name? A process that was started anew answers alone;
    /// what the former one left is a dead connection.
    fn look_for_a_twin(&mut self, peer: PeerId, connection: ConnectionId, now_ms: u64) {
        let Some(process) = self.running.get(&connection).and_then(|talk| talk.process) else { return };
        let others = self.running.iter().filter(|(other, talk)| **other != connection && talk.peer == peer);
        let twin =
            others.filter_map(|(_, talk)| Some((talk.process?, talk.beside))).find(|(other, _)| *other != process);
        let Some(talk) = self.running.get_mut(&connection) else { return };
        talk.beside = if twin.is_some() { talk.beside.saturating_add(1) } else { 0 };
        if talk.beside >= PINGS_SIDE_BY_SIDE
            && twin.is_some_and(|(_, beside)| beside >= PINGS_SIDE_BY_SIDE)
            && let Some(peer) = self.exchange.peer(peer)
        {
            peer.note(|facts| facts.twins_at_ms = Some(now_ms));
        }
    }

    fn end_silent(&mut self, now: Instant) {
        let silent = self.running.iter().filter(|(_, talk)| self.silent_at(talk) <= now);
        let silent: Vec<_> = silent.map(|(connection, talk)| (*connection, talk.peer)).collect();
        for (connection, peer) in silent {
            self.blame(peer, connection, Fault::Silent);
        }
    }

    /// Ends a connection for a reason that its conversation, if it has one, does not know.
    fn blame(&mut self, peer: PeerId, connection: ConnectionId, fault: Fault) {
        if let Some(talk) = self.running.get_mut(&connection) {
            // Noted when the conversation has ended, after the link is down.
            talk.fault.get_or_insert(fault);
            talk.orders.cancel();
        } else {
            self.close(connection);
            self.note_fault(peer, fault);
        }
    }

    /// Counts and keeps a fault; tells people about it once, not at every attempt.
    fn note_fault(&self, id: PeerId, fault: Fault) {
        let Some(peer) = self.exchange.peer(id) else {
            return;
        };
        let news = peer.facts().fault.as_ref() != Some(&fault);
        match fault {
            Fault::RosterDiffers { .. } | Fault::NoCommonProtocol | Fault::Oversized { .. } | Fault::Malformed(_)
                if news =>
            {
                tracing::warn!(peer = %id, %fault, "connection refused");
            }
            _ => tracing::debug!(peer = %id, %fault, "no connection"),
        }
        peer.note_fault(fault);
    }

    fn on_refused(&self, error: &ListenError, peer: Option<libp2p::PeerId>) {
        tracing::debug!(%error, ?peer, "incoming connection refused");
        self.exchange.count_at_gate(|gate| match error {
            ListenError::Denied { cause } if cause.downcast_ref::<allow_block_list::NotAllowed>().is_some() => {
                gate.strangers += 1;
            }
            ListenError::Denied { cause } if cause.downcast_ref::<connection_limits::Exceeded>().is_some() => {
                gate.over_limit += 1;
            }
            _ => gate.failed_handshakes += 1,
        });
    }

    fn on_dial_error(&mut self, peer: PeerId, error: &DialError) {
        let connected = self.seats.get(&peer).is_some_and(|seat| self.swarm.is_connected(&seat.name));
        if !connected {
            let why: String = error.to_string().chars().take(200).collect();
            self.note_fault(peer, Fault::Unreachable(why));
            self.dial_later(peer);
        }
    }

    fn dial_later(&mut self, peer: PeerId) {
        if let Some(seat) = self.seats.get_mut(&peer)
            && !seat.addresses.is_empty()
            && !self.draining
        {
            seat.dial_at = Some(Instant::now() + seat.backoff.next(&mut self.random));
        }
    }

    fn dial_due(&mut self, now: Instant) {
        let mut failed = Vec::new();
        for (peer, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.dial_at.is_some_and(|at| at <= now)) {
            seat.dial_at = None;
            // A port of its own: two nodes that dial each other from their listening ports would meet in one
            // connection with two dialers.
            let how = DialOpts::peer_id(seat.name).addresses(seat.addresses.clone()).allocate_new_port().build();
            match self.swarm.dial(how) {
                // The peer was quicker. When that connection ends, this node dials again.
                Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => failed.push((*peer, error)),
            }
        }
        for (peer, error) in failed {
            self.on_dial_error(peer, &error);
        }
    }

    fn begin_to_drain(&mut self) {
        self.draining = true;
        self.seats.values_mut().for_each(|seat| seat.dial_at = None);
        for (connection, talk) in &self.running {
            let in_use = self.seats.get(&talk.peer).and_then(|seat| seat.link.in_use());
            if in_use == Some(*connection) { talk.orders.finish() } else { talk.orders.cancel() }
        }
    }

    /// Ends a conversation; its connection is closed when it has ended.
    fn cancel(&self, connection: ConnectionId) {
        if let Some(talk) = self.running.get(&connection) {
            talk.orders.cancel();
        }
    }

    fn close(&mut self, connection: ConnectionId) {
        // `false` means that it is closed already.
        let _ = self.swarm.close_connection(connection);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

/// Ends the inbox however the driver ends, so that nobody waits for a frame that cannot come.
struct CloseInbox(Arc<Exchange>);

impl Drop for CloseInbox {
    fn drop(&mut self) {
        for (peer, _) in self.0.peers() {
            self.0.link_down(peer);
        }
        self.0.inbox().close();
    }
}
