//! Messages that no run has taken yet: those of live runs, and early ones of runs that are not begun here.
//!
//! A slow party must not lose the first messages of a run because a faster one began it; a hostile party must not fill
//! the memory, nor crowd out what others say to a run. So each party has its own bounds over everything of it that is
//! kept, whatever runs it names. Where room is needed, its own oldest early messages go first; a message for a live run
//! is never thrown out for a later one.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use mpc_core::{PartyIndex, SessionId};

/// Everything kept.
pub(super) struct Frames {
    messages_per_party: usize,
    bytes_per_party: usize,
    sessions: BTreeMap<SessionId, VecDeque<Frame>>,
    parties: BTreeMap<PartyIndex, Held>,
    arrivals: u64,
    /// Messages that found no room, or gave theirs to a later one.
    dropped: u64,
}

struct Frame {
    arrival: u64,
    from: PartyIndex,
    body: Bytes,
}

/// What is kept of one party.
#[derive(Default)]
struct Held {
    messages: usize,
    bytes: usize,
    /// Its early messages, oldest first.
    early: BTreeMap<u64, SessionId>,
}

impl Frames {
    pub(super) const fn new(messages_per_party: usize, bytes_per_party: usize) -> Self {
        Self {
            messages_per_party,
            bytes_per_party,
            sessions: BTreeMap::new(),
            parties: BTreeMap::new(),
            arrivals: 0,
            dropped: 0,
        }
    }

    /// Keeps a message, if its party's bounds allow it.
    pub(super) fn keep(&mut self, session: SessionId, from: PartyIndex, body: Bytes, live: bool) -> bool {
        if !self.make_room(from, body.len()) {
            self.dropped += 1;
            return false;
        }
        self.arrivals += 1;
        let held = self.parties.entry(from).or_default();
        held.messages += 1;
        held.bytes += body.len();
        if !live {
            held.early.insert(self.arrivals, session);
        }
        self.sessions.entry(session).or_default().push_back(Frame { arrival: self.arrivals, from, body });
        true
    }

    /// Takes everything that came for a run, in the order in which it came.
    pub(super) fn take(&mut self, session: SessionId) -> Vec<(PartyIndex, Bytes)> {
        let frames = self.sessions.remove(&session).unwrap_or_default();
        frames
            .into_iter()
            .map(|frame| {
                self.account(&frame);
                (frame.from, frame.body)
            })
            .collect()
    }

    /// A run begins here: what was kept for it is early no more.
    pub(super) fn begin(&mut self, session: SessionId) {
        for frame in self.sessions.get(&session).into_iter().flatten() {
            if let Some(held) = self.parties.get_mut(&frame.from) {
                held.early.remove(&frame.arrival);
            }
        }
    }

    /// Messages that found no room, or gave theirs to a later one.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn is_empty(&self, session: SessionId) -> bool {
        !self.sessions.contains_key(&session)
    }

    fn make_room(&mut self, from: PartyIndex, bytes: usize) -> bool {
        if bytes > self.bytes_per_party || self.messages_per_party == 0 {
            return false;
        }
        while self.is_over(from, bytes) {
            if !self.drop_oldest_early(from) {
                return false;
            }
        }
        true
    }

    fn is_over(&self, from: PartyIndex, bytes: usize) -> bool {
        self.parties
            .get(&from)
            .is_some_and(|held| held.messages >= self.messages_per_party || held.bytes + bytes > self.bytes_per_party)
    }

    fn drop_oldest_early(&mut self, party: PartyIndex) -> bool {
        let Some((arrival, session)) = self.parties.get_mut(&party).and_then(|held| held.early.pop_first()) else {
            return false;
        };
        self.dropped += 1;
        let Some(frames) = self.sessions.get_mut(&session) else {
            return true;
        };
        let oldest = frames.iter().position(|frame| frame.arrival == arrival).and_then(|place| frames.remove(place));
        if frames.is_empty() {
            self.sessions.remove(&session);
        }
        if let Some(frame) = oldest {
            self.account(&frame);
        }
        true
    }

    /// A message has left.
    fn account(&mut self, frame: &Frame) {
        if let Some(held) = self.parties.get_mut(&frame.from) {
            held.messages -= 1;
            held.bytes -= frame.body.len();
            held.early.remove(&frame.arrival);
            if held.messages == 0 {
                self.parties.remove(&frame.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: u8) -> SessionId {
        SessionId::new([name; 32])
    }

    fn party(place: u16) -> PartyIndex {
        PartyIndex::new(place)
    }

    fn keep(frames: &mut Frames, name: u8, from: u16, body: u8, live: bool) -> bool {
        frames.keep(session(name), party(from), Bytes::from(vec![body]), live)
    }

    fn bodies(frames: &mut Frames, name: u8) -> Vec<u8> {
        frames.take(session(name)).into_iter().map(|(_, body)| body[0]).collect()
    }

    #[test]
    fn a_party_over_its_bound_loses_its_own_oldest_early_messages_and_nobody_elses() {
        let mut frames = Frames::new(3, 1_000);
        assert!(keep(&mut frames, 1, 2, 9, false));
        for body in 0..5 {
            assert!(keep(&mut frames, body % 2, 1, body, false));
        }
        assert_eq!(bodies(&mut frames, 0), [2, 4]);
        assert_eq!(bodies(&mut frames, 1), [9, 3]);
        assert_eq!((frames.parties.len(), frames.sessions.len()), (0, 0), "nothing is left of what was taken");
    }

    #[test]
    fn messages_of_a_live_run_are_never_thrown_out() {
        let mut frames = Frames::new(2, 1_000);
        assert!(keep(&mut frames, 1, 1, 1, false));
        frames.begin(session(1));
        assert!(keep(&mut frames, 1, 1, 2, true));
        assert!(!keep(&mut frames, 1, 1, 3, true));
        assert!(!keep(&mut frames, 2, 1, 4, false));
        assert_eq!(bodies(&mut frames, 1), [1, 2]);
        assert!(keep(&mut frames, 2, 1, 4, false), "taken messages make room");
    }

    #[test]
    fn a_message_larger_than_the_bound_is_refused_and_nothing_is_thrown_out_for_it() {
        let mut frames = Frames::new(10, 50);
        assert!(keep(&mut frames, 1, 1, 1, false));
        assert!(!frames.keep(session(1), party(1), Bytes::from(vec![0; 51]), false));
        assert_eq!(bodies(&mut frames, 1), [1]);
    }
}
