//! What the handles and the machinery of one node share: an outbox and facts per peer, and one inbox.
//!
//! Every implementation of [`Transport`](crate::Transport) fills and empties these; the handles ([`Sender`],
//! [`Links`](crate::Links)) see nothing else. Locks are held for a push or a copy, never across a wait.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    Counters, Fault, GateFacts, Lane, Limits, LinkFacts, PeerBook, PeerId, SendError, WallClock, inbox::Inbox,
    offset::OffsetFilter, outbox::Outbox,
};

pub(crate) struct Exchange {
    limits: Limits,
    clock: WallClock,
    peers: BTreeMap<PeerId, Peer>,
    gate: Mutex<GateFacts>,
    inbox: Inbox,
    /// Set when the node shuts down: nothing more is taken.
    closed: AtomicBool,
}

/// One peer's side of the exchange.
pub(crate) struct Peer {
    state: Mutex<PeerState>,
    /// Woken when the outbox was filled. One connection at a time waits for it.
    filled: Notify,
}

struct PeerState {
    outbox: Outbox,
    offset: OffsetFilter,
    /// `queued_*` and `clock_offset` are filled in when a copy is asked for.
    facts: LinkFacts,
}

impl Exchange {
    /// One place for every peer of the book except `own`.
    pub(crate) fn new(own: PeerId, book: &PeerBook, limits: Limits, clock: WallClock) -> Self {
        let peers = book
            .entries()
            .filter(|entry| entry.id != own)
            .map(|entry| (entry.id, Peer::new(entry.id, entry.name.clone())))
            .collect();
        Self { limits, clock, peers, gate: Mutex::default(), inbox: Inbox::new(limits), closed: AtomicBool::new(false) }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.unix_ms()
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = (PeerId, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    pub(crate) fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.get(&id)
    }

    pub(crate) fn gate(&self) -> GateFacts {
        *lock(&self.gate)
    }

    pub(crate) fn count_at_gate(&self, count: impl FnOnce(&mut GateFacts)) {
        count(&mut lock(&self.gate));
    }

    pub(crate) fn send(&self, to: PeerId, lane: Lane, body: Bytes) -> Result<(), SendError> {
        let peer = self.peer(to).ok_or(SendError::Stranger(to))?;
        let bound = self.limits.body_bytes_max;
        if body.len() > bound {
            return Err(SendError::TooLarge { size: body.len(), bound });
        }
        let mut state = peer.state();
        if !state.facts.up || self.closed.load(Ordering::Relaxed) {
            return Err(SendError::Down(to));
        }
        if state.outbox.push(lane, body, &self.limits).is_err() {
            state.facts.counters.drops.full += 1;
            return Err(SendError::Full(to));
        }
        peer.filled.notify_one();
        Ok(())
    }

    /// Takes no more frames to send; those that wait stay.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// The link stands: frames are taken from now on, and the owner is told.
    pub(crate) fn link_up(&self, id: PeerId) {
        if let Some(peer) = self.peer(id) {
            let mut state = peer.state();
            if !state.facts.up {
                state.facts.up = true;
                state.facts.fault = None;
                state.facts.counters.ups += 1;
                self.inbox.up(id);
            }
        }
    }

    /// The link broke: what still waits is given up, and the owner is told.
    pub(crate) fn link_down(&self, id: PeerId) {
        if let Some(peer) = self.peer(id) {
            let mut state = peer.state();
            if state.facts.up {
                state.facts.up = false;
                state.facts.counters.drops.unsent += state.outbox.frames() as u64;
                state.outbox.clear();
                self.inbox.down(id);
            }
        }
    }
}

impl Peer {
    fn new(id: PeerId, name: String) -> Self {
        let facts = LinkFacts {
            peer: id,
            name,
            up: false,
            connections: 0,
            round_trip: None,
            clock_offset: None,
            heard_at_ms: None,
            twins_at_ms: None,
            fault: None,
            queued_frames: 0,
            queued_bytes: 0,
            counters: Counters::default(),
        };
        let state = PeerState { outbox: Outbox::default(), offset: OffsetFilter::default(), facts };
        Self { state: Mutex::new(state), filled: Notify::new() }
    }

    pub(crate) fn facts(&self) -> LinkFacts {
        let state = self.state();
        LinkFacts {
            clock_offset: state.offset.best(),
            queued_frames: state.outbox.frames(),
            queued_bytes: state.outbox.bytes(),
            ..state.facts.clone()
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.state().facts.up
    }

    /// Changes facts in place. Whether the link is up is not for here: [`Exchange::link_up`], [`Exchange::link_down`].
    pub(crate) fn note(&self, change: impl FnOnce(&mut LinkFacts)) {
        change(&mut self.state().facts);
    }

    /// Counts why a connection was refused or closed, and keeps the reason.
    pub(crate) fn note_fault(&self, fault: Fault) {
        self.note(|facts| {
            let drops = &mut facts.counters.drops;
            match fault {
                Fault::RosterDiffers { .. } => drops.stale_roster += 1,
                Fault::Oversized { .. } => drops.oversized += 1,
                Fault::Malformed(_) => drops.malformed += 1,
                Fault::NoCommonProtocol | Fault::Silent | Fault::Unreachable(_) | Fault::Lost(_) => {}
            }
            if !facts.up {
                facts.fault = Some(fault);
            }
        });
    }

    /// Takes one exchange of clocks; see [`OffsetFilter::add`].
    pub(crate) fn note_clock(&self, sent_ms: u64, theirs_ms: u64, received_ms: u64) {
        self.state().offset.add(sent_ms, theirs_ms, received_ms);
    }

    /// The next frame to send, counted as sent.
    pub(crate) fn take(&self) -> Option<(Lane, Bytes)> {
        let mut state = self.state();
        let (lane, body) = state.outbox.pop()?;
        state.facts.counters.frames_out += 1;
        state.facts.counters.bytes_out += body.len() as u64;
        Some((lane, body))
    }

    /// Returns when the outbox may hold something. It may also be empty: look, then wait again.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.note(|facts| {
            facts.counters.frames_in += 1;
            facts.counters.bytes_in += bytes as u64;
        });
    }

    fn state(&self) -> MutexGuard<'_, PeerState> {
        lock(&self.state)
    }
}

/// No code in this module panics while it holds a lock, so a poisoned one is as good as new.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends frames from any thread. Clones are cheap and fill the same queues.
#[derive(Clone)]
pub struct Sender {
    exchange: Arc<Exchange>,
}

impl Sender {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Self {
        Self { exchange }
    }

    /// Queues one frame for `to`. Never blocks.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::Transport::send).
    pub fn send(&self, to: PeerId, lane: Lane, body: Bytes) -> Result<(), SendError> {
        self.exchange.send(to, lane, body)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
