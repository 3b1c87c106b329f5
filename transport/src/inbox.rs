//! What was received and not yet taken: bounded per peer, handed out peer by peer in turn.
//!
//! A peer whose part is full is read no further, so the bound travels back to it through the connection's own flow
//! control. `Up` and `Down` are never held back; an `Up` that nobody has seen yet is taken back by its `Down`, so a link
//! that flaps cannot fill the queue either.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{Incoming, Lane, Limits, PeerId};

#[derive(Debug)]
pub(crate) struct Inbox {
    limits: Limits,
    state: Mutex<State>,
    /// Woken when something was put in, or the inbox was closed.
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    peers: BTreeMap<PeerId, Received>,
    /// Peers that hold items, in the order of their turns; each stands here once.
    turns: VecDeque<PeerId>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Received {
    items: VecDeque<Incoming>,
    frames: usize,
    bytes: usize,
    /// Woken when an item of this peer was taken.
    room: Arc<Notify>,
}

impl Inbox {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default(), arrived: Notify::new() }
    }

    /// Puts one frame in, waiting until the peer's part has room. One call per peer at a time.
    pub(crate) async fn push(&self, from: PeerId, lane: Lane, body: Bytes) {
        let room = Arc::clone(&self.state().peers.entry(from).or_default().room);
        while !self.try_push(from, lane, &body) {
            room.notified().await;
        }
    }

    /// Puts one frame in if the peer's part has room for it. Of a closed inbox nobody waits for room: it forgets.
    pub(crate) fn try_push(&self, from: PeerId, lane: Lane, body: &Bytes) -> bool {
        let mut state = self.state();
        if state.closed {
            return true;
        }
        let received = state.peers.entry(from).or_default();
        let fits = received.frames < self.limits.inbox_frames_max
            && received.bytes + body.len() <= self.limits.inbox_bytes_max;
        if fits {
            received.frames += 1;
            received.bytes += body.len();
            state.put(from, Incoming::Frame { from, lane, body: body.clone() });
            self.arrived.notify_one();
        }
        fits
    }

    /// The link to `peer` stands from here on.
    pub(crate) fn up(&self, peer: PeerId) {
        self.state().put(peer, Incoming::Up(peer));
        self.arrived.notify_one();
    }

    /// The link to `peer` ends here. Must follow an [`up`](Self::up).
    pub(crate) fn down(&self, peer: PeerId) {
        self.state().put_down(peer);
        self.arrived.notify_one();
    }

    /// Ends the stream of items after those already here.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }

    pub(crate) async fn next(&self) -> Option<Incoming> {
        loop {
            if let Some(item) = self.try_next() {
                return Some(item);
            }
            if self.state().closed {
                return self.try_next();
            }
            self.arrived.notified().await;
        }
    }

    pub(crate) fn try_next(&self) -> Option<Incoming> {
        self.state().take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code below panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, peer: PeerId, item: Incoming) {
        let received = self.peers.entry(peer).or_default();
        if received.items.is_empty() {
            self.turns.push_back(peer);
        }
        received.items.push_back(item);
    }

    fn put_down(&mut self, peer: PeerId) {
        let received = self.peers.entry(peer).or_default();
        if received.items.back() == Some(&Incoming::Up(peer)) {
            received.items.pop_back();
            if received.items.is_empty() {
                self.turns.retain(|turn| *turn != peer);
            }
        } else {
            self.put(peer, Incoming::Down(peer));
        }
    }

    fn take(&mut self) -> Option<Incoming> {
        let peer = self.turns.pop_front()?;
        let received = self.peers.get_mut(&peer)?;
        let item = received.items.pop_front()?;
        if let Incoming::Frame { body, .. } = &item {
            received.frames -= 1;
            received.bytes -= body.len();
            received.room.notify_one();
        }
        if !received.items.is_empty() {
            self.turns.push_back(peer);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn peer(number: u8) -> PeerId {
        PeerId::new([number; 32])
    }

    fn inbox() -> Inbox {
        Inbox::new(Limits { inbox_frames_max: 2, inbox_bytes_max: 10, body_bytes_max: 10, ..Limits::default() })
    }

    const LANE: Lane = Lane::new([0; 32]);

    fn drain(inbox: &Inbox) -> Vec<Incoming> {
        std::iter::from_fn(|| inbox.try_next()).collect()
    }

    #[test]
    fn a_peer_whose_part_is_full_waits_and_others_do_not() {
        let inbox = inbox();
        let body = Bytes::from_static(b"12345");
        assert!(inbox.try_push(peer(1), LANE, &body) && inbox.try_push(peer(1), LANE, &body));
        let mut third = Box::pin(inbox.push(peer(1), LANE, body.clone()));
        assert!((&mut third).now_or_never().is_none());
        assert!(inbox.push(peer(2), LANE, body.clone()).now_or_never().is_some());
        assert!((&mut third).now_or_never().is_none(), "another peer's frame makes no room");
        assert!(inbox.try_next().is_some());
        assert!(third.now_or_never().is_some());
    }

    #[test]
    fn bytes_are_bounded_as_well_as_frames() {
        let inbox = inbox();
        assert!(inbox.try_push(peer(1), LANE, &Bytes::from_static(b"1234567")));
        assert!(!inbox.try_push(peer(1), LANE, &Bytes::from_static(b"1234")));
    }

    #[test]
    fn a_flapping_link_leaves_two_marks_at_most() {
        let inbox = inbox();
        inbox.up(peer(1));
        assert_eq!(drain(&inbox), [Incoming::Up(peer(1))]);
        for _ in 0..1000 {
            inbox.down(peer(1));
            inbox.up(peer(1));
        }
        assert_eq!(drain(&inbox), [Incoming::Down(peer(1)), Incoming::Up(peer(1))]);
    }

    #[test]
    fn an_up_that_nobody_saw_is_taken_back() {
        let inbox = inbox();
        inbox.up(peer(1));
        inbox.down(peer(1));
        assert_eq!(drain(&inbox), []);
        assert!(inbox.try_push(peer(1), LANE, &Bytes::new()), "and the turns are still in order");
        assert_eq!(drain(&inbox).len(), 1);
    }

    #[test]
    fn peers_take_turns() {
        let inbox = inbox();
        let body = Bytes::new();
        for from in [1, 1, 2] {
            assert!(inbox.try_push(peer(from), LANE, &body));
        }
        let order: Vec<_> = drain(&inbox)
            .into_iter()
            .map(|item| match item {
                Incoming::Frame { from, .. } | Incoming::Up(from) | Incoming::Down(from) => from,
            })
            .collect();
        assert_eq!(order, [peer(1), peer(2), peer(1)]);
    }

    #[test]
    fn a_closed_inbox_hands_out_what_it_has_and_ends() {
        let inbox = inbox();
        assert!(inbox.try_push(peer(1), LANE, &Bytes::new()));
        inbox.close();
        assert!(matches!(inbox.next().now_or_never(), Some(Some(Incoming::Frame { .. }))));
        assert_eq!(inbox.next().now_or_never(), Some(None));
        assert!(inbox.try_push(peer(1), LANE, &Bytes::new()));
        assert_eq!(inbox.next().now_or_never(), Some(None), "nothing comes after the end");
    }
}
