//! A network in memory: the same trait, the same queues, no socket, no task, no real time.
//!
//! A [`Hub`] joins any number of nodes. Nothing moves until the hub is told to: [`Hub::step`] delivers the next frame and
//! moves the virtual clock to it, [`Hub::advance_to`] delivers everything due by then. With the same seed and the same
//! calls, the same things happen in the same order. By default links are perfect; [`Weather`] and [`Hub::cut`] make them
//! worse than the real transport ever is, on purpose: whoever survives loss, duplication and reordering without a `Down`
//! survives a reconnect as well.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{
    Fault, Incoming, Lane, Limits, Links, PeerBook, PeerId, SendError, Sender, Transport, WallClock, exchange::Exchange,
};

/// What one direction of a link does to frames. Probabilities are in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Shortest time from sender to receiver.
    pub delay: Duration,
    /// At most this much more, drawn evenly for each frame.
    pub jitter: Duration,
    /// Frames lost without a `Down`.
    pub loss_per_mille: u16,
    /// Frames delivered twice.
    pub duplication_per_mille: u16,
    /// Frames that may overtake earlier ones (by as much as `jitter`); all others keep their order.
    pub reordering_per_mille: u16,
}

/// The network between nodes in one process.
pub struct Hub {
    limits: Limits,
    random: ChaCha8Rng,
    now: Duration,
    seats: BTreeMap<PeerId, Seat>,
    /// Pairs with a standing link, smaller id first.
    up: BTreeSet<(PeerId, PeerId)>,
    /// Pairs held apart, smaller id first.
    cut: BTreeSet<(PeerId, PeerId)>,
    fair_weather: Weather,
    weather: BTreeMap<(PeerId, PeerId), Weather>,
    routes: BTreeMap<(PeerId, PeerId), Route>,
    /// Frames on their way, by arrival; the number makes the order total.
    flights: BTreeMap<(Duration, u64), Flight>,
    launched: u64,
}

struct Seat {
    exchange: Arc<Exchange>,
    roster_digest: [u8; 32],
    clock: Arc<AtomicU64>,
    ahead_ms: i64,
}

/// One direction of a link.
#[derive(Default)]
struct Route {
    /// Frames of this route in `flights` and in `held`.
    open: usize,
    /// Latest arrival among the frames that keep their order.
    last_due: Duration,
    /// Arrived while the receiver's inbox was full.
    held: VecDeque<(Lane, Bytes)>,
}

struct Flight {
    from: PeerId,
    to: PeerId,
    lane: Lane,
    body: Bytes,
}

impl Hub {
    /// Virtual clocks start here: 2026-01-01T00:00:00Z, in Unix milliseconds.
    pub const EPOCH_MS: u64 = 1_767_225_600_000;

    /// An empty network. All chance in it comes from `seed`; every node has the same limits.
    #[must_use]
    pub fn new(seed: u64, limits: Limits) -> Self {
        Self {
            limits,
            random: ChaCha8Rng::seed_from_u64(seed),
            now: Duration::ZERO,
            seats: BTreeMap::new(),
            up: BTreeSet::new(),
            cut: BTreeSet::new(),
            fair_weather: Weather::default(),
            weather: BTreeMap::new(),
            routes: BTreeMap::new(),
            flights: BTreeMap::new(),
            launched: 0,
        }
    }

    /// Seats a node and links it to every seated node of its book whose book lists it under the same roster digest.
    ///
    /// A node that sits here already is taken for crashed and started again, with empty queues.
    pub fn join(&mut self, own: PeerId, book: &PeerBook) -> MemoryTransport {
        self.leave(own);
        let clock = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&clock);
        let clock_of_node = WallClock::new(move || read.load(Ordering::Relaxed));
        let exchange = Arc::new(Exchange::new(own, book, self.limits, clock_of_node));
        let roster_digest = *book.roster_digest();
        self.seats.insert(own, Seat { exchange: Arc::clone(&exchange), roster_digest, clock, ahead_ms: 0 });
        self.set_clocks();
        for other in self.others(own) {
            self.connect(own, other);
        }
        MemoryTransport { exchange }
    }

    /// Removes a node as a crash does: frames to and from it are lost, its peers see `Down`, its inbox ends.
    pub fn leave(&mut self, own: PeerId) {
        for other in self.others(own) {
            self.disconnect(own, other);
        }
        if let Some(seat) = self.seats.remove(&own) {
            seat.exchange.inbox().close();
        }
    }

    /// Breaks the link of two nodes and keeps it broken: both see `Down`, frames on their way are lost.
    pub fn cut(&mut self, one: PeerId, other: PeerId) {
        self.cut.insert(ordered(one, other));
        self.disconnect(one, other);
    }

    /// Lets two nodes link again.
    pub fn heal(&mut self, one: PeerId, other: PeerId) {
        if self.cut.remove(&ordered(one, other)) {
            self.connect(one, other);
        }
    }

    /// Cuts every link between the two sides.
    pub fn partition(&mut self, side: &[PeerId], other_side: &[PeerId]) {
        for one in side {
            for other in other_side {
                self.cut(*one, *other);
            }
        }
    }

    /// Heals every cut and clears the sky.
    pub fn heal_all(&mut self) {
        self.set_weather_everywhere(Weather::default());
        for (one, other) in std::mem::take(&mut self.cut) {
            self.connect(one, other);
        }
    }

    /// Sets one direction of one link.
    pub fn set_weather(&mut self, from: PeerId, to: PeerId, weather: Weather) {
        self.weather.insert((from, to), weather);
    }

    /// Sets every direction of every link, those of nodes to come included.
    pub fn set_weather_everywhere(&mut self, weather: Weather) {
        self.weather.clear();
        self.fair_weather = weather;
    }

    /// Puts a seated node's clock ahead of the virtual time (or behind it).
    pub fn set_clock_ahead(&mut self, node: PeerId, ahead_ms: i64) {
        if let Some(seat) = self.seats.get_mut(&node) {
            seat.ahead_ms = ahead_ms;
        }
        self.set_clocks();
        for other in self.others(node) {
            self.compare_clocks(node, other);
        }
    }

    /// The virtual time since the hub was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When the next frame arrives, if any is on its way or waits to be sent.
    pub fn next_due(&mut self) -> Option<Duration> {
        self.collect();
        self.flights.first_key_value().map(|((due, _), _)| *due)
    }

    /// Delivers one frame, moving the clock to its arrival. Says whether there was one.
    pub fn step(&mut self) -> bool {
        self.collect();
        if self.deliver_held() {
            return true;
        }
        let Some(((due, _), flight)) = self.flights.pop_first() else {
            return false;
        };
        self.set_now(due);
        self.arrive(flight);
        true
    }

    /// Delivers everything that arrives by `until`, and moves the clock there. A time already past changes nothing.
    pub fn advance_to(&mut self, until: Duration) {
        self.deliver_held();
        while self.next_due().is_some_and(|due| due <= until) {
            self.step();
        }
        self.set_now(until);
    }

    fn others(&self, own: PeerId) -> Vec<PeerId> {
        self.seats.keys().filter(|id| **id != own).copied().collect()
    }

    /// What the real transport does at a handshake: know one another, hold the same roster, then link.
    fn connect(&mut self, one: PeerId, other: PeerId) {
        let pair = ordered(one, other);
        let (Some(a), Some(b)) = (self.seats.get(&one), self.seats.get(&other)) else {
            return;
        };
        if self.cut.contains(&pair) || self.up.contains(&pair) {
            return;
        }
        let (Some(b_at_a), Some(a_at_b)) = (a.exchange.peer(other), b.exchange.peer(one)) else {
            for (host, guest) in [(a, other), (b, one)] {
                if host.exchange.peer(guest).is_none() {
                    host.exchange.count_at_gate(|gate| gate.strangers += 1);
                }
            }
            return;
        };
        if a.roster_digest != b.roster_digest {
            b_at_a.note_fault(Fault::RosterDiffers { theirs: b.roster_digest });
            a_at_b.note_fault(Fault::RosterDiffers { theirs: a.roster_digest });
            return;
        }
        for (at, peer) in [(a, other), (b, one)] {
            at.exchange.link_up(peer);
        }
        b_at_a.note(|facts| facts.connections = 1);
        a_at_b.note(|facts| facts.connections = 1);
        self.up.insert(pair);
        self.compare_clocks(one, other);
    }

    fn disconnect(&mut self, one: PeerId, other: PeerId) {
        if !self.up.remove(&ordered(one, other)) {
            return;
        }
        for (at, peer) in [(one, other), (other, one)] {
            if let Some(seat) = self.seats.get(&at) {
                seat.exchange.link_down(peer);
                if let Some(peer) = seat.exchange.peer(peer) {
                    peer.note(|facts| facts.connections = 0);
                    peer.note_fault(Fault::Lost("cut".into()));
                }
            }
            self.routes.remove(&(at, peer));
        }
        self.flights.retain(|_, flight| ordered(flight.from, flight.to) != ordered(one, other));
    }

    /// Puts on its way what waits in the outboxes of standing links, at most an inbox full per direction.
    fn collect(&mut self) {
        let pairs: Vec<_> = self.up.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect();
        for (from, to) in pairs {
            while self.routes.entry((from, to)).or_default().open < self.limits.inbox_frames_max {
                let waiting = self.seats.get(&from).and_then(|seat| seat.exchange.peer(to)?.take());
                let Some((lane, body)) = waiting else {
                    break;
                };
                self.launch(Flight { from, to, lane, body });
            }
        }
    }

    fn launch(&mut self, flight: Flight) {
        let weather = self.weather_of(flight.from, flight.to);
        if self.chance(weather.loss_per_mille) {
            return;
        }
        if self.chance(weather.duplication_per_mille) {
            let Flight { from, to, lane, ref body } = flight;
            self.fly(Flight { from, to, lane, body: body.clone() }, weather, true);
        }
        let may_overtake = self.chance(weather.reordering_per_mille);
        self.fly(flight, weather, may_overtake);
    }

    fn fly(&mut self, flight: Flight, weather: Weather, may_overtake: bool) {
        let jitter_ns = u64::try_from(weather.jitter.as_nanos()).unwrap_or(u64::MAX);
        let mut due = self.now + weather.delay + Duration::from_nanos(self.random.gen_range(0..=jitter_ns));
        let route = self.routes.entry((flight.from, flight.to)).or_default();
        if !may_overtake {
            due = due.max(route.last_due);
            route.last_due = due;
        }
        route.open += 1;
        self.launched += 1;
        self.flights.insert((due, self.launched), flight);
    }

    fn arrive(&mut self, flight: Flight) {
        let Flight { from, to, lane, body } = flight;
        let Some(seat) = self.seats.get(&to) else {
            return;
        };
        let route = self.routes.entry((from, to)).or_default();
        if route.held.is_empty() && deliver(&seat.exchange, from, lane, &body) {
            route.open -= 1;
        } else {
            route.held.push_back((lane, body));
        }
    }

    /// Tries again what an inbox had no room for. Says whether anything was delivered.
    fn deliver_held(&mut self) -> bool {
        let mut delivered = false;
        for ((from, to), route) in &mut self.routes {
            let Some(seat) = self.seats.get(to) else {
                continue;
            };
            while route.held.front().is_some_and(|(lane, body)| deliver(&seat.exchange, *from, *lane, body)) {
                route.held.pop_front();
                route.open -= 1;
                delivered = true;
            }
        }
        delivered
    }

    fn weather_of(&self, from: PeerId, to: PeerId) -> Weather {
        self.weather.get(&(from, to)).copied().unwrap_or(self.fair_weather)
    }

    /// Draws even where the outcome is certain, so that turning one switch does not shift all other chance.
    fn chance(&mut self, per_mille: u16) -> bool {
        self.random.gen_range(0..1000) < per_mille
    }

    fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.set_clocks();
    }

    fn set_clocks(&self) {
        let since_ms = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        for seat in self.seats.values() {
            let date_ms = Self::EPOCH_MS.saturating_add(since_ms).saturating_add_signed(seat.ahead_ms);
            seat.clock.store(date_ms, Ordering::Relaxed);
        }
    }

    fn compare_clocks(&self, one: PeerId, other: PeerId) {
        let (there, back) = (self.weather_of(one, other).delay, self.weather_of(other, one).delay);
        let round_trip_ms = u64::try_from((there + back).as_millis()).unwrap_or(u64::MAX);
        for (own, peer) in [(one, other), (other, one)] {
            let (Some(a), Some(b)) = (self.seats.get(&own), self.seats.get(&peer)) else {
                return;
            };
            if let Some(at) = a.exchange.peer(peer) {
                let sent_ms = a.exchange.now_ms();
                let theirs_ms = b.exchange.now_ms().saturating_add(round_trip_ms / 2);
                at.note_clock(sent_ms, theirs_ms, sent_ms.saturating_add(round_trip_ms));
                at.note(|facts| facts.round_trip = Some(there + back));
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("now", &self.now)
            .field("seats", &self.seats.keys())
            .field("up", &self.up)
            .field("in_flight", &self.flights.len())
            .finish_non_exhaustive()
    }
}

fn deliver(to: &Exchange, from: PeerId, lane: Lane, body: &Bytes) -> bool {
    let taken = to.inbox().try_push(from, lane, body);
    if taken && let Some(peer) = to.peer(from) {
        let now_ms = to.now_ms();
        peer.count_received(body.len());
        peer.note(|facts| facts.heard_at_ms = Some(now_ms));
    }
    taken
}

fn ordered(one: PeerId, other: PeerId) -> (PeerId, PeerId) {
    if one < other { (one, other) } else { (other, one) }
}

/// One node's end of a [`Hub`].
pub struct MemoryTransport {
    exchange: Arc<Exchange>,
}

impl MemoryTransport {
    /// The next event if one is here; what a simulation calls instead of awaiting [`Transport::next`].
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.exchange.inbox().try_next()
    }
}

impl Transport for MemoryTransport {
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

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryTransport")
    }
}
